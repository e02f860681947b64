/** test/fuzz/source_fuzz.c -- files given to publish: Ogg Opus and WAV. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Packets read at most: a WAV of zeros is fast to make and slow to encode. */
enum { PACKETS_MAX = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int16_t pcm[SOUND_PACKET_MAX];
	struct sound_decoder *d = NULL;
	struct sound_source *s;
	uint32_t frames, got;
	const uint8_t *packet;
	size_t n;

	if (sound_source_new(data, len, &s) != 0)
		return 0;
	assert(sound_source_frames(s) <= len * 5760);
	if (sound_decoder_new(&d) == 0) {
		for (int i = 0; i < PACKETS_MAX; i++) {
			if (sound_source_next(s, &packet, &n, &frames) != 0 ||
			    n == 0)
				break;
			assert(frames == sound_packet_frames(packet, n));
			if (sound_decode(d, packet, n, pcm, &got) == 0)
				assert(got == frames);
		}
	}
	sound_decoder_free(d);
	sound_source_free(s);
	return 0;
}
