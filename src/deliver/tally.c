/** deliver/tally.c -- how many there were within the last minute. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/tally.h"

#define SLOT_US (5 * (int64_t)1000000)

void tally_add(struct tally *t, int64_t now_us)
{
	const int64_t slot = now_us / SLOT_US;

	if (slot - t->slot >= TALLY_SLOTS)
		*t = (struct tally){.slot = slot};
	while (t->slot < slot)
		t->n[++t->slot % TALLY_SLOTS] = 0;
	t->n[slot % TALLY_SLOTS]++;
}

uint32_t tally_minute(const struct tally *t, int64_t now_us)
{
	const int64_t slot = now_us / SLOT_US;
	uint32_t sum = 0;

	for (int64_t i = t->slot;
	     i > slot - TALLY_SLOTS && i > t->slot - TALLY_SLOTS && i >= 0; i--)
		sum += t->n[i % TALLY_SLOTS];
	return sum;
}
