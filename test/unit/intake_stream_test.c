/** test/unit/intake_stream_test.c -- one run of RTP numbers: what belongs to
 *  it, what came already, and both of its clocks unwrapped. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void numbers_and_times_wrap_without_a_step(void **state)
{
	struct stream s = {0};

	(void)state;
	stream_begin(&s, 1, 65500, 4294960000U);
	for (int64_t i = 0; i < 200000; i++) {
		int64_t seq, ts;

		assert_int_equal(stream_place(&s, (uint16_t)(65500 + i),
					      (uint32_t)(4294960000U + i * 960),
					      &seq, &ts),
				 STREAM_NEW);
		assert_int_equal(seq, 65500 + i);
		assert_int_equal(ts, 4294960000 + i * 960);
	}
}

static void each_distance_is_new_doubled_or_wild_and_wild_changes_nothing(
	void **state)
{
	(void)state;
	for (int d = -32768; d <= 32767; d++) {
		struct stream s = {0}, before;
		int64_t seq = 0, ts = 0;
		enum stream_verdict v;

		stream_begin(&s, 1, 100, 5000);
		assert_int_equal(stream_place(&s, 100, 5000, &seq, &ts),
				 STREAM_NEW);
		before = s;
		v = stream_place(&s, (uint16_t)(100 + d),
				 (uint32_t)(5000 + d * 960), &seq, &ts);
		if (d > STREAM_DROPOUT || d < -STREAM_MISORDER)
			assert_int_equal(v, STREAM_WILD);
		else
			assert_int_equal(v, d ? STREAM_NEW : STREAM_DUPLICATE);
		if (v != STREAM_NEW) {
			assert_memory_equal(&s, &before, sizeof(s));
			continue;
		}
		assert_int_equal(seq, 100 + d);
		assert_int_equal(ts, 5000 + d * 960);
		assert_int_equal(
			stream_place(&s, (uint16_t)(100 + d), 0, &seq, &ts),
			STREAM_DUPLICATE);
	}
}

/** A walk at random, against a list of all that has come. */
static void whatever_the_order_each_number_is_new_once(void **state)
{
	static bool come[1 << 20];
	struct stream s = {0};
	uint32_t random = 1;
	int64_t top = 1000;

	(void)state;
	stream_begin(&s, 1, (uint16_t)top, 0);
	for (int i = 0; i < 50000; i++) {
		int64_t at, seq, ts;
		enum stream_verdict v;

		random = random * 1664525 + 1013904223;
		at = top + (int64_t)(random >> 16) % 230 - STREAM_MISORDER;
		if (i == 0)
			at = top;
		if (at > top && random >> 8 & 1)
			at = top + 1 + (random >> 20) % 7 * 64; /* words */
		if (at - top > STREAM_DROPOUT || at >= (1 << 20))
			continue;
		v = stream_place(&s, (uint16_t)at, 0, &seq, &ts);
		assert_int_equal(v, come[at] ? STREAM_DUPLICATE : STREAM_NEW);
		come[at] = true;
		if (v == STREAM_NEW)
			assert_int_equal(seq, at);
		top = at > top ? at : top;
	}
	assert_true(top > 100000);
}

static void a_number_has_come_once_it_is_placed_or_marked(void **state)
{
	struct stream s = {0};
	int64_t seq, ts;

	(void)state;
	stream_begin(&s, 1, 100, 0);
	assert_int_equal(stream_place(&s, 100, 0, &seq, &ts), STREAM_NEW);
	assert_int_equal(stream_place(&s, 103, 0, &seq, &ts), STREAM_NEW);
	assert_true(stream_has(&s, 99)); /* before it began */
	assert_true(stream_has(&s, 100));
	assert_false(stream_has(&s, 101));
	assert_false(stream_has(&s, 102));
	assert_true(stream_has(&s, 103));
	assert_false(stream_has(&s, 104));
	stream_mark(&s, 102);
	assert_true(stream_has(&s, 102));
	assert_int_equal(stream_place(&s, 102, 0, &seq, &ts), STREAM_DUPLICATE);
	/* what is not remembered has come */
	assert_int_equal(stream_place(&s, 101 + STREAM_SEEN - 1, 0, &seq, &ts),
			 STREAM_NEW);
	assert_false(stream_has(&s, 101));
	assert_int_equal(stream_place(&s, 101 + STREAM_SEEN, 0, &seq, &ts),
			 STREAM_NEW);
	assert_true(stream_has(&s, 101));
	stream_mark(&s, 101); /* changes nothing */
	stream_mark(&s, 101 + STREAM_SEEN + 1);
	assert_int_equal(stream_place(&s, 101 + STREAM_SEEN + 1, 0, &seq, &ts),
			 STREAM_NEW);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_times_wrap_without_a_step),
		cmocka_unit_test(
			each_distance_is_new_doubled_or_wild_and_wild_changes_nothing),
		cmocka_unit_test(whatever_the_order_each_number_is_new_once),
		cmocka_unit_test(a_number_has_come_once_it_is_placed_or_marked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
