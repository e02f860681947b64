/**
 * wire/fingerprint.h -- the digest of a certificate, as SDP writes it.
 *
 *	a=fingerprint:sha-256 4A:AD:B9:..
 *
 * Source: RFC 8122 section 5.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_FINGERPRINT_H
#define WIRE_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum fingerprint_hash {
	FINGERPRINT_SHA1,
	FINGERPRINT_SHA224,
	FINGERPRINT_SHA256,
	FINGERPRINT_SHA384,
	FINGERPRINT_SHA512
};

enum {
	FINGERPRINT_LEN_MAX = 64,
	/* "sha-512 " and 64 times "XX:", the last colon is the NUL */
	FINGERPRINT_TEXT_MAX = 8 + FINGERPRINT_LEN_MAX * 3
};

struct fingerprint {
	enum fingerprint_hash hash; /* in order of strength */
	uint8_t len;		    /* [bytes], the hash's */
	uint8_t bytes[FINGERPRINT_LEN_MAX];
};

/**
 * Read the value of an attribute: "sha-256 4A:AD:..", digits and the hash's
 * name in any case.
 *
 * text, len   without "a=fingerprint:" and line end
 *
 * Returns 0, ENOTSUP (a hash that is not in the list, md5 and md2 too: RFC 8122
 * forbids them; another fingerprint of the description may do), or EBADMSG.
 */
MUST_CHECK int fingerprint_parse(const char *text, size_t len,
				 struct fingerprint *out);

/** Write "sha-256 4A:AD:.." and a NUL; returns `text`. */
const char *fingerprint_write(const struct fingerprint *f,
			      char text[FINGERPRINT_TEXT_MAX]);

/** The digest of `data` (a certificate in DER).  Returns 0, or ENOMEM when
 *  OpenSSL has no memory or not this hash. */
MUST_CHECK int fingerprint_make(enum fingerprint_hash hash, const void *data,
				size_t len, struct fingerprint *out);

bool fingerprint_is_equal(const struct fingerprint *a,
			  const struct fingerprint *b);

#endif
