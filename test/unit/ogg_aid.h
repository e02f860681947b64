/** test/unit/ogg_aid.h -- an Ogg Opus file decoded by libogg and libopus, as a
 *  player does: pre-skip and the end taken off (RFC 7845). */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_OGG_AID_H
#define TEST_UNIT_OGG_AID_H

#include <assert.h>
#include <ogg/ogg.h>
#include <opus/opus.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct played {
	int16_t *pcm; /* mono; free it */
	size_t n;
	unsigned channels, preskip;
	size_t n_pages, n_packets;
	size_t holes; /* pages that are missing */
	bool ended;   /* by a page that says so, and nothing behind it */
	bool is_odd;  /* something that no player should see */
};

struct play {
	struct played *out;
	OpusDecoder *opus;
	int16_t *all;
	size_t n, cap;
	int64_t granule;
};

static inline void play_packet(struct play *p, const ogg_packet *packet)
{
	struct played *out = p->out;
	const size_t i = out->n_packets++;
	int n;

	if (i == 0) {
		out->is_odd |= packet->bytes != 19 ||
			       memcmp(packet->packet, "OpusHead", 8) != 0;
		out->channels = packet->packet[9];
		out->preskip = (unsigned)(packet->packet[10] |
					  packet->packet[11] << 8);
		return;
	}
	if (i == 1) {
		out->is_odd |= memcmp(packet->packet, "OpusTags", 8) != 0;
		return;
	}
	if (p->n + 5760 > p->cap) {
		p->cap = p->cap ? 2 * p->cap : 1 << 20;
		p->all = realloc(p->all, p->cap * sizeof(*p->all));
		assert(p->all);
	}
	n = opus_decode(p->opus, packet->packet, (opus_int32)packet->bytes,
			p->all + p->n, 5760, 0);
	if (n < 0)
		out->is_odd = true;
	else
		p->n += (size_t)n;
}

/** What the file holds.  Positions of pages are checked against what was
 *  decoded, unless pages are missing. */
static inline struct played ogg_play(const void *data, size_t len)
{
	struct played out = {0};
	struct play p = {.out = &out};
	ogg_sync_state sync;
	ogg_stream_state stream;
	ogg_page page;
	ogg_packet packet;
	int got, err;
	long seq = -1;

	p.opus = opus_decoder_create(48000, 1, &err);
	assert(p.opus);
	ogg_sync_init(&sync);
	memcpy(ogg_sync_buffer(&sync, (long)len), data, len);
	ogg_sync_wrote(&sync, (long)len);
	while ((got = ogg_sync_pageout(&sync, &page)) != 0) {
		out.is_odd |= got < 0 || out.ended;
		if (got < 0)
			continue;
		if (out.n_pages++ == 0)
			ogg_stream_init(&stream, ogg_page_serialno(&page));
		out.holes += ogg_page_pageno(&page) != seq + 1;
		seq = ogg_page_pageno(&page);
		out.ended = ogg_page_eos(&page);
		out.is_odd |= ogg_stream_pagein(&stream, &page) != 0;
		while ((got = ogg_stream_packetout(&stream, &packet)) != 0)
			if (got > 0)
				play_packet(&p, &packet);
		out.is_odd |= ogg_page_granulepos(&page) < p.granule;
		p.granule = ogg_page_granulepos(&page);
		if (!out.ended && !out.holes)
			out.is_odd |= (size_t)p.granule != p.n;
	}
	out.is_odd |= sync.fill != sync.returned || !out.n_pages;
	if (!out.holes)
		out.is_odd |= (size_t)p.granule > p.n;
	if ((size_t)p.granule < p.n)
		p.n = (size_t)p.granule;
	out.n = p.n > out.preskip ? p.n - out.preskip : 0;
	out.pcm = calloc(out.n + 1, sizeof(*out.pcm));
	assert(out.pcm);
	if (out.n && p.all)
		memcpy(out.pcm, p.all + out.preskip, out.n * sizeof(*out.pcm));
	free(p.all);
	if (out.n_pages)
		ogg_stream_clear(&stream);
	ogg_sync_clear(&sync);
	opus_decoder_destroy(p.opus);
	return out;
}

#endif
