/** wire/sig.c -- digests, MACs and the two ways to write them as text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sig.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/mem.h"
#include "base/str.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int sig_sha256(const void *data, size_t len, uint8_t out[SIG_SHA256_LEN])
{
	return sig_sha256_of_two(data, len, "", 0, out);
}

int sig_sha256_of_two(const void *a, size_t a_len, const void *b, size_t b_len,
		      uint8_t out[SIG_SHA256_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		 EVP_DigestUpdate(ctx, a, a_len) &&
		 EVP_DigestUpdate(ctx, b, b_len) &&
		 EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : ENOMEM;
}

int sig_sha256_hex(const void *data, size_t len,
		   char out[SIG_HEX_CAP(SIG_SHA256_LEN)])
{
	uint8_t digest[SIG_SHA256_LEN];
	int err = sig_sha256(data, len, digest);

	if (!err)
		sig_hex(digest, sizeof(digest), out);
	return err;
}

/** What one MAC is made of. */
struct mac {
	const char *digest;
	const void *key;
	size_t key_len;
};

static int hmac(const struct mac *m, const void *data, size_t len, uint8_t *out,
		size_t cap)
{
	size_t n = 0;

	/* A NULL key means "as before" to OpenSSL, "" is an empty one. */
	if (!EVP_Q_mac(NULL, "HMAC", NULL, m->digest, NULL,
		       m->key_len ? m->key : "", m->key_len, data, len, out,
		       cap, &n))
		return ENOMEM;
	return n == cap ? 0 : ENOMEM;
}

int sig_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len,
		  uint8_t out[SIG_SHA1_LEN])
{
	struct mac m = {"SHA1", key, key_len};

	return hmac(&m, data, len, out, SIG_SHA1_LEN);
}

int sig_hmac_sha256(const void *key, size_t key_len, const void *data,
		    size_t len, uint8_t out[SIG_SHA256_LEN])
{
	struct mac m = {"SHA256", key, key_len};

	return hmac(&m, data, len, out, SIG_SHA256_LEN);
}

int sig_hmac_chain(const char *prefix, const char *secret,
		   const char *const *steps, size_t n,
		   uint8_t out[SIG_SHA256_LEN])
{
	size_t prefix_len = strlen(prefix);
	size_t len = prefix_len + strlen(secret);
	char first[SIG_CHAIN_KEY_MAX + 1];
	uint8_t key[SIG_SHA256_LEN];
	int err;

	assert(n > 0);
	if (len >= sizeof(first))
		return EMSGSIZE;
	str_copy(first, sizeof(first), prefix);
	str_copy(first + prefix_len, sizeof(first) - prefix_len, secret);
	err = sig_hmac_sha256(first, len, steps[0], strlen(steps[0]), out);
	mem_wipe(first, len);
	for (size_t i = 1; i < n && !err; i++) {
		memcpy(key, out, sizeof(key));
		err = sig_hmac_sha256(key, sizeof(key), steps[i],
				      strlen(steps[i]), out);
	}
	mem_wipe(key, sizeof(key));
	return err;
}

int sig_ed25519(const uint8_t seed[SIG_ED25519_KEY_LEN], const void *data,
		size_t len, uint8_t out[SIG_ED25519_LEN])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
						     seed, SIG_ED25519_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIG_ED25519_LEN;
	bool ok = key && ctx &&
		  EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestSign(ctx, out, &n, data, len) == 1 &&
		  n == SIG_ED25519_LEN;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok ? 0 : ENOMEM;
}

int sig_ed25519_public(const uint8_t seed[SIG_ED25519_KEY_LEN],
		       uint8_t out[SIG_ED25519_KEY_LEN])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
						     seed, SIG_ED25519_KEY_LEN);
	size_t n = SIG_ED25519_KEY_LEN;
	bool ok = key && EVP_PKEY_get_raw_public_key(key, out, &n) == 1 &&
		  n == SIG_ED25519_KEY_LEN;

	EVP_PKEY_free(key);
	return ok ? 0 : ENOMEM;
}

bool sig_ed25519_verify(const uint8_t public_key[SIG_ED25519_KEY_LEN],
			const void *data, size_t len,
			const uint8_t signature[SIG_ED25519_LEN])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(
		EVP_PKEY_ED25519, NULL, public_key, SIG_ED25519_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = key && ctx &&
		  EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, signature, SIG_ED25519_LEN, data,
				   len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ok;
}

void sig_hex(const void *data, size_t len, char *out)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = hex_digits[p[i] >> 4];
		*out++ = hex_digits[p[i] & 15];
	}
	*out = 0;
}

void sig_base64(const void *data, size_t len, char *out)
{
	const uint8_t *p = data;

	while (len) {
		size_t n = len < 3 ? len : 3;
		uint32_t bits = (uint32_t)p[0] << 16;

		if (n > 1)
			bits |= (uint32_t)p[1] << 8;
		if (n > 2)
			bits |= p[2];
		out[0] = base64_digits[bits >> 18];
		out[1] = base64_digits[bits >> 12 & 63];
		out[2] = n > 1 ? base64_digits[bits >> 6 & 63] : '=';
		out[3] = n > 2 ? base64_digits[bits & 63] : '=';
		out += 4;
		p += n;
		len -= n;
	}
	*out = 0;
}

int sig_hex_parse(const char *text, uint8_t *out, size_t len)
{
	if (strlen(text) != len * 2)
		return EBADMSG;
	for (size_t i = 0; i < len; i++) {
		int high = str_hex_value(text[i * 2]);
		int low = str_hex_value(text[i * 2 + 1]);

		if (high < 0 || low < 0)
			return EBADMSG;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/** Read four digits, of which `digits` (2..4) are not padding. */
static int parse_group(const char *text, size_t digits, uint32_t *bits)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++) {
		const char *at = base64_digits;

		if (i < digits && text[i])
			at = strchr(base64_digits, text[i]);
		else if (i < digits || text[i] != '=')
			at = NULL;
		if (!at)
			return EBADMSG;
		v = v << 6 | (uint32_t)(at - base64_digits);
	}
	*bits = v;
	return 0;
}

int sig_base64_parse(const char *text, uint8_t *out, size_t cap, size_t *len)
{
	size_t left = strlen(text);
	size_t done = 0;

	if (left % 4)
		return EBADMSG;
	for (; left; text += 4, left -= 4) {
		size_t digits = 4;
		uint32_t bits;

		if (left == 4 && text[3] == '=')
			digits = text[2] == '=' ? 2 : 3;
		/* Bits behind the last byte must be zero: one text a value. */
		if (parse_group(text, digits, &bits) ||
		    bits & (0xffffffU >> (digits - 1) * 8))
			return EBADMSG;
		if (digits - 1 > cap - done)
			return EMSGSIZE;
		for (size_t i = 0; i + 1 < digits; i++)
			out[done++] = (uint8_t)(bits >> (16 - 8 * i));
	}
	*len = done;
	return 0;
}

bool sig_is_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
