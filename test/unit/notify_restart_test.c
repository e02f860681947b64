/** test/unit/notify_restart_test.c -- nothing is lost, whenever it stops, and
 *  whatever memory lacks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/crash.h"
#include "notify_aid.h"

/** What the target has seen of an event, by its id. */
static unsigned times_seen(const struct rig *g, const char *id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_seen; i++)
		n += !strcmp(g->seen[i].id, id);
	return n;
}

static void a_restart_goes_on_with_the_same_ids_and_loses_nothing(void **state)
{
	struct rig *g = *state;
	char id[24];

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 200}, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 4; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 3); /* one delivered, the next failed twice */
	rig_settle(g);
	SCRIPT(g, 0, {.status = 0});
	tell(g, 128, 0);
	UNTIL(g, g->n_seen == 4); /* and one hangs */
	rig_again(g);
	assert_balance(g, 1, 4, 0, 0);
	SCRIPT(g, 0, {.status = 200});
	UNTIL(g, g->n_seen == 5); /* the one that was under way, at once */
	assert_string_equal(g->seen[4].id, g->seen[3].id);
	assert_string_equal(g->seen[4].attempt, "1"); /* never concluded */
	rig_settle(g);
	assert_int_equal(g->n_seen, 5);
	clock_pass(g, 10 * S);
	UNTIL(g, g->n_seen == 8 && stats_of(g, 0).pending == 0);
	rig_settle(g);
	assert_string_equal(g->seen[5].id, g->seen[1].id);
	assert_string_equal(g->seen[5].attempt, "3");
	assert_string_equal(strstr(g->seen[5].body, ",\"EventType\""),
			    strstr(g->seen[1].body, ",\"EventType\""));
	for (unsigned i = 1; i <= 5; i++) {
		snprintf(id, sizeof(id), "%u", i);
		assert_true(times_seen(g, id) >= 1);
	}
	assert_balance(g, 5, 0, 0, 0);
	/* New ids do not meet the old ones. */
	tell(g, 64, 4);
	UNTIL(g, g->n_seen == 9);
	assert_string_equal(g->seen[8].id, "6");
	rig_settle(g);
	rig_again(g);
	rig_settle(g);
	assert_balance(g, 6, 0, 0, 0);
	assert_int_equal(g->n_seen, 9);
}

static void a_late_one_is_late_and_the_breaker_new_after_a_restart(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	assert_int_equal(
		deliver_retry_parse("1s,1h", &e->retry, &(struct err){0}), 0);
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	clock_pass(g, S);
	UNTIL(g, g->n_seen == 3);
	rig_settle(g);
	rig_again(g);
	tell(g, 64, 2); /* does not wait for the late one */
	UNTIL(g, g->n_seen == 4);
	assert_string_equal(g->seen[3].sequence, "2");
	clock_pass(g, 3600 * S - S);
	assert_int_equal(g->n_seen, 4);
	clock_pass(g, S);
	UNTIL(g, g->n_seen == 5);
	assert_string_equal(g->seen[4].sequence, "0");
	rig_settle(g);
	assert_balance(g, 3, 0, 0, 0);
}

static void an_endpoint_that_is_not_declared_any_more_waits(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	g->n_endpoints = 0;
	rig_again(g);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 2);
	assert_balance(g, 0, 1, 0, 0);
	SCRIPT(g, 0, {.status = 200});
	rig_declare(g, 0);
	UNTIL(g, g->n_seen == 3);
	rig_settle(g);
	assert_string_equal(g->seen[2].attempt, "3");
	assert_balance(g, 1, 0, 0, 0);
}

static void with_time_of_its_own_it_retries_by_itself(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	g->config.deliver = (struct deliver_config){0};
	e->retry = (struct deliver_retry){
		.delay_us = {S / 100, S / 50}, .n = 2, .n_short = 2};
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 3 && stats_of(g, 0).pending == 0);
	assert_balance(g, 1, 0, 0, 0);
}

static void a_pause_starts_nothing_more(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 1 && !g->committing);
	assert_int_equal(notify_in_flight(g->n), 1);
	notify_pause(g->n);
	release(&g->targets[0], 200);
	UNTIL(g, !notify_in_flight(g->n));
	rig_settle(g);
	assert_int_equal(g->n_seen, 1);
	assert_balance(g, 1, 1, 0, 0);
}

/* ---- the disk ---- */

/** NULL: none.  The store thread must not be in a commit: after this one it
 *  is in none, and nothing else has been asked of it. */
static void set_fault(struct rig *g, const char *value)
{
	struct store_result r;

	(void)!store_commit_wait(g->a.s, store_write_new(), &r);
	if (value)
		setenv("TAPEOP_FAULT", value, 1);
	else
		unsetenv("TAPEOP_FAULT");
	crash_reload();
}

static void an_event_that_cannot_be_committed_is_not_sent(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/");
	rig_begin(g);
	set_fault(g, "store.commit=ENOSPC");
	tell(g, 64, 0);
	UNTIL(g, !g->committing);
	assert_int_equal(g->settled.err, ENOSPC);
	rig_settle(g);
	assert_int_equal(g->n_seen, 0);
	set_fault(g, NULL);
	assert_balance(g, 0, 0, 0, 0);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	rig_settle(g);
	assert_balance(g, 1, 0, 0, 0);
}

static void a_success_that_cannot_be_saved_is_not_sent_twice(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 0}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 1 && !g->committing);
	set_fault(g, "store.commit=ENOSPC");
	release(&g->targets[0], 200);
	for (int i = 0; i < 10; i++) {
		hand_us += S;
		for (int k = 0; k < QUIET_TURNS; k++)
			rig_turn(g);
	}
	assert_int_equal(g->n_seen, 1);
	assert_int_equal(notify_in_flight(g->n), 1);
	set_fault(g, NULL);
	for (int i = 0; notify_in_flight(g->n) && i < 600; i++) {
		hand_us += S;
		rig_turn(g);
	}
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_string_equal(g->seen[1].sequence, "1");
	assert_balance(g, 2, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_restart_goes_on_with_the_same_ids_and_loses_nothing),
		RIG_TEST(
			a_late_one_is_late_and_the_breaker_new_after_a_restart),
		RIG_TEST(an_endpoint_that_is_not_declared_any_more_waits),
		RIG_TEST(with_time_of_its_own_it_retries_by_itself),
		RIG_TEST(a_pause_starts_nothing_more),
		RIG_TEST(an_event_that_cannot_be_committed_is_not_sent),
		RIG_TEST(a_success_that_cannot_be_saved_is_not_sent_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
