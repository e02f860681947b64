/** test/unit/base_map_test.c -- hash map and list with intrusive nodes. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"
#include "oom.h"

enum { N = 3000 };

struct item {
	struct map_node node;
	struct link link;
	uint32_t id;
	int seen;
};

static struct item items[N];

static int add(struct map *m, uint32_t i)
{
	items[i] = (struct item){.id = i};
	return map_add(m, &items[i].node, &items[i].id, sizeof(items[i].id));
}

static struct map_node *find(const struct map *m, uint32_t id)
{
	return map_find(m, &id, sizeof(id));
}

static void members_are_found_until_they_are_removed(void **state)
{
	struct map m;

	(void)state;
	map_init(&m);
	assert_null(find(&m, 0));
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(add(&m, i), 0);
	assert_int_equal(m.n, N);
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(find(&m, i), &items[i].node);
	assert_null(find(&m, N));
	for (uint32_t i = 0; i < N; i += 2)
		map_remove(&m, &items[i].node);
	for (uint32_t i = 0; i < N; i++)
		assert_ptr_equal(find(&m, i), i % 2 ? &items[i].node : NULL);
	assert_int_equal(m.n, N / 2);
	map_fini(&m);
	assert_null(find(&m, 1));
}

static void a_walk_meets_each_member_once_and_may_remove_it(void **state)
{
	struct map m;
	struct map_node *next;
	size_t n = 0;

	(void)state;
	map_init(&m);
	assert_null(map_next(&m, NULL));
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(add(&m, i), 0);
	for (struct map_node *x = map_next(&m, NULL); x; x = next) {
		struct item *it = CONTAINER_OF(x, struct item, node);

		next = map_next(&m, x);
		assert_int_equal(it->seen++, 0);
		map_remove(&m, x);
		n++;
	}
	assert_int_equal(n, N);
	assert_int_equal(m.n, 0);
	map_fini(&m);
}

static void keys_are_bytes_with_a_length(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} keys[] = {{"", 0},	      {"a", 1},	       {"ab", 2},
		    {"\0", 1},	      {"\0\0", 2},     {"a\0", 2},
		    {"1234567", 7},   {"12345678", 8}, {"12345678\0", 9},
		    {"1234567\0", 8}, {"123456789", 9}};
	struct map m;

	(void)state;
	map_init(&m);
	for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(
			map_add(&m, &items[i].node, keys[i].bytes, keys[i].len),
			0);
	for (uint32_t i = 0; i < ARRAY_LEN(keys); i++)
		assert_ptr_equal(map_find(&m, keys[i].bytes, keys[i].len),
				 &items[i].node);
	assert_null(map_find(&m, "b", 1));
	map_fini(&m);
}

static void the_hash_spreads(void **state)
{
	unsigned filled[256] = {0};

	(void)state;
	for (uint64_t i = 0; i < 25600; i++)
		filled[map_hash(&i, sizeof(i)) & 255]++;
	for (int i = 0; i < 256; i++)
		assert_in_range(filled[i], 30, 200); /* 100 on average */
}

static void use_map(void)
{
	struct map m;
	uint32_t n;
	int err = 0;

	map_init(&m);
	for (n = 0; n < 100 && !err; n++)
		err = add(&m, n);
	if (err) {
		assert_int_equal(err, ENOMEM);
		assert_int_equal(m.n, --n);
		assert_null(find(&m, n));
	}
	for (uint32_t i = 0; i < n; i++)
		assert_ptr_equal(find(&m, i), &items[i].node);
	map_fini(&m);
}

static void out_of_memory_leaves_the_map_as_it_was(void **state)
{
	(void)state;
	OOM_SWEEP(use_map);
}

/* ---- list ---- */

/** Are the ids on the list these `n`? */
static void expect_ids(struct link *head, const uint32_t *ids, size_t n)
{
	size_t i = 0;

	for (struct link *l = head->next; l != head; l = l->next) {
		assert_true(i < n);
		assert_int_equal(CONTAINER_OF(l, struct item, link)->id,
				 ids[i++]);
		assert_ptr_equal(l->next->prev, l);
	}
	assert_int_equal(i, n);
}

static void a_list_keeps_its_order(void **state)
{
	struct link head, other;

	(void)state;
	list_init(&head);
	for (uint32_t i = 0; i < 5; i++)
		items[i] = (struct item){.id = i};
	assert_null(list_first(&head));
	list_remove(&items[0].link); /* zeroed: on none */
	assert_false(link_is_on_list(&items[0].link));
	for (uint32_t i = 0; i < 4; i++)
		list_append(&head, &items[i].link);
	list_prepend(&head, &items[4].link);
	expect_ids(&head, (uint32_t[]){4, 0, 1, 2, 3}, 5);
	LIST_EACH(&head, l, after)
	{
		if (CONTAINER_OF(l, struct item, link)->id % 2 == 0)
			list_remove(l);
	}
	expect_ids(&head, (uint32_t[]){1, 3}, 2);
	list_remove(&items[2].link);
	assert_false(link_is_on_list(&items[2].link));
	assert_true(link_is_on_list(&items[1].link));
	list_take(&head, &other);
	assert_true(list_is_empty(&head));
	expect_ids(&other, (uint32_t[]){1, 3}, 2);
	list_take(&head, &other);
	assert_true(list_is_empty(&other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_found_until_they_are_removed),
		cmocka_unit_test(
			a_walk_meets_each_member_once_and_may_remove_it),
		cmocka_unit_test(keys_are_bytes_with_a_length),
		cmocka_unit_test(the_hash_spreads),
		cmocka_unit_test(out_of_memory_leaves_the_map_as_it_was),
		cmocka_unit_test(a_list_keeps_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
