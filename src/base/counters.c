/** base/counters.c -- what the process counted, for /metrics and tests. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include <stdatomic.h>

static _Atomic int64_t values[COUNT_N];

static const struct counter_info table[] = {
#define COUNTER(name, kind, unit, meaning, helps) \
	{#name, COUNTER_##kind, unit, meaning, helps},
#include "base/counters.def"
#undef COUNTER
};

void counter_add(enum counter c, int64_t n)
{
	atomic_fetch_add_explicit(&values[c], n, memory_order_relaxed);
}

void counter_set(enum counter c, int64_t value)
{
	atomic_store_explicit(&values[c], value, memory_order_relaxed);
}

int64_t counter_get(enum counter c)
{
	return atomic_load_explicit(&values[c], memory_order_relaxed);
}

const struct counter_info *counter_table(void)
{
	return table;
}
