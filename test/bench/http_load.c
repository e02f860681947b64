/**
 * test/bench/http_load.c -- many HTTP callbacks at once, and their target.
 *
 * usage: http_load post PORT CONNECTIONS EVENTS TIMES RATE APP KEY
 *        http_load sink [times]
 *
 * post  EVENTS recording callbacks of dialect gme, each of another segment or
 *       another state of it, are made and signed before the clock starts; each
 *       is sent TIMES times (again after 1,000 others), over CONNECTIONS
 *       connections to 127.0.0.1 that stay open, one request at a time on
 *       each: senders do not pipeline.  RATE: requests a second; 0: the next
 *       as soon as the answer is there.  Prints one line of JSON.
 * sink  Listens on 127.0.0.1, prints its port, answers every POST with
 *       success.  At the end of stdin it prints how many there were; `times`:
 *       then, for each with a Tapeop-Event-Id, "ID TIME", when it came [us].
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "load.h"

#include "base/clock.h"

enum {
	CONNECTIONS_MAX = 4096,
	EVENTS_MAX = 2000000,
	IN_MAX = 16384,
	READY = 256,
	BLOCK = 1000,	/* events that are sent, then sent again */
	TASK_STEPS = 30 /* 10 segments, 3 events each */
};

static void *need(void *p)
{
	if (!p)
		die("memory", strerror(errno));
	return p;
}

/** An HTTP message that is coming in. */
struct message {
	char data[IN_MAX];
	size_t len;
};

/** Is it whole?  Its length, or 0. */
static size_t message_len(struct message *m)
{
	const char *end, *field;
	size_t head;

	m->data[m->len] = '\0';
	end = strstr(m->data, "\r\n\r\n");
	if (!end)
		return 0;
	head = (size_t)(end - m->data) + 4;
	field = strcasestr(m->data, "\r\nContent-Length:");
	if (field && field < end)
		head += strtoul(field + 17, NULL, 10);
	return m->len >= head ? head : 0;
}

/** Read what is there.  False: the other side has gone. */
static bool message_read(struct message *m, int fd)
{
	ssize_t n = recv(fd, m->data + m->len, IN_MAX - 1 - m->len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	m->len += (size_t)n;
	return true;
}

static void message_drop(struct message *m, size_t len)
{
	m->len -= len;
	memmove(m->data, m->data + len, m->len);
}

/** All of it, or this program ends: it fits in an empty socket. */
static void send_all(int fd, const char *data, size_t len)
{
	if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send", strerror(errno));
}

static void watch(int epoll, int fd, void *what)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = what};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl", strerror(errno));
}

static void no_delay(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* ---- requests ------------------------------------------------------------- */

static struct request {
	char *text;
	size_t len;
} * requests;
static size_t n_requests;

/** Event `i` of `n`, told for the `time`th time, signed.  Those of a task are
 *  as far from each other as can be, as in a server with many. */
static void make(struct request *r, size_t i, size_t n, unsigned time,
		 const char *app, const char *key)
{
	static const size_t zero_bits = 64; /* as in a server's ids */
	const size_t tasks = (n + TASK_STEPS - 1) / TASK_STEPS;
	const size_t task = i % tasks, step = i / tasks;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;
	char body[1024], sign[64];
	int body_len, len;

	body_len = snprintf(
		body, sizeof(body),
		"{\"BizID\":%s,\"RoomID\":\"room-%zu\",\"UserID\":\"user-%zu\","
		"\"TaskID\":%zu,\"RecordMode\":1,\"Timestamp\":%zu,"
		"\"EventType\":%zu,\"Detail\":{\"SeqNo\":%zu,\"FileName\":"
		"\"%s/2026-11-21/room-%zu/%zu/user-%zu/%zu.mp3\"}}",
		app, task % 100, task, (1000000000 + task) * zero_bits,
		1795000000 + i / 100 + time, 1 + step % 3, step / 3, app,
		task % 100, (1000000000 + task) * zero_bits, task, step / 3);
	HMAC(EVP_sha1(), key, (int)strlen(key), (unsigned char *)body,
	     (size_t)body_len, mac, &mac_len);
	EVP_EncodeBlock((unsigned char *)sign, mac, (int)mac_len);
	r->text = need(malloc((size_t)body_len + 512));
	len = snprintf(r->text, (size_t)body_len + 512,
		       "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		       "User-Agent: tapeop-bench\r\n"
		       "Content-Type: application/json\r\n"
		       "Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		       sign, body_len, body);
	r->len = (size_t)len;
}

static void make_all(size_t n, unsigned times, const char *app, const char *key)
{
	requests = need(calloc(n * times, sizeof(*requests)));
	for (size_t from = 0; from < n; from += BLOCK) {
		for (unsigned t = 0; t < times; t++) {
			for (size_t i = from; i < n && i < from + BLOCK; i++)
				make(&requests[n_requests++], i, n, t, app,
				     key);
		}
	}
}

/* ---- connections ---------------------------------------------------------- */

struct connection {
	int fd;
	int64_t sent_us;
	struct message in;
};

static struct connection *connections;
static struct connection **idle; /* post: no request; sink: not open */
static size_t n_idle;
static size_t n_done;

/** Make as many; they are idle. */
static void make_connections(size_t n)
{
	connections = need(calloc(n, sizeof(*connections)));
	idle = need(calloc(n, sizeof(struct connection *)));
	while (n_idle < n) {
		idle[n_idle] = &connections[n_idle];
		n_idle++;
	}
}

/* ---- post ----------------------------------------------------------------- */

static size_t n_sent, n_not_200;
static uint32_t *took_us;

static void connect_all(int epoll, unsigned port, size_t n)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_addr.s_addr =
					       htonl(INADDR_LOOPBACK),
				       .sin_port = htons((uint16_t)port)};

	make_connections(n);
	for (size_t i = 0; i < n; i++) {
		struct connection *c = &connections[i];

		c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (c->fd < 0 || connect(c->fd, (const void *)&to, sizeof(to)))
			die("connect", strerror(errno));
		no_delay(c->fd);
		watch(epoll, c->fd, c);
	}
}

static void send_next(struct connection *c)
{
	const struct request *r = &requests[n_sent++];

	c->sent_us = clock_now_us();
	send_all(c->fd, r->text, r->len);
}

static void on_answer(struct connection *c)
{
	size_t len;

	if (!message_read(&c->in, c->fd)) {
		errno = ECONNRESET;
		die("the server has closed a connection", strerror(errno));
	}
	len = message_len(&c->in);
	if (!len)
		return;
	took_us[n_done++] = (uint32_t)(clock_now_us() - c->sent_us);
	n_not_200 += strncmp(c->in.data, "HTTP/1.1 200", 12) != 0;
	message_drop(&c->in, len);
	idle[n_idle++] = c;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/** Of the sorted times [ms]. */
static double percentile_ms(size_t percent)
{
	const size_t at = n_done * percent / 100;

	return took_us[at] / 1e3;
}

static int post(char **argv)
{
	const unsigned port = (unsigned)strtoul(argv[0], NULL, 10);
	const size_t n_connections = strtoul(argv[1], NULL, 10);
	const size_t n_events = strtoul(argv[2], NULL, 10);
	const unsigned times = (unsigned)strtoul(argv[3], NULL, 10);
	const double rate = strtod(argv[4], NULL);
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	double seconds, cpu_before_s;
	int64_t began_us;

	if (!n_connections || n_connections > CONNECTIONS_MAX || !n_events ||
	    n_events > EVENTS_MAX || !times || times > 10)
		return 2;
	make_all(n_events, times, argv[5], argv[6]);
	took_us = need(calloc(n_requests, sizeof(*took_us)));
	connect_all(epoll, port, n_connections);
	cpu_before_s = cpu_s();
	began_us = clock_now_us();
	while (n_done < n_requests) {
		struct epoll_event ready[READY];
		double s = (double)(clock_now_us() - began_us) / 1e6;
		size_t due = rate > 0 ? (size_t)(s * rate) : n_requests;
		int n;

		while (n_idle && n_sent < n_requests && n_sent < due)
			send_next(idle[--n_idle]);
		n = epoll_wait(epoll, ready, READY, rate > 0 ? 1 : -1);
		for (int i = 0; i < n; i++)
			on_answer(ready[i].data.ptr);
	}
	seconds = (double)(clock_now_us() - began_us) / 1e6;
	qsort(took_us, n_done, sizeof(*took_us), by_size);
	printf("{\"requests\":%zu,\"seconds\":%.3f,\"per_s\":%.0f,"
	       "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"not_200\":%zu,"
	       "\"cpu_s\":%.3f}\n",
	       n_done, seconds, (double)n_done / seconds, percentile_ms(50),
	       percentile_ms(99), n_not_200, cpu_s() - cpu_before_s);
	return 0;
}

/* ---- sink ------------------------------------------------------------------ */

static const char answer[] =
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	"Content-Length: 46\r\n\r\n"
	"{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"Error\":\"\"}";

static bool wants_times;
static struct arrival {
	uint64_t id;
	int64_t at_us;
} * arrivals;
static size_t n_arrivals;

static void note_arrival(const char *head, int64_t now_us)
{
	static const char name[] = "\r\nTapeop-Event-Id:";
	const char *field = wants_times ? strcasestr(head, name) : NULL;

	if (field && n_arrivals < EVENTS_MAX)
		arrivals[n_arrivals++] = (struct arrival){
			strtoull(field + sizeof(name) - 1, NULL, 10), now_us};
}

/** Returns false when it has gone. */
static bool serve(struct connection *c)
{
	const int64_t now_us = clock_now_us();
	size_t len;

	if (!message_read(&c->in, c->fd))
		return false;
	for (len = message_len(&c->in); len; len = message_len(&c->in)) {
		note_arrival(c->in.data, now_us);
		send_all(c->fd, answer, sizeof(answer) - 1);
		message_drop(&c->in, len);
		n_done++;
	}
	return true;
}

static void tell_arrivals(void)
{
	printf("%zu\n", n_done);
	for (size_t i = 0; i < n_arrivals; i++)
		printf("%" PRIu64 " %" PRId64 "\n", arrivals[i].id,
		       arrivals[i].at_us);
}

static void on_connection(int epoll, int listener)
{
	struct connection *c;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || !n_idle)
		die("accept", strerror(errno));
	c = idle[--n_idle];
	c->fd = fd;
	c->in.len = 0;
	no_delay(c->fd);
	watch(epoll, c->fd, c);
}

static int sink(bool times)
{
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t at_len = sizeof(at);
	struct epoll_event ready[READY];
	char end; /* its address stands for stdin */

	if (bind(listener, (const void *)&at, sizeof(at)) ||
	    listen(listener, 1024) ||
	    getsockname(listener, (void *)&at, &at_len))
		die("listen", strerror(errno));
	make_connections(CONNECTIONS_MAX);
	wants_times = times;
	arrivals = need(calloc(EVENTS_MAX, sizeof(*arrivals)));
	watch(epoll, listener, NULL);
	watch(epoll, STDIN_FILENO, &end);
	printf("%u\n", (unsigned)ntohs(at.sin_port));
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, ready, READY, -1);

		for (int i = 0; i < n; i++) {
			struct connection *c = ready[i].data.ptr;

			if (!c) {
				on_connection(epoll, listener);
			} else if ((void *)c == &end) {
				tell_arrivals();
				return 0;
			} else if (!serve(c)) {
				close(c->fd);
				idle[n_idle++] = c;
			}
		}
	}
}

int main(int argc, char **argv)
{
	int code = 2;

	if (argc == 9 && !strcmp(argv[1], "post"))
		code = post(argv + 2);
	else if ((argc == 2 || argc == 3) && !strcmp(argv[1], "sink"))
		code = sink(argc == 3);
	if (code == 2)
		fprintf(stderr,
			"usage: http_load post PORT CONNECTIONS EVENTS "
			"TIMES RATE APP KEY\n       http_load sink [times]\n");
	return code;
}
