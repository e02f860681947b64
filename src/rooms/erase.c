/**
 * rooms/erase.c -- recordings that must go, and what is known of them.
 *
 *	1 rows `erasing`                                       commit
 *	2 files of the storage and the spool                   unlink
 *	3 the manifest without them; folders                   fsync
 *	4 events that are told, rows, empty tracks             commit
 *
 * So at no time is there a file that no row knows, or a row that is closed
 * without its file.  What is `erasing` is finished behind the next start; doing
 * any of it twice is harmless.
 *
 * All of it blocks, and runs on a thread of its own, a part a call: PART
 * segments, so that whoever asks is answered soon and a stop waits no longer.
 * What was kept long enough (retention.c) goes the same way, within bounds:
 * when it is to end in between, the rows whose files are still there become
 * again what they were, and what is gone goes through the steps that are left.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

enum { PART = 500, PAGE = 1000 };

struct erasure {
	struct rooms *rooms;
	struct job job;
	uint64_t task;
	uint32_t app;
	char room[ID_MAX + 1], user[ID_MAX + 1]; /* "": any */
	char client_ip[48];
	uint32_t part;			   /* segments at most */
	const struct erase_bounds *bounds; /* NULL: not of retention */
	struct erase_place at;		   /* worker: the last storage */
	struct let_go let_go;		   /* control loop; worker looks */
	uint64_t marked_to;		   /* worker: ids of what goes */
	rooms_erase_fn *done;
	void *arg;
	struct erase_result result; /* worker */
};

static int fail(struct err *e, int err, const char *what, const char *name)
{
	return err_set(e, err, "", "%s %.100s: %s", what, name, strerror(err));
}

static int commit(struct rooms *r, struct store_write *w, struct err *e)
{
	struct store_result result;

	if (!store_commit_wait(r->store, w, &result))
		return 0;
	return err_set(e, result.err, "", "erasing cannot be stored: %.150s",
		       result.text);
}

/* ---- steps 2 to 4, for one task -------------------------------------------- */

/** Segments of one task, on their way out. */
struct group {
	struct rooms *rooms;
	struct storages *storages;
	const struct segment_row *rows; /* in the state that they had before */
	size_t n;			/* those that go */
	const struct erase_bounds *bounds; /* NULL: none */
	struct erase_place at;		   /* the last one that was asked */
	struct folders touched[SLOT_N];
	struct folders left[SLOT_N];	/* that have the manifest */
	char manifest[RECORD_NAME_CAP]; /* its name */
};

/** The manifest without what is being erased.  A task without a row has no
 *  files. */
static int put_manifest(struct group *g, struct err *e)
{
	struct store_filter f = {
		.what = READ_TASKS,
		.id = g->rows[0].task,
		.state = -1,
		.limit = 1,
	};
	struct segment_row *all = NULL;
	size_t n = 0;
	struct store_rows rows;
	int err = store_read(g->rooms->store, &f, &rows);

	if (err)
		return fail(e, err, "cannot read", "the task");
	if (rows.n) {
		manifest_name(g->rooms, &rows.tasks[0], g->manifest);
		err = store_read_segments(g->rooms->store, f.id, &all, &n);
		if (err)
			fail(e, err, "cannot read", "the task's segments");
	}
	/* one that is not finished gets it then */
	if (rows.n && !err && rows.tasks[0].finished_ms)
		err = manifest_put(g->storages, &rows.tasks[0], all, n, g->left,
				   e);
	mem_free(all);
	store_rows_free(&rows);
	return err;
}

/** The manifest as earlier versions wrote it. */
static int drop_old_manifest(struct group *g, struct err *e)
{
	struct upload_storage *local;
	char name[64];
	int err = storages_get(g->storages, SLOT_LOCAL, &local, e);

	g->at.slot = SLOT_LOCAL;
	snprintf(name, sizeof(name), "manifests/%" PRIu32 "_%" PRIu64 ".json",
		 g->rows[0].app, g->rows[0].task);
	if (!err)
		err = upload_erase(local, name, e);
	if (!err)
		err = upload_drop_folder(local, "manifests", NULL, NULL, e);
	return err;
}

/** Manifests that nobody needs go, as do empty folders. */
static int drop_folders(struct group *g, enum slot slot, struct err *e)
{
	const struct map *touched = &g->touched[slot].map;
	struct upload_storage *storage;
	char mark[RECORD_NAME_CAP];
	int err;

	if (!touched->n)
		return 0;
	g->at.slot = slot;
	record_manifest_mark(g->rows[0].task, mark, sizeof(mark));
	err = storages_get(g->storages, slot, &storage, e);
	for (struct map_node *n = map_next(touched, NULL); n && !err;
	     n = map_next(touched, n)) {
		const char *name = CONTAINER_OF(n, struct folder, node)->name;
		bool is_left = folders_have(&g->left[slot], name);

		err = upload_drop_folder(storage, name, mark,
					 is_left ? g->manifest : NULL, e);
		storages_told(g->storages, slot, err);
	}
	return err;
}

/** A caller's bucket that never took the file, and cannot be asked now: what is
 *  here goes. */
static int erase_unstored(struct group *g, const struct segment_row *row,
			  struct err *e)
{
	int err = upload_drop_spool(&g->rooms->upload_config, row->file_name);

	log_warn("erase: task=%" PRIu64 " %s was never stored; whether the "
		 "bucket has a part of it cannot be told: %s",
		 row->task, row->file_name, e->text);
	*e = (struct err){0};
	return err ? fail(e, err, "cannot erase", row->file_name) : 0;
}

static int erase_file(struct group *g, const struct segment_row *row,
		      struct err *e)
{
	const enum slot slot = storages_slot(g->rooms, row);
	struct upload_storage *storage;
	int err = storages_get(g->storages, slot, &storage, e);

	g->at.slot = slot;
	if (!err)
		err = upload_erase(storage, row->file_name, e);
	storages_told(g->storages, slot, err);
	if (err && slot == SLOT_OWN && !row->uploaded_ms)
		return erase_unstored(g, row, e);
	if (err)
		return err;
	crash_point("erase.file");
	err = folders_add(&g->touched[slot], row->file_name);
	return err ? fail(e, err, "cannot erase", row->file_name) : 0;
}

/** Is it to end behind the first n files?  One goes in any case, unless it
 *  was given up. */
static bool is_bound(const struct group *g, size_t n)
{
	const struct erase_bounds *b = g->bounds;

	if (!b)
		return false;
	return atomic_load_explicit(b->given_up, memory_order_relaxed) ||
	       (n && clock_now_us() >= b->until_us);
}

/** Only the first n go. */
static int keep_others(struct group *g, size_t n, struct err *e)
{
	struct store_write *w = store_write_new();
	int err;

	for (size_t i = n; w && i < g->n; i++) {
		if (g->rows[i].state != SEG_ERASING)
			store_set_segment(w, &g->rows[i]);
	}
	g->at.slot = SLOT_N;
	err = commit(g->rooms, w, e);
	if (!err)
		g->n = n;
	return err;
}

static int erase_files(struct group *g, struct err *e)
{
	int err = 0;

	for (size_t i = 0; i < g->n && !err; i++) {
		if (is_bound(g, i))
			return keep_others(g, i, e);
		if (g->rooms->storage_stops)
			return err_set(e, ECANCELED, "",
				       "the server is stopping; it goes on "
				       "when it is started again");
		err = erase_file(g, &g->rows[i], e);
	}
	return err;
}

static int erase_rows(struct rooms *r, const struct segment_row *rows, size_t n,
		      struct err *e)
{
	struct store_write *w = store_write_new();

	if (w) {
		store_erase_events(w, rows[0].task);
		for (size_t i = 0; i < n; i++)
			store_erase_segment(w, rows[i].id);
		store_erase_tracks(w, rows[0].task);
	}
	return commit(r, w, e);
}

/** Files, then manifests and folders. */
static int erase_stored(struct group *g, struct err *e)
{
	int err;

	storages_begin(g->storages, g->rows[0].storage,
		       g->rows[0].storage_prefix);
	for (unsigned i = 0; i < SLOT_N; i++) {
		map_init(&g->touched[i].map);
		map_init(&g->left[i].map);
	}
	err = erase_files(g, e);
	if (!err && g->n)
		err = put_manifest(g, e);
	for (unsigned i = 0; i < SLOT_N && !err; i++)
		err = drop_folders(g, (enum slot)i, e);
	if (!err && g->n)
		err = drop_old_manifest(g, e);
	for (unsigned i = 0; i < SLOT_N; i++) {
		folders_fini(&g->touched[i]);
		folders_fini(&g->left[i]);
	}
	return err;
}

static int erase_group(struct group *g, struct err *e)
{
	int err = erase_stored(g, e);

	if (err || !g->n)
		return err;
	crash_point("erase.files");
	g->at.slot = SLOT_N;
	err = erase_rows(g->rooms, g->rows, g->n, e);
	if (!err)
		crash_point("erase.done");
	return err;
}

static int by_task(const void *a, const void *b)
{
	const struct segment_row *x = a;
	const struct segment_row *y = b;

	return (x->task > y->task) - (x->task < y->task);
}

int erase_marked(struct rooms *r, struct segment_row *rows, size_t n,
		 struct err *e)
{
	struct storages storages;
	size_t end;
	int err = 0;

	storages_init(&storages, r);
	if (n)
		qsort(rows, n, sizeof(*rows), by_task);
	for (size_t at = 0; at < n && !err; at = end) {
		struct group g = {
			.rooms = r, .storages = &storages, .rows = rows + at};

		end = at + 1;
		while (end < n && rows[end].task == rows[at].task)
			end++;
		g.n = end - at;
		err = erase_group(&g, e);
	}
	storages_fini(&storages);
	return err;
}

/** Those of one task, within its bounds; the first *n of them went. */
static int erase_within(struct erasure *x, const struct segment_row *rows,
			size_t *n)
{
	struct storages storages;
	struct group g = {.rooms = x->rooms,
			  .storages = &storages,
			  .rows = rows,
			  .n = *n,
			  .bounds = x->bounds,
			  .at = {SLOT_N, rows[0].storage}};
	int err;

	storages_init(&storages, x->rooms);
	err = erase_group(&g, &x->result.err);
	storages_fini(&storages);
	x->at = g.at;
	*n = g.n;
	return err;
}

/* ---- may it be? ------------------------------------------------------------ */

static const char *text_or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static struct store_filter filter_of(const struct erasure *x,
				     enum store_what what)
{
	return (struct store_filter){.what = what,
				     .task = x->task,
				     .app = x->app,
				     .room = text_or_null(x->room),
				     .state = -1};
}

/** Has the user a segment in this task? */
static int has_user(const struct erasure *x, uint64_t task, bool *has)
{
	struct store_filter f = {.what = READ_SEGMENTS,
				 .task = task,
				 .user = x->user,
				 .state = -1,
				 .limit = 1};
	struct store_rows rows;
	int err;

	*has = !x->user[0];
	if (*has)
		return 0;
	err = store_read(x->rooms->store, &f, &rows);
	if (err)
		return err;
	*has = rows.n > 0;
	store_rows_free(&rows);
	return 0;
}

static int refuse(struct erasure *x, const struct task_row *t)
{
	const char *state = task_state_name(t->state);

	if (t->state == TASK_RUNNING)
		return err_set(&x->result.err, EBUSY, "task",
			       "task %" PRIu64 " is %s: stop it first "
			       "(`tapeop stop %" PRIu64 "`)",
			       t->id, state, t->id);
	return err_set(&x->result.err, EBUSY, "task",
		       "task %" PRIu64 " is %s, but not finished: its files "
		       "are still being stored; try again soon",
		       t->id, state);
}

/** May it go though the task is not finished?  If that waits for nothing but
 *  storage, and what is to go is not being stored. */
static int may_go(const struct erasure *x, uint64_t task, bool *may)
{
	struct store_filter f = {.what = READ_SEGMENTS,
				 .task = task,
				 .user = text_or_null(x->user),
				 .state = -1,
				 .not_uploaded = true,
				 .limit = PAGE};
	struct store_rows rows;
	int err;

	*may = let_go_has_task(&x->let_go, task);
	if (!*may)
		return 0;
	err = store_read(x->rooms->store, &f, &rows);
	if (err)
		return err;
	*may = !rows.more;
	for (size_t i = 0; i < rows.n; i++)
		*may &= let_go_has_segment(&x->let_go, rows.segments[i].id);
	store_rows_free(&rows);
	return 0;
}

static int check_page(struct store_rows *rows, void *arg)
{
	struct erasure *x = arg;
	bool has = false, may = false;
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++) {
		err = has_user(x, rows->tasks[i].id, &has);
		if (!err && has)
			err = may_go(x, rows->tasks[i].id, &may);
		if (!err && has && !may)
			err = refuse(x, &rows->tasks[i]);
	}
	return err;
}

/** Refused while a task that it is about is not finished, and may become so. */
static int check_finished(struct erasure *x)
{
	struct store_filter f = filter_of(x, READ_TASKS);

	f.unfinished = true;
	f.limit = PAGE;
	return store_read_pages(x->rooms->store, &f, check_page, x);
}

/** Nothing was found: is there such a task?  What is left of what it told, for
 *  it was pending then, goes. */
static int erase_rest(struct erasure *x)
{
	struct store_filter f = {
		.what = READ_TASKS, .id = x->task, .state = -1, .limit = 1};
	struct store_write *w;
	struct store_rows rows;
	bool is_there;
	int err = store_read(x->rooms->store, &f, &rows);

	if (err)
		return err;
	is_there = rows.n > 0;
	store_rows_free(&rows);
	if (!is_there)
		return err_set(&x->result.err, ENOENT, "task",
			       "there is no task %" PRIu64, x->task);
	if (x->app || x->room[0] || x->user[0])
		return 0;
	w = store_write_new();
	if (w) {
		store_erase_events(w, x->task);
		store_erase_tracks(w, x->task);
	}
	return commit(x->rooms, w, &x->result.err);
}

/* ---- the worker ------------------------------------------------------------ */

static int mark(struct erasure *x, struct store_rows *rows)
{
	struct store_write *w = store_write_new();

	for (size_t i = 0; w && i < rows->n; i++) {
		struct segment_row *row = &rows->segments[i];
		const enum segment_state was = row->state;

		if (was == SEG_ERASING)
			continue;
		row->state = SEG_ERASING;
		store_set_segment(w, row);
		row->state = was;
	}
	if (w && x->bounds)
		store_must_be_told(w, x->task);
	if (commit(x->rooms, w, &x->result.err))
		return x->result.err.code;
	x->marked_to = rows->segments[rows->n - 1].id;
	return 0;
}

/** The first n of them went. */
static void count(struct erasure *x, const struct store_rows *rows, size_t n)
{
	x->result.erased = n;
	x->result.more = rows->more || n < rows->n;
	for (size_t i = 0; i < n; i++)
		x->result.bytes += rows->segments[i].size;
}

/** Is one of them in a storage that is to be passed? */
static bool is_passed(const struct erasure *x, const struct store_rows *rows)
{
	for (size_t i = 0; x->bounds && i < rows->n; i++) {
		const struct segment_row *row = &rows->segments[i];

		if (x->bounds->is_passed(
			    &(struct erase_place){storages_slot(x->rooms, row),
						  row->storage},
			    x->bounds->arg))
			return true;
	}
	return false;
}

static int erase_rows_of(struct erasure *x, struct store_rows *rows)
{
	size_t n = rows->n;
	int err = mark(x, rows);

	if (err)
		return err;
	crash_point("erase.marked");
	err = x->bounds ? erase_within(x, rows->segments, &n)
			: erase_marked(x->rooms, rows->segments, n,
				       &x->result.err);
	if (!err)
		count(x, rows, n);
	return err;
}

static int erase(struct erasure *x)
{
	struct store_filter f = filter_of(x, READ_SEGMENTS);
	struct store_rows rows;
	int err;

	f.user = text_or_null(x->user);
	f.limit = x->part;
	err = store_read(x->rooms->store, &f, &rows);
	if (err)
		return err;
	/* Behind the reading: what began since has no row in it. */
	err = is_passed(x, &rows) ? EHOSTDOWN : check_finished(x);
	if (!err && !rows.n && x->task)
		err = erase_rest(x);
	if (!err && rows.n)
		err = erase_rows_of(x, &rows);
	store_rows_free(&rows);
	return err;
}

/** The same, with a text in every case.  Returns 0 or its errno. */
static int erase_or_say(struct erasure *x)
{
	struct err *e = &x->result.err;
	int err = erase(x);

	if (err && !e->code)
		err_set(e, err, "", "erasing failed: %s", strerror(err));
	return err;
}

static void run(struct job *job)
{
	(void)erase_or_say(CONTAINER_OF(job, struct erasure, job));
}

int erase_told(struct rooms *r, uint64_t task, const struct erase_bounds *b,
	       struct erase_result *out, struct erase_place *at)
{
	struct erasure x = {.rooms = r,
			    .task = task,
			    .part = b->part,
			    .bounds = b,
			    .at = {.slot = SLOT_N}};
	int err;

	let_go_init(&x.let_go);
	err = erase_or_say(&x);
	*out = x.result;
	*at = x.at;
	return err;
}

/* ---- the control loop ------------------------------------------------------ */

/** Who had what erased stays to be read. */
static void audit(const struct erasure *x)
{
	const struct erase_result *res = &x->result;
	char whose[2 * ID_MAX + 96];
	size_t n = 0;

	whose[0] = 0;
	if (x->task)
		n = (size_t)snprintf(whose, sizeof(whose), " task=%" PRIu64,
				     x->task);
	if (x->app)
		n += (size_t)snprintf(whose + n, sizeof(whose) - n,
				      " app=%" PRIu32, x->app);
	if (x->room[0])
		n += (size_t)snprintf(whose + n, sizeof(whose) - n, " room=%s",
				      x->room);
	if (x->user[0])
		snprintf(whose + n, sizeof(whose) - n, " user=%s", x->user);
	if (res->err.code)
		log_warn("erase client=%s%s refused or failed: %s",
			 x->client_ip, whose, res->err.text);
	else
		log_info("erase client=%s%s segments=%" PRIu64 " bytes=%" PRId64
			 " more=%d",
			 x->client_ip, whose, res->erased, res->bytes,
			 res->more);
}

static void on_erased(struct job *job)
{
	struct erasure *x = CONTAINER_OF(job, struct erasure, job);
	struct rooms *r = x->rooms;

	audit(x);
	x->done(&x->result, x->arg);
	confirm_take_back(r, &x->let_go, x->marked_to);
	mem_free(x);
	r->erasures--;
	rooms_check_stopped(r);
}

static void copy_text(char *to, size_t cap, const char *from)
{
	str_copy(to, cap, from ? from : "");
}

void rooms_erase(struct rooms *r, const struct erase_wish *wish,
		 rooms_erase_fn *done, void *arg)
{
	struct erase_result failed = {0};
	struct erasure *x = r->stopping ? NULL : mem_zalloc(sizeof(*x));

	if (!x) {
		err_set(&failed.err, r->stopping ? ECANCELED : ENOMEM, "",
			r->stopping ? "the server is stopping"
				    : "out of memory");
		done(&failed, arg);
		return;
	}
	x->rooms = r;
	x->task = wish->task;
	x->app = wish->app;
	copy_text(x->room, sizeof(x->room), wish->room);
	copy_text(x->user, sizeof(x->user), wish->user);
	copy_text(x->client_ip, sizeof(x->client_ip), wish->client_ip);
	x->part = PART;
	x->done = done;
	x->arg = arg;
	x->job.run = run;
	let_go_init(&x->let_go);
	confirm_let_go(r, x->task, x->app, text_or_null(x->room),
		       text_or_null(x->user), &x->let_go);
	r->erasures++;
	workers_run(r->erasers, &x->job, r->loop, on_erased);
}

/* ---- what an earlier run has begun ------------------------------------------- */

struct resumption {
	struct rooms *rooms;
	struct job job;
};

/** Rows of one task; what cannot be removed keeps its row, and its file its
 *  place, until somebody asks for it again, or the next start. */
static void resume_group(struct rooms *r, struct segment_row *rows, size_t n)
{
	struct err e = {0};

	log_info("erase: finishing what was begun, task=%" PRIu64
		 " segments=%zu",
		 rows[0].task, n);
	if (erase_marked(r, rows, n, &e) && !r->storage_stops)
		log_error("erase: task=%" PRIu64 ": %s; ask for it again, or "
			  "start again",
			  rows[0].task, e.text);
}

/** ECANCELED: the server stops. */
static int resume_page(struct store_rows *page, void *arg)
{
	struct rooms *r = arg;
	struct segment_row *rows = page->segments;
	const size_t n = page->n;
	size_t end;

	qsort(rows, n, sizeof(*rows), by_task);
	for (size_t at = 0; at < n && !r->storage_stops; at = end) {
		end = at + 1;
		while (end < n && rows[end].task == rows[at].task)
			end++;
		resume_group(r, rows + at, end - at);
	}
	return r->storage_stops ? ECANCELED : 0;
}

static void resume_run(struct job *job)
{
	struct rooms *r = CONTAINER_OF(job, struct resumption, job)->rooms;
	const struct store_filter f = {
		.what = READ_SEGMENTS, .state = SEG_ERASING, .limit = PAGE};
	int err = store_read_pages(r->store, &f, resume_page, r);

	if (err && err != ECANCELED)
		log_error("erase: what was begun cannot be read: %s",
			  strerror(err));
}

static void on_resumed(struct job *job)
{
	struct resumption *x = CONTAINER_OF(job, struct resumption, job);
	struct rooms *r = x->rooms;

	mem_free(x);
	r->erasures--;
	rooms_check_stopped(r);
}

int erase_resume(struct rooms *r)
{
	struct resumption *x = mem_zalloc(sizeof(*x));

	if (!x)
		return ENOMEM;
	x->rooms = r;
	x->job.run = resume_run;
	r->erasures++;
	workers_run(r->erasers, &x->job, r->loop, on_resumed);
	return 0;
}
