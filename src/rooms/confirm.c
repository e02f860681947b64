/**
 * rooms/confirm.c -- a closed segment, until it is confirmed that it is stored.
 *
 *	closed segment -> upload -> commit `uploaded_ms` + event uploaded ->
 *	the spool's copy goes
 *	the first attempt that fails -> commit `is_failing` + event
 *	upload_failing; it is tried again until it is there
 *	its task is to be erased, and it only waits to be tried again -> let go
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/confirm.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/quote.h"

/** What is to be stored, and told, of a segment. */
enum confirm_due {
	CONFIRM_FAILING = 1, /* its upload fails */
	CONFIRM_UPLOADED = 2,
	CONFIRM_REASON = 4 /* it fails for another reason now: not told */
};

/** A segment on its way into storage, and what comes of it on its way into the
 *  store.  One commit at a time; what comes up meanwhile is due. */
struct confirm {
	struct task *task;
	struct rooms *rooms;
	struct segment_row row;
	struct telling telling;
	struct link in_task;
	unsigned due, sent; /* enum confirm_due */
	bool is_failing;    /* its last attempt did */
	char reason[32];
	char reason_text[REASON_MAX];
	struct timer retry;
	struct job drop; /* removes the spool's copy */
};

static int begin_upload(struct confirm *c)
{
	struct upload_place place;
	const struct upload_item item = {
		.segment = c->row.id,
		.name = c->row.file_name,
		.len = c->row.size,
		.sha256 = c->row.sha256,
		.since_ms = c->row.closed_ms,
		.place = &place,
		.user = c,
	};
	const bool is_known = storages_place(c->rooms, &c->row, &place);

	assert(is_known); /* of a task that is in memory */
	return upload_add(c->rooms->upload, &item);
}

int confirm_begin(struct task *t, const struct segment_row *row)
{
	struct confirm *c = mem_zalloc(sizeof(*c));
	int err;

	if (!c)
		return ENOMEM;
	c->task = t;
	c->rooms = t->rooms;
	c->row = *row;
	str_copy(c->reason, sizeof(c->reason), row->reason);
	str_copy(c->reason_text, sizeof(c->reason_text), row->reason_text);
	err = begin_upload(c);
	if (err) {
		mem_free(c);
		return err;
	}
	list_append(&t->confirms, &c->in_task);
	t->uploads++;
	return 0;
}

bool confirm_is_committing(const struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		const struct confirm *c =
			CONTAINER_OF(l, struct confirm, in_task);

		/* or one that failed, but keeps a number: no holes */
		if (c->sent || c->telling.taken)
			return true;
	}
	return false;
}

void confirm_forget(struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		struct confirm *c = CONTAINER_OF(l, struct confirm, in_task);

		timer_stop(&c->retry);
		list_remove(&c->in_task);
		mem_free(c);
	}
}

/* ---- uploaded, or failing ----------------------------------------------------- */

static void commit_due(struct confirm *c);

static void on_retry(struct timer *timer, int64_t now_us)
{
	(void)now_us;
	commit_due(CONTAINER_OF(timer, struct confirm, retry));
}

static void drop_run(struct job *job)
{
	struct confirm *c = CONTAINER_OF(job, struct confirm, drop);

	if (upload_drop_spool(&c->rooms->upload_config, c->row.file_name))
		log_warn("task=%" PRIu64 " %s stays in the spool: cannot be "
			 "removed",
			 c->row.task, c->row.file_name);
	mem_free(c);
}

static void on_uploaded_committed(struct confirm *c)
{
	struct task *t = c->task;

	crash_point("segment.uploaded");
	log_info("app=%" PRIu32 " room=%s task=%" PRIu64 " user=%s seg=%" PRIu32
		 " uploaded",
		 c->row.app, c->row.room, c->row.task, c->row.user, c->row.seq);
	list_remove(&c->in_task);
	if (waves_take_drop(c->rooms, &c->row)) {
		mem_free(c);
	} else {
		c->drop.run = drop_run;
		c->drop.key = c->row.id;
		workers_run(c->rooms->workers, &c->drop, c->rooms->loop, NULL);
	}
	t->uploads--;
	task_check(t);
}

static void on_committed(const struct store_result *r, void *arg)
{
	struct confirm *c = arg;
	struct task *t = c->task;
	unsigned sent = c->sent;

	c->sent = 0;
	telling_settled(&c->telling, t, r);
	if (r->err) {
		c->due |= sent;
		if (t->rooms->stopping && !c->telling.taken) {
			task_check(t); /* found again at the next start */
			return;
		}
		log_error("task=%" PRIu64 " %s: commit failed (%s); again in "
			  "1 s",
			  c->row.task,
			  sent & CONFIRM_UPLOADED ? "uploaded" : "failing",
			  r->text);
		if (!keeper_arm(c->rooms, &c->retry, RETRY_US, on_retry) &&
		    t->rooms->stopping) {
			c->telling.taken = 0; /* no keeper looks any more */
			task_check(t);
		}
		return;
	}
	if (sent & CONFIRM_UPLOADED) {
		on_uploaded_committed(c);
		return;
	}
	if (sent & CONFIRM_FAILING)
		crash_point("segment.failing");
	commit_due(c);
	task_check(t);
}

static int put_failing(struct confirm *c, struct store_write *w)
{
	char once[ONCE_CAP];
	struct event e;

	seg_event(c->task, &c->row, EVENT_UPLOAD_FAILING, &e);
	seg_once(&c->row, EVENT_UPLOAD_FAILING, once, sizeof(once));
	str_copy(e.reason, sizeof(e.reason), c->reason);
	str_copy(e.reason_text, sizeof(e.reason_text), c->reason_text);
	return telling_put(&c->telling, c->task, &e, once, w);
}

static int put_due(struct confirm *c, struct store_write *w)
{
	int err = 0;

	store_set_segment(w, &c->row);
	if (c->sent & CONFIRM_FAILING)
		err = put_failing(c, w);
	if (!err && c->sent & CONFIRM_UPLOADED)
		err = telling_add(&c->telling, c->task, &c->row, EVENT_UPLOADED,
				  w);
	return err;
}

static void commit_due(struct confirm *c)
{
	struct rooms *r = c->rooms;
	struct store_write *w;

	if (!c->due || c->sent || timer_is_armed(&c->retry))
		return;
	c->sent = c->due;
	c->due = 0;
	if (c->sent & CONFIRM_FAILING)
		c->row.is_failing = true;
	str_copy(c->row.reason, sizeof(c->row.reason), c->reason);
	str_copy(c->row.reason_text, sizeof(c->row.reason_text),
		 c->reason_text);
	if (c->sent & CONFIRM_UPLOADED) {
		c->row.stored_in = storages_slot(r, &c->row) == SLOT_LOCAL
					   ? UPLOAD_LOCAL
					   : UPLOAD_S3;
		c->row.uploaded_ms = clock_unix_ms();
		c->row.reason[0] = c->row.reason_text[0] = 0;
	}
	w = store_write_new();
	if (w && put_due(c, w)) {
		store_write_free(w);
		w = NULL;
	}
	store_commit(r->store, w, r->loop, on_committed, c);
}

/** Told once of a segment, however often it fails and over restarts; the row
 *  has the reason as it is now. */
static void on_failed(struct confirm *c, const struct upload_result *result)
{
	const bool is_told =
		c->row.is_failing || (c->due | c->sent) & CONFIRM_FAILING;
	const bool is_new = strcmp(c->reason, result->reason) != 0;

	c->is_failing = true;
	if (is_told && !is_new)
		return;
	log_warn("task=%" PRIu64 " user=%s seg=%" PRIu32
		 " upload failed, attempt %u; will be tried again: %s: %s",
		 c->row.task, c->row.user, c->row.seq, result->attempt,
		 result->reason, result->text);
	str_copy(c->reason, sizeof(c->reason), result->reason);
	/* Cut at a whole character: it goes into JSON. */
	quote_line(c->reason_text, sizeof(c->reason_text), result->text);
	c->due |= is_told ? CONFIRM_REASON : CONFIRM_FAILING;
	commit_due(c);
}

void confirm_on_uploaded(const struct upload_result *result, void *arg)
{
	struct confirm *c = result->user;
	const struct rooms *r = arg;

	if (r->stopping)
		return; /* its task may be gone; found again at the start */
	if (result->err) {
		on_failed(c, result);
		return;
	}
	c->is_failing = false;
	c->due = (c->due & ~(unsigned)CONFIRM_REASON) | CONFIRM_UPLOADED;
	commit_due(c);
}

bool confirm_is_failing(const struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		if (CONTAINER_OF(l, struct confirm, in_task)->is_failing)
			return true;
	}
	return false;
}

void confirm_tell_again(struct task *t)
{
	LIST_EACH(&t->confirms, l, after)
	{
		commit_due(CONTAINER_OF(l, struct confirm, in_task));
	}
}

/* ---- let go, to be erased ---------------------------------------------------------- */

/** A task that an erasure keeps from finishing. */
struct pin {
	struct link link;
	uint64_t task;
};

void let_go_init(struct let_go *g)
{
	list_init(&g->confirms);
	list_init(&g->pins);
}

bool let_go_has_task(const struct let_go *g, uint64_t task)
{
	LIST_EACH(&g->pins, l, after)
	{
		if (CONTAINER_OF(l, struct pin, link)->task == task)
			return true;
	}
	return false;
}

bool let_go_has_segment(const struct let_go *g, uint64_t segment)
{
	LIST_EACH(&g->confirms, l, after)
	{
		if (CONTAINER_OF(l, struct confirm, in_task)->row.id == segment)
			return true;
	}
	return false;
}

/** Is it doing nothing but waiting to be tried again? */
static bool only_waits(const struct confirm *c)
{
	return c->is_failing && !c->sent && !c->due && !c->telling.taken &&
	       !timer_is_armed(&c->retry);
}

static void let_go(struct task *t, const char *user, struct let_go *g)
{
	struct pin *pin = mem_zalloc(sizeof(*pin));

	if (!pin)
		return; /* then it is refused: its files are being stored */
	pin->task = t->row.id;
	list_append(&g->pins, &pin->link);
	t->pins++;
	LIST_EACH(&t->confirms, l, after)
	{
		struct confirm *c = CONTAINER_OF(l, struct confirm, in_task);

		if ((user && strcmp(user, c->row.user) != 0) ||
		    !only_waits(c) || !upload_cancel(t->rooms->upload, c))
			continue;
		list_remove(&c->in_task);
		list_append(&g->confirms, &c->in_task);
	}
}

void confirm_let_go(struct rooms *r, uint64_t task, uint32_t app,
		    const char *room, const char *user, struct let_go *g)
{
	struct map_node *n = map_next(&r->tasks, NULL);

	for (; n; n = map_next(&r->tasks, n)) {
		struct task *t = CONTAINER_OF(n, struct task, node);

		if ((task && t->row.id != task) || (app && t->row.app != app) ||
		    (room && strcmp(t->row.room, room) != 0) ||
		    !t->row.stopped_ms || t->finishing || t->left ||
		    !confirm_is_failing(t))
			continue;
		let_go(t, user, g);
	}
}

/** Stored after all; it is found at the next start where that cannot be. */
static void take_back(struct task *t, struct confirm *c)
{
	list_append(&t->confirms, &c->in_task);
	if (begin_upload(c))
		log_error("task=%" PRIu64 " upload waits for a restart: out of "
			  "memory",
			  t->row.id);
}

static void unpin(struct rooms *r, struct pin *pin)
{
	struct task *t = task_find(r, pin->task);

	mem_free(pin);
	if (!t)
		return;
	t->pins--;
	task_check(t);
}

void confirm_take_back(struct rooms *r, struct let_go *g, uint64_t gone_to)
{
	LIST_EACH(&g->confirms, l, after)
	{
		struct confirm *c = CONTAINER_OF(l, struct confirm, in_task);
		struct task *t = task_find(r, c->row.task);

		list_remove(l);
		if (t && !r->stopping && c->row.id > gone_to) {
			take_back(t, c);
			continue;
		}
		if (t)
			t->uploads--;
		mem_free(c);
	}
	LIST_EACH(&g->pins, l, after)
	{
		list_remove(l);
		unpin(r, CONTAINER_OF(l, struct pin, link));
	}
}
