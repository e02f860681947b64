/**
 * wire/red.h -- RED: older sound sent once more in front of the new.
 *
 *	 0                   1                   2                   3
 *	|1| block type  |  time offset (14 bits)    | length (10 bits)  |
 *	  .. a header like that for each older block, then
 *	|0| type        |
 *	  .. the bytes of each block, in the same order
 *
 * Nothing here allocates or copies; pointers point into the payload.
 * Source: RFC 2198 section 3.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_RED_H
#define WIRE_RED_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
	RED_BLOCKS_MAX = 16 /* more are not read: browsers send up to 10 */
};

struct red_block {
	uint8_t pt;	    /* payload type, 0..127 */
	uint16_t ts_offset; /* before the packet's time; 0 for the last */
	const uint8_t *data;
	size_t len; /* [bytes]; may be 0 */
};

struct red_packet {
	struct red_block blocks[RED_BLOCKS_MAX];
	size_t n; /* 1..; the last one is the packet's own sound */
};

/**
 * Read one payload.
 *
 * data, len   the payload of an RTP packet; `out` points into it
 *
 * Returns 0, or EBADMSG: headers or blocks longer than the payload, over
 * RED_BLOCKS_MAX blocks, or nothing left for the last one.
 */
MUST_CHECK int red_parse(const uint8_t *data, size_t len,
			 struct red_packet *out);

#endif
