/**
 * rooms/recovery.c -- after a crash, before any intake.
 *
 * WHAT  Every task that is not finished is looked at: its open segments are
 *       closed or given up, missing events are committed with that, closed
 *       segments that are not in storage are uploaded, files that no row
 *       knows go to quarantine; then running tasks and inputs are resumed.
 *
 *	row         file    becomes
 *	opening     none    deleted; its SeqNo stays used
 *	opening     there   closed + started + completed
 *	recording   there   closed + completed
 *	recording   none    lost + completed (file_missing)
 *	closed      -       uploaded if it is not yet
 *	erasing     -       deleted, and whatever file there is
 *
 * A task whose app is not configured waits, and so do its files.
 *
 * Running it twice (a crash during recovery) does the same: every step is
 * told by the rows, and events happen once by their `once` key.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

enum { PAGE = 500 };

/** A name below the spool that a row stands for. */
struct known {
	struct map_node node;
	char name[FILE_NAME_MAX];
};

struct recovery {
	struct rooms *rooms;
	struct map known;
	size_t closed, lost, resumed;
	struct err *e;
};

/* ---- one segment ------------------------------------------------------------------- */

static void found_row(struct segment_row *row, const struct record_found *f)
{
	if (f->there) {
		row->state = SEG_CLOSED;
		row->size = f->len;
		row->frames = f->frames;
		str_copy(row->sha256, sizeof(row->sha256), f->sha256);
		return;
	}
	row->state = SEG_LOST;
	str_copy(row->reason, sizeof(row->reason), "file_missing");
	str_copy(row->reason_text, sizeof(row->reason_text),
		 "the file was gone when the server started again");
}

/** Commit what became of the segment, with the events that are missing. */
static int commit_end(struct recovery *rc, struct task *t,
		      struct segment_row *row, bool was_opening)
{
	struct store_write *w = store_write_new();
	struct store_result result = {.err = ENOMEM};
	struct telling told = {0};
	int err = w ? 0 : ENOMEM;

	row->closed_ms = clock_unix_ms();
	if (!err && was_opening)
		err = telling_add(&told, t, row, EVENT_STARTED, w);
	/* the crash has ended it: nobody */
	row->by_ip[0] = row->by_platform[0] = 0;
	if (!err)
		store_set_segment(w, row);
	if (!err)
		err = telling_add(&told, t, row, EVENT_COMPLETED, w);
	if (!err && row->state == SEG_CLOSED && !t->upload_told) {
		t->upload_told = true;
		err = telling_upload_started(&told, t, row, w);
	}
	if (err)
		store_write_free(w);
	else
		err = store_commit_wait(rc->rooms->store, w, &result);
	telling_settled(&told, t, &result);
	return err;
}

static int delete_row(struct recovery *rc, const struct segment_row *row)
{
	struct store_write *w = store_write_new();
	struct store_result result;

	if (!w)
		return ENOMEM;
	store_delete_segment(w, row->id);
	return store_commit_wait(rc->rooms->store, w, &result);
}

static int recover_open(struct recovery *rc, struct task *t,
			struct segment_row *row)
{
	bool was_opening = row->state == SEG_OPENING;
	struct record_found found = {0};
	int err;

	crash_point("recovery.segment");
	err = record_recover(rc->rooms->spool_dir, row->file_name, &found,
			     rc->e);
	if (err)
		return err;
	if (was_opening && !found.there)
		return delete_row(rc, row);
	found_row(row, &found);
	err = commit_end(rc, t, row, was_opening);
	if (err)
		return err_set(rc->e, err, "store",
			       "recovery of %.100s cannot be stored: %s",
			       row->file_name, strerror(err));
	crash_point("recovery.settled");
	if (found.there)
		rc->closed++;
	else
		rc->lost++;
	counter_add(found.there ? COUNT_segments_recovered
				: COUNT_segments_lost,
		    1);
	log_info("room=%s task=%" PRIu64 " user=%s seg=%" PRIu32
		 " recovered as %s len_ms=%" PRIu64,
		 row->room, row->task, row->user, row->seq,
		 segment_state_name(row->state),
		 row->frames / SOUND_FRAMES_PER_MS);
	return 0;
}

static int remember(struct recovery *rc, const char *name)
{
	struct known *k = mem_zalloc(sizeof(*k));

	if (!k)
		return ENOMEM;
	str_copy(k->name, sizeof(k->name), name);
	if (map_add(&rc->known, &k->node, k->name, strlen(k->name))) {
		mem_free(k);
		return ENOMEM;
	}
	return 0;
}

static void forget_all(struct recovery *rc)
{
	struct map_node *n = map_next(&rc->known, NULL);

	while (n) {
		struct map_node *next = map_next(&rc->known, n);

		map_remove(&rc->known, n);
		mem_free(CONTAINER_OF(n, struct known, node));
		n = next;
	}
	map_fini(&rc->known);
}

/** SeqNo and file names go on behind this row. */
static int note_track(struct task *t, const struct segment_row *row)
{
	struct task_track *tr = task_get_track(t, row->user, row->mode);

	if (!tr)
		return ENOMEM;
	if (row->seq >= tr->next_seq)
		tr->next_seq = row->seq + 1;
	if (row->start_ms / 1000 > tr->last_start_s)
		tr->last_start_s = row->start_ms / 1000;
	return 0;
}

/** Where that cannot be told it is made again. */
static bool has_wave(const struct rooms *r, const struct segment_row *row)
{
	struct store_filter f = {
		.what = READ_WAVES, .id = row->id, .state = -1, .limit = 1};
	struct store_rows rows;
	bool is_there;

	if (store_read(r->store, &f, &rows))
		return false;
	is_there = rows.n > 0;
	store_rows_free(&rows);
	return is_there;
}

static int recover_segment(struct recovery *rc, struct task *t,
			   struct segment_row *row)
{
	int err = note_track(t, row);

	if (!err && (row->state == SEG_OPENING || row->state == SEG_RECORDING))
		err = recover_open(rc, t, row);
	if (err || row->state != SEG_CLOSED)
		return err;
	t->is_left |= row->is_left;
	if (row->uploaded_ms)
		return 0;
	err = remember(rc, row->file_name);
	if (!err && !has_wave(rc->rooms, row))
		waves_add(rc->rooms, row, false);
	if (!err)
		err = confirm_begin(t, row);
	return err;
}

/* ---- one task ------------------------------------------------------------------------ */

/** The segments of a task. */
static struct store_filter segments_of(uint64_t task)
{
	return (struct store_filter){.what = READ_SEGMENTS,
				     .task = task,
				     .state = -1,
				     .limit = PAGE};
}

/** A task that is in memory again. */
struct restored {
	struct recovery *recovery;
	struct task *task;
};

static int recover_segments(struct store_rows *rows, void *arg)
{
	const struct restored *x = arg;
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++)
		err = recover_segment(x->recovery, x->task, &rows->segments[i]);
	return err;
}

static int keep_files(struct store_rows *rows, void *arg)
{
	struct recovery *rc = arg;
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++) {
		if (!rows->segments[i].uploaded_ms)
			err = remember(rc, rows->segments[i].file_name);
	}
	return err;
}

/** The task cannot be restored: its files wait in the spool. */
static int keep_task(struct recovery *rc, uint64_t task)
{
	const struct store_filter f = segments_of(task);

	return store_read_pages(rc->rooms->store, &f, keep_files, rc);
}

/** The first segment that was closed has told that uploads begin. */
static int was_upload_told(struct recovery *rc, struct task *t)
{
	struct store_filter f = {.what = READ_SEGMENTS,
				 .task = t->row.id,
				 .state = SEG_CLOSED,
				 .limit = 1};
	struct store_rows rows;
	int err = store_read(rc->rooms->store, &f, &rows);

	if (err)
		return err;
	t->upload_told = rows.n > 0;
	store_rows_free(&rows);
	return 0;
}

static int recover_task(struct recovery *rc, struct task_row *row)
{
	struct rooms *r = rc->rooms;
	const struct store_filter segments = segments_of(row->id);
	bool resume = row->state == TASK_RUNNING;
	struct task *t;
	int err;

	if (!storages_know(r, row->storage)) {
		log_error("task=%" PRIu64 " waits: the database has lost the "
			  "bucket of its files",
			  row->id);
		return keep_task(rc, row->id);
	}
	if (!rooms_find_app(r, row->app)) {
		log_warn("task=%" PRIu64 " waits: app %" PRIu32
			 " is not configured",
			 row->id, row->app);
		return keep_task(rc, row->id);
	}
	err = task_restore(r, row, &t);
	if (!err)
		err = was_upload_told(rc, t);
	if (!err)
		err = store_read_pages(r->store, &segments, recover_segments,
				       &(struct restored){rc, t});
	if (err)
		return err;
	if (!resume) {
		task_check(t);
		return 0;
	}
	rc->resumed++;
	return task_resume(t);
}

static int recover_tasks(struct store_rows *rows, void *arg)
{
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++)
		err = recover_task(arg, &rows->tasks[i]);
	return err;
}

static int recover_unfinished(struct recovery *rc)
{
	const struct store_filter f = {.what = READ_TASKS,
				       .state = -1,
				       .unfinished = true,
				       .limit = PAGE};

	return store_read_pages(rc->rooms->store, &f, recover_tasks, rc);
}

/* ---- files and inputs ------------------------------------------------------------------ */

/** Was it stored in a bucket?  It was confirmed before the row said so: at the
 *  start nobody waits for a store. */
static bool is_in_bucket(const struct rooms *r, const char *name,
			 struct segment_row *row)
{
	struct store_filter f = {.what = READ_SEGMENTS,
				 .file_name = name,
				 .state = SEG_CLOSED,
				 .limit = 1};
	struct store_rows rows;
	bool is_there;

	if (store_read(r->store, &f, &rows))
		return false;
	is_there = rows.n && rooms_segment_is_remote(&rows.segments[0]);
	if (is_there)
		*row = rows.segments[0];
	store_rows_free(&rows);
	return is_there;
}

/** A crash between the commit of `uploaded` and the removal of the spool's
 *  copy: the same file is in storage. */
static bool is_stored(struct rooms *r, const char *name)
{
	char spool[1280], stored[1280], a[65], b[65];
	struct segment_row row;
	int64_t len_a, len_b;

	if (is_in_bucket(r, name, &row))
		return (!has_wave(r, &row) && waves_add(r, &row, true)) ||
		       upload_drop_spool(&r->upload_config, name) == 0;
	snprintf(spool, sizeof(spool), "%s/%s", r->spool_dir, name);
	snprintf(stored, sizeof(stored), "%s/%s", r->storage_dir, name);
	if (file_sha256(stored, b, &len_b) || file_sha256(spool, a, &len_a) ||
	    len_a != len_b || strcmp(a, b))
		return false;
	return upload_drop_spool(&r->upload_config, name) == 0;
}

/** What is known of an upload that was begun goes with its file; behind it
 *  stands what a crash left of writing that. */
static bool is_upload_state(const char *name, char *plain, size_t cap,
			    bool *is_temporary)
{
	const char *slash = strrchr(name, '/'); /* folders may have any name */
	const char *end = slash ? strstr(slash, UPLOAD_STATE_SUFFIX) : NULL;
	const char *rest = end ? end + strlen(UPLOAD_STATE_SUFFIX) : "";

	if (!end || (*rest && *rest != '.') || !str_copy(plain, cap, name))
		return false;
	plain[end - name] = 0;
	*is_temporary = *rest != 0;
	return true;
}

static bool is_known(const char *name, void *arg)
{
	struct recovery *rc = arg;
	char plain[FILE_NAME_MAX], path[1280];
	bool is_temporary = false;

	if (is_upload_state(name, plain, sizeof(plain), &is_temporary)) {
		snprintf(path, sizeof(path), "%s/%s", rc->rooms->spool_dir,
			 name);
		if (is_temporary && !unlink(path))
			return true;
		name = plain;
	}
	return map_find(&rc->known, name, strlen(name)) ||
	       is_stored(rc->rooms, name);
}

static int keep_marked(struct store_rows *rows, void *arg)
{
	struct recovery *rc = arg;
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++)
		err = remember(rc, rows->segments[i].file_name);
	rc->rooms->was_erasing = true;
	return err;
}

/** What was being erased goes on behind the start, for a bucket may keep that
 *  waiting (erase_resume); until then its files have a row. */
static int keep_erasing(struct recovery *rc)
{
	const struct store_filter f = {
		.what = READ_SEGMENTS, .state = SEG_ERASING, .limit = PAGE};

	return store_read_pages(rc->rooms->store, &f, keep_marked, rc);
}

static int resume_members(struct store_rows *rows, void *arg)
{
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++)
		err = member_resume(arg, &rows->inputs[i]);
	return err;
}

static int resume_inputs(struct rooms *r)
{
	const struct store_filter f = {
		.what = READ_INPUTS, .state = -1, .limit = PAGE};

	return store_read_pages(r->store, &f, resume_members, r);
}

int recovery_run(struct rooms *r, struct err *e)
{
	struct recovery rc = {.rooms = r, .e = e};
	size_t moved = 0;
	int err;

	map_init(&rc.known);
	r->last_task_id = store_known_id(r->store, IDS_TASK);
	err = recover_unfinished(&rc);
	if (!err)
		err = keep_erasing(&rc);
	if (!err)
		err = record_quarantine(r->spool_dir, r->quarantine_dir,
					is_known, &rc, &moved);
	crash_point("recovery.quarantined");
	if (!err)
		err = resume_inputs(r);
	forget_all(&rc);
	if (err && !e->code)
		err_set(e, err, "", "recovery failed: %s", strerror(err));
	if (!err && (rc.closed || rc.lost || rc.resumed || moved))
		log_info("recovery: %zu segments closed, %zu lost, %zu tasks "
			 "resumed, %zu files quarantined",
			 rc.closed, rc.lost, rc.resumed, moved);
	return err;
}
