/** test/unit/deliver_engine_test.c -- the engine with time by hand and a
 *  store in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/deliver.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/counters.h"
#include "deliver_aid.h"
#include "oom.h"

/* ---- lanes ---- */

static void a_lane_has_one_attempt_at_a_time_in_order(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	for (int i = 0; i < 5; i++)
		add(&g, 1, 7);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(g.n_open, 1);
		assert_int_equal(g.open[0]->delivery, i);
		assert_int_equal(g.open[0]->task_seq, i);
		assert_string_equal(g.facts, "fresh");
		finish(&g, VERDICT_OK);
	}
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 5);
	assert_int_equal(pending(&g, 1), 0);
	assert_int_equal(g.store.reads, 0);
	rig_fini(&g);
}

static void the_next_attempt_of_a_lane_waits_for_the_commit(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 7);
	add(&g, 1, 7);
	add(&g, 1, 8);
	assert_int_equal(g.n_open, 2);
	finish_only(&g, VERDICT_OK, -1);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(deliver_in_flight(g.d), 2);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_open, 2);
	assert_int_equal(g.open[1]->delivery, 2);
	rig_fini(&g);
}

static void a_failing_head_blocks_for_the_short_part_then_is_late(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 7);
	add(&g, 1, 7);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(g.n_open, 1);
		assert_int_equal(g.open[0]->delivery, 1);
		assert_int_equal(g.open[0]->n, i + 1);
		finish(&g, VERDICT_FAILED);
		pass(&g, i ? 10 * S : 0);
	}
	assert_int_equal(clock_us, 1060 * S);
	finish(&g, VERDICT_FAILED); /* the eighth, at 60 s */
	assert_true(fake_row(&g.store, 1)->late);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->delivery, 2);
	finish(&g, VERDICT_OK);
	pass(&g, 300 * S);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->delivery, 1);
	assert_true(g.open[0]->late);
	finish(&g, VERDICT_OK);
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 2);
	rig_fini(&g);
}

static void strict_waits_for_its_head(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s,1h", ORDER_STRICT);
	add(&g, 1, 7);
	add(&g, 1, 7);
	finish(&g, VERDICT_FAILED);
	pass(&g, S);
	finish(&g, VERDICT_FAILED);
	pass(&g, 3599 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, S);
	assert_int_equal(g.open[0]->delivery, 1);
	finish(&g, VERDICT_FAILED);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_DEAD);
	assert_int_equal(g.open[0]->delivery, 2);
	assert_false(fake_row(&g.store, 1)->late);
	rig_fini(&g);
}

static void without_order_all_go_at_once(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "standard", ORDER_TASK);
	for (int i = 0; i < 5; i++)
		add(&g, 1, 7);
	assert_int_equal(g.n_open, 1);
	declare(&g, 1, "standard", ORDER_NONE);
	assert_int_equal(g.n_open, 5);
	add(&g, 1, 7);
	assert_int_equal(g.n_open, 6);
	rig_fini(&g);
}

/* ---- limits ---- */

static void no_endpoint_has_more_in_flight_than_its_own_limit(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	for (unsigned i = 0; i < 20; i++)
		add(&g, 1, i + 1);
	assert_int_equal(g.n_open, 8);
	finish_only(&g, VERDICT_OK, -1);
	assert_int_equal(g.n_open, 8);
	rig_fini(&g);
}

static void endpoints_that_hang_leave_slots_for_others(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	deliver_free(g.d);
	g.config.max_in_flight = 16;
	assert_int_equal(rig_start(&g), 0);
	for (unsigned e = 1; e <= 4; e++)
		declare(&g, e, "tencent", ORDER_TASK);
	for (unsigned e = 1; e <= 3; e++)
		for (unsigned i = 1; i <= 20; i++)
			add(&g, e, i);
	assert_true(g.n_open < 16);
	add(&g, 4, 1);
	assert_int_equal(g.seen[g.n_seen - 1].endpoint, 4);
	rig_fini(&g);
}

static void ready_endpoints_take_turns(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 1; i <= 4; i++)
		for (unsigned e = 1; e <= 3; e++)
			add(&g, e, i);
	deliver_pause(g.d);
	rig_restart(&g);
	g.config.max_in_flight = 0;
	deliver_pause(g.d);
	for (unsigned e = 1; e <= 3; e++)
		declare(&g, e, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	assert_int_equal(g.n_seen, 0);
	deliver_free(g.d);
	assert_int_equal(rig_start(&g), 0);
	assert_int_equal(deliver_load(g.d), 0);
	assert_int_equal(g.n_seen, 0); /* none is declared */
	for (unsigned e = 1; e <= 3; e++)
		declare(&g, e, "tencent", ORDER_TASK);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_seen, 12);
	assert_string_equal(g.facts, "read");
	rig_fini(&g);
}

/* ---- verdicts ---- */

static void a_used_up_budget_is_a_dead_letter(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s,2s", ORDER_TASK);
	add(&g, 1, 7);
	for (int i = 0; i < 3; i++) {
		finish(&g, VERDICT_FAILED);
		pass(&g, 2 * S);
	}
	assert_int_equal(g.n_seen, 3);
	assert_int_equal(g.ended[DELIVERY_DEAD], 1);
	assert_int_equal(fake_row(&g.store, 1)->attempts, 3);
	assert_int_equal(fake_row(&g.store, 1)->last_status, 500);
	assert_string_equal(fake_row(&g.store, 1)->last_error, "no");
	rig_fini(&g);
}

static void refused_is_dead_at_once_and_no_fault_of_the_endpoint(void **state)
{
	struct deliver_endpoint_stats s;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 7);
	finish(&g, VERDICT_REFUSED);
	assert_int_equal(g.ended[DELIVERY_DEAD], 1);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_int_equal(s.failures_in_row, 0);
	assert_false(deliver_endpoint_stats(g.d, 2, &s));
	rig_fini(&g);
}

static void gone_kills_one_and_parks_the_rest(void **state)
{
	struct deliver_endpoint_stats s;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	declare(&g, 2, "tencent", ORDER_TASK);
	add(&g, 1, 7);
	add(&g, 1, 7);
	add(&g, 1, 8);
	finish(&g, VERDICT_GONE);
	finish(&g, VERDICT_FAILED); /* was under way */
	pass(&g, 86400 * S);
	assert_int_equal(g.n_open, 0);
	assert_int_equal(g.n_seen, 2);
	assert_int_equal(g.ended[DELIVERY_DEAD], 1);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_true(s.gone);
	assert_int_equal(s.pending, 2);
	assert_true(s.failing_since_ms > 0);
	add(&g, 2, 9);
	assert_int_equal(g.n_open, 1);
	finish(&g, VERDICT_OK);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(g.n_open, 2);
	rig_fini(&g);
}

static void what_an_endpoint_was_is_not_held_against_what_it_is(void **state)
{
	struct deliver_endpoint_stats stats;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "10s,10s", ORDER_TASK);
	for (unsigned i = 0; i < 8; i++)
		add(&g, 1, i);
	assert_int_equal(g.n_open, 8);
	declare(&g, 1, "10s,10s", ORDER_TASK); /* perhaps at another URL */
	finish(&g, VERDICT_GONE);
	for (unsigned i = 0; i < 6; i++)
		finish(&g, VERDICT_FAILED);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_PENDING);
	assert_true(deliver_endpoint_stats(g.d, 1, &stats));
	assert_false(stats.gone);
	assert_int_equal(stats.failures_in_row, 0);
	assert_int_equal(stats.failing_since_ms, 0);
	pass(&g, 10 * S);
	assert_int_equal(g.n_open, 8);
	finish(&g, VERDICT_FAILED); /* the last of before */
	finish(&g, VERDICT_FAILED);
	assert_true(deliver_endpoint_stats(g.d, 1, &stats));
	assert_int_equal(stats.failures_in_row, 1);
	finish(&g, VERDICT_GONE);
	assert_true(deliver_endpoint_stats(g.d, 1, &stats));
	assert_true(stats.gone);
	rig_fini(&g);
}

static void retry_after_is_waited_for(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s,1s,1s", ORDER_TASK);
	add(&g, 1, 7);
	add(&g, 1, 7);
	finish_only(&g, VERDICT_FAILED, 45 * S);
	fake_answer_all(&g.store);
	pass(&g, 44 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, 1 * S);
	assert_int_equal(g.open[0]->delivery, 1);
	/* An hour is more than a lane waits. */
	finish_only(&g, VERDICT_FAILED, 3600 * S);
	fake_answer_all(&g.store);
	assert_int_equal(g.open[0]->delivery, 2);
	assert_true(fake_row(&g.store, 1)->late);
	rig_fini(&g);
}

static void an_endpoint_says_how_soon_it_is_probed(void **state)
{
	struct deliver_endpoint e = endpoint(1, "10s,10s,10s", ORDER_NONE);
	struct deliver_endpoint_stats s;
	struct rig g;

	(void)state;
	rig_init(&g);
	e.probe_us = 1 * S;
	e.probe_max_us = 2 * S;
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	for (unsigned i = 1; i <= 30; i++)
		add(&g, 1, i);
	while (g.n_open)
		finish(&g, VERDICT_FAILED);
	for (int i = 0; i < 3; i++) {
		const int64_t wait_us = i ? 2 * S : 1 * S;

		assert_true(deliver_endpoint_stats(g.d, 1, &s));
		assert_int_equal(s.breaker, BREAKER_OPEN);
		assert_int_equal(s.next_probe_ms, unix_ms() + wait_us / 1000);
		pass(&g, wait_us - 1);
		assert_int_equal(g.n_open, 0);
		pass(&g, 1);
		assert_int_equal(g.n_open, 1);
		finish(&g, VERDICT_FAILED);
	}
	rig_fini(&g);
}

static void an_open_breaker_burns_no_attempts(void **state)
{
	struct deliver_endpoint_stats s;
	struct rig g;
	int64_t open = counter_get(COUNT_breaker_open);

	(void)state;
	rig_init(&g);
	declare(&g, 1, "10s,10s,10s", ORDER_TASK);
	for (unsigned i = 1; i <= 20; i++)
		add(&g, 1, i);
	for (int i = 0; i < 10; i++)
		finish(&g, VERDICT_FAILED);
	assert_int_equal(counter_get(COUNT_breaker_open), open + 1);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_int_equal(s.breaker, BREAKER_OPEN);
	while (g.n_open)
		finish(&g, VERDICT_FAILED);
	assert_true(g.n_seen <= 17);
	pass(&g, 29 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, 1 * S);
	assert_int_equal(g.n_open, 1); /* the probe */
	finish(&g, VERDICT_FAILED);
	pass(&g, 59 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, 1 * S);
	assert_int_equal(g.n_open, 1);
	finish(&g, VERDICT_OK);
	assert_int_equal(g.n_open, 8);
	assert_int_equal(counter_get(COUNT_breaker_open), open);
	rig_fini(&g);
}

/** Eleven wait, the breaker opens, and one of each lane is due since. */
static void open_breaker(struct rig *g)
{
	struct deliver_endpoint_stats s;

	declare(g, 1, "1s,1s,1s", ORDER_TASK);
	for (unsigned i = 1; i <= 11; i++)
		add(g, 1, i);
	for (int i = 0; i < 10; i++)
		finish(g, VERDICT_FAILED);
	while (g->n_open)
		finish(g, VERDICT_FAILED);
	pass(g, 5 * S);
	assert_int_equal(g->n_open, 0);
	assert_true(deliver_endpoint_stats(g->d, 1, &s));
	assert_int_equal(s.breaker, BREAKER_OPEN);
	assert_int_equal(s.next_probe_ms, unix_ms() + 25000);
}

static void who_is_well_is_attempted_before_the_next_probe(void **state)
{
	struct deliver_endpoint_stats s;
	struct rig g;
	int64_t open = counter_get(COUNT_breaker_open);

	(void)state;
	rig_init(&g);
	open_breaker(&g);
	deliver_is_well(g.d, 77); /* not known */
	deliver_is_well(g.d, 1);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_int_equal(s.breaker, BREAKER_CLOSED);
	assert_int_equal(s.next_probe_ms, 0);
	assert_int_equal(g.n_open, 8);
	assert_int_equal(counter_get(COUNT_breaker_open), open);
	deliver_is_well(g.d, 1);
	assert_int_equal(counter_get(COUNT_breaker_open), open);
	rig_fini(&g);
}

static void a_replay_by_name_is_a_probe_at_once(void **state)
{
	const struct store_filter f = {.endpoint = 1, .state = -1};
	struct deliver_endpoint_stats s;
	struct rig g;
	int64_t open = counter_get(COUNT_breaker_open);

	(void)state;
	rig_init(&g);
	open_breaker(&g);
	deliver_replay(g.d, &f, NULL, NULL); /* though none is dead */
	fake_answer_all(&g.store);
	assert_int_equal(g.n_open, 1);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_int_equal(s.breaker, BREAKER_HALF_OPEN);
	deliver_replay(g.d, &f, NULL, NULL);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_open, 1); /* one probe at a time */
	assert_int_equal(counter_get(COUNT_breaker_open), open + 1);
	finish(&g, VERDICT_FAILED);
	assert_true(deliver_endpoint_stats(g.d, 1, &s));
	assert_int_equal(s.next_probe_ms, unix_ms() + 30000); /* not longer */
	deliver_replay(g.d, &f, NULL, NULL);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_open, 1);
	finish(&g, VERDICT_OK);
	assert_int_equal(g.n_open, 8);
	assert_int_equal(counter_get(COUNT_breaker_open), open);
	rig_fini(&g);
}

/* ---- expiry ---- */

static void what_is_too_old_expires_wherever_it_waits(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_STRICT);
	add(&g, 1, 7);
	add(&g, 1, 7);
	add(&g, 9, 7); /* nobody has declared 9 */
	finish(&g, VERDICT_GONE);
	add(&g, 1, 8);
	pass(&g, 7 * 86400 * S - 10 * S);
	assert_int_equal(g.ended[DELIVERY_EXPIRED], 0);
	assert_int_equal(pending(&g, 1), 2);
	pass(&g, 20 * S);
	assert_int_equal(g.ended[DELIVERY_EXPIRED], 3);
	assert_int_equal(pending(&g, 1), 0);
	assert_int_equal(pending(&g, 9), 0);
	assert_int_equal(fake_row(&g.store, 2)->attempts, 0);
	assert_int_equal(deliver_next_us(g.d), INT64_MAX);
	rig_fini(&g);
}

/* ---- taken out, switched off ---- */

static unsigned in_state(struct rig *g, enum delivery_state state)
{
	unsigned n = 0;

	for (size_t i = 0; i < g->store.n_rows; i++)
		n += g->store.rows[i].d.state == state;
	return n;
}

static void what_is_pending_for_a_removed_endpoint_expires(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "10s,10s", ORDER_STRICT);
	declare(&g, 2, "10s,10s", ORDER_TASK);
	for (unsigned i = 0; i < 12; i++)
		add(&g, 1, i / 3); /* a head and two behind it, four times */
	add(&g, 2, 1);
	finish(&g, VERDICT_OK);
	finish(&g, VERDICT_FAILED); /* waits for its next attempt */
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	assert_int_equal(deliver_remove_endpoint(g.d, 1), ENOENT);
	assert_int_equal(deliver_remove_endpoint(g.d, 99), ENOENT);
	pass(&g, 5 * S);
	/* Under way: the second of the first lane, two of others, and that
	 * of the other endpoint. */
	assert_int_equal(g.n_open, 4);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 8);
	assert_int_equal(in_state(&g, DELIVERY_PENDING), 4);
	assert_string_equal(fake_row(&g.store, 12)->last_error,
			    "the endpoint was removed");
	assert_int_equal(fake_row(&g.store, 12)->attempts, 0);
	assert_int_equal(g.ended[DELIVERY_EXPIRED], 0); /* told together */
	rig_fini(&g);
}

static void attempts_under_way_end_as_they_end(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_NONE);
	for (unsigned i = 0; i < 4; i++)
		add(&g, 1, 1);
	assert_int_equal(g.n_open, 4);
	finish_only(&g, VERDICT_FAILED, -1); /* its outcome is not saved yet */
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	finish(&g, VERDICT_OK);
	finish(&g, VERDICT_FAILED);
	finish(&g, VERDICT_GONE);
	pass(&g, 5 * S);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_EXPIRED);
	assert_int_equal(fake_row(&g.store, 2)->state, DELIVERY_DELIVERED);
	assert_int_equal(fake_row(&g.store, 3)->state, DELIVERY_EXPIRED);
	assert_string_equal(fake_row(&g.store, 3)->last_error,
			    "the endpoint was removed");
	assert_int_equal(fake_row(&g.store, 3)->attempts_ever, 1);
	assert_int_equal(fake_row(&g.store, 4)->state, DELIVERY_EXPIRED);
	assert_int_equal(pending(&g, 1), 0);
	assert_int_equal(g.n_seen, 4);
	assert_int_equal(deliver_next_us(g.d), INT64_MAX);
	rig_fini(&g);
}

static void a_removal_goes_on_after_a_restart(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	for (unsigned i = 0; i < 5; i++)
		add(&g, 1, i);
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	fake_answer(&g.store, 1); /* its row */
	rig_restart(&g);
	assert_int_equal(in_state(&g, DELIVERY_PENDING), 5);
	assert_int_equal(deliver_load(g.d), 0);
	pass(&g, 5 * S);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 5);
	assert_int_equal(g.n_open, 0);
	/* What is replayed to it has nowhere to go. */
	deliver_replay(g.d, &(struct store_filter){.id = 1, .state = -1}, NULL,
		       NULL);
	fake_answer(&g.store, 2); /* the dead, the expired */
	assert_int_equal(in_state(&g, DELIVERY_PENDING), 1);
	fake_answer_all(&g.store);
	pass(&g, 5 * S);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 5);
	assert_int_equal(g.n_open, 0);
	rig_fini(&g);
}

static void a_name_that_is_used_again_begins_anew(void **state)
{
	struct rig g;
	uint64_t id;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	for (unsigned i = 0; i < 3; i++)
		add(&g, 1, 1);
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(fake_removal(&g.store, 1)->up_to,
			 0); /* nothing answered yet */
	id = add(&g, 1, 1);
	pass(&g, S);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 2);
	finish(&g, VERDICT_FAILED); /* the one that was under way */
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 3);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->delivery, id);
	finish(&g, VERDICT_OK);
	pass(&g, 5 * S);
	assert_int_equal(fake_removal(&g.store, 1)->up_to,
			 0); /* all is done: forgotten */
	/* So what is replayed now is delivered. */
	deliver_replay(g.d, &(struct store_filter){.id = 1, .state = -1}, NULL,
		       NULL);
	fake_answer_all(&g.store);
	finish(&g, VERDICT_OK);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_DELIVERED);
	/* Ids that were taken in vain may be taken again after a restart. */
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	fake_answer_all(&g.store);
	fake_removal(&g.store, 1)->up_to += 10;
	rig_restart(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	add(&g, 1, 1);
	pass(&g, S);
	assert_int_equal(g.n_open, 1);
	finish(&g, VERDICT_OK);
	rig_fini(&g);
}

static void a_removal_that_cannot_be_saved_is_saved_later(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 1);
	add(&g, 1, 1);
	g.store.fail = ENOSPC;
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	pass(&g, 5 * S);
	assert_int_equal(fake_removal(&g.store, 1)->up_to, 0);
	assert_int_equal(in_state(&g, DELIVERY_PENDING), 2);
	g.store.fail = 0;
	pass(&g, 30 * S);
	assert_int_equal(fake_removal(&g.store, 1)->up_to, 2);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 1);
	finish(&g, VERDICT_FAILED);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 2);
	rig_fini(&g);
}

static void a_mass_of_a_removed_endpoint_leaves_others_their_turn(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 0; i < 2500; i++)
		fake_put(&g.store,
			 &(struct delivery_row){.event = i + 1,
						.endpoint = 1,
						.lane = 1,
						.created_ms = unix_ms()});
	declare(&g, 1, "tencent", ORDER_TASK);
	declare(&g, 2, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	fake_answer_all(&g.store); /* its facts */
	assert_int_equal(g.n_open, 1);
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	deliver_turn(g.d);
	deliver_turn(g.d);
	/* The store answers nothing, and yet: */
	add(&g, 2, 1);
	assert_int_equal(g.n_open, 2);
	pass(&g, 5 * S);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 2499);
	finish(&g, VERDICT_OK);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_DELIVERED);
	finish(&g, VERDICT_OK);
	pass(&g, 5 * S);
	assert_int_equal(pending(&g, 1), 0);
	rig_fini(&g);
}

/** None of what was for the old owner goes to the new one. */
static void assert_nothing_but(struct rig *g, uint64_t id)
{
	pass(g, 5 * S);
	assert_int_equal(g->n_open, 1);
	assert_int_equal(g->open[0]->delivery, id);
	finish(g, VERDICT_OK);
	pass(g, 5 * S);
	assert_int_equal(in_state(g, DELIVERY_EXPIRED), 2500);
	assert_int_equal(in_state(g, DELIVERY_DELIVERED), 1);
	assert_int_equal(g->n_seen, 1);
	assert_int_equal(pending(g, 1), 0);
}

static void nothing_old_goes_to_who_takes_a_name_before_it_expired(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 0; i < 2500; i++)
		fake_put(&g.store,
			 &(struct delivery_row){.event = i + 1,
						.endpoint = 1,
						.lane = i / 2,
						.created_ms = unix_ms()});
	declare(&g, 1, "tencent", ORDER_TASK);
	deliver_hold(g.d, 1, true);
	assert_int_equal(deliver_load(g.d), 0);
	deliver_hold(g.d, 1, false);
	/* Some wait for their facts. */
	assert_int_equal(deliver_remove_endpoint(g.d, 1), 0);
	deliver_turn(g.d);
	deliver_turn(g.d);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_nothing_but(&g, add(&g, 1, 1));
	rig_fini(&g);
}

static void nor_after_a_restart(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 0; i < 2500; i++)
		fake_put(&g.store,
			 &(struct delivery_row){.event = i + 1,
						.endpoint = 1,
						.lane = i,
						.created_ms = unix_ms()});
	*fake_removal(&g.store, 1) = (struct removal_row){
		.endpoint = 1, .app = 1, .up_to = 2500, .name = "e1"};
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	assert_nothing_but(&g, add(&g, 1, 1));
	rig_fini(&g);
}

static unsigned count_removals(struct rig *g)
{
	unsigned n = 0;

	for (size_t i = 0; i < g->store.n_removals; i++)
		n += g->store.removals[i].up_to != 0;
	return n;
}

static void only_so_many_removed_endpoints_are_remembered(void **state)
{
	enum { MANY = DELIVER_REMOVED_MAX + 50 };
	struct deliver_endpoint_stats stats;
	struct rig g;

	(void)state;
	rig_init(&g);
	/* The first one has an attempt under way for long. */
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 1);
	for (uint64_t id = 1; id <= MANY; id++) {
		declare(&g, id, "tencent", ORDER_TASK);
		assert_int_equal(deliver_remove_endpoint(g.d, id), 0);
		if (id % 7 == 0)
			fake_answer_all(&g.store);
	}
	pass(&g, 5 * S);
	assert_int_equal(count_removals(&g), DELIVER_REMOVED_MAX);
	assert_int_equal(g.n_forgotten, 50);
	for (uint64_t id = 1; id <= MANY; id++)
		assert_int_equal(deliver_endpoint_stats(g.d, id, &stats),
				 id == 1 || id > 51);
	finish(&g, VERDICT_FAILED);
	assert_int_equal(in_state(&g, DELIVERY_EXPIRED), 1);
	/* What had room before is used again; a name that was forgotten, too.
	 */
	declare(&g, 3, "tencent", ORDER_TASK);
	add(&g, 3, 1);
	finish(&g, VERDICT_OK);
	/* The first is the oldest now, and not busy any more. */
	declare(&g, 4, "tencent", ORDER_TASK);
	assert_int_equal(deliver_remove_endpoint(g.d, 4), 0);
	pass(&g, 5 * S);
	assert_int_equal(count_removals(&g), DELIVER_REMOVED_MAX);
	assert_false(deliver_endpoint_stats(g.d, 1, &stats));
	assert_true(deliver_endpoint_stats(g.d, 4, &stats));
	/* Of an older version there may be more. */
	for (uint64_t id = 1000; id < 1100; id++)
		*fake_removal(&g.store, id) = (struct removal_row){
			.endpoint = id, .app = 1, .up_to = 1, .name = "old"};
	rig_restart(&g);
	assert_int_equal(deliver_load(g.d), 0);
	pass(&g, 5 * S);
	assert_int_equal(count_removals(&g), DELIVER_REMOVED_MAX);
	assert_int_equal(deliver_next_us(g.d), INT64_MAX);
	rig_fini(&g);
}

static void who_is_declared_while_it_is_forgotten_is_not(void **state)
{
	struct deliver_endpoint_stats stats;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 1);
	finish(&g, VERDICT_OK);
	for (uint64_t id = 1; id <= DELIVER_REMOVED_MAX + 1; id++) {
		declare(&g, id, "tencent", ORDER_TASK);
		assert_int_equal(deliver_remove_endpoint(g.d, id), 0);
	}
	fake_answer_all(&g.store);
	deliver_turn(g.d); /* its row is being deleted */
	assert_false(list_is_empty(&g.store.jobs));
	declare(&g, 1, "tencent", ORDER_TASK);
	pass(&g, 5 * S);
	assert_true(deliver_endpoint_stats(g.d, 1, &stats));
	assert_int_equal(g.n_forgotten, 0);
	assert_int_equal(count_removals(&g), DELIVER_REMOVED_MAX);
	add(&g, 1, 1);
	finish(&g, VERDICT_OK);
	/* And before anything was ever delivered there is no row to delete. */
	rig_fini(&g);
	rig_init(&g);
	for (uint64_t id = 1; id <= DELIVER_REMOVED_MAX + 1; id++) {
		declare(&g, id, "tencent", ORDER_TASK);
		assert_int_equal(deliver_remove_endpoint(g.d, id), 0);
	}
	pass(&g, 5 * S);
	assert_int_equal(g.n_forgotten, 1);
	rig_fini(&g);
}

static void switched_off_it_waits_and_burns_no_attempts(void **state)
{
	struct deliver_endpoint e = endpoint(1, "10s,10s", ORDER_TASK);
	struct rig g;

	(void)state;
	rig_init(&g);
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	add(&g, 1, 1);
	add(&g, 1, 2);
	e.is_off = true;
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	finish(&g, VERDICT_FAILED); /* both were under way */
	finish(&g, VERDICT_OK);
	add(&g, 1, 3); /* was on its way already */
	pass(&g, 3600 * S);
	assert_int_equal(g.n_seen, 2);
	assert_int_equal(fake_row(&g.store, 1)->attempts, 1);
	assert_int_equal(pending(&g, 1), 2);
	e.is_off = false;
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	assert_int_equal(g.n_open, 2);
	finish(&g, VERDICT_OK);
	finish(&g, VERDICT_OK);
	/* Off for too long. */
	add(&g, 1, 1);
	finish(&g, VERDICT_FAILED);
	e.is_off = true;
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	pass(&g, 8 * 86400 * S);
	assert_int_equal(fake_row(&g.store, 4)->state, DELIVERY_EXPIRED);
	assert_int_equal(g.ended[DELIVERY_EXPIRED], 1);
	rig_fini(&g);
}

/* ---- the disk ---- */

static void a_full_store_does_not_make_a_success_happen_twice(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 7);
	add(&g, 1, 7);
	g.store.fail = ENOSPC;
	finish(&g, VERDICT_OK);
	pass(&g, 60 * S);
	assert_int_equal(g.n_open, 0);
	assert_int_equal(deliver_in_flight(g.d), 1);
	g.store.fail = 0;
	pass(&g, 15 * S);
	assert_int_equal(fake_row(&g.store, 1)->state, DELIVERY_DELIVERED);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->delivery, 2);
	rig_fini(&g);
}

static void outcomes_that_cannot_be_saved_stop_new_attempts(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	deliver_free(g.d);
	g.config.max_in_flight = 2;
	assert_int_equal(rig_start(&g), 0);
	declare(&g, 1, "tencent", ORDER_NONE);
	g.store.fail = ENOSPC;
	for (int i = 0; i < 100; i++)
		add(&g, 1, 7);
	while (g.n_open)
		finish(&g, VERDICT_OK);
	assert_in_range(g.n_seen, 8, 10);
	pass(&g, 100 * S);
	assert_in_range(g.n_seen, 8, 10);
	g.store.fail = 0;
	pass(&g, 20 * S);
	while (g.n_open) {
		finish(&g, VERDICT_OK);
		pass(&g, 0);
	}
	assert_int_equal(g.n_seen, 100);
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 100);
	rig_fini(&g);
}

static void facts_that_cannot_be_read_burn_no_attempt(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	add(&g, 1, 7);
	rig_restart(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	g.store.fail_reads = EIO;
	assert_int_equal(deliver_load(g.d), 0);
	fake_answer_all(&g.store);
	pass(&g, 5 * S);
	g.store.fail_reads = ENOMEM;
	pass(&g, 5 * S);
	assert_int_equal(g.n_seen, 0);
	g.store.fail_reads = 0;
	pass(&g, S);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->n, 1);
	assert_int_equal(g.open[0]->task_seq, 1001);
	rig_fini(&g);
}

static void a_delivery_without_its_event_is_dead(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.store.lost_event = 1;
	add(&g, 1, 7);
	rig_restart(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	fake_answer_all(&g.store);
	assert_int_equal(g.ended[DELIVERY_DEAD], 1);
	rig_fini(&g);
}

/* ---- restart ---- */

static void a_restart_repeats_only_what_was_under_way(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	for (int i = 0; i < 3; i++)
		add(&g, 1, 7);
	finish(&g, VERDICT_OK);
	finish(&g, VERDICT_FAILED);
	pass(&g, 0);
	finish(&g, VERDICT_FAILED);
	pass(&g, 4 * S);
	rig_restart(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	assert_int_equal(pending(&g, 1), 2);
	pass(&g, 5 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, S);
	assert_int_equal(g.n_open, 1);
	assert_int_equal(g.open[0]->delivery, 2);
	assert_int_equal(g.open[0]->n, 3);
	rig_fini(&g);
}

static void a_restart_keeps_what_the_endpoint_asked_for(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s,1s", ORDER_TASK);
	add(&g, 1, 7);
	finish_only(&g, VERDICT_FAILED, 600 * S);
	fake_answer_all(&g.store);
	pass(&g, 100 * S);
	rig_restart(&g);
	declare(&g, 1, "1s,1s", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	pass(&g, 499 * S);
	assert_int_equal(g.n_open, 0);
	pass(&g, S);
	assert_int_equal(g.n_open, 1);
	rig_fini(&g);
}

static void a_wall_clock_set_back_does_not_stall(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "10s,10s", ORDER_TASK);
	add(&g, 1, 7);
	finish(&g, VERDICT_FAILED);
	rig_restart(&g);
	wall_ms -= 365 * 86400000LL;
	declare(&g, 1, "10s,10s", ORDER_TASK);
	assert_int_equal(deliver_load(g.d), 0);
	pass(&g, 10 * S);
	assert_int_equal(g.n_open, 1);
	rig_fini(&g);
}

/* ---- replay ---- */

static unsigned replayed;

static void on_replay(const struct store_result *r, void *arg)
{
	(void)arg;
	assert_int_equal(r->err, 0);
	replayed += (unsigned)r->changed;
}

static void replay_gives_dead_letters_a_fresh_budget(void **state)
{
	const struct store_filter f = {.endpoint = 1, .state = -1};
	struct rig g;

	(void)state;
	replayed = 0;
	rig_init(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	for (unsigned i = 1; i <= 3; i++)
		add(&g, 1, i);
	for (int i = 0; i < 3; i++)
		finish(&g, VERDICT_REFUSED);
	add(&g, 1, 1);
	deliver_replay(g.d, &f, on_replay, NULL);
	fake_answer_all(&g.store);
	assert_int_equal(replayed, 3);
	assert_int_equal(pending(&g, 1), 4);
	assert_int_equal(g.n_open, 3); /* lane 1 is busy with its newer one */
	assert_int_equal(g.open[0]->delivery, 4);
	assert_int_equal(g.open[1]->delivery, 2);
	assert_int_equal(g.open[1]->n, 2);
	finish(&g, VERDICT_OK);
	assert_int_equal(g.open[2]->delivery, 1);
	finish(&g, VERDICT_FAILED);
	assert_int_equal(fake_row(&g.store, 2)->state, DELIVERY_PENDING);
	rig_fini(&g);
}

static void put_settled(struct rig *g, unsigned n, enum delivery_state state)
{
	for (unsigned i = 0; i < n; i++) {
		struct delivery_row row;
		uint64_t id = add_row(g, 1, i, &row);

		fake_row(&g->store, id)->state = state;
	}
}

static void a_mass_is_replayed_in_slices(void **state)
{
	struct store_filter f = {.endpoint = 1, .state = -1};
	struct rig g;
	unsigned commits;

	(void)state;
	replayed = 0;
	rig_init(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	put_settled(&g, 30, DELIVERY_EXPIRED);
	put_settled(&g, 2500, DELIVERY_DEAD);
	deliver_replay(g.d, &f, on_replay, NULL);
	fake_answer(&g.store, 2);
	assert_int_equal(replayed, 0); /* it is not done yet */
	assert_int_equal(fake_row(&g.store, 30)->state, DELIVERY_EXPIRED);
	assert_int_equal(fake_row(&g.store, 2030)->state, DELIVERY_PENDING);
	assert_int_equal(fake_row(&g.store, 2031)->state, DELIVERY_DEAD);
	fake_answer_all(&g.store);
	assert_int_equal(replayed, 2530);
	assert_int_equal(pending(&g, 1), 2530);
	/* A limit is for all of them. */
	for (unsigned i = 1; i <= g.store.n_rows; i++)
		fake_row(&g.store, i)->state =
			i % 2 ? DELIVERY_DEAD : DELIVERY_EXPIRED;
	rig_restart(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	replayed = 0;
	f.limit = 1500;
	commits = g.store.commits;
	deliver_replay(g.d, &f, on_replay, NULL);
	fake_answer_all(&g.store);
	assert_int_equal(replayed, 1500);
	assert_int_equal(g.store.commits - commits, 3);
	assert_int_equal(pending(&g, 1), 1500);
	rig_fini(&g);
}

static void a_slice_that_fails_ends_a_replay_with_what_was_done(void **state)
{
	const struct store_filter f = {.endpoint = 1, .state = DELIVERY_DEAD};
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	put_settled(&g, 1001, DELIVERY_DEAD);
	deliver_replay(g.d, &f, NULL, NULL);
	fake_answer(&g.store, 1);
	g.store.fail = EIO;
	fake_answer(&g.store, 1);
	g.store.fail = 0;
	fake_answer_all(&g.store);
	assert_int_equal(pending(&g, 1), 1000);
	assert_int_equal(fake_row(&g.store, 1001)->state, DELIVERY_DEAD);
	rig_fini(&g);
}

static void a_replay_by_name_brings_back_who_is_gone(void **state)
{
	struct store_filter f = {.state = -1};
	struct deliver_endpoint_stats st;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	add(&g, 1, 1);
	add(&g, 1, 1);
	finish(&g, VERDICT_GONE);
	deliver_replay(g.d, &f, NULL, NULL); /* of all endpoints */
	fake_answer_all(&g.store);
	assert_true(deliver_endpoint_stats(g.d, 1, &st));
	assert_true(st.gone);
	assert_int_equal(g.n_open, 0);
	f.endpoint = 1;
	deliver_replay(g.d, &f, NULL, NULL);
	fake_answer_all(&g.store);
	assert_true(deliver_endpoint_stats(g.d, 1, &st));
	assert_false(st.gone);
	assert_int_equal(st.pending, 2);
	assert_int_equal(g.n_open, 1); /* attempted again */
	rig_fini(&g);
}

static void a_stale_page_brings_nothing_back(void **state)
{
	const struct store_filter f = {.endpoint = 1, .state = -1};
	struct link *page;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "1s", ORDER_TASK);
	add(&g, 1, 1);
	finish(&g, VERDICT_REFUSED);
	add(&g, 1, 2);
	add(&g, 1, 3);
	deliver_replay(g.d, &f, on_replay, NULL);
	fake_answer(&g.store, 1); /* now its page is read */
	finish_only(&g, VERDICT_OK, -1);
	/* Commit the outcome before the page is looked at. */
	page = list_first(&g.store.jobs);
	list_remove(page);
	list_append(&g.store.jobs, page);
	fake_answer_all(&g.store);
	assert_int_equal(fake_row(&g.store, 2)->state, DELIVERY_DELIVERED);
	assert_int_equal(pending(&g, 1), 2);
	rig_fini(&g);
}

/* ---- memory ---- */

static struct rig oom_rig;

/** Everything once; what cannot be had is retried when time passes. */
static void whole_life(void)
{
	struct rig *g = &oom_rig;
	const struct store_filter f = {.state = -1};
	struct deliver_endpoint e = endpoint(1, "1s,1s", ORDER_TASK);

	g->n_open = 0;
	g->n_seen = 0;
	g->store.n_rows = 0;
	g->store.n_removals = 0;
	if (rig_start(g))
		return;
	if (deliver_set_endpoint(g->d, &e))
		goto out;
	for (unsigned i = 0; i < 4; i++)
		add(g, 1, i / 2 + 1);
	for (int i = 0; i < 40; i++) {
		while (g->n_open)
			finish(g, i % 3 ? VERDICT_OK : VERDICT_REFUSED);
		pass(g, 5 * S);
		if (i == 20)
			deliver_replay(g->d, &f, NULL, NULL);
	}
	add(g, 1, 1);
	add(g, 1, 1);
	assert_int_equal(deliver_remove_endpoint(g->d, 1), 0);
	for (int i = 0; i < 20; i++) {
		while (g->n_open)
			finish(g, VERDICT_FAILED);
		pass(g, 5 * S);
	}
	assert_int_equal(fake_removal(&g->store, 1)->up_to, g->store.n_rows);
	assert_int_equal(pending(g, 1), 0);
	for (unsigned i = 0; i < g->store.n_rows; i++)
		assert_int_not_equal(g->store.rows[i].d.state,
				     DELIVERY_PENDING);
out:
	deliver_free(g->d);
	g->d = NULL;
	fake_crash(&g->store);
}

static void no_memory_delays_but_loses_nothing(void **state)
{
	(void)state;
	rig_init(&oom_rig);
	deliver_free(oom_rig.d);
	oom_rig.d = NULL;
	OOM_SWEEP(whole_life);
	rig_fini(&oom_rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_has_one_attempt_at_a_time_in_order),
		cmocka_unit_test(
			the_next_attempt_of_a_lane_waits_for_the_commit),
		cmocka_unit_test(
			a_failing_head_blocks_for_the_short_part_then_is_late),
		cmocka_unit_test(strict_waits_for_its_head),
		cmocka_unit_test(without_order_all_go_at_once),
		cmocka_unit_test(
			no_endpoint_has_more_in_flight_than_its_own_limit),
		cmocka_unit_test(endpoints_that_hang_leave_slots_for_others),
		cmocka_unit_test(ready_endpoints_take_turns),
		cmocka_unit_test(a_used_up_budget_is_a_dead_letter),
		cmocka_unit_test(
			refused_is_dead_at_once_and_no_fault_of_the_endpoint),
		cmocka_unit_test(gone_kills_one_and_parks_the_rest),
		cmocka_unit_test(
			what_an_endpoint_was_is_not_held_against_what_it_is),
		cmocka_unit_test(retry_after_is_waited_for),
		cmocka_unit_test(an_endpoint_says_how_soon_it_is_probed),
		cmocka_unit_test(an_open_breaker_burns_no_attempts),
		cmocka_unit_test(
			who_is_well_is_attempted_before_the_next_probe),
		cmocka_unit_test(a_replay_by_name_is_a_probe_at_once),
		cmocka_unit_test(what_is_too_old_expires_wherever_it_waits),
		cmocka_unit_test(
			a_full_store_does_not_make_a_success_happen_twice),
		cmocka_unit_test(
			outcomes_that_cannot_be_saved_stop_new_attempts),
		cmocka_unit_test(facts_that_cannot_be_read_burn_no_attempt),
		cmocka_unit_test(a_delivery_without_its_event_is_dead),
		cmocka_unit_test(a_restart_repeats_only_what_was_under_way),
		cmocka_unit_test(a_restart_keeps_what_the_endpoint_asked_for),
		cmocka_unit_test(a_wall_clock_set_back_does_not_stall),
		cmocka_unit_test(replay_gives_dead_letters_a_fresh_budget),
		cmocka_unit_test(a_mass_is_replayed_in_slices),
		cmocka_unit_test(
			a_slice_that_fails_ends_a_replay_with_what_was_done),
		cmocka_unit_test(a_replay_by_name_brings_back_who_is_gone),
		cmocka_unit_test(a_stale_page_brings_nothing_back),
		cmocka_unit_test(
			what_is_pending_for_a_removed_endpoint_expires),
		cmocka_unit_test(attempts_under_way_end_as_they_end),
		cmocka_unit_test(a_removal_goes_on_after_a_restart),
		cmocka_unit_test(a_name_that_is_used_again_begins_anew),
		cmocka_unit_test(a_removal_that_cannot_be_saved_is_saved_later),
		cmocka_unit_test(
			a_mass_of_a_removed_endpoint_leaves_others_their_turn),
		cmocka_unit_test(
			nothing_old_goes_to_who_takes_a_name_before_it_expired),
		cmocka_unit_test(nor_after_a_restart),
		cmocka_unit_test(only_so_many_removed_endpoints_are_remembered),
		cmocka_unit_test(who_is_declared_while_it_is_forgotten_is_not),
		cmocka_unit_test(switched_off_it_waits_and_burns_no_attempts),
		cmocka_unit_test(no_memory_delays_but_loses_nothing),
	};

	log_set_sink(quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
