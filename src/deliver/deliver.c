/**
 * deliver/deliver.c -- the engine from outside: endpoints, start and stop,
 * deliveries that come in, stats.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/deliver.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "deliver/engine.h"

enum {
	MAX_IN_FLIGHT = 256,
	FACTS_CACHE_BYTES = 16 * 1024 * 1024,
	FIRST_ENDPOINTS = 16,
};

/** Of endpoints that are not declared (any more). */
static const int64_t undeclared_expire_us = 7 * 86400 * (int64_t)CLOCK_US_PER_S;

int64_t engine_now_us(const struct deliver *d)
{
	return d->config.now_us ? d->config.now_us() : loop_now_us(d->loop);
}

int64_t engine_unix_ms(const struct deliver *d)
{
	return d->config.unix_ms ? d->config.unix_ms() : clock_unix_ms();
}

/* ---- endpoints ------------------------------------------------------------ */

struct endpoint *engine_endpoint(const struct deliver *d, uint32_t number)
{
	assert(number && number <= d->n_endpoints);
	assert(d->endpoints[number - 1]);
	return d->endpoints[number - 1];
}

struct endpoint *engine_endpoint_of(const struct deliver *d,
				    const struct record *rec)
{
	return engine_endpoint(d, lanes_lane(&d->lanes, rec->lane)->endpoint);
}

struct endpoint *engine_find_endpoint(const struct deliver *d, uint64_t id)
{
	struct map_node *n = map_find(&d->by_id, &id, sizeof(id));

	return n ? CONTAINER_OF(n, struct endpoint, node) : NULL;
}

/** A free place in d->endpoints, from 0.  Returns 0 or ENOMEM. */
static int find_place(struct deliver *d, uint32_t *place)
{
	uint32_t cap =
		d->cap_endpoints ? 2 * d->cap_endpoints : FIRST_ENDPOINTS;
	struct endpoint **es;

	*place = 0;
	while (*place < d->n_endpoints && d->endpoints[*place])
		++*place;
	if (*place < d->cap_endpoints)
		return 0;
	es = mem_realloc(d->endpoints, cap * sizeof(struct endpoint *));
	if (!es)
		return ENOMEM;
	d->endpoints = es;
	d->cap_endpoints = cap;
	return 0;
}

struct endpoint *engine_need_endpoint(struct deliver *d, uint64_t id)
{
	struct endpoint *e = engine_find_endpoint(d, id);
	uint32_t place;

	if (e)
		return e;
	if (find_place(d, &place))
		return NULL;
	e = mem_zalloc(sizeof(*e));
	if (!e)
		return NULL;
	e->conf.id = id;
	e->conf.expire_us = undeclared_expire_us;
	e->number = place + 1;
	e->oldest_next_us = INT64_MAX;
	if (map_add(&d->by_id, &e->node, &e->conf.id, sizeof(e->conf.id))) {
		mem_free(e);
		return NULL;
	}
	d->endpoints[place] = e;
	d->n_endpoints += place == d->n_endpoints;
	return e;
}

void engine_free_endpoint(struct deliver *d, struct endpoint *e)
{
	assert(!e->pending && !e->in_flight && !e->row_saving);
	engine_forgive(e);
	engine_rest(d, e);
	list_remove(&e->limited);
	map_remove(&d->by_id, &e->node);
	d->endpoints[e->number - 1] = NULL;
	mem_free(e);
}

/** The order was switched off: everything of it goes by itself. */
static void loosen_all(struct deliver *d, const struct endpoint *e)
{
	for (uint32_t r = 1; r <= pool_last(&d->lanes.records); r++) {
		struct record *rec = lanes_record(&d->lanes, r);

		if (rec->state == RECORD_FREE || !rec->ordered ||
		    engine_endpoint_of(d, rec) != e)
			continue;
		lane_loosen(&d->lanes, r);
		if (rec->state == RECORD_IDLE)
			engine_schedule(d, r);
	}
}

/** The smaller one of both, 0: no limit. */
static void apply_rate(struct deliver *d, struct endpoint *e)
{
	uint32_t own = e->conf.per_minute, allowed = e->allowed_per_minute;

	rate_set(&e->rate, !own || (allowed && allowed < own) ? allowed : own,
		 engine_now_us(d));
	list_remove(&e->limited); /* its token may come sooner */
}

void engine_forgive(struct endpoint *e)
{
	e->era++;
	e->gone = false;
	if (e->breaker.state != BREAKER_CLOSED)
		counter_add(COUNT_breaker_open, -1);
	e->breaker = (struct breaker){.first_us = e->conf.probe_us,
				      .most_us = e->conf.probe_max_us};
	list_remove(&e->open);
}

int deliver_set_endpoint(struct deliver *d, const struct deliver_endpoint *conf)
{
	struct endpoint *e = engine_need_endpoint(d, conf->id);
	enum deliver_order before;

	assert(loop_is_mine(d->loop));
	assert(conf->max_in_flight >= 1 && conf->max_in_flight <= 64);
	assert(conf->retry.n <= DELIVER_DELAYS_MAX);
	if (!e)
		return ENOMEM;
	before = e->conf.order;
	e->conf = *conf;
	e->declared = true;
	e->forgotten = false;
	engine_forgive(e);
	apply_rate(d, e);
	if (e->removed)
		engine_doom(d);
	if (before != ORDER_NONE && conf->order == ORDER_NONE)
		loosen_all(d, e);
	engine_wake(d, e);
	engine_run(d);
	return 0;
}

void deliver_set_rate(struct deliver *d, uint64_t endpoint, uint32_t per_minute)
{
	struct endpoint *e = engine_find_endpoint(d, endpoint);

	assert(loop_is_mine(d->loop));
	assert(e);
	e->allowed_per_minute = per_minute;
	apply_rate(d, e);
	if (e->in_flight)
		rate_empty(&e->rate, engine_now_us(d));
	engine_wake(d, e);
	engine_run(d);
}

void deliver_hold(struct deliver *d, uint64_t endpoint, bool held)
{
	struct endpoint *e = engine_find_endpoint(d, endpoint);

	assert(loop_is_mine(d->loop));
	assert(e);
	e->held = held;
	if (held)
		return;
	engine_wake(d, e);
	engine_run(d);
}

void engine_come_back(struct deliver *d, uint64_t endpoint)
{
	struct endpoint *e = engine_find_endpoint(d, endpoint);

	if (!e || (!e->gone && e->breaker.state != BREAKER_OPEN))
		return;
	e->gone = false;
	breaker_allow(&e->breaker);
	list_remove(&e->open);
	log_info("app=%u endpoint=%s is attempted again", (unsigned)e->conf.app,
		 e->conf.name);
	engine_wake(d, e);
	engine_run(d);
}

void deliver_is_well(struct deliver *d, uint64_t endpoint)
{
	struct endpoint *e = engine_find_endpoint(d, endpoint);

	assert(loop_is_mine(d->loop));
	if (!e || e->breaker.state == BREAKER_CLOSED)
		return;
	engine_tell_breaker(d, e, BREAKER_OK, "");
	engine_wake(d, e);
	engine_run(d);
}

static int64_t to_unix_ms(const struct deliver *d, int64_t us)
{
	return engine_unix_ms(d) + (us - engine_now_us(d)) / CLOCK_US_PER_MS;
}

bool deliver_endpoint_stats(const struct deliver *d, uint64_t endpoint,
			    struct deliver_endpoint_stats *out)
{
	const struct endpoint *e = engine_find_endpoint(d, endpoint);

	if (!e)
		return false;
	*out = (struct deliver_endpoint_stats){
		.breaker = e->breaker.state,
		.gone = e->gone,
		.held = e->held,
		.limited = e->ready_head && link_is_on_list(&e->limited),
		.per_minute = e->rate.per_minute,
		.in_flight = e->in_flight,
		.failures_in_row = e->breaker.failures,
		.pending = e->pending,
		.delivered_minute =
			tally_minute(&e->delivered, engine_now_us(d)),
		.next_probe_ms =
			e->breaker.state == BREAKER_OPEN
				? to_unix_ms(d, e->breaker.open_until_us)
				: 0,
		.failing_since_ms = e->failing_since_ms,
		.oldest_created_ms =
			e->pending ? to_unix_ms(d, e->oldest_us) : 0,
	};
	return true;
}

/* ---- deliveries ----------------------------------------------------------- */

bool engine_is_expired(const struct deliver *d, const struct record *rec,
		       int64_t now_us)
{
	return now_us - rec->created_us >=
	       engine_endpoint_of(d, rec)->conf.expire_us;
}

/** Wall time of creation on the monotonic clock; not in the future. */
static int64_t created_us(const struct deliver *d, int64_t created_ms)
{
	int64_t age_ms = engine_unix_ms(d) - created_ms;

	if (age_ms < 0)
		age_ms = 0;
	if (age_ms > INT64_MAX / 2 / CLOCK_US_PER_MS)
		age_ms = INT64_MAX / 2 / CLOCK_US_PER_MS;
	return engine_now_us(d) - age_ms * CLOCK_US_PER_MS;
}

static void enter_lane(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);

	if (rec->late || engine_endpoint_of(d, rec)->conf.order == ORDER_NONE) {
		engine_schedule(d, r);
		return;
	}
	lane_order(&d->lanes, r);
	/* An older one came in front of a head that waited. */
	if (rec->next && !rec->prev)
		engine_unschedule(d, rec->next);
	engine_lane_on(d, rec->lane);
}

int engine_take(struct deliver *d, const struct pending_row *row, unsigned ever)
{
	struct endpoint *e;
	struct record *rec;
	uint32_t r;

	if (lanes_find(&d->lanes, row->id))
		return 0;
	e = engine_need_endpoint(d, row->endpoint);
	if (!e)
		return ENOMEM;
	r = lanes_add(&d->lanes, row->id, e->number, row->lane);
	if (!r)
		return ENOMEM;
	rec = lanes_record(&d->lanes, r);
	rec->event = row->event;
	rec->attempts = row->attempts;
	rec->ever = ever;
	rec->late = row->late;
	rec->created_us = created_us(d, row->created_ms);
	rec->due_us =
		engine_now_us(d) +
		schedule_loaded(&e->conf.retry, row->attempts,
				row->last_ms ? row->due_ms - row->last_ms : 0,
				row->due_ms, engine_unix_ms(d));
	if (!e->pending++ || rec->created_us < e->oldest_us)
		e->oldest_us = rec->created_us;
	if (rec->created_us < e->oldest_next_us)
		e->oldest_next_us = rec->created_us;
	if (engine_is_doomed(e, rec))
		engine_doom(d);
	enter_lane(d, r);
	return 0;
}

void engine_forget(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e = engine_endpoint_of(d, rec);
	uint32_t lane = rec->lane;
	bool is_last = lanes_lane(&d->lanes, lane)->n == 1;

	engine_reload_note(d, rec->id);
	facts_unwant(&d->facts, rec->event);
	e->pending--;
	lane_loosen(&d->lanes, r);
	lanes_remove(&d->lanes, r);
	if (!is_last)
		engine_lane_on(d, lane);
}

void deliver_add(struct deliver *d, const struct delivery_row *rows, size_t n,
		 uint64_t task_seq, const char *facts, size_t facts_len)
{
	assert(loop_is_mine(d->loop));
	if (n)
		facts_put(&d->facts, rows[0].event, task_seq, facts, facts_len,
			  (unsigned)n);
	for (size_t i = 0; i < n; i++) {
		const struct delivery_row *row = &rows[i];
		const struct pending_row p = {
			.id = row->id,
			.event = row->event,
			.endpoint = row->endpoint,
			.lane = row->lane,
			.created_ms = row->created_ms,
		};

		assert(row->event == rows[0].event);
		if (engine_take(d, &p, 0))
			engine_reload_soon(d);
	}
	engine_run(d);
}

/* ---- start and stop ------------------------------------------------------- */

static int take_loaded(const struct pending_row *row, void *arg)
{
	return engine_take(arg, row, row->attempts_ever);
}

int deliver_load(struct deliver *d)
{
	int err;

	assert(loop_is_mine(d->loop));
	err = engine_load_removals(d);
	if (!err)
		err = store_each_pending(d->store, take_loaded, d);
	if (err)
		return err;
	if (d->lanes.records.n)
		log_info("deliveries loaded pending=%u lanes=%u",
			 d->lanes.records.n, d->lanes.lanes.n);
	engine_run(d);
	return 0;
}

int deliver_new(struct loop *loop, struct store *store,
		const struct deliver_config *config,
		const struct deliver_events *events, void *arg,
		struct deliver **out)
{
	struct deliver *d = mem_zalloc(sizeof(*d));

	if (!d)
		return ENOMEM;
	d->loop = loop;
	d->store = store;
	d->config = *config;
	if (!d->config.max_in_flight)
		d->config.max_in_flight = MAX_IN_FLIGHT;
	if (!d->config.facts_cache_bytes)
		d->config.facts_cache_bytes = FACTS_CACHE_BYTES;
	d->events = *events;
	d->arg = arg;
	lanes_init(&d->lanes);
	facts_init(&d->facts, d->config.facts_cache_bytes);
	map_init(&d->by_id);
	list_init(&d->run);
	list_init(&d->open);
	list_init(&d->limited);
	list_init(&d->flights);
	list_init(&d->replays);
	list_init(&d->removals);
	/* The map's hash is seeded at start: no two processes alike. */
	d->random = config->seed ? config->seed : map_hash(&d, sizeof(d));
	d->reload_us = INT64_MAX;
	d->doom_us = INT64_MAX;
	d->sweep_us = INT64_MAX;
	*out = d;
	return 0;
}

/** What the store will still answer outlives the engine. */
static void let_go(struct deliver *d)
{
	LIST_EACH(&d->flights, l, after)
	{
		struct flight *f = CONTAINER_OF(l, struct flight, link);

		list_remove(l);
		engine_let_go(f);
	}
	LIST_EACH(&d->replays, l, after)
	{
		list_remove(l);
		CONTAINER_OF(l, struct replay, link)->d = NULL;
	}
	engine_reload_stop(d);
	engine_removals_stop(d);
}

void deliver_free(struct deliver *d)
{
	if (!d)
		return;
	assert(loop_is_mine(d->loop));
	timer_stop(&d->timer);
	let_go(d);
	facts_fini(&d->facts);
	lanes_fini(&d->lanes);
	map_fini(&d->by_id);
	for (uint32_t i = 0; i < d->n_endpoints; i++) {
		if (d->endpoints[i])
			engine_forgive(d->endpoints[i]);
		mem_free(d->endpoints[i]);
	}
	mem_free(d->endpoints);
	mem_free(d);
}

unsigned deliver_in_flight(const struct deliver *d)
{
	return d->n_flying - d->n_loading + d->n_saving;
}

void deliver_pause(struct deliver *d)
{
	d->paused = true;
}
