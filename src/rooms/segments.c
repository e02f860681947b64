/**
 * rooms/segments.c -- a segment is a row before it is a file.
 *
 * The six steps, in this order (docs/ARCHITECTURE.md, life of a segment):
 *
 *	1 SEG_ROW    SeqNo and file name, row `opening`          commit
 *	2 SEG_FILE   .part with a little silence, fsync          file thread
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
#include "rooms/confirm.h"
#include "rooms/private.h"

static void step_row(struct seg *seg);
static void step_tell(struct seg *seg);
static void step_done(struct seg *seg);
static void step_forget(struct seg *seg);

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

/* ---- retry -------------------------------------------------------------- */

static void on_retry(struct timer *timer, int64_t now_us)
{
	struct seg *seg = CONTAINER_OF(timer, struct seg, retry);

	(void)now_us;
	seg->waits = false;
	if (seg->step == SEG_ROW)
		step_row(seg);
	else if (seg->step == SEG_TELL)
		step_tell(seg);
	else if (seg->step == SEG_FORGET)
		step_forget(seg);
	else
		step_done(seg);
}

/** Is the answer what a commit gives that was made, but not answered so, the
 *  first time? */
static bool was_made(const struct seg *seg, const struct store_result *r,
		     int err)
{
	return r->err == err && seg->retried == seg->step;
}

static void try_again(struct seg *seg, const char *why)
{
	const struct store_result failed = {.err = EIO};

	seg->retried = seg->step;
	log_error("task=%" PRIu64 " user=%s seg=%" PRIu32
		  " commit failed (%s); again in 1 s",
		  seg->row.task, seg->row.user, seg->row.seq, why);
	telling_settled(&seg->telling, task_of(seg), &failed);
	seg->waits = !keeper_arm(task_of(seg)->rooms, &seg->retry, RETRY_US,
				 on_retry);
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
	telling_settled(&seg->telling, task_of(seg), r);
	if (seg->row.state == SEG_CLOSED) {
		log_seg(seg, "closed");
		rooms_tell(t->rooms, "%s's file %" PRIu32 " is closed: %.2f s",
			   seg->row.user, seg->row.seq,
			   (double)seg->row.frames / SOUND_RATE);
		if (!seg->peaks.n)
			waves_add(t->rooms, &seg->row, false);
		if (confirm_begin(t, &seg->row))
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

/** The first file that is closed tells that uploads begin; it stays the one
 *  that does when its commit fails. */
static int put_upload_started(struct task *t, struct seg *seg,
			      struct store_write *w)
{
	if (seg->row.state != SEG_CLOSED ||
	    (t->upload_told && !seg->tells_upload))
		return 0;
	t->upload_told = true;
	seg->tells_upload = true;
	return telling_upload_started(&seg->telling, t, &seg->row, w);
}

/** What was encoded here has a waveform; of copies waves.c makes it. */
static void put_wave(const struct seg *seg, struct store_write *w)
{
	char text[WAVE_TEXT_CAP];
	struct wave_row row;

	if (seg->row.state != SEG_CLOSED || !seg->peaks.n)
		return;
	wave_row_make(seg->row.id, &seg->peaks, text, &row);
	store_put_wave(w, &row);
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
	put_wave(seg, w);
	if (telling_add(&seg->telling, t, &seg->row, EVENT_COMPLETED, w) ||
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
		seg->row.frames = result->frames;
		str_copy(seg->row.sha256, sizeof(seg->row.sha256),
			 result->sha256);
	}
	step_done(seg);
}

static void set_by(struct segment_row *row, const struct by *by)
{
	str_copy(row->by_ip, sizeof(row->by_ip), by->ip);
	str_copy(row->by_platform, sizeof(row->by_platform), by->platform);
}

static void step_close(struct seg *seg)
{
	seg->step = SEG_CLOSE;
	set_by(&seg->row, &seg->ended_by);
	crash_point("segment.close");
	record_file_close(seg->open_file, on_closed, seg);
}

/* ---- or there never was a file ------------------------------------------ */

static void on_forgotten(const struct store_result *r, void *arg)
{
	struct seg *seg = arg;

	if (r->err && !was_made(seg, r, ENOENT))
		try_again(seg, r->text);
	else
		seg_free(seg);
}

/** An `opening` row without a file goes; its SeqNo stays used. */
static void step_forget(struct seg *seg)
{
	struct rooms *r = task_of(seg)->rooms;
	struct store_write *w = store_write_new();

	seg->step = SEG_FORGET;
	if (w)
		store_delete_segment(w, seg->row.id);
	store_commit(r->store, w, r->loop, on_forgotten, seg);
}

void seg_on_ended(struct seg *seg)
{
	if (seg->no_file)
		step_forget(seg);
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
	telling_settled(&seg->telling, task_of(seg), r);
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
	if (telling_add(&seg->telling, task_of(seg), &seg->row, EVENT_STARTED,
			w)) {
		store_write_free(w);
		try_again(seg, "out of memory");
		return;
	}
	store_commit(r->store, w, r->loop, on_tell_committed, seg);
}

/* ---- step 2: the file ------------------------------------------------------ */

static void on_opened(struct record_file *file,
		      const struct record_file_result *result, void *arg)
{
	struct seg *seg = arg;
	struct task *t = task_of(seg);

	crash_point("segment.opened");
	seg->open_file = file; /* also a dead one is ours to give back */
	if (!result->err) {
		step_tell(seg);
		return;
	}
	counter_add(COUNT_file_errors, 1);
	log_error("task=%" PRIu64 " user=%s seg=%" PRIu32 " not opened: %s",
		  seg->row.task, seg->row.user, seg->row.seq, result->text);
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
		.opening = &seg->opening,
		.loop = t->rooms->loop,
		.opened = on_opened,
		.failed = on_file_failed,
		.arg = seg,
	};
	struct record_file *file;

	if (r->err && !was_made(seg, r, EEXIST)) {
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
		.is_mix = tr->mode == MODE_MIXED,
		.task = t->row.id,
		.start_ms = seg->start_ms,
		.zone_minutes = t->recording.zone_minutes,
		.seq = tr->next_seq,
		.again = seg->start_ms / 1000 <= tr->last_start_s,
		.kind = seg->opening.kind,
	};

	seg->row = (struct segment_row){
		.id = store_next_id(t->rooms->store, IDS_SEGMENT),
		.task = t->row.id,
		.app = t->row.app,
		.mode = tr->mode,
		.seq = tr->next_seq++,
		.state = SEG_OPENING,
		.start_ms = seg->start_ms,
		.storage = t->row.storage,
	};
	str_copy(seg->row.storage_prefix, sizeof(seg->row.storage_prefix),
		 t->row.storage_prefix);
	str_copy(seg->row.room, sizeof(seg->row.room), t->row.room);
	str_copy(seg->row.user, sizeof(seg->row.user), tr->user);
	set_by(&seg->row, &seg->begun_by);
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
	struct seg *seg = CONTAINER_OF(timer, struct seg, retry);

	(void)now_us;
	list_remove(&seg->in_track);
	seg_on_begun(seg);
}

void seg_on_begun(struct seg *seg)
{
	struct task *t = seg->session->owner;
	struct task_track *tr = task_get_track(t, seg->user, seg->mode);

	if (!tr) {
		log_error("task=%" PRIu64 " user=%s waits: out of memory",
			  t->row.id, seg->user);
		list_append(&t->trackless, &seg->in_track);
		(void)keeper_arm(t->rooms, &seg->retry, RETRY_US,
				 on_begin_again);
		return;
	}
	seg->track = tr;
	seg->step = SEG_BEGUN;
	t->segs++;
	list_append(&tr->segs, &seg->in_track);
	if (list_first(&tr->segs) == &seg->in_track)
		step_row(seg);
}

/** Those of a track in their order: only the first is worked on. */
static void look_at_track(struct task_track *tr)
{
	struct link *l = list_first(&tr->segs);
	struct seg *first = l ? CONTAINER_OF(l, struct seg, in_track) : NULL;

	if (first && first->waits)
		on_retry(&first->retry, 0);
}

void seg_look(struct task *t)
{
	struct link trackless;

	list_take(&t->trackless, &trackless); /* some come back */
	LIST_EACH(&trackless, l, after)
	{
		struct seg *seg = CONTAINER_OF(l, struct seg, in_track);

		timer_stop(&seg->retry);
		on_begin_again(&seg->retry, 0);
	}
	LIST_EACH(&t->tracks, l, after)
	{
		look_at_track(CONTAINER_OF(l, struct task_track, in_task));
	}
}
