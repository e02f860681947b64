/** intake/stream.c -- one run of RTP numbers, unwrapped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/stream.h"

#include <assert.h>
#include <stddef.h>

static_assert(STREAM_MISORDER < STREAM_SEEN, "seen has a bit for each");

void stream_begin(struct stream *s, uint32_t ssrc, uint16_t seq, uint32_t ts)
{
	*s = (struct stream){
		.id = s->id + 1,
		.ssrc = ssrc,
		.first = seq,
		.seq = (int64_t)seq - 1,
		.ts = ts,
	};
}

/* The highest number goes up by `n`. */
static void shift_seen(struct stream *s, unsigned n)
{
	const unsigned words = n / 64, bits = n % 64;

	for (unsigned i = ARRAY_LEN(s->seen); i-- > 0;) {
		uint64_t w = i >= words ? s->seen[i - words] << bits : 0;

		if (bits > 0 && i > words)
			w |= s->seen[i - words - 1] >> (64 - bits);
		s->seen[i] = w;
	}
}

enum stream_verdict stream_place(struct stream *s, uint16_t seq, uint32_t ts,
				 int64_t *seq_out, int64_t *ts_out)
{
	const int ahead = (int16_t)(uint16_t)(seq - (uint16_t)s->seq);
	const int64_t at = s->ts + (int32_t)(ts - (uint32_t)s->ts);

	if (ahead > STREAM_DROPOUT || ahead < -STREAM_MISORDER)
		return STREAM_WILD;
	if (ahead > 0) {
		shift_seen(s, (unsigned)ahead);
		s->seq += ahead;
		s->ts = at;
	} else if (s->seen[-ahead / 64] >> (-ahead % 64) & 1) {
		return STREAM_DUPLICATE;
	}
	if (ahead > 0)
		s->seen[0] |= 1;
	else
		s->seen[-ahead / 64] |= UINT64_C(1) << (-ahead % 64);
	*seq_out = ahead > 0 ? s->seq : s->seq + ahead;
	*ts_out = at;
	return STREAM_NEW;
}

bool stream_has(const struct stream *s, int64_t seq)
{
	const int64_t behind = s->seq - seq;

	if (behind < 0)
		return false;
	return seq < s->first || behind >= STREAM_SEEN ||
	       s->seen[behind / 64] >> (behind % 64) & 1;
}

void stream_mark(struct stream *s, int64_t seq)
{
	const int64_t behind = s->seq - seq;

	if (behind >= 0 && behind < STREAM_SEEN)
		s->seen[behind / 64] |= UINT64_C(1) << (behind % 64);
}
