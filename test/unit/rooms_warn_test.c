/** test/unit/rooms_warn_test.c -- what is told, and how often, of inputs that
 *  are lost or never heard, and of a disk that gets full. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/private.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

enum {
	AFTER_US = 1000 * 1000,
	SOME_ROUNDS_US = 2500 * 1000, /* of the keeper */
	FREE = 1000,		      /* bytes */
	LOW = 100
};

static const char *warning_of(const struct stage *st, uint64_t input)
{
	struct input_info info;

	assert_true(rooms_input_info(st->r, input, &info));
	return info.warning;
}

static bool is_warned(const struct stage *st, uint64_t input, const char *of)
{
	return !strcmp(warning_of(st, input), of);
}

/** How many events of a kind a task has; all are about `user`. */
static size_t told_of(struct stage *st, uint64_t task, enum event_kind kind,
		      const char *user)
{
	struct store_rows rows =
		aid_read(&st->a, (struct store_filter){.what = READ_EVENTS,
						       .task = task,
						       .state = -1,
						       .limit = SEGMENTS_MAX});
	size_t n = 0;

	for (size_t i = 0; i < rows.n; i++) {
		struct event e;

		if (strcmp(rows.events[i].kind, event_kind_name(kind)) != 0)
			continue;
		n++;
		assert_int_equal(event_parse_json(rows.events[i].facts,
						  rows.events[i].facts_len, &e),
				 0);
		assert_string_equal(e.user, user);
		assert_string_equal(e.room, "room");
		assert_string_equal(e.reason, event_kind_name(kind));
		assert_true(e.reason_text[0]);
		event_fini(&e);
	}
	store_rows_free(&rows);
	return n;
}

static uint64_t record_but(struct stage *st, enum record_mode mode,
			   const char *but)
{
	struct task_wish w = wish_of("room");

	w.mode = mode;
	if (but)
		w.subscribe = (struct subscription){.users = {but}, .n = 1};
	return record_as(st, &w);
}

static uint64_t packets_of(const struct stage *st, uint64_t input)
{
	struct input_info info;

	assert_true(rooms_input_info(st->r, input, &info));
	return info.packets;
}

static void each_loss_is_told_once_to_each_task_that_wants_it(void **state)
{
	struct stage *st = *state;
	uint64_t tasks[3], late;
	struct answer a;
	size_t n;

	st->app.recording.input_lost_after_us = AFTER_US;
	begin(st);
	a = join(st, "room", "alice");
	tasks[0] = record_but(st, MODE_SINGLE, NULL);
	tasks[1] = record_but(st, MODE_MIXED, NULL);
	tasks[2] = record_but(st, MODE_SINGLE, "alice");
	UNTIL(st, packets_of(st, a.id) > 0);
	st->paused = true;
	UNTIL(st, is_warned(st, a.id, "input_lost"));
	UNTIL(st, told_of(st, tasks[1], EVENT_INPUT_LOST, "alice") > 0);
	turn_for(st, SOME_ROUNDS_US);
	n = told_of(st, tasks[0], EVENT_INPUT_LOST, "alice");
	assert_true(n >= 1);
	late = record_but(st, MODE_BOTH, NULL); /* begins while it is lost */
	UNTIL(st, told_of(st, late, EVENT_INPUT_LOST, "alice") > 0);
	turn_for(st, SOME_ROUNDS_US);
	assert_int_equal(told_of(st, tasks[0], EVENT_INPUT_LOST, "alice"), n);
	assert_int_equal(told_of(st, tasks[1], EVENT_INPUT_LOST, "alice"), n);
	assert_int_equal(told_of(st, late, EVENT_INPUT_LOST, "alice"), 1);
	st->paused = false;
	UNTIL(st, is_warned(st, a.id, ""));
	st->paused = true;
	UNTIL(st, told_of(st, tasks[0], EVENT_INPUT_LOST, "alice") > n);
	assert_int_equal(told_of(st, tasks[2], EVENT_INPUT_LOST, "alice"), 0);
	for (size_t i = 0; i < 3; i++) {
		finish(st, tasks[i]);
		check_truth(st, tasks[i]);
	}
	finish(st, late);
	check_truth(st, late);
}

/** Somebody says that he leaves. */
static void say_bye(const struct speaker *s)
{
	/* an empty receiver's report, and BYE, of ssrc 7 */
	static const uint8_t bye[] = {0x80, 201, 0, 1, 0, 0, 0, 7,
				      0x81, 203, 0, 1, 0, 0, 0, 7};

	assert_int_equal(
		sendto(s->fd, bye, sizeof(bye), 0, &s->to.sa, s->to.len),
		sizeof(bye));
}

static void who_leaves_or_is_switched_off_is_not_lost(void **state)
{
	struct stage *st = *state;
	struct answer alice, bob, carol, mic = {0};

	st->app.recording.input_lost_after_us = AFTER_US;
	begin(st);
	alice = join(st, "room", "alice");
	bob = join(st, "room", "bob");
	carol = join(st, "room", "carol");
	add(st, "room", "dave", &mic); /* never sent */
	UNTIL(st, mic.calls && packets_of(st, alice.id) &&
			  packets_of(st, bob.id) && packets_of(st, carol.id));
	st->paused = true;
	say_bye(&st->speakers[0]);
	rooms_input_set_mic(st->r, bob.id, false, &mic_caller, on_input, &mic);
	UNTIL(st, is_warned(st, carol.id, "input_lost"));
	turn_for(st, SOME_ROUNDS_US);
	assert_string_equal(warning_of(st, alice.id), "");
	assert_string_equal(warning_of(st, bob.id), "");
	assert_string_equal(warning_of(st, mic.id), "");
	assert_int_equal(mic.calls, 2);
	/* and is expected again */
	rooms_input_set_mic(st->r, bob.id, true, &mic_caller, on_input, &mic);
	UNTIL(st, is_warned(st, bob.id, "input_lost"));
	st->paused = false;
	UNTIL(st, is_warned(st, carol.id, "") && packets_of(st, alice.id) > 0);
	turn_for(st, SOME_ROUNDS_US);
	st->paused = true;
	UNTIL(st, is_warned(st, alice.id, "input_lost"));
}

static void who_was_never_heard_is_told_of_once(void **state)
{
	struct stage *st = *state;
	struct answer alice, bob, off;
	uint64_t task;

	st->app.recording.no_audio_after_us = AFTER_US;
	begin(st);
	alice = join(st, "room", "alice");
	add(st, "room", "bob", &bob);
	add(st, "room", "carol", &off);
	UNTIL(st, bob.calls && off.calls);
	rooms_input_set_mic(st->r, off.id, false, &mic_caller, on_input, &off);
	turn_for(st, SOME_ROUNDS_US);
	assert_string_equal(warning_of(st, bob.id), ""); /* not recorded */
	task = record(st, "room");
	UNTIL(st, told_of(st, task, EVENT_NO_AUDIO, "bob") > 0);
	assert_string_equal(warning_of(st, bob.id), "no_audio");
	turn_for(st, SOME_ROUNDS_US);
	assert_int_equal(told_of(st, task, EVENT_NO_AUDIO, "bob"), 1);
	assert_string_equal(warning_of(st, alice.id), "");
	assert_string_equal(warning_of(st, off.id), "");
	talk(st, bob.port);
	UNTIL(st, is_warned(st, bob.id, ""));
	st->paused = true; /* who was heard once is listening */
	turn_for(st, SOME_ROUNDS_US);
	assert_int_equal(told_of(st, task, EVENT_NO_AUDIO, "bob"), 1);
	assert_string_equal(warning_of(st, bob.id), "");
	finish(st, task);
	check_truth(st, task);
}

/* Without an endpoint the commits are: input, start, row, recording; then the
 * warning's, and those of the stop that comes meanwhile. */
static const char commits[] = "store.commit=ENOSPC:5-12";

static void a_warning_is_committed_before_its_task_is_over(void **state)
{
	struct stage *st = *state;
	int64_t errors = counter_get(COUNT_store_errors);
	struct answer a, stopped;
	uint64_t task;

	st->deaf = true;
	st->app.recording.input_lost_after_us = AFTER_US;
	set_fault(commits);
	begin(st);
	a = join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_RECORDING) == 1);
	st->paused = true;
	UNTIL(st, is_warned(st, a.id, "input_lost"));
	UNTIL(st, counter_get(COUNT_store_errors) > errors);
	stop(st, task, &stopped);
	UNTIL(st, !is_there(st, task));
	assert_int_equal(stopped.err, 0);
	assert_true(told_of(st, task, EVENT_INPUT_LOST, "alice") >= 1);
	check_truth(st, task); /* the numbers have no holes */
	check_empty(st);
}

static void measured(struct stage *st, int64_t free_bytes)
{
	/* no worker measures for the next hour */
	warn_on_measured(st->r, free_bytes,
			 loop_now_us(st->loop) + 3600LL * CLOCK_US_PER_S);
}

static void each_fall_of_the_free_space_is_told_once(void **state)
{
	struct stage *st = *state;
	struct answer a;
	char why[160];
	uint64_t task;

	begin(st);
	st->r->disk_low_bytes = LOW;
	join(st, "room", "alice");
	task = record(st, "room");
	measured(st, FREE);
	assert_true(rooms_is_ready(st->r, why, sizeof(why)));
	measured(st, LOW - 1);
	assert_false(rooms_is_ready(st->r, why, sizeof(why)));
	assert_non_null(strstr(why, "disk low"));
	add(st, "other", "bob", &a);
	UNTIL(st, a.calls);
	st->r->disk_low_bytes = INT64_MAX; /* a start asks the disk itself */
	start(st, "other", &a);
	assert_int_equal(a.err, ENOSPC);
	st->r->disk_low_bytes = LOW;
	measured(st, LOW - 2);
	measured(st, LOW + 1); /* not yet plenty */
	measured(st, LOW - 1);
	measured(st, -1); /* says nothing */
	assert_false(rooms_is_ready(st->r, why, sizeof(why)));
	UNTIL(st, told_of(st, task, EVENT_DISK_LOW, "tapeop") == 1);
	measured(st, FREE);
	clock_shift_unix(1000);
	measured(st, LOW - 1);
	UNTIL(st, told_of(st, task, EVENT_DISK_LOW, "tapeop") == 2);
	turn_for(st, SOME_ROUNDS_US);
	assert_int_equal(told_of(st, task, EVENT_DISK_LOW, "tapeop"), 2);
	finish(st, task);
	check_truth(st, task);
}

static void a_disk_that_does_not_answer_is_not_ready(void **state)
{
	struct stage *st = *state;
	char why[160];

	begin(st);
	assert_true(rooms_is_ready(st->r, why, sizeof(why)));
	assert_true(rooms_free_bytes(st->r) > 0);
	st->r->measured_us -= 61 * CLOCK_US_PER_S;
	assert_false(rooms_is_ready(st->r, why, sizeof(why)));
	assert_non_null(strstr(why, "does not answer"));
	UNTIL(st, rooms_is_ready(st->r, why, sizeof(why))); /* a worker did */
}

static void commits_that_fail_are_not_ready_until_one_is_made(void **state)
{
	struct stage *st = *state;
	struct answer a;
	char why[160];

	st->deaf = true;
	set_fault("store.commit=EIO:2-3");
	begin(st);
	join(st, "room", "alice");
	assert_true(rooms_is_ready(st->r, why, sizeof(why)));
	start(st, "room", &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, EIO);
	assert_false(rooms_is_ready(st->r, why, sizeof(why)));
	assert_non_null(strstr(why, "takes no writes"));
	/* nobody writes: the store tries by itself */
	UNTIL(st, rooms_is_ready(st->r, why, sizeof(why)));
	finish(st, record(st, "room"));
	check_empty(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(each_loss_is_told_once_to_each_task_that_wants_it),
		STAGE_TEST(who_leaves_or_is_switched_off_is_not_lost),
		STAGE_TEST(who_was_never_heard_is_told_of_once),
		STAGE_TEST(a_warning_is_committed_before_its_task_is_over),
		STAGE_TEST(each_fall_of_the_free_space_is_told_once),
		STAGE_TEST(a_disk_that_does_not_answer_is_not_ready),
		STAGE_TEST(commits_that_fail_are_not_ready_until_one_is_made),
	};

	return RUN_STAGES(tests);
}
