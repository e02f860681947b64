/**
 * test/aid/webrtc_peer.h -- the other end of WebRTC sessions, for benches and
 * fuzz targets: its handshake and its keys, and sessions of a port without a
 * socket that have nobody who listens.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_AID_WEBRTC_PEER_H
#define TEST_AID_WEBRTC_PEER_H

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "intake/webrtc.h"

enum {
	PEER_OPUS = 111, /* payload types as Chromium has them */
	PEER_RED = 63
};

/* ---- a session of a port ---------------------------------------------------- */

struct peer_session {
	struct addr at;
	struct webrtc_credentials local; /* what it was told to use */
	struct input *in;
	struct webrtc_session *session;
	bool has_ended;
	enum webrtc_end why;
};

static inline void peer_on_connected(const struct addr *peer, int64_t now_us,
				     void *arg)
{
	(void)peer;
	(void)now_us;
	(void)arg;
}

static inline void peer_on_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	struct peer_session *s = arg;

	(void)now_us;
	assert(*webrtc_end_name(why) && !s->has_ended);
	s->has_ended = true;
	s->why = why;
}

static inline void peer_on_chunk(const struct sound_chunk *c, void *arg)
{
	(void)c;
	(void)arg;
}

static inline void peer_on_mic(int64_t pos, void *arg)
{
	(void)pos;
	(void)arg;
}

/** An input that takes what browsers send, and tells nobody. */
static inline int peer_input_new(struct input **out)
{
	static const struct input_events events = {.chunk = peer_on_chunk,
						   .mic_on = peer_on_mic,
						   .mic_off = peer_on_mic};
	const struct input_config config = {.window_us = 400000,
					    .takeover_us = 3000000,
					    .is_authentic = true,
					    .opus_pt = PEER_OPUS,
					    .red_pt = PEER_RED};

	return input_new(&config, &events, NULL, out);
}

/** A session of `s->in` at `port`; fills in the credentials, but for a ufrag
 *  that is there already.
 *
 * peer   of the peer's certificate; NULL: nobody has it */
static inline int peer_session_open(struct peer_session *s,
				    struct webrtc_port *port,
				    const struct fingerprint *peer,
				    int64_t now_us)
{
	static const struct webrtc_session_events events = {
		.connected = peer_on_connected, .ended = peer_on_ended};
	struct webrtc_session_config config = {.local = &s->local,
					       .remote_ufrag = "theirs",
					       .in = s->in,
					       .opus_pt = PEER_OPUS,
					       .red_pt = PEER_RED};
	struct webrtc_credentials made;

	if (peer)
		config.fingerprint = *peer;
	if (webrtc_credentials_make(&made))
		return EIO;
	if (s->local.ufrag[0])
		memcpy(made.ufrag, s->local.ufrag, sizeof(made.ufrag));
	s->local = made;
	return webrtc_session_open(port, &config, &events, s, now_us,
				   &s->session);
}

/* ---- the handshake ----------------------------------------------------------- */

/** A datagram is to be sent. */
typedef void(peer_send_fn)(const uint8_t *data, size_t len, void *arg);

/** What all peers of a program have in common: one certificate. */
struct peer_tls {
	SSL_CTX *ctx;
	BIO_METHOD *bio;
};

/** DTLS 1.2 as the client. */
struct peer_dtls {
	SSL *ssl; /* NULL: not begun, or done and its keys taken */
	peer_send_fn *send;
	void *arg;
	const uint8_t *in; /* the datagram in hand, or NULL */
	size_t in_len;
};

static inline int peer_bio_read(BIO *bio, char *out, int cap)
{
	struct peer_dtls *d = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	if (!d->in || cap <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	n = d->in_len < (size_t)cap ? d->in_len : (size_t)cap;
	memcpy(out, d->in, n);
	d->in = NULL;
	return (int)n;
}

static inline int peer_bio_write(BIO *bio, const char *data, int len)
{
	struct peer_dtls *d = BIO_get_data(bio);

	d->send((const uint8_t *)data, (size_t)len, d->arg);
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

static inline int peer_accept_any(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

/** False: OpenSSL has no memory. */
static inline bool peer_tls_init(struct peer_tls *t,
				 const struct webrtc_identity *id)
{
	t->ctx = SSL_CTX_new(DTLS_client_method());
	t->bio = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "peer");
	if (!t->ctx || !t->bio)
		return false;
	BIO_meth_set_read(t->bio, peer_bio_read);
	BIO_meth_set_write(t->bio, peer_bio_write);
	BIO_meth_set_ctrl(t->bio, peer_bio_ctrl);
	BIO_meth_set_create(t->bio, peer_bio_create);
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_QUERY_MTU);
	SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(t->ctx, peer_accept_any, NULL);
	return SSL_CTX_use_certificate(t->ctx, id->cert) == 1 &&
	       SSL_CTX_use_PrivateKey(t->ctx, id->key) == 1 &&
	       /* 0 is success here alone */
	       !SSL_CTX_set_tlsext_use_srtp(t->ctx, "SRTP_AEAD_AES_128_GCM");
}

/** False: OpenSSL has no memory. */
static inline bool peer_dtls_begin(struct peer_dtls *d,
				   const struct peer_tls *t, peer_send_fn *send,
				   void *arg)
{
	BIO *bio = BIO_new(t->bio);

	*d = (struct peer_dtls){
		.ssl = SSL_new(t->ctx), .send = send, .arg = arg};
	if (!bio || !d->ssl)
		return false;
	BIO_set_data(bio, d);
	SSL_set_bio(d->ssl, bio, bio);
	SSL_set_connect_state(d->ssl);
	SSL_set_mtu(d->ssl, DTLS_MTU);
	return true;
}

enum peer_state { PEER_SHAKING, PEER_DONE, PEER_FAILED };

/** Go on with a datagram that has come; NULL: without. */
static inline enum peer_state peer_dtls_take(struct peer_dtls *d,
					     const uint8_t *data, size_t len)
{
	int n;

	ERR_clear_error();
	d->in = data;
	d->in_len = len;
	n = SSL_do_handshake(d->ssl);
	d->in = NULL;
	if (n == 1)
		return PEER_DONE;
	return SSL_get_error(d->ssl, n) == SSL_ERROR_WANT_READ ? PEER_SHAKING
							       : PEER_FAILED;
}

/** The handshake is done: what the peer seals with, and `open` (if wanted) for
 *  what it gets.  False: there are no keys.  The connection is forgotten. */
static inline bool peer_dtls_end(struct peer_dtls *d, struct srtp **seal,
				 struct srtp **open)
{
	enum { SALT_LEN = 12 }; /* GCM's; keys as RFC 5764 section 4.2 says */
	uint8_t keys[2 * (SRTP_KEY_LEN + SALT_LEN)];
	const uint8_t *salts = keys + 2 * SRTP_KEY_LEN;
	const bool ok =
		SSL_export_keying_material(d->ssl, keys, sizeof(keys),
					   "EXTRACTOR-dtls_srtp", 19, NULL, 0,
					   0) == 1 &&
		!srtp_new(SRTP_GCM_128, SRTP_OUT, keys, salts, seal) &&
		(!open || !srtp_new(SRTP_GCM_128, SRTP_IN, keys + SRTP_KEY_LEN,
				    salts + SALT_LEN, open));

	SSL_free(d->ssl);
	d->ssl = NULL;
	return ok;
}

#endif
