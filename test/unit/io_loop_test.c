/** test/unit/io_loop_test.c -- loop, watches, timers, mail, later. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "oom.h"

static struct loop *make_loop(void)
{
	struct loop *loop = NULL;

	assert_int_equal(loop_new(&loop), 0);
	return loop;
}

/* ---- timers ---- */

enum { N_TIMERS = 200 };

struct tick {
	struct timer timer;
	int64_t due_us;
	int *order;
	struct tick **log;
};

static void on_tick(struct timer *t, int64_t now_us)
{
	struct tick *k = CONTAINER_OF(t, struct tick, timer);

	assert_true(now_us >= k->due_us);
	assert_false(timer_is_armed(t));
	k->log[(*k->order)++] = k;
}

static void timers_fire_in_order_of_their_due_time(void **state)
{
	struct loop *loop = make_loop();
	struct tick ticks[N_TIMERS] = {0};
	struct tick *log[N_TIMERS];
	int order = 0;
	int stopped = 0;
	uint32_t x = 12345;

	(void)state;
	for (int i = 0; i < N_TIMERS; i++) {
		x = x * 1664525 + 1013904223;
		ticks[i].due_us = loop_now_us(loop) - 1000 + (x >> 16) % 1000;
		ticks[i].order = &order;
		ticks[i].log = log;
		assert_int_equal(timer_start(&ticks[i].timer, loop,
					     i % 3 ? ticks[i].due_us : 0,
					     on_tick),
				 0);
	}
	for (int i = 0; i < N_TIMERS; i++) {
		if (i % 3 == 0) /* move it */
			assert_int_equal(timer_start(&ticks[i].timer, loop,
						     ticks[i].due_us, on_tick),
					 0);
		if (i % 7 == 0) {
			timer_stop(&ticks[i].timer);
			timer_stop(&ticks[i].timer);
			stopped++;
		}
	}
	loop_turn(loop, 0);
	assert_int_equal(order, N_TIMERS - stopped);
	for (int i = 1; i < order; i++)
		assert_true(log[i - 1]->due_us <= log[i]->due_us);
	loop_free(loop);
}

static void on_rearm(struct timer *t, int64_t now_us)
{
	(void)now_us;
	assert_int_equal(timer_start(t, t->loop, 0, on_rearm), 0);
}

static void a_timer_that_rearms_in_the_past_does_not_hold_the_turn(void **state)
{
	struct loop *loop = make_loop();
	struct timer t = {0};
	struct loop_stats stats;

	(void)state;
	assert_int_equal(timer_start(&t, loop, 0, on_rearm), 0);
	loop_turn(loop, 0);
	loop_turn(loop, -1);
	assert_true(timer_is_armed(&t));
	timer_stop(&t);
	loop_stats(loop, &stats);
	assert_int_equal(stats.turns, 2);
	loop_free(loop);
}

static void on_count(struct timer *t, int64_t now_us)
{
	(void)t;
	(void)now_us;
}

static void a_turn_waits_for_the_next_timer_only(void **state)
{
	struct loop *loop = make_loop();
	struct timer t = {0};
	int64_t begun = clock_now_us();

	(void)state;
	assert_int_equal(timer_start(&t, loop, begun + 2000, on_count), 0);
	while (timer_is_armed(&t))
		loop_turn(loop, -1);
	assert_true(clock_now_us() - begun >= 2000);
	loop_free(loop);
}

/* ---- watches ---- */

struct end {
	struct watch watch;
	struct watch *other;
	int calls;
	unsigned events;
};

static void on_end(struct watch *w, unsigned events, int64_t now_us)
{
	struct end *e = CONTAINER_OF(w, struct end, watch);

	(void)now_us;
	e->calls++;
	e->events = events;
	if (e->other)
		watch_stop(e->other);
}

static void a_stopped_watch_is_not_called_in_the_same_turn(void **state)
{
	struct loop *loop = make_loop();
	struct end a = {0};
	struct end b = {0};
	int p[2], q[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(pipe(q), 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(write(q[1], "x", 1), 1);
	a.other = &b.watch;
	b.other = &a.watch;
	assert_int_equal(watch_start(&a.watch, loop, p[0], WATCH_READ, on_end),
			 0);
	assert_int_equal(watch_start(&b.watch, loop, q[0], WATCH_READ, on_end),
			 0);
	loop_turn(loop, 0);
	assert_int_equal(a.calls + b.calls, 1);
	watch_stop(&a.watch);
	watch_stop(&b.watch);
	watch_stop(&b.watch);
	loop_turn(loop, 0);
	assert_int_equal(a.calls + b.calls, 1);
	for (int i = 0; i < 2; i++) {
		close(p[i]);
		close(q[i]);
	}
	loop_free(loop);
}

static void a_watch_is_level_triggered_and_tells_hang_ups(void **state)
{
	struct loop *loop = make_loop();
	struct end a = {0};
	int p[2];
	char c;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(watch_start(&a.watch, loop, p[0], WATCH_READ, on_end),
			 0);
	loop_turn(loop, 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(write(p[1], "x", 1), 1);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_int_equal(a.calls, 2);
	assert_int_equal(a.events, WATCH_READ);
	assert_int_equal(read(p[0], &c, 1), 1);
	loop_turn(loop, 0);
	assert_int_equal(a.calls, 2);
	close(p[1]);
	loop_turn(loop, 0);
	assert_int_equal(a.events, WATCH_READ | WATCH_WRITE);
	/* watched for nothing: not even the hang-up */
	assert_int_equal(watch_change(&a.watch, 0), 0);
	loop_turn(loop, 0);
	assert_int_equal(a.calls, 3);
	assert_int_equal(watch_change(&a.watch, WATCH_READ), 0);
	loop_turn(loop, 0);
	assert_int_equal(a.calls, 4);
	watch_stop(&a.watch);
	close(p[0]);
	loop_free(loop);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct loop *loop = make_loop();
	struct end a = {0};

	(void)state;
	assert_int_equal(watch_start(&a.watch, loop, -1, WATCH_READ, on_end),
			 EBADF);
	watch_stop(&a.watch);
	loop_free(loop);
}

/* ---- later ---- */

struct chain {
	struct later later;
	struct loop *loop;
	int left;
};

static void on_later(struct later *l)
{
	struct chain *c = CONTAINER_OF(l, struct chain, later);

	if (--c->left)
		loop_later(c->loop, l, on_later);
}

static void later_runs_at_the_end_and_makes_the_next_turn_not_wait(void **state)
{
	struct loop *loop = make_loop();
	struct chain c = {.loop = loop, .left = 3};

	(void)state;
	loop_later(loop, &c.later, on_later);
	loop_turn(loop, -1);
	assert_int_equal(c.left, 2);
	loop_turn(loop, -1);
	assert_int_equal(c.left, 1);
	loop_free(loop);
	assert_int_equal(c.left, 0);
}

/* ---- mail ---- */

enum { N_POSTERS = 3, N_POSTS = 3000 };

struct parcel {
	struct mail mail;
	struct loop *home;
	_Atomic int64_t posts; /* as seen by the posters */
	int64_t seen;	       /* receiver */
	int64_t calls;	       /* receiver */
	int64_t again;	       /* receiver: times it re-posts itself */
	_Atomic int64_t ended; /* posters that are through */
};

static void on_parcel(struct mail *mail)
{
	struct parcel *p = CONTAINER_OF(mail, struct parcel, mail);

	p->seen = atomic_load_explicit(&p->posts, memory_order_relaxed);
	p->calls++;
	if (p->again > 0) {
		p->again--;
		mail_post(p->home, &p->mail, on_parcel);
	}
}

static void *post_often(void *arg)
{
	struct parcel *p = arg;

	for (int i = 0; i < N_POSTS; i++) {
		atomic_fetch_add_explicit(&p->posts, 1, memory_order_relaxed);
		mail_post(p->home, &p->mail, on_parcel);
	}
	if (atomic_fetch_add(&p->ended, 1) + 1 == N_POSTERS)
		loop_stop(p->home);
	return NULL;
}

static void a_coalesced_mail_still_shows_the_newest_state(void **state)
{
	struct loop *loop = make_loop();
	struct parcel p = {.home = loop, .again = 500};
	pthread_t threads[N_POSTERS];

	(void)state;
	for (int i = 0; i < N_POSTERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, post_often, &p), 0);
	loop_run(loop);
	for (int i = 0; i < N_POSTERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 600; i++)
		loop_turn(loop, 0);
	assert_int_equal(p.seen, N_POSTERS * N_POSTS);
	assert_int_equal(p.again, 0);
	assert_true(p.calls >= 501);
	assert_true(p.calls <= N_POSTERS * N_POSTS + 500);
	loop_free(loop);
}

struct letter {
	struct mail mail;
	int number;
	int *next;
};

static void on_letter(struct mail *mail)
{
	struct letter *l = CONTAINER_OF(mail, struct letter, mail);

	assert_int_equal(l->number, *l->next);
	++*l->next;
}

static void mail_keeps_its_order_and_is_posted_once(void **state)
{
	struct loop *loop = make_loop();
	struct letter letters[50] = {0};
	int next = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		letters[i].number = i;
		letters[i].next = &next;
		assert_true(mail_post(loop, &letters[i].mail, on_letter));
		assert_false(mail_post(loop, &letters[i].mail, on_letter));
	}
	loop_turn(loop, -1);
	assert_int_equal(next, 50);
	loop_turn(loop, 0);
	assert_int_equal(next, 50);
	loop_free(loop);
}

struct ball {
	struct mail mail;
	struct loop *home, *away;
	int left;
	int *in_play; /* home */
};

static void on_ball_home(struct mail *mail);

static void on_ball_away(struct mail *mail)
{
	struct ball *b = CONTAINER_OF(mail, struct ball, mail);

	assert_true(loop_is_mine(b->away));
	mail_post(b->home, mail, on_ball_home);
}

static void on_ball_home(struct mail *mail)
{
	struct ball *b = CONTAINER_OF(mail, struct ball, mail);

	assert_true(loop_is_mine(b->home));
	if (--b->left) {
		mail_post(b->away, mail, on_ball_away);
		return;
	}
	if (--*b->in_play)
		return;
	loop_stop(b->away);
	loop_stop(b->home);
}

static void *run_away(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void a_mail_may_be_posted_back_from_its_function(void **state)
{
	struct loop *home = make_loop();
	struct loop *away = make_loop();
	struct ball balls[4] = {0};
	int in_play = 4;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run_away, away), 0);
	for (int i = 0; i < 4; i++) {
		balls[i] = (struct ball){.home = home,
					 .away = away,
					 .left = i ? 50 : 300,
					 .in_play = &in_play};
		mail_post(away, &balls[i].mail, on_ball_away);
	}
	loop_run(home);
	pthread_join(thread, NULL);
	assert_int_equal(in_play, 0);
	loop_free(away);
	loop_free(home);
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
	struct loop *loop = make_loop();

	(void)state;
	loop_stop(loop);
	loop_run(loop);
	loop_free(loop);
}

static void use_loop(void)
{
	struct loop *loop;
	struct timer t[40] = {0};
	int err = loop_new(&loop);

	if (err) {
		assert_int_equal(err, ENOMEM);
		return;
	}
	for (int i = 0; i < 40 && !err; i++)
		err = timer_start(&t[i], loop, i, on_count);
	if (err)
		assert_int_equal(err, ENOMEM);
	for (int i = 0; i < 40; i++)
		timer_stop(&t[i]);
	loop_free(loop);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(use_loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_of_their_due_time),
		cmocka_unit_test(
			a_timer_that_rearms_in_the_past_does_not_hold_the_turn),
		cmocka_unit_test(a_turn_waits_for_the_next_timer_only),
		cmocka_unit_test(
			a_stopped_watch_is_not_called_in_the_same_turn),
		cmocka_unit_test(a_watch_is_level_triggered_and_tells_hang_ups),
		cmocka_unit_test(a_bad_descriptor_is_an_error),
		cmocka_unit_test(
			later_runs_at_the_end_and_makes_the_next_turn_not_wait),
		cmocka_unit_test(mail_keeps_its_order_and_is_posted_once),
		cmocka_unit_test(a_coalesced_mail_still_shows_the_newest_state),
		cmocka_unit_test(a_mail_may_be_posted_back_from_its_function),
		cmocka_unit_test(a_stop_before_the_run_is_not_lost),
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
