/**
 * notify/notify.h -- events of tasks -> deliveries in their dialects.
 *
 * An event is added to the same store_write as the state change that it
 * tells of; after the commit its deliveries start.
 *
 *	notify_add(n, w, batch, &event);      any number of times
 *	store_commit(s, w, loop, done, ...);
 *	in done: notify_settled(n, batch, result)
 *
 * Every dialect gets these headers besides its own:
 *	Tapeop-Event-Id  the same on every attempt
 *	Tapeop-Sequence  of the event in its task, from 0
 *	Tapeop-Attempt   from 1
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NOTIFY_NOTIFY_H
#define NOTIFY_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "deliver/deliver.h"
#include "io/io.h"
#include "store/store.h"
#include "wire/callback.h"
#include "wire/event.h"

enum notify_verdict { NOTIFY_BY_STATUS, NOTIFY_BY_BODY };

/** One endpoint of an app as configured.  Strings are copied. */
struct notify_endpoint {
	uint32_t app;
	const char *name; /* [A-Za-z0-9_-]{1,63}, unique in the app */
	const char *url;
	enum dialect dialect;
	const char *key; /* secret; gme: SecretKey, live: token or "" */
	enum signature_encoding encoding;
	bool kinds[EVENT_KIND_N]; /* switches */
	int64_t timeout_us;	  /* 0: 5 s */
	struct deliver_retry retry;
	enum deliver_order order;
	enum notify_verdict verdict;
	int64_t expire_us; /* 0: 7 days */
	bool allow_private;
	unsigned max_in_flight; /* 1..64; 0: 16 */
	bool enabled;		/* off: no new deliveries, pending ones wait */
};

/** Stable id of an endpoint: from app and name (63 bits). */
uint64_t notify_endpoint_id(uint32_t app, const char *name);

struct notify_config {
	struct deliver_config deliver; /* its unix_ms is also the time of
					  sending */
	const char *user_agent;	       /* NULL: "tapeop" */
	unsigned max_connections; /* kept open; 0: two an attempt in flight */
};

struct notify;
struct notify_batch;

MUST_CHECK int notify_new(struct loop *loop, struct store *store,
			  struct workers *workers,
			  const struct notify_config *config,
			  struct notify **out);
void notify_free(struct notify *n);

/** Declare or change an endpoint (by app and name); one that answered 410 is
 *  tried again.  Returns 0, ENOMEM, or EINVAL with `err` (bad name, URL or
 *  range); when not 0, nothing has changed. */
MUST_CHECK int notify_set_endpoint(struct notify *n,
				   const struct notify_endpoint *e,
				   struct err *err);

/**
 * Take an endpoint out, also from what the store remembers: no new deliveries;
 * its pending ones expire (in slices; their last_error says that it was
 * removed), attempts under way end first.  Its name may be declared again at
 * once.
 * Returns 0, or ENOENT: there is none.
 */
MUST_CHECK int notify_remove_endpoint(struct notify *n, uint64_t id);

/** Load pending deliveries and begin; once, after the endpoints. */
MUST_CHECK int notify_start(struct notify *n);

/** A set of events of one write; NULL when out of memory. */
MUST_CHECK struct notify_batch *notify_batch_new(void);

/**
 * Add an event and a delivery for each endpoint of its app that wants it.
 * Fills in e->id.  `once` names what may happen only once (NULL: none).
 * Returns 0 or ENOMEM (then the write must not be committed).
 */
MUST_CHECK int notify_add(struct notify *n, struct store_write *w,
			  struct notify_batch *batch, struct event *e,
			  const char *once);

/**
 * The store has answered: notify_committed or notify_dropped by `r->err`.
 * When events of the write were there already (`r->repeated`), whatever is
 * new in it is found in the store, so that nothing goes out twice.
 */
void notify_settled(struct notify *n, struct notify_batch *batch,
		    const struct store_result *r);
/** The write is durable and repeated nothing: start the deliveries.  Frees
 *  the batch. */
void notify_committed(struct notify *n, struct notify_batch *batch);
/** The write failed: forget.  Frees the batch.  NULL is fine, also as `n` when
 *  that is gone. */
void notify_dropped(struct notify *n, struct notify_batch *batch);

/**
 * The log of events, for whoever follows it by id.
 *
 * Ids are taken before the commit, so an event may become visible after one
 * with a higher id.  Up to this id it cannot: every event is committed, or
 * never will be.  Ask before reading, and read no further.
 */
uint64_t notify_log_end(const struct notify *n);
/** Have `fn` called, on the loop, whenever the log may have got longer; NULL:
 *  not any more.  One at a time.  It must not add events. */
void notify_log_watch(struct notify *n, void (*fn)(void *arg), void *arg);

/** For control: replay, stats; names of endpoints. */
struct deliver *notify_deliver(struct notify *n);
struct notify_endpoint_info {
	uint64_t id;
	uint32_t app;
	const char *name;
	const char *url; /* without secrets in it */
	enum dialect dialect;
	bool enabled;
};
/** Walk the endpoints; index from 0; false behind the last. */
bool notify_endpoint_at(const struct notify *n, size_t i,
			struct notify_endpoint_info *out);
/** Name of an endpoint id, also of one that was removed; "" when it is not
 *  known. */
const char *notify_endpoint_name(const struct notify *n, uint64_t id);

/** Start no more attempts; how many are under way. */
void notify_pause(struct notify *n);
unsigned notify_in_flight(const struct notify *n);

#endif
