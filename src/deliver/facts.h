/** deliver/facts.h -- facts of fresh events, so that a delivery that works
 *  at once needs no read.  Bounded; the least recently used go first. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_FACTS_H
#define DELIVER_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

struct facts {
	struct map_node node;
	struct link link; /* oldest use first; off the list while pinned */
	uint64_t event;
	uint64_t task_seq;
	unsigned wanted; /* deliveries that have not ended */
	unsigned pins;	 /* attempts that read it now */
	size_t len;
	char text[]; /* len bytes and a NUL */
};

struct facts_cache {
	struct map map;
	struct link unpinned;
	size_t bytes, max_bytes;
};

void facts_init(struct facts_cache *c, size_t max_bytes);
/** Nothing may be pinned. */
void facts_fini(struct facts_cache *c);
/** Keep a copy for `wanted` deliveries; no memory or no room is fine. */
void facts_put(struct facts_cache *c, uint64_t event, uint64_t task_seq,
	       const char *text, size_t len, unsigned wanted);
/** Get and hold, NULL: not here. */
struct facts *facts_pin(struct facts_cache *c, uint64_t event);
/** Let go; NULL is fine. */
void facts_unpin(struct facts_cache *c, struct facts *f);
/** A delivery of this event has ended. */
void facts_unwant(struct facts_cache *c, uint64_t event);

#endif
