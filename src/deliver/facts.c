/** deliver/facts.c -- facts of fresh events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/facts.h"

#include <assert.h>
#include <string.h>

#include "base/attr.h"
#include "base/mem.h"

static size_t cost(size_t len)
{
	return sizeof(struct facts) + len + 1;
}

void facts_init(struct facts_cache *c, size_t max_bytes)
{
	*c = (struct facts_cache){.max_bytes = max_bytes};
	map_init(&c->map);
	list_init(&c->unpinned);
}

static void drop(struct facts_cache *c, struct facts *f)
{
	assert(!f->pins);
	list_remove(&f->link);
	map_remove(&c->map, &f->node);
	c->bytes -= cost(f->len);
	mem_free(f);
}

void facts_fini(struct facts_cache *c)
{
	LIST_EACH(&c->unpinned, l, after)
	drop(c, CONTAINER_OF(l, struct facts, link));
	assert(!c->map.n);
	map_fini(&c->map);
}

static struct facts *find(const struct facts_cache *c, uint64_t event)
{
	struct map_node *n = map_find(&c->map, &event, sizeof(event));

	return n ? CONTAINER_OF(n, struct facts, node) : NULL;
}

static void make_room(struct facts_cache *c, size_t len)
{
	struct link *oldest = list_first(&c->unpinned);

	while (oldest && c->bytes + cost(len) > c->max_bytes) {
		drop(c, CONTAINER_OF(oldest, struct facts, link));
		oldest = list_first(&c->unpinned);
	}
}

void facts_put(struct facts_cache *c, uint64_t event, uint64_t task_seq,
	       const char *text, size_t len, unsigned wanted)
{
	struct facts *f = find(c, event);

	if (f) {
		f->wanted += wanted;
		return;
	}
	make_room(c, len);
	if (!wanted || c->bytes + cost(len) > c->max_bytes)
		return;
	f = mem_zalloc(cost(len));
	if (!f)
		return;
	f->event = event;
	f->task_seq = task_seq;
	f->wanted = wanted;
	f->len = len;
	if (len)
		memcpy(f->text, text, len);
	if (map_add(&c->map, &f->node, &f->event, sizeof(f->event))) {
		mem_free(f);
		return;
	}
	list_append(&c->unpinned, &f->link);
	c->bytes += cost(len);
}

struct facts *facts_pin(struct facts_cache *c, uint64_t event)
{
	struct facts *f = find(c, event);

	if (!f)
		return NULL;
	f->pins++;
	list_remove(&f->link);
	return f;
}

static void drop_if_unused(struct facts_cache *c, struct facts *f)
{
	if (f->pins)
		return;
	if (!f->wanted)
		drop(c, f);
	else if (!link_is_on_list(&f->link))
		list_append(&c->unpinned, &f->link);
}

void facts_unpin(struct facts_cache *c, struct facts *f)
{
	if (!f)
		return;
	assert(f->pins > 0);
	f->pins--;
	drop_if_unused(c, f);
}

void facts_unwant(struct facts_cache *c, uint64_t event)
{
	struct facts *f = find(c, event);

	if (!f)
		return;
	if (f->wanted)
		f->wanted--;
	drop_if_unused(c, f);
}
