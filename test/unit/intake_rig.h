/** test/unit/intake_rig.h -- an input, a sender of packets for it, and an ear. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_INTAKE_RIG_H
#define TEST_UNIT_INTAKE_RIG_H

#include <stdlib.h>

#include "intake_aid.h"

/* Needs cmocka.h before it. */

static const int64_t start_us = 5000000000;

struct rig {
	struct input *in;
	struct ear ear;
	struct addr from;
	uint8_t pt;
	uint32_t ssrc;
	int us; /* of a packet */
};

static const struct input_config plain = {.window_us = WINDOW_US,
					  .mic_off_us = MIC_OFF_US,
					  .takeover_us = TAKEOVER_US};

static inline struct rig *set_up_with(const struct input_config *config)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->pt = 111;
	r->ssrc = 7;
	r->us = 20000;
	assert_int_equal(addr_parse("192.0.2.7:5004", &r->from), 0);
	if (input_new(config, &ear_events, &r->ear, &r->in))
		r->in = NULL; /* the sweep */
	return r;
}

static inline struct rig *set_up(void)
{
	struct rig *r = set_up_with(&plain);

	assert_non_null(r->in);
	return r;
}

static inline void tear_down(struct rig *r)
{
	input_free(r->in);
	free(r);
}

static inline struct input_stats stats_of(const struct rig *r)
{
	struct input_stats st;

	input_stats(r->in, &st);
	return st;
}

static inline bool is_sender(const struct rig *r, const struct addr *a)
{
	const struct input_stats st = stats_of(r);

	return addr_is_equal(&st.sender, a);
}

/** Packet `i` of the sender (number and time by it) comes at `at_us`. */
static inline void put(struct rig *r, int64_t i, int64_t at_us)
{
	uint8_t bytes[RTP_HEADER_LEN + 1];
	size_t len = quiet_packet(bytes, r->pt, r->ssrc, i, r->us);

	input_packet(r->in, bytes, len, &r->from, at_us);
}

/** When packet `i` is sent. */
static inline int64_t sent_us(const struct rig *r, int64_t i)
{
	return start_us + i * r->us;
}

/** Packets from..to-1, in time. */
static inline void talk(struct rig *r, int64_t from, int64_t to)
{
	for (int64_t i = from; i < to; i++)
		put(r, i, sent_us(r, i));
}

static inline int64_t pos_of(int64_t us)
{
	return sound_pos_of_us(us);
}

#endif
