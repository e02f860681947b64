/** test/unit/wire_usersig_test.c -- tickets of users (UserSig, TLS 2.0). */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/usersig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "oom.h"
#include "wire/sig.h"

enum { MADE = 1700000000, APP = 1400000000 };

/* Made with the vendor's tls-sig-api-v2 1.0.2 for node, whose clock stood at
 * 1700000000: genUserSig("administrator", 86400) with the key "testkey". */
#define TICKET                                                             \
	"eJxVykELwiAcBfDv8r8Ww8XYQugQgUQIWfPUzdDiT0zNabii7x6sdejd3u*9F0je" \
	"Fg8TgMKiIDAfO2pjI15wZKU7tNjHoKIL06HXN*U9aqBlRaZ8l4idAVo2-2qyx2CA" \
	"LuvqRz1egQKRkbmc3LM9zxTjQhzScOckn5rdejMkYfRRMrvfhpqs4P0BxoQ0gA__"

/* genPrivateMapKey("user_1-A", 3600, 10000, 255) */
#define MAP_KEY                                                            \
	"eJxVjbsOgkAURP-ltiqwvlY2obiiqBEtFNHYGITFrAjBRRBi-HcjauFUM2eSmQc4" \
	"9lopuAQGbUWDZp1FwJObCEWN84zLA2nht8uCyEtTEQAjXe2rT3MTMQdG6D-lZSok" \
	"B9bp-8h78JiHwAARZ8FuefEvg9LeWI4fdRERk-HEddTybUcq1jKM3704AYMqjiO6" \
	"98Oh1XDoaiJM3dua1949P59o5sYVKeYLS59Kd4sGPF*VgENH"

static const struct usersig_want admin = {"testkey", APP, "administrator",
					  MADE};

static enum usersig_fault verify(const struct usersig_want *w, const char *text)
{
	struct err err = {0};
	enum usersig_fault f = usersig_verify(w, text, NULL, &err);

	if (f)
		assert_true(err.code && err.text[0]);
	else
		assert_int_equal(err.code, 0);
	return f;
}

/** Pack what is to be JSON as a ticket. */
static char *pack(const char *json)
{
	static char text[3 * USERSIG_TEXT_MAX];
	static uint8_t packed[2 * USERSIG_TEXT_MAX];
	uLongf len = sizeof(packed);

	assert_int_equal(
		compress2(packed, &len, (const Bytef *)json, strlen(json), 9),
		Z_OK);
	sig_base64(packed, len, text);
	for (char *p = text; *p; p++)
		*p = *p == '+' ? '*' : *p == '/' ? '-' : *p == '=' ? '_' : *p;
	return text;
}

static void tickets_of_the_vendor_are_taken(void **state)
{
	struct usersig_want w = admin;
	struct err err = {0};
	struct usersig u;

	(void)state;
	assert_int_equal(usersig_verify(&w, TICKET, &u, &err), USERSIG_OK);
	assert_string_equal(u.identifier, "administrator");
	assert_int_equal(u.sdkappid, APP);
	assert_int_equal(u.time_s, MADE);
	assert_int_equal(u.expire_s, 86400);
	assert_string_equal(u.userbuf, "");
	w.identifier = "user_1-A";
	assert_int_equal(usersig_verify(&w, MAP_KEY, &u, &err), USERSIG_OK);
	assert_int_equal(u.expire_s, 3600);
	assert_string_equal(u.userbuf,
			    "AAAIdXNlcl8xLUFTck4AAAAnEGVT/xAAAAD/AAAAAA==");
}

static void what_is_made_is_taken_and_says_the_same(void **state)
{
	const struct usersig made[] = {
		{"administrator", APP, MADE, 86400, ""},
		{"user_1-A", 20000001, MADE, 1, "AAAI"},
		{"\xe6\xbc\xa2 \"quoted\\\" #1", 0, 0, INT64_C(253402300799),
		 ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(made); i++) {
		struct usersig_want w = {"key", made[i].sdkappid,
					 made[i].identifier, made[i].time_s};
		struct err err = {0};
		struct usersig u;
		struct buf b;

		buf_init(&b, USERSIG_TEXT_MAX);
		assert_int_equal(usersig_make(&made[i], "key", &b), 0);
		assert_null(strpbrk(buf_str(&b), "+/="));
		assert_int_equal(usersig_verify(&w, buf_str(&b), &u, &err), 0);
		assert_string_equal(u.identifier, made[i].identifier);
		assert_string_equal(u.userbuf, made[i].userbuf);
		assert_int_equal(u.sdkappid, made[i].sdkappid);
		assert_int_equal(u.time_s, made[i].time_s);
		assert_int_equal(u.expire_s, made[i].expire_s);
		buf_fini(&b);
	}
}

static void our_signature_is_the_published_one(void **state)
{
	struct usersig u = {"administrator", APP, MADE, 86400, ""};
	uint8_t packed[USERSIG_TEXT_MAX];
	char json[USERSIG_JSON_MAX] = "";
	uLongf len = sizeof(json) - 1;
	size_t packed_len;
	struct buf b;

	(void)state;
	buf_init(&b, USERSIG_TEXT_MAX);
	assert_int_equal(usersig_make(&u, "testkey", &b), 0);
	for (size_t i = 0; i < b.len; i++)
		b.data[i] = b.data[i] == '*'   ? '+'
			    : b.data[i] == '-' ? '/'
			    : b.data[i] == '_' ? '='
					       : b.data[i];
	assert_int_equal(sig_base64_parse(buf_str(&b), packed, sizeof(packed),
					  &packed_len),
			 0);
	assert_int_equal(uncompress((Bytef *)json, &len, packed, packed_len),
			 Z_OK);
	assert_string_equal(json,
			    "{\"TLS.ver\":\"2.0\","
			    "\"TLS.identifier\":\"administrator\","
			    "\"TLS.sdkappid\":1400000000,"
			    "\"TLS.time\":1700000000,\"TLS.expire\":86400,"
			    "\"TLS.sig\":\"0TtFoxuozSb+aFLPPQuyqL0xZ7JACyuPed"
			    "RTFnOHr60=\"}");
	buf_fini(&b);
}

static void another_key_user_or_application_is_told_apart(void **state)
{
	struct usersig_want w = admin;

	(void)state;
	w.key = "testkex";
	assert_int_equal(verify(&w, TICKET), USERSIG_WRONG_KEY);
	w = admin;
	w.identifier = "administrato";
	assert_int_equal(verify(&w, TICKET), USERSIG_OTHER_USER);
	w = admin;
	w.sdkappid++;
	assert_int_equal(verify(&w, TICKET), USERSIG_OTHER_APP);
}

static void an_empty_key_proves_nothing(void **state)
{
	struct usersig u = {"administrator", APP, MADE, 86400, ""};
	struct usersig_want w = admin;
	struct buf b;

	(void)state;
	w.key = "";
	buf_init(&b, USERSIG_TEXT_MAX);
	assert_int_equal(usersig_make(&u, "", &b), 0);
	assert_int_equal(verify(&w, buf_str(&b)), USERSIG_WRONG_KEY);
	buf_fini(&b);
}

static void a_ticket_is_good_from_when_it_was_made_until_it_expires(
	void **state)
{
	struct usersig_want w = admin;

	(void)state;
	w.now_unix_s = MADE + 86400;
	assert_int_equal(verify(&w, TICKET), USERSIG_OK);
	w.now_unix_s++;
	assert_int_equal(verify(&w, TICKET), USERSIG_EXPIRED);
	w.now_unix_s = MADE - USERSIG_AHEAD_MAX_S;
	assert_int_equal(verify(&w, TICKET), USERSIG_OK);
	w.now_unix_s--;
	assert_int_equal(verify(&w, TICKET), USERSIG_NOT_YET);
	/* Whose clock is right is only told to who has the key. */
	w.key = "other";
	assert_int_equal(verify(&w, TICKET), USERSIG_WRONG_KEY);
}

static void only_its_own_base64_is_read(void **state)
{
	static const char *const bad[] = {
		"", "eJxV=", "eJx+", "eJx/", "eJx", "eJxV ", "eJ!V", "____",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(verify(&admin, bad[i]), USERSIG_NOT_BASE64);
}

static void only_a_whole_zlib_stream_is_read(void **state)
{
	char text[sizeof(TICKET) + 8] = TICKET;
	size_t len = strlen(TICKET);

	(void)state;
	assert_int_equal(verify(&admin, "AAAA"), USERSIG_NOT_ZLIB);
	for (size_t cut = 4; cut < len; cut += 4) {
		text[cut] = 0;
		assert_int_equal(verify(&admin, text), USERSIG_NOT_ZLIB);
		text[cut] = TICKET[cut];
	}
	/* the padding, then four characters with bytes of their own */
	memcpy(text + len - 2, "AAAAAA", 7);
	assert_int_equal(verify(&admin, text), USERSIG_NOT_ZLIB);
}

static void no_more_than_4_kib_are_inflated(void **state)
{
	static char json[1 << 16];
	static char text[USERSIG_TEXT_MAX + 2];

	(void)state;
	memset(json, ' ', sizeof(json) - 1);
	assert_int_equal(verify(&admin, pack(json)), USERSIG_TOO_LONG);
	json[USERSIG_JSON_MAX + 1] = 0;
	assert_int_equal(verify(&admin, pack(json)), USERSIG_TOO_LONG);
	json[USERSIG_JSON_MAX] = 0;
	assert_int_equal(verify(&admin, pack(json)), USERSIG_MALFORMED);
	memset(text, 'A', sizeof(text) - 1);
	assert_int_equal(verify(&admin, text), USERSIG_TOO_LONG);
}

#define MAC "0TtFoxuozSb+aFLPPQuyqL0xZ7JACyuPedRTFnOHr60="
#define FIELDS(ver, id, app, time, expire, sig)                                \
	"{\"TLS.ver\":" ver ",\"TLS.identifier\":" id ",\"TLS.sdkappid\":" app \
	",\"TLS.time\":" time ",\"TLS.expire\":" expire ",\"TLS.sig\":" sig    \
	"}"
#define GOOD_ID "\"administrator\""

static const struct {
	const char *json;
	const char *field;
} malformed[] = {
	{"", ""},
	{"x", ""},
	{"[]", ""},
	{"{}", "TLS.ver"},
	{"{\"TLS.ver\":\"2.0\",\"TLS.ver\":\"2.0\"}", ""},
	{FIELDS("\"1.0\"", GOOD_ID, "1400000000", "1700000000", "86400",
		"\"" MAC "\""),
	 "TLS.ver"},
	{FIELDS("2.0", GOOD_ID, "1400000000", "1700000000", "86400",
		"\"" MAC "\""),
	 "TLS.ver"},
	{FIELDS("\"2.0\"", "1", "1400000000", "1700000000", "86400",
		"\"" MAC "\""),
	 "TLS.identifier"},
	{FIELDS("\"2.0\"", "\"\"", "1400000000", "1700000000", "86400",
		"\"" MAC "\""),
	 "TLS.identifier"},
	{FIELDS("\"2.0\"", "\"a\\nTLS.sdkappid:1\"", "1400000000", "1700000000",
		"86400", "\"" MAC "\""),
	 "TLS.identifier"},
	{FIELDS("\"2.0\"", GOOD_ID, "\"1400000000\"", "1700000000", "86400",
		"\"" MAC "\""),
	 "TLS.sdkappid"},
	{FIELDS("\"2.0\"", GOOD_ID, "-1", "1700000000", "86400", "\"" MAC "\""),
	 "TLS.sdkappid"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1.7", "86400",
		"\"" MAC "\""),
	 "TLS.time"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "9223372036854775807",
		"86400", "\"" MAC "\""),
	 "TLS.time"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000", "-1",
		"\"" MAC "\""),
	 "TLS.expire"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000",
		"9223372036854775807", "\"" MAC "\""),
	 "TLS.expire"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000",
		"86400,\"TLS.userbuf\":\"\"", "\"" MAC "\""),
	 "TLS.userbuf"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000",
		"86400,\"TLS.userbuf\":{}", "\"" MAC "\""),
	 "TLS.userbuf"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000", "86400",
		"\"0Ttf\""),
	 "TLS.sig"},
	{FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000", "86400",
		"null"),
	 "TLS.sig"},
};

static void every_malformed_field_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		struct err err = {0};

		assert_int_equal(usersig_verify(&admin, pack(malformed[i].json),
						NULL, &err),
				 USERSIG_MALFORMED);
		assert_string_equal(err.field, malformed[i].field);
		assert_true(err.text[0]);
	}
	assert_int_equal(verify(&admin, pack(FIELDS("\"2.0\"", GOOD_ID,
						    "1400000000", "1700000000",
						    "86400", "\"" MAC "\""))),
			 USERSIG_OK);
}

static void other_fields_do_not_matter(void **state)
{
	(void)state;
	assert_int_equal(
		verify(&admin, pack(FIELDS("\"2.0\"", GOOD_ID, "1400000000",
					   "1700000000",
					   "86400,\"x\":1,\"\":2,\"ABC.time\":"
					   "3,\"TLS.\":4,\"TLS.more\":5",
					   "\"" MAC "\""))),
		USERSIG_OK);
}

static void every_field_is_signed(void **state)
{
	static const char *const changed[] = {
		FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000001", "86400",
		       "\"" MAC "\""),
		FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000", "86401",
		       "\"" MAC "\""),
		FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000",
		       "86400,\"TLS.userbuf\":\"AAAA\"", "\"" MAC "\""),
		FIELDS("\"2.0\"", GOOD_ID, "1400000000", "1700000000", "86400",
		       "\"0TtFoxuozSb+aFLPPQuyqL0xZ7JACyuPedRTFnOHr6w=\""),
	};
	struct usersig_want w = admin;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(changed); i++)
		assert_int_equal(verify(&admin, pack(changed[i])),
				 USERSIG_WRONG_KEY);
	w.identifier = "root";
	assert_int_equal(
		verify(&w, pack(FIELDS("\"2.0\"", "\"root\"", "1400000000",
				       "1700000000", "86400", "\"" MAC "\""))),
		USERSIG_WRONG_KEY);
	w = admin;
	w.sdkappid = 1;
	assert_int_equal(
		verify(&w, pack(FIELDS("\"2.0\"", GOOD_ID, "1", "1700000000",
				       "86400", "\"" MAC "\""))),
		USERSIG_WRONG_KEY);
}

static void what_would_not_be_taken_is_not_made(void **state)
{
	static const struct usersig bad[] = {
		{"", APP, MADE, 1, ""},
		{"a\nb", APP, MADE, 1, ""},
		{"a", APP, MADE, 1, "x\n"},
		{"a", -1, MADE, 1, ""},
		{"a", APP, -1, 1, ""},
		{"a", APP, INT64_C(253402300800), 1, ""},
		{"a", APP, MADE, -1, ""},
		{"a", APP, MADE, INT64_C(253402300800), ""},
	};
	static const struct usersig good = {"a", APP, MADE, 1, ""};
	struct buf b;

	(void)state;
	buf_init(&b, 32);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(usersig_make(&bad[i], "key", &b), EINVAL);
	assert_int_equal(usersig_make(&good, "key", &b), EMSGSIZE);
	buf_fini(&b);
}

static void the_longest_fields_fit(void **state)
{
	struct usersig u = {.sdkappid = INT64_MAX,
			    .time_s = INT64_C(253402300799),
			    .expire_s = INT64_C(253402300799)};
	struct usersig_want w = {"key", u.sdkappid, u.identifier, u.time_s};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < USERSIG_IDENTIFIER_MAX; i++)
		u.identifier[i] = (char)('!' + i * 7 % 90);
	for (size_t i = 0; i < USERSIG_USERBUF_MAX; i++)
		u.userbuf[i] = (char)('A' + i * i % 57);
	buf_init(&b, USERSIG_TEXT_MAX);
	assert_int_equal(usersig_make(&u, "key", &b), 0);
	assert_int_equal(verify(&w, buf_str(&b)), USERSIG_OK);
	buf_fini(&b);
}

static void make_and_verify(void)
{
	struct usersig u = {"administrator", APP, MADE, 86400, "AAAA"};
	struct err err = {0};
	enum usersig_fault f = usersig_verify(&admin, TICKET, NULL, &err);
	struct buf b;
	int bad;

	assert_true(f == USERSIG_OK || f == USERSIG_NO_MEMORY);
	buf_init(&b, USERSIG_TEXT_MAX);
	bad = usersig_make(&u, "testkey", &b);
	assert_true(!bad || bad == ENOMEM);
	buf_fini(&b);
}

static void every_failed_allocation_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(make_and_verify);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tickets_of_the_vendor_are_taken),
		cmocka_unit_test(what_is_made_is_taken_and_says_the_same),
		cmocka_unit_test(our_signature_is_the_published_one),
		cmocka_unit_test(another_key_user_or_application_is_told_apart),
		cmocka_unit_test(an_empty_key_proves_nothing),
		cmocka_unit_test(
			a_ticket_is_good_from_when_it_was_made_until_it_expires),
		cmocka_unit_test(only_its_own_base64_is_read),
		cmocka_unit_test(only_a_whole_zlib_stream_is_read),
		cmocka_unit_test(no_more_than_4_kib_are_inflated),
		cmocka_unit_test(every_malformed_field_is_named),
		cmocka_unit_test(other_fields_do_not_matter),
		cmocka_unit_test(every_field_is_signed),
		cmocka_unit_test(what_would_not_be_taken_is_not_made),
		cmocka_unit_test(the_longest_fields_fit),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
