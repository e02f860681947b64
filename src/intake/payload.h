/**
 * intake/payload.h -- what a packet's payload holds: Opus, or RED around it.
 *
 * WHAT  Which payload type is Opus and which is RED, and where the Opus of a
 *       packet lies.
 * DESIGN
 *   What the API says is believed.  Without it, a payload looks like RED if
 *   its type is one for it (96 to 127, 35 to 63), it has older blocks, all blocks hold Opus of one dynamic type, which is
 *   not the packet's, and their times are whole frames that do not overlap.
 *   Of plain Opus about one packet in a million looks so.  So where Opus has
 *   been taken already, RED_AGREED packets in a row must; at the
 *   beginning of a run one will do until another speaks against it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_PAYLOAD_H
#define INTAKE_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/red.h"
#include "wire/rtp.h"

enum {
	PT_NONE = 0,
	PT_DYNAMIC = 96, /* first dynamic payload type, RFC 3551 section 6 */
	PT_SPARE = 35,	 /* to PT_SPARE_LAST: not assigned there, and what
			    browsers take for RED (64 to 95 look like RTCP) */
	PT_SPARE_LAST = 63,
	RED_AGREED = 3
};

struct payload_types {
	/* fixed after init; PT_NONE: not said */
	uint8_t opus_pt, red_pt;
	/* found out in this run */
	uint8_t maybe_red; /* a type of which the last packet looked like RED */
	unsigned agreed;   /* how many in a row */
};

/** Points into the packet. */
struct payload {
	uint8_t pt; /* of the Opus */
	bool is_red;
	const uint8_t *opus;
	size_t len;	 /* [bytes] */
	uint32_t frames; /* in it */
	struct red_packet red;
	size_t n_older; /* blocks of `red` before the Opus */
};

/**
 * Find the Opus in a packet.
 *
 * run_pt   what this run's Opus has come as so far, PT_NONE: nothing yet
 *
 * Returns whether there is any.  The caller says with payload_begin that the
 * packet has begun another run.
 */
MUST_CHECK bool payload_read(struct payload_types *t,
			     const struct rtp_packet *rtp, uint8_t run_pt,
			     struct payload *out);

/** Another run begins with this packet: what was found out is forgotten. */
void payload_begin(struct payload_types *t, const struct rtp_packet *rtp,
		   const struct payload *p);

#endif
