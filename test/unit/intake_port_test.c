/** test/unit/intake_port_test.c -- packets through a real socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake_aid.h"
#include "oom.h"

enum {
	PATIENCE_US = 60 * 1000000,
	NEVER_US = 2000000000 /* no machine stalls so long */
};

struct rig {
	struct loop *loop;
	struct input *input;
	struct rtp_port *port;
	struct addr at; /* of the port */
	struct udp *udp;
	struct ear ear;
};

static void ignore(const struct datagram *d, void *arg)
{
	(void)d;
	(void)arg;
}

static void set_up(struct rig *r, const char *at)
{
	const struct input_config config = {.window_us = WINDOW_US,
					    .takeover_us = NEVER_US};
	struct addr any;

	*r = (struct rig){0};
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(input_new(&config, &ear_events, &r->ear, &r->input),
			 0);
	assert_int_equal(addr_parse(at, &any), 0);
	assert_int_equal(rtp_port_open(r->loop, &any, r->input, &r->port), 0);
	rtp_port_addr(r->port, &r->at);
	assert_int_not_equal(addr_port(&r->at), 0);
	assert_int_equal(addr_parse("127.0.0.1", &any), 0);
	assert_int_equal(udp_open(r->loop, &any, ignore, NULL, &r->udp), 0);
}

static void tear_down(struct rig *r)
{
	udp_close(r->udp);
	rtp_port_close(r->port);
	input_free(r->input);
	loop_free(r->loop);
}

static void give(struct rig *r, const void *data, size_t len)
{
	assert_int_equal(udp_send(r->udp, &r->at, data, len), 0);
}

static void send_quiet(struct rig *r, int i)
{
	uint8_t bytes[RTP_HEADER_LEN + 1];

	give(r, bytes, quiet_packet(bytes, 111, 7, i, 20000));
}

/** Turn the loop until the counter is `n` above `before`. */
static void wait_for(struct rig *r, const struct tally *before, enum counter c,
		     int64_t n)
{
	int64_t until_us = clock_now_us() + PATIENCE_US;

	while (counter_get(c) - before->n[c] < n) {
		assert_true(clock_now_us() < until_us);
		loop_turn(r->loop, 1000);
		rtp_port_read(r->port);
	}
}

static void what_comes_in_at_a_port_is_heard(void **state)
{
	struct tally before;
	struct input_stats st;
	struct addr me;
	struct rig r;
	int64_t began_us;

	(void)state;
	set_up(&r, "127.0.0.1");
	before = tally_now();
	began_us = clock_now_us();
	for (int i = 0; i < 50; i++)
		send_quiet(&r, i);
	wait_for(&r, &before, COUNT_rtp_packets, 50);
	input_stats(r.input, &st);
	udp_addr(r.udp, &me);
	assert_true(addr_is_equal(&st.sender, &me));
	assert_int_equal(st.packets, 50);
	/* the time is the kernel's, on the monotonic clock; 1 ms for reading
	 * two clocks one after the other */
	assert_true(st.last_packet_us >= began_us - 1000);
	assert_true(st.last_packet_us <= clock_now_us());
	input_flush(r.input, INT64_MAX);
	/* a machine that stalls while they are sent may bend each by one */
	assert_in_range(ear_sum(&r.ear, CHUNK_SOUND), 50 * (20 * MS - 1),
			50 * (20 * MS + 1));
	assert_int_equal(st.lost + st.late + st.bad, 0);
	tear_down(&r);
}

static void each_bad_datagram_is_counted_once_and_the_port_goes_on(void **state)
{
	static const uint8_t long_one[2049] = {0x80, 111};
	static const uint8_t rtcp[] = {0x80, 201, 0, 1, 0, 0, 0, 7};
	struct tally before;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1");
	before = tally_now();
	give(&r, "", 0);
	wait_for(&r, &before, COUNT_rtp_bad, 1);
	expect_only(&before, COUNT_rtp_bad, 1);
	before = tally_now();
	give(&r, rtcp, sizeof(rtcp));
	wait_for(&r, &before, COUNT_rtcp_packets, 1);
	expect_only(&before, COUNT_rtcp_packets, 1);
	before = tally_now();
	give(&r, long_one, sizeof(long_one));
	wait_for(&r, &before, COUNT_udp_too_long, 1);
	expect_only(&before, COUNT_udp_too_long, 1);
	before = tally_now();
	send_quiet(&r, 0);
	wait_for(&r, &before, COUNT_rtp_packets, 1);
	expect_only(&before, COUNT_rtp_packets, 1);
	tear_down(&r);
}

static void another_socket_is_a_stranger(void **state)
{
	struct tally before;
	struct udp *first;
	struct addr any;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1");
	before = tally_now();
	send_quiet(&r, 0);
	wait_for(&r, &before, COUNT_rtp_packets, 1);
	first = r.udp;
	assert_int_equal(addr_parse("127.0.0.1", &any), 0);
	assert_int_equal(udp_open(r.loop, &any, ignore, NULL, &r.udp), 0);
	before = tally_now();
	send_quiet(&r, 1);
	wait_for(&r, &before, COUNT_rtp_stranger, 1);
	expect_only(&before, COUNT_rtp_stranger, 1);
	udp_close(first);
	tear_down(&r);
}

static void an_ipv6_port_takes_ipv4_from_the_pinned_source(void **state)
{
	struct input_config config = {.window_us = WINDOW_US,
				      .takeover_us = NEVER_US,
				      .has_source = true};
	struct tally before;
	struct addr any;
	struct rig r = {0};

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &config.source), 0);
	assert_int_equal(loop_new(&r.loop), 0);
	assert_int_equal(input_new(&config, &ear_events, &r.ear, &r.input), 0);
	assert_int_equal(addr_parse("[::]:0", &any), 0);
	if (rtp_port_open(r.loop, &any, r.input, &r.port)) {
		tear_down(&r);
		skip(); /* no IPv6 here */
	}
	rtp_port_addr(r.port, &any);
	assert_int_equal(addr_parse("127.0.0.1", &r.at), 0);
	addr_set_port(&r.at, addr_port(&any));
	assert_int_equal(addr_parse("127.0.0.1", &any), 0);
	assert_int_equal(udp_open(r.loop, &any, ignore, NULL, &r.udp), 0);
	before = tally_now();
	send_quiet(&r, 0);
	wait_for(&r, &before, COUNT_rtp_packets, 1);
	expect_only(&before, COUNT_rtp_packets, 1);
	tear_down(&r);
}

/** An SR of SSRC 7, whose packets send_quiet sends. */
static const uint8_t an_sr[28] = {0x80, 200, 0, 6, 0, 0, 0, 7, 1};

/** Something comes back: its length, and from where. */
struct answer {
	size_t len;
	uint8_t type;
	struct addr from;
	int n;
};

static void take_answer(const struct datagram *d, void *arg)
{
	struct answer *a = arg;

	a->n++;
	a->len = d->len;
	a->type = d->len > 1 ? d->data[1] : 0;
	a->from = *d->from;
}

static void rtcp_is_answered_to_where_it_came_from(void **state)
{
	struct answer answer = {0};
	struct tally before;
	struct udp *rtcp;
	struct addr any;
	struct rig r;
	int64_t until_us = clock_now_us() + PATIENCE_US;

	(void)state;
	set_up(&r, "127.0.0.1");
	assert_int_equal(addr_parse("127.0.0.1", &any), 0);
	assert_int_equal(udp_open(r.loop, &any, take_answer, &answer, &rtcp),
			 0);
	before = tally_now();
	send_quiet(&r, 0);
	wait_for(&r, &before, COUNT_rtp_packets, 1);
	assert_int_equal(udp_send(rtcp, &r.at, an_sr, sizeof(an_sr)), 0);
	while (answer.n == 0) {
		assert_true(clock_now_us() < until_us);
		loop_turn(r.loop, 1000);
		rtp_port_read(r.port);
	}
	assert_int_equal(answer.type, 201);
	assert_int_equal(answer.len, 32 + 20);
	assert_true(addr_is_equal(&answer.from, &r.at));
	assert_int_equal(counter_get(COUNT_rtcp_reports) -
				 before.n[COUNT_rtcp_reports],
			 1);
	udp_close(rtcp);
	tear_down(&r);
}

static void a_sender_that_takes_no_answer_is_recorded_all_the_same(void **state)
{
	struct input_stats st;
	struct tally before;
	struct addr me;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1");
	udp_addr(r.udp, &me);
	before = tally_now();
	for (int i = 0; i < 10; i++) {
		send_quiet(&r, 2 * i);
		give(&r, an_sr, sizeof(an_sr));
		/* closed when the report comes: the kernel says so, to us */
		udp_close(r.udp);
		wait_for(&r, &before, COUNT_rtcp_packets, i + 1);
		assert_int_equal(udp_open(r.loop, &me, ignore, NULL, &r.udp),
				 0);
		send_quiet(&r, 2 * i + 1);
		wait_for(&r, &before, COUNT_rtp_packets, 2 * i + 2);
	}
	assert_true(counter_get(COUNT_rtcp_reports) >
		    before.n[COUNT_rtcp_reports]);
	input_flush(r.input, INT64_MAX);
	input_stats(r.input, &st);
	assert_int_equal(st.packets, 20);
	assert_int_equal(st.lost + st.bad + st.stranger, 0);
	tear_down(&r);
}

static void a_port_that_is_taken_is_told(void **state)
{
	struct rtp_port *second = NULL;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1");
	assert_int_equal(rtp_port_open(r.loop, &r.at, r.input, &second),
			 EADDRINUSE);
	assert_null(second);
	/* closed, it is free again */
	rtp_port_close(r.port);
	loop_turn(r.loop, 0);
	assert_int_equal(rtp_port_open(r.loop, &r.at, r.input, &r.port), 0);
	tear_down(&r);
}

static void the_input_outlives_its_port(void **state)
{
	struct input_stats st;
	struct tally before;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1");
	before = tally_now();
	send_quiet(&r, 0);
	wait_for(&r, &before, COUNT_rtp_packets, 1);
	rtp_port_close(r.port);
	r.port = NULL;
	rtp_port_close(NULL);
	loop_turn(r.loop, 0);
	input_flush(r.input, INT64_MAX);
	input_stats(r.input, &st);
	assert_int_equal(st.packets, 1);
	assert_int_equal(ear_sum(&r.ear, CHUNK_SOUND), 20 * MS);
	tear_down(&r);
}

static void open_and_close(void)
{
	const struct input_config config = {.window_us = WINDOW_US,
					    .takeover_us = NEVER_US};
	struct ear *ear = calloc(1, sizeof(*ear)); /* not of the sweep */
	struct rig r = {0};
	struct addr any;
	int err;

	assert_non_null(ear);
	assert_int_equal(addr_parse("127.0.0.1", &any), 0);
	err = loop_new(&r.loop);
	if (!err)
		err = input_new(&config, &ear_events, ear, &r.input);
	if (!err)
		err = rtp_port_open(r.loop, &any, r.input, &r.port);
	assert_true(err == 0 || err == ENOMEM);
	tear_down(&r);
	free(ear);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(open_and_close);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_in_at_a_port_is_heard),
		cmocka_unit_test(
			each_bad_datagram_is_counted_once_and_the_port_goes_on),
		cmocka_unit_test(another_socket_is_a_stranger),
		cmocka_unit_test(
			an_ipv6_port_takes_ipv4_from_the_pinned_source),
		cmocka_unit_test(rtcp_is_answered_to_where_it_came_from),
		cmocka_unit_test(
			a_sender_that_takes_no_answer_is_recorded_all_the_same),
		cmocka_unit_test(a_port_that_is_taken_is_told),
		cmocka_unit_test(the_input_outlives_its_port),
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
