/**
 * test/bench/whip_load.c -- many people who come by WHIP, and speak.
 *
 * usage: whip_load HTTP_PORT APP SESSIONS PEOPLE JOINING FILE
 *
 * Each is a session of its own with a server on 127.0.0.1: the offer by POST,
 * checks, a DTLS handshake, SRTP (AES-GCM), all as Chromium does it.  PEOPLE:
 * in a room.  JOINING: between their POST and the end of their handshake at a
 * time.  One socket has them all, each with an address of its own in
 * 127.0.0.0/8.  FILE: Ogg Opus speech of 20 ms packets, which everybody says
 * over and over, each from another place in it, with the packet before once
 * more (RED).
 *
 * Does what it is told by lines of stdin, and says one line of JSON when that
 * is done: `join`, `speak SECONDS`, `leave`.  Consent checks go on meanwhile.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#include "../aid/webrtc_peer.h"
#include "../unit/stun_aid.h"
#include "base/clock.h"
#include "wire/bytes.h"
#include "wire/fingerprint.h"
#include "wire/rtp.h"

enum {
	SESSIONS_MAX = 20000,
	JOINING_MAX = 256,
	WORDS_MAX = 10000,
	BATCH = 64,
	DATAGRAM_MAX = 2048,
	ANSWER_MAX = 16384,
	PACKET_US = 20 * 1000,
	PACKET_FRAMES = 960,
	CATCH_UP_US = 3 * 1000, /* of speech, in a turn of 1 ms */
	RED_LEN_MAX = 1023,
	MID_EXT = 4,   /* as in Chromium's offers */
	LEVEL_EXT = 1, /* of the speakers: loud */
	LOUD = 30,     /* -dBov */
	/* Chromium: of a connection that works, and of audio's reports */
	CHECK_US = 2500 * 1000,
	REPORT_US = 5000 * 1000,
	AGAIN_US = 500 * 1000, /* a check that was not answered */
	PATIENCE_US = 60 * 1000 * 1000
};

enum step { WAITING, POSTING, CHECKING, SHAKING, READY, LEAVING, GONE };

struct session {
	enum step step;
	unsigned number;
	struct webrtc_credentials own, theirs;
	char location[96];
	struct peer_dtls dtls;
	struct srtp *seal, *open;
	int64_t began_us, step_us, check_us, report_us;
	uint32_t ssrc, ts;
	uint16_t seq;
	uint32_t n_sent, octets;
};

static struct session *sessions;
static unsigned n_sessions, n_joining, joining_max, people;
static const char *app;
static uint16_t http_port;
static struct sockaddr_in media = {.sin_family = AF_INET};
static struct webrtc_identity *identity;
static struct peer_tls tls;
static int epoll_fd, udp_fd;

static struct load_packet words[WORDS_MAX];
static unsigned n_words;

/* What came back. */
static uint64_t n_answers, n_reports, n_wrong;

static void read_words(const char *path)
{
	n_words = load_speech(path, words, WORDS_MAX);
	for (unsigned i = 0; i < n_words; i++) {
		if (words[i].len > RED_LEN_MAX)
			die(path, "a packet is too long for RED");
	}
}

/* ---- datagrams, there -------------------------------------------------------- */

/* One batch on its way to the kernel: each has its sender's address. */
static struct {
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	uint8_t data[BATCH][DATAGRAM_MAX];
	_Alignas(struct cmsghdr)
		uint8_t control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	unsigned n;
} out;

static void flush(void)
{
	load_send(udp_fd, out.msgs, out.n);
	out.n = 0;
}

/** Where the next datagram is to be written. */
static uint8_t *next_datagram(void)
{
	if (out.n == BATCH)
		flush();
	return out.data[out.n];
}

static struct in_addr address_of(const struct session *s)
{
	return (struct in_addr){htonl(127U << 24 | 1U << 16 | s->number)};
}

/** It has been written. */
static void queue_datagram(const struct session *s, size_t len)
{
	struct msghdr *m = &out.msgs[out.n].msg_hdr;
	struct in_pktinfo info = {.ipi_spec_dst = address_of(s)};
	struct cmsghdr *c;

	out.iov[out.n] = (struct iovec){out.data[out.n], len};
	*m = (struct msghdr){.msg_name = &media,
			     .msg_namelen = sizeof(media),
			     .msg_iov = &out.iov[out.n],
			     .msg_iovlen = 1,
			     .msg_control = out.control[out.n],
			     .msg_controllen = sizeof(out.control[0])};
	c = CMSG_FIRSTHDR(m);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	out.n++;
}

static void send_check(struct session *s, int64_t now_us)
{
	char name[64];
	struct stun_made m;

	snprintf(name, sizeof(name), "%s:%s", s->theirs.ufrag, s->own.ufrag);
	made_check(&m, (uint8_t)s->n_sent, name, s->theirs.pwd, true);
	memcpy(next_datagram(), m.bytes, m.len);
	queue_datagram(s, m.len);
	s->check_us = now_us;
}

/* Of a handshake. */
static void on_dtls(const uint8_t *data, size_t len, void *arg)
{
	if (len > DATAGRAM_MAX)
		die("dtls", "a datagram is too long");
	memcpy(next_datagram(), data, len);
	queue_datagram(arg, len);
}

/* ---- speech ------------------------------------------------------------------ */

/** RED: the packet before, if there is one, and this one. */
static size_t put_red(uint8_t *at, unsigned word, bool has_older)
{
	const unsigned before = (word + n_words - 1) % n_words;
	uint8_t *p = at;

	if (has_older) {
		const uint32_t len = (uint32_t)words[before].len;

		p = bytes_put32(p, 0x80000000U | PEER_OPUS << 24 |
					   PACKET_FRAMES << 10 | len);
	}
	*p++ = PEER_OPUS;
	if (has_older) {
		memcpy(p, words[before].data, words[before].len);
		p += words[before].len;
	}
	memcpy(p, words[word].data, words[word].len);
	return (size_t)(p - at) + words[word].len;
}

static void speak(struct session *s)
{
	static const uint8_t extension[] = {
		0xbe,	     0xde,	   0,  1, LEVEL_EXT << 4,
		0x80 | LOUD, MID_EXT << 4, '0'};
	const struct rtp_packet head = {
		.pt = PEER_RED, .seq = s->seq, .ts = s->ts, .ssrc = s->ssrc};
	const unsigned word = (s->n_sent + s->number * 61U) % n_words;
	uint8_t plain[DATAGRAM_MAX];
	size_t len = RTP_HEADER_LEN;
	uint8_t *to = next_datagram();

	rtp_write_header(&head, plain);
	plain[0] |= 0x10; /* there is an extension */
	memcpy(plain + len, extension, sizeof(extension));
	len += sizeof(extension);
	len += put_red(plain + len, word, s->n_sent > 0);
	if (srtp_protect(s->seal, plain, len, to, &len))
		die("srtp", "a packet cannot be sealed");
	queue_datagram(s, len);
	s->seq++;
	s->ts += PACKET_FRAMES;
	s->octets += (uint32_t)words[word].len;
	s->n_sent++;
}

/** A sender report and a CNAME. */
static void report(struct session *s, int64_t now_us)
{
	const uint64_t ms = (uint64_t)clock_unix_ms();
	uint8_t plain[64] = {0x80, 200, 0, 6}, *p = plain + 4;
	size_t len;

	p = bytes_put32(p, s->ssrc);
	p = bytes_put32(p,
			(uint32_t)(ms / 1000 + 2208988800U)); /* since 1900 */
	p = bytes_put32(p, (uint32_t)((ms % 1000 << 32) / 1000));
	p = bytes_put32(p, s->ts);
	p = bytes_put32(p, s->n_sent);
	p = bytes_put32(p, s->octets);
	p = bytes_put32(p, 0x81ca0003); /* SDES, one chunk, 16 bytes */
	p = bytes_put32(p, s->ssrc);
	memcpy(p, "\1\4load\0", 8);
	len = (size_t)(p + 8 - plain);
	if (srtcp_protect(s->seal, plain, len, next_datagram(), &len))
		die("srtcp", "a report cannot be sealed");
	queue_datagram(s, len);
	s->report_us = now_us;
}

/* ---- requests ------------------------------------------------------------------- */

static struct connection {
	int fd;			 /* 0: none */
	struct session *session; /* whose request is under way, or NULL */
	char in[ANSWER_MAX];
	size_t len;
} connections[JOINING_MAX];

/* Again where the server has closed one that was idle. */
static void connect_http(struct connection *c)
{
	const struct sockaddr_in to = {.sin_family = AF_INET,
				       .sin_addr.s_addr =
					       htonl(INADDR_LOOPBACK),
				       .sin_port = htons(http_port)};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	const int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const void *)&to, sizeof(to)))
		die("connect", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll_ctl", strerror(errno));
}

static struct connection *idle_connection(void)
{
	for (unsigned i = 0; i < joining_max; i++) {
		if (!connections[i].session)
			return &connections[i];
	}
	return NULL;
}

static void ask(struct connection *c, struct session *s, const char *text,
		size_t len)
{
	if (!c->fd)
		connect_http(c);
	if (send(c->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send", strerror(errno));
	c->session = s;
}

static int write_offer(const struct session *s, char *text, size_t cap)
{
	char print[FINGERPRINT_TEXT_MAX];

	return snprintf(
		text, cap,
		"v=0\r\no=- %u 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
		"a=group:BUNDLE 0\r\n"
		"m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n"
		"c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
		"a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:%s\r\n"
		"a=setup:actpass\r\na=mid:0\r\n"
		"a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
		"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
		"a=sendonly\r\na=rtcp-mux\r\n"
		"a=rtpmap:111 opus/48000/2\r\n"
		"a=fmtp:111 minptime=10;useinbandfec=1\r\n"
		"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"
		"a=ssrc:%" PRIu32 " cname:load\r\n",
		s->number + 1, s->own.ufrag, s->own.pwd,
		fingerprint_write(&identity->fingerprint, print), s->ssrc);
}

static void post_offer(struct connection *c, struct session *s, int64_t now_us)
{
	char offer[2048], text[3072];
	int len;

	if (webrtc_credentials_make(&s->own))
		die("random", "none");
	len = write_offer(s, offer, sizeof(offer));
	len = snprintf(text, sizeof(text),
		       "POST /whip/%s/room%u/user%u HTTP/1.1\r\n"
		       "Host: 127.0.0.1:%u\r\n"
		       "Content-Type: application/sdp\r\n"
		       "Content-Length: %d\r\n\r\n%s",
		       app, s->number / people, s->number, http_port, len,
		       offer);
	s->step = POSTING;
	s->began_us = s->step_us = now_us;
	n_joining++;
	ask(c, s, text, (size_t)len);
}

static void post_leave(struct connection *c, struct session *s)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
			   "DELETE %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
			   s->location, http_port);

	s->step = LEAVING;
	n_joining++;
	ask(c, s, text, (size_t)len);
}

/** What follows `name` in the answer up to the end of its line. */
static void take_field(const char *answer, const char *name, char *to,
		       size_t cap)
{
	const char *at = strcasestr(answer, name);
	size_t len;

	if (!at)
		die(name, answer);
	at += strlen(name);
	len = strcspn(at, "\r\n");
	if (len >= cap)
		die(name, "is too long");
	memcpy(to, at, len);
	to[len] = '\0';
}

static void take_answer(struct session *s, const char *answer, int64_t now_us)
{
	char candidate[256];
	unsigned port;

	if (strncmp(answer, "HTTP/1.1 201", 12) != 0)
		die("POST", answer);
	take_field(answer, "\nLocation: ", s->location, sizeof(s->location));
	take_field(answer, "\na=ice-ufrag:", s->theirs.ufrag,
		   sizeof(s->theirs.ufrag));
	take_field(answer, "\na=ice-pwd:", s->theirs.pwd,
		   sizeof(s->theirs.pwd));
	take_field(answer, "\na=candidate:1 1 udp ", candidate,
		   sizeof(candidate));
	if (!strstr(answer, "SAVPF 63 111") ||
	    sscanf(candidate, "%*u 127.0.0.1 %u ", &port) != 1)
		die("the answer", answer);
	media.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	media.sin_port = htons((uint16_t)port); /* one loop: the same for all */
	s->step = CHECKING;
	s->step_us = now_us;
	send_check(s, now_us);
}

/** Is it whole?  Its length, or 0. */
static size_t answer_len(const struct connection *c)
{
	const char *end = strstr(c->in, "\r\n\r\n"), *field;
	size_t len;

	if (!end)
		return 0;
	len = (size_t)(end - c->in) + 4;
	field = strcasestr(c->in, "\r\nContent-Length:");
	if (field && field < end)
		len += strtoul(field + 17, NULL, 10);
	return c->len >= len ? len : 0;
}

static void on_answer(struct connection *c, int64_t now_us)
{
	const ssize_t n =
		recv(c->fd, c->in + c->len, ANSWER_MAX - 1 - c->len, 0);
	struct session *s = c->session;

	if (n <= 0 && !s) {
		close(c->fd);
		c->fd = 0;
		return;
	}
	if (n <= 0 || !s)
		die("http", "the server has closed a connection");
	c->len += (size_t)n;
	c->in[c->len] = '\0';
	if (!answer_len(c))
		return;
	c->len = 0;
	c->session = NULL;
	if (s->step == POSTING) {
		take_answer(s, c->in, now_us);
		return;
	}
	if (strncmp(c->in, "HTTP/1.1 200", 12) != 0)
		die("DELETE", c->in);
	s->step = GONE;
	n_joining--;
}

/* ---- datagrams, back ---------------------------------------------------------- */

static void see_dtls(struct session *s, enum peer_state state, int64_t now_us)
{
	if (state == PEER_FAILED)
		die("dtls", "a handshake has failed");
	if (state != PEER_DONE)
		return;
	if (!peer_dtls_end(&s->dtls, &s->seal, &s->open))
		die("dtls", "no keys");
	s->step = READY;
	s->step_us = now_us;
	n_joining--;
}

static void take_stun(struct session *s, const uint8_t *data, size_t len,
		      int64_t now_us)
{
	struct stun stun;

	if (stun_parse(data, len, &stun) || stun.class != STUN_SUCCESS ||
	    !stun_is_authentic(&stun, data, s->theirs.pwd)) {
		n_wrong++;
		return;
	}
	n_answers++;
	if (s->step != CHECKING)
		return;
	s->step = SHAKING;
	if (!peer_dtls_begin(&s->dtls, &tls, on_dtls, s))
		die("dtls", "no memory");
	see_dtls(s, peer_dtls_take(&s->dtls, NULL, 0), now_us);
}

static void take_report(struct session *s, const uint8_t *data, size_t len)
{
	uint8_t plain[DATAGRAM_MAX];

	if (s->open && rtp_is_rtcp(data, len) &&
	    !srtcp_unprotect(s->open, data, len, plain, &len))
		n_reports++;
	else
		n_wrong++;
}

static void take_datagram(struct session *s, const uint8_t *data, size_t len,
			  int64_t now_us)
{
	if (len == 0)
		n_wrong++;
	else if (stun_is_likely(data[0]))
		take_stun(s, data, len, now_us);
	else if (!dtls_is_likely(data[0]))
		take_report(s, data, len);
	else if (s->dtls.ssl)
		see_dtls(s, peer_dtls_take(&s->dtls, data, len), now_us);
}

/** Whose it is: the address it was sent to tells. */
static struct session *receiver_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in_pktinfo info;
		uint32_t number;

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		number = ntohl(info.ipi_addr.s_addr) & 0xffff;
		return number < n_sessions ? &sessions[number] : NULL;
	}
	return NULL;
}

static void read_socket(int64_t now_us)
{
	static uint8_t data[BATCH][DATAGRAM_MAX];
	_Alignas(struct cmsghdr) static uint8_t
		control[BATCH][CMSG_SPACE(sizeof(struct in_pktinfo))];
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	int n;

	do {
		for (int i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){data[i], DATAGRAM_MAX};
			msgs[i].msg_hdr = (struct msghdr){
				.msg_iov = &iov[i],
				.msg_iovlen = 1,
				.msg_control = control[i],
				.msg_controllen = sizeof(control[i])};
		}
		n = recvmmsg(udp_fd, msgs, BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			struct session *s = receiver_of(&msgs[i].msg_hdr);

			if (s)
				take_datagram(s, data[i], msgs[i].msg_len,
					      now_us);
			else
				n_wrong++;
		}
	} while (n == BATCH);
}

static void open_socket(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &udp_fd};
	const int on = 1, bytes = 4 << 20;

	udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (udp_fd < 0 || bind(udp_fd, (const void *)&any, sizeof(any)) ||
	    setsockopt(udp_fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) ||
	    setsockopt(udp_fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, udp_fd, &ev))
		die("socket", strerror(errno));
}

/* ---- time --------------------------------------------------------------------- */

static void look_at(struct session *s, int64_t now_us)
{
	if (s->step > WAITING && s->step < READY &&
	    now_us - s->began_us > PATIENCE_US)
		die("join", "it takes too long");
	if (s->step == CHECKING && now_us - s->check_us > AGAIN_US)
		send_check(s, now_us);
	if (s->step == SHAKING) {
		ERR_clear_error();
		if (DTLSv1_handle_timeout(s->dtls.ssl) < 0)
			die("dtls", "it takes too long");
	}
	if (s->step == READY && now_us - s->check_us > CHECK_US)
		send_check(s, now_us);
}

/** One turn: what has come, and who has to say something.  Returns false if
 *  stdin has a line. */
static bool turn(int wait_ms)
{
	static unsigned next;
	struct epoll_event ready[BATCH];
	const int n = epoll_wait(epoll_fd, ready, BATCH, wait_ms);
	const int64_t now_us = clock_now_us();
	bool goes_on = true;

	for (int i = 0; i < n; i++) {
		void *what = ready[i].data.ptr;

		if (!what)
			goes_on = false;
		else if (what == &udp_fd)
			read_socket(now_us);
		else
			on_answer(what, now_us);
	}
	/* all of them in some 100 turns, so their checks are spread */
	for (unsigned i = 0; i < 1 + n_sessions / 100; i++)
		look_at(&sessions[next++ % n_sessions], now_us);
	flush();
	return goes_on;
}

/* ---- what it is told ----------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double ms_of(int64_t us)
{
	return (double)us / 1e3;
}

static void tell_joined(int64_t began_us, double before_s)
{
	const double took_s = (double)(clock_now_us() - began_us) / 1e6;
	int64_t *each = calloc(n_sessions, sizeof(*each));

	if (!each)
		die("join", "out of memory");
	for (unsigned i = 0; i < n_sessions; i++)
		each[i] = sessions[i].step_us - sessions[i].began_us;
	qsort(each, n_sessions, sizeof(*each), by_size);
	printf("{\"joined\":%u,\"seconds\":%.3f,\"cpu_s\":%.3f,"
	       "\"p50_ms\":%.1f,\"p99_ms\":%.1f}\n",
	       n_sessions, took_s, cpu_s() - before_s,
	       ms_of(each[n_sessions / 2]), ms_of(each[n_sessions * 99 / 100]));
	free(each);
}

static void join_all(void)
{
	const int64_t began_us = clock_now_us();
	const double before_s = cpu_s();
	unsigned next = 0;

	while (next < n_sessions || n_joining) {
		struct connection *c;

		while (next < n_sessions && n_joining < joining_max &&
		       (c = idle_connection()) != NULL)
			post_offer(c, &sessions[next++], clock_now_us());
		(void)turn(10);
	}
	tell_joined(began_us, before_s);
}

static void leave_all(void)
{
	unsigned next = 0;

	while (next < n_sessions || n_joining) {
		struct connection *c;

		while (next < n_sessions && n_joining < joining_max &&
		       (c = idle_connection()) != NULL)
			post_leave(c, &sessions[next++]);
		(void)turn(10);
	}
	printf("{\"left\":%u,\"wrong\":%" PRIu64 "}\n", n_sessions, n_wrong);
}

/** Everybody speaks; packets are spread evenly over time. */
static void speak_all(unsigned seconds)
{
	const uint64_t total = (uint64_t)seconds * 50 * n_sessions;
	const uint64_t most =
		1 + (uint64_t)n_sessions * CATCH_UP_US / PACKET_US;
	const uint64_t answers = n_answers, reports = n_reports;
	const int64_t began_us = clock_now_us();
	const double before_s = cpu_s();
	uint64_t next = 0, late = 0;
	double took_s;

	while (next < total) {
		const int64_t now_us = clock_now_us();
		uint64_t due =
			(uint64_t)(now_us - began_us) * n_sessions / PACKET_US;

		due = due < total ? due : total;
		if (due - next > late)
			late = due - next;
		/* Nobody's network sends what all have missed at once. */
		if (due - next > most)
			due = next + most;
		for (; next < due; next++) {
			struct session *s = &sessions[next % n_sessions];

			speak(s);
			/* the first of each at another time */
			if (s->report_us == 0)
				s->report_us = began_us -
					       REPORT_US * (int64_t)s->number /
						       n_sessions;
			if (now_us - s->report_us > REPORT_US)
				report(s, now_us);
		}
		(void)turn(1);
	}
	took_s = (double)(clock_now_us() - began_us) / 1e6;
	printf("{\"sent\":%" PRIu64 ",\"seconds\":%.3f,\"cpu_s\":%.3f,"
	       "\"late_ms\":%.1f,\"answers\":%" PRIu64 ",\"reports\":%" PRIu64
	       "}\n",
	       total, took_s, cpu_s() - before_s,
	       (double)late * PACKET_US / n_sessions / 1e3, n_answers - answers,
	       n_reports - reports);
}

static void make_sessions(void)
{
	sessions = calloc(n_sessions, sizeof(*sessions));
	if (!sessions || webrtc_identity_new(&identity) ||
	    !peer_tls_init(&tls, identity))
		die("sessions", "out of memory");
	for (unsigned i = 0; i < n_sessions; i++)
		sessions[i] = (struct session){.number = i,
					       .ssrc = 0x10000 + i,
					       .seq = (uint16_t)(i * 7919U),
					       .ts = i * 104729U};
}

int main(int argc, char **argv)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	char line[64];

	if (argc != 7) {
		fprintf(stderr, "usage: whip_load HTTP_PORT APP SESSIONS "
				"PEOPLE JOINING FILE\n");
		return 2;
	}
	http_port = (uint16_t)strtoul(argv[1], NULL, 10);
	app = argv[2];
	n_sessions = (unsigned)strtoul(argv[3], NULL, 10);
	people = (unsigned)strtoul(argv[4], NULL, 10);
	joining_max = (unsigned)strtoul(argv[5], NULL, 10);
	if (!n_sessions || n_sessions > SESSIONS_MAX || !people ||
	    !joining_max || joining_max > JOINING_MAX)
		die("usage", "a number is not possible");
	read_words(argv[6]);
	make_sessions();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &ev))
		die("stdin", strerror(errno));
	open_socket();
	setvbuf(stdin, NULL, _IONBF, 0); /* what is read is seen by epoll */
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned seconds;

		if (turn(10))
			continue;
		if (!fgets(line, sizeof(line), stdin))
			return 0;
		if (!strcmp(line, "join\n"))
			join_all();
		else if (sscanf(line, "speak %u", &seconds) == 1)
			speak_all(seconds);
		else if (!strcmp(line, "leave\n"))
			leave_all();
	}
}
