/**
 * receive/recordings_show.c -- one truth from events in any order: showing it.
 *
 * All is sorted by what was told, never by when, so that the same events give
 * the same text.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "receive/recordings.h"

/** A segment as it is shown: of one or two that were told of. */
struct shown {
	const struct seen_segment *s, *also; /* also: NULL, or by file name */
	const char *user;
	bool mixed;
	enum seen_rank rank;
	json_int_t start_ms, end_ms, last_ms;
};

/** The segments of a task; the arrays are of `cap`. */
struct gathered {
	struct shown *all;
	size_t n;
	size_t counts[SEEN_UPLOADED + 1];
};

static const char *const rank_names[] = {"unknown", "started", "completed",
					 "uploaded"};

/* ---- what segments come to ------------------------------------------------- */

static const char *text_of(const struct seen_segment *s, int which)
{
	return s && s->texts[which].value ? s->texts[which].value : "";
}

/** Of two that tell of the same segment. */
static const char *pick_text(const struct shown *w, int which)
{
	const struct seen_text *a = &w->s->texts[which];
	const struct seen_text *b = w->also ? &w->also->texts[which] : NULL;

	if (!b || !b->value)
		return a->value ? a->value : "";
	if (!a->value || b->weight > a->weight ||
	    (b->weight == a->weight && strcmp(b->value, a->value) > 0))
		return b->value;
	return a->value;
}

static json_int_t pick_number(const struct shown *w, int which)
{
	const struct seen_number *a = &w->s->numbers[which];
	const struct seen_number *b = w->also ? &w->also->numbers[which] : NULL;

	if (b && (b->weight > a->weight ||
		  (b->weight == a->weight && b->value > a->value)))
		return b->value;
	return a->value;
}

static int compare_numbers(json_int_t a, json_int_t b)
{
	return (a > b) - (a < b);
}

/** By file; of one file those with a number first. */
static int compare_files(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int d = strcmp(text_of(x->s, SEEN_FILE), text_of(y->s, SEEN_FILE));

	if (!d)
		d = y->s->has_seq - x->s->has_seq;
	if (!d)
		d = x->s->mixed - y->s->mixed;
	if (!d)
		d = strcmp(x->s->user, y->s->user);
	return d ? d : compare_numbers(x->s->seq, y->s->seq);
}

/** As they are shown: the mix, then users, each in order of time. */
static int compare_shown(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int d = y->mixed - x->mixed;

	if (!d)
		d = strcmp(x->user, y->user);
	if (!d)
		d = y->s->has_seq - x->s->has_seq;
	if (!d)
		d = compare_numbers(x->s->seq, y->s->seq);
	if (!d)
		d = compare_numbers(x->start_ms, y->start_ms);
	return d ? d
		 : strcmp(text_of(x->s, SEEN_FILE), text_of(y->s, SEEN_FILE));
}

/** The newest first. */
static int compare_newest(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;
	int d = compare_numbers(y->last_ms, x->last_ms);

	return d ? d : compare_shown(y, x);
}

/** Put what is known by its file name only to the segment that has it. */
static void join(struct gathered *g)
{
	size_t n = 0, first = 0; /* of all that have this file */

	qsort(g->all, g->n, sizeof(*g->all), compare_files);
	for (size_t i = 0; i < g->n; i++) {
		struct shown *w = &g->all[i];
		const char *file = text_of(w->s, SEEN_FILE);
		bool same =
			n && !strcmp(file, text_of(g->all[first].s, SEEN_FILE));

		if (same && !w->s->has_seq) {
			g->all[first].also = w->s;
			continue;
		}
		if (!same)
			first = n;
		g->all[n++] = *w;
	}
	g->n = n;
}

static void describe(const struct seen_task *t, struct shown *w)
{
	const json_t *file = json_object_get(t->files, pick_text(w, SEEN_FILE));
	json_int_t duration_ms = pick_number(w, SEEN_DURATION_MS);

	w->rank = w->s->rank;
	w->last_ms = w->s->last_ms;
	if (w->also && w->also->rank > w->rank)
		w->rank = w->also->rank;
	if (w->also && w->also->last_ms > w->last_ms)
		w->last_ms = w->also->last_ms;
	if (file && t->files_ok)
		w->rank = SEEN_UPLOADED;
	w->user = w->s->has_seq ? w->s->user : text_of(w->s, SEEN_USER);
	w->mixed = w->s->mixed || (!w->s->has_seq && !w->user[0]);
	if (!w->user[0] && w->mixed)
		w->user = "0";
	w->start_ms = pick_number(w, SEEN_START_MS);
	w->end_ms = pick_number(w, SEEN_END_MS);
	if (!w->start_ms)
		w->start_ms = recordings_number(file, "start_ms");
	if (!w->end_ms)
		w->end_ms = recordings_number(file, "end_ms");
	if (!w->end_ms && w->start_ms && duration_ms)
		w->end_ms = w->start_ms + duration_ms;
}

/** Where the dialect has no word for it: has it ended? */
static void conclude(const struct seen_task *t, struct gathered *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct shown *w = &g->all[i];
		const struct shown *next = i + 1 < g->n ? w + 1 : NULL;
		bool followed = next && !next->s->has_seq &&
				next->mixed == w->mixed &&
				!strcmp(next->user, w->user);

		if (w->s->has_seq)
			continue;
		if (w->rank < SEEN_COMPLETED &&
		    (followed || t->stopped || t->failed || t->upload_stopped))
			w->rank = SEEN_COMPLETED;
		if (t->upload_stopped)
			w->rank = SEEN_UPLOADED;
	}
}

/** Returns false when out of memory. */
static bool gather(const struct seen_task *t, struct gathered *g)
{
	*g = (struct gathered){
		.all = mem_zalloc_n(t->n_segments + 1, sizeof(*g->all))};
	if (!g->all)
		return false;
	LIST_EACH(&t->segments, l, after)
	g->all[g->n++].s = CONTAINER_OF(l, struct seen_segment, link);
	join(g);
	for (size_t i = 0; i < g->n; i++)
		describe(t, &g->all[i]);
	qsort(g->all, g->n, sizeof(*g->all), compare_shown);
	conclude(t, g);
	for (size_t i = 0; i < g->n; i++)
		g->counts[g->all[i].rank]++;
	return true;
}

/* ---- as JSON: each NULL when out of memory ------------------------------------ */

/** Append and take over; false when out of memory (also: `v` is NULL). */
static bool push(json_t *list, json_t *v)
{
	return !json_array_append_new(list, v);
}

/** Set and take over; the same. */
static bool put(json_t *o, const char *name, json_t *v)
{
	return !json_object_set_new(o, name, v);
}

static bool put_text(json_t *o, const char *name, const char *text)
{
	return !text[0] || put(o, name, json_string(text));
}

static bool put_number(json_t *o, const char *name, json_int_t value)
{
	return !value || put(o, name, json_integer(value));
}

static json_t *whole(json_t *o, bool ok)
{
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *segment_json(const struct shown *w)
{
	json_t *o = json_pack("{s:s, s:s}", "user", w->user, "mode",
			      w->mixed ? "mixed" : "single");
	json_int_t duration_ms = pick_number(w, SEEN_DURATION_MS);
	bool ok = o != NULL;

	if (!duration_ms && w->start_ms && w->end_ms > w->start_ms)
		duration_ms = w->end_ms - w->start_ms;
	if (ok && w->s->has_seq)
		ok = put(o, "seq", json_integer(w->s->seq));
	ok = ok && put(o, "state", json_string(rank_names[w->rank])) &&
	     put(o, "file", json_string(pick_text(w, SEEN_FILE))) &&
	     put_number(o, "start_ms", w->start_ms) &&
	     put_number(o, "end_ms", w->end_ms) &&
	     put_number(o, "duration_ms", duration_ms) &&
	     put_number(o, "size", pick_number(w, SEEN_SIZE)) &&
	     put_text(o, "sha256", pick_text(w, SEEN_SHA256)) &&
	     put_text(o, "location", pick_text(w, SEEN_LOCATION));
	if (ok && w->rank < SEEN_UPLOADED) /* what failed was made good */
		ok = put_text(o, "failure", pick_text(w, SEEN_REASON));
	return whole(o, ok);
}

static json_t *segments_json(struct gathered *g, size_t max)
{
	json_t *list = json_array();
	size_t n = max && max < g->n ? max : g->n;
	bool ok = list != NULL;

	if (n < g->n) {
		qsort(g->all, g->n, sizeof(*g->all), compare_newest);
		qsort(g->all, n, sizeof(*g->all), compare_shown);
	}
	for (size_t i = 0; ok && i < n; i++)
		ok = push(list, segment_json(&g->all[i]));
	return whole(list, ok);
}

static int compare_names(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/** The values of an object in order of their names; `max` 0: all. */
static json_t *sorted_json(json_t *object, size_t max)
{
	size_t n = 0;
	const char **names =
		mem_zalloc_n(json_object_size(object) + 1, sizeof(*names));
	json_t *list = json_array();
	bool ok = names && list;
	const char *name;
	json_t *value;

	if (ok) {
		json_object_foreach(object, name, value)
		{
			names[n++] = name;
		}
		qsort(names, n, sizeof(*names), compare_names);
	}
	if (max && n > max)
		n = max;
	for (size_t i = 0; ok && i < n; i++)
		ok = push(list, json_incref(json_object_get(object, names[i])));
	mem_free(names);
	return whole(list, ok);
}

/** The same one, told by a dialect that does not say of which segment? */
static bool is_less_of(const json_t *a, const json_t *b)
{
	return a != b && !json_object_get(a, "seq") &&
	       json_object_get(b, "seq") &&
	       json_equal(json_object_get(a, "kind"),
			  json_object_get(b, "kind")) &&
	       json_equal(json_object_get(a, "ms"), json_object_get(b, "ms")) &&
	       json_equal(json_object_get(a, "code"),
			  json_object_get(b, "code")) &&
	       json_equal(json_object_get(a, "message"),
			  json_object_get(b, "message"));
}

static json_t *failures_json(const struct seen_task *t)
{
	json_t *list = sorted_json(t->failures, 0);
	size_t i = 0;

	while (i < json_array_size(list)) {
		const json_t *a = json_array_get(list, i);
		bool drop = false;

		for (size_t k = 0; k < json_array_size(list) && !drop; k++)
			drop = is_less_of(a, json_array_get(list, k));
		if (drop)
			json_array_remove(list, i);
		else
			i++;
	}
	return list;
}

static json_t *dialects_json(const struct seen_task *t)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && seen_dialects[i]; i++) {
		if (t->dialects & (1U << i))
			ok = push(list, json_string(seen_dialects[i]));
	}
	return whole(list, ok);
}

/** Told by task events when there are any, else by the segments. */
static const char *state_of(const struct seen_task *t, const struct gathered *g)
{
	size_t open = g->counts[SEEN_NOTHING] + g->counts[SEEN_STARTED];

	if (t->failed)
		return "failed";
	if (t->upload_stopped)
		return "uploaded";
	if (t->stopped)
		return "stopped";
	if (t->started || open)
		return "recording";
	if (t->start_failed)
		return "failed";
	if (!g->n)
		return "unknown";
	return g->counts[SEEN_UPLOADED] == g->n ? "uploaded" : "completed";
}

static json_t *counts_json(const struct gathered *g)
{
	return json_pack("{s:I, s:I, s:I}", "started",
			 (json_int_t)g->counts[SEEN_STARTED], "completed",
			 (json_int_t)g->counts[SEEN_COMPLETED], "uploaded",
			 (json_int_t)g->counts[SEEN_UPLOADED]);
}

static json_t *task_json(const struct seen_task *t, size_t max)
{
	json_t *code =
		t->leave_code < 0 ? json_null() : json_integer(t->leave_code);
	struct gathered g;
	bool ok = gather(t, &g);
	/* json_pack fails on a NULL, and takes the others over all the same. */
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:o, s:I, s:o, s:o}", "app",
			      t->app, "task_id", t->task, "room", t->room,
			      "state", ok ? state_of(t, &g) : "", "leave_code",
			      code, "events", (json_int_t)t->n_told, "dialects",
			      dialects_json(t), "segment_counts",
			      ok ? counts_json(&g) : NULL);

	ok = o && put_number(o, "first_ms", t->first_ms) &&
	     put_number(o, "last_ms", t->last_ms) &&
	     put_number(o, "started_ms", t->started_ms) &&
	     put_number(o, "stopped_ms", t->stopped_ms) &&
	     put(o, "segments", segments_json(&g, max)) &&
	     put(o, "files", sorted_json(t->files, max)) &&
	     put(o, "failures", failures_json(t));
	mem_free(g.all);
	return whole(o, ok);
}

/* ---- which ones ------------------------------------------------------------- */

static bool has(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

static bool is_found(const struct seen_task *t, const char *part)
{
	const char *name;
	json_t *file;

	if (has(t->room, part) || has(t->task, part))
		return true;
	LIST_EACH(&t->segments, l, after)
	{
		const struct seen_segment *s =
			CONTAINER_OF(l, struct seen_segment, link);

		if (has(s->user, part) || has(text_of(s, SEEN_USER), part) ||
		    has(text_of(s, SEEN_FILE), part))
			return true;
	}
	json_object_foreach(t->files, name, file)
	{
		if (has(name, part))
			return true;
	}
	return false;
}

/** Is its state `recording`?  *ok becomes false when out of memory. */
static bool is_running(struct seen_task *t, bool *ok)
{
	struct gathered g;

	if (t->failed || t->upload_stopped || t->stopped)
		return false;
	if (t->started)
		return true;
	if (t->running == RUNNING_UNKNOWN && !gather(t, &g)) {
		*ok = false;
		return false;
	}
	if (t->running == RUNNING_UNKNOWN) {
		t->running = strcmp(state_of(t, &g), "recording") ? RUNNING_NO
								  : RUNNING_YES;
		mem_free(g.all);
	}
	return t->running == RUNNING_YES;
}

static bool is_wanted(struct seen_task *t, const struct recordings_view *view,
		      bool *ok)
{
	return (!view->app || t->app == view->app) &&
	       (!view->room || !strcmp(t->room, view->room)) &&
	       (!view->task || !strcmp(t->task, view->task)) &&
	       (!view->search || is_found(t, view->search)) &&
	       (!view->which ||
		is_running(t, ok) == (view->which == VIEW_RUNNING));
}

static int compare_tasks(const void *a, const void *b)
{
	const struct seen_task *const *x = a, *const *y = b;
	int d = compare_numbers((*x)->last_ms, (*y)->last_ms);

	if (!d)
		d = compare_numbers((*x)->app, (*y)->app);
	return d ? d : strcmp((*x)->task, (*y)->task);
}

json_t *recordings_json(struct recordings *r,
			const struct recordings_view *view)
{
	const struct seen_task **all =
		mem_zalloc_n(r->tasks.n + 1, sizeof(void *));
	json_t *list = json_array();
	bool ok = all && list;
	size_t total = 0, n = 0;

	for (struct link *l = r->order.prev; ok && l != &r->order;
	     l = l->prev) {
		struct seen_task *t = CONTAINER_OF(l, struct seen_task, link);

		if (!is_wanted(t, view, &ok) || !ok)
			continue;
		if (n < view->limit)
			all[n++] = t;
		total++;
	}
	if (ok)
		qsort(all, n, sizeof(*all), compare_tasks);
	for (size_t i = 0; ok && i < n; i++)
		ok = push(list, task_json(all[i], view->max_segments));
	mem_free(all);
	if (ok)
		return json_pack("{s:o, s:I}", "recordings", list, "total",
				 (json_int_t)total);
	json_decref(list);
	return NULL;
}
