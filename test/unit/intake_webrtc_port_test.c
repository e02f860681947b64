/** test/unit/intake_webrtc_port_test.c -- WebRTC through a real socket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "intake_aid.h"
#include "intake/webrtc.h"
#include "stun_aid.h"

enum { PATIENCE_US = 60 * 1000000 };

struct rig {
	struct loop *loop;
	struct webrtc_identity *id;
	struct webrtc_port *port;
	struct addr at; /* of the port */
	struct webrtc_credentials local;
	struct webrtc_session *session;
	struct input *input;
	struct ear ear;
	struct udp *udp; /* the peer's */
	unsigned n_answers;
	int n_ended;
	enum webrtc_end why;
};

static void on_answer(const struct datagram *d, void *arg)
{
	struct rig *r = arg;
	struct stun s;

	assert_int_equal(stun_parse(d->data, d->len, &s), 0);
	assert_int_equal(s.class, STUN_SUCCESS);
	assert_true(stun_is_authentic(&s, d->data, r->local.pwd));
	r->n_answers++;
}

static void on_connected(const struct addr *peer, int64_t now_us, void *arg)
{
	(void)peer;
	(void)now_us;
	(void)arg;
	fail();
}

static void on_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	struct rig *r = arg;

	(void)now_us;
	r->n_ended++;
	r->why = why;
}

static const struct webrtc_session_events events = {.connected = on_connected,
						    .ended = on_ended};

static void set_up(struct rig *r, const char *at,
		   const struct webrtc_limits *limits)
{
	const struct input_config ic = {
		.window_us = WINDOW_US, .is_authentic = true, .opus_pt = 111};
	struct webrtc_session_config c = {
		.local = &r->local, .remote_ufrag = "theirs", .opus_pt = 111};
	struct addr any;

	*r = (struct rig){0};
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(webrtc_identity_new(&r->id), 0);
	assert_int_equal(addr_parse(at, &any), 0);
	assert_int_equal(
		webrtc_port_open(r->loop, &any, 0, r->id, limits, &r->port), 0);
	webrtc_port_addr(r->port, &r->at);
	assert_int_not_equal(addr_port(&r->at), 0);
	assert_int_equal(input_new(&ic, &ear_events, &r->ear, &r->input), 0);
	assert_int_equal(webrtc_credentials_make(&r->local), 0);
	c.in = r->input;
	assert_int_equal(webrtc_session_open(r->port, &c, &events, r,
					     clock_now_us(), &r->session),
			 0);
	assert_int_equal(udp_open(r->loop, &any, on_answer, r, &r->udp), 0);
}

static void tear_down(struct rig *r)
{
	webrtc_session_close(r->session);
	webrtc_port_close(r->port);
	webrtc_port_close(NULL);
	input_free(r->input);
	udp_close(r->udp);
	webrtc_identity_free(r->id);
	loop_free(r->loop);
}

static void send_check(struct rig *r)
{
	struct stun_made m;
	char name[64];

	snprintf(name, sizeof(name), "%s:theirs", r->local.ufrag);
	made_check(&m, 1, name, r->local.pwd, true);
	assert_int_equal(udp_send(r->udp, &r->at, m.bytes, m.len), 0);
}

/** Turn the loop until so many answers have come. */
static void wait_answers(struct rig *r, unsigned n)
{
	const int64_t until_us = clock_now_us() + PATIENCE_US;

	while (r->n_answers < n) {
		assert_true(clock_now_us() < until_us);
		loop_turn(r->loop, 100000);
	}
}

static void a_check_is_answered_by_the_loop_alone(void **state)
{
	struct webrtc_session_stats st;
	struct addr me;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1", &webrtc_limits_usual);
	/* one by one, and many in a row; with pauses after which the loop
	 * watches the socket again */
	for (unsigned i = 1; i <= 10; i++) {
		send_check(&r);
		wait_answers(&r, i);
		while (i % 3 == 0 && timer_is_armed(&r.port->read_timer))
			loop_turn(r.loop, 100000);
	}
	for (int i = 0; i < 100; i++)
		send_check(&r);
	wait_answers(&r, 110);
	webrtc_session_stats(r.session, &st);
	udp_addr(r.udp, &me);
	assert_true(addr_is_equal(&st.peer, &me));
	assert_true(st.is_proven);
	assert_true(st.checked_us > 0 && st.checked_us <= clock_now_us());
	tear_down(&r);
}

static void a_session_can_have_the_port_read(void **state)
{
	const int64_t until_us = clock_now_us() + PATIENCE_US;
	struct webrtc_session_stats st;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1", &webrtc_limits_usual);
	send_check(&r);
	do { /* no turn of the loop */
		assert_true(clock_now_us() < until_us);
		webrtc_session_read(r.session, clock_now_us());
		webrtc_session_stats(r.session, &st);
	} while (!st.is_proven);
	wait_answers(&r, 1);
	tear_down(&r);
}

static void its_time_runs_by_the_loop(void **state)
{
	const int64_t until_us = clock_now_us() + PATIENCE_US;
	struct webrtc_limits limits = webrtc_limits_usual;
	struct rig r;

	(void)state;
	limits.connect_us = 1000;
	set_up(&r, "127.0.0.1", &limits);
	while (!r.n_ended) {
		assert_true(clock_now_us() < until_us);
		loop_turn(r.loop, 100000);
	}
	assert_int_equal(r.why, WEBRTC_NO_CHECK);
	tear_down(&r);
}

static void an_ipv6_port_has_ipv4_peers_too(void **state)
{
	struct webrtc_session_stats st;
	struct addr any;
	struct udp *probe;
	struct rig r;

	(void)state;
	assert_int_equal(loop_new(&r.loop), 0);
	assert_int_equal(addr_parse("[::]:0", &any), 0);
	if (udp_open(r.loop, &any, on_answer, NULL, &probe)) {
		loop_free(r.loop);
		print_message("no IPv6 here\n");
		skip();
	}
	udp_close(probe);
	loop_turn(r.loop, 0);
	loop_free(r.loop);
	set_up(&r, "[::]:0", &webrtc_limits_usual);
	any = r.at;
	assert_int_equal(addr_parse("127.0.0.1", &r.at), 0);
	addr_set_port(&r.at, addr_port(&any));
	send_check(&r);
	wait_answers(&r, 1);
	webrtc_session_stats(r.session, &st);
	assert_int_equal(st.peer.sa.sa_family, AF_INET);
	tear_down(&r);
}

static void a_port_that_is_taken_says_so(void **state)
{
	struct webrtc_port *other;
	struct rig r;

	(void)state;
	set_up(&r, "127.0.0.1", &webrtc_limits_usual);
	assert_int_equal(webrtc_port_open(r.loop, &r.at, 0, r.id,
					  &webrtc_limits_usual, &other),
			 EADDRINUSE);
	tear_down(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_check_is_answered_by_the_loop_alone),
		cmocka_unit_test(a_session_can_have_the_port_read),
		cmocka_unit_test(its_time_runs_by_the_loop),
		cmocka_unit_test(an_ipv6_port_has_ipv4_peers_too),
		cmocka_unit_test(a_port_that_is_taken_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
