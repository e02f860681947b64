/** commands/client_show.c -- what a server said, for people and for scripts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/str.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "wire/json_text.h"

enum {
	CELL_MAX = 2048,
	COLUMNS_MAX = 16,
	LINE_MAX_BYTES = 64 * 1024,
	PRINT_MAX = 256 << 20
};

const char *client_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int64_t client_number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

int client_print(const json_t *value)
{
	struct buf text;
	bool ok;

	buf_init(&text, PRINT_MAX);
	ok = !json_text_write(value, &text) && puts(buf_str(&text)) >= 0;
	buf_fini(&text);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

int client_print_list(const char *name, json_t *list, bool more)
{
	json_t *o = json_pack("{s:o, s:b}", name, list, "more", (int)more);
	int code = client_print(o);

	json_decref(o);
	return code;
}

const char *client_time(int64_t unix_ms, char out[CLIENT_WORD_MAX])
{
	time_t s = (time_t)(unix_ms / 1000);
	struct tm tm;

	if (!unix_ms || !localtime_r(&s, &tm) ||
	    !strftime(out, CLIENT_WORD_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(out, CLIENT_WORD_MAX, "-");
	return out;
}

const char *client_duration(int64_t ms, char out[CLIENT_WORD_MAX])
{
	int64_t s;

	if (ms < 0)
		ms = 0; /* two clocks that differ */
	s = ms / 1000;
	if (s < 3600)
		snprintf(out, CLIENT_WORD_MAX,
			 "%" PRId64 ":%02" PRId64 ".%02" PRId64, s / 60, s % 60,
			 ms % 1000 / 10);
	else
		snprintf(out, CLIENT_WORD_MAX,
			 "%" PRId64 ":%02" PRId64 ":%02" PRId64, s / 3600,
			 s / 60 % 60, s % 60);
	return out;
}

const char *client_size(int64_t bytes, char out[CLIENT_WORD_MAX])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double)bytes;
	size_t i = 0;

	/* what would be rounded to 1000.0 is the next unit's 1.0 */
	for (; n >= (i ? 999.95 : 1000) && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000;
	snprintf(out, CLIENT_WORD_MAX, i ? "%.1f %s" : "%.0f %s", n, units[i]);
	return out;
}

/** Characters that steer a terminal, or turn the text around them the other
 *  way: what they begin with, and their last byte from .. to. */
static const struct steering {
	const char *head;
	unsigned char from, to;
} steering[] = {
	{"", 0x01, 0x1f},	  {"", 0x7f, 0x7f},
	{"\xc2", 0x80, 0x9f},	  {"\xd8", 0x9c, 0x9c}, /* U+061C */
	{"\xe2\x80", 0x8e, 0x8f}, {"\xe2\x80", 0xaa, 0xae},
	{"\xe2\x81", 0xa6, 0xa9},
};

/** Bytes of such a character at the head of a text; 0: it is none. */
static size_t steering_len(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(steering); i++) {
		const struct steering *s = &steering[i];
		size_t len = strlen(s->head);
		unsigned char last;

		if (!str_starts_with(text, s->head))
			continue;
		last = (unsigned char)text[len];
		if (last >= s->from && last <= s->to)
			return len + 1;
	}
	return 0;
}

void client_clean(char *text)
{
	for (char *c = text; *c; c++) {
		size_t len = steering_len(c);

		if (!len)
			continue;
		memset(c, '?', len);
		c += len - 1;
	}
}

void client_say(const char *fmt, ...)
{
	struct buf line;
	char *text;
	va_list ap;

	buf_init(&line, LINE_MAX_BYTES);
	va_start(ap, fmt);
	buf_vprintf(&line, fmt, ap);
	va_end(ap);
	text = buf_take(&line);
	if (text) {
		client_clean(text);
		puts(text);
	} else {
		fputs("tapeop: out of memory\n", stderr);
	}
	mem_free(text);
}

/* ---- tables ------------------------------------------------------------------- */

void client_cell(struct client_table *t, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	client_clean(text);
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 64;
		char **cells = mem_realloc(t->cells, cap * sizeof(*cells));

		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n] = mem_strdup(text);
	t->failed |= !t->cells[t->n];
	t->n += t->cells[t->n] != NULL;
}

/** Take one character from UTF-8 text; broken bytes count as one each. */
static uint32_t next_character(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	size_t more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
	uint32_t c = more ? *p & (0x3fU >> more) : *p;

	for (p++; more && (*p & 0xc0) == 0x80; more--)
		c = c << 6 | (*p++ & 0x3f);
	*s = (const char *)p;
	return c;
}

/**
 * Columns that a character takes on a terminal: near enough for ids and words.
 * Source: Unicode Standard Annex 11 (wide and fullwidth) and the combining
 * marks that ids are likely to have.
 */
static size_t width_of(uint32_t c)
{
	static const struct {
		uint32_t first, last, columns;
	} ranges[] = {
		{0x300, 0x36f, 0},     {0x1100, 0x115f, 2},
		{0x200b, 0x200f, 0},   {0x2e80, 0xa4cf, 2},
		{0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},
		{0xfe00, 0xfe0f, 0},   {0xfe30, 0xfe6f, 2},
		{0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},
		{0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2},
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (c >= ranges[i].first && c <= ranges[i].last)
			return ranges[i].columns;
	}
	return 1;
}

size_t client_columns(const char *text)
{
	size_t n = 0;

	while (*text)
		n += width_of(next_character(&text));
	return n;
}

void client_cut(const char *text, size_t columns, struct buf *out)
{
	size_t n = 0;

	while (*text) {
		const char *next = text;
		size_t wide = width_of(next_character(&next));

		if (n + wide > columns)
			break;
		buf_append(out, text, (size_t)(next - text));
		n += wide;
		text = next;
	}
	for (; n < columns; n++)
		buf_putc(out, ' ');
}

static void print_rows(const struct client_table *t, const size_t *widths)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t col = i % t->n_columns;
		bool last = col + 1 == t->n_columns;
		size_t pad = widths[col] - client_columns(t->cells[i]);

		printf("%s%*s", t->cells[i], last ? 0 : (int)pad + 2, "");
		if (last)
			putchar('\n');
	}
}

void client_table_print(struct client_table *t)
{
	size_t widths[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->n; i++) {
		size_t *w = &widths[i % t->n_columns];
		size_t n = client_columns(t->cells[i]);

		*w = n > *w ? n : *w;
	}
	if (t->failed)
		fputs("tapeop: out of memory\n", stderr);
	else
		print_rows(t, widths);
	for (size_t i = 0; i < t->n; i++)
		mem_free(t->cells[i]);
	mem_free(t->cells);
	*t = (struct client_table){.n_columns = t->n_columns};
}
