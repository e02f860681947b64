/**
 * base/map.h -- hash table whose nodes live in its members.
 *
 * Keys are bytes (a string without its NUL, or a number's bytes); the key is
 * not copied: it must live as long as its member is in the map.  The hash is
 * seeded at start, so strangers cannot choose collisions.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct map_node {
	struct map_node *next;
	const void *key;
	size_t key_len;
	uint64_t hash;
};

struct map {
	struct map_node **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n;	  /* members */
};

/** Make `m` empty.  Allocates nothing. */
void map_init(struct map *m);

/** Free the table; the members are the caller's. */
void map_fini(struct map *m);

/** The member with this key, or NULL. */
struct map_node *map_find(const struct map *m, const void *key, size_t len);

/**
 * Add a member; `key` must not be in the map (asserted).
 * Returns 0, or ENOMEM with the map unchanged.
 */
MUST_CHECK int map_add(struct map *m, struct map_node *node, const void *key,
		       size_t len);

/** Take a member out; it must be in the map (asserted). */
void map_remove(struct map *m, struct map_node *node);

/**
 * Walk: the first member (node NULL) or the one after `node`, or NULL.
 * `node` itself may only be removed after its follower was fetched.
 */
struct map_node *map_next(const struct map *m, const struct map_node *node);

/** Seeded hash of bytes; the same within one process only. */
uint64_t map_hash(const void *key, size_t len);

#endif
