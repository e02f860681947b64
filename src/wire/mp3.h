/**
 * wire/mp3.h -- MPEG-1 and MPEG-2 layer III frames as seen from outside.
 *
 * Used to find where a file that was cut off by a crash still is whole.
 * Source: ISO/IEC 11172-3 section 2.4.1.3, ISO/IEC 13818-3 section 2.4.2.3.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_MP3_H
#define WIRE_MP3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	MP3_HEADER_LEN = 4,
	MP3_FRAME_MAX = 1441 /* bytes of the longest frame: 320 kbit/s at
				32 kHz, padded */
};

struct mp3_frame {
	size_t len;	      /* [bytes] with its header */
	uint32_t frames;      /* PCM frames it decodes to, at sample_rate:
				 1152 (MPEG-1) or 576 (MPEG-2) */
	uint32_t sample_rate; /* [Hz] */
	uint32_t bit_s;	      /* [bit/s] */
	uint8_t channels;     /* 1 or 2 */
};

/**
 * Read the header at the start of `data`.
 *
 * The frame itself need not be there: compare `out->len` with what is.
 * Returns 0, or EBADMSG: fewer than MP3_HEADER_LEN bytes, no sync, MPEG-2.5,
 * another layer, free format, or a reserved value.
 */
MUST_CHECK int mp3_parse_header(const uint8_t *data, size_t len,
				struct mp3_frame *out);

/** What mp3_scan has seen so far; start with all zero. */
struct mp3_scan {
	uint64_t len;	      /* [bytes] of whole frames from the start */
	uint64_t n_frames;    /* whole MP3 frames */
	uint64_t frames;      /* PCM frames, at sample_rate */
	uint32_t sample_rate; /* of the first frame; 0: none yet */
	uint8_t channels;
	bool is_broken; /* what follows `len` is no frame of this file */
};

/**
 * Step over the whole frames at the start of `data`.
 *
 * A file is scanned in pieces: give the first piece, then again from the
 * byte that was not taken (s->len in the file), with more behind it.  It is
 * at its end when a call takes nothing; the file is whole up to s->len.
 * The frames of one file have one sample rate and number of channels; the
 * first that differs breaks the scan as a bad header does.
 *
 * Returns the bytes taken, 0 when broken or when less than a frame is left.
 */
size_t mp3_scan(struct mp3_scan *s, const uint8_t *data, size_t len);

#endif
