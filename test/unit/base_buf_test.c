/** test/unit/base_buf_test.c -- growable bytes with a limit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "freed_aid.h"
#include "oom.h"

static void bytes_are_appended_and_terminated(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_string_equal(buf_str(&b), "");
	buf_puts(&b, "one");
	buf_putc(&b, ' ');
	buf_append(&b, "two\0", 4);
	buf_printf(&b, "%d%s", 3, "!");
	assert_int_equal(buf_err(&b), 0);
	assert_int_equal(b.len, 10);
	assert_memory_equal(b.data, "one two\0003!", 11);
	buf_fini(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 100);
	buf_puts(&b, "again");
	assert_string_equal(buf_str(&b), "again");
	buf_fini(&b);
}

static void the_limit_is_exact(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 5);
	buf_puts(&b, "12345");
	assert_int_equal(buf_err(&b), 0);
	buf_append(&b, "", 0);
	assert_int_equal(buf_err(&b), 0);
	buf_putc(&b, '6');
	assert_int_equal(buf_err(&b), EMSGSIZE);
	assert_string_equal(buf_str(&b), "12345");
	buf_clear(&b);
	assert_int_equal(buf_err(&b), 0);
	assert_string_equal(buf_str(&b), "");
	buf_printf(&b, "%s", "12345");
	assert_int_equal(buf_err(&b), 0);
	buf_clear(&b);
	buf_printf(&b, "%s", "123456");
	assert_int_equal(buf_err(&b), EMSGSIZE);
	assert_int_equal(b.len, 0);
	buf_fini(&b);
	buf_init(&b, 0);
	buf_append(&b, NULL, 0);
	assert_int_equal(buf_err(&b), 0);
	buf_putc(&b, 'x');
	assert_int_equal(buf_err(&b), EMSGSIZE);
	buf_fini(&b);
}

static void a_huge_append_does_not_wrap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_puts(&b, "x");
	buf_append(&b, "x", SIZE_MAX);
	assert_int_equal(buf_err(&b), EMSGSIZE);
	assert_string_equal(buf_str(&b), "x");
	buf_fini(&b);
}

static void an_error_stays_and_changes_nothing(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	buf_puts(&b, "12345");
	buf_puts(&b, "1");
	buf_printf(&b, "%d", 1);
	buf_putc(&b, '1');
	assert_int_equal(buf_err(&b), EMSGSIZE);
	assert_string_equal(buf_str(&b), "");
	buf_fini(&b);
	assert_int_equal(buf_err(&b), 0);
}

static void it_grows_over_every_size(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 2000);
	for (size_t i = 0; i < 2000; i++) {
		if (i % 2)
			buf_putc(&b, (char)('a' + i % 26));
		else
			buf_printf(&b, "%c", (char)('a' + i % 26));
		assert_int_equal(strlen(buf_str(&b)), i + 1);
	}
	for (size_t i = 0; i < 2000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_fini(&b);
}

static void bytes_can_be_taken(void **state)
{
	struct buf b;
	char *s;

	(void)state;
	buf_init(&b, 10);
	s = buf_take(&b);
	assert_string_equal(s, "");
	mem_free(s);
	buf_puts(&b, "text");
	s = buf_take(&b);
	assert_string_equal(s, "text");
	assert_int_equal(b.len, 0);
	assert_null(b.data);
	assert_int_equal(b.max, 10);
	mem_free(s);
	buf_fini(&b);
	buf_puts(&b, "more");
	buf_fini(&b);
}

static void use_buf(void)
{
	struct buf b;
	char *s;

	buf_init(&b, 10000);
	for (int i = 0; i < 300; i++)
		buf_printf(&b, "line %d\n", i);
	assert_true(buf_err(&b) == 0 || buf_err(&b) == ENOMEM);
	s = buf_take(&b);
	mem_free(s);
	buf_puts(&b, "more");
	buf_fini(&b);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(use_buf);
}

#ifndef FREED_IS_OUT_OF_SIGHT
static void a_secret_that_grows_or_ends_leaves_no_copy(void **state)
{
	volatile uintptr_t first, second;
	char secret[200];
	struct buf b;

	(void)state;
	memset(secret, 's', sizeof(secret));
	buf_init_secret(&b, 4096);
	buf_append(&b, secret, sizeof(secret));
	first = (uintptr_t)b.data;
	buf_append(&b, secret, sizeof(secret));
	second = (uintptr_t)b.data;
	assert_int_not_equal(first, second);
	assert_memory_equal(b.data + 200, secret, sizeof(secret));
	assert_null(memmem((void *)first, 256, "ssss", 4));
	buf_fini(&b);
	assert_null(memmem((void *)second, 512, "ssss", 4));
	buf_puts(&b, "again");
	assert_true(b.is_secret);
	buf_fini(&b);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_appended_and_terminated),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(a_huge_append_does_not_wrap),
		cmocka_unit_test(an_error_stays_and_changes_nothing),
		cmocka_unit_test(it_grows_over_every_size),
		cmocka_unit_test(bytes_can_be_taken),
#ifndef FREED_IS_OUT_OF_SIGHT
		cmocka_unit_test(a_secret_that_grows_or_ends_leaves_no_copy),
#endif
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
