/** test/unit/rooms_retention_test.c -- what was kept long enough goes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms/private.h"
#include "rooms_aid.h"

static const int64_t day_us = 24 * 3600 * (int64_t)CLOCK_US_PER_S;
static const int64_t day_ms = 24 * 3600 * (int64_t)1000;

static size_t count(struct stage *st, enum store_what what, uint64_t task)
{
	return aid_count(&st->a, (struct store_filter){.what = what,
						       .task = task,
						       .state = -1,
						       .limit = 1000});
}

/** From now on they are kept so long, which is looked at soon. */
static void keep(struct stage *st, int64_t days, int64_t history_days)
{
	st->app.recording.keep_us = days * day_us;
	st->app.recording.keep_history_us = history_days * day_us;
	rooms_set_app(st->r, &st->app);
}

/** The clock has jumped ahead: the first look is put off, the next agrees. */
static void keep_at(struct stage *st, int64_t ms, int64_t days,
		    int64_t history_days)
{
	const int64_t before = counter_get(COUNT_retention_put_off);

	clock_shift_unix(ms);
	keep(st, days, history_days);
	UNTIL(st, counter_get(COUNT_retention_put_off) == before + 1);
	rooms_set_app(st->r, &st->app);
}

static void files_go_when_they_were_kept_long_enough(void **state)
{
	struct stage *st = *state;
	const int64_t before = counter_get(COUNT_retention_segments);
	uint64_t old, later;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	old = record_two(st, "room");
	clock_shift_unix(6 * day_ms);
	later = record_two(st, "room");
	keep_at(st, 11 * day_ms, 10, 90);
	UNTIL(st, count(st, READ_SEGMENTS, old) == 0);
	/* started, stopped, upload_started, upload_stopped stay, and the task */
	assert_int_equal(count(st, READ_EVENTS, old), 4);
	assert_int_equal(task_of_store(st, old).id, old);
	check_truth(st, later); /* files, manifests, events */
	assert_int_equal(files_below(st, "storage"), 4);
	check_totals(st);
	keep_at(st, 17 * day_ms, 10, 0);
	UNTIL(st, count(st, READ_SEGMENTS, later) == 0);
	UNTIL(st, counter_get(COUNT_retention_segments) == before + 4);
	assert_int_equal(files_below(st, "storage"), 0);
	assert_false(file_is_there(tempdir_path(
		st->storage, "1400000000_room_alice"))); /* nor a folder */
	assert_true(file_is_there(st->storage));
	check_empty(st);
}

static void ignore_erased(const struct erase_result *r, void *arg)
{
	(void)r;
	(void)arg;
}

static void history_goes_and_files_stay(void **state)
{
	struct stage *st = *state;
	const struct erase_wish all = {.app = APP, .room = "room"};
	struct store_rows rows;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_two(st, "room");
	keep_at(st, 91 * day_ms, 0, 90);
	UNTIL(st, count(st, READ_EVENTS, task) == 0);
	assert_int_equal(count(st, READ_DELIVERIES, task), 0);
	check_totals(st);
	rows = segments_of(st, task);
	assert_int_equal(rows.n, 2);
	for (size_t i = 0; i < rows.n; i++)
		check_file(st, &rows.segments[i]);
	check_manifest(st, task, &rows);
	store_rows_free(&rows);
	/* what is still there can be erased, and then the task goes, too */
	rooms_erase(st->r, &all, ignore_erased, NULL);
	UNTIL(st, count(st, READ_SEGMENTS, task) == 0);
	keep(st, 0, 90);
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .state = -1}) == 0);
	end(st);
	begin(st);
	assert_int_equal(st->r->last_task_id, task); /* is not given again */
}

static void both_go_together_when_both_are_over(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_two(st, "room");
	keep_at(st, 91 * day_ms, 30, 90);
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .state = -1}) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, task), 0);
	assert_int_equal(count(st, READ_EVENTS, task), 0);
	assert_int_equal(files_below(st, "storage"), 0);
	check_totals(st);
}

enum { UNKNOWN = 77, PENDING_TASK = 640, TOLD_TASK = 704, OPEN_TASK = 768 };

/** A task with a file by its rows, and what is told of it to somebody who is
 *  not there. */
static uint64_t put_task_in(struct stage *st, uint64_t id, int64_t finished_ms,
			    unsigned segments, enum delivery_state told,
			    uint64_t storage)
{
	struct task_row t = aid_task(id);
	struct event_row e = aid_event(&st->a, id, 0, NULL);
	struct delivery_row d = aid_delivery(&st->a, id, UNKNOWN);
	struct store_write *w = aid_write();

	t.state = TASK_STOPPED;
	t.stopped_ms = 2000;
	t.finished_ms = finished_ms;
	t.subscribe = (char *)(uintptr_t) "";
	t.storage = storage;
	store_put_task(w, &t);
	store_put_event(w, &e, &d, 1);
	if (told != DELIVERY_PENDING) {
		d.state = told;
		store_set_delivery(w, &d);
	}
	for (unsigned i = 0; i < segments; i++) {
		struct segment_row s = aid_segment(&st->a, id, "alice", i);

		store_put_segment(w, &s);
		s.state = SEG_CLOSED;
		s.size = 10;
		s.closed_ms = 6000;
		s.uploaded_ms = finished_ms ? 7000 : 0;
		store_set_segment(w, &s);
	}
	aid_commit(&st->a, w, 0);
	return d.id;
}

static uint64_t put_task(struct stage *st, uint64_t id, int64_t finished_ms,
			 unsigned segments, enum delivery_state told)
{
	return put_task_in(st, id, finished_ms, segments, told, 0);
}

static void what_is_not_told_or_not_stored_stays(void **state)
{
	struct stage *st = *state;
	struct delivery_row d = {.state = DELIVERY_DEAD, .attempts = 1};
	struct store_write *w;

	st->deaf = true;
	st->has_app = false; /* nobody looks after what is open */
	aid_open(&st->a);
	d.id = put_task(st, PENDING_TASK, 1000, 1, DELIVERY_PENDING);
	put_task(st, OPEN_TASK, 0, 1, DELIVERY_DELIVERED);
	put_task(st, TOLD_TASK, 2000, 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	keep(st, 1, 1); /* as new: it has nothing */
	keep(st, 1, 1);
	/* finished last, so the other was looked at before */
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .id = TOLD_TASK,
							  .state = -1}) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, PENDING_TASK), 1);
	assert_int_equal(count(st, READ_EVENTS, PENDING_TASK), 1);
	assert_int_equal(count(st, READ_SEGMENTS, OPEN_TASK), 1);
	assert_int_equal(count(st, READ_EVENTS, OPEN_TASK), 1);
	check_totals(st);
	w = aid_write();
	store_set_delivery(w, &d);
	aid_commit(&st->a, w, 0);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .id = PENDING_TASK,
							  .state = -1}) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, OPEN_TASK), 1);
	check_totals(st);
}

static void apps_that_are_not_configured_are_left_alone(void **state)
{
	struct stage *st = *state;
	const int64_t looks = counter_get(COUNT_retention_looks);

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TOLD_TASK, 1000, 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	st->app.id = APP + 1;
	begin(st);
	keep(st, 1, 1);
	UNTIL(st, counter_get(COUNT_retention_looks) > looks);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 1);
	assert_int_equal(count(st, READ_EVENTS, TOLD_TASK), 1);
}

static void what_cannot_be_removed_is_tried_again_and_holds_up_nobody(
	void **state)
{
	struct stage *st = *state;
	const int64_t failed = counter_get(COUNT_retention_failed);

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, PENDING_TASK, 1000, 1, DELIVERY_DELIVERED);
	put_task(st, TOLD_TASK, 2000, 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	set_fault("upload.erase=EACCES:1-1");
	begin(st);
	keep(st, 1, 0);
	UNTIL(st, count(st, READ_SEGMENTS, TOLD_TASK) == 0);
	assert_int_equal(counter_get(COUNT_retention_failed), failed + 1);
	assert_int_equal(segments_in(st, PENDING_TASK, NULL, SEG_ERASING), 1);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, count(st, READ_SEGMENTS, PENDING_TASK) == 0);
}

enum { LONG = 450 }; /* three slices */

static void a_long_task_goes_in_slices_also_over_a_restart(void **state)
{
	struct stage *st = *state;
	const int64_t before = counter_get(COUNT_retention_segments);

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TOLD_TASK, 1000, LONG, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	keep(st, 1, 1);
	UNTIL(st, counter_get(COUNT_retention_segments) > before);
	assert_true(counter_get(COUNT_retention_segments) - before < LONG);
	end(st); /* waits for a slice, whether it was done or given up */
	begin(st);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .state = -1}) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 0);
	check_totals(st);
}

/* ---- a change of mind ---------------------------------------------------------- */

enum { MANY = 40 };

/** MANY tasks begin to go.  Returns how many files have. */
static int64_t begin_to_go(struct stage *st)
{
	const int64_t before = counter_get(COUNT_retention_segments);

	st->deaf = true;
	aid_open(&st->a);
	for (unsigned i = 0; i < MANY; i++)
		put_task(st, 640 + 64 * i, 1000 + i, 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	keep(st, 1, 0);
	UNTIL(st, counter_get(COUNT_retention_segments) > before);
	return counter_get(COUNT_retention_segments);
}

/** A look ends; nothing went but what was under way. */
static void check_kept(struct stage *st, int64_t gone)
{
	const int64_t looks = counter_get(COUNT_retention_looks);

	UNTIL(st, counter_get(COUNT_retention_looks) > looks);
	assert_true(counter_get(COUNT_retention_segments) <= gone + 1);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_SEGMENTS,
							.state = SEG_ERASING}),
		0);
}

static void a_longer_time_is_for_the_look_under_way_too(void **state)
{
	struct stage *st = *state;
	const int64_t gone = begin_to_go(st);

	keep(st, 100000, 0);
	check_kept(st, gone);
}

static void so_is_for_ever(void **state)
{
	struct stage *st = *state;
	const int64_t gone = begin_to_go(st);

	keep(st, 0, 0);
	UNTIL(st, !st->r->erasures);
	keep(st, 100000, 0);
	check_kept(st, gone);
}

/* ---- a part, within bounds ----------------------------------------------------- */

static bool passes_none(const struct erase_place *place, const void *arg)
{
	(void)place;
	(void)arg;
	return false;
}

static bool passes_local(const struct erase_place *place, const void *arg)
{
	(void)arg;
	return place->slot == SLOT_LOCAL;
}

static struct erase_result erase_part(struct stage *st, uint64_t task,
				      const struct erase_bounds *b, int err)
{
	struct erase_result r;
	struct erase_place at;

	assert_int_equal(erase_told(st->r, task, b, &r, &at), err);
	return r;
}

static void a_part_is_told_and_ends_where_it_is_to(void **state)
{
	struct stage *st = *state;
	_Atomic bool given_up = false;
	struct erase_bounds b = {.part = 10,
				 .until_us = INT64_MAX,
				 .given_up = &given_up,
				 .is_passed = passes_none};
	struct erase_result r;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, PENDING_TASK, 1000, 2, DELIVERY_PENDING);
	put_task(st, TOLD_TASK, 2000, 4, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	(void)erase_part(st, PENDING_TASK, &b, EINPROGRESS);
	assert_int_equal(segments_in(st, PENDING_TASK, NULL, SEG_CLOSED), 2);
	b.is_passed = passes_local;
	(void)erase_part(st, TOLD_TASK, &b, EHOSTDOWN);
	b.is_passed = passes_none;
	given_up = true;
	r = erase_part(st, TOLD_TASK, &b, 0);
	assert_int_equal(r.erased, 0);
	assert_true(r.more);
	assert_int_equal(segments_in(st, TOLD_TASK, NULL, SEG_CLOSED), 4);
	given_up = false;
	b.until_us = 1; /* is over: a file goes all the same */
	r = erase_part(st, TOLD_TASK, &b, 0);
	assert_int_equal(r.erased, 1);
	assert_int_equal(r.bytes, 10);
	assert_true(r.more);
	assert_int_equal(segments_in(st, TOLD_TASK, NULL, SEG_CLOSED), 3);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 3);
	b.until_us = INT64_MAX;
	b.part = 2;
	r = erase_part(st, TOLD_TASK, &b, 0);
	assert_int_equal(r.erased, 2);
	assert_true(r.more);
	r = erase_part(st, TOLD_TASK, &b, 0);
	assert_int_equal(r.erased, 1);
	assert_false(r.more);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 0);
}

static void what_was_to_go_before_goes_on_when_a_part_is_given_up(void **state)
{
	struct stage *st = *state;
	_Atomic bool given_up = true;
	const struct erase_bounds b = {.part = 10,
				       .until_us = INT64_MAX,
				       .given_up = &given_up,
				       .is_passed = passes_none};
	struct store_rows rows;
	struct store_write *w = aid_write();

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TOLD_TASK, 2000, 3, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	rows = segments_of(st, TOLD_TASK);
	rows.segments[1].state = SEG_ERASING;
	store_set_segment(w, &rows.segments[1]);
	aid_commit(&st->a, w, 0);
	store_rows_free(&rows);
	(void)erase_part(st, TOLD_TASK, &b, 0);
	assert_int_equal(segments_in(st, TOLD_TASK, NULL, SEG_CLOSED), 2);
	assert_int_equal(segments_in(st, TOLD_TASK, NULL, SEG_ERASING), 1);
}

/* ---- what is away -------------------------------------------------------------- */

/** Lines of the log that have this in them. */
static char log_seeks[64];
static _Atomic unsigned log_found;

static void find_in_log(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	if (strstr(line, log_seeks))
		log_found++;
}

static void seek_in_log(const char *text)
{
	snprintf(log_seeks, sizeof(log_seeks), "%s", text);
	log_found = 0;
	log_set_sink(find_in_log, NULL);
}

static void a_storage_that_is_away_is_asked_once_a_look(void **state)
{
	struct stage *st = *state;
	const int64_t failed = counter_get(COUNT_retention_failed);
	const int64_t looks = counter_get(COUNT_retention_looks);

	st->deaf = true;
	aid_open(&st->a);
	/* buckets that the database does not know */
	for (uint64_t i = 0; i < 6; i++)
		put_task_in(st, 6400 + 64 * i, 500 + (int64_t)i, 1,
			    DELIVERY_DELIVERED, 9 + i % 2);
	put_task(st, PENDING_TASK, 1000, 1, DELIVERY_DELIVERED);
	put_task(st, TOLD_TASK, 2000, 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	set_fault("upload.erase=EAGAIN");
	begin(st);
	seek_in_log("retention: ");
	keep(st, 1, 0);
	UNTIL(st, counter_get(COUNT_retention_looks) > looks);
	/* two buckets and the folder, each named */
	assert_int_equal(counter_get(COUNT_retention_failed), failed + 3);
	assert_int_equal(log_found, 3);
	assert_int_equal(segments_in(st, PENDING_TASK, NULL, SEG_ERASING), 1);
	assert_int_equal(segments_in(st, TOLD_TASK, NULL, SEG_CLOSED), 1);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_SEGMENTS,
							.state = SEG_ERASING}),
		3);
	set_fault(NULL);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, count(st, READ_SEGMENTS, TOLD_TASK) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, PENDING_TASK), 0);
	log_set_sink(NULL, NULL);
}

static void a_task_that_has_only_lost_files_is_forgotten(void **state)
{
	struct stage *st = *state;
	struct store_write *w;
	struct segment_row lost;
	struct task_row t = aid_task(TOLD_TASK);

	st->deaf = true;
	aid_open(&st->a);
	lost = aid_segment(&st->a, TOLD_TASK, "alice", 0);
	t.state = TASK_STOPPED;
	t.finished_ms = 1000;
	t.subscribe = (char *)(uintptr_t) "";
	w = aid_write();
	store_put_task(w, &t);
	store_put_segment(w, &lost);
	lost.state = SEG_LOST;
	store_set_segment(w, &lost);
	aid_commit(&st->a, w, 0);
	store_close(st->a.s);
	begin(st);
	keep(st, 0, 1);
	UNTIL(st, aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							  .state = -1}) == 0);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 0);
}

/* ---- the clock ----------------------------------------------------------------- */

static void a_clock_that_jumps_ahead_must_be_so_at_the_next_look(void **state)
{
	struct stage *st = *state;
	const int64_t put_off = counter_get(COUNT_retention_put_off);
	const int64_t looks = counter_get(COUNT_retention_looks);

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TOLD_TASK, clock_unix_ms(), 1, DELIVERY_DELIVERED);
	store_close(st->a.s);
	begin(st);
	clock_shift_unix(2 * day_ms);
	keep(st, 1, 1);
	UNTIL(st, counter_get(COUNT_retention_put_off) == put_off + 1);
	/* it was wrong, and is right again */
	clock_shift_unix(0);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, counter_get(COUNT_retention_looks) == looks + 1);
	assert_int_equal(count(st, READ_SEGMENTS, TOLD_TASK), 1);
	/* less than an hour is nothing */
	clock_shift_unix(3500 * 1000);
	rooms_set_app(st->r, &st->app);
	UNTIL(st, counter_get(COUNT_retention_looks) == looks + 2);
	keep_at(st, 2 * day_ms, 1, 1);
	UNTIL(st, count(st, READ_SEGMENTS, TOLD_TASK) == 0);
	assert_int_equal(counter_get(COUNT_retention_put_off), put_off + 2);
}

static void what_is_to_go_is_said_at_the_start(void **state)
{
	struct stage *st = *state;

	st->deaf = true;
	seek_in_log("retention app=1400000000 keep=3d keep_history=90s");
	st->app.recording.keep_us = 3 * day_us;
	st->app.recording.keep_history_us = 90 * (int64_t)CLOCK_US_PER_S;
	begin(st);
	assert_int_equal(log_found, 1);
	rooms_set_app(st->r, &st->app); /* not again */
	assert_int_equal(log_found, 1);
	seek_in_log("retention app=1400000000 keep=0s keep_history=0s");
	keep(st, 0, 0);
	assert_int_equal(log_found, 1);
	end(st);
	begin(st); /* there is nothing to say */
	assert_int_equal(log_found, 1);
	log_set_sink(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(files_go_when_they_were_kept_long_enough),
		STAGE_TEST(history_goes_and_files_stay),
		STAGE_TEST(both_go_together_when_both_are_over),
		STAGE_TEST(what_is_not_told_or_not_stored_stays),
		STAGE_TEST(apps_that_are_not_configured_are_left_alone),
		STAGE_TEST(
			what_cannot_be_removed_is_tried_again_and_holds_up_nobody),
		STAGE_TEST(a_long_task_goes_in_slices_also_over_a_restart),
		STAGE_TEST(a_longer_time_is_for_the_look_under_way_too),
		STAGE_TEST(so_is_for_ever),
		STAGE_TEST(a_part_is_told_and_ends_where_it_is_to),
		STAGE_TEST(
			what_was_to_go_before_goes_on_when_a_part_is_given_up),
		STAGE_TEST(a_storage_that_is_away_is_asked_once_a_look),
		STAGE_TEST(a_task_that_has_only_lost_files_is_forgotten),
		STAGE_TEST(
			a_clock_that_jumps_ahead_must_be_so_at_the_next_look),
		STAGE_TEST(what_is_to_go_is_said_at_the_start),
	};

	return RUN_STAGES(tests);
}
