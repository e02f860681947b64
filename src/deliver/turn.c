/**
 * deliver/turn.c -- what is due, starts.
 *
 * DESIGN
 *   - A record that is due stands in its endpoint's queue; endpoints with a
 *     queue stand in a ring; each turn of the ring starts one attempt.
 *   - An endpoint may hold no more attempts than are left free for all
 *     others (dynamic threshold, Choudhury and Hahne 1998): n endpoints that
 *     hang hold n/(n+1) of the slots, never all of them.
 *   - An endpoint that cannot run leaves the ring; whatever changes that
 *     (an attempt ends, the breaker's time is up, it is declared) wakes it.
 *     One that has no token for its rate stands in a list by when it gets
 *     one: however much it has to deliver, it costs nothing until then.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/engine.h"

#include <assert.h>

#include "base/counters.h"
#include "base/log.h"

enum {
	SWEEP_SLICES = 12,     /* of a pass over all records */
	SWEEP_RECORDS = 16384, /* at least so many a slice */
};

#define SWEEP_US (5 * (int64_t)1000000)

/* ---- queues ---------------------------------------------------------------- */

void engine_rest(struct deliver *d, struct endpoint *e)
{
	if (!link_is_on_list(&e->run))
		return;
	list_remove(&e->run);
	d->n_run--;
}

void engine_wake(struct deliver *d, struct endpoint *e)
{
	if (link_is_on_list(&e->run) || !e->ready_head)
		return;
	list_append(&d->run, &e->run);
	d->n_run++;
}

static void queue_put(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e = engine_endpoint_of(d, rec);

	rec->state = RECORD_READY;
	rec->ready_next = 0;
	rec->ready_prev = e->ready_tail;
	if (e->ready_tail)
		lanes_record(&d->lanes, e->ready_tail)->ready_next = r;
	else
		e->ready_head = r;
	e->ready_tail = r;
	engine_wake(d, e);
}

static void queue_take(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e = engine_endpoint_of(d, rec);

	if (rec->ready_prev)
		lanes_record(&d->lanes, rec->ready_prev)->ready_next =
			rec->ready_next;
	else
		e->ready_head = rec->ready_next;
	if (rec->ready_next)
		lanes_record(&d->lanes, rec->ready_next)->ready_prev =
			rec->ready_prev;
	else
		e->ready_tail = rec->ready_prev;
	rec->ready_next = 0;
	rec->ready_prev = 0;
	rec->state = RECORD_IDLE;
}

void engine_schedule(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);

	assert(rec->state == RECORD_IDLE);
	if (rec->due_us <= engine_now_us(d)) {
		queue_put(d, r);
		return;
	}
	rec->state = RECORD_WAIT;
	heap_put(&d->lanes, r);
}

void engine_unschedule(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);

	if (rec->state == RECORD_READY) {
		queue_take(d, r);
	} else if (rec->state == RECORD_WAIT) {
		heap_take(&d->lanes, r);
		rec->state = RECORD_IDLE;
	}
}

void engine_lane_on(struct deliver *d, uint32_t lane)
{
	uint32_t head = lanes_lane(&d->lanes, lane)->head;

	if (head && lanes_record(&d->lanes, head)->state == RECORD_IDLE)
		engine_schedule(d, head);
}

/* ---- attempts -------------------------------------------------------------- */

/** Nobody has said that it should not be attempted. */
static bool may_attempt(const struct endpoint *e)
{
	return e->declared && !e->gone && !e->conf.is_off;
}

bool deliver_may_go_on(const struct deliver *d, struct deliver_attempt *a)
{
	const struct flight *f = CONTAINER_OF(a, struct flight, attempt);

	return may_attempt(f->endpoint) &&
	       !engine_is_doomed(f->endpoint,
				 lanes_record(&d->lanes, f->record));
}

static void begin(struct deliver *d, struct flight *f)
{
	counter_add(COUNT_attempts, 1);
	d->events.attempt(&f->attempt, d->arg);
}

static void use_row(struct deliver *d, struct flight *f)
{
	const struct event_row *row = &f->rows.events[0];

	f->attempt.task_seq = row->task_seq;
	f->attempt.facts = row->facts;
	f->attempt.facts_len = row->facts_len;
	begin(d, f);
}

static void on_facts_read(struct store_rows *rows, void *arg)
{
	struct flight *f = arg;
	struct deliver *d = f->d;

	f->rows = *rows;
	if (!d) {
		engine_free_flight(f);
		return;
	}
	d->n_loading--;
	f->loading = false;
	if (rows->err || d->paused) {
		if (rows->err)
			log_warn("delivery=%llu cannot read its event, again "
				 "in 1 s",
				 (unsigned long long)f->attempt.delivery);
		engine_put_off(d, f, ENGINE_AGAIN_US);
	} else if (f->endpoint->held || !deliver_may_go_on(d, &f->attempt)) {
		engine_put_off(d, f, 0);
	} else if (!rows->n) {
		struct deliver_outcome missing = {
			.verdict = VERDICT_REFUSED,
			.retry_after_us = -1,
			.error = "its event is not in the store any more",
		};

		deliver_done(d, &f->attempt, &missing);
		return;
	} else {
		use_row(d, f);
	}
	engine_run(d);
}

static void read_facts(struct deliver *d, struct flight *f)
{
	const struct store_filter filter = {
		.what = READ_EVENTS,
		.id = f->attempt.event,
		.state = -1,
		.limit = 1,
	};

	d->n_loading++;
	f->loading = true;
	if (!store_query(d->store, &filter, d->loop, on_facts_read, f))
		return;
	d->n_loading--;
	f->loading = false;
	engine_put_off(d, f, ENGINE_AGAIN_US);
}

static void start(struct deliver *d, struct endpoint *e, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct flight *f = engine_new_flight(d, r);

	if (!f) {
		rec->due_us = engine_now_us(d) + ENGINE_AGAIN_US;
		engine_schedule(d, r);
		return;
	}
	rec->state = RECORD_FLYING;
	e->in_flight++;
	d->n_flying++;
	breaker_on_start(&e->breaker);
	rate_take(&e->rate, engine_now_us(d));
	f->facts = facts_pin(&d->facts, rec->event);
	if (!f->facts) {
		read_facts(d, f);
		return;
	}
	f->attempt.task_seq = f->facts->task_seq;
	f->attempt.facts = f->facts->text;
	f->attempt.facts_len = f->facts->len;
	begin(d, f);
}

/* ---- the ring -------------------------------------------------------------- */

/** Put it where it waits for its next token: those who wait longer stand
 *  behind it. */
static void await_token(struct deliver *d, struct endpoint *e)
{
	struct link *behind = d->limited.prev;

	if (link_is_on_list(&e->limited))
		return;
	e->token_us = rate_next_us(&e->rate, engine_now_us(d));
	while (behind != &d->limited &&
	       CONTAINER_OF(behind, struct endpoint, limited)->token_us >
		       e->token_us)
		behind = behind->prev;
	list_prepend(behind, &e->limited);
}

static void tokens_are_there(struct deliver *d, int64_t now_us)
{
	LIST_EACH(&d->limited, l, after)
	{
		struct endpoint *e = CONTAINER_OF(l, struct endpoint, limited);

		if (e->token_us > now_us)
			return;
		list_remove(l);
		engine_wake(d, e);
	}
}

enum can { CAN_START, CAN_LATER, CAN_NOT, CAN_WITH_TOKEN };

static enum can can_start(const struct deliver *d, struct endpoint *e)
{
	if (!e->ready_head || !may_attempt(e) || e->held ||
	    e->in_flight >= e->conf.max_in_flight ||
	    !breaker_allows(&e->breaker, engine_now_us(d)))
		return CAN_NOT;
	if (e->in_flight &&
	    e->in_flight >= d->config.max_in_flight - d->n_flying)
		return CAN_LATER;
	if (rate_next_us(&e->rate, engine_now_us(d)) > engine_now_us(d))
		return CAN_WITH_TOKEN;
	return CAN_START;
}

static void start_next(struct deliver *d, struct endpoint *e)
{
	uint32_t r = e->ready_head;
	const struct record *rec = lanes_record(&d->lanes, r);

	queue_take(d, r);
	/* Those stay idle: the pass (removal.c) goes on until all have
	 * expired, with no more writes at a time than it may have. */
	if (engine_is_doomed(e, rec))
		return;
	if (!engine_is_expired(d, rec, engine_now_us(d))) {
		start(d, e, r);
	} else if (!engine_expire(d, r, NULL)) {
		lanes_record(&d->lanes, r)->due_us =
			engine_now_us(d) + ENGINE_AGAIN_US;
		engine_schedule(d, r);
	}
}

static bool has_room(const struct deliver *d)
{
	return !d->paused && d->n_flying < d->config.max_in_flight &&
	       engine_may_save(d);
}

static void turn_ring(struct deliver *d)
{
	size_t skipped = 0; /* in a row */

	while (skipped < d->n_run && has_room(d)) {
		struct endpoint *e =
			CONTAINER_OF(list_first(&d->run), struct endpoint, run);
		enum can can = can_start(d, e);

		engine_rest(d, e);
		if (can == CAN_WITH_TOKEN)
			await_token(d, e);
		if (can == CAN_NOT || can == CAN_WITH_TOKEN)
			continue;
		if (can == CAN_START) {
			start_next(d, e);
			skipped = 0;
		} else {
			skipped++;
		}
		engine_wake(d, e);
	}
}

/* ---- time ------------------------------------------------------------------ */

static void sweep_pass_over(struct deliver *d)
{
	for (uint32_t i = 0; i < d->n_endpoints; i++) {
		struct endpoint *e = d->endpoints[i];

		if (!e)
			continue;
		if (e->oldest_next_us != INT64_MAX)
			e->oldest_us = e->oldest_next_us;
		e->oldest_next_us = INT64_MAX;
	}
	d->sweep_at = 0;
}

static void sweep_one(struct deliver *d, uint32_t r, int64_t now_us)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e;

	if (rec->state == RECORD_FREE)
		return;
	e = engine_endpoint_of(d, rec);
	if (rec->created_us < e->oldest_next_us)
		e->oldest_next_us = rec->created_us;
	if (rec->state > RECORD_READY || !engine_is_expired(d, rec, now_us) ||
	    !engine_may_save(d))
		return;
	engine_unschedule(d, r);
	if (engine_expire(d, r, NULL))
		return;
	if (!rec->ordered || lanes_lane(&d->lanes, rec->lane)->head == r)
		engine_schedule(d, r);
}

/** Expire what waits where no attempt will find it; renew the stats. */
static void sweep(struct deliver *d, int64_t now_us)
{
	uint32_t last = pool_last(&d->lanes.records);
	uint32_t n = last / SWEEP_SLICES + 1;

	if (n < SWEEP_RECORDS)
		n = SWEEP_RECORDS;
	/* An expiry may free the last record and so the pages: look again. */
	while (n-- && d->sweep_at < pool_last(&d->lanes.records))
		sweep_one(d, ++d->sweep_at, now_us);
	if (d->sweep_at >= pool_last(&d->lanes.records))
		sweep_pass_over(d);
	d->sweep_us = now_us + SWEEP_US;
}

int64_t deliver_next_us(const struct deliver *d)
{
	uint32_t first = heap_first(&d->lanes);
	int64_t next_us = d->reload_us;

	if (d->sweep_us < next_us)
		next_us = d->sweep_us;
	if (d->doom_us < next_us)
		next_us = d->doom_us;
	if (first && lanes_record(&d->lanes, first)->due_us < next_us)
		next_us = lanes_record(&d->lanes, first)->due_us;
	if (!list_is_empty(&d->limited)) {
		const struct endpoint *e = CONTAINER_OF(
			list_first(&d->limited), struct endpoint, limited);

		if (e->token_us < next_us)
			next_us = e->token_us;
	}
	LIST_EACH(&d->open, l, after)
	{
		const struct endpoint *e =
			CONTAINER_OF(l, struct endpoint, open);

		if (e->breaker.open_until_us < next_us)
			next_us = e->breaker.open_until_us;
	}
	return next_us;
}

static void on_timer(struct timer *t, int64_t now_us)
{
	(void)now_us;
	deliver_turn(CONTAINER_OF(t, struct deliver, timer));
}

static void arm(struct deliver *d)
{
	int64_t next_us;

	if (!d->lanes.records.n)
		d->sweep_us = INT64_MAX;
	else if (d->sweep_us == INT64_MAX)
		d->sweep_us = engine_now_us(d) + SWEEP_US;
	if (d->config.now_us)
		return;
	next_us = deliver_next_us(d);
	if (next_us == INT64_MAX)
		timer_stop(&d->timer);
	else if ((!timer_is_armed(&d->timer) || d->timer.due_us != next_us) &&
		 timer_start(&d->timer, d->loop, next_us, on_timer))
		log_error("deliver: out of memory for its timer: deliveries "
			  "wait for the next event");
}

void engine_run(struct deliver *d)
{
	if (d->running)
		return;
	d->running = true;
	turn_ring(d);
	d->running = false;
	arm(d);
}

static void take_due(struct deliver *d, int64_t now_us)
{
	uint32_t r = heap_first(&d->lanes);

	while (r && lanes_record(&d->lanes, r)->due_us <= now_us) {
		struct record *rec = lanes_record(&d->lanes, r);

		heap_take(&d->lanes, r);
		if (rec->state == RECORD_RESAVE)
			engine_resave(d, r);
		else
			queue_put(d, r);
		r = heap_first(&d->lanes);
	}
}

void deliver_turn(struct deliver *d)
{
	int64_t now_us = engine_now_us(d);

	assert(loop_is_mine(d->loop));
	take_due(d, now_us);
	LIST_EACH(&d->open, l, after)
	{
		struct endpoint *e = CONTAINER_OF(l, struct endpoint, open);

		if (e->breaker.open_until_us > now_us)
			continue;
		list_remove(l);
		engine_wake(d, e);
	}
	tokens_are_there(d, now_us);
	if (d->sweep_us <= now_us)
		sweep(d, now_us);
	if (d->doom_us <= now_us)
		engine_doom_step(d, now_us);
	if (d->reload_us <= now_us)
		engine_reload_step(d, now_us);
	engine_run(d);
}
