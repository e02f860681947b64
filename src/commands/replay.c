/** commands/replay.c -- `tapeop replay`: send dead or expired callbacks again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop replay ID [options]\n"
	"       tapeop replay --state dead|expired|all [options]\n"
	"       tapeop replay --endpoint NAME [options]\n"
	"\n"
	"Make dead or expired callbacks pending again, with a fresh budget of\n"
	"retries.  An endpoint that is named by ID or NAME is attempted at\n"
	"once: also one that answered 410, or whose breaker is open.\n"
	"\n"
	"  --state STATE      which: dead, expired, or all of both (unless "
	"set)\n"
	"  --endpoint NAME    only those to this endpoint\n"
	"  --task TASK        only those of this task\n"
	"  --app ID           only those of this app\n"
	"  --dry-run          only count them\n" CLIENT_HELP "\n"
	"Example: tapeop replay --state dead --endpoint backend --dry-run\n";

struct replay {
	struct client client;
	const char *state, *endpoint, *task, *app;
	bool dry_run;
};

static int show(struct replay *r, const json_t *answer)
{
	if (r->client.json)
		return client_print(answer);
	if (r->dry_run)
		printf("%" PRId64 "%s would be sent again\n",
		       client_number(answer, "would_replay"),
		       json_is_true(json_object_get(answer, "more"))
			       ? " or more"
			       : "");
	else
		printf("%" PRId64 " pending again\n",
		       client_number(answer, "replayed"));
	return EXIT_DONE;
}

static int ask(struct replay *r, const char *path, const json_t *body)
{
	json_t *answer;
	struct err e;
	int code;

	if (client_call(&r->client, "POST", path, body, &answer, &e))
		return client_fail(&r->client, EXIT_FAILED, "%s", e.text);
	code = show(r, answer);
	json_decref(answer);
	return code;
}

static int replay_one(struct replay *r)
{
	const char *text = r->client.args[0];
	char path[64];
	uint64_t id;

	if (str_to_u64(text, &id))
		return client_usage(&r->client,
				    "ID must be a delivery's id (a number), "
				    "is %.40s",
				    text);
	if (r->state || r->endpoint || r->task || r->app || r->dry_run)
		return client_usage(&r->client,
				    "an ID goes without --state, --endpoint, "
				    "--task, --app and --dry-run");
	snprintf(path, sizeof(path), "/v1/deliveries/%" PRIu64 "/replay", id);
	return ask(r, path, NULL);
}

static int replay_many(struct replay *r)
{
	json_t *body;
	int64_t app = 0;
	int code;

	if (!r->state && !r->endpoint && !r->task)
		return client_usage(&r->client,
				    "an ID, --state, --endpoint or --task is "
				    "required");
	if (r->app && str_to_i64(r->app, 1, UINT32_MAX, &app))
		return client_usage(&r->client,
				    "--app must be a number from 1 to "
				    "4294967295, is %.40s",
				    r->app);
	body = json_pack("{s:s*, s:b, s:s*, s:s*}", "state", r->state,
			 "dry_run", (int)r->dry_run, "endpoint", r->endpoint,
			 "task", r->task);
	if (app && json_object_set_new(body, "app", json_integer(app))) {
		json_decref(body);
		body = NULL;
	}
	if (!body)
		return client_usage(&r->client, "values must be UTF-8");
	code = ask(r, "/v1/deliveries/replay", body);
	json_decref(body);
	return code;
}

int command_replay(int argc, char **argv)
{
	struct replay r = {0};
	const struct client_option options[] = {
		{.name = "state", .value = &r.state},
		{.name = "endpoint", .value = &r.endpoint},
		{.name = "task", .value = &r.task},
		{.name = "app", .value = &r.app},
		{.name = "dry-run", .flag = &r.dry_run},
	};
	int code = client_init(&r.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0 && r.client.n_args > 1)
		code = client_usage(&r.client, "one ID, or none");
	else if (code < 0 && r.client.n_args)
		code = replay_one(&r);
	else if (code < 0)
		code = replay_many(&r);
	client_close(&r.client);
	return code;
}
