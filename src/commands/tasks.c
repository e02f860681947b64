/** commands/tasks.c -- `tapeop tasks`: recordings, newest first. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop tasks [options]\n"
	"\n"
	"List recordings, newest first.\n"
	"\n"
	"  --state STATE      running, stopping, stopped or failed\n"
	"  --app ID           of this app\n"
	"  --room ROOM        of this room\n"
	"  --limit N          at most so many (50)\n" CLIENT_HELP "\n"
	"Example: tapeop tasks --state failed\n";

struct tasks {
	struct client client;
	const char *state, *app, *room, *limit;
};

static void task_row(struct client_table *t, const json_t *task)
{
	char started[CLIENT_WORD_MAX], length[CLIENT_WORD_MAX];
	const char *reason = client_text(task, "reason_text");
	int64_t from = client_number(task, "created_ms");
	int64_t to = client_number(task, "stopped_ms");

	client_cell(t, "%s", client_text(task, "task_id"));
	client_cell(t, "%" PRId64, client_number(task, "app"));
	client_cell(t, "%s", client_text(task, "room"));
	client_cell(t, "%s", client_text(task, "state"));
	client_cell(t, "%s", client_time(from, started));
	client_cell(
		t, "%s",
		client_duration((to ? to : clock_unix_ms()) - from, length));
	client_cell(t, "%s", reason[0] ? reason : "");
}

static void show(const json_t *list, bool more, size_t limit)
{
	static const char *const heads[] = {
		"TASK", "APP", "ROOM", "STATE", "STARTED", "LENGTH", "REASON"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	json_t *task;
	size_t i;

	if (!json_array_size(list)) {
		puts("no tasks");
		return;
	}
	for (i = 0; i < ARRAY_LEN(heads); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(list, i, task)
	{
		task_row(&t, task);
	}
	client_table_print(&t);
	if (more)
		printf("there are more than %zu: --limit\n", limit);
}

static int list_tasks(struct tasks *ts)
{
	const struct client_filter filters[] = {
		{"state", ts->state}, {"app", ts->app}, {"room", ts->room}};
	json_t *list = NULL;
	size_t limit;
	bool more;
	struct buf path;
	struct err e;
	int code = client_limit(&ts->client, ts->limit, 50, &limit);

	if (code)
		return code;
	buf_init(&path, 4096);
	client_write_query("/v1/tasks", filters, ARRAY_LEN(filters), &path);
	if (client_list(&ts->client, buf_str(&path), "tasks", limit, &list,
			&more, &e))
		code = client_fail(&ts->client, EXIT_FAILED, "%s", e.text);
	buf_fini(&path);
	if (code)
		return code;
	if (ts->client.json)
		return client_print_list("tasks", list, more);
	show(list, more, limit);
	json_decref(list);
	return EXIT_DONE;
}

int command_tasks(int argc, char **argv)
{
	struct tasks ts = {0};
	const struct client_option options[] = {
		{.name = "state", .value = &ts.state},
		{.name = "app", .value = &ts.app},
		{.name = "room", .value = &ts.room},
		{.name = "limit", .value = &ts.limit},
	};
	int code = client_init(&ts.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0 && ts.client.n_args)
		code = client_usage(&ts.client, "what is %.40s?",
				    ts.client.args[0]);
	else if (code < 0)
		code = list_tasks(&ts);
	client_close(&ts.client);
	return code;
}
