/** control/recordings.c -- erasing recordings in the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/str.h"
#include "control/call.h"

static void on_erased(const struct erase_result *r, void *arg)
{
	struct call *c = arg;

	if (!c->request)
		call_free(c); /* the client has gone, maybe the API, too */
	else if (r->err.code)
		call_error(c, &r->err);
	else if (!r->erased && c->filter.app &&
		 !rooms_has_app(c->control->rooms, c->filter.app))
		call_problem(c, 404, "app",
			     "there is no app %" PRIu32
			     ", nor a recording of one",
			     c->filter.app);
	else
		call_reply(c, 200,
			   json_pack("{s:I, s:I, s:b}", "erased",
				     (json_int_t)r->erased, "bytes",
				     (json_int_t)r->bytes, "more", r->more));
}

/** An app that is not configured any more may have recordings. */
static bool read_app(struct call *c, const char *text, uint32_t *app)
{
	int64_t value = 0;

	if (text && str_to_i64(text, 1, UINT32_MAX, &value)) {
		call_problem(c, 400, "app", "app: a number from 1 to %" PRIu32,
			     UINT32_MAX);
		return false;
	}
	*app = (uint32_t)value;
	return true;
}

static bool is_enough(struct call *c, const struct erase_wish *wish)
{
	if (wish->task || (wish->app && (wish->room || wish->user)))
		return true;
	if (wish->room || wish->user)
		call_problem(c, 400, "app",
			     "app: required with room or user, unless task is "
			     "given");
	else
		call_problem(c, 400, "task",
			     "task: required, or app with user or room");
	return false;
}

void recordings_erase(struct call *c)
{
	static const char *const keys[] = {"task", "app", "room", "user", NULL};
	const char *task = http_query(c->request, "task");
	struct erase_wish wish = {
		.room = http_query(c->request, "room"),
		.user = http_query(c->request, "user"),
		.client_ip = c->client_ip,
	};

	if (!call_query_keys(c, keys) ||
	    (task && !call_number(c, task, "task", &wish.task)) ||
	    !read_app(c, http_query(c->request, "app"), &wish.app) ||
	    (wish.room && !call_name(c, wish.room, "room")) ||
	    (wish.user && !call_name(c, wish.user, "user")) ||
	    !is_enough(c, &wish))
		return;
	c->filter.app = wish.app;
	rooms_erase(c->control->rooms, &wish, on_erased, c);
}
