/**
 * io/loop.c -- the loop of a thread: descriptors, timers, mail, end of turn.
 *
 * WHAT  epoll for descriptors, a binary heap for timers, a locked list with
 *       an eventfd for mail, a list for what runs at the end of the turn.
 * WHY   State has one owning thread; only mail and stop come from others.
 * DESIGN
 *   - A turn: wait, read the clock, descriptors and mail, due timers, later.
 *   - Level-triggered, at most READY_MAX descriptors a turn, so that timers
 *     are looked at in between.
 *   - watch_stop wipes the watch from the events of this turn that have not
 *     been dealt with, so its memory may go at the end of the turn.
 *   - Each round of timers is bounded by the timers armed at its start: one
 *     that re-arms itself in the past does not hold the turn.
 *   - `posted` of a mail is exchanged, never stored: the exchange that clears
 *     it reads the value of the last poster and so sees all that poster
 *     wrote, also when the post itself was coalesced.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/inside.h"

enum {
	READY_MAX = 64,
	FIRST_TIMERS = 16,
	BUDGET_US = 5000, /* of one callback */
};

struct loop {
	/* fixed after loop_new */
	int epoll_fd;
	int event_fd;

	/* loop thread */
	int64_t now_us;
	int64_t mark_us; /* end of the callback before */
	struct timer **heap;
	size_t n_timers;
	size_t cap_timers;
	size_t n_watches;
	struct link later;
	struct epoll_event ready[READY_MAX];
	int n_ready;
	void *scratch;
	bool no_pwait2; /* the kernel or a sandbox does not let us */

	/* loop thread writes, any thread reads */
	_Atomic(const char *) owner; /* NULL: nobody's since loop_run ended */
	_Atomic int64_t longest_us;
	_Atomic uint64_t over_5ms;
	_Atomic uint64_t turns;

	/* any thread, under the lock */
	pthread_mutex_t lock;
	struct link mail;
	bool stop;
};

/** Its address tells threads apart. */
static _Thread_local char me;

/* ---- the loop ---------------------------------------------------------- */

static void wake(struct loop *loop)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is readable already. */
	if (write(loop->event_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
}

int loop_new(struct loop **out)
{
	struct epoll_event ev = {.events = EPOLLIN};
	struct loop *loop = mem_zalloc(sizeof(*loop));
	int err;

	if (!loop)
		return ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->event_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &ev)) {
		err = errno;
		goto out;
	}
	err = pthread_mutex_init(&loop->lock, NULL);
	if (err)
		goto out;
	list_init(&loop->later);
	list_init(&loop->mail);
	loop->now_us = clock_now_us();
	atomic_init(&loop->owner, &me);
	*out = loop;
	return 0;
out:
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->event_fd >= 0)
		close(loop->event_fd);
	mem_free(loop);
	return err;
}

/** Run what was queued for the end of the turn; what that queues waits. */
static void run_later(struct loop *loop)
{
	struct link todo;

	list_take(&loop->later, &todo);
	while (!list_is_empty(&todo)) {
		struct link *l = list_first(&todo);
		struct later *later = CONTAINER_OF(l, struct later, link);

		list_remove(l);
		later->fn(later);
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (!list_is_empty(&loop->later))
		run_later(loop);
	assert(!loop->n_watches);
	assert(!loop->n_timers);
	/* A poster that has just handed its mail over may still be inside. */
	pthread_mutex_lock(&loop->lock);
	pthread_mutex_unlock(&loop->lock);
	pthread_mutex_destroy(&loop->lock);
	close(loop->epoll_fd);
	close(loop->event_fd);
	mem_free(loop->scratch);
	mem_free(loop->heap);
	mem_free(loop);
}

void **loop_scratch(struct loop *loop)
{
	return &loop->scratch;
}

bool loop_is_mine(const struct loop *loop)
{
	const char *owner =
		atomic_load_explicit(&loop->owner, memory_order_relaxed);

	return !owner || owner == &me;
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

void loop_later(struct loop *loop, struct later *later,
		void (*fn)(struct later *later))
{
	assert(loop_is_mine(loop));
	assert(!link_is_on_list(&later->link));
	later->fn = fn;
	list_append(&loop->later, &later->link);
}

void loop_stats(const struct loop *loop, struct loop_stats *out)
{
	out->longest_us =
		atomic_load_explicit(&loop->longest_us, memory_order_relaxed);
	out->over_5ms =
		atomic_load_explicit(&loop->over_5ms, memory_order_relaxed);
	out->turns = atomic_load_explicit(&loop->turns, memory_order_relaxed);
}

/** A callback has returned: how long did it take? */
static void measure(struct loop *loop)
{
	int64_t now = clock_now_us();
	int64_t took = now - loop->mark_us;

	loop->mark_us = now;
	if (took >
	    atomic_load_explicit(&loop->longest_us, memory_order_relaxed))
		atomic_store_explicit(&loop->longest_us, took,
				      memory_order_relaxed);
	if (took > BUDGET_US)
		atomic_fetch_add_explicit(&loop->over_5ms, 1,
					  memory_order_relaxed);
}

/* ---- timers ------------------------------------------------------------ */

static void heap_set(struct loop *loop, size_t at, struct timer *t)
{
	loop->heap[at - 1] = t;
	t->heap_at = at;
}

/** Move `t`, whose place is the free place `at`, up to where it belongs. */
static void heap_up(struct loop *loop, size_t at, struct timer *t)
{
	while (at > 1 && loop->heap[at / 2 - 1]->due_us > t->due_us) {
		heap_set(loop, at, loop->heap[at / 2 - 1]);
		at /= 2;
	}
	heap_set(loop, at, t);
}

static void heap_down(struct loop *loop, size_t at, struct timer *t)
{
	size_t child;

	for (child = at * 2; child <= loop->n_timers; child = at * 2) {
		if (child < loop->n_timers &&
		    loop->heap[child]->due_us < loop->heap[child - 1]->due_us)
			child++;
		if (loop->heap[child - 1]->due_us >= t->due_us)
			break;
		heap_set(loop, at, loop->heap[child - 1]);
		at = child;
	}
	heap_set(loop, at, t);
}

static void heap_place(struct loop *loop, size_t at, struct timer *t)
{
	if (at > 1 && loop->heap[at / 2 - 1]->due_us > t->due_us)
		heap_up(loop, at, t);
	else
		heap_down(loop, at, t);
}

static int heap_grow(struct loop *loop)
{
	size_t cap = loop->cap_timers ? loop->cap_timers * 2 : FIRST_TIMERS;
	struct timer **heap = mem_realloc(loop->heap, cap * sizeof(*heap));

	if (!heap)
		return ENOMEM;
	loop->heap = heap;
	loop->cap_timers = cap;
	return 0;
}

int timer_start(struct timer *t, struct loop *loop, int64_t due_us,
		void (*fn)(struct timer *t, int64_t now_us))
{
	int err;

	assert(loop_is_mine(loop));
	if (!t->heap_at) {
		if (loop->n_timers == loop->cap_timers) {
			err = heap_grow(loop);
			if (err)
				return err;
		}
		t->heap_at = ++loop->n_timers;
		t->loop = loop;
	}
	assert(t->loop == loop);
	t->due_us = due_us;
	t->fn = fn;
	heap_place(loop, t->heap_at, t);
	return 0;
}

void timer_stop(struct timer *t)
{
	struct loop *loop = t->loop;
	size_t at = t->heap_at;
	struct timer *last;

	if (!at)
		return;
	assert(loop_is_mine(loop));
	assert(at <= loop->n_timers && loop->heap[at - 1] == t);
	last = loop->heap[--loop->n_timers];
	t->heap_at = 0;
	if (last != t)
		heap_place(loop, at, last);
}

bool timer_is_armed(const struct timer *t)
{
	return t->heap_at != 0;
}

static void run_timers(struct loop *loop)
{
	for (size_t left = loop->n_timers; left && loop->n_timers; left--) {
		struct timer *t = loop->heap[0];

		if (t->due_us > loop->now_us)
			break;
		timer_stop(t);
		t->fn(t, loop->now_us);
		measure(loop);
	}
}

/* ---- mail -------------------------------------------------------------- */

bool mail_post(struct loop *to, struct mail *mail,
	       void (*fn)(struct mail *mail))
{
	if (__atomic_exchange_n(&mail->posted, 1, __ATOMIC_ACQ_REL))
		return false;
	mail->fn = fn;
	/* The eventfd is written under the lock: once the receiver has the
	 * mail, this thread no longer touches the loop. */
	pthread_mutex_lock(&to->lock);
	if (list_is_empty(&to->mail))
		wake(to);
	list_append(&to->mail, &mail->link);
	pthread_mutex_unlock(&to->lock);
	return true;
}

void loop_stop(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void run_mail(struct loop *loop)
{
	struct link todo;
	uint64_t count;

	pthread_mutex_lock(&loop->lock);
	if (read(loop->event_fd, &count, sizeof(count)) < 0)
		assert(errno == EAGAIN || errno == EINTR);
	list_take(&loop->mail, &todo);
	pthread_mutex_unlock(&loop->lock);
	while (!list_is_empty(&todo)) {
		struct link *l = list_first(&todo);
		struct mail *mail = CONTAINER_OF(l, struct mail, link);
		void (*fn)(struct mail *) = mail->fn;

		list_remove(l);
		/* From here on it may be posted again. */
		(void)__atomic_exchange_n(&mail->posted, 0, __ATOMIC_ACQ_REL);
		fn(mail);
		measure(loop);
	}
}

/* ---- descriptors ------------------------------------------------------- */

static int control(struct watch *w, int op)
{
	struct epoll_event ev = {.data.ptr = w};

	if (w->events & WATCH_READ)
		ev.events |= EPOLLIN;
	if (w->events & WATCH_WRITE)
		ev.events |= EPOLLOUT;
	return epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev) ? errno : 0;
}

/** Forget what this turn has still to tell `w`. */
static void forget(struct watch *w)
{
	struct loop *loop = w->loop;

	for (int i = 0; i < loop->n_ready; i++) {
		if (loop->ready[i].data.ptr == w)
			loop->ready[i].events = 0;
	}
}

int watch_start(struct watch *w, struct loop *loop, int fd, unsigned events,
		void (*fn)(struct watch *w, unsigned events, int64_t now_us))
{
	int err = 0;

	assert(loop_is_mine(loop));
	*w = (struct watch){.fd = fd, .fn = fn, .loop = loop, .events = events};
	if (events)
		err = control(w, EPOLL_CTL_ADD);
	if (err)
		w->loop = NULL;
	else
		loop->n_watches++;
	return err;
}

/* epoll reports errors and hang-ups of a descriptor even when nothing is
 * asked for; a watch for nothing is therefore taken out, or a peer that has
 * gone would make the loop spin. */
int watch_change(struct watch *w, unsigned events)
{
	unsigned before = w->events;
	int err;

	assert(loop_is_mine(w->loop));
	if (events == before)
		return 0;
	w->events = events;
	err = control(w, !before   ? EPOLL_CTL_ADD
			 : !events ? EPOLL_CTL_DEL
				   : EPOLL_CTL_MOD);
	if (err)
		w->events = before;
	else if (!events)
		forget(w);
	return err;
}

void watch_stop(struct watch *w)
{
	if (!w->loop)
		return;
	assert(loop_is_mine(w->loop));
	/* An error means that the descriptor was closed: then it is out. */
	if (w->events)
		(void)control(w, EPOLL_CTL_DEL);
	forget(w);
	w->loop->n_watches--;
	w->loop = NULL;
}

static void run_ready(struct loop *loop)
{
	for (int i = 0; i < loop->n_ready; i++) {
		struct epoll_event *ev = &loop->ready[i];
		struct watch *w = ev->data.ptr;
		unsigned events = 0;

		if (!ev->events)
			continue;
		if (!w) {
			run_mail(loop);
			continue;
		}
		if (ev->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			events |= WATCH_READ;
		if (ev->events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			events |= WATCH_WRITE;
		ev->events = 0;
		w->fn(w, events, loop->now_us);
		measure(loop);
	}
	loop->n_ready = 0;
}

/* ---- turns ------------------------------------------------------------- */

/** How long may this turn wait [us, -1: for ever]? */
static int64_t wait_for(const struct loop *loop, int64_t wait_us)
{
	int64_t left;

	if (!list_is_empty(&loop->later))
		return 0;
	if (!wait_us || !loop->n_timers)
		return wait_us;
	left = loop->heap[0]->due_us - clock_now_us();
	if (left < 0)
		left = 0;
	return wait_us < 0 || left < wait_us ? left : wait_us;
}

static int wait_ready(struct loop *loop, int64_t wait_us)
{
	const struct timespec ts = {
		.tv_sec = wait_us / CLOCK_US_PER_S,
		.tv_nsec = wait_us % CLOCK_US_PER_S * 1000,
	};
	const int64_t longest_ms = 3600000; /* an hour; then again */
	int64_t ms;
	int n;

	if (!loop->no_pwait2) {
		n = epoll_pwait2(loop->epoll_fd, loop->ready, READY_MAX,
				 wait_us < 0 ? NULL : &ts, NULL);
		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		loop->no_pwait2 = true; /* older than Linux 5.11, or seccomp */
	}
	ms = wait_us < 0 ? -1 : wait_us / 1000 + (wait_us % 1000 != 0);
	if (ms > longest_ms)
		ms = longest_ms;
	return epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, (int)ms);
}

void loop_turn(struct loop *loop, int64_t wait_us)
{
	int n;

	assert(loop_is_mine(loop));
	assert(!loop->n_ready); /* no turn inside a callback */
	n = wait_ready(loop, wait_for(loop, wait_us));
	assert(n >= 0 || errno == EINTR);
	loop->now_us = clock_now_us();
	loop->mark_us = loop->now_us;
	loop->n_ready = n > 0 ? n : 0;
	run_ready(loop);
	run_timers(loop);
	run_later(loop);
	atomic_fetch_add_explicit(&loop->turns, 1, memory_order_relaxed);
}

/** Was loop_stop called?  Forgets it. */
static bool take_stop(struct loop *loop)
{
	bool stop;

	pthread_mutex_lock(&loop->lock);
	stop = loop->stop;
	loop->stop = false;
	pthread_mutex_unlock(&loop->lock);
	return stop;
}

void loop_run(struct loop *loop)
{
	atomic_store_explicit(&loop->owner, &me, memory_order_relaxed);
	do
		loop_turn(loop, -1);
	while (!take_stop(loop));
	atomic_store_explicit(&loop->owner, NULL, memory_order_relaxed);
}
