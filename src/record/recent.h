/**
 * record/recent.h -- the last Opus packets of a run; private to record/.
 *
 * A file that goes on in the midst of a run begins with packets from before
 * its sound (pre-roll), so that the decoder has settled when it comes.
 * Positions are frames decoded since the run began.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_RECENT_H
#define RECORD_RECENT_H

#include <stdint.h>

#include "base/buf.h"
#include "sound/sound.h"

enum { RECENT_N = 128 }; /* packets; asserted */

struct recent_packet {
	uint64_t start; /* position of its first frame */
	uint32_t at;	/* of its bytes, in `bytes` */
	uint16_t len;
	uint16_t frames;
	uint8_t made[SOUND_MADE_MAX]; /* its bytes, when they are so few */
};

struct recent {
	uint64_t end; /* position behind the last packet */
	unsigned n;
	struct recent_packet packets[RECENT_N];
	struct buf bytes;
};

void recent_init(struct recent *r);
void recent_fini(struct recent *r);
/** A new run: nothing is kept, the position is 0. */
void recent_clear(struct recent *r);

/** Add a packet.  Returns 0 or ENOMEM: a packet of the same length that makes
 *  the decoder conceal took its place. */
MUST_CHECK int recent_put(struct recent *r, const void *packet, size_t len,
			  uint32_t frames);

/** The packet that begins at or last before `pos`, or the first; there must
 *  be one.  Returns its index. */
unsigned recent_find(const struct recent *r, uint64_t pos);

/** Valid until the next put or trim. */
const uint8_t *recent_data(const struct recent *r, unsigned i);

/** Forget packets that are not needed to begin at `pos`. */
void recent_trim(struct recent *r, uint64_t pos);

#endif
