/** test/unit/notify_delivery_test.c -- lanes, verdicts, retries and ends,
 *  against endpoints that misbehave. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "notify_aid.h"
#include "rough_aid.h"

static void retry(struct notify_endpoint *e, const char *text)
{
	assert_int_equal(deliver_retry_parse(text, &e->retry, &(struct err){0}),
			 0);
}

static struct rough *rough;

static struct notify_endpoint *endpoint_to_rough(struct rig *g)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/",
		 (unsigned)addr_port(&rough->addr));
	return endpoint_at(g, "rough", url);
}

static int rough_setup(void **state)
{
	struct rig *g;

	rig_setup(state);
	g = *state;
	rough = calloc(1, sizeof(*rough));
	assert_non_null(rough);
	rough_open(rough, g->loop);
	return 0;
}

static int rough_teardown(void **state)
{
	rough_close(rough);
	free(rough);
	return rig_teardown(state);
}

/** The error of attempt n of a delivery, in a static buffer. */
static const char *error_of(struct rig *g, uint64_t id, unsigned n)
{
	static char text[128];
	struct store_rows rows =
		aid_read(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
						      .delivery = id,
						      .state = -1});

	text[0] = '\0';
	for (size_t i = 0; i < rows.n; i++)
		if (rows.attempts[i].n == n)
			str_copy(text, sizeof(text), rows.attempts[i].error);
	store_rows_free(&rows);
	return text;
}

static void assert_error(struct rig *g, uint64_t id, unsigned n,
			 const char *part)
{
	const char *error = error_of(g, id, n);

	if (!strstr(error, part))
		fail_msg("attempt %u: \"%s\" has no \"%s\"", n, error, part);
}

/* ---- for people to see ---- */

static void assert_attempt(struct rig *g, unsigned n, int64_t sent_ms,
			   const char *answer)
{
	struct store_rows rows =
		aid_read(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
						      .delivery = 1,
						      .state = -1});

	assert_true(rows.n >= n);
	assert_int_equal(rows.attempts[n - 1].unix_ms, sent_ms);
	assert_string_equal(rows.attempts[n - 1].answer, answer);
	store_rows_free(&rows);
}

static void an_attempt_keeps_how_the_answer_begins(void **state)
{
	static char long_no[2001], long_yes[2001];
	char kept[ATTEMPT_ANSWER_MAX + 1];
	struct rig *g = *state;
	const int64_t sent_ms = wall_by_hand();

	memset(long_no, 'n', 2000);
	memset(long_yes, 'y', 2000);
	retry(endpoint_to(g, "backend", 0, "/"), "1s,1s,1s");
	SCRIPT(g, 0,
	       {.status = 500, .body = "{\n\t\"no\":\"\xc3\xa9 \x01\xff\"}"},
	       {.status = 500, .body = long_no}, {.status = 204},
	       {.status = 500});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 1 * S);
	assert_attempt(g, 1, sent_ms, "{  \"no\":\"\xc3\xa9 ??\"}");
	memset(kept, 'n', ATTEMPT_ANSWER_MAX);
	kept[ATTEMPT_ANSWER_MAX] = 0;
	assert_attempt(g, 2, sent_ms + 1000, kept);
	clock_pass(g, 1 * S);
	assert_attempt(g, 3, sent_ms + 2000, "");
	assert_balance(g, 1, 0, 0, 0);
	SCRIPT(g, 0, {.status = 200, .body = long_yes});
	tell(g, 64, 1);
	clock_pass(g, 0);
	struct store_rows rows =
		aid_read(&g->a, (struct store_filter){.what = READ_ATTEMPTS,
						      .delivery = 2,
						      .state = -1});

	assert_int_equal(strspn(rows.attempts[0].answer, "y"), 256);
	assert_int_equal(strlen(rows.attempts[0].answer), 256);
	store_rows_free(&rows);
	assert_int_equal(stats_of(g, 0).delivered_minute, 2);
	clock_pass(g, 61 * S);
	assert_int_equal(stats_of(g, 0).delivered_minute, 0);
}

/** Show the request of an attempt to deliver the newest event. */
static int show(struct rig *g, size_t endpoint, unsigned attempt,
		int64_t sent_ms, struct notify_request *out)
{
	struct store_rows rows =
		aid_read(&g->a, (struct store_filter){.what = READ_EVENTS,
						      .newest_first = true,
						      .limit = 1,
						      .state = -1});
	int err = notify_show_request(
		g->n, notify_endpoint_id(APP, g->endpoints[endpoint].name),
		&rows.events[0], attempt, sent_ms, out);

	store_rows_free(&rows);
	return err;
}

static void assert_has(const struct notify_request *r, const char *name,
		       const char *value)
{
	char line[400];

	snprintf(line, sizeof(line), "%s: %s\n", name, value);
	if (!strstr(buf_str(&r->fields), line))
		fail_msg("\"%s\" has no %s", buf_str(&r->fields), line);
}

static void what_is_shown_is_what_was_sent(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "one", 0, "/a?secret=1#f");
	const int64_t sent_ms = wall_by_hand();
	struct notify_request r;
	const struct seen *s = &g->seen[1];

	e->previous_key = "old-key"; /* signs the second attempt */
	retry(e, "1s");
	SCRIPT(g, 0, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 5 * S);
	assert_int_equal(g->n_seen, 2);
	assert_int_equal(show(g, 0, 2, sent_ms + 1000, &r), 0);
	assert_string_equal(buf_str(&r.body), s->body);
	assert_has(&r, "Signature", s->signature);
	assert_has(&r, "Content-Type", s->type);
	assert_has(&r, "Tapeop-Event-Id", s->id);
	assert_has(&r, "Tapeop-Sequence", s->sequence);
	assert_has(&r, "Tapeop-Attempt", "2");
	assert_non_null(strstr(buf_str(&r.url), "/a?..."));
	assert_null(strstr(buf_str(&r.url), "secret"));
	assert_string_equal(buf_str(&r.proof.value), s->signature);
	notify_request_fini(&r);
	/* the first was signed by the other key, a second before */
	assert_int_equal(show(g, 0, 1, sent_ms, &r), 0);
	assert_string_equal(buf_str(&r.body), g->seen[0].body);
	assert_has(&r, "Signature", g->seen[0].signature);
	notify_request_fini(&r);
	assert_int_equal(
		notify_remove_endpoint(g->n, notify_endpoint_id(APP, "one")),
		0);
	assert_int_equal(show(g, 0, 1, 0, &r), ENOENT);
}

/* ---- verdicts ---- */

static void by_body_only_ok_and_zero_is_success_and_the_rest_says_why(
	void **state)
{
	static const char *const whys[] = {"FAIL, ErrorCode 10001: no room",
					   "ErrorCode 7",
					   "the answer is empty",
					   "200 but the answer",
					   "ActionStatus (a string)",
					   "HTTP 201",
					   "HTTP 500"};
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "live", 0, "/");
	int64_t failed = counter_get(COUNT_attempts_failed);
	int64_t attempts = counter_get(COUNT_attempts);

	e->dialect = DIALECT_LIVE;
	e->verdict = NOTIFY_BY_BODY;
	retry(e, "1s,1s,1s,1s,1s,1s,1s,1s");
	SCRIPT(g, 0,
	       {.status = 200,
		.body = "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":10001,"
			"\"ErrorInfo\":\"no room\"}"},
	       {.status = 200,
		.body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":7,"
			"\"ErrorInfo\":\"\"}"},
	       {.status = 200}, {.status = 200, .body = "hello"},
	       {.status = 200, .body = "{\"ActionStatus\":0,\"ErrorCode\":0}"},
	       {.status = 201,
		.body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":0}"},
	       {.status = 500,
		.body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":0}"},
	       {.status = 200,
		.body = "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,"
			"\"ErrorInfo\":\"\"}"});
	rig_begin(g);
	struct event ev = sample_event(64, 0);

	ev.kind = EVENT_TASK_STARTED;
	tell_once(g, &ev, NULL);
	clock_pass(g, 8 * S);
	assert_int_equal(g->n_seen, 8);
	assert_balance(g, 1, 0, 0, 0);
	for (unsigned i = 0; i < 7; i++)
		assert_error(g, 1, i + 1, whys[i]);
	assert_string_equal(error_of(g, 1, 8), "");
	assert_int_equal(row_of(g, 1).attempts_ever, 8);
	assert_int_equal(row_of(g, 1).last_status, 200);
	assert_int_equal(counter_get(COUNT_attempts), attempts + 8);
	assert_int_equal(counter_get(COUNT_attempts_failed), failed + 7);
}

static void by_status_any_2xx_is_success_whatever_its_body(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "backend", 0, "/");
	SCRIPT(g, 0,
	       {.status = 200,
		.body = "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":1}"},
	       {.status = 204}, {.status = 202, .body = "<html>"},
	       {.status = 404}, {.status = 200});
	rig_begin(g);
	for (unsigned i = 0; i < 4; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 5);
	rig_settle(g);
	assert_error(g, 4, 1, "HTTP 404");
	assert_balance(g, 4, 0, 0, 0);
}

/* ---- lanes ---- */

static void a_lane_keeps_its_order_through_failures(void **state)
{
	static const char *const want[] = {"0", "1", "1", "1", "2", "3", "4"};
	struct rig *g = *state;

	retry(endpoint_to(g, "backend", 0, "/"), "1s,1s,1s");
	SCRIPT(g, 0, {.status = 200}, {.status = 500}, {.status = 503},
	       {.status = 200});
	rig_begin(g);
	for (unsigned i = 0; i < 5; i++)
		tell(g, 64, i);
	clock_pass(g, 2 * S);
	UNTIL(g, g->n_seen == 7);
	for (unsigned i = 0; i < 7; i++)
		assert_string_equal(g->seen[i].sequence, want[i]);
	rig_settle(g);
	assert_balance(g, 5, 0, 0, 0);
}

static void an_endpoint_that_hangs_slows_no_other(void **state)
{
	struct rig *g = *state;
	unsigned n = 0;

	endpoint_to(g, "hangs", 0, "/");
	endpoint_to(g, "works", 1, "/");
	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	for (unsigned i = 0; i < 20; i++)
		tell(g, 64 + 64 * (i % 4), i);
	UNTIL(g, stats_of(g, 1).pending == 0 && !g->committing);
	for (unsigned i = 0; i < g->n_seen; i++)
		n += g->seen[i].target == 1;
	assert_int_equal(n, 20);
	/* One attempt a lane hangs, no more were burnt. */
	assert_int_equal(stats_of(g, 0).in_flight, 4);
	assert_int_equal(stats_of(g, 0).pending, 20);
	SCRIPT(g, 0, {.status = 200});
	release(&g->targets[0], 200);
	UNTIL(g, stats_of(g, 0).pending == 0);
	rig_settle(g);
	assert_balance(g, 40, 0, 0, 0);
}

static void a_lane_that_waits_holds_no_other_lane(void **state)
{
	struct rig *g = *state;

	retry(endpoint_to(g, "backend", 0, "/"), "1s,1s");
	SCRIPT(g, 0, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	UNTIL(g, g->n_seen == 1);
	rig_settle(g);
	tell(g, 128, 0);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_balance(g, 1, 2, 0, 0);
	assert_int_equal(row_of(g, 3).state, DELIVERY_DELIVERED);
	clock_pass(g, S);
	assert_int_equal(g->n_seen, 4);
	assert_balance(g, 3, 0, 0, 0);
}

static void a_head_blocks_for_the_short_part_then_goes_late(void **state)
{
	struct rig *g = *state;

	/* 2 s are short, an hour is not. */
	retry(endpoint_to(g, "backend", 0, "/"), "1s,1s,1h");
	SCRIPT(g, 0, {.status = 500}, {.status = 500}, {.status = 500},
	       {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	clock_pass(g, 2 * S - 1);
	assert_int_equal(g->n_seen, 2); /* both of the head */
	assert_string_equal(g->seen[1].sequence, "0");
	assert_false(row_of(g, 1).late);
	clock_pass(g, 1);
	UNTIL(g, g->n_seen == 4);
	rig_settle(g);
	assert_string_equal(g->seen[3].sequence, "1");
	assert_true(row_of(g, 1).late);
	assert_balance(g, 1, 1, 0, 0);
	clock_pass(g, 3600 * S - 1);
	assert_int_equal(g->n_seen, 4);
	clock_pass(g, 1);
	assert_int_equal(g->n_seen, 5);
	assert_string_equal(g->seen[4].sequence, "0");
	assert_string_equal(g->seen[4].attempt, "4");
	assert_balance(g, 2, 0, 0, 0);
}

static void strict_waits_for_its_head_however_long(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	retry(e, "1h");
	e->order = ORDER_STRICT;
	SCRIPT(g, 0, {.status = 500}, {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	clock_pass(g, 3600 * S - 1);
	assert_int_equal(g->n_seen, 1);
	clock_pass(g, 1);
	UNTIL(g, g->n_seen == 3);
	rig_settle(g);
	assert_string_equal(g->seen[1].sequence, "0");
	assert_string_equal(g->seen[2].sequence, "1");
	assert_false(row_of(g, 1).late);
	assert_balance(g, 2, 0, 0, 0);
}

/* ---- what the endpoint asks for ---- */

static void retry_after_is_honoured_of_429_and_503(void **state)
{
	struct rig *g = *state;

	retry(endpoint_to(g, "backend", 0, "/"), "1s,1s,1s,1s");
	SCRIPT(g, 0, {.status = 429, .field = "Retry-After", .value = "40"},
	       {.status = 503, .field = "Retry-After", .value = "99999999"},
	       {.status = 500, .field = "Retry-After", .value = "40"},
	       {.status = 200});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 40 * S - 1);
	assert_int_equal(g->n_seen, 1);
	clock_pass(g, 1);
	assert_int_equal(g->n_seen, 2);
	/* At most ten hours. */
	clock_pass(g, 36000 * S - 1);
	assert_int_equal(g->n_seen, 2);
	clock_pass(g, 1);
	assert_int_equal(g->n_seen, 3);
	clock_pass(g, S); /* a 500 has nothing to ask for */
	assert_int_equal(g->n_seen, 4);
	assert_balance(g, 1, 0, 0, 0);
}

static void gone_is_dead_at_once_and_parks_the_rest(void **state)
{
	struct rig *g = *state;

	endpoint_to(g, "leaves", 0, "/");
	endpoint_to(g, "stays", 1, "/");
	SCRIPT(g, 0, {.status = 410}, {.status = 200});
	rig_begin(g);
	for (unsigned i = 0; i < 3; i++)
		tell(g, 64, i);
	UNTIL(g, g->n_seen == 4);
	clock_pass(g, 600 * S);
	assert_int_equal(g->n_seen, 4);
	assert_true(stats_of(g, 0).gone);
	assert_error(g, 1, 1, "410");
	assert_balance(g, 3, 2, 1, 0);
	rig_declare(g, 0); /* the operator says that it is back */
	UNTIL(g, g->n_seen == 6);
	rig_settle(g);
	assert_balance(g, 5, 0, 1, 0);
}

/* ---- answers that are none ---- */

static void silence_is_a_time_out(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "hangs", 0, "/");

	e->timeout_us = S / 20;
	retry(e, "1s");
	SCRIPT(g, 0, {.status = 0});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, S);
	UNTIL(g, rows_in(g, DELIVERY_DEAD) == 1);
	assert_error(g, 1, 1, "timed out");
	assert_int_equal(row_of(g, 1).last_status, 0);
	rig_settle(g);
	assert_balance(g, 0, 0, 1, 0);
}

static void of_a_large_answer_only_64_kib_are_read(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e;

	retry(endpoint_to(g, "status", 0, "/"), "1s");
	e = endpoint_to(g, "body", 1, "/");
	e->verdict = NOTIFY_BY_BODY;
	retry(e, "1s");
	SCRIPT(g, 0, {.status = 200, .big = 1 << 20});
	SCRIPT(g, 1, {.status = 200, .big = 1 << 20}, {.status = 500});
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_int_equal(stats_of(g, 0).pending, 0);
	assert_int_equal(stats_of(g, 1).pending, 1);
	assert_error(g, 2, 1, "200 but");
	assert_balance(g, 1, 1, 0, 0);
}

static void an_endless_answer_ends_the_attempt(void **state)
{
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to_rough(g);

	e->verdict = NOTIFY_BY_BODY;
	retry(e, "1s");
	rough->acts[0] = ROUGH_ENDLESS;
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, rough->n_requests == 1);
	rig_settle(g);
	assert_error(g, 1, 1, "200 but");
	UNTIL(g, rough->fd < 0); /* not one byte more is taken */
	assert_balance(g, 0, 1, 0, 0);
}

static void broken_connections_are_failures_that_are_tried_again(void **state)
{
	struct rig *g = *state;
	static const enum rough_act acts[] = {
		ROUGH_RESET, ROUGH_CLOSE, ROUGH_HALF, ROUGH_NOISE, ROUGH_OK};

	retry(endpoint_to_rough(g), "1s,1s,1s,1s");
	memcpy(rough->acts, acts, sizeof(acts));
	rough->n_acts = 5;
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, 4 * S);
	assert_int_equal(rough->n_requests, 5);
	assert_error(g, 1, 1, "reset");
	assert_error(g, 1, 2, "closed without an answer");
	assert_error(g, 1, 3, "in the middle");
	assert_error(g, 1, 4, "not HTTP");
	assert_balance(g, 1, 0, 0, 0);
}

static void nobody_at_the_port_is_a_failure(void **state)
{
	struct rig *g = *state;

	retry(endpoint_to_rough(g), "1s");
	rough_close(rough);
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, S);
	UNTIL(g, rows_in(g, DELIVERY_DEAD) == 1);
	assert_error(g, 1, 1, "refused");
	rough_open(rough, g->loop); /* for the teardown */
}

static void redirects_are_not_followed(void **state)
{
	struct rig *g = *state;

	retry(endpoint_to(g, "moved", 0, "/"), "1s");
	SCRIPT(g, 0,
	       {.status = 302,
		.field = "Location",
		.value = "http://169.254.169.254/latest"},
	       {.status = 307, .field = "Location", .value = "/elsewhere"});
	rig_begin(g);
	tell(g, 64, 0);
	clock_pass(g, S);
	assert_int_equal(g->n_seen, 2);
	assert_string_equal(g->seen[1].path, "/");
	assert_error(g, 1, 1, "HTTP 302: redirects are not followed");
	assert_balance(g, 0, 0, 1, 0);
}

static void a_private_address_needs_permission(void **state)
{
	struct rig *g = *state;
	char url[64];

	endpoint_to(g, "number", 0, "/")->allow_private = false;
	snprintf(url, sizeof(url), "http://localhost:%u/",
		 (unsigned)addr_port(&g->targets[1].addr));
	endpoint_at(g, "name", url)->allow_private = false;
	rig_begin(g);
	tell(g, 64, 0);
	UNTIL(g, error_of(g, 1, 2)[0] && error_of(g, 2, 2)[0]);
	rig_settle(g);
	assert_error(g, 1, 1, "private: set allow_private: true");
	assert_error(g, 2, 1, "allow_private: true");
	assert_int_equal(g->n_seen, 0);
	assert_balance(g, 0, 2, 0, 0);
	g->endpoints[0].allow_private = true;
	g->endpoints[1].allow_private = true;
	rig_declare(g, 0);
	rig_declare(g, 1);
	clock_pass(g, 10 * S);
	UNTIL(g, g->n_seen == 2);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

/* ---- the breaker ---- */

static void the_breaker_opens_probes_and_closes(void **state)
{
	struct rig *g = *state;
	int64_t open = counter_get(COUNT_breaker_open);
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	retry(e, "1s,1s,1s,1s,1s");
	e->max_in_flight = 1;
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 12; i++)
		tell(g, 64 + 64 * i, 0);
	UNTIL(g, stats_of(g, 0).breaker == BREAKER_OPEN && !g->committing);
	rig_settle(g);
	assert_int_equal(g->n_seen, 10);
	assert_int_equal(stats_of(g, 0).failures_in_row, 10);
	assert_int_equal(counter_get(COUNT_breaker_open), open + 1);
	clock_pass(g, 30 * S - 1);
	assert_int_equal(g->n_seen, 10); /* no attempt is burnt */
	clock_pass(g, 1);
	assert_int_equal(g->n_seen, 11); /* the probe failed */
	clock_pass(g, 60 * S - 1);
	assert_int_equal(g->n_seen, 11);
	SCRIPT(g, 0, {.status = 200});
	clock_pass(g, 1);
	UNTIL(g, stats_of(g, 0).pending == 0);
	rig_settle(g);
	assert_int_equal(g->n_seen, 23);
	assert_int_equal(stats_of(g, 0).breaker, BREAKER_CLOSED);
	assert_int_equal(counter_get(COUNT_breaker_open), open);
	assert_balance(g, 12, 0, 0, 0);
}

/* ---- ends ---- */

static unsigned replayed;

static void on_replayed(const struct store_result *r, void *arg)
{
	(void)arg;
	assert_int_equal(r->err, 0);
	replayed += (unsigned)r->changed;
}

static void dead_letters_are_replayed_in_order_with_a_fresh_budget(void **state)
{
	static const char *const want[] = {"0", "0", "1", "1", "2", "2"};
	const struct store_filter f = {.state = DELIVERY_DEAD};
	struct rig *g = *state;

	replayed = 0;
	retry(endpoint_to(g, "backend", 0, "/"), "1h");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	for (unsigned i = 0; i < 3; i++)
		tell(g, 64, i);
	clock_pass(g, 3600 * S);
	UNTIL(g, rows_in(g, DELIVERY_DEAD) == 3);
	rig_settle(g);
	assert_int_equal(g->n_seen, 6);
	assert_true(row_of(g, 1).late);
	assert_balance(g, 0, 0, 3, 0);
	retry(&g->endpoints[0], "1s");
	rig_declare(g, 0);
	SCRIPT(g, 0, {.status = 500}, {.status = 200}, {.status = 500},
	       {.status = 200}, {.status = 500}, {.status = 200});
	deliver_replay(notify_deliver(g->n), &f, on_replayed, NULL);
	UNTIL(g, replayed == 3 && g->n_seen == 7);
	for (unsigned i = 8; i <= 12; i++) {
		clock_pass(g, S);
		UNTIL(g, g->n_seen >= i);
	}
	rig_settle(g);
	assert_int_equal(g->n_seen, 12);
	for (unsigned i = 0; i < 6; i++) {
		const struct seen *s = &g->seen[6 + i];

		assert_string_equal(s->sequence, want[i]);
		assert_int_equal(s->attempt[0], '3' + (int)(i % 2));
		assert_int_equal(s->id[0], '1' + (int)(i / 2));
	}
	assert_int_equal(row_of(g, 1).attempts, 2);
	assert_int_equal(row_of(g, 1).attempts_ever, 4);
	assert_balance(g, 3, 0, 0, 0);
}

static void what_is_too_old_expires_and_can_be_replayed(void **state)
{
	const struct store_filter f = {.state = DELIVERY_EXPIRED};
	struct rig *g = *state;
	struct notify_endpoint *e = endpoint_to(g, "backend", 0, "/");

	replayed = 0;
	e->expire_us = 30 * S;
	retry(e, "20s,20s,20s,20s");
	SCRIPT(g, 0, {.status = 500});
	rig_begin(g);
	tell(g, 64, 0);
	tell(g, 64, 1);
	clock_pass(g, 29 * S);
	assert_balance(g, 0, 2, 0, 0);
	clock_pass(g, 11 * S);
	UNTIL(g, rows_in(g, DELIVERY_EXPIRED) == 2);
	rig_settle(g);
	assert_int_equal(g->n_seen, 2);
	assert_balance(g, 0, 0, 0, 2);
	SCRIPT(g, 0, {.status = 200});
	deliver_replay(notify_deliver(g->n), &f, on_replayed, NULL);
	UNTIL(g, replayed == 2 && g->n_seen == 4);
	rig_settle(g);
	assert_balance(g, 2, 0, 0, 0);
}

#define ROUGH_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, rough_setup, rough_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(an_attempt_keeps_how_the_answer_begins),
		RIG_TEST(what_is_shown_is_what_was_sent),
		RIG_TEST(
			by_body_only_ok_and_zero_is_success_and_the_rest_says_why),
		RIG_TEST(by_status_any_2xx_is_success_whatever_its_body),
		RIG_TEST(a_lane_keeps_its_order_through_failures),
		RIG_TEST(an_endpoint_that_hangs_slows_no_other),
		RIG_TEST(a_lane_that_waits_holds_no_other_lane),
		RIG_TEST(a_head_blocks_for_the_short_part_then_goes_late),
		RIG_TEST(strict_waits_for_its_head_however_long),
		RIG_TEST(retry_after_is_honoured_of_429_and_503),
		RIG_TEST(gone_is_dead_at_once_and_parks_the_rest),
		RIG_TEST(silence_is_a_time_out),
		RIG_TEST(of_a_large_answer_only_64_kib_are_read),
		ROUGH_TEST(an_endless_answer_ends_the_attempt),
		ROUGH_TEST(
			broken_connections_are_failures_that_are_tried_again),
		ROUGH_TEST(nobody_at_the_port_is_a_failure),
		RIG_TEST(redirects_are_not_followed),
		RIG_TEST(a_private_address_needs_permission),
		RIG_TEST(the_breaker_opens_probes_and_closes),
		RIG_TEST(
			dead_letters_are_replayed_in_order_with_a_fresh_budget),
		RIG_TEST(what_is_too_old_expires_and_can_be_replayed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
