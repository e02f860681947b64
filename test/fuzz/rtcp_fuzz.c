/** test/fuzz/rtcp_fuzz.c -- RTCP from strangers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** The numbers of a report are the input's; what is written can be read. */
static void write_report(const uint8_t *data, size_t len)
{
	uint8_t out[RTCP_REPORT_MAX];
	struct rtcp_report r = {0};
	struct rtcp back;

	memcpy(&r, data, len < sizeof(r) ? len : sizeof(r));
	r.lost &= 0x7fffff;
	assert(!rtcp_parse(out, rtcp_write_report(&r, "tapeop", out), &back));
	assert(back.ssrc == r.from && !back.has_sr && !back.has_bye);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rtcp r;

	write_report(data, len);
	if (rtcp_parse(data, len, &r))
		return 0;
	assert(len > 0 && len % 4 == 0);
	assert(r.has_ssrc || (!r.has_sr && !r.has_bye));
	return 0;
}
