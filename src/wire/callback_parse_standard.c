/** wire/callback_parse_standard.c -- reading the dialect standard. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/callback_inside.h"
#include "wire/field.h"
#include "wire/quote.h"

static bool is_null_or_absent(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return !v || json_is_null(v);
}

/** As field_text, but a member that is absent is "". */
static int maybe_text(const json_t *o, const char *name, char *to, size_t cap,
		      struct err *err)
{
	return is_null_or_absent(o, strrchr(name, '.') + 1)
		       ? 0
		       : field_text(o, name, to, cap, err);
}

/** As field_i64 from 0, but a member that is absent is 0. */
static int maybe_i64(const json_t *o, const char *name, int64_t max,
		     int64_t *value, struct err *err)
{
	return is_null_or_absent(o, strrchr(name, '.') + 1)
		       ? 0
		       : field_i64(o, name, 0, max, value, err);
}

/** Digits where `form` has them, and all else as there. */
static bool has_form(const char *text, const char *form)
{
	for (; *form; text++, form++) {
		if (*form == '0' ? *text < '0' || *text > '9' : *text != *form)
			return false;
	}
	return !*text;
}

static int number_at(const char *digits, size_t n)
{
	int value = 0;

	for (size_t i = 0; i < n; i++)
		value = 10 * value + digits[i] - '0';
	return value;
}

/** Seconds since 1970 of "YYYY-MM-DD"; false when there is no such day. */
static bool read_day(const char *text, int64_t *unix_s)
{
	const struct tm day = {.tm_year = number_at(text, 4) - 1900,
			       .tm_mon = number_at(text + 5, 2) - 1,
			       .tm_mday = number_at(text + 8, 2)};
	struct tm tm = day;

	/* Of 31 February it makes 3 March. */
	*unix_s = timegm(&tm);
	return *unix_s >= 0 && tm.tm_mon == day.tm_mon &&
	       tm.tm_mday == day.tm_mday;
}

/** Seconds of "HH:MM:SS", the last 60 in a leap second. */
static bool read_clock(const char *text, int64_t *s)
{
	const int hour = number_at(text, 2);
	const int minute = number_at(text + 3, 2);
	const int second = number_at(text + 6, 2);

	*s = hour * 3600 + minute * 60 + second;
	return hour <= 23 && minute <= 59 && second <= 60;
}

/** "2026-11-26T20:09:10.123Z", exactly.  Source: RFC 3339 section 5.6. */
static int parse_time(const char *text, int64_t *unix_ms, struct err *err)
{
	int64_t day_s, s;

	if (!has_form(text, "0000-00-00T00:00:00.000Z") ||
	    !read_day(text, &day_s) ||
	    !read_clock(text + strlen("0000-00-00T"), &s))
		return err_set(err, EBADMSG, "timestamp",
			       "timestamp must be like "
			       "\"2026-11-26T20:09:10.123Z\"");
	*unix_ms = (day_s + s) * 1000 +
		   number_at(text + strlen("0000-00-00T00:00:00."), 3);
	return 0;
}

/** A 64-bit id, which is a string in JSON. */
static int parse_id(const json_t *data, const char *name, uint64_t *id,
		    struct err *err)
{
	char text[32];
	int bad = field_text_filled(data, name, text, sizeof(text), err);

	if (bad)
		return bad;
	if (str_to_u64(text, id))
		return err_set(err, EBADMSG, name,
			       "%s must be a number in a string", name);
	return 0;
}

static int parse_mode(const json_t *data, struct event *e, struct err *err)
{
	char mode[16] = "";
	int bad = maybe_text(data, "data.mode", mode, sizeof(mode), err);

	if (bad || !mode[0])
		return bad;
	if (!record_mode_parse(mode, &e->mode))
		return err_set(err, EBADMSG, "data.mode",
			       "data.mode must be single, mixed or both");
	return 0;
}

static int parse_segment(const json_t *data, struct event *e, struct err *err)
{
	int64_t seq;
	int bad;

	bad = field_i64(data, "data.seq", 0, UINT32_MAX, &seq, err);
	if (!bad)
		bad = field_text_filled(data, "data.file", e->file_name,
					sizeof(e->file_name), err);
	if (!bad)
		bad = field_i64(data, "data.start_ms", 0, CLOCK_UNIX_MS_MAX,
				&e->start_ms, err);
	if (!bad)
		bad = maybe_i64(data, "data.duration_ms", CLOCK_UNIX_MS_MAX,
				&e->duration_ms, err);
	if (!bad)
		bad = maybe_i64(data, "data.size", INT64_MAX, &e->size, err);
	if (!bad)
		bad = maybe_text(data, "data.sha256", e->sha256,
				 sizeof(e->sha256), err);
	if (!bad)
		bad = maybe_text(data, "data.location", e->location,
				 sizeof(e->location), err);
	if (!bad)
		e->seq = (uint32_t)seq;
	return bad;
}

static int parse_file(const json_t *v, struct event_file *f, struct err *err)
{
	int bad;

	if (!json_is_object(v))
		return err_set(err, EBADMSG, "data.files",
			       "data.files must be an array of objects, has %s",
			       field_type_name(v));
	bad = field_text_filled(v, "data.files[].file", f->name,
				sizeof(f->name), err);
	if (!bad)
		bad = field_text(v, "data.files[].user", f->user,
				 sizeof(f->user), err);
	if (!bad)
		bad = field_i64(v, "data.files[].start_ms", 0,
				CLOCK_UNIX_MS_MAX, &f->start_ms, err);
	if (!bad)
		bad = field_i64(v, "data.files[].end_ms", 0, CLOCK_UNIX_MS_MAX,
				&f->end_ms, err);
	if (!bad && !strcmp(f->user, "0"))
		f->user[0] = 0;
	return bad;
}

static int parse_files(const json_t *data, struct event *e, struct err *err)
{
	const json_t *list;
	size_t n;
	int bad = field_array(data, "data.files", &list, err);

	if (bad)
		return bad;
	n = json_array_size(list);
	if (n > EVENT_FILES_MAX)
		return err_set(err, EBADMSG, "data.files",
			       "data.files must have at most %d files, has %zu",
			       EVENT_FILES_MAX, n);
	e->files = mem_zalloc_n(n, sizeof(*e->files));
	if (!e->files)
		return callback_sorry(ENOMEM, err);
	e->n_files = n;
	for (size_t i = 0; !bad && i < n; i++)
		bad = parse_file(json_array_get(list, i), &e->files[i], err);
	return bad;
}

static int parse_task(const json_t *data, struct event *e, struct err *err)
{
	int64_t status = 0, leave_code = 0;
	int bad = maybe_i64(data, "data.status", INT32_MAX, &status, err);

	if (!bad)
		bad = maybe_i64(data, "data.leave_code", INT32_MAX, &leave_code,
				err);
	if (!bad && e->kind == EVENT_FILES_READY)
		bad = parse_files(data, e, err);
	e->status = (int)status;
	e->leave_code = (int)leave_code;
	return bad;
}

static int parse_error(const json_t *data, struct event *e, struct err *err)
{
	const json_t *error;
	int bad;

	if (is_null_or_absent(data, "error"))
		return 0;
	bad = field_object(data, "data.error", &error, err);
	if (!bad)
		bad = field_text(error, "data.error.code", e->reason,
				 sizeof(e->reason), err);
	if (!bad)
		bad = field_text(error, "data.error.message", e->reason_text,
				 sizeof(e->reason_text), err);
	return bad;
}

/** What every event has. */
static int parse_common(const json_t *data, struct event *e, struct err *err)
{
	int64_t app, sequence;
	int bad = parse_id(data, "data.event_id", &e->id, err);

	if (!bad)
		bad = field_i64(data, "data.app", 1, UINT32_MAX, &app, err);
	if (!bad)
		bad = parse_id(data, "data.task_id", &e->task, err);
	if (!bad)
		bad = maybe_text(data, "data.room", e->room, sizeof(e->room),
				 err);
	if (!bad)
		bad = maybe_text(data, "data.user", e->user, sizeof(e->user),
				 err);
	if (!bad)
		bad = field_i64(data, "data.sequence", 0, INT64_MAX, &sequence,
				err);
	if (!bad)
		bad = parse_mode(data, e, err);
	if (!bad)
		bad = parse_error(data, e, err);
	if (bad)
		return bad;
	e->app = (uint32_t)app;
	e->task_seq = (uint64_t)sequence;
	return 0;
}

/** Two nodes may use one event id, but not for one task. */
static int make_key(const char *type, struct callback *c, struct err *err)
{
	const struct event *e = &c->event;
	struct buf facts;
	int bad;

	buf_init(&facts, CALLBACK_BODY_MAX);
	buf_printf(&facts,
		   "[\"standard\",%" PRIu32 ",%s,%" PRIu64 ",%" PRIu64 ",",
		   e->app, c->task, e->id, e->task_seq);
	quote_json(&facts, type);
	buf_putc(&facts, ']');
	bad = callback_finish_key(&facts, c);
	buf_fini(&facts);
	return callback_sorry(bad, err);
}

int callback_parse_standard(const json_t *root, struct callback *c,
			    struct err *err)
{
	struct event *e = &c->event;
	const json_t *data;
	char type[64], timestamp[32];
	int bad = field_text_filled(root, "type", type, sizeof(type), err);

	if (!bad)
		bad = field_text_filled(root, "timestamp", timestamp,
					sizeof(timestamp), err);
	if (!bad)
		bad = parse_time(timestamp, &e->unix_ms, err);
	if (!bad)
		bad = field_object(root, "data", &data, err);
	if (bad)
		return bad;
	e->kind = callback_type_kind(type);
	c->has_seq = event_is_of_segment(e->kind);
	bad = parse_common(data, e, err);
	if (!bad && c->has_seq)
		bad = parse_segment(data, e, err);
	else if (!bad && e->kind != EVENT_KIND_N)
		bad = parse_task(data, e, err);
	if (bad)
		return bad;
	snprintf(c->task, sizeof(c->task), "%" PRIu64, e->task);
	return make_key(type, c, err);
}
