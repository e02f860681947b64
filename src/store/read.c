/**
 * store/read.c -- pages of rows, on whatever thread may block.
 *
 * A read transaction lives for one page, so that the WAL can be
 * checkpointed; a progress handler ends what takes too long.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* SQLite's virtual machine does some 10 to 50 million of them a second. */
enum { OPS_BETWEEN_LOOKS = 10000 };

/* ---- connections ----------------------------------------------------------- */

int reader_take(struct store *s, sqlite3 **out)
{
	struct err e = {0};
	int err;

	for (int i = 0; i < READERS_KEPT; i++) {
		sqlite3 *kept = atomic_exchange(&s->readers[i], NULL);

		if (kept) {
			*out = kept;
			return 0;
		}
	}
	err = db_open_reader(s->path, out, &e);
	if (err)
		log_error("store: %s", e.text);
	return err;
}

void reader_give(struct store *s, sqlite3 *reader)
{
	for (int i = 0; i < READERS_KEPT; i++) {
		sqlite3 *none = NULL;

		if (atomic_compare_exchange_strong(&s->readers[i], &none,
						   reader))
			return;
	}
	sqlite3_close(reader);
}

/* ---- columns ---------------------------------------------------------------- */

struct cursor {
	sqlite3_stmt *stmt;
	int column; /* the next one */
	int err;
};

static int64_t next_int(struct cursor *c)
{
	return sqlite3_column_int64(c->stmt, c->column++);
}

static uint64_t next_id(struct cursor *c)
{
	return (uint64_t)next_int(c);
}

static void next_text(struct cursor *c, char *to, size_t cap)
{
	const char *text =
		(const char *)sqlite3_column_text(c->stmt, c->column++);

	str_copy(to, cap, text ? text : "");
}

/** An owned copy; NULL for NULL. */
static char *next_copy(struct cursor *c, size_t *len)
{
	int at = c->column++;
	const char *text = (const char *)sqlite3_column_text(c->stmt, at);
	size_t n = (size_t)sqlite3_column_bytes(c->stmt, at);
	char *copy;

	if (len)
		*len = n;
	if (!text) {
		if (sqlite3_column_type(c->stmt, at) != SQLITE_NULL)
			c->err = ENOMEM;
		return NULL;
	}
	copy = mem_strndup(text, n);
	if (!copy)
		c->err = ENOMEM;
	return copy;
}

#define NEXT_TEXT(c, field) next_text((c), (field), sizeof(field))

static void read_task(struct cursor *c, void *row)
{
	struct task_row *t = row;

	t->id = next_id(c);
	t->app = (uint32_t)next_int(c);
	NEXT_TEXT(c, t->room);
	t->mode = (enum record_mode)next_int(c);
	t->state = (enum task_state)next_int(c);
	NEXT_TEXT(c, t->reason);
	NEXT_TEXT(c, t->reason_text);
	t->subscribe = next_copy(c, NULL);
	t->created_ms = next_int(c);
	t->stopped_ms = next_int(c);
	t->finished_ms = next_int(c);
	t->leave_code = (int)next_int(c);
	NEXT_TEXT(c, t->client_ip);
	NEXT_TEXT(c, t->platform);
	t->format = (enum record_format)next_int(c);
	t->sample_rate = (uint32_t)next_int(c);
	t->max_idle_ms = next_int(c);
	t->hold_empty_ms = next_int(c);
	t->is_auto = next_int(c) != 0;
	t->is_paused = next_int(c) != 0;
	NEXT_TEXT(c, t->end_ip);
	NEXT_TEXT(c, t->end_platform);
	t->segment_ms = next_int(c);
	t->expires_ms = next_int(c);
	NEXT_TEXT(c, t->recorder);
	t->storage = next_id(c);
	NEXT_TEXT(c, t->storage_prefix);
	t->next_seq = next_id(c);
}

static void read_segment(struct cursor *c, void *row)
{
	struct segment_row *s = row;

	s->id = next_id(c);
	s->task = next_id(c);
	s->app = (uint32_t)next_int(c);
	NEXT_TEXT(c, s->room);
	NEXT_TEXT(c, s->user);
	s->mode = (enum record_mode)next_int(c);
	s->seq = (uint32_t)next_int(c);
	s->state = (enum segment_state)next_int(c);
	NEXT_TEXT(c, s->file_name);
	s->start_ms = next_int(c);
	s->frames = next_id(c);
	s->size = next_int(c);
	NEXT_TEXT(c, s->sha256);
	s->closed_ms = next_int(c);
	s->uploaded_ms = next_int(c);
	NEXT_TEXT(c, s->reason);
	NEXT_TEXT(c, s->reason_text);
	NEXT_TEXT(c, s->by_ip);
	NEXT_TEXT(c, s->by_platform);
	s->is_failing = next_int(c) != 0;
	s->is_left = next_int(c) != 0;
	s->stored_in = (int)next_int(c);
	s->storage = next_id(c);
	NEXT_TEXT(c, s->storage_prefix);
}

static void read_input(struct cursor *c, void *row)
{
	struct input_row *i = row;

	i->id = next_id(c);
	i->app = (uint32_t)next_int(c);
	NEXT_TEXT(c, i->room);
	NEXT_TEXT(c, i->user);
	NEXT_TEXT(c, i->kind);
	i->port = (int)next_int(c);
	NEXT_TEXT(c, i->source);
	i->created_ms = next_int(c);
	i->opus_pt = (int)next_int(c);
	i->red_pt = (int)next_int(c);
	i->audio_level_ext = (int)next_int(c);
	i->mic_disabled = next_int(c) != 0;
}

static void read_event(struct cursor *c, void *row)
{
	struct event_row *e = row;

	e->id = next_id(c);
	e->task = next_id(c);
	e->task_seq = next_id(c);
	e->app = (uint32_t)next_int(c);
	NEXT_TEXT(c, e->kind);
	e->unix_ms = next_int(c);
	e->once = next_copy(c, NULL);
	e->facts = next_copy(c, &e->facts_len);
}

static void read_delivery(struct cursor *c, void *row)
{
	struct delivery_row *d = row;

	d->id = next_id(c);
	d->event = next_id(c);
	d->endpoint = next_id(c);
	d->lane = next_id(c);
	d->app = (uint32_t)next_int(c);
	d->state = (enum delivery_state)next_int(c);
	d->attempts = (unsigned)next_int(c);
	d->attempts_ever = (unsigned)next_int(c);
	d->late = next_int(c) != 0;
	d->created_ms = next_int(c);
	d->due_ms = next_int(c);
	d->last_ms = next_int(c);
	d->done_ms = next_int(c);
	d->last_status = (int)next_int(c);
	NEXT_TEXT(c, d->last_error);
	NEXT_TEXT(c, d->event_kind);
	d->task_seq = next_id(c);
	d->event_ms = next_int(c);
}

static void read_attempt(struct cursor *c, void *row)
{
	struct attempt_row *a = row;

	a->delivery = next_id(c);
	a->n = (unsigned)next_int(c);
	a->unix_ms = next_int(c);
	a->duration_us = next_int(c);
	a->status = (int)next_int(c);
	NEXT_TEXT(c, a->error);
	NEXT_TEXT(c, a->answer);
}

static void read_wave(struct cursor *c, void *row)
{
	struct wave_row *v = row;

	v->segment = next_id(c);
	v->bucket_frames = (uint32_t)next_int(c);
	v->peaks = next_copy(c, NULL);
}

static const struct kind {
	const char *select;
	size_t row_len; /* [bytes] */
	void (*read)(struct cursor *c, void *row);
} kinds[] = {
	[READ_TASKS] =
		{"SELECT id, app, room, mode, state, reason, reason_text,"
		 " subscribe, created_ms, stopped_ms, finished_ms, leave_code,"
		 " client_ip, platform, format, sample_rate, max_idle_ms,"
		 " hold_empty_ms, is_auto, is_paused, end_ip, end_platform,"
		 " segment_ms, expires_ms, recorder, storage,"
		 " storage_prefix,"
		 " (SELECT coalesce(max(task_seq)+1, 0)"
		 " FROM event WHERE event.task=task.id) FROM task",
		 sizeof(struct task_row), read_task},
	[READ_SEGMENTS] = {"SELECT id, task, app, room, user, mode, seq, state,"
			   " file_name, start_ms, frames, size, sha256,"
			   " closed_ms, uploaded_ms, reason, reason_text,"
			   " by_ip, by_platform, is_failing, is_left,"
			   " stored_in, coalesce((SELECT storage FROM task"
			   " WHERE task.id=segment.task), 0),"
			   " (SELECT storage_prefix FROM task"
			   " WHERE task.id=segment.task)"
			   " FROM segment",
			   sizeof(struct segment_row), read_segment},
	[READ_INPUTS] = {"SELECT id, app, room, user, kind, port, source,"
			 " created_ms, opus_pt, red_pt, audio_level_ext,"
			 " mic_disabled"
			 " FROM input",
			 sizeof(struct input_row), read_input},
	[READ_EVENTS] = {"SELECT id, task, task_seq, app, kind, unix_ms, once,"
			 " facts FROM event",
			 sizeof(struct event_row), read_event},
	[READ_DELIVERIES] =
		{"SELECT id, event, endpoint, lane, app, state, attempts,"
		 " attempts_ever, late, created_ms, due_ms, last_ms, done_ms,"
		 " last_status, last_error,"
		 " (SELECT kind FROM event WHERE event.id=delivery.event),"
		 " (SELECT task_seq FROM event WHERE event.id=delivery.event),"
		 " (SELECT unix_ms FROM event WHERE event.id=delivery.event)"
		 " FROM delivery",
		 sizeof(struct delivery_row), read_delivery},
	[READ_ATTEMPTS] = {"SELECT delivery, n, unix_ms, duration_us, status,"
			   " error, answer FROM attempt",
			   sizeof(struct attempt_row), read_attempt},
	[READ_WAVES] = {"SELECT segment, bucket_frames, peaks FROM wave",
			sizeof(struct wave_row), read_wave},
};

/* ---- pages ------------------------------------------------------------------ */

static void set_rows(struct store_rows *rows, enum store_what what, void *p)
{
	switch (what) {
	case READ_TASKS:
		rows->tasks = p;
		break;
	case READ_SEGMENTS:
		rows->segments = p;
		break;
	case READ_INPUTS:
		rows->inputs = p;
		break;
	case READ_EVENTS:
		rows->events = p;
		break;
	case READ_DELIVERIES:
		rows->deliveries = p;
		break;
	case READ_ATTEMPTS:
		rows->attempts = p;
		break;
	case READ_WAVES:
		rows->waves = p;
		break;
	}
}

/** Append a row to `rows`, which has room for *cap. */
static int add_row(const struct store_filter *f, sqlite3_stmt *stmt,
		   struct store_rows *rows, char **array, size_t *cap)
{
	const struct kind *k = &kinds[f->what];
	struct cursor c = {.stmt = stmt};
	char *at;

	if (!*array || rows->n == *cap) {
		size_t more = *cap ? 4 * *cap : 4;
		char *grown = mem_realloc(*array, more * k->row_len);

		if (!grown)
			return ENOMEM;
		*array = grown;
		*cap = more;
		set_rows(rows, f->what, grown);
	}
	at = *array + rows->n * k->row_len;
	memset(at, 0, k->row_len);
	k->read(&c, at);
	rows->n++;
	return c.err;
}

static int read_rows(const struct store_filter *f, sqlite3 *reader,
		     sqlite3_stmt *stmt, struct store_rows *rows)
{
	size_t limit = f->limit ? f->limit : PAGE_ROWS;
	char *array = NULL;
	size_t cap = 0;

	if (limit > PAGE_ROWS_MAX)
		limit = PAGE_ROWS_MAX;
	for (;;) {
		int code = sqlite3_step(stmt);
		int err;

		if (code != SQLITE_ROW)
			return db_errno(reader, code);
		if (rows->n == limit) {
			rows->more = true;
			return 0;
		}
		err = add_row(f, stmt, rows, &array, &cap);
		if (err)
			return err;
	}
}

static int on_progress(void *arg)
{
	const int64_t *deadline_us = arg;

	return clock_now_us() > *deadline_us;
}

static int read_with(sqlite3 *reader, const struct store_filter *f,
		     struct store_rows *rows)
{
	sqlite3_stmt *stmt = NULL;
	struct buf sql;
	int err;

	buf_init(&sql, 4096);
	buf_puts(&sql, kinds[f->what].select);
	err = filter_where(f, true, &sql);
	if (!err)
		err = db_errno(reader, sqlite3_prepare_v2(reader, buf_str(&sql),
							  -1, &stmt, NULL));
	if (!err) {
		filter_bind(f, stmt);
		err = read_rows(f, reader, stmt, rows);
	}
	sqlite3_finalize(stmt);
	buf_fini(&sql);
	return err;
}

int read_page(struct store *s, const struct store_filter *f,
	      struct store_rows *rows)
{
	int64_t deadline_us = clock_now_us() + s->read_deadline_us;
	sqlite3 *reader = NULL;
	int err;

	memset(rows, 0, sizeof(*rows));
	err = reader_take(s, &reader);
	if (!err) {
		sqlite3_progress_handler(reader, OPS_BETWEEN_LOOKS, on_progress,
					 &deadline_us);
		err = read_with(reader, f, rows);
		sqlite3_progress_handler(reader, 0, NULL, NULL);
		reader_give(s, reader);
	}
	if (err)
		store_rows_free(rows);
	rows->err = err;
	return err;
}

void store_rows_free(struct store_rows *rows)
{
	/* Only one of the arrays is there; `once` and `facts` are const for
	 * readers, but ours. */
	for (size_t i = 0; rows->tasks && i < rows->n; i++)
		mem_free(rows->tasks[i].subscribe);
	for (size_t i = 0; rows->events && i < rows->n; i++) {
		mem_free((void *)(uintptr_t)rows->events[i].once);
		mem_free((void *)(uintptr_t)rows->events[i].facts);
	}
	for (size_t i = 0; rows->waves && i < rows->n; i++)
		mem_free(rows->waves[i].peaks);
	mem_free(rows->tasks);
	mem_free(rows->segments);
	mem_free(rows->inputs);
	mem_free(rows->events);
	mem_free(rows->deliveries);
	mem_free(rows->attempts);
	mem_free(rows->waves);
	memset(rows, 0, sizeof(*rows));
}

int store_read(struct store *s, const struct store_filter *f,
	       struct store_rows *rows)
{
	return read_page(s, f, rows);
}

/* ---- start-up ---------------------------------------------------------------- */

static int read_track(sqlite3_stmt *stmt, uint64_t task, const char *user,
		      enum record_mode mode, uint32_t *next_seq,
		      int64_t *last_start_ms)
{
	int code;

	sqlite3_bind_int64(stmt, 1, (int64_t)task);
	sqlite3_bind_text(stmt, 2, user, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, mode);
	code = sqlite3_step(stmt);
	if (code == SQLITE_ROW) {
		int64_t start_ms = sqlite3_column_int64(stmt, 1);

		*next_seq = (uint32_t)sqlite3_column_int64(stmt, 0);
		*last_start_ms = start_ms ? start_ms : INT64_MIN;
	} else if (code == SQLITE_DONE) {
		*next_seq = 0;
		*last_start_ms = INT64_MIN;
	}
	return code;
}

int store_read_track(struct store *s, uint64_t task, const char *user,
		     enum record_mode mode, uint32_t *next_seq,
		     int64_t *last_start_ms)
{
	static const char sql[] =
		"SELECT next_seq, max(last_start_ms, coalesce("
		"(SELECT max(start_ms) FROM segment"
		" WHERE task=?1 AND user=?2 AND mode=?3), 0))"
		" FROM track WHERE task=?1 AND user=?2 AND mode=?3";
	sqlite3_stmt *stmt = NULL;
	sqlite3 *reader = NULL;
	int code;
	int err = reader_take(s, &reader);

	if (err)
		return err;
	code = sqlite3_prepare_v2(reader, sql, -1, &stmt, NULL);
	if (!code)
		code = read_track(stmt, task, user, mode, next_seq,
				  last_start_ms);
	err = db_errno(reader, code);
	sqlite3_finalize(stmt);
	reader_give(s, reader);
	return err;
}

/** Start a walk over `sql`; `reader` is NULL when that failed. */
static int begin_walk(struct store *s, const char *sql, sqlite3 **reader,
		      sqlite3_stmt **stmt)
{
	int err = reader_take(s, reader);

	if (err)
		return err;
	return db_errno(*reader,
			sqlite3_prepare_v2(*reader, sql, -1, stmt, NULL));
}

static void end_walk(struct store *s, sqlite3 *reader, sqlite3_stmt *stmt)
{
	sqlite3_finalize(stmt);
	if (reader)
		reader_give(s, reader);
}

/** Who is told of each row of a walk. */
struct visitor {
	union {
		int (*pending)(const struct pending_row *row, void *arg);
		int (*removal)(const struct removal_row *row, void *arg);
		int (*endpoint)(const struct endpoint_row *row, void *arg);
		int (*storage)(const struct storage_row *row, void *arg);
	};
	void *arg;
	int (*visit)(const struct visitor *v, struct cursor *c);
};

static int walk(struct store *s, const char *sql, const struct visitor *v)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *reader = NULL;
	int err = begin_walk(s, sql, &reader, &stmt);
	int code = SQLITE_ROW;

	while (!err && code == SQLITE_ROW) {
		struct cursor c = {.stmt = stmt};

		code = sqlite3_step(stmt);
		err = code == SQLITE_ROW ? v->visit(v, &c)
					 : db_errno(reader, code);
	}
	end_walk(s, reader, stmt);
	return err;
}

/** A text as long as the row is there; NULL: no memory. */
static const char *next_lent(struct cursor *c)
{
	return (const char *)sqlite3_column_text(c->stmt, c->column++);
}

static int visit_pending(const struct visitor *v, struct cursor *c)
{
	struct pending_row row;

	row.id = next_id(c);
	row.event = next_id(c);
	row.endpoint = next_id(c);
	row.lane = next_id(c);
	row.due_ms = next_int(c);
	row.created_ms = next_int(c);
	row.attempts = (unsigned)next_int(c);
	row.late = next_int(c) != 0;
	row.attempts_ever = (unsigned)next_int(c);
	row.last_ms = next_int(c);
	return v->pending(&row, v->arg);
}

static int visit_removal(const struct visitor *v, struct cursor *c)
{
	struct removal_row row;

	row.endpoint = next_id(c);
	row.app = (uint32_t)next_int(c);
	NEXT_TEXT(c, row.name);
	row.up_to = next_id(c);
	return v->removal(&row, v->arg);
}

static int visit_endpoint(const struct visitor *v, struct cursor *c)
{
	struct endpoint_row row;

	row.id = next_id(c);
	row.app = (uint32_t)next_int(c);
	NEXT_TEXT(c, row.name);
	row.settings = next_lent(c);
	return row.settings ? v->endpoint(&row, v->arg) : ENOMEM;
}

static int visit_storage(const struct visitor *v, struct cursor *c)
{
	struct storage_row row;

	row.id = next_id(c);
	row.app = (uint32_t)next_int(c);
	row.settings = next_lent(c);
	return row.settings ? v->storage(&row, v->arg) : ENOMEM;
}

int store_each_pending(struct store *s,
		       int (*fn)(const struct pending_row *row, void *arg),
		       void *arg)
{
	const struct visitor v = {
		.pending = fn, .arg = arg, .visit = visit_pending};

	return walk(s,
		    "SELECT id, event, endpoint, lane, due_ms, created_ms,"
		    " attempts, late, attempts_ever, last_ms FROM delivery"
		    " WHERE state=0 AND state<>1 ORDER BY id",
		    &v);
}

int store_each_removal(struct store *s,
		       int (*fn)(const struct removal_row *row, void *arg),
		       void *arg)
{
	const struct visitor v = {
		.removal = fn, .arg = arg, .visit = visit_removal};

	return walk(s, "SELECT endpoint, app, name, up_to FROM removal", &v);
}

int store_each_endpoint(struct store *s,
			int (*fn)(const struct endpoint_row *row, void *arg),
			void *arg)
{
	const struct visitor v = {
		.endpoint = fn, .arg = arg, .visit = visit_endpoint};

	return walk(s,
		    "SELECT id, app, name, settings FROM endpoint ORDER BY id",
		    &v);
}

int store_each_storage(struct store *s,
		       int (*fn)(const struct storage_row *row, void *arg),
		       void *arg)
{
	const struct visitor v = {
		.storage = fn, .arg = arg, .visit = visit_storage};

	return walk(s, "SELECT id, app, settings FROM storage ORDER BY id", &v);
}

static int walk_finished(sqlite3 *reader, sqlite3_stmt *stmt,
			 struct finished_row *rows, size_t *n)
{
	int code;

	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct cursor c = {.stmt = stmt};
		struct finished_row *row = &rows[(*n)++];

		row->id = next_id(&c);
		row->app = (uint32_t)next_int(&c);
		row->finished_ms = next_int(&c);
		row->has_segments = next_int(&c) != 0;
		row->has_events = next_int(&c) != 0;
		row->has_files = next_int(&c) != 0;
		row->storage = next_id(&c);
	}
	return db_errno(reader, code);
}

int store_read_finished(struct store *s, const struct finished_row *after,
			int64_t before_ms, struct finished_row *rows,
			size_t cap, size_t *n)
{
	static const char sql[] =
		"SELECT id, app, finished_ms,"
		" EXISTS(SELECT 1 FROM segment WHERE task=t.id),"
		" EXISTS(SELECT 1 FROM event WHERE task=t.id),"
		" EXISTS(SELECT 1 FROM segment WHERE task=t.id AND state<>3),"
		" storage"
		" FROM task t WHERE finished_ms>=?2 AND finished_ms<?1"
		" AND (finished_ms>?2 OR id>?3)"
		" ORDER BY finished_ms, id LIMIT ?4";
	sqlite3_stmt *stmt = NULL;
	sqlite3 *reader = NULL;
	int err = begin_walk(s, sql, &reader, &stmt);

	*n = 0;
	if (!err) {
		sqlite3_bind_int64(stmt, 1, before_ms);
		/* 0: is not finished */
		sqlite3_bind_int64(stmt, 2,
				   after->finished_ms ? after->finished_ms : 1);
		sqlite3_bind_int64(stmt, 3, (int64_t)after->id);
		sqlite3_bind_int64(stmt, 4, (int64_t)cap);
		err = walk_finished(reader, stmt, rows, n);
	}
	end_walk(s, reader, stmt);
	return err;
}

int store_is_told(struct store *s, uint64_t task, bool *is_told)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *reader = NULL;
	int code = SQLITE_DONE;
	int err = begin_walk(s, "SELECT 1" PENDING_OF_TASK " LIMIT 1", &reader,
			     &stmt);

	if (!err) {
		sqlite3_bind_int64(stmt, 1, (int64_t)task);
		code = sqlite3_step(stmt);
		err = db_errno(reader, code);
	}
	end_walk(s, reader, stmt);
	if (!err)
		*is_told = code == SQLITE_DONE;
	return err;
}
