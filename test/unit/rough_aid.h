/** test/unit/rough_aid.h -- an HTTP endpoint on a bare socket: shows the bytes
 *  that came, and misbehaves as no proper server can. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_ROUGH_AID_H
#define TEST_UNIT_ROUGH_AID_H

/* Needs cmocka.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/io.h"

enum { ROUGH_TEXT = 8192, ROUGH_ACTS = 8 };

enum rough_act {
	ROUGH_OK,      /* 200, no body */
	ROUGH_RESET,   /* RST instead of an answer */
	ROUGH_CLOSE,   /* closes without an answer */
	ROUGH_HALF,    /* closes in the middle of the answer */
	ROUGH_ENDLESS, /* 200 with a body that never ends */
	ROUGH_NOISE    /* not HTTP */
};

/** One connection at a time, one request each. */
struct rough {
	struct loop *loop;
	int listen_fd, fd; /* fd -1: no client */
	struct watch accept, peer;
	struct addr addr;
	enum rough_act acts[ROUGH_ACTS]; /* the last one is repeated */
	size_t n_acts, at;
	char text[ROUGH_TEXT]; /* the newest request */
	size_t len;
	unsigned n_requests;
};

static inline void rough_drop(struct rough *r, bool reset)
{
	const struct linger hard = {.l_onoff = 1};

	if (r->fd < 0)
		return;
	if (reset)
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	watch_stop(&r->peer);
	close(r->fd);
	r->fd = -1;
}

static inline void rough_say(struct rough *r, const char *text)
{
	(void)!send(r->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static inline void rough_act(struct rough *r, enum rough_act act)
{
	static const char *const says[] = {
		[ROUGH_OK] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
			     "Connection: close\r\n\r\n",
		[ROUGH_RESET] = "",
		[ROUGH_CLOSE] = "",
		[ROUGH_HALF] = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
			       "hel",
		[ROUGH_ENDLESS] = "HTTP/1.1 200 OK\r\n\r\n",
		[ROUGH_NOISE] = "SSH-2.0-OpenSSH_9.2\r\n\r\n",
	};

	rough_say(r, says[act]);
	if (act == ROUGH_ENDLESS)
		assert_int_equal(
			watch_change(&r->peer, WATCH_READ | WATCH_WRITE), 0);
	else
		rough_drop(r, act == ROUGH_RESET);
}

static inline bool rough_is_whole(const struct rough *r)
{
	const char *end = strstr(r->text, "\r\n\r\n");
	const char *length = strstr(r->text, "Content-Length: ");

	return end && length && length < end &&
	       r->len >= (size_t)(end + 4 - r->text) +
				 strtoul(length + strlen("Content-Length: "),
					 NULL, 10);
}

static inline void rough_on_peer(struct watch *w, unsigned events,
				 int64_t now_us)
{
	struct rough *r = CONTAINER_OF(w, struct rough, peer);
	static const char block[32768];
	ssize_t n;

	(void)now_us;
	if (events & WATCH_WRITE)
		(void)!send(r->fd, block, sizeof(block),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	if (!(events & WATCH_READ))
		return;
	n = recv(r->fd, r->text + r->len, sizeof(r->text) - 1 - r->len,
		 MSG_DONTWAIT);
	if (n <= 0) {
		rough_drop(r, false);
		return;
	}
	r->len += (size_t)n;
	r->text[r->len] = '\0';
	if (!rough_is_whole(r))
		return;
	r->n_requests++;
	rough_act(r, r->acts[r->at]);
	if (r->at + 1 < r->n_acts)
		r->at++;
}

static inline void rough_on_accept(struct watch *w, unsigned events,
				   int64_t now_us)
{
	struct rough *r = CONTAINER_OF(w, struct rough, accept);

	(void)events;
	(void)now_us;
	rough_drop(r, false);
	r->fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(r->fd >= 0);
	r->len = 0;
	assert_int_equal(watch_start(&r->peer, r->loop, r->fd, WATCH_READ,
				     rough_on_peer),
			 0);
}

static inline void rough_open(struct rough *r, struct loop *loop)
{
	*r = (struct rough){.loop = loop, .fd = -1, .n_acts = 1};
	assert_int_equal(addr_parse("127.0.0.1:0", &r->addr), 0);
	r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(r->listen_fd, &r->addr.sa, r->addr.len), 0);
	assert_int_equal(listen(r->listen_fd, 16), 0);
	r->addr.len = sizeof(r->addr.any);
	assert_int_equal(getsockname(r->listen_fd, &r->addr.sa, &r->addr.len),
			 0);
	assert_int_equal(watch_start(&r->accept, loop, r->listen_fd, WATCH_READ,
				     rough_on_accept),
			 0);
}

static inline void rough_close(struct rough *r)
{
	rough_drop(r, false);
	watch_stop(&r->accept);
	close(r->listen_fd);
}

#endif
