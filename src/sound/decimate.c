/**
 * sound/decimate.c -- 48 kHz to 24 or 16 kHz.
 *
 * WHAT  A linear-phase FIR (windowed sinc, Kaiser), computed only where a
 *       sample comes out.
 * WHY   LAME can resample, but costs more and decides itself what it cuts.
 * DESIGN
 *   Taps and samples are 16 bits, the sum is 32: compilers make one
 *   multiply-add of 8 or 16 pairs of that (pmaddwd), and integers give the
 *   same sum in any order, so blocks of any size give the same bytes.
 *   Taps in Q14: their sizes add up to 2.2, so no sum overflows.  Rounding
 *   them is what limits the stop band, to 63 dB.
 *   The last tap is 0: an odd filter, whose delay is whole frames.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/decimate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
	TAPS_PER_RATIO = 64,
	TAP_BITS = 14,
	ONE = 1 << TAP_BITS, /* 1.0 of a tap */
	SPAN = 64,	     /* taps a loop whose length the compiler knows */
	BESSEL_TERMS = 30
};

/* Beta of the Kaiser window, for 66 dB; where the pass band ends (-6 dB), as a
 * part of the new Nyquist frequency. */
static const double kaiser_beta = 6.4;
static const double cut_off = 0.97;

/* Modified Bessel function of the first kind, order 0. */
static double bessel_i0(double x)
{
	double sum = 1, term = 1;

	for (int k = 1; k < BESSEL_TERMS; k++) {
		term *= x / (2 * k);
		sum += term * term;
	}
	return sum;
}

void decimator_init(struct decimator *d, uint32_t ratio)
{
	const double width = cut_off / ratio;
	double taps[DECIMATE_TAPS_MAX] = {0}, sum = 0;
	int32_t total = 0;
	int half;

	assert(ratio >= 2 && ratio <= DECIMATE_RATIO_MAX);
	memset(d, 0, sizeof(*d));
	d->ratio = ratio;
	d->n_taps = TAPS_PER_RATIO * ratio;
	half = (int)d->n_taps / 2 - 1;
	for (int i = -half; i <= half; i++) {
		const double x = M_PI * i;
		const double at = (double)i / (half + 1);
		const double sinc = i ? sin(x * width) / x : width;

		taps[i + half] =
			sinc * bessel_i0(kaiser_beta * sqrt(1 - at * at));
		sum += taps[i + half];
	}
	for (int i = 0; i <= 2 * half; i++) {
		d->taps[i] = (int16_t)lrint(taps[i] / sum * ONE);
		total += d->taps[i];
	}
	d->taps[half] = (int16_t)(d->taps[half] + ONE - total);
	d->n = d->n_taps - 1; /* silence went before */
}

static int16_t filter(const struct decimator *d, const int16_t *x)
{
	int32_t sum = ONE / 2;

	for (uint32_t at = 0; at < d->n_taps; at += SPAN) {
		const int16_t *a = d->taps + at, *b = x + at;
		int32_t part = 0;

		for (int i = 0; i < SPAN; i++)
			part += a[i] * b[i];
		sum += part;
	}
	sum >>= TAP_BITS;
	if (sum > INT16_MAX)
		return INT16_MAX;
	return sum < INT16_MIN ? INT16_MIN : (int16_t)sum;
}

uint32_t decimate(struct decimator *d, const int16_t *pcm, uint32_t n,
		  int16_t *out)
{
	uint32_t at = 0, n_out = 0;

	assert(n <= DECIMATE_BLOCK_MAX);
	memcpy(d->past + d->n, pcm, n * sizeof(*pcm));
	d->n += n;
	for (; at + d->n_taps - 1 + d->ratio <= d->n; at += d->ratio)
		out[n_out++] = filter(d, d->past + at + d->ratio - 1);
	d->n -= at;
	memmove(d->past, d->past + at, d->n * sizeof(*d->past));
	return n_out;
}
