/** receive/text.c -- an event as JSON: the line, and what is stored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "receive/private.h"

enum { QUERY_MAX = 4096 /* escaped: behind any URL it can be forwarded */ };

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
static json_t *facts_json(const struct http_request *r,
			  const struct callback *c, json_t *event,
			  const char *query)
{
	bool signed_body = c->dialect == DIALECT_GME;

	return json_pack("{s:O, s:s%, s:s, s:s}", "event", event, "body",
			 (const char *)r->body, r->body_len, "query", query,
			 "signature",
			 signed_body ? http_header(r, "Signature") : "");
}

/** NULL when `o` is, or out of memory. */
static char *dump(const json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	char *copy = mem_strdup(text);

	free(text); /* banned-ok: jansson's */
	return copy;
}

int text_write(const struct http_request *r, const struct callback *c,
	       char **line, char **facts)
{
	json_t *event = event_json(c);
	json_t *all = NULL;
	struct buf query;
	int err;

	buf_init(&query, QUERY_MAX);
	(void)http_query_each(r, add_pair, &query);
	err = buf_err(&query);
	if (event && !err)
		all = facts_json(r, c, event, buf_str(&query));
	*line = dump(event);
	*facts = dump(all);
	if (!err && (!*line || !*facts))
		err = ENOMEM;
	if (err) {
		mem_free(*line);
		mem_free(*facts);
		*line = NULL;
		*facts = NULL;
	}
	json_decref(event);
	json_decref(all);
	buf_fini(&query);
	return err;
}
