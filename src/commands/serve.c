/** commands/serve.c -- `tapeop serve`: run a node until SIGTERM. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "commands/commands.h"
#include "commands/server.h"

static const char help[] =
	"usage: tapeop serve -c FILE\n"
	"\n"
	"Run the recorder: HTTP API, RTP intake, files, callbacks.\n"
	"\n"
	"  -c, --config FILE   settings (YAML); see --sample\n"
	"      --check         read the settings, say what is wrong, end\n"
	"      --sample        print a settings file with every key, its\n"
	"                      default and what it does\n"
	"  -h, --help\n"
	"\n"
	"SIGHUP reads the settings and the file: secrets again.  A fault in "
	"them\n"
	"changes nothing and is named in the log.\n"
	"\n"
	"SIGTERM or SIGINT ends it cleanly: open segments are closed and\n"
	"stored, and tasks that were running go on at the next start.  When "
	"the\n"
	"disk does not take that, it ends after 30 s (or at a second signal, 5 "
	"s\n"
	"after the first) as a crash would; the next start recovers.\n";

enum {
	STOP_MAX_US = 30 * CLOCK_US_PER_S,
	STOP_PATIENCE_US =
		5 * CLOCK_US_PER_S /* before a second signal counts */
};

struct serve {
	struct loop *loop;
	const char *path; /* of the settings */
	struct server *server;
	struct timer give_up;
	bool stopping, reloading;
	int64_t stopping_us;
};

/** Tell a supervisor that we are ready.  Source: sd_notify(3). */
static void tell_supervisor(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd;

	if (!path || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL,
		   (const struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			       strlen(path))) < 0)
		log_warn("NOTIFY_SOCKET: %s", strerror(errno));
	close(fd);
}

static void on_stopped(void *arg)
{
	struct serve *s = arg;

	timer_stop(&s->give_up);
	loop_stop(s->loop);
}

/**
 * The disk does not take what must be durable: end as a crash would.  What was
 * committed is safe, the next start recovers the rest.
 */
static void on_give_up(struct timer *t, int64_t now_us)
{
	(void)t;
	(void)now_us;
	log_error("stop: not everything could be stored; ending all the same, "
		  "the next start recovers what is on the disk");
	_exit(EXIT_FAILED);
}

/* ---- reading the settings again ------------------------------------------- */

static void on_reloaded(const char *why, void *arg)
{
	struct serve *s = arg;
	char state[512];

	s->reloading = false;
	/* READY ends RELOADING, whatever came of it. */
	snprintf(state, sizeof(state), "READY=1\nSTATUS=%.480s",
		 why ? why : "");
	tell_supervisor(state);
}

static void reload(struct serve *s)
{
	char state[64];

	if (s->stopping || !s->server) {
		log_warn("reload: the server %s; nothing was changed",
			 s->stopping ? "stops" : "does not run yet");
		return;
	}
	if (!s->reloading) {
		snprintf(state, sizeof(state),
			 "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
			 clock_now_us());
		tell_supervisor(state);
	}
	s->reloading = true;
	server_reload(s->server, s->path, on_reloaded, s);
}

/* ---- stopping ------------------------------------------------------------- */

/** The first signal stops; another one, 5 s later or more, does not wait. */
static void on_signal(int signo, void *arg)
{
	struct serve *s = arg;
	int64_t now_us = loop_now_us(s->loop);

	if (signo == SIGHUP) {
		reload(s);
		return;
	}
	if (s->stopping) {
		if (now_us - s->stopping_us > STOP_PATIENCE_US)
			on_give_up(&s->give_up, now_us);
		return;
	}
	s->stopping = true;
	s->stopping_us = now_us;
	log_info("stopping: %s", strsignal(signo));
	if (timer_start(&s->give_up, s->loop, now_us + STOP_MAX_US, on_give_up))
		log_warn("stop: no memory for a deadline");
	server_stop(s->server, on_stopped, s);
}

static void log_listening(const struct serve *s, const struct config *config)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (size_t i = 0; i < config->n_listen; i++) {
		server_addr(s->server, i, &a);
		log_info("listening on http%s://%s",
			 config->tls.cert_file ? "s" : "",
			 addr_write(&a, text));
	}
}

static int run(const char *path, struct config *config)
{
	static const int signos[] = {SIGTERM, SIGINT, SIGHUP};
	struct serve s = {.path = path};
	struct signals *signals = NULL;
	struct err e = {0};
	int err;

	log_set_level(config->log_level);
	file_raise_limit();
	err = loop_new(&s.loop);
	if (!err)
		err = signals_open(s.loop, signos, ARRAY_LEN(signos), on_signal,
				   &s, &signals);
	if (!err)
		err = server_start(s.loop, config, NULL, &s.server, &e);
	if (err) {
		fprintf(stderr, "tapeop serve: %s\n",
			e.code ? e.text : strerror(err));
	} else {
		log_listening(&s, config);
		tell_supervisor("READY=1");
		loop_run(s.loop);
		server_free(s.server);
		log_info("stopped");
	}
	signals_close(signals);
	if (s.loop)
		loop_turn(s.loop, 0);
	loop_free(s.loop);
	return err ? EXIT_FAILED : EXIT_DONE;
}

static int print_sample(void)
{
	struct buf b;
	int ok;

	buf_init(&b, CONFIG_FILE_MAX);
	config_write_sample(&b);
	ok = !buf_err(&b) && fputs(buf_str(&b), stdout) >= 0;
	buf_fini(&b);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

static int load_and_run(const char *path, bool check)
{
	struct config *config;
	struct err e = {0};
	int code = EXIT_DONE;

	if (config_load(path, &config, &e)) {
		fprintf(stderr, "tapeop serve: %s\n", e.text);
		return EXIT_FAILED;
	}
	if (check)
		printf("%s: ok\n", path);
	else
		code = run(path, config);
	config_free(config);
	return code;
}

int command_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"sample", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *path = NULL;
	bool check = false;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			check = true;
			break;
		case 's':
			return print_sample();
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		default:
			return command_bad_option("serve", c, argv);
		}
	}
	if (!path || optind < argc) {
		fputs("tapeop serve: needs -c FILE (make one with "
		      "`tapeop serve --sample > tapeop.yaml`)\n",
		      stderr);
		return EXIT_USAGE;
	}
	return load_and_run(path, check);
}
