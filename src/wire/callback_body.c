/** wire/callback_body.c -- bodies of gme, live and trtc: exactly the keys of
 *  the vendors' samples, in their order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <errno.h>
#include <inttypes.h>

#include "wire/callback_inside.h"
#include "wire/kinds.h"
#include "wire/quote.h"

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
	buf_putc(body, '}');
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

/** 307: a segment has begun. */
static void write_slice(const struct event *e, struct buf *body)
{
	buf_puts(body, "{\"FileName\":");
	quote_json(body, e->file_name);
	buf_puts(body, ",\"UserId\":");
	quote_json(body, e->mode == MODE_MIXED ? "" : e->user);
	buf_printf(body,
		   ",\"TrackType\":\"audio\",\"BeginTimeStamp\":%" PRId64 "}",
		   e->start_ms);
}

/** 308: a file cannot be uploaded. */
static void write_upload_error(const struct event *e, struct buf *body)
{
	buf_puts(body, "{\"Code\":");
	quote_json(body, e->reason);
	buf_puts(body, ",\"Message\":");
	quote_json(body, e->reason_text);
	buf_putc(body, '}');
}

static void write_payload(const struct event *e, struct buf *body)
{
	switch (e->kind) {
	case EVENT_STARTED:
		write_slice(e, body);
		break;
	case EVENT_UPLOAD_FAILING:
		write_upload_error(e, body);
		break;
	case EVENT_TASK_STOPPED:
		buf_printf(body, "{\"LeaveCode\":%d}", e->leave_code);
		break;
	default:
		buf_printf(body, "{\"Status\":%d", e->status);
		if (e->kind == EVENT_FILES_READY)
			write_files(e, body);
		buf_putc(body, '}');
	}
}

/** live and trtc differ in the command only. */
static void write_cloud(enum dialect d, const struct event *e, int64_t now_ms,
			struct buf *body)
{
	buf_putc(body, '{');
	if (d == DIALECT_LIVE)
		buf_puts(body,
			 "\"CallbackCommand\":\"" CALLBACK_LIVE_COMMAND "\",");
	buf_printf(body,
		   "\"EventGroupId\":%d,\"EventType\":%d"
		   ",\"CallbackTs\":%" PRId64 ",\"EventInfo\":{\"RoomId\":",
		   KINDS_LIVE_GROUP, kinds_type_of(d, e->kind), now_ms);
	quote_json(body, e->room);
	buf_printf(body,
		   ",\"EventTs\":%" PRId64 ",\"EventMsTs\":%" PRId64
		   ",\"UserId\":",
		   e->unix_ms / 1000, e->unix_ms);
	/* A segment's user stands in the Payload. */
	quote_json(body,
		   event_is_of_segment(e->kind) ? CALLBACK_RECORDER : e->user);
	buf_printf(body, ",\"TaskId\":\"%" PRIu64 "\",\"Payload\":", e->task);
	write_payload(e, body);
	buf_putc(body, '}');
}

int callback_body(enum dialect d, const struct event *e, int64_t now_ms,
		  bool extended, struct buf *body)
{
	if (!callback_has(d, e->kind))
		return ENOTSUP;
	if (d == DIALECT_STANDARD) {
		callback_write_standard(e, body);
		return buf_err(body);
	}
	if (d == DIALECT_GME)
		write_gme(e, now_ms, body);
	else
		write_cloud(d, e, now_ms, body);
	if (extended) {
		buf_puts(body, ",\"Extended\":");
		callback_write_data(e, body);
	}
	buf_putc(body, '}');
	return buf_err(body);
}

int callback_write_body(enum dialect d, const struct event *e, int64_t now_ms,
			struct buf *body)
{
	return callback_body(d, e, now_ms, false, body);
}
