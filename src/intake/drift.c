/**
 * intake/drift.c -- what the smallest delays of the last seconds say.
 *
 * DESIGN
 *   The smallest arrival - RTP time of two buckets of 2.5 s: what a clock has
 *   drifted in 5 s is 2.5 ms at 500 ppm, and five seconds of 20 ms packets have
 *   always one that the network did not hold up.  Rate = what is over SLACK,
 *   divided by TAU: a loop with one pole, stable as the delay of the measure
 *   (5 s at most, 2.5 on average) is shorter than TAU.  It stays off by
 *   SLACK + rate * TAU: 4 ms at 500 ppm, and by as much as the measure is late.
 *   The rate changes by SLEW at most, so no change is heard.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/drift.h"

#include "sound/sound.h"

enum {
	BUCKET = 5 * SOUND_RATE / 2,	     /* frames played */
	SLACK = 3 * SOUND_FRAMES_PER_MS / 2, /* frames: no drift, but chance */
	TAU = 5 * SOUND_RATE,		     /* frames */
	SLEW = 250 * 1000,		     /* milli-ppm a second */
	JUMP = 120 * SOUND_FRAMES_PER_MS
};

void drift_begin(struct drift *d)
{
	*d = (struct drift){.min = INT64_MAX, .before = INT64_MAX};
}

static void note(struct drift *d, int64_t a, uint32_t frames)
{
	if (a < d->min)
		d->min = a;
	d->frames += frames;
	if (d->frames < BUCKET)
		return;
	d->before = d->min;
	d->min = INT64_MAX;
	d->frames = 0;
	d->buckets++;
}

/* The rate that the error asks for [milli-ppm]. */
static int64_t wanted(const struct drift *d, int64_t offset)
{
	const int64_t smallest = d->min < d->before ? d->min : d->before;
	const int64_t most = (int64_t)DRIFT_PPM_MAX * 1000;
	int64_t error = smallest - offset;
	int64_t rate;

	/* a burst behind a stall, or a jump: the timeline's matter */
	if (error > JUMP || error < -JUMP)
		return d->milli_ppm;
	if (error > SLACK)
		error -= SLACK;
	else if (error < -SLACK)
		error += SLACK;
	else
		return 0;
	rate = error * 1000000000 / TAU;
	return rate > most ? most : rate < -most ? -most : rate;
}

int32_t drift_take(struct drift *d, int64_t a, int64_t offset, uint32_t frames)
{
	const int64_t slew = (int64_t)SLEW * frames / SOUND_RATE;
	int64_t change;

	note(d, a, frames);
	if (!d->buckets) /* too little to go by */
		return 0;
	change = wanted(d, offset) - d->milli_ppm;
	if (change > slew)
		change = slew;
	if (change < -slew)
		change = -slew;
	d->milli_ppm += (int32_t)change;
	return d->milli_ppm / 1000;
}

int32_t drift_frames(struct drift *d, int32_t ppm, uint32_t frames)
{
	const int64_t whole = 1000000;
	int32_t n;

	d->part += (int64_t)ppm * frames;
	n = (int32_t)(d->part / whole);
	d->part -= n * whole;
	return n;
}
