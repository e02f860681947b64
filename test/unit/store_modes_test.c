/** test/unit/store_modes_test.c -- who may read the database file. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "store_aid.h"

/* ---- a chmod that may be refused ------------------------------------------- */

static int refusal; /* an errno, 0: none */
static unsigned n_chmods;

/* The names are the system's. */
int chmod(const char *__file, __mode_t __mode)
{
	n_chmods++;
	if (!refusal)
		return fchmodat(AT_FDCWD, __file, __mode, 0);
	errno = refusal;
	return -1;
}

static unsigned n_warnings;

static void count_warnings(enum log_level level, const char *line, void *arg)
{
	(void)arg;
	n_warnings += level == LOG_WARN && strstr(line, "chmod 600");
}

static int setup(void **state)
{
	refusal = 0;
	log_set_sink(count_warnings, NULL);
	return aid_setup(state);
}

static mode_t mode_of(const struct aid *a)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/tapeop.db", a->dir);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void close_it(struct aid *a)
{
	store_close(a->s);
	a->s = NULL;
}

static void open_to_group(const struct aid *a)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/tapeop.db", a->dir);
	assert_int_equal(fchmodat(AT_FDCWD, path, 0660, 0), 0);
	n_chmods = 0;
	n_warnings = 0;
}

/* ---- tests ------------------------------------------------------------------ */

static void a_new_one_is_for_its_owner_and_so_is_an_older_one(void **state)
{
	struct aid *a = *state;

	assert_int_equal(mode_of(a), 0600);
	close_it(a);
	open_to_group(a);
	aid_open(a);
	assert_int_equal(mode_of(a), 0600);
	assert_int_equal(n_warnings, 0);
}

static void what_is_closed_is_left_alone(void **state)
{
	struct aid *a = *state;

	n_chmods = 0;
	refusal = EPERM;
	close_it(a);
	aid_open(a);
	assert_int_equal(n_chmods, 0);
}

static void the_file_of_another_owner_is_used_with_a_warning(void **state)
{
	struct aid *a = *state;

	close_it(a);
	open_to_group(a);
	refusal = EPERM;
	aid_open(a);
	assert_int_equal(mode_of(a), 0660);
	assert_int_equal(n_warnings, 1);
}

static void another_failure_ends_the_start(void **state)
{
	struct aid *a = *state;
	struct store *s = NULL;
	struct err e = {0};

	close_it(a);
	open_to_group(a);
	refusal = EROFS;
	assert_int_equal(store_open(&a->config, &s, &e), EROFS);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, aid_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_new_one_is_for_its_owner_and_so_is_an_older_one),
		TEST(what_is_closed_is_left_alone),
		TEST(the_file_of_another_owner_is_used_with_a_warning),
		TEST(another_failure_ends_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
