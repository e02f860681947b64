/** test/unit/intake_sender_test.c -- which packets are an input's: each other is
 *  counted by its own counter and changes nothing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "intake/ring.h"
#include "intake_rig.h"

/* ---- which packets are taken ------------------------------------------------------ */

static void any_cut_of_a_packet_is_counted_once_and_changes_nothing(
	void **state)
{
	/* two sources, an extension of one word, 3 bytes of Opus, padding */
	static const uint8_t whole[] = {
		0xb2, 111,  0,	  1, 0,	   0, 0, 9,		/* V P X CC=2 */
		0,    0,    0,	  7, 1,	   1, 1, 1, 2, 2, 2, 2, /**/
		0xbe, 0xde, 0,	  1, 0x10, 5, 0, 0,		/**/
		0xf8, 0xff, 0xfe, 0, 0,	   0, 0, 5};

	(void)state;
	for (size_t len = 0; len <= sizeof(whole); len++) {
		struct rig *r = set_up();
		struct tally before = tally_now();
		bool is_whole = len == sizeof(whole);

		/* its own allocation: reading behind it is seen */
		uint8_t *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, whole, len);
		input_packet(r->in, cut, len, &r->from, start_us);
		free(cut);
		/* cut in the payload, the last byte is no count of padding */
		expect_only(&before,
			    is_whole ? COUNT_rtp_packets : COUNT_rtp_bad, 1);
		assert_int_equal(stats_of(r).bad, !is_whole);
		assert_int_equal(stats_of(r).packets, is_whole);
		assert_int_equal(stats_of(r).sender.len != 0, is_whole);
		assert_int_equal(stats_of(r).last_packet_us,
				 is_whole ? start_us : 0);
		input_flush(r->in, INT64_MAX);
		assert_int_equal(r->ear.n, is_whole);
		tear_down(r);
	}
}

/** `bytes` come in the midst of a run: `which` counts them, and the run goes
 *  on as if they had not come. */
static void expect_aside(const void *bytes, size_t len, const char *from,
			 const struct input_config *config, enum counter which)
{
	struct rig *r = set_up_with(config);
	struct input_stats was, is;
	struct tally before;
	struct addr other;

	talk(r, 0, 10);
	was = stats_of(r);
	before = tally_now();
	assert_int_equal(addr_parse(from, &other), 0);
	input_packet(r->in, bytes, len, &other, sent_us(r, 10));
	expect_only(&before, which, 1);
	is = stats_of(r);
	if (which == COUNT_rtp_stranger)
		was.stranger++;
	else if (which != COUNT_rtcp_packets)
		was.bad++;
	assert_memory_equal(&is, &was, sizeof(is));
	talk(r, 10, 20);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.spans[0].pos, pos_of(start_us));
	assert_int_equal(r->ear.spans[0].frames, 400 * MS);
	tear_down(r);
}

static void what_is_no_rtp_is_counted_and_changes_nothing(void **state)
{
	uint8_t bytes[64] = {0};

	(void)state;
	expect_aside(bytes, 0, "192.0.2.7:5004", &plain, COUNT_rtp_bad);
	for (int version = 0; version < 4; version++) {
		bytes[0] = (uint8_t)(version << 6);
		bytes[1] = 111;
		expect_aside(bytes,
			     sizeof(bytes) * (version != 2) +
				     11U * (version == 2),
			     "192.0.2.7:5004", &plain, COUNT_rtp_bad);
	}
	memset(bytes, 'G', 16); /* text, as of "GET /" */
	expect_aside(bytes, 16, "192.0.2.7:5004", &plain, COUNT_rtp_bad);
}

static void rtcp_is_counted_whoever_sends_it(void **state)
{
	uint8_t bytes[28] = {0x80, 0, 0, 6};

	(void)state;
	for (int type = 192; type <= 223; type++) {
		bytes[1] = (uint8_t)type;
		expect_aside(bytes, sizeof(bytes), "192.0.2.7:5004", &plain,
			     COUNT_rtcp_packets);
		expect_aside(bytes, sizeof(bytes), "192.0.2.9:5005", &plain,
			     COUNT_rtcp_packets);
	}
}

static void what_is_no_opus_is_counted_and_changes_nothing(void **state)
{
	static const uint8_t payloads[][2] = {
		{0xff, 0x00}, /* code 3 without a frame */
		{0xff, 0x3f}, /* 63 frames of 20 ms: over 120 ms */
		{0xf9, 0x00}, /* code 1 of an odd length */
		{0xfa, 0xff}, /* code 2, a length that is cut */
	};
	uint8_t bytes[RTP_HEADER_LEN + RING_PAYLOAD_MAX + 1] = {0};
	const size_t two = RTP_HEADER_LEN + 2;

	(void)state;
	for (int pt = 0; pt < 96; pt++) { /* not dynamic */
		(void)!quiet_packet(bytes, (uint8_t)pt, 7, 10, 20000);
		expect_aside(bytes, two - 1, "192.0.2.7:5004", &plain,
			     COUNT_rtp_bad_opus);
	}
	(void)!quiet_packet(bytes, 111, 7, 10, 20000);
	expect_aside(bytes, RTP_HEADER_LEN, "192.0.2.7:5004", &plain,
		     COUNT_rtp_bad_opus);
	expect_aside(bytes, sizeof(bytes), "192.0.2.7:5004", &plain,
		     COUNT_rtp_bad_opus);
	for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
		memcpy(bytes + RTP_HEADER_LEN, payloads[i], 2);
		expect_aside(bytes, two, "192.0.2.7:5004", &plain,
			     COUNT_rtp_bad_opus);
	}
	/* another type than the run's */
	(void)!quiet_packet(bytes, 101, 7, 10, 20000);
	expect_aside(bytes, two - 1, "192.0.2.7:5004", &plain,
		     COUNT_rtp_bad_opus);
}

static void a_stranger_is_counted_and_changes_nothing(void **state)
{
	struct input_config pinned = plain;
	uint8_t bytes[RTP_HEADER_LEN + 1];
	size_t len = quiet_packet(bytes, 111, 7, 10, 20000);

	(void)state;
	expect_aside(bytes, len, "192.0.2.7:5005", &plain, COUNT_rtp_stranger);
	expect_aside(bytes, len, "192.0.2.8:5004", &plain, COUNT_rtp_stranger);
	expect_aside(bytes, len, "[2001:db8::1]:5004", &plain,
		     COUNT_rtp_stranger);
	pinned.has_source = true;
	for (int port = 0; port <= 5004; port += 5004) {
		assert_int_equal(addr_parse("192.0.2.7", &pinned.source), 0);
		addr_set_port(&pinned.source, (uint16_t)port);
		expect_aside(bytes, len, "192.0.2.7:5005", &pinned,
			     COUNT_rtp_stranger);
		expect_aside(bytes, len, "192.0.2.8:5004", &pinned,
			     COUNT_rtp_stranger);
	}
}

static void a_pinned_source_is_waited_for(void **state)
{
	struct input_config pinned = plain;
	struct rig *r;

	(void)state;
	pinned.has_source = true;
	assert_int_equal(addr_parse("192.0.2.9:6000", &pinned.source), 0);
	r = set_up_with(&pinned);
	talk(r, 0, 200); /* 4 s: no takeover either */
	assert_int_equal(stats_of(r).stranger, 200);
	assert_int_equal(stats_of(r).sender.len, 0);
	assert_int_equal(addr_parse("192.0.2.9:6001", &r->from), 0);
	put(r, 200, sent_us(r, 200)); /* right host, wrong port */
	assert_int_equal(stats_of(r).stranger, 201);
	assert_int_equal(addr_parse("192.0.2.9:6000", &r->from), 0);
	put(r, 201, sent_us(r, 201));
	assert_int_equal(stats_of(r).packets, 1);
	assert_true(is_sender(r, &r->from));
	tear_down(r);
}

static void after_3_s_without_a_packet_another_may_take_over(void **state)
{
	struct rig *r = set_up();
	struct addr first = r->from;
	int64_t last_us;
	struct tally before;

	(void)state;
	talk(r, 0, 10);
	last_us = sent_us(r, 9);
	assert_int_equal(addr_parse("192.0.2.8:7000", &r->from), 0);
	put(r, 5000, last_us + TAKEOVER_US); /* on the stroke: not yet */
	assert_int_equal(stats_of(r).stranger, 1);
	assert_true(is_sender(r, &first));
	before = tally_now();
	put(r, 5001, last_us + TAKEOVER_US + 1);
	assert_int_equal(counter_get(COUNT_rtp_packets) -
				 before.n[COUNT_rtp_packets],
			 1);
	assert_true(is_sender(r, &r->from));
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 2);
	assert_int_equal(r->ear.on_pos, pos_of(last_us + TAKEOVER_US + 1));
	/* and now the first one is the stranger */
	r->from = first;
	put(r, 10, last_us + TAKEOVER_US + 1000);
	assert_int_equal(stats_of(r).stranger, 2);
	tear_down(r);
}

static void a_payload_type_may_change_after_3_s_of_quiet(void **state)
{
	struct rig *r = set_up();
	int64_t n;

	(void)state;
	/* an event of a telephone, whose bytes happen to be Opus, is first */
	r->pt = 101;
	put(r, 0, start_us);
	r->pt = 111;
	for (n = 1; sent_us(r, n) <= start_us + TAKEOVER_US; n++) {
		put(r, n, sent_us(r, n));
		assert_int_equal(stats_of(r).bad, n);
	}
	talk(r, n, n + 50);
	assert_int_equal(stats_of(r).packets, 51);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 2);
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, n)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, n + 50)));
	tear_down(r);
}

static void every_dynamic_payload_type_will_do(void **state)
{
	(void)state;
	for (int pt = 96; pt < 128; pt++) {
		struct rig *r = set_up();

		r->pt = (uint8_t)pt;
		talk(r, 0, 5);
		input_flush(r->in, INT64_MAX);
		assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND), 100 * MS);
		assert_int_equal(stats_of(r).packets, 5);
		tear_down(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			any_cut_of_a_packet_is_counted_once_and_changes_nothing),
		cmocka_unit_test(what_is_no_rtp_is_counted_and_changes_nothing),
		cmocka_unit_test(rtcp_is_counted_whoever_sends_it),
		cmocka_unit_test(
			what_is_no_opus_is_counted_and_changes_nothing),
		cmocka_unit_test(a_stranger_is_counted_and_changes_nothing),
		cmocka_unit_test(a_pinned_source_is_waited_for),
		cmocka_unit_test(
			after_3_s_without_a_packet_another_may_take_over),
		cmocka_unit_test(a_payload_type_may_change_after_3_s_of_quiet),
		cmocka_unit_test(every_dynamic_payload_type_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
