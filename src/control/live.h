/**
 * control/live.h -- what the rooms are like now, some times a second, as
 * server-sent events: for the console.
 *
 * WHAT    Clients that look: each is sent the whole state of the rooms that
 *         its search lets through, when that has changed, and every 5 s.
 * DESIGN
 *   - A timer runs while somebody looks, and only then.
 *   - A state is not kept: a client that is slow gets the next one when it has
 *     taken the last.  One that takes nothing for 30 s is ended.
 *   - At most LIVE_ROOMS rooms and LIVE_INPUTS inputs are in a state; `total`
 *     says how many there are.
 *
 * Private to control/ and its tests.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_LIVE_H
#define CONTROL_LIVE_H

#include "rooms/rooms.h"

enum {
	LIVE_MAX = 32, /* clients */
	LIVE_ROOMS = 100,
	LIVE_INPUTS = 500,
	LIVE_SEARCH_MAX = 128 /* bytes */
};

struct live_config {
	struct loop *loop;
	struct rooms *rooms;
	/** Another when settings of an app or endpoint have changed. */
	uint64_t (*settings)(void *arg); /* NULL: nobody can tell */
	void *arg;
	unsigned max;	  /* clients at a time; 0: LIVE_MAX */
	int64_t stall_us; /* 0: 30 s */
};

struct live;

/** Nobody looks yet.  Returns 0 or ENOMEM. */
MUST_CHECK int live_new(const struct live_config *config, struct live **out);
/** End all streams in good order: their clients come back. */
void live_stop(struct live *l);
/** All streams have ended (live_stop, http_server_close).  NULL is fine. */
void live_free(struct live *l);

/** Is there room for another? */
bool live_has_room(const struct live *l);

/**
 * Answer with a stream (or 503 when out of memory).
 *
 * search   rooms of whose name, or one of whose users' names, this is a part
 *          (ASCII: in any case); "": all.  At most LIVE_SEARCH_MAX.  Copied
 */
void live_begin(struct live *l, struct http_request *r, const char *search);

#endif
