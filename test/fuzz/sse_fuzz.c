/** test/fuzz/sse_fuzz.c -- server-sent events as any server may send them:
 *  the same blocks, however they are cut. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sse.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LIMIT = 512 };

static int on_block(const struct sse_block *b, void *arg)
{
	struct buf *seen = arg;

	assert(strlen(b->id) < SSE_ID_MAX && strlen(b->name) < SSE_NAME_MAX);
	assert(b->len <= LIMIT && (b->data || !b->len));
	buf_puts(seen, b->id);
	buf_puts(seen, b->name);
	buf_append(seen, b->data ? b->data : "-", b->len);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct sse_reader whole, pieces;
	struct buf first, second;
	int err, again = 0;

	buf_init(&first, 1U << 24);
	buf_init(&second, 1U << 24);
	sse_init(&whole, LIMIT);
	sse_init(&pieces, LIMIT);
	err = sse_read(&whole, data, len, on_block, &first);
	for (size_t at = 0; !again && at < len; at++)
		again = sse_read(&pieces, data + at, 1, on_block, &second);
	assert(err == again);
	assert(first.len == second.len &&
	       !memcmp(buf_str(&first), buf_str(&second), first.len));
	sse_fini(&whole);
	sse_fini(&pieces);
	buf_fini(&first);
	buf_fini(&second);
	return 0;
}
