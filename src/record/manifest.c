/** record/manifest.c -- a task's files as JSON, to line tracks up without the
 *  database. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <stdio.h>

#include <jansson.h>

#include "wire/json_text.h"

static json_t *segment_json(const struct manifest_segment *s)
{
	return json_pack(
		"{s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:s, s:s}", "user",
		s->user, "mode", s->mode == MANIFEST_MIXED ? "mixed" : "single",
		"seq", (int)s->seq, "file", s->file, "start_ms",
		(json_int_t)s->start_ms, "duration_ms",
		(json_int_t)s->duration_ms, "size", (json_int_t)s->size,
		"sha256", s->sha256, "state", s->state);
}

/** The users of the single tracks, each once, in order of appearance. */
static json_t *users_json(const struct manifest *m)
{
	json_t *users = json_array();
	json_t *seen = json_object();
	int bad = !users || !seen;

	for (size_t i = 0; i < m->n_segments && !bad; i++) {
		const char *user = m->segments[i].user;

		if (m->segments[i].mode != MANIFEST_SINGLE ||
		    json_object_get(seen, user))
			continue;
		bad = json_object_set_new(seen, user, json_true()) ||
		      json_array_append_new(users, json_string(user));
	}
	json_decref(seen);
	if (!bad)
		return users;
	json_decref(users);
	return NULL;
}

static json_t *segments_json(const struct manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < m->n_segments; i++) {
		if (!json_array_append_new(list, segment_json(&m->segments[i])))
			continue;
		json_decref(list);
		return NULL;
	}
	return list;
}

void manifest_write(const struct manifest *m, struct buf *out)
{
	char task[24];
	json_t *root;
	json_t *users = users_json(m);
	json_t *segments = segments_json(m);
	int bad;

	snprintf(task, sizeof(task), "%llu", (unsigned long long)m->task);
	/* "o" takes the references over, also when packing fails. */
	root = json_pack("{s:s, s:I, s:s, s:s, s:s, s:i, s:I, s:I, s:o, s:o}",
			 "task_id", task, "app", (json_int_t)m->app, "room",
			 m->room, "mode", m->mode, "format", m->format,
			 "sample_rate", (int)m->sample_rate, "start_ms",
			 (json_int_t)m->start_ms, "stop_ms",
			 (json_int_t)m->stop_ms, "users", users, "segments",
			 segments);
	bad = json_text_write_lines(root, out);
	if (!bad)
		buf_putc(out, '\n');
	else if (!buf_err(out))
		out->err = ENOMEM;
	json_decref(root);
}
