/**
 * test/unit/deliver_aid.h -- the engine with time by hand and a store in
 * memory.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_DELIVER_AID_H
#define TEST_UNIT_DELIVER_AID_H

/* Needs cmocka.h. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "deliver/deliver.h"
#include "deliver_fake_store.h"

#define S ((int64_t)CLOCK_US_PER_S)

enum { MAX_ATTEMPTS = 4096 };

static int64_t clock_us;
static int64_t wall_ms;

static inline int64_t now_us(void)
{
	return clock_us;
}

static inline int64_t unix_ms(void)
{
	return wall_ms + clock_us / CLOCK_US_PER_MS;
}

/** The engine, its store, and the attempts under way. */
struct rig {
	struct loop *loop;
	struct store store;
	struct deliver *d;
	struct deliver_config config;
	struct deliver_attempt *open[MAX_ATTEMPTS]; /* by start */
	struct deliver_attempt seen[MAX_ATTEMPTS];
	unsigned n_open, n_seen;
	unsigned ended[DELIVERY_STATE_N];
	unsigned n_forgotten;
	char facts[16];
};

static inline void on_attempt(struct deliver_attempt *a, void *arg)
{
	struct rig *g = arg;

	assert_true(g->n_open < MAX_ATTEMPTS && g->n_seen < MAX_ATTEMPTS);
	g->open[g->n_open++] = a;
	g->seen[g->n_seen++] = *a;
	snprintf(g->facts, sizeof(g->facts), "%s", a->facts);
}

static inline void on_ended(uint64_t delivery, enum delivery_state state,
			    void *arg)
{
	struct rig *g = arg;

	assert_int_equal(fake_row(&g->store, delivery)->state, state);
	g->ended[state]++;
}

static inline void on_forgotten(uint64_t endpoint, void *arg)
{
	struct rig *g = arg;

	assert_int_equal(fake_removal(&g->store, endpoint)->up_to, 0);
	g->n_forgotten++;
}

static const struct deliver_events events = {
	.attempt = on_attempt, .ended = on_ended, .forgotten = on_forgotten};

static inline int rig_start(struct rig *g)
{
	return deliver_new(g->loop, &g->store, &g->config, &events, g, &g->d);
}

static inline void rig_init(struct rig *g)
{
	*g = (struct rig){.config = {.now_us = now_us,
				     .unix_ms = unix_ms,
				     .no_jitter = true}};
	clock_us = 1000 * S;
	wall_ms = 1700000000000;
	assert_int_equal(loop_new(&g->loop), 0);
	fake_init(&g->store);
	assert_int_equal(rig_start(g), 0);
}

static inline void rig_fini(struct rig *g)
{
	deliver_free(g->d);
	fake_fini(&g->store);
	loop_free(g->loop);
}

static inline void rig_restart(struct rig *g)
{
	deliver_free(g->d);
	fake_crash(&g->store);
	g->n_open = 0;
	assert_int_equal(rig_start(g), 0);
}

static inline struct deliver_endpoint endpoint(uint64_t id, const char *retry,
					       enum deliver_order order)
{
	struct deliver_endpoint e = {.id = id,
				     .app = 1,
				     .order = order,
				     .expire_us = 7 * 86400 * S,
				     .max_in_flight = 8};

	snprintf(e.name, sizeof(e.name), "e%u", (unsigned)id);
	assert_int_equal(deliver_retry_parse(retry, &e.retry, &(struct err){0}),
			 0);
	return e;
}

static inline void declare(struct rig *g, uint64_t id, const char *retry,
			   enum deliver_order order)
{
	struct deliver_endpoint e = endpoint(id, retry, order);

	assert_int_equal(deliver_set_endpoint(g->d, &e), 0);
}

static inline uint64_t add_row(struct rig *g, uint64_t to, uint64_t lane,
			       struct delivery_row *row)
{
	*row = (struct delivery_row){.event = g->store.n_rows + 1,
				     .endpoint = to,
				     .lane = lane,
				     .app = 1,
				     .created_ms = unix_ms(),
				     .due_ms = unix_ms()};
	row->id = fake_put(&g->store, row);
	return row->id;
}

static inline uint64_t add(struct rig *g, uint64_t to, uint64_t lane)
{
	struct delivery_row row;
	uint64_t id = add_row(g, to, lane, &row);

	deliver_add(g->d, &row, 1, id, "fresh", 5);
	return id;
}

/** Let time pass, dealing with what is due at its time. */
static inline void pass(struct rig *g, int64_t us)
{
	int64_t end_us = clock_us + us;

	while (deliver_next_us(g->d) <= end_us) {
		if (deliver_next_us(g->d) > clock_us)
			clock_us = deliver_next_us(g->d);
		deliver_turn(g->d);
		fake_answer_all(&g->store);
	}
	clock_us = end_us;
	deliver_turn(g->d);
	fake_answer_all(&g->store);
}

/** End the oldest attempt under way; not committed yet. */
static inline void finish_only(struct rig *g, enum deliver_verdict verdict,
			       int64_t retry_after_us)
{
	struct deliver_outcome o = {.verdict = verdict,
				    .status = verdict == VERDICT_OK ? 200 : 500,
				    .retry_after_us = retry_after_us};
	struct deliver_attempt *a = g->open[0];

	assert_true(g->n_open > 0);
	g->n_open--;
	memmove(g->open, g->open + 1, g->n_open * sizeof(*g->open));
	if (verdict != VERDICT_OK)
		snprintf(o.error, sizeof(o.error), "no");
	deliver_done(g->d, a, &o);
}

static inline void finish(struct rig *g, enum deliver_verdict verdict)
{
	finish_only(g, verdict, -1);
	fake_answer_all(&g->store);
}

static inline uint64_t pending(struct rig *g, uint64_t id)
{
	struct deliver_endpoint_stats s;

	return deliver_endpoint_stats(g->d, id, &s) ? s.pending : UINT64_MAX;
}

static inline void quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

#endif
