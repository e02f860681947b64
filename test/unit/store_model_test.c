/** test/unit/store_model_test.c -- random writes against a model in memory:
 *  rows and totals agree, also after reopening. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/io.h"
#include "store_aid.h"

enum { ROUNDS = 1500, DELIVERIES = 8192, TASKS = 6, ONCES = 200 };

enum { GONE = DELIVERY_STATE_N };

struct model {
	/* by id: state, GONE: no such row */
	int state[DELIVERIES];
	uint64_t task[DELIVERIES];
	uint64_t last;
	bool once[ONCES];
	struct store_totals totals;
	uint64_t first_task;
	uint32_t seed;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 17;
	m->seed ^= m->seed << 5;
	return m->seed % n;
}

static int64_t *total(struct model *m, int state)
{
	int64_t *all[] = {&m->totals.pending, &m->totals.delivered,
			  &m->totals.dead, &m->totals.expired};

	return all[state];
}

static void move(struct model *m, uint64_t id, int to)
{
	--*total(m, m->state[id]);
	++*total(m, to);
	m->state[id] = to;
}

/** An event with up to 3 deliveries, sometimes one that is there. */
static unsigned put(struct aid *a, struct model *m, struct store_write *w)
{
	struct delivery_row d[3];
	struct event_row e;
	char once[16];
	unsigned n = pick(m, 4);
	unsigned key = pick(m, 2 * ONCES);
	uint64_t task = m->first_task + pick(m, TASKS);
	bool repeated = key < ONCES && m->once[key];

	snprintf(once, sizeof(once), "once-%u", key);
	e = aid_event(a, task, 0, key < ONCES ? once : NULL);
	for (unsigned i = 0; i < n; i++) {
		d[i] = aid_delivery(a, task, 1 + pick(m, 3));
		assert_true(d[i].id < DELIVERIES);
		m->last = d[i].id;
		m->state[d[i].id] = GONE;
		if (repeated)
			continue;
		m->state[d[i].id] = DELIVERY_PENDING;
		m->task[d[i].id] = task;
		m->totals.in++;
		m->totals.pending++;
	}
	if (key < ONCES)
		m->once[key] = true;
	store_put_event(w, &e, d, n);
	return repeated;
}

static uint64_t pick_row(struct model *m)
{
	for (int n = 0; m->last && n < 100; n++) {
		uint64_t id = 1 + pick(m, (uint32_t)m->last);

		if (m->state[id] != GONE)
			return id;
	}
	return 0;
}

static void set(struct model *m, struct store_write *w)
{
	struct delivery_row d = {
		.id = pick_row(m), .attempts = 1, .attempts_ever = 1};

	if (!d.id)
		return;
	d.state = (enum delivery_state)pick(m, DELIVERY_STATE_N);
	move(m, d.id, d.state);
	store_set_delivery(w, &d);
}

static uint64_t replay(struct model *m, struct store_write *w)
{
	struct store_filter f = {.state = -1,
				 .task = m->first_task + pick(m, TASKS)};
	uint64_t n = 0;

	if (pick(m, 2))
		f.state = DELIVERY_DEAD;
	for (uint64_t id = 1; id <= m->last; id++) {
		if (m->state[id] != DELIVERY_DEAD &&
		    (m->state[id] != DELIVERY_EXPIRED || f.state != -1))
			continue;
		if (m->task[id] != f.task)
			continue;
		move(m, id, DELIVERY_PENDING);
		n++;
	}
	store_replay(w, &f, 1);
	return n;
}

static void step(struct aid *a, struct model *m)
{
	struct store_write *w = aid_write();
	unsigned n = 1 + pick(m, 5);
	bool fails = pick(m, 5) == 0;
	struct delivery_row none = {.id = DELIVERIES};
	struct model before = *m;
	struct store_result r;
	unsigned repeated = 0;
	uint64_t changed = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned what = pick(m, 40);

		if (what < 20)
			repeated += put(a, m, w);
		else if (what < 39)
			set(m, w);
		else
			changed += replay(m, w);
	}
	if (fails) {
		uint32_t seed = m->seed;
		uint64_t last = m->last;

		store_set_delivery(w, &none);
		*m = before;
		m->seed = seed;
		for (uint64_t id = m->last + 1; id <= last; id++)
			m->state[id] = GONE;
		m->last = last;
		repeated = 0;
		changed = 0;
	}
	r = aid_commit(a, w, fails ? ENOENT : 0);
	assert_int_equal(r.repeated, repeated);
	assert_int_equal(r.changed, changed);
}

static void check_totals(struct aid *a, const struct model *m)
{
	struct store_totals t;

	store_totals(a->s, &t);
	assert_memory_equal(&t, &m->totals, sizeof(t));
	assert_int_equal(t.in, t.delivered + t.pending + t.dead + t.expired);
}

static void check_rows(struct aid *a, const struct model *m)
{
	struct store_filter f = {
		.what = READ_DELIVERIES, .state = -1, .limit = 700};
	uint64_t at = 0;
	bool more = true;

	while (more) {
		struct store_rows rows = aid_read(a, f);

		for (size_t i = 0; i < rows.n; i++) {
			const struct delivery_row *d = &rows.deliveries[i];

			while (++at < d->id)
				assert_int_equal(m->state[at], GONE);
			assert_int_equal(m->state[at], d->state);
			assert_int_equal(m->task[at], d->lane);
		}
		f.after = at;
		more = rows.more;
		store_rows_free(&rows);
	}
	while (++at <= m->last)
		assert_int_equal(m->state[at], GONE);
}

static int check_pending(const struct pending_row *row, void *arg)
{
	struct model *m = arg;

	assert_int_equal(m->state[row->id], DELIVERY_PENDING);
	m->last++;
	return 0;
}

/** Finish all tasks and prune: those with something pending stay. */
static void prune(struct aid *a, struct model *m)
{
	struct store_write *w = aid_write();
	bool busy[TASKS] = {false};
	uint64_t n = 0;

	for (uint64_t i = 0; i < TASKS; i++) {
		struct task_row t = aid_task(m->first_task + i);

		t.finished_ms = 1;
		store_put_task(w, &t);
	}
	for (uint64_t i = 0; i < TASKS; i++)
		store_prune(w, m->first_task + i, UINT32_MAX);
	for (uint64_t id = 1; id <= m->last; id++) {
		if (m->state[id] == DELIVERY_PENDING)
			busy[m->task[id] - m->first_task] = true;
	}
	for (uint64_t id = 1; id <= m->last; id++) {
		int state = m->state[id];

		if (state == GONE || busy[m->task[id] - m->first_task])
			continue;
		if (state != DELIVERY_DELIVERED) {
			--*total(m, state);
			m->totals.in--;
		}
		m->state[id] = GONE;
		n++;
	}
	assert_true(aid_commit(a, w, 0).changed > n); /* and events */
	for (uint64_t i = 0; i < TASKS; i++) {
		const uint64_t task = m->first_task + i;

		assert_int_equal(
			aid_count(a, (struct store_filter){.what = READ_TASKS,
							   .id = task,
							   .state = -1}),
			busy[i]);
		assert_int_equal(
			aid_count(a, (struct store_filter){.what = READ_EVENTS,
							   .task = task,
							   .limit = 1}) > 0,
			busy[i]);
	}
}

static void settle_half(struct aid *a, struct model *m)
{
	struct store_write *w = aid_write();

	for (uint64_t id = 1; id <= m->last; id++) {
		struct delivery_row d = {.id = id};

		if (m->state[id] != DELIVERY_PENDING || m->task[id] % 2)
			continue;
		d.state = DELIVERY_DEAD;
		move(m, id, d.state);
		store_set_delivery(w, &d);
	}
	aid_commit(a, w, 0);
}

static void totals_and_rows_agree_with_a_model(void **state)
{
	struct aid *a = *state;
	struct model *m = calloc(1, sizeof(*m));
	struct model *walked = calloc(1, sizeof(*m));

	m->seed = 20261121;
	m->first_task = 1;
	for (int i = 0; i < ROUNDS; i++) {
		step(a, m);
		check_totals(a, m);
		if (i % 500 == 250) {
			aid_again(a);
			check_totals(a, m);
			check_rows(a, m);
		}
	}
	*walked = *m;
	walked->last = 0;
	assert_int_equal(store_each_pending(a->s, check_pending, walked), 0);
	assert_int_equal(walked->last, m->totals.pending);
	settle_half(a, m);
	prune(a, m);
	check_totals(a, m);
	check_rows(a, m);
	aid_again(a);
	check_totals(a, m);
	check_rows(a, m);
	free(walked);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			totals_and_rows_agree_with_a_model, aid_setup,
			aid_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
