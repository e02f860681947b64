/** base/str.h -- text from outside into numbers, and small text helpers. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/**
 * Parse a whole decimal integer, no spaces, no sign but '-'.
 * Returns 0, EINVAL (not a number) or ERANGE (outside min..max).
 */
MUST_CHECK int str_to_i64(const char *s, int64_t min, int64_t max,
			  int64_t *value);

/** As str_to_i64 for the whole unsigned range (ids). */
MUST_CHECK int str_to_u64(const char *s, uint64_t *value);

/**
 * Parse a duration: a number and one of ms, s, m, h, d ("0s", "90m", "7d").
 * A bare 0 is allowed.  Returns 0, EINVAL or ERANGE (over 10 years).
 */
MUST_CHECK int str_to_duration_us(const char *s, int64_t *us);

/** The value of a hex digit of any case, -1: it is none. */
int str_hex_value(char c);

/** Copy with truncation; always terminates.  Returns false if cut. */
bool str_copy(char *to, size_t cap, const char *from);

/** Is `s` valid UTF-8 without control characters and NUL? */
bool str_is_clean_utf8(const char *s, size_t len);

/** Does `s` start with `prefix`? */
bool str_starts_with(const char *s, const char *prefix);

/** Are both the same text?  NULL is "". */
bool str_is_same(const char *a, const char *b);

#endif
