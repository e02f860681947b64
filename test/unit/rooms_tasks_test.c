/** test/unit/rooms_tasks_test.c -- tasks in their ways: mixes, several in a
 *  room, paused, that begin and end by themselves, over restarts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms/media_inside.h"
#include "rooms/private.h"
#include "rooms_aid.h"

static uint64_t record_mode(struct stage *st, const char *room,
			    enum record_mode mode)
{
	struct task_wish w = wish_of(room);

	w.mode = mode;
	return record_as(st, &w);
}

static bool both_sound(struct stage *st, uint64_t task)
{
	return of_mode(st, task, MODE_SINGLE, SEG_RECORDING) &&
	       of_mode(st, task, MODE_MIXED, SEG_RECORDING);
}

/** A task that runs, 0: none.  Those that are being started are none. */
static uint64_t running_task(struct stage *st)
{
	struct store_rows rows =
		aid_read(&st->a, (struct store_filter){.what = READ_TASKS,
						       .state = TASK_RUNNING,
						       .limit = 1});
	const uint64_t task = rows.n ? rows.tasks[0].id : 0;

	store_rows_free(&rows);
	return task;
}

static struct task_info info_of(struct stage *st, uint64_t task)
{
	struct task_info info = {0};

	assert_true(rooms_task_info(st->r, task, &info));
	return info;
}

/** The task that is in the store alone ended for this reason. */
static void check_ended(struct stage *st, uint64_t task, enum leave_code why)
{
	struct task_row row = task_of_store(st, task);

	assert_int_equal(row.state, TASK_STOPPED);
	assert_int_equal(row.leave_code, why);
}

/* ---- the mix ---- */

static void a_mix_is_one_track_of_nobody(void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_mode(st, "room", MODE_MIXED);
	UNTIL(st, of_mode(st, task, MODE_MIXED, SEG_RECORDING) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);
	rows = segments_of(st, task);
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.segments[0].mode, MODE_MIXED);
	assert_string_equal(rows.segments[0].user, "0");
	store_rows_free(&rows);
	check_empty(st);
}

/** Somebody may be called as the mix is: rows, events and files of both. */
static void a_user_called_0_and_the_mix_do_not_meet(void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	uint64_t task;

	st->deaf = true; /* what is told has no mode to tell them apart by */
	begin(st);
	join(st, "room", "0");
	task = record_mode(st, "room", MODE_BOTH);
	UNTIL(st, both_sound(st, task));
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 2);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++) {
		const struct segment_row *s = &rows.segments[i];
		const char *dir = s->mode == MODE_MIXED
					  ? "1400000000_room_0/"
					  : "1400000000_room_%30/";

		assert_string_equal(s->user, "0");
		assert_memory_equal(s->file_name, dir, strlen(dir));
	}
	store_rows_free(&rows);
	check_empty(st);
}

static void singles_and_mix_go_on_after_a_restart_with_the_next_number(
	void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record_mode(st, "room", MODE_BOTH);
	UNTIL(st, both_sound(st, task));
	again(st);
	UNTIL(st, both_sound(st, task));
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 4);
	assert_int_equal(of_mode(st, task, MODE_SINGLE, -1), 2);
	rows = segments_of(st, task);
	for (size_t i = 0; i < rows.n; i++)
		assert_int_equal(rows.segments[i].seq, i / 2);
	store_rows_free(&rows);
	check_empty(st);
}

/* ---- stopped at once ---- */

static void on_seg_begun(struct segment *s, void *arg)
{
	(void)s;
	++*(unsigned *)arg;
}

static void on_seg_ended(struct segment *s, void *arg)
{
	(void)arg;
	segment_detach(s);
	segment_free(s);
}

/** The media loop begins when it comes to it, and the task may have been
 *  stopped before that: nothing is recorded, not less than nothing. */
static void a_stop_from_before_the_begin_records_nothing(void **state)
{
	static const struct track_events events = {.begun = on_seg_begun,
						   .ended = on_seg_ended};
	static const int16_t pcm[PACKET_FRAMES];
	const struct track_config config = {
		.mp3 = {.sample_rate = 48000, .bit_s = 64000},
		.max_waiting = 1 << 20,
	};
	const struct sound_chunk chunk = {
		.kind = CHUNK_SOUND,
		.pos = 9500,
		.frames = PACKET_FRAMES,
		.pcm = pcm,
	};
	const struct by nobody = {.ip = "127.0.0.1"};
	struct session s = {.task = 1};
	struct part p = {.session = &s,
			 .from_pos = 10000,
			 .end_pos = INT64_MAX,
			 .has_writer = true,
			 .begun_by = nobody,
			 .writer = {.session = &s}};
	unsigned begun = 0;

	(void)state;
	assert_int_equal(track_new(&config, &events, &begun, &p.writer.track),
			 0);
	part_end(&p, 9999, &nobody);
	assert_int_equal(p.end_pos, 10000);
	part_put(&p, &chunk);
	assert_int_equal(begun, 0);
	p.end_pos = 10001; /* a frame is one */
	part_put(&p, &chunk);
	assert_int_equal(begun, 1);
	assert_int_equal(track_end_segment(p.writer.track, 10001), 0);
	track_free(p.writer.track);
}

/** Start and stop one a way, with a little sound in between; whether the stop
 *  comes before the start is answered is up to `soon`. */
static void stop_at_once(struct stage *st, bool soon)
{
	enum { WAYS = 6 };
	uint64_t tasks[WAYS];

	for (int i = 0; i < WAYS; i++) {
		struct task_wish w = wish_of("room");
		struct answer started, stopped;

		w.mode = (enum record_mode)(i % 3);
		w.format = i / 3 ? FORMAT_OGG : FORMAT_MP3;
		start_as(st, &w, &started);
		if (!soon)
			UNTIL(st, started.calls);
		tasks[i] = newest_task(st);
		stop(st, tasks[i], &stopped);
		UNTIL(st, started.calls && stopped.calls);
		assert_int_equal(started.err, 0);
		assert_int_equal(stopped.err, 0);
		turn_for(st, 20 * 1000);
	}
	for (int i = 0; i < WAYS; i++) {
		UNTIL(st, !is_there(st, tasks[i]));
		check_ended(st, tasks[i], LEAVE_API);
	}
}

static const bool splits[] = {true, false};

static void tasks_that_are_stopped_at_once_end_in_every_way(void **state)
{
	struct stage *st = *state;
	const bool *split = st->of;

	st->deaf = true;
	st->app.recording.mic_off_splits = *split;
	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	for (int i = 0; i < 4; i++)
		stop_at_once(st, i % 2);
	check_empty(st);
}

/* ---- several in a room ---- */

static void two_starts_alike_at_once_are_one_task(void **state)
{
	struct stage *st = *state;
	struct task_wish mixed = wish_of("room");
	struct answer one, two, other;

	mixed.mode = MODE_MIXED;
	begin(st);
	join(st, "room", "alice");
	start(st, "room", &one);
	start(st, "room", &two); /* the first one is not committed yet */
	start_as(st, &mixed, &other);
	UNTIL(st, one.calls && two.calls && other.calls);
	assert_int_equal(one.err, 0);
	assert_int_equal(two.err, EEXIST);
	assert_int_equal(other.err, 0);
	again(st); /* each is resumed */
	UNTIL(st,
	      of_mode(st, one.id, MODE_SINGLE, SEG_RECORDING) == 1 &&
		      of_mode(st, other.id, MODE_MIXED, SEG_RECORDING) == 1);
	start(st, "room", &two);
	UNTIL(st, two.calls);
	assert_int_equal(two.err, EEXIST);
	finish(st, one.id);
	finish(st, record(st, "room")); /* now there is none like it */
	finish(st, other.id);
	check_truth(st, one.id);
	check_truth(st, other.id);
	check_empty(st);
}

static void a_rate_that_the_format_of_the_app_has_not_is_refused(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer a;

	st->app.recording.format = FORMAT_OGG;
	w.sample_rate = 24000;
	begin(st);
	join(st, "room", "alice");
	start_as(st, &w, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, EINVAL);
	assert_non_null(strstr(a.text, "ogg"));
	w.format = FORMAT_MP3; /* its own one has */
	finish(st, record_as(st, &w));
	w = wish_of("room");
	finish(st, record_as(st, &w));
	check_empty(st);
}

/* ---- paused ---- */

static void set_paused(struct stage *st, uint64_t task, bool paused,
		       struct answer *a)
{
	const struct task_change c = {.has_paused = true, .paused = paused};

	*a = (struct answer){0};
	rooms_task_change(st->r, task, &c, on_task, a);
}

static void a_pause_is_durable_when_it_is_answered(void **state)
{
	struct stage *st = *state;
	struct answer started, changed;
	uint64_t task = 0;

	begin(st);
	join(st, "room", "alice");
	start(st, "room", &started);
	task = newest_task(st);
	set_paused(st, task, true, &changed); /* while it starts */
	UNTIL(st, changed.calls);
	assert_int_equal(changed.err, 0);
	assert_int_equal(started.calls, 1);
	assert_true(task_of_store(st, task).is_paused);
	again(st);
	assert_true(info_of(st, task).is_paused);
	set_paused(st, task, false, &changed);
	UNTIL(st, changed.calls);
	assert_false(task_of_store(st, task).is_paused);
	finish(st, task);
	set_paused(st, task, true, &changed);
	UNTIL(st, changed.calls);
	assert_int_equal(changed.err, ENOENT);
	check_truth(st, task);
	check_empty(st);
}

/* ---- by themselves ---- */

static void auto_begins_with_the_first_and_ends_with_the_last(void **state)
{
	struct stage *st = *state;
	struct answer alice, bob;
	struct task_row row;
	uint64_t task;

	st->app.recording.auto_mode = AUTO_BOTH;
	begin(st);
	alice = join(st, "room", "alice");
	UNTIL(st, running_task(st));
	task = running_task(st);
	UNTIL(st, both_sound(st, task));
	row = task_of_store(st, task);
	assert_true(row.is_auto);
	assert_int_equal(row.mode, MODE_BOTH);
	assert_string_equal(row.client_ip, JOIN_IP); /* no packet yet */
	assert_string_equal(row.platform, "Unknown");
	bob = join(st, "room", "bob");
	leave_now(st, alice.id);
	again(st); /* still the same one */
	assert_int_equal(running_task(st), task);
	assert_true(info_of(st, task).is_auto);
	leave_now(st, bob.id);
	UNTIL(st, !is_there(st, task));
	check_ended(st, task, LEAVE_IDLE);
	check_truth(st, task);
	check_empty(st);
}

static void auto_that_was_stopped_by_hand_waits_for_an_empty_room(void **state)
{
	struct stage *st = *state;
	struct answer alice, carol;
	uint64_t task, next;

	st->app.recording.auto_mode = AUTO_SINGLE;
	begin(st);
	alice = join(st, "room", "alice");
	UNTIL(st, running_task(st));
	task = running_task(st);
	finish(st, task);
	check_ended(st, task, LEAVE_API);
	join(st, "other", "bob"); /* what looks at rooms has looked at all */
	UNTIL(st, running_task(st));
	carol = join(st, "room", "carol");
	assert_int_equal(
		aid_count(&st->a, (struct store_filter){.what = READ_TASKS,
							.room = "room",
							.state = -1}),
		1);
	again(st);
	finish(st, running_task(st)); /* bob's, which was resumed */
	leave_now(st, carol.id);
	assert_int_equal(running_task(st), 0); /* alice is there */
	leave_now(st, alice.id);
	join(st, "room", "dave");
	UNTIL(st, running_task(st));
	next = running_task(st);
	assert_true(next > task);
	finish(st, next);
	check_truth(st, next);
}

static unsigned complaints;

static void count_complaints(enum log_level level, const char *line, void *arg)
{
	complaints += level <= LOG_WARN;
	stage_quiet(level, line, arg);
}

/** One that was started by hand before auto was configured. */
static void auto_leaves_a_room_to_a_task_that_does_the_same(void **state)
{
	struct stage *st = *state;
	uint64_t task, own;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	end(st);
	st->app.recording.auto_mode = AUTO_SINGLE;
	complaints = 0;
	log_set_sink(count_complaints, NULL);
	begin(st); /* tries at once */
	assert_int_equal(running_task(st), task);
	finish(st, task);
	assert_int_equal(complaints, 0);
	UNTIL(st, running_task(st)); /* now it is its turn */
	own = running_task(st);
	assert_true(own > task && info_of(st, own).is_auto);
	finish(st, own);
	check_truth(st, own);
}

static void auto_tries_again_when_a_start_could_not_be_stored(void **state)
{
	struct stage *st = *state;
	struct answer alice;
	uint64_t task;

	st->deaf = true;
	st->app.recording.auto_mode = AUTO_SINGLE;
	/* the input, then the start: a full disk is tried twice */
	set_fault("store.commit=ENOSPC:2-3");
	begin(st);
	alice = join(st, "room", "alice"); /* is answered all the same */
	assert_int_equal(running_task(st), 0);
	UNTIL(st, running_task(st));
	task = running_task(st);
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	leave_now(st, alice.id);
	UNTIL(st, !is_there(st, task));
	check_truth(st, task);
	check_empty(st);
}

static void a_task_of_an_empty_room_is_held_also_over_a_restart(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer alice;
	uint64_t task, held;

	begin(st);
	alice = join(st, "room", "alice");
	w.hold_empty_ms = 1500;
	task = record_as(st, &w);
	w.mode = MODE_MIXED;
	w.hold_empty_ms = 3600 * 1000;
	held = record_as(st, &w);
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	leave_now(st, alice.id);
	again(st); /* counts anew */
	assert_int_equal(info_of(st, task).state, TASK_RUNNING);
	UNTIL(st, !is_there(st, task));
	check_ended(st, task, LEAVE_IDLE);
	assert_int_equal(info_of(st, held).state, TASK_RUNNING);
	join(st, "room", "bob");
	finish(st, held);
	check_truth(st, task);
	check_truth(st, held);
	check_empty(st);
}

static void a_task_that_nobody_speaks_to_ends(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer alice, a = {0};
	uint64_t silent, spoken;

	begin(st);
	alice = join(st, "room", "alice");
	add(st, "room", "bob", &a); /* never sends */
	UNTIL(st, a.calls);
	w.max_idle_ms = 1000;
	spoken = record_as(st, &w);
	UNTIL(st, segments_in(st, spoken, "alice", SEG_RECORDING) == 1);
	w.subscribe =
		(struct subscription){.allow = true, .users = {"bob"}, .n = 1};
	silent = record_as(st, &w);
	UNTIL(st, !is_there(st, silent)); /* alice is not recorded by it */
	check_ended(st, silent, LEAVE_IDLE);
	assert_int_equal(info_of(st, spoken).state, TASK_RUNNING);
	a = (struct answer){0};
	rooms_input_set_mic(st->r, alice.id, false, &mic_caller, on_input, &a);
	UNTIL(st, a.calls);
	UNTIL(st, !is_there(st, spoken));
	check_ended(st, spoken, LEAVE_IDLE);
	check_truth(st, spoken);
	check_empty(st);
}

#define AT_ONCE_TEST(split)                                                   \
	cmocka_unit_test_prestate_setup_teardown(                             \
		tasks_that_are_stopped_at_once_end_in_every_way, stage_setup, \
		stage_teardown, (void *)(uintptr_t)(split))

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_mix_is_one_track_of_nobody),
		STAGE_TEST(a_user_called_0_and_the_mix_do_not_meet),
		STAGE_TEST(
			singles_and_mix_go_on_after_a_restart_with_the_next_number),
		cmocka_unit_test(a_stop_from_before_the_begin_records_nothing),
		AT_ONCE_TEST(&splits[0]),
		AT_ONCE_TEST(&splits[1]),
		STAGE_TEST(two_starts_alike_at_once_are_one_task),
		STAGE_TEST(
			a_rate_that_the_format_of_the_app_has_not_is_refused),
		STAGE_TEST(a_pause_is_durable_when_it_is_answered),
		STAGE_TEST(auto_begins_with_the_first_and_ends_with_the_last),
		STAGE_TEST(
			auto_that_was_stopped_by_hand_waits_for_an_empty_room),
		STAGE_TEST(auto_leaves_a_room_to_a_task_that_does_the_same),
		STAGE_TEST(auto_tries_again_when_a_start_could_not_be_stored),
		STAGE_TEST(a_task_of_an_empty_room_is_held_also_over_a_restart),
		STAGE_TEST(a_task_that_nobody_speaks_to_ends),
	};

	return RUN_STAGES(tests);
}
