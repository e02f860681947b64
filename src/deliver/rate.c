/** deliver/rate.c -- the token bucket that limits an endpoint's attempts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/rate.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "deliver/deliver.h"

enum {
	DECIMALS = 3,
	MILLI = 1000,
	WHOLE_DIGITS = 6, /* more than DELIVER_RATE_MAX has */
	S_PER_MINUTE = 60
};

/** Parts of a full bucket. */
static int64_t full(uint32_t per_minute)
{
	int64_t second = per_minute * (int64_t)CLOCK_US_PER_S;

	return second > RATE_TOKEN ? second : RATE_TOKEN;
}

/** What is in it now, were its rate this one. */
static int64_t parts_at(const struct rate *r, uint32_t per_minute,
			int64_t now_us)
{
	int64_t most = full(per_minute);
	int64_t passed_us = now_us - r->at_us;

	if (!r->used || r->parts >= most)
		return most;
	/* Compared first: no product of a long time. */
	if (passed_us >= (most - r->parts) / per_minute + 1)
		return most;
	return r->parts + passed_us * per_minute;
}

void rate_set(struct rate *r, uint32_t per_minute, int64_t now_us)
{
	if (per_minute == r->per_minute)
		return;
	if (r->per_minute && r->used) {
		r->parts = parts_at(r, r->per_minute, now_us);
		r->at_us = now_us;
	}
	if (per_minute && r->parts > full(per_minute))
		r->parts = full(per_minute);
	r->per_minute = per_minute;
}

int64_t rate_next_us(const struct rate *r, int64_t now_us)
{
	int64_t missing;

	if (!r->per_minute)
		return now_us;
	missing = RATE_TOKEN - parts_at(r, r->per_minute, now_us);
	if (missing <= 0)
		return now_us;
	return now_us + (missing + r->per_minute - 1) / r->per_minute;
}

void rate_take(struct rate *r, int64_t now_us)
{
	int64_t parts = RATE_TOKEN;

	if (r->per_minute)
		parts = parts_at(r, r->per_minute, now_us);
	assert(parts >= RATE_TOKEN);
	r->parts = parts - RATE_TOKEN;
	r->used = true;
	r->at_us = now_us;
}

void rate_give_back(struct rate *r, int64_t now_us)
{
	if (!r->per_minute || !r->used)
		return;
	r->parts = parts_at(r, r->per_minute, now_us) + RATE_TOKEN;
	if (r->parts > full(r->per_minute))
		r->parts = full(r->per_minute);
	r->at_us = now_us;
}

void rate_empty(struct rate *r, int64_t now_us)
{
	r->parts = 0;
	r->used = true;
	r->at_us = now_us;
}

/* ---- as text --------------------------------------------------------------- */

/** "12.5" in thousandths; -1: it is none. */
static int64_t parse_milli(const char *text)
{
	unsigned whole = 0, decimals = 0;
	bool point = false;
	int64_t milli = 0;

	for (const char *p = text; *p; p++) {
		if (*p == '.' && whole && !point) {
			point = true;
			continue;
		}
		if (*p < '0' || *p > '9')
			return -1;
		if (point ? ++decimals > DECIMALS : ++whole > WHOLE_DIGITS)
			return -1;
		milli = 10 * milli + *p - '0';
	}
	if (!whole || (point && !decimals))
		return -1;
	while (decimals++ < DECIMALS)
		milli *= 10;
	return milli;
}

int deliver_rate_parse(const char *text, uint32_t *per_minute, struct err *e)
{
	int64_t milli = parse_milli(text);
	int64_t n = milli * S_PER_MINUTE / MILLI;

	if (milli < 0 || n > DELIVER_RATE_MAX || (milli && !n))
		return err_set(e, EINVAL, "rate",
			       "must be 0 (no limit), or deliveries a second "
			       "from 0.017 to 10000, with at most 3 decimals");
	*per_minute = (uint32_t)n;
	return 0;
}
