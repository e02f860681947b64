/** test/fuzz/answer_fuzz.c -- answers of endpoints with `verdict: body`. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[256] = "";
	char short_why[16] = "";
	bool ok = callback_answer_is_ok(data, len, why, sizeof(why));

	assert(ok == !why[0]);
	assert(str_is_clean_utf8(why, strlen(why)));
	assert(callback_answer_is_ok(data, len, short_why, sizeof(short_why)) ==
	       ok);
	assert(strlen(short_why) < sizeof(short_why));
	return 0;
}
