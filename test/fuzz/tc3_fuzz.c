/** test/fuzz/tc3_fuzz.c -- signed API requests as strangers send them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tc3.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { LINES = 8, NOW = 1675930605 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** Lines: Authorization, X-TC-Timestamp, Content-Type, Host, another header,
 *  the query, the method, the body. */
static const char *header(const char *name, void *arg)
{
	char *const *line = arg;

	if (!strcmp(name, "authorization"))
		return line[0];
	if (!strcmp(name, "x-tc-timestamp"))
		return line[1];
	if (!strcmp(name, "content-type"))
		return line[2];
	if (!strcmp(name, "host"))
		return line[3];
	return line[4][0] ? line[4] : NULL;
}

/** What we sign of it is taken, with the right key only. */
static void check_own(struct tc3_request *r, char **line, const char *headers)
{
	const struct tc3_signer signer = {"AKID", "key", "gme", headers};
	struct tc3_auth a;
	struct buf b;
	int err;

	buf_init(&b, 4096);
	err = tc3_sign(r, &signer, &b);
	assert(!err || err == EINVAL || err == EMSGSIZE);
	if (!err && b.len <= TC3_AUTHORIZATION_MAX) {
		char now[] = "1675930605";

		line[0] = (char *)b.data;
		line[1] = now;
		assert(tc3_parse(r, &a) == TC3_OK);
		assert(!strcmp(a.signed_headers, headers));
		assert(tc3_verify(r, &a, "key") == TC3_OK);
		assert(tc3_verify(r, &a, "kez") == TC3_SIGNATURE_WRONG);
	}
	buf_fini(&b);
}

static void check_v3(char **line)
{
	struct tc3_request r = {
		.method = line[6],
		.path = "",
		.query = line[5],
		.header = header,
		.header_arg = line,
		.body = line[7],
		.len = strlen(line[7]),
		.now_unix_s = NOW,
	};
	struct tc3_auth a;
	enum tc3_fault f = tc3_parse(&r, &a);

	assert(tc3_fault_text(f) && tc3_fault_code(f));
	if (f) {
		check_own(&r, line, "content-type;host");
		return;
	}
	assert(a.secret_id[0] && a.service[0] && strlen(a.date) == 10);
	assert(!strpbrk(a.secret_id, "/ ,;="));
	assert(strstr(a.signed_headers, "host"));
	assert(a.timestamp_s >= 0);
	f = tc3_verify(&r, &a, "a key that nobody has");
	assert(f == TC3_SIGNATURE_WRONG || f == TC3_EXPIRED ||
	       f == TC3_DATE_OTHER || f == TC3_HEADER_MISSING ||
	       f == TC3_TOO_LONG);
	check_own(&r, line, a.signed_headers);
}

/** The lines again, as values of the parameters of v1. */
static void check_v1(char *const *line)
{
	struct tc3_parameter p[] = {
		{"SecretId", line[0]},	      {"Timestamp", line[1]},
		{"SignatureMethod", line[2]}, {"Signature", line[4]},
		{line[5], line[6]},	      {"Nonce", "1"},
	};
	struct tc3_v1_request r = {.method = line[6],
				   .host = line[3],
				   .path = "/",
				   .parameters = p,
				   .n = ARRAY_LEN(p),
				   .now_unix_s = NOW};
	char text[TC3_V1_SIGNATURE_CAP];
	struct tc3_v1_auth a;
	enum tc3_fault f = tc3_v1_parse(&r, &a);

	assert(tc3_fault_text(f) && tc3_fault_code(f));
	if (f)
		return;
	f = tc3_v1_verify(&r, &a, "a key that nobody has");
	assert(f == TC3_SIGNATURE_WRONG || f == TC3_EXPIRED);
	assert(!tc3_v1_sign(&r, "key", a.is_sha256, text));
	p[3].value = text;
	r.now_unix_s = a.timestamp_s;
	assert(tc3_v1_parse(&r, &a) == TC3_OK);
	assert(tc3_v1_verify(&r, &a, "key") == TC3_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = mem_strndup((const char *)data, len);
	char *line[LINES];
	char *rest = text;

	assert(text);
	for (int i = 0; i < LINES; i++) {
		char *one = rest ? strsep(&rest, "\n") : NULL;

		line[i] = one ? one : text + len;
	}
	check_v1(line);
	check_v3(line);
	mem_free(text);
	return 0;
}
