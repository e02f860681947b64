/** sound/peaks.c -- the loudest of each stretch of a sound. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <stdlib.h>

#define BUCKET_FRAMES_MAX (UINT32_C(1) << 31)

void sound_peaks_init(struct sound_peaks *p)
{
	*p = (struct sound_peaks){.bucket_frames = SOUND_PEAK_FRAMES};
}

uint8_t sound_peak_level(const int16_t *pcm, uint64_t frames)
{
	int peak = 0;

	for (uint64_t i = 0; i < frames; i++) {
		const int level = abs(pcm[i]);

		peak = level > peak ? level : peak;
	}
	return (uint8_t)((peak * UINT8_MAX + INT16_MAX) / (INT16_MAX + 1));
}

/** All are full: of two make one. */
static void halve(struct sound_peaks *p)
{
	for (unsigned i = 0; i < SOUND_PEAKS_MAX / 2; i++) {
		const uint8_t a = p->at[2 * i];
		const uint8_t b = p->at[2 * i + 1];

		p->at[i] = a > b ? a : b;
	}
	p->n = SOUND_PEAKS_MAX / 2;
	p->bucket_frames *= 2;
	p->filled = p->bucket_frames;
}

void sound_peaks_add(struct sound_peaks *p, uint8_t level, uint64_t frames)
{
	while (frames) {
		uint64_t n;

		if (!p->n || p->filled == p->bucket_frames) {
			if (p->n == SOUND_PEAKS_MAX &&
			    p->bucket_frames > BUCKET_FRAMES_MAX / 2)
				return; /* after a year: enough was seen */
			if (p->n == SOUND_PEAKS_MAX)
				halve(p);
			p->at[p->n++] = 0;
			p->filled = 0;
		}
		n = p->bucket_frames - p->filled;
		n = n < frames ? n : frames;
		if (level > p->at[p->n - 1])
			p->at[p->n - 1] = level;
		p->filled += (uint32_t)n;
		frames -= n;
	}
}

void sound_peaks_add_pcm(struct sound_peaks *p, const int16_t *pcm,
			 uint64_t frames)
{
	if (!pcm)
		sound_peaks_add(p, 0, frames);
	for (uint64_t at = 0; pcm && at < frames;) {
		const bool is_new = !p->n || p->filled == p->bucket_frames;
		uint64_t n = p->bucket_frames - (is_new ? 0 : p->filled);

		/* no more than a bucket at once: one loud sample would show in
		 * two */
		n = n < frames - at ? n : frames - at;
		sound_peaks_add(p, sound_peak_level(pcm + at, n), n);
		at += n;
	}
}
