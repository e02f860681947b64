/**
 * receive/receive.c -- take callbacks: verify, dedupe, commit, answer.
 *
 * WHAT  One request is one `struct taking`, which lives from the request to
 *       its answer.  The answer is sent after the commit, never before.
 * WHY   A sender that got "success" never comes back; so success means that
 *       the event is on disk.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"

enum {
	MAX_CONNECTIONS = 1000,
	HEADER_US = 10 * 1000 * 1000,
	PAGE = 500,
	QUERY_MAX = 4096,  /* escaped: behind any URL it can be forwarded */
	PARTS_MAX = 200000 /* tasks, segments and files that are shown */
};

struct receive {
	struct loop *loop;
	struct store *store;
	struct receive_config config;
	char *keys[RECEIVE_KEYS_MAX];
	struct receive_events events;
	void *arg;
	struct http_server *server;
	struct forward *forward;
	struct recordings recordings;
	struct link takings;
};

/** A callback between its request and its answer. */
struct taking {
	struct link link;
	struct receive *receive;      /* NULL: the receiver has closed */
	struct http_request *request; /* NULL: the client has gone */
	struct callback callback;
	char *line;  /* JSON of the event */
	char *facts; /* JSON that is stored */
	struct delivery_row rows[FORWARD_ROWS_MAX];
	size_t n_rows;
};

static const char problem_type[] = "application/problem+json";

static void reply_text(struct http_request *r, int status, const char *type,
		       const char *text)
{
	struct http_answer a = {
		.status = status,
		.content_type = type,
		.body = text,
		.body_len = strlen(text),
	};

	http_reply(r, &a);
}

static void reply_problem(struct http_request *r, int status, const char *why)
{
	json_t *body = json_pack("{s:s, s:i, s:s}", "type", "about:blank",
				 "status", status, "detail", why);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	reply_text(r, status, problem_type, text ? text : "{}");
	free(text); /* banned-ok: jansson's */
	json_decref(body);
}

/* ---- refusing --------------------------------------------------------------- */

static void refuse(struct receive *rc, struct http_request *r, int status,
		   const char *why)
{
	static const struct {
		int status;
		enum counter counter;
	} counters[] = {
		{401, COUNT_received_bad_signature},
		{403, COUNT_received_wrong_app},
		{413, COUNT_received_too_large},
		{503, COUNT_received_store_failed},
	};
	enum counter counter = COUNT_received_malformed;

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		if (counters[i].status == status)
			counter = counters[i].counter;
	}
	counter_add(counter, 1);
	log_warn("callback refused: %d %s", status, why);
	if (rc->events.refused)
		rc->events.refused(status, why, rc->arg);
	reply_problem(r, status, why);
}

static void on_refused(int status, void *arg)
{
	struct receive *rc = arg;

	if (status == 413)
		counter_add(COUNT_received_too_large, 1);
	else
		counter_add(COUNT_received_malformed, 1);
	if (rc->events.refused)
		rc->events.refused(status,
				   status == 413 ? "the body is too large"
						 : "not a whole request",
				   rc->arg);
}

/* ---- verifying ---------------------------------------------------------------- */

/** Returns 0 or the status to refuse with. */
static int verify_gme(struct receive *rc, const struct http_request *r,
		      const char **why)
{
	const char *signature = http_header(r, "Signature");

	if (!signature) {
		*why = "the Signature header is missing";
		return 401;
	}
	for (size_t i = 0; i < rc->config.n_keys; i++) {
		if (callback_verify_gme(rc->keys[i], r->body, r->body_len,
					signature))
			return 0;
	}
	*why = rc->config.n_keys
		       ? "the Signature does not match the body with any key"
		       : "there is no key to verify the Signature with: --key";
	return 401;
}

static int verify_live(struct receive *rc, const struct http_request *r,
		       const char **why)
{
	const char *app = http_query(r, "SdkAppid");
	const char *sign = http_query(r, "Sign");
	const char *time = http_query(r, "RequestTime");
	int64_t value;
	int err = EACCES;

	if (!app || str_to_i64(app, 1, UINT32_MAX, &value)) {
		*why = "SdkAppid is missing in the URL, or no number";
		return 400;
	}
	if ((uint32_t)value != rc->config.app) {
		*why = "SdkAppid in the URL is another app's";
		return 403;
	}
	if (!rc->config.n_keys)
		return 0;
	if (!sign || !time) {
		*why = "Sign or RequestTime is missing in the URL";
		return 401;
	}
	/* The right token at the wrong time needs no other token. */
	for (size_t i = 0; err && err != ETIME && i < rc->config.n_keys; i++)
		err = callback_verify_live(rc->keys[i], sign, time,
					   clock_unix_ms());
	*why = err == ETIME    ? "RequestTime is over 60 s away from now"
	       : err == ENOMEM ? "out of memory"
			       : "Sign does not match RequestTime with any "
				 "token";
	return !err ? 0 : err == ENOMEM ? 503 : 401;
}

static bool recognise(struct receive *rc, const struct http_request *r,
		      enum dialect *d)
{
	const struct callback_marks marks = {
		.signature = http_header(r, "Signature"),
		.sign = http_header(r, "Sign"),
		.sdk_app_id = http_header(r, "SdkAppId"),
		.webhook_id = http_header(r, "webhook-id"),
		.command = http_query(r, "CallbackCommand"),
	};

	if (!callback_recognise(&marks, d)) {
		if (rc->config.any_dialect)
			return false;
		*d = rc->config.dialect;
	}
	return rc->config.any_dialect || *d == rc->config.dialect;
}

/** Verified and parsed into *out; else answered already. */
static bool accept_request(struct receive *rc, struct http_request *r,
			   struct callback *out)
{
	struct err e = {0};
	const char *why = "";
	enum dialect d;
	int status;
	int err;

	if (!recognise(rc, r, &d)) {
		refuse(rc, r, 400,
		       "neither a Signature header (gme) nor a "
		       "CallbackCommand in the URL (live), or not the dialect "
		       "that is taken here");
		return false;
	}
	status = d == DIALECT_GME ? verify_gme(rc, r, &why)
				  : verify_live(rc, r, &why);
	if (status) {
		refuse(rc, r, status, why);
		return false;
	}
	err = callback_parse(d, r->body, r->body_len, out, &e);
	if (err) {
		refuse(rc, r, err == ENOMEM ? 503 : 400, e.text);
		return false;
	}
	if (d == DIALECT_LIVE)
		out->event.app = rc->config.app;
	if (out->event.app != rc->config.app) {
		event_fini(&out->event);
		refuse(rc, r, 403, "BizID is another app's");
		return false;
	}
	return true;
}

/* ---- the event as JSON --------------------------------------------------------- */

/** Set and take over; false when out of memory (also: `v` is NULL). */
static bool put(json_t *o, const char *name, json_t *v)
{
	return !json_object_set_new(o, name, v);
}

/** NULL when out of memory. */
static json_t *files_json(const struct event *e)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < e->n_files; i++) {
		const struct event_file *f = &e->files[i];

		ok = !json_array_append_new(
			list, json_pack("{s:s, s:s, s:I, s:I}", "name", f->name,
					"user", f->user, "start_ms",
					(json_int_t)f->start_ms, "end_ms",
					(json_int_t)f->end_ms));
	}
	if (ok)
		return list;
	json_decref(list);
	return NULL;
}

static bool put_segment(json_t *o, const struct event *e)
{
	return put(o, "mode", json_string(record_mode_name(e->mode))) &&
	       put(o, "seq", json_integer(e->seq)) &&
	       put(o, "file", json_string(e->file_name));
}

static bool put_task(json_t *o, const struct event *e)
{
	bool stopped = e->kind == EVENT_TASK_STOPPED;

	return put(o, "event_ms", json_integer(e->unix_ms)) &&
	       put(o, stopped ? "leave_code" : "status",
		   json_integer(stopped ? e->leave_code : e->status)) &&
	       (e->kind != EVENT_FILES_READY || put(o, "files", files_json(e)));
}

/** NULL when out of memory. */
static json_t *event_json(const struct callback *c)
{
	const struct event *e = &c->event;
	bool known = e->kind < EVENT_KIND_N;
	json_t *o = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:I}",
			      "dialect", dialect_name(c->dialect), "kind",
			      known ? event_kind_name(e->kind) : "unknown",
			      "type", c->type, "app", (json_int_t)e->app,
			      "task_id", c->task, "room", e->room, "user",
			      e->user, "sent_ms", (json_int_t)c->sent_ms,
			      "received_ms", (json_int_t)clock_unix_ms());

	if (!o || !known)
		return o;
	if (event_is_of_segment(e->kind) ? put_segment(o, e) : put_task(o, e))
		return o;
	json_decref(o);
	return NULL;
}

/** The query as sent, for forwarding. */
static int add_pair(const char *name, const char *value, void *arg)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789-._~";
	struct buf *b = arg;
	const char *parts[] = {name, value};

	if (b->len)
		buf_putc(b, '&');
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (i)
			buf_putc(b, '=');
		for (const char *p = parts[i]; *p; p++) {
			if (strchr(safe, *p))
				buf_putc(b, *p);
			else
				buf_printf(b, "%%%02X", (uint8_t)*p);
		}
	}
	return 0;
}

/** What is stored: the event, and the callback to send on as it came. */
static json_t *facts_json(const struct taking *t, json_t *event,
			  const char *query)
{
	const struct http_request *r = t->request;
	bool signed_body = t->callback.dialect == DIALECT_GME;

	return json_pack("{s:O, s:s%, s:s, s:s}", "event", event, "body",
			 (const char *)r->body, r->body_len, "query", query,
			 "signature",
			 signed_body ? http_header(r, "Signature") : "");
}

/** Returns 0, ENOMEM, or EMSGSIZE: the query is too long. */
static int write_texts(struct taking *t)
{
	json_t *event = event_json(&t->callback);
	json_t *facts = NULL;
	struct buf query;
	char *line, *all;
	int err;

	buf_init(&query, QUERY_MAX);
	(void)http_query_each(t->request, add_pair, &query);
	err = buf_err(&query);
	if (event && !err)
		facts = facts_json(t, event, buf_str(&query));
	line = event ? json_dumps(event, JSON_COMPACT) : NULL;
	all = facts ? json_dumps(facts, JSON_COMPACT) : NULL;
	t->line = mem_strdup(line);
	t->facts = mem_strdup(all);
	if (!err && (!t->line || !t->facts))
		err = ENOMEM;
	free(line); /* banned-ok: jansson's */
	free(all);  /* banned-ok: jansson's */
	json_decref(event);
	json_decref(facts);
	buf_fini(&query);
	return err;
}

/* ---- committing, answering ------------------------------------------------------- */

static void taking_free(struct taking *t)
{
	list_remove(&t->link);
	event_fini(&t->callback.event);
	mem_free(t->line);
	mem_free(t->facts);
	mem_free(t);
}

static void keep(struct receive *rc, const char *line)
{
	json_t *event = json_loads(line, 0, NULL);
	int err = event ? recordings_add(&rc->recordings, event) : ENOMEM;

	json_decref(event);
	if (err)
		log_warn("/v1/recordings: %s",
			 err == ENOBUFS
				 ? "a recording has more segments and files "
				   "than are shown"
				 : "out of memory; complete again after a "
				   "restart");
}

static void take_new(struct taking *t)
{
	struct receive *rc = t->receive;

	counter_add(COUNT_received_new, 1);
	keep(rc, t->line);
	if (rc->events.event)
		rc->events.event(&t->callback, t->line, rc->arg);
	if (rc->forward)
		forward_begin(rc->forward, t->rows, t->n_rows, t->facts,
			      strlen(t->facts));
}

static void on_committed(const struct store_result *result, void *arg)
{
	struct taking *t = arg;
	struct receive *rc = t->receive;

	if (!rc) {
		taking_free(t);
		return;
	}
	if (result->err) {
		log_error("callback not stored: %s", result->text);
		if (t->request)
			refuse(rc, t->request, 503, "it cannot be stored now");
		taking_free(t);
		return;
	}
	if (t->request)
		reply_text(t->request, 200, "application/json",
			   callback_answer(t->callback.dialect));
	if (!result->repeated) {
		take_new(t);
	} else {
		counter_add(COUNT_received_duplicate, 1);
		if (rc->events.duplicate)
			rc->events.duplicate(&t->callback, rc->arg);
	}
	taking_free(t);
}

static void on_gone(void *arg)
{
	struct taking *t = arg;

	t->request = NULL;
}

static void commit(struct taking *t)
{
	struct receive *rc = t->receive;
	struct store_write *w = store_write_new();
	char once[SIGNATURE_TEXT_MAX + 16];
	struct event_row row = {
		.id = store_next_id(rc->store, IDS_EVENT),
		.task = t->callback.event.task,
		.app = rc->config.app,
		.unix_ms = clock_unix_ms(),
		.once = once,
		.facts = t->facts,
		.facts_len = strlen(t->facts),
	};

	snprintf(once, sizeof(once), "%" PRIu32 "/%s", rc->config.app,
		 t->callback.key);
	str_copy(row.kind, sizeof(row.kind), "received");
	if (rc->forward)
		t->n_rows = forward_rows(rc->forward, row.id, t->callback.task,
					 row.unix_ms, t->rows);
	if (w)
		store_put_event(w, &row, t->rows, t->n_rows);
	store_commit(rc->store, w, rc->loop, on_committed, t);
}

static void take(struct receive *rc, struct http_request *r)
{
	struct taking *t = mem_zalloc(sizeof(*t));
	int err;

	if (!t) {
		refuse(rc, r, 503, "out of memory");
		return;
	}
	t->receive = rc;
	t->request = r;
	list_append(&rc->takings, &t->link);
	if (!accept_request(rc, r, &t->callback)) {
		taking_free(t);
		return;
	}
	err = write_texts(t);
	if (err) {
		refuse(rc, r, err == EMSGSIZE ? 400 : 503,
		       err == EMSGSIZE ? "the URL's query is too long"
				       : "out of memory");
		taking_free(t);
		return;
	}
	http_on_gone(r, on_gone, t);
	commit(t);
}

/* ---- looking ----------------------------------------------------------------------- */

static void show_recordings(struct receive *rc, struct http_request *r)
{
	json_t *all = recordings_json(&rc->recordings);
	char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;

	if (text)
		reply_text(r, 200, "application/json", text);
	else
		reply_problem(r, 503, "out of memory");
	free(text); /* banned-ok: jansson's */
	json_decref(all);
}

static void show_metrics(struct http_request *r)
{
	static const enum counter shown[] = {
		COUNT_received_new,	      COUNT_received_duplicate,
		COUNT_received_bad_signature, COUNT_received_wrong_app,
		COUNT_received_malformed,     COUNT_received_too_large,
		COUNT_received_store_failed,  COUNT_deliveries_pending};
	const struct counter_info *table = counter_table();
	struct buf b;

	buf_init(&b, 16384);
	for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
		const struct counter_info *c = &table[shown[i]];
		bool total = c->kind == COUNTER_TOTAL;

		buf_printf(&b,
			   "# HELP tapeop_%s%s %s\n# TYPE tapeop_%s%s %s\n"
			   "tapeop_%s%s %" PRId64 "\n",
			   c->name, total ? "_total" : "", c->meaning, c->name,
			   total ? "_total" : "", total ? "counter" : "gauge",
			   c->name, total ? "_total" : "",
			   counter_get(shown[i]));
	}
	reply_text(r, 200, "text/plain; version=0.0.4; charset=utf-8",
		   buf_str(&b));
	buf_fini(&b);
}

static void show(struct receive *rc, struct http_request *r)
{
	const char *why = http_why_not_local(r);

	if (!strcmp(r->path, "/healthz"))
		reply_text(r, 200, "application/json", "{\"status\":\"ok\"}");
	else if (why)
		reply_problem(r, 403, why);
	else if (!strcmp(r->path, "/v1/recordings"))
		show_recordings(rc, r);
	else if (!strcmp(r->path, "/metrics"))
		show_metrics(r);
	else
		reply_problem(r, 404,
			      "callbacks are taken by POST; GET knows "
			      "/v1/recordings, /metrics, /healthz");
}

static void on_request(struct http_request *r, void *arg)
{
	struct receive *rc = arg;

	if (!strcmp(r->method, "POST"))
		take(rc, r);
	else if (!strcmp(r->method, "GET") || !strcmp(r->method, "HEAD"))
		show(rc, r);
	else
		reply_problem(r, 405, "callbacks are taken by POST");
}

/* ---- opening ------------------------------------------------------------------------ */

/** What was received before the restart. */
static int load(struct receive *rc)
{
	struct store_filter f = {
		.what = READ_EVENTS, .state = -1, .limit = PAGE};
	struct store_rows rows;
	bool more = true;
	int err = 0;

	while (more && !err) {
		err = store_read(rc->store, &f, &rows);
		if (err)
			return err;
		for (size_t i = 0; i < rows.n && !err; i++) {
			json_t *facts =
				json_loadb(rows.events[i].facts,
					   rows.events[i].facts_len, 0, NULL);
			json_t *event = json_object_get(facts, "event");

			if (event)
				err = recordings_add(&rc->recordings, event);
			if (err == ENOBUFS)
				err = 0; /* as when it came */
			f.after = rows.events[i].id;
			json_decref(facts);
		}
		more = rows.more;
		store_rows_free(&rows);
	}
	return err;
}

static int copy_config(struct receive *rc, const struct receive_config *c)
{
	rc->config = *c;
	for (size_t i = 0; i < c->n_keys; i++) {
		rc->keys[i] = mem_strdup(c->keys[i]);
		rc->config.keys[i] = NULL;
		if (!rc->keys[i])
			return ENOMEM;
	}
	return 0;
}

static int open_server(struct receive *rc, struct err *e)
{
	struct http_server_config http = {
		.listen = {rc->config.listen},
		.n_listen = 1,
		.max_body = rc->config.max_body,
		.max_connections = MAX_CONNECTIONS,
		.header_us = HEADER_US,
		.refused = on_refused,
	};
	char text[ADDR_TEXT_MAX];
	int err =
		http_server_open(rc->loop, &http, on_request, rc, &rc->server);

	if (err)
		err_set(e, err, "--listen", "cannot listen on %s: %s",
			addr_write(&rc->config.listen, text), strerror(err));
	return err;
}

int receive_open(struct loop *loop, struct store *store,
		 struct workers *workers, const struct receive_config *config,
		 const struct receive_events *events, void *arg,
		 struct receive **out, struct err *e)
{
	struct receive *rc = mem_zalloc(sizeof(*rc));
	int err;

	*e = (struct err){0};
	if (!rc)
		return err_set(e, ENOMEM, "", "out of memory");
	rc->loop = loop;
	rc->store = store;
	rc->events = *events;
	rc->arg = arg;
	list_init(&rc->takings);
	recordings_init(&rc->recordings, PARTS_MAX);
	err = copy_config(rc, config);
	if (!err)
		err = load(rc);
	if (!err)
		err = open_server(rc, e);
	/* Last: it begins at once with what was left over. */
	if (!err && (config->forward || config->exec))
		err = forward_new(loop, store, workers, config->app,
				  config->forward, config->exec, &rc->forward);
	if (!err) {
		*out = rc;
		return 0;
	}
	if (!e->code)
		err_set(e, err, "", "cannot start: %s", strerror(err));
	receive_close(rc);
	return err;
}

void receive_close(struct receive *rc)
{
	if (!rc)
		return;
	http_server_close(rc->server);
	LIST_EACH(&rc->takings, l, after)
	{
		struct taking *t = CONTAINER_OF(l, struct taking, link);

		list_remove(l); /* its commit is still under way */
		t->receive = NULL;
	}
	forward_free(rc->forward);
	recordings_fini(&rc->recordings);
	for (size_t i = 0; i < RECEIVE_KEYS_MAX; i++)
		mem_free_secret(rc->keys[i]);
	mem_free(rc);
}

void receive_addr(const struct receive *rc, struct addr *out)
{
	http_server_addr(rc->server, 0, out);
}
