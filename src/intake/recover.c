/** intake/recover.c -- packets that did not come, out of copies in later ones.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/recover.h"

#include <assert.h>
#include <string.h>

static_assert(RING_PAYLOAD_MAX >= 1023, "an older block fits, RFC 2198");

/* Is the place between its neighbours free? */
static bool is_free(const struct ring *ring, const struct timeline *t,
		    const struct ring_packet *p)
{
	const struct ring_packet *before = ring_until(ring, p->stream, p->seq);
	const struct ring_packet *after =
		before ? ring_next(ring, before) : ring_first(ring);

	if (before && before->stream == p->stream &&
	    (before->seq == p->seq || before->ts + before->frames > p->ts))
		return false;
	if (after && after->stream == p->stream &&
	    p->ts + p->frames > after->ts)
		return false;
	if (p->stream != t->stream)
		return true;
	return p->seq >= t->next_seq &&
	       (!t->on || p->ts + p->frames + t->offset > t->pos);
}

/* The level of a packet that did not come is not known.  Between packets
 * without sound it has none either, or it would split a pause. */
static bool is_quiet(const struct ring *ring, const struct timeline *t,
		     const struct ring_packet *of, const struct ring_packet *p)
{
	const struct ring_packet *before = ring_until(ring, p->stream, p->seq);

	if (!of->quiet || (before && before->stream == p->stream))
		return of->quiet && before->quiet;
	return p->stream != t->stream || t->passed;
}

/* The block is the packet `seq`, if that is missing and there is room. */
static bool recover(struct ring *ring, const struct stream *stream,
		    const struct timeline *t, const struct ring_packet *of,
		    int64_t seq, const struct red_block *b, uint32_t frames)
{
	struct ring_packet *p;
	bool fits;

	if (stream_has(stream, seq))
		return false;
	p = ring_take(ring);
	if (!p)
		return false;
	p->stream = of->stream;
	p->seq = seq;
	p->ts = of->ts - b->ts_offset;
	p->arrival_us = of->arrival_us;
	/* As if it had come in time, so that it bends no clock. */
	p->arrival = of->arrival - b->ts_offset;
	p->frames = frames;
	p->redundant = true;
	p->quiet = is_quiet(ring, t, of, p);
	p->len = (uint32_t)b->len;
	memcpy(p->payload, b->data, b->len);
	fits = is_free(ring, t, p);
	if (fits)
		ring_insert(ring, p);
	else
		ring_release(ring, p);
	return fits;
}

void recover_older(struct ring *ring, const struct stream *stream,
		   const struct timeline *t, const struct ring_packet *of,
		   const struct payload *p)
{
	for (size_t i = 1; i <= p->n_older; i++) {
		const struct red_block *b = &p->red.blocks[p->n_older - i];
		const uint32_t frames = sound_packet_frames(b->data, b->len);

		if (b->pt != p->pt || frames == 0 || b->ts_offset < frames)
			continue;
		if (!recover(ring, stream, t, of,
			     of->seq - b->ts_offset / frames, b, frames))
			(void)recover(ring, stream, t, of, of->seq - (int64_t)i,
				      b, frames);
	}
}
