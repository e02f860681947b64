/**
 * wire/srtp.h -- SRTP and SRTCP: packets with their seal taken off, or put on.
 *
 *	SRTP   header, payload*, tag
 *	SRTCP  8 bytes, the rest*, E and index (31 bits), tag   AES-CM, HMAC-SHA1
 *	       8 bytes, the rest*, tag, E and index             AES-GCM
 *	       (* encrypted)
 *
 * WHAT  A `struct srtp` is one direction under one master key: it knows the
 *       highest number and what has come of each SSRC.
 * WHY   Own code on OpenSSL's EVP: libsrtp2 as Debian builds it (NSS) takes
 *       four times as long.
 * DESIGN
 *   Contexts are made with the keys in them, once; a packet sets the IV only
 *   and allocates nothing.  HMAC is made of SHA-1 by hand for that.
 *   Up to SRTP_SOURCES SSRCs are remembered.  One more takes the place of the
 *   one that has been silent longest, so a sender may change as often as it
 *   likes; what was recorded of that one could be replayed then.  An SSRC is
 *   remembered only once a packet of it was authentic.
 *   Not there: MKI, key derivation rates, keys that end after 2^48 packets
 *   (those are refused).
 *
 * Source: RFC 3711, RFC 7714.  Thread: one at a time.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SRTP_H
#define WIRE_SRTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/** Numbered as in DTLS (IANA, DTLS-SRTP protection profiles). */
enum srtp_profile { SRTP_CM_SHA1_80 = 0x0001, SRTP_GCM_128 = 0x0007 };

enum {
	SRTP_KEY_LEN = 16,
	SRTP_AUTH_LEN = 20,
	SRTP_SALT_MAX = 14,
	SRTP_SOURCES = 16,    /* SSRCs that are remembered */
	SRTP_WINDOW = 256,    /* numbers behind the highest that are, too: 640
				 ms of the shortest packets */
	SRTP_TRAILER_MAX = 20 /* a packet is so much longer at most [bytes] */
};

/** "SRTP_AEAD_AES_128_GCM", as OpenSSL and IANA write it. */
const char *srtp_profile_name(enum srtp_profile profile);
/** Bytes of a master salt: 14 or 12. */
size_t srtp_salt_len(enum srtp_profile profile);

/** Session keys: of packets, or of reports. */
struct srtp_keys {
	uint8_t cipher[SRTP_KEY_LEN];
	uint8_t auth[SRTP_AUTH_LEN]; /* not for GCM */
	uint8_t salt[SRTP_SALT_MAX];
};

/**
 * Derive the session keys: RFC 3711 section 4.3, RFC 7714 section 11.
 *
 * salt   srtp_salt_len(profile) bytes
 *
 * Returns 0, or ENOMEM when OpenSSL has none.
 */
MUST_CHECK int srtp_derive(enum srtp_profile profile,
			   const uint8_t key[SRTP_KEY_LEN], const uint8_t *salt,
			   struct srtp_keys *rtp, struct srtp_keys *rtcp);

enum srtp_direction { SRTP_IN, SRTP_OUT };

struct srtp;

/** Make one of session keys, which are copied.  Returns 0 or ENOMEM. */
MUST_CHECK int srtp_new_keyed(enum srtp_profile profile,
			      enum srtp_direction direction,
			      const struct srtp_keys *rtp,
			      const struct srtp_keys *rtcp, struct srtp **out);
/** Make one of a master key and salt.  Returns 0 or ENOMEM. */
MUST_CHECK int srtp_new(enum srtp_profile profile,
			enum srtp_direction direction,
			const uint8_t key[SRTP_KEY_LEN], const uint8_t *salt,
			struct srtp **out);
/** The keys are wiped.  NULL is fine. */
void srtp_free(struct srtp *s);

/**
 * Take the seal off a packet (SRTP_IN).
 *
 * in, len   as received
 * out       room for `len` bytes, apart from `in`; has no meaning on an error
 *
 * Returns 0, or
 *   EBADMSG    no RTP, or too short for its header and the tag
 *   EALREADY   has come before, or is too far behind to tell
 *   EACCES     not authentic
 *   EOVERFLOW  its number is beyond what the key may be used for
 * and nothing is remembered of it then.
 */
MUST_CHECK int srtp_unprotect(struct srtp *s, const uint8_t *in, size_t len,
			      uint8_t *out, size_t *out_len);
/** The same for a report. */
MUST_CHECK int srtcp_unprotect(struct srtp *s, const uint8_t *in, size_t len,
			       uint8_t *out, size_t *out_len);

/**
 * Seal a packet (SRTP_OUT).  Sequence numbers of an SSRC go on by less than
 * 2^15 at a time; none may come twice (EALREADY).
 *
 * out   room for len + SRTP_TRAILER_MAX bytes, apart from `in`
 *
 * Returns as srtp_unprotect; EACCES: OpenSSL fails.
 */
MUST_CHECK int srtp_protect(struct srtp *s, const uint8_t *in, size_t len,
			    uint8_t *out, size_t *out_len);
/** The same for a report.  EOVERFLOW: the key has sealed 2^31 of them. */
MUST_CHECK int srtcp_protect(struct srtp *s, const uint8_t *in, size_t len,
			     uint8_t *out, size_t *out_len);

/** Tests only: the next report has this index; the highest packet of `ssrc`,
 *  which is known, is that one. */
void srtp_skip_to(struct srtp *s, uint32_t next_report, uint32_t ssrc,
		  int64_t highest);

#endif
