/** wire/rtcp.c -- RTCP: what a sender says of itself, and the answer. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/bytes.h"

enum {
	VERSION = 2,
	PADDING = 0x20,
	SR = 200,
	RR = 201,
	SDES = 202,
	BYE = 203,
	HEADER_LEN = 4,
	SENDER_LEN = 20, /* of an SR, behind the ssrc */
	BLOCK_LEN = 24,
	LOST_MAX = 0x7fffff,
	ITEM_END = 0,
	ITEM_CNAME = 1
};

static uint8_t *put8(uint8_t *p, unsigned v)
{
	*p = (uint8_t)v;
	return p + 1;
}

/** Do `count` chunks lie in the `len` bytes, a multiple of 4? */
static bool is_sdes(const uint8_t *p, size_t len, unsigned count)
{
	size_t at = 0;

	for (; count > 0; count--) {
		if (len - at < 4)
			return false;
		at += 4;
		while (at < len && p[at] != ITEM_END) {
			if (len - at < 2 || len - at - 2 < p[at + 1])
				return false;
			at += 2 + (size_t)p[at + 1];
		}
		if (at >= len)
			return false;
		at = at / 4 * 4 + 4; /* zeros up to a word */
	}
	return true;
}

static bool has_source(const uint8_t *p, unsigned count, uint32_t ssrc)
{
	for (unsigned i = 0; i < count; i++) {
		if (bytes_get32(p + (size_t)i * 4) == ssrc)
			return true;
	}
	return false;
}

/** One packet's own `len` bytes, a multiple of 4. */
static int parse_packet(uint8_t type, unsigned count, const uint8_t *p,
			size_t len, struct rtcp *r)
{
	switch (type) {
	case SR:
		if (len < 4 + SENDER_LEN + (size_t)count * BLOCK_LEN)
			return EBADMSG;
		if (r->has_ssrc && !r->has_sr && bytes_get32(p) == r->ssrc) {
			r->has_sr = true;
			r->ntp = (uint64_t)bytes_get32(p + 4) << 32 |
				 bytes_get32(p + 8);
			r->ts = bytes_get32(p + 12);
		}
		return 0;
	case RR:
		return len < 4 + (size_t)count * BLOCK_LEN ? EBADMSG : 0;
	case SDES:
		return is_sdes(p, len, count) ? 0 : EBADMSG;
	case BYE:
		if (len < (size_t)count * 4)
			return EBADMSG;
		if (r->has_ssrc && has_source(p, count, r->ssrc))
			r->has_bye = true;
		return 0;
	default:
		return 0;
	}
}

int rtcp_parse(const uint8_t *data, size_t len, struct rtcp *out)
{
	struct rtcp r = {0};
	size_t at = 0;

	if (len == 0)
		return EBADMSG;
	while (at < len) {
		const uint8_t *p = data + at;
		size_t inside, padding = 0;

		if (len - at < HEADER_LEN || p[0] >> 6 != VERSION)
			return EBADMSG;
		inside = (size_t)(p[2] << 8 | p[3]) * 4;
		if (inside > len - at - HEADER_LEN)
			return EBADMSG;
		if (p[0] & PADDING) {
			if (at + HEADER_LEN + inside != len)
				return EBADMSG;
			padding = data[len - 1];
			/* It counts itself, and packets are whole words. */
			if (padding == 0 || padding % 4 != 0 ||
			    padding > inside)
				return EBADMSG;
		}
		if (at == 0 && inside >= 4) {
			r.has_ssrc = true;
			r.ssrc = bytes_get32(p + HEADER_LEN);
		}
		if (parse_packet(p[1], p[0] & 31, p + HEADER_LEN,
				 inside - padding, &r))
			return EBADMSG;
		at += HEADER_LEN + inside;
	}
	*out = r;
	return 0;
}

static uint8_t *put_header(uint8_t *p, unsigned count, unsigned type,
			   size_t len)
{
	p = put8(p, VERSION << 6 | count);
	p = put8(p, type);
	p = put8(p, (unsigned)(len / 4 - 1) >> 8);
	return put8(p, (unsigned)(len / 4 - 1) & 255);
}

size_t rtcp_write_report(const struct rtcp_report *r, const char *cname,
			 uint8_t out[RTCP_REPORT_MAX])
{
	const size_t n = strlen(cname);
	/* an item ends in one to four zeros */
	const size_t sdes_len = (HEADER_LEN + 4 + 2 + n) / 4 * 4 + 4;
	uint8_t *p = out;

	assert(n > 0 && n <= RTCP_CNAME_MAX);
	assert(r->lost <= LOST_MAX && r->lost >= -LOST_MAX - 1);
	p = put_header(p, 1, RR, HEADER_LEN + 4 + BLOCK_LEN);
	p = bytes_put32(p, r->from);
	p = bytes_put32(p, r->of);
	p = bytes_put32(p, (uint32_t)r->fraction << 24 |
				   ((uint32_t)r->lost & 0xffffff));
	p = bytes_put32(p, r->last_seq);
	p = bytes_put32(p, r->jitter);
	p = bytes_put32(p, r->lsr);
	p = bytes_put32(p, r->dlsr);
	p = put_header(p, 1, SDES, sdes_len);
	p = bytes_put32(p, r->from);
	p = put8(p, ITEM_CNAME);
	p = put8(p, (unsigned)n);
	memcpy(p, cname, n);
	p += n;
	do
		p = put8(p, ITEM_END);
	while ((p - out) % 4 != 0);
	return (size_t)(p - out);
}
