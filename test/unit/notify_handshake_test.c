/** test/unit/notify_handshake_test.c -- an endpoint is asked before it is
 *  told: CloudEvents' abuse protection. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "notify_aid.h"

#define ORIGIN	"events.example.com"
#define ALLOWED "WebHook-Allowed-Origin"
#define RATE	"WebHook-Allowed-Rate"
#define YES                                                      \
	{                                                        \
		.status = 200, .field = ALLOWED, .value = ORIGIN \
	}
#define YES_AT(rate)                                                           \
	{                                                                      \
		.status = 200, .field = ALLOWED, .value = "*", .field2 = RATE, \
		.value2 = (rate)                                               \
	}
#define NO                    \
	{                     \
		.status = 200 \
	}

static struct notify_endpoint *shy(struct rig *g, const char *path)
{
	struct notify_endpoint *e = endpoint_to(g, "shy", 0, path);

	e->handshake = true;
	g->config.origin = ORIGIN;
	return e;
}

static void retry(struct notify_endpoint *e, const char *text)
{
	assert_int_equal(deliver_retry_parse(text, &e->retry, &(struct err){0}),
			 0);
}

/** The first endpoint's url gets a query. */
static void another_url(struct rig *g)
{
	snprintf(g->urls[1], sizeof(g->urls[1]), "%.2000s?two", g->urls[0]);
	g->endpoints[0].url = g->urls[1];
}

static unsigned count(const struct rig *g, unsigned target, bool asks)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_seen; i++)
		n += g->seen[i].target == target && g->seen[i].asks == asks;
	return n;
}

static unsigned asked(const struct rig *g)
{
	return count(g, 0, true);
}

static unsigned told(const struct rig *g)
{
	return count(g, 0, false);
}

/** The last error of a delivery has this in it. */
static void assert_error(struct rig *g, uint64_t id, const char *part)
{
	struct delivery_row row = row_of(g, id);

	if (!strstr(row.last_error, part))
		fail_msg("\"%s\" has no \"%s\"", row.last_error, part);
}

static void consent_comes_before_the_first_post_and_once(void **state)
{
	struct rig *g = *state;
	int64_t handshakes = counter_get(COUNT_handshakes);
	int64_t attempts = counter_get(COUNT_attempts);

	shy(g, "/hook?a=b")->per_minute = 120;
	CONSENT(g, 0, YES);
	rig_begin(g);
	for (unsigned i = 0; i < 6; i++)
		tell(g, 64 * (i + 1), 0);
	clock_pass(g, 60 * S);
	assert_int_equal(g->n_seen, 7);
	assert_int_equal(asked(g), 1);
	assert_true(g->seen[0].asks);
	assert_string_equal(g->seen[0].path, "/hook");
	assert_string_equal(g->seen[0].query, "a=b;");
	assert_string_equal(g->seen[0].body, "");
	assert_string_equal(g->seen[0].rate, "120");
	assert_string_equal(g->seen[0].id, "");
	for (unsigned i = 0; i < 7; i++) {
		assert_string_equal(g->seen[i].origin, ORIGIN);
		if (i)
			assert_string_equal(g->seen[i].rate, "");
	}
	for (unsigned i = 1; i <= 6; i++)
		assert_int_equal(row_of(g, i).attempts_ever, 1);
	assert_balance(g, 6, 0, 0, 0);
	assert_int_equal(counter_get(COUNT_handshakes), handshakes + 1);
	assert_int_equal(counter_get(COUNT_attempts), attempts + 6);
}

static void without_a_handshake_nothing_of_it_is_sent(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/")->per_minute = 60;
	rig_begin(g);
	tell(g, 64, 0);
	rig_settle(g);
	assert_int_equal(g->n_seen, 1);
	assert_false(g->seen[0].asks);
	assert_string_equal(g->seen[0].origin, "");
	assert_string_equal(g->seen[0].rate, "");
}

static void without_consent_nothing_is_posted_and_it_says_what_is_missing(
	void **state)
{
	static const char *const whys[] = {
		"OPTIONS answered HTTP 200 without WebHook-Allowed-Origin",
		"OPTIONS answered HTTP 204 without WebHook-Allowed-Origin",
		"OPTIONS answered HTTP 405 without WebHook-Allowed-Origin",
		"is \"other.example\", not \"events.example.com\" or *",
		"is \"events.example.com.evil.example\"",
		"WebHook-Allowed-Origin is \"events\"",
		"WebHook-Allowed-Origin is \"**\"",
		"WebHook-Allowed-Rate is \"0\": neither a number from 1 nor *",
		"WebHook-Allowed-Rate is \"fast\"",
		"WebHook-Allowed-Rate is \"-1\"",
		"WebHook-Allowed-Rate is \"1.5\"",
	};
	struct rig *g = *state;
	int64_t refused = counter_get(COUNT_handshakes_refused);

	retry(shy(g, "/"), "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s");
	CONSENT(g, 0, NO, {.status = 204},
		{.status = 405, .field = "Allow", .value = "POST"},
		{.status = 200, .field = ALLOWED, .value = "other.example"},
		{.status = 200,
		 .field = ALLOWED,
		 .value = ORIGIN ".evil.example"},
		{.status = 200, .field = ALLOWED, .value = "events"},
		{.status = 200, .field = ALLOWED, .value = "**"}, YES_AT("0"),
		YES_AT("fast"), YES_AT("-1"), YES_AT("1.5"), YES_AT("7"));
	rig_begin(g);
	tell(g, 64, 0);
	rig_settle(g);
	for (unsigned i = 0; i < ARRAY_LEN(whys); i++) {
		assert_int_equal(asked(g), i + 1);
		assert_int_equal(told(g), 0);
		assert_int_equal(row_of(g, 1).attempts_ever, i + 1);
		assert_error(g, 1, whys[i]);
		assert_int_equal(row_of(g, 1).last_status, i == 1   ? 204
							   : i == 2 ? 405
								    : 200);
		/* The tenth opens the breaker. */
		clock_pass(g, i < 9 ? S : 61 * S);
	}
	assert_int_equal(told(g), 1);
	assert_balance(g, 1, 0, 0, 0);
	assert_int_equal(counter_get(COUNT_handshakes_refused),
			 refused + (int64_t)ARRAY_LEN(whys));
}

static void consent_is_in_the_fields_whatever_the_status(void **state)
{
	struct rig *g = *state;

	shy(g, "/");
	CONSENT(g, 0,
		{.status = 405,
		 .field = "webhook-allowed-origin",
		 .value = "EVENTS.Example.COM"});
	rig_begin(g);
	tell(g, 64, 0);
	rig_settle(g);
	assert_int_equal(told(g), 1);
	assert_balance(g, 1, 0, 0, 0);
}

static void a_target_that_is_down_is_no_consent(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	snprintf(g->urls[0], sizeof(g->urls[0]), "http://127.0.0.1:1/");
	retry(e, "1s");
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 2 * S);
	assert_error(g, 1, "OPTIONS: connection refused");
	assert_int_equal(row_of(g, 1).last_status, 0);
	assert_balance(g, 0, 0, 1, 0);
}

static void retry_after_of_a_busy_target_is_waited_for(void **state)
{
	struct rig *g = *state;

	retry(shy(g, "/"), "1s,1s");
	CONSENT(g, 0, {.status = 429, .field = "Retry-After", .value = "100"},
		YES);
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 99 * S);
	assert_int_equal(asked(g), 1);
	clock_pass(g, 2 * S);
	assert_int_equal(asked(g), 2);
	assert_int_equal(told(g), 1);
}

/** The one handshake is under way: who else has something to say waits
 *  without a slot, and other endpoints go on. */
static void others_wait_for_a_handshake_without_a_slot(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;

	shy(g, "/");
	endpoint_to(g, "other", 1, "/");
	CONSENT(g, 0, {.status = 0});
	rig_begin(g);
	for (unsigned i = 0; i < 20; i++)
		tell(g, 64 * (i + 1), 0);
	UNTIL(g, count(g, 1, false) == 20 && asked(g) == 1 && !g->committing);
	UNTIL(g, stats_of(g, 1).pending == 0);
	for (unsigned i = 0; i < QUIET_TURNS; i++)
		rig_turn(g);
	assert_int_equal(asked(g), 1);
	assert_int_equal(told(g), 0);
	assert_int_equal(stats_of(g, 0).in_flight, 1);
	assert_true(stats_of(g, 0).held);
	assert_int_equal(notify_in_flight(g->n), 1);
	release_with(&g->targets[0], &yes);
	UNTIL(g, told(g) == 20);
	rig_settle(g);
	assert_false(stats_of(g, 0).held);
	assert_int_equal(asked(g), 1);
	assert_balance(g, 40, 0, 0, 0);
	for (uint64_t i = 1; i <= 40; i++)
		assert_int_equal(row_of(g, i).attempts_ever, 1);
}

/** Without consent each delivery asks for itself, one after another, until
 *  the breaker opens. */
static void one_handshake_at_a_time_and_the_breaker_ends_it(void **state)
{
	struct rig *g = *state;

	shy(g, "/");
	CONSENT(g, 0, NO);
	rig_begin(g);
	for (unsigned i = 0; i < 30; i++)
		tell(g, 64 * (i + 1), 0);
	UNTIL(g, stats_of(g, 0).breaker == BREAKER_OPEN);
	rig_settle(g);
	assert_int_equal(asked(g), 10);
	assert_int_equal(told(g), 0);
	CONSENT(g, 0, YES);
	clock_pass(g, 60 * S);
	assert_int_equal(asked(g), 11);
	assert_int_equal(told(g), 30);
	assert_balance(g, 30, 0, 0, 0);
}

static void the_allowed_rate_limits_and_the_smaller_one_counts(void **state)
{
	struct rig *g = *state;

	shy(g, "/")->per_minute = 120;
	CONSENT(g, 0, YES_AT("6"));
	rig_begin(g);
	for (unsigned i = 0; i < 4; i++)
		tell(g, 64 * (i + 1), 0);
	rig_settle(g);
	assert_string_equal(g->seen[0].rate, "120");
	assert_int_equal(stats_of(g, 0).per_minute, 6);
	for (unsigned i = 1; i <= 4; i++) {
		assert_int_equal(told(g), i);
		clock_pass(g, 10 * S - 1);
		assert_int_equal(told(g), i);
		clock_pass(g, 1);
	}
	assert_balance(g, 4, 0, 0, 0);
	/* More than we want, or no limit: ours stays. */
	CONSENT(g, 0, YES_AT("999999999999999999999"));
	another_url(g);
	rig_declare(g, 0);
	tell(g, 640, 0);
	clock_pass(g, 10 * S);
	assert_int_equal(stats_of(g, 0).per_minute, 120);
}

static void it_is_asked_again_after_a_day_and_for_another_url(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint_info info;

	shy(g, "/one");
	CONSENT(g, 0, YES);
	rig_begin(g);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_true(info.handshake && !info.agreed);
	tell(g, 64, 0);
	clock_pass(g, 24 * 3600 * S - S);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_true(info.agreed);
	tell(g, 64, 1);
	rig_settle(g);
	assert_int_equal(asked(g), 1);
	clock_pass(g, S);
	assert_true(notify_endpoint_at(g->n, 0, &info));
	assert_false(info.agreed);
	tell(g, 64, 2);
	rig_settle(g);
	assert_int_equal(asked(g), 2);
	rig_declare(g, 0); /* as it was */
	tell(g, 64, 3);
	rig_settle(g);
	assert_int_equal(asked(g), 2);
	another_url(g);
	rig_declare(g, 0);
	tell(g, 64, 4);
	rig_settle(g);
	assert_int_equal(asked(g), 3);
	assert_string_equal(g->seen[g->n_seen - 2].query, "two=;");
	assert_balance(g, 5, 0, 0, 0);
	/* And in another run. */
	rig_again(g);
	tell(g, 64, 5);
	rig_settle(g);
	assert_int_equal(asked(g), 4);
	assert_int_equal(told(g), 6);
}

/** Consent of the old URL is none of the new one. */
static void a_url_that_changes_meanwhile_is_asked_itself(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	CONSENT(g, 0, {.status = 0});
	CONSENT(g, 1, YES);
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 128, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	snprintf(g->urls[1], sizeof(g->urls[1]), "http://127.0.0.1:%u/",
		 (unsigned)addr_port(&g->targets[1].addr));
	e->url = g->urls[1];
	rig_declare(g, 0);
	release_with(&g->targets[0], &yes);
	UNTIL(g, count(g, 1, false) == 2);
	rig_settle(g);
	assert_int_equal(told(g), 0);
	assert_int_equal(count(g, 1, true), 1);
	assert_balance(g, 2, 0, 0, 0);
	assert_int_equal(row_of(g, 1).attempts_ever, 1);
}

static void a_handshake_that_is_switched_off_meanwhile_is_not_waited_for(
	void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	CONSENT(g, 0, YES_AT("1"), {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 25 * 3600 * S);
	assert_int_equal(stats_of(g, 0).per_minute, 1);
	tell(g, 64, 1);
	UNTIL(g, asked(g) == 2 && !g->committing);
	e->handshake = false;
	rig_declare(g, 0);
	assert_int_equal(stats_of(g, 0).per_minute, 0);
	release(&g->targets[0], 403);
	UNTIL(g, told(g) == 2);
	rig_settle(g);
	assert_string_equal(g->seen[g->n_seen - 1].origin, "");
	assert_balance(g, 2, 0, 0, 0);
}

static void one_that_is_switched_off_meanwhile_gets_no_post(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	CONSENT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	e->enabled = false;
	rig_declare(g, 0);
	release_with(&g->targets[0], &yes);
	clock_pass(g, 60 * S);
	assert_int_equal(told(g), 0);
	assert_balance(g, 0, 1, 0, 0);
	e->enabled = true;
	rig_declare(g, 0);
	UNTIL(g, told(g) == 1);
	rig_settle(g);
	assert_int_equal(asked(g), 1);
	assert_balance(g, 1, 0, 0, 0);
	assert_int_equal(row_of(g, 1).attempts_ever, 1);
}

static void what_is_asked_meanwhile_is_judged_as_it_is_sent(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	CONSENT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	e->verdict = NOTIFY_BY_BODY;
	rig_declare(g, 0);
	release_with(&g->targets[0], &yes);
	UNTIL(g, told(g) == 1);
	rig_settle(g); /* 200, and no body */
	assert_balance(g, 0, 1, 0, 0);
}

static void one_that_comes_back_elsewhere_gets_nothing_old(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;
	struct notify_endpoint *e = shy(g, "/");

	CONSENT(g, 0, {.status = 0});
	CONSENT(g, 1, YES);
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	assert_int_equal(
		notify_remove_endpoint(g->n, notify_endpoint_id(APP, "shy")),
		0);
	snprintf(g->urls[1], sizeof(g->urls[1]), "http://127.0.0.1:%u/",
		 (unsigned)addr_port(&g->targets[1].addr));
	e->url = g->urls[1];
	rig_declare(g, 0);
	release_with(&g->targets[0], &yes);
	clock_pass(g, 60 * S);
	assert_int_equal(count(g, 1, true), 0);
	assert_int_equal(count(g, 1, false), 0);
	assert_balance(g, 0, 0, 0, 1);
}

static void an_endpoint_that_is_removed_meanwhile_gets_no_post(void **state)
{
	static const struct step yes = YES;
	struct rig *g = *state;

	shy(g, "/");
	CONSENT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 128, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	assert_int_equal(
		notify_remove_endpoint(g->n, notify_endpoint_id(APP, "shy")),
		0);
	release_with(&g->targets[0], &yes);
	clock_pass(g, 5 * S);
	assert_int_equal(told(g), 0);
	assert_balance(g, 0, 0, 0, 2);
	/* Declared again, it is asked again. */
	CONSENT(g, 0, YES);
	rig_declare(g, 0);
	tell(g, 192, 0);
	clock_pass(g, 5 * S);
	assert_int_equal(asked(g), 2);
	assert_int_equal(told(g), 1);
}

static void a_stop_in_the_middle_leaves_it_for_the_next_run(void **state)
{
	struct rig *g = *state;

	shy(g, "/");
	CONSENT(g, 0, {.status = 0}, YES);
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	rig_again(g);
	UNTIL(g, told(g) == 1);
	rig_settle(g);
	assert_balance(g, 1, 0, 0, 0);
	assert_int_equal(row_of(g, 1).attempts_ever, 1);
}

static void what_is_loaded_at_the_start_waits_for_the_one_handshake(
	void **state)
{
	struct rig *g = *state;

	shy(g, "/");
	CONSENT(g, 0, {.status = 0}, YES);
	rig_begin(g);
	for (unsigned i = 0; i < 12; i++)
		tell(g, 64 * (i + 1), 0);
	UNTIL(g, asked(g) == 1 && !g->committing);
	/* Their facts must be read now, eight at a time. */
	rig_again(g);
	UNTIL(g, told(g) == 12);
	rig_settle(g);
	assert_int_equal(asked(g), 2);
	assert_balance(g, 12, 0, 0, 0);
	for (uint64_t i = 1; i <= 12; i++)
		assert_int_equal(row_of(g, i).attempts_ever, 1);
}

static void an_origin_is_a_dns_name_or_that_of_the_machine(void **state)
{
	static const char *const bad[] = {
		"", "a b", "http://a", "a:80", "a\r\nX: y", "*", "caf\xc3\xa9"};
	char host[256] = "", line[255];
	struct rig *g = *state;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(notify_origin_check(bad[i], &e), EINVAL);
		assert_string_equal(e.field, "callbacks_origin");
	}
	assert_int_equal(notify_origin_check("a-b.Example_1.com", &e), 0);
	memset(line, 'a', sizeof(line));
	line[254] = '\0';
	assert_int_equal(notify_origin_check(line, &e), EINVAL);
	line[253] = '\0';
	assert_int_equal(notify_origin_check(line, &e), 0);
	shy(g, "/");
	g->config.origin = NULL;
	CONSENT(g, 0, YES_AT("*"));
	rig_begin(g);
	tell(g, 64, 0);
	rig_settle(g);
	gethostname(host, sizeof(host) - 1);
	if (!notify_origin_check(host, &e) && strlen(host) < 64)
		assert_string_equal(g->seen[0].origin, host);
	assert_int_equal(told(g), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(consent_comes_before_the_first_post_and_once),
		RIG_TEST(without_a_handshake_nothing_of_it_is_sent),
		RIG_TEST(
			without_consent_nothing_is_posted_and_it_says_what_is_missing),
		RIG_TEST(consent_is_in_the_fields_whatever_the_status),
		RIG_TEST(a_target_that_is_down_is_no_consent),
		RIG_TEST(retry_after_of_a_busy_target_is_waited_for),
		RIG_TEST(others_wait_for_a_handshake_without_a_slot),
		RIG_TEST(one_handshake_at_a_time_and_the_breaker_ends_it),
		RIG_TEST(the_allowed_rate_limits_and_the_smaller_one_counts),
		RIG_TEST(it_is_asked_again_after_a_day_and_for_another_url),
		RIG_TEST(a_url_that_changes_meanwhile_is_asked_itself),
		RIG_TEST(
			a_handshake_that_is_switched_off_meanwhile_is_not_waited_for),
		RIG_TEST(one_that_is_switched_off_meanwhile_gets_no_post),
		RIG_TEST(what_is_asked_meanwhile_is_judged_as_it_is_sent),
		RIG_TEST(one_that_comes_back_elsewhere_gets_nothing_old),
		RIG_TEST(an_endpoint_that_is_removed_meanwhile_gets_no_post),
		RIG_TEST(a_stop_in_the_middle_leaves_it_for_the_next_run),
		RIG_TEST(
			what_is_loaded_at_the_start_waits_for_the_one_handshake),
		RIG_TEST(an_origin_is_a_dns_name_or_that_of_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
