/** base/nearest.c -- which of the known names did a person mean? */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <string.h>

enum { NAME_MAX_LEN = 40 };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/** Source: optimal string alignment distance (Damerau-Levenshtein without a
 *  second edit of what was swapped). */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][NAME_MAX_LEN + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= m; j++)
		last[j] = j;
	memset(before, 0, sizeof(rows[0]));
	for (size_t i = 1; i <= n; i++) {
		size_t *old = before;

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = least(d, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				d = least(d, before[j - 2] + 1);
			row[j] = d;
		}
		before = last;
		last = row;
		row = old;
	}
	return last[m];
}

void nearest_add(struct nearest *n, const char *typed, const char *name)
{
	const size_t len = strlen(typed), name_len = strlen(name);
	size_t d;

	if (len > NAME_MAX_LEN || name_len > NAME_MAX_LEN)
		return;
	d = distance(typed, len, name, name_len);
	if (d > (name_len < 5 ? 1U : 2U) || (n->name && d >= n->distance))
		return;
	n->name = name;
	n->distance = d;
}
