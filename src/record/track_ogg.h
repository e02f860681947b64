/**
 * record/track_ogg.h -- Opus packets -> Ogg pages -> segments; private to
 * record/.  What both Ogg kinds of track share.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_TRACK_OGG_H
#define RECORD_TRACK_OGG_H

#include "record/recent.h"
#include "record/track.h"

/**
 * Positions in a run are frames decoded since it began.  Sound is late in them
 * by `delay`: position delay + x is the frame at run_pos + x of the media
 * clock.
 */
struct track_ogg {
	struct track base;

	uint64_t cut_frames; /* 0: never cut */
	uint32_t delay;	     /* of the run */
	bool cuts_packets;   /* at a cut the packet under it goes to both files;
			      otherwise cuts lie between packets */
	struct sound_ogg *ogg; /* NULL until the first run */

	uint32_t serial; /* of the next segment */
	bool stereo;	 /* is what the next segment's header says */
	int64_t run_pos;
	uint64_t start; /* of the segment's first packet */
	uint64_t begin; /* of its sound: start + pre-skip */
	uint64_t given; /* up to where it has the packets */
	struct recent recent;
	struct buf page; /* empty between calls */
};

/** The rest of `o` is zero. */
void track_ogg_init(struct track_ogg *o, const struct track_config *config);
void track_ogg_fini(struct track_ogg *o);

/** Begin a run at `pos` of the media clock; `delay` and `stereo` are set. */
MUST_CHECK int track_ogg_begin(struct track_ogg *o, int64_t pos);

/** Take the next packet.  Returns 0 or ENOMEM: it or a page is lost, but what
 *  follows keeps its place. */
MUST_CHECK int track_ogg_put(struct track_ogg *o, const void *packet,
			     size_t len, uint32_t frames);

/** End the run at `end`, in the last packet or at its end. */
MUST_CHECK int track_ogg_end(struct track_ogg *o, uint64_t end);

/** ops->flush */
void track_ogg_flush(struct track *base);

/** Of the media clock, a position in the run. */
static inline int64_t track_ogg_pos(const struct track_ogg *o, uint64_t at)
{
	return o->run_pos + (int64_t)at - o->delay;
}

#endif
