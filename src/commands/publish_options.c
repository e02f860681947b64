/** commands/publish_options.c -- what `tapeop publish` is asked to do. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "commands/commands.h"
#include "commands/publish.h"
#include "wire/event.h"

static const char help[] =
	"usage: tapeop publish FILE --app ID --room ROOM --user USER "
	"[options]\n"
	"       tapeop publish FILE --to ADDRESS:PORT [--loop]\n"
	"       tapeop publish FILE --via whip --to URL [--ticket TICKET]\n"
	"\n"
	"Let a sound file speak in a room, in real time.  FILE is Ogg Opus\n"
	"(sent as it is) or WAV (PCM, 16 bit, 8 to 48 kHz, mono or stereo).\n"
	"\n"
	"  --app ID       the app's id\n"
	"  --room ROOM    the room to join; it comes to be with its first "
	"user\n"
	"  --user USER    who speaks\n"
	"  --server URL   the server (env TAPEOP_SERVER, else\n"
	"                 http://127.0.0.1:8080)\n"
	"  --token TOKEN  its admin token: env:NAME, file:PATH or the text\n"
	"                 itself (env:TAPEOP_ADMIN_TOKEN, if that is set)\n"
	"  --to ADDR      send RTP to this address and port, ask no server; or "
	"the\n"
	"                 URL of any WHIP endpoint, with --via whip\n"
	"  --via VIA      rtp, or whip: join by WebRTC, as a browser does, "
	"with "
	"the\n"
	"                 levels of the sound, and RED where the server takes "
	"it\n"
	"  --ticket T     the user's ticket for --via whip, as `tapeop ticket` "
	"makes\n"
	"                 it: env:NAME, file:PATH or the text itself\n"
	"                 (env:TAPEOP_TICKET, if that is set)\n"
	"  --key KEY      or make one, with secret_key of the app\n"
	"  --loop         begin again at the end, until Ctrl-C\n"
	"  --leave        leave the room at the end (so it is unless --stay)\n"
	"  --stay         leave the input at the server when it ends\n"
	"  -h, --help\n"
	"\n"
	"A bad network and a difficult sender, for any recorder.  AT counts "
	"from\n"
	"the first packet; AT and LEN are times like 3s or 500ms; options "
	"with AT\n"
	"may be given up to 16 times.\n"
	"\n";

enum { HELP_MAX = 16384 };

static const struct option plain[] = {
	{"app", required_argument, NULL, 'a'},
	{"room", required_argument, NULL, 'r'},
	{"user", required_argument, NULL, 'u'},
	{"server", required_argument, NULL, 's'},
	{"token", required_argument, NULL, 't'},
	{"to", required_argument, NULL, 'T'},
	{"via", required_argument, NULL, 'v'},
	{"ticket", required_argument, NULL, 'i'},
	{"key", required_argument, NULL, 'k'},
	{"loop", no_argument, NULL, 'l'},
	{"leave", no_argument, NULL, 'L'},
	{"stay", no_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'},
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop publish: %s%s%s; see tapeop publish --help\n",
		why, value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

static int set_app(struct publish_wish *w, const char *text)
{
	int64_t app;

	if (str_to_i64(text, 1, UINT32_MAX, &app))
		return usage("--app must be a number from 1 to 4294967295",
			     text);
	w->app = (uint32_t)app;
	return EXIT_DONE;
}

static int set_id(const char **to, const char *field, const char *text)
{
	struct err e;

	if (event_id_check(text, field, &e))
		return usage(e.text, NULL);
	*to = text;
	return EXIT_DONE;
}

static int set_server(struct publish_wish *w, const char *url)
{
	struct err e;

	if (http_url_check(url, &e))
		return usage("--server", e.text);
	w->server = url;
	return EXIT_DONE;
}

static int set_via(struct publish_wish *w, const char *text)
{
	w->is_whip = !strcmp(text, "whip");
	if (!w->is_whip && strcmp(text, "rtp") != 0)
		return usage("--via must be rtp or whip", text);
	return EXIT_DONE;
}

static int take_plain(struct publish_wish *w, int c)
{
	switch (c) {
	case 'a':
		return set_app(w, optarg);
	case 'r':
		return set_id(&w->room, "--room", optarg);
	case 'u':
		return set_id(&w->user, "--user", optarg);
	case 's':
		return set_server(w, optarg);
	case 't':
		w->token = optarg;
		return EXIT_DONE;
	case 'T':
		w->where = optarg;
		return EXIT_DONE;
	case 'v':
		return set_via(w, optarg);
	case 'i':
		w->ticket = optarg;
		return EXIT_DONE;
	case 'k':
		w->key = optarg;
		return EXIT_DONE;
	case 'l':
		w->repeat = true;
		return EXIT_DONE;
	case 'L':
		w->leave = true;
		return EXIT_DONE;
	case 'S':
		w->stay = true;
		return EXIT_DONE;
	default:
		return EXIT_USAGE;
	}
}

static int take_option(struct publish_wish *w, int c, int argc, char **argv)
{
	const char *next = optind < argc ? argv[optind] : NULL;
	bool took_next;
	struct err e;

	if (c < PUBLISH_BAD_FIRST)
		return take_plain(w, c);
	if (publish_bad_take(&w->bad, c, optarg, next, &took_next, &e))
		return usage(e.text, NULL);
	optind += took_next;
	return EXIT_DONE;
}

/** Where it goes, and who may know that. */
static int check_to(struct publish_wish *w)
{
	struct err e;

	if (!w->where && (!w->app || !w->room || !w->user))
		return usage("--app, --room and --user are required (or --to)",
			     NULL);
	if (!w->where)
		return -1;
	w->has_to = true;
	if (w->app || w->room || w->user || w->token)
		return usage("--to asks no server: --app, --room, --user and "
			     "--token do not go with it",
			     NULL);
	if (w->is_whip && http_url_check(w->where, &e))
		return usage("--to must be the URL of a WHIP endpoint", e.text);
	if (!w->is_whip && (addr_parse(w->where, &w->to) || !addr_port(&w->to)))
		return usage("--to must be an address with a port, like "
			     "127.0.0.1:41000",
			     w->where);
	return -1;
}

static int check_whip(struct publish_wish *w)
{
	struct err e;

	if (!w->is_whip && (w->ticket || w->key))
		return usage("--ticket and --key are for --via whip", NULL);
	if (!w->is_whip)
		return -1;
	if (w->ticket && w->key)
		return usage("--ticket or --key, not both", NULL);
	if (w->key && w->has_to)
		return usage("--key makes a ticket of --app and --user, which "
			     "do not go with --to; give --ticket",
			     NULL);
	if (w->stay)
		return usage("--stay does not go with --via whip: a session "
			     "ends with who sends",
			     NULL);
	if (publish_bad_for_whip(&w->bad, &e))
		return usage(e.text, NULL);
	return -1;
}

static int check_options(struct publish_wish *w, int argc, char **argv)
{
	const char *slash;
	struct err e;
	int code;

	if (optind >= argc)
		return usage("FILE is required", NULL);
	if (optind + 1 < argc)
		return usage("only one FILE can be sent", argv[optind + 1]);
	w->path = argv[optind];
	slash = strrchr(w->path, '/');
	w->name = slash ? slash + 1 : w->path;
	code = check_to(w);
	if (code < 0)
		code = check_whip(w);
	if (code >= 0)
		return code;
	if (w->leave && w->stay)
		return usage("--leave or --stay, not both", NULL);
	if (publish_bad_check(&w->bad, &e))
		return usage(e.text, NULL);
	return -1;
}

static int print_help(void)
{
	struct buf b;

	buf_init(&b, HELP_MAX);
	publish_bad_help(&b);
	fputs(help, stdout);
	fputs(buf_str(&b), stdout);
	buf_fini(&b);
	return EXIT_DONE;
}

int publish_read_options(struct publish_wish *w, int argc, char **argv)
{
	struct option options[ARRAY_LEN(plain) + PUBLISH_BAD_N + 1] = {0};
	int c;

	memcpy(options, plain, sizeof(plain));
	publish_bad_options(options + ARRAY_LEN(plain));
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		int code;

		if (c == 'h')
			return print_help();
		if (c == '?' || c == ':')
			return command_bad_option("publish", c, argv);
		code = take_option(w, c, argc, argv);
		if (code)
			return code;
	}
	return check_options(w, argc, argv);
}
