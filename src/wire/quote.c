/** wire/quote.c -- put text from outside into JSON, URLs and lines. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/quote.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/**
 * Length of the UTF-8 character at `s`, which is not at its end; 1 for
 * control characters, 0 when it is none.
 */
static size_t char_len(const char *s)
{
	uint8_t c = (uint8_t)*s;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (n == 1)
		return 1;
	/* U+0080..U+009F are characters, if not clean ones. */
	if (c == 0xc2 && ((uint8_t)s[1] & 0xc0) == 0x80)
		return 2;
	if (strnlen(s, n) < n || !str_is_clean_utf8(s, n))
		return 0;
	return n;
}

/** Is the character at `s` one that a terminal obeys: C0, DEL, C1? */
static bool is_control(const char *s)
{
	uint8_t c = (uint8_t)s[0];

	return c < 0x20 || c == 0x7f || (c == 0xc2 && (uint8_t)s[1] < 0xa0);
}

static void escape(struct buf *out, char c)
{
	switch (c) {
	case '"':
		buf_puts(out, "\\\"");
		break;
	case '\\':
		buf_puts(out, "\\\\");
		break;
	case '\b':
		buf_puts(out, "\\b");
		break;
	case '\f':
		buf_puts(out, "\\f");
		break;
	case '\n':
		buf_puts(out, "\\n");
		break;
	case '\r':
		buf_puts(out, "\\r");
		break;
	case '\t':
		buf_puts(out, "\\t");
		break;
	default:
		buf_printf(out, "\\u%04x", (unsigned)c);
	}
}

/** Must it be escaped in JSON?  DEL need not be, and stays. */
static bool is_escaped(char c)
{
	return c == '"' || c == '\\' || (c >= 0 && c < 0x20);
}

void quote_json(struct buf *out, const char *s)
{
	const char *plain = s; /* start of what was not appended yet */

	buf_putc(out, '"');
	while (*s) {
		size_t n = char_len(s);

		if (n && !is_escaped(*s)) {
			s += n;
			continue;
		}
		buf_append(out, plain, (size_t)(s - plain));
		if (n)
			escape(out, *s);
		else
			buf_putc(out, '?');
		plain = ++s;
	}
	buf_append(out, plain, (size_t)(s - plain));
	buf_putc(out, '"');
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

static void put_percent(struct buf *out, const char *s, char also)
{
	for (; *s; s++) {
		if (is_unreserved(*s) || *s == also)
			buf_putc(out, *s);
		else
			buf_printf(out, "%%%02X", (unsigned)(uint8_t)*s);
	}
}

void quote_percent(struct buf *out, const char *s)
{
	put_percent(out, s, 0);
}

void quote_percent_path(struct buf *out, const char *s)
{
	put_percent(out, s, '/');
}

/** Where a byte stands once it is quoted: '%' is lower than all that stay. */
static int percent_rank(char c)
{
	return is_unreserved(c) ? 256 + c : (int)(uint8_t)c;
}

int quote_percent_compare(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return percent_rank(*a) - percent_rank(*b);
}

void quote_line(char *to, size_t cap, const char *from)
{
	size_t at = 0;

	assert(cap > 0);
	while (*from) {
		size_t n = char_len(from);
		bool is_plain = n && !is_control(from);
		size_t n_out = is_plain ? n : 1;

		if (n_out >= cap - at)
			break;
		if (is_plain)
			memcpy(to + at, from, n);
		else
			to[at] = '?';
		at += n_out;
		from += n ? n : 1;
	}
	to[at] = 0;
}
