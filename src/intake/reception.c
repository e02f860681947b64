/** intake/reception.c -- how a sender is received. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/reception.h"

#include "sound/sound.h"

enum {
	LOST_MAX = 0x7fffff, /* 24 bits with sign */
	JITTER_MAX = 1 << 27 /* far above any; sixteen of it fit */
};

void reception_packet(struct reception *r, int64_t arrival, int64_t ts)
{
	const int64_t transit = arrival - ts;
	int64_t d = transit - r->transit;

	r->transit = transit;
	if (r->received++ == 0)
		return;
	if (d < 0)
		d = -d;
	if (d > JITTER_MAX)
		d = JITTER_MAX;
	r->jitter = (uint32_t)(r->jitter + d - ((r->jitter + 8) >> 4));
}

void reception_sr(struct reception *r, uint64_t ntp, int64_t now_us)
{
	r->lsr = (uint32_t)(ntp >> 16);
	r->sr_us = now_us;
}

static uint8_t fraction_of(int64_t lost, int64_t expected)
{
	if (expected <= 0 || lost <= 0)
		return 0;
	return lost >= expected ? 255 : (uint8_t)(lost * 256 / expected);
}

/* In 1/65536 s. */
static uint32_t delay_of(int64_t us)
{
	const int64_t s = us / 1000000, rest = us % 1000000;

	return s > UINT16_MAX ? UINT32_MAX
			      : (uint32_t)(s * 65536 + rest * 65536 / 1000000);
}

uint32_t reception_jitter_us(const struct reception *r)
{
	uint64_t us = (uint64_t)(r->jitter >> 4) * 1000 / SOUND_FRAMES_PER_MS;

	return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

void reception_report(struct reception *r, const struct stream *s,
		      int64_t now_us, struct rtcp_report *out)
{
	const int64_t expected = s->seq - s->first + 1;
	int64_t lost = expected - r->received;
	const int64_t now_expected = expected - r->expected_before;
	const int64_t now_received = r->received - r->received_before;

	if (lost > LOST_MAX)
		lost = LOST_MAX;
	if (lost < -LOST_MAX - 1)
		lost = -LOST_MAX - 1;
	*out = (struct rtcp_report){
		.from = ~s->ssrc, /* never the sender's own */
		.of = s->ssrc,
		.fraction =
			fraction_of(now_expected - now_received, now_expected),
		.lost = (int32_t)lost,
		.last_seq = (uint32_t)s->seq,
		.jitter = r->jitter >> 4,
		.lsr = r->sr_us ? r->lsr : 0,
		.dlsr = r->sr_us ? delay_of(now_us - r->sr_us) : 0,
	};
	r->expected_before = expected;
	r->received_before = r->received;
}
