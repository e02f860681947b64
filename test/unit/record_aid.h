/** test/unit/record_aid.h -- MP3 frames to record. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_RECORD_AID_H
#define TEST_UNIT_RECORD_AID_H

#include <stdint.h>
#include <string.h>

#include "record/record.h"

enum { FRAME_LEN = 192, FRAME_FRAMES = 1152 };

/** MPEG-1 layer III, 64 kbit/s, 48 kHz, mono; `fill` tells frames apart. */
static inline void make_frame(uint8_t frame[FRAME_LEN], uint8_t fill)
{
	static const uint8_t head[] = {0xff, 0xfb, 0x54, 0xc0};

	memset(frame, fill, FRAME_LEN);
	memcpy(frame, head, sizeof(head));
}

/** The frame of fill 0 stands for silence. */
static inline const uint8_t *silent_frame(void)
{
	static uint8_t frame[FRAME_LEN];

	make_frame(frame, 0);
	return frame;
}

/** What an MP3 file of such frames opens with. */
static inline const struct track_opening *mp3_opening(void)
{
	static struct track_opening o = {.kind = TRACK_MP3,
					 .placeholder_len =
						 RECORD_FRAMES_MIN * FRAME_LEN};

	for (int i = 0; i < RECORD_FRAMES_MIN; i++)
		memcpy(o.bytes + i * FRAME_LEN, silent_frame(), FRAME_LEN);
	return &o;
}

#endif
