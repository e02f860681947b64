/** test/unit/wire_red_test.c -- blocks of RED, and payloads that lie. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/red.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* RFC 2198 section 3: two older blocks of type 111, 1920 and 960 before, of 3
 * and 2 bytes; then the new one of type 111 */
static const uint8_t three[] = {
	0xef, 0x1e, 0x00, 0x03, 0xef, 0x0f, 0x00, 0x02, 0x6f,
	'a',  'b',  'c',  'd',	'e',  'f',  'g',  'h',
};

/** Parse a copy of exactly `len` bytes, so that a sanitizer sees overreads. */
static int parse_copy(const uint8_t *data, size_t len)
{
	struct red_packet p;
	uint8_t *copy = test_malloc(len ? len : 1);
	int err;

	memcpy(copy, data, len);
	err = red_parse(copy, len, &p);
	test_free(copy);
	return err;
}

static void red_reads_every_block(void **state)
{
	struct red_packet p;

	(void)state;
	assert_int_equal(red_parse(three, sizeof(three), &p), 0);
	assert_int_equal(p.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(p.blocks[i].pt, 111);
	assert_int_equal(p.blocks[0].ts_offset, 1920);
	assert_int_equal(p.blocks[0].len, 3);
	assert_memory_equal(p.blocks[0].data, "abc", 3);
	assert_int_equal(p.blocks[1].ts_offset, 960);
	assert_int_equal(p.blocks[1].len, 2);
	assert_memory_equal(p.blocks[1].data, "de", 2);
	assert_int_equal(p.blocks[2].ts_offset, 0);
	assert_int_equal(p.blocks[2].len, 3);
	assert_memory_equal(p.blocks[2].data, "fgh", 3);
}

static void red_reads_a_block_alone(void **state)
{
	static const uint8_t one[] = {0x6f, 'x', 'y'};
	struct red_packet p;

	(void)state;
	assert_int_equal(red_parse(one, sizeof(one), &p), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.blocks[0].pt, 111);
	assert_int_equal(p.blocks[0].len, 2);
	assert_memory_equal(p.blocks[0].data, "xy", 2);
}

static void red_reads_the_widest_numbers(void **state)
{
	static uint8_t wide[5 + 1023 + 1] = {0xff, 0xff, 0xff, 0xff, 0x7f};
	struct red_packet p;

	(void)state;
	assert_int_equal(red_parse(wide, sizeof(wide), &p), 0);
	assert_int_equal(p.blocks[0].pt, 127);
	assert_int_equal(p.blocks[0].ts_offset, 16383);
	assert_int_equal(p.blocks[0].len, 1023);
	assert_int_equal(p.blocks[1].pt, 127);
	assert_int_equal(p.blocks[1].len, 1);
	assert_int_equal(parse_copy(wide, sizeof(wide) - 1), EBADMSG);
}

static void red_takes_an_older_block_without_bytes(void **state)
{
	static const uint8_t empty[] = {0xef, 0x0f, 0x00, 0x00, 0x6f, 'x'};
	struct red_packet p;

	(void)state;
	assert_int_equal(red_parse(empty, sizeof(empty), &p), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.blocks[0].len, 0);
	assert_int_equal(p.blocks[1].len, 1);
}

static void red_refuses_every_truncation(void **state)
{
	(void)state;
	/* the last block has no length of its own: any byte of it will do */
	for (size_t len = 0; len < sizeof(three) - 2; len++)
		assert_int_equal(parse_copy(three, len), EBADMSG);
	for (size_t len = sizeof(three) - 2; len <= sizeof(three); len++)
		assert_int_equal(parse_copy(three, len), 0);
}

static void red_refuses_more_blocks_than_it_has_room_for(void **state)
{
	uint8_t many[4 * RED_BLOCKS_MAX + 2] = {0};

	(void)state;
	for (size_t i = 0; i < RED_BLOCKS_MAX; i++)
		many[4 * i] = 0xef;
	many[4 * RED_BLOCKS_MAX] = 0x6f;
	assert_int_equal(parse_copy(many, sizeof(many)), EBADMSG);
	assert_int_equal(parse_copy(many + 4, sizeof(many) - 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(red_reads_every_block),
		cmocka_unit_test(red_reads_a_block_alone),
		cmocka_unit_test(red_reads_the_widest_numbers),
		cmocka_unit_test(red_takes_an_older_block_without_bytes),
		cmocka_unit_test(red_refuses_every_truncation),
		cmocka_unit_test(red_refuses_more_blocks_than_it_has_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
