/**
 * wire/rtp.h -- RTP packets: header, extension, payload, both directions.
 *
 * Nothing here allocates or copies; pointers point into the packet.
 * Source: RFC 3550 section 5.1, RFC 8285 section 4.2, RFC 5761 section 4.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_RTP_H
#define WIRE_RTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	RTP_HEADER_LEN = 12, /* without sources and extension */
	RTP_SSRC_AT = 8,     /* in the header [bytes] */
	RTP_SSRC_LEN = 4,
	RTP_EXT_ONE_BYTE = 0xbede
};

struct rtp_packet {
	bool marker;
	uint8_t pt;	      /* payload type, 0..127 */
	uint16_t seq;	      /* wraps */
	uint32_t ts;	      /* wraps */
	uint32_t ssrc;	      /* of the sender */
	uint8_t n_csrc;	      /* sources it was mixed from, 0..15 */
	uint16_t ext_profile; /* RTP_EXT_ONE_BYTE or another; 0: none */
	const uint8_t *ext;   /* inside of the extension, or NULL */
	size_t ext_len;	      /* [bytes] */
	const uint8_t *payload;
	size_t payload_len; /* [bytes] without padding; may be 0 */
};

/**
 * Is this datagram RTCP that shares its port with RTP?
 *
 * Its second byte is then 192..223, which as RTP would be the marker bit and
 * payload types 64 to 95.  Source: RFC 5761 section 4.
 */
bool rtp_is_rtcp(const uint8_t *data, size_t len);

/**
 * Read one packet.
 *
 * data, len   as received; `out` points into it
 *
 * Returns 0, or EBADMSG: not version 2, shorter than it says of its header,
 * sources, extension or padding, an element that runs out of its extension,
 * or a payload type that belongs to RTCP.
 */
MUST_CHECK int rtp_parse(const uint8_t *data, size_t len,
			 struct rtp_packet *out);

/**
 * Find an element of a one-byte-header extension.
 *
 * id    1..14
 * len   out: [bytes], 1..16
 *
 * Returns its bytes, or NULL when there is none.
 */
const uint8_t *rtp_extension(const struct rtp_packet *p, uint8_t id,
			     size_t *len);

/**
 * Write a header: marker, pt, seq, ts and ssrc of `p`; no sources, no
 * extension, no padding.  The payload follows directly behind it.
 */
void rtp_write_header(const struct rtp_packet *p, uint8_t out[RTP_HEADER_LEN]);

#endif
