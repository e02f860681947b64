/**
 * io/http_gone.c -- clients that go while their request is suspended.
 *
 * WHY     libmicrohttpd does not look at the socket of a suspended connection.
 * DESIGN  `gone_fd` is an epoll for hang-ups of just those.  That a client has
 *         shut its sending side down counts for streams only: see
 *         http_on_gone.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

enum { GONE_A_TURN = 64 };

void http_gone_add(struct http_conn *c)
{
	/* a stream says nothing for long, so that its end must be noticed */
	struct epoll_event ev = {.events = EPOLLONESHOT, .data.ptr = c};
	int op = c->on_gone_fd ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (c->in->stream)
		ev.events |= EPOLLRDHUP;
	if (!epoll_ctl(c->server->gone_fd, op, c->fd, &ev))
		c->on_gone_fd = true;
}

void http_gone_remove(struct http_conn *c)
{
	if (!c->on_gone_fd)
		return;
	c->on_gone_fd = false;
	(void)epoll_ctl(c->server->gone_fd, EPOLL_CTL_DEL, c->fd, NULL);
}

void http_gone_tell(struct http_incoming *in)
{
	if (in->stream) {
		http_stream_gone(in->stream);
		return;
	}
	if (in->answered || in->dead || !in->gone)
		return;
	in->dead = true;
	in->gone(in->gone_arg);
	http_incoming_resume(in);
}

static void on_gone(struct watch *w, unsigned events, int64_t now_us)
{
	struct http_server *s = CONTAINER_OF(w, struct http_server, gone_watch);
	struct epoll_event ev;

	(void)events;
	(void)now_us;
	for (int i = 0; i < GONE_A_TURN; i++) {
		struct http_conn *c;

		if (epoll_wait(s->gone_fd, &ev, 1, 0) != 1)
			return;
		c = ev.data.ptr;
		s->running = true;
		if (c->in)
			http_gone_tell(c->in);
		s->running = false;
	}
}

void http_on_gone(struct http_request *r, void (*gone)(void *arg), void *arg)
{
	struct http_incoming *in = CONTAINER_OF(r, struct http_incoming, pub);

	assert(!in->answered);
	in->gone = gone;
	in->gone_arg = arg;
	/* it may have gone before somebody wanted to know */
	if (in->conn->on_gone_fd)
		http_gone_add(in->conn);
}

int http_gone_open(struct http_server *s)
{
	s->gone_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->gone_fd < 0)
		return errno;
	return watch_start(&s->gone_watch, s->loop, s->gone_fd, WATCH_READ,
			   on_gone);
}
