/** commands/signing.c -- what `tapeop sign` and `tapeop verify` share. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"

enum { GO_ON = -1, ID_TEXT_MAX = 256 };

enum option_id {
	OPT_DIALECT = 256,
	OPT_KEY,
	OPT_ENCODING,
	OPT_REQUEST_TIME,
	OPT_TIMESTAMP,
	OPT_ID,
	OPT_SIGNATURE,
	OPT_HELP
};

static const struct option options[] = {
	{"dialect", required_argument, NULL, OPT_DIALECT},
	{"key", required_argument, NULL, OPT_KEY},
	{"encoding", required_argument, NULL, OPT_ENCODING},
	{"request-time", required_argument, NULL, OPT_REQUEST_TIME},
	{"timestamp", required_argument, NULL, OPT_TIMESTAMP},
	{"id", required_argument, NULL, OPT_ID},
	{"signature", required_argument, NULL, OPT_SIGNATURE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/** The options as they were given. */
struct given {
	const char *dialect, *key, *encoding, *request_time, *timestamp;
	bool help;
};

int signing_fail(const struct signing *s, int code, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "tapeop %s: ", s->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

static int read_options(struct signing *s, struct given *g, int argc,
			char **argv)
{
	int opt;

	optind = 0; /* start anew, also when called again */
	opterr = 0;
	for (;;) {
		opt = getopt_long(argc, argv, ":", options, NULL);
		switch (opt) {
		case OPT_DIALECT:
			g->dialect = optarg;
			break;
		case OPT_KEY:
			g->key = optarg;
			break;
		case OPT_ENCODING:
			g->encoding = optarg;
			break;
		case OPT_REQUEST_TIME:
			g->request_time = optarg;
			break;
		case OPT_TIMESTAMP:
			g->timestamp = optarg;
			break;
		case OPT_ID:
			s->id = optarg;
			break;
		case OPT_SIGNATURE:
			s->signature = optarg;
			break;
		case OPT_HELP:
			g->help = true;
			break;
		case -1:
			return GO_ON;
		case ':':
			return signing_fail(s, EXIT_USAGE, "%s needs a value",
					    argv[optind - 1]);
		default:
			return signing_fail(s, EXIT_USAGE,
					    "unknown option %s (see `tapeop %s "
					    "--help`)",
					    argv[optind - 1], s->command);
		}
	}
}

static int check_encoding(struct signing *s, const char *encoding)
{
	if (!encoding)
		return GO_ON;
	if (s->dialect != DIALECT_GME)
		return signing_fail(s, EXIT_USAGE,
				    "--encoding is for --dialect gme only");
	s->has_encoding = true;
	if (!strcmp(encoding, "hex"))
		s->encoding = SIGNATURE_HEX;
	else if (strcmp(encoding, "base64"))
		return signing_fail(s, EXIT_USAGE,
				    "--encoding must be base64 or hex, is %s",
				    encoding);
	return GO_ON;
}

/** --request-time of live, --timestamp of standard: the same thing. */
static int check_time(struct signing *s, const struct given *g)
{
	bool is_live = s->dialect == DIALECT_LIVE;
	const char *name = is_live ? "--request-time" : "--timestamp";
	int64_t time_s;

	if (g->request_time && !is_live)
		return signing_fail(s, EXIT_USAGE,
				    "--request-time is for --dialect live "
				    "only");
	if (g->timestamp && s->dialect != DIALECT_STANDARD)
		return signing_fail(s, EXIT_USAGE,
				    "--timestamp is for --dialect standard "
				    "only");
	s->request_time = is_live ? g->request_time : g->timestamp;
	if (s->request_time &&
	    str_to_i64(s->request_time, 0, CLOCK_UNIX_S_MAX, &time_s))
		return signing_fail(s, EXIT_USAGE,
				    "%s must be whole seconds since 1970, is "
				    "%s",
				    name, s->request_time);
	return GO_ON;
}

static int check_id(const struct signing *s)
{
	if (s->id && s->dialect != DIALECT_STANDARD)
		return signing_fail(s, EXIT_USAGE,
				    "--id is for --dialect standard only");
	if (s->id && (!s->id[0] || strlen(s->id) > ID_TEXT_MAX))
		return signing_fail(s, EXIT_USAGE,
				    "--id must have 1 to %d characters",
				    ID_TEXT_MAX);
	return GO_ON;
}

int64_t signing_time_s(const struct signing *s)
{
	int64_t time_s = clock_unix_ms() / 1000;

	/* signing_init() has checked it. */
	if (s->request_time &&
	    str_to_i64(s->request_time, 0, CLOCK_UNIX_S_MAX, &time_s))
		return 0;
	return time_s;
}

static int check_options(struct signing *s, const struct given *g, int argc)
{
	int code;

	if (!g->dialect || !dialect_parse(g->dialect, &s->dialect))
		return signing_fail(s, EXIT_USAGE,
				    "--dialect must be gme, live, trtc or "
				    "standard");
	if (!g->key)
		return signing_fail(s, EXIT_USAGE,
				    "--key is missing: env:NAME, file:PATH or "
				    "the key itself");
	if (argc - optind > 1)
		return signing_fail(s, EXIT_USAGE,
				    "one FILE only (or - for standard input)");
	if (!s->file && s->dialect != DIALECT_LIVE)
		return signing_fail(s, EXIT_USAGE,
				    "FILE is missing: the body as it is sent, "
				    "or - for standard input");
	code = check_encoding(s, g->encoding);
	if (code == GO_ON)
		code = check_time(s, g);
	return code == GO_ON ? check_id(s) : code;
}

static int read_key(struct signing *s, const char *spec)
{
	struct err err = {0};

	if (client_secret(s->command, "--key", spec, &s->key))
		return EXIT_USAGE;
	if (!s->key[0])
		return signing_fail(s, EXIT_USAGE, "--key must not be empty");
	if (callback_key_check(s->dialect, s->key, &err))
		return signing_fail(s, EXIT_USAGE, "--key: %s", err.text);
	return GO_ON;
}

static int read_body(struct signing *s)
{
	bool is_stdin = !strcmp(s->file, "-");
	int fd = is_stdin ? STDIN_FILENO : open(s->file, O_RDONLY | O_CLOEXEC);
	char part[16384];
	ssize_t n = -1;

	while (fd >= 0) {
		n = read(fd, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_append(&s->body, part, (size_t)n);
		if (buf_err(&s->body))
			break;
	}
	if (n < 0)
		signing_fail(s, 0, "%s: %s", s->file, strerror(errno));
	else if (buf_err(&s->body) == EMSGSIZE)
		signing_fail(s, 0, "%s has more than 10 MiB", s->file);
	else if (buf_err(&s->body))
		signing_fail(s, 0, "out of memory");
	if (fd >= 0 && !is_stdin)
		close(fd);
	return n < 0 || buf_err(&s->body) ? EXIT_FAILED : GO_ON;
}

int signing_init(struct signing *s, int argc, char **argv, const char *help)
{
	struct given g = {0};
	int code;

	*s = (struct signing){.command = argv[0]};
	buf_init(&s->body, SIGNING_BODY_MAX);
	code = read_options(s, &g, argc, argv);
	if (code != GO_ON)
		return code;
	if (g.help) {
		fputs(help, stdout);
		return EXIT_DONE;
	}
	s->file = argv[optind];
	code = check_options(s, &g, argc);
	if (code == GO_ON)
		code = read_key(s, g.key);
	if (code == GO_ON && s->file)
		code = read_body(s);
	return code;
}

void signing_fini(struct signing *s)
{
	mem_free_secret(s->key);
	s->key = NULL;
	buf_fini(&s->body);
}
