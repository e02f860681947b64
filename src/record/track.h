/** record/track.h -- what the kinds of track share; private to record/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_TRACK_H
#define RECORD_TRACK_H

#include "record/segment.h"

/** What a kind does.  A *run* is sound without a break, over as many segments
 *  as it takes; `open` is true in one. */
struct track_ops {
	/** Begin a run at `pos` (not before in_pos) with its first segment. */
	int (*begin)(struct track *t, int64_t pos);
	/** Put a chunk on the track; begins a run if need be. */
	int (*write)(struct track *t, const struct sound_chunk *chunk);
	/** In a run: silence up to `pos`. */
	int (*fill)(struct track *t, int64_t pos);
	/** End the run at `pos`, as track_end_segment. */
	int (*end)(struct track *t, int64_t pos);
	/** Give what can be given of what is in work; may be NULL. */
	void (*flush)(struct track *t);
	/** Free it, but for what track_free does. */
	void (*fini)(struct track *t);
};

/** Levels of what was taken and belongs to no segment yet (track_peaks.c). */
enum { TRACK_PEAK_CELLS = 512 /* of 10 ms */ };
struct track_peaks {
	bool any;
	int64_t newest; /* cell that is in use */
	uint8_t at[TRACK_PEAK_CELLS];
};

/** The first member of each kind's own struct. */
struct track {
	const struct track_ops *ops;
	struct track_events events;
	void *arg;
	size_t max_waiting;
	struct link segments;	 /* oldest first */
	struct segment *current; /* takes the next bytes, or NULL */
	bool open;		 /* in a run */
	int64_t in_pos;		 /* up to which sound was taken */
	struct track_opening opening;
	struct track_peaks peaks;
};

MUST_CHECK int track_mp3_new(const struct track_config *config,
			     struct track **out);
MUST_CHECK int track_copy_new(const struct track_config *config,
			      struct track **out);
MUST_CHECK int track_opus_new(const struct track_config *config,
			      struct track **out);

/** Sound was taken at `pos` of the media clock; pcm NULL: silence. */
void track_peaks_note(struct track *t, int64_t pos, const int16_t *pcm,
		      uint64_t frames);
/** The current segment is given the frames from `pos` on. */
void track_peaks_give(struct track *t, int64_t pos, uint64_t frames);

/** Begin a segment and tell; t->opening is made. */
MUST_CHECK int track_begin_segment(struct track *t, int64_t start_pos);

/** The current segment is complete: push it and tell. */
void track_end_current(struct track *t);

/** ops->write of a kind that encodes: what was not written yet of the chunk
 *  goes to `feed`, silence before it too. */
/** Count what of a chunk of sound lies where something was written already. */
void track_count_late(const struct track *t, const struct sound_chunk *chunk);

MUST_CHECK int track_write_pcm(struct track *t, const struct sound_chunk *chunk,
			       int (*feed)(struct track *t, const int16_t *pcm,
					   uint64_t frames));

#endif
