/**
 * base/mem.h -- all allocation goes through here.
 *
 * A test can make the n-th allocation fail (`mem_fail_after`), so that every
 * error path of every module is walked.  Nothing here aborts: a NULL result
 * is the caller's error to handle (ENOMEM).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/** Allocate `len` zeroed bytes (len > 0).  Returns NULL when out of memory. */
MUST_CHECK void *mem_zalloc(size_t len);

/** Allocate `n` zeroed elements of `len` bytes; NULL also on overflow. */
MUST_CHECK void *mem_zalloc_n(size_t n, size_t len);

/** Change the size of `p` (NULL: allocate); on NULL, `p` is unchanged. */
MUST_CHECK void *mem_realloc(void *p, size_t len);

/** Copy a string.  `s` may be NULL, then NULL is returned. */
MUST_CHECK char *mem_strdup(const char *s);

/** Copy `len` bytes and put a NUL behind them. */
MUST_CHECK char *mem_strndup(const char *s, size_t len);

/** Free; NULL is fine. */
void mem_free(void *p);

/** Overwrite a secret so that the compiler cannot leave the step out. */
void mem_wipe(void *p, size_t len);

/** Wipe and free a NUL-terminated secret; NULL is fine. */
void mem_free_secret(char *s);

/** Wipe all of a block of mem_*, whatever is in it, and free it; NULL is fine.
 *  For who does not know how much of it is secret (jansson). */
void mem_free_wiped(void *p);

/**
 * Tests only: let `n` more allocations succeed, then fail one, then go on.
 * A negative n switches it off.  Thread: any, but set before threads start.
 */
void mem_fail_after(int64_t n);

/** Tests only: has the armed failure happened? */
int mem_fail_happened(void);

/** Allocations that are alive now; tests and `/metrics` look at it. */
int64_t mem_live(void);

#endif
