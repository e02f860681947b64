/**
 * io/http_server.c -- libmicrohttpd inside the loop: connections, deadlines.
 *
 * WHAT  One libmicrohttpd daemon a listen address, none of its threads: its
 *       epoll descriptor hangs on our loop.  Requests reach the handler
 *       whole, or not at all.
 * WHY   Handlers touch the state of their thread without a lock.
 * DESIGN (what libmicrohttpd 0.9.75 leaves to us)
 *   - Its time-out is for idle connections: a byte at a time lives for
 *     ever.  So every connection has a deadline of ours; a sweep shuts the
 *     socket down and libmicrohttpd then sees its end.
 *   - An answer cannot be queued in the middle of an upload: when a chunked
 *     body passes the limit the answer is written to the socket by us, which
 *     is sound because nothing else is on its way out then.
 *   - After a resume it may read before it answers, and who has shut its
 *     sending side down would be closed unanswered.  It does not when the
 *     connection was suspended after its run, not in the access handler.
 *   - It does not see that a client went while its request is suspended:
 *     `gone_fd` is an epoll for hang-ups of just those.
 *   - MHD_stop_daemon aborts while connections are suspended: all are
 *     resumed first.
 *   - It runs without pause while the size line of a chunk is longer than its
 *     buffer.  So when it wants to run at once again and again, and nothing
 *     comes of it, it has to wait a little.
 *   - Its TLS spins while a handshake waits for bytes: fronts of our own do
 *     it instead, see http_tls.c.
 *   - A queued answer is handed over in the access handler, after a resume:
 *     never from outside.
 *
 *   accepted -> FRESH -> RECEIVING -> ANSWERING -> RESTING -> RECEIVING ...
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/inside.h"

enum {
	BACKLOG = 1024,
	SWEEP_MIN_US = 10 * CLOCK_US_PER_MS,
	SWEEP_MAX_US = CLOCK_US_PER_S,
	CLOSE_ROUNDS = 3,
	/* head of a request, read and write buffer; all of it is cleared after
	 * each request */
	CONN_MEMORY = 32 * 1024,
	STILL_RUNS = 16, /* without a wait and without a call: not so fast */
	STILL_US = 2 * CLOCK_US_PER_MS,
	CONN_SPARE = 32, /* accepted only to be refused: over our own limit */
};

/* ---- running libmicrohttpd ---------------------------------------------- */

static void on_timer(struct timer *t, int64_t now_us);

static void run_at(struct http_listener *l, int64_t due_us)
{
	/* it can only fail the very first time, which http_server_open tells:
	 * later the heap has its place, and a new one is tried at the next
	 * event */
	if (timer_start(&l->timer, l->server->loop, due_us, on_timer))
		log_error("http timer lost: out of memory");
}

static void run_once(struct http_listener *l)
{
	struct http_server *s = l->server;

	(void)MHD_run(l->daemon);
	LIST_EACH(&s->waiting, link, after)
	{
		struct http_incoming *in =
			CONTAINER_OF(link, struct http_incoming, waiting);

		list_remove(&in->waiting);
		if (in->answered || in->dead)
			continue; /* meanwhile: it is asked for again */
		in->suspended = true;
		MHD_suspend_connection(in->mhd);
	}
}

static void run(struct http_listener *l)
{
	struct http_server *s = l->server;
	int64_t now_us = loop_now_us(s->loop);
	MHD_UNSIGNED_LONG_LONG wait_ms;

	assert(!s->running);
	s->running = true;
	s->called = false;
	l->again = false;
	run_once(l);
	s->running = false;
	if (!MHD_get_timeout(l->daemon, &wait_ms))
		wait_ms = ULLONG_MAX;
	l->still = !wait_ms && !s->called ? l->still + 1 : 0;
	if (l->again)
		run_at(l, now_us);
	else if (l->still > STILL_RUNS)
		run_at(l, now_us + STILL_US);
	else if (wait_ms != ULLONG_MAX)
		run_at(l, now_us + (int64_t)wait_ms * CLOCK_US_PER_MS);
	else
		timer_stop(&l->timer);
}

/* libmicrohttpd does not wake its own epoll descriptor for this when it has
 * no thread of its own. */
void http_incoming_resume(struct http_incoming *in)
{
	struct http_listener *l = in->conn->listener;

	if (!in->suspended)
		return;
	in->suspended = false;
	MHD_resume_connection(in->mhd);
	l->again = true;
	if (!l->server->closing)
		run_at(l, loop_now_us(l->server->loop));
}

static void on_timer(struct timer *t, int64_t now_us)
{
	(void)now_us;
	run(CONTAINER_OF(t, struct http_listener, timer));
}

static void on_watch(struct watch *w, unsigned events, int64_t now_us)
{
	(void)events;
	(void)now_us;
	run(CONTAINER_OF(w, struct http_listener, watch));
}

/* ---- connections -------------------------------------------------------- */

/* libmicrohttpd does not look for the end of a client whose end came
 * together with its request. */
static bool has_shut_down(const struct http_conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

/* .. and libmicrohttpd has read it. */
static bool has_said_all(const struct http_conn *c)
{
	int unread = 0;

	return !c->cut && has_shut_down(c) &&
	       !ioctl(c->fd, FIONREAD, &unread) && !unread;
}

static void set_phase(struct http_conn *c, enum http_phase phase)
{
	struct http_server *s = c->server;
	int64_t now_us = loop_now_us(s->loop);

	c->phase = phase;
	switch (phase) {
	case HTTP_FRESH:
	case HTTP_RECEIVING:
		c->deadline_us = now_us + s->config.header_us;
		break;
	case HTTP_RESTING:
		c->deadline_us = now_us + (has_shut_down(c) ? HTTP_LAST_S
							    : HTTP_IDLE_S) *
						  CLOCK_US_PER_S;
		break;
	case HTTP_ANSWERING:
		c->deadline_us = 0;
		break;
	}
}

static void count_refused(const struct http_conn *c, unsigned status)
{
	const struct http_server *s = c->server;

	counter_add(COUNT_http_refused, 1);
	if (s->config.refused)
		s->config.refused((int)status, &c->guest.peer, s->arg);
}

/* Answer past libmicrohttpd: only while it has nothing to send. */
static void send_raw(struct http_conn *c, unsigned status, const char *detail)
{
	char text[1024];
	size_t len = http_problem_raw(status, detail, text, sizeof(text));

	/* a few hundred bytes into an empty socket buffer: whole or gone */
	if (send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("http conn=%d answer %u not sent", c->fd, status);
}

/* libmicrohttpd sees the end of the socket in its next round and closes it. */
static void cut_off(struct http_conn *c, unsigned status, const char *detail)
{
	c->cut = true;
	c->deadline_us = 0;
	if (c->phase == HTTP_RECEIVING)
		send_raw(c, status, detail);
	if (c->phase == HTTP_FRESH || c->phase == HTTP_RECEIVING)
		count_refused(c, status);
	if (c->phase == HTTP_RECEIVING)
		http_linger_start(c->server, c->fd);
	(void)shutdown(c->fd, SHUT_RDWR);
}

static void on_sweep(struct timer *t, int64_t now_us);

void http_sweep_start(struct http_server *s)
{
	int64_t wait_us = s->config.header_us / 4;

	if (timer_is_armed(&s->sweep))
		return;
	if (wait_us < SWEEP_MIN_US)
		wait_us = SWEEP_MIN_US;
	if (wait_us > SWEEP_MAX_US)
		wait_us = SWEEP_MAX_US;
	if (timer_start(&s->sweep, s->loop, loop_now_us(s->loop) + wait_us,
			on_sweep))
		log_error("http sweep lost: out of memory");
}

static void on_sweep(struct timer *t, int64_t now_us)
{
	struct http_server *s = CONTAINER_OF(t, struct http_server, sweep);

	LIST_EACH(&s->conns, l, after)
	{
		struct http_conn *c = CONTAINER_OF(l, struct http_conn, link);

		if (c->deadline_us && now_us >= c->deadline_us)
			cut_off(c, 408, "the request did not come in time");
		else if (c->phase == HTTP_RECEIVING && has_said_all(c))
			cut_off(c, 400, "the request is not whole");
	}
	if (s->tls)
		http_tls_sweep(s, now_us);
	if (s->n_conns + s->n_guests > 0)
		http_sweep_start(s);
}

static void addr_take(struct addr *a, const struct sockaddr *from,
		      socklen_t len)
{
	*a = (struct addr){0};
	if (len > sizeof(a->any))
		return;
	memcpy(&a->any, from, len);
	a->len = len;
}

static enum MHD_Result on_accept(void *cls, const struct sockaddr *from,
				 socklen_t len)
{
	struct http_server *s = cls;
	struct addr peer;

	if (s->closing)
		return MHD_NO;
	if (s->tls) /* asked for its front already */
		return MHD_YES;
	addr_take(&peer, from, len);
	return http_guest_may_come(s, &peer) ? MHD_YES : MHD_NO;
}

static struct http_conn *conn_new(struct http_listener *l,
				  struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info;
	struct http_conn *c = mem_zalloc(sizeof(*c));
	struct http_server *s = l->server;

	if (!c)
		return NULL;
	c->server = s;
	c->listener = l;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	c->fd = info->connect_fd;
	info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	addr_take(&c->guest.peer, info->client_addr,
		  info->client_addr->sa_family == AF_INET6
			  ? sizeof(struct sockaddr_in6)
			  : sizeof(struct sockaddr_in));
	if (!s->tls)
		http_guest_add(s, &c->guest);
	list_append(&s->conns, &c->link);
	s->n_conns++;
	set_phase(c, HTTP_FRESH);
	http_sweep_start(s);
	return c;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_listener *l = cls;
	struct http_conn *c = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = conn_new(l, mhd);
		return;
	}
	if (!c)
		return;
	*context = NULL;
	if (!l->server->tls)
		http_guest_remove(l->server, &c->guest);
	list_remove(&c->link);
	l->server->n_conns--;
	mem_free(c);
}

/* ---- requests ----------------------------------------------------------- */

/* libmicrohttpd's first call about a request, with the line as sent. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct http_conn *c = info->socket_context;
	struct http_server *s = cls;
	struct http_incoming *in;

	s->called = true;
	if (!c)
		return NULL;
	in = mem_zalloc(sizeof(*in));
	if (!in)
		return NULL;
	in->raw = mem_strdup(uri);
	if (!in->raw) {
		mem_free(in);
		return NULL;
	}
	buf_init(&in->body, c->server->config.max_body);
	in->conn = c;
	in->mhd = mhd;
	in->pub.peer = c->guest.peer;
	in->pub.is_tls = c->server->tls != NULL;
	c->in = in;
	set_phase(c, HTTP_RECEIVING);
	return in;
}

/* By libmicrohttpd, which has answered it (400, 413, 431). */
static bool was_refused(const struct http_incoming *in,
			enum MHD_RequestTerminationCode code)
{
	return in->conn->phase == HTTP_RECEIVING && !in->dead &&
	       !in->conn->cut &&
	       (code == MHD_REQUEST_TERMINATED_COMPLETED_OK ||
		code == MHD_REQUEST_TERMINATED_WITH_ERROR);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct http_incoming *in = *context;
	struct http_server *s = cls;

	(void)mhd;
	s->called = true;
	if (!in)
		return;
	*context = NULL;
	if (was_refused(in, code))
		count_refused(in->conn, 400);
	http_gone_remove(in->conn);
	in->conn->in = NULL;
	list_remove(&in->waiting);
	if (!in->conn->cut)
		set_phase(in->conn, HTTP_RESTING);
	if (in->stream)
		http_stream_detach(in->stream);
	else if (!in->answered && !in->dead && in->gone)
		in->gone(in->gone_arg);
	http_incoming_free(in);
}

static enum MHD_Result queue(struct http_incoming *in)
{
	struct http_conn *c = in->conn;
	enum MHD_Result ok;

	if (!in->response)
		return MHD_NO;
	if (!in->stream)
		c->deadline_us = loop_now_us(c->server->loop) +
				 (int64_t)HTTP_ANSWER_S * CLOCK_US_PER_S;
	ok = MHD_queue_response(in->mhd, in->status, in->response);
	MHD_destroy_response(in->response);
	in->response = NULL;
	return ok;
}

/* Refuse a request that never reaches a handler.  `unread`: more of it may
 * come, and must not reset the connection. */
static enum MHD_Result refuse(struct http_incoming *in, unsigned status,
			      const char *detail, bool unread)
{
	struct http_conn *c = in->conn;

	count_refused(c, status);
	set_phase(c, HTTP_ANSWERING);
	in->answered = true;
	in->status = status;
	in->response = http_problem(status, detail);
	if (unread)
		http_linger_start(c->server, c->fd);
	return queue(in);
}

static enum MHD_Result refuse_too_large(struct http_incoming *in)
{
	char detail[96];

	snprintf(detail, sizeof(detail), "the body may have at most %zu bytes",
		 in->conn->server->config.max_body);
	return refuse(in, 413, detail, true);
}

/* The head is there, nothing of the body was asked for yet. */
static enum MHD_Result on_head(struct http_incoming *in, const char *method)
{
	const char *fault;
	uint64_t len;
	bool body;
	int err;

	in->begun = true;
	in->is_head = !strcmp(method, "HEAD");
	in->pub.method = in->is_head ? "GET" : method;
	fault = http_head_fault(in, &body, &len);
	if (fault)
		return refuse(in, 400, fault, body);
	err = http_incoming_parse(in);
	if (err == ENOMEM)
		return refuse(in, 503, "out of memory, try again", body);
	if (err)
		return refuse(in, 400,
			      "the path and query must start with '/', hold at "
			      "most 256 parameters, valid percent escapes and "
			      "no NUL",
			      body);
	if (len > in->conn->server->config.max_body)
		return refuse_too_large(in);
	return MHD_YES;
}

/* A piece of the body.  Over the limit only a chunked one can come. */
static enum MHD_Result on_body(struct http_incoming *in, const char *data,
			       size_t len)
{
	struct http_conn *c = in->conn;
	unsigned status = 413;
	char detail[96];

	buf_append(&in->body, data, len);
	if (!buf_err(&in->body))
		return MHD_YES;
	snprintf(detail, sizeof(detail), "the body may have at most %zu bytes",
		 c->server->config.max_body);
	if (buf_err(&in->body) == ENOMEM) {
		status = 503;
		snprintf(detail, sizeof(detail), "out of memory, try again");
	}
	count_refused(c, status);
	in->dead = true;
	send_raw(c, status, detail);
	http_linger_start(c->server, c->fd);
	return MHD_NO;
}

static enum MHD_Result on_whole(struct http_incoming *in)
{
	struct http_server *s = in->conn->server;

	counter_add(COUNT_http_requests, 1);
	set_phase(in->conn, HTTP_ANSWERING);
	in->pub.body = (const uint8_t *)buf_str(&in->body);
	in->pub.body_len = in->body.len;
	s->handler(&in->pub, s->arg);
	if (in->stream || !in->answered)
		http_gone_add(in->conn);
	if (in->dead)
		return MHD_NO;
	if (in->answered)
		return queue(in);
	list_append(&s->waiting, &in->waiting);
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd,
				  const char *url, const char *method,
				  const char *version, const char *data,
				  size_t *len, void **context)
{
	struct http_server *s = cls;
	struct http_incoming *in = *context;
	size_t n = *len;

	s->called = true;
	(void)mhd;
	(void)url;
	(void)version;
	if (!in || in->dead || in->conn->cut)
		return MHD_NO;
	if (in->answered)
		return queue(in);
	if (s->closing)
		return MHD_NO;
	if (link_is_on_list(&in->waiting))
		return MHD_YES; /* once more before run_once came to it */
	if (!in->begun)
		return on_head(in, method);
	if (n > 0) {
		*len = 0;
		return on_body(in, data, n);
	}
	return on_whole(in);
}

/* libmicrohttpd must leave the escapes as they are: see http_request.c. */
static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
	(void)cls;
	(void)mhd;
	return strlen(text);
}

/* ---- opening and closing ------------------------------------------------ */

static int listen_at(const struct addr *at, int *out)
{
	int fd = socket(at->sa.sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	int err;

	if (fd < 0)
		return errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    (at->sa.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on))) ||
	    bind(fd, &at->sa, at->len) || listen(fd, BACKLOG)) {
		err = errno;
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

/* `fd`: to listen on, or -1: connections are brought by http_tls.c. */
static struct MHD_Daemon *daemon_start(struct http_listener *l, int fd)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	struct http_server *s = l->server;

	if (fd < 0)
		flags |= MHD_USE_NO_LISTEN_SOCKET;
	else if (l->addr.sa.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	return MHD_start_daemon(
		flags, 0, on_accept, s, on_request, s,
		MHD_OPTION_CONNECTION_LIMIT,
		s->config.max_connections + CONN_SPARE,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
		on_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
		fd < 0 ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_END);
}

int http_listener_adopt(struct http_listener *l, int fd,
			const struct addr *peer)
{
	assert(!l->server->running);
	errno = ENOMEM;
	if (MHD_add_connection(l->daemon, fd, &peer->sa, peer->len) != MHD_YES)
		return errno;
	run_at(l, loop_now_us(l->server->loop));
	return 0;
}

static int listener_open(struct http_server *s, struct http_listener *l,
			 const struct addr *at)
{
	const union MHD_DaemonInfo *info;
	int fd = -1;
	int err = listen_at(at, &fd);

	if (err)
		return err;
	l->server = s;
	l->addr.len = sizeof(l->addr.any);
	if (getsockname(fd, &l->addr.sa, &l->addr.len)) {
		err = errno;
		close(fd);
		return err;
	}
	l->daemon = daemon_start(l, s->tls ? -1 : fd);
	if (!l->daemon) {
		close(fd);
		return ENOMEM;
	}
	err = s->tls ? http_tls_listen(l, fd) : 0;
	if (err)
		return err;
	info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	err = watch_start(&l->watch, s->loop, info->epoll_fd, WATCH_READ,
			  on_watch);
	if (err)
		return err;
	return timer_start(&l->timer, s->loop, loop_now_us(s->loop), on_timer);
}

static int tls_open(struct http_server *s,
		    const struct http_server_config *config)
{
	struct err e = {0};
	int err = 0;

	if (config->tls.cert_file)
		err = http_tls_load(&config->tls, &s->tls, &e);
	if (config->why_not_tls)
		*config->why_not_tls = e;
	return err;
}

int http_server_reload_tls(struct http_server *s,
			   const struct http_tls_config *config, struct err *e)
{
	SSL_CTX *tls;
	int err;

	assert(loop_is_mine(s->loop));
	if (!s->tls || !config->cert_file)
		return err_set(e, EINVAL, "tls",
			       "TLS can be neither begun nor ended while "
			       "running");
	err = http_tls_load(config, &tls, e);
	if (err)
		return err;
	SSL_CTX_free(s->tls); /* what is under way holds it */
	s->tls = tls;
	return 0;
}

int http_server_open(struct loop *loop, const struct http_server_config *config,
		     http_handler_fn *handler, void *arg,
		     struct http_server **out)
{
	struct http_server *s;
	int err = 0;

	assert(loop_is_mine(loop));
	assert(config->n_listen > 0 && config->n_listen <= HTTP_MAX_LISTEN);
	assert(config->header_us > 0 && config->max_connections > 0);
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return ENOMEM;
	http_ignore_sigpipe();
	s->loop = loop;
	s->config = *config;
	/* these are the caller's, and only now */
	s->config.failed = NULL;
	s->config.why_not_tls = NULL;
	s->config.tls = (struct http_tls_config){0};
	if (!s->config.heartbeat_us)
		s->config.heartbeat_us = HTTP_HEARTBEAT_S * CLOCK_US_PER_S;
	s->handler = handler;
	s->arg = arg;
	list_init(&s->conns);
	list_init(&s->lingers);
	list_init(&s->guests);
	list_init(&s->fronts);
	list_init(&s->waiting);
	for (size_t i = 0; i < HTTP_MAX_LISTEN; i++)
		s->listeners[i].tls_fd = -1;
	err = http_gone_open(s);
	if (!err)
		err = tls_open(s, config);
	for (size_t i = 0; i < config->n_listen && !err; i++) {
		err = listener_open(s, &s->listeners[i], &config->listen[i]);
		if (err && config->failed)
			*config->failed = i;
	}
	if (err) {
		http_server_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void http_server_addr(const struct http_server *s, size_t i, struct addr *out)
{
	assert(i < s->config.n_listen);
	*out = s->listeners[i].addr;
}

/* No request is left suspended after this. */
static void let_go(struct http_server *s)
{
	LIST_EACH(&s->conns, link, after)
	{
		struct http_conn *c =
			CONTAINER_OF(link, struct http_conn, link);

		if (!c->in)
			continue;
		http_gone_tell(c->in);
		if (!c->in->answered)
			c->in->dead = true;
		http_incoming_resume(c->in);
	}
}

void http_server_close(struct http_server *s)
{
	if (!s)
		return;
	assert(loop_is_mine(s->loop));
	assert(!s->running);
	s->closing = true;
	let_go(s);
	for (size_t i = 0; i < HTTP_MAX_LISTEN; i++) {
		struct http_listener *l = &s->listeners[i];

		timer_stop(&l->timer);
		watch_stop(&l->watch);
		if (!l->daemon)
			continue;
		/* what was answered in this turn still goes out, and the end
		 * of a stream, which takes one to ask for it, to write it and
		 * to send it */
		for (int round = 0; round < CLOSE_ROUNDS; round++)
			run_once(l);
		/* a stream that ended may have been suspended by that */
		let_go(s);
		MHD_stop_daemon(l->daemon);
	}
	assert(s->n_conns == 0);
	http_tls_stop(s);
	assert(s->n_guests == 0);
	http_linger_stop_all(s);
	SSL_CTX_free(s->tls);
	timer_stop(&s->sweep);
	watch_stop(&s->gone_watch);
	if (s->gone_fd >= 0)
		close(s->gone_fd);
	mem_free(s);
}
