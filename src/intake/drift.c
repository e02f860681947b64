/**
 * intake/drift.c -- what the smallest delays of the last seconds say.
 *
 * DESIGN
 *   min = the smallest arrival - RTP time of the last 7 to 8 seconds of sound,
 *   error = min - offset.  What is over the slack is taken out at a rate of
 *   1/TAU: a loop with one pole, and without a delay, as what the offset has
 *   moved is known at once.
 *
 *   Error < 0: a packet came earlier than its place.  No network does that, so
 *   it is believed at once, but for the first second; the slack, EARLY, is for
 *   starts: they know the first 400 ms only, and a place that is late by 4 ms for
 *   ever is better than sound that is bent.
 *   Error > 0: all packets came late.  That is drift, or a network that held
 *   them all up.  So it takes the full window, and the slack is LATE and more,
 *   by what the smallest delay differs from second to second: a network that
 *   holds packets up by 0 to 60 ms makes it 9 ms.
 *
 *   A clock that is fast by a rate r stays off by EARLY + r * TAU, a slow one by
 *   LATE + r * (TAU + 8 s): at 500 ppm 5 and 6.5 ms.
 *   The rate changes by SLEW at most, so no change is heard.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/drift.h"

#include <stdlib.h>

#include "sound/sound.h"

enum {
	MS = SOUND_FRAMES_PER_MS,
	BUCKET = SOUND_RATE, /* frames played */
	EARLY = 4 * MS,
	LATE = 3 * MS / 2,
	LATE_MAX = 10 * MS,
	UNEVEN_MAX = 20 * MS, /* more is something else */
	MEMORY = 16,	      /* buckets */
	UNIT = 16,	      /* of drift.uneven: parts of a frame */
	STEADY = MS / 2,      /* by so much 500 ppm move a bucket */
	TAU = 2 * SOUND_RATE, /* frames */
	SLEW = 250 * 1000,    /* milli-ppm a second */
	JUMP = 120 * MS
};

void drift_begin(struct drift *d)
{
	*d = (struct drift){0};
	for (int i = 0; i < DRIFT_BUCKETS; i++)
		d->min[i] = INT64_MAX;
}

/* A bucket is full: how far is its smallest from that of the one before? */
static void compare(struct drift *d)
{
	int64_t by = llabs(d->min[d->at] -
			   d->min[(d->at + DRIFT_BUCKETS - 1) % DRIFT_BUCKETS]);

	if (by > UNEVEN_MAX)
		by = UNEVEN_MAX;
	if (d->compared < MEMORY)
		d->compared++;
	d->uneven += (by * UNIT - d->uneven) / d->compared;
}

static void note(struct drift *d, int64_t a, uint32_t frames)
{
	if (a < d->min[d->at])
		d->min[d->at] = a;
	d->frames += frames;
	if (d->frames < BUCKET)
		return;
	if (d->full > 0)
		compare(d);
	d->at = (d->at + 1) % DRIFT_BUCKETS;
	d->min[d->at] = INT64_MAX;
	d->frames = 0;
	if (d->full < DRIFT_BUCKETS - 1)
		d->full++;
}

/* The slack of an error > 0. */
static int64_t late_slack(const struct drift *d)
{
	const int64_t uneven = d->uneven / UNIT - STEADY;
	const int64_t slack = LATE + (uneven > 0 ? uneven * 3 / 2 : 0);

	return slack < LATE_MAX ? slack : LATE_MAX;
}

/* The error; `*slack`: how much of it is none; both 0: nothing is known. */
static int64_t measure(const struct drift *d, int64_t offset, int64_t *slack)
{
	int64_t min = INT64_MAX;

	*slack = 0;
	for (int i = 0; i < DRIFT_BUCKETS; i++)
		min = d->min[i] < min ? d->min[i] : min;
	if (d->full == 0 || (min > offset && d->full < DRIFT_BUCKETS - 1))
		return 0;
	*slack = min > offset ? late_slack(d) : EARLY;
	return min - offset;
}

int64_t drift_error(const struct drift *d, int64_t offset)
{
	int64_t slack;
	const int64_t error = measure(d, offset, &slack);

	return llabs(error) > slack ? error : 0;
}

/* The rate that the error asks for [milli-ppm]. */
static int64_t wanted(const struct drift *d, int64_t offset)
{
	const int64_t most = (int64_t)DRIFT_PPM_MAX * 1000;
	int64_t slack, rate;
	int64_t error = measure(d, offset, &slack);

	/* a burst behind a stall, or a jump: the timeline's matter */
	if (error > JUMP || error < -JUMP)
		return d->milli_ppm;
	if (error > slack)
		error -= slack;
	else if (error < -slack)
		error += slack;
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
