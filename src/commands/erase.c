/** commands/erase.c -- `tapeop erase`: recordings go for good. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop erase --task TASK [options]\n"
	"       tapeop erase --app ID --user USER|--room ROOM [options]\n"
	"\n"
	"Erase recordings that are finished: their files, and what the server\n"
	"knows of them.  There is no way back.\n"
	"\n"
	"  --task TASK        those of this task\n"
	"  --app ID           those of this app, with\n"
	"  --room ROOM        those of this room\n"
	"  --user USER        those of this user's own tracks (0: of the mix)\n"
	"  --yes              do not ask\n" CLIENT_HELP "\n"
	"More than one of them narrow: only what is of all is erased.  A "
	"mixed\n"
	"track has everybody's voice in it; erase the room's, too, or user "
	"0's.\n"
	"--json prints {\"erased\",\"bytes\",\"more\":false}.\n"
	"Example: tapeop erase --app 1400000000 --user alice\n";

struct erase {
	struct client client;
	const char *task, *app, *room, *user;
	bool yes;
};

/** Returns an exit code, EXIT_DONE to go on. */
static int confirm(const struct erase *x)
{
	int first;

	if (x->yes)
		return EXIT_DONE;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return client_usage(&x->client,
				    "--yes is required where nobody can be "
				    "asked");
	fprintf(stderr, "Erase the recordings%s%s%s%s%s%s%s%s for good? [y/N] ",
		x->task ? " of task " : "", x->task ? x->task : "",
		x->app ? " of app " : "", x->app ? x->app : "",
		x->room ? ", room " : "", x->room ? x->room : "",
		x->user ? ", user " : "", x->user ? x->user : "");
	first = getchar();
	if (first == 'y' || first == 'Y')
		return EXIT_DONE;
	return client_fail(&x->client, EXIT_FAILED, "nothing was erased");
}

/** Returns an exit code, EXIT_DONE to go on. */
static int check(const struct erase *x)
{
	const struct client *c = &x->client;
	uint32_t app;
	uint64_t id;

	if (c->n_args)
		return client_usage(c, "only options, not %.40s", c->args[0]);
	if (x->task && str_to_u64(x->task, &id))
		return client_usage(c,
				    "--task must be a task's id (a number), is "
				    "%.40s",
				    x->task);
	if (!x->task && !x->app)
		return client_usage(c, "--task, or --app with --user or "
				       "--room, is required");
	if (!x->task && !x->room && !x->user)
		return client_usage(c, "--app goes with --user or --room");
	return x->app ? client_app(c->command, x->app, &app) : EXIT_DONE;
}

/** Part after part, until there are no more. */
static int erase(const struct erase *x, int64_t *n, int64_t *bytes)
{
	const struct client_filter filters[] = {{"task", x->task},
						{"app", x->app},
						{"room", x->room},
						{"user", x->user}};
	struct buf path;
	json_t *answer;
	bool more = true;
	struct err e;
	int code = EXIT_DONE;

	buf_init(&path, 8192);
	client_write_query("/v1/recordings", filters, ARRAY_LEN(filters),
			   &path);
	if (buf_err(&path))
		code = client_usage(&x->client, "values are too long");
	else if (path.data[path.len - 1] == '&')
		path.data[--path.len] = 0;
	while (more && code == EXIT_DONE) {
		if (client_call(&x->client, "DELETE", buf_str(&path), NULL,
				&answer, &e)) {
			code = client_fail(&x->client, EXIT_FAILED, "%s%s",
					   e.text,
					   *n ? "; some were erased" : "");
			break;
		}
		*n += client_number(answer, "erased");
		*bytes += client_number(answer, "bytes");
		more = json_is_true(json_object_get(answer, "more"));
		json_decref(answer);
	}
	buf_fini(&path);
	return code;
}

static int show(const struct erase *x, int64_t n, int64_t bytes)
{
	char size[CLIENT_WORD_MAX];
	json_t *answer;
	int code;

	if (!x->client.json) {
		printf("%" PRId64 " file%s erased, %s\n", n, n == 1 ? "" : "s",
		       client_size(bytes, size));
		return EXIT_DONE;
	}
	answer = json_pack("{s:I, s:I, s:b}", "erased", (json_int_t)n, "bytes",
			   (json_int_t)bytes, "more", 0);
	code = client_print(answer);
	json_decref(answer);
	return code;
}

int command_erase(int argc, char **argv)
{
	struct erase x = {0};
	const struct client_option options[] = {
		{.name = "task", .value = &x.task},
		{.name = "app", .value = &x.app},
		{.name = "room", .value = &x.room},
		{.name = "user", .value = &x.user},
		{.name = "yes", .flag = &x.yes},
	};
	int64_t n = 0;
	int64_t bytes = 0;
	int code = client_init(&x.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0) {
		code = check(&x);
		if (code == EXIT_DONE)
			code = confirm(&x);
		if (code == EXIT_DONE)
			code = erase(&x, &n, &bytes);
		if (code == EXIT_DONE)
			code = show(&x, n, bytes);
	}
	client_close(&x.client);
	return code;
}
