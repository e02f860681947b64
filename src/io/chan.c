/**
 * io/chan.c -- a bounded queue of records between threads.
 *
 * WHAT  A ring of bytes, made once: each record is its length (4 bytes, host
 *       order) and its bytes, both of which may go round the end.
 * WHY   Sound goes to the disk without an allocation a packet, and a disk
 *       that hangs costs a fixed amount of memory.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "io/wait.h"

struct chan {
	struct wait wait;
	uint8_t *ring;
	size_t cap; /* [bytes] */

	/* under the lock */
	size_t from; /* where the oldest record begins */
	size_t used; /* [bytes] with the lengths */
	bool shut;
};

int chan_new(size_t max_bytes, struct chan **out)
{
	struct chan *c = mem_zalloc(sizeof(*c));
	int err;

	assert(max_bytes > sizeof(uint32_t));
	if (!c)
		return ENOMEM;
	c->cap = max_bytes;
	c->ring = mem_zalloc(max_bytes);
	err = c->ring ? wait_init(&c->wait) : ENOMEM;
	if (err) {
		mem_free(c->ring);
		mem_free(c);
		return err;
	}
	*out = c;
	return 0;
}

void chan_free(struct chan *c)
{
	if (!c)
		return;
	wait_fini(&c->wait);
	mem_free(c->ring);
	mem_free(c);
}

static void push(struct chan *c, const void *data, size_t len)
{
	size_t at = (c->from + c->used) % c->cap;
	size_t first = len < c->cap - at ? len : c->cap - at;

	memcpy(c->ring + at, data, first);
	memcpy(c->ring, (const uint8_t *)data + first, len - first);
	c->used += len;
}

/** How many of the next `len` bytes lie before the end of the ring? */
static size_t before_end(const struct chan *c, size_t len)
{
	return len < c->cap - c->from ? len : c->cap - c->from;
}

static void skip(struct chan *c, size_t len)
{
	c->from = (c->from + len) % c->cap;
	c->used -= len;
}

bool chan_put(struct chan *c, const void *data, size_t len)
{
	const uint32_t head = (uint32_t)len;
	bool fits;

	wait_lock(&c->wait);
	fits = !c->shut && c->cap - c->used >= sizeof(head) &&
	       len <= c->cap - c->used - sizeof(head) && len <= UINT32_MAX;
	if (fits) {
		push(c, &head, sizeof(head));
		if (len)
			push(c, data, len);
		wait_wake(&c->wait);
	}
	wait_unlock(&c->wait);
	return fits;
}

static void pop(struct chan *c, struct buf *b)
{
	uint32_t len;
	size_t first = before_end(c, sizeof(len));

	assert(c->used >= sizeof(len));
	memcpy(&len, c->ring + c->from, first);
	memcpy((uint8_t *)&len + first, c->ring, sizeof(len) - first);
	skip(c, sizeof(len));
	assert(c->used >= len);
	first = before_end(c, len);
	buf_append(b, c->ring + c->from, first);
	buf_append(b, c->ring, len - first);
	skip(c, len);
}

bool chan_take(struct chan *c, struct buf *b, int64_t wait_us)
{
	int64_t deadline_us = wait_us ? wait_deadline(wait_us) : 0;
	bool got;

	buf_clear(b);
	wait_lock(&c->wait);
	while (!c->used && !c->shut && wait_us) {
		if (!wait_until(&c->wait, deadline_us))
			break;
	}
	got = c->used > 0;
	if (got)
		pop(c, b);
	wait_unlock(&c->wait);
	return got;
}

void chan_shut(struct chan *c)
{
	wait_lock(&c->wait);
	c->shut = true;
	wait_wake_all(&c->wait);
	wait_unlock(&c->wait);
}
