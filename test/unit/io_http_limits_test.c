/** test/unit/io_http_limits_test.c -- who may connect to the HTTP server. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "io/http_server.h"

enum { GUESTS = 8 };

/* A server of which only the limits are asked. */
struct rig {
	struct http_server s;
	struct http_guest guests[GUESTS];
	int64_t address_full, full; /* at the beginning */
	unsigned lines;
	char line[256];
};

static void on_line(enum log_level level, const char *line, void *arg)
{
	struct rig *r = arg;

	(void)level;
	r->lines++;
	snprintf(r->line, sizeof(r->line), "%s", line);
}

static void rig_open(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	list_init(&r->s.guests);
	assert_int_equal(loop_new(&r->s.loop), 0);
	r->s.config.max_connections = GUESTS;
	r->s.config.max_per_address = 2;
	r->address_full = counter_get(COUNT_http_address_full);
	r->full = counter_get(COUNT_http_full);
	log_set_sink(on_line, r);
}

static void rig_close(struct rig *r)
{
	log_set_sink(NULL, NULL);
	while (r->s.n_guests > 0)
		http_guest_remove(&r->s, CONTAINER_OF(list_first(&r->s.guests),
						      struct http_guest, link));
	loop_free(r->s.loop);
}

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static bool comes(struct rig *r, const char *text)
{
	struct http_guest *g = &r->guests[r->s.n_guests];

	g->peer = address(text);
	if (!http_guest_may_come(&r->s, &g->peer))
		return false;
	http_guest_add(&r->s, g);
	return true;
}

static void address_has_its_share_and_no_more(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_true(comes(&r, "192.0.2.1:1000"));
	assert_true(comes(&r, "192.0.2.1:1001"));
	assert_false(comes(&r, "192.0.2.1:1002"));
	assert_true(comes(&r, "192.0.2.2:1000"));
	assert_int_equal(counter_get(COUNT_http_address_full) - r.address_full,
			 1);
	assert_int_equal(counter_get(COUNT_http_full) - r.full, 0);
	http_guest_remove(&r.s, &r.guests[1]);
	assert_true(http_guest_may_come(&r.s, &r.guests[0].peer));
	rig_close(&r);
}

static void network_of_ipv6_is_one_address(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	assert_true(comes(&r, "[2001:db8:1:2::1]:1000"));
	assert_true(comes(&r, "[2001:db8:1:2:ffff::1]:1000"));
	assert_false(comes(&r, "[2001:db8:1:2:3::]:1000"));
	assert_true(comes(&r, "[2001:db8:1:3::1]:1000"));
	rig_close(&r);
}

static void loopback_is_exempt_unless_asked_for(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	for (int i = 0; i < 3; i++)
		assert_true(comes(&r, "127.0.0.1:1000"));
	for (int i = 0; i < 3; i++)
		assert_true(comes(&r, "[::1]:1000"));
	r.s.config.limit_loopback = true;
	assert_false(comes(&r, "127.0.0.1:1000"));
	assert_false(comes(&r, "[::1]:1000"));
	assert_true(comes(&r, "127.0.0.2:1000"));
	rig_close(&r);
}

static void limit_in_all_is_for_everybody(void **state)
{
	struct rig r;

	(void)state;
	rig_open(&r);
	r.s.config.max_per_address = 0;
	for (int i = 0; i < GUESTS; i++)
		assert_true(comes(&r, "192.0.2.1:1000"));
	assert_false(comes(&r, "192.0.2.2:1000"));
	assert_false(comes(&r, "127.0.0.1:1000"));
	assert_int_equal(counter_get(COUNT_http_full) - r.full, 2);
	rig_close(&r);
}

static void flood_is_one_line_a_minute(void **state)
{
	struct http_sample sample = {0};
	struct rig r;
	unsigned n = 0;

	(void)state;
	rig_open(&r);
	comes(&r, "192.0.2.1:1000");
	comes(&r, "192.0.2.1:1000");
	for (int i = 0; i < 1000; i++)
		assert_false(comes(&r, "192.0.2.1:7"));
	assert_int_equal(r.lines, 1);
	assert_non_null(strstr(r.line, "refused=1:"));
	assert_non_null(strstr(r.line, "192.0.2.1:7"));
	rig_close(&r);

	assert_true(http_sample(&sample, 1000, &n));
	assert_int_equal(n, 1);
	assert_false(http_sample(&sample, 60 * CLOCK_US_PER_S + 999, &n));
	assert_true(http_sample(&sample, 60 * CLOCK_US_PER_S + 1000, &n));
	assert_int_equal(n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_has_its_share_and_no_more),
		cmocka_unit_test(network_of_ipv6_is_one_address),
		cmocka_unit_test(loopback_is_exempt_unless_asked_for),
		cmocka_unit_test(limit_in_all_is_for_everybody),
		cmocka_unit_test(flood_is_one_line_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
