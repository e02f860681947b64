/** test/unit/commands_rtp_build_test.c -- packets as browsers make them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/rtp_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint8_t out[RTP_BUILD_MAX];

static const struct rtp_packet header = {
	.marker = true, .seq = 0x1234, .ts = 0xfffffe00, .ssrc = 0xa1b2c3d4};

static void plain_opus_is_a_header_and_the_sound(void **state)
{
	static const uint8_t want[] = {0x80, 0xef, 0x12, 0x34, 0xff, 0xff, 0xfe,
				       0,    0xa1, 0xb2, 0xc3, 0xd4, 7,	   8};
	const struct rtp_form form = {0};
	struct rtp_builder b;

	(void)state;
	rtp_build_init(&b, &form);
	assert_int_equal(rtp_build(&b, &header, want + 12, 2, 3, out),
			 sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
}

static void the_level_is_an_element_of_one_byte(void **state)
{
	static const uint8_t quiet[] = {0xbe, 0xde, 0, 1, 0xa0, 0x7f, 0, 0};
	const struct rtp_form form = {.pt = 100, .level_id = 10};
	const uint8_t sound[] = {1, 2, 3};
	struct rtp_builder b;
	struct rtp_packet p;
	const uint8_t *level;
	size_t len;

	(void)state;
	rtp_build_init(&b, &form);
	len = rtp_build(&b, &header, sound, sizeof(sound), 127, out);
	assert_int_equal(out[0], 0x90);
	assert_memory_equal(out + 12, quiet, sizeof(quiet));
	assert_int_equal(rtp_parse(out, len, &p), 0);
	assert_int_equal(p.pt, 100);
	assert_int_equal(p.payload_len, sizeof(sound));
	len = rtp_build(&b, &header, sound, sizeof(sound), 30, out);
	assert_int_equal(rtp_parse(out, len, &p), 0);
	level = rtp_extension(&p, 10, &len);
	assert_non_null(level);
	assert_int_equal(len, 1);
	assert_int_equal(*level, 0x80 | 30); /* with voice */
}

/** Build a packet of `len` bytes `fill`, `ts` frames after the first one. */
static struct rtp_packet build(struct rtp_builder *b, uint32_t ts, uint8_t fill,
			       size_t len)
{
	struct rtp_packet h = header, p;
	uint8_t sound[RTP_BUILD_MAX];
	size_t n;

	memset(sound, fill, sizeof(sound));
	h.ts += ts;
	n = rtp_build(b, &h, sound, len, 0, out);
	assert_true(n > 0);
	assert_int_equal(rtp_parse(out, n, &p), 0);
	assert_int_equal(p.pt, 63);
	/* the sound is always the last */
	assert_true(p.payload_len > len);
	assert_int_equal(p.payload[p.payload_len - 1], fill);
	return p;
}

static void red_is_what_chromium_sends(void **state)
{
	const struct rtp_form form = {.red = 1};
	struct rtp_builder b;
	struct rtp_packet p;

	(void)state;
	rtp_build_init(&b, &form);
	p = build(&b, 0, 0xaa, 0x52);
	assert_memory_equal(p.payload, "\x6f\xaa", 2);
	assert_int_equal(p.payload_len, 1 + 0x52);
	/* captured from Chromium: PT 111, 960 back, 0x52 bytes */
	p = build(&b, 960, 0xbb, 3);
	assert_memory_equal(p.payload, "\xef\x0f\x00\x52\x6f\xaa", 6);
	assert_memory_equal(p.payload + 5 + 0x52, "\xbb\xbb\xbb", 3);
	assert_int_equal(p.payload_len, 5 + 0x52 + 3);
	/* one generation: the first is not there any more */
	p = build(&b, 1920, 0xcc, 1);
	assert_memory_equal(p.payload, "\xef\x0f\x00\x03\x6f\xbb\xbb\xbb\xcc",
			    9);
	assert_int_equal(p.payload_len, 9);
}

static void the_oldest_comes_first_and_other_lengths_of_sound_count(
	void **state)
{
	const struct rtp_form form = {.red = 2};
	struct rtp_builder b;
	struct rtp_packet p;

	(void)state;
	rtp_build_init(&b, &form);
	(void)build(&b, 0, 1, 1);
	(void)build(&b, 960, 2, 1);
	p = build(&b, 960 + 2880, 3, 1);
	/* 3840 << 10 | 1 and 2880 << 10 | 1 */
	assert_memory_equal(p.payload,
			    "\xef\x3c\x00\x01\xef\x2d\x00\x01\x6f\x01\x02\x03",
			    12);
	assert_int_equal(p.payload_len, 12);
}

static void older_sound_that_cannot_be_told_is_left_out(void **state)
{
	const struct rtp_form form = {.red = RTP_BUILD_RED_MAX};
	struct rtp_builder b;
	struct rtp_packet p;
	uint32_t ts = 0;

	(void)state;
	rtp_build_init(&b, &form);
	(void)build(&b, ts, 1, 1);
	p = build(&b, ts += 0x4000, 2, 1); /* 14 bits of time */
	assert_memory_equal(p.payload, "\x6f\x02", 2);
	(void)build(&b, ts += 960, 3,
		    RTP_BUILD_BLOCK_MAX + 1); /* 10 of length */
	p = build(&b, ts += 960, 4, 1);
	assert_memory_equal(p.payload, "\xef\x1e\x00\x01\x6f\x02\x04", 7);
	/* no more than a packet holds, and the newest first */
	(void)build(&b, ts += 960, 5, 1000);
	p = build(&b, ts += 960, 6, RTP_BUILD_MAX - 12 - 1 - 1004);
	assert_memory_equal(p.payload, "\xef\x0f\x03\xe8\x6f\x05", 6);
	assert_int_equal(p.payload_len, RTP_BUILD_MAX - 12);
	p = build(&b, ts += 960, 7, RTP_BUILD_MAX - 12 - 1);
	assert_memory_equal(p.payload, "\x6f\x07", 2);
	/* another stream knows nothing of this one */
	rtp_build_forget(&b);
	p = build(&b, ts + 960, 8, 1);
	assert_memory_equal(p.payload, "\x6f\x08", 2);
}

static void sound_that_is_too_long_is_refused(void **state)
{
	static const uint8_t sound[RTP_BUILD_MAX];
	static const struct rtp_form forms[] = {
		{0}, {.red = 1}, {.level_id = 1}, {.red = 1, .level_id = 1}};
	static const size_t most[] = {2036, 2035, 2028, 2027};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rtp_builder b;

		rtp_build_init(&b, &forms[i]);
		assert_int_equal(
			rtp_build(&b, &header, sound, most[i] + 1, 0, out), 0);
		assert_int_equal(rtp_build(&b, &header, sound, most[i], 0, out),
				 2048);
	}
}

static void older_sound_is_left_out_where_a_packet_may_be_no_longer(
	void **state)
{
	static const uint8_t sound[200];
	const struct rtp_form form = {.red = 2, .max = 12 + 1 + 200 + 4 + 200};
	const struct rtp_form short_form = {.max = 12 + 199};
	struct rtp_packet p = header;
	struct rtp_builder b;
	size_t last = 0;

	(void)state;
	rtp_build_init(&b, &form);
	for (int i = 0; i < 3; i++) {
		last = rtp_build(&b, &p, sound, sizeof(sound), 0, out);
		p.ts += 960;
	}
	assert_int_equal(last, form.max);
	rtp_build_init(&b, &short_form);
	assert_int_equal(rtp_build(&b, &p, sound, 199, 0, out), 12 + 199);
	assert_int_equal(rtp_build(&b, &p, sound, 200, 0, out), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_opus_is_a_header_and_the_sound),
		cmocka_unit_test(the_level_is_an_element_of_one_byte),
		cmocka_unit_test(red_is_what_chromium_sends),
		cmocka_unit_test(
			the_oldest_comes_first_and_other_lengths_of_sound_count),
		cmocka_unit_test(older_sound_that_cannot_be_told_is_left_out),
		cmocka_unit_test(sound_that_is_too_long_is_refused),
		cmocka_unit_test(
			older_sound_is_left_out_where_a_packet_may_be_no_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
