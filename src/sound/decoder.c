/** sound/decoder.c -- Opus packets to mono PCM with libopus. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <opus/opus.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

/* Frames in one packet at most: 120 ms of 2.5 ms frames. */
enum { OPUS_FRAMES_MAX = 48 };

enum {
	CELT_ONLY = 16,	      /* first configuration without a SILK layer */
	SILK_FRAME_MAX = 960, /* frames; a longer Opus frame has several */
	STEREO = 4	      /* in the table of contents */
};

struct sound_decoder {
	bool was_silk;	   /* the last packet had a SILK layer */
	OpusDecoder *opus; /* in the same allocation, behind this struct */
};

/* Room for the struct that keeps what follows aligned for any type. */
static size_t head_len(void)
{
	const size_t align = _Alignof(max_align_t);

	return (sizeof(struct sound_decoder) + align - 1) / align * align;
}

int sound_decoder_new(struct sound_decoder **out)
{
	const int state_len = opus_decoder_get_size(1);
	struct sound_decoder *d;

	assert(state_len > 0);
	d = mem_zalloc(head_len() + (size_t)state_len);
	if (!d)
		return ENOMEM;
	d->opus = (OpusDecoder *)(void *)((char *)d + head_len());
	if (opus_decoder_init(d->opus, SOUND_RATE, 1) != OPUS_OK) {
		mem_free(d);
		return ENOMEM;
	}
	*out = d;
	return 0;
}

void sound_decoder_free(struct sound_decoder *d)
{
	mem_free(d);
}

void sound_decoder_reset(struct sound_decoder *d)
{
	const int err = opus_decoder_ctl(d->opus, OPUS_RESET_STATE);

	assert(err == OPUS_OK);
	(void)err;
	d->was_silk = false;
}

static bool has_silk(const void *packet)
{
	return *(const uint8_t *)packet >> 3 < CELT_ONLY;
}

uint32_t sound_packet_frames(const void *packet, size_t len)
{
	const unsigned char *frames[OPUS_FRAMES_MAX];
	opus_int16 sizes[OPUS_FRAMES_MAX];
	unsigned char toc;
	int64_t total;
	int n;

	if (len == 0 || len > SOUND_OPUS_MAX)
		return 0;
	/* Checks every length inside the packet, RFC 6716 section 3.4. */
	n = opus_packet_parse(packet, (opus_int32)len, &toc, frames, sizes,
			      NULL);
	if (n <= 0)
		return 0;
	total = (int64_t)n *
		opus_packet_get_samples_per_frame(packet, SOUND_RATE);
	return total > SOUND_PACKET_MAX ? 0 : (uint32_t)total;
}

int sound_decode(struct sound_decoder *d, const void *packet, size_t len,
		 int16_t *pcm, uint32_t *frames)
{
	int n;

	if (sound_packet_frames(packet, len) == 0)
		return EBADMSG;
	n = opus_decode(d->opus, packet, (opus_int32)len, pcm, SOUND_PACKET_MAX,
			0);
	if (n <= 0)
		return EBADMSG;
	d->was_silk = has_silk(packet);
	*frames = (uint32_t)n;
	return 0;
}

/* The header bits of the SILK layer, most significant first: for each channel
 * a voice activity flag per SILK frame, then the redundancy flag. */
static bool has_lbrr(uint8_t toc, uint8_t bits, int silk_frames)
{
	const int first = silk_frames;
	const int second = 2 * silk_frames + 1;

	return bits >> (7 - first) & 1 ||
	       (toc & STEREO && bits >> (7 - second) & 1);
}

uint32_t sound_fec_frames(const struct sound_decoder *d, const void *packet,
			  size_t len)
{
	const unsigned char *frames[OPUS_FRAMES_MAX];
	opus_int16 sizes[OPUS_FRAMES_MAX];
	unsigned char toc;
	int n, length;

	/* Behind CELT libopus makes the sound up, whatever the packet has. */
	if (!d->was_silk || len == 0 || len > SOUND_OPUS_MAX ||
	    !has_silk(packet))
		return 0;
	n = opus_packet_parse(packet, (opus_int32)len, &toc, frames, sizes,
			      NULL);
	if (n <= 0 || sizes[0] == 0)
		return 0;
	length = opus_packet_get_samples_per_frame(packet, SOUND_RATE);
	if (!has_lbrr(toc, frames[0][0],
		      length > SILK_FRAME_MAX ? length / SILK_FRAME_MAX : 1))
		return 0;
	return (uint32_t)length;
}

int sound_decode_fec(struct sound_decoder *d, const void *packet, size_t len,
		     uint32_t frames, int16_t *pcm)
{
	int n;

	assert(frames > 0 && frames == sound_fec_frames(d, packet, len));
	n = opus_decode(d->opus, packet, (opus_int32)len, pcm, (int)frames, 1);
	return n == (int)frames ? 0 : EBADMSG;
}

int sound_conceal(struct sound_decoder *d, uint32_t frames, int16_t *pcm)
{
	int n;

	assert(frames > 0 && frames <= SOUND_PACKET_MAX && frames % 120 == 0);
	n = opus_decode(d->opus, NULL, 0, pcm, (int)frames, 0);
	return n == (int)frames ? 0 : EBADMSG;
}
