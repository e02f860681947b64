/** test/unit/rooms_disk_test.c -- files and commits that fail, queues that are
 *  full: what the rows say, what is told, what stays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

enum { CROWD = 30 };

/** What fails from the N-th call on, and what comes of it. */
struct fault {
	const char *fault, *reason;
	size_t lost; /* at least */
};

/** With the fault of the test's initial state, if it has one. */
static int fault_setup(void **state)
{
	const struct fault *f = *state;

	if (f)
		set_fault(f->fault);
	return stage_setup(state);
}

static void a_disk_that_fails_ends_the_task_with_a_reason(void **state)
{
	struct stage *st = *state;
	const struct fault *f = st->of;
	int64_t failed = counter_get(COUNT_tasks_failed);
	int64_t lost = counter_get(COUNT_segments_lost);
	struct task_row row;
	struct truth truth;
	uint64_t task;

	st->app.recording.segment_us = 500 * 1000;
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, !is_there(st, task));
	row = task_of_store(st, task);
	assert_int_equal(row.state, TASK_FAILED);
	assert_string_equal(row.reason, f->reason);
	assert_true(row.reason_text[0]);
	assert_int_equal(counter_get(COUNT_tasks_failed) - failed, 1);
	truth = check_truth(st, task); /* task_failed; completed of the lost */
	assert_true(truth.lost >= f->lost);
	assert_int_equal(counter_get(COUNT_segments_lost) - lost, truth.lost);
	if (f->lost)
		assert_true(files_below(st, "spool") > 0);
	assert_int_equal(counter_get(COUNT_tasks_running), 0);
	end(st);
	set_fault(NULL);
	begin(st); /* what was recorded stays, out of the way */
	assert_int_equal(files_below(st, "quarantine"), truth.lost);
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_CLOSED) >= 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).lost, 0);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
}

static const struct fault rename_at_stop = {"file.rename=EACCES", NULL, 1};

static void a_file_that_fails_while_its_task_stops_fails_the_task(void **state)
{
	struct stage *st = *state;
	struct answer stopped;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	stop(st, task, &stopped);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(stopped.calls, 1);
	assert_int_equal(stopped.err, 0);
	assert_int_equal(task_of_store(st, task).state, TASK_FAILED);
	assert_string_equal(task_of_store(st, task).reason, "disk_denied");
	assert_int_equal(check_truth(st, task).lost, 1);
	assert_int_equal(files_below(st, "spool"), 1);
}

/* The disk is full for the file, then for the row as well: commits are the
 * input, the start, the row, task_failed, and that the row goes. */
static const struct fault open_and_forget = {
	"file.open=ENOSPC,store.commit=ENOSPC:4-8", NULL, 0};

static void the_row_of_a_file_that_never_was_goes_for_certain(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	st->deaf = true;
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, !is_there(st, task));
	assert_int_equal(task_of_store(st, task).state, TASK_FAILED);
	assert_int_equal(segments_in(st, task, NULL, -1), 0);
	check_truth(st, task);
	check_empty(st);
}

/* Without an endpoint the commits are: input, start, row, recording, then
 * stopping, completed, stopped, uploaded, finished in some order.  A full
 * disk is tried twice: the ballast is given up in between. */
static const struct fault commits[] = {
	{"store.commit=ENOSPC:3-6", NULL, 0},
	{"store.commit=ENOSPC:4-7", NULL, 0},
	{"store.commit=ENOSPC:5-7", NULL, 0},
	{"store.commit=ENOSPC:6-8", NULL, 0},
	{"store.commit=EIO:6-6", NULL, 0},
	{"store.commit=EIO:7-7", NULL, 0},
	{"store.commit=EIO:8-8", NULL, 0},
};

/* These are made, and only the answer is that they failed. */
static const struct fault made[] = {
	{"store.committed=EIO:3-3", NULL, 0},
	{"store.committed=EIO:4-4", NULL, 0},
	{"store.committed=EIO:5-5", NULL, 0},
	{"store.committed=EIO:6-7", NULL, 0},
	{"store.committed=EIO:3-9", NULL, 0},
};

/* .. among them that the row of no file goes. */
static const struct fault made_and_forget = {
	"file.open=ENOSPC,store.committed=EIO:3-8", NULL, 0};

static void commits_that_fail_for_a_while_lose_and_double_nothing(void **state)
{
	struct stage *st = *state;
	int64_t errors = counter_get(COUNT_store_errors);
	uint64_t task;

	st->deaf = true;
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	finish(st, task);
	assert_true(counter_get(COUNT_store_errors) > errors);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

static const struct fault many_commits = {"store.commit=ENOSPC:6-30", NULL, 0};

static void commits_that_fail_with_an_endpoint_lose_nothing_either(void **state)
{
	struct stage *st = *state;
	struct truth truth;
	uint64_t task;

	st->app.recording.segment_us = 500 * 1000;
	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, "alice", SEG_CLOSED) >= 3 &&
			  segments_in(st, task, "bob", SEG_CLOSED) >= 3);
	finish(st, task);
	truth = check_truth(st, task);
	assert_int_equal(truth.lost, 0);
	check_empty(st);
}

static const struct fault first_commit = {"store.commit=EIO:1-1", NULL, 0};
static const struct fault second_commit = {"store.commit=EIO:2-2", NULL, 0};
static const struct fault third_commit = {"store.commit=EIO:3-3", NULL, 0};

static void an_input_that_cannot_be_stored_leaves_nothing(void **state)
{
	struct stage *st = *state;
	struct answer a;

	begin(st);
	add(st, "room", "alice", &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, EIO);
	UNTIL(st, counter_get(COUNT_inputs) == 0);
	join(st, "room", "alice");
	assert_int_equal(a.calls, 1);
	assert_int_equal(counter_get(COUNT_inputs), 1);
}

static void a_start_that_cannot_be_stored_leaves_nothing(void **state)
{
	struct stage *st = *state;
	const struct subscription s = {
		.allow = true, .users = {"alice"}, .n = 1};
	struct answer started, listed = {0}, stopped;
	uint64_t task = 0;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &started);
	task = newest_task(st);
	subscribe(st, task, &s, &listed);
	stop(st, task, &stopped);
	UNTIL(st, started.calls && stopped.calls);
	assert_int_equal(started.err, EIO);
	assert_int_equal(stopped.err, ENOENT);
	assert_false(is_there(st, task));
	assert_int_equal(counter_get(COUNT_tasks_running), 0);
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	finish(st, task);
	check_truth(st, task);
	assert_int_equal(started.calls + listed.calls + stopped.calls, 3);
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							.state = -1}),
		1);
	check_empty(st);
}

static void who_cannot_be_removed_is_still_there(void **state)
{
	struct stage *st = *state;
	struct answer input, left;
	uint64_t task;

	begin(st);
	input = join(st, "room", "alice");
	leave(st, input.id, &left);
	UNTIL(st, left.calls);
	assert_int_equal(left.err, EIO);
	task = record(st, "room"); /* her port is open */
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	leave(st, input.id, &left);
	UNTIL(st, left.calls);
	assert_int_equal(left.err, 0);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);
	check_empty(st);
}

static void a_server_stop_while_a_removal_fails_ends_and_keeps_it(void **state)
{
	struct stage *st = *state;
	struct answer input, left;
	struct input_info info;

	begin(st);
	input = join(st, "room", "alice");
	leave(st, input.id, &left);
	end(st);
	assert_int_equal(left.calls, 1);
	assert_int_equal(left.err, EIO);
	begin(st);
	UNTIL(st, rooms_input_info(st->r, input.id, &info));
	assert_int_equal(info.port, input.port);
}

static void lists_whose_commit_fails_are_stored_later(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	begin(st);
	add(st, "room", "alice", &(struct answer){0});
	UNTIL(st, counter_get(COUNT_store_writes) >= 1);
	task = record(st, "room");
	lists(st, task, true, "nobody"); /* commit 3 */
	end(st);			 /* waits for them */
	begin(st);
	turn_for(st, 100 * 1000);
	{
		struct task_info info;

		assert_true(rooms_task_info(st->r, task, &info));
		assert_int_equal(info.subscribe.n, 1);
		assert_true(info.subscribe.allow);
		assert_string_equal(info.subscribe.users[0], "nobody");
	}
	finish(st, task);
	check_truth(st, task);
}

static void a_full_store_queue_refuses_callers_and_delays_the_rest(void **state)
{
	struct stage *st = *state;
	struct answer inputs[CROWD], tasks[CROWD];
	size_t refused = 0, recorded = 0;
	char room[16];

	st->a.config.max_queue = 2;
	begin(st);
	for (int i = 0; i < CROWD; i++) {
		snprintf(room, sizeof(room), "room%d", i);
		add(st, room, "alice", &inputs[i]);
	}
	for (int i = 0; i < CROWD; i++) {
		UNTIL(st, inputs[i].calls);
		if (!inputs[i].err)
			talk(st, inputs[i].port);
		else
			assert_int_equal(inputs[i].err, ENOBUFS);
	}
	for (int i = 0; i < CROWD; i++) {
		snprintf(room, sizeof(room), "room%d", i);
		start(st, room, &tasks[i]);
	}
	for (int i = 0; i < CROWD; i++) {
		UNTIL(st, tasks[i].calls);
		assert_true(tasks[i].err == 0 || tasks[i].err == ENOBUFS ||
			    (inputs[i].err && tasks[i].err == ENOENT));
		refused += inputs[i].err || tasks[i].err;
		recorded += !tasks[i].err;
	}
	assert_true(refused > 0 && recorded > 0);
	assert_true(counter_get(COUNT_store_errors) > 0);
	for (int i = 0; i < CROWD; i++) {
		if (!tasks[i].err)
			UNTIL(st, segments_in(st, tasks[i].id, NULL,
					      SEG_RECORDING) == 1);
	}
	for (int i = 0; i < CROWD; i++) {
		if (tasks[i].err)
			continue;
		finish(st, tasks[i].id);
		assert_int_equal(check_truth(st, tasks[i].id).closed, 1);
		assert_int_equal(inputs[i].calls + tasks[i].calls, 2);
	}
	check_empty(st);
}

static void a_file_queue_that_is_full_costs_sound_but_no_time(void **state)
{
	struct stage *st = *state;
	int64_t dropped = counter_get(COUNT_bytes_dropped);
	struct store_rows rows;
	int64_t first_end = 0;
	uint64_t task;

	st->config.file_queue_bytes = 10000; /* three send 12,000 at once */
	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	join(st, "room", "carol");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 3);
	UNTIL(st, counter_get(COUNT_bytes_dropped) > dropped);
	turn_for(st, CLOCK_US_PER_S);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 3);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++) {
		const struct segment_row *s = &rows.segments[i];
		int64_t end_ms = s->start_ms + (int64_t)(s->frames / 48);

		if (!first_end)
			first_end = end_ms;
		/* all end with the task, to the frame */
		assert_in_range(end_ms - first_end + 50, 0, 100);
	}
	store_rows_free(&rows);
	check_empty(st);
}

#define FAULT_TEST(fn, fault)                         \
	{                                             \
#fn, fn, fault_setup, stage_teardown, \
			(void *)(uintptr_t)(fault)    \
	}

int main(void)
{
	static const struct fault disk[] = {
		{"file.open=EACCES:3", "disk_denied", 0},
		{"file.open=EROFS", "disk_denied", 0},
		{"file.write=ENOSPC:5", "disk_full", 0},
		{"file.write=EIO:7", "disk_error", 0},
		{"file.sync=EIO:4", "disk_error", 1},
		{"file.rename=EACCES:3", "disk_denied", 1},
		{"file.dirsync=EIO:6", "disk_error", 0},
	};
#define DISK(i) \
	FAULT_TEST(a_disk_that_fails_ends_the_task_with_a_reason, &disk[i])
#define COMMITS(i)                                                        \
	FAULT_TEST(commits_that_fail_for_a_while_lose_and_double_nothing, \
		   &commits[i])
	const struct CMUnitTest tests[] = {
		DISK(0),
		DISK(1),
		DISK(2),
		DISK(3),
		DISK(4),
		DISK(5),
		DISK(6),
		FAULT_TEST(
			a_file_that_fails_while_its_task_stops_fails_the_task,
			&rename_at_stop),
		FAULT_TEST(the_row_of_a_file_that_never_was_goes_for_certain,
			   &open_and_forget),
		COMMITS(0),
		COMMITS(1),
		COMMITS(2),
		COMMITS(3),
		COMMITS(4),
		COMMITS(5),
		COMMITS(6),
#define MADE(i)                                                           \
	FAULT_TEST(commits_that_fail_for_a_while_lose_and_double_nothing, \
		   &made[i])
		MADE(0),
		MADE(1),
		MADE(2),
		MADE(3),
		MADE(4),
		FAULT_TEST(the_row_of_a_file_that_never_was_goes_for_certain,
			   &made_and_forget),
		FAULT_TEST(
			commits_that_fail_with_an_endpoint_lose_nothing_either,
			&many_commits),
		FAULT_TEST(an_input_that_cannot_be_stored_leaves_nothing,
			   &first_commit),
		FAULT_TEST(a_start_that_cannot_be_stored_leaves_nothing,
			   &second_commit),
		FAULT_TEST(who_cannot_be_removed_is_still_there,
			   &second_commit),
		FAULT_TEST(
			a_server_stop_while_a_removal_fails_ends_and_keeps_it,
			&second_commit),
		FAULT_TEST(lists_whose_commit_fails_are_stored_later,
			   &third_commit),
		FAULT_TEST(
			a_full_store_queue_refuses_callers_and_delays_the_rest,
			NULL),
		FAULT_TEST(a_file_queue_that_is_full_costs_sound_but_no_time,
			   NULL),
	};

	return RUN_STAGES(tests);
}
