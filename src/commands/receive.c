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
#include "commands/client.h"
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
	"                    one only live callbacks without a Sign are "
	"taken;\n"
	"                    standard: whsec_ or whpk_\n"
	"  --listen ADDR     address and port (127.0.0.1:9000)\n"
	"  --dialect D       auto, gme, live, trtc or standard (auto)\n"
	"  --data DIR        where events are kept (./tapeop-inbox)\n"
	"  --forward URL     send each new event on, as it came\n"
	"  --exec PROGRAM    run once an event, its JSON on stdin (no shell); "
	"what\n"
	"                    it prints goes to stderr\n"
	"  --tls-cert FILE   HTTPS: the certificate and those between it and a "
	"root\n"
	"                    (PEM; read again on SIGHUP, as are the next two)\n"
	"  --tls-key FILE    its key (PEM, not encrypted)\n"
	"  --tls-client-ca FILE  take only clients whose certificate one of "
	"these\n"
	"                    has signed (PEM)\n"
	"  --max-per-address N  connections of one address, 1 to 1000; one "
	"IPv6\n"
	"                    /64 is one (256, and none for loopback: a proxy "
	"on\n"
	"                    this machine is one address for all)\n"
	"  --json            JSON lines also on a terminal\n"
	"  -h, --help\n"
	"\n"
	"Open http://ADDR/ in a browser on this machine to watch; GET\n"
	"/v1/recordings is the same as JSON.\n";

enum {
	MAX_BODY = 1 << 20,
	WORKERS = 2,
	STORE_QUEUE = 10000,
	CONNECTIONS = 1000, /* of all addresses */
};

struct options {
	struct receive_config config;
	char *keys[RECEIVE_KEYS_MAX];
	const char *data;
	bool json;
};

struct running {
	struct loop *loop;
	struct receive *receive; /* NULL: not yet, or not any more */
	bool json;
};

static int usage(const char *why, const char *value)
{
	fprintf(stderr, "tapeop receive: %s%s%s; see tapeop receive --help\n",
		why, value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

/* ---- options --------------------------------------------------------------- */

static int add_key(void *arg, const char *spec)
{
	struct options *o = arg;
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

static int set_app(void *arg, const char *text)
{
	struct options *o = arg;

	return client_app("receive", text, &o->config.app);
}

static int set_listen(void *arg, const char *text)
{
	struct options *o = arg;

	if (addr_parse(text, &o->config.listen))
		return usage("--listen must be an address with a port, like "
			     "127.0.0.1:9000",
			     text);
	return EXIT_DONE;
}

static int set_dialect(void *arg, const char *text)
{
	struct options *o = arg;

	o->config.any_dialect = !strcmp(text, "auto");
	if (!o->config.any_dialect && !dialect_parse(text, &o->config.dialect))
		return usage("--dialect must be auto, gme, live, trtc or "
			     "standard",
			     text);
	return EXIT_DONE;
}

static int set_forward(void *arg, const char *url)
{
	struct options *o = arg;
	struct err e;

	if (http_url_check(url, &e))
		return usage("--forward", e.text);
	o->config.forward = url;
	return EXIT_DONE;
}

static int set_max_per_address(void *arg, const char *text)
{
	struct options *o = arg;
	int64_t n;

	if (str_to_i64(text, 1, CONNECTIONS, &n))
		return usage("--max-per-address must be 1 to 1000", text);
	o->config.max_per_address = (unsigned)n;
	return EXIT_DONE;
}

/** Returns -1, or the exit code. */
static int check_tls(const struct http_tls_config *tls)
{
	if (!tls->cert_file != !tls->key_file)
		return usage("--tls-cert and --tls-key belong together", NULL);
	if (tls->client_ca_file && !tls->cert_file)
		return usage("--tls-client-ca needs --tls-cert", NULL);
	return -1;
}

/** Returns -1 to go on, or the exit code. */
static int read_options(struct options *o, int argc, char **argv)
{
	const struct client_option options[] = {
		{.name = "app", .take = set_app},
		{.name = "key", .take = add_key},
		{.name = "listen", .take = set_listen},
		{.name = "dialect", .take = set_dialect},
		{.name = "data", .value = &o->data},
		{.name = "forward", .take = set_forward},
		{.name = "exec", .value = &o->config.exec},
		{.name = "tls-cert", .value = &o->config.tls.cert_file},
		{.name = "tls-key", .value = &o->config.tls.key_file},
		{.name = "tls-client-ca",
		 .value = &o->config.tls.client_ca_file},
		{.name = "max-per-address", .take = set_max_per_address},
		{.name = "json", .flag = &o->json},
	};
	int code = client_read_options(argc, argv, help, options,
				       ARRAY_LEN(options), o);

	if (code < 0 && optind < argc)
		return usage("unexpected argument", argv[optind]);
	if (code < 0 && !o->config.app)
		return usage("--app is required", NULL);
	return code < 0 ? check_tls(&o->config.tls) : code;
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

	if (signo != SIGHUP)
		loop_stop(r->loop);
	else if (r->receive)
		receive_reload_tls(r->receive);
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
		fprintf(stderr, "tapeop receive: %s%s\n", e.text,
			!strcmp(e.field, "--listen")
				? "; choose another address with --listen"
				: "");
		return EXIT_FAILED;
	}
	receive_addr(receive, &at);
	log_info("receiving callbacks of app %u on http%s://%s", o->config.app,
		 o->config.tls.cert_file ? "s" : "", addr_write(&at, text));
	r->receive = receive;
	loop_run(r->loop);
	r->receive = NULL;
	receive_close(receive);
	return EXIT_DONE;
}

/** Returns an exit code.  What the store says names a setting of `serve`; here
 *  it is an option. */
static int open_store(const struct options *o, struct store **out)
{
	const struct store_config c = {.data_dir = o->data,
				       .ballast_bytes = 1 << 20,
				       .max_queue = STORE_QUEUE};
	struct err e;
	int err = store_open(&c, out, &e);

	if (err == EBUSY)
		fprintf(stderr,
			"tapeop receive: another tapeop uses %s: stop it, or "
			"choose another folder with --data\n",
			o->data);
	else if (err)
		fprintf(stderr, "tapeop receive: --data: %s\n", e.text);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int run(const struct options *o)
{
	static const int signos[] = {SIGTERM, SIGINT, SIGHUP};
	/* Without files to read again SIGHUP ends it. */
	const size_t n_signos = ARRAY_LEN(signos) - !o->config.tls.cert_file;
	struct running r = {.json = o->json || !isatty(STDOUT_FILENO)};
	struct signals *signals = NULL;
	struct workers *workers = NULL;
	struct store *store = NULL;
	int code = EXIT_FAILED;
	int err;

	file_raise_limit(); /* under TLS a connection has three */
	err = loop_new(&r.loop);
	if (!err)
		err = signals_open(r.loop, signos, n_signos, on_signal, &r,
				   &signals);
	if (!err)
		err = workers_new("work", WORKERS, &workers);
	if (err)
		fprintf(stderr, "tapeop receive: cannot start: %s\n",
			strerror(err));
	else
		code = open_store(o, &store);
	if (!err && code == EXIT_DONE)
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
