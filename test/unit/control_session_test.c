/** test/unit/control_session_test.c -- who has logged in, and for how long. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/cloud.h"

enum { HEADER_MAX = 5000 };

static const int64_t begin_us = CLOCK_US_PER_S;

static struct sessions s;

static int setup(void **state)
{
	(void)state;
	sessions_clear(&s);
	return 0;
}

static void open_one(int64_t now_us, char text[SESSION_TEXT_CAP])
{
	assert_int_equal(session_open(&s, now_us, text), 0);
	assert_int_equal(strlen(text), SESSION_TEXT_CAP - 1);
}

/** A header Cookie with the value between `before` and `after`. */
static const char *cookie(const char *before, const char *text,
			  const char *after)
{
	static char header[HEADER_MAX];

	snprintf(header, sizeof(header), "%s" SESSION_COOKIE "=%s%s", before,
		 text, after);
	return header;
}

static bool is_in(const char *text, int64_t now_us)
{
	return session_use(&s, cookie("", text, ""), now_us);
}

static void whoever_has_the_cookie_is_in(void **state)
{
	char a[SESSION_TEXT_CAP], b[SESSION_TEXT_CAP];

	(void)state;
	assert_false(session_use(&s, NULL, begin_us));
	open_one(begin_us, a);
	open_one(begin_us, b);
	assert_string_not_equal(a, b);
	assert_true(is_in(a, begin_us));
	assert_true(is_in(b, begin_us));
	assert_true(session_use(&s, cookie("x=1; ", a, "; y=2"), begin_us));
	assert_true(session_use(&s, cookie("x=1;", a, " ;y"), begin_us));
	assert_true(session_use(&s, cookie("; ;", a, "\t"), begin_us));
	/* one that is good beside one that is not */
	assert_true(session_use(&s, cookie(SESSION_COOKIE "=0; ", a, ""),
				begin_us));
}

static void nothing_else_lets_in(void **state)
{
	char a[SESSION_TEXT_CAP], other[SESSION_TEXT_CAP];

	(void)state;
	open_one(begin_us, a);
	for (size_t i = 0; i < SESSION_TEXT_CAP - 1; i++) {
		memcpy(other, a, sizeof(other));
		other[i] = other[i] == '0' ? '1' : '0';
		assert_false(is_in(other, begin_us));
		other[i] = 0;
		assert_false(is_in(other, begin_us));
	}
	assert_false(session_use(&s, a, begin_us));
	assert_false(session_use(&s, cookie("", a, "0"), begin_us));
	assert_false(session_use(&s, cookie("", a, "\""), begin_us));
	assert_false(session_use(&s, cookie("x", a, ""), begin_us));
	assert_false(session_use(&s, cookie("x= ", a, ""), begin_us));
	assert_false(session_use(&s, "", begin_us));
	assert_false(session_use(&s, ";;;", begin_us));
	assert_false(session_use(&s, SESSION_COOKIE, begin_us));
	assert_false(session_use(&s, SESSION_COOKIE "=", begin_us));
	/* what a free place holds is nobody's */
	memset(other, '0', sizeof(other) - 1);
	other[sizeof(other) - 1] = 0;
	assert_false(is_in(other, begin_us));
}

static void it_ends_when_it_is_not_used(void **state)
{
	char a[SESSION_TEXT_CAP];

	(void)state;
	open_one(begin_us, a);
	assert_true(is_in(a, begin_us + SESSION_IDLE_US - 1));
	assert_true(is_in(a, begin_us + 2 * SESSION_IDLE_US - 2));
	assert_false(is_in(a, begin_us + 3 * SESSION_IDLE_US - 2));
	/* and does not come back */
	assert_false(is_in(a, begin_us));
}

static void it_ends_even_if_it_is_used(void **state)
{
	char a[SESSION_TEXT_CAP];
	int64_t now_us = begin_us;

	(void)state;
	open_one(begin_us, a);
	for (; now_us < begin_us + SESSION_US; now_us += SESSION_IDLE_US / 2)
		assert_true(is_in(a, now_us));
	assert_false(is_in(a, begin_us + SESSION_US));
}

static void logging_out_ends_one(void **state)
{
	char a[SESSION_TEXT_CAP], b[SESSION_TEXT_CAP];

	(void)state;
	open_one(begin_us, a);
	open_one(begin_us, b);
	session_end(&s, NULL);
	session_end(&s, cookie("x=", a, ""));
	assert_true(is_in(a, begin_us));
	session_end(&s, cookie("x=1; ", a, ""));
	assert_false(is_in(a, begin_us));
	assert_true(is_in(b, begin_us));
	sessions_clear(&s);
	assert_false(is_in(b, begin_us));
}

static void one_more_ends_the_one_that_was_idle_longest(void **state)
{
	char texts[SESSIONS_MAX][SESSION_TEXT_CAP], more[SESSION_TEXT_CAP];

	(void)state;
	for (int i = 0; i < SESSIONS_MAX; i++)
		open_one(begin_us + i, texts[i]);
	assert_true(is_in(texts[0], begin_us + SESSIONS_MAX));
	open_one(begin_us + SESSIONS_MAX, more);
	assert_true(is_in(more, begin_us + SESSIONS_MAX));
	assert_false(is_in(texts[1], begin_us + SESSIONS_MAX));
	for (int i = 0; i < SESSIONS_MAX; i++)
		assert_int_equal(is_in(texts[i], begin_us + SESSIONS_MAX),
				 i != 1);
}

static void wrong_tokens_are_limited_by_address(void **state)
{
	static struct cloud_limits l;
	int64_t now_us = begin_us;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_false(limit_login_is_over(&l, "192.0.2.1", now_us));
		limit_login_failed(&l, "192.0.2.1", now_us);
	}
	assert_true(limit_login_is_over(&l, "192.0.2.1", now_us));
	assert_false(cloud_limit_peer_is_over(&l, "192.0.2.1", now_us));
	now_us += 3 * CLOCK_US_PER_S;
	assert_false(limit_login_is_over(&l, "192.0.2.1", now_us));
	limit_login_failed(&l, "192.0.2.1", now_us);
	assert_true(limit_login_is_over(&l, "192.0.2.1", now_us));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whoever_has_the_cookie_is_in, setup),
		cmocka_unit_test_setup(nothing_else_lets_in, setup),
		cmocka_unit_test_setup(it_ends_when_it_is_not_used, setup),
		cmocka_unit_test_setup(it_ends_even_if_it_is_used, setup),
		cmocka_unit_test_setup(logging_out_ends_one, setup),
		cmocka_unit_test_setup(
			one_more_ends_the_one_that_was_idle_longest, setup),
		cmocka_unit_test_setup(wrong_tokens_are_limited_by_address,
				       setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
