/**
 * intake/webrtc_port.c -- one UDP socket for all WebRTC sessions of a loop.
 *
 * WHAT  datagram -> whose is it? -> STUN, DTLS or SRTP of that session.
 * DESIGN
 *   The first byte says what it is (RFC 7983), the address whose (a map of
 *   all addresses that have proved themselves), and of STUN its USERNAME.
 *   A peer whose NAT has given it another port speaks on before it checks
 *   again, up to seconds later: SRTP from nowhere is whose SSRC it has, if
 *   the keys agree.
 *   A stranger costs a look-up or two, and is not answered: neither with an
 *   error, which a forged address would turn against others, nor with DTLS.
 *   Errors 400 and 401 go to addresses that have proved themselves, 420 and
 *   487 to whoever has asked with the right credentials; none is longer than a
 *   check that has all that RFC 8445 wants, nor is the answer to one.
 *   Reading: the loop watches the socket; once something has come, it is read
 *   every REST_US until nothing has.  So the first check is answered at once,
 *   and of 2,500 speakers a system call takes a batch instead of a datagram.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "intake/webrtc.h"
#include "wire/rtp.h"

enum {
	REST_US = 4 * 1000,
	SAMPLE_US = 60 * 1000 * 1000,
	V6_HOST_LEN = 8 /* bytes that name a host: its /64 */
};

const struct webrtc_limits webrtc_limits_usual = {
	.sessions = 10000,
	.handshakes = 512,
	.handshakes_per_host = 64,
	.connect_us = 30 * (int64_t)CLOCK_US_PER_S,
	.handshake_us = 10 * (int64_t)CLOCK_US_PER_S,
	.consent_us = 30 * (int64_t)CLOCK_US_PER_S,
};

/* ---- logging -------------------------------------------------------------- */

static bool may_log(struct webrtc_sample *s, int64_t now_us, unsigned *n)
{
	s->n++;
	if (now_us < s->next_us)
		return false;
	s->next_us = now_us + SAMPLE_US;
	*n = s->n;
	s->n = 0;
	return true;
}

void webrtc_port_handshake_failed(struct webrtc_port *p,
				  const struct addr *from, const char *reason,
				  int64_t now_us)
{
	char text[ADDR_TEXT_MAX];
	unsigned n;

	counter_add(COUNT_webrtc_handshakes_failed, 1);
	if (may_log(&p->failed, now_us, &n))
		log_warn("webrtc handshakes failed=%u, the last from %s: %s", n,
			 addr_write(from, text), reason);
}

/* ---- addresses -------------------------------------------------------------- */

void path_key_make(const struct addr *a, struct path_key *out)
{
	const uint16_t port = addr_port(a);

	*out = (struct path_key){0};
	out->port[0] = (uint8_t)(port >> 8);
	out->port[1] = (uint8_t)port;
	if (a->sa.sa_family == AF_INET6) {
		memcpy(out->ip, &a->in6.sin6_addr, sizeof(out->ip));
		memcpy(out->scope, &a->in6.sin6_scope_id, sizeof(out->scope));
		return;
	}
	out->ip[10] = out->ip[11] = 0xff;
	memcpy(out->ip + 12, &a->in4.sin_addr, 4);
}

static struct webrtc_path *find_path(const struct webrtc_port *p,
				     const struct addr *from)
{
	struct path_key key;
	struct map_node *n;

	path_key_make(from, &key);
	n = map_find(&p->paths, &key, sizeof(key));
	return n ? CONTAINER_OF(n, struct webrtc_path, node) : NULL;
}

static bool is_same_host(const struct addr *a, const struct addr *b)
{
	struct path_key of_a, of_b;

	path_key_make(a, &of_a);
	path_key_make(b, &of_b);
	return memcmp(of_a.ip, of_b.ip,
		      a->sa.sa_family == AF_INET6 ? (size_t)V6_HOST_LEN
						  : sizeof(of_a.ip)) == 0;
}

/* ---- STUN -------------------------------------------------------------------- */

static void answer_error(struct webrtc_port *p, const struct datagram *d,
			 const struct stun *check, enum stun_code code,
			 const char *pwd)
{
	uint8_t out[STUN_ANSWER_MAX];
	const size_t len = stun_write_error(check, code, pwd, out);

	if (len)
		p->send(d->from, out, len, p->send_arg);
}

/* A check that has not the right credentials. */
static void refuse(struct webrtc_port *p, const struct datagram *d,
		   const struct stun *check, enum stun_code code)
{
	counter_add(COUNT_webrtc_strangers, 1);
	if (find_path(p, d->from))
		answer_error(p, d, check, code, NULL);
}

/* USERNAME is ours, a colon, and theirs: RFC 8445 section 7.2.2. */
static struct webrtc_name *find_name(const struct webrtc_port *p,
				     const struct stun *check)
{
	const uint8_t *colon =
		memchr(check->username, ':', check->username_len);
	struct webrtc_name *name;
	struct map_node *n;
	size_t rest;

	if (!colon)
		return NULL;
	n = map_find(&p->names, check->username,
		     (size_t)(colon - check->username));
	if (!n)
		return NULL;
	name = CONTAINER_OF(n, struct webrtc_name, node);
	rest = check->username_len - (size_t)(colon + 1 - check->username);
	return rest == strlen(name->remote_ufrag) &&
			       memcmp(colon + 1, name->remote_ufrag, rest) == 0
		       ? name
		       : NULL;
}

static void take_stun(struct webrtc_port *p, const struct datagram *d)
{
	struct webrtc_name *name;
	struct stun check;

	if (stun_parse(d->data, d->len, &check)) {
		counter_add(COUNT_webrtc_bad, 1);
		return;
	}
	/* Answers are to nothing of ours, indications want none. */
	if (check.class != STUN_REQUEST || check.method != STUN_BINDING)
		return;
	if (!check.username || check.integrity_at == 0) {
		refuse(p, d, &check, STUN_BAD_REQUEST);
		return;
	}
	name = find_name(p, &check);
	if (!name || !stun_is_authentic(&check, d->data, name->local.pwd))
		refuse(p, d, &check, STUN_UNAUTHENTICATED);
	else if (check.n_unknown)
		answer_error(p, d, &check, STUN_UNKNOWN_ATTRIBUTE,
			     name->local.pwd);
	else if (check.controlled) /* a lite agent never controls a full one */
		answer_error(p, d, &check, STUN_ROLE_CONFLICT, name->local.pwd);
	else
		session_checked(name, &check, d);
}

/* ---- packets ---------------------------------------------------------------- */

/* Whose packet it says it is, from an address that nobody has proved. */
static struct webrtc_session *find_speaker(const struct webrtc_port *p,
					   const struct datagram *d)
{
	struct map_node *n;

	if (d->len < RTP_HEADER_LEN || rtp_is_rtcp(d->data, d->len))
		return NULL;
	n = map_find(&p->speakers, d->data + RTP_SSRC_AT, RTP_SSRC_LEN);
	return n ? CONTAINER_OF(n, struct webrtc_session, speaker) : NULL;
}

static void take_media(struct webrtc_port *p, struct webrtc_path *path,
		       const struct datagram *d)
{
	struct webrtc_session *s = path ? path->session : find_speaker(p, d);

	if (s)
		session_take_media(s, path, d);
	else
		counter_add(COUNT_webrtc_strangers, 1);
}

/* ---- datagrams ---------------------------------------------------------------- */

void webrtc_port_take(struct webrtc_port *p, const struct datagram *d)
{
	struct webrtc_path *path;

	if (d->len == 0) {
		counter_add(COUNT_webrtc_bad, 1);
		return;
	}
	if (stun_is_likely(d->data[0])) {
		take_stun(p, d);
		return;
	}
	path = find_path(p, d->from);
	if (d->data[0] >> 6 == 2)
		take_media(p, path, d);
	else if (!path)
		counter_add(COUNT_webrtc_strangers, 1);
	else if (dtls_is_likely(d->data[0]))
		session_take_dtls(path, d);
	else
		counter_add(COUNT_webrtc_bad, 1);
}

bool webrtc_port_may_open(struct webrtc_port *p, int64_t now_us)
{
	unsigned n;

	if (p->n_sessions < p->limits.sessions)
		return true;
	counter_add(COUNT_webrtc_full, 1);
	if (may_log(&p->full, now_us, &n))
		log_warn("webrtc sessions refused=%u: as many as may be (%u) "
			 "are open on this media loop",
			 n, p->limits.sessions);
	return false;
}

bool webrtc_port_may_shake(struct webrtc_port *p, const struct addr *from,
			   int64_t now_us)
{
	char text[ADDR_TEXT_MAX];
	unsigned n_host = 0, n;

	LIST_EACH(&p->shaking, l, after)
	{
		const struct webrtc_session *s =
			CONTAINER_OF(l, struct webrtc_session, shaking);

		if (s->path && is_same_host(&s->path->addr, from))
			n_host++;
	}
	if (p->n_shaking < p->limits.handshakes &&
	    n_host < p->limits.handshakes_per_host)
		return true;
	counter_add(COUNT_webrtc_handshakes_dropped, 1);
	if (may_log(&p->dropped, now_us, &n))
		log_warn("webrtc hellos dropped=%u: as many handshakes as may "
			 "be are under way, the last from %s",
			 n, addr_write(from, text));
	return false;
}

/* ---- time ------------------------------------------------------------------------ */

void webrtc_port_tick(struct webrtc_port *p, int64_t now_us)
{
	LIST_EACH(&p->shaking, l, after)
	{
		session_tick(CONTAINER_OF(l, struct webrtc_session, shaking),
			     now_us);
	}
	if (now_us - p->swept_us < WEBRTC_SWEEP_US)
		return;
	p->swept_us = now_us;
	LIST_EACH(&p->sessions, l, after)
	{
		session_sweep(CONTAINER_OF(l, struct webrtc_session, link),
			      now_us);
	}
}

static void on_tick(struct timer *t, int64_t now_us)
{
	struct webrtc_port *p = CONTAINER_OF(t, struct webrtc_port, tick_timer);

	webrtc_port_tick(p, now_us);
	webrtc_port_arm(p);
}

void webrtc_port_arm(struct webrtc_port *p)
{
	if (!p->loop || p->n_sessions == 0 || timer_is_armed(&p->tick_timer))
		return;
	if (timer_start(&p->tick_timer, p->loop,
			loop_now_us(p->loop) + WEBRTC_TICK_US, on_tick))
		log_error("webrtc port: no memory for a timer");
}

/* ---- the socket ------------------------------------------------------------------ */

static void on_read_timer(struct timer *t, int64_t now_us);

/* Be read by a timer instead of the loop.  False: no memory. */
static bool rest(struct webrtc_port *p)
{
	return timer_start(&p->read_timer, p->loop, clock_now_us() + REST_US,
			   on_read_timer) == 0;
}

static void read_socket(struct webrtc_port *p, int64_t now_us)
{
	p->read_us = now_us;
	udp_read(p->udp);
}

static void on_read_timer(struct timer *t, int64_t now_us)
{
	struct webrtc_port *p = CONTAINER_OF(t, struct webrtc_port, read_timer);

	p->came = false;
	read_socket(p, now_us);
	if (!p->came && udp_watch(p->udp) == 0)
		p->is_watched = true;
	else if (!rest(p))
		log_error("webrtc port: no memory for a timer");
}

static void on_datagram(const struct datagram *d, void *arg)
{
	struct webrtc_port *p = arg;

	p->came = true;
	if (p->is_watched && rest(p)) {
		udp_unwatch(p->udp);
		p->is_watched = false;
	}
	webrtc_port_take(p, d);
}

static void send_by_socket(const struct addr *to, const uint8_t *data,
			   size_t len, void *arg)
{
	struct webrtc_port *p = arg;

	/* What does not get there is sent again, or was not needed. */
	(void)udp_send(p->udp, to, data, len);
}

void webrtc_session_read(struct webrtc_session *s, int64_t now_us)
{
	struct webrtc_port *p = s->port;

	if (p->udp && now_us - p->read_us >= REST_US)
		read_socket(p, now_us);
}

/* ---- opening and closing ----------------------------------------------------------- */

int webrtc_port_new(const struct webrtc_identity *id,
		    const struct webrtc_limits *limits, webrtc_send_fn *send,
		    void *arg, struct webrtc_port **out)
{
	struct webrtc_port *p = mem_zalloc(sizeof(*p));
	int err;

	if (!p)
		return ENOMEM;
	assert(limits->sessions && limits->handshakes &&
	       limits->handshakes_per_host && limits->connect_us > 0 &&
	       limits->handshake_us > 0 && limits->consent_us > 0);
	p->limits = *limits;
	p->send = send;
	p->send_arg = arg;
	map_init(&p->names);
	map_init(&p->paths);
	map_init(&p->speakers);
	list_init(&p->sessions);
	list_init(&p->shaking);
	err = dtls_context_new(id, &p->dtls);
	if (err) {
		mem_free(p);
		return err;
	}
	*out = p;
	return 0;
}

void webrtc_port_free(struct webrtc_port *p)
{
	if (!p)
		return;
	assert(p->n_sessions == 0 && p->names.n == 0 && p->paths.n == 0 &&
	       p->speakers.n == 0);
	dtls_context_free(p->dtls);
	map_fini(&p->names);
	map_fini(&p->paths);
	map_fini(&p->speakers);
	mem_wipe(p->plain, sizeof(p->plain));
	mem_free(p);
}

int webrtc_port_open(struct loop *loop, const struct addr *at,
		     unsigned interface, const struct webrtc_identity *id,
		     const struct webrtc_limits *limits,
		     struct webrtc_port **out)
{
	struct webrtc_port *p;
	int err = webrtc_port_new(id, limits, send_by_socket, NULL, &p);

	if (err)
		return err;
	p->send_arg = p;
	p->loop = loop;
	p->is_watched = true;
	err = udp_open_on(loop, at, interface, on_datagram, p, &p->udp);
	if (err) {
		webrtc_port_free(p);
		return err;
	}
	udp_set_room(p->udp, WEBRTC_ROOM_BYTES);
	*out = p;
	return 0;
}

void webrtc_port_addr(const struct webrtc_port *p, struct addr *out)
{
	udp_addr(p->udp, out);
}

void webrtc_port_close(struct webrtc_port *p)
{
	if (!p)
		return;
	timer_stop(&p->read_timer);
	timer_stop(&p->tick_timer);
	udp_close(p->udp);
	webrtc_port_free(p);
}
