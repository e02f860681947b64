/** lib/parse.c -- what a request says, and the call that does it all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/inside.h"

/** What the caller gets a pointer to: its texts lie in `c`. */
struct parsed {
	struct tapeop_callback out;
	struct callback c;
	char key[80];
	char event_id[24];
	struct tapeop_file *files;
	const struct tapeop_file **list;
};

static void parsed_free(struct parsed *p)
{
	if (!p)
		return;
	event_fini(&p->c.event);
	mem_free(p->files);
	mem_free(p->list);
	mem_free(p);
}

void tapeop_callback_free(struct tapeop_callback *callback)
{
	if (callback)
		parsed_free(CONTAINER_OF(callback, struct parsed, out));
}

/** Out of memory: false. */
static bool fill_files(struct parsed *p)
{
	const struct event *e = &p->c.event;

	if (!e->n_files)
		return true;
	p->files = mem_zalloc_n(e->n_files, sizeof(*p->files));
	p->list = mem_zalloc_n(e->n_files, sizeof(const struct tapeop_file *));
	if (!p->files || !p->list)
		return false;
	for (size_t i = 0; i < e->n_files; i++) {
		p->files[i] = (struct tapeop_file){
			.size = sizeof(p->files[i]),
			.name = e->files[i].name,
			.user = e->files[i].user,
			.start_ms = e->files[i].start_ms,
			.end_ms = e->files[i].end_ms,
		};
		p->list[i] = &p->files[i];
	}
	p->out.files = p->list;
	p->out.n_files = e->n_files;
	return true;
}

static enum tapeop_mode mode_of(const struct callback *c)
{
	enum event_kind kind = c->event.kind;
	bool of_segment = event_is_of_segment(kind);
	bool told = false;

	switch (c->dialect) {
	case DIALECT_GME:
		told = true;
		break;
	case DIALECT_STANDARD:
		told = of_segment || kind == EVENT_TASK_STARTED;
		break;
	default: /* 308 does not tell */
		told = kind == EVENT_STARTED;
	}
	if (!told)
		return TAPEOP_MODE_NONE;
	switch (c->event.mode) {
	case MODE_SINGLE:
		return TAPEOP_SINGLE;
	case MODE_MIXED:
		return TAPEOP_MIXED;
	default:
		return TAPEOP_BOTH;
	}
}

static int status_of(const struct callback *c)
{
	switch (c->event.kind) {
	case EVENT_TASK_STARTED:
	case EVENT_UPLOAD_STARTED:
	case EVENT_UPLOAD_STOPPED:
	case EVENT_FILES_READY:
		return c->event.status;
	default:
		return -1;
	}
}

/** standard: the body does not tell when it was sent, a header does. */
static int64_t sent_ms_of(const struct lib_request *q, const struct callback *c)
{
	int64_t sent_s;

	if (c->dialect != DIALECT_STANDARD)
		return c->sent_ms;
	if (str_to_i64(q->webhook_timestamp, 0, CLOCK_UNIX_S_MAX, &sent_s))
		return 0;
	return sent_s * 1000;
}

static void fill(const struct lib_request *q, uint32_t app, struct parsed *p)
{
	const struct callback *c = &p->c;
	const struct event *e = &c->event;
	bool has_task = c->dialect != DIALECT_STANDARD || e->task;

	snprintf(p->key, sizeof(p->key), "%" PRIu32 "/%s", app, c->key);
	if (e->id)
		snprintf(p->event_id, sizeof(p->event_id), "%" PRIu64, e->id);
	p->out = (struct tapeop_callback){
		.size = sizeof(p->out),
		.dialect = lib_dialect_out(c->dialect),
		.kind = lib_kind_out(e->kind),
		.kind_name = event_kind_name(e->kind),
		.type = c->type,
		.app = app,
		.key = p->key,
		.sent_ms = sent_ms_of(q, c),
		.event_ms = e->unix_ms,
		.event_id = p->event_id,
		.sequence = c->dialect == DIALECT_STANDARD
				    ? (int64_t)e->task_seq
				    : -1,
		.task_id = has_task ? c->task : "",
		.task = e->task,
		.room = e->room,
		.user = e->user,
		.status = status_of(c),
		.leave_code =
			e->kind == EVENT_TASK_STOPPED ? e->leave_code : -1,
		.mode = mode_of(c),
		.seq = c->has_seq ? (int64_t)e->seq : -1,
		.file = e->file_name,
		.start_ms = e->start_ms,
		.duration_ms = e->duration_ms,
		.bytes = e->size,
		.sha256 = e->sha256,
		.location = e->location,
		.error_code = e->reason,
		.error_text = e->reason_text,
	};
}

/** The app of the body, the URL or a header; 0 when it is not told. */
static enum tapeop_error app_of(const struct lib_request *q,
				const struct callback *c, uint32_t *app,
				const struct lib_why *why)
{
	enum tapeop_error e;

	*app = c->event.app;
	if (c->dialect != DIALECT_LIVE && c->dialect != DIALECT_TRTC)
		return TAPEOP_OK;
	*app = 0;
	e = lib_request_app(q, c->dialect, app, why);
	return e == TAPEOP_ABSENT ? TAPEOP_OK : e;
}

enum tapeop_error lib_parse(const struct lib_request *q, enum dialect d,
			    struct tapeop_callback **callback,
			    const struct lib_why *why)
{
	struct parsed *p = mem_zalloc(sizeof(*p));
	enum tapeop_error e = TAPEOP_NO_MEMORY;
	struct err reason = {0};
	uint32_t app;
	int err;

	if (!p)
		goto out;
	err = callback_parse(d, q->r.body, q->r.body_len, &p->c, &reason);
	if (err && err != ENOMEM) {
		lib_say(why, TAPEOP_MALFORMED, "the body: %s", reason.text);
		e = TAPEOP_MALFORMED;
	}
	if (!err)
		e = app_of(q, &p->c, &app, why);
	if (!e) {
		fill(q, app, p);
		if (fill_files(p)) {
			*callback = &p->out;
			return TAPEOP_OK;
		}
		e = TAPEOP_NO_MEMORY;
	}
out:
	if (e == TAPEOP_NO_MEMORY)
		lib_say_usual(why, e);
	parsed_free(p);
	return e;
}

enum tapeop_error tapeop_parse(const struct tapeop_request *request,
			       enum tapeop_dialect dialect,
			       struct tapeop_callback **callback, char *why,
			       size_t why_cap)
{
	const struct lib_why to = {why, why_cap};
	struct lib_request q;
	enum tapeop_error e;
	enum dialect d;

	if (!callback || !lib_dialect(dialect, &d))
		return lib_say(&to, TAPEOP_BAD_ARGUMENT,
			       "callback is NULL or dialect is none");
	e = lib_request_open(request, &q, &to);
	if (!e)
		e = lib_parse(&q, d, callback, &to);
	return e ? e : lib_say_usual(&to, TAPEOP_OK);
}

static enum tapeop_error accept_opened(const struct lib_request *q,
				       const struct tapeop_app *app,
				       int64_t now_ms,
				       struct tapeop_callback **callback,
				       const struct lib_why *why)
{
	struct tapeop_callback *c = NULL;
	enum tapeop_error e;
	enum dialect d;
	bool verified;

	e = lib_verify(q, app, now_ms, &d, &verified, why);
	if (!e)
		e = lib_parse(q, d, &c, why);
	if (e)
		return e;
	if (c->app != app->id) {
		e = lib_say(why, TAPEOP_WRONG_APP,
			    "the body is of app %" PRIu32
			    ", this is app %" PRIu32,
			    c->app, app->id);
		tapeop_callback_free(c);
		return e;
	}
	c->verified = verified;
	*callback = c;
	return TAPEOP_OK;
}

enum tapeop_error tapeop_accept(const struct tapeop_request *request,
				const struct tapeop_app *app, int64_t now_ms,
				struct tapeop_callback **callback, char *why,
				size_t why_cap)
{
	const struct lib_why to = {why, why_cap};
	struct lib_request q;
	struct tapeop_app a;
	enum tapeop_error e;

	if (!callback)
		return lib_say(&to, TAPEOP_BAD_ARGUMENT, "callback is NULL");
	e = lib_app_open(app, &a, &to);
	if (!e)
		e = lib_request_open(request, &q, &to);
	if (!e)
		e = accept_opened(&q, &a, now_ms, callback, &to);
	return e ? e : lib_say_usual(&to, TAPEOP_OK);
}
