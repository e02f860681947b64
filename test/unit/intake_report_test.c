/** test/unit/intake_report_test.c -- RTCP of a sender: which is answered, and
 *  what the answer says. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "intake/reception.h"
#include "intake_rig.h"

enum { SR_LEN = 28, BYE_LEN = 8 };

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

/** An SR of `ssrc`, and a BYE if it leaves, from the rig's address. */
static void put_rtcp(struct rig *r, uint32_t ssrc, bool leaves, int64_t at_us)
{
	uint8_t bytes[SR_LEN + BYE_LEN] = {0x80, 200, 0, 6};

	put32(bytes + 4, ssrc);
	put32(bytes + 8, 0xe0012345);
	put32(bytes + 12, 0x6789abcd);
	put32(bytes + 16, 4711);
	bytes[SR_LEN] = 0x81;
	bytes[SR_LEN + 1] = 203;
	bytes[SR_LEN + 3] = 1;
	put32(bytes + SR_LEN + 4, ssrc);
	input_packet(r->in, bytes, leaves ? sizeof(bytes) : SR_LEN, &r->from,
		     at_us);
}

/** The block of the report that is due now; false: none is. */
static bool report(struct rig *r, int64_t now_us, uint8_t block[28])
{
	uint8_t out[RTCP_REPORT_MAX];
	size_t len = input_report(r->in, now_us, out);
	struct rtcp read;

	if (len == 0)
		return false;
	assert_int_equal(rtcp_parse(out, len, &read), 0);
	assert_int_equal(out[1], 201);
	assert_true(read.ssrc != r->ssrc);
	assert_int_equal(get32(out + 8), r->ssrc);
	memcpy(block, out + 4, 28);
	return true;
}

/* ---- which is answered ---------------------------------------------------------- */

static void the_senders_own_rtcp_is_answered_once_a_second(void **state)
{
	struct rig *r = set_up();
	uint8_t block[28];
	int n = 0;

	(void)state;
	put_rtcp(r, r->ssrc, false, start_us); /* nobody sends yet */
	assert_false(report(r, start_us, block));
	for (int64_t i = 0; i < 500; i++) { /* 10 s, 50 a second */
		put(r, i, sent_us(r, i));
		assert_false(report(r, sent_us(r, i), block));
		put_rtcp(r, r->ssrc, false, sent_us(r, i));
		n += report(r, sent_us(r, i), block);
		assert_false(report(r, sent_us(r, i), block));
	}
	assert_int_equal(n, 10);
	tear_down(r);
}

static void rtcp_of_others_is_not_answered(void **state)
{
	struct tally before = tally_now();
	static const uint8_t bad[] = {0x80, 200, 0, 6, 0, 0, 0, 7};
	struct rig *r = set_up();
	uint8_t block[28];
	struct addr me;

	(void)state;
	put(r, 0, start_us);
	me = r->from;
	put_rtcp(r, r->ssrc + 1, true, start_us); /* the neighbour's user */
	assert_false(report(r, start_us, block));
	input_packet(r->in, bad, sizeof(bad), &r->from, start_us);
	assert_false(report(r, start_us, block));
	assert_int_equal(addr_parse("192.0.2.8:5004", &r->from), 0);
	put_rtcp(r, r->ssrc, true, start_us);
	assert_false(report(r, start_us, block));
	assert_int_equal(stats_of(r).bye, 0);
	assert_int_equal(stats_of(r).sr_us, 0);
	assert_int_equal(counter_get(COUNT_rtcp_packets) -
				 before.n[COUNT_rtcp_packets],
			 3);
	assert_int_equal(counter_get(COUNT_rtcp_bad) - before.n[COUNT_rtcp_bad],
			 1);
	/* another port of the same host is the sender's */
	r->from = me;
	addr_set_port(&r->from, 5005);
	put_rtcp(r, r->ssrc, false, start_us);
	assert_true(report(r, start_us, block));
	assert_int_equal(stats_of(r).stranger + stats_of(r).bad, 0);
	tear_down(r);
}

static void a_question_that_nobody_took_up_is_forgotten(void **state)
{
	struct rig *r = set_up();
	uint8_t block[28];

	(void)state;
	put(r, 0, start_us);
	put_rtcp(r, r->ssrc, false, start_us);
	put(r, 1, sent_us(r, 1)); /* maybe from another address */
	assert_false(report(r, sent_us(r, 1), block));
	tear_down(r);
}

static void sr_and_bye_are_noted_and_change_nothing(void **state)
{
	struct rig *r = set_up();
	struct input_stats st;

	(void)state;
	talk(r, 0, 50);
	put_rtcp(r, r->ssrc, true, sent_us(r, 50));
	talk(r, 50, 100);
	input_flush(r->in, INT64_MAX);
	st = stats_of(r);
	assert_int_equal(st.bye, 1);
	assert_true(st.sr_ntp == UINT64_C(0xe00123456789abcd));
	assert_int_equal(st.sr_ts, 4711);
	assert_int_equal(st.sr_ssrc, r->ssrc);
	assert_int_equal(st.sr_us, sent_us(r, 50));
	assert_int_equal(r->ear.n_off, 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

/* ---- what it says ------------------------------------------------------------------ */

static void a_report_says_what_was_lost_and_when_the_last_sr_came(void **state)
{
	struct rig *r = set_up();
	uint8_t block[28];

	(void)state;
	/* numbers 65500.. so that they wrap; every fourth is lost */
	for (int64_t i = 0; i < 100; i++)
		if (i % 4 != 3)
			put(r, 65500 + i, sent_us(r, i));
	put_rtcp(r, r->ssrc, false, sent_us(r, 100));
	assert_true(report(r, sent_us(r, 100) + 1500000, block));
	assert_int_equal(block[8], 256 * 24 / 99); /* the last is not known */
	assert_int_equal(get32(block + 8) & 0xffffff, 24);
	assert_int_equal(get32(block + 12), 65500 + 98);
	assert_int_equal(get32(block + 20), 0x23456789);
	assert_int_equal(get32(block + 24), 3 * 65536 / 2);
	/* then none, and some twice: the fraction is of the time since */
	for (int64_t i = 200; i < 300; i++) {
		put(r, 65500 + i - 101, sent_us(r, i));
		if (i % 10 == 0)
			put(r, 65500 + i - 101, sent_us(r, i));
	}
	put_rtcp(r, r->ssrc, false, sent_us(r, 300));
	assert_true(report(r, sent_us(r, 300), block));
	assert_int_equal(block[8], 0);
	assert_int_equal(get32(block + 8) & 0xffffff, 24 - 10);
	assert_int_equal(get32(block + 12), 65500 + 198);
	assert_int_equal(get32(block + 24), 0);
	/* another run begins anew */
	r->ssrc = 8;
	talk(r, 400, 410);
	put_rtcp(r, r->ssrc, false, sent_us(r, 410));
	assert_true(report(r, sent_us(r, 410), block));
	assert_int_equal(get32(block + 8), 0);
	assert_int_equal(get32(block + 12), 409);
	tear_down(r);
}

static void the_jitter_is_that_of_appendix_a_8(void **state)
{
	struct reception r = {0};
	struct stream s = {0};
	struct rtcp_report report;
	double jitter = 0;
	int64_t before = 0;

	(void)state;
	stream_begin(&s, 7, 0, 0);
	for (int64_t i = 0; i < 1000; i++) {
		const int64_t late = i * 7919 % 480; /* up to 10 ms */
		const int64_t d = late > before ? late - before : before - late;

		reception_packet(&r, i * 960 + late, i * 960);
		if (i > 0)
			jitter += ((double)d - jitter) / 16;
		before = late;
	}
	reception_report(&r, &s, 0, &report);
	assert_in_range(report.jitter, (uint32_t)jitter - 1,
			(uint32_t)jitter + 1);
	assert_true(report.jitter > 100);
	/* a clock that leaps overflows nothing */
	for (int64_t i = 0; i < 100; i++)
		reception_packet(&r, 0, i % 2 ? INT64_C(1) << 60 : 0);
	reception_report(&r, &s, 0, &report);
	assert_in_range(report.jitter, 1 << 26, 1 << 27);
}

static void numbers_that_do_not_fit_stop_at_the_end(void **state)
{
	struct reception r = {.received = 1 << 30};
	struct stream s = {.first = 0, .seq = 9};
	struct rtcp_report report;

	(void)state;
	reception_report(&r, &s, 0, &report);
	assert_int_equal(report.lost, -0x800000);
	assert_int_equal(report.fraction, 0);
	r = (struct reception){.sr_us = 1};
	s.seq = 1 << 30;
	reception_report(&r, &s, INT64_C(70000) * 1000000, &report);
	assert_int_equal(report.lost, 0x7fffff);
	assert_int_equal(report.fraction, 255);
	assert_int_equal(report.dlsr, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_senders_own_rtcp_is_answered_once_a_second),
		cmocka_unit_test(rtcp_of_others_is_not_answered),
		cmocka_unit_test(a_question_that_nobody_took_up_is_forgotten),
		cmocka_unit_test(sr_and_bye_are_noted_and_change_nothing),
		cmocka_unit_test(
			a_report_says_what_was_lost_and_when_the_last_sr_came),
		cmocka_unit_test(the_jitter_is_that_of_appendix_a_8),
		cmocka_unit_test(numbers_that_do_not_fit_stop_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
