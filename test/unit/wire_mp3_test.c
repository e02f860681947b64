/** test/unit/wire_mp3_test.c -- MP3 frame headers and whole frames. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/mp3.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

/* 48 kHz mono 64 kbit/s, as this program writes: 192 bytes a frame */
static const uint8_t header_48k[] = {0xff, 0xfb, 0x54, 0xc0};
enum { LEN_48K = 192, N_FRAMES = 10 };

static uint8_t file[N_FRAMES * LEN_48K];

static void make_file(void)
{
	memset(file, 0, sizeof(file));
	for (size_t i = 0; i < N_FRAMES; i++)
		memcpy(file + i * LEN_48K, header_48k, sizeof(header_48k));
}

static void mp3_reads_the_headers_of_all_presets(void **state)
{
	static const struct {
		uint8_t header[4];
		struct mp3_frame want;
	} cases[] = {
		{{0xff, 0xfb, 0x54, 0xc0}, {192, 1152, 48000, 64000, 1}},
		{{0xff, 0xf3, 0x64, 0xc0}, {144, 576, 24000, 48000, 1}},
		{{0xff, 0xf3, 0x48, 0xc0}, {144, 576, 16000, 32000, 1}},
		/* 44.1 kHz stereo 128 kbit/s, without and with padding */
		{{0xff, 0xfb, 0x90, 0x00}, {417, 1152, 44100, 128000, 2}},
		{{0xff, 0xfb, 0x92, 0x00}, {418, 1152, 44100, 128000, 2}},
		/* the longest */
		{{0xff, 0xfa, 0xea, 0x00}, {1441, 1152, 32000, 320000, 2}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct mp3_frame f = {0};

		assert_int_equal(mp3_parse_header(cases[i].header, 4, &f), 0);
		assert_int_equal(f.len, cases[i].want.len);
		assert_int_equal(f.frames, cases[i].want.frames);
		assert_int_equal(f.sample_rate, cases[i].want.sample_rate);
		assert_int_equal(f.bit_s, cases[i].want.bit_s);
		assert_int_equal(f.channels, cases[i].want.channels);
		assert_true(f.len <= MP3_FRAME_MAX);
	}
}

static void mp3_refuses_headers_that_are_none(void **state)
{
	static const uint8_t bad[][4] = {
		{0xfe, 0xfb, 0x54, 0xc0}, /* no sync */
		{0xff, 0xdb, 0x54, 0xc0}, /* no sync */
		{0xff, 0xe3, 0x54, 0xc0}, /* MPEG-2.5 */
		{0xff, 0xeb, 0x54, 0xc0}, /* reserved version */
		{0xff, 0xf9, 0x54, 0xc0}, /* reserved layer */
		{0xff, 0xfd, 0x54, 0xc0}, /* layer II */
		{0xff, 0xff, 0x54, 0xc0}, /* layer I */
		{0xff, 0xfb, 0x04, 0xc0}, /* free format */
		{0xff, 0xfb, 0xf4, 0xc0}, /* forbidden bit rate */
		{0xff, 0xfb, 0x5c, 0xc0}, /* reserved sample rate */
		{0xff, 0xfb, 0x54, 0xc2}, /* reserved emphasis */
	};
	struct mp3_frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(mp3_parse_header(bad[i], 4, &f), EBADMSG);
	for (size_t len = 0; len < 4; len++)
		assert_int_equal(mp3_parse_header(header_48k, len, &f),
				 EBADMSG);
}

static void mp3_scan_keeps_whole_frames_wherever_a_file_ends(void **state)
{
	(void)state;
	make_file();
	for (size_t len = 0; len <= sizeof(file); len++) {
		struct mp3_scan s = {0};
		size_t taken = mp3_scan(&s, file, len);

		assert_int_equal(taken, len / LEN_48K * LEN_48K);
		assert_int_equal(s.len, taken);
		assert_int_equal(s.n_frames, len / LEN_48K);
		assert_int_equal(s.frames, s.n_frames * 1152);
		assert_false(s.is_broken);
	}
}

static void mp3_scan_stops_at_zeroes_after_a_power_cut(void **state)
{
	struct mp3_scan s = {0};

	(void)state;
	make_file();
	memset(file + 7 * LEN_48K, 0, 3 * LEN_48K);
	assert_int_equal(mp3_scan(&s, file, sizeof(file)), 7 * LEN_48K);
	assert_true(s.is_broken);
	assert_int_equal(s.sample_rate, 48000);
	assert_int_equal(mp3_scan(&s, file, sizeof(file)), 0);
}

static void mp3_scan_stops_where_the_sample_rate_changes(void **state)
{
	struct mp3_scan s = {0};

	(void)state;
	make_file();
	file[2 * LEN_48K + 2] = 0x58; /* 32 kHz */
	assert_int_equal(mp3_scan(&s, file, sizeof(file)), 2 * LEN_48K);
	assert_true(s.is_broken);
}

static void mp3_scan_stops_where_the_channels_change(void **state)
{
	struct mp3_scan s = {0};

	(void)state;
	make_file();
	file[5 * LEN_48K + 3] = 0x00; /* stereo */
	assert_int_equal(mp3_scan(&s, file, sizeof(file)), 5 * LEN_48K);
	assert_true(s.is_broken);
}

static void mp3_scan_in_pieces_is_as_at_once(void **state)
{
	(void)state;
	make_file();
	for (size_t piece = LEN_48K; piece < 3 * LEN_48K; piece += 13) {
		struct mp3_scan s = {0};
		size_t at = 0;

		for (;;) {
			size_t left = sizeof(file) - at;
			size_t n = mp3_scan(&s, file + at,
					    left < piece ? left : piece);

			if (!n)
				break;
			at += n;
		}
		assert_int_equal(at, sizeof(file));
		assert_int_equal(s.len, at);
		assert_int_equal(s.n_frames, N_FRAMES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mp3_reads_the_headers_of_all_presets),
		cmocka_unit_test(mp3_refuses_headers_that_are_none),
		cmocka_unit_test(
			mp3_scan_keeps_whole_frames_wherever_a_file_ends),
		cmocka_unit_test(mp3_scan_stops_at_zeroes_after_a_power_cut),
		cmocka_unit_test(mp3_scan_stops_where_the_sample_rate_changes),
		cmocka_unit_test(mp3_scan_stops_where_the_channels_change),
		cmocka_unit_test(mp3_scan_in_pieces_is_as_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
