/** test/unit/rooms_waves_test.c -- waveforms of files that nobody saw in the
 *  making. */
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

enum { ASKERS = 5 };

/** What came of asking, in the order of the answers. */
static struct {
	unsigned calls;
	int err[ASKERS];
	uint64_t segment[ASKERS];
	uint32_t bucket_frames;
} told;

static void on_wave(const struct err *e, const struct wave_row *w, void *arg)
{
	(void)arg;
	assert_true(told.calls < ASKERS);
	told.err[told.calls] = e->code;
	told.segment[told.calls] = w ? w->segment : 0;
	if (!e->code && w)
		told.bucket_frames = w->bucket_frames;
	told.calls++;
}

/** A closed segment of alice. */
static struct segment_row one_segment(struct stage *st)
{
	struct segment_row row;
	struct store_rows rows;
	uint64_t task;

	memset(&told, 0, sizeof(told));
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	finish(st, task);
	rows = segments_of(st, task);
	assert_true(rows.n > 0);
	row = rows.segments[0];
	store_rows_free(&rows);
	return row;
}

static size_t waves_of(struct stage *st, uint64_t segment)
{
	return aid_count(&st->a, (struct store_filter){.what = READ_WAVES,
						       .id = segment,
						       .state = -1});
}

static void what_is_encoded_here_brings_its_waveform(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;

	assert_int_equal(waves_of(st, row.id), 1);
	assert_null(st->r->wave);
	assert_int_equal(st->r->n_waves, 0); /* and no file was read */
}

static void all_who_ask_for_one_are_told_once_it_is_stored(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;
	struct segment_row none = row;

	none.id = 99;
	str_copy(none.file_name, sizeof(none.file_name), "is/not.mp3");
	rooms_wave(st->r, &none, on_wave, NULL);
	rooms_wave(st->r, &row, on_wave, NULL);
	rooms_wave(st->r, &row, on_wave, NULL);
	assert_int_equal(st->r->n_waves, 2);
	UNTIL(st, told.calls == 3);
	assert_int_equal(told.err[0], ENOENT);
	assert_int_equal(told.segment[0], 99);
	assert_int_equal(told.err[1] | told.err[2], 0);
	assert_int_equal(told.segment[1], row.id);
	assert_int_equal(told.segment[2], row.id);
	assert_int_equal(told.bucket_frames, SOUND_PEAK_FRAMES);
	assert_int_equal(st->r->n_waves, 0);
}

static void who_is_waited_for_comes_before_who_is_not(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;
	struct segment_row other = row;
	uint64_t last = row.id;

	/* the first is under way at once; two wait, then one is asked for */
	for (uint64_t id = 100; id < 103; id++) {
		other.id = id;
		assert_true(waves_add(st->r, &other, false));
	}
	rooms_wave(st->r, &row, on_wave, NULL);
	UNTIL(st, told.calls == 1);
	assert_int_equal(told.segment[0], last);
	assert_true(st->r->n_waves >= 2);
	UNTIL(st, !st->r->n_waves);
}

static void more_than_can_wait_are_left_for_who_asks(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;
	unsigned n = 0;

	str_copy(row.file_name, sizeof(row.file_name), "is/not.mp3");
	while (n < 10000 && waves_add(st->r, &row, false)) {
		row.id++;
		n++;
	}
	assert_int_equal(n, 4096);
	rooms_wave(st->r, &row, on_wave, NULL);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.err[0], ENOBUFS);
	UNTIL(st, !st->r->n_waves);
}

static void a_stop_tells_who_waits(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;

	for (int i = 0; i < 3; i++) {
		row.id++;
		rooms_wave(st->r, &row, on_wave, NULL);
	}
	end(st);
	assert_int_equal(told.calls, 3);
	for (int i = 0; i < 2; i++) /* the one under way may have made it */
		assert_int_equal(told.err[i], ECANCELED);
}

static void a_copy_in_the_spool_goes_behind_its_waveform(void **state)
{
	struct segment_row row = one_segment(*state);
	struct stage *st = *state;
	char folder[FILE_NAME_MAX], spool[1280], stored[1280];

	snprintf(stored, sizeof(stored), "%s/%s", st->r->storage_dir,
		 row.file_name);
	snprintf(spool, sizeof(spool), "%s/%s", st->r->spool_dir,
		 row.file_name);
	str_copy(folder, sizeof(folder), spool);
	*strrchr(folder, '/') = 0;
	assert_int_equal(file_mkdirs(folder), 0);
	assert_int_equal(link(stored, spool), 0);
	assert_true(waves_add(st->r, &row, true));
	UNTIL(st, !st->r->n_waves);
	UNTIL(st, access(spool, F_OK));
	assert_int_equal(access(stored, F_OK), 0);
	assert_int_equal(waves_of(st, row.id), 1);
	/* where files stay on this machine nothing has to wait for it */
	assert_true(waves_add(st->r, &row, false));
	assert_false(waves_take_drop(st->r, &row));
	UNTIL(st, !st->r->n_waves);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(what_is_encoded_here_brings_its_waveform),
		STAGE_TEST(all_who_ask_for_one_are_told_once_it_is_stored),
		STAGE_TEST(who_is_waited_for_comes_before_who_is_not),
		STAGE_TEST(more_than_can_wait_are_left_for_who_asks),
		STAGE_TEST(a_stop_tells_who_waits),
		STAGE_TEST(a_copy_in_the_spool_goes_behind_its_waveform),
	};

	return RUN_STAGES(tests);
}
