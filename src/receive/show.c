/** receive/show.c -- what a receiver shows: recordings, metrics, health. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/str.h"
#include "receive/page.h"
#include "receive/private.h"
#include "wire/json_text.h"

enum { PROBLEM_MAX = 4096 };

static const char problem_type[] = "application/problem+json";

void reply_text(struct http_request *r, int status, const char *type,
		const char *text)
{
	static const struct http_field allow = {"Allow", "GET, HEAD, POST"};
	struct http_answer a = {
		.status = status,
		.content_type = type,
		.fields = &allow,
		.n_fields = status == 405,
		.body = text,
		.body_len = strlen(text),
	};

	http_reply(r, &a);
}

void reply_problem(struct http_request *r, int status, const char *why)
{
	json_t *body = json_pack("{s:s, s:i, s:s}", "type", "about:blank",
				 "status", status, "detail", why);
	struct buf text;

	buf_init(&text, PROBLEM_MAX);
	reply_text(r, status, problem_type,
		   json_text_write(body, &text) ? "{}" : buf_str(&text));
	buf_fini(&text);
	json_decref(body);
}

static void show_metrics(struct http_request *r)
{
	static const enum counter shown[] = {
		COUNT_received_new,	      COUNT_received_duplicate,
		COUNT_received_bad_signature, COUNT_received_wrong_app,
		COUNT_received_malformed,     COUNT_received_too_large,
		COUNT_received_store_failed,  COUNT_deliveries_pending,
		COUNT_http_connections,	      COUNT_http_refused,
		COUNT_http_address_full,      COUNT_http_full,
		COUNT_http_handshakes_failed};
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

/** Has the query what it may have?  Else it is answered. */
static bool is_query_of(struct http_request *r, const char *const *keys)
{
	char bad[64], why[128];
	int err = http_query_check(r, keys, bad);

	if (!err)
		return true;
	snprintf(why, sizeof(why), "%s %s",
		 str_is_clean_utf8(bad, strlen(bad)) ? bad : "a name",
		 err == EEXIST ? "is there twice" : "is no parameter here");
	reply_problem(r, 400, why);
	return false;
}

static void show_recordings(struct receive *rc, struct http_request *r)
{
	static const char *const keys[] = {"app",      "room",	  "task",
					   "search",   "running", "limit",
					   "segments", NULL};

	if (is_query_of(r, keys))
		page_reply_recordings(r, &rc->recordings);
}

static void show_events(struct receive *rc, struct http_request *r)
{
	static const char *const keys[] = {"after", "tail", "app",
					   "room",  "task", NULL};

	if (is_query_of(r, keys))
		streams_open(rc->streams, r);
}

void show_request(struct receive *rc, struct http_request *r)
{
	const char *why = http_why_not_local(r);

	if (!strcmp(r->path, "/healthz"))
		reply_text(r, 200, "application/json", "{\"status\":\"ok\"}");
	else if (why)
		reply_problem(r, 403, why);
	else if (!strcmp(r->path, "/v1/recordings"))
		show_recordings(rc, r);
	else if (!strcmp(r->path, "/v1/events"))
		show_events(rc, r);
	else if (!strcmp(r->path, "/metrics"))
		show_metrics(r);
	else if (!page_reply_file(r))
		reply_problem(r, 404,
			      "callbacks are taken by POST; GET knows /, "
			      "/v1/recordings, /v1/events, /metrics, "
			      "/healthz");
}
