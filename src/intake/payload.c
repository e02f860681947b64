/** intake/payload.c -- what a packet's payload holds: Opus, or RED around it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/payload.h"

#include "sound/sound.h"

enum { OPUS_STEP = 120 /* frames; Opus lasts multiples of 2.5 ms */ };

static bool looks_like_red(const struct rtp_packet *rtp)
{
	const struct red_block *next;
	struct red_packet red;

	if (red_parse(rtp->payload, rtp->payload_len, &red) || red.n < 2)
		return false;
	next = &red.blocks[red.n - 1];
	if (next->pt < PT_DYNAMIC || next->pt == rtp->pt ||
	    sound_packet_frames(next->data, next->len) == 0)
		return false;
	for (size_t i = red.n - 1; i-- > 0;) {
		const struct red_block *b = &red.blocks[i];
		const uint32_t frames = sound_packet_frames(b->data, b->len);

		if (frames == 0 || b->pt != next->pt ||
		    b->ts_offset % OPUS_STEP != 0 ||
		    b->ts_offset < next->ts_offset + frames)
			return false;
		next = b;
	}
	return true;
}

static bool may_be_red(uint8_t pt)
{
	return pt >= PT_DYNAMIC || (pt >= PT_SPARE && pt <= PT_SPARE_LAST);
}

static bool is_red(struct payload_types *t, const struct rtp_packet *rtp,
		   uint8_t run_pt)
{
	if (t->red_pt != PT_NONE || rtp->pt == t->opus_pt ||
	    !may_be_red(rtp->pt))
		return t->red_pt != PT_NONE && rtp->pt == t->red_pt;
	if (rtp->pt == t->maybe_red && t->agreed >= RED_AGREED)
		return true;
	if (!looks_like_red(rtp)) {
		if (rtp->pt == t->maybe_red)
			t->agreed = 0;
		return false;
	}
	t->agreed = rtp->pt == t->maybe_red ? t->agreed + 1 : 1;
	t->maybe_red = rtp->pt;
	return rtp->pt != run_pt || t->agreed >= RED_AGREED;
}

bool payload_read(struct payload_types *t, const struct rtp_packet *rtp,
		  uint8_t run_pt, struct payload *out)
{
	out->n_older = 0;
	out->is_red = is_red(t, rtp, run_pt);
	if (out->is_red) {
		const struct red_block *last;

		if (red_parse(rtp->payload, rtp->payload_len, &out->red))
			return false;
		out->n_older = out->red.n - 1;
		last = &out->red.blocks[out->n_older];
		out->pt = last->pt;
		out->opus = last->data;
		out->len = last->len;
	} else {
		if (rtp->pt < PT_DYNAMIC && rtp->pt != t->opus_pt)
			return false;
		out->pt = rtp->pt;
		out->opus = rtp->payload;
		out->len = rtp->payload_len;
	}
	if (t->opus_pt != PT_NONE && out->pt != t->opus_pt)
		return false;
	out->frames = sound_packet_frames(out->opus, out->len);
	return out->frames != 0;
}

void payload_begin(struct payload_types *t, const struct rtp_packet *rtp,
		   const struct payload *p)
{
	t->maybe_red = p->is_red ? rtp->pt : PT_NONE;
	t->agreed = p->is_red;
}
