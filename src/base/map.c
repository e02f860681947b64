/** base/map.c -- hash table whose nodes live in its members. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

enum { FIRST_BUCKETS = 16 };

static uint64_t hash_seed(void)
{
	static _Atomic uint64_t seed;
	uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
	uint64_t none = 0;

	if (s)
		return s;
	if (getrandom(&s, sizeof(s), 0) != sizeof(s) || !s)
		s = 0x9e3779b97f4a7c15U ^ (uintptr_t)&seed;
	if (!atomic_compare_exchange_strong(&seed, &none, s))
		s = none;
	return s;
}

/* A multiply-and-fold hash (the mum construction): fast for short keys, and
 * unpredictable to whoever does not know the seed. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 p = (unsigned __int128)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t map_hash(const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t h = hash_seed() ^ (len * 0x9e3779b97f4a7c15U);
	uint64_t w;

	for (; len >= 8; len -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = fold(h ^ w, 0xbf58476d1ce4e5b9U);
	}
	w = 0;
	memcpy(&w, p, len);
	return fold(h ^ w ^ 0x94d049bb133111ebU, 0xd6e8feb86659fd93U);
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_fini(struct map *m)
{
	mem_free(m->buckets);
	map_init(m);
}

struct map_node *map_find(const struct map *m, const void *key, size_t len)
{
	uint64_t h = map_hash(key, len);
	struct map_node *n;

	if (!m->n_buckets)
		return NULL;
	for (n = m->buckets[h & (m->n_buckets - 1)]; n; n = n->next) {
		if (n->hash == h && n->key_len == len &&
		    (!len || !memcmp(n->key, key, len)))
			return n;
	}
	return NULL;
}

static int grow(struct map *m)
{
	size_t n = m->n_buckets ? m->n_buckets * 2 : FIRST_BUCKETS;
	struct map_node **buckets = mem_zalloc_n(n, sizeof(*buckets));

	if (!buckets)
		return ENOMEM;
	for (size_t i = 0; i < m->n_buckets; i++) {
		struct map_node *next;

		for (struct map_node *x = m->buckets[i]; x; x = next) {
			next = x->next;
			x->next = buckets[x->hash & (n - 1)];
			buckets[x->hash & (n - 1)] = x;
		}
	}
	mem_free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n;
	return 0;
}

int map_add(struct map *m, struct map_node *node, const void *key, size_t len)
{
	struct map_node **bucket;
	int err;

	assert(!map_find(m, key, len));
	if (m->n >= m->n_buckets) {
		err = grow(m);
		if (err)
			return err;
	}
	*node = (struct map_node){
		.key = key, .key_len = len, .hash = map_hash(key, len)};
	bucket = &m->buckets[node->hash & (m->n_buckets - 1)];
	node->next = *bucket;
	*bucket = node;
	m->n++;
	return 0;
}

void map_remove(struct map *m, struct map_node *node)
{
	struct map_node **at;

	assert(m->n_buckets);
	at = &m->buckets[node->hash & (m->n_buckets - 1)];
	while (*at && *at != node)
		at = &(*at)->next;
	assert(*at == node);
	*at = node->next;
	node->next = NULL;
	m->n--;
}

struct map_node *map_next(const struct map *m, const struct map_node *node)
{
	size_t i = 0;

	if (node && node->next)
		return node->next;
	if (node)
		i = (node->hash & (m->n_buckets - 1)) + 1;
	for (; i < m->n_buckets; i++) {
		if (m->buckets[i])
			return m->buckets[i];
	}
	return NULL;
}
