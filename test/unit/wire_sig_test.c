/** test/unit/wire_sig_test.c -- digests, MACs, hex and base64. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

static void sha256_of_the_standard_is_right(void **state)
{
	/* FIPS 180-4 example, and the empty message */
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];

	(void)state;
	assert_int_equal(sig_sha256_hex("abc", 3, hex), 0);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(sig_sha256_hex("", 0, hex), 0);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
				 "27ae41e4649b934ca495991b7852b855");
}

static void sha256_of_two_is_that_of_their_sum(void **state)
{
	uint8_t one[SIG_SHA256_LEN], two[SIG_SHA256_LEN];

	(void)state;
	assert_int_equal(sig_sha256("abcdef", 6, one), 0);
	for (size_t cut = 0; cut <= 6; cut++) {
		assert_int_equal(sig_sha256_of_two("abcdef", cut,
						   &"abcdef"[cut], 6 - cut,
						   two),
				 0);
		assert_memory_equal(one, two, sizeof(one));
	}
}

static void hmac_of_the_standards_is_right(void **state)
{
	/* RFC 2202 case 2 and RFC 4231 case 2 */
	const char *data = "what do ya want for nothing?";
	uint8_t mac[SIG_SHA256_LEN];
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];

	(void)state;
	assert_int_equal(sig_hmac_sha1("Jefe", 4, data, strlen(data), mac), 0);
	sig_hex(mac, SIG_SHA1_LEN, hex);
	assert_string_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	assert_int_equal(sig_hmac_sha256("Jefe", 4, data, strlen(data), mac),
			 0);
	sig_hex(mac, SIG_SHA256_LEN, hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
				 "5a003f089d2739839dec58b964ec3843");
}

static void hmac_takes_an_empty_key_and_an_empty_message(void **state)
{
	uint8_t mac[SIG_SHA256_LEN];
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];

	(void)state;
	assert_int_equal(sig_hmac_sha1("", 0, "", 0, mac), 0);
	sig_hex(mac, SIG_SHA1_LEN, hex);
	assert_string_equal(hex, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
	assert_int_equal(sig_hmac_sha1(NULL, 0, NULL, 0, mac), 0);
	sig_hex(mac, SIG_SHA1_LEN, hex);
	assert_string_equal(hex, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d");
}

static void chain_derives_the_published_keys(void **state)
{
	/* Tencent Cloud API 3.0, "Signature v3": kDate, kService, kSigning */
	static const char *const scope[] = {"2019-02-25", "cvm", "tc3_request"};
	static const char *const keys[] = {
		"da98fb70dcf6b112dc21038d1eeeb3a9"
		"5c74b4dcb12c1131f864f6066bd02be0",
		"8d70cbefb03939f929db64d32dc2ba89"
		"b1095620119fe3e050e2b18c5bd2752f",
		"b596b923aad85185e2d1f6659d2a062e"
		"0a86731226e021e61bfe06f7ed05f5af",
	};
	uint8_t mac[SIG_SHA256_LEN];
	char hex[SIG_HEX_CAP(SIG_SHA256_LEN)];

	(void)state;
	for (size_t n = 1; n <= ARRAY_LEN(scope); n++) {
		assert_int_equal(
			sig_hmac_chain("TC3",
				       "********************************",
				       scope, n, mac),
			0);
		sig_hex(mac, sizeof(mac), hex);
		assert_string_equal(hex, keys[n - 1]);
	}
}

static void chain_refuses_a_secret_that_is_too_long(void **state)
{
	static const char *const scope[] = {"a"};
	static char secret[SIG_CHAIN_KEY_MAX + 1];
	uint8_t mac[SIG_SHA256_LEN];

	(void)state;
	memset(secret, 'k', sizeof(secret) - 1);
	assert_int_equal(sig_hmac_chain("", secret, scope, 1, mac), 0);
	assert_int_equal(sig_hmac_chain("A", secret, scope, 1, mac), EMSGSIZE);
}

/* RFC 4648 section 10 */
static const struct {
	const char *bytes, *text;
} base64_vectors[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xfe\xfb", "//77"},
};

static void base64_is_written_and_read_as_the_standard_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(base64_vectors); i++) {
		const char *bytes = base64_vectors[i].bytes;
		char text[SIG_BASE64_CAP(6)];
		uint8_t back[6];
		size_t len = 99;

		sig_base64(bytes, strlen(bytes), text);
		assert_string_equal(text, base64_vectors[i].text);
		assert_int_equal(
			sig_base64_parse(text, back, sizeof(back), &len), 0);
		assert_int_equal(len, strlen(bytes));
		assert_memory_equal(back, bytes, len);
	}
}

static void base64_refuses_what_is_not_strict(void **state)
{
	static const char *const bad[] = {
		"Zg",	"Zg=",	    "Zg===",	"Zh==",	      "Zm9=", "Z===",
		"====", "Zg==Zg==", "Zm9v\n",	"Zm 9",	      "Zm-_", "Zm9vY",
		"=m9v", "Zm=v",	    "Zm9v====", "\xc3\xa4Zm",
	};
	uint8_t out[16];
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(
			sig_base64_parse(bad[i], out, sizeof(out), &len),
			EBADMSG);
	assert_int_equal(sig_base64_parse("Zm9v", out, 2, &len), EMSGSIZE);
	assert_int_equal(sig_base64_parse("Zm8=", out, 2, &len), 0);
}

static void hex_takes_any_case_and_its_exact_length_only(void **state)
{
	uint8_t out[2];

	(void)state;
	assert_int_equal(sig_hex_parse("aBcD", out, 2), 0);
	assert_memory_equal(out, "\xab\xcd", 2);
	assert_int_equal(sig_hex_parse("abc", out, 2), EBADMSG);
	assert_int_equal(sig_hex_parse("abcde", out, 2), EBADMSG);
	assert_int_equal(sig_hex_parse("abcg", out, 2), EBADMSG);
	assert_int_equal(sig_hex_parse("ab d", out, 2), EBADMSG);
	assert_int_equal(sig_hex_parse("", out, 2), EBADMSG);
}

static void equal_is_equal_in_every_byte(void **state)
{
	uint8_t a[32] = {0};
	uint8_t b[32] = {0};

	(void)state;
	assert_true(sig_is_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] = 1;
		assert_false(sig_is_equal(a, b, sizeof(a)));
		b[i] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_of_the_standard_is_right),
		cmocka_unit_test(sha256_of_two_is_that_of_their_sum),
		cmocka_unit_test(hmac_of_the_standards_is_right),
		cmocka_unit_test(hmac_takes_an_empty_key_and_an_empty_message),
		cmocka_unit_test(chain_derives_the_published_keys),
		cmocka_unit_test(chain_refuses_a_secret_that_is_too_long),
		cmocka_unit_test(
			base64_is_written_and_read_as_the_standard_says),
		cmocka_unit_test(base64_refuses_what_is_not_strict),
		cmocka_unit_test(hex_takes_any_case_and_its_exact_length_only),
		cmocka_unit_test(equal_is_equal_in_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
