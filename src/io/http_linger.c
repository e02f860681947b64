/**
 * io/http_linger.c -- let a refused client read why, before it is cut off.
 *
 * WHY     A socket that is closed with unread bytes in it answers with a
 *         reset, and the reset throws away the answer (413) that the client
 *         had not read yet.  RFC 9112 section 9.6: close in stages.
 * DESIGN  A duplicate of the descriptor stays open when libmicrohttpd has
 *         closed its own; we read and forget up to a bound.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	LINGER_US = 2 * CLOCK_US_PER_S,
	LINGER_BYTES = 4 * 1024 * 1024, /* then it is cut all the same */
	LINGER_MAX = 64,		/* at once; more are cut at once */
	LINGER_CHUNK = 16 * 1024,
};

struct http_linger {
	struct link link;
	struct http_server *server;
	int fd;
	size_t left; /* [bytes] */
	struct watch watch;
	struct timer timer;
	struct later later;
};

static void free_later(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct http_linger, later));
}

static void stop(struct http_linger *l)
{
	watch_stop(&l->watch);
	timer_stop(&l->timer);
	close(l->fd);
	list_remove(&l->link);
	l->server->n_lingers--;
}

static void stop_later(struct http_linger *l)
{
	stop(l);
	loop_later(l->server->loop, &l->later, free_later);
}

static void on_timer(struct timer *t, int64_t now_us)
{
	(void)now_us;
	stop_later(CONTAINER_OF(t, struct http_linger, timer));
}

static void on_readable(struct watch *w, unsigned events, int64_t now_us)
{
	struct http_linger *l = CONTAINER_OF(w, struct http_linger, watch);
	char bytes[LINGER_CHUNK];
	ssize_t n = recv(l->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	(void)now_us;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (size_t)n >= l->left) {
		stop_later(l);
		return;
	}
	l->left -= (size_t)n;
}

void http_linger_start(struct http_server *s, int fd)
{
	struct http_linger *l;

	if (s->n_lingers >= LINGER_MAX)
		return;
	l = mem_zalloc(sizeof(*l));
	if (!l)
		return;
	l->server = s;
	l->left = LINGER_BYTES;
	l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (l->fd < 0)
		goto out_free;
	if (watch_start(&l->watch, s->loop, l->fd, WATCH_READ, on_readable))
		goto out_close;
	if (timer_start(&l->timer, s->loop, loop_now_us(s->loop) + LINGER_US,
			on_timer))
		goto out_watch;
	list_append(&s->lingers, &l->link);
	s->n_lingers++;
	return;
out_watch:
	watch_stop(&l->watch);
out_close:
	close(l->fd);
out_free:
	mem_free(l);
}

void http_linger_stop_all(struct http_server *s)
{
	LIST_EACH(&s->lingers, link, after)
	{
		struct http_linger *l =
			CONTAINER_OF(link, struct http_linger, link);

		stop(l);
		mem_free(l);
	}
}
