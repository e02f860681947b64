/**
 * test/unit/intake_capture_red_test.c -- captured traces, replayed: RED as a
 * browser makes it, in-band FEC, and levels that say that a mic is off.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_aid.h"

enum { RED_PT = 63, OPUS_PT = 111, LEVEL_EXT = 1 };

static const struct wanted speaks = {.beeps = 12};

/* Told what the SDP says. */
static struct input_config red_config(void)
{
	struct input_config config = capture_config(MIC_OFF_US);

	config.red_pt = RED_PT;
	config.opus_pt = OPUS_PT;
	return config;
}

static void red_of_a_browser_is_heard_when_it_was_said(void **state)
{
	const struct input_config told = red_config();
	const struct input_config untold = capture_config(MIC_OFF_US);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct heard h;

		hear(&h, "chromium_red", i ? &untold : &told, 0);
		expect_clean(&h);
		expect_long(&h, 0);
		expect_beeps(&h, &speaks);
		assert_int_equal(h.stats.recovered_red, 0);
		hear_end(&h);
	}
}

static void what_is_lost_comes_out_of_red_as_if_it_had_not_been(void **state)
{
	const struct input_config config = red_config();
	struct heard whole, holey;

	(void)state;
	hear(&whole, "chromium_red", &config, 0);
	hear(&holey, "chromium_red", &config, 5);
	assert_true(holey.n_lost > 100);
	assert_int_equal(holey.stats.recovered_red, holey.n_lost);
	expect_clean(&holey);
	assert_int_equal(holey.ear.end, whole.ear.end);
	assert_memory_equal(holey.pcm, whole.pcm,
			    (size_t)(whole.ear.end - whole.first_pos) *
				    sizeof(*whole.pcm));
	hear_end(&whole);
	hear_end(&holey);
}

static void red_with_dtx_is_heard_when_it_was_said(void **state)
{
	const struct wanted muted = {
		.beeps = 8, .before_pause = 4, .pause_ms = 5000};
	const struct input_config config = red_config();
	struct heard h;

	(void)state;
	hear(&h, "chromium_red_dtx", &config, 0);
	expect_clean(&h);
	expect_long(&h, 0);
	expect_beeps(&h, &muted);
	assert_int_equal(h.ear.n_on, 1);
	assert_true(ear_sum(&h.ear, CHUNK_SILENCE) >= 6000 * MS);
	hear_end(&h);

	hear(&h, "chromium_red_dtx", &config, 9);
	assert_true(h.stats.recovered_red > 0);
	assert_int_equal(h.stats.recovered_red + h.stats.lost, h.n_lost);
	expect_long(&h, 0);
	hear_end(&h);
}

static void fec_of_gstreamer_brings_lost_sound_back(void **state)
{
	const struct input_config config = capture_config(MIC_OFF_US);
	struct heard h;

	(void)state;
	hear(&h, "gstreamer_fec", &config, 9);
	assert_int_equal(h.stats.lost, h.n_lost);
	assert_true(h.stats.recovered_fec > 0);
	expect_long(&h, 0);
	expect_beeps(&h, &speaks);
	hear_end(&h);
}

static void a_mute_button_is_mic_off_where_levels_are_read(void **state)
{
	static const char *const names[] = {"chromium_mute",
					    "chromium_mute_dtx"};
	const struct wanted muted = {
		.beeps = 8, .before_pause = 4, .pause_ms = 5000};
	struct input_config config = capture_config(MIC_OFF_US);

	(void)state;
	config.audio_level_ext = LEVEL_EXT;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct heard h;

		hear(&h, names[i], &config, 0);
		expect_clean(&h);
		expect_beeps(&h, &muted);
		assert_int_equal(h.ear.n_on, 2);
		assert_int_equal(h.ear.n_off, 1);
		hear_end(&h);
	}
}

static void pauses_between_words_are_not_mic_off(void **state)
{
	struct input_config config = capture_config(MIC_OFF_US);
	struct heard h;

	(void)state;
	config.audio_level_ext = LEVEL_EXT;
	hear(&h, "chromium_plain", &config, 0);
	expect_clean(&h);
	expect_beeps(&h, &speaks);
	assert_int_equal(h.ear.n_on, 1);
	assert_int_equal(h.ear.n_off, 0);
	hear_end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(red_of_a_browser_is_heard_when_it_was_said),
		cmocka_unit_test(
			what_is_lost_comes_out_of_red_as_if_it_had_not_been),
		cmocka_unit_test(red_with_dtx_is_heard_when_it_was_said),
		cmocka_unit_test(fec_of_gstreamer_brings_lost_sound_back),
		cmocka_unit_test(
			a_mute_button_is_mic_off_where_levels_are_read),
		cmocka_unit_test(pauses_between_words_are_not_mic_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
