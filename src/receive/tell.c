/**
 * receive/tell.c -- tell of what is committed, in the order of the rows.
 *
 * WHAT  An event is told once: to who listens, to the owner, to the ways on.
 * WHY   A commit that the disk said no to may have been made all the same.
 *       Its sender comes again and is answered as one who repeats; so what
 *       was committed the first time must be told without it.
 * DESIGN
 *   - In most cases nothing waits, and an event is told at once.
 *   - After a commit that failed its callback is in doubt and waits, with
 *     those behind it, since ids are told in order.  When a later commit
 *     succeeds the store can be asked which of the rows there are.
 *   - WAIT_MAX wait at most.  Of those in doubt the oldest is let go then:
 *     shown and sent on after a restart, as its row is found then.
 *
 *   (failed) -> IN_DOUBT --the row is there--> MADE -> told
 *                        --it is not---------> NOT_MADE -> forgotten
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "receive/page.h"
#include "receive/private.h"

enum { PAGE = 500, WAIT_MAX = 1000 };

/** A question to the store; it outlives the receiver. */
struct asking {
	struct receive *receive; /* NULL: it has closed */
	uint64_t until;		 /* the newest that is asked for */
};

void taking_free(struct taking *t)
{
	list_remove(&t->link);
	event_fini(&t->callback.event);
	texts_fini(&t->texts);
	mem_free(t);
}

/* ---- telling ------------------------------------------------------------------ */

/** Show it to who looks. */
static void show_new(struct receive *rc, const struct taking *t)
{
	int err = recordings_add(&rc->recordings, t->texts.event);

	streams_event(rc->streams, t->id, t->texts.event, t->texts.line);
	if (err)
		log_warn("/v1/recordings: %s",
			 err == ENOBUFS
				 ? "a recording has more segments and files "
				   "than are shown"
				 : "out of memory; complete again after a "
				   "restart");
}

static void tell(struct receive *rc, struct taking *t)
{
	counter_add(COUNT_received_new, 1);
	show_new(rc, t);
	if (rc->events.event)
		rc->events.event(&t->callback, t->texts.line, rc->arg);
	forward_begin(rc->forward, t->rows, t->n_rows, t->texts.facts,
		      t->texts.facts_len);
	taking_free(t);
}

/** Those that wait for nothing any more. */
static void tell_first(struct receive *rc)
{
	LIST_EACH(&rc->waiting, l, after)
	{
		struct taking *t = CONTAINER_OF(l, struct taking, link);

		if (t->state == TAKING_IN_DOUBT)
			return;
		rc->n_waiting--;
		if (t->state == TAKING_MADE)
			tell(rc, t);
		else
			taking_free(t);
	}
}

/* ---- finding out -------------------------------------------------------------- */

static void ask(struct receive *rc);

/** Up to `until` all rows there are have come, or up to the last of `rows`. */
static void find(struct receive *rc, const struct store_rows *rows,
		 uint64_t until)
{
	uint64_t known = rows->more ? rows->events[rows->n - 1].id : until;
	size_t i = 0;

	LIST_EACH(&rc->waiting, l, after)
	{
		struct taking *t = CONTAINER_OF(l, struct taking, link);

		if (t->id > known)
			return;
		while (i < rows->n && rows->events[i].id < t->id)
			i++;
		if (t->state != TAKING_IN_DOUBT)
			continue;
		t->state = i < rows->n && rows->events[i].id == t->id
				   ? TAKING_MADE
				   : TAKING_NOT_MADE;
	}
}

static void on_rows(struct store_rows *rows, void *arg)
{
	struct asking *a = arg;
	struct receive *rc = a->receive;
	const bool more = rows->more;
	int err = rows->err;

	if (rc && !err)
		find(rc, rows, a->until);
	store_rows_free(rows);
	if (rc) {
		rc->asking = NULL;
		tell_first(rc);
	}
	mem_free(a);
	if (rc && err) /* asked again after the next commit */
		log_warn("callbacks in doubt: %s", strerror(err));
	else if (rc && more)
		ask(rc);
}

static void ask(struct receive *rc)
{
	struct link *first = list_first(&rc->waiting);
	struct link *last = rc->waiting.prev;
	struct store_filter f = {
		.what = READ_EVENTS, .state = -1, .limit = PAGE};

	if (rc->asking || !first)
		return;
	rc->asking = mem_zalloc(sizeof(*rc->asking));
	if (!rc->asking)
		return; /* after the next commit */
	rc->asking->receive = rc;
	rc->asking->until = CONTAINER_OF(last, struct taking, link)->id;
	f.after = CONTAINER_OF(first, struct taking, link)->id - 1;
	if (!store_query(rc->store, &f, rc->loop, on_rows, rc->asking))
		return;
	mem_free(rc->asking);
	rc->asking = NULL;
}

/* ---- after a commit ------------------------------------------------------------ */

static void wait_for_rows(struct receive *rc, struct taking *t,
			  enum taking_state state)
{
	t->state = state;
	list_remove(&t->link);
	list_append(&rc->waiting, &t->link);
	rc->n_waiting++;
}

void tell_made(struct receive *rc, struct taking *t)
{
	if (list_is_empty(&rc->waiting)) {
		tell(rc, t);
		return;
	}
	wait_for_rows(rc, t, TAKING_MADE);
	ask(rc);
}

void tell_repeated(struct receive *rc, struct taking *t)
{
	counter_add(COUNT_received_duplicate, 1);
	if (rc->events.duplicate)
		rc->events.duplicate(&t->callback, rc->arg);
	taking_free(t);
	ask(rc);
}

void tell_doubted(struct receive *rc, struct taking *t)
{
	wait_for_rows(rc, t, TAKING_IN_DOUBT);
	if (rc->n_waiting <= WAIT_MAX)
		return;
	t = CONTAINER_OF(list_first(&rc->waiting), struct taking, link);
	t->state = TAKING_NOT_MADE;
	log_warn("too many callbacks may or may not be stored: one that is "
		 "will be shown and sent on after a restart");
	tell_first(rc);
}

void tell_close(struct receive *rc)
{
	if (rc->asking)
		rc->asking->receive = NULL;
	LIST_EACH(&rc->waiting, l, after)
	taking_free(CONTAINER_OF(l, struct taking, link));
}
