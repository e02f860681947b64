/** commands/signing_guess.c -- what usually goes wrong with signed bodies and
 *  keys, tried one after another. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/signing_guess.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "commands/signing.h"
#include "wire/sig.h"

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

static int append_json(const char *data, size_t len, void *arg)
{
	buf_append(arg, data, len);
	return 0;
}

bool guess_key(const struct buf *key, guess_fn *fn, void *arg, const char **why)
{
	for (size_t i = 0; i < ARRAY_LEN(key_changes); i++) {
		struct buf changed;
		bool is_it;

		buf_init_secret(&changed, 8192);
		is_it = key_changes[i].change(key, &changed) &&
			!buf_err(&changed) && fn(&changed, arg);
		buf_fini(&changed);
		if (is_it) {
			*why = key_changes[i].why;
			return true;
		}
	}
	return false;
}

static bool guess_bytes(const struct buf *body, guess_fn *fn, void *arg,
			char *why, size_t cap)
{
	for (size_t i = 0; i < ARRAY_LEN(body_changes); i++) {
		struct buf changed;
		bool is_it;

		buf_init(&changed, 2 * SIGNING_BODY_MAX);
		is_it = body_changes[i].change(body, &changed) &&
			!buf_err(&changed) && fn(&changed, arg);
		buf_fini(&changed);
		if (is_it) {
			snprintf(why, cap, "%s", body_changes[i].why);
			return true;
		}
	}
	return false;
}

/** Was it this JSON, written by another program's rules? */
static bool guess_json(const struct buf *body, guess_fn *fn, void *arg,
		       char *why, size_t cap)
{
	json_t *root = json_loadb(buf_str(body), body->len, 0, NULL);
	bool is_it = false;

	for (size_t i = 0; root && !is_it && i < ARRAY_LEN(json_ways); i++) {
		struct buf changed;

		buf_init(&changed, 2 * SIGNING_BODY_MAX);
		is_it = !json_dump_callback(root, append_json, &changed,
					    json_ways[i].flags) &&
			!buf_err(&changed) && fn(&changed, arg);
		buf_fini(&changed);
		if (is_it)
			snprintf(why, cap,
				 "FILE was re-serialised, the signed body is "
				 "%s: keep the bytes as received",
				 json_ways[i].how);
	}
	json_decref(root);
	return is_it;
}

bool guess_body(const struct buf *body, guess_fn *fn, void *arg, char *why,
		size_t cap)
{
	return guess_bytes(body, fn, arg, why, cap) ||
	       guess_json(body, fn, arg, why, cap);
}
