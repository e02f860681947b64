/**
 * wire/usersig.h -- UserSig, the ticket with which a user of Tencent's
 * real-time products enters (TLS 2.0).
 *
 * FORMAT  base64 of a zlib stream of a JSON object, with '+' '/' '=' written
 *         as '*' '-' '_':
 *
 *   TLS.ver         "2.0"
 *   TLS.identifier  string: the user
 *   TLS.sdkappid    integer: the application
 *   TLS.time        integer: when it was made [s since 1970]
 *   TLS.expire      integer: how long it is good after that [s]
 *   TLS.userbuf     string, only in a PrivateMapKey: base64 of room and rights
 *   TLS.sig         string: base64 of HMAC-SHA256, by the application's key,
 *                   of "TLS.identifier:..\nTLS.sdkappid:..\nTLS.time:..\n
 *                   TLS.expire:..\n" and, with one, "TLS.userbuf:..\n"
 *
 * A ticket can be used as often as one likes until it expires.
 *
 * Source: tencentyun/tls-sig-api-v2-python, -node and -php, whose verifySig
 * also is the model for what is checked.
 *
 * Nothing is kept.  Thread: any.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_USERSIG_H
#define WIRE_USERSIG_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	USERSIG_JSON_MAX = 4096, /* what a ticket may inflate to [bytes] */
	USERSIG_TEXT_MAX = 6144, /* the ticket [bytes] */
	USERSIG_IDENTIFIER_MAX = 255,
	USERSIG_USERBUF_MAX = 1023, /* as base64 [bytes] */
	/* The vendor does not look at how far ahead of now a ticket was made.
	 * A clock that is set to local time is taken; one in ms is not. */
	USERSIG_AHEAD_MAX_S = 86400
};

/** Why a ticket is not taken. */
enum usersig_fault {
	USERSIG_OK,
	USERSIG_NOT_BASE64, /* also "" */
	USERSIG_NOT_ZLIB,   /* also what is behind the end of it */
	USERSIG_TOO_LONG,
	USERSIG_MALFORMED, /* not JSON, or a field of it */
	USERSIG_OTHER_APP,
	USERSIG_OTHER_USER,
	USERSIG_WRONG_KEY,
	USERSIG_NOT_YET,
	USERSIG_EXPIRED,
	USERSIG_NO_MEMORY
};

/** What a ticket says. */
struct usersig {
	char identifier[USERSIG_IDENTIFIER_MAX + 1]; /* no control characters */
	int64_t sdkappid;			     /* 0 or more */
	int64_t time_s;				     /* 0..CLOCK_UNIX_S_MAX */
	int64_t expire_s;			     /* 0..CLOCK_UNIX_S_MAX */
	char userbuf[USERSIG_USERBUF_MAX + 1];	     /* base64, or "": none */
};

/** Whom a ticket must be for; all is the caller's. */
struct usersig_want {
	const char *key; /* of the application; "" proves nothing */
	int64_t sdkappid;
	const char *identifier;
	int64_t now_unix_s;
};

/**
 * Is this a ticket for that user of that application, good now?
 *
 * text   the ticket
 * u      out, on USERSIG_OK only: what it says; NULL: not asked for
 * err    on a fault: a sentence that names the field
 *
 * The application and the user are compared before the signature, so that
 * the sentence says what helps; anybody can read them out of a ticket.
 */
MUST_CHECK enum usersig_fault usersig_verify(const struct usersig_want *want,
					     const char *text,
					     struct usersig *u,
					     struct err *err);

/**
 * Append a ticket.
 *
 * Returns 0, or
 *   EINVAL     a field is not as said above
 *   EMSGSIZE   over the limit of `out`
 *   ENOMEM
 */
MUST_CHECK int usersig_make(const struct usersig *u, const char *key,
			    struct buf *out);

#endif
