/** test/fuzz/sigv4_fuzz.c -- requests to S3 with names from outside. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sigv4.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { LINES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** A target is one word of a request line; a query is sorted. */
static void check_target(const struct sigv4_request *r)
{
	struct buf b;
	int err;

	buf_init(&b, 1U << 16);
	err = sigv4_target(r, &b);
	assert(err == 0 || err == EINVAL || err == EMSGSIZE);
	if (!err) {
		assert(r->path[0] == '/');
		assert(strspn(buf_str(&b), "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "abcdefghijklmnopqrstuvwxyz"
					   "0123456789-._~/%?=&") == b.len);
	}
	buf_fini(&b);
}

static void check_signatures(const struct sigv4_key *k,
			     const struct sigv4_request *r)
{
	struct buf b;

	buf_init(&b, 1U << 16);
	if (!sigv4_authorize(k, r, SIGV4_UNSIGNED, &b)) {
		/* One header, that nothing can be slipped into. */
		assert(!strpbrk(buf_str(&b), "\r\n"));
		assert(strstr(buf_str(&b), ", Signature="));
	}
	buf_clear(&b);
	if (!sigv4_presign(k, r, 60, &b)) {
		assert(!strpbrk(buf_str(&b), "\r\n #/?"));
		assert(strstr(buf_str(&b), "&X-Amz-Signature="));
	}
	buf_fini(&b);
}

/** Lines: path, host, header, its value, parameter, its value. */
static void check(char *const line[LINES])
{
	struct sigv4_pair header = {line[2], line[3]};
	struct sigv4_pair query[] = {{"list-type", "2"}, {line[4], line[5]}};
	struct sigv4_request r = {
		.method = "PUT",
		.path = line[0],
		.host = line[1],
		.headers = &header,
		.n_headers = 1,
		.query = query,
		.n_query = ARRAY_LEN(query),
		.unix_s = 1369353600,
	};
	struct sigv4_key k = {"ID", "secret", line[5], "eu-1"};

	check_target(&r);
	check_signatures(&k, &r);
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
	check(line);
	mem_free(text);
	return 0;
}
