/** test/unit/notify_rotation_test.c -- an endpoint that has two keys while
 *  its receivers change over. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "hash_aid.h"
#include "notify_aid.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(who_knows_one_key_of_two_gets_every_event),
		RIG_TEST(with_neither_key_the_breaker_opens_all_the_same),
		RIG_TEST(
			an_attempt_keeps_its_verdict_when_the_endpoint_changes),
		RIG_TEST(standard_signs_with_both_keys_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
