/** commands/client_show.c -- what a server said, for people and for scripts. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "commands/client.h"
#include "commands/commands.h"
#include "wire/json_text.h"

enum {
	CELL_MAX = 2048,
	COLUMNS_MAX = 16,
	LINE_MAX_BYTES = 64 * 1024,
	PATH_MAX_BYTES = 4096,
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

void client_clean(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			*c = c[1] = '?';
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
 * Columns that text takes on a terminal: near enough for ids and words.
 * Source: Unicode Standard Annex 11 (wide and fullwidth) and the combining
 * marks that ids are likely to have.
 */
static size_t columns_of(const char *s)
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
	size_t n = 0;

	while (*s) {
		uint32_t c = next_character(&s);
		size_t columns = 1;

		for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
			if (c >= ranges[i].first && c <= ranges[i].last)
				columns = ranges[i].columns;
		}
		n += columns;
	}
	return n;
}

static void print_rows(const struct client_table *t, const size_t *widths)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t col = i % t->n_columns;
		bool last = col + 1 == t->n_columns;
		size_t pad = widths[col] - columns_of(t->cells[i]);

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
		size_t n = columns_of(t->cells[i]);

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

/* ---- segments ------------------------------------------------------------------ */

static void segment_row(struct client_table *t, const json_t *s)
{
	char start[CLIENT_WORD_MAX], len[CLIENT_WORD_MAX],
		size[CLIENT_WORD_MAX];
	const char *reason = client_text(s, "reason_text");
	bool closed = !strcmp(client_text(s, "state"), "closed");

	client_cell(t, "  %s", client_text(s, "user"));
	client_cell(t, "%" PRId64, client_number(s, "seq"));
	client_cell(t, "%s",
		    json_is_true(json_object_get(s, "uploaded"))
			    ? "stored"
			    : client_text(s, "state"));
	client_cell(t, "%s", client_time(client_number(s, "start_ms"), start));
	client_cell(
		t, "%s",
		closed ? client_duration(client_number(s, "duration_ms"), len)
		       : "-");
	client_cell(t, "%s",
		    closed ? client_size(client_number(s, "size"), size) : "-");
	client_cell(t, "%s%s%s", client_text(s, "file"), reason[0] ? "  " : "",
		    reason);
}

static void print_segments(const json_t *list)
{
	static const char *const heads[] = {"  USER", "SEQ",  "STATE", "START",
					    "LENGTH", "SIZE", "FILE"};
	struct client_table t = {.n_columns = ARRAY_LEN(heads)};
	json_t *segment;
	size_t i;

	if (!json_array_size(list)) {
		puts("  no file: nobody has spoken");
		return;
	}
	for (i = 0; i < ARRAY_LEN(heads); i++)
		client_cell(&t, "%s", heads[i]);
	json_array_foreach(list, i, segment)
	{
		segment_row(&t, segment);
	}
	client_table_print(&t);
}

int client_show_segments(const struct client *c, json_t *task)
{
	json_t *list = NULL;
	struct buf path;
	bool more;
	struct err e;
	int code = EXIT_DONE;

	buf_init(&path, PATH_MAX_BYTES);
	buf_puts(&path, "/v1/tasks/");
	client_write_part(client_text(task, "task_id"), &path);
	buf_puts(&path, "/segments?");
	if (client_list(c, buf_str(&path), "segments", SIZE_MAX, &list, &more,
			&e))
		code = client_fail(c, EXIT_FAILED, "%s", e.text);
	else if (!c->json)
		print_segments(list);
	else if (json_object_set(task, "segments", list))
		code = client_fail(c, EXIT_FAILED, "out of memory");
	else
		code = client_print(task);
	json_decref(list);
	buf_fini(&path);
	return code;
}
