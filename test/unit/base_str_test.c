/** test/unit/base_str_test.c -- text into numbers, UTF-8, errors to read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

static void integers_are_whole_and_in_range(void **state)
{
	static const struct {
		const char *text;
		int64_t min, max;
		int err;
		int64_t value;
	} cases[] = {
		{"0", INT64_MIN, INT64_MAX, 0, 0},
		{"-0", INT64_MIN, INT64_MAX, 0, 0},
		{"007", INT64_MIN, INT64_MAX, 0, 7},
		{"-42", INT64_MIN, INT64_MAX, 0, -42},
		{"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
		{"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
		{"9223372036854775808", INT64_MIN, INT64_MAX, ERANGE, 0},
		{"-9223372036854775809", INT64_MIN, INT64_MAX, ERANGE, 0},
		{"99999999999999999999999", INT64_MIN, INT64_MAX, ERANGE, 0},
		{"1", 2, 3, ERANGE, 0},
		{"2", 2, 3, 0, 2},
		{"3", 2, 3, 0, 3},
		{"4", 2, 3, ERANGE, 0},
		{"", 0, 9, EINVAL, 0},
		{"-", -9, 9, EINVAL, 0},
		{"--1", -9, 9, EINVAL, 0},
		{"+1", 0, 9, EINVAL, 0},
		{" 1", 0, 9, EINVAL, 0},
		{"1 ", 0, 9, EINVAL, 0},
		{"1x", 0, 9, EINVAL, 0},
		{"0x1", 0, 9, EINVAL, 0},
		{"1.0", 0, 9, EINVAL, 0},
		{"1e3", 0, 9999, EINVAL, 0},
		{"\xd9\xa1", 0, 9, EINVAL, 0}, /* an Arabic digit one */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t value = 99;
		int err = str_to_i64(cases[i].text, cases[i].min, cases[i].max,
				     &value);

		if (err != cases[i].err || value != (err ? 99 : cases[i].value))
			fail_msg("'%s'", cases[i].text);
	}
}

static void ids_use_all_64_bits(void **state)
{
	static const char *const bad[] = {"",	"-1", "+1", " 1",
					  "1 ", "x",  "1x"};
	uint64_t value = 99;

	(void)state;
	assert_int_equal(str_to_u64("18446744073709551615", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(str_to_u64("18446744073709551616", &value), ERANGE);
	assert_int_equal(str_to_u64("18446744073709551620", &value), ERANGE);
	assert_int_equal(str_to_u64("99999999999999999999", &value), ERANGE);
	assert_true(value == UINT64_MAX);
	assert_int_equal(str_to_u64("0", &value), 0);
	assert_true(value == 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (str_to_u64(bad[i], &value) != EINVAL)
			fail_msg("'%s'", bad[i]);
	}
}

static void durations_have_a_unit(void **state)
{
	static const struct {
		const char *text;
		int err;
		int64_t us;
	} cases[] = {
		{"0", 0, 0},
		{"0s", 0, 0},
		{"1ms", 0, 1000},
		{"1500ms", 0, 1500000},
		{"1s", 0, 1000000},
		{"90m", 0, 5400000000},
		{"2h", 0, 7200000000},
		{"7d", 0, 604800000000},
		{"3660d", 0, 3660 * 86400000000},
		{"3661d", ERANGE, 0},
		{"99999999999999999999d", ERANGE, 0},
		{"316224000001ms", ERANGE, 0},
		{"", EINVAL, 0},
		{"s", EINVAL, 0},
		{"1", EINVAL, 0},
		{"1 s", EINVAL, 0},
		{"1S", EINVAL, 0},
		{"1us", EINVAL, 0},
		{"-1s", EINVAL, 0},
		{"1.5s", EINVAL, 0},
		{"1h30m", EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t us = 99;
		int err = str_to_duration_us(cases[i].text, &us);

		if (err != cases[i].err || us != (err ? 99 : cases[i].us))
			fail_msg("'%s'", cases[i].text);
	}
}

static void a_copy_is_cut_and_terminated(void **state)
{
	char to[4];

	(void)state;
	assert_true(str_copy(to, sizeof(to), ""));
	assert_string_equal(to, "");
	assert_true(str_copy(to, sizeof(to), "abc"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, sizeof(to), "abcd"));
	assert_string_equal(to, "abc");
	assert_false(str_copy(to, 1, "a"));
	assert_string_equal(to, "");
}

static void only_clean_utf8_is_clean(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool clean;
	} cases[] = {
		{"", 0, true},
		{"room 1", 6, true},
		{"\xc3\xa9", 2, true},
		{"\xe6\x88\xbf", 3, true},
		{"\xf0\x9f\x8e\x99", 4, true},
		{"\xf4\x8f\xbf\xbf", 4, true}, /* U+10FFFF */
		{"\xc2\xa0", 2, true},	       /* U+00A0 */
		{"\xed\x9f\xbf", 3, true},     /* U+D7FF */
		{"\xee\x80\x80", 3, true},     /* U+E000 */
		{"\0", 1, false},
		{"a\nb", 3, false},
		{"\t", 1, false},
		{"\x1b[0m", 4, false},
		{"\x7f", 1, false},
		{"\xc2\x80", 2, false}, /* U+0080, a control */
		{"\xc2\x9f", 2, false},
		{"\x80", 1, false},	/* a follower alone */
		{"\xc0\x80", 2, false}, /* overlong NUL */
		{"\xc1\xbf", 2, false},
		{"\xe0\x80\xaf", 3, false}, /* overlong slash */
		{"\xe0\x9f\xbf", 3, false},
		{"\xf0\x8f\xbf\xbf", 4, false},
		{"\xed\xa0\x80", 3, false}, /* surrogate */
		{"\xed\xbf\xbf", 3, false},
		{"\xf4\x90\x80\x80", 4, false}, /* over U+10FFFF */
		{"\xf5\x80\x80\x80", 4, false},
		{"\xff", 1, false},
		{"\xc3", 1, false}, /* cut */
		{"\xe6\x88", 2, false},
		{"\xf0\x9f\x8e", 3, false},
		{"\xc3z", 2, false},
		{"\xe6\x88z", 3, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (str_is_clean_utf8(cases[i].bytes, cases[i].len) !=
		    cases[i].clean)
			fail_msg("case %zu", i);
	}
}

static void prefixes_are_found(void **state)
{
	(void)state;
	assert_true(str_starts_with("https://x", "https://"));
	assert_true(str_starts_with("x", ""));
	assert_false(str_starts_with("http", "https"));
	assert_false(str_starts_with("", "x"));
}

static void no_text_is_the_same_as_an_empty_one(void **state)
{
	(void)state;
	assert_true(str_is_same("x", "x"));
	assert_true(str_is_same("", NULL));
	assert_true(str_is_same(NULL, ""));
	assert_true(str_is_same(NULL, NULL));
	assert_false(str_is_same("x", "X"));
	assert_false(str_is_same("x", NULL));
	assert_false(str_is_same(NULL, "x"));
	assert_false(str_is_same("x", "xy"));
}

static void an_error_names_its_field_and_is_cut(void **state)
{
	struct err e;
	char text[400];

	(void)state;
	assert_int_equal(err_set(&e, EINVAL, "rooms", "at most %d", 5), EINVAL);
	assert_int_equal(e.code, EINVAL);
	assert_string_equal(e.field, "rooms");
	assert_string_equal(e.text, "at most 5");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(err_set(&e, ERANGE, text, "%s", text), ERANGE);
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(err_set(&e, 0, NULL, "x"), 0);
	assert_string_equal(e.field, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_are_whole_and_in_range),
		cmocka_unit_test(ids_use_all_64_bits),
		cmocka_unit_test(durations_have_a_unit),
		cmocka_unit_test(a_copy_is_cut_and_terminated),
		cmocka_unit_test(only_clean_utf8_is_clean),
		cmocka_unit_test(prefixes_are_found),
		cmocka_unit_test(no_text_is_the_same_as_an_empty_one),
		cmocka_unit_test(an_error_names_its_field_and_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
