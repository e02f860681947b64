/** receive/text_event.c -- an event of any dialect as one JSON object. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "receive/private.h"

/* All: false, or NULL, when out of memory. */

/** Set and take over. */
static bool put(json_t *o, const char *name, json_t *v)
{
	return !json_object_set_new(o, name, v);
}

/** Left out when there is none. */
static bool put_text(json_t *o, const char *name, const char *text)
{
	return !text[0] || put(o, name, json_string(text));
}

static bool put_number(json_t *o, const char *name, int64_t value)
{
	return !value || put(o, name, json_integer(value));
}

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

static bool put_segment(json_t *o, const struct callback *c)
{
	const struct event *e = &c->event;
	bool ok = put_number(o, "event_ms", e->unix_ms);

	if (!c->has_seq && !e->file_name[0])
		return ok; /* it does not say which */
	ok = ok && put(o, "mode", json_string(record_mode_name(e->mode)));
	if (c->has_seq)
		ok = ok && put(o, "seq", json_integer(e->seq));
	return ok && put(o, "file", json_string(e->file_name)) &&
	       put_number(o, "start_ms", e->start_ms) &&
	       put_number(o, "duration_ms", e->duration_ms) &&
	       put_number(o, "size", e->size) &&
	       put_text(o, "sha256", e->sha256) &&
	       put_text(o, "location", e->location);
}

static bool put_task(json_t *o, const struct callback *c)
{
	const struct event *e = &c->event;
	bool stopped = e->kind == EVENT_TASK_STOPPED;

	return put(o, "event_ms", json_integer(e->unix_ms)) &&
	       put(o, stopped ? "leave_code" : "status",
		   json_integer(stopped ? e->leave_code : e->status)) &&
	       (e->kind != EVENT_FILES_READY || put(o, "files", files_json(e)));
}

/** The id is one of 64 bits: as text. */
static bool put_id(json_t *o, const struct event *e)
{
	char id[24];

	if (!e->id)
		return true;
	snprintf(id, sizeof(id), "%" PRIu64, e->id);
	return put(o, "event_id", json_string(id)) &&
	       put(o, "sequence", json_integer((json_int_t)e->task_seq));
}

json_t *text_event_json(const struct callback *c, int64_t received_ms)
{
	const struct event *e = &c->event;
	bool known = e->kind < EVENT_KIND_N;
	json_t *o = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:I}",
			      "dialect", dialect_name(c->dialect), "kind",
			      known ? event_kind_name(e->kind) : "unknown",
			      "type", c->type, "app", (json_int_t)e->app,
			      "task_id", c->task, "room", e->room, "user",
			      e->user, "sent_ms", (json_int_t)c->sent_ms,
			      "received_ms", (json_int_t)received_ms);
	bool ok = o != NULL;

	if (ok && known)
		ok = event_is_of_segment(e->kind) ? put_segment(o, c)
						  : put_task(o, c);
	if (ok && put_id(o, e) && put_text(o, "reason", e->reason) &&
	    put_text(o, "reason_text", e->reason_text))
		return o;
	json_decref(o);
	return NULL;
}
