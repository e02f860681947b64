/** test/unit/control_live_test.c -- the state of the rooms as it is sent. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/live.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/counters.h"
#include "base/mem.h"

#include "rooms_aid.h"
#include "sse_aid.h"

enum { CLIENTS = 3 };

/** Somebody who looks. */
struct looker {
	struct sse_client http;
	json_t *state; /* the newest, or NULL */
	unsigned n;    /* that came */
};

static struct {
	struct stage *st;
	struct http_server *server;
	struct addr addr;
	struct live *live;
	struct live_config config;
	struct looker lookers[CLIENTS];
	uint64_t settings;
	unsigned asked; /* for them: once a state that is made */
} f;

static uint64_t settings(void *arg)
{
	(void)arg;
	f.asked++;
	return f.settings;
}

static void on_ask(struct http_request *r, void *arg)
{
	const char *search = http_query(r, "search");

	(void)arg;
	live_begin(f.live, r, search ? search : "");
}

static void open_server(struct stage *st)
{
	f.st = st;
	for (int i = 0; i < CLIENTS; i++)
		f.lookers[i].http.fd = -1;
	f.config.loop = st->loop;
	f.config.rooms = st->r;
	f.config.settings = settings;
	assert_int_equal(live_new(&f.config, &f.live), 0);
	sse_serve(st->loop, on_ask, NULL, &f.server, &f.addr);
}

static int on_block(const struct sse_block *b, void *arg)
{
	struct looker *c = arg;

	assert_string_equal(b->name, "state");
	json_decref(c->state);
	c->state = json_loadb(b->data, b->len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(c->state);
	c->n++;
	return 0;
}

static void dial(struct looker *c, const char *query, int rcvbuf)
{
	c->n = 0;
	sse_dial(&c->http, &f.addr, query, rcvbuf);
}

static void look(struct looker *c)
{
	sse_listen(&c->http, on_block, c);
}

static void hang_up(struct looker *c)
{
	sse_hang_up(&c->http);
	json_decref(c->state);
	c->state = NULL;
}

#define LOOK_UNTIL(c, condition) UNTIL(f.st, (look(c), (condition)))

/* ---- what a state says --------------------------------------------------------- */

static json_t *room_of(const struct looker *c, const char *room)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(c->state, "rooms"), i, item)
	{
		if (!strcmp(json_string_value(json_object_get(item, "room")),
			    room))
			return item;
	}
	return NULL;
}

static json_t *input_of(const struct looker *c, const char *room,
			const char *user)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(room_of(c, room), "inputs"), i, item)
	{
		if (!strcmp(json_string_value(json_object_get(item, "user")),
			    user))
			return item;
	}
	return NULL;
}

static const char *text(const json_t *of, const char *key)
{
	return json_string_value(json_object_get(of, key));
}

static json_int_t number(const json_t *of, const char *key)
{
	return json_integer_value(json_object_get(of, key));
}

/** The level of a user, 1: it is not known. */
static json_int_t level_of(const struct looker *c, const char *room,
			   const char *user)
{
	json_t *level = json_object_get(input_of(c, room, user), "level_dbfs");

	return json_is_integer(level) ? json_integer_value(level) : 1;
}

static void close_server(void)
{
	for (int i = 0; i < CLIENTS; i++)
		hang_up(&f.lookers[i]);
	live_stop(f.live);
	http_server_close(f.server);
	live_free(f.live);
}

/* ---- tests ------------------------------------------------------------------------ */

static void who_is_in_and_speaks_is_shown_as_it_changes(void **state)
{
	struct stage *st = *state;
	struct looker *c = &f.lookers[0];
	struct answer a;
	uint64_t task;

	begin(st);
	open_server(st);
	dial(c, "", 0);
	LOOK_UNTIL(c, c->state);
	assert_int_equal(number(c->state, "total"), 0);
	assert_int_equal(json_array_size(json_object_get(c->state, "apps")), 1);
	assert_string_equal(
		json_string_value(json_object_get(c->state, "not_ready")), "");
	assert_true(number(c->state, "now_ms") > INT64_C(1600000000000));

	a = join(st, "lobby", "alice");
	LOOK_UNTIL(c, input_of(c, "lobby", "alice"));
	assert_int_equal(number(input_of(c, "lobby", "alice"), "lost"), 0);
	/* nobody has it decoded, and it sends no levels */
	LOOK_UNTIL(c, number(input_of(c, "lobby", "alice"), "packets") > 0 &&
			      level_of(c, "lobby", "alice") == 1);
	task = record(st, "lobby");
	LOOK_UNTIL(c, json_array_size(json_object_get(room_of(c, "lobby"),
						      "tasks")) == 1);
	/* a tone of some -10 dBFS */
	LOOK_UNTIL(c, level_of(c, "lobby", "alice") <= 0 &&
			      level_of(c, "lobby", "alice") > -30);
	/* and silence when it is not sent any more */
	st->paused = true;
	LOOK_UNTIL(c, level_of(c, "lobby", "alice") == -127);
	st->paused = false;
	finish(st, task);
	LOOK_UNTIL(c, json_array_size(json_object_get(room_of(c, "lobby"),
						      "tasks")) == 0);
	/* what was told of it counts */
	LOOK_UNTIL(c, number(json_object_get(c->state, "deliveries"),
			     "attempts") == counter_get(COUNT_attempts) &&
			      counter_get(COUNT_attempts) > 0 &&
			      number(json_object_get(c->state, "deliveries"),
				     "delivered") > 0);
	leave(st, a.id, &a);
	LOOK_UNTIL(c, number(c->state, "total") == 0);
	assert_int_equal(counter_get(COUNT_live_streams), 1);
	hang_up(c);
	UNTIL(st, counter_get(COUNT_live_streams) == 0);
	close_server();
}

static void a_search_lets_rooms_and_users_through(void **state)
{
	struct stage *st = *state;
	struct looker *room = &f.lookers[0];
	struct looker *user = &f.lookers[1];
	struct looker *none = &f.lookers[2];

	begin(st);
	open_server(st);
	join(st, "lobby", "alice");
	join(st, "lobby", "bob");
	join(st, "other", "carl");
	dial(room, "?search=LOBB", 0);
	dial(user, "?search=arl", 0);
	dial(none, "?search=zzz", 0);
	LOOK_UNTIL(room, room->state);
	LOOK_UNTIL(user, user->state);
	LOOK_UNTIL(none, none->state);
	assert_int_equal(number(room->state, "total"), 1);
	assert_non_null(input_of(room, "lobby", "bob"));
	assert_int_equal(number(user->state, "total"), 1);
	assert_non_null(input_of(user, "other", "carl"));
	assert_int_equal(number(none->state, "total"), 0);
	close_server();
}

/** Ports for hundreds of people, below those of all stages; another run of
 *  this program most likely has others. */
static void take_ports(struct stage *st, unsigned turn)
{
	enum { FIRST = 3000, MANY = 700, RUNS = 6 };
	const unsigned run = (unsigned)getppid() % RUNS;

	st->config.media.rtp_port_first =
		(uint16_t)(FIRST + (2 * run + turn) * MANY);
	st->config.media.rtp_port_last =
		(uint16_t)(st->config.media.rtp_port_first + MANY - 1);
}

/** People number `from` to `n` with long names; the first `rooms` of them have
 *  rooms of their own. */
static void crowd(struct stage *st, int from, int n, int rooms)
{
	char user[ID_MAX + 1], room[ID_MAX + 1];

	memset(user, 'u', sizeof(user));
	memset(room, 'r', sizeof(room));
	for (int i = from; i < n; i++) {
		struct answer a;

		snprintf(user + ID_MAX - 3, 4, "%03d", i);
		snprintf(room + ID_MAX - 3, 4, "%03d", i < rooms ? i : 0);
		add(st, room, user, &a);
		UNTIL(st, a.calls);
		assert_int_equal(a.err, 0);
	}
}

static void a_state_has_no_more_than_it_may(void **state)
{
	struct stage *st = *state;
	struct looker *c = &f.lookers[0];
	size_t n = 0, i;
	json_t *item, *rooms;
	json_int_t people = 0;

	take_ports(st, 0);
	begin(st);
	open_server(st);
	crowd(st, 0, LIVE_INPUTS + 80, LIVE_ROOMS - 1);
	dial(c, "", 0);
	LOOK_UNTIL(c, c->state);
	rooms = json_object_get(c->state, "rooms");
	assert_int_equal(number(c->state, "total"), LIVE_ROOMS - 1);
	assert_int_equal(json_array_size(rooms), LIVE_ROOMS - 1);
	json_array_foreach(rooms, i, item)
	{
		n += json_array_size(json_object_get(item, "inputs"));
		people += number(item, "n_inputs");
	}
	assert_int_equal(n, LIVE_INPUTS);
	/* how many there are is told even where they are not all shown */
	assert_int_equal(people, LIVE_INPUTS + 80);
	/* more rooms than have a place */
	crowd(st, LIVE_INPUTS + 80, LIVE_INPUTS + 100, INT_MAX);
	LOOK_UNTIL(c, number(c->state, "total") == LIVE_ROOMS + 19);
	assert_int_equal(json_array_size(json_object_get(c->state, "rooms")),
			 LIVE_ROOMS);
	close_server();
}

static void who_takes_nothing_is_ended_and_others_are_not(void **state)
{
	struct stage *st = *state;
	struct looker *slow = &f.lookers[0];
	struct looker *good = &f.lookers[1];

	take_ports(st, 1);
	begin(st);
	f.config.stall_us = CLOCK_US_PER_S;
	open_server(st);
	crowd(st, 0, 190, 1);
	join(st, "lobby", "alice"); /* whose packets make each state new */
	dial(slow, "", 2048);
	dial(good, "", 0);
	UNTIL(st, (look(good), good->state));
	UNTIL(st, (look(good), counter_get(COUNT_live_streams) == 1));
	good->n = 0;
	LOOK_UNTIL(good, good->n > 2);
	close_server();
}

static void as_many_look_as_may_and_time_alone_is_no_news(void **state)
{
	struct stage *st = *state;
	struct looker *a = &f.lookers[0];
	struct looker *b = &f.lookers[1];
	unsigned n;

	begin(st);
	f.config.max = 2;
	open_server(st);
	assert_true(live_has_room(f.live));
	dial(a, "", 0);
	dial(b, "", 0);
	LOOK_UNTIL(a, a->state);
	LOOK_UNTIL(b, b->state);
	assert_false(live_has_room(f.live));
	/* nothing happens: one state in 5 s */
	n = a->n;
	LOOK_UNTIL(a, a->n == n + 1);
	assert_true(number(a->state, "now_ms") > 0);
	hang_up(a);
	UNTIL(st, live_has_room(f.live));
	close_server();
}

static void a_change_of_settings_is_news_and_one_state_is_for_all(void **state)
{
	struct stage *st = *state;
	struct looker *a = &f.lookers[0];
	struct looker *b = &f.lookers[1];
	struct looker *c = &f.lookers[2];
	unsigned n, asked;

	begin(st);
	f.settings = 10;
	open_server(st);
	dial(a, "", 0);
	LOOK_UNTIL(a, a->state);
	assert_string_equal(text(a->state, "settings"), "000000000000000a");
	f.settings = UINT64_MAX;
	LOOK_UNTIL(a, !strcmp(text(a->state, "settings"), "ffffffffffffffff"));
	/* 20 turns in 5 s, in each a state for `a` and `c`, and one for `b` */
	dial(b, "?search=x", 0);
	LOOK_UNTIL(b, b->state);
	dial(c, "", 0);
	LOOK_UNTIL(c, c->state);
	n = c->n;
	asked = f.asked;
	LOOK_UNTIL(c, c->n == n + 1);
	assert_in_range(f.asked - asked, 2, 2 * 23);
	close_server();
}

static void looking_survives_every_failed_allocation(void **state)
{
	struct stage *st = *state;
	struct looker *c = &f.lookers[0];

	begin(st);
	st->paused = true;
	open_server(st);
	join(st, "lobby", "alice");
	turn_for(st, 100 * CLOCK_US_PER_MS);
	for (int64_t n = 0; n < 80; n++) {
		dial(c, "", 0);
		mem_fail_after(n);
		for (int i = 0; i < 20; i++)
			loop_turn(st->loop, 1000);
		mem_fail_after(-1);
		hang_up(c);
		UNTIL(st, !counter_get(COUNT_live_streams));
	}
	dial(c, "", 0);
	LOOK_UNTIL(c, input_of(c, "lobby", "alice"));
	close_server();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(who_is_in_and_speaks_is_shown_as_it_changes),
		STAGE_TEST(a_search_lets_rooms_and_users_through),
		STAGE_TEST(who_takes_nothing_is_ended_and_others_are_not),
		STAGE_TEST(as_many_look_as_may_and_time_alone_is_no_news),
		STAGE_TEST(
			a_change_of_settings_is_news_and_one_state_is_for_all),
		STAGE_TEST(looking_survives_every_failed_allocation),
	};

	/* alone: it takes the ports of others */
	const struct CMUnitTest big[] = {
		STAGE_TEST(a_state_has_no_more_than_it_may),
	};
	int failed = RUN_STAGES(tests);

	return failed + RUN_STAGES(big);
}
