/** test/unit/tls_aid.h -- certificates of a test's own, and a client of TLS. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_TLS_AID_H
#define TEST_UNIT_TLS_AID_H

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "io/io.h"

/* Needs cmocka.h before it. */

enum { TLS_PATIENCE_US = 10 * CLOCK_US_PER_S, TLS_DAY_S = 86400 };

/** A certificate and its key. */
struct pair {
	EVP_PKEY *key;
	X509 *cert;
};

static inline void name_set(X509_NAME *name, const char *text)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
						    (const void *)text, -1, -1,
						    0),
			 1);
}

/** `signer` NULL: by itself.  Valid from `from_s` to `to_s` from now. */
static inline struct pair pair_make(const char *name, long serial,
				    const struct pair *signer, long from_s,
				    long to_s)
{
	struct pair p = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
	X509_EXTENSION *ca = X509V3_EXT_conf_nid(
		NULL, NULL, NID_basic_constraints,
		signer ? "critical,CA:FALSE" : "critical,CA:TRUE");

	assert_true(p.key && p.cert && ca);
	X509_set_version(p.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), to_s);
	name_set(X509_get_subject_name(p.cert), name);
	X509_set_issuer_name(
		p.cert, X509_get_subject_name(signer ? signer->cert : p.cert));
	X509_set_pubkey(p.cert, p.key);
	X509_add_ext(p.cert, ca, -1);
	X509_EXTENSION_free(ca);
	assert_true(X509_sign(p.cert, signer ? signer->key : p.key,
			      EVP_sha256()) > 0);
	return p;
}

static inline void pair_free(struct pair *p)
{
	EVP_PKEY_free(p->key);
	X509_free(p->cert);
}

static inline void cert_write(const struct pair *p, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, p->cert), 1);
	fclose(f);
}

/** password NULL: not encrypted. */
static inline void key_write(const struct pair *p, const char *path,
			     const char *password, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PKCS8PrivateKey(
				 f, p->key, password ? EVP_aes_128_cbc() : NULL,
				 NULL, 0, NULL, (void *)(uintptr_t)password),
			 1);
	assert_int_equal(fchmod(fileno(f), mode), 0);
	fclose(f);
}

/** One connection; zero it, give it `loop`. */
struct client {
	struct loop *loop;
	int fd;
	SSL *ssl;
	struct buf got;
	bool ended; /* close_notify, or the end */
};

static inline void client_connect(struct client *c, const struct addr *from,
				  const struct addr *to)
{
	buf_init(&c->got, 1 << 24);
	c->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(c->fd >= 0);
	if (from)
		assert_int_equal(bind(c->fd, &from->sa, from->len), 0);
	assert_int_equal(connect(c->fd, &to->sa, to->len), 0);
	assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

/** Is it worth to try again?  Turns the loop. */
static inline bool client_waits(struct client *c, int n, int64_t end_us)
{
	int why = SSL_get_error(c->ssl, n);

	loop_turn(c->loop, 1000);
	return (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) &&
	       clock_now_us() < end_us;
}

/** Shake hands.  `self` NULL: without a certificate. */
static inline bool client_shake(struct client *c, SSL_CTX *tls,
				const struct pair *self)
{
	int64_t end_us = clock_now_us() + TLS_PATIENCE_US;
	int n;

	c->ssl = SSL_new(tls);
	assert_non_null(c->ssl);
	if (self) {
		assert_int_equal(SSL_use_certificate(c->ssl, self->cert), 1);
		assert_int_equal(SSL_use_PrivateKey(c->ssl, self->key), 1);
	}
	SSL_set_fd(c->ssl, c->fd);
	do {
		ERR_clear_error();
		n = SSL_connect(c->ssl);
	} while (n != 1 && client_waits(c, n, end_us));
	return n == 1;
}

static inline void client_say(struct client *c, const void *data, size_t len)
{
	int64_t end_us = clock_now_us() + TLS_PATIENCE_US;
	int n;

	do {
		ERR_clear_error();
		n = SSL_write(c->ssl, data, (int)len);
	} while (n <= 0 && client_waits(c, n, end_us));
	assert_int_equal(n, len);
}

/** Until `text` came, or (NULL) the other side has ended.  Returns what came.
 */
static inline const char *client_hear(struct client *c, const char *text)
{
	int64_t end_us = clock_now_us() + TLS_PATIENCE_US;
	static char bytes[65536];

	while (!c->ended && !(text && strstr(buf_str(&c->got), text))) {
		int n;

		ERR_clear_error();
		n = SSL_read(c->ssl, bytes, sizeof(bytes));
		if (n > 0)
			buf_append(&c->got, bytes, (size_t)n);
		else if (!client_waits(c, n, end_us))
			c->ended = true;
	}
	if (clock_now_us() >= end_us)
		fail_msg("waited in vain for %s after: %s",
			 text ? text : "the end", buf_str(&c->got));
	return buf_str(&c->got);
}

static inline void client_close(struct client *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_fini(&c->got);
}

#endif
