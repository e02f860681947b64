/** test/unit/wire_callback_test.c -- callbacks as they go out, and verdicts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

/* The sample of the GME page, as it stands there. */
static const char gme_sample[] =
	"{\n"
	"\"BizID\":1400000000,\n"
	"\"RoomID\":\"100\",\n"
	"\"UserID\":\"999\",\n"
	"\"TaskID\":446946705284000000,\n"
	"\"RecordMode\":1,\n"
	"\"Timestamp\":1675930605,\n"
	"\"EventType\":1,\n"
	"\"Detail\":{\n"
	"\"SeqNo\":0,\n"
	"\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"\n"
	"}\n"
	"}\n";

/* The sample of the TRTC page; its masked TaskId as a number of ours. */
static const char live_sample[] =
	"{\n"
	"\"CallbackCommand\": \"Follow.CallbackAfterCloudRecordingChanged\",\n"
	"\"EventGroupId\": 3,\n"
	"\"EventType\": 305,\n"
	"\"CallbackTs\": 1752580150082,\n"
	"\"EventInfo\": {\n"
	"\"RoomId\": \"635055\",\n"
	"\"EventTs\": 1752580150,\n"
	"\"EventMsTs\": 1752580150081,\n"
	"\"UserId\": \"user1\",\n"
	"\"TaskId\": \"446946705284000000\",\n"
	"\"Payload\": {\n"
	"\"Status\": 0\n"
	"}\n"
	"}\n"
	"}\n";

/* Computed with `openssl dgst -sha1 -hmac test-secret-key`. */
static const char gme_hex[] = "10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef";
static const char gme_base64[] = "EMTFXJmucWK6euDoP44qXaUF5u8=";

static struct event gme_event(void)
{
	return (struct event){
		.kind = EVENT_STARTED,
		.app = 1400000000,
		.task = 446946705284000000,
		.room = "100",
		.user = "999",
		.mode = MODE_MIXED,
		.file_name = "1400000000_100_999/2023-02-09-16-16-45_"
			     "446946705284000000_audio.mp3",
	};
}

static struct event live_event(void)
{
	return (struct event){
		.kind = EVENT_UPLOAD_STOPPED,
		.unix_ms = 1752580150081,
		.app = 1400000000,
		.task = 446946705284000000,
		.room = "635055",
		.user = "user1",
		.client_ip = "10.0.0.7",
		.platform = "RESTAPI",
	};
}

static const char *body_of(enum dialect d, const struct event *e,
			   int64_t now_ms, struct buf *body)
{
	buf_init(body, CALLBACK_BODY_MAX);
	assert_int_equal(callback_write_body(d, e, now_ms, body), 0);
	assert_int_equal(strlen(buf_str(body)), body->len);
	return buf_str(body);
}

/** The same keys in the same order with the same types and values. */
static void assert_same_json(const char *a, const char *b)
{
	json_t *x = json_loads(a, JSON_REJECT_DUPLICATES, NULL);
	json_t *y = json_loads(b, JSON_REJECT_DUPLICATES, NULL);
	char *x_text, *y_text;

	assert_non_null(x);
	assert_non_null(y);
	assert_true(json_equal(x, y));
	x_text = json_dumps(x, JSON_COMPACT); /* keeps the order */
	y_text = json_dumps(y, JSON_COMPACT);
	assert_string_equal(x_text, y_text);
	free(x_text);
	free(y_text);
	json_decref(x);
	json_decref(y);
}

static void gme_body_is_the_sample_of_the_page_minified(void **state)
{
	struct event e = gme_event();
	struct buf minified, body;
	const char *ours = body_of(DIALECT_GME, &e, 1675930605999, &body);

	(void)state;
	assert_same_json(ours, gme_sample);
	buf_init(&minified, 4096);
	for (const char *p = gme_sample; *p; p++) {
		if (*p != '\n')
			buf_putc(&minified, *p);
	}
	assert_string_equal(ours, buf_str(&minified));
	assert_int_equal(body.len, 232);
	buf_fini(&minified);
	buf_fini(&body);
}

static void live_body_is_the_sample_of_the_page_minified(void **state)
{
	struct event e = live_event();
	struct buf minified, body;
	const char *ours = body_of(DIALECT_LIVE, &e, 1752580150082, &body);

	(void)state;
	assert_same_json(ours, live_sample);
	buf_init(&minified, 4096);
	for (const char *p = live_sample; *p; p++) {
		if (*p != '\n' && *p != ' ')
			buf_putc(&minified, *p);
	}
	assert_string_equal(ours, buf_str(&minified));
	buf_fini(&minified);
	buf_fini(&body);
}

static void gme_body_of_a_speaker_has_mode_0_and_the_type_of_its_kind(
	void **state)
{
	struct event e = gme_event();

	(void)state;
	e.mode = MODE_SINGLE;
	e.seq = UINT32_MAX;
	str_copy(e.room, sizeof(e.room), "a\"b\\c\n");
	str_copy(e.file_name, sizeof(e.file_name), "\xe4\xbd\xa0/x.mp3");
	for (int type = 1; type <= 3; type++) {
		struct buf body;
		char want[256];

		e.kind = (enum event_kind)(EVENT_STARTED + type - 1);
		snprintf(want, sizeof(want),
			 "{\"BizID\":1400000000,\"RoomID\":\"a\\\"b\\\\c\\n\","
			 "\"UserID\":\"999\",\"TaskID\":446946705284000000,"
			 "\"RecordMode\":0,\"Timestamp\":1,\"EventType\":%d,"
			 "\"Detail\":{\"SeqNo\":4294967295,"
			 "\"FileName\":\"\xe4\xbd\xa0/x.mp3\"}}",
			 type);
		assert_string_equal(body_of(DIALECT_GME, &e, 1999, &body),
				    want);
		buf_fini(&body);
	}
}

static void assert_payload(const struct event *e, int type, const char *payload)
{
	struct buf body;
	const char *text = body_of(DIALECT_LIVE, e, 5, &body);
	json_t *root = json_loads(text, 0, NULL);
	char *got;

	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "EventType")),
			 type);
	got = json_dumps(
		json_object_get(json_object_get(root, "EventInfo"), "Payload"),
		JSON_COMPACT);
	assert_string_equal(got, payload);
	free(got);
	json_decref(root);
	buf_fini(&body);
}

static void live_payload_is_that_of_its_type(void **state)
{
	struct event_file files[2] = {
		{.name = "d/a.mp3", .user = "ann", .start_ms = 1, .end_ms = 2},
		{.name = "d/m.mp3", .start_ms = 3, .end_ms = 4},
	};
	struct event e = live_event();

	(void)state;
	e.status = 1;
	e.leave_code = LEAVE_IDLE;
	e.kind = EVENT_TASK_STARTED;
	assert_payload(&e, 301, "{\"Status\":1}");
	e.kind = EVENT_TASK_STOPPED;
	assert_payload(&e, 302, "{\"LeaveCode\":99}");
	e.kind = EVENT_UPLOAD_STARTED;
	assert_payload(&e, 303, "{\"Status\":1}");
	e.kind = EVENT_UPLOAD_STOPPED;
	e.status = 2;
	assert_payload(&e, 305, "{\"Status\":2}");
	e.kind = EVENT_FILES_READY;
	assert_payload(&e, 310,
		       "{\"Status\":2,\"FileList\":[],\"FileMessage\":[]}");
	e.files = files;
	e.n_files = 2;
	assert_payload(&e, 310,
		       "{\"Status\":2,\"FileList\":[\"d/a.mp3\",\"d/m.mp3\"],"
		       "\"FileMessage\":[{\"FileName\":\"d/a.mp3\","
		       "\"UserId\":\"ann\",\"TrackType\":\"audio\","
		       "\"MediaId\":\"main\",\"StartTimeStamp\":1,"
		       "\"EndTimeStamp\":2},{\"FileName\":\"d/m.mp3\","
		       "\"UserId\":\"\",\"TrackType\":\"audio\","
		       "\"MediaId\":\"mix\",\"StartTimeStamp\":3,"
		       "\"EndTimeStamp\":4}]}");
}

static void live_body_with_the_most_and_longest_files_fits(void **state)
{
	static struct event_file files[EVENT_FILES_MAX];
	struct event e = live_event();
	struct buf body;

	(void)state;
	for (size_t i = 0; i < EVENT_FILES_MAX; i++) {
		memset(files[i].name, 1, FILE_NAME_MAX - 1);
		memset(files[i].user, 1, ID_MAX);
	}
	e.kind = EVENT_FILES_READY;
	e.files = files;
	e.n_files = EVENT_FILES_MAX;
	body_of(DIALECT_LIVE, &e, 5, &body);
	buf_fini(&body);
}

/** A bit for each kind that a dialect has a word for. */
static unsigned words_of(enum dialect d)
{
	const unsigned cloud =
		1U << EVENT_STARTED | 1U << EVENT_TASK_STARTED |
		1U << EVENT_TASK_STOPPED | 1U << EVENT_UPLOAD_STARTED |
		1U << EVENT_UPLOAD_STOPPED | 1U << EVENT_UPLOAD_FAILING |
		1U << EVENT_FILES_READY | 1U << EVENT_TEST;

	switch (d) {
	case DIALECT_GME:
		return 1U << EVENT_STARTED | 1U << EVENT_COMPLETED |
		       1U << EVENT_UPLOADED | 1U << EVENT_TEST;
	case DIALECT_STANDARD:
		return (1U << EVENT_KIND_N) - 1;
	default:
		return cloud;
	}
}

static void dialect_refuses_events_it_has_no_word_for(void **state)
{
	struct callback_style style = {
		.key = "whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
		.url = "http://a"};
	struct event e = gme_event();
	struct callback_request r;

	(void)state;
	callback_request_init(&r);
	for (unsigned kind = 0; kind <= EVENT_KIND_N; kind++) {
		e.kind = (enum event_kind)kind;
		for (unsigned d = 0; d < DIALECT_N; d++) {
			bool has = words_of((enum dialect)d) >> kind & 1;

			style.dialect = (enum dialect)d;
			assert_int_equal(callback_has(style.dialect, e.kind),
					 has);
			assert_int_equal(callback_render(&style, &e, 1, &r),
					 has ? 0 : ENOTSUP);
		}
	}
	callback_request_fini(&r);
}

static void dialects_have_names_that_are_read_back(void **state)
{
	enum dialect d;

	(void)state;
	assert_true(dialect_parse("gme", &d));
	assert_int_equal(d, DIALECT_GME);
	assert_true(dialect_parse("live", &d));
	assert_int_equal(d, DIALECT_LIVE);
	assert_string_equal(dialect_name(DIALECT_GME), "gme");
	assert_string_equal(dialect_name(DIALECT_LIVE), "live");
	assert_false(dialect_parse("GME", &d));
}

static void gme_request_carries_its_signature_as_a_header(void **state)
{
	struct callback_style style = {
		.dialect = DIALECT_GME,
		.key = "test-secret-key",
		.url = "https://www.example.com/cb?x=1#f",
	};
	struct event e = gme_event();
	struct callback_request r;
	char want[256];

	(void)state;
	callback_request_init(&r);
	for (int hex = 0; hex < 2; hex++) {
		style.encoding = hex ? SIGNATURE_HEX : SIGNATURE_BASE64;
		assert_int_equal(callback_render(&style, &e, 1675930605000, &r),
				 0);
		assert_string_equal(buf_str(&r.url), style.url);
		snprintf(want, sizeof(want),
			 "Content-Type: application/json\nSignature: %s\n",
			 hex ? gme_hex : gme_base64);
		assert_string_equal(buf_str(&r.fields), want);
		assert_int_equal(r.body.len, 232);
	}
	callback_request_fini(&r);
}

#define LIVE_PARAMETERS                                                        \
	"SdkAppid=1400000000&CallbackCommand=Follow."                          \
	"CallbackAfterCloudRecordingChanged&contenttype=json&ClientIP=10.0.0." \
	"7&OptPlatform=RESTAPI"

static void live_request_puts_its_parameters_into_the_url(void **state)
{
	static const struct {
		const char *url, *want;
	} cases[] = {
		{"https://www.example.com",
		 "https://www.example.com?" LIVE_PARAMETERS},
		{"http://h/p?", "http://h/p?" LIVE_PARAMETERS},
		{"http://h/p?a=b", "http://h/p?a=b&" LIVE_PARAMETERS},
		{"http://h/p?a=b&", "http://h/p?a=b&" LIVE_PARAMETERS},
		{"http://h/p#f?x", "http://h/p?" LIVE_PARAMETERS "#f?x"},
		{"http://h/p?a#f", "http://h/p?a&" LIVE_PARAMETERS "#f"},
	};
	struct callback_style style = {.dialect = DIALECT_LIVE, .key = ""};
	struct event e = live_event();
	struct callback_request r;

	(void)state;
	callback_request_init(&r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		style.url = cases[i].url;
		assert_int_equal(callback_render(&style, &e, 5, &r), 0);
		assert_string_equal(buf_str(&r.url), cases[i].want);
		assert_string_equal(buf_str(&r.fields),
				    "Content-Type: application/json\n");
	}
	callback_request_fini(&r);
}

static void live_request_with_a_token_is_signed_with_the_time(void **state)
{
	/* The vendor's example of the token. */
	struct callback_style style = {.dialect = DIALECT_LIVE,
				       .key = "xxxxyyyy",
				       .url = "http://h/p"};
	struct event e = live_event();
	struct callback_request r;

	(void)state;
	callback_request_init(&r);
	assert_int_equal(callback_render(&style, &e, 1669872112999, &r), 0);
	assert_string_equal(
		buf_str(&r.url),
		"http://h/p?" LIVE_PARAMETERS
		"&Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d76"
		"0d484061&RequestTime=1669872112");
	callback_request_fini(&r);
}

static void live_request_encodes_what_a_url_may_not_hold(void **state)
{
	struct callback_style style = {
		.dialect = DIALECT_LIVE, .key = "", .url = "http://h"};
	struct event e = live_event();
	struct callback_request r;

	(void)state;
	str_copy(e.client_ip, sizeof(e.client_ip), "2001:db8::1");
	str_copy(e.platform, sizeof(e.platform), "a b&c");
	callback_request_init(&r);
	assert_int_equal(callback_render(&style, &e, 5, &r), 0);
	assert_non_null(strstr(buf_str(&r.url), "&ClientIP=2001%3Adb8%3A%3A1"
						"&OptPlatform=a%20b%26c"));
	e.client_ip[0] = 0;
	e.platform[0] = 0;
	assert_int_equal(callback_render(&style, &e, 5, &r), 0);
	assert_non_null(strstr(buf_str(&r.url),
			       "&ClientIP=127.0.0.1&OptPlatform=Unknown"));
	callback_request_fini(&r);
}

static void attempts_differ_only_in_their_time_of_sending(void **state)
{
	struct callback_style style = {
		.dialect = DIALECT_GME, .key = "k", .url = "http://h"};
	struct event e = gme_event();
	struct callback_request one, two;

	(void)state;
	callback_request_init(&one);
	callback_request_init(&two);
	assert_int_equal(callback_render(&style, &e, 1675930605000, &one), 0);
	assert_int_equal(callback_render(&style, &e, 1675930605999, &two), 0);
	assert_string_equal(buf_str(&one.body), buf_str(&two.body));
	assert_string_equal(buf_str(&one.fields), buf_str(&two.fields));
	assert_int_equal(callback_render(&style, &e, 1675930606000, &two), 0);
	assert_string_not_equal(buf_str(&one.body), buf_str(&two.body));
	assert_int_equal(one.body.len, two.body.len);
	callback_request_fini(&one);
	callback_request_fini(&two);
}

static void request_refuses_a_url_that_is_too_long(void **state)
{
	static char url[CALLBACK_URL_MAX + 2];
	struct callback_style style = {.key = "k", .url = url};
	struct callback_request r;
	struct event e = gme_event();

	(void)state;
	memset(url, 'a', CALLBACK_URL_MAX + 1);
	callback_request_init(&r);
	assert_int_equal(callback_render(&style, &e, 5, &r), EMSGSIZE);
	style.dialect = DIALECT_LIVE;
	e.kind = EVENT_TASK_STARTED;
	assert_int_equal(callback_render(&style, &e, 5, &r), EMSGSIZE);
	url[10] = 0; /* and the request is usable again */
	assert_int_equal(callback_render(&style, &e, 5, &r), 0);
	callback_request_fini(&r);
}

static void answers_are_what_each_dialect_wants(void **state)
{
	const char *live = callback_answer(DIALECT_LIVE);
	char why[200];

	(void)state;
	assert_string_equal(callback_answer(DIALECT_GME), "{\"code\":0}");
	assert_string_equal(live, "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,"
				  "\"ErrorInfo\":\"\"}");
	assert_true(
		callback_answer_is_ok(live, strlen(live), why, sizeof(why)));
}

static void verdict_on_an_answer_says_why_it_is_not_ok(void **state)
{
	static const struct {
		const char *answer, *why;
	} cases[] = {
		{"", "the answer is empty; wanted is JSON with ActionStatus "
		     "\"OK\" and ErrorCode 0"},
		{"{\"code\":0}",
		 "the answer must have ActionStatus (a string) and ErrorCode "
		 "(an integer)"},
		{"{\"ActionStatus\":\"OK\",\"ErrorCode\":\"0\"}",
		 "the answer must have ActionStatus (a string) and ErrorCode "
		 "(an integer)"},
		{"{\"ActionStatus\":\"OK\",\"ErrorCode\":7}",
		 "answered ActionStatus OK, ErrorCode 7"},
		{"{\"ActionStatus\":\"ok\",\"ErrorCode\":0}",
		 "answered ActionStatus ok, ErrorCode 0"},
		{"{\"ActionStatus\":\"FAIL\",\"ErrorCode\":10001,"
		 "\"ErrorInfo\":\"no\\nroom\"}",
		 "answered ActionStatus FAIL, ErrorCode 10001: no?room"},
		{"[]", "the answer: must be a JSON object, is an array"},
		{"<html>\n", "the answer: not JSON: line 1 column 1: '[' or "
			     "'{' expected near '<'"},
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_false(callback_answer_is_ok(cases[i].answer,
						   strlen(cases[i].answer), why,
						   sizeof(why)));
		assert_string_equal(why, cases[i].why);
	}
}

static void render_once(void)
{
	struct callback_style style = {
		.dialect = DIALECT_LIVE, .key = "k", .url = "http://h"};
	struct event e = live_event();
	struct callback_request r;
	int err;

	callback_request_init(&r);
	err = callback_render(&style, &e, 5, &r);
	assert_true(err == 0 || err == ENOMEM);
	style.dialect = DIALECT_GME;
	e = gme_event();
	err = callback_render(&style, &e, 5, &r);
	assert_true(err == 0 || err == ENOMEM);
	callback_request_fini(&r);
}

static void render_survives_every_failing_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(render_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gme_body_is_the_sample_of_the_page_minified),
		cmocka_unit_test(live_body_is_the_sample_of_the_page_minified),
		cmocka_unit_test(
			gme_body_of_a_speaker_has_mode_0_and_the_type_of_its_kind),
		cmocka_unit_test(live_payload_is_that_of_its_type),
		cmocka_unit_test(
			live_body_with_the_most_and_longest_files_fits),
		cmocka_unit_test(dialect_refuses_events_it_has_no_word_for),
		cmocka_unit_test(dialects_have_names_that_are_read_back),
		cmocka_unit_test(gme_request_carries_its_signature_as_a_header),
		cmocka_unit_test(live_request_puts_its_parameters_into_the_url),
		cmocka_unit_test(
			live_request_with_a_token_is_signed_with_the_time),
		cmocka_unit_test(live_request_encodes_what_a_url_may_not_hold),
		cmocka_unit_test(attempts_differ_only_in_their_time_of_sending),
		cmocka_unit_test(request_refuses_a_url_that_is_too_long),
		cmocka_unit_test(answers_are_what_each_dialect_wants),
		cmocka_unit_test(verdict_on_an_answer_says_why_it_is_not_ok),
		cmocka_unit_test(render_survives_every_failing_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
