/** lib/sign.c -- signing attempts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lib/inside.h"
#include "wire/quote.h"

enum { PARAM_MAX = 128, ID_TEXT_MAX = 128 };

/** What is written, until it is whole. */
struct signing {
	const struct tapeop_message *m;
	int64_t now_s;
	struct buf headers;
	struct buf query;
	const struct lib_why *why;
};

static const char *text_or(const char *text, const char *usual)
{
	return text && text[0] ? text : usual;
}

static int sign_gme(struct signing *s)
{
	enum signature_encoding encoding =
		s->m->hex ? SIGNATURE_HEX : SIGNATURE_BASE64;
	char text[SIGNATURE_TEXT_MAX];
	int err = callback_sign_gme(s->m->key, s->m->body, s->m->body_len,
				    encoding, text);

	if (!err)
		buf_printf(&s->headers, "Signature: %s\r\n", text);
	return err;
}

static int sign_trtc(struct signing *s)
{
	char text[SIGNATURE_TEXT_MAX];
	int err;

	buf_printf(&s->headers, "SdkAppId: %" PRIu32 "\r\n", s->m->app);
	if (!s->m->key[0])
		return 0;
	err = callback_sign_trtc(s->m->key, s->m->body, s->m->body_len, text);
	if (!err)
		buf_printf(&s->headers, "Sign: %s\r\n", text);
	return err;
}

static int sign_live(struct signing *s)
{
	char text[SIGNATURE_TEXT_MAX];
	int err;

	buf_printf(&s->query,
		   "SdkAppid=%" PRIu32 "&CallbackCommand=" CALLBACK_LIVE_COMMAND
		   "&contenttype=json&ClientIP=",
		   s->m->app);
	quote_percent(&s->query, text_or(s->m->client_ip, "127.0.0.1"));
	buf_puts(&s->query, "&OptPlatform=");
	quote_percent(&s->query, text_or(s->m->platform, "Unknown"));
	if (!s->m->key[0])
		return 0;
	err = callback_sign_live(s->m->key, s->now_s, text);
	if (!err)
		buf_printf(&s->query, "&Sign=%s&RequestTime=%" PRId64, text,
			   s->now_s);
	return err;
}

static int sign_standard(struct signing *s)
{
	const char *const keys[] = {s->m->key, s->m->previous_key};
	char text[CALLBACK_STANDARD_SIGNATURE_MAX];

	buf_printf(&s->headers,
		   "webhook-id: %s\r\nwebhook-timestamp: %" PRId64
		   "\r\nwebhook-signature:",
		   s->m->id, s->now_s);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		int err;

		if (!keys[i][0])
			continue;
		err = callback_sign_standard(keys[i], s->m->id, s->now_s,
					     s->m->body, s->m->body_len, text);
		if (err)
			return err;
		buf_printf(&s->headers, " %s", text);
	}
	buf_puts(&s->headers, "\r\n");
	return 0;
}

/** "evt_7": nothing that a header or what is signed could be split at. */
static bool is_id(const char *id)
{
	size_t len = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz0123456789_-");

	return len && len <= ID_TEXT_MAX && !id[len];
}

static bool is_short(const char *text)
{
	return strnlen(text, PARAM_MAX + 1) <= PARAM_MAX;
}

static enum tapeop_error check_standard(const struct signing *s)
{
	const char *const keys[] = {s->m->key, s->m->previous_key};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct err e = {0};

		if (i && !keys[i][0])
			continue;
		if (callback_key_check(DIALECT_STANDARD, keys[i], &e))
			return lib_say(s->why, TAPEOP_NO_KEY, "%s", e.text);
		if (!callback_key_signs(keys[i]))
			return lib_say(s->why, TAPEOP_NO_KEY,
				       "a whpk_ key verifies, it cannot sign: "
				       "give the whsk_ that belongs to it");
	}
	if (!is_id(s->m->id))
		return lib_say(s->why, TAPEOP_BAD_ARGUMENT,
			       "message.id must be 1 to %d of A-Z a-z 0-9 _ -",
			       ID_TEXT_MAX);
	return TAPEOP_OK;
}

static enum tapeop_error check(const struct signing *s, enum dialect d)
{
	const struct tapeop_message *m = s->m;

	if ((!m->body && m->body_len) || m->body_len > TAPEOP_BODY_LEN_MAX)
		return lib_say(s->why, TAPEOP_BAD_ARGUMENT,
			       "message.body is NULL with a length, or longer "
			       "than %d bytes",
			       TAPEOP_BODY_LEN_MAX);
	if (s->now_s < 0)
		return lib_say(s->why, TAPEOP_BAD_ARGUMENT,
			       "now_ms must be milliseconds since 1970");
	if (d == DIALECT_STANDARD)
		return check_standard(s);
	if (m->key[0] ? !lib_key_fits(d, m->key) : d == DIALECT_GME)
		return lib_say(s->why, TAPEOP_NO_KEY,
			       "message.key must be a key of the dialect %s, "
			       "%s",
			       dialect_name(d),
			       m->key[0] ? "is one of standard" : "is missing");
	if (d != DIALECT_GME && !m->app)
		return lib_say(s->why, TAPEOP_BAD_ARGUMENT,
			       "message.app is 0: the dialect %s tells it",
			       dialect_name(d));
	if (!is_short(text_or(m->client_ip, "")) ||
	    !is_short(text_or(m->platform, "")))
		return lib_say(s->why, TAPEOP_BAD_ARGUMENT,
			       "message.client_ip and platform must have at "
			       "most %d bytes",
			       PARAM_MAX);
	return TAPEOP_OK;
}

static int write_all(struct signing *s, enum dialect d)
{
	int err;

	buf_puts(&s->headers, "Content-Type: application/json\r\n");
	switch (d) {
	case DIALECT_GME:
		err = sign_gme(s);
		break;
	case DIALECT_TRTC:
		err = sign_trtc(s);
		break;
	case DIALECT_LIVE:
		err = sign_live(s);
		break;
	default:
		err = sign_standard(s);
	}
	if (!err)
		err = buf_err(&s->headers);
	return err ? err : buf_err(&s->query);
}

enum tapeop_error tapeop_sign(const struct tapeop_message *message,
			      int64_t now_ms, char *headers, size_t headers_cap,
			      char *query, size_t query_cap, char *why,
			      size_t why_cap)
{
	const struct lib_why to = {why, why_cap};
	struct signing s = {.now_s = now_ms / 1000, .why = &to};
	struct tapeop_message m;
	enum tapeop_error e;
	enum dialect d;

	if (!headers || !query ||
	    !lib_copy_in(&m, sizeof(m), LIB_MESSAGE_FIRST, message) ||
	    !lib_dialect(m.dialect, &d))
		return lib_say(&to, TAPEOP_BAD_ARGUMENT,
			       "headers or query is NULL, or message is, or "
			       "its size or dialect is wrong: begin with "
			       "TAPEOP_MESSAGE_INIT");
	m.key = text_or(m.key, "");
	m.previous_key = text_or(m.previous_key, "");
	m.id = text_or(m.id, "");
	s.m = &m;
	e = check(&s, d);
	if (e)
		return e;
	if (!m.body)
		m.body = "";
	buf_init(&s.headers, TAPEOP_HEADERS_MAX - 1);
	buf_init(&s.query, TAPEOP_QUERY_MAX - 1);
	if (write_all(&s, d)) {
		e = lib_say_usual(&to, TAPEOP_NO_MEMORY);
	} else if (s.headers.len >= headers_cap || s.query.len >= query_cap) {
		e = lib_say(&to, TAPEOP_NO_SPACE,
			    "headers need %zu bytes, query %zu",
			    s.headers.len + 1, s.query.len + 1);
	} else {
		memcpy(headers, buf_str(&s.headers), s.headers.len + 1);
		memcpy(query, buf_str(&s.query), s.query.len + 1);
		lib_say_usual(&to, TAPEOP_OK);
	}
	buf_fini(&s.headers);
	buf_fini(&s.query);
	return e;
}
