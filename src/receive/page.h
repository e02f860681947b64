/**
 * receive/page.h -- what the receiver shows: the live page, recordings, and a
 * stream of events; private to receive/.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECEIVE_PAGE_H
#define RECEIVE_PAGE_H

#include <jansson.h>

#include "base/attr.h"
#include "io/io.h"
#include "receive/recordings.h"
#include "store/store.h"

/* ---- page.c ---------------------------------------------------------------- */

/** Answer with a file of the live page; false: it has none of this path. */
bool page_reply_file(struct http_request *r);

/** Answer GET /v1/recordings. */
void page_reply_recordings(struct http_request *r,
			   struct recordings *recordings);

/* ---- stream.c: GET /v1/events ------------------------------------------------ */

/** Everybody who listens, and what was refused of late. */
struct streams;

enum {
	STREAMS_MAX = 32,	  /* who may listen at a time */
	STREAMS_REFUSED_MAX = 100 /* refused requests that are kept */
};

/**
 * last_id   of the newest event in the store, 0: there is none
 * Returns 0 or ENOMEM.  Thread: the loop's, as all below.
 */
MUST_CHECK int streams_new(struct loop *loop, struct store *store,
			   uint64_t last_id, struct streams **out);
/** After the HTTP server has closed.  NULL is fine. */
void streams_free(struct streams *s);

/**
 * Answer with the events after a cursor, from the store and then as they
 * come, each once and in order of their ids; or with a problem.
 */
void streams_open(struct streams *s, struct http_request *r);

/**
 * An event is in the store: ids only ever grow from call to call, and what is
 * in the store already at the call has no bigger one that is told later.
 *
 * event, line   the same, as JSON and as text
 */
void streams_event(struct streams *s, uint64_t id, const json_t *event,
		   const char *line);

/** A request was refused: shown to who listens, kept for a while in memory.
 *  `peer` may be NULL. */
void streams_refused(struct streams *s, int status, const char *why,
		     const struct addr *peer);

#endif
