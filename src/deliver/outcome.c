/**
 * deliver/outcome.c -- how an attempt ended: committed, then carried out.
 *
 * WHY   What is not on disk did not happen: the lane goes on after the
 *       commit.  But an endpoint that has said yes is not asked again just
 *       because our disk was full for a while: the outcome waits in memory
 *       and its commit is repeated.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/engine.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	SAVING_TIMES = 4, /* outcomes waiting: so many times max_in_flight */
	RESAVE_DOUBLINGS = 7
};

#define RESAVE_US (100 * (int64_t)1000)

typedef unsigned long long ull;

/* ---- flights --------------------------------------------------------------- */

struct flight *engine_new_flight(struct deliver *d, uint32_t r)
{
	const struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e = engine_endpoint_of(d, rec);
	struct flight *f = mem_zalloc(sizeof(*f));

	if (!f)
		return NULL;
	f->d = d;
	f->record = r;
	f->endpoint = e;
	f->era = e->era;
	f->attempt = (struct deliver_attempt){
		.delivery = rec->id,
		.event = rec->event,
		.endpoint = e->conf.id,
		.lane = lanes_lane(&d->lanes, rec->lane)->id,
		.n = rec->ever + 1,
		.late = rec->late,
	};
	list_append(&d->flights, &f->link);
	return f;
}

static void drop_facts(struct flight *f)
{
	if (f->d)
		facts_unpin(&f->d->facts, f->facts);
	f->facts = NULL;
	store_rows_free(&f->rows);
	f->rows = (struct store_rows){0};
	f->attempt.facts = NULL;
	f->attempt.facts_len = 0;
}

static void free_flight(struct flight *f)
{
	mem_free(f->answer);
	mem_free(f);
}

void engine_free_flight(struct flight *f)
{
	drop_facts(f);
	list_remove(&f->link);
	free_flight(f);
}

void engine_let_go(struct flight *f)
{
	struct deliver *d = f->d;
	enum record_state state = lanes_record(&d->lanes, f->record)->state;
	/* Those without an answer to come from the store go now. */
	bool store_holds_it = state == RECORD_SAVING || f->loading;

	drop_facts(f);
	f->d = NULL;
	if (!store_holds_it)
		free_flight(f);
}

/** Was it sent to what the endpoint is now?  Else its answer says nothing of
 *  that: it may have been another URL. */
static bool is_of_now(const struct flight *f)
{
	return f->era == f->endpoint->era;
}

void engine_tell_breaker(struct deliver *d, struct endpoint *e,
			 enum breaker_result result, const char *error)
{
	enum breaker_state before = e->breaker.state;

	breaker_on_result(&e->breaker, result, engine_now_us(d));
	list_remove(&e->open);
	if (e->breaker.state == BREAKER_OPEN)
		list_append(&d->open, &e->open);
	if (before == BREAKER_CLOSED && e->breaker.state == BREAKER_OPEN) {
		counter_add(COUNT_breaker_open, 1);
		log_warn("app=%u endpoint=%s breaker opened after %u failures "
			 "in a row: %s; next probe in %lld s",
			 (unsigned)e->conf.app, e->conf.name,
			 e->breaker.failures, error,
			 (long long)(e->breaker.open_us / CLOCK_US_PER_S));
	} else if (before != BREAKER_CLOSED &&
		   e->breaker.state == BREAKER_CLOSED) {
		counter_add(COUNT_breaker_open, -1);
		log_info("app=%u endpoint=%s breaker closed",
			 (unsigned)e->conf.app, e->conf.name);
	}
}

/** The attempt is under way no more. */
static void land(struct deliver *d, struct flight *f,
		 enum breaker_result result)
{
	struct endpoint *e = f->endpoint;

	assert(e->in_flight && d->n_flying);
	e->in_flight--;
	d->n_flying--;
	if (is_of_now(f))
		engine_tell_breaker(d, e, result, f->outcome.error);
	engine_wake(d, e);
}

void engine_put_off(struct deliver *d, struct flight *f, int64_t wait_us)
{
	struct record *rec = lanes_record(&d->lanes, f->record);

	rate_give_back(&f->endpoint->rate, engine_now_us(d));
	land(d, f, BREAKER_NEITHER);
	rec->state = RECORD_IDLE;
	rec->due_us = engine_now_us(d) + wait_us;
	engine_schedule(d, f->record);
	engine_free_flight(f);
}

void deliver_put_off(struct deliver *d, struct deliver_attempt *a)
{
	struct flight *f = CONTAINER_OF(a, struct flight, attempt);

	assert(loop_is_mine(d->loop));
	assert(f->d == d);
	engine_put_off(d, f, 0);
	engine_run(d);
}

/* ---- committing -------------------------------------------------------------- */

bool engine_may_save(const struct deliver *d)
{
	return d->n_saving < SAVING_TIMES * d->config.max_in_flight;
}

/** What the outcome did to the delivery; after the commit. */
static void carry_out(struct deliver *d, struct flight *f)
{
	struct record *rec = lanes_record(&d->lanes, f->record);
	uint32_t r = f->record;

	d->n_saving--;
	if (f->state != DELIVERY_PENDING) {
		uint64_t id = rec->id;
		enum delivery_state state = f->state;
		bool removed = f->why != NULL; /* those are told together */

		engine_free_flight(f);
		engine_forget(d, r);
		if (d->events.ended && !removed)
			d->events.ended(id, state, d->arg);
		return;
	}
	rec->attempts++;
	rec->ever++;
	rec->due_us = f->due_us;
	rec->state = RECORD_IDLE;
	rec->late = f->late;
	if (rec->late && rec->ordered) {
		lane_loosen(&d->lanes, r);
		engine_lane_on(d, rec->lane);
	}
	engine_free_flight(f);
	engine_schedule(d, r);
}

static void save_later(struct deliver *d, struct flight *f,
		       const struct store_result *r)
{
	struct record *rec = lanes_record(&d->lanes, f->record);
	unsigned doublings =
		f->tries < RESAVE_DOUBLINGS ? f->tries : RESAVE_DOUBLINGS;

	if (!f->tries)
		log_error("endpoint=%s delivery=%llu cannot commit its "
			  "outcome: %s; it is kept in memory and tried again",
			  f->endpoint->conf.name, (ull)f->attempt.delivery,
			  r->text[0] ? r->text : strerror(r->err));
	f->tries++;
	rec->state = RECORD_RESAVE;
	rec->due_us = engine_now_us(d) + (RESAVE_US << doublings);
	heap_put(&d->lanes, f->record);
}

static void on_saved(const struct store_result *r, void *arg)
{
	struct flight *f = arg;
	struct deliver *d = f->d;

	if (!d) {
		engine_free_flight(f);
		return;
	}
	if (r->err == ENOENT) {
		/* Its task was pruned or erased on request. */
		log_warn("endpoint=%s delivery=%llu is not in the store any "
			 "more: forgotten",
			 f->endpoint->conf.name, (ull)f->attempt.delivery);
		d->n_saving--;
		engine_forget(d, f->record);
		engine_free_flight(f);
	} else if (r->err) {
		save_later(d, f, r);
	} else {
		carry_out(d, f);
	}
	engine_run(d);
}

static void fill_row(const struct deliver *d, const struct flight *f,
		     struct delivery_row *row)
{
	const struct record *rec = lanes_record(&d->lanes, f->record);
	int64_t wait_us = f->due_us - engine_now_us(d);

	*row = (struct delivery_row){
		.id = rec->id,
		.event = rec->event,
		.endpoint = f->endpoint->conf.id,
		.lane = f->attempt.lane,
		.app = f->endpoint->conf.app,
		.state = f->state,
		.attempts = rec->attempts + f->made,
		.attempts_ever = rec->ever + f->made,
		.late = f->late,
		.due_ms = f->ended_ms,
		.last_status = f->outcome.status,
	};
	if (f->state == DELIVERY_PENDING)
		row->due_ms = engine_unix_ms(d) + wait_us / CLOCK_US_PER_MS;
	else
		row->done_ms = f->ended_ms;
	if (f->made)
		row->last_ms = f->ended_ms;
	str_copy(row->last_error, sizeof(row->last_error),
		 f->why ? f->why : f->outcome.error);
}

static void save(struct deliver *d, struct flight *f)
{
	struct store_write *w = store_write_new();
	struct delivery_row row;
	struct attempt_row attempt = {
		.delivery = f->attempt.delivery,
		.n = f->attempt.n,
		.unix_ms =
			f->ended_ms - f->outcome.duration_us / CLOCK_US_PER_MS,
		.duration_us = f->outcome.duration_us,
		.status = f->outcome.status,
	};

	if (f->outcome.sent_ms)
		attempt.unix_ms = f->outcome.sent_ms;
	lanes_record(&d->lanes, f->record)->state = RECORD_SAVING;
	if (w) {
		fill_row(d, f, &row);
		store_set_delivery(w, &row);
	}
	if (w && f->made) {
		str_copy(attempt.error, sizeof(attempt.error),
			 f->outcome.error);
		str_copy(attempt.answer, sizeof(attempt.answer),
			 f->answer ? f->answer : "");
		store_put_attempt(w, &attempt);
	}
	store_commit(d->store, w, d->loop, on_saved, f);
}

void engine_resave(struct deliver *d, uint32_t r)
{
	LIST_EACH(&d->flights, l, after)
	{
		struct flight *f = CONTAINER_OF(l, struct flight, link);

		if (f->record == r) {
			save(d, f);
			return;
		}
	}
	assert(!"a record that waits for its commit has a flight");
}

bool engine_expire(struct deliver *d, uint32_t r, const char *why)
{
	struct flight *f = engine_new_flight(d, r);

	if (!f)
		return false;
	f->state = DELIVERY_EXPIRED;
	f->why = why;
	f->late = lanes_record(&d->lanes, r)->late;
	f->due_us = engine_now_us(d);
	f->ended_ms = engine_unix_ms(d);
	d->n_saving++;
	save(d, f);
	return true;
}

/* ---- deciding ------------------------------------------------------------------ */

static void fail(struct deliver *d, struct flight *f)
{
	const struct record *rec = lanes_record(&d->lanes, f->record);
	struct endpoint *e = f->endpoint;
	struct schedule_step step;

	schedule_step(&e->conf.retry, rec->attempts + 1,
		      f->outcome.retry_after_us,
		      d->config.no_jitter ? NULL : &d->random, &step);
	if (step.dead) {
		f->state = DELIVERY_DEAD;
		return;
	}
	f->state = DELIVERY_PENDING;
	f->due_us = engine_now_us(d) + step.delay_us;
	if (!step.blocks && e->conf.order == ORDER_TASK)
		f->late = true;
	if (engine_is_doomed(e, rec)) {
		f->state = DELIVERY_EXPIRED;
		f->why = engine_removed_text;
		e->n_expired++;
	}
}

/** It answered 410. */
static void give_up(struct deliver *d, struct flight *f)
{
	struct endpoint *e = f->endpoint;

	if (!is_of_now(f)) {
		fail(d, f);
		return;
	}
	f->state = DELIVERY_DEAD;
	if (!e->gone)
		log_warn("app=%u endpoint=%s answered 410 Gone: no more "
			 "attempts until something is replayed to it by name "
			 "or id, or the server restarts; what is pending waits",
			 (unsigned)e->conf.app, e->conf.name);
	e->gone = true;
}

static void decide(struct deliver *d, struct flight *f)
{
	struct endpoint *e = f->endpoint;

	f->late = lanes_record(&d->lanes, f->record)->late;
	f->due_us = engine_now_us(d);
	switch (f->outcome.verdict) {
	case VERDICT_OK:
		f->state = DELIVERY_DELIVERED;
		tally_add(&e->delivered, engine_now_us(d));
		if (is_of_now(f))
			e->failing_since_ms = 0;
		return;
	case VERDICT_REFUSED:
		f->state = DELIVERY_DEAD;
		return;
	case VERDICT_GONE:
		give_up(d, f);
		break;
	case VERDICT_FAILED:
		fail(d, f);
		break;
	}
	if (is_of_now(f) && !e->failing_since_ms)
		e->failing_since_ms = f->ended_ms;
}

void deliver_done(struct deliver *d, struct deliver_attempt *a,
		  const struct deliver_outcome *outcome)
{
	static const enum breaker_result results[] = {
		[VERDICT_OK] = BREAKER_OK,
		[VERDICT_FAILED] = BREAKER_FAILED,
		[VERDICT_GONE] = BREAKER_NEITHER,
		[VERDICT_REFUSED] = BREAKER_NEITHER,
	};
	struct flight *f = CONTAINER_OF(a, struct flight, attempt);

	assert(loop_is_mine(d->loop));
	assert(f->d == d);
	assert(lanes_record(&d->lanes, f->record)->state == RECORD_FLYING);
	f->made = true;
	f->outcome = *outcome;
	f->outcome.answer = NULL;
	if (outcome->answer && *outcome->answer)
		f->answer = mem_strdup(outcome->answer);
	f->ended_ms = engine_unix_ms(d);
	if (outcome->verdict != VERDICT_OK)
		counter_add(COUNT_attempts_failed, 1);
	decide(d, f);
	if (d->events.judged)
		d->events.judged(a, outcome, f->state,
				 f->due_us - engine_now_us(d), d->arg);
	land(d, f,
	     outcome->excused && outcome->verdict == VERDICT_FAILED
		     ? BREAKER_NEITHER
		     : results[outcome->verdict]);
	drop_facts(f);
	crash_point("delivery.answered");
	d->n_saving++;
	save(d, f);
	engine_run(d);
}
