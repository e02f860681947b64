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
#include "commands/printer.h"
#include "commands/reread.h"
#include "config/config.h"

static const char help[] =
	"usage: tapeop receive --app ID --key KEY [options]\n"
	"       tapeop receive -c FILE [--json | --check]\n"
	"       tapeop receive --sample\n"
	"\n"
	"Receive recording callbacks for an app, or several: verify, store,\n"
	"answer, and only then print each new event as one line.  Repeated\n"
	"events are answered as success and printed once.\n"
	"\n"
	"  --app ID          the app's id (BizID, SdkAppId)\n"
	"  --key KEY         its key or token: env:NAME, file:PATH or the "
	"text\n"
	"                    itself; up to 8 times (all are accepted); "
	"files are\n"
	"                    read again on SIGHUP.  Without one only live "
	"callbacks\n"
	"                    without a Sign are taken; standard: whsec_ or "
	"whpk_\n"
	"  --listen ADDR     address and port (127.0.0.1:9000)\n"
	"  --dialect D       auto, gme, live, trtc or standard (auto)\n"
	"  --data DIR        where events are kept (./tapeop-inbox, made where "
	"you\n"
	"                    are)\n"
	"  --forward URL     send each new event on, as it came (live and "
	"standard:\n"
	"                    signed anew)\n"
	"  --exec PROGRAM    run once an event, its JSON on stdin as one line "
	"(no\n"
	"                    shell); what it prints goes to stderr.  Status 0: "
	"done;\n"
	"                    any other: try again\n"
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
	"  -c, --config FILE several apps with several keys each (YAML), in "
	"the\n"
	"                    place of the options above; SIGHUP reads it "
	"again\n"
	"  --check           read FILE, say what is wrong, end\n"
	"  --sample          print a FILE with every setting\n"
	"  --json            JSON lines also on a terminal\n"
	"  -h, --help\n"
	"\n"
	"Open http://ADDR/ in a browser on this machine to watch; GET\n"
	"/v1/recordings is the same as JSON.\n"
	"\n"
	"What --forward and --exec fail to hand on is tried again at once, 6 "
	"times\n"
	"after 10 s, 10 times after a minute at most, then after 5 minutes at "
	"most,\n"
	"until the event is 7 days old.  Each failure says when.\n"
	"\n"
	"Example: tapeop receive --app 1400000000 --key env:KEY --exec "
	"./hook.sh\n"
	"\n"
	"Exit codes: 0 told to end (SIGTERM, SIGINT), 1 failed, 2 usage.\n";

enum {
	MAX_BODY = 1 << 20,
	WORKERS = 2,
	STORE_QUEUE = 10000,
	CONNECTIONS = 1000,	/* of all addresses */
	LINE_MAX_BYTES = 16384, /* of an event */
};

struct options {
	struct addr listen;
	const char *data;
	struct receive_app app; /* of the command line */
	char *keys[RECEIVE_KEYS_MAX];
	const char *specs[RECEIVE_KEYS_MAX]; /* where they came from */
	struct http_tls_config tls;
	unsigned max_per_address; /* 0: the usual */
	bool json, check, sample;
	const char *path;	       /* of the file, or NULL */
	struct config_receive *config; /* what it says */
};

struct running {
	struct loop *loop;
	bool json;
	struct printer *printer;
	struct receive *receive;
	struct http_tls_config tls;
	bool is_stopped; /* it has run, and was told to end */
	/* of a file */
	struct config_receive *config; /* what is true; NULL: there is none */
	struct reread reread;
	/* of the command line; NULL: there is a file */
	struct options *options;
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
	char **key = &o->keys[o->app.n_keys];

	if (o->app.n_keys == RECEIVE_KEYS_MAX)
		return usage("--key may be given at most 8 times", NULL);
	if (client_secret("receive", "--key", spec, key))
		return EXIT_USAGE;
	if (!**key)
		return usage("--key must not be empty", NULL);
	o->specs[o->app.n_keys] = spec;
	o->app.keys[o->app.n_keys] =
		(struct receive_key){*key, RECEIVE_ALL_DIALECTS};
	o->app.n_keys++;
	return EXIT_DONE;
}

static int set_app(void *arg, const char *text)
{
	struct options *o = arg;

	return client_app("receive", text, &o->app.id);
}

static int set_listen(void *arg, const char *text)
{
	struct options *o = arg;

	if (addr_parse(text, &o->listen))
		return usage("--listen must be an address with a port, like "
			     "127.0.0.1:9000",
			     text);
	return EXIT_DONE;
}

static int set_dialect(void *arg, const char *text)
{
	struct options *o = arg;
	enum dialect d;

	o->app.dialects = RECEIVE_ALL_DIALECTS;
	if (!strcmp(text, "auto"))
		return EXIT_DONE;
	if (!dialect_parse(text, &d))
		return usage("--dialect must be auto, gme, live, trtc or "
			     "standard",
			     text);
	o->app.dialects = 1U << d;
	return EXIT_DONE;
}

static int set_forward(void *arg, const char *url)
{
	struct options *o = arg;
	struct err e;

	if (http_url_check(url, &e))
		return usage("--forward", e.text);
	o->app.forward = url;
	return EXIT_DONE;
}

static int set_exec(void *arg, const char *program)
{
	struct options *o = arg;
	struct err e;

	if (receive_check_exec(program, &e))
		return usage("--exec", e.text);
	o->app.exec = program;
	return EXIT_DONE;
}

static int set_max_per_address(void *arg, const char *text)
{
	struct options *o = arg;
	int64_t n;

	if (str_to_i64(text, 1, CONNECTIONS, &n))
		return usage("--max-per-address must be 1 to 1000", text);
	o->max_per_address = (unsigned)n;
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

/** Is anything given that stands in a file? */
static bool is_of_file(const struct options *o)
{
	const struct receive_app *a = &o->app;

	return a->id || a->n_keys || a->forward || a->exec || a->dialects ||
	       o->data || o->listen.len || o->tls.cert_file ||
	       o->max_per_address;
}

/** Returns -1 to go on, or the exit code. */
static int check_options(struct options *o)
{
	if (o->path && is_of_file(o))
		return usage("with -c FILE apps, keys, addresses, folders and "
			     "TLS stand in the file: only --json and --check "
			     "go with it",
			     NULL);
	if (o->check && !o->path)
		return usage("--check needs -c FILE", NULL);
	if (!o->path && !o->sample && !o->app.id)
		return usage("--app is required", NULL);
	return check_tls(&o->tls);
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
		{.name = "exec", .take = set_exec},
		{.name = "tls-cert", .value = &o->tls.cert_file},
		{.name = "tls-key", .value = &o->tls.key_file},
		{.name = "tls-client-ca", .value = &o->tls.client_ca_file},
		{.name = "max-per-address", .take = set_max_per_address},
		{.name = "json", .flag = &o->json},
		{.name = "config", .letter = 'c', .value = &o->path},
		{.name = "check", .flag = &o->check},
		{.name = "sample", .flag = &o->sample},
	};
	int code = client_read_options(argc, argv, help, options,
				       ARRAY_LEN(options), o);

	if (code < 0 && optind < argc)
		return usage("unexpected argument", argv[optind]);
	return code < 0 ? check_options(o) : code;
}

/* ---- telling ------------------------------------------------------------------ */

static void on_event(const struct callback *c, const char *line, void *arg)
{
	const struct running *r = arg;
	struct buf b;
	char *text;

	if (r->json) {
		printer_line(r->printer, line, strlen(line));
		return;
	}
	buf_init(&b, LINE_MAX_BYTES);
	buf_printf(&b, "%-4s %-14s room %s  user %s  task %s  %s",
		   dialect_name(c->dialect),
		   c->event.kind < EVENT_KIND_N ? event_kind_name(c->event.kind)
						: "?",
		   c->event.room, c->event.user, c->task, c->event.file_name);
	text = buf_take(&b);
	if (text) {
		client_clean(text);
		printer_line(r->printer, text, strlen(text));
	}
	mem_free(text);
}

/* ---- reading a file of settings again ------------------------------------------- */

enum { LINE_MAX_LEN = 800 }; /* of a reload */

static int load_again(const char *path, void **next, struct err *e)
{
	struct config_receive *config = NULL;
	int err = config_receive_load(path, &config, e);

	*next = config;
	return err;
}

static void say_changes(const struct config_receive *was,
			const struct config_receive *next)
{
	struct buf now, later;

	buf_init(&now, LINE_MAX_LEN);
	buf_init(&later, LINE_MAX_LEN);
	config_receive_write_changes(was, next, &now);
	config_receive_write_later(was, next, &later);
	if (buf_err(&now)) /* too many to name */
		log_info("reload: many apps changed");
	else if (now.len || !later.len)
		log_info("reload: %s",
			 now.len ? buf_str(&now) : "nothing has changed");
	reread_say_later(buf_str(&later));
	buf_fini(&now);
	buf_fini(&later);
}

static int apply_again(void *next, void *arg, struct err *e)
{
	struct config_receive *config = next;
	struct running *r = arg;
	const enum log_level was = r->config->log_level;
	int err = receive_reload_tls(r->receive, &r->tls, e);

	if (err)
		return err;
	err = receive_set_apps(r->receive, config->apps, config->n_apps);
	if (err)
		return err_set(e, err, "", "%s", strerror(err));
	/* The line is shown by either level. */
	log_set_level(was > config->log_level ? was : config->log_level);
	say_changes(r->config, config);
	log_set_level(config->log_level);
	config_receive_take(r->config, config);
	return 0;
}

static void free_again(void *next)
{
	config_receive_free(next);
}

static const struct reread_kind reread_kind = {load_again, apply_again,
					       free_again};

/* ---- reading again what options name -------------------------------------------- */

static bool is_file(const char *spec)
{
	const char *name;

	return secret_kind(spec, &name) == SECRET_FILE;
}

static size_t count_key_files(const struct options *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->app.n_keys; i++)
		n += is_file(o->specs[i]);
	return n;
}

static void free_keys(char *keys[RECEIVE_KEYS_MAX])
{
	for (size_t i = 0; i < RECEIVE_KEYS_MAX; i++)
		mem_free_secret(keys[i]);
}

/** Those of files; the others stay NULL.  Free them with free_keys. */
static int read_keys(const struct options *o, char *next[RECEIVE_KEYS_MAX],
		     struct err *e)
{
	struct err why;
	bool literal;

	for (size_t i = 0; i < o->app.n_keys; i++) {
		int err = is_file(o->specs[i])
				  ? secret_read(o->specs[i], &next[i], &literal,
						&why)
				  : 0;

		if (err)
			return err_set(e, err, "", "--key: %s", why.text);
	}
	return 0;
}

/** All of it, or nothing.  *changed: are there other keys now? */
static int apply_keys(struct running *r, char *next[RECEIVE_KEYS_MAX],
		      bool *changed, struct err *e)
{
	struct options *o = r->options;
	struct receive_app app = o->app;
	int err = receive_reload_tls(r->receive, &r->tls, e);

	if (err)
		return err;
	*changed = false;
	for (size_t i = 0; i < app.n_keys; i++) {
		if (!next[i])
			continue;
		*changed = *changed || strcmp(next[i], o->keys[i]) != 0;
		app.keys[i].secret = next[i];
	}
	err = receive_set_apps(r->receive, &app, 1);
	if (err)
		return err_set(e, err, "", "%s", strerror(err));
	o->app = app;
	for (size_t i = 0; i < app.n_keys; i++) {
		char *was = o->keys[i];

		if (!next[i])
			continue;
		o->keys[i] = next[i];
		next[i] = was;
	}
	return 0;
}

static void say_read(const struct running *r, bool changed)
{
	const char *keys = !count_key_files(r->options) ? ""
			   : changed ? "the keys of files have changed"
				     : "the keys of files are as before";
	const char *cert = r->tls.cert_file;

	log_info("reload: %s%s%s%s%s", keys, keys[0] && cert ? "; " : "",
		 cert ? "new handshakes use " : "", cert ? cert : "",
		 cert ? " as it is now" : "");
}

/** Everything that stands in files. */
static void reload_options(struct running *r)
{
	char *next[RECEIVE_KEYS_MAX] = {NULL};
	struct err e = {0};
	bool changed;
	int err;

	if (!r->receive) /* it has closed */
		return;
	if (!r->tls.cert_file && !count_key_files(r->options)) {
		log_info("reload: there is nothing to read again: no --key is "
			 "file:PATH, and there is no TLS");
		return;
	}
	err = read_keys(r->options, next, &e);
	if (!err)
		err = apply_keys(r, next, &changed, &e);
	if (err)
		log_error("reload: %s; nothing was changed", e.text);
	else
		say_read(r, changed);
	free_keys(next);
}

static void on_signal(int signo, void *arg)
{
	struct running *r = arg;

	if (signo != SIGHUP) {
		log_info("stopping: %s", strsignal(signo));
		loop_stop(r->loop);
	} else if (r->config) {
		reread_start(&r->reread, NULL, NULL);
	} else {
		reload_options(r);
	}
}

/* ---- running -------------------------------------------------------------------- */

static void log_listening(const struct running *r, const struct options *o)
{
	const char *s = r->tls.cert_file ? "s" : "";
	char text[ADDR_TEXT_MAX];
	struct addr at;

	receive_addr(r->receive, &at);
	addr_write(&at, text);
	if (!r->config)
		log_info("receiving callbacks of app %u on http%s://%s",
			 o->app.id, s, text);
	else
		log_info("receiving callbacks of %zu app%s on http%s://%s",
			 r->config->n_apps, r->config->n_apps > 1 ? "s" : "", s,
			 text);
}

static int serve(struct running *r, const struct options *o,
		 struct store *store, struct workers *workers)
{
	static const struct receive_events events = {.event = on_event};
	const struct receive_config config = {
		.listen = o->listen,
		.apps = r->config ? r->config->apps : &o->app,
		.n_apps = r->config ? r->config->n_apps : 1,
		.max_body = MAX_BODY,
		.tls = o->tls,
		.max_per_address = o->max_per_address,
	};
	struct err e;

	if (receive_open(r->loop, store, workers, &config, &events, r,
			 &r->receive, &e)) {
		fprintf(stderr, "tapeop receive: %s%s\n", e.text,
			strcmp(e.field, "--listen") != 0 ? ""
			: r->config ? "; choose another address in `listen`"
				    : "; choose another address with "
				      "--listen");
		return EXIT_FAILED;
	}
	log_listening(r, o);
	r->reread = (struct reread){.kind = &reread_kind,
				    .of = r,
				    .loop = r->loop,
				    .workers = workers,
				    .path = o->path};
	loop_run(r->loop);
	r->reread.stopped = true;
	receive_close(r->receive);
	r->receive = NULL;
	r->is_stopped = true;
	return EXIT_DONE;
}

/** Returns an exit code.  What the store says names a setting of `serve`; here
 *  it may be an option. */
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
			"choose another %s\n",
			o->data, o->config ? "data_dir" : "folder with --data");
	else if (err)
		fprintf(stderr, "tapeop receive: %s: %s\n",
			o->config ? "data_dir" : "--data", e.text);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int run(struct options *o)
{
	static const int signos[] = {SIGTERM, SIGINT, SIGHUP};
	struct running r = {.json = o->json || !isatty(STDOUT_FILENO),
			    .tls = o->tls,
			    .config = o->config,
			    .options = o->config ? NULL : o};
	struct signals *signals = NULL;
	struct workers *workers = NULL;
	struct store *store = NULL;
	int code = EXIT_FAILED;
	int err;

	file_raise_limit(); /* under TLS a connection has three */
	err = loop_new(&r.loop);
	if (!err)
		err = printer_new(r.loop, STDOUT_FILENO, &r.printer);
	if (!err)
		err = signals_open(r.loop, signos, ARRAY_LEN(signos), on_signal,
				   &r, &signals);
	if (!err)
		err = workers_new("work", WORKERS, &workers);
	if (err)
		fprintf(stderr, "tapeop receive: cannot start: %s\n",
			strerror(err));
	else
		code = open_store(o, &store);
	if (!err && code == EXIT_DONE)
		code = serve(&r, o, store, workers);
	printer_free(r.printer);
	workers_free(workers);
	store_close(store);
	if (r.is_stopped)
		log_info("stopped");
	signals_close(signals);
	if (r.loop)
		loop_turn(r.loop, 0);
	loop_free(r.loop);
	return code;
}

static int print_sample(void)
{
	struct buf b;
	bool ok;

	buf_init(&b, CONFIG_FILE_MAX);
	config_receive_write_sample(&b);
	ok = !buf_err(&b) && fputs(buf_str(&b), stdout) >= 0;
	buf_fini(&b);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

/** Everything from a file.  Returns an exit code. */
static int run_file(struct options *o)
{
	struct err e = {0};

	if (config_receive_load(o->path, &o->config, &e)) {
		fprintf(stderr, "tapeop receive: %s\n", e.text);
		return EXIT_FAILED;
	}
	if (o->check) {
		printf("%s: ok\n", o->path);
		return EXIT_DONE;
	}
	o->listen = o->config->listen;
	o->data = o->config->data_dir;
	o->tls = o->config->tls;
	o->max_per_address = o->config->max_per_address;
	log_set_level(o->config->log_level);
	return run(o);
}

/** Everything from the command line.  Returns an exit code. */
static int run_options(struct options *o)
{
	if (!o->listen.len && set_listen(o, "127.0.0.1:9000"))
		return EXIT_FAILED;
	if (!o->data)
		o->data = "./tapeop-inbox";
	if (!o->app.dialects)
		o->app.dialects = RECEIVE_ALL_DIALECTS;
	o->app.unsigned_live = !o->app.n_keys;
	return run(o);
}

int command_receive(int argc, char **argv)
{
	struct options o = {.path = NULL};
	int code = read_options(&o, argc, argv);

	if (code < 0 && o.sample)
		code = print_sample();
	else if (code < 0)
		code = o.path ? run_file(&o) : run_options(&o);
	config_receive_free(o.config);
	free_keys(o.keys);
	return code;
}
