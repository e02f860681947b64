/** control/call.c -- answers of the API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/cloud.h"
#include "wire/json_text.h"
#include "wire/quote.h"

enum { ANSWER_MAX = 64 << 20 };

void call_free(struct call *c)
{
	json_decref(c->body);
	json_decref(c->answer);
	cloud_free(c->cloud);
	mem_free(c->offer);
	mem_free(c);
}

void call_field(struct call *c, const char *name, const char *value)
{
	const size_t len = strlen(value) + 1;

	if (c->n_fields == CALL_FIELDS_MAX ||
	    len > CALL_FIELD_SPACE - c->field_used)
		return;
	memcpy(c->field_space + c->field_used, value, len);
	c->fields[c->n_fields++] =
		(struct http_field){name, c->field_space + c->field_used};
	c->field_used += len;
}

static void send_answer(struct call *c, const struct http_answer *a)
{
	struct http_answer whole = *a;

	if (c->extra.name)
		call_field(c, c->extra.name, c->extra.value);
	whole.fields = c->fields;
	whole.n_fields = c->n_fields;
	if (c->request)
		http_reply(c->request, &whole);
	call_free(c);
}

static const char *title_of(int status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 406:
		return "Not Acceptable";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 412:
		return "Precondition Failed";
	case 413:
		return "Content Too Large";
	case 415:
		return "Unsupported Media Type";
	case 422:
		return "Unprocessable Content";
	case 428:
		return "Precondition Required";
	case 429:
		return "Too Many Requests";
	case 501:
		return "Not Implemented";
	case 503:
		return "Service Unavailable";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

static void send_json(struct call *c, int status, const char *type,
		      json_t *body)
{
	static const char failed[] = "{\"status\":500}\n";
	struct http_answer a = {.status = 500, .content_type = type};
	struct buf text;
	int err;

	buf_init(&text, ANSWER_MAX);
	a.body = failed;
	a.body_len = strlen(failed);
	err = json_text_write(body, &text);
	buf_putc(&text, '\n'); /* for whoever looks with curl */
	if (!err && !buf_err(&text)) {
		a.status = status;
		a.body = text.data;
		a.body_len = text.len;
	}
	json_decref(body);
	send_answer(c, &a);
	buf_fini(&text);
}

void call_reply(struct call *c, int status, json_t *body)
{
	send_json(c, status, "application/json", body);
}

void call_problem(struct call *c, int status, const char *field,
		  const char *fmt, ...)
{
	char detail[512], line[512], name[80];
	json_t *body;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	/* both may quote what was sent, and cut it anywhere */
	quote_line(line, sizeof(line), detail);
	quote_line(name, sizeof(name), field ? field : "");
	body = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
			 title_of(status), "status", status, "detail", line);
	if (body && name[0])
		json_object_set_new(body, "field", json_string(name));
	send_json(c, status, "application/problem+json", body);
}

static int status_of(int err)
{
	switch (err) {
	case EINVAL:
	case ERANGE:
	case EBADMSG:
		return 400;
	case ENOENT:
		return 404;
	case EEXIST:
	case EALREADY:
	case EBUSY:
		return 409;
	case ENOSPC:
		return 507;
	default:
		return 503;
	}
}

void call_error(struct call *c, const struct err *e)
{
	if (c->cloud)
		cloud_internal(c, e);
	else
		call_problem(c, status_of(e->code), e->field, "%s",
			     e->text[0] ? e->text : strerror(e->code));
}

void call_text(struct call *c, int status, const char *type,
	       const struct buf *text)
{
	struct http_answer a = {
		.status = buf_err(text) ? 500 : status,
		.content_type = type,
		.body = buf_str(text),
		.body_len = buf_err(text) ? 0 : text->len,
	};

	send_answer(c, &a);
}

json_t *call_bytes(const uint8_t *bytes, size_t len)
{
	const char *text = len ? (const char *)bytes : "";
	json_t *json = json_stringn(text, len);
	struct buf plain;

	if (json)
		return json;
	buf_init(&plain, len);
	for (size_t i = 0; i < len; i++)
		buf_putc(&plain, bytes[i] < 0x80 ? (char)bytes[i] : '?');
	json = json_stringn(buf_str(&plain), plain.len);
	buf_fini(&plain);
	return json;
}

json_t *call_fields(const char *lines)
{
	json_t *object = json_object();

	while (*lines) {
		size_t len = strcspn(lines, "\n");
		size_t name = strcspn(lines, ":");
		const char *value = lines + name + 1;
		char key[64];

		value += strspn(value, " ");
		snprintf(key, sizeof(key), "%.*s", (int)name, lines);
		if (json_object_set_new(
			    object, key,
			    json_stringn(value,
					 len - (size_t)(value - lines)))) {
			json_decref(object);
			return NULL;
		}
		lines += len + (lines[len] == '\n');
	}
	return object;
}

json_t *call_id(uint64_t id)
{
	return json_sprintf("%" PRIu64, id);
}

bool call_rows_are_bad(struct call *c, struct store_rows *rows)
{
	struct err e = {.code = rows->err};

	if (c->request && !rows->err)
		return false;
	store_rows_free(rows);
	if (c->request)
		call_error(c, &e);
	else
		call_free(c);
	return true;
}

void call_ask(struct call *c, store_rows_fn *done)
{
	struct err e = {.code = ENOMEM};

	if (store_query(c->control->store, &c->filter, c->control->loop, done,
			c))
		call_error(c, &e);
}
