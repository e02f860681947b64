/**
 * rooms/finish.c -- a task is over: tell what was stored, and forget it.
 *
 *	task stopped and nothing left to upload (confirm.h) -> manifest ->
 *	commit `finished_ms` + upload_stopped + files_ready -> gone from memory
 *	task stopped a while ago, and an upload fails -> commit `is_left` of
 *	what waits + upload_stopped + files_ready of the others, status 1; what
 *	waited is told when it is there, as above
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

/* Status of upload_stopped and files_ready (tencent.md section 2.3). */
enum { STATUS_LEFT = 1, STATUS_RECOVERED = 2, STATUS_ABNORMAL = 2 };

enum { MANIFEST_RETRY_US = 5 * 1000 * 1000 };

/** What is told of a task behind its end. */
struct wrap {
	struct task *task;
	struct segment_row *rows; /* n, all of the task */
	size_t n;
	bool is_left; /* tells what is left, and does not finish the task */
	struct notify_batch *batch;
	uint64_t first_seq, seq; /* of its events: the first, the next */
	struct task_row row; /* the task's, for the worker; its lists are not */
	struct job job;	     /* reads the rows, then writes the manifest */
	struct err err;	     /* of that */
	/* of what is left */
	bool is_taken; /* its numbers are */
	struct timer retry;
};

static void wrap_free(struct wrap *w)
{
	mem_free(w->rows);
	mem_free(w);
}

static void wrap_later(struct wrap *w, const char *what, const char *why,
		       int64_t delay_us)
{
	struct task *t = w->task;

	log_error("task=%" PRIu64 " %s failed (%s); again in %d s", t->row.id,
		  what, why, (int)(delay_us / CLOCK_US_PER_S));
	wrap_free(w);
	t->row.finished_ms = 0;
	t->finishing = false;
	if (t->rooms->stopping)
		task_check(t); /* found again at the next start */
	else
		task_retry_in(t, task_check, delay_us);
}

static void wrap_again(struct wrap *w, const char *why)
{
	wrap_later(w, w->is_left ? "telling what is left" : "finish", why,
		   RETRY_US);
}

static int tell(struct wrap *w, struct store_write *write, struct event *e,
		const char *once)
{
	e->task_seq = w->seq++;
	return notify_add(w->task->rooms->notify, write, w->batch, e, once);
}

/** What is told of a task once, and before that once if files are left. */
static void once_of(const struct wrap *w, enum event_kind kind, unsigned page,
		    char *out, size_t cap)
{
	if (w->is_left)
		snprintf(out, cap, "%" PRIu64 "/%s/%u/left", w->task->row.id,
			 event_kind_name(kind), page);
	else
		task_once(w->task, kind, page, out, cap);
}

/** What files_ready lists: what is left if so much is in storage, then what
 *  was left, or all. */
static bool is_listed(const struct wrap *w, const struct segment_row *row)
{
	if (row->state != SEG_CLOSED)
		return false;
	if (w->is_left)
		return row->uploaded_ms != 0;
	return row->is_left || !w->task->is_left;
}

/** Has the task, or one of its files, come to a bad end? */
static bool is_abnormal(const struct wrap *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->rows[i].state == SEG_LOST)
			return true;
	}
	return w->task->row.state == TASK_FAILED;
}

static int add_upload_stopped(struct wrap *w, struct store_write *write)
{
	char once[ONCE_CAP];
	struct event e;

	task_event(w->task, EVENT_UPLOAD_STOPPED, &e);
	if (w->is_left)
		e.status = STATUS_LEFT;
	else if (w->task->is_left)
		e.status = STATUS_RECOVERED;
	once_of(w, EVENT_UPLOAD_STOPPED, 0, once, sizeof(once));
	return tell(w, write, &e, once);
}

static void list_file(struct event *e, const struct segment_row *row)
{
	struct event_file *f = &e->files[e->n_files++];

	str_copy(f->name, sizeof(f->name), row->file_name);
	if (row->mode != MODE_MIXED)
		str_copy(f->user, sizeof(f->user), row->user);
	f->start_ms = row->start_ms;
	f->end_ms =
		row->start_ms + (int64_t)(row->frames / SOUND_FRAMES_PER_MS);
}

/** One files_ready from row *at on, and *at behind it. */
static int add_files(struct wrap *w, struct store_write *write, unsigned page,
		     size_t *at)
{
	char once[ONCE_CAP];
	struct event e;
	int err;

	task_event(w->task, EVENT_FILES_READY, &e);
	if (w->is_left)
		e.status = STATUS_LEFT;
	else if (is_abnormal(w))
		e.status = STATUS_ABNORMAL;
	e.files = mem_zalloc_n(EVENT_FILES_MAX, sizeof(*e.files));
	if (!e.files)
		return ENOMEM;
	for (; *at < w->n && e.n_files < EVENT_FILES_MAX; ++*at) {
		if (is_listed(w, &w->rows[*at]))
			list_file(&e, &w->rows[*at]);
	}
	/* the last page may find nothing any more */
	if (e.n_files || !page) {
		once_of(w, EVENT_FILES_READY, page, once, sizeof(once));
		err = tell(w, write, &e, once);
	} else {
		err = 0;
	}
	event_fini(&e);
	return err;
}

static bool has_closed(const struct wrap *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->rows[i].state == SEG_CLOSED)
			return true;
	}
	return false;
}

static int add_events(struct wrap *w, struct store_write *write)
{
	unsigned page = 0;
	size_t at = 0;
	int err = 0;

	w->seq = w->first_seq;
	w->batch = notify_batch_new();
	if (!w->batch)
		return ENOMEM;
	if (has_closed(w))
		err = add_upload_stopped(w, write);
	while (!err && at < w->n)
		err = add_files(w, write, page++, &at);
	return err;
}

/* ---- finished -------------------------------------------------------------------- */

static void on_finished(const struct store_result *r, void *arg)
{
	struct wrap *w = arg;
	struct task *t = w->task;

	if (w->batch)
		notify_settled(t->rooms->notify, w->batch, r);
	if (r->err) {
		t->row.next_seq = w->first_seq; /* nothing else tells now */
		wrap_again(w, r->text);
		return;
	}
	crash_point("task.finished");
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64
		 " finished segments=%zu",
		 t->row.app, t->row.room, t->row.id, w->n);
	wrap_free(w);
	task_free(t);
}

static void commit_finish(struct wrap *w)
{
	struct task *t = w->task;
	struct store_write *write = store_write_new();

	w->first_seq = t->row.next_seq;
	t->row.finished_ms = clock_unix_ms();
	if (write) {
		store_set_task(write, &t->row);
		if (add_events(w, write)) {
			store_write_free(write);
			write = NULL;
		}
		t->row.next_seq = w->seq;
	}
	store_commit(t->rooms->store, write, t->rooms->loop, on_finished, w);
}

static void manifest_run(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);
	struct folders folders[SLOT_N];
	struct storages storages;

	storages_init(&storages, w->task->rooms);
	for (unsigned i = 0; i < SLOT_N; i++)
		map_init(&folders[i].map);
	if (!manifest_put(&storages, &w->row, w->rows, w->n, folders, &w->err))
		w->err = (struct err){0};
	for (unsigned i = 0; i < SLOT_N; i++)
		folders_fini(&folders[i]);
	storages_fini(&storages);
}

static void manifest_done(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);

	if (w->err.code) {
		wrap_later(w, "the manifest", w->err.text, MANIFEST_RETRY_US);
		return;
	}
	crash_point("task.finishing");
	commit_finish(w);
}

/** The manifest is there before the task is finished; it is an fsync, so a
 *  worker makes it. */
static void make_manifest(struct wrap *w)
{
	struct rooms *r = w->task->rooms;

	w->row = w->task->row;
	w->job.run = manifest_run;
	w->job.key = w->row.id;
	workers_run(r->texts, &w->job, r->loop, manifest_done);
}

/* ---- what is left ---------------------------------------------------------------- */

static void commit_left(struct wrap *w);

static void end_left(struct wrap *w)
{
	struct task *t = w->task;

	wrap_free(w);
	t->finishing = false;
	task_check(t);
}

static void on_left_again(struct timer *timer, int64_t now_us)
{
	struct wrap *w = CONTAINER_OF(timer, struct wrap, retry);

	(void)now_us;
	if (w->task->rooms->stopping && !w->is_taken)
		end_left(w); /* told after the next start */
	else
		commit_left(w);
}

/** Others tell meanwhile, so the numbers, and with them the rows, are kept. */
static void on_left_told(const struct store_result *r, void *arg)
{
	struct wrap *w = arg;
	struct task *t = w->task;

	if (w->batch)
		notify_settled(t->rooms->notify, w->batch, r);
	w->batch = NULL;
	if (!r->err) {
		crash_point("task.left");
		log_warn("app=%" PRIu32 " room=%s task=%" PRIu64
			 " files wait on the server until they can be stored",
			 t->row.app, t->row.room, t->row.id);
		t->is_left = true;
		end_left(w);
		return;
	}
	log_error("task=%" PRIu64 " telling what is left failed (%s); again in "
		  "1 s",
		  t->row.id, r->text);
	if (keeper_arm(t->rooms, &w->retry, RETRY_US, on_left_again))
		return;
	if (t->rooms->stopping)
		end_left(w);
	else
		t->left = w;
}

static int add_left(struct wrap *w, struct store_write *write)
{
	int err;

	if (!w->is_taken)
		w->first_seq = w->task->row.next_seq;
	for (size_t i = 0; i < w->n; i++) {
		if (w->rows[i].state == SEG_CLOSED && !w->rows[i].uploaded_ms)
			store_leave_segment(write, w->rows[i].id);
	}
	err = add_events(w, write);
	if (!err && !w->is_taken)
		w->task->row.next_seq = w->seq;
	if (!err)
		w->is_taken = true;
	return err;
}

static void commit_left(struct wrap *w)
{
	struct rooms *r = w->task->rooms;
	struct store_write *write = store_write_new();

	if (write && add_left(w, write)) {
		store_write_free(write);
		write = NULL;
	}
	store_commit(r->store, write, r->loop, on_left_told, w);
}

/** What waits may have been stored since somebody looked. */
static void begin_left(struct wrap *w)
{
	for (size_t i = 0; i < w->n; i++) {
		if (w->rows[i].state == SEG_CLOSED && !w->rows[i].uploaded_ms) {
			commit_left(w);
			return;
		}
	}
	end_left(w);
}

/* ---- the rows ---------------------------------------------------------------------- */

static void rows_run(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);

	w->err.code = store_read_segments(w->task->rooms->store, job->key,
					  &w->rows, &w->n);
}

static void rows_done(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);

	if (w->err.code)
		wrap_again(w, strerror(w->err.code));
	else if (w->is_left)
		begin_left(w);
	else
		make_manifest(w);
}

static void wrap_up(struct task *t, bool is_left)
{
	struct wrap *w = mem_zalloc(sizeof(*w));

	if (!w) {
		task_retry(t, task_check);
		return;
	}
	t->finishing = true;
	w->task = t;
	w->is_left = is_left;
	w->job.run = rows_run;
	w->job.key = t->row.id;
	workers_run(t->rooms->workers, &w->job, t->rooms->loop, rows_done);
}

void finish_task(struct task *t)
{
	wrap_up(t, false);
}

void finish_tell_again(struct task *t)
{
	struct wrap *left = t->left;

	t->left = NULL;
	if (left)
		commit_left(left);
}

void finish_look(struct task *t)
{
	const int64_t after_ms = t->rooms->left_after_us / CLOCK_US_PER_MS;

	if (!t->row.stopped_ms || t->is_left || t->finishing || t->pins ||
	    t->due || t->due_sent || !t->uploads ||
	    clock_unix_ms() - t->row.stopped_ms < after_ms ||
	    !confirm_is_failing(t))
		return;
	wrap_up(t, true);
}
