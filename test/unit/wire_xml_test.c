/** test/unit/wire_xml_test.c -- what is found in the answers of a store. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/xml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct xml over(const char *text)
{
	return (struct xml){text, text + strlen(text)};
}

static const char *find(const char *text, const char *name)
{
	static char out[16];

	xml_find(over(text), name, out, sizeof(out));
	return out;
}

static void an_element_is_found_by_its_name(void **state)
{
	(void)state;
	assert_string_equal(find("<a><Code>x</Code></a>", "Code"), "x");
	assert_string_equal(find("<?xml v?>\n<Code>x</Code>", "Code"), "x");
	assert_string_equal(find("<s:Code>x</s:Code>", "Code"), "x");
	assert_string_equal(find("<Code a=\"b\">x</Code>", "Code"), "x");
	assert_string_equal(find("<Code\n>x", "Code"), "x");
	assert_string_equal(find("<Code>x<b>y</b></Code>", "Code"), "x");
	assert_string_equal(find("<Codes>x</Codes><Code>y</Code>", "Code"),
			    "y");
	assert_string_equal(find("<aCode>x</aCode>", "Code"), "");
	assert_string_equal(find("<Code/><Code>y</Code>", "Code"), "");
	assert_string_equal(find("</Code>x<b>", "Code"), "");
	assert_string_equal(find("<!Code>x", "Code"), "");
	assert_string_equal(find("<Code", "Code"), "");
	assert_string_equal(find("<Code a", "Code"), "");
	assert_string_equal(find("", "Code"), "");
}

static void references_are_resolved(void **state)
{
	(void)state;
	assert_string_equal(find("<k>a&amp;b&lt;&gt;&quot;&apos;</k>", "k"),
			    "a&b<>\"'");
	assert_string_equal(find("<k>&#65;&#x42;&#xe4;</k>", "k"),
			    "AB\xc3\xa4");
	assert_string_equal(find("<k>&#x20AC;&#x10FFFF;</k>", "k"),
			    "\xe2\x82\xac\xf4\x8f\xbf\xbf");
	/* What is none stays as it is. */
	assert_string_equal(find("<k>&none;</k>", "k"), "&none;");
	assert_string_equal(find("<k>&#xD800;&#0;</k>", "k"), "&#xD800;&#0;");
	assert_string_equal(find("<k>&#x110000;</k>", "k"), "&#x110000;");
	assert_string_equal(find("<k>&#;&;&#x;</k>", "k"), "&#;&;&#x;");
	assert_string_equal(find("<k>&#4f;&amp</k>", "k"), "&#4f;&amp");
}

static void what_does_not_fit_is_nothing(void **state)
{
	(void)state;
	assert_string_equal(find("<k>123456789012345</k>", "k"),
			    "123456789012345");
	assert_string_equal(find("<k>1234567890123456</k>", "k"), "");
	assert_string_equal(find("<k>12345678901234&#xe4;</k>", "k"), "");
}

static void all_of_a_name_are_found_in_turn(void **state)
{
	struct xml x = over("<l><k>a</k><c><k>b</k></c><k/><k>c</k></l>");
	const char *end = x.end;
	char out[8], all[16] = "";
	size_t n = 0;

	(void)state;
	while (xml_next(&x, "k", out, sizeof(out)))
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s,", out);
	assert_string_equal(all, "a,b,,c,");
	assert_true(x.at < end);
}

static void the_first_element_names_the_answer(void **state)
{
	(void)state;
	assert_true(xml_is(over("<?xml?>\n<Error><Code/></Error>"), "Error"));
	assert_true(xml_is(over("<Error xmlns=\"x\"/>"), "Error"));
	assert_false(xml_is(over("<Result><Error/></Result>"), "Error"));
	assert_false(xml_is(over("Error"), "Error"));
	assert_false(xml_is(over(""), "Error"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_element_is_found_by_its_name),
		cmocka_unit_test(references_are_resolved),
		cmocka_unit_test(what_does_not_fit_is_nothing),
		cmocka_unit_test(all_of_a_name_are_found_in_turn),
		cmocka_unit_test(the_first_element_names_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
