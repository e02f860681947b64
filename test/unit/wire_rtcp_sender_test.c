/** test/unit/wire_rtcp_sender_test.c -- a sender's side of RTCP. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtcp_sender.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/rtp.h"

static void a_senders_report_is_these_bytes(void **state)
{
	/* 1096255122.5 s + 2208988800 s = 0xc5020512.8 s of NTP */
	const struct rtcp_sender_report r = {.ssrc = 0x11223344,
					     .unix_ms = 1096255122500,
					     .ts = 0xfffffff0,
					     .packets = 1,
					     .octets = 0x0102};
	static const uint8_t want[] = {
		0x80, 200,  0,	  6,	0x11, 0x22, 0x33, 0x44, /* SR */
		0xc5, 0x02, 0x05, 0x12, 0x80, 0,    0,	  0,	/* NTP */
		0xff, 0xff, 0xff, 0xf0, 0,    0,    0,	  1, /* ts, packets */
		0,    0,    1,	  2,			     /* octets */
		0x81, 202,  0,	  3,	0x11, 0x22, 0x33, 0x44, /* SDES */
		1,    3,    'a',  'b',	'c',  0,    0,	  0};
	uint8_t out[RTCP_SENDER_MAX];
	struct rtcp_block block;

	(void)state;
	assert_int_equal(rtcp_sender_write(&r, "abc", out), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_true(rtp_is_rtcp(out, sizeof(want)));
	assert_int_equal(
		rtcp_sender_read(out, sizeof(want), 0x11223344, &block),
		ENOENT);
}

static void a_name_of_any_length_is_padded_to_words(void **state)
{
	const struct rtcp_sender_report r = {.ssrc = 1};
	char name[RTCP_SENDER_NAME_MAX + 1] = "";

	(void)state;
	for (size_t n = 1; n <= RTCP_SENDER_NAME_MAX; n++) {
		uint8_t out[RTCP_SENDER_MAX];
		struct rtcp_block b;
		size_t len;

		memset(name, 'n', n);
		len = rtcp_sender_write(&r, name, out);
		assert_true(len <= sizeof(out) && len % 4 == 0);
		assert_int_equal(out[len - 1], 0);
		assert_int_equal(rtcp_sender_read(out, len, 1, &b), ENOENT);
	}
}

/* A sender's report without blocks, then a receiver's with two. */
static const uint8_t compound[] = {
	0x80, 200, 0, 6,  0,	0,    0,    9, /* SR */
	0,    0,   0, 0,  0,	0,    0,    0,	  0, 0, 0, 0,
	0,    0,   0, 0,  0,	0,    0,    0, /* */
	0x82, 201, 0, 13, 0,	0,    0,    9, /* RR, two blocks */
	0,    0,   0, 5,  1,	0,    0,    1,	  0, 0, 0, 1,
	0,    0,   0, 1,  0,	0,    0,    0,	  0, 0, 0, 0, /* */
	0,    0,   0, 7,  0x80, 0xff, 0xff, 0xfe, 0, 1, 0, 2,
	0,    0,   0, 48, 0,	0,    0,    0,	  0, 0, 0, 0};

static void the_block_of_a_stream_is_found(void **state)
{
	struct rtcp_block b;

	(void)state;
	assert_int_equal(rtcp_sender_read(compound, sizeof(compound), 7, &b),
			 0);
	assert_int_equal(b.ssrc, 7);
	assert_int_equal(b.fraction_lost, 128);
	assert_int_equal(b.lost, -2);
	assert_int_equal(b.newest, 0x10002);
	assert_int_equal(b.jitter, 48);
	assert_int_equal(rtcp_sender_read(compound, sizeof(compound), 5, &b),
			 0);
	assert_int_equal(b.lost, 1);
	assert_int_equal(rtcp_sender_read(compound, sizeof(compound), 9, &b),
			 ENOENT);
}

static void every_truncation_is_refused(void **state)
{
	struct rtcp_block b;

	(void)state;
	for (size_t n = 0; n < sizeof(compound); n++) {
		uint8_t *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, compound, n);
		/* cut between the two it is whole, and says nothing of 7 */
		assert_int_equal(rtcp_sender_read(copy, n, 7, &b),
				 n == 28 ? ENOENT : EBADMSG);
		free(copy);
	}
}

static void more_blocks_than_fit_are_refused(void **state)
{
	uint8_t bad[sizeof(compound)];
	struct rtcp_block b;

	(void)state;
	memcpy(bad, compound, sizeof(bad));
	bad[28] = 0x83; /* three */
	assert_int_equal(rtcp_sender_read(bad, sizeof(bad), 9, &b), EBADMSG);
	bad[28] = 0x42; /* version 1 */
	assert_int_equal(rtcp_sender_read(bad, sizeof(bad), 7, &b), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_senders_report_is_these_bytes),
		cmocka_unit_test(a_name_of_any_length_is_padded_to_words),
		cmocka_unit_test(the_block_of_a_stream_is_found),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(more_blocks_than_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
