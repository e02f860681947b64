/** commands/wave_draw.c -- a task's tracks, drawn with characters. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "commands/wave.h"

enum {
	LINE_MAX_BYTES = 64 * 1024,
	NAME_MIN = 3, /* columns */
	NAME_MAX_COLUMNS = 20,
	LEVELS = 8,
	HEAD_COLUMNS = 3, /* of a file, for its border to be drawn */
	TICK_COLUMNS = 11 /* "20:09:01", and room */
};

/* Levels [dBFS]: quieter peaks are silence; full blocks begin at LOUD. */
static const double quiet_db = -50;
static const double loud_db = -8;

struct drawing {
	const struct wave *w;
	const struct screen *screen;
	size_t width; /* columns of a line */
	size_t names; /* columns of the names */
	size_t n;     /* columns of sound */
};

/* ---- text ------------------------------------------------------------------- */

/** Append a word that may be longer than a line. */
static void fold_word(const char *word, size_t width, size_t *column,
		      struct buf *out)
{
	size_t columns = client_columns(word);

	if (*column + 1 + columns > width && *column > 2) {
		buf_puts(out, "\n  ");
		*column = 2;
	} else if (*column) {
		buf_putc(out, ' ');
		(*column)++;
	}
	if (*column + columns > width) { /* the rest of it is left out */
		columns = width - *column;
		client_cut(word, columns, out);
	} else {
		buf_puts(out, word);
	}
	*column += columns;
}

/** Print words on lines of d->width, those behind the first one set in. */
static void say(const struct drawing *d, enum ink ink, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
static void say(const struct drawing *d, enum ink ink, const char *fmt, ...)
{
	struct buf text, out;
	char *words, *rest;
	size_t column = 0;
	va_list ap;

	buf_init(&text, LINE_MAX_BYTES);
	buf_init(&out, LINE_MAX_BYTES);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	words = buf_take(&text);
	if (words) {
		client_clean(words);
		for (char *word = strtok_r(words, " ", &rest); word;
		     word = strtok_r(NULL, " ", &rest))
			fold_word(word, d->width, &column, &out);
	}
	printf("%s%s%s\n", screen_ink(d->screen, ink), buf_str(&out),
	       screen_ink(d->screen, ink ? INK_PLAIN : ink));
	mem_free(words);
	buf_fini(&out);
}

size_t wave_name_columns(const struct wave *w, size_t width)
{
	size_t most =
		width / 4 < NAME_MAX_COLUMNS ? width / 4 : NAME_MAX_COLUMNS;
	size_t n = NAME_MIN;

	for (size_t i = 0; i < w->n_tracks; i++) {
		size_t columns = client_columns(wave_track_name(&w->tracks[i]));

		n = columns > n ? columns : n;
	}
	return n > most && most >= NAME_MIN ? most : n < most ? n : NAME_MIN;
}

/** Append the name's column, and the space behind it. */
static void put_name(const struct drawing *d, const char *name, struct buf *out)
{
	char *clean = mem_strdup(name);

	if (clean)
		client_clean(clean);
	client_cut(clean ? clean : "", d->names, out);
	buf_putc(out, ' ');
	mem_free(clean);
}

/* ---- the ruler ---------------------------------------------------------------- */

/** Seconds between two ticks. */
static int64_t tick_s(const struct drawing *d)
{
	static const int64_t nice[] = {1,    2,	   5,	  10,	 15,	30,
				       60,   120,  300,	  600,	 900,	1800,
				       3600, 7200, 10800, 21600, 43200, 86400};
	const int64_t ms = d->w->end_ms - d->w->start_ms;
	int64_t s;

	for (size_t i = 0; i < ARRAY_LEN(nice); i++) {
		if (nice[i] * 1000 * (int64_t)d->n >= TICK_COLUMNS * ms)
			return nice[i];
	}
	s = 86400;
	while (s * 1000 * (int64_t)d->n < TICK_COLUMNS * ms)
		s *= 2;
	return s;
}

static void write_wall(int64_t unix_ms, char out[CLIENT_WORD_MAX])
{
	char all[CLIENT_WORD_MAX];

	client_time(unix_ms, all); /* "2026-11-26 12:00:05" or "-" */
	snprintf(out, CLIENT_WORD_MAX, "%s", strlen(all) > 11 ? all + 11 : all);
}

static void write_elapsed(int64_t s, char out[CLIENT_WORD_MAX])
{
	client_duration(s * 1000, out);
	if (s < 3600) /* without its hundredths */
		*strchr(out, '.') = 0;
}

/** One line of labels at the ticks, on spaces or on a line. */
static void draw_ruler(const struct drawing *d, const char *name, bool wall)
{
	const bool utf8 = d->screen->is_utf8;
	const char *line = wall ? " " : utf8 ? "─" : "-";
	const int64_t step = tick_s(d);
	const int64_t ms = d->w->end_ms - d->w->start_ms;
	char label[CLIENT_WORD_MAX];
	struct buf out;
	size_t at = 0;

	buf_init(&out, LINE_MAX_BYTES);
	put_name(d, name, &out);
	for (int64_t s = 0; s * 1000 < ms; s += step) {
		size_t column = (size_t)(s * 1000 * (int64_t)d->n / ms);

		if (wall)
			write_wall(d->w->start_ms + s * 1000, label);
		else
			write_elapsed(s, label);
		if (column < at || column + 1 + strlen(label) > d->n)
			continue;
		for (; at < column; at++)
			buf_puts(&out, line);
		if (!wall)
			buf_puts(&out, utf8 ? "├" : "+");
		buf_puts(&out, label);
		at += strlen(label) + !wall;
	}
	for (; !wall && at < d->n; at++)
		buf_puts(&out, line);
	printf("%s%s%s\n", screen_ink(d->screen, INK_DIM), buf_str(&out),
	       screen_ink(d->screen, INK_DIM)[0]
		       ? screen_ink(d->screen, INK_PLAIN)
		       : "");
	buf_fini(&out);
}

/* ---- tracks ------------------------------------------------------------------- */

/** What each column of a track is. */
struct cells {
	uint8_t *marks;	 /* enum wave_mark */
	uint8_t *begins; /* a file begins there */
};

static void mark_segments(const struct drawing *d, const struct wave_track *t,
			  struct cells *cells)
{
	const int64_t zero = d->w->start_ms;

	memset(cells->marks, WAVE_GAP, d->n);
	memset(cells->begins, 0, d->n);
	for (size_t i = 0; i < t->n; i++) {
		const struct wave_segment *s = &t->segments[i];
		size_t from = sound_wave_at(
			&t->wave, (s->start_ms - zero) * SOUND_FRAMES_PER_MS);
		size_t to = sound_wave_at(
			&t->wave, (s->end_ms - zero) * SOUND_FRAMES_PER_MS - 1);

		if (to < from) /* no sound in it */
			to = from;
		for (size_t k = from; k <= to; k++) {
			if (s->mark > cells->marks[k])
				cells->marks[k] = (uint8_t)s->mark;
		}
		cells->begins[from] = to >= from + HEAD_COLUMNS - 1;
	}
}

/** Append the block of a level. */
static void put_level(const struct drawing *d, const struct sound_column *c,
		      struct buf *out)
{
	static const char *const letters = ",:-=+*%#"; /* LEVELS of them */
	double db = 20 * log10(sound_column_rms(c) + 1e-9);
	double level = (db - quiet_db) / (loud_db - quiet_db);

	if (d->screen->is_utf8) {
		screen_level(d->screen, level, out);
		return;
	}
	level = level < 0 ? 0 : level * LEVELS;
	buf_putc(out, letters[level < LEVELS ? (int)level : LEVELS - 1]);
}

/** Append one column; its ink, when that is another. */
static void put_cell(const struct drawing *d, const struct sound_column *c,
		     enum wave_mark mark, bool begins, enum ink *ink,
		     struct buf *out)
{
	static const enum ink inks[] = {
		[WAVE_GAP] = INK_PLAIN,	  [WAVE_CLOSED] = INK_GREEN,
		[WAVE_OPEN] = INK_YELLOW, [WAVE_UNREAD] = INK_RED,
		[WAVE_LOST] = INK_RED,
	};
	static const char letters[] = {[WAVE_GAP] = ' ',
				       [WAVE_OPEN] = '~',
				       [WAVE_UNREAD] = '?',
				       [WAVE_LOST] = 'x'};
	const bool silent = c->peak <= 32768 * pow(10, quiet_db / 20);
	enum ink now = inks[mark];

	if (mark == WAVE_CLOSED && (begins || silent))
		now = INK_DIM;
	if (now != *ink) {
		buf_puts(out, screen_ink(d->screen, INK_PLAIN));
		if (now != INK_PLAIN)
			buf_puts(out, screen_ink(d->screen, now));
		*ink = now;
	}
	if (mark != WAVE_CLOSED)
		buf_putc(out, letters[mark]);
	else if (begins)
		buf_putc(out, '|');
	else if (silent)
		buf_puts(out, d->screen->is_utf8 ? "·" : ".");
	else
		put_level(d, c, out);
}

static void draw_track(const struct drawing *d, const struct wave_track *t,
		       struct cells *cells)
{
	enum ink ink = INK_PLAIN;
	struct buf out;
	size_t last = d->n;

	buf_init(&out, LINE_MAX_BYTES);
	put_name(d, wave_track_name(t), &out);
	mark_segments(d, t, cells);
	while (last > 0 && cells->marks[last - 1] == WAVE_GAP)
		last--;
	for (size_t i = 0; i < last; i++)
		put_cell(d, &t->wave.columns[i],
			 (enum wave_mark)cells->marks[i], cells->begins[i],
			 &ink, &out);
	if (ink != INK_PLAIN)
		buf_puts(&out, screen_ink(d->screen, INK_PLAIN));
	puts(buf_str(&out));
	buf_fini(&out);
}

/* ---- all of it ------------------------------------------------------------------ */

static void say_head(const struct drawing *d, const json_t *task)
{
	const char *reason = client_text(task, "reason_text");
	const int64_t ms = d->w->end_ms - d->w->start_ms;
	char from[CLIENT_WORD_MAX], to[CLIENT_WORD_MAX],
		length[CLIENT_WORD_MAX], step[CLIENT_WORD_MAX];

	say(d, INK_PLAIN, "task %s: app %" PRId64 ", room %s: %s%s%s",
	    client_text(task, "task_id"), client_number(task, "app"),
	    client_text(task, "room"), client_text(task, "state"),
	    reason[0] ? ": " : "", reason);
	if (!d->w->n_tracks) {
		say(d, INK_PLAIN, "no file: nobody has spoken");
		return;
	}
	if (ms / (int64_t)d->n < 1000)
		snprintf(step, sizeof(step), "%" PRId64 " ms",
			 ms / (int64_t)d->n);
	else
		snprintf(step, sizeof(step), "%.1f s",
			 (double)ms / 1000 / (double)d->n);
	say(d, INK_PLAIN, "%s to %s, %s; a column is %s",
	    client_time(d->w->start_ms, from), client_time(d->w->end_ms, to),
	    client_duration(ms, length), step);
}

static void say_marks(const struct drawing *d)
{
	const size_t *n = d->w->n_marks;

	say(d, INK_DIM, "| a file begins, %s silence, blank: microphone off",
	    d->screen->is_utf8 ? "·" : ".");
	if (n[WAVE_OPEN])
		say(d, INK_YELLOW,
		    "~ %zu file%s still being recorded: drawn when closed",
		    n[WAVE_OPEN], n[WAVE_OPEN] == 1 ? " is" : "s are");
	if (n[WAVE_LOST])
		say(d, INK_RED, "x %zu file%s lost; without --wave: why",
		    n[WAVE_LOST], n[WAVE_LOST] == 1 ? " is" : "s are");
	if (n[WAVE_UNREAD])
		say(d, INK_RED, "? %zu file%s not be read", n[WAVE_UNREAD],
		    n[WAVE_UNREAD] == 1 ? " could" : "s could");
}

void wave_draw(const struct wave *w, const json_t *task,
	       const struct screen *screen, size_t width)
{
	struct drawing d = {.w = w,
			    .screen = screen,
			    .width = width,
			    .names = wave_name_columns(w, width),
			    .n = w->n_tracks ? w->tracks[0].wave.n : 1};
	struct cells cells = {.marks = mem_zalloc(d.n),
			      .begins = mem_zalloc(d.n)};

	say_head(&d, task);
	if (!cells.marks || !cells.begins) {
		fputs("tapeop: out of memory\n", stderr);
	} else if (w->n_tracks) {
		draw_ruler(&d, "", true);
		draw_ruler(&d, "", false);
		for (size_t i = 0; i < w->n_tracks; i++)
			draw_track(&d, &w->tracks[i], &cells);
		say_marks(&d);
	}
	mem_free(cells.marks);
	mem_free(cells.begins);
}
