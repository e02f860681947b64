/** io/wait.c -- waiting for another thread, with a monotonic deadline. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/wait.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "base/clock.h"

int wait_init(struct wait *w)
{
	pthread_condattr_t attr;
	int err = pthread_condattr_init(&attr);

	if (err)
		return err;
	err = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!err)
		err = pthread_cond_init(&w->cond, &attr);
	pthread_condattr_destroy(&attr);
	if (err)
		return err;
	err = pthread_mutex_init(&w->lock, NULL);
	if (err)
		pthread_cond_destroy(&w->cond);
	return err;
}

void wait_fini(struct wait *w)
{
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->lock);
}

void wait_lock(struct wait *w)
{
	pthread_mutex_lock(&w->lock);
}

void wait_unlock(struct wait *w)
{
	pthread_mutex_unlock(&w->lock);
}

void wait_wake(struct wait *w)
{
	pthread_cond_signal(&w->cond);
}

void wait_wake_all(struct wait *w)
{
	pthread_cond_broadcast(&w->cond);
}

bool wait_until(struct wait *w, int64_t deadline_us)
{
	const struct timespec ts = {
		.tv_sec = deadline_us / CLOCK_US_PER_S,
		.tv_nsec = deadline_us % CLOCK_US_PER_S * 1000,
	};
	int err;

	if (deadline_us == INT64_MAX)
		err = pthread_cond_wait(&w->cond, &w->lock);
	else
		err = pthread_cond_timedwait(&w->cond, &w->lock, &ts);
	assert(!err || err == ETIMEDOUT);
	return !err;
}

int64_t wait_deadline(int64_t wait_us)
{
	int64_t now = clock_now_us();

	return wait_us < 0 || wait_us > INT64_MAX - now ? INT64_MAX
							: now + wait_us;
}
