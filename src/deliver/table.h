/**
 * deliver/table.h -- many small members by number: pages of them, and an
 * index by key that costs 4 to 8 bytes a member.
 *
 * Numbers are 32 bits, from 1; 0 is none.  A member stays where it is until
 * it is freed, so pointers to it are good until then.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_TABLE_H
#define DELIVER_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum { POOL_PAGE = 1024 };

/** Members of one size.  A free one's first 4 bytes are its link. */
struct pool {
	uint8_t **pages;
	uint32_t n_pages, cap_pages;
	uint32_t free; /* first free member */
	uint32_t n;    /* in use */
	size_t len;    /* of a member [bytes] */
};

void pool_init(struct pool *p, size_t len);
/** Free everything. */
void pool_fini(struct pool *p);
/** A zeroed member's number; 0 when out of memory. */
MUST_CHECK uint32_t pool_take(struct pool *p);
/** Give one back, zeroed (but for its link).  A pool that
 *  was large and is empty now is freed. */
void pool_give(struct pool *p, uint32_t i);
void *pool_at(const struct pool *p, uint32_t i);
/** Numbers run from 1 to this; not all are in use. */
uint32_t pool_last(const struct pool *p);

/** Key -> number.  The key is in the member: `hash` finds it again. */
struct index {
	uint32_t *slots;
	size_t n_slots; /* a power of two, or 0 */
	size_t n;
	uint64_t (*hash)(const struct pool *members, uint32_t i);
	const struct pool *members;
};

void index_init(struct index *x, const struct pool *members,
		uint64_t (*hash)(const struct pool *members, uint32_t i));
void index_fini(struct index *x);
/** Make room for one more.  Returns 0 or ENOMEM. */
MUST_CHECK int index_reserve(struct index *x);
/** Add a member (index_reserve was called; its key is not there). */
void index_add(struct index *x, uint32_t i);
/** Take a member out; it must be there (asserted). */
void index_remove(struct index *x, uint32_t i);
/**
 * Walk the members whose hash may be `hash`: start with *at 0.
 * Returns 0 at the end.
 */
uint32_t index_next(const struct index *x, uint64_t hash, size_t *at);

#endif
