/** io/thread.c -- a thread that runs one function. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

enum {
	NAME_MAX_LEN = 16, /* the kernel's, with its NUL */
	NICEST = 19
};

struct thread {
	pthread_t id;
	char name[NAME_MAX_LEN];
	void (*fn)(void *arg);
	void *arg;
};

static void *run(void *arg)
{
	struct thread *t = arg;

	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

int thread_start(const char *name, void (*fn)(void *arg), void *arg,
		 struct thread **out)
{
	struct thread *t = mem_zalloc(sizeof(*t));
	sigset_t all;
	sigset_t before;
	int err;

	if (!t)
		return ENOMEM;
	str_copy(t->name, sizeof(t->name), name);
	t->fn = fn;
	t->arg = arg;
	/* The new thread inherits the mask: no moment without it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t->id, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		mem_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void thread_stand_back(void)
{
	/* Of Linux: priorities belong to threads.  To lower one is always
	 * permitted. */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICEST);
}

void thread_join(struct thread *t)
{
	int err;

	if (!t)
		return;
	err = pthread_join(t->id, NULL);
	assert(!err);
	(void)err;
	mem_free(t);
}
