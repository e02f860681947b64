/**
 * wire/stun.h -- STUN as ICE uses it: checks and answers, read and written.
 *
 *	message = type (2 bytes: class and method), length (2, without these
 *	20), cookie 2112a442, id (12), then attributes: type (2), length (2),
 *	value, padding to 4 bytes
 *
 * Short-term credentials: MESSAGE-INTEGRITY is HMAC-SHA1 with the password of
 * whoever is asked.  What stands behind it is not looked at, but FINGERPRINT.
 *
 * Pure.  Source: RFC 8489 (RFC 5389 for the wire), RFC 8445 sections 7.1, 16.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_STUN_H
#define WIRE_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	STUN_ID_LEN = 12,
	STUN_HEADER_LEN = 20,
	STUN_MAX = 1500, /* longer ones are refused [bytes] */
	/* Header, the longest of its parts, MESSAGE-INTEGRITY, FINGERPRINT */
	STUN_ANSWER_MAX = 128,
	STUN_USERNAME_MAX = 513, /* two fragments of 256, RFC 8445 7.2.2 */
	STUN_CHECK_MAX = 600,
	STUN_UNKNOWN_MAX = 8
};

enum stun_class { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

enum { STUN_BINDING = 1 }; /* the method; others are TURN's */

enum stun_code {
	STUN_BAD_REQUEST = 400,
	STUN_UNAUTHENTICATED = 401,
	STUN_UNKNOWN_ATTRIBUTE = 420,
	STUN_ROLE_CONFLICT = 487
};

/** A message; points into its bytes. */
struct stun {
	enum stun_class class;
	uint16_t method;
	const uint8_t *id;	 /* STUN_ID_LEN bytes */
	const uint8_t *username; /* NULL: there is none */
	size_t username_len;
	bool use_candidate;
	bool controlling, controlled; /* which role the sender takes */
	size_t integrity_at; /* where MESSAGE-INTEGRITY begins, 0: none */
	bool has_fingerprint;
	/* comprehension-required ones that are not known here; the first */
	uint16_t unknown[STUN_UNKNOWN_MAX];
	size_t n_unknown;
};

/** An address as it is written into an answer. */
struct stun_addr {
	bool is_v6;
	uint8_t ip[16]; /* IPv4: the first four */
	uint16_t port;
};

/** Could it be STUN?  Looks at nothing but the first byte (RFC 7983). */
static inline bool stun_is_likely(uint8_t first)
{
	return first < 4;
}

/**
 * Read one datagram.
 *
 * Returns 0, or EBADMSG: no STUN (first byte, cookie, length), over STUN_MAX, an
 * attribute that is longer than the message or has not the length of its
 * kind, a FINGERPRINT that is wrong or not at the end.
 */
MUST_CHECK int stun_parse(const uint8_t *data, size_t len, struct stun *out);

/** Has the sender of these bytes known `pwd`?  False also without
 *  MESSAGE-INTEGRITY, and when OpenSSL has no memory. */
bool stun_is_authentic(const struct stun *s, const uint8_t *data,
		       const char *pwd);

/**
 * Write the answer to a request: a success with XOR-MAPPED-ADDRESS.
 *
 * from   where the request came from
 * pwd    of who answers: MESSAGE-INTEGRITY is made with it
 *
 * Returns its length [bytes], 0: OpenSSL has no memory.
 */
MUST_CHECK size_t stun_write_success(const struct stun *request,
				     const struct stun_addr *from,
				     const char *pwd,
				     uint8_t out[STUN_ANSWER_MAX]);

/**
 * Write an error.  420 names the request's unknown attributes.
 *
 * pwd   NULL: without MESSAGE-INTEGRITY (400, 401)
 *
 * Returns as stun_write_success.
 */
MUST_CHECK size_t stun_write_error(const struct stun *request,
				   enum stun_code code, const char *pwd,
				   uint8_t out[STUN_ANSWER_MAX]);

/** A check of a full, controlling agent: RFC 8445 section 7.2. */
struct stun_check {
	const uint8_t *id;    /* STUN_ID_LEN bytes, by chance */
	const char *username; /* "theirs:ours", up to STUN_USERNAME_MAX */
	uint64_t tie_breaker;
	uint32_t priority; /* of what the peer learns by it */
	bool nominate;	   /* USE-CANDIDATE */
};

/**
 * Write a check.
 *
 * pwd   of who is asked
 *
 * Returns as stun_write_success.
 */
MUST_CHECK size_t stun_write_check(const struct stun_check *c, const char *pwd,
				   uint8_t out[STUN_CHECK_MAX]);

#endif
