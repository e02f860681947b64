/**
 * test/unit/deliver_fake_store.h -- a store in memory for tests of deliver:
 * answers when told to, fails on demand, loses what was not committed.
 *
 * It defines what deliver calls of store/store.h; the real one is not linked
 * then.  Reads are answered with what was there when they were asked.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_DELIVER_FAKE_STORE_H
#define TEST_UNIT_DELIVER_FAKE_STORE_H

#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"

enum { FAKE_OPS = 4, FAKE_ROWS = 2600, FAKE_REMOVALS = 512 };

struct fake_row {
	struct delivery_row d;
	unsigned n_attempts;
};

struct store_write {
	struct delivery_row set[FAKE_OPS];
	struct attempt_row put[FAKE_OPS];
	size_t n_set, n_put;
	bool replay;
	struct store_filter filter;
	int64_t now_ms;
	struct removal_row removal;
	bool has_removal; /* up_to 0: delete it */
	int kept;	  /* endpoints put, less those deleted */
};

/** Something the store has been asked and has not answered. */
struct fake_job {
	struct link link;
	struct store_write *w; /* or */
	struct store_rows rows;
	store_done_fn *done;
	store_rows_fn *rows_done;
	void *arg;
};

struct store {
	struct link jobs;
	struct fake_row rows[FAKE_ROWS]; /* by id - 1 */
	size_t n_rows;
	size_t n_taken; /* ids of rows that are not there yet */
	int fail;	/* commits fail with this */
	int fail_reads; /* reads too */
	uint64_t lost_event;
	struct removal_row removals[FAKE_REMOVALS]; /* up_to 0: none */
	size_t n_removals;
	unsigned n_kept; /* endpoints put, less those deleted */
	unsigned commits, reads;
};

static void fake_init(struct store *s)
{
	*s = (struct store){0};
	list_init(&s->jobs);
}

/** Insert a delivery; ids count from 1. */
static uint64_t fake_put(struct store *s, const struct delivery_row *d)
{
	assert(s->n_rows < FAKE_ROWS);
	s->rows[s->n_rows] = (struct fake_row){.d = *d};
	s->rows[s->n_rows].d.id = s->n_rows + 1;
	s->n_taken = 0;
	return ++s->n_rows;
}

static struct delivery_row *fake_row(struct store *s, uint64_t id)
{
	assert(id && id <= s->n_rows);
	return &s->rows[id - 1].d;
}

/** An endpoint's row; up_to 0: it has none. */
static struct removal_row *fake_removal(struct store *s, uint64_t endpoint)
{
	size_t i = 0;

	while (i < s->n_removals && s->removals[i].endpoint != endpoint)
		i++;
	assert(i < FAKE_REMOVALS);
	if (i == s->n_removals)
		s->removals[s->n_removals++] =
			(struct removal_row){.endpoint = endpoint};
	return &s->removals[i];
}

static bool fake_matches(const struct store_filter *f,
			 const struct delivery_row *d)
{
	return (!f->id || f->id == d->id) && d->id > f->after &&
	       (!f->endpoint || f->endpoint == d->endpoint) &&
	       (!f->task || f->task == d->lane) &&
	       (f->state < 0 || (int)d->state == f->state);
}

static void fake_carry_out(struct store *s, const struct store_write *w,
			   struct store_result *r)
{
	for (size_t i = 0; i < w->n_set; i++) {
		struct delivery_row *d = fake_row(s, w->set[i].id);
		struct delivery_row old = *d;

		*d = w->set[i];
		d->created_ms = old.created_ms;
		assert(d->event == old.event && d->lane == old.lane);
		assert(d->attempts_ever >= old.attempts_ever);
	}
	for (size_t i = 0; i < w->n_put; i++) {
		struct fake_row *row = &s->rows[w->put[i].delivery - 1];

		assert(w->put[i].n == ++row->n_attempts);
	}
	s->n_kept += (unsigned)w->kept;
	if (w->has_removal)
		*fake_removal(s, w->removal.endpoint) = w->removal;
	for (size_t i = 0; w->replay && i < s->n_rows; i++) {
		struct delivery_row *d = &s->rows[i].d;

		if (w->filter.limit && r->changed == w->filter.limit)
			break;
		if (!fake_matches(&w->filter, d) ||
		    (d->state != DELIVERY_DEAD && d->state != DELIVERY_EXPIRED))
			continue;
		d->state = DELIVERY_PENDING;
		d->attempts = 0;
		d->late = false;
		d->created_ms = w->now_ms;
		d->due_ms = w->now_ms;
		r->changed++;
		r->last = d->id;
	}
}

/** Answer up to `n` of what was asked, oldest first. */
static void fake_answer(struct store *s, size_t n)
{
	struct link *l = list_first(&s->jobs);

	for (; l && n; n--) {
		struct fake_job *j = CONTAINER_OF(l, struct fake_job, link);

		list_remove(l);
		if (j->rows_done) {
			j->rows_done(&j->rows, j->arg);
		} else {
			struct store_result r = {.err = s->fail};

			if (!j->w)
				r.err = ENOMEM;
			if (!r.err)
				fake_carry_out(s, j->w, &r);
			s->commits += !r.err;
			store_write_free(j->w);
			j->done(&r, j->arg);
		}
		free(j);
		l = list_first(&s->jobs);
	}
}

static void fake_answer_all(struct store *s)
{
	while (!list_is_empty(&s->jobs))
		fake_answer(s, 1);
}

/** What is not committed is lost; the engine has been freed already. */
static void fake_crash(struct store *s)
{
	int fail = s->fail;

	s->fail = EIO;
	fake_answer_all(s);
	s->fail = fail;
	s->n_taken = 0;
}

static void fake_fini(struct store *s)
{
	fake_crash(s);
}

/* ---- what deliver calls ---- */

struct store_write *store_write_new(void)
{
	return mem_zalloc(sizeof(struct store_write));
}

void store_write_free(struct store_write *w)
{
	mem_free(w);
}

void store_set_delivery(struct store_write *w, const struct delivery_row *d)
{
	assert(w->n_set < FAKE_OPS);
	w->set[w->n_set++] = *d;
}

void store_put_attempt(struct store_write *w, const struct attempt_row *a)
{
	assert(w->n_put < FAKE_OPS);
	w->put[w->n_put++] = *a;
}

void store_replay(struct store_write *w, const struct store_filter *f,
		  int64_t now_ms)
{
	w->replay = true;
	w->filter = *f;
	w->now_ms = now_ms;
}

void store_put_removal(struct store_write *w, const struct removal_row *r)
{
	w->removal = *r;
	w->has_removal = true;
}

void store_delete_removal(struct store_write *w, uint64_t endpoint)
{
	w->removal = (struct removal_row){.endpoint = endpoint};
	w->has_removal = true;
}

void store_put_endpoint(struct store_write *w, const struct endpoint_row *e)
{
	assert(e->settings && e->name[0]);
	w->kept++;
}

void store_delete_endpoint(struct store_write *w, uint64_t id)
{
	(void)id;
	w->kept--;
}

int store_each_endpoint(struct store *s,
			int (*fn)(const struct endpoint_row *row, void *arg),
			void *arg)
{
	(void)s;
	(void)fn;
	(void)arg;
	return 0;
}

uint64_t store_next_id(struct store *s, enum store_ids kind)
{
	return kind == IDS_DELIVERY ? s->n_rows + ++s->n_taken : 1;
}

uint64_t store_last_id(const struct store *s, enum store_ids kind)
{
	return kind == IDS_DELIVERY ? s->n_rows + s->n_taken : 1;
}

int store_each_removal(struct store *s,
		       int (*fn)(const struct removal_row *row, void *arg),
		       void *arg)
{
	int err = 0;

	for (size_t i = 0; i < s->n_removals && !err; i++) {
		if (s->removals[i].up_to)
			err = fn(&s->removals[i], arg);
	}
	return err;
}

void store_commit(struct store *s, struct store_write *w, struct loop *loop,
		  store_done_fn *done, void *arg)
{
	struct fake_job *j = calloc(1, sizeof(*j));

	(void)loop;
	assert(j);
	j->w = w;
	j->done = done;
	j->arg = arg;
	list_append(&s->jobs, &j->link);
}

static void fake_read_deliveries(struct store *s, const struct store_filter *f,
				 struct store_rows *out)
{
	out->deliveries = calloc(f->limit, sizeof(*out->deliveries));
	assert(out->deliveries);
	for (size_t i = 0; i < s->n_rows; i++) {
		if (!fake_matches(f, &s->rows[i].d))
			continue;
		if (out->n == f->limit) {
			out->more = true;
			return;
		}
		out->deliveries[out->n++] = s->rows[i].d;
	}
}

int store_query(struct store *s, const struct store_filter *f,
		struct loop *loop, store_rows_fn *done, void *arg)
{
	struct fake_job *j;

	(void)loop;
	if (s->fail_reads == ENOMEM)
		return ENOMEM;
	j = calloc(1, sizeof(*j));
	assert(j);
	s->reads++;
	j->rows.err = s->fail_reads;
	if (!s->fail_reads && f->what == READ_DELIVERIES) {
		fake_read_deliveries(s, f, &j->rows);
	} else if (!s->fail_reads && f->id != s->lost_event) {
		j->rows.events = calloc(1, sizeof(*j->rows.events));
		assert(j->rows.events);
		j->rows.n = 1;
		j->rows.events[0].id = f->id;
		j->rows.events[0].facts = strdup("read");
		j->rows.events[0].facts_len = 4;
		j->rows.events[0].task_seq = f->id + 1000;
	}
	j->rows_done = done;
	j->arg = arg;
	list_append(&s->jobs, &j->link);
	return 0;
}

void store_rows_free(struct store_rows *rows)
{
	for (size_t i = 0; rows->events && i < rows->n; i++) {
		union {
			const char *in;
			char *out;
		} u = {.in = rows->events[i].facts};

		free(u.out);
	}
	free(rows->events);
	free(rows->deliveries);
}

int store_each_pending(struct store *s,
		       int (*fn)(const struct pending_row *row, void *arg),
		       void *arg)
{
	int err = 0;

	for (size_t i = 0; i < s->n_rows && !err; i++) {
		const struct delivery_row *d = &s->rows[i].d;
		const struct pending_row p = {
			.id = d->id,
			.event = d->event,
			.endpoint = d->endpoint,
			.lane = d->lane,
			.due_ms = d->due_ms,
			.created_ms = d->created_ms,
			.last_ms = d->last_ms,
			.attempts = d->attempts,
			.late = d->late,
			.attempts_ever = d->attempts_ever,
		};

		if (d->state == DELIVERY_PENDING)
			err = fn(&p, arg);
	}
	return err;
}

#endif
