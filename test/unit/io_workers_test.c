/** test/unit/io_workers_test.c -- workers, inbox, thread, signals. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "oom.h"

enum { N_JOBS = 400, N_KEYS = 7, N_WORKERS = 4 };

/* ---- workers ---- */

struct task {
	struct job job;
	int number;
};

static int ran[N_KEYS];		   /* the last number that ran, by key */
static int done[N_KEYS];	   /* the same on the loop */
static _Atomic int inside[N_KEYS]; /* threads that run the key */
static int left;
static struct loop *loop;

static void run_task(struct job *job)
{
	struct task *t = CONTAINER_OF(job, struct task, job);

	assert_int_equal(atomic_fetch_add(&inside[job->key], 1), 0);
	assert_true(t->number > ran[job->key]);
	ran[job->key] = t->number;
	atomic_fetch_sub(&inside[job->key], 1);
}

static void task_done(struct job *job)
{
	struct task *t = CONTAINER_OF(job, struct task, job);

	assert_true(loop_is_mine(loop));
	assert_true(t->number > done[job->key]);
	done[job->key] = t->number;
	left--;
}

static void jobs_of_a_key_run_one_after_another_and_in_order(void **state)
{
	struct workers *w = NULL;
	struct task *tasks = mem_zalloc_n(N_JOBS, sizeof(*tasks));

	(void)state;
	assert_non_null(tasks);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new("test", N_WORKERS, &w), 0);
	left = N_JOBS;
	for (int i = 0; i < N_JOBS; i++) {
		tasks[i].number = i + 1;
		tasks[i].job.run = run_task;
		tasks[i].job.key = (uint64_t)(i * 5 % N_KEYS);
		workers_run(w, &tasks[i].job, loop, task_done);
	}
	while (left)
		loop_turn(loop, -1);
	workers_free(w);
	loop_free(loop);
	mem_free(tasks);
}

/** A pair that can only end when both run at the same time. */
static struct inbox *gate;

static void run_waits(struct job *job)
{
	struct link head;

	(void)job;
	list_init(&head);
	assert_true(inbox_take(gate, &head, 10 * CLOCK_US_PER_S));
	list_remove(list_first(&head));
}

static void run_opens(struct job *job)
{
	static struct link l;

	(void)job;
	inbox_put(gate, &l);
}

static void run_nothing(struct job *job)
{
	(void)job;
}

static void a_slow_key_does_not_hold_another(void **state)
{
	struct workers *w = NULL;
	/* Key 1 waits for key 2, with another of its own in between. */
	struct job jobs[3] = {{.run = run_waits, .key = 1},
			      {.run = run_nothing, .key = 1},
			      {.run = run_opens, .key = 2}};

	(void)state;
	assert_int_equal(inbox_new(&gate), 0);
	assert_int_equal(workers_new("test", 2, &w), 0);
	for (int i = 0; i < 3; i++)
		workers_run(w, &jobs[i], NULL, NULL);
	workers_free(w);
	inbox_free(gate);
}

static _Atomic int freed;

static void run_frees(struct job *job)
{
	mem_free(job);
	atomic_fetch_add(&freed, 1);
}

static void freeing_runs_what_is_queued_and_a_job_may_free_itself(void **state)
{
	struct workers *w = NULL;

	(void)state;
	atomic_store(&freed, 0);
	assert_int_equal(workers_new("a name that is too long", 3, &w), 0);
	for (int i = 0; i < 50; i++) {
		struct job *job = mem_zalloc(sizeof(*job));

		assert_non_null(job);
		job->run = run_frees;
		job->key = (uint64_t)i % 2;
		workers_run(w, job, NULL, NULL);
	}
	workers_free(w);
	assert_int_equal(atomic_load(&freed), 50);
	workers_free(NULL);
}

static int rounds;

static struct workers *again_workers;

static void queue_again(struct job *job)
{
	if (--rounds)
		workers_run(again_workers, job, loop, queue_again);
}

static void a_job_may_be_queued_again_from_its_done(void **state)
{
	struct job job = {.run = run_nothing};

	(void)state;
	rounds = 20;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new("test", 2, &again_workers), 0);
	workers_run(again_workers, &job, loop, queue_again);
	while (rounds)
		loop_turn(loop, -1);
	workers_free(again_workers);
	loop_free(loop);
}

/* ---- inbox ---- */

struct note {
	struct link link;
	int number;
};

static struct note notes[2][300];

static void put_notes(void *arg)
{
	struct inbox *in = arg;
	static _Atomic int turn;
	int side = atomic_fetch_add(&turn, 1) % 2;

	for (int i = 0; i < 300; i++) {
		notes[side][i].number = side * 1000 + i;
		inbox_put(in, &notes[side][i].link);
	}
}

static void an_inbox_keeps_the_order_of_each_thread(void **state)
{
	struct inbox *in = NULL;
	struct thread *threads[2];
	int next[2] = {0, 0};
	struct link head;

	(void)state;
	list_init(&head);
	assert_int_equal(inbox_new(&in), 0);
	assert_false(inbox_take(in, &head, 0));
	assert_false(inbox_take(in, &head, 1000));
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			thread_start("put", put_notes, in, &threads[i]), 0);
	while (next[0] + next[1] < 600) {
		assert_true(inbox_take(in, &head, -1));
		LIST_EACH(&head, l, after)
		{
			struct note *n = CONTAINER_OF(l, struct note, link);

			assert_int_equal(n->number % 1000,
					 next[n->number / 1000]++);
			list_remove(l);
		}
	}
	thread_join(threads[0]);
	thread_join(threads[1]);
	assert_false(inbox_is_shut(in));
	inbox_put(in, &notes[0][0].link);
	inbox_shut(in);
	assert_true(inbox_is_shut(in));
	assert_true(inbox_take(in, &head, -1));
	list_init(&head);
	assert_false(inbox_take(in, &head, -1));
	inbox_free(in);
}

/* ---- thread ---- */

static void look_at_mask(void *arg)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	*(int *)arg = sigismember(&set, SIGTERM) + sigismember(&set, SIGHUP);
}

static void a_thread_has_all_signals_blocked(void **state)
{
	struct thread *t = NULL;
	sigset_t set;
	int blocked = 0;

	(void)state;
	assert_int_equal(thread_start("mask", look_at_mask, &blocked, &t), 0);
	thread_join(t);
	assert_int_equal(blocked, 2);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	assert_false(sigismember(&set, SIGTERM));
	thread_join(NULL);
}

/* ---- signals ---- */

static struct signals *signals;
static int seen;

static void on_signal(int signo, void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen = signo;
	if (signo == SIGUSR2)
		signals_close(signals);
}

static void signals_come_to_the_loop_and_may_be_closed_there(void **state)
{
	const int signos[] = {SIGUSR1, SIGUSR2};

	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(
		signals_open(loop, signos, 2, on_signal, &seen, &signals), 0);
	kill(getpid(), SIGUSR1);
	while (seen != SIGUSR1)
		loop_turn(loop, -1);
	kill(getpid(), SIGUSR2);
	while (seen != SIGUSR2)
		loop_turn(loop, -1);
	signals_close(NULL);
	loop_free(loop);
}

/* ---- out of memory ---- */

static void use_all(void)
{
	struct workers *w = NULL;
	struct inbox *in = NULL;
	int err = inbox_new(&in);

	if (!err)
		err = workers_new("oom", 2, &w);
	assert_true(err == 0 || err == ENOMEM);
	workers_free(w);
	inbox_free(in);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(use_all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			jobs_of_a_key_run_one_after_another_and_in_order),
		cmocka_unit_test(a_slow_key_does_not_hold_another),
		cmocka_unit_test(
			freeing_runs_what_is_queued_and_a_job_may_free_itself),
		cmocka_unit_test(a_job_may_be_queued_again_from_its_done),
		cmocka_unit_test(an_inbox_keeps_the_order_of_each_thread),
		cmocka_unit_test(a_thread_has_all_signals_blocked),
		cmocka_unit_test(
			signals_come_to_the_loop_and_may_be_closed_there),
		cmocka_unit_test(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
