/**
 * commands/signing_explain.c -- why a signature may be wrong.
 *
 * WHAT  Tries what usually goes wrong between a sender and a receiver: the
 *       body was changed on its way into FILE, the key has something around
 *       it or is encoded, another digest was used.
 * WHY   "Wrong signature" costs a day; the cause is nearly always one of
 *       these, and can be found by trying.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/signing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "wire/sig.h"

/** The signature as bytes: len is that of a known digest, or 0. */
struct mac {
	uint8_t bytes[SIG_SHA256_LEN];
	size_t len;
};

/** A change of a body or a key: false when there is nothing to change. */
typedef bool(change_fn)(const struct buf *from, struct buf *to);

struct change {
	change_fn *change;
	const char *why;
};

static void copy(const struct buf *from, size_t at, size_t len, struct buf *to)
{
	if (len)
		buf_append(to, from->data + at, len);
}

static bool as_is(const struct buf *from, struct buf *to)
{
	copy(from, 0, from->len, to);
	return true;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool trim_end(const struct buf *from, struct buf *to)
{
	size_t len = from->len;

	while (len && is_space(from->data[len - 1]))
		len--;
	copy(from, 0, len, to);
	return len < from->len;
}

static bool trim(const struct buf *from, struct buf *to)
{
	size_t at = 0;
	size_t len = from->len;

	while (len && is_space(from->data[len - 1]))
		len--;
	while (at < len && is_space(from->data[at]))
		at++;
	copy(from, at, len - at, to);
	return len - at < from->len;
}

static bool add_newline(const struct buf *from, struct buf *to)
{
	as_is(from, to);
	buf_putc(to, '\n');
	return true;
}

static bool add_crlf(const struct buf *from, struct buf *to)
{
	as_is(from, to);
	buf_puts(to, "\r\n");
	return true;
}

static bool drop_cr(const struct buf *from, struct buf *to)
{
	for (size_t i = 0; i < from->len; i++) {
		if (from->data[i] != '\r')
			buf_putc(to, (char)from->data[i]);
	}
	return to->len < from->len;
}

static bool add_cr(const struct buf *from, struct buf *to)
{
	for (size_t i = 0; i < from->len; i++) {
		if (from->data[i] == '\n')
			buf_putc(to, '\r');
		buf_putc(to, (char)from->data[i]);
	}
	return to->len > from->len;
}

static bool drop_mark(const struct buf *from, struct buf *to)
{
	if (from->len < 3 || memcmp(from->data, "\xef\xbb\xbf", 3) != 0)
		return false;
	copy(from, 3, from->len - 3, to);
	return true;
}

/** The vendor's moderation callback signs the method, too. */
static bool add_post(const struct buf *from, struct buf *to)
{
	buf_puts(to, "POST");
	return as_is(from, to);
}

static bool decode_hex(const struct buf *from, struct buf *to)
{
	uint8_t key[SIG_SHA256_LEN * 2];
	size_t len = from->len / 2;

	if (!len || len > sizeof(key) || sig_hex_parse(buf_str(from), key, len))
		return false;
	buf_append(to, key, len);
	mem_wipe(key, sizeof(key));
	return true;
}

static bool decode_base64(const struct buf *from, struct buf *to)
{
	uint8_t key[256];
	size_t len;

	if (sig_base64_parse(buf_str(from), key, sizeof(key), &len) || !len)
		return false;
	buf_append(to, key, len);
	mem_wipe(key, sizeof(key));
	return true;
}

static const struct change body_changes[] = {
	{as_is, ""},
	{trim_end, "FILE has a newline at its end that was not signed"},
	{add_newline, "a newline at the end of the body is missing in FILE"},
	{drop_cr, "the line ends in FILE are CR LF, the signed ones LF"},
	{add_cr, "the line ends in FILE are LF, the signed ones CR LF"},
	{drop_mark, "FILE begins with a byte order mark that was not signed"},
	{add_post, "\"POST\" and the body were signed, not the body alone"},
};

static const struct change key_changes[] = {
	{as_is, ""},
	{add_newline, "the sender's key has a newline at its end"},
	{add_crlf, "the sender's key has CR LF at its end"},
	{trim, "this --key has spaces or newlines around it, the sender's has "
	       "none"},
	{decode_base64, "the sender uses the key as decoded from base64"},
	{decode_hex, "the sender uses the key as decoded from hex"},
};

/* Ways in which programs write the same JSON. */
static const struct {
	size_t flags;
	const char *how;
} json_ways[] = {
	{JSON_COMPACT, "minified"},
	{0, "with a space behind ',' and ':'"},
	{JSON_INDENT(1), "pretty-printed"},
	{JSON_INDENT(2), "pretty-printed"},
	{JSON_INDENT(3), "pretty-printed"},
	{JSON_INDENT(4), "pretty-printed"},
	{JSON_INDENT(8), "pretty-printed"},
	{JSON_COMPACT | JSON_ESCAPE_SLASH, "minified with \"\\/\" for \"/\""},
	{JSON_COMPACT | JSON_ENSURE_ASCII, "minified with \\u escapes"},
	{JSON_COMPACT | JSON_SORT_KEYS, "minified with sorted keys"},
};

static bool is_mac(const struct mac *m, const struct buf *key,
		   const struct buf *body)
{
	uint8_t got[SIG_SHA256_LEN];
	int err;

	if (m->len == SIG_SHA1_LEN)
		err = sig_hmac_sha1(key->data, key->len, body->data, body->len,
				    got);
	else
		err = sig_hmac_sha256(key->data, key->len, body->data,
				      body->len, got);
	return !err && sig_is_equal(got, m->bytes, m->len);
}

/** Try all keys on one body.  Returns the change that did it, or NULL. */
static const struct change *try_keys(const struct mac *m, const struct buf *key,
				     const struct buf *body)
{
	for (size_t i = 0; i < ARRAY_LEN(key_changes); i++) {
		struct buf changed;
		bool is_it;

		buf_init(&changed, 8192);
		is_it = key_changes[i].change(key, &changed) &&
			!buf_err(&changed) && is_mac(m, &changed, body);
		buf_fini_secret(&changed);
		if (is_it)
			return &key_changes[i];
	}
	return NULL;
}

static void say(const struct mac *m, const char *of_body, const char *of_key,
		char *why, size_t cap)
{
	snprintf(why, cap, "%s%s%s%s%s",
		 m->len == SIG_SHA256_LEN
			 ? "this is HMAC-SHA256, gme uses HMAC-SHA1"
			 : "",
		 m->len == SIG_SHA256_LEN && (*of_body || *of_key) ? "; " : "",
		 of_body, *of_body && *of_key ? "; " : "", of_key);
}

static bool explain_by_bytes(const struct mac *m, const struct buf *key,
			     const struct buf *body, char *why, size_t cap)
{
	for (size_t i = 0; i < ARRAY_LEN(body_changes); i++) {
		const struct change *k = NULL;
		struct buf changed;

		buf_init(&changed, 2 * SIGNING_BODY_MAX);
		if (body_changes[i].change(body, &changed) &&
		    !buf_err(&changed))
			k = try_keys(m, key, &changed);
		buf_fini(&changed);
		if (k) {
			say(m, body_changes[i].why, k->why, why, cap);
			return true;
		}
	}
	return false;
}

static int append_json(const char *data, size_t len, void *arg)
{
	buf_append(arg, data, len);
	return 0;
}

/** Was it this JSON, written by another program's rules? */
static bool explain_by_json(const struct mac *m, const struct buf *key,
			    const struct buf *body, char *why, size_t cap)
{
	json_t *root = json_loadb(buf_str(body), body->len, 0, NULL);
	char of_body[160];

	for (size_t i = 0; root && i < ARRAY_LEN(json_ways); i++) {
		const struct change *k = NULL;
		struct buf changed;

		buf_init(&changed, 2 * SIGNING_BODY_MAX);
		if (!json_dump_callback(root, append_json, &changed,
					json_ways[i].flags) &&
		    !buf_err(&changed))
			k = try_keys(m, key, &changed);
		buf_fini(&changed);
		if (!k)
			continue;
		snprintf(of_body, sizeof(of_body),
			 "FILE was re-serialised, the signed body is %s: keep "
			 "the bytes as received",
			 json_ways[i].how);
		say(m, of_body, k->why, why, cap);
		break;
	}
	json_decref(root);
	return why[0];
}

static void read_mac(const char *text, struct mac *m)
{
	size_t len = 0;

	*m = (struct mac){.len = SIG_SHA1_LEN};
	if (!sig_hex_parse(text, m->bytes, SIG_SHA1_LEN))
		return;
	m->len = SIG_SHA256_LEN;
	if (!sig_hex_parse(text, m->bytes, SIG_SHA256_LEN))
		return;
	if (sig_base64_parse(text, m->bytes, sizeof(m->bytes), &len) ||
	    (len != SIG_SHA1_LEN && len != SIG_SHA256_LEN))
		len = 0;
	m->len = len;
}

void signing_explain(const struct signing *s, char *why, size_t cap)
{
	struct buf key;
	struct mac m;

	read_mac(s->signature, &m);
	if (!m.len) {
		snprintf(why, cap,
			 "a Signature is 28 characters of base64 or 40 hex "
			 "digits, this has %zu characters",
			 strlen(s->signature));
		return;
	}
	why[0] = 0;
	buf_init(&key, 8192);
	buf_puts(&key, s->key);
	if (!explain_by_bytes(&m, &key, &s->body, why, cap) &&
	    !explain_by_json(&m, &key, &s->body, why, cap))
		snprintf(why, cap,
			 "wrong: another key, or FILE is not the body that was "
			 "signed, byte for byte");
	buf_fini_secret(&key);
}
