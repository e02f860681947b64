/**
 * store/commit.c -- the store thread: what was queued becomes one commit.
 *
 * WHAT  Take all writes that came while the last commit ran, execute them,
 *       commit once, answer all in order.
 * WHY   A commit costs an fsync; 512 writes can share it.
 * DESIGN
 *   - A write that fails is undone alone: the group is undone and executed
 *     again, now each write in a savepoint of its own.  Such writes are rare,
 *     and savepoints cost a copy of each page that is written.
 *   - An error of the disk undoes the group: all its writes are told so, none
 *     was made durable.
 *   - Disk full: the ballast is given up and the group tried once more.
 *   - I/O error: never tried again.  The connection is closed and opened
 *     anew for the next group, so that what memory believes (totals, ids) is
 *     what the disk says.  A write that was answered EIO is unknown until
 *     then: a crash in between may find it whole in the WAL.
 *   - While commits fail and nothing is queued, an empty group is tried now
 *     and then: whoever waits for better times needs not write to see them.
 *   - Checkpoints between commits: when idle, or when the WAL grows.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/str.h"

enum {
	IDLE_US = 1000000,
	TRIAL_US = 5 * 1000000, /* between tries when nobody writes */
	BALLAST_RETRY_US = 10 * 1000000
};

/* ---- answers ------------------------------------------------------------- */

static void on_answer(struct mail *mail)
{
	struct store_write *w = CONTAINER_OF(mail, struct store_write, mail);

	if (w->done)
		w->done(&w->result, w->arg);
	write_release(w);
}

static void answer(struct store *s, struct store_write *w)
{
	/* Values first: a loop that is behind shall not hold them. */
	write_drop_values(w);
	atomic_fetch_sub(&s->queued, 1);
	if (w->waiter)
		inbox_put(w->waiter, &w->link);
	else if (w->loop && w->done)
		mail_post(w->loop, &w->mail, on_answer);
	else
		write_release(w);
}

static void refuse(struct store_write *w)
{
	w->result.err = w->refused;
	snprintf(w->result.text, sizeof(w->result.text), "%s",
		 w->refused == ENOBUFS ? "too many writes are waiting"
				       : "out of memory, or over 16 MiB");
}

static void fail(struct store_write *w, int err, const char *text)
{
	w->result = (struct store_result){.err = err};
	str_copy(w->result.text, sizeof(w->result.text), text);
}

void totals_publish(struct store *s)
{
	const struct store_totals *t = &s->db.totals;
	struct shown_totals *to = &s->shown;
	uint32_t turn = atomic_load(&to->turn);

	atomic_store(&to->turn, turn + 1);
	atomic_store(&to->in, t->in);
	atomic_store(&to->delivered, t->delivered);
	atomic_store(&to->pending, t->pending);
	atomic_store(&to->dead, t->dead);
	atomic_store(&to->expired, t->expired);
	atomic_store(&to->turn, turn + 2);
	counter_set(COUNT_deliveries_in, t->in);
	counter_set(COUNT_deliveries_delivered, t->delivered);
	counter_set(COUNT_deliveries_pending, t->pending);
	counter_set(COUNT_deliveries_dead, t->dead);
	counter_set(COUNT_deliveries_expired, t->expired);
}

void ids_publish(struct store *s)
{
	for (int i = 0; i < IDS_N; i++)
		atomic_store(&s->known_id[i], s->db.last_id[i]);
}

/** Before the commit: whoever reads behind it, and does not find an event, is
 *  to know that it was removed.  When it fails, too much is said to be gone,
 *  which harms nobody. */
static void removed_publish(struct store *s)
{
	atomic_store(&s->known_id[IDS_REMOVED], s->db.last_id[IDS_REMOVED]);
}

/* ---- a group -------------------------------------------------------------- */

static bool is_of_disk(int err)
{
	return err == ENOSPC || err == EIO || err == EBADMSG || err == EACCES ||
	       err == EBUSY;
}

static void add_totals(struct store_totals *to, const struct store_totals *d)
{
	to->in += d->in;
	to->delivered += d->delivered;
	to->pending += d->pending;
	to->dead += d->dead;
	to->expired += d->expired;
}

/**
 * Execute one write in a savepoint.  Returns 0 (its result says how it
 * went) or the errno that ends the whole group.
 */
static int run_write(struct db *db, struct store_write *w)
{
	int err = db_run(db, STMT_SAVEPOINT);
	int undo;

	if (err)
		return err;
	err = ops_run(db, w);
	if (!err) {
		err = db_run(db, STMT_RELEASE);
		if (!err)
			add_totals(&db->totals, &w->delta);
		return err;
	}
	/* Some errors make SQLite undo the whole transaction by itself. */
	if (is_of_disk(err) || sqlite3_get_autocommit(db->handle))
		return err;
	w->result.changed = 0;
	w->result.last = 0;
	w->result.repeated = 0;
	undo = db_run(db, STMT_UNDO);
	return undo ? undo : db_run(db, STMT_RELEASE);
}

/** Totals and last ids, in the same transaction. */
static int put_sums(struct db *db, const struct store_totals *before)
{
	const struct store_totals *t = &db->totals;
	int err = 0;

	if (memcmp(before, t, sizeof(*t)) != 0) {
		sqlite3_stmt *stmt = db_stmt(db, STMT_PUT_TOTALS);

		sqlite3_bind_int64(stmt, 1, t->in);
		sqlite3_bind_int64(stmt, 2, t->delivered);
		sqlite3_bind_int64(stmt, 3, t->pending);
		sqlite3_bind_int64(stmt, 4, t->dead);
		sqlite3_bind_int64(stmt, 5, t->expired);
		err = db_step(db, stmt);
	}
	for (int i = 0; db->ids_changed && !err && i < IDS_N; i++) {
		sqlite3_stmt *stmt = db_stmt(db, STMT_PUT_LAST_ID);

		sqlite3_bind_int64(stmt, 1, i);
		sqlite3_bind_int64(stmt, 2, (int64_t)db->last_id[i]);
		err = db_step(db, stmt);
	}
	return err;
}

/** Execute all, in one transaction that is not committed.  `apart`: each in a
 *  savepoint; else the first that fails ends it.  Returns 0 or an errno. */
static int run_writes(struct db *db, struct link *group, bool apart)
{
	int err = db_run(db, STMT_BEGIN);

	LIST_EACH(group, l, after)
	{
		struct store_write *w =
			CONTAINER_OF(l, struct store_write, link);

		if (err)
			break;
		if (w->refused) {
			refuse(w);
		} else if (apart) {
			err = run_write(db, w);
		} else {
			err = ops_run(db, w);
			add_totals(&db->totals, &w->delta);
		}
	}
	return err;
}

static int run_group(struct store *s, struct link *group)
{
	struct db *db = &s->db;
	struct store_totals before = db->totals;
	int err = run_writes(db, group, false);

	if (err && !is_of_disk(err) && !sqlite3_get_autocommit(db->handle)) {
		db->totals = before;
		err = db_run(db, STMT_ROLLBACK);
		if (!err)
			err = run_writes(db, group, true);
	}
	if (!err)
		err = put_sums(db, &before);
	crash_point("store.commit.before");
	if (!err)
		err = crash_errno("store.commit");
	if (!err) {
		removed_publish(s);
		err = db_run(db, STMT_COMMIT);
	}
	if (!err) /* an error that comes too late */
		err = crash_errno("store.committed");
	if (err)
		db->totals = before;
	else
		db->ids_changed = false;
	return err;
}

static int set_max_pages(struct store *s)
{
	char sql[64];
	int pages = atomic_load(&s->max_pages);

	if (!pages)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%d", pages);
	return db_errno(s->db.handle,
			sqlite3_exec(s->db.handle, sql, NULL, NULL, NULL));
}

/** The connection, opened anew after an I/O error. */
static int be_ready(struct store *s, char *text, size_t cap)
{
	struct err e = {0};
	int err;

	if (!s->broken)
		return set_max_pages(s);
	err = db_open(s->path, &s->db, &e);
	if (err) {
		str_copy(text, cap, e.text);
		return err;
	}
	s->broken = false;
	log_warn("store: database opened again after an I/O error");
	return 0;
}

/** Run and commit; on failure all is undone.  `text` says why. */
static int try_group(struct store *s, struct link *group, char *text,
		     size_t cap)
{
	int err = be_ready(s, text, cap);

	if (err)
		return err;
	if (list_is_empty(group)) /* a trial has to write something */
		s->db.ids_changed = true;
	err = run_group(s, group);
	if (!err)
		return 0;
	snprintf(text, cap, "commit: %s",
		 sqlite3_errcode(s->db.handle) == SQLITE_OK
			 ? strerror(err)
			 : sqlite3_errmsg(s->db.handle));
	if (!sqlite3_get_autocommit(s->db.handle) &&
	    db_run(&s->db, STMT_ROLLBACK))
		err = EIO;
	if (err != ENOSPC && err != ENOMEM && err != EBUSY) {
		db_close(&s->db, true);
		s->broken = true;
		err = EIO;
	}
	return err;
}

static void tell_log(struct store *s, int err, const char *text)
{
	const bool was_failing = store_is_failing(s);

	if (err && !was_failing)
		log_error("store: writes fail: %s; what they asked for is "
			  "refused until the disk of data_dir is well",
			  text);
	if (!err && was_failing) {
		log_info("store: writes succeed again");
		s->ballast_try_us = 0;
	}
	atomic_store_explicit(&s->failing, err != 0, memory_order_relaxed);
}

static int commit_or_undo(struct store *s, struct link *group, char *text,
			  size_t cap)
{
	int err = try_group(s, group, text, cap);

	if (err == ENOSPC && s->has_ballast) {
		s->has_ballast = false;
		s->ballast_try_us = clock_now_us() + BALLAST_RETRY_US;
		log_error("store: disk full: giving up the ballast; free "
			  "space for data_dir");
		if (ballast_give_up(s->dir))
			err = try_group(s, group, text, cap);
	}
	if (err && err != ENOSPC && err != ENOMEM)
		err = EIO;
	return err;
}

static void commit_group(struct store *s, struct link *group)
{
	char text[160] = "";
	int err = commit_or_undo(s, group, text, sizeof(text));

	if (!err) {
		counter_add(COUNT_store_commits, 1);
		totals_publish(s);
		ids_publish(s);
		crash_point("store.commit.after");
	}
	tell_log(s, err, text);
	LIST_EACH(group, l, after)
	{
		struct store_write *w =
			CONTAINER_OF(l, struct store_write, link);

		if (w->refused)
			refuse(w);
		else if (err)
			fail(w, err, text);
		counter_add(w->result.err ? COUNT_store_errors
					  : COUNT_store_writes,
			    1);
		list_remove(l);
		answer(s, w);
	}
}

/** Commit at most GROUP_MAX of the writes in `all`. */
static void commit_some(struct store *s, struct link *all)
{
	struct link group;
	struct link *l;

	list_init(&group);
	for (int n = 0; n < GROUP_MAX && (l = list_first(all)); n++) {
		list_remove(l);
		list_append(&group, l);
	}
	commit_group(s, &group);
	if (!s->broken && s->db.wal_pages >= WAL_PAGES_CHECKPOINT)
		db_checkpoint(&s->db);
}

/* ---- the thread ------------------------------------------------------------ */

static void mend_ballast(struct store *s)
{
	int64_t now_us = clock_now_us();

	if (s->has_ballast || !s->ballast_bytes || now_us < s->ballast_try_us)
		return;
	s->ballast_try_us = now_us + BALLAST_RETRY_US;
	if (!ballast_has_room(s->dir, s->ballast_bytes))
		return;
	if (ballast_make(s->dir, s->ballast_bytes))
		return;
	s->has_ballast = true;
	log_info("store: there is room again: ballast made");
}

static int64_t idle_us(const struct store *s)
{
	if (store_is_failing(s))
		return TRIAL_US;
	if (!s->broken && s->db.wal_pages)
		return IDLE_US;
	if (!s->has_ballast && s->ballast_bytes)
		return BALLAST_RETRY_US;
	return -1;
}

void commit_thread(void *arg)
{
	struct store *s = arg;

	for (;;) {
		/* Asked before taking: what was put before the shutting is
		 * found by the take. */
		bool shut = inbox_is_shut(s->inbox);
		struct link all;

		list_init(&all);
		if (inbox_take(s->inbox, &all, idle_us(s))) {
			while (!list_is_empty(&all))
				commit_some(s, &all);
		} else if (shut) {
			return;
		} else if (store_is_failing(s)) {
			commit_group(s, &all);
		} else if (!s->broken && s->db.wal_pages) {
			db_checkpoint(&s->db);
		}
		mend_ballast(s);
	}
}
