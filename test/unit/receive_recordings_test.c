/** test/unit/receive_recordings_test.c -- one truth from events in any order,
 *  within bounds. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/recordings.h"

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

enum { EVENTS_MAX = 8, TEXT_CAP = 16384 };

static void json_free(void *p)
{
	json_malloc_t m;
	json_free_t f;

	json_get_alloc_funcs(&m, &f);
	f(p);
}

static const struct recordings_view everything = {.limit = SIZE_MAX};

/** The state as text; a static buffer. */
static const char *text_of(struct recordings *r)
{
	static char text[TEXT_CAP];
	json_t *all = recordings_json(r, &everything);
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
		"\"leave_code\":null,\"events\":6,\"dialects\":[],"
		"\"segment_counts\":{\"started\":0,\"completed\":2,"
		"\"uploaded\":1},\"segments\":["
		"{\"user\":\"0\",\"mode\":\"mixed\",\"seq\":0,"
		"\"state\":\"completed\",\"file\":\"m0\"},"
		"{\"user\":\"a\",\"mode\":\"single\",\"seq\":0,"
		"\"state\":\"uploaded\",\"file\":\"a0\"},"
		"{\"user\":\"a\",\"mode\":\"single\",\"seq\":1,"
		"\"state\":\"completed\",\"file\":\"a1\"}],\"files\":[],"
		"\"failures\":[]}],\"total\":1}");
}

#define TASK_WANT                                              \
	"{\"recordings\":[{" TASK ",\"state\":\"%s\","         \
	"\"leave_code\":99,\"events\":%d,\"dialects\":[],"     \
	"\"segment_counts\":{\"started\":0,\"completed\":0,"   \
	"\"uploaded\":0},\"segments\":[],\"files\":["          \
	"{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]," \
	"\"failures\":[]}],\"total\":1}"

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
	snprintf(want, sizeof(want), TASK_WANT, "uploaded", 6);
	assert_in_every_order(events, 6, 720, want);
	snprintf(want, sizeof(want), TASK_WANT, "stopped", 5);
	assert_in_every_order(events, 5, 120, want);
}

/* One recording as four endpoints tell of it: a's first segment by number and
 * by file name, its second one by name only, one that is lost. */
static const char *const four_dialects[] = {
	"{\"dialect\":\"gme\",\"kind\":\"started\"," TASK
	",\"user\":\"a\",\"mode\":\"single\",\"seq\":0,\"file\":\"f0\","
	"\"sent_ms\":1100}",
	"{\"dialect\":\"trtc\",\"kind\":\"started\"," TASK
	",\"user\":\"a\",\"mode\":\"single\",\"file\":\"f0\","
	"\"start_ms\":1050,\"event_ms\":1060}",
	"{\"dialect\":\"live\",\"kind\":\"started\"," TASK
	",\"user\":\"a\",\"mode\":\"single\",\"file\":\"f1\","
	"\"start_ms\":3000,\"event_ms\":3001}",
	"{\"dialect\":\"standard\",\"kind\":\"completed\"," TASK
	",\"user\":\"a\",\"mode\":\"single\",\"seq\":0,\"file\":\"f0\","
	"\"start_ms\":1051,\"duration_ms\":1900,\"size\":77,"
	"\"sha256\":\"ab\",\"event_ms\":2999}",
	"{\"dialect\":\"standard\",\"kind\":\"upload_failing\"," TASK
	",\"user\":\"b\",\"mode\":\"single\",\"seq\":0,\"file\":\"g\","
	"\"reason\":\"disk_full\",\"reason_text\":\"no space\","
	"\"event_ms\":3500}",
	"{\"dialect\":\"live\",\"kind\":\"upload_failing\"," TASK
	",\"user\":\"\",\"reason\":\"disk_full\","
	"\"reason_text\":\"no space\",\"event_ms\":3500}",
	"{\"dialect\":\"trtc\",\"kind\":\"files_ready\"," TASK
	",\"status\":0,\"files\":[{\"name\":\"f1\",\"user\":\"a\","
	"\"start_ms\":3000,\"end_ms\":3900}],\"event_ms\":5000}",
};

static void four_dialects_tell_of_one_recording_in_any_order(void **state)
{
	(void)state;
	assert_in_every_order(
		four_dialects, ARRAY_LEN(four_dialects), 5040,
		"{\"recordings\":[{" TASK ",\"state\":\"completed\","
		"\"leave_code\":null,\"events\":7,\"dialects\":[\"gme\","
		"\"live\",\"trtc\",\"standard\"],\"segment_counts\":{"
		"\"started\":0,\"completed\":2,\"uploaded\":1},"
		"\"first_ms\":1060,\"last_ms\":5000,\"segments\":["
		"{\"user\":\"a\",\"mode\":\"single\",\"seq\":0,"
		"\"state\":\"completed\",\"file\":\"f0\","
		"\"start_ms\":1051,\"end_ms\":2951,\"duration_ms\":1900,"
		"\"size\":77,\"sha256\":\"ab\"},"
		"{\"user\":\"a\",\"mode\":\"single\","
		"\"state\":\"uploaded\",\"file\":\"f1\","
		"\"start_ms\":3000,\"end_ms\":3900,\"duration_ms\":900},"
		"{\"user\":\"b\",\"mode\":\"single\",\"seq\":0,"
		"\"state\":\"completed\",\"file\":\"g\","
		"\"failure\":\"disk_full\"}],\"files\":[{\"name\":\"f1\","
		"\"user\":\"a\",\"start_ms\":3000,\"end_ms\":3900}],"
		"\"failures\":[{\"kind\":\"upload_failing\",\"ms\":3500,"
		"\"code\":\"disk_full\",\"message\":\"no space\","
		"\"user\":\"b\",\"mode\":\"single\",\"seq\":0,"
		"\"file\":\"g\"}]}],\"total\":1}");
}

#define ENDS(state, code, n, started, completed, last)                 \
	"{\"recordings\":[{" TASK ",\"state\":\"" state                \
	"\",\"leave_code\":" code ",\"events\":" n                     \
	",\"dialects\":[],\"segment_counts\":{\"started\":" started    \
	",\"completed\":" completed ",\"uploaded\":0},\"segments\":["  \
	"{\"user\":\"0\",\"mode\":\"mixed\",\"state\":\"" last         \
	"\",\"file\":\"m\",\"start_ms\":1000},"                        \
	"{\"user\":\"a\",\"mode\":\"single\",\"state\":\"completed\"," \
	"\"file\":\"f0\",\"start_ms\":1000},"                          \
	"{\"user\":\"a\",\"mode\":\"single\",\"state\":\"" last        \
	"\",\"file\":\"f1\",\"start_ms\":2000}],\"files\":[],"         \
	"\"failures\":[]}],\"total\":1}"

/* Whose dialect has no word for the end of a segment. */
static void segments_without_numbers_end_in_any_order(void **state)
{
	static const char *const events[] = {
		"{\"kind\":\"started\"," TASK
		",\"user\":\"a\",\"mode\":\"single\",\"file\":\"f1\","
		"\"start_ms\":2000}",
		"{\"kind\":\"started\"," TASK
		",\"user\":\"a\",\"mode\":\"single\",\"file\":\"f0\","
		"\"start_ms\":1000}",
		"{\"kind\":\"started\"," TASK
		",\"user\":\"\",\"mode\":\"mixed\",\"file\":\"m\","
		"\"start_ms\":1000}",
		"{\"kind\":\"task_stopped\"," TASK ",\"leave_code\":0}",
	};

	(void)state;
	assert_in_every_order(
		events, 3, 6,
		ENDS("recording", "null", "3", "2", "1", "started"));
	assert_in_every_order(events, 4, 24,
			      ENDS("stopped", "0", "4", "0", "3", "completed"));
}

enum { MANY_TASKS = 6, MANY_SEGMENTS = 6, MANY_SHUFFLES = 40 };

/** All kinds of events of some recordings, in all dialects; returns how many.
 *  Free each with json_decref. */
static size_t many_events(json_t **out)
{
	static const char *const kinds[] = {"started", "completed", "uploaded",
					    "upload_failing"};
	size_t n = 0;

	for (int task = 0; task < MANY_TASKS; task++) {
		for (int i = 0; i < MANY_SEGMENTS * 4 * 4; i++) {
			bool has_seq = i % 4 != 1 && i % 4 != 2;
			json_t *o = json_pack(
				"{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:i, "
				"s:i, s:s, s:s}",
				"dialect", seen_dialects[i % 4], "kind",
				kinds[i / 4 % 4], "app", 7, "task_id",
				task % 2 ? "odd" : "even", "room",
				i % 5 ? "r" : "", "user",
				i % 32 < 16 ? "a" : "b", "mode", "single",
				"file", i % 3 ? "shared" : "own", "start_ms",
				i * 37, "event_ms", 100000 - i * 11 + task,
				"reason", i % 7 ? "" : "why", "sha256",
				i % 2 ? "aa" : "bb");

			assert_non_null(o);
			if (has_seq)
				json_object_set_new(o, "seq",
						    json_integer(i / 32));
			out[n++] = o;
		}
	}
	return n;
}

static void shuffle(json_t **events, size_t n, uint32_t *dice)
{
	for (size_t left = n; left > 1; left--) {
		json_t *last = events[left - 1];
		size_t k;

		*dice = *dice * 1664525 + 1013904223;
		k = (*dice >> 8) % left;
		events[left - 1] = events[k];
		events[k] = last;
	}
}

static void any_shuffle_of_many_events_gives_the_same_text(void **state)
{
	static json_t *events[MANY_TASKS * MANY_SEGMENTS * 16];
	static char want[1 << 20];
	size_t n = many_events(events);
	uint32_t dice = 1;

	(void)state;
	for (int turn = 0; turn < MANY_SHUFFLES; turn++) {
		struct recordings r;
		json_t *all;
		char *text;

		recordings_init(&r, 100000);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(recordings_add(&r, events[i]), 0);
		all = recordings_json(&r, &everything);
		text = json_dumps(all, JSON_COMPACT);
		assert_non_null(text);
		if (!turn)
			snprintf(want, sizeof(want), "%s", text);
		assert_string_equal(text, want);
		json_free(text);
		json_decref(all);
		recordings_fini(&r);
		shuffle(events, n, &dice);
	}
	for (size_t i = 0; i < n; i++)
		json_decref(events[i]);
}

static void add_two_rooms(struct recordings *r)
{
	assert_int_equal(add(r,
			     "{\"kind\":\"started\"," TASK ",\"user\":\"u\","
			     "\"mode\":\"single\",\"seq\":0,\"file\":\"old\","
			     "\"sent_ms\":1}"),
			 0);
	assert_int_equal(add(r,
			     "{\"kind\":\"started\"," TASK ",\"user\":\"u\","
			     "\"mode\":\"single\",\"seq\":1,\"file\":\"new\","
			     "\"sent_ms\":2}"),
			 0);
	assert_int_equal(add(r, "{\"kind\":\"started\",\"app\":8,"
				"\"task_id\":\"65\",\"room\":\"other\","
				"\"user\":\"Alice\",\"mode\":\"single\","
				"\"seq\":0}"),
			 0);
}

static void what_is_asked_for_is_shown(void **state)
{
	static const struct {
		struct recordings_view view;
		const char *has, *has_not;
	} cases[] = {
		{{.limit = 1}, "\"task_id\":\"65\"", "\"task_id\":\"64\""},
		{{.limit = 1}, "\"total\":2", "\"total\":1"},
		{{.room = "100"}, "\"task_id\":\"64\"", "\"task_id\":\"65\""},
		{{.app = 8}, "\"task_id\":\"65\"", "\"task_id\":\"64\""},
		{{.task = "64", .max_segments = 1},
		 "\"file\":\"new\"",
		 "\"file\":\"old\""},
		{{.task = "64", .max_segments = 1}, "\"started\":2", "65"},
		{{.which = VIEW_RUNNING, .limit = 9},
		 "\"total\":2",
		 "\"total\":0"},
		{{.which = VIEW_OTHERS, .limit = 9}, "\"total\":0", "task_id"},
		{{.search = "ALIC"}, "\"task_id\":\"65\"", "\"64\""},
		{{.search = "OLD"}, "\"task_id\":\"64\"", "\"65\""},
		{{.search = "nobody"}, "[],\"total\":0}", "task_id"},
	};
	struct recordings r;

	(void)state;
	recordings_init(&r, 1000);
	add_two_rooms(&r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct recordings_view view = cases[i].view;
		json_t *all;
		char *text;

		if (!view.limit)
			view.limit = SIZE_MAX;
		all = recordings_json(&r, &view);
		text = json_dumps(all, JSON_COMPACT);

		assert_non_null(strstr(text, cases[i].has));
		assert_null(strstr(text, cases[i].has_not));
		json_free(text);
		json_decref(all);
	}
	recordings_fini(&r);
}

static void the_test_of_an_endpoint_is_no_recording(void **state)
{
	struct recordings r;

	(void)state;
	recordings_init(&r, 1000);
	assert_int_equal(add(&r, "{\"kind\":\"test\"," TASK "}"), 0);
	assert_int_equal(add(&r, "{\"kind\":\"started\",\"app\":7,"
				 "\"task_id\":\"0\",\"room\":\"tapeop-test\","
				 "\"user\":\"tapeop-test\",\"seq\":0}"),
			 0);
	assert_int_equal(r.n_parts, 0);
	recordings_fini(&r);
}

static void add_no_audio(struct recordings *r, int ms)
{
	char event[256];

	snprintf(event, sizeof(event),
		 "{\"kind\":\"no_audio\"," TASK
		 ",\"user\":\"u\",\"event_ms\":%d}",
		 ms);
	assert_int_equal(add(r, event), 0);
}

/* Failures of a task are bounded; those that stay are the newest. */
static void the_newest_failures_stay_in_any_order(void **state)
{
	const int last_ms = 1000 + 2 * FAILURES_MAX - 1;
	struct recordings up, down;
	char want[TEXT_CAP];

	(void)state;
	recordings_init(&up, 1000);
	recordings_init(&down, 1000);
	for (int i = 0; i < 2 * FAILURES_MAX; i++) {
		add_no_audio(&up, 1000 + i);
		add_no_audio(&down, last_ms - i);
	}
	assert_int_equal(up.n_parts, 1 + FAILURES_MAX);
	snprintf(want, sizeof(want), "%s", text_of(&up));
	assert_string_equal(text_of(&down), want);
	assert_non_null(strstr(want, "\"ms\":1050,"));
	assert_null(strstr(want, "\"ms\":1049,"));
	recordings_fini(&up);
	recordings_fini(&down);
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
	all = recordings_json(&r, &everything);
	if (!all)
		all = recordings_json(&r, &everything);
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
		cmocka_unit_test(
			four_dialects_tell_of_one_recording_in_any_order),
		cmocka_unit_test(segments_without_numbers_end_in_any_order),
		cmocka_unit_test(
			any_shuffle_of_many_events_gives_the_same_text),
		cmocka_unit_test(what_is_asked_for_is_shown),
		cmocka_unit_test(the_test_of_an_endpoint_is_no_recording),
		cmocka_unit_test(the_newest_failures_stay_in_any_order),
		cmocka_unit_test(the_state_is_what_has_been_told_so_far),
		cmocka_unit_test(tasks_of_two_apps_and_hard_names_stay_apart),
		cmocka_unit_test(
			the_oldest_recording_is_forgotten_when_there_are_too_many),
		cmocka_unit_test(one_recording_alone_cannot_grow_without_bound),
		cmocka_unit_test(no_memory_is_told_and_leaves_no_half_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
