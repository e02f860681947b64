/** commands/spans.h -- stretches of time, counted from the first packet. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_SPANS_H
#define COMMANDS_SPANS_H

#include <stddef.h>
#include <stdint.h>

enum { SPANS_MAX = 16 };

struct span {
	int64_t at_us, len_us;
};

/** In no order; they may overlap. */
struct spans {
	struct span at[SPANS_MAX];
	size_t n;
};

/** The one that this time lies in, its end excluded; or NULL. */
static inline const struct span *spans_find(const struct spans *s, int64_t us)
{
	for (size_t i = 0; i < s->n; i++) {
		if (us >= s->at[i].at_us &&
		    us - s->at[i].at_us < s->at[i].len_us)
			return &s->at[i];
	}
	return NULL;
}

/** The first time from `us` on that lies in none. */
static inline int64_t spans_end(const struct spans *s, int64_t us)
{
	const struct span *in;

	while ((in = spans_find(s, us)) != NULL)
		us = in->at_us + in->len_us;
	return us;
}

#endif
