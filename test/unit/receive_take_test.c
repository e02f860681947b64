/** test/unit/receive_take_test.c -- taking callbacks: verify, dedupe, commit,
 *  answer; and refusing the rest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "receive_aid.h"

static const char live_ok[] =
	"{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"\"}";

static long long now_s(void)
{
	return clock_unix_ms() / 1000;
}

/* ---- taking ---- */

static void gme_is_taken_with_its_signature_in_base64_and_hex(void **state)
{
	struct rig *g = *state;
	int64_t fresh = counter_get(COUNT_received_new);
	const char *body = gme_body(APP, 0, 1, 1675930605);

	rig_open(g);
	assert_int_equal(call(g, "POST", "/any/path",
			      signature_of(KEY, body, false), body),
			 200);
	assert_string_equal(g->answer, "{\"code\":0}");
	body = gme_body(APP, 1, 2, 1675930605);
	assert_int_equal(
		call(g, "POST", "/", signature_of(KEY, body, true), body), 200);
	assert_string_equal(g->answer, "{\"code\":0}");
	assert_int_equal(g->n_told, 2);
	assert_non_null(
		strstr(g->told[0],
		       "{\"dialect\":\"gme\",\"kind\":\"started\",\"type\":1,"
		       "\"app\":1400000000,\"task_id\":\"446946705284000000\","
		       "\"room\":\"100\",\"user\":\"999\","
		       "\"sent_ms\":1675930605000,\"received_ms\":"));
	assert_non_null(strstr(g->told[0], ",\"mode\":\"single\",\"seq\":0,"
					   "\"file\":\"a/0.mp3\"}"));
	assert_non_null(strstr(g->told[1], "\"kind\":\"completed\""));
	assert_int_equal(n_stored(g), 2);
	assert_int_equal(counter_get(COUNT_received_new), fresh + 2);
	assert_int_equal(g->n_refused, 0);
}

static void live_is_taken_with_its_token(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(call(g, "POST", live_target(APP, KEY, now_s()), NULL,
			      live_body(302, "{\"LeaveCode\":99}")),
			 200);
	assert_string_equal(g->answer, live_ok);
	assert_int_equal(g->n_told, 1);
	assert_non_null(strstr(g->told[0],
			       "\"dialect\":\"live\",\"kind\":\"task_stopped\","
			       "\"type\":302,\"app\":1400000000,"
			       "\"task_id\":\"-m9-bVVU7id\""));
	assert_non_null(strstr(g->told[0], "\"event_ms\":1752580150081,"
					   "\"leave_code\":99}"));
}

static void without_a_key_only_untokened_live_is_taken(void **state)
{
	struct rig *g = *state;

	g->apps[0].n_keys = 0;
	g->apps[0].unsigned_live = true;
	rig_open(g);
	assert_int_equal(call(g, "POST", live_target(APP, NULL, 0), NULL,
			      live_body(305, "{\"Status\":0}")),
			 200);
	assert_string_equal(g->answer, live_ok);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 401);
	assert_string_equal(g->refused_why,
			    "this app has no key for the dialect gme");
	assert_int_equal(g->n_told, 1);
	assert_int_equal(n_stored(g), 1);
}

static void a_type_without_a_word_of_ours_is_taken_too(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(call(g, "POST", live_target(APP, KEY, now_s()), NULL,
			      live_body(306, "{\"Status\":0}")),
			 200);
	assert_non_null(strstr(g->told[0], "\"kind\":\"unknown\","
					   "\"type\":306"));
}

static void every_active_key_verifies(void **state)
{
	static const char *const keys[] = {"one", "two", "three", "four"};
	struct rig *g = *state;
	const char *body;

	for (size_t i = 0; i < 4; i++)
		g->apps[0].keys[i] =
			(struct receive_key){keys[i], RECEIVE_ALL_DIALECTS};
	g->apps[0].n_keys = 4;
	rig_open(g);
	for (unsigned i = 0; i < 4; i++) {
		body = gme_body(APP, i, 1, 1);
		assert_int_equal(call(g, "POST", "/",
				      signature_of(keys[i], body, i % 2), body),
				 200);
		body = live_body(303,
				 i % 2 ? "{\"Status\":1}" : "{\"Status\":0}");
		assert_int_equal(call(g, "POST",
				      live_target(APP, keys[i], now_s()), NULL,
				      body),
				 200);
	}
	body = gme_body(APP, 9, 1, 1);
	assert_int_equal(
		call(g, "POST", "/", signature_of("five", body, false), body),
		401);
	assert_int_equal(g->n_told, 6);
	assert_int_equal(g->n_duplicates, 2);
}

/* ---- refusing ---- */

static int64_t counted[COUNT_N];

static void count(void)
{
	for (int i = 0; i < COUNT_N; i++)
		counted[i] = counter_get((enum counter)i);
}

/** A refusal: this status, one more in this counter alone, nothing stored and
 *  nothing told.  count() was called before the first of a test. */
static void assert_refused(struct rig *g, int got, int status,
			   enum counter counter, const char *why)
{
	assert_int_equal(got, status);
	for (int i = COUNT_received_new; i <= COUNT_received_store_failed; i++)
		assert_int_equal(counter_get((enum counter)i) - counted[i],
				 i == (int)counter);
	count();
	assert_int_equal(g->refused_status, status);
	if (!strstr(g->refused_why, why))
		fail_msg("\"%s\" has no \"%s\"", g->refused_why, why);
	assert_int_equal(g->n_told, 0);
	assert_int_equal(n_stored(g), 0);
}

static void a_bad_signature_is_401(void **state)
{
	const enum counter bad = COUNT_received_bad_signature;
	struct rig *g = *state;
	char body[512];

	rig_open(g);
	count();
	snprintf(body, sizeof(body), "%s", gme_body(APP, 0, 1, 1));
	assert_refused(
		g, call(g, "POST", "/", signature_of("no", body, false), body),
		401, bad, "does not match");
	assert_refused(g, call(g, "POST", "/", "Signature: AAAA", body), 401,
		       bad, "does not match");
	signature_of(KEY, body, false);
	body[strlen(body) - 1] = ' '; /* signed with the brace */
	assert_refused(g,
		       call(g, "POST", "/",
			    signature_of(KEY, gme_body(APP, 0, 1, 1), false),
			    body),
		       401, bad, "does not match");
	/* Malformed or of another app, but that is told to nobody unsigned. */
	assert_refused(g, call(g, "POST", "/", "Signature: AAAA", "{"), 401,
		       bad, "does not match");
}

static void a_bad_token_is_401(void **state)
{
	const enum counter bad = COUNT_received_bad_signature;
	const char *body = live_body(305, "{\"Status\":0}");
	struct rig *g = *state;

	rig_open(g);
	count();
	assert_refused(g,
		       call(g, "POST", live_target(APP, NULL, 0), NULL, body),
		       401, bad, "missing");
	assert_refused(
		g, call(g, "POST", live_target(APP, "no", now_s()), NULL, body),
		401, bad, "does not match");
	assert_refused(g,
		       call(g, "POST", live_target(APP, KEY, now_s() - 600),
			    NULL, body),
		       401, bad, "over 60 s");
	assert_refused(g,
		       call(g, "POST", live_target(APP, KEY, now_s() + 600),
			    NULL, body),
		       401, bad, "over 60 s");
}

static void of_several_tokens_the_right_one_at_the_wrong_time_says_so(
	void **state)
{
	struct rig *g = *state;

	g->apps[0].keys[1] =
		(struct receive_key){"another", RECEIVE_ALL_DIALECTS};
	g->apps[0].n_keys = 2;
	rig_open(g);
	count();
	assert_refused(g,
		       call(g, "POST", live_target(APP, KEY, now_s() - 600),
			    NULL, live_body(305, "{\"Status\":0}")),
		       401, COUNT_received_bad_signature, "over 60 s");
}

static void another_app_is_403(void **state)
{
	const enum counter wrong = COUNT_received_wrong_app;
	struct rig *g = *state;

	rig_open(g);
	count();
	assert_refused(g, post_gme(g, gme_body(APP + 1, 0, 1, 1)), 403, wrong,
		       "BizID");
	assert_refused(g,
		       call(g, "POST", live_target(APP + 1, KEY, now_s()), NULL,
			    live_body(305, "{\"Status\":0}")),
		       403, wrong, "SdkAppid");
}

static void what_is_malformed_is_400_and_says_what(void **state)
{
	static const char *const bodies[][2] = {
		{"", "JSON"},
		{"{", "JSON"},
		{"[]", "object"},
		{"{\"BizID\":\"1400000000\"}", "BizID"},
		{"{\"BizID\":1400000000}", "RoomID"},
		{"\xff\xfe", "JSON"},
	};
	const enum counter bad = COUNT_received_malformed;
	struct rig *g = *state;
	char long_target[5000];

	rig_open(g);
	count();
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
		assert_refused(g, post_gme(g, bodies[i][0]), 400, bad,
			       bodies[i][1]);
	assert_refused(g, call(g, "POST", "/", NULL, "{}"), 400, bad,
		       "neither a Signature (gme)");
	assert_refused(
		g,
		call(g, "POST", "/?CallbackCommand=x&SdkAppid=one", NULL, "{}"),
		400, bad, "SdkAppid");
	assert_refused(g,
		       call(g, "POST", live_target(APP, KEY, now_s()), NULL,
			    live_body(305, "{}")),
		       400, bad, "Status");
	/* A query that could not be sent on is not taken either. */
	snprintf(long_target, sizeof(long_target),
		 "%s&x=", live_target(APP, KEY, now_s()));
	memset(long_target + strlen(long_target), 'x', 4100);
	long_target[strlen(live_target(APP, KEY, now_s())) + 4100] = '\0';
	assert_refused(g,
		       call(g, "POST", long_target, NULL,
			    live_body(305, "{\"Status\":0}")),
		       400, bad, "query is too long");
}

/** Whoever reads the query behind us may take the other one. */
static void what_stands_twice_in_the_url_is_400(void **state)
{
	static const char *const more[] = {"SdkAppid=7", "Sign=x",
					   "RequestTime=1",
					   "CallbackCommand=Follow"};
	struct rig *g = *state;
	char path[1024];

	rig_open(g);
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		snprintf(path, sizeof(path), "%s&%s",
			 live_target(APP, KEY, now_s()), more[i]);
		count();
		assert_refused(g,
			       call(g, "POST", path, NULL,
				    live_body(305, "{\"Status\":0}")),
			       400, COUNT_received_malformed, "twice");
	}
	assert_int_equal(n_stored(g), 0);
}

static void a_fixed_dialect_takes_no_other(void **state)
{
	struct rig *g = *state;
	const char *body = gme_body(APP, 0, 1, 1);

	g->apps[0].dialects = 1 << DIALECT_LIVE;
	rig_open(g);
	count();
	assert_refused(g, post_gme(g, body), 400, COUNT_received_malformed,
		       "not the dialect");
	rig_close(g);
	aid_open(&g->a);
	g->apps[0].dialects = 1 << DIALECT_GME;
	rig_open(g);
	assert_refused(g,
		       call(g, "POST", live_target(APP, KEY, now_s()), NULL,
			    live_body(305, "{\"Status\":0}")),
		       400, COUNT_received_malformed, "not the dialect");
	/* Known to be gme, so the header is what is missing. */
	assert_refused(g, call(g, "POST", "/", NULL, body), 401,
		       COUNT_received_bad_signature, "header is missing");
	assert_int_equal(post_gme(g, body), 200);
}

static void too_large_is_413(void **state)
{
	struct rig *g = *state;
	char body[MAX_BODY + 2];

	rig_open(g);
	count();
	memset(body, ' ', MAX_BODY + 1);
	body[MAX_BODY + 1] = '\0';
	assert_refused(g, post_gme(g, body), 413, COUNT_received_too_large,
		       "too large");
	/* The largest one is not. */
	body[MAX_BODY] = '\0';
	memcpy(body, gme_body(APP, 0, 1, 1), strlen(gme_body(APP, 0, 1, 1)));
	assert_int_equal(post_gme(g, body), 200);
}

/* ---- once ---- */

static void a_duplicate_is_success_and_told_once_also_after_a_restart(
	void **state)
{
	struct rig *g = *state;
	int64_t duplicates = counter_get(COUNT_received_duplicate);
	char spaced[600];

	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1000)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1000)), 200);
	assert_string_equal(g->answer, "{\"code\":0}");
	/* The time of sending is no part of what happened. */
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1010)), 200);
	/* Nor is white space, though it is signed. */
	snprintf(spaced, sizeof(spaced), " %s\n", gme_body(APP, 0, 1, 1020));
	assert_int_equal(post_gme(g, spaced), 200);
	assert_int_equal(g->n_told, 1);
	assert_int_equal(g->n_duplicates, 3);
	/* Another segment and another step are others. */
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1000)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 2, 1000)), 200);
	assert_int_equal(g->n_told, 3);
	rig_again(g);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 2000)), 200);
	assert_int_equal(g->n_told, 3);
	assert_int_equal(g->n_duplicates, 4);
	assert_int_equal(n_stored(g), 3);
	assert_int_equal(counter_get(COUNT_received_duplicate), duplicates + 4);
	assert_int_equal(g->n_refused, 0);
}

static void of_the_same_at_the_same_time_one_is_new(void **state)
{
	struct rig *g = *state;
	char body[512];

	rig_open(g);
	snprintf(body, sizeof(body), "%s", gme_body(APP, 0, 1, 1));
	for (int i = 0; i < 6; i++)
		assert_int_equal(begin_call(g, "POST", "/",
					    signature_of(KEY, body, false),
					    body),
				 0);
	UNTIL(g, g->n_answers == 6);
	assert_int_equal(g->n_told, 1);
	assert_int_equal(g->n_duplicates, 5);
	assert_int_equal(n_stored(g), 1);
}

static void what_cannot_be_stored_is_503_and_told_when_it_comes_again(
	void **state)
{
	struct rig *g = *state;

	rig_open(g);
	count();
	set_fault(g, "store.commit=ENOSPC");
	assert_refused(g, post_gme(g, gme_body(APP, 0, 1, 1)), 503,
		       COUNT_received_store_failed, "cannot be stored");
	assert_non_null(strstr(g->answer, "\"status\":503"));
	set_fault(g, "store.commit=EIO");
	assert_refused(g, post_gme(g, gme_body(APP, 0, 1, 2)), 503,
		       COUNT_received_store_failed, "cannot be stored");
	set_fault(g, NULL);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 3)), 200);
	UNTIL(g, g->n_told == 1);
	assert_int_equal(g->n_duplicates, 0);
	assert_int_equal(n_stored(g), 1);
}

/** The commit was made, and an error came after it. */
static void what_is_stored_after_all_is_told_though_it_was_503(void **state)
{
	struct rig *g = *state;

	rig_open(g);
	set_fault(g, "store.committed=EIO");
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 503);
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1)), 503);
	set_fault(g, "store.commit=EIO");
	assert_int_equal(post_gme(g, gme_body(APP, 2, 1, 1)), 503);
	assert_int_equal(g->n_told, 0);
	set_fault(g, NULL);
	/* one that comes again asks for all of them */
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 2)), 200);
	assert_int_equal(g->n_duplicates, 1);
	UNTIL(g, g->n_told == 2);
	assert_int_equal(post_gme(g, gme_body(APP, 2, 1, 2)), 200);
	UNTIL(g, g->n_told == 3);
	assert_int_equal(n_stored(g), 3);
}

static void a_receiver_that_closes_keeps_what_it_has_begun(void **state)
{
	struct rig *g = *state;
	char body[512];

	rig_open(g);
	snprintf(body, sizeof(body), "%s", gme_body(APP, 0, 1, 1));
	/* Closed once with the request just sent, and at later moments. */
	for (int turns = 0; turns < 12; turns++) {
		assert_int_equal(begin_call(g, "POST", "/",
					    signature_of(KEY, body, false),
					    body),
				 0);
		for (int i = 0; i < turns; i++)
			loop_turn(g->loop, 100);
		rig_again(g);
	}
	assert_int_equal(post_gme(g, body), 200);
	assert_true(g->n_told <= 1);
	assert_int_equal(n_stored(g), 1);
}

/* ---- looking ---- */

static void what_is_shown_is_for_this_machine_only(void **state)
{
	static const char *const foreign[] = {
		"Host: evil.example",
		"Origin: http://evil.example",
		"X-Forwarded-For: 203.0.113.9",
		"Via: 1.1 proxy",
	};
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(call(g, "GET", "/healthz", NULL, ""), 200);
	assert_int_equal(call(g, "GET", "/healthz", foreign[0], ""), 200);
	assert_int_equal(call(g, "GET", "/metrics", NULL, ""), 200);
	assert_non_null(strstr(g->answer, "\ntapeop_received_new_total "));
	assert_int_equal(call(g, "GET", "/v1/recordings", NULL, ""), 200);
	assert_string_equal(g->answer, "{\"recordings\":[],\"total\":0}");
	assert_int_equal(call(g, "GET", "/", NULL, ""), 200);
	assert_memory_equal(g->answer, "<!doctype html>", 15);
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
		assert_int_equal(
			call(g, "GET", "/v1/recordings", foreign[i], ""), 403);
		assert_int_equal(call(g, "GET", "/metrics", foreign[i], ""),
				 403);
		assert_int_equal(call(g, "GET", "/", foreign[i], ""), 403);
		assert_int_equal(call(g, "GET", "/v1/events", foreign[i], ""),
				 403);
	}
	assert_int_equal(call(g, "GET", "/nothing", NULL, ""), 404);
	assert_int_equal(call(g, "PUT", "/", NULL, "{}"), 405);
}

static void recordings_are_put_together_from_any_order_and_kept(void **state)
{
	static const char want[] =
		"{\"recordings\":[{\"app\":1400000000,"
		"\"task_id\":\"446946705284000000\",\"room\":\"100\","
		"\"state\":\"recording\",\"leave_code\":null,\"events\":4,"
		"\"dialects\":[\"gme\"],\"segment_counts\":{\"started\":1,"
		"\"completed\":0,\"uploaded\":1},\"first_ms\":1000,"
		"\"last_ms\":1000,\"segments\":["
		"{\"user\":\"999\",\"mode\":\"single\",\"seq\":0,"
		"\"state\":\"uploaded\",\"file\":\"a/0.mp3\"},"
		"{\"user\":\"999\",\"mode\":\"single\",\"seq\":1,"
		"\"state\":\"started\",\"file\":\"a/1.mp3\"}],\"files\":[],"
		"\"failures\":[]}],\"total\":1}";
	struct rig *g = *state;

	rig_open(g);
	assert_int_equal(post_gme(g, gme_body(APP, 1, 1, 1)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 3, 1)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 1, 1)), 200);
	assert_int_equal(post_gme(g, gme_body(APP, 0, 2, 1)), 200);
	assert_int_equal(call(g, "GET", "/v1/recordings", NULL, ""), 200);
	assert_string_equal(g->answer, want);
	rig_again(g);
	assert_int_equal(call(g, "GET", "/v1/recordings", NULL, ""), 200);
	assert_string_equal(g->answer, want);
	assert_int_equal(post_gme(g, gme_body(APP, 1, 3, 1)), 200);
	assert_int_equal(call(g, "GET", "/v1/recordings", NULL, ""), 200);
	assert_non_null(strstr(g->answer, "\"100\",\"state\":\"uploaded\""));
}

static void a_port_that_is_taken_says_so(void **state)
{
	struct receive_config second;
	struct receive *r = NULL;
	struct rig *g = *state;
	struct err e;

	rig_open(g);
	second = g->config;
	second.listen = g->at;
	assert_int_equal(receive_open(g->loop, g->a.s, g->workers, &second,
				      &(struct receive_events){0}, NULL, &r,
				      &e),
			 EADDRINUSE);
	assert_string_equal(e.field, "--listen");
	assert_null(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(gme_is_taken_with_its_signature_in_base64_and_hex),
		RIG_TEST(live_is_taken_with_its_token),
		RIG_TEST(without_a_key_only_untokened_live_is_taken),
		RIG_TEST(a_type_without_a_word_of_ours_is_taken_too),
		RIG_TEST(every_active_key_verifies),
		RIG_TEST(a_bad_signature_is_401),
		RIG_TEST(a_bad_token_is_401),
		RIG_TEST(
			of_several_tokens_the_right_one_at_the_wrong_time_says_so),
		RIG_TEST(another_app_is_403),
		RIG_TEST(what_is_malformed_is_400_and_says_what),
		RIG_TEST(what_stands_twice_in_the_url_is_400),
		RIG_TEST(a_fixed_dialect_takes_no_other),
		RIG_TEST(too_large_is_413),
		RIG_TEST(
			a_duplicate_is_success_and_told_once_also_after_a_restart),
		RIG_TEST(of_the_same_at_the_same_time_one_is_new),
		RIG_TEST(
			what_cannot_be_stored_is_503_and_told_when_it_comes_again),
		RIG_TEST(what_is_stored_after_all_is_told_though_it_was_503),
		RIG_TEST(a_receiver_that_closes_keeps_what_it_has_begun),
		RIG_TEST(what_is_shown_is_for_this_machine_only),
		RIG_TEST(recordings_are_put_together_from_any_order_and_kept),
		RIG_TEST(a_port_that_is_taken_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
