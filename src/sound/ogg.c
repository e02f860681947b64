/**
 * sound/ogg.c -- Opus packets to the pages of an Ogg file (RFC 7845).
 *
 * Nothing is allocated for a packet: what a page has room for is fixed, and
 * one with more sound is put out earlier.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "wire/ogg.h"

enum {
	PAGE_FRAMES = SOUND_RATE, /* of a page at most */
	LACE = 255,		  /* a lacing value that goes on */
	FIRST_SOUND = 2,	  /* page number behind the headers */
	BODY_MAX = 8192		  /* bytes: 1 s at 64 kbit/s, any packet */
};

struct sound_ogg {
	uint32_t serial, seq;
	int64_t granule;	       /* behind the packets kept */
	uint32_t frames;	       /* of the packets kept */
	uint32_t last;		       /* frames of the last one */
	size_t last_len;	       /* its bytes in `body` */
	uint8_t n_lacing, last_lacing; /* of all; of the last one */
	uint8_t lacing[OGG_LACING_MAX];
	size_t len;
	uint8_t body[BODY_MAX];
};

/* ---- lacing and pages ------------------------------------------------- */

/* Lacing values of a packet: its length in 255s, the last one less. */
static uint32_t n_lacing_of(size_t len)
{
	return (uint32_t)(len / LACE + 1);
}

static void put_lacing(uint8_t *lacing, size_t len)
{
	for (; len >= LACE; len -= LACE)
		*lacing++ = LACE;
	*lacing = (uint8_t)len;
}

/* A page of one packet at `out`, written whole. */
static size_t write_page(const struct ogg_page *page, const void *packet,
			 size_t len, uint8_t *out)
{
	const size_t body = OGG_HEAD_LEN + 1;

	assert(len < LACE);
	ogg_page_begin(page, out);
	out[OGG_HEAD_LEN] = (uint8_t)len;
	memcpy(out + body, packet, len);
	ogg_page_seal(out, body + len);
	return body + len;
}

/* ---- whole pages: headers, silence ------------------------------------ */

size_t sound_ogg_write_head(const struct sound_ogg_head *head, uint8_t *out)
{
	/* Vendor and one comment, each behind its length. */
	static const char tags[] = "OpusTags"
				   "\x06\0\0\0"
				   "tapeop"
				   "\x01\0\0\0"
				   "\x0e\0\0\0"
				   "ENCODER=tapeop";
	/* Version 1; rate 48 kHz (of no meaning); gain 0; family 0. */
	const uint8_t opus[19] = {'O',
				  'p',
				  'u',
				  's',
				  'H',
				  'e',
				  'a',
				  'd',
				  1,
				  head->channels,
				  (uint8_t)head->preskip,
				  (uint8_t)(head->preskip >> 8),
				  0x80,
				  0xbb,
				  0,
				  0,
				  0,
				  0,
				  0};
	struct ogg_page page = {
		.serial = head->serial, .flags = OGG_FIRST, .n_lacing = 1};
	size_t len = write_page(&page, opus, sizeof(opus), out);

	page.flags = 0;
	page.seq = 1;
	return len + write_page(&page, tags, sizeof(tags) - 1, out + len);
}

size_t sound_ogg_write_silence(const struct sound_ogg_head *head,
			       uint32_t frames, uint8_t *out)
{
	struct ogg_page page = {.serial = head->serial,
				.seq = FIRST_SOUND,
				.granule = (int64_t)head->preskip + frames,
				.flags = OGG_LAST};
	uint8_t body[PAGE_FRAMES / SOUND_OPUS_FRAME * 2 * SOUND_MADE_MAX];
	size_t len = 0;

	/* Whole steps: what is over is trimmed by the granule position. */
	for (int64_t left = page.granule; left > 0; page.n_lacing++) {
		const int64_t steps = (left + SOUND_STEP - 1) / SOUND_STEP;
		const struct sound_made m = sound_make_silence(
			(uint64_t)steps * SOUND_STEP, head->channels == 2);

		assert(len + m.len <= sizeof(body));
		memcpy(body + len, m.data, m.len);
		out[OGG_HEAD_LEN + page.n_lacing] = m.len;
		len += m.len;
		left -= m.frames;
	}
	ogg_page_begin(&page, out);
	memcpy(out + OGG_HEAD_LEN + page.n_lacing, body, len);
	len += OGG_HEAD_LEN + page.n_lacing;
	assert(len <= SOUND_OGG_SILENCE_MAX);
	ogg_page_seal(out, len);
	return len;
}

/* ---- a stream --------------------------------------------------------- */

int sound_ogg_new(struct sound_ogg **out)
{
	struct sound_ogg *o = mem_zalloc(sizeof(*o));

	if (!o)
		return ENOMEM;
	*out = o;
	return 0;
}

void sound_ogg_free(struct sound_ogg *o)
{
	mem_free(o);
}

static void forget(struct sound_ogg *o)
{
	o->len = 0;
	o->frames = o->last = 0;
	o->last_len = 0;
	o->n_lacing = o->last_lacing = 0;
}

void sound_ogg_begin(struct sound_ogg *o, uint32_t serial)
{
	forget(o);
	o->serial = serial;
	o->seq = FIRST_SOUND;
	o->granule = 0;
}

/* Append a page of the first `n_lacing` values and `len` bytes kept. */
static int put_page(struct sound_ogg *o, uint8_t flags, int64_t granule,
		    uint8_t n_lacing, size_t len, struct buf *out)
{
	const struct ogg_page page = {.granule = granule,
				      .serial = o->serial,
				      .seq = o->seq++,
				      .flags = flags,
				      .n_lacing = n_lacing};
	uint8_t head[OGG_HEAD_LEN];
	const size_t at = out->len;

	ogg_page_begin(&page, head);
	buf_append(out, head, sizeof(head));
	buf_append(out, o->lacing, n_lacing);
	buf_append(out, o->body, len);
	if (buf_err(out)) {
		out->len = at; /* no half pages */
		return buf_err(out);
	}
	ogg_page_seal(out->data + at, out->len - at);
	return 0;
}

int sound_ogg_put(struct sound_ogg *o, const void *packet, size_t len,
		  uint32_t frames, struct buf *out)
{
	const uint32_t n = n_lacing_of(len);
	int err = 0;

	assert(len <= SOUND_OPUS_MAX);
	if (o->n_lacing + n > OGG_LACING_MAX ||
	    o->frames + frames > PAGE_FRAMES || o->len + len > BODY_MAX) {
		err = put_page(o, 0, o->granule, o->n_lacing, o->len, out);
		forget(o);
	}
	memcpy(o->body + o->len, packet, len);
	o->len += len;
	o->granule += frames;
	put_lacing(o->lacing + o->n_lacing, len);
	o->n_lacing = (uint8_t)(o->n_lacing + n);
	o->frames += frames;
	o->last = frames;
	o->last_len = len;
	o->last_lacing = (uint8_t)n;
	return err;
}

int sound_ogg_flush(struct sound_ogg *o, struct buf *out)
{
	const uint8_t n = (uint8_t)(o->n_lacing - o->last_lacing);
	const size_t len = o->len - o->last_len;
	int err;

	if (n == 0)
		return 0;
	err = put_page(o, 0, o->granule - o->last, n, len, out);
	memmove(o->body, o->body + len, o->last_len);
	o->len = o->last_len;
	memmove(o->lacing, o->lacing + n, o->last_lacing);
	o->n_lacing = o->last_lacing;
	o->frames = o->last;
	return err;
}

int sound_ogg_end(struct sound_ogg *o, int64_t granule, struct buf *out)
{
	int err;

	assert(granule <= o->granule && granule > o->granule - o->last);
	err = put_page(o, OGG_LAST, granule, o->n_lacing, o->len, out);
	forget(o);
	return err;
}
