/**
 * commands/impair.h -- a bad network, made on purpose: decides which packets
 * are lost, and when the others leave.
 *
 * WHAT  Packets go in with the time at which they would leave; they come out
 *       when they do, which may be later, in another order, twice, or never.
 * DESIGN
 *   - Time is an argument, counted from the first packet; no clock is read.
 *     The same seed and the same packets give the same network.
 *   - Each kind of harm has random numbers of its own, so a network with more
 *     jitter still loses the same packets.
 *   - In this order: lost or not, twice or not, held back, delayed, stalled.
 *   - What is on its way is bounded: IMPAIR_QUEUE_MAX packets.  When full, the
 *     newest is lost and counted (`overflowed`).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_IMPAIR_H
#define COMMANDS_IMPAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "commands/spans.h"

enum {
	IMPAIR_PACKET_MAX = 2048, /* bytes of one packet */
	IMPAIR_QUEUE_MAX = 8192,
	IMPAIR_WHOLE = 1000000, /* a probability of 1 */
	IMPAIR_HOLD_MAX = 4	/* packets that overtake one held back */
};

struct impair_config {
	uint64_t seed;
	uint32_t loss; /* of IMPAIR_WHOLE */
	/** Packets in a burst of losses, on average; 0: each by itself.
	 *  Source: Gilbert's model of two states; loss must be at most
	 *  burst / (burst + 1) of the whole. */
	uint32_t burst;
	uint32_t loss_every; /* each so manieth is lost; 0: none */
	uint32_t reorder;    /* of IMPAIR_WHOLE; each lets 1 to 4 pass */
	uint32_t duplicate;  /* of IMPAIR_WHOLE */
	int64_t delay_us, jitter_us; /* jitter: 0 to so much, evenly spread */
	struct spans stalls; /* nothing leaves; at the end all at once */
};

struct impair_stats {
	uint64_t put;
	uint64_t lost;
	uint64_t duplicated; /* second copies */
	uint64_t reordered;  /* came out after one that was put in later */
	uint64_t stalled;    /* copies that waited for the end of a stall */
	uint64_t overflowed; /* lost because too many were under way */
	uint64_t waiting;    /* copies under way now */
};

struct impair_packet {
	const uint8_t *data; /* valid until the next put, take or free */
	size_t len;	     /* [bytes] */
	int64_t at_us;	     /* when it leaves */
};

struct impair;

/** Does it do anything at all? */
bool impair_is_wanted(const struct impair_config *config);

/** Returns 0 or ENOMEM. */
MUST_CHECK int impair_new(const struct impair_config *config,
			  struct impair **out);
void impair_free(struct impair *im);

/**
 * Put a packet in.
 *
 * at_us       when it would leave; never decreasing
 * spoken_us   the time until the next one: what "held back for a packet" means
 * data, len   1..IMPAIR_PACKET_MAX bytes; copied
 *
 * Returns 0, or ENOMEM: it is lost, uncounted.
 */
MUST_CHECK int impair_put(struct impair *im, int64_t at_us, int64_t spoken_us,
			  const void *data, size_t len);

/** Take the next packet that leaves at `now_us` or has left before, in order
 *  of leaving.  Returns false when there is none. */
bool impair_take(struct impair *im, int64_t now_us, struct impair_packet *out);

/** When the next one leaves; INT64_MAX: none is under way. */
int64_t impair_next_us(const struct impair *im);

void impair_stats(const struct impair *im, struct impair_stats *out);

#endif
