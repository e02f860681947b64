/**
 * sound/stretch.c -- a little longer or shorter: the drift of two clocks.
 *
 * WHAT  A cubic (Catmull-Rom) through four neighbours, read at a step that is
 *       nearly one.
 * WHY   Two clocks differ by up to some 500 ppm.  A sample left out now and then
 *       clicks; a step of 1.0005 does not, and its pitch is a hundredth of what
 *       anybody hears.
 * DESIGN
 *   The place is kept as 32.32 fixed point, from the first sample of the call,
 *   so nothing is rounded away in an hour.  A sample needs one before it and
 *   two behind it, so the end of a call waits for the next: three samples are
 *   kept.  When the rate is 0 the place is brought to a whole sample by the
 *   smallest rate, and from then on sound goes through untouched.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <string.h>

enum {
	KEPT = SOUND_STRETCH_KEPT, /* samples of the call before */
	HOME_PPM = 40,		   /* back to a whole sample */
	BLOCK = 32,		   /* samples at once */
	OVER = 65536		   /* more than a cubic goes below 0 */
};

static const int64_t ONE = 1LL << 32;

void sound_stretch_begin(struct sound_stretch *s)
{
	*s = (struct sound_stretch){0};
}

/* Remember the end of `frames` of sound. */
static void keep(struct sound_stretch *s, const int16_t *pcm, uint32_t frames)
{
	int16_t *kept = s->kept;

	if (frames >= KEPT) {
		memcpy(kept, pcm + frames - KEPT, sizeof(s->kept));
		return;
	}
	memmove(kept, kept + frames, (KEPT - frames) * sizeof(*kept));
	memcpy(kept + KEPT - frames, pcm, frames * sizeof(*kept));
}

/* Between b and c, `t` of 1; rounded. */
static inline int32_t cubic(float a, float b, float c, float d, float t)
{
	const float y = b + 0.5F * t *
				    (c - a +
				     t * (2 * a - 5 * b + 4 * c - d +
					  t * (3 * (b - c) + d - a)));

	/* over 0, as that rounds without asking for the sign */
	return (int32_t)(y + OVER + 0.5F) - OVER;
}

static inline int16_t clip(int32_t y)
{
	y = y < INT16_MIN ? INT16_MIN : y;
	return (int16_t)(y > INT16_MAX ? INT16_MAX : y);
}

/* The part of a place that is between samples. */
static int64_t part_of(int64_t at)
{
	return at & (ONE - 1);
}

static float fraction(int64_t part)
{
	return (float)part * (1.0F / 4294967296.0F);
}

/* BLOCK samples, each from the neighbours of the next; x: BLOCK + 4.
 * Loops of one thing each, which gcc -O2 makes vectors of. */
static void read_block(const int16_t *restrict x, float t, float bend,
		       int16_t *restrict out)
{
	float f[BLOCK + 4];
	int32_t y[BLOCK];

	for (int i = 0; i < BLOCK + 4; i++)
		f[i] = x[i];
	for (int i = 0; i < BLOCK; i++)
		y[i] = cubic(f[i], f[i + 1], f[i + 2], f[i + 3],
			     t + (float)i * bend);
	for (int i = 0; i < BLOCK; i++)
		out[i] = clip(y[i]);
}

/* Read from `at` on, before `end`; returns how many samples that were.
 * x   its first sample is the one before place 0; the last one that of place
 *     end + 1 */
static uint32_t read_on(const int16_t *x, int64_t *at, int64_t end,
			int64_t step, int16_t *out)
{
	const int64_t bend = step - ONE;
	uint32_t n = 0;

	while (*at < end) {
		const int16_t *from = x + (*at >> 32);
		const int64_t part = part_of(*at);
		const int64_t last = part + BLOCK * bend;

		if (last >= 0 && last < ONE && *at + (BLOCK + 1) * ONE < end) {
			read_block(from, fraction(part), fraction(bend),
				   out + n);
			n += BLOCK;
			*at += BLOCK * step;
		} else {
			out[n++] = clip(cubic(from[0], from[1], from[2],
					      from[3], fraction(part)));
			*at += step;
		}
	}
	return n;
}

/* How many steps of HOME_PPM it takes to a whole sample.  A part within half
 * a step of one is there. */
static int64_t steps_home(int64_t at)
{
	const int64_t bend = HOME_PPM * ONE / 1000000;

	return (part_of(at) + bend / 2) % ONE / bend;
}

/* The step for a rate: more input a sample makes it shorter. */
static int64_t step_of(int32_t ppm)
{
	return ONE - ppm * ONE / 1000000;
}

const int16_t *sound_stretch_hold(struct sound_stretch *s, const int16_t *pcm,
				  uint32_t frames, int16_t *out)
{
	int16_t x[KEPT + SOUND_PACKET_MAX];
	int64_t at = s->at;

	assert(frames > 0 && frames <= SOUND_PACKET_MAX);
	if (!s->is_on) {
		keep(s, pcm, frames);
		return pcm;
	}
	memcpy(x, s->kept, sizeof(s->kept));
	memcpy(x + KEPT, pcm, frames * sizeof(*pcm));
	/* A step of over one may have gone a bit beyond what waits for this
	 * call. */
	if (at >= -ONE)
		at = s->at = -ONE - 1;
	(void)read_on(x + KEPT - 1, &at, at + frames * ONE, ONE, out);
	keep(s, pcm, frames);
	return out;
}

uint32_t sound_stretch(struct sound_stretch *s, int32_t ppm, const int16_t *pcm,
		       uint32_t frames, int16_t *out)
{
	int16_t x[KEPT + SOUND_PACKET_MAX];
	const int64_t end = ((int64_t)frames - 2) * ONE;
	const int64_t step = step_of(ppm ? ppm : HOME_PPM);
	int64_t at = s->is_on ? s->at : 0, until = end;
	uint32_t n;

	assert(frames >= KEPT && frames <= SOUND_PACKET_MAX);
	assert(ppm >= -SOUND_STRETCH_PPM && ppm <= SOUND_STRETCH_PPM);
	memcpy(x, s->kept, sizeof(s->kept));
	memcpy(x + KEPT, pcm, frames * sizeof(*pcm));
	if (!ppm && at + steps_home(at) * step < end)
		until = at + steps_home(at) * step;
	s->is_on = true;
	n = read_on(x + KEPT - 1, &at, until, step, out);
	if (until < end) { /* home: the rest as it is */
		const int64_t i = ((at + ONE / 2) >> 32) + KEPT;
		const uint32_t left = (uint32_t)(KEPT + frames - i);

		memcpy(out + n, x + i, left * sizeof(*out));
		n += left;
		s->is_on = false;
	}
	s->at = at - frames * ONE;
	keep(s, pcm, frames);
	return n;
}
