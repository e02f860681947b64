/**
 * commands/rtp_build.h -- RTP packets as browsers make them: with the level of
 * the sound, and with the sound of packets before (RED).
 *
 *      header | 0xbede, id, level, 0, 0 | [RED headers, older sound] | sound
 *
 * Source: RFC 3550 section 5.1, RFC 6464 section 3, RFC 2198 section 3.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RTP_BUILD_H
#define COMMANDS_RTP_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/rtp.h"

enum {
	RTP_BUILD_MAX = 2048,  /* bytes of a packet: servers take no more */
	RTP_BUILD_RED_MAX = 8, /* generations */
	RTP_BUILD_BLOCK_MAX = 1023, /* bytes of an older block: 10 bits */
	RTP_BUILD_OPUS_TYPE = 111,  /* what Chromium uses */
	RTP_BUILD_RED_TYPE = 63,
	RTP_BUILD_LEVEL_LEN = 8 /* bytes that the audio level takes */
};

struct rtp_form {
	uint8_t pt;	  /* of Opus; 0: RTP_BUILD_OPUS_TYPE */
	uint8_t red;	  /* generations of older sound, 0: no RED */
	uint8_t red_pt;	  /* 0: RTP_BUILD_RED_TYPE */
	uint8_t level_id; /* of the audio level, 1..14; 0: none */
	size_t max;	  /* bytes of a packet; 0: RTP_BUILD_MAX */
};

struct rtp_builder {
	struct rtp_form form;
	struct {
		uint32_t ts;
		uint16_t len;
		uint8_t data[RTP_BUILD_BLOCK_MAX];
	} older[RTP_BUILD_RED_MAX]; /* a ring */
	uint64_t n;		    /* sounds remembered, ever */
	size_t kept;		    /* of them in the ring, up to `red` */
};

void rtp_build_init(struct rtp_builder *b, const struct rtp_form *form);

/** Another stream begins: its first packet holds nothing older. */
void rtp_build_forget(struct rtp_builder *b);

/**
 * Make a packet, and remember its sound for the next ones.
 *
 * header      its pt is set here
 * opus, len   its sound
 * level       [-dBov], 0..127
 *
 * Older sound is left out where it does not fit: over 1023 bytes, over 16383
 * frames ago, or no room (form.max).
 *
 * Returns its length; 0: the sound alone is too long, nothing was done.
 */
MUST_CHECK size_t rtp_build(struct rtp_builder *b,
			    const struct rtp_packet *header,
			    const uint8_t *opus, size_t len, unsigned level,
			    uint8_t out[RTP_BUILD_MAX]);

#endif
