/**
 * wire/sse.h -- reading server-sent events, piece by piece.
 *
 * Source: HTML Living Standard, section 9.2.6 "Interpreting an event stream".
 * `retry` is read over; a byte order mark is not expected.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"

enum { SSE_ID_MAX = 64, SSE_NAME_MAX = 64 };

/** A block, whole; its strings are the reader's. */
struct sse_block {
	const char *id;	  /* the last one that came, "" before the first */
	const char *name; /* "message" when it has none */
	const char *data; /* len bytes and a NUL; NULL: it has none, and tells
			     an id only */
	size_t len;
};

/** Takes a block; an errno ends the reading. */
typedef int(sse_block_fn)(const struct sse_block *block, void *arg);

struct sse_reader {
	struct buf line, data; /* as far as they came */
	char id[SSE_ID_MAX];
	char name[SSE_NAME_MAX];
	bool has_data, has_id; /* of this block */
	bool after_cr;	       /* an LF belongs to the CR before it */
};

/** max: bytes of a line and of a block's data.  Allocates nothing. */
void sse_init(struct sse_reader *r, size_t max);
void sse_fini(struct sse_reader *r);

/**
 * Read on.  Blocks go to `fn` as their end comes; what has no data and no id
 * goes nowhere.
 *
 * Returns 0, EMSGSIZE (a line or data over max, an id or a name that is too
 * long), ENOMEM, or what `fn` returned; then the reader is done with.
 */
MUST_CHECK int sse_read(struct sse_reader *r, const void *bytes, size_t len,
			sse_block_fn *fn, void *arg);

#endif
