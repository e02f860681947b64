/** test/unit/webrtc_aid.h -- a WebRTC port without a socket, peers on OpenSSL,
 *  and a network between them that loses, doubles and reorders. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_WEBRTC_AID_H
#define TEST_UNIT_WEBRTC_AID_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "intake/webrtc.h"
#include "intake_aid.h"
#include "stun_aid.h"

/* Needs cmocka.h before it. */

enum {
	OPUS = 111,
	RED = 63,
	QUEUE_MAX = 512,
	SSRC = 0x01020304,
	S_US = 1000000
};

/* The clock of OpenSSL's timers, and of everything else here. */
static int64_t fake_us = INT64_C(1000) * S_US;

/** In place of the C library's, for OpenSSL as well. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz);
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	tv->tv_sec = fake_us / S_US;
	tv->tv_usec = fake_us % S_US;
	return 0;
}

/* ---- the network -------------------------------------------------------------- */

struct letter {
	bool to_port;
	struct addr peer; /* whose it is, either way */
	uint8_t data[WEBRTC_DATAGRAM_MAX];
	size_t len;
};

/** What happens to the n-th letter: how often it arrives (0: it is lost). */
typedef unsigned(fate_fn)(const struct letter *l, unsigned n, void *arg);

struct peer {
	struct rig *rig;
	struct webrtc_identity *id;
	struct webrtc_credentials local; /* what we told it to use */
	char remote_ufrag[16];		 /* its own */
	struct addr at;
	struct input *in;
	struct ear ear;
	struct webrtc_session *session;
	/* what the session told */
	int n_connected, n_ended;
	enum webrtc_end why;
	/* what it got */
	unsigned n_success, n_error;
	int last_error;
	unsigned n_reports;
	struct rtcp report;
	/* DTLS */
	SSL_CTX *ctx;
	SSL *ssl;
	BIO_METHOD *bio;
	const struct letter *reading;
	bool done, closed, failed;
	size_t mtu;
	struct srtp *seal, *open;
	int64_t n_sent;
};

struct rig {
	struct webrtc_identity *id;
	struct webrtc_port *port;
	struct letter *queue[QUEUE_MAX];
	size_t n;
	unsigned n_carried;	    /* letters so far */
	size_t bytes_sent, largest; /* by the port */
	unsigned n_sent;
	fate_fn *fate;
	void *fate_arg;
	struct peer *peers[64];
	size_t n_peers;
};

static inline void enqueue(struct rig *r, bool to_port, const struct addr *peer,
			   const uint8_t *data, size_t len)
{
	struct letter l = {.to_port = to_port, .peer = *peer, .len = len};
	unsigned times = 1;

	assert_true(len <= sizeof(l.data));
	memcpy(l.data, data, len);
	if (r->fate)
		times = r->fate(&l, r->n_carried, r->fate_arg);
	r->n_carried++;
	for (unsigned i = 0; i < times; i++) {
		struct letter *copy = test_malloc(sizeof(l));

		*copy = l;
		assert_true(r->n < QUEUE_MAX);
		r->queue[r->n++] = copy;
	}
}

static inline void on_send(const struct addr *to, const uint8_t *data,
			   size_t len, void *arg)
{
	struct rig *r = arg;

	r->n_sent++;
	r->bytes_sent += len;
	if (len > r->largest)
		r->largest = len;
	enqueue(r, false, to, data, len);
}

/** Straight from an address, whoever has it. */
static inline void give(struct rig *r, const struct addr *from,
			const void *data, size_t len)
{
	uint8_t *copy = test_malloc(len ? len : 1);
	struct datagram d = {
		.data = copy, .len = len, .from = from, .arrival_us = fake_us};

	memcpy(copy, data, len);
	webrtc_port_take(r->port, &d);
	test_free(copy);
}

/* ---- a peer's DTLS ---------------------------------------------------------------- */

static inline int peer_bio_read(BIO *bio, char *out, int cap)
{
	struct peer *p = BIO_get_data(bio);
	const struct letter *l = p->reading;

	BIO_clear_retry_flags(bio);
	if (!l) {
		BIO_set_retry_read(bio);
		return -1;
	}
	p->reading = NULL;
	assert_true(l->len <= (size_t)cap);
	memcpy(out, l->data, l->len);
	return (int)l->len;
}

static inline int peer_bio_write(BIO *bio, const char *data, int len)
{
	struct peer *p = BIO_get_data(bio);

	enqueue(p->rig, true, &p->at, (const uint8_t *)data, (size_t)len);
	return len;
}

static inline long peer_bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static inline int peer_bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static inline int accept_any(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

struct peer_options {
	const char *profiles; /* NULL: both; "": no use_srtp */
	bool no_certificate;
	size_t mtu; /* 0: 1200 */
};

static inline void peer_make_tls(struct peer *p, const struct peer_options *o)
{
	const char *profiles = o->profiles ? o->profiles
					   : "SRTP_AES128_CM_SHA1_80:"
					     "SRTP_AEAD_AES_128_GCM";
	BIO *bio;

	p->ctx = SSL_CTX_new(DTLS_client_method());
	assert_non_null(p->ctx);
	SSL_CTX_set_options(p->ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(p->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(p->ctx, accept_any, NULL);
	if (!o->no_certificate) {
		assert_int_equal(SSL_CTX_use_certificate(p->ctx, p->id->cert),
				 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(p->ctx, p->id->key), 1);
	}
	if (*profiles)
		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(p->ctx, profiles),
				 0);
	p->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "peer");
	BIO_meth_set_read(p->bio, peer_bio_read);
	BIO_meth_set_write(p->bio, peer_bio_write);
	BIO_meth_set_ctrl(p->bio, peer_bio_ctrl);
	BIO_meth_set_create(p->bio, peer_bio_create);
	bio = BIO_new(p->bio);
	BIO_set_data(bio, p);
	p->ssl = SSL_new(p->ctx);
	SSL_set_bio(p->ssl, bio, bio);
	SSL_set_connect_state(p->ssl);
	SSL_set_mtu(p->ssl, (long)(o->mtu ? o->mtu : 1200));
}

/** Keys of both directions, as RFC 5764 section 4.2 lays them out. */
static inline void peer_take_keys(struct peer *p)
{
	const SRTP_PROTECTION_PROFILE *got =
		SSL_get_selected_srtp_profile(p->ssl);
	uint8_t keys[60];
	enum srtp_profile profile;
	size_t salt_len;

	if (!got)
		return;
	profile = (enum srtp_profile)got->id;
	salt_len = srtp_salt_len(profile);
	assert_int_equal(SSL_export_keying_material(
				 p->ssl, keys, 2 * (16 + salt_len),
				 "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0),
			 1);
	/* one that has no memory stays without */
	if (srtp_new(profile, SRTP_OUT, keys, keys + 32, &p->seal) == 0 &&
	    srtp_new(profile, SRTP_IN, keys + 16, keys + 32 + salt_len,
		     &p->open))
		p->open = NULL;
}

static inline void peer_shake(struct peer *p)
{
	int n;

	ERR_clear_error();
	if (p->done) {
		uint8_t out[64];

		n = SSL_read(p->ssl, out, sizeof(out));
		if (n <= 0 && SSL_get_error(p->ssl, n) == SSL_ERROR_ZERO_RETURN)
			p->closed = true;
		return;
	}
	n = SSL_do_handshake(p->ssl);
	if (n == 1) {
		p->done = true;
		peer_take_keys(p);
	} else if (SSL_get_error(p->ssl, n) != SSL_ERROR_WANT_READ) {
		p->failed = true;
	}
}

/* ---- a peer ------------------------------------------------------------------------- */

static inline void on_connected(const struct addr *peer, int64_t now_us,
				void *arg)
{
	struct peer *p = arg;

	assert_true(addr_is_equal(peer, &p->at));
	assert_int_equal(now_us, fake_us);
	p->n_connected++;
}

static inline void on_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	struct peer *p = arg;

	assert_int_equal(now_us, fake_us);
	p->n_ended++;
	p->why = why;
}

static const struct webrtc_session_events peer_events = {
	.connected = on_connected, .ended = on_ended};

static inline void peer_take(struct peer *p, const struct letter *l)
{
	uint8_t plain[WEBRTC_DATAGRAM_MAX];
	struct stun s;
	size_t len;

	if (stun_is_likely(l->data[0])) {
		assert_int_equal(stun_parse(l->data, l->len, &s), 0);
		if (s.class == STUN_SUCCESS) {
			p->n_success++;
			assert_true(
				stun_is_authentic(&s, l->data, p->local.pwd));
			return;
		}
		p->n_error++;
		p->last_error = l->data[STUN_HEADER_LEN + 6] * 100 +
				l->data[STUN_HEADER_LEN + 7];
	} else if (dtls_is_likely(l->data[0])) {
		p->reading = l;
		peer_shake(p);
		p->reading = NULL;
	} else {
		assert_int_equal(
			srtcp_unprotect(p->open, l->data, l->len, plain, &len),
			0);
		assert_int_equal(rtcp_parse(plain, len, &p->report), 0);
		p->n_reports++;
	}
}

static inline void at_addr(struct addr *a, const char *text)
{
	assert_int_equal(addr_parse(text, a), 0);
}

static inline struct rig *rig_new(const struct webrtc_limits *limits)
{
	struct rig *r = test_calloc(1, sizeof(*r));

	assert_int_equal(webrtc_identity_new(&r->id), 0);
	assert_int_equal(webrtc_port_new(r->id,
					 limits ? limits : &webrtc_limits_usual,
					 on_send, r, &r->port),
			 0);
	return r;
}

/** A peer at an address, with its session open.
 *
 * fingerprint   what the session is told; NULL: its own (SHA-256)
 *
 * NULL: no memory. */
static inline struct peer *peer_make(struct rig *r, const char *at,
				     const struct peer_options *o,
				     const struct fingerprint *fingerprint)
{
	const struct input_config ic = {.window_us = WINDOW_US,
					.takeover_us = TAKEOVER_US,
					.is_authentic = true,
					.opus_pt = OPUS,
					.red_pt = RED};
	static const struct peer_options usual;
	struct peer *p = test_calloc(1, sizeof(*p));
	struct webrtc_session_config c = {.local = &p->local,
					  .remote_ufrag = p->remote_ufrag,
					  .opus_pt = OPUS,
					  .red_pt = RED};

	p->rig = r;
	at_addr(&p->at, at);
	memcpy(p->remote_ufrag, "theirs", 7);
	assert_int_equal(webrtc_credentials_make(&p->local), 0);
	if (webrtc_identity_new(&p->id) ||
	    input_new(&ic, &ear_events, &p->ear, &p->in)) {
		webrtc_identity_free(p->id);
		test_free(p);
		return NULL;
	}
	peer_make_tls(p, o ? o : &usual);
	c.in = p->in;
	c.fingerprint = fingerprint ? *fingerprint : p->id->fingerprint;
	r->peers[r->n_peers++] = p;
	return webrtc_session_open(r->port, &c, &peer_events, p, fake_us,
				   &p->session)
		       ? NULL
		       : p;
}

static inline struct peer *peer_new(struct rig *r, const char *at,
				    const struct peer_options *o,
				    const struct fingerprint *fingerprint)
{
	struct peer *p = peer_make(r, at, o, fingerprint);

	assert_non_null(p);
	return p;
}

static inline void peer_free(struct peer *p)
{
	webrtc_session_close(p->session);
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	BIO_meth_free(p->bio);
	srtp_free(p->seal);
	srtp_free(p->open);
	input_free(p->in);
	webrtc_identity_free(p->id);
	test_free(p);
}

static inline void rig_free(struct rig *r)
{
	for (size_t i = 0; i < r->n_peers; i++)
		peer_free(r->peers[i]);
	for (size_t i = 0; i < r->n; i++)
		test_free(r->queue[i]);
	webrtc_port_free(r->port);
	webrtc_identity_free(r->id);
	test_free(r);
}

/* ---- doing ---------------------------------------------------------------------------- */

/** Deliver everything that is under way, and what comes of it. */
static inline void carry(struct rig *r)
{
	while (r->n) {
		struct letter *l = r->queue[0];

		memmove(r->queue, r->queue + 1, --r->n * sizeof(r->queue[0]));
		if (l->to_port)
			give(r, &l->peer, l->data, l->len);
		for (size_t i = 0; i < r->n_peers && !l->to_port; i++) {
			if (addr_is_equal(&r->peers[i]->at, &l->peer))
				peer_take(r->peers[i], l);
		}
		test_free(l);
	}
}

/** So much time goes by, in the port's ticks. */
static inline void pass(struct rig *r, int64_t us)
{
	for (; us > 0; us -= WEBRTC_TICK_US) {
		fake_us += WEBRTC_TICK_US;
		webrtc_port_tick(r->port, fake_us);
		for (size_t i = 0; i < r->n_peers; i++) {
			struct peer *p = r->peers[i];

			ERR_clear_error();
			if (!p->done && !p->failed)
				(void)DTLSv1_handle_timeout(p->ssl);
		}
		carry(r);
	}
}

static inline void check_as(struct peer *p, const char *pwd, bool nominate)
{
	char username[300];
	struct stun_made m;

	snprintf(username, sizeof(username), "%s:%s", p->local.ufrag,
		 p->remote_ufrag);
	made_check(&m, (uint8_t)(p->n_success + 1), username, pwd, nominate);
	enqueue(p->rig, true, &p->at, m.bytes, m.len);
	carry(p->rig);
}

static inline void check(struct peer *p)
{
	check_as(p, p->local.pwd, true);
}

/** Checks, then the handshake. */
static inline void join(struct peer *p)
{
	check(p);
	assert_int_equal(p->n_success, 1);
	peer_shake(p);
	carry(p->rig);
}

/** The next packet of the peer: silence of 20 ms, payload type OPUS. */
static inline size_t next_packet(struct peer *p,
				 uint8_t out[WEBRTC_DATAGRAM_MAX])
{
	uint8_t plain[RTP_HEADER_LEN + 1];
	size_t len;

	(void)quiet_packet(plain, OPUS, SSRC, p->n_sent++, 20000);
	assert_int_equal(srtp_protect(p->seal, plain, sizeof(plain), out, &len),
			 0);
	return len;
}

static inline void say(struct peer *p)
{
	uint8_t out[WEBRTC_DATAGRAM_MAX];
	size_t len = next_packet(p, out);

	enqueue(p->rig, true, &p->at, out, len);
	carry(p->rig);
}

static inline struct webrtc_session_stats stats(const struct peer *p)
{
	struct webrtc_session_stats st;

	webrtc_session_stats(p->session, &st);
	return st;
}

static inline struct input_stats heard(const struct peer *p)
{
	struct input_stats st;

	input_stats(p->in, &st);
	return st;
}

#endif
