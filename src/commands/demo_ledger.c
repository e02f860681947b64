/** commands/demo_ledger.c -- what was heard, and what should have been. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "commands/demo.h"

enum { HEARD_MIN = 64, HEARD_MAX = 100000, USER_MAX = 16 };

/** A verified callback, as far as it is counted. */
struct heard {
	enum dialect dialect;
	enum event_kind kind;
	uint32_t seq;
	char user[USER_MAX];
	char task[DEMO_ID_MAX];
};

int ledger_add(struct ledger *l, const struct callback *c)
{
	struct heard *h;

	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : HEARD_MIN;
		void *more = cap > HEARD_MAX
				     ? NULL
				     : mem_realloc(l->heard, cap * sizeof(*h));

		if (!more)
			return ENOMEM;
		l->heard = more;
		l->cap = cap;
	}
	h = &l->heard[l->n++];
	*h = (struct heard){.dialect = c->dialect,
			    .kind = c->event.kind,
			    .seq = c->event.seq};
	/* Cut names are those of somebody else's task. */
	str_copy(h->user, sizeof(h->user), c->event.user);
	str_copy(h->task, sizeof(h->task), c->task);
	return 0;
}

void ledger_fini(struct ledger *l)
{
	mem_free(l->heard);
	*l = (struct ledger){0};
}

uint64_t ledger_count(const struct ledger *l, const char *task)
{
	uint64_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += !strcmp(l->heard[i].task, task);
	return n;
}

/* ---- comparing ------------------------------------------------------------- */

/** `user` NULL: an event of the task. */
static unsigned count(const struct ledger *l, const char *task,
		      enum dialect dialect, enum event_kind kind,
		      const char *user, json_int_t seq)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const struct heard *h = &l->heard[i];

		n += h->dialect == dialect && h->kind == kind &&
		     !strcmp(h->task, task) &&
		     (!user || (!strcmp(h->user, user) && h->seq == seq));
	}
	return n;
}

static void miss(json_t *missing, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void miss(json_t *missing, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_array_append_new(missing, json_vsprintf(fmt, ap));
	va_end(ap);
}

static void check_segment(const struct ledger *l, const char *task,
			  const json_t *item, json_t *missing)
{
	static const enum event_kind kinds[] = {EVENT_STARTED, EVENT_COMPLETED,
						EVENT_UPLOADED};
	const char *user = json_string_value(json_object_get(item, "user"));
	const char *state = json_string_value(json_object_get(item, "state"));
	json_int_t seq = json_integer_value(json_object_get(item, "seq"));

	if (!user || !state) {
		miss(missing, "what the recorder says of a file");
		return;
	}
	if (strcmp(state, "closed") != 0)
		miss(missing, "the end of %s's file %d: it is %s", user,
		     (int)seq, state);
	if (!json_is_true(json_object_get(item, "uploaded")))
		miss(missing, "%s's file %d in storage", user, (int)seq);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (count(l, task, DIALECT_GME, kinds[i], user, seq) != 1)
			miss(missing, "gme callback %s of %s's file %d",
			     event_kind_name(kinds[i]), user, (int)seq);
	}
}

json_t *ledger_missing(const struct ledger *l, const char *task,
		       const json_t *segments)
{
	static const enum event_kind kinds[] = {
		EVENT_TASK_STARTED, EVENT_TASK_STOPPED, EVENT_UPLOAD_STARTED,
		EVENT_UPLOAD_STOPPED, EVENT_FILES_READY};
	json_t *missing = json_array();
	const json_t *item;
	size_t i;

	json_array_foreach(segments, i, item)
	{
		check_segment(l, task, item, missing);
	}
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if (count(l, task, DIALECT_LIVE, kinds[i], NULL, 0) != 1)
			miss(missing, "live callback %s",
			     event_kind_name(kinds[i]));
	}
	return missing;
}

bool segments_have(const json_t *segments, const char *user)
{
	const json_t *item;
	size_t i;

	json_array_foreach(segments, i, item)
	{
		const char *name =
			json_string_value(json_object_get(item, "user"));

		if (name && !strcmp(name, user))
			return true;
	}
	return false;
}
