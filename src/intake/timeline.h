/**
 * intake/timeline.h -- where each packet of one input lies on the media
 * clock, and what fills the places between.
 *
 * The algorithm is written in timeline.c.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_TIMELINE_H
#define INTAKE_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "intake/drift.h"
#include "intake/intake.h"
#include "intake/ring.h"
#include "sound/sound.h"

enum { TIMELINE_JUMP = 120 * SOUND_FRAMES_PER_MS }; /* more is no jitter */

struct timeline {
	const struct input_events *events;
	void *arg;
	struct input_stats *stats;
	struct sound_decoder *decoder; /* NULL until sound is wanted */
	bool no_pcm;		       /* nobody wants it: do not decode */
	bool on;		       /* between mic_on and mic_off */
	int64_t pos;	      /* all before it is emitted or given up */
	int64_t offset;	      /* position = unwrapped RTP time + offset */
	uint32_t stream;      /* run of the last packet, 0: none yet */
	int64_t next_seq;     /* that would follow it */
	uint32_t last_frames; /* its length */
	struct drift drift;
	struct sound_stretch stretch;
	bool passed; /* the number before next_seq had no sound */
};

/** Why a packet's turn has come: how sure must a jump be? */
enum timeline_why {
	TIMELINE_DUE,	  /* it has waited its time: may wait for more */
	TIMELINE_OVERDUE, /* it has waited long enough for anything */
	TIMELINE_FULL	  /* the ring is full: what lies behind is unknown */
};

/**
 * Emit the ring's first packet, and before it what fills the gap, unless its
 * place is `limit` or behind, or a jump has to be confirmed by later packets.
 *
 * Returns whether the packet was dealt with; the caller pops it.
 */
MUST_CHECK bool timeline_play(struct timeline *t, const struct ring *ring,
			      enum timeline_why why, int64_t limit);

/** The ring's first packet has no sound: its number is not missing, that is
 *  all; what lies there is a pause.  The caller pops it. */
void timeline_pass(struct timeline *t, const struct ring *ring);

/** Mic off at `pos`, or where sound ended if that is later. */
void timeline_end(struct timeline *t, int64_t pos);

#endif
