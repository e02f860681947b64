/**
 * wire/sig.h -- digests, MACs and the two ways to write them as text.
 *
 * One call, one result; no state is kept.  Thread: any.
 * Everything returns 0, or ENOMEM when OpenSSL has no memory (or lacks the
 * algorithm); then the output is not to be used.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SIG_H
#define WIRE_SIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	SIG_SHA1_LEN = 20,
	SIG_SHA256_LEN = 32,
	SIG_ED25519_KEY_LEN = 32, /* a seed, or a public key */
	SIG_ED25519_LEN = 64,
	SIG_CHAIN_KEY_MAX = 4200 /* prefix and secret [bytes] */
};

/** Room for `len` bytes as text, with the NUL. */
#define SIG_HEX_CAP(len)    ((len)*2 + 1)
#define SIG_BASE64_CAP(len) (((len) + 2) / 3 * 4 + 1)

MUST_CHECK int sig_sha256(const void *data, size_t len,
			  uint8_t out[SIG_SHA256_LEN]);

/** SHA-256 of `b` behind `a`, without a copy of either. */
MUST_CHECK int sig_sha256_of_two(const void *a, size_t a_len, const void *b,
				 size_t b_len, uint8_t out[SIG_SHA256_LEN]);

/** SHA-256 as 64 lower-case hex digits and a NUL. */
MUST_CHECK int sig_sha256_hex(const void *data, size_t len,
			      char out[SIG_HEX_CAP(SIG_SHA256_LEN)]);

/** The key may have any length, also 0. */
MUST_CHECK int sig_hmac_sha1(const void *key, size_t key_len, const void *data,
			     size_t len, uint8_t out[SIG_SHA1_LEN]);
MUST_CHECK int sig_hmac_sha256(const void *key, size_t key_len,
			       const void *data, size_t len,
			       uint8_t out[SIG_SHA256_LEN]);

/**
 * Sign as cloud vendors do: HMAC-SHA256 of each step with the result of the
 * step before, of the first one with `prefix` and `secret` behind each other.
 *
 * steps, n   the scope (date, region, ..) and at last the text; n > 0
 *
 * Returns 0, ENOMEM, or EMSGSIZE: over SIG_CHAIN_KEY_MAX.  Whatever was
 * derived from the secret is wiped, but for the result.
 */
MUST_CHECK int sig_hmac_chain(const char *prefix, const char *secret,
			      const char *const *steps, size_t n,
			      uint8_t out[SIG_SHA256_LEN]);

/** Sign with the key that `seed` is the private part of (RFC 8032). */
MUST_CHECK int sig_ed25519(const uint8_t seed[SIG_ED25519_KEY_LEN],
			   const void *data, size_t len,
			   uint8_t out[SIG_ED25519_LEN]);

/** The public key that belongs to a seed. */
MUST_CHECK int sig_ed25519_public(const uint8_t seed[SIG_ED25519_KEY_LEN],
				  uint8_t out[SIG_ED25519_KEY_LEN]);

/** Is this the signature of these bytes by the owner of the public key?
 *  false also when OpenSSL has no memory. */
bool sig_ed25519_verify(const uint8_t public_key[SIG_ED25519_KEY_LEN],
			const void *data, size_t len,
			const uint8_t signature[SIG_ED25519_LEN]);

/** Write lower-case hex digits and a NUL: SIG_HEX_CAP(len) bytes. */
void sig_hex(const void *data, size_t len, char *out);

/** Write base64 (RFC 4648 section 4) and a NUL: SIG_BASE64_CAP(len) bytes. */
void sig_base64(const void *data, size_t len, char *out);

/**
 * Read hex digits of any case that are exactly `len` bytes.
 * Returns 0, or EBADMSG: another length, or another character.
 */
MUST_CHECK int sig_hex_parse(const char *text, uint8_t *out, size_t len);

/**
 * Read base64, strictly: padded, no other characters, unused bits zero.
 *
 * out, cap   room for the bytes
 * len        out: bytes written
 *
 * Returns 0, EBADMSG, or EMSGSIZE: more than `cap` bytes.
 */
MUST_CHECK int sig_base64_parse(const char *text, uint8_t *out, size_t cap,
				size_t *len);

/** Are these bytes the same?  Takes the same time wherever they differ. */
bool sig_is_equal(const void *a, const void *b, size_t len);

#endif
