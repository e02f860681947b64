/**
 * commands/doctor.c -- `tapeop doctor`: would this configuration run here?
 *
 * Nothing is started, nothing is sent to an endpoint beyond a connection that
 * is closed again; what is made for a check is removed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "commands/server.h"
#include "config/config.h"
#include "io/io.h"

static const char help[] =
	"usage: tapeop doctor -c FILE [--json]\n"
	"\n"
	"Read a configuration and check what it needs of this machine: "
	"folders,\n"
	"space, ports, limits, and the way to each callback URL (a connection\n"
	"is opened and closed; nothing is sent).  One line a check.\n"
	"\n"
	"  -c, --config FILE   settings, as for `tapeop serve`\n"
	"      --json          one JSON object: "
	"{\"checks\":[{\"what\",\"state\",\n"
	"                      \"text\"}],\"failed\":N}\n"
	"  -h, --help\n"
	"\n"
	"Exit codes: 0 nothing failed (there may be warnings), 1 something "
	"did.\n";

enum { CONNECT_MS = 5000, PORTS_TRIED = 50, TEXT_MAX = 400 };

enum state { OK, WARN, FAIL };

struct doctor {
	const struct config *config;
	json_t *checks;
	size_t failed;
	bool json;
};

static void say(struct doctor *d, enum state state, const char *what,
		const char *fmt, ...) PRINTF_LIKE(4, 5);

static void say(struct doctor *d, enum state state, const char *what,
		const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->failed += state == FAIL;
	if (d->json)
		json_array_append_new(d->checks,
				      json_pack("{s:s, s:s, s:s}", "what", what,
						"state", names[state], "text",
						text));
	else
		printf("%-5s %-22s %s\n", names[state], what, text);
}

/* ---- folders ----------------------------------------------------------------- */

/** The nearest folder of `path` that is there, and whether it is `path`. */
static bool nearest_folder(const char *path, char *out, size_t cap)
{
	struct stat st;
	bool whole = true;

	snprintf(out, cap, "%s", path);
	while (stat(out, &st) && errno == ENOENT) {
		char *slash = strrchr(out, '/');

		whole = false;
		if (!slash)
			snprintf(out, cap, ".");
		else if (slash == out)
			out[1] = 0;
		else
			*slash = 0;
	}
	return whole;
}

static void check_folder(struct doctor *d, const char *what, const char *path)
{
	char there[1100], probe[1200];
	bool whole = nearest_folder(path, there, sizeof(there));
	int fd;

	snprintf(probe, sizeof(probe), "%s/.tapeop-doctor-%d", there,
		 (int)getpid());
	fd = open(probe, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		say(d, FAIL, what, "%s cannot be written to: %s", there,
		    strerror(errno));
		return;
	}
	close(fd);
	unlink(probe);
	say(d, OK, what, "%s %s", path,
	    whole ? "can be written to" : "will be made");
}

static void check_space(struct doctor *d)
{
	char there[1100], text[CLIENT_WORD_MAX];
	int64_t free_bytes = 0;
	int err;

	nearest_folder(d->config->data_dir, there, sizeof(there));
	err = file_free_bytes(there, &free_bytes);
	if (err)
		say(d, FAIL, "space", "%s: %s", there, strerror(err));
	else if (free_bytes < SERVER_DISK_LOW)
		say(d, FAIL, "space",
		    "%s free at %s, and no task starts below %d MiB",
		    client_size(free_bytes, text), there,
		    SERVER_DISK_LOW >> 20);
	else
		say(d, OK, "space",
		    "%s free at %s: %" PRId64 " hours of one speaker",
		    client_size(free_bytes, text), there,
		    (free_bytes - SERVER_DISK_LOW) / (8000 * 3600));
}

static void check_folders(struct doctor *d)
{
	char a[1100], b[1100];
	struct stat sa, sb;

	check_folder(d, "data_dir", d->config->data_dir);
	check_folder(d, "storage.local.dir", d->config->storage_dir);
	nearest_folder(d->config->data_dir, a, sizeof(a));
	nearest_folder(d->config->storage_dir, b, sizeof(b));
	if (!stat(a, &sa) && !stat(b, &sb) && sa.st_dev != sb.st_dev)
		say(d, WARN, "storage.local.dir",
		    "is on another file system than data_dir: files are "
		    "copied, not linked");
	check_space(d);
}

/* ---- ports and limits --------------------------------------------------------- */

/** errno of binding, 0 when it is free. */
static int try_bind(const struct addr *at, int type)
{
	int fd = socket(at->sa.sa_family, type | SOCK_CLOEXEC, 0);
	int on = 1;
	int err = 0;

	if (fd < 0)
		return errno;
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &at->sa, at->len))
		err = errno;
	close(fd);
	return err;
}

static void check_listen(struct doctor *d)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < d->config->n_listen; i++) {
		const struct addr *at = &d->config->listen[i];
		int err = try_bind(at, SOCK_STREAM);

		addr_write(at, text);
		if (err == EADDRINUSE)
			say(d, WARN, "http.listen",
			    "%s is taken: by a server that runs already?",
			    text);
		else if (err)
			say(d, FAIL, "http.listen", "%s: %s", text,
			    strerror(err));
		else
			say(d, OK, "http.listen", "%s is free", text);
	}
	if (!d->config->admin_token)
		say(d, OK, "http.admin_token",
		    "none: only programs on this machine may ask");
}

static void check_rtp(struct doctor *d)
{
	const struct media_config *m = &d->config->media;
	unsigned n = m->rtp_port_last - m->rtp_port_first + 1U;
	unsigned step = n > PORTS_TRIED ? n / PORTS_TRIED : 1;
	unsigned tried = 0, taken = 0;
	struct addr at = m->address;
	int err = 0;

	for (unsigned i = 0; i < n && (!err || err == EADDRINUSE); i += step) {
		addr_set_port(&at, (uint16_t)(m->rtp_port_first + i));
		err = try_bind(&at, SOCK_DGRAM);
		taken += err == EADDRINUSE;
		tried++;
	}
	if (err && err != EADDRINUSE)
		say(d, FAIL, "media.address",
		    "cannot be bound: %s; it must be an address of this "
		    "machine",
		    strerror(err));
	else if (taken == tried)
		say(d, FAIL, "media.rtp_ports",
		    "all of the %u ports that were tried are taken", tried);
	else if (taken)
		say(d, WARN, "media.rtp_ports",
		    "%u of %u ports that were tried are taken; they are "
		    "passed over",
		    taken, tried);
	else
		say(d, OK, "media.rtp_ports", "%u ports, as many speakers", n);
}

static void check_limits(struct doctor *d)
{
	const struct media_config *m = &d->config->media;
	/* a socket and a file each, and some for the rest */
	uint64_t wanted =
		2U * (m->rtp_port_last - m->rtp_port_first + 1U) + 512;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	if (limit.rlim_max < wanted)
		say(d, WARN, "open files",
		    "the limit is %" PRIu64 ", %" PRIu64
		    " are needed to use every port (ulimit -Hn, LimitNOFILE=)",
		    (uint64_t)limit.rlim_max, wanted);
	else
		say(d, OK, "open files", "the limit is %" PRIu64,
		    (uint64_t)limit.rlim_max);
}

/* ---- callbacks ------------------------------------------------------------------ */

/** errno of connecting; EISCONN for done. */
static int try_connect(const struct addrinfo *a)
{
	int fd = socket(a->ai_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(int);
	int err = 0;

	if (fd < 0)
		return errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
		err = errno;
	else if (poll(&p, 1, CONNECT_MS) <= 0)
		err = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	close(fd);
	return err;
}

static void check_address(struct doctor *d, const char *what,
			  const struct notify_endpoint *ep,
			  const struct addrinfo *a)
{
	struct addr addr = {.len = a->ai_addrlen};
	char text[ADDR_TEXT_MAX];
	const char *special;
	int err;

	memcpy(&addr.any, a->ai_addr, a->ai_addrlen);
	addr_write(&addr, text);
	special = addr_special(&addr);
	if (special && !ep->allow_private) {
		say(d, FAIL, what, "%s is refused: %s; set allow_private", text,
		    special);
		return;
	}
	err = try_connect(a);
	if (err)
		say(d, WARN, what, "%s does not answer now: %s", text,
		    strerror(err));
	else
		say(d, OK, what, "%s answers", text);
}

static void check_endpoint(struct doctor *d, uint32_t app,
			   const struct notify_endpoint *ep)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char what[128], host[256], service[8];
	uint16_t port;
	struct err e;
	int code;

	snprintf(what, sizeof(what), "%" PRIu32 " %s", app, ep->name);
	if (http_url_target(ep->url, host, sizeof(host), &port, &e)) {
		say(d, FAIL, what, "%s", e.text);
		return;
	}
	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, &list);
	if (code) {
		say(d, FAIL, what, "%s: %s", host, gai_strerror(code));
		return;
	}
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		check_address(d, what, ep, a);
	freeaddrinfo(list);
}

static void check_apps(struct doctor *d)
{
	for (size_t i = 0; i < d->config->n_apps; i++) {
		const struct config_app *app = &d->config->apps[i];

		if (!app->n_endpoints)
			say(d, WARN, "callbacks",
			    "app %" PRIu32 " has none: nobody is told",
			    app->app.id);
		for (size_t k = 0; k < app->n_endpoints; k++)
			check_endpoint(d, app->app.id, &app->endpoints[k]);
	}
}

/* ---- the command ------------------------------------------------------------------ */

static int examine(struct doctor *d)
{
	int code;

	check_folders(d);
	check_listen(d);
	check_rtp(d);
	check_limits(d);
	check_apps(d);
	code = d->failed ? EXIT_FAILED : EXIT_DONE;
	if (d->json) {
		json_t *all = json_pack("{s:O, s:i}", "checks", d->checks,
					"failed", (int)d->failed);

		if (client_print(all))
			code = EXIT_FAILED;
		json_decref(all);
	} else {
		printf("%s\n", d->failed ? "not fit to run: see FAIL above"
					 : "fit to run");
	}
	return code;
}

static int read_options(struct doctor *d, const char **path, int argc,
			char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const struct client c = {.command = "doctor"};
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			*path = optarg;
			break;
		case 'j':
			d->json = true;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		default:
			return command_bad_option("doctor", opt, argv);
		}
	}
	if (optind < argc)
		return client_usage(&c, "what is %.60s?", argv[optind]);
	return *path ? -1 : client_usage(&c, "-c FILE is required");
}

int command_doctor(int argc, char **argv)
{
	const char *path = NULL;
	struct config *config = NULL;
	struct doctor d = {0};
	struct err e;
	int code = read_options(&d, &path, argc, argv);

	if (code >= 0)
		return code;
	if (config_load(path, &config, &e)) {
		fprintf(stderr, "tapeop doctor: %s\n", e.text);
		return EXIT_FAILED;
	}
	d.config = config;
	d.checks = json_array();
	code = examine(&d);
	json_decref(d.checks);
	config_free(config);
	return code;
}
