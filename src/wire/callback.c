/** wire/callback.c -- how an event looks on the wire: requests, answers. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/callback.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/attr.h"
#include "wire/callback_inside.h"
#include "wire/field.h"
#include "wire/kinds.h"
#include "wire/quote.h"

static const char *const dialect_names[DIALECT_N] = {
	[DIALECT_GME] = "gme",
	[DIALECT_LIVE] = "live",
	[DIALECT_TRTC] = "trtc",
	[DIALECT_STANDARD] = "standard",
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
	if (d == DIALECT_STANDARD)
		return kind < EVENT_KIND_N;
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

static int render_trtc(const struct callback_style *style,
		       const struct event *e, struct callback_request *out)
{
	char sign[SIGNATURE_TEXT_MAX];
	int err;

	buf_puts(&out->url, style->url);
	buf_printf(&out->fields, "SdkAppId: %" PRIu32 "\n", e->app);
	if (!style->key[0])
		return 0;
	err = callback_sign_trtc(style->key, out->body.data, out->body.len,
				 sign);
	if (!err)
		buf_printf(&out->fields, "Sign: %s\n", sign);
	return err;
}

static int render_standard(const struct callback_style *style,
			   const struct event *e, int64_t now_ms,
			   struct callback_request *out)
{
	const char *const keys[] = {style->key, style->previous_key};
	char signature[CALLBACK_STANDARD_SIGNATURE_MAX];
	char id[32];

	snprintf(id, sizeof(id), "evt_%" PRIu64, e->id);
	buf_puts(&out->url, style->url);
	buf_printf(&out->fields,
		   "webhook-id: %s\nwebhook-timestamp: %" PRId64
		   "\nwebhook-signature:",
		   id, now_ms / 1000);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int err;

		if (i && (!keys[i] || !keys[i][0]))
			continue;
		err = callback_sign_standard(keys[i], id, now_ms / 1000,
					     out->body.data, out->body.len,
					     signature);
		if (err)
			return err;
		buf_printf(&out->fields, " %s", signature);
	}
	buf_putc(&out->fields, '\n');
	return 0;
}

static int render(const struct callback_style *style, const struct event *e,
		  int64_t now_ms, struct callback_request *out)
{
	switch (style->dialect) {
	case DIALECT_GME:
		return render_gme(style, out);
	case DIALECT_LIVE:
		return render_live(style, e, now_ms, out);
	case DIALECT_TRTC:
		return render_trtc(style, e, out);
	default:
		return render_standard(style, e, now_ms, out);
	}
}

int callback_render(const struct callback_style *style, const struct event *e,
		    int64_t now_ms, struct callback_request *out)
{
	int err;

	buf_clear(&out->url);
	buf_clear(&out->body);
	buf_clear(&out->fields);
	err = callback_body(style->dialect, e, now_ms, style->extended,
			    &out->body);
	if (err)
		return err;
	buf_puts(&out->fields, "Content-Type: application/json\n");
	err = render(style, e, now_ms, out);
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
