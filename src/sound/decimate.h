/** sound/decimate.h -- 48 kHz to 24 or 16 kHz; private to sound/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOUND_DECIMATE_H
#define SOUND_DECIMATE_H

#include <stdint.h>

enum {
	DECIMATE_TAPS_MAX = 192,
	DECIMATE_RATIO_MAX = 3,
	DECIMATE_BLOCK_MAX = 1728 /* input frames a call */
};

/**
 * A low pass and every second or third of its samples.  What goes in between
 * two calls does not matter: the output is the same for any blocks.
 * It is flat (0.1 dB) up to 0.9 of the new Nyquist frequency, and 60 dB down
 * from 1.05 of it on.  Sound comes out late by 63 (2:1) or 94 (3:1) input
 * frames.
 */
struct decimator {
	uint32_t ratio; /* 2 or 3 */
	uint32_t n_taps;
	uint32_t n; /* samples in `past` */
	int16_t taps[DECIMATE_TAPS_MAX];
	int16_t past[DECIMATE_TAPS_MAX + DECIMATE_RATIO_MAX +
		     DECIMATE_BLOCK_MAX];
};

void decimator_init(struct decimator *d, uint32_t ratio);

/**
 * Take `n` input frames, up to DECIMATE_BLOCK_MAX.
 *
 * out   room for n / ratio + 1
 *
 * Returns how many it put there: one a `ratio` input frames, rounded down
 * over all calls.
 */
uint32_t decimate(struct decimator *d, const int16_t *pcm, uint32_t n,
		  int16_t *out);

#endif
