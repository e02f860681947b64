/**
 * rooms/keeper.c -- what happens by itself: tasks that begin with a room and end
 * with it, and tasks that nobody needs any more.
 *
 * WHAT  Looks at every room and task once a second, and at a room when somebody
 *       comes or goes.
 * DESIGN
 *   - `auto`: the first who comes starts a task, the last who goes ends it.
 *     One that was stopped by hand is not started again until the room was
 *     empty; also not by a restart, if somebody is there who was when it was
 *     stopped.  A start that fails (disk low) is tried again in a while.
 *   - hold_empty: a task whose room is empty ends after that time.
 *   - max_idle: so does one of which nobody has the microphone on.
 *   - What is to be committed again, and finds no memory for a timer, is done at
 *     the next look.
 *   A restart begins to count anew.  Neither is for the tasks of `auto`.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

enum {
	PERIOD_US = 1000 * 1000,
	LOOK_US = 1000 * 1000, /* the media loop tells what was heard so late */
	AUTO_RETRY_US = 5 * 1000 * 1000 /* between starts that fail */
};

/* ---- auto -------------------------------------------------------------------- */

static void on_auto_started(const struct err *e, const struct task_info *t,
			    void *arg)
{
	(void)t;
	(void)arg;
	if (e->code == EEXIST) /* somebody's task does what ours would */
		log_debug("a room is not recorded by itself: %s", e->text);
	else if (e->code)
		log_error("a room is not recorded by itself: %s; again in 5 s",
			  e->text);
}

/** The newest of those who are there. */
static const struct member *newest(const struct room *room)
{
	const struct member *found = NULL;

	LIST_EACH(&room->members, l, after)
	{
		const struct member *m =
			CONTAINER_OF(l, struct member, in_room);

		if (!m->close_sent)
			found = m;
	}
	return found;
}

static void start_auto(struct room *room, const struct member *m,
		       int64_t now_us)
{
	struct by by;
	static const enum record_mode modes[] = {
		[AUTO_OFF] = MODE_SINGLE,
		[AUTO_SINGLE] = MODE_SINGLE,
		[AUTO_MIXED] = MODE_MIXED,
		[AUTO_BOTH] = MODE_BOTH,
	};
	struct task_wish w = {
		.app = room->app->id,
		.room = room->id,
		.mode = modes[room->app->recording.auto_mode],
		.format = -1,
		/* as long as somebody is there, and no longer */
		.max_idle_ms = 0,
		.hold_empty_ms = 0,
	};

	if (now_us < room->auto_retry_us)
		return;
	room->auto_retry_us = now_us + AUTO_RETRY_US;
	member_by(m, &by);
	w.client_ip = by.ip;
	w.platform = by.platform;
	task_start(room->rooms, &w, true, on_auto_started, NULL);
}

void keeper_look(struct room *room, const struct member *m)
{
	struct by by = {0};

	if (room->rooms->stopping)
		return;
	if (!room_is_used(room)) {
		room->auto_over = false;
		if (m)
			member_by(m, &by);
		if (room->auto_task)
			task_stop(room->auto_task, LEAVE_IDLE, &by);
		return;
	}
	if (room->app->recording.auto_mode != AUTO_OFF && !room->auto_over &&
	    !room->auto_task)
		start_auto(room, m && !m->close_sent ? m : newest(room),
			   clock_now_us());
}

/** Has somebody been in the room since then? */
static bool has_member_since(const struct room *room, int64_t unix_ms)
{
	LIST_EACH(&room->members, l, after)
	{
		if (CONTAINER_OF(l, struct member, in_room)->row.created_ms <=
		    unix_ms)
			return true;
	}
	return false;
}

/** Start-up: was its task stopped by hand, and the room not empty since? */
static void remember_stop(struct room *room)
{
	const struct store_filter f = {
		.what = READ_TASKS,
		.app = room->app->id,
		.room = room->id,
		.state = -1,
		.is_auto = true,
		.newest_first = true,
		.limit = 1,
	};
	struct store_rows rows;
	const struct task_row *t;

	if (store_read(room->rooms->store, &f, &rows)) {
		log_warn("room=%s is recorded by itself, even if that was "
			 "stopped by hand: the database cannot be read",
			 room->id);
		return;
	}
	t = rows.n ? &rows.tasks[0] : NULL;
	if (t && t->leave_code == LEAVE_API &&
	    (t->state == TASK_STOPPING ||
	     (t->state == TASK_STOPPED &&
	      has_member_since(room, t->stopped_ms))))
		room->auto_over = true;
	store_rows_free(&rows);
}

/* ---- tasks that nobody needs ---------------------------------------------------- */

/**
 * Has this one the microphone on?  With `mic_off: silence` an input's mic never
 * goes off by itself: then it is off when nothing is heard.
 */
static bool is_speaking(const struct member *m, int64_t now_us)
{
	const struct recording_config *rec = &m->room->app->recording;

	if (!m->voice->silence_mode)
		return atomic_load_explicit(&m->voice->mic_on,
					    memory_order_relaxed);
	return atomic_load_explicit(&m->voice->heard_us,
				    memory_order_relaxed) >=
	       now_us - rec->mic_off_after_us - LOOK_US;
}

/** Has somebody whom it records the microphone on? */
static bool is_spoken_to(const struct task *t, int64_t now_us)
{
	LIST_EACH(&t->room->members, l, after)
	{
		struct member *m = CONTAINER_OF(l, struct member, in_room);

		if (!m->close_sent && lists_want(t, m->row.user) &&
		    is_speaking(m, now_us))
			return true;
	}
	return false;
}

/** How long has that been so [us]?  `since` keeps the beginning. */
static int64_t lasts(bool is_so, int64_t *since, int64_t now_us)
{
	if (!is_so)
		*since = 0;
	else if (!*since)
		*since = now_us;
	return is_so ? now_us - *since : -1;
}

static void keep_task(struct task *t, int64_t now_us)
{
	const struct by nobody = {0};
	const int64_t hold_us = t->row.hold_empty_ms * CLOCK_US_PER_MS;
	const int64_t idle_us = t->row.max_idle_ms * CLOCK_US_PER_MS;
	int64_t empty, idle = -1;

	if (!t->room || t->starting || t->row.state != TASK_RUNNING)
		return;
	empty = lasts(!room_is_used(t->room), &t->empty_us, now_us);
	if (idle_us)
		idle = lasts(!is_spoken_to(t, now_us), &t->idle_us, now_us);
	if (empty >= 0 && empty >= hold_us) {
		log_info("room=%s task=%" PRIu64 " ends: nobody is in the room",
			 t->row.room, t->row.id);
		task_stop(t, LEAVE_IDLE, &nobody);
	} else if (idle_us && idle >= idle_us) {
		log_info("room=%s task=%" PRIu64 " ends: nobody has spoken for "
			 "%" PRId64 " s",
			 t->row.room, t->row.id, idle / CLOCK_US_PER_S);
		task_stop(t, LEAVE_IDLE, &nobody);
	}
}

bool keeper_arm(struct rooms *r, struct timer *timer, int64_t delay_us,
		void (*fn)(struct timer *timer, int64_t now_us))
{
	int err = crash_errno("rooms.timer");

	if (!err)
		err = timer_start(timer, r->loop,
				  loop_now_us(r->loop) + delay_us, fn);
	if (err)
		log_error("no memory for a timer: it is done at the next look "
			  "at all rooms");
	return !err;
}

static void look_at_task(struct task *t, int64_t now_us)
{
	keep_task(t, now_us);
	seg_look(t);
	confirm_tell_again(t);
	finish_tell_again(t);
	finish_look(t);
	warn_look_at_task(t);
	task_look(t); /* and it may be gone */
}

static void on_round(struct timer *timer, int64_t now_us)
{
	struct rooms *r = CONTAINER_OF(timer, struct rooms, watch_timer);
	struct map_node *n, *next;

	if (r->stopping)
		return;
	for (n = map_next(&r->rooms, NULL); n; n = next) {
		next = map_next(&r->rooms, n);
		warn_look(CONTAINER_OF(n, struct room, node), now_us);
		keeper_look(CONTAINER_OF(n, struct room, node), NULL);
	}
	whip_look(r, now_us);
	warn_look_at_machine(r, now_us);
	for (n = map_next(&r->tasks, NULL); n; n = next) {
		next = map_next(&r->tasks, n);
		look_at_task(CONTAINER_OF(n, struct task, node), now_us);
	}
	retention_look(r, now_us);
	if (timer_start(timer, r->loop, now_us + PERIOD_US, on_round))
		log_error("rooms are not watched any more: out of memory");
}

void keeper_start(struct rooms *r)
{
	struct map_node *n = map_next(&r->rooms, NULL);

	for (; n; n = map_next(&r->rooms, n)) {
		struct room *room = CONTAINER_OF(n, struct room, node);

		if (room->app->recording.auto_mode != AUTO_OFF &&
		    !room->auto_task)
			remember_stop(room);
	}
	on_round(&r->watch_timer, loop_now_us(r->loop));
}
