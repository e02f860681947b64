/** commands/client_task.c -- one recording, for people and for scripts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "wire/quote.h"

enum { LIST_MAX = 64 * 1024, PATH_MAX_BYTES = 4096 };

int client_read_task(const struct client *c, const char *text, json_t **task)
{
	char path[64];
	uint64_t id;
	struct err e;

	*task = NULL;
	if (str_to_u64(text, &id))
		return client_usage(
			c, "TASK must be a task's id (a number), is %.40s",
			text);
	snprintf(path, sizeof(path), "/v1/tasks/%" PRIu64, id);
	if (client_call(c, "GET", path, NULL, task, &e))
		return client_fail(c, EXIT_FAILED, "%s", e.text);
	return EXIT_DONE;
}

static void show_lists(const json_t *task)
{
	static const char *const keys[] = {"subscribe", "unsubscribe"};
	static const char *const words[] = {"only", "all but"};
	struct buf line;
	json_t *user;
	size_t i;

	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		const json_t *list = json_object_get(task, keys[k]);

		if (!json_array_size(list))
			continue;
		buf_init(&line, LIST_MAX);
		json_array_foreach(list, i, user)
		{
			buf_printf(&line, "%s%s", i ? ", " : "",
				   json_string_value(user));
		}
		client_say("  records %s %s", words[k], buf_str(&line));
		buf_fini(&line);
	}
}

/** "both, ogg", "single, mp3 of 16 kHz"; by itself; paused. */
static void show_way(const json_t *task)
{
	const char *format = client_text(task, "format");
	int64_t rate = client_number(task, "sample_rate");
	bool is_mp3 = !strcmp(format, "mp3");
	char khz[CLIENT_WORD_MAX] = "";

	if (!format[0]) /* an older server does not say */
		return;
	if (is_mp3)
		snprintf(khz, sizeof(khz), " of %" PRId64 " kHz", rate / 1000);
	client_say("  %s, %s%s%s%s", client_text(task, "mode"), format, khz,
		   json_is_true(json_object_get(task, "auto"))
			   ? ", started by itself"
			   : "",
		   json_is_true(json_object_get(task, "paused"))
			   ? ", paused: silence is recorded"
			   : "");
}

void client_show_head(const json_t *task)
{
	char started[CLIENT_WORD_MAX], ended[CLIENT_WORD_MAX],
		length[CLIENT_WORD_MAX];
	const bool is_paused = json_is_true(json_object_get(task, "paused"));
	const char *reason = client_text(task, "reason_text");
	int64_t from = client_number(task, "created_ms");
	int64_t to = client_number(task, "stopped_ms");

	client_say("task %s: app %" PRId64 ", room %s: %s%s%s%s",
		   client_text(task, "task_id"), client_number(task, "app"),
		   client_text(task, "room"), client_text(task, "state"),
		   is_paused ? ", paused: silence is recorded" : "",
		   reason[0] ? ": " : "", reason);
	client_time(from, started);
	client_duration((to ? to : clock_unix_ms()) - from, length);
	if (to)
		printf("  started %s, ended %s, %s long\n", started,
		       client_time(to, ended), length);
	else
		printf("  started %s, for %s now\n", started, length);
	show_way(task);
	show_lists(task);
}

/* ---- segments ------------------------------------------------------------------ */

static bool is_in_state(const json_t *segment, const char *state)
{
	return !strcmp(client_text(segment, "state"), state);
}

/** What is being erased was stored as well, and may be gone. */
static bool is_stored(const json_t *segment)
{
	return is_in_state(segment, "closed") &&
	       json_is_true(json_object_get(segment, "uploaded"));
}

void client_count_waiting(const json_t *list, struct client_waiting *out)
{
	json_t *s;
	size_t i;

	*out = (struct client_waiting){0};
	json_array_foreach(list, i, s)
	{
		if (is_in_state(s, "lost") || is_in_state(s, "erasing"))
			continue;
		out->files++;
		if (!is_in_state(s, "closed") || is_stored(s))
			continue;
		out->waiting++;
		if (!out->segment && client_text(s, "reason")[0])
			out->segment = s;
	}
}

bool client_task_waits(const json_t *task)
{
	return json_is_integer(json_object_get(task, "stopped_ms")) &&
	       !json_is_integer(json_object_get(task, "finished_ms"));
}

static void segment_row(struct client_table *t, const json_t *s)
{
	char start[CLIENT_WORD_MAX], len[CLIENT_WORD_MAX],
		size[CLIENT_WORD_MAX];
	const char *reason = client_text(s, "reason_text");
	const char *code = client_text(s, "reason");
	bool closed = is_in_state(s, "closed") || is_in_state(s, "erasing");

	client_cell(t, "  %s", client_text(s, "user"));
	client_cell(t, "%" PRId64, client_number(s, "seq"));
	client_cell(t, "%s", is_stored(s) ? "stored" : client_text(s, "state"));
	client_cell(t, "%s", client_time(client_number(s, "start_ms"), start));
	client_cell(
		t, "%s",
		closed ? client_duration(client_number(s, "duration_ms"), len)
		       : "-");
	client_cell(t, "%s",
		    closed ? client_size(client_number(s, "size"), size) : "-");
	client_cell(t, "%s%s%s%s%s", client_text(s, "file"),
		    code[0] ? "  " : "", code, code[0] && reason[0] ? ": " : "",
		    reason);
}

/** Say where the files are, or are to go, and how many are not there. */
static void print_storage(const json_t *task, const json_t *list)
{
	const char *storage = client_text(task, "storage");
	struct client_waiting w;
	bool any = false;
	json_t *segment;
	size_t i;

	json_array_foreach(list, i, segment)
	{
		any |= is_stored(segment);
	}
	client_count_waiting(list, &w);
	if (!storage[0] || !w.files)
		return;
	if (!w.waiting)
		client_say("  %s below %s", any ? "stored" : "to be stored",
			   storage);
	else
		client_say("  to be stored below %s; %zu of %zu files wait for "
			   "that%s%s",
			   storage, w.waiting, w.files, w.segment ? ": " : "",
			   w.segment ? client_text(w.segment, "reason") : "");
}

/** There is none.  What was erased leaves no row, and only what is finished can
 *  be erased. */
static void print_no_segment(const json_t *task)
{
	puts(json_is_integer(json_object_get(task, "finished_ms"))
		     ? "  no file (any more): nobody has spoken, or what was "
		       "recorded has been erased"
		     : "  no file: nobody has spoken");
}

static void print_segments(const json_t *task, const json_t *list)
{
	static const char *const heads[] = {"  USER", "SEQ",  "STATE", "START",
					    "LENGTH", "SIZE", "FILE"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	json_t *segment;
	size_t i;

	if (!json_array_size(list)) {
		print_no_segment(task);
		return;
	}
	for (i = 0; i < ARRAY_LEN(heads); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(list, i, segment)
	{
		segment_row(&t, segment);
	}
	client_table_print(&t);
}

int client_read_segments(const struct client *c, const json_t *task,
			 json_t **list)
{
	struct buf path;
	bool more;
	struct err e;
	int code = EXIT_DONE;

	*list = NULL;
	buf_init(&path, PATH_MAX_BYTES);
	buf_puts(&path, "/v1/tasks/");
	quote_percent(&path, client_text(task, "task_id"));
	buf_puts(&path, "/segments?");
	if (client_list(c, buf_str(&path), "segments", SIZE_MAX, list, &more,
			&e))
		code = client_fail(c, EXIT_FAILED, "%s", e.text);
	buf_fini(&path);
	return code;
}

int client_show_segments(const struct client *c, json_t *task)
{
	json_t *list;
	int code = client_read_segments(c, task, &list);

	if (code)
		return code;
	if (!c->json) {
		print_storage(task, list);
		print_segments(task, list);
	} else if (json_object_set(task, "segments", list)) {
		code = client_fail(c, EXIT_FAILED, "out of memory");
	} else {
		code = client_print(task);
	}
	json_decref(list);
	return code;
}

int client_show_task(const struct client *c, const char *text)
{
	json_t *task;
	int code = client_read_task(c, text, &task);

	if (code)
		return code;
	if (!c->json)
		client_show_head(task);
	code = client_show_segments(c, task);
	json_decref(task);
	return code;
}
