/** test/unit/store_commit_test.c -- groups, order, refusals, full and broken
 *  disks, kill -9. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/io.h"
#include "oom.h"
#include "store/inside.h"
#include "store_aid.h"

#define ALL(kind) ((struct store_filter){.what = (kind), .state = -1})

/** Answers in the order in which they came. */
struct answers {
	struct loop *loop;
	int n;
	int err[256];
	int which[256];
};

struct asked {
	struct answers *to;
	int which;
};

static void on_done(const struct store_result *r, void *arg)
{
	struct asked *q = arg;

	assert_true(loop_is_mine(q->to->loop));
	q->to->err[q->to->n] = r->err;
	q->to->which[q->to->n++] = q->which;
	free(q);
}

static void ask(struct aid *a, struct answers *to, int which,
		struct store_write *w)
{
	struct asked *q = malloc(sizeof(*q));

	*q = (struct asked){to, which};
	store_commit(a->s, w, to->loop, on_done, q);
}

static struct store_write *write_of_event(struct aid *a)
{
	struct store_write *w = aid_write();
	struct event_row e = aid_event(a, 64, 0, NULL);
	struct delivery_row d = aid_delivery(a, 64, 7);

	store_put_event(w, &e, &d, 1);
	return w;
}

static struct store_write *write_that_fails(struct aid *a)
{
	struct store_write *w = write_of_event(a);
	struct delivery_row none = {.id = 999999};

	store_set_delivery(w, &none);
	return w;
}

/** Keep the store thread from committing: another connection writes. */
static sqlite3 *hold(struct aid *a)
{
	char path[128];
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/tapeop.db", a->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
			 SQLITE_OK);
	return db;
}

static void let_go(sqlite3 *db)
{
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
}

static void wait_for(struct answers *to, int n)
{
	while (to->n < n)
		loop_turn(to->loop, -1);
}

static void what_is_queued_is_one_commit(void **state)
{
	struct aid *a = *state;
	struct answers to = {0};
	int64_t commits = counter_get(COUNT_store_commits);
	sqlite3 *db = hold(a);

	assert_int_equal(loop_new(&to.loop), 0);
	for (int i = 0; i < 100; i++)
		ask(a, &to, i,
		    i % 10 == 3 ? write_that_fails(a) : write_of_event(a));
	let_go(db);
	wait_for(&to, 100);
	/* The first ones were taken before the others came. */
	assert_in_range(counter_get(COUNT_store_commits) - commits, 1, 10);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(to.which[i], i);
		assert_int_equal(to.err[i], i % 10 == 3 ? ENOENT : 0);
	}
	assert_int_equal(aid_count(a, ALL(READ_EVENTS)), 90);
	loop_free(to.loop);
}

static void a_full_queue_refuses_in_order(void **state)
{
	struct aid *a = *state;
	struct answers to = {0};
	sqlite3 *db;

	a->config.max_queue = 4;
	aid_again(a);
	db = hold(a);
	assert_int_equal(loop_new(&to.loop), 0);
	for (int i = 0; i < 10; i++)
		ask(a, &to, i, write_of_event(a));
	assert_int_equal(to.n, 0);
	let_go(db);
	wait_for(&to, 10);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(to.which[i], i);
		assert_int_equal(to.err[i], i < 4 ? 0 : ENOBUFS);
	}
	assert_int_equal(aid_count(a, ALL(READ_EVENTS)), 4);
	/* And takes again afterwards. */
	aid_commit(a, write_of_event(a), 0);
	loop_free(to.loop);
}

static void a_write_without_memory_is_answered(void **state)
{
	struct aid *a = *state;
	struct answers to = {0};
	struct store_write *w = NULL;
	struct event_row e = aid_event(a, 64, 0, NULL);
	struct store_result r;
	char *big = calloc(1, WRITE_MAX_BYTES);

	assert_int_equal(loop_new(&to.loop), 0);
	store_put_event(w, &e, NULL, 0);
	ask(a, &to, 0, w);
	mem_fail_after(0);
	store_commit(a->s, NULL, to.loop, on_done,
		     memcpy(malloc(sizeof(struct asked)),
			    &(struct asked){&to, 1}, sizeof(struct asked)));
	mem_fail_after(-1);
	w = aid_write();
	mem_fail_after(0);
	store_put_event(w, &e, NULL, 0);
	mem_fail_after(-1);
	ask(a, &to, 2, w);
	/* Over the limit of one write. */
	w = aid_write();
	e.facts = big;
	e.facts_len = WRITE_MAX_BYTES;
	store_put_event(w, &e, NULL, 0);
	ask(a, &to, 3, w);
	assert_int_equal(to.n, 0);
	wait_for(&to, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(to.which[i], i);
		assert_int_equal(to.err[i], ENOMEM);
	}
	assert_int_equal(store_commit_wait(a->s, NULL, &r), ENOMEM);
	assert_int_equal(aid_count(a, ALL(READ_EVENTS)), 0);
	loop_free(to.loop);
	free(big);
}

static void closing_commits_what_is_queued(void **state)
{
	struct aid *a = *state;
	struct answers to = {0};

	assert_int_equal(loop_new(&to.loop), 0);
	for (int i = 0; i < 50; i++)
		ask(a, &to, i, write_of_event(a));
	store_commit(a->s, write_of_event(a), NULL, NULL, NULL);
	aid_again(a);
	wait_for(&to, 50);
	assert_int_equal(to.err[49], 0);
	assert_int_equal(aid_count(a, ALL(READ_EVENTS)), 51);
	loop_free(to.loop);
}

/* ---- full and broken disks ------------------------------------------------- */

static bool ballast_is_there(struct aid *a)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/tapeop.ballast", a->dir);
	return !stat(path, &st) && st.st_size == AID_BALLAST;
}

static void quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static void check_totals(struct aid *a, int64_t n)
{
	struct store_totals t;

	store_totals(a->s, &t);
	assert_int_equal(t.in, n);
	assert_int_equal(t.pending, n);
	assert_int_equal(aid_count(a, ALL(READ_DELIVERIES)), n);
}

static void a_full_disk_takes_the_ballast_then_refuses(void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();

	assert_true(ballast_is_there(a));
	log_set_sink(quiet, NULL);
	aid_commit(a, write_of_event(a), 0);
	store_test_max_pages(a->s, 1); /* as many as there are now */
	for (int i = 0; i < 200; i++) {
		struct event_row e = aid_event(a, 64, 0, NULL);

		store_put_event(w, &e, NULL, 0);
	}
	aid_commit(a, w, ENOSPC);
	assert_false(ballast_is_there(a));
	check_totals(a, 1);
	store_test_max_pages(a->s, 0);
	aid_commit(a, write_of_event(a), 0);
	check_totals(a, 2);
	/* Made again once writes succeed; behind the next is late enough. */
	aid_commit(a, write_of_event(a), 0);
	assert_true(ballast_is_there(a));
	log_set_sink(NULL, NULL);
}

static void an_io_error_fails_the_group_and_is_not_retried(void **state)
{
	struct aid *a = *state;
	struct rlimit old;
	struct rlimit small;
	char facts[20000];

	log_set_sink(quiet, NULL);
	aid_commit(a, write_of_event(a), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 200 * 1024; /* of the WAL */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	memset(facts, ' ', sizeof(facts));
	for (int n = 0;; n++) {
		struct store_write *w = write_of_event(a);
		struct event_row e = aid_event(a, 64, 0, NULL);
		struct store_result r;

		assert_true(n < 50);
		e.facts = facts;
		e.facts_len = sizeof(facts);
		store_put_event(w, &e, NULL, 0);
		if (store_commit_wait(a->s, w, &r) == EIO)
			break;
		assert_int_equal(r.err, 0);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	aid_commit(a, write_of_event(a), 0);
	{
		struct store_totals t;

		/* Whatever became of it, memory and disk agree. */
		store_totals(a->s, &t);
		assert_int_equal(aid_count(a, ALL(READ_DELIVERIES)), t.in);
	}
	log_set_sink(NULL, NULL);
}

static void set_fault(const char *value)
{
	if (value)
		setenv("TAPEOP_FAULT", value, 1);
	else
		unsetenv("TAPEOP_FAULT");
	crash_reload();
}

static void a_failed_commit_is_answered_and_undone(void **state)
{
	struct aid *a = *state;

	log_set_sink(quiet, NULL);
	aid_commit(a, write_of_event(a), 0);
	store_close(a->s);
	set_fault("store.commit=EIO");
	aid_open(a);
	aid_commit(a, write_of_event(a), EIO);
	aid_commit(a, write_of_event(a), EIO);
	check_totals(a, 1);
	store_close(a->s);
	set_fault("store.commit=ENOSPC");
	aid_open(a);
	aid_commit(a, write_of_event(a), ENOSPC);
	assert_false(ballast_is_there(a));
	aid_commit(a, write_of_event(a), ENOSPC);
	check_totals(a, 1);
	store_close(a->s);
	set_fault(NULL);
	aid_open(a);
	assert_true(ballast_is_there(a));
	aid_commit(a, write_of_event(a), 0);
	check_totals(a, 2);
	log_set_sink(NULL, NULL);
}

static struct store_write *write_of_outcome(uint64_t delivery)
{
	struct store_write *w = aid_write();
	struct delivery_row d = {.id = delivery,
				 .state = DELIVERY_DELIVERED,
				 .attempts = 1,
				 .attempts_ever = 1,
				 .done_ms = 1};
	struct attempt_row t = {.delivery = delivery, .n = 1, .status = 200};

	store_set_delivery(w, &d);
	store_put_attempt(w, &t);
	return w;
}

static void what_was_committed_though_it_failed_can_be_written_again(
	void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();
	struct event_row e = aid_event(a, 64, 0, NULL);
	struct delivery_row d = aid_delivery(a, 64, 7);
	struct store_totals totals;

	log_set_sink(quiet, NULL);
	store_put_event(w, &e, &d, 1);
	aid_commit(a, w, 0);
	store_close(a->s);
	set_fault("store.committed=EIO:1-2");
	aid_open(a);
	aid_commit(a, write_of_outcome(d.id), EIO);
	aid_commit(a, write_of_outcome(d.id), EIO);
	aid_commit(a, write_of_outcome(d.id), 0);
	set_fault(NULL);
	store_totals(a->s, &totals);
	assert_int_equal(totals.in, 1);
	assert_int_equal(totals.delivered, 1);
	assert_int_equal(totals.pending, 0);
	assert_int_equal(
		aid_count(a, (struct store_filter){.what = READ_ATTEMPTS,
						   .state = -1,
						   .delivery = d.id,
						   .limit = 10}),
		1);
	log_set_sink(NULL, NULL);
}

/** An event that is removed in a commit that is made, but said to fail: who
 *  reads behind it does not find it, and is to know why. */
static void what_went_is_known_before_its_commit(void **state)
{
	struct aid *a = *state;
	struct task_row t = aid_task(64);
	struct event_row e = aid_event(a, 64, 0, NULL);
	struct store_write *w = aid_write();

	log_set_sink(quiet, NULL);
	t.state = TASK_STOPPED;
	t.finished_ms = 1;
	store_put_task(w, &t);
	store_put_event(w, &e, NULL, 0);
	aid_commit(a, w, 0);
	store_close(a->s);
	set_fault("store.committed=EIO:1-1");
	aid_open(a);
	assert_int_equal(store_known_id(a->s, IDS_REMOVED), 0);
	w = aid_write();
	store_prune(w, 64, 100);
	aid_commit(a, w, EIO);
	set_fault(NULL);
	assert_int_equal(aid_count(a, ALL(READ_EVENTS)), 0);
	assert_int_equal(store_known_id(a->s, IDS_REMOVED), e.id);
	log_set_sink(NULL, NULL);
}

/* ---- by which index ---------------------------------------------------------- */

static bool plan_has(struct aid *a, const char *sql, const char *what)
{
	sqlite3_stmt *stmt = NULL;
	sqlite3 *db = NULL;
	struct err e = {0};
	char text[4096];
	bool has = false;

	assert_int_equal(db_open_reader(a->s->path, &db, &e), 0);
	assert_true(snprintf(text, sizeof(text), "EXPLAIN QUERY PLAN %s", sql) <
		    (int)sizeof(text));
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), 0);
	while (sqlite3_step(stmt) == SQLITE_ROW)
		has |= strstr((const char *)sqlite3_column_text(stmt, 3),
			      what) != NULL;
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return has;
}

static void what_is_pending_of_a_task_is_not_looked_for_among_all_of_it(
	void **state)
{
	struct aid *a = *state;
	static const enum stmt asking[] = {
		STMT_IS_TOLD, STMT_ERASE_COUNT, STMT_ERASE_ATTEMPTS,
		STMT_ERASE_DELIVERIES, STMT_ERASE_EVENTS};

	for (size_t i = 0; i < ARRAY_LEN(asking); i++)
		assert_true(plan_has(a, sqlite3_sql(a->s->db.stmts[asking[i]]),
				     "INDEX delivery_pending (lane=?)"));
	assert_true(plan_has(a, "SELECT 1" PENDING_OF_TASK " LIMIT 1",
			     "INDEX delivery_pending (lane=?)"));
	/* the others go on using theirs */
	assert_true(plan_has(a,
			     sqlite3_sql(a->s->db.stmts[STMT_PRUNE_DELIVERIES]),
			     "INDEX delivery_lane (lane=?)"));
	assert_true(plan_has(a,
			     "SELECT lane FROM delivery WHERE state=0"
			     " AND state<>1 ORDER BY id",
			     "INDEX delivery_open (state=?)"));
}

/* ---- who may open ------------------------------------------------------------ */

static void a_second_process_is_refused(void **state)
{
	struct aid a;
	struct store *other;
	struct err e = {0};
	int ready[2];
	int end[2];
	char byte = 0;
	pid_t pid;

	(void)state;
	aid_dir(&a);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (store_open(&a.config, &a.s, &e))
			_exit(1);
		if (write(ready[1], "", 1) != 1 || read(end[0], &byte, 1) != 1)
			_exit(2);
		store_close(a.s);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(store_open(&a.config, &other, &e), EBUSY);
	assert_non_null(strstr(e.text, "another tapeop uses"));
	assert_int_equal(write(end[1], "", 1), 1);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	aid_open(&a);
	store_close(a.s);
	nftw(a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(end[i]);
	}
}

static void put_file(struct aid *a, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/tapeop.db", a->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 100; i++)
		fputs(text, f);
	fclose(f);
}

static void exec_in(struct aid *a, const char *sql)
{
	char path[128];
	sqlite3 *db = NULL;

	snprintf(path, sizeof(path), "%s/tapeop.db", a->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void what_is_not_our_database_is_refused(void **state)
{
	struct aid a;
	struct err e = {0};

	(void)state;
	aid_dir(&a);
	put_file(&a, "this is not a database, it is a letter\n");
	assert_int_equal(store_open(&a.config, &a.s, &e), EBADMSG);
	put_file(&a, "");
	exec_in(&a, "CREATE TABLE mine(x)");
	assert_int_equal(store_open(&a.config, &a.s, &e), EBADMSG);
	assert_non_null(strstr(e.text, "not a database of tapeop"));
	put_file(&a, "");
	aid_open(&a);
	store_close(a.s);
	exec_in(&a, "PRAGMA user_version=1000");
	assert_int_equal(store_open(&a.config, &a.s, &e), EBADMSG);
	assert_non_null(strstr(e.text, "newer"));
	exec_in(&a, "PRAGMA user_version=-1");
	assert_int_equal(store_open(&a.config, &a.s, &e), EBADMSG);
	put_file(&a, "");
	a.config.data_dir = "/proc/nowhere";
	assert_int_not_equal(store_open(&a.config, &a.s, &e), 0);
	nftw(a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
}

/** As the first version left it: without the columns that steps added. */
static void make_older(struct aid *a)
{
	exec_in(a, "ALTER TABLE input DROP COLUMN opus_pt;"
		   "ALTER TABLE input DROP COLUMN red_pt;"
		   "ALTER TABLE input DROP COLUMN audio_level_ext;"
		   "ALTER TABLE input DROP COLUMN mic_disabled;"
		   "INSERT INTO input VALUES(7, 1, 'r', 'u', 'rtp', 41000,"
		   " '', 3);"
		   "ALTER TABLE task DROP COLUMN format;"
		   "ALTER TABLE task DROP COLUMN sample_rate;"
		   "ALTER TABLE task DROP COLUMN max_idle_ms;"
		   "ALTER TABLE task DROP COLUMN hold_empty_ms;"
		   "ALTER TABLE task DROP COLUMN is_auto;"
		   "ALTER TABLE task DROP COLUMN is_paused;"
		   "DROP TABLE removal; DROP TABLE endpoint;"
		   "ALTER TABLE task DROP COLUMN end_ip;"
		   "ALTER TABLE task DROP COLUMN end_platform;"
		   "ALTER TABLE task DROP COLUMN segment_ms;"
		   "ALTER TABLE task DROP COLUMN expires_ms;"
		   "ALTER TABLE task DROP COLUMN recorder;"
		   "ALTER TABLE segment DROP COLUMN by_ip;"
		   "ALTER TABLE segment DROP COLUMN by_platform;"
		   "ALTER TABLE segment DROP COLUMN is_failing;"
		   "ALTER TABLE segment DROP COLUMN is_left;"
		   "ALTER TABLE segment DROP COLUMN stored_in;"
		   "DROP INDEX delivery_pending;"
		   "DROP TABLE storage; DROP INDEX task_storage;"
		   "ALTER TABLE task DROP COLUMN storage;"
		   "ALTER TABLE task DROP COLUMN storage_prefix;"
		   "DROP TRIGGER segment_wave; DROP TABLE wave;"
		   "ALTER TABLE attempt DROP COLUMN answer;"
		   "DROP INDEX segment_user_task; DROP INDEX task_created;"
		   "CREATE INDEX segment_user ON segment(user);"
		   "INSERT INTO task VALUES(64, 1, 'r', 0, 0, '', '', '', 3, 0,"
		   " 0, 0, '', ''); PRAGMA user_version=1");
}

/* What was not said then is as it was done then. */
static void check_older_task(struct aid *a)
{
	struct store_rows rows = aid_read(
		a, (struct store_filter){.what = READ_TASKS, .state = -1});

	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.tasks[0].id, 64);
	assert_int_equal(rows.tasks[0].format, FORMAT_MP3);
	assert_int_equal(rows.tasks[0].sample_rate, 48000);
	assert_int_equal(rows.tasks[0].max_idle_ms, 0);
	assert_int_equal(rows.tasks[0].hold_empty_ms, 12 * 3600 * 1000);
	assert_false(rows.tasks[0].is_auto);
	assert_false(rows.tasks[0].is_paused);
	assert_int_equal(rows.tasks[0].segment_ms, 0);
	assert_int_equal(rows.tasks[0].expires_ms, 0);
	assert_string_equal(rows.tasks[0].recorder, "");
	assert_int_equal(rows.tasks[0].storage, 0);
	store_rows_free(&rows);
}

static void an_older_database_is_brought_up_once(void **state)
{
	struct store_rows rows;
	struct input_row i;
	struct store_write *w;
	struct aid a;

	(void)state;
	aid_dir(&a);
	aid_open(&a);
	store_close(a.s);
	make_older(&a);
	aid_open(&a);
	aid_again(&a); /* nothing is left to do */
	rows = aid_read(
		&a, (struct store_filter){.what = READ_INPUTS, .state = -1});
	assert_int_equal(rows.n, 1);
	i = rows.inputs[0];
	store_rows_free(&rows);
	assert_int_equal(i.id, 7);
	assert_int_equal(i.port, 41000);
	assert_int_equal(i.created_ms, 3);
	assert_int_equal(i.opus_pt + i.red_pt + i.audio_level_ext, 0);
	assert_false(i.mic_disabled);
	check_older_task(&a);
	i.id = store_next_id(a.s, IDS_INPUT);
	i.red_pt = 110;
	w = aid_write();
	store_put_input(w, &i);
	aid_commit(&a, w, 0);
	assert_int_equal(
		aid_count(&a, (struct store_filter){.what = READ_INPUTS,
						    .state = -1}),
		2);
	store_close(a.s);
	nftw(a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- kill -9 ------------------------------------------------------------------ */

struct storm {
	struct aid *a;
	struct loop *loop;
	int fd;
	int under_way;
};

struct storm_write {
	struct storm *storm;
	uint64_t event;
};

static void on_stormed(const struct store_result *r, void *arg)
{
	struct storm_write *w = arg;

	w->storm->under_way--;
	if (r->err || write(w->storm->fd, &w->event, sizeof(w->event)) !=
			      (ssize_t)sizeof(w->event))
		_exit(3);
	free(w);
}

/** In a child: commit for ever, tell the pipe what was answered. */
static void storm(struct aid *a, int fd)
{
	struct storm st = {.a = a, .fd = fd};
	struct err e;

	if (store_open(&a->config, &a->s, &e) || loop_new(&st.loop))
		_exit(1);
	for (;;) {
		while (st.under_way < 200) {
			struct storm_write *sw = malloc(sizeof(*sw));
			struct store_write *w = store_write_new();
			struct event_row ev = aid_event(a, 64, 0, NULL);
			struct delivery_row d = aid_delivery(a, 64, 7);

			*sw = (struct storm_write){&st, ev.id};
			store_put_event(w, &ev, &d, 1);
			st.under_way++;
			store_commit(a->s, w, st.loop, on_stormed, sw);
		}
		loop_turn(st.loop, -1);
	}
}

static void check_answered(struct aid *a, const uint64_t *ids, size_t n)
{
	struct store_filter f = ALL(READ_EVENTS);
	struct store_totals t;
	size_t there = 0;
	size_t found = 0;
	bool more = true;

	f.limit = 1000;
	while (more) {
		struct store_rows rows = aid_read(a, f);

		for (size_t i = 0; i < rows.n; i++) {
			f.after = rows.events[i].id;
			/* Answers came in order of id. */
			if (found < n && ids[found] == f.after)
				found++;
		}
		there += rows.n;
		more = rows.more;
		store_rows_free(&rows);
	}
	assert_int_equal(found, n);
	store_totals(a->s, &t);
	assert_int_equal(t.in, there);
	assert_int_equal(t.pending, there);
	assert_true(store_next_id(a->s, IDS_EVENT) > f.after);
}

static void what_was_answered_survives_kill_9(void **state)
{
	enum { WANTED = 3000, MAX = 200000 };
	struct aid a;
	uint64_t *ids = calloc(MAX, sizeof(*ids));
	size_t len = 0;
	int fds[2];
	pid_t pid;

	(void)state;
	aid_dir(&a);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		storm(&a, fds[1]);
	close(fds[1]);
	for (bool killed = false;;) {
		ssize_t n = read(fds[0], (char *)ids + len,
				 MAX * sizeof(*ids) - len);

		assert_true(n >= 0);
		if (!n)
			break;
		len += (size_t)n;
		if (!killed && len >= WANTED * sizeof(*ids)) {
			kill(pid, SIGKILL);
			killed = true;
		}
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(len >= WANTED * sizeof(*ids));
	aid_open(&a);
	check_answered(&a, ids, len / sizeof(*ids));
	store_close(a.s);
	close(fds[0]);
	free(ids);
	nftw(a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
}

/** One write in a child that kills itself at `point`; is it there then? */
static size_t events_after_crash(const char *point)
{
	struct aid a;
	size_t n;
	int status = 0;
	pid_t pid;

	aid_dir(&a);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct store_result r;
		struct err e;

		setenv("TAPEOP_CRASH_AT", point, 1);
		crash_reload();
		if (store_open(&a.config, &a.s, &e))
			_exit(1);
		if (store_commit_wait(a.s, write_of_event(&a), &r))
			_exit(2);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	aid_open(&a);
	n = aid_count(&a, ALL(READ_EVENTS));
	assert_int_equal(aid_count(&a, ALL(READ_DELIVERIES)), n);
	store_close(a.s);
	nftw(a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	return n;
}

static void a_crash_is_before_or_after_the_commit(void **state)
{
	(void)state;
	assert_int_equal(events_after_crash("store.commit.before"), 0);
	assert_int_equal(events_after_crash("store.commit.after"), 1);
}

/* ---- out of memory -------------------------------------------------------------- */

static struct aid *swept;

static void write_and_read(void)
{
	struct store_write *w = store_write_new();
	struct task_row t = aid_task(64);
	struct segment_row s = aid_segment(swept, 64, "alice", 0);
	struct event_row e = aid_event(swept, 64, 0, "once");
	struct delivery_row d = aid_delivery(swept, 64, 7);
	struct attempt_row at = {.delivery = 1, .n = 1};
	struct store_filter f = {.state = -1, .endpoint = 99};
	struct store_result r;
	struct store_rows rows;
	int err;

	store_put_task(w, &t);
	store_put_segment(w, &s);
	store_put_event(w, &e, &d, 1);
	store_put_attempt(w, &at);
	store_replay(w, &f, 1);
	err = store_commit_wait(swept->s, w, &r);
	assert_true(!err || err == ENOMEM || err == EEXIST);
	f = (struct store_filter){.what = READ_EVENTS, .state = -1};
	err = store_read(swept->s, &f, &rows);
	assert_true(!err || err == ENOMEM);
	store_rows_free(&rows);
}

static void writing_and_reading_survive_no_memory(void **state)
{
	swept = *state;
	OOM_SWEEP(write_and_read);
	assert_int_equal(aid_count(swept, ALL(READ_EVENTS)), 1);
}

static void open_and_close(void)
{
	struct store *s;
	struct err e = {0};
	int err = store_open(&swept->config, &s, &e);

	if (!err)
		store_close(s);
	else
		assert_int_equal(err, ENOMEM);
}

static void opening_survives_no_memory(void **state)
{
	struct aid *a = *state;

	swept = a;
	store_close(a->s);
	log_set_sink(quiet, NULL);
	OOM_SWEEP(open_and_close);
	log_set_sink(NULL, NULL);
	aid_open(a);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First those that fork: no thread has been started yet. */
		cmocka_unit_test(a_second_process_is_refused),
		cmocka_unit_test(a_crash_is_before_or_after_the_commit),
		cmocka_unit_test(what_was_answered_survives_kill_9),
		cmocka_unit_test(what_is_not_our_database_is_refused),
		cmocka_unit_test(an_older_database_is_brought_up_once),
		TEST(what_is_queued_is_one_commit),
		TEST(a_full_queue_refuses_in_order),
		TEST(a_write_without_memory_is_answered),
		TEST(closing_commits_what_is_queued),
		TEST(a_full_disk_takes_the_ballast_then_refuses),
		TEST(an_io_error_fails_the_group_and_is_not_retried),
		TEST(a_failed_commit_is_answered_and_undone),
		TEST(what_was_committed_though_it_failed_can_be_written_again),
		TEST(what_went_is_known_before_its_commit),
		TEST(what_is_pending_of_a_task_is_not_looked_for_among_all_of_it),
		TEST(writing_and_reading_survive_no_memory),
		TEST(opening_survives_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
