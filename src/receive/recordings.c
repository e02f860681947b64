/**
 * receive/recordings.c -- one truth from events in any order.
 *
 * A segment's state only ever rises (started < completed < uploaded), and a
 * task's facts are flags, so order and repetition do not matter; and what is
 * shown is sorted, so that it is the same text whatever came first.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"

enum { KEY_MAX = 200 };

static const char *const ranks[] = {"unknown", "started", "completed",
				    "uploaded"};

struct seen_segment {
	struct map_node node;	 /* recordings.segments */
	struct link link;	 /* seen_task.segments */
	const char *mode, *user; /* mode is a literal, user is in key */
	json_int_t seq;
	int rank;
	char *file;
	char key[]; /* number of the task, mode, seq, user */
};

struct seen_task {
	struct map_node node; /* recordings.tasks */
	struct link link;     /* recordings.order */
	uint64_t number;
	char key[KEY_MAX]; /* app/task */
	char task[128];
	char room[ID_MAX + 1];
	json_int_t app;
	bool started, failed, stopped, upload_stopped;
	json_int_t leave_code; /* -1: not told */
	struct link segments;
	size_t n_segments;
	json_t *files; /* of files_ready, by name */
};

void recordings_init(struct recordings *r, size_t max_parts)
{
	*r = (struct recordings){.max_parts = max_parts};
	map_init(&r->tasks);
	map_init(&r->segments);
	list_init(&r->order);
}

static void segment_free(struct seen_segment *s)
{
	mem_free(s->file);
	mem_free(s);
}

static void task_free(struct seen_task *t)
{
	json_decref(t->files);
	mem_free(t);
}

/** Forget a task with all that belongs to it. */
static void drop_task(struct recordings *r, struct seen_task *t)
{
	r->n_parts -= 1 + t->n_segments + json_object_size(t->files);
	LIST_EACH(&t->segments, l, after)
	{
		struct seen_segment *s =
			CONTAINER_OF(l, struct seen_segment, link);

		map_remove(&r->segments, &s->node);
		segment_free(s);
	}
	map_remove(&r->tasks, &t->node);
	list_remove(&t->link);
	task_free(t);
}

void recordings_fini(struct recordings *r)
{
	LIST_EACH(&r->order, l, after)
	drop_task(r, CONTAINER_OF(l, struct seen_task, link));
	map_fini(&r->tasks);
	map_fini(&r->segments);
}

/** Forget what was told of longest ago until `n` parts fit beside `keep`.
 *  Returns false when `keep` alone is too large. */
static bool make_room(struct recordings *r, const struct seen_task *keep,
		      size_t n)
{
	while (r->n_parts + n > r->max_parts) {
		struct link *first = list_first(&r->order);
		struct seen_task *t =
			first ? CONTAINER_OF(first, struct seen_task, link)
			      : NULL;

		if (!t || t == keep)
			return false;
		drop_task(r, t);
	}
	return true;
}

static const char *text_of(const json_t *event, const char *key)
{
	const char *s = json_string_value(json_object_get(event, key));

	return s ? s : "";
}

static json_int_t number_of(const json_t *event, const char *key)
{
	return json_integer_value(json_object_get(event, key));
}

static struct seen_task *new_task(struct recordings *r, const json_t *event,
				  const char *key)
{
	struct seen_task *t = mem_zalloc(sizeof(*t));

	if (!t)
		return NULL;
	str_copy(t->key, sizeof(t->key), key);
	str_copy(t->task, sizeof(t->task), text_of(event, "task_id"));
	str_copy(t->room, sizeof(t->room), text_of(event, "room"));
	t->app = number_of(event, "app");
	t->leave_code = -1;
	list_init(&t->segments);
	t->files = json_object();
	if (!t->files || map_add(&r->tasks, &t->node, t->key, strlen(t->key))) {
		task_free(t);
		return NULL;
	}
	t->number = r->next_number++;
	list_append(&r->order, &t->link);
	r->n_parts++;
	return t;
}

/** Its task, which is the last one told of now. */
static int get_task(struct recordings *r, const json_t *event,
		    struct seen_task **out)
{
	struct seen_task *t;
	struct map_node *n;
	char key[KEY_MAX];

	snprintf(key, sizeof(key), "%lld/%s",
		 (long long)number_of(event, "app"), text_of(event, "task_id"));
	n = map_find(&r->tasks, key, strlen(key));
	if (n) {
		t = CONTAINER_OF(n, struct seen_task, node);
		list_remove(&t->link);
		list_append(&r->order, &t->link);
	} else {
		if (!make_room(r, NULL, 1))
			return ENOBUFS;
		t = new_task(r, event, key);
	}
	if (!t)
		return ENOMEM;
	*out = t;
	return 0;
}

static struct seen_segment *new_segment(struct recordings *r,
					struct seen_task *t, const char *key,
					size_t user_at)
{
	size_t len = strlen(key);
	struct seen_segment *s = mem_zalloc(sizeof(*s) + len + 1);

	if (!s)
		return NULL;
	memcpy(s->key, key, len);
	s->user = s->key + user_at;
	if (map_add(&r->segments, &s->node, s->key, len)) {
		mem_free(s);
		return NULL;
	}
	list_append(&t->segments, &s->link);
	t->n_segments++;
	r->n_parts++;
	return s;
}

static int get_segment(struct recordings *r, struct seen_task *t,
		       const json_t *event, struct seen_segment **out)
{
	bool mixed = !strcmp(text_of(event, "mode"), "mixed");
	json_int_t seq = number_of(event, "seq");
	struct seen_segment *s;
	struct map_node *n;
	char key[KEY_MAX];
	int user_at;

	user_at =
		snprintf(key, sizeof(key), "%llu/%d/%lld/",
			 (unsigned long long)t->number, mixed, (long long)seq);
	str_copy(key + user_at, sizeof(key) - (size_t)user_at,
		 text_of(event, "user"));
	n = map_find(&r->segments, key, strlen(key));
	if (n) {
		*out = CONTAINER_OF(n, struct seen_segment, node);
		return 0;
	}
	if (!make_room(r, t, 1))
		return ENOBUFS;
	s = new_segment(r, t, key, (size_t)user_at);
	if (!s)
		return ENOMEM;
	s->mode = mixed ? "mixed" : "single";
	s->seq = seq;
	*out = s;
	return 0;
}

static int add_segment(struct recordings *r, struct seen_task *t,
		       const json_t *event, enum event_kind kind)
{
	int rank = kind == EVENT_STARTED ? 1 : kind == EVENT_COMPLETED ? 2 : 3;
	struct seen_segment *s;
	char *file;
	int err = get_segment(r, t, event, &s);

	if (err || rank <= s->rank)
		return err;
	file = mem_strdup(text_of(event, "file"));
	if (!file)
		return ENOMEM;
	mem_free(s->file);
	s->file = file;
	s->rank = rank;
	return 0;
}

static int add_files(struct recordings *r, struct seen_task *t,
		     const json_t *files)
{
	json_t *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		const char *name = text_of(file, "name");
		bool is_new = !json_object_get(t->files, name);

		if (is_new && !make_room(r, t, 1))
			return ENOBUFS;
		if (json_object_set(t->files, name, file))
			return ENOMEM;
		r->n_parts += is_new;
	}
	return 0;
}

int recordings_add(struct recordings *r, const json_t *event)
{
	enum event_kind kind;
	struct seen_task *t;
	int err = get_task(r, event, &t);

	if (err || !event_kind_parse(text_of(event, "kind"), &kind))
		return err;
	if (event_is_of_segment(kind))
		return add_segment(r, t, event, kind);
	if (kind == EVENT_TASK_STARTED) {
		if (number_of(event, "status"))
			t->failed = true;
		else
			t->started = true;
	}
	if (kind == EVENT_TASK_STOPPED) {
		t->stopped = true;
		t->leave_code = number_of(event, "leave_code");
	}
	if (kind == EVENT_UPLOAD_STOPPED)
		t->upload_stopped = true;
	if (kind == EVENT_FILES_READY)
		return add_files(r, t, json_object_get(event, "files"));
	return 0;
}

/* ---- showing ------------------------------------------------------------- */

/** Told by task events when there are any, else by the segments. */
static const char *state_of(const struct seen_task *t)
{
	bool any_open = false;
	bool all_up = true;

	LIST_EACH(&t->segments, l, after)
	{
		struct seen_segment *s =
			CONTAINER_OF(l, struct seen_segment, link);

		any_open |= s->rank < 2;
		all_up &= s->rank == 3;
	}
	if (t->upload_stopped)
		return "uploaded";
	if (t->stopped)
		return "stopped";
	if (t->started || any_open)
		return "recording";
	if (t->failed)
		return "failed";
	if (list_is_empty(&t->segments))
		return "unknown";
	return all_up ? "uploaded" : "completed";
}

static int compare_segments(const void *a, const void *b)
{
	const struct seen_segment *const *pa = a, *const *pb = b;
	const struct seen_segment *x = *pa, *y = *pb;
	int by_mode = strcmp(x->mode, y->mode);
	int by_user = strcmp(x->user, y->user);

	if (by_mode)
		return by_mode;
	if (by_user)
		return by_user;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int compare_files(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;

	return strcmp(text_of(*x, "name"), text_of(*y, "name"));
}

/** Append and take over; false when out of memory (also: `v` is NULL). */
static bool push(json_t *list, json_t *v)
{
	return !json_array_append_new(list, v);
}

static json_t *segment_json(const struct seen_segment *s)
{
	return json_pack("{s:s, s:s, s:I, s:s, s:s}", "user", s->user, "mode",
			 s->mode, "seq", s->seq, "state", ranks[s->rank],
			 "file", s->file ? s->file : "");
}

/** Both: NULL when out of memory. */
static json_t *segments_json(const struct seen_task *t)
{
	const struct seen_segment **all =
		mem_zalloc_n(t->n_segments + 1, sizeof(void *));
	json_t *list = json_array();
	bool ok = all && list;
	size_t n = 0;

	if (ok) {
		LIST_EACH(&t->segments, l, after)
		all[n++] = CONTAINER_OF(l, struct seen_segment, link);
		qsort(all, n, sizeof(void *), compare_segments);
	}
	for (size_t i = 0; ok && i < n; i++)
		ok = push(list, segment_json(all[i]));
	mem_free(all);
	if (ok)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *files_json(const struct seen_task *t)
{
	json_t **all =
		mem_zalloc_n(json_object_size(t->files) + 1, sizeof(json_t *));
	json_t *list = json_array();
	bool ok = all && list;
	const char *name;
	json_t *file;
	size_t n = 0;

	if (ok) {
		json_object_foreach(t->files, name, file)
		{
			all[n++] = file;
		}
		qsort(all, n, sizeof(json_t *), compare_files);
	}
	for (size_t i = 0; ok && i < n; i++)
		ok = push(list, json_incref(all[i]));
	mem_free(all);
	if (ok)
		return list;
	json_decref(list);
	return NULL;
}

static json_t *task_json(const struct seen_task *t)
{
	json_t *code =
		t->leave_code < 0 ? json_null() : json_integer(t->leave_code);

	/* json_pack fails on a NULL, and takes the others over all the same. */
	return json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:o}", "app", t->app,
			 "task_id", t->task, "room", t->room, "state",
			 state_of(t), "leave_code", code, "segments",
			 segments_json(t), "files", files_json(t));
}

json_t *recordings_json(const struct recordings *r)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	LIST_EACH(&r->order, l, after)
	{
		ok = ok &&
		     push(list,
			  task_json(CONTAINER_OF(l, struct seen_task, link)));
	}
	if (ok)
		return json_pack("{s:o}", "recordings", list);
	json_decref(list);
	return NULL;
}
