/** commands/commands.c -- finds the command that was named, or says which
 *  there are. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/mem.h"
#include "base/nearest.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *does; /* "": the title of a group */
};

static const struct command commands[] = {
	{"See it", NULL, ""},
	{"demo", command_demo, "everything at once, on this machine"},
	{"version", command_version, "which version this is, and of what"},
	{"Run it", NULL, ""},
	{"doctor", command_doctor, "check a configuration and this machine"},
	{"serve", command_serve, "run the recorder"},
	{"Record", NULL, ""},
	{"publish", command_publish, "let a sound file speak in a room"},
	{"ticket", command_ticket, "let a user come in by WebRTC"},
	{"start", command_start, "record a room"},
	{"pause", command_pause, "record silence, whatever is said"},
	{"resume", command_resume, "record what is said again"},
	{"stop", command_stop, "end a recording and list its files"},
	{"status", command_status, "the server, or one recording"},
	{"rooms", command_rooms, "who is in which room"},
	{"tasks", command_tasks, "recordings, newest first"},
	{"erase", command_erase, "erase recordings for good"},
	{"Tell, and be told", NULL, ""},
	{"endpoints", command_endpoints,
	 "who is told: list, make, switch, test"},
	{"deliveries", command_deliveries, "callbacks and their attempts"},
	{"replay", command_replay, "send dead callbacks again"},
	{"listen", command_listen, "follow the events, forward them to a URL"},
	{"receive", command_receive, "receive and verify callbacks of an app"},
	{"trigger", command_trigger, "send a made-up event to a backend"},
	{"sign", command_sign, "sign a callback as a sender would"},
	{"verify", command_verify, "check a callback's signature"},
};

static void print_help(FILE *to)
{
	fputs("usage: tapeop COMMAND [options]      (tapeop COMMAND --help)\n"
	      "\n"
	      "Records live voice rooms and tells the app's backend about "
	      "every step.\n",
	      to);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (c->run)
			fprintf(to, "  %-12s %s\n", c->name, c->does);
		else
			fprintf(to, "\n%s\n", c->name);
	}
	fputs("\nExit codes: 0 done, 1 failed, 2 usage.\n", to);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].run && !strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static int unknown(const char *name)
{
	struct nearest near = {0};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (commands[i].run)
			nearest_add(&near, name, commands[i].name);
	}
	fprintf(stderr, "tapeop: there is no command %.40s", name);
	if (near.name)
		fprintf(stderr, "; did you mean %s?\n", near.name);
	else
		fputs("; `tapeop --help` lists them\n", stderr);
	return EXIT_USAGE;
}

int command_bad_option(const char *command, int opt, char **argv)
{
	const char *at = argv[optind - 1];
	char letter[] = {'-', (char)optopt, 0};

	fprintf(stderr, "tapeop %s: ", command);
	if (opt == ':')
		fprintf(stderr, "%s needs a value", at);
	else if (optopt && !strncmp(at, "--", 2) && strchr(at, '='))
		fprintf(stderr, "%.*s takes no value", (int)strcspn(at, "="),
			at);
	else /* a letter may stand in the middle of its argument */
		fprintf(stderr, "unknown option %s", optopt ? letter : at);
	fprintf(stderr, "; see tapeop %s --help\n", command);
	return EXIT_USAGE;
}

int commands_run(int argc, char **argv)
{
	const struct command *c;
	const char *name = argc > 1 ? argv[1] : "";

	/* Settings and answers hold secrets. */
	json_set_alloc_funcs(mem_zalloc, mem_free_wiped);
	if (!name[0]) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "help") && argc == 3) { /* of a command */
		char *of[] = {argv[2], (char *)(uintptr_t) "--help", NULL};

		c = find(argv[2]);
		return c ? c->run(2, of) : unknown(argv[2]);
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
	    !strcmp(name, "help")) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	c = find(name);
	return c ? c->run(argc - 1, argv + 1) : unknown(name);
}
