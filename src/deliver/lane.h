/**
 * deliver/lane.h -- the pending deliveries in memory: records, in lanes,
 * with their due times in one heap.
 *
 * A record costs 64 bytes and some 10 of index and heap; a lane 24 and 8.
 *
 *	ordered record   in its lane's list, by id; only the head is scheduled
 *	loose record     late, or of an endpoint without order: by itself
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_LANE_H
#define DELIVER_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "deliver/table.h"

enum record_state {
	RECORD_FREE,
	RECORD_IDLE,   /* ordered, behind its lane's head */
	RECORD_WAIT,   /* in the heap until due */
	RECORD_READY,  /* due: in its endpoint's queue */
	RECORD_FLYING, /* an attempt is under way or its facts are read */
	RECORD_SAVING, /* its outcome is being committed */
	RECORD_RESAVE  /* in the heap: the commit failed, again when due */
};

/** A pending delivery. */
struct record {
	uint64_t id;
	uint64_t event;
	int64_t due_us;
	int64_t created_us; /* monotonic; may be negative */
	uint32_t lane;
	uint32_t next, prev; /* ordered: in the lane */
	union {
		uint32_t heap_at;    /* wait, resave: place, from 1 */
		uint32_t ready_next; /* ready */
	};
	uint32_t ready_prev;
	uint32_t attempts; /* of this budget */
	uint32_t ever;	   /* attempts of all budgets */
	uint8_t state;	   /* enum record_state */
	bool late;
	bool ordered;
};

struct lane {
	uint64_t id;
	uint32_t endpoint; /* its number in the engine */
	uint32_t head, tail;
	uint32_t n; /* records, ordered and loose */
};

struct lanes {
	struct pool records, lanes;
	struct index by_id, by_key;
	uint32_t *heap; /* from 0 here; heap_at counts from 1 */
	size_t n_heap, cap_heap;
};

void lanes_init(struct lanes *ls);
void lanes_fini(struct lanes *ls);

struct record *lanes_record(const struct lanes *ls, uint32_t r);
struct lane *lanes_lane(const struct lanes *ls, uint32_t l);
/** The record of a delivery, 0: none. */
uint32_t lanes_find(const struct lanes *ls, uint64_t id);

/**
 * Make a record (idle, loose) in the lane (endpoint, lane), which is made
 * when it is not there.  Returns its number, or 0 when out of memory.
 */
MUST_CHECK uint32_t lanes_add(struct lanes *ls, uint64_t id, uint32_t endpoint,
			      uint64_t lane);
/** Free a record that is in no heap, queue or order; and its lane with the
 *  last one. */
void lanes_remove(struct lanes *ls, uint32_t r);

/**
 * Put a loose record into its lane's order, by id; never before a head that
 * is past waiting.  The head of the lane may be another afterwards.
 */
void lane_order(struct lanes *ls, uint32_t r);
/** Take it out of the order (it is loose then).  Loose: nothing. */
void lane_loosen(struct lanes *ls, uint32_t r);

/** Put a record into the heap by its due_us.  Never fails. */
void heap_put(struct lanes *ls, uint32_t r);
void heap_take(struct lanes *ls, uint32_t r);
/** The record that is due first, 0: none. */
uint32_t heap_first(const struct lanes *ls);

#endif
