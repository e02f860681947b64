/** test/unit/sound_decimate_test.c -- 48 kHz to 24 and 16 kHz. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/decimate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "tone.h"

enum { N = 48000, BLOCK = 960 };

static const struct {
	uint32_t ratio, delay;
} rows[] = {{2, 63}, {3, 94}};

static int16_t in[N], out[N];

static uint32_t dice(void)
{
	static uint32_t seed = 7;

	seed = seed * 1103515245U + 12345U;
	return seed >> 8;
}

static size_t run(uint32_t ratio, const int16_t *pcm, size_t n, int16_t *to)
{
	struct decimator d;
	size_t got = 0;

	decimator_init(&d, ratio);
	for (size_t at = 0; at < n; at += BLOCK)
		got += decimate(&d, pcm + at, BLOCK, to + got);
	return got;
}

/** What a tone of `hz` becomes [dB]; the ends are left out. */
static double gain(uint32_t ratio, double hz)
{
	size_t n;

	for (size_t i = 0; i < N; i++)
		in[i] = (int16_t)lrint(20000 *
				       sin(2 * M_PI * hz * (double)i / 48000));
	n = run(ratio, in, N, out);
	assert_int_equal(n, N / ratio);
	return 20 * log10((tone_power(out + 500, n - 1000) + 1e-9) /
			  tone_power(in + 500, N - 1000));
}

static void what_fits_passes_unchanged(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const double nyquist = 24000.0 / rows[i].ratio;

		for (int part = 5; part <= 900; part += 17)
			assert_true(fabs(gain(rows[i].ratio,
					      part * nyquist / 1000)) < 0.1);
	}
}

static void what_would_fold_is_60_db_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const double nyquist = 24000.0 / rows[i].ratio;

		for (int hz = (int)(1.05 * nyquist) + 1; hz < 24000; hz += 171)
			assert_true(gain(rows[i].ratio, hz) < -60);
	}
}

static void a_click_comes_out_at_the_known_delay(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint32_t ratio = rows[i].ratio;
		size_t n, peak = 0;

		for (size_t k = 0; k < N; k++)
			in[k] = 0;
		/* so that its place is one that comes out */
		in[9600 + (ratio - rows[i].delay % ratio) % ratio] = 20000;
		n = run(ratio, in, N, out);
		for (size_t k = 0; k < n; k++)
			if (abs(out[k]) > abs(out[peak]))
				peak = k;
		assert_int_equal(peak,
				 (9600 + rows[i].delay + ratio - 1) / ratio);
		for (size_t k = 1; k < 20; k++) /* linear phase */
			assert_int_equal(out[peak - k], out[peak + k]);
	}
}

static void blocks_of_any_size_give_the_same(void **state)
{
	static int16_t again[N];

	(void)state;
	for (size_t i = 0; i < N; i++)
		in[i] = (int16_t)((int)(dice() % 60000) - 30000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct decimator d;
		size_t n = run(rows[i].ratio, in, N, out), got = 0, at = 0;

		decimator_init(&d, rows[i].ratio);
		while (at < N) {
			size_t k = dice() % (DECIMATE_BLOCK_MAX + 1);

			if (k > N - at)
				k = N - at;
			got += decimate(&d, in + at, (uint32_t)k, again + got);
			at += k;
			assert_int_equal(got, at / rows[i].ratio);
		}
		assert_int_equal(got, n);
		assert_memory_equal(again, out, n * sizeof(*out));
	}
}

static void the_loudest_does_not_wrap(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n;

		for (size_t k = 0; k < N; k++) /* 400 Hz square wave */
			in[k] = k / 60 % 2 ? INT16_MAX : INT16_MIN;
		n = run(rows[i].ratio, in, N, out);
		for (size_t k = 200; k < n;
		     k++) { /* mid half-wave: as it was */
			const size_t from = k * rows[i].ratio - rows[i].delay;

			if (from % 60 < 25 || from % 60 > 35)
				continue;
			assert_true(in[from] > 0 ? out[k] > 25000
						 : out[k] < -25000);
		}
	}
}

static void constants_stay_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n;

		for (size_t k = 0; k < N; k++)
			in[k] = -12345;
		n = run(rows[i].ratio, in, N, out);
		for (size_t k = 200; k < n; k++)
			assert_int_equal(out[k], -12345);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_stay_exactly),
		cmocka_unit_test(a_click_comes_out_at_the_known_delay),
		cmocka_unit_test(what_fits_passes_unchanged),
		cmocka_unit_test(what_would_fold_is_60_db_down),
		cmocka_unit_test(blocks_of_any_size_give_the_same),
		cmocka_unit_test(the_loudest_does_not_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
