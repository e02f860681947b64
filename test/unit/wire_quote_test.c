/** test/unit/wire_quote_test.c -- text into JSON, URLs and lines. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/quote.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/attr.h"

static void json_escapes_what_must_be_and_nothing_else(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	quote_json(&b, "a/\"\\\b\f\n\r\t\x01\x1f\x7f\xe4\xbd\xa0\xf0\x9f\x8e"
		       "\x99 <>&'");
	assert_string_equal(buf_str(&b),
			    "\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"
			    "\xe4\xbd\xa0\xf0\x9f\x8e\x99 <>&'\"");
	buf_fini(&b);
}

static void json_of_every_byte_can_be_read_back(void **state)
{
	(void)state;
	for (unsigned c = 1; c < 256; c++) {
		char text[] = {'a', (char)c, 'b', 0};
		struct buf b;
		json_t *v;

		buf_init(&b, 64);
		quote_json(&b, text);
		v = json_loads(buf_str(&b), JSON_DECODE_ANY, NULL);
		assert_non_null(v);
		if (c >= 0x80)
			text[1] = '?';
		assert_string_equal(json_string_value(v), text);
		json_decref(v);
		buf_fini(&b);
	}
}

static void broken_utf8_becomes_question_marks_of_the_same_length(void **state)
{
	static const char *const cases[][2] = {
		{"\xe4\xbd", "\"??\""}, /* cut */
		{"\xe4\xbd\xa0\xe4", "\"\xe4\xbd\xa0?\""},
		{"\xc0\x80", "\"??\""},		    /* overlong */
		{"\xed\xa0\x80", "\"???\""},	    /* surrogate */
		{"\xf4\x90\x80\x80x", "\"????x\""}, /* over U+10FFFF */
		{"\xff\"", "\"?\\\"\""},
		{"\xc2\x9b\xc2x", "\"\xc2\x9b?x\""}, /* C1 stays */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;

		buf_init(&b, 64);
		quote_json(&b, cases[i][0]);
		assert_string_equal(buf_str(&b), cases[i][1]);
		buf_fini(&b);
	}
}

static void percent_keeps_unreserved_characters_only(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	quote_percent(&b, "aZ09-._~ &=?#/:%+\xc3\xa4");
	assert_string_equal(buf_str(&b),
			    "aZ09-._~%20%26%3D%3F%23%2F%3A%25%2B%C3%A4");
	buf_clear(&b);
	quote_percent_path(&b, "/a b/%2F//\xc3\xa4");
	assert_string_equal(buf_str(&b), "/a%20b/%252F//%C3%A4");
	buf_fini(&b);
}

static void percent_compares_as_the_quoted_texts_do(void **state)
{
	struct buf a, b;

	(void)state;
	buf_init(&a, 16);
	buf_init(&b, 16);
	/* Also the end of a text against every byte. */
	for (unsigned i = 0; i < 256 * 256; i++) {
		const char left[] = {'a', (char)(i >> 8), 0};
		const char right[] = {'a', (char)i, 0};
		int order, want;

		buf_clear(&a);
		buf_clear(&b);
		quote_percent(&a, left);
		quote_percent(&b, right);
		order = quote_percent_compare(left, right);
		want = strcmp(buf_str(&a), buf_str(&b));
		assert_int_equal((order > 0) - (order < 0),
				 (want > 0) - (want < 0));
	}
	buf_fini(&a);
	buf_fini(&b);
}

static void line_has_no_control_characters(void **state)
{
	char line[32];

	(void)state;
	quote_line(line, sizeof(line), "a\r\nb\x1b[1m\x7f\xc2\x9b\xff\xc3\xa4");
	assert_string_equal(line, "a??b?[1m???\xc3\xa4");
}

static void line_is_cut_at_a_whole_character(void **state)
{
	char line[6];

	(void)state;
	quote_line(line, sizeof(line), "abcd\xc3\xa4");
	assert_string_equal(line, "abcd");
	quote_line(line, sizeof(line), "abc\xc3\xa4z");
	assert_string_equal(line, "abc\xc3\xa4");
	quote_line(line, 1, "abc");
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_escapes_what_must_be_and_nothing_else),
		cmocka_unit_test(json_of_every_byte_can_be_read_back),
		cmocka_unit_test(
			broken_utf8_becomes_question_marks_of_the_same_length),
		cmocka_unit_test(percent_keeps_unreserved_characters_only),
		cmocka_unit_test(percent_compares_as_the_quoted_texts_do),
		cmocka_unit_test(line_has_no_control_characters),
		cmocka_unit_test(line_is_cut_at_a_whole_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
