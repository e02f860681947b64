/** commands/endpoints.c -- `tapeop endpoints`: who is told, and its switches. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "io/io.h"
#include "wire/json_text.h"
#include "wire/quote.h"

enum { VALUE_MAX = 65536 };

static const char help[] =
	"usage: tapeop endpoints [--app ID]\n"
	"       tapeop endpoints show|on|off|test|remove NAME [--app ID]\n"
	"       tapeop endpoints add NAME --app ID url=URL [SETTING=VALUE ..]\n"
	"       tapeop endpoints set NAME SETTING=VALUE .. [--app ID]\n"
	"\n"
	"List the endpoints that are told about every step, or make, change,\n"
	"switch, test and remove one while the server runs.  Those of the\n"
	"configuration file are changed there.\n"
	"\n"
	"  show     its settings, and how it does\n"
	"  add      make one\n"
	"  set      change these settings; SETTING= : its default (a key: "
	"none)\n"
	"  off, on  off: no events for it; what is pending waits\n"
	"  test     send it a test event now, and show what it answers; when\n"
	"           it takes that, its breaker closes\n"
	"  remove   what is pending for it expires\n"
	"\n"
	"  --app ID           of this app; needed where two apps have the "
	"name\n" CLIENT_HELP "\n"
	"Settings are those of callbacks in docs/settings.md: url, dialect, "
	"key,\n"
	"events (a,b,c), timeout, retry and so on.  A key is env:NAME, "
	"file:PATH\n"
	"(read here) or the text itself.  A url on a private address needs\n"
	"allow_private=true.\n"
	"\n"
	"Example: tapeop endpoints add backend --app 1400000000 \\\n"
	"           url=https://example.com/recording key=env:CALLBACK_KEY\n"
	"         tapeop endpoints test backend\n";

struct endpoints {
	struct client client;
	const char *app;
};

/** The longest timeout of an endpoint, and a little. */
#define TEST_WAIT_US (65 * (int64_t)1000000)

static const char *yes_no(const json_t *o, const char *key, const char *yes,
			  const char *no)
{
	return json_is_true(json_object_get(o, key)) ? yes : no;
}

/* ---- looking ------------------------------------------------------------------- */

/** "/v1/endpoints" or with its filter. */
static void list_path(const struct endpoints *es, struct buf *path)
{
	buf_puts(path, "/v1/endpoints");
	if (es->app) {
		buf_puts(path, "?app=");
		quote_percent(path, es->app);
	}
}

/** Returns an exit code, and the list, the caller's. */
static int read_list(const struct endpoints *es, json_t **list)
{
	json_t *answer = NULL;
	struct buf path;
	struct err e;
	int code = EXIT_DONE;

	buf_init(&path, 4096);
	list_path(es, &path);
	if (client_call(&es->client, "GET", buf_str(&path), NULL, &answer, &e))
		code = client_fail(&es->client, EXIT_FAILED, "%s", e.text);
	buf_fini(&path);
	*list = json_incref(json_object_get(answer, "endpoints"));
	json_decref(answer);
	return code;
}

/** "ok", or what is the matter. */
static const char *health(const json_t *e)
{
	if (!json_is_true(json_object_get(e, "enabled")))
		return "off";
	if (json_is_true(json_object_get(e, "gone")))
		return "gone (410)";
	if (strcmp(client_text(e, "breaker"), "closed") != 0)
		return "failing, breaker open";
	return client_number(e, "failing_since_ms") ? "failing" : "ok";
}

static void show_row(struct client_table *t, const json_t *e)
{
	client_cell(t, "%s", client_text(e, "name"));
	client_cell(t, "%" PRId64, client_number(e, "app"));
	client_cell(t, "%s", client_text(e, "source"));
	client_cell(t, "%s", client_text(e, "dialect"));
	client_cell(t, "%s", health(e));
	client_cell(t, "%" PRId64, client_number(e, "pending"));
	client_cell(t, "%s", client_text(e, "url"));
}

static int list_all(const struct endpoints *es)
{
	static const char *const heads[] = {"ENDPOINT", "APP",	 "SOURCE",
					    "DIALECT",	"STATE", "PENDING",
					    "URL"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	json_t *list, *e;
	size_t i;
	int code = read_list(es, &list);

	if (code)
		return code;
	if (es->client.json)
		return client_print_list("endpoints", list, false);
	if (!json_array_size(list))
		puts("no endpoints");
	for (i = 0; i < ARRAY_LEN(heads) && json_array_size(list); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(list, i, e)
	{
		show_row(&t, e);
	}
	client_table_print(&t);
	json_decref(list);
	return EXIT_DONE;
}

/** What `key_of` means. */
static const char *signer(const json_t *value)
{
	const char *of = json_is_string(value) ? json_string_value(value) : "";

	if (!strcmp(of, "endpoint"))
		return "its own key";
	return !strcmp(of, "app") ? "the app's secret_key" : "nothing";
}

/** One line of what the API gave of an endpoint. */
static void show_value(const char *key, const json_t *value)
{
	const size_t len = strlen(key);
	char at[CLIENT_WORD_MAX];
	struct buf text;
	bool ok;

	buf_init(&text, VALUE_MAX);
	ok = !json_text_write(value, &text);
	if (!strcmp(key, "key_of"))
		client_say("  %-20s %s", "signed with", signer(value));
	else if (json_is_integer(value) && len > 3 &&
		 !strcmp(key + len - 3, "_ms"))
		client_say("  %-20.*s %s", (int)len - 3, key,
			   client_time(json_integer_value(value), at));
	else
		client_say("  %-20s %s", key,
			   json_is_string(value) ? json_string_value(value)
			   : ok			 ? buf_str(&text)
						 : "");
	buf_fini(&text);
}

/** Print an endpoint that the API gave, setting by setting. */
static int show(const struct endpoints *es, const json_t *e)
{
	const char *key;
	json_t *value;

	if (es->client.json)
		return client_print(e);
	client_say("endpoint %s of app %" PRId64 ", from %s: %s",
		   client_text(e, "name"), client_number(e, "app"),
		   strcmp(client_text(e, "source"), "file") != 0
			   ? "the API"
			   : "the configuration file",
		   health(e));
	json_object_foreach((json_t *)(uintptr_t)e, key, value)
	{
		if (strcmp(key, "name") != 0 && strcmp(key, "app") != 0 &&
		    strcmp(key, "source") != 0 && !json_is_null(value))
			show_value(key, value);
	}
	return EXIT_DONE;
}

/** Find the endpoint of a name.  Returns an exit code, and with EXIT_DONE the
 *  endpoint, the caller's. */
static int find(const struct endpoints *es, const char *name, json_t **found)
{
	json_t *list, *e;
	size_t i, n = 0;
	int code = read_list(es, &list);

	*found = NULL;
	if (code)
		return code;
	json_array_foreach(list, i, e)
	{
		if (strcmp(client_text(e, "name"), name) != 0)
			continue;
		n++;
		if (!*found)
			*found = json_incref(e);
	}
	json_decref(list);
	if (n == 1)
		return EXIT_DONE;
	json_decref(*found);
	*found = NULL;
	if (n)
		return client_usage(&es->client,
				    "%zu apps have an endpoint %.63s: --app is "
				    "required",
				    n, name);
	return client_fail(&es->client, EXIT_FAILED,
			   "there is no endpoint %.63s; `tapeop endpoints` "
			   "lists them",
			   name);
}

/* ---- changing ------------------------------------------------------------------- */

static bool is_secret(const char *name)
{
	return !strcmp(name, "key") || !strcmp(name, "previous_key");
}

/** "a,b" as a list.  NULL: not UTF-8. */
static json_t *list_of(const char *text)
{
	json_t *list = json_array();

	for (;;) {
		size_t len = strcspn(text, ",");

		if (json_array_append_new(list, json_stringn(text, len))) {
			json_decref(list);
			return NULL;
		}
		if (!text[len])
			return list;
		text += len + 1;
	}
}

/** Is it digits, a point and digits? */
static bool is_decimal(const char *text)
{
	static const char digits[] = "0123456789";
	const size_t whole = strspn(text, digits);
	const size_t part =
		text[whole] == '.' ? strspn(text + whole + 1, digits) : 0;

	return whole && part && !text[whole + 1 + part];
}

/** A value as the API wants it.  NULL: not UTF-8. */
static json_t *value_of(const char *name, const char *text)
{
	int64_t n;

	if (!*text)
		return json_null(); /* its default */
	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return json_boolean(*text == 't');
	if (!strcmp(name, "events") && strchr(text, ','))
		return list_of(text);
	if (!str_to_i64(text, INT64_MIN, INT64_MAX, &n))
		return json_integer(n);
	if (is_decimal(text))
		return json_real(strtod(text, NULL));
	return json_string(text);
}

/** Read a key where this runs.  Returns an exit code. */
static int read_key(const struct endpoints *es, const char *name,
		    const char *spec, json_t **value)
{
	char *key = NULL;
	int code;

	*value = NULL;
	if (!*spec) {
		*value = json_string("");
		return EXIT_DONE;
	}
	code = client_secret(es->client.command, name, spec, &key);
	if (code)
		return code;
	*value = json_string(key);
	mem_free_secret(key);
	return EXIT_DONE;
}

/** Put "name=value" into the body.  Returns an exit code. */
static int put_setting(const struct endpoints *es, const char *text,
		       json_t *body)
{
	const char *sign = strchr(text, '=');
	json_t *value = NULL;
	char name[64];
	int code = EXIT_DONE;

	if (!sign || sign == text || (size_t)(sign - text) >= sizeof(name))
		return client_usage(&es->client, "%.60s must be SETTING=VALUE",
				    text);
	memcpy(name, text, (size_t)(sign - text));
	name[sign - text] = 0;
	if (json_object_get(body, name))
		return client_usage(&es->client, "%s is there twice: each once",
				    name);
	if (is_secret(name))
		code = read_key(es, name, sign + 1, &value);
	else
		value = value_of(name, sign + 1);
	if (!code && json_object_set_new(body, name, value))
		code = client_usage(&es->client, "%s must be UTF-8", name);
	return code;
}

/** The settings behind the name, into the body.  Returns an exit code. */
static int put_settings(const struct endpoints *es, json_t *body)
{
	int code = EXIT_DONE;

	for (int i = 2; i < es->client.n_args && !code; i++)
		code = put_setting(es, es->client.args[i], body);
	return code;
}

/** The host of a URL, as an address.  False: it is a name, or none. */
static bool read_address(const char *url, struct addr *out)
{
	char host[256];
	uint16_t port;
	struct err e;

	return !http_url_target(url, host, sizeof(host), &port, &e) &&
	       !addr_parse(host, out);
}

/** Say at once what its first attempt would say. */
static void warn_of_private(const struct endpoints *es, const json_t *e)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	if (json_is_true(json_object_get(e, "allow_private")) ||
	    !read_address(client_text(e, "url"), &a) || addr_is_global(&a))
		return;
	fprintf(stderr,
		"tapeop %s: warning: %s is a private address: callbacks to it "
		"are refused, unless allow_private=true\n",
		es->client.command, addr_write_host(&a, text));
}

/** Ask, and show the endpoint that is answered.  Returns an exit code. */
static int ask_and_show(const struct endpoints *es, const char *method,
			const char *path, const json_t *body)
{
	json_t *e = NULL;
	struct err err;
	int code;

	if (client_call(&es->client, method, path, body, &e, &err))
		return client_fail(&es->client, EXIT_FAILED, "%s", err.text);
	warn_of_private(es, e);
	code = show(es, e);
	json_decref(e);
	return code;
}

static int add(const struct endpoints *es, const char *name)
{
	json_t *body = json_object();
	struct buf path;
	int code;

	if (!es->app) {
		json_decref(body);
		return client_usage(&es->client, "add needs --app");
	}
	if (json_object_set_new(body, "name", json_string(name)))
		code = client_usage(&es->client, "NAME must be UTF-8");
	else
		code = put_settings(es, body);
	buf_init(&path, 4096);
	buf_puts(&path, "/v1/apps/");
	quote_percent(&path, es->app);
	buf_puts(&path, "/endpoints");
	if (!code)
		code = ask_and_show(es, "POST", buf_str(&path), body);
	buf_fini(&path);
	json_decref(body);
	return code;
}

/** "/v1/endpoints/ID" and what is behind it. */
static void one_path(const json_t *e, const char *behind, char *out, size_t cap)
{
	snprintf(out, cap, "/v1/endpoints/%s%s", client_text(e, "endpoint_id"),
		 behind);
}

static int change(const struct endpoints *es, const json_t *e)
{
	json_t *body = json_object();
	char path[96];
	int code;

	one_path(e, "", path, sizeof(path));
	if (es->client.n_args < 3)
		code = client_usage(&es->client, "set needs SETTING=VALUE");
	else
		code = put_settings(es, body);
	if (!code)
		code = ask_and_show(es, "PATCH", path, body);
	json_decref(body);
	return code;
}

static int turn(const struct endpoints *es, const json_t *e, bool on)
{
	json_t *body = json_pack("{s:b}", "enabled", on);
	json_t *answer = NULL;
	struct err err;
	char path[96];
	int code = EXIT_DONE;

	one_path(e, "", path, sizeof(path));
	if (client_call(&es->client, "PATCH", path, body, &answer, &err))
		code = client_fail(&es->client, EXIT_FAILED, "%s", err.text);
	else if (es->client.json)
		code = client_print(answer);
	else
		client_say("endpoint %s is %s; %" PRId64 " pending",
			   client_text(answer, "name"),
			   yes_no(answer, "enabled", "on", "off"),
			   client_number(answer, "pending"));
	json_decref(answer);
	json_decref(body);
	return code;
}

static int take_out(const struct endpoints *es, const json_t *e)
{
	json_t *answer = NULL;
	struct err err;
	char path[96];
	int code = EXIT_DONE;

	one_path(e, "", path, sizeof(path));
	if (client_call(&es->client, "DELETE", path, NULL, &answer, &err))
		code = client_fail(&es->client, EXIT_FAILED, "%s", err.text);
	else if (es->client.json)
		code = client_print(answer);
	else
		client_say("endpoint %s is removed; what was pending for it "
			   "expires (%" PRId64 ")",
			   client_text(e, "name"), client_number(e, "pending"));
	json_decref(answer);
	return code;
}

/* ---- a test event ----------------------------------------------------------------- */

/** Print text of any kind, line by line, behind a margin. */
static void say_lines(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		client_say("  %.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

/** It took the test; what it was before says what follows. */
static void show_taken(const json_t *e)
{
	const char *name = client_text(e, "name");

	client_say("endpoint %s took it", name);
	if (json_is_true(json_object_get(e, "gone")))
		client_say("it gets nothing since it answered 410, until "
			   "`tapeop replay --endpoint %s`",
			   name);
	else if (strcmp(client_text(e, "breaker"), "closed") != 0)
		client_say("its breaker was open and is closed now: what is "
			   "due goes out (%" PRId64 " pending)",
			   client_number(e, "pending"));
}

static void show_test(const json_t *e, const json_t *t)
{
	const json_t *request = json_object_get(t, "request");
	const char *error = client_text(t, "error");
	const char *key;
	json_t *value;

	client_say("POST %s", client_text(request, "url"));
	json_object_foreach(json_object_get(request, "headers"), key, value)
	{
		client_say("  %s: %s", key, json_string_value(value));
	}
	say_lines(client_text(request, "body"));
	if (client_number(t, "status")) {
		client_say("answered %" PRId64 " after %" PRId64 " ms",
			   client_number(t, "status"),
			   client_number(t, "duration_ms"));
		say_lines(client_text(t, "answer"));
	}
	if (json_is_true(json_object_get(t, "delivered")))
		show_taken(e);
	else
		client_say("endpoint %s failed: %s", client_text(e, "name"),
			   error);
}

static int test(struct endpoints *es, const json_t *e)
{
	json_t *t = NULL;
	struct err err;
	char path[96];
	int code = EXIT_DONE;

	es->client.wait_us = TEST_WAIT_US;
	one_path(e, "/test", path, sizeof(path));
	if (client_call(&es->client, "POST", path, NULL, &t, &err))
		return client_fail(&es->client, EXIT_FAILED, "%s", err.text);
	if (es->client.json)
		code = client_print(t);
	else
		show_test(e, t);
	if (!code && !json_is_true(json_object_get(t, "delivered")))
		code = EXIT_FAILED;
	json_decref(t);
	return code;
}

/* ---- the command -------------------------------------------------------------------- */

enum verb { LIST, SHOW, ADD, SET, ON, OFF, TEST, REMOVE, VERBS };

static const char *const verbs[VERBS] = {
	[LIST] = "list", [SHOW] = "show", [ADD] = "add",   [SET] = "set",
	[ON] = "on",	 [OFF] = "off",	  [TEST] = "test", [REMOVE] = "remove"};

static enum verb verb_of(const char *text)
{
	unsigned i = 0;

	while (i < VERBS && strcmp(verbs[i], text) != 0)
		i++;
	return (enum verb)i;
}

static int do_one(struct endpoints *es, enum verb verb, const char *name)
{
	json_t *e;
	int code = find(es, name, &e);

	if (code)
		return code;
	switch (verb) {
	case SET:
		code = change(es, e);
		break;
	case ON:
	case OFF:
		code = turn(es, e, verb == ON);
		break;
	case TEST:
		code = test(es, e);
		break;
	case REMOVE:
		code = take_out(es, e);
		break;
	default:
		code = show(es, e);
	}
	json_decref(e);
	return code;
}

static int run(struct endpoints *es)
{
	const struct client *c = &es->client;
	enum verb verb = c->n_args ? verb_of(c->args[0]) : LIST;
	bool settings = verb == ADD || verb == SET;

	if (verb == VERBS)
		return client_usage(c, "what is %.60s?", c->args[0]);
	if (verb == LIST && c->n_args > 1)
		return client_usage(c, "list takes no NAME; see show");
	if (verb == LIST)
		return list_all(es);
	if (c->n_args < 2 || !c->args[1][0])
		return client_usage(c, "%s needs a NAME", verbs[verb]);
	if (c->n_args > 2 && !settings)
		return client_usage(c, "%s takes one NAME", verbs[verb]);
	return verb == ADD ? add(es, c->args[1]) : do_one(es, verb, c->args[1]);
}

int command_endpoints(int argc, char **argv)
{
	struct endpoints es = {0};
	const struct client_option options[] = {
		{.name = "app", .value = &es.app},
	};
	int code = client_init(&es.client, argc, argv, help, options,
			       ARRAY_LEN(options));

	if (code < 0)
		code = run(&es);
	client_close(&es.client);
	return code;
}
