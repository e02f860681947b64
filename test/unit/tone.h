/** test/unit/tone.h -- a tone as Opus packets, and how to know it again. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_TONE_H
#define TEST_UNIT_TONE_H

#include <assert.h>
#include <math.h>
#include <opus/opus.h>
#include <stddef.h>
#include <stdint.h>

/** An endless sine through libopus, 32 kbit/s. */
struct tone {
	OpusEncoder *opus;
	int channels;
	int frames; /* a packet, at 48 kHz: 120..5760 */
	double hz;
	int64_t at; /* frames so far; set it to leave something out */
};

static inline void tone_init(struct tone *t, int channels, int frames,
			     double hz)
{
	int err;

	*t = (struct tone){.channels = channels, .frames = frames, .hz = hz};
	t->opus = opus_encoder_create(48000, channels, OPUS_APPLICATION_AUDIO,
				      &err);
	assert(t->opus);
	err = opus_encoder_ctl(t->opus, OPUS_SET_BITRATE(32000));
	assert(err == OPUS_OK);
	(void)err;
}

static inline void tone_fini(struct tone *t)
{
	opus_encoder_destroy(t->opus);
}

/** The next packet; returns its length.  packet: room for 1275 bytes. */
static inline size_t tone_next(struct tone *t, uint8_t *packet)
{
	int16_t pcm[5760 * 2];
	opus_int32 len;

	for (int i = 0; i < t->frames; i++)
		for (int c = 0; c < t->channels; c++)
			pcm[i * t->channels + c] =
				(int16_t)(8000 *
					  sin(2 * M_PI * t->hz *
					      (double)(t->at + i) / 48000));
	t->at += t->frames;
	len = opus_encode(t->opus, pcm, t->frames, packet, 1275);
	assert(len > 0);
	return (size_t)len;
}

/** Root mean square. */
static inline double tone_power(const int16_t *pcm, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)pcm[i] * pcm[i];
	return n ? sqrt(sum / (double)n) : 0;
}

/** Pitch by zero crossings [Hz], rounded. */
static inline unsigned tone_hz(const int16_t *pcm, size_t n)
{
	unsigned crossings = 0;

	for (size_t i = 1; i < n; i++)
		crossings += pcm[i - 1] < 0 && pcm[i] >= 0;
	return (unsigned)((double)crossings * 48000 / (double)n + 0.5);
}

#endif
