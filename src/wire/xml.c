/** wire/xml.c -- find the few things that answers of S3 tell. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/xml.h"

#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum { REFERENCE_MAX = 10 /* "#x10FFFF;" */, UTF8_MAX = 4 };

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/** Go behind the next '<' of a tag that begins or stands alone. */
static bool next_tag(struct xml *x)
{
	while (x->at < x->end) {
		x->at = memchr(x->at, '<', (size_t)(x->end - x->at));
		if (!x->at) {
			x->at = x->end;
			return false;
		}
		x->at++;
		if (x->at < x->end && *x->at != '/' && *x->at != '?' &&
		    *x->at != '!')
			return true;
	}
	return false;
}

/** Is the tag whose name begins here of this name, with or without a prefix?
 *  Go behind its '>'; `empty`: it has no text. */
static bool tag_is(struct xml *x, const char *name, bool *empty)
{
	const char *from = x->at;
	const char *to;
	const char *colon;
	size_t len = strlen(name);

	while (x->at < x->end && *x->at != '>' && *x->at != '/' &&
	       !is_space(*x->at))
		x->at++;
	to = x->at;
	while (x->at < x->end && *x->at != '>')
		x->at++;
	if (x->at == x->end)
		return false;
	*empty = x->at[-1] == '/';
	x->at++;
	colon = memchr(from, ':', (size_t)(to - from));
	if (colon)
		from = colon + 1;
	return (size_t)(to - from) == len && !memcmp(from, name, len);
}

bool xml_is(struct xml x, const char *name)
{
	bool empty;

	return next_tag(&x) && tag_is(&x, name, &empty);
}

/* ---- text ------------------------------------------------------------------ */

static size_t put_utf8(uint32_t c, char out[UTF8_MAX])
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(first[n] | c);
	return n;
}

/** "#38;" or "#x26;", behind the '#'.  0: none. */
static uint32_t number(const char *s, size_t len)
{
	uint32_t base = len && (*s == 'x' || *s == 'X') ? 16 : 10;
	uint32_t value = 0;

	for (size_t i = base == 16; i < len; i++) {
		int digit = str_hex_value(s[i]);

		if (digit < 0 || (uint32_t)digit >= base)
			return 0;
		value = value * base + (uint32_t)digit;
		if (value > 0x10ffff)
			return 0;
	}
	return value >= 0xd800 && value < 0xe000 ? 0 : value;
}

/**
 * Read the reference behind '&'.
 * Returns how many bytes were written, 0: it is none, and stays.
 */
static size_t reference(struct xml *x, char out[UTF8_MAX])
{
	static const struct {
		const char *name;
		char c;
	} named[] = {{"amp", '&'},
		     {"lt", '<'},
		     {"gt", '>'},
		     {"quot", '"'},
		     {"apos", '\''}};
	size_t left = (size_t)(x->end - x->at);
	const char *from = x->at;
	const char *to = memchr(
		from, ';', left < REFERENCE_MAX ? left : (size_t)REFERENCE_MAX);
	uint32_t c = 0;
	size_t len;

	if (!to)
		return 0;
	len = (size_t)(to - from);
	for (size_t i = 0; i < ARRAY_LEN(named); i++) {
		if (strlen(named[i].name) == len &&
		    !memcmp(named[i].name, from, len))
			c = (uint8_t)named[i].c;
	}
	if (!c && len && *from == '#')
		c = number(from + 1, len - 1);
	if (!c)
		return 0;
	x->at = to + 1;
	return put_utf8(c, out);
}

static void read_text(struct xml *x, char *out, size_t cap)
{
	size_t n = 0;

	while (x->at < x->end && *x->at != '<') {
		char c[UTF8_MAX];
		size_t len = 0;

		c[0] = *x->at++;
		if (c[0] == '&')
			len = reference(x, c);
		if (!len)
			len = 1;
		if (!c[0] || n + len >= cap) {
			*out = 0;
			return;
		}
		memcpy(out + n, c, len);
		n += len;
	}
	out[n] = 0;
}

bool xml_next(struct xml *x, const char *name, char *out, size_t cap)
{
	struct xml look = *x;
	bool empty = false;

	while (next_tag(&look)) {
		if (!tag_is(&look, name, &empty))
			continue;
		*out = 0;
		if (!empty)
			read_text(&look, out, cap);
		*x = look;
		return true;
	}
	return false;
}

void xml_find(struct xml x, const char *name, char *out, size_t cap)
{
	if (!xml_next(&x, name, out, cap))
		*out = 0;
}
