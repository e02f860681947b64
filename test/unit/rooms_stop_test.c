/** test/unit/rooms_stop_test.c -- the server stops at any moment, and goes on
 *  when it is started again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

static int note_port(const struct input_info *in, void *arg)
{
	*(uint16_t *)arg = in->port;
	return 0;
}

static uint16_t port_in(struct stage *st, const char *room)
{
	uint16_t port = 0;

	rooms_each_input(st->r, APP, room, note_port, &port);
	return port;
}

/** The one task; it was running. */
static uint64_t resumed(struct stage *st)
{
	const uint64_t task = newest_task(st);
	struct task_info info;

	assert_true(rooms_task_info(st->r, task, &info));
	assert_int_equal(info.state, TASK_RUNNING);
	return task;
}

static void a_running_task_goes_on_at_its_port_with_the_next_number(
	void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	struct answer input;
	uint64_t task;

	begin(st);
	input = join(st, "room", "alice");
	task = record(st, "room");
	for (size_t i = 1; i <= 3; i++) {
		UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
		end(st);
		assert_int_equal(counter_get(COUNT_segments_open), 0);
		assert_int_equal(counter_get(COUNT_inputs), 0);
		begin(st);
		assert_int_equal(task_of_store(st, task).state, TASK_RUNNING);
		assert_int_equal(segments_in(st, task, NULL, SEG_CLOSED), i);
		UNTIL(st, port_in(st, "room") == input.port);
	}
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 4);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++)
		assert_int_equal(rows.segments[i].seq, i);
	store_rows_free(&rows);
	check_empty(st);
}

static void a_stop_while_a_task_starts_resumes_it(void **state)
{
	struct stage *st = *state;
	struct answer started;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &started);
	assert_int_equal(started.calls, 0);
	again(st);
	assert_int_equal(started.calls, 1);
	assert_int_equal(started.err, 0);
	task = resumed(st);
	assert_int_equal(task, started.id);
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

static void a_stop_while_a_task_stops_answers_and_ends_it(void **state)
{
	struct stage *st = *state;
	struct answer stopped;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	stop(st, task, &stopped);
	assert_int_equal(stopped.calls, 0); /* not durable yet */
	again(st);
	assert_int_equal(stopped.calls, 1);
	assert_int_equal(stopped.err, 0);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

static void a_stop_while_a_task_starts_and_is_stopped_ends_it(void **state)
{
	struct stage *st = *state;
	struct answer started, stopped;
	uint64_t task = 0;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &started);
	task = newest_task(st);
	stop(st, task, &stopped);
	again(st);
	assert_int_equal(started.calls + stopped.calls, 2);
	assert_int_equal(started.err + stopped.err, 0);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
	check_truth(st, task);
	check_empty(st);
}

static unsigned open_in(struct stage *st, uint64_t task)
{
	struct task_info info;

	return rooms_task_info(st->r, task, &info) ? info.segments_open : 0;
}

static void a_stop_while_a_segment_waits_for_its_file_closes_it(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, open_in(st, task) == 1);
	assert_int_equal(segments_in(st, task, NULL, SEG_RECORDING), 0);
	again(st);
	assert_int_equal(segments_in(st, task, NULL, SEG_CLOSED), 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).lost, 0);
	check_empty(st);

	task = record(st, "room"); /* and a task that is stopped then */
	UNTIL(st, open_in(st, task) == 1);
	assert_int_equal(segments_in(st, task, NULL, SEG_RECORDING), 0);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

static void a_stop_while_inputs_come_and_go_answers_each_once(void **state)
{
	struct stage *st = *state;
	struct answer coming, going, here;

	begin(st);
	here = join(st, "room", "alice");
	going = join(st, "room", "bob");
	leave(st, going.id, &going);
	add(st, "room", "carol", &coming);
	assert_int_equal(coming.calls + going.calls, 0);
	again(st);
	assert_int_equal(coming.calls, 1);
	assert_int_equal(coming.err, ECANCELED); /* she had no row yet */
	assert_int_equal(going.calls, 1);
	assert_int_equal(going.err, 0);
	UNTIL(st, port_in(st, "room") == here.port);
	assert_int_equal(counter_get(COUNT_inputs), 1);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_INPUTS,
							.state = -1}),
		1);
}

static void a_stop_while_uploads_and_lists_are_under_way_loses_none(
	void **state)
{
	struct stage *st = *state;
	const struct subscription bob = {
		.allow = true, .users = {"bob"}, .n = 1};
	struct answer listed = {0};
	uint64_t task;
	size_t n = 0;

	st->app.recording.segment_us = 500 * 1000;
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	for (int i = 0; i < 3; i++) {
		n = segments_in(st, task, NULL, SEG_CLOSED);
		/* the moment in which one is closed */
		UNTIL(st, segments_in(st, task, NULL, SEG_CLOSED) > n);
		again(st);
	}
	subscribe(st, task, &bob, &listed);
	again(st);
	assert_int_equal(listed.calls, 1);
	n = segments_in(st, task, NULL, -1);
	join(st, "room", "bob");
	UNTIL(st, segments_in(st, task, "bob", SEG_RECORDING) == 1);
	assert_int_equal(segments_in(st, task, "alice", -1), n);
	finish(st, task);
	assert_int_equal(check_truth(st, task).lost, 0);
	check_empty(st);
}

static void a_stop_right_after_the_start_of_the_server_is_clean(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	for (int i = 0; i < 3; i++)
		again(st);
	finish(st, task);
	check_truth(st, task);
	check_empty(st);
}

/** Somebody else has the port when the server comes back. */
static int squat(struct stage *st, uint16_t port)
{
	struct addr at = st->config.media.bind;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	addr_set_port(&at, port);
	assert_int_equal(bind(fd, &at.sa, at.len), 0);
	return fd;
}

static void a_port_that_is_free_again_soon_is_taken_again(void **state)
{
	struct stage *st = *state;
	struct answer input;
	uint64_t task;
	int fd;

	begin(st);
	input = join(st, "room", "alice");
	task = record(st, "room");
	end(st);
	fd = squat(st, input.port);
	begin(st);
	turn_for(st, 300 * 1000);
	assert_int_equal(port_in(st, "room"), 0);
	close(fd);
	UNTIL(st, port_in(st, "room") == input.port);
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	finish(st, task);
	assert_true(check_truth(st, task).closed >= 1);
}

static void an_input_whose_port_stays_taken_gives_its_row_back(void **state)
{
	struct stage *st = *state;
	struct answer input, gone, next;
	struct input_info info;
	int fd;

	begin(st);
	input = join(st, "room", "alice");
	hush(&st->speakers[0]);
	gone = join(st, "room", "bob");
	end(st);
	fd = squat(st, input.port);
	begin(st);
	leave(st, gone.id, &gone); /* resumed inputs may leave at once */
	UNTIL(st, gone.calls);
	assert_int_equal(gone.err, 0);
	UNTIL(st, !rooms_input_info(st->r, input.id, &info));
	UNTIL(st, !aid_count(&st->a, (struct store_filter){.what = READ_INPUTS,
							   .state = -1}));
	for (add(st, "room", "alice", &next); next.err == EEXIST;
	     add(st, "room", "alice", &next))
		turn(st);
	UNTIL(st, next.calls);
	assert_int_equal(next.err, 0);
	assert_int_not_equal(next.port, input.port);
	end(st);
	begin(st); /* only the new one comes back */
	UNTIL(st, port_in(st, "room") == next.port);
	assert_int_equal(counter_get(COUNT_inputs), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(
			a_running_task_goes_on_at_its_port_with_the_next_number),
		STAGE_TEST(a_stop_while_a_task_starts_resumes_it),
		STAGE_TEST(a_stop_while_a_task_stops_answers_and_ends_it),
		STAGE_TEST(a_stop_while_a_task_starts_and_is_stopped_ends_it),
		STAGE_TEST(a_stop_while_a_segment_waits_for_its_file_closes_it),
		STAGE_TEST(a_stop_while_inputs_come_and_go_answers_each_once),
		STAGE_TEST(
			a_stop_while_uploads_and_lists_are_under_way_loses_none),
		STAGE_TEST(a_stop_right_after_the_start_of_the_server_is_clean),
		STAGE_TEST(a_port_that_is_free_again_soon_is_taken_again),
		STAGE_TEST(an_input_whose_port_stays_taken_gives_its_row_back),
	};

	return RUN_STAGES(tests);
}
