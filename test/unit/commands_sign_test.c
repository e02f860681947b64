/** test/unit/commands_sign_test.c -- `tapeop sign` and `tapeop verify`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/commands.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/clock.h"

/* The sample of the GME page, minified; its signature by `openssl dgst`. */
static const char body[] =
	"{\"BizID\":1400000000,\"RoomID\":\"100\",\"UserID\":\"999\","
	"\"TaskID\":446946705284000000,\"RecordMode\":1,"
	"\"Timestamp\":1675930605,\"EventType\":1,\"Detail\":{\"SeqNo\":0,"
	"\"FileName\":\"1400000000_100_999/2023-02-09-16-16-45_"
	"446946705284000000_audio.mp3\"}}";
#define HEX    "10c4c55c99ae7162ba7ae0e83f8e2a5da505e6ef"
#define BASE64 "EMTFXJmucWK6euDoP44qXaUF5u8="
#define KEY    "env:TAPEOP_TEST_KEY"

static char file[] = "/tmp/tapeop-body-XXXXXX";
static char out[8192], why[8192]; /* what the last command printed */

static int make_file(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	setenv("TAPEOP_TEST_KEY", "test-secret-key\n", 1);
	setenv("TAPEOP_TEST_TOKEN", "xxxxyyyy", 1);
	setenv("TAPEOP_TEST_SECRET", "whsec_dGVzdCBzZWNyZXQgb2YgMjQgYnl0ZXMh",
	       1);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(file);
}

static void put_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/** What stands in a temporary file, which is closed. */
static void take(FILE *f, char *text, size_t cap)
{
	size_t len;

	rewind(f);
	len = fread(text, 1, cap - 1, f);
	text[len] = 0;
	fclose(f);
}

/** Run a command (its first word names it) and keep what it prints. */
static int run(char **argv)
{
	FILE *new_out = tmpfile();
	FILE *new_err = tmpfile();
	int old_out = dup(STDOUT_FILENO);
	int old_err = dup(STDERR_FILENO);
	int argc = 0;
	int code;

	while (argv[argc])
		argc++;
	assert_true(new_out && new_err && old_out >= 0 && old_err >= 0);
	fflush(stdout);
	dup2(fileno(new_out), STDOUT_FILENO);
	dup2(fileno(new_err), STDERR_FILENO);
	if (!strcmp(argv[0], "sign"))
		code = command_sign(argc, argv);
	else
		code = command_verify(argc, argv);
	fflush(stdout);
	dup2(old_out, STDOUT_FILENO);
	dup2(old_err, STDERR_FILENO);
	close(old_out);
	close(old_err);
	take(new_out, out, sizeof(out));
	take(new_err, why, sizeof(why));
	return code;
}

#define RUN(...) run((char *[]){__VA_ARGS__, NULL})

static char *arg(const char *text)
{
	static char args[64][128];
	static size_t n;
	char *a = args[n++ % ARRAY_LEN(args)];

	snprintf(a, sizeof(args[0]), "%s", text);
	return a;
}

static int sign_gme(const char *key)
{
	return RUN(arg("sign"), arg("--dialect"), arg("gme"), arg("--key"),
		   arg(key), file);
}

static int verify_gme(const char *key, const char *signature)
{
	return RUN(arg("verify"), arg("--dialect=gme"), arg("--key"), arg(key),
		   arg("--signature"), arg(signature), file);
}

static void assert_says(const char *text)
{
	char *end = strchr(why, '\n');

	if (!strstr(why, text))
		fail_msg("\"%s\" instead of \"%s\"", why, text);
	assert_non_null(end);
	assert_int_equal(end[1], 0);
	assert_string_equal(out, "");
}

static void sign_prints_the_header_as_it_is_sent(void **state)
{
	(void)state;
	put_file(body);
	assert_int_equal(sign_gme(KEY), EXIT_DONE);
	assert_string_equal(out, "Signature: " BASE64 "\n");
	assert_string_equal(why, "");
	assert_int_equal(RUN(arg("sign"), arg("--dialect"), arg("gme"),
			     arg("--key"), arg(KEY), arg("--encoding=hex"),
			     file),
			 EXIT_DONE);
	assert_string_equal(out, "Signature: " HEX "\n");
}

static void sign_warns_of_a_key_that_others_can_see(void **state)
{
	(void)state;
	put_file(body);
	assert_int_equal(sign_gme("test-secret-key"), EXIT_DONE);
	assert_string_equal(out, "Signature: " BASE64 "\n");
	assert_non_null(strstr(why, "warning: the text of --key is visible"));
	assert_null(strstr(why, "test-secret-key"));
}

static void sign_prints_the_parameters_of_a_token(void **state)
{
	(void)state;
	assert_int_equal(RUN(arg("sign"), arg("--dialect"), arg("live"),
			     arg("--key"), arg("env:TAPEOP_TEST_TOKEN"),
			     arg("--request-time"), arg("1669872112")),
			 EXIT_DONE);
	assert_string_equal(out,
			    "Sign=17773bc39a671d7b9aa835458704d2a6db81360a59402"
			    "92b587d6d760d484061&RequestTime=1669872112\n");
}

static void verify_says_ok_in_both_encodings(void **state)
{
	(void)state;
	put_file(body);
	assert_int_equal(verify_gme(KEY, BASE64), EXIT_DONE);
	assert_string_equal(out, "ok\n");
	assert_string_equal(why, "");
	assert_int_equal(verify_gme(KEY, HEX), EXIT_DONE);
	assert_int_equal(RUN(arg("verify"), arg("--dialect=gme"), arg("--key"),
			     arg(KEY), arg("--encoding=base64"),
			     arg("--signature"), arg(HEX), file),
			 EXIT_FAILED);
	assert_says("right, but in hex and not as --encoding says");
}

static void verify_reads_standard_input(void **state)
{
	int old_in = dup(STDIN_FILENO);

	(void)state;
	put_file(body);
	assert_non_null(freopen(file, "r", stdin));
	assert_int_equal(RUN(arg("verify"), arg("--dialect=gme"), arg("--key"),
			     arg(KEY), arg("--signature"), arg(HEX), arg("-")),
			 EXIT_DONE);
	dup2(old_in, STDIN_FILENO);
	close(old_in);
}

static void verify_finds_what_was_done_to_the_body(void **state)
{
	static const char pretty[] =
		"{\n  \"BizID\": 1400000000,\n  \"RoomID\": \"100\",\n"
		"  \"UserID\": \"999\",\n  \"TaskID\": 446946705284000000,\n"
		"  \"RecordMode\": 1,\n  \"Timestamp\": 1675930605,\n"
		"  \"EventType\": 1,\n  \"Detail\": {\n    \"SeqNo\": 0,\n"
		"    \"FileName\": \"1400000000_100_999/2023-02-09-16-16-45_"
		"446946705284000000_audio.mp3\"\n  }\n}";
	char text[1024];
	char of_pretty[64];

	(void)state;
	snprintf(text, sizeof(text), "%s\n", body);
	put_file(text);
	assert_int_equal(verify_gme(KEY, BASE64), EXIT_FAILED);
	assert_says("FILE has a newline at its end that was not signed");
	snprintf(text, sizeof(text), "\xef\xbb\xbf%s", body);
	put_file(text);
	assert_int_equal(verify_gme(KEY, BASE64), EXIT_FAILED);
	assert_says("byte order mark");
	put_file(pretty);
	assert_int_equal(verify_gme(KEY, HEX), EXIT_FAILED);
	assert_says("FILE was re-serialised, the signed body is minified");
	assert_int_equal(sign_gme(KEY), EXIT_DONE);
	snprintf(of_pretty, sizeof(of_pretty), "%.28s",
		 out + strlen("Signature: "));
	put_file(body);
	assert_int_equal(verify_gme(KEY, of_pretty), EXIT_FAILED);
	assert_says("FILE was re-serialised, the signed body is "
		    "pretty-printed");
}

static void verify_finds_what_is_wrong_with_the_key(void **state)
{
	char with_newline[64];

	(void)state;
	put_file(body);
	assert_int_equal(sign_gme("test-secret-key\n"), EXIT_DONE);
	snprintf(with_newline, sizeof(with_newline), "%.28s",
		 out + strlen("Signature: "));
	assert_int_equal(verify_gme(KEY, with_newline), EXIT_FAILED);
	assert_says("the sender's key has a newline at its end");
	setenv("TAPEOP_TEST_OTHER", " test-secret-key ", 1);
	assert_int_equal(verify_gme("env:TAPEOP_TEST_OTHER", BASE64),
			 EXIT_FAILED);
	assert_says("this --key has spaces or newlines around it");
	setenv("TAPEOP_TEST_OTHER", "dGVzdC1zZWNyZXQta2V5", 1);
	assert_int_equal(verify_gme("env:TAPEOP_TEST_OTHER", BASE64),
			 EXIT_FAILED);
	assert_says("decoded from base64");
	setenv("TAPEOP_TEST_OTHER", "746573742d7365637265742d6b6579", 1);
	assert_int_equal(verify_gme("env:TAPEOP_TEST_OTHER", BASE64),
			 EXIT_FAILED);
	assert_says("decoded from hex");
	setenv("TAPEOP_TEST_OTHER", "another", 1);
	assert_int_equal(verify_gme("env:TAPEOP_TEST_OTHER", BASE64),
			 EXIT_FAILED);
	assert_says("wrong: another key, or FILE is not the body");
}

/* printf abc | openssl dgst -sha256 -hmac test-secret-key */
static const char sha256_of_abc[] = "08adc0b8c7015d244af10423ab8940ed"
				    "5105e46543ae0fde9d8d7eec00c04a4a";

static void verify_finds_another_digest_and_what_is_no_signature(void **state)
{
	(void)state;
	put_file("abc");
	assert_int_equal(verify_gme(KEY, "3c64a02b7d10bcf7f9bc8d1bca3a1f9f"
					 "00000000000000000000000000000000"),
			 EXIT_FAILED);
	assert_says("wrong: another key");
	assert_int_equal(verify_gme(KEY, "hello"), EXIT_FAILED);
	assert_says("28 characters of base64 or 40 hex digits, this has 5");
	assert_int_equal(verify_gme(KEY, "Signature: EMTFXJmucWK6euDoP44qXaU="),
			 EXIT_FAILED);
	assert_says("a header's name stands before it");
	assert_int_equal(verify_gme(KEY, "EMTFXJmucWK6euDoP44qXaUF5_-="),
			 EXIT_FAILED);
	assert_says("base64url");
	assert_int_equal(verify_gme(KEY, sha256_of_abc), EXIT_FAILED);
	assert_says("this is HMAC-SHA256, gme uses HMAC-SHA1");
}

static int verify_live(const char *key, const char *sign, const char *time_text)
{
	return RUN(arg("verify"), arg("--dialect=live"), arg("--key"), arg(key),
		   arg("--signature"), arg(sign), arg("--request-time"),
		   arg(time_text));
}

static void verify_tells_a_wrong_token_from_a_late_request(void **state)
{
	const char *key = "env:TAPEOP_TEST_TOKEN";
	const char *sign = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587"
			   "d6d760d484061";
	char now[32];
	char fresh[80];

	(void)state;
	assert_int_equal(verify_live(key, sign, "1669872112"), EXIT_FAILED);
	assert_says("the sign is right, but RequestTime is ");
	assert_says(" s old; receivers take 60 s");
	assert_int_equal(verify_live(key, sign, "1669872113"), EXIT_FAILED);
	assert_says("wrong: another token, or another --request-time");
	assert_int_equal(verify_live(key, "abc", "1669872112"), EXIT_FAILED);
	assert_says("a Sign has 64 hex digits");
	setenv("TAPEOP_TEST_OTHER", "xxxxyyyy ", 1);
	assert_int_equal(
		verify_live("env:TAPEOP_TEST_OTHER", sign, "1669872112"),
		EXIT_FAILED);
	assert_says("this --key has a space or newline at its end");
	snprintf(now, sizeof(now), "%lld", (long long)(clock_unix_ms() / 1000));
	assert_int_equal(RUN(arg("sign"), arg("--dialect=live"), arg("--key"),
			     arg(key), arg("--request-time"), arg(now)),
			 EXIT_DONE);
	snprintf(fresh, sizeof(fresh), "%.64s", out + strlen("Sign="));
	assert_int_equal(verify_live(key, fresh, now), EXIT_DONE);
	assert_string_equal(out, "ok\n");
}

/* The vendor's example, and one of the npm package standardwebhooks. */
#define TRTC_SIGN "kkoFeO3Oh2ZHnjtg8tEAQhtXK16/KI05W3BQff8IvGA="
#define SECRET	  "env:TAPEOP_TEST_SECRET"
#define MSG_ID	  "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define MSG_V1	  "v1,azFbdRUjyw2a8kogoXtMpNy5MbBkDC0BmAIr5bD2uZc="
static const char trtc_body[] =
	"{\n\t\"EventGroupId\":\t2,\n\t\"EventType\":\t204,\n"
	"\t\"CallbackTs\":\t1664209748188,\n\t\"EventInfo\":\t{\n"
	"\t\t\"RoomId\":\t8489,\n\t\t\"EventTs\":\t1664209748,\n"
	"\t\t\"EventMsTs\":\t1664209748180,\n"
	"\t\t\"UserId\":\t\"user_85034614\",\n\t\t\"Reason\":\t0\n\t}\n}";

static int verify_trtc(const char *key, const char *sign)
{
	return RUN(arg("verify"), arg("--dialect=trtc"), arg("--key"), arg(key),
		   arg("--signature"), arg(sign), file);
}

static void trtc_is_signed_and_verified(void **state)
{
	char text[1024];

	(void)state;
	setenv("TAPEOP_TEST_TRTC", "123654", 1);
	put_file(trtc_body);
	assert_int_equal(RUN(arg("sign"), arg("--dialect=trtc"), arg("--key"),
			     arg("env:TAPEOP_TEST_TRTC"), file),
			 EXIT_DONE);
	assert_string_equal(out, "Sign: " TRTC_SIGN "\n");
	assert_int_equal(verify_trtc("env:TAPEOP_TEST_TRTC", TRTC_SIGN),
			 EXIT_DONE);
	assert_string_equal(out, "ok\n");
	assert_int_equal(verify_trtc(KEY, TRTC_SIGN), EXIT_FAILED);
	assert_says("wrong: another key");
	assert_int_equal(verify_trtc("env:TAPEOP_TEST_TRTC", "hello"),
			 EXIT_FAILED);
	assert_says("a Sign is 44 characters of base64, this has 5");
	snprintf(text, sizeof(text), "%s\n", trtc_body);
	put_file(text);
	assert_int_equal(verify_trtc("env:TAPEOP_TEST_TRTC", TRTC_SIGN),
			 EXIT_FAILED);
	assert_says("FILE has a newline at its end that was not signed");
	put_file("abc");
	assert_int_equal(verify_trtc(KEY, sha256_of_abc), EXIT_FAILED);
	assert_says("this is in hex, wanted is base64");
	put_file(body);
	assert_int_equal(verify_trtc(KEY, BASE64), EXIT_FAILED);
	assert_says("this is HMAC-SHA1, trtc uses HMAC-SHA256");
}

static int verify_standard(const char *id, const char *time_text,
			   const char *signature)
{
	return RUN(arg("verify"), arg("--dialect=standard"), arg("--key"),
		   arg(SECRET), arg("--id"), arg(id), arg("--timestamp"),
		   arg(time_text), arg("--signature"), arg(signature), file);
}

static void standard_is_signed_and_verified(void **state)
{
	char now[32], fresh[128];

	(void)state;
	put_file("{\"test\": 2432232314}");
	assert_int_equal(RUN(arg("sign"), arg("--dialect=standard"),
			     arg("--key"), arg(SECRET), arg("--id"),
			     arg(MSG_ID), arg("--timestamp=1614265330"), file),
			 EXIT_DONE);
	assert_string_equal(out, "webhook-id: " MSG_ID
				 "\nwebhook-timestamp: 1614265330"
				 "\nwebhook-signature: " MSG_V1 "\n");
	assert_int_equal(verify_standard(MSG_ID, "1614265330", MSG_V1),
			 EXIT_FAILED);
	assert_says(" s old; receivers take 300 s");
	snprintf(now, sizeof(now), "%lld", (long long)(clock_unix_ms() / 1000));
	assert_int_equal(RUN(arg("sign"), arg("--dialect=standard"),
			     arg("--key"), arg(SECRET), arg("--id"), arg("m"),
			     arg("--timestamp"), arg(now), file),
			 EXIT_DONE);
	snprintf(fresh, sizeof(fresh), "v2,x %.47s", strstr(out, "v1,"));
	assert_int_equal(verify_standard("m", now, fresh), EXIT_DONE);
	assert_string_equal(out, "ok\n");
	assert_int_equal(verify_standard("n", now, fresh), EXIT_FAILED);
	assert_says("wrong: another key, another --id or --timestamp");
}

/* HMACs by Node: key "test secret of 24 bytes!" or its base64 as text, of the
 * body alone and of "timestamp.body". */
static void standard_says_what_was_signed_instead(void **state)
{
	static const struct {
		const char *signature, *says;
	} cases[] = {
		{"v1,YSeELHIjxeQaahAbzPXH5UBR5qC7XMd4UkQfvZGf9Gc=",
		 "the body alone was signed"},
		{"v1,nQk2XdXoc91e3QjNTlAk1FwrlW8HYHQamEZVUrZj9HM=",
		 "\"timestamp.body\" was signed"},
		{"v1,KDbJ8OIqiEAF7NwLX+6es78Ui7Z3WBlrgTJZa/EVa/I=",
		 "the sender uses the key's text, not the bytes"},
		{"azFbdRUjyw2a8kogoXtMpNy5MbBkDC0BmAIr5bD2uZc=",
		 "\"v1,\" is missing before the base64"},
		{"v1a,AAAA", "the list has v1a only"},
		{"hello", "a webhook-signature is \"v1,\" and base64"},
	};

	(void)state;
	put_file("{\"test\": 2432232314}");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(verify_standard(MSG_ID, "1614265330",
						 cases[i].signature),
				 EXIT_FAILED);
		assert_says(cases[i].says);
	}
	put_file("{\"test\": 2432232314}\n");
	assert_int_equal(verify_standard(MSG_ID, "1614265330", MSG_V1),
			 EXIT_FAILED);
	assert_says("FILE has a newline at its end that was not signed");
	put_file("{\"test\":2432232314}");
	assert_int_equal(verify_standard(MSG_ID, "1614265330", MSG_V1),
			 EXIT_FAILED);
	assert_says("FILE was re-serialised");
}

static void wrong_usage_is_said_in_one_line(void **state)
{
	char *sign = arg("sign"), *verify = arg("verify");
	char *gme = arg("--dialect=gme"), *live = arg("--dialect=live");
	char *key = arg("--key=" KEY);
	const struct {
		char *argv[8];
		const char *says;
	} cases[] = {
		{{sign}, "--dialect must be gme, live, trtc or standard"},
		{{sign, arg("--dialect=x")},
		 "--dialect must be gme, live, trtc or standard"},
		{{sign, gme}, "--key is missing"},
		{{sign, gme, key}, "FILE is missing"},
		{{sign, gme, key, file, file}, "one FILE only"},
		{{sign, gme, arg("--key="), file}, "--key must not be empty"},
		{{sign, gme, key, file, arg("--key")}, "--key needs a value"},
		{{sign, gme, key, file, arg("--nonsense")},
		 "unknown option --nonsense (see `tapeop sign --help`)"},
		{{sign, gme, key, file, arg("--encoding=b64")},
		 "--encoding must be base64 or hex, is b64"},
		{{sign, live, key, arg("--encoding=hex")},
		 "--encoding is for --dialect gme only"},
		{{sign, gme, key, file, arg("--request-time=1")},
		 "--request-time is for --dialect live only"},
		{{sign, live, key, arg("--request-time=now")},
		 "--request-time must be whole seconds since 1970, is now"},
		{{sign, live, key, arg("--signature=x")},
		 "--signature is for `tapeop verify`"},
		{{verify, gme, key, file}, "--signature is missing"},
		{{verify, live, key, arg("--signature=x")},
		 "--request-time is missing"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *argv[8];

		memcpy(argv, cases[i].argv, sizeof(argv));
		assert_int_equal(run(argv), EXIT_USAGE);
		assert_says(cases[i].says);
	}
}

static void what_cannot_be_read_is_named(void **state)
{
	(void)state;
	assert_int_equal(RUN(arg("sign"), arg("--dialect=gme"),
			     arg("--key=" KEY), arg("/nonexistent/body")),
			 EXIT_FAILED);
	assert_says("/nonexistent/body: No such file or directory");
	assert_int_equal(RUN(arg("sign"), arg("--dialect=gme"),
			     arg("--key=" KEY), arg("/")),
			 EXIT_FAILED);
	assert_says("/: Is a directory");
	assert_int_equal(RUN(arg("sign"), arg("--dialect=gme"),
			     arg("--key=env:TAPEOP_TEST_NONE"), file),
			 EXIT_USAGE);
	assert_says("--key: the environment variable TAPEOP_TEST_NONE is not "
		    "set");
	assert_int_equal(RUN(arg("sign"), arg("--dialect=gme"),
			     arg("--key=" KEY), arg("/dev/zero")),
			 EXIT_FAILED);
	assert_says("/dev/zero has more than 10 MiB");
}

static void help_is_printed_for_both(void **state)
{
	(void)state;
	assert_int_equal(RUN(arg("sign"), arg("--help")), EXIT_DONE);
	assert_non_null(strstr(out, "usage: tapeop sign "));
	assert_int_equal(RUN(arg("verify"), arg("--help")), EXIT_DONE);
	assert_non_null(strstr(out, "usage: tapeop verify "));
	assert_string_equal(why, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sign_prints_the_header_as_it_is_sent),
		cmocka_unit_test(sign_warns_of_a_key_that_others_can_see),
		cmocka_unit_test(sign_prints_the_parameters_of_a_token),
		cmocka_unit_test(verify_says_ok_in_both_encodings),
		cmocka_unit_test(verify_reads_standard_input),
		cmocka_unit_test(verify_finds_what_was_done_to_the_body),
		cmocka_unit_test(verify_finds_what_is_wrong_with_the_key),
		cmocka_unit_test(
			verify_finds_another_digest_and_what_is_no_signature),
		cmocka_unit_test(
			verify_tells_a_wrong_token_from_a_late_request),
		cmocka_unit_test(trtc_is_signed_and_verified),
		cmocka_unit_test(standard_is_signed_and_verified),
		cmocka_unit_test(standard_says_what_was_signed_instead),
		cmocka_unit_test(wrong_usage_is_said_in_one_line),
		cmocka_unit_test(what_cannot_be_read_is_named),
		cmocka_unit_test(help_is_printed_for_both),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
