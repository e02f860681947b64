/** test/unit/wire_tc3_test.c -- signatures v3 of the Tencent Cloud API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tc3.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <cmocka.h>

#include "oom.h"

#define STARS "********************************"
#define CVM_BODY                                                      \
	"{\"Limit\": 1, \"Filters\": [{\"Values\": [\"\\u672a\\u547d" \
	"\\u540d\"], \"Name\": \"instance-name\"}]}"
#define GME_BODY \
	"{\"BizId\": 1400000000, \"RoomId\": \"100\", \"RecordMode\": 2}"

enum { CVM_TIME = 1551113065, NODE_TIME = 1795748459, HEADERS_MAX = 8 };

/** A request with its headers, and whose key it has. */
struct sample {
	struct tc3_request r;
	struct {
		const char *name, *value;
	} header[HEADERS_MAX];
	const char *key;
};

static const char *header(const char *name, void *arg)
{
	const struct sample *s = arg;

	for (size_t i = 0; i < HEADERS_MAX && s->header[i].name; i++)
		if (!strcasecmp(s->header[i].name, name))
			return s->header[i].value;
	return NULL;
}

/** Give header `name` another value; NULL takes it away. */
static void set(struct sample *s, const char *name, const char *value)
{
	size_t at = 0;

	while (at < HEADERS_MAX && s->header[at].name &&
	       strcasecmp(s->header[at].name, name) != 0)
		at++;
	assert_true(at < HEADERS_MAX);
	s->header[at].name = value ? name : "gone";
	s->header[at].value = value;
}

static struct tc3_request request(const char *method, const char *query,
				  const char *body, int64_t now_s)
{
	return (struct tc3_request){
		.method = method,
		.path = "/",
		.query = query,
		.header = header,
		.body = body,
		.len = strlen(body),
		.now_unix_s = now_s,
	};
}

/** Tencent Cloud API 3.0, "Signature v3", of 2019. */
static struct sample docs_2019(void)
{
	return (struct sample){
		.r = request("POST", "", CVM_BODY, CVM_TIME),
		.header = {{"Content-Type", "application/json; charset=utf-8"},
			   {"Host", "cvm.tencentcloudapi.com"},
			   {"X-TC-Timestamp", "1551113065"},
			   {"X-TC-Action", "DescribeInstances"},
			   {"Authorization",
			    "TC3-HMAC-SHA256 Credential="
			    "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/"
			    "cvm/tc3_request, SignedHeaders=content-type;host, "
			    "Signature=72e494ea809ad7a8c8f7a4507b9bddcb"
			    "aa8e581f516e8da2f66e2c5a96525168"}},
		.key = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
	};
}

/** The same page as it is now: a third header, its value in lower case. */
static struct sample docs_now(void)
{
	struct sample s = docs_2019();

	set(&s, "Authorization",
	    "TC3-HMAC-SHA256 Credential=AKID" STARS "/2019-02-25/cvm/"
	    "tc3_request, SignedHeaders=content-type;host;x-tc-action, "
	    "Signature=10b1a37a7301a02ca19a647ad722d5e4"
	    "3b4b3cff309d421d85b46093f6ab6c4f");
	s.key = STARS;
	return s;
}

/** Computed from the documented text with Python's hmac and hashlib. */
static struct sample gme(void)
{
	return (struct sample){
		.r = request("POST", "", GME_BODY, 1675930605),
		.header = {{"content-type", "application/json"},
			   {"host", "gme.tencentcloudapi.com"},
			   {"x-tc-timestamp", "1675930605"},
			   {"authorization",
			    "TC3-HMAC-SHA256 Credential=AKID" STARS
			    "/2023-02-09/gme/tc3_request, "
			    "SignedHeaders=content-type;host, "
			    "Signature=4659a25a59d3db0f74acfb011f773c9a"
			    "b54450aae819bb425cac753ec0d75166"}},
		.key = STARS,
	};
}

/* What tencentcloud-sdk-nodejs 4.1.220 sent to http://localhost:18080; it
 * signs the host without the port. */

static struct sample node_post(void)
{
	static const char body[] =
		"{\"BizId\":1400000000,\"RoomId\":\"a b&c=\xe6\xbc\xa2\","
		"\"RecordMode\":2,\"SubscribeRecordUserIds\":"
		"{\"SubscribeUserIds\":[\"1\",\"2\"]}}";

	return (struct sample){
		.r = request("POST", "", body, NODE_TIME),
		.header = {{"content-type", "application/json"},
			   {"host", "localhost:18080"},
			   {"x-tc-timestamp", "1795748459"},
			   {"authorization",
			    "TC3-HMAC-SHA256 Credential=AKIDexample/2026-11-27/"
			    "localhost:18080/tc3_request, "
			    "SignedHeaders=content-type;host, "
			    "Signature=a8a5645993dbe17cfcbb1b1193d0f95d"
			    "602b8c641acf16ccba485b53eb11b04e"}},
		.key = "test-secret-key",
	};
}

static struct sample node_get(void)
{
	struct sample s = node_post();

	s.r = request("GET",
		      "BizId=1400000000&RoomId=a%20b%26c%3D%E6%BC%A2"
		      "&RecordMode=2"
		      "&SubscribeRecordUserIds.SubscribeUserIds.0=1"
		      "&SubscribeRecordUserIds.SubscribeUserIds.1=2",
		      "", NODE_TIME);
	set(&s, "content-type", "application/x-www-form-urlencoded");
	set(&s, "authorization",
	    "TC3-HMAC-SHA256 Credential=AKIDexample/2026-11-27/localhost:18080/"
	    "tc3_request, SignedHeaders=content-type;host, "
	    "Signature=fbc00b4e41ffed219e90386c7247ece3"
	    "3f5e5e14d50608640089325732b98fca");
	return s;
}

static enum tc3_fault check(struct sample *s)
{
	struct tc3_auth auth;
	enum tc3_fault f;

	s->r.header_arg = s;
	f = tc3_parse(&s->r, &auth);
	return f ? f : tc3_verify(&s->r, &auth, s->key);
}

/** Sign anew; the sample keeps the text, which is good for one sample. */
static void sign(struct sample *s, const char *headers)
{
	static char text[1024];
	struct tc3_signer signer = {"AKIDexample", s->key, "gme", headers};
	struct buf b;

	s->r.header_arg = s;
	buf_init(&b, sizeof(text) - 1);
	assert_int_equal(tc3_sign(&s->r, &signer, &b), 0);
	snprintf(text, sizeof(text), "%s", buf_str(&b));
	set(s, "Authorization", text);
	buf_fini(&b);
}

static void published_requests_are_taken(void **state)
{
	struct sample samples[] = {docs_2019(), docs_now(), gme(), node_post(),
				   node_get()};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		assert_int_equal(check(&samples[i]), TC3_OK);
}

static void parts_of_authorization_are_read(void **state)
{
	struct sample s = node_post();
	struct tc3_auth a;

	(void)state;
	s.r.header_arg = &s;
	assert_int_equal(tc3_parse(&s.r, &a), TC3_OK);
	assert_string_equal(a.secret_id, "AKIDexample");
	assert_string_equal(a.date, "2026-11-27");
	assert_string_equal(a.service, "localhost:18080");
	assert_string_equal(a.signed_headers, "content-type;host");
	assert_string_equal(a.timestamp, "1795748459");
	assert_int_equal(a.timestamp_s, NODE_TIME);
	assert_int_equal(a.signature[0], 0xa8);
	assert_int_equal(a.signature[31], 0x4e);
}

static void parts_may_come_in_any_order_and_with_any_spaces(void **state)
{
	struct sample s = gme();

	(void)state;
	set(&s, "authorization",
	    "TC3-HMAC-SHA256   Signature=4659A25A59D3DB0F74ACFB011F773C9A"
	    "b54450aae819bb425cac753ec0d75166,SignedHeaders=content-type;host ,"
	    "\tCredential=AKID" STARS "/2023-02-09/gme/tc3_request ");
	assert_int_equal(check(&s), TC3_OK);
}

static void our_own_signature_is_the_published_one(void **state)
{
	struct sample s = docs_2019();
	struct tc3_signer signer = {"AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
				    s.key, "cvm", "content-type;host"};
	struct buf b;

	(void)state;
	s.r.header_arg = &s;
	buf_init(&b, 1024);
	assert_int_equal(tc3_sign(&s.r, &signer, &b), 0);
	assert_string_equal(buf_str(&b), header("authorization", &s));
	buf_fini(&b);
}

static void any_change_of_what_is_signed_is_noticed(void **state)
{
	struct sample s = docs_now();

	(void)state;
	s.r.method = "PUT";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	s.r.path = "/x";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	s.r.query = "a=b";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	s.r.len--;
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	set(&s, "X-TC-Action", "StopInstances");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	set(&s, "Host", "gme.tencentcloudapi.com");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	set(&s, "X-TC-Timestamp", "1551113066");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	s.key = "another key";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs_now();
	s.r.path = "";
	assert_int_equal(check(&s), TC3_OK);
}

static void every_digit_of_the_signature_counts(void **state)
{
	struct sample s = gme();
	struct tc3_auth a;

	(void)state;
	s.r.header_arg = &s;
	assert_int_equal(tc3_parse(&s.r, &a), TC3_OK);
	for (size_t i = 0; i < sizeof(a.signature); i++) {
		a.signature[i] ^= 1;
		assert_int_equal(tc3_verify(&s.r, &a, s.key),
				 TC3_SIGNATURE_WRONG);
		a.signature[i] ^= 1;
	}
	assert_int_equal(tc3_verify(&s.r, &a, s.key), TC3_OK);
}

static void an_empty_key_proves_nothing(void **state)
{
	struct sample s = gme();

	(void)state;
	s.key = "";
	sign(&s, "content-type;host");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
}

static void host_may_be_signed_with_and_without_its_port(void **state)
{
	static const char *const hosts[][2] = {
		{"tapeop.test:9000", "tapeop.test"},
		{"[::1]:9000", "[::1]"},
		{"127.0.0.1:80", "127.0.0.1"},
		{"tapeop.test", "tapeop.test"},
	};
	struct sample s = gme();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		set(&s, "host", hosts[i][0]);
		sign(&s, "content-type;host");
		assert_int_equal(check(&s), TC3_OK);
		set(&s, "host", hosts[i][1]);
		sign(&s, "content-type;host");
		set(&s, "host", hosts[i][0]);
		assert_int_equal(check(&s), TC3_OK);
		set(&s, "host", "other.test:9000");
		assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	}
}

static void values_may_be_signed_as_they_are_or_in_lower_case(void **state)
{
	struct sample s = gme();

	(void)state;
	set(&s, "content-type", "multipart/form-data; boundary=AbC");
	sign(&s, "content-type;host");
	assert_int_equal(check(&s), TC3_OK);
	set(&s, "content-type", "\t multipart/form-data; boundary=AbC ");
	assert_int_equal(check(&s), TC3_OK);
	set(&s, "content-type", "multipart/form-data; boundary=abc");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	sign(&s, "content-type;host");
	set(&s, "content-type", "Multipart/Form-Data; boundary=ABC");
	assert_int_equal(check(&s), TC3_OK);
}

static void the_habits_of_clients_may_come_together(void **state)
{
	static const char *const types[] = {"Text/X; boundary=A:bC",
					    "text/x; boundary=a:bc"};
	static const char *const hosts[] = {"tapeop.test:9000", "tapeop.test"};
	struct sample s = gme();

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		set(&s, "content-type", types[i / 2]);
		set(&s, "host", hosts[i % 2]);
		sign(&s, "content-type;host");
		set(&s, "content-type", types[0]);
		set(&s, "host", hosts[0]);
		assert_int_equal(check(&s), TC3_OK);
	}
}

static void an_unsigned_payload_is_not_covered(void **state)
{
	struct sample s = gme();

	(void)state;
	set(&s, "x-tc-content-sha256", "UNSIGNED-PAYLOAD");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	sign(&s, "content-type;host");
	s.r.body = "other";
	s.r.len = 5;
	assert_int_equal(check(&s), TC3_OK);
	set(&s, "x-tc-content-sha256", "unsigned-payload");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
}

static void a_request_is_good_for_five_minutes_to_either_side(void **state)
{
	struct sample s = gme();
	int64_t made_s = s.r.now_unix_s;

	(void)state;
	s.r.now_unix_s = made_s + 300;
	assert_int_equal(check(&s), TC3_OK);
	s.r.now_unix_s = made_s - 300;
	assert_int_equal(check(&s), TC3_OK);
	s.r.now_unix_s = made_s + 301;
	assert_int_equal(check(&s), TC3_EXPIRED);
	s.r.now_unix_s = made_s - 301;
	assert_int_equal(check(&s), TC3_EXPIRED);
}

static void the_date_is_that_of_the_timestamp_in_utc(void **state)
{
	struct sample s = gme();

	(void)state;
	/* Wherever the machine is: here it is the 10th already. */
	setenv("TZ", "CST-8", 1);
	tzset();
	/* 2023-02-09T23:59:59Z and a second later */
	s.r.now_unix_s = 1675987199;
	set(&s, "x-tc-timestamp", "1675987199");
	sign(&s, "content-type;host");
	assert_non_null(strstr(header("authorization", &s), "/2023-02-09/"));
	assert_int_equal(check(&s), TC3_OK);
	set(&s, "x-tc-timestamp", "1675987200");
	assert_int_equal(check(&s), TC3_DATE_OTHER);
	s.r.now_unix_s++;
	sign(&s, "content-type;host");
	assert_non_null(strstr(header("authorization", &s), "/2023-02-10/"));
	assert_int_equal(check(&s), TC3_OK);
}

#define HEX64 "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
#define ALG   "TC3-HMAC-SHA256 "
#define CRED  "Credential=AKID/2023-02-09/gme/tc3_request"
#define NAMES "SignedHeaders=content-type;host"
#define SIGN  "Signature=" HEX64
#define ID127                                                              \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
	const char *authorization;
	enum tc3_fault fault;
} malformed[] = {
	{NULL, TC3_AUTHORIZATION_MISSING},
	{"", TC3_AUTHORIZATION_MISSING},
	{"SKIP", TC3_ALGORITHM_UNKNOWN},
	{"Bearer x", TC3_ALGORITHM_UNKNOWN},
	{"TC3-HMAC-SHA256", TC3_ALGORITHM_UNKNOWN},
	{"TC3-HMAC-SHA256X " CRED "," NAMES "," SIGN, TC3_ALGORITHM_UNKNOWN},
	{ALG, TC3_CREDENTIAL_MISSING},
	{ALG NAMES "," SIGN, TC3_CREDENTIAL_MISSING},
	{ALG CRED "," SIGN, TC3_SIGNED_HEADERS_MISSING},
	{ALG CRED "," NAMES, TC3_SIGNATURE_MISSING},
	{ALG CRED "," NAMES "," SIGN ",a=b", TC3_PART_UNKNOWN},
	{ALG CRED ",," NAMES "," SIGN, TC3_PART_UNKNOWN},
	{ALG "credential=x," NAMES "," SIGN, TC3_PART_UNKNOWN},
	{ALG CRED "," CRED "," NAMES "," SIGN, TC3_PART_TWICE},
	{ALG "Credential=," NAMES "," SIGN, TC3_CREDENTIAL_MALFORMED},
	{ALG "Credential=AKID," NAMES "," SIGN, TC3_CREDENTIAL_MALFORMED},
	{ALG "Credential=AKID/2023-02-09/gme/aws4_request," NAMES "," SIGN,
	 TC3_CREDENTIAL_MALFORMED},
	{ALG "Credential=AKID/2023-02-09/gme/x/tc3_request," NAMES "," SIGN,
	 TC3_CREDENTIAL_MALFORMED},
	{ALG "Credential=/2023-02-09/gme/tc3_request," NAMES "," SIGN,
	 TC3_SECRET_ID_MALFORMED},
	{ALG "Credential=A D/2023-02-09/gme/tc3_request," NAMES "," SIGN,
	 TC3_SECRET_ID_MALFORMED},
	{ALG "Credential=a" ID127 "/2023-02-09/gme/tc3_request," NAMES "," SIGN,
	 TC3_SECRET_ID_MALFORMED},
	{ALG "Credential=AKID/2023-2-09/gme/tc3_request," NAMES "," SIGN,
	 TC3_DATE_MALFORMED},
	{ALG "Credential=AKID/2023-02-0x/gme/tc3_request," NAMES "," SIGN,
	 TC3_DATE_MALFORMED},
	{ALG "Credential=AKID/2023-02-090/gme/tc3_request," NAMES "," SIGN,
	 TC3_DATE_MALFORMED},
	{ALG "Credential=AKID/2023-02-09//tc3_request," NAMES "," SIGN,
	 TC3_SERVICE_MALFORMED},
	{ALG "Credential=AKID/2023-02-09/g?e/tc3_request," NAMES "," SIGN,
	 TC3_SERVICE_MALFORMED},
	{ALG CRED ",SignedHeaders=," SIGN, TC3_SIGNED_HEADERS_MALFORMED},
	{ALG CRED ",SignedHeaders=Content-Type;host," SIGN,
	 TC3_SIGNED_HEADERS_MALFORMED},
	{ALG CRED ",SignedHeaders=content-type;;host," SIGN,
	 TC3_SIGNED_HEADERS_MALFORMED},
	{ALG CRED ",SignedHeaders=content-type;host;," SIGN,
	 TC3_SIGNED_HEADERS_MALFORMED},
	{ALG CRED ",SignedHeaders=;content-type;host," SIGN,
	 TC3_SIGNED_HEADERS_MALFORMED},
	{ALG CRED ",SignedHeaders=host;x-content-type," SIGN,
	 TC3_CONTENT_TYPE_UNSIGNED},
	{ALG CRED ",SignedHeaders=content-type;hosts," SIGN, TC3_HOST_UNSIGNED},
	{ALG CRED "," NAMES ",Signature=", TC3_SIGNATURE_MALFORMED},
	{ALG CRED "," NAMES "," SIGN "0", TC3_SIGNATURE_MALFORMED},
	{ALG CRED "," NAMES ",Signature=g" HEX64, TC3_SIGNATURE_MALFORMED},
	{ALG CRED "," NAMES ",Signature=72e4", TC3_SIGNATURE_MALFORMED},
};

static void every_malformed_authorization_has_its_own_fault(void **state)
{
	struct sample s = gme();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		struct sample one = s;

		set(&one, "authorization", malformed[i].authorization);
		assert_int_equal(check(&one), malformed[i].fault);
	}
	set(&s, "authorization",
	    ALG "Credential=" ID127 "/2023-02-09/gme/tc3_request," NAMES
		"," SIGN);
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
}

static void a_timestamp_must_be_there_and_be_one(void **state)
{
	static const struct {
		const char *value;
		enum tc3_fault fault;
	} bad[] = {
		{NULL, TC3_TIMESTAMP_MISSING},
		{"", TC3_TIMESTAMP_MISSING},
		{"-1", TC3_TIMESTAMP_MALFORMED},
		{"1675930605.5", TC3_TIMESTAMP_MALFORMED},
		{" 1675930605", TC3_TIMESTAMP_MALFORMED},
		{"1675930605000", TC3_TIMESTAMP_MALFORMED}, /* ms */
		{"99999999999999999999", TC3_TIMESTAMP_MALFORMED},
		{"000000000001675930605", TC3_TIMESTAMP_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sample s = gme();

		set(&s, "x-tc-timestamp", bad[i].value);
		assert_int_equal(check(&s), bad[i].fault);
	}
}

static void headers_that_are_signed_must_be_there(void **state)
{
	struct sample s = docs_now();

	(void)state;
	set(&s, "X-TC-Action", NULL);
	assert_int_equal(check(&s), TC3_HEADER_MISSING);
	s = gme();
	set(&s, "host", NULL);
	assert_int_equal(check(&s), TC3_HEADER_MISSING);
}

static void what_is_too_long_is_refused(void **state)
{
	static char text[100 * 1024];
	struct sample s = gme();

	(void)state;
	memset(text, 'a', TC3_AUTHORIZATION_MAX + 1);
	set(&s, "authorization", text);
	assert_int_equal(check(&s), TC3_AUTHORIZATION_TOO_LONG);
	s = gme();
	memset(text, 'a', sizeof(text) - 1);
	s.r.query = text;
	assert_int_equal(check(&s), TC3_TOO_LONG);
	s = gme();
	s.key = text;
	assert_int_equal(check(&s), TC3_TOO_LONG);
}

static void what_would_not_be_taken_is_not_signed(void **state)
{
	static const struct tc3_signer bad[] = {
		{"", "k", "gme", "content-type;host"},
		{"a/b", "k", "gme", "content-type;host"},
		{"id", "k", "g/e", "content-type;host"},
		{"id", "k", "gme", "content-type"},
		{"id", "k", "gme", ""},
		{"id", "k", "gme", "content-type;host;x-not-there"},
	};
	struct sample s = gme();
	struct buf b;

	(void)state;
	s.r.header_arg = &s;
	buf_init(&b, 1024);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(tc3_sign(&s.r, &bad[i], &b), EINVAL);
	assert_int_equal(b.len, 0);
	s.r.now_unix_s = -1;
	assert_int_equal(tc3_sign(&s.r,
				  &(struct tc3_signer){"id", "k", "gme",
						       "content-type;host"},
				  &b),
			 EINVAL);
	buf_fini(&b);
}

static void every_fault_has_a_code_and_a_sentence(void **state)
{
	(void)state;
	for (int i = TC3_OK + 1; i < TC3_FAULTS; i++) {
		const char *code = tc3_fault_code((enum tc3_fault)i);
		const char *text = tc3_fault_text((enum tc3_fault)i);

		assert_non_null(code);
		assert_non_null(text);
		assert_true(code[0] && text[0]);
		assert_int_equal(text[strlen(text) - 1], '.');
		for (int k = TC3_OK + 1; k < i; k++)
			assert_string_not_equal(
				text, tc3_fault_text((enum tc3_fault)k));
	}
	assert_string_equal(tc3_fault_code(TC3_OK), "");
	assert_string_equal(tc3_fault_code(TC3_AUTHORIZATION_MISSING),
			    "MissingParameter");
	assert_string_equal(tc3_fault_code(TC3_SIGNATURE_MALFORMED),
			    "AuthFailure.InvalidAuthorization");
	assert_string_equal(tc3_fault_code(TC3_SECRET_ID_MALFORMED),
			    "AuthFailure.InvalidSecretId");
	assert_string_equal(tc3_fault_code(TC3_EXPIRED),
			    "AuthFailure.SignatureExpire");
	assert_string_equal(tc3_fault_code(TC3_SIGNATURE_WRONG),
			    "AuthFailure.SignatureFailure");
}

static void sign_and_verify(void)
{
	struct sample s = gme();
	struct tc3_signer signer = {"id", s.key, "gme", "content-type;host"};
	struct buf b;
	enum tc3_fault f;
	int err;

	f = check(&s);
	assert_true(f == TC3_OK || f == TC3_NO_MEMORY);
	buf_init(&b, 1024);
	err = tc3_sign(&s.r, &signer, &b);
	assert_true(!err || err == ENOMEM);
	buf_fini(&b);
}

static void every_failed_allocation_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(sign_and_verify);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_requests_are_taken),
		cmocka_unit_test(parts_of_authorization_are_read),
		cmocka_unit_test(
			parts_may_come_in_any_order_and_with_any_spaces),
		cmocka_unit_test(our_own_signature_is_the_published_one),
		cmocka_unit_test(any_change_of_what_is_signed_is_noticed),
		cmocka_unit_test(every_digit_of_the_signature_counts),
		cmocka_unit_test(an_empty_key_proves_nothing),
		cmocka_unit_test(host_may_be_signed_with_and_without_its_port),
		cmocka_unit_test(
			values_may_be_signed_as_they_are_or_in_lower_case),
		cmocka_unit_test(the_habits_of_clients_may_come_together),
		cmocka_unit_test(an_unsigned_payload_is_not_covered),
		cmocka_unit_test(
			a_request_is_good_for_five_minutes_to_either_side),
		cmocka_unit_test(the_date_is_that_of_the_timestamp_in_utc),
		cmocka_unit_test(
			every_malformed_authorization_has_its_own_fault),
		cmocka_unit_test(a_timestamp_must_be_there_and_be_one),
		cmocka_unit_test(headers_that_are_signed_must_be_there),
		cmocka_unit_test(what_is_too_long_is_refused),
		cmocka_unit_test(what_would_not_be_taken_is_not_signed),
		cmocka_unit_test(every_fault_has_a_code_and_a_sentence),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
