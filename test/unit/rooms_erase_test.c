/** test/unit/rooms_erase_test.c -- recordings that must go. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rooms/private.h"
#include "rooms_aid.h"

static struct erase_result erase(struct stage *st, uint64_t task, uint32_t app,
				 const char *room, const char *user)
{
	const struct erase_wish w = {.task = task,
				     .app = app,
				     .room = room,
				     .user = user,
				     .client_ip = "127.0.0.1"};

	return erase_as(st, &w);
}

static size_t events_of(struct stage *st, uint64_t task)
{
	return aid_count(&st->a, (struct store_filter){.what = READ_EVENTS,
						       .task = task,
						       .state = -1,
						       .limit = 1000});
}

static size_t deliveries_of(struct stage *st, uint64_t task, int state)
{
	return aid_count(&st->a, (struct store_filter){.what = READ_DELIVERIES,
						       .task = task,
						       .state = state,
						       .limit = 1000});
}

static void a_task_goes_as_a_whole(void **state)
{
	struct stage *st = *state;
	struct erase_result r;
	uint64_t task, other;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_two(st, "room");
	other = record_two(st, "room");
	assert_true(events_of(st, task) > 5);
	r = erase(st, task, 0, NULL, NULL);
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 2);
	assert_true(r.bytes > 0);
	assert_false(r.more);
	assert_int_equal(segments_in(st, task, NULL, -1), 0);
	/* started, stopped, upload_started, upload_stopped stay */
	assert_int_equal(events_of(st, task), 4);
	check_totals(st);
	check_truth(st, other); /* files, manifests, events */
	assert_int_equal(files_below(st, "storage"), 4);
	check_empty(st);

	r = erase(st, task, 0, NULL, NULL); /* nothing is left */
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 0);
	r = erase(st, other, 0, NULL, NULL);
	assert_int_equal(r.erased, 2);
	assert_int_equal(files_below(st, "storage"), 0);
	assert_false(file_is_there(tempdir_path(
		st->storage, "1400000000_room_alice"))); /* nor a folder */
	assert_int_equal(erase(st, 77, 0, NULL, NULL).err.code, ENOENT);
}

/** It has names in it, too. */
static void put_warning(struct stage *st, uint64_t task)
{
	static const char facts[] =
		"{\"kind\":\"input_lost\",\"user\":\"alice\"}";
	struct event_row e = aid_event(&st->a, task, 1000, "w");
	struct store_write *w = aid_write();

	str_copy(e.kind, sizeof(e.kind), "input_lost");
	e.facts = facts;
	e.facts_len = sizeof(facts) - 1;
	store_put_event(w, &e, NULL, 0);
	aid_commit(&st->a, w, 0);
}

static void a_user_goes_and_the_others_stay(void **state)
{
	struct stage *st = *state;
	size_t events;
	struct erase_result r;
	struct store_rows rows;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	join(st, "den", "alice");
	join(st, "den", "bob");
	task = record_two(st, "room");
	record_two(st, "den");
	/* narrowed: in this room only */
	r = erase(st, 0, APP, "den", "alice");
	assert_int_equal(r.erased, 1);
	assert_int_equal(segments_in(st, task, "alice", -1), 1);
	events = events_of(st, task);
	put_warning(st, task);
	r = erase(st, 0, APP, NULL, "alice");
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 1);
	/* started, completed, uploaded; files_ready; the warning */
	assert_int_equal(events_of(st, task), events - 4);
	assert_int_equal(segments_in(st, task, "alice", -1), 0);
	rows = segments_of(st, task);
	assert_int_equal(rows.n, 1);
	assert_string_equal(rows.segments[0].user, "bob");
	check_file(st, &rows.segments[0]);
	check_manifest(st, task, &rows); /* without alice */
	store_rows_free(&rows);
	assert_int_equal(files_below(st, "storage"), 4);
	check_totals(st);
	r = erase(st, 0, APP, "room", NULL);
	assert_int_equal(r.erased, 1);
	r = erase(st, 0, APP + 1, NULL, "bob");
	assert_int_equal(r.erased, 0);
	assert_int_equal(files_below(st, "storage"), 2);
}

static void what_is_not_finished_is_refused(void **state)
{
	struct stage *st = *state;
	struct erase_result r;
	char id[32];
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	snprintf(id, sizeof(id), "%" PRIu64, task);
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	r = erase(st, task, 0, NULL, NULL);
	assert_int_equal(r.err.code, EBUSY);
	assert_non_null(strstr(r.err.text, id));
	assert_non_null(strstr(r.err.text, "stop it first"));
	assert_int_equal(erase(st, 0, APP, "room", NULL).err.code, EBUSY);
	assert_int_equal(erase(st, 0, APP, NULL, "alice").err.code, EBUSY);
	r = erase(st, 0, APP, NULL, "bob"); /* is not in it */
	assert_int_equal(r.err.code, 0);
	assert_int_equal(r.erased, 0);
	finish(st, task);
	check_truth(st, task);
	assert_int_equal(erase(st, 0, APP, NULL, "alice").erased, 1);
	check_empty(st);
}

static void what_is_still_to_be_told_is_told(void **state)
{
	struct stage *st = *state;
	uint64_t task;
	size_t pending;

	begin(st);
	join(st, "room", "alice");
	notify_pause(st->n);
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	finish(st, task);
	pending = deliveries_of(st, task, DELIVERY_PENDING);
	assert_true(pending >= 3);
	assert_int_equal(erase(st, task, 0, NULL, NULL).erased, 1);
	assert_int_equal(deliveries_of(st, task, DELIVERY_PENDING), pending);
	end(st);
	begin(st);
	UNTIL(st, deliveries_of(st, task, DELIVERY_PENDING) == 0);
	check_totals(st);
	assert_int_equal(deliveries_of(st, task, DELIVERY_DELIVERED), pending);
	/* then it can go as well */
	assert_int_equal(erase(st, task, 0, NULL, NULL).erased, 0);
	assert_int_equal(deliveries_of(st, task, -1), 0);
	check_totals(st);
}

static void what_cannot_be_removed_keeps_its_row_until_it_can(void **state)
{
	struct stage *st = *state;
	struct erase_result r;
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_two(st, "room");
	end(st);
	set_fault("upload.erase=EACCES:2");
	begin(st);
	r = erase(st, task, 0, NULL, NULL);
	assert_int_equal(r.err.code, EACCES);
	assert_int_equal(segments_in(st, task, NULL, SEG_ERASING), 2);
	end(st);
	set_fault("upload.erase=EACCES");
	begin(st); /* comes up all the same */
	assert_int_equal(segments_in(st, task, NULL, SEG_ERASING), 2);
	end(st);
	set_fault(NULL);
	begin(st);
	UNTIL(st, segments_in(st, task, NULL, -1) == 0);
	assert_int_equal(files_below(st, "storage"), 0);
	check_empty(st);
}

static void a_manifest_is_tried_until_it_is_there(void **state)
{
	struct stage *st = *state;
	uint64_t task;
	struct answer a;

	set_fault("upload.text=ENOSPC:1-1");
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	stop(st, task, &a);
	UNTIL(st, a.calls);
	UNTIL(st, !is_there(st, task));
	check_truth(st, task);
	end(st);
}

static void a_stop_does_not_wait_for_a_manifest(void **state)
{
	struct stage *st = *state;
	uint64_t task;
	struct answer a;

	set_fault("upload.text=ENOSPC");
	begin(st);
	join(st, "room", "alice");
	task = record(st, "room");
	UNTIL(st, segments_in(st, task, "alice", SEG_RECORDING) == 1);
	stop(st, task, &a);
	UNTIL(st, a.calls);
	end(st);
	set_fault(NULL);
	begin(st);
	UNTIL(st, !is_there(st, task));
	check_truth(st, task);
}

enum { MANY = 7000, MANY_PER_WRITE = 500 };

/** A task that has stopped, with files that are stored (by their rows). */
static void put_many(struct stage *st)
{
	struct task_row t = aid_task(640);
	struct store_write *w = aid_write();
	char user[ID_MAX + 1];

	memset(user, 'u', ID_MAX);
	user[ID_MAX] = 0;
	t.state = TASK_STOPPED;
	t.stopped_ms = 2000;
	str_copy(t.room, sizeof(t.room), "room");
	t.subscribe = (char *)(uintptr_t) "";
	store_put_task(w, &t);
	for (unsigned i = 0; i < MANY; i++) {
		struct segment_row s = aid_segment(&st->a, t.id, user, i);

		str_copy(s.room, sizeof(s.room), "room");
		memset(s.sha256, 'a', 64);
		snprintf(s.file_name, sizeof(s.file_name), "%s/%0200u.mp3",
			 user, i);
		store_put_segment(w, &s);
		s.state = SEG_CLOSED;
		s.size = 10;
		s.closed_ms = 6000;
		s.uploaded_ms = 7000;
		store_set_segment(w, &s);
		if (i % MANY_PER_WRITE == MANY_PER_WRITE - 1) {
			aid_commit(&st->a, w, 0);
			w = aid_write();
		}
	}
	aid_commit(&st->a, w, 0);
}

static void a_long_task_has_a_manifest_and_is_erased_in_parts(void **state)
{
	struct stage *st = *state;
	struct erase_result r = {.more = true};
	char path[1024], user[ID_MAX + 1];
	uint64_t erased = 0;
	struct stat size;

	memset(user, 'u', ID_MAX);
	user[ID_MAX] = 0;
	st->deaf = true;
	aid_open(&st->a);
	put_many(st);
	store_close(st->a.s);
	begin(st);
	UNTIL(st, !is_there(st, 640));
	assert_true(task_of_store(st, 640).finished_ms > 0);
	snprintf(path, sizeof(path),
		 "%s/%s/1970-01-01-08-00-01_640_manifest.json", st->storage,
		 user);
	assert_int_equal(stat(path, &size), 0);
	assert_true(size.st_size > 4 << 20);
	for (unsigned calls = 0; r.more; calls++) {
		assert_true(calls < 2 * MANY);
		r = erase(st, 640, 0, NULL, NULL);
		assert_int_equal(r.err.code, 0);
		assert_int_equal(r.bytes, 10 * r.erased);
		assert_true(r.erased > 0 && r.erased <= 1000);
		erased += r.erased;
	}
	assert_int_equal(erased, MANY);
	assert_int_equal(segments_in(st, 640, NULL, -1), 0);
	assert_int_equal(files_below(st, "storage"), 0);
}

static void a_stop_in_the_middle_is_gone_on_with(void **state)
{
	const struct erase_wish w = {.app = APP, .room = "room"};
	struct stage *st = *state;
	struct erased e = {0};
	uint64_t task;

	begin(st);
	join(st, "room", "alice");
	join(st, "room", "bob");
	task = record_two(st, "room");
	rooms_erase(st->r, &w, on_erased, &e);
	end(st); /* waits for it, whether it was done or given up */
	assert_int_equal(e.calls, 1);
	begin(st);
	if (!e.r.err.code)
		assert_int_equal(e.r.erased, 2);
	else
		assert_int_equal(e.r.err.code, ECANCELED);
	UNTIL(st, segments_in(st, task, NULL, SEG_ERASING) == 0);
	assert_int_equal(erase(st, 0, APP, "room", NULL).err.code, 0);
	assert_int_equal(files_below(st, "storage"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_task_goes_as_a_whole),
		STAGE_TEST(a_user_goes_and_the_others_stay),
		STAGE_TEST(what_is_not_finished_is_refused),
		STAGE_TEST(what_is_still_to_be_told_is_told),
		STAGE_TEST(what_cannot_be_removed_keeps_its_row_until_it_can),
		STAGE_TEST(a_manifest_is_tried_until_it_is_there),
		STAGE_TEST(a_long_task_has_a_manifest_and_is_erased_in_parts),
		STAGE_TEST(a_stop_in_the_middle_is_gone_on_with),
		STAGE_TEST(a_stop_does_not_wait_for_a_manifest),
	};

	return RUN_STAGES(tests);
}
