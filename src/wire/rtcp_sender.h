/**
 * wire/rtcp_sender.h -- a sender's side of RTCP.
 *
 * Nothing here allocates or reads a clock.
 * Source: RFC 3550 section 6.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_RTCP_SENDER_H
#define WIRE_RTCP_SENDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	RTCP_SENDER_NAME_MAX = 64, /* bytes of a CNAME */
	RTCP_SENDER_MAX = 112 /* bytes of a sender's report with its name */
};

/** What a sender says of its stream. */
struct rtcp_sender_report {
	uint32_t ssrc;
	int64_t unix_ms;  /* wall time now .. */
	uint32_t ts;	  /* .. and RTP time now */
	uint32_t packets; /* sent so far; wraps */
	uint32_t octets;  /* of their payloads; wraps */
};

/** What a receiver says of a stream. */
struct rtcp_block {
	uint32_t ssrc;	       /* of the stream */
	uint8_t fraction_lost; /* of 256, since its last report */
	int32_t lost;	       /* ever; negative: more came than were sent */
	uint32_t newest;       /* number of the newest packet, unwrapped */
	uint32_t jitter;       /* [RTP time] */
};

/**
 * Write a sender's report and, as each compound packet must have it, who it
 * comes from.
 *
 * name   1..RTCP_SENDER_NAME_MAX bytes, the same for the whole session
 *
 * Returns its length.
 */
MUST_CHECK size_t rtcp_sender_write(const struct rtcp_sender_report *r,
				    const char *name,
				    uint8_t out[RTCP_SENDER_MAX]);

/**
 * Find what a compound packet reports of a stream.
 *
 * data, len   as received
 *
 * Returns 0, ENOENT: nothing; or EBADMSG: not RTCP, or a packet in it is not
 * version 2 or longer than what is there.
 */
MUST_CHECK int rtcp_sender_read(const uint8_t *data, size_t len, uint32_t ssrc,
				struct rtcp_block *out);

#endif
