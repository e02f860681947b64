/** commands/start.c -- `tapeop start`: record a room. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "wire/quote.h"

static const char help[] =
	"usage: tapeop start --app ID --room ROOM [options]\n"
	"\n"
	"Record a room: one file a speaker, one for all, or both.  Prints the\n"
	"task's id, once the task is durable.\n"
	"\n"
	"  --app ID           the app's id\n"
	"  --room ROOM        the room; somebody must be in it\n"
	"  --mode MODE        single (the default), mixed or both\n"
	"  --format FORMAT    mp3 or ogg; unless given: as the app is set up\n"
	"  --sample-rate HZ   of mp3: 48000, 24000 or 16000; the same\n"
	"  --subscribe U,U    record only these users (at most 32); may be\n"
	"                     repeated; a comma in an id is written \\,\n"
	"  --unsubscribe U,U  record all but these; the same\n" CLIENT_HELP "\n"
	"Example: tapeop start --app 1400000000 --room lobby --unsubscribe "
	"bot\n";

enum { USER_MAX = 4096 /* bytes that are sent of one id */ };

struct start {
	struct client client;
	const char *app, *room, *mode, *format, *sample_rate;
	struct client_values subscribe, unsubscribe;
};

/** Append "a,b\,c" to the list as "a" and "b,c".  Returns 0 or -1. */
static int add_users(json_t *list, const char *users)
{
	char id[USER_MAX];
	size_t len = 0;
	int bad = 0;

	for (; !bad; users++) {
		bool end = !*users || *users == ',';

		if (*users == '\\' && users[1] == ',')
			users++;
		if (!end && len < sizeof(id))
			id[len++] =
				*users; /* the server says what is too long */
		if (!end)
			continue;
		bad = json_array_append_new(list, json_stringn(id, len));
		len = 0;
		if (!*users)
			break;
	}
	return bad;
}

/** The users of an option, if it was given, at `key`.  Returns 0 or -1. */
static int set_users(json_t *body, const char *key,
		     const struct client_values *given)
{
	json_t *list;
	int bad = 0;

	if (!given->n)
		return 0;
	list = json_array();
	for (size_t i = 0; i < given->n && !bad; i++)
		bad = add_users(list, given->v[i]);
	bad |= json_object_set(body, key, list);
	json_decref(list);
	return bad;
}

static json_t *make_body(const struct start *s, int64_t rate)
{
	json_t *body = json_pack("{s:s}", "mode", s->mode ? s->mode : "single");
	int bad = 0;

	if (s->format)
		bad |= json_object_set_new(body, "format",
					   json_string(s->format));
	if (s->sample_rate)
		bad |= json_object_set_new(body, "sample_rate",
					   json_integer(rate));
	bad |= set_users(body, "subscribe", &s->subscribe);
	bad |= set_users(body, "unsubscribe", &s->unsubscribe);
	if (!bad)
		return body;
	json_decref(body);
	return NULL;
}

/** Append an argument as a shell takes it. */
static void put_argument(const char *text, struct buf *out)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._";

	if (text[0] != '-' && !text[strspn(text, plain)]) {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *text);
	}
	buf_putc(out, '\'');
}

/** There is no such room: say how one comes to be.  Returns an exit code. */
static int tell_how(const struct start *s, const char *tasks_path,
		    const struct err *e)
{
	const char *server = s->client.server;
	size_t server_len = strlen(server);
	struct buf room;
	int code;

	while (server_len && server[server_len - 1] == '/')
		server_len--;
	buf_init(&room, 4096);
	put_argument(s->room, &room);
	code = client_fail(&s->client, EXIT_FAILED,
			   "%s; let somebody in: `tapeop publish FILE --app %s "
			   "--room %s --user NAME`, or curl -d "
			   "'{\"user\":\"NAME\",\"kind\":\"rtp\"}' "
			   "%.*s%.*s/inputs",
			   e->text, s->app, buf_str(&room), (int)server_len,
			   server, (int)(strlen(tasks_path) - strlen("/tasks")),
			   tasks_path);
	buf_fini(&room);
	return code;
}

static int start(struct start *s)
{
	json_t *task = NULL, *body;
	int64_t rate = 0;
	struct buf path;
	struct err e;
	int err = 0;
	int code = EXIT_DONE;

	if (s->sample_rate && str_to_i64(s->sample_rate, 1, 192000, &rate))
		return client_usage(&s->client, "--sample-rate: 48000, 24000 "
						"or 16000");
	body = make_body(s, rate);
	if (!body)
		return client_usage(&s->client, "the lists must be UTF-8");
	buf_init(&path, 4096);
	buf_puts(&path, "/v1/apps/");
	quote_percent(&path, s->app);
	buf_puts(&path, "/rooms/");
	quote_percent(&path, s->room);
	buf_puts(&path, "/tasks");
	if (buf_err(&path))
		code = client_usage(&s->client, "--room is too long");
	else
		err = client_call(&s->client, "POST", buf_str(&path), body,
				  &task, &e);
	if (err == ENOENT && !strcmp(e.field, "room"))
		code = tell_how(s, buf_str(&path), &e);
	else if (err)
		code = client_fail(&s->client, EXIT_FAILED, "%s", e.text);
	else if (task && s->client.json)
		code = client_print(task);
	else if (task)
		puts(client_text(task, "task_id"));
	json_decref(task);
	json_decref(body);
	buf_fini(&path);
	return code;
}

int command_start(int argc, char **argv)
{
	struct start s = {0};
	const struct client_option options[] = {
		{.name = "app", .value = &s.app},
		{.name = "room", .value = &s.room},
		{.name = "mode", .value = &s.mode},
		{.name = "format", .value = &s.format},
		{.name = "sample-rate", .value = &s.sample_rate},
		{.name = "subscribe", .values = &s.subscribe},
		{.name = "unsubscribe", .values = &s.unsubscribe},
	};
	int code = client_init(&s.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0 && s.client.n_args)
		code = client_usage(&s.client, "what is %.60s?",
				    s.client.args[0]);
	else if (code < 0 && (!s.app || !s.app[0] || !s.room || !s.room[0]))
		code = client_usage(&s.client, "--app and --room are required");
	else if (code < 0 && s.subscribe.n && s.unsubscribe.n)
		code = client_usage(&s.client, "--subscribe or --unsubscribe, "
					       "not both");
	else if (code < 0)
		code = start(&s);
	client_close(&s.client);
	return code;
}
