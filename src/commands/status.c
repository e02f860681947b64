/** commands/status.c -- `tapeop status`: how is it going? */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop status [TASK] [options]\n"
	"\n"
	"Show the server at a glance: is it ready, who is in, what is being\n"
	"recorded, what waits to be told.  With a TASK: that recording and "
	"its\n"
	"files.  Exit code 1 when the server is not ready.\n"
	"\n" CLIENT_HELP "\n"
	"--json prints the overview as one object, or the task with its\n"
	"`segments`.\n"
	"Example: tapeop status 57110321809850368\n";

enum {
	METRICS_MAX = 1 << 20,
	RUNNING_MAX = 1000,
	WAITING_LOOKS = 20, /* tasks whose files are looked at, the oldest */
	WAITING_MAX = 3	    /* that are named */
};

/** What the overview is made of. */
struct overview {
	bool ready;
	char why[200]; /* not */
	json_t *rooms; /* the answer of /v1/rooms */
	json_t *tasks; /* running */
	bool more_tasks;
	json_t *waiting;    /* tasks with files that wait for storage */
	bool more_waiting;  /* there may be others */
	json_t *endpoints;  /* the answer of /v1/endpoints */
	struct buf metrics; /* text */
};

/** The value of "tapeop_<name> ", 0 when it is not there. */
static int64_t metric(const struct overview *o, const char *name)
{
	char key[64];
	const char *at;
	int64_t value = 0;
	char number[24];

	snprintf(key, sizeof(key), "\ntapeop_%s ", name);
	at = strstr(buf_str(&o->metrics), key);
	if (!at)
		return 0;
	at += strlen(key);
	snprintf(number, sizeof(number), "%.*s", (int)strcspn(at, "\n"), at);
	return str_to_i64(number, INT64_MIN, INT64_MAX, &value) ? 0 : value;
}

static int read_ready(struct client *c, struct overview *o, struct err *e)
{
	struct buf text;
	json_t *json;
	int status = 0;
	int err;

	buf_init(&text, METRICS_MAX);
	err = client_ask(c, "GET", "/readyz", NULL, &status, &text, e);
	o->ready = status == 200;
	json = json_loadb(buf_str(&text), text.len, 0, NULL);
	str_copy(o->why, sizeof(o->why), client_text(json, "detail"));
	json_decref(json);
	buf_fini(&text);
	return err;
}

static int read_overview(struct client *c, struct overview *o, struct err *e)
{
	int status = 0;
	int err = read_ready(c, o, e);

	if (!err)
		err = client_call(c, "GET", "/v1/rooms", NULL, &o->rooms, e);
	if (!err)
		err = client_list(c, "/v1/tasks?state=running&", "tasks",
				  RUNNING_MAX, &o->tasks, &o->more_tasks, e);
	if (!err)
		err = client_call(c, "GET", "/v1/endpoints", NULL,
				  &o->endpoints, e);
	if (!err)
		err = client_ask(c, "GET", "/metrics", NULL, &status,
				 &o->metrics, e);
	return err;
}

/** Add the task to those that wait, if a file of it does. */
static int add_waiting(const struct client *c, struct overview *o,
		       const json_t *task)
{
	struct client_waiting w;
	json_t *list = NULL;
	int err = 0;

	if (client_read_segments(c, task, &list))
		return EIO; /* it said so */
	client_count_waiting(list, &w);
	if (w.waiting)
		err = json_array_append_new(
			o->waiting,
			json_pack("{s:s, s:I, s:s, s:s}", "task_id",
				  client_text(task, "task_id"), "waiting",
				  (json_int_t)w.waiting, "reason",
				  client_text(w.segment, "reason"),
				  "reason_text",
				  client_text(w.segment, "reason_text")));
	json_decref(list);
	return err ? ENOMEM : 0;
}

/** Find tasks with files that wait, the oldest first; those that are over before
 *  those that run, which may have stored all that is recorded to the end. */
static void read_waiting(const struct client *c, struct overview *o)
{
	json_t *tasks = NULL;
	size_t looks = WAITING_LOOKS;
	struct err e;
	bool more;

	o->waiting = json_array();
	/* an older server does not know this filter: then none is named */
	if (!metric(o, "uploads_pending") ||
	    client_list(c, "/v1/tasks?finished=false&", "tasks", RUNNING_MAX,
			&tasks, &more, &e))
		return;
	o->more_waiting = more;
	for (int running = 0; running < 2; running++) {
		for (size_t i = json_array_size(tasks); i; i--) {
			const json_t *task = json_array_get(tasks, i - 1);

			if (client_task_waits(task) == running)
				continue;
			if (!looks ||
			    json_array_size(o->waiting) == WAITING_MAX)
				o->more_waiting = true;
			else if (add_waiting(c, o, task))
				looks = 0;
			else
				looks--;
		}
	}
	json_decref(tasks);
}

static void show_tasks(const struct overview *o)
{
	char length[CLIENT_WORD_MAX];
	int64_t now_ms = clock_unix_ms();
	json_t *task;
	size_t i;

	json_array_foreach(o->tasks, i, task)
	{
		client_say("           %s  app %" PRId64
			   ", room %s, for %s, %" PRId64 " files open",
			   client_text(task, "task_id"),
			   client_number(task, "app"),
			   client_text(task, "room"),
			   client_duration(
				   now_ms - client_number(task, "created_ms"),
				   length),
			   client_number(task, "segments_open"));
	}
}

/** Inputs that something is the matter with. */
static void show_warnings(const struct overview *o)
{
	json_t *room;
	json_t *input;
	size_t i, j;

	json_array_foreach(json_object_get(o->rooms, "rooms"), i, room)
	{
		json_array_foreach(json_object_get(room, "inputs"), j, input)
		{
			const char *warning = client_text(input, "warning");

			if (warning[0])
				client_say("           WARNING %s: %s in room "
					   "%s (input %s)",
					   warning, client_text(input, "user"),
					   client_text(room, "room"),
					   client_text(input, "input_id"));
		}
	}
}

/** How far storage is behind, if it is. */
static void show_uploads(const struct overview *o)
{
	char bytes[CLIENT_WORD_MAX], rate[CLIENT_WORD_MAX];
	char age[CLIENT_WORD_MAX];
	json_t *task;
	size_t i;

	if (!metric(o, "uploads_pending"))
		return;
	printf("uploads    %" PRId64 " files (%s) wait, the oldest for %s; "
	       "%s/s; %" PRId64 " attempts failed since the start\n",
	       metric(o, "uploads_pending"),
	       client_size(metric(o, "uploads_pending_bytes"), bytes),
	       client_duration(metric(o, "uploads_oldest_seconds") * 1000, age),
	       client_size(metric(o, "upload_bytes_per_second"), rate),
	       metric(o, "uploads_failed_total"));
	json_array_foreach(o->waiting, i, task)
	{
		const char *reason = client_text(task, "reason");

		client_say("           task %s: %" PRId64 " wait%s%s%s%s",
			   client_text(task, "task_id"),
			   client_number(task, "waiting"),
			   reason[0] ? ": " : "", reason, reason[0] ? ": " : "",
			   client_text(task, "reason_text"));
	}
	if (json_array_size(o->waiting) && o->more_waiting)
		puts("           maybe others: `tapeop tasks`");
}

static void show_disk(const struct overview *o)
{
	char space[CLIENT_WORD_MAX], waiting[CLIENT_WORD_MAX];

	printf("files      %" PRId64 " open, %" PRId64 " closed, %" PRId64
	       " lost, %" PRId64 " wait for storage\n",
	       metric(o, "segments_open"), metric(o, "segments_closed_total"),
	       metric(o, "segments_lost_total"), metric(o, "uploads_pending"));
	show_uploads(o);
	client_size(metric(o, "disk_free_bytes"), space);
	printf("disk       %s free, %s of sound wait to be written\n",
	       metric(o, "disk_free_bytes") < 0 ? "unknown" : space,
	       client_size(metric(o, "file_queue_bytes"), waiting));
}

/** What went by itself, and whether something would not. */
static void show_retention(const struct overview *o)
{
	char bytes[CLIENT_WORD_MAX];
	const int64_t files = metric(o, "retention_segments_total");
	const int64_t rows = metric(o, "retention_rows_total");
	const int64_t failed = metric(o, "retention_failed_total");

	if (files || rows || failed)
		printf("retention  %" PRId64 " files (%s) and %" PRId64
		       " rows went since the start; %" PRId64 " times it failed"
		       "%s\n",
		       files,
		       client_size(metric(o, "retention_bytes_total"), bytes),
		       rows, failed, failed ? ": the log says why" : "");
}

/** When the oldest callback that is pending was made, of all endpoints; 0: none
 *  is.  taken: how many were taken in the last minute, -1: not known. */
static int64_t oldest_pending(const struct overview *o, int64_t *taken)
{
	int64_t oldest_ms = 0;
	json_t *e;
	size_t i;

	*taken = -1;
	json_array_foreach(json_object_get(o->endpoints, "endpoints"), i, e)
	{
		const json_t *n = json_object_get(e, "delivered_last_minute");
		const int64_t at_ms = client_number(e, "oldest_pending_ms");

		if (at_ms && (!oldest_ms || at_ms < oldest_ms))
			oldest_ms = at_ms;
		if (json_is_integer(n))
			*taken = (*taken < 0 ? 0 : *taken) +
				 json_integer_value(n);
	}
	return oldest_ms;
}

static void show_callbacks(const struct overview *o)
{
	char age[CLIENT_WORD_MAX];
	int64_t taken;
	const int64_t oldest_ms = oldest_pending(o, &taken);

	printf("callbacks  %" PRId64 " delivered",
	       metric(o, "deliveries_delivered_total"));
	if (taken >= 0)
		printf(" (%" PRId64 " in the last minute)", taken);
	printf(", %" PRId64 " pending", metric(o, "deliveries_pending"));
	if (oldest_ms)
		printf(" (the oldest for %s)",
		       client_duration(clock_unix_ms() - oldest_ms, age));
	printf(", %" PRId64 " dead, %" PRId64 " expired (tapeop deliveries)\n",
	       metric(o, "deliveries_dead"), metric(o, "deliveries_expired"));
}

/** Endpoints that get nothing now, and what helps. */
static void show_endpoints(const struct overview *o)
{
	char at[CLIENT_WORD_MAX];
	json_t *e;
	size_t i;

	json_array_foreach(json_object_get(o->endpoints, "endpoints"), i, e)
	{
		const char *name = client_text(e, "name");

		if (json_is_true(json_object_get(e, "gone")))
			client_say("           endpoint %s of app %" PRId64
				   " answered 410 and gets nothing: `tapeop "
				   "replay --endpoint %s` tries it again",
				   name, client_number(e, "app"), name);
		else if (strcmp(client_text(e, "breaker"), "closed") != 0)
			client_say(
				"           endpoint %s of app %" PRId64
				" rests after failures, next probe %s: "
				"`tapeop endpoints test %s` tries it now",
				name, client_number(e, "app"),
				client_time(client_number(e, "next_probe_ms"),
					    at),
				name);
	}
}

static void show_overview(const struct client *c, const struct overview *o)
{
	const json_t *rooms = json_object_get(o->rooms, "rooms");

	client_say("server     %s  %s%s", c->server,
		   o->ready ? "ready" : "NOT READY: ", o->ready ? "" : o->why);
	printf("rooms      %zu, with %" PRId64 " inputs (tapeop rooms)\n",
	       json_array_size(rooms), metric(o, "inputs"));
	show_warnings(o);
	printf("tasks      %zu%s running, %" PRId64
	       " failed since the start (tapeop tasks)\n",
	       json_array_size(o->tasks), o->more_tasks ? "+" : "",
	       metric(o, "tasks_failed_total"));
	show_tasks(o);
	printf("sound      %" PRId64 " packets, %" PRId64 " lost, %" PRId64
	       " late turns\n",
	       metric(o, "rtp_packets_total"), metric(o, "rtp_lost_total"),
	       metric(o, "loop_late_total"));
	if (metric(o, "work_late_total"))
		printf("           OVERLOAD: %" PRId64 " times the sound was "
		       "worked on late\n",
		       metric(o, "work_late_total"));
	show_disk(o);
	show_retention(o);
	show_callbacks(o);
	show_endpoints(o);
}

static int print_overview(const struct overview *o)
{
	int64_t taken;
	const int64_t oldest_ms = oldest_pending(o, &taken);
	json_t *all = json_pack(
		"{s:b, s:s, s:O, s:O, s:b, s:I, "
		"s:{s:I, s:I, s:I, s:I, s:o, s:o}, "
		"s:{s:I, s:I, s:I, s:I, s:I, s:I, s:O}, "
		"s:{s:I, s:I, s:I, s:I}}",
		"ready", (int)o->ready, "why", o->why, "rooms",
		json_object_get(o->rooms, "rooms"), "tasks", o->tasks,
		"more_tasks", (int)o->more_tasks, "disk_free_bytes",
		(json_int_t)metric(o, "disk_free_bytes"), "deliveries",
		"delivered",
		(json_int_t)metric(o, "deliveries_delivered_total"), "pending",
		(json_int_t)metric(o, "deliveries_pending"), "dead",
		(json_int_t)metric(o, "deliveries_dead"), "expired",
		(json_int_t)metric(o, "deliveries_expired"),
		"oldest_pending_ms",
		oldest_ms ? json_integer(oldest_ms) : json_null(),
		"delivered_last_minute",
		taken < 0 ? json_null() : json_integer(taken), "uploads",
		"pending", (json_int_t)metric(o, "uploads_pending"),
		"pending_bytes", (json_int_t)metric(o, "uploads_pending_bytes"),
		"oldest_seconds",
		(json_int_t)metric(o, "uploads_oldest_seconds"),
		"bytes_per_second",
		(json_int_t)metric(o, "upload_bytes_per_second"), "done",
		(json_int_t)metric(o, "uploads_done_total"), "failed",
		(json_int_t)metric(o, "uploads_failed_total"), "tasks",
		o->waiting, "retention", "files",
		(json_int_t)metric(o, "retention_segments_total"), "bytes",
		(json_int_t)metric(o, "retention_bytes_total"), "rows",
		(json_int_t)metric(o, "retention_rows_total"), "failed",
		(json_int_t)metric(o, "retention_failed_total"));
	int code = client_print(all);

	json_decref(all);
	return code;
}

static int show_server(struct client *c)
{
	struct overview o = {0};
	struct err e;
	int code = EXIT_DONE;

	buf_init(&o.metrics, METRICS_MAX);
	if (read_overview(c, &o, &e)) {
		code = client_fail(c, EXIT_FAILED, "%s", e.text);
	} else {
		read_waiting(c, &o);
		if (c->json)
			code = print_overview(&o);
		else
			show_overview(c, &o);
	}
	if (code == EXIT_DONE && !o.ready)
		code = EXIT_FAILED;
	json_decref(o.rooms);
	json_decref(o.tasks);
	json_decref(o.waiting);
	json_decref(o.endpoints);
	buf_fini(&o.metrics);
	return code;
}

int command_status(int argc, char **argv)
{
	struct client c;
	int code = client_init(&c, argc, argv, help, NULL, 0);

	if (code < 0 && c.n_args > 1)
		code = client_usage(&c, "one TASK, or none");
	else if (code < 0 && c.n_args)
		code = client_show_task(&c, c.args[0]);
	else if (code < 0)
		code = show_server(&c);
	client_close(&c);
	return code;
}
