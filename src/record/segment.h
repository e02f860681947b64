/** record/segment.h -- what a track does to its segments; private to record/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_SEGMENT_H
#define RECORD_SEGMENT_H

#include "record/record.h"

/** A segment on no track yet, or NULL. */
MUST_CHECK struct segment *segment_new(int64_t start_pos, size_t max_waiting);

/**
 * Put whole MP3 frames or Ogg pages into it, then leave out `missing` bytes of
 * those that were lost on the way.  What finds no room is left out too.
 */
void segment_put(struct segment *s, const void *data, size_t len,
		 uint64_t missing);

#endif
