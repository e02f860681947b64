/** test/unit/io_addr_test.c -- addresses as text, and which are global. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct addr parsed(const char *text)
{
	struct addr a = {0};

	if (addr_parse(text, &a))
		fail_msg("%s", text);
	return a;
}

static void addresses_are_parsed_and_written(void **state)
{
	static const char *const same[] = {
		"1.2.3.4:80",	  "0.0.0.0:0",	       "255.255.255.255:65535",
		"[::1]:80",	  "[2001:db8::1]:443", "[::ffff:1.2.3.4]:1",
		"[fe80::1:2:3]:5"};
	static const char *const pairs[][2] = {
		{"1.2.3.4", "1.2.3.4:0"},
		{"::1", "[::1]:0"},
		{"[::1]", "[::1]:0"},
		{"[::]:9", "[::]:9"},
		{"::", "[::]:0"},
		{"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:0"}};
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		a = parsed(same[i]);
		assert_string_equal(addr_write(&a, text), same[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		a = parsed(pairs[i][0]);
		assert_string_equal(addr_write(&a, text), pairs[i][1]);
	}
	a = (struct addr){0};
	assert_string_equal(addr_write(&a, text), "-");
	assert_string_equal(addr_write_host(&a, text), "-");
	a = parsed("1.2.3.4:80");
	assert_string_equal(addr_write_host(&a, text), "1.2.3.4");
	a = parsed("[2001:db8::1]:80");
	assert_string_equal(addr_write_host(&a, text), "2001:db8::1");
}

static void what_is_no_address_is_refused(void **state)
{
	static const char *const bad[] = {"",
					  ":",
					  ":80",
					  "localhost",
					  "localhost:80",
					  "1.2.3",
					  "1.2.3.4:",
					  "1.2.3.4:65536",
					  "1.2.3.4:-1",
					  "1.2.3.4:80x",
					  "1.2.3.4:+80",
					  "1.2.3.4: 80",
					  " 1.2.3.4",
					  "1.2.3.4 ",
					  "01.2.3.4",
					  "0x7f.1",
					  "2130706433",
					  "[1.2.3.4]:80",
					  "[::1",
					  "[::1]80",
					  "[::1]:",
					  "[]:80",
					  "::1]:80",
					  "[::1%lo]:80",
					  "1::2::3",
					  "12345::",
					  "256.1.1.1",
					  "1.2.3.4:99999999999999999999"};
	char text[2 * ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (addr_parse(bad[i], &a) != EINVAL)
			fail_msg("%s", bad[i]);
	}
	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(addr_parse(text, &a), EINVAL);
}

static void addresses_are_compared_with_their_port(void **state)
{
	struct addr a = parsed("1.2.3.4:80");
	struct addr b = parsed("1.2.3.4:80");
	struct addr c = parsed("[::1]:80");
	struct addr none = {0};

	(void)state;
	memset(a.in4.sin_zero, 0xee, sizeof(a.in4.sin_zero));
	assert_true(addr_is_equal(&a, &b));
	addr_set_port(&b, 81);
	assert_int_equal(addr_port(&b), 81);
	assert_false(addr_is_equal(&a, &b));
	assert_false(addr_is_equal(&a, &c));
	assert_true(addr_is_equal(&c, &c));
	addr_set_port(&c, 5);
	assert_int_equal(addr_port(&c), 5);
	b = parsed("[::1]:5");
	assert_true(addr_is_equal(&c, &b));
	b = parsed("[::2]:5");
	assert_false(addr_is_equal(&c, &b));
	assert_true(addr_is_equal(&none, &none));
	assert_false(addr_is_equal(&none, &c));
	assert_false(addr_is_equal(&c, &none));
}

static void loopback_is_known_also_when_mapped(void **state)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {{"127.0.0.1", true},
		     {"127.255.255.255", true},
		     {"128.0.0.1", false},
		     {"::1", true},
		     {"::2", false},
		     {"::ffff:127.0.0.1", true},
		     {"::ffff:10.0.0.1", false}};
	struct addr none = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct addr a = parsed(cases[i].text);

		assert_int_equal(addr_is_loopback(&a), cases[i].is);
	}
	assert_false(addr_is_loopback(&none));
}

/* Each range: the address before it (NULL: not global either), its first,
 * its last, the one after it (NULL: the same). */
static void only_global_unicast_is_global(void **state)
{
	static const char *const ranges[][4] = {
		{NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
		{"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
		{"100.63.255.255", "100.64.0.0", "100.127.255.255",
		 "100.128.0.0"},
		{"126.255.255.255", "127.0.0.0", "127.255.255.255",
		 "128.0.0.0"},
		{"169.253.255.255", "169.254.0.0", "169.254.255.255",
		 "169.255.0.0"},
		{"172.15.255.255", "172.16.0.0", "172.31.255.255",
		 "172.32.0.0"},
		{"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
		{"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
		{"192.88.98.255", "192.88.99.0", "192.88.99.255",
		 "192.88.100.0"},
		{"192.167.255.255", "192.168.0.0", "192.168.255.255",
		 "192.169.0.0"},
		{"198.17.255.255", "198.18.0.0", "198.19.255.255",
		 "198.20.0.0"},
		{"198.51.99.255", "198.51.100.0", "198.51.100.255",
		 "198.51.101.0"},
		{"203.0.112.255", "203.0.113.0", "203.0.113.255",
		 "203.0.114.0"},
		{"223.255.255.255", "224.0.0.0", "255.255.255.255", NULL},
		{NULL, "::", "::1", NULL},
		{NULL, "::ffff:8.8.8.8", "::ffff:10.0.0.1", NULL},
		{NULL, "::8.8.8.8", "64:ff9b::8.8.8.8", NULL},
		{NULL, "64:ff9b:1::1", "100::1", NULL},
		{NULL, "1fff:ffff::1", "1fff:ffff::2", "2000::1"},
		{"2000:ffff::1", "2001::", "2001:1ff:ffff::1", "2001:200::1"},
		{"2001:db7:ffff::1", "2001:db8::1", "2001:db8:ffff::1",
		 "2001:db9::1"},
		{"2001:ffff::1", "2002:808:808::1", "2002:ffff::1", "2003::1"},
		{"3ffe:ffff::1", "3fff::1", "3fff:fff::1", "3fff:1000::1"},
		{"3fff:ffff::1", "4000::1", "5f00::1", NULL},
		{NULL, "fc00::1", "fdff::1", NULL},
		{NULL, "fe80::1", "febf::1", NULL},
		{NULL, "fec0::1", "ff02::1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		for (size_t k = 0; k < 4; k++) {
			bool global = k == 0 || k == 3;
			struct addr a;

			if (!ranges[i][k])
				continue;
			a = parsed(ranges[i][k]);
			if (addr_is_global(&a) != global)
				fail_msg("%s", ranges[i][k]);
		}
	}
}

static void a_refused_address_says_why(void **state)
{
	struct addr a = parsed("10.1.2.3:80");
	struct addr none = {0};

	(void)state;
	assert_string_equal(addr_special(&a), "private use (RFC 1918)");
	a = parsed("[::ffff:10.1.2.3]:80");
	assert_string_equal(addr_special(&a), "IPv4-mapped (RFC 4291)");
	a = parsed("::1");
	assert_string_equal(addr_special(&a), "loopback (RFC 4291)");
	a = parsed("8.8.8.8");
	assert_null(addr_special(&a));
	assert_false(addr_is_global(&none));
}

static void own_addresses_end_with_loopback(void **state)
{
	struct addr list[32];
	const size_t n = addr_list_own(list, 32);

	(void)state;
	assert_true(n > 0);
	assert_true(addr_is_loopback(&list[n - 1]));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(addr_port(&list[i]), 0);
		if (i > 0)
			assert_true(addr_is_loopback(&list[i]) >=
				    addr_is_loopback(&list[i - 1]));
	}
	assert_int_equal(addr_list_own(list, 1), 1);
	assert_int_equal(addr_list_own(list, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed_and_written),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(addresses_are_compared_with_their_port),
		cmocka_unit_test(loopback_is_known_also_when_mapped),
		cmocka_unit_test(only_global_unicast_is_global),
		cmocka_unit_test(a_refused_address_says_why),
		cmocka_unit_test(own_addresses_end_with_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
