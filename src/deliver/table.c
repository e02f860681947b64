/**
 * deliver/table.c -- many small members by number.
 *
 * DESIGN  The index is open addressing with linear probing; a removal moves
 *         the followers back, so there are no tombstones.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum {
	FIRST_SLOTS = 64,
	FIRST_PAGES = 16,
	/* An empty table keeps this much, so that one member that comes and
	 * goes costs no allocation. */
	KEEP_PAGES = 1,
	KEEP_SLOTS = 2 * POOL_PAGE
};

void pool_init(struct pool *p, size_t len)
{
	assert(len >= sizeof(uint32_t));
	*p = (struct pool){.len = len};
}

void pool_fini(struct pool *p)
{
	for (uint32_t i = 0; i < p->n_pages; i++)
		mem_free(p->pages[i]);
	mem_free(p->pages);
	pool_init(p, p->len);
}

void *pool_at(const struct pool *p, uint32_t i)
{
	assert(i > 0 && (i - 1) / POOL_PAGE < p->n_pages);
	return p->pages[(i - 1) / POOL_PAGE] + (i - 1) % POOL_PAGE * p->len;
}

uint32_t pool_last(const struct pool *p)
{
	return p->n_pages * POOL_PAGE;
}

static int add_page(struct pool *p)
{
	uint8_t *page;

	if (p->n_pages == p->cap_pages) {
		uint32_t cap = p->cap_pages ? 2 * p->cap_pages : FIRST_PAGES;
		uint8_t **pages;

		if (cap > UINT32_MAX / 2 / POOL_PAGE)
			return ENOMEM;
		pages = mem_realloc(p->pages, cap * sizeof(*pages));
		if (!pages)
			return ENOMEM;
		p->pages = pages;
		p->cap_pages = cap;
	}
	page = mem_zalloc_n(POOL_PAGE, p->len);
	if (!page)
		return ENOMEM;
	p->pages[p->n_pages++] = page;
	for (uint32_t i = pool_last(p); i > pool_last(p) - POOL_PAGE; i--) {
		memcpy(pool_at(p, i), &p->free, sizeof(p->free));
		p->free = i;
	}
	return 0;
}

uint32_t pool_take(struct pool *p)
{
	uint32_t i;
	void *m;

	if (!p->free && add_page(p))
		return 0;
	i = p->free;
	m = pool_at(p, i);
	memcpy(&p->free, m, sizeof(p->free));
	memset(m, 0, sizeof(p->free));
	p->n++;
	return i;
}

void pool_give(struct pool *p, uint32_t i)
{
	void *m = pool_at(p, i);

	assert(p->n > 0);
	p->n--;
	if (!p->n && p->n_pages > KEEP_PAGES) {
		pool_fini(p);
		return;
	}
	memset(m, 0, p->len);
	memcpy(m, &p->free, sizeof(p->free));
	p->free = i;
}

void index_init(struct index *x, const struct pool *members,
		uint64_t (*hash)(const struct pool *members, uint32_t i))
{
	*x = (struct index){.hash = hash, .members = members};
}

void index_fini(struct index *x)
{
	mem_free(x->slots);
	index_init(x, x->members, x->hash);
}

void index_add(struct index *x, uint32_t i)
{
	size_t mask = x->n_slots - 1;
	size_t at = x->hash(x->members, i) & mask;

	assert(x->n < x->n_slots);
	while (x->slots[at])
		at = (at + 1) & mask;
	x->slots[at] = i;
	x->n++;
}

int index_reserve(struct index *x)
{
	struct index bigger = *x;

	if (x->n + 1 <= x->n_slots / 4 * 3)
		return 0;
	bigger.n = 0;
	bigger.n_slots = x->n_slots ? 2 * x->n_slots : FIRST_SLOTS;
	bigger.slots = mem_zalloc_n(bigger.n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return ENOMEM;
	for (size_t k = 0; k < x->n_slots; k++)
		if (x->slots[k])
			index_add(&bigger, x->slots[k]);
	mem_free(x->slots);
	*x = bigger;
	return 0;
}

/** Fill the hole at `hole` with the next member that may stand there. */
static void close_hole(struct index *x, size_t hole)
{
	size_t mask = x->n_slots - 1;

	for (size_t at = (hole + 1) & mask; x->slots[at];
	     at = (at + 1) & mask) {
		size_t home = x->hash(x->members, x->slots[at]) & mask;

		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		x->slots[hole] = x->slots[at];
		hole = at;
	}
	x->slots[hole] = 0;
}

void index_remove(struct index *x, uint32_t i)
{
	size_t mask = x->n_slots - 1;
	size_t at;

	assert(x->n > 0);
	at = x->hash(x->members, i) & mask;
	while (x->slots[at] != i) {
		assert(x->slots[at]);
		at = (at + 1) & mask;
	}
	close_hole(x, at);
	x->n--;
	if (!x->n && x->n_slots > KEEP_SLOTS)
		index_fini(x);
}

uint32_t index_next(const struct index *x, uint64_t hash, size_t *at)
{
	size_t mask = x->n_slots - 1;

	if (!x->n_slots || *at == x->n_slots)
		return 0;
	return x->slots[(hash + (*at)++) & mask];
}
