/**
 * deliver/rate.h -- the token bucket that limits an endpoint's attempts.
 *
 * WHAT  A full bucket holds one second's worth of tokens, at least one; an
 *       attempt takes one.  So attempts start at the rate, and those that
 *       were saved up in a quiet second may start together.
 * WHY   Whole numbers only: a token is RATE_TOKEN parts, and a rate of n a
 *       minute adds n parts a microsecond.  No token is ever early.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_RATE_H
#define DELIVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

/** Parts of a token: microseconds of a minute. */
#define RATE_TOKEN (60 * (int64_t)1000000)

/** Zero is: no limit, and nothing has been taken yet. */
struct rate {
	uint32_t per_minute; /* 0: no limit */
	bool used;     /* at_us is set; before the first take it is full */
	int64_t parts; /* in it, as of at_us */
	int64_t at_us;
};

/** Change the rate.  What is in the bucket stays in it; without a limit until
 *  now, that is what has come in since the newest take. */
void rate_set(struct rate *r, uint32_t per_minute, int64_t now_us);
/** When a token will be there; not after now_us: there is one. */
int64_t rate_next_us(const struct rate *r, int64_t now_us);
/** Take one (rate_next_us said that there is one). */
void rate_take(struct rate *r, int64_t now_us);
/** It was not needed. */
void rate_give_back(struct rate *r, int64_t now_us);
/** All that was saved up is gone. */
void rate_empty(struct rate *r, int64_t now_us);

#endif
