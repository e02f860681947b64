/** base/attr.h -- words for the compiler. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

/** The caller must look at the result. */
#define MUST_CHECK __attribute__((warn_unused_result))

/** printf-like: format is argument `f`, the values start at `a`. */
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/** Elements of an array (not of a pointer). */
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/** The struct of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
