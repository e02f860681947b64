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

#include "rooms/private.h"
#include "rooms_aid.h"

static uint64_t record_as(struct stage *st, const struct task_wish *w)
{
	struct answer a;

	start_as(st, w, &a);
	UNTIL(st, a.calls);
	if (a.err)
		fail_msg("start: %s", a.text);
	return a.id;
}

static uint64_t record_mode(struct stage *st, const char *room,
			    enum record_mode mode)
{
	struct task_wish w = wish_of(room);

	w.mode = mode;
	return record_as(st, &w);
}

/** Segments of a mode in a state (-1: any). */
static size_t of_mode(struct stage *st, uint64_t task, enum record_mode mode,
		      int state)
{
	struct store_rows rows = segments_of(st, task);
	size_t n = 0;

	for (size_t i = 0; i < rows.n; i++)
		n += rows.segments[i].mode == mode &&
		     (state == -1 || (int)rows.segments[i].state == state);
	store_rows_free(&rows);
	return n;
}

static bool both_sound(struct stage *st, uint64_t task)
{
	return of_mode(st, task, MODE_SINGLE, SEG_RECORDING) &&
	       of_mode(st, task, MODE_MIXED, SEG_RECORDING);
}

/* ---- the mix ---- */

/** Somebody may be called as the mix is: rows, events and files of both. */
static void a_user_called_0_and_the_mix_do_not_meet(void **state)
{
	struct stage *st = *state;
	struct store_rows rows;
	uint64_t task;

	st->deaf = true;
	begin(st);
	join(st, "room", "0");
	task = record_mode(st, "room", MODE_BOTH);
	UNTIL(st, both_sound(st, task));
	finish(st, task);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPED);
	rows = segments_of(st, task);
	assert_int_equal(rows.n, 2);
	for (size_t i = 0; i < rows.n; i++) {
		const struct segment_row *s = &rows.segments[i];
		const char *dir = s->mode == MODE_MIXED
					  ? "1400000000_room_0/"
					  : "1400000000_room_%30/";

		assert_string_equal(s->user, "0");
		assert_int_equal(s->state, SEG_CLOSED);
		assert_memory_equal(s->file_name, dir, strlen(dir));
		check_file(st, s);
	}
	store_rows_free(&rows);
	check_empty(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_user_called_0_and_the_mix_do_not_meet),
	};

	return RUN_STAGES(tests);
}
