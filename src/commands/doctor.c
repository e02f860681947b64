/**
 * commands/doctor.c -- `tapeop doctor`: would this configuration run here?
 *
 * Nothing is started, nothing is sent to an endpoint beyond a connection that
 * is closed again; what is made for a check, in folders and in a bucket, is
 * removed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/doctor.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "commands/client.h"
#include "commands/commands.h"

static const char help[] =
	"usage: tapeop doctor -c FILE [--json]\n"
	"\n"
	"Read a configuration and check what it needs of this machine: "
	"folders,\n"
	"space, limits, clock, secrets, ports, certificate, and the way to "
	"each\n"
	"callback URL (a connection is opened and closed; nothing is sent).  "
	"Into\n"
	"an S3 bucket a small object is put, looked at and removed again.  "
	"One line\n"
	"a check: ok, warn or FAIL, and what to do.  Run it as the user that "
	"will\n"
	"run the server.\n"
	"\n"
	"  -c, --config FILE   settings, as for `tapeop serve`\n"
	"      --json          one JSON object: {\"checks\":[{\"what\",\n"
	"                      \"state\",\"text\"}],\"failed\":N,"
	"\"warned\":N}\n"
	"  -h, --help\n"
	"\n"
	"Exit codes: 0 nothing failed (there may be warnings), 1 something "
	"did.\n"
	"Example: tapeop doctor -c /etc/tapeop.yaml\n";

enum { TEXT_MAX = 8192 };

void doctor_say(struct doctor *d, enum doctor_state state, const char *what,
		const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warn", "FAIL"};
	struct buf text;
	va_list ap;

	buf_init(&text, TEXT_MAX);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	d->failed += state == DOCTOR_FAIL;
	d->warned += state == DOCTOR_WARN;
	if (d->json)
		json_array_append_new(d->checks,
				      json_pack("{s:s, s:s, s:s}", "what", what,
						"state", names[state], "text",
						buf_str(&text)));
	else
		client_say("%-5s %-22s %s", names[state], what, buf_str(&text));
	buf_fini(&text);
}

static void print_json(const struct doctor *d)
{
	json_t *all =
		json_pack("{s:O, s:i, s:i}", "checks", d->checks, "failed",
			  (int)d->failed, "warned", (int)d->warned);

	(void)client_print(all);
	json_decref(all);
}

static void examine(struct doctor *d)
{
	size_t n_callbacks = 0;

	for (size_t i = 0; i < d->config->n_apps; i++)
		n_callbacks += d->config->apps[i].n_endpoints;
	doctor_say(d, DOCTOR_OK, "configuration",
		   "%s: apps: %zu, callbacks: %zu", d->path, d->config->n_apps,
		   n_callbacks);
	doctor_check_folders(d);
	doctor_check_bucket(d);
	doctor_check_bucket_way(d);
	doctor_check_limits(d);
	doctor_check_clock(d);
	doctor_check_secrets(d);
	doctor_check_tls(d);
	doctor_check_listen(d);
	doctor_check_rtp(d);
	doctor_check_webrtc(d);
	doctor_check_callbacks(d);
	if (d->json)
		return;
	if (d->failed)
		printf("not fit to run: %zu failed\n", d->failed);
	else if (d->warned)
		printf("fit to run; %zu to look at\n", d->warned);
	else
		puts("fit to run");
}

static int read_options(struct doctor *d, int argc, char **argv)
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
			d->path = optarg;
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
	return d->path ? -1 : client_usage(&c, "-c FILE is required");
}

int command_doctor(int argc, char **argv)
{
	const struct client c = {.command = "doctor"};
	struct config *config = NULL;
	struct doctor d = {0};
	struct err e;
	int code = read_options(&d, argc, argv);

	if (code >= 0)
		return code;
	if (d.json)
		d.checks = json_array();
	if (!config_load(d.path, &config, &e)) {
		d.config = config;
		examine(&d);
	} else if (d.json) {
		doctor_say(&d, DOCTOR_FAIL, "configuration", "%s", e.text);
	} else {
		d.failed = 1;
		(void)client_fail(&c, EXIT_FAILED, "%s", e.text);
	}
	if (d.json)
		print_json(&d);
	json_decref(d.checks);
	config_free(config);
	return d.failed ? EXIT_FAILED : EXIT_DONE;
}
