/** test/fuzz/text_fuzz.c -- small texts from outside: numbers, times, addresses,
 *  ids, retry lists, encodings. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "deliver/deliver.h"
#include "io/io.h"
#include "wire/event.h"
#include "wire/sig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_numbers(const char *text)
{
	int64_t number;
	uint64_t id;

	if (!str_to_i64(text, -5, 100, &number))
		assert(number >= -5 && number <= 100);
	if (!str_to_u64(text, &id))
		assert(strspn(text, "0123456789") == strlen(text));
	if (!str_to_duration_us(text, &number))
		assert(number >= 0 && number <= INT64_C(315576000000000));
}

/** What was parsed is written so that it parses to the same. */
static void check_address(const char *text)
{
	char written[ADDR_TEXT_MAX];
	struct addr a, b;

	if (addr_parse(text, &a))
		return;
	assert(!addr_parse(addr_write(&a, written), &b));
	assert(addr_is_equal(&a, &b));
	assert(!addr_is_loopback(&a) || !addr_is_global(&a));
	assert(addr_is_global(&a) == (addr_special(&a) == NULL));
}

static void check_retry(const char *text)
{
	struct deliver_retry r;
	struct err e = {0};

	if (deliver_retry_parse(text, &r, &e)) {
		assert(e.text[0]);
		return;
	}
	assert(r.n >= 1 && r.n <= DELIVER_DELAYS_MAX && r.n_short <= r.n);
	for (unsigned i = 0; i < r.n; i++)
		assert(r.delay_us[i] >= 0);
}

static void check_id(const char *text)
{
	struct err e = {0};

	if (event_id_check(text, "room", &e)) {
		assert(e.text[0] && !strcmp(e.field, "room"));
		return;
	}
	assert(text[0] && strlen(text) <= ID_MAX);
	assert(!strpbrk(text, "/\\\n\t") && strcmp(text, "..") != 0);
}

static void check_encodings(const char *text)
{
	uint8_t bytes[64];
	size_t n = 0;

	if (!sig_hex_parse(text, bytes, 20))
		assert(strlen(text) == 40);
	if (!sig_base64_parse(text, bytes, sizeof(bytes), &n))
		assert(n <= sizeof(bytes) && n <= strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = mem_strndup((const char *)data, len);

	assert(text);
	check_numbers(text);
	check_address(text);
	check_retry(text);
	check_id(text);
	check_encodings(text);
	mem_free(text);
	return 0;
}
