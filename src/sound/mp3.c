/**
 * sound/mp3.c -- PCM to MP3 frames that can be cut anywhere.
 *
 * WHAT  libmp3lame, and around it the counting of frames and a shortcut for
 *       silence.
 * WHY   Silence is most of what a room records, and LAME charges full price
 *       for it (recording.md section 3.3: 41 us a frame).
 * DESIGN
 *   LAME's raw frames and ours: the decoded sound is 1105 samples late
 *   (encoder 576, decoder 529), so the first raw frame is dropped and frame k
 *   of ours holds the input k*1152.., 47 samples (1 ms) early.  A raw frame
 *   comes out when 1376 samples behind its beginning have gone in; ours lag
 *   2528 frames behind their first input frame.
 *
 *   Silence: with the bit reservoir off and ATH adaption off LAME remembers
 *   nothing older than its window (about 2200 samples) that silence could
 *   change, so once MP3_DRAIN frames of silence have gone in, its output is
 *   the constant silent frame and its state stands still.  From there
 *   each further 1152 frames of silence are the cached frame and LAME is not
 *   asked.  The place inside a frame does not change, so what follows comes
 *   out as if LAME had been fed.  Less silence than that and the look-ahead
 *   would play the end of the speech after the gap.
 *
 *   Flush: pad to a frame, feed whole frames of silence until ours have all
 *   come out (two), and drop as many raw frames later: the stream is then as
 *   if it began anew, only with a warm encoder.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <lame/lame.h>
#include <string.h>

#include "base/mem.h"

enum {
	MP3_FRAME = 1152,    /* frames of sound in an MPEG-1 layer III frame */
	MP3_LEN_MAX = 960,   /* bytes of one at 320 kbit/s and 48 kHz */
	MP3_DRAIN = 4,	     /* frames; two would do, see the file head */
	MP3_OUT_CAP = 8192,  /* LAME wants 7200 + 1.25 * samples */
	MP3_SILENT_RUN = 16, /* frames encoded to learn the silent one */
	MP3_QUALITY = 7
};

struct sound_mp3 {
	lame_t lame;
	uint32_t frame_len; /* bytes of one MP3 frame */
	uint32_t drop;	    /* raw frames that LAME still owes in vain */
	uint64_t in;	    /* frames of sound taken */
	uint64_t out;	    /* frames of sound that the output covers */
	uint64_t silent;    /* frames of silence last fed to LAME in a row */
	bool encode_silence;
	uint8_t silent_frame[MP3_LEN_MAX];
};

/* A LAME encoder set up the one way that all of them are. */
static int encoder_open(const struct sound_mp3_config *config, lame_t *out)
{
	lame_t lame = lame_init();
	int bad = 0;

	if (!lame)
		return ENOMEM;
	bad |= lame_set_in_samplerate(lame, (int)config->sample_rate);
	bad |= lame_set_out_samplerate(lame, (int)config->sample_rate);
	bad |= lame_set_num_channels(lame, 1);
	bad |= lame_set_mode(lame, MONO);
	bad |= lame_set_VBR(lame, vbr_off);
	bad |= lame_set_brate(lame, (int)(config->bit_s / 1000));
	bad |= lame_set_quality(lame, MP3_QUALITY);
	bad |= lame_set_disable_reservoir(lame, 1);
	bad |= lame_set_bWriteVbrTag(lame, 0);
	/* At quality 7 it changes no bit of the output, but it would be the
	 * one thing in LAME that remembers seconds. */
	bad |= lame_set_athaa_type(lame, 0);
	lame_set_write_id3tag_automatic(lame, 0);
	if (bad || lame_init_params(lame) < 0) {
		lame_close(lame);
		return EINVAL;
	}
	*out = lame;
	return 0;
}

/* Take what LAME put out: whole frames, some of them to be dropped. */
static void put_raw(struct sound_mp3 *m, const uint8_t *raw, size_t len,
		    struct buf *out)
{
	assert(len % m->frame_len == 0);
	for (size_t at = 0; at < len; at += m->frame_len) {
		if (m->drop > 0) {
			m->drop--;
			continue;
		}
		buf_append(out, raw + at, m->frame_len);
		m->out += MP3_FRAME;
	}
}

/* Feed LAME up to MP3_FRAME frames. */
static int feed(struct sound_mp3 *m, const int16_t *pcm, uint32_t frames,
		struct buf *out)
{
	uint8_t raw[MP3_OUT_CAP];
	int len;

	assert(frames <= MP3_FRAME);
	len = lame_encode_buffer(m->lame, pcm, NULL, (int)frames, raw,
				 sizeof(raw));
	if (len < 0)
		return ENOMEM;
	put_raw(m, raw, (size_t)len, out);
	return 0;
}

static int feed_silence(struct sound_mp3 *m, uint32_t frames, struct buf *out)
{
	static const int16_t zeros[MP3_FRAME];

	m->silent += frames;
	return feed(m, zeros, frames, out);
}

/* Is LAME's state one that silence does not change any more? */
static bool is_drained(const struct sound_mp3 *m)
{
	return m->silent >= (uint64_t)MP3_DRAIN * MP3_FRAME &&
	       !m->encode_silence;
}

/* Learn the frame that silence becomes, from an encoder of its own. */
static int learn_silence(struct sound_mp3 *m,
			 const struct sound_mp3_config *config)
{
	struct sound_mp3 probe = {.drop = MP3_DRAIN, .frame_len = m->frame_len};
	struct buf out;
	int err;

	buf_init(&out, (size_t)MP3_SILENT_RUN * MP3_LEN_MAX);
	err = encoder_open(config, &probe.lame);
	for (int i = 0; !err && i < MP3_SILENT_RUN; i++)
		err = feed_silence(&probe, MP3_FRAME, &out);
	if (!err)
		err = buf_err(&out);
	if (!err) {
		assert(out.len >= m->frame_len);
		memcpy(m->silent_frame, out.data, m->frame_len);
	}
	lame_close(probe.lame);
	buf_fini(&out);
	return err;
}

/* MPEG-1 layer III; at 48 kHz each gives frames of whole bytes.
 * Source: ISO 11172-3 section 2.4.2.3, table of bit rates. */
static bool is_bit_rate(uint32_t bit_s)
{
	static const uint32_t rates[] = {32000,	 40000,	 48000,	 56000,	 64000,
					 80000,	 96000,	 112000, 128000, 160000,
					 192000, 224000, 256000, 320000};

	for (size_t i = 0; i < ARRAY_LEN(rates); i++)
		if (rates[i] == bit_s)
			return true;
	return false;
}

int sound_mp3_shape(const struct sound_mp3_config *config,
		    uint32_t *frame_frames, uint32_t *frame_len)
{
	if (config->sample_rate != SOUND_RATE || !is_bit_rate(config->bit_s))
		return EINVAL;
	*frame_frames = MP3_FRAME;
	*frame_len = config->bit_s / 8 * MP3_FRAME / SOUND_RATE;
	return 0;
}

int sound_mp3_new(const struct sound_mp3_config *config, struct sound_mp3 **out)
{
	uint32_t frame_frames, frame_len;
	struct sound_mp3 *m;
	int err = sound_mp3_shape(config, &frame_frames, &frame_len);

	if (err)
		return err;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return ENOMEM;
	m->frame_len = frame_len;
	m->drop = 1;
	m->encode_silence = config->encode_silence;
	err = learn_silence(m, config);
	if (!err)
		err = encoder_open(config, &m->lame);
	if (err) {
		mem_free(m);
		return err;
	}
	*out = m;
	return 0;
}

void sound_mp3_free(struct sound_mp3 *m)
{
	if (!m)
		return;
	lame_close(m->lame);
	mem_free(m);
}

static int write_silence(struct sound_mp3 *m, uint64_t frames, struct buf *out)
{
	int err = 0;

	m->in += frames;
	while (frames > 0 && !err) {
		const uint32_t n =
			frames < MP3_FRAME ? (uint32_t)frames : MP3_FRAME;

		if (n == MP3_FRAME && is_drained(m))
			put_raw(m, m->silent_frame, m->frame_len, out);
		else
			err = feed_silence(m, n, out);
		frames -= n;
	}
	return err;
}

static bool is_silent(const int16_t *pcm, uint32_t frames)
{
	for (uint32_t i = 0; i < frames; i++)
		if (pcm[i] != 0)
			return false;
	return true;
}

int sound_mp3_write(struct sound_mp3 *m, const int16_t *pcm, uint64_t frames,
		    struct buf *out)
{
	int err = 0;

	if (!pcm)
		err = write_silence(m, frames, out);
	while (pcm && frames > 0 && !err) {
		const uint32_t n =
			frames < MP3_FRAME ? (uint32_t)frames : MP3_FRAME;

		if (is_silent(pcm, n)) {
			err = write_silence(m, n, out);
		} else {
			m->in += n;
			m->silent = 0;
			err = feed(m, pcm, n, out);
		}
		pcm += n;
		frames -= n;
	}
	return err ? err : buf_err(out);
}

int sound_mp3_flush(struct sound_mp3 *m, struct buf *out)
{
	const uint64_t over = m->in % MP3_FRAME;
	uint32_t extra = 0;
	int err = 0;

	if (over > 0)
		err = write_silence(m, MP3_FRAME - over, out);
	for (; !err && m->out < m->in; extra++)
		err = feed_silence(m, MP3_FRAME, out);
	/* The raw frames of that extra silence are still inside. */
	m->drop += extra;
	return err ? err : buf_err(out);
}

uint64_t sound_mp3_frames_in(const struct sound_mp3 *m)
{
	return m->in;
}

uint64_t sound_mp3_frames_out(const struct sound_mp3 *m)
{
	return m->out;
}

const uint8_t *sound_mp3_silent_frame(const struct sound_mp3 *m)
{
	return m->silent_frame;
}
