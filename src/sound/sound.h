/**
 * sound/sound.h -- Opus -> PCM -> MP3 or Ogg Opus.  No files, no sockets, no
 * threads.
 *
 * PCM here is always mono, 48 kHz, int16_t; positions and lengths are in
 * frames at 48 kHz.  A codec object belongs to the thread that uses it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOUND_SOUND_H
#define SOUND_SOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"

enum {
	SOUND_RATE = 48000, /* frames per second */
	SOUND_FRAMES_PER_MS = 48,
	SOUND_PACKET_MAX = 5760,      /* frames: 120 ms, RFC 6716 3.2.5 */
	SOUND_OPUS_MAX = 1275 * 6 + 7 /* bytes of one Opus packet */
};

/** Monotonic time [us] -> position on the node's media clock [frames]. */
static inline int64_t sound_pos_of_us(int64_t us)
{
	return us / 1000 * 48 + us % 1000 * 48 / 1000;
}

/* ---- a stretch of one input's timeline -------------------------------- */

enum chunk_kind {
	CHUNK_SOUND,	 /* decoded from a packet */
	CHUNK_CONCEALED, /* made up for a lost one */
	CHUNK_SILENCE	 /* nothing was sent: pcm is NULL */
};

/** Valid during the call that hands it over only. */
struct sound_chunk {
	enum chunk_kind kind;
	int64_t pos;	       /* media clock of its first frame [frames] */
	uint32_t frames;       /* 1..; silence: any length */
	const int16_t *pcm;    /* frames samples, NULL: silence */
	const uint8_t *packet; /* the Opus packet it came from, or NULL */
	size_t packet_len;
};

/* ---- Opus decoder ----------------------------------------------------- */

struct sound_decoder;

MUST_CHECK int sound_decoder_new(struct sound_decoder **out);
void sound_decoder_free(struct sound_decoder *d);

/** Forget the past (a new stream begins). */
void sound_decoder_reset(struct sound_decoder *d);

/**
 * Decode one packet to mono 48 kHz (stereo is down-mixed).
 *
 * pcm      room for SOUND_PACKET_MAX frames
 * frames   out: frames written
 *
 * Returns 0 or EBADMSG (not an Opus packet; the decoder is unharmed).
 */
MUST_CHECK int sound_decode(struct sound_decoder *d, const void *packet,
			    size_t len, int16_t *pcm, uint32_t *frames);

/** Make up `frames` (1..SOUND_PACKET_MAX, multiples of 120) for a loss. */
MUST_CHECK int sound_conceal(struct sound_decoder *d, uint32_t frames,
			     int16_t *pcm);

/** Frames at 48 kHz in an Opus packet by its table of contents (RFC 6716
 *  section 3.1), 0 when it is none. */
uint32_t sound_packet_frames(const void *packet, size_t len);

/* ---- Opus packets made up --------------------------------------------- */

enum {
	SOUND_STEP = 120,  /* frames: 2.5 ms, the shortest Opus packet */
	SOUND_MADE_MAX = 3 /* bytes of a made-up packet */
};

struct sound_made {
	uint8_t data[SOUND_MADE_MAX];
	uint8_t len;
	uint16_t frames; /* 48 kHz frames it decodes to */
};

/** Is it a stereo packet, by its table of contents? */
static inline bool sound_packet_is_stereo(const uint8_t *packet)
{
	return packet[0] & 4;
}

/** A packet of silence: the longest up to 20 ms that fits into `frames`, a
 *  multiple of SOUND_STEP. */
struct sound_made sound_make_silence(uint64_t frames, bool stereo);

/**
 * A packet without data: the decoder makes up what was lost (RFC 7845 section
 * 4.1).  Of the kind of the packet before and as long as one of its frames
 * while that fits into `frames` (a multiple of SOUND_STEP), then shorter; what
 * that kind has no frame for is CELT of the same bandwidth.
 *
 * toc   the first byte of the packet before
 */
struct sound_made sound_make_loss(uint64_t frames, uint8_t toc);

/** The shortest one without data: 2.5 ms of CELT, 10 ms of SILK and hybrid. */
struct sound_made sound_make_shortest(uint8_t toc);

/** One without data in the place of this very packet, which is one. */
struct sound_made sound_make_lost(const uint8_t *packet, size_t len);

/* ---- Opus encoder ----------------------------------------------------- */

enum { SOUND_OPUS_FRAME = 960 /* frames of a packet: 20 ms */ };

/**
 * Mono, 20 ms packets, VBR, complexity 5.  Silence of over 200 ms costs no
 * encoding: its packet is cached once the encoder gives the same again and
 * again.
 */
struct sound_opus;

MUST_CHECK int sound_opus_new(uint32_t bit_s, struct sound_opus **out);
void sound_opus_free(struct sound_opus *o);
/** Forget the past (a new stream begins). */
void sound_opus_reset(struct sound_opus *o);
/** Frames by which the decoded sound is late. */
uint32_t sound_opus_delay(const struct sound_opus *o);
/**
 * Encode SOUND_OPUS_FRAME frames.  Returns the packet, valid until the next
 * call.
 */
const uint8_t *sound_opus_encode(struct sound_opus *o, const int16_t *pcm,
				 size_t *len);

/* ---- Ogg Opus files --------------------------------------------------- */

enum { SOUND_OGG_HEAD_MAX = 256, SOUND_OGG_SILENCE_MAX = 256 };

struct sound_ogg_head {
	uint32_t serial;  /* of the stream */
	uint16_t preskip; /* frames decoded before the first that counts */
	uint8_t channels; /* 1 or 2 */
};

/** The two header pages (RFC 7845 section 5).
 *  out   room for SOUND_OGG_HEAD_MAX bytes
 *  Returns their length. */
size_t sound_ogg_write_head(const struct sound_ogg_head *head, uint8_t *out);

/**
 * One page that makes a whole file of the header pages: `frames` of silence
 * behind the pre-skip, and the end.
 *
 * frames  with the pre-skip up to 1 s, in whole SOUND_STEPs
 * out     room for SOUND_OGG_SILENCE_MAX bytes
 *
 * Returns its length.
 */
size_t sound_ogg_write_silence(const struct sound_ogg_head *head,
			       uint32_t frames, uint8_t *out);

/**
 * Packets to pages of one stream; the header pages are not among them.  A page
 * has a second of sound at most, and whole packets only.  The last packet is
 * always kept back, so that the last page has one.
 */
struct sound_ogg;

MUST_CHECK int sound_ogg_new(struct sound_ogg **out);
void sound_ogg_free(struct sound_ogg *o);

/** Begin a stream, at granule position 0.  What was kept is forgotten. */
void sound_ogg_begin(struct sound_ogg *o, uint32_t serial);

/**
 * Take a packet.  When the page in work has no room for it, that page is
 * appended to `out` first.
 *
 * Returns 0, or what kept the page out (ENOMEM, EMSGSIZE): it is lost, but
 * counts in page numbers and granule positions, so what follows keeps its
 * place.
 */
MUST_CHECK int sound_ogg_put(struct sound_ogg *o, const void *packet,
			     size_t len, uint32_t frames, struct buf *out);

/** Append a page of all packets but the last, if there are any. */
MUST_CHECK int sound_ogg_flush(struct sound_ogg *o, struct buf *out);

/**
 * Append the page that ends the stream.
 *
 * granule   where it ends: at most what the packets decode to, more than what
 *           they do without the last; less than all trims the end
 */
MUST_CHECK int sound_ogg_end(struct sound_ogg *o, int64_t granule,
			     struct buf *out);

/* ---- MP3 encoder ------------------------------------------------------ */

struct sound_mp3_config {
	uint32_t sample_rate; /* 48000, 24000 or 16000 */
	uint32_t bit_s;	      /* presets: 64000, 48000 and 32000 */
	bool encode_silence;  /* tests: never use the cached silent frame */
};

/**
 * One MP3 stream: CBR, mono, LAME quality 7, bit reservoir off, no Info
 * frame, so every frame stands alone and files can be cut between any two.
 * The encoder's delay is dropped at the head, so that MP3 frame k holds the
 * sound of input frames k*frame_frames.. within 3 ms.  Silence is a cached
 * frame once real silence has drained the encoder's look-ahead.
 * 24 and 16 kHz are MPEG-2; the sound is brought down to them in here.
 * The first 9 ms of a file that begins in the midst of sound fade in (20 ms
 * at 24 kHz, 30 ms at 16 kHz): MP3 frames overlap, and the one before is not
 * in the file.
 */
struct sound_mp3;

/** Returns 0, EINVAL (another sample rate, or a bit rate that MP3 has not at
 *  this one), ENOMEM. */
MUST_CHECK int sound_mp3_new(const struct sound_mp3_config *config,
			     struct sound_mp3 **out);
void sound_mp3_free(struct sound_mp3 *m);

/**
 * What its MP3 frames are like, without making one.
 *
 * frame_frames   out: input frames (48 kHz) that one covers: 1152 at 48 and at
 *                24 kHz, 1728 at 16 kHz
 * frame_len      out: bytes of one: 192 at 64 kbit/s and 48 kHz, 144 with the
 *                other two presets
 *
 * Returns 0, or EINVAL as sound_mp3_new.
 */
MUST_CHECK int sound_mp3_shape(const struct sound_mp3_config *config,
			       uint32_t *frame_frames, uint32_t *frame_len);

/**
 * Encode `frames` of PCM; pcm NULL means silence.  Whole MP3 frames that
 * are ready are appended to `out`.  PCM that is all zeros is silence too.
 * Returns 0, ENOMEM, EMSGSIZE (limit of out: sound is lost; it counts in
 * frames_in and frames_out, so what follows keeps its place).
 */
MUST_CHECK int sound_mp3_write(struct sound_mp3 *m, const int16_t *pcm,
			       uint64_t frames, struct buf *out);

/**
 * Pad with silence to a frame boundary and feed silence until all MP3
 * frames up to there have come out.  Afterwards frames_in is a multiple of
 * the frame length and frames_out has caught up with it; the silence fed
 * to get there counts in neither.
 * Returns as sound_mp3_write.
 */
MUST_CHECK int sound_mp3_flush(struct sound_mp3 *m, struct buf *out);

/** Input frames taken since new, and input frames that the MP3 frames put
 *  out so far cover. */
uint64_t sound_mp3_frames_in(const struct sound_mp3 *m);
uint64_t sound_mp3_frames_out(const struct sound_mp3 *m);

/** The silent MP3 frame of this configuration (frame_len bytes, static
 *  to the encoder). */
const uint8_t *sound_mp3_silent_frame(const struct sound_mp3 *m);

/* ---- files as sources: for publish, demo and tests --------------------- */

/** Opus packets out of an Ogg Opus file in memory (RFC 7845), or encoded
 *  from a WAV file in memory (PCM s16, 8-48 kHz, mono or stereo). */
struct sound_source;

/**
 * data, len   the file; must live as long as the source
 * Returns 0, EBADMSG (neither Ogg Opus nor PCM WAV), ENOMEM.
 */
MUST_CHECK int sound_source_new(const void *data, size_t len,
				struct sound_source **out);
void sound_source_free(struct sound_source *s);
/** Next packet; *len 0 at the end.  Valid until the next call. */
MUST_CHECK int sound_source_next(struct sound_source *s, const uint8_t **packet,
				 size_t *len, uint32_t *frames);
/** Length of the whole source [frames at 48 kHz]. */
uint64_t sound_source_frames(const struct sound_source *s);

#endif
