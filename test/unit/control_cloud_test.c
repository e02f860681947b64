/** test/unit/control_cloud_test.c -- keys of the Cloud API, and how often they
 *  may call. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/cloud.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "oom.h"

static const struct control_key some[] = {
	{.app = 1,
	 .actions = 3,
	 .secret_id = "A",
	 .secret_key = "a",
	 .previous_secret_key = "a-old",
	 .app_key = "one",
	 .previous_app_key = "one-old"},
	{.app = 2, .actions = UINT32_MAX, .secret_id = "B", .secret_key = "b"},
};

static void a_key_is_found_by_its_whole_name(void **state)
{
	struct control_keys *k;
	const struct cloud_key *key;

	(void)state;
	assert_int_equal(control_keys_new(some, ARRAY_LEN(some), &k), 0);
	key = cloud_key_find(k, "A");
	assert_non_null(key);
	assert_int_equal(key->app, 1);
	assert_int_equal(key->actions, 3);
	assert_string_equal(key->previous_secret_key, "a-old");
	assert_string_equal(key->app_key, "one");
	assert_string_equal(key->previous_app_key, "one-old");
	key = cloud_key_find(k, "B");
	assert_int_equal(key->app, 2);
	assert_null(key->previous_secret_key);
	assert_null(key->app_key);
	assert_null(cloud_key_find(k, "a"));
	assert_null(cloud_key_find(k, "AB"));
	assert_null(cloud_key_find(k, ""));
	control_keys_free(k);
	control_keys_free(NULL);
	assert_int_equal(control_keys_new(NULL, 0, &k), 0);
	assert_null(cloud_key_find(k, "A"));
	control_keys_free(k);
}

static void make_once(void)
{
	struct control_keys *k;

	if (!control_keys_new(some, ARRAY_LEN(some), &k))
		control_keys_free(k);
}

static void keys_survive_no_memory(void **state)
{
	(void)state;
	OOM_SWEEP(make_once);
}

static unsigned calls(struct cloud_limits *l, uint32_t app, enum cloud_action a,
		      unsigned n, int64_t now_us)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++)
		taken += cloud_limit_call(l, app, a, now_us);
	return taken;
}

static void an_action_of_an_app_may_be_called_20_times_a_second(void **state)
{
	static struct cloud_limits l;
	const int64_t s = 1000 * 1000;
	unsigned taken = 0;

	(void)state;
	assert_int_equal(calls(&l, 1, CLOUD_STOP_RECORD, 100, 50 * s), 20);
	/* others have their own */
	assert_int_equal(calls(&l, 1, CLOUD_START_RECORD, 100, 50 * s), 20);
	assert_int_equal(calls(&l, 2, CLOUD_STOP_RECORD, 100, 50 * s), 20);
	assert_int_equal(calls(&l, 1, CLOUD_STOP_RECORD, 1, 50 * s), 0);
	/* one comes free every 50 ms, and no more than 20 are saved up */
	assert_int_equal(calls(&l, 1, CLOUD_STOP_RECORD, 9, 50 * s + 49999), 0);
	assert_int_equal(calls(&l, 1, CLOUD_STOP_RECORD, 9, 50 * s + 50000), 1);
	for (int64_t at = 51 * s; at < 61 * s; at += 10000)
		taken += calls(&l, 1, CLOUD_STOP_RECORD, 1, at);
	assert_in_range(taken, 200, 220);
	assert_int_equal(calls(&l, 1, CLOUD_STOP_RECORD, 100, 1000 * s), 20);
	for (uint32_t app = 10; app < 10 + ROOMS_APPS_MAX - 2; app++)
		assert_int_equal(calls(&l, app, CLOUD_STOP_RECORD, 21, s), 20);
}

static void what_an_app_that_has_gone_called_is_forgotten(void **state)
{
	static struct cloud_limits l;
	const int64_t s = 1000 * 1000;

	(void)state;
	for (uint32_t app = 1; app <= ROOMS_APPS_MAX; app++)
		assert_int_equal(calls(&l, app, CLOUD_STOP_RECORD, 21, s), 20);
	cloud_limit_forget(&l, 5);
	cloud_limit_forget(&l, 5);
	cloud_limit_forget(&l, 4711);
	/* there is room for another one, and the others are as they were */
	assert_int_equal(calls(&l, 4711, CLOUD_STOP_RECORD, 21, s), 20);
	for (uint32_t app = 1; app <= ROOMS_APPS_MAX; app++) {
		if (app != 5)
			assert_int_equal(
				calls(&l, app, CLOUD_STOP_RECORD, 1, s), 0);
	}
}

static void an_address_that_guesses_is_slowed_down_and_forgiven(void **state)
{
	static struct cloud_limits l;
	const int64_t s = 1000 * 1000;
	unsigned n = 0;

	(void)state;
	while (!cloud_limit_peer_is_over(&l, "192.0.2.1", s)) {
		cloud_limit_peer_failed(&l, "192.0.2.1", s);
		n++;
	}
	assert_int_equal(n, 200);
	assert_false(cloud_limit_peer_is_over(&l, "192.0.2.1", s + 50000));
	cloud_limit_peer_failed(&l, "192.0.2.1", s + 50000);
	assert_true(cloud_limit_peer_is_over(&l, "192.0.2.1", s + 50000));
	assert_false(cloud_limit_peer_is_over(&l, "192.0.2.1", 12 * s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_found_by_its_whole_name),
		cmocka_unit_test(keys_survive_no_memory),
		cmocka_unit_test(
			an_action_of_an_app_may_be_called_20_times_a_second),
		cmocka_unit_test(what_an_app_that_has_gone_called_is_forgotten),
		cmocka_unit_test(
			an_address_that_guesses_is_slowed_down_and_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
