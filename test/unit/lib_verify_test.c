/** test/unit/lib_verify_test.c -- tapeop.h: who sent it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_aid.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/attr.h"
#include "lib/inside.h" /* lib_copy_in, which no program calls */
#include "oom.h"

/* One list with the keys of all dialects, as a backend may have it. */
static const char *const all_keys[] = {"an older one", gme_key,	   live_token,
				       trtc_key,       std_secret, std_public};

static char why[TAPEOP_WHY_MAX];

static enum tapeop_error verify(const struct tapeop_request *r,
				const struct tapeop_app *app, int64_t now_ms)
{
	enum tapeop_error e;

	memset(why, 'x', sizeof(why));
	e = tapeop_verify(r, app, now_ms, why, sizeof(why));
	assert_true(strlen(why) < sizeof(why));
	assert_true(e ? strlen(why) > 10 : !why[0]);
	return e;
}

static enum tapeop_error verify_all(const struct tapeop_request *r,
				    int64_t now_ms)
{
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));

	return verify(r, &app, now_ms);
}

static void the_known_vectors_of_every_dialect_verify(void **state)
{
	enum tapeop_dialect d;
	struct sample s;

	(void)state;
	assert_int_equal(verify_all(sample_gme(&s), 0), TAPEOP_OK);
	assert_int_equal(tapeop_recognise(&s.r, &d), TAPEOP_OK);
	assert_int_equal(d, TAPEOP_GME);
	s.headers[0].value = gme_hex;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_OK);

	assert_int_equal(verify_all(sample_live(&s), live_ms), TAPEOP_OK);
	assert_int_equal(tapeop_recognise(&s.r, &d), TAPEOP_OK);
	assert_int_equal(d, TAPEOP_LIVE);

	assert_int_equal(verify_all(sample_trtc(&s), 0), TAPEOP_OK);
	assert_int_equal(tapeop_recognise(&s.r, &d), TAPEOP_OK);
	assert_int_equal(d, TAPEOP_TRTC);

	assert_int_equal(verify_all(sample_std(&s), std_ms), TAPEOP_OK);
	assert_int_equal(tapeop_recognise(&s.r, &d), TAPEOP_OK);
	assert_int_equal(d, TAPEOP_STANDARD);
	s.headers[2].value = std_test_v1a;
	assert_int_equal(verify_all(&s.r, std_ms), TAPEOP_OK);
}

static const char *header_fn(void *arg, const char *name)
{
	return !strcmp(name, "Signature") ? arg : NULL;
}

static void headers_may_come_from_a_function(void **state)
{
	char signature[] = "EMTFXJmucWK6euDoP44qXaUF5u8=";
	struct sample s;

	(void)state;
	sample_with(&s, gme_body, NULL);
	s.r.headers = NULL;
	s.r.header = header_fn;
	s.r.header_arg = signature;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_OK);
	signature[3]++;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_BAD_SIGNATURE);
}

/** Every byte of a body matters where the dialect signs it. */
static void each_changed_byte_is_refused(struct tapeop_request *r,
					 int64_t now_ms)
{
	char *body = malloc(r->body_len);
	size_t len = r->body_len;

	assert_non_null(body);
	memcpy(body, r->body, len);
	r->body = body;
	for (size_t i = 0; i < len; i++) {
		body[i] ^= 1;
		assert_int_equal(verify_all(r, now_ms), TAPEOP_BAD_SIGNATURE);
		body[i] ^= 1;
		r->body_len = i;
		assert_int_equal(verify_all(r, now_ms), TAPEOP_BAD_SIGNATURE);
		r->body_len = len;
	}
	assert_int_equal(verify_all(r, now_ms), TAPEOP_OK);
	free(body);
}

static void a_body_changed_in_any_byte_or_cut_is_refused(void **state)
{
	struct sample s;

	(void)state;
	each_changed_byte_is_refused(sample_gme(&s), 0);
	each_changed_byte_is_refused(sample_trtc(&s), 0);
	each_changed_byte_is_refused(sample_std(&s), std_ms);
}

static void wrong_missing_and_misshapen_signatures_are_told_apart(void **state)
{
	struct sample s;

	(void)state;
	sample_gme(&s);
	s.headers[0].value = "x";
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_BAD_SIGNATURE);
	assert_non_null(strstr(why, "before anything parses"));
	s.headers[0].value = "";
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_NO_DIALECT);

	sample_trtc(&s);
	s.r.n_headers = 1;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_UNSIGNED);
	sample_trtc(&s);
	s.headers[0].name = "Other";
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_MALFORMED);
	assert_non_null(strstr(why, "SdkAppId"));

	for (size_t i = 1; i < 3; i++) {
		sample_std(&s);
		s.headers[i].name = "other";
		assert_int_equal(verify_all(&s.r, std_ms), TAPEOP_UNSIGNED);
	}
	sample_std(&s);
	s.headers[1].value = "yesterday";
	assert_int_equal(verify_all(&s.r, std_ms), TAPEOP_MALFORMED);
	s.headers[1].value = "1614265331";
	assert_int_equal(verify_all(&s.r, std_ms), TAPEOP_BAD_SIGNATURE);

	sample_with(&s, live_body, LIVE_UNSIGNED);
	assert_int_equal(verify_all(&s.r, live_ms), TAPEOP_UNSIGNED);
	s.r.query = LIVE_UNSIGNED "&Sign=00&RequestTime=1669872112";
	assert_int_equal(verify_all(&s.r, live_ms), TAPEOP_MALFORMED);
	s.r.query = LIVE_QUERY "0";
	assert_int_equal(verify_all(&s.r, live_ms), TAPEOP_BAD_SIGNATURE);
}

static void old_and_future_times_are_refused_as_such(void **state)
{
	struct sample s;

	(void)state;
	sample_live(&s);
	assert_int_equal(verify_all(&s.r, live_ms + 60000), TAPEOP_OK);
	assert_int_equal(verify_all(&s.r, live_ms - 60000), TAPEOP_OK);
	assert_int_equal(verify_all(&s.r, live_ms + 61000), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, live_ms - 61000), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, INT64_MAX), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, INT64_MIN), TAPEOP_WRONG_TIME);
	sample_std(&s);
	assert_int_equal(verify_all(&s.r, std_ms + 300000), TAPEOP_OK);
	assert_int_equal(verify_all(&s.r, std_ms + 301000), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, std_ms - 301000), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, INT64_MAX), TAPEOP_WRONG_TIME);
	assert_int_equal(verify_all(&s.r, INT64_MIN), TAPEOP_WRONG_TIME);
}

static void url_and_header_of_another_app_are_refused(void **state)
{
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));
	struct sample s;

	(void)state;
	app.id = 1400000001;
	assert_int_equal(verify(sample_live(&s), &app, live_ms),
			 TAPEOP_WRONG_APP);
	assert_non_null(strstr(why, "1400000000"));
	assert_int_equal(verify(sample_trtc(&s), &app, 0), TAPEOP_WRONG_APP);
	sample_trtc(&s);
	s.headers[0].value = "1400000001x";
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_MALFORMED);
	s.headers[0].value = "4294967296";
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_MALFORMED);
}

static void only_dialects_that_are_taken_are_taken(void **state)
{
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));
	struct sample s;

	(void)state;
	app.dialects = TAPEOP_TAKE(TAPEOP_LIVE) | TAPEOP_TAKE(TAPEOP_TRTC);
	assert_int_equal(verify(sample_live(&s), &app, live_ms), TAPEOP_OK);
	assert_int_equal(verify(sample_trtc(&s), &app, 0), TAPEOP_OK);
	assert_int_equal(verify(sample_gme(&s), &app, 0), TAPEOP_NO_DIALECT);
	assert_int_equal(verify(sample_std(&s), &app, std_ms),
			 TAPEOP_NO_DIALECT);
	assert_int_equal(verify_all(sample_with(&s, gme_body, "a=b"), 0),
			 TAPEOP_NO_DIALECT);
}

/** A public key is known to all, so it must be no MAC's key. */
static void a_key_is_tried_on_its_own_dialects_only(void **state)
{
	static const char *const public_only[] = {std_public};
	static const char *const plain[] = {gme_key, "", live_token};
	const char *const texts[] = {std_public, std_secret, std_private};
	struct tapeop_app app = app_with(public_only, 1);
	struct sample s;

	(void)state;
	/* Made with openssl dgst -hmac of the public key as text. */
	sample_gme(&s);
	s.headers[0].value = "f2e8e4ff6d471b693c8b4cfd61f1d733bdeb4e43";
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_NO_DIALECT);
	assert_int_equal(verify(sample_trtc(&s), &app, 0), TAPEOP_NO_DIALECT);
	assert_int_equal(verify(sample_live(&s), &app, live_ms),
			 TAPEOP_NO_DIALECT);
	app = app_with(plain, ARRAY_LEN(plain));
	assert_int_equal(verify(sample_std(&s), &app, std_ms),
			 TAPEOP_NO_DIALECT);
	assert_non_null(strstr(why, "standard"));
	/* named by the app, it is the app's fault */
	app.dialects = TAPEOP_TAKE(TAPEOP_STANDARD);
	assert_int_equal(verify(sample_std(&s), &app, std_ms), TAPEOP_NO_KEY);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(tapeop_key_check(TAPEOP_STANDARD, texts[i],
						  why, sizeof(why)),
				 TAPEOP_OK);
		assert_string_equal(why, "");
		for (int d = TAPEOP_GME; d <= TAPEOP_TRTC; d++)
			assert_int_equal(
				tapeop_key_check((enum tapeop_dialect)d,
						 texts[i], why, sizeof(why)),
				TAPEOP_NO_KEY);
	}
	assert_int_equal(tapeop_key_check(TAPEOP_STANDARD, "whsec_short", why,
					  sizeof(why)),
			 TAPEOP_NO_KEY);
	assert_non_null(strstr(why, "openssl rand"));
	assert_int_equal(tapeop_key_check(TAPEOP_GME, "", why, sizeof(why)),
			 TAPEOP_NO_KEY);
	assert_int_equal(tapeop_key_check(TAPEOP_GME, "k", NULL, 0), TAPEOP_OK);
}

static void without_keys_nothing_is_right_unless_unsigned_is_wanted(
	void **state)
{
	static const char *const keys[] = {live_token};
	struct tapeop_app app = app_with(NULL, 0);
	struct sample s;

	(void)state;
	assert_int_equal(verify(sample_gme(&s), &app, 0), TAPEOP_NO_KEY);
	assert_int_equal(verify(sample_live(&s), &app, live_ms), TAPEOP_NO_KEY);
	sample_with(&s, live_body, LIVE_UNSIGNED);
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_UNSIGNED);

	app.flags = TAPEOP_TAKE_UNSIGNED;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_OK);
	s.r.query = "SdkAppid=7&" LIVE_COMMAND;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_WRONG_APP);
	sample_trtc(&s);
	s.r.n_headers = 1;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_OK);
	assert_int_equal(verify(sample_gme(&s), &app, 0), TAPEOP_NO_DIALECT);
	assert_int_equal(verify(sample_std(&s), &app, std_ms),
			 TAPEOP_NO_DIALECT);

	app.keys = keys;
	app.n_keys = 1;
	sample_with(&s, live_body, LIVE_UNSIGNED);
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_UNSIGNED);
}

static void arguments_that_cannot_be_are_errors(void **state)
{
	static const char *const hole[] = {gme_key, NULL};
	struct tapeop_app app = app_with(hole, 1);
	struct tapeop_callback *c = NULL;
	enum tapeop_dialect d = TAPEOP_GME;
	struct sample s;

	(void)state;
	sample_gme(&s);
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_OK);
	assert_int_equal(verify(NULL, &app, 0), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(verify(&s.r, NULL, 0), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_verify(NULL, NULL, 0, NULL, 0),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_accept(NULL, NULL, 0, NULL, NULL, 9),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_accept(&s.r, &app, 0, NULL, NULL, 0),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_parse(&s.r, TAPEOP_DIALECT_NONE, &c, NULL, 0),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(
		tapeop_parse(&s.r, (enum tapeop_dialect)99, &c, NULL, 0),
		TAPEOP_BAD_ARGUMENT);
	assert_null(c);
	assert_int_equal(tapeop_recognise(&s.r, NULL), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_recognise(NULL, &d), TAPEOP_BAD_ARGUMENT);
	assert_int_equal(tapeop_key_check(TAPEOP_GME, NULL, NULL, 0),
			 TAPEOP_BAD_ARGUMENT);
	assert_int_equal(
		tapeop_key_check((enum tapeop_dialect)99, "k", NULL, 0),
		TAPEOP_BAD_ARGUMENT);
	tapeop_callback_free(NULL);

	app.n_keys = 2;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	assert_non_null(strstr(why, "keys[1]"));
	app = app_with(NULL, 1);
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	app = app_with(hole, 1);
	app.id = 0;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	app = app_with(hole, 1);
	app.flags = 2;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	app = app_with(hole, 1);
	app.size = 0;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	app.size = SIZE_MAX;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);

	app = app_with(hole, 1);
	s.r.body = NULL;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	sample_gme(&s);
	s.r.headers = NULL;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	sample_gme(&s);
	s.r.size--;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_BAD_ARGUMENT);
	sample_gme(&s);
	s.headers[0].name = NULL;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_NO_DIALECT);
	sample_gme(&s);
	s.headers[0].value = NULL;
	assert_int_equal(verify(&s.r, &app, 0), TAPEOP_NO_DIALECT);
}

/** A caller compiled with a newer header works if it asks for nothing new. */
static void a_longer_struct_is_taken_if_the_rest_is_zero(void **state)
{
	struct {
		struct tapeop_request r;
		uint64_t newer;
	} later;
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));
	struct sample s;

	(void)state;
	later.r = *sample_gme(&s);
	later.r.size = sizeof(later);
	later.newer = 0;
	assert_int_equal(verify(&later.r, &app, 0), TAPEOP_OK);
	later.newer = 1;
	assert_int_equal(verify(&later.r, &app, 0), TAPEOP_BAD_ARGUMENT);
}

/** A program of the first libtapeop runs with one whose structs have grown. */
static void a_shorter_struct_is_taken_and_what_it_has_not_is_zero(void **state)
{
	struct {
		struct tapeop_app first;
		uint64_t newer;
	} grown = {.newer = 1};
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));

	(void)state;
	/* these never change: programs were compiled with them */
	assert_int_equal(LIB_REQUEST_FIRST, 64);
	assert_int_equal(LIB_APP_FIRST, 40);
	assert_int_equal(LIB_MESSAGE_FIRST, 80);
	assert_true(lib_copy_in(&grown, sizeof(grown), LIB_APP_FIRST, &app));
	assert_int_equal(grown.first.id, app.id);
	assert_int_equal(grown.newer, 0);
	app.size = LIB_APP_FIRST - 1;
	assert_false(lib_copy_in(&grown, sizeof(grown), LIB_APP_FIRST, &app));
}

static void what_is_too_large_is_refused_before_it_is_read(void **state)
{
	char *big = calloc(1, TAPEOP_QUERY_LEN_MAX + 2);
	struct sample s;

	(void)state;
	assert_non_null(big);
	sample_gme(&s);
	/* Nobody looks at that many bytes, which are not there. */
	s.r.body_len = TAPEOP_BODY_LEN_MAX + 1;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_TOO_LARGE);
	sample_gme(&s);
	memset(big, 'a', TAPEOP_QUERY_LEN_MAX + 1);
	s.r.query = big;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_TOO_LARGE);
	s.r.query = big + 1;
	assert_int_equal(verify_all(&s.r, 0), TAPEOP_OK);
	free(big);
}

static void a_sentence_never_leaves_its_buffer(void **state)
{
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));
	struct sample s;
	char small[8];

	(void)state;
	sample_gme(&s);
	s.headers[0].value = "x";
	memset(small, 'x', sizeof(small));
	assert_int_equal(tapeop_verify(&s.r, &app, 0, small, 4),
			 TAPEOP_BAD_SIGNATURE);
	assert_memory_equal(small, "Sig\0xxxx", 8);
	assert_int_equal(tapeop_verify(&s.r, &app, 0, small, 0),
			 TAPEOP_BAD_SIGNATURE);
	assert_memory_equal(small, "Sig\0xxxx", 8);
}

/** arg: how many of its calls were right. */
static void *use_all(void *arg)
{
	struct tapeop_app app = app_with(all_keys, ARRAY_LEN(all_keys));
	int *n_right = arg;

	for (int i = 0; i < 50; i++) {
		struct tapeop_callback *c = NULL;
		char headers[TAPEOP_HEADERS_MAX], query[TAPEOP_QUERY_MAX];
		struct tapeop_message m = TAPEOP_MESSAGE_INIT;
		char text[TAPEOP_ANSWER_MAX];
		struct sample s;

		*n_right += !tapeop_verify(sample_std(&s), &app, std_ms, text,
					   sizeof(text));
		*n_right += !tapeop_accept(sample_gme(&s), &app, 0, &c, text,
					   sizeof(text));
		tapeop_callback_free(c);
		m.dialect = TAPEOP_STANDARD;
		m.key = std_private;
		m.id = std_id;
		*n_right += !tapeop_sign(&m, std_ms, headers, sizeof(headers),
					 query, sizeof(query), NULL, 0);
		*n_right += !tapeop_answer(TAPEOP_LIVE, TAPEOP_WRONG_TIME, NULL,
					   text, sizeof(text));
	}
	return NULL;
}

/* ThreadSanitizer is the judge. */
static void any_thread_may_call_anything_at_any_time(void **state)
{
	pthread_t threads[4];
	int n_right[4] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, use_all, &n_right[i]),
			0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(n_right[i], 200);
	}
}

static void verify_once(void)
{
	struct sample s;
	enum tapeop_error e;

	e = verify_all(sample_std(&s), std_ms);
	assert_true(e == TAPEOP_OK || e == TAPEOP_NO_MEMORY);
}

static void verifying_survives_running_out_of_memory(void **state)
{
	(void)state;
	OOM_SWEEP(verify_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_vectors_of_every_dialect_verify),
		cmocka_unit_test(headers_may_come_from_a_function),
		cmocka_unit_test(a_body_changed_in_any_byte_or_cut_is_refused),
		cmocka_unit_test(
			wrong_missing_and_misshapen_signatures_are_told_apart),
		cmocka_unit_test(old_and_future_times_are_refused_as_such),
		cmocka_unit_test(url_and_header_of_another_app_are_refused),
		cmocka_unit_test(only_dialects_that_are_taken_are_taken),
		cmocka_unit_test(a_key_is_tried_on_its_own_dialects_only),
		cmocka_unit_test(
			without_keys_nothing_is_right_unless_unsigned_is_wanted),
		cmocka_unit_test(arguments_that_cannot_be_are_errors),
		cmocka_unit_test(a_longer_struct_is_taken_if_the_rest_is_zero),
		cmocka_unit_test(
			a_shorter_struct_is_taken_and_what_it_has_not_is_zero),
		cmocka_unit_test(
			what_is_too_large_is_refused_before_it_is_read),
		cmocka_unit_test(a_sentence_never_leaves_its_buffer),
		cmocka_unit_test(any_thread_may_call_anything_at_any_time),
		cmocka_unit_test(verifying_survives_running_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
