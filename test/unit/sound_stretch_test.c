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
	/* the same sound, but for how it is rounded */
	for (uint32_t i = 0; i < (m < n ? m : n); i++)
		assert_in_range(out[i] - first[i] + 1, 0, 2);
}

/* The largest step of the slope: a click has one that a sine has not. */
static int worst_bend(uint32_t n)
{
	int worst = 0;

	for (uint32_t i = 2; i < n; i++) {
		const int bend = abs(out[i] - 2 * out[i - 1] + out[i - 2]);

		worst = bend > worst ? bend : worst;
	}
	return worst;
}

enum { SINE_BEND = 343 + 6 }; /* 20000 * (2pi * 1000 / 48000)^2, rounded */

/* Take `len` frames from in + at. */
static uint32_t take(struct sound_stretch *s, int32_t ppm, uint32_t at,
		     uint32_t len, uint32_t n)
{
	const int16_t *sound;

	if (ppm || s->is_on)
		return sound_stretch(s, ppm, in + at, len, out + n);
	sound = sound_stretch_hold(s, in + at, len, out + n);
	assert_ptr_equal(sound, in + at); /* untouched */
	memcpy(out + n, sound, len * sizeof(*sound));
	return len;
}

/* From untouched to stretched and back: no step that the sine has not. */
static void comes_and_goes_without_a_click(void **state)
{
	struct sound_stretch s = {0};
	uint32_t n = 0;

	(void)state;
	fill_sine(1000);
	for (uint32_t at = 0; at + 960 <= N; at += 960) {
		const uint32_t k = at / 960;

		n += take(&s, k > 100 && k < 200 ? 500 : 0, at, 960, n);
	}
	assert_false(s.is_on); /* it has come home */
	assert_true(worst_bend(n) < SINE_BEND);
	/* what comes last is what went in last, untouched */
	assert_memory_equal(out + n - 960, in + N - 960, 960 * sizeof(*in));
}

/* What is held between stretched packets keeps its length, and is one wave with
 * them: as short as it may be, at either rate. */
static void what_is_held_goes_with_the_rest(void **state)
{
	static const int32_t rates[] = {-700, -30, 30, 700};
	static const uint32_t held[] = {960, 1, 2, 120, 5760, 3};

	(void)state;
	fill_sine(1000);
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct sound_stretch s = {0};
		uint32_t n = 0, taken = 0, at = 0;

		for (uint32_t k = 0; at + 2 * SOUND_PACKET_MAX < N; k++) {
			const uint32_t len = held[k % 6];

			n += take(&s, rates[i], at, 960, n);
			at += 960;
			taken += 960;
			assert_ptr_equal(
				sound_stretch_hold(&s, in + at, len, out + n),
				out + n);
			n += len;
			at += len;
		}
		assert_in_range(
			n - (at - taken) + 4 -
				(uint32_t)(taken * (1 + rates[i] / 1e6)),
			0, 6);
		/* a fast one skips up to 0.0007 of a sample */
		assert_true(worst_bend(n) < SINE_BEND + 4);
	}
}

/* The next frame lies beyond what waits for this call, the longest there is. */
static void the_last_frame_is_not_behind_what_was_given(void **state)
{
	const int64_t one = 1LL << 32;
	struct sound_stretch s = {.is_on = true, .at = -one + 1000};
	const int16_t *sound;

	(void)state;
	fill_sine(1000);
	memcpy(s.kept, in, sizeof(s.kept));
	sound = sound_stretch_hold(&s, in + SOUND_STRETCH_KEPT,
				   SOUND_PACKET_MAX, out);
	assert_ptr_equal(sound, out);
	assert_true(s.at < -one && s.at > -one - 1000000);
	for (int i = 0; i < SOUND_PACKET_MAX; i++)
		assert_in_range(out[i] - in[i + 2] + 1, 0, 2);
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
		cmocka_unit_test(what_is_held_goes_with_the_rest),
		cmocka_unit_test(the_last_frame_is_not_behind_what_was_given),
		cmocka_unit_test(full_scale_is_not_wrapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
