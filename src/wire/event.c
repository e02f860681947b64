/**
 * wire/event.c -- an event: a fact about a task that a backend may want to
 * know, frozen when it was committed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/event.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/field.h"
#include "wire/quote.h"

/* Of EVENT_KIND_N: what other senders tell and we have no word for. */
static const char other_name[] = "other";

static const char *const kind_names[EVENT_KIND_N] = {
	[EVENT_STARTED] = "started",
	[EVENT_COMPLETED] = "completed",
	[EVENT_UPLOADED] = "uploaded",
	[EVENT_TASK_STARTED] = "task_started",
	[EVENT_TASK_STOPPED] = "task_stopped",
	[EVENT_UPLOAD_STARTED] = "upload_started",
	[EVENT_UPLOAD_STOPPED] = "upload_stopped",
	[EVENT_FILES_READY] = "files_ready",
	[EVENT_UPLOAD_FAILING] = "upload_failing",
	[EVENT_TASK_FAILED] = "task_failed",
	[EVENT_INPUT_LOST] = "input_lost",
	[EVENT_NO_AUDIO] = "no_audio",
	[EVENT_DISK_LOW] = "disk_low",
	[EVENT_TEST] = "test",
};

static const char *const mode_names[] = {
	[MODE_SINGLE] = "single",
	[MODE_MIXED] = "mixed",
	[MODE_BOTH] = "both",
};

/** How a member of struct event is written in JSON. */
enum shape { SHAPE_ID, SHAPE_U64, SHAPE_U32, SHAPE_I64, SHAPE_INT, SHAPE_TEXT };

static const struct member {
	const char *name;
	enum shape shape;
	size_t at;  /* in struct event */
	size_t cap; /* of a text */
} members[] = {
#define MEMBER(m, shape)                               \
	{                                              \
#m, shape, offsetof(struct event, m),  \
			sizeof(((struct event *)0)->m) \
	}
	MEMBER(id, SHAPE_ID),		MEMBER(task_seq, SHAPE_U64),
	MEMBER(unix_ms, SHAPE_I64),	MEMBER(app, SHAPE_U32),
	MEMBER(task, SHAPE_ID),		MEMBER(room, SHAPE_TEXT),
	MEMBER(user, SHAPE_TEXT),	MEMBER(client_ip, SHAPE_TEXT),
	MEMBER(platform, SHAPE_TEXT),	MEMBER(seq, SHAPE_U32),
	MEMBER(file_name, SHAPE_TEXT),	MEMBER(start_ms, SHAPE_I64),
	MEMBER(duration_ms, SHAPE_I64), MEMBER(size, SHAPE_I64),
	MEMBER(sha256, SHAPE_TEXT),	MEMBER(location, SHAPE_TEXT),
	MEMBER(status, SHAPE_INT),	MEMBER(leave_code, SHAPE_INT),
	MEMBER(reason, SHAPE_TEXT),	MEMBER(reason_text, SHAPE_TEXT),
#undef MEMBER
};

/* 2020-01-01, so that 41 bits of milliseconds last until 2089. */
static const int64_t task_id_epoch_ms = 1577836800000;
enum { TASK_ID_LOW_BITS = EVENT_TASK_ID_COUNT_BITS + EVENT_TASK_ID_ZERO_BITS };

uint64_t event_task_id_at(int64_t unix_ms)
{
	int64_t ms = unix_ms - task_id_epoch_ms;

	return (uint64_t)(ms > 0 ? ms : 0) << TASK_ID_LOW_BITS;
}

uint64_t event_task_id_meant(uint64_t n)
{
	const uint64_t meant = (uint64_t)(double)n;

	/* no id has another shape, or needs the last bit */
	if (meant & ((1U << EVENT_TASK_ID_ZERO_BITS) - 1) || meant > INT64_MAX)
		return n;
	return meant;
}

int64_t event_task_id_ms(uint64_t id)
{
	return task_id_epoch_ms + (int64_t)(id >> TASK_ID_LOW_BITS);
}

void event_fini(struct event *e)
{
	mem_free(e->files);
	e->files = NULL;
	e->n_files = 0;
}

const char *event_kind_name(enum event_kind kind)
{
	return kind < EVENT_KIND_N ? kind_names[kind] : other_name;
}

bool event_kind_parse(const char *name, enum event_kind *kind)
{
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		if (!strcmp(kind_names[i], name)) {
			*kind = (enum event_kind)i;
			return true;
		}
	}
	return false;
}

bool event_is_of_segment(enum event_kind kind)
{
	return kind == EVENT_STARTED || kind == EVENT_COMPLETED ||
	       kind == EVENT_UPLOADED || kind == EVENT_UPLOAD_FAILING;
}

const char *record_mode_name(enum record_mode mode)
{
	assert(mode < ARRAY_LEN(mode_names));
	return mode_names[mode];
}

bool record_mode_parse(const char *name, enum record_mode *mode)
{
	for (unsigned i = 0; i < ARRAY_LEN(mode_names); i++) {
		if (!strcmp(mode_names[i], name)) {
			*mode = (enum record_mode)i;
			return true;
		}
	}
	return false;
}

const char *record_format_name(enum record_format format)
{
	return format == FORMAT_OGG ? "ogg" : "mp3";
}

/* ---- writing ---- */

/** The member's number; SHAPE_ID and SHAPE_U64 as their bits. */
static int64_t number_of(const struct event *e, const struct member *m)
{
	const char *at = (const char *)e + m->at;
	uint32_t u32;
	int64_t i64;
	int i;

	switch (m->shape) {
	case SHAPE_U32:
		memcpy(&u32, at, sizeof(u32));
		return u32;
	case SHAPE_INT:
		memcpy(&i, at, sizeof(i));
		return i;
	default:
		memcpy(&i64, at, sizeof(i64));
		return i64;
	}
}

static void write_member(const struct event *e, const struct member *m,
			 struct buf *out)
{
	const char *text = (const char *)e + m->at;
	int64_t number;

	if (m->shape == SHAPE_TEXT) {
		if (!*text)
			return;
		buf_printf(out, ",\"%s\":", m->name);
		quote_json(out, text);
		return;
	}
	number = number_of(e, m);
	if (!number)
		return;
	if (m->shape == SHAPE_ID)
		buf_printf(out, ",\"%s\":\"%" PRIu64 "\"", m->name,
			   (uint64_t)number);
	else
		buf_printf(out, ",\"%s\":%" PRId64, m->name, number);
}

static void write_file(const struct event_file *f, struct buf *out)
{
	buf_puts(out, "{\"name\":");
	quote_json(out, f->name);
	buf_puts(out, ",\"user\":");
	quote_json(out, f->user);
	buf_printf(out, ",\"start_ms\":%" PRId64 ",\"end_ms\":%" PRId64 "}",
		   f->start_ms, f->end_ms);
}

void event_write_json(const struct event *e, struct buf *out)
{
	assert(e->n_files <= EVENT_FILES_MAX);
	buf_printf(out, "{\"kind\":\"%s\",\"mode\":\"%s\"",
		   event_kind_name(e->kind), record_mode_name(e->mode));
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		write_member(e, &members[i], out);
	if (e->n_files) {
		buf_puts(out, ",\"files\":[");
		for (size_t i = 0; i < e->n_files; i++) {
			if (i)
				buf_putc(out, ',');
			write_file(&e->files[i], out);
		}
		buf_putc(out, ']');
	}
	buf_putc(out, '}');
}

/* ---- parsing ---- */

/** Copy a string of fewer than `cap` bytes. */
static int copy_string(const json_t *v, char *to, size_t cap)
{
	if (!json_is_string(v) || json_string_length(v) >= cap)
		return EBADMSG;
	str_copy(to, cap, json_string_value(v));
	return 0;
}

static int parse_number(const json_t *v, const struct member *m, char *at)
{
	int64_t i64 = json_integer_value(v);
	uint32_t u32 = (uint32_t)i64;
	int i = (int)i64;

	if (!json_is_integer(v))
		return EBADMSG;
	switch (m->shape) {
	case SHAPE_U32:
		memcpy(at, &u32, sizeof(u32));
		return u32 == i64 ? 0 : EBADMSG;
	case SHAPE_INT:
		memcpy(at, &i, sizeof(i));
		return i == i64 ? 0 : EBADMSG;
	case SHAPE_U64:
		memcpy(at, &i64, sizeof(i64));
		return i64 >= 0 ? 0 : EBADMSG;
	default:
		memcpy(at, &i64, sizeof(i64));
		return 0;
	}
}

static int parse_member(const json_t *root, const struct member *m,
			struct event *e)
{
	const json_t *v = json_object_get(root, m->name);
	char *at = (char *)e + m->at;
	uint64_t id;

	if (!v)
		return 0;
	if (m->shape == SHAPE_TEXT)
		return copy_string(v, at, m->cap);
	if (m->shape != SHAPE_ID)
		return parse_number(v, m, at);
	if (!json_is_string(v) || str_to_u64(json_string_value(v), &id))
		return EBADMSG;
	memcpy(at, &id, sizeof(id));
	return 0;
}

static int parse_file(const json_t *v, struct event_file *f)
{
	const json_t *start = json_object_get(v, "start_ms");
	const json_t *end = json_object_get(v, "end_ms");

	if (copy_string(json_object_get(v, "name"), f->name, sizeof(f->name)) ||
	    copy_string(json_object_get(v, "user"), f->user, sizeof(f->user)) ||
	    !json_is_integer(start) || !json_is_integer(end))
		return EBADMSG;
	f->start_ms = json_integer_value(start);
	f->end_ms = json_integer_value(end);
	return 0;
}

static int parse_files(const json_t *root, struct event *e)
{
	const json_t *files = json_object_get(root, "files");
	size_t n = json_array_size(files);

	if (!files)
		return 0;
	if (!json_is_array(files) || n > EVENT_FILES_MAX)
		return EBADMSG;
	e->files = mem_zalloc_n(n, sizeof(*e->files));
	if (!e->files)
		return ENOMEM;
	e->n_files = n;
	for (size_t i = 0; i < n; i++) {
		if (parse_file(json_array_get(files, i), &e->files[i]))
			return EBADMSG;
	}
	return 0;
}

static int parse_names(const json_t *root, struct event *e)
{
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const char *mode = json_string_value(json_object_get(root, "mode"));

	if (!kind || !mode || !record_mode_parse(mode, &e->mode))
		return EBADMSG;
	if (!strcmp(kind, other_name))
		e->kind = EVENT_KIND_N;
	else if (!event_kind_parse(kind, &e->kind))
		return EBADMSG;
	return 0;
}

int event_parse_json(const char *json, size_t len, struct event *e)
{
	struct err why = {0};
	json_t *root;
	int err;

	*e = (struct event){0};
	root = field_parse_root(json, len, &why);
	if (!root)
		return why.code;
	err = parse_names(root, e);
	for (size_t i = 0; !err && i < ARRAY_LEN(members); i++)
		err = parse_member(root, &members[i], e);
	if (!err)
		err = parse_files(root, e);
	json_decref(root);
	if (err) {
		event_fini(e);
		*e = (struct event){0};
	}
	return err;
}

/* ---- ids ---- */

int event_id_check(const char *id, const char *field, struct err *err)
{
	size_t len = strlen(id);

	if (!len || len > ID_MAX)
		return err_set(err, EINVAL, field,
			       "%s must have 1 to %d bytes, has %zu", field,
			       ID_MAX, len);
	if (!str_is_clean_utf8(id, len))
		return err_set(err, EINVAL, field,
			       "%s must be UTF-8 without control characters",
			       field);
	if (strpbrk(id, "/\\"))
		return err_set(err, EINVAL, field,
			       "%s must not contain '/' or '\\'", field);
	if (!strcmp(id, ".") || !strcmp(id, ".."))
		return err_set(err, EINVAL, field,
			       "%s must not be \".\" or \"..\"", field);
	return 0;
}
