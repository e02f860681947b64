/** test/unit/wire_callback_parse_test.c -- callbacks as a receiver reads them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

static const char gme_sample[] =
	"{\n\"BizID\":1400000000,\n\"RoomID\":\"100\",\n\"UserID\":\"999\",\n"
	"\"TaskID\":446946705284000000,\n\"RecordMode\":1,\n"
	"\"Timestamp\":1675930605,\n\"EventType\":1,\n\"Detail\":{\n"
	"\"SeqNo\":0,\n\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"\n}\n}\n";

/* As it stands on the page, with its masked TaskId. */
static const char live_sample[] =
	"{\"CallbackCommand\": \"Follow.CallbackAfterCloudRecordingChanged\","
	"\"EventGroupId\": 3,\"EventType\": 305,\"CallbackTs\": 1752580150082,"
	"\"EventInfo\": {\"RoomId\": \"635055\",\"EventTs\": 1752580150,"
	"\"EventMsTs\": 1752580150081,\"UserId\": \"user1\",\"TaskId\": "
	"\"-m9-bVVU7id***K-m928oZWQndiborbEWH3zY-lIXlprc-gQvQE\","
	"\"Payload\": {\"Status\": 0}}}";

static const char live_310[] =
	"{\"CallbackCommand\":\"Follow.CallbackAfterCloudRecordingChanged\","
	"\"EventGroupId\":3,\"EventType\":310,\"CallbackTs\":1752580150082,"
	"\"EventInfo\":{\"RoomId\":\"635055\",\"EventTs\":1752580150,"
	"\"EventMsTs\":1752580150081,\"UserId\":\"user1\","
	"\"TaskId\":\"446946705284000000\",\"Payload\":{\"Status\":1,"
	"\"FileList\":[\"a.mp3\",\"m.mp3\"],\"FileMessage\":["
	"{\"FileName\":\"a.mp3\",\"UserId\":\"ann\",\"TrackType\":\"audio\","
	"\"MediaId\":\"main\",\"StartTimeStamp\":1,\"EndTimeStamp\":2},"
	"{\"FileName\":\"m.mp3\",\"UserId\":\"\",\"TrackType\":\"audio\","
	"\"MediaId\":\"mix\",\"StartTimeStamp\":\"3\",\"EndTimeStamp\":4}]}}}";

static int parse(enum dialect d, const char *body, struct callback *c,
		 struct err *err)
{
	*err = (struct err){0};
	return callback_parse(d, body, strlen(body), c, err);
}

/**
 * The sample with the member at `path` ("Detail.SeqNo", "a.b[].c": in the
 * first element) replaced by the JSON `value`, or taken out when it is NULL.
 * Free it.
 */
static char *with(const char *sample, const char *path, const char *value)
{
	json_t *root = json_loads(sample, 0, NULL);
	json_t *at = root;
	const char *part = path;
	char *text;

	assert_non_null(root);
	for (;;) {
		char key[64];
		size_t len = strcspn(part, ".[");

		assert_true(len < sizeof(key));
		memcpy(key, part, len);
		key[len] = 0;
		part += len;
		if (!*part) {
			assert_non_null(json_object_get(at, key));
			if (value)
				json_object_set_new(at, key,
						    json_loads(value,
							       JSON_DECODE_ANY,
							       NULL));
			else
				json_object_del(at, key);
			break;
		}
		at = json_object_get(at, key);
		assert_non_null(at);
		if (*part == '[') {
			at = json_array_get(at, 0);
			part += 2;
		}
		part++;
	}
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static void assert_refused(enum dialect d, const char *sample, const char *path,
			   const char *value, const char *text_start)
{
	char *body = with(sample, path, value);
	struct callback c;
	struct err err;

	assert_int_equal(parse(d, body, &c, &err), EBADMSG);
	assert_int_equal(err.code, EBADMSG);
	assert_string_equal(err.field, path);
	assert_true(str_starts_with(err.text, path));
	if (!strstr(err.text, text_start))
		fail_msg("%s: \"%s\" instead of \"%s\"", path, err.text,
			 text_start);
	assert_null(c.event.files);
	free(body);
}

static void assert_accepted(enum dialect d, const char *sample,
			    const char *path, const char *value,
			    struct callback *c)
{
	char *body = with(sample, path, value);
	struct err err;

	if (parse(d, body, c, &err))
		fail_msg("%s = %s: %s", path, value ? value : "", err.text);
	free(body);
}

static void gme_sample_is_read(void **state)
{
	struct callback c;
	struct err err;

	(void)state;
	assert_int_equal(parse(DIALECT_GME, gme_sample, &c, &err), 0);
	assert_int_equal(c.dialect, DIALECT_GME);
	assert_int_equal(c.type, 1);
	assert_int_equal(c.sent_ms, 1675930605000);
	assert_string_equal(c.task, "446946705284000000");
	assert_int_equal(c.event.task, 446946705284000000);
	assert_int_equal(c.event.app, 1400000000);
	assert_string_equal(c.event.room, "100");
	assert_string_equal(c.event.user, "999");
	assert_int_equal(c.event.mode, MODE_MIXED);
	assert_int_equal(c.event.kind, EVENT_STARTED);
	assert_int_equal(c.event.seq, 0);
	assert_string_equal(c.event.file_name,
			    "1400000000_100_999/2023-02-09-16-16-45_"
			    "446946705284000000_audio.mp3");
	assert_int_equal(strlen(c.key), 64);
	event_fini(&c.event);
}

static void live_sample_is_read(void **state)
{
	struct callback c;
	struct err err;

	(void)state;
	assert_int_equal(parse(DIALECT_LIVE, live_sample, &c, &err), 0);
	assert_int_equal(c.dialect, DIALECT_LIVE);
	assert_int_equal(c.type, 305);
	assert_int_equal(c.event.kind, EVENT_UPLOAD_STOPPED);
	assert_int_equal(c.event.status, 0);
	assert_int_equal(c.sent_ms, 1752580150082);
	assert_int_equal(c.event.unix_ms, 1752580150081);
	assert_string_equal(
		c.task, "-m9-bVVU7id***K-m928oZWQndiborbEWH3zY-lIXlprc-gQvQE");
	assert_int_equal(c.event.task, 0);
	assert_string_equal(c.event.room, "635055");
	assert_string_equal(c.event.user, "user1");
	event_fini(&c.event);
}

static void live_files_are_read(void **state)
{
	struct callback c;
	struct err err;

	(void)state;
	assert_int_equal(parse(DIALECT_LIVE, live_310, &c, &err), 0);
	assert_int_equal(c.event.kind, EVENT_FILES_READY);
	assert_int_equal(c.event.task, 446946705284000000);
	assert_int_equal(c.event.status, 1);
	assert_int_equal(c.event.n_files, 2);
	assert_string_equal(c.event.files[0].name, "a.mp3");
	assert_string_equal(c.event.files[0].user, "ann");
	assert_int_equal(c.event.files[0].start_ms, 1);
	assert_int_equal(c.event.files[0].end_ms, 2);
	assert_string_equal(c.event.files[1].user, "");
	assert_int_equal(c.event.files[1].start_ms, 3);
	event_fini(&c.event);
}

/* ---- every key, missing and of every wrong type ---- */

enum want { WANT_INT, WANT_TEXT, WANT_OBJECT, WANT_ARRAY, WANT_LOOSE };

static const struct {
	const char *name, *json;
	const char *is;
} types[] = {
	{"integer", "1", "is an integer"},
	{"real", "1.5", "is a number with a fraction or exponent"},
	{"text", "\"abc\"", "is a string"},
	{"null", "null", "is null"},
	{"bool", "true", "is true or false"},
	{"object", "{}", "is an object"},
	{"array", "[]", "is an array"},
};

static bool fits(enum want want, const char *type)
{
	static const char *const fitting[] = {
		[WANT_INT] = "integer",	  [WANT_TEXT] = "text",
		[WANT_OBJECT] = "object", [WANT_ARRAY] = "array",
		[WANT_LOOSE] = "integer",
	};

	return !strcmp(fitting[want], type);
}

static void assert_key_is_checked(enum dialect d, const char *sample,
				  const char *path, enum want want)
{
	assert_refused(d, sample, path, NULL, " is missing");
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (fits(want, types[i].name))
			continue;
		assert_refused(d, sample, path, types[i].json, types[i].is);
	}
}

static void gme_names_every_key_that_is_missing_or_of_a_wrong_type(void **state)
{
	(void)state;
	assert_key_is_checked(DIALECT_GME, gme_sample, "BizID", WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "RoomID", WANT_TEXT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "UserID", WANT_TEXT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "TaskID", WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "RecordMode", WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "Timestamp", WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "EventType", WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "Detail", WANT_OBJECT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "Detail.SeqNo",
			      WANT_INT);
	assert_key_is_checked(DIALECT_GME, gme_sample, "Detail.FileName",
			      WANT_TEXT);
}

static void live_names_every_key_that_is_missing_or_of_a_wrong_type(
	void **state)
{
	const char *s = live_310;

	(void)state;
#define CHECK(path, want) assert_key_is_checked(DIALECT_LIVE, s, path, want)
	CHECK("CallbackCommand", WANT_TEXT);
	CHECK("EventGroupId", WANT_INT);
	CHECK("EventType", WANT_INT);
	CHECK("CallbackTs", WANT_INT);
	CHECK("EventInfo", WANT_OBJECT);
	CHECK("EventInfo.EventMsTs", WANT_INT);
	CHECK("EventInfo.EventTs", WANT_LOOSE);
	CHECK("EventInfo.UserId", WANT_TEXT);
	CHECK("EventInfo.TaskId", WANT_TEXT);
	CHECK("EventInfo.Payload", WANT_OBJECT);
	CHECK("EventInfo.Payload.Status", WANT_INT);
	CHECK("EventInfo.Payload.FileList", WANT_ARRAY);
	CHECK("EventInfo.Payload.FileMessage", WANT_ARRAY);
	CHECK("EventInfo.Payload.FileMessage[].FileName", WANT_TEXT);
	CHECK("EventInfo.Payload.FileMessage[].UserId", WANT_TEXT);
	CHECK("EventInfo.Payload.FileMessage[].TrackType", WANT_TEXT);
	CHECK("EventInfo.Payload.FileMessage[].MediaId", WANT_TEXT);
	CHECK("EventInfo.Payload.FileMessage[].StartTimeStamp", WANT_LOOSE);
	CHECK("EventInfo.Payload.FileMessage[].EndTimeStamp", WANT_LOOSE);
#undef CHECK
	assert_refused(DIALECT_LIVE, s, "EventInfo.RoomId", NULL, "is missing");
	assert_refused(DIALECT_LIVE, s, "EventInfo.RoomId", "[]", "is an");
	assert_refused(DIALECT_LIVE, s, "EventInfo.Payload.FileList", "[1]",
		       "must be an array of strings, has an integer");
	assert_refused(DIALECT_LIVE, s, "EventInfo.Payload.FileMessage", "[1]",
		       "must be an array of objects, has an integer");
}

static void gme_names_values_out_of_range_and_says_the_range(void **state)
{
	static const struct {
		const char *path, *value, *text;
	} cases[] = {
		{"BizID", "0", "must be from 1 to 4294967295, is 0"},
		{"BizID", "4294967296", "from 1 to 4294967295"},
		{"RoomID", "\"\"", "must not be empty"},
		{"RoomID", "\"a\\nb\"", "must have no control characters"},
		{"UserID", "\"\"", "must not be empty"},
		{"TaskID", "-1", "must be from 1 to 9223372036854775807"},
		{"RecordMode", "2", "must be from 0 to 1, is 2"},
		{"Timestamp", "-1", "must be from 0 to 253402300799"},
		{"EventType", "0", "must be from 1 to 3, is 0"},
		{"EventType", "4", "must be from 1 to 3, is 4"},
		{"Detail.SeqNo", "-1", "must be from 0 to 4294967295"},
		{"Detail.SeqNo", "4294967296", "from 0 to 4294967295"},
		{"Detail.FileName", "\"\"", "must not be empty"},
	};
	char text[ID_MAX + 4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(DIALECT_GME, gme_sample, cases[i].path,
			       cases[i].value, cases[i].text);
	memset(text, 'x', sizeof(text));
	text[0] = text[ID_MAX + 2] = '"';
	text[ID_MAX + 3] = 0;
	assert_refused(DIALECT_GME, gme_sample, "RoomID", text,
		       "must have at most 128 bytes, has 129");
}

static void live_names_values_out_of_range_and_says_the_range(void **state)
{
	static const struct {
		const char *path, *value, *text;
	} cases[] = {
		{"CallbackCommand", "\"Live.CallbackAfterCreateRoom\"",
		 "must be \"Follow.CallbackAfterCloudRecordingChanged\""},
		{"EventGroupId", "8", "must be from 3 to 3, is 8"},
		{"EventType", "300", "must be from 301 to 312"},
		{"EventType", "313", "must be from 301 to 312"},
		{"CallbackTs", "-1", "must be from 0 to"},
		{"EventInfo.EventTs", "\"now\"", "must be an integer"},
		{"EventInfo.EventTs", "\"-1\"", "must be from 0 to"},
		{"EventInfo.TaskId", "\"\"", "must not be empty"},
		{"EventInfo.RoomId", "\"\"", "must not be empty"},
		{"EventInfo.Payload.Status", "-1", "must be from 0 to"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(DIALECT_LIVE, live_310, cases[i].path,
			       cases[i].value, cases[i].text);
}

static void live_refuses_more_files_than_it_takes(void **state)
{
	struct buf list;

	(void)state;
	buf_init(&list, 1 << 20);
	buf_putc(&list, '[');
	for (int i = 0; i <= EVENT_FILES_MAX; i++)
		buf_puts(&list, i ? ",{}" : "{}");
	buf_putc(&list, ']');
	assert_refused(DIALECT_LIVE, live_310, "EventInfo.Payload.FileMessage",
		       buf_str(&list), "must have at most 100 files, has 101");
	buf_fini(&list);
}

static void live_takes_numbers_and_strings_where_the_vendor_sends_both(
	void **state)
{
	struct callback c;

	(void)state;
	assert_accepted(DIALECT_LIVE, live_sample, "EventInfo.RoomId", "635055",
			&c);
	assert_string_equal(c.event.room, "635055");
	assert_accepted(DIALECT_LIVE, live_sample, "EventInfo.EventTs",
			"\"1752580150\"", &c);
	assert_accepted(DIALECT_LIVE, live_sample, "EventInfo.UserId", "\"\"",
			&c);
	assert_accepted(DIALECT_LIVE, live_sample, "EventInfo.Payload",
			"{\"LeaveCode\":1}", &c);
	assert_int_equal(c.event.status, 1);
	assert_int_equal(c.event.leave_code, 0);
}

static void live_reads_leave_code_of_a_stopped_task(void **state)
{
	char *body = with(live_sample, "EventType", "302");
	struct callback c;
	struct err err;

	(void)state;
	assert_int_equal(parse(DIALECT_LIVE, body, &c, &err), EBADMSG);
	assert_string_equal(err.text, "EventInfo.Payload.LeaveCode is missing");
	assert_accepted(DIALECT_LIVE, body, "EventInfo.Payload",
			"{\"LeaveCode\":99}", &c);
	assert_int_equal(c.event.kind, EVENT_TASK_STOPPED);
	assert_int_equal(c.event.leave_code, LEAVE_IDLE);
	free(body);
}

static void live_takes_the_vendors_other_types_without_a_kind(void **state)
{
	struct callback c;

	(void)state;
	assert_accepted(DIALECT_LIVE, live_sample, "EventType", "306", &c);
	assert_int_equal(c.event.kind, EVENT_KIND_N);
	assert_int_equal(c.type, 306);
}

static void body_that_is_not_an_object_of_json_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"nonsense",
		"[]",
		"1",
		"\"text\"",
		"{",
		"{\"a\":1,}",
		"{\"a\":1}x",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":1,\"a\":1}",
		"{\"a\":99999999999999999999}",
	};
	struct callback c;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		for (unsigned d = 0; d < DIALECT_N; d++) {
			assert_int_equal(
				parse((enum dialect)d, bad[i], &c, &err),
				EBADMSG);
			assert_true(err.text[0]);
			assert_null(strpbrk(err.text, "\r\n"));
		}
	}
}

static void body_cut_anywhere_is_refused(void **state)
{
	struct callback c;
	struct err err = {0};

	(void)state;
	for (size_t len = 0; len < strlen(live_310); len++) {
		char *cut = test_malloc(len ? len : 1);

		memcpy(cut, live_310, len);
		assert_int_equal(
			callback_parse(DIALECT_LIVE, cut, len, &c, &err),
			EBADMSG);
		test_free(cut);
	}
}

static void extra_keys_are_fine(void **state)
{
	char body[sizeof(gme_sample) + 32] = "{\"New\":{\"a\":[1]},";
	struct callback c;
	struct err err;

	(void)state;
	strncat(body, gme_sample + 1, sizeof(gme_sample));
	assert_int_equal(parse(DIALECT_GME, body, &c, &err), 0);
}

/* ---- what makes it the same event again ---- */

static void assert_key(enum dialect d, const char *sample, const char *path,
		       const char *value, bool is_same)
{
	struct callback one, two;
	struct err err;

	assert_int_equal(parse(d, sample, &one, &err), 0);
	assert_accepted(d, sample, path, value, &two);
	if (is_same != !strcmp(one.key, two.key))
		fail_msg("%s = %s: wrong key", path, value);
	event_fini(&one.event);
	event_fini(&two.event);
}

static void gme_key_changes_with_every_fact_but_not_with_the_time_of_sending(
	void **state)
{
	const enum dialect d = DIALECT_GME;

	(void)state;
	assert_key(d, gme_sample, "Timestamp", "1675930606", true);
	assert_key(d, gme_sample, "BizID", "1400000001", false);
	assert_key(d, gme_sample, "RoomID", "\"101\"", false);
	assert_key(d, gme_sample, "UserID", "\"0\"", false);
	assert_key(d, gme_sample, "TaskID", "446946705284000064", false);
	assert_key(d, gme_sample, "RecordMode", "0", false);
	assert_key(d, gme_sample, "EventType", "2", false);
	assert_key(d, gme_sample, "Detail.SeqNo", "1", false);
	assert_key(d, gme_sample, "Detail.FileName", "\"x\"", false);
}

static void live_key_changes_with_every_fact_but_not_with_the_time_of_sending(
	void **state)
{
	const enum dialect d = DIALECT_LIVE;

	(void)state;
	assert_key(d, live_310, "CallbackTs", "1", true);
	assert_key(d, live_310, "EventInfo.EventTs", "1", true);
	assert_key(d, live_310, "EventType", "311", false);
	assert_key(d, live_310, "EventInfo.RoomId", "\"x\"", false);
	assert_key(d, live_310, "EventInfo.TaskId", "\"x\"", false);
	assert_key(d, live_310, "EventInfo.UserId", "\"x\"", false);
	assert_key(d, live_310, "EventInfo.EventMsTs", "1", false);
	assert_key(d, live_310, "EventInfo.Payload.Status", "0", false);
	assert_key(d, live_310, "EventInfo.Payload.FileMessage[].MediaId",
		   "\"aux\"", false);
}

static void key_does_not_depend_on_order_and_space_of_the_body(void **state)
{
	struct callback one, two;
	struct err err;
	char *sorted;
	json_t *root;

	(void)state;
	root = json_loads(live_310, 0, NULL);
	sorted = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(4));
	json_decref(root);
	assert_int_equal(parse(DIALECT_LIVE, live_310, &one, &err), 0);
	assert_int_equal(parse(DIALECT_LIVE, sorted, &two, &err), 0);
	assert_string_equal(one.key, two.key);
	event_fini(&one.event);
	event_fini(&two.event);
	free(sorted);
}

static void what_is_rendered_is_read_back(void **state)
{
	struct event_file files[2] = {
		{.name = "d/a.mp3", .user = "ann", .start_ms = 1, .end_ms = 2},
		{.name = "d/m.mp3", .start_ms = 3, .end_ms = 4},
	};
	struct event e = {
		.kind = EVENT_FILES_READY,
		.unix_ms = 1752580150081,
		.task = (UINT64_C(1) << 59) - 64,
		.room = "\xe4\xbd\xa0\" \\",
		.user = "rec",
		.status = 1,
		.files = files,
		.n_files = 2,
	};
	struct callback c;
	struct buf body;
	struct err err;

	(void)state;
	buf_init(&body, CALLBACK_BODY_MAX);
	assert_int_equal(callback_write_body(DIALECT_LIVE, &e, 7, &body), 0);
	assert_int_equal(parse(DIALECT_LIVE, buf_str(&body), &c, &err), 0);
	assert_int_equal(c.event.kind, e.kind);
	assert_int_equal(c.event.task, e.task);
	assert_int_equal(c.event.unix_ms, e.unix_ms);
	assert_string_equal(c.event.room, e.room);
	assert_int_equal(c.event.n_files, 2);
	assert_memory_equal(c.event.files, files, sizeof(files));
	assert_int_equal(c.sent_ms, 7);
	event_fini(&c.event);
	buf_fini(&body);
}

static void dialect_is_recognised_by_what_its_sender_must_send(void **state)
{
	struct callback_marks m = {0};
	enum dialect d = DIALECT_N;

	(void)state;
	m.signature = "x";
	assert_true(callback_recognise(&m, &d));
	assert_int_equal(d, DIALECT_GME);
	m.sign = "x";
	assert_true(callback_recognise(&m, &d));
	assert_int_equal(d, DIALECT_TRTC);
	m.sign = NULL;
	m.sdk_app_id = "1";
	assert_true(callback_recognise(&m, &d));
	assert_int_equal(d, DIALECT_TRTC);
	m.webhook_id = "evt_1";
	assert_true(callback_recognise(&m, &d));
	assert_int_equal(d, DIALECT_STANDARD);
	m.command = CALLBACK_LIVE_COMMAND;
	assert_true(callback_recognise(&m, &d));
	assert_int_equal(d, DIALECT_LIVE);
	m = (struct callback_marks){0};
	assert_false(callback_recognise(&m, &d));
	m = (struct callback_marks){"", "", "", "", ""};
	assert_false(callback_recognise(&m, &d));
}

static void parse_once(void)
{
	static const char *const bodies[] = {gme_sample, live_sample, live_310};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct callback c;
		struct err err;
		int bad = parse(i ? DIALECT_LIVE : DIALECT_GME, bodies[i], &c,
				&err);

		assert_true(bad == 0 || bad == ENOMEM);
		if (bad)
			assert_true(err.code == ENOMEM && err.text[0]);
		else
			event_fini(&c.event);
	}
}

static void parse_survives_every_failing_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(parse_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gme_sample_is_read),
		cmocka_unit_test(live_sample_is_read),
		cmocka_unit_test(live_files_are_read),
		cmocka_unit_test(
			gme_names_every_key_that_is_missing_or_of_a_wrong_type),
		cmocka_unit_test(
			live_names_every_key_that_is_missing_or_of_a_wrong_type),
		cmocka_unit_test(
			gme_names_values_out_of_range_and_says_the_range),
		cmocka_unit_test(
			live_names_values_out_of_range_and_says_the_range),
		cmocka_unit_test(live_refuses_more_files_than_it_takes),
		cmocka_unit_test(
			live_takes_numbers_and_strings_where_the_vendor_sends_both),
		cmocka_unit_test(live_reads_leave_code_of_a_stopped_task),
		cmocka_unit_test(
			live_takes_the_vendors_other_types_without_a_kind),
		cmocka_unit_test(body_that_is_not_an_object_of_json_is_refused),
		cmocka_unit_test(body_cut_anywhere_is_refused),
		cmocka_unit_test(extra_keys_are_fine),
		cmocka_unit_test(
			gme_key_changes_with_every_fact_but_not_with_the_time_of_sending),
		cmocka_unit_test(
			live_key_changes_with_every_fact_but_not_with_the_time_of_sending),
		cmocka_unit_test(
			key_does_not_depend_on_order_and_space_of_the_body),
		cmocka_unit_test(what_is_rendered_is_read_back),
		cmocka_unit_test(
			dialect_is_recognised_by_what_its_sender_must_send),
		cmocka_unit_test(parse_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
