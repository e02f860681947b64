/** test/unit/lib_parse_test.c -- tapeop.h: what it says, and queries. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/attr.h"
#include "oom.h"

static char why[TAPEOP_WHY_MAX];

static struct tapeop_callback *parse(const struct tapeop_request *r,
				     enum tapeop_dialect d)
{
	struct tapeop_callback *c = NULL;

	assert_int_equal(tapeop_parse(r, d, &c, why, sizeof(why)), TAPEOP_OK);
	assert_string_equal(why, "");
	assert_non_null(c);
	assert_int_equal(c->size, sizeof(*c));
	assert_int_equal(c->verified, 0);
	assert_string_equal(c->kind_name, tapeop_kind_name(c->kind));
	return c;
}

static void gme_tells_a_segment(void **state)
{
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	c = parse(sample_gme(&s), TAPEOP_GME);
	assert_int_equal(c->dialect, TAPEOP_GME);
	assert_int_equal(c->kind, TAPEOP_STARTED);
	assert_string_equal(c->kind_name, "started");
	assert_int_equal(c->type, 1);
	assert_int_equal(c->app, APP);
	assert_string_equal(c->task_id, "446946705284000000");
	assert_true(c->task == 446946705284000000);
	assert_string_equal(c->room, "100");
	assert_string_equal(c->user, "999");
	assert_int_equal(c->mode, TAPEOP_MIXED);
	assert_int_equal(c->seq, 0);
	assert_string_equal(c->file, "1400000000_100_999/2023-02-09-16-16-45_"
				     "446946705284000000_audio.mp3");
	assert_true(c->sent_ms == 1675930605000);
	assert_int_equal(c->event_ms, 0);
	/* What it does not tell. */
	assert_int_equal(c->status, -1);
	assert_int_equal(c->leave_code, -1);
	assert_int_equal(c->sequence, -1);
	assert_int_equal(c->start_ms, 0);
	assert_int_equal(c->bytes, 0);
	assert_string_equal(c->event_id, "");
	assert_string_equal(c->sha256, "");
	assert_string_equal(c->location, "");
	assert_string_equal(c->error_code, "");
	assert_string_equal(c->error_text, "");
	assert_int_equal(c->n_files, 0);
	tapeop_callback_free(c);
}

static void live_tells_its_app_in_the_url(void **state)
{
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	c = parse(sample_live(&s), TAPEOP_LIVE);
	assert_int_equal(c->kind, TAPEOP_UPLOAD_STOPPED);
	assert_int_equal(c->type, 305);
	assert_int_equal(c->app, APP);
	assert_string_equal(
		c->task_id,
		"-m9-bVVU7id***K-m928oZWQndiborbEWH3zY-lIXlprc-gQvQE");
	assert_int_equal(c->task, 0);
	assert_int_equal(c->status, 0);
	assert_int_equal(c->leave_code, -1);
	assert_int_equal(c->seq, -1);
	assert_int_equal(c->mode, TAPEOP_MODE_NONE);
	assert_true(c->event_ms == 1752580150081);
	assert_true(c->sent_ms == 1752580150082);
	tapeop_callback_free(c);

	s.r.query = "";
	c = parse(&s.r, TAPEOP_LIVE);
	assert_int_equal(c->app, 0);
	tapeop_callback_free(c);
	s.r.query = "SdkAppid=x";
	assert_int_equal(tapeop_parse(&s.r, TAPEOP_LIVE, &c, why, sizeof(why)),
			 TAPEOP_MALFORMED);
	assert_non_null(strstr(why, "SdkAppid"));
}

static void trtc_tells_files(void **state)
{
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	sample_with(&s, trtc_310, NULL);
	c = parse(sample_add(&s, "SdkAppId", "1400000000"), TAPEOP_TRTC);
	assert_int_equal(c->kind, TAPEOP_FILES_READY);
	assert_int_equal(c->app, APP);
	assert_string_equal(c->room, "635055");
	assert_int_equal(c->status, 1);
	assert_int_equal(c->n_files, 2);
	assert_int_equal(c->files[0]->size, sizeof(struct tapeop_file));
	assert_string_equal(c->files[0]->name, "a.mp3");
	assert_string_equal(c->files[0]->user, "ann");
	assert_string_equal(c->files[1]->user, "");
	assert_int_equal(c->files[1]->start_ms, 3);
	assert_int_equal(c->files[1]->end_ms, 4);
	tapeop_callback_free(c);
}

static void live_and_trtc_tell_new_segments_by_their_file(void **state)
{
	static const char body[] =
		"{\"EventGroupId\":3,\"EventType\":307,\"CallbackTs\":3,"
		"\"EventInfo\":{\"RoomId\":\"r\",\"EventTs\":0,"
		"\"EventMsTs\":2,\"UserId\":\"tapeop\",\"TaskId\":\"64\","
		"\"Payload\":{\"FileName\":\"m.mp3\",\"UserId\":\"\","
		"\"TrackType\":\"audio\",\"BeginTimeStamp\":1}}}";
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	c = parse(sample_with(&s, body, NULL), TAPEOP_TRTC);
	assert_int_equal(c->kind, TAPEOP_STARTED);
	assert_int_equal(c->mode, TAPEOP_MIXED);
	assert_int_equal(c->seq, -1);
	assert_string_equal(c->user, "0");
	assert_string_equal(c->file, "m.mp3");
	assert_int_equal(c->start_ms, 1);
	assert_int_equal(c->task, 64);
	tapeop_callback_free(c);
}

static void standard_tells_all_that_is_known(void **state)
{
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	sample_with(&s, std_body, NULL);
	c = parse(sample_add(&s, "webhook-timestamp", "1795723010"),
		  TAPEOP_STANDARD);
	assert_int_equal(c->kind, TAPEOP_UPLOADED);
	assert_int_equal(c->type, 0);
	assert_int_equal(c->app, APP);
	assert_string_equal(c->event_id, "7");
	assert_int_equal(c->sequence, 4);
	assert_string_equal(c->task_id, "446946705284000000");
	assert_int_equal(c->mode, TAPEOP_SINGLE);
	assert_int_equal(c->seq, 2);
	assert_true(c->event_ms == 1795723750123);
	assert_true(c->sent_ms == 1795723010000);
	assert_true(c->start_ms == 1795723000000);
	assert_int_equal(c->duration_ms, 4000);
	assert_int_equal(c->bytes, 32000);
	assert_string_equal(c->sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e"
				       "4649b934ca495991b7852b855");
	assert_string_equal(c->location, "s3://bucket/a/b.mp3");
	tapeop_callback_free(c);
}

static void standard_tells_failures_and_tests(void **state)
{
	static const char failed[] =
		"{\"type\":\"task.failed\",\"timestamp\":"
		"\"2026-11-26T20:09:10.123Z\",\"data\":{\"event_id\":\"8\","
		"\"app\":1400000000,\"task_id\":\"64\",\"sequence\":5,"
		"\"error\":{\"code\":\"disk_full\",\"message\":\"no room\"}}}";
	static const char test[] =
		"{\"type\":\"endpoint.test\",\"timestamp\":"
		"\"2026-11-26T20:09:10.123Z\",\"data\":{\"event_id\":\"9\","
		"\"app\":1400000000,\"task_id\":\"0\",\"sequence\":0}}";
	static const char newer[] =
		"{\"type\":\"moon.risen\",\"timestamp\":"
		"\"2026-11-26T20:09:10.123Z\",\"data\":{\"event_id\":\"9\","
		"\"app\":1400000000,\"task_id\":\"0\",\"sequence\":0}}";
	struct tapeop_callback *c;
	struct sample s;

	(void)state;
	c = parse(sample_with(&s, failed, NULL), TAPEOP_STANDARD);
	assert_int_equal(c->kind, TAPEOP_TASK_FAILED);
	assert_string_equal(c->error_code, "disk_full");
	assert_string_equal(c->error_text, "no room");
	assert_int_equal(c->sent_ms, 0);
	tapeop_callback_free(c);
	c = parse(sample_with(&s, test, NULL), TAPEOP_STANDARD);
	assert_int_equal(c->kind, TAPEOP_TEST);
	assert_string_equal(c->task_id, "");
	tapeop_callback_free(c);
	c = parse(sample_with(&s, newer, NULL), TAPEOP_STANDARD);
	assert_int_equal(c->kind, TAPEOP_OTHER);
	assert_string_equal(c->kind_name, "other");
	tapeop_callback_free(c);
}

static void what_cannot_be_read_is_named_and_nothing_is_given(void **state)
{
	struct tapeop_callback *const untouched = (void *)0x1;
	struct tapeop_callback *c = untouched;
	struct sample s;

	(void)state;
	sample_with(&s, "{\"BizID\":\"1400000000\"}", NULL);
	assert_int_equal(tapeop_parse(&s.r, TAPEOP_GME, &c, why, sizeof(why)),
			 TAPEOP_MALFORMED);
	assert_non_null(strstr(why, "BizID"));
	sample_with(&s, "", NULL);
	s.r.body = NULL;
	for (int d = TAPEOP_GME; d <= TAPEOP_STANDARD; d++)
		assert_int_equal(tapeop_parse(&s.r, (enum tapeop_dialect)d, &c,
					      why, sizeof(why)),
				 TAPEOP_MALFORMED);
	assert_ptr_equal(c, untouched);
}

/* ---- accept ---- */

static const char *const keys[] = {gme_key, live_token};

static void accept_verifies_then_reads(void **state)
{
	struct tapeop_app app = app_with(keys, ARRAY_LEN(keys));
	struct tapeop_callback *c = NULL;
	struct sample s;

	(void)state;
	assert_int_equal(
		tapeop_accept(sample_gme(&s), &app, 0, &c, why, sizeof(why)),
		TAPEOP_OK);
	assert_int_equal(c->verified, 1);
	assert_int_equal(c->kind, TAPEOP_STARTED);
	tapeop_callback_free(c);
	assert_int_equal(tapeop_accept(sample_live(&s), &app, live_ms, &c, why,
				       sizeof(why)),
			 TAPEOP_OK);
	assert_int_equal(c->verified, 1);
	assert_int_equal(c->app, APP);
	tapeop_callback_free(c);

	app.n_keys = 0;
	app.flags = TAPEOP_TAKE_UNSIGNED;
	sample_with(&s, live_body, LIVE_UNSIGNED);
	assert_int_equal(tapeop_accept(&s.r, &app, 0, &c, NULL, 0), TAPEOP_OK);
	assert_int_equal(c->verified, 0);
	tapeop_callback_free(c);
}

static void accept_refuses_what_is_not_right_and_gives_nothing(void **state)
{
	struct tapeop_callback *const untouched = (void *)0x1;
	struct tapeop_app app = app_with(keys, ARRAY_LEN(keys));
	struct tapeop_callback *c = untouched;
	struct sample s;

	(void)state;
	sample_gme(&s);
	s.r.body_len--;
	assert_int_equal(tapeop_accept(&s.r, &app, 0, &c, why, sizeof(why)),
			 TAPEOP_BAD_SIGNATURE);
	app.id = 7; /* the key is right, the body is another app's */
	assert_int_equal(
		tapeop_accept(sample_gme(&s), &app, 0, &c, why, sizeof(why)),
		TAPEOP_WRONG_APP);
	assert_non_null(strstr(why, "1400000000"));
	app.id = APP;
	assert_int_equal(tapeop_accept(sample_with(&s, gme_body, ""), &app, 0,
				       &c, why, sizeof(why)),
			 TAPEOP_NO_DIALECT);
	/* Genuine, but no event: the vendor's own example. */
	app.keys = (const char *const[]){trtc_key};
	app.n_keys = 1;
	assert_int_equal(
		tapeop_accept(sample_trtc(&s), &app, 0, &c, why, sizeof(why)),
		TAPEOP_MALFORMED);
	assert_ptr_equal(c, untouched);
}

/** The key of a body, once `from` in it has become `to`. */
static void key_of(const char *body, enum tapeop_dialect d, const char *from,
		   const char *to, char out[128])
{
	char text[2048];
	const char *at = strstr(body, from);
	struct tapeop_callback *c;
	struct sample s;

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - body), body, to,
		 at + strlen(from));
	sample_with(&s, text, "SdkAppid=1400000000");
	c = parse(sample_add(&s, "SdkAppId", "1400000000"), d);
	assert_true(strlen(c->key) < 128);
	snprintf(out, 128, "%s", c->key);
	tapeop_callback_free(c);
}

static void a_key_is_of_the_event_and_not_of_the_attempt(void **state)
{
	static const struct {
		const char *body;
		enum tapeop_dialect d;
		const char *from, *to;
		bool same;
	} cases[] = {
		{gme_body, TAPEOP_GME, "1675930605", "1675930999", true},
		{gme_body, TAPEOP_GME, "EventType\":1", "EventType\":2", false},
		{gme_body, TAPEOP_GME, "SeqNo\":0", "SeqNo\":1", false},
		{gme_body, TAPEOP_GME, "\"999\"", "\"998\"", false},
		{gme_body, TAPEOP_GME, "\":1400000000", "\":1400000001", false},
		{live_body, TAPEOP_LIVE, "150082", "150099", true},
		{live_body, TAPEOP_LIVE, "150081", "150080", false},
		{live_body, TAPEOP_LIVE, "Status\": 0", "Status\": 1", false},
		{trtc_310, TAPEOP_TRTC, "150082", "150099", true},
		{trtc_310, TAPEOP_TRTC, "150081", "150080", false},
		{std_body, TAPEOP_STANDARD, "\"mp3\"", "\"ogg\"", true},
		{std_body, TAPEOP_STANDARD, "id\":\"7\"", "id\":\"8\"", false},
	};
	char a[128], b[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		key_of(cases[i].body, cases[i].d, cases[i].from, cases[i].from,
		       a);
		key_of(cases[i].body, cases[i].d, cases[i].from, cases[i].to,
		       b);
		assert_true(!strncmp(a, "1400000000/", 11));
		if ((strcmp(a, b) == 0) != cases[i].same)
			fail_msg("case %zu: %s, %s", i, a, b);
	}
}

static void keys_of_apps_differ_where_the_body_does_not_tell_the_app(
	void **state)
{
	struct tapeop_callback *a, *b;
	struct sample s;

	(void)state;
	a = parse(sample_with(&s, live_body, "SdkAppid=1"), TAPEOP_LIVE);
	b = parse(sample_with(&s, live_body, "SdkAppid=2"), TAPEOP_LIVE);
	assert_string_not_equal(a->key, b->key);
	tapeop_callback_free(a);
	tapeop_callback_free(b);
}

static void accept_once(void)
{
	static const char *const std_keys[] = {trtc_key, std_secret};
	struct tapeop_app app = app_with(std_keys, ARRAY_LEN(std_keys));
	struct tapeop_callback *c = NULL;
	char headers[TAPEOP_HEADERS_MAX], query[TAPEOP_QUERY_MAX];
	struct tapeop_message m = TAPEOP_MESSAGE_INIT;
	char answer[TAPEOP_ANSWER_MAX];
	enum tapeop_error e;
	struct sample s;

	sample_with(&s, trtc_310, NULL);
	sample_add(&s, "SdkAppId", "1400000000");
	e = tapeop_parse(&s.r, TAPEOP_TRTC, &c, why, sizeof(why));
	assert_true(e == TAPEOP_OK || e == TAPEOP_NO_MEMORY);
	assert_true((e == TAPEOP_OK) == (c != NULL));
	tapeop_callback_free(c);
	c = NULL;
	e = tapeop_accept(sample_trtc(&s), &app, 0, &c, why, sizeof(why));
	assert_true(e == TAPEOP_MALFORMED || e == TAPEOP_NO_MEMORY);
	assert_null(c);
	e = tapeop_answer(TAPEOP_LIVE, TAPEOP_WRONG_APP, NULL, answer,
			  sizeof(answer));
	assert_true(e == TAPEOP_OK || e == TAPEOP_NO_MEMORY);
	m.dialect = TAPEOP_STANDARD;
	m.key = std_secret;
	m.id = "evt_1";
	e = tapeop_sign(&m, 0, headers, sizeof(headers), query, sizeof(query),
			why, sizeof(why));
	assert_true(e == TAPEOP_OK || e == TAPEOP_NO_MEMORY);
}

static void all_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(accept_once);
}

/* ---- queries ---- */

static void queries_are_decoded_once_and_what_is_ambiguous_is_refused(
	void **state)
{
	static const struct {
		const char *query;
		enum tapeop_error e;
		const char *value;
	} cases[] = {
		{"a=1", TAPEOP_OK, "1"},
		{"?a=1", TAPEOP_OK, "1"},
		{"x=2&a=1&y", TAPEOP_OK, "1"},
		{"a", TAPEOP_OK, ""},
		{"a=&b=1", TAPEOP_OK, ""},
		{"a=b=c", TAPEOP_OK, "b=c"},
		{"%61=%31%2b+%25%32%35", TAPEOP_OK, "1+ %25"},
		{"&&a=1&&", TAPEOP_OK, "1"},
		{"a=%C3%a9", TAPEOP_OK, "\xc3\xa9"},
		{"a=12345678", TAPEOP_NO_SPACE, NULL},
		{"b=12345678&a=1", TAPEOP_OK, "1"},
		{"", TAPEOP_ABSENT, NULL},
		{"?", TAPEOP_ABSENT, NULL},
		{"aa=1&A=2&=3", TAPEOP_ABSENT, NULL},
		{"a=1&a=1", TAPEOP_MALFORMED, NULL},
		{"a=1&%61", TAPEOP_MALFORMED, NULL},
		{"a=1&b=%", TAPEOP_MALFORMED, NULL},
		{"a=1&b=%4", TAPEOP_MALFORMED, NULL},
		{"a=1&%zz=4", TAPEOP_MALFORMED, NULL},
		{"a=1&b=%0g", TAPEOP_MALFORMED, NULL},
		{"a=1%00", TAPEOP_MALFORMED, NULL},
		{"a=1&b%00=2", TAPEOP_MALFORMED, NULL},
	};
	char out[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum tapeop_error e;

		memset(out, 'x', sizeof(out));
		e = tapeop_query(cases[i].query, "a", out, sizeof(out));
		if (e != cases[i].e)
			fail_msg("%s: %s", cases[i].query,
				 tapeop_error_name(e));
		if (e)
			assert_memory_equal(out, "xxxxxxxx", 8);
		else
			assert_string_equal(out, cases[i].value);
	}
	assert_int_equal(tapeop_query(NULL, "a", out, 8), TAPEOP_ABSENT);
	assert_int_equal(tapeop_query("a", NULL, out, 8), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_query("a", "a", NULL, 8), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_query("a", "a", out, 0), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_query("a=1", "a", out, 1), TAPEOP_NO_SPACE);
	assert_int_equal(tapeop_query("a=", "a", out, 1), TAPEOP_OK);
}

static void a_value_of_any_length_fits_a_buffer_of_any_length(void **state)
{
	static char query[TAPEOP_QUERY_LEN_MAX + 1];
	static char out[TAPEOP_QUERY_LEN_MAX + 100];

	(void)state;
	memset(query, 'v', sizeof(query) - 1);
	query[0] = 'a';
	query[1] = '=';
	assert_int_equal(tapeop_query(query, "a", out, sizeof(out)), TAPEOP_OK);
	assert_int_equal(strlen(out), TAPEOP_QUERY_LEN_MAX - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gme_tells_a_segment),
		cmocka_unit_test(live_tells_its_app_in_the_url),
		cmocka_unit_test(trtc_tells_files),
		cmocka_unit_test(live_and_trtc_tell_new_segments_by_their_file),
		cmocka_unit_test(standard_tells_all_that_is_known),
		cmocka_unit_test(standard_tells_failures_and_tests),
		cmocka_unit_test(
			what_cannot_be_read_is_named_and_nothing_is_given),
		cmocka_unit_test(accept_verifies_then_reads),
		cmocka_unit_test(
			accept_refuses_what_is_not_right_and_gives_nothing),
		cmocka_unit_test(a_key_is_of_the_event_and_not_of_the_attempt),
		cmocka_unit_test(
			keys_of_apps_differ_where_the_body_does_not_tell_the_app),
		cmocka_unit_test(all_survives_running_out_of_memory),
		cmocka_unit_test(
			queries_are_decoded_once_and_what_is_ambiguous_is_refused),
		cmocka_unit_test(
			a_value_of_any_length_fits_a_buffer_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
