/** test/unit/wire_callback_proof_test.c -- what is said of a signature is what
 *  was signed: signing it again gives the same. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SEED   "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="

enum { SENT_S = 1752580150 };

static struct callback_request request;
static struct callback_proof proof;

static int setup(void **state)
{
	(void)state;
	callback_request_init(&request);
	callback_proof_init(&proof);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	callback_request_fini(&request);
	callback_proof_fini(&proof);
	return 0;
}

static void prove(enum dialect d, const char *key, const char *url)
{
	const struct callback_style style = {
		.dialect = d, .key = key, .url = url, .previous_key = ""};
	const struct event e = {.kind = EVENT_TASK_STARTED,
				.id = 7,
				.app = 1400000000,
				.task = 64,
				.room = "100",
				.user = "999"};
	struct event started = e;

	if (d == DIALECT_GME)
		started.kind = EVENT_STARTED;
	assert_int_equal(callback_render(&style, &started, SENT_S * 1000LL + 7,
					 &request),
			 0);
	assert_int_equal(callback_prove(&style, &request, &proof), 0);
}

static void assert_is_body(void)
{
	assert_int_equal(proof.base.len, request.body.len);
	assert_memory_equal(proof.base.data, request.body.data,
			    request.body.len);
}

static void gme_signs_its_body(void **state)
{
	char again[SIGNATURE_TEXT_MAX];

	(void)state;
	prove(DIALECT_GME, "secret", "http://a/");
	assert_string_equal(proof.algorithm, "HMAC-SHA1");
	assert_string_equal(proof.where, "header Signature");
	assert_is_body();
	assert_int_equal(callback_sign_gme("secret", proof.base.data,
					   proof.base.len, SIGNATURE_BASE64,
					   again),
			 0);
	assert_string_equal(buf_str(&proof.value), again);
}

static void trtc_signs_its_body_with_a_key(void **state)
{
	char again[SIGNATURE_TEXT_MAX];

	(void)state;
	prove(DIALECT_TRTC, "secret", "http://a/");
	assert_string_equal(proof.algorithm, "HMAC-SHA256");
	assert_string_equal(proof.where, "header Sign");
	assert_is_body();
	assert_int_equal(callback_sign_trtc("secret", proof.base.data,
					    proof.base.len, again),
			 0);
	assert_string_equal(buf_str(&proof.value), again);
}

static void live_signs_the_time_behind_its_key(void **state)
{
	char again[SIGNATURE_TEXT_MAX];

	(void)state;
	/* the endpoint's own parameters are not ours */
	prove(DIALECT_LIVE, "token", "http://a/?x=1&Sign=no&RequestTime=9#f");
	assert_string_equal(proof.algorithm, "SHA-256");
	assert_string_equal(buf_str(&proof.base), "1752580150");
	assert_int_equal(callback_sign_live("token", SENT_S, again), 0);
	assert_string_equal(buf_str(&proof.value), again);
}

static void check_standard(const char *key, const char *algorithm)
{
	char again[CALLBACK_STANDARD_SIGNATURE_MAX];
	static const char head[] = "evt_7.1752580150.";

	prove(DIALECT_STANDARD, key, "http://a/");
	assert_string_equal(proof.algorithm, algorithm);
	assert_string_equal(proof.where, "header webhook-signature");
	assert_true(str_starts_with(buf_str(&proof.base), head));
	assert_string_equal(buf_str(&proof.base) + strlen(head),
			    buf_str(&request.body));
	assert_int_equal(callback_sign_standard(key, "evt_7", SENT_S,
						request.body.data,
						request.body.len, again),
			 0);
	assert_string_equal(buf_str(&proof.value), again);
}

static void standard_signs_id_time_and_body(void **state)
{
	(void)state;
	check_standard(SECRET, "HMAC-SHA256");
}

static void standard_signs_with_a_private_key(void **state)
{
	(void)state;
	check_standard(SEED, "Ed25519");
}

static void without_a_key_nothing_is_signed(void **state)
{
	(void)state;
	prove(DIALECT_TRTC, "", "http://a/");
	assert_null(proof.algorithm);
	assert_int_equal(proof.base.len, 0);
	prove(DIALECT_LIVE, "", "http://a/?b=c&Sign=no");
	assert_null(proof.algorithm);
	assert_int_equal(proof.value.len, 0);
}

static void prove_once(void)
{
	static const enum dialect dialects[] = {DIALECT_GME, DIALECT_LIVE,
						DIALECT_STANDARD};

	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		const struct callback_style style = {
			.dialect = dialects[i],
			.key = dialects[i] == DIALECT_STANDARD ? SECRET : "key",
			.url = "http://a/",
			.previous_key = ""};
		struct callback_proof p;
		int err;

		callback_proof_init(&p);
		err = callback_prove(&style, &request, &p);
		assert_true(!err || (err == ENOMEM && mem_fail_happened()));
		callback_proof_fini(&p);
	}
}

static void proving_survives_every_failing_allocation(void **state)
{
	(void)state;
	prove(DIALECT_STANDARD, SECRET, "http://a/");
	OOM_SWEEP(prove_once);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gme_signs_its_body),
		TEST(trtc_signs_its_body_with_a_key),
		TEST(live_signs_the_time_behind_its_key),
		TEST(standard_signs_id_time_and_body),
		TEST(standard_signs_with_a_private_key),
		TEST(without_a_key_nothing_is_signed),
		TEST(proving_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
