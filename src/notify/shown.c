/** notify/shown.c -- what goes out for a delivery, for people to see. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/inside.h"

#include <errno.h>

enum { URL_SPARE = 8 /* "?..." */, FIELDS_CAP = 4096 };

void notify_request_fini(struct notify_request *r)
{
	buf_fini(&r->url);
	buf_fini(&r->fields);
	buf_fini(&r->body);
	callback_proof_fini(&r->proof);
}

/** Take over what was rendered, without what is not to be seen. */
static int show(const struct notify *n, const struct sender *s,
		const struct deliver_attempt *a, struct callback_request *r,
		struct notify_request *out)
{
	notify_show_url(s, buf_str(&r->url), &out->url);
	buf_append(&out->fields, r->fields.data, r->fields.len);
	notify_write_fields(n, s, a, &out->fields);
	buf_append(&out->body, r->body.data, r->body.len);
	return buf_err(&out->url) || buf_err(&out->fields) ||
			       buf_err(&out->body)
		       ? ENOMEM
		       : 0;
}

static int render(const struct notify *n, const struct sender *s,
		  const struct deliver_attempt *a, const struct event *e,
		  int64_t sent_ms, struct notify_request *out)
{
	struct callback_request r;
	struct callback_style style;
	int err;

	notify_style(s, a->n, &style);
	callback_request_init(&r);
	err = callback_render(&style, e, sent_ms ? sent_ms : notify_unix_ms(n),
			      &r);
	if (!err)
		err = callback_prove(&style, &r, &out->proof);
	if (!err)
		err = show(n, s, a, &r, out);
	callback_request_fini(&r);
	return err;
}

int notify_show_request(const struct notify *n, uint64_t endpoint,
			const struct event_row *event, unsigned attempt,
			int64_t sent_ms, struct notify_request *out)
{
	const struct sender *s = notify_find(n, endpoint);
	const struct deliver_attempt a = {
		.event = event->id, .task_seq = event->task_seq, .n = attempt};
	struct event e;
	int err;

	if (!s || !s->url)
		return ENOENT;
	err = event_parse_json(event->facts, event->facts_len, &e);
	if (err)
		return err;
	e.id = event->id;
	e.task_seq = event->task_seq;
	buf_init(&out->url, CALLBACK_URL_MAX + URL_SPARE);
	buf_init(&out->fields, FIELDS_CAP);
	buf_init(&out->body, CALLBACK_BODY_MAX);
	callback_proof_init(&out->proof);
	err = render(n, s, &a, &e, sent_ms, out);
	event_fini(&e);
	if (err)
		notify_request_fini(out);
	return err;
}
