/**
 * commands/dice.h -- random numbers that come again with the same seed.
 *
 * For bad networks that are made on purpose, never for secrets.
 * Source: splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
 * Number Generators, 2014).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_DICE_H
#define COMMANDS_DICE_H

#include <stdbool.h>
#include <stdint.h>

/** The next 64 bits; any state is a good one to begin with. */
static inline uint64_t dice_next(uint64_t *state)
{
	uint64_t z;

	*state += 0x9e3779b97f4a7c15U;
	z = *state;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

/** A number of 0 to n - 1 (n > 0; of 0 to far less than 2^64). */
static inline uint64_t dice_below(uint64_t *state, uint64_t n)
{
	return dice_next(state) % n;
}

/** True with this probability (0..1). */
static inline bool dice_chance(uint64_t *state, double p)
{
	return (double)(dice_next(state) >> 11) * 0x1p-53 < p;
}

#endif
