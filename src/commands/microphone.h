/**
 * commands/microphone.h -- what a sender does with the sound it has: speaks,
 * pauses, holds its clock, begins another stream; and how fast its clock is.
 *
 * Pure: times are arguments, counted from the first packet by the true clock.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_MICROPHONE_H
#define COMMANDS_MICROPHONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "commands/spans.h"

enum {
	MIC_DRIFT_MAX = 1000,  /* PPM */
	MIC_LEVEL_NONE = 127,  /* RFC 6464: digital silence, or muted */
	MIC_LEVEL_PAUSE = 55,  /* so quiet is a pause to --dtx [-dBov] */
	MIC_HANGOVER_MS = 200, /* of quiet before a pause begins */
	MIC_TINY_MS = 400      /* between two packets in a pause */
};

struct mic_config {
	int drift_ppm; /* its clock runs so much fast, +-MIC_DRIFT_MAX */
	/** Nothing is sent, clock and numbers stand still, and what is said
	 *  comes later: what browsers do at replaceTrack(null). */
	struct spans freezes;
	struct spans mutes;  /* nothing is sent; the clock goes on */
	struct spans pauses; /* a tiny packet each 400 ms */
	bool has_dtx;	     /* the same wherever the sound is quiet */
	/** Another SSRC, with other numbers, from these times on. */
	int64_t change_us[SPANS_MAX];
	size_t n_changes;
};

enum mic_act {
	MIC_SEND,
	MIC_TINY,  /* the packet of a pause in the place of the sound */
	MIC_SILENT /* nothing */
};

struct mic {
	const struct mic_config *config;
	uint64_t quiet;	  /* [frames] up to now */
	bool in_pause;	  /* DTX */
	int64_t tiny_us;  /* of the last tiny packet */
	size_t n_changed; /* streams begun */
};

/** `config` must live as long. */
void mic_init(struct mic *m, const struct mic_config *config);

/**
 * What is to be done with the packet that is due at `at_us`.
 *
 * frames   in it
 * level    of its sound [-dBov], 0..127; 0 when nobody has measured
 */
enum mic_act mic_step(struct mic *m, int64_t at_us, uint32_t frames,
		      unsigned level);

/** Does another stream begin with this packet?  Once for each. */
bool mic_changes(struct mic *m, int64_t at_us);

/** Must somebody measure levels for mic_step? */
bool mic_needs_level(const struct mic_config *config);

/** Level of mono PCM [-dBov], 0 (as loud as can be) to 127 (silence).
 *  Source: RFC 6464 section 3: the root mean square, 0 dBov being full scale. */
unsigned mic_level(const int16_t *pcm, uint32_t frames);

/** Real time in which a clock that runs `ppm` fast counts `frames`; exact,
 *  rounded down once. */
int64_t mic_us_of_frames(uint64_t frames, int ppm);

/** What such a clock counts in this time. */
uint64_t mic_frames_of_us(int64_t us, int ppm);

#endif
