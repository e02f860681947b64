/** wire/callback.c -- how an event looks on the wire: writing. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "wire/field.h"
#include "wire/kinds.h"
#include "wire/quote.h"

static const char *const dialect_names[DIALECT_N] = {
	[DIALECT_GME] = "gme",
	[DIALECT_LIVE] = "live",
};

const char *dialect_name(enum dialect d)
{
	assert(d < DIALECT_N);
	return dialect_names[d];
}

bool dialect_parse(const char *name, enum dialect *d)
{
	for (unsigned i = 0; i < DIALECT_N; i++) {
		if (!strcmp(dialect_names[i], name)) {
			*d = (enum dialect)i;
			return true;
		}
	}
	return false;
}

bool callback_has(enum dialect d, enum event_kind kind)
{
	return kinds_type_of(d, kind) != 0;
}

void callback_request_init(struct callback_request *r)
{
	buf_init(&r->url, CALLBACK_URL_MAX);
	buf_init(&r->body, CALLBACK_BODY_MAX);
	buf_init(&r->fields, CALLBACK_FIELDS_MAX);
}

void callback_request_fini(struct callback_request *r)
{
	buf_fini(&r->url);
	buf_fini(&r->body);
	buf_fini(&r->fields);
}

/* ---- bodies: exactly the keys of the vendors' samples, in their order ---- */

static void write_gme(const struct event *e, int64_t now_ms, struct buf *body)
{
	buf_printf(body, "{\"BizID\":%" PRIu32 ",\"RoomID\":", e->app);
	quote_json(body, e->room);
	buf_puts(body, ",\"UserID\":");
	quote_json(body, e->user);
	buf_printf(body,
		   ",\"TaskID\":%" PRIu64 ",\"RecordMode\":%d"
		   ",\"Timestamp\":%" PRId64 ",\"EventType\":%d"
		   ",\"Detail\":{\"SeqNo\":%" PRIu32 ",\"FileName\":",
		   e->task, e->mode == MODE_MIXED, now_ms / 1000,
		   kinds_type_of(DIALECT_GME, e->kind), e->seq);
	quote_json(body, e->file_name);
	buf_puts(body, "}}");
}

static void write_file_message(const struct event_file *f, struct buf *body)
{
	buf_puts(body, "{\"FileName\":");
	quote_json(body, f->name);
	buf_puts(body, ",\"UserId\":");
	quote_json(body, f->user);
	buf_printf(body,
		   ",\"TrackType\":\"audio\",\"MediaId\":\"%s\""
		   ",\"StartTimeStamp\":%" PRId64 ",\"EndTimeStamp\":%" PRId64
		   "}",
		   f->user[0] ? "main" : "mix", f->start_ms, f->end_ms);
}

static void write_files(const struct event *e, struct buf *body)
{
	buf_puts(body, ",\"FileList\":[");
	for (size_t i = 0; i < e->n_files; i++) {
		if (i)
			buf_putc(body, ',');
		quote_json(body, e->files[i].name);
	}
	buf_puts(body, "],\"FileMessage\":[");
	for (size_t i = 0; i < e->n_files; i++) {
		if (i)
			buf_putc(body, ',');
		write_file_message(&e->files[i], body);
	}
	buf_putc(body, ']');
}

static void write_payload(const struct event *e, struct buf *body)
{
	if (e->kind == EVENT_TASK_STOPPED) {
		buf_printf(body, "{\"LeaveCode\":%d}", e->leave_code);
		return;
	}
	buf_printf(body, "{\"Status\":%d", e->status);
	if (e->kind == EVENT_FILES_READY)
		write_files(e, body);
	buf_putc(body, '}');
}

static void write_live(const struct event *e, int64_t now_ms, struct buf *body)
{
	buf_printf(body,
		   "{\"CallbackCommand\":\"" CALLBACK_LIVE_COMMAND "\""
		   ",\"EventGroupId\":%d,\"EventType\":%d"
		   ",\"CallbackTs\":%" PRId64 ",\"EventInfo\":{\"RoomId\":",
		   KINDS_LIVE_GROUP, kinds_type_of(DIALECT_LIVE, e->kind),
		   now_ms);
	quote_json(body, e->room);
	buf_printf(body,
		   ",\"EventTs\":%" PRId64 ",\"EventMsTs\":%" PRId64
		   ",\"UserId\":",
		   e->unix_ms / 1000, e->unix_ms);
	quote_json(body, e->user);
	buf_printf(body, ",\"TaskId\":\"%" PRIu64 "\",\"Payload\":", e->task);
	write_payload(e, body);
	buf_puts(body, "}}");
}

int callback_write_body(enum dialect d, const struct event *e, int64_t now_ms,
			struct buf *body)
{
	if (!callback_has(d, e->kind))
		return ENOTSUP;
	if (d == DIALECT_GME)
		write_gme(e, now_ms, body);
	else
		write_live(e, now_ms, body);
	return buf_err(body);
}

/* ---- requests ---- */

/** Append what stands between a URL (its first `len` bytes) and parameters
 *  that follow. */
static void write_joint(const char *url, size_t len, struct buf *out)
{
	if (!memchr(url, '?', len))
		buf_putc(out, '?');
	else if (url[len - 1] != '?' && url[len - 1] != '&')
		buf_putc(out, '&');
}

static int render_live(const struct callback_style *style,
		       const struct event *e, int64_t now_ms,
		       struct callback_request *out)
{
	size_t len = strcspn(style->url, "#");
	char sign[SIGNATURE_TEXT_MAX];
	int err;

	buf_append(&out->url, style->url, len);
	write_joint(style->url, len, &out->url);
	buf_printf(&out->url,
		   "SdkAppid=%" PRIu32 "&CallbackCommand=" CALLBACK_LIVE_COMMAND
		   "&contenttype=json&ClientIP=",
		   e->app);
	quote_percent(&out->url, e->client_ip[0] ? e->client_ip : "127.0.0.1");
	buf_puts(&out->url, "&OptPlatform=");
	quote_percent(&out->url, e->platform[0] ? e->platform : "Unknown");
	if (style->key[0]) {
		err = callback_sign_live(style->key, now_ms / 1000, sign);
		if (err)
			return err;
		buf_printf(&out->url, "&Sign=%s&RequestTime=%" PRId64, sign,
			   now_ms / 1000);
	}
	buf_puts(&out->url, style->url + len);
	return 0;
}

static int render_gme(const struct callback_style *style,
		      struct callback_request *out)
{
	char signature[SIGNATURE_TEXT_MAX];
	int err = callback_sign_gme(style->key, out->body.data, out->body.len,
				    style->encoding, signature);

	if (err)
		return err;
	buf_puts(&out->url, style->url);
	buf_printf(&out->fields, "Signature: %s\n", signature);
	return 0;
}

int callback_render(const struct callback_style *style, const struct event *e,
		    int64_t now_ms, struct callback_request *out)
{
	int err;

	buf_clear(&out->url);
	buf_clear(&out->body);
	buf_clear(&out->fields);
	err = callback_write_body(style->dialect, e, now_ms, &out->body);
	if (err)
		return err;
	buf_puts(&out->fields, "Content-Type: application/json\n");
	if (style->dialect == DIALECT_GME)
		err = render_gme(style, out);
	else
		err = render_live(style, e, now_ms, out);
	if (!err)
		err = buf_err(&out->url);
	return err ? err : buf_err(&out->fields);
}

/* ---- answers ---- */

const char *callback_answer(enum dialect d)
{
	if (d == DIALECT_LIVE)
		return "{\"ActionStatus\":\"OK\",\"ErrorCode\":0,"
		       "\"ErrorInfo\":\"\"}";
	return "{\"code\":0}";
}

/** "FAIL, ErrorCode 10001: text" from an answer that is well-formed. */
static bool judge(const json_t *root, char *why, size_t cap)
{
	const json_t *status = json_object_get(root, "ActionStatus");
	const json_t *code = json_object_get(root, "ErrorCode");
	const char *info =
		json_string_value(json_object_get(root, "ErrorInfo"));
	char status_text[32];
	char info_text[128];

	if (!json_is_string(status) || !json_is_integer(code)) {
		snprintf(why, cap,
			 "the answer must have ActionStatus (a string) and "
			 "ErrorCode (an integer)");
		return false;
	}
	if (!strcmp(json_string_value(status), "OK") &&
	    json_integer_value(code) == 0)
		return true;
	quote_line(status_text, sizeof(status_text), json_string_value(status));
	quote_line(info_text, sizeof(info_text), info ? info : "");
	snprintf(why, cap,
		 "answered ActionStatus %s, ErrorCode %" PRId64 "%s%s",
		 status_text, (int64_t)json_integer_value(code),
		 info_text[0] ? ": " : "", info_text);
	return false;
}

bool callback_answer_is_ok(const void *body, size_t len, char *why, size_t cap)
{
	struct err err = {0};
	json_t *root;
	bool ok;

	if (!len) {
		snprintf(why, cap,
			 "the answer is empty; wanted is JSON with "
			 "ActionStatus \"OK\" and ErrorCode 0");
		return false;
	}
	root = field_parse_root(body, len, &err);
	if (!root) {
		snprintf(why, cap, "the answer: %s", err.text);
		return false;
	}
	ok = judge(root, why, cap);
	json_decref(root);
	return ok;
}
