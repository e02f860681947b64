/** intake/webrtc_identity.c -- our key and certificate; ICE credentials. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "intake/webrtc.h"

enum {
	SERIAL_BITS = 127,    /* RFC 5280 section 4.1.2.2: positive, 20 bytes */
	BEFORE_S = 24 * 3600, /* a peer's clock may be behind ours */
	AFTER_S = 10 * 365 * 24 * 3600
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz0123456789+/";

static_assert(sizeof(alphabet) == 64 + 1, "6 bits a character");

/* ---- credentials ---------------------------------------------------------- */

static int make_text(char *out, size_t len)
{
	uint8_t random[WEBRTC_PWD_LEN];

	assert(len <= sizeof(random));
	if (RAND_bytes(random, (int)len) != 1)
		return EIO;
	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[random[i] & 63];
	out[len] = '\0';
	mem_wipe(random, sizeof(random));
	return 0;
}

int webrtc_credentials_make(struct webrtc_credentials *out)
{
	int err = make_text(out->ufrag, WEBRTC_UFRAG_LEN);

	return err ? err : make_text(out->pwd, WEBRTC_PWD_LEN);
}

/* ---- the certificate ------------------------------------------------------- */

static bool set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	bool ok =
		n &&
		BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));

	BN_free(n);
	return ok;
}

/* Nobody looks at the name: the peer knows the digest. */
static bool set_name(X509 *cert)
{
	static const unsigned char name[] = "tapeop";
	X509_NAME *n = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, name, -1, -1,
					  0) &&
	       X509_set_issuer_name(cert, n);
}

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *cert = X509_new();

	if (cert && X509_set_version(cert, X509_VERSION_3) &&
	    set_serial(cert) && set_name(cert) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -BEFORE_S) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), AFTER_S) &&
	    X509_set_pubkey(cert, key) && X509_sign(cert, key, EVP_sha256()))
		return cert;
	X509_free(cert);
	return NULL;
}

int webrtc_certificate_fingerprint(X509 *cert, enum fingerprint_hash hash,
				   struct fingerprint *out)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	int err;

	if (len < 0)
		return ENOMEM;
	err = fingerprint_make(hash, der, (size_t)len, out);
	OPENSSL_free(der);
	return err;
}

int webrtc_identity_new(struct webrtc_identity **out)
{
	struct webrtc_identity *id = mem_zalloc(sizeof(*id));
	int err = ENOMEM;

	if (!id)
		return ENOMEM;
	id->key = EVP_EC_gen("P-256");
	if (id->key)
		id->cert = make_certificate(id->key);
	if (id->cert)
		err = webrtc_certificate_fingerprint(
			id->cert, FINGERPRINT_SHA256, &id->fingerprint);
	if (err) {
		webrtc_identity_free(id);
		return err;
	}
	*out = id;
	return 0;
}

void webrtc_identity_free(struct webrtc_identity *id)
{
	if (!id)
		return;
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
	mem_free(id);
}

const struct fingerprint *webrtc_identity_fingerprint(
	const struct webrtc_identity *id)
{
	return &id->fingerprint;
}
