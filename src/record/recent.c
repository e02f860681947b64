/** record/recent.c -- the last Opus packets of a run. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/recent.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { BYTES_MAX = RECENT_N * SOUND_OPUS_MAX };

void recent_init(struct recent *r)
{
	r->end = 0;
	r->n = 0;
	buf_init(&r->bytes, BYTES_MAX);
}

void recent_fini(struct recent *r)
{
	buf_fini(&r->bytes);
}

void recent_clear(struct recent *r)
{
	r->end = 0;
	r->n = 0;
	buf_clear(&r->bytes);
}

/** Few bytes lie in the packet itself: no memory is needed for them. */
static bool is_made(const struct recent_packet *p)
{
	return p->len <= SOUND_MADE_MAX;
}

int recent_put(struct recent *r, const void *packet, size_t len,
	       uint32_t frames)
{
	struct recent_packet *p = &r->packets[r->n];
	struct sound_made lost;
	int err;

	assert(r->n < RECENT_N && len > 0 && len <= SOUND_OPUS_MAX);
	*p = (struct recent_packet){.start = r->end,
				    .at = (uint32_t)r->bytes.len,
				    .len = (uint16_t)len,
				    .frames = (uint16_t)frames};
	if (!is_made(p))
		buf_append(&r->bytes, packet, len);
	err = buf_err(&r->bytes);
	if (err) {
		r->bytes.err = 0; /* what is in it is good */
		lost = sound_make_lost(packet, len);
		p->len = lost.len;
		packet = lost.data;
	}
	if (is_made(p))
		memcpy(p->made, packet, p->len);
	r->end += frames;
	r->n++;
	return err ? ENOMEM : 0;
}

unsigned recent_find(const struct recent *r, uint64_t pos)
{
	unsigned i = r->n;

	assert(i > 0);
	while (--i > 0)
		if (r->packets[i].start <= pos)
			break;
	return i;
}

const uint8_t *recent_data(const struct recent *r, unsigned i)
{
	const struct recent_packet *p = &r->packets[i];

	return is_made(p) ? p->made : r->bytes.data + p->at;
}

void recent_trim(struct recent *r, uint64_t pos)
{
	const unsigned drop = r->n > 0 ? recent_find(r, pos) : 0;
	uint32_t len;

	if (drop == 0)
		return;
	len = r->packets[drop].at;
	r->n -= drop;
	memmove(r->packets, r->packets + drop, r->n * sizeof(*r->packets));
	r->bytes.len -= len;
	if (r->bytes.len)
		memmove(r->bytes.data, r->bytes.data + len, r->bytes.len);
	for (unsigned i = 0; i < r->n; i++)
		r->packets[i].at -= len;
}
