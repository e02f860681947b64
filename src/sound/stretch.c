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
	HOME_PPM = 40		   /* back to a whole sample */
};

static const int64_t ONE = 1LL << 32;

void sound_stretch_begin(struct sound_stretch *s)
{
	*s = (struct sound_stretch){0};
}

static void keep(struct sound_stretch *s, const int16_t *end)
{
	memcpy(s->kept, end - KEPT, sizeof(s->kept));
}

void sound_stretch_pass(struct sound_stretch *s, const int16_t *pcm,
			uint32_t frames)
{
	s->is_on = false;
	if (frames >= KEPT)
		keep(s, pcm + frames);
}

/* Between b and c, `t` of 1. */
static int16_t between(const int16_t *x, float t)
{
	const float a = x[0], b = x[1], c = x[2], d = x[3];
	const float y = b + 0.5F * t *
				    (c - a +
				     t * (2 * a - 5 * b + 4 * c - d +
					  t * (3 * (b - c) + d - a)));

	if (y >= (float)INT16_MAX)
		return INT16_MAX;
	if (y <= (float)INT16_MIN)
		return INT16_MIN;
	return (int16_t)(y < 0 ? y - 0.5F : y + 0.5F);
}

/* The step for a rate: more input a sample makes it shorter. */
static int64_t step_of(int32_t ppm)
{
	return ONE - ppm * ONE / 1000000;
}

/* Is the place so near to a whole sample that the next step is it? */
static bool is_home(int64_t at)
{
	const int64_t part = at & (ONE - 1);
	const int64_t near = HOME_PPM * (ONE / 1000000);

	return part < near || part > ONE - near;
}

uint32_t sound_stretch(struct sound_stretch *s, int32_t ppm, const int16_t *pcm,
		       uint32_t frames, int16_t *out)
{
	int16_t x[KEPT + SOUND_PACKET_MAX];
	const int64_t end = ((int64_t)frames - 2) * ONE;
	const int64_t step = step_of(ppm ? ppm : HOME_PPM);
	uint32_t n = 0;
	int64_t at;

	assert(frames >= KEPT && frames <= SOUND_PACKET_MAX);
	assert(ppm >= -SOUND_STRETCH_PPM && ppm <= SOUND_STRETCH_PPM);
	memcpy(x, s->kept, sizeof(s->kept));
	memcpy(x + KEPT, pcm, frames * sizeof(*pcm));
	at = s->is_on ? s->at : 0;
	s->is_on = true;
	while (at < end && (ppm || !is_home(at))) {
		const int64_t i = (at >> 32) + KEPT;

		out[n++] = between(x + i - 1, (float)(uint32_t)at *
						      (1.0F / 4294967296.0F));
		at += step;
	}
	if (at < end) { /* home: the rest as it is */
		const int64_t i = ((at + ONE / 2) >> 32) + KEPT;
		const uint32_t left = (uint32_t)(KEPT + frames - i);

		memcpy(out + n, x + i, left * sizeof(*out));
		n += left;
		s->is_on = false;
	}
	s->at = at - frames * ONE;
	keep(s, x + KEPT + frames);
	return n;
}
