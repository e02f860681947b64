/** test/unit/deliver_schedule_test.c -- retry profiles, jitter, breaker. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/schedule.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "deliver/breaker.h"

#define S ((int64_t)CLOCK_US_PER_S)

static struct deliver_retry profile(const char *text)
{
	struct deliver_retry r = {0};
	struct err e = {0};

	assert_int_equal(deliver_retry_parse(text, &r, &e), 0);
	return r;
}

static void tencent_tries_at_once_then_every_10_s_for_a_minute(void **state)
{
	struct deliver_retry r = profile("tencent");
	uint64_t random = 7;
	int64_t at_us = 0;

	(void)state;
	for (unsigned failed = 1; failed <= 7; failed++) {
		struct schedule_step s;

		schedule_step(&r, failed, -1, &random, &s);
		assert_false(s.dead);
		assert_true(s.blocks);
		assert_int_equal(s.delay_us, failed == 1 ? 0 : 10 * S);
		at_us += s.delay_us;
	}
	assert_int_equal(at_us, 60 * S);
}

static void tencent_goes_on_with_the_durable_schedule(void **state)
{
	static const int64_t hours_s[] = {300,	 1800,	7200,  18000,
					  36000, 50400, 72000, 86400};
	struct deliver_retry r = profile("tencent");
	struct schedule_step s;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		schedule_step(&r, 8 + i, -1, NULL, &s);
		assert_false(s.dead);
		assert_false(s.blocks);
		assert_int_equal(s.delay_us, hours_s[i] * S);
	}
	schedule_step(&r, 1000, -1, NULL, &s);
	assert_false(s.dead);
	assert_int_equal(s.delay_us, 86400 * S);
}

static void standard_ends_after_ten_attempts(void **state)
{
	struct deliver_retry r = profile("standard");
	struct schedule_step s;

	(void)state;
	schedule_step(&r, 1, -1, NULL, &s);
	assert_true(s.blocks);
	assert_int_equal(s.delay_us, 5 * S);
	schedule_step(&r, 9, -1, NULL, &s);
	assert_false(s.dead);
	assert_int_equal(s.delay_us, 86400 * S);
	schedule_step(&r, 10, -1, NULL, &s);
	assert_true(s.dead);
}

static void a_list_blocks_for_its_first_minute(void **state)
{
	struct deliver_retry r = profile("1s, 10s,5m");

	(void)state;
	assert_int_equal(r.n, 3);
	assert_int_equal(r.n_short, 2);
	assert_false(r.on);
	assert_int_equal(r.delay_us[2], 300 * S);
}

static void bad_profiles_are_refused_with_what_is_permitted(void **state)
{
	static const char *const bad[] = {"",
					  "often",
					  "1s,",
					  ",1s",
					  "1s;2s",
					  "-1s",
					  "8d",
					  "1",
					  "1s,,2s",
					  "TENCENT",
					  "1000000000000000000000000s"};
	char many[256] = "1s";
	struct deliver_retry r = {.n = 99};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};

		assert_int_equal(deliver_retry_parse(bad[i], &r, &e), EINVAL);
		assert_non_null(strstr(e.text, "tencent"));
		assert_int_equal(r.n, 99);
	}
	for (size_t i = 0; i < 32; i++)
		memcpy(many + 2 + 3 * i, ",1s", 4);
	assert_int_equal(deliver_retry_parse(many, &r, &(struct err){0}),
			 EINVAL);
	many[2 + 3 * 31] = '\0';
	assert_int_equal(deliver_retry_parse(many, &r, &(struct err){0}), 0);
	assert_int_equal(r.n, 32);
}

static void only_the_long_part_has_jitter(void **state)
{
	struct deliver_retry r = profile("10s,1h");
	uint64_t random = 1;
	int64_t low = INT64_MAX;
	int64_t high = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct schedule_step s;

		schedule_step(&r, 1, -1, &random, &s);
		assert_int_equal(s.delay_us, 10 * S);
		schedule_step(&r, 2, -1, &random, &s);
		assert_in_range(s.delay_us, S, 3600 * S);
		low = s.delay_us < low ? s.delay_us : low;
		high = s.delay_us > high ? s.delay_us : high;
	}
	assert_true(low < 360 * S);
	assert_true(high > 3240 * S);
}

static void retry_after_is_obeyed_up_to_ten_hours(void **state)
{
	struct deliver_retry r = profile("tencent");
	struct schedule_step s;

	(void)state;
	schedule_step(&r, 2, 30 * S, NULL, &s);
	assert_int_equal(s.delay_us, 30 * S);
	assert_true(s.blocks);
	schedule_step(&r, 2, 1 * S, NULL, &s);
	assert_int_equal(s.delay_us, 10 * S);
	schedule_step(&r, 2, 3600 * S, NULL, &s);
	assert_int_equal(s.delay_us, 3600 * S);
	assert_false(s.blocks);
	schedule_step(&r, 2, INT64_MAX, NULL, &s);
	assert_int_equal(s.delay_us, 36000 * S);
}

static void a_clock_jump_never_makes_a_loaded_delivery_wait_longer(void **state)
{
	struct deliver_retry r = profile("10s,1h");
	const int64_t now = 1700000000000;

	(void)state;
	assert_int_equal(schedule_loaded(&r, 1, 0, now + 4000, now), 4 * S);
	assert_int_equal(schedule_loaded(&r, 1, 0, now + 4000, now - 86400000),
			 10 * S);
	assert_int_equal(schedule_loaded(&r, 2, 0, INT64_MAX, now), 3600 * S);
	assert_int_equal(schedule_loaded(&r, 9, 0, INT64_MAX, now), 3600 * S);
	assert_int_equal(schedule_loaded(&r, 1, 0, now - 1, now), 0);
	assert_int_equal(schedule_loaded(&r, 0, 0, now + 4000, now), 0);
	/* The endpoint asked for 45 s. */
	assert_int_equal(schedule_loaded(&r, 1, 45000, now + 40000, now),
			 40 * S);
	assert_int_equal(
		schedule_loaded(&r, 1, 45000, now + 40000, now - 86400000),
		45 * S);
	assert_int_equal(schedule_loaded(&r, 1, INT64_MAX, INT64_MAX, now),
			 SCHEDULE_HINT_MAX_US);
}

static void fail_times(struct breaker *b, int n, int64_t now_us)
{
	for (int i = 0; i < n; i++)
		breaker_on_result(b, BREAKER_FAILED, now_us);
}

static void the_breaker_opens_after_ten_failures_in_a_row(void **state)
{
	struct breaker b = {0};

	(void)state;
	fail_times(&b, 9, 0);
	breaker_on_result(&b, BREAKER_OK, 0);
	fail_times(&b, 9, 0);
	assert_true(breaker_allows(&b, 0));
	fail_times(&b, 1, 0);
	assert_false(breaker_allows(&b, 0));
	assert_false(breaker_allows(&b, 30 * S - 1));
	assert_true(breaker_allows(&b, 30 * S));
	assert_int_equal(b.state, BREAKER_HALF_OPEN);
}

static void one_probe_at_a_time_doubles_or_closes_it(void **state)
{
	static const int64_t open_s[] = {30, 60, 120, 240, 300, 300};
	struct breaker b = {0};
	int64_t now = 0;

	(void)state;
	fail_times(&b, 10, now);
	for (size_t i = 0; i < ARRAY_LEN(open_s); i++) {
		assert_int_equal(b.open_until_us - now, open_s[i] * S);
		now = b.open_until_us;
		assert_true(breaker_allows(&b, now));
		breaker_on_start(&b);
		assert_false(breaker_allows(&b, now));
		now += S;
		fail_times(&b, 1, now);
	}
	now = b.open_until_us;
	assert_true(breaker_allows(&b, now));
	breaker_on_start(&b);
	breaker_on_result(&b, BREAKER_NEITHER, now);
	assert_true(breaker_allows(&b, now));
	breaker_on_start(&b);
	breaker_on_result(&b, BREAKER_OK, now);
	assert_int_equal(b.state, BREAKER_CLOSED);
	assert_int_equal(b.failures, 0);
}

static void an_endpoint_may_be_probed_sooner(void **state)
{
	static const int64_t open_s[] = {1, 2, 4, 8, 10, 10};
	struct breaker b = {.first_us = S, .most_us = 10 * S};
	int64_t now = 0;

	(void)state;
	for (int times = 0; times < 2; times++) { /* also after a success */
		fail_times(&b, 10, now);
		for (size_t i = 0; i < ARRAY_LEN(open_s); i++) {
			assert_int_equal(b.open_until_us - now, open_s[i] * S);
			now = b.open_until_us;
			assert_true(breaker_allows(&b, now));
			breaker_on_start(&b);
			fail_times(&b, 1, now);
		}
		breaker_allow(&b); /* somebody knows better, and is wrong */
		assert_true(breaker_allows(&b, now));
		breaker_on_start(&b);
		fail_times(&b, 1, now);
		assert_int_equal(b.open_until_us - now, open_s[0] * S);
		breaker_on_result(&b, BREAKER_OK, now);
		assert_int_equal(b.state, BREAKER_CLOSED);
	}
}

static void stragglers_do_not_keep_it_open(void **state)
{
	struct breaker b = {0};

	(void)state;
	fail_times(&b, 10, 0);
	fail_times(&b, 20, 10 * S);
	assert_int_equal(b.open_until_us, 30 * S);
	breaker_on_result(&b, BREAKER_OK, 11 * S);
	assert_int_equal(b.state, BREAKER_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			tencent_tries_at_once_then_every_10_s_for_a_minute),
		cmocka_unit_test(tencent_goes_on_with_the_durable_schedule),
		cmocka_unit_test(standard_ends_after_ten_attempts),
		cmocka_unit_test(a_list_blocks_for_its_first_minute),
		cmocka_unit_test(
			bad_profiles_are_refused_with_what_is_permitted),
		cmocka_unit_test(only_the_long_part_has_jitter),
		cmocka_unit_test(retry_after_is_obeyed_up_to_ten_hours),
		cmocka_unit_test(
			a_clock_jump_never_makes_a_loaded_delivery_wait_longer),
		cmocka_unit_test(the_breaker_opens_after_ten_failures_in_a_row),
		cmocka_unit_test(one_probe_at_a_time_doubles_or_closes_it),
		cmocka_unit_test(an_endpoint_may_be_probed_sooner),
		cmocka_unit_test(stragglers_do_not_keep_it_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
