/** test/unit/intake_ring_test.c -- packets that wait, in order, in few slots. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"

static struct ring_packet *put(struct ring *r, uint32_t stream, int64_t seq)
{
	struct ring_packet *p = ring_take(r);

	if (!p)
		return NULL;
	p->stream = stream;
	p->seq = seq;
	ring_insert(r, p);
	return p;
}

static void expect_order(const struct ring *r, const int64_t *seqs, uint32_t n)
{
	const struct ring_packet *p = ring_first(r);

	assert_int_equal(r->n, n);
	for (uint32_t i = 0; i < n; i++, p = ring_next(r, p)) {
		assert_non_null(p);
		assert_int_equal(p->seq, seqs[i]);
	}
	assert_null(p);
}

static void an_empty_ring_has_no_first(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r);
	assert_null(ring_first(&r));
	assert_false(ring_is_full(&r));
	ring_fini(&r);
}

static void every_order_of_five_comes_out_sorted(void **state)
{
	static const int64_t sorted[] = {-2, -1, 0, 1, 2};

	(void)state;
	/* All numbers of five digits below 5; the 120 without a repeat. */
	for (int code = 0; code < 3125; code++) {
		struct ring r;
		unsigned used = 0;
		int rest = code;

		for (int i = 0; i < 5; i++, rest /= 5)
			used |= 1U << rest % 5;
		if (used != 31)
			continue;
		ring_init(&r);
		rest = code;
		for (int i = 0; i < 5; i++, rest /= 5)
			assert_non_null(put(&r, 1, rest % 5 - 2));
		expect_order(&r, sorted, 5);
		ring_fini(&r);
	}
}

static void an_older_run_comes_first_whatever_its_numbers(void **state)
{
	static const int64_t sorted[] = {60000, 60001, 3, 4, -9};
	struct ring r;

	(void)state;
	ring_init(&r);
	assert_non_null(put(&r, 2, 4));
	assert_non_null(put(&r, 1, 60001));
	assert_non_null(put(&r, 3, -9));
	assert_non_null(put(&r, 2, 3));
	assert_non_null(put(&r, 1, 60000));
	expect_order(&r, sorted, 5);
	ring_pop(&r);
	expect_order(&r, sorted + 1, 4);
	ring_fini(&r);
}

static void a_packet_takes_the_place_of_its_redundant_copy(void **state)
{
	static const int64_t sorted[] = {1, 2, 3};
	struct ring_packet *real;
	struct ring r;

	(void)state;
	ring_init(&r);
	assert_non_null(put(&r, 1, 1));
	put(&r, 1, 2)->redundant = true;
	assert_non_null(put(&r, 1, 3));
	real = put(&r, 1, 2);
	assert_ptr_equal(ring_next(&r, ring_first(&r)), real);
	expect_order(&r, sorted, 3);
	assert_ptr_equal(ring_until(&r, 1, 2), real);
	assert_ptr_equal(ring_until(&r, 2, 0), ring_next(&r, real));
	assert_ptr_equal(ring_until(&r, 1, 1), ring_first(&r));
	assert_null(ring_until(&r, 1, 0));
	assert_null(ring_until(&r, 0, 9));
	ring_fini(&r);
}

static void a_full_ring_gives_no_slot_until_one_is_back(void **state)
{
	int64_t live = mem_live();
	struct ring_packet *held;
	struct ring r;

	(void)state;
	ring_init(&r);
	held = ring_take(&r); /* in nobody's list: it counts all the same */
	assert_non_null(held);
	for (int i = 1; i < RING_PACKETS; i++) {
		assert_false(ring_is_full(&r));
		assert_non_null(put(&r, 1, i));
	}
	assert_true(ring_is_full(&r));
	assert_null(ring_take(&r));
	assert_int_equal(mem_live() - live, RING_PACKETS);
	ring_release(&r, held);
	assert_false(ring_is_full(&r));
	assert_ptr_equal(ring_take(&r), held);
	assert_null(ring_take(&r));
	ring_insert(&r, held); /* stream and seq 0 */
	ring_pop(&r);
	assert_non_null(put(&r, 1, RING_PACKETS));
	assert_null(put(&r, 1, RING_PACKETS + 1));
	assert_int_equal(mem_live() - live, RING_PACKETS);
	ring_fini(&r);
	assert_int_equal(mem_live(), live);
}

static void a_steady_ring_allocates_nothing(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r);
	for (int i = 0; i < 20; i++)
		assert_non_null(put(&r, 1, i));
	ring_pop(&r);
	mem_fail_after(0); /* the next one would fail */
	for (int i = 20; i < 2000; i++) {
		assert_non_null(put(&r, 1, i));
		ring_pop(&r);
	}
	assert_false(mem_fail_happened());
	mem_fail_after(-1);
	ring_fini(&r);
}

static void what_a_burst_needed_is_given_back(void **state)
{
	int64_t live = mem_live();
	struct ring r;

	(void)state;
	ring_init(&r);
	for (int burst = 0; burst < 3; burst++) {
		for (int i = 0; i < RING_PACKETS; i++)
			assert_non_null(put(&r, 1, i));
		while (ring_first(&r))
			ring_pop(&r);
		assert_int_equal(mem_live() - live, RING_KEEP);
		assert_int_equal(r.n_slots, RING_KEEP);
		assert_int_equal(r.n_spare, RING_KEEP);
	}
	ring_fini(&r);
	assert_int_equal(mem_live(), live);
}

static void no_memory_is_told_from_full(void **state)
{
	struct ring r;

	(void)state;
	ring_init(&r);
	mem_fail_after(0);
	assert_null(ring_take(&r));
	mem_fail_after(-1);
	assert_false(ring_is_full(&r));
	assert_int_equal(r.n_slots, 0);
	assert_non_null(put(&r, 1, 1));
	ring_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_ring_has_no_first),
		cmocka_unit_test(every_order_of_five_comes_out_sorted),
		cmocka_unit_test(an_older_run_comes_first_whatever_its_numbers),
		cmocka_unit_test(
			a_packet_takes_the_place_of_its_redundant_copy),
		cmocka_unit_test(a_full_ring_gives_no_slot_until_one_is_back),
		cmocka_unit_test(a_steady_ring_allocates_nothing),
		cmocka_unit_test(what_a_burst_needed_is_given_back),
		cmocka_unit_test(no_memory_is_told_from_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
