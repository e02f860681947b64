/** commands/client_options.c -- command lines, read by tables of options. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

enum {
	OPTIONS_MAX = 24,
	FIRST_VALUE = 256 /* getopt's value of options[0] */
};

/** An option that was given, its value in optarg. */
static int take(const char *command, const struct client_option *o, void *arg)
{
	int code;

	if (o->flag) {
		*o->flag = true;
		return -1;
	}
	if (o->take) {
		code = o->take(arg, optarg);
		return code == EXIT_DONE ? -1 : code;
	}
	if (o->value) {
		*o->value = optarg;
		return -1;
	}
	if (o->values->n == CLIENT_VALUES_MAX) {
		fprintf(stderr,
			"tapeop %s: --%s: at most %d times; see tapeop %s "
			"--help\n",
			command, o->name, CLIENT_VALUES_MAX, command);
		return EXIT_USAGE;
	}
	o->values->v[o->values->n++] = optarg;
	return -1;
}

/** Append those that options are known by, as getopt has them. */
static void add_letters(char *letters, const struct client_option *options,
			size_t n)
{
	char *end = letters + strlen(letters);

	for (size_t i = 0; i < n; i++) {
		if (!options[i].letter)
			continue;
		*end++ = options[i].letter;
		if (!options[i].flag)
			*end++ = ':';
	}
	*end = '\0';
}

/** The one of getopt's value. */
static const struct client_option *find(const struct client_option *options,
					size_t n, int opt)
{
	if (opt >= FIRST_VALUE)
		return &options[opt - FIRST_VALUE];
	for (size_t i = 0; i < n; i++) {
		if (options[i].letter == opt)
			return &options[i];
	}
	assert(!"an option");
	return NULL;
}

int client_read_options(int argc, char **argv, const char *help,
			const struct client_option *options, size_t n,
			void *arg)
{
	struct option all[OPTIONS_MAX] = {
		{"help", no_argument, NULL, 'h'},
	};
	char letters[2 * OPTIONS_MAX + 3] = ":h";
	int opt;
	int code = -1;

	assert(n + 2 <= OPTIONS_MAX);
	for (size_t i = 0; i < n; i++)
		all[1 + i] = (struct option){
			options[i].name,
			options[i].flag ? no_argument : required_argument, NULL,
			FIRST_VALUE + (int)i};
	add_letters(letters, options, n);
	optind = 0; /* start anew, also when called again */
	opterr = 0;
	while (code < 0 &&
	       (opt = getopt_long(argc, argv, letters, all, NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (opt == ':' || opt == '?')
			return command_bad_option(argv[0], opt, argv);
		code = take(argv[0], find(options, n, opt), arg);
	}
	return code;
}

int client_secret(const char *command, const char *option, const char *spec,
		  char **out)
{
	struct err e = {0};
	bool literal;

	if (secret_read(spec, out, &literal, &e)) {
		fprintf(stderr, "tapeop %s: %s: %s; see tapeop %s --help\n",
			command, option, e.text, command);
		return EXIT_USAGE;
	}
	if (literal && **out)
		fprintf(stderr,
			"tapeop %s: warning: the text of %s is visible to "
			"others on the command line; use env:NAME or "
			"file:PATH\n",
			command, option);
	return EXIT_DONE;
}

int client_app(const char *command, const char *text, uint32_t *app)
{
	int64_t id;

	if (str_to_i64(text, 1, UINT32_MAX, &id)) {
		fprintf(stderr,
			"tapeop %s: --app must be a number from 1 to "
			"4294967295: %.40s; see tapeop %s --help\n",
			command, text, command);
		return EXIT_USAGE;
	}
	*app = (uint32_t)id;
	return EXIT_DONE;
}
