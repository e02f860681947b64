/** test/unit/wire_rtcp_test.c -- RTCP read, and the report that is written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* SR of 01020304 with a block; SDES with "ab"; BYE of 9 and of 01020304 */
static const uint8_t whole[] = {
	0x81, 200,  0,	  12,	0x01, 0x02, 0x03, 0x04, /* SR */
	0xe0, 0x01, 0x02, 0x03, 0x80, 0,    0,	  0,	/* NTP time */
	0,    0,    0x0b, 0xb8, 0,    0,    0,	  5,	/* RTP time, packets */
	0,    0,    0,	  200,	0,    0,    0,	  7,	/* octets; block */
	0,    0,    0,	  0,	0,    0,    0,	  0,	/* .. */
	0,    0,    0,	  0,	0,    0,    0,	  0,	/* .. */
	0,    0,    0,	  0,				/* .. */
	0x81, 202,  0,	  3,	0x01, 0x02, 0x03, 0x04, /* SDES */
	1,    2,    'a',  'b',	0,    0,    0,	  0,	/* CNAME */
	0x82, 203,  0,	  2,	0,    0,    0,	  9,	/* BYE */
	0x01, 0x02, 0x03, 0x04,
};
enum { SR_LEN = 52, SDES_LEN = 16, BYE_LEN = 12 };

/** Parse a copy of exactly `len` bytes, so that a sanitizer sees overreads. */
static int parse_copy(const uint8_t *data, size_t len)
{
	struct rtcp r;
	uint8_t *copy = test_malloc(len ? len : 1);
	int err;

	memcpy(copy, data, len);
	err = rtcp_parse(copy, len, &r);
	test_free(copy);
	return err;
}

static void rtcp_reads_what_a_sender_says_of_itself(void **state)
{
	struct rtcp r;

	(void)state;
	assert_int_equal(sizeof(whole), SR_LEN + SDES_LEN + BYE_LEN);
	assert_int_equal(rtcp_parse(whole, sizeof(whole), &r), 0);
	assert_true(r.has_ssrc && r.has_sr && r.has_bye);
	assert_int_equal(r.ssrc, 0x01020304);
	assert_true(r.ntp == UINT64_C(0xe001020380000000));
	assert_int_equal(r.ts, 3000);
	assert_int_equal(rtcp_parse(whole, SR_LEN + SDES_LEN, &r), 0);
	assert_true(r.has_sr && !r.has_bye);
	/* begun by the SDES: the BYE of the same sender, no SR */
	assert_int_equal(rtcp_parse(whole + SR_LEN, SDES_LEN + BYE_LEN, &r), 0);
	assert_int_equal(r.ssrc, 0x01020304);
	assert_true(r.has_bye && !r.has_sr);
}

static void rtcp_of_another_says_nothing_of_the_sender(void **state)
{
	static const uint8_t rr[] = {0x80, 201, 0, 1, 0, 0, 0, 8};
	uint8_t both[sizeof(rr) + sizeof(whole)];
	struct rtcp r;

	(void)state;
	memcpy(both, rr, sizeof(rr));
	memcpy(both + sizeof(rr), whole, sizeof(whole));
	assert_int_equal(rtcp_parse(both, sizeof(both), &r), 0);
	assert_int_equal(r.ssrc, 8);
	assert_true(!r.has_sr && !r.has_bye);
}

static void rtcp_takes_a_bye_of_nobody_and_types_it_does_not_know(void **state)
{
	static const uint8_t odd[] = {0x80, 203, 0, 0, 0x81, 206, 0, 1,
				      0,    0,	 0, 7, 0x80, 210, 0, 0};
	struct rtcp r;

	(void)state;
	assert_int_equal(rtcp_parse(odd, sizeof(odd), &r), 0);
	assert_false(r.has_ssrc || r.has_sr || r.has_bye);
}

static void rtcp_refuses_every_truncation(void **state)
{
	(void)state;
	for (size_t len = 0; len <= sizeof(whole); len++) {
		const bool whole_packets = len == SR_LEN ||
					   len == SR_LEN + SDES_LEN ||
					   len == sizeof(whole);

		assert_int_equal(parse_copy(whole, len),
				 whole_packets ? 0 : EBADMSG);
	}
}

static void rtcp_refuses_counts_that_do_not_fit(void **state)
{
	uint8_t bad[sizeof(whole)];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const size_t at = i == 0   ? 0
				  : i == 1 ? SR_LEN
					   : SR_LEN + SDES_LEN;

		for (unsigned count = 0; count < 32; count++) {
			memcpy(bad, whole, sizeof(bad));
			bad[at] = (uint8_t)(0x80 | count);
			assert_int_equal(parse_copy(bad, sizeof(bad)),
					 count > (whole[at] & 31) ? EBADMSG
								  : 0);
		}
	}
	/* an item of the SDES that is longer than it */
	memcpy(bad, whole, sizeof(bad));
	for (unsigned n = 0; n < 256; n++) {
		bad[SR_LEN + 9] = (uint8_t)n;
		/* 0: the items "ab" and so on; 4: no end */
		assert_int_equal(parse_copy(bad, SR_LEN + SDES_LEN),
				 n == 0 || n >= 6 ? EBADMSG : 0);
	}
	memcpy(bad, whole, sizeof(bad));
	bad[0] = 0x41; /* version 1 */
	assert_int_equal(parse_copy(bad, sizeof(bad)), EBADMSG);
}

static void rtcp_takes_padding_at_the_end_only(void **state)
{
	uint8_t padded[] = {0xa0, 201, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4};
	uint8_t twice[2 * sizeof(padded)];

	(void)state;
	for (unsigned n = 0; n < 256; n++) {
		padded[11] = (uint8_t)n;
		assert_int_equal(parse_copy(padded, sizeof(padded)),
				 n == 4 ? 0 : EBADMSG);
	}
	padded[11] = 4;
	memcpy(twice, padded, sizeof(padded));
	memcpy(twice + sizeof(padded), padded, sizeof(padded));
	assert_int_equal(parse_copy(twice, sizeof(twice)), EBADMSG);
}

static void a_report_is_written_as_the_rfc_has_it(void **state)
{
	static const uint8_t expected[] = {
		0x81, 201,  0,	  7,	0xa1, 0xa2, 0xa3, 0xa4, /* RR */
		0x01, 0x02, 0x03, 0x04, 0x40, 0xff, 0xff, 0xfe, /* -2 */
		0,    1,    0,	  5,	0,    0,    0x01, 0x02, /* jitter */
		0x11, 0x22, 0x33, 0x44, 0,    1,    0x80, 0,	/* lsr, dlsr */
		0x81, 202,  0,	  4,	0xa1, 0xa2, 0xa3, 0xa4, /* SDES */
		1,    6,    't',  'a',	'p',  'e',  'o',  'p',	0, 0, 0, 0,
	};
	const struct rtcp_report r = {.from = 0xa1a2a3a4,
				      .of = 0x01020304,
				      .fraction = 64,
				      .lost = -2,
				      .last_seq = 65541,
				      .jitter = 258,
				      .lsr = 0x11223344,
				      .dlsr = 98304};
	uint8_t out[RTCP_REPORT_MAX];
	struct rtcp read;

	(void)state;
	assert_int_equal(rtcp_write_report(&r, "tapeop", out),
			 sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(rtcp_parse(out, sizeof(expected), &read), 0);
	assert_int_equal(read.ssrc, r.from);
}

static void a_report_fits_whatever_the_name(void **state)
{
	const struct rtcp_report r = {.lost = 0x7fffff};
	char name[RTCP_CNAME_MAX + 1] = "";
	uint8_t out[RTCP_REPORT_MAX];

	(void)state;
	for (size_t n = 1; n <= RTCP_CNAME_MAX; n++) {
		size_t len;

		memset(name, 'x', n);
		len = rtcp_write_report(&r, name, out);
		assert_in_range(len, 32 + 10 + n + 1, sizeof(out));
		assert_int_equal(parse_copy(out, len), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rtcp_reads_what_a_sender_says_of_itself),
		cmocka_unit_test(rtcp_of_another_says_nothing_of_the_sender),
		cmocka_unit_test(
			rtcp_takes_a_bye_of_nobody_and_types_it_does_not_know),
		cmocka_unit_test(rtcp_refuses_every_truncation),
		cmocka_unit_test(rtcp_refuses_counts_that_do_not_fit),
		cmocka_unit_test(rtcp_takes_padding_at_the_end_only),
		cmocka_unit_test(a_report_is_written_as_the_rfc_has_it),
		cmocka_unit_test(a_report_fits_whatever_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
