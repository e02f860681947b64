/** receive/text.c -- an event as JSON: the line, and what is stored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "receive/private.h"

enum { QUERY_MAX = 4096 /* escaped: behind any URL it can be forwarded */ };

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

/** The header fields that a callback is verified by, as they came. */
static json_t *signed_fields(const struct http_request *r, enum dialect d)
{
	static const char *const names[DIALECT_N][4] = {
		[DIALECT_GME] = {"Signature"},
		[DIALECT_TRTC] = {"SdkAppId", "Sign"},
		[DIALECT_STANDARD] = {"webhook-id", "webhook-timestamp",
				      "webhook-signature"},
	};
	json_t *o = json_object();

	for (size_t i = 0; o && names[d][i]; i++) {
		const char *value = http_header(r, names[d][i]);

		if (!value ||
		    !json_object_set_new(o, names[d][i], json_string(value)))
			continue;
		json_decref(o);
		o = NULL;
	}
	return o;
}

/** What is stored: the event, and the callback to send on as it came. */
static json_t *facts_json(const struct http_request *r,
			  const struct callback *c, json_t *event,
			  const char *query)
{
	json_t *fields = signed_fields(r, c->dialect);

	/* json_pack fails on a NULL, and takes the others over all the same. */
	return json_pack("{s:O, s:s%, s:s, s:o}", "event", event, "body",
			 (const char *)r->body, r->body_len, "query", query,
			 "fields", fields);
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
	json_t *event = text_event_json(c, clock_unix_ms());
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
