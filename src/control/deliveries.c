/** control/deliveries.c -- outbox, dead letters and replay in the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "control/call.h"

enum {
	COUNT_PAGE = 1000,
	COUNT_PAGES_MAX = 100,
	NAMES_MAX = 100 /* bytes of names in an error */
};

static json_t *delivery_json(struct call *c, const struct delivery_row *d)
{
	return json_pack(
		"{s:o, s:o, s:o, s:I, s:s, s:I, s:I, s:s, s:s, s:i, s:b, s:I, "
		"s:I, s:I, s:i, s:s}",
		"delivery_id", call_id(d->id), "event_id", call_id(d->event),
		"task_id", call_id(d->lane), "task_seq",
		(json_int_t)d->task_seq, "kind", d->event_kind, "event_ms",
		(json_int_t)d->event_ms, "app", (json_int_t)d->app, "endpoint",
		notify_endpoint_name(c->control->notify, d->endpoint), "state",
		delivery_state_name(d->state), "attempts",
		(int)d->attempts_ever, "late", d->late, "created_ms",
		(json_int_t)d->created_ms, "due_ms", (json_int_t)d->due_ms,
		"last_ms", (json_int_t)d->last_ms, "last_status",
		d->last_status, "last_error", d->last_error);
}

/* ---- filters -------------------------------------------------------------------- */

static bool filter_state(struct call *c, const char *text)
{
	enum delivery_state state;

	c->filter.state = -1;
	if (!text)
		return true;
	if (!delivery_state_parse(text, &state)) {
		call_problem(c, 400, "state",
			     "state: must be one of: pending, delivered, "
			     "dead, expired");
		return false;
	}
	c->filter.state = (int)state;
	return true;
}

/** Is it an endpoint that the filter of apps permits? */
static bool is_candidate(const struct call *c,
			 const struct notify_endpoint_info *info)
{
	return !c->filter.app || c->filter.app == info->app;
}

/** There is no such endpoint: say which there are, as far as fits. */
static void no_endpoint(struct call *c, const char *name)
{
	struct notify_endpoint_info info;
	const char *more = "";
	struct buf names;

	buf_init(&names, NAMES_MAX);
	for (size_t i = 0; notify_endpoint_at(c->control->notify, i, &info);
	     i++) {
		if (!is_candidate(c, &info))
			continue;
		buf_printf(&names, "%s%s", names.len ? ", " : "", info.name);
		if (buf_err(&names)) { /* this one is left out */
			more = ", .. (see /v1/apps/{app}/endpoints)";
			break;
		}
	}
	call_problem(c, 400, "endpoint",
		     "endpoint: there is none of the name %.64s; there %s%s%s",
		     name, names.len ? "are: " : "are none", buf_str(&names),
		     more);
	buf_fini(&names);
}

/** An endpoint's name; with equal names in several apps, the first.  One that
 *  was removed counts where none has the name now. */
static bool filter_endpoint(struct call *c, const char *name)
{
	struct notify_endpoint_info info;
	uint64_t removed;

	if (!name)
		return true;
	for (size_t i = 0; notify_endpoint_at(c->control->notify, i, &info);
	     i++) {
		if (!strcmp(info.name, name) && is_candidate(c, &info)) {
			c->filter.endpoint = info.id;
			return true;
		}
	}
	removed = notify_removed_endpoint(c->control->notify, c->filter.app,
					  name);
	if (!removed) {
		no_endpoint(c, name);
		return false;
	}
	c->filter.endpoint = removed;
	return true;
}

static bool filter_order(struct call *c, const char *text)
{
	if (!text || !strcmp(text, "oldest"))
		return true;
	if (strcmp(text, "newest") != 0) {
		call_problem(c, 400, "order",
			     "order: must be one of: oldest, newest");
		return false;
	}
	c->filter.newest_first = true;
	return true;
}

/* ---- looking -------------------------------------------------------------------- */

static void on_deliveries(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *list;
	json_t *next;
	uint64_t last = 0;

	if (call_rows_are_bad(c, rows))
		return;
	list = json_array();
	for (size_t i = 0; i < rows->n; i++) {
		json_array_append_new(list,
				      delivery_json(c, &rows->deliveries[i]));
		last = rows->deliveries[i].id;
	}
	next = rows->more ? call_id(last) : json_null();
	store_rows_free(rows);
	call_reply(c, 200,
		   json_pack("{s:o, s:o}", "deliveries", list, "next", next));
}

void deliveries_list(struct call *c)
{
	static const char *const keys[] = {"state", "endpoint", "task",	 "app",
					   "order", "limit",	"after", NULL};
	const char *task = http_query(c->request, "task");
	const char *app = http_query(c->request, "app");

	c->filter = (struct store_filter){.what = READ_DELIVERIES};
	if (!call_query_keys(c, keys) ||
	    (app && !call_app(c, app, &c->filter.app)) ||
	    !filter_state(c, http_query(c->request, "state")) ||
	    !filter_endpoint(c, http_query(c->request, "endpoint")) ||
	    !filter_order(c, http_query(c->request, "order")) ||
	    (task && !call_number(c, task, "task", &c->filter.task)) ||
	    !call_page(c, &c->filter))
		return;
	call_ask(c, on_deliveries);
}

/** NULL when it is not signed. */
static json_t *proof_json(const struct callback_proof *p)
{
	if (!p->algorithm)
		return json_null();
	return json_pack("{s:s, s:s, s:o, s:s, s:s}", "algorithm", p->algorithm,
			 "over", p->over, "base",
			 call_bytes(p->base.data, p->base.len), "where",
			 p->where, "value", buf_str(&p->value));
}

/** What the last attempt sent, or the first one would; null when that cannot
 *  be told any more. */
static json_t *request_json(struct call *c, const struct event_row *event)
{
	const struct delivery_row *d = &c->delivery;
	const unsigned n = d->attempts_ever ? d->attempts_ever : 1;
	struct notify_request r;
	json_t *json;
	int err = event ? notify_show_request(c->control->notify, d->endpoint,
					      event, n, c->sent_ms, &r)
			: ENOENT;

	if (err)
		return err == ENOMEM ? NULL : json_null();
	json = json_pack("{s:i, s:b, s:s, s:s, s:o, s:o, s:o}", "attempt",
			 (int)n, "sent", c->sent_ms != 0, "method", "POST",
			 "url", buf_str(&r.url), "headers",
			 call_fields(buf_str(&r.fields)), "body",
			 call_bytes(r.body.data, r.body.len), "signature",
			 proof_json(&r.proof));
	notify_request_fini(&r);
	return json;
}

static void on_event(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *request;
	json_t *answer;

	if (call_rows_are_bad(c, rows))
		return;
	request = request_json(c, rows->n ? &rows->events[0] : NULL);
	store_rows_free(rows);
	answer = json_incref(c->answer);
	if (json_object_set_new(answer, "request", request)) {
		json_decref(answer);
		answer = NULL;
	}
	call_reply(c, 200, answer);
}

static void on_attempts(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	json_t *list;

	if (call_rows_are_bad(c, rows))
		return;
	list = json_array();
	for (size_t i = 0; i < rows->n; i++) {
		const struct attempt_row *a = &rows->attempts[i];

		json_array_append_new(
			list, json_pack("{s:i, s:I, s:I, s:i, s:s, s:s}", "n",
					(int)a->n, "at_ms",
					(json_int_t)a->unix_ms, "duration_ms",
					(json_int_t)(a->duration_us / 1000),
					"status", a->status, "error", a->error,
					"answer", a->answer));
		c->sent_ms = a->unix_ms;
	}
	store_rows_free(rows);
	json_object_set_new(c->answer, "attempts_log", list);
	c->filter = (struct store_filter){.what = READ_EVENTS,
					  .id = c->delivery.event,
					  .state = -1,
					  .limit = 1};
	call_ask(c, on_event);
}

static void on_one_delivery(struct store_rows *rows, void *arg)
{
	struct call *c = arg;

	if (call_rows_are_bad(c, rows))
		return;
	if (!rows->n) {
		store_rows_free(rows);
		call_problem(c, 404, "delivery", "there is no delivery %s",
			     c->parts[0]);
		return;
	}
	c->delivery = rows->deliveries[0];
	c->answer = delivery_json(c, &c->delivery);
	c->filter = (struct store_filter){
		.what = READ_ATTEMPTS, .delivery = c->delivery.id, .state = -1};
	store_rows_free(rows);
	call_ask(c, on_attempts);
}

void deliveries_show(struct call *c)
{
	c->filter = (struct store_filter){
		.what = READ_DELIVERIES, .state = -1, .limit = 1};
	if (call_number(c, c->parts[0], "delivery", &c->filter.id))
		call_ask(c, on_one_delivery);
}

/* ---- replay ----------------------------------------------------------------------- */

/** It is neither dead nor expired. */
static void not_replayable(struct call *c)
{
	call_problem(c, 409, "delivery", "delivery %s is not dead or expired",
		     c->parts[0]);
}

static void on_replayed(const struct store_result *r, void *arg)
{
	struct call *c = arg;
	struct err e = {.code = r->err};

	if (r->err) {
		str_copy(e.text, sizeof(e.text), r->text);
		call_error(c, &e);
		return;
	}
	if (c->filter.id && !r->changed) { /* meanwhile */
		not_replayable(c);
		return;
	}
	call_reply(c, 200,
		   json_pack("{s:I}", "replayed", (json_int_t)r->changed));
}

static void replay(struct call *c)
{
	deliver_replay(notify_deliver(c->control->notify), &c->filter,
		       on_replayed, c);
}

/** Has it been taken out, and is remembered?  What is replayed to it expires. */
static bool is_removed(const struct call *c, uint64_t endpoint)
{
	struct notify_endpoint_info info;

	return *notify_endpoint_name(c->control->notify, endpoint) &&
	       !notify_endpoint_info(c->control->notify, endpoint, &info);
}

static void endpoint_is_removed(struct call *c, uint64_t endpoint)
{
	call_problem(c, 409, "endpoint",
		     "the endpoint %s was removed: what is replayed to it "
		     "expires at once; make it again first",
		     notify_endpoint_name(c->control->notify, endpoint));
}

/** The one that is to be replayed: its endpoint is named by that, too. */
static void on_found(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	struct delivery_row d = {0};
	bool known;

	if (call_rows_are_bad(c, rows))
		return;
	known = rows->n > 0;
	if (known)
		d = rows->deliveries[0];
	store_rows_free(rows);
	c->filter.limit = 0;
	c->filter.endpoint = d.endpoint;
	if (!known)
		call_problem(c, 404, "delivery", "there is no delivery %s",
			     c->parts[0]);
	else if (d.state != DELIVERY_DEAD && d.state != DELIVERY_EXPIRED)
		not_replayable(c);
	else if (is_removed(c, d.endpoint))
		endpoint_is_removed(c, d.endpoint);
	else
		replay(c);
}

void deliveries_replay_one(struct call *c)
{
	static const char *const none[] = {NULL};

	c->filter = (struct store_filter){
		.what = READ_DELIVERIES, .state = -1, .limit = 1};
	if (call_number(c, c->parts[0], "delivery", &c->filter.id) &&
	    (!c->body || call_keys(c, none)))
		call_ask(c, on_found);
}

/** Count page by page what a replay would touch; states one by one. */
static void on_counted(struct store_rows *rows, void *arg)
{
	struct call *c = arg;
	bool more;

	if (call_rows_are_bad(c, rows))
		return;
	c->count += rows->n;
	more = rows->more && c->count < COUNT_PAGE * COUNT_PAGES_MAX;
	c->count_is_cut |= rows->more && !more;
	if (more)
		c->filter.after = rows->deliveries[rows->n - 1].id;
	store_rows_free(rows);
	if (!more && c->filter.state == DELIVERY_DEAD && c->dry_run) {
		/* second round: the expired ones, unless only dead */
		c->filter.after = 0;
		c->filter.state = DELIVERY_EXPIRED;
		more = c->id == 0;
	}
	if (more)
		call_ask(c, on_counted);
	else
		call_reply(c, 200,
			   json_pack("{s:I, s:o*, s:b}", "would_replay",
				     (json_int_t)c->count, "more",
				     c->count_is_cut ? json_true() : NULL,
				     "dry_run", 1));
}

static void count_replay(struct call *c)
{
	c->id = c->filter.state >= 0; /* only one state was asked for */
	if (c->filter.state < 0)
		c->filter.state = DELIVERY_DEAD;
	c->filter.limit = COUNT_PAGE;
	call_ask(c, on_counted);
}

static bool replay_fields(struct call *c)
{
	static const char *const states[] = {"dead", "expired", "all", NULL};
	static const int values[] = {DELIVERY_DEAD, DELIVERY_EXPIRED, -1};
	const char *endpoint;
	int64_t app = 0;
	int state = 2;

	if (!call_choice(c, "state", states, &state) ||
	    !call_integer(c, "app", 1, UINT32_MAX, &app) ||
	    !call_string(c, "endpoint",
			 "the name of an endpoint; see "
			 "/v1/apps/{app}/endpoints",
			 false, &endpoint) ||
	    !call_id_field(c, "task", &c->filter.task) ||
	    !call_integer(c, "from_ms", 0, INT64_MAX, &c->filter.from_ms) ||
	    !call_integer(c, "to_ms", 0, INT64_MAX, &c->filter.to_ms) ||
	    !call_bool(c, "dry_run", &c->dry_run))
		return false;
	c->filter.app = (uint32_t)app;
	c->filter.state = values[state];
	if (c->filter.to_ms && c->filter.to_ms <= c->filter.from_ms) {
		call_problem(c, 400, "to_ms",
			     "to_ms: must be over from_ms, or 0: no end");
		return false;
	}
	return filter_endpoint(c, endpoint);
}

void deliveries_replay(struct call *c)
{
	static const char *const keys[] = {"state",   "endpoint", "task",
					   "app",     "from_ms",  "to_ms",
					   "dry_run", NULL};

	c->filter = (struct store_filter){.what = READ_DELIVERIES, .state = -1};
	if (!call_keys(c, keys) || !replay_fields(c))
		return;
	if (c->filter.endpoint && is_removed(c, c->filter.endpoint))
		endpoint_is_removed(c, c->filter.endpoint);
	else if (c->dry_run)
		count_replay(c);
	else
		replay(c);
}
