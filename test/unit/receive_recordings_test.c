/** test/unit/receive_recordings_test.c -- one truth from events in any order,
 *  within bounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

#define TASK "\"app\":7,\"task_id\":\"64\",\"room\":\"100\""
#define SEGMENT(kind, user, mode, seq, file)               \
	"{\"kind\":\"" kind "\"," TASK ",\"user\":\"" user \
	"\",\"mode\":\"" mode "\",\"seq\":" seq ",\"file\":\"" file "\"}"

enum { EVENTS_MAX = 8, TEXT_CAP = 4096 };

static void json_free(void *p)
{
	json_malloc_t m;
	json_free_t f;

	json_get_alloc_funcs(&m, &f);
	f(p);
}

/** The state as text; a static buffer. */
static const char *text_of(const struct recordings *r)
{
	static char text[TEXT_CAP];
	json_t *all = recordings_json(r);
	char *s;

	assert_non_null(all);
	s = json_dumps(all, JSON_COMPACT);
	assert_non_null(s);
	snprintf(text, sizeof(text), "%s", s);
	json_free(s);
	json_decref(all);
	return text;
}

static int add(struct recordings *r, const char *event)
{
	json_t *json = json_loads(event, 0, NULL);
	int err;

	assert_non_null(json);
	err = recordings_add(r, json);
	json_decref(json);
	return err;
}

/* ---- every order ---- */

static void swap(unsigned *a, unsigned *b)
{
	unsigned t = *a;

	*a = *b;
	*b = t;
}

/** The next permutation in lexical order; false after the last. */
static bool next_order(unsigned *order, size_t n)
{
	size_t i = n - 1, j = n - 1;

	while (i && order[i - 1] > order[i])
		i--;
	if (!i)
		return false;
	while (order[j] < order[i - 1])
		j--;
	swap(&order[i - 1], &order[j]);
	for (j = n - 1; i < j; i++, j--)
		swap(&order[i], &order[j]);
	return true;
}

/** In whatever order the events come, the state is `want`. */
static void assert_in_every_order(const char *const *events, size_t n,
				  unsigned orders, const char *want)
{
	unsigned order[EVENTS_MAX];
	json_t *json[EVENTS_MAX];
	unsigned count = 0;

	for (size_t i = 0; i < n; i++) {
		order[i] = (unsigned)i;
		json[i] = json_loads(events[i], 0, NULL);
		assert_non_null(json[i]);
	}
	do {
		struct recordings r;

		recordings_init(&r, 1000);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(recordings_add(&r, json[order[i]]), 0);
		/* One comes twice, which changes nothing. */
		assert_int_equal(recordings_add(&r, json[order[0]]), 0);
		assert_string_equal(text_of(&r), want);
		recordings_fini(&r);
		count++;
	} while (next_order(order, n));
	assert_int_equal(count, orders);
	for (size_t i = 0; i < n; i++)
		json_decref(json[i]);
}

static void segments_come_in_any_order(void **state)
{
	static const char *const events[] = {
		SEGMENT("started", "a", "single", "0", "a0"),
		SEGMENT("completed", "a", "single", "0", "a0"),
		SEGMENT("uploaded", "a", "single", "0", "a0"),
		SEGMENT("started", "a", "single", "1", "a1"),
		SEGMENT("completed", "a", "single", "1", "a1"),
		SEGMENT("completed", "0", "mixed", "0", "m0"),
	};

	(void)state;
	assert_in_every_order(
		events, ARRAY_LEN(events), 720,
		"{\"recordings\":[{" TASK ",\"state\":\"completed\","
		"\"leave_code\":null,\"segments\":["
		"{\"user\":\"0\",\"mode\":\"mixed\",\"seq\":0,"
		"\"state\":\"completed\",\"file\":\"m0\"},"
		"{\"user\":\"a\",\"mode\":\"single\",\"seq\":0,"
		"\"state\":\"uploaded\",\"file\":\"a0\"},"
		"{\"user\":\"a\",\"mode\":\"single\",\"seq\":1,"
		"\"state\":\"completed\",\"file\":\"a1\"}],\"files\":[]}]}");
}

#define TASK_WANT                                       \
	"{\"recordings\":[{" TASK ",\"state\":\"%s\","  \
	"\"leave_code\":99,\"segments\":[],\"files\":[" \
	"{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}]}"

static void a_tasks_events_come_in_any_order(void **state)
{
	static const char *const events[] = {
		"{\"kind\":\"task_started\"," TASK ",\"status\":0}",
		"{\"kind\":\"task_stopped\"," TASK ",\"leave_code\":99}",
		"{\"kind\":\"upload_started\"," TASK ",\"status\":0}",
		"{\"kind\":\"files_ready\"," TASK
		",\"files\":[{\"name\":\"b\"},{\"name\":\"c\"}]}",
		"{\"kind\":\"files_ready\"," TASK
		",\"files\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
		"{\"kind\":\"upload_stopped\"," TASK ",\"status\":0}",
	};
	char want[512];

	(void)state;
	snprintf(want, sizeof(want), TASK_WANT, "uploaded");
	assert_in_every_order(events, 6, 720, want);
	snprintf(want, sizeof(want), TASK_WANT, "stopped");
	assert_in_every_order(events, 5, 120, want);
}

static void the_state_is_what_has_been_told_so_far(void **state)
{
	static const struct {
		const char *event, *state;
	} steps[] = {
		{"{\"kind\":\"unknown\"," TASK "}", "unknown"},
		{"{\"kind\":\"task_started\"," TASK ",\"status\":1}", "failed"},
		{"{\"kind\":\"task_started\"," TASK ",\"status\":0}",
		 "recording"},
		{"{\"kind\":\"task_stopped\"," TASK ",\"leave_code\":0}",
		 "stopped"},
		{"{\"kind\":\"upload_stopped\"," TASK ",\"status\":0}",
		 "uploaded"},
	};
	struct recordings r;
	char want[64];

	(void)state;
	recordings_init(&r, 1000);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		assert_int_equal(add(&r, steps[i].event), 0);
		snprintf(want, sizeof(want), "\"state\":\"%s\"",
			 steps[i].state);
		assert_non_null(strstr(text_of(&r), want));
	}
	recordings_fini(&r);
}

static void tasks_of_two_apps_and_hard_names_stay_apart(void **state)
{
	struct recordings r;

	(void)state;
	recordings_init(&r, 1000);
	assert_int_equal(
		add(&r, SEGMENT("started", "1/0/a", "single", "0", "x")), 0);
	assert_int_equal(add(&r, SEGMENT("started", "a", "single", "1", "y")),
			 0);
	assert_int_equal(add(&r, "{\"kind\":\"started\",\"app\":8,"
				 "\"task_id\":\"64\",\"room\":\"100\","
				 "\"user\":\"a\",\"mode\":\"single\","
				 "\"seq\":1,\"file\":\"z\"}"),
			 0);
	assert_int_equal(r.tasks.n, 2);
	assert_int_equal(r.segments.n, 3);
	assert_int_equal(r.n_parts, 5);
	recordings_fini(&r);
}

/* ---- bounds ---- */

static void the_oldest_recording_is_forgotten_when_there_are_too_many(
	void **state)
{
	struct recordings r;
	char event[256];

	(void)state;
	recordings_init(&r, 10); /* five of a task and a segment */
	for (int i = 0; i < 5; i++) {
		snprintf(event, sizeof(event),
			 "{\"kind\":\"started\",\"app\":7,\"task_id\":\"%d\","
			 "\"user\":\"u\",\"mode\":\"single\",\"seq\":0}",
			 i);
		assert_int_equal(add(&r, event), 0);
	}
	/* Number 0 is told of again, so 1 is the oldest. */
	assert_int_equal(add(&r, "{\"kind\":\"completed\",\"app\":7,"
				 "\"task_id\":\"0\",\"user\":\"u\","
				 "\"mode\":\"single\",\"seq\":0}"),
			 0);
	assert_int_equal(add(&r, SEGMENT("started", "a", "single", "0", "f")),
			 0);
	assert_int_equal(r.n_parts, 10);
	assert_null(strstr(text_of(&r), "\"task_id\":\"1\""));
	assert_non_null(strstr(text_of(&r), "\"task_id\":\"0\""));
	assert_non_null(strstr(text_of(&r), "\"task_id\":\"64\""));
	recordings_fini(&r);
}

static void one_recording_alone_cannot_grow_without_bound(void **state)
{
	struct recordings r;
	char event[256];

	(void)state;
	recordings_init(&r, 10);
	for (int i = 0; i < 20; i++) {
		snprintf(event, sizeof(event),
			 "{\"kind\":\"started\"," TASK ",\"user\":\"u\","
			 "\"mode\":\"single\",\"seq\":%d}",
			 i);
		assert_int_equal(add(&r, event), i < 9 ? 0 : ENOBUFS);
	}
	assert_int_equal(add(&r, "{\"kind\":\"files_ready\"," TASK
				 ",\"files\":[{\"name\":\"a\"}]}"),
			 ENOBUFS);
	assert_int_equal(r.n_parts, 10);
	/* What is known still changes. */
	assert_int_equal(add(&r, SEGMENT("uploaded", "u", "single", "8", "f")),
			 0);
	assert_non_null(
		strstr(text_of(&r), "\"seq\":8,\"state\":\"uploaded\""));
	recordings_fini(&r);
}

/* ---- memory ---- */

static json_t *oom_events[4];

static void whole_life(void)
{
	struct recordings r;
	json_t *all;

	recordings_init(&r, 1000);
	for (size_t i = 0; i < ARRAY_LEN(oom_events); i++) {
		int err = recordings_add(&r, oom_events[i]);

		assert_true(err == 0 || err == ENOMEM);
		/* Again, as after a restart: now it is all there. */
		assert_int_equal(recordings_add(&r, oom_events[i]), 0);
	}
	assert_int_equal(r.n_parts, 1 + 2 + 2);
	all = recordings_json(&r);
	if (!all)
		all = recordings_json(&r);
	assert_int_equal(
		json_array_size(json_object_get(
			json_array_get(json_object_get(all, "recordings"), 0),
			"segments")),
		2);
	json_decref(all);
	recordings_fini(&r);
}

static void no_memory_is_told_and_leaves_no_half_answer(void **state)
{
	static const char *const events[] = {
		SEGMENT("started", "a", "single", "0", "a0"),
		SEGMENT("uploaded", "a", "single", "0", "a0"),
		SEGMENT("completed", "b", "single", "0", "b0"),
		"{\"kind\":\"files_ready\"," TASK
		",\"files\":[{\"name\":\"b\"},{\"name\":\"c\"}]}",
	};

	(void)state;
	json_set_alloc_funcs(mem_zalloc, mem_free);
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		oom_events[i] = json_loads(events[i], 0, NULL);
		assert_non_null(oom_events[i]);
	}
	OOM_SWEEP(whole_life);
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		json_decref(oom_events[i]);
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_come_in_any_order),
		cmocka_unit_test(a_tasks_events_come_in_any_order),
		cmocka_unit_test(the_state_is_what_has_been_told_so_far),
		cmocka_unit_test(tasks_of_two_apps_and_hard_names_stay_apart),
		cmocka_unit_test(
			the_oldest_recording_is_forgotten_when_there_are_too_many),
		cmocka_unit_test(one_recording_alone_cannot_grow_without_bound),
		cmocka_unit_test(no_memory_is_told_and_leaves_no_half_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
