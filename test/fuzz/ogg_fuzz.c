/** test/fuzz/ogg_fuzz.c -- Ogg files as a crash may leave them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ogg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void scan(struct ogg_scan *whole, const uint8_t *data, size_t len)
{
	struct ogg_scan pieces = {0};
	size_t taken = ogg_scan(whole, data, len);

	assert(taken <= len && taken == whole->len);
	assert(whole->head_len <= whole->len && whole->granule >= 0);
	assert(whole->n_pages == 0 || whole->last_at < whole->len);
	for (;;) {
		size_t left = len - (size_t)pieces.len;

		if (!ogg_scan(&pieces, data + pieces.len,
			      left < OGG_PAGE_MAX ? left : OGG_PAGE_MAX))
			break;
	}
	assert(pieces.len == whole->len && pieces.granule == whole->granule);
	assert(pieces.n_pages == whole->n_pages);
}

/** Give every page that only its sum keeps from being one the right sum, so
 *  that what lies behind it is reached. */
static void seal_all(uint8_t *data, size_t len)
{
	size_t at = 0;

	while (len - at >= OGG_HEAD_LEN) {
		const size_t n = data[at + OGG_HEAD_LEN - 1];
		size_t end = at + OGG_HEAD_LEN + n;

		if (memcmp(data + at, "OggS", 4) != 0) {
			at++;
			continue;
		}
		if (end > len)
			return;
		for (size_t i = 0; i < n; i++)
			end += data[at + OGG_HEAD_LEN + i];
		if (end > len)
			return;
		ogg_page_seal(data + at, end - at);
		at = end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ogg_scan s = {0};
	uint8_t *copy;

	scan(&s, data, len);
	if (len == 0)
		return 0;
	copy = malloc(len);
	if (!copy)
		return 0;
	memcpy(copy, data, len);
	seal_all(copy, len);
	s = (struct ogg_scan){0};
	scan(&s, copy, len);
	free(copy);
	return 0;
}
