/**
 * notify/attempt.c -- one attempt: facts -> callback -> HTTP -> verdict.
 *
 * WHY   A callback is rendered and signed anew for every attempt (its time
 *       of sending is signed), from facts that never change.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/inside.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/quote.h"

enum {
	FIELDS_MAX = 16,
	FIELDS_TEXT_MAX = 4096,
	ANSWER_OF_SUCCESS = 256 /* bytes that are kept of it */
};

/** An attempt under way. */
struct
try {
	struct link link; /* notify.tries */
	struct notify *notify;
	struct deliver_attempt *attempt;
	struct sender *sender;
	struct http_transfer *transfer;
	/* as when it was sent */
	enum notify_verdict verdict;
	bool may_be_the_key; /* the next one has another */
	int64_t asked_us;    /* how long asking for consent took */
	int64_t sent_ms;     /* what was signed; 0: not sent yet */
	struct probe *probe; /* of a test event; else NULL */
	enum event_kind kind;
	bool has_kind;
};

/** Header lines for http_call, pointing into `text`. */
struct fields {
	const char *at[FIELDS_MAX];
	size_t n;
	struct buf text;
};

static struct try *new_try(struct notify *n, struct deliver_attempt *a,
			   struct sender *s)
{
	struct try *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->notify = n;
	t->attempt = a;
	t->sender = s;
	s->n_tries++;
	list_append(&n->tries, &t->link);
	return t;
}

static void free_try(struct try *t)
{
	t->sender->n_tries--;
	notify_let_go(t->notify, t->sender);
	list_remove(&t->link);
	mem_free(t);
}

static void end(struct try *t, const struct deliver_outcome *o)
{
	struct notify *n = t->notify;

	t->transfer = NULL;
	if (t->probe) {
		notify_probe_ended(t->probe, t->sender, o);
		free_try(t);
		return;
	}
	/* The log line needs the try: notify_judged runs inside. */
	deliver_done(n->deliver, t->attempt, o);
	free_try(t);
}

static void end_unsent(struct try *t, enum deliver_verdict verdict,
		       const char *why)
{
	struct deliver_outcome o = {.verdict = verdict, .retry_after_us = -1};

	str_copy(o.error, sizeof(o.error), why);
	end(t, &o);
}

/* ---- verdict --------------------------------------------------------------- */

static void judge_body(const struct http_result *r, struct deliver_outcome *o)
{
	char why[sizeof(o->error)];

	if (r->status != 200) {
		snprintf(o->error, sizeof(o->error),
			 "HTTP %d; wanted is 200 with ActionStatus \"OK\"",
			 r->status);
		return;
	}
	if (callback_answer_is_ok(r->body, r->body_len, why, sizeof(why))) {
		o->verdict = VERDICT_OK;
		return;
	}
	/* The end of a long reason may go. */
	snprintf(o->error, sizeof(o->error), "200 but %.*s",
		 (int)(sizeof(o->error) - sizeof("200 but ")), why);
}

static void judge_error(const struct http_result *r, struct deliver_outcome *o)
{
	str_copy(o->error, sizeof(o->error),
		 r->error[0] ? r->error : "no answer");
}

static void judge(enum notify_verdict by, const struct http_result *r,
		  struct deliver_outcome *o)
{
	o->verdict = VERDICT_FAILED;
	if (!r->status) {
		judge_error(r, o);
	} else if (r->status == 410) {
		o->verdict = VERDICT_GONE;
		str_copy(o->error, sizeof(o->error), "HTTP 410 Gone");
	} else if (r->status >= 300 && r->status < 400) {
		snprintf(o->error, sizeof(o->error),
			 "HTTP %d: redirects are not followed; set the "
			 "endpoint's url to where it points",
			 r->status);
	} else if (r->status >= 400 || r->status < 200) {
		snprintf(o->error, sizeof(o->error), "HTTP %d", r->status);
	} else if (by == NOTIFY_BY_BODY) {
		judge_body(r, o);
	} else {
		o->verdict = VERDICT_OK;
	}
}

/** How the answer begins, as one line for a person. */
static void keep_answer(const struct http_result *r, bool is_success,
			char out[ATTEMPT_ANSWER_MAX + 1])
{
	const size_t cap =
		is_success ? ANSWER_OF_SUCCESS : (size_t)ATTEMPT_ANSWER_MAX;
	char raw[ATTEMPT_ANSWER_MAX + 1];
	size_t len = r->status ? r->body_len : 0;

	if (len > cap)
		len = cap;
	for (size_t i = 0; i < len; i++) {
		const char c = (char)r->body[i];

		raw[i] = c;
		if (c == '\n' || c == '\r' || c == '\t')
			raw[i] = ' ';
		else if (!c)
			raw[i] = '?';
	}
	raw[len] = 0;
	quote_line(out, cap + 1, raw);
}

static void on_answer(const struct http_result *r, void *arg)
{
	struct try *t = arg;
	char answer[ATTEMPT_ANSWER_MAX + 1];
	struct deliver_outcome o = {
		.status = r->status,
		.retry_after_us = -1,
		.duration_us = t->asked_us + r->total_us,
		.sent_ms = t->sent_ms,
		.answer = answer,
	};

	judge(t->verdict, r, &o);
	keep_answer(r, o.verdict == VERDICT_OK, answer);
	/* It knows the previous key only?  That does not make it sick. */
	o.excused = t->may_be_the_key && r->status && r->status < 500 &&
		    r->status != 429;
	if (t->probe)
		notify_probe_answered(t->probe, r);
	if (r->status == 429 || r->status == 503)
		o.retry_after_us = r->retry_after_us;
	end(t, &o);
}

/* ---- sending --------------------------------------------------------------- */

static void add_field(struct fields *f, const char *line)
{
	assert(f->n < FIELDS_MAX);
	f->at[f->n++] = line;
}

void notify_write_fields(const struct notify *n, const struct sender *s,
			 const struct deliver_attempt *a, struct buf *lines)
{
	buf_printf(lines,
		   "Tapeop-Event-Id: %" PRIu64 "\nTapeop-Sequence: %" PRIu64
		   "\nTapeop-Attempt: %u\n",
		   a->event, a->task_seq, a->n);
	if (s->handshake.wanted)
		buf_printf(lines, "%s\n", n->origin_field);
}

/** Cut "Name: value\n" lines; false: out of memory. */
static bool gather_fields(struct fields *f, const struct try *t,
			  const struct buf *lines)
{
	char *rest;

	buf_append(&f->text, lines->data, lines->len);
	notify_write_fields(t->notify, t->sender, t->attempt, &f->text);
	if (buf_err(&f->text))
		return false;
	for (char *line = strtok_r((char *)f->text.data, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		add_field(f, line);
	return true;
}

static void send_it(struct try *t, const struct callback_request *request)
{
	struct fields f = {.n = 0};
	struct http_call call = {
		.method = "POST",
		.url = buf_str(&request->url),
		.body = request->body.data,
		.body_len = request->body.len,
		.timeout_us = t->sender->timeout_us,
		.allow_private = t->sender->allow_private,
	};
	struct err e = {0};
	int err = ENOMEM;

	buf_init(&f.text, FIELDS_TEXT_MAX);
	if (gather_fields(&f, t, &request->fields)) {
		call.fields = f.at;
		call.n_fields = f.n;
		if (t->probe)
			notify_probe_sends(t->probe, &call);
		err = http_client_send(t->notify->client, &call, on_answer, t,
				       &e, &t->transfer);
	}
	buf_fini(&f.text);
	if (err == EINVAL)
		end_unsent(t, VERDICT_FAILED,
			   e.text[0] ? e.text : "bad URL; check the endpoint");
	else if (err)
		end_unsent(t, VERDICT_FAILED, "not sent: out of memory");
}

/** Are attempts signed with the one key and the other in turn? */
static bool takes_turns(const struct sender *s)
{
	return *s->previous_key && s->dialect != DIALECT_STANDARD;
}

/**
 * While a key is rotated: who knows either one gets every event with one
 * retry at most.
 */
static const char *key_of(const struct sender *s, unsigned attempt)
{
	return takes_turns(s) && attempt % 2 == 0 ? s->previous_key : s->key;
}

void notify_style(const struct sender *s, unsigned attempt,
		  struct callback_style *out)
{
	*out = (struct callback_style){
		.dialect = s->dialect,
		.encoding = s->encoding,
		.key = key_of(s, attempt),
		.previous_key = s->previous_key,
		.url = s->url,
		.extended = s->extended,
	};
}

static void render(struct try *t, struct event *e)
{
	const struct sender *s = t->sender;
	struct callback_style style;
	struct callback_request request;
	char why[96];
	int err;

	t->verdict = s->verdict;
	t->may_be_the_key = takes_turns(s) && t->attempt->n % 2;
	notify_style(s, t->attempt->n, &style);
	callback_request_init(&request);
	t->sent_ms = notify_unix_ms(t->notify);
	err = callback_render(&style, e, t->sent_ms, &request);
	if (!err) {
		send_it(t, &request);
	} else if (err == ENOMEM) {
		end_unsent(t, VERDICT_FAILED, "not sent: out of memory");
	} else {
		snprintf(why, sizeof(why),
			 err == ENOTSUP ? "dialect %s has no such event"
					: "too large for dialect %s",
			 dialect_name(s->dialect));
		end_unsent(t, VERDICT_REFUSED, why);
	}
	callback_request_fini(&request);
}

static void proceed(struct try *t);

static void on_consent(const struct http_result *r, void *arg)
{
	struct try *t = arg;
	struct notify *n = t->notify;
	struct sender *s = t->sender;
	struct deliver_outcome o = {0};

	t->transfer = NULL;
	t->asked_us += r->total_us;
	s->n_tries++; /* it may be forgotten, but not in here */
	if (!handshake_judge(n, s, r, &o)) {
		o.duration_us = t->asked_us;
		end(t, &o);
	} else if (t->probe || deliver_may_go_on(n->deliver, t->attempt)) {
		proceed(t);
	} else {
		deliver_put_off(n->deliver, t->attempt);
		free_try(t);
	}
	handshake_over(n, s);
	s->n_tries--;
	notify_let_go(n, s);
}

static void ask(struct try *t)
{
	struct err e = {0};
	int err = handshake_ask(t->notify, t->sender, on_consent, t, &e,
				&t->transfer);

	if (err)
		end_unsent(t, VERDICT_FAILED,
			   e.text[0] ? e.text : "not sent: out of memory");
}

static void send_event(struct try *t, struct event *e)
{
	t->kind = e->kind;
	t->has_kind = true;
	if (!handshake_is_needed(t->notify, t->sender))
		render(t, e);
	else if (!t->sender->handshake.asking)
		ask(t);
	else /* all but a test are held then */
		end_unsent(t, VERDICT_FAILED,
			   "its consent is being asked for: try again");
}

/** Send it, or do what must be done before. */
static void proceed(struct try *t)
{
	const struct deliver_attempt *a = t->attempt;
	struct event e;
	int err;

	if (!t->sender->url) {
		end_unsent(t, VERDICT_FAILED, "the endpoint was removed");
		return;
	}
	if (t->probe) {
		send_event(t, &t->probe->event);
		return;
	}
	err = event_parse_json(a->facts, a->facts_len, &e);
	if (err) {
		end_unsent(t, err == ENOMEM ? VERDICT_FAILED : VERDICT_REFUSED,
			   err == ENOMEM ? "not sent: out of memory"
					 : "its facts in the store cannot be "
					   "read");
		return;
	}
	e.id = a->event;
	e.task_seq = a->task_seq;
	send_event(t, &e);
	event_fini(&e);
}

void notify_attempt(struct deliver_attempt *a, void *arg)
{
	struct notify *n = arg;
	struct deliver_outcome o = {
		.verdict = VERDICT_FAILED,
		.retry_after_us = -1,
		.error = "not sent: out of memory",
	};
	struct sender *s = notify_find(n, a->endpoint);
	struct try *t;

	assert(s); /* deliver asks for declared endpoints only */
	t = new_try(n, a, s);
	if (!t) {
		deliver_done(n->deliver, a, &o);
		return;
	}
	a->owner = t;
	proceed(t);
}

int notify_try_probe(struct probe *p, struct sender *s)
{
	struct try *t = new_try(p->notify, &p->attempt, s);

	if (!t)
		return ENOMEM;
	t->probe = p;
	proceed(t);
	return 0;
}

void notify_cancel_all(struct notify *n)
{
	LIST_EACH(&n->tries, l, after)
	{
		struct try *t = CONTAINER_OF(l, struct try, link);

		if (t->transfer)
			http_client_cancel(t->transfer);
		free_try(t);
	}
}

/* ---- log ------------------------------------------------------------------- */

void notify_judged(const struct deliver_attempt *a,
		   const struct deliver_outcome *o, enum delivery_state state,
		   int64_t wait_us, void *arg)
{
	const struct notify *n = arg;
	const struct sender *s = notify_find(n, a->endpoint);
	const struct try *t = a->owner;
	char next[48] = "";
	char about[256];

	snprintf(about, sizeof(about),
		 "app=%" PRIu32 " task=%" PRIu64 " endpoint=%s %s "
		 "delivery=%" PRIu64 " attempt=%u status=%d ms=%" PRId64,
		 s ? s->app : 0, a->lane, s ? s->name : "?",
		 t && t->has_kind ? event_kind_name(t->kind) : "event",
		 a->delivery, a->n, o->status,
		 o->duration_us / CLOCK_US_PER_MS);
	if (state == DELIVERY_PENDING)
		snprintf(next, sizeof(next), " next_s=%" PRId64,
			 (wait_us + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S);
	if (state == DELIVERY_DELIVERED)
		log_info("%s delivered", about);
	else
		log_warn("%s %s%s: %s", about,
			 state == DELIVERY_DEAD ? "dead" : "failed", next,
			 o->error);
}

void notify_ended(uint64_t delivery, enum delivery_state state, void *arg)
{
	(void)arg;
	if (state == DELIVERY_EXPIRED)
		log_warn("delivery=%" PRIu64 " expired: it is older than its "
			 "endpoint's expire_after",
			 delivery);
}
