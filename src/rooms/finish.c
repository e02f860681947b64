/**
 * rooms/finish.c -- after the recording: upload, tell, forget.
 *
 *	closed segment -> upload -> commit `uploaded_ms` + event uploaded ->
 *	the spool's copy goes
 *	task stopped and nothing left to upload -> manifest -> commit
 *	`finished_ms` + upload_stopped + files_ready -> gone from memory
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
#include "rooms/private.h"

/** A confirmed upload on its way into the store. */
struct confirm {
	struct task *task;
	struct rooms *rooms;
	struct segment_row row;
	struct telling telling;
	struct link in_task;
	bool committing;
	struct timer retry;
	struct job drop; /* removes the spool's copy */
};

enum { PAGE = 500, MANIFEST_RETRY_US = 5 * 1000 * 1000 };

int finish_upload(struct task *t, const struct segment_row *row)
{
	struct upload_item item = {
		.segment = row->id,
		.name = row->file_name,
		.len = row->size,
		.sha256 = row->sha256,
	};
	struct confirm *c = mem_zalloc(sizeof(*c));
	int err;

	if (!c)
		return ENOMEM;
	c->task = t;
	c->rooms = t->rooms;
	c->row = *row;
	item.user = c;
	err = upload_add(t->rooms->upload, &item);
	if (err) {
		mem_free(c);
		return err;
	}
	list_append(&t->confirms, &c->in_task);
	t->uploads++;
	return 0;
}

bool finish_is_committing(const struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		if (CONTAINER_OF(l, struct confirm, in_task)->committing)
			return true;
	}
	return false;
}

void finish_forget(struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		struct confirm *c = CONTAINER_OF(l, struct confirm, in_task);

		timer_stop(&c->retry);
		list_remove(&c->in_task);
		mem_free(c);
	}
}

/* ---- uploaded ------------------------------------------------------------------ */

static void commit_uploaded(struct confirm *c);

static void on_retry(struct timer *timer, int64_t now_us)
{
	(void)now_us;
	commit_uploaded(CONTAINER_OF(timer, struct confirm, retry));
}

static void drop_run(struct job *job)
{
	struct confirm *c = CONTAINER_OF(job, struct confirm, drop);

	if (upload_drop_spool(&c->rooms->upload_config, c->row.file_name))
		log_warn("task=%" PRIu64 " %s stays in the spool: cannot be "
			 "removed",
			 c->row.task, c->row.file_name);
	mem_free(c);
}

static void on_uploaded_committed(const struct store_result *r, void *arg)
{
	struct confirm *c = arg;
	struct task *t = c->task;

	c->committing = false;
	telling_settle(&c->telling, t, r);
	if (r->err) {
		if (t->rooms->stopping) {
			task_check(t); /* found again at the next start */
			return;
		}
		log_error("task=%" PRIu64 " uploaded: commit failed (%s); "
			  "again in 1 s",
			  c->row.task, r->text);
		if (timer_start(&c->retry, c->rooms->loop,
				loop_now_us(c->rooms->loop) + RETRY_US,
				on_retry))
			log_error("no memory for a timer");
		return;
	}
	crash_point("segment.uploaded");
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " user=%s seg=%" PRIu32
		 " uploaded",
		 c->row.app, c->row.room, c->row.task, c->row.user, c->row.seq);
	c->drop.run = drop_run;
	c->drop.key = c->row.id;
	list_remove(&c->in_task);
	workers_run(c->rooms->workers, &c->drop, c->rooms->loop, NULL);
	t->uploads--;
	task_check(t);
}

static void commit_uploaded(struct confirm *c)
{
	struct rooms *r = c->rooms;
	struct store_write *w = store_write_new();

	c->row.uploaded_ms = clock_unix_ms();
	if (w)
		store_set_segment(w, &c->row);
	if (w &&
	    telling_add(&c->telling, c->task, &c->row, EVENT_UPLOADED, w)) {
		store_write_free(w);
		w = NULL;
	}
	c->committing = true;
	store_commit(r->store, w, r->loop, on_uploaded_committed, c);
}

void finish_on_uploaded(const struct upload_result *result, void *arg)
{
	struct confirm *c = result->user;
	const struct rooms *r = arg;

	if (r->stopping)
		return; /* its task may be gone; found again at the start */
	if (result->err) {
		log_warn("task=%" PRIu64 " user=%s seg=%" PRIu32
			 " upload failed, attempt %u; will be tried again",
			 c->row.task, c->row.user, c->row.seq, result->attempt);
		return;
	}
	commit_uploaded(c);
}

/* ---- finished -------------------------------------------------------------------- */

/** The task's segments, page by page. */
struct wrap {
	struct task *task;
	struct segment_row *rows; /* n, all of the task */
	size_t n;
	struct notify_batch *batch;
	uint64_t first_seq;  /* of its events */
	struct task_row row; /* the task's, for the worker; its lists are not */
	struct job job;	     /* writes the manifest */
	int err;	     /* of that */
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
	wrap_later(w, "finish", why, RETRY_US);
}

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

static int add_upload_stopped(struct wrap *w, struct store_write *write)
{
	struct task *t = w->task;
	char once[64];
	struct event e;

	task_event(t, EVENT_UPLOAD_STOPPED, &e);
	e.task_seq = t->row.next_seq++;
	task_once(t, EVENT_UPLOAD_STOPPED, 0, once, sizeof(once));
	return notify_add(t->rooms->notify, write, w->batch, &e, once);
}

/** One files_ready for rows first..first+n-1 (only those with a file). */
static int add_files(struct wrap *w, struct store_write *write, size_t first,
		     size_t n)
{
	struct task *t = w->task;
	char once[64];
	struct event e;
	int err;

	task_event(t, EVENT_FILES_READY, &e);
	e.task_seq = t->row.next_seq++;
	e.files = mem_zalloc_n(n, sizeof(*e.files));
	if (!e.files)
		return ENOMEM;
	for (size_t i = first; i < first + n; i++) {
		const struct segment_row *row = &w->rows[i];
		struct event_file *f = &e.files[e.n_files];

		if (row->state != SEG_CLOSED)
			continue;
		str_copy(f->name, sizeof(f->name), row->file_name);
		if (row->mode != MODE_MIXED)
			str_copy(f->user, sizeof(f->user), row->user);
		f->start_ms = row->start_ms;
		f->end_ms = row->start_ms +
			    (int64_t)(row->frames / SOUND_FRAMES_PER_MS);
		e.n_files++;
	}
	task_once(t, EVENT_FILES_READY, (unsigned)(first / EVENT_FILES_MAX),
		  once, sizeof(once));
	err = notify_add(t->rooms->notify, write, w->batch, &e, once);
	event_fini(&e);
	return err;
}

static int add_finish(struct wrap *w, struct store_write *write)
{
	struct task *t = w->task;
	int err = 0;

	t->row.finished_ms = clock_unix_ms();
	store_set_task(write, &t->row);
	w->batch = notify_batch_new();
	if (!w->batch)
		return ENOMEM;
	if (w->n)
		err = add_upload_stopped(w, write);
	for (size_t at = 0; !err && at < w->n; at += EVENT_FILES_MAX) {
		size_t left = w->n - at;

		err = add_files(w, write, at,
				left < EVENT_FILES_MAX ? left
						       : EVENT_FILES_MAX);
	}
	return err;
}

static void commit_finish(struct wrap *w)
{
	struct rooms *r = w->task->rooms;
	struct store_write *write = store_write_new();

	w->first_seq = w->task->row.next_seq;
	if (write && add_finish(w, write)) {
		store_write_free(write);
		write = NULL;
	}
	store_commit(r->store, write, r->loop, on_finished, w);
}

static void manifest_run(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);
	struct folders folders;

	map_init(&folders.map);
	w->err = manifest_put(w->task->rooms, &w->row, w->rows, w->n, &folders);
	folders_fini(&folders);
}

static void manifest_done(struct job *job)
{
	struct wrap *w = CONTAINER_OF(job, struct wrap, job);

	if (w->err) {
		wrap_later(w, "the manifest", strerror(w->err),
			   MANIFEST_RETRY_US);
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
	workers_run(r->workers, &w->job, r->loop, manifest_done);
}

static void on_page(struct store_rows *rows, void *arg);

static int next_page(struct wrap *w)
{
	struct rooms *r = w->task->rooms;
	struct store_filter f = {
		.what = READ_SEGMENTS,
		.task = w->task->row.id,
		.state = -1,
		.after = w->n ? w->rows[w->n - 1].id : 0,
		.limit = PAGE,
	};

	return store_query(r->store, &f, r->loop, on_page, w);
}

static int keep_page(struct wrap *w, const struct store_rows *rows)
{
	struct segment_row *all;

	if (!rows->n)
		return 0;
	all = mem_realloc(w->rows, (w->n + rows->n) * sizeof(*all));
	if (!all)
		return ENOMEM;
	memcpy(all + w->n, rows->segments, rows->n * sizeof(*all));
	w->rows = all;
	w->n += rows->n;
	return 0;
}

static void on_page(struct store_rows *rows, void *arg)
{
	struct wrap *w = arg;
	int err = rows->err;
	bool more = rows->more;

	if (!err)
		err = keep_page(w, rows);
	store_rows_free(rows);
	if (!err && more)
		err = next_page(w);
	else if (!err)
		make_manifest(w);
	if (err)
		wrap_again(w, strerror(err));
}

void finish_task(struct task *t)
{
	struct wrap *w = mem_zalloc(sizeof(*w));

	if (!w) {
		task_retry(t, task_check);
		return;
	}
	t->finishing = true;
	w->task = t;
	if (next_page(w))
		wrap_again(w, "out of memory");
}
