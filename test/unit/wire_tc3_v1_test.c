/** test/unit/wire_tc3_v1_test.c -- signatures v1 of the Tencent Cloud API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tc3.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oom.h"

enum { DOCS_TIME = 1465185768, NODE_TIME = 1795748460, MAX = 16 };

/** A request with its parameters, and whose key it has. */
struct sample {
	struct tc3_v1_request r;
	struct tc3_parameter p[MAX];
	const char *key;
};

/** Give parameter `name` another value; NULL takes it away. */
static void set(struct sample *s, const char *name, const char *value)
{
	size_t at = 0;

	while (at < MAX && s->p[at].name && strcmp(s->p[at].name, name) != 0)
		at++;
	assert_true(at < MAX);
	s->p[at] = (struct tc3_parameter){name, value};
	if (value)
		return;
	for (; at + 1 < MAX; at++)
		s->p[at] = s->p[at + 1];
	s->p[MAX - 1] = (struct tc3_parameter){0};
}

/** Tencent Cloud API 3.0, "Signature" (v1): HmacSHA1, which is not named. */
static struct sample docs(void)
{
	return (struct sample){
		.r = {"GET", "cvm.tencentcloudapi.com", "/", NULL, 0,
		      DOCS_TIME},
		.p = {{"Action", "DescribeInstances"},
		      {"SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"},
		      {"Timestamp", "1465185768"},
		      {"Nonce", "11886"},
		      {"Region", "ap-guangzhou"},
		      {"InstanceIds.0", "ins-09dx96dg"},
		      {"Offset", "0"},
		      {"Limit", "20"},
		      {"Version", "2017-03-12"},
		      {"Signature", "EliP9YW3pW28FpsEdkXt/+WcGeI="}},
		.key = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
	};
}

/** "Signature Algorithm" of API 2.0, whose path is another: HmacSHA256. */
static struct sample docs_sha256(void)
{
	return (struct sample){
		.r = {"GET", "cvm.api.qcloud.com", "/v2/index.php", NULL, 0,
		      DOCS_TIME},
		.p = {{"Action", "DescribeInstances"},
		      {"InstanceIds.0", "ins-09dx96dg"},
		      {"Nonce", "11886"},
		      {"Region", "ap-guangzhou"},
		      {"SecretId", "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"},
		      {"SignatureMethod", "HmacSHA256"},
		      {"Timestamp", "1465185768"},
		      {"Signature",
		       "0EEm/HtGRr/VJXTAD9tYMth1Bzm3lLHz5RCDv1GdM8s="}},
		.key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA",
	};
}

/** What tencentcloud-sdk-nodejs 4.1.220 sent to http://localhost:18080. */
static struct sample node(const char *method, const char *signature_method,
			  const char *nonce, const char *signature)
{
	return (struct sample){
		.r = {method, "localhost:18080", "/", NULL, 0, NODE_TIME},
		.p = {{"BizId", "1400000000"},
		      {"RoomId", "a b&c=\xe6\xbc\xa2"},
		      {"RecordMode", "2"},
		      {"SubscribeRecordUserIds.SubscribeUserIds.0", "1"},
		      {"SubscribeRecordUserIds.SubscribeUserIds.1", "2"},
		      {"Action", "StartRecord"},
		      {"RequestClient", "SDK_NODEJS_4.1.220"},
		      {"Nonce", nonce},
		      {"Timestamp", "1795748460"},
		      {"Version", "2018-07-11"},
		      {"SecretId", "AKIDexample"},
		      {"Region", "ap-guangzhou"},
		      {"SignatureMethod", signature_method},
		      {"Signature", signature}},
		.key = "test-secret-key",
	};
}

static struct sample node_sha1(void)
{
	return node("POST", "HmacSHA1", "49385",
		    "DD60Uyh56R4R1RD/i+dZqBNiNH0=");
}

static struct sample node_sha256(void)
{
	return node("POST", "HmacSHA256", "35920",
		    "oQ0gV8HoCBvJ70FhEzgqdtId9J76ALQUD9oPWBz6vF0=");
}

static void count(struct sample *s)
{
	s->r.parameters = s->p;
	for (s->r.n = 0; s->r.n < MAX && s->p[s->r.n].name; s->r.n++)
		;
}

static enum tc3_fault check(struct sample *s)
{
	struct tc3_v1_auth auth;
	enum tc3_fault f;

	count(s);
	f = tc3_v1_parse(&s->r, &auth);
	return f ? f : tc3_v1_verify(&s->r, &auth, s->key);
}

static void published_requests_are_taken(void **state)
{
	struct sample samples[] = {
		docs(),
		docs_sha256(),
		node_sha1(),
		node_sha256(),
		node("GET", "HmacSHA256", "47121",
		     "9Uan/8ExyfY9JLZx2ShSNpMOJsh1nC98nPQSVQ5BmAQ="),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++)
		assert_int_equal(check(&samples[i]), TC3_OK);
}

static void parameters_of_the_signature_are_read(void **state)
{
	struct sample s = node_sha256();
	struct tc3_v1_auth a;

	(void)state;
	count(&s);
	assert_int_equal(tc3_v1_parse(&s.r, &a), TC3_OK);
	assert_string_equal(a.secret_id, "AKIDexample");
	assert_int_equal(a.timestamp_s, NODE_TIME);
	assert_true(a.is_sha256);
	assert_int_equal(a.signature_len, SIG_SHA256_LEN);
	assert_int_equal(a.signature[0], 0xa1);
	s = docs();
	count(&s);
	assert_int_equal(tc3_v1_parse(&s.r, &a), TC3_OK);
	assert_false(a.is_sha256);
	assert_int_equal(a.signature_len, SIG_SHA1_LEN);
}

static void our_own_signatures_are_the_published_ones(void **state)
{
	struct sample s = docs();
	char text[TC3_V1_SIGNATURE_CAP];

	(void)state;
	count(&s);
	assert_int_equal(tc3_v1_sign(&s.r, s.key, false, text), 0);
	assert_string_equal(text, "EliP9YW3pW28FpsEdkXt/+WcGeI=");
	s = docs_sha256();
	set(&s, "Signature", NULL);
	count(&s);
	assert_int_equal(tc3_v1_sign(&s.r, s.key, true, text), 0);
	assert_string_equal(text,
			    "0EEm/HtGRr/VJXTAD9tYMth1Bzm3lLHz5RCDv1GdM8s=");
}

static void any_change_of_what_is_signed_is_noticed(void **state)
{
	struct sample s = docs();

	(void)state;
	s.r.method = "POST";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	s.r.path = "/x";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	s.r.path = "";
	assert_int_equal(check(&s), TC3_OK);
	s = docs();
	s.r.host = "gme.tencentcloudapi.com";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	set(&s, "Limit", "21");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	set(&s, "Limit", NULL);
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	set(&s, "More", "");
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
	s = docs();
	s.key = "another key";
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
}

static void every_byte_of_the_signature_counts(void **state)
{
	struct sample s = node_sha256();
	struct tc3_v1_auth a;

	(void)state;
	count(&s);
	assert_int_equal(tc3_v1_parse(&s.r, &a), TC3_OK);
	for (size_t i = 0; i < a.signature_len; i++) {
		a.signature[i] ^= 1;
		assert_int_equal(tc3_v1_verify(&s.r, &a, s.key),
				 TC3_SIGNATURE_WRONG);
		a.signature[i] ^= 1;
	}
	assert_int_equal(tc3_v1_verify(&s.r, &a, s.key), TC3_OK);
}

static void host_may_be_signed_with_and_without_its_port(void **state)
{
	char text[TC3_V1_SIGNATURE_CAP];
	struct sample s = docs();

	(void)state;
	s.r.host = "cvm.tencentcloudapi.com:443";
	assert_int_equal(check(&s), TC3_OK);
	assert_int_equal(tc3_v1_sign(&s.r, s.key, false, text), 0);
	assert_string_not_equal(text, "EliP9YW3pW28FpsEdkXt/+WcGeI=");
	set(&s, "Signature", text);
	assert_int_equal(check(&s), TC3_OK);
}

static void a_request_is_good_for_five_minutes_to_either_side(void **state)
{
	struct sample s = docs();

	(void)state;
	s.r.now_unix_s = DOCS_TIME + 300;
	assert_int_equal(check(&s), TC3_OK);
	s.r.now_unix_s = DOCS_TIME - 300;
	assert_int_equal(check(&s), TC3_OK);
	s.r.now_unix_s = DOCS_TIME + 301;
	assert_int_equal(check(&s), TC3_EXPIRED);
	s.r.now_unix_s = DOCS_TIME - 301;
	assert_int_equal(check(&s), TC3_EXPIRED);
}

static void every_malformed_parameter_has_its_own_fault(void **state)
{
	static const struct {
		const char *name, *value;
		enum tc3_fault fault;
	} bad[] = {
		{"SecretId", NULL, TC3_V1_SECRET_ID_MISSING},
		{"SecretId", "", TC3_V1_SECRET_ID_MISSING},
		{"SecretId", "a/b", TC3_SECRET_ID_MALFORMED},
		{"Timestamp", NULL, TC3_TIMESTAMP_MISSING},
		{"Timestamp", "now", TC3_TIMESTAMP_MALFORMED},
		{"Nonce", NULL, TC3_V1_NONCE_MISSING},
		{"SignatureMethod", "HmacMD5", TC3_V1_METHOD_UNKNOWN},
		{"SignatureMethod", "hmacsha1", TC3_V1_METHOD_UNKNOWN},
		{"SignatureMethod", "HmacSHA256", TC3_V1_SIGNATURE_MALFORMED},
		{"Signature", NULL, TC3_V1_SIGNATURE_MISSING},
		{"Signature",
		 "EliP9YW3pW28FpsEdkXt/ WcGeI=", TC3_V1_SIGNATURE_MALFORMED},
		{"Signature", "EliP", TC3_V1_SIGNATURE_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sample s = docs();

		set(&s, bad[i].name, bad[i].value);
		assert_int_equal(check(&s), bad[i].fault);
	}
}

static void an_empty_key_proves_nothing(void **state)
{
	char text[TC3_V1_SIGNATURE_CAP];
	struct sample s = docs();

	(void)state;
	s.key = "";
	count(&s);
	assert_int_equal(tc3_v1_sign(&s.r, s.key, false, text), 0);
	set(&s, "Signature", text);
	assert_int_equal(check(&s), TC3_SIGNATURE_WRONG);
}

static void a_parameter_that_is_there_twice_is_refused(void **state)
{
	char text[TC3_V1_SIGNATURE_CAP];
	struct sample s = docs();

	(void)state;
	count(&s);
	s.p[s.r.n] = (struct tc3_parameter){"Action", "StopInstances"};
	assert_int_equal(check(&s), TC3_V1_PARAMETER_TWICE);
	assert_int_equal(tc3_v1_sign(&s.r, s.key, false, text), EINVAL);
}

static void what_is_too_much_is_refused(void **state)
{
	static char names[TC3_PARAMETERS_MAX + 1][8];
	static char long_value[1100 * 1024];
	static struct tc3_parameter many[TC3_PARAMETERS_MAX + 1];
	char text[TC3_V1_SIGNATURE_CAP];
	struct sample s = docs();
	struct tc3_v1_auth a;

	(void)state;
	for (int i = 0; i <= TC3_PARAMETERS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "p%d", i);
		many[i] = (struct tc3_parameter){names[i], "v"};
	}
	s.r.parameters = many;
	s.r.n = TC3_PARAMETERS_MAX;
	assert_int_equal(tc3_v1_parse(&s.r, &a), TC3_V1_SECRET_ID_MISSING);
	assert_int_equal(tc3_v1_sign(&s.r, "key", true, text), 0);
	s.r.n++;
	assert_int_equal(tc3_v1_parse(&s.r, &a), TC3_V1_PARAMETERS_TOO_MANY);
	s = docs();
	memset(long_value, 'a', sizeof(long_value) - 1);
	set(&s, "Limit", long_value);
	assert_int_equal(check(&s), TC3_TOO_LONG);
}

static void verify(void)
{
	struct sample s = docs();
	enum tc3_fault f = check(&s);

	assert_true(f == TC3_OK || f == TC3_NO_MEMORY);
}

static void every_failed_allocation_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(verify);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_requests_are_taken),
		cmocka_unit_test(parameters_of_the_signature_are_read),
		cmocka_unit_test(our_own_signatures_are_the_published_ones),
		cmocka_unit_test(any_change_of_what_is_signed_is_noticed),
		cmocka_unit_test(every_byte_of_the_signature_counts),
		cmocka_unit_test(host_may_be_signed_with_and_without_its_port),
		cmocka_unit_test(
			a_request_is_good_for_five_minutes_to_either_side),
		cmocka_unit_test(every_malformed_parameter_has_its_own_fault),
		cmocka_unit_test(an_empty_key_proves_nothing),
		cmocka_unit_test(a_parameter_that_is_there_twice_is_refused),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
