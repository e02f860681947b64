/** commands/ticket.c -- `tapeop ticket`: a UserSig, with which a user comes in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "commands/ticket.h"
#include "wire/event.h"
#include "wire/usersig.h"

static const char help[] =
	"usage: tapeop ticket --app ID --user U --key KEY [--expire TIME]\n"
	"\n"
	"Print a ticket (Tencent's UserSig) with which a user may send sound "
	"by\n"
	"WebRTC: POST /whip/ID/ROOM/U with `Authorization: Bearer TICKET`.  It "
	"is\n"
	"good for every room of the app.  A backend makes tickets by itself, "
	"with\n"
	"any of Tencent's tls-sig-api-v2 libraries.\n"
	"\n"
	"  --app ID       the app, like 1400000000\n"
	"  --user U       the user\n"
	"  --key KEY      secret_key of the app: env:NAME, file:PATH, or the "
	"key\n"
	"                 itself, which others can see in the list of "
	"processes\n"
	"  --expire TIME  how long it is good, from now on (default: 24h)\n"
	"  -h, --help\n"
	"\n"
	"Exit codes: 0 done, 1 failed, 2 usage.\n";

struct ticket {
	uint32_t app;
	const char *user, *key, *expire;
};

static int usage(const char *why)
{
	fprintf(stderr, "tapeop ticket: %s; see tapeop ticket --help\n", why);
	return EXIT_USAGE;
}

static int set_app(void *arg, const char *text)
{
	struct ticket *t = arg;

	return client_app("ticket", text, &t->app);
}

int ticket_make(uint32_t app, const char *user, int64_t expire_us,
		const char *key, struct buf *out, struct err *e)
{
	struct usersig u = {
		.sdkappid = app,
		.time_s = clock_unix_ms() / 1000,
		.expire_s = expire_us / CLOCK_US_PER_S,
	};
	int err;

	if (!str_copy(u.identifier, sizeof(u.identifier), user))
		return err_set(e, EINVAL, "user", "--user is too long");
	err = usersig_make(&u, key, out);
	if (err == ENOMEM)
		return err_no_memory(e);
	return err ? err_set(e, err, "user", "a user like this gets no ticket")
		   : 0;
}

static int print(const struct ticket *t, int64_t expire_us, const char *key)
{
	struct err e;
	struct buf out;
	int err;

	buf_init(&out, USERSIG_TEXT_MAX);
	err = ticket_make(t->app, t->user, expire_us, key, &out, &e);
	if (!err)
		printf("%s\n", buf_str(&out));
	else
		fprintf(stderr, "tapeop ticket: %s\n", e.text);
	buf_fini(&out);
	return err ? EXIT_FAILED : EXIT_DONE;
}

/** Returns -1 to go on, or the exit code. */
static int check(const struct ticket *t, int64_t *expire_us)
{
	struct err e = {0};

	if (!t->app)
		return usage("--app is missing");
	if (!t->user)
		return usage("--user is missing");
	if (!t->key)
		return usage("--key is missing: secret_key of the app");
	if (event_id_check(t->user, "--user", &e))
		return usage(e.text);
	if (str_to_duration_us(t->expire, expire_us) ||
	    *expire_us < CLOCK_US_PER_S)
		return usage("--expire must be a time from 1s to 3650d, such "
			     "as 24h");
	return -1;
}

int command_ticket(int argc, char **argv)
{
	struct ticket t = {.expire = "24h"};
	const struct client_option options[] = {
		{.name = "app", .take = set_app},
		{.name = "user", .value = &t.user},
		{.name = "key", .value = &t.key},
		{.name = "expire", .value = &t.expire},
	};
	int code = client_read_options(argc, argv, help, options,
				       ARRAY_LEN(options), &t);
	int64_t expire_us;
	char *key = NULL;

	if (code < 0 && optind < argc)
		code = usage("no argument is expected");
	if (code < 0)
		code = check(&t, &expire_us);
	if (code >= 0)
		return code;
	code = client_secret("ticket", "--key", t.key, &key);
	if (!code)
		code = *key ? print(&t, expire_us, key)
			    : usage("--key is empty");
	mem_free_secret(key);
	return code;
}
