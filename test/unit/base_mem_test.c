/** test/unit/base_mem_test.c -- memory, counters, clocks and the log. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/str.h"
#include "freed_aid.h"
#include "oom.h"

/* ---- memory ---- */

static void memory_is_zeroed_and_counted(void **state)
{
	int64_t before = mem_live();
	uint8_t *a = mem_zalloc(100);
	uint8_t *b = mem_zalloc_n(10, 10);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	for (int i = 0; i < 100; i++)
		assert_int_equal(a[i] | b[i], 0);
	assert_int_equal(mem_live(), before + 2);
	a = mem_realloc(a, 1000);
	assert_non_null(a);
	assert_int_equal(mem_live(), before + 2);
	mem_free(a);
	mem_free(b);
	mem_free(NULL);
	a = mem_realloc(NULL, 5);
	assert_int_equal(mem_live(), before + 1);
	mem_free(a);
	assert_int_equal(mem_live(), before);
}

static void a_product_that_overflows_is_out_of_memory(void **state)
{
	volatile size_t n = SIZE_MAX / 2;
	void *p = mem_zalloc_n(n, 3);

	(void)state;
	assert_null(p);
	p = mem_zalloc_n(0, 3);
	assert_non_null(p);
	mem_free(p);
}

static void strings_are_copied(void **state)
{
	char *a = mem_strdup("text");
	char *b = mem_strndup("a\0b", 3);
	char *c = mem_strdup(NULL);

	(void)state;
	assert_string_equal(a, "text");
	assert_memory_equal(b, "a\0b", 4);
	assert_null(c);
	mem_free_secret(a);
	mem_free(b);
	mem_free_secret(NULL);
}

static void a_wipe_leaves_nothing(void **state)
{
	char secret[] = "secret";

	(void)state;
	mem_wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0);
	mem_wipe(NULL, 0);
}

#ifndef FREED_IS_OUT_OF_SIGHT
static void a_block_is_wiped_whole_before_it_is_freed(void **state)
{
	volatile uintptr_t at;
	char *p = mem_zalloc(300);

	(void)state;
	assert_non_null(p);
	memset(p, 's', 300);
	at = (uintptr_t)p;
	mem_free_wiped(p);
	assert_null(memmem((void *)at, 300, "ssss", 4));
	mem_free_wiped(NULL);
}
#endif

static void the_nth_allocation_fails_once(void **state)
{
	char *a[4];
	int n = 0;

	(void)state;
	mem_fail_after(2);
	for (int i = 0; i < 4; i++)
		a[i] = mem_strdup("x");
	assert_true(mem_fail_happened());
	mem_fail_after(-1);
	assert_false(mem_fail_happened());
	assert_null(a[2]);
	for (int i = 0; i < 4; i++) {
		n += a[i] != NULL;
		mem_free(a[i]);
	}
	assert_int_equal(n, 3);
	a[0] = mem_strdup("kept");
	mem_fail_after(0);
	a[1] = mem_realloc(a[0], 100);
	mem_fail_after(-1);
	assert_null(a[1]);
	assert_string_equal(a[0], "kept");
	mem_free(a[0]);
}

static int sweeps;

static void allocate_three(void)
{
	char *a[3];

	sweeps++;
	for (int i = 0; i < 3; i++)
		a[i] = mem_strdup("x");
	for (int i = 0; i < 3; i++)
		mem_free(a[i]);
}

static void a_sweep_fails_each_allocation_in_turn(void **state)
{
	(void)state;
	OOM_SWEEP(allocate_three);
	assert_int_equal(sweeps, 4);
}

/* ---- counters ---- */

static void counters_count_and_have_unique_names(void **state)
{
	const struct counter_info *table = counter_table();
	int64_t before = counter_get((enum counter)0);

	(void)state;
	counter_add((enum counter)0, 5);
	counter_add((enum counter)0, -2);
	assert_int_equal(counter_get((enum counter)0), before + 3);
	counter_set((enum counter)0, before);
	assert_int_equal(counter_get((enum counter)0), before);
	for (int i = 0; i < COUNT_N; i++) {
		for (const char *c = table[i].name; *c; c++)
			assert_true(islower((unsigned char)*c) || *c == '_' ||
				    isdigit((unsigned char)*c));
		assert_true(*table[i].meaning);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(table[i].name, table[k].name);
	}
}

/* ---- clocks ---- */

static void the_clocks_go_forward(void **state)
{
	int64_t a = clock_now_us();
	int64_t b = clock_now_us();

	(void)state;
	assert_true(a > 0);
	assert_true(b >= a);
	/* after 2020-01-01 */
	assert_true(clock_unix_ms() > 1577836800000);
}

/* ---- log ---- */

struct seen {
	int lines;
	enum log_level level;
	char line[2048];
};

static void on_line(enum log_level level, const char *line, void *arg)
{
	struct seen *s = arg;

	s->lines++;
	s->level = level;
	str_copy(s->line, sizeof(s->line), line);
}

static void a_log_line_has_time_level_and_one_line(void **state)
{
	struct seen s = {0};
	int parts[7];

	(void)state;
	log_set_sink(on_line, &s);
	log_warn("room=%s closed\n\x1b[2J", "a\r\nb");
	log_set_sink(NULL, NULL);
	assert_int_equal(s.lines, 1);
	assert_int_equal(s.level, LOG_WARN);
	assert_int_equal(sscanf(s.line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ ",
				&parts[0], &parts[1], &parts[2], &parts[3],
				&parts[4], &parts[5], &parts[6]),
			 7);
	assert_string_equal(s.line + 25, "warn room=a  b closed  [2J");
}

static void a_long_log_line_is_cut(void **state)
{
	struct seen s = {0};
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	log_set_sink(on_line, &s);
	log_error("%s", text);
	log_set_sink(NULL, NULL);
	assert_int_equal(s.lines, 1);
	assert_in_range(strlen(s.line), 900, 1023);
}

static void lines_above_the_level_are_not_shown(void **state)
{
	struct seen s = {0};
	enum log_level level = LOG_ERROR;

	(void)state;
	log_set_sink(on_line, &s);
	log_debug("no");
	log_info("yes");
	assert_int_equal(s.lines, 1);
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	log_set_level(level);
	log_debug("yes");
	assert_int_equal(s.lines, 2);
	log_set_level(LOG_ERROR);
	log_warn("no");
	log_error("yes");
	assert_int_equal(s.lines, 3);
	log_set_level(LOG_INFO);
	log_set_sink(NULL, NULL);
	assert_false(log_level_parse("DEBUG", &level));
	assert_false(log_level_parse("", &level));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_counted),
		cmocka_unit_test(a_product_that_overflows_is_out_of_memory),
		cmocka_unit_test(strings_are_copied),
		cmocka_unit_test(a_wipe_leaves_nothing),
#ifndef FREED_IS_OUT_OF_SIGHT
		cmocka_unit_test(a_block_is_wiped_whole_before_it_is_freed),
#endif
		cmocka_unit_test(the_nth_allocation_fails_once),
		cmocka_unit_test(a_sweep_fails_each_allocation_in_turn),
		cmocka_unit_test(counters_count_and_have_unique_names),
		cmocka_unit_test(the_clocks_go_forward),
		cmocka_unit_test(a_log_line_has_time_level_and_one_line),
		cmocka_unit_test(a_long_log_line_is_cut),
		cmocka_unit_test(lines_above_the_level_are_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
