/**
 * intake/drift.h -- how much faster or slower than ours a sender's clock is.
 *
 * A packet tells how far the timeline is off: error = arrival - place, where the
 * network's delay is part of the arrival.  Delays only ever make it larger, so
 * the smallest error of some seconds is believed, and taken out slowly, by
 * stretching what is played, or at once, where there is silence.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_DRIFT_H
#define INTAKE_DRIFT_H

#include <stdint.h>

#include "base/attr.h"

enum {
	DRIFT_PPM_MAX = 700, /* 500, and some to catch up */
	DRIFT_BUCKETS = 8    /* of a second of sound each */
};

/** Embedded; drift_begin() before anything else. */
struct drift {
	int64_t min[DRIFT_BUCKETS]; /* of arrival - RTP time, by bucket */
	uint32_t at;		    /* the bucket under way */
	uint32_t frames;	    /* played in it */
	uint32_t full;		    /* buckets behind it, up to all others */
	int64_t uneven;	   /* how much min differs from bucket to bucket, on
			      average [1/16 frames] */
	int32_t compared;  /* buckets that say so, up to some */
	int32_t milli_ppm; /* rate now */
	int64_t part;	   /* of a frame that is owed [1e-9 frames] */
};

/** The offset was set anew: nothing is known. */
void drift_begin(struct drift *d);

/**
 * Note a packet, and what it says.
 *
 * a        its arrival - its RTP time [frames]
 * offset   that the timeline goes by
 * frames   its length
 *
 * Returns the rate to play it at [ppm], over 0: longer.
 */
MUST_CHECK int32_t drift_take(struct drift *d, int64_t a, int64_t offset,
			      uint32_t frames);

/** What is to be added to `offset` to make it right [frames]; 0: nothing that
 *  chance and jitter do not explain. */
MUST_CHECK int64_t drift_error(const struct drift *d, int64_t offset);

/** Whole frames by which `frames` are longer at `ppm`; parts are kept for the
 *  next. */
MUST_CHECK int32_t drift_frames(struct drift *d, int32_t ppm, uint32_t frames);

#endif
