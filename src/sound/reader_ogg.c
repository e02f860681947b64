/**
 * sound/reader_ogg.c -- Ogg Opus files (RFC 7845) to PCM.
 *
 * DESIGN
 *   A page at a time: how long its packets are is read before any is decoded,
 *   so where the page begins is known from its granule position, which is that
 *   of its end.  A page that begins later than the one before ended has a hole
 *   before it, which becomes silence (of any length: one call, no memory).
 *   One that ends too early is trimmed when it is the last one; elsewhere its
 *   granule position is not believed.
 *   Only the first Opus stream of a file is read; pages go through libogg (CRC,
 *   lengths), packets through sound_packet_frames.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/reader.h"

#include <errno.h>
#include <ogg/ogg.h>
#include <string.h>

#include "base/mem.h"

enum {
	OGG_FEED = 4096,	    /* bytes given to libogg at a time */
	OGG_PENDING_MAX = 16 << 20, /* bytes of one packet (cover pictures) */
	PAGE_PACKETS_MAX = 255,	    /* RFC 3533 section 6: segments */
	HEAD_LEN = 19
};
#define GRANULE_MAX (INT64_MAX / 4)

struct ogg_reader {
	ogg_sync_state sync;
	ogg_stream_state stream;
	bool has_stream;
	bool ended;    /* its last page is done */
	int headers;   /* of 2 */
	uint64_t skip; /* frames of pre-skip to come */
	int64_t end;   /* granule position so far; -1: no page yet */
	struct sound_decoder *decoder;
	ogg_packet packets[PAGE_PACKETS_MAX]; /* of the page */
	int16_t pcm[SOUND_PACKET_MAX];
};

int ogg_reader_new(struct ogg_reader **out)
{
	struct ogg_reader *r = mem_zalloc(sizeof(*r));
	int err;

	if (!r)
		return ENOMEM;
	err = sound_decoder_new(&r->decoder);
	if (err) {
		mem_free(r);
		return err;
	}
	r->end = -1;
	ogg_sync_init(&r->sync);
	*out = r;
	return 0;
}

void ogg_reader_free(struct ogg_reader *r)
{
	if (!r)
		return;
	ogg_sync_clear(&r->sync);
	if (r->has_stream)
		ogg_stream_clear(&r->stream);
	sound_decoder_free(r->decoder);
	mem_free(r);
}

/* Put out what pre-skip leaves of it. */
static void put(struct ogg_reader *r, const int16_t *pcm, uint64_t frames,
		struct sound_sink *sink)
{
	const uint64_t skip = r->skip < frames ? r->skip : frames;

	r->skip -= skip;
	sound_sink_put(sink, pcm ? pcm + skip : NULL, frames - skip);
}

/* The two header packets.  RFC 7845 section 5. */
static int take_header(struct ogg_reader *r, const ogg_packet *p)
{
	const uint8_t *b = p->packet;

	if (r->headers == 0) {
		/* Version 0.x; mapping family 0: one stream, 1-2 channels. */
		if (p->bytes < HEAD_LEN || memcmp(b, "OpusHead", 8) != 0 ||
		    b[8] > 15 || b[18] != 0 || b[9] < 1 || b[9] > 2)
			return EBADMSG;
		r->skip = (uint64_t)b[10] | (uint64_t)b[11] << 8;
	} else if (p->bytes < 8 || memcmp(b, "OpusTags", 8) != 0) {
		return EBADMSG;
	}
	r->headers++;
	return 0;
}

/* Decode one packet of which `frames` are to be heard. */
static void take_packet(struct ogg_reader *r, const ogg_packet *p,
			uint64_t frames, struct sound_sink *sink)
{
	uint32_t got = 0;

	if (sound_decode(r->decoder, p->packet, (size_t)p->bytes, r->pcm, &got))
		got = 0;
	if (got > frames)
		got = (uint32_t)frames;
	put(r, r->pcm, got, sink);
	put(r, NULL, frames - got, sink);
}

/*
 * Where does a page with `total` frames of sound begin, and how many of them
 * are heard?  Returns the hole before it.  RFC 7845 sections 4.1 - 4.5.
 */
static uint64_t place_page(struct ogg_reader *r, int64_t granule, bool last,
			   uint64_t *total)
{
	const int64_t n = (int64_t)*total; /* 255 packets of 120 ms at most */
	const int64_t begin = granule - n;
	int64_t hole = 0;

	if (granule < 0 || granule > GRANULE_MAX) { /* not to be believed */
		r->end = (r->end < 0 ? 0 : r->end) + n;
		return 0;
	}
	if (r->end < 0) /* the first page: what was before is not missed */
		r->end = begin > 0 ? begin : 0;
	if (begin > r->end)
		hole = begin - r->end;
	else if (begin < r->end && last)
		*total = granule > r->end ? (uint64_t)(granule - r->end) : 0;
	r->end += hole + (int64_t)*total;
	return (uint64_t)hole;
}

/* Take the packets that end on a page: headers at once, sound into r->packets.
 * total   out: frames in it */
static int collect(struct ogg_reader *r, size_t *n, uint64_t *total)
{
	ogg_packet p;
	int got;
	int err = 0;

	*n = 0;
	*total = 0;
	while (!err && (got = ogg_stream_packetout(&r->stream, &p)) != 0) {
		if (got < 0) /* a lost page: granule positions tell of it */
			continue;
		if (r->headers < 2) {
			err = take_header(r, &p);
		} else if (*n < PAGE_PACKETS_MAX) {
			*total +=
				sound_packet_frames(p.packet, (size_t)p.bytes);
			r->packets[(*n)++] = p;
		}
	}
	return err;
}

static int take_page(struct ogg_reader *r, int64_t granule, bool last,
		     struct sound_sink *sink)
{
	uint64_t total, hole, heard;
	size_t n;
	int err = collect(r, &n, &total);

	if (err || !n)
		return err;
	heard = total;
	hole = place_page(r, granule, last, &heard);
	put(r, NULL, hole, sink);
	for (size_t i = 0; i < n; i++) {
		const ogg_packet *p = &r->packets[i];
		uint64_t frames =
			sound_packet_frames(p->packet, (size_t)p->bytes);

		if (frames > heard)
			frames = heard;
		if (frames)
			take_packet(r, p, frames, sink);
		heard -= frames;
	}
	return 0;
}

/* Is this the first page of an Opus stream?  RFC 7845 section 5.1. */
static bool is_opus_head(const ogg_page *page)
{
	return ogg_page_bos(page) && page->body_len >= HEAD_LEN &&
	       memcmp(page->body, "OpusHead", 8) == 0;
}

static int on_page(struct ogg_reader *r, ogg_page *page,
		   struct sound_sink *sink)
{
	if (!r->has_stream && is_opus_head(page)) {
		if (ogg_stream_init(&r->stream, ogg_page_serialno(page)) != 0)
			return ENOMEM;
		r->has_stream = true;
	}
	if (!r->has_stream || r->ended ||
	    ogg_page_serialno(page) != r->stream.serialno ||
	    ogg_stream_pagein(&r->stream, page) != 0)
		return 0;
	r->ended = ogg_page_eos(page);
	if (r->stream.body_fill - r->stream.body_returned > OGG_PENDING_MAX)
		return EBADMSG;
	return take_page(r, ogg_page_granulepos(page), r->ended, sink);
}

static int take_pages(struct ogg_reader *r, struct sound_sink *sink)
{
	ogg_page page;
	int got;
	int err = 0;

	/* negative: bytes were skipped, in search of a page */
	while (!err && (got = ogg_sync_pageout(&r->sync, &page)) != 0)
		err = got > 0 ? on_page(r, &page, sink) : 0;
	return err;
}

int ogg_reader_feed(struct ogg_reader *r, const uint8_t *data, size_t len,
		    struct sound_sink *sink)
{
	int err = 0;

	while (!err && len > 0) {
		const size_t n = len < OGG_FEED ? len : OGG_FEED;
		char *room = ogg_sync_buffer(&r->sync, OGG_FEED);

		if (!room)
			return ENOMEM;
		memcpy(room, data, n);
		if (ogg_sync_wrote(&r->sync, (long)n) != 0)
			return ENOMEM;
		data += n;
		len -= n;
		err = take_pages(r, sink);
	}
	return err;
}

int ogg_reader_end(struct ogg_reader *r)
{
	return r->headers == 2 ? 0 : EBADMSG;
}
