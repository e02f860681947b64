/**
 * receive/recordings.c -- one truth from events in any order.
 *
 * A segment's state only ever rises (started < completed < uploaded), and a
 * task's facts are flags, so order and repetition do not matter.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/private.h"

enum { SEGMENTS_MAX = 200000, KEY_MAX = 200 };

static const char *const ranks[] = {"unknown", "started", "completed",
				    "uploaded"};

struct seen_segment {
	struct link link;
	char user[ID_MAX + 1];
	char mode[8];
	json_int_t seq;
	int rank;
	char file[FILE_NAME_MAX];
};

struct seen_task {
	struct map_node node;
	char key[KEY_MAX]; /* app/task */
	char task[128];
	char room[ID_MAX + 1];
	json_int_t app;
	bool started, stopped, upload_stopped;
	json_int_t leave_code; /* -1: not told */
	struct link segments;
	json_t *files; /* of files_ready, by name */
};

void recordings_init(struct recordings *r)
{
	map_init(&r->tasks);
	r->n_segments = 0;
}

static void task_free(struct seen_task *t)
{
	LIST_EACH(&t->segments, l, after)
	{
		mem_free(CONTAINER_OF(l, struct seen_segment, link));
	}
	json_decref(t->files);
	mem_free(t);
}

void recordings_fini(struct recordings *r)
{
	struct map_node *n = map_next(&r->tasks, NULL);

	while (n) {
		struct map_node *next = map_next(&r->tasks, n);

		map_remove(&r->tasks, n);
		task_free(CONTAINER_OF(n, struct seen_task, node));
		n = next;
	}
	map_fini(&r->tasks);
}

static const char *text_of(const json_t *event, const char *key)
{
	const char *s = json_string_value(json_object_get(event, key));

	return s ? s : "";
}

static struct seen_task *get_task(struct recordings *r, const json_t *event)
{
	json_int_t app = json_integer_value(json_object_get(event, "app"));
	struct seen_task *t;
	struct map_node *n;
	char key[KEY_MAX];

	snprintf(key, sizeof(key), "%lld/%s", (long long)app,
		 text_of(event, "task_id"));
	n = map_find(&r->tasks, key, strlen(key));
	if (n)
		return CONTAINER_OF(n, struct seen_task, node);
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	str_copy(t->key, sizeof(t->key), key);
	str_copy(t->task, sizeof(t->task), text_of(event, "task_id"));
	str_copy(t->room, sizeof(t->room), text_of(event, "room"));
	t->app = app;
	t->leave_code = -1;
	list_init(&t->segments);
	t->files = json_object();
	if (!t->files || map_add(&r->tasks, &t->node, t->key, strlen(t->key))) {
		task_free(t);
		return NULL;
	}
	return t;
}

static struct seen_segment *get_segment(struct recordings *r,
					struct seen_task *t,
					const json_t *event)
{
	json_int_t seq = json_integer_value(json_object_get(event, "seq"));
	const char *user = text_of(event, "user");
	const char *mode = text_of(event, "mode");
	struct seen_segment *s;

	LIST_EACH(&t->segments, l, after)
	{
		s = CONTAINER_OF(l, struct seen_segment, link);
		if (s->seq == seq && !strcmp(s->user, user) &&
		    !strcmp(s->mode, mode))
			return s;
	}
	if (r->n_segments >= SEGMENTS_MAX)
		return NULL;
	s = mem_zalloc(sizeof(*s));
	if (!s)
		return NULL;
	str_copy(s->user, sizeof(s->user), user);
	str_copy(s->mode, sizeof(s->mode), mode);
	s->seq = seq;
	list_append(&t->segments, &s->link);
	r->n_segments++;
	return s;
}

static int add_segment(struct recordings *r, struct seen_task *t,
		       const json_t *event, enum event_kind kind)
{
	struct seen_segment *s = get_segment(r, t, event);
	int rank = kind == EVENT_STARTED ? 1 : kind == EVENT_COMPLETED ? 2 : 3;

	if (!s)
		return ENOMEM;
	if (rank > s->rank)
		s->rank = rank;
	str_copy(s->file, sizeof(s->file), text_of(event, "file"));
	return 0;
}

static void add_files(struct seen_task *t, const json_t *files)
{
	json_t *file;
	size_t i;

	json_array_foreach(files, i, file)
	{
		json_object_set(t->files, text_of(file, "name"), file);
	}
}

int recordings_add(struct recordings *r, const json_t *event)
{
	struct seen_task *t = get_task(r, event);
	enum event_kind kind;

	if (!t)
		return ENOMEM;
	if (!event_kind_parse(text_of(event, "kind"), &kind))
		return 0;
	if (event_is_of_segment(kind))
		return add_segment(r, t, event, kind);
	if (kind == EVENT_TASK_STARTED)
		t->started = true;
	if (kind == EVENT_TASK_STOPPED) {
		t->stopped = true;
		t->leave_code = json_integer_value(
			json_object_get(event, "leave_code"));
	}
	if (kind == EVENT_UPLOAD_STOPPED)
		t->upload_stopped = true;
	if (kind == EVENT_FILES_READY)
		add_files(t, json_object_get(event, "files"));
	return 0;
}

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
	if (list_is_empty(&t->segments))
		return "unknown";
	return all_up ? "uploaded" : "completed";
}

static json_t *files_json(const struct seen_task *t)
{
	json_t *list = json_array();
	const char *name;
	json_t *file;

	json_object_foreach(t->files, name, file)
	{
		json_array_append(list, file);
	}
	return list;
}

static json_t *task_json(const struct seen_task *t)
{
	json_t *segments = json_array();

	LIST_EACH(&t->segments, l, after)
	{
		struct seen_segment *s =
			CONTAINER_OF(l, struct seen_segment, link);

		json_array_append_new(
			segments,
			json_pack("{s:s, s:s, s:I, s:s, s:s}", "user", s->user,
				  "mode", s->mode, "seq", s->seq, "state",
				  ranks[s->rank], "file", s->file));
	}
	return json_pack(
		"{s:I, s:s, s:s, s:s, s:o, s:o, s:o}", "app", t->app, "task_id",
		t->task, "room", t->room, "state", state_of(t), "leave_code",
		t->leave_code < 0 ? json_null() : json_integer(t->leave_code),
		"segments", segments, "files", files_json(t));
}

json_t *recordings_json(const struct recordings *r)
{
	json_t *list = json_array();
	struct map_node *n = map_next(&r->tasks, NULL);

	for (; n; n = map_next(&r->tasks, n))
		json_array_append_new(
			list,
			task_json(CONTAINER_OF(n, struct seen_task, node)));
	return json_pack("{s:o}", "recordings", list);
}
