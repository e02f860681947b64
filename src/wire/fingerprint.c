/** wire/fingerprint.c -- the digest of a certificate, as SDP writes it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fingerprint.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

static const struct {
	const char *name; /* also OpenSSL's, without the dash */
	const char *digest;
	uint8_t len;
} hashes[] = {
	[FINGERPRINT_SHA1] = {"sha-1", "SHA1", 20},
	[FINGERPRINT_SHA224] = {"sha-224", "SHA224", 28},
	[FINGERPRINT_SHA256] = {"sha-256", "SHA256", 32},
	[FINGERPRINT_SHA384] = {"sha-384", "SHA384", 48},
	[FINGERPRINT_SHA512] = {"sha-512", "SHA512", 64},
};

static int find_hash(const char *name, size_t len, enum fingerprint_hash *out)
{
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		if (strlen(hashes[i].name) == len &&
		    strncasecmp(hashes[i].name, name, len) == 0) {
			*out = (enum fingerprint_hash)i;
			return 0;
		}
	}
	return ENOTSUP;
}

/* "4A:AD:..", all of it. */
static int parse_bytes(const char *text, size_t len, struct fingerprint *f)
{
	if (len + 1 != (size_t)f->len * 3)
		return EBADMSG;
	for (size_t i = 0; i < f->len; i++) {
		const char *at = text + i * 3;
		const int high = str_hex_value(at[0]);
		const int low = str_hex_value(at[1]);

		if (high < 0 || low < 0 || (i + 1 < f->len && at[2] != ':'))
			return EBADMSG;
		f->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int fingerprint_parse(const char *text, size_t len, struct fingerprint *out)
{
	const char *space = memchr(text, ' ', len);
	struct fingerprint f = {0};
	size_t at;
	int err;

	if (!space)
		return EBADMSG;
	at = (size_t)(space - text);
	err = find_hash(text, at, &f.hash);
	if (err)
		return err;
	f.len = hashes[f.hash].len;
	err = parse_bytes(text + at + 1, len - at - 1, &f);
	if (!err)
		*out = f;
	return err;
}

const char *fingerprint_write(const struct fingerprint *f,
			      char text[FINGERPRINT_TEXT_MAX])
{
	static const char digits[] = "0123456789ABCDEF";
	char *at = text + strlen(hashes[f->hash].name);

	memcpy(text, hashes[f->hash].name, (size_t)(at - text));
	*at++ = ' ';
	for (size_t i = 0; i < f->len; i++) {
		*at++ = digits[f->bytes[i] >> 4];
		*at++ = digits[f->bytes[i] & 15];
		*at++ = ':';
	}
	at[-1] = '\0';
	return text;
}

int fingerprint_make(enum fingerprint_hash hash, const void *data, size_t len,
		     struct fingerprint *out)
{
	struct fingerprint f = {.hash = hash, .len = hashes[hash].len};
	EVP_MD *md = EVP_MD_fetch(NULL, hashes[hash].digest, NULL);
	int ok = md && EVP_Digest(data, len, f.bytes, NULL, md, NULL);

	EVP_MD_free(md);
	if (!ok)
		return ENOMEM;
	*out = f;
	return 0;
}

bool fingerprint_is_equal(const struct fingerprint *a,
			  const struct fingerprint *b)
{
	return a->hash == b->hash && a->len == b->len &&
	       CRYPTO_memcmp(a->bytes, b->bytes, a->len) == 0;
}
