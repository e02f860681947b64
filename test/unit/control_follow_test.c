/**
 * test/unit/control_follow_test.c -- following the log of events: against a
 * model in which commits come in any order, fail, or never come.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "control/follow.h"

#include "notify_aid.h"
#include "sse_aid.h"

enum { CLIENTS = 4, OPEN_MAX = 8, IDS_MAX = 8192, STEPS = 3000 };

/** Events that were added, their write not handed over yet. */
struct open {
	struct fix *f;
	struct notify_batch *batch;
	struct store_write *write;
	uint64_t ids[3];
	unsigned n;
};

/** Somebody who follows, over as many connections as it takes. */
struct client {
	struct fix *f;
	struct sse_client http;
	bool has_cursor;
	uint64_t begin; /* behind this it began */
	uint64_t last;	/* what it would come back with */
	uint64_t ids[IDS_MAX];
	size_t n;
	bool was_cut;
	unsigned was_gone; /* told that events are missing */
};

struct fix {
	struct rig *g;
	struct http_server *server;
	struct addr addr;
	struct follow *follow;
	struct follow_config config;
	struct store_filter filter; /* of the next client */
	struct client clients[CLIENTS];
	struct open *open[OPEN_MAX]; /* NULL: free */
	uint64_t committed[IDS_MAX];
	size_t n_committed;
	unsigned under_way;
	uint32_t dice;
};

/* ---- the server ---------------------------------------------------------- */

static void on_ask(struct http_request *r, void *arg)
{
	struct fix *f = arg;
	const char *after = http_query(r, "after");
	struct store_filter filter = f->filter;

	filter.after = follow_now(f->follow);
	assert_true(filter.after <= store_known_id(f->g->a.s, IDS_EVENT));
	if (after)
		assert_int_equal(str_to_u64(after, &filter.after), 0);
	/* what a server would refuse as of another database */
	assert_true(filter.after <= store_known_id(f->g->a.s, IDS_EVENT));
	follow_begin(f->follow, r, &filter);
}

static void open_server(struct fix *f)
{
	f->config.loop = f->g->loop;
	f->config.store = f->g->a.s;
	f->config.notify = f->g->n;
	assert_int_equal(follow_new(&f->config, &f->follow), 0);
	sse_serve(f->g->loop, on_ask, f, &f->server, &f->addr);
}

static void close_server(struct fix *f)
{
	follow_stop(f->follow);
	http_server_close(f->server);
	follow_free(f->follow);
}

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	log_set_sink(quiet, NULL);
	f->g = rig_new();
	f->config.window = 7;
	f->dice = 1;
	for (int i = 0; i < CLIENTS; i++)
		f->clients[i] = (struct client){.f = f, .http.fd = -1};
	rig_begin(f->g);
	open_server(f);
	*state = f;
	return 0;
}

/* ---- clients --------------------------------------------------------------- */

static int on_block(const struct sse_block *b, void *arg)
{
	struct client *c = arg;
	char event_id[40];
	uint64_t id;

	assert_int_equal(str_to_u64(b->id, &id), 0);
	if (!c->has_cursor) {
		c->has_cursor = true;
		c->begin = id;
		for (int i = 0; i < OPEN_MAX; i++)
			assert_true(!c->f->open[i] ||
				    c->f->open[i]->ids[0] > id);
	}
	assert_true(id >= c->last);
	if (!strcmp(b->name, "cut")) {
		assert_non_null(strstr(b->data, "\"reason\":\"slow\""));
		c->was_cut = true;
		return 0;
	}
	if (!strcmp(b->name, "gone")) {
		assert_non_null(strstr(b->data, "\"up_to\":\"20\""));
		c->was_gone++;
		return 0;
	}
	if (b->data) {
		assert_true(id > c->last || !c->n);
		assert_true(c->n < IDS_MAX);
		c->ids[c->n++] = id;
		snprintf(event_id, sizeof(event_id),
			 "\"event_id\":\"%" PRIu64 "\"", id);
		assert_non_null(strstr(b->data, event_id));
	}
	c->last = id;
	return 0;
}

static void dial(struct client *c, int rcvbuf)
{
	char query[40] = "";

	if (c->has_cursor)
		snprintf(query, sizeof(query), "?after=%" PRIu64, c->last);
	sse_dial(&c->http, &c->f->addr, query, rcvbuf);
}

static void hang_up(struct client *c)
{
	sse_hang_up(&c->http);
}

static void listen_to(struct client *c)
{
	sse_listen(&c->http, on_block, c);
}

static void turn(struct fix *f)
{
	loop_turn(f->g->loop, 1000);
	for (int i = 0; i < CLIENTS; i++)
		listen_to(&f->clients[i]);
}

#define TURN_UNTIL(f, condition)                                  \
	do {                                                      \
		int64_t until_us = clock_now_us() + PATIENCE_US;  \
                                                                  \
		while (!(condition) && clock_now_us() < until_us) \
			turn(f);                                  \
		assert_true(condition);                           \
	} while (0)

/* ---- events ------------------------------------------------------------------ */

static unsigned roll(struct fix *f, unsigned sides)
{
	f->dice = f->dice * 1664525U + 1013904223U;
	return (f->dice >> 16) % sides;
}

static void add(struct fix *f)
{
	struct open **place = &f->open[roll(f, OPEN_MAX)];
	struct open *o;

	if (*place)
		return;
	o = calloc(1, sizeof(*o));
	o->f = f;
	o->batch = notify_batch_new();
	o->write = store_write_new();
	o->n = 1 + roll(f, 3);
	for (unsigned i = 0; i < o->n; i++) {
		struct event e = sample_event(64, i);

		assert_int_equal(
			notify_add(f->g->n, o->write, o->batch, &e, NULL), 0);
		o->ids[i] = e.id;
	}
	*place = o;
}

static void on_settled(const struct store_result *r, void *arg)
{
	struct open *o = arg;
	struct fix *f = o->f;

	for (unsigned i = 0; !r->err && i < o->n; i++) {
		assert_true(f->n_committed < IDS_MAX);
		f->committed[f->n_committed++] = o->ids[i];
	}
	f->under_way--;
	notify_settled(f->g->n, o->batch, r);
	free(o);
}

/** Hand one over: to fail, when `bad`. */
static void submit(struct fix *f, struct open **place, bool bad)
{
	struct open *o = *place;

	if (!o)
		return;
	if (bad)
		store_set_task(o->write, &(struct task_row){.id = 12345});
	f->under_way++;
	store_commit(f->g->a.s, o->write, f->g->loop, on_settled, o);
	*place = NULL;
}

static void drop(struct fix *f, struct open **place)
{
	struct open *o = *place;

	if (!o)
		return;
	notify_dropped(f->g->n, o->batch);
	store_write_free(o->write);
	free(o);
	*place = NULL;
}

/** The process ends with writes that it never handed over. */
static void restart(struct fix *f)
{
	TURN_UNTIL(f, !f->under_way);
	for (int i = 0; i < OPEN_MAX; i++)
		drop(f, &f->open[i]);
	close_server(f);
	rig_again(f->g);
	open_server(f);
	for (int i = 0; i < CLIENTS; i++)
		listen_to(&f->clients[i]);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&f->clients[i]);
}

static int by_id(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/** Has it exactly what was committed behind where it began? */
static bool has_all(struct fix *f, const struct client *c)
{
	size_t at = 0;

	qsort(f->committed, f->n_committed, sizeof(f->committed[0]), by_id);
	while (at < f->n_committed && f->committed[at] <= c->begin)
		at++;
	if (c->n > f->n_committed - at)
		fail_msg("more than was committed");
	for (size_t i = 0; i < c->n; i++)
		assert_int_equal(c->ids[i], f->committed[at + i]);
	return c->n == f->n_committed - at;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	TURN_UNTIL(f, !f->under_way);
	for (int i = 0; i < OPEN_MAX; i++)
		drop(f, &f->open[i]);
	close_server(f);
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&f->clients[i]);
	rig_free(f->g);
	free(f);
	return 0;
}

/* ---- tests ---------------------------------------------------------------------- */

static void step(struct fix *f)
{
	struct client *c = &f->clients[roll(f, CLIENTS)];
	struct open **place = &f->open[roll(f, OPEN_MAX)];

	switch (roll(f, 16)) {
	case 0:
		drop(f, place);
		break;
	case 1:
		submit(f, place, true);
		break;
	case 2:
		hang_up(c);
		break;
	case 3:
		if (c->http.fd < 0)
			dial(c, 0);
		break;
	case 4:
		if (!roll(f, 12))
			restart(f);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		submit(f, place, false);
		break;
	case 9:
		turn(f);
		break;
	default:
		add(f);
	}
}

static void followers_see_each_event_once_and_in_order(void **state)
{
	struct fix *f = *state;

	for (int i = 0; i < STEPS; i++)
		step(f);
	for (int i = 0; i < OPEN_MAX; i++)
		submit(f, &f->open[OPEN_MAX - 1 - i], false);
	TURN_UNTIL(f, !f->under_way);
	assert_true(f->n_committed > STEPS / 10);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &f->clients[i];

		if (c->http.fd < 0)
			dial(c, 0);
		TURN_UNTIL(f, c->has_cursor && has_all(f, c));
	}
	assert_int_equal(counter_get(COUNT_event_streams), CLIENTS);
}

static void an_event_waits_for_those_before_it(void **state)
{
	struct fix *f = *state;
	struct client *c = &f->clients[0];
	struct open *first, *second;

	dial(c, 0);
	TURN_UNTIL(f, c->has_cursor);
	while (!f->open[0] || !f->open[1])
		add(f);
	for (int i = 2; i < OPEN_MAX; i++)
		drop(f, &f->open[i]);
	first = f->open[0]->ids[0] < f->open[1]->ids[0] ? f->open[0]
							: f->open[1];
	second = first == f->open[0] ? f->open[1] : f->open[0];
	submit(f, second == f->open[0] ? &f->open[0] : &f->open[1], false);
	TURN_UNTIL(f, !f->under_way);
	assert_true(notify_log_end(f->g->n) < first->ids[0]);
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_int_equal(c->n, 0);
	submit(f, f->open[0] ? &f->open[0] : &f->open[1], true);
	/* it failed: that, too, lets the other be seen */
	TURN_UNTIL(f, !f->under_way && has_all(f, c) && c->n > 0);
}

/** `n` events in one write. */
static void commit_many(struct fix *f, unsigned n)
{
	struct open *o = calloc(1, sizeof(*o));

	o->f = f;
	o->batch = notify_batch_new();
	o->write = store_write_new();
	for (unsigned i = 0; i < n; i++) {
		struct event e = sample_event(64, i);

		memset(e.room, 'r', ID_MAX);
		memset(e.file_name, 'f', FILE_NAME_MAX - 1);
		assert_int_equal(
			notify_add(f->g->n, o->write, o->batch, &e, NULL), 0);
		f->committed[f->n_committed++] = e.id;
	}
	f->under_way++;
	store_commit(f->g->a.s, o->write, f->g->loop, on_settled, o);
	TURN_UNTIL(f, !f->under_way);
}

static void a_client_that_reads_nothing_is_cut_and_told_why(void **state)
{
	struct fix *f = *state;
	struct client *c = &f->clients[0];
	int64_t before = counter_get(COUNT_event_streams_cut);

	f->config.window = 0;
	f->config.stall_us = S / 5;
	close_server(f);
	open_server(f);
	commit_many(f, 6000);
	c->has_cursor = true; /* from the start */
	dial(c, 4096);
	UNTIL(f->g, counter_get(COUNT_event_streams_cut) == before + 1);
	assert_int_equal(counter_get(COUNT_event_streams), 0);
	/* now it reads: what was sent, the reason, the end */
	TURN_UNTIL(f, c->http.fd < 0);
	assert_true(c->was_cut);
	assert_true(c->n > 0 && c->n < 6000);
	/* and comes back */
	dial(c, 0);
	TURN_UNTIL(f, has_all(f, c));
	assert_int_equal(counter_get(COUNT_event_streams_cut), before + 1);
}

/** All events are forgotten. */
static void forget(struct fix *f)
{
	struct task_row t = aid_task(64);
	struct store_write *w = aid_write();

	t.finished_ms = 1;
	store_put_task(w, &t);
	store_prune(w, t.id, UINT32_MAX);
	aid_commit(&f->g->a, w, 0);
	f->n_committed = 0;
}

static void a_cursor_before_what_was_removed_is_told_so(void **state)
{
	struct fix *f = *state;
	struct client *old = &f->clients[0], *start = &f->clients[1];
	struct client *now = &f->clients[2];

	commit_many(f, 20);
	dial(now, 0);
	TURN_UNTIL(f, now->has_cursor);
	assert_int_equal(now->last, 20);
	UNTIL(f->g, counter_get(COUNT_deliveries_pending) == 0);
	forget(f);
	commit_many(f, 5);
	old->has_cursor = true;
	old->begin = old->last = 7;
	dial(old, 0);
	start->has_cursor = true; /* from 0: all that is left */
	dial(start, 0);
	TURN_UNTIL(f, has_all(f, old) && has_all(f, start) && has_all(f, now));
	assert_int_equal(old->n, 5);
	assert_int_equal(old->was_gone, 1);
	assert_int_equal(start->was_gone, 0);
	assert_int_equal(now->was_gone, 0);
	/* it has them, and comes back */
	hang_up(old);
	dial(old, 0);
	commit_many(f, 1);
	TURN_UNTIL(f, has_all(f, old));
	assert_int_equal(old->was_gone, 1);
	/* also in another run */
	restart(f);
	old->last = old->begin = 19;
	old->n = 0;
	dial(old, 0);
	TURN_UNTIL(f, old->was_gone == 2 && has_all(f, old));
}

static void a_filter_lets_nothing_through_but_the_cursor_moves(void **state)
{
	struct fix *f = *state;
	struct client *c = &f->clients[0];
	struct client *other = &f->clients[1];

	f->filter.kinds = 1U << EVENT_UPLOADED;
	c->has_cursor = true;
	dial(c, 0);
	commit_many(f, 250);
	TURN_UNTIL(f, c->last >= 200);
	assert_int_equal(c->n, 0);
	f->filter = (struct store_filter){.room = "none of this name"};
	other->has_cursor = true;
	dial(other, 0);
	TURN_UNTIL(f, other->last >= 200);
	assert_int_equal(other->n, 0);
}

static void streams_are_as_many_as_there_may_be(void **state)
{
	struct fix *f = *state;

	f->config.max = 2;
	close_server(f);
	open_server(f);
	assert_true(follow_has_room(f->follow));
	for (int i = 0; i < 2; i++) {
		dial(&f->clients[i], 0);
		TURN_UNTIL(f, f->clients[i].has_cursor);
	}
	assert_false(follow_has_room(f->follow));
	hang_up(&f->clients[0]);
	TURN_UNTIL(f, follow_has_room(f->follow));
}

/** A whole life with the n-th allocation failing: nothing is lost by it that a
 *  client would not come back for. */
static void followers_survive_every_failed_allocation(void **state)
{
	struct fix *f = *state;
	struct client *c = &f->clients[0];

	commit_many(f, 20);
	for (int64_t n = 0; n < 60; n++) {
		*c = (struct client){.f = f, .http.fd = -1, .has_cursor = true};
		dial(c, 0);
		mem_fail_after(n);
		for (int i = 0; i < 20; i++)
			loop_turn(f->g->loop, 1000);
		mem_fail_after(-1);
		hang_up(c);
		TURN_UNTIL(f, !counter_get(COUNT_event_streams));
	}
	*c = (struct client){.f = f, .http.fd = -1, .has_cursor = true};
	dial(c, 0);
	TURN_UNTIL(f, has_all(f, c));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_event_waits_for_those_before_it),
		T(followers_see_each_event_once_and_in_order),
		T(a_client_that_reads_nothing_is_cut_and_told_why),
		T(a_cursor_before_what_was_removed_is_told_so),
		T(a_filter_lets_nothing_through_but_the_cursor_moves),
		T(streams_are_as_many_as_there_may_be),
		T(followers_survive_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
