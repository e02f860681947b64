/** control/live.c -- the state of the rooms, sent to whoever looks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/live.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "wire/json_text.h"

enum {
	TICK_US = 250 * CLOCK_US_PER_MS,
	ANYWAY_US = 5 * CLOCK_US_PER_S, /* a client that hears nothing for
					   longer looks for another server */
	STALL_US = 30 * CLOCK_US_PER_S,
	STATE_MAX = 768 * 1024, /* [bytes] below what a client may be behind */
	RETRY_MS = 1000		/* EventSource comes back after */
};

struct live {
	struct live_config config;
	struct link clients;
	unsigned n;
	struct timer timer;
	/* the newest state, for all who search the same */
	struct buf state;
	char search[LIVE_SEARCH_MAX + 1];
};

/** One client. */
struct client {
	struct link link;
	struct live *live;
	struct http_stream *http;
	char search[LIVE_SEARCH_MAX + 1];
	uint64_t sent;	 /* hash of the last state */
	int64_t sent_us; /* 0: none was */
};

/* ---- the state --------------------------------------------------------------- */

struct walk {
	const struct live *live;
	json_t *rooms;
	unsigned total;			/* rooms found */
	size_t rooms_left, inputs_left; /* that have a place */
};

static int find_user(const struct input_info *in, void *arg)
{
	return strcasestr(in->user, arg) ? EEXIST : 0;
}

static bool is_found(const struct walk *w, const struct room_info *room,
		     char *search)
{
	return !search[0] || strcasestr(room->room, search) ||
	       rooms_each_input(w->live->config.rooms, room->app, room->room,
				find_user, search);
}

static json_t *tasks_json(const struct rooms *rooms,
			  const struct room_info *room)
{
	json_t *tasks = json_array();

	for (size_t i = 0; i < room->n_tasks; i++) {
		struct task_info t;

		if (rooms_task_info(rooms, room->tasks[i], &t))
			json_array_append_new(tasks, task_info_json(&t));
	}
	return tasks;
}

static int add_room(const struct room_info *room, void *arg)
{
	struct walk *w = arg;
	char search[LIVE_SEARCH_MAX + 1];
	size_t n;
	json_t *item;

	str_copy(search, sizeof(search), w->live->search);
	if (!is_found(w, room, search))
		return 0;
	w->total++;
	if (!w->rooms_left)
		return 0;
	n = room->inputs < w->inputs_left ? room->inputs : w->inputs_left;
	w->rooms_left--;
	w->inputs_left -= n;
	item = room_info_json(w->live->config.rooms, room, n);
	if (item &&
	    !json_object_set_new(item, "n_inputs",
				 json_integer((json_int_t)room->inputs)) &&
	    !json_object_set_new(item, "tasks",
				 tasks_json(w->live->config.rooms, room)))
		return json_array_append_new(w->rooms, item) ? ENOMEM : 0;
	json_decref(item);
	return ENOMEM;
}

static int add_app(uint32_t id, const char *name, void *arg)
{
	return json_array_append_new(arg,
				     json_pack("{s:I, s:s}", "app",
					       (json_int_t)id, "name", name))
		       ? ENOMEM
		       : 0;
}

/** How callbacks go, in all: who lists them looks again when this moves. */
static json_t *deliveries_json(void)
{
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I}", "attempts",
		(json_int_t)counter_get(COUNT_attempts), "delivered",
		(json_int_t)counter_get(COUNT_deliveries_delivered), "pending",
		(json_int_t)counter_get(COUNT_deliveries_pending), "dead",
		(json_int_t)counter_get(COUNT_deliveries_dead), "expired",
		(json_int_t)counter_get(COUNT_deliveries_expired));
}

/** NULL: out of memory. */
static json_t *settings_json(const struct live_config *config)
{
	return json_sprintf("%016" PRIx64,
			    config->settings ? config->settings(config->arg)
					     : 0);
}

/** One part in `parts` of what may be in a state. */
static int write_state(struct live *l, unsigned parts)
{
	struct walk w = {
		.live = l,
		.rooms = json_array(),
		.rooms_left = LIVE_ROOMS / parts,
		.inputs_left = LIVE_INPUTS / parts,
	};
	json_t *apps = json_array(), *state;
	char why[160] = "";
	int err = rooms_each(l->config.rooms, add_room, &w);

	if (!err)
		err = rooms_each_app(l->config.rooms, add_app, apps);
	if (rooms_is_ready(l->config.rooms, why, sizeof(why)))
		why[0] = 0;
	state = json_pack("{s:o, s:i, s:o, s:s, s:o, s:o}", "rooms", w.rooms,
			  "total", (int)w.total, "apps", apps, "not_ready", why,
			  "settings", settings_json(&l->config), "deliveries",
			  deliveries_json());
	buf_clear(&l->state);
	if (!err)
		err = state ? json_text_write(state, &l->state) : ENOMEM;
	json_decref(state);
	return err;
}

/** Write what a client with this search sees into l->state. */
static int make_state(struct live *l, const char *search)
{
	unsigned parts = 1;
	int err;

	str_copy(l->search, sizeof(l->search), search);
	/* names and lists may be long: then fewer of them */
	do {
		err = write_state(l, parts);
		parts *= 2;
	} while (err == EMSGSIZE && parts <= LIVE_ROOMS);
	return err;
}

/* ---- clients -------------------------------------------------------------------- */

static void leave(struct client *c)
{
	struct live *l = c->live;

	list_remove(&c->link);
	l->n--;
	counter_set(COUNT_live_streams, l->n);
	if (!l->n)
		timer_stop(&l->timer);
	mem_free(c);
}

static void on_gone(void *arg)
{
	leave(arg);
}

static void end(struct client *c)
{
	http_stream_end(c->http);
	leave(c);
}

/** Send what is in l->state.  `now` is not a part of it: time alone is no
 *  change. */
static void send_state(struct client *c, int64_t now_us)
{
	const struct buf *state = &c->live->state;
	uint64_t hash = map_hash(state->data, state->len);
	struct buf b;

	if (c->sent_us && hash == c->sent && now_us - c->sent_us < ANYWAY_US)
		return;
	c->sent = hash;
	c->sent_us = now_us;
	buf_init(&b, STATE_MAX + 256);
	buf_printf(&b, "event: state\ndata: {\"now_ms\":%" PRId64 ",",
		   clock_unix_ms());
	buf_append(&b, state->data + 1, state->len - 1); /* behind its { */
	buf_puts(&b, "\n\n");
	/* without memory: the next time */
	if (buf_err(&b) || !http_stream_send(c->http, b.data, b.len))
		c->sent_us = 0;
	buf_fini(&b);
}

/** Returns false when it was ended: it takes nothing. */
static bool is_taking(struct client *c, int64_t now_us)
{
	if (!http_stream_queued(c->http))
		return true;
	if (c->sent_us && now_us - c->sent_us > c->live->config.stall_us)
		end(c);
	return false;
}

static void show(struct live *l, int64_t now_us)
{
	bool is_made = false;

	LIST_EACH(&l->clients, at, after)
	{
		struct client *c = CONTAINER_OF(at, struct client, link);

		if (!is_taking(c, now_us))
			continue;
		if (!is_made || strcmp(l->search, c->search) != 0)
			is_made = !make_state(l, c->search);
		if (is_made)
			send_state(c, now_us);
	}
}

static void on_tick(struct timer *t, int64_t now_us)
{
	struct live *l = CONTAINER_OF(t, struct live, timer);

	show(l, now_us);
	if (l->n && timer_start(t, l->config.loop, now_us + TICK_US, on_tick))
		live_stop(l); /* no memory: they come back */
}

/* ---- all of them ------------------------------------------------------------------ */

int live_new(const struct live_config *config, struct live **out)
{
	struct live *l = mem_zalloc(sizeof(*l));

	if (!l)
		return ENOMEM;
	l->config = *config;
	if (!l->config.max)
		l->config.max = LIVE_MAX;
	if (!l->config.stall_us)
		l->config.stall_us = STALL_US;
	list_init(&l->clients);
	buf_init(&l->state, STATE_MAX);
	*out = l;
	return 0;
}

void live_stop(struct live *l)
{
	LIST_EACH(&l->clients, at, after)
	{
		end(CONTAINER_OF(at, struct client, link));
	}
}

void live_free(struct live *l)
{
	if (!l)
		return;
	assert(list_is_empty(&l->clients));
	buf_fini(&l->state);
	mem_free(l);
}

bool live_has_room(const struct live *l)
{
	return l->n < l->config.max;
}

/** Beside those that search the same: one state is made for all of them. */
static void add(struct live *l, struct client *c)
{
	LIST_EACH(&l->clients, at, after)
	{
		struct client *other = CONTAINER_OF(at, struct client, link);

		if (!strcmp(other->search, c->search)) {
			list_append(at, &c->link);
			return;
		}
	}
	list_append(&l->clients, &c->link);
}

void live_begin(struct live *l, struct http_request *r, const char *search)
{
	struct client *c = mem_zalloc(sizeof(*c));
	static const char hello[] = "retry: 1000\n\n";

	static_assert(RETRY_MS == 1000, "as said");
	if (!c) {
		http_reply(r, &(struct http_answer){.status = 503});
		return;
	}
	str_copy(c->search, sizeof(c->search), search);
	c->http = http_reply_stream(r, on_gone, c);
	if (!c->http) {
		mem_free(c);
		return;
	}
	c->live = l;
	add(l, c);
	l->n++;
	counter_set(COUNT_live_streams, l->n);
	if (!http_stream_send(c->http, hello, sizeof(hello) - 1))
		return; /* `gone` is about to be called */
	if (!timer_is_armed(&l->timer) &&
	    timer_start(&l->timer, l->config.loop, loop_now_us(l->config.loop),
			on_tick))
		end(c);
}

void live_follow(struct call *c)
{
	static const char *const keys[] = {"search", NULL};
	const char *search = http_query(c->request, "search");

	if (!call_query_keys(c, keys))
		return;
	if (search && (!search[0] || strlen(search) > LIVE_SEARCH_MAX)) {
		call_problem(c, 400, "search",
			     "search: must be text of 1 to %d bytes",
			     LIVE_SEARCH_MAX);
		return;
	}
	if (!live_has_room(c->control->live)) {
		call_problem(c, 503, "",
			     "%d consoles are open, which is as many as there "
			     "may be: close one, or come back later",
			     LIVE_MAX);
		return;
	}
	live_begin(c->control->live, c->request, search ? search : "");
	call_free(c);
}
