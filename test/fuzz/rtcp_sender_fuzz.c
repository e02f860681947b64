/** test/fuzz/rtcp_sender_fuzz.c -- RTCP from who should receive us. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp_sender.h"

#include <assert.h>

#include "wire/rtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rtcp_block b;

	/* The streams of the corpus. */
	for (uint32_t ssrc = 5; ssrc <= 9; ssrc++) {
		if (rtcp_sender_read(data, len, ssrc, &b))
			continue;
		assert(rtp_is_rtcp(data, len));
		assert(b.ssrc == ssrc);
		assert(b.lost >= -0x800000 && b.lost <= 0x7fffff);
	}
	return 0;
}
