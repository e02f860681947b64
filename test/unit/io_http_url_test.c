/** test/unit/io_http_url_test.c -- which URLs may be called, and escapes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "io/io.h"

static void url_check_takes_plain_urls_only(void **state)
{
	static const char *const good[] = {
		"http://example.com",
		"https://example.com/",
		"HTTP://Example.COM:8080/a?b=c&d=%20#f",
		"http://1.2.3.4/x",
		"http://[2001:db8::1]:80/",
		"http://a_b.example/",
		"http://xn--bcher-kva.example/",
		"http://localhost",
		"http://1a.example?x",
	};
	static const char *const bad[] = {
		"",
		"example.com",
		"ftp://example.com/",
		"file:///etc/passwd",
		"http:///x",
		"http://",
		"http://:80/",
		"http://user@example.com/",
		"http://user:pw@example.com/",
		"http://example.com@10.0.0.1/",
		"http://example.com:80@10.0.0.1/",
		"http://2130706433/",
		"http://0177.0.0.1/",
		"http://0x7f.1/",
		"http://0x7f000001/",
		"http://127.1/",
		"http://127.0.0.1./",
		"http://127.0.0.256/",
		"http://1.2.3.4.5/",
		"http://01.2.3.4/",
		"http://example.0x10/",
		"http://example.com./",
		"http://.example.com/",
		"http://a..b/",
		"http://[1.2.3.4]/",
		"http://[::1/",
		"http://::1/",
		"http://[fe80::1%25eth0]/",
		"http://[fe80::1%eth0]/",
		"http://[::1]x/",
		"http://[::1]:/",
		"http://example.com:/",
		"http://example.com:0/",
		"http://example.com:65536/",
		"http://example.com:-1/",
		"http://example.com:8x/",
		"http://example.com:00000000080/",
		"http://exa mple.com/",
		"http://example.com/a b",
		"http://example.com\\@10.0.0.1/",
		"http://ex%61mple.com/",
		"http://z\xc3\xbcrich.example/",
		"http://example.com/\r\nX: y",
		"http://*/",
		"http:/example.com",
		" http://example.com/",
		"//example.com/",
	};
	char longest[2100];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (http_url_check(good[i], &e))
			fail_msg("%s: %s", good[i], e.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (http_url_check(bad[i], &e) != EINVAL)
			fail_msg("passed: %s", bad[i]);
		assert_true(e.text[0] != '\0');
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://e/", 9);
	longest[2083] = '\0';
	assert_int_equal(http_url_check(longest, &e), 0);
	longest[2083] = 'a';
	longest[2084] = '\0';
	assert_int_equal(http_url_check(longest, &e), EINVAL);
}

static void decode_refuses_what_would_cut_or_break(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(http_decode("a%2Fb+", 6, out, sizeof(out)), 0);
	assert_string_equal(out, "a/b+");
	assert_int_equal(http_decode("", 0, out, 1), 0);
	assert_int_equal(http_decode("1234567", 7, out, sizeof(out)), 0);
	assert_int_equal(http_decode("12345678", 8, out, sizeof(out)), ERANGE);
	assert_int_equal(http_decode("", 0, out, 0), ERANGE);
	assert_int_equal(http_decode("%00", 3, out, sizeof(out)), EINVAL);
	assert_int_equal(http_decode("a\0b", 3, out, sizeof(out)), EINVAL);
	assert_int_equal(http_decode("%4", 2, out, sizeof(out)), EINVAL);
	/* the escape may not reach behind the given length */
	assert_int_equal(http_decode("%41", 2, out, sizeof(out)), EINVAL);
}

static void a_location_leads_on_from_where_it_was_said(void **state)
{
	static const struct {
		const char *base, *ref, *want; /* NULL: refused */
	} cases[] = {
		{"http://h:80/whip/1/r/u", "/whip/sessions/k",
		 "http://h:80/whip/sessions/k"},
		{"http://h/whip/1/r/u", "k?x=1", "http://h/whip/1/r/k?x=1"},
		{"https://h/a", "//g/b", "https://g/b"},
		{"https://h/a", "http://[::1]:8/b", "http://[::1]:8/b"},
		{"http://h/a%2Fb/c", "d%20e", "http://h/a%2Fb/d%20e"},
		{"http://h/a", "ftp://h/b", NULL},
		{"http://h/a", "http://u:p@h/b", NULL},
	};
	struct buf out;
	struct err e;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int err =
			http_url_resolve(cases[i].base, cases[i].ref, &out, &e);

		assert_int_equal(err, cases[i].want ? 0 : EINVAL);
		if (cases[i].want)
			assert_string_equal(buf_str(&out), cases[i].want);
		else
			assert_true(e.text[0] && !out.len);
		buf_clear(&out);
	}
	buf_fini(&out);
}

static void an_origin_is_scheme_host_and_port(void **state)
{
	(void)state;
	assert_true(http_url_is_same_origin("http://h/a", "http://H:80/b?c"));
	assert_true(http_url_is_same_origin("https://h", "https://h:443/"));
	assert_false(http_url_is_same_origin("http://h", "https://h"));
	assert_false(http_url_is_same_origin("http://h", "http://h:81"));
	assert_false(http_url_is_same_origin("http://h", "http://h.g"));
	assert_false(http_url_is_same_origin("http://h", "nonsense"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(url_check_takes_plain_urls_only),
		cmocka_unit_test(decode_refuses_what_would_cut_or_break),
		cmocka_unit_test(a_location_leads_on_from_where_it_was_said),
		cmocka_unit_test(an_origin_is_scheme_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
