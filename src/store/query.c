/** store/query.c -- a page read on a worker, handed to a loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>

#include "base/mem.h"

struct query {
	struct job job;
	/* fixed while it runs */
	struct store *store;
	struct store_filter filter;
	char *room, *user, *text;
	store_rows_fn *done;
	void *arg;
	/* worker, then loop */
	struct store_rows rows;
};

static void query_free(struct query *q)
{
	if (!q)
		return;
	mem_free(q->room);
	mem_free(q->user);
	mem_free(q->text);
	mem_free(q);
}

static void run(struct job *job)
{
	struct query *q = CONTAINER_OF(job, struct query, job);

	/* The error is in the rows. */
	if (read_page(q->store, &q->filter, &q->rows))
		return;
}

static void done(struct job *job)
{
	struct query *q = CONTAINER_OF(job, struct query, job);

	q->done(&q->rows, q->arg);
	query_free(q);
}

int store_query(struct store *s, const struct store_filter *f,
		struct loop *loop, store_rows_fn *fn, void *arg)
{
	struct query *q = mem_zalloc(sizeof(*q));

	if (!q)
		return ENOMEM;
	q->store = s;
	q->filter = *f;
	q->done = fn;
	q->arg = arg;
	q->room = mem_strdup(f->room);
	q->user = mem_strdup(f->user);
	q->text = mem_strdup(f->text);
	if ((f->room && !q->room) || (f->user && !q->user) ||
	    (f->text && !q->text)) {
		query_free(q);
		return ENOMEM;
	}
	q->filter.room = q->room;
	q->filter.user = q->user;
	q->filter.text = q->text;
	q->job.run = run;
	q->job.key = atomic_fetch_add(&s->next_query, 1);
	workers_run(s->workers, &q->job, loop, done);
	return 0;
}
