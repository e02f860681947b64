/** commands/publish_room.c -- join and leave a room by the HTTP API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/publish.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "commands/commands.h"

enum { CALL_US = 10 * CLOCK_US_PER_S, ANSWER_MAX = 64 * 1024, URL_MAX = 8192 };

int publish_open(struct publish_room *r)
{
	static const char usual[] = "env:TAPEOP_ADMIN_TOKEN";
	const char *spec = r->token;
	char *token = NULL;
	bool literal;
	struct buf b;
	struct err e;

	if (!spec && !getenv("TAPEOP_ADMIN_TOKEN"))
		return EXIT_DONE;
	if (secret_read(spec ? spec : usual, &token, &literal, &e)) {
		fprintf(stderr, "tapeop publish: --token: %s\n", e.text);
		return EXIT_USAGE;
	}
	if (literal)
		fputs("tapeop publish: warning: a token on the command line "
		      "is visible to others; use env:NAME or file:PATH\n",
		      stderr);
	buf_init(&b, SECRET_MAX + 64);
	buf_printf(&b, "Authorization: Bearer %s", token);
	r->bearer = buf_take(&b);
	mem_free_secret(token);
	return r->bearer ? EXIT_DONE : EXIT_FAILED;
}

void publish_close(struct publish_room *r)
{
	mem_free_secret(r->bearer);
	r->bearer = NULL;
}

/* ---- calling -------------------------------------------------------------- */

/** Append `text` as a part of a path.  Source: RFC 3986 section 2.3. */
static void write_part(const char *text, struct buf *out)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text; text++) {
		if (strchr(plain, *text))
			buf_putc(out, *text);
		else
			buf_printf(out, "%%%02X", (unsigned char)*text);
	}
}

/** The server said no: its own words, and what they mean for this command. */
static int refused(int status, const json_t *answer, const char *server,
		   struct err *e)
{
	const char *detail =
		json_string_value(json_object_get(answer, "detail"));

	if (status == 401 || status == 403)
		return err_set(e, EACCES, "token",
			       "%.80s: %.120s; give its admin token with "
			       "--token",
			       server, detail ? detail : "not permitted");
	if (detail)
		return err_set(e, status == 404 ? ENOENT : EINVAL, "", "%.240s",
			       detail);
	return err_set(e, EPROTO, "server",
		       "%.80s answered %d: is this a tapeop server?", server,
		       status);
}

static int call(const struct publish_room *r, const char *method,
		const char *path, const char *body, int wanted, json_t **answer,
		struct err *e)
{
	const char *fields[] = {"Content-Type: application/json", r->bearer};
	struct http_call c = {
		.method = method,
		.fields = fields,
		.n_fields = r->bearer ? 2 : 1,
		.body = body,
		.body_len = strlen(body),
		.timeout_us = CALL_US,
		.allow_private = true,
	};
	size_t len = strlen(r->server);
	struct buf url, text;
	int status = 0;
	int err;

	*answer = NULL;
	while (len && r->server[len - 1] == '/')
		len--;
	buf_init(&url, URL_MAX);
	buf_init(&text, ANSWER_MAX);
	buf_printf(&url, "%.*s%s", (int)len, r->server, path);
	c.url = buf_str(&url);
	err = buf_err(&url) ? err_set(e, buf_err(&url), "server",
				      "the URL is too "
				      "long")
			    : http_fetch(&c, &status, &text, e);
	if (err == ECONNREFUSED)
		err = err_set(e, err, "server",
			      "no server answers at %.100s; start one with "
			      "`tapeop serve`, or name it with --server",
			      r->server);
	if (!err) {
		*answer =
			json_loadb((const char *)text.data, text.len, 0, NULL);
		if (status != wanted)
			err = refused(status, *answer, r->server, e);
	}
	buf_fini(&text);
	buf_fini(&url);
	return err;
}

/* ---- joining, leaving -------------------------------------------------------- */

static int take_input(struct publish_room *r, const json_t *answer,
		      struct addr *to, struct err *e)
{
	const char *id = json_string_value(json_object_get(answer, "input_id"));
	const char *address =
		json_string_value(json_object_get(answer, "address"));
	json_int_t port = json_integer_value(json_object_get(answer, "port"));

	if (!id || !str_copy(r->input, sizeof(r->input), id) || !address ||
	    addr_parse(address, to) || port < 1 || port > UINT16_MAX)
		return err_set(e, EPROTO, "server",
			       "%.80s answered without an input_id, address "
			       "and port: is this a tapeop server?",
			       r->server);
	addr_set_port(to, (uint16_t)port);
	return 0;
}

int publish_join(struct publish_room *r, struct addr *to, struct err *e)
{
	json_t *wish = json_pack("{s:s, s:s}", "user", r->user, "kind", "rtp");
	char *body = wish ? json_dumps(wish, JSON_COMPACT) : NULL;
	json_t *answer = NULL;
	struct buf path;
	int err;

	buf_init(&path, URL_MAX);
	buf_printf(&path, "/v1/apps/%u/rooms/", (unsigned)r->app);
	write_part(r->room, &path);
	buf_puts(&path, "/inputs");
	if (!body || buf_err(&path))
		err = err_set(e, ENOMEM, "", "out of memory");
	else
		err = call(r, "POST", buf_str(&path), body, 201, &answer, e);
	if (!err)
		err = take_input(r, answer, to, e);
	json_decref(answer);
	json_decref(wish);
	free(body); /* banned-ok: jansson's */
	buf_fini(&path);
	return err;
}

/** GET or DELETE the input, and see how much it took. */
static int ask_input(struct publish_room *r, const char *method, struct err *e)
{
	char path[64];
	json_t *answer = NULL;
	int err;

	snprintf(path, sizeof(path), "/v1/inputs/%s", r->input);
	err = call(r, method, path, "", 200, &answer, e);
	if (!err)
		r->taken = (uint64_t)json_integer_value(
			json_object_get(answer, "packets"));
	json_decref(answer);
	return err;
}

int publish_look(struct publish_room *r, struct err *e)
{
	return ask_input(r, "GET", e);
}

int publish_leave(struct publish_room *r, struct err *e)
{
	int err = ask_input(r, "DELETE", e);

	r->left = !err;
	return err == ENOENT ? 0 : err;
}
