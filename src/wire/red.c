/** wire/red.c -- RED: older sound sent once more in front of the new. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/red.h"

#include <errno.h>

enum {
	MORE = 0x80, /* another header follows */
	LONG_HEADER_LEN = 4
};

/* Read all headers and step over them. */
static int parse_headers(const uint8_t *data, size_t len, size_t *at,
			 struct red_packet *p)
{
	for (; *at < len && data[*at] & MORE; *at += LONG_HEADER_LEN) {
		const uint8_t *h = data + *at;

		/* One slot is the last block's. */
		if (len - *at < LONG_HEADER_LEN || p->n == RED_BLOCKS_MAX - 1)
			return EBADMSG;
		p->blocks[p->n++] = (struct red_block){
			.pt = h[0] & 127,
			.ts_offset = (uint16_t)(h[1] << 6 | h[2] >> 2),
			.len = (size_t)(h[2] & 3) << 8 | h[3],
		};
	}
	if (*at >= len)
		return EBADMSG;
	p->blocks[p->n++] = (struct red_block){.pt = data[(*at)++]};
	return 0;
}

int red_parse(const uint8_t *data, size_t len, struct red_packet *out)
{
	struct red_packet p = {.n = 0};
	size_t at = 0;

	if (parse_headers(data, len, &at, &p))
		return EBADMSG;
	for (size_t i = 0; i + 1 < p.n; i++) {
		if (p.blocks[i].len > len - at)
			return EBADMSG;
		p.blocks[i].data = data + at;
		at += p.blocks[i].len;
	}
	if (at == len)
		return EBADMSG;
	p.blocks[p.n - 1].data = data + at;
	p.blocks[p.n - 1].len = len - at;
	*out = p;
	return 0;
}
