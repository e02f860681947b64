/** commands/rtp_build.c -- RTP packets as browsers make them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/rtp_build.h"

#include <assert.h>
#include <string.h>

enum {
	EXT_FLAG = 0x10,   /* X, in the first byte */
	VOICE_FLAG = 0x80, /* V, RFC 6464 */
	VOICE_LEVEL = 55,  /* so loud is a voice [-dBov] */
	RED_HEADER_LEN = 4,
	RED_FLAG = 0x80,	 /* F: another header follows */
	RED_OFFSET_MAX = 0x3fff, /* 14 bits */
	LEVEL_MAX = 127
};

void rtp_build_init(struct rtp_builder *b, const struct rtp_form *form)
{
	*b = (struct rtp_builder){.form = *form};
	if (!b->form.pt)
		b->form.pt = RTP_BUILD_OPUS_TYPE;
	if (!b->form.red_pt)
		b->form.red_pt = RTP_BUILD_RED_TYPE;
	if (!b->form.max)
		b->form.max = RTP_BUILD_MAX;
	assert(b->form.red <= RTP_BUILD_RED_MAX && b->form.level_id < 15 &&
	       b->form.max <= RTP_BUILD_MAX);
}

void rtp_build_forget(struct rtp_builder *b)
{
	b->kept = 0;
}

static void remember(struct rtp_builder *b, uint32_t ts, const uint8_t *opus,
		     size_t len)
{
	const size_t i = b->n % RTP_BUILD_RED_MAX;

	if (!b->form.red)
		return;
	b->n++;
	if (b->kept < b->form.red)
		b->kept++;
	b->older[i].ts = ts;
	b->older[i].len = (uint16_t)(len > RTP_BUILD_BLOCK_MAX ? 0 : len);
	memcpy(b->older[i].data, opus, b->older[i].len);
}

static size_t write_level(const struct rtp_builder *b, unsigned level,
			  uint8_t *out)
{
	const uint8_t ext[RTP_BUILD_LEVEL_LEN] = {
		RTP_EXT_ONE_BYTE >> 8,
		RTP_EXT_ONE_BYTE & 0xff,
		0,
		1, /* words */
		(uint8_t)(b->form.level_id << 4),
		(uint8_t)(level | (level < VOICE_LEVEL ? VOICE_FLAG : 0))};

	assert(level <= LEVEL_MAX);
	memcpy(out, ext, sizeof(ext));
	return sizeof(ext);
}

/** Those of the ring that fit into a packet of this time and `room` bytes: the
 *  newest ones; places of the ring, the oldest first.  Returns how many. */
static size_t choose_older(const struct rtp_builder *b, uint32_t ts,
			   size_t room, size_t places[RTP_BUILD_RED_MAX])
{
	size_t chosen[RTP_BUILD_RED_MAX];
	size_t n = 0;

	for (size_t back = 1; back <= b->kept; back++) {
		const size_t i = (b->n - back) % RTP_BUILD_RED_MAX;
		const size_t need = RED_HEADER_LEN + b->older[i].len;

		if (ts - b->older[i].ts > RED_OFFSET_MAX || need > room)
			break;
		if (!b->older[i].len)
			continue;
		room -= need;
		chosen[n++] = i;
	}
	for (size_t k = 0; k < n; k++)
		places[k] = chosen[n - 1 - k];
	return n;
}

/** Headers and older sound; the sound itself follows. */
static size_t write_red(const struct rtp_builder *b, uint32_t ts, size_t room,
			uint8_t *out)
{
	size_t places[RTP_BUILD_RED_MAX];
	const size_t n = choose_older(b, ts, room - 1, places);
	size_t at = 0;

	for (size_t k = 0; k < n; k++) {
		const uint32_t offset = ts - b->older[places[k]].ts;
		const uint16_t len = b->older[places[k]].len;

		out[at++] = RED_FLAG | b->form.pt;
		out[at++] = (uint8_t)(offset >> 6);
		out[at++] = (uint8_t)(offset << 2 | len >> 8);
		out[at++] = (uint8_t)len;
	}
	out[at++] = b->form.pt;
	for (size_t k = 0; k < n; k++) {
		memcpy(out + at, b->older[places[k]].data,
		       b->older[places[k]].len);
		at += b->older[places[k]].len;
	}
	return at;
}

size_t rtp_build(struct rtp_builder *b, const struct rtp_packet *header,
		 const uint8_t *opus, size_t len, unsigned level,
		 uint8_t out[RTP_BUILD_MAX])
{
	const struct rtp_form *f = &b->form;
	const size_t head =
		RTP_HEADER_LEN + (f->level_id ? RTP_BUILD_LEVEL_LEN : 0);
	struct rtp_packet p = *header;
	size_t at = RTP_HEADER_LEN;

	if (len > f->max - head - (f->red ? 1 : 0))
		return 0;
	p.pt = f->red ? f->red_pt : f->pt;
	rtp_write_header(&p, out);
	if (f->level_id) {
		out[0] |= EXT_FLAG;
		at += write_level(b, level, out + at);
	}
	if (f->red)
		at += write_red(b, p.ts, f->max - at - len, out + at);
	memcpy(out + at, opus, len);
	remember(b, p.ts, opus, len);
	return at + len;
}
