/** intake/ring.c -- packets that wait for their turn, in order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/ring.h"

#include <assert.h>
#include <stddef.h>

#include "base/mem.h"

static struct ring_packet *packet_of(struct link *l)
{
	return CONTAINER_OF(l, struct ring_packet, link);
}

void ring_init(struct ring *r)
{
	*r = (struct ring){0};
	list_init(&r->packets);
	list_init(&r->spare);
}

static void free_all(struct link *head)
{
	LIST_EACH(head, l, after)
	{
		list_remove(l);
		mem_free(packet_of(l));
	}
}

void ring_fini(struct ring *r)
{
	free_all(&r->packets);
	free_all(&r->spare);
	ring_init(r);
}

struct ring_packet *ring_take(struct ring *r)
{
	struct link *l = list_first(&r->spare);
	struct ring_packet *p;

	if (l) {
		list_remove(l);
		r->n_spare--;
		return packet_of(l);
	}
	if (ring_is_full(r))
		return NULL;
	p = mem_zalloc(sizeof(*p));
	if (p)
		r->n_slots++;
	return p;
}

bool ring_is_full(const struct ring *r)
{
	return r->n_spare == 0 && r->n_slots >= RING_PACKETS;
}

struct ring_packet *ring_until(const struct ring *r, uint32_t stream,
			       int64_t seq)
{
	/* From the end: packets mostly come in order. */
	for (struct link *at = r->packets.prev; at != &r->packets;
	     at = at->prev) {
		struct ring_packet *p = packet_of(at);

		if (p->stream < stream ||
		    (p->stream == stream && p->seq <= seq))
			return p;
	}
	return NULL;
}

void ring_insert(struct ring *r, struct ring_packet *p)
{
	struct ring_packet *at = ring_until(r, p->stream, p->seq);

	list_prepend(at ? &at->link : &r->packets, &p->link);
	r->n++;
	if (!at || at->stream != p->stream || at->seq != p->seq)
		return;
	assert(at->redundant);
	list_remove(&at->link);
	r->n--;
	ring_release(r, at);
}

void ring_release(struct ring *r, struct ring_packet *p)
{
	if (r->n == 0 && r->n_spare >= RING_KEEP) {
		mem_free(p);
		r->n_slots--;
		return;
	}
	list_prepend(&r->spare, &p->link);
	r->n_spare++;
}

struct ring_packet *ring_first(const struct ring *r)
{
	struct link *l = list_first(&r->packets);

	return l ? packet_of(l) : NULL;
}

struct ring_packet *ring_next(const struct ring *r, const struct ring_packet *p)
{
	return p->link.next == &r->packets ? NULL : packet_of(p->link.next);
}

/* Nothing waits: what a burst needed can go. */
static void shrink(struct ring *r)
{
	while (r->n_spare > RING_KEEP) {
		struct link *l = list_first(&r->spare);

		list_remove(l);
		mem_free(packet_of(l));
		r->n_spare--;
		r->n_slots--;
	}
}

void ring_pop(struct ring *r)
{
	struct ring_packet *p = ring_first(r);

	assert(p);
	list_remove(&p->link);
	r->n--;
	ring_release(r, p);
	if (r->n == 0)
		shrink(r);
}
