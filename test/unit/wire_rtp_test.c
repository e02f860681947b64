/** test/unit/wire_rtp_test.c -- RTP headers, extensions, RTCP told apart. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rtp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* marker, pt 111, seq 1000, ts 960, two sources, one-byte extension with
 * element 1 (a byte), padding, element 3 (two bytes), 4 bytes, padding 3 */
static const uint8_t full[] = {
	0xb2, 0xef, 0x03, 0xe8, 0, 0, 3,   0xc0, 0x01, 0x02, 0x03, 0x04, 0,
	0,    0,    7,	  0,	0, 0, 8,   0xbe, 0xde, 0,    2,	   0x10, 0x85,
	0,    0x31, 9,	  10,	0, 0, 'a', 'b',	 'c',  'd',  0,	   0,	 3,
};
enum { FULL_HEADER_LEN = 12 + 8 + 4 + 8 };

/** Parse a copy of exactly `len` bytes, so that a sanitizer sees overreads. */
static int parse_copy(const uint8_t *data, size_t len)
{
	struct rtp_packet p;
	uint8_t *copy = test_malloc(len ? len : 1);
	int err;

	memcpy(copy, data, len);
	err = rtp_parse(copy, len, &p);
	test_free(copy);
	return err;
}

static void rtp_reads_every_part_of_a_packet(void **state)
{
	struct rtp_packet p;

	(void)state;
	assert_int_equal(rtp_parse(full, sizeof(full), &p), 0);
	assert_true(p.marker);
	assert_int_equal(p.pt, 111);
	assert_int_equal(p.seq, 1000);
	assert_int_equal(p.ts, 960);
	assert_int_equal(p.ssrc, 0x01020304);
	assert_int_equal(p.n_csrc, 2);
	assert_int_equal(p.ext_profile, RTP_EXT_ONE_BYTE);
	assert_int_equal(p.ext_len, 8);
	assert_int_equal(p.payload_len, 4);
	assert_memory_equal(p.payload, "abcd", 4);
}

static void rtp_finds_the_elements_of_a_one_byte_extension(void **state)
{
	struct rtp_packet p;
	const uint8_t *at;
	size_t len = 0;

	(void)state;
	assert_int_equal(rtp_parse(full, sizeof(full), &p), 0);
	at = rtp_extension(&p, 1, &len);
	assert_non_null(at);
	assert_int_equal(len, 1);
	assert_int_equal(at[0], 0x85);
	at = rtp_extension(&p, 3, &len);
	assert_non_null(at);
	assert_int_equal(len, 2);
	assert_int_equal(at[1], 10);
	assert_null(rtp_extension(&p, 2, &len));
}

static void rtp_refuses_every_truncation_of_a_header(void **state)
{
	uint8_t no_padding[sizeof(full)];

	(void)state;
	memcpy(no_padding, full, sizeof(full));
	no_padding[0] &= (uint8_t)~0x20;
	for (size_t len = 0; len < FULL_HEADER_LEN; len++)
		assert_int_equal(parse_copy(no_padding, len), EBADMSG);
	for (size_t len = FULL_HEADER_LEN; len <= sizeof(full); len++)
		assert_int_equal(parse_copy(no_padding, len), 0);
}

static void rtp_refuses_padding_that_is_not_there(void **state)
{
	uint8_t bad[sizeof(full)];

	(void)state;
	memcpy(bad, full, sizeof(full));
	bad[sizeof(bad) - 1] = 0;
	assert_int_equal(parse_copy(bad, sizeof(bad)), EBADMSG);
	bad[sizeof(bad) - 1] = 7; /* all of the payload and itself */
	assert_int_equal(parse_copy(bad, sizeof(bad)), 0);
	bad[sizeof(bad) - 1] = 8;
	assert_int_equal(parse_copy(bad, sizeof(bad)), EBADMSG);
	assert_int_equal(parse_copy(full, FULL_HEADER_LEN), EBADMSG);
}

static void rtp_refuses_an_element_that_runs_out_of_its_extension(void **state)
{
	uint8_t bad[sizeof(full)];

	(void)state;
	memcpy(bad, full, sizeof(full));
	bad[27] = 0x34; /* five bytes where four are left */
	assert_int_equal(parse_copy(bad, sizeof(bad)), EBADMSG);
	bad[27] = 0x33;
	assert_int_equal(parse_copy(bad, sizeof(bad)), 0);
}

static void rtp_stops_at_the_reserved_element(void **state)
{
	const uint8_t enders[] = {0xf1, 0x02};
	uint8_t packet[sizeof(full)];
	struct rtp_packet p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(enders); i++) {
		memcpy(packet, full, sizeof(full));
		packet[26] = enders[i];
		assert_int_equal(rtp_parse(packet, sizeof(packet), &p), 0);
		assert_non_null(rtp_extension(&p, 1, &len));
		assert_null(rtp_extension(&p, 3, &len));
	}
}

static void rtp_skips_an_extension_of_another_profile(void **state)
{
	uint8_t packet[sizeof(full)];
	struct rtp_packet p;
	size_t len;

	(void)state;
	memcpy(packet, full, sizeof(full));
	packet[20] = 0x10;
	packet[21] = 0x00;
	packet[27] = 0x3f; /* would run out of a one-byte extension */
	assert_int_equal(rtp_parse(packet, sizeof(packet), &p), 0);
	assert_int_equal(p.ext_profile, 0x1000);
	assert_null(rtp_extension(&p, 1, &len));
	assert_int_equal(p.payload_len, 4);
}

static void rtp_refuses_other_versions(void **state)
{
	uint8_t packet[sizeof(full)];

	(void)state;
	for (unsigned version = 0; version < 4; version++) {
		memcpy(packet, full, sizeof(full));
		packet[0] = (uint8_t)((packet[0] & 0x3f) | version << 6);
		assert_int_equal(parse_copy(packet, sizeof(packet)),
				 version == 2 ? 0 : EBADMSG);
	}
}

static void rtcp_is_told_from_rtp_by_its_second_byte(void **state)
{
	uint8_t packet[28] = {0x80};

	(void)state;
	for (unsigned second = 0; second < 256; second++) {
		bool is_rtcp = second >= 192 && second <= 223;

		packet[1] = (uint8_t)second;
		assert_int_equal(rtp_is_rtcp(packet, sizeof(packet)), is_rtcp);
		assert_int_equal(parse_copy(packet, sizeof(packet)),
				 is_rtcp ? EBADMSG : 0);
	}
	assert_false(rtp_is_rtcp(packet, 0));
	packet[1] = 200;
	assert_false(rtp_is_rtcp(packet, 1));
	packet[0] = 0x40;
	assert_false(rtp_is_rtcp(packet, sizeof(packet)));
}

static void rtp_header_that_is_written_is_read_back(void **state)
{
	const struct rtp_packet in = {.marker = true,
				      .pt = 127,
				      .seq = 65535,
				      .ts = UINT32_MAX,
				      .ssrc = 0xfedcba98};
	uint8_t packet[RTP_HEADER_LEN + 1] = {0};
	struct rtp_packet out;

	(void)state;
	rtp_write_header(&in, packet);
	assert_int_equal(rtp_parse(packet, sizeof(packet), &out), 0);
	assert_true(out.marker);
	assert_int_equal(out.pt, in.pt);
	assert_int_equal(out.seq, in.seq);
	assert_int_equal(out.ts, in.ts);
	assert_int_equal(out.ssrc, in.ssrc);
	assert_int_equal(out.n_csrc, 0);
	assert_null(out.ext);
	assert_int_equal(out.payload_len, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rtp_reads_every_part_of_a_packet),
		cmocka_unit_test(
			rtp_finds_the_elements_of_a_one_byte_extension),
		cmocka_unit_test(rtp_refuses_every_truncation_of_a_header),
		cmocka_unit_test(rtp_refuses_padding_that_is_not_there),
		cmocka_unit_test(
			rtp_refuses_an_element_that_runs_out_of_its_extension),
		cmocka_unit_test(rtp_stops_at_the_reserved_element),
		cmocka_unit_test(rtp_skips_an_extension_of_another_profile),
		cmocka_unit_test(rtp_refuses_other_versions),
		cmocka_unit_test(rtcp_is_told_from_rtp_by_its_second_byte),
		cmocka_unit_test(rtp_header_that_is_written_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
