/** test/unit/oom.h -- run a piece of code once for every allocation in it. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_OOM_H
#define TEST_UNIT_OOM_H

#include "base/mem.h"

enum { OOM_SWEEP_MAX = 100000 };

/**
 * Call `fn()` with the first allocation failing, then the second, and so on,
 * until it runs to its end without reaching the failure.  `fn` must cope with
 * ENOMEM from whatever it calls and give back all it holds: anything left
 * alive fails the test.  Needs cmocka.h.
 */
#define OOM_SWEEP(fn)                                           \
	do {                                                    \
		int64_t oom_n = 0;                              \
		int oom_hit;                                    \
                                                                \
		do {                                            \
			int64_t oom_live = mem_live();          \
                                                                \
			mem_fail_after(oom_n);                  \
			fn();                                   \
			oom_hit = mem_fail_happened();          \
			mem_fail_after(-1);                     \
			assert_int_equal(mem_live(), oom_live); \
		} while (oom_hit && ++oom_n < OOM_SWEEP_MAX);   \
		assert_true(oom_n < OOM_SWEEP_MAX);             \
	} while (0)

#endif
