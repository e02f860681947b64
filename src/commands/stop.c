/** commands/stop.c -- `tapeop stop`: end a recording and show its files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop stop TASK [options]\n"
	"\n"
	"Stop a recording, wait until its files are stored, and list them.\n"
	"Stopping twice is fine.\n"
	"\n"
	"  --no-wait          only ask for the stop\n"
	"  --timeout SECONDS  wait no longer than this (60)\n" CLIENT_HELP "\n"
	"Exit codes: 0 stopped, with all files in storage (--no-wait: asked "
	"for);\n"
	"1 failed; 2 usage; 3 stopped, but not all files are in storage when "
	"the\n"
	"wait is over: they are listed, each is tried again until it is.\n"
	"--json prints the task, with its `segments` unless --no-wait.\n"
	"Example: tapeop stop 57110321809850368\n";

enum { LOOK_MS = 100, EXIT_WAITS = 3 };

struct stop {
	struct client client;
	const char *timeout;
	bool no_wait;
};

/** Look until it is finished, or stopped and the time is over; *task is replaced
 *  by what it is now. */
static int wait_for_end(struct stop *s, const char *path, int64_t seconds,
			json_t **task)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};
	int64_t until_us = clock_now_us() + seconds * CLOCK_US_PER_S;
	struct err e;

	while (!json_is_integer(json_object_get(*task, "finished_ms"))) {
		if (clock_now_us() > until_us && client_task_waits(*task))
			break;
		if (clock_now_us() > until_us)
			return client_fail(&s->client, EXIT_FAILED,
					   "task %s is still %s; look again "
					   "with `tapeop status %s`",
					   s->client.args[0],
					   client_text(*task, "state"),
					   s->client.args[0]);
		nanosleep(&pause, NULL);
		json_decref(*task);
		if (client_call(&s->client, "GET", path, NULL, task, &e))
			return client_fail(&s->client, EXIT_FAILED, "%s",
					   e.text);
	}
	return EXIT_DONE;
}

/** It is stopped, and its files are not in storage: say how many, and why. */
static int say_waiting(const struct stop *s, const json_t *task)
{
	const char *id = s->client.args[0];
	struct client_waiting w;
	json_t *list;
	int code = client_read_segments(&s->client, task, &list);

	if (code)
		return code;
	client_count_waiting(list, &w);
	if (w.segment)
		code = client_fail(&s->client, EXIT_WAITS,
				   "task %s is stopped, but %zu of %zu files "
				   "are not in storage yet: %s: %s; each is "
				   "tried again, look with `tapeop status %s`",
				   id, w.waiting, w.files,
				   client_text(w.segment, "reason"),
				   client_text(w.segment, "reason_text"), id);
	else if (w.waiting)
		code = client_fail(&s->client, EXIT_WAITS,
				   "task %s is stopped, but %zu of %zu files "
				   "are not in storage yet; look again with "
				   "`tapeop status %s`",
				   id, w.waiting, w.files, id);
	else
		code = client_fail(&s->client, EXIT_WAITS,
				   "task %s is stopped, and its files are in "
				   "storage, but not its manifest yet; look "
				   "again with `tapeop status %s`",
				   id, id);
	json_decref(list);
	return code;
}

static int show(struct stop *s, json_t *task)
{
	const char *reason = client_text(task, "reason_text");

	if (!s->client.json)
		client_say("task %s: %s%s%s", client_text(task, "task_id"),
			   client_text(task, "state"), reason[0] ? ": " : "",
			   reason);
	if (!s->no_wait)
		return client_show_segments(&s->client, task);
	return s->client.json ? client_print(task) : EXIT_DONE;
}

static int stop(struct stop *s)
{
	json_t *task = NULL;
	int64_t seconds = 60;
	char path[64];
	uint64_t id;
	struct err e;
	int code = EXIT_DONE;

	if (str_to_u64(s->client.args[0], &id))
		return client_usage(&s->client,
				    "TASK must be a task's id (a number), is "
				    "%.40s",
				    s->client.args[0]);
	if (s->timeout && str_to_i64(s->timeout, 1, 86400, &seconds))
		return client_usage(&s->client,
				    "--timeout must be seconds from 1 to "
				    "86400, is %.40s",
				    s->timeout);
	snprintf(path, sizeof(path), "/v1/tasks/%" PRIu64, id);
	if (client_call(&s->client, "DELETE", path, NULL, &task, &e))
		return client_fail(&s->client, EXIT_FAILED, "%s", e.text);
	if (!s->no_wait)
		code = wait_for_end(s, path, seconds, &task);
	if (code == EXIT_DONE)
		code = show(s, task);
	if (code == EXIT_DONE && !s->no_wait && client_task_waits(task))
		code = say_waiting(s, task);
	json_decref(task);
	return code;
}

int command_stop(int argc, char **argv)
{
	struct stop s = {0};
	const struct client_option options[] = {
		{.name = "no-wait", .flag = &s.no_wait},
		{.name = "timeout", .value = &s.timeout},
	};
	int code = client_init(&s.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0 && s.client.n_args != 1)
		code = client_usage(&s.client, "one TASK is required");
	else if (code < 0)
		code = stop(&s);
	client_close(&s.client);
	return code;
}
