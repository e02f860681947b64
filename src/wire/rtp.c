/** wire/rtp.c -- RTP packets: header, extension, payload, both directions. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtp.h"

#include <assert.h>
#include <errno.h>

#include "wire/bytes.h"

enum {
	VERSION = 2,
	EXT_HEADER_LEN = 4,
	RTCP_FIRST = 192, /* second byte of RTCP, RFC 5761 section 4 */
	RTCP_LAST = 223,
	ID_PADDING = 0, /* RFC 8285 section 4.2 */
	ID_STOP = 15
};

bool rtp_is_rtcp(const uint8_t *data, size_t len)
{
	return len >= 2 && data[0] >> 6 == VERSION && data[1] >= RTCP_FIRST &&
	       data[1] <= RTCP_LAST;
}

/**
 * Walk the elements of a one-byte-header extension until `id` (0: to the
 * end).  Returns 0 with *found (or NULL), or EBADMSG when an element runs
 * out of the extension.
 */
static int walk_elements(const struct rtp_packet *p, uint8_t id,
			 const uint8_t **found, size_t *found_len)
{
	size_t at = 0;

	*found = NULL;
	while (at < p->ext_len) {
		uint8_t here = p->ext[at] >> 4;
		size_t len = (size_t)(p->ext[at] & 15) + 1;

		if (p->ext[at] == 0) {
			at++;
			continue;
		}
		/* Both end it: 15 is reserved for that, and padding with a
		 * length is an error that hides what follows. */
		if (here == ID_STOP || here == ID_PADDING)
			return 0;
		at++;
		if (len > p->ext_len - at)
			return EBADMSG;
		if (here == id) {
			*found = p->ext + at;
			*found_len = len;
			return 0;
		}
		at += len;
	}
	return 0;
}

/** Read the extension at *at and step over it. */
static int parse_extension(const uint8_t *data, size_t len, size_t *at,
			   struct rtp_packet *p)
{
	const uint8_t *found;
	size_t found_len;

	if (len - *at < EXT_HEADER_LEN)
		return EBADMSG;
	p->ext_profile = bytes_get16(data + *at);
	p->ext_len = (size_t)bytes_get16(data + *at + 2) * 4;
	*at += EXT_HEADER_LEN;
	if (len - *at < p->ext_len)
		return EBADMSG;
	p->ext = data + *at;
	*at += p->ext_len;
	if (p->ext_profile != RTP_EXT_ONE_BYTE)
		return 0;
	return walk_elements(p, 0, &found, &found_len);
}

int rtp_parse(const uint8_t *data, size_t len, struct rtp_packet *out)
{
	struct rtp_packet p = {0};
	size_t at = RTP_HEADER_LEN;
	size_t padding = 0;
	int err;

	if (len < RTP_HEADER_LEN || data[0] >> 6 != VERSION ||
	    rtp_is_rtcp(data, len))
		return EBADMSG;
	p.n_csrc = data[0] & 15;
	p.marker = data[1] >> 7;
	p.pt = data[1] & 127;
	p.seq = bytes_get16(data + 2);
	p.ts = bytes_get32(data + 4);
	p.ssrc = bytes_get32(data + 8);
	if (len - at < (size_t)p.n_csrc * 4)
		return EBADMSG;
	at += (size_t)p.n_csrc * 4;
	if (data[0] & 0x10) {
		err = parse_extension(data, len, &at, &p);
		if (err)
			return err;
	}
	if (data[0] & 0x20) {
		padding = data[len - 1];
		/* The count counts itself: 0 is never right. */
		if (padding == 0 || padding > len - at)
			return EBADMSG;
	}
	p.payload = data + at;
	p.payload_len = len - at - padding;
	*out = p;
	return 0;
}

const uint8_t *rtp_extension(const struct rtp_packet *p, uint8_t id,
			     size_t *len)
{
	const uint8_t *found = NULL;

	assert(id > ID_PADDING && id < ID_STOP);
	if (p->ext_profile != RTP_EXT_ONE_BYTE)
		return NULL;
	if (walk_elements(p, id, &found, len))
		return NULL;
	return found;
}

void rtp_write_header(const struct rtp_packet *p, uint8_t out[RTP_HEADER_LEN])
{
	assert(p->pt < 128);
	out[0] = VERSION << 6;
	out[1] = (uint8_t)((p->marker ? 0x80 : 0) | p->pt);
	bytes_put16(out + 2, p->seq);
	bytes_put32(out + 4, p->ts);
	bytes_put32(out + 8, p->ssrc);
}
