/** test/unit/lib_sign_test.c -- tapeop.h: signing, answering, and an ABI that
 *  does not move. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_aid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/attr.h"
#include "wire/callback.h"

static char headers[TAPEOP_HEADERS_MAX];
static char query[TAPEOP_QUERY_MAX];
static char why[TAPEOP_WHY_MAX];

static struct tapeop_message message(enum tapeop_dialect d, const char *key,
				     const char *body)
{
	struct tapeop_message m = TAPEOP_MESSAGE_INIT;

	m.dialect = d;
	m.app = APP;
	m.key = key;
	m.id = std_id;
	m.body = body;
	m.body_len = strlen(body);
	return m;
}

static enum tapeop_error sign(const struct tapeop_message *m, int64_t now_ms)
{
	enum tapeop_error e;

	memset(headers, 'x', sizeof(headers));
	memset(query, 'x', sizeof(query));
	e = tapeop_sign(m, now_ms, headers, sizeof(headers), query,
			sizeof(query), why, sizeof(why));
	assert_true(e ? headers[0] == 'x' && query[0] == 'x' && why[0]
		      : !why[0]);
	return e;
}

#define TYPE "Content-Type: application/json\r\n"

static void the_known_vectors_of_every_dialect_are_made(void **state)
{
	struct tapeop_message m = message(TAPEOP_GME, gme_key, gme_body);

	(void)state;
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	assert_string_equal(headers,
			    TYPE "Signature: EMTFXJmucWK6euDoP44qXaUF5u8=\r\n");
	assert_string_equal(query, "");
	m.hex = 1;
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	assert_string_equal(headers, TYPE "Signature: 10c4c55c99ae7162ba7ae0e83"
					  "f8e2a5da505e6ef\r\n");

	m = message(TAPEOP_LIVE, live_token, live_body);
	m.platform = "Web";
	assert_int_equal(sign(&m, live_ms), TAPEOP_OK);
	assert_string_equal(headers, TYPE);
	assert_string_equal(query, LIVE_QUERY);
	m.key = NULL;
	assert_int_equal(sign(&m, live_ms), TAPEOP_OK);
	assert_string_equal(query, LIVE_UNSIGNED);

	m = message(TAPEOP_TRTC, trtc_key, trtc_204);
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	assert_string_equal(
		headers,
		TYPE "SdkAppId: 1400000000\r\n"
		     "Sign: kkoFeO3Oh2ZHnjtg8tEAQhtXK16/KI05W3BQff8IvGA=\r\n");
	m.key = "";
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	assert_string_equal(headers, TYPE "SdkAppId: 1400000000\r\n");

	m = message(TAPEOP_STANDARD, std_secret, std_test_body);
	m.previous_key = std_private;
	assert_int_equal(sign(&m, std_ms), TAPEOP_OK);
	assert_non_null(strstr(headers, "webhook-timestamp: 1614265330\r\n"));
	assert_non_null(strstr(headers, std_test_v1));
	assert_non_null(strstr(headers, std_test_v1a));
}

static void what_would_break_a_header_or_url_is_refused_or_escaped(void **state)
{
	static const char *const ids[] = {"",	   "a b",      "a\r\nX: y",
					  "evt.1", "\xc3\xa9", NULL};
	struct tapeop_message m = message(TAPEOP_STANDARD, std_secret, "{}");
	char longer[200] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		m.id = ids[i];
		assert_int_equal(sign(&m, 0), TAPEOP_BAD_ARGUMENT);
	}
	m = message(TAPEOP_LIVE, NULL, "{}");
	m.client_ip = "a&b=c\r\n";
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	assert_non_null(strstr(query, "ClientIP=a%26b%3Dc%0D%0A&"));
	memset(longer, '&', 128);
	m.client_ip = longer;
	m.platform = longer;
	m.key = live_token;
	assert_int_equal(sign(&m, INT64_MAX), TAPEOP_OK); /* the longest */
	longer[128] = '&';
	assert_int_equal(sign(&m, 0), TAPEOP_BAD_ARGUMENT);
}

static void signing_says_what_it_lacks(void **state)
{
	struct tapeop_message m = message(TAPEOP_GME, NULL, "{}");
	char small[8];

	(void)state;
	assert_int_equal(sign(&m, 0), TAPEOP_NO_KEY);
	m.key = std_secret;
	assert_int_equal(sign(&m, 0), TAPEOP_NO_KEY);
	m = message(TAPEOP_STANDARD, std_public, "{}");
	assert_int_equal(sign(&m, 0), TAPEOP_NO_KEY);
	assert_non_null(strstr(why, "whsk_"));
	m.key = std_secret;
	m.previous_key = "x";
	assert_int_equal(sign(&m, 0), TAPEOP_NO_KEY);
	m = message(TAPEOP_TRTC, trtc_key, "{}");
	m.app = 0;
	assert_int_equal(sign(&m, 0), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(sign(NULL, 0), TAPEOP_BAD_ARGUMENT);
	m = message(TAPEOP_DIALECT_NONE, trtc_key, "{}");
	assert_int_equal(sign(&m, 0), TAPEOP_BAD_ARGUMENT);
	m = message(TAPEOP_GME, gme_key, "{}");
	assert_int_equal(sign(&m, -5000), TAPEOP_BAD_ARGUMENT);
	m.body = NULL;
	assert_int_equal(sign(&m, 0), TAPEOP_BAD_ARGUMENT);
	m.body_len = 0;
	assert_int_equal(sign(&m, 0), TAPEOP_OK);
	memset(small, 'x', sizeof(small));
	assert_int_equal(tapeop_sign(&m, 0, small, sizeof(small), query,
				     sizeof(query), why, sizeof(why)),
			 TAPEOP_NO_SPACE);
	assert_int_equal(small[0], 'x');
	assert_int_equal(
		tapeop_sign(&m, 0, headers, sizeof(headers), small, 0, NULL, 0),
		TAPEOP_NO_SPACE);
	assert_int_equal(tapeop_sign(&m, 0, NULL, 9, query, 9, NULL, 0),
			 TAPEOP_BAD_ARGUMENT);
}

static const char *answer(enum tapeop_dialect d, enum tapeop_error e,
			  const char *text)
{
	static char out[TAPEOP_ANSWER_MAX];

	assert_int_equal(tapeop_answer(d, e, text, out, sizeof(out)),
			 TAPEOP_OK);
	return out;
}

static void each_sender_gets_the_answer_that_it_wants(void **state)
{
	char text[400], out[16];

	(void)state;
	assert_string_equal(
		answer(TAPEOP_LIVE, TAPEOP_OK, "ignored"),
		"{\"ActionStatus\":\"OK\",\"ErrorCode\":0,\"ErrorInfo\":\"\"}");
	assert_string_equal(answer(TAPEOP_GME, TAPEOP_OK, NULL),
			    "{\"code\":0}");
	assert_string_equal(answer(TAPEOP_LIVE, TAPEOP_WRONG_APP, "a \"b\"\n"),
			    "{\"ActionStatus\":\"FAIL\",\"ErrorCode\":403,"
			    "\"ErrorInfo\":\"a \\\"b\\\"?\"}");
	assert_string_equal(
		answer(TAPEOP_DIALECT_NONE, TAPEOP_NO_DIALECT, NULL),
		"{\"code\":400,\"error\":\"no_dialect\",\"message\":\"it is in "
		"no dialect that is taken here\"}");
	assert_string_equal(answer(TAPEOP_TRTC, TAPEOP_NO_MEMORY, "later"),
			    "{\"code\":503,\"error\":\"no_memory\","
			    "\"message\":\"later\"}");
	/* The longest that can be. */
	memset(text, '"', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (int e = 0; e <= TAPEOP_TOO_LARGE + 1; e++)
		for (int d = 0; d <= TAPEOP_STANDARD; d++)
			answer((enum tapeop_dialect)d, (enum tapeop_error)e,
			       text);
	/* Our verdict on a live answer, as a sender takes it. */
	assert_true(callback_answer_is_ok(
		answer(TAPEOP_LIVE, TAPEOP_OK, NULL),
		strlen(answer(TAPEOP_LIVE, TAPEOP_OK, NULL)), text,
		sizeof(text)));

	memset(out, 'x', sizeof(out));
	assert_int_equal(tapeop_answer(TAPEOP_GME, TAPEOP_OK, NULL, out, 10),
			 TAPEOP_NO_SPACE);
	assert_int_equal(out[0], 'x');
	assert_int_equal(tapeop_answer(TAPEOP_GME, TAPEOP_OK, NULL, out, 11),
			 TAPEOP_OK);
	assert_int_equal(tapeop_answer(TAPEOP_GME, TAPEOP_OK, NULL, NULL, 11),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(
		tapeop_answer((enum tapeop_dialect)9, TAPEOP_OK, NULL, out, 11),
		TAPEOP_BAD_ARGUMENT);
}

static void names_and_statuses_are_those_of_the_header(void **state)
{
	static const struct {
		const char *name;
		int status;
	} errors[] = {
		{"ok", 200},
		{"bad_argument", 500},
		{"no_memory", 503},
		{"no_space", 500},
		{"no_key", 500},
		{"absent", 400},
		{"no_dialect", 400},
		{"unsigned", 401},
		{"bad_signature", 401},
		{"wrong_time", 401},
		{"wrong_app", 403},
		{"malformed", 400},
		{"too_large", 413},
	};
	static const char *const kinds[] = {
		"other",	  "started",	    "completed",
		"uploaded",	  "task_started",   "task_stopped",
		"upload_started", "upload_stopped", "files_ready",
		"upload_failing", "task_failed",    "input_lost",
		"no_audio",	  "disk_low",	    "test",
	};
	static const char *const dialects[] = {"unknown", "gme", "live", "trtc",
					       "standard"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		enum tapeop_error e = (enum tapeop_error)i;

		assert_string_equal(tapeop_error_name(e), errors[i].name);
		assert_int_equal(tapeop_http_status(e), errors[i].status);
		assert_true(strlen(tapeop_strerror(e)) > 5);
	}
	assert_string_equal(tapeop_error_name((enum tapeop_error)99),
			    "unknown");
	assert_string_equal(tapeop_error_name((enum tapeop_error) - 1),
			    "unknown");
	assert_int_equal(tapeop_http_status((enum tapeop_error)99), 500);
	assert_non_null(tapeop_strerror((enum tapeop_error)99));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_string_equal(tapeop_kind_name((enum tapeop_kind)i),
				    kinds[i]);
	assert_string_equal(tapeop_kind_name((enum tapeop_kind)99), "unknown");
	for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
		enum tapeop_dialect d = (enum tapeop_dialect)i;

		assert_string_equal(tapeop_dialect_name(d), dialects[i]);
		assert_int_equal(tapeop_dialect_parse(dialects[i]), d);
	}
	assert_int_equal(tapeop_dialect_parse(NULL), TAPEOP_DIALECT_NONE);
	assert_string_equal(tapeop_mode_name(TAPEOP_MIXED), "mixed");
	assert_string_equal(tapeop_mode_name(TAPEOP_MODE_NONE), "");
	assert_string_equal(tapeop_mode_name((enum tapeop_mode)9), "unknown");
	assert_string_equal(tapeop_version(), TAPEOP_VERSION);
}

#define AT(s, m) offsetof(struct tapeop_##s, m)

/** libtapeop.so.1 keeps these for ever: members are added at the end. */
static void nothing_that_programs_were_compiled_with_moves(void **state)
{
	static const size_t offsets[] = {
		AT(header, value),
		8,
		AT(request, query),
		8,
		AT(request, body),
		16,
		AT(request, body_len),
		24,
		AT(request, headers),
		32,
		AT(request, n_headers),
		40,
		AT(request, header),
		48,
		AT(request, header_arg),
		56,
		AT(app, id),
		8,
		AT(app, dialects),
		12,
		AT(app, flags),
		16,
		AT(app, keys),
		24,
		AT(app, n_keys),
		32,
		AT(file, name),
		8,
		AT(file, user),
		16,
		AT(file, start_ms),
		24,
		AT(file, end_ms),
		32,
		AT(message, dialect),
		8,
		AT(message, hex),
		12,
		AT(message, app),
		16,
		AT(message, key),
		24,
		AT(message, previous_key),
		32,
		AT(message, id),
		40,
		AT(message, client_ip),
		48,
		AT(message, platform),
		56,
		AT(message, body),
		64,
		AT(message, body_len),
		72,
		AT(callback, dialect),
		8,
		AT(callback, kind),
		12,
		AT(callback, kind_name),
		16,
		AT(callback, type),
		24,
		AT(callback, verified),
		28,
		AT(callback, app),
		32,
		AT(callback, key),
		40,
		AT(callback, sent_ms),
		48,
		AT(callback, event_ms),
		56,
		AT(callback, event_id),
		64,
		AT(callback, sequence),
		72,
		AT(callback, task_id),
		80,
		AT(callback, task),
		88,
		AT(callback, room),
		96,
		AT(callback, user),
		104,
		AT(callback, status),
		112,
		AT(callback, leave_code),
		116,
		AT(callback, mode),
		120,
		AT(callback, seq),
		128,
		AT(callback, file),
		136,
		AT(callback, start_ms),
		144,
		AT(callback, duration_ms),
		152,
		AT(callback, bytes),
		160,
		AT(callback, sha256),
		168,
		AT(callback, location),
		176,
		AT(callback, error_code),
		184,
		AT(callback, error_text),
		192,
		AT(callback, files),
		200,
		AT(callback, n_files),
		208,
	};

	(void)state;
	if (sizeof(void *) != 8)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(offsets); i += 2) {
		if (offsets[i] != offsets[i + 1])
			fail_msg("pair %zu: %zu, was %zu", i / 2, offsets[i],
				 offsets[i + 1]);
	}
	assert_int_equal(sizeof(enum tapeop_error), 4);
	assert_int_equal(TAPEOP_TAKE(TAPEOP_STANDARD), 16);
	assert_int_equal(TAPEOP_BOTH, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_vectors_of_every_dialect_are_made),
		cmocka_unit_test(
			what_would_break_a_header_or_url_is_refused_or_escaped),
		cmocka_unit_test(signing_says_what_it_lacks),
		cmocka_unit_test(each_sender_gets_the_answer_that_it_wants),
		cmocka_unit_test(names_and_statuses_are_those_of_the_header),
		cmocka_unit_test(
			nothing_that_programs_were_compiled_with_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
