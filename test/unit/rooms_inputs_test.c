/** test/unit/rooms_inputs_test.c -- what is shown of an input, and what of it
 *  outlives a restart. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

static struct input_info info_of(const struct stage *st, uint64_t input)
{
	struct input_info info;

	assert_true(rooms_input_info(st->r, input, &info));
	return info;
}

static struct answer set_mic(struct stage *st, uint64_t input, bool on)
{
	struct answer a = {0};

	rooms_input_set_mic(st->r, input, on, &mic_caller, on_input, &a);
	UNTIL(st, a.calls);
	return a;
}

static void a_mic_that_was_switched_off_is_off_after_a_restart(void **state)
{
	struct stage *st = *state;
	struct answer a;

	begin(st);
	a = join(st, "room", "alice");
	UNTIL(st, info_of(st, a.id).mic_on);
	assert_int_equal(set_mic(st, a.id, false).err, 0);
	assert_true(info_of(st, a.id).mic_disabled);
	end(st);
	begin(st);
	assert_true(info_of(st, a.id).mic_disabled);
	UNTIL(st, info_of(st, a.id).packets > PACKETS);
	assert_false(info_of(st, a.id).mic_on);
	assert_int_equal(set_mic(st, a.id, true).err, 0);
	UNTIL(st, info_of(st, a.id).mic_on);
	end(st);
	begin(st);
	assert_false(info_of(st, a.id).mic_disabled);
}

/* The mic's: the first is the input's. */
static const char second_commit[] = "store.commit=EIO:2-2";

static void a_mic_whose_switch_is_not_stored_is_switched_and_told_so(
	void **state)
{
	struct stage *st = *state;
	struct answer a, off;

	set_fault(second_commit);
	begin(st);
	a = join(st, "room", "alice");
	off = set_mic(st, a.id, false);
	assert_int_equal(off.err, EIO);
	assert_non_null(strstr(off.text, "a restart forgets it"));
	assert_true(info_of(st, a.id).mic_disabled);
	assert_int_equal(set_mic(st, a.id, false).err, 0); /* now it is */
	end(st);
	begin(st);
	assert_true(info_of(st, a.id).mic_disabled);
}

static void a_mic_is_switched_while_its_user_leaves(void **state)
{
	struct stage *st = *state;
	struct answer a, left, off = {0}, on = {0};

	begin(st);
	a = join(st, "room", "alice");
	rooms_input_set_mic(st->r, a.id, false, &mic_caller, on_input, &off);
	rooms_input_set_mic(st->r, a.id, true, &mic_caller, on_input, &on);
	leave(st, a.id, &left);
	UNTIL(st, left.calls && off.calls && on.calls);
	assert_int_equal(off.err + on.err + left.err, 0);
	UNTIL(st, counter_get(COUNT_inputs) == 0);
	a = join(st, "room", "alice"); /* and the server stops meanwhile */
	rooms_input_set_mic(st->r, a.id, false, &mic_caller, on_input, &off);
	end(st);
	assert_int_equal(off.calls, 2);
	begin(st);
	assert_true(info_of(st, a.id).mic_disabled);
}

static void the_sender_is_shown_by_its_address(void **state)
{
	struct stage *st = *state;
	struct answer a;

	begin(st);
	a = join(st, "room", "alice");
	UNTIL(st, info_of(st, a.id).sender[0]);
	assert_int_equal(strncmp(info_of(st, a.id).sender, "127.0.0.1:", 10),
			 0);
}

static void a_sender_with_ipv6_is_shown_so(void **state)
{
	struct stage *st = *state;
	struct sockaddr_in6 own = {.sin6_family = AF_INET6};
	socklen_t len = sizeof(own);
	struct speaker *s;
	struct answer a;
	char wanted[ADDR_TEXT_MAX];

	assert_int_equal(addr_parse("[::1]:0", &st->config.media.bind), 0);
	s = talk(st, 9);
	if (bind(s->fd, &st->config.media.bind.sa,
		 st->config.media.bind.len))
		skip(); /* this machine has no IPv6 */
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&own, &len), 0);
	begin(st);
	add(st, "room", "alice", &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
	addr_set_port(&s->to, a.port);
	UNTIL(st, info_of(st, a.id).sender[0]);
	snprintf(wanted, sizeof(wanted), "[::1]:%u",
		 (unsigned)ntohs(own.sin6_port));
	assert_string_equal(info_of(st, a.id).sender, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_mic_that_was_switched_off_is_off_after_a_restart),
		STAGE_TEST(
			a_mic_whose_switch_is_not_stored_is_switched_and_told_so),
		STAGE_TEST(a_mic_is_switched_while_its_user_leaves),
		STAGE_TEST(the_sender_is_shown_by_its_address),
		STAGE_TEST(a_sender_with_ipv6_is_shown_so),
	};

	return RUN_STAGES(tests);
}
