/** deliver/lane.c -- the pending deliveries in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/lane.h"

#include <assert.h>
#include <errno.h>

#include "base/map.h"
#include "base/mem.h"

enum { FIRST_HEAP = 64 };

static_assert(sizeof(struct record) <= 64, "a million of them in memory");
static_assert(sizeof(struct lane) <= 24, "a million of them in memory");

static uint64_t hash_id(uint64_t id)
{
	return map_hash(&id, sizeof(id));
}

static uint64_t hash_record(const struct pool *p, uint32_t i)
{
	const struct record *r = pool_at(p, i);

	return hash_id(r->id);
}

static uint64_t hash_key(uint32_t endpoint, uint64_t id)
{
	const uint64_t key[2] = {endpoint, id};

	return map_hash(key, sizeof(key));
}

static uint64_t hash_lane(const struct pool *p, uint32_t i)
{
	const struct lane *l = pool_at(p, i);

	return hash_key(l->endpoint, l->id);
}

void lanes_init(struct lanes *ls)
{
	*ls = (struct lanes){0};
	pool_init(&ls->records, sizeof(struct record));
	pool_init(&ls->lanes, sizeof(struct lane));
	index_init(&ls->by_id, &ls->records, hash_record);
	index_init(&ls->by_key, &ls->lanes, hash_lane);
}

void lanes_fini(struct lanes *ls)
{
	index_fini(&ls->by_id);
	index_fini(&ls->by_key);
	pool_fini(&ls->records);
	pool_fini(&ls->lanes);
	mem_free(ls->heap);
	*ls = (struct lanes){0};
}

struct record *lanes_record(const struct lanes *ls, uint32_t r)
{
	return pool_at(&ls->records, r);
}

struct lane *lanes_lane(const struct lanes *ls, uint32_t l)
{
	return pool_at(&ls->lanes, l);
}

uint32_t lanes_find(const struct lanes *ls, uint64_t id)
{
	size_t at = 0;
	uint64_t hash = hash_id(id);
	uint32_t r;

	do {
		r = index_next(&ls->by_id, hash, &at);
	} while (r && lanes_record(ls, r)->id != id);
	return r;
}

/** The lane's number; made when there is none; 0: out of memory. */
static uint32_t find_lane(struct lanes *ls, uint32_t endpoint, uint64_t id)
{
	size_t at = 0;
	uint64_t hash = hash_key(endpoint, id);
	struct lane *lane;
	uint32_t l;

	while ((l = index_next(&ls->by_key, hash, &at))) {
		lane = lanes_lane(ls, l);
		if (lane->id == id && lane->endpoint == endpoint)
			return l;
	}
	if (index_reserve(&ls->by_key))
		return 0;
	l = pool_take(&ls->lanes);
	if (!l)
		return 0;
	lane = lanes_lane(ls, l);
	lane->id = id;
	lane->endpoint = endpoint;
	index_add(&ls->by_key, l);
	return l;
}

/** Room in the heap for every record, so that heap_put cannot fail. */
static int reserve_heap(struct lanes *ls)
{
	size_t cap = ls->cap_heap ? 2 * ls->cap_heap : FIRST_HEAP;
	uint32_t *heap;

	if (ls->records.n < ls->cap_heap)
		return 0;
	heap = mem_realloc(ls->heap, cap * sizeof(*heap));
	if (!heap)
		return ENOMEM;
	ls->heap = heap;
	ls->cap_heap = cap;
	return 0;
}

static void drop_lane_if_empty(struct lanes *ls, uint32_t l)
{
	if (lanes_lane(ls, l)->n)
		return;
	index_remove(&ls->by_key, l);
	pool_give(&ls->lanes, l);
}

uint32_t lanes_add(struct lanes *ls, uint64_t id, uint32_t endpoint,
		   uint64_t lane)
{
	struct record *rec;
	uint32_t l;
	uint32_t r;

	if (index_reserve(&ls->by_id) || reserve_heap(ls))
		return 0;
	l = find_lane(ls, endpoint, lane);
	if (!l)
		return 0;
	r = pool_take(&ls->records);
	if (!r) {
		drop_lane_if_empty(ls, l);
		return 0;
	}
	rec = lanes_record(ls, r);
	rec->id = id;
	rec->lane = l;
	rec->state = RECORD_IDLE;
	lanes_lane(ls, l)->n++;
	index_add(&ls->by_id, r);
	return r;
}

void lanes_remove(struct lanes *ls, uint32_t r)
{
	struct record *rec = lanes_record(ls, r);
	uint32_t l = rec->lane;

	assert(!rec->ordered);
	assert(rec->state == RECORD_IDLE || rec->state == RECORD_SAVING);
	index_remove(&ls->by_id, r);
	pool_give(&ls->records, r);
	lanes_lane(ls, l)->n--;
	drop_lane_if_empty(ls, l);
	if (!ls->records.n && ls->cap_heap > POOL_PAGE) {
		mem_free(ls->heap);
		ls->heap = NULL;
		ls->cap_heap = 0;
	}
}

static bool is_past_waiting(const struct record *rec)
{
	return rec->state != RECORD_IDLE && rec->state != RECORD_WAIT;
}

void lane_order(struct lanes *ls, uint32_t r)
{
	struct record *rec = lanes_record(ls, r);
	struct lane *lane = lanes_lane(ls, rec->lane);
	uint32_t before = lane->tail; /* the one that stands before it */

	assert(!rec->ordered);
	while (before) {
		const struct record *b = lanes_record(ls, before);

		if (b->id < rec->id ||
		    (before == lane->head && is_past_waiting(b)))
			break;
		before = b->prev;
	}
	rec->ordered = true;
	rec->prev = before;
	rec->next = before ? lanes_record(ls, before)->next : lane->head;
	if (rec->next)
		lanes_record(ls, rec->next)->prev = r;
	else
		lane->tail = r;
	if (before)
		lanes_record(ls, before)->next = r;
	else
		lane->head = r;
}

void lane_loosen(struct lanes *ls, uint32_t r)
{
	struct record *rec = lanes_record(ls, r);
	struct lane *lane = lanes_lane(ls, rec->lane);

	if (!rec->ordered)
		return;
	if (rec->prev)
		lanes_record(ls, rec->prev)->next = rec->next;
	else
		lane->head = rec->next;
	if (rec->next)
		lanes_record(ls, rec->next)->prev = rec->prev;
	else
		lane->tail = rec->prev;
	rec->ordered = false;
	rec->next = 0;
	rec->prev = 0;
}

/* ---- heap ---------------------------------------------------------------- */

/** Due first; of two at the same time the older. */
static bool is_before(const struct record *a, const struct record *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->id < b->id;
}

static void place(struct lanes *ls, size_t at, uint32_t r)
{
	ls->heap[at] = r;
	lanes_record(ls, r)->heap_at = (uint32_t)at + 1;
}

static void sift_up(struct lanes *ls, size_t at, uint32_t r)
{
	const struct record *rec = lanes_record(ls, r);

	while (at) {
		uint32_t up = ls->heap[(at - 1) / 2];

		if (!is_before(rec, lanes_record(ls, up)))
			break;
		place(ls, at, up);
		at = (at - 1) / 2;
	}
	place(ls, at, r);
}

static void sift_down(struct lanes *ls, size_t at, uint32_t r)
{
	const struct record *rec = lanes_record(ls, r);

	for (;;) {
		size_t kid = 2 * at + 1;

		if (kid >= ls->n_heap)
			break;
		if (kid + 1 < ls->n_heap &&
		    is_before(lanes_record(ls, ls->heap[kid + 1]),
			      lanes_record(ls, ls->heap[kid])))
			kid++;
		if (!is_before(lanes_record(ls, ls->heap[kid]), rec))
			break;
		place(ls, at, ls->heap[kid]);
		at = kid;
	}
	place(ls, at, r);
}

void heap_put(struct lanes *ls, uint32_t r)
{
	assert(ls->n_heap < ls->cap_heap);
	sift_up(ls, ls->n_heap++, r);
}

void heap_take(struct lanes *ls, uint32_t r)
{
	struct record *rec = lanes_record(ls, r);
	size_t at = rec->heap_at - 1;
	uint32_t last;

	assert(rec->heap_at && ls->heap[at] == r);
	rec->heap_at = 0;
	last = ls->heap[--ls->n_heap];
	if (last == r)
		return;
	if (at && is_before(lanes_record(ls, last),
			    lanes_record(ls, ls->heap[(at - 1) / 2])))
		sift_up(ls, at, last);
	else
		sift_down(ls, at, last);
}

uint32_t heap_first(const struct lanes *ls)
{
	return ls->n_heap ? ls->heap[0] : 0;
}
