/**
 * receive/forward.c -- hand events on: to a URL as they came, to a program
 * as JSON on its stdin.
 *
 * WHAT  The deliveries are rows like those of a sender: committed with the
 *       event, in order within a task, retried, found again after a restart.
 * DESIGN
 *   - Each app has two ways, and each way is an endpoint of its own, so that
 *     a target that is down holds up no other app's.
 *   - Where to is looked up when an attempt begins: a changed URL is for what
 *     is pending, too.
 *   - A way that an app has no more is switched off, not removed: what is
 *     pending waits until it is back, or is too old.
 *   - Who runs a receiver runs the target, too, and looks on while it comes
 *     back: it is probed each 10 s, and what failed before waits minutes, not
 *     hours.
 *   - Data folders of old have endpoints 1 and 2, for one app.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"
#include "wire/json_text.h"

enum {
	IN_FLIGHT = 8, /* of one endpoint */
	KEPT_CONNECTIONS = 64,
	WAITING_MAX = 32,   /* endpoints that are named in the log */
	NAME_MAX_LEN = 160, /* of a target in the log */
	WHEN_MAX_LEN = 48,
	ABOUT_MAX_LEN = 160,
	LINES_MAX = 8,
	LINES_CAP = 8192, /* of all header lines [bytes] */
	URL_MAX = 8192,
	LINE_MAX_LEN = 32 << 20 /* more than the store takes */
};

static const int64_t CALL_TIMEOUT_US = 30LL * 1000000;
static const int64_t EXEC_TIMEOUT_US = 60LL * 1000000;
static const int64_t EXPIRE_US = 7LL * 86400 * 1000000;
static const int64_t DNS_TTL_US = 300LL * 1000000;
static const int64_t PROBE_US = 1LL * 1000000;
static const int64_t PROBE_MAX_US = 10LL * 1000000;

/* As `tencent` in its first minute, which keeps the order; the last one is
 * repeated. */
static const char RETRY[] =
	"0s,10s,10s,10s,10s,10s,10s,1m,1m,1m,1m,1m,1m,1m,1m,1m,5m";

/** How an event is handed on; the last byte of the endpoint's id. */
enum way { WAY_URL = 1, WAY_EXEC = 2 };

static const enum way ways[] = {WAY_URL, WAY_EXEC};

struct forward {
	struct loop *loop;
	struct store *store;
	struct deliver *deliver;
	struct http_client *client;
	const struct apps *apps;	/* the receiver's */
	uint32_t old_app[WAY_EXEC + 1]; /* by way: of an endpoint of old, 0: no
					   such deliveries */
	struct link flights;
};

/** One attempt under way. */
struct flight {
	struct link link;
	struct forward *forward;
	struct deliver_attempt *attempt;
	struct http_transfer *transfer;
	struct exec *exec;
	char target[NAME_MAX_LEN];
	char about[ABOUT_MAX_LEN]; /* the event, for the log */
	int64_t began_us;
	int64_t wait_us; /* it has failed: until the next attempt; -1: none */
};

/* ---- where to ------------------------------------------------------------------ */

static uint64_t endpoint_of(uint32_t app, enum way way)
{
	return (uint64_t)app << 8 | way;
}

static uint32_t app_of(uint64_t endpoint)
{
	return (uint32_t)(endpoint >> 8);
}

static enum way way_of(uint64_t endpoint)
{
	return (endpoint & 0xff) == WAY_URL ? WAY_URL : WAY_EXEC;
}

static const char *way_name(enum way way)
{
	return way == WAY_URL ? "forward" : "exec";
}

/** The URL or the program; NULL: the app is not there, or has none. */
static const char *target_of(const struct receive_app *app, enum way way)
{
	if (!app)
		return NULL;
	return way == WAY_URL ? app->forward : app->exec;
}

/* ---- an attempt ---------------------------------------------------------------- */

/** Inside of deliver_done. */
static void on_judged(const struct deliver_attempt *a,
		      const struct deliver_outcome *o,
		      enum delivery_state state, int64_t wait_us, void *arg)
{
	struct flight *fl = a->owner;

	(void)o;
	(void)arg;
	if (fl)
		fl->wait_us = state == DELIVERY_PENDING ? wait_us : -1;
}

/** When an attempt that failed is made again, as a text. */
static void write_when(const struct flight *fl, uint64_t endpoint,
		       char text[WHEN_MAX_LEN])
{
	struct deliver_endpoint_stats s = {0};
	int64_t wait_us = fl->wait_us;
	int64_t probe_us;

	if (wait_us < 0) {
		str_copy(text, WHEN_MAX_LEN, "there is no other attempt");
		return;
	}
	/* While the breaker is open no attempt begins. */
	(void)deliver_endpoint_stats(fl->forward->deliver, endpoint, &s);
	probe_us = (s.next_probe_ms - clock_unix_ms()) * CLOCK_US_PER_MS;
	if (s.next_probe_ms && wait_us < probe_us)
		wait_us = probe_us;
	if (wait_us)
		snprintf(text, WHEN_MAX_LEN, "next attempt in %" PRId64 " s",
			 (wait_us + CLOCK_US_PER_S - 1) / CLOCK_US_PER_S);
	else
		str_copy(text, WHEN_MAX_LEN, "next attempt at once");
}

static void end_flight(struct flight *fl, struct deliver_outcome *o)
{
	struct forward *f = fl->forward;
	const uint64_t endpoint = fl->attempt->endpoint;
	char when[WHEN_MAX_LEN];

	o->duration_us = loop_now_us(f->loop) - fl->began_us;
	list_remove(&fl->link);
	fl->attempt->owner = fl;
	deliver_done(f->deliver, fl->attempt, o);
	if (o->verdict != VERDICT_OK) {
		write_when(fl, endpoint, when);
		log_warn("%s%s failed: %s%s; %s",
			 way_of(endpoint) == WAY_URL ? "forward to "
						     : "exec of ",
			 fl->target, o->error, fl->about, when);
	}
	mem_free(fl);
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

static const char *text_in(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

/** Is the callback of this dialect? */
static bool is_of(const json_t *facts, enum dialect d)
{
	return !strcmp(text_in(json_object_get(facts, "event"), "dialect"),
		       dialect_name(d));
}

/** What it was verified by, as it came; older rows have `signature` only. */
static bool add_fields(struct lines *l, const json_t *facts)
{
	const char *sign = text_in(facts, "signature");
	bool ok = true;
	const char *name;
	json_t *value;

	if (sign[0])
		ok = add_line(l, "Signature", sign);
	json_object_foreach(json_object_get(facts, "fields"), name, value)
	{
		const char *text = json_string_value(value);

		ok = ok && text && add_line(l, name, text);
	}
	return ok;
}

/** Returns 0, EMSGSIZE or ENOMEM. */
static int add_lines(struct lines *l, const struct receive_app *app,
		     const json_t *facts)
{
	const json_t *fields = json_object_get(facts, "fields");
	bool ok = add_line(l, "Content-Type", "application/json");
	struct resigned fresh;
	int err = ENOKEY;

	if (is_of(facts, DIALECT_STANDARD))
		err = resign_standard(app, text_in(fields, "webhook-id"),
				      text_in(fields, "webhook-timestamp"),
				      text_in(fields, "webhook-signature"),
				      text_in(facts, "body"), clock_unix_ms(),
				      &fresh);
	if (err == ENOKEY) {
		ok = ok && add_fields(l, facts);
		err = 0;
	} else if (!err) {
		ok = ok &&
		     add_line(l, "webhook-id", text_in(fields, "webhook-id")) &&
		     add_line(l, "webhook-timestamp", fresh.timestamp) &&
		     add_line(l, "webhook-signature", fresh.signature);
	}
	return err || ok ? err : EMSGSIZE;
}

/** The app's URL with the query behind it.  Returns 0, EMSGSIZE or ENOMEM. */
static int write_url(const struct receive_app *app, const json_t *facts,
		     struct buf *url)
{
	const char *query = text_in(facts, "query");
	int err = 0;

	buf_puts(url, app->forward);
	if (query[0])
		buf_putc(url, strchr(app->forward, '?') ? '&' : '?');
	if (is_of(facts, DIALECT_LIVE))
		err = resign_live(app, query, clock_unix_ms(), url);
	else
		buf_puts(url, query);
	return err ? err : buf_err(url);
}

static int send_url(struct flight *fl, const struct receive_app *app,
		    const json_t *facts, struct err *e)
{
	struct forward *f = fl->forward;
	const char *body = text_in(facts, "body");
	struct lines lines = {0};
	struct buf url;
	struct http_call call = {
		.method = "POST",
		.fields = lines.at,
		.body = body,
		.body_len = strlen(body),
		.timeout_us = CALL_TIMEOUT_US,
		.allow_private = true, /* typed by whoever started us */
	};
	int err = add_lines(&lines, app, facts);

	if (err == EMSGSIZE)
		return err_set(e, EMSGSIZE, "",
			       "its signature is too long to forward");
	if (err)
		return err;
	call.n_fields = lines.n;
	buf_init(&url, URL_MAX);
	err = write_url(app, facts, &url);
	call.url = buf_str(&url);
	if (!err)
		err = http_client_send(f->client, &call, on_answer, fl, e,
				       &fl->transfer);
	buf_fini(&url);
	return err;
}

static int run_program(struct flight *fl, const struct receive_app *app,
		       const json_t *facts, struct err *e)
{
	struct forward *f = fl->forward;
	struct buf line;
	int err;

	buf_init(&line, LINE_MAX_LEN);
	err = json_text_write(json_object_get(facts, "event"), &line);
	buf_putc(&line, '\n'); /* `read` of a shell wants it */
	if (!err)
		err = buf_err(&line);
	if (!err) {
		err = exec_start(f->loop, app->exec, buf_str(&line), line.len,
				 EXEC_TIMEOUT_US, on_exec_end, fl, &fl->exec);
		if (err)
			err_set(e, err, "exec", "%s cannot be run: %s",
				app->exec, strerror(err));
	}
	buf_fini(&line);
	return err;
}

/** Whose event it is; an endpoint of old does not say. */
static const struct receive_app *find_app(const struct forward *f,
					  const struct deliver_attempt *a,
					  const json_t *facts)
{
	const json_t *event = json_object_get(facts, "event");
	uint32_t id = app_of(a->endpoint);

	if (!id)
		id = (uint32_t)recordings_number(event, "app");
	return apps_find(f->apps, id);
}

static int start_flight(struct flight *fl, const json_t *facts, struct err *e)
{
	const enum way way = way_of(fl->attempt->endpoint);
	const struct receive_app *app =
		find_app(fl->forward, fl->attempt, facts);
	const char *target = target_of(app, way);
	const json_t *event = json_object_get(facts, "event");

	snprintf(fl->about, sizeof(fl->about), " task=%.80s kind=%.40s",
		 text_in(event, "task_id"), text_in(event, "kind"));
	if (!target) {
		str_copy(fl->target, sizeof(fl->target), "nowhere");
		return err_set(e, ENOENT, "", "its app has none now");
	}
	str_copy(fl->target, sizeof(fl->target), target);
	if (way == WAY_URL) /* a query may hold secrets */
		fl->target[strcspn(fl->target, "?#")] = '\0';
	return way == WAY_URL ? send_url(fl, app, facts, e)
			      : run_program(fl, app, facts, e);
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
		err = start_flight(fl, facts, &e);
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

/* ---- the endpoints ------------------------------------------------------------- */

static int declare(struct forward *f, uint64_t id, uint32_t app, bool is_on)
{
	struct deliver_endpoint ep = {
		.id = id,
		.app = app,
		.order = ORDER_TASK,
		.expire_us = EXPIRE_US,
		.max_in_flight = IN_FLIGHT,
		.is_off = !is_on,
		.probe_us = PROBE_US,
		.probe_max_us = PROBE_MAX_US,
	};
	struct err e;
	int err = deliver_retry_parse(RETRY, &ep.retry, &e);

	ep.retry.on = true; /* until it expires */
	str_copy(ep.name, sizeof(ep.name), way_name(way_of(id)));
	return err ? err : deliver_set_endpoint(f->deliver, &ep);
}

/** Switch a way of an app on or off.  Returns 0 or ENOMEM. */
static int set_way(struct forward *f, uint32_t app, enum way way, bool is_on)
{
	int err = declare(f, endpoint_of(app, way), app, is_on);

	if (!err && f->old_app[way] == app)
		err = declare(f, way, app, is_on);
	return err;
}

/** Say what waits for a way that is not there. */
static void say_waiting(const struct forward *f, uint64_t endpoint,
			uint32_t app)
{
	struct deliver_endpoint_stats s;

	if (!deliver_endpoint_stats(f->deliver, endpoint, &s) || !s.pending)
		return;
	log_warn("app=%" PRIu32 " has no %s now pending=%" PRIu64
		 ": they wait until it has, and expire after 7 days",
		 app, way_name(way_of(endpoint)), s.pending);
}

static bool is_changed(const char *was, const char *now)
{
	return !was || !now || strcmp(was, now) != 0;
}

int forward_prepare(struct forward *f, const struct apps *next)
{
	int err = 0;

	for (size_t i = 0; i < next->n && !err; i++) {
		const struct receive_app *a = &next->list[i];

		for (size_t w = 0; w < ARRAY_LEN(ways) && !err; w++) {
			if (target_of(a, ways[w]) &&
			    !target_of(apps_find(f->apps, a->id), ways[w]))
				err = set_way(f, a->id, ways[w], false);
		}
	}
	return err;
}

/** One that is there.  It cannot fail. */
static void change_way(struct forward *f, uint32_t app, enum way way,
		       bool is_on)
{
	int err = set_way(f, app, way, is_on);

	assert(!err);
	if (is_on)
		return;
	say_waiting(f, endpoint_of(app, way), app);
	if (f->old_app[way] == app)
		say_waiting(f, way, app);
}

void forward_change(struct forward *f, const struct apps *was)
{
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		const enum way way = ways[w];

		for (size_t i = 0; i < was->n; i++) {
			const uint32_t id = was->list[i].id;

			if (target_of(&was->list[i], way) &&
			    !target_of(apps_find(f->apps, id), way))
				change_way(f, id, way, false);
		}
		for (size_t i = 0; i < f->apps->n; i++) {
			const struct receive_app *a = &f->apps->list[i];
			const char *now = target_of(a, way);

			if (now &&
			    is_changed(target_of(apps_find(was, a->id), way),
				       now))
				change_way(f, a->id, way, true);
		}
	}
}

/* ---- opening -------------------------------------------------------------------- */

/** What is pending in the store. */
struct waiting {
	const struct forward *f;
	uint64_t old_event[WAY_EXEC + 1]; /* the first one of an endpoint of
					     old, 0: none */
	uint64_t endpoints[WAITING_MAX];  /* n that nobody declares */
	size_t n;
};

static int look_at_pending(const struct pending_row *row, void *arg)
{
	struct waiting *w = arg;
	const uint64_t id = row->endpoint;

	if (id <= WAY_EXEC) {
		if (!w->old_event[id])
			w->old_event[id] = row->event;
		return 0;
	}
	if (target_of(apps_find(w->f->apps, app_of(id)), way_of(id)))
		return 0;
	for (size_t i = 0; i < w->n; i++) {
		if (w->endpoints[i] == id)
			return 0;
	}
	if (w->n < WAITING_MAX)
		w->endpoints[w->n++] = id;
	return 0;
}

/** Whose are the deliveries of an endpoint of old? */
static int find_old_app(struct forward *f, enum way way, uint64_t event)
{
	const struct store_filter filter = {
		.what = READ_EVENTS, .id = event, .state = -1, .limit = 1};
	struct store_rows rows;
	int err = store_read(f->store, &filter, &rows);

	if (err)
		return err;
	if (rows.n)
		f->old_app[way] = rows.events[0].app;
	store_rows_free(&rows);
	return 0;
}

/** Take up what is pending: it begins at once. */
static int load(struct forward *f)
{
	struct waiting w = {.f = f};
	int err = store_each_pending(f->store, look_at_pending, &w);

	for (size_t i = 0; i < ARRAY_LEN(ways) && !err; i++) {
		if (w.old_event[ways[i]])
			err = find_old_app(f, ways[i], w.old_event[ways[i]]);
	}
	for (size_t i = 0; i < f->apps->n && !err; i++) {
		const struct receive_app *a = &f->apps->list[i];

		for (size_t k = 0; k < ARRAY_LEN(ways) && !err; k++) {
			if (target_of(a, ways[k]))
				err = set_way(f, a->id, ways[k], true);
		}
	}
	if (!err)
		err = deliver_load(f->deliver);
	if (err)
		return err;
	for (size_t i = 0; i < w.n; i++)
		say_waiting(f, w.endpoints[i], app_of(w.endpoints[i]));
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		const uint32_t app = f->old_app[ways[i]];

		if (app && !target_of(apps_find(f->apps, app), ways[i]))
			say_waiting(f, ways[i], app);
	}
	return 0;
}

int forward_new(struct loop *loop, struct store *store, struct workers *workers,
		const struct apps *apps, struct forward **out)
{
	struct http_client_config http = {
		.max_connections = KEPT_CONNECTIONS,
		.user_agent = "tapeop-receive",
		.workers = workers,
		.dns_ttl_us = DNS_TTL_US,
	};
	/* So that no app waits for the slots of another. */
	struct deliver_config config = {
		.max_in_flight = ARRAY_LEN(ways) * IN_FLIGHT * RECEIVE_APPS_MAX,
		.facts_cache_bytes = 16 << 20,
	};
	struct deliver_events events = {.attempt = attempt,
					.judged = on_judged};
	struct forward *f = mem_zalloc(sizeof(*f));
	int err;

	if (!f)
		return ENOMEM;
	f->loop = loop;
	f->store = store;
	f->apps = apps;
	list_init(&f->flights);
	err = http_client_new(loop, &http, &f->client);
	if (!err)
		err = deliver_new(loop, store, &config, &events, f,
				  &f->deliver);
	if (!err)
		err = load(f);
	if (err) {
		forward_free(f);
		return err;
	}
	*out = f;
	return 0;
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
	mem_free(f);
}

size_t forward_rows(struct forward *f, uint32_t app, uint64_t event,
		    const char *task, int64_t unix_ms,
		    struct delivery_row rows[FORWARD_ROWS_MAX])
{
	const struct receive_app *a = apps_find(f->apps, app);
	uint64_t lane = 0xcbf29ce484222325U; /* FNV-1a of the task's id */
	size_t n = 0;

	for (const char *p = task; *p; p++)
		lane = (lane ^ (uint8_t)*p) * 0x100000001b3U;
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		if (!target_of(a, ways[i]))
			continue;
		rows[n++] = (struct delivery_row){
			.id = store_next_id(f->store, IDS_DELIVERY),
			.event = event,
			.endpoint = endpoint_of(app, ways[i]),
			.lane = lane >> 1,
			.app = app,
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
