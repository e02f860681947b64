/**
 * intake/webrtc_session.c -- one peer: its addresses, its keys, its packets.
 *
 * DESIGN
 *   Paths: each address from which a check with the right credentials has come
 *   is one, for as long as it is alive; DTLS and packets are taken from any of
 *   them.  We send to the one that was nominated last, or, while none was, to
 *   the first; when that has been silent for QUIET_US, to whichever is checked
 *   (a NAT has given the peer another port).  An address that is another
 *   session's path stays that one's until it has been silent, too.
 *   Consent (RFC 7675): we are lite and send no checks, so the peer's are the
 *   sign that it is still there, and so is a packet that is authentic and has
 *   not come before: GStreamer (libnice) makes no checks once it is connected.
 *   Packets are taken from any address, but move nothing.
 *   Restart: the peer learns its new credentials from us some time before it
 *   uses them, so the old ones stay valid until it does.
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
	/* Two rounds of consent checks, RFC 7675 section 5.1: 5 s, +- 20 % */
	QUIET_US = 12 * 1000 * 1000
};

/* ---- paths -------------------------------------------------------------------- */

static void remove_path(struct webrtc_path *path)
{
	struct webrtc_session *s = path->session;

	if (s->path == path)
		s->path = NULL;
	map_remove(&s->port->paths, &path->node);
	*path = (struct webrtc_path){0};
}

/* A free place, or that of the path that has been silent longest. */
static struct webrtc_path *take_place(struct webrtc_session *s)
{
	struct webrtc_path *oldest = NULL;

	for (size_t i = 0; i < WEBRTC_PATHS; i++) {
		struct webrtc_path *path = &s->paths[i];

		if (!path->session)
			return path;
		if (path != s->path &&
		    (!oldest || path->alive_us < oldest->alive_us))
			oldest = path;
	}
	remove_path(oldest);
	return oldest;
}

/* NULL: the address is another's, or no memory. */
static struct webrtc_path *get_path(struct webrtc_session *s,
				    const struct addr *from, int64_t now_us)
{
	struct webrtc_path *path;
	struct path_key key;
	struct map_node *n;

	path_key_make(from, &key);
	n = map_find(&s->port->paths, &key, sizeof(key));
	if (n) {
		path = CONTAINER_OF(n, struct webrtc_path, node);
		if (path->session == s)
			return path;
		if (now_us - path->alive_us < QUIET_US)
			return NULL;
		remove_path(path);
	}
	path = take_place(s);
	path->key = key;
	path->addr = *from;
	if (map_add(&s->port->paths, &path->node, &path->key,
		    sizeof(path->key)))
		return NULL;
	path->session = s;
	return path;
}

static void select_path(struct webrtc_session *s, struct webrtc_path *path,
			bool nominated, int64_t now_us)
{
	if (path == s->path)
		return;
	if (s->path && !nominated && now_us - s->path->alive_us < QUIET_US)
		return;
	if (s->stats.peer.len && !addr_is_equal(&s->stats.peer, &path->addr))
		s->stats.moves++;
	s->path = path;
	s->stats.peer = path->addr;
}

/* ---- the end -------------------------------------------------------------------- */

static void leave_shaking(struct webrtc_session *s)
{
	if (!link_is_on_list(&s->shaking))
		return;
	list_remove(&s->shaking);
	s->port->n_shaking--;
}

static void drop_name(struct webrtc_session *s, struct webrtc_name **name)
{
	if (!*name)
		return;
	map_remove(&s->port->names, &(*name)->node);
	mem_wipe(*name, sizeof(**name));
	mem_free(*name);
	*name = NULL;
}

static void forget_speaker(struct webrtc_session *s)
{
	if (s->speaker.key)
		map_remove(&s->port->speakers, &s->speaker);
	s->speaker.key = NULL;
}

/* Whatever others could reach it by, and its keys. */
static void let_go(struct webrtc_session *s)
{
	for (size_t i = 0; i < WEBRTC_PATHS; i++) {
		if (s->paths[i].session)
			remove_path(&s->paths[i]);
	}
	drop_name(s, &s->name);
	drop_name(s, &s->old_name);
	leave_shaking(s);
	forget_speaker(s);
	dtls_free(s->dtls);
	srtp_free(s->srtp);
	srtp_free(s->reply);
	s->dtls = NULL;
	s->srtp = NULL;
	s->reply = NULL;
	s->stats.is_connected = false;
}

static void end(struct webrtc_session *s, enum webrtc_end why, int64_t now_us)
{
	assert(!s->stats.has_ended);
	if (why == WEBRTC_NO_CONSENT)
		counter_add(COUNT_webrtc_no_consent, 1);
	let_go(s);
	s->stats.has_ended = true;
	s->stats.why = why;
	s->events.ended(why, now_us, s->arg);
}

const char *webrtc_end_name(enum webrtc_end why)
{
	switch (why) {
	case WEBRTC_BYE:
		return "bye";
	case WEBRTC_NO_CHECK:
		return "no check";
	case WEBRTC_NO_HANDSHAKE:
		return "no handshake";
	case WEBRTC_BAD_HANDSHAKE:
		return "bad handshake";
	case WEBRTC_BAD_CERTIFICATE:
		return "bad certificate";
	case WEBRTC_NO_SRTP:
		return "no srtp";
	case WEBRTC_NO_CONSENT:
		return "no consent";
	case WEBRTC_NO_MEMORY:
		return "no memory";
	}
	return "";
}

/* ---- checks ---------------------------------------------------------------------- */

struct stun_addr webrtc_stun_addr(const struct addr *a)
{
	struct stun_addr out = {.is_v6 = a->sa.sa_family == AF_INET6,
				.port = addr_port(a)};

	if (out.is_v6)
		memcpy(out.ip, &a->in6.sin6_addr, 16);
	else
		memcpy(out.ip, &a->in4.sin_addr, 4);
	return out;
}

static void answer(struct webrtc_session *s, const struct webrtc_name *name,
		   const struct stun *check, const struct datagram *d)
{
	const struct stun_addr from = webrtc_stun_addr(d->from);
	uint8_t out[STUN_ANSWER_MAX];
	size_t len;

	len = stun_write_success(check, &from, name->local.pwd, out);
	if (len)
		s->port->send(d->from, out, len, s->port->send_arg);
}

void session_checked(struct webrtc_name *name, const struct stun *check,
		     const struct datagram *d)
{
	struct webrtc_session *s = name->session;
	const int64_t now_us = d->arrival_us;
	struct webrtc_path *path = get_path(s, d->from, now_us);

	if (!path) {
		counter_add(COUNT_webrtc_strangers, 1);
		return;
	}
	path->alive_us = now_us;
	s->alive_us = now_us;
	s->stats.checked_us = now_us;
	s->stats.is_proven = true;
	select_path(s, path, check->use_candidate, now_us);
	answer(s, name, check, d);
	if (name == s->name)
		drop_name(s, &s->old_name);
}

/* ---- DTLS -------------------------------------------------------------------------- */

static void send_dtls(const uint8_t *data, size_t len, void *arg)
{
	struct webrtc_session *s = arg;

	if (s->path)
		s->port->send(&s->path->addr, data, len, s->port->send_arg);
}

static void begin_srtp(struct webrtc_session *s, int64_t now_us)
{
	struct dtls_srtp keys;
	int err = dtls_srtp(s->dtls, &keys);

	if (!err)
		err = srtp_new(keys.profile, SRTP_IN, keys.their_key,
			       keys.their_salt, &s->srtp);
	if (!err)
		err = srtp_new(keys.profile, SRTP_OUT, keys.our_key,
			       keys.our_salt, &s->reply);
	s->stats.srtp_profile = srtp_profile_name(keys.profile);
	mem_wipe(&keys, sizeof(keys));
	leave_shaking(s);
	if (err) {
		end(s, WEBRTC_NO_MEMORY, now_us);
		return;
	}
	s->stats.is_connected = true;
	counter_add(COUNT_webrtc_connected, 1);
	s->events.connected(&s->stats.peer, now_us, s->arg);
}

/* What a datagram or the time has made of the handshake. */
static void see_dtls(struct webrtc_session *s, enum dtls_state state,
		     int64_t now_us)
{
	switch (state) {
	case DTLS_SHAKING:
		return;
	case DTLS_DONE:
		if (!s->srtp)
			begin_srtp(s, now_us);
		return;
	case DTLS_CLOSED:
		end(s, WEBRTC_BYE, now_us);
		return;
	case DTLS_FAILED:
		webrtc_port_handshake_failed(s->port, &s->stats.peer,
					     dtls_reason(s->dtls), now_us);
		end(s, dtls_why(s->dtls), now_us);
		return;
	}
}

static void begin_handshake(struct webrtc_session *s, int64_t now_us)
{
	if (dtls_new(s->port->dtls, DTLS_SERVER, &s->fingerprint, send_dtls, s,
		     &s->dtls)) {
		end(s, WEBRTC_NO_MEMORY, now_us);
		return;
	}
	s->hello_us = now_us;
	list_append(&s->port->shaking, &s->shaking);
	s->port->n_shaking++;
}

void session_take_dtls(struct webrtc_path *path, const struct datagram *d)
{
	struct webrtc_session *s = path->session;

	if (!s->path) /* it was given up; this one is alive */
		select_path(s, path, false, d->arrival_us);
	if (!s->dtls) {
		if (!dtls_is_hello(d->data, d->len)) {
			counter_add(COUNT_webrtc_bad, 1);
			return;
		}
		if (!webrtc_port_may_shake(s->port, d->from, d->arrival_us))
			return;
		begin_handshake(s, d->arrival_us);
		if (!s->dtls)
			return;
	}
	see_dtls(s, dtls_take(s->dtls, d->data, d->len), d->arrival_us);
}

/* ---- packets ------------------------------------------------------------------------ */

static bool is_wanted(const struct webrtc_session *s, const uint8_t *data,
		      size_t len)
{
	const uint8_t pt = len > 1 ? data[1] & 127 : 0;

	return pt == s->opus_pt || (s->red_pt && pt == s->red_pt);
}

static void count_refused(struct webrtc_session *s, int err)
{
	if (err == EALREADY) {
		s->stats.replayed++;
		counter_add(COUNT_srtp_replayed, 1);
		return;
	}
	s->stats.refused++;
	counter_add(COUNT_srtp_refused, 1);
}

static void report(struct webrtc_session *s, int64_t now_us)
{
	uint8_t plain[RTCP_REPORT_MAX];
	uint8_t sealed[RTCP_REPORT_MAX + SRTP_TRAILER_MAX];
	size_t len = input_report(s->in, now_us, plain);

	if (len == 0 || !s->path ||
	    srtcp_protect(s->reply, plain, len, sealed, &len))
		return;
	counter_add(COUNT_rtcp_reports, 1);
	s->port->send(&s->path->addr, sealed, len, s->port->send_arg);
}

/* An authentic packet: whoever moves is known by its SSRC.  Of two that have
 * the same, or without memory, by its checks only. */
static void note_speaker(struct webrtc_session *s, const uint8_t *packet)
{
	const uint8_t *ssrc = packet + RTP_SSRC_AT;

	if (s->has_ssrc && memcmp(s->ssrc, ssrc, RTP_SSRC_LEN) == 0)
		return;
	forget_speaker(s);
	memcpy(s->ssrc, ssrc, RTP_SSRC_LEN);
	s->has_ssrc = true;
	if (!map_find(&s->port->speakers, s->ssrc, RTP_SSRC_LEN) &&
	    map_add(&s->port->speakers, &s->speaker, s->ssrc, RTP_SSRC_LEN))
		s->speaker.key = NULL;
}

void session_take_media(struct webrtc_session *s, struct webrtc_path *path,
			const struct datagram *d)
{
	const bool is_report = rtp_is_rtcp(d->data, d->len);
	uint8_t *plain = s->port->plain;
	size_t len;
	int err;

	if (!s->srtp) { /* overtaken by it, or none of ours */
		counter_add(COUNT_webrtc_early, 1);
		return;
	}
	if (!is_report && !is_wanted(s, d->data, d->len)) {
		s->stats.other++;
		counter_add(COUNT_webrtc_other, 1);
		return;
	}
	assert(d->len <= WEBRTC_DATAGRAM_MAX);
	err = (is_report ? srtcp_unprotect : srtp_unprotect)(
		s->srtp, d->data, d->len, plain, &len);
	if (err) {
		count_refused(s, err);
		return;
	}
	s->stats.packets++;
	if (path)
		path->alive_us = d->arrival_us;
	s->alive_us = d->arrival_us;
	input_packet(s->in, plain, len, d->from, d->arrival_us);
	if (is_report)
		report(s, d->arrival_us);
	else
		note_speaker(s, plain);
}

/* ---- time ----------------------------------------------------------------------------- */

void session_tick(struct webrtc_session *s, int64_t now_us)
{
	const enum dtls_state state = dtls_tick(s->dtls);

	if (state == DTLS_SHAKING &&
	    now_us - s->hello_us >= s->port->limits.handshake_us) {
		webrtc_port_handshake_failed(s->port, &s->stats.peer,
					     "it takes too long", now_us);
		end(s, WEBRTC_NO_HANDSHAKE, now_us);
		return;
	}
	see_dtls(s, state, now_us);
}

void session_sweep(struct webrtc_session *s, int64_t now_us)
{
	const struct webrtc_limits *limits = &s->port->limits;

	if (s->stats.has_ended)
		return;
	if (s->stats.is_proven && now_us - s->alive_us >= limits->consent_us) {
		end(s, WEBRTC_NO_CONSENT, now_us);
		return;
	}
	if (!s->stats.is_connected &&
	    now_us - s->opened_us >= limits->connect_us) {
		end(s,
		    s->stats.is_proven ? WEBRTC_NO_HANDSHAKE : WEBRTC_NO_CHECK,
		    now_us);
		return;
	}
	for (size_t i = 0; i < WEBRTC_PATHS; i++) {
		struct webrtc_path *path = &s->paths[i];

		if (path->session &&
		    now_us - path->alive_us >= limits->consent_us)
			remove_path(path);
	}
}

/* ---- opening and closing ---------------------------------------------------------------- */

static int add_name(struct webrtc_session *s,
		    const struct webrtc_credentials *local,
		    const char *remote_ufrag, struct webrtc_name **out)
{
	const size_t remote_len = strlen(remote_ufrag);
	struct webrtc_name *name;

	if (remote_len < WEBRTC_REMOTE_UFRAG_MIN ||
	    remote_len > WEBRTC_REMOTE_UFRAG_MAX)
		return EINVAL;
	if (map_find(&s->port->names, local->ufrag, strlen(local->ufrag)))
		return EEXIST;
	name = mem_zalloc(sizeof(*name));
	if (!name)
		return ENOMEM;
	name->session = s;
	name->local = *local;
	memcpy(name->remote_ufrag, remote_ufrag, remote_len);
	if (map_add(&s->port->names, &name->node, name->local.ufrag,
		    strlen(name->local.ufrag))) {
		mem_wipe(name, sizeof(*name));
		mem_free(name);
		return ENOMEM;
	}
	*out = name;
	return 0;
}

int webrtc_session_open(struct webrtc_port *p,
			const struct webrtc_session_config *config,
			const struct webrtc_session_events *events, void *arg,
			int64_t now_us, struct webrtc_session **out)
{
	struct webrtc_session *s;
	int err;

	assert(config->opus_pt && config->opus_pt <= 127 &&
	       config->red_pt <= 127);
	if (!webrtc_port_may_open(p, now_us))
		return ENOBUFS;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return ENOMEM;
	s->port = p;
	s->events = *events;
	s->arg = arg;
	s->in = config->in;
	s->fingerprint = config->fingerprint;
	s->opus_pt = config->opus_pt;
	s->red_pt = config->red_pt;
	s->opened_us = now_us;
	err = add_name(s, config->local, config->remote_ufrag, &s->name);
	if (err) {
		mem_free(s);
		return err;
	}
	list_append(&p->sessions, &s->link);
	p->n_sessions++;
	counter_add(COUNT_webrtc_sessions, 1);
	webrtc_port_arm(p);
	*out = s;
	return 0;
}

int webrtc_session_restart(struct webrtc_session *s,
			   const struct webrtc_credentials *local,
			   const char *remote_ufrag)
{
	struct webrtc_name *name;
	int err;

	if (s->stats.has_ended)
		return 0;
	err = add_name(s, local, remote_ufrag, &name);
	if (err)
		return err;
	/* of two restarts in a row the one in between was never used, or is
	 * the one that still works */
	if (s->old_name)
		drop_name(s, &s->name);
	else
		s->old_name = s->name;
	s->name = name;
	return 0;
}

void webrtc_session_stats(const struct webrtc_session *s,
			  struct webrtc_session_stats *out)
{
	*out = s->stats;
}

void webrtc_session_close(struct webrtc_session *s)
{
	struct webrtc_port *p;

	if (!s)
		return;
	p = s->port;
	if (s->stats.is_connected)
		dtls_close(s->dtls);
	let_go(s);
	list_remove(&s->link);
	p->n_sessions--;
	counter_add(COUNT_webrtc_sessions, -1);
	mem_free(s);
}
