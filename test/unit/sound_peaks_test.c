/** test/unit/sound_peaks_test.c -- waveforms of bounded size. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void levels_are_of_the_loudest_sample(void **state)
{
	int16_t pcm[3] = {0, 0, 0};

	(void)state;
	assert_int_equal(sound_peak_level(pcm, 3), 0);
	pcm[1] = 1;
	assert_int_equal(sound_peak_level(pcm, 3), 1);
	pcm[2] = -16384;
	assert_int_equal(sound_peak_level(pcm, 3), 128);
	pcm[0] = INT16_MAX;
	assert_int_equal(sound_peak_level(pcm, 3), 255);
	pcm[1] = INT16_MIN;
	assert_int_equal(sound_peak_level(pcm, 3), 255);
	assert_int_equal(sound_peak_level(pcm, 0), 0);
}

static void a_bucket_has_its_own_peak(void **state)
{
	int16_t pcm[3 * SOUND_PEAK_FRAMES + 1] = {0};
	struct sound_peaks p;

	(void)state;
	pcm[SOUND_PEAK_FRAMES] = 16384;
	pcm[3 * SOUND_PEAK_FRAMES] = INT16_MAX;
	sound_peaks_init(&p);
	/* in pieces that fit no bucket */
	for (size_t at = 0; at < sizeof(pcm) / 2; at += 131)
		sound_peaks_add_pcm(&p, pcm + at,
				    at + 131 < sizeof(pcm) / 2
					    ? 131
					    : sizeof(pcm) / 2 - at);
	assert_int_equal(p.n, 4);
	assert_int_equal(p.bucket_frames, SOUND_PEAK_FRAMES);
	assert_int_equal(p.filled, 1);
	assert_memory_equal(p.at, ((uint8_t[]){0, 128, 0, 255}), 4);
}

static void however_long_it_is_its_size_is_bounded(void **state)
{
	const uint64_t hour = 3600 * (uint64_t)SOUND_RATE;
	struct sound_peaks p;

	(void)state;
	sound_peaks_init(&p);
	sound_peaks_add(&p, 1, SOUND_PEAKS_MAX * SOUND_PEAK_FRAMES);
	assert_int_equal(p.n, SOUND_PEAKS_MAX);
	sound_peaks_add(&p, 9, 1);
	assert_int_equal(p.n, SOUND_PEAKS_MAX / 2 + 1);
	assert_int_equal(p.bucket_frames, 2 * SOUND_PEAK_FRAMES);
	assert_int_equal(p.at[SOUND_PEAKS_MAX / 2 - 1], 1);
	assert_int_equal(p.at[SOUND_PEAKS_MAX / 2], 9);
	sound_peaks_init(&p);
	sound_peaks_add_pcm(&p, NULL, hour);
	sound_peaks_add(&p, 7, 1);
	sound_peaks_add(&p, 0, hour - 1);
	assert_true(p.n > SOUND_PEAKS_MAX / 2 && p.n <= SOUND_PEAKS_MAX);
	for (unsigned i = 0; i < p.n; i++)
		assert_int_equal(p.at[i], i == hour / p.bucket_frames ? 7 : 0);
	assert_int_equal((p.n - 1) * (uint64_t)p.bucket_frames + p.filled,
			 2 * hour);
	sound_peaks_add(&p, 3, UINT64_C(1) << 44);
	assert_true(p.n <= SOUND_PEAKS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_of_the_loudest_sample),
		cmocka_unit_test(a_bucket_has_its_own_peak),
		cmocka_unit_test(however_long_it_is_its_size_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
