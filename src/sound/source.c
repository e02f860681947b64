/**
 * sound/source.c -- a file in memory as a run of Opus packets.
 *
 * WHAT  Ogg Opus (RFC 7845): its packets as they are.  WAV (PCM s16): encoded
 *       with libopus, 24 kbit/s VBR, 20 ms.
 * DESIGN
 *   The file is somebody's, so nothing in it is believed: pages go through
 *   libogg (CRC, lengths), packets through sound_packet_frames; a packet
 *   that never ends is refused at OGG_PENDING_MAX; lengths in a WAV are cut
 *   to what is there.  Only the first Opus stream of a file is read.
 *   Memory: one Ogg page and one packet (a large OpusTags included).
 *   libogg and libopus' encoder state: the former allocates for itself.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <ogg/ogg.h>
#include <opus/opus.h>
#include <string.h>

#include "base/mem.h"

enum {
	OGG_FEED = 4096,	    /* bytes given to libogg at a time */
	OGG_PENDING_MAX = 16 << 20, /* bytes of one packet (cover pictures) */
	WAV_PACKET = 960,	    /* frames: 20 ms */
	WAV_BIT_S = 24000,
	WAV_CHANNELS_MAX = 2,
	WAV_PACKET_LEN_MAX = 1275
};

/* Reads the packets of the first Opus stream, headers left out. */
struct ogg_reader {
	const uint8_t *data;
	size_t len, at;
	ogg_sync_state sync;
	ogg_stream_state stream;
	bool has_stream;
	int headers;	  /* header packets seen, of 2 */
	uint32_t preskip; /* frames to throw away at the start */
	int64_t granule;  /* of the last page that ended a packet, or -1 */
};

struct wav_reader {
	const uint8_t *data; /* s16le samples, interleaved */
	uint64_t n;	     /* frames at the file's rate */
	uint32_t rate, channels;
	uint32_t coded_rate; /* what the encoder is given */
	uint64_t coded_n;    /* frames at coded_rate */
	uint64_t at;	     /* frames at coded_rate, consumed */
	OpusEncoder *opus;
	uint8_t packet[WAV_PACKET_LEN_MAX];
};

struct sound_source {
	bool is_wav;
	uint64_t frames;
	struct ogg_reader ogg;
	struct wav_reader wav;
};

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

/* ---- Ogg Opus --------------------------------------------------------- */

static void reader_open(struct ogg_reader *r, const uint8_t *data, size_t len)
{
	*r = (struct ogg_reader){.data = data, .len = len, .granule = -1};
	ogg_sync_init(&r->sync);
}

static void reader_close(struct ogg_reader *r)
{
	ogg_sync_clear(&r->sync);
	if (r->has_stream)
		ogg_stream_clear(&r->stream);
	r->has_stream = false;
}

/* Is this the first page of an Opus stream?  RFC 7845 section 5.1. */
static bool is_opus_head(const ogg_page *page)
{
	return ogg_page_bos(page) && page->body_len >= 19 &&
	       memcmp(page->body, "OpusHead", 8) == 0;
}

/* The next page of any stream.  0, ENODATA at the end, ENOMEM. */
static int next_page(struct ogg_reader *r, ogg_page *page)
{
	for (;;) {
		size_t n = r->len - r->at;
		char *room;

		if (ogg_sync_pageout(&r->sync, page) == 1)
			return 0;
		if (n == 0)
			return ENODATA;
		if (n > OGG_FEED)
			n = OGG_FEED;
		room = ogg_sync_buffer(&r->sync, OGG_FEED);
		if (!room)
			return ENOMEM;
		memcpy(room, r->data + r->at, n);
		r->at += n;
		if (ogg_sync_wrote(&r->sync, (long)n) != 0)
			return ENOMEM;
	}
}

/* Read pages until one was added to the stream. */
static int feed_page(struct ogg_reader *r)
{
	ogg_page page;
	int err;

	for (;;) {
		err = next_page(r, &page);
		if (err)
			return err;
		if (!r->has_stream && is_opus_head(&page)) {
			if (ogg_stream_init(&r->stream,
					    ogg_page_serialno(&page)) != 0)
				return ENOMEM;
			r->has_stream = true;
		}
		if (!r->has_stream ||
		    ogg_page_serialno(&page) != r->stream.serialno)
			continue;
		if (ogg_stream_pagein(&r->stream, &page) != 0)
			continue;
		if (r->stream.body_fill - r->stream.body_returned >
		    OGG_PENDING_MAX)
			return EBADMSG;
		return 0;
	}
}

/* The two header packets.  RFC 7845 section 5. */
static int take_header(struct ogg_reader *r, const ogg_packet *p)
{
	const bool first = r->headers == 0;

	if (first) {
		/* Version 0.x; mapping family 0: one stream, 1-2 channels. */
		if (p->bytes < 19 || memcmp(p->packet, "OpusHead", 8) != 0 ||
		    p->packet[8] > 15 || p->packet[18] != 0 ||
		    p->packet[9] < 1 || p->packet[9] > 2)
			return EBADMSG;
		r->preskip = le16(p->packet + 10);
	} else if (p->bytes < 8 || memcmp(p->packet, "OpusTags", 8) != 0) {
		return EBADMSG;
	}
	r->headers++;
	return 0;
}

/* The next packet behind the headers; *frames 0: it is not Opus.
 * 0, ENODATA at the end, EBADMSG, ENOMEM. */
static int next_packet(struct ogg_reader *r, ogg_packet *p, uint32_t *frames)
{
	for (;;) {
		const int n =
			r->has_stream ? ogg_stream_packetout(&r->stream, p) : 0;
		int err = 0;

		if (n == 0)
			err = feed_page(r);
		else if (n > 0 && r->headers < 2)
			err = take_header(r, p);
		else if (n > 0)
			break;
		if (err)
			return err;
	}
	if (p->granulepos >= 0)
		r->granule = p->granulepos;
	*frames = sound_packet_frames(p->packet, (size_t)p->bytes);
	return 0;
}

/* The next sound packet that is one; what is not Opus is left out. */
static int reader_next(struct ogg_reader *r, ogg_packet *p, uint32_t *frames)
{
	int err;

	do {
		err = next_packet(r, p, frames);
	} while (!err && *frames == 0);
	return err;
}

/*
 * Go through the file once for its length: from the granule position of the
 * last page, less pre-skip and what the first page says had gone before.
 * RFC 7845 sections 4.3 - 4.5.
 */
static int measure_ogg(const uint8_t *data, size_t len, uint64_t *frames)
{
	struct ogg_reader r;
	ogg_packet p;
	int64_t total = 0, start = 0, end;
	bool has_start = false;
	uint32_t n;
	int err;

	reader_open(&r, data, len);
	for (;;) {
		err = reader_next(&r, &p, &n);
		if (err)
			break;
		total += n;
		if (!has_start && p.granulepos >= 0) {
			start = p.granulepos - total;
			has_start = true;
		}
	}
	if (err == ENODATA)
		err = r.headers == 2 ? 0 : EBADMSG;
	/* A first page that is the last one too may be trimmed: start 0. */
	if (start < 0)
		start = 0;
	end = r.granule - start;
	if (!has_start || end > total || end < 0)
		end = total;
	*frames = end > r.preskip ? (uint64_t)(end - r.preskip) : 0;
	reader_close(&r);
	return err;
}

/* ---- WAV -------------------------------------------------------------- */

/* PCM s16, by a plain or an extensible format chunk. */
static int parse_format(struct wav_reader *w, const uint8_t *p, size_t len)
{
	/* KSDATAFORMAT_SUBTYPE_PCM behind its first two bytes. */
	static const uint8_t guid[14] = {0x00, 0x00, 0x00, 0x00, 0x10,
					 0x00, 0x80, 0x00, 0x00, 0xaa,
					 0x00, 0x38, 0x9b, 0x71};
	uint32_t tag;

	if (len < 16)
		return EBADMSG;
	tag = le16(p);
	if (tag == 0xfffe && len >= 40 && memcmp(p + 26, guid, 14) == 0)
		tag = le16(p + 24);
	w->channels = le16(p + 2);
	w->rate = le32(p + 4);
	if (tag != 1 || w->channels < 1 || w->channels > WAV_CHANNELS_MAX ||
	    w->rate < 8000 || w->rate > SOUND_RATE || le16(p + 14) != 16 ||
	    le16(p + 12) != w->channels * 2)
		return EBADMSG;
	return 0;
}

/* Find the format and the samples. */
static int parse_wav(struct wav_reader *w, const uint8_t *data, size_t len)
{
	size_t at = 12;

	while (len - at >= 8) {
		const uint8_t *chunk = data + at;
		size_t n = le32(chunk + 4);

		at += 8;
		if (n > len - at) /* streamed: length not known when written */
			n = len - at;
		if (memcmp(chunk, "fmt ", 4) == 0 &&
		    parse_format(w, data + at, n) != 0)
			return EBADMSG;
		if (memcmp(chunk, "data", 4) == 0) {
			if (w->channels == 0)
				return EBADMSG;
			w->data = data + at;
			w->n = n / (w->channels * 2);
			return 0;
		}
		at += n;
		if (n % 2 == 1 && at < len) /* chunks are padded to even */
			at++;
	}
	return EBADMSG;
}

/* A rate that libopus takes as it is; the others are brought to 48 kHz. */
static bool is_opus_rate(uint32_t rate)
{
	return rate == 8000 || rate == 12000 || rate == 16000 ||
	       rate == 24000 || rate == 48000;
}

static int open_wav(struct sound_source *s)
{
	struct wav_reader *w = &s->wav;
	const int state_len = opus_encoder_get_size((int)w->channels);

	s->frames = w->n * SOUND_RATE / w->rate;
	w->coded_rate = is_opus_rate(w->rate) ? w->rate : SOUND_RATE;
	w->coded_n = w->n * w->coded_rate / w->rate;
	w->opus = mem_zalloc((size_t)state_len);
	if (!w->opus)
		return ENOMEM;
	if (opus_encoder_init(w->opus, (int)w->coded_rate, (int)w->channels,
			      OPUS_APPLICATION_AUDIO) != OPUS_OK ||
	    opus_encoder_ctl(w->opus, OPUS_SET_BITRATE(WAV_BIT_S)) != OPUS_OK)
		return ENOMEM;
	return 0;
}

/* One sample of the file, 0 outside of it. */
static double sample_at(const struct wav_reader *w, int64_t at, uint32_t ch)
{
	if (at < 0 || (uint64_t)at >= w->n)
		return 0;
	return (int16_t)le16(w->data + ((uint64_t)at * w->channels + ch) * 2);
}

/*
 * One sample at coded_rate: as it is, or by a cubic through four neighbours
 * (Catmull-Rom), which is good enough for speech and costs nothing.
 */
static int16_t resampled(const struct wav_reader *w, uint64_t at, uint32_t ch)
{
	const uint64_t scaled = at * w->rate;
	const int64_t i = (int64_t)(scaled / w->coded_rate);
	const double x = (double)(scaled % w->coded_rate) / w->coded_rate;
	double a, b, c, d, y;

	b = sample_at(w, i, ch);
	if (w->coded_rate == w->rate)
		return (int16_t)b;
	a = sample_at(w, i - 1, ch);
	c = sample_at(w, i + 1, ch);
	d = sample_at(w, i + 2, ch);
	y = b + 0.5 * x *
			(c - a +
			 x * (2 * a - 5 * b + 4 * c - d +
			      x * (3 * (b - c) + d - a)));
	if (y > INT16_MAX)
		y = INT16_MAX;
	if (y < INT16_MIN)
		y = INT16_MIN;
	return (int16_t)y;
}

static int next_wav(struct wav_reader *w, size_t *len)
{
	const uint32_t n = WAV_PACKET * w->coded_rate / SOUND_RATE;
	int16_t pcm[WAV_PACKET * WAV_CHANNELS_MAX];
	opus_int32 got;

	if (w->at >= w->coded_n) {
		*len = 0;
		return 0;
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t ch = 0; ch < w->channels; ch++)
			pcm[i * w->channels + ch] =
				w->at + i < w->coded_n
					? resampled(w, w->at + i, ch)
					: 0;
	w->at += n;
	got = opus_encode(w->opus, pcm, (int)n, w->packet, sizeof(w->packet));
	assert(got > 0); /* every argument is ours */
	*len = (size_t)got;
	return 0;
}

/* ---- both ------------------------------------------------------------- */

int sound_source_new(const void *data, size_t len, struct sound_source **out)
{
	const uint8_t *bytes = data;
	struct sound_source *s = mem_zalloc(sizeof(*s));
	int err = EBADMSG;

	if (!s)
		return ENOMEM;
	if (len >= 12 && memcmp(bytes, "RIFF", 4) == 0 &&
	    memcmp(bytes + 8, "WAVE", 4) == 0) {
		s->is_wav = true;
		err = parse_wav(&s->wav, bytes, len);
		if (!err)
			err = open_wav(s);
	} else if (len >= 4 && memcmp(bytes, "OggS", 4) == 0) {
		err = measure_ogg(bytes, len, &s->frames);
		reader_open(&s->ogg, bytes, len);
	}
	if (err) {
		sound_source_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void sound_source_free(struct sound_source *s)
{
	if (!s)
		return;
	if (!s->is_wav)
		reader_close(&s->ogg);
	mem_free(s->wav.opus);
	mem_free(s);
}

int sound_source_next(struct sound_source *s, const uint8_t **packet,
		      size_t *len, uint32_t *frames)
{
	ogg_packet p;
	size_t n = 0;
	int err;

	if (s->is_wav) {
		err = next_wav(&s->wav, &n);
		*packet = s->wav.packet;
		*frames = n > 0 ? WAV_PACKET : 0;
		*len = n;
		return err;
	}
	err = reader_next(&s->ogg, &p, frames);
	if (err == ENODATA) {
		*packet = NULL;
		*frames = 0;
		*len = 0;
		return 0;
	}
	if (err)
		return err;
	*packet = p.packet;
	*len = (size_t)p.bytes;
	return 0;
}

uint64_t sound_source_frames(const struct sound_source *s)
{
	return s->frames;
}
