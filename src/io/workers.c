/**
 * io/workers.c -- a fixed number of threads that run jobs which block.
 *
 * WHAT  One queue; each thread takes the oldest job whose key no other
 *       thread is running, runs it, and mails it back to its loop.
 * WHY   getaddrinfo, hashing and fsync must not hold a loop.
 * DESIGN
 *   - Order within a key: the queue is searched from its front, and a key is
 *     given free only after `done` of its job was posted.  So runs and dones
 *     of a key both come in order.
 *   - A slow key holds one thread, never those of other keys.
 *   - The search passes jobs whose key is running; there are at most as many
 *     such keys as threads, and their jobs are bounded by what holds them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"
#include "io/wait.h"

struct worker {
	/* fixed after start */
	struct workers *of;
	struct thread *thread;

	/* under the lock */
	uint64_t key;
	bool busy;
};

struct workers {
	struct wait wait;
	struct worker *all;
	unsigned n;

	/* under the lock */
	struct link queue;
	bool ending;
};

static bool key_is_running(const struct workers *w, uint64_t key)
{
	for (unsigned i = 0; i < w->n; i++) {
		if (w->all[i].busy && w->all[i].key == key)
			return true;
	}
	return false;
}

/** The oldest job that may run now, taken off the queue, or NULL. */
static struct job *next_job(struct workers *w)
{
	LIST_EACH(&w->queue, l, after)
	{
		struct job *job = CONTAINER_OF(l, struct job, link);

		if (key_is_running(w, job->key))
			continue;
		list_remove(l);
		return job;
	}
	return NULL;
}

static void on_done(struct mail *mail)
{
	struct job *job = CONTAINER_OF(mail, struct job, mail);

	job->queued = false;
	job->done(job);
}

static void run_job(struct job *job)
{
	/* Without `done` the job is its owner's again as soon as it runs: it
	 * may be freed or queued anew by then. */
	bool tell = job->done != NULL;

	if (!tell)
		job->queued = false;
	job->run(job);
	if (tell)
		mail_post(job->loop, &job->mail, on_done);
}

static void work(void *arg)
{
	struct worker *me = arg;
	struct workers *w = me->of;

	wait_lock(&w->wait);
	for (;;) {
		struct job *job = next_job(w);

		if (job) {
			me->key = job->key;
			me->busy = true;
			wait_unlock(&w->wait);
			run_job(job);
			wait_lock(&w->wait);
			me->busy = false;
			/* Others may wait for this key, and take on jobs in
			 * the order of the queue. */
			if (!list_is_empty(&w->queue))
				wait_wake(&w->wait);
			continue;
		}
		/* What is left has keys that run: their threads do it. */
		if (w->ending)
			break;
		wait_until(&w->wait, INT64_MAX);
	}
	wait_unlock(&w->wait);
}

int workers_new(const char *name, unsigned n, struct workers **out)
{
	struct workers *w = mem_zalloc(sizeof(*w));
	int err;

	assert(n > 0);
	if (!w)
		return ENOMEM;
	err = wait_init(&w->wait);
	if (err) {
		mem_free(w);
		return err;
	}
	list_init(&w->queue);
	w->all = mem_zalloc_n(n, sizeof(*w->all));
	if (!w->all)
		err = ENOMEM;
	wait_lock(&w->wait);
	while (!err && w->n < n) {
		struct worker *x = &w->all[w->n];

		x->of = w;
		err = thread_start(name, work, x, &x->thread);
		if (!err)
			w->n++;
	}
	wait_unlock(&w->wait);
	if (err)
		workers_free(w);
	else
		*out = w;
	return err;
}

void workers_free(struct workers *w)
{
	if (!w)
		return;
	wait_lock(&w->wait);
	w->ending = true;
	wait_wake_all(&w->wait);
	wait_unlock(&w->wait);
	for (unsigned i = 0; i < w->n; i++)
		thread_join(w->all[i].thread);
	assert(list_is_empty(&w->queue));
	wait_fini(&w->wait);
	mem_free(w->all);
	mem_free(w);
}

void workers_run(struct workers *w, struct job *job, struct loop *loop,
		 void (*done)(struct job *job))
{
	assert(job->run);
	assert(loop || !done);
	wait_lock(&w->wait);
	assert(!job->queued);
	job->queued = true;
	job->loop = loop;
	job->done = done;
	list_append(&w->queue, &job->link);
	wait_wake(&w->wait);
	wait_unlock(&w->wait);
}
