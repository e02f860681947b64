/** test/fuzz/usersig_fuzz.c -- tickets as strangers send them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/usersig.h"

#include <assert.h>
#include <string.h>

#include <zlib.h>

#include "base/mem.h"
#include "wire/sig.h"

enum { NOW = 1700000000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** Nobody has the key; whatever is wrong is told in one line. */
static void check(const char *text)
{
	const struct usersig_want want = {"a key that nobody has", 1400000000,
					  "administrator", NOW};
	struct err err = {0};
	struct usersig u;
	enum usersig_fault f = usersig_verify(&want, text, &u, &err);

	assert(f != USERSIG_OK && f < USERSIG_NOT_YET);
	assert(err.code && err.text[0] && !strpbrk(err.text, "\r\n"));
}

/** The input as the JSON of a ticket, so that what is behind zlib is met. */
static void check_packed(const uint8_t *data, size_t len)
{
	uint8_t packed[USERSIG_JSON_MAX + 64];
	char text[SIG_BASE64_CAP(sizeof(packed))];
	uLongf n = sizeof(packed);

	if (len > USERSIG_JSON_MAX ||
	    compress2(packed, &n, data, len, 1) != Z_OK)
		return;
	sig_base64(packed, n, text);
	for (char *p = text; *p; p++)
		*p = *p == '+' ? '*' : *p == '/' ? '-' : *p == '=' ? '_' : *p;
	check(text);
}

/** What can be made is taken, and says the same. */
static void check_made(const char *text)
{
	struct usersig u = {"", (int64_t)strlen(text), NOW, 10, ""};
	struct usersig_want want = {"key", u.sdkappid, u.identifier, NOW};
	struct err err = {0};
	struct usersig again;
	struct buf b;

	memcpy(u.identifier, text, strnlen(text, USERSIG_IDENTIFIER_MAX));
	buf_init(&b, USERSIG_TEXT_MAX);
	if (!usersig_make(&u, "key", &b)) {
		assert(usersig_verify(&want, buf_str(&b), &again, &err) ==
		       USERSIG_OK);
		assert(!strcmp(again.identifier, u.identifier));
	}
	buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = mem_strndup((const char *)data, len);

	assert(text);
	check(text);
	check_packed(data, len);
	check_made(text);
	mem_free(text);
	return 0;
}
