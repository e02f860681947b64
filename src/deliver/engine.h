/**
 * deliver/engine.h -- the inside of the engine, shared by its files.
 *
 *   deliver.c  endpoints, start and stop, what is asked from outside
 *   turn.c     what is due starts: heap -> queues -> round robin -> attempt
 *   outcome.c  how an attempt ended: committed, then carried out
 *   reload.c   replay, and finding pending rows that are not in memory
 *   removal.c  endpoints that are taken out: what is pending expires
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DELIVER_ENGINE_H
#define DELIVER_ENGINE_H

#include "base/list.h"
#include "base/map.h"
#include "deliver/breaker.h"
#include "deliver/deliver.h"
#include "deliver/facts.h"
#include "deliver/lane.h"
#include "deliver/rate.h"
#include "deliver/schedule.h"
#include "deliver/tally.h"

/** After a lack of memory or a failed read: try again. */
#define ENGINE_AGAIN_US (1 * (int64_t)1000000)

struct endpoint {
	struct deliver_endpoint conf;
	struct map_node node; /* by conf.id */
	uint32_t number;      /* place in deliver.endpoints, from 1 */
	bool declared;	      /* else its deliveries wait */
	bool gone;	      /* answered 410 */
	bool held;	      /* deliver_hold */
	uint32_t era;	      /* rises whenever it is forgiven */
	/* taken out: see removal.c */
	bool removed;
	bool forgotten;	    /* its row goes, then all of it */
	bool row_saving;    /* its row in the store is being written */
	bool pass_counts;   /* the pass under way began after that */
	uint64_t row;	    /* its row in the store: up to, 0: none */
	uint64_t doomed_to; /* deliveries up to this id expire */
	uint64_t n_doomed;  /* found in this pass */
	uint64_t n_expired; /* not told in the log yet */
	struct breaker breaker;
	uint32_t allowed_per_minute; /* deliver_set_rate, 0: no limit */
	struct tally delivered;	     /* for people to see */
	struct rate rate;	     /* of conf and that the smaller one */
	int64_t token_us;	     /* when it has one, on deliver.limited */
	struct link run;	     /* deliver.run, when something is ready */
	struct link open;    /* deliver.open, while the breaker is open */
	struct link limited; /* deliver.limited, while it has no token */
	uint32_t ready_head, ready_tail;
	unsigned in_flight;
	uint64_t pending;
	int64_t failing_since_ms; /* 0: healthy */
	int64_t oldest_us;	  /* created, of the sweep before */
	int64_t oldest_next_us;	  /* so far in this sweep */
};

/** What happens to one record now: an attempt, or just its end. */
struct flight {
	struct deliver_attempt attempt; /* first: found again from it */
	struct deliver *d;		/* NULL: the engine is gone */
	struct link link;		/* deliver.flights */
	uint32_t record;
	struct endpoint *endpoint;
	uint32_t era;	     /* the endpoint's, when the attempt began */
	bool loading;	     /* the store reads its facts */
	bool made;	     /* an attempt was made: log it */
	struct facts *facts; /* pinned, or */
	struct store_rows rows;
	/* the outcome, once there is one */
	struct deliver_outcome outcome;
	enum delivery_state state;
	bool late;
	int64_t due_us;
	int64_t ended_ms;
	char *answer;	 /* of the outcome; NULL: none, or no memory for it */
	const char *why; /* static: last_error, instead of the outcome's */
	unsigned tries;	 /* of the commit */
};

/** A search for pending rows that are not in memory. */
struct reload {
	struct deliver *d; /* NULL: the engine is gone */
	struct store_filter filter;
	/* deliveries that left memory while a page was read: the page may
	 * still show them as pending */
	uint64_t *left;
	size_t n_left, cap_left;
	bool spoilt; /* no memory to note one: read the page again */
};

struct replay {
	struct deliver *d; /* NULL: the engine is gone */
	struct link link;  /* deliver.replays */
	struct store_filter wanted, slice;
	uint64_t changed; /* so far */
	store_done_fn *done;
	void *arg;
};

struct deliver {
	/* fixed */
	struct loop *loop;
	struct store *store;
	struct deliver_config config;
	struct deliver_events events;
	void *arg;

	struct lanes lanes;
	struct facts_cache facts;
	struct endpoint **endpoints; /* by number - 1; NULL: forgotten */
	uint32_t n_endpoints, cap_endpoints;
	struct map by_id;

	struct link run;     /* endpoints in turn */
	struct link open;    /* endpoints whose breaker is open */
	struct link limited; /* that wait for a token, by token_us */
	size_t n_run;
	bool running; /* in engine_run */
	bool paused;

	struct link flights;
	unsigned n_flying;  /* attempts under way */
	unsigned n_loading; /* of them, facts being read */
	unsigned n_saving;  /* outcomes not committed yet */

	uint64_t random;
	struct timer timer;
	int64_t sweep_us; /* next slice */
	uint32_t sweep_at;

	struct reload *reload; /* under way */
	bool reload_reading;   /* its page is being read */
	bool reload_all;       /* all pending rows, when it is over */
	int64_t reload_us;     /* next step of a reload that waits, or MAX */
	struct link replays;

	int64_t doom_us;    /* next slice of a pass, or MAX */
	uint32_t doom_at;   /* its place; 0: a new pass */
	bool doom_progress; /* it has expired some */
	struct link removals;
};

/* deliver.c */
int64_t engine_now_us(const struct deliver *d);
int64_t engine_unix_ms(const struct deliver *d);
struct endpoint *engine_endpoint(const struct deliver *d, uint32_t number);
struct endpoint *engine_find_endpoint(const struct deliver *d, uint64_t id);
/** The endpoint of this id, made (not declared) when there is none; NULL:
 *  out of memory. */
MUST_CHECK struct endpoint *engine_need_endpoint(struct deliver *d,
						 uint64_t id);
/** What was held against an endpoint is forgotten: breaker, `gone`; and what
 *  attempts that are under way come to will not be held against it. */
void engine_forgive(struct endpoint *e);
struct endpoint *engine_endpoint_of(const struct deliver *d,
				    const struct record *rec);
/** Free an endpoint that has nothing: no record, flight or write. */
void engine_free_endpoint(struct deliver *d, struct endpoint *e);
/** Take a pending delivery into memory and schedule it.  One that is there
 *  already is left alone.  Returns 0 or ENOMEM. */
MUST_CHECK int engine_take(struct deliver *d, const struct pending_row *row,
			   unsigned ever);
/** Forget a delivery that is pending no more. */
void engine_forget(struct deliver *d, uint32_t r);
bool engine_is_expired(const struct deliver *d, const struct record *rec,
		       int64_t now_us);

/* turn.c */
/** Put a record where it belongs by its due time, when it is its turn. */
void engine_schedule(struct deliver *d, uint32_t r);
/** Take a record out of the heap or queue: idle. */
void engine_unschedule(struct deliver *d, uint32_t r);
/** Schedule the lane's head if it is idle. */
void engine_lane_on(struct deliver *d, uint32_t lane);
/** An endpoint takes no turn until it is woken. */
void engine_rest(struct deliver *d, struct endpoint *e);
/** An endpoint may have become able to run. */
void engine_wake(struct deliver *d, struct endpoint *e);
/** Attempt an endpoint again that has answered `gone`, or whose breaker is
 *  open. */
void engine_come_back(struct deliver *d, uint64_t endpoint);
/** Start what can start, and arm the timer. */
void engine_run(struct deliver *d);

/* outcome.c */
void engine_free_flight(struct flight *f);
/** The engine goes; so does the flight, now or when the store answers. */
void engine_let_go(struct flight *f);
struct flight *engine_new_flight(struct deliver *d, uint32_t r);
/** How an attempt ended; `error` is for the log. */
void engine_tell_breaker(struct deliver *d, struct endpoint *e,
			 enum breaker_result result, const char *error);
/** End a record without an attempt; false: out of memory.  `why` (static,
 *  NULL: too old) is its last_error from then. */
MUST_CHECK bool engine_expire(struct deliver *d, uint32_t r, const char *why);
/** Commit (again) the outcome of the record's flight. */
void engine_resave(struct deliver *d, uint32_t r);
/** An attempt did not begin: no outcome, and its token is given back; it is
 *  due again after `wait_us`. */
void engine_put_off(struct deliver *d, struct flight *f, int64_t wait_us);
/** How many outcomes may wait for their commit. */
bool engine_may_save(const struct deliver *d);

/* reload.c */
void engine_reload_step(struct deliver *d, int64_t now_us);
/** Search all pending rows in a while. */
void engine_reload_soon(struct deliver *d);
/** A delivery leaves memory. */
void engine_reload_note(struct deliver *d, uint64_t delivery);
void engine_reload_stop(struct deliver *d);

/* removal.c */
extern const char engine_removed_text[];
/** Is this delivery to expire, because its endpoint was taken out? */
bool engine_is_doomed(const struct endpoint *e, const struct record *rec);
/** Look through all records for doomed ones. */
void engine_doom(struct deliver *d);
void engine_doom_step(struct deliver *d, int64_t now_us);
MUST_CHECK int engine_load_removals(struct deliver *d);
void engine_removals_stop(struct deliver *d);

#endif
