/** test/unit/io_http_client_test.c -- the client against a hostile server. */
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/io.h"

enum { PATIENCE_US = 5 * CLOCK_US_PER_S, MAX_PEERS = 16 };

/* A connection to the hostile server; what it does is in the path. */
struct peer {
	struct fixture *f;
	struct watch watch;
	int fd; /* -1: closed */
	struct buf in;
	int requests;
	bool endless;
};

struct fixture {
	struct loop *loop;
	struct workers *workers;
	struct http_client *client;
	int listen_fd;
	uint16_t port;
	struct watch accept;
	struct peer peers[MAX_PEERS];
	size_t n_peers;
	char request[8192]; /* the last one */
	int done;
	struct http_result result;
	char body[HTTP_CLIENT_MAX_ANSWER + 1];
	struct http_transfer *transfer;
	bool free_in_done;
	bool connects; /* the call is connect_only */
	int64_t fail;  /* /fields: allocations from the answer on, -1: none */
	char taken[HTTP_TAKE_MAX][64]; /* "-": not there */
};

static void peer_close(struct peer *p, bool reset)
{
	struct linger hard = {.l_onoff = 1};

	if (p->fd < 0)
		return;
	if (reset)
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	watch_stop(&p->watch);
	close(p->fd);
	p->fd = -1;
}

static void peer_say(struct peer *p, const char *text)
{
	(void)!send(p->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const char *date_in_an_hour(void)
{
	static char text[128];
	time_t at = time(NULL) + 3600;
	struct tm tm;
	char date[64];

	gmtime_r(&at, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	snprintf(text, sizeof(text),
		 "HTTP/1.1 429 Slow\r\nRetry-After: %s\r\n"
		 "Content-Length: 0\r\n\r\n",
		 date);
	return text;
}

static void peer_act(struct peer *p, const char *path)
{
	static const struct {
		const char *path;
		const char *answer;
		bool close;
	} rows[] = {
		{"/200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		 false},
		{"/500", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
		 false},
		{"/302",
		 "HTTP/1.1 302 There\r\nLocation: /200\r\n"
		 "Content-Length: 0\r\n\r\n",
		 false},
		{"/after",
		 "HTTP/1.1 503 Later\r\nRetry-After: 7\r\n"
		 "Content-Length: 0\r\n\r\n",
		 false},
		{"/huge-after",
		 "HTTP/1.1 503 Later\r\n"
		 "Retry-After: 99999999999999999999999\r\n"
		 "Content-Length: 0\r\n\r\n",
		 false},
		{"/bad-after",
		 "HTTP/1.1 503 Later\r\nRetry-After: soon\r\n"
		 "Content-Length: 0\r\n\r\n",
		 false},
		{"/fields",
		 "HTTP/1.1 405 No\r\nX-Other: 1\r\n"
		 "webhook-allowed-ORIGIN:  a.example \t\r\n"
		 "WebHook-Allowed-Origin: second\r\nX-Empty:\r\n"
		 "Content-Length: 0\r\n\r\n",
		 false},
		{"/half", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel",
		 true},
		{"/garbage", "SSH-2.0-OpenSSH_9.2\r\n\r\n", true},
		{"/empty", "", true},
		{"/slow", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel",
		 false},
		{"/hang", "", false},
	};

	if (!strcmp(path, "/reset") ||
	    (!strcmp(path, "/stale") && p->requests > 1)) {
		peer_close(p, true);
		return;
	}
	if (!strcmp(path, "/stale"))
		path = "/200";
	if (!strcmp(path, "/fields"))
		mem_fail_after(p->f->fail);
	if (!strcmp(path, "/date-after"))
		peer_say(p, date_in_an_hour());
	if (!strcmp(path, "/endless")) {
		peer_say(p, "HTTP/1.1 200 OK\r\n\r\n");
		p->endless = true;
		assert_int_equal(
			watch_change(&p->watch, WATCH_READ | WATCH_WRITE), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].path, path))
			continue;
		peer_say(p, rows[i].answer);
		if (rows[i].close)
			peer_close(p, false);
		return;
	}
}

static bool request_is_whole(struct buf *b, size_t *len)
{
	const char *text = buf_str(b);
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strstr(text, "Content-Length: ");

	if (!end)
		return false;
	*len = (size_t)(end + 4 - text);
	if (length && length < end)
		*len += strtoul(length + 16, NULL, 10);
	return b->len >= *len;
}

static void on_peer(struct watch *w, unsigned events, int64_t now_us)
{
	static char block[32768];
	struct peer *p = CONTAINER_OF(w, struct peer, watch);
	char path[256];
	size_t len;
	ssize_t n;

	(void)now_us;
	if (p->endless && (events & WATCH_WRITE)) {
		memset(block, 'e', sizeof(block));
		(void)!send(p->fd, block, sizeof(block),
			    MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (!(events & WATCH_READ))
		return;
	n = recv(p->fd, block, sizeof(block), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		peer_close(p, false);
		return;
	}
	buf_append(&p->in, block, (size_t)n);
	if (!request_is_whole(&p->in, &len))
		return;
	str_copy(p->f->request, sizeof(p->f->request), buf_str(&p->in));
	buf_clear(&p->in);
	p->requests++;
	assert_int_equal(sscanf(p->f->request, "%*s %255s", path), 1);
	peer_act(p, path);
}

static void on_accept(struct watch *w, unsigned events, int64_t now_us)
{
	struct fixture *f = CONTAINER_OF(w, struct fixture, accept);
	int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct peer *p;

	(void)events;
	(void)now_us;
	assert_true(fd >= 0 && f->n_peers < MAX_PEERS);
	p = &f->peers[f->n_peers++];
	p->f = f;
	p->fd = fd;
	buf_init(&p->in, 1 << 20);
	assert_int_equal(
		watch_start(&p->watch, f->loop, fd, WATCH_READ, on_peer), 0);
}

static int open_client(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct http_client_config config = {.max_connections = 10,
					    .user_agent = "tapeop/test",
					    .dns_ttl_us = 60 * CLOCK_US_PER_S};
	struct addr at;

	assert_non_null(f);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(workers_new("dns", 1, &f->workers), 0);
	config.workers = f->workers;
	assert_int_equal(http_client_new(f->loop, &config, &f->client), 0);
	assert_int_equal(addr_parse("127.0.0.1:0", &at), 0);
	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listen_fd, &at.sa, at.len), 0);
	assert_int_equal(listen(f->listen_fd, 16), 0);
	at.len = sizeof(at.any);
	assert_int_equal(getsockname(f->listen_fd, &at.sa, &at.len), 0);
	f->port = addr_port(&at);
	assert_int_equal(watch_start(&f->accept, f->loop, f->listen_fd,
				     WATCH_READ, on_accept),
			 0);
	*state = f;
	return 0;
}

static int close_client(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->client);
	workers_free(f->workers);
	loop_turn(f->loop, 0);
	watch_stop(&f->accept);
	close(f->listen_fd);
	for (size_t i = 0; i < f->n_peers; i++) {
		peer_close(&f->peers[i], false);
		buf_fini(&f->peers[i].in);
	}
	loop_free(f->loop);
	free(f);
	assert_int_equal(mem_live(), 0);
	return 0;
}

static void on_done(const struct http_result *result, void *arg)
{
	struct fixture *f = arg;

	f->done++;
	f->result = *result;
	f->result.body = NULL;
	for (size_t i = 0; i < HTTP_TAKE_MAX; i++) {
		const char *taken = result->taken[i] ? result->taken[i] : "-";

		str_copy(f->taken[i], sizeof(f->taken[i]), taken);
		f->result.taken[i] = NULL;
	}
	assert_true(result->body_len <= HTTP_CLIENT_MAX_ANSWER);
	assert_int_equal(result->body[result->body_len], 0);
	memcpy(f->body, result->body, result->body_len + 1);
	/* an answer or an error, never both */
	assert_true((result->status > 0 || f->connects) ==
		    (result->error[0] == '\0'));
	if (f->free_in_done) {
		struct http_client *c = f->client;

		f->free_in_done = false;
		f->client = NULL;
		http_client_free(c);
	}
}

static void wait_done(struct fixture *f, int n)
{
	int64_t end_us = clock_now_us() + PATIENCE_US;

	while (f->done < n && clock_now_us() < end_us)
		loop_turn(f->loop, 5000);
	assert_int_equal(f->done, n);
}

/* Begin a call to `host`'s `path` on the hostile server. */
static void begin(struct fixture *f, struct http_call call, const char *host,
		  const char *path)
{
	char url[512];
	struct err e = {0};

	snprintf(url, sizeof(url), "http://%s:%u%s", host, (unsigned)f->port,
		 path);
	call.url = url;
	if (!call.method)
		call.method = "POST";
	if (!call.timeout_us)
		call.timeout_us = 3 * CLOCK_US_PER_S;
	assert_int_equal(http_client_send(f->client, &call, on_done, f, &e,
					  &f->transfer),
			 0);
}

static void get(struct fixture *f, const char *path)
{
	f->done = 0;
	begin(f, (struct http_call){.allow_private = true}, "127.0.0.1", path);
	assert_int_equal(f->done, 0); /* never inside send */
	wait_done(f, 1);
}

static void client_sends_what_it_was_given(void **state)
{
	static const char *const fields[] = {
		"Signature: abc", "X-Empty:", "Content-Type: application/json"};
	struct fixture *f = *state;
	struct http_call call = {.fields = fields,
				 .n_fields = 3,
				 .body = "{\"a\":1}",
				 .body_len = 7,
				 .allow_private = true};

	begin(f, call, "127.0.0.1", "/200?x=%2F");
	f->done = 0;
	while (!f->request[0])
		loop_turn(f->loop, 5000);
	assert_non_null(strstr(f->request, "POST /200?x=%2F HTTP/1.1\r\n"));
	assert_non_null(strstr(f->request, "\r\nSignature: abc\r\n"));
	assert_non_null(strstr(f->request, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(f->request, "\r\nContent-Length: 7\r\n"));
	assert_non_null(strstr(f->request, "\r\nUser-Agent: tapeop/test\r\n"));
	assert_non_null(strstr(f->request, "\r\n\r\n{\"a\":1}"));
	assert_null(strstr(f->request, "Expect"));
	assert_null(strstr(f->request, "x-www-form"));
	http_client_cancel(f->transfer);
}

static void client_reports_the_answer(void **state)
{
	struct fixture *f = *state;

	get(f, "/200");
	assert_int_equal(f->result.status, 200);
	assert_string_equal(f->body, "hello");
	assert_false(f->result.body_cut);
	assert_false(f->result.reused);
	assert_true(f->result.retry_after_us < 0);
	assert_true(f->result.total_us > 0);
	assert_true(f->result.first_byte_us > 0);
	get(f, "/500");
	assert_int_equal(f->result.status, 500);
	assert_string_equal(f->body, "no");
}

static void client_hands_on_the_fields_that_are_wanted(void **state)
{
	static const struct http_call call = {
		.method = "OPTIONS",
		.take = {"WebHook-Allowed-Origin", "X-Empty"},
		.allow_private = true,
	};
	static const struct http_call none = {
		.take = {NULL, "WebHook-Allowed-Rate"}, .allow_private = true};
	struct fixture *f = *state;

	f->fail = -1;
	begin(f, call, "127.0.0.1", "/fields");
	wait_done(f, 1);
	assert_true(
		str_starts_with(f->request, "OPTIONS /fields HTTP/1.1\r\n"));
	assert_null(strstr(f->request, "Content-Length"));
	assert_null(strstr(f->request, "Content-Type"));
	assert_int_equal(f->result.status, 405);
	assert_string_equal(f->taken[0], "a.example");
	assert_string_equal(f->taken[1], "");
	begin(f, none, "127.0.0.1", "/fields");
	wait_done(f, 2);
	assert_string_equal(f->taken[0], "-");
	assert_string_equal(f->taken[1], "-");
	/* All of them, or an error. */
	for (f->fail = 0; f->fail < 20; f->fail++) {
		f->done = 0;
		begin(f, call, "127.0.0.1", "/fields");
		wait_done(f, 1);
		mem_fail_after(-1);
		if (f->result.status) {
			assert_string_equal(f->taken[0], "a.example");
			assert_string_equal(f->taken[1], "");
		} else {
			assert_string_equal(f->result.error, "out of memory");
		}
	}
	assert_int_equal(f->result.status, 405);
}

static void client_does_not_follow_redirects(void **state)
{
	struct fixture *f = *state;

	get(f, "/302");
	assert_int_equal(f->result.status, 302);
	assert_int_equal(f->peers[0].requests, 1);
}

static void client_reads_retry_after_in_both_forms(void **state)
{
	struct fixture *f = *state;

	get(f, "/after");
	assert_int_equal(f->result.retry_after_us, 7 * CLOCK_US_PER_S);
	get(f, "/date-after");
	assert_int_equal(f->result.status, 429);
	assert_in_range(f->result.retry_after_us / CLOCK_US_PER_S, 3590, 3600);
	get(f, "/huge-after");
	assert_true(f->result.retry_after_us > 0);
	get(f, "/bad-after");
	assert_int_equal(f->result.retry_after_us, -1);
}

static void client_cuts_endless_answers_and_keeps_the_status(void **state)
{
	struct fixture *f = *state;

	get(f, "/endless");
	assert_int_equal(f->result.status, 200);
	assert_true(f->result.body_cut);
	assert_int_equal(f->result.body_len, HTTP_CLIENT_MAX_ANSWER);
}

static void client_gives_up_at_its_deadline(void **state)
{
	struct fixture *f = *state;
	struct http_call call = {.allow_private = true, .timeout_us = 100000};

	begin(f, call, "127.0.0.1", "/hang");
	wait_done(f, 1);
	assert_true(f->result.timed_out);
	assert_int_equal(f->result.status, 0);
	assert_string_equal(f->result.error,
			    "timed out after 100 ms, waiting for the answer");
	assert_in_range(f->result.total_us, 95000, 1000000);
	begin(f, call, "127.0.0.1", "/slow");
	wait_done(f, 2);
	assert_string_equal(f->result.error,
			    "timed out after 100 ms, reading the answer");
}

static void client_names_what_went_wrong(void **state)
{
	static const struct {
		const char *path;
		const char *error;
	} rows[] = {
		{"/reset", "connection reset by peer"},
		{"/empty", "connection closed without an answer"},
		{"/half", "connection closed in the middle of the answer"},
		{"/garbage", "the answer is not HTTP"},
	};
	struct fixture *f = *state;
	uint16_t port = f->port;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		get(f, rows[i].path);
		assert_int_equal(f->result.status, 0);
		assert_string_equal(f->result.error, rows[i].error);
		assert_false(f->result.timed_out);
	}
	f->port = 1; /* nobody listens */
	get(f, "/200");
	assert_string_equal(f->result.error, "connection refused");
	assert_false(f->result.refused_address);
	f->port = port;
}

static void client_reuses_connections(void **state)
{
	struct fixture *f = *state;

	get(f, "/200");
	get(f, "/200");
	assert_true(f->result.reused);
	assert_int_equal(f->n_peers, 1);
	assert_int_equal(f->peers[0].requests, 2);
}

static void client_retries_a_stale_connection_once_on_a_fresh_one(void **state)
{
	struct fixture *f = *state;

	get(f, "/stale");
	get(f, "/stale");
	assert_int_equal(f->result.status, 200);
	assert_false(f->result.reused);
	assert_int_equal(f->n_peers, 2);
	assert_int_equal(f->peers[0].requests, 2);
	assert_int_equal(f->peers[1].requests, 1);
}

static void client_refuses_private_addresses(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct http_call){0}, "127.0.0.1", "/200");
	wait_done(f, 1);
	assert_true(f->result.refused_address);
	assert_string_equal(f->result.error,
			    "address 127.0.0.1 is private: set allow_private: "
			    "true on the endpoint to permit it");
	begin(f, (struct http_call){0}, "[::ffff:127.0.0.1]", "/200");
	wait_done(f, 2);
	assert_true(f->result.refused_address);
	begin(f, (struct http_call){0},
	      "[fd00:1234:5678:9abc:def0:1234:5678:9abc]", "/200");
	wait_done(f, 3);
	assert_string_equal(f->result.error,
			    "address [fd00:1234:5678:9abc:def0:1234:5678:9abc] "
			    "is private: set allow_private: true on the "
			    "endpoint to permit it");
	assert_int_equal(f->n_peers, 0);
}

static void client_vets_and_pins_the_addresses_of_a_name(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct http_call){.allow_private = true}, "localhost",
	      "/200");
	wait_done(f, 1);
	assert_int_equal(f->result.status, 200);
	/* the same name without the permission: own cache, own connections */
	begin(f, (struct http_call){0}, "LocalHost", "/200");
	wait_done(f, 2);
	assert_true(f->result.refused_address);
	assert_non_null(strstr(f->result.error, " of localhost is private"));
	assert_int_equal(f->peers[0].requests, 1);
	/* known now, good and bad */
	begin(f, (struct http_call){0}, "localhost", "/200");
	wait_done(f, 3);
	assert_true(f->result.refused_address);
	begin(f, (struct http_call){.allow_private = true}, "localhost",
	      "/200");
	wait_done(f, 4);
	assert_true(f->result.reused);
}

static void client_says_that_a_name_does_not_exist(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct http_call){0}, "nothing.invalid", "/");
	wait_done(f, 1);
	assert_non_null(
		strstr(f->result.error, "cannot resolve nothing.invalid: "));
	assert_false(f->result.refused_address);
	assert_true(f->result.not_found);
}

static void client_counts_the_lookup_into_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct http_call call = {.allow_private = true, .timeout_us = 1};

	begin(f, call, "localhost", "/200");
	wait_done(f, 1);
	assert_true(f->result.timed_out);
}

static void client_only_connects_when_that_is_all(void **state)
{
	struct fixture *f = *state;
	const struct http_call call = {.allow_private = true,
				       .connect_only = true};

	f->connects = true;
	begin(f, call, "127.0.0.1", "/200");
	wait_done(f, 1);
	assert_int_equal(f->result.status, 0);
	get(f, "/200"); /* by then the peer would have read it */
	assert_int_equal(f->result.status, 200);
	assert_int_equal(f->n_peers, 2);
	assert_int_equal(f->peers[0].in.len, 0);
	assert_int_equal(f->peers[0].requests, 0);
	assert_int_equal(f->peers[1].requests, 1);
	f->connects = false;
	begin(f, (struct http_call){.connect_only = true}, "127.0.0.1", "/200");
	wait_done(f, 2);
	assert_true(f->result.refused_address);
	assert_int_equal(f->n_peers, 2);
}

static void client_cancels_at_any_time(void **state)
{
	struct fixture *f = *state;

	/* while the name is looked up */
	begin(f, (struct http_call){.allow_private = true}, "localhost",
	      "/200");
	http_client_cancel(f->transfer);
	/* before it began, while it hangs, and when it has ended */
	begin(f, (struct http_call){.allow_private = true}, "127.0.0.1",
	      "/200");
	http_client_cancel(f->transfer);
	begin(f, (struct http_call){.allow_private = true}, "127.0.0.1",
	      "/hang");
	while (!f->n_peers || !f->peers[f->n_peers - 1].requests)
		loop_turn(f->loop, 5000);
	http_client_cancel(f->transfer);
	begin(f, (struct http_call){0}, "127.0.0.1", "/200");
	http_client_cancel(f->transfer);
	for (int i = 0; i < 10; i++)
		loop_turn(f->loop, 2000);
	assert_int_equal(f->done, 0);
}

static void client_stops_calls_when_it_is_freed(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct http_call){.allow_private = true}, "127.0.0.1",
	      "/hang");
	while (!f->n_peers)
		loop_turn(f->loop, 5000);
	begin(f, (struct http_call){.allow_private = true}, "localhost",
	      "/200");
	http_client_free(f->client);
	f->client = NULL;
	assert_int_equal(f->done, 2);
	assert_string_equal(f->result.error, "stopped");
}

static void client_may_be_freed_in_done(void **state)
{
	struct fixture *f = *state;

	f->free_in_done = true;
	begin(f, (struct http_call){0}, "127.0.0.1", "/");
	begin(f, (struct http_call){0}, "127.0.0.1", "/");
	begin(f, (struct http_call){.allow_private = true}, "localhost",
	      "/hang");
	wait_done(f, 3);
	assert_null(f->client);
	loop_turn(f->loop, 0);
}

static void client_refuses_calls_that_would_smuggle(void **state)
{
	static const char *const evil[] = {"X: y\r\nZ: w", "no colon", ": x",
					   "A B: c", ""};
	struct fixture *f = *state;
	struct http_call call = {.method = "GET",
				 .url = "http://127.0.0.1/",
				 .timeout_us = 1000000,
				 .n_fields = 1};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(evil); i++) {
		call.fields = &evil[i];
		assert_int_equal(http_client_send(f->client, &call, on_done, f,
						  &e, &f->transfer),
				 EINVAL);
	}
	call.n_fields = 0;
	call.method = "GET /x HTTP/1.1\r\n";
	assert_int_equal(http_client_send(f->client, &call, on_done, f, &e,
					  &f->transfer),
			 EINVAL);
}

/* ---- the blocking one: a server in a thread ------------------------------ */

static void serve(void *arg)
{
	static const char answer[] =
		"HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nsorry";
	int listen_fd = *(int *)arg;
	char text[2048];
	int fd = accept(listen_fd, NULL, NULL);

	if (fd < 0 || recv(fd, text, sizeof(text), 0) <= 0)
		return;
	(void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
	close(fd);
}

static int fetch(struct fixture *f, size_t max, char *body, struct err *e)
{
	struct http_call call = {.method = "GET",
				 .timeout_us = 3 * CLOCK_US_PER_S};
	struct thread *thread;
	struct buf answer;
	char url[64];
	int status = 0;
	int err;

	buf_init(&answer, max);
	assert_int_equal(thread_start("serve", serve, &f->listen_fd, &thread),
			 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)f->port);
	call.url = url;
	err = http_fetch(&call, &status, &answer, e);
	thread_join(thread);
	if (!err)
		assert_int_equal(status, 404);
	str_copy(body, 100, buf_str(&answer));
	buf_fini(&answer);
	return err;
}

static void fetch_returns_status_and_body(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	char body[100];

	assert_int_equal(fetch(f, 100, body, &e), 0);
	assert_string_equal(body, "sorry");
	assert_int_equal(fetch(f, 4, body, &e), EMSGSIZE);
}

static void fetch_says_why_not(void **state)
{
	struct http_call call = {.method = "GET",
				 .url = "http://127.0.0.1:1/",
				 .timeout_us = 3 * CLOCK_US_PER_S};
	struct buf answer;
	struct err e = {0};
	int status = 0;

	(void)state;
	buf_init(&answer, 100);
	assert_int_equal(http_fetch(&call, &status, &answer, &e), ECONNREFUSED);
	assert_non_null(strstr(e.text, "connection refused"));
	call.url = "gopher://x";
	assert_int_equal(http_fetch(&call, &status, &answer, &e), EINVAL);
	buf_fini(&answer);
}

/* A stream that shows that it lives, and then no more. */
static void serve_slowly(void *arg)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	int listen_fd = *(int *)arg;
	char text[2048];
	int fd = accept(listen_fd, NULL, NULL);

	if (fd < 0 || recv(fd, text, sizeof(text), 0) <= 0)
		return;
	(void)!send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);
	for (int i = 0; i < 3; i++) {
		(void)!send(fd, ":", 1, MSG_NOSIGNAL);
		usleep(1500000);
	}
	(void)!recv(fd, text, sizeof(text), 0); /* until it has had enough */
	close(fd);
}

static int count_bytes(const void *data, size_t len, void *arg)
{
	size_t *n = arg;

	(void)data;
	*n += len;
	return 0;
}

/* Fewer than a byte a second is life, too: 3 s of silence are not. */
static void fetch_each_ends_a_stream_that_is_silent_not_one_that_is_slow(
	void **state)
{
	struct fixture *f = *state;
	struct http_call call = {.method = "GET",
				 .timeout_us = 3 * CLOCK_US_PER_S};
	struct thread *thread;
	struct buf answer;
	struct err e = {0};
	char url[64];
	size_t n = 0;
	int status = 0;

	buf_init(&answer, 100);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", (unsigned)f->port);
	call.url = url;
	assert_int_equal(
		thread_start("serve", serve_slowly, &f->listen_fd, &thread), 0);
	assert_int_equal(
		http_fetch_each(&call, count_bytes, &n, &status, &answer, &e),
		ETIMEDOUT);
	thread_join(thread);
	assert_int_equal(n, 3);
	assert_non_null(strstr(e.text, "nothing came for 3000 ms"));
	buf_fini(&answer);
}

static void client_reaches_ipv6_addresses(void **state)
{
	struct fixture *f = *state;

	f->port = 1; /* nobody listens, but it was tried */
	begin(f, (struct http_call){.allow_private = true}, "[::1]", "/");
	wait_done(f, 1);
	assert_false(f->result.refused_address);
	assert_string_equal(f->result.error, "connection refused");
}

/* One whole life with the n-th allocation failing. */
static void live_without_memory(int64_t n)
{
	static const struct http_client_config config = {.max_connections = 10,
							 .user_agent = "x"};
	struct http_client_config with = config;
	const char *const fields[] = {"A: b"};
	struct http_call call = {.method = "POST",
				 .url = "http://localhost:1/",
				 .fields = fields,
				 .n_fields = 1,
				 .body = "x",
				 .body_len = 1,
				 .timeout_us = CLOCK_US_PER_S,
				 .allow_private = true};
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	assert_non_null(f);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(workers_new("dns", 1, &f->workers), 0);
	with.workers = f->workers;
	mem_fail_after(n);
	if (!http_client_new(f->loop, &with, &f->client)) {
		int sent = !http_client_send(f->client, &call, on_done, f, &e,
					     &f->transfer);
		wait_done(f, sent);
		call.url = "http://127.0.0.1:1/";
		sent += !http_client_send(f->client, &call, on_done, f, &e,
					  &f->transfer);
		wait_done(f, sent);
	}
	http_client_free(f->client);
	workers_free(f->workers);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	free(f);
}

static void client_survives_every_failed_allocation(void **state)
{
	int64_t live = mem_live();
	int64_t n = 0;

	(void)state;
	do {
		live_without_memory(n++);
		assert_int_equal(mem_live(), live);
	} while (mem_fail_happened());
	mem_fail_after(-1);
	assert_in_range(n, 10, 200);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_client, close_client)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(client_sends_what_it_was_given),
		T(client_reports_the_answer),
		T(client_hands_on_the_fields_that_are_wanted),
		T(client_does_not_follow_redirects),
		T(client_reads_retry_after_in_both_forms),
		T(client_cuts_endless_answers_and_keeps_the_status),
		T(client_gives_up_at_its_deadline),
		T(client_names_what_went_wrong),
		T(client_reuses_connections),
		T(client_retries_a_stale_connection_once_on_a_fresh_one),
		T(client_refuses_private_addresses),
		T(client_vets_and_pins_the_addresses_of_a_name),
		T(client_says_that_a_name_does_not_exist),
		T(client_counts_the_lookup_into_the_deadline),
		T(client_only_connects_when_that_is_all),
		T(client_cancels_at_any_time),
		T(client_stops_calls_when_it_is_freed),
		T(client_may_be_freed_in_done),
		T(client_refuses_calls_that_would_smuggle),
		T(client_reaches_ipv6_addresses),
		cmocka_unit_test(client_survives_every_failed_allocation),
		T(fetch_returns_status_and_body),
		T(fetch_says_why_not),
		T(fetch_each_ends_a_stream_that_is_silent_not_one_that_is_slow),
	};

	/* were it looked at, nothing here would work */
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	setenv("all_proxy", "http://127.0.0.1:9", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
