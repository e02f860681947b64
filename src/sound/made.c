/**
 * sound/made.c -- Opus packets that nobody encoded: silence, and losses.
 *
 * A packet of one frame is a byte that tells its kind and then the frame.  A
 * frame of CELT that begins with the bits of FF FE is silence; one of no bytes
 * is lost.  Source: RFC 6716 sections 3.1, 3.2 and 4.3 (silence flag).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <opus/opus.h>

/* Configurations, the upper five bits of a packet's first byte. */
enum {
	HYBRID = 12, /* of SILK there are 0..11: NB, MB, WB by four */
	CELT = 16,   /* NB, WB, SWB, FB by four: 2.5, 5, 10 and 20 ms */
	CELT_WB = 20,
	CELT_SWB = 24,
	CELT_FB = 28,
	SILK_KINDS = 4, /* 10, 20, 40 and 60 ms */
	HYBRID_KINDS = 2,
	CELT_KINDS = 4,
	STEREO = 4,
	TEN_MS = 4 * SOUND_STEP,
	CODE_3 = 3 /* any number of frames, told by a second byte */
};

/* The longest of `n` frame lengths, each twice the one before, that is not
 * over `frames`; -1: all are longer. */
static int longest(uint32_t shortest, int n, uint64_t frames)
{
	int i = n - 1;

	while (i >= 0 && (uint64_t)shortest << i > frames)
		i--;
	return i;
}

static struct sound_made make(uint8_t config, bool stereo, uint32_t frames)
{
	return (struct sound_made){
		.data = {(uint8_t)(config << 3 | (stereo ? STEREO : 0))},
		.len = 1,
		.frames = (uint16_t)frames};
}

static struct sound_made make_celt(uint8_t first, bool stereo, uint64_t frames)
{
	const int i = longest(SOUND_STEP, CELT_KINDS, frames);

	assert(i >= 0);
	return make((uint8_t)(first + i), stereo, (uint32_t)SOUND_STEP << i);
}

struct sound_made sound_make_silence(uint64_t frames, bool stereo)
{
	struct sound_made m = make_celt(CELT_FB, stereo, frames);

	m.data[1] = 0xff;
	m.data[2] = 0xfe;
	m.len = 3;
	return m;
}

/* The CELT configurations of a configuration's bandwidth.  CELT has no medium
 * band: the next wider. */
static uint8_t celt_of(uint8_t config)
{
	if (config >= CELT)
		return config & ~3;
	if (config >= HYBRID)
		return config < HYBRID + HYBRID_KINDS ? CELT_SWB : CELT_FB;
	return config < SILK_KINDS ? CELT : CELT_WB;
}

struct sound_made sound_make_loss(uint64_t frames, uint8_t toc)
{
	const uint8_t config = toc >> 3;
	const bool stereo = toc & STEREO;
	const uint32_t one =
		(uint32_t)opus_packet_get_samples_per_frame(&toc, SOUND_RATE);

	assert(frames >= SOUND_STEP);
	if (one <= frames)
		return make(config, stereo, one);
	/* 60 ms are no power of two of 10 ms; all that is shorter is. */
	if (config < CELT && frames >= TEN_MS) {
		const int n = config < HYBRID ? SILK_KINDS - 1 : HYBRID_KINDS;
		const uint8_t first =
			config < HYBRID ? config & ~3 : config & ~1;
		const int i = longest(TEN_MS, n, frames);

		return make((uint8_t)(first + i), stereo, TEN_MS << i);
	}
	return make_celt(celt_of(config), stereo, frames);
}

struct sound_made sound_make_shortest(uint8_t toc)
{
	const uint8_t config = toc >> 3;
	const bool stereo = toc & STEREO;

	if (config >= CELT)
		return make(config & ~3, stereo, SOUND_STEP);
	return make(config < HYBRID ? config & ~3 : config & ~1, stereo,
		    TEN_MS);
}

struct sound_made sound_make_lost(const uint8_t *packet, size_t len)
{
	struct sound_made m = {
		.data = {packet[0]},
		.len = 1,
		.frames = (uint16_t)sound_packet_frames(packet, len)};
	const int n = opus_packet_get_nb_frames(packet, (opus_int32)len);

	assert(n > 0);
	if (n > 1) {
		m.data[0] |= CODE_3;
		m.data[1] = (uint8_t)n;
		m.len = 2;
	} else {
		m.data[0] &= ~CODE_3;
	}
	return m;
}
