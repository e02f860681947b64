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

#include "intake_aid.h"
#include "tone.h"

enum {
	FILE_MAX = 1 << 20,
	DATAGRAM_MAX = 2048,
	SECONDS_MAX = 30,
	STEP_US = 100000, /* of the media loop */
	ONSET = 120,	  /* frames of one look for an onset: 2.5 ms */
	QUIET = 300 * MS, /* between two beeps at least */
	LOUD = 1500,	  /* a beep has 9000, its echo in the codec less */
	BEEP_HZ = 1000,
	BEEPS_MAX = 32,
	LEVEL = 10 * MS, /* an entry of an envelope of speech */
	LEVELS = 400
};

static const int64_t start_us = 5000000000;

/* ---- a trace ----------------------------------------------------------------- */

struct trace {
	uint8_t *bytes;
	size_t len, at; /* of the next record */
	int64_t wall_us;
};

static uint32_t big_endian(const uint8_t *p, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static void trace_open(struct trace *t, const char *name)
{
	char path[100];
	const char *end, *wall;
	FILE *f;

	snprintf(path, sizeof(path), "test/trace/%s.trace", name);
	*t = (struct trace){.bytes = calloc(1, FILE_MAX)};
	assert_non_null(t->bytes);
	f = fopen(path, "rb");
	if (!f) {
		print_error("%s: tests run in the top folder\n", path);
		fail();
		return;
	}
	t->len = fread(t->bytes, 1, FILE_MAX - 1, f);
	fclose(f);
	assert_memory_equal(t->bytes, "tapeop-trace 1\n", 15);
	end = strstr((const char *)t->bytes, "\n\n");
	wall = strstr((const char *)t->bytes, "\nwall_us: ");
	if (!end || !wall || wall > end) {
		fail();
		return;
	}
	t->at = (size_t)(end - (const char *)t->bytes) + 2;
	t->wall_us = strtoll(wall + 10, NULL, 10);
}

/** The next datagram, `delta_us` after the one before; false: the end. */
static bool trace_next(struct trace *t, const uint8_t **data, size_t *len,
		       int64_t *delta_us)
{
	if (t->at == t->len)
		return false;
	assert_true(t->len - t->at >= 6);
	*delta_us = big_endian(t->bytes + t->at, 4);
	*len = big_endian(t->bytes + t->at + 4, 2);
	*data = t->bytes + t->at + 6;
	t->at += 6 + *len;
	assert_true(t->at <= t->len && *len <= DATAGRAM_MAX);
	return true;
}

/* ---- the rig ----------------------------------------------------------------- */

/** What came of a trace. */
struct heard {
	struct ear ear;
	struct input_stats stats;
	int16_t *pcm; /* from the first mic on, silence where nothing is */
	int64_t first_pos;
	int64_t last_pos;    /* of the last packet's arrival */
	int64_t last_frames; /* its length */
	uint64_t n;
};

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct heard *h = arg;
	int64_t at = c->pos - h->first_pos;

	ear_chunk(c, &h->ear);
	assert_true(at >= 0 &&
		    at + c->frames <= (int64_t)SECONDS_MAX * SOUND_RATE);
	if (c->pcm)
		memcpy(h->pcm + at, c->pcm, c->frames * sizeof(*c->pcm));
}

static void on_mic_on(int64_t pos, void *arg)
{
	struct heard *h = arg;

	if (h->ear.n_on == 0)
		h->first_pos = pos;
	ear_on(pos, &h->ear);
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct heard *h = arg;

	ear_off(pos, &h->ear);
}

static const struct input_events events = {
	.chunk = on_chunk, .mic_on = on_mic_on, .mic_off = on_mic_off};

/** Replay a trace, and what the loop does meanwhile. */
static void hear(struct heard *h, const char *name, int64_t mic_off_us)
{
	const struct input_config config = {.window_us = WINDOW_US,
					    .mic_off_us = mic_off_us,
					    .takeover_us = TAKEOVER_US};
	int64_t at_us = start_us, step_us = start_us, delta_us;
	const uint8_t *data;
	struct addr from;
	struct trace t;
	struct input *in;
	size_t len;

	*h = (struct heard){0};
	h->pcm = calloc((size_t)SECONDS_MAX * SOUND_RATE, sizeof(*h->pcm));
	assert_non_null(h->pcm);
	assert_int_equal(addr_parse("127.0.0.1:5004", &from), 0);
	assert_int_equal(input_new(&config, &events, h, &in), 0);
	trace_open(&t, name);
	while (trace_next(&t, &data, &len, &delta_us)) {
		struct rtp_packet rtp;

		at_us += delta_us;
		for (; step_us <= at_us; step_us += STEP_US)
			input_advance(in, step_us);
		input_packet(in, data, len, &from, at_us);
		h->last_pos = sound_pos_of_us(at_us);
		assert_int_equal(rtp_parse(data, len, &rtp), 0);
		h->last_frames =
			sound_packet_frames(rtp.payload, rtp.payload_len);
		h->n++;
	}
	for (; step_us <= start_us + t.wall_us; step_us += STEP_US)
		input_advance(in, step_us);
	input_flush(in, INT64_MAX);
	input_stats(in, &h->stats);
	input_free(in);
	free(t.bytes);
}

static void hear_end(struct heard *h)
{
	free(h->pcm);
}

/** Where the beeps begin [frames from the first mic on]; how many. */
static size_t beeps(const struct heard *h, int64_t at[BEEPS_MAX])
{
	const int64_t end = h->ear.end - h->first_pos;
	int64_t quiet = QUIET;
	size_t n = 0;

	for (int64_t i = 0; i + ONSET <= end; i += ONSET) {
		if (tone_power(h->pcm + i, ONSET) < LOUD) {
			quiet += ONSET;
			continue;
		}
		if (quiet >= QUIET) {
			assert_true(n < BEEPS_MAX);
			at[n++] = i;
		}
		quiet = 0;
	}
	return n;
}

/* ---- beeps ------------------------------------------------------------------- */

/** What a trace must come to. */
struct wanted {
	const char *name;
	size_t beeps;	     /* heard, one a second */
	size_t before_pause; /* of them, 0: no pause */
	int pause_ms;	     /* between that one and the next */
	int silence_ms;	     /* made of pauses, at least; 0: none at all */
	uint64_t jumps;	     /* with mic_off_us 0: the clock stood still */
	bool is_off;	     /* the pause is mic off, unless mic_off_us is 0 */
	int early_ms;	     /* what it sends ahead of time, beyond 20 ms */
};

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

static void expect_near(const char *what, int64_t is, int64_t wanted,
			int64_t slack)
{
	if (llabs(is - wanted) <= slack)
		return;
	print_error("%s: %.1f ms, not %.1f\n", what, (double)is / MS,
		    (double)wanted / MS);
	fail();
}

static void expect_clean(const struct heard *h)
{
	assert_true(h->n > 100);
	assert_int_equal(h->stats.packets, h->n);
	assert_int_equal(h->stats.bad, 0);
	assert_int_equal(h->stats.lost, 0);
	assert_int_equal(h->stats.late, 0);
	assert_int_equal(h->stats.duplicate, 0);
	assert_int_equal(h->stats.stranger, 0);
	assert_int_equal(ear_sum(&h->ear, CHUNK_CONCEALED), 0);
}

/** As long as it took to come. */
static void expect_long(const struct heard *h, int early_ms)
{
	expect_near("length", h->ear.end - h->first_pos,
		    h->last_pos + h->last_frames - sound_pos_of_us(start_us),
		    (20 + early_ms) * MS);
}

static void expect_beeps(const struct heard *h, const struct wanted *w)
{
	int64_t at[BEEPS_MAX] = {0};

	assert_int_equal(beeps(h, at), w->beeps);
	for (size_t i = 0; i < w->beeps; i++) {
		const bool paused = i == w->before_pause && i > 0;
		const unsigned hz = tone_hz(h->pcm + at[i] + 20 * MS, 60 * MS);

		assert_in_range(hz, BEEP_HZ - 20, BEEP_HZ + 20);
		/* behind a stopped clock, arrival counts, and that jitters */
		if (i > 0)
			expect_near("from one beep to the next",
				    at[i] - at[i - 1],
				    (paused ? w->pause_ms : 1000) * MS,
				    (paused && w->jumps ? 20 : 5) * MS);
	}
}

static void is_heard_when_it_was_said(void **state)
{
	const struct wanted *w = *state;
	struct heard h;

	hear(&h, w->name, MIC_OFF_US);
	expect_clean(&h);
	expect_long(&h, w->early_ms);
	expect_beeps(&h, w);
	assert_int_equal(h.ear.n_on, w->is_off ? 2 : 1);
	assert_int_equal(h.ear.n_off, w->is_off ? 1 : 0);
	hear_end(&h);

	hear(&h, w->name, 0);
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
	double best = 0;
	struct heard h;

	(void)state;
	hear(&h, "chromium_speech", MIC_OFF_US);
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
	struct CMUnitTest tests[N + 2] = {
		cmocka_unit_test(a_trace_has_its_facts_and_whole_records),
		cmocka_unit_test(speech_of_a_browser_is_heard_word_for_word),
	};
	static char names[N][80];

	for (size_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]),
			 "%s_is_heard_when_it_was_said", beeping[i].name);
		tests[2 + i] = (struct CMUnitTest){
			.name = names[i],
			.test_func = is_heard_when_it_was_said,
			.initial_state = &beeping[i]};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
