/**
 * test/fuzz/input_fuzz.c -- one sender that lies about sequence numbers, time
 * stamps, copies of what it sent, sound and time of day, against the reorder
 * ring and the timeline.
 *
 * The input is a byte of settings and a list of steps: a byte that says what,
 * and its arguments.
 * What must hold is what intake.h promises: positions never overlap or go
 * back, are gapless while the mic is on, and never run ahead of wall time by
 * more than a packet and the limit of a jump.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <assert.h>
#include <string.h>

#include "wire/rtp.h"

enum {
	STEPS_MAX = 400,
	AHEAD_MAX = 2 * SOUND_RATE, /* of arrival, by LEAP and a packet */
	OPUS_PT = 96,
	RED_PT = 97,
	LEVEL_EXT = 3,
	RED_MAX = 15 * 4 + 1 + 16 * 3,
	START_US = 1000000000
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct steps {
	const uint8_t *at, *end;
	int64_t now_us;
	uint16_t seq;
	uint32_t ts, ssrc;
	/* what came out */
	int64_t pos;
	bool on, no_pcm;
};

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct steps *s = arg;

	assert(s->on && c->frames > 0);
	assert(c->pos == s->pos);
	assert((c->kind == CHUNK_SILENCE || s->no_pcm) == (c->pcm == NULL));
	assert((c->kind == CHUNK_SOUND) == (c->packet != NULL));
	s->pos = c->pos + c->frames;
	assert(s->pos <= sound_pos_of_us(s->now_us) + AHEAD_MAX);
}

static void on_mic_on(int64_t pos, void *arg)
{
	struct steps *s = arg;

	assert(!s->on && pos >= s->pos);
	s->on = true;
	s->pos = pos;
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct steps *s = arg;

	assert(s->on && pos >= s->pos);
	s->on = false;
}

static uint8_t next(struct steps *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static uint32_t next_number(struct steps *s, unsigned bytes)
{
	uint32_t n = 0;

	while (bytes--)
		n = n << 8 | next(s);
	return n;
}

/** Whatever the input holds, as it is. */
static void send_raw(struct steps *s, struct input *in, const struct addr *from)
{
	size_t n = next(s);

	if (n > (size_t)(s->end - s->at))
		n = (size_t)(s->end - s->at);
	input_packet(in, s->at, n, from, s->now_us);
	s->at += n;
}

/** Real Opus frames (the table of contents byte of silence, 2.5 to 60 ms, and
 *  a code 3 packet) at a place that the input chooses. */
static void send_rtp(struct steps *s, struct input *in, const struct addr *from,
		     bool wild)
{
	static const uint8_t opus[][3] = {
		{0xe0, 0xff, 0xfe}, {0xe8, 0xff, 0xfe}, {0xf0, 0xff, 0xfe},
		{0xf8, 0xff, 0xfe}, {0xfc, 0xff, 0xfe}, {0x18, 0xff, 0xfe},
		{0xfb, 0x06, 0x00}, {0xff, 0xff, 0xff},
	};
	const uint8_t *sound = opus[next(s) % 8];
	struct rtp_packet p = {.pt = 96};
	uint8_t bytes[RTP_HEADER_LEN + 3];

	s->seq = (uint16_t)(s->seq + (wild ? next_number(s, 2) : 1));
	s->ts += wild ? next_number(s, 4) : 960;
	p.seq = s->seq;
	p.ts = s->ts;
	p.ssrc = s->ssrc;
	rtp_write_header(&p, bytes);
	memcpy(bytes + RTP_HEADER_LEN, sound, 3);
	input_packet(in, bytes, sizeof(bytes), from, s->now_us);
}

/** A packet of RED, its copies `gap` frames apart, with an audio level. */
static void send_red(struct steps *s, struct input *in, const struct addr *from)
{
	static const uint8_t opus[3] = {0xf8, 0xff, 0xfe};
	const unsigned older = next(s) % 16;
	const unsigned gap = next(s) % 8 ? 960 : next_number(s, 2);
	const uint8_t ext[] = {0xbe, 0xde, 0, 1, LEVEL_EXT << 4, next(s), 0, 0};
	uint8_t bytes[RTP_HEADER_LEN + sizeof(ext) + RED_MAX];
	struct rtp_packet p = {.pt = RED_PT, .ssrc = s->ssrc};
	size_t n = RTP_HEADER_LEN + sizeof(ext);

	s->seq = (uint16_t)(s->seq + 1 + next(s) % 4);
	s->ts += 960 * (1 + next(s) % 4);
	s->now_us += 20000;
	p.seq = s->seq;
	p.ts = s->ts;
	rtp_write_header(&p, bytes);
	bytes[0] |= 0x10;
	memcpy(bytes + RTP_HEADER_LEN, ext, sizeof(ext));
	for (unsigned k = older; k > 0; k--) {
		const unsigned offset = k * gap & 0x3fff;

		bytes[n++] = 0x80 | OPUS_PT;
		bytes[n++] = (uint8_t)(offset >> 6);
		bytes[n++] = (uint8_t)(offset << 2);
		bytes[n++] = sizeof(opus);
	}
	bytes[n++] = OPUS_PT;
	for (unsigned k = 0; k <= older; k++, n += sizeof(opus))
		memcpy(bytes + n, opus, sizeof(opus));
	input_packet(in, bytes, n, from, s->now_us);
}

/** What would be sent back is a receiver report. */
static void send_rtcp(struct steps *s, struct input *in,
		      const struct addr *from)
{
	const uint8_t sr[28] = {0x80, 200, 0, 6, 0, 0, 0, (uint8_t)s->ssrc, 1};
	uint8_t out[RTCP_REPORT_MAX];
	struct rtcp back;
	size_t len;

	input_packet(in, sr, sizeof(sr), from, s->now_us);
	len = input_report(in, s->now_us, out);
	assert(len == 0 || !rtcp_parse(out, len, &back));
}

static void step(struct steps *s, struct input *in, const struct addr *from)
{
	switch (next(s) % 12) {
	case 0:
		send_raw(s, in, from);
		break;
	case 1:
		send_rtp(s, in, from, true);
		break;
	case 2:
		s->ssrc = next_number(s, 1);
		break;
	case 3:
		input_set_mic(in, next(s) & 1, sound_pos_of_us(s->now_us));
		break;
	case 4:
		s->now_us += next_number(s, 3);
		input_advance(in, s->now_us);
		break;
	case 5:
		input_flush(in, sound_pos_of_us(s->now_us));
		break;
	case 8:
	case 9:
		send_red(s, in, from);
		break;
	case 10:
		send_rtcp(s, in, from);
		break;
	case 11:
		s->no_pcm = next(s) & 1;
		input_set_decode(in, !s->no_pcm);
		break;
	default:
		s->now_us += 20000;
		send_rtp(s, in, from, false);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct input_events events = {
		.chunk = on_chunk,
		.mic_on = on_mic_on,
		.mic_off = on_mic_off,
	};
	struct steps s = {
		.at = data,
		.end = data + len,
		.now_us = START_US,
		.pos = INT64_MIN,
	};
	struct input_config config = {
		.window_us = 400000,
		.takeover_us = 3000000,
	};
	struct addr from;
	struct input *in;
	uint8_t settings;

	assert(!addr_parse("192.0.2.7:5004", &from));
	settings = next(&s);
	if (settings & 1)
		config.mic_off_us = 2000000;
	if (settings & 2)
		config.opus_pt = OPUS_PT;
	if (settings & 4)
		config.red_pt = RED_PT;
	if (settings & 8)
		config.audio_level_ext = LEVEL_EXT;
	assert(!input_new(&config, &events, &s, &in));
	for (int i = 0; i < STEPS_MAX && s.at < s.end; i++)
		step(&s, in, &from);
	s.now_us += 10000000;
	input_advance(in, s.now_us);
	input_flush(in, sound_pos_of_us(s.now_us));
	input_free(in);
	return 0;
}
