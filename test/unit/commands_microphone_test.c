/** test/unit/commands_microphone_test.c -- when a sender speaks, and how fast
 *  its clock is. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/microphone.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MS = 1000, PACKET = 960, PACKETS_HOUR = 3600 * 50 };

static void a_clock_is_exact_over_an_hour(void **state)
{
	static const int ppms[] = {0, 1, -1, 300, -300, 1000, -1000};

	(void)state;
	for (size_t i = 0; i < sizeof(ppms) / sizeof(*ppms); i++) {
		const int ppm = ppms[i];
		int64_t before_us = -1;

		for (uint64_t n = 0; n <= PACKETS_HOUR; n++) {
			const int64_t us = mic_us_of_frames(n * PACKET, ppm);
			/* n * 20000 us / (1 + ppm / 10^6), rounded down */
			const int64_t want_us =
				(int64_t)(n * 20000000000U /
					  (uint64_t)(1000000 + ppm));

			assert_int_equal(us, want_us);
			assert_true(us > before_us);
			before_us = us;
		}
	}
	/* 300 ppm fast: the hour's sound is out 1.08 s early */
	assert_int_equal(mic_us_of_frames(PACKETS_HOUR * PACKET, 300),
			 3598920323);
	assert_int_equal(mic_us_of_frames(PACKETS_HOUR * PACKET, 0),
			 3600000000);
}

static void a_clock_counts_the_time_that_passes(void **state)
{
	(void)state;
	assert_int_equal(mic_frames_of_us(3600000000, 0), 172800000);
	assert_int_equal(mic_frames_of_us(3600000000, 1000), 172972800);
	assert_int_equal(mic_frames_of_us(3600000000, -1000), 172627200);
	/* years do not overflow */
	assert_int_equal(mic_frames_of_us(INT64_C(315360000000000), 0),
			 UINT64_C(15137280000000));
	assert_int_equal(mic_us_of_frames(UINT64_C(15137280000000), 0),
			 INT64_C(315360000000000));
}

static void the_level_is_that_of_rfc_6464(void **state)
{
	int16_t pcm[PACKET] = {0};

	(void)state;
	assert_int_equal(mic_level(pcm, PACKET), 127);
	assert_int_equal(mic_level(pcm, 0), 127);
	pcm[0] = 1; /* 90 dB and 30 more by the mean */
	assert_int_equal(mic_level(pcm, PACKET), 120);
	for (int i = 0; i < PACKET; i++)
		pcm[i] = i % 2 ? 32767 : -32768;
	assert_int_equal(mic_level(pcm, PACKET), 0);
	for (int i = 0; i < PACKET; i++)
		pcm[i] = (int16_t)lround(3276.8 * sin(2 * M_PI * i / 48));
	assert_int_equal(mic_level(pcm, PACKET), 23); /* 20 and 3 of a sine */
}

/** What becomes of each 20 ms: "s" sent, "t" tiny, "." nothing. */
static void run(const struct mic_config *c, const uint8_t *levels, size_t n,
		char *acts)
{
	struct mic m;

	mic_init(&m, c);
	for (size_t i = 0; i < n; i++) {
		enum mic_act act = mic_step(&m, (int64_t)i * 20 * MS, PACKET,
					    levels ? levels[i] : 0);

		acts[i] = act == MIC_SEND ? 's' : act == MIC_TINY ? 't' : '.';
	}
	acts[n] = 0;
}

static void muted_nothing_is_sent_and_in_a_pause_a_little(void **state)
{
	const struct mic_config c = {
		.mutes = {.at = {{.at_us = 40 * MS, .len_us = 60 * MS}},
			  .n = 1},
		.pauses = {.at = {{.at_us = 200 * MS, .len_us = 900 * MS}},
			   .n = 1}};
	char acts[64];

	(void)state;
	run(&c, NULL, 57, acts);
	assert_string_equal(acts, "ss...sssss"
				  "t...................t..................."
				  "t....ss");
}

static void quiet_of_200_ms_is_a_pause_until_the_next_sound(void **state)
{
	const struct mic_config c = {.has_dtx = true};
	uint8_t levels[64];
	char acts[65];

	(void)state;
	assert_true(mic_needs_level(&c));
	for (int i = 0; i < 64; i++)
		levels[i] = 127;
	/* 5 loud, 9 quiet, 1 loud, 40 quiet, 9 loud */
	for (int i = 0; i < 64; i++) {
		if (i < 5 || i == 14 || i >= 55)
			levels[i] = MIC_LEVEL_PAUSE - 1;
	}
	run(&c, levels, 64, acts);
	assert_string_equal(acts, "sssss"
				  "sssssssss"
				  "s"
				  "sssssssssst...................t........."
				  "sssssssss");
}

static void each_change_comes_once(void **state)
{
	const struct mic_config c = {
		.change_us = {500 * MS, 100 * MS, 100 * MS}, .n_changes = 3};
	struct mic m;
	int changes = 0;

	(void)state;
	mic_init(&m, &c);
	for (int64_t us = 0; us < 1000 * MS; us += 20 * MS) {
		if (!mic_changes(&m, us))
			continue;
		assert_true(us == 100 * MS || us == 500 * MS);
		changes++;
	}
	assert_int_equal(changes, 2);
}

static void stretches_of_time_may_touch_and_overlap(void **state)
{
	const struct spans s = {.at = {{10, 5}, {15, 5}, {18, 10}, {100, 1}},
				.n = 4};

	(void)state;
	assert_null(spans_find(&s, 9));
	assert_non_null(spans_find(&s, 10));
	assert_int_equal(spans_end(&s, 9), 9);
	assert_int_equal(spans_end(&s, 10), 28);
	assert_int_equal(spans_end(&s, 28), 28);
	assert_int_equal(spans_end(&s, 100), 101);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_is_exact_over_an_hour),
		cmocka_unit_test(a_clock_counts_the_time_that_passes),
		cmocka_unit_test(the_level_is_that_of_rfc_6464),
		cmocka_unit_test(muted_nothing_is_sent_and_in_a_pause_a_little),
		cmocka_unit_test(
			quiet_of_200_ms_is_a_pause_until_the_next_sound),
		cmocka_unit_test(each_change_comes_once),
		cmocka_unit_test(stretches_of_time_may_touch_and_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
