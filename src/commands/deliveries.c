/** commands/deliveries.c -- `tapeop deliveries`: callbacks and their attempts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop deliveries [options]\n"
	"       tapeop deliveries ID [options]\n"
	"\n"
	"List callbacks, newest first; with an ID, show one with its "
	"attempts.\n"
	"\n"
	"  --state STATE      pending, delivered, dead or expired\n"
	"  --endpoint NAME    to this endpoint\n"
	"  --task TASK        of this task\n"
	"  --app ID           of this app\n"
	"  --oldest           oldest first\n"
	"  --limit N          at most so many (50); with more to come, the\n"
	"                     list says so\n" CLIENT_HELP "\n"
	"Example: tapeop deliveries --state dead\n";

/** What is due by so much is held up by something. */
enum { OVERDUE_MS = 2000 };

struct deliveries {
	struct client client;
	const char *state, *endpoint, *task, *app, *limit;
	bool oldest;
};

static void last_answer(struct client_table *t, int64_t status,
			const char *error)
{
	if (error[0])
		client_cell(t, "%s", error);
	else if (status)
		client_cell(t, "%" PRId64, status);
	else
		client_cell(t, "-");
}

static void delivery_row(struct client_table *t, const json_t *d)
{
	char last[CLIENT_WORD_MAX];

	client_cell(t, "%s", client_text(d, "delivery_id"));
	client_cell(t, "%s%s", client_text(d, "state"),
		    json_is_true(json_object_get(d, "late")) ? ", late" : "");
	client_cell(t, "%s", client_text(d, "endpoint"));
	client_cell(t, "%s", client_text(d, "kind"));
	client_cell(t, "%s", client_text(d, "task_id"));
	client_cell(t, "%" PRId64, client_number(d, "attempts"));
	client_cell(t, "%s", client_time(client_number(d, "last_ms"), last));
	last_answer(t, client_number(d, "last_status"),
		    client_text(d, "last_error"));
}

static void show_list(const json_t *list, bool more, size_t limit)
{
	static const char *const heads[] = {"ID",    "STATE", "ENDPOINT",
					    "EVENT", "TASK",  "ATTEMPTS",
					    "LAST",  "ANSWER"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	json_t *d;
	size_t i;

	if (!json_array_size(list)) {
		puts("no deliveries");
		return;
	}
	for (i = 0; i < ARRAY_LEN(heads); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(list, i, d)
	{
		delivery_row(&t, d);
	}
	client_table_print(&t);
	if (more)
		printf("there are more than %zu: --limit\n", limit);
}

static int list_deliveries(struct deliveries *ds)
{
	const struct client_filter filters[] = {
		{"state", ds->state},
		{"endpoint", ds->endpoint},
		{"task", ds->task},
		{"app", ds->app},
		{"order", ds->oldest ? "oldest" : "newest"}};
	json_t *list = NULL;
	size_t limit;
	bool more;
	struct buf path;
	struct err e;
	int code = client_limit(&ds->client, ds->limit, 50, &limit);

	if (code)
		return code;
	buf_init(&path, 4096);
	client_write_query("/v1/deliveries", filters, ARRAY_LEN(filters),
			   &path);
	if (client_list(&ds->client, buf_str(&path), "deliveries", limit, &list,
			&more, &e))
		code = client_fail(&ds->client, EXIT_FAILED, "%s", e.text);
	buf_fini(&path);
	if (code)
		return code;
	if (ds->client.json)
		return client_print_list("deliveries", list, more);
	show_list(list, more, limit);
	json_decref(list);
	return EXIT_DONE;
}

/** When it is attempted next, or that something holds it up; "" when it is
 *  not pending. */
static void write_next(const json_t *d, char *out, size_t cap)
{
	const int64_t due_ms = client_number(d, "due_ms");
	char at[CLIENT_WORD_MAX];

	*out = 0;
	if (strcmp(client_text(d, "state"), "pending") != 0)
		return;
	client_time(due_ms, at);
	if (due_ms + OVERDUE_MS > clock_unix_ms())
		snprintf(out, cap, ", next attempt %s", at);
	else
		snprintf(out, cap,
			 ", due since %s: `tapeop endpoints show %.63s` says "
			 "what holds it up",
			 at, client_text(d, "endpoint"));
}

/** Why it has expired: the log of its attempts does not say that. */
static void show_reason(const json_t *d, const json_t *log)
{
	const json_t *last =
		json_array_get(log, json_array_size(log) - 1); /* or NULL */
	const char *error = client_text(d, "last_error");

	if (strcmp(client_text(d, "state"), "expired") != 0)
		return;
	if (*error && strcmp(error, client_text(last, "error")) != 0)
		client_say("  expired: %s", error);
	else
		puts("  expired: it was pending for as long as expire_after of "
		     "its endpoint permits");
}

static void show_one(const json_t *d)
{
	static const char *const heads[] = {"  ATTEMPT", "AT", "TOOK",
					    "ANSWER"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	char at[CLIENT_WORD_MAX], next[200];
	const json_t *log = json_object_get(d, "attempts_log");
	json_t *a;
	size_t i;

	client_say("delivery %s: %s of task %s to %s: %s%s",
		   client_text(d, "delivery_id"), client_text(d, "kind"),
		   client_text(d, "task_id"), client_text(d, "endpoint"),
		   client_text(d, "state"),
		   json_is_true(json_object_get(d, "late")) ? ", late" : "");
	write_next(d, next, sizeof(next));
	client_say("  event %s of %s%s", client_text(d, "event_id"),
		   client_time(client_number(d, "event_ms"), at), next);
	show_reason(d, log);
	for (i = 0; i < ARRAY_LEN(heads) && json_array_size(log); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(log, i, a)
	{
		client_cell(&t, "  %" PRId64, client_number(a, "n"));
		client_cell(&t, "%s",
			    client_time(client_number(a, "at_ms"), at));
		client_cell(&t, "%" PRId64 " ms",
			    client_number(a, "duration_ms"));
		last_answer(&t, client_number(a, "status"),
			    client_text(a, "error"));
	}
	client_table_print(&t);
}

static int one_delivery(struct deliveries *ds)
{
	const char *text = ds->client.args[0];
	json_t *d;
	char path[64];
	uint64_t id;
	struct err e;
	int code = EXIT_DONE;

	if (str_to_u64(text, &id))
		return client_usage(&ds->client,
				    "ID must be a delivery's id (a number), "
				    "is %.40s",
				    text);
	snprintf(path, sizeof(path), "/v1/deliveries/%" PRIu64, id);
	if (client_call(&ds->client, "GET", path, NULL, &d, &e))
		return client_fail(&ds->client, EXIT_FAILED, "%s", e.text);
	if (ds->client.json)
		code = client_print(d);
	else
		show_one(d);
	json_decref(d);
	return code;
}

int command_deliveries(int argc, char **argv)
{
	struct deliveries ds = {0};
	const struct client_option options[] = {
		{.name = "state", .value = &ds.state},
		{.name = "endpoint", .value = &ds.endpoint},
		{.name = "task", .value = &ds.task},
		{.name = "app", .value = &ds.app},
		{.name = "oldest", .flag = &ds.oldest},
		{.name = "limit", .value = &ds.limit},
	};
	int code = client_init(&ds.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0 && ds.client.n_args > 1)
		code = client_usage(&ds.client, "one ID, or none");
	else if (code < 0 && ds.client.n_args)
		code = one_delivery(&ds);
	else if (code < 0)
		code = list_deliveries(&ds);
	client_close(&ds.client);
	return code;
}
