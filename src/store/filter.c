/**
 * store/filter.c -- a filter as the WHERE clause of a query.
 *
 * Numbers are written into the text, so that the planner can see that a
 * partial index applies; strings are bound.  The conditions of partial
 * indices are repeated in the words of schema.c: without them the index is
 * not used.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>
#include <inttypes.h>

#include "base/str.h"
#include "wire/event.h"

/** The column that a field of the filter means; NULL: it does not apply. */
static const struct columns {
	const char *id, *task, *endpoint, *delivery, *app;
	const char *room, *user, *state, *made;
	int settled; /* the state that most rows end in: not indexed */
} columns[] = {
	[READ_TASKS] = {.id = "id",
			.task = "id",
			.app = "app",
			.room = "room",
			.state = "state",
			.made = "created_ms",
			.settled = TASK_STOPPED},
	[READ_SEGMENTS] = {.id = "id",
			   .task = "task",
			   .app = "app",
			   .room = "room",
			   .user = "user",
			   .state = "state",
			   .made = "start_ms",
			   .settled = SEG_CLOSED},
	[READ_INPUTS] = {.id = "id",
			 .app = "app",
			 .room = "room",
			 .user = "user",
			 .made = "created_ms"},
	[READ_EVENTS] = {.id = "id",
			 .task = "task",
			 .app = "app",
			 .room = "json_extract(facts, '$.room')",
			 .made = "unix_ms"},
	[READ_DELIVERIES] = {.id = "id",
			     .task = "lane",
			     .endpoint = "endpoint",
			     .app = "app",
			     .state = "state",
			     .made = "created_ms",
			     .settled = DELIVERY_DELIVERED},
	/* A page of one delivery's attempts is keyed by n. */
	[READ_ATTEMPTS] = {.id = "n",
			   .delivery = "delivery",
			   .made = "unix_ms"},
	[READ_WAVES] = {.id = "segment"},
};

struct where {
	struct buf *sql;
	int err;
	bool any;
};

static void condition(struct where *w, const char *text)
{
	buf_puts(w->sql, w->any ? " AND " : " WHERE ");
	buf_puts(w->sql, text);
	w->any = true;
}

static void compare(struct where *w, const char *column, const char *op,
		    int64_t value)
{
	if (!column) {
		w->err = EINVAL;
		return;
	}
	condition(w, column);
	buf_printf(w->sql, "%s%" PRId64, op, value);
}

static void match_id(struct where *w, const char *column, uint64_t id)
{
	if (id)
		compare(w, column, "=", (int64_t)id);
}

static void match_text(struct where *w, const char *column, const char *value,
		       const char *param)
{
	if (!value)
		return;
	if (!column) {
		w->err = EINVAL;
		return;
	}
	condition(w, column);
	buf_puts(w->sql, param);
}

static void match_state(struct where *w, const struct store_filter *f,
			const struct columns *c)
{
	if (f->state == -1 || !c->state)
		return;
	compare(w, c->state, "=", f->state);
	if (f->state != c->settled)
		compare(w, c->state, "<>", c->settled);
}

/** The kinds of events are names in the database. */
static void match_kinds(struct where *w, const struct store_filter *f)
{
	bool any = false;

	if (!f->kinds)
		return;
	if (f->what != READ_EVENTS) {
		w->err = EINVAL;
		return;
	}
	condition(w, "kind IN (");
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		if (!(f->kinds >> i & 1))
			continue;
		buf_printf(w->sql, "%s'%s'", any ? ", " : "",
			   event_kind_name((enum event_kind)i));
		any = true;
	}
	buf_putc(w->sql, ')');
}

/** Tasks by the names in their files. */
static void match_names(struct where *w, const struct store_filter *f)
{
	uint64_t id;

	if (f->user)
		condition(w, "id IN (SELECT task FROM segment"
			     " WHERE user=:user)");
	if (!f->text)
		return;
	/* char(1114111), the last of all characters, ends what begins so */
	condition(w, "id IN (SELECT id FROM task WHERE room>=:text"
		     " AND room<=:text||char(1114111)"
		     " UNION SELECT task FROM segment WHERE user>=:text"
		     " AND user<=:text||char(1114111) AND mode<>1");
	if (!str_to_u64(f->text, &id) && id <= INT64_MAX)
		buf_printf(w->sql, " UNION VALUES(%" PRIu64 ")", id);
	buf_putc(w->sql, ')');
}

int filter_where(const struct store_filter *f, bool page, struct buf *sql)
{
	const struct columns *c = &columns[f->what];
	struct where w = {.sql = sql};

	match_id(&w, c->id, f->id);
	match_id(&w, c->task, f->task);
	match_id(&w, c->endpoint, f->endpoint);
	match_id(&w, c->delivery, f->delivery);
	match_id(&w, c->app, f->app);
	match_text(&w, c->room, f->room, "=:room");
	if (f->what == READ_TASKS)
		match_names(&w, f);
	else
		match_text(&w, c->user, f->user, "=:user");
	if (f->text && f->what != READ_TASKS)
		w.err = EINVAL;
	match_text(&w, f->what == READ_SEGMENTS ? "file_name" : NULL,
		   f->file_name, "=:file_name");
	match_kinds(&w, f);
	match_state(&w, f, c);
	if (f->unfinished && f->what != READ_TASKS)
		w.err = EINVAL;
	else if (f->unfinished)
		condition(&w, "finished_ms=0");
	if (f->is_auto && f->what != READ_TASKS)
		w.err = EINVAL;
	else if (f->is_auto)
		condition(&w, "is_auto=1");
	if (f->not_uploaded && f->what != READ_SEGMENTS)
		w.err = EINVAL;
	else if (f->not_uploaded)
		condition(&w, "uploaded_ms=0 AND state=2");
	if (f->from_ms)
		compare(&w, c->made, ">=", f->from_ms);
	if (f->to_ms)
		compare(&w, c->made, "<", f->to_ms);
	if (f->what == READ_ATTEMPTS && !f->delivery)
		w.err = EINVAL;
	if (page && f->after)
		compare(&w, c->id, f->newest_first ? "<" : ">",
			(int64_t)f->after);
	if (page && f->until)
		compare(&w, c->id, "<=", (int64_t)f->until);
	if (page)
		buf_printf(sql, " ORDER BY %s%s", c->id,
			   f->newest_first ? " DESC" : "");
	return w.err ? w.err : buf_err(sql);
}

static void bind_text(sqlite3_stmt *stmt, const char *name, const char *value)
{
	int at = sqlite3_bind_parameter_index(stmt, name);

	if (at && value)
		sqlite3_bind_text(stmt, at, value, -1, SQLITE_STATIC);
}

void filter_bind(const struct store_filter *f, sqlite3_stmt *stmt)
{
	bind_text(stmt, ":room", f->room);
	bind_text(stmt, ":user", f->user);
	bind_text(stmt, ":text", f->text);
	bind_text(stmt, ":file_name", f->file_name);
}
