/** test/unit/rooms_wishes_test.c -- what a caller may want of a task of its own,
 *  and another mode while it runs. */
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

/** errno of a start. */
static int try_record(struct stage *st, const struct task_wish *w)
{
	struct answer a;

	start_as(st, w, &a);
	UNTIL(st, a.calls);
	return a.err;
}

static void set_mode(struct stage *st, uint64_t task, enum record_mode mode)
{
	const struct task_change c = {.has_mode = true, .mode = mode};
	struct answer a = {0};

	rooms_task_change(st->r, task, &c, on_task, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
	assert_int_equal(task_of_store(st, task).mode, mode);
}

/* ---- lists ------------------------------------------------------------------ */

static bool permits(bool allow, const char *entry, const char *user)
{
	char users[1][ID_MAX + 1];

	str_copy(users[0], sizeof(users[0]), entry);
	return lists_permit(allow, (const char(*)[ID_MAX + 1]) users, 1, user);
}

static void an_entry_may_stand_for_all_that_begin_like_it(void **state)
{
	(void)state;
	assert_true(permits(true, "al.*$", "al"));
	assert_true(permits(true, "al.*$", "alice"));
	assert_true(permits(true, "al.*$", "al.*$"));
	assert_false(permits(true, "al.*$", "a"));
	assert_false(permits(true, "al.*$", "bal"));
	assert_true(permits(true, ".*$", "whoever"));
	assert_false(permits(true, "al.*", "alice")); /* a name like others */
	assert_true(permits(true, "al.*", "al.*"));
	assert_false(permits(true, "al*$", "alice"));
	assert_false(permits(false, "al.*$", "alice"));
	assert_true(permits(false, "al.*$", "bob"));
}

static void whom_a_prefix_names_is_recorded(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	uint64_t task;

	w.subscribe = (struct subscription){
		.allow = true, .users = {"al.*$"}, .n = 1};
	begin(st);
	join(st, "room", "alice");
	join(st, "room", "alan");
	join(st, "room", "bob");
	task = record_as(st, &w);
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1 &&
			  segments_in(st, task, "alan", SEG_RECORDING) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 2);
	check_empty(st);
}

/* ---- wishes of a start -------------------------------------------------------- */

static void the_only_task_of_a_room_tolerates_none_beside(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer stopped = {0}, next;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	w.only_one = true;
	task = record_as(st, &w);
	w.mode = MODE_MIXED;
	assert_int_equal(try_record(st, &w), EEXIST);
	/* one that is being stopped is none */
	stop(st, task, &stopped);
	start_as(st, &w, &next);
	UNTIL(st, stopped.calls && next.calls);
	assert_int_equal(next.err, 0);
	/* nor does one that could not be the only one */
	assert_int_equal(try_record(st, &w), EEXIST);
	w.only_one = false;
	w.mode = MODE_SINGLE;
	finish(st, record_as(st, &w));
	finish(st, next.id);
	UNTIL(st, !is_there(st, task));
	check_empty(st);
}

static void a_task_may_wait_for_who_comes(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct room_info room;
	uint64_t task;

	begin(st);
	assert_int_equal(try_record(st, &w), ENOENT);
	assert_false(rooms_room_info(st->r, APP, "room", &room));
	w.may_be_empty = true;
	task = record_as(st, &w);
	assert_true(rooms_room_info(st->r, APP, "room", &room));
	assert_int_equal(room.inputs, 0);
	assert_int_equal(room.n_tasks, 1);
	join(st, "room", "alice");
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);

	/* nobody comes */
	w.room = "empty";
	w.hold_empty_ms = 1000;
	task = record_as(st, &w);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(task_of_store(st, task).leave_code, LEAVE_IDLE);
	assert_false(rooms_room_info(st->r, APP, "empty", &room));
	check_empty(st);
}

static void a_task_has_its_own_length_of_files_also_after_a_restart(
	void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct store_rows rows;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	w.segment_ms = 1000;
	task = record_as(st, &w);
	UNTIL(st, segments_in(st, task, "alice", SEG_CLOSED) >= 2);
	end(st);
	begin(st);
	assert_int_equal(task_of_store(st, task).segment_ms, 1000);
	UNTIL(st, segments_in(st, task, "alice", SEG_CLOSED) >= 5);
	finish(st, task);
	check_truth(st, task);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++)
		assert_in_range(rows.segments[i].frames, 0, SOUND_RATE + 1152);
	/* whole ones end on the frame that reaches it */
	assert_in_range(rows.segments[0].frames, SOUND_RATE - 1152,
			SOUND_RATE + 1152);
	store_rows_free(&rows);
	check_empty(st);
}

static void check_recorder(struct stage *st, uint64_t task, const char *name)
{
	struct store_rows rows = aid_read(
		&st->a,
		(struct store_filter){.what = READ_EVENTS,
				      .task = task,
				      .state = -1,
				      .kinds = 1U << EVENT_TASK_STARTED |
					       1U << EVENT_TASK_STOPPED});

	assert_int_equal(rows.n, 2);
	for (size_t i = 0; i < rows.n; i++) {
		struct event e;

		assert_int_equal(event_parse_json(rows.events[i].facts,
						  rows.events[i].facts_len, &e),
				 0);
		assert_string_equal(e.user, name);
		event_fini(&e);
	}
	store_rows_free(&rows);
}

static void a_task_is_told_under_the_name_of_its_recorder(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	uint64_t named, ours;

	begin(st);
	join(st, "room", "alice");
	w.recorder = "a/b";
	assert_int_equal(try_record(st, &w), EINVAL);
	w.recorder = "robot";
	w.expires_ms = 12345;
	named = record_as(st, &w);
	assert_int_equal(task_of_store(st, named).expires_ms, 12345);
	w = wish_of("room");
	w.mode = MODE_MIXED;
	ours = record_as(st, &w);
	end(st);
	begin(st);
	finish(st, named);
	finish(st, ours);
	check_recorder(st, named, "robot");
	check_recorder(st, ours, "tapeop");
	check_empty(st);
}

/* ---- an app whose rooms are not recorded on request ------------------------------- */

static void only_what_is_automatic_is_recorded_when_nobody_may_ask(void **state)
{
	struct stage *st = *state;
	const struct task_wish w = wish_of("room");
	struct app_config closed = st->app;
	struct answer a;
	uint64_t before;

	begin(st);
	join(st, "room", "alice");
	before = record_as(st, &w);
	closed.recording.is_not_on_request = true;
	rooms_set_app(st->r, &closed);
	assert_true(is_there(st, before)); /* what runs goes on */
	finish(st, before);
	start_as(st, &w, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, EPERM);
	assert_non_null(strstr(a.text, "recording.on_request is false"));
	/* by itself it is recorded all the same */
	closed.recording.auto_mode = AUTO_SINGLE;
	rooms_set_app(st->r, &closed);
	UNTIL(st, st->r->tasks.n == 1);
	finish(st,
	       CONTAINER_OF(map_next(&st->r->tasks, NULL), struct task, node)
		       ->row.id);
	check_empty(st);
}

/* ---- an app goes ---------------------------------------------------------------- */

static int note_app(uint32_t id, const char *name, void *arg)
{
	(void)name;
	*(uint32_t *)arg = *(uint32_t *)arg * 10 + id;
	return 0;
}

static void an_app_goes_when_its_rooms_and_tasks_are_over(void **state)
{
	struct stage *st = *state;
	const struct app_config other = {.id = 4711,
					 .recording = st->app.recording};
	struct answer who, a;
	uint32_t walked = 0;
	uint64_t task;
	struct err e = {0};

	begin(st);
	assert_int_equal(rooms_drop_app(st->r, 12345, &e), 0);
	who = join(st, "room", "alice");
	task = record(st, "room");
	assert_int_equal(rooms_drop_app(st->r, APP, &e), EBUSY);
	assert_non_null(strstr(e.text, "the room room is in use"));
	leave(st, who.id, &a);
	UNTIL(st, a.calls);
	stop(st, task, &a);
	UNTIL(st, a.calls);
	/* it is still stored, or told of */
	UNTIL(st, rooms_drop_app(st->r, APP, &e) != EBUSY);
	assert_false(is_there(st, task));
	assert_false(rooms_has_app(st->r, APP));
	assert_int_equal(rooms_each_app(st->r, note_app, &walked), 0);
	assert_int_equal(walked, 0);
	add(st, "room", "alice", &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, ENOENT);
	/* its place is free, and it may come again */
	rooms_set_app(st->r, &other);
	assert_true(rooms_has_app(st->r, 4711));
	assert_int_equal(st->r->n_apps, 1);
	assert_int_equal(rooms_each_app(st->r, note_app, &walked), 0);
	assert_int_equal(walked, 4711);
	rooms_set_app(st->r, &st->app);
	assert_int_equal(st->r->n_apps, 2);
	join(st, "room", "alice");
	finish(st, record(st, "room"));
	check_truth(st, task);
	check_empty(st);
}

/* ---- another mode --------------------------------------------------------------- */

static void another_mode_ends_and_begins_files_and_outlives_a_restart(
	void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct truth truth;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	w.mode = MODE_SINGLE;
	task = record_as(st, &w);
	UNTIL(st, of_mode(st, task, MODE_SINGLE, SEG_RECORDING) == 1);

	set_mode(st, task, MODE_MIXED);
	UNTIL(st, of_mode(st, task, MODE_MIXED, SEG_RECORDING) == 1 &&
			  of_mode(st, task, MODE_SINGLE, SEG_CLOSED) == 1);
	assert_int_equal(of_mode(st, task, MODE_SINGLE, SEG_RECORDING), 0);
	end(st);
	begin(st);
	UNTIL(st, of_mode(st, task, MODE_MIXED, SEG_RECORDING) == 1);
	assert_int_equal(of_mode(st, task, MODE_SINGLE, SEG_RECORDING), 0);

	/* the mix goes on beside the speaker's file */
	set_mode(st, task, MODE_BOTH);
	UNTIL(st, of_mode(st, task, MODE_SINGLE, SEG_RECORDING) == 1);
	turn_for(st, 2 * CLOCK_US_PER_S);
	assert_int_equal(of_mode(st, task, MODE_MIXED, SEG_RECORDING), 1);
	assert_int_equal(of_mode(st, task, MODE_MIXED, SEG_CLOSED), 1);

	/* to and fro faster than a file ends */
	set_mode(st, task, MODE_SINGLE);
	set_mode(st, task, MODE_BOTH);
	set_mode(st, task, MODE_SINGLE);
	UNTIL(st, of_mode(st, task, MODE_MIXED, SEG_RECORDING) == 0 &&
			  of_mode(st, task, MODE_SINGLE, SEG_RECORDING) == 1);
	finish(st, task);
	truth = check_truth(st, task);
	assert_true(truth.closed >= 5);
	check_empty(st);
}

static void another_mode_of_a_room_with_nobody_waits_for_who_comes(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	uint64_t task;

	begin(st);
	w.may_be_empty = true;
	w.format = FORMAT_OGG;
	w.mode = MODE_SINGLE;
	task = record_as(st, &w);
	set_mode(st, task, MODE_MIXED);
	join(st, "room", "alice");
	UNTIL(st, of_mode(st, task, MODE_MIXED, SEG_RECORDING) == 1);
	set_mode(st, task, MODE_SINGLE); /* packets as they came, again */
	UNTIL(st, of_mode(st, task, MODE_SINGLE, SEG_RECORDING) == 1 &&
			  of_mode(st, task, MODE_MIXED, SEG_CLOSED) == 1);
	finish(st, task);
	assert_int_equal(of_mode(st, task, MODE_SINGLE, SEG_CLOSED), 1);
	assert_int_equal(of_mode(st, task, MODE_MIXED, SEG_CLOSED), 1);
	check_empty(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_may_stand_for_all_that_begin_like_it),
		STAGE_TEST(whom_a_prefix_names_is_recorded),
		STAGE_TEST(the_only_task_of_a_room_tolerates_none_beside),
		STAGE_TEST(a_task_may_wait_for_who_comes),
		STAGE_TEST(
			a_task_has_its_own_length_of_files_also_after_a_restart),
		STAGE_TEST(a_task_is_told_under_the_name_of_its_recorder),
		STAGE_TEST(
			only_what_is_automatic_is_recorded_when_nobody_may_ask),
		STAGE_TEST(an_app_goes_when_its_rooms_and_tasks_are_over),
		STAGE_TEST(
			another_mode_ends_and_begins_files_and_outlives_a_restart),
		STAGE_TEST(
			another_mode_of_a_room_with_nobody_waits_for_who_comes),
	};

	return RUN_STAGES(tests);
}
