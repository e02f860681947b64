/**
 * sound/opus.c -- PCM to Opus packets with libopus.
 *
 * Silence: once SILENT_RUN frames of zeros have gone in, the encoder's past is
 * all zeros and CELT gives its packet of silence, three bytes.  From the second
 * time in a row on it is the cached one and the encoder is not asked: neither
 * its state nor the decoder's changes by silence.  A mode that gives something
 * else for zeros (SILK, at low rates) is asked each time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <opus/opus.h>
#include <string.h>

#include "base/mem.h"

enum {
	COMPLEXITY = 5,
	SILENT_RUN = 10,  /* packets: 200 ms */
	SILENT_LEN = 3,	  /* bytes of a packet of silence */
	CELT = 0x80,	  /* in a packet's first byte */
	PACKET_MAX = 1275 /* bytes: one frame */
};

struct sound_opus {
	OpusEncoder *opus;
	uint32_t silent; /* packets of zeros in a row */
	uint32_t same;	 /* of them: CELT's silence, each as the one before */
	size_t len;
	uint8_t packet[PACKET_MAX];
};

static int set_up(struct sound_opus *o, uint32_t bit_s)
{
	int bad = opus_encoder_init(o->opus, SOUND_RATE, 1,
				    OPUS_APPLICATION_AUDIO);

	if (bad != OPUS_OK)
		return ENOMEM;
	bad |= opus_encoder_ctl(o->opus, OPUS_SET_BITRATE((opus_int32)bit_s));
	bad |= opus_encoder_ctl(o->opus, OPUS_SET_COMPLEXITY(COMPLEXITY));
	bad |= opus_encoder_ctl(o->opus, OPUS_SET_DTX(0));
	return bad == OPUS_OK ? 0 : EINVAL;
}

int sound_opus_new(uint32_t bit_s, struct sound_opus **out)
{
	struct sound_opus *o = mem_zalloc(sizeof(*o));
	int err = ENOMEM;

	if (!o)
		return ENOMEM;
	o->opus = mem_zalloc((size_t)opus_encoder_get_size(1));
	if (o->opus)
		err = set_up(o, bit_s);
	if (err)
		sound_opus_free(o);
	else
		*out = o;
	return err;
}

void sound_opus_free(struct sound_opus *o)
{
	if (!o)
		return;
	mem_free(o->opus);
	mem_free(o);
}

void sound_opus_reset(struct sound_opus *o)
{
	const int err = opus_encoder_ctl(o->opus, OPUS_RESET_STATE);

	assert(err == OPUS_OK);
	(void)err;
	o->silent = o->same = 0;
}

uint32_t sound_opus_delay(const struct sound_opus *o)
{
	opus_int32 n = 0;
	const int err = opus_encoder_ctl(o->opus, OPUS_GET_LOOKAHEAD(&n));

	assert(err == OPUS_OK && n >= 0);
	(void)err;
	return (uint32_t)n;
}

static bool is_silent(const int16_t *pcm)
{
	for (int i = 0; i < SOUND_OPUS_FRAME; i++)
		if (pcm[i] != 0)
			return false;
	return true;
}

/* Zeros went in: is what came out the packet that more of them become? */
static void note_silence(struct sound_opus *o, const uint8_t *before,
			 size_t before_len)
{
	o->silent++;
	if (o->silent >= SILENT_RUN && o->len == SILENT_LEN &&
	    before_len == SILENT_LEN && (o->packet[0] & CELT) &&
	    memcmp(o->packet, before, SILENT_LEN) == 0)
		o->same++;
	else
		o->same = 0;
}

const uint8_t *sound_opus_encode(struct sound_opus *o, const int16_t *pcm,
				 size_t *len)
{
	uint8_t before[SILENT_LEN];
	const size_t before_len = o->len;
	const bool silent = is_silent(pcm);
	opus_int32 n;

	if (!silent || o->same == 0) {
		memcpy(before, o->packet, sizeof(before));
		n = opus_encode(o->opus, pcm, SOUND_OPUS_FRAME, o->packet,
				sizeof(o->packet));
		assert(n > 0); /* every argument is ours */
		o->len = (size_t)n;
		if (silent)
			note_silence(o, before, before_len);
		else
			o->silent = o->same = 0;
	}
	*len = o->len;
	return o->packet;
}
