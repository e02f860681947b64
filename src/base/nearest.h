/** base/nearest.h -- which of the known names did a person mean? */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/** The best one so far; begin with zero. */
struct nearest {
	const char *name; /* NULL: nothing is near */
	size_t distance;
};

/**
 * Look at one more candidate: it becomes the best when it is `typed` after
 * at most 2 (short names: 1) letters changed, left out, added or swapped, and
 * nearer than the best so far.
 */
void nearest_add(struct nearest *n, const char *typed, const char *name);

#endif
