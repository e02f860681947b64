/** test/unit/rooms_told_test.c -- what is told of a task: why it ended, who has
 *  caused what, what storage does not take, and in which order. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms_aid.h"

#define NOBODY "127.0.0.1 Unknown"

/* ---- aids ---- */

/** The events of a task, by task_seq. */
struct tale {
	struct store_rows rows;
	struct event *e; /* n */
	size_t n;
};

static struct tale tale_of(struct stage *st, uint64_t task)
{
	struct tale t = {
		.rows = aid_read(&st->a,
				 (struct store_filter){.what = READ_EVENTS,
						       .task = task,
						       .state = -1,
						       .limit = SEGMENTS_MAX})};

	t.n = t.rows.n;
	t.e = calloc(t.n + 1, sizeof(*t.e));
	for (size_t i = 0; i < t.n; i++) {
		const struct event_row *row = &t.rows.events[i];

		assert_true(row->task_seq < t.n);
		assert_int_equal(event_parse_json(row->facts, row->facts_len,
						  &t.e[row->task_seq]),
				 0);
	}
	return t;
}

static void tale_free(struct tale *t)
{
	for (size_t i = 0; i < t->n; i++)
		event_fini(&t->e[i]);
	free(t->e);
	store_rows_free(&t->rows);
}

/** The i-th event of a kind, of a user (NULL: whoever). */
static const struct event *find(const struct tale *t, enum event_kind kind,
				const char *user, unsigned i)
{
	for (size_t k = 0; k < t->n; k++) {
		if (t->e[k].kind == kind &&
		    (!user || !strcmp(t->e[k].user, user)) && !i--)
			return &t->e[k];
	}
	fail_msg("there is no such %s of %s", event_kind_name(kind),
		 user ? user : "anybody");
	return NULL;
}

static size_t count(const struct tale *t, enum event_kind kind)
{
	size_t n = 0;

	for (size_t k = 0; k < t->n; k++)
		n += t->e[k].kind == kind;
	return n;
}

static void check_who(const struct event *e, const char *who)
{
	char got[80];

	snprintf(got, sizeof(got), "%s %s", e->client_ip, e->platform);
	assert_string_equal(got, who);
}

/** As talk, from this address of the machine. */
static struct speaker *talk_from(struct stage *st, uint16_t port,
				 const char *from)
{
	struct speaker *s = talk(st, port);
	struct addr a;

	assert_int_equal(addr_parse(from, &a), 0);
	assert_int_equal(bind(s->fd, &a.sa, a.len), 0);
	return s;
}

/** Join, and speak from this address. */
static struct answer join_from(struct stage *st, const char *room,
			       const char *user, const char *from)
{
	struct answer a;

	add(st, room, user, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
	talk_from(st, a.port, from);
	return a;
}

static void switch_mic(struct stage *st, uint64_t input, bool on)
{
	struct answer a = {0};

	rooms_input_set_mic(st->r, input, on, &mic_caller, on_input, &a);
	UNTIL(st, a.calls);
	assert_int_equal(a.err, 0);
}

/** One that is not finished, 0: all are. */
static uint64_t any_task(struct stage *st)
{
	struct store_rows rows =
		aid_read(&st->a, (struct store_filter){.what = READ_TASKS,
						       .state = -1,
						       .unfinished = true,
						       .limit = 1});
	const uint64_t task = rows.n ? rows.tasks[0].id : 0;

	store_rows_free(&rows);
	return task;
}

static size_t recording(struct stage *st, uint64_t task, const char *user)
{
	return segments_in(st, task, user, SEG_RECORDING);
}

static void gone(struct stage *st, uint64_t task)
{
	UNTIL(st, !is_there(st, task));
	check_truth(st, task);
}

/* ---- why it ended ---- */

static void check_end(struct stage *st, uint64_t task, int code,
		      const char *who)
{
	struct tale t;

	gone(st, task);
	t = tale_of(st, task);
	assert_int_equal(find(&t, EVENT_TASK_STOPPED, NULL, 0)->leave_code,
			 code);
	for (size_t k = 0; k < t.n; k++) {
		if (t.e[k].kind == EVENT_TASK_STOPPED ||
		    t.e[k].kind == EVENT_UPLOAD_STOPPED ||
		    t.e[k].kind == EVENT_FILES_READY)
			check_who(&t.e[k], who);
	}
	tale_free(&t);
}

static void a_stop_by_the_api_is_0_and_of_its_caller(void **state)
{
	struct stage *st = *state;
	struct tale t;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	finish(st, task);
	check_end(st, task, LEAVE_API, STOP_IP " RESTAPI");
	t = tale_of(st, task);
	check_who(find(&t, EVENT_TASK_STARTED, NULL, 0), START_IP " RESTAPI");
	check_who(find(&t, EVENT_COMPLETED, NULL, 0), STOP_IP " RESTAPI");
	check_who(find(&t, EVENT_UPLOADED, NULL, 0), STOP_IP " RESTAPI");
	check_who(find(&t, EVENT_UPLOAD_STARTED, NULL, 0), STOP_IP " RESTAPI");
	tale_free(&t);
}

static void a_stop_that_a_restart_carries_out_is_told_as_wanted(void **state)
{
	struct stage *st = *state;
	struct answer stopped;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	stop(st, task, &stopped);
	UNTIL(st, stopped.calls);
	assert_int_equal(task_of_store(st, task).state, TASK_STOPPING);
	end(st);
	begin(st);
	check_end(st, task, LEAVE_API, STOP_IP " RESTAPI");
}

static void the_last_who_leaves_ends_what_began_by_itself_with_99(void **state)
{
	struct stage *st = *state;
	struct answer alice;
	struct tale t;
	uint64_t task;

	st->app.recording.auto_mode = AUTO_BOTH;
	begin(st);
	alice = join_from(st, "room", "alice", "127.0.0.7");
	UNTIL(st, any_task(st));
	task = any_task(st);
	UNTIL(st, recording(st, task, NULL) == 2);
	leave_now(st, alice.id);
	check_end(st, task, LEAVE_IDLE, "127.0.0.7 Unknown");
	t = tale_of(st, task);
	/* before her first packet: whoever said that she comes */
	check_who(find(&t, EVENT_TASK_STARTED, NULL, 0), JOIN_IP " Unknown");
	for (unsigned i = 0; i < 2; i++)
		check_who(find(&t, EVENT_COMPLETED, i ? "0" : "alice", 0),
			  "127.0.0.7 Unknown");
	check_who(find(&t, EVENT_STARTED, "alice", 0), "127.0.0.7 Unknown");
	tale_free(&t);
}

static void a_source_is_the_user_before_the_first_packet(void **state)
{
	struct stage *st = *state;
	struct input_wish w = {.app = APP,
			       .room = "room",
			       .user = "alice",
			       .has_source = true,
			       .client_ip = JOIN_IP};
	struct answer a = {0};
	struct tale t;
	uint64_t task;

	st->app.recording.auto_mode = AUTO_SINGLE;
	begin(st);
	assert_int_equal(addr_parse("198.51.100.9:4000", &w.source), 0);
	rooms_input_add(st->r, &w, on_input, &a);
	UNTIL(st, a.calls && any_task(st));
	task = any_task(st);
	leave_now(st, a.id);
	check_end(st, task, LEAVE_IDLE, "198.51.100.9 Unknown");
	t = tale_of(st, task);
	check_who(find(&t, EVENT_TASK_STARTED, NULL, 0),
		  "198.51.100.9 Unknown");
	tale_free(&t);
}

static void an_empty_room_and_an_idle_one_end_with_99_by_nobody(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer alice, held, idle;

	begin(st);
	alice = join_from(st, "room", "alice", "127.0.0.7");
	w.max_idle_ms = 1;
	start_as(st, &w, &idle);
	UNTIL(st, idle.calls);
	w.mode = MODE_MIXED;
	w.max_idle_ms = 0;
	w.hold_empty_ms = 1;
	start_as(st, &w, &held);
	UNTIL(st, held.calls);
	UNTIL(st, recording(st, held.id, NULL) == 1);
	switch_mic(st, alice.id, false);
	check_end(st, idle.id, LEAVE_IDLE, NOBODY);
	leave_now(st, alice.id);
	check_end(st, held.id, LEAVE_IDLE, NOBODY);
}

static void a_failure_ends_it_with_3_by_nobody(void **state)
{
	struct stage *st = *state;
	struct answer stopped;
	struct tale t;
	uint64_t task;

	set_fault("file.write=EACCES:3");
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, task_of_store(st, task).state == TASK_FAILED);
	stop(st, task, &stopped); /* too late */
	UNTIL(st, stopped.calls);
	check_end(st, task, LEAVE_SERVER, NOBODY);
	t = tale_of(st, task);
	check_who(find(&t, EVENT_TASK_FAILED, NULL, 0), NOBODY);
	check_who(find(&t, EVENT_COMPLETED, NULL, 0), NOBODY);
	assert_int_equal(find(&t, EVENT_FILES_READY, NULL, 0)->status, 2);
	tale_free(&t);
}

static void an_idle_task_that_is_stopped_by_hand_as_well_keeps_99(void **state)
{
	struct stage *st = *state;
	struct answer alice, stopped;
	uint64_t task;

	st->app.recording.auto_mode = AUTO_SINGLE;
	begin(st);
	alice = join_from(st, "room", "alice", "127.0.0.7");
	UNTIL(st, any_task(st));
	task = any_task(st);
	UNTIL(st, recording(st, task, NULL) == 1);
	leave(st, alice.id, &alice);
	UNTIL(st, alice.calls);
	stop(st, task, &stopped);
	UNTIL(st, stopped.calls);
	check_end(st, task, LEAVE_IDLE, "127.0.0.7 Unknown");
}

/* ---- who has caused what ---- */

static void mics_and_lists_begin_and_end_files_of_who_switched_them(
	void **state)
{
	struct stage *st = *state;
	struct answer alice, bob;
	struct tale t;
	uint64_t task;

	st->app.recording.mic_off_after_us = 300 * 1000;
	begin(st);
	alice = join_from(st, "room", "alice", "127.0.0.7");
	bob = join_from(st, "room", "bob", "127.0.0.8");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 2);
	switch_mic(st, alice.id, false);
	UNTIL(st, !recording(st, task, "alice"));
	switch_mic(st, alice.id, true); /* she speaks: it is she who begins */
	UNTIL(st, recording(st, task, "alice") == 1);
	lists(st, task, false, "bob");
	UNTIL(st, !recording(st, task, "bob"));
	lists(st, task, false, NULL);
	UNTIL(st, recording(st, task, "bob") == 1);
	leave_now(st, bob.id);
	UNTIL(st, !recording(st, task, "bob"));
	st->paused = true; /* she is silent */
	UNTIL(st, !recording(st, task, "alice"));
	finish(st, task);
	check_truth(st, task);
	t = tale_of(st, task);
	check_who(find(&t, EVENT_COMPLETED, "alice", 0), MIC_IP " RESTAPI");
	check_who(find(&t, EVENT_STARTED, "alice", 1), "127.0.0.7 Unknown");
	check_who(find(&t, EVENT_COMPLETED, "alice", 1), "127.0.0.7 Unknown");
	check_who(find(&t, EVENT_UPLOADED, "alice", 1), "127.0.0.7 Unknown");
	check_who(find(&t, EVENT_COMPLETED, "bob", 0), LISTS_IP " RESTAPI");
	check_who(find(&t, EVENT_STARTED, "bob", 1), LISTS_IP " RESTAPI");
	check_who(find(&t, EVENT_COMPLETED, "bob", 1), "127.0.0.8 Unknown");
	tale_free(&t);
}

static void what_a_length_or_a_restart_cuts_is_cut_by_nobody(void **state)
{
	struct stage *st = *state;
	struct tale t;
	uint64_t task;

	st->app.recording.segment_us = CLOCK_US_PER_S;
	begin(st);
	join_from(st, "room", "alice", "127.0.0.7");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, NULL, SEG_CLOSED) >= 2);
	end(st);
	begin(st);
	UNTIL(st, recording(st, task, NULL) == 1);
	finish(st, task);
	check_truth(st, task);
	t = tale_of(st, task);
	check_who(find(&t, EVENT_COMPLETED, NULL, 0), NOBODY);
	check_who(find(&t, EVENT_STARTED, NULL, 1), NOBODY);
	for (unsigned i = 0; i + 1 < count(&t, EVENT_COMPLETED); i++)
		check_who(find(&t, EVENT_COMPLETED, NULL, i), NOBODY);
	tale_free(&t);
}

static void a_mix_is_begun_and_ended_by_the_first_and_the_last(void **state)
{
	struct stage *st = *state;
	struct task_wish w = wish_of("room");
	struct answer alice, bob, a;
	struct tale t;

	begin(st);
	alice = join_from(st, "room", "alice", "127.0.0.7");
	w.mode = MODE_MIXED;
	start_as(st, &w, &a);
	UNTIL(st, a.calls && recording(st, a.id, NULL) == 1);
	leave_now(st, alice.id);
	UNTIL(st, !recording(st, a.id, NULL));
	bob = join_from(st, "room", "bob", "127.0.0.8");
	UNTIL(st, recording(st, a.id, NULL) == 1);
	/* so that his first packets have come */
	UNTIL(st, segments_in(st, a.id, NULL, SEG_CLOSED) == 1);
	turn_for(st, 500 * 1000);
	leave_now(st, bob.id);
	UNTIL(st, !recording(st, a.id, NULL));
	finish(st, a.id);
	check_truth(st, a.id);
	t = tale_of(st, a.id);
	check_who(find(&t, EVENT_STARTED, "0", 0), START_IP " RESTAPI");
	check_who(find(&t, EVENT_COMPLETED, "0", 0), "127.0.0.7 Unknown");
	check_who(find(&t, EVENT_STARTED, "0", 1), JOIN_IP " Unknown");
	check_who(find(&t, EVENT_COMPLETED, "0", 1), "127.0.0.8 Unknown");
	tale_free(&t);
}

static bool has_v6(void)
{
	struct addr a;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && !addr_parse("[::1]:0", &a) &&
		   !bind(fd, &a.sa, a.len);

	if (fd >= 0)
		close(fd);
	return has;
}

static void a_user_of_ipv6_is_told_without_port_and_brackets(void **state)
{
	struct stage *st = *state;
	struct answer alice;
	struct tale t;
	uint64_t task;

	if (!has_v6())
		skip();
	assert_int_equal(addr_parse("[::1]:0", &st->config.media.bind), 0);
	st->app.recording.auto_mode = AUTO_SINGLE;
	begin(st);
	alice = join(st, "room", "alice");
	UNTIL(st, any_task(st));
	task = any_task(st);
	UNTIL(st, recording(st, task, NULL) == 1);
	leave_now(st, alice.id);
	check_end(st, task, LEAVE_IDLE, "::1 Unknown");
	t = tale_of(st, task);
	check_who(find(&t, EVENT_STARTED, NULL, 0), "::1 Unknown");
	tale_free(&t);
}

/* ---- what storage does not take ---- */

/** A file in the place of the storage: root may write everywhere. */
static void break_storage(struct stage *st)
{
	char aside[160];
	FILE *f;

	snprintf(aside, sizeof(aside), "%s.aside", st->storage);
	f = fopen(aside, "w");
	assert_non_null(f);
	fclose(f);
	/* At once: an attempt in between would make the folder again. */
	assert_int_equal(renameat2(AT_FDCWD, aside, AT_FDCWD, st->storage,
				   RENAME_EXCHANGE),
			 0);
}

static void mend_storage(struct stage *st)
{
	char aside[160];

	snprintf(aside, sizeof(aside), "%s.aside", st->storage);
	assert_int_equal(renameat2(AT_FDCWD, aside, AT_FDCWD, st->storage,
				   RENAME_EXCHANGE),
			 0);
	assert_int_equal(unlink(aside), 0);
}

static size_t events_in(struct stage *st, uint64_t task, enum event_kind kind)
{
	struct tale t = tale_of(st, task);
	size_t n = count(&t, kind);

	tale_free(&t);
	return n;
}

static size_t uploaded_in(struct stage *st, uint64_t task)
{
	struct store_rows rows = segments_of(st, task);
	size_t n = 0;

	for (size_t i = 0; i < rows.n; i++)
		n += rows.segments[i].uploaded_ms != 0;
	store_rows_free(&rows);
	return n;
}

/** Two files: one in storage, one that does not get there. */
static uint64_t leave_one(struct stage *st)
{
	struct answer alice;
	uint64_t task;

	st->config.left_after_us = 1;
	begin(st);
	alice = join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	switch_mic(st, alice.id, false);
	UNTIL(st, uploaded_in(st, task) == 1);
	break_storage(st);
	switch_mic(st, alice.id, true);
	UNTIL(st, recording(st, task, NULL) == 1);
	stop(st, task, &alice);
	UNTIL(st, events_in(st, task, EVENT_UPLOAD_STOPPED) == 1);
	return task;
}

static void check_left(struct stage *st, uint64_t task)
{
	struct truth truth;
	struct tale t;
	const struct event *one, *two;

	gone(st, task);
	truth = check_truth(st, task);
	assert_int_equal(truth.failing, 1);
	assert_true(truth.left);
	t = tale_of(st, task);
	one = find(&t, EVENT_UPLOAD_FAILING, "alice", 0);
	assert_string_equal(one->reason, "storage_error");
	assert_non_null(strstr(one->reason_text, "Not a directory"));
	one = find(&t, EVENT_UPLOAD_STOPPED, NULL, 0);
	two = find(&t, EVENT_UPLOAD_STOPPED, NULL, 1);
	assert_int_equal(one->status, 1);
	assert_int_equal(two->status, 2);
	check_who(two, STOP_IP " RESTAPI");
	one = find(&t, EVENT_FILES_READY, NULL, 0);
	two = find(&t, EVENT_FILES_READY, NULL, 1);
	assert_int_equal(one->status, 1);
	assert_int_equal(two->status, 0);
	assert_int_equal(one->n_files, 1);
	assert_int_equal(two->n_files, 1);
	assert_string_equal(one->files[0].name,
			    find(&t, EVENT_UPLOADED, NULL, 0)->file_name);
	assert_string_equal(two->files[0].name,
			    find(&t, EVENT_UPLOADED, NULL, 1)->file_name);
	assert_int_equal(count(&t, EVENT_UPLOAD_STOPPED), 2);
	assert_int_equal(count(&t, EVENT_FILES_READY), 2);
	tale_free(&t);
}

static void a_file_that_is_left_is_told_and_told_again_when_stored(void **state)
{
	struct stage *st = *state;
	int64_t failed;
	uint64_t task = leave_one(st);

	/* further attempts tell nothing more */
	failed = counter_get(COUNT_uploads_failed);
	UNTIL(st, counter_get(COUNT_uploads_failed) >= failed + 2);
	assert_int_equal(events_in(st, task, EVENT_UPLOAD_FAILING), 1);
	assert_int_equal(events_in(st, task, EVENT_UPLOAD_STOPPED), 1);
	mend_storage(st);
	check_left(st, task);
}

static void what_is_left_is_known_after_restarts(void **state)
{
	struct stage *st = *state;
	uint64_t task = leave_one(st);

	end(st);
	mend_storage(st); /* or the server does not start */
	set_fault("upload.link=EACCES");
	for (int i = 0; i < 2; i++) {
		int64_t failed = counter_get(COUNT_uploads_failed);

		begin(st);
		UNTIL(st, counter_get(COUNT_uploads_failed) >= failed + 2);
		/* long enough for a round of the keeper */
		turn_for(st, 1500 * 1000);
		assert_int_equal(events_in(st, task, EVENT_UPLOAD_FAILING), 1);
		assert_int_equal(events_in(st, task, EVENT_UPLOAD_STOPPED), 1);
		end(st);
	}
	set_fault(NULL);
	begin(st);
	check_left(st, task);
}

/** Commits fail, or are made and answered as if they had failed, while it is
 *  told that an upload fails and that a file is left. */
static void fail_meanwhile(struct stage *st, const char *faults)
{
	struct answer a;
	uint64_t task;

	st->deaf = true;
	st->config.left_after_us = 1;
	set_fault("upload.link=EACCES");
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	stop(st, task, &a);
	UNTIL(st, a.calls);
	end(st);
	set_fault(faults);
	begin(st);
	UNTIL(st, events_in(st, task, EVENT_UPLOAD_STOPPED) == 1 &&
			  events_in(st, task, EVENT_UPLOAD_FAILING) == 1);
	end(st);
	set_fault(NULL);
	begin(st);
	gone(st, task);
	assert_true(check_truth(st, task).left);
}

static void a_store_that_fails_meanwhile_leaves_no_hole_and_no_repeat(
	void **state)
{
	fail_meanwhile(*state, "upload.link=EACCES,store.commit=EIO:2-4,"
			       "store.committed=EIO:1-3");
}

static void nor_does_a_lack_of_memory_for_timers(void **state)
{
	fail_meanwhile(*state, "upload.link=EACCES,store.commit=EIO:2-4,"
			       "store.committed=EIO:1-3,rooms.timer=ENOMEM");
}

/** A confirmed upload is told, and its task ends, without any timer. */
static void without_timers_a_task_ends_all_the_same(void **state)
{
	struct stage *st = *state;
	struct answer a;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	end(st);
	set_fault("store.commit=EIO:4-8,rooms.timer=ENOMEM");
	begin(st);
	stop(st, task, &a);
	gone(st, task);
	end(st);
	set_fault(NULL);
	begin(st);
	(void)check_truth(st, task);
}

static void without_timers_a_file_begins_and_ends_all_the_same(void **state)
{
	struct stage *st = *state;
	struct answer a;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	/* the row, what is told of its begin, and of its end */
	set_fault("store.commit=EIO:1-4,rooms.timer=ENOMEM");
	UNTIL(st, recording(st, task, NULL) == 1);
	set_fault("store.commit=EIO:2-5,rooms.timer=ENOMEM");
	stop(st, task, &a);
	gone(st, task);
	set_fault(NULL);
	(void)check_truth(st, task);
}

static void an_upload_that_waits_its_turn_is_not_left(void **state)
{
	struct stage *st = *state;
	uint64_t task;
	struct answer a;

	st->config.left_after_us = PATIENCE_US;
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	break_storage(st);
	stop(st, task, &a);
	UNTIL(st, events_in(st, task, EVENT_UPLOAD_FAILING) == 1);
	turn_for(st, 1500 * 1000);
	assert_int_equal(events_in(st, task, EVENT_UPLOAD_STOPPED), 0);
	mend_storage(st);
	gone(st, task);
	assert_false(check_truth(st, task).left);
}

static void a_folder_that_is_named_from_here_is_told_from_the_root(void **state)
{
	struct stage *st = *state;
	uint64_t task;

	assert_int_equal(chdir(st->a.dir), 0);
	st->config.storage_dir = "./storage";
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, recording(st, task, NULL) == 1);
	finish(st, task);
	assert_int_equal(check_truth(st, task).closed, 1);
}

static const struct {
	const char *fault, *reason;
} faults[] = {
	{"upload.link=ENOSPC", "disk_full"},
	{"upload.link=EDQUOT", "disk_full"},
	{"upload.link=EACCES", "access_denied"},
	{"upload.link=EROFS", "access_denied"},
	{"upload.link=EIO", "storage_error"},
};

static void a_failing_upload_says_why_in_a_stable_word(void **state)
{
	struct stage *st = *state;

	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		struct answer a;
		struct tale t;
		uint64_t task;

		set_fault(faults[i].fault);
		begin(st);
		if (!i)
			join(st, "room", "alice");
		task = record(st, "room");
		UNTIL(st, recording(st, task, NULL) == 1);
		stop(st, task, &a);
		UNTIL(st, events_in(st, task, EVENT_UPLOAD_FAILING) == 1);
		t = tale_of(st, task);
		assert_string_equal(
			find(&t, EVENT_UPLOAD_FAILING, NULL, 0)->reason,
			faults[i].reason);
		tale_free(&t);
		end(st);
		set_fault(NULL);
		begin(st);
		gone(st, task);
		end(st);
	}
	begin(st);
}

/* ---- a long story ---- */

enum { USERS = 3, STEPS = 150 };

/** What a random story is about. */
struct story {
	uint32_t dice;
	uint64_t inputs[USERS]; /* 0: not there */
	struct speaker *speakers[USERS];
	bool is_broken;
	unsigned restarts;
};

static uint32_t roll(struct story *s, uint32_t n)
{
	s->dice ^= s->dice << 13;
	s->dice ^= s->dice >> 17;
	s->dice ^= s->dice << 5;
	return s->dice % n;
}

static void come_or_go(struct stage *st, struct story *s)
{
	static const char *const users[USERS] = {"alice", "bob", "carol"};
	static const char *const from[USERS] = {"127.0.0.7", "127.0.0.8",
						"127.0.0.9"};
	const uint32_t i = roll(s, USERS);

	struct answer a;

	if (s->inputs[i])
		leave(st, s->inputs[i], &a);
	else
		add(st, "room", users[i], &a);
	UNTIL(st, a.calls);
	if (a.err) /* it could not be stored */
		return;
	if (s->inputs[i]) {
		s->inputs[i] = 0;
		hush(s->speakers[i]);
		return;
	}
	s->inputs[i] = a.id;
	s->speakers[i] = talk_from(st, a.port, from[i]);
}

static void start_some(struct stage *st, struct story *s)
{
	struct task_wish w = wish_of("room");
	struct answer a;

	w.mode = (enum record_mode)roll(s, 3);
	start_as(st, &w, &a);
	UNTIL(st, a.calls); /* or there is one like it, or nobody */
}

static void step(struct stage *st, struct story *s)
{
	const uint32_t who = roll(s, USERS);
	const uint64_t task = any_task(st);
	char fault[64];
	struct answer a;

	switch (roll(s, 12)) {
	case 0:
	case 1:
		come_or_go(st, s);
		break;
	case 2:
	case 3:
		start_some(st, s);
		break;
	case 4:
		if (task)
			stop(st, task, &a);
		UNTIL(st, !task || a.calls);
		break;
	case 5:
	case 6:
		a = (struct answer){.calls = !s->inputs[who]};
		if (s->inputs[who])
			rooms_input_set_mic(st->r, s->inputs[who], roll(s, 2),
					    &mic_caller, on_input, &a);
		UNTIL(st, a.calls);
		break;
	case 7:
		st->paused = !st->paused;
		break;
	case 8:
		if (s->is_broken)
			mend_storage(st);
		else
			break_storage(st);
		s->is_broken = !s->is_broken;
		break;
	case 9:
		if (s->is_broken)
			mend_storage(st);
		s->is_broken = false;
		end(st);
		/* now and then commits fail for a while */
		snprintf(fault, sizeof(fault), "store.commit=EIO:%u-%u",
			 5 + s->restarts, 6 + 2 * s->restarts);
		set_fault(s->restarts++ % 3 ? fault : NULL);
		begin(st);
		break;
	default:
		turn_for(st, (int64_t)(roll(s, 300)) * 1000);
	}
}

static void tell_story(struct stage *st, uint32_t dice)
{
	struct story s = {.dice = dice};
	struct store_rows tasks;
	size_t files = 0, failing = 0;

	st->config.left_after_us = 1;
	st->app.recording.segment_us = 700 * 1000;
	st->app.recording.mic_off_after_us = 300 * 1000;
	st->app.recording.input_lost_after_us = 400 * 1000;
	st->app.recording.no_audio_after_us = CLOCK_US_PER_S;
	begin(st);
	for (int i = 0; i < STEPS; i++)
		step(st, &s);
	if (s.is_broken)
		mend_storage(st);
	end(st);
	set_fault(NULL);
	begin(st);
	for (uint64_t task = any_task(st); task; task = any_task(st)) {
		finish(st, task);
	}
	tasks = aid_read(&st->a, (struct store_filter){.what = READ_TASKS,
						       .state = -1,
						       .limit = 1000});
	assert_true(tasks.n > 0);
	for (size_t i = 0; i < tasks.n; i++) {
		struct truth truth = check_truth(st, tasks.tasks[i].id);

		files += truth.closed;
		failing += truth.failing;
	}
	store_rows_free(&tasks);
	print_message("%zu files, %zu of which failed to be stored at first\n",
		      files, failing);
}

#define STORY(name, dice)                 \
	static void name(void **state)    \
	{                                 \
		tell_story(*state, dice); \
	}

STORY(a_long_story_is_told_in_order_without_holes, 7)
STORY(another_story_is_told_in_order_without_holes, 4711)
STORY(a_third_story_is_told_in_order_without_holes, 31337)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_stop_by_the_api_is_0_and_of_its_caller),
		STAGE_TEST(a_stop_that_a_restart_carries_out_is_told_as_wanted),
		STAGE_TEST(
			the_last_who_leaves_ends_what_began_by_itself_with_99),
		STAGE_TEST(a_source_is_the_user_before_the_first_packet),
		STAGE_TEST(an_empty_room_and_an_idle_one_end_with_99_by_nobody),
		STAGE_TEST(a_failure_ends_it_with_3_by_nobody),
		STAGE_TEST(
			an_idle_task_that_is_stopped_by_hand_as_well_keeps_99),
		STAGE_TEST(
			mics_and_lists_begin_and_end_files_of_who_switched_them),
		STAGE_TEST(what_a_length_or_a_restart_cuts_is_cut_by_nobody),
		STAGE_TEST(a_mix_is_begun_and_ended_by_the_first_and_the_last),
		STAGE_TEST(a_user_of_ipv6_is_told_without_port_and_brackets),
		STAGE_TEST(
			a_file_that_is_left_is_told_and_told_again_when_stored),
		STAGE_TEST(what_is_left_is_known_after_restarts),
		STAGE_TEST(
			a_store_that_fails_meanwhile_leaves_no_hole_and_no_repeat),
		STAGE_TEST(nor_does_a_lack_of_memory_for_timers),
		STAGE_TEST(without_timers_a_task_ends_all_the_same),
		STAGE_TEST(without_timers_a_file_begins_and_ends_all_the_same),
		STAGE_TEST(an_upload_that_waits_its_turn_is_not_left),
		STAGE_TEST(
			a_folder_that_is_named_from_here_is_told_from_the_root),
		STAGE_TEST(a_failing_upload_says_why_in_a_stable_word),
		STAGE_TEST(a_long_story_is_told_in_order_without_holes),
		STAGE_TEST(another_story_is_told_in_order_without_holes),
		STAGE_TEST(a_third_story_is_told_in_order_without_holes),
	};

	return RUN_STAGES(tests);
}
