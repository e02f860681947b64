/** commands/publish_room.c -- join and leave a room by the HTTP API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/publish.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/str.h"
#include "wire/quote.h"

enum { PATH_CAP = 4096 };

/* ---- joining, leaving -------------------------------------------------------- */

static int take_input(struct publish_room *r, const json_t *answer,
		      struct addr *to, struct err *e)
{
	const char *id = json_string_value(json_object_get(answer, "input_id"));
	const char *address =
		json_string_value(json_object_get(answer, "address"));
	json_int_t port = json_integer_value(json_object_get(answer, "port"));

	if (!id || !str_copy(r->input, sizeof(r->input), id) || !address ||
	    addr_parse(address, to) || port < 1 || port > UINT16_MAX)
		return err_set(e, EPROTO, "server",
			       "%.80s answered without an input_id, address "
			       "and port: is this a tapeop server?",
			       r->client.server);
	addr_set_port(to, (uint16_t)port);
	return 0;
}

/** What the server need not find out by itself. */
static int say_types(const struct publish_room *r, json_t *wish)
{
	int bad = 0;

	if (r->red_pt) {
		bad |= json_object_set_new(wish, "red_pt",
					   json_integer(r->red_pt));
		bad |= json_object_set_new(wish, "opus_pt",
					   json_integer(r->opus_pt));
	}
	if (r->level_id)
		bad |= json_object_set_new(wish, "audio_level_ext",
					   json_integer(r->level_id));
	return bad;
}

int publish_join(struct publish_room *r, struct addr *to, struct err *e)
{
	json_t *wish = json_pack("{s:s, s:s}", "user", r->user, "kind", "rtp");
	json_t *answer = NULL;
	struct buf path;
	int err;

	buf_init(&path, PATH_CAP);
	buf_printf(&path, "/v1/apps/%u/rooms/", (unsigned)r->app);
	quote_percent(&path, r->room);
	buf_puts(&path, "/inputs");
	if (!wish || say_types(r, wish) || buf_err(&path))
		err = err_set(e, ENOMEM, "", "out of memory");
	else
		err = client_call(&r->client, "POST", buf_str(&path), wish,
				  &answer, e);
	if (!err)
		err = take_input(r, answer, to, e);
	json_decref(answer);
	json_decref(wish);
	buf_fini(&path);
	return err;
}

/** GET or DELETE the input, and see how much it took. */
static int ask_input(struct publish_room *r, const char *method, struct err *e)
{
	char path[64];
	json_t *answer = NULL;
	int err;

	snprintf(path, sizeof(path), "/v1/inputs/%s", r->input);
	err = client_call(&r->client, method, path, NULL, &answer, e);
	if (!err)
		r->taken = (uint64_t)json_integer_value(
			json_object_get(answer, "packets"));
	json_decref(answer);
	return err;
}

int publish_look(struct publish_room *r, struct err *e)
{
	return ask_input(r, "GET", e);
}

int publish_leave(struct publish_room *r, struct err *e)
{
	int err = ask_input(r, "DELETE", e);

	r->left = !err;
	return err == ENOENT ? 0 : err;
}
