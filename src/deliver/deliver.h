/**
 * deliver/deliver.h -- the delivery engine: lanes, attempts, retries,
 * breaker, dead letters, replay.  Knows no dialects and no HTTP: what one
 * attempt is, its owner says.
 *
 * WHAT  Every pending delivery is attempted until it is delivered, dead or
 *       expired; deliveries of one lane (endpoint, task) in order.
 * DESIGN
 *   - Disk is the truth, memory the schedule: a compact record a pending
 *     delivery, loaded at start.  Facts of fresh events come with
 *     deliver_add and are cached (16 MiB); others are read when due.
 *   - One attempt at a time in a lane; lanes in parallel, at most
 *     `max_in_flight` an endpoint, round robin over endpoints, so that a
 *     slow one never slows another.
 *   - A head that keeps failing blocks its lane for the short part of its
 *     retry profile; then the lane goes on and the head is retried beside
 *     it, marked late (ORDER_STRICT waits, ORDER_NONE never waits).
 *   - Breaker an endpoint: opens after 10 failures in a row (of any lanes),
 *     stays open 30 s (doubling to 5 min; an endpoint may say otherwise), then
 *     one probe; while open no attempts are burnt.
 *   - A rate an endpoint (rate.h): one that has used up its tokens waits for
 *     the next, holds no slot meanwhile, and burns no attempts.
 *   - An outcome is committed before the next attempt of the lane starts,
 *     so a restart repeats at most what was under way.
 *
 *          due            ok
 *   pending ---> attempt ------> delivered
 *      ^           | failed: next delay of the profile (full jitter)
 *      +-----------+ budget used up, or `gone`: dead   too old: expired
 *      +--- replay --- dead, expired
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_DELIVER_H
#define DELIVER_DELIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "io/io.h"
#include "store/store.h"

enum deliver_order { ORDER_TASK, ORDER_STRICT, ORDER_NONE };

enum { DELIVER_DELAYS_MAX = 32 };

/** Waits between attempts.  After the last one the last is repeated when
 *  `on` is set (until expire), else the delivery is dead. */
struct deliver_retry {
	int64_t delay_us[DELIVER_DELAYS_MAX];
	unsigned n;
	unsigned n_short; /* so many of them block the lane */
	bool on;	  /* go on until expiry */
};

/**
 * "tencent", "standard", or a list of durations "1s,10s,5m".
 *
 *   tencent   at once, then every 10 s for a minute (these block the lane),
 *             then on with the durable schedule of `standard` from its
 *             5 min, its last delay repeated until expiry
 *   standard  5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h
 *   a list    dead after the last one
 *
 * The short part, which blocks the lane, is what lies within the first
 * minute.
 * Returns 0 or EINVAL with `e` naming what is permitted.
 */
MUST_CHECK int deliver_retry_parse(const char *text, struct deliver_retry *out,
				   struct err *e);

/** Deliveries a minute. */
enum { DELIVER_RATE_MAX = 600000 };

/**
 * A limit as one writes it, in deliveries a second: "0" (none), "0.5", "20".
 * It is counted in whole deliveries a minute, rounded down.
 * Returns 0 or EINVAL with `e` naming what is permitted.
 */
MUST_CHECK int deliver_rate_parse(const char *text, uint32_t *per_minute,
				  struct err *e);

/** Endpoints that were taken out and are remembered: for what is replayed to
 *  them, and for their names. */
enum { DELIVER_REMOVED_MAX = 100 };

struct deliver_endpoint {
	uint64_t id;
	uint32_t app;
	char name[64];
	struct deliver_retry retry;
	enum deliver_order order;
	int64_t expire_us;
	unsigned max_in_flight; /* 1..64 */
	uint32_t per_minute;	/* attempts that may start, 0: no limit */
	bool is_off;		/* no attempts: what is pending waits */
	/* How long the breaker stays open: first, and at most.  0: 30 s, 5
	   min. */
	int64_t probe_us, probe_max_us;
};

/** One attempt to make.  Valid until deliver_done or deliver_put_off. */
struct deliver_attempt {
	uint64_t delivery, event, endpoint, lane;
	uint64_t task_seq;
	unsigned n; /* from 1, of all ever */
	bool late;
	const char *facts; /* facts_len bytes */
	size_t facts_len;
	void *owner; /* whoever makes the attempt may keep something here */
};

enum deliver_verdict {
	VERDICT_OK,
	VERDICT_FAILED, /* try again later */
	VERDICT_GONE,	/* 410: dead at once, the endpoint is switched off
			   for the rest of this run until it is declared again
			   or something is replayed to it.  FAILED when it was
			   declared again or taken out during the attempt */
	VERDICT_REFUSED /* will never work, whatever is done to the endpoint
			   (cannot be rendered): dead at once */
};

struct deliver_outcome {
	enum deliver_verdict verdict;
	int status;		/* HTTP, 0: no answer */
	char error[128];	/* "" or one line */
	int64_t retry_after_us; /* -1: none; at most 10 h is honoured */
	int64_t duration_us;
	int64_t sent_ms;    /* wall time, as it was signed; 0: not known */
	const char *answer; /* text that is kept with the attempt, up to
			       ATTEMPT_ANSWER_MAX bytes; NULL: none.  Good
			       during deliver_done */
	bool excused;	    /* FAILED, and the breaker does not count it */
};

struct deliver_config {
	unsigned max_in_flight;	  /* all endpoints: 256 */
	size_t facts_cache_bytes; /* 0: 16 MiB */
	uint64_t seed;	/* of the jitter; 0: another in each process */
	bool no_jitter; /* tests */
	/* Tests: time by hand.  With now_us the engine arms no timer: call
	 * deliver_turn when time has passed. */
	int64_t (*now_us)(void);  /* NULL: the loop's */
	int64_t (*unix_ms)(void); /* NULL: clock_unix_ms */
};

struct deliver_events {
	/** Make an attempt; call deliver_done or deliver_put_off exactly once,
	    then or later. */
	void (*attempt)(struct deliver_attempt *a, void *arg);
	/** A delivery has ended, and that is committed; for logs.  Not called
	    for those that end with their endpoint's removal.  May be NULL. */
	void (*ended)(uint64_t delivery, enum delivery_state state, void *arg);
	/** An endpoint that was taken out is remembered no more, neither here
	    nor in the store: nothing is pending for it.  May be NULL. */
	void (*forgotten)(uint64_t endpoint, void *arg);
	/** An attempt has ended and this is what follows: `state`, and when it
	    is pending the wait until the next attempt; for logs.  Called
	    inside deliver_done, before the commit.  May be NULL. */
	void (*judged)(const struct deliver_attempt *a,
		       const struct deliver_outcome *outcome,
		       enum delivery_state state, int64_t wait_us, void *arg);
};

struct deliver;

/** Thread: the loop's, as all of this. */
MUST_CHECK int deliver_new(struct loop *loop, struct store *store,
			   const struct deliver_config *config,
			   const struct deliver_events *events, void *arg,
			   struct deliver **out);
/** Stop; attempts under way are forgotten (their deliver_done must not be
 *  called any more) and made again after the next start.  Replays under way
 *  end with the slice that the store has, and their `done` is not called.  The
 *  loop must still run until the store has answered.  NULL is fine. */
void deliver_free(struct deliver *d);

/** Declare or change an endpoint (kept by id).  What was held against it is
 *  forgotten, and what attempts under way come to is not counted: they were
 *  sent to what it was before.  Returns 0 or ENOMEM. */
MUST_CHECK int deliver_set_endpoint(struct deliver *d,
				    const struct deliver_endpoint *e);

/**
 * What the endpoint itself allows, beside the rate that it was declared with:
 * the smaller one counts.  0: no limit.  It stays until it is set again, also
 * when the endpoint is declared again.  Attempts under way count as begun now.
 * The endpoint has been declared, as for deliver_hold.
 */
void deliver_set_rate(struct deliver *d, uint64_t endpoint,
		      uint32_t per_minute);

/**
 * Start no attempts of an endpoint (held), or go on.  Those that have been
 * handed to `attempt` go on; inside of it, it holds all others.
 */
void deliver_hold(struct deliver *d, uint64_t endpoint, bool held);

/**
 * Take an endpoint out, and remember that in the store: no more attempts;
 * what is pending for it expires, in slices, its last_error says why.
 * Attempts under way end as they end; what they do not deliver expires
 * then.  Whoever declares it again begins anew: only what comes after that is
 * delivered.
 *
 * What is replayed to it expires again, as long as it is remembered: the last
 * DELIVER_REMOVED_MAX are, and those for which anything is pending.  Then it
 * is as one that was never declared.
 * Returns 0, or ENOENT when it is not declared.
 */
MUST_CHECK int deliver_remove_endpoint(struct deliver *d, uint64_t id);

/**
 * What is pending for an endpoint up to a delivery expires, as if it had been
 * taken out then and declared again since.
 */
void deliver_expire_up_to(struct deliver *d, uint64_t endpoint,
			  uint64_t delivery);

/** Load what is pending in the store; once, after the endpoints are set.
 *  Deliveries of unknown endpoints wait (and expire); those of endpoints that
 *  were removed expire now.  Blocks. */
MUST_CHECK int deliver_load(struct deliver *d);

/** Deliveries that were just committed; facts are copied.  Out of memory:
 *  they stay pending in the store and are found within a minute. */
void deliver_add(struct deliver *d, const struct delivery_row *rows, size_t n,
		 uint64_t task_seq, const char *facts, size_t facts_len);

/** May an attempt still be made?  False when, since `attempt`, its endpoint was
 *  switched off or taken out, or has answered `gone`: deliver_put_off it. */
bool deliver_may_go_on(const struct deliver *d, struct deliver_attempt *a);
/** In the place of deliver_done: nothing was sent.  It is as if the attempt had
 *  not begun. */
void deliver_put_off(struct deliver *d, struct deliver_attempt *a);

/** End an attempt. */
void deliver_done(struct deliver *d, struct deliver_attempt *a,
		  const struct deliver_outcome *outcome);

/**
 * Make dead or expired deliveries pending again with a fresh budget, in
 * slices, so that no mass of them holds up other writes.  An endpoint that the
 * filter names is attempted again at once, even if it answered `gone` or its
 * breaker is open (half open then).
 * `done` gets the last slice's result; changed: how many in all, also when
 * that one failed.
 */
void deliver_replay(struct deliver *d, const struct store_filter *f,
		    store_done_fn *done, void *arg);

/** An endpoint has taken something that was no delivery: its breaker closes.
 *  What is `gone` stays so.  One that is not known is fine. */
void deliver_is_well(struct deliver *d, uint64_t endpoint);

/** Look in the store for pending deliveries that were not given to
 *  deliver_add. */
void deliver_rescan(struct deliver *d);

/** What the breaker thinks of an endpoint. */
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
struct deliver_endpoint_stats {
	enum breaker_state breaker;
	bool gone;
	bool held;	     /* by deliver_hold */
	bool limited;	     /* waits for its rate */
	uint32_t per_minute; /* the rate that counts, 0: no limit */
	unsigned in_flight, failures_in_row;
	uint64_t pending;
	uint32_t delivered_minute; /* within the last minute, to 5 s */
	int64_t next_probe_ms;	   /* when its breaker is open, else 0 */
	int64_t failing_since_ms;  /* 0: healthy */
	int64_t oldest_created_ms; /* of its pending, 0: none */
};
/** Returns false when the endpoint is unknown. */
bool deliver_endpoint_stats(const struct deliver *d, uint64_t endpoint,
			    struct deliver_endpoint_stats *out);

/** Attempts under way and outcomes that are not committed yet; for drain at
 *  stop. */
unsigned deliver_in_flight(const struct deliver *d);
/** Start no more attempts (stopping). */
void deliver_pause(struct deliver *d);

/** Tests with a clock of their own: deal with what is due. */
void deliver_turn(struct deliver *d);
/** When deliver_turn is needed next [us]; INT64_MAX: not by itself. */
int64_t deliver_next_us(const struct deliver *d);

#endif
