/** test/unit/wire_fingerprint_test.c -- a=fingerprint, read and written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fingerprint.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* 32 bytes, as RFC 8122 section 5 writes them. */
static const char example[] =
	"sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:"
	"12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD";

static const enum fingerprint_hash all[] = {
	FINGERPRINT_SHA1, FINGERPRINT_SHA224, FINGERPRINT_SHA256,
	FINGERPRINT_SHA384, FINGERPRINT_SHA512};

static int parse(const char *text, struct fingerprint *f)
{
	return fingerprint_parse(text, strlen(text), f);
}

static void a_fingerprint_is_read_in_any_case_and_written_in_one(void **state)
{
	char text[FINGERPRINT_TEXT_MAX], low[sizeof(example)];
	struct fingerprint f, g;

	(void)state;
	assert_int_equal(parse(example, &f), 0);
	assert_int_equal(f.hash, FINGERPRINT_SHA256);
	assert_int_equal(f.len, 32);
	assert_int_equal(f.bytes[0], 0x12);
	assert_int_equal(f.bytes[31], 0xad);
	assert_string_equal(fingerprint_write(&f, text), example);
	for (size_t i = 0; i < sizeof(example); i++)
		low[i] = i < 3 ? (char)toupper(example[i])
			       : (char)tolower(example[i]);
	assert_int_equal(parse(low, &g), 0);
	assert_true(fingerprint_is_equal(&f, &g));
	g.bytes[31] ^= 1;
	assert_false(fingerprint_is_equal(&f, &g));
	g.bytes[31] ^= 1;
	g.hash = FINGERPRINT_SHA1;
	assert_false(fingerprint_is_equal(&f, &g));
}

static void each_hash_makes_what_it_reads_back(void **state)
{
	char text[FINGERPRINT_TEXT_MAX];
	struct fingerprint f, g;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(fingerprint_make(all[i], "abc", 3, &f), 0);
		assert_int_equal(parse(fingerprint_write(&f, text), &g), 0);
		assert_true(fingerprint_is_equal(&f, &g));
		/* a byte less and a byte more are none */
		text[strlen(text) - 3] = '\0';
		assert_int_equal(parse(text, &g), EBADMSG);
	}
	/* Source: FIPS 180-2 appendix A.1, B.1: "abc" */
	assert_int_equal(fingerprint_make(FINGERPRINT_SHA1, "abc", 3, &f), 0);
	assert_string_equal(fingerprint_write(&f, text),
			    "sha-1 A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:"
			    "C2:6C:9C:D0:D8:9D");
}

static void what_is_no_fingerprint_is_refused(void **state)
{
	struct fingerprint f;
	char text[sizeof(example) + 4];

	(void)state;
	/* Source: RFC 8122 section 5: these two MUST NOT be used. */
	assert_int_equal(parse("md5 AA:BB", &f), ENOTSUP);
	assert_int_equal(parse("md2 AA:BB", &f), ENOTSUP);
	assert_int_equal(parse("", &f), EBADMSG);
	assert_int_equal(parse("sha-256", &f), EBADMSG);
	assert_int_equal(parse(" 12", &f), ENOTSUP);
	for (size_t len = 0; len < strlen(example); len++)
		assert_int_equal(fingerprint_parse(example, len, &f), EBADMSG);
	snprintf(text, sizeof(text), "%s:AA", example);
	assert_int_equal(parse(text, &f), EBADMSG);
	memcpy(text, example, sizeof(example));
	text[8] = 'G';
	assert_int_equal(parse(text, &f), EBADMSG);
	memcpy(text, example, sizeof(example));
	text[10] = '-';
	assert_int_equal(parse(text, &f), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_fingerprint_is_read_in_any_case_and_written_in_one),
		cmocka_unit_test(each_hash_makes_what_it_reads_back),
		cmocka_unit_test(what_is_no_fingerprint_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
