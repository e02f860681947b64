/**
 * io/http_tls.c -- TLS in front of the HTTP server.
 *
 * WHAT    A front stands between a client and libmicrohttpd: it shakes hands,
 *         then carries bytes between the client's socket (outer, encrypted)
 *         and one end of a pair of sockets (inner), whose other end is
 *         libmicrohttpd's.
 * WHY     libmicrohttpd's own TLS runs without pause while a handshake waits
 *         for bytes: half a hello costs a processor.  And this way all that
 *         the server knows of sockets (deadlines, hang-ups, refusals in the
 *         middle of an upload) is the same with and without TLS.
 * DESIGN
 *   - One buffer each way.  Each is filled only when it is empty, so that who
 *     does not read is not read from.
 *   - An end is carried on as an end: the client's as the end of inner, that
 *     of inner as close_notify and then the end of outer.  A client that ends
 *     without close_notify is no different: half a request is never one.
 *   - The handshake has the deadline of a request.  A client that does not
 *     take its last answer has that of an idle one.
 *
 *   accepted -> SHAKING -> OPEN -> (inner ended) LAST -> closed
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	PIPE_CAP = 16 * 1024, /* one TLS record */
	ROUNDS = 8,	      /* of one front in one turn */
	ACCEPTS = 16,	      /* in one turn */
};

enum front_state { FRONT_SHAKING, FRONT_OPEN, FRONT_LAST };

/** Bytes on their way in one direction. */
struct pipe {
	bool ended; /* nothing comes after these */
	size_t at;
	size_t len; /* still to go, from `at` on */
	uint8_t data[PIPE_CAP];
};

struct http_front {
	struct link link;
	struct http_server *server;
	struct http_listener *listener;
	struct http_guest guest;
	enum front_state state;
	int64_t deadline_us; /* 0: none */
	int64_t end_us;	     /* of FRONT_LAST, whatever moves */
	SSL *ssl;
	int outer;
	int inner; /* -1: not yet */
	struct watch outer_watch;
	struct watch inner_watch;
	struct later later;
	bool queued;	/* `later` is under way */
	bool closed;	/* `later` frees it */
	bool up_told;	/* inner knows that the client has ended */
	struct pipe up; /* client -> server */
	struct pipe down;
};

/* What a round has met. */
struct round {
	unsigned outer; /* WATCH_*: what is waited for */
	unsigned inner;
	bool moved;
	bool broken;
};

static void pump(struct http_front *f);

/* ---- ending ------------------------------------------------------------- */

static void on_later(struct later *later)
{
	struct http_front *f = CONTAINER_OF(later, struct http_front, later);

	f->queued = false;
	if (f->closed)
		mem_free(f);
	else
		pump(f);
}

static void queue_later(struct http_front *f)
{
	if (f->queued)
		return;
	f->queued = true;
	loop_later(f->server->loop, &f->later, on_later);
}

static void front_close(struct http_front *f)
{
	watch_stop(&f->outer_watch);
	watch_stop(&f->inner_watch);
	SSL_free(f->ssl);
	close(f->outer);
	if (f->inner >= 0)
		close(f->inner);
	http_guest_remove(f->server, &f->guest);
	list_remove(&f->link);
	f->closed = true;
	queue_later(f);
}

/* Nothing more is to be sent: let the client read it. */
static void front_finish(struct http_front *f)
{
	(void)shutdown(f->outer, SHUT_WR);
	if (!f->up.ended)
		http_linger_start(f->server, f->outer);
	front_close(f);
}

/* ---- carrying ----------------------------------------------------------- */

/* Of SSL_read, SSL_write, SSL_accept.  True: it moved. */
static bool tls_moved(struct http_front *f, int n, struct round *r)
{
	if (n > 0) {
		r->moved = true;
		return true;
	}
	switch (SSL_get_error(f->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		r->outer |= WATCH_READ;
		break;
	case SSL_ERROR_WANT_WRITE:
		r->outer |= WATCH_WRITE;
		break;
	case SSL_ERROR_ZERO_RETURN:
		f->up.ended = true;
		r->moved = true;
		break;
	default:
		r->broken = true;
	}
	return false;
}

static bool is_for_later(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void pipe_take(struct pipe *p, size_t n)
{
	p->at += n;
	p->len -= n;
}

static void move_up(struct http_front *f, struct round *r)
{
	struct pipe *p = &f->up;
	ssize_t n;

	if (!p->len && !p->ended) {
		ERR_clear_error();
		n = SSL_read(f->ssl, p->data, sizeof(p->data));
		if (tls_moved(f, (int)n, r)) {
			p->at = 0;
			p->len = (size_t)n;
		}
	}
	if (p->len > 0) {
		n = send(f->inner, p->data + p->at, p->len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (is_for_later(n)) {
			r->inner |= WATCH_WRITE;
		} else {
			/* when libmicrohttpd has closed, nobody wants them */
			pipe_take(p, n > 0 ? (size_t)n : p->len);
			r->moved = true;
		}
	}
	if (p->ended && !p->len && !f->up_told) {
		f->up_told = true;
		(void)shutdown(f->inner, SHUT_WR);
	}
}

/* Inner has ended: what is left has so long to go out. */
static void begin_last(struct http_front *f)
{
	int64_t now_us = loop_now_us(f->server->loop);

	f->down.ended = true;
	f->state = FRONT_LAST;
	f->end_us = now_us + (int64_t)HTTP_ANSWER_S * CLOCK_US_PER_S;
	f->deadline_us = now_us + HTTP_IDLE_S * CLOCK_US_PER_S;
}

static void move_down(struct http_front *f, struct round *r)
{
	struct pipe *p = &f->down;
	ssize_t n;

	if (!p->len && !p->ended) {
		n = recv(f->inner, p->data, sizeof(p->data), MSG_DONTWAIT);
		if (n > 0) {
			p->at = 0;
			p->len = (size_t)n;
		} else if (is_for_later(n)) {
			r->inner |= WATCH_READ;
		} else {
			begin_last(f);
		}
		r->moved |= !is_for_later(n);
	}
	if (!p->len)
		return;
	ERR_clear_error();
	n = SSL_write(f->ssl, p->data + p->at, (int)p->len);
	if (!tls_moved(f, (int)n, r))
		return;
	pipe_take(p, (size_t)n);
	if (f->state == FRONT_LAST)
		f->deadline_us = loop_now_us(f->server->loop) +
				 HTTP_IDLE_S * CLOCK_US_PER_S;
}

static void watch_for(struct http_front *f, const struct round *r)
{
	if (watch_change(&f->outer_watch, r->outer) ||
	    (f->inner >= 0 && watch_change(&f->inner_watch, r->inner)))
		front_close(f);
}

static void carry(struct http_front *f)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct round r = {0};

		move_up(f, &r);
		if (!r.broken)
			move_down(f, &r);
		if (r.broken) {
			front_close(f);
			return;
		}
		if (f->down.ended && !f->down.len) {
			ERR_clear_error();
			(void)SSL_shutdown(f->ssl); /* says so, waits not */
			front_finish(f);
			return;
		}
		if (!r.moved) {
			watch_for(f, &r);
			return;
		}
	}
	/* others have their turn; OpenSSL may hold bytes that epoll does not
	 * know of */
	queue_later(f);
}

/* ---- shaking hands ------------------------------------------------------- */

static void on_inner(struct watch *w, unsigned events, int64_t now_us)
{
	(void)events;
	(void)now_us;
	pump(CONTAINER_OF(w, struct http_front, inner_watch));
}

/* The client may speak: give it to libmicrohttpd. */
static int front_open(struct http_front *f)
{
	int pair[2];
	int err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		       pair))
		return errno;
	f->inner = pair[0];
	err = watch_start(&f->inner_watch, f->server->loop, f->inner,
			  WATCH_READ, on_inner);
	if (err) {
		close(pair[1]);
		return err;
	}
	f->state = FRONT_OPEN;
	f->deadline_us = 0;
	return http_listener_adopt(f->listener, pair[1], &f->guest.peer);
}

/* Somebody who was told "http://" instead of "https://" can read this. */
static void answer_plain(const struct http_front *f)
{
	char text[1024];
	size_t len = http_problem_raw(400, "this port speaks HTTPS only", text,
				      sizeof(text));

	if (send(f->outer, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("http plain answer not sent");
}

static void handshake_failed(struct http_front *f, const char *why)
{
	struct http_server *s = f->server;
	char text[ADDR_TEXT_MAX];
	unsigned n;

	counter_add(COUNT_http_handshakes_failed, 1);
	if (http_sample(&s->failed_handshakes, loop_now_us(s->loop), &n))
		log_warn("http TLS handshakes failed=%u, the last from %s: %s",
			 n, addr_write(&f->guest.peer, text), why);
	front_finish(f);
}

static const char *handshake_fault(const struct http_front *f,
				   unsigned long code)
{
	long verified = SSL_get_verify_result(f->ssl);
	const char *reason = ERR_reason_error_string(code);

	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	return reason ? reason : "the client has gone";
}

static void shake(struct http_front *f)
{
	struct round r = {0};
	unsigned long code;
	int n;

	ERR_clear_error();
	n = SSL_accept(f->ssl);
	if (tls_moved(f, n, &r)) {
		if (front_open(f))
			front_close(f);
		else
			carry(f);
		return;
	}
	if (!r.broken && !f->up.ended) {
		watch_for(f, &r);
		return;
	}
	if (!r.broken && !BIO_number_read(SSL_get_rbio(f->ssl))) {
		front_close(f); /* only looked whether somebody listens */
		return;
	}
	code = ERR_peek_error();
	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST)
		answer_plain(f);
	handshake_failed(f, handshake_fault(f, code));
}

static void pump(struct http_front *f)
{
	if (f->state == FRONT_SHAKING)
		shake(f);
	else
		carry(f);
}

static void on_event(struct watch *w, unsigned events, int64_t now_us)
{
	(void)events;
	(void)now_us;
	pump(CONTAINER_OF(w, struct http_front, outer_watch));
}

/* ---- coming ------------------------------------------------------------- */

/* Takes `fd` over.  Whoever cannot be served is closed. */
static void front_new(struct http_listener *l, int fd, const struct addr *peer)
{
	struct http_server *s = l->server;
	struct http_front *f = NULL;
	int on = 1;

	if (!http_guest_may_come(s, peer))
		goto out;
	f = mem_zalloc(sizeof(*f));
	if (!f)
		goto out;
	f->server = s;
	f->listener = l;
	f->guest.peer = *peer;
	f->outer = fd;
	f->inner = -1;
	f->deadline_us = loop_now_us(s->loop) + s->config.header_us;
	f->ssl = SSL_new(s->tls);
	if (!f->ssl || SSL_set_fd(f->ssl, fd) != 1)
		goto out;
	if (watch_start(&f->outer_watch, s->loop, fd, WATCH_READ, on_event))
		goto out;
	/* an answer is written whole: nothing is gained by waiting */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	list_append(&s->fronts, &f->link);
	http_guest_add(s, &f->guest);
	http_sweep_start(s);
	return;
out:
	if (f)
		SSL_free(f->ssl);
	mem_free(f);
	close(fd);
}

static void on_listen(struct watch *w, unsigned events, int64_t now_us)
{
	struct http_listener *l =
		CONTAINER_OF(w, struct http_listener, tls_watch);

	(void)events;
	(void)now_us;
	for (int i = 0; i < ACCEPTS; i++) {
		struct addr peer = {.len = sizeof(peer.any)};
		int fd = accept4(l->tls_fd, &peer.sa, &peer.len,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			front_new(l, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			/* whoever waits stays in the kernel's queue */
			l->tls_paused = !watch_change(w, 0);
			http_sweep_start(l->server);
		}
		return;
	}
}

int http_tls_listen(struct http_listener *l, int fd)
{
	l->tls_fd = fd;
	return watch_start(&l->tls_watch, l->server->loop, fd, WATCH_READ,
			   on_listen);
}

void http_tls_sweep(struct http_server *s, int64_t now_us)
{
	for (size_t i = 0; i < HTTP_MAX_LISTEN; i++) {
		struct http_listener *l = &s->listeners[i];

		if (l->tls_paused && !watch_change(&l->tls_watch, WATCH_READ))
			l->tls_paused = false;
	}
	LIST_EACH(&s->fronts, link, after)
	{
		struct http_front *f =
			CONTAINER_OF(link, struct http_front, link);

		if (!f->deadline_us ||
		    (now_us < f->deadline_us &&
		     (f->state != FRONT_LAST || now_us < f->end_us)))
			continue;
		if (f->state == FRONT_SHAKING)
			handshake_failed(f, "it did not end in time");
		else
			front_close(f);
	}
}

void http_tls_stop(struct http_server *s)
{
	for (size_t i = 0; i < HTTP_MAX_LISTEN; i++) {
		struct http_listener *l = &s->listeners[i];

		watch_stop(&l->tls_watch);
		if (l->tls_fd >= 0)
			close(l->tls_fd);
		l->tls_fd = -1;
	}
	LIST_EACH(&s->fronts, link, after)
	{
		struct http_front *f =
			CONTAINER_OF(link, struct http_front, link);

		/* libmicrohttpd has closed: this sends its last words */
		if (f->state != FRONT_SHAKING)
			carry(f);
		if (!f->closed)
			front_close(f);
	}
}
