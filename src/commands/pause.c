/** commands/pause.c -- `tapeop pause` and `tapeop resume`: silence meanwhile. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "commands/client.h"
#include "commands/commands.h"

static const char pause_help[] = "usage: tapeop pause TASK [options]\n"
				 "\n"
				 "Record silence in all files of a running "
				 "task, whatever is said (a card\n"
				 "number is read), until `tapeop resume TASK`. "
				 " It outlives a restart.\n" CLIENT_HELP "\n"
				 "Example: tapeop pause 57110321809850368\n";

static const char resume_help[] =
	"usage: tapeop resume TASK [options]\n"
	"\n"
	"Record what is said again, after `tapeop pause TASK`.\n" CLIENT_HELP
	"\n"
	"Example: tapeop resume 57110321809850368\n";

static int set_paused(struct client *c, bool paused)
{
	json_t *wish = json_pack("{s:b}", "paused", paused);
	json_t *task = NULL;
	struct buf path;
	struct err e;
	int code = EXIT_DONE;

	buf_init(&path, 256);
	buf_puts(&path, "/v1/tasks/");
	client_write_part(c->args[0], &path);
	if (!wish || buf_err(&path))
		code = client_usage(c, "what is %.60s?", c->args[0]);
	else if (client_call(c, "PATCH", buf_str(&path), wish, &task, &e))
		code = client_fail(c, EXIT_FAILED, "%s", e.text);
	else if (c->json)
		code = client_print(task);
	else
		client_say("task %s %s", client_text(task, "task_id"),
			   paused ? "is paused: silence is recorded"
				  : "records what is said");
	json_decref(task);
	json_decref(wish);
	buf_fini(&path);
	return code;
}

static int change(int argc, char **argv, const char *help, bool paused)
{
	struct client c = {0};
	int code = client_init(&c, argc, argv, help, NULL, 0);

	if (code < 0 && c.n_args != 1)
		code = client_usage(&c, "which task?  Its id is required: "
					"`tapeop tasks` lists them");
	else if (code < 0)
		code = set_paused(&c, paused);
	client_close(&c);
	return code;
}

int command_pause(int argc, char **argv)
{
	return change(argc, argv, pause_help, true);
}

int command_resume(int argc, char **argv)
{
	return change(argc, argv, resume_help, false);
}
