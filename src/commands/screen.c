/** commands/screen.c -- lines that stay, and one that is redrawn. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_MIN = 20, LEVELS = 8 };

/** The environment, an empty variable being none. */
static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/** Source: setlocale(3): LC_ALL, then LC_CTYPE, then LANG. */
static bool locale_is_utf8(void)
{
	const char *name = env("LC_ALL");

	if (!name)
		name = env("LC_CTYPE");
	if (!name)
		name = env("LANG");
	return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8"));
}

void screen_init(struct screen *s, FILE *out)
{
	const char *term = env("TERM");

	*s = (struct screen){.out = out};
	s->is_terminal =
		isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
	s->has_colour = s->is_terminal && !env("NO_COLOR");
	s->is_utf8 = locale_is_utf8();
	buf_init(&s->live, SCREEN_LINE_MAX);
}

void screen_fini(struct screen *s)
{
	screen_live(s, "");
	buf_fini(&s->live);
}

size_t screen_width(const struct screen *s)
{
	struct winsize size = {0};

	if (!s->is_terminal || ioctl(fileno(s->out), TIOCGWINSZ, &size) ||
	    !size.ws_col)
		return WIDTH_DEFAULT;
	return size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col;
}

/* Source: ECMA-48 section 8.3.117, SGR. */
const char *screen_ink(const struct screen *s, enum ink ink)
{
	static const char *const codes[INK_N] = {
		[INK_PLAIN] = "\033[0m", [INK_DIM] = "\033[2m",
		[INK_BOLD] = "\033[1m",	 [INK_GREEN] = "\033[32m",
		[INK_RED] = "\033[31m",	 [INK_YELLOW] = "\033[33m",
		[INK_CYAN] = "\033[36m", [INK_MAGENTA] = "\033[35m",
	};

	return s->has_colour ? codes[ink] : "";
}

/* ---- lines ------------------------------------------------------------------ */

/** Does the terminal belong to us now?  In the background (`&`) somebody types
 *  there: nothing may be redrawn. */
static bool is_foreground(const struct screen *s)
{
	pid_t owner = s->is_terminal ? tcgetpgrp(fileno(s->out)) : -1;

	return owner < 0 || owner == getpgrp();
}

/** Back to the first column, and nothing on the line (ECMA-48 EL): no live
 *  line, no "^C". */
static void wipe(struct screen *s)
{
	if (s->is_terminal && (s->live.len || is_foreground(s)))
		fputs("\r\033[K", s->out);
}

void screen_say(struct screen *s, const char *fmt, ...)
{
	va_list ap;

	wipe(s);
	va_start(ap, fmt);
	vfprintf(s->out, fmt, ap);
	va_end(ap);
	putc('\n', s->out);
	fputs(buf_str(&s->live), s->out);
	fflush(s->out);
}

void screen_live(struct screen *s, const char *text)
{
	if (!s->is_terminal)
		return;
	if (!s->live.len && !text[0])
		return;
	wipe(s);
	buf_clear(&s->live);
	buf_puts(&s->live, is_foreground(s) ? text : "");
	fputs(buf_str(&s->live), s->out);
	fflush(s->out);
}

/* ---- drawing ------------------------------------------------------------------ */

void screen_bar(const struct screen *s, double part, size_t cells,
		struct buf *out)
{
	size_t full;

	if (part < 0)
		part = 0;
	if (part > 1)
		part = 1;
	full = (size_t)(part * (double)cells + 0.5);
	buf_puts(out, screen_ink(s, INK_GREEN));
	for (size_t i = 0; i < full; i++)
		buf_puts(out, s->is_utf8 ? "━" : "#");
	buf_puts(out, screen_ink(s, INK_PLAIN));
	buf_puts(out, screen_ink(s, INK_DIM));
	for (size_t i = full; i < cells; i++)
		buf_puts(out, s->is_utf8 ? "─" : ".");
	buf_puts(out, screen_ink(s, INK_PLAIN));
}

void screen_level(const struct screen *s, double level, struct buf *out)
{
	static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄",
						   "▅", "▆", "▇", "█"};
	static const char *const letters[LEVELS] = {".", ":", "-", "=",
						    "+", "*", "%", "#"};
	int i = (int)(level * LEVELS);

	if (i < 0)
		i = 0;
	if (i > LEVELS - 1)
		i = LEVELS - 1;
	buf_puts(out, s->is_utf8 ? blocks[i] : letters[i]);
}

/** Bytes of the UTF-8 character that begins at `p`. */
static size_t character_len(const char *p)
{
	size_t len = 1;

	while (((unsigned char)p[len] & 0xc0) == 0x80)
		len++;
	return len;
}

void screen_cut(const char *text, size_t columns, struct buf *out)
{
	size_t n = 0;

	while (*text) {
		size_t len = character_len(text);
		size_t wide = len < 3 ? 1 : 2; /* at most */

		if (n + wide > columns)
			break;
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			buf_putc(out, '?');
		else
			buf_append(out, text, len);
		n += wide;
		text += len;
	}
	for (; n < columns; n++)
		buf_putc(out, ' ');
}
