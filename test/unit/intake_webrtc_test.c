/** test/unit/intake_webrtc_test.c -- WebRTC sessions: checks, paths, packets
 *  and ends. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "oom.h"
#include "webrtc_aid.h"

static void a_peer_joins_and_is_heard(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	join(p);
	assert_true(p->done);
	assert_int_equal(p->n_connected, 1);
	assert_string_equal(stats(p).srtp_profile, "SRTP_AEAD_AES_128_GCM");
	for (int i = 0; i < 50; i++) {
		say(p);
		fake_us += 20000;
	}
	assert_int_equal(heard(p).packets, 50);
	assert_int_equal(stats(p).packets, 50);
	input_flush(p->in, INT64_MAX);
	assert_int_equal(ear_sum(&p->ear, CHUNK_SOUND), 50 * 20 * MS);
	assert_int_equal(p->n_ended, 0);
	rig_free(r);
}

static bool is_at(const struct peer *p, const struct addr *a)
{
	const struct webrtc_session_stats st = stats(p);

	return addr_is_equal(&st.peer, a);
}

static bool is_heard_from(const struct peer *p, const struct addr *a)
{
	const struct input_stats st = heard(p);

	return addr_is_equal(&st.sender, a);
}

/* ---- checks ------------------------------------------------------------------------- */

/** What the port sent for these bytes from there. */
static unsigned sent_for(struct rig *r, const struct addr *from,
			 const void *data, size_t len)
{
	const unsigned before = r->n_sent;

	give(r, from, data, len);
	return r->n_sent - before;
}

static void a_stranger_gets_no_answer_whatever_it_sends(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct peer *q = peer_new(r, "192.0.2.2:5000", NULL, NULL);
	const int64_t bad = counter_get(COUNT_webrtc_bad);
	const int64_t strange = counter_get(COUNT_webrtc_strangers);
	uint8_t sealed[WEBRTC_DATAGRAM_MAX];
	char name[64];
	struct addr from;
	struct stun_made m;
	size_t len;

	(void)state;
	join(p);
	at_addr(&from, "192.0.2.66:6666");
	/* a check with a wrong password, name, or none; a hello; a packet */
	snprintf(name, sizeof(name), "%s:theirs", p->local.ufrag);
	made_check(&m, 1, name, "not the password of it", true);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	made_check(&m, 1, "nobody:theirs", p->local.pwd, true);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	snprintf(name, sizeof(name), "%s:others", p->local.ufrag);
	made_check(&m, 1, name, p->local.pwd, true);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	made_check(&m, 1, p->local.ufrag, p->local.pwd, true);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	snprintf(name, sizeof(name), "%s:theirs", p->local.ufrag);
	made_begin(&m, STUN_BINDING, 1);
	made_add(&m, 0x0006, name, strlen(name));
	made_seal(&m);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	made_begin(&m, STUN_BINDING, 1);
	made_seal(&m);
	assert_int_equal(sent_for(r, &from, m.bytes, m.len), 0);
	peer_shake(q);
	assert_int_equal(r->n, 1);
	assert_int_equal(
		sent_for(r, &from, r->queue[0]->data, r->queue[0]->len), 0);
	len = next_packet(p, sealed);
	assert_int_equal(sent_for(r, &from, sealed, len), 0);
	assert_int_equal(counter_get(COUNT_webrtc_strangers), strange + 8);
	assert_int_equal(counter_get(COUNT_webrtc_bad), bad);
	/* what is neither */
	assert_int_equal(sent_for(r, &from, "", 0), 0);
	assert_int_equal(sent_for(r, &from, "\1\1\0\0", 4), 0);
	assert_int_equal(sent_for(r, &p->at, "GET / HTTP/1.1", 14), 0);
	assert_int_equal(counter_get(COUNT_webrtc_bad), bad + 3);
	/* indications and answers want no answer, from nobody */
	made_begin(&m, 0x0011, 1);
	made_seal(&m);
	assert_int_equal(sent_for(r, &p->at, m.bytes, m.len), 0);
	made_begin(&m, 0x0101, 1);
	made_seal(&m);
	assert_int_equal(sent_for(r, &p->at, m.bytes, m.len), 0);
	/* all the same, the peer goes on */
	say(p);
	assert_int_equal(heard(p).packets, 1);
	rig_free(r);
}

static void who_has_proved_itself_is_told_its_fault(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	static const uint8_t tie[8];
	struct stun_made m;
	char name[64];

	(void)state;
	check(p);
	check_as(p, "not the password of it", true);
	assert_int_equal(p->last_error, 401);
	made_begin(&m, STUN_BINDING, 9);
	made_seal(&m);
	assert_int_equal(sent_for(r, &p->at, m.bytes, m.len), 1);
	carry(r);
	assert_int_equal(p->last_error, 400);
	/* these two also to an address that is new */
	at_addr(&p->at, "192.0.2.1:5001");
	snprintf(name, sizeof(name), "%s:theirs", p->local.ufrag);
	made_begin(&m, STUN_BINDING, 9);
	made_add(&m, 0x0006, name, strlen(name));
	made_add(&m, 0x0077, "x", 1);
	made_sign(&m, p->local.pwd);
	made_seal(&m);
	assert_int_equal(sent_for(r, &p->at, m.bytes, m.len), 1);
	carry(r);
	assert_int_equal(p->last_error, 420);
	made_begin(&m, STUN_BINDING, 9);
	made_add(&m, 0x0006, name, strlen(name));
	made_add(&m, 0x8029, tie, sizeof(tie)); /* ICE-CONTROLLED */
	made_sign(&m, p->local.pwd);
	made_seal(&m);
	assert_int_equal(sent_for(r, &p->at, m.bytes, m.len), 1);
	carry(r);
	assert_int_equal(p->last_error, 487);
	assert_int_equal(p->n_success, 1);
	assert_int_equal(stats(p).moves, 0);
	/* no DTLS with an address whose checks were at fault */
	peer_shake(p);
	carry(r);
	assert_false(p->done);
	assert_int_equal(p->n_error, 4);
	rig_free(r);
}

static void the_answer_is_no_longer_than_the_check(void **state)
{
	static const char *const at[] = {"192.0.2.1:5000",
					 "[2001:db8::1]:5000"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct rig *r = rig_new(NULL);
		struct peer *p = peer_new(r, at[i], NULL, NULL);

		check(p);
		assert_int_equal(p->n_success, 1);
		/* header, USERNAME, PRIORITY, ICE-CONTROLLING, INTEGRITY,
		 * FINGERPRINT */
		assert_true(r->largest <= 20 + 20 + 8 + 12 + 24 + 8);
		rig_free(r);
	}
}

static void a_peer_on_ipv6_joins_too(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "[2001:db8::1]:5000", NULL, NULL);

	(void)state;
	join(p);
	say(p);
	assert_int_equal(heard(p).packets, 1);
	rig_free(r);
}

/* ---- paths --------------------------------------------------------------------------- */

static void a_peer_that_moves_is_followed_and_its_run_goes_on(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	const int64_t strange = counter_get(COUNT_webrtc_strangers);

	(void)state;
	join(p);
	say(p);
	at_addr(&p->at, "198.51.100.9:6000");
	say(p); /* before the check its keys tell that it is its own */
	assert_int_equal(heard(p).packets, 2);
	assert_true(is_heard_from(p, &p->at));
	assert_false(is_at(p, &p->at));
	assert_int_equal(counter_get(COUNT_webrtc_strangers), strange);
	check(p);
	assert_int_equal(p->n_success, 2);
	say(p);
	say(p);
	assert_int_equal(heard(p).packets, 4);
	assert_true(is_at(p, &p->at));
	assert_int_equal(stats(p).moves, 1);
	/* none is lost, and there is no other run: nothing jumped */
	fake_us += 2 * S_US;
	input_advance(p->in, fake_us);
	assert_int_equal(heard(p).lost, 0);
	assert_int_equal(heard(p).stranger, 0);
	assert_int_equal(p->n_connected, 1);
	assert_int_equal(p->n_ended, 0);
	rig_free(r);
}

/* All peers of this file have one SSRC: only their keys are not the same. */
static void a_peer_that_moves_speaks_for_nobody_else(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *a = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct peer *b = peer_new(r, "192.0.2.2:5000", NULL, NULL);

	(void)state;
	join(a);
	say(a);
	join(b);
	say(b);
	at_addr(&b->at, "198.51.100.9:6000");
	say(b);
	assert_int_equal(heard(a).packets, 1);
	assert_int_equal(heard(b).packets, 1);
	assert_int_equal(stats(a).refused, 1);
	check(b);
	say(b);
	assert_int_equal(heard(b).packets, 2);
	rig_free(r);
}

static void only_a_nomination_or_silence_moves_where_we_send(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct addr first = p->at;

	(void)state;
	check(p);
	at_addr(&p->at, "192.0.2.1:5001");
	check_as(p, p->local.pwd, false);
	assert_int_equal(p->n_success, 2);
	assert_true(is_at(p, &first));
	check_as(p, p->local.pwd, true);
	assert_true(is_at(p, &p->at));
	/* the one we send to falls silent: another is followed */
	p->at = first;
	for (int i = 0; i < 3; i++) {
		pass(r, 5 * S_US);
		check_as(p, p->local.pwd, false);
	}
	assert_true(is_at(p, &first));
	assert_int_equal(stats(p).moves, 2);
	rig_free(r);
}

static void paths_are_bounded_and_the_one_in_use_stays(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct addr first = p->at;

	(void)state;
	join(p);
	for (int i = 1; i < 5 * WEBRTC_PATHS; i++) {
		addr_set_port(&p->at, (uint16_t)(5000 + i));
		check_as(p, p->local.pwd, false);
		assert_true(r->port->paths.n <= WEBRTC_PATHS);
	}
	assert_int_equal(r->port->paths.n, WEBRTC_PATHS);
	assert_true(is_at(p, &first));
	say(p); /* from the last of them */
	p->at = first;
	say(p);
	assert_int_equal(heard(p).packets, 2);
	rig_free(r);
}

static void an_address_is_one_sessions_until_it_is_silent(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct peer *q = peer_new(r, "192.0.2.1:5999", NULL, NULL);

	(void)state;
	join(p);
	/* q has its own credentials, and takes p's address */
	addr_set_port(&q->at, 5000);
	r->n_peers = 1; /* what comes is p's */
	p->at.len = q->at.len;
	check(q);
	assert_int_equal(q->n_success + p->n_error, 0);
	say(p);
	assert_int_equal(heard(p).packets, 1);
	/* p's process has died; its port is given to q's */
	pass(r, 13 * S_US);
	p->at.len = 0;
	r->n_peers = 2;
	check(q);
	assert_int_equal(q->n_success, 1);
	assert_true(is_at(q, &q->at));
	rig_free(r);
}

/* ---- time ------------------------------------------------------------------------------ */

static void without_a_sign_of_life_the_consent_ends(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	const int64_t n = counter_get(COUNT_webrtc_no_consent);
	uint8_t old[WEBRTC_DATAGRAM_MAX], forged[WEBRTC_DATAGRAM_MAX];
	size_t len;

	(void)state;
	join(p);
	len = next_packet(p, old);
	give(r, &p->at, old, len);
	for (int i = 0; i < 4; i++) { /* checks keep it for 100 s */
		pass(r, 25 * S_US);
		check(p);
	}
	assert_int_equal(p->n_ended, 0);
	/* what has come before, or is forged, is no sign of life */
	(void)next_packet(p, forged);
	forged[len - 1] ^= 1;
	for (int i = 0; i < 29; i++) {
		pass(r, S_US);
		give(r, &p->at, old, len);
		give(r, &p->at, forged, len);
	}
	assert_int_equal(p->n_ended, 0);
	/* bad credentials are none either */
	check_as(p, "not the password of it", true);
	pass(r, 2 * S_US);
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_NO_CONSENT);
	assert_int_equal(counter_get(COUNT_webrtc_no_consent), n + 1);
	/* it is a stranger now, also with the right credentials */
	assert_int_equal(heard(p).packets, 1);
	say(p);
	check(p);
	assert_int_equal(heard(p).packets, 1);
	assert_int_equal(p->n_success, 5);
	assert_true(stats(p).has_ended && !stats(p).is_connected);
	assert_int_equal(
		r->port->paths.n + r->port->names.n + r->port->speakers.n, 0);
	pass(r, 60 * S_US);
	assert_int_equal(p->n_ended, 1);
	rig_free(r);
}

/** As GStreamer sends: libnice checks no more once it is connected. */
static void packets_alone_keep_a_session_and_its_path(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	uint8_t sr[28] = {0x80, 200, 0, 6, SSRC >> 24 & 255, 2, 3, 4, 1};
	uint8_t sealed[WEBRTC_DATAGRAM_MAX];
	struct addr first = p->at;
	size_t len;

	(void)state;
	join(p);
	for (int i = 0; i < 50; i++) {
		pass(r, 2 * S_US);
		say(p);
	}
	assert_int_equal(p->n_ended, 0);
	assert_int_equal(heard(p).packets, 50);
	/* so it is not given up for another that is checked */
	at_addr(&p->at, "192.0.2.1:5001");
	check_as(p, p->local.pwd, false);
	assert_true(is_at(p, &first));
	p->at = first;
	/* who is silent reports all the same */
	for (int i = 0; i < 12; i++) {
		pass(r, 5 * S_US);
		assert_int_equal(
			srtcp_protect(p->seal, sr, sizeof(sr), sealed, &len),
			0);
		give(r, &p->at, sealed, len);
		carry(r);
	}
	assert_int_equal(p->n_ended, 0);
	assert_int_equal(p->n_reports, 12);
	pass(r, 31 * S_US);
	assert_int_equal(p->why, WEBRTC_NO_CONSENT);
	rig_free(r);
}

static void nobody_comes(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	pass(r, 29 * S_US);
	assert_int_equal(p->n_ended, 0);
	pass(r, 2 * S_US);
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_NO_CHECK);
	assert_int_equal(r->n_sent, 0);
	rig_free(r);
}

static void checks_alone_do_not_keep_it_open(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	for (int i = 0; i < 31 && !p->n_ended; i++) {
		check(p);
		pass(r, S_US);
	}
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_NO_HANDSHAKE);
	rig_free(r);
}

static void a_path_that_is_not_checked_any_more_is_given_up(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct addr first = p->at;

	(void)state;
	join(p);
	at_addr(&p->at, "192.0.2.1:5001");
	for (int i = 0; i < 7; i++) {
		check(p);
		pass(r, 5 * S_US);
	}
	assert_int_equal(r->port->paths.n, 1);
	say(p);
	p->at = first; /* what comes from there is heard, not answered */
	assert_false(is_at(p, &first));
	say(p);
	assert_int_equal(heard(p).packets, 2);
	assert_false(is_at(p, &first));
	assert_int_equal(r->port->paths.n, 1);
	assert_int_equal(p->n_ended, 0);
	rig_free(r);
}

/* ---- restart ---------------------------------------------------------------------------- */

static void a_restart_changes_names_and_nothing_else(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct webrtc_credentials old, new;

	(void)state;
	join(p);
	say(p);
	old = p->local;
	assert_int_equal(webrtc_session_restart(p->session, &old, "theirs"),
			 EEXIST);
	assert_int_equal(webrtc_credentials_make(&new), 0);
	assert_int_equal(webrtc_session_restart(p->session, &new, "abc"),
			 EINVAL);
	assert_int_equal(webrtc_session_restart(p->session, &new, "other"), 0);
	check(p); /* the peer has not heard of it yet */
	assert_int_equal(p->n_success, 2);
	p->local = new;
	memcpy(p->remote_ufrag, "other", 6);
	at_addr(&p->at, "192.0.2.1:5001");
	check(p);
	assert_int_equal(p->n_success, 3);
	say(p);
	assert_int_equal(heard(p).packets, 2);
	assert_int_equal(p->n_connected, 1);
	/* from now on the old ones are wrong */
	p->local = old;
	memcpy(p->remote_ufrag, "theirs", 7);
	check(p);
	assert_int_equal(p->n_success, 3);
	assert_int_equal(p->last_error, 401);
	assert_int_equal(r->port->names.n, 1);
	rig_free(r);
}

static void two_restarts_in_a_row_leave_what_works(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct webrtc_credentials second, third;

	(void)state;
	join(p);
	assert_int_equal(webrtc_credentials_make(&second), 0);
	assert_int_equal(webrtc_credentials_make(&third), 0);
	assert_int_equal(webrtc_session_restart(p->session, &second, "theirs"),
			 0);
	assert_int_equal(webrtc_session_restart(p->session, &third, "theirs"),
			 0);
	check(p);
	assert_int_equal(p->n_success, 2);
	p->local = third;
	check(p);
	assert_int_equal(p->n_success, 3);
	assert_int_equal(r->port->names.n, 1);
	rig_free(r);
}

/* ---- packets ------------------------------------------------------------------------------ */

static void a_senders_report_is_answered_under_seal(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	uint8_t sr[28] = {0x80, 200, 0, 6, SSRC >> 24 & 255, 2, 3, 4, 1};
	uint8_t sealed[WEBRTC_DATAGRAM_MAX];
	size_t len;

	(void)state;
	join(p);
	say(p);
	assert_int_equal(srtcp_protect(p->seal, sr, sizeof(sr), sealed, &len),
			 0);
	enqueue(r, true, &p->at, sealed, len);
	carry(r);
	assert_int_equal(p->n_reports, 1);
	assert_true(p->report.has_ssrc);
	assert_int_equal(heard(p).sr_ssrc, SSRC);
	/* the same once more has come before */
	give(r, &p->at, sealed, len);
	assert_int_equal(stats(p).replayed, 1);
	assert_int_equal(stats(p).packets, 2);
	/* after a move it goes to the new address */
	at_addr(&p->at, "192.0.2.1:5001");
	check(p);
	fake_us += 2 * S_US;
	assert_int_equal(srtcp_protect(p->seal, sr, sizeof(sr), sealed, &len),
			 0);
	enqueue(r, true, &p->at, sealed, len);
	carry(r);
	assert_int_equal(p->n_reports, 2);
	rig_free(r);
}

static void what_is_forged_replayed_or_not_sound_is_counted(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	uint8_t sealed[WEBRTC_DATAGRAM_MAX];
	struct tally before;
	size_t len;

	(void)state;
	join(p);
	len = next_packet(p, sealed);
	before = tally_now();
	sealed[len - 1] ^= 1;
	give(r, &p->at, sealed, len);
	expect_only(&before, COUNT_srtp_refused, 1);
	sealed[len - 1] ^= 1;
	give(r, &p->at, sealed, len);
	assert_int_equal(heard(p).packets, 1);
	before = tally_now();
	give(r, &p->at, sealed, len);
	expect_only(&before, COUNT_srtp_replayed, 1);
	before = tally_now();
	give(r, &p->at, sealed, 1);
	expect_only(&before, COUNT_webrtc_other, 1);
	before = tally_now();
	give(r, &p->at, sealed, 12); /* no room for a tag */
	expect_only(&before, COUNT_srtp_refused, 1);
	before = tally_now();
	sealed[1] = 96; /* some video */
	give(r, &p->at, sealed, len);
	expect_only(&before, COUNT_webrtc_other, 1);
	assert_int_equal(stats(p).packets, 1);
	assert_int_equal(stats(p).refused, 2);
	assert_int_equal(stats(p).replayed, 1);
	assert_int_equal(stats(p).other, 2);
	rig_free(r);
}

static void packets_before_the_handshake_are_dropped(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	static const uint8_t packet[40] = {0x80, OPUS};
	struct tally before;

	(void)state;
	check(p);
	before = tally_now();
	give(r, &p->at, packet, sizeof(packet));
	expect_only(&before, COUNT_webrtc_early, 1);
	before = tally_now();
	give(r, &p->at, "\26\376\375 no hello", 12);
	expect_only(&before, COUNT_webrtc_bad, 1);
	rig_free(r);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void the_peer_says_goodbye(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);

	(void)state;
	join(p);
	(void)SSL_shutdown(p->ssl);
	carry(r);
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_BYE);
	say(p);
	check(p);
	assert_int_equal(heard(p).packets, 0);
	assert_int_equal(p->n_success, 1);
	rig_free(r);
}

static void a_close_is_told_to_the_peer(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	unsigned sent;

	(void)state;
	join(p);
	assert_false(p->closed);
	webrtc_session_close(p->session);
	p->session = NULL;
	carry(r);
	assert_true(p->closed);
	assert_int_equal(p->n_ended, 0);
	assert_int_equal(r->port->n_sessions, 0);
	/* nothing is known of it any more */
	sent = r->n_sent;
	check(p);
	say(p);
	assert_int_equal(r->n_sent, sent);
	webrtc_session_close(NULL);
	rig_free(r);
}

static void each_end_has_a_name(void **state)
{
	(void)state;
	for (int i = WEBRTC_BYE; i <= WEBRTC_NO_MEMORY; i++) {
		for (int k = WEBRTC_BYE; k < i; k++)
			assert_string_not_equal(
				webrtc_end_name((enum webrtc_end)i),
				webrtc_end_name((enum webrtc_end)k));
		assert_true(*webrtc_end_name((enum webrtc_end)i));
	}
}

/* ---- bounds ------------------------------------------------------------------------------------ */

static void sessions_are_bounded_and_their_names_differ(void **state)
{
	struct webrtc_limits limits = webrtc_limits_usual;
	struct webrtc_credentials cred;
	struct webrtc_session *s;
	struct tally before;
	struct rig *r;
	struct peer *p;
	struct webrtc_session_config c = {
		.local = &cred, .remote_ufrag = "theirs", .opus_pt = OPUS};

	(void)state;
	limits.sessions = 2;
	r = rig_new(&limits);
	p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	c.in = p->in;
	cred = p->local;
	assert_int_equal(
		webrtc_session_open(r->port, &c, &peer_events, p, fake_us, &s),
		EEXIST);
	assert_int_equal(webrtc_credentials_make(&cred), 0);
	c.remote_ufrag = "abc";
	assert_int_equal(
		webrtc_session_open(r->port, &c, &peer_events, p, fake_us, &s),
		EINVAL);
	c.remote_ufrag = "theirs";
	(void)peer_new(r, "192.0.2.2:5000", NULL, NULL);
	before = tally_now();
	assert_int_equal(
		webrtc_session_open(r->port, &c, &peer_events, p, fake_us, &s),
		ENOBUFS);
	expect_only(&before, COUNT_webrtc_full, 1);
	assert_int_equal(r->port->n_sessions, 2);
	rig_free(r);
}

static void handshakes_are_bounded_and_go_on_when_one_has_ended(void **state)
{
	static const char *const at[] = {"192.0.2.1:5000", "192.0.2.1:5001",
					 "192.0.2.1:5002", "192.0.2.2:5000",
					 "192.0.2.3:5000"};
	struct webrtc_limits limits = webrtc_limits_usual;
	const int64_t dropped = counter_get(COUNT_webrtc_handshakes_dropped);
	struct peer *p[ARRAY_LEN(at)];
	struct rig *r;

	(void)state;
	limits.handshakes = 3;
	limits.handshakes_per_host = 2;
	r = rig_new(&limits);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		p[i] = peer_new(r, at[i], NULL, NULL);
		check(p[i]);
	}
	/* their hellos come; what is answered is lost */
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct letter *l;

		peer_shake(p[i]);
		l = r->queue[--r->n];
		give(r, &p[i]->at, l->data, l->len);
		test_free(l);
		while (r->n)
			test_free(r->queue[--r->n]);
		/* the third of one host is one too many, and so is the
		 * fourth of all */
		assert_int_equal(r->port->n_shaking, i < 2   ? i + 1
						     : i < 3 ? 2
							     : 3);
	}
	assert_int_equal(counter_get(COUNT_webrtc_handshakes_dropped),
			 dropped + 2);
	/* they send again, and come through when others are done */
	pass(r, 8 * S_US);
	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		assert_true(p[i]->done);
	assert_int_equal(r->port->n_shaking, 0);
	rig_free(r);
}

static void one_network_of_ipv6_is_one_host(void **state)
{
	static const char *const at[] = {"[2001:db8:0:1::1]:5000",
					 "[2001:db8:0:1:ffff::2]:5000",
					 "[2001:db8:0:2::1]:5000"};
	struct webrtc_limits limits = webrtc_limits_usual;
	struct rig *r;

	(void)state;
	limits.handshakes_per_host = 1;
	r = rig_new(&limits);
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct peer *p = peer_new(r, at[i], NULL, NULL);
		struct letter *l;

		check(p);
		peer_shake(p);
		l = r->queue[--r->n];
		give(r, &p->at, l->data, l->len);
		test_free(l);
		while (r->n)
			test_free(r->queue[--r->n]);
		assert_int_equal(r->port->n_shaking, i < 2 ? 1 : 2);
	}
	rig_free(r);
}

static void a_flood_of_hellos_makes_one_handshake(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	struct letter *hello;

	(void)state;
	check(p);
	peer_shake(p);
	hello = r->queue[--r->n];
	for (int i = 0; i < 1000; i++)
		give(r, &p->at, hello->data, hello->len);
	assert_int_equal(r->port->n_shaking, 1);
	/* a flight or two, not a thousand */
	assert_in_range(r->n_sent, 1, 8);
	test_free(hello);
	carry(r);
	pass(r, S_US);
	assert_true(p->done);
	rig_free(r);
}

static void a_handshake_that_does_not_go_on_ends(void **state)
{
	struct rig *r = rig_new(NULL);
	struct peer *p = peer_new(r, "192.0.2.1:5000", NULL, NULL);
	const int64_t failed = counter_get(COUNT_webrtc_handshakes_failed);
	struct letter *hello;

	(void)state;
	check(p);
	peer_shake(p);
	hello = r->queue[--r->n];
	give(r, &p->at, hello->data, hello->len);
	test_free(hello);
	p->failed = true; /* it does nothing more */
	r->n_peers = 0;
	pass(r, 9 * S_US);
	assert_int_equal(p->n_ended, 0);
	pass(r, 2 * S_US);
	r->n_peers = 1;
	assert_int_equal(p->n_ended, 1);
	assert_int_equal(p->why, WEBRTC_NO_HANDSHAKE);
	assert_int_equal(counter_get(COUNT_webrtc_handshakes_failed),
			 failed + 1);
	assert_int_equal(r->port->n_shaking, 0);
	/* it was sent again some times, and all of it is little */
	assert_true(r->bytes_sent < 16000);
	rig_free(r);
}

static void use_it(void)
{
	struct webrtc_identity *id = NULL;
	struct webrtc_port *port = NULL;
	struct webrtc_session *s = NULL;
	struct webrtc_credentials cred;
	struct input *in = NULL;
	const struct input_config ic = {.window_us = WINDOW_US,
					.is_authentic = true};
	struct webrtc_session_config c = {
		.local = &cred, .remote_ufrag = "theirs", .opus_pt = OPUS};
	static struct ear ear;

	assert_int_equal(webrtc_credentials_make(&cred), 0);
	if (webrtc_identity_new(&id) ||
	    webrtc_port_new(id, &webrtc_limits_usual, on_send, NULL, &port) ||
	    input_new(&ic, &ear_events, &ear, &in))
		goto out;
	c.in = in;
	if (webrtc_session_open(port, &c, &peer_events, NULL, fake_us, &s))
		goto out;
	assert_int_equal(webrtc_credentials_make(&cred), 0);
	if (webrtc_session_restart(s, &cred, "theirs"))
		assert_int_equal(port->names.n, 1);
out:
	webrtc_session_close(s);
	input_free(in);
	webrtc_port_free(port);
	webrtc_identity_free(id);
}

static void without_memory_nothing_is_half_open(void **state)
{
	(void)state;
	OOM_SWEEP(use_it);
}

/** Checks, handshake and packets; each is tried again once. */
static void short_of_memory(void)
{
	struct rig *r = test_calloc(1, sizeof(*r));
	struct peer *p = NULL;

	if (webrtc_identity_new(&r->id) == 0 &&
	    webrtc_port_new(r->id, &webrtc_limits_usual, on_send, r,
			    &r->port) == 0)
		p = peer_make(r, "192.0.2.1:5000", NULL, NULL);
	if (p) {
		check(p);
		check(p);
		assert_true(p->n_success > 0);
		peer_shake(p);
		carry(r);
		if (p->n_ended)
			assert_int_equal(p->why, WEBRTC_NO_MEMORY);
		else
			assert_true(p->done && p->n_connected == 1);
		if (!p->n_ended && p->seal) {
			say(p);
			say(p);
			assert_true(heard(p).packets > 0);
		}
		assert_true(p->seal || mem_fail_happened());
	}
	rig_free(r);
}

static void memory_that_is_short_ends_a_session_or_a_packet(void **state)
{
	(void)state;
	OOM_SWEEP(short_of_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_joins_and_is_heard),
		cmocka_unit_test(a_stranger_gets_no_answer_whatever_it_sends),
		cmocka_unit_test(who_has_proved_itself_is_told_its_fault),
		cmocka_unit_test(the_answer_is_no_longer_than_the_check),
		cmocka_unit_test(a_peer_on_ipv6_joins_too),
		cmocka_unit_test(
			a_peer_that_moves_is_followed_and_its_run_goes_on),
		cmocka_unit_test(a_peer_that_moves_speaks_for_nobody_else),
		cmocka_unit_test(
			only_a_nomination_or_silence_moves_where_we_send),
		cmocka_unit_test(paths_are_bounded_and_the_one_in_use_stays),
		cmocka_unit_test(an_address_is_one_sessions_until_it_is_silent),
		cmocka_unit_test(without_a_sign_of_life_the_consent_ends),
		cmocka_unit_test(packets_alone_keep_a_session_and_its_path),
		cmocka_unit_test(nobody_comes),
		cmocka_unit_test(checks_alone_do_not_keep_it_open),
		cmocka_unit_test(
			a_path_that_is_not_checked_any_more_is_given_up),
		cmocka_unit_test(a_restart_changes_names_and_nothing_else),
		cmocka_unit_test(two_restarts_in_a_row_leave_what_works),
		cmocka_unit_test(a_senders_report_is_answered_under_seal),
		cmocka_unit_test(
			what_is_forged_replayed_or_not_sound_is_counted),
		cmocka_unit_test(packets_before_the_handshake_are_dropped),
		cmocka_unit_test(the_peer_says_goodbye),
		cmocka_unit_test(a_close_is_told_to_the_peer),
		cmocka_unit_test(each_end_has_a_name),
		cmocka_unit_test(sessions_are_bounded_and_their_names_differ),
		cmocka_unit_test(
			handshakes_are_bounded_and_go_on_when_one_has_ended),
		cmocka_unit_test(one_network_of_ipv6_is_one_host),
		cmocka_unit_test(a_flood_of_hellos_makes_one_handshake),
		cmocka_unit_test(a_handshake_that_does_not_go_on_ends),
		cmocka_unit_test(without_memory_nothing_is_half_open),
		cmocka_unit_test(
			memory_that_is_short_ends_a_session_or_a_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
