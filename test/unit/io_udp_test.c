/** test/unit/io_udp_test.c -- UDP on loopback. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/counters.h"
#include "oom.h"

struct peer {
	struct loop *loop;
	struct udp *udp;
	struct addr at;
	int got;
	int close_at; /* close after so many; 0: never */
	int64_t last_us;
	size_t last_len;
	struct addr last_from;
};

static void on_datagram(const struct datagram *d, void *arg)
{
	struct peer *p = arg;

	p->got++;
	assert_true(d->arrival_us <= clock_now_us());
	assert_true(d->arrival_us >= p->last_us);
	p->last_us = d->arrival_us;
	p->last_len = d->len;
	p->last_from = *d->from;
	if (p->got == p->close_at) {
		udp_close(p->udp);
		p->udp = NULL;
	}
}

static struct peer make_peer(struct loop *loop, const char *at)
{
	struct peer p = {.loop = loop};

	assert_int_equal(addr_parse(at, &p.at), 0);
	return p;
}

static void open_peer(struct peer *p)
{
	assert_int_equal(udp_open(p->loop, &p->at, on_datagram, p, &p->udp), 0);
	udp_addr(p->udp, &p->at);
	assert_int_not_equal(addr_port(&p->at), 0);
}

static void datagrams_come_with_their_sender_and_time(void **state)
{
	struct loop *loop = NULL;
	struct peer a, b;
	int64_t before_us;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	open_peer(&b);
	before_us = clock_now_us();
	assert_int_equal(udp_send(a.udp, &b.at, "hello", 5), 0);
	assert_int_equal(udp_send(a.udp, &b.at, "", 0), 0);
	while (b.got < 2)
		loop_turn(loop, -1);
	assert_true(addr_is_equal(&b.last_from, &a.at));
	assert_int_equal(b.last_len, 0);
	/* clocks are read one after the other: 1 ms is generous */
	assert_true(b.last_us >= before_us - 1000);
	assert_int_equal(a.got, 0);
	udp_close(a.udp);
	udp_close(b.udp);
	udp_close(NULL);
	loop_free(loop);
}

/* Will this machine give a socket that much? */
static bool may_have_room(int bytes)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(bytes);
	int got = 0;

	assert_true(fd >= 0);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, len))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, len);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &got, &len), 0);
	close(fd);
	return got >= bytes;
}

/* As much as 2,500 speakers say in 40 ms. */
static void a_socket_keeps_what_comes_while_nobody_reads(void **state)
{
	enum { N = 5000, BYTES = 200, ROOM = 8 << 20 };
	static const char bytes[BYTES];
	struct loop *loop = NULL;
	struct peer a, b;

	(void)state;
	if (!may_have_room(ROOM)) {
		print_message("net.core.rmem_max is too small\n");
		skip();
	}
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	open_peer(&b);
	udp_set_room(b.udp, ROOM);
	for (int i = 0; i < N; i++)
		assert_int_equal(udp_send(a.udp, &b.at, bytes, BYTES), 0);
	for (int i = 0; i < 4 && b.got < N; i++)
		udp_read(b.udp);
	assert_int_equal(b.got, N);
	udp_close(a.udp);
	udp_close(b.udp);
	loop_free(loop);
}

static void on_timer(struct timer *t, int64_t now_us)
{
	(void)now_us;
	t->due_us = -1;
}

static void a_flood_does_not_hold_timers_and_nothing_is_lost(void **state)
{
	struct loop *loop = NULL;
	struct timer t = {0};
	struct peer a, b;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	open_peer(&b);
	for (int i = 0; i < 200; i++)
		assert_int_equal(udp_send(a.udp, &b.at, &i, sizeof(i)), 0);
	assert_int_equal(timer_start(&t, loop, 0, on_timer), 0);
	loop_turn(loop, -1);
	assert_int_equal(b.got, 128);
	assert_int_equal(t.due_us, -1);
	loop_turn(loop, -1);
	assert_int_equal(b.got, 200);
	udp_close(a.udp);
	udp_close(b.udp);
	loop_free(loop);
}

static void a_socket_may_be_closed_in_its_callback(void **state)
{
	struct loop *loop = NULL;
	struct peer a, b;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	open_peer(&b);
	b.close_at = 3;
	for (int i = 0; i < 100; i++)
		assert_int_equal(udp_send(a.udp, &b.at, &i, sizeof(i)), 0);
	loop_turn(loop, -1);
	assert_int_equal(b.got, 3);
	assert_null(b.udp);
	loop_turn(loop, 0);
	assert_int_equal(b.got, 3);
	udp_close(a.udp);
	loop_free(loop);
}

static void a_dead_peer_does_not_close_the_socket(void **state)
{
	struct loop *loop = NULL;
	struct peer a, b;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	open_peer(&b);
	udp_close(b.udp);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(udp_send(a.udp, &b.at, "x", 1), 0);
		loop_turn(loop, 0);
	}
	assert_int_equal(udp_send(a.udp, &a.at, "me", 2), 0);
	while (!a.got)
		loop_turn(loop, -1);
	assert_int_equal(a.last_len, 2);
	udp_close(a.udp);
	loop_free(loop);
}

static void a_datagram_that_is_too_long_is_dropped_and_counted(void **state)
{
	static const uint8_t data[2049];
	int64_t before = counter_get(COUNT_udp_too_long);
	struct loop *loop = NULL;
	struct peer a;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	assert_int_equal(udp_send(a.udp, &a.at, data, 2049), 0);
	assert_int_equal(udp_send(a.udp, &a.at, data, 2048), 0);
	while (!a.got)
		loop_turn(loop, -1);
	assert_int_equal(a.got, 1);
	assert_int_equal(a.last_len, 2048);
	assert_int_equal(counter_get(COUNT_udp_too_long) - before, 1);
	udp_close(a.udp);
	loop_free(loop);
}

static void an_ipv6_socket_shows_ipv4_peers_as_ipv4(void **state)
{
	struct loop *loop = NULL;
	struct peer a, b;
	struct addr to;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	b = make_peer(loop, "[::]:0");
	open_peer(&a);
	if (udp_open(loop, &b.at, on_datagram, &b, &b.udp)) {
		udp_close(a.udp);
		loop_free(loop);
		skip(); /* no IPv6 here */
	}
	udp_addr(b.udp, &b.at);
	assert_int_equal(addr_parse("127.0.0.1", &to), 0);
	addr_set_port(&to, addr_port(&b.at));
	assert_int_equal(udp_send(a.udp, &to, "x", 1), 0);
	while (!b.got)
		loop_turn(loop, -1);
	assert_true(addr_is_equal(&b.last_from, &a.at));
	assert_int_equal(udp_send(b.udp, &b.last_from, "y", 1), 0);
	while (!a.got)
		loop_turn(loop, -1);
	assert_true(addr_is_equal(&a.last_from, &to));
	udp_close(a.udp);
	udp_close(b.udp);
	loop_free(loop);
}

static void wait_got(struct loop *loop, const struct peer *p, int n)
{
	const int64_t until_us = clock_now_us() + 60 * CLOCK_US_PER_S;

	while (p->got < n) {
		assert_true(clock_now_us() < until_us);
		loop_turn(loop, 100000);
	}
}

/** An IPv4 address of this machine that is not a loopback one. */
static bool own_address(struct addr *out)
{
	struct addr own[16];
	const size_t n = addr_list_own(own, 16);

	for (size_t i = 0; i < n; i++) {
		*out = own[i];
		if (out->sa.sa_family == AF_INET && !addr_is_loopback(out))
			return true;
	}
	return false;
}

/** From and to each address of this machine. */
static void only_what_has_come_by_an_interface_is_heard(void **state)
{
	struct loop *loop = NULL;
	struct peer a, near, deaf;
	struct addr to[2];
	size_t n = 1;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(addr_parse("127.0.0.1", &to[0]), 0);
	n += own_address(&to[1]); /* a machine may have no other */
	a = make_peer(loop, "0.0.0.0");
	near = deaf = a;
	open_peer(&a);
	assert_int_equal(udp_open_on(loop, &near.at, if_nametoindex("lo"),
				     on_datagram, &near, &near.udp),
			 0);
	assert_int_equal(udp_open_on(loop, &deaf.at,
				     if_nametoindex("lo") + 1000, on_datagram,
				     &deaf, &deaf.udp),
			 0);
	for (size_t i = 0; i < n; i++) {
		udp_addr(deaf.udp, &deaf.at);
		addr_set_port(&to[i], addr_port(&deaf.at));
		assert_int_equal(udp_send(a.udp, &to[i], "x", 1), 0);
		udp_addr(near.udp, &near.at);
		addr_set_port(&to[i], addr_port(&near.at));
		assert_int_equal(udp_send(a.udp, &to[i], "y", 1), 0);
		wait_got(loop, &near, (int)i + 1);
		/* an answer comes from where it was asked */
		assert_int_equal(udp_send(near.udp, &near.last_from, "z", 1),
				 0);
		wait_got(loop, &a, (int)i + 1);
		assert_true(addr_is_equal(&a.last_from, &to[i]));
	}
	udp_read(deaf.udp);
	assert_int_equal(deaf.got, 0);
	udp_close(a.udp);
	udp_close(near.udp);
	udp_close(deaf.udp);
	loop_free(loop);
}

static void a_port_in_use_is_told(void **state)
{
	struct loop *loop = NULL;
	struct udp *second = NULL;
	struct peer a;

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	a = make_peer(loop, "127.0.0.1");
	open_peer(&a);
	assert_int_equal(udp_open(loop, &a.at, on_datagram, &a, &second),
			 EADDRINUSE);
	assert_null(second);
	udp_close(a.udp);
	loop_free(loop);
}

static void use_udp(void)
{
	struct loop *loop = NULL;
	struct udp *u = NULL;
	struct addr at;
	int err = loop_new(&loop);

	assert_int_equal(addr_parse("127.0.0.1", &at), 0);
	if (!err)
		err = udp_open(loop, &at, on_datagram, NULL, &u);
	assert_true(err == 0 || err == ENOMEM);
	udp_close(u);
	loop_free(loop);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(use_udp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_come_with_their_sender_and_time),
		cmocka_unit_test(
			a_flood_does_not_hold_timers_and_nothing_is_lost),
		cmocka_unit_test(a_socket_keeps_what_comes_while_nobody_reads),
		cmocka_unit_test(a_socket_may_be_closed_in_its_callback),
		cmocka_unit_test(a_dead_peer_does_not_close_the_socket),
		cmocka_unit_test(
			a_datagram_that_is_too_long_is_dropped_and_counted),
		cmocka_unit_test(an_ipv6_socket_shows_ipv4_peers_as_ipv4),
		cmocka_unit_test(only_what_has_come_by_an_interface_is_heard),
		cmocka_unit_test(a_port_in_use_is_told),
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
