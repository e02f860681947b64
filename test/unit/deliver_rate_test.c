/** test/unit/deliver_rate_test.c -- an endpoint's rate, and its hold. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/counters.h"
#include "deliver_aid.h"
#include "oom.h"

#define MS ((int64_t)CLOCK_US_PER_MS)

/* ---- the bucket ---- */

/** Take all that is there at `now_us`; how many. */
static unsigned drain(struct rate *r, int64_t now_us)
{
	unsigned n = 0;

	while (rate_next_us(r, now_us) <= now_us) {
		rate_take(r, now_us);
		n++;
	}
	return n;
}

static void a_bucket_holds_a_second_and_at_least_one(void **state)
{
	static const struct {
		uint32_t per_minute;
		unsigned burst;
	} cases[] = {{1, 1},   {30, 1},	   {60, 1},	   {119, 1},
		     {120, 2}, {1200, 20}, {600000, 10000}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rate r = {0};

		rate_set(&r, cases[i].per_minute, 5 * S);
		assert_int_equal(drain(&r, 5 * S), cases[i].burst);
		/* However long it rests. */
		assert_int_equal(drain(&r, INT64_MAX / 2), cases[i].burst);
	}
}

static void tokens_come_at_the_rate_to_the_microsecond(void **state)
{
	static const uint32_t rates[] = {1, 7, 30, 60, 90, 1200, 599999};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		struct rate r = {0};
		int64_t t_us = 3 * S, began_us = t_us;

		rate_set(&r, rates[i], t_us);
		drain(&r, t_us);
		rate_empty(&r, t_us);
		for (unsigned n = 1; n <= 2 * rates[i] && n <= 5000; n++) {
			int64_t at_us = rate_next_us(&r, t_us);

			/* Never early; what a full bucket of one cannot
			 * hold is a microsecond a token at most. */
			assert_true((at_us - began_us) * rates[i] >=
				    n * 60 * S);
			assert_true((at_us - began_us - n) * rates[i] <=
				    n * 60 * S);
			assert_true(rate_next_us(&r, at_us - 1) == at_us);
			t_us = at_us;
			rate_take(&r, t_us);
		}
	}
}

static void a_changed_rate_keeps_what_was_saved_up_and_no_more(void **state)
{
	struct rate r = {0};

	(void)state;
	rate_set(&r, 1200, 0); /* 20 at once */
	rate_take(&r, 0);
	rate_set(&r, 60, 0);
	assert_int_equal(drain(&r, 0), 1);
	rate_set(&r, 1200, 500 * MS); /* half a token, then 20 a second */
	assert_int_equal(drain(&r, 500 * MS), 0);
	assert_int_equal(rate_next_us(&r, 500 * MS), 525 * MS);
	/* The same rate once more fills nothing. */
	rate_set(&r, 1200, 510 * MS);
	assert_int_equal(rate_next_us(&r, 510 * MS), 525 * MS);
}

static void a_limit_counts_what_went_out_before_it(void **state)
{
	struct rate r = {0};

	(void)state;
	assert_int_equal(rate_next_us(&r, 7), 7);
	rate_take(&r, 10 * S); /* no limit yet */
	rate_set(&r, 60, 10 * S + 400 * MS);
	assert_int_equal(rate_next_us(&r, 10 * S + 400 * MS), 11 * S);
	rate_set(&r, 0, 10 * S + 500 * MS);
	assert_int_equal(rate_next_us(&r, 10 * S + 500 * MS),
			 10 * S + 500 * MS);
}

static void what_was_not_needed_is_given_back(void **state)
{
	struct rate r = {0};

	(void)state;
	rate_set(&r, 60, 0);
	rate_take(&r, 0);
	rate_give_back(&r, 0);
	assert_int_equal(drain(&r, 0), 1);
	/* Never more than a full one. */
	rate_give_back(&r, S);
	assert_int_equal(drain(&r, S), 1);
}

static void a_rate_is_written_in_deliveries_a_second(void **state)
{
	static const struct {
		const char *text;
		uint32_t per_minute;
	} good[] = {{"0", 0},	      {"0.0", 0},   {"0.017", 1},
		    {"0.02", 1},      {"0.033", 1}, {"0.1", 6},
		    {"0.5", 30},      {"1", 60},    {"1.5", 90},
		    {"000001", 60},   {"20", 1200}, {"9999.999", 599999},
		    {"10000", 600000}};
	static const char *const bad[] = {
		"",	 ".5",	    "5.",	"-1",	   "1e3",    "0.016",
		"0.001", "10000.1", "1000000",	"1234567", "0.0005", "1.2.3",
		" 1",	 "1 ",	    "infinity", "nan"};
	uint32_t n = 7;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(deliver_rate_parse(good[i].text, &n, &e), 0);
		assert_int_equal(n, good[i].per_minute);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e = (struct err){0};
		assert_int_equal(deliver_rate_parse(bad[i], &n, &e), EINVAL);
		assert_string_equal(e.field, "rate");
		assert_non_null(strstr(e.text, "from 0.017 to 10000"));
	}
	assert_int_equal(n, 600000);
}

/* ---- in the engine ---- */

static void declare_rate(struct rig *g, uint64_t id, uint32_t per_minute)
{
	struct deliver_endpoint e = endpoint(id, "tencent", ORDER_TASK);

	e.per_minute = per_minute;
	assert_int_equal(deliver_set_endpoint(g->d, &e), 0);
}

static struct deliver_endpoint_stats stats(struct rig *g, uint64_t id)
{
	struct deliver_endpoint_stats s;

	assert_true(deliver_endpoint_stats(g->d, id, &s));
	return s;
}

/** Attempts of an endpoint so far. */
static unsigned seen_of(const struct rig *g, uint64_t id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_seen; i++)
		n += g->seen[i].endpoint == id;
	return n;
}

static void attempts_start_at_the_rate_and_no_more_turns_are_needed(
	void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 60);
	for (unsigned i = 0; i < 5; i++)
		add(&g, 1, 100 + i);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(g.n_seen, i);
		finish(&g, VERDICT_OK);
		assert_int_equal(g.n_seen, i);
		if (i == 5)
			break;
		assert_true(stats(&g, 1).limited);
		assert_int_equal(deliver_next_us(g.d), (1000 + i) * S);
		clock_us = deliver_next_us(g.d) - 1;
		deliver_turn(g.d);
		assert_int_equal(g.n_seen, i);
		clock_us++;
		deliver_turn(g.d);
	}
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 5);
	assert_false(stats(&g, 1).limited);
	assert_int_equal(stats(&g, 1).per_minute, 60);
	rig_fini(&g);
}

static void waiting_for_the_rate_burns_no_attempt_and_keeps_the_order(
	void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 30);
	for (unsigned i = 0; i < 12; i++)
		add(&g, 1, i % 3);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(g.n_open, 1);
		finish(&g, VERDICT_OK);
		pass(&g, 2 * S);
	}
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 12);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(g.seen[i].n, 1);
		assert_int_equal(fake_row(&g.store, i + 1)->attempts, 1);
		for (unsigned k = 0; k < i; k++)
			assert_true(g.seen[k].lane != g.seen[i].lane ||
				    g.seen[k].delivery < g.seen[i].delivery);
	}
	rig_fini(&g);
}

static void a_retry_takes_a_token_too(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 6);
	add(&g, 1, 7);
	finish(&g, VERDICT_FAILED); /* "tencent": again at once */
	pass(&g, 10 * S - 1);
	assert_int_equal(g.n_seen, 1);
	pass(&g, 1);
	assert_int_equal(g.n_seen, 2);
	rig_fini(&g);
}

static void a_limited_endpoint_holds_up_no_other(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.config.max_in_flight = 4;
	rig_restart(&g);
	for (uint64_t id = 1; id <= 3; id++)
		declare_rate(&g, id, 1);
	declare(&g, 9, "tencent", ORDER_TASK);
	for (unsigned i = 0; i < 300; i++)
		add(&g, 1 + i % 3, i);
	for (unsigned i = 0; i < 3; i++)
		finish(&g, VERDICT_OK);
	for (unsigned i = 0; i < 200; i++)
		add(&g, 9, 1000 + i);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(g.open[0]->endpoint, 9);
		finish(&g, VERDICT_OK);
	}
	assert_int_equal(pending(&g, 9), 0);
	assert_int_equal(g.n_open, 0);
	assert_int_equal(stats(&g, 1).in_flight, 0);
	pass(&g, 60 * S);
	assert_int_equal(g.n_open, 3);
	rig_fini(&g);
}

/** Deliveries that wait are looked at when a token comes, not before: the
 *  engine asks for no turn in between but those of its sweep. */
static void a_mass_that_waits_asks_for_no_turns(void **state)
{
	enum { MASS = 100000 };
	unsigned turns = 0;
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 2);
	for (unsigned i = 0; i < MASS; i++) {
		struct delivery_row row = {.id = 1 + i,
					   .event = 1 + i,
					   .endpoint = 1,
					   .lane = i,
					   .app = 1,
					   .created_ms = unix_ms()};

		deliver_add(g.d, &row, 1, i, "f", 1);
	}
	assert_int_equal(g.n_seen, 1);
	assert_int_equal(stats(&g, 1).pending, MASS);
	for (int64_t end_us = clock_us + 600 * S;;) {
		int64_t next_us = deliver_next_us(g.d);

		assert_true(next_us > clock_us);
		if (next_us > end_us)
			break;
		clock_us = next_us;
		deliver_turn(g.d);
		turns++;
	}
	/* 8 may be under way; none has ended. */
	assert_int_equal(g.n_seen, 8);
	assert_true(turns <= 600 / 5 + 8);
	rig_fini(&g);
}

static void the_soonest_token_is_the_next_turn(void **state)
{
	static const uint32_t rates[] = {6, 60, 30, 12, 20, 1};
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
		declare_rate(&g, i + 1, rates[i]);
		add(&g, i + 1, 1);
		add(&g, i + 1, 2);
	}
	assert_int_equal(g.n_seen, ARRAY_LEN(rates));
	for (int64_t at = 1; at <= 60; at++) {
		pass(&g, 1000 * S + at * S - clock_us);
		for (unsigned i = 0; i < ARRAY_LEN(rates); i++)
			assert_int_equal(seen_of(&g, i + 1),
					 at * rates[i] >= 60 ? 2 : 1);
	}
	rig_fini(&g);
}

static void the_smaller_of_both_rates_counts(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 120);
	assert_int_equal(stats(&g, 1).per_minute, 120);
	deliver_set_rate(g.d, 1, 60);
	assert_int_equal(stats(&g, 1).per_minute, 60);
	deliver_set_rate(g.d, 1, 600);
	assert_int_equal(stats(&g, 1).per_minute, 120);
	deliver_set_rate(g.d, 1, 60);
	declare_rate(&g, 1, 0); /* what it allowed stays */
	assert_int_equal(stats(&g, 1).per_minute, 60);
	deliver_set_rate(g.d, 1, 0);
	assert_int_equal(stats(&g, 1).per_minute, 0);
	rig_fini(&g);
}

static void a_rate_that_changes_moves_the_next_token(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare_rate(&g, 1, 1);
	for (unsigned i = 0; i < 4; i++)
		add(&g, 1, i);
	assert_int_equal(deliver_next_us(g.d), 1005 * S); /* the sweep */
	pass(&g, 30 * S); /* half of a minute's one */
	assert_int_equal(g.n_seen, 1);
	declare_rate(&g, 1, 60);
	pass(&g, 500 * MS);
	assert_int_equal(g.n_seen, 2);
	declare_rate(&g, 1, 0);
	assert_int_equal(g.n_seen, 4);
	rig_fini(&g);
}

static void what_is_under_way_when_a_rate_is_set_counts_as_begun_now(
	void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	add(&g, 1, 1);
	deliver_hold(g.d, 1, true);
	add(&g, 1, 2);
	clock_us += 30 * S;
	deliver_set_rate(g.d, 1, 60);
	deliver_hold(g.d, 1, false);
	assert_int_equal(g.n_seen, 1);
	pass(&g, S - 1);
	assert_int_equal(g.n_seen, 1);
	pass(&g, 1);
	assert_int_equal(g.n_seen, 2);
	rig_fini(&g);
}

static void what_expires_while_it_waits_takes_no_token(void **state)
{
	struct deliver_endpoint e = endpoint(1, "tencent", ORDER_TASK);
	struct rig g;

	(void)state;
	rig_init(&g);
	e.per_minute = 1;
	e.expire_us = 30 * S;
	assert_int_equal(deliver_set_endpoint(g.d, &e), 0);
	add(&g, 1, 1);
	finish(&g, VERDICT_OK);
	for (unsigned i = 0; i < 50; i++)
		add(&g, 1, 2 + i);
	pass(&g, 59 * S);
	assert_int_equal(g.ended[DELIVERY_EXPIRED], 50);
	add(&g, 1, 99);
	assert_int_equal(g.n_seen, 1);
	pass(&g, S);
	assert_int_equal(g.n_seen, 2);
	rig_fini(&g);
}

/* ---- the hold ---- */

static void a_held_endpoint_starts_nothing_and_others_go_on(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	declare(&g, 1, "tencent", ORDER_TASK);
	declare(&g, 2, "tencent", ORDER_TASK);
	deliver_hold(g.d, 1, true);
	assert_true(stats(&g, 1).held);
	for (unsigned i = 0; i < 4; i++) {
		add(&g, 1, i);
		add(&g, 2, i);
	}
	pass(&g, 60 * S);
	assert_int_equal(seen_of(&g, 1), 0);
	assert_int_equal(seen_of(&g, 2), 4);
	deliver_hold(g.d, 1, false);
	assert_int_equal(seen_of(&g, 1), 4);
	assert_false(stats(&g, 1).held);
	rig_fini(&g);
}

/** Facts of several are being read when the first of them holds the rest. */
static void what_has_not_begun_when_a_hold_comes_begins_after_it(void **state)
{
	int64_t attempts;
	struct rig g;

	(void)state;
	rig_init(&g);
	for (unsigned i = 0; i < 6; i++) {
		struct delivery_row row;

		add_row(&g, 1, i % 3, &row);
	}
	declare_rate(&g, 1, 180); /* three at once */
	assert_int_equal(deliver_load(g.d), 0);
	attempts = counter_get(COUNT_attempts);
	fake_answer(&g.store, 1);
	assert_int_equal(g.n_seen, 1);
	deliver_hold(g.d, 1, true);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_seen, 1);
	assert_int_equal(deliver_in_flight(g.d), 1);
	assert_int_equal(stats(&g, 1).in_flight, 1);
	/* With the tokens that they had. */
	deliver_hold(g.d, 1, false);
	fake_answer_all(&g.store);
	assert_int_equal(g.n_seen, 3);
	for (unsigned i = 0; i < 6; i++) {
		pass(&g, g.n_open ? 0 : S);
		finish(&g, VERDICT_OK);
	}
	assert_int_equal(g.ended[DELIVERY_DELIVERED], 6);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(g.seen[i].n, 1);
		for (unsigned k = 0; k < i; k++)
			assert_true(g.seen[k].lane != g.seen[i].lane ||
				    g.seen[k].delivery < g.seen[i].delivery);
	}
	assert_int_equal(counter_get(COUNT_attempts), attempts + 6);
	rig_fini(&g);
}

/* ---- no memory ---- */

static struct rig oom_rig;

/** Rates and a hold, to the end. */
static void limited_life(void)
{
	struct rig *g = &oom_rig;
	struct deliver_endpoint e = endpoint(1, "1s", ORDER_TASK);

	e.per_minute = 60;
	clock_us = 1000 * S;
	g->n_open = 0;
	g->n_seen = 0;
	g->store.n_rows = 0;
	if (rig_start(g))
		return;
	if (deliver_set_endpoint(g->d, &e))
		goto out;
	for (unsigned i = 0; i < 3; i++)
		add(g, 1, i);
	for (int i = 0; i < 80; i++) {
		while (g->n_open)
			finish(g, VERDICT_OK);
		if (i % 20 < 2)
			deliver_hold(g->d, 1, i % 20 == 0);
		if (i == 10)
			deliver_set_rate(g->d, 1, 30);
		pass(g, S);
	}
	assert_int_equal(pending(g, 1), 0);
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
	OOM_SWEEP(limited_life);
	rig_fini(&oom_rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_holds_a_second_and_at_least_one),
		cmocka_unit_test(tokens_come_at_the_rate_to_the_microsecond),
		cmocka_unit_test(
			a_changed_rate_keeps_what_was_saved_up_and_no_more),
		cmocka_unit_test(a_limit_counts_what_went_out_before_it),
		cmocka_unit_test(what_was_not_needed_is_given_back),
		cmocka_unit_test(a_rate_is_written_in_deliveries_a_second),
		cmocka_unit_test(
			attempts_start_at_the_rate_and_no_more_turns_are_needed),
		cmocka_unit_test(
			waiting_for_the_rate_burns_no_attempt_and_keeps_the_order),
		cmocka_unit_test(a_retry_takes_a_token_too),
		cmocka_unit_test(a_limited_endpoint_holds_up_no_other),
		cmocka_unit_test(a_mass_that_waits_asks_for_no_turns),
		cmocka_unit_test(the_soonest_token_is_the_next_turn),
		cmocka_unit_test(the_smaller_of_both_rates_counts),
		cmocka_unit_test(a_rate_that_changes_moves_the_next_token),
		cmocka_unit_test(
			what_is_under_way_when_a_rate_is_set_counts_as_begun_now),
		cmocka_unit_test(what_expires_while_it_waits_takes_no_token),
		cmocka_unit_test(
			a_held_endpoint_starts_nothing_and_others_go_on),
		cmocka_unit_test(
			what_has_not_begun_when_a_hold_comes_begins_after_it),
		cmocka_unit_test(no_memory_delays_but_loses_nothing),
	};

	log_set_sink(quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
