/** test/unit/wire_sigv4_test.c -- requests to S3 are signed as Amazon says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sigv4.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "oom.h"
#include "wire/quote.h"

enum { MAY_24_2013 = 1369353600 };

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST  "examplebucket.s3.amazonaws.com"
#define ODD_PATH \
	"/bucket/a b/\xe6\xbc\xa2+&=?~*'()%2F.ogg" /* as the key is \
						      called */
#define ODD_TARGET                                              \
	"/bucket/a%20b/%E6%BC%A2%2B%26%3D%3F~%2A%27%28%29%252F" \
	".ogg"

static const struct sigv4_key example_key = {
	.id = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
};

static struct sigv4_request get(const char *path)
{
	return (struct sigv4_request){
		.method = "GET",
		.host = HOST,
		.path = path,
		.unix_s = MAY_24_2013,
	};
}

static void expect_authorization(const struct sigv4_key *k,
				 const struct sigv4_request *r,
				 const char *payload, const char *names,
				 const char *signature)
{
	char want[512];
	struct buf b;

	snprintf(want, sizeof(want),
		 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/"
		 "%s/s3/aws4_request, SignedHeaders=%s, Signature=%s",
		 k->region, names, signature);
	buf_init(&b, 1024);
	assert_int_equal(sigv4_authorize(k, r, payload, &b), 0);
	assert_string_equal(buf_str(&b), want);
	buf_fini(&b);
}

/* The four examples of "Signature Calculations for the Authorization Header:
 * Transferring Payload in a Single Chunk", Amazon S3 API Reference,
 * docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */

static void get_of_amazons_example_is_signed_as_published(void **state)
{
	static const struct sigv4_pair range = {"Range", "bytes=0-9"};
	struct sigv4_request r = get("/test.txt");

	(void)state;
	r.headers = &range;
	r.n_headers = 1;
	expect_authorization(&example_key, &r, EMPTY,
			     "host;range;x-amz-content-sha256;x-amz-date",
			     "f0e8bdb87c964420e857bd35b5d6ed31"
			     "0bd44f0170aba48dd91039c6036bdb41");
}

static void put_of_amazons_example_is_signed_as_published(void **state)
{
	static const struct sigv4_pair headers[] = {
		{"x-amz-storage-class", "REDUCED_REDUNDANCY"},
		{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
	};
	struct sigv4_request r = get("/test$file.text");

	(void)state;
	r.method = "PUT";
	r.headers = headers;
	r.n_headers = ARRAY_LEN(headers);
	expect_authorization(&example_key, &r,
			     "44ce7dd67c959e0d3524ffac1771dfbb"
			     "a87d2b6b4b4e99e42034a8b803f8b072",
			     "date;host;x-amz-content-sha256;x-amz-date;"
			     "x-amz-storage-class",
			     "98ad721746da40c64f1a55b78f14c238"
			     "d841ea1380cd77a1b5971af0ece108bd");
}

static void lifecycle_of_amazons_example_is_signed_as_published(void **state)
{
	static const struct sigv4_pair query = {"lifecycle", ""};
	struct sigv4_request r = get("/");

	(void)state;
	r.query = &query;
	r.n_query = 1;
	expect_authorization(&example_key, &r, EMPTY,
			     "host;x-amz-content-sha256;x-amz-date",
			     "fea454ca298b7da1c68078a5d1bdbfbb"
			     "e0d65c699e0f91ac7a200a0136783543");
}

static void list_of_amazons_example_is_signed_as_published(void **state)
{
	static const struct sigv4_pair query[] = {{"prefix", "J"},
						  {"max-keys", "2"}};
	struct sigv4_request r = get("/");

	(void)state;
	r.query = query;
	r.n_query = 2;
	expect_authorization(&example_key, &r, EMPTY,
			     "host;x-amz-content-sha256;x-amz-date",
			     "34b48302e7b5fa45bde8084f4b7868a8"
			     "6f0a534bc59db6670ed5711ef69dc6f7");
}

static void presigned_get_of_amazons_example_is_as_published(void **state)
{
	/* docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
	 */
	struct sigv4_request r = get("/test.txt");
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	assert_int_equal(sigv4_presign(&example_key, &r, 86400, &b), 0);
	assert_string_equal(
		buf_str(&b),
		"X-Amz-Algorithm=AWS4-HMAC-SHA256"
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
		"us-east-1%2Fs3%2Faws4_request"
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
		"&X-Amz-SignedHeaders=host"
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835"
		"f995330da4c265957d157751f604d404");
	buf_fini(&b);
}

/* The next three were computed with botocore 1.43.11 (S3SigV4Auth,
 * S3SigV4QueryAuth), with its clock at 2013-05-24T00:00:00Z. */

static void odd_key_token_and_spaces_are_signed_as_botocore_does(void **state)
{
	static const struct sigv4_pair headers[] = {
		{"Content-Type", "audio/ogg"},
		{"x-amz-meta-note", "  two   words "},
	};
	struct sigv4_request r = get(ODD_PATH);
	struct sigv4_key k = example_key;

	(void)state;
	k.region = "eu-central-1";
	k.token = "tok/en+==";
	r.method = "PUT";
	r.host = "minio.test:9000";
	r.headers = headers;
	r.n_headers = ARRAY_LEN(headers);
	expect_authorization(&k, &r, SIGV4_UNSIGNED,
			     "content-type;host;x-amz-content-sha256;"
			     "x-amz-date;x-amz-meta-note;x-amz-security-token",
			     "c269809f58c7f95d591017d29afe1806"
			     "6fc29a4e2ccca9dd8b43385df3aaa683");
}

static const struct sigv4_pair unsorted[] = {
	{"partNumber", "2"}, {"uploadId", "x+y/="},
	{"A", "1"},	     {"a-b", "2"},
	{"a", "3"},	     {"a", "1"},
};

static void query_is_sorted_and_encoded_as_botocore_does(void **state)
{
	static const struct sigv4_pair md5 = {"Content-MD5",
					      "1B2M2Y8AsgTpgAmy7PhCfg=="};
	struct sigv4_request r = get(ODD_PATH);
	struct sigv4_key k = example_key;

	(void)state;
	k.region = "eu-central-1";
	r.method = "PUT";
	r.host = "minio.test:9000";
	r.headers = &md5;
	r.n_headers = 1;
	r.query = unsorted;
	r.n_query = ARRAY_LEN(unsorted);
	expect_authorization(&k, &r, EMPTY,
			     "content-md5;host;x-amz-content-sha256;"
			     "x-amz-date",
			     "2bdafbd0fb0ed3667790ef43aba8b716"
			     "0e22b6ede81c52addcf65d1269e7935e");
}

static void presigned_url_with_a_token_is_that_of_botocore(void **state)
{
	static const struct sigv4_pair query = {"response-content-type",
						"audio/ogg"};
	struct sigv4_request r = get(ODD_PATH);
	struct sigv4_key k = example_key;
	struct buf b;

	(void)state;
	k.region = "eu-central-1";
	k.token = "tok/en+==";
	r.host = "minio.test:9000";
	r.query = &query;
	r.n_query = 1;
	buf_init(&b, 1024);
	assert_int_equal(sigv4_presign(&k, &r, 3600, &b), 0);
	assert_non_null(strstr(buf_str(&b), "&X-Amz-Security-Token="
					    "tok%2Fen%2B%3D%3D&"));
	assert_non_null(strstr(buf_str(&b),
			       "&X-Amz-Signature=c8fa21561419733a00a20926cc1f18"
			       "a24a02a3414dadfb73999c1275919a28b3"));
	assert_non_null(
		strstr(buf_str(&b), "&response-content-type=audio%2Fogg&"));
	buf_fini(&b);
}

static void target_is_what_was_signed(void **state)
{
	struct sigv4_request r = get(ODD_PATH);
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	assert_int_equal(sigv4_target(&r, &b), 0);
	assert_string_equal(buf_str(&b), ODD_TARGET);
	buf_clear(&b);
	r.path = "/a//../b";
	r.query = unsorted;
	r.n_query = ARRAY_LEN(unsorted);
	assert_int_equal(sigv4_target(&r, &b), 0);
	assert_string_equal(buf_str(&b),
			    "/a//../b?A=1&a=1&a=3&a-b=2&partNumber=2"
			    "&uploadId=x%2By%2F%3D");
	buf_fini(&b);
}

static void date_is_utc_at_the_edges(void **state)
{
	char date[SIGV4_DATE_CAP];

	(void)state;
	/* Wherever the machine is. */
	setenv("TZ", "CST-8", 1);
	tzset();
	sigv4_date(0, date);
	assert_string_equal(date, "19700101T000000Z");
	sigv4_date(MAY_24_2013 - 1, date);
	assert_string_equal(date, "20130523T235959Z");
	sigv4_date(INT64_C(253402300799), date);
	assert_string_equal(date, "99991231T235959Z");
}

static int authorize(const struct sigv4_key *k, const struct sigv4_request *r,
		     const char *payload)
{
	struct buf b;
	int err;

	buf_init(&b, 4096);
	err = sigv4_authorize(k, r, payload, &b);
	if (err)
		assert_int_equal(b.len, 0);
	buf_fini(&b);
	return err;
}

static int presign(const struct sigv4_request *r, int64_t expires_s)
{
	struct buf b;
	int err;

	buf_init(&b, 4096);
	err = sigv4_presign(&example_key, r, expires_s, &b);
	if (err)
		assert_int_equal(b.len, 0);
	buf_fini(&b);
	return err;
}

static void headers_that_cannot_be_signed_are_refused(void **state)
{
	static const struct sigv4_pair bad[] = {
		{"", "v"},
		{"a b", "v"},
		{"a:b", "v"},
		{"a\n", "v"},
		{"range", "bytes=0-9\r\nx: y"},
		{"range", "a\tb"},
		{"Host", "other"},
		{"X-Amz-Date", "20130524T000000Z"},
		{"x-amz-Content-Sha256", EMPTY},
		{"Authorization", "x"},
	};
	static const struct sigv4_pair twice[] = {{"Range", "a"},
						  {"range", "a"}};
	struct sigv4_request r = get("/");

	(void)state;
	r.n_headers = 1;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r.headers = &bad[i];
		assert_int_equal(authorize(&example_key, &r, EMPTY), EINVAL);
	}
	r.headers = twice;
	assert_int_equal(authorize(&example_key, &r, EMPTY), 0);
	r.n_headers = 2;
	assert_int_equal(authorize(&example_key, &r, EMPTY), EINVAL);
}

static void keys_paths_and_payloads_must_have_their_form(void **state)
{
	static const char long_region[] = EMPTY "0";
	static const char *const regions[] = {"", "us/east", "us east", "eu\n1",
					      long_region};
	static const char *const ids[] = {"", "a/b", "a,b", "a b", "a\nb"};
	static const char *const payloads[] = {"", "UNSIGNED", EMPTY "0",
					       "E3B0C44298FC1C149AFBF4C8996FB92"
					       "427AE41E4649B934CA495991B7852B8"
					       "55"};
	struct sigv4_request r = get("/");
	struct sigv4_key k = example_key;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(regions); i++) {
		k.region = regions[i];
		assert_int_equal(authorize(&k, &r, EMPTY), EINVAL);
	}
	k = example_key;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		k.id = ids[i];
		assert_int_equal(authorize(&k, &r, EMPTY), EINVAL);
	}
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
		assert_int_equal(authorize(&example_key, &r, payloads[i]),
				 EINVAL);
	r.path = "test.txt";
	assert_int_equal(authorize(&example_key, &r, EMPTY), EINVAL);
	r = get("/");
	r.method = "get";
	assert_int_equal(authorize(&example_key, &r, EMPTY), EINVAL);
	r = get("/");
	r.host = "";
	assert_int_equal(authorize(&example_key, &r, EMPTY), EINVAL);
}

static void presigned_urls_last_from_a_second_to_a_week(void **state)
{
	static const struct sigv4_pair own = {"x-amz-expires", "9"};
	struct sigv4_request r = get("/");

	(void)state;
	assert_int_equal(presign(&r, 1), 0);
	assert_int_equal(presign(&r, SIGV4_EXPIRES_MAX_S), 0);
	assert_int_equal(presign(&r, 0), EINVAL);
	assert_int_equal(presign(&r, -1), EINVAL);
	assert_int_equal(presign(&r, SIGV4_EXPIRES_MAX_S + 1), EINVAL);
	r.query = &own;
	r.n_query = 1;
	assert_int_equal(presign(&r, 1), EINVAL);
}

static void what_is_too_much_is_refused(void **state)
{
	static struct sigv4_pair many[SIGV4_PAIRS_MAX + 1];
	static char names[SIGV4_PAIRS_MAX + 1][8];
	static char path[1 << 16] = "/";
	struct sigv4_request r = get("/");
	struct buf b;

	(void)state;
	for (int i = 0; i <= SIGV4_PAIRS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "h%d", i);
		many[i] = (struct sigv4_pair){names[i], "v"};
	}
	r.headers = many;
	r.query = many;
	r.n_headers = r.n_query = SIGV4_PAIRS_MAX;
	assert_int_equal(authorize(&example_key, &r, EMPTY), 0);
	assert_int_equal(presign(&r, 1), 0);
	r.n_headers++;
	assert_int_equal(authorize(&example_key, &r, EMPTY), EMSGSIZE);
	r.n_headers = 0;
	r.n_query++;
	assert_int_equal(presign(&r, 1), EMSGSIZE);
	r.n_query = 0;
	memset(path + 1, 'a', sizeof(path) - 2);
	r.path = path;
	assert_int_equal(authorize(&example_key, &r, EMPTY), EMSGSIZE);
	r.path = "/";
	buf_init(&b, 100);
	assert_int_equal(sigv4_authorize(&example_key, &r, EMPTY, &b),
			 EMSGSIZE);
	buf_fini(&b);
}

static void sign_everything(void)
{
	static const struct sigv4_pair query = {"a", "b"};
	struct sigv4_request r = get("/test.txt");
	struct buf b;
	int err;

	r.query = &query;
	r.n_query = 1;
	buf_init(&b, 2048);
	err = sigv4_authorize(&example_key, &r, EMPTY, &b);
	assert_true(!err || err == ENOMEM);
	buf_fini(&b);
	err = sigv4_presign(&example_key, &r, 5, &b);
	assert_true(!err || err == ENOMEM);
	buf_fini(&b);
	err = sigv4_target(&r, &b);
	assert_true(!err || err == ENOMEM);
	buf_fini(&b);
}

static void every_failed_allocation_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(sign_everything);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_of_amazons_example_is_signed_as_published),
		cmocka_unit_test(put_of_amazons_example_is_signed_as_published),
		cmocka_unit_test(
			lifecycle_of_amazons_example_is_signed_as_published),
		cmocka_unit_test(
			list_of_amazons_example_is_signed_as_published),
		cmocka_unit_test(
			presigned_get_of_amazons_example_is_as_published),
		cmocka_unit_test(
			odd_key_token_and_spaces_are_signed_as_botocore_does),
		cmocka_unit_test(query_is_sorted_and_encoded_as_botocore_does),
		cmocka_unit_test(
			presigned_url_with_a_token_is_that_of_botocore),
		cmocka_unit_test(target_is_what_was_signed),
		cmocka_unit_test(date_is_utc_at_the_edges),
		cmocka_unit_test(headers_that_cannot_be_signed_are_refused),
		cmocka_unit_test(keys_paths_and_payloads_must_have_their_form),
		cmocka_unit_test(presigned_urls_last_from_a_second_to_a_week),
		cmocka_unit_test(what_is_too_much_is_refused),
		cmocka_unit_test(every_failed_allocation_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
