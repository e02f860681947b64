/** commands/tasks.c -- `tapeop tasks`: recordings, newest first, or one. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "commands/wave.h"

static const char help[] =
	"usage: tapeop tasks [options]\n"
	"       tapeop tasks TASK [--wave] [options]\n"
	"\n"
	"List recordings, newest first; with a TASK, show one with its files,\n"
	"or draw them.\n"
	"\n"
	"  --state STATE      running, stopping, stopped or failed\n"
	"  --app ID           of this app\n"
	"  --room ROOM        of this room\n"
	"  --limit N          at most so many (50)\n"
	"  --wave             draw the levels of each speaker on one time "
	"axis\n"
	"  --ascii            draw without block characters\n"
	"  --columns N        draw so many columns (what fits the terminal;\n"
	"                     with --json 100)\n" CLIENT_HELP "\n"
	"--wave reads the files that are closed, from the server.  --json "
	"with\n"
	"it prints {\"tracks\":[{\"user\",\"mode\",\"start_ms\",\"end_ms\",\n"
	"\"peaks\":[..]}]}: peaks from 0 to 1, null where nothing was "
	"recorded.\n"
	"Example: tapeop tasks 57110321809850368 --wave\n";

enum {
	REASON_MAX = 2048,
	LOOKS_MAX = 20 /* tasks whose files are looked at, for the reason */
};

struct tasks {
	struct client client;
	const char *state, *app, *room, *limit, *columns;
	bool wave, ascii;
	int64_t n_columns; /* of --columns; 0: not given */
};

/**
 * Why is it not finished?  Its own reason, and that files of it wait for
 * storage, with the code of one that failed.
 *
 * looks   so many tasks may still be asked for that code
 */
static void write_reason(const struct client *c, const json_t *task,
			 size_t *looks, struct buf *out)
{
	struct client_waiting w = {0};
	json_t *list = NULL;

	buf_puts(out, client_text(task, "reason_text"));
	if (!client_task_waits(task))
		return;
	if (*looks) {
		--*looks;
		if (client_read_segments(c, task, &list))
			*looks = 0; /* that was said */
		client_count_waiting(list, &w);
	}
	buf_printf(out, "%sfiles wait for storage", out->len ? "; " : "");
	if (w.segment)
		buf_printf(out, ": %s", client_text(w.segment, "reason"));
	json_decref(list);
}

static void task_row(const struct client *c, struct client_table *t,
		     const json_t *task, size_t *looks)
{
	char started[CLIENT_WORD_MAX], length[CLIENT_WORD_MAX];
	const char *state = client_text(task, "state");
	struct buf reason;
	bool running = !strcmp(state, "running");
	int64_t from = client_number(task, "created_ms");
	int64_t to = client_number(task, "stopped_ms");

	client_cell(t, "%s", client_text(task, "task_id"));
	client_cell(t, "%" PRId64, client_number(task, "app"));
	client_cell(t, "%s", client_text(task, "room"));
	client_cell(t, "%s", client_text(task, "mode"));
	client_cell(t, "%s",
		    running && json_is_true(json_object_get(task, "paused"))
			    ? "paused"
			    : state);
	client_cell(t, "%s", client_time(from, started));
	client_cell(
		t, "%s",
		client_duration((to ? to : clock_unix_ms()) - from, length));
	buf_init(&reason, REASON_MAX);
	write_reason(c, task, looks, &reason);
	client_cell(t, "%s", buf_str(&reason));
	buf_fini(&reason);
}

static void show(const struct client *c, const json_t *list, bool more,
		 size_t limit)
{
	static const char *const heads[] = {"TASK",   "APP",   "ROOM",
					    "MODE",   "STATE", "STARTED",
					    "LENGTH", "REASON"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	size_t looks = LOOKS_MAX;
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
		task_row(c, &t, task, &looks);
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
	show(&ts->client, list, more, limit);
	json_decref(list);
	return EXIT_DONE;
}

/* ---- one of them --------------------------------------------------------------- */

/** Columns of a line: COLUMNS of the environment, the terminal's, or 80. */
static size_t line_columns(const struct screen *screen)
{
	const char *text = getenv("COLUMNS");
	int64_t n;

	if (!text || str_to_i64(text, 1, INT32_MAX, &n))
		return screen_width(screen);
	return n < WAVE_WIDTH_MIN     ? WAVE_WIDTH_MIN
	       : n > WAVE_COLUMNS_MAX ? WAVE_COLUMNS_MAX
				      : (size_t)n;
}

/** Returns an exit code. */
static int draw(struct tasks *ts, const json_t *task, const json_t *rows)
{
	size_t n = (size_t)ts->n_columns;
	struct screen screen;
	size_t width, name;
	struct wave w;
	bool complete = false;
	struct err e;
	int code;

	if (wave_plan(rows, clock_unix_ms(), &w, &e)) {
		wave_free(&w);
		return client_fail(&ts->client, EXIT_FAILED, "%s", e.text);
	}
	screen_init(&screen, stdout);
	screen.is_utf8 &= !ts->ascii;
	width = line_columns(&screen);
	name = wave_name_columns(&w, width) + 1;
	if (!n)
		n = ts->client.json ? WAVE_PRINT_COLUMNS : width - name;
	else if (width < name + n)
		width = name + n;
	code = wave_read(&ts->client, &w, n, &complete);
	if (complete && !ts->client.json)
		wave_draw(&w, task, &screen, width);
	else if (complete && wave_print(&w, task))
		code = EXIT_FAILED;
	screen_fini(&screen);
	wave_free(&w);
	return code;
}

static int draw_task(struct tasks *ts, const char *id)
{
	json_t *rows = NULL;
	json_t *task;
	int code = client_read_task(&ts->client, id, &task);

	if (!code)
		code = client_read_segments(&ts->client, task, &rows);
	if (!code)
		code = draw(ts, task, rows);
	json_decref(rows);
	json_decref(task);
	return code;
}

/** Returns -1 to go on, or an exit code. */
static int check_options(struct tasks *ts)
{
	const struct client *c = &ts->client;

	if (c->n_args > 1)
		return client_usage(c, "one TASK, or none");
	if (c->n_args && (ts->state || ts->app || ts->room || ts->limit))
		return client_usage(c, "a TASK goes without --state, --app, "
				       "--room and --limit");
	if (ts->wave && !c->n_args)
		return client_usage(c, "--wave needs a TASK");
	if (!ts->wave && (ts->ascii || ts->columns))
		return client_usage(c, "--ascii and --columns go with --wave");
	if (ts->columns &&
	    str_to_i64(ts->columns, 1, WAVE_COLUMNS_MAX, &ts->n_columns))
		return client_usage(c,
				    "--columns must be a number from 1 to "
				    "%d, is %.40s",
				    WAVE_COLUMNS_MAX, ts->columns);
	return -1;
}

int command_tasks(int argc, char **argv)
{
	struct tasks ts = {0};
	const struct client_option options[] = {
		{.name = "state", .value = &ts.state},
		{.name = "app", .value = &ts.app},
		{.name = "room", .value = &ts.room},
		{.name = "limit", .value = &ts.limit},
		{.name = "wave", .flag = &ts.wave},
		{.name = "ascii", .flag = &ts.ascii},
		{.name = "columns", .value = &ts.columns},
	};
	int code = client_init(&ts.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0)
		code = check_options(&ts);
	if (code < 0 && ts.wave)
		code = draw_task(&ts, ts.client.args[0]);
	else if (code < 0 && ts.client.n_args)
		code = client_show_task(&ts.client, ts.client.args[0]);
	else if (code < 0)
		code = list_tasks(&ts);
	client_close(&ts.client);
	return code;
}
