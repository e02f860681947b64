/**
 * deliver/removal.c -- endpoints that are taken out.
 *
 * WHAT  What is pending for such an endpoint expires; an attempt under way
 *       ends as it ends, and what it did not deliver expires then.
 * DESIGN
 *   - Doomed are the deliveries up to an id that is taken at the removal,
 *     and while the endpoint is not declared again, all.  So a name may be
 *     used again at once: what is new has a bigger id.
 *   - A row in the store says so, so that a restart goes on with it.  The row
 *     stays until the endpoint is declared again and nothing doomed is left:
 *     what is replayed to an endpoint that is gone expires again.  Of those
 *     that are not declared again, and have nothing pending, the last
 *     DELIVER_REMOVED_MAX are remembered: of more, the oldest one's row is
 *     deleted, and then the endpoint freed.
 *   - Passes over all records, in slices; at a time only so many writes that
 *     most of those that may wait are left to everybody else.  Until a pass
 *     gets to it, a doomed delivery is not attempted (turn.c).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/engine.h"

#include <assert.h>
#include <errno.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum { PASS_RECORDS = 16384 /* a slice */ };

#define ROOM_US	 (10 * (int64_t)1000) /* until writes are answered */
#define QUIET_US (1 * (int64_t)1000000)

const char engine_removed_text[] = "the endpoint was removed";

/** A change of an endpoint's row under way. */
struct saving {
	struct deliver *d; /* NULL: the engine is gone */
	struct link link;  /* deliver.removals */
	struct endpoint *endpoint;
	uint64_t up_to; /* 0: no row */
};

bool engine_is_doomed(const struct endpoint *e, const struct record *rec)
{
	return (e->removed && !e->declared) || rec->id <= e->doomed_to;
}

static void step_at(struct deliver *d, int64_t at_us)
{
	if (at_us < d->doom_us)
		d->doom_us = at_us;
}

void engine_doom(struct deliver *d)
{
	d->doom_at = 0;
	step_at(d, engine_now_us(d));
}

/* ---- the row --------------------------------------------------------------- */

static void on_row_saved(const struct store_result *r, void *arg)
{
	struct saving *s = arg;
	struct deliver *d = s->d;
	struct endpoint *e = s->endpoint;

	if (d) {
		list_remove(&s->link);
		e->row_saving = false;
		if (!r->err)
			e->row = s->up_to;
		else
			log_warn("app=%u endpoint=%s its removal cannot be "
				 "committed: %s; again in 1 s",
				 (unsigned)e->conf.app, e->conf.name, r->text);
		d->doom_at = 0;
		step_at(d, engine_now_us(d) + (r->err ? ENGINE_AGAIN_US : 0));
		engine_run(d);
	}
	mem_free(s);
}

/** What its row should be. */
static uint64_t wanted_row(const struct endpoint *e)
{
	return e->removed && !e->forgotten ? e->doomed_to : 0;
}

/** Make the row what it should be. */
static void save_row(struct deliver *d, struct endpoint *e)
{
	const uint64_t up_to = wanted_row(e);
	struct removal_row row = {
		.endpoint = e->conf.id, .app = e->conf.app, .up_to = up_to};
	struct store_write *w;
	struct saving *s;

	if (e->row_saving || e->row == up_to)
		return;
	w = store_write_new();
	s = mem_zalloc(sizeof(*s));
	if (!w || !s) {
		store_write_free(w);
		mem_free(s);
		step_at(d, engine_now_us(d) + ENGINE_AGAIN_US);
		return;
	}
	*s = (struct saving){.d = d, .endpoint = e, .up_to = up_to};
	list_append(&d->removals, &s->link);
	e->row_saving = true;
	str_copy(row.name, sizeof(row.name), e->conf.name);
	if (up_to)
		store_put_removal(w, &row);
	else
		store_delete_removal(w, e->conf.id);
	store_commit(d->store, w, d->loop, on_row_saved, s);
}

/* ---- passes ---------------------------------------------------------------- */

static void begin_pass(struct deliver *d)
{
	d->doom_progress = false;
	for (uint32_t i = 0; i < d->n_endpoints; i++) {
		struct endpoint *e = d->endpoints[i];

		if (!e)
			continue;
		save_row(d, e);
		e->n_doomed = 0;
		/* Writes of before the row are answered before it. */
		e->pass_counts =
			e->removed && !e->row_saving && e->row == wanted_row(e);
	}
}

static bool has_room(const struct deliver *d)
{
	return !d->paused && d->n_saving < d->config.max_in_flight;
}

static void doom_one(struct deliver *d, uint32_t r)
{
	struct record *rec = lanes_record(&d->lanes, r);
	struct endpoint *e;

	if (rec->state == RECORD_FREE)
		return;
	e = engine_endpoint_of(d, rec);
	if (!engine_is_doomed(e, rec))
		return;
	e->n_doomed++;
	if (rec->state > RECORD_READY)
		return;
	engine_unschedule(d, r);
	if (engine_expire(d, r, engine_removed_text)) {
		d->doom_progress = true;
		e->n_expired++;
	} else if (!rec->ordered ||
		   lanes_lane(&d->lanes, rec->lane)->head == r) {
		engine_schedule(d, r);
	}
}

static void say_over(struct endpoint *e)
{
	if (e->n_expired)
		log_info("app=%u endpoint=%s was removed: %llu pending "
			 "deliveries expired",
			 (unsigned)e->conf.app, e->conf.name,
			 (unsigned long long)e->n_expired);
	e->n_expired = 0;
}

static bool has_nothing(const struct endpoint *e)
{
	return !e->pending && !e->in_flight && !e->row_saving;
}

/** Too many are remembered: begin to forget the one that was taken out first,
 *  of those that have nothing. */
static void forget_oldest(struct deliver *d)
{
	struct endpoint *oldest = NULL;
	unsigned n = 0;

	for (uint32_t i = 0; i < d->n_endpoints; i++) {
		struct endpoint *e = d->endpoints[i];

		if (!e || !e->removed || e->declared || e->forgotten)
			continue;
		n++;
		if (has_nothing(e) &&
		    (!oldest || e->doomed_to < oldest->doomed_to))
			oldest = e;
	}
	if (n <= DELIVER_REMOVED_MAX || !oldest)
		return;
	oldest->forgotten = true;
	engine_doom(d); /* and so does the answer, when it has a row */
	save_row(d, oldest);
}

/** All that is doomed of an endpoint has expired. */
static void end_removal(struct deliver *d, struct endpoint *e)
{
	const uint64_t id = e->conf.id;

	say_over(e);
	if (e->declared) {
		e->removed = false;
		e->doomed_to = 0;
		save_row(d, e);
	} else if (e->forgotten && has_nothing(e)) {
		engine_free_endpoint(d, e);
		if (d->events.forgotten)
			d->events.forgotten(id, d->arg);
	}
}

static void end_pass(struct deliver *d, int64_t now_us)
{
	bool more = false;

	d->doom_at = 0;
	for (uint32_t i = 0; i < d->n_endpoints; i++) {
		struct endpoint *e = d->endpoints[i];

		if (!e)
			continue;
		more |= e->n_doomed > 0;
		if (e->pass_counts && !e->n_doomed)
			end_removal(d, e);
	}
	forget_oldest(d);
	if (more)
		step_at(d, now_us + (d->doom_progress ? ROOM_US : QUIET_US));
}

void engine_doom_step(struct deliver *d, int64_t now_us)
{
	uint32_t n = PASS_RECORDS;

	d->doom_us = INT64_MAX;
	if (!d->doom_at)
		begin_pass(d);
	while (n && has_room(d) && d->doom_at < pool_last(&d->lanes.records)) {
		doom_one(d, ++d->doom_at);
		n--;
	}
	if (d->doom_at >= pool_last(&d->lanes.records))
		end_pass(d, now_us);
	else
		step_at(d, now_us + (has_room(d) ? 0 : ROOM_US));
}

void engine_removals_stop(struct deliver *d)
{
	LIST_EACH(&d->removals, l, after)
	{
		list_remove(l);
		CONTAINER_OF(l, struct saving, link)->d = NULL;
	}
}

/* ---- from outside ----------------------------------------------------------- */

int deliver_remove_endpoint(struct deliver *d, uint64_t id)
{
	struct endpoint *e = engine_find_endpoint(d, id);

	assert(loop_is_mine(d->loop));
	if (!e || !e->declared)
		return ENOENT;
	engine_forgive(e);
	e->declared = false;
	e->removed = true;
	e->forgotten = false;
	/* All ids that were taken until now are smaller. */
	e->doomed_to = store_next_id(d->store, IDS_DELIVERY) - 1;
	save_row(d, e);
	engine_doom(d);
	engine_run(d);
	return 0;
}

void deliver_expire_up_to(struct deliver *d, uint64_t endpoint,
			  uint64_t delivery)
{
	struct endpoint *e = engine_find_endpoint(d, endpoint);

	assert(loop_is_mine(d->loop));
	assert(e && e->declared);
	e->removed = true;
	if (e->doomed_to < delivery)
		e->doomed_to = delivery;
	save_row(d, e);
	engine_doom(d);
	engine_run(d);
}

static int take_removal(const struct removal_row *row, void *arg)
{
	struct deliver *d = arg;
	struct endpoint *e = engine_need_endpoint(d, row->endpoint);
	/* An id that no row ever had may be taken again after a restart. */
	const uint64_t last = store_next_id(d->store, IDS_DELIVERY) - 1;

	if (!e)
		return ENOMEM;
	e->removed = true;
	e->row = row->up_to;
	e->doomed_to = row->up_to < last ? row->up_to : last;
	if (!e->declared) {
		e->conf.app = row->app;
		str_copy(e->conf.name, sizeof(e->conf.name), row->name);
	}
	engine_doom(d);
	return 0;
}

int engine_load_removals(struct deliver *d)
{
	return store_each_removal(d->store, take_removal, d);
}
