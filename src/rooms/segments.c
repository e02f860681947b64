/**
 * rooms/segments.c -- a segment is a row before it is a file.
 *
 * The six steps, in this order (docs/ARCHITECTURE.md, life of a segment):
 *
 *	1 SEG_ROW    SeqNo and file name, row `opening`          commit
 *	2 SEG_FILE   .part with a silent frame, fsync            file thread
 *	3 SEG_TELL   row `recording` + event started             commit
 *	4 SEG_SOUND  the media loop gets the file; sound flows
 *	5 SEG_CLOSE  fdatasync, rename, directory fsync          file thread
 *	6 SEG_DONE   row `closed` or `lost` + event completed    commit
 *
 * Segments of one track go through this one after another, so started n+1
 * comes after completed n; the next one's sound waits in memory.  A commit
 * that fails is tried again every second: the state is kept, not lost.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

static void step_row(struct seg *seg);
static void step_tell(struct seg *seg);
static void step_done(struct seg *seg);

static struct task *task_of(const struct seg *seg)
{
	return seg->track->task;
}

static void log_seg(const struct seg *seg, const char *what)
{
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " user=%s seg=%" PRIu32
		 " %s",
		 seg->row.app, seg->row.room, seg->row.task, seg->row.user,
		 seg->row.seq, what);
}

/* ---- what an event says ------------------------------------------------- */

void seg_event(struct task *t, const struct segment_row *row,
	       enum event_kind kind, struct event *e)
{
	task_event(t, kind, e);
	str_copy(e->user, sizeof(e->user), row->user);
	e->mode = row->mode;
	e->seq = row->seq;
	str_copy(e->file_name, sizeof(e->file_name), row->file_name);
	e->start_ms = row->start_ms;
	if (kind == EVENT_STARTED)
		return;
	e->duration_ms = (int64_t)(row->frames / SOUND_FRAMES_PER_MS);
	e->size = row->size;
	str_copy(e->sha256, sizeof(e->sha256), row->sha256);
	str_copy(e->reason, sizeof(e->reason), row->reason);
	str_copy(e->reason_text, sizeof(e->reason_text), row->reason_text);
}

void seg_once(const struct segment_row *row, enum event_kind kind, char *out,
	      size_t cap)
{
	snprintf(out, cap, "%" PRIu64 "/%d/%" PRIu32 "/%s/%s", row->task,
		 (int)row->mode, row->seq, event_kind_name(kind), row->user);
}

/** Add the event that tells of the segment's row to `w`. */
static int add_event(struct seg *seg, struct store_write *w,
		     enum event_kind kind)
{
	struct task *t = task_of(seg);
	char once[ID_MAX + 96];
	struct event e;

	seg->batch = notify_batch_new();
	if (!seg->batch)
		return ENOMEM;
	seg_event(t, &seg->row, kind, &e);
	seg_once(&seg->row, kind, once, sizeof(once));
	return notify_add(t->rooms->notify, w, seg->batch, &e, once);
}

/** After the commit: start the deliveries, or forget them. */
static void settle_batch(struct seg *seg, int err)
{
	struct notify *n = task_of(seg)->rooms->notify;

	if (!seg->batch)
		return;
	if (err)
		notify_dropped(n, seg->batch);
	else
		notify_committed(n, seg->batch);
	seg->batch = NULL;
}

/* ---- retry -------------------------------------------------------------- */

static void on_retry(struct timer *timer, int64_t now_us)
{
	struct seg *seg = CONTAINER_OF(timer, struct seg, retry);

	(void)now_us;
	if (seg->step == SEG_ROW)
		step_row(seg);
	else if (seg->step == SEG_TELL)
		step_tell(seg);
	else
		step_done(seg);
}

static void try_again(struct seg *seg, const char *why)
{
	struct loop *loop = task_of(seg)->rooms->loop;

	log_error("task=%" PRIu64 " user=%s seg=%" PRIu32
		  " commit failed (%s); again in 1 s",
		  seg->row.task, seg->row.user, seg->row.seq, why);
	settle_batch(seg, EIO);
	if (seg->tells_upload) /* it, or another, tells it next time */
		task_of(seg)->upload_told = seg->tells_upload = false;
	if (timer_start(&seg->retry, loop, loop_now_us(loop) + RETRY_US,
			on_retry))
		log_error("task=%" PRIu64 " no memory for a timer",
			  seg->row.task);
}

/* ---- the end of a segment ------------------------------------------------ */

static void begin_next(struct task_track *tr)
{
	struct link *l = list_first(&tr->segs);
	struct seg *next = l ? CONTAINER_OF(l, struct seg, in_track) : NULL;

	if (next && next->step == SEG_BEGUN)
		step_row(next);
}

static void seg_free(struct seg *seg)
{
	struct task_track *tr = seg->track;
	struct task *t = tr->task;

	timer_stop(&seg->retry);
	record_file_unref(seg->open_file);
	list_remove(&seg->in_track);
	mem_free(seg);
	t->segs--;
	begin_next(tr);
	task_check(t);
}

static void set_reason(struct seg *seg, const char *reason, const char *text)
{
	if (seg->row.reason[0])
		return;
	str_copy(seg->row.reason, sizeof(seg->row.reason), reason);
	str_copy(seg->row.reason_text, sizeof(seg->row.reason_text), text);
}

static const char *reason_of(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return "disk_full";
	case EACCES:
	case EPERM:
	case EROFS:
		return "disk_denied";
	default:
		return "disk_error";
	}
}

/* ---- step 6: closed, or lost, and completed ------------------------------ */

static void on_done_committed(const struct store_result *r, void *arg)
{
	struct seg *seg = arg;
	struct task *t = task_of(seg);

	if (r->err) {
		try_again(seg, r->text);
		return;
	}
	crash_point("segment.closed");
	settle_batch(seg, 0);
	if (seg->row.state == SEG_CLOSED) {
		log_seg(seg, "closed");
		rooms_tell(t->rooms, "%s's file %" PRIu32 " is closed: %.2f s",
			   seg->row.user, seg->row.seq,
			   (double)seg->row.frames / SOUND_RATE);
		if (finish_upload(t, &seg->row))
			log_error("task=%" PRIu64
				  " upload waits for a restart: out of memory",
				  t->row.id);
	} else {
		counter_add(COUNT_segments_lost, 1);
		log_error("task=%" PRIu64 " user=%s seg=%" PRIu32 " lost: %s",
			  seg->row.task, seg->row.user, seg->row.seq,
			  seg->row.reason_text);
	}
	t->segments_closed++;
	seg_free(seg);
}

static int put_upload_started(struct task *t, struct seg *seg,
			      struct store_write *w)
{
	char once[64];
	struct event e;

	if (t->upload_told || seg->row.state != SEG_CLOSED)
		return 0;
	t->upload_told = seg->tells_upload = true;
	task_event(t, EVENT_UPLOAD_STARTED, &e);
	task_once(t, EVENT_UPLOAD_STARTED, 0, once, sizeof(once));
	return notify_add(t->rooms->notify, w, seg->batch, &e, once);
}

static void step_done(struct seg *seg)
{
	struct task *t = task_of(seg);
	struct store_write *w = store_write_new();

	seg->step = SEG_DONE;
	seg->row.closed_ms = clock_unix_ms();
	if (!w) {
		try_again(seg, "out of memory");
		return;
	}
	store_set_segment(w, &seg->row);
	if (add_event(seg, w, EVENT_COMPLETED) ||
	    put_upload_started(t, seg, w)) {
		store_write_free(w);
		try_again(seg, "out of memory");
		return;
	}
	store_commit(t->rooms->store, w, t->rooms->loop, on_done_committed,
		     seg);
}

/* ---- step 5: close ------------------------------------------------------- */

static void on_closed(struct record_file *file,
		      const struct record_file_result *result, void *arg)
{
	struct seg *seg = arg;

	(void)file;
	crash_point("segment.renamed");
	if (result->err) {
		seg->row.state = SEG_LOST;
		set_reason(seg, reason_of(result->err), result->text);
		task_fail(task_of(seg), seg->row.reason, result->text);
	} else {
		seg->row.state = SEG_CLOSED;
		seg->row.size = result->len;
		seg->row.frames = (uint64_t)(result->len / seg->frame_len) *
				  seg->frame_frames;
		str_copy(seg->row.sha256, sizeof(seg->row.sha256),
			 result->sha256);
	}
	step_done(seg);
}

static void step_close(struct seg *seg)
{
	seg->step = SEG_CLOSE;
	crash_point("segment.close");
	record_file_close(seg->open_file, on_closed, seg);
}

void seg_on_ended(struct seg *seg)
{
	seg->has_ended = true;
	if (seg->no_file)
		seg_free(seg);
	else if (seg->step == SEG_SOUND)
		step_close(seg);
}

/* ---- step 4: sound ------------------------------------------------------- */

static void step_sound(struct seg *seg)
{
	seg->step = SEG_SOUND;
	crash_point("segment.recording");
	record_file_ref(seg->open_file); /* the media loop's */
	seg->file = seg->open_file;
	media_grant(seg);
}

/** There will be no file: let the media loop throw the sound away. */
static void grant_nothing(struct seg *seg)
{
	seg->no_file = true;
	seg->file = NULL;
	media_grant(seg);
}

/* ---- step 3: recording, and started --------------------------------------- */

static void on_tell_committed(const struct store_result *r, void *arg)
{
	struct seg *seg = arg;

	if (r->err) {
		try_again(seg, r->text);
		return;
	}
	settle_batch(seg, 0);
	log_seg(seg, "recording");
	step_sound(seg);
}

static void step_tell(struct seg *seg)
{
	struct rooms *r = task_of(seg)->rooms;
	struct store_write *w = store_write_new();

	seg->step = SEG_TELL;
	seg->row.state = SEG_RECORDING;
	if (!w) {
		try_again(seg, "out of memory");
		return;
	}
	store_set_segment(w, &seg->row);
	if (add_event(seg, w, EVENT_STARTED)) {
		store_write_free(w);
		try_again(seg, "out of memory");
		return;
	}
	store_commit(r->store, w, r->loop, on_tell_committed, seg);
}

/* ---- step 2: the file ------------------------------------------------------ */

/** An `opening` row without a file goes; its SeqNo stays used. */
static void forget_row(struct seg *seg)
{
	struct rooms *r = task_of(seg)->rooms;
	struct store_write *w = store_write_new();

	if (w) {
		store_delete_segment(w, seg->row.id);
		store_commit(r->store, w, r->loop, NULL, NULL);
	} /* else recovery deletes it at the next start */
}

static void on_opened(struct record_file *file,
		      const struct record_file_result *result, void *arg)
{
	struct seg *seg = arg;
	struct task *t = task_of(seg);

	crash_point("segment.opened");
	if (!result->err) {
		seg->open_file = file;
		step_tell(seg);
		return;
	}
	counter_add(COUNT_file_errors, 1);
	log_error("task=%" PRIu64 " user=%s seg=%" PRIu32 " not opened: %s",
		  seg->row.task, seg->row.user, seg->row.seq, result->text);
	forget_row(seg);
	task_fail(t, reason_of(result->err), result->text);
	grant_nothing(seg);
}

/** A write failed: the file is dead, what was written stays. */
static void on_file_failed(struct record_file *file,
			   const struct record_file_result *result, void *arg)
{
	struct seg *seg = arg;

	(void)file;
	set_reason(seg, reason_of(result->err), result->text);
	task_fail(task_of(seg), seg->row.reason, result->text);
}

static void on_row_committed(const struct store_result *r, void *arg)
{
	struct seg *seg = arg;
	struct task *t = task_of(seg);
	struct record_file_open how = {
		.name = seg->row.file_name,
		.first = seg->silent,
		.first_len = seg->silent_len,
		.loop = t->rooms->loop,
		.opened = on_opened,
		.failed = on_file_failed,
		.arg = seg,
	};
	struct record_file *file;

	if (r->err) {
		try_again(seg, r->text);
		return;
	}
	crash_point("segment.opening");
	seg->step = SEG_FILE;
	if (record_file_open(t->rooms->files, &how, &file)) {
		struct record_file_result none = {.err = ENOMEM,
						  .text = "out of memory"};

		on_opened(NULL, &none, seg);
	}
}

/* ---- step 1: the row -------------------------------------------------------- */

static void fill_row(struct seg *seg)
{
	struct task_track *tr = seg->track;
	struct task *t = tr->task;
	struct record_name name = {
		.app = t->row.app,
		.room = t->row.room,
		.user = tr->user,
		.task = t->row.id,
		.start_ms = seg->start_ms,
		.zone_minutes = t->app->recording.zone_minutes,
		.seq = tr->next_seq,
		.again = seg->start_ms / 1000 <= tr->last_start_s,
	};

	seg->row = (struct segment_row){
		.id = store_next_id(t->rooms->store, IDS_SEGMENT),
		.task = t->row.id,
		.app = t->row.app,
		.mode = tr->mode,
		.seq = tr->next_seq++,
		.state = SEG_OPENING,
		.start_ms = seg->start_ms,
	};
	str_copy(seg->row.room, sizeof(seg->row.room), t->row.room);
	str_copy(seg->row.user, sizeof(seg->row.user), tr->user);
	record_name_write(&name, seg->row.file_name,
			  sizeof(seg->row.file_name));
	if (!name.again)
		tr->last_start_s = seg->start_ms / 1000;
}

static void step_row(struct seg *seg)
{
	struct rooms *r = task_of(seg)->rooms;
	struct store_write *w = store_write_new();

	if (seg->step == SEG_BEGUN)
		fill_row(seg);
	seg->step = SEG_ROW;
	if (!w) {
		try_again(seg, "out of memory");
		return;
	}
	store_put_segment(w, &seg->row);
	store_commit(r->store, w, r->loop, on_row_committed, seg);
}

static void on_begin_again(struct timer *timer, int64_t now_us)
{
	(void)now_us;
	seg_on_begun(CONTAINER_OF(timer, struct seg, retry));
}

void seg_on_begun(struct seg *seg)
{
	struct task *t = seg->session->owner;
	struct task_track *tr = task_get_track(t, seg->user, MODE_SINGLE);

	if (!tr) {
		log_error("task=%" PRIu64 " user=%s waits: out of memory",
			  t->row.id, seg->user);
		if (timer_start(&seg->retry, t->rooms->loop,
				loop_now_us(t->rooms->loop) + RETRY_US,
				on_begin_again))
			log_error("task=%" PRIu64 " no memory for a timer",
				  t->row.id);
		return;
	}
	seg->track = tr;
	seg->step = SEG_BEGUN;
	t->segs++;
	list_append(&tr->segs, &seg->in_track);
	if (list_first(&tr->segs) == &seg->in_track)
		step_row(seg);
}
