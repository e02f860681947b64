/** test/unit/commands_run_test.c -- what every command begins with. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"

static void json_is_wiped_when_it_is_freed(void **state)
{
	char tool[] = "tapeop", command[] = "--version";
	char *argv[] = {tool, command, NULL};
	json_malloc_t take;
	json_free_t give;
	int64_t before;
	json_t *j;

	(void)state;
	assert_int_equal(commands_run(2, argv), 0);
	json_get_alloc_funcs(&take, &give);
	assert_true(take == mem_zalloc && give == mem_free_wiped);
	before = mem_live();
	j = json_pack("{s:s}", "key", "a secret");
	assert_non_null(j);
	assert_true(mem_live() > before);
	json_decref(j);
	assert_int_equal(mem_live(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_wiped_when_it_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
