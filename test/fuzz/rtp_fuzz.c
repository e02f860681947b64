/** test/fuzz/rtp_fuzz.c -- datagrams from strangers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtp.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_extensions(const struct rtp_packet *p)
{
	for (uint8_t id = 1; id < 15; id++) {
		size_t n = 0;
		const uint8_t *at = rtp_extension(p, id, &n);

		if (!at)
			continue;
		assert(n >= 1 && n <= 16);
		assert(at > p->ext && at + n <= p->ext + p->ext_len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t header[RTP_HEADER_LEN];
	struct rtp_packet p;

	if (rtp_parse(data, len, &p))
		return 0;
	assert(!rtp_is_rtcp(data, len));
	assert(p.payload >= data + RTP_HEADER_LEN);
	assert(p.payload + p.payload_len <= data + len);
	check_extensions(&p);
	rtp_write_header(&p, header);
	assert(!memcmp(header + 1, data + 1, sizeof(header) - 1));
	return 0;
}
