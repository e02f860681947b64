/** intake/dtls.c -- DTLS 1.2, on OpenSSL. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/dtls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/mem.h"
#include "intake/webrtc.h"
#include "wire/bytes.h"

enum {
	/* A flight is sent again after that, then after twice as long, ..
	 * RFC 6347 section 4.2.4.1: 1 s, less where the application knows. */
	RESEND_US = 250 * 1000,
	RESEND_MAX_US = 2 * 1000 * 1000,
	/* RFC 8122 certificates stand alone; RSA 4096 has 1.3 KB */
	CERTIFICATES_MAX = 8 * 1024,
	/* Sealed records before the handshake is done.  A peer sends one a
	 * flight; OpenSSL keeps those that overtake the keys, up to 100, with
	 * 17 KB each. */
	EARLY_MAX = 16,
	SEALED_MIN = 8 + 16, /* RFC 5288: nonce and tag of GCM */
	RECORD_CIPHER_SPEC = 20,
	RECORD_HANDSHAKE = 22,
	CLIENT_HELLO = 1
};

struct dtls_context {
	SSL_CTX *ctx;
	BIO_METHOD *bio;
};

struct dtls {
	SSL *ssl;
	dtls_send_fn *send;
	void *arg;
	struct fingerprint peer;
	enum dtls_role role;
	enum dtls_state state;
	enum webrtc_end why;
	const char *reason;
	unsigned n_early;  /* sealed records that came before it was done */
	const uint8_t *in; /* the datagram that is to be read, or NULL */
	size_t in_len;
};

/* ---- the BIO ------------------------------------------------------------- */

static int bio_read(BIO *bio, char *out, int cap)
{
	struct dtls *d = BIO_get_data(bio);
	size_t n;

	BIO_clear_retry_flags(bio);
	if (!d->in || cap <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	/* what does not fit is lost, as with a socket */
	n = d->in_len < (size_t)cap ? d->in_len : (size_t)cap;
	memcpy(out, d->in, n);
	d->in = NULL;
	return (int)n;
}

static int bio_write(BIO *bio, const char *data, int len)
{
	struct dtls *d = BIO_get_data(bio);

	d->send((const uint8_t *)data, (size_t)len, d->arg);
	return len;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)bio;
	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *make_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "datagrams");

	if (m && BIO_meth_set_read(m, bio_read) &&
	    BIO_meth_set_write(m, bio_write) &&
	    BIO_meth_set_ctrl(m, bio_ctrl) &&
	    BIO_meth_set_create(m, bio_create))
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* ---- the context ------------------------------------------------------------ */

/* In place of OpenSSL's check of a chain: is it the very certificate? */
static int on_certificate(X509_STORE_CTX *store, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(
		store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct dtls *d = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get0_cert(store);
	struct fingerprint f;

	(void)arg;
	if (cert && !webrtc_certificate_fingerprint(cert, d->peer.hash, &f) &&
	    fingerprint_is_equal(&f, &d->peer))
		return 1;
	d->why = WEBRTC_BAD_CERTIFICATE;
	d->reason = "the certificate is not the one of the fingerprint";
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

/* GCM only, which all WebRTC has (RFC 8827 section 6.5): of CBC OpenSSL 3.0
 * ends the session for any record that is not authentic. */
static bool set_up(SSL_CTX *ctx, const struct webrtc_identity *id)
{
	char groups[] =
		"X25519:P-256:P-384"; /* OpenSSL's macro takes no const */

	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET |
					 SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
	SSL_CTX_set_verify(
		ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_certificate, NULL);
	return SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) &&
	       SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:"
					    "ECDHE-ECDSA-AES256-GCM-SHA384:"
					    /* of servers with RSA */
					    "ECDHE-RSA-AES128-GCM-SHA256:"
					    "ECDHE-RSA-AES256-GCM-SHA384") &&
	       SSL_CTX_set1_groups_list(ctx, groups) &&
	       /* in order of preference; 0 is success here alone */
	       !SSL_CTX_set_tlsext_use_srtp(ctx, "SRTP_AEAD_AES_128_GCM:"
						 "SRTP_AES128_CM_SHA1_80") &&
	       SSL_CTX_use_certificate(ctx, id->cert) &&
	       SSL_CTX_use_PrivateKey(ctx, id->key);
}

int dtls_context_new(const struct webrtc_identity *id,
		     struct dtls_context **out)
{
	struct dtls_context *c = mem_zalloc(sizeof(*c));

	if (!c)
		return ENOMEM;
	c->bio = make_method();
	c->ctx = SSL_CTX_new(DTLS_method());
	if (!c->bio || !c->ctx || !set_up(c->ctx, id)) {
		dtls_context_free(c);
		return ENOMEM;
	}
	*out = c;
	return 0;
}

void dtls_context_free(struct dtls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->bio);
	mem_free(c);
}

/* ---- a handshake -------------------------------------------------------------- */

static unsigned next_timeout(SSL *ssl, unsigned before_us)
{
	(void)ssl;
	if (before_us == 0)
		return RESEND_US;
	return before_us < RESEND_MAX_US / 2 ? 2 * before_us : RESEND_MAX_US;
}

int dtls_new(struct dtls_context *c, enum dtls_role role,
	     const struct fingerprint *peer, dtls_send_fn *send, void *arg,
	     struct dtls **out)
{
	struct dtls *d = mem_zalloc(sizeof(*d));
	BIO *bio;

	if (!d)
		return ENOMEM;
	*d = (struct dtls){.send = send,
			   .arg = arg,
			   .peer = *peer,
			   .role = role,
			   .why = WEBRTC_BAD_HANDSHAKE,
			   .reason = ""};
	bio = BIO_new(c->bio);
	d->ssl = SSL_new(c->ctx);
	if (!bio || !d->ssl) {
		BIO_free(bio);
		dtls_free(d);
		return ENOMEM;
	}
	BIO_set_data(bio, d);
	SSL_set_bio(d->ssl, bio, bio); /* owns it now */
	SSL_set_app_data(d->ssl, d);
	if (role == DTLS_CLIENT)
		SSL_set_connect_state(d->ssl);
	else
		SSL_set_accept_state(d->ssl);
	SSL_set_mtu(d->ssl, DTLS_MTU);
	DTLS_set_timer_cb(d->ssl, next_timeout);
	*out = d;
	return 0;
}

void dtls_free(struct dtls *d)
{
	if (!d)
		return;
	SSL_free(d->ssl);
	mem_free(d);
}

bool dtls_is_hello(const uint8_t *data, size_t len)
{
	return len > DTLS_RECORD_HEADER_LEN && data[0] == RECORD_HANDSHAKE &&
	       data[1] == 0xfe && data[3] == 0 && data[4] == 0 && /* epoch */
	       data[DTLS_RECORD_HEADER_LEN] == CLIENT_HELLO;
}

/* Does it consist of records that OpenSSL can do no harm with?  It gives up
 * for data that nobody has encrypted, and, also after the handshake, for a
 * record that is too short to be sealed: anybody can send these.
 * n_sealed: how many of them are encrypted. */
static bool is_whole(const uint8_t *data, size_t len, unsigned *n_sealed)
{
	*n_sealed = 0;
	while (len >= DTLS_RECORD_HEADER_LEN) {
		const size_t body = bytes_get16(data + 11);
		const size_t n = DTLS_RECORD_HEADER_LEN + body;
		const bool is_plain = bytes_get16(data + 3) == 0; /* epoch */

		if (data[1] != 0xfe || n > len ||
		    (is_plain ? data[0] < RECORD_CIPHER_SPEC ||
					data[0] > RECORD_HANDSHAKE
			      : body < SEALED_MIN))
			return false;
		*n_sealed += !is_plain;
		data += n;
		len -= n;
	}
	return len == 0;
}

static enum dtls_state fail(struct dtls *d)
{
	const unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		d->why = WEBRTC_BAD_CERTIFICATE;
	if (!*d->reason)
		d->reason = reason ? reason : "the peer has gone";
	d->state = DTLS_FAILED;
	return d->state;
}

/* What comes after the handshake: its last flight again, or the end. */
static enum dtls_state read_on(struct dtls *d)
{
	uint8_t ignored[2048];
	int n;

	do {
		ERR_clear_error();
		n = SSL_read(d->ssl, ignored, sizeof(ignored));
	} while (n > 0);
	switch (SSL_get_error(d->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		break;
	case SSL_ERROR_ZERO_RETURN:
	default: /* a fatal alert */
		d->state = DTLS_CLOSED;
	}
	return d->state;
}

static enum dtls_state shake(struct dtls *d)
{
	int n;

	ERR_clear_error();
	n = SSL_do_handshake(d->ssl);
	if (n != 1) {
		const int why = SSL_get_error(d->ssl, n);

		return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE
			       ? d->state
			       : fail(d);
	}
	if (!SSL_get_selected_srtp_profile(d->ssl)) {
		d->why = WEBRTC_NO_SRTP;
		d->reason = "no SRTP profile in common";
		(void)SSL_shutdown(d->ssl);
		return fail(d);
	}
	d->state = DTLS_DONE;
	return read_on(d);
}

enum dtls_state dtls_begin(struct dtls *d)
{
	assert(d->role == DTLS_CLIENT && d->state == DTLS_SHAKING);
	return shake(d);
}

enum dtls_state dtls_take(struct dtls *d, const uint8_t *data, size_t len)
{
	unsigned n_sealed;

	if ((d->state != DTLS_SHAKING && d->state != DTLS_DONE) ||
	    !is_whole(data, len, &n_sealed))
		return d->state;
	if (d->state == DTLS_SHAKING) {
		d->n_early += n_sealed;
		if (n_sealed && d->n_early > EARLY_MAX)
			return d->state;
	}
	d->in = data;
	d->in_len = len;
	if (d->state == DTLS_SHAKING)
		(void)shake(d);
	else
		(void)read_on(d);
	d->in = NULL;
	return d->state;
}

enum dtls_state dtls_tick(struct dtls *d)
{
	if (d->state != DTLS_SHAKING)
		return d->state;
	ERR_clear_error();
	return DTLSv1_handle_timeout(d->ssl) < 0 ? fail(d) : d->state;
}

enum webrtc_end dtls_why(const struct dtls *d)
{
	return d->why;
}

const char *dtls_reason(const struct dtls *d)
{
	return d->reason;
}

int dtls_srtp(const struct dtls *d, struct dtls_srtp *out)
{
	static const char label[] = "EXTRACTOR-dtls_srtp"; /* RFC 5764 4.2 */
	const SRTP_PROTECTION_PROFILE *p =
		SSL_get_selected_srtp_profile(d->ssl);
	const bool is_client = d->role == DTLS_CLIENT;
	uint8_t keys[2 * (SRTP_KEY_LEN + SRTP_SALT_MAX)];
	/* the client's key, the server's, their salts */
	const uint8_t *ours = is_client ? keys : keys + SRTP_KEY_LEN;
	const uint8_t *theirs = is_client ? keys + SRTP_KEY_LEN : keys;
	const uint8_t *salts = keys + 2 * SRTP_KEY_LEN;
	size_t salt_len;
	int ok;

	assert(p);
	*out = (struct dtls_srtp){.profile = (enum srtp_profile)p->id};
	salt_len = srtp_salt_len(out->profile);
	ok = SSL_export_keying_material(d->ssl, keys,
					2 * (SRTP_KEY_LEN + salt_len), label,
					sizeof(label) - 1, NULL, 0, 0);
	memcpy(out->our_key, ours, SRTP_KEY_LEN);
	memcpy(out->their_key, theirs, SRTP_KEY_LEN);
	memcpy(out->our_salt, salts + (is_client ? 0 : salt_len), salt_len);
	memcpy(out->their_salt, salts + (is_client ? salt_len : 0), salt_len);
	mem_wipe(keys, sizeof(keys));
	return ok == 1 ? 0 : ENOMEM;
}

void dtls_close(struct dtls *d)
{
	if (d->state != DTLS_DONE)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(d->ssl); /* says so, waits not */
	d->state = DTLS_CLOSED;
}
