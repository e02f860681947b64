/** test/unit/base_secret_test.c -- secrets from variables, files, literals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"

static const char name[] = "TAPEOP_TEST_SECRET";
static const char spec_env[] = "env:TAPEOP_TEST_SECRET";

static char path[] = "/tmp/tapeop-secret-XXXXXX";
static char spec_file[64];

static void put_file(const void *data, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	snprintf(spec_file, sizeof(spec_file), "file:%s", path);
	return 0;
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void assert_secret(const char *spec, const char *want, bool is_literal)
{
	bool literal = !is_literal;
	struct err e = {0};
	char *secret = NULL;

	assert_int_equal(secret_read(spec, &secret, &literal, &e), 0);
	assert_string_equal(secret, want);
	assert_int_equal(literal, is_literal);
	mem_free_secret(secret);
}

static void assert_refused(const char *spec, int code, const char *text)
{
	struct err e = {0};
	char *secret = NULL;
	bool literal;

	assert_int_equal(secret_read(spec, &secret, &literal, &e), code);
	assert_null(secret);
	assert_int_equal(e.code, code);
	if (!strstr(e.text, text))
		fail_msg("\"%s\" instead of \"%s\"", e.text, text);
}

static void literal_is_taken_as_it_is(void **state)
{
	(void)state;
	assert_secret("s3cret", "s3cret", true);
	assert_secret("a\n", "a\n", true);
	assert_secret("", "", true);
	assert_secret("ENV:X", "ENV:X", true);
}

static void variable_is_read_without_the_newline_at_its_end(void **state)
{
	(void)state;
	setenv(name, " a b \r\n\n", 1);
	assert_secret(spec_env, " a b ", false);
}

static void variable_that_is_not_set_or_empty_is_named(void **state)
{
	(void)state;
	unsetenv(name);
	assert_refused(spec_env, ENOENT,
		       "the environment variable TAPEOP_TEST_SECRET is not "
		       "set");
	setenv(name, "\n", 1);
	assert_refused(spec_env, EINVAL,
		       "the environment variable TAPEOP_TEST_SECRET is empty");
	assert_refused("env:", EINVAL, "env:NAME");
	assert_refused("file:", EINVAL, "file:PATH");
}

static void file_is_read_without_the_newline_at_its_end(void **state)
{
	(void)state;
	put_file("key\n", 4);
	assert_secret(spec_file, "key", false);
	put_file("k\ney\r\n", 6);
	assert_secret(spec_file, "k\ney", false);
}

static void file_that_cannot_be_a_secret_is_named(void **state)
{
	char longest[SECRET_MAX + 4];

	(void)state;
	put_file("", 0);
	assert_refused(spec_file, EINVAL, " is empty");
	put_file("a\0b", 3);
	assert_refused(spec_file, EINVAL, " has a NUL byte in it");
	memset(longest, 'x', sizeof(longest));
	put_file(longest, SECRET_MAX + 1);
	assert_refused(spec_file, EINVAL, " has more than 4096 bytes");
	put_file(longest, sizeof(longest));
	assert_refused(spec_file, EINVAL, " has more than 4096 bytes");
	longest[SECRET_MAX] = '\r';
	longest[SECRET_MAX + 1] = '\n';
	put_file(longest, SECRET_MAX + 2);
	longest[SECRET_MAX] = 0;
	assert_secret(spec_file, longest, false);
	assert_refused("file:/nonexistent/key", ENOENT,
		       "the file /nonexistent/key: No such file");
	assert_refused("file:/", EISDIR, "the file /: Is a directory");
}

static void literal_that_is_too_long_is_refused(void **state)
{
	char longest[SECRET_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[SECRET_MAX + 1] = 0;
	assert_refused(longest, EINVAL, "has more than 4096 bytes");
	longest[SECRET_MAX] = 0;
	assert_secret(longest, longest, true);
}

static void read_once(void)
{
	const char *const specs[] = {"literal", spec_file};

	for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
		struct err e = {0};
		char *secret = NULL;
		bool literal;
		int err = secret_read(specs[i], &secret, &literal, &e);

		assert_true(err == 0 || err == ENOMEM);
		mem_free_secret(secret);
	}
}

static void secret_survives_every_failing_allocation(void **state)
{
	(void)state;
	put_file("key\n", 4);
	OOM_SWEEP(read_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literal_is_taken_as_it_is),
		cmocka_unit_test(
			variable_is_read_without_the_newline_at_its_end),
		cmocka_unit_test(variable_that_is_not_set_or_empty_is_named),
		cmocka_unit_test(file_is_read_without_the_newline_at_its_end),
		cmocka_unit_test(file_that_cannot_be_a_secret_is_named),
		cmocka_unit_test(literal_that_is_too_long_is_refused),
		cmocka_unit_test(secret_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
