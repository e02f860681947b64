/** test/fuzz/xml_fuzz.c -- answers of an S3 store. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/xml.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { CAP = 24 };

/** However small the room: it ends in a NUL, and each step gets on. */
static void walk(struct xml x, const char *name)
{
	const char *before = x.at;
	char out[CAP];

	while (xml_next(&x, name, out, sizeof(out))) {
		assert(memchr(out, 0, sizeof(out)));
		assert(x.at > before && x.at <= x.end);
		before = x.at;
	}
	assert(x.at == before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {"Error", "Code", "Key", "UploadId"};
	/* of this length exactly: what is read behind it is found */
	char *text = mem_zalloc(len ? len : 1);
	struct xml x = {text, text + len};
	char out[CAP], one[1];

	assert(text);
	if (len)
		memcpy(text, data, len);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		walk(x, names[i]);
		xml_find(x, names[i], out, sizeof(out));
		xml_find(x, names[i], one, sizeof(one));
		assert(!one[0]);
		(void)xml_is(x, names[i]);
	}
	mem_free(text);
	return 0;
}
