/** test/unit/rooms_story_test.c -- the whole story of a recording, and what
 *  may happen at the same time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

enum { SEGMENT_US = 500 * 1000, OFFSETS = 10 };

static void a_voice_becomes_files_and_the_backend_is_told_in_order(void **state)
{
	struct stage *st = *state;
	int64_t closed = counter_get(COUNT_segments_closed);
	int64_t events = counter_get(COUNT_events);
	struct truth truth;
	uint64_t task;

	st->app.recording.segment_us = SEGMENT_US;
	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	assert_int_equal(counter_get(COUNT_inputs), 2);
	task = record(st, "room");
	assert_int_equal(counter_get(COUNT_tasks_running), 1);
	UNTIL(st, segments_in(st, task, "alice", SEG_CLOSED) >= 3 &&
			  segments_in(st, task, "bob", SEG_CLOSED) >= 3);
	finish(st, task);
	truth = check_truth(st, task);
	check_empty(st);
	assert_int_equal(truth.lost, 0);
	assert_true(truth.closed >= 6);
	assert_int_equal(counter_get(COUNT_segments_closed) - closed,
			 truth.closed);
	for (int i = EVENT_UPLOADED + 1; i < EVENT_KIND_N; i++)
		if (truth.kinds[i] !=
		    (i >= EVENT_TASK_STARTED && i <= EVENT_FILES_READY))
			fail_msg("%u of %s", truth.kinds[i],
				 event_kind_name((enum event_kind)i));
	/* task_started, task_stopped, upload_started, upload_stopped,
	 * files_ready */
	assert_int_equal(counter_get(COUNT_events) - events,
			 3 * truth.closed + 5);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
}

static void of_two_starts_at_once_one_wins_and_the_other_is_told(void **state)
{
	struct stage *st = *state;
	struct answer first, second, third;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &first);
	start(st, "room", &second); /* the first's commit is not durable */
	assert_int_equal(first.calls, 0);
	assert_int_equal(second.calls, 1);
	assert_int_equal(second.err, EEXIST);
	UNTIL(st, first.calls);
	assert_int_equal(first.err, 0);
	start(st, "room", &third);
	assert_int_equal(third.err, EEXIST);
	finish(st, first.id);
	assert_int_equal(first.calls + second.calls + third.calls, 3);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							.state = -1}),
		1);
	check_truth(st, first.id);
	start(st, "room", &third); /* and the room is free again */
	UNTIL(st, third.calls);
	assert_int_equal(third.err, 0);
	finish(st, third.id);
	check_empty(st);
}

static void a_stop_while_starting_stops_what_starts(void **state)
{
	struct stage *st = *state;
	struct answer started, stopped, again, changed = {0};
	const struct subscription nobody = {
		.allow = true, .users = {"nobody"}, .n = 1};
	uint64_t task = 0;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &started);
	task = newest_task(st);
	assert_true(task != 0);
	subscribe(st, task, &nobody, &changed);
	stop(st, task, &stopped);
	stop(st, task, &again);
	assert_int_equal(
		started.calls + stopped.calls + again.calls + changed.calls, 0);
	UNTIL(st, stopped.calls && again.calls && changed.calls);
	assert_int_equal(started.calls, 1);
	assert_int_equal(started.err + stopped.err + again.err + changed.err,
			 0);
	assert_int_equal(stopped.state, TASK_STOPPING);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(stopped.calls + again.calls, 2);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
	check_truth(st, task);
	check_empty(st);
}

static void stopping_twice_is_one_stop_and_two_answers(void **state)
{
	struct stage *st = *state;
	struct answer one, two, three;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	stop(st, task, &one);
	stop(st, task, &two); /* answered when the wish is durable, too */
	assert_int_equal(one.calls + two.calls, 0);
	UNTIL(st, one.calls && two.calls);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPING);
	stop(st, task, &three);
	assert_int_equal(three.calls, 1);
	assert_int_equal(three.err, 0);
	UNTIL(st, !is_there(st, task));
	stop(st, task, &three);
	assert_int_equal(three.err, ENOENT);
	assert_int_equal(one.calls + two.calls, 2);
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

/** Rooms stop at moments spread over more than one segment's length. */
static void a_stop_while_segments_roll_over_ends_every_file_once(void **state)
{
	struct stage *st = *state;
	uint64_t tasks[OFFSETS];
	struct answer stops[OFFSETS];
	char room[16];

	st->app.recording.segment_us = SEGMENT_US;
	begin(st);
	for (int i = 0; i < OFFSETS; i++) {
		snprintf(room, sizeof(room), "room%d", i);
		join(st, room, "alice");
		tasks[i] = record(st, room);
	}
	for (int i = 0; i < OFFSETS; i++)
		UNTIL(st, segments_in(st, tasks[i], NULL, SEG_CLOSED) >= 1);
	for (int i = 0; i < OFFSETS; i++) {
		stop(st, tasks[i], &stops[i]);
		turn_for(st, SEGMENT_US * 12 / 10 / OFFSETS);
	}
	for (int i = 0; i < OFFSETS; i++) {
		UNTIL(st, !is_there(st, tasks[i]));
		assert_int_equal(stops[i].calls, 1);
		assert_int_equal(stops[i].err, 0);
		assert_true(check_truth(st, tasks[i]).closed >= 2);
	}
	check_empty(st);
}

static void who_leaves_and_comes_back_at_once_has_the_next_number(void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	struct answer input, left;
	uint64_t task;

	begin(st);
	input = join(st, "room", "alice");
	task = record(st, "room");
	for (size_t i = 1; i <= 4; i++) {
		UNTIL(st, segments_in(st, task, NULL, -1) == i &&
				  segments_in(st, task, NULL, SEG_RECORDING));
		hush(&st->speakers[0]);
		leave(st, input.id, &left);
		add(st, "room", "alice", &input); /* her row is still there */
		assert_int_equal(input.err, EEXIST);
		UNTIL(st, left.calls);
		assert_int_equal(left.err, 0);
		input = join(st, "room", "alice");
	}
	UNTIL(st, segments_in(st, task, NULL, -1) == 5);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 5);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++)
		assert_int_equal(rows.segments[i].seq, i);
	store_rows_free(&rows);
	check_empty(st);
}

static void a_clock_set_back_an_hour_doubles_no_name_and_no_id(void **state)
{
	struct stage *st = *state;
	uint64_t first, second;
	struct store_rows rows;
	size_t n;

	st->app.recording.segment_us = SEGMENT_US;
	begin(st);
	join(st, "room", "alice");
	first = record(st, "room");
	UNTIL(st, segments_in(st, first, NULL, SEG_CLOSED) >= 2);
	clock_shift_unix(-3600LL * 1000);
	n = segments_in(st, first, NULL, SEG_CLOSED);
	UNTIL(st, segments_in(st, first, NULL, SEG_CLOSED) >= n + 3);
	finish(st, first);
	check_truth(st, first); /* names, order, durations */
	rows = segments_of(st, first);
	assert_true(rows.segments[rows.n - 1].start_ms <
		    rows.segments[0].start_ms);
	for (size_t i = 0; i < rows.n; i++)
		assert_true(rows.segments[i].frames <= 48000);
	store_rows_free(&rows);
	second = record(st, "room");
	assert_true(second > first);
	end(st);
	clock_shift_unix(-7200LL * 1000);
	begin(st); /* the newest id is known after a restart */
	UNTIL(st, segments_in(st, second, NULL, SEG_RECORDING) == 1);
	finish(st, second);
	first = record(st, "room");
	assert_true(first > second);
	finish(st, first);
	check_truth(st, second);
	check_truth(st, first);
	check_empty(st);
}

static bool records(struct stage *st, uint64_t task, bool alice, bool bob)
{
	return (segments_in(st, task, "alice", SEG_RECORDING) == 1) == alice &&
	       (segments_in(st, task, "bob", SEG_RECORDING) == 1) == bob;
}

static void lists_that_change_end_and_begin_files_and_are_kept(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record(st, "room");
	UNTIL(st, records(st, task, true, true));
	lists(st, task, true, "alice");
	UNTIL(st, records(st, task, true, false));
	lists(st, task, false, "alice");
	UNTIL(st, records(st, task, false, true));
	end(st); /* the newest list is in the store */
	begin(st);
	UNTIL(st, records(st, task, false, true));
	lists(st, task, false, NULL);
	UNTIL(st, records(st, task, true, true));
	finish(st, task);
	assert_int_equal(check_truth(st, task).lost, 0);
	check_empty(st);
}

static void an_input_is_there_once_its_row_is_and_gone_once_it_is_not(
	void **state)
{
	struct stage *st = *state;
	struct answer added, early, left, twice, task;
	struct input_info info;

	begin(st);
	add(st, "room", "alice", &added);
	add(st, "room", "alice", &early);
	assert_int_equal(early.err, EEXIST);
	for (uint64_t id = 1; id < 4; id++) { /* whatever its id will be */
		leave(st, id, &early);
		assert_int_equal(early.calls, 1);
		assert_int_equal(early.err, ENOENT);
	}
	UNTIL(st, added.calls);
	assert_int_equal(added.calls, 1);
	assert_int_equal(added.err, 0);
	assert_true(rooms_input_info(st->r, added.id, &info));
	leave(st, added.id, &left);
	leave(st, added.id, &twice);
	assert_int_equal(twice.err, ENOENT);
	UNTIL(st, left.calls);
	assert_int_equal(left.err, 0);
	start(st, "room", &task); /* nobody is there any more */
	assert_int_equal(task.err, ENOENT);
	assert_false(rooms_input_info(st->r, added.id, &info));
	UNTIL(st, counter_get(COUNT_inputs) == 0);
	end(st);
	begin(st);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_INPUTS,
							.state = -1}),
		0);
	assert_int_equal(added.calls + left.calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(
			a_voice_becomes_files_and_the_backend_is_told_in_order),
		STAGE_TEST(
			of_two_starts_at_once_one_wins_and_the_other_is_told),
		STAGE_TEST(a_stop_while_starting_stops_what_starts),
		STAGE_TEST(stopping_twice_is_one_stop_and_two_answers),
		STAGE_TEST(
			a_stop_while_segments_roll_over_ends_every_file_once),
		STAGE_TEST(
			who_leaves_and_comes_back_at_once_has_the_next_number),
		STAGE_TEST(a_clock_set_back_an_hour_doubles_no_name_and_no_id),
		STAGE_TEST(lists_that_change_end_and_begin_files_and_are_kept),
		STAGE_TEST(
			an_input_is_there_once_its_row_is_and_gone_once_it_is_not),
	};

	return RUN_STAGES(tests);
}
