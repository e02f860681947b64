/** test/unit/capture_aid.h -- captured traces (test/trace/), replayed through an
 *  input with injected time, and the beeps in what comes out. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_CAPTURE_AID_H
#define TEST_UNIT_CAPTURE_AID_H

#include <stdio.h>
#include <stdlib.h>

#include "intake_aid.h"
#include "tone.h"

/* Needs cmocka.h before it. */

enum {
	TRACE_MAX = 1 << 20,
	DATAGRAM_MAX = 2048,
	TRACE_SECONDS_MAX = 30,
	STEP_US = 100000, /* of the media loop */
	ONSET = 120,	  /* frames of one look for an onset: 2.5 ms */
	QUIET = 300 * MS, /* between two beeps at least */
	LOUD = 1500,	  /* a beep has 9000, its echo in the codec less */
	BEEP_HZ = 1000,
	BEEPS_MAX = 32
};

static const int64_t start_us = 5000000000;

/* ---- a trace ----------------------------------------------------------------- */

struct trace {
	uint8_t *bytes;
	size_t len, at; /* of the next record */
	int64_t wall_us;
};

static inline uint32_t big_endian(const uint8_t *p, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static inline void trace_open(struct trace *t, const char *name)
{
	char path[100];
	const char *end, *wall;
	FILE *f;

	snprintf(path, sizeof(path), "test/trace/%s.trace", name);
	*t = (struct trace){.bytes = calloc(1, TRACE_MAX)};
	assert_non_null(t->bytes);
	f = fopen(path, "rb");
	if (!f) {
		print_error("%s: tests run in the top folder\n", path);
		fail();
		return;
	}
	t->len = fread(t->bytes, 1, TRACE_MAX - 1, f);
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
static inline bool trace_next(struct trace *t, const uint8_t **data,
			      size_t *len, int64_t *delta_us)
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
	uint64_t n;	     /* that came */
	uint64_t n_lost;
};

static inline void capture_chunk(const struct sound_chunk *c, void *arg)
{
	struct heard *h = arg;
	int64_t at = c->pos - h->first_pos;

	ear_chunk(c, &h->ear);
	assert_true(at >= 0 &&
		    at + c->frames <= (int64_t)TRACE_SECONDS_MAX * SOUND_RATE);
	if (c->pcm)
		memcpy(h->pcm + at, c->pcm, c->frames * sizeof(*c->pcm));
}

static inline void capture_mic_on(int64_t pos, void *arg)
{
	struct heard *h = arg;

	if (h->ear.n_on == 0)
		h->first_pos = pos;
	ear_on(pos, &h->ear);
}

static inline void capture_mic_off(int64_t pos, void *arg)
{
	struct heard *h = arg;

	ear_off(pos, &h->ear);
}

static const struct input_events capture_events = {.chunk = capture_chunk,
						   .mic_on = capture_mic_on,
						   .mic_off = capture_mic_off};

/** What most traces are replayed with. */
static inline struct input_config capture_config(int64_t mic_off_us)
{
	return (struct input_config){.window_us = WINDOW_US,
				     .mic_off_us = mic_off_us,
				     .takeover_us = TAKEOVER_US};
}

/** Replay a trace, and what the loop does meanwhile.
 *  lose: each of so many packets is lost, 0: none. */
static inline void hear(struct heard *h, const char *name,
			const struct input_config *config, uint64_t lose)
{
	int64_t at_us = start_us, step_us = start_us, delta_us;
	const uint8_t *data;
	struct addr from;
	struct trace t;
	struct input *in;
	size_t len;

	*h = (struct heard){0};
	h->pcm =
		calloc((size_t)TRACE_SECONDS_MAX * SOUND_RATE, sizeof(*h->pcm));
	assert_non_null(h->pcm);
	assert_int_equal(addr_parse("127.0.0.1:5004", &from), 0);
	assert_int_equal(input_new(config, &capture_events, h, &in), 0);
	trace_open(&t, name);
	while (trace_next(&t, &data, &len, &delta_us)) {
		struct rtp_packet rtp;

		at_us += delta_us;
		for (; step_us <= at_us; step_us += STEP_US)
			input_advance(in, step_us);
		if (lose && (h->n + h->n_lost) % lose == lose - 1) {
			h->n_lost++;
			continue;
		}
		input_packet(in, data, len, &from, at_us);
		h->last_pos = sound_pos_of_us(at_us);
		assert_int_equal(rtp_parse(data, len, &rtp), 0);
		/* below is Chromium's RED, of 20 ms */
		h->last_frames = rtp.pt < 96
					 ? 20 * MS
					 : sound_packet_frames(rtp.payload,
							       rtp.payload_len);
		h->n++;
	}
	for (; step_us <= start_us + t.wall_us; step_us += STEP_US)
		input_advance(in, step_us);
	input_flush(in, INT64_MAX);
	input_stats(in, &h->stats);
	input_free(in);
	free(t.bytes);
}

static inline void hear_end(struct heard *h)
{
	free(h->pcm);
}

/** Where the beeps begin [frames from the first mic on]; how many. */
static inline size_t beeps(const struct heard *h, int64_t at[BEEPS_MAX])
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

/* ---- what must come out ------------------------------------------------------- */

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

static inline void expect_near(const char *what, int64_t is, int64_t wanted,
			       int64_t slack)
{
	if (llabs(is - wanted) <= slack)
		return;
	print_error("%s: %.1f ms, not %.1f\n", what, (double)is / MS,
		    (double)wanted / MS);
	fail();
}

static inline void expect_clean(const struct heard *h)
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
static inline void expect_long(const struct heard *h, int early_ms)
{
	expect_near("length", h->ear.end - h->first_pos,
		    h->last_pos + h->last_frames - sound_pos_of_us(start_us),
		    (20 + early_ms) * MS);
}

static inline void expect_beeps(const struct heard *h, const struct wanted *w)
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

#endif
