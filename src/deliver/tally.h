/** deliver/tally.h -- how many there were within the last minute. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_TALLY_H
#define DELIVER_TALLY_H

#include <stdint.h>

enum { TALLY_SLOTS = 12 /* of 5 s */ };

/** Zero is none. */
struct tally {
	uint32_t n[TALLY_SLOTS];
	int64_t slot; /* the newest, in steps of 5 s */
};

/** One more, now. */
void tally_add(struct tally *t, int64_t now_us);
/** Those of the 5 s under way and of the 55 s before them. */
uint32_t tally_minute(const struct tally *t, int64_t now_us);

#endif
