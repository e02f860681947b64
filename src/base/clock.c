/** base/clock.c -- the two clocks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t unix_shift_ms;

int64_t clock_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * CLOCK_US_PER_S + t.tv_nsec / 1000;
}

int64_t clock_unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 +
	       atomic_load_explicit(&unix_shift_ms, memory_order_relaxed);
}

void clock_shift_unix(int64_t ms)
{
	atomic_store_explicit(&unix_shift_ms, ms, memory_order_relaxed);
}
