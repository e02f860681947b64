/**
 * receive/forward.c -- hand events on: to a URL as they came, to a program
 * as JSON on its stdin.
 *
 * The deliveries are rows like those of a sender: committed with the event,
 * in order within a task, retried, found again after a restart.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"

enum {
	ENDPOINT_URL = 1,
	ENDPOINT_EXEC = 2,
	IN_FLIGHT = 8,
	LINES_MAX = 8,
	LINES_CAP = 8192, /* of all header lines [bytes] */
	URL_MAX = 8192
};

static const int64_t CALL_TIMEOUT_US = 30LL * 1000000;
static const int64_t EXEC_TIMEOUT_US = 60LL * 1000000;
static const int64_t EXPIRE_US = 7LL * 86400 * 1000000;
static const int64_t DNS_TTL_US = 300LL * 1000000;

struct forward {
	struct loop *loop;
	struct store *store;
	struct deliver *deliver;
	struct http_client *client;
	char *url, *program;
	uint32_t app;
	struct link flights;
};

/** One attempt under way. */
struct flight {
	struct link link;
	struct forward *forward;
	struct deliver_attempt *attempt;
	struct http_transfer *transfer;
	struct exec *exec;
	int64_t began_us;
};

static void end_flight(struct flight *fl, struct deliver_outcome *o)
{
	struct forward *f = fl->forward;
	struct deliver_attempt *a = fl->attempt;

	o->duration_us = loop_now_us(f->loop) - fl->began_us;
	if (o->verdict != VERDICT_OK && a->endpoint == ENDPOINT_URL)
		log_warn("forward to %.*s failed: %s",
			 (int)strcspn(f->url, "?#"), f->url, o->error);
	else if (o->verdict != VERDICT_OK)
		log_warn("forward to %s failed: %s", f->program, o->error);
	list_remove(&fl->link);
	mem_free(fl);
	deliver_done(f->deliver, a, o);
}

static void on_answer(const struct http_result *r, void *arg)
{
	struct flight *fl = arg;
	struct deliver_outcome o = {
		.status = r->status,
		.retry_after_us = -1,
		.verdict = r->status >= 200 && r->status < 300 ? VERDICT_OK
							       : VERDICT_FAILED,
	};

	if (r->status && o.verdict != VERDICT_OK)
		snprintf(o.error, sizeof(o.error), "answered %d", r->status);
	else
		str_copy(o.error, sizeof(o.error), r->error);
	if (r->status == 429 || r->status == 503)
		o.retry_after_us = r->retry_after_us;
	end_flight(fl, &o);
}

static void on_exec_end(int status, const char *why, void *arg)
{
	struct deliver_outcome o = {
		.retry_after_us = -1,
		.verdict = status ? VERDICT_FAILED : VERDICT_OK,
	};

	str_copy(o.error, sizeof(o.error), why);
	end_flight(arg, &o);
}

/** Header lines of a call, each with its NUL in `text`. */
struct lines {
	const char *at[LINES_MAX];
	size_t n;
	char text[LINES_CAP];
	size_t len;
};

/** Add "name: value"; false: no room. */
static bool add_line(struct lines *l, const char *name, const char *value)
{
	size_t room = sizeof(l->text) - l->len;
	int n = snprintf(l->text + l->len, room, "%s: %s", name, value);

	if (l->n == LINES_MAX || n < 0 || (size_t)n >= room)
		return false;
	l->at[l->n++] = l->text + l->len;
	l->len += (size_t)n + 1;
	return true;
}

/** What it was verified by, as it came; older rows have `signature` only. */
static bool add_lines(struct lines *l, json_t *facts)
{
	const char *sign =
		json_string_value(json_object_get(facts, "signature"));
	bool ok = add_line(l, "Content-Type", "application/json");
	const char *name;
	json_t *value;

	if (sign && sign[0])
		ok = ok && add_line(l, "Signature", sign);
	json_object_foreach(json_object_get(facts, "fields"), name, value)
	{
		const char *text = json_string_value(value);

		ok = ok && text && add_line(l, name, text);
	}
	return ok;
}

static int send_url(struct flight *fl, json_t *facts, struct err *e)
{
	struct forward *f = fl->forward;
	const char *body = json_string_value(json_object_get(facts, "body"));
	const char *query = json_string_value(json_object_get(facts, "query"));
	struct lines lines = {0};
	struct buf url;
	struct http_call call = {
		.method = "POST",
		.fields = lines.at,
		.body = body ? body : "",
		.body_len = body ? strlen(body) : 0,
		.timeout_us = CALL_TIMEOUT_US,
		.allow_private = true, /* typed by whoever started us */
	};
	int err;

	if (!add_lines(&lines, facts))
		return err_set(e, EMSGSIZE, "",
			       "its signature is too long to forward");
	call.n_fields = lines.n;
	buf_init(&url, URL_MAX);
	buf_puts(&url, f->url);
	if (query && query[0])
		buf_printf(&url, "%c%s", strchr(f->url, '?') ? '&' : '?',
			   query);
	call.url = buf_str(&url);
	err = buf_err(&url);
	if (!err)
		err = http_client_send(f->client, &call, on_answer, fl, e,
				       &fl->transfer);
	buf_fini(&url);
	return err;
}

static int run_program(struct flight *fl, const json_t *facts, struct err *e)
{
	struct forward *f = fl->forward;
	char *line = json_dumps(json_object_get(facts, "event"), JSON_COMPACT);
	int err;

	if (!line)
		return ENOMEM;
	err = exec_start(f->loop, f->program, line, strlen(line),
			 EXEC_TIMEOUT_US, on_exec_end, fl, &fl->exec);
	if (err)
		err_set(e, err, "exec", "%s cannot be run: %s", f->program,
			strerror(err));
	free(line); /* banned-ok: jansson's */
	return err;
}

static void attempt(struct deliver_attempt *a, void *arg)
{
	struct forward *f = arg;
	struct deliver_outcome o = {.verdict = VERDICT_FAILED,
				    .retry_after_us = -1};
	struct flight *fl = mem_zalloc(sizeof(*fl));
	json_t *facts = json_loadb(a->facts, a->facts_len, 0, NULL);
	struct err e = {0};
	int err = ENOMEM;

	if (fl && facts) {
		fl->forward = f;
		fl->attempt = a;
		fl->began_us = loop_now_us(f->loop);
		list_append(&f->flights, &fl->link);
		if (a->endpoint == ENDPOINT_URL)
			err = f->url ? send_url(fl, facts, &e) : ENOENT;
		else
			err = f->program ? run_program(fl, facts, &e) : ENOENT;
	}
	json_decref(facts);
	if (!err)
		return;
	str_copy(o.error, sizeof(o.error), e.code ? e.text : strerror(err));
	if (fl && link_is_on_list(&fl->link)) {
		end_flight(fl, &o);
		return;
	}
	mem_free(fl);
	deliver_done(f->deliver, a, &o);
}

static int set_endpoint(struct forward *f, uint64_t id, const char *name)
{
	struct deliver_endpoint ep = {
		.id = id,
		.app = f->app,
		.order = ORDER_TASK,
		.expire_us = EXPIRE_US,
		.max_in_flight = IN_FLIGHT,
	};
	struct err e;
	int err = deliver_retry_parse("tencent", &ep.retry, &e);

	str_copy(ep.name, sizeof(ep.name), name);
	return err ? err : deliver_set_endpoint(f->deliver, &ep);
}

int forward_new(struct loop *loop, struct store *store, struct workers *workers,
		uint32_t app, const char *url, const char *program,
		struct forward **out)
{
	struct http_client_config http = {
		.max_connections = IN_FLIGHT,
		.user_agent = "tapeop-receive",
		.workers = workers,
		.dns_ttl_us = DNS_TTL_US,
	};
	struct deliver_config config = {.max_in_flight = 2 * IN_FLIGHT,
					.facts_cache_bytes = 16 << 20};
	struct deliver_events events = {.attempt = attempt};
	struct forward *f = mem_zalloc(sizeof(*f));
	int err = ENOMEM;

	if (!f)
		return ENOMEM;
	f->loop = loop;
	f->store = store;
	f->app = app;
	list_init(&f->flights);
	f->url = mem_strdup(url);
	f->program = mem_strdup(program);
	if ((url && !f->url) || (program && !f->program))
		goto fail;
	err = http_client_new(loop, &http, &f->client);
	if (!err)
		err = deliver_new(loop, store, &config, &events, f,
				  &f->deliver);
	if (!err && url)
		err = set_endpoint(f, ENDPOINT_URL, "forward");
	if (!err && program)
		err = set_endpoint(f, ENDPOINT_EXEC, "exec");
	if (!err)
		err = deliver_load(f->deliver);
	if (err)
		goto fail;
	*out = f;
	return 0;
fail:
	forward_free(f);
	return err;
}

void forward_free(struct forward *f)
{
	if (!f)
		return;
	LIST_EACH(&f->flights, l, after)
	{
		struct flight *fl = CONTAINER_OF(l, struct flight, link);

		if (fl->transfer)
			http_client_cancel(fl->transfer);
		if (fl->exec)
			exec_stop(fl->exec);
		list_remove(&fl->link);
		mem_free(fl);
	}
	deliver_free(f->deliver);
	http_client_free(f->client);
	mem_free(f->url);
	mem_free(f->program);
	mem_free(f);
}

size_t forward_rows(struct forward *f, uint64_t event, const char *task,
		    int64_t unix_ms, struct delivery_row rows[FORWARD_ROWS_MAX])
{
	const uint64_t ids[] = {f->url ? ENDPOINT_URL : 0,
				f->program ? ENDPOINT_EXEC : 0};
	uint64_t lane = 0xcbf29ce484222325U; /* FNV-1a of the task's id */
	size_t n = 0;

	for (const char *p = task; *p; p++)
		lane = (lane ^ (uint8_t)*p) * 0x100000001b3U;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (!ids[i])
			continue;
		rows[n++] = (struct delivery_row){
			.id = store_next_id(f->store, IDS_DELIVERY),
			.event = event,
			.endpoint = ids[i],
			.lane = lane >> 1,
			.app = f->app,
			.created_ms = unix_ms,
			.due_ms = unix_ms,
		};
	}
	return n;
}

void forward_begin(struct forward *f, const struct delivery_row *rows, size_t n,
		   const char *facts, size_t len)
{
	if (n)
		deliver_add(f->deliver, rows, n, 0, facts, len);
}
