/**
 * io/http_pool.c -- one libcurl multi handle on our loop.
 *
 * WHAT    libcurl says which sockets and which timer it wants watched
 *         (curl_multi_socket_action); we tell it what happened.
 * WHY     Many transfers, one thread, no spinning.
 * DESIGN  `ended` is called when libcurl has returned, so it may start and
 *         remove transfers.  A socket's watch is freed at the end of the
 *         turn: libcurl lets go of it while its callback runs.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_client.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

struct sock {
	struct link link;
	struct http_pool *pool;
	struct watch watch;
	struct later later;
};

static_assert(CURL_POLL_IN == WATCH_READ && CURL_POLL_OUT == WATCH_WRITE,
	      "libcurl's events are ours");
static_assert(CURL_CSELECT_IN == WATCH_READ && CURL_CSELECT_OUT == WATCH_WRITE,
	      "libcurl's events are ours");

static void tell_ended(struct http_pool *p)
{
	CURLMsg *msg;
	int left;

	for (;;) {
		msg = curl_multi_info_read(p->multi, &left);
		if (!msg)
			return;
		if (msg->msg == CURLMSG_DONE)
			p->ended(msg->easy_handle, msg->data.result);
	}
}

static void act(struct http_pool *p, curl_socket_t fd, int events)
{
	CURLMcode code;
	int running;

	code = curl_multi_socket_action(p->multi, fd, events, &running);
	if (code != CURLM_OK)
		log_error("http client: %s", curl_multi_strerror(code));
	tell_ended(p);
}

static void on_timer(struct timer *t, int64_t now_us)
{
	(void)now_us;
	act(CONTAINER_OF(t, struct http_pool, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_watch(struct watch *w, unsigned events, int64_t now_us)
{
	struct sock *s = CONTAINER_OF(w, struct sock, watch);

	(void)now_us;
	act(s->pool, w->fd, (int)events);
}

static void sock_free_later(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct sock, later));
}

static void sock_stop(struct sock *s)
{
	watch_stop(&s->watch);
	list_remove(&s->link);
}

/* Out of memory here is not fatal: the transfer runs into its deadline. */
static struct sock *sock_new(struct http_pool *p, curl_socket_t fd,
			     unsigned events)
{
	struct sock *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->pool = p;
	if (watch_start(&s->watch, p->loop, fd, events, on_watch)) {
		mem_free(s);
		return NULL;
	}
	list_append(&p->sockets, &s->link);
	return s;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
		     void *assigned)
{
	struct http_pool *p = arg;
	struct sock *s = assigned;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (!s)
			return 0;
		sock_stop(s);
		loop_later(p->loop, &s->later, sock_free_later);
		(void)curl_multi_assign(p->multi, fd, NULL);
		return 0;
	}
	if (!s) {
		s = sock_new(p, fd, (unsigned)what);
		if (!s || curl_multi_assign(p->multi, fd, s))
			log_error("http client: a socket is not watched");
	} else if (watch_change(&s->watch, (unsigned)what)) {
		log_error("http client: a socket is not watched");
	}
	return 0;
}

static int on_timeout(CURLM *multi, long wait_ms, void *arg)
{
	struct http_pool *p = arg;
	int64_t due_us;

	(void)multi;
	if (wait_ms < 0) {
		timer_stop(&p->timer);
		return 0;
	}
	due_us = loop_now_us(p->loop) + wait_ms * (int64_t)CLOCK_US_PER_MS;
	if (timer_start(&p->timer, p->loop, due_us, on_timer))
		log_error("http client: timer lost, out of memory");
	return 0;
}

int http_pool_init(struct http_pool *p, struct loop *loop,
		   unsigned max_connections,
		   void (*ended)(CURL *easy, CURLcode code))
{
	p->loop = loop;
	p->ended = ended;
	list_init(&p->sockets);
	p->multi = curl_multi_init();
	if (!p->multi)
		return ENOMEM;
	(void)curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	(void)curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	(void)curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS,
				(long)max_connections);
	(void)curl_multi_setopt(p->multi, CURLMOPT_PIPELINING,
				CURLPIPE_NOTHING);
	return 0;
}

void http_pool_fini(struct http_pool *p)
{
	if (!p->multi)
		return;
	(void)curl_multi_cleanup(p->multi);
	p->multi = NULL;
	timer_stop(&p->timer);
	LIST_EACH(&p->sockets, l, after)
	{
		struct sock *s = CONTAINER_OF(l, struct sock, link);

		sock_stop(s);
		mem_free(s);
	}
}
