/** commands/publish_where.c -- where a sender by WHIP goes, and with which
 *  ticket. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/commands.h"
#include "commands/publish.h"
#include "commands/ticket.h"
#include "wire/quote.h"

/* It is looked at once, when the session begins. */
#define EXPIRE_US (3600 * (int64_t)CLOCK_US_PER_S)

int publish_write_url(const struct publish_wish *w, const char *server,
		      struct buf *out, struct err *e)
{
	size_t len = strlen(server);

	while (len && server[len - 1] == '/')
		len--;
	if (w->where) {
		buf_puts(out, w->where);
	} else {
		buf_printf(out, "%.*s/whip/%u/", (int)len, server,
			   (unsigned)w->app);
		quote_percent(out, w->room);
		buf_putc(out, '/');
		quote_percent(out, w->user);
	}
	return buf_err(out) ? err_set(e, buf_err(out), "",
				      "too long, or out of memory")
			    : 0;
}

/** Of the first of these that is there: the option, or what it is in. */
struct source {
	const char *option; /* for messages */
	const char *spec;   /* NULL: it is not */
};

static const char *in_environment(const char *name, const char *spec)
{
	const char *value = getenv(name);

	return value && value[0] ? spec : NULL;
}

static int make(const struct publish_wish *w, const char *key, struct buf *out)
{
	struct err e;

	if (!*key) {
		fprintf(stderr, "tapeop publish: --key is empty; see tapeop "
				"publish --help\n");
		return EXIT_USAGE;
	}
	if (!ticket_make(w->app, w->user, EXPIRE_US, key, out, &e))
		return EXIT_DONE;
	fprintf(stderr, "tapeop publish: %s\n", e.text);
	return EXIT_FAILED;
}

int publish_find_ticket(const struct publish_wish *w, struct buf *out)
{
	/* the admin token is for the server whose it is */
	const char *admin = w->token	? w->token
			    : w->has_to ? NULL
					: in_environment("TAPEOP_ADMIN_TOKEN",
							 "env:TAPEOP_ADMIN_"
							 "TOKEN");
	const struct source sources[] = {
		{"--key", w->key},
		{"--ticket", w->ticket},
		{"--ticket",
		 in_environment("TAPEOP_TICKET", "env:TAPEOP_TICKET")},
		{"--token", admin},
	};
	char *secret;
	size_t i = 0;
	int code;

	while (i < ARRAY_LEN(sources) && !sources[i].spec)
		i++;
	if (i == ARRAY_LEN(sources))
		return EXIT_DONE;
	code = client_secret("publish", sources[i].option, sources[i].spec,
			     &secret);
	if (code)
		return code;
	if (w->key)
		code = make(w, secret, out);
	else
		buf_puts(out, secret);
	mem_free_secret(secret);
	return code;
}
