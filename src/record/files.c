/**
 * record/files.c -- the file threads: open, append, sync and close
 * recordings off the loops.
 *
 * WHAT  Each file belongs to one file thread (by a hash of its name), which
 *       alone makes its system calls.  One more thread calls syncfs.
 * WHY   A disk can stand still for seconds; packets and callbacks cannot.
 * DESIGN
 *   - Orders come through the thread's inbox, which keeps their order:
 *     open, blocks of sound, close.  Every order holds a reference.
 *   - Blocks wait on their file; once a second the thread writes each file
 *     that has any, in one write.  A close writes at once.
 *   - Written files are synced together: one syncfs a second, on a thread of
 *     its own, so that a slow sync does not hold the writes.  It reports no
 *     file's error: the fdatasync at close does.
 *   - All queued sound together is bounded (max_queue_bytes).  What does not
 *     fit is lost.  In MP3 silence of its length takes its place, in Ogg
 *     granule positions tell: what comes later still stands where it belongs.
 *   - A failed write kills the file, never the thread; it is said once.
 *
 *           open ok           write fails
 *   queued ----------> open ---------------> dead
 *     | open fails      | close                | close
 *     v                 v                      v
 *    dead             closed (whole, or cut to what was written)
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "record/disk.h"

enum {
	PERIOD_US = CLOCK_US_PER_S, /* of writes and of syncs */
	IOV_N = 16,
};

/** Something for a file thread to do. */
struct order {
	struct link link;
	enum { ORDER_OPEN, ORDER_BLOCK, ORDER_CLOSE } kind;
	struct record_file *file; /* one reference */
};

/** Sound on its way to the disk. */
struct block {
	struct order order;
	struct link link; /* file thread: in file->blocks */
	uint64_t gap;	  /* bytes lost before it: silence, in MP3 */
	size_t len;
	uint8_t data[];
};

/** An answer on its way to the loop. */
struct answer {
	struct mail mail;
	struct record_file *file; /* one reference while under way */
	record_file_fn *fn;
	void *arg;
	struct record_file_result result;
};

struct file_thread {
	struct record_files *files;
	struct inbox *inbox;
	struct thread *thread;
	/* its own */
	struct link waiting; /* files with blocks */
	int64_t write_us;    /* when to write next */
};

struct record_files {
	/* fixed after new */
	char *spool_dir;
	size_t max_queue_bytes;
	int spool_fd;
	unsigned n_threads;
	struct file_thread *threads;
	struct inbox *sync_inbox;
	struct thread *sync_thread;

	/* any thread */
	_Atomic size_t queued;	 /* bytes in blocks */
	_Atomic bool is_written; /* since the last syncfs began */
	struct link sync_note;	 /* in sync_inbox while is_written */
};

struct record_file {
	_Atomic unsigned refs;

	/* fixed after open */
	struct record_files *files;
	struct file_thread *thread;
	struct loop *loop;
	char *name;

	/* who appends and closes, one after the other */
	uint64_t gap;	 /* bytes lost since the last block */
	uint64_t frames; /* as its track told; 0: not */
	bool is_closing;
	struct order open_order;
	struct order close_order;
	uint64_t last_gap; /* handed over with close_order */

	/* file thread */
	struct disk_file disk;
	struct link waiting; /* in thread->waiting */
	struct link blocks;  /* each holds a reference */

	/* file thread writes, any reads */
	_Atomic bool is_dead;

	/* the loop's while under way */
	struct answer opened;
	struct answer failed;
	struct answer closed;
};

/* ---- references and answers ---------------------------------------------- */

void record_file_ref(struct record_file *file)
{
	atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
}

void record_file_unref(struct record_file *file)
{
	if (!file || atomic_fetch_sub_explicit(&file->refs, 1,
					       memory_order_acq_rel) != 1)
		return;
	assert(list_is_empty(&file->blocks));
	if (file->disk.fd >= 0) /* never closed */
		counter_add(COUNT_segments_open, -1);
	disk_fini(&file->disk);
	mem_free(file->name);
	mem_free(file);
}

static void on_answer(struct mail *mail)
{
	struct answer *a = CONTAINER_OF(mail, struct answer, mail);

	if (a->fn)
		a->fn(a->file, &a->result, a->arg);
	record_file_unref(a->file);
}

/** File thread: tell the loop; `err` with what the disk was doing. */
static void tell(struct record_file *file, struct answer *a, int err)
{
	a->result.err = err;
	if (err) {
		const char *why = strerrordesc_np(err);

		snprintf(a->result.text, sizeof(a->result.text), "%s %s: %s",
			 file->disk.what, file->name, why ? why : "?");
		counter_add(COUNT_file_errors, 1);
	}
	record_file_ref(file);
	mail_post(file->loop, &a->mail, on_answer);
}

/* ---- file thread: blocks --------------------------------------------------- */

static void drop_block(struct record_file *file, struct block *b)
{
	struct record_files *f = file->files;

	list_remove(&b->link);
	atomic_fetch_sub_explicit(&f->queued, b->len, memory_order_relaxed);
	counter_add(COUNT_file_queue_bytes, -(int64_t)b->len);
	mem_free(b);
	record_file_unref(file);
}

/** A write failed: say so, once. */
static void die(struct record_file *file, int err)
{
	if (atomic_exchange(&file->is_dead, true))
		return;
	log_error("file=%s write failed, what was written stays len=%lld: %s",
		  file->name, (long long)file->disk.len, strerrordesc_np(err));
	tell(file, &file->failed, err);
}

static void note_written(struct record_files *f)
{
	if (!atomic_exchange(&f->is_written, true))
		inbox_put(f->sync_inbox, &f->sync_note);
}

/** Write the blocks from the first up to the next gap, in one write; *n is
 *  how many those are. */
static int write_some(struct record_file *file, int *n)
{
	struct iovec iov[IOV_N];
	int err = 0;

	*n = 0;
	LIST_EACH(&file->blocks, l, after)
	{
		struct block *b = CONTAINER_OF(l, struct block, link);

		if (*n == IOV_N || (*n && b->gap))
			break;
		if (b->gap)
			err = disk_fill(&file->disk, b->gap);
		if (err) {
			++*n;
			return err;
		}
		iov[*n].iov_base = b->data;
		iov[(*n)++].iov_len = b->len;
	}
	return disk_write(&file->disk, iov, *n);
}

/** Write all blocks; of a dead file, drop them.  The caller holds a
 *  reference. */
static void write_blocks(struct record_file *file)
{
	list_remove(&file->waiting);
	while (!list_is_empty(&file->blocks)) {
		int n = 1;
		int err;

		if (!atomic_load(&file->is_dead)) {
			err = write_some(file, &n);
			note_written(file->files);
			if (err)
				die(file, err);
		}
		for (; n > 0; n--)
			drop_block(file, CONTAINER_OF(list_first(&file->blocks),
						      struct block, link));
	}
}

static void write_waiting(struct file_thread *t)
{
	struct link *l;

	while ((l = list_first(&t->waiting)) != NULL) {
		struct record_file *file =
			CONTAINER_OF(l, struct record_file, waiting);

		record_file_ref(file);
		write_blocks(file);
		record_file_unref(file);
	}
}

/* ---- file thread: orders --------------------------------------------------- */

static void do_open(struct record_file *file)
{
	int err = disk_open(&file->disk);

	if (err)
		atomic_store(&file->is_dead, true);
	else
		counter_add(COUNT_segments_open, 1);
	tell(file, &file->opened, err);
}

static void do_block(struct file_thread *t, struct block *b)
{
	struct record_file *file = b->order.file;

	list_append(&file->blocks, &b->link);
	if (link_is_on_list(&file->waiting))
		return;
	if (list_is_empty(&t->waiting))
		t->write_us = clock_now_us() + PERIOD_US;
	list_append(&t->waiting, &file->waiting);
}

static void do_close(struct record_file *file)
{
	struct record_file_result *result = &file->closed.result;
	int err;

	write_blocks(file);
	if (file->disk.fd < 0) { /* opening failed: the same again */
		tell(file, &file->closed, file->opened.result.err);
		return;
	}
	if (file->last_gap && !atomic_load(&file->is_dead)) {
		err = disk_fill(&file->disk, file->last_gap);
		if (err)
			die(file, err);
	}
	/* Silence stands for the end of an MP3; an Ogg lacks its last page. */
	result->frames =
		file->last_gap && !file->disk.silent_len ? 0 : file->frames;
	err = disk_finish(&file->disk, &result->frames, result->sha256);
	disk_close(&file->disk);
	result->len = file->disk.len;
	atomic_store(&file->is_dead, true);
	counter_add(COUNT_segments_open, -1);
	if (!err)
		counter_add(COUNT_segments_closed, 1);
	tell(file, &file->closed, err);
}

static void do_order(struct file_thread *t, struct order *o)
{
	struct record_file *file = o->file;

	switch (o->kind) {
	case ORDER_OPEN:
		do_open(file);
		break;
	case ORDER_BLOCK: /* keeps its reference until it is written */
		do_block(t, CONTAINER_OF(o, struct block, order));
		return;
	case ORDER_CLOSE:
		do_close(file);
		break;
	}
	record_file_unref(file);
}

static int64_t wait_for(const struct file_thread *t)
{
	int64_t left;

	if (list_is_empty(&t->waiting))
		return -1;
	left = t->write_us - clock_now_us();
	return left > 0 ? left : 0;
}

static void run_files(void *arg)
{
	struct file_thread *t = arg;
	bool more = true;

	while (more) {
		struct link todo;

		list_init(&todo);
		more = inbox_take(t->inbox, &todo, wait_for(t)) ||
		       !inbox_is_shut(t->inbox);
		while (!list_is_empty(&todo)) {
			struct link *l = list_first(&todo);

			list_remove(l);
			do_order(t, CONTAINER_OF(l, struct order, link));
		}
		if (clock_now_us() >= t->write_us || !more)
			write_waiting(t);
	}
}

/* ---- the sync thread ------------------------------------------------------- */

static void sync_all(struct record_files *f)
{
	int err = crash_errno("file.syncfs");

	/* What is written from here on wants another sync. */
	atomic_store(&f->is_written, false);
	if (!err && syncfs(f->spool_fd))
		err = errno;
	if (!err)
		return;
	counter_add(COUNT_file_errors, 1);
	log_error("spool sync failed: %s", strerrordesc_np(err));
}

static void run_sync(void *arg)
{
	struct record_files *f = arg;
	int64_t next_us = 0;
	struct link todo;

	list_init(&todo);
	for (;;) {
		int64_t now_us;

		/* The note, or the end. */
		if (!inbox_take(f->sync_inbox, &todo, -1))
			break;
		list_remove(&f->sync_note);
		/* Nothing can come while is_written stands: this waits, and
		 * returns early only at the end. */
		now_us = clock_now_us();
		if (now_us < next_us)
			inbox_take(f->sync_inbox, &todo, next_us - now_us);
		next_us = clock_now_us() + PERIOD_US;
		sync_all(f);
	}
}

/* ---- public: the threads --------------------------------------------------- */

static int start_thread(struct record_files *f, struct file_thread *t,
			unsigned number)
{
	char name[16];
	int err;

	t->files = f;
	list_init(&t->waiting);
	err = inbox_new(&t->inbox);
	if (err)
		return err;
	snprintf(name, sizeof(name), "file-%u", number % 1000);
	return thread_start(name, run_files, t, &t->thread);
}

static int start(struct record_files *f)
{
	int err = file_mkdirs(f->spool_dir);

	if (err)
		return err;
	f->spool_fd = open(f->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->spool_fd < 0)
		return errno;
	err = inbox_new(&f->sync_inbox);
	if (!err)
		err = thread_start("file-sync", run_sync, f, &f->sync_thread);
	for (unsigned i = 0; i < f->n_threads && !err; i++)
		err = start_thread(f, &f->threads[i], i);
	return err;
}

int record_files_new(const struct record_files_config *config,
		     struct record_files **out)
{
	struct record_files *f = mem_zalloc(sizeof(*f));
	int err = ENOMEM;

	assert(config->threads > 0);
	if (!f)
		return ENOMEM;
	f->spool_fd = -1;
	f->max_queue_bytes = config->max_queue_bytes;
	f->spool_dir = mem_strdup(config->spool_dir);
	f->threads = mem_zalloc_n(config->threads, sizeof(*f->threads));
	f->n_threads = f->threads ? config->threads : 0;
	if (f->spool_dir && f->threads)
		err = start(f);
	if (err)
		record_files_free(f);
	else
		*out = f;
	return err;
}

void record_files_free(struct record_files *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->n_threads; i++) {
		if (f->threads[i].inbox)
			inbox_shut(f->threads[i].inbox);
	}
	for (unsigned i = 0; i < f->n_threads; i++) {
		thread_join(f->threads[i].thread);
		inbox_free(f->threads[i].inbox);
	}
	/* Last: what the file threads wrote at their end is synced too. */
	if (f->sync_inbox)
		inbox_shut(f->sync_inbox);
	thread_join(f->sync_thread);
	inbox_free(f->sync_inbox);
	if (f->spool_fd >= 0)
		close(f->spool_fd);
	mem_free(f->threads);
	mem_free(f->spool_dir);
	mem_free(f);
}

/* ---- public: a file -------------------------------------------------------- */

static void send_order(struct record_file *file, struct order *o)
{
	o->file = file;
	record_file_ref(file);
	inbox_put(file->thread->inbox, &o->link);
}

/** Relative, and no part of it is empty, "." or "..". */
static bool name_is_safe(const char *name)
{
	const char *part = name;

	for (;;) {
		size_t len = strcspn(part, "/");

		if (!len || (len == 1 && part[0] == '.') ||
		    (len == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[len])
			return true;
		part += len + 1;
	}
}

int record_file_open(struct record_files *f, const struct record_file_open *how,
		     struct record_file **out)
{
	struct record_file *file = mem_zalloc(sizeof(*file));
	int err = ENOMEM;

	assert(name_is_safe(how->name));
	if (!file)
		return ENOMEM;
	file->name = mem_strdup(how->name);
	if (file->name)
		err = disk_init(&file->disk, f->spool_dir, how->name,
				how->opening);
	if (err) {
		mem_free(file->name);
		mem_free(file);
		return err;
	}
	atomic_store(&file->refs, 1);
	file->files = f;
	file->thread = &f->threads[map_hash(how->name, strlen(how->name)) %
				   f->n_threads];
	file->loop = how->loop;
	list_init(&file->blocks);
	file->opened = (struct answer){
		.file = file, .fn = how->opened, .arg = how->arg};
	file->failed = (struct answer){
		.file = file, .fn = how->failed, .arg = how->arg};
	file->open_order.kind = ORDER_OPEN;
	*out = file;
	send_order(file, &file->open_order);
	return 0;
}

void record_file_skip(struct record_file *file, uint64_t len)
{
	assert(!file->is_closing);
	file->gap += len;
}

void record_file_tell(struct record_file *file, uint64_t frames)
{
	assert(!file->is_closing);
	file->frames = frames;
}

int record_file_append(struct record_file *file, const void *data, size_t len)
{
	struct record_files *f = file->files;
	struct block *b = NULL;
	size_t before;

	assert(!file->is_closing);
	if (!len || atomic_load_explicit(&file->is_dead, memory_order_relaxed))
		return 0;
	before = atomic_fetch_add_explicit(&f->queued, len,
					   memory_order_relaxed);
	if (before + len <= f->max_queue_bytes)
		b = mem_zalloc(sizeof(*b) + len);
	if (!b) {
		atomic_fetch_sub_explicit(&f->queued, len,
					  memory_order_relaxed);
		counter_add(COUNT_bytes_dropped, (int64_t)len);
		file->gap += len;
		return EAGAIN;
	}
	memcpy(b->data, data, len);
	b->len = len;
	b->gap = file->gap;
	file->gap = 0;
	counter_add(COUNT_file_queue_bytes, (int64_t)len);
	counter_add(COUNT_bytes_recorded, (int64_t)len);
	b->order.kind = ORDER_BLOCK;
	send_order(file, &b->order);
	return 0;
}

void record_file_close(struct record_file *file, record_file_fn *closed,
		       void *arg)
{
	assert(!file->is_closing);
	file->is_closing = true;
	file->closed = (struct answer){.file = file, .fn = closed, .arg = arg};
	file->last_gap = file->gap;
	file->close_order.kind = ORDER_CLOSE;
	send_order(file, &file->close_order);
}
