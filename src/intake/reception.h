/**
 * intake/reception.h -- how a sender is received: the numbers of an RTCP
 * receiver report.
 *
 * Source: RFC 3550 section 6.4.1, appendices A.3 (loss) and A.8 (jitter).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_RECEPTION_H
#define INTAKE_RECEPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "intake/stream.h"
#include "wire/rtcp.h"

/** Of one run of numbers; zero it when another begins. */
struct reception {
	int64_t received; /* packets, late and doubled ones too */
	int64_t expected_before, received_before; /* at the last report */
	int64_t transit; /* arrival - RTP time of the last packet */
	uint32_t jitter; /* 16 times */
	uint32_t lsr;	 /* see rtcp.h */
	int64_t sr_us;	 /* when that SR came, 0: none did */
};

/**
 * A packet of the run has come.
 *
 * arrival   [frames], a position
 * ts        its RTP time, unwrapped
 */
void reception_packet(struct reception *r, int64_t arrival, int64_t ts);

/** An SR of this sender has come. */
void reception_sr(struct reception *r, uint64_t ntp, int64_t now_us);

/** How much the time varies that packets need. */
uint32_t reception_jitter_us(const struct reception *r);

/** Report, and begin the next interval. */
void reception_report(struct reception *r, const struct stream *s,
		      int64_t now_us, struct rtcp_report *out);

#endif
