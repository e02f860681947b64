/**
 * sound/mp3.c -- PCM to MP3 frames that can be cut anywhere.
 *
 * WHAT  libmp3lame, and around it the counting of frames and a shortcut for
 *       silence.
 * WHY   Silence is most of what a room records, and LAME charges full price
 *       for it (recording.md section 3.3: 41 us a frame).
 * DESIGN
 *   Frames (of sound) are at 48 kHz, samples are at LAME's rate: sound for 24
 *   and 16 kHz goes through a decimator first.
 *
 *   LAME's raw frames and ours: the decoded sound is 1105 samples late
 *   (encoder 576, decoder 529), so as many raw frames are dropped as make
 *   1152 samples: one, or two of MPEG-2.  Frame k of ours then holds the sound
 *   47 samples early, 1 ms at 48 kHz.  At 24 and 16 kHz the decimator's delay
 *   makes up for most of that: 0.6 and 1 ms early.
 *   A raw frame comes out when 1376 samples behind its beginning have gone in
 *   (800 of MPEG-2).
 *
 *   Silence: with the bit reservoir off and ATH adaption off LAME remembers
 *   nothing older than its window (about 2200 samples) that silence could
 *   change, so once MP3_DRAIN samples of silence have gone in, its output is
 *   the constant silent frame and its state stands still.  So is the
 *   decimator's, whose past is all zeros then.  From there each further MP3
 *   frame of silence is the cached one and LAME is not asked.  The place
 *   inside a frame does not change, so what follows comes out as if LAME had
 *   been fed.  Less silence than that and the look-ahead would play the end of
 *   the speech after the gap.
 *
 *   Flush: pad to a frame, feed whole frames of silence until ours have all
 *   come out, and drop as many raw frames later: the stream is then as
 *   if it began anew, only with a warm encoder.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <lame/lame.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "sound/decimate.h"

enum {
	MP3_MPEG1 = 1152,      /* samples in a frame of MPEG-1 layer III */
	MP3_MPEG2 = 576,       /* and of MPEG-2 */
	MP3_FRAMES_MAX = 1728, /* 576 samples at 16 kHz, in frames of sound */
	MP3_DELAY = 1152,      /* samples to drop at the head */
	MP3_LEN_MAX = 960,     /* bytes of a frame: 320 kbit/s at 48 kHz */
	MP3_DRAIN = 4608,      /* samples; half would do, see the file head */
	MP3_OUT_CAP = 8192,    /* LAME wants 7200 + 1.25 * samples */
	MP3_SILENT_RUN = 32,   /* frames encoded to learn the silent one */
	MP3_QUALITY = 7
};

struct sound_mp3 {
	lame_t lame;
	struct decimator *decimator; /* NULL at 48 kHz */
	uint32_t frame_frames;	     /* frames of sound in an MP3 frame */
	uint32_t frame_len;	     /* bytes of one */
	uint32_t drain;	 /* frames of silence that leave nothing in LAME */
	uint32_t drop;	 /* raw frames that LAME still owes in vain */
	uint64_t in;	 /* frames of sound taken */
	uint64_t out;	 /* frames of sound that the output covers */
	uint64_t silent; /* frames of silence last fed to LAME in a row */
	bool encode_silence;
	uint8_t silent_frame[MP3_LEN_MAX];
};

/* A LAME encoder set up the one way that all of them are. */
static int open_lame(const struct sound_mp3_config *config, lame_t *out)
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
		m->out += m->frame_frames;
	}
}

/* Feed LAME up to MP3_FRAMES_MAX frames. */
static int feed(struct sound_mp3 *m, const int16_t *pcm, uint32_t frames,
		struct buf *out)
{
	int16_t low[MP3_FRAMES_MAX / 2 + 1];
	uint8_t raw[MP3_OUT_CAP];
	int len;

	assert(frames <= MP3_FRAMES_MAX);
	if (m->decimator) {
		frames = decimate(m->decimator, pcm, frames, low);
		pcm = low;
	}
	len = lame_encode_buffer(m->lame, pcm, NULL, (int)frames, raw,
				 sizeof(raw));
	if (len < 0)
		return ENOMEM;
	put_raw(m, raw, (size_t)len, out);
	return 0;
}

static int feed_silence(struct sound_mp3 *m, uint32_t frames, struct buf *out)
{
	static const int16_t zeros[MP3_FRAMES_MAX];

	m->silent += frames;
	return feed(m, zeros, frames, out);
}

/* Is LAME's state one that silence does not change any more? */
static bool is_drained(const struct sound_mp3 *m)
{
	return m->silent >= m->drain && !m->encode_silence;
}

/* Everything but the silent frame. */
static int open_encoder(struct sound_mp3 *m,
			const struct sound_mp3_config *config)
{
	const uint32_t ratio = SOUND_RATE / config->sample_rate;
	int err = sound_mp3_shape(config, &m->frame_frames, &m->frame_len);

	if (err)
		return err;
	m->drain = MP3_DRAIN * ratio;
	m->drop = MP3_DELAY * ratio / m->frame_frames;
	m->encode_silence = config->encode_silence;
	if (ratio > 1) {
		m->decimator = mem_zalloc(sizeof(*m->decimator));
		if (!m->decimator)
			return ENOMEM;
		decimator_init(m->decimator, ratio);
	}
	return open_lame(config, &m->lame);
}

static void close_encoder(struct sound_mp3 *m)
{
	lame_close(m->lame);
	mem_free(m->decimator);
}

/*
 * Silent frames that were learned: constants, which cost 30 frames to find out,
 * so each is found out once.  A slot is written by whoever took it from FREE,
 * and read by all once it is READY; two who learn the same at the same time
 * take two slots, or none.
 */
enum { FREE, TAKEN, READY, LEARNED_MAX = 8 };

static struct learned {
	_Atomic int state;
	uint32_t sample_rate, bit_s;
	uint8_t frame[MP3_LEN_MAX];
} learned[LEARNED_MAX];

static bool recall_silence(struct sound_mp3 *m,
			   const struct sound_mp3_config *config)
{
	for (unsigned i = 0; i < LEARNED_MAX; i++) {
		struct learned *l = &learned[i];

		if (atomic_load_explicit(&l->state, memory_order_acquire) !=
			    READY ||
		    l->sample_rate != config->sample_rate ||
		    l->bit_s != config->bit_s)
			continue;
		memcpy(m->silent_frame, l->frame, m->frame_len);
		return true;
	}
	return false;
}

static void note_silence(const struct sound_mp3 *m,
			 const struct sound_mp3_config *config)
{
	for (unsigned i = 0; i < LEARNED_MAX; i++) {
		struct learned *l = &learned[i];
		int expected = FREE;

		if (!atomic_compare_exchange_strong(&l->state, &expected,
						    TAKEN))
			continue;
		l->sample_rate = config->sample_rate;
		l->bit_s = config->bit_s;
		memcpy(l->frame, m->silent_frame, m->frame_len);
		atomic_store_explicit(&l->state, READY, memory_order_release);
		return;
	}
}

/* Learn the frame that silence becomes, from an encoder of its own. */
static int learn_silence(struct sound_mp3 *m,
			 const struct sound_mp3_config *config)
{
	struct sound_mp3 probe = {0};
	struct buf out;
	int err;

	buf_init(&out, (size_t)MP3_SILENT_RUN * MP3_LEN_MAX);
	err = open_encoder(&probe, config);
	for (int i = 0; !err && i < MP3_SILENT_RUN; i++)
		err = feed_silence(&probe, probe.frame_frames, &out);
	if (!err)
		err = buf_err(&out);
	if (!err) {
		assert(out.len >= m->frame_len);
		memcpy(m->silent_frame, out.data + out.len - m->frame_len,
		       m->frame_len);
	}
	close_encoder(&probe);
	buf_fini(&out);
	return err;
}

/* Is there such a bit rate?  At 48, 24 and 16 kHz each gives frames of whole
 * bytes.  Source: ISO 11172-3 section 2.4.2.3, ISO 13818-3 section 2.4.2.3. */
static bool is_bit_rate(uint32_t bit_s, uint32_t samples)
{
	static const uint16_t rates[][14] = {
		{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	};
	const uint16_t *row = rates[samples == MP3_MPEG2];

	for (size_t i = 0; i < ARRAY_LEN(rates[0]); i++)
		if (row[i] * 1000U == bit_s)
			return true;
	return false;
}

int sound_mp3_shape(const struct sound_mp3_config *config,
		    uint32_t *frame_frames, uint32_t *frame_len)
{
	const uint32_t rate = config->sample_rate;
	const uint32_t samples = rate == SOUND_RATE ? MP3_MPEG1 : MP3_MPEG2;

	if (rate != SOUND_RATE && rate != SOUND_RATE / 2 &&
	    rate != SOUND_RATE / 3)
		return EINVAL;
	if (!is_bit_rate(config->bit_s, samples))
		return EINVAL;
	*frame_frames = samples * (SOUND_RATE / rate);
	*frame_len = config->bit_s / 8 * samples / rate;
	return 0;
}

int sound_mp3_new(const struct sound_mp3_config *config, struct sound_mp3 **out)
{
	struct sound_mp3 *m = mem_zalloc(sizeof(*m));
	int err;

	if (!m)
		return ENOMEM;
	err = open_encoder(m, config);
	if (!err && !recall_silence(m, config)) {
		err = learn_silence(m, config);
		if (!err)
			note_silence(m, config);
	}
	if (err)
		sound_mp3_free(m);
	else
		*out = m;
	return err;
}

void sound_mp3_free(struct sound_mp3 *m)
{
	if (!m)
		return;
	close_encoder(m);
	mem_free(m);
}

/* So many of `frames` as are encoded at once. */
static uint32_t one_frame(const struct sound_mp3 *m, uint64_t frames)
{
	return frames < m->frame_frames ? (uint32_t)frames : m->frame_frames;
}

static int write_silence(struct sound_mp3 *m, uint64_t frames, struct buf *out)
{
	int err = 0;

	m->in += frames;
	while (frames > 0 && !err) {
		const uint32_t n = one_frame(m, frames);

		if (n == m->frame_frames && is_drained(m))
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
		const uint32_t n = one_frame(m, frames);

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
	const uint64_t over = m->in % m->frame_frames;
	uint32_t extra = 0;
	int err = 0;

	if (over > 0)
		err = write_silence(m, m->frame_frames - over, out);
	for (; !err && m->out < m->in; extra++)
		err = feed_silence(m, m->frame_frames, out);
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
