/** test/unit/commands_demo_ledger_test.c -- when `tapeop demo` says that
 *  everything arrived. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/demo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define TASK "57110321809850368"

/* Everything that the demo is told when both have spoken once. */
static const struct {
	enum dialect dialect;
	enum event_kind kind;
	const char *user;
} all[] = {
	{DIALECT_LIVE, EVENT_TASK_STARTED, "recorder"},
	{DIALECT_GME, EVENT_STARTED, "alice"},
	{DIALECT_GME, EVENT_COMPLETED, "alice"},
	{DIALECT_GME, EVENT_UPLOADED, "alice"},
	{DIALECT_GME, EVENT_STARTED, "bob"},
	{DIALECT_GME, EVENT_COMPLETED, "bob"},
	{DIALECT_GME, EVENT_UPLOADED, "bob"},
	{DIALECT_LIVE, EVENT_TASK_STOPPED, "recorder"},
	{DIALECT_LIVE, EVENT_UPLOAD_STARTED, "recorder"},
	{DIALECT_LIVE, EVENT_UPLOAD_STOPPED, "recorder"},
	{DIALECT_LIVE, EVENT_FILES_READY, "recorder"},
};

static void add(struct ledger *l, size_t i, const char *task)
{
	struct callback c = {.dialect = all[i].dialect,
			     .event = {.kind = all[i].kind}};

	assert_true(str_copy(c.event.user, sizeof(c.event.user), all[i].user));
	assert_true(str_copy(c.task, sizeof(c.task), task));
	assert_int_equal(ledger_add(l, &c), 0);
}

static json_t *segments(const char *state, bool uploaded)
{
	json_t *list = json_pack("[{s:s, s:i, s:s, s:b}, {s:s, s:i, s:s, s:b}]",
				 "user", "alice", "seq", 0, "state", "closed",
				 "uploaded", 1, "user", "bob", "seq", 0,
				 "state", state, "uploaded", (int)uploaded);

	assert_non_null(list);
	return list;
}

/** How many things are missing, and the first of them. */
static size_t missing(const struct ledger *l, json_t *list, char first[64])
{
	json_t *m = ledger_missing(l, TASK, list);
	const char *text = json_string_value(json_array_get(m, 0));
	size_t n = json_array_size(m);

	str_copy(first, 64, text ? text : "");
	json_decref(m);
	json_decref(list);
	return n;
}

static void ledger_misses_nothing_when_all_was_told_once(void **state)
{
	struct ledger l = {0};
	char first[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		add(&l, i, TASK);
	assert_int_equal(missing(&l, segments("closed", true), first), 0);
	assert_int_equal(ledger_count(&l, TASK), ARRAY_LEN(all));
	ledger_fini(&l);
}

static void ledger_misses_each_single_callback(void **state)
{
	char first[64];

	(void)state;
	for (size_t left_out = 0; left_out < ARRAY_LEN(all); left_out++) {
		struct ledger l = {0};

		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			add(&l, i, i == left_out ? "57110321809850432" : TASK);
		assert_int_equal(missing(&l, segments("closed", true), first),
				 1);
		assert_non_null(
			strstr(first, event_kind_name(all[left_out].kind)));
		assert_int_equal(ledger_count(&l, TASK), ARRAY_LEN(all) - 1);
		ledger_fini(&l);
	}
}

static void ledger_does_not_take_twice_for_once(void **state)
{
	struct ledger l = {0};
	char first[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		add(&l, i, TASK);
	add(&l, 0, TASK);
	assert_int_equal(missing(&l, segments("closed", true), first), 1);
	assert_string_equal(first, "live callback task_started");
	ledger_fini(&l);
}

static void ledger_misses_files_that_are_open_or_not_in_storage(void **state)
{
	struct ledger l = {0};
	char first[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		add(&l, i, TASK);
	assert_int_equal(missing(&l, segments("recording", true), first), 1);
	assert_string_equal(first, "the end of bob's file 0: it is recording");
	assert_int_equal(missing(&l, segments("closed", false), first), 1);
	assert_string_equal(first, "bob's file 0 in storage");
	assert_int_equal(missing(&l, json_array(), first), 0);
	ledger_fini(&l);
}

static void segments_have_whom_they_list(void **state)
{
	json_t *list = segments("closed", true);

	(void)state;
	assert_true(segments_have(list, "bob"));
	assert_false(segments_have(list, "carol"));
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ledger_misses_nothing_when_all_was_told_once),
		cmocka_unit_test(ledger_misses_each_single_callback),
		cmocka_unit_test(ledger_does_not_take_twice_for_once),
		cmocka_unit_test(
			ledger_misses_files_that_are_open_or_not_in_storage),
		cmocka_unit_test(segments_have_whom_they_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
