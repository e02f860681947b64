/** io/signals.c -- signals as events of a loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"

struct signals {
	struct watch watch;
	struct later later;
	struct loop *loop;
	int fd;
	void (*fn)(int signo, void *arg);
	void *arg;
};

/* One signal a call: `fn` may close, and the rest comes next turn. */
static void on_readable(struct watch *w, unsigned events, int64_t now_us)
{
	struct signals *s = CONTAINER_OF(w, struct signals, watch);
	struct signalfd_siginfo info;

	(void)events;
	(void)now_us;
	if (read(s->fd, &info, sizeof(info)) == sizeof(info))
		s->fn((int)info.ssi_signo, s->arg);
}

int signals_open(struct loop *loop, const int *signos, size_t n,
		 void (*fn)(int signo, void *arg), void *arg,
		 struct signals **out)
{
	struct signals *s = mem_zalloc(sizeof(*s));
	sigset_t set;
	int err;

	if (!s)
		return ENOMEM;
	sigemptyset(&set);
	for (size_t i = 0; i < n; i++)
		sigaddset(&set, signos[i]);
	s->loop = loop;
	s->fn = fn;
	s->arg = arg;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0) {
		err = errno;
		goto out;
	}
	err = watch_start(&s->watch, loop, s->fd, WATCH_READ, on_readable);
	if (err)
		goto out;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	*out = s;
	return 0;
out:
	if (s->fd >= 0)
		close(s->fd);
	mem_free(s);
	return err;
}

static void free_later(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct signals, later));
}

void signals_close(struct signals *s)
{
	if (!s)
		return;
	watch_stop(&s->watch);
	close(s->fd);
	loop_later(s->loop, &s->later, free_later);
}
