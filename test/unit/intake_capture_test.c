/**
 * test/unit/intake_capture_test.c -- what real senders sent, replayed: is what
 * comes out of the intake what was said, when it was said?
 *
 * The traces and how they were captured: test/trace/capture.mjs, with the
 * format of the files.  Time is injected, so 12 s take a moment.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture_aid.h"

enum {
	FILE_MAX = 1 << 20,
	LEVEL = 10 * MS, /* an entry of an envelope of speech */
	LEVELS = 400
};

/* ---- beeps ------------------------------------------------------------------- */

static struct wanted beeping[] = {
	{.name = "ffmpeg_20ms", .beeps = 12},
	{.name = "ffmpeg_60ms", .beeps = 12, .early_ms = 40},
	{.name = "gstreamer_dtx", .beeps = 12, .silence_ms = 6000},
	{.name = "gstreamer_fec", .beeps = 12},
	{.name = "janus_audiobridge", .beeps = 12},
	{.name = "chromium_plain", .beeps = 12},
	{.name = "chromium_dtx", .beeps = 12, .silence_ms = 6000},
	/* A mute button sends silence, or nearly nothing: the mic stays on. */
	{.name = "chromium_mute",
	 .beeps = 8,
	 .before_pause = 4,
	 .pause_ms = 5000},
	{.name = "chromium_mute_dtx",
	 .beeps = 8,
	 .before_pause = 4,
	 .pause_ms = 5000,
	 .silence_ms = 6000},
	/* RTP time goes on where it stopped, 6 s late. */
	{.name = "chromium_hold",
	 .beeps = 8,
	 .before_pause = 4,
	 .pause_ms = 7000,
	 .silence_ms = 5900,
	 .jumps = 1,
	 .is_off = true},
};

static void is_heard_when_it_was_said(void **state)
{
	const struct wanted *w = *state;
	struct input_config config = capture_config(MIC_OFF_US);
	struct heard h;

	hear(&h, w->name, &config, 0);
	expect_clean(&h);
	expect_long(&h, w->early_ms);
	expect_beeps(&h, w);
	assert_int_equal(h.ear.n_on, w->is_off ? 2 : 1);
	assert_int_equal(h.ear.n_off, w->is_off ? 1 : 0);
	hear_end(&h);

	config.mic_off_us = 0;
	hear(&h, w->name, &config, 0);
	expect_clean(&h);
	expect_long(&h, w->early_ms);
	expect_beeps(&h, w);
	assert_int_equal(h.ear.n_on, 1);
	assert_int_equal(h.ear.n_off, 0);
	assert_int_equal(h.stats.jumps, w->jumps);
	if (w->silence_ms)
		assert_true(ear_sum(&h.ear, CHUNK_SILENCE) >=
			    (int64_t)w->silence_ms * MS);
	else
		assert_int_equal(ear_sum(&h.ear, CHUNK_SILENCE), 0);
	hear_end(&h);
}

static void what_is_lost_is_concealed_and_the_rest_keeps_its_place(void **state)
{
	const struct input_config config = capture_config(MIC_OFF_US);
	const struct wanted w = {.beeps = 12};
	struct heard h;

	(void)state;
	hear(&h, "chromium_plain", &config, 21);
	assert_true(h.n_lost > 20);
	assert_int_equal(h.stats.lost, h.n_lost);
	assert_int_equal(h.stats.packets, h.n);
	assert_int_equal(ear_sum(&h.ear, CHUNK_CONCEALED), h.n_lost * 20 * MS);
	expect_long(&h, 0);
	expect_beeps(&h, &w);
	hear_end(&h);
}

/* ---- speech ------------------------------------------------------------------ */

/** The level of each 10 ms; its mean is taken off. */
static void envelope(const int16_t *pcm, double *out)
{
	double mean = 0;

	for (int i = 0; i < LEVELS; i++) {
		out[i] = tone_power(pcm + (ptrdiff_t)i * LEVEL, LEVEL);
		mean += out[i] / LEVELS;
	}
	for (int i = 0; i < LEVELS; i++)
		out[i] -= mean;
}

/** How alike a and b are where a is `lag` ahead (normalised correlation). */
static double alike(const double *a, const double *b, int lag)
{
	double ab = 0, aa = 0, bb = 0;

	for (int i = 0; i + lag < LEVELS; i++) {
		ab += a[i + lag] * b[i];
		aa += a[i + lag] * a[i + lag];
		bb += b[i] * b[i];
	}
	return ab / sqrt(aa * bb + 1);
}

/** What was played into the browser: the start of alice.opus. */
static void read_speech(int16_t *pcm)
{
	uint8_t *file = calloc(1, FILE_MAX);
	FILE *f = fopen("assets/demo/alice.opus", "rb");
	struct sound_decoder *decoder;
	struct sound_source *source;
	const uint8_t *packet;
	uint32_t frames;
	size_t len;

	assert_non_null(file);
	assert_non_null(f);
	len = fread(file, 1, FILE_MAX, f);
	fclose(f);
	assert_int_equal(sound_source_new(file, len, &source), 0);
	assert_int_equal(sound_decoder_new(&decoder), 0);
	for (int64_t at = 0; at < (int64_t)LEVELS * LEVEL; at += frames) {
		assert_int_equal(
			sound_source_next(source, &packet, &len, &frames), 0);
		if (len == 0)
			break;
		assert_int_equal(
			sound_decode(decoder, packet, len, pcm + at, &frames),
			0);
	}
	sound_decoder_free(decoder);
	sound_source_free(source);
	free(file);
}

static void speech_of_a_browser_is_heard_word_for_word(void **state)
{
	static int16_t said[LEVELS * LEVEL + SOUND_PACKET_MAX];
	static double a[LEVELS], b[LEVELS];
	const struct input_config config = capture_config(MIC_OFF_US);
	double best = 0;
	struct heard h;

	(void)state;
	hear(&h, "chromium_speech", &config, 0);
	expect_clean(&h);
	expect_long(&h, 0);
	assert_int_equal(h.ear.n_on, 1);
	read_speech(said);
	envelope(said, a);
	envelope(h.pcm, b);
	/* The microphone was open for some time before. */
	for (int lag = 0; lag < LEVELS / 2; lag++)
		best = fmax(best, alike(a, b, lag));
	if (best < 0.9)
		print_error("%.3f alike\n", best);
	assert_true(best >= 0.9);
	hear_end(&h);
}

/* ---- the traces --------------------------------------------------------------- */

static void a_trace_has_its_facts_and_whole_records(void **state)
{
	const uint8_t *data;
	struct trace t;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(beeping) / sizeof(*beeping); i++) {
		int64_t delta_us, sum_us = 0;

		trace_open(&t, beeping[i].name);
		while (trace_next(&t, &data, &len, &delta_us))
			sum_us += delta_us;
		assert_in_range(t.wall_us, sum_us, sum_us + 5000000);
		free(t.bytes);
	}
}

int main(void)
{
	enum { N = sizeof(beeping) / sizeof(*beeping) };
	struct CMUnitTest tests[N + 3] = {
		cmocka_unit_test(a_trace_has_its_facts_and_whole_records),
		cmocka_unit_test(speech_of_a_browser_is_heard_word_for_word),
		cmocka_unit_test(
			what_is_lost_is_concealed_and_the_rest_keeps_its_place),
	};
	static char names[N][80];

	for (size_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]),
			 "%s_is_heard_when_it_was_said", beeping[i].name);
		tests[3 + i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = is_heard_when_it_was_said,
			.initial_state = &beeping[i]};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
