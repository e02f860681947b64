/**
 * commands/screen.h -- lines that stay, and one below them that is redrawn
 * in place, for commands that show how they go on.
 *
 * On a terminal there is a live line (progress, levels), and colour unless
 * NO_COLOR is set.  Elsewhere (a pipe, a file, TERM=dumb) there are only plain
 * lines; in the background of a terminal there is no live line, because
 * somebody else types there.  Bars are drawn with block characters where the locale's
 * character set is UTF-8, else with ASCII.
 *
 * Thread: one at a time, whoever owns it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_SCREEN_H
#define COMMANDS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/buf.h"

enum ink {
	INK_PLAIN,
	INK_DIM,
	INK_BOLD,
	INK_GREEN,
	INK_RED,
	INK_YELLOW,
	INK_CYAN,
	INK_MAGENTA,
	INK_N
};

enum { SCREEN_LINE_MAX = 4096 /* bytes of the live line */ };

struct screen {
	FILE *out;
	bool is_terminal; /* lines may be redrawn */
	bool has_colour;
	bool is_utf8;
	struct buf live; /* "": none is shown */
};

/** Look at `out` and the environment. */
void screen_init(struct screen *s, FILE *out);

/** Take the live line away. */
void screen_fini(struct screen *s);

/** Columns now (80 where it is not a terminal). */
size_t screen_width(const struct screen *s);

/** What switches to an ink; "" without colour.  INK_PLAIN ends the others. */
const char *screen_ink(const struct screen *s, enum ink ink);

/** Print a line that stays (without its newline). */
void screen_say(struct screen *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** Show this as the live line, at most screen_width - 1 columns, which the
 *  caller sees to; "": none.  Does nothing where there is no terminal. */
void screen_live(struct screen *s, const char *text);

/** Append a bar of `cells` columns, `part` (0..1) of it filled. */
void screen_bar(const struct screen *s, double part, size_t cells,
		struct buf *out);

/** Append one column that shows a level (0..1). */
void screen_level(const struct screen *s, double level, struct buf *out);

/** Append `text` (UTF-8) cut to at most `columns`, the rest filled with
 *  spaces; characters that may be wide count as two, control characters are
 *  shown as '?'. */
void screen_cut(const char *text, size_t columns, struct buf *out);

#endif
