/** test/fuzz/stun_fuzz.c -- STUN from strangers, and what is answered. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/stun.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_back(const uint8_t *out, size_t len, const struct stun *asked)
{
	struct stun s;

	assert(len > 0 && len <= STUN_ANSWER_MAX);
	assert(!stun_parse(out, len, &s));
	assert(s.has_fingerprint && s.method == asked->method);
	assert(!memcmp(s.id, asked->id, STUN_ID_LEN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";
	struct stun_addr from = {.port = 1};
	uint8_t out[STUN_ANSWER_MAX];
	struct stun s;

	if (stun_parse(data, len, &s))
		return 0;
	assert(stun_is_likely(data[0]) && len >= STUN_HEADER_LEN);
	assert(!s.username || (s.username > data &&
			       s.username + s.username_len <= data + len));
	assert(s.n_unknown <= STUN_UNKNOWN_MAX);
	assert(!stun_is_authentic(&s, data, pwd) || s.integrity_at);
	from.is_v6 = len % 8 == 0;
	memcpy(from.ip, data, sizeof(from.ip));
	read_back(out, stun_write_success(&s, &from, pwd, out), &s);
	read_back(out, stun_write_error(&s, STUN_ROLE_CONFLICT, pwd, out), &s);
	if (s.n_unknown)
		read_back(
			out,
			stun_write_error(&s, STUN_UNKNOWN_ATTRIBUTE, pwd, out),
			&s);
	read_back(out, stun_write_error(&s, STUN_BAD_REQUEST, NULL, out), &s);
	return 0;
}
