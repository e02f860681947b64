/**
 * commands/wave.h -- a task's tracks on one time axis, for `tapeop tasks ID
 * --wave`.
 *
 * Three steps: wave_plan (what was recorded when, by the segments' rows),
 * wave_read (the sound of the closed ones, one after another, never held), and
 * wave_draw or wave_print.
 *
 * Thread: one at a time; wave_read blocks as long as the files take.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_WAVE_H
#define COMMANDS_WAVE_H

#include "commands/client.h"
#include "commands/screen.h"
#include "sound/sound.h"

enum {
	WAVE_WIDTH_MIN = 10, /* columns of the terminal that are made use of */
	WAVE_COLUMNS_MAX = 10000,
	WAVE_PRINT_COLUMNS = 100 /* of --json, when nobody said */
};

/** What a stretch of a track is; of several in one column the later wins. */
enum wave_mark {
	WAVE_GAP,    /* nothing was recorded: microphone off */
	WAVE_CLOSED, /* a file that is finished */
	WAVE_OPEN,   /* one that is still being recorded: not read */
	WAVE_UNREAD, /* finished, but it could not be read */
	WAVE_LOST
};

struct wave_segment {
	const json_t *row; /* as the API gave it */
	int64_t start_ms, end_ms;
	enum wave_mark mark;
};

struct wave_track {
	const char *user;	       /* "0" of the mix */
	const char *mode;	       /* "single", "mixed" */
	struct wave_segment *segments; /* in order of time */
	size_t n;
	struct sound_wave wave; /* on the axis of them all */
};

/** Fields are for reading. */
struct wave {
	int64_t start_ms, end_ms;      /* of the axis; end > start */
	struct wave_track *tracks;     /* by first sound, the mix last */
	size_t n_tracks;	       /* 0: nothing was recorded */
	size_t n_marks[WAVE_LOST + 1]; /* segments of each */
	/* private */
	struct wave_segment *segments;
	size_t n_segments;
	struct sound_column *columns;
};

/**
 * Group the segments of a task; wave_free in any case.
 *
 * rows     the API's list; must outlive the wave.  Nothing in it is believed.
 * now_ms   Unix time: where files end that are still open
 *
 * Returns 0, EBADMSG with `e` (times that cannot be), ENOMEM with `e`.
 */
MUST_CHECK int wave_plan(const json_t *rows, int64_t now_ms, struct wave *w,
			 struct err *e);
void wave_free(struct wave *w);

/** Columns that the names of the tracks may take of a terminal of `width`. */
size_t wave_name_columns(const struct wave *w, size_t width);

/** Name of a track, for people: its user, or "mix". */
const char *wave_track_name(const struct wave_track *t);

/**
 * Read the files into `n_columns` (1..WAVE_COLUMNS_MAX) columns a track; tells
 * on stderr how far it is, if that is a terminal.  Files that cannot be read
 * are marked, and said on stderr; without an answer it ends.
 * Returns an exit code: EXIT_FAILED also when only some could not be read, and
 * then *complete is true all the same.
 *
 * complete   out: there is something to show
 */
MUST_CHECK int wave_read(const struct client *c, struct wave *w,
			 size_t n_columns, bool *complete);

/** Draw for people, lines of `width` columns at most. */
void wave_draw(const struct wave *w, const json_t *task,
	       const struct screen *screen, size_t width);

/** Print as JSON.  Returns an exit code. */
int wave_print(const struct wave *w, const json_t *task);

#endif
