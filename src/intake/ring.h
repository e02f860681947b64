/**
 * intake/ring.h -- packets of one input that wait for their turn, in order.
 *
 * A list sorted by stream, then sequence number.  Packets live in slots that
 * are kept for the next one, so a running input allocates nothing.  Limit:
 * RING_PACKETS slots, wherever they are; those beyond RING_KEEP are given back
 * when nothing waits.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_RING_H
#define INTAKE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"

enum {
	RING_PAYLOAD_MAX = 1500, /* bytes; what a UDP packet can hold */
	RING_PACKETS = 180,	 /* 450 ms of the shortest packets (2.5 ms);
				    180 * 1.6 KB = 280 KiB an input at most */
	RING_KEEP = 32		 /* slots kept when nothing waits */
};

struct ring_packet {
	struct link link;
	uint32_t stream;    /* which run of sequence numbers, counts up */
	int64_t seq;	    /* unwrapped, in its stream */
	int64_t ts;	    /* unwrapped RTP time [frames] */
	int64_t arrival_us; /* monotonic */
	int64_t arrival;    /* the same as a position [frames] */
	uint32_t frames;
	uint32_t len;	/* bytes of payload */
	bool redundant; /* it did not come: a later packet brought a copy */
	bool quiet;	/* its audio level says no sound: it is passed over */
	uint8_t payload[RING_PAYLOAD_MAX];
};

struct ring {
	struct link packets; /* in order */
	struct link spare;   /* free slots */
	uint32_t n;	     /* packets that wait */
	uint32_t n_spare;    /* free slots */
	uint32_t n_slots;    /* all there are, taken ones too */
};

void ring_init(struct ring *r);
void ring_fini(struct ring *r);

/** A slot to fill; then ring_insert or ring_release it.
 *  NULL: the ring is full, or no memory (ring_is_full tells). */
MUST_CHECK struct ring_packet *ring_take(struct ring *r);

/** Are all slots that there may be in use? */
bool ring_is_full(const struct ring *r);

/** Put it in its place.  The caller knows that its number is not there, unless
 *  as a redundant packet, which makes room. */
void ring_insert(struct ring *r, struct ring_packet *p);

/** The last packet whose number is that one or comes before it; NULL: none. */
struct ring_packet *ring_until(const struct ring *r, uint32_t stream,
			       int64_t seq);

/** Give a slot back that is not (or no longer) in the list. */
void ring_release(struct ring *r, struct ring_packet *p);

/** The first, or the one behind `p`; NULL: none. */
struct ring_packet *ring_first(const struct ring *r);
struct ring_packet *ring_next(const struct ring *r,
			      const struct ring_packet *p);

/** Take out the first packet and release it. */
void ring_pop(struct ring *r);

#endif
