/**
 * intake/webrtc_caller.c -- who calls a session of somebody: checks, DTLS,
 * packets out.
 *
 * DESIGN
 *   A pair is an address of the peer: we have one base, the owner's socket.
 *   Each has one check under way, which is sent again until it is answered:
 *   first the plain one, then, for the pair that was answered first, the one
 *   that nominates it; then, of that pair, one for consent every 5 s.
 *   An address from which the peer checks us, and which it had not told, is a
 *   pair like any other.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "intake/webrtc.h"
#include "wire/rtp.h"

enum {
	PACE_US =
		50 * CLOCK_US_PER_MS, /* between first checks, RFC 8445 14.2 */
	RESEND_US = 100 * CLOCK_US_PER_MS,
	RESEND_MAX_US = 1600 * CLOCK_US_PER_MS,
	CONSENT_US = 5 * CLOCK_US_PER_S,
	CONSENT_SPREAD = 256, /* +- 20 %, by a random byte */
	/* What the peer learns of us by a check: RFC 8445 section 5.1.2.1,
	 * peer-reflexive, the only base, RTP */
	PRIORITY = 110 << 24 | 65535 << 8 | 255
};

struct pair {
	struct addr to;
	uint8_t id[STUN_ID_LEN]; /* of the check under way */
	int64_t next_us;	 /* when it is sent (again) */
	int64_t wait_us;	 /* then */
	bool is_valid;		 /* was answered */
};

struct webrtc_caller {
	struct webrtc_caller_events events;
	void *arg;
	struct dtls_context *context;
	struct dtls *dtls;
	struct webrtc_credentials local;
	char remote_pwd[WEBRTC_REMOTE_PWD_MAX + 1];
	char username[STUN_USERNAME_MAX + 1]; /* of our checks */
	uint64_t tie_breaker;
	bool is_awaited;
	struct pair pairs[WEBRTC_CALLER_PAIRS];
	size_t n_pairs;
	struct pair *nominee;  /* NULL: no pair was answered yet */
	bool is_nominated;     /* and that was answered, too */
	int64_t opened_us;     /* until then */
	int64_t found_us;      /* since then */
	int64_t consented_us;  /* the last answer of the nominee */
	struct srtp *out, *in; /* NULL: not connected */
	const char *profile;
	bool has_ended;
	uint8_t plain[WEBRTC_DATAGRAM_MAX];
};

static void end(struct webrtc_caller *c, enum webrtc_end why)
{
	assert(!c->has_ended);
	c->has_ended = true;
	c->events.ended(why, c->arg);
}

/* ---- checks ---------------------------------------------------------------- */

static struct pair *find_pair(struct webrtc_caller *c, const struct addr *at)
{
	for (size_t i = 0; i < c->n_pairs; i++) {
		if (addr_is_equal(&c->pairs[i].to, at))
			return &c->pairs[i];
	}
	return NULL;
}

/** A new check of the pair is due at `at_us`. */
static int prepare(struct pair *p, int64_t at_us)
{
	p->next_us = at_us;
	p->wait_us = RESEND_US;
	return RAND_bytes(p->id, sizeof(p->id)) == 1 ? 0 : EIO;
}

static int add_pair(struct webrtc_caller *c, const struct addr *to,
		    int64_t at_us)
{
	struct pair *p = &c->pairs[c->n_pairs];

	if (c->n_pairs == WEBRTC_CALLER_PAIRS || find_pair(c, to))
		return 0;
	*p = (struct pair){.to = *to};
	c->n_pairs++;
	return prepare(p, at_us);
}

static void send_check(struct webrtc_caller *c, const struct pair *p)
{
	const struct stun_check check = {
		.id = p->id,
		.username = c->username,
		.tie_breaker = c->tie_breaker,
		.priority = PRIORITY,
		.nominate = p == c->nominee,
	};
	uint8_t out[STUN_CHECK_MAX];
	const size_t len = stun_write_check(&check, c->remote_pwd, out);

	if (len)
		c->events.send(&p->to, out, len, c->arg);
}

/** .. and again until it is answered. */
static void send_until_answered(struct webrtc_caller *c, struct pair *p,
				int64_t now_us)
{
	send_check(c, p);
	p->next_us = now_us + p->wait_us;
	if (p->wait_us < RESEND_MAX_US)
		p->wait_us *= 2;
}

/** Each is sent once, with an id of its own: RFC 7675 section 5.1. */
static void ask_consent(struct webrtc_caller *c, int64_t now_us)
{
	struct pair *p = c->nominee;

	/* without new random bytes the old ones will do */
	(void)!RAND_bytes(p->id, sizeof(p->id));
	send_check(c, p);
	p->next_us = now_us + CONSENT_US * 4 / 5 +
		     CONSENT_US * 2 / 5 * p->id[0] / CONSENT_SPREAD;
}

/* ---- DTLS ------------------------------------------------------------------- */

static void send_dtls(const uint8_t *data, size_t len, void *arg)
{
	struct webrtc_caller *c = arg;

	c->events.send(&c->nominee->to, data, len, c->arg);
}

static void begin_srtp(struct webrtc_caller *c)
{
	struct dtls_srtp keys;
	int err = dtls_srtp(c->dtls, &keys);

	if (!err)
		err = srtp_new(keys.profile, SRTP_OUT, keys.our_key,
			       keys.our_salt, &c->out);
	if (!err)
		err = srtp_new(keys.profile, SRTP_IN, keys.their_key,
			       keys.their_salt, &c->in);
	c->profile = srtp_profile_name(keys.profile);
	mem_wipe(&keys, sizeof(keys));
	if (err)
		end(c, WEBRTC_NO_MEMORY);
	else
		c->events.connected(c->arg);
}

/** What a datagram or the time has made of the handshake. */
static void see_dtls(struct webrtc_caller *c, enum dtls_state state)
{
	switch (state) {
	case DTLS_SHAKING:
		break;
	case DTLS_DONE:
		if (!c->out)
			begin_srtp(c);
		break;
	case DTLS_CLOSED:
		end(c, WEBRTC_BYE);
		break;
	case DTLS_FAILED:
		end(c, dtls_why(c->dtls));
		break;
	}
}

/* ---- what comes -------------------------------------------------------------- */

/** The peer knows of the nomination: go on with DTLS. */
static void on_nominated(struct webrtc_caller *c, int64_t now_us)
{
	c->is_nominated = true;
	c->found_us = now_us;
	c->nominee->next_us = now_us + CONSENT_US;
	if (!c->is_awaited)
		see_dtls(c, dtls_begin(c->dtls));
}

static void take_success(struct webrtc_caller *c, const struct stun *s,
			 const struct datagram *d)
{
	struct pair *p = find_pair(c, d->from);

	if (!p || memcmp(p->id, s->id, STUN_ID_LEN) != 0 ||
	    !stun_is_authentic(s, d->data, c->remote_pwd))
		return;
	p->is_valid = true;
	if (!c->nominee) {
		c->nominee = p;
		if (prepare(p, d->arrival_us))
			end(c, WEBRTC_NO_MEMORY);
		else
			send_until_answered(c, p, d->arrival_us);
	} else if (p == c->nominee) {
		c->consented_us = d->arrival_us;
		if (!c->is_nominated)
			on_nominated(c, d->arrival_us);
	}
}

/** Is it a check for us, by who knows our password? */
static bool is_for_us(const struct webrtc_caller *c, const struct stun *s,
		      const uint8_t *data)
{
	const size_t len = strlen(c->local.ufrag);

	return s->username && s->username_len > len &&
	       !memcmp(s->username, c->local.ufrag, len) &&
	       s->username[len] == ':' &&
	       stun_is_authentic(s, data, c->local.pwd);
}

static void answer(struct webrtc_caller *c, const struct stun *s,
		   const struct datagram *d)
{
	const struct stun_addr from = webrtc_stun_addr(d->from);
	uint8_t out[STUN_ANSWER_MAX];
	size_t len;

	if (!is_for_us(c, s, d->data))
		return;
	len = stun_write_success(s, &from, c->local.pwd, out);
	if (len)
		c->events.send(d->from, out, len, c->arg);
	if (!c->nominee && add_pair(c, d->from, d->arrival_us))
		end(c, WEBRTC_NO_MEMORY);
}

static void take_stun(struct webrtc_caller *c, const struct datagram *d)
{
	struct stun s;

	if (stun_parse(d->data, d->len, &s) || s.method != STUN_BINDING)
		return;
	if (s.class == STUN_SUCCESS)
		take_success(c, &s, d);
	else if (s.class == STUN_REQUEST)
		answer(c, &s, d);
}

static void take_report(struct webrtc_caller *c, const struct datagram *d)
{
	size_t len;

	if (c->in && d->len <= sizeof(c->plain) &&
	    rtp_is_rtcp(d->data, d->len) &&
	    !srtcp_unprotect(c->in, d->data, d->len, c->plain, &len))
		c->events.report(c->plain, len, c->arg);
}

void webrtc_caller_take(struct webrtc_caller *c, const struct datagram *d)
{
	const struct pair *p;

	if (c->has_ended || !d->len)
		return;
	if (stun_is_likely(d->data[0])) {
		take_stun(c, d);
		return;
	}
	p = find_pair(c, d->from);
	if (!p || !p->is_valid || !c->is_nominated)
		return;
	if (dtls_is_likely(d->data[0]))
		see_dtls(c, dtls_take(c->dtls, d->data, d->len));
	else
		take_report(c, d);
}

/* ---- time ---------------------------------------------------------------------- */

static void check_pairs(struct webrtc_caller *c, int64_t now_us)
{
	if (c->is_nominated) {
		if (now_us >= c->nominee->next_us)
			ask_consent(c, now_us);
		return;
	}
	for (size_t i = 0; i < c->n_pairs; i++) {
		struct pair *p = &c->pairs[i];

		if (now_us >= p->next_us && (!c->nominee || p == c->nominee))
			send_until_answered(c, p, now_us);
	}
}

void webrtc_caller_tick(struct webrtc_caller *c, int64_t now_us)
{
	if (c->has_ended)
		return;
	if (!c->is_nominated &&
	    now_us - c->opened_us >= WEBRTC_CALLER_CHECK_US) {
		end(c, WEBRTC_NO_CHECK);
		return;
	}
	if (c->is_nominated &&
	    now_us - c->consented_us >= WEBRTC_CALLER_CONSENT_US) {
		end(c, WEBRTC_NO_CONSENT);
		return;
	}
	if (c->is_nominated && !c->out &&
	    now_us - c->found_us >= WEBRTC_CALLER_SHAKE_US) {
		end(c, WEBRTC_NO_HANDSHAKE);
		return;
	}
	check_pairs(c, now_us);
	if (c->is_nominated)
		see_dtls(c, dtls_tick(c->dtls));
}

/* ---- packets ---------------------------------------------------------------------- */

int webrtc_caller_seal(struct webrtc_caller *c, bool is_report,
		       const uint8_t *in, size_t len, uint8_t *out,
		       size_t *out_len)
{
	if (c->has_ended || !c->out)
		return ENOTCONN;
	return (is_report ? srtcp_protect : srtp_protect)(c->out, in, len, out,
							  out_len);
}

const struct addr *webrtc_caller_peer(const struct webrtc_caller *c)
{
	static const struct addr none;

	return c->is_nominated ? &c->nominee->to : &none;
}

const char *webrtc_caller_profile(const struct webrtc_caller *c)
{
	return c->profile;
}

const char *webrtc_caller_reason(const struct webrtc_caller *c)
{
	return dtls_reason(c->dtls);
}

/* ---- life -------------------------------------------------------------------------- */

static int set_up(struct webrtc_caller *c,
		  const struct webrtc_caller_config *config, int64_t now_us)
{
	int err = dtls_context_new(config->id, &c->context);

	if (!err)
		err = dtls_new(c->context,
			       config->is_awaited ? DTLS_SERVER : DTLS_CLIENT,
			       &config->fingerprint, send_dtls, c, &c->dtls);
	if (!err && RAND_bytes((unsigned char *)&c->tie_breaker,
			       sizeof(c->tie_breaker)) != 1)
		err = EIO;
	for (size_t i = 0; i < config->n_peers && !err; i++)
		err = add_pair(c, &config->peers[i],
			       now_us + (int64_t)i * PACE_US);
	return err;
}

int webrtc_caller_open(const struct webrtc_caller_config *config,
		       const struct webrtc_caller_events *events, void *arg,
		       int64_t now_us, struct webrtc_caller **out)
{
	struct webrtc_caller *c = mem_zalloc(sizeof(*c));
	int err;

	assert(strlen(config->remote_ufrag) <= WEBRTC_REMOTE_UFRAG_MAX &&
	       strlen(config->remote_pwd) <= WEBRTC_REMOTE_PWD_MAX);
	if (!c)
		return ENOMEM;
	c->events = *events;
	c->arg = arg;
	c->local = *config->local;
	c->is_awaited = config->is_awaited;
	c->opened_us = now_us;
	memcpy(c->remote_pwd, config->remote_pwd, strlen(config->remote_pwd));
	snprintf(c->username, sizeof(c->username), "%s:%s",
		 config->remote_ufrag, config->local->ufrag);
	err = set_up(c, config, now_us);
	if (err) {
		webrtc_caller_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void webrtc_caller_close(struct webrtc_caller *c)
{
	if (!c)
		return;
	if (c->out && !c->has_ended)
		dtls_close(c->dtls);
	dtls_free(c->dtls);
	dtls_context_free(c->context);
	srtp_free(c->out);
	srtp_free(c->in);
	mem_free_wiped(c);
}
