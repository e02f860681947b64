/**
 * control/follow.h -- the log of events as server-sent events.
 *
 * WHAT    Clients that follow: each has a cursor, the id of an event, and is
 *         sent what comes after it: pages from the store, then what is
 *         committed, as it is.
 * WHY     Whoever comes back with the last id it saw has missed nothing.
 * DESIGN
 *   - Always read from the store, never handed on from memory: a client that
 *     is slow is behind, and costs a page of memory.
 *   - Never past notify_log_end: ids are not committed in their order.
 *   - A page is asked for when the one before has gone to the socket.  A
 *     client that takes nothing for `stall_us` is sent `event: cut` with the
 *     reason, and ended.
 *   - A cursor that was told is one that the database knows: an id that is
 *     given again by a later process was never told.
 *
 *   READING -> (sent) DRAINING -> RESTING (20 ms) -> READING ... -> waits to
 *   be woken
 *
 * Private to control/ and its tests.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_FOLLOW_H
#define CONTROL_FOLLOW_H

#include "notify/notify.h"
#include "store/store.h"

struct follow_config {
	struct loop *loop;
	struct store *store;
	struct notify *notify;
	unsigned max;	  /* streams at a time; 0: FOLLOW_MAX */
	int64_t stall_us; /* 0: 30 s */
	uint64_t window;  /* ids one query looks at; 0: 50,000 */
};

enum { FOLLOW_MAX = 64 };

struct follow;

/** Nobody follows yet.  Takes notify_log_watch.  Returns 0 or ENOMEM. */
MUST_CHECK int follow_new(const struct follow_config *config,
			  struct follow **out);
/** End all streams in good order: their clients come back. */
void follow_stop(struct follow *f);
/** All streams have ended (follow_stop, http_server_close).  NULL is fine. */
void follow_free(struct follow *f);

/** Is there room for another? */
bool follow_has_room(const struct follow *f);

/** The newest event there is to follow from: "from now on". */
uint64_t follow_now(const struct follow *f);

/**
 * Answer with a stream (or 503 when out of memory).
 *
 * filter   app, task, room, kinds; `after` is where to begin.  Copied.
 */
void follow_begin(struct follow *f, struct http_request *r,
		  const struct store_filter *filter);

#endif
