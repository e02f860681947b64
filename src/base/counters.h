/**
 * base/counters.h -- what the process counted, for /metrics and tests.
 *
 * Every counter is one line of counters.def: name, unit, meaning and which
 * setting or action helps.  Relaxed atomics: any thread may add.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, kind, unit, meaning, helps) COUNT_##name,
#include "base/counters.def"
#undef COUNTER
	COUNT_N
};

enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

struct counter_info {
	const char *name;
	enum counter_kind kind;
	const char *unit;
	const char *meaning;
	const char *helps;
};

/** Add `n` (gauges: may be negative). */
void counter_add(enum counter c, int64_t n);

/** Set a gauge. */
void counter_set(enum counter c, int64_t value);

int64_t counter_get(enum counter c);

/** The table, COUNT_N entries in enum order. */
const struct counter_info *counter_table(void);

#endif
