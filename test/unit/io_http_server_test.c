/** test/unit/io_http_server_test.c -- the HTTP server over real sockets. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/io.h"

enum { PATIENCE_US = 5 * CLOCK_US_PER_S, MAX_BODY = 1000 };

struct fixture {
	struct loop *loop;
	struct http_server *server;
	struct addr addr;
	struct http_request *held; /* not answered yet */
	struct http_stream *stream;
	int gone;
	int stream_gone;
	int drained;
	int refused; /* the last status */
	int n_refused;
	int handled;
	char seen[2048]; /* what the handler saw */
};

static void on_held_gone(void *arg)
{
	struct fixture *f = arg;

	f->gone++;
	f->held = NULL;
}

static void on_stream_gone(void *arg)
{
	struct fixture *f = arg;

	f->stream_gone++;
	f->stream = NULL;
}

static void on_refused(int status, const struct addr *peer, void *arg)
{
	struct fixture *f = arg;

	assert_true(addr_is_loopback(peer));
	f->refused = status;
	f->n_refused++;
}

static int add_param(const char *name, const char *value, void *arg)
{
	struct fixture *f = arg;
	size_t at = strlen(f->seen);

	snprintf(f->seen + at, sizeof(f->seen) - at, " [%s=%s]", name, value);
	return 0;
}

static void reply_text(struct http_request *r, int status, const char *text)
{
	const struct http_field fields[] = {{"X-Test", "yes"}};

	http_reply(r, &(struct http_answer){
			      .status = status,
			      .content_type = text ? "text/plain" : NULL,
			      .fields = fields,
			      .n_fields = 1,
			      .body = text,
			      .body_len = text ? strlen(text) : 0});
}

static int digits_file(void)
{
	int fd = memfd_create("digits", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	return fd;
}

static void on_request(struct http_request *r, void *arg)
{
	struct fixture *f = arg;

	f->handled++;
	snprintf(f->seen, sizeof(f->seen), "%s %s %s %zu:%s", r->method,
		 r->raw_path, r->path, r->body_len, (const char *)r->body);
	http_query_each(r, add_param, f);
	if (!strcmp(r->path, "/hold") || !strcmp(r->path, "/hold-quietly")) {
		f->held = r;
		if (!strcmp(r->path, "/hold"))
			http_on_gone(r, on_held_gone, f);
		return;
	}
	if (!strcmp(r->path, "/stream")) {
		f->stream = http_reply_stream(r, on_stream_gone, f);
		return;
	}
	if (!strcmp(r->path, "/file")) {
		http_reply_file(r, digits_file(), "audio/mpeg");
		return;
	}
	if (!strcmp(r->path, "/none")) {
		reply_text(r, 204, NULL);
		return;
	}
	reply_text(r, 200, f->seen);
}

static void fixture_open(struct fixture *f, struct http_server_config config)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(loop_new(&f->loop), 0);
	if (!config.n_listen) {
		config.n_listen = 1;
		assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]),
				 0);
	}
	if (!config.max_body)
		config.max_body = MAX_BODY;
	if (!config.max_connections)
		config.max_connections = 50;
	if (!config.header_us)
		config.header_us = 5 * CLOCK_US_PER_S;
	config.refused = on_refused;
	assert_int_equal(
		http_server_open(f->loop, &config, on_request, f, &f->server),
		0);
	http_server_addr(f->server, 0, &f->addr);
	assert_true(addr_port(&f->addr) > 0);
}

static void fixture_close(struct fixture *f)
{
	http_server_close(f->server);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
}

static int dial(const struct addr *to)
{
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &to->sa, to->len), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ssize_t len = (ssize_t)strlen(text);

	assert_int_equal(send(fd, text, (size_t)len, MSG_NOSIGNAL), len);
}

/* Turn the loop until `text` came, or (NULL) the other side closed.
 * Everything that came is in `b`.  Returns recv's last result. */
static ssize_t hear(struct fixture *f, int fd, struct buf *b, const char *text)
{
	int64_t end_us = clock_now_us() + PATIENCE_US;
	ssize_t n = -1;

	while (clock_now_us() < end_us) {
		char bytes[4096];

		loop_turn(f->loop, 2000);
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n > 0)
			buf_append(b, bytes, (size_t)n);
		if (text && strstr(buf_str(b), text))
			return n;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return n;
	}
	fail_msg("waited in vain for %s after: %s", text ? text : "the end",
		 buf_str(b));
	return n;
}

/* One request on a connection of its own, answered whole. */
static const char *ask(struct fixture *f, struct buf *b, const char *text)
{
	int fd = dial(&f->addr);

	buf_clear(b);
	say(fd, text);
	assert_int_equal(hear(f, fd, b, NULL), 0);
	close(fd);
	return buf_str(b);
}

static void turn_for(struct fixture *f, int64_t us)
{
	int64_t end_us = clock_now_us() + us;

	while (clock_now_us() < end_us)
		loop_turn(f->loop, 2000);
}

#define GET(path, more)                                                       \
	"GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more "\r" \
	"\n"

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no '%s' in: %s", part, text);
}

static void server_answers_get_with_length_and_nosniff(void **state)
{
	struct fixture f;
	struct buf b;
	const char *got;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	got = ask(&f, &b, GET("/a/b", ""));
	assert_has(got, "HTTP/1.1 200 OK\r\n");
	assert_has(got, "Content-Length: 16\r\n");
	assert_has(got, "X-Content-Type-Options: nosniff\r\n");
	assert_has(got, "Content-Type: text/plain\r\n");
	assert_has(got, "X-Test: yes\r\n");
	assert_has(got, "\r\n\r\nGET /a/b /a/b ");
	got = ask(&f, &b, GET("/none", ""));
	assert_has(got, "HTTP/1.1 204");
	fixture_close(&f);
	buf_fini(&b);
}

static void server_hands_over_the_whole_body(void **state)
{
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01");
	turn_for(&f, 20000);
	assert_int_equal(f.handled, 0);
	say(fd, "23456789");
	hear(&f, fd, &b, "10:0123456789");
	/* the same connection again, chunked */
	buf_clear(&b);
	say(fd, "POST /y HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	turn_for(&f, 10000);
	say(fd, "2\r\nde\r\n0\r\n\r\n");
	hear(&f, fd, &b, "5:abcde");
	assert_int_equal(f.handled, 2);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_keeps_escapes_in_raw_path_and_decodes_once(void **state)
{
	struct fixture f;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	ask(&f, &b, GET("/a%2Fb%2525/c+d?q=%26+x&empty=&flag&n%3Dm=1", ""));
	assert_string_equal(f.seen, "GET /a%2Fb%2525/c+d /a/b%25/c+d 0: "
				    "[q=& x] [empty=] [flag=] [n=m=1]");
	assert_has(ask(&f, &b, GET("/a?%zz=1", "")), "400");
	fixture_close(&f);
	buf_fini(&b);
}

static void server_refuses_bad_request_lines_before_the_handler(void **state)
{
	static const char *const bad[] = {
		GET("/a%00b", ""),
		GET("/a%", ""),
		GET("/a%4", ""),
		GET("/a%g1", ""),
		GET("/a?x=%00", ""),
		GET("/a?x%0", ""),
		GET("http://x/a", ""),
		GET("*", ""),
		GET("/a", "Host: y\r\n"),
		GET("/a", "Content-Length: 1\r\nContent-Length: 1\r\n"),
		GET("/a", "Content-Length: 1\r\n"
			  "Transfer-Encoding: chunked\r\n"),
		GET("/a", "Content-Length: -1\r\n"),
		/* what a proxy before us may read in another way */
		GET("/a", "Content-Length : 1\r\n"),
		GET("/a", "Content-Length:\r\n 1\r\n"),
		GET("/a", "Transfer-Encoding : chunked\r\n"),
		GET("/a", "Transfer-Encoding:\r\n chunked\r\n"),
		GET("/a", "Transfer-Encoding: gzip, chunked\r\n"),
		GET("/a", "Transfer-Encoding: identity\r\n"),
		GET("/a", "Transfer-Encoding: \vchunked\r\n"),
		GET("/a", "X\001Y: 1\r\n"),
		GET("/a", "X Y: 1\r\n"),
	};
	struct fixture f;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *got = ask(&f, &b, bad[i]);

		if (!strstr(got, " 400 "))
			fail_msg("%s -> %s", bad[i], got);
	}
	assert_int_equal(f.handled, 0);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_refuses_too_long_bodies_by_their_length(void **state)
{
	struct fixture f;
	struct buf b;
	char block[4096];
	int fd;

	(void)state;
	memset(block, 'x', sizeof(block));
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	/* at the limit is fine, behind it is not, and nothing need be sent */
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
	hear(&f, fd, &b, NULL);
	assert_has(buf_str(&b), "HTTP/1.1 413 ");
	assert_has(buf_str(&b), "application/problem+json");
	assert_has(buf_str(&b), "at most 1000 bytes");
	close(fd);
	/* a client that sends all of it first still reads the answer */
	buf_clear(&b);
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\n"
		"Content-Length: 10485760\r\n\r\n");
	for (int i = 0; i < 256; i++) {
		if (send(fd, block, sizeof(block),
			 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			assert_int_equal(errno, EAGAIN);
		loop_turn(f.loop, 0);
	}
	assert_int_equal(hear(&f, fd, &b, NULL), 0);
	assert_has(buf_str(&b), "HTTP/1.1 413 ");
	close(fd);
	assert_int_equal(f.handled, 0);
	assert_int_equal(f.refused, 413);
	assert_int_equal(f.n_refused, 2);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_refuses_endless_chunked_bodies(void **state)
{
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		if (send(fd, "10\r\n0123456789abcdef\r\n", 22, MSG_NOSIGNAL) <
		    0)
			fail_msg("reset at %d", i);
		loop_turn(f.loop, 0);
	}
	assert_int_equal(hear(&f, fd, &b, NULL), 0);
	assert_has(buf_str(&b), "HTTP/1.1 413 ");
	assert_has(buf_str(&b), "at most 1000 bytes");
	close(fd);
	assert_int_equal(f.handled, 0);
	assert_int_equal(f.n_refused, 1);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_does_not_invite_a_body_it_refuses(void **state)
{
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
		"Content-Length: 5000\r\n\r\n");
	hear(&f, fd, &b, NULL);
	assert_true(!strncmp(buf_str(&b), "HTTP/1.1 413 ", 13));
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_cuts_off_slow_requests(void **state)
{
	struct http_server_config config = {.header_us = 100000};
	struct fixture f;
	struct buf b;
	int head, body, silent;
	int64_t began_us;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, config);
	began_us = clock_now_us();
	head = dial(&f.addr);
	body = dial(&f.addr);
	silent = dial(&f.addr);
	say(body, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n");
	say(head, "GET / HT");
	/* a byte at a time never is idle */
	for (int i = 0; i < 30; i++) {
		(void)!send(body, "x", 1, MSG_NOSIGNAL);
		(void)!send(head, "x", 1, MSG_NOSIGNAL);
		turn_for(&f, 10000);
	}
	assert_true(hear(&f, body, &b, "408") > 0);
	assert_has(buf_str(&b), "did not come in time");
	assert_true(recv(head, &(char){0}, 1, MSG_DONTWAIT) <= 0);
	assert_true(errno != EAGAIN);
	assert_true(recv(silent, &(char){0}, 1, MSG_DONTWAIT) <= 0);
	assert_true(clock_now_us() - began_us < 2 * CLOCK_US_PER_S);
	assert_int_equal(f.handled, 0);
	assert_int_equal(f.n_refused, 3);
	assert_int_equal(f.refused, 408);
	close(head);
	close(body);
	close(silent);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_does_not_cut_off_a_request_that_waits_for_its_answer(
	void **state)
{
	struct http_server_config config = {.header_us = 50000};
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, config);
	fd = dial(&f.addr);
	say(fd, GET("/hold", ""));
	turn_for(&f, 200000);
	assert_non_null(f.held);
	reply_text(f.held, 200, "late");
	hear(&f, fd, &b, "\r\n\r\nlate");
	assert_int_equal(f.gone, 0);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

/* With a reset, as of a process that was killed before it read. */
static void hang_up(int fd)
{
	const struct linger at_once = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once,
				    sizeof(at_once)),
			 0);
	close(fd);
}

static void server_notices_that_a_waiting_client_went(void **state)
{
	struct fixture f;
	int64_t end_us;
	int fd;

	(void)state;
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, GET("/hold", ""));
	while (!f.held)
		loop_turn(f.loop, 2000);
	hang_up(fd);
	end_us = clock_now_us() + PATIENCE_US;
	while (!f.gone && clock_now_us() < end_us)
		loop_turn(f.loop, 2000);
	assert_int_equal(f.gone, 1);
	turn_for(&f, 20000);
	assert_int_equal(f.gone, 1);
	/* also one that nobody listens for, answered too late */
	fd = dial(&f.addr);
	say(fd, GET("/hold-quietly", ""));
	while (!f.held)
		loop_turn(f.loop, 2000);
	close(fd);
	turn_for(&f, 20000);
	reply_text(f.held, 200, "nobody");
	turn_for(&f, 20000);
	fixture_close(&f);
}

static void server_answers_pipelined_requests_in_order(void **state)
{
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"
		"GET /second HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_for(&f, 20000);
	assert_int_equal(f.handled, 1);
	reply_text(f.held, 200, "first");
	hear(&f, fd, &b, "GET /second /second");
	assert_has(buf_str(&b), "\r\n\r\nfirstHTTP/1.1 200");
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_streams_events_and_heartbeats(void **state)
{
	struct http_server_config config = {.heartbeat_us = 50000};
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, config);
	fd = dial(&f.addr);
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&f, fd, &b, "3\r\n:\n\n\r\n");
	assert_has(buf_str(&b), "Content-Type: text/event-stream\r\n");
	assert_has(buf_str(&b), "Transfer-Encoding: chunked\r\n");
	buf_clear(&b);
	assert_true(http_stream_send(f.stream, "data: 1\n\n", 9));
	hear(&f, fd, &b, "data: 1\n\n");
	buf_clear(&b);
	hear(&f, fd, &b, ":\n\n"); /* the heartbeat */
	http_stream_end(f.stream);
	f.stream = NULL;
	buf_clear(&b);
	hear(&f, fd, &b, "0\r\n\r\n");
	assert_int_equal(f.stream_gone, 0);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void on_stream_drained(void *arg)
{
	struct fixture *f = arg;

	f->drained++;
}

static void server_tells_once_that_a_stream_has_gone_out(void **state)
{
	static char block[65536];
	struct fixture f;
	struct buf b;
	uint64_t taken;
	int fd;

	(void)state;
	memset(block, 'x', sizeof(block));
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&f, fd, &b, ":\n\n");
	turn_for(&f, 10000);
	assert_int_equal(http_stream_queued(f.stream), 0);
	/* also when nothing is queued: not at once, and once */
	http_stream_on_drained(f.stream, on_stream_drained);
	assert_int_equal(f.drained, 0);
	turn_for(&f, 10000);
	assert_int_equal(f.drained, 1);
	/* what is sent in the meantime has to go first */
	taken = http_stream_taken(f.stream);
	http_stream_on_drained(f.stream, on_stream_drained);
	assert_true(http_stream_send(f.stream, block, sizeof(block)));
	assert_int_equal(http_stream_queued(f.stream), sizeof(block));
	assert_true(http_stream_send(f.stream, "data: 1\n\n", 9));
	hear(&f, fd, &b, "data: 1\n\n");
	turn_for(&f, 10000);
	assert_int_equal(f.drained, 2);
	assert_int_equal(http_stream_taken(f.stream) - taken,
			 sizeof(block) + 9);
	/* one that ends, or whose client goes, tells no more */
	http_stream_on_drained(f.stream, on_stream_drained);
	http_stream_end(f.stream);
	f.stream = NULL;
	turn_for(&f, 10000);
	assert_int_equal(f.drained, 2);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_ends_streams_in_good_order_when_it_closes(void **state)
{
	struct fixture f;
	struct buf b;
	char bytes[256];
	ssize_t n;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	assert_has(ask(&f, &b, "HEAD /stream HTTP/1.0\r\nHost: x\r\n\r\n"),
		   "Content-Type: text/event-stream\r\n");
	assert_null(f.stream);
	fd = dial(&f.addr);
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	buf_clear(&b);
	hear(&f, fd, &b, ":\n\n");
	assert_true(http_stream_send(f.stream, "data: last\n\n", 12));
	http_stream_end(f.stream);
	fixture_close(&f);
	while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		buf_append(&b, bytes, (size_t)n);
	assert_int_equal(n, 0);
	assert_has(buf_str(&b), "data: last\n\n\r\n0\r\n\r\n");
	close(fd);
	buf_fini(&b);
}

static void server_notices_that_a_streams_client_went(void **state)
{
	(void)state;
	/* one that begins at once, and one that begins after a while */
	for (int late = 0; late < 2; late++) {
		struct fixture f;
		struct buf b;
		int fd;

		buf_init(&b, 1 << 20);
		fixture_open(&f, (struct http_server_config){0});
		fd = dial(&f.addr);
		say(fd, late ? "GET /hold-quietly HTTP/1.1\r\nHost: x\r\n\r\n"
			     : "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
		if (late) {
			turn_for(&f, 20000);
			f.stream =
				http_reply_stream(f.held, on_stream_gone, &f);
		}
		hear(&f, fd, &b, ":\n\n");
		close(fd);
		turn_for(&f, 50000);
		assert_int_equal(f.stream_gone, 1);
		fixture_close(&f);
		assert_int_equal(f.stream_gone, 1);
		buf_fini(&b);
	}
}

static void server_ends_a_stream_whose_client_is_a_mebibyte_behind(void **state)
{
	static char block[65536];
	struct fixture f;
	struct buf b;
	bool ok = true;
	int fd;
	int n = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	hear(&f, fd, &b, ":\n\n");
	while (ok && n < 1000) {
		ok = http_stream_send(f.stream, block, sizeof(block));
		if (ok)
			loop_turn(f.loop, 0);
		n++;
	}
	assert_false(ok);
	assert_true(n > 16);
	assert_int_equal(f.stream_gone, 0); /* not inside send */
	turn_for(&f, 20000);
	assert_int_equal(f.stream_gone, 1);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_sends_files_and_parts_of_them(void **state)
{
	static const struct {
		const char *range;
		const char *status;
		const char *field;
		const char *body;
	} rows[] = {
		{"", "200", "Content-Length: 10\r\n", "0123456789"},
		{"Range: bytes=2-4\r\n", "206",
		 "Content-Range: bytes 2-4/10\r\n", "234"},
		{"Range: bytes=7-\r\n", "206", "bytes 7-9/10\r\n", "789"},
		{"Range: bytes=-3\r\n", "206", "bytes 7-9/10\r\n", "789"},
		{"Range: bytes=-30\r\n", "206", "bytes 0-9/10\r\n",
		 "0123456789"},
		{"Range: bytes=5-99\r\n", "206", "bytes 5-9/10\r\n", "56789"},
		{"Range: bytes=10-\r\n", "416", "bytes */10\r\n", ""},
		{"Range: bytes=-0\r\n", "416", "bytes */10\r\n", ""},
		{"Range: bytes=4-2\r\n", "200", "", "0123456789"},
		{"Range: bytes=0-1,3-4\r\n", "200", "", "0123456789"},
		{"Range: lines=0-1\r\n", "200", "", "0123456789"},
		{"Range: bytes=99999999999999999999-\r\n", "200", "",
		 "0123456789"},
	};
	struct fixture f;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		const char *got;

		snprintf(text, sizeof(text),
			 "GET /file HTTP/1.1\r\nHost: x\r\n"
			 "Connection: close\r\n%s\r\n",
			 rows[i].range);
		got = ask(&f, &b, text);
		assert_has(got, rows[i].status);
		assert_has(got, rows[i].field);
		got = strstr(got, "\r\n\r\n") + 4;
		if (strcmp(rows[i].status, "416"))
			assert_string_equal(got, rows[i].body);
	}
	fixture_close(&f);
	buf_fini(&b);
}

static void server_answers_head_as_get_without_a_body(void **state)
{
	struct fixture f;
	struct buf b;
	const char *got;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	got = ask(&f, &b,
		  "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_has(got, "Content-Length: 12\r\n");
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	assert_has(f.seen, "GET /a");
	fixture_close(&f);
	buf_fini(&b);
}

static void server_limits_connections_by_address_and_in_all(void **state)
{
	struct http_server_config config = {.max_connections = 3,
					    .max_per_address = 2};
	struct fixture f;
	int fds[3];
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, config);
	for (int i = 0; i < 3; i++)
		fds[i] = dial(&f.addr);
	turn_for(&f, 20000);
	assert_true(recv(fds[0], &(char){0}, 1, MSG_DONTWAIT) < 0);
	assert_int_equal(recv(fds[2], &(char){0}, 1, MSG_DONTWAIT) > 0, 0);
	close(fds[2]);
	close(fds[1]);
	turn_for(&f, 20000);
	assert_has(ask(&f, &b, GET("/", "")), "200");
	close(fds[0]);
	fixture_close(&f);
	buf_fini(&b);
}

/* A sender that shuts its side down after a whole request (nc -N, many small
 * clients) still wants to hear how it went. */
static void server_answers_who_has_shut_its_sending_side_down(void **state)
{
	static const char *const paths[] = {"/hold", "/hold-quietly", "/now"};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(paths); i++) {
		bool late = i >= ARRAY_LEN(paths);
		struct fixture f;
		char text[128];
		struct buf b;
		int fd;

		buf_init(&b, 1 << 20);
		fixture_open(&f, (struct http_server_config){0});
		fd = dial(&f.addr);
		snprintf(text, sizeof(text),
			 "POST %s HTTP/1.1\r\nHost: x\r\n"
			 "Content-Length: 3\r\n\r\nabc",
			 paths[i % ARRAY_LEN(paths)]);
		say(fd, text);
		if (late)
			turn_for(&f, 20000);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		turn_for(&f, 20000);
		assert_int_equal(f.gone, 0);
		if (f.held)
			reply_text(f.held, 200, "heard");
		hear(&f, fd, &b, NULL);
		assert_has(buf_str(&b), " 200 OK\r\n");
		close(fd);
		fixture_close(&f);
		buf_fini(&b);
	}
}

static void server_refuses_at_once_what_can_never_be_whole(void **state)
{
	struct fixture f;
	struct buf b;
	int fd;

	(void)state;
	buf_init(&b, 1 << 20);
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hear(&f, fd, &b, NULL);
	assert_has(buf_str(&b), "400 Bad Request");
	assert_int_equal(f.refused, 400);
	assert_int_equal(f.handled, 0);
	close(fd);
	fixture_close(&f);
	buf_fini(&b);
}

static void server_closes_while_everything_is_under_way(void **state)
{
	struct fixture f;
	int hold, quiet, stream, half;

	(void)state;
	fixture_open(&f, (struct http_server_config){0});
	hold = dial(&f.addr);
	say(hold, GET("/hold", ""));
	quiet = dial(&f.addr);
	say(quiet, GET("/hold-quietly", ""));
	stream = dial(&f.addr);
	say(stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	half = dial(&f.addr);
	say(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx");
	turn_for(&f, 30000);
	assert_int_equal(f.handled, 3);
	fixture_close(&f);
	assert_int_equal(f.gone, 1);
	assert_int_equal(f.stream_gone, 1);
	close(hold);
	close(quiet);
	close(stream);
	close(half);
}

static void server_sends_what_was_answered_before_it_closes(void **state)
{
	struct fixture f;
	char text[512] = "";
	int fd;

	(void)state;
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, GET("/hold", ""));
	while (!f.held)
		loop_turn(f.loop, 2000);
	reply_text(f.held, 200, "bye");
	fixture_close(&f);
	assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_has(text, "\r\n\r\nbye");
	close(fd);
}

static void server_does_not_spin_while_nothing_happens(void **state)
{
	struct fixture f;
	struct loop_stats before, after;
	int held, stream, idle;

	(void)state;
	fixture_open(&f, (struct http_server_config){0});
	idle = dial(&f.addr);
	say(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	held = dial(&f.addr);
	say(held, GET("/hold", "") GET("/pipelined", ""));
	stream = dial(&f.addr);
	say(stream, GET("/stream", ""));
	turn_for(&f, 50000);
	assert_int_equal(f.handled, 3);
	loop_stats(f.loop, &before);
	turn_for(&f, 100000);
	loop_stats(f.loop, &after);
	assert_in_range(after.turns - before.turns, 1, 60);
	close(idle);
	close(held);
	close(stream);
	fixture_close(&f);
}

/* libmicrohttpd asks to be run again at once for as long as this stands. */
static void server_does_not_spin_when_a_chunks_line_has_no_end(void **state)
{
	static char line[100000];
	struct loop_stats before, after;
	struct fixture f;
	int64_t end_us;
	int fd;

	(void)state;
	memset(line, '0', sizeof(line));
	fixture_open(&f, (struct http_server_config){0});
	fd = dial(&f.addr);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\n"
		"Transfer-Encoding: chunked\r\n\r\n");
	assert_int_equal(send(fd, line, sizeof(line), MSG_NOSIGNAL),
			 sizeof(line));
	turn_for(&f, 50000);
	loop_stats(f.loop, &before);
	end_us = clock_now_us() + 100000;
	while (clock_now_us() < end_us)
		loop_turn(f.loop, 100000);
	loop_stats(f.loop, &after);
	assert_in_range(after.turns - before.turns, 1, 100);
	close(fd);
	fixture_close(&f);
}

static void server_listens_on_several_addresses(void **state)
{
	struct http_server_config config = {.n_listen = 2};
	struct fixture f;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(addr_parse("[::1]:0", &config.listen[1]), 0);
	fixture_open(&f, config);
	assert_has(ask(&f, &b, GET("/one", "")), "/one");
	http_server_addr(f.server, 1, &f.addr);
	assert_has(ask(&f, &b, GET("/two", "")), "/two");
	fixture_close(&f);
	buf_fini(&b);
}

static void server_says_that_an_address_is_in_use(void **state)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1,
					    .max_connections = 1,
					    .header_us = 1};
	struct http_server *other;
	struct fixture f;

	(void)state;
	fixture_open(&f, (struct http_server_config){0});
	config.listen[0] = f.addr;
	assert_int_equal(
		http_server_open(f.loop, &config, on_request, &f, &other),
		EADDRINUSE);
	fixture_close(&f);
}

/* One short life with the n-th allocation failing. */
static void live_without_memory(int64_t n)
{
	static const char *const asks[] = {
		GET("/a?b=c", ""), GET("/stream", ""), GET("/file", ""),
		GET("/b", "Content-Length: 3\r\n") "abc"};
	struct http_server_config config = {.n_listen = 1,
					    .max_body = MAX_BODY,
					    .max_connections = 10,
					    .header_us = CLOCK_US_PER_S};
	int fds[ARRAY_LEN(asks)];
	struct fixture f = {0};

	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(loop_new(&f.loop), 0);
	mem_fail_after(n);
	if (!http_server_open(f.loop, &config, on_request, &f, &f.server)) {
		http_server_addr(f.server, 0, &f.addr);
		for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
			fds[i] = dial(&f.addr);
			say(fds[i], asks[i]);
			turn_for(&f, 2000);
		}
		if (f.stream)
			(void)http_stream_send(f.stream, "data: x\n\n", 9);
		turn_for(&f, 2000);
		for (size_t i = 0; i < ARRAY_LEN(asks); i++)
			close(fds[i]);
	}
	http_server_close(f.server);
	loop_turn(f.loop, 0);
	loop_free(f.loop);
}

static void server_survives_every_failed_allocation(void **state)
{
	int64_t n = 0;

	(void)state;
	do
		live_without_memory(n++);
	while (mem_fail_happened());
	mem_fail_after(-1);
	assert_in_range(n, 10, 200);
}

static int64_t live;

static int count_live(void **state)
{
	(void)state;
	live = mem_live();
	return 0;
}

static int leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(mem_live(), live);
	return 0;
}

#define T(name) \
	cmocka_unit_test_setup_teardown(name, count_live, leaves_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(server_answers_get_with_length_and_nosniff),
		T(server_hands_over_the_whole_body),
		T(server_keeps_escapes_in_raw_path_and_decodes_once),
		T(server_refuses_bad_request_lines_before_the_handler),
		T(server_refuses_too_long_bodies_by_their_length),
		T(server_refuses_endless_chunked_bodies),
		T(server_does_not_invite_a_body_it_refuses),
		T(server_cuts_off_slow_requests),
		T(server_does_not_cut_off_a_request_that_waits_for_its_answer),
		T(server_notices_that_a_waiting_client_went),
		T(server_answers_pipelined_requests_in_order),
		T(server_streams_events_and_heartbeats),
		T(server_tells_once_that_a_stream_has_gone_out),
		T(server_ends_streams_in_good_order_when_it_closes),
		T(server_notices_that_a_streams_client_went),
		T(server_ends_a_stream_whose_client_is_a_mebibyte_behind),
		T(server_sends_files_and_parts_of_them),
		T(server_answers_head_as_get_without_a_body),
		T(server_limits_connections_by_address_and_in_all),
		T(server_answers_who_has_shut_its_sending_side_down),
		T(server_refuses_at_once_what_can_never_be_whole),
		T(server_closes_while_everything_is_under_way),
		T(server_sends_what_was_answered_before_it_closes),
		T(server_does_not_spin_while_nothing_happens),
		T(server_does_not_spin_when_a_chunks_line_has_no_end),
		T(server_listens_on_several_addresses),
		T(server_says_that_an_address_is_in_use),
		T(server_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
