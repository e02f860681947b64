/**
 * upload/upload.c -- finished segments -> storage, until each is there.
 *
 * WHAT  A list of items; each is a job for the worker threads, or waits for
 *       its next attempt under one timer.
 * WHY   Storage may be slow or away for days; nothing recorded may be lost
 *       by that, and no loop may wait for it.
 * DESIGN
 *   - An item belongs to the workers from workers_run until `done`.  The
 *     loop touches only what the job does not.
 *   - Retries never end; the delay doubles up to retry_max_us.
 *   - Freed while jobs run: those give up early, their items are orphans
 *     and free themselves when their `done` comes.
 *
 *            upload_add          attempt failed
 *   (none) ------------> running <------------> waiting
 *                           | confirmed
 *                           v
 *                        (freed)
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/upload.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "upload/local.h"
#include "wire/quote.h"

enum { THREADS = 2, PATH_CAP = 4096 };

static const int64_t idle_us = 3600LL * CLOCK_US_PER_S;

struct upload {
	/* fixed after new */
	struct loop *loop;
	char *spool_dir;
	char *dir;
	int64_t retry_first_us;
	int64_t retry_max_us;
	upload_fn *fn;
	void *arg;
	struct workers *workers;

	/* loop thread */
	struct link running;
	struct link waiting;
	struct timer timer;
	size_t pending;

	/* loop thread writes, workers read */
	_Atomic bool is_stopping;
};

struct item {
	/* loop thread */
	struct link link;      /* in running or waiting */
	struct upload *upload; /* NULL: orphan; workers read it, and it is
				  cleared only when they have ended */
	unsigned attempt;
	int64_t delay_us;
	int64_t due_us; /* while waiting */

	/* fixed after add */
	char *name;
	char *sha256;
	struct upload_item item;

	/* worker, while the job runs */
	struct job job;
	struct err err;
};

static void free_item(struct item *it)
{
	if (!it)
		return;
	list_remove(&it->link);
	mem_free(it->name);
	mem_free(it->sha256);
	mem_free(it);
}

/* ---- worker ---------------------------------------------------------------- */

static void run(struct job *job)
{
	struct item *it = CONTAINER_OF(job, struct item, job);
	struct upload *u = it->upload;
	int code;

	if (atomic_load_explicit(&u->is_stopping, memory_order_relaxed)) {
		err_set(&it->err, ECANCELED, "storage", "stopped");
		return;
	}
	code = local_store(u->spool_dir, u->dir, &it->item, &it->err);
	if (!code)
		it->err = (struct err){0};
}

/* ---- loop ------------------------------------------------------------------ */

static void on_done(struct job *job);
static void on_timer(struct timer *t, int64_t now_us);

static void start_job(struct upload *u, struct item *it)
{
	list_remove(&it->link);
	list_append(&u->running, &it->link);
	it->attempt++;
	workers_run(u->workers, &it->job, u->loop, on_done);
}

/**
 * Arm the timer for the first that is due.  It is armed at all times, so it
 * keeps its place among the loop's timers and needs no memory here.
 */
static int arm(struct upload *u)
{
	int64_t due_us = loop_now_us(u->loop) + idle_us;

	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if (it->due_us < due_us)
			due_us = it->due_us;
	}
	return timer_start(&u->timer, u->loop, due_us, on_timer);
}

static void must_arm(struct upload *u)
{
	int err = arm(u);

	assert(!err);
}

static void on_timer(struct timer *t, int64_t now_us)
{
	struct upload *u = CONTAINER_OF(t, struct upload, timer);

	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if (it->due_us <= now_us)
			start_job(u, it);
	}
	must_arm(u);
}

static void wait_again(struct upload *u, struct item *it)
{
	it->delay_us = it->delay_us ? it->delay_us * 2 : u->retry_first_us;
	if (it->delay_us > u->retry_max_us)
		it->delay_us = u->retry_max_us;
	it->due_us = loop_now_us(u->loop) + it->delay_us;
	list_remove(&it->link);
	list_append(&u->waiting, &it->link);
	counter_add(COUNT_uploads_failed, 1);
	log_warn("segment=%llu upload failed attempt=%u retry_in_ms=%lld: %s",
		 (unsigned long long)it->item.segment, it->attempt,
		 (long long)(it->delay_us / 1000), it->err.text);
}

/** ENOENT is of the spool: the storage's folders are made. */
static const char *reason_of(int err)
{
	switch (err) {
	case ENOSPC:
	case EDQUOT:
		return "disk_full";
	case EACCES:
	case EPERM:
	case EROFS:
		return "access_denied";
	case ENOENT:
		return "file_missing";
	case EBADMSG:
		return "file_damaged";
	case EEXIST:
		return "name_taken";
	default:
		return "storage_error";
	}
}

static void on_done(struct job *job)
{
	struct item *it = CONTAINER_OF(job, struct item, job);
	struct upload *u = it->upload;
	struct upload_result result = {.segment = it->item.segment,
				       .err = it->err.code,
				       .attempt = it->attempt,
				       .user = it->item.user};

	if (!u) {
		free_item(it);
		return;
	}
	if (it->err.code) {
		wait_again(u, it);
		must_arm(u);
		result.text = it->err.text;
		result.reason = reason_of(it->err.code);
		u->fn(&result, u->arg);
		return;
	}
	free_item(it);
	u->pending--;
	counter_add(COUNT_uploads_done, 1);
	counter_add(COUNT_uploads_pending, -1);
	result.text = "";
	result.reason = "";
	u->fn(&result, u->arg);
}

/* ---- public ---------------------------------------------------------------- */

int upload_new(struct loop *loop, const struct upload_config *config,
	       upload_fn *fn, void *arg, struct upload **out)
{
	struct upload *u = mem_zalloc(sizeof(*u));
	int err = ENOMEM;

	assert(loop_is_mine(loop));
	assert(config->retry_first_us > 0 &&
	       config->retry_max_us >= config->retry_first_us);
	if (!u)
		return ENOMEM;
	u->loop = loop;
	u->retry_first_us = config->retry_first_us;
	u->retry_max_us = config->retry_max_us;
	u->fn = fn;
	u->arg = arg;
	list_init(&u->running);
	list_init(&u->waiting);
	u->spool_dir = mem_strdup(config->spool_dir);
	u->dir = mem_strdup(config->dir);
	if (u->spool_dir && u->dir)
		err = arm(u);
	if (!err)
		err = workers_new("upload", THREADS, &u->workers);
	if (err)
		upload_free(u);
	else
		*out = u;
	return err;
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	assert(loop_is_mine(u->loop));
	atomic_store(&u->is_stopping, true);
	timer_stop(&u->timer);
	workers_free(u->workers);
	LIST_EACH(&u->waiting, l, after)
	free_item(CONTAINER_OF(l, struct item, link));
	LIST_EACH(&u->running, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		list_remove(l);
		it->upload = NULL;
	}
	counter_add(COUNT_uploads_pending, -(int64_t)u->pending);
	mem_free(u->spool_dir);
	mem_free(u->dir);
	mem_free(u);
}

int upload_add(struct upload *u, const struct upload_item *item)
{
	struct item *it;

	assert(loop_is_mine(u->loop));
	it = mem_zalloc(sizeof(*it));
	if (!it)
		return ENOMEM;
	it->name = mem_strdup(item->name);
	it->sha256 = mem_strdup(item->sha256);
	if (!it->name || !it->sha256) {
		free_item(it);
		return ENOMEM;
	}
	it->upload = u;
	it->item = *item;
	it->item.name = it->name;
	it->item.sha256 = it->sha256;
	it->job.run = run;
	it->job.key = item->segment;
	u->pending++;
	counter_add(COUNT_uploads_pending, 1);
	start_job(u, it);
	return 0;
}

void upload_location(const struct upload_config *config, const char *name,
		     char *out, size_t cap)
{
	const char *parts[] = {config->dir, "/", name};
	struct buf url;

	buf_init(&url, cap);
	buf_puts(&url, "file://");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		quote_percent_path(&url, parts[i]);
	if (!str_copy(out, cap, buf_err(&url) ? "" : buf_str(&url)))
		*out = 0;
	buf_fini(&url);
}

size_t upload_pending(const struct upload *u)
{
	return u->pending;
}

int upload_drop_spool(const struct upload_config *config, const char *name)
{
	char path[PATH_CAP];
	size_t spool_len = strlen(config->spool_dir);
	char *slash;

	if (snprintf(path, sizeof(path), "%s/%s", config->spool_dir, name) >=
	    (int)sizeof(path))
		return ENAMETOOLONG;
	if (unlink(path) && errno != ENOENT)
		return errno;
	/* Directories that are empty now; one that is not ends it. */
	for (;;) {
		slash = strrchr(path, '/');
		if (!slash || (size_t)(slash - path) <= spool_len)
			return 0;
		*slash = 0;
		if (rmdir(path) && errno != ENOENT)
			return 0;
	}
}
