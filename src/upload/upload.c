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
 *   - An HTTP session belongs to the thread that has taken it out of
 *     `sessions`; there are as many as threads, so that connections are kept.
 *   - Nobody's storage may keep the threads from the others': a target has at
 *     most AT_ONCE jobs, and a single one while it fails; those that callers
 *     have named have at most FOREIGN of the THREADS together.  More wait.
 *   - A success tells that the storage is well: the one that waits longest
 *     is due then, so that what has piled up does not wait any longer.
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
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "upload/storage.h"

enum { THREADS = 6, AT_ONCE = 4, FOREIGN = 3 };

static const int64_t idle_us = 3600LL * CLOCK_US_PER_S;

struct upload {
	/* fixed after new */
	struct loop *loop;
	struct upload_config config;
	char *spool_dir;
	upload_fn *fn;
	void *arg;
	struct workers *workers;

	/* loop thread */
	struct link targets;
	struct link running;
	struct link waiting;
	struct timer timer;
	size_t n_foreign; /* of those that run, to foreign targets */
	size_t pending;
	int64_t bytes;	    /* of those */
	int64_t sampled_us; /* when `sent` was looked at, and how it was */
	int64_t sampled;
	int64_t bytes_s;

	/* loop thread writes, workers read */
	_Atomic bool is_stopping;

	/* workers: whoever exchanges NULL for one has it; [1]: is_public */
	_Atomic(struct http_session *) sessions[2][THREADS];
};

/** A place that something is to go to, with whatever prefix. */
struct target {
	struct link link;
	struct upload_place place;
	size_t n_items, n_running;
	bool is_failing; /* its last attempt did */
};

struct item {
	/* loop thread */
	struct link link;      /* in running or waiting */
	struct upload *upload; /* NULL: orphan; workers read it, and it is
				  cleared only when they have ended */
	struct target *target;
	unsigned attempt;
	int64_t delay_us;
	int64_t due_us; /* while waiting */

	/* fixed after add, but for the place: before each job */
	char *name;
	char *sha256;
	char *prefix; /* of its place */
	struct upload_place place;
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
	mem_free(it->prefix);
	mem_free(it);
}

/* ---- targets --------------------------------------------------------------- */

/** By what it points at: texts are there once. */
static bool is_at(const struct target *t, const struct upload_place *place)
{
	return t->place.kind == place->kind && t->place.dir == place->dir &&
	       t->place.s3.endpoint == place->s3.endpoint &&
	       t->place.s3.bucket == place->s3.bucket &&
	       t->place.s3.secret_key == place->s3.secret_key;
}

static struct target *find_target(const struct upload *u,
				  const struct upload_place *place)
{
	LIST_EACH(&u->targets, l, after)
	{
		struct target *t = CONTAINER_OF(l, struct target, link);

		if (is_at(t, place))
			return t;
	}
	return NULL;
}

/** Find or make; NULL when out of memory. */
static struct target *get_target(struct upload *u,
				 const struct upload_place *place)
{
	struct target *t = find_target(u, place);

	if (t)
		return t;
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return NULL;
	t->place = *place;
	list_append(&u->targets, &t->link);
	return t;
}

static void drop_target(struct target *t)
{
	if (t->n_items)
		return;
	list_remove(&t->link);
	mem_free(t);
}

static bool is_free(const struct upload *u, const struct target *t)
{
	return t->n_running < (t->is_failing ? 1 : AT_ONCE) &&
	       (!t->place.s3.is_foreign || u->n_foreign < FOREIGN);
}

/* ---- worker ---------------------------------------------------------------- */

static void on_sent(int64_t bytes)
{
	counter_add(COUNT_upload_bytes, bytes);
}

static int take_session(struct upload *u, bool is_public,
			struct http_session **out)
{
	for (size_t i = 0; i < THREADS; i++) {
		*out = atomic_exchange(&u->sessions[is_public][i], NULL);
		if (*out)
			return 0;
	}
	return http_session_new(&u->is_stopping, on_sent, is_public, out);
}

static void give_session(struct upload *u, bool is_public,
			 struct http_session *s)
{
	for (size_t i = 0; i < THREADS && s; i++) {
		struct http_session *none = NULL;

		if (atomic_compare_exchange_strong(&u->sessions[is_public][i],
						   &none, s))
			s = NULL;
	}
	http_session_free(s);
}

static int put(struct upload *u, struct item *it)
{
	struct upload_storage s = {
		.config = &u->config,
		.place = it->item.place,
	};
	int code = 0;

	if (s.place->kind == UPLOAD_S3)
		code = take_session(u, s.place->s3.is_public, &s.session);
	if (code)
		return storage_fail(&it->err, code, "store", it->item.name);
	code = storage_ops(s.place)->put(&s, &it->item, &it->err);
	if (s.session)
		give_session(u, s.place->s3.is_public, s.session);
	else if (!code)
		on_sent(it->item.len);
	return code;
}

static void run(struct job *job)
{
	struct item *it = CONTAINER_OF(job, struct item, job);
	struct upload *u = it->upload;

	if (atomic_load_explicit(&u->is_stopping, memory_order_relaxed)) {
		err_set(&it->err, ECANCELED, "storage", "stopped");
		return;
	}
	if (!put(u, it))
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
	it->target->n_running++;
	u->n_foreign += it->target->place.s3.is_foreign;
	it->place = it->target->place;
	it->place.s3.prefix = it->prefix;
	workers_run(u->workers, &it->job, u->loop, on_done);
}

/**
 * Arm the timer for the first that is due.  It is armed at all times, so it
 * keeps its place among the loop's timers and needs no memory here.
 */
static int arm(struct upload *u)
{
	int64_t due_us =
		loop_now_us(u->loop) + (u->pending ? CLOCK_US_PER_S : idle_us);

	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if (it->due_us < due_us && is_free(u, it->target))
			due_us = it->due_us;
	}
	return timer_start(&u->timer, u->loop, due_us, on_timer);
}

static void must_arm(struct upload *u)
{
	int err = arm(u);

	assert(!err);
}

static void begin_measuring(struct upload *u)
{
	u->sampled = counter_get(COUNT_upload_bytes);
	u->sampled_us = loop_now_us(u->loop);
	u->bytes_s = 0;
}

/** Once a second while there is something to do. */
static void measure(struct upload *u, int64_t now_us)
{
	const int64_t sent = counter_get(COUNT_upload_bytes);
	const int64_t past_us = now_us - u->sampled_us;
	int64_t bytes_s;

	if (!u->pending || past_us < CLOCK_US_PER_S)
		return;
	bytes_s = (sent - u->sampled) * CLOCK_US_PER_S / past_us;
	u->bytes_s = u->bytes_s ? (3 * u->bytes_s + bytes_s) / 4 : bytes_s;
	u->sampled = sent;
	u->sampled_us = now_us;
}

static void on_timer(struct timer *t, int64_t now_us)
{
	struct upload *u = CONTAINER_OF(t, struct upload, timer);

	measure(u, now_us);
	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if (it->due_us <= now_us && is_free(u, it->target))
			start_job(u, it);
	}
	must_arm(u);
}

static void wait_again(struct upload *u, struct item *it)
{
	it->delay_us =
		it->delay_us ? it->delay_us * 2 : u->config.retry_first_us;
	if (it->delay_us > u->config.retry_max_us)
		it->delay_us = u->config.retry_max_us;
	it->due_us = loop_now_us(u->loop) + it->delay_us;
	list_remove(&it->link);
	list_append(&u->waiting, &it->link);
	counter_add(COUNT_uploads_failed, 1);
	/* A store that is away for days would fill the log; of the first one
	 * the owner tells. */
	if (it->attempt == 1 || it->attempt & (it->attempt - 1))
		return;
	log_warn("segment=%llu upload failed attempt=%u retry_in_ms=%lld: %s",
		 (unsigned long long)it->item.segment, it->attempt,
		 (long long)(it->delay_us / 1000), it->err.text);
}

/** Was it the storage, and not the file? */
static bool is_of_storage(int err)
{
	return err != ENOENT && err != EBADMSG && err != EEXIST;
}

/** A job of `t` has ended: the next one, which is due, or has waited for this
 *  storage to be well. */
static void wake_one(struct upload *u, const struct target *t)
{
	const int64_t now_us = loop_now_us(u->loop);

	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if ((it->due_us <= now_us ||
		     (it->target == t && !t->is_failing &&
		      is_of_storage(it->err.code))) &&
		    is_free(u, it->target)) {
			start_job(u, it);
			return;
		}
	}
}

/** It is not pending any more. */
static void forget(struct upload *u, struct item *it)
{
	struct target *t = it->target;

	u->pending--;
	u->bytes -= it->item.len;
	counter_add(COUNT_uploads_pending, -1);
	counter_add(COUNT_uploads_pending_bytes, -it->item.len);
	t->n_items--;
	drop_target(t);
	free_item(it);
}

static void on_done(struct job *job)
{
	struct item *it = CONTAINER_OF(job, struct item, job);
	struct upload *u = it->upload;
	struct upload_result result = {.segment = it->item.segment,
				       .err = it->err.code,
				       .attempt = it->attempt,
				       .user = it->item.user};
	struct target *t;

	if (!u) {
		free_item(it);
		return;
	}
	t = it->target;
	t->n_running--;
	u->n_foreign -= t->place.s3.is_foreign;
	if (it->err.code) {
		t->is_failing |= is_of_storage(it->err.code);
		wait_again(u, it);
		wake_one(u, t);
		if (it->due_us < u->timer.due_us)
			must_arm(u);
		result.text = it->err.text;
		result.reason = upload_reason(it->err.code);
		u->fn(&result, u->arg);
		return;
	}
	t->is_failing = false;
	wake_one(u, t);
	forget(u, it);
	counter_add(COUNT_uploads_done, 1);
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
	u->config = *config;
	u->fn = fn;
	u->arg = arg;
	list_init(&u->targets);
	list_init(&u->running);
	list_init(&u->waiting);
	u->spool_dir = mem_strdup(config->spool_dir);
	u->config.spool_dir = u->spool_dir;
	if (u->spool_dir)
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
	LIST_EACH(&u->targets, l, after)
	{
		struct target *t = CONTAINER_OF(l, struct target, link);

		t->n_items = 0;
		drop_target(t);
	}
	for (size_t i = 0; i < THREADS; i++) {
		http_session_free(u->sessions[0][i]);
		http_session_free(u->sessions[1][i]);
	}
	counter_add(COUNT_uploads_pending, -(int64_t)u->pending);
	counter_add(COUNT_uploads_pending_bytes, -u->bytes);
	mem_free(u->spool_dir);
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
	it->prefix = mem_strdup(item->place->s3.prefix ? item->place->s3.prefix
						       : "");
	if (it->name && it->sha256 && it->prefix)
		it->target = get_target(u, item->place);
	if (!it->target) {
		free_item(it);
		return ENOMEM;
	}
	it->target->n_items++;
	it->upload = u;
	it->item = *item;
	it->item.name = it->name;
	it->item.sha256 = it->sha256;
	it->item.place = &it->place;
	if (!it->item.since_ms)
		it->item.since_ms = clock_unix_ms();
	it->job.run = run;
	it->job.key = item->segment;
	u->pending++;
	u->bytes += item->len;
	counter_add(COUNT_uploads_pending, 1);
	counter_add(COUNT_uploads_pending_bytes, item->len);
	it->due_us = loop_now_us(u->loop);
	list_append(&u->waiting, &it->link);
	if (is_free(u, it->target))
		start_job(u, it);
	if (u->pending == 1) {
		begin_measuring(u);
		must_arm(u);
	}
	return 0;
}

bool upload_cancel(struct upload *u, const void *user)
{
	assert(loop_is_mine(u->loop));
	LIST_EACH(&u->waiting, l, after)
	{
		struct item *it = CONTAINER_OF(l, struct item, link);

		if (it->item.user != user)
			continue;
		forget(u, it);
		return true;
	}
	return false;
}

void upload_move(struct upload *u, const struct upload_place *from,
		 const struct upload_place *to)
{
	struct target *t = find_target(u, from);

	assert(loop_is_mine(u->loop) && !find_target(u, to));
	if (t)
		t->place = *to;
}

size_t upload_pending(const struct upload *u)
{
	return u->pending;
}

static void find_oldest(const struct link *items, int64_t *oldest_ms)
{
	LIST_EACH(items, l, after)
	{
		const struct item *it = CONTAINER_OF(l, struct item, link);

		if (!*oldest_ms || it->item.since_ms < *oldest_ms)
			*oldest_ms = it->item.since_ms;
	}
}

void upload_status(const struct upload *u, struct upload_status *out)
{
	*out = (struct upload_status){
		.pending = u->pending,
		.bytes = u->bytes,
		.bytes_s = u->pending ? u->bytes_s : 0,
	};
	find_oldest(&u->running, &out->oldest_ms);
	find_oldest(&u->waiting, &out->oldest_ms);
}
