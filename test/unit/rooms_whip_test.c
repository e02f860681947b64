/** test/unit/rooms_whip_test.c -- users by WebRTC: one session each, that can be
 *  taken over, and a place in the room that outlives it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms/private.h"
#include "rooms_aid.h"

/** Within it all rooms are looked at. */
enum { LOOKED_US = 1200 * 1000 };

/** What is answered to who comes. */
struct came {
	unsigned calls;
	int err;
	char text[200];
	uint64_t id;
	uint16_t port;
	unsigned turn;
	char key[64], ufrag[WEBRTC_UFRAG_LEN + 1];
};

static void on_came(const struct err *e, const struct input_info *in, void *arg)
{
	struct came *c = arg;

	c->calls++;
	c->err = e->code;
	str_copy(c->text, sizeof(c->text), e->code ? e->text : "");
	assert_true(!in == !!e->code);
	if (!in)
		return;
	c->id = in->id;
	c->port = in->port;
	c->turn = in->whip.turn;
	str_copy(c->key, sizeof(c->key), in->whip.key);
	str_copy(c->ufrag, sizeof(c->ufrag), in->whip.ice->ufrag);
}

static void ask_from(struct stage *st, const char *user, const char *ip,
		     struct came *c)
{
	const struct whip_wish w = {
		.app = APP,
		.room = "room",
		.user = user,
		.client_ip = ip,
		.remote_ufrag = "theirs",
		.fingerprint = {.hash = FINGERPRINT_SHA256, .len = 32},
		.opus_pt = 111,
		.red_pt = 63,
		.audio_level_ext = 1,
	};

	*c = (struct came){0};
	rooms_whip_join(st->r, &w, on_came, c);
}

static void ask(struct stage *st, const char *user, struct came *c)
{
	ask_from(st, user, JOIN_IP, c);
}

static struct came come_from(struct stage *st, const char *user, const char *ip)
{
	struct came c;

	ask_from(st, user, ip, &c);
	UNTIL(st, c.calls);
	if (c.err)
		fail_msg("come: %s", c.text);
	return c;
}

static struct came come(struct stage *st, const char *user)
{
	return come_from(st, user, JOIN_IP);
}

static int count(const struct input_info *in, void *arg)
{
	unsigned *n = arg;

	assert_string_equal(in->kind, "whip");
	++*n;
	return 0;
}

static unsigned there(const struct stage *st)
{
	unsigned n = 0;

	assert_int_equal(rooms_each_input(st->r, APP, "room", count, &n), 0);
	return n;
}

static struct input_info info_of(const struct stage *st, const char *key)
{
	struct input_info info = {0};

	assert_true(rooms_whip_find(st->r, key, &info));
	return info;
}

static void who_comes_has_a_session_with_a_key(void **state)
{
	struct stage *st = *state;
	struct came a, b;
	struct input_info in;
	struct answer left;

	begin(st);
	a = come(st, "alice");
	b = come(st, "bob");
	assert_int_equal(strlen(a.key), 48);
	/* both halves are random, and of one key they differ */
	assert_memory_not_equal(a.key, b.key, 24);
	assert_memory_not_equal(a.key + 24, b.key + 24, 24);
	assert_memory_not_equal(a.key, a.key + 24, 24);
	assert_string_not_equal(a.ufrag, b.ufrag);
	assert_int_equal(a.port, b.port); /* of the loop */
	in = info_of(st, a.key);
	assert_string_equal(in.whip.state, "connecting");
	assert_string_equal(in.user, "alice");
	assert_int_equal(in.opus_pt + in.red_pt + in.audio_level_ext, 175);
	assert_int_equal(in.whip.n_addresses, 1);
	assert_string_equal(in.whip.addresses[0], "127.0.0.1");
	assert_int_equal(there(st), 2);
	leave(st, a.id, &left);
	UNTIL(st, left.calls);
	assert_int_equal(left.err, 0);
	assert_false(rooms_whip_find(st->r, a.key, &in));
	assert_false(rooms_whip_is_replaced(st->r, a.key));
	assert_int_equal(there(st), 1);
	assert_false(rooms_whip_find(st->r, "", &in));
}

static size_t addresses_of(const struct stage *st, const char *key)
{
	const struct input_info in = info_of(st, key);

	assert_string_equal(in.whip.addresses[in.whip.n_addresses - 1],
			    "127.0.0.1");
	assert_string_equal(in.address, "127.0.0.1"); /* of RTP, as ever */
	return in.whip.n_addresses;
}

/** Firefox and libnice do not speak to a loopback address. */
static void who_is_on_this_machine_is_told_all_its_addresses(void **state)
{
	struct stage *st = *state;
	char own[WHIP_ADDRESSES_MAX][ADDR_TEXT_MAX];
	struct addr list[64], loopback = addr_loopback();
	const size_t n =
		near_pick(list, addr_list_own(list, 64), &loopback, own);
	struct came a;

	if (n == 0) {
		print_message("this machine has only loopback\n");
		skip();
	}
	st->config.media.is_near = true;
	begin(st);
	a = come_from(st, "alice", "127.0.0.1");
	assert_int_equal(addresses_of(st, a.key), n);
	assert_string_equal(info_of(st, a.key).whip.addresses[0], own[0]);
	a = come_from(st, "bob", own[0]);
	assert_int_equal(addresses_of(st, a.key), n);
	/* what this machine is called is not the matter of others */
	a = come_from(st, "carol", "192.0.2.77");
	assert_int_equal(addresses_of(st, a.key), 1);
	a = come_from(st, "dave", NULL);
	assert_int_equal(addresses_of(st, a.key), 1);
	end(st);
	st->config.media.is_near = false;
	begin(st);
	a = come_from(st, "alice", "127.0.0.1");
	assert_int_equal(addresses_of(st, a.key), 1);
}

static void of_many_addresses_so_many_are_told(void **state)
{
	char out[WHIP_ADDRESSES_MAX][ADDR_TEXT_MAX];
	struct addr own[40], loopback = addr_loopback();
	char text[32];

	(void)state;
	assert_int_equal(near_pick(&loopback, 1, &loopback, out), 0);
	assert_int_equal(addr_parse("2001:db8::1", &own[0]), 0);
	assert_int_equal(near_pick(own, 1, &loopback, out), 0);
	for (int i = 1; i < 40; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		assert_int_equal(addr_parse(text, &own[i]), 0);
	}
	assert_int_equal(near_pick(own, 3, &loopback, out), 3);
	assert_string_equal(out[0], "10.0.0.1");
	assert_string_equal(out[2], "127.0.0.1");
	assert_int_equal(near_pick(own, 40, &loopback, out),
			 WHIP_ADDRESSES_MAX);
	assert_string_equal(out[WHIP_ADDRESSES_MAX - 1], "127.0.0.1");
}

static void the_newer_session_of_a_user_takes_over(void **state)
{
	struct stage *st = *state;
	struct came a, b, c, d;
	struct input_info in;
	struct answer off = {0};

	begin(st);
	a = come(st, "alice");
	rooms_input_set_mic(st->r, a.id, false, &mic_caller, on_input, &off);
	UNTIL(st, off.calls);
	b = come(st, "alice");
	assert_false(rooms_whip_find(st->r, a.key, &in));
	assert_true(rooms_whip_is_replaced(st->r, a.key));
	assert_false(rooms_whip_is_replaced(st->r, b.key));
	assert_false(rooms_whip_is_replaced(st->r, ""));
	assert_true(info_of(st, b.key).mic_disabled);
	assert_int_equal(there(st), 1);
	/* two at once: the later of them stays */
	ask(st, "alice", &c);
	ask(st, "alice", &d);
	UNTIL(st, c.calls && d.calls);
	assert_int_equal(d.err, 0);
	assert_false(rooms_whip_find(st->r, b.key, &in));
	assert_int_equal(info_of(st, d.key).id, d.id);
	assert_int_equal(there(st), 1);
	end(st);
	begin(st); /* and of rows there is one */
	assert_int_equal(there(st), 1);
}

/* The second one's: the first is the older session's. */
static const char second_commit[] = "store.commit=EIO:2-2";

static void a_session_that_is_not_stored_takes_no_place(void **state)
{
	struct stage *st = *state;
	struct came a, b;

	set_fault(second_commit);
	begin(st);
	a = come(st, "alice");
	ask(st, "alice", &b);
	UNTIL(st, b.calls);
	assert_int_equal(b.err, EIO);
	assert_string_equal(info_of(st, a.key).whip.state, "connecting");
	UNTIL(st, there(st) == 1);
	assert_false(rooms_whip_is_replaced(st->r, a.key));
}

static void plain_rtp_is_not_taken_over_and_sessions_have_a_limit(void **state)
{
	struct stage *st = *state;
	struct came a, b;
	struct answer left;

	st->config.media.max_sessions = 1;
	begin(st);
	join(st, "room", "bob");
	ask(st, "bob", &b);
	assert_int_equal(b.err, EEXIST);
	assert_non_null(strstr(b.text, "plain RTP"));
	come(st, "alice");
	ask(st, "carol", &b);
	assert_int_equal(b.err, EAGAIN);
	assert_non_null(strstr(b.text, "1 users"));
	a = come(st, "alice"); /* in its own place */
	leave(st, a.id, &left);
	UNTIL(st, left.calls);
	come(st, "carol");
}

static void ice_is_restarted_with_other_credentials(void **state)
{
	struct stage *st = *state;
	struct came a, b = {0}, c = {0};

	begin(st);
	a = come(st, "alice");
	rooms_whip_restart(st->r, a.key, "theirs-2", on_came, &b);
	rooms_whip_restart(st->r, a.key, "theirs-3", on_came, &c);
	assert_int_equal(c.err, EBUSY);
	UNTIL(st, b.calls);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.turn, 1);
	assert_string_not_equal(a.ufrag, b.ufrag);
	assert_string_equal(info_of(st, a.key).whip.remote_ufrag, "theirs-2");
	/* one that the port does not take changes nothing */
	c = (struct came){0};
	rooms_whip_restart(st->r, a.key, "x", on_came, &c);
	UNTIL(st, c.calls);
	assert_int_equal(c.err, EINVAL);
	assert_string_equal(info_of(st, a.key).whip.ice->ufrag, b.ufrag);
	assert_string_equal(info_of(st, a.key).whip.remote_ufrag, "theirs-2");
	c = (struct came){0};
	rooms_whip_restart(st->r, "nothing", "theirs-4", on_came, &c);
	assert_int_equal(c.err, ENOENT);
	/* and who goes meanwhile is told */
	c = (struct came){0};
	rooms_whip_restart(st->r, a.key, "theirs-5", on_came, &c);
	end(st);
	assert_int_equal(c.calls, 1);
}

static bool is_away(struct stage *st)
{
	struct room_info room;

	return rooms_room_info(st->r, APP, "room", &room);
}

static void after_a_restart_the_place_is_kept_for_a_while(void **state)
{
	struct stage *st = *state;
	struct came a, b;
	struct input_info in;
	struct answer off = {0};

	st->config.away_restart_us = PATIENCE_US;
	begin(st);
	a = come(st, "alice");
	end(st);
	begin(st);
	assert_false(rooms_whip_find(st->r, a.key, &in));
	turn_for(st, LOOKED_US);
	assert_int_equal(there(st), 1);
	assert_true(rooms_input_info(st->r, a.id, &in));
	assert_string_equal(in.whip.state, "away");
	/* a mic that is switched off meanwhile stays so */
	rooms_input_set_mic(st->r, a.id, false, &mic_caller, on_input, &off);
	UNTIL(st, off.calls);
	assert_int_equal(off.err, 0);
	b = come(st, "alice");
	assert_true(info_of(st, b.key).mic_disabled);
	assert_int_equal(there(st), 1);
	assert_string_equal(info_of(st, b.key).whip.state, "connecting");
	assert_false(rooms_input_info(st->r, a.id, &in));
	end(st);
	st->config.away_restart_us = 1;
	begin(st);
	UNTIL(st, !is_away(st));
	end(st);
	begin(st); /* its row has gone, too */
	assert_int_equal(there(st), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(who_comes_has_a_session_with_a_key),
		STAGE_TEST(who_is_on_this_machine_is_told_all_its_addresses),
		cmocka_unit_test(of_many_addresses_so_many_are_told),
		STAGE_TEST(the_newer_session_of_a_user_takes_over),
		STAGE_TEST(a_session_that_is_not_stored_takes_no_place),
		STAGE_TEST(
			plain_rtp_is_not_taken_over_and_sessions_have_a_limit),
		STAGE_TEST(ice_is_restarted_with_other_credentials),
		STAGE_TEST(after_a_restart_the_place_is_kept_for_a_while),
	};

	return RUN_STAGES(tests);
}
