/** test/unit/sound_wave_test.c -- sound as columns of levels. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "sound/sound.h"

enum { COLUMNS_MAX = 1 << 16 };

static struct sound_column columns[COLUMNS_MAX];

static struct sound_wave wave_of(uint64_t frames, size_t n)
{
	memset(columns, 0, sizeof(columns));
	return (struct sound_wave){
		.frames = frames, .n = n, .columns = columns};
}

static void every_frame_lies_in_one_column(void **state)
{
	static const struct {
		uint64_t frames;
		size_t n;
	} axes[] = {{10, 3}, {3, 10}, {1, 1}, {48000, 77}, {100, 100}};

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(axes); a++) {
		struct sound_wave w = wave_of(axes[a].frames, axes[a].n);

		for (uint64_t i = 0; i < w.frames; i++)
			sound_wave_add(&w, (int64_t)i, NULL, 1);
		for (size_t i = 0; i < w.n; i++)
			assert_int_equal(w.columns[i].frames,
					 sound_wave_begin(&w, i + 1) -
						 sound_wave_begin(&w, i));
		assert_int_equal(sound_wave_begin(&w, w.n), w.frames);
	}
}

static void levels_are_those_of_their_column(void **state)
{
	static const int16_t pcm[8] = {0,	  100,	     -16384, 16384,
				       INT16_MIN, INT16_MIN, 1,	     -1};
	struct sound_wave w = wave_of(12, 3);

	(void)state;
	sound_wave_add(&w, 0, pcm, 8);
	assert_int_equal(w.columns[0].peak, 16384);
	assert_int_equal(w.columns[1].peak, 32768);
	assert_int_equal(w.columns[2].frames, 0);
	assert_true(fabs(sound_column_rms(&w.columns[0]) - sqrt(0.125)) < 1e-4);
	assert_true(fabs(sound_column_rms(&w.columns[1]) - sqrt(0.5)) < 1e-4);
	assert_true(sound_column_rms(&w.columns[2]) == 0);
}

static void pieces_are_as_good_as_the_whole(void **state)
{
	static struct sound_column once[7];
	int16_t pcm[1000];
	struct sound_wave w = wave_of(901, 7);

	(void)state;
	for (int i = 0; i < 1000; i++)
		pcm[i] = (int16_t)(i * 37 % 20000 - 10000);
	sound_wave_add(&w, -50, pcm, 1000);
	memcpy(once, columns, sizeof(once));
	w = wave_of(901, 7);
	for (int at = 0; at < 1000; at += 8)
		sound_wave_add(&w, at - 50, pcm + at, 8);
	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(once[i].frames, columns[i].frames);
		assert_int_equal(once[i].peak, columns[i].peak);
		assert_true(fabs(once[i].squares - columns[i].squares) < 1e-9);
	}
}

static void what_is_outside_is_left_out(void **state)
{
	static const int16_t loud[4] = {30000, 30000, 30000, 30000};
	struct sound_wave w = wave_of(100, 10);

	(void)state;
	sound_wave_add(&w, 100, loud, 4);
	sound_wave_add(&w, -4, loud, 4);
	sound_wave_add(&w, INT64_MAX, loud, 4);
	sound_wave_add(&w, INT64_MIN, loud, 4);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(columns[i].frames, 0);
	sound_wave_add(&w, -2, loud, 4);
	sound_wave_add(&w, 98, loud, 4);
	assert_int_equal(columns[0].frames, 2);
	assert_int_equal(columns[9].frames, 2);
	assert_int_equal(columns[5].frames, 0);
}

static void silence_of_any_length_is_done_at_once(void **state)
{
	struct sound_wave w = wave_of(UINT64_C(1) << 46, COLUMNS_MAX);

	(void)state;
	sound_wave_add(&w, INT64_MIN, NULL, UINT64_MAX);
	for (size_t i = 0; i < w.n; i++) {
		assert_int_equal(columns[i].frames, UINT64_C(1) << 30);
		assert_int_equal(columns[i].peak, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_lies_in_one_column),
		cmocka_unit_test(levels_are_those_of_their_column),
		cmocka_unit_test(pieces_are_as_good_as_the_whole),
		cmocka_unit_test(what_is_outside_is_left_out),
		cmocka_unit_test(silence_of_any_length_is_done_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
