/**
 * sound/sound.h -- Opus -> PCM -> mix -> MP3 or Ogg Opus, and back to PCM.  No
 * files, no sockets, no threads.
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
	CHUNK_SOUND,	 /* out of a packet */
	CHUNK_CONCEALED, /* of a lost one: made up, or out of the next */
	CHUNK_SILENCE	 /* nothing was sent */
};

/** Valid during the call that hands it over only. */
struct sound_chunk {
	enum chunk_kind kind;
	int64_t pos;	       /* media clock of its first frame [frames] */
	uint32_t frames;       /* 1..; silence: any length */
	const int16_t *pcm;    /* frames samples; NULL: silence, or nobody
				  wants sound and concealed ones decoded */
	const uint8_t *packet; /* SOUND: the Opus packet it came from */
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

/**
 * How much of the sound directly before `packet` can be decoded from it
 * (in-band FEC: the SILK layer's low bit-rate redundancy)?
 *
 * Returns frames, the length of one Opus frame, or 0: it brings none, the
 * packet decoded last had no SILK layer to go on from, or it is no Opus.
 * Source: RFC 6716 sections 4.2.3 and 4.2.4.
 */
uint32_t sound_fec_frames(const struct sound_decoder *d, const void *packet,
			  size_t len);

/**
 * Decode those; then decode the packet itself with sound_decode.
 *
 * frames   what sound_fec_frames says of the packet, over 0
 *
 * Returns 0 or EBADMSG (the decoder is unharmed).
 */
MUST_CHECK int sound_decode_fec(struct sound_decoder *d, const void *packet,
				size_t len, uint32_t frames, int16_t *pcm);

/** Frames at 48 kHz in an Opus packet by its table of contents (RFC 6716
 *  section 3.1), 0 when it is none. */
uint32_t sound_packet_frames(const void *packet, size_t len);

/* ---- stretch -------------------------------------------------------------- */

enum {
	SOUND_STRETCH_PPM = 1000, /* most, either way */
	SOUND_STRETCH_KEPT = 3,
	SOUND_STRETCH_MAX = SOUND_PACKET_MAX + 16 /* frames out of a call */
};

/**
 * Makes sound longer or shorter by parts of a million, without a click from
 * call to call.  Embedded; zeroed or sound_stretch_begin().
 */
struct sound_stretch {
	bool is_on; /* the next frame lies between two samples */
	int64_t at; /* where, from the next call's first sample, 32.32 */
	int16_t kept[SOUND_STRETCH_KEPT]; /* the last samples */
};

/** Forget what went before. */
void sound_stretch_begin(struct sound_stretch *s);

/**
 * Take sound whose length is to stay: while nothing is stretched, it goes by
 * untouched; else it goes the way of the sound before, which waits for it.
 *
 * frames   1..SOUND_PACKET_MAX
 * out      room for as many
 *
 * Returns where the frames are: pcm or out.
 */
MUST_CHECK const int16_t *sound_stretch_hold(struct sound_stretch *s,
					     const int16_t *pcm,
					     uint32_t frames, int16_t *out);

/**
 * Stretch `frames` (3..SOUND_PACKET_MAX) to frames * (1 + ppm / 1e6), give or
 * take the two that wait for the next call.
 *
 * ppm   over 0: longer.  0: brings what is under way to a whole sample, and
 *       then is done: s->is_on is false, and sound need not go through here
 * out   room for SOUND_STRETCH_MAX frames
 *
 * Returns how many frames came out.
 */
uint32_t sound_stretch(struct sound_stretch *s, int32_t ppm, const int16_t *pcm,
		       uint32_t frames, int16_t *out);

/* ---- mix ----------------------------------------------------------------- */

/**
 * Many voices into one: a 32-bit sum and a limiter behind it.
 *
 * Sound is added at its place, in any order; silence needs not be added.  What
 * nobody can add to any more is taken out, as chunks that follow each other.
 * A sum that fits 16 bits is passed on as it is.  One that does not is turned
 * down by as little as is needed, from 5 ms before to some 60 ms behind,
 * without a step: no sample wraps or is cut, and a quiet voice beside a loud
 * one keeps its level but for that moment.
 * Memory and time follow what sounds: a stretch of silence is neither stored
 * nor summed.
 */
struct sound_mix;

enum {
	SOUND_MIX_SPAN = 8 * SOUND_RATE /* frames that it can hold */
};

/** An empty mix whose first frame will be at `pos`. */
MUST_CHECK int sound_mix_new(int64_t pos, struct sound_mix **out);
void sound_mix_free(struct sound_mix *m);

/** All before it was taken, or is on its way through the limiter: what is
 *  added must lie at or behind it. */
int64_t sound_mix_pos(const struct sound_mix *m);

/**
 * Add a chunk; one without pcm changes nothing.
 *
 * Returns how many of its frames could not be added: those that lie before
 * sound_mix_pos(), or SOUND_MIX_SPAN and more behind it, or for which there
 * is no memory.
 */
uint32_t sound_mix_add(struct sound_mix *m, const struct sound_chunk *c);

/** Sums of `frames` frames at `pos`, before the limiter. */
void sound_mix_sum(const struct sound_mix *m, int64_t pos, uint32_t frames,
		   int32_t *sum);

/** Called with CHUNK_SOUND or CHUNK_SILENCE; the mix must not be called. */
typedef void(sound_mix_fn)(const struct sound_chunk *c, void *arg);

/**
 * Take out what lies before `to`, but for the last 6 ms, which the limiter
 * needs to look ahead.  `to` before sound_mix_pos() is fine: nothing.
 */
void sound_mix_take(struct sound_mix *m, int64_t to, sound_mix_fn *fn,
		    void *arg);

/** Take out everything before `to`, and go on at `next` (>= to) as if new. */
void sound_mix_finish(struct sound_mix *m, int64_t to, int64_t next,
		      sound_mix_fn *fn, void *arg);

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

/* ---- recorded files, read again ---------------------------------------- */

/**
 * Takes the next stretch of a file, from its beginning on, without holes.
 *
 * pcm      frames samples, valid during the call; NULL: silence
 * frames   1..SOUND_PACKET_MAX, of silence any number (a file may say so)
 */
typedef void(sound_pcm_fn)(const int16_t *pcm, uint64_t frames, void *arg);

/**
 * A recorded file, decoded as it comes in: MP3 (MPEG-1 and 2 layer III) or Ogg
 * Opus, told apart by its first bytes.  Memory is bounded, however long the
 * file is: one MP3 frame; one Ogg page and one packet (16 MiB at most, there
 * only).
 *
 * Positions: MP3 frame k covers frames k*1152.. (at 48 kHz), also where it
 * cannot be decoded (silence then): lengths agree with the file's size.  At
 * another rate than 48 kHz samples are repeated: true levels, but not for
 * ears.  Ogg Opus: granule positions are honoured: pre-skip, the trimmed end,
 * holes (silence).  Stereo is mixed down.
 *
 * Files may be anybody's.  The decoder of MP3 is LAME's (hip_decode1, Debian's
 * 3.100), which had faults with broken files; so it gets whole layer III
 * frames only, of one rate, one at a time, that wire/mp3.h has measured.  Fed
 * like that, and built with AddressSanitizer, it stood half a million inputs
 * of test/fuzz/reader_fuzz.c.  That is no proof: it is used by commands on a
 * user's behalf, and by the server on files that it wrote, not on files from
 * outside.
 */
struct sound_reader;

MUST_CHECK int sound_reader_new(sound_pcm_fn *fn, void *arg,
				struct sound_reader **out);
void sound_reader_free(struct sound_reader *r);

/**
 * Take the next bytes; `fn` is called for what they complete.
 * Returns 0, EBADMSG (this is no such file: give up), ENOMEM.
 */
MUST_CHECK int sound_reader_feed(struct sound_reader *r, const void *data,
				 size_t len);

/**
 * That was all of it.
 * Returns 0, or EBADMSG: there were bytes, and no sound in them.
 */
MUST_CHECK int sound_reader_end(struct sound_reader *r);

/** Frames at 48 kHz put out so far. */
uint64_t sound_reader_frames(const struct sound_reader *r);

/* ---- pictures of sound ------------------------------------------------- */

/** A stretch of the axis; all zero: nothing has been added. */
struct sound_column {
	uint64_t frames; /* that were added, silence included */
	double squares;	 /* sum of their squares, full scale = 1 */
	uint16_t peak;	 /* the largest |sample|, 0..32768 */
};

/** An axis of `frames` (1..2^46), cut into n (1..2^16) columns: column i
 *  begins at frames*i/n.  The columns are the owner's. */
struct sound_wave {
	uint64_t frames;
	size_t n;
	struct sound_column *columns;
};

/** Add `frames` at `pos` of the axis; pcm NULL: silence.  What lies outside
 *  of the axis is left out. */
void sound_wave_add(struct sound_wave *w, int64_t pos, const int16_t *pcm,
		    uint64_t frames);

/** First frame of column i (0..n). */
uint64_t sound_wave_begin(const struct sound_wave *w, size_t i);

/** The column that frame `pos` lies in; those outside are in the first or the
 *  last one. */
size_t sound_wave_at(const struct sound_wave *w, int64_t pos);

/** Root mean square of a column, 0..1; 0 when nothing was added. */
double sound_column_rms(const struct sound_column *c);

/* ---- the loudest of each stretch --------------------------------------- */

enum {
	SOUND_PEAKS_MAX = 1024,
	SOUND_PEAK_FRAMES = 480 /* of the shortest bucket: 10 ms */
};

/**
 * A waveform of bounded size: peaks of equal stretches, which become twice as
 * long whenever there would be too many.  All zero but bucket_frames, which
 * sound_peaks_init sets: nothing was added.  1..1024 peaks once there is sound,
 * of over 512 each time that they were made longer.
 */
struct sound_peaks {
	uint32_t bucket_frames; /* SOUND_PEAK_FRAMES << k */
	uint32_t filled;	/* frames in the last bucket */
	uint16_t n;		/* buckets; the last may be short */
	uint8_t at[SOUND_PEAKS_MAX];
};

/** Of 0..32768, the largest |sample|, a byte: 0 for digital silence only. */
uint8_t sound_peak_level(const int16_t *pcm, uint64_t frames);
void sound_peaks_init(struct sound_peaks *p);
/** Add `frames` of this level; 0: silence.  What comes after a year is left
 *  out. */
void sound_peaks_add(struct sound_peaks *p, uint8_t level, uint64_t frames);
/** The same for PCM; NULL: silence. */
void sound_peaks_add_pcm(struct sound_peaks *p, const int16_t *pcm,
			 uint64_t frames);

#endif
