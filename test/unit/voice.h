/** test/unit/voice.h -- something like speech as Opus packets of the SILK layer
 *  with in-band FEC. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_VOICE_H
#define TEST_UNIT_VOICE_H

#include <assert.h>
#include <math.h>
#include <opus/opus.h>
#include <stddef.h>
#include <stdint.h>

/** Endless syllables of changing pitch, 24 kbit/s, as for a network that loses
 *  every fifth packet. */
struct voice_source {
	OpusEncoder *opus;
	int channels;
	int frames; /* a packet, at 48 kHz */
	double phase;
	int64_t at; /* frames so far */
};

static inline void voice_init(struct voice_source *v, int channels, int frames)
{
	int err;

	*v = (struct voice_source){.channels = channels, .frames = frames};
	v->opus = opus_encoder_create(48000, channels, OPUS_APPLICATION_VOIP,
				      &err);
	assert(v->opus);
	err = opus_encoder_ctl(v->opus, OPUS_SET_BITRATE(24000)) |
	      opus_encoder_ctl(v->opus, OPUS_SET_MAX_BANDWIDTH(
						OPUS_BANDWIDTH_WIDEBAND)) |
	      opus_encoder_ctl(v->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)) |
	      opus_encoder_ctl(v->opus, OPUS_SET_FORCE_CHANNELS(channels)) |
	      opus_encoder_ctl(v->opus, OPUS_SET_INBAND_FEC(1)) |
	      opus_encoder_ctl(v->opus, OPUS_SET_PACKET_LOSS_PERC(20));
	assert(err == OPUS_OK);
	(void)err;
}

static inline void voice_fini(struct voice_source *v)
{
	opus_encoder_destroy(v->opus);
}

static inline double voice_sample(struct voice_source *v)
{
	const double s = (double)v->at++ / 48000;
	const double hz = 160 + 60 * sin(2 * M_PI * 2.3 * s);
	const double loud = 0.55 + 0.45 * sin(2 * M_PI * 4.1 * s);
	double sum = 0;

	v->phase += 2 * M_PI * hz / 48000;
	for (int k = 1; k <= 12; k++)
		sum += sin(k * v->phase) / k;
	return 5000 * loud * sum;
}

/** The next packet; returns its length.  packet: room for 1275 bytes. */
static inline size_t voice_next(struct voice_source *v, uint8_t *packet)
{
	int16_t pcm[2880 * 2];
	opus_int32 len;

	for (int i = 0; i < v->frames; i++) {
		const int16_t x = (int16_t)voice_sample(v);

		for (int c = 0; c < v->channels; c++)
			pcm[i * v->channels + c] = x;
	}
	len = opus_encode(v->opus, pcm, v->frames, packet, 1275);
	assert(len > 0);
	return (size_t)len;
}

#endif
