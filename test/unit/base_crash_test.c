/** test/unit/base_crash_test.c -- dying and failing on demand. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crash.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

/** How a child ends that passes "a" once and "b" twice. */
static int status_with(const char *crash_at, const char *fault)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		close(STDERR_FILENO);
		set("TAPEOP_CRASH_AT", crash_at);
		set("TAPEOP_FAULT", fault);
		crash_reload();
		crash_point("a");
		crash_point("b");
		if (crash_errno("b"))
			_exit(9);
		crash_point("b");
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void nothing_happens_while_the_variables_are_unset(void **state)
{
	int status = status_with(NULL, NULL);

	(void)state;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = status_with("", "");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = status_with("c", "c=EIO");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void it_dies_at_the_place_and_the_time_named(void **state)
{
	int status = status_with("a", NULL);

	(void)state;
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	status = status_with("b:2", "b=EIO:2");
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	status = status_with("b:2", "b=EIO");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	status = status_with("b:3", NULL);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void calls_fail_from_the_time_named_on(void **state)
{
	(void)state;
	set("TAPEOP_FAULT", "x=ENOSPC,y.z=EIO:3");
	crash_reload();
	assert_int_equal(crash_errno("x"), ENOSPC);
	assert_int_equal(crash_errno("x"), ENOSPC);
	assert_int_equal(crash_errno("y.z"), 0);
	assert_int_equal(crash_errno("y.z"), 0);
	assert_int_equal(crash_errno("y.z"), EIO);
	assert_int_equal(crash_errno("y.z"), EIO);
	assert_int_equal(crash_errno("y"), 0);
	set("TAPEOP_FAULT", NULL);
	crash_reload();
	assert_int_equal(crash_errno("x"), 0);
}

static void calls_fail_from_one_time_to_another(void **state)
{
	(void)state;
	set("TAPEOP_FAULT", "x=ENOSPC:2-3,y=EIO:1-1");
	crash_reload();
	assert_int_equal(crash_errno("x"), 0);
	assert_int_equal(crash_errno("x"), ENOSPC);
	assert_int_equal(crash_errno("x"), ENOSPC);
	assert_int_equal(crash_errno("x"), 0);
	assert_int_equal(crash_errno("y"), EIO);
	assert_int_equal(crash_errno("y"), 0);
	set("TAPEOP_FAULT", NULL);
	crash_reload();
}

static void a_value_that_is_not_understood_stops_the_process(void **state)
{
	static const char *const crash[] = {":", "a:0", "a:x"};
	static const char *const fault[] = {"a",       "a=",	 "a=ENOSUCH",
					    "a=EIO:0", "a=EIO,", "a=EIO:2-1",
					    "a=EIO:1-"};

	(void)state;
	for (size_t i = 0; i < sizeof(crash) / sizeof(*crash); i++) {
		int status = status_with(crash[i], NULL);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
	for (size_t i = 0; i < sizeof(fault) / sizeof(*fault); i++) {
		int status = status_with(NULL, fault[i]);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_happens_while_the_variables_are_unset),
		cmocka_unit_test(it_dies_at_the_place_and_the_time_named),
		cmocka_unit_test(calls_fail_from_the_time_named_on),
		cmocka_unit_test(calls_fail_from_one_time_to_another),
		cmocka_unit_test(
			a_value_that_is_not_understood_stops_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
