/**
 * intake/stream.h -- one run of RTP numbers: which packets belong to it, and
 * their sequence numbers and times unwrapped.
 *
 * Source: RFC 3550 section 6.4.1 and appendix A.1 (dropout, misorder,
 * restart confirmed by a second packet).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_STREAM_H
#define INTAKE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	STREAM_DROPOUT = 3000, /* numbers ahead that are still the same run */
	STREAM_MISORDER = 200, /* numbers behind that are still the same run:
				  500 ms of the shortest packets (2.5 ms), more
				  than the reorder window */
	STREAM_SEEN = 256      /* numbers whose coming is remembered */
};

struct stream {
	uint32_t id; /* counts runs; 0: none yet */
	uint32_t ssrc;
	int64_t first;			 /* number it began with */
	int64_t seq;			 /* highest number so far, unwrapped */
	int64_t ts;			 /* its time, unwrapped */
	uint64_t seen[STREAM_SEEN / 64]; /* bit i: seq - i has come */
};

enum stream_verdict {
	STREAM_NEW,	  /* belongs here and is new */
	STREAM_DUPLICATE, /* has come already */
	STREAM_WILD	  /* so far off that it may be a restart */
};

/** Begin the next run with this packet (which stream_place then takes). */
void stream_begin(struct stream *s, uint32_t ssrc, uint16_t seq, uint32_t ts);

/** Unwrap a packet's numbers.  WILD and DUPLICATE change nothing. */
MUST_CHECK enum stream_verdict stream_place(struct stream *s, uint16_t seq,
					    uint32_t ts, int64_t *seq_out,
					    int64_t *ts_out);

/** Has this unwrapped number come (stream_place said NEW)?  True, too, where
 *  it is not remembered any more, or before the run began. */
bool stream_has(const struct stream *s, int64_t seq);

/** It need not come any more: from now on it is a duplicate. */
void stream_mark(struct stream *s, int64_t seq);

#endif
