/** test/unit/wire_callback_sign_test.c -- signatures of callbacks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The sample of the GME page, minified. */
static const char body[] =
	"{\"BizID\":1400000000,\"RoomID\":\"100\",\"UserID\":\"999\","
	"\"TaskID\":446946705284000000,\"RecordMode\":1,"
	"\"Timestamp\":1675930605,\"EventType\":1,\"Detail\":{\"SeqNo\":0,"
	"\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"}}";
static const char key[] = "test-secret-key";
/* Computed with `openssl dgst -sha1 -hmac test-secret-key`. */
static const char hex[] = "10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef";
static const char base64[] = "EMTFXJmucWK6euDoP44qXaUF5u8=";

/* The vendor's example of Sign and RequestTime. */
static const char token[] = "xxxxyyyy";
static const char request_time[] = "1669872112";
static const int64_t request_ms = 1669872112000;
static const char sign[] =
	"17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061";

static bool verify(const char *signature)
{
	return callback_verify_gme(key, body, strlen(body), signature);
}

static void gme_signature_of_the_sample_is_right_in_both_encodings(void **state)
{
	char out[SIGNATURE_TEXT_MAX];

	(void)state;
	assert_int_equal(strlen(body), 232);
	assert_int_equal(callback_sign_gme(key, body, strlen(body),
					   SIGNATURE_BASE64, out),
			 0);
	assert_string_equal(out, base64);
	assert_int_equal(
		callback_sign_gme(key, body, strlen(body), SIGNATURE_HEX, out),
		0);
	assert_string_equal(out, hex);
}

static void gme_verifies_both_encodings_and_hex_of_any_case(void **state)
{
	(void)state;
	assert_true(verify(hex));
	assert_true(verify(base64));
	assert_true(verify("10C4C55C99AE7162BA7AE0E83F8E2A5DA505E6EF"));
}

static void gme_refuses_a_signature_changed_in_any_character(void **state)
{
	char bad[64];

	(void)state;
	for (int which = 0; which < 2; which++) {
		const char *right = which ? hex : base64;

		for (size_t i = 0; right[i]; i++) {
			memcpy(bad, right, strlen(right) + 1);
			bad[i] = bad[i] == '1' ? '2' : '1';
			assert_false(verify(bad));
			bad[i] = 0;
			assert_false(verify(bad));
		}
	}
	assert_false(verify(""));
	assert_false(verify(" EMTFXJmucWK6euDoP44qXaUF5u8="));
	assert_false(verify("EMTFXJmucWK6euDoP44qXaUF5u8=\n"));
	assert_false(verify("EMTFXJmucWK6euDoP44qXaUF5u8"));
}

static void gme_refuses_a_body_changed_in_any_byte(void **state)
{
	char bad[sizeof(body)];

	(void)state;
	for (size_t i = 0; body[i]; i++) {
		memcpy(bad, body, sizeof(bad));
		bad[i] ^= 1;
		assert_false(
			callback_verify_gme(key, bad, strlen(body), base64));
	}
	assert_false(callback_verify_gme(key, body, strlen(body) - 1, base64));
}

static void gme_refuses_another_key_and_no_key(void **state)
{
	char of_no_key[SIGNATURE_TEXT_MAX];

	(void)state;
	assert_false(callback_verify_gme("test-secret-kez", body, strlen(body),
					 base64));
	assert_int_equal(callback_sign_gme("", body, strlen(body),
					   SIGNATURE_HEX, of_no_key),
			 0);
	assert_false(callback_verify_gme("", body, strlen(body), of_no_key));
}

static void live_sign_of_the_vendors_example_is_right(void **state)
{
	char out[SIGNATURE_TEXT_MAX];

	(void)state;
	assert_int_equal(callback_sign_live(token, 1669872112, out), 0);
	assert_string_equal(out, sign);
}

static void live_accepts_a_minute_either_way_and_no_more(void **state)
{
	(void)state;
	for (int64_t s = -65; s <= 65; s++) {
		int want = s >= -60 && s <= 60 ? 0 : ETIME;

		assert_int_equal(callback_verify_live(token, sign, request_time,
						      request_ms + s * 1000),
				 want);
	}
	assert_int_equal(callback_verify_live(token, sign, request_time,
					      request_ms + 60999),
			 0);
}

static void live_tells_a_wrong_sign_from_a_wrong_time_and_from_nonsense(
	void **state)
{
	char bad[sizeof(sign)];

	(void)state;
	for (size_t i = 0; sign[i]; i++) {
		memcpy(bad, sign, sizeof(bad));
		bad[i] = bad[i] == '1' ? '2' : '1';
		assert_int_equal(callback_verify_live(token, bad, request_time,
						      request_ms),
				 EACCES);
		bad[i] = 'x';
		assert_int_equal(callback_verify_live(token, bad, request_time,
						      request_ms),
				 EBADMSG);
	}
	assert_int_equal(
		callback_verify_live("xxxyyy", sign, request_time, request_ms),
		EACCES);
	assert_int_equal(
		callback_verify_live(token, sign, "1669872113", request_ms),
		EACCES);
	assert_int_equal(callback_verify_live(token, sign, "soon", request_ms),
			 EBADMSG);
	assert_int_equal(callback_verify_live(token, sign, "", request_ms),
			 EBADMSG);
	assert_int_equal(callback_verify_live(token, sign, "99999999999999999",
					      request_ms),
			 EBADMSG);
	assert_int_equal(
		callback_verify_live(token, NULL, request_time, request_ms),
		EBADMSG);
	assert_int_equal(callback_verify_live(token, sign, NULL, request_ms),
			 EBADMSG);
}

static void live_never_verifies_without_a_token(void **state)
{
	char of_no_token[SIGNATURE_TEXT_MAX];

	(void)state;
	assert_int_equal(callback_sign_live("", 1669872112, of_no_token), 0);
	assert_int_equal(
		callback_verify_live("", of_no_token, request_time, request_ms),
		EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			gme_signature_of_the_sample_is_right_in_both_encodings),
		cmocka_unit_test(
			gme_verifies_both_encodings_and_hex_of_any_case),
		cmocka_unit_test(
			gme_refuses_a_signature_changed_in_any_character),
		cmocka_unit_test(gme_refuses_a_body_changed_in_any_byte),
		cmocka_unit_test(gme_refuses_another_key_and_no_key),
		cmocka_unit_test(live_sign_of_the_vendors_example_is_right),
		cmocka_unit_test(live_accepts_a_minute_either_way_and_no_more),
		cmocka_unit_test(
			live_tells_a_wrong_sign_from_a_wrong_time_and_from_nonsense),
		cmocka_unit_test(live_never_verifies_without_a_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
