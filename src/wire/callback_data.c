/**
 * wire/callback_data.c -- an event in the dialect standard: all that is
 * known, under stable names.
 *
 *	{"type":"segment.started","timestamp":"2026-11-26T20:09:10.123Z",
 *	 "data":{"event_id":"7","app":1400000000,"task_id":"64",...}}
 *
 * Nothing in it is of the time of sending, so it is the same on every
 * attempt.  Source of the form: Standard Webhooks 1.0, "Payload structure".
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "wire/callback_inside.h"
#include "wire/quote.h"

static const char *const type_names[EVENT_KIND_N] = {
	[EVENT_STARTED] = "segment.started",
	[EVENT_COMPLETED] = "segment.completed",
	[EVENT_UPLOADED] = "segment.uploaded",
	[EVENT_TASK_STARTED] = "task.started",
	[EVENT_TASK_STOPPED] = "task.stopped",
	[EVENT_UPLOAD_STARTED] = "task.upload_started",
	[EVENT_UPLOAD_STOPPED] = "task.upload_stopped",
	[EVENT_FILES_READY] = "task.files_ready",
	[EVENT_UPLOAD_FAILING] = "segment.upload_failing",
	[EVENT_TASK_FAILED] = "task.failed",
	[EVENT_INPUT_LOST] = "input.lost",
	[EVENT_NO_AUDIO] = "input.no_audio",
	[EVENT_DISK_LOW] = "server.disk_low",
	[EVENT_TEST] = "endpoint.test",
};

const char *callback_type_name(enum event_kind kind)
{
	return kind < EVENT_KIND_N ? type_names[kind] : "";
}

enum event_kind callback_type_kind(const char *name)
{
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		if (!strcmp(type_names[i], name))
			return (enum event_kind)i;
	}
	return EVENT_KIND_N;
}

static void write_text(struct buf *out, const char *name, const char *value)
{
	if (!value[0])
		return;
	buf_printf(out, ",\"%s\":", name);
	quote_json(out, value);
}

static void write_number(struct buf *out, const char *name, int64_t value)
{
	buf_printf(out, ",\"%s\":%" PRId64, name, value);
}

/** "mp3" of "a/b.mp3", "" when there is none. */
static const char *format_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *dot = strrchr(slash ? slash : file, '.');

	return dot ? dot + 1 : "";
}

static void write_segment(const struct event *e, struct buf *out)
{
	write_text(out, "mode", record_mode_name(e->mode));
	write_number(out, "seq", e->seq);
	write_text(out, "file", e->file_name);
	write_text(out, "format", format_of(e->file_name));
	write_number(out, "start_ms", e->start_ms);
	if (e->kind == EVENT_STARTED)
		return;
	write_number(out, "end_ms", e->start_ms + e->duration_ms);
	write_number(out, "duration_ms", e->duration_ms);
	write_number(out, "size", e->size);
	write_text(out, "sha256", e->sha256);
	write_text(out, "location", e->location);
}

static void write_files(const struct event *e, struct buf *out)
{
	buf_puts(out, ",\"files\":[");
	for (size_t i = 0; i < e->n_files; i++) {
		const struct event_file *f = &e->files[i];

		buf_puts(out, i ? ",{\"file\":" : "{\"file\":");
		quote_json(out, f->name);
		buf_puts(out, ",\"user\":");
		quote_json(out, f->user[0] ? f->user : "0");
		write_number(out, "start_ms", f->start_ms);
		write_number(out, "end_ms", f->end_ms);
		buf_putc(out, '}');
	}
	buf_putc(out, ']');
}

static void write_task(const struct event *e, struct buf *out)
{
	if (e->kind == EVENT_TASK_STARTED || e->kind == EVENT_UPLOAD_STARTED ||
	    e->kind == EVENT_UPLOAD_STOPPED || e->kind == EVENT_FILES_READY)
		write_number(out, "status", e->status);
	if (e->kind == EVENT_TASK_STARTED)
		write_text(out, "mode", record_mode_name(e->mode));
	if (e->kind == EVENT_TASK_STOPPED)
		write_number(out, "leave_code", e->leave_code);
	if (e->kind == EVENT_FILES_READY)
		write_files(e, out);
}

static void write_error(const struct event *e, struct buf *out)
{
	if (!e->reason[0] && !e->reason_text[0])
		return;
	buf_puts(out, ",\"error\":{\"code\":");
	quote_json(out, e->reason[0] ? e->reason : event_kind_name(e->kind));
	buf_puts(out, ",\"message\":");
	quote_json(out, e->reason_text);
	buf_putc(out, '}');
}

void callback_write_data(const struct event *e, struct buf *out)
{
	buf_printf(out,
		   "{\"event_id\":\"%" PRIu64 "\",\"app\":%" PRIu32
		   ",\"task_id\":\"%" PRIu64 "\"",
		   e->id, e->app, e->task);
	write_text(out, "room", e->room);
	write_text(out, "user", e->user);
	buf_printf(out, ",\"sequence\":%" PRIu64, e->task_seq);
	if (event_is_of_segment(e->kind))
		write_segment(e, out);
	else
		write_task(e, out);
	write_error(e, out);
	buf_putc(out, '}');
}

/** "2026-11-26T20:09:10.123Z" (RFC 3339). */
static void write_time(int64_t unix_ms, struct buf *out)
{
	time_t s = unix_ms / 1000;
	char text[32];
	struct tm tm;

	if (unix_ms < 0 || !gmtime_r(&s, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		str_copy(text, sizeof(text), "1970-01-01T00:00:00");
	buf_printf(out, "%s.%03dZ", text,
		   (int)(unix_ms < 0 ? 0 : unix_ms % 1000));
}

void callback_write_standard(const struct event *e, struct buf *body)
{
	buf_printf(body, "{\"type\":\"%s\",\"timestamp\":\"",
		   callback_type_name(e->kind));
	write_time(e->unix_ms, body);
	buf_puts(body, "\",\"data\":");
	callback_write_data(e, body);
	buf_putc(body, '}');
}
