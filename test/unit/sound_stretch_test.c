/** test/unit/sound_stretch_test.c -- sound made longer and shorter, unheard. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sound/sound.h"

enum { N = 10 * SOUND_RATE };

static int16_t in[N], out[N + N / 500];

static void fill_sine(double hz)
{
	for (int i = 0; i < N; i++)
		in[i] = (int16_t)lrint(20000 *
				       sin(2 * M_PI * hz * i / SOUND_RATE));
}

/* All of `in`, in calls of these lengths; how many came out. */
static uint32_t run(struct sound_stretch *s, int32_t ppm, const uint32_t *lens,
		    size_t n_lens)
{
	uint32_t n = 0;
	size_t k = 0;

	for (uint32_t at = 0; at + SOUND_PACKET_MAX <= N; k++) {
		uint32_t len = lens[k % n_lens];

		n += sound_stretch(s, ppm, in + at, len, out + n);
		at += len;
	}
	return n;
}

/* Power of what is not a sine of `hz` in out[from..to), of that which is. */
static double noise_of(double hz, uint32_t from, uint32_t to)
{
	const double w = 2 * M_PI * hz / SOUND_RATE;
	double c = 0, s = 0, rest = 0;

	for (uint32_t i = from; i < to; i++) {
		c += out[i] * cos(w * i) * 2 / (to - from);
		s += out[i] * sin(w * i) * 2 / (to - from);
	}
	for (uint32_t i = from; i < to; i++) {
		const double x = out[i] - c * cos(w * i) - s * sin(w * i);

		rest += x * x;
	}
	return rest / (to - from) / ((c * c + s * s) / 2);
}

static void sine_stays_a_sine_of_another_pitch(void **state)
{
	static const int32_t rates[] = {-1000, -500, -37, 37, 500, 1000};
	static const uint32_t lens[] = {960};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct sound_stretch s = {0};
		const double hz = 1000 * (1 - rates[i] / 1e6);
		uint32_t n;

		fill_sine(1000);
		n = run(&s, rates[i], lens, 1);
		/* 60 dB below */
		assert_true(noise_of(hz, 4800, n - 4800) < 1e-6);
	}
}

static void length_is_exact_however_it_is_cut(void **state)
{
	static const uint32_t lens[] = {120, 960, 5760, 2880, 480};
	static const uint32_t packets[] = {960};
	static int16_t first[N + N / 500];
	struct sound_stretch s = {0};
	uint32_t n, m;
	uint32_t taken = 0;

	(void)state;
	fill_sine(440);
	n = run(&s, 300, packets, 1);
	memcpy(first, out, sizeof(first));
	taken = (N - SOUND_PACKET_MAX) / 960 * 960 + 960;
	assert_true(llabs((int64_t)n - (int64_t)(taken * 1.0003)) <= 3);
	sound_stretch_begin(&s);
	m = run(&s, 300, lens, sizeof(lens) / sizeof(lens[0]));
	assert_memory_equal(out, first, (m < n ? m : n) * sizeof(*out));
}

/* From untouched to stretched and back: no step that the sine has not. */
static void comes_and_goes_without_a_click(void **state)
{
	struct sound_stretch s = {0};
	uint32_t n = 0;
	int worst = 0;

	(void)state;
	fill_sine(1000);
	for (uint32_t at = 0; at + 960 <= N; at += 960) {
		const uint32_t k = at / 960;
		const int32_t ppm = k > 100 && k < 200 ? 500 : 0;

		if (ppm || s.is_on) {
			n += sound_stretch(&s, ppm, in + at, 960, out + n);
		} else {
			sound_stretch_pass(&s, in + at, 960);
			memcpy(out + n, in + at, 960 * sizeof(*in));
			n += 960;
		}
	}
	assert_false(s.is_on); /* it has come home */
	for (uint32_t i = 1; i < n; i++) {
		int step = abs(out[i] - out[i - 1]);

		worst = step > worst ? step : worst;
	}
	/* 20000 * 2pi * 1000 / 48000 = 2618; twice where two samples go */
	assert_true(worst < 2618 * 3);
	/* what comes last is what went in last, untouched */
	assert_memory_equal(out + n - 960, in + N - 960, 960 * sizeof(*in));
}

/* Full scale, and a cubic that would go beyond it. */
static void full_scale_is_not_wrapped(void **state)
{
	struct sound_stretch s = {0};
	uint32_t n;

	(void)state;
	for (int i = 0; i < 960; i++)
		in[i] = i < 480 ? INT16_MIN : INT16_MAX;
	n = sound_stretch(&s, 1000, in, 960, out);
	for (uint32_t i = 4; i < n; i++)
		assert_true(i < 478 ? out[i] < 0 : i > 484 ? out[i] > 0 : 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sine_stays_a_sine_of_another_pitch),
		cmocka_unit_test(length_is_exact_however_it_is_cut),
		cmocka_unit_test(comes_and_goes_without_a_click),
		cmocka_unit_test(full_scale_is_not_wrapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
