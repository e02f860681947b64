/**
 * rooms/warn.c -- what may be going wrong while it can still be mended.
 *
 * WHAT  Once a second, with keeper.c: inputs of which nothing comes any more
 *       (`input_lost`), or nothing was ever heard (`no_audio`); a disk that
 *       gets full (`disk_low`); media loops that are behind.
 * DESIGN
 *   - An input is looked at by the times that its voice publishes, as of the
 *     moment at which the media loop looked: a loop that is behind loses no
 *     input.
 *   - A warning is an event of every running task that records the user: once
 *     for each loss, and once when nothing was heard for a while since the
 *     input was opened (or its microphone switched on), or since the task
 *     began.  Who was heard once is never warned of as silent: people listen.
 *   - Those of a task are committed one after another; one that fails is
 *     tried again every second, as the same event with the same number.
 *   - The disk is measured by a worker: a disk that stands still must not
 *     hold the control loop.
 *   - Overload is a line in the log, once a minute, and a counter: a server
 *     that is behind is not helped by more work.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

enum {
	MEASURE_US = 10 * 1000 * 1000,
	MEASURE_LOW_US = 900 * 1000, /* every round: whoever waits for space */
	NO_ANSWER_US = 60 * 1000 * 1000,
	OVERLOAD_US = 60 * 1000 * 1000 /* between two lines */
};

/** To be told. */
struct warning {
	struct link in_task;
	enum event_kind kind;
	char user[ID_MAX + 1]; /* "": of the task itself */
	uint64_t about;	       /* input, or 0 */
	int64_t unix_ms;
	char text[REASON_MAX];
	struct by by;
};

/* ---- telling ------------------------------------------------------------- */

static void tell_next(struct task *t);

static void on_again(struct timer *timer, int64_t now_us)
{
	(void)now_us;
	tell_next(CONTAINER_OF(timer, struct task, warn_again));
}

static void on_told(const struct store_result *r, void *arg)
{
	struct task *t = arg;
	struct link *first = list_first(&t->warnings);

	t->warning_out = false;
	telling_settled(&t->warn_telling, t, r);
	if (r->err) {
		log_error("task=%" PRIu64 " warning: commit failed (%s); again "
			  "in 1 s",
			  t->row.id, r->text);
		(void)keeper_arm(t->rooms, &t->warn_again, RETRY_US, on_again);
		return;
	}
	list_remove(first);
	mem_free(CONTAINER_OF(first, struct warning, in_task));
	t->n_warnings--;
	tell_next(t);
	task_check(t);
}

static int put_warning(struct task *t, const struct warning *g,
		       struct store_write *w)
{
	char once[ONCE_CAP];
	struct event e;

	task_event(t, g->kind, &e);
	e.unix_ms = g->unix_ms;
	event_by(&e, g->by.ip, g->by.platform);
	if (g->user[0])
		str_copy(e.user, sizeof(e.user), g->user);
	str_copy(e.reason, sizeof(e.reason), event_kind_name(g->kind));
	str_copy(e.reason_text, sizeof(e.reason_text), g->text);
	snprintf(once, sizeof(once), "%" PRIu64 "/%s/%" PRIu64 "/%" PRId64,
		 t->row.id, event_kind_name(g->kind), g->about, g->unix_ms);
	return telling_put(&t->warn_telling, t, &e, once, w);
}

static void tell_next(struct task *t)
{
	struct link *l = list_first(&t->warnings);
	struct store_write *w;

	if (!l || t->warning_out || timer_is_armed(&t->warn_again))
		return;
	t->warning_out = true;
	w = store_write_new();
	if (w && put_warning(t, CONTAINER_OF(l, struct warning, in_task), w)) {
		store_write_free(w);
		w = NULL;
	}
	store_commit(t->rooms->store, w, t->rooms->loop, on_told, t);
}

void warn_look_at_task(struct task *t)
{
	tell_next(t);
}

bool warn_is_committing(const struct task *t)
{
	return t->n_warnings > 0;
}

/** Tell a task of an input (NULL: of the machine). */
static void warn(struct task *t, enum event_kind kind, const struct member *m,
		 const char *text)
{
	struct warning *g = NULL;

	if (t->n_warnings < WARNINGS_MAX)
		g = mem_zalloc(sizeof(*g));
	if (!g) {
		log_error("task=%" PRIu64 " is not told %s of %s: %s",
			  t->row.id, event_kind_name(kind),
			  m ? m->row.user : "the machine",
			  t->n_warnings < WARNINGS_MAX
				  ? "out of memory"
				  : "too many warnings wait for the disk");
		return;
	}
	g->kind = kind;
	g->about = m ? m->row.id : 0;
	g->unix_ms = clock_unix_ms();
	if (m)
		str_copy(g->user, sizeof(g->user), m->row.user);
	if (m)
		member_by(m, &g->by);
	str_copy(g->text, sizeof(g->text), text);
	list_append(&t->warnings, &g->in_task);
	t->n_warnings++;
	tell_next(t);
}

/** Does it record, and is that durable? */
static bool is_recording(const struct task *t)
{
	return !t->starting && t->row.state == TASK_RUNNING;
}

/* ---- an input -------------------------------------------------------------- */

/** What its voice has published. */
struct sight {
	int64_t seen_us, packet_us;
	bool is_heard, has_left;
};

static struct sight look_at(const struct member *m)
{
	const struct voice *v = m->voice;
	/* first: the others are as of then, or later */
	int64_t seen_us =
		atomic_load_explicit(&v->seen_us, memory_order_acquire);

	return (struct sight){
		.seen_us = seen_us,
		.packet_us = atomic_load_explicit(&v->packet_us,
						  memory_order_relaxed),
		.is_heard = atomic_load_explicit(&v->heard_us,
						 memory_order_relaxed) != 0,
		.has_left = atomic_load_explicit(&v->has_left,
						 memory_order_relaxed),
	};
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void log_input(const struct member *m, const char *what)
{
	struct rooms *r = m->room->rooms;

	log_warn("app=%" PRIu32 " room=%s user=%s input=%" PRIu64 " %s",
		 m->row.app, m->row.room, m->row.user, m->row.id, what);
	rooms_tell(r, "%s in room %s: %s", m->row.user, m->row.room, what);
}

/** Returns whether it is lost since this look. */
static bool look_for_loss(struct member *m, const struct sight *s)
{
	const int64_t after_us = m->room->app->recording.input_lost_after_us;
	/* one by WebRTC that sends nothing, and answers that it is there, has
	 * no sound to send (replaceTrack(null)) */
	const bool is_there =
		m->whip && !strcmp(whip_state_name(m), "connected");
	const bool is_expected = s->packet_us && !s->has_left &&
				 !m->mic_disabled && !is_there && after_us > 0;

	if (m->lost_us && s->packet_us > m->lost_us) {
		m->lost_us = 0;
		log_input(m, "sends again");
	}
	if (!is_expected) {
		m->lost_us = 0;
		return false;
	}
	if (m->lost_us ||
	    s->seen_us - later(s->packet_us, m->since_us) < after_us)
		return false;
	m->lost_us = s->packet_us;
	return true;
}

static void tell_of_loss(const struct member *m, const struct sight *s,
			 struct task *t)
{
	char text[REASON_MAX];

	snprintf(text, sizeof(text), "nothing has come for %" PRId64 " s",
		 (s->seen_us - s->packet_us) / CLOCK_US_PER_S);
	if (t)
		warn(t, EVENT_INPUT_LOST, m, text);
	else
		log_input(m, text);
}

/**
 * Is it silent in the eyes of a task?  `is_new`: since this look.
 * after_us is not 0.
 */
static bool is_silent(const struct member *m, const struct sight *s,
		      const struct task *t, int64_t after_us, bool *is_new)
{
	const int64_t due_us = later(m->since_us, t->began_us) + after_us;

	*is_new = m->seen_us < due_us;
	return !s->is_heard && !m->mic_disabled && s->seen_us >= due_us;
}

static void tell_of_silence(const struct member *m, const struct sight *s,
			    struct task *t)
{
	const char *what = s->packet_us ? "only silence" : "no packet";
	char text[REASON_MAX];

	snprintf(text, sizeof(text), "nothing was ever heard: %s has come",
		 what);
	if (t)
		warn(t, EVENT_NO_AUDIO, m, text);
	else
		log_input(m, text);
}

static void look_for_silence(struct member *m, const struct sight *s)
{
	const int64_t after_us = m->room->app->recording.no_audio_after_us;
	const bool was_silent = m->silent;

	m->silent = false;
	LIST_EACH(&m->room->tasks, l, after)
	{
		struct task *t = CONTAINER_OF(l, struct task, in_room);
		bool is_new;

		if (!after_us || !is_recording(t) ||
		    !lists_want(t, m->row.user) ||
		    !is_silent(m, s, t, after_us, &is_new))
			continue;
		m->silent = true;
		if (is_new)
			tell_of_silence(m, s, t);
	}
	if (m->silent && !was_silent)
		tell_of_silence(m, s, NULL);
	else if (was_silent && s->is_heard)
		log_input(m, "is heard now");
}

static void look_at_input(struct member *m, int64_t now_us)
{
	const struct sight s = look_at(m);
	bool is_lost;

	if (!s.seen_us)
		return;
	is_lost = look_for_loss(m, &s);
	if (is_lost)
		tell_of_loss(m, &s, NULL);
	LIST_EACH(&m->room->tasks, l, after)
	{
		struct task *t = CONTAINER_OF(l, struct task, in_room);
		/* one that has just begun is told what was lost before */
		bool is_told = is_lost || (m->lost_us && t->began_us == now_us);

		if (is_told && is_recording(t) && lists_want(t, m->row.user))
			tell_of_loss(m, &s, t);
	}
	look_for_silence(m, &s);
	m->seen_us = s.seen_us;
}

void warn_look(struct room *room, int64_t now_us)
{
	LIST_EACH(&room->tasks, l, after)
	{
		struct task *t = CONTAINER_OF(l, struct task, in_room);

		if (!t->began_us && is_recording(t))
			t->began_us = now_us;
	}
	LIST_EACH(&room->members, l, after)
	{
		struct member *m = CONTAINER_OF(l, struct member, in_room);

		if (m->state == MEMBER_OPEN && m->row_done && !m->close_sent)
			look_at_input(m, now_us);
	}
}

const char *warn_of(const struct member *m)
{
	if (m->lost_us)
		return event_kind_name(EVENT_INPUT_LOST);
	return m->silent ? event_kind_name(EVENT_NO_AUDIO) : "";
}

/* ---- the machine ----------------------------------------------------------- */

static void tell_of_disk(struct rooms *r)
{
	char text[REASON_MAX];

	snprintf(text, sizeof(text),
		 "%" PRId64 " MiB are free; no task starts below %" PRId64
		 " MiB",
		 r->free_bytes >> 20, r->disk_low_bytes >> 20);
	log_error("disk low: %s; free some space below %s", text, r->data_dir);
	rooms_tell(r, "disk low: %s", text);
	for (struct map_node *n = map_next(&r->tasks, NULL); n;
	     n = map_next(&r->tasks, n)) {
		struct task *t = CONTAINER_OF(n, struct task, node);

		if (is_recording(t))
			warn(t, EVENT_DISK_LOW, NULL, text);
	}
}

void warn_on_measured(struct rooms *r, int64_t free_bytes, int64_t now_us)
{
	/* an eighth more than needed: not over and over at the limit */
	const int64_t plenty = r->disk_low_bytes + r->disk_low_bytes / 8;

	r->free_bytes = free_bytes;
	r->measured_us = now_us;
	if (free_bytes < 0)
		return;
	if (free_bytes < r->disk_low_bytes && !r->disk_told) {
		r->disk_told = true;
		tell_of_disk(r);
	} else if (free_bytes >= plenty && r->disk_told) {
		r->disk_told = false;
		log_info("disk: %" PRId64 " MiB are free again",
			 free_bytes >> 20);
	}
}

bool warn_disk_is_low(const struct rooms *r, char *why, size_t cap)
{
	if (loop_now_us(r->loop) - r->measured_us > NO_ANSWER_US) {
		snprintf(why, cap, "the disk of data_dir does not answer");
		return true;
	}
	if (r->free_bytes < 0) {
		snprintf(why, cap,
			 "how much of data_dir's disk is free cannot be told");
		return true;
	}
	if (r->free_bytes < r->disk_low_bytes) {
		snprintf(why, cap, "disk low: %" PRId64 " MiB free",
			 r->free_bytes >> 20);
		return true;
	}
	return false;
}

static void measure(struct job *job)
{
	struct rooms *r = CONTAINER_OF(job, struct rooms, disk_job);

	if (file_free_bytes(r->data_dir, &r->disk_found))
		r->disk_found = -1;
}

static void on_measured(struct job *job)
{
	struct rooms *r = CONTAINER_OF(job, struct rooms, disk_job);

	if (r->stopping)
		rooms_check_stopped(r);
	else
		warn_on_measured(r, r->disk_found, loop_now_us(r->loop));
}

bool warn_is_measuring(const struct rooms *r)
{
	return r->disk_job.queued;
}

void warn_start(struct rooms *r)
{
	r->disk_job.run = measure;
	measure(&r->disk_job);
	warn_on_measured(r, r->disk_found, clock_now_us());
}

static void look_at_load(struct rooms *r, int64_t now_us)
{
	const int64_t late = counter_get(COUNT_work_late);

	if (late == r->work_late ||
	    (r->overload_us && now_us - r->overload_us < OVERLOAD_US))
		return;
	log_warn("overload: voices and mixes were worked on late %" PRId64
		 " times since the last such line; fewer recordings, or more "
		 "cores",
		 late - r->work_late);
	rooms_tell(r, "overload: the server is behind");
	r->work_late = late;
	r->overload_us = now_us;
}

void warn_look_at_machine(struct rooms *r, int64_t now_us)
{
	const bool is_low = r->free_bytes < r->disk_low_bytes;
	const int64_t wait_us = is_low ? MEASURE_LOW_US : MEASURE_US;

	look_at_load(r, now_us);
	if (now_us - r->measured_us >= wait_us && !r->disk_job.queued)
		workers_run(r->workers, &r->disk_job, r->loop, on_measured);
}
