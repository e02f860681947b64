/**
 * rooms/retention.c -- what was kept for as long as it was to be kept.
 *
 * WHAT  Of tasks that finished `keep` ago the files go, in the way of erase.c;
 *       of those that finished `keep_history` ago the events, the deliveries
 *       and, once there is no file of it, the task go.
 * WHY   A finished task has all its files in storage, and its events are rows.
 *       So what is not uploaded is not looked at, and what has a pending
 *       delivery waits: both are asked again in the transaction that acts.
 * DESIGN
 *   - A look walks all finished tasks by when they finished, in slices with a
 *     rest between them.  A slice ends with the files of one task (at most
 *     FILES of them), after ROWS rows, after PAGES pages that had nothing, or
 *     after SLICE_US, with the file that is under way then.
 *   - Each slice goes by what is configured when it begins.  When that changes
 *     the slice ends with the file under way, and the look goes on by the new
 *     times.
 *   - Slices run on the thread of erasures, so what somebody asks to be erased
 *     waits for one slice at most, and no task is worked on twice.
 *   - A task whose files cannot be removed is passed; its rows are `erasing`,
 *     and the next look, or the next start, tries again.  A storage that does
 *     not answer, or not well, is passed for the rest of the look: each of its
 *     tasks would cost another timeout.
 *   - What is over is known by the wall clock alone.  So the first look is a
 *     while after the start, when that clock may have been set, and a look that
 *     finds it more than JUMP_MS ahead of the monotonic one since the last look
 *     leaves it to the next that agrees.
 *   - The time between two looks is a tenth of the shortest time to keep, from
 *     one second to five minutes.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "rooms/private.h"

enum {
	FILES = 200,
	ROWS_A_WRITE = 200,
	ROWS = 2000,
	PAGE = 500,
	PAGES = 20,
	REST_US = 50 * 1000,
	SLICE_US = 5 * 1000 * 1000,
	LOOKS_MIN_US = 1000 * 1000,
	LOOKS_MAX_US = 300 * 1000 * 1000,
	JUMP_MS = 3600 * 1000,
	FAILED_MAX = 256
};

/** How long an app's are kept; 0: for ever. */
struct policy {
	uint32_t app;
	int64_t keep_ms, history_ms;
};

/** What went in a slice. */
struct removed {
	uint64_t task; /* whose files */
	uint64_t segments, rows;
	int64_t bytes;
};

/** A storage that failed in this look. */
struct failed {
	struct erase_place place;
	bool is_away; /* it is not asked again */
};

struct retention {
	struct rooms *rooms;
	_Atomic bool is_stale; /* the slice goes by times that have changed */
	/* control loop */
	struct timer rest;
	int64_t next_us;	  /* a look begins */
	bool is_looking;	  /* one was begun */
	bool is_out;		  /* a slice is with the worker */
	int64_t seen_us, seen_ms; /* the clocks at the last look */
	/* worker, while a slice is out */
	struct job job;
	struct policy policies[ROOMS_APPS_MAX];
	size_t n_policies;
	int64_t now_ms, before_ms;	  /* nothing that finished later */
	int64_t until_us;		  /* the slice ends */
	struct failed failed[FAILED_MAX]; /* in this look; others are logged
					     each time */
	size_t n_failed;
	struct finished_row at; /* up to here it was looked */
	bool again;		/* the next one has more to go */
	bool more;		/* slices are to follow */
	bool is_lost;		/* or not, whatever there is */
	struct removed removed;
	struct err err; /* why the files of a task stay */
	bool is_news;	/* for the first time in this look */
};

/* ---- a slice: the worker ---------------------------------------------------- */

static const struct policy *policy_of(const struct retention *x, uint32_t app)
{
	for (size_t i = 0; i < x->n_policies; i++) {
		if (x->policies[i].app == app)
			return &x->policies[i];
	}
	return NULL;
}

/** The database fails: so it would for the next task. */
static void fail(struct retention *x, int err, const char *text)
{
	err_set(&x->err, err, "", "%.150s", text);
	x->is_lost = x->is_news = true;
}

/** Was it given up? */
static bool is_ended(const struct retention *x)
{
	return x->rooms->storage_stops ||
	       atomic_load_explicit(&x->is_stale, memory_order_relaxed);
}

static bool is_late(const struct retention *x)
{
	return clock_now_us() >= x->until_us;
}

/** Its index, or n_failed. */
static size_t find_failed(const struct retention *x,
			  const struct erase_place *place)
{
	size_t i = 0;

	while (i < x->n_failed && (x->failed[i].place.slot != place->slot ||
				   (place->slot == SLOT_OWN &&
				    x->failed[i].place.own != place->own)))
		i++;
	return i;
}

/** Is it the whole storage that fails, and not this file? */
static bool is_of_storage(int err)
{
	switch (err) {
	case EAGAIN:
	case ETIMEDOUT:
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
	case EADDRNOTAVAIL:
	case EPROTO:
	case ENXIO:
	case ETIME:
	case EIO:
		return true;
	default:
		return false;
	}
}

static void remember(struct retention *x, const struct erase_place *place,
		     const struct err *e)
{
	const size_t i = find_failed(x, place);

	x->err = *e;
	x->is_news = i == x->n_failed;
	if (i == FAILED_MAX)
		return;
	x->n_failed += x->is_news;
	x->failed[i].place = *place;
	x->failed[i].is_away = place->slot != SLOT_N && is_of_storage(e->code);
}

static bool is_passed(const struct erase_place *place, const void *arg)
{
	const struct retention *x = arg;
	const size_t i = find_failed(x, place);

	return i < x->n_failed && x->failed[i].is_away;
}

static bool is_over(const struct retention *x, const struct finished_row *row,
		    int64_t keep_ms)
{
	return keep_ms && row->finished_ms + keep_ms <= x->now_ms;
}

/** Returns false when they stay, or some do. */
static bool drop_files(struct retention *x, uint64_t task)
{
	const struct erase_bounds bounds = {.part = FILES,
					    .until_us = x->until_us,
					    .given_up = &x->is_stale,
					    .is_passed = is_passed,
					    .arg = x};
	struct erase_result result;
	struct erase_place at;
	int err = erase_told(x->rooms, task, &bounds, &result, &at);

	/* something was replayed; or its storage was away already */
	if (err == EINPROGRESS || err == EHOSTDOWN)
		return false;
	if (err) {
		remember(x, &at, &result.err);
		return false;
	}
	x->removed.task = task;
	x->removed.segments += result.erased;
	x->removed.bytes += result.bytes;
	x->again = result.more;
	return !result.more;
}

static void drop_rows(struct retention *x, uint64_t task)
{
	struct store_result result;
	struct store_write *w;

	do {
		x->again = x->removed.rows >= ROWS || is_ended(x) ||
			   (x->removed.rows && is_late(x));
		if (x->again)
			return;
		w = store_write_new();
		if (w)
			store_prune(w, task, ROWS_A_WRITE);
		if (store_commit_wait(x->rooms->store, w, &result)) {
			fail(x, result.err, result.text);
			return;
		}
		crash_point("retention.rows");
		x->removed.rows += result.changed;
	} while (result.changed >= ROWS_A_WRITE);
}

static void look_at(struct retention *x, const struct finished_row *row)
{
	const struct policy *p = policy_of(x, row->app);
	bool files = p && row->has_segments && is_over(x, row, p->keep_ms);
	bool rows = p && is_over(x, row, p->history_ms) &&
		    (files || row->has_events || !row->has_files);
	const struct erase_place own = {SLOT_OWN, row->storage};
	bool is_told = false;
	int err;

	if (!files && !rows)
		return;
	if (files && row->storage && is_passed(&own, x))
		return;
	err = store_is_told(x->rooms->store, row->id, &is_told);
	if (err)
		fail(x, err, strerror(err));
	if (!is_told || (files && !drop_files(x, row->id)))
		return;
	if (rows)
		drop_rows(x, row->id);
}

static bool is_full(const struct retention *x)
{
	return x->again || x->removed.segments || x->removed.rows >= ROWS ||
	       x->err.code || is_ended(x) || is_late(x);
}

/** Returns false when there is no page behind it, or the slice is full. */
static bool look_at_page(struct retention *x)
{
	struct finished_row rows[PAGE];
	size_t n = 0;
	int err = store_read_finished(x->rooms->store, &x->at, x->before_ms,
				      rows, PAGE, &n);

	if (err)
		fail(x, err, strerror(err));
	x->more = n == PAGE;
	for (size_t i = 0; i < n; i++) {
		look_at(x, &rows[i]);
		if (!x->again)
			x->at = rows[i];
		if (!is_full(x))
			continue;
		x->more |= x->again || i + 1 < n;
		return false;
	}
	return x->more;
}

static void run(struct job *job)
{
	struct retention *x = CONTAINER_OF(job, struct retention, job);

	for (unsigned i = 0; i < PAGES && look_at_page(x); i++)
		;
}

/* ---- looks: the control loop ------------------------------------------------- */

/** Take what is true now.  Returns the shortest time to keep [ms], 0: none. */
static int64_t take_policies(struct retention *x)
{
	const struct rooms *r = x->rooms;
	const unsigned n =
		atomic_load_explicit(&r->n_apps, memory_order_relaxed);
	int64_t least = 0;

	x->n_policies = 0;
	for (unsigned i = 0; i < n; i++) {
		const struct recording_config *c = &r->apps[i].recording;
		const int64_t ms[] = {c->keep_us / CLOCK_US_PER_MS,
				      c->keep_history_us / CLOCK_US_PER_MS};

		x->policies[x->n_policies++] =
			(struct policy){r->apps[i].id, ms[0], ms[1]};
		for (size_t k = 0; k < ARRAY_LEN(ms); k++) {
			if (ms[k] && (!least || ms[k] < least))
				least = ms[k];
		}
	}
	return least;
}

static void on_slice(struct job *job);

/** When nothing is to go any more, that was the look. */
static void begin_slice(struct retention *x)
{
	struct rooms *r = x->rooms;
	int64_t least_ms;

	atomic_store_explicit(&x->is_stale, false, memory_order_relaxed);
	least_ms = take_policies(x);
	x->is_looking = least_ms != 0;
	if (!least_ms)
		return;
	x->before_ms = x->now_ms - least_ms + 1;
	x->until_us = clock_now_us() + SLICE_US;
	x->removed = (struct removed){0};
	x->err = (struct err){0};
	x->again = x->more = x->is_lost = x->is_news = false;
	x->is_out = true;
	r->erasures++;
	x->job.run = run;
	workers_run(r->erasers, &x->job, r->loop, on_slice);
}

static void set_next(struct retention *x, int64_t now_us)
{
	int64_t period_us = take_policies(x) * CLOCK_US_PER_MS / 10;

	if (period_us < LOOKS_MIN_US)
		period_us = LOOKS_MIN_US;
	if (period_us > LOOKS_MAX_US)
		period_us = LOOKS_MAX_US;
	x->next_us = now_us + period_us;
}

/** How far the wall clock has got ahead of the other since the last time. */
static int64_t read_clocks(struct retention *x, int64_t now_us)
{
	const int64_t now_ms = clock_unix_ms();
	const int64_t ahead_ms =
		now_ms - x->seen_ms - (now_us - x->seen_us) / CLOCK_US_PER_MS;

	x->seen_us = now_us;
	x->seen_ms = now_ms;
	return ahead_ms;
}

static void begin_look(struct retention *x, int64_t now_us)
{
	const int64_t ahead_ms = read_clocks(x, now_us);

	set_next(x, now_us);
	if (ahead_ms > JUMP_MS) {
		counter_add(COUNT_retention_put_off, 1);
		log_warn("retention: the clock is %" PRId64
			 " s ahead of what has passed since the last look: "
			 "nothing goes before the next one",
			 ahead_ms / 1000);
		return;
	}
	x->now_ms = x->seen_ms;
	x->at = (struct finished_row){0};
	x->n_failed = 0;
	begin_slice(x);
}

static void on_rested(struct timer *timer, int64_t now_us)
{
	struct retention *x = CONTAINER_OF(timer, struct retention, rest);

	(void)now_us;
	if (!x->rooms->stopping)
		begin_slice(x);
}

/** For the log, in the words of the settings. */
static void write_time(int64_t us, char out[32])
{
	const int64_t s = us / CLOCK_US_PER_S;

	if (us % CLOCK_US_PER_S)
		snprintf(out, 32, "%" PRId64 "ms", us / CLOCK_US_PER_MS);
	else if (s && s % 86400 == 0)
		snprintf(out, 32, "%" PRId64 "d", s / 86400);
	else
		snprintf(out, 32, "%" PRId64 "s", s);
}

void retention_announce(const struct rooms_app *app)
{
	char keep[32], history[32];

	write_time(app->recording.keep_us, keep);
	write_time(app->recording.keep_history_us, history);
	log_info("retention app=%" PRIu32 " keep=%s keep_history=%s", app->id,
		 keep, history);
}

/** Files are told of by task, as it was when they were made. */
static void tell(struct retention *x)
{
	const struct removed *gone = &x->removed;

	counter_add(COUNT_retention_segments, (int64_t)gone->segments);
	counter_add(COUNT_retention_bytes, gone->bytes);
	counter_add(COUNT_retention_rows, (int64_t)gone->rows);
	if (gone->segments)
		log_info("retention task=%" PRIu64 " segments=%" PRIu64
			 " bytes=%" PRId64 " rows=%" PRIu64,
			 gone->task, gone->segments, gone->bytes, gone->rows);
	else if (gone->rows)
		log_info("retention rows=%" PRIu64, gone->rows);
	if (!x->err.code || x->rooms->stopping)
		return;
	counter_add(COUNT_retention_failed, 1);
	if (x->is_news)
		log_warn("retention: %s; it is tried again at the next look",
			 x->err.text);
}

static void on_slice(struct job *job)
{
	struct retention *x = CONTAINER_OF(job, struct retention, job);
	struct rooms *r = x->rooms;

	x->is_out = false;
	r->erasures--;
	tell(x);
	if (r->stopping) {
		rooms_check_stopped(r);
		return;
	}
	x->is_looking = x->more && !x->is_lost;
	/* without memory for the timer the keeper's next round does it */
	if (x->is_looking)
		(void)keeper_arm(r, &x->rest, REST_US, on_rested);
	else if (!x->is_lost)
		counter_add(COUNT_retention_looks, 1);
}

void retention_look(struct rooms *r, int64_t now_us)
{
	struct retention *x = r->retention;

	if (x->is_out || timer_is_armed(&x->rest))
		return;
	if (x->is_looking)
		begin_slice(x);
	else if (now_us >= x->next_us)
		begin_look(x, now_us);
}

void retention_start(struct rooms *r)
{
	struct retention *x = r->retention;
	const int64_t now_us = clock_now_us(); /* the loop's is older */

	(void)read_clocks(x, now_us);
	set_next(x, now_us);
}

void retention_look_anew(struct rooms *r)
{
	struct retention *x = r->retention;

	x->next_us = 0;
	atomic_store_explicit(&x->is_stale, true, memory_order_relaxed);
}

int retention_new(struct rooms *r)
{
	r->retention = mem_zalloc(sizeof(*r->retention));
	if (!r->retention)
		return ENOMEM;
	r->retention->rooms = r;
	return 0;
}

void retention_free(struct rooms *r)
{
	struct retention *x = r->retention;

	if (!x)
		return;
	assert(!x->is_out);
	timer_stop(&x->rest);
	mem_free(x);
}
