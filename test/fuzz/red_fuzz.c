/** test/fuzz/red_fuzz.c -- RED payloads from strangers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/red.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct red_packet p;
	size_t headers, total = 0;

	if (red_parse(data, len, &p))
		return 0;
	assert(p.n >= 1 && p.n <= RED_BLOCKS_MAX);
	headers = 4 * (p.n - 1) + 1;
	for (size_t i = 0; i < p.n; i++) {
		const struct red_block *b = &p.blocks[i];

		assert(b->pt < 128 && b->ts_offset < 1 << 14);
		assert(b->data == data + headers + total);
		total += b->len;
	}
	assert(headers + total == len);
	assert(p.blocks[p.n - 1].len > 0 && p.blocks[p.n - 1].ts_offset == 0);
	return 0;
}
