/** control/endpoints.c -- endpoints in the API: look, make, change, test,
 *  remove. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "control/call.h"

enum { S_PER_MINUTE = 60 };

/* ---- looking -------------------------------------------------------------------- */

/** Put how it does behind its settings.  Returns 0 or -1. */
static int add_stats(struct call *c, const struct notify_endpoint_info *info,
		     json_t *to)
{
	static const char *const breakers[] = {"closed", "open", "half_open"};
	struct deliver_endpoint_stats st = {0};
	json_t *stats;
	int bad;

	deliver_endpoint_stats(notify_deliver(c->control->notify), info->id,
			       &st);
	stats = json_pack(
		"{s:s, s:o, s:b, s:I, s:i, s:i, s:o, s:o, s:f, s:b, s:o, s:I}",
		"breaker", breakers[st.breaker], "next_probe_ms",
		st.next_probe_ms ? json_integer(st.next_probe_ms) : json_null(),
		"gone", st.gone, "pending", (json_int_t)st.pending, "in_flight",
		(int)st.in_flight, "failures_in_row", (int)st.failures_in_row,
		"failing_since_ms",
		st.failing_since_ms ? json_integer(st.failing_since_ms)
				    : json_null(),
		"oldest_pending_ms",
		st.oldest_created_ms ? json_integer(st.oldest_created_ms)
				     : json_null(),
		"effective_rate", st.per_minute / (double)S_PER_MINUTE,
		"limited", st.limited, "consent",
		info->handshake ? json_boolean(info->agreed) : json_null(),
		"delivered_last_minute", (json_int_t)st.delivered_minute);
	bad = json_object_update(to, stats);
	json_decref(stats);
	return bad;
}

/** NULL: out of memory. */
static json_t *endpoint_json(struct call *c,
			     const struct notify_endpoint_info *info)
{
	json_t *object = json_pack(
		"{s:o, s:I, s:s, s:s, s:s, s:s, s:b}", "endpoint_id",
		call_id(info->id), "app", (json_int_t)info->app, "source",
		info->is_kept ? "api" : "file", "name", info->name, "url",
		info->url, "dialect", dialect_name(info->dialect), "enabled",
		info->enabled);
	json_t *shown =
		info->shown ? json_loads(info->shown, 0, NULL) : json_object();
	int bad = json_object_update(object, shown);

	json_decref(shown);
	if (!bad && !add_stats(c, info, object))
		return object;
	json_decref(object);
	return NULL;
}

/** Answer with those of an app, or of all (0). */
static void answer_list(struct call *c, uint32_t app)
{
	struct notify_endpoint_info info;
	json_t *list = json_array();

	for (size_t i = 0; notify_endpoint_at(c->control->notify, i, &info);
	     i++) {
		if (app && info.app != app)
			continue;
		if (json_array_append_new(list, endpoint_json(c, &info))) {
			json_decref(list);
			list = NULL;
			break;
		}
	}
	call_reply(c, 200, json_pack("{s:o}", "endpoints", list));
}

void endpoints_list(struct call *c)
{
	uint32_t app;

	if (call_app(c, c->parts[0], &app))
		answer_list(c, app);
}

void endpoints_list_all(struct call *c)
{
	static const char *const keys[] = {"app", NULL};
	const char *text = http_query(c->request, "app");
	uint32_t app = 0;

	if (call_query_keys(c, keys) && (!text || call_app(c, text, &app)))
		answer_list(c, app);
}

/** The path names an endpoint that is there; answers itself when not. */
static bool read_id(struct call *c, struct notify_endpoint_info *info)
{
	if (!call_number(c, c->parts[0], "endpoint", &c->id))
		return false;
	if (notify_endpoint_info(c->control->notify, c->id, info))
		return true;
	call_problem(c, 404, "endpoint", "there is no endpoint %s",
		     c->parts[0]);
	return false;
}

void endpoints_show(struct call *c)
{
	struct notify_endpoint_info info;

	if (read_id(c, &info))
		call_reply(c, 200, endpoint_json(c, &info));
}

/* ---- making, changing, removing ---------------------------------------------------- */

/** A setting as it was sent: an err holds the beginning of its name. */
static const char *sent_name(const struct call *c, const char *name)
{
	const char *key;
	json_t *value;

	if (json_object_get(c->body, name))
		return name;
	json_object_foreach(c->body, key, value)
	{
		if (str_starts_with(key, name))
			return key;
	}
	return name;
}

/** What is wrong with a setting is said without its name. */
static void answer_error(struct call *c, const struct err *e)
{
	if (e->code == EINVAL && e->field[0])
		call_problem(c, 400, sent_name(c, e->field), "%s: %s", e->field,
			     e->text);
	else
		call_error(c, e);
}

static void answer_endpoint(struct call *c, int status, uint64_t id,
			    const struct err *e)
{
	struct notify_endpoint_info info;

	if (!c->request) /* and the server may stop */
		call_free(c);
	else if (e->code)
		answer_error(c, e);
	else if (!notify_endpoint_info(c->control->notify, id, &info))
		call_problem(c, 404, "endpoint", "it is removed already");
	else
		call_reply(c, status, endpoint_json(c, &info));
}

static void on_made(uint64_t id, const struct err *e, void *arg)
{
	answer_endpoint(arg, 201, id, e);
}

static void on_changed(uint64_t id, const struct err *e, void *arg)
{
	answer_endpoint(arg, 200, id, e);
}

static void on_dropped(uint64_t id, const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!c->request)
		call_free(c);
	else if (e->code)
		answer_error(c, e);
	else
		call_reply(c, 200,
			   json_pack("{s:o, s:b}", "endpoint_id", call_id(id),
				     "removed", 1));
}

static bool has_object(struct call *c)
{
	if (json_is_object(c->body))
		return true;
	call_problem(c, 400, "",
		     "the body must be a JSON object with: settings of an "
		     "endpoint (docs/settings.md, callbacks)");
	return false;
}

void endpoints_make(struct call *c)
{
	struct err e;
	uint32_t app;

	if (call_app(c, c->parts[0], &app) && has_object(c) &&
	    notify_make_endpoint(c->control->notify, app, c->body, on_made, c,
				 &e))
		answer_error(c, &e);
}

void endpoints_change(struct call *c)
{
	struct notify_endpoint_info info;
	struct err e;

	if (read_id(c, &info) && has_object(c) &&
	    notify_change_endpoint(c->control->notify, c->id, c->body,
				   on_changed, c, &e))
		answer_error(c, &e);
}

void endpoints_remove(struct call *c)
{
	struct notify_endpoint_info info;
	struct err e;

	if (read_id(c, &info) &&
	    notify_drop_endpoint(c->control->notify, c->id, on_dropped, c, &e))
		answer_error(c, &e);
}

/* ---- a test event ------------------------------------------------------------------- */

static void on_tested(const struct notify_test *t, void *arg)
{
	struct call *c = arg;

	if (!c->request) {
		call_free(c);
		return;
	}
	call_reply(c, 200,
		   json_pack("{s:b, s:i, s:s, s:I, s:{s:s, s:o, s:o}, s:o}",
			     "delivered", t->delivered, "status", t->status,
			     "error", t->error, "duration_ms",
			     (json_int_t)(t->duration_us / 1000), "request",
			     "url", t->url, "headers", call_fields(t->fields),
			     "body", call_bytes(t->body, t->body_len), "answer",
			     call_bytes(t->answer, t->answer_len)));
}

void endpoints_test(struct call *c)
{
	static const char *const none[] = {NULL};
	struct notify_endpoint_info info;
	struct err e;

	if (read_id(c, &info) && (!c->body || call_keys(c, none)) &&
	    notify_test_endpoint(c->control->notify, c->id, on_tested, c, &e))
		call_error(c, &e);
}
