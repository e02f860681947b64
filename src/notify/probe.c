/**
 * notify/probe.c -- test events: one attempt that somebody waits for.
 *
 * It goes the way of every attempt (attempt.c), but beside the outbox: what
 * comes of it is told to who asked, and nowhere else.
 *
 * Ids  No row keeps the id of a test event, so it is none of the sequence of
 *      events: that one would be given again after a restart, to an event
 *      which receivers then take for a repetition.  It is drawn from numbers
 *      that the sequence does not reach and a double can hold.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/inside.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	HEADERS_MAX = 8192,
	/* What gme wants to be told of, from 1.  Ids of tasks end in zero
	 * bits, so it is no task's. */
	TEST_TASK = 1
};
static_assert(TEST_TASK < 1 << EVENT_TASK_ID_ZERO_BITS, "no task has it");

/** Ids of test events are from here to twice this. */
#define FIRST_TEST_ID ((uint64_t)1 << 52)

/** Room and user of a test event: no real ones. */
static const char test_name[] = "tapeop-test";

static void free_probe(struct probe *p)
{
	list_remove(&p->link);
	callback_request_fini(&p->request);
	buf_fini(&p->fields);
	buf_fini(&p->answer);
	mem_free(p);
}

void notify_show_url(const struct sender *s, const char *sent, struct buf *out)
{
	size_t own = s->url ? strcspn(s->url, "#") : 0;

	if (!s->url || !*sent || strncmp(sent, s->url, own) != 0) {
		buf_append(out, sent, strcspn(sent, "?#"));
		return;
	}
	buf_puts(out, s->url_shown);
	if (strcspn(s->url, "?") < own)
		buf_puts(out, "?...");
	buf_puts(out, sent + own);
}

static void tell(struct probe *p, const struct sender *s,
		 const struct deliver_outcome *o)
{
	struct notify_test t = {
		.delivered = o->verdict == VERDICT_OK,
		.status = o->status,
		.error = o->error,
		.duration_us = o->duration_us,
		.fields = buf_str(&p->fields),
		.body = p->request.body.data,
		.body_len = p->request.body.len,
		.answer = p->answer.data,
		.answer_len = p->answer.len,
	};
	struct buf url;

	buf_init(&url, CALLBACK_URL_MAX + 8);
	notify_show_url(s, buf_str(&p->request.url), &url);
	t.url = buf_str(&url);
	p->done(&t, p->arg);
	buf_fini(&url);
}

void notify_probe_sends(struct probe *p, const struct http_call *call)
{
	buf_puts(&p->request.url, call->url);
	buf_append(&p->request.body, call->body, call->body_len);
	for (size_t i = 0; i < call->n_fields; i++)
		buf_printf(&p->fields, "%s\n", call->fields[i]);
}

void notify_probe_answered(struct probe *p, const struct http_result *r)
{
	size_t len = r->body_len < NOTIFY_TEST_ANSWER_MAX
			     ? r->body_len
			     : (size_t)NOTIFY_TEST_ANSWER_MAX;

	if (r->status && len)
		buf_append(&p->answer, r->body, len);
}

void notify_probe_ended(struct probe *p, struct sender *s,
			const struct deliver_outcome *o)
{
	p->notify->n_probes--;
	list_remove(&p->link);
	log_info("app=%" PRIu32 " endpoint=%s test event: status=%d%s%s",
		 s->app, s->name, o->status, o->error[0] ? " " : "", o->error);
	if (o->verdict == VERDICT_OK)
		deliver_is_well(p->notify->deliver, s->id);
	tell(p, s, o);
	free_probe(p);
}

void notify_probes_stop(struct notify *n)
{
	const struct notify_test stopped = {
		.error = "the server stops", .url = "", .fields = ""};

	LIST_EACH(&n->probes, l, after)
	{
		struct probe *p = CONTAINER_OF(l, struct probe, link);

		p->done(&stopped, p->arg);
		free_probe(p);
	}
}

static uint64_t draw_id(void)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint64_t)clock_now_us();
	return FIRST_TEST_ID + random % FIRST_TEST_ID;
}

/** gme tells of files only: one of the form that its files have. */
static void name_file(struct event *e)
{
	const time_t now_s = e->unix_ms / 1000;
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&now_s, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d-%H-%M-%S", &tm);
	e->task = TEST_TASK;
	snprintf(e->file_name, sizeof(e->file_name),
		 "%" PRIu32 "_%s_%s/%s_%" PRIu64 "_audio.mp3", e->app, e->room,
		 e->user, when, e->task);
}

void notify_write_test(enum dialect d, uint32_t app, int64_t unix_ms,
		       struct event *e)
{
	*e = (struct event){
		.id = draw_id(),
		.kind = EVENT_TEST,
		.unix_ms = unix_ms,
		.app = app,
	};
	str_copy(e->room, sizeof(e->room), test_name);
	str_copy(e->user, sizeof(e->user), test_name);
	str_copy(e->client_ip, sizeof(e->client_ip), "127.0.0.1");
	str_copy(e->platform, sizeof(e->platform), "RESTAPI");
	if (d == DIALECT_GME)
		name_file(e);
}

int notify_test_endpoint(struct notify *n, uint64_t id, notify_test_fn *done,
			 void *arg, struct err *e)
{
	struct sender *s = notify_find(n, id);
	struct probe *p;

	assert(loop_is_mine(n->loop));
	if (!s || !notify_is_declared(s))
		return err_set(e, ENOENT, "endpoint",
			       "there is no endpoint %" PRIu64, id);
	if (n->n_probes >= NOTIFY_TESTS_MAX)
		return err_set(e, EBUSY, "",
			       "%d tests are under way: ask again",
			       NOTIFY_TESTS_MAX);
	p = mem_zalloc(sizeof(*p));
	if (!p)
		return err_no_memory(e);
	notify_write_test(s->dialect, s->app, notify_unix_ms(n), &p->event);
	p->notify = n;
	p->done = done;
	p->arg = arg;
	p->attempt.event = p->event.id;
	p->attempt.endpoint = id;
	p->attempt.n = 1;
	callback_request_init(&p->request);
	buf_init(&p->fields, HEADERS_MAX);
	buf_init(&p->answer, NOTIFY_TEST_ANSWER_MAX);
	list_append(&n->probes, &p->link);
	n->n_probes++;
	if (notify_try_probe(p, s)) {
		struct deliver_outcome o = {.verdict = VERDICT_FAILED};

		str_copy(o.error, sizeof(o.error), "not sent: out of memory");
		notify_probe_ended(p, s, &o);
	}
	return 0;
}
