/** deliver/schedule.h -- when the next attempt of a delivery is due. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_SCHEDULE_H
#define DELIVER_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/deliver.h"

/** A head that waits no longer than this in all blocks its lane; also how
 *  much of a list of durations is its short part. */
#define SCHEDULE_SHORT_US (60 * (int64_t)1000000)
/** Longest Retry-After that is honoured. */
#define SCHEDULE_HINT_MAX_US (10 * 3600 * (int64_t)1000000)

struct schedule_step {
	bool dead;	  /* the budget is used up; nothing else is set */
	bool blocks;	  /* still the short part: the lane waits for it */
	int64_t delay_us; /* from now */
};

/**
 * The step after a failed attempt.
 *
 * failed   failed attempts of this budget, from 1
 * hint_us  what the endpoint asked for (Retry-After), -1: nothing
 * random   state of the jitter; NULL: no jitter
 *
 * The short part is kept as documented; later delays are drawn from
 * 1 s .. delay ("full jitter"), so that what failed together does not come
 * back together.
 */
void schedule_step(const struct deliver_retry *retry, unsigned failed,
		   int64_t hint_us, uint64_t *random,
		   struct schedule_step *out);

/**
 * How long a loaded delivery waits [us].
 *
 * asked_ms  the whole wait when it was decided (0: not known): longer than
 *           the profile's when the endpoint asked for it
 *
 * Due times are kept as wall time, and that clock may have jumped: the wait
 * is never longer than asked_ms (at most SCHEDULE_HINT_MAX_US) or the delay
 * that the profile has at this place, whichever is longer.
 */
int64_t schedule_loaded(const struct deliver_retry *retry, unsigned failed,
			int64_t asked_ms, int64_t due_ms, int64_t unix_ms);

/** A 64-bit random number from a state of 8 bytes (splitmix64). */
uint64_t schedule_random(uint64_t *state);

#endif
