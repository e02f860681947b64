/** store/ops.c -- one operation: prepared statements, and the totals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/** A write that is being executed. */
struct run {
	struct db *db;
	struct store_write *w;
	uint32_t skip; /* operations to leave out */
};

static const struct rule {
	const char *name; /* in error texts */
	enum stmt stmt;
	bool must_change;  /* no row: ENOENT */
	enum store_ids id; /* ?1 is one; IDS_N: none */
} rules[OP_N] = {
	[OP_PUT_TASK] = {"put task", STMT_PUT_TASK, true, IDS_TASK},
	[OP_SET_TASK] = {"set task", STMT_SET_TASK, true, IDS_N},
	[OP_PUT_SEGMENT] = {"put segment", STMT_PUT_SEGMENT, true, IDS_SEGMENT},
	[OP_SET_SEGMENT] = {"set segment", STMT_SET_SEGMENT, true, IDS_N},
	[OP_LEAVE_SEGMENT] = {"leave segment", STMT_LEAVE_SEGMENT, true, IDS_N},
	[OP_DELETE_SEGMENT] = {"delete segment", STMT_DELETE_SEGMENT, true,
			       IDS_N},
	[OP_PUT_WAVE] = {"put wave", STMT_PUT_WAVE, false, IDS_N},
	[OP_PUT_INPUT] = {"put input", STMT_PUT_INPUT, true, IDS_INPUT},
	[OP_SET_INPUT] = {"set input", STMT_SET_INPUT, true, IDS_N},
	[OP_DELETE_INPUT] = {"delete input", STMT_DELETE_INPUT, false, IDS_N},
	[OP_PUT_EVENT] = {"put event", STMT_PUT_EVENT, false, IDS_EVENT},
	[OP_PUT_DELIVERY] = {"put delivery", STMT_PUT_DELIVERY, true,
			     IDS_DELIVERY},
	[OP_SET_DELIVERY] = {"set delivery", STMT_SET_DELIVERY, true, IDS_N},
	[OP_PUT_ATTEMPT] = {"put attempt", STMT_PUT_ATTEMPT, true, IDS_N},
	[OP_REPLAY] = {"replay", STMT_N, false, IDS_N},
	[OP_PRUNE] = {"prune", STMT_N, false, IDS_N},
	[OP_MUST_BE_TOLD] = {"all told of task", STMT_N, false, IDS_N},
	[OP_ERASE_EVENTS] = {"erase events", STMT_N, false, IDS_N},
	[OP_ERASE_SEGMENT] = {"erase segment", STMT_ERASE_SEGMENT, false,
			      IDS_N},
	[OP_ERASE_TRACKS] = {"erase tracks", STMT_N, false, IDS_N},
	[OP_PUT_REMOVAL] = {"put removal", STMT_PUT_REMOVAL, true, IDS_N},
	[OP_PUT_ENDPOINT] = {"put endpoint", STMT_PUT_ENDPOINT, true, IDS_N},
	[OP_DELETE_ENDPOINT] = {"delete endpoint", STMT_DELETE_ENDPOINT, false,
				IDS_N},
	[OP_PUT_STORAGE] = {"put storage", STMT_PUT_STORAGE, false, IDS_N},
	[OP_DELETE_REMOVAL] = {"delete removal", STMT_DELETE_REMOVAL, false,
			       IDS_N},
};

static int64_t *total_of(struct store_totals *t, int64_t state)
{
	switch (state) {
	case DELIVERY_PENDING:
		return &t->pending;
	case DELIVERY_DELIVERED:
		return &t->delivered;
	case DELIVERY_DEAD:
		return &t->dead;
	default:
		assert(state == DELIVERY_EXPIRED);
		return &t->expired;
	}
}

static void bind_values(sqlite3_stmt *stmt, const struct op *op)
{
	int params = sqlite3_bind_parameter_count(stmt);

	/* Static: the values live until the write was answered. */
	for (int i = 0; i < params && i < (int)op->n; i++) {
		const struct value *v = &op->values[i];

		if (v->type == VALUE_INT)
			sqlite3_bind_int64(stmt, i + 1, v->i);
		else if (v->type == VALUE_TEXT)
			sqlite3_bind_text(stmt, i + 1, v->text, (int)v->len,
					  SQLITE_STATIC);
		else
			sqlite3_bind_null(stmt, i + 1);
	}
}

/** Bind the operation's values and step.  Returns 0, ENOENT if no row was
 *  changed though one must be, or what went wrong. */
static int change(struct run *r, const struct op *op, enum stmt which,
		  bool must_change)
{
	sqlite3_stmt *stmt = db_stmt(r->db, which);
	int err;

	bind_values(stmt, op);
	err = db_step(r->db, stmt);
	if (!err && must_change && !sqlite3_changes(r->db->handle))
		return ENOENT;
	return err;
}

static int put_event(struct run *r, const struct op *op)
{
	int err = change(r, op, STMT_PUT_EVENT, true);

	if (err != ENOENT)
		return err;
	/* An event of the same `once` is there. */
	r->w->result.repeated++;
	r->skip = op->followers;
	return 0;
}

static int put_delivery(struct run *r, const struct op *op)
{
	int err = change(r, op, STMT_PUT_DELIVERY, true);

	if (err)
		return err;
	r->w->delta.in++;
	r->w->delta.pending++;
	return 0;
}

static int set_delivery(struct run *r, const struct op *op)
{
	sqlite3_stmt *stmt = db_stmt(r->db, STMT_DELIVERY_STATE);
	int64_t old;
	int code;
	int err;

	sqlite3_bind_int64(stmt, 1, op->values[0].i);
	code = sqlite3_step(stmt);
	if (code != SQLITE_ROW) {
		err = db_errno(r->db->handle, code);
		sqlite3_reset(stmt);
		return err ? err : ENOENT;
	}
	old = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	err = change(r, op, STMT_SET_DELIVERY, true);
	if (err)
		return err;
	--*total_of(&r->w->delta, old);
	++*total_of(&r->w->delta, op->values[1].i);
	return 0;
}

static int put_segment(struct run *r, const struct op *op)
{
	int err = change(r, op, STMT_PUT_SEGMENT, true);

	if (err)
		return err;
	/* No change: this SeqNo, or a later one, was taken already. */
	err = change(r, op, STMT_TAKE_SEQ, true);
	return err == ENOENT ? EEXIST : err;
}

static int put_attempt(struct run *r, const struct op *op)
{
	int64_t n = op->values[1].i;
	sqlite3_stmt *stmt;
	int err = change(r, op, STMT_PUT_ATTEMPT, true);

	if (err || n <= ATTEMPTS_KEPT)
		return err;
	stmt = db_stmt(r->db, STMT_TRIM_ATTEMPTS);
	sqlite3_bind_int64(stmt, 1, op->values[0].i);
	sqlite3_bind_int64(stmt, 2, n - ATTEMPTS_KEPT);
	return db_step(r->db, stmt);
}

/** Step the statement that returns the ids it changes, in no order. */
static int count_replayed(struct run *r, sqlite3_stmt *stmt, int64_t *n)
{
	int code;

	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint64_t id = (uint64_t)sqlite3_column_int64(stmt, 0);

		++*n;
		if (id > r->w->result.last)
			r->w->result.last = id;
	}
	return db_errno(r->db->handle, code);
}

/** Make deliveries of one state pending again; `left` rows at most. */
static int replay_state(struct run *r, const struct op *op, int state,
			int64_t *left)
{
	struct store_filter f = *op->filter;
	struct buf sql;
	sqlite3_stmt *stmt = NULL;
	int64_t n = 0;
	int err;

	f.state = state;
	buf_init(&sql, 4096);
	buf_printf(&sql,
		   "UPDATE delivery SET state=%d, attempts=0, late=0,"
		   " due_ms=%lld,"
		   " created_ms=%lld, done_ms=0"
		   " WHERE id IN (SELECT id FROM delivery",
		   DELIVERY_PENDING, (long long)op->values[0].i,
		   (long long)op->values[0].i);
	err = filter_where(&f, true, &sql);
	buf_printf(&sql, " LIMIT %lld) RETURNING id", (long long)*left);
	if (!err)
		err = buf_err(&sql);
	if (!err)
		err = db_errno(r->db->handle,
			       sqlite3_prepare_v2(r->db->handle, buf_str(&sql),
						  -1, &stmt, NULL));
	if (!err) {
		filter_bind(&f, stmt);
		err = count_replayed(r, stmt, &n);
	}
	if (!err) {
		*total_of(&r->w->delta, state) -= n;
		r->w->delta.pending += n;
		r->w->result.changed += (uint64_t)n;
		if (*left >= 0)
			*left -= n;
	}
	sqlite3_finalize(stmt);
	buf_fini(&sql);
	return err;
}

static int replay(struct run *r, const struct op *op)
{
	static const int states[] = {DELIVERY_DEAD, DELIVERY_EXPIRED};
	int wanted = op->filter->state;
	int64_t left = op->filter->limit ? (int64_t)op->filter->limit : -1;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		int err;

		if (wanted != -1 && wanted != states[i])
			continue;
		err = replay_state(r, op, states[i], &left);
		if (err)
			return err;
	}
	return 0;
}

/** Step a statement whose only value is a task's id. */
static int step_task(struct run *r, enum stmt which, int64_t task)
{
	sqlite3_stmt *stmt = db_stmt(r->db, which);

	sqlite3_bind_int64(stmt, 1, task);
	return db_step(r->db, stmt);
}

/** What was delivered was delivered for ever; a dead letter that is gone is
 *  no longer one, and leaves `in` with it. */
static void forget_deliveries(struct run *r, int64_t state, int64_t n)
{
	if (state == DELIVERY_DELIVERED)
		return;
	*total_of(&r->w->delta, state) -= n;
	r->w->delta.in -= n;
}

/** Events go by a statement that returns their ids: who follows the log from a
 *  cursor before one of them is told. */
static int remove_events(struct run *r, sqlite3_stmt *stmt, int64_t *n)
{
	uint64_t *last = &r->db->last_id[IDS_REMOVED];
	int code;

	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		uint64_t id = (uint64_t)sqlite3_column_int64(stmt, 0);

		++*n;
		if (id <= *last)
			continue;
		*last = id;
		r->db->ids_changed = true;
	}
	sqlite3_reset(stmt);
	return db_errno(r->db->handle, code);
}

/** EINPROGRESS, unless the task is finished and nothing of it is pending. */
static int must_be_told(struct run *r, int64_t task)
{
	sqlite3_stmt *stmt = db_stmt(r->db, STMT_IS_TOLD);
	int code;

	sqlite3_bind_int64(stmt, 1, task);
	code = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	return code == SQLITE_DONE ? EINPROGRESS
				   : db_errno(r->db->handle, code);
}

/** A statement of a task, and of how many rows at most. */
static sqlite3_stmt *slice_stmt(struct run *r, enum stmt which, int64_t task,
				int64_t limit)
{
	sqlite3_stmt *stmt = db_stmt(r->db, which);

	sqlite3_bind_int64(stmt, 1, task);
	sqlite3_bind_int64(stmt, 2, limit);
	return stmt;
}

static int prune_deliveries(struct run *r, int64_t task, int64_t limit,
			    int64_t *n)
{
	sqlite3_stmt *stmt = slice_stmt(r, STMT_PRUNE_ATTEMPTS, task, limit);
	int err = db_step(r->db, stmt);
	int code;

	if (err)
		return err;
	stmt = slice_stmt(r, STMT_PRUNE_DELIVERIES, task, limit);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		++*n;
		forget_deliveries(r, sqlite3_column_int64(stmt, 0), 1);
	}
	sqlite3_reset(stmt);
	return db_errno(r->db->handle, code);
}

/** Lost segments, tracks and the task, if it has no file. */
static int prune_task(struct run *r, int64_t task, int64_t limit, int64_t *n)
{
	int err =
		db_step(r->db, slice_stmt(r, STMT_PRUNE_SEGMENTS, task, limit));

	*n += err ? 0 : sqlite3_changes(r->db->handle);
	if (!err)
		err = step_task(r, STMT_PRUNE_TRACKS, task);
	if (!err)
		err = step_task(r, STMT_PRUNE_STORAGE, task);
	if (!err)
		err = step_task(r, STMT_PRUNE_TASK, task);
	*n += err ? 0 : sqlite3_changes(r->db->handle);
	return err;
}

static int prune(struct run *r, const struct op *op)
{
	const int64_t task = op->values[0].i;
	const int64_t limit = op->values[1].i;
	int64_t n = 0;
	int err = must_be_told(r, task);

	if (err)
		return err == EINPROGRESS ? 0 : err;
	err = prune_deliveries(r, task, limit, &n);
	if (!err && n < limit)
		err = remove_events(
			r, slice_stmt(r, STMT_PRUNE_EVENTS, task, limit - n),
			&n);
	if (!err && n < limit)
		err = prune_task(r, task, limit - n, &n);
	r->w->result.changed += (uint64_t)n;
	return err;
}

static int count_erased(struct run *r, int64_t task)
{
	sqlite3_stmt *stmt = db_stmt(r->db, STMT_ERASE_COUNT);
	int code;

	sqlite3_bind_int64(stmt, 1, task);
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW)
		forget_deliveries(r, sqlite3_column_int64(stmt, 0),
				  sqlite3_column_int64(stmt, 1));
	sqlite3_reset(stmt);
	return db_errno(r->db->handle, code);
}

static int erase_events(struct run *r, int64_t task)
{
	sqlite3_stmt *stmt;
	int64_t n = 0;
	int err = count_erased(r, task);

	if (!err)
		err = step_task(r, STMT_ERASE_ATTEMPTS, task);
	if (!err)
		err = step_task(r, STMT_ERASE_DELIVERIES, task);
	if (err)
		return err;
	stmt = db_stmt(r->db, STMT_ERASE_EVENTS);
	sqlite3_bind_int64(stmt, 1, task);
	return remove_events(r, stmt, &n);
}

static int erase_tracks(struct run *r, int64_t task)
{
	int err = step_task(r, STMT_ERASE_TRACKS, task);

	return err ? err : step_task(r, STMT_ERASE_LISTS, task);
}

static int run_op(struct run *r, const struct op *op)
{
	switch (op->kind) {
	case OP_PUT_SEGMENT:
		return put_segment(r, op);
	case OP_PUT_EVENT:
		return put_event(r, op);
	case OP_PUT_DELIVERY:
		return put_delivery(r, op);
	case OP_SET_DELIVERY:
		return set_delivery(r, op);
	case OP_PUT_ATTEMPT:
		return put_attempt(r, op);
	case OP_REPLAY:
		return replay(r, op);
	case OP_PRUNE:
		return prune(r, op);
	case OP_MUST_BE_TOLD:
		return must_be_told(r, op->values[0].i);
	case OP_ERASE_EVENTS:
		return erase_events(r, op->values[0].i);
	case OP_ERASE_TRACKS:
		return erase_tracks(r, op->values[0].i);
	default:
		return change(r, op, rules[op->kind].stmt,
			      rules[op->kind].must_change);
	}
}

/** Ids are never used again, not even after their rows are gone. */
static void note_id(struct db *db, const struct op *op)
{
	enum store_ids kind = rules[op->kind].id;

	if (kind == IDS_N)
		return;
	if ((uint64_t)op->values[0].i <= db->last_id[kind])
		return;
	db->last_id[kind] = (uint64_t)op->values[0].i;
	db->ids_changed = true;
}

static void say(struct run *r, const struct op *op, int err)
{
	struct store_result *res = &r->w->result;
	long long id =
		op->n && op->kind != OP_REPLAY ? (long long)op->values[0].i : 0;
	const char *what = err == ENOENT   ? "no such row"
			   : err == EEXIST ? "is there already"
			   : err == EINPROGRESS
				   ? "is not finished, or something is pending"
			   : err == EINVAL ? "a value or filter does not apply"
					   : sqlite3_errmsg(r->db->handle);

	res->err = err;
	snprintf(res->text, sizeof(res->text), "%s %lld: %s",
		 rules[op->kind].name, id, what);
}

int ops_run(struct db *db, struct store_write *w)
{
	struct run r = {.db = db, .w = w};

	w->result = (struct store_result){.err = 0};
	w->delta = (struct store_totals){.in = 0};
	for (const struct op *op = w->first; op; op = op->next) {
		int err;

		if (r.skip) {
			r.skip--;
			continue;
		}
		note_id(db, op);
		err = run_op(&r, op);
		if (err) {
			say(&r, op, err);
			return err;
		}
	}
	return 0;
}
