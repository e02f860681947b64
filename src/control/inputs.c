/** control/inputs.c -- rooms and inputs in the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "control/call.h"

/** A number that was said, or null. */
static json_t *said(int n)
{
	return n ? json_integer(n) : json_null();
}

static json_t *input_json(const struct input_info *in)
{
	return json_pack(
		"{s:o, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s?, s:I, s:I, "
		"s:I, s:o, s:o, s:o, s:s?, s:o, s:o}",
		"input_id", call_id(in->id), "user", in->user, "kind", in->kind,
		"address", in->address, "port", (int)in->port, "mic",
		in->mic_disabled ? "disabled"
		: in->mic_on	 ? "on"
				 : "off",
		"warning", in->warning, "room", in->room, "sender",
		in->sender[0] ? in->sender : NULL, "packets",
		(json_int_t)in->packets, "lost", (json_int_t)in->lost,
		"created_ms", (json_int_t)in->created_ms, "opus_pt",
		said(in->opus_pt), "red_pt", said(in->red_pt),
		"audio_level_ext", said(in->audio_level_ext), "session",
		in->whip.state, "level_dbfs",
		in->level_dbfs <= 0 ? json_integer(in->level_dbfs)
				    : json_null(),
		"jitter_ms", json_integer(in->jitter_us / 1000));
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

/** A payload type that is nobody's: 64 to 95 would look like RTCP. */
static bool read_type(struct call *c, const char *key, int64_t *pt)
{
	if (!call_integer(c, key, 35, 127, pt))
		return false;
	if (*pt >= 64 && *pt <= 95) {
		call_problem(c, 400, key,
			     "%s: must be from 35 to 63 or from 96 to 127",
			     key);
		return false;
	}
	return true;
}

/** What the sender's packets are. */
static bool read_types(struct call *c, struct input_wish *wish)
{
	int64_t opus = 0, red = 0, level = 0;

	if (!read_type(c, "opus_pt", &opus) || !read_type(c, "red_pt", &red) ||
	    !call_integer(c, "audio_level_ext", 1, 14, &level))
		return false;
	if (red && red == opus) {
		call_problem(c, 400, "red_pt",
			     "red_pt: must not be the type of opus_pt");
		return false;
	}
	wish->opus_pt = (int)opus;
	wish->red_pt = (int)red;
	wish->audio_level_ext = (int)level;
	return true;
}

void inputs_add(struct call *c)
{
	static const char *const keys[] = {"user",   "kind",
					   "source", "opus_pt",
					   "red_pt", "audio_level_ext",
					   NULL};
	static const char *const kinds[] = {"rtp", NULL};
	static const char an_address[] =
		"an address with a port, like 192.0.2.7:5004 or "
		"[2001:db8::7]:5004";
	struct input_wish wish = {.room = c->parts[1],
				  .client_ip = c->client_ip};
	const char *source;
	int kind = 0;

	if (!call_app(c, c->parts[0], &wish.app) ||
	    !call_name(c, c->parts[1], "room") || !call_keys(c, keys) ||
	    !call_name_field(c, "user", &wish.user) ||
	    !call_choice(c, "kind", kinds, &kind) ||
	    !call_string(c, "source", an_address, false, &source) ||
	    !read_types(c, &wish))
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
	const struct caller who = {c->client_ip, "RESTAPI"};
	uint64_t id;
	int mic = -1;

	if (!call_number(c, c->parts[0], "input", &id) || !call_keys(c, keys) ||
	    !call_choice(c, "mic", mics, &mic))
		return;
	if (mic < 0) {
		call_problem(c, 400, "mic", "mic: required, \"on\" or \"off\"");
		return;
	}
	rooms_input_set_mic(c->control->rooms, id, mic == 1, &who, on_done, c);
}

void inputs_remove(struct call *c)
{
	uint64_t id;

	if (call_number(c, c->parts[0], "input", &id))
		rooms_input_remove(c->control->rooms, id, on_done, c);
}

/* ---- rooms ------------------------------------------------------------------- */

struct input_walk {
	json_t *list;
	size_t left;
};

static int add_input(const struct input_info *in, void *arg)
{
	struct input_walk *w = arg;

	if (!w->left)
		return 0;
	w->left--;
	return json_array_append_new(w->list, input_json(in)) ? ENOMEM : 0;
}

json_t *room_info_json(const struct rooms *rooms, const struct room_info *room,
		       size_t max_inputs)
{
	struct input_walk w = {json_array(), max_inputs};
	json_t *tasks = json_array();
	json_t *item;
	int err = rooms_each_input(rooms, room->app, room->room, add_input, &w);

	for (size_t i = 0; i < room->n_tasks; i++)
		json_array_append_new(tasks, call_id(room->tasks[i]));
	item = json_pack("{s:I, s:s, s:o, s:o, s:o?}", "app",
			 (json_int_t)room->app, "room", room->room, "inputs",
			 w.list, "task_ids", tasks, "task_id",
			 room->n_tasks ? call_id(room->tasks[0]) : json_null());
	if (!err)
		return item;
	json_decref(item);
	return NULL;
}

struct room_walk {
	struct rooms *rooms;
	json_t *list;
};

static int add_room(const struct room_info *room, void *arg)
{
	struct room_walk *w = arg;
	json_t *item = room_info_json(w->rooms, room, SIZE_MAX);

	return json_array_append_new(w->list, item) ? ENOMEM : 0;
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
