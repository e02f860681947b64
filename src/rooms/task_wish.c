/**
 * rooms/task_wish.c -- may a task be started as somebody wishes, and how would
 * it record?
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "rooms/private.h"

/** Asked anew: what was measured some seconds ago may be gone. */
static int check_disk(const struct rooms *r, struct err *e)
{
	int64_t free_bytes;

	if (file_free_bytes(r->data_dir, &free_bytes))
		return err_set(e, EIO, "data_dir",
			       "%s: how much is free there cannot be told",
			       r->data_dir);
	if (free_bytes < r->disk_low_bytes)
		return err_set(
			e, ENOSPC, "data_dir",
			"disk low: %" PRId64 " MiB free below %s, %" PRId64
			" MiB needed; free some space",
			free_bytes >> 20, r->data_dir, r->disk_low_bytes >> 20);
	return 0;
}

/** What the wish leaves open is as the app has it. */
static void shape_row(const struct rooms_app *app, const struct task_wish *w,
		      struct task_row *row)
{
	const struct recording_config *rec = &app->recording;

	row->mode = w->mode;
	row->format =
		w->format < 0 ? rec->format : (enum record_format)w->format;
	row->sample_rate = w->sample_rate ? w->sample_rate : rec->sample_rate;
	if (row->format == FORMAT_OGG)
		row->sample_rate = SOUND_RATE; /* Opus has no other */
	row->max_idle_ms = w->max_idle_ms < 0
				   ? rec->max_idle_us / CLOCK_US_PER_MS
				   : w->max_idle_ms;
	row->hold_empty_ms = w->hold_empty_ms < 0
				     ? rec->hold_empty_us / CLOCK_US_PER_MS
				     : w->hold_empty_ms;
	row->segment_ms = w->segment_ms;
}

/** Do both write into the same folder?  `storage` is the wish's bucket. */
static bool is_beside(const struct task *t, const struct task_wish *w,
		      uint64_t storage)
{
	if (!w->storage)
		return !t->row.storage;
	return storage && storage == t->row.storage &&
	       !strcmp(w->storage->prefix, t->row.storage_prefix);
}

/** Would it write what `t` writes?
 *  storage   of its bucket, 0: that is not known yet, or it wishes none */
static bool is_like(const struct task *t, const struct task_wish *w,
		    uint64_t storage)
{
	struct task_row row = {0};

	shape_row(t->app, w, &row);
	return t->row.state == TASK_RUNNING && row.mode == t->row.mode &&
	       row.format == t->row.format &&
	       row.sample_rate == t->row.sample_rate &&
	       row.segment_ms == t->row.segment_ms &&
	       is_beside(t, w, storage) && lists_are(t, &w->subscribe);
}

/** MP3 has more than one rate, Ogg Opus has not. */
static int check_rate(const struct rooms_app *app, const struct task_wish *w,
		      struct err *e)
{
	struct task_row row = {0};

	shape_row(app, w, &row);
	if (w->sample_rate && w->sample_rate != row.sample_rate)
		return err_set(e, EINVAL, "sample_rate",
			       "sample_rate: of format mp3 only; ogg, as the "
			       "app is set up, has %d",
			       SOUND_RATE);
	return 0;
}

static int check_others(const struct room *room, const struct task_wish *w,
			struct err *e)
{
	const uint64_t storage =
		w->storage && room
			? storages_find(room->rooms, w->app, w->storage)
			: 0;
	unsigned n = 0;

	if (!room)
		return 0;
	LIST_EACH(&room->tasks, l, after)
	{
		struct task *t = CONTAINER_OF(l, struct task, in_room);

		n++;
		if (w->only_one && t->row.state == TASK_RUNNING &&
		    !t->stop_after_start)
			return err_set(e, EEXIST, "room",
				       "task %" PRIu64 " records this room",
				       t->row.id);
		if (is_like(t, w, storage))
			return err_set(e, EEXIST, "room",
				       "task %" PRIu64 " records this room "
				       "already in this way",
				       t->row.id);
	}
	if (n >= TASKS_MAX)
		return err_set(e, EBUSY, "room",
			       "%u tasks record this room already: stop one "
			       "first",
			       n);
	return 0;
}

int task_wish_check(struct rooms *r, const struct task_wish *w, bool is_auto,
		    uint64_t *storage, struct err *e)
{
	const struct rooms_app *app = rooms_find_app(r, w->app);
	struct room *room;

	if (r->stopping)
		return err_set(e, ECANCELED, "", "the server is stopping");
	if (!app)
		return err_set(e, ENOENT, "app", "there is no app %" PRIu32,
			       w->app);
	if (app->recording.is_not_on_request && !is_auto)
		return err_set(e, EPERM, "app",
			       "app %" PRIu32 " is not recorded on request: "
			       "its recording.on_request is false",
			       w->app);
	if (event_id_check(w->room, "room", e) ||
	    (w->recorder && event_id_check(w->recorder, "recorder", e)))
		return e->code;
	if (lists_check(&w->subscribe, e) || check_rate(app, w, e))
		return e->code;
	room = rooms_find_room(r, w->app, w->room);
	if (!w->may_be_empty && (!room || !room_is_used(room)))
		return err_set(e, ENOENT, "room",
			       "there is no room %.128s: it exists once "
			       "somebody has an input in it",
			       w->room);
	if (check_others(room, w, e) || check_disk(r, e))
		return e->code;
	if (!w->storage)
		return 0;
	assert(strlen(w->storage->prefix) <= STORAGE_PREFIX_MAX);
	return storages_take(r, w->app, w->storage, storage, e);
}

void task_wish_row(const struct rooms_app *app, const struct task_wish *w,
		   struct task_row *row)
{
	struct by by;

	by_set(&by, &(struct caller){w->client_ip, w->platform});
	*row = (struct task_row){
		.app = w->app,
		.state = TASK_RUNNING,
		.expires_ms = w->expires_ms,
	};
	str_copy(row->storage_prefix, sizeof(row->storage_prefix),
		 w->storage ? w->storage->prefix : "");
	str_copy(row->recorder, sizeof(row->recorder),
		 w->recorder ? w->recorder : "");
	str_copy(row->room, sizeof(row->room), w->room);
	str_copy(row->client_ip, sizeof(row->client_ip), by.ip);
	str_copy(row->platform, sizeof(row->platform), by.platform);
	shape_row(app, w, row);
}
