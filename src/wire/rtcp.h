/**
 * wire/rtcp.h -- RTCP: what a sender says of itself, and the answer.
 *
 *	compound = packet..   a packet: 2 bits version, padding, 5 bits count,
 *	                      type, length in words - 1, then its own
 *	SR   200   ssrc, NTP time, RTP time, packets, octets, count blocks
 *	RR   201   ssrc, count blocks
 *	SDES 202   count chunks: ssrc, items up to a zero, to a word
 *	BYE  203   count ssrcs, a reason
 *
 * Nothing here allocates or copies; other types are passed over.
 * Source: RFC 3550 section 6 and appendix A.2; RFC 5506 (a compound may
 * begin with any packet).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_RTCP_H
#define WIRE_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/** What a compound says of its sender. */
struct rtcp {
	bool has_ssrc;
	uint32_t ssrc; /* of the first packet */
	bool has_sr;   /* from that one: */
	uint64_t ntp;  /* wall time: seconds since 1900, 32 bits of fraction */
	uint32_t ts;   /* the same moment as RTP time */
	bool has_bye;  /* that one leaves */
};

/**
 * Read one datagram.
 *
 * Returns 0, or EBADMSG: a packet that is not version 2, longer than the
 * datagram or shorter than its own parts, padding other than at the end.
 */
MUST_CHECK int rtcp_parse(const uint8_t *data, size_t len, struct rtcp *out);

/** How one sender is received; RFC 3550 section 6.4.1. */
struct rtcp_report {
	uint32_t from;	   /* SSRC of who reports */
	uint32_t of;	   /* SSRC of the sender */
	uint8_t fraction;  /* lost since the last report, of 256 */
	int32_t lost;	   /* in all; -2^23..2^23-1, may be negative */
	uint32_t last_seq; /* highest number, with its cycles */
	uint32_t jitter;   /* [RTP time] */
	uint32_t lsr;  /* middle 32 bits of the last SR's NTP time, 0: none */
	uint32_t dlsr; /* since it came [1/65536 s] */
};

enum { RTCP_CNAME_MAX = 32, RTCP_REPORT_MAX = 32 + 8 + 2 + RTCP_CNAME_MAX + 4 };

/**
 * Write a receiver report and an SDES with the CNAME.
 *
 * cname   1..RTCP_CNAME_MAX bytes
 *
 * Returns its length [bytes].
 */
size_t rtcp_write_report(const struct rtcp_report *r, const char *cname,
			 uint8_t out[RTCP_REPORT_MAX]);

#endif
