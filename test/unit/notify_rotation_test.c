/** test/unit/notify_endpoints_test.c -- endpoints that are switched off and
 *  taken out while others go on. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hash_aid.h"
#include "notify_aid.h"

static uint64_t id_of(const struct rig *g, size_t i)
{
	return notify_endpoint_id(g->endpoints[i].app, g->endpoints[i].name);
}

/* ---- rotation ------------------------------------------------------------ */

/** The receiver knows `key` only. */
static const char *known_key;

static int only_with_known_key(const struct seen *s)
{
	char want[80];

	hash_sign(known_key, s->body, false, want);
	return strcmp(s->signature, want) != 0 ? 401 : 200;
}

static struct notify_endpoint *rotating(struct rig *g)
{
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	e->key = "new key";
	e->previous_key = "old key";
	g->targets[0].judge = only_with_known_key;
	return e;
}

static void who_knows_one_key_of_two_gets_every_event(void **state)
{
	static const char *const keys[] = {"new key", "old key"};
	struct rig *g = *state;
	unsigned n = 0;

	rotating(g);
	rig_begin(g);
	for (unsigned k = 0; k < 2; k++) {
		known_key = keys[k];
		/* many lanes at once, and one after another in a lane */
		for (unsigned i = 0; i < 60; i++)
			tell(g, 64 * (1 + i % 20), 10 * k + i / 20);
		clock_pass(g, S);
		for (; n < g->n_seen; n++)
			assert_true(strcmp(g->seen[n].attempt, k ? "2" : "1") <=
				    0);
		assert_int_equal(n, k ? 60 + 120 : 60);
		assert_balance(g, 60 * (k + 1), 0, 0, 0);
		assert_int_equal(stats_of(g, 0).breaker, BREAKER_CLOSED);
	}
}

static void with_neither_key_the_breaker_opens_all_the_same(void **state)
{
	struct rig *g = *state;

	rotating(g);
	known_key = "a third key";
	rig_begin(g);
	for (unsigned i = 0; i < 20; i++)
		tell(g, 64 * (i + 1), 0);
	clock_pass(g, S);
	assert_int_equal(stats_of(g, 0).breaker, BREAKER_OPEN);
	assert_balance(g, 0, 20, 0, 0);
}

static void an_attempt_keeps_its_verdict_when_the_endpoint_changes(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 1);
	/* It would not be success by its body, which is empty. */
	e->verdict = NOTIFY_BY_BODY;
	e->key = "another";
	rig_declare(g, 0);
	release(&g->targets[0], 200);
	rig_settle(g);
	assert_balance(g, 1, 0, 0, 0);
	SCRIPT(g, 0, {.status = 200});
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_balance(g, 1, 1, 0, 0);
}

static void standard_signs_with_both_keys_at_once(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");
	const char *space;

	e->dialect = DIALECT_STANDARD;
	e->key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	e->previous_key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
	SCRIPT(g, 0, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, S);
	assert_int_equal(g->n_seen, 2);
	for (unsigned i = 0; i < 2; i++) {
		space = strchr(g->seen[i].standard, ' ');
		assert_non_null(space);
		assert_memory_equal(g->seen[i].standard, "v1,", 3);
		assert_memory_equal(space, " v1,", 4);
		assert_string_not_equal(g->seen[i].standard, space + 1);
	}
}

/* ---- taking out ----------------------------------------------------------- */

static void a_removed_endpoint_is_told_nothing_more(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;
	struct delivery_row row;

	endpoint_to(g, "old", 0, "/");
	endpoint_to(g, "other", 1, "/");
	SCRIPT(g, 0, {.status = 200}, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 4; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 7); /* one is delivered, one failed twice */
	rig_settle(g);
	assert_balance(g, 5, 3, 0, 0);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), ENOENT);
	assert_int_equal(notify_remove_endpoint(g->n, 12345), ENOENT);
	tell(g, 64, 4);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 8);
	assert_int_equal(g->seen[7].target, 1);
	assert_balance(g, 6, 0, 0, 3);
	row = row_of(g, 7);
	assert_int_equal(row.state, DELIVERY_EXPIRED);
	assert_string_equal(row.last_error, "the endpoint was removed");
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_string_equal(info.name, "other");
	assert_false(notify_endpoint_at(g->n, 1, &info));
	assert_string_equal(notify_endpoint_name(g->n, row.endpoint), "old");
	/* A restart remembers it, by name. */
	g->endpoints[0] = g->endpoints[1];
	g->n_endpoints = 1;
	rig_again(g);
	assert_string_equal(notify_endpoint_name(g->n, row.endpoint), "old");
	assert_balance(g, 6, 0, 0, 3);
}

static void an_attempt_under_way_ends_after_the_removal(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "old", 0, "/");
	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 128, 0);
	UNTIL(g, g->n_seen == 2);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	release(&g->targets[0], 200);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

static void a_crash_in_the_middle_of_a_removal_changes_nothing(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "old", 0, "/");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 50; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	g->n_endpoints = 0;
	rig_again(g); /* the row is there, nothing has expired */
	clock_pass(g, 5 * S);
	assert_balance(g, 0, 0, 0, 50);
	assert_int_equal(g->n_seen, 2);
}

static void a_removed_name_may_be_used_again_at_once(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "name", 0, "/");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 3; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_int_equal(notify_remove_endpoint(g->n, id_of(g, 0)), 0);
	snprintf(g->urls[0], sizeof(g->urls[0]), "http://127.0.0.1:%u/new",
		 (unsigned)addr_port(&g->targets[1].addr));
	rig_declare(g, 0);
	tell(g, 64, 3);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 3);
	assert_string_equal(g->seen[2].path, "/new");
	assert_string_equal(g->seen[2].sequence, "3");
	assert_balance(g, 1, 0, 0, 3);
	rig_again(g);
	tell(g, 64, 4);
	clock_pass(g, S);
	assert_balance(g, 2, 0, 0, 3);
}

static void switched_off_nothing_is_made_and_what_waits_waits(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	g->endpoints[0].enabled = false;
	rig_declare(g, 0);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_false(info.enabled);
	tell(g, 64, 1); /* is not told later either */
	clock_pass(g, 600 * S);
	assert_int_equal(g->n_seen, 2);
	assert_balance(g, 0, 1, 0, 0);
	assert_int_equal(row_of(g, 1).attempts, 2);
	rig_again(g);
	clock_pass(g, 600 * S);
	assert_int_equal(g->n_seen, 2);
	g->endpoints[0].enabled = true;
	rig_declare(g, 0);
	tell(g, 64, 2);
	UNTIL(g, g->n_seen == 4);
	rig_settle(g);
	assert_string_equal(g->seen[2].sequence, "0");
	assert_string_equal(g->seen[3].sequence, "2");
	assert_balance(g, 2, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(who_knows_one_key_of_two_gets_every_event),
		RIG_TEST(with_neither_key_the_breaker_opens_all_the_same),
		RIG_TEST(
			an_attempt_keeps_its_verdict_when_the_endpoint_changes),
		RIG_TEST(standard_signs_with_both_keys_at_once),
		RIG_TEST(a_removed_endpoint_is_told_nothing_more),
		RIG_TEST(an_attempt_under_way_ends_after_the_removal),
		RIG_TEST(a_crash_in_the_middle_of_a_removal_changes_nothing),
		RIG_TEST(a_removed_name_may_be_used_again_at_once),
		RIG_TEST(switched_off_nothing_is_made_and_what_waits_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
