/** test/unit/receive_resign_test.c -- signatures that are only good for a
 *  while, made anew. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"
#include "hash_aid.h"
#include "oom.h"

enum { SENT_S = 1752580150, NOW_S = SENT_S + 3600, ALL = RECEIVE_ALL_DIALECTS };

/* Bytes 0 to 23, 1 to 24; a seed and the public key that belongs to it (RFC
 * 8032 section 7.1, test 1). */
#define SECRET_A "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define SECRET_B "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcY"
#define PRIVATE	 "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
#define PUBLIC	 "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

/* ---- live ---- */

static const char *query_of(const char *token, long long time_s)
{
	static char text[512];
	char hash[HASH_TEXT];

	hash_token(token, time_s, hash);
	snprintf(text, sizeof(text),
		 "SdkAppid=7&CallbackCommand=X&OptPlatform=a%%20b&Sign=%s&"
		 "RequestTime=%lld&z",
		 hash, time_s);
	return text;
}

static void assert_live(const struct receive_app *app, const char *query,
			const char *want)
{
	struct buf b;

	buf_init(&b, 1024);
	assert_int_equal(resign_live(app, query, NOW_S * (int64_t)1000, &b), 0);
	assert_string_equal(buf_str(&b), want);
	buf_fini(&b);
}

static void live_gets_the_sign_of_now_by_the_token_that_verified_it(
	void **state)
{
	const struct receive_app app = {
		.keys = {{"first", ALL}, {"second", ALL}}, .n_keys = 2};
	char want[512];

	(void)state;
	snprintf(want, sizeof(want), "%s", query_of("second", NOW_S));
	assert_live(&app, query_of("second", SENT_S), want);
	snprintf(want, sizeof(want), "%s", query_of("first", NOW_S));
	assert_live(&app, query_of("first", SENT_S), want);
}

static void a_token_that_is_gone_is_replaced_by_the_first_one(void **state)
{
	const struct receive_app app = {.keys = {{"of gme", 1 << DIALECT_GME},
						 {SECRET_A, ALL},
						 {"new", 1 << DIALECT_LIVE}},
					.n_keys = 3};
	char want[512];

	(void)state;
	snprintf(want, sizeof(want), "%s", query_of("new", NOW_S));
	assert_live(&app, query_of("gone", SENT_S), want);
}

static void live_without_a_sign_or_a_token_stays_as_it_came(void **state)
{
	const struct receive_app app = {.keys = {{"token", ALL}}, .n_keys = 1};
	const struct receive_app none = {
		.keys = {{"of gme", 1 << DIALECT_GME}, {PUBLIC, ALL}},
		.n_keys = 2};
	static const char *const unsigned_ones[] = {
		"",
		"SdkAppid=7",
		"SdkAppid=7&Sign=",
		"Sign=abc&RequestTime=x",
		"RequestTime=1752580150",
		"aSign=abc&RequestTime=1752580150",
		"Sign&RequestTime=1752580150",
	};
	char query[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unsigned_ones); i++)
		assert_live(&app, unsigned_ones[i], unsigned_ones[i]);
	snprintf(query, sizeof(query), "%s", query_of("token", SENT_S));
	assert_live(&none, query, query);
}

static void every_sign_in_the_query_is_replaced(void **state)
{
	const struct receive_app app = {.keys = {{"token", ALL}}, .n_keys = 1};
	char query[1024], want[1024], hash[HASH_TEXT];

	(void)state;
	hash_token("token", NOW_S, hash);
	snprintf(query, sizeof(query), "%s&Sign=old&RequestTime=1",
		 query_of("token", SENT_S));
	snprintf(want, sizeof(want), "%s&Sign=%s&RequestTime=%d",
		 query_of("token", NOW_S), hash, NOW_S);
	assert_live(&app, query, want);
}

/* ---- standard ---- */

static const char body[] = "{\"type\":\"segment.started\"}";
static char sent_text[24];

static const char *signature_by(const char *key, int64_t time_s)
{
	static char texts[4][CALLBACK_STANDARD_SIGNATURE_MAX];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	assert_int_equal(callback_sign_standard(key, "msg_1", time_s, body,
						strlen(body), text),
			 0);
	return text;
}

static int resign(const struct receive_app *app, const char *signature,
		  struct resigned *out)
{
	snprintf(sent_text, sizeof(sent_text), "%d", SENT_S);
	return resign_standard(app, "msg_1", sent_text, signature, body,
			       NOW_S * (int64_t)1000, out);
}

static void standard_is_signed_with_the_secrets_that_verified_it(void **state)
{
	const struct receive_app app = {
		.keys = {{"of gme", ALL}, {SECRET_A, ALL}, {SECRET_B, ALL}},
		.n_keys = 3};
	struct resigned out;
	char both[256], want[256];

	(void)state;
	assert_int_equal(resign(&app, signature_by(SECRET_B, SENT_S), &out), 0);
	assert_string_equal(out.signature, signature_by(SECRET_B, NOW_S));
	snprintf(want, sizeof(want), "%d", NOW_S);
	assert_string_equal(out.timestamp, want);
	/* Verifiers take it now, and would not take what came. */
	assert_int_equal(callback_verify_standard(SECRET_B, "msg_1",
						  out.timestamp, out.signature,
						  body, strlen(body),
						  NOW_S * (int64_t)1000),
			 0);
	assert_int_equal(
		callback_verify_standard(SECRET_B, "msg_1", sent_text,
					 signature_by(SECRET_B, SENT_S), body,
					 strlen(body), NOW_S * (int64_t)1000),
		ETIME);
	/* A sender that rotates signs with two: so does this. */
	snprintf(both, sizeof(both), "%s %s", signature_by(SECRET_B, SENT_S),
		 signature_by(SECRET_A, SENT_S));
	assert_int_equal(resign(&app, both, &out), 0);
	snprintf(want, sizeof(want), "%s %s", signature_by(SECRET_A, NOW_S),
		 signature_by(SECRET_B, NOW_S));
	assert_string_equal(out.signature, want);
}

static void a_secret_that_is_gone_is_replaced_by_the_first_one(void **state)
{
	const struct receive_app app = {.keys = {{SECRET_A, 1 << DIALECT_GME},
						 {PUBLIC, ALL},
						 {PRIVATE, ALL},
						 {SECRET_A, ALL}},
					.n_keys = 4};
	struct resigned out;

	(void)state;
	assert_int_equal(resign(&app, signature_by(SECRET_B, SENT_S), &out), 0);
	assert_string_equal(out.signature, signature_by(PRIVATE, NOW_S));
}

static void with_a_public_key_it_stays_as_it_came(void **state)
{
	const struct receive_app app = {
		.keys = {{PUBLIC, ALL}, {SECRET_A, ALL}}, .n_keys = 2};
	const struct receive_app none = {.keys = {{"of gme", ALL}},
					 .n_keys = 1};
	struct resigned out;

	(void)state;
	/* It verifies it, so it is right as it is. */
	assert_int_equal(resign(&app, signature_by(PRIVATE, SENT_S), &out),
			 ENOKEY);
	assert_int_equal(resign(&none, signature_by(SECRET_A, SENT_S), &out),
			 ENOKEY);
	assert_int_equal(resign_standard(&app, "", "", "", body,
					 NOW_S * (int64_t)1000, &out),
			 ENOKEY);
}

/* ---- out of memory ---- */

static void sweep(void)
{
	const struct receive_app app = {
		.keys = {{"token", ALL}, {SECRET_A, ALL}}, .n_keys = 2};
	char live[512], fresh[512];
	struct resigned out;
	struct buf b;
	int err;

	snprintf(live, sizeof(live), "%s", query_of("token", SENT_S));
	snprintf(fresh, sizeof(fresh), "%s", query_of("token", NOW_S));
	buf_init(&b, 1024);
	err = resign_live(&app, live, NOW_S * (int64_t)1000, &b);
	if (!err && !buf_err(&b))
		assert_string_equal(buf_str(&b), fresh);
	buf_fini(&b);
	err = resign(&app,
		     "v1,2D1fJ0v4X6m7i0+9dQ1+SRQX6mI0m6sdZ9G3sBf1x1c=", &out);
	assert_true(!err || err == ENOMEM);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(sweep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			live_gets_the_sign_of_now_by_the_token_that_verified_it),
		cmocka_unit_test(
			a_token_that_is_gone_is_replaced_by_the_first_one),
		cmocka_unit_test(
			live_without_a_sign_or_a_token_stays_as_it_came),
		cmocka_unit_test(every_sign_in_the_query_is_replaced),
		cmocka_unit_test(
			standard_is_signed_with_the_secrets_that_verified_it),
		cmocka_unit_test(
			a_secret_that_is_gone_is_replaced_by_the_first_one),
		cmocka_unit_test(with_a_public_key_it_stays_as_it_came),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
