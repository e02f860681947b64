/**
 * base/err.h -- an error that a person will read.
 *
 * A function that can be wrong in ways a user must understand takes a
 * `struct err *` (never NULL) beside returning its errno.  The text is one
 * line that names the field, the value's fault and what is permitted.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

struct err {
	int code;	/* errno, 0: none */
	char field[64]; /* what it is about ("rooms", "callbacks[0].url") */
	char text[400]; /* one line, no newline, no secret */
};

/** Fill `e` and return `code`, so that `return err_set(e, EINVAL, ...)`. */
int err_set(struct err *e, int code, const char *field, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/** err_set for ENOMEM, about nothing in particular. */
int err_no_memory(struct err *e);

#endif
