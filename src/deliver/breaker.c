/** deliver/breaker.c -- the circuit breaker of an endpoint. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/breaker.h"

#include <assert.h>
#include <limits.h>

static int64_t first_us(const struct breaker *b)
{
	return b->first_us ? b->first_us : BREAKER_OPEN_US;
}

static void open_for(struct breaker *b, int64_t open_us, int64_t now_us)
{
	b->state = BREAKER_OPEN;
	b->probing = false;
	b->open_us = open_us;
	b->open_until_us = now_us + open_us;
}

bool breaker_allows(struct breaker *b, int64_t now_us)
{
	if (b->state == BREAKER_OPEN && now_us >= b->open_until_us) {
		b->state = BREAKER_HALF_OPEN;
		b->probing = false;
	}
	return b->state == BREAKER_CLOSED ||
	       (b->state == BREAKER_HALF_OPEN && !b->probing);
}

void breaker_allow(struct breaker *b)
{
	if (b->state != BREAKER_OPEN)
		return;
	b->state = BREAKER_HALF_OPEN;
	b->probing = false;
	b->open_us = first_us(b) / 2; /* doubled when that fails */
}

void breaker_on_start(struct breaker *b)
{
	assert(b->state != BREAKER_OPEN);
	b->probing = b->state == BREAKER_HALF_OPEN;
}

static void on_failure(struct breaker *b, int64_t now_us)
{
	const int64_t most_us = b->most_us ? b->most_us : BREAKER_OPEN_MAX_US;
	int64_t open_us = 2 * b->open_us;

	if (b->failures < UINT_MAX)
		b->failures++;
	switch (b->state) {
	case BREAKER_CLOSED:
		if (b->failures >= BREAKER_FAILURES)
			open_for(b, first_us(b), now_us);
		return;
	case BREAKER_HALF_OPEN:
		open_for(b, open_us < most_us ? open_us : most_us, now_us);
		return;
	case BREAKER_OPEN: /* one that started before it opened */
		return;
	}
}

void breaker_on_result(struct breaker *b, enum breaker_result result,
		       int64_t now_us)
{
	switch (result) {
	case BREAKER_OK:
		*b = (struct breaker){.first_us = b->first_us,
				      .most_us = b->most_us};
		return;
	case BREAKER_FAILED:
		on_failure(b, now_us);
		return;
	case BREAKER_NEITHER: /* a probe that told nothing: try another */
		b->probing = false;
		return;
	}
}
