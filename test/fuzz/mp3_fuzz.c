/** test/fuzz/mp3_fuzz.c -- files as a crash may leave them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mp3.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PIECE = 2000 }; /* more than MP3_FRAME_MAX, as its users must give */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct mp3_scan whole = {0};
	struct mp3_scan pieces = {0};
	size_t taken = mp3_scan(&whole, data, len);

	assert(taken <= len && taken == whole.len);
	for (;;) {
		size_t left = len - (size_t)pieces.len;

		if (!mp3_scan(&pieces, data + pieces.len,
			      left < PIECE ? left : PIECE))
			break;
	}
	assert(pieces.len == whole.len && pieces.frames == whole.frames);
	assert(pieces.n_frames == whole.n_frames);
	assert(pieces.is_broken == whole.is_broken);
	return 0;
}
