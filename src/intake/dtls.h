/**
 * intake/dtls.h -- DTLS 1.2, one datagram in, datagrams out.
 *
 * WHAT  A handshake with a peer whose certificate is known by its fingerprint,
 *       and the SRTP keys that come of it (RFC 5764).  Nothing else is ever
 *       read; close_notify ends it.
 * DESIGN
 *   OpenSSL does it, over a BIO of ours that knows datagrams: a memory BIO
 *   would glue those of a flight together.  OpenSSL's timer for sending a
 *   flight again runs on the wall clock, so a clock that is set may hold that
 *   up: the deadline of the handshake is the caller's.
 *   There is no HelloVerifyRequest: whoever may begin has shown by ICE that it
 *   knows this session's password, and how many may begin is the caller's
 *   matter, too.  (With the password an address can be forged; a session has
 *   one handshake, whose flights are some KB in all.)
 *
 * Private to this folder.  Thread: one at a time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_DTLS_H
#define INTAKE_DTLS_H

#include "intake/intake.h"
#include "wire/srtp.h"

enum {
	DTLS_MTU = 1200,	    /* of a UDP payload, as browsers do */
	DTLS_RECORD_HEADER_LEN = 13 /* RFC 6347 section 4.1 */
};

/** What all handshakes of a port have in common. */
struct dtls_context;

/** `id` is kept alive by it.  Returns 0 or ENOMEM. */
MUST_CHECK int dtls_context_new(const struct webrtc_identity *id,
				struct dtls_context **out);
/** Handshakes that are there stay valid.  NULL is fine. */
void dtls_context_free(struct dtls_context *c);

/** The client begins: in SDP the one that is a=setup:active. */
enum dtls_role { DTLS_SERVER, DTLS_CLIENT };

enum dtls_state {
	DTLS_SHAKING,
	DTLS_DONE,
	DTLS_CLOSED, /* by the peer, after it was done */
	DTLS_FAILED
};

struct dtls;

/** A datagram is to be sent to the peer.  May not free anything. */
typedef void(dtls_send_fn)(const uint8_t *data, size_t len, void *arg);

/** Make one end; a server waits for the peer's hello.  `peer` is copied.
 *  Returns 0 or ENOMEM. */
MUST_CHECK int dtls_new(struct dtls_context *c, enum dtls_role role,
			const struct fingerprint *peer, dtls_send_fn *send,
			void *arg, struct dtls **out);
/** The keys are wiped.  NULL is fine. */
void dtls_free(struct dtls *d);

/** Is it DTLS?  Looks at the first byte only (RFC 7983). */
static inline bool dtls_is_likely(uint8_t first)
{
	return first >= 20 && first <= 63;
}

/** Does a handshake begin with this datagram: is it (the first piece of) a
 *  ClientHello that is not encrypted? */
bool dtls_is_hello(const uint8_t *data, size_t len);

/** Send the hello, of a client, once. */
enum dtls_state dtls_begin(struct dtls *d);
/** Deal with a datagram.  What is no DTLS, or damaged, changes nothing. */
enum dtls_state dtls_take(struct dtls *d, const uint8_t *data, size_t len);
/** Send a flight again if it is time; some times a second while it is
 *  DTLS_SHAKING. */
enum dtls_state dtls_tick(struct dtls *d);

/** Why it is DTLS_FAILED. */
enum webrtc_end dtls_why(const struct dtls *d);
/** OpenSSL's words for it. */
const char *dtls_reason(const struct dtls *d);

/** Keys of both sides: theirs seal what comes. */
struct dtls_srtp {
	enum srtp_profile profile;
	uint8_t their_key[SRTP_KEY_LEN], our_key[SRTP_KEY_LEN];
	uint8_t their_salt[SRTP_SALT_MAX], our_salt[SRTP_SALT_MAX];
};

/** What was agreed on, once it is DTLS_DONE; wipe it after use.  Returns 0 or
 *  ENOMEM. */
MUST_CHECK int dtls_srtp(const struct dtls *d, struct dtls_srtp *out);

/** Send close_notify, if it is DTLS_DONE. */
void dtls_close(struct dtls *d);

#endif
