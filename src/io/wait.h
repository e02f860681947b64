/** io/wait.h -- waiting for another thread, with a monotonic deadline. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_WAIT_H
#define IO_WAIT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/** A lock and the condition that goes with it. */
struct wait {
	pthread_mutex_t lock;
	pthread_cond_t cond; /* its clock is CLOCK_MONOTONIC */
};

/** Returns 0, or ENOMEM or EAGAIN with nothing to undo. */
MUST_CHECK int wait_init(struct wait *w);
void wait_fini(struct wait *w);

void wait_lock(struct wait *w);
void wait_unlock(struct wait *w);

/** Wake one, or all.  Under the lock, so that the woken may free `w`. */
void wait_wake(struct wait *w);
void wait_wake_all(struct wait *w);

/**
 * Give the lock away until woken or `deadline_us` (INT64_MAX: no deadline).
 * Returns false when the deadline has passed.  May return early: look again.
 */
bool wait_until(struct wait *w, int64_t deadline_us);

/** now + wait_us; negative: INT64_MAX. */
int64_t wait_deadline(int64_t wait_us);

#endif
