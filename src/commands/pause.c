/** commands/pause.c -- `tapeop pause`, `tapeop resume`: silence for a while, as
 *  when a card number is read. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

static const char pause_help[] =
	"usage: tapeop pause TASK [options]\n"
	"\n"
	"Record silence, whatever is said, until `tapeop resume`: a card "
	"number\n"
	"is read, say.  The files go on.  It is so when this command ends, "
	"and\n"
	"a restart of the server keeps it.  Pausing twice is fine.\n"
	"\n" CLIENT_HELP "\n"
	"Example: tapeop pause 57110321809850368\n";

static const char resume_help[] =
	"usage: tapeop resume TASK [options]\n"
	"\n"
	"Record again what is said, after `tapeop pause`.  Resuming twice is\n"
	"fine.\n"
	"\n" CLIENT_HELP "\n"
	"Example: tapeop resume 57110321809850368\n";

static int change(const struct client *c, bool paused)
{
	json_t *body, *task;
	char path[64];
	uint64_t id;
	struct err e;
	int code = EXIT_DONE;

	if (str_to_u64(c->args[0], &id))
		return client_usage(
			c, "TASK must be a task's id (a number), is %.40s",
			c->args[0]);
	snprintf(path, sizeof(path), "/v1/tasks/%" PRIu64, id);
	body = json_pack("{s:b}", "paused", paused);
	if (client_call(c, "PATCH", path, body, &task, &e))
		code = client_fail(c, EXIT_FAILED, "%s", e.text);
	else if (c->json)
		code = client_print(task);
	else
		client_show_head(task);
	json_decref(task);
	json_decref(body);
	return code;
}

static int run(int argc, char **argv, const char *help, bool paused)
{
	struct client c;
	int code = client_init(&c, argc, argv, help, NULL, 0);

	if (code < 0 && c.n_args != 1)
		code = client_usage(&c, "one TASK is required");
	else if (code < 0)
		code = change(&c, paused);
	client_close(&c);
	return code;
}

int command_pause(int argc, char **argv)
{
	return run(argc, argv, pause_help, true);
}

int command_resume(int argc, char **argv)
{
	return run(argc, argv, resume_help, false);
}
