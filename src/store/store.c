/** store/store.c -- open, close, submit, ids, totals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/inside.h"

static void free_store(struct store *s)
{
	for (int i = 0; i < READERS_KEPT; i++)
		sqlite3_close(atomic_load(&s->readers[i]));
	/* The last to close: it puts the WAL into the database. */
	db_close(&s->db, false);
	inbox_free(s->inbox);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	mem_free(s->dir);
	mem_free(s->path);
	mem_free(s);
}

static int make_store(const struct store_config *config, struct store **out,
		      struct err *e)
{
	struct store *s = mem_zalloc(sizeof(*s));
	size_t cap = strlen(config->data_dir) + sizeof("/tapeop.db");

	if (!s)
		return err_set(e, ENOMEM, "data_dir", "out of memory");
	s->lock_fd = -1;
	s->ballast_bytes = config->ballast_bytes;
	s->max_queue = config->max_queue ? config->max_queue : 100000;
	s->read_deadline_us = config->read_deadline_us
				      ? config->read_deadline_us
				      : READ_DEADLINE_US;
	s->dir = mem_strdup(config->data_dir);
	s->path = mem_zalloc(cap);
	if (!s->dir || !s->path || inbox_new(&s->inbox)) {
		free_store(s);
		return err_set(e, ENOMEM, "data_dir", "out of memory");
	}
	snprintf(s->path, cap, "%s/tapeop.db", config->data_dir);
	*out = s;
	return 0;
}

static int take_dir(struct store *s, struct err *e)
{
	int err = file_mkdirs(s->dir);

	if (err)
		return err_set(e, err, "data_dir", "cannot make %.150s: %s",
			       s->dir, strerror(err));
	return lock_take(s->dir, &s->lock_fd, e);
}

static int open_database(struct store *s, struct err *e)
{
	int err = database_make(s->path);

	if (err && err != ENOSPC)
		return err_set(e, err, "data_dir", "cannot make %.150s: %s",
			       s->path, strerror(err));
	err = db_open(s->path, &s->db, e);
	/* Even reading needs some room (-wal, -shm). */
	if (err == ENOSPC && ballast_give_up(s->dir)) {
		log_error("store: disk full: gave up the ballast to open the "
			  "database; free space for data_dir");
		err = db_open(s->path, &s->db, e);
	}
	if (err)
		return err;
	for (int i = 0; i < IDS_N; i++)
		atomic_store(&s->next_id[i], s->db.last_id[i] + 1);
	totals_publish(s);
	ids_publish(s);
	err = file_sync_dir(s->dir);
	if (err)
		return err_set(e, err, "data_dir", "cannot sync %.150s: %s",
			       s->dir, strerror(err));
	return 0;
}

static void make_ballast(struct store *s)
{
	int err;

	if (!s->ballast_bytes)
		return;
	err = ballast_make(s->dir, s->ballast_bytes);
	s->has_ballast = !err;
	if (err)
		log_warn("store: no ballast file: %s; free space for data_dir",
			 strerror(err));
}

static int start(struct store *s, struct err *e)
{
	int err = workers_new("query", QUERY_THREADS, &s->workers);

	if (!err)
		err = thread_start("store", commit_thread, s, &s->thread);
	if (!err)
		return 0;
	workers_free(s->workers);
	return err_set(e, err, "data_dir", "cannot start threads: %s",
		       strerror(err));
}

int store_open(const struct store_config *config, struct store **out,
	       struct err *e)
{
	struct store *s = NULL;
	int err = make_store(config, &s, e);

	if (err)
		return err;
	assert(s);
	err = take_dir(s, e);
	if (!err)
		err = open_database(s, e);
	if (!err) {
		make_ballast(s);
		err = start(s, e);
	}
	if (err) {
		free_store(s);
		return err;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	workers_free(s->workers);
	inbox_shut(s->inbox);
	thread_join(s->thread);
	free_store(s);
}

uint64_t store_next_id(struct store *s, enum store_ids kind)
{
	assert((unsigned)kind < IDS_N);
	return atomic_fetch_add(&s->next_id[kind], 1);
}

uint64_t store_last_id(const struct store *s, enum store_ids kind)
{
	assert((unsigned)kind < IDS_N);
	return atomic_load(&s->next_id[kind]) - 1;
}

uint64_t store_known_id(const struct store *s, enum store_ids kind)
{
	assert((unsigned)kind < IDS_N);
	return atomic_load(&s->known_id[kind]);
}

/** Queue a write; a refused one too, so that answers come in order. */
static void submit(struct store *s, struct store_write *w)
{
	size_t waiting = atomic_fetch_add(&s->queued, 1);

	if (!w->refused && waiting >= s->max_queue)
		w->refused = ENOBUFS;
	if (w->refused)
		write_drop_values(w);
	inbox_put(s->inbox, &w->link);
}

void store_commit(struct store *s, struct store_write *w, struct loop *loop,
		  store_done_fn *done, void *arg)
{
	assert(loop || !done);
	if (!w)
		w = write_reserve();
	w->loop = loop;
	w->done = done;
	w->arg = arg;
	submit(s, w);
}

int store_commit_wait(struct store *s, struct store_write *w,
		      struct store_result *r)
{
	struct link answer;
	struct inbox *inbox = NULL;

	list_init(&answer);
	memset(r, 0, sizeof(*r));
	if (!w || inbox_new(&inbox)) {
		store_write_free(w);
		r->err = ENOMEM;
		snprintf(r->text, sizeof(r->text), "out of memory");
		return ENOMEM;
	}
	w->waiter = inbox;
	submit(s, w);
	while (!inbox_take(inbox, &answer, -1))
		;
	*r = w->result;
	list_remove(&w->link);
	store_write_free(w);
	inbox_free(inbox);
	return r->err;
}

bool store_is_failing(const struct store *s)
{
	return atomic_load_explicit(&s->failing, memory_order_relaxed);
}

void store_totals(struct store *s, struct store_totals *out)
{
	const struct shown_totals *from = &s->shown;
	uint32_t before;

	/* Again, while a commit is writing them. */
	do {
		before = atomic_load(&from->turn);
		out->in = atomic_load(&from->in);
		out->delivered = atomic_load(&from->delivered);
		out->pending = atomic_load(&from->pending);
		out->dead = atomic_load(&from->dead);
		out->expired = atomic_load(&from->expired);
	} while (before % 2 || atomic_load(&from->turn) != before);
}

void store_test_max_pages(struct store *s, int pages)
{
	atomic_store(&s->max_pages, pages ? pages : 1 << 30);
}
