/**
 * base/buf.h -- a growable run of bytes with a limit.
 *
 * The limit is stated once, at init.  An append that would pass it, or that
 * finds no memory, changes nothing and sets `err`; every later append then
 * does nothing.  So a writer appends freely and checks `buf_err` once.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct buf {
	uint8_t *data; /* len bytes and a NUL behind them, or NULL */
	size_t len;    /* [bytes] */
	size_t cap;    /* [bytes] */
	size_t max;    /* [bytes] */
	int err;       /* 0, ENOMEM or EMSGSIZE */
	bool is_secret;
};

/** Make `b` empty; it may grow to `max` bytes.  Allocates nothing. */
void buf_init(struct buf *b, size_t max);

/** As buf_init; whatever memory it leaves, growing or in the end, is
 *  overwritten first. */
void buf_init_secret(struct buf *b, size_t max);

/** Free the bytes; `b` is empty and usable again. */
void buf_fini(struct buf *b);

/** Forget the bytes and the error, keep the memory. */
void buf_clear(struct buf *b);

void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/** 0, or the first error since init, clear or fini. */
MUST_CHECK int buf_err(const struct buf *b);

/** The bytes as a string; "" when empty.  Valid until the next append. */
const char *buf_str(const struct buf *b);

/** Hand the bytes (NUL-terminated) to the caller, who frees them. */
MUST_CHECK char *buf_take(struct buf *b);

#endif
