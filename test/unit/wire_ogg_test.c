/** test/unit/wire_ogg_test.c -- pages, and where a file still is whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/ogg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"

enum { N_SOUND = 5, PRESKIP = 312, SERIAL = 77 };

static uint8_t file[4096];
static size_t file_len;
static size_t starts[2 + N_SOUND + 1]; /* of its pages, and its end */

/** A page of one packet behind those that are there. */
static void add(const struct ogg_page *page, const void *packet, size_t len)
{
	uint8_t *p = file + file_len;

	ogg_page_begin(page, p);
	p[OGG_HEAD_LEN] = (uint8_t)len;
	memcpy(p + OGG_HEAD_LEN + 1, packet, len);
	ogg_page_seal(p, OGG_HEAD_LEN + 1 + len);
	starts[page->seq] = file_len;
	file_len += OGG_HEAD_LEN + 1 + len;
	starts[page->seq + 1] = file_len;
}

static void make_file(void)
{
	static const char opus[20] = "OpusHead\x01\x01\x38\x01";
	static const char tags[17] = "OpusTags";
	char sound[100];
	struct ogg_page p = {
		.serial = SERIAL, .n_lacing = 1, .flags = OGG_FIRST};

	file_len = 0;
	add(&p, opus, 19);
	p.flags = 0;
	p.seq++;
	add(&p, tags, 16);
	for (size_t i = 0; i < N_SOUND; i++) {
		memset(sound, (int)i, sizeof(sound));
		p.seq++;
		p.granule += 960;
		if (i == N_SOUND - 1)
			p.flags = OGG_LAST;
		add(&p, sound, 50 + i);
	}
}

/** Change bytes of the file and make its pages' sums right again. */
static void change(size_t page, size_t at, uint8_t to)
{
	file[starts[page] + at] = to;
	ogg_page_seal(file + starts[page], starts[page + 1] - starts[page]);
}

static struct ogg_scan scan(void)
{
	struct ogg_scan s = {0};

	size_t taken = ogg_scan(&s, file, file_len);

	assert_int_equal(taken, s.len);
	return s;
}

/** Source: a file of opusenc 0.2, its first page. */
static void a_page_of_another_program_is_read(void **state)
{
	static const uint8_t page[] = {
		'O',  'g',  'g',  'S',	0x00, 0x02, 0x00, 0x00, 0x00, 0x00,
		0x00, 0x00, 0x00, 0x00, 0x5f, 0x2d, 0xb6, 0x3b, 0x00, 0x00,
		0x00, 0x00, 0xfc, 0x9c, 0x32, 0x66, 0x01, 0x13, 'O',  'p',
		'u',  's',  'H',  'e',	'a',  'd',  0x01, 0x01, 0x38, 0x01,
		0x80, 0xbb, 0x00, 0x00, 0x00, 0x00, 0x00};
	struct ogg_page p;

	(void)state;
	assert_int_equal(ogg_page_parse(page, sizeof(page), &p), 0);
	assert_int_equal(p.len, sizeof(page));
	assert_int_equal(p.flags, OGG_FIRST);
	assert_int_equal(p.serial, 0x3bb62d5f);
	for (size_t i = 0; i < sizeof(page); i++)
		assert_int_equal(ogg_page_parse(page, i, &p), ENODATA);
}

static void what_is_written_is_read(void **state)
{
	const struct ogg_page in = {.granule = INT64_C(0x123456789abcdef0),
				    .serial = 0xfedcba98,
				    .seq = 0x89abcdef,
				    .flags = OGG_CONTINUED | OGG_LAST,
				    .n_lacing = 255};
	uint8_t page[OGG_PAGE_MAX] = {0};
	struct ogg_page out;

	(void)state;
	memset(page + OGG_HEAD_LEN, 255, 255);
	ogg_page_begin(&in, page);
	ogg_page_seal(page, sizeof(page));
	assert_int_equal(ogg_page_parse(page, sizeof(page), &out), 0);
	assert_int_equal(out.len, OGG_PAGE_MAX);
	assert_int_equal(out.body, OGG_HEAD_LEN + 255);
	assert_int_equal(out.granule, in.granule);
	assert_int_equal(out.serial, in.serial);
	assert_int_equal(out.seq, in.seq);
	assert_int_equal(out.flags, in.flags);
	assert_int_equal(out.n_lacing, in.n_lacing);
}

static void any_changed_byte_breaks_the_sum(void **state)
{
	struct ogg_page p;

	(void)state;
	make_file();
	for (size_t i = starts[2]; i < starts[3]; i++) {
		file[i] ^= 0x10;
		assert_int_not_equal(ogg_page_parse(file + starts[2],
						    starts[3] - starts[2], &p),
				     0);
		file[i] ^= 0x10;
	}
}

static void a_scan_keeps_whole_pages_wherever_a_file_ends(void **state)
{
	(void)state;
	make_file();
	for (size_t len = 0; len <= file_len; len++) {
		struct ogg_scan s = {0};
		size_t n = 0;

		while (n < 2 + N_SOUND && starts[n + 1] <= len)
			n++;
		assert_int_equal(ogg_scan(&s, file, len), starts[n]);
		assert_int_equal(s.len, starts[n]);
		assert_int_equal(s.n_pages, n);
		assert_false(s.is_broken);
		assert_int_equal(s.is_ended, n == 2 + N_SOUND);
		assert_int_equal(s.head_len, n >= 2 ? starts[2] : 0);
		if (n > 0)
			assert_int_equal(s.last_at, starts[n - 1]);
		assert_int_equal(ogg_scan_frames(&s),
				 n > 2 ? (n - 2) * 960 - PRESKIP : 0);
	}
}

static void pages_may_be_missing(void **state)
{
	struct ogg_scan s;

	(void)state;
	make_file();
	memmove(file + starts[3], file + starts[5], file_len - starts[5]);
	file_len -= starts[5] - starts[3];
	s = scan();
	assert_int_equal(s.len, file_len);
	assert_int_equal(s.n_pages, N_SOUND);
	assert_int_equal(ogg_scan_frames(&s), N_SOUND * 960 - PRESKIP);
}

static void what_is_no_page_of_this_file_breaks_the_scan(void **state)
{
	static const struct {
		size_t page, at;
		uint8_t to;
	} rows[] = {
		{0, 5, 0},	     /* not the first of a stream */
		{0, 28, 'o'},	     /* no OpusHead */
		{0, 28 + 8, 0x11},   /* version 1.1 */
		{0, 28 + 9, 0},	     /* no channels */
		{0, 28 + 9, 3},	     /* three */
		{0, 28 + 18, 1},     /* mapping family 1 */
		{1, 28, 'o'},	     /* no OpusTags */
		{1, 14, SERIAL + 1}, /* of another stream */
		{3, 14, SERIAL + 1},
		{3, 5, OGG_FIRST}, /* a stream behind the stream */
		{3, 18, 2},	   /* a number twice */
		{3, 7, 0},	   /* goes back */
		{3, 13, 0x80},	   /* no granule position */
		{4, 0, 'o'},
		{4, 4, 1}, /* version */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ogg_scan s;

		make_file();
		change(rows[i].page, rows[i].at, rows[i].to);
		s = scan();
		assert_true(s.is_broken);
		assert_int_equal(s.len, starts[rows[i].page]);
		assert_int_equal(ogg_scan(&s, file, file_len), 0);
	}
}

static void nothing_comes_behind_the_end(void **state)
{
	struct ogg_scan s;

	(void)state;
	make_file();
	change(4, 5, OGG_LAST);
	s = scan();
	assert_int_equal(s.len, starts[5]);
	assert_true(s.is_ended && s.is_broken);
}

static void zeros_behind_a_power_cut_break_the_scan(void **state)
{
	struct ogg_scan s;

	(void)state;
	make_file();
	memset(file + starts[4], 0, file_len - starts[4]);
	s = scan();
	assert_int_equal(s.len, starts[4]);
	assert_true(s.is_broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_of_another_program_is_read),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(any_changed_byte_breaks_the_sum),
		cmocka_unit_test(a_scan_keeps_whole_pages_wherever_a_file_ends),
		cmocka_unit_test(pages_may_be_missing),
		cmocka_unit_test(what_is_no_page_of_this_file_breaks_the_scan),
		cmocka_unit_test(nothing_comes_behind_the_end),
		cmocka_unit_test(zeros_behind_a_power_cut_break_the_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
