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
 * While an endpoint has a previous_key, `standard` signs with both; the others
 * with `key` on odd attempts and with `previous_key` on even ones.
 *
 * Every dialect gets these headers besides its own:
 *	Tapeop-Event-Id  the same on every attempt
 *	Tapeop-Sequence  of the event in its task, from 0
 *	Tapeop-Attempt   from 1
 * and, when it has a handshake (CloudEvents' abuse protection),
 *	WebHook-Request-Origin
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NOTIFY_NOTIFY_H
#define NOTIFY_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

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
	const char *previous_key; /* secret, while receivers change from it
				     to key; NULL or "": none */
	enum signature_encoding encoding;
	bool kinds[EVENT_KIND_N]; /* switches */
	int64_t timeout_us;	  /* 0: 5 s */
	struct deliver_retry retry;
	enum deliver_order order;
	enum notify_verdict verdict;
	int64_t expire_us; /* 0: 7 days */
	bool allow_private;
	unsigned max_in_flight; /* 1..64; 0: 16 */
	uint32_t per_minute;	/* deliveries that may start, 0: no limit; see
				deliver_rate_parse */
	bool handshake;		/* ask for consent first (handshake.c) */
	bool enabled;		/* off: no new deliveries, pending ones wait */
	bool extended;		/* see callback_style */
	const char *shown; /* its settings as JSON, without secrets; NULL */
};

/** Stable id of an endpoint: from app and name (63 bits). */
uint64_t notify_endpoint_id(uint32_t app, const char *name);

/** Settings of an endpoint, read. */
struct notify_read {
	const struct notify_endpoint *endpoint; /* good until freed */
	void *owner;				/* for `free` */
};

/** Whoever knows the settings of an endpoint reads and checks them. */
struct notify_reader {
	/** Returns 0, EINVAL (e->field: the setting), ENOENT (no such app),
	 *  ENOMEM. */
	int (*read)(uint32_t app, const json_t *settings,
		    struct notify_read *out, struct err *e, void *arg);
	void (*free)(void *owner);
	void *arg;
};

struct notify_config {
	struct deliver_config deliver; /* its unix_ms is also the time of
					  sending */
	const char *user_agent;	       /* NULL: "tapeop" */
	unsigned max_connections; /* kept open; 0: two an attempt in flight */
	const char *origin; /* who we are in a handshake: notify_origin_check;
			       NULL: the machine's host name */
	struct notify_reader reader; /* for endpoints made at run time */
};

/** May a server call itself so?  Returns 0 or EINVAL with `e`. */
MUST_CHECK int notify_origin_check(const char *origin, struct err *e);

struct notify;
struct notify_batch;

MUST_CHECK int notify_new(struct loop *loop, struct store *store,
			  struct workers *workers,
			  const struct notify_config *config,
			  struct notify **out);
void notify_free(struct notify *n);

/** Declare or change an endpoint (by app and name) as the configuration file
 *  has it; one that answered 410 is tried again.  One of this name that was
 *  made at run time waits until the file lets go of it.  Returns 0, ENOMEM, or EINVAL with `err` (bad name, URL or
 *  range); when not 0, nothing has changed. */
MUST_CHECK int notify_set_endpoint(struct notify *n,
				   const struct notify_endpoint *e,
				   struct err *err);

/**
 * The file lets go of an endpoint: one of its name that was made at run time
 * is in force again, as after a restart, and gets what is pending.  When that
 * cannot be (out of memory, its settings are not right any more), all stays
 * as it was, and that is logged.
 *
 * Else it is taken out: no new deliveries; its pending ones expire (in slices;
 * their last_error says that it was removed), attempts under way end first.
 * Its name may be declared again at once.
 * Returns 0, or ENOENT: there is none.
 */
MUST_CHECK int notify_remove_endpoint(struct notify *n, uint64_t id);

/* ---- made at run time, kept in the store ---- */

enum { NOTIFY_KEPT_MAX = 20 /* of one app */ };

/** Declare those of the store; once, after those of the file, whose names
 *  win, and before notify_start.  One that cannot be read is left out, and
 *  logged.  Returns 0 or an errno.  Blocks. */
MUST_CHECK int notify_load_kept(struct notify *n);

/** Read their settings again: keys of this app may have changed.  Those whose
 *  keys are the same are left alone.  Out of memory: those that are left are
 *  as they were, and logged. */
void notify_reread_kept(struct notify *n, uint32_t app);

/** It is committed and in force, or `e` says what was wrong (code 0: no).
 *  EEXIST: the file has declared the name meanwhile; what is stored waits
 *  until the file lets go of it. */
typedef void(notify_kept_fn)(uint64_t id, const struct err *e, void *arg);

/**
 * Make, change, take out an endpoint; `done` is called when that is durable,
 * or failed, also inside notify_free.
 *
 * settings, changes   JSON objects, copied; of changes null: the default
 *
 * Return 0 (done will be called), or with `e` and nothing done:
 *   EINVAL   e->field is the setting
 *   ENOENT   no such app, no such endpoint
 *   EEXIST   the name is taken; or the file declares it, so that it is
 *	      changed there
 *   EBUSY    it is being made, changed or taken out just now; or the app
 *	      has NOTIFY_KEPT_MAX of them
 *   ENOMEM
 */
MUST_CHECK int notify_make_endpoint(struct notify *n, uint32_t app,
				    const json_t *settings,
				    notify_kept_fn *done, void *arg,
				    struct err *e);
MUST_CHECK int notify_change_endpoint(struct notify *n, uint64_t id,
				      const json_t *changes,
				      notify_kept_fn *done, void *arg,
				      struct err *e);
MUST_CHECK int notify_drop_endpoint(struct notify *n, uint64_t id,
				    notify_kept_fn *done, void *arg,
				    struct err *e);

/* ---- test events ---- */

enum { NOTIFY_TESTS_MAX = 8, NOTIFY_TEST_ANSWER_MAX = 4096 };

/** What a test event came to. */
struct notify_test {
	bool delivered;
	int status;	   /* HTTP, 0: no answer */
	const char *error; /* "" or one line */
	int64_t duration_us;
	const char *url;    /* as sent, but not the endpoint's own query */
	const char *fields; /* "Name: value\n" lines, as sent; "" not sent */
	const uint8_t *body;
	size_t body_len;
	const uint8_t *answer; /* its first NOTIFY_TEST_ANSWER_MAX bytes */
	size_t answer_len;
};
typedef void(notify_test_fn)(const struct notify_test *t, void *arg);

/** The event that a test of an endpoint tells of; its id is drawn. */
void notify_write_test(enum dialect d, uint32_t app, int64_t unix_ms,
		       struct event *e);

/**
 * Send an endpoint, also one that is switched off, a test event at once: one
 * attempt, beside the outbox.  Its id is one that no event of the outbox ever
 * has: a number from 2^52.  When the endpoint takes it, its breaker closes.
 * `done` is called when it has ended, also inside
 * notify_free.
 * Returns 0, ENOENT, EBUSY (NOTIFY_TESTS_MAX are under way) or ENOMEM with
 * `e`.
 */
MUST_CHECK int notify_test_endpoint(struct notify *n, uint64_t id,
				    notify_test_fn *done, void *arg,
				    struct err *e);

/* ---- what goes out ---- */

/** The request of an attempt; free with notify_request_fini. */
struct notify_request {
	struct buf url;	   /* without the endpoint's own query */
	struct buf fields; /* "Name: value\n" lines */
	struct buf body;
	struct callback_proof proof;
};

/**
 * Render what an attempt to deliver an event sends, or sent: the endpoint as
 * it is declared now.  Nothing is sent.
 *
 * attempt  its number, from 1
 * sent_ms  when it was sent; 0: now
 *
 * Returns 0, ENOENT (the endpoint is not there any more), ENOTSUP, EMSGSIZE
 * (its dialect has no such event, or not one so big), EBADMSG (the facts
 * cannot be read), ENOMEM.  When not 0, *out holds nothing.
 */
MUST_CHECK int notify_show_request(const struct notify *n, uint64_t endpoint,
				   const struct event_row *event,
				   unsigned attempt, int64_t sent_ms,
				   struct notify_request *out);
void notify_request_fini(struct notify_request *r);

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
	bool handshake;
	bool agreed;	   /* with handshake: it has given its consent */
	bool is_kept;	   /* made at run time, not by the file */
	const char *shown; /* its settings as JSON without secrets, or NULL */
};
/** What is known of one; false when there is none. */
bool notify_endpoint_info(const struct notify *n, uint64_t id,
			  struct notify_endpoint_info *out);
/** Walk the endpoints; index from 0; false behind the last. */
bool notify_endpoint_at(const struct notify *n, size_t i,
			struct notify_endpoint_info *out);
/** Name of an endpoint id, also of one that was removed; "" when it is not
 *  known. */
const char *notify_endpoint_name(const struct notify *n, uint64_t id);

/** The id of an endpoint that was removed and is remembered, by its name; of
 *  equal names in several apps (app 0: any) that of the smallest app.  0: there
 *  is none. */
uint64_t notify_removed_endpoint(const struct notify *n, uint32_t app,
				 const char *name);

/** Start no more attempts; how many are under way. */
void notify_pause(struct notify *n);
unsigned notify_in_flight(const struct notify *n);

#endif
