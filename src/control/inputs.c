/** control/inputs.c -- rooms and inputs in the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "control/call.h"

static json_t *input_json(const struct input_info *in)
{
	return json_pack(
		"{s:o, s:s, s:s, s:s, s:i, s:s, s:s, s:s?, s:I, s:I, "
		"s:I}",
		"input_id", call_id(in->id), "user", in->user, "kind", in->kind,
		"address", in->address, "port", (int)in->port, "mic",
		in->mic_disabled ? "disabled"
		: in->mic_on	 ? "on"
				 : "off",
		"room", in->room, "sender", in->sender[0] ? in->sender : NULL,
		"packets", (json_int_t)in->packets, "lost",
		(json_int_t)in->lost, "created_ms", (json_int_t)in->created_ms);
}

static void on_added(const struct err *e, const struct input_info *in,
		     void *arg)
{
	if (e->code)
		call_error(arg, e);
	else
		call_reply(arg, 201, input_json(in));
}

static void on_done(const struct err *e, const struct input_info *in, void *arg)
{
	if (e->code)
		call_error(arg, e);
	else
		call_reply(arg, 200, input_json(in));
}

void inputs_add(struct call *c)
{
	static const char *const keys[] = {"user", "kind", "source", NULL};
	static const char *const kinds[] = {"rtp", NULL};
	static const char an_address[] =
		"an address with a port, like 192.0.2.7:5004 or "
		"[2001:db8::7]:5004";
	struct input_wish wish = {.room = c->parts[1]};
	const char *source;
	int kind = 0;

	if (!call_app(c, c->parts[0], &wish.app) ||
	    !call_name(c, c->parts[1], "room") || !call_keys(c, keys) ||
	    !call_name_field(c, "user", &wish.user) ||
	    !call_choice(c, "kind", kinds, &kind) ||
	    !call_string(c, "source", an_address, false, &source))
		return;
	if (source && (addr_parse(source, &wish.source) ||
		       addr_port(&wish.source) == 0)) {
		call_problem(c, 400, "source", "source: must be %s",
			     an_address);
		return;
	}
	wish.has_source = source != NULL;
	rooms_input_add(c->control->rooms, &wish, on_added, c);
}

void inputs_show(struct call *c)
{
	struct input_info info;
	uint64_t id;

	if (!call_number(c, c->parts[0], "input", &id))
		return;
	if (rooms_input_info(c->control->rooms, id, &info))
		call_reply(c, 200, input_json(&info));
	else
		call_problem(c, 404, "input", "there is no input %s",
			     c->parts[0]);
}

void inputs_change(struct call *c)
{
	static const char *const keys[] = {"mic", NULL};
	static const char *const mics[] = {"off", "on", NULL};
	uint64_t id;
	int mic = -1;

	if (!call_number(c, c->parts[0], "input", &id) || !call_keys(c, keys) ||
	    !call_choice(c, "mic", mics, &mic))
		return;
	if (mic < 0) {
		call_problem(c, 400, "mic", "mic: required, \"on\" or \"off\"");
		return;
	}
	rooms_input_set_mic(c->control->rooms, id, mic == 1, on_done, c);
}

void inputs_remove(struct call *c)
{
	uint64_t id;

	if (call_number(c, c->parts[0], "input", &id))
		rooms_input_remove(c->control->rooms, id, on_done, c);
}

/* ---- rooms ------------------------------------------------------------------- */

static int add_input(const struct input_info *in, void *arg)
{
	return json_array_append_new(arg, input_json(in)) ? ENOMEM : 0;
}

struct room_walk {
	struct rooms *rooms;
	json_t *list;
};

static int add_room(const struct room_info *room, void *arg)
{
	struct room_walk *w = arg;
	json_t *inputs = json_array();
	json_t *tasks = json_array();
	json_t *item;
	int err = rooms_each_input(w->rooms, room->app, room->room, add_input,
				   inputs);

	for (size_t i = 0; i < room->n_tasks; i++)
		json_array_append_new(tasks, call_id(room->tasks[i]));
	item = json_pack("{s:I, s:s, s:o, s:o, s:o?}", "app",
			 (json_int_t)room->app, "room", room->room, "inputs",
			 inputs, "task_ids", tasks, "task_id",
			 room->n_tasks ? call_id(room->tasks[0]) : json_null());
	if (err || json_array_append_new(w->list, item))
		return ENOMEM;
	return 0;
}

void rooms_list(struct call *c)
{
	struct room_walk w = {.rooms = c->control->rooms};

	w.list = json_array();
	if (rooms_each(w.rooms, add_room, &w)) {
		json_decref(w.list);
		w.list = NULL;
	}
	call_reply(c, 200, w.list ? json_pack("{s:o}", "rooms", w.list) : NULL);
}
