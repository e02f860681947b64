/** commands/wave.c -- what of a task was recorded when. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/wave.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "commands/commands.h"

/* Unix times that are believed [ms], and lengths of an axis. */
#define TIME_MAX_MS (INT64_C(1) << 52)
#define AXIS_MAX_MS (INT64_C(10) * 365 * 24 * 3600 * 1000)

static bool is_mix(const char *mode)
{
	return strcmp(mode, "single") != 0;
}

const char *wave_track_name(const struct wave_track *t)
{
	return is_mix(t->mode) ? "mix" : t->user;
}

static enum wave_mark mark_of(const json_t *row)
{
	const char *state = client_text(row, "state");

	if (!strcmp(state, "closed"))
		return WAVE_CLOSED;
	return strcmp(state, "lost") != 0 ? WAVE_OPEN : WAVE_LOST;
}

/* ---- tracks --------------------------------------------------------------- */

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/** By track, then by time. */
static int compare_segments(const void *a, const void *b)
{
	const struct wave_segment *x = a;
	const struct wave_segment *y = b;
	int by = strcmp(client_text(x->row, "mode"),
			client_text(y->row, "mode"));

	if (!by)
		by = strcmp(client_text(x->row, "user"),
			    client_text(y->row, "user"));
	if (!by)
		by = compare_numbers(x->start_ms, y->start_ms);
	return by ? by
		  : compare_numbers(client_number(x->row, "seq"),
				    client_number(y->row, "seq"));
}

static int compare_tracks(const void *a, const void *b)
{
	const struct wave_track *x = a;
	const struct wave_track *y = b;
	int by = is_mix(x->mode) - is_mix(y->mode);

	if (!by)
		by = compare_numbers(x->segments[0].start_ms,
				     y->segments[0].start_ms);
	return by ? by : strcmp(x->user, y->user);
}

/** Are both of one track? */
static bool are_kin(const struct wave_segment *a, const struct wave_segment *b)
{
	return !strcmp(client_text(a->row, "user"),
		       client_text(b->row, "user")) &&
	       !strcmp(client_text(a->row, "mode"),
		       client_text(b->row, "mode"));
}

static void make_tracks(struct wave *w)
{
	for (size_t i = 0; i < w->n_segments; i++) {
		struct wave_segment *s = &w->segments[i];

		if (i == 0 || !are_kin(s - 1, s))
			w->tracks[w->n_tracks++] = (struct wave_track){
				.user = client_text(s->row, "user"),
				.mode = client_text(s->row, "mode"),
				.segments = s};
		w->tracks[w->n_tracks - 1].n++;
	}
	qsort(w->tracks, w->n_tracks, sizeof(*w->tracks), compare_tracks);
}

/* ---- segments ------------------------------------------------------------- */

static int take_row(struct wave *w, const json_t *row, int64_t now_ms)
{
	struct wave_segment s = {.row = row, .mark = mark_of(row)};
	int64_t length = client_number(row, "duration_ms");

	s.start_ms = client_number(row, "start_ms");
	if (s.start_ms < 0 || s.start_ms > TIME_MAX_MS || length < 0 ||
	    length > AXIS_MAX_MS)
		return EBADMSG;
	s.end_ms = s.start_ms + length;
	if (s.mark == WAVE_OPEN && now_ms > s.end_ms)
		s.end_ms = now_ms;
	if (w->n_segments == 0 || s.start_ms < w->start_ms)
		w->start_ms = s.start_ms;
	if (s.end_ms > w->end_ms)
		w->end_ms = s.end_ms;
	if (w->end_ms == w->start_ms)
		w->end_ms++;
	w->n_marks[s.mark]++;
	w->segments[w->n_segments++] = s;
	return 0;
}

int wave_plan(const json_t *rows, int64_t now_ms, struct wave *w, struct err *e)
{
	const size_t n = json_array_size(rows);
	const json_t *row;
	size_t i;
	int err = 0;

	*w = (struct wave){0};
	if (!n)
		return 0;
	w->segments = mem_zalloc_n(n, sizeof(*w->segments));
	w->tracks = mem_zalloc_n(n, sizeof(*w->tracks));
	if (!w->segments || !w->tracks)
		return err_set(e, ENOMEM, "", "out of memory");
	json_array_foreach(rows, i, row)
	{
		if (!err)
			err = take_row(w, row, now_ms);
	}
	if (err || w->end_ms - w->start_ms > AXIS_MAX_MS)
		return err_set(e, EBADMSG, "start_ms",
			       "the segments' times cannot be");
	qsort(w->segments, n, sizeof(*w->segments), compare_segments);
	make_tracks(w);
	return 0;
}

void wave_free(struct wave *w)
{
	mem_free(w->segments);
	mem_free(w->tracks);
	mem_free(w->columns);
	*w = (struct wave){0};
}

/* ---- JSON ------------------------------------------------------------------- */

static double rounded(double level)
{
	return round(level * 10000) / 10000;
}

/** Append a number a column, null where nothing was recorded.  Returns 0 or
 *  -1. */
static int add_levels(const struct wave_track *t, json_t *peaks, json_t *rms)
{
	int bad = 0;

	for (size_t i = 0; i < t->wave.n && !bad; i++) {
		const struct sound_column *c = &t->wave.columns[i];

		bad |= json_array_append_new(
			peaks, c->frames ? json_real(rounded(c->peak / 32768.0))
					 : json_null());
		bad |= json_array_append_new(
			rms, c->frames ? json_real(rounded(sound_column_rms(c)))
				       : json_null());
	}
	return bad;
}

static json_t *segments_json(const struct wave_track *t)
{
	static const char *const names[] = {"gap", "closed", "open", "unread",
					    "lost"};
	json_t *list = json_array();

	for (size_t i = 0; i < t->n && list; i++) {
		const struct wave_segment *s = &t->segments[i];
		json_t *item = json_pack(
			"{s:s, s:I, s:I, s:I, s:s}", "segment_id",
			client_text(s->row, "segment_id"), "seq",
			(json_int_t)client_number(s->row, "seq"), "start_ms",
			(json_int_t)s->start_ms, "end_ms",
			(json_int_t)s->end_ms, "state", names[s->mark]);

		if (json_array_append_new(list, item)) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static json_t *track_json(const struct wave *w, const struct wave_track *t)
{
	json_t *peaks = json_array();
	json_t *rms = json_array();

	if (add_levels(t, peaks, rms)) {
		json_decref(peaks);
		peaks = NULL; /* json_pack frees the rest */
	}
	return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "user", t->user,
			 "mode", t->mode, "start_ms", (json_int_t)w->start_ms,
			 "end_ms", (json_int_t)w->end_ms, "peaks", peaks, "rms",
			 rms, "segments", segments_json(t));
}

int wave_print(const struct wave *w, const json_t *task)
{
	json_t *tracks = json_array();
	json_t *all;
	int code;

	for (size_t i = 0; i < w->n_tracks && tracks; i++) {
		if (json_array_append_new(tracks,
					  track_json(w, &w->tracks[i]))) {
			json_decref(tracks);
			tracks = NULL;
		}
	}
	all = json_pack("{s:s, s:s, s:i, s:i, s:i, s:o}", "task_id",
			client_text(task, "task_id"), "state",
			client_text(task, "state"), "segments_open",
			(int)w->n_marks[WAVE_OPEN], "segments_lost",
			(int)w->n_marks[WAVE_LOST], "segments_unread",
			(int)w->n_marks[WAVE_UNREAD], "tracks", tracks);
	code = client_print(all);
	json_decref(all);
	return code;
}
