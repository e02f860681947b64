/** receive/text.c -- an event as JSON: the line, and what is stored. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "receive/private.h"
#include "wire/json_text.h"
#include "wire/quote.h"

enum {
	QUERY_MAX = 4096,   /* escaped: behind any URL it can be forwarded */
	TEXT_MAX = 32 << 20 /* more than the store takes */
};

/** The query as sent, for forwarding. */
static int add_pair(const char *name, const char *value, void *arg)
{
	struct buf *b = arg;

	if (b->len)
		buf_putc(b, '&');
	quote_percent(b, name);
	buf_putc(b, '=');
	quote_percent(b, value);
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

/** What is stored: the event, and the callback to send on as it came.  Its body
 *  was parsed, so it is UTF-8 without a NUL and stays what it is. */
static int write_facts(const struct http_request *r, enum dialect d,
		       const struct buf *line, const struct buf *query,
		       struct buf *out)
{
	json_t *fields = signed_fields(r, d);
	int err;

	buf_puts(out, "{\"event\":");
	buf_append(out, line->data, line->len);
	buf_puts(out, ",\"body\":");
	quote_json(out, (const char *)r->body);
	buf_puts(out, ",\"query\":");
	quote_json(out, buf_str(query));
	buf_puts(out, ",\"fields\":");
	err = json_text_write(fields, out);
	buf_putc(out, '}');
	json_decref(fields);
	return err ? err : buf_err(out);
}

int text_write(const struct http_request *r, const struct callback *c,
	       struct texts *out)
{
	json_t *event = text_event_json(c, clock_unix_ms());
	struct buf query, line, facts;
	int err;

	buf_init(&query, QUERY_MAX);
	buf_init(&line, TEXT_MAX);
	buf_init(&facts, TEXT_MAX);
	(void)http_query_each(r, add_pair, &query);
	err = buf_err(&query);
	if (!err && (json_text_write(event, &line) ||
		     write_facts(r, c->dialect, &line, &query, &facts)))
		err = ENOMEM;
	if (!err) {
		out->event = json_incref(event);
		out->facts_len = facts.len;
		out->line = buf_take(&line);
		out->facts = buf_take(&facts);
	}
	json_decref(event);
	buf_fini(&query);
	buf_fini(&line);
	buf_fini(&facts);
	return err;
}

void texts_fini(struct texts *t)
{
	json_decref(t->event);
	mem_free(t->line);
	mem_free(t->facts);
	*t = (struct texts){0};
}
