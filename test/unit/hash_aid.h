/** test/unit/hash_aid.h -- signatures as OpenSSL computes them, past our own
 *  code. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_HASH_AID_H
#define TEST_UNIT_HASH_AID_H

/* Needs cmocka.h. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum { HASH_TEXT = 80 };

static inline void hash_hex(const unsigned char *bytes, unsigned len,
			    char out[HASH_TEXT])
{
	for (unsigned i = 0; i < len; i++)
		snprintf(out + (size_t)2 * i, 3, "%02x", bytes[i]);
}

/** HMAC-SHA1 of a body, in base64 or hex. */
static inline void hash_sign(const char *key, const char *body, bool hex,
			     char out[HASH_TEXT])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	assert_non_null(HMAC(EVP_sha1(), key, (int)strlen(key),
			     (const unsigned char *)body, strlen(body), mac,
			     &len));
	assert_int_equal(len, 20);
	if (hex)
		hash_hex(mac, len, out);
	else
		EVP_EncodeBlock((unsigned char *)out, mac, (int)len);
}

/** hex(sha256(token + time)). */
static inline void hash_token(const char *token, long long time_s,
			      char out[HASH_TEXT])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[128];
	unsigned len = 0;

	snprintf(text, sizeof(text), "%s%lld", token, time_s);
	assert_int_equal(EVP_Digest(text, strlen(text), digest, &len,
				    EVP_sha256(), NULL),
			 1);
	hash_hex(digest, len, out);
}

#endif
