/** test/unit/wire_event_test.c -- names and facts of events, ids. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/event.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

static struct event segment_event(void)
{
	return (struct event){
		.id = UINT64_MAX,
		.task_seq = 3,
		.kind = EVENT_COMPLETED,
		.unix_ms = 1675930605123,
		.app = 1400000000,
		.task = 446946705284000000,
		.room = "100",
		.user = "J\xc3\xb6rg \"J\" \\",
		.client_ip = "127.0.0.1",
		.platform = "RESTAPI",
		.mode = MODE_MIXED,
		.seq = UINT32_MAX,
		.file_name = "a/b.mp3",
		.start_ms = -1,
		.duration_ms = 3000,
		.size = 24000,
		.sha256 = "00ff",
		.status = -5,
		.leave_code = 99,
		.reason = "disk_full",
		.reason_text = "no space\nleft",
	};
}

/** Written, read, written again: the same bytes. */
static void round_trip(const struct event *e)
{
	struct event back;
	struct buf first, second;

	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	event_write_json(e, &first);
	assert_int_equal(buf_err(&first), 0);
	assert_int_equal(event_parse_json(buf_str(&first), first.len, &back),
			 0);
	event_write_json(&back, &second);
	assert_string_equal(buf_str(&first), buf_str(&second));
	event_fini(&back);
	buf_fini(&first);
	buf_fini(&second);
}

static void event_is_read_as_it_was_written(void **state)
{
	static struct event_file files[EVENT_FILES_MAX];
	struct event e = segment_event();

	(void)state;
	round_trip(&e);
	for (unsigned kind = 0; kind <= EVENT_KIND_N; kind++) {
		struct event empty = {.kind = (enum event_kind)kind};

		round_trip(&empty);
	}
	for (size_t i = 0; i < EVENT_FILES_MAX; i++) {
		snprintf(files[i].name, sizeof(files[i].name), "f%zu", i);
		snprintf(files[i].user, sizeof(files[i].user), "u%zu", i);
		files[i].start_ms = (int64_t)i;
		files[i].end_ms = INT64_MAX;
	}
	e.kind = EVENT_FILES_READY;
	e.mode = MODE_BOTH;
	e.files = files;
	e.n_files = EVENT_FILES_MAX;
	round_trip(&e);
}

static void event_of_full_texts_is_read_as_it_was_written(void **state)
{
	struct event e = segment_event();

	(void)state;
	memset(e.room, 'r', ID_MAX);
	memset(e.user, '"', ID_MAX);
	memset(e.file_name, '\\', FILE_NAME_MAX - 1);
	memset(e.sha256, 'f', 64);
	memset(e.reason_text, '\n', REASON_MAX - 1);
	round_trip(&e);
}

static const char full_json[] =
	"{\"kind\":\"completed\",\"mode\":\"mixed\","
	"\"id\":\"18446744073709551615\",\"task_seq\":3,"
	"\"unix_ms\":1675930605123,\"app\":1400000000,"
	"\"task\":\"446946705284000000\",\"room\":\"100\","
	"\"user\":\"J\xc3\xb6rg \\\"J\\\" \\\\\","
	"\"client_ip\":\"127.0.0.1\",\"platform\":\"RESTAPI\","
	"\"seq\":4294967295,\"file_name\":\"a/b.mp3\","
	"\"start_ms\":-1,\"duration_ms\":3000,\"size\":24000,"
	"\"sha256\":\"00ff\",\"status\":-5,\"leave_code\":99,"
	"\"reason\":\"disk_full\",\"reason_text\":\"no "
	"space\\nleft\"}";

static void event_json_is_compact_with_ids_as_strings(void **state)
{
	struct event e = segment_event();
	struct event back;
	struct buf json;

	(void)state;
	buf_init(&json, 4096);
	event_write_json(&e, &json);
	assert_string_equal(buf_str(&json), full_json);
	assert_int_equal(event_parse_json(full_json, strlen(full_json), &back),
			 0);
	assert_int_equal(back.id, e.id);
	assert_int_equal(back.task_seq, e.task_seq);
	assert_int_equal(back.unix_ms, e.unix_ms);
	assert_int_equal(back.app, e.app);
	assert_int_equal(back.task, e.task);
	assert_string_equal(back.user, e.user);
	assert_int_equal(back.mode, e.mode);
	assert_int_equal(back.seq, e.seq);
	assert_int_equal(back.start_ms, e.start_ms);
	assert_int_equal(back.status, e.status);
	assert_string_equal(back.reason_text, e.reason_text);
	event_fini(&back);
	buf_fini(&json);
}

static void refuse(const char *json)
{
	struct event e;

	assert_int_equal(event_parse_json(json, strlen(json), &e), EBADMSG);
	assert_null(e.files);
	assert_int_equal(e.n_files, 0);
}

static void event_refuses_what_is_not_its_json(void **state)
{
	static const char *const bad[] = {
		"\"id\":5",
		"\"id\":\"-1\"",
		"\"id\":\"18446744073709551616\"",
		"\"task\":null",
		"\"task_seq\":-1",
		"\"task_seq\":\"1\"",
		"\"app\":4294967296",
		"\"app\":-1",
		"\"seq\":1.0",
		"\"status\":2147483648",
		"\"room\":5",
		"\"files\":{}",
		"\"files\":[1]",
		"\"files\":[{\"name\":\"a\",\"user\":\"\",\"start_ms\":1}]",
		"\"files\":[{\"name\":1,\"user\":\"\"}]",
		"\"mode\":\"single\"",
	};
	char json[256];

	(void)state;
	refuse("");
	refuse("[]");
	refuse("{}");
	refuse("{\"kind\":\"started\"}");
	refuse("{\"kind\":\"started\",\"mode\":\"stereo\"}");
	refuse("{\"kind\":\"begun\",\"mode\":\"single\"}");
	refuse("{\"kind\":\"started\",\"mode\":\"single\"} x");
	snprintf(json, sizeof(json),
		 "{\"kind\":\"started\",\"mode\":\"single\","
		 "\"sha256\":\"%065d\"}",
		 0);
	refuse(json);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(json, sizeof(json),
			 "{\"kind\":\"started\",\"mode\":\"single\",%s}",
			 bad[i]);
		refuse(json);
	}
}

static void event_refuses_more_files_than_it_may_have(void **state)
{
	struct buf json;

	(void)state;
	buf_init(&json, 1 << 20);
	buf_puts(&json, "{\"kind\":\"files_ready\",\"mode\":\"single\","
			"\"files\":[");
	for (int i = 0; i <= EVENT_FILES_MAX; i++)
		buf_printf(&json,
			   "%s{\"name\":\"\",\"user\":\"\",\"start_ms\":0,"
			   "\"end_ms\":0}",
			   i ? "," : "");
	buf_puts(&json, "]}");
	refuse(buf_str(&json));
	buf_fini(&json);
}

static void event_skips_members_it_does_not_know(void **state)
{
	const char *json = "{\"new\":[1],\"kind\":\"uploaded\","
			   "\"mode\":\"single\"}";
	struct event e;

	(void)state;
	assert_int_equal(event_parse_json(json, strlen(json), &e), 0);
	assert_int_equal(e.kind, EVENT_UPLOADED);
	event_fini(&e);
}

static void kinds_and_modes_have_names_that_are_read_back(void **state)
{
	enum event_kind kind;
	enum record_mode mode;

	(void)state;
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		assert_true(event_kind_parse(
			event_kind_name((enum event_kind)i), &kind));
		assert_int_equal(kind, i);
		assert_int_equal(event_is_of_segment(kind),
				 i <= EVENT_UPLOADED ||
					 i == EVENT_UPLOAD_FAILING);
	}
	assert_false(event_kind_parse("other", &kind));
	assert_false(event_kind_parse("", &kind));
	for (unsigned i = 0; i <= MODE_BOTH; i++) {
		assert_true(record_mode_parse(
			record_mode_name((enum record_mode)i), &mode));
		assert_int_equal(mode, i);
	}
	assert_false(record_mode_parse("Single", &mode));
}

static void id_from_outside_is_checked_and_named(void **state)
{
	static const char *const good[] = {
		"a", "...", ".a", "a b", "\xe4\xbd\xa0\xe5\xa5\xbd", "a:b", "-",
	};
	static const char *const bad[] = {
		"",	".",	"..",	    "../../etc", "a/b",	     "a\\b",
		"a\nb", "\x7f", "\xc2\x9b", "\xff",	 "\xe4\xbd", "\xc0\xaf",
	};
	struct err err = {0};
	char id[ID_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(event_id_check(good[i], "room", &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(event_id_check(bad[i], "room", &err), EINVAL);
		assert_string_equal(err.field, "room");
		assert_true(str_starts_with(err.text, "room must "));
	}
	memset(id, 'x', sizeof(id));
	id[ID_MAX] = 0;
	assert_int_equal(event_id_check(id, "user", &err), 0);
	id[ID_MAX] = 'x';
	id[ID_MAX + 1] = 0;
	assert_int_equal(event_id_check(id, "user", &err), EINVAL);
	assert_string_equal(err.text, "user must have 1 to 128 bytes, has 129");
}

static void write_and_parse_once(void)
{
	struct event_file files[2] = {{.name = "a"}, {.name = "b"}};
	struct event e = segment_event();
	struct event back;
	struct buf json;

	e.files = files;
	e.n_files = 2;
	buf_init(&json, 4096);
	event_write_json(&e, &json);
	if (!buf_err(&json) &&
	    !event_parse_json(buf_str(&json), json.len, &back)) {
		assert_int_equal(back.n_files, 2);
		event_fini(&back);
	}
	buf_fini(&json);
}

static void event_survives_every_failing_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(write_and_parse_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_is_read_as_it_was_written),
		cmocka_unit_test(event_of_full_texts_is_read_as_it_was_written),
		cmocka_unit_test(event_json_is_compact_with_ids_as_strings),
		cmocka_unit_test(event_refuses_what_is_not_its_json),
		cmocka_unit_test(event_refuses_more_files_than_it_may_have),
		cmocka_unit_test(event_skips_members_it_does_not_know),
		cmocka_unit_test(kinds_and_modes_have_names_that_are_read_back),
		cmocka_unit_test(id_from_outside_is_checked_and_named),
		cmocka_unit_test(event_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
