/** test/unit/intake_aid.h -- RTP packets for an input, what it says of them,
 *  and which counters moved. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_INTAKE_AID_H
#define TEST_UNIT_INTAKE_AID_H

#include <string.h>

#include "base/counters.h"
#include "intake/intake.h"
#include "wire/rtp.h"

/* Needs cmocka.h before it. */

enum {
	MS = 48,
	MS_US = 1000,
	WINDOW_US = 400000,
	MIC_OFF_US = 2000000,
	TAKEOVER_US = 3000000,
	SPANS_MAX = 4096
};

/* ---- counters -------------------------------------------------------------- */

struct tally {
	int64_t n[COUNT_N];
};

static inline struct tally tally_now(void)
{
	struct tally t;

	for (int i = 0; i < COUNT_N; i++)
		t.n[i] = counter_get((enum counter)i);
	return t;
}

/** Since `before`, `which` rose by `n`, and no other counter moved. */
static inline void expect_only(const struct tally *before, enum counter which,
			       int64_t n)
{
	for (int i = 0; i < COUNT_N; i++) {
		int64_t by = counter_get((enum counter)i) - before->n[i];

		if (by != (i == (int)which ? n : 0))
			print_error("%s rose by %lld\n",
				    counter_table()[i].name, (long long)by);
		assert_int_equal(by, i == (int)which ? n : 0);
	}
}

/* ---- what an input says ------------------------------------------------------ */

/** Chunks of one kind behind each other. */
struct span {
	enum chunk_kind kind;
	int64_t pos;
	int64_t frames;
};

struct ear {
	struct span spans[SPANS_MAX];
	size_t n;
	int64_t end;
	bool on;
	int n_on, n_off;
	int64_t on_pos, off_pos; /* of the last ones */
	bool no_pcm;		 /* nothing is decoded */
};

static inline void ear_chunk(const struct sound_chunk *c, void *arg)
{
	struct ear *e = arg;
	struct span *last = e->n ? &e->spans[e->n - 1] : NULL;

	assert_true(e->on);
	assert_true(c->frames > 0);
	assert_int_equal(c->pos, e->end);
	assert_int_equal(c->kind == CHUNK_SILENCE || e->no_pcm, c->pcm == NULL);
	assert_int_equal(c->kind == CHUNK_SOUND, c->packet != NULL);
	e->end = c->pos + c->frames;
	if (last && last->kind == c->kind &&
	    last->pos + last->frames == c->pos) {
		last->frames += c->frames;
		return;
	}
	assert_true(e->n < SPANS_MAX);
	e->spans[e->n++] = (struct span){c->kind, c->pos, c->frames};
}

static inline void ear_on(int64_t pos, void *arg)
{
	struct ear *e = arg;

	assert_false(e->on);
	assert_true(pos >= e->end);
	e->on = true;
	e->n_on++;
	e->on_pos = pos;
	e->end = pos;
}

static inline void ear_off(int64_t pos, void *arg)
{
	struct ear *e = arg;

	assert_true(e->on);
	assert_true(pos >= e->end);
	e->on = false;
	e->n_off++;
	e->off_pos = pos;
}

static const struct input_events ear_events = {
	.chunk = ear_chunk, .mic_on = ear_on, .mic_off = ear_off};

/** All frames of one kind. */
static inline int64_t ear_sum(const struct ear *e, enum chunk_kind kind)
{
	int64_t sum = 0;

	for (size_t i = 0; i < e->n; i++)
		sum += e->spans[i].kind == kind ? e->spans[i].frames : 0;
	return sum;
}

/* ---- packets ----------------------------------------------------------------- */

/** An RTP packet with a frame of Opus in it that has no sound (its table of
 *  contents alone: CELT, mono).  us: its length: 2500, 5000, 10000, 20000. */
static inline size_t quiet_packet(uint8_t out[RTP_HEADER_LEN + 1], uint8_t pt,
				  uint32_t ssrc, int64_t i, int us)
{
	const struct rtp_packet p = {.pt = pt,
				     .ssrc = ssrc,
				     .seq = (uint16_t)i,
				     .ts = (uint32_t)(i * us * MS / 1000)};
	const int size = us == 2500 ? 0 : us == 5000 ? 1 : us == 10000 ? 2 : 3;

	rtp_write_header(&p, out);
	/* RFC 6716 section 3.1: configurations 28 to 31 */
	out[RTP_HEADER_LEN] = (uint8_t)((28 + size) << 3);
	return RTP_HEADER_LEN + 1;
}

#endif
