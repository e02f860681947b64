/** test/unit/wire_callback_standard_test.c -- the dialects trtc and standard:
 *  signatures, requests, and what is read back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/str.h"
#include "oom.h"

/* Computed with the npm package standardwebhooks 1.0.0 (v1) and with Node's
 * crypto (v1a: the seed is 32 times 7). */
static const char secret[] = "whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh";
static const char msg_id[] = "msg_p5jXN8AQM9LWM0D4loKWxJek";
static const char msg_body[] = "{\"test\": 2432232314}";
static const char msg_v1[] = "v1,azFbdRUjyw2a8kogoXtMpNy5MbBkDC0BmAIr5bD2uZc=";
static const char private_key[] =
	"whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
static const char public_key[] =
	"whpk_6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
static const char msg_v1a[] =
	"v1a,2iFnCkcL0nCB7d0lgaT5vmGnQgJl4zcl9qd7UbPYvulcwR3MRYzjXT2JCSEV4dFH"
	"3XNALA4OW0zY5fFdGv9GBA==";
static const char msg_time[] = "1614265330";
static const int64_t msg_s = 1614265330;

/* The vendor's own example: tencent.md section 2.3. */
static const char trtc_204[] =
	"{\n\t\"EventGroupId\":\t2,\n\t\"EventType\":\t204,\n"
	"\t\"CallbackTs\":\t1664209748188,\n\t\"EventInfo\":\t{\n"
	"\t\t\"RoomId\":\t8489,\n\t\t\"EventTs\":\t1664209748,\n"
	"\t\t\"EventMsTs\":\t1664209748180,\n"
	"\t\t\"UserId\":\t\"user_85034614\",\n\t\t\"Reason\":\t0\n\t}\n}";
static const char trtc_204_sign[] =
	"kkoFeO3Oh2ZHnjtg8tEAQhtXK16/KI05W3BQff8IvGA=";

static void trtc_sign_of_the_vendors_example_is_right(void **state)
{
	char sign[SIGNATURE_TEXT_MAX];
	char body[sizeof(trtc_204)];

	(void)state;
	assert_int_equal(
		callback_sign_trtc("123654", trtc_204, strlen(trtc_204), sign),
		0);
	assert_string_equal(sign, trtc_204_sign);
	assert_true(callback_verify_trtc("123654", trtc_204, strlen(trtc_204),
					 trtc_204_sign));
	assert_false(callback_verify_trtc("123655", trtc_204, strlen(trtc_204),
					  trtc_204_sign));
	assert_false(callback_verify_trtc("", trtc_204, strlen(trtc_204),
					  trtc_204_sign));
	assert_false(
		callback_verify_trtc("123654", trtc_204, strlen(trtc_204), ""));
	for (size_t i = 0; i < strlen(trtc_204); i++) {
		memcpy(body, trtc_204, sizeof(body));
		body[i] ^= 1;
		assert_false(callback_verify_trtc(
			"123654", body, strlen(trtc_204), trtc_204_sign));
	}
}

static int verify(const char *key, const char *signatures, int64_t now_s)
{
	return callback_verify_standard(key, msg_id, msg_time, signatures,
					msg_body, strlen(msg_body),
					now_s * 1000);
}

static void standard_signatures_are_those_of_other_libraries(void **state)
{
	char out[CALLBACK_STANDARD_SIGNATURE_MAX];

	(void)state;
	assert_int_equal(callback_sign_standard(secret, msg_id, msg_s, msg_body,
						strlen(msg_body), out),
			 0);
	assert_string_equal(out, msg_v1);
	assert_int_equal(callback_sign_standard(private_key, msg_id, msg_s,
						msg_body, strlen(msg_body),
						out),
			 0);
	assert_string_equal(out, msg_v1a);
	assert_int_equal(
		callback_sign_standard(public_key, msg_id, msg_s, "", 0, out),
		EINVAL);
	assert_int_equal(verify(secret, msg_v1, msg_s), 0);
	assert_int_equal(verify(public_key, msg_v1a, msg_s), 0);
	assert_int_equal(verify(private_key, msg_v1a, msg_s), 0);
}

static void standard_takes_any_of_the_listed_signatures(void **state)
{
	char list[512];

	(void)state;
	snprintf(list, sizeof(list), "v2,abc v1,AAAA %s %s", msg_v1a, msg_v1);
	assert_int_equal(verify(secret, list, msg_s), 0);
	assert_int_equal(verify(public_key, list, msg_s), 0);
	assert_int_equal(verify(secret, msg_v1a, msg_s), EACCES);
	assert_int_equal(verify(public_key, msg_v1, msg_s), EACCES);
	assert_int_equal(verify(secret, "v1,", msg_s), EACCES);
	assert_int_equal(verify(secret, "nonsense", msg_s), EACCES);
	assert_int_equal(verify("no key", msg_v1, msg_s), EACCES);
	assert_int_equal(verify("", msg_v1, msg_s), EACCES);
}

static void standard_accepts_five_minutes_either_way_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(verify(secret, msg_v1, msg_s + 300), 0);
	assert_int_equal(verify(secret, msg_v1, msg_s - 300), 0);
	assert_int_equal(verify(secret, msg_v1, msg_s + 301), ETIME);
	assert_int_equal(verify(secret, msg_v1, msg_s - 301), ETIME);
	/* A wrong signature is wrong whatever the time. */
	assert_int_equal(verify(secret, msg_v1a, msg_s + 301), EACCES);
}

static void standard_signs_id_time_and_body(void **state)
{
	static const struct {
		const char *id, *time, *body;
		int err;
	} cases[] = {
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
		 "{\"test\": 2432232314}", 0},
		{"msg_p5jXN8AQM9LWM0D4loKWxJeK", "1614265330",
		 "{\"test\": 2432232314}", EACCES},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265331",
		 "{\"test\": 2432232314}", EACCES},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "01614265330",
		 "{\"test\": 2432232314}", EACCES},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
		 "{\"test\": 2432232315}", EACCES},
		{"", "1614265330", "{\"test\": 2432232314}", EBADMSG},
		{NULL, "1614265330", "{\"test\": 2432232314}", EBADMSG},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", NULL, "{}", EBADMSG},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "soon", "{}", EBADMSG},
		{"msg_p5jXN8AQM9LWM0D4loKWxJek", "-1", "{}", EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(callback_verify_standard(
					 secret, cases[i].id, cases[i].time,
					 msg_v1, cases[i].body,
					 strlen(cases[i].body), msg_s * 1000),
				 cases[i].err);
	assert_int_equal(callback_verify_standard(secret, msg_id, msg_time,
						  NULL, "", 0, msg_s * 1000),
			 EBADMSG);
}

static void standard_keys_are_checked_and_the_error_says_what_to_do(
	void **state)
{
	static const char *const good[] = {secret, private_key, public_key};
	static const char *const bad[] = {
		"",
		"secret",
		"whsec_",
		"whsec_dG9vIHNob3J0",
		"whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh=",
		"whsk_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
		"whpk_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
		"WHSEC_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(
			callback_key_check(DIALECT_STANDARD, good[i], &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(
			callback_key_check(DIALECT_STANDARD, bad[i], &err),
			EINVAL);
		assert_string_equal(err.field, "key");
		assert_false(str_starts_with(err.text, "key"));
		assert_non_null(strstr(err.text, "openssl rand"));
		assert_int_equal(callback_key_check(DIALECT_TRTC, bad[i], &err),
				 0);
		assert_false(callback_key_signs(bad[i]));
	}
	assert_true(callback_key_signs(secret));
	assert_true(callback_key_signs(private_key));
	assert_false(callback_key_signs(public_key));
}

/** Whoever has read the public key could sign with it as a secret. */
static void a_public_key_is_the_secret_of_no_dialect(void **state)
{
	char gme[SIGNATURE_TEXT_MAX], trtc[SIGNATURE_TEXT_MAX];
	char live[SIGNATURE_TEXT_MAX];

	(void)state;
	assert_int_equal(
		callback_sign_gme(public_key, "{}", 2, SIGNATURE_BASE64, gme),
		0);
	assert_int_equal(callback_sign_trtc(public_key, "{}", 2, trtc), 0);
	assert_int_equal(callback_sign_live(public_key, msg_s, live), 0);
	assert_false(callback_verify_gme(public_key, "{}", 2, gme));
	assert_false(callback_verify_trtc(public_key, "{}", 2, trtc));
	assert_int_equal(
		callback_verify_live(public_key, live, msg_time, msg_s * 1000),
		EACCES);
}

/* ---- requests ------------------------------------------------------------ */

static struct event segment(enum event_kind kind)
{
	return (struct event){
		.id = 77,
		.task_seq = 5,
		.kind = kind,
		.unix_ms = 1752580150081,
		.app = 1400000000,
		.task = 446946705284000000,
		.room = "lobby",
		.user = "ann",
		.mode = MODE_SINGLE,
		.seq = 3,
		.file_name = "1400000000_lobby_ann/x_audio.mp3",
		.start_ms = 1752580140000,
		.duration_ms = 10081,
		.size = 80640,
		.sha256 = "e3b0c44298fc1c149afbf4c8996fb924"
			  "27ae41e4649b934ca495991b7852b855",
		.location = "file:///var/lib/x_audio.mp3",
	};
}

static void standard_request_is_the_one_that_is_documented(void **state)
{
	const struct callback_style style = {
		.dialect = DIALECT_STANDARD,
		.key = secret,
		.previous_key = private_key,
		.url = "https://h/hook?x=1",
	};
	struct event e = segment(EVENT_UPLOADED);
	struct callback_request r;
	const char *signatures;
	char list[256];

	(void)state;
	callback_request_init(&r);
	assert_int_equal(callback_render(&style, &e, 1752580151999, &r), 0);
	assert_string_equal(buf_str(&r.url), style.url);
	assert_string_equal(
		buf_str(&r.body),
		"{\"type\":\"segment.uploaded\","
		"\"timestamp\":\"2025-07-15T11:49:10.081Z\",\"data\":{"
		"\"event_id\":\"77\",\"app\":1400000000,"
		"\"task_id\":\"446946705284000000\",\"room\":\"lobby\","
		"\"user\":\"ann\",\"sequence\":5,\"mode\":\"single\",\"seq\":3,"
		"\"file\":\"1400000000_lobby_ann/x_audio.mp3\","
		"\"format\":\"mp3\",\"start_ms\":1752580140000,"
		"\"end_ms\":1752580150081,\"duration_ms\":10081,\"size\":80640,"
		"\"sha256\":\"e3b0c44298fc1c149afbf4c8996fb924"
		"27ae41e4649b934ca495991b7852b855\","
		"\"location\":\"file:///var/lib/x_audio.mp3\"}}");
	assert_true(str_starts_with(
		buf_str(&r.fields),
		"Content-Type: application/json\nwebhook-id: evt_77\n"
		"webhook-timestamp: 1752580151\nwebhook-signature: v1,"));
	signatures = strstr(buf_str(&r.fields), " v1,") + 1;
	str_copy(list, sizeof(list), signatures);
	list[strcspn(list, "\n")] = 0;
	assert_int_equal(callback_verify_standard(
				 secret, "evt_77", "1752580151", list,
				 r.body.data, r.body.len, 1752580151999),
			 0);
	assert_int_equal(callback_verify_standard(
				 public_key, "evt_77", "1752580151", list,
				 r.body.data, r.body.len, 1752580151999),
			 0);
	callback_request_fini(&r);
}

static void trtc_request_carries_app_and_sign_as_headers(void **state)
{
	struct callback_style style = {
		.dialect = DIALECT_TRTC, .key = "k", .url = "https://h/x"};
	struct event e = segment(EVENT_STARTED);
	char sign[SIGNATURE_TEXT_MAX], want[160];
	struct callback_request r;

	(void)state;
	callback_request_init(&r);
	assert_int_equal(callback_render(&style, &e, 1752580150082, &r), 0);
	assert_string_equal(buf_str(&r.body),
			    "{\"EventGroupId\":3,\"EventType\":307,"
			    "\"CallbackTs\":1752580150082,\"EventInfo\":{"
			    "\"RoomId\":\"lobby\",\"EventTs\":1752580150,"
			    "\"EventMsTs\":1752580150081,\"UserId\":\"tapeop\","
			    "\"TaskId\":\"446946705284000000\",\"Payload\":{"
			    "\"FileName\":\"1400000000_lobby_ann/x_audio.mp3\","
			    "\"UserId\":\"ann\",\"TrackType\":\"audio\","
			    "\"BeginTimeStamp\":1752580140000}}}");
	assert_int_equal(callback_sign_trtc("k", r.body.data, r.body.len, sign),
			 0);
	snprintf(want, sizeof(want),
		 "Content-Type: application/json\nSdkAppId: 1400000000\n"
		 "Sign: %s\n",
		 sign);
	assert_string_equal(buf_str(&r.fields), want);
	assert_string_equal(buf_str(&r.url), style.url);
	style.key = "";
	assert_int_equal(callback_render(&style, &e, 1752580150082, &r), 0);
	assert_string_equal(buf_str(&r.fields),
			    "Content-Type: application/json\n"
			    "SdkAppId: 1400000000\n");
	callback_request_fini(&r);
}

static void upload_error_tells_code_and_message(void **state)
{
	struct event e = segment(EVENT_UPLOAD_FAILING);
	struct callback c;
	struct buf body;
	struct err err;

	(void)state;
	str_copy(e.reason, sizeof(e.reason), "disk_full");
	str_copy(e.reason_text, sizeof(e.reason_text), "No space left.");
	buf_init(&body, CALLBACK_BODY_MAX);
	assert_int_equal(callback_write_body(DIALECT_LIVE, &e, 7, &body), 0);
	assert_non_null(strstr(buf_str(&body),
			       "\"Payload\":{\"Code\":\"disk_full\","
			       "\"Message\":\"No space left.\"}}}"));
	assert_int_equal(
		callback_parse(DIALECT_LIVE, body.data, body.len, &c, &err), 0);
	assert_int_equal(c.event.kind, EVENT_UPLOAD_FAILING);
	assert_string_equal(c.event.reason, "disk_full");
	assert_string_equal(c.event.reason_text, "No space left.");
	assert_false(c.has_seq);
	buf_fini(&body);
}

static void extended_adds_the_data_of_standard_behind_the_rest(void **state)
{
	struct event e = segment(EVENT_STARTED);
	struct callback_style style = {
		.key = "k", .url = "http://h", .extended = true};
	struct callback_request r;
	struct buf plain, want;

	(void)state;
	callback_request_init(&r);
	buf_init(&plain, CALLBACK_BODY_MAX);
	buf_init(&want, CALLBACK_BODY_MAX);
	for (unsigned d = 0; d < DIALECT_STANDARD; d++) {
		struct callback c;
		struct err err;

		style.dialect = (enum dialect)d;
		buf_clear(&plain);
		buf_clear(&want);
		assert_int_equal(
			callback_write_body(style.dialect, &e, 7000, &plain),
			0);
		buf_append(&want, plain.data, plain.len - 1);
		buf_puts(&want, ",\"Extended\":");
		callback_write_data(&e, &want);
		buf_putc(&want, '}');
		assert_int_equal(callback_render(&style, &e, 7000, &r), 0);
		assert_string_equal(buf_str(&r.body), buf_str(&want));
		assert_int_equal(callback_parse(style.dialect, r.body.data,
						r.body.len, &c, &err),
				 0);
	}
	buf_fini(&want);
	buf_fini(&plain);
	callback_request_fini(&r);
}

/* ---- reading --------------------------------------------------------------- */

static void every_kind_of_standard_is_read_as_it_was_written(void **state)
{
	struct event_file files[2] = {
		{.name = "d/a.mp3", .user = "ann", .start_ms = 1, .end_ms = 2},
		{.name = "d/m.mp3", .start_ms = 3, .end_ms = 4},
	};

	(void)state;
	for (unsigned k = 0; k < EVENT_KIND_N; k++) {
		struct event e = segment((enum event_kind)k);
		struct buf facts, again, body;
		struct callback c;
		struct err err;

		if (!event_is_of_segment(e.kind))
			e = (struct event){
				.id = 78,
				.task_seq = 6,
				.kind = (enum event_kind)k,
				.unix_ms = 1752580150081,
				.app = 1,
				.task = 64,
				.room = "r\"\xc3\xa4",
				.user = "tapeop",
			};
		if (e.kind == EVENT_FILES_READY) {
			e.files = files;
			e.n_files = 2;
			e.status = 2;
		}
		if (e.kind == EVENT_STARTED) {
			e.duration_ms = e.size = 0;
			e.sha256[0] = e.location[0] = 0;
		}
		if (e.kind == EVENT_TASK_STOPPED)
			e.leave_code = LEAVE_IDLE;
		if (e.kind == EVENT_TASK_FAILED) {
			str_copy(e.reason, sizeof(e.reason), "no_room");
			str_copy(e.reason_text, sizeof(e.reason_text), "Gone.");
		}
		buf_init(&body, CALLBACK_BODY_MAX);
		buf_init(&facts, CALLBACK_BODY_MAX);
		buf_init(&again, CALLBACK_BODY_MAX);
		assert_int_equal(
			callback_write_body(DIALECT_STANDARD, &e, 9, &body), 0);
		if (callback_parse(DIALECT_STANDARD, body.data, body.len, &c,
				   &err))
			fail_msg("%s: %s", buf_str(&body), err.text);
		assert_int_equal(c.has_seq, event_is_of_segment(e.kind));
		event_write_json(&e, &facts);
		event_write_json(&c.event, &again);
		assert_string_equal(buf_str(&again), buf_str(&facts));
		event_fini(&c.event);
		buf_fini(&again);
		buf_fini(&facts);
		buf_fini(&body);
	}
}

static const char started[] =
	"{\"type\":\"segment.started\",\"timestamp\":"
	"\"2026-11-26T20:09:10.123Z\",\"data\":{\"event_id\":\"7\",\"app\":1,"
	"\"task_id\":\"64\",\"room\":\"r\",\"user\":\"u\",\"sequence\":0,"
	"\"mode\":\"single\",\"seq\":0,\"file\":\"f\",\"start_ms\":1}}";

static void replace(char *text, size_t cap, const char *from, const char *to)
{
	char *at = strstr(text, from);
	char rest[1024];

	assert_non_null(at);
	str_copy(rest, sizeof(rest), at + strlen(from));
	snprintf(at, cap - (size_t)(at - text), "%s%s", to, rest);
}

static void standard_names_what_is_wrong(void **state)
{
	static const struct {
		const char *from, *to, *text;
	} cases[] = {
		{"\"type\":\"segment.started\",", "", "type is missing"},
		{"2026-11-26T20:09:10.123Z", "2026-11-26 20:09:10.123Z",
		 "timestamp must be like"},
		{"2026-11-26T20:09:10.123Z", "2026-13-26T20:09:10.123Z",
		 "timestamp must be like"},
		{"\"event_id\":\"7\"", "\"event_id\":7", "data.event_id"},
		{"\"event_id\":\"7\"", "\"event_id\":\"7x\"", "data.event_id"},
		{"\"app\":1", "\"app\":0", "data.app"},
		{"\"task_id\":\"64\",", "", "data.task_id is missing"},
		{"\"sequence\":0", "\"sequence\":-1", "data.sequence"},
		{"\"mode\":\"single\"", "\"mode\":\"solo\"", "data.mode"},
		{"\"seq\":0", "\"seq\":4294967296", "data.seq"},
		{"\"file\":\"f\",", "", "data.file is missing"},
		{"\"start_ms\":1", "\"start_ms\":\"1\"", "data.start_ms"},
		{"\"start_ms\":1", "\"start_ms\":1,\"error\":[]", "data.error"},
		{"\"start_ms\":1", "\"start_ms\":1,\"size\":-1", "data.size"},
	};
	struct callback c;
	struct err err;

	(void)state;
	assert_int_equal(callback_parse(DIALECT_STANDARD, started,
					strlen(started), &c, &err),
			 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char body[1024];

		str_copy(body, sizeof(body), started);
		replace(body, sizeof(body), cases[i].from, cases[i].to);
		err = (struct err){0};
		assert_int_equal(callback_parse(DIALECT_STANDARD, body,
						strlen(body), &c, &err),
				 EBADMSG);
		if (!str_starts_with(err.text, cases[i].text))
			fail_msg("\"%s\" instead of \"%s\"", err.text,
				 cases[i].text);
	}
}

static void a_time_is_read_exactly_or_not_at_all(void **state)
{
	static const struct {
		const char *text;
		int64_t unix_ms; /* -1: it is none */
	} times[] = {
		{"1970-01-01T00:00:00.000Z", 0},
		{"2024-02-29T23:59:59.999Z", 1709251199999},
		{"2026-11-26T20:09:10.123Z", 1795723750123},
		{"2016-12-31T23:59:60.500Z", 1483228800500},
		{"2026-02-29T20:09:10.123Z", -1},
		{"2026-02-31T20:09:10.123Z", -1},
		{"2026-04-31T20:09:10.123Z", -1},
		{"2026-00-26T20:09:10.123Z", -1},
		{"2026-11-00T20:09:10.123Z", -1},
		{"2026-11-26T24:09:10.123Z", -1},
		{"2026-11-26T20:60:10.123Z", -1},
		{"2026-11-26T20:09:61.123Z", -1},
		{"1969-12-31T23:59:59.999Z", -1},
		{"2026-11-26T-0:09:10.123Z", -1},
		{"2026--1-26T20:09:10.123Z", -1},
		{"2026-11-26T20:9:010.123Z", -1},
		{"2026-11-26T20:09:10.123z", -1},
		{"2026-11-26T20:09:10.123", -1},
		{"2026-11-26T20:09:10.123ZZ", -1},
		{"", -1},
	};
	char body[1024];
	struct callback c;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		int want = times[i].unix_ms < 0 ? EBADMSG : 0;

		str_copy(body, sizeof(body), started);
		replace(body, sizeof(body), "2026-11-26T20:09:10.123Z",
			times[i].text);
		if (callback_parse(DIALECT_STANDARD, body, strlen(body), &c,
				   &err) != want)
			fail_msg("%s: not %d", times[i].text, want);
		if (!want)
			assert_int_equal(c.event.unix_ms, times[i].unix_ms);
	}
}

static void standard_of_a_newer_server_is_read_without_a_kind(void **state)
{
	char body[1024];
	struct callback c;
	struct err err;

	(void)state;
	str_copy(body, sizeof(body), started);
	replace(body, sizeof(body), "segment.started", "segment.polished");
	assert_int_equal(
		callback_parse(DIALECT_STANDARD, body, strlen(body), &c, &err),
		0);
	assert_int_equal(c.event.kind, EVENT_KIND_N);
	assert_string_equal(c.task, "64");
	assert_int_equal(strlen(c.key), 64);
}

static void sweep(void)
{
	const struct callback_style style = {.dialect = DIALECT_STANDARD,
					     .key = private_key,
					     .previous_key = secret,
					     .url = "http://h"};
	struct event e = segment(EVENT_UPLOADED);
	struct callback_request r;
	struct callback c;
	struct err err = {0};
	int bad;

	callback_request_init(&r);
	bad = callback_render(&style, &e, 1, &r);
	assert_true(!bad || bad == ENOMEM);
	bad = callback_parse(DIALECT_STANDARD, started, strlen(started), &c,
			     &err);
	assert_true(!bad || bad == ENOMEM);
	bad = callback_verify_standard(secret, msg_id, msg_time, msg_v1,
				       msg_body, strlen(msg_body),
				       msg_s * 1000);
	assert_true(!bad || bad == ENOMEM);
	callback_request_fini(&r);
}

static void it_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(sweep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trtc_sign_of_the_vendors_example_is_right),
		cmocka_unit_test(
			standard_signatures_are_those_of_other_libraries),
		cmocka_unit_test(standard_takes_any_of_the_listed_signatures),
		cmocka_unit_test(
			standard_accepts_five_minutes_either_way_and_no_more),
		cmocka_unit_test(standard_signs_id_time_and_body),
		cmocka_unit_test(
			standard_keys_are_checked_and_the_error_says_what_to_do),
		cmocka_unit_test(a_public_key_is_the_secret_of_no_dialect),
		cmocka_unit_test(
			standard_request_is_the_one_that_is_documented),
		cmocka_unit_test(trtc_request_carries_app_and_sign_as_headers),
		cmocka_unit_test(upload_error_tells_code_and_message),
		cmocka_unit_test(
			extended_adds_the_data_of_standard_behind_the_rest),
		cmocka_unit_test(
			every_kind_of_standard_is_read_as_it_was_written),
		cmocka_unit_test(standard_names_what_is_wrong),
		cmocka_unit_test(a_time_is_read_exactly_or_not_at_all),
		cmocka_unit_test(
			standard_of_a_newer_server_is_read_without_a_kind),
		cmocka_unit_test(it_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
