/** commands/client.c -- ask a running server. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/client.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "commands/commands.h"
#include "io/io.h"
#include "wire/json_text.h"
#include "wire/quote.h"

enum {
	ANSWER_MAX = 64 << 20,
	URL_MAX = 8192,
	OPTIONS_MAX = 20,
	LINE_MAX_BYTES = 1024,
	PAGE_ROWS = 1000
};

int client_fail(const struct client *c, int code, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	client_clean(text);
	fprintf(stderr, "tapeop %s: %s\n", c->command, text);
	return code;
}

int client_usage(const struct client *c, const char *fmt, ...)
{
	char why[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return client_fail(c, EXIT_USAGE, "%s; see tapeop %s --help", why,
			   c->command);
}

/* ---- the command line ------------------------------------------------------ */

int client_init(struct client *c, int argc, char **argv, const char *help,
		const struct client_option *options, size_t n)
{
	struct client_option all[OPTIONS_MAX] = {
		{.name = "server", .value = &c->server},
		{.name = "token", .value = &c->token},
		{.name = "json", .flag = &c->json},
	};
	int code;

	assert(n + 3 <= OPTIONS_MAX);
	*c = (struct client){.command = argv[0]};
	for (size_t i = 0; i < n; i++)
		all[3 + i] = options[i];
	code = client_read_options(argc, argv, help, all, n + 3, c);
	c->args = argv + optind;
	c->n_args = argc - optind;
	if (code < 0)
		code = client_open(c);
	else
		return code;
	return code == EXIT_DONE ? -1 : code;
}

static int read_token(struct client *c)
{
	const char *usual = getenv("TAPEOP_ADMIN_TOKEN");
	const char *spec = c->token;
	char *token = NULL;
	struct buf b;
	int code;

	if (!spec && (!usual || !usual[0]))
		return EXIT_DONE;
	code = client_secret(c->command, "--token",
			     spec ? spec : "env:TAPEOP_ADMIN_TOKEN", &token);
	if (code)
		return code;
	buf_init(&b, SECRET_MAX + 64);
	buf_printf(&b, "Authorization: Bearer %s", token);
	c->bearer = buf_take(&b);
	mem_free_secret(token);
	return c->bearer ? EXIT_DONE : EXIT_FAILED;
}

int client_open(struct client *c)
{
	struct err e;

	if (!c->server)
		c->server = getenv("TAPEOP_SERVER");
	if (!c->server || !c->server[0])
		c->server = "http://127.0.0.1:8080";
	if (http_url_check(c->server, &e))
		return client_usage(c, "--server: %s", e.text);
	if (c->server[strcspn(c->server, "?#")])
		return client_usage(c, "--server: must end before '?' and '#'");
	return read_token(c);
}

void client_close(struct client *c)
{
	mem_free_secret(c->bearer);
	c->bearer = NULL;
}

int client_limit(const struct client *c, const char *text, size_t usual,
		 size_t *limit)
{
	int64_t n = (int64_t)usual;

	if (text && str_to_i64(text, 1, 1000000, &n))
		return client_usage(
			c, "--limit must be a number from 1 to 1000000, is %s",
			text);
	*limit = (size_t)n;
	return EXIT_DONE;
}

/* ---- calls ------------------------------------------------------------------ */

void client_write_query(const char *path, const struct client_filter *filters,
			size_t n, struct buf *out)
{
	buf_printf(out, "%s?", path);
	for (size_t i = 0; i < n; i++) {
		if (!filters[i].value)
			continue;
		buf_printf(out, "%s=", filters[i].name);
		quote_percent(out, filters[i].value);
		buf_putc(out, '&');
	}
}

int client_no_answer(const struct client *c, int64_t wait_us, int err,
		     struct err *e)
{
	const char *option = c->option ? c->option : "--server";

	if (err == ECONNREFUSED)
		return err_set(e, err, "server",
			       "no server answers at %.100s; start one%s, or "
			       "name it with %s",
			       c->server,
			       c->option ? "" : " with `tapeop serve`", option);
	if (err == EHOSTUNREACH)
		return err_set(e, err, "server",
			       "%.100s: there is no such host; name the server "
			       "with %s",
			       c->server, option);
	if (err == ETIMEDOUT)
		return err_set(e, err, "server",
			       "%.100s did not answer within %d s: is that "
			       "%s server (%s), and is it well?",
			       c->server, (int)(wait_us / CLOCK_US_PER_S),
			       c->option ? "the right" : "a tapeop", option);
	if (err == EPROTO) {
		const struct err said = *e;

		return err_set(e, err, "server",
			       "%s; this machine must trust who signed it: a "
			       "CA of your own by update-ca-certificates",
			       said.text);
	}
	return err;
}

/** One call, with its method and body; with `fn` any length of answer. */
static int call_server(const struct client *c, const struct http_call *wish,
		       const char *path, http_data_fn *fn, void *arg,
		       int *status, struct buf *answer, struct err *e)
{
	const char *fields[] = {"Content-Type: application/json", c->bearer};
	struct http_call call = *wish;
	size_t len = strlen(c->server);
	struct buf url;
	int err;

	while (len && c->server[len - 1] == '/')
		len--;
	buf_init(&url, URL_MAX);
	buf_printf(&url, "%.*s%s", (int)len, c->server, path);
	call.url = buf_str(&url);
	call.fields = fields;
	call.n_fields = c->bearer ? 2 : 1;
	if (!call.timeout_us)
		call.timeout_us = c->wait_us ? c->wait_us : CLIENT_WAIT_US;
	call.allow_private = true;
	err = buf_err(&url);
	if (err)
		err = err_set(e, err, "", "too long, or out of memory");
	else
		err = client_no_answer(
			c, call.timeout_us,
			http_fetch_each(&call, fn, arg, status, answer, e), e);
	buf_fini(&url);
	return err;
}

int client_ask(const struct client *c, const char *method, const char *path,
	       const json_t *body, int *status, struct buf *answer,
	       struct err *e)
{
	struct http_call call = {.method = method};
	struct buf text;
	int err = 0;

	buf_init(&text, ANSWER_MAX);
	if (body)
		err = json_text_write(body, &text);
	call.body = buf_str(&text);
	call.body_len = text.len;
	if (err)
		err = err_set(e, err, "", "too long, or out of memory");
	else
		err = call_server(c, &call, path, NULL, NULL, status, answer,
				  e);
	buf_fini(&text);
	return err;
}

/** The server said no: its own words, and the field they are about. */
static int refused(const struct client *c, int status, const json_t *answer,
		   struct err *e)
{
	const char *detail = client_text(answer, "detail");
	const char *field = client_text(answer, "field");
	bool named = !field[0] || str_starts_with(detail, field);

	if (!detail[0])
		return err_set(e, EPROTO, "server",
			       "%.80s answered %d: is this a tapeop server?",
			       c->server, status);
	if (status == 401 || status == 403)
		return err_set(e, EACCES, "token", "%.60s: %.100s; %s",
			       c->server, detail,
			       !c->bearer ? "give its admin token with --token"
			       : c->token ? "give another --token"
					  : "it is from the environment's "
					    "TAPEOP_ADMIN_TOKEN");
	return err_set(e, status == 404 ? ENOENT : EINVAL, field, "%s%s%s",
		       named ? "" : field, named ? "" : ": ", detail);
}

int client_call(const struct client *c, const char *method, const char *path,
		const json_t *body, json_t **answer, struct err *e)
{
	struct buf text;
	json_t *json = NULL;
	int status = 0;
	int err;

	*answer = NULL;
	buf_init(&text, ANSWER_MAX);
	err = client_ask(c, method, path, body, &status, &text, e);
	if (!err) {
		json = json_loadb(buf_str(&text), text.len, 0, NULL);
		if (status != 200 && status != 201)
			err = refused(c, status, json, e);
		else if (!json_is_object(json))
			err = refused(c, status, NULL, e);
	}
	buf_fini(&text);
	if (err)
		json_decref(json);
	else
		*answer = json;
	return err;
}

/** As client_follow; `url`: where the answer says that it is, "": nothing. */
static int follow(const struct client *c, const char *path, int64_t wait_us,
		  http_data_fn *fn, void *arg, int *status, struct buf *url,
		  struct err *e)
{
	const struct http_call call = {.method = "GET", .timeout_us = wait_us};
	struct buf text;
	json_t *json;
	int err;

	*status = 0;
	buf_init(&text, ANSWER_MAX);
	err = call_server(c, &call, path, fn, arg, status, &text, e);
	if (!err && *status != 200) {
		json = json_loadb(buf_str(&text), text.len, 0, NULL);
		if (*status == 302 && url)
			buf_puts(url, client_text(json, "url"));
		if (!url || !url->len)
			err = refused(c, *status, json, e);
		json_decref(json);
	}
	buf_fini(&text);
	return err;
}

int client_follow(const struct client *c, const char *path, int64_t wait_us,
		  http_data_fn *fn, void *arg, int *status, struct err *e)
{
	return follow(c, path, wait_us, fn, arg, status, NULL, e);
}

/** From the storage itself: the URL is enough, and our token is not sent. */
static int download_from(const char *url, http_data_fn *fn, void *arg,
			 struct err *e)
{
	const struct http_call call = {.method = "GET",
				       .url = url,
				       .timeout_us = CLIENT_WAIT_US,
				       .allow_private = true};
	struct buf text;
	int status = 0;
	int err;

	buf_init(&text, ANSWER_MAX);
	err = http_fetch_each(&call, fn, arg, &status, &text, e);
	if (!err && status != 200)
		err = err_set(e, status == 404 ? ENOENT : EINVAL, "url",
			      "the storage answered %d", status);
	buf_fini(&text);
	return err;
}

int client_download(const struct client *c, const char *path, http_data_fn *fn,
		    void *arg, struct err *e)
{
	struct buf url;
	int status;
	int err;

	buf_init(&url, URL_MAX);
	err = follow(c, path, CLIENT_WAIT_US, fn, arg, &status, &url, e);
	if (!err && url.len)
		err = download_from(buf_str(&url), fn, arg, e);
	buf_fini(&url);
	return err;
}

int client_list(const struct client *c, const char *path, const char *name,
		size_t limit, json_t **list, bool *more, struct err *e)
{
	json_t *all = json_array();
	char after[CLIENT_WORD_MAX] = "";
	int err = all ? 0 : err_set(e, ENOMEM, "", "out of memory");

	*more = true;
	while (!err && *more && json_array_size(all) < limit) {
		size_t before = json_array_size(all);
		size_t left = limit - before;
		json_t *page;
		struct buf where;

		buf_init(&where, URL_MAX);
		buf_printf(&where, "%slimit=%zu", path,
			   left < PAGE_ROWS ? left : PAGE_ROWS);
		if (after[0])
			buf_printf(&where, "&after=%s", after);
		err = client_call(c, "GET", buf_str(&where), NULL, &page, e);
		buf_fini(&where);
		if (err)
			break;
		if (json_array_extend(all, json_object_get(page, name)))
			err = err_set(e, EPROTO, "server",
				      "the answer has no list of %s", name);
		/* a page without rows would be asked for again for ever */
		*more = str_copy(after, sizeof(after),
				 client_text(page, "next")) &&
			after[0] && json_array_size(all) > before;
		json_decref(page);
	}
	if (err)
		json_decref(all);
	else
		*list = all;
	return err;
}
