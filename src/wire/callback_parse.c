/** wire/callback_parse.c -- how an event looks on the wire: reading. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/callback_inside.h"
#include "wire/field.h"
#include "wire/kinds.h"
#include "wire/quote.h"
#include "wire/sig.h"

static bool is_there(const char *mark)
{
	return mark && *mark;
}

bool callback_recognise(const struct callback_marks *m, enum dialect *d)
{
	if (is_there(m->command))
		*d = DIALECT_LIVE;
	else if (is_there(m->webhook_id))
		*d = DIALECT_STANDARD;
	else if (is_there(m->sdk_app_id) || is_there(m->sign))
		*d = DIALECT_TRTC;
	else if (is_there(m->signature))
		*d = DIALECT_GME;
	else
		return false;
	return true;
}

int callback_finish_key(const struct buf *facts, struct callback *c)
{
	int err = buf_err(facts);

	return err ? err : sig_sha256_hex(facts->data, facts->len, c->key);
}

int callback_sorry(int err, struct err *why)
{
	return err ? err_set(why, err, "", "%s", strerror(err)) : 0;
}

/* ---- gme ---- */

static int make_gme_key(struct callback *c)
{
	const struct event *e = &c->event;
	struct buf facts;
	int err;

	buf_init(&facts, CALLBACK_BODY_MAX);
	buf_printf(&facts, "[\"gme\",%" PRIu32 ",%s,", e->app, c->task);
	quote_json(&facts, e->room);
	buf_putc(&facts, ',');
	quote_json(&facts, e->user);
	buf_printf(&facts, ",%d,%d,%" PRIu32 ",", e->mode, c->type, e->seq);
	quote_json(&facts, e->file_name);
	buf_putc(&facts, ']');
	err = callback_finish_key(&facts, c);
	buf_fini(&facts);
	return err;
}

static int parse_gme_detail(const json_t *root, struct event *e,
			    struct err *err)
{
	const json_t *detail;
	int64_t seq;
	int bad;

	bad = field_object(root, "Detail", &detail, err);
	if (!bad)
		bad = field_i64(detail, "Detail.SeqNo", 0, UINT32_MAX, &seq,
				err);
	if (!bad)
		bad = field_text_filled(detail, "Detail.FileName", e->file_name,
					sizeof(e->file_name), err);
	if (!bad)
		e->seq = (uint32_t)seq;
	return bad;
}

static int parse_gme(const json_t *root, struct callback *c, struct err *err)
{
	struct event *e = &c->event;
	int64_t app, task, mode, sent_s, type;
	int bad;

	bad = field_i64(root, "BizID", 1, UINT32_MAX, &app, err);
	if (!bad)
		bad = field_text_filled(root, "RoomID", e->room,
					sizeof(e->room), err);
	if (!bad)
		bad = field_text_filled(root, "UserID", e->user,
					sizeof(e->user), err);
	if (!bad)
		bad = field_i64(root, "TaskID", 1, INT64_MAX, &task, err);
	if (!bad)
		bad = field_i64(root, "RecordMode", 0, 1, &mode, err);
	if (!bad)
		bad = field_i64(root, "Timestamp", 0, CLOCK_UNIX_S_MAX, &sent_s,
				err);
	if (!bad)
		bad = field_i64(root, "EventType", 1, 3, &type, err);
	if (!bad)
		bad = parse_gme_detail(root, e, err);
	if (bad)
		return bad;
	e->app = (uint32_t)app;
	e->task = (uint64_t)task;
	e->mode = mode ? MODE_MIXED : MODE_SINGLE;
	e->kind = kinds_of_type(DIALECT_GME, type);
	c->type = (int)type;
	c->has_seq = true;
	c->sent_ms = sent_s * 1000;
	snprintf(c->task, sizeof(c->task), "%" PRId64, task);
	return callback_sorry(make_gme_key(c), err);
}

/* ---- live and trtc ---- */

static int append_json(const char *data, size_t len, void *arg)
{
	buf_append(arg, data, len);
	return 0;
}

static int make_live_key(const json_t *payload, struct callback *c)
{
	const struct event *e = &c->event;
	struct buf facts;
	int err = 0;

	buf_init(&facts, CALLBACK_BODY_MAX);
	buf_printf(&facts, "[\"%s\",%d,", dialect_name(c->dialect), c->type);
	quote_json(&facts, e->room);
	buf_putc(&facts, ',');
	quote_json(&facts, c->task);
	buf_printf(&facts, ",%" PRId64 ",", e->unix_ms);
	quote_json(&facts, e->user);
	buf_putc(&facts, ',');
	/* Sorted and compact: the order of keys is not part of an event. */
	if (json_dump_callback(payload, append_json, &facts,
			       JSON_COMPACT | JSON_SORT_KEYS))
		err = ENOMEM;
	buf_putc(&facts, ']');
	if (!err)
		err = callback_finish_key(&facts, c);
	buf_fini(&facts);
	return err;
}

static int parse_live_file(const json_t *v, struct event_file *f,
			   struct err *err)
{
	static const char *const words[] = {
		"EventInfo.Payload.FileMessage[].TrackType",
		"EventInfo.Payload.FileMessage[].MediaId",
	};
	char word[32];
	int bad;

	if (!json_is_object(v))
		return err_set(err, EBADMSG, "EventInfo.Payload.FileMessage",
			       "EventInfo.Payload.FileMessage must be an array "
			       "of objects, has %s",
			       field_type_name(v));
	bad = field_text_filled(v, "EventInfo.Payload.FileMessage[].FileName",
				f->name, sizeof(f->name), err);
	if (!bad)
		bad = field_text(v, "EventInfo.Payload.FileMessage[].UserId",
				 f->user, sizeof(f->user), err);
	for (size_t i = 0; !bad && i < ARRAY_LEN(words); i++)
		bad = field_text(v, words[i], word, sizeof(word), err);
	if (!bad)
		bad = field_i64_loose(
			v, "EventInfo.Payload.FileMessage[].StartTimeStamp", 0,
			CLOCK_UNIX_MS_MAX, &f->start_ms, err);
	if (!bad)
		bad = field_i64_loose(
			v, "EventInfo.Payload.FileMessage[].EndTimeStamp", 0,
			CLOCK_UNIX_MS_MAX, &f->end_ms, err);
	return bad;
}

/** FileList: FileMessage tells the same names again, so only its form. */
static int check_file_list(const json_t *payload, struct err *err)
{
	const char *name = "EventInfo.Payload.FileList";
	const json_t *list;
	int bad = field_array(payload, name, &list, err);

	for (size_t i = 0; !bad && i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_is_string(v))
			bad = err_set(err, EBADMSG, name,
				      "%s must be an array of strings, has %s",
				      name, field_type_name(v));
	}
	return bad;
}

static int parse_live_files(const json_t *payload, struct event *e,
			    struct err *err)
{
	const char *name = "EventInfo.Payload.FileMessage";
	const json_t *list;
	size_t n;
	int bad;

	bad = check_file_list(payload, err);
	if (!bad)
		bad = field_array(payload, name, &list, err);
	if (bad)
		return bad;
	n = json_array_size(list);
	if (n > EVENT_FILES_MAX)
		return err_set(err, EBADMSG, name,
			       "%s must have at most %d files, has %zu", name,
			       EVENT_FILES_MAX, n);
	e->files = mem_zalloc_n(n, sizeof(*e->files));
	if (!e->files)
		return callback_sorry(ENOMEM, err);
	e->n_files = n;
	for (size_t i = 0; !bad && i < n; i++)
		bad = parse_live_file(json_array_get(list, i), &e->files[i],
				      err);
	return bad;
}

/** 307.  Source: tencent.md section 2.3. */
static int parse_slice(const json_t *payload, struct event *e, struct err *err)
{
	char track[32];
	int bad;

	bad = field_text_filled(payload, "EventInfo.Payload.FileName",
				e->file_name, sizeof(e->file_name), err);
	if (!bad)
		bad = field_text(payload, "EventInfo.Payload.UserId", e->user,
				 sizeof(e->user), err);
	if (!bad)
		bad = field_text(payload, "EventInfo.Payload.TrackType", track,
				 sizeof(track), err);
	if (!bad)
		bad = field_i64_loose(payload,
				      "EventInfo.Payload.BeginTimeStamp", 0,
				      CLOCK_UNIX_MS_MAX, &e->start_ms, err);
	if (bad)
		return bad;
	e->mode = e->user[0] ? MODE_SINGLE : MODE_MIXED;
	if (!e->user[0])
		str_copy(e->user, sizeof(e->user), "0");
	return 0;
}

/** 308: whose file it is, is not told. */
static int parse_upload_error(const json_t *payload, struct event *e,
			      struct err *err)
{
	char code[256], message[1024];
	int bad;

	bad = field_text_loose(payload, "EventInfo.Payload.Code", code,
			       sizeof(code), err);
	if (!bad)
		bad = field_text(payload, "EventInfo.Payload.Message", message,
				 sizeof(message), err);
	if (bad)
		return bad;
	e->user[0] = 0;
	quote_line(e->reason, sizeof(e->reason), code);
	quote_line(e->reason_text, sizeof(e->reason_text), message);
	return 0;
}

static int parse_payload(const json_t *payload, struct event *e,
			 struct err *err)
{
	const char *name = "EventInfo.Payload.Status";
	bool is_left = e->kind == EVENT_TASK_STOPPED;
	int64_t code;
	int bad;

	if (e->kind == EVENT_KIND_N)
		return 0;
	if (e->kind == EVENT_STARTED)
		return parse_slice(payload, e, err);
	if (e->kind == EVENT_UPLOAD_FAILING)
		return parse_upload_error(payload, e, err);
	/* The vendor's newest page says LeaveCode in 305 too. */
	if (is_left || (e->kind == EVENT_UPLOAD_STOPPED &&
			!json_object_get(payload, "Status") &&
			json_object_get(payload, "LeaveCode")))
		name = "EventInfo.Payload.LeaveCode";
	bad = field_i64(payload, name, 0, INT32_MAX, &code, err);
	if (bad)
		return bad;
	if (is_left)
		e->leave_code = (int)code;
	else
		e->status = (int)code;
	if (e->kind == EVENT_FILES_READY)
		return parse_live_files(payload, e, err);
	return 0;
}

static int parse_live_info(const json_t *root, struct callback *c,
			   struct err *err)
{
	struct event *e = &c->event;
	const json_t *info, *payload;
	int64_t event_s;
	int bad;

	bad = field_object(root, "EventInfo", &info, err);
	if (!bad)
		bad = field_text_loose(info, "EventInfo.RoomId", e->room,
				       sizeof(e->room), err);
	if (!bad)
		bad = field_i64_loose(info, "EventInfo.EventTs", 0,
				      CLOCK_UNIX_S_MAX, &event_s, err);
	if (!bad)
		bad = field_i64(info, "EventInfo.EventMsTs", 0,
				CLOCK_UNIX_MS_MAX, &e->unix_ms, err);
	if (!bad)
		bad = field_text(info, "EventInfo.UserId", e->user,
				 sizeof(e->user), err);
	if (!bad)
		bad = field_text_filled(info, "EventInfo.TaskId", c->task,
					sizeof(c->task), err);
	if (!bad)
		bad = field_object(info, "EventInfo.Payload", &payload, err);
	if (!bad)
		bad = parse_payload(payload, e, err);
	if (bad)
		return bad;
	if (str_to_u64(c->task, &e->task))
		e->task = 0;
	return callback_sorry(make_live_key(payload, c), err);
}

static int check_command(const json_t *root, struct err *err)
{
	char command[128];
	int bad = field_text(root, "CallbackCommand", command, sizeof(command),
			     err);

	if (!bad && strcmp(command, CALLBACK_LIVE_COMMAND))
		bad = err_set(err, EBADMSG, "CallbackCommand",
			      "CallbackCommand must be "
			      "\"" CALLBACK_LIVE_COMMAND "\"");
	return bad;
}

static int parse_cloud(const json_t *root, struct callback *c, struct err *err)
{
	int64_t group, type;
	int bad = 0;

	if (c->dialect == DIALECT_LIVE)
		bad = check_command(root, err);
	if (!bad)
		bad = field_i64(root, "EventGroupId", KINDS_LIVE_GROUP,
				KINDS_LIVE_GROUP, &group, err);
	if (!bad)
		bad = field_i64(root, "EventType", KINDS_LIVE_FIRST,
				KINDS_LIVE_LAST, &type, err);
	if (!bad)
		bad = field_i64(root, "CallbackTs", 0, CLOCK_UNIX_MS_MAX,
				&c->sent_ms, err);
	if (bad)
		return bad;
	c->type = (int)type;
	c->event.kind = kinds_of_type(c->dialect, type);
	return parse_live_info(root, c, err);
}

static int parse(const json_t *root, struct callback *c, struct err *err)
{
	switch (c->dialect) {
	case DIALECT_GME:
		return parse_gme(root, c, err);
	case DIALECT_STANDARD:
		return callback_parse_standard(root, c, err);
	default:
		return parse_cloud(root, c, err);
	}
}

int callback_parse(enum dialect d, const void *body, size_t len,
		   struct callback *out, struct err *err)
{
	json_t *root;
	int bad;

	*out = (struct callback){.dialect = d};
	root = field_parse_root(body, len, err);
	if (!root)
		return err->code;
	bad = parse(root, out, err);
	json_decref(root);
	if (bad)
		event_fini(&out->event);
	return bad;
}
