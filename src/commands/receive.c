/** commands/receive.c -- `tapeop receive`: the app's side of callbacks. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop receive --app ID --key KEY [options]\n"
	"\n"
	"Receive recording callbacks for an app: verify, store, answer, and\n"
	"only then print each new event as one line.  Repeated events are\n"
	"answered as success and printed once.\n"
	"\n"
	"  --app ID          the app's id (BizID, SdkAppId)\n"
	"  --key KEY         its key or token: env:NAME, file:PATH or the "
	"text\n"
	"                    itself; up to 4 times (all are accepted).  "
	"Without\n"
	"                    one only live callbacks without a Sign are taken\n"
	"  --listen ADDR     address and port (127.0.0.1:9000)\n"
	"  --dialect D       auto, gme or live (auto)\n"
	"  --data DIR        where events are kept (./tapeop-inbox)\n"
	"  --forward URL     send each new event on, as it came\n"
	"  --exec PROGRAM    run once an event, its JSON on stdin (no shell); "
	"what\n"
	"                    it prints goes to stderr\n"
	"  --json            JSON lines also on a terminal\n"
	"  -h, --help\n"
	"\n"
	"GET /v1/recordings on the same port shows each recording's state.\n";

enum { MAX_BODY = 1 << 20, WORKERS = 2, STORE_QUEUE = 10000 };

struct options {
	struct receive_config config;
	char *keys[RECEIVE_KEYS_MAX];
	const char *data;
	bool json;
};

struct running {
	struct loop *loop;
	bool json;
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop receive: %s%s%s; see tapeop receive --help\n",
		why, value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

/* ---- options --------------------------------------------------------------- */

static int add_key(struct options *o, const char *spec)
{
	struct err e;
	bool literal;

	if (o->config.n_keys == RECEIVE_KEYS_MAX)
		return usage("--key may be given at most 4 times", NULL);
	if (secret_read(spec, &o->keys[o->config.n_keys], &literal, &e))
		return usage("--key", e.text);
	if (literal)
		fputs("tapeop receive: warning: a key on the command line is "
		      "visible to others; use env:NAME or file:PATH\n",
		      stderr);
	o->config.keys[o->config.n_keys] = o->keys[o->config.n_keys];
	o->config.n_keys++;
	return EXIT_DONE;
}

static int set_app(struct options *o, const char *text)
{
	int64_t app;

	if (str_to_i64(text, 1, UINT32_MAX, &app))
		return usage("--app must be a number from 1 to 4294967295",
			     text);
	o->config.app = (uint32_t)app;
	return EXIT_DONE;
}

static int set_listen(struct options *o, const char *text)
{
	if (addr_parse(text, &o->config.listen))
		return usage("--listen must be an address with a port, like "
			     "127.0.0.1:9000",
			     text);
	return EXIT_DONE;
}

static int set_dialect(struct options *o, const char *text)
{
	o->config.any_dialect = !strcmp(text, "auto");
	if (!o->config.any_dialect && !dialect_parse(text, &o->config.dialect))
		return usage("--dialect must be auto, gme or live", text);
	return EXIT_DONE;
}

static int set_forward(struct options *o, const char *url)
{
	struct err e;

	if (http_url_check(url, &e))
		return usage("--forward", e.text);
	o->config.forward = url;
	return EXIT_DONE;
}

static int take_option(struct options *o, int c)
{
	switch (c) {
	case 'a':
		return set_app(o, optarg);
	case 'k':
		return add_key(o, optarg);
	case 'l':
		return set_listen(o, optarg);
	case 'd':
		return set_dialect(o, optarg);
	case 'D':
		o->data = optarg;
		return EXIT_DONE;
	case 'f':
		return set_forward(o, optarg);
	case 'x':
		o->config.exec = optarg;
		return EXIT_DONE;
	case 'j':
		o->json = true;
		return EXIT_DONE;
	default:
		return EXIT_USAGE;
	}
}

/** Returns -1 to go on, or the exit code. */
static int read_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"app", required_argument, NULL, 'a'},
		{"key", required_argument, NULL, 'k'},
		{"listen", required_argument, NULL, 'l'},
		{"dialect", required_argument, NULL, 'd'},
		{"data", required_argument, NULL, 'D'},
		{"forward", required_argument, NULL, 'f'},
		{"exec", required_argument, NULL, 'x'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		int code;

		if (c == 'h') {
			fputs(help, stdout);
			return EXIT_DONE;
		}
		if (c == '?' || c == ':')
			return command_bad_option("receive", c, argv);
		code = take_option(o, c);
		if (code)
			return code;
	}
	if (optind < argc)
		return usage("unexpected argument", argv[optind]);
	if (!o->config.app)
		return usage("--app is required", NULL);
	return -1;
}

/* ---- telling ------------------------------------------------------------------ */

static void on_event(const struct callback *c, const char *line, void *arg)
{
	const struct running *r = arg;

	if (r->json)
		printf("%s\n", line);
	else
		printf("%-4s %-14s room %s  user %s  task %s  %s\n",
		       dialect_name(c->dialect),
		       c->event.kind < EVENT_KIND_N
			       ? event_kind_name(c->event.kind)
			       : "?",
		       c->event.room, c->event.user, c->task,
		       c->event.file_name);
	fflush(stdout);
}

static void on_signal(int signo, void *arg)
{
	struct running *r = arg;

	(void)signo;
	loop_stop(r->loop);
}

/* ---- running -------------------------------------------------------------------- */

static int serve(struct running *r, const struct options *o,
		 struct store *store, struct workers *workers)
{
	static const struct receive_events events = {.event = on_event};
	struct receive *receive;
	char text[ADDR_TEXT_MAX];
	struct addr at;
	struct err e;

	if (receive_open(r->loop, store, workers, &o->config, &events, r,
			 &receive, &e)) {
		fprintf(stderr, "tapeop receive: %s\n", e.text);
		return EXIT_FAILED;
	}
	receive_addr(receive, &at);
	log_info("receiving callbacks of app %u on http://%s", o->config.app,
		 addr_write(&at, text));
	loop_run(r->loop);
	receive_close(receive);
	return EXIT_DONE;
}

static int run(const struct options *o)
{
	static const int signos[] = {SIGTERM, SIGINT};
	struct running r = {.json = o->json || !isatty(STDOUT_FILENO)};
	struct store_config sc = {.data_dir = o->data,
				  .ballast_bytes = 1 << 20,
				  .max_queue = STORE_QUEUE};
	struct signals *signals = NULL;
	struct workers *workers = NULL;
	struct store *store = NULL;
	struct err e = {0};
	int code = EXIT_FAILED;
	int err;

	err = loop_new(&r.loop);
	if (!err)
		err = signals_open(r.loop, signos, ARRAY_LEN(signos), on_signal,
				   &r, &signals);
	if (!err)
		err = workers_new("work", WORKERS, &workers);
	if (!err)
		err = store_open(&sc, &store, &e);
	if (err)
		fprintf(stderr, "tapeop receive: %s\n",
			e.code ? e.text : strerror(err));
	else
		code = serve(&r, o, store, workers);
	workers_free(workers);
	store_close(store);
	signals_close(signals);
	if (r.loop)
		loop_turn(r.loop, 0);
	loop_free(r.loop);
	return code;
}

int command_receive(int argc, char **argv)
{
	struct options o = {
		.config = {.any_dialect = true, .max_body = MAX_BODY},
		.data = "./tapeop-inbox",
	};
	int code = set_listen(&o, "127.0.0.1:9000");

	if (!code)
		code = read_options(&o, argc, argv);
	if (code < 0)
		code = run(&o);
	for (size_t i = 0; i < RECEIVE_KEYS_MAX; i++)
		mem_free_secret(o.keys[i]);
	return code;
}
