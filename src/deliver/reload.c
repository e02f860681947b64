/**
 * deliver/reload.c -- replay, and finding pending rows that are not in
 * memory.
 *
 * DESIGN  One search at a time, in pages.  A page is older than memory when
 *         it comes: a delivery that has ended in between still looks
 *         pending in it.  So what leaves memory while a page is read is
 *         noted, and not taken from that page.
 *         A replay is carried out in slices, each a write, so that no mass
 *         holds the store thread: the dead ones by id, then the expired ones.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/engine.h"

#include <assert.h>
#include <errno.h>

#include "base/log.h"
#include "base/mem.h"

enum {
	PAGE_ROWS = 500,
	FIRST_LEFT = 64,
	LEFT_MAX = 100000,
	REPLAY_ROWS = 1000 /* in one write: others wait meanwhile */
};

#define SOON_US (30 * (int64_t)1000000)

static void free_reload(struct reload *rl)
{
	mem_free(rl->left);
	mem_free(rl);
}

void engine_reload_soon(struct deliver *d)
{
	int64_t at_us = engine_now_us(d) + SOON_US;

	d->reload_all = true;
	if (at_us < d->reload_us)
		d->reload_us = at_us;
}

void deliver_rescan(struct deliver *d)
{
	assert(loop_is_mine(d->loop));
	d->reload_all = true;
	if (!d->reload)
		engine_reload_step(d, engine_now_us(d));
	engine_run(d);
}

void engine_reload_note(struct deliver *d, uint64_t delivery)
{
	struct reload *rl = d->reload;

	if (!rl || !d->reload_reading || rl->spoilt)
		return;
	if (rl->n_left == rl->cap_left) {
		size_t cap = rl->cap_left ? 2 * rl->cap_left : FIRST_LEFT;
		uint64_t *left = NULL;

		if (cap <= LEFT_MAX)
			left = mem_realloc(rl->left, cap * sizeof(*left));
		if (!left) {
			rl->spoilt = true;
			return;
		}
		rl->left = left;
		rl->cap_left = cap;
	}
	rl->left[rl->n_left++] = delivery;
}

static bool has_left(const struct reload *rl, uint64_t delivery)
{
	for (size_t i = 0; i < rl->n_left; i++)
		if (rl->left[i] == delivery)
			return true;
	return false;
}

static int take_page(struct deliver *d, struct reload *rl,
		     const struct store_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct delivery_row *row = &rows->deliveries[i];
		const struct pending_row p = {
			.id = row->id,
			.event = row->event,
			.endpoint = row->endpoint,
			.lane = row->lane,
			.due_ms = row->due_ms,
			.created_ms = row->created_ms,
			.last_ms = row->last_ms,
			.attempts = row->attempts,
			.late = row->late,
		};

		if (row->state == DELIVERY_PENDING && !has_left(rl, row->id) &&
		    engine_take(d, &p, row->attempts_ever))
			return ENOMEM;
		rl->filter.after = row->id;
	}
	return 0;
}

static void on_page(struct store_rows *rows, void *arg)
{
	struct reload *rl = arg;
	struct deliver *d = rl->d;
	int64_t now_us;
	int err = rows->err;

	if (!d) {
		store_rows_free(rows);
		free_reload(rl);
		return;
	}
	now_us = engine_now_us(d);
	d->reload_reading = false;
	if (!err && !rl->spoilt)
		err = take_page(d, rl, rows);
	if (err) {
		log_warn("deliver: reading pending deliveries failed: error "
			 "%d, again in 1 s",
			 err);
		d->reload_us = now_us + ENGINE_AGAIN_US;
	} else if (rl->spoilt || rows->more) {
		d->reload_us = now_us;
	} else {
		d->reload = NULL;
		free_reload(rl);
		if (d->reload_all)
			d->reload_us = now_us;
	}
	store_rows_free(rows);
	if (d->reload_us <= now_us)
		engine_reload_step(d, now_us);
	engine_run(d);
}

static void read_page(struct deliver *d, int64_t now_us)
{
	struct reload *rl = d->reload;

	rl->n_left = 0;
	rl->spoilt = false;
	d->reload_reading = true;
	d->reload_us = INT64_MAX;
	if (!store_query(d->store, &rl->filter, d->loop, on_page, rl))
		return;
	d->reload_reading = false;
	d->reload_us = now_us + ENGINE_AGAIN_US;
}

static void begin(struct deliver *d, const struct store_filter *f,
		  int64_t now_us)
{
	struct reload *rl;

	if (d->reload) {
		d->reload_all = true;
		return;
	}
	rl = mem_zalloc(sizeof(*rl));
	if (!rl) {
		engine_reload_soon(d);
		return;
	}
	rl->d = d;
	rl->filter = (struct store_filter){
		.what = READ_DELIVERIES,
		.id = f->id,
		.task = f->task,
		.endpoint = f->endpoint,
		.app = f->app,
		.state = DELIVERY_PENDING,
		.limit = PAGE_ROWS,
	};
	d->reload = rl;
	read_page(d, now_us);
}

void engine_reload_step(struct deliver *d, int64_t now_us)
{
	const struct store_filter all = {0};

	d->reload_us = INT64_MAX;
	if (d->reload) {
		if (!d->reload_reading)
			read_page(d, now_us);
	} else if (d->reload_all) {
		d->reload_all = false;
		begin(d, &all, now_us);
	}
}

void engine_reload_stop(struct deliver *d)
{
	if (!d->reload)
		return;
	if (d->reload_reading)
		d->reload->d = NULL; /* on_page frees it */
	else
		free_reload(d->reload);
	d->reload = NULL;
}

/* ---- replay --------------------------------------------------------------- */

static void replay_slice(struct replay *rp);

/** Put the filter of the next slice; false when there is none. */
static bool next_slice(struct replay *rp, const struct store_result *r)
{
	struct store_filter *f = &rp->slice;

	if (r->changed == f->limit) {
		f->after = r->last;
	} else if (rp->wanted.state == -1 && f->state == DELIVERY_DEAD) {
		f->state = DELIVERY_EXPIRED;
		f->after = rp->wanted.after;
	} else {
		return false;
	}
	f->limit = REPLAY_ROWS;
	if (!rp->wanted.limit)
		return true;
	if (rp->wanted.limit - rp->changed < f->limit)
		f->limit = (uint32_t)(rp->wanted.limit - rp->changed);
	return f->limit > 0;
}

static void end_replay(struct replay *rp, const struct store_result *r)
{
	struct store_result all = *r;
	struct deliver *d = rp->d;

	all.changed = rp->changed;
	list_remove(&rp->link);
	if (rp->changed) {
		begin(d, &rp->wanted, engine_now_us(d));
		engine_run(d);
	}
	if (rp->done)
		rp->done(&all, rp->arg);
	mem_free(rp);
}

static void on_replayed(const struct store_result *r, void *arg)
{
	struct replay *rp = arg;

	if (!rp->d) {
		mem_free(rp);
		return;
	}
	if (!r->err)
		rp->changed += r->changed;
	if (!r->err && next_slice(rp, r))
		replay_slice(rp);
	else
		end_replay(rp, r);
}

static void replay_slice(struct replay *rp)
{
	struct deliver *d = rp->d;
	struct store_write *w = store_write_new();

	if (w)
		store_replay(w, &rp->slice, engine_unix_ms(d));
	store_commit(d->store, w, d->loop, on_replayed, rp);
}

void deliver_replay(struct deliver *d, const struct store_filter *f,
		    store_done_fn *done, void *arg)
{
	struct replay *rp = mem_zalloc(sizeof(*rp));

	assert(loop_is_mine(d->loop));
	if (!rp) {
		const struct store_result r = {.err = ENOMEM};

		if (done)
			done(&r, arg);
		return;
	}
	if (f->endpoint)
		engine_come_back(d, f->endpoint);
	rp->d = d;
	rp->done = done;
	rp->arg = arg;
	rp->wanted = *f;
	rp->slice = *f;
	if (f->state == -1)
		rp->slice.state = DELIVERY_DEAD;
	if (!f->limit || f->limit > REPLAY_ROWS)
		rp->slice.limit = REPLAY_ROWS;
	list_append(&d->replays, &rp->link);
	replay_slice(rp);
}
