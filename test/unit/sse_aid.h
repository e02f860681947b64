/** test/unit/sse_aid.h -- a server of event streams in the test's own loop, and
 *  clients that read one. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_SSE_AID_H
#define TEST_UNIT_SSE_AID_H

/* Needs cmocka.h before it. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/io.h"
#include "wire/sse.h"

enum { SSE_CAP = 1 << 20 };

/** One connection. */
struct sse_client {
	int fd; /* -1: away */
	bool in_body;
	struct buf head;
	struct sse_reader reader;
};

/** Nobody is thrown out by time. */
static inline void sse_serve(struct loop *loop, http_handler_fn *fn, void *arg,
			     struct http_server **out, struct addr *at)
{
	struct http_server_config http = {.n_listen = 1,
					  .max_body = 1000,
					  .max_connections = 100,
					  .header_us = 60 * CLOCK_US_PER_S,
					  .heartbeat_us = 60 * CLOCK_US_PER_S};

	assert_int_equal(addr_parse("127.0.0.1:0", &http.listen[0]), 0);
	assert_int_equal(http_server_open(loop, &http, fn, arg, out), 0);
	http_server_addr(*out, 0, at);
}

/** query    "" or "?key=value"
 *  rcvbuf   [bytes], 0: as it is */
static inline void sse_dial(struct sse_client *c, const struct addr *to,
			    const char *query, int rcvbuf)
{
	char text[400];
	/* 1.0: no chunks */
	const int len = snprintf(text, sizeof(text),
				 "GET /%s HTTP/1.0\r\nHost: x\r\n\r\n", query);

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	if (rcvbuf)
		assert_int_equal(setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF,
					    &rcvbuf, sizeof(rcvbuf)),
				 0);
	assert_int_equal(connect(c->fd, &to->sa, to->len), 0);
	assert_int_equal(send(c->fd, text, (size_t)len, MSG_NOSIGNAL), len);
	c->in_body = false;
	buf_init(&c->head, SSE_CAP);
	sse_init(&c->reader, SSE_CAP);
}

static inline void sse_hang_up(struct sse_client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	buf_fini(&c->head);
	sse_fini(&c->reader);
}

static inline void sse_take(struct sse_client *c, const char *bytes, size_t len,
			    sse_block_fn *fn, void *arg)
{
	const char *end;

	if (c->in_body) {
		assert_int_equal(sse_read(&c->reader, bytes, len, fn, arg), 0);
		return;
	}
	buf_append(&c->head, bytes, len);
	end = strstr(buf_str(&c->head), "\r\n\r\n");
	if (!end)
		return;
	assert_non_null(strstr(buf_str(&c->head), " 200 "));
	c->in_body = true;
	end += 4;
	sse_take(c, end, (size_t)(buf_str(&c->head) + c->head.len - end), fn,
		 arg);
}

/** Read what has come; away when the server has ended it. */
static inline void sse_listen(struct sse_client *c, sse_block_fn *fn, void *arg)
{
	static char bytes[65536];
	ssize_t n = 1;

	while (c->fd >= 0 && n > 0) {
		n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			sse_take(c, bytes, (size_t)n, fn, arg);
		else if (n == 0 || errno != EAGAIN)
			sse_hang_up(c);
	}
}

#endif
