/** test/unit/commands_impair_test.c -- a bad network does to packets what was
 *  asked, and the same each time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/impair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum {
	MS = 1000, /* us */
	STEP = 20 * MS,
	MANY = 10000,
	OUT_MAX = 4 * MANY
};

/* What came out, in order. */
static struct out {
	uint32_t n; /* which packet, from 1 */
	int64_t at_us, taken_us;
} out[OUT_MAX];
static size_t n_out;
static struct impair_stats stats;

static void take_all(struct impair *im, int64_t now_us)
{
	struct impair_packet p;

	while (impair_take(im, now_us, &p)) {
		assert_true(n_out < OUT_MAX && p.at_us <= now_us);
		assert_true(p.len >= sizeof(uint32_t));
		memcpy(&out[n_out].n, p.data, sizeof(uint32_t));
		/* the length goes with the bytes */
		assert_int_equal(p.len, sizeof(uint32_t) + out[n_out].n % 100);
		out[n_out].taken_us = now_us;
		out[n_out++].at_us = p.at_us;
	}
}

/** Put `n` packets in, 20 ms each, with a look each millisecond. */
static void run(const struct impair_config *c, uint32_t n)
{
	struct impair *im = NULL;
	uint8_t data[128] = {0};
	int64_t end_us = (int64_t)n * STEP;

	n_out = 0;
	assert_int_equal(impair_new(c, &im), 0);
	assert_int_equal(impair_next_us(im), INT64_MAX);
	for (int64_t now_us = 0;
	     now_us < end_us || impair_next_us(im) != INT64_MAX; now_us += MS) {
		if (now_us < end_us && now_us % STEP == 0) {
			const uint32_t k = (uint32_t)(now_us / STEP) + 1;

			memcpy(data, &k, sizeof(k));
			assert_int_equal(impair_put(im, now_us, STEP, data,
						    sizeof(k) + k % 100),
					 0);
		}
		take_all(im, now_us);
	}
	impair_stats(im, &stats);
	assert_int_equal(stats.put, n);
	assert_int_equal(stats.waiting, 0);
	assert_int_equal(n_out + stats.lost + stats.overflowed,
			 n + stats.duplicated);
	impair_free(im);
}

static void a_good_network_is_wanted_by_nobody_and_changes_nothing(void **state)
{
	const struct impair_config c = {.seed = 1};

	(void)state;
	assert_false(impair_is_wanted(&c));
	run(&c, 100);
	assert_int_equal(n_out, 100);
	for (uint32_t i = 0; i < n_out; i++) {
		assert_int_equal(out[i].n, i + 1);
		assert_int_equal(out[i].taken_us, (int64_t)i * STEP);
	}
}

static void each_nth_packet_is_lost_exactly(void **state)
{
	const struct impair_config c = {.loss_every = 20};
	uint32_t next = 1;

	(void)state;
	assert_true(impair_is_wanted(&c));
	run(&c, 1000);
	assert_int_equal(stats.lost, 50);
	for (size_t i = 0; i < n_out; i++, next++) {
		next += next % 20 == 0;
		assert_int_equal(out[i].n, next);
	}
}

static size_t bursts(void)
{
	size_t n = 0;

	for (size_t i = 1; i < n_out; i++)
		n += out[i].n != out[i - 1].n + 1;
	return n;
}

static void loss_by_chance_comes_near_its_share_and_its_bursts(void **state)
{
	struct impair_config c = {.seed = 7, .loss = 100000}; /* 10 % */

	(void)state;
	run(&c, MANY);
	/* five times the standard deviation of 30 */
	assert_in_range(stats.lost, 1000 - 150, 1000 + 150);
	/* each by itself: bursts of 1.1 on average */
	assert_in_range(bursts(), stats.lost * 8 / 10, stats.lost);
	c.burst = 5;
	run(&c, MANY);
	assert_in_range(stats.lost, 1000 - 450, 1000 + 450);
	assert_in_range(bursts(), stats.lost / 6, stats.lost / 4);
	c = (struct impair_config){.loss = IMPAIR_WHOLE};
	run(&c, 100);
	assert_int_equal(n_out, 0);
}

static void some_are_overtaken_by_one_to_four_and_none_is_lost(void **state)
{
	const struct impair_config c = {.seed = 3, .reorder = 50000};
	uint32_t newest = 0;
	size_t overtaken = 0;
	bool seen[MANY + 1] = {false};

	(void)state;
	run(&c, MANY);
	assert_int_equal(n_out, MANY);
	assert_in_range(stats.reordered, 500 - 110, 500 + 110);
	for (size_t i = 0; i < n_out; i++) {
		assert_false(seen[out[i].n]);
		seen[out[i].n] = true;
		if (out[i].n > newest) {
			newest = out[i].n;
			continue;
		}
		overtaken++;
		assert_in_range(newest - out[i].n, 1, IMPAIR_HOLD_MAX);
	}
	assert_int_equal(overtaken, stats.reordered);
}

static void some_come_twice(void **state)
{
	const struct impair_config c = {.seed = 3, .duplicate = 50000};
	size_t twice = 0;

	(void)state;
	run(&c, MANY);
	for (size_t i = 1; i < n_out; i++)
		twice += out[i].n == out[i - 1].n;
	assert_int_equal(twice, stats.duplicated);
	assert_int_equal(stats.reordered, 0);
	assert_in_range(twice, 500 - 110, 500 + 110);
}

static void all_come_later_and_some_by_more(void **state)
{
	struct impair_config c = {.seed = 9, .delay_us = 100 * MS};
	int64_t most_us = 0;

	(void)state;
	run(&c, 100);
	for (size_t i = 0; i < n_out; i++)
		assert_int_equal(out[i].at_us, (int64_t)i * STEP + 100 * MS);
	c.jitter_us = 50 * MS;
	run(&c, 1000);
	assert_int_equal(n_out, 1000);
	for (size_t i = 0; i < n_out; i++) {
		const int64_t late_us =
			out[i].at_us - ((int64_t)out[i].n - 1) * STEP;

		assert_in_range(late_us, 100 * MS, 150 * MS);
		most_us = late_us > most_us ? late_us : most_us;
	}
	assert_true(most_us > 145 * MS);
	assert_true(stats.reordered > 100);
}

static void in_a_stall_nothing_leaves_and_then_all_at_once_in_order(
	void **state)
{
	const struct impair_config c = {
		.stalls = {.at = {{.at_us = 1000 * MS, .len_us = 600 * MS},
				  {.at_us = 1500 * MS, .len_us = 500 * MS}},
			   .n = 2}};
	size_t burst = 0;

	(void)state;
	run(&c, 200);
	assert_int_equal(n_out, 200);
	for (size_t i = 0; i < n_out; i++) {
		assert_int_equal(out[i].n, i + 1);
		assert_false(out[i].at_us >= 1000 * MS &&
			     out[i].at_us < 2000 * MS);
		burst += out[i].at_us == 2000 * MS;
	}
	assert_int_equal(stats.stalled, 50);
	assert_int_equal(burst, 50 + 1); /* one was due just then */
}

static void the_same_seed_gives_the_same_network(void **state)
{
	struct impair_config c = {.seed = 42,
				  .loss = 20000,
				  .reorder = 30000,
				  .duplicate = 10000,
				  .jitter_us = 30 * MS};
	static struct out first[OUT_MAX];
	struct impair_stats before;
	size_t n;

	(void)state;
	run(&c, 1000);
	n = n_out;
	memcpy(first, out, n * sizeof(*first));
	before = stats;
	run(&c, 1000);
	assert_int_equal(n_out, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(first[i].n, out[i].n);
		assert_int_equal(first[i].at_us, out[i].at_us);
	}
	/* one harm more or less leaves the chances of the others alone */
	c.jitter_us = 0;
	c.reorder = 0;
	run(&c, 1000);
	assert_int_equal(stats.lost, before.lost);
	assert_int_equal(stats.duplicated, before.duplicated);
	c.seed = 43;
	run(&c, 1000);
	assert_true(n_out != n || out[500].n != first[500].n);
}

static void what_is_under_way_is_bounded(void **state)
{
	const struct impair_config c = {.delay_us = 1};
	struct impair *im = NULL;
	struct impair_packet p;
	uint8_t data[IMPAIR_PACKET_MAX] = {0};
	uint32_t n = 0;

	(void)state;
	assert_int_equal(impair_new(&c, &im), 0);
	for (uint32_t i = 0; i < IMPAIR_QUEUE_MAX + 10; i++) {
		memcpy(data, &i, sizeof(i));
		assert_int_equal(impair_put(im, 0, 0, data, sizeof(data)), 0);
	}
	impair_stats(im, &stats);
	assert_int_equal(stats.overflowed, 10);
	assert_int_equal(stats.waiting, IMPAIR_QUEUE_MAX);
	assert_int_equal(impair_next_us(im), 1);
	assert_false(impair_take(im, 0, &p));
	while (impair_take(im, 1, &p)) {
		assert_int_equal(p.len, sizeof(data));
		assert_memory_equal(p.data, &n, sizeof(n));
		n++;
	}
	assert_int_equal(n, IMPAIR_QUEUE_MAX);
	impair_free(im);
	impair_free(NULL);
}

static void without_memory_the_network_stays_whole(void **state)
{
	const struct impair_config c = {.duplicate = IMPAIR_WHOLE};
	int64_t live = mem_live();
	int failed = 1;

	(void)state;
	for (int64_t n = 0; failed; n++) {
		struct impair *im = NULL;
		int err;

		mem_fail_after(n);
		err = impair_new(&c, &im);
		for (int i = 0; !err && i < 100; i++)
			err = impair_put(im, 0, 0, &n, sizeof(n));
		failed = mem_fail_happened();
		mem_fail_after(-1);
		assert_int_equal(err, failed ? ENOMEM : 0);
		impair_free(im);
		assert_int_equal(mem_live(), live);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_good_network_is_wanted_by_nobody_and_changes_nothing),
		cmocka_unit_test(each_nth_packet_is_lost_exactly),
		cmocka_unit_test(
			loss_by_chance_comes_near_its_share_and_its_bursts),
		cmocka_unit_test(
			some_are_overtaken_by_one_to_four_and_none_is_lost),
		cmocka_unit_test(some_come_twice),
		cmocka_unit_test(all_come_later_and_some_by_more),
		cmocka_unit_test(
			in_a_stall_nothing_leaves_and_then_all_at_once_in_order),
		cmocka_unit_test(the_same_seed_gives_the_same_network),
		cmocka_unit_test(what_is_under_way_is_bounded),
		cmocka_unit_test(without_memory_the_network_stays_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
