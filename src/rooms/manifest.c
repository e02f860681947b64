/**
 * rooms/manifest.c -- a task's manifest, beside its files.
 *
 * Whoever has only the folder of a track shall find out what is in it, so the
 * manifest of the whole task lies in each.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

/* A file takes some 450 bytes here, 1.2 kB at most, and some 250 of them in
 * the commit that finishes its task, which may have 16 MiB: tasks with more
 * files than this holds do not end otherwise either. */
enum { MANIFEST_MAX = 256 << 20 };

static const char *const modes[] = {"single", "mixed", "both"};
static const char *const formats[] = {"mp3", "ogg"};

static void fill_segment(const struct segment_row *row,
			 struct manifest_segment *s)
{
	*s = (struct manifest_segment){
		.user = row->user,
		.mode = row->mode == MODE_MIXED ? MANIFEST_MIXED
						: MANIFEST_SINGLE,
		.seq = row->seq,
		.file = row->file_name,
		.start_ms = row->start_ms,
		.duration_ms = (int64_t)(row->frames / SOUND_FRAMES_PER_MS),
		.size = row->size,
		.sha256 = row->sha256,
		.state = segment_state_name(row->state),
	};
}

static int write_text(const struct task_row *t, const struct segment_row *rows,
		      size_t n, struct buf *text)
{
	struct manifest m = {
		.app = t->app,
		.room = t->room,
		.task = t->id,
		.mode = modes[t->mode],
		.format = formats[t->format],
		.sample_rate = t->sample_rate,
		.start_ms = t->created_ms,
		.stop_ms = t->stopped_ms,
	};
	struct manifest_segment *s = mem_zalloc_n(n, sizeof(*s));

	if (!s)
		return ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (rows[i].state != SEG_ERASING)
			fill_segment(&rows[i], &s[m.n_segments++]);
	}
	m.segments = s;
	manifest_write(&m, text);
	mem_free(s);
	return buf_err(text);
}

int folders_add(struct folders *f, const char *file_name)
{
	size_t len = strcspn(file_name, "/");
	struct folder *folder;

	if (map_find(&f->map, file_name, len))
		return 0;
	folder = mem_zalloc(sizeof(*folder));
	if (!folder)
		return ENOMEM;
	folder->name = mem_strndup(file_name, len);
	if (!folder->name ||
	    map_add(&f->map, &folder->node, folder->name, len)) {
		mem_free(folder->name);
		mem_free(folder);
		return ENOMEM;
	}
	return 0;
}

bool folders_have(const struct folders *f, const char *name)
{
	return map_find(&f->map, name, strlen(name)) != NULL;
}

void folders_fini(struct folders *f)
{
	struct map_node *n = map_next(&f->map, NULL);

	while (n) {
		struct map_node *next = map_next(&f->map, n);
		struct folder *folder = CONTAINER_OF(n, struct folder, node);

		map_remove(&f->map, n);
		mem_free(folder->name);
		mem_free(folder);
		n = next;
	}
	map_fini(&f->map);
}

static int put_text(struct storages *s, enum slot slot,
		    const struct upload_text *text, const struct folders *f,
		    struct err *e)
{
	struct upload_storage *storage;
	const char **names;
	size_t n = 0;
	int err = storages_get(s, slot, &storage, e);

	if (err)
		return err;
	names = mem_zalloc_n(f->map.n, sizeof(*names));
	if (!names)
		return err_no_memory(e);
	for (struct map_node *node = map_next(&f->map, NULL); node;
	     node = map_next(&f->map, node))
		names[n++] = CONTAINER_OF(node, struct folder, node)->name;
	err = upload_put_text(storage, text, names, n, e);
	storages_told(s, slot, err);
	mem_free(names);
	return err;
}

void manifest_name(const struct rooms *r, const struct task_row *t, char *name)
{
	const struct rooms_app *app = rooms_find_app(r, t->app);
	int zone_minutes = 0;

	if (app)
		zone_minutes = atomic_load_explicit(&app->zone_minutes,
						    memory_order_relaxed);
	record_manifest_name(t->id, t->created_ms, zone_minutes, name,
			     RECORD_NAME_CAP);
}

int manifest_put(struct storages *s, const struct task_row *t,
		 const struct segment_row *rows, size_t n,
		 struct folders folders[SLOT_N], struct err *e)
{
	char name[RECORD_NAME_CAP], mark[RECORD_NAME_CAP];
	struct upload_text text = {.name = name, .mark = mark};
	struct buf json;
	int err = 0;

	for (size_t i = 0; !err && i < n; i++) {
		if (rows[i].state != SEG_ERASING)
			err = folders_add(
				&folders[storages_slot(s->rooms, &rows[i])],
				rows[i].file_name);
	}
	buf_init(&json, MANIFEST_MAX);
	if (!err)
		err = write_text(t, rows, n, &json);
	if (err)
		err_set(e, err, "", "%s", strerror(err));
	manifest_name(s->rooms, t, name);
	record_manifest_mark(t->id, mark, sizeof(mark));
	text.data = json.data;
	text.len = json.len;
	storages_begin(s, t->storage, t->storage_prefix);
	for (unsigned i = 0; !err && i < SLOT_N; i++) {
		if (folders[i].map.n)
			err = put_text(s, (enum slot)i, &text, &folders[i], e);
	}
	buf_fini(&json);
	return err;
}
