/**
 * base/clock.h -- the two clocks.
 *
 * Only loops and mains read them; everything below gets the time as an
 * argument, so that tests never sleep.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* The latest wall time that is taken from outside: the end of the year 9999,
 * in s and in ms. */
#define CLOCK_UNIX_S_MAX  INT64_C(253402300799)
#define CLOCK_UNIX_MS_MAX INT64_C(253402300799999)

enum { CLOCK_US_PER_MS = 1000, CLOCK_US_PER_S = 1000000 };

/** Monotonic time [us]; for intervals and deadlines. */
int64_t clock_now_us(void);

/** Wall time [ms since 1970]; for names, JSON and the disk, never for
 *  intervals: it may jump. */
int64_t clock_unix_ms(void);

/** Tests only: from now on the wall clock is `ms` ahead of the system's
 *  (behind it, if negative).  Thread: any. */
void clock_shift_unix(int64_t ms);

#endif
