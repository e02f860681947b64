/**
 * rooms/tasks.c -- the life of a task: start, lists, stop, failure.
 *
 * WHAT  A wish is committed, then the media loop is told, then its answer
 *       (drained) commits what comes next.
 * DESIGN
 *   start   reservation in memory (none like it in the room) -> commit `running` +
 *           event task_started -> answer the caller -> session
 *   stop    commit `stopping` -> answer -> session.stop -> drained, all
 *           segments done -> commit `stopped` + task_stopped -> finish.c
 *   failure state `failed` + event task_failed -> session.stop -> as above
 *   After the start a task has at most one commit of its row under way;
 *   what comes up meanwhile is due and goes with the next one.  A commit
 *   that fails is due again in a second, for as long as it takes, and the
 *   task stays in memory until nothing is due.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

/* ---- small things ----------------------------------------------------------- */

struct task *task_find(const struct rooms *r, uint64_t id)
{
	struct map_node *n = map_find(&r->tasks, &id, sizeof(id));

	return n ? CONTAINER_OF(n, struct task, node) : NULL;
}

static void info_of(const struct task *t, struct task_info *out)
{
	*out = (struct task_info){
		.id = t->row.id,
		.app = t->row.app,
		.room = t->row.room,
		.mode = t->row.mode,
		.state = t->row.state,
		.reason = t->row.reason,
		.reason_text = t->row.reason_text,
		.created_ms = t->row.created_ms,
		.stopped_ms = t->row.stopped_ms,
		.segments_open = t->segs,
		.subscribe = t->subscribe,
		.format = t->row.format,
		.sample_rate = t->row.sample_rate,
		.max_idle_ms = t->row.max_idle_ms,
		.hold_empty_ms = t->row.hold_empty_ms,
		.segment_ms = t->row.segment_ms,
		.expires_ms = t->row.expires_ms,
		.is_auto = t->row.is_auto,
		.is_paused = t->row.is_paused,
		.storage = t->row.storage,
		.storage_prefix = t->row.storage_prefix,
	};
}

static void answer(struct task_call *call, struct task *t, const struct err *e)
{
	struct task_call c = *call;
	struct task_info info;

	*call = (struct task_call){0};
	if (!c.done)
		return;
	if (e->code) {
		c.done(e, NULL, c.arg);
		return;
	}
	assert(t);
	info_of(t, &info);
	c.done(e, &info, c.arg);
}

struct task_track *task_get_track(struct task *t, const char *user,
				  enum record_mode mode)
{
	int64_t last_ms = INT64_MIN;
	struct task_track *tr;

	LIST_EACH(&t->tracks, l, after)
	{
		tr = CONTAINER_OF(l, struct task_track, in_task);
		if (tr->mode == mode && !strcmp(tr->user, user))
			return tr;
	}
	tr = mem_zalloc(sizeof(*tr));
	if (!tr)
		return NULL;
	tr->task = t;
	tr->mode = mode;
	tr->last_start_s = INT64_MIN;
	str_copy(tr->user, sizeof(tr->user), user);
	/* a look-up by key, only after a restart: SeqNos of rows that were
	 * deleted stay used */
	if (t->restored && store_read_track(t->rooms->store, t->row.id, user,
					    mode, &tr->next_seq, &last_ms)) {
		mem_free(tr);
		return NULL;
	}
	if (last_ms > INT64_MIN)
		tr->last_start_s = last_ms / 1000;
	list_init(&tr->segs);
	list_append(&t->tracks, &tr->in_task);
	return tr;
}

static void on_retry(struct timer *timer, int64_t now_us)
{
	struct task *t = CONTAINER_OF(timer, struct task, retry);
	void (*fn)(struct task * t) = t->retry_fn;

	(void)now_us;
	t->retry_fn = NULL;
	fn(t);
}

void task_retry_in(struct task *t, void (*fn)(struct task *t), int64_t delay_us)
{
	t->retry_fn = fn;
	(void)keeper_arm(t->rooms, &t->retry, delay_us, on_retry);
}

void task_look(struct task *t)
{
	if (t->retry_fn && !timer_is_armed(&t->retry))
		on_retry(&t->retry, 0);
}

void task_retry(struct task *t, void (*fn)(struct task *t))
{
	task_retry_in(t, fn, RETRY_US);
}

/* ---- making and freeing -------------------------------------------------------- */

static int make_task(struct rooms *r, struct rooms_app *app,
		     struct task_row *row, struct task **out)
{
	struct task *t = mem_zalloc(sizeof(*t));

	if (!t)
		return ENOMEM;
	t->rooms = r;
	t->app = app;
	t->recording = app->recording;
	t->row = *row;
	list_init(&t->tracks);
	list_init(&t->trackless);
	list_init(&t->confirms);
	list_init(&t->calls);
	list_init(&t->warnings);
	if (map_add(&r->tasks, &t->node, &t->row.id, sizeof(t->row.id))) {
		mem_free(t);
		return ENOMEM;
	}
	row->subscribe = NULL; /* the task owns it now */
	*out = t;
	return 0;
}

static void leave_room(struct task *t)
{
	struct room *room = t->room;

	if (!room)
		return;
	t->room = NULL;
	list_remove(&t->in_room);
	if (room->auto_task == t)
		room->auto_task = NULL;
	counter_add(COUNT_tasks_running, -1);
	room_drop_if_empty(room);
}

void task_free(struct task *t)
{
	struct rooms *r = t->rooms;

	assert(!t->segs && !t->session && !t->due && !t->due_sent);
	assert(list_is_empty(&t->calls) && !warn_is_committing(t));
	confirm_forget(t);
	leave_room(t);
	timer_stop(&t->retry);
	map_remove(&r->tasks, &t->node);
	LIST_EACH(&t->tracks, l, after)
	{
		mem_free(CONTAINER_OF(l, struct task_track, in_task));
	}
	mem_free(t->row.subscribe);
	mem_free(t);
	rooms_check_stopped(r);
}

/** Take the room and prepare a session. */
static int enter_room(struct task *t, struct room *room)
{
	int err;

	t->room = room;
	list_append(&room->tasks, &t->in_room);
	if (t->row.is_auto)
		room->auto_task = t;
	counter_add(COUNT_tasks_running, 1);
	err = task_make_session(t);
	if (err)
		leave_room(t);
	return err;
}

int task_restore(struct rooms *r, struct task_row *row, struct task **out)
{
	int err = make_task(r, rooms_find_app(r, row->app), row, out);

	if (err)
		return err;
	lists_read(*out);
	(*out)->restored = true;
	(*out)->drained = true; /* until it is resumed */
	return 0;
}

int task_resume(struct task *t)
{
	struct room *room = rooms_get_room(t->rooms, t->app, t->row.room);
	int err = room ? enter_room(t, room) : ENOMEM;

	if (err)
		return err;
	t->drained = false;
	task_wish_session(t);
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " resumed", t->row.app,
		 t->row.room, t->row.id);
	return 0;
}

/* ---- what is due ---------------------------------------------------------- */

/** Answer those who wait for one of these. */
static void answer_calls(struct task *t, unsigned what, const struct err *e)
{
	LIST_EACH(&t->calls, l, after)
	{
		struct due_call *c = CONTAINER_OF(l, struct due_call, in_task);

		if (!(c->what & what))
			continue;
		list_remove(&c->in_task);
		answer(&c->call, t, e);
		mem_free(c);
	}
}

/** Answer `call` once `what` is committed.  false: out of memory, answered. */
static bool wait_for(struct task *t, enum task_due what, struct task_call *call)
{
	struct due_call *c = mem_zalloc(sizeof(*c));
	struct err e = {0};

	if (!c) {
		err_no_memory(&e);
		answer(call, t, &e);
		return false;
	}
	c->call = *call;
	c->what = what;
	list_append(&t->calls, &c->in_task);
	return true;
}

static void commit_due(struct task *t);

static void on_due_committed(const struct store_result *result, void *arg)
{
	struct task *t = arg;
	unsigned sent = t->due_sent;
	struct err e = {0};

	t->due_sent = 0;
	telling_settled(&t->telling, t, result);
	if (result->err) {
		log_error("task=%" PRIu64 " %s: commit failed (%s); again in "
			  "1 s",
			  t->row.id, task_state_name(t->row.state),
			  result->text);
		t->due |= sent;
		task_retry(t, commit_due);
		return;
	}
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " %s%s", t->row.app,
		 t->row.room, t->row.id, task_state_name(t->row.state),
		 sent == DUE_CHANGE ? ", changed" : "");
	if (sent & DUE_STOPPED) {
		crash_point("task.stopped");
		leave_room(t);
	}
	if (sent & DUE_STOPPING) {
		const struct caller who = {t->row.end_ip, t->row.end_platform};
		struct by by;

		by_set(&by, &who);
		crash_point("task.stopping");
		task_suspend(t, &by);
	}
	answer_calls(t, sent, &e);
	task_check(t);
}

static int add_due(struct task *t, struct store_write *w)
{
	int err = 0;

	store_set_task(w, &t->row);
	if (t->due_sent & DUE_FAILED)
		err = telling_add(&t->telling, t, NULL, EVENT_TASK_FAILED, w);
	if (!err && t->due_sent & DUE_STOPPED)
		err = telling_add(&t->telling, t, NULL, EVENT_TASK_STOPPED, w);
	return err;
}

static void commit_due(struct task *t)
{
	struct store_write *w;

	if (!t->due || t->due_sent || t->starting || timer_is_armed(&t->retry))
		return;
	t->due_sent = t->due;
	t->due = 0;
	w = store_write_new();
	if (w && add_due(t, w)) {
		store_write_free(w);
		w = NULL;
	}
	store_commit(t->rooms->store, w, t->rooms->loop, on_due_committed, t);
}

static void make_due(struct task *t, enum task_due what)
{
	t->due |= what;
	commit_due(t);
}

/* ---- start ----------------------------------------------------------------------- */

static void begin_stop(struct task *t)
{
	t->row.state = TASK_STOPPING;
	make_due(t, DUE_STOPPING);
}

/** Nothing of it is in the store. */
static void start_failed(struct task *t, const struct store_result *result)
{
	struct err e = {0};

	err_set(&e, result->err, "store", "could not be stored: %s",
		result->text);
	answer(&t->call, t, &e);
	err_set(&e, ENOENT, "task", "task %" PRIu64 " did not start",
		t->row.id);
	answer_calls(t, ~0U, &e);
	mem_free(t->session);
	t->session = NULL;
	t->due = 0;
	task_free(t);
}

static void on_start_committed(const struct store_result *result, void *arg)
{
	struct task *t = arg;
	struct err e = {0};

	t->starting = false;
	telling_settled(&t->telling, t, result);
	if (result->err) {
		start_failed(t, result);
		return;
	}
	crash_point("task.started");
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " started", t->row.app,
		 t->row.room, t->row.id);
	rooms_tell(t->rooms, "task %" PRIu64 " records room %s", t->row.id,
		   t->row.room);
	if (!t->row.is_auto) /* that is begun by its users */
		by_set(&t->by,
		       &(struct caller){t->row.client_ip, t->row.platform});
	task_wish_session(t);
	if (t->stop_after_start)
		begin_stop(t);
	answer(&t->call, t, &e);
	commit_due(t);
	if (t->rooms->stopping)
		task_suspend(t, NULL);
}

static uint64_t next_id(struct rooms *r)
{
	uint64_t id = event_task_id_at(clock_unix_ms());

	if (id <= r->last_task_id) /* same millisecond, or clock set back */
		id = r->last_task_id + (1U << EVENT_TASK_ID_ZERO_BITS);
	r->last_task_id = id;
	return id;
}

static int begin_task(struct rooms *r, const struct task_wish *w,
		      uint64_t storage, bool is_auto, struct task **out)
{
	struct rooms_app *app = rooms_find_app(r, w->app);
	struct task_row row;
	struct room *room;
	struct task *t;
	int err;

	task_wish_row(app, w, &row);
	row.id = next_id(r);
	row.is_auto = is_auto;
	row.created_ms = clock_unix_ms();
	row.storage = storage;
	err = make_task(r, app, &row, &t);
	if (err)
		return err;
	lists_set(t, &w->subscribe);
	err = lists_write(t);
	room = err ? NULL : rooms_get_room(r, app, w->room);
	err = room ? enter_room(t, room) : ENOMEM;
	if (err) {
		task_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void task_start(struct rooms *r, const struct task_wish *w, bool is_auto,
		rooms_task_fn *done, void *arg)
{
	struct task_call call = {done, arg};
	struct store_write *write;
	struct err e = {0};
	uint64_t storage = 0;
	struct task *t;

	if (task_wish_check(r, w, is_auto, &storage, &e)) {
		answer(&call, NULL, &e);
		return;
	}
	if (begin_task(r, w, storage, is_auto, &t)) {
		err_no_memory(&e);
		answer(&call, NULL, &e);
		return;
	}
	t->call = call;
	t->starting = true;
	write = store_write_new();
	if (write) {
		store_put_task(write, &t->row);
		if (storages_put(r, storage, write) ||
		    telling_add(&t->telling, t, NULL, EVENT_TASK_STARTED,
				write)) {
			store_write_free(write);
			write = NULL;
		}
	}
	store_commit(r->store, write, r->loop, on_start_committed, t);
}

void rooms_task_start(struct rooms *r, const struct task_wish *w,
		      rooms_task_fn *done, void *arg)
{
	task_start(r, w, false, done, arg);
}

/* ---- change ------------------------------------------------------------------------ */

static struct task *find_running(struct rooms *r, uint64_t id, struct err *e)
{
	struct task *t = task_find(r, id);

	if (!t)
		err_set(e, ENOENT, "task", "there is no running task %" PRIu64,
			id);
	return t;
}

static int apply(struct task *t, const struct task_change *c)
{
	if (c->has_paused)
		t->row.is_paused = c->paused;
	if (c->has_mode)
		t->row.mode = c->mode;
	if (!c->has_lists)
		return 0;
	lists_set(t, &c->subscribe);
	return lists_write(t);
}

void rooms_task_change(struct rooms *r, uint64_t id,
		       const struct task_change *change, rooms_task_fn *done,
		       void *arg)
{
	struct task_call call = {done, arg};
	struct err e = {0};
	struct task *t = find_running(r, id, &e);

	if (!t || (change->has_lists && lists_check(&change->subscribe, &e))) {
		answer(&call, t, &e);
		return;
	}
	if (t->row.state != TASK_RUNNING || t->stop_after_start) {
		err_set(&e, EALREADY, "task", "task %" PRIu64 " is %s", id,
			task_state_name(t->row.state));
		answer(&call, t, &e);
		return;
	}
	if (!wait_for(t, DUE_CHANGE, &call))
		return;
	if (change->has_paused)
		log_info("room=%s task=%" PRIu64 " %s", t->row.room, id,
			 change->paused ? "paused" : "goes on");
	if (apply(t, change))
		log_error("task=%" PRIu64 " forgets its lists at a restart: "
			  "out of memory",
			  id);
	by_set(&t->by, &change->who);
	task_wish_session(t);
	make_due(t, DUE_CHANGE);
}

/* ---- stop -------------------------------------------------------------------------- */

void rooms_task_stop(struct rooms *r, uint64_t id, const struct caller *who,
		     rooms_task_fn *done, void *arg)
{
	struct task_call call = {done, arg};
	struct err e = {0};
	struct by by;
	struct task *t = find_running(r, id, &e);

	if (!t || (t->row.state != TASK_RUNNING &&
		   !((t->due | t->due_sent) & DUE_STOPPING))) {
		answer(&call, t, &e); /* stopping twice is fine */
		return;
	}
	if (!wait_for(t, DUE_STOPPING, &call))
		return;
	if (t == t->room->auto_task)
		t->room->auto_over = true; /* by hand: let it be */
	by_set(&by, who);
	task_stop(t, LEAVE_API, &by);
}

static void set_end(struct task *t, enum leave_code why, const struct by *by)
{
	t->row.leave_code = why;
	str_copy(t->row.end_ip, sizeof(t->row.end_ip), by->ip);
	str_copy(t->row.end_platform, sizeof(t->row.end_platform),
		 by->platform);
}

void task_stop(struct task *t, enum leave_code why, const struct by *by)
{
	if (t->starting && !t->stop_after_start) {
		t->stop_after_start = true;
		set_end(t, why, by);
	} else if (!t->starting && t->row.state == TASK_RUNNING) {
		set_end(t, why, by);
		begin_stop(t);
	}
}

/* ---- failure ----------------------------------------------------------------------- */

void task_fail(struct task *t, const char *reason, const char *text)
{
	task_suspend(t, NULL);
	/* a file that fails while the task stops is a failure all the same */
	if (t->row.state != TASK_RUNNING && t->row.state != TASK_STOPPING)
		return;
	t->row.state = TASK_FAILED;
	set_end(t, LEAVE_SERVER, &(struct by){0});
	str_copy(t->row.reason, sizeof(t->row.reason), reason);
	str_copy(t->row.reason_text, sizeof(t->row.reason_text), text);
	counter_add(COUNT_tasks_failed, 1);
	log_error("app=%" PRIu32 " room=%s task=%" PRIu64 " failed: %s",
		  t->row.app, t->row.room, t->row.id, text);
	make_due(t, DUE_FAILED);
}

/* ---- stopped ------------------------------------------------------------------------ */

void task_check(struct task *t)
{
	commit_due(t);
	if (!t->drained || t->segs || t->finishing || t->due || t->due_sent ||
	    confirm_is_committing(t) || warn_is_committing(t))
		return;
	if (t->row.state == TASK_RUNNING) {
		if (t->rooms->stopping) /* resumed at the next start */
			task_free(t);
		return;
	}
	if (!t->row.stopped_ms) {
		if (t->row.state == TASK_STOPPING)
			t->row.state = TASK_STOPPED;
		t->row.stopped_ms = clock_unix_ms();
		make_due(t, DUE_STOPPED);
		return;
	}
	if (t->rooms->stopping)
		task_free(t); /* its uploads go on at the next start */
	else if (!t->uploads && !t->pins)
		finish_task(t);
}

/* ---- looking ------------------------------------------------------------------------- */

bool rooms_task_info(const struct rooms *r, uint64_t id, struct task_info *out)
{
	struct task *t = task_find(r, id);

	if (t)
		info_of(t, out);
	return t != NULL;
}
