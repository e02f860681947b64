/** control/events.c -- GET /v1/events: the log of events, followed. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "control/call.h"

/** Where to begin: what a client that comes back saw last, else `after`, else
 *  now. */
static bool read_after(struct call *c, uint64_t *after)
{
	const char *last = http_header(c->request, "Last-Event-ID");
	const char *text =
		last && last[0] ? last : http_query(c->request, "after");
	const char *field = last && last[0] ? "Last-Event-ID" : "after";
	uint64_t known = store_known_id(c->control->store, IDS_EVENT);

	if (!text) {
		*after = follow_now(c->control->follow);
		return true;
	}
	if (str_to_u64(text, after) || *after > INT64_MAX) {
		call_problem(c, 400, field,
			     "%s: the id of an event, or 0 for all there are",
			     field);
		return false;
	}
	if (*after <= known)
		return true;
	call_problem(c, 409, field,
		     "%s: %" PRIu64 " is of another database: the newest event "
		     "here is %" PRIu64 "; begin anew, 0 is for all there are",
		     field, *after, known);
	return false;
}

/** "a,b" -> bits of enum event_kind. */
static bool read_kinds(struct call *c, const char *text, uint32_t *kinds)
{
	while (text) {
		size_t len = strcspn(text, ",");
		char name[32] = "";
		enum event_kind kind;

		if (len < sizeof(name))
			memcpy(name, text, len);
		if (!event_kind_parse(name, &kind)) {
			call_problem(c, 400, "kinds",
				     "kinds: %.*s is no kind of event; they "
				     "are those of an endpoint's `events`, "
				     "with commas between",
				     (int)(len < 40 ? len : 40), text);
			return false;
		}
		*kinds |= (uint32_t)1 << kind;
		text = text[len] ? text + len + 1 : NULL;
	}
	return true;
}

void events_follow(struct call *c)
{
	static const char *const keys[] = {"after", "app",   "task",
					   "room",  "kinds", NULL};
	const char *app = http_query(c->request, "app");
	const char *task = http_query(c->request, "task");
	struct store_filter f = {.room = http_query(c->request, "room")};

	if (!call_query_keys(c, keys) || !read_after(c, &f.after) ||
	    (app && !call_app(c, app, &f.app)) ||
	    (task && !call_number(c, task, "task", &f.task)) ||
	    (f.room && !call_name(c, f.room, "room")) ||
	    !read_kinds(c, http_query(c->request, "kinds"), &f.kinds))
		return;
	if (!follow_has_room(c->control->follow)) {
		call_problem(c, 503, "",
			     "%d streams of events are open, which is as many "
			     "as there may be: close one, or come back later",
			     FOLLOW_MAX);
		return;
	}
	follow_begin(c->control->follow, c->request, &f);
	call_free(c);
}
