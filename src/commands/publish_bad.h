/**
 * commands/publish_bad.h -- the options of `tapeop publish` that make a bad
 * network and a difficult sender, and what it tells of them.
 *
 * One table: name, kind, range and meaning.  The help, the check of ranges and
 * the errors come from it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_PUBLISH_BAD_H
#define COMMANDS_PUBLISH_BAD_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "commands/rtp_sender.h"

enum {
	PUBLISH_BAD_N = 22,	  /* options */
	PUBLISH_BAD_FIRST = 0x100 /* `val` of the first one */
};

struct bad_number {
	bool given;
	int64_t n; /* 0 until given */
};

/** What was wished; all zeros: nothing. */
struct publish_bad {
	struct bad_number loss, loss_every, burst_loss, reorder, duplicate;
	struct bad_number delay, jitter; /* [us] */
	struct bad_number drift, seq, ts, red, red_pt, pt, audio_level, seed;
	struct bad_number dtx, no_return, rtcp; /* given or not */
	struct spans stalls, freezes, mutes, pauses, changes;
};

/** Fill in PUBLISH_BAD_N options for getopt_long. */
void publish_bad_options(struct option *out);

/**
 * Take one option.
 *
 * val    as getopt_long returned it: PUBLISH_BAD_FIRST + its place
 * value  what stood behind it, or NULL
 * next   the argument after that, or NULL: `--dtx 3s,2s` takes it if it is
 *        that, and *took_next is set
 *
 * Returns 0, or EINVAL with `e` naming the option and its range.
 */
MUST_CHECK int publish_bad_take(struct publish_bad *b, int val,
				const char *value, const char *next,
				bool *took_next, struct err *e);

/** Of a sender by WHIP: what was not given is as in a browser, RED of one
 *  packet and the level of the sound.  Returns 0, or EINVAL with `e` for what
 *  makes no sense there. */
MUST_CHECK int publish_bad_for_whip(struct publish_bad *b, struct err *e);

/** Do they go together?  Returns 0, or EINVAL with `e`. */
MUST_CHECK int publish_bad_check(const struct publish_bad *b, struct err *e);

/** Append the help: a line or two an option. */
void publish_bad_help(struct buf *out);

/** Put them into a sender's configuration; without --seed one is chosen.
 *  Returns 0, or EIO: no random numbers. */
MUST_CHECK int publish_bad_apply(const struct publish_bad *b,
				 struct rtp_sender_config *c);

/** Append what became of the packets: lines, or nothing.  `c` is what was
 *  applied. */
void publish_bad_tell(const struct rtp_sender_config *c,
		      const struct rtp_sender_stats *st, struct buf *out);

#endif
