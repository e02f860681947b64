/** commands/rooms.c -- `tapeop rooms`: who is in which room, and out of it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop rooms [options]\n"
	"       tapeop rooms --remove INPUT [options]\n"
	"\n"
	"Show who is in which room, where their sound comes from, and what is\n"
	"recorded; or let one leave whose program did not.\n"
	"\n"
	"  --remove INPUT     take this input (its number is in the list) out "
	"of\n"
	"                     its room; its open file is closed\n" CLIENT_HELP
	"\n"
	"Example: tapeop rooms --server http://127.0.0.1:8080\n";

enum { TASKS_TEXT_MAX = 4096 };

static void input_row(struct client_table *t, const json_t *in)
{
	const char *sender = client_text(in, "sender");
	const char *address = client_text(in, "address");
	const char *warning = client_text(in, "warning");
	int64_t packets = client_number(in, "packets");
	int64_t lost = client_number(in, "lost");

	client_cell(t, "  %s", client_text(in, "user"));
	client_cell(t, "%s", client_text(in, "mic"));
	client_cell(t, "%s", warning[0] ? warning : "-");
	client_cell(t, strchr(address, ':') ? "[%s]:%" PRId64 : "%s:%" PRId64,
		    address, client_number(in, "port"));
	client_cell(t, "%s", sender[0] ? sender : "nobody yet");
	client_cell(t, "%" PRId64, packets);
	if (lost)
		client_cell(t, "%" PRId64 " (%.1f %%)", lost,
			    100.0 * (double)lost / (double)(packets + lost));
	else
		client_cell(t, "0");
	client_cell(t, "%s", client_text(in, "input_id"));
}

/** "task 1", "tasks 1, 2", "not recorded" */
static void write_tasks(const json_t *room, struct buf *out)
{
	const json_t *ids = json_object_get(room, "task_ids");
	size_t n = json_array_size(ids);

	buf_puts(out, n > 1 ? "tasks" : n ? "task" : "not recorded");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s %s", i ? "," : "",
			   json_string_value(json_array_get(ids, i)));
}

static void show_room(const json_t *room)
{
	static const char *const heads[] = {"  USER", "MIC",	"WARNING",
					    "PORT",   "SENDER", "PACKETS",
					    "LOST",   "INPUT"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	const json_t *inputs = json_object_get(room, "inputs");
	struct buf tasks;
	json_t *input;
	size_t i;

	buf_init(&tasks, TASKS_TEXT_MAX);
	write_tasks(room, &tasks);
	client_say("app %" PRId64 ", room %s: %s", client_number(room, "app"),
		   client_text(room, "room"), buf_str(&tasks));
	buf_fini(&tasks);
	for (i = 0; i < ARRAY_LEN(heads) && json_array_size(inputs); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(inputs, i, input)
	{
		input_row(&t, input);
	}
	client_table_print(&t);
}

static int list_rooms(struct client *c)
{
	json_t *answer;
	json_t *room;
	struct err e;
	size_t i;
	int code = EXIT_DONE;

	if (client_call(c, "GET", "/v1/rooms", NULL, &answer, &e))
		return client_fail(c, EXIT_FAILED, "%s", e.text);
	if (c->json)
		code = client_print(answer);
	else if (!json_array_size(json_object_get(answer, "rooms")))
		puts("no rooms: nobody has an input (`tapeop publish --help`)");
	json_array_foreach(json_object_get(answer, "rooms"), i, room)
	{
		if (!c->json)
			show_room(room);
	}
	json_decref(answer);
	return code;
}

static int remove_input(struct client *c, const char *text)
{
	json_t *input;
	char path[64];
	uint64_t id;
	struct err e;
	int code = EXIT_DONE;

	if (str_to_u64(text, &id))
		return client_usage(c,
				    "--remove must be an input's id (a "
				    "number), is %.40s",
				    text);
	snprintf(path, sizeof(path), "/v1/inputs/%" PRIu64, id);
	if (client_call(c, "DELETE", path, NULL, &input, &e))
		return client_fail(c, EXIT_FAILED, "%s", e.text);
	if (c->json)
		code = client_print(input);
	else
		client_say("%s has left room %s (input %s)",
			   client_text(input, "user"),
			   client_text(input, "room"),
			   client_text(input, "input_id"));
	json_decref(input);
	return code;
}

int command_rooms(int argc, char **argv)
{
	const char *leaver = NULL;
	const struct client_option options[] = {
		{.name = "remove", .value = &leaver}};
	struct client c;
	int code =
		client_init(&c, argc, argv, help, options, ARRAY_LEN(options));

	if (code < 0 && c.n_args)
		code = client_usage(&c, "what is %.40s?", c.args[0]);
	else if (code < 0 && leaver)
		code = remove_input(&c, leaver);
	else if (code < 0)
		code = list_rooms(&c);
	client_close(&c);
	return code;
}
