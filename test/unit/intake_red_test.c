/** test/unit/intake_red_test.c -- lost packets out of RED, and which payloads
 *  are RED. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "intake/payload.h"
#include "intake_rig.h"

enum { RED_PT = 110, OPUS_PT = 111, OLDER_MAX = 4, RED_MAX = 64 };

static const uint8_t quiet_20ms = 31 << 3; /* CELT, mono, no bytes */

/** A RED payload: `older` copies, each 20 ms before the next, and the sound. */
static size_t red_payload(uint8_t *out, uint8_t pt, int older)
{
	size_t n = 0;

	for (int k = older; k > 0; k--) {
		const unsigned offset = (unsigned)k * 20 * MS;

		out[n++] = 0x80 | pt;
		out[n++] = (uint8_t)(offset >> 6);
		out[n++] = (uint8_t)((offset & 63) << 2);
		out[n++] = 1;
	}
	out[n++] = pt;
	for (int k = older; k >= 0; k--)
		out[n++] = quiet_20ms;
	return n;
}

static void put_payload(struct rig *r, uint8_t pt, int64_t i, int64_t at_us,
			const uint8_t *payload, size_t len)
{
	const struct rtp_packet p = {.pt = pt,
				     .ssrc = r->ssrc,
				     .seq = (uint16_t)i,
				     .ts = (uint32_t)(i * r->us * MS / 1000)};
	uint8_t bytes[RTP_HEADER_LEN + RED_MAX];

	rtp_write_header(&p, bytes);
	memcpy(bytes + RTP_HEADER_LEN, payload, len);
	input_packet(r->in, bytes, RTP_HEADER_LEN + len, &r->from, at_us);
}

/** Packet `i` with copies of the `older` ones before it comes at `at_us`. */
static void put_red(struct rig *r, int64_t i, int older, int64_t at_us)
{
	uint8_t payload[RED_MAX];
	const size_t len = red_payload(payload, OPUS_PT, older);

	put_payload(r, RED_PT, i, at_us, payload, len);
}

static struct rig *set_up_red(uint8_t opus_pt, uint8_t red_pt)
{
	struct input_config config = plain;
	struct rig *r;

	config.opus_pt = opus_pt;
	config.red_pt = red_pt;
	r = set_up_with(&config);
	assert_non_null(r->in);
	return r;
}

/** All from..to-1 are sent, as a browser does: the first ones have no copies
 *  yet.  Of each `every` the last `lost` do not come. */
static void talk_red(struct rig *r, int64_t from, int64_t to, int older,
		     int64_t every, int64_t lost)
{
	for (int64_t i = from; i < to; i++) {
		const int n = i - from < older ? (int)(i - from) : older;

		if (i % every < every - lost)
			put_red(r, i, n, sent_us(r, i));
		input_advance(r->in, sent_us(r, i));
	}
	input_flush(r->in, INT64_MAX);
}

/* ---- what is lost is recovered ------------------------------------------------ */

static void every_20th_packet_lost_leaves_nothing_to_conceal(void **state)
{
	static const uint8_t types[][2] = {
		{OPUS_PT, RED_PT}, {PT_NONE, RED_PT}, {OPUS_PT, PT_NONE}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct tally before = tally_now();
		struct rig *r = set_up_red(types[i][0], types[i][1]);
		struct input_stats st;

		/* without a type for RED the first one, which has no copies,
		 * could be anything */
		if (types[i][1] == PT_NONE)
			put(r, 0, sent_us(r, 0));
		else
			put_red(r, 0, 0, sent_us(r, 0));
		talk_red(r, 1, 1001, 1, 20, 1);
		st = stats_of(r);
		assert_int_equal(st.frames_concealed + st.frames_silence, 0);
		assert_int_equal(st.lost + st.late + st.duplicate, 0);
		/* what is bad is recovered, too */
		assert_int_equal(st.bad, types[i][1] == PT_NONE);
		assert_int_equal(st.recovered_red, 50 + st.bad);
		assert_int_equal(counter_get(COUNT_rtp_recovered_red) -
					 before.n[COUNT_rtp_recovered_red],
				 50 + (int64_t)st.bad);
		assert_int_equal(counter_get(COUNT_rtp_lost),
				 before.n[COUNT_rtp_lost]);
		assert_int_equal(r->ear.n, 1);
		assert_int_equal(r->ear.on_pos, pos_of(start_us));
		assert_int_equal(r->ear.end, pos_of(sent_us(r, 1001)));
		tear_down(r);
	}
}

static void as_many_in_a_row_as_there_are_copies_are_recovered(void **state)
{
	(void)state;
	for (int older = 1; older <= OLDER_MAX; older++) {
		for (int lost = 1; lost <= OLDER_MAX; lost++) {
			struct rig *r = set_up_red(OPUS_PT, RED_PT);
			const int more = lost > older ? lost - older : 0;
			struct input_stats st;

			talk_red(r, 0, 201, older, 20, lost);
			st = stats_of(r);
			assert_int_equal(st.recovered_red, 10 * (lost - more));
			assert_int_equal(st.lost, 10 * more);
			assert_int_equal(st.frames_concealed,
					 10 * more * 20 * MS);
			assert_int_equal(r->ear.end, pos_of(sent_us(r, 201)));
			tear_down(r);
		}
	}
}

static void a_packet_that_comes_later_takes_its_copys_place(void **state)
{
	struct rig *r = set_up_red(OPUS_PT, RED_PT);
	struct input_stats st;

	(void)state;
	for (int64_t i = 0; i < 100; i++) {
		if (i % 10 != 5)
			put_red(r, i, 2, sent_us(r, i));
		if (i % 10 == 8) /* 60 ms late */
			put_red(r, i - 3, 2, sent_us(r, i));
	}
	input_flush(r->in, INT64_MAX);
	st = stats_of(r);
	assert_int_equal(st.packets, 100);
	assert_int_equal(st.recovered_red + st.duplicate + st.late + st.lost,
			 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

static void a_packet_whose_copy_was_heard_is_a_duplicate(void **state)
{
	struct rig *r = set_up_red(OPUS_PT, RED_PT);
	struct input_stats st;

	(void)state;
	for (int64_t i = 0; i < 100; i++) {
		if (i != 20)
			put_red(r, i, 1, sent_us(r, i));
		if (i == 60)
			put_red(r, 20, 1, sent_us(r, i));
		input_advance(r->in, sent_us(r, i));
	}
	st = stats_of(r);
	assert_int_equal(st.recovered_red, 1);
	assert_int_equal(st.duplicate, 1);
	assert_int_equal(st.late + st.lost, 0);
	tear_down(r);
}

static void copies_of_what_was_before_the_run_are_not_heard(void **state)
{
	struct rig *r = set_up_red(OPUS_PT, RED_PT);

	(void)state;
	put_red(r, 500, 4, sent_us(r, 500));
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).recovered_red, 0);
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, 500)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 501)));
	tear_down(r);
}

static void a_copy_that_lies_upon_another_packet_is_dropped(void **state)
{
	/* as number 9 was not sent as RED, the copy in 10 is of 8 */
	static const uint8_t wrong[] = {
		0x80 | OPUS_PT, 1920 >> 6,  0,	       1,
		OPUS_PT,	quiet_20ms, quiet_20ms};
	/* and this one is half in 10 */
	static const uint8_t half[] = {
		0x80 | OPUS_PT, 480 >> 6,   480 % 64 << 2, 1,
		OPUS_PT,	quiet_20ms, quiet_20ms};
	struct rig *r = set_up_red(OPUS_PT, RED_PT);

	(void)state;
	talk(r, 0, 9);
	put_payload(r, RED_PT, 10, sent_us(r, 10), wrong, sizeof(wrong));
	talk(r, 11, 19);
	put_payload(r, RED_PT, 20, sent_us(r, 20), half, sizeof(half));
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).recovered_red + stats_of(r).late, 0);
	assert_int_equal(stats_of(r).lost, 2);
	assert_int_equal(stats_of(r).frames_concealed, 2 * 20 * MS);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 21)));
	tear_down(r);
}

static void copies_may_be_of_an_earlier_packet_only(void **state)
{
	/* of the last but two: a burst of two is no loss at all */
	static const uint8_t far[] = {0x80 | OPUS_PT, 2880 >> 6,  0,	     1,
				      OPUS_PT,	      quiet_20ms, quiet_20ms};
	struct rig *r = set_up_red(OPUS_PT, RED_PT);
	struct input_stats st;

	(void)state;
	for (int64_t i = 0; i < 100; i++) {
		if (i % 20 != 9 && i % 20 != 10)
			put_payload(r, RED_PT, i, sent_us(r, i), far,
				    sizeof(far));
		input_advance(r->in, sent_us(r, i));
	}
	input_flush(r->in, INT64_MAX);
	st = stats_of(r);
	assert_int_equal(st.recovered_red, 10);
	assert_int_equal(st.lost + st.late + st.frames_concealed, 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

static void a_pause_before_a_recovered_packet_is_silence(void **state)
{
	struct rig *r = set_up_red(OPUS_PT, RED_PT);
	struct input_stats st;

	(void)state;
	talk(r, 0, 50);
	/* DTX: the clock runs for 1 s, the numbers stand still; the first
	 * packet after it is lost */
	for (int64_t i = 51; i < 100; i++) {
		uint8_t payload[RED_MAX];
		const size_t len =
			red_payload(payload, OPUS_PT, i > 51 ? 2 : 1);
		uint8_t bytes[RTP_HEADER_LEN + RED_MAX];
		const struct rtp_packet p = {
			.pt = RED_PT,
			.ssrc = r->ssrc,
			.seq = (uint16_t)i,
			.ts = (uint32_t)((i + 50) * 20 * MS)};

		rtp_write_header(&p, bytes);
		memcpy(bytes + RTP_HEADER_LEN, payload, len);
		input_packet(r->in, bytes, RTP_HEADER_LEN + len, &r->from,
			     sent_us(r, i + 50));
	}
	input_flush(r->in, INT64_MAX);
	st = stats_of(r);
	assert_int_equal(st.recovered_red, 1);
	assert_int_equal(st.lost + st.frames_concealed, 0);
	assert_int_equal(st.frames_silence, 1000 * MS);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 150)));
	tear_down(r);
}

/* ---- which payloads are RED --------------------------------------------------- */

static void types_that_are_given_are_the_only_ones(void **state)
{
	static const uint8_t other[] = {100, quiet_20ms};
	struct rig *r = set_up_red(OPUS_PT, RED_PT);

	(void)state;
	r->pt = 96; /* Opus, but not the type that is */
	put(r, 0, sent_us(r, 0));
	put_payload(r, RED_PT, 1, sent_us(r, 1), other, sizeof(other));
	assert_int_equal(stats_of(r).bad, 2);
	assert_int_equal(stats_of(r).packets, 0);
	r->pt = OPUS_PT;
	put(r, 2, sent_us(r, 2));
	put_red(r, 3, 0, sent_us(r, 3));
	put_payload(r, RED_PT, 4, sent_us(r, 4), &quiet_20ms, 1);
	put_payload(r, RED_PT, 5, sent_us(r, 5), other, 0);
	assert_int_equal(stats_of(r).bad, 4);
	assert_int_equal(stats_of(r).packets, 2);
	tear_down(r);
}

static void types_that_are_given_need_not_be_dynamic(void **state)
{
	struct rig *r = set_up_red(35, 63);
	uint8_t payload[RED_MAX];

	(void)state;
	put_payload(r, 63, 0, sent_us(r, 0), payload,
		    red_payload(payload, 35, 0));
	put_payload(r, 35, 1, sent_us(r, 1), &quiet_20ms, 1);
	assert_int_equal(stats_of(r).packets, 2);
	tear_down(r);
}

static void red_is_found_out_and_opus_may_come_between(void **state)
{
	struct rig *r = set_up();
	struct input_stats st;

	(void)state;
	put_red(r, 0, 1, sent_us(r, 0));
	for (int64_t i = 1; i < 301; i++) {
		if (i % 7 == 0)
			put(r, i, sent_us(r, i));
		else if (i % 7 != 5)
			put_red(r, i, i % 7, sent_us(r, i));
		input_advance(r->in, sent_us(r, i));
	}
	input_flush(r->in, INT64_MAX);
	st = stats_of(r);
	assert_int_equal(st.bad, 0);
	assert_int_equal(st.lost, 0);
	assert_int_equal(st.frames_concealed, 0);
	assert_int_equal(st.recovered_red, 43);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 301)));
	tear_down(r);
}

static void another_run_may_send_opus_where_red_was(void **state)
{
	struct rig *r = set_up();

	(void)state;
	for (int64_t i = 0; i < 50; i++)
		put_red(r, i, 1, sent_us(r, i));
	r->ssrc = 8;
	r->pt = RED_PT;
	talk(r, 50, 100);
	assert_int_equal(stats_of(r).bad, 0);
	/* and the same run, when it was quiet for long enough */
	r->ssrc = 9;
	for (int64_t i = 100; i < 150; i++)
		put_red(r, i, 1, sent_us(r, i));
	put(r, 150, sent_us(r, 150));
	assert_int_equal(stats_of(r).bad, 1);
	talk(r, 350, 400);
	assert_int_equal(stats_of(r).bad, 1);
	assert_int_equal(stats_of(r).packets, 200);
	tear_down(r);
}

/** A payload of plain Opus that begins like RED does (a music encoder's). */
static size_t like_red(uint8_t *out, uint32_t *seed)
{
	const size_t len = 40;

	for (size_t i = 0; i < len; i++) {
		*seed = *seed * 1664525 + 1013904223;
		out[i] = (uint8_t)(*seed >> 24);
	}
	out[0] = (uint8_t)(0xf8 | (out[0] & 4)); /* 20 ms, one frame */
	return len;
}

static void opus_is_never_taken_for_red(void **state)
{
	struct payload_types types = {0};
	struct payload p;
	uint8_t bytes[RED_MAX];
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 1000000; i++) {
		const struct rtp_packet rtp = {.pt = OPUS_PT,
					       .payload = bytes,
					       .payload_len =
						       like_red(bytes, &seed)};

		assert_true(payload_read(&types, &rtp, OPUS_PT, &p));
		assert_false(p.is_red);
		assert_int_equal(p.len, rtp.payload_len);
	}
	/* one that was chosen to look so is Opus, too, where Opus was before */
	for (int i = 0; i < RED_AGREED - 1; i++) {
		const struct rtp_packet rtp = {
			.pt = 98,
			.payload = bytes,
			.payload_len = red_payload(bytes, 120, 1)};

		(void)!payload_read(&types, &rtp, 98, &p);
		assert_false(p.is_red);
	}
}

static void red_that_was_taken_for_opus_is_found_out(void **state)
{
	struct rig *r = set_up();

	(void)state;
	r->pt = RED_PT;
	put(r, 0, sent_us(r, 0)); /* so Opus it is */
	for (int64_t i = 1; i < 100; i++)
		put_red(r, i, 1, sent_us(r, i));
	/* all but the first ones are right */
	assert_in_range(stats_of(r).bad, 0, RED_AGREED - 1);
	assert_in_range(stats_of(r).packets, 100 - RED_AGREED + 1, 100);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

/* ---- memory ------------------------------------------------------------------- */

static void red_under_way_allocates_nothing(void **state)
{
	struct rig *r = set_up_red(OPUS_PT, RED_PT);

	(void)state;
	talk_red(r, 0, 100, 3, 20, 2);
	mem_fail_after(0);
	talk_red(r, 100, 1000, 3, 20, 2);
	assert_false(mem_fail_happened());
	mem_fail_after(-1);
	tear_down(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			every_20th_packet_lost_leaves_nothing_to_conceal),
		cmocka_unit_test(
			as_many_in_a_row_as_there_are_copies_are_recovered),
		cmocka_unit_test(
			a_packet_that_comes_later_takes_its_copys_place),
		cmocka_unit_test(a_packet_whose_copy_was_heard_is_a_duplicate),
		cmocka_unit_test(
			copies_of_what_was_before_the_run_are_not_heard),
		cmocka_unit_test(
			a_copy_that_lies_upon_another_packet_is_dropped),
		cmocka_unit_test(copies_may_be_of_an_earlier_packet_only),
		cmocka_unit_test(a_pause_before_a_recovered_packet_is_silence),
		cmocka_unit_test(types_that_are_given_are_the_only_ones),
		cmocka_unit_test(types_that_are_given_need_not_be_dynamic),
		cmocka_unit_test(red_is_found_out_and_opus_may_come_between),
		cmocka_unit_test(another_run_may_send_opus_where_red_was),
		cmocka_unit_test(opus_is_never_taken_for_red),
		cmocka_unit_test(red_that_was_taken_for_opus_is_found_out),
		cmocka_unit_test(red_under_way_allocates_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
