/** wire/rtcp_sender.c -- a sender's side of RTCP. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp_sender.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/bytes.h"
#include "wire/rtp.h"

enum {
	VERSION = 2,
	HEADER_LEN = 8, /* with the SSRC of who speaks */
	TYPE_SR = 200,
	TYPE_RR = 201,
	TYPE_SDES = 202,
	SDES_CNAME = 1,
	SR_LEN = 28,	 /* without blocks */
	SENDER_LEN = 20, /* of it about the sender */
	BLOCK_LEN = 24,
	NTP_MS = 1000
};

/* From 1900, where NTP begins, to 1970 [s]. */
static const uint64_t ntp_of_1970 = 2208988800U;

static uint8_t *put_header(uint8_t *p, unsigned count, unsigned type,
			   size_t len)
{
	return bytes_put32(p, (uint32_t)VERSION << 30 | count << 24 |
				      type << 16 | (uint32_t)(len / 4 - 1));
}

size_t rtcp_sender_write(const struct rtcp_sender_report *r, const char *name,
			 uint8_t out[RTCP_SENDER_MAX])
{
	const size_t name_len = strlen(name);
	/* SSRC, item, its length, the name, at least one 0 */
	const size_t sdes_len = (HEADER_LEN + 2 + name_len + 1 + 3) / 4 * 4;
	const uint64_t ms = (uint64_t)r->unix_ms;
	uint8_t *p = put_header(out, 0, TYPE_SR, SR_LEN);

	static_assert(SR_LEN + HEADER_LEN + 2 + RTCP_SENDER_NAME_MAX + 4 <=
			      RTCP_SENDER_MAX,
		      "room for all");
	assert(name_len && name_len <= RTCP_SENDER_NAME_MAX);
	p = bytes_put32(p, r->ssrc);
	p = bytes_put32(p, (uint32_t)(ms / NTP_MS + ntp_of_1970));
	p = bytes_put32(p, (uint32_t)((ms % NTP_MS << 32) / NTP_MS));
	p = bytes_put32(p, r->ts);
	p = bytes_put32(p, r->packets);
	p = bytes_put32(p, r->octets);
	memset(p, 0, sdes_len);
	p = put_header(p, 1, TYPE_SDES, sdes_len);
	p = bytes_put32(p, r->ssrc);
	*p++ = SDES_CNAME;
	*p++ = (uint8_t)name_len;
	str_copy((char *)p, sdes_len - HEADER_LEN - 2, name);
	return SR_LEN + sdes_len;
}

/** A receiver's or sender's report: look at its blocks. */
static int find_block(const uint8_t *p, size_t len, uint32_t ssrc,
		      struct rtcp_block *out)
{
	size_t n = p[0] & 31;
	size_t at = HEADER_LEN + (p[1] == TYPE_SR ? SENDER_LEN : 0);

	for (; n && at + BLOCK_LEN <= len; n--, at += BLOCK_LEN) {
		const uint8_t *b = p + at;
		uint32_t lost = bytes_get32(b + 4) & 0xffffff;

		if (bytes_get32(b) != ssrc)
			continue;
		*out = (struct rtcp_block){
			.ssrc = ssrc,
			.fraction_lost = b[4],
			.lost = (int32_t)lost -
				(lost & 0x800000 ? 0x1000000 : 0),
			.newest = bytes_get32(b + 8),
			.jitter = bytes_get32(b + 12),
		};
		return 0;
	}
	return n ? EBADMSG : ENOENT;
}

int rtcp_sender_read(const uint8_t *data, size_t len, uint32_t ssrc,
		     struct rtcp_block *out)
{
	if (!rtp_is_rtcp(data, len))
		return EBADMSG;
	while (len) {
		size_t here;
		int err;

		if (len < 4 || data[0] >> 6 != VERSION)
			return EBADMSG;
		here = ((size_t)data[2] << 8 | data[3]) * 4 + 4;
		if (here > len)
			return EBADMSG;
		if (data[1] == TYPE_SR || data[1] == TYPE_RR) {
			err = find_block(data, here, ssrc, out);
			if (err != ENOENT)
				return err;
		}
		data += here;
		len -= here;
	}
	return ENOENT;
}
