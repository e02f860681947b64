/** test/unit/intake_caller_test.c -- who calls: checks, DTLS on either side,
 *  packets, and how it ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "oom.h"
#include "webrtc_aid.h"
#include "wire/rtcp_sender.h"

/** A caller, and a session of ours that it calls; or nobody at all. */
struct line {
	struct webrtc_identity *here, *there;
	struct webrtc_credentials local, remote;
	struct webrtc_port *port;
	struct webrtc_session *session;
	struct input *in;
	struct ear ear;
	struct webrtc_caller *caller;
	struct addr at, to; /* the caller's, the port's */
	struct letter *queue[QUEUE_MAX];
	size_t n;
	fate_fn *fate;
	void *fate_arg;
	unsigned n_carried;
	bool no_port; /* what is sent there is lost */
	/* what came of it */
	unsigned n_connected, n_ended, n_reports;
	enum webrtc_end why;
	struct rtcp_block report;
	unsigned n_checks; /* by the caller */
	int64_t n_said;
};

static void put(struct line *l, bool to_port, const struct addr *peer,
		const uint8_t *data, size_t len)
{
	struct letter *x = test_malloc(sizeof(*x));
	unsigned times;

	*x = (struct letter){.to_port = to_port, .peer = *peer, .len = len};
	memcpy(x->data, data, len);
	times = l->fate ? l->fate(x, l->n_carried, l->fate_arg) : 1;
	l->n_carried++;
	for (unsigned i = 0; i < times; i++) {
		struct letter *copy = test_malloc(sizeof(*copy));

		*copy = *x;
		assert_true(l->n < QUEUE_MAX);
		l->queue[l->n++] = copy;
	}
	test_free(x);
}

static void port_sends(const struct addr *to, const uint8_t *data, size_t len,
		       void *arg)
{
	put(arg, false, to, data, len);
}

static void caller_sends(const struct addr *to, const uint8_t *data, size_t len,
			 void *arg)
{
	struct line *l = arg;

	l->n_checks += stun_is_likely(data[0]) && data[0] == 0 && data[1] == 1;
	if (!l->no_port && addr_is_equal(to, &l->to))
		put(l, true, &l->at, data, len);
}

static void caller_connected(void *arg)
{
	((struct line *)arg)->n_connected++;
}

static void caller_report(const uint8_t *data, size_t len, void *arg)
{
	struct line *l = arg;

	assert_int_equal(rtcp_sender_read(data, len, SSRC, &l->report), 0);
	l->n_reports++;
}

static void caller_ended(enum webrtc_end why, void *arg)
{
	struct line *l = arg;

	l->n_ended++;
	l->why = why;
}

static void session_connected(const struct addr *peer, int64_t now_us,
			      void *arg)
{
	(void)peer;
	(void)now_us;
	(void)arg;
}

static void session_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	(void)why;
	(void)now_us;
	(void)arg;
}

static const struct webrtc_session_events session_events = {
	.connected = session_connected, .ended = session_ended};

/** The session that is called. */
static int open_session(struct line *l)
{
	const struct input_config ic = {.window_us = WINDOW_US,
					.takeover_us = TAKEOVER_US,
					.is_authentic = true,
					.opus_pt = OPUS};
	struct webrtc_session_config sc = {
		.local = &l->remote,
		.remote_ufrag = l->local.ufrag,
		.fingerprint = *webrtc_identity_fingerprint(l->here),
		.opus_pt = OPUS,
	};
	int err = webrtc_port_new(l->there, &webrtc_limits_usual, port_sends, l,
				  &l->port);

	if (!err)
		err = input_new(&ic, &ear_events, &l->ear, &l->in);
	sc.in = l->in;
	return err ? err
		   : webrtc_session_open(l->port, &sc, &session_events, l,
					 fake_us, &l->session);
}

/** Its caller; `print`: of the certificate it expects, NULL: the right one. */
static int open_caller(struct line *l, const struct fingerprint *print)
{
	static const struct webrtc_caller_events events = {
		.send = caller_sends,
		.connected = caller_connected,
		.report = caller_report,
		.ended = caller_ended,
	};
	struct addr peers[2];
	const struct webrtc_caller_config c = {
		.id = l->here,
		.local = &l->local,
		.remote_ufrag = l->remote.ufrag,
		.remote_pwd = l->remote.pwd,
		.fingerprint =
			print ? *print : *webrtc_identity_fingerprint(l->there),
		.peers = peers,
		.n_peers = 2,
	};

	at_addr(&peers[0], "192.0.2.99:9"); /* nobody is there */
	peers[1] = l->to;
	return webrtc_caller_open(&c, &events, l, fake_us, &l->caller);
}

static void line_free(struct line *l)
{
	webrtc_caller_close(l->caller);
	webrtc_session_close(l->session);
	webrtc_port_free(l->port);
	input_free(l->in);
	for (size_t i = 0; i < l->n; i++)
		test_free(l->queue[i]);
	webrtc_identity_free(l->here);
	webrtc_identity_free(l->there);
	test_free(l);
}

/** NULL: no memory. */
static struct line *line_make(const struct fingerprint *print)
{
	struct line *l = test_calloc(1, sizeof(*l));

	at_addr(&l->at, "192.0.2.1:5000");
	at_addr(&l->to, "192.0.2.7:40000");
	assert_int_equal(webrtc_credentials_make(&l->local), 0);
	assert_int_equal(webrtc_credentials_make(&l->remote), 0);
	if (!webrtc_identity_new(&l->here) && !webrtc_identity_new(&l->there) &&
	    !open_session(l) && !open_caller(l, print))
		return l;
	line_free(l);
	return NULL;
}

static struct line *line_new(const struct fingerprint *print)
{
	struct line *l = line_make(print);

	assert_non_null(l);
	return l;
}

static void give_caller(struct line *l, const struct addr *from,
			const uint8_t *data, size_t len)
{
	uint8_t *copy = test_malloc(len ? len : 1);
	const struct datagram d = {
		.data = copy, .len = len, .from = from, .arrival_us = fake_us};

	memcpy(copy, data, len);
	webrtc_caller_take(l->caller, &d);
	test_free(copy);
}

static void deliver(struct line *l)
{
	while (l->n) {
		struct letter *x = l->queue[0];
		const struct datagram d = {.data = x->data,
					   .len = x->len,
					   .from = &x->peer,
					   .arrival_us = fake_us};

		memmove(l->queue, l->queue + 1, --l->n * sizeof(l->queue[0]));
		if (x->to_port)
			webrtc_port_take(l->port, &d);
		else
			give_caller(l, &l->to, x->data, x->len);
		test_free(x);
	}
}

static void go_on(struct line *l, int64_t us)
{
	for (; us > 0; us -= WEBRTC_CALLER_TICK_US) {
		fake_us += WEBRTC_CALLER_TICK_US;
		webrtc_caller_tick(l->caller, fake_us);
		if (l->port)
			webrtc_port_tick(l->port, fake_us);
		deliver(l);
	}
}

/** A packet of 20 ms. */
static void say_one(struct line *l)
{
	uint8_t plain[RTP_HEADER_LEN + 1], sealed[WEBRTC_DATAGRAM_MAX];
	size_t len;

	(void)quiet_packet(plain, OPUS, SSRC, l->n_said++, 20000);
	assert_int_equal(webrtc_caller_seal(l->caller, false, plain,
					    sizeof(plain), sealed, &len),
			 0);
	put(l, true, &l->at, sealed, len);
	deliver(l);
}

static void report_one(struct line *l)
{
	const struct rtcp_sender_report r = {.ssrc = SSRC, .packets = 2};
	uint8_t plain[RTCP_SENDER_MAX], sealed[WEBRTC_DATAGRAM_MAX];
	size_t len = rtcp_sender_write(&r, "me", plain);

	assert_int_equal(
		webrtc_caller_seal(l->caller, true, plain, len, sealed, &len),
		0);
	put(l, true, &l->at, sealed, len);
	deliver(l);
}

static uint64_t packets_of(const struct line *l)
{
	struct input_stats st;

	input_stats(l->in, &st);
	return st.packets;
}

/* ---- calling ----------------------------------------------------------------- */

static void it_connects_and_what_it_seals_is_heard_and_reported_on(void **state)
{
	struct line *l = line_new(NULL);
	uint8_t sealed[WEBRTC_DATAGRAM_MAX];
	size_t len;

	(void)state;
	assert_int_equal(
		webrtc_caller_seal(l->caller, false, sealed, 20, sealed, &len),
		ENOTCONN);
	assert_int_equal(webrtc_caller_peer(l->caller)->len, 0);
	assert_null(webrtc_caller_profile(l->caller));
	go_on(l, S_US);
	assert_int_equal(l->n_connected, 1);
	assert_true(addr_is_equal(webrtc_caller_peer(l->caller), &l->to));
	assert_string_equal(webrtc_caller_profile(l->caller),
			    "SRTP_AEAD_AES_128_GCM");
	say_one(l);
	say_one(l);
	assert_int_equal(packets_of(l), 2);
	report_one(l);
	assert_int_equal(l->n_reports, 1);
	assert_int_equal(l->report.lost, 0);
	assert_int_equal(l->n_ended, 0);
	line_free(l);
}

static unsigned lose_one(const struct letter *x, unsigned n, void *arg)
{
	(void)x;
	return n != *(unsigned *)arg;
}

static void a_datagram_of_any_kind_that_is_lost_is_sent_again(void **state)
{
	struct line *l = line_new(NULL);
	unsigned n;

	(void)state;
	go_on(l, S_US);
	n = l->n_carried;
	line_free(l);
	assert_in_range(n, 8, 24);
	for (unsigned at = 0; at < n; at++) {
		l = line_new(NULL);
		l->fate = lose_one;
		l->fate_arg = &at;
		go_on(l, 3 * S_US);
		assert_int_equal(l->n_connected, 1);
		say_one(l);
		assert_int_equal(packets_of(l), 1);
		line_free(l);
	}
}

/** A fifth is lost, a tenth comes twice. */
static unsigned by_chance(const struct letter *x, unsigned n, void *arg)
{
	uint32_t *seed = arg;

	(void)x;
	(void)n;
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % 10 < 2 ? 0 : (*seed >> 8) % 10 == 2 ? 2 : 1;
}

static void with_a_fifth_lost_it_connects_in_time(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= 30; i++) {
		struct line *l = line_new(NULL);
		uint32_t seed = i;

		l->fate = by_chance;
		l->fate_arg = &seed;
		go_on(l, 15 * S_US);
		assert_int_equal(l->n_ended, 0);
		assert_int_equal(l->n_connected, 1);
		line_free(l);
	}
}

/* ---- whom it believes ------------------------------------------------------------ */

static void another_certificate_ends_it(void **state)
{
	struct fingerprint wrong;
	struct webrtc_identity *id;
	struct line *l;

	(void)state;
	assert_int_equal(webrtc_identity_new(&id), 0);
	wrong = *webrtc_identity_fingerprint(id);
	l = line_new(&wrong);
	go_on(l, S_US);
	assert_int_equal(l->n_connected, 0);
	assert_int_equal(l->n_ended, 1);
	assert_int_equal(l->why, WEBRTC_BAD_CERTIFICATE);
	assert_non_null(strstr(webrtc_caller_reason(l->caller), "certificate"));
	line_free(l);
	webrtc_identity_free(id);
}

/** An answer to the check `asked`, as if from `from`, made with `pwd`. */
static void answer_as(struct line *l, const struct letter *asked,
		      const char *from, const char *pwd)
{
	const struct stun_addr seen = {.ip = {192, 0, 2, 1}, .port = 5000};
	uint8_t out[STUN_ANSWER_MAX];
	struct addr at;
	struct stun s;
	size_t len;

	assert_int_equal(stun_parse(asked->data, asked->len, &s), 0);
	len = stun_write_success(&s, &seen, pwd, out);
	at_addr(&at, from);
	give_caller(l, &at, out, len);
}

static void an_answer_must_know_the_password_and_come_from_there(void **state)
{
	struct line *l = line_new(NULL);
	struct letter asked;
	unsigned n;

	(void)state;
	fake_us += S_US;
	webrtc_caller_tick(l->caller, fake_us);
	assert_int_equal(l->n, 1);
	asked = *l->queue[0];
	n = l->n_checks;
	answer_as(l, &asked, "192.0.2.7:40000", "not the password, not at all");
	answer_as(l, &asked, "192.0.2.7:40001", l->remote.pwd);
	answer_as(l, &asked, "192.0.2.99:9", l->remote.pwd);
	assert_int_equal(l->n_checks, n);
	/* the right one is followed by the nomination at once */
	answer_as(l, &asked, "192.0.2.7:40000", l->remote.pwd);
	assert_int_equal(l->n_checks, n + 1);
	assert_int_equal(webrtc_caller_peer(l->caller)->len, 0);
	line_free(l);
}

static void a_check_is_answered_if_it_knows_our_password(void **state)
{
	struct line *l = line_new(NULL);
	char username[64];
	struct stun_made m;
	unsigned n;

	(void)state;
	go_on(l, S_US);
	n = l->n_carried;
	for (int right = 0; right < 2; right++) {
		snprintf(username, sizeof(username), "%s:them", l->local.ufrag);
		made_check(&m, 9, username,
			   right ? l->local.pwd : l->remote.pwd, false);
		give_caller(l, &l->to, m.bytes, m.len);
		assert_int_equal(l->n_carried, n + (unsigned)right);
	}
	made_check(&m, 9, "somebody:else", l->local.pwd, false);
	give_caller(l, &l->to, m.bytes, m.len);
	assert_int_equal(l->n_carried, n + 1);
	line_free(l);
}

static void junk_disturbs_nothing(void **state)
{
	struct line *l = line_new(NULL);
	uint8_t junk[WEBRTC_DATAGRAM_MAX] = {0};
	struct addr stranger;

	(void)state;
	at_addr(&stranger, "192.0.2.50:50");
	for (int round = 0; round < 2; round++) {
		for (unsigned first = 0; first < 256; first++) {
			junk[0] = (uint8_t)first;
			junk[1] = 200;
			give_caller(l, &stranger, junk, sizeof(junk));
			give_caller(l, &l->to, junk, first);
			give_caller(l, &l->to, junk, sizeof(junk));
		}
		go_on(l, S_US);
		assert_int_equal(l->n_connected, 1);
		assert_int_equal(l->n_ended, 0);
	}
	say_one(l);
	assert_int_equal(packets_of(l), 1);
	report_one(l);
	assert_int_equal(l->n_reports, 1);
	line_free(l);
}

/* ---- how it ends -------------------------------------------------------------------- */

static void without_an_answer_it_ends_after_ten_seconds(void **state)
{
	struct line *l = line_new(NULL);

	(void)state;
	l->no_port = true;
	go_on(l, WEBRTC_CALLER_CHECK_US - WEBRTC_CALLER_TICK_US);
	assert_int_equal(l->n_ended, 0);
	assert_in_range(l->n_checks, 2 * 6, 2 * 12);
	go_on(l, WEBRTC_CALLER_TICK_US);
	assert_int_equal(l->n_ended, 1);
	assert_int_equal(l->why, WEBRTC_NO_CHECK);
	go_on(l, S_US);
	assert_int_equal(l->n_ended, 1);
	line_free(l);
}

static unsigned lose_dtls(const struct letter *x, unsigned n, void *arg)
{
	(void)n;
	(void)arg;
	return !dtls_is_likely(x->data[0]);
}

static void without_a_handshake_it_ends_after_ten_seconds(void **state)
{
	struct line *l = line_new(NULL);

	(void)state;
	l->fate = lose_dtls;
	go_on(l, WEBRTC_CALLER_SHAKE_US - S_US);
	assert_int_equal(l->n_ended, 0);
	go_on(l, 2 * S_US);
	assert_int_equal(l->n_ended, 1);
	assert_int_equal(l->why, WEBRTC_NO_HANDSHAKE);
	line_free(l);
}

static void consent_is_asked_for_and_without_it_it_ends(void **state)
{
	struct line *l = line_new(NULL);
	unsigned n;

	(void)state;
	go_on(l, S_US);
	n = l->n_checks;
	go_on(l, 60 * S_US);
	assert_int_equal(l->n_ended, 0);
	assert_in_range(l->n_checks - n, 10, 15);
	l->no_port = true;
	go_on(l, 24 * S_US - S_US);
	assert_int_equal(l->n_ended, 0);
	go_on(l, 8 * S_US);
	assert_int_equal(l->n_ended, 1);
	assert_int_equal(l->why, WEBRTC_NO_CONSENT);
	line_free(l);
}

static void either_side_may_say_that_it_is_over(void **state)
{
	struct webrtc_session_stats st;
	struct line *l = line_new(NULL);

	(void)state;
	go_on(l, S_US);
	webrtc_session_close(l->session);
	l->session = NULL;
	deliver(l);
	assert_int_equal(l->n_ended, 1);
	assert_int_equal(l->why, WEBRTC_BYE);
	line_free(l);

	l = line_new(NULL);
	go_on(l, S_US);
	webrtc_caller_close(l->caller);
	l->caller = NULL;
	deliver(l);
	webrtc_session_stats(l->session, &st);
	assert_true(st.has_ended);
	assert_int_equal(st.why, WEBRTC_BYE);
	line_free(l);
}

/* ---- a peer that begins with DTLS ------------------------------------------------------ */

/** Two callers: the one that is awaited there knows no address. */
struct two {
	struct webrtc_identity *id[2];
	struct webrtc_credentials ice[2];
	struct webrtc_caller *caller[2];
	struct addr at[2];
	struct end {
		struct two *two;
		int i;
		unsigned n_connected, n_ended, n_reports;
	} ends[2];
	struct letter *queue[QUEUE_MAX];
	size_t n;
};

static void two_send(const struct addr *to, const uint8_t *data, size_t len,
		     void *arg)
{
	struct end *e = arg;
	struct letter *x = test_malloc(sizeof(*x));

	assert_true(addr_is_equal(to, &e->two->at[!e->i]));
	*x = (struct letter){.to_port = e->i == 0, .len = len};
	memcpy(x->data, data, len);
	assert_true(e->two->n < QUEUE_MAX);
	e->two->queue[e->two->n++] = x;
}

static void two_connected(void *arg)
{
	((struct end *)arg)->n_connected++;
}

static void two_report(const uint8_t *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	((struct end *)arg)->n_reports++;
}

static void two_ended(enum webrtc_end why, void *arg)
{
	(void)why;
	((struct end *)arg)->n_ended++;
}

static void two_open(struct two *t, int i, bool is_awaited, size_t n_peers)
{
	static const struct webrtc_caller_events events = {
		.send = two_send,
		.connected = two_connected,
		.report = two_report,
		.ended = two_ended,
	};
	const struct webrtc_caller_config c = {
		.id = t->id[i],
		.local = &t->ice[i],
		.remote_ufrag = t->ice[!i].ufrag,
		.remote_pwd = t->ice[!i].pwd,
		.fingerprint = *webrtc_identity_fingerprint(t->id[!i]),
		.is_awaited = is_awaited,
		.peers = &t->at[!i],
		.n_peers = n_peers,
	};

	t->ends[i] = (struct end){.two = t, .i = i};
	assert_int_equal(webrtc_caller_open(&c, &events, &t->ends[i], fake_us,
					    &t->caller[i]),
			 0);
}

static void two_go_on(struct two *t, int64_t us)
{
	for (; us > 0; us -= WEBRTC_CALLER_TICK_US) {
		fake_us += WEBRTC_CALLER_TICK_US;
		for (int i = 0; i < 2; i++)
			webrtc_caller_tick(t->caller[i], fake_us);
		while (t->n) {
			struct letter *x = t->queue[0];
			const int to = x->to_port;
			const struct datagram d = {.data = x->data,
						   .len = x->len,
						   .from = &t->at[!to],
						   .arrival_us = fake_us};

			memmove(t->queue, t->queue + 1,
				--t->n * sizeof(t->queue[0]));
			webrtc_caller_take(t->caller[to], &d);
			test_free(x);
		}
	}
}

static void it_waits_for_a_peer_that_begins_and_finds_it_by_its_checks(
	void **state)
{
	const uint8_t rr[8] = {0x80, 201, 0, 1, 1, 2, 3, 4};
	uint8_t sealed[64];
	struct two t = {0};
	size_t len;

	(void)state;
	at_addr(&t.at[0], "192.0.2.1:1000");
	at_addr(&t.at[1], "[2001:db8::2]:2000");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(webrtc_identity_new(&t.id[i]), 0);
		assert_int_equal(webrtc_credentials_make(&t.ice[i]), 0);
	}
	two_open(&t, 0, false, 1);
	two_open(&t, 1, true, 0);
	two_go_on(&t, 3 * S_US);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(t.ends[i].n_connected, 1);
		assert_int_equal(t.ends[i].n_ended, 0);
		assert_int_equal(webrtc_caller_seal(t.caller[i], true, rr,
						    sizeof(rr), sealed, &len),
				 0);
		two_send(&t.at[!i], sealed, len, &t.ends[i]);
	}
	two_go_on(&t, WEBRTC_CALLER_TICK_US);
	for (int i = 0; i < 2; i++)
		assert_int_equal(t.ends[i].n_reports, 1);
	for (int i = 0; i < 2; i++) {
		webrtc_caller_close(t.caller[i]);
		webrtc_identity_free(t.id[i]);
	}
	for (size_t i = 0; i < t.n; i++)
		test_free(t.queue[i]);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void call_once(void)
{
	struct line *l = line_make(NULL);

	if (!l)
		return;
	go_on(l, 200 * 1000);
	line_free(l);
}

static void without_memory_it_ends_and_leaves_nothing(void **state)
{
	(void)state;
	OOM_SWEEP(call_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			it_connects_and_what_it_seals_is_heard_and_reported_on),
		cmocka_unit_test(
			a_datagram_of_any_kind_that_is_lost_is_sent_again),
		cmocka_unit_test(with_a_fifth_lost_it_connects_in_time),
		cmocka_unit_test(another_certificate_ends_it),
		cmocka_unit_test(
			an_answer_must_know_the_password_and_come_from_there),
		cmocka_unit_test(a_check_is_answered_if_it_knows_our_password),
		cmocka_unit_test(junk_disturbs_nothing),
		cmocka_unit_test(without_an_answer_it_ends_after_ten_seconds),
		cmocka_unit_test(without_a_handshake_it_ends_after_ten_seconds),
		cmocka_unit_test(consent_is_asked_for_and_without_it_it_ends),
		cmocka_unit_test(either_side_may_say_that_it_is_over),
		cmocka_unit_test(
			it_waits_for_a_peer_that_begins_and_finds_it_by_its_checks),
		cmocka_unit_test(without_memory_it_ends_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
