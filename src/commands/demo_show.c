/** commands/demo_show.c -- what `tapeop demo` shows. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "commands/demo.h"
#include "wire/json_text.h"

enum {
	TELL_US = 2 * CLOCK_US_PER_S, /* between lines about the voices */
	TEXT_MAX = 1200,
	JSON_MAX = 16 << 20,
	NAME_COLUMNS = 5, /* of a voice */
	BAR_MIN = 16,	  /* columns */
	BAR_MAX = 60,
	METER_MIN = 4,
	METER_MAX = 24,
	METER_PLAIN = 16 /* where nothing is redrawn: fits 80 columns */
};

void show_init(struct show *s, FILE *to, const struct demo_places *places)
{
	*s = (struct show){.places = places};
	screen_init(&s->screen, to);
}

void show_fini(struct show *s)
{
	screen_fini(&s->screen);
}

static double seconds(int64_t us)
{
	return (double)us / CLOCK_US_PER_S;
}

/* ---- the story ------------------------------------------------------------- */

void show_begin(struct show *s, int64_t now_us)
{
	const struct screen *sc = &s->screen;
	const char *dim = screen_ink(sc, INK_DIM);
	const char *bold = screen_ink(sc, INK_BOLD);
	const char *plain = screen_ink(sc, INK_PLAIN);
	const struct demo_places *p = s->places;

	s->began_us = now_us;
	s->told_us = now_us;
	screen_say(&s->screen,
		   "%stapeop demo%s: two people talk, the tape "
		   "rolls, a backend is told of every step.\n",
		   bold, plain);
	screen_say(&s->screen, "  recorder  %s%s", p->server,
		   p->is_usual_port ? "" : "   (port 8080 is taken)");
	screen_say(&s->screen,
		   "  backend   %s  %s  verifies and stores each "
		   "callback%s",
		   p->backend, dim, plain);
	screen_say(&s->screen, "  files     %s  %s  log: server.log%s\n",
		   p->dir, dim, plain);
}

void show_line(struct show *s, int64_t now_us, const char *who, enum ink ink,
	       const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	screen_say(
		&s->screen, "%s%6.1f s%s  %s%-8s%s  %s",
		screen_ink(&s->screen, INK_DIM), seconds(now_us - s->began_us),
		screen_ink(&s->screen, INK_PLAIN), screen_ink(&s->screen, ink),
		who, screen_ink(&s->screen, INK_PLAIN), text);
}

void show_callback(struct show *s, int64_t now_us, const struct callback *c)
{
	const struct event *e = &c->event;
	const char *kind = e->kind < EVENT_KIND_N ? event_kind_name(e->kind)
						  : "of another sender";
	char about[ID_MAX + 32] = "";

	if (event_is_of_segment(e->kind))
		snprintf(about, sizeof(about), "%s, file %" PRIu32, e->user,
			 e->seq);
	else
		snprintf(about, sizeof(about), "room %s", e->room);
	show_line(s, now_us, "backend", INK_PLAIN,
		  "%s%s%s %-4s %3d  %-14s  %s%s%s",
		  screen_ink(&s->screen, INK_GREEN),
		  s->screen.is_utf8 ? "✓" : "ok",
		  screen_ink(&s->screen, INK_PLAIN), dialect_name(c->dialect),
		  c->type, kind, screen_ink(&s->screen, INK_DIM), about,
		  screen_ink(&s->screen, INK_PLAIN));
}

/* ---- the voices -------------------------------------------------------------- */

static void write_meter(const struct screen *sc, const struct demo_voice *v,
			size_t cells, struct buf *out)
{
	buf_puts(out, "  ");
	buf_puts(out, screen_ink(sc, v->ink));
	screen_cut(v->user, NAME_COLUMNS, out);
	buf_putc(out, ' ');
	for (size_t i = DEMO_LEVELS - cells; i < DEMO_LEVELS; i++)
		screen_level(sc, v->levels[i], out);
	buf_puts(out, screen_ink(sc, INK_PLAIN));
}

/** How many columns each meter and the bar get; 0: no room for it. */
static void share_columns(size_t width, size_t *cells, size_t *bar)
{
	const size_t names = DEMO_VOICES * (3 + NAME_COLUMNS);
	const size_t bar_fixed = 2 + 8;	   /* "  " before, " 600.0 s" behind */
	const size_t room = width - 8 - 1; /* "  12.3 s"; one stays free */

	*cells = 0;
	*bar = 0;
	if (room < names + DEMO_VOICES * METER_MIN)
		return;
	*cells = (room - names) / DEMO_VOICES;
	if (room >= names + DEMO_VOICES * METER_MIN + bar_fixed + BAR_MIN)
		*cells = (room - names - bar_fixed - BAR_MIN) / DEMO_VOICES;
	if (*cells > METER_MAX)
		*cells = METER_MAX;
	if (room >= names + DEMO_VOICES * *cells + bar_fixed + BAR_MIN)
		*bar = room - names - DEMO_VOICES * *cells - bar_fixed;
	if (*bar > BAR_MAX)
		*bar = BAR_MAX;
}

static void draw_voices(struct show *s, const struct demo_voice *voices,
			int64_t spoken_us, int64_t speak_us)
{
	const struct screen *sc = &s->screen;
	size_t cells, bar;
	struct buf line;

	share_columns(screen_width(sc), &cells, &bar);
	buf_init(&line, SCREEN_LINE_MAX);
	buf_printf(&line, "%6.1f s", seconds(spoken_us));
	for (int i = 0; i < DEMO_VOICES && cells; i++)
		write_meter(sc, &voices[i], cells, &line);
	if (bar) {
		buf_puts(&line, "  ");
		screen_bar(sc, (double)spoken_us / (double)speak_us, bar,
			   &line);
		buf_printf(&line, " %.1f s", seconds(speak_us));
	}
	screen_live(&s->screen, buf_str(&line));
	buf_fini(&line);
}

/** Where nothing can be redrawn. */
static void tell_voices(struct show *s, int64_t now_us,
			const struct demo_voice *voices, int64_t spoken_us,
			int64_t speak_us)
{
	struct buf line;

	if (now_us - s->told_us < TELL_US)
		return;
	s->told_us = now_us;
	buf_init(&line, SCREEN_LINE_MAX);
	for (int i = 0; i < DEMO_VOICES; i++)
		write_meter(&s->screen, &voices[i], METER_PLAIN, &line);
	show_line(s, now_us, "tape", INK_PLAIN, "%.0f of %.0f s%s",
		  seconds(spoken_us), seconds(speak_us), buf_str(&line));
	buf_fini(&line);
}

void show_voices(struct show *s, int64_t now_us,
		 const struct demo_voice voices[DEMO_VOICES], int64_t spoken_us,
		 int64_t speak_us)
{
	if (s->screen.is_terminal)
		draw_voices(s, voices, spoken_us, speak_us);
	else
		tell_voices(s, now_us, voices, spoken_us, speak_us);
}

void show_voices_end(struct show *s)
{
	screen_live(&s->screen, "");
}

void show_waiting(struct show *s, int64_t now_us, const char *for_what)
{
	char text[TEXT_MAX];
	struct buf line;

	snprintf(text, sizeof(text), "%6.1f s  waits for: %s",
		 seconds(now_us - s->began_us), for_what);
	buf_init(&line, SCREEN_LINE_MAX);
	screen_cut(text, screen_width(&s->screen) - 1, &line);
	screen_live(&s->screen, buf_str(&line));
	buf_fini(&line);
}

/* ---- the end ------------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/** Append `text` as one word for a shell. */
static void write_word(const char *text, struct buf *out)
{
	static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789"
				   "-._/:=%+,@";

	if (text[0] && strspn(text, safe) == strlen(text)) {
		buf_puts(out, text);
		return;
	}
	buf_putc(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *text);
	}
	buf_putc(out, '\'');
}

/** Is there such a program? */
static bool is_installed(const char *program)
{
	const char *path = getenv("PATH");
	char file[TEXT_MAX];

	while (path && *path) {
		size_t len = strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)len, path,
			 program);
		if (!access(file, X_OK))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

static const char *player(void)
{
	static const struct {
		const char *program, *command;
	} players[] = {
		{"ffplay", "ffplay -nodisp -autoexit"},
		{"mpg123", "mpg123"},
		{"mpv", "mpv"},
		{"play", "play"},
	};

	for (size_t i = 0; i < ARRAY_LEN(players); i++) {
		if (is_installed(players[i].program))
			return players[i].command;
	}
	return players[0].command;
}

static void list_files(struct show *s, const json_t *segments)
{
	const json_t *item;
	size_t i;

	json_array_foreach(segments, i, item)
	{
		struct buf word;

		buf_init(&word, SCREEN_LINE_MAX);
		write_word(text_of(item, "file"), &word);
		screen_say(&s->screen, "  %-5s %6.2f s  %s",
			   text_of(item, "user"),
			   (double)json_integer_value(
				   json_object_get(item, "duration_ms")) /
				   1000,
			   buf_str(&word));
		buf_fini(&word);
	}
}

static void suggest(struct show *s, const char *what, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

static void suggest(struct show *s, const char *what, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (what[0])
		screen_say(&s->screen, "  %s%s%s",
			   screen_ink(&s->screen, INK_DIM), what,
			   screen_ink(&s->screen, INK_PLAIN));
	screen_say(&s->screen, "    %s", text);
}

static void suggest_listening(struct show *s, const json_t *segments)
{
	const char *file = text_of(json_array_get(segments, 0), "file");
	struct buf word;

	if (!file[0])
		return;
	buf_init(&word, SCREEN_LINE_MAX);
	write_word(file, &word);
	suggest(s, "listen", "%s %s", player(), buf_str(&word));
	buf_fini(&word);
}

/** Commands to copy.  They need the server. */
static void suggest_more(struct show *s, const struct demo_result *r)
{
	static const char own[] = "assets/demo/alice.opus";
	const struct demo_places *p = s->places;
	const char *name = program_invocation_name;

	suggest(s, "ask the recorder", "curl %s/v1/tasks/%s/segments",
		p->server, r->task);
	suggest(s, "", "curl %s/metrics", p->server);
	suggest(s, "ask the backend what it knows", "curl %s/v1/recordings",
		p->backend);
	suggest(s,
		"be recorded yourself, from WAV or Ogg Opus; its callbacks "
		"are shown here",
		"%s publish %s --app %d --room mine --user me%s%s & sleep 1",
		name, access(own, R_OK) ? "hello.wav" : own, DEMO_APP,
		p->is_usual_port ? "" : " --server ",
		p->is_usual_port ? "" : p->server);
	suggest(s, "", "curl -X POST %s/v1/apps/%d/rooms/mine/tasks", p->server,
		DEMO_APP);
}

static void list_missing(struct show *s, const json_t *missing)
{
	const json_t *item;
	size_t i;

	json_array_foreach(missing, i, item)
	{
		screen_say(&s->screen, "  %smissing:%s %s",
			   screen_ink(&s->screen, INK_RED),
			   screen_ink(&s->screen, INK_PLAIN),
			   json_string_value(item));
	}
}

void show_end(struct show *s, const struct demo_result *r)
{
	const bool good = !json_array_size(r->missing);

	screen_say(
		&s->screen,
		"\n%s%s%s: %zu files, %" PRIu64 " callbacks verified, %" PRIu64
		" refused, %" PRIu64 " twice.",
		screen_ink(&s->screen, good ? INK_GREEN : INK_RED),
		good ? "Everything arrived" : "Not everything arrived",
		screen_ink(&s->screen, INK_PLAIN), json_array_size(r->segments),
		r->verified, r->refused, r->duplicates);
	list_files(s, r->segments);
	list_missing(s, r->missing);
	if (!good)
		screen_say(&s->screen, "  %s/server.log says more",
			   s->places->dir);
	if (s->places->stays)
		screen_say(&s->screen,
			   "\nThe recorder stays up until Ctrl-C.  Try, in "
			   "another terminal:");
	else
		screen_say(&s->screen, "\nTry next:");
	suggest_listening(s, r->segments);
	if (s->places->stays)
		suggest_more(s, r);
	else
		suggest(s, "the same, and the recorder stays up", "%s demo",
			program_invocation_name);
	screen_say(&s->screen, "%s", "");
}

int show_json(const struct demo_result *r)
{
	json_t *o = json_pack("{s:s, s:O, s:I, s:I, s:I}", "task_id", r->task,
			      "segments", r->segments, "callbacks_verified",
			      (json_int_t)r->verified, "callbacks_rejected",
			      (json_int_t)r->refused, "duplicates",
			      (json_int_t)r->duplicates);
	struct buf text;
	int err;

	buf_init(&text, JSON_MAX);
	err = json_text_write(o, &text);
	if (!err && (printf("%s\n", buf_str(&text)) < 0 || fflush(stdout)))
		err = EIO;
	buf_fini(&text);
	json_decref(o);
	return err;
}
