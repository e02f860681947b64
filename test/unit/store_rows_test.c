/** test/unit/store_rows_test.c -- each operation, and reading it back. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/io.h"
#include "store_aid.h"

#define FILTER(...) ((struct store_filter){.state = -1, __VA_ARGS__})

static void names_of_states_come_back(void **state)
{
	enum task_state t;
	enum delivery_state d;

	(void)state;
	for (int i = 0; i < TASK_STATE_N; i++) {
		assert_true(task_state_parse(
			task_state_name((enum task_state)i), &t));
		assert_int_equal(t, i);
	}
	for (int i = 0; i < DELIVERY_STATE_N; i++) {
		assert_true(delivery_state_parse(
			delivery_state_name((enum delivery_state)i), &d));
		assert_int_equal(d, i);
	}
	assert_false(task_state_parse("opening", &t));
	assert_false(delivery_state_parse("", &d));
	assert_string_equal(segment_state_name(SEG_LOST), "lost");
}

static void a_task_is_put_set_and_read(void **state)
{
	struct aid *a = *state;
	struct task_row t = aid_task(64);
	struct store_write *w = aid_write();
	struct store_rows rows;

	t.format = FORMAT_OGG;
	t.sample_rate = 24000;
	t.max_idle_ms = 30000;
	t.hold_empty_ms = 60000;
	t.segment_ms = 61000;
	t.expires_ms = 62000;
	str_copy(t.recorder, sizeof(t.recorder), "robot");
	t.is_auto = true;
	t.subscribe = (char[]){"{\"subscribe\":[\"alice\"]}"};
	store_put_task(w, &t);
	aid_commit(a, w, 0);
	t.state = TASK_FAILED;
	t.leave_code = LEAVE_SERVER;
	t.stopped_ms = 8;
	t.finished_ms = 9;
	t.mode = MODE_BOTH;
	t.is_paused = true;
	t.subscribe = NULL;
	str_copy(t.reason, sizeof(t.reason), "disk_full");
	str_copy(t.reason_text, sizeof(t.reason_text), "The disk is full.");
	w = aid_write();
	store_set_task(w, &t);
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_TASKS, .id = 64));
	assert_int_equal(rows.n, 1);
	assert_false(rows.more);
	assert_int_equal(rows.tasks[0].app, 1400000000);
	assert_string_equal(rows.tasks[0].room, t.room);
	assert_int_equal(rows.tasks[0].mode, MODE_BOTH);
	assert_int_equal(rows.tasks[0].state, TASK_FAILED);
	assert_string_equal(rows.tasks[0].reason, "disk_full");
	assert_string_equal(rows.tasks[0].reason_text, "The disk is full.");
	assert_string_equal(rows.tasks[0].subscribe,
			    "{\"subscribe\":[\"alice\"]}");
	assert_int_equal(rows.tasks[0].created_ms, 1064);
	assert_int_equal(rows.tasks[0].stopped_ms, 8);
	assert_int_equal(rows.tasks[0].finished_ms, 9);
	assert_int_equal(rows.tasks[0].leave_code, LEAVE_SERVER);
	assert_string_equal(rows.tasks[0].client_ip, "127.0.0.1");
	assert_string_equal(rows.tasks[0].platform, "RESTAPI");
	assert_int_equal(rows.tasks[0].format, FORMAT_OGG);
	assert_int_equal(rows.tasks[0].sample_rate, 24000);
	assert_int_equal(rows.tasks[0].max_idle_ms, 30000);
	assert_int_equal(rows.tasks[0].hold_empty_ms, 60000);
	assert_int_equal(rows.tasks[0].segment_ms, 61000);
	assert_int_equal(rows.tasks[0].expires_ms, 62000);
	assert_string_equal(rows.tasks[0].recorder, "robot");
	assert_true(rows.tasks[0].is_auto);
	assert_true(rows.tasks[0].is_paused);
	assert_int_equal(rows.tasks[0].next_seq, 0);
	store_rows_free(&rows);
	w = aid_write();
	store_put_task(w, &t);
	aid_commit(a, w, EEXIST);
	t.id = 128;
	w = aid_write();
	store_set_task(w, &t);
	aid_commit(a, w, ENOENT);
}

static void tasks_are_filtered(void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();

	for (uint64_t i = 1; i <= 9; i++) {
		struct task_row t = aid_task(i);

		t.state = i % 2 ? TASK_RUNNING : TASK_STOPPED;
		t.finished_ms = i == 4 ? 1 : 0;
		store_put_task(w, &t);
	}
	aid_commit(a, w, 0);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_TASKS, .room = "room1")), 3);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_TASKS, .room = "room9")), 0);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_TASKS, .unfinished = true)),
		8);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS, .app = 1)), 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS,
					     .from_ms = 1003, .to_ms = 1005)),
			 2);
	assert_int_equal(
		aid_count(a, (struct store_filter){.what = READ_TASKS,
						   .state = TASK_RUNNING}),
		5);
	assert_int_equal(
		aid_count(a, (struct store_filter){.what = READ_TASKS,
						   .state = TASK_STOPPED}),
		4);
}

static void close_segment(struct aid *a, struct segment_row *s)
{
	struct store_write *w = aid_write();

	store_put_segment(w, s);
	s->state = SEG_CLOSED;
	store_set_segment(w, s);
	aid_commit(a, w, 0);
}

static size_t count_text(struct aid *a, const char *text)
{
	return aid_count(a, FILTER(.what = READ_TASKS, .text = text));
}

static void tasks_are_found_by_user_and_text(void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();
	struct segment_row s[] = {
		aid_segment(a, 64, "alice", 0), aid_segment(a, 64, "alice", 1),
		aid_segment(a, 65, "bob", 0), aid_segment(a, 66, "0", 0),
		aid_segment(a, 66, "al%", 0)};

	s[3].mode = MODE_MIXED;
	for (uint64_t id = 64; id < 68; id++) {
		struct task_row t = aid_task(id); /* room1 room2 room0 room1 */

		store_put_task(w, &t);
	}
	aid_commit(a, w, 0);
	for (size_t i = 0; i < ARRAY_LEN(s); i++)
		close_segment(a, &s[i]);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_TASKS, .user = "alice")), 1);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS, .user = "0")),
			 1);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_TASKS, .user = "ali")), 0);
	assert_int_equal(count_text(a, "room"), 4);
	assert_int_equal(count_text(a, "room1"), 2);
	assert_int_equal(count_text(a, "oom"), 0);
	assert_int_equal(count_text(a, "al"), 2);
	assert_int_equal(count_text(a, "alice"), 1);
	assert_int_equal(count_text(a, "al%"), 1); /* no pattern */
	assert_int_equal(count_text(a, "0"), 0);   /* not every mix */
	assert_int_equal(count_text(a, "65"), 1);
	assert_int_equal(count_text(a, "\xf4\x8f\xbf\xbf"), 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS, .text = "al",
					     .user = "bob")),
			 0);
}

static void put_wave(struct aid *a, uint64_t segment, const char *peaks)
{
	struct wave_row v = {.segment = segment, .bucket_frames = 4800};
	struct store_write *w = aid_write();
	char text[16];

	str_copy(text, sizeof(text), peaks);
	v.peaks = text;
	store_put_wave(w, &v);
	aid_commit(a, w, 0);
}

static void a_wave_goes_with_its_segment(void **state)
{
	struct aid *a = *state;
	struct segment_row s = aid_segment(a, 64, "alice", 0);
	struct segment_row open = aid_segment(a, 64, "bob", 0);
	struct store_write *w = aid_write();
	struct store_rows rows;

	store_put_segment(w, &open);
	aid_commit(a, w, 0);
	close_segment(a, &s);
	put_wave(a, s.id, "AAAA");
	put_wave(a, s.id, "BBBB");
	put_wave(a, open.id, "CCCC"); /* not closed */
	put_wave(a, 999, "DDDD");     /* there is none */
	rows = aid_read(a, FILTER(.what = READ_WAVES));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.waves[0].segment, s.id);
	assert_int_equal(rows.waves[0].bucket_frames, 4800);
	assert_string_equal(rows.waves[0].peaks, "BBBB");
	store_rows_free(&rows);
	s.state = SEG_ERASING;
	w = aid_write();
	store_set_segment(w, &s);
	store_erase_segment(w, s.id);
	aid_commit(a, w, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_WAVES)), 0);
}

static void a_segment_goes_through_its_states(void **state)
{
	struct aid *a = *state;
	struct segment_row s = aid_segment(a, 64, "alice", 0);
	struct store_write *w = aid_write();
	struct store_rows rows;

	store_put_segment(w, &s);
	s.state = SEG_RECORDING;
	store_set_segment(w, &s);
	aid_commit(a, w, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS,
					     .not_uploaded = true)),
			 0);
	s.state = SEG_CLOSED;
	s.start_ms = 6000;
	s.frames = 48000;
	s.size = 8000;
	s.closed_ms = 7;
	memset(s.sha256, 'a', 64);
	w = aid_write();
	store_set_segment(w, &s);
	aid_commit(a, w, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS,
					     .not_uploaded = true)),
			 1);
	rows = aid_read(
		a, FILTER(.what = READ_SEGMENTS, .task = 64, .user = "alice"));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.segments[0].id, s.id);
	assert_int_equal(rows.segments[0].state, SEG_CLOSED);
	assert_int_equal(rows.segments[0].frames, 48000);
	assert_int_equal(rows.segments[0].size, 8000);
	assert_int_equal(rows.segments[0].start_ms, 6000);
	assert_string_equal(rows.segments[0].sha256, s.sha256);
	assert_string_equal(rows.segments[0].file_name, "64/alice/0.mp3");
	store_rows_free(&rows);
	s.uploaded_ms = 9;
	w = aid_write();
	store_set_segment(w, &s);
	aid_commit(a, w, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS,
					     .not_uploaded = true)),
			 0);
	w = aid_write();
	store_delete_segment(w, s.id);
	aid_commit(a, w, ENOENT);
}

static void a_seq_no_is_never_used_again(void **state)
{
	struct aid *a = *state;
	struct segment_row s = aid_segment(a, 64, "alice", 0);
	struct store_write *w = aid_write();
	uint32_t next = 7;
	int64_t start_ms = 7;

	assert_int_equal(store_read_track(a->s, 64, "alice", MODE_SINGLE, &next,
					  &start_ms),
			 0);
	assert_int_equal(next, 0);
	assert_true(start_ms == INT64_MIN);
	store_put_segment(w, &s);
	aid_commit(a, w, 0);
	w = aid_write();
	store_delete_segment(w, s.id);
	aid_commit(a, w, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS)), 0);
	aid_again(a);
	assert_int_equal(store_read_track(a->s, 64, "alice", MODE_SINGLE, &next,
					  &start_ms),
			 0);
	assert_int_equal(next, 1);
	assert_int_equal(start_ms, 5000);
	/* The number that the deleted one had. */
	s.id = store_next_id(a->s, IDS_SEGMENT);
	w = aid_write();
	store_put_segment(w, &s);
	aid_commit(a, w, EEXIST);
	/* The mix has numbers of its own. */
	s.mode = MODE_MIXED;
	w = aid_write();
	store_put_segment(w, &s);
	aid_commit(a, w, 0);
}

static void a_file_name_belongs_to_one_segment(void **state)
{
	struct aid *a = *state;
	struct segment_row s = aid_segment(a, 64, "alice", 0);
	struct segment_row other = aid_segment(a, 65, "bob", 0);
	struct store_write *w = aid_write();

	str_copy(other.file_name, sizeof(other.file_name), s.file_name);
	store_put_segment(w, &s);
	store_put_segment(w, &other);
	aid_commit(a, w, EEXIST);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS)), 0);
}

static void an_input_is_put_and_deleted(void **state)
{
	struct aid *a = *state;
	struct input_row i = {.id = store_next_id(a->s, IDS_INPUT),
			      .app = 1,
			      .room = "r",
			      .user = "u",
			      .kind = "rtp",
			      .port = 41000,
			      .source = "10.0.0.1",
			      .created_ms = 3,
			      .opus_pt = 111,
			      .red_pt = 110,
			      .audio_level_ext = 14};
	struct store_write *w = aid_write();
	struct store_rows rows;

	store_put_input(w, &i);
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_INPUTS, .user = "u"));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.inputs[0].port, 41000);
	assert_string_equal(rows.inputs[0].kind, "rtp");
	assert_string_equal(rows.inputs[0].source, "10.0.0.1");
	assert_int_equal(rows.inputs[0].created_ms, 3);
	assert_int_equal(rows.inputs[0].opus_pt, 111);
	assert_int_equal(rows.inputs[0].red_pt, 110);
	assert_int_equal(rows.inputs[0].audio_level_ext, 14);
	assert_false(rows.inputs[0].mic_disabled);
	store_rows_free(&rows);
	i.mic_disabled = true;
	w = aid_write();
	store_set_input(w, &i);
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_INPUTS, .user = "u"));
	assert_true(rows.inputs[0].mic_disabled);
	assert_int_equal(rows.inputs[0].port, 41000);
	store_rows_free(&rows);
	for (int n = 0; n < 2; n++) {
		w = aid_write();
		store_delete_input(w, i.id);
		aid_commit(a, w, 0);
	}
	assert_int_equal(aid_count(a, FILTER(.what = READ_INPUTS)), 0);
}

static void an_event_and_its_deliveries_come_together(void **state)
{
	struct aid *a = *state;
	struct event_row e = aid_event(a, 64, 5, "64/alice/0/started");
	struct delivery_row d[2] = {aid_delivery(a, 64, 7),
				    aid_delivery(a, 64, UINT64_MAX / 2)};
	struct task_row t = aid_task(64);
	struct store_write *w = aid_write();
	struct store_rows rows;

	store_put_task(w, &t);
	store_put_event(w, &e, d, 2);
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_EVENTS, .task = 64));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.events[0].task_seq, 5);
	assert_int_equal(rows.events[0].facts_len, 7);
	assert_string_equal(rows.events[0].facts, "{\"x\":1}");
	assert_string_equal(rows.events[0].once, "64/alice/0/started");
	store_rows_free(&rows);
	rows = aid_read(
		a, FILTER(.what = READ_DELIVERIES, .endpoint = UINT64_MAX / 2));
	assert_int_equal(rows.n, 1);
	assert_int_equal(rows.deliveries[0].id, d[1].id);
	assert_int_equal(rows.deliveries[0].event, e.id);
	assert_int_equal(rows.deliveries[0].state, DELIVERY_PENDING);
	assert_string_equal(rows.deliveries[0].event_kind, "started");
	assert_int_equal(rows.deliveries[0].task_seq, 5);
	assert_int_equal(rows.deliveries[0].event_ms, e.unix_ms);
	store_rows_free(&rows);
	rows = aid_read(a, FILTER(.what = READ_TASKS, .id = 64));
	assert_int_equal(rows.tasks[0].next_seq, 6);
	store_rows_free(&rows);
}

static void an_event_happens_once(void **state)
{
	struct aid *a = *state;
	struct event_row e = aid_event(a, 64, 0, "key");
	struct delivery_row d = aid_delivery(a, 64, 7);
	struct task_row t = aid_task(64);
	struct store_write *w = aid_write();
	struct store_totals totals;
	struct store_result r;

	store_put_event(w, &e, &d, 1);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.repeated, 0);
	e = aid_event(a, 64, 1, "key");
	d = aid_delivery(a, 64, 7);
	w = aid_write();
	store_put_event(w, &e, &d, 1);
	store_put_task(w, &t);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.repeated, 1);
	assert_int_equal(aid_count(a, FILTER(.what = READ_EVENTS)), 1);
	assert_int_equal(aid_count(a, FILTER(.what = READ_DELIVERIES)), 1);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS)), 1);
	store_totals(a->s, &totals);
	assert_int_equal(totals.in, 1);
	/* Without a key it may happen again. */
	e = aid_event(a, 64, 1, NULL);
	w = aid_write();
	store_put_event(w, &e, NULL, 0);
	e = aid_event(a, 64, 2, NULL);
	store_put_event(w, &e, NULL, 0);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.repeated, 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_EVENTS)), 3);
}

static void events_are_found_by_kind_room_and_range(void **state)
{
	static const char *const kinds[] = {"started", "completed", "started",
					    "test"};
	static const char *const facts[] = {
		"{\"room\":\"a\"}", "{\"room\":\"b\"}", "{\"room\":\"b\"}",
		"{\"id\":\"4\"}"};
	static const struct {
		struct store_filter f;
		const char *ids; /* of 1 to 4 */
	} cases[] = {
		{FILTER(.kinds = 1U << EVENT_STARTED), "13"},
		{FILTER(.kinds = 1U << EVENT_STARTED | 1U << EVENT_TEST),
		 "134"},
		{FILTER(.kinds = 1U << EVENT_UPLOADED), ""},
		{FILTER(.room = "b"), "23"},
		{FILTER(.room = "b", .kinds = 1U << EVENT_STARTED), "3"},
		{FILTER(.room = "b' OR 1"), ""},
		{FILTER(.after = 1, .until = 3), "23"},
		{FILTER(.until = 1), "1"},
		{FILTER(.after = 4, .until = 9), ""},
	};
	struct aid *a = *state;
	struct store_write *w = aid_write();
	struct store_rows rows;

	for (unsigned i = 0; i < 4; i++) {
		struct event_row e = aid_event(a, 64, i, NULL);

		str_copy(e.kind, sizeof(e.kind), kinds[i]);
		e.facts = facts[i];
		e.facts_len = strlen(facts[i]);
		assert_int_equal(e.id, i + 1);
		store_put_event(w, &e, NULL, 0);
	}
	assert_int_equal(store_last_id(a->s, IDS_EVENT), 4);
	assert_int_equal(store_known_id(a->s, IDS_EVENT), 0);
	aid_commit(a, w, 0);
	assert_int_equal(store_known_id(a->s, IDS_EVENT), 4);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_filter f = cases[i].f;
		char ids[8] = "";

		f.what = READ_EVENTS;
		rows = aid_read(a, f);
		for (size_t j = 0; j < rows.n; j++)
			ids[j] = (char)('0' + rows.events[j].id);
		assert_string_equal(ids, cases[i].ids);
		store_rows_free(&rows);
	}
	/* an id of a write that never was is not known, and given again */
	assert_int_equal(store_next_id(a->s, IDS_EVENT), 5);
	aid_again(a);
	assert_int_equal(store_known_id(a->s, IDS_EVENT), 4);
	assert_int_equal(store_last_id(a->s, IDS_EVENT), 4);
}

static void a_failed_operation_undoes_its_write(void **state)
{
	struct aid *a = *state;
	struct event_row e = aid_event(a, 64, 0, NULL);
	struct delivery_row d = aid_delivery(a, 64, 7);
	struct delivery_row none = {.id = 999};
	struct store_write *w = aid_write();
	struct store_totals totals;
	struct store_result r;

	store_put_event(w, &e, &d, 1);
	store_set_delivery(w, &none);
	r = aid_commit(a, w, ENOENT);
	assert_string_equal(r.text, "set delivery 999: no such row");
	assert_int_equal(aid_count(a, FILTER(.what = READ_EVENTS)), 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_DELIVERIES)), 0);
	store_totals(a->s, &totals);
	assert_int_equal(totals.in, 0);
	assert_int_equal(totals.pending, 0);
}

static void the_last_twenty_attempts_are_kept(void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();
	struct store_rows rows;
	struct store_filter f = {.what = READ_ATTEMPTS};

	for (unsigned n = 1; n <= 30; n++) {
		struct attempt_row at = {.delivery = 5,
					 .n = n,
					 .unix_ms = n,
					 .duration_us = 10,
					 .status = 500,
					 .error = "HTTP 500",
					 .answer = "{\"no\":\"\xc3\xa9\"}"};

		store_put_attempt(w, &at);
		at.delivery = 6;
		if (n < 3)
			store_put_attempt(w, &at);
	}
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_ATTEMPTS, .delivery = 5));
	assert_int_equal(rows.n, 20);
	assert_int_equal(rows.attempts[0].n, 11);
	assert_int_equal(rows.attempts[19].n, 30);
	assert_int_equal(rows.attempts[19].status, 500);
	assert_string_equal(rows.attempts[19].error, "HTTP 500");
	assert_string_equal(rows.attempts[19].answer, "{\"no\":\"\xc3\xa9\"}");
	store_rows_free(&rows);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_ATTEMPTS, .delivery = 6)), 2);
	assert_int_equal(store_read(a->s, &f, &rows), EINVAL);
}

static void put_deliveries(struct aid *a, uint64_t task, unsigned n)
{
	struct store_write *w = aid_write();

	for (unsigned i = 0; i < n; i++) {
		struct event_row e = aid_event(a, task, i, NULL);
		struct delivery_row d = aid_delivery(a, task, 7);

		d.created_ms = 100 + i;
		store_put_event(w, &e, &d, 1);
	}
	aid_commit(a, w, 0);
}

static void set_state(struct aid *a, uint64_t first, uint64_t last,
		      enum delivery_state to)
{
	struct store_write *w = aid_write();

	for (uint64_t id = first; id <= last; id++) {
		struct delivery_row d = {.id = id,
					 .state = to,
					 .attempts = 3,
					 .attempts_ever = 3,
					 .late = true,
					 .due_ms = 9,
					 .done_ms = 10,
					 .last_status = 500};

		store_set_delivery(w, &d);
	}
	aid_commit(a, w, 0);
}

static void pages_go_both_ways(void **state)
{
	struct aid *a = *state;
	struct store_filter f = {
		.what = READ_DELIVERIES, .state = -1, .limit = 10};
	struct store_rows rows;
	uint64_t seen = 0;

	put_deliveries(a, 64, 25);
	do {
		rows = aid_read(a, f);
		assert_int_equal(rows.more, seen < 15);
		for (size_t i = 0; i < rows.n; i++)
			assert_int_equal(rows.deliveries[i].id, ++seen);
		f.after = seen;
		store_rows_free(&rows);
	} while (seen < 25);
	f.after = 0;
	f.newest_first = true;
	seen = 26;
	do {
		rows = aid_read(a, f);
		assert_int_equal(rows.more, seen > 11);
		for (size_t i = 0; i < rows.n; i++)
			assert_int_equal(rows.deliveries[i].id, --seen);
		f.after = seen;
		store_rows_free(&rows);
	} while (seen > 1);
	assert_int_equal(aid_count(a, f), 0);
	/* A hundred unless said, a thousand at most. */
	put_deliveries(a, 128, 1100);
	assert_int_equal(aid_count(a, FILTER(.what = READ_DELIVERIES)), 100);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_DELIVERIES, .limit = 5000)),
		1000);
}

static void replay_makes_dead_and_expired_pending(void **state)
{
	struct aid *a = *state;
	struct store_write *w = aid_write();
	struct store_filter f = {.state = DELIVERY_DEAD, .endpoint = 7};
	struct store_totals t;
	struct store_rows rows;
	struct store_result r;

	store_write_free(w);
	put_deliveries(a, 64, 10);
	set_state(a, 1, 4, DELIVERY_DEAD);
	set_state(a, 5, 6, DELIVERY_EXPIRED);
	set_state(a, 7, 8, DELIVERY_DELIVERED);
	w = aid_write();
	f.from_ms = 101;
	store_replay(w, &f, 5555);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.changed, 3);
	assert_int_equal(r.last, 4);
	store_totals(a->s, &t);
	assert_int_equal(t.dead, 1);
	assert_int_equal(t.pending, 5);
	rows = aid_read(a, FILTER(.what = READ_DELIVERIES, .id = 2));
	assert_int_equal(rows.deliveries[0].state, DELIVERY_PENDING);
	assert_int_equal(rows.deliveries[0].attempts, 0);
	assert_int_equal(rows.deliveries[0].attempts_ever, 3);
	assert_false(rows.deliveries[0].late);
	assert_int_equal(rows.deliveries[0].due_ms, 5555);
	assert_int_equal(rows.deliveries[0].done_ms, 0);
	store_rows_free(&rows);
	/* Any state means both; a limit bounds them together. */
	f = (struct store_filter){.state = -1, .limit = 2};
	w = aid_write();
	store_replay(w, &f, 6666);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.changed, 2);
	/* Delivered is never sent again; a pending one is pending. */
	f = (struct store_filter){.state = DELIVERY_DELIVERED};
	w = aid_write();
	store_replay(w, &f, 6666);
	f = (struct store_filter){.state = -1, .id = 2};
	store_replay(w, &f, 6666);
	r = aid_commit(a, w, 0);
	assert_int_equal(r.changed, 0);
	f = (struct store_filter){.state = -1, .user = "alice"};
	w = aid_write();
	store_replay(w, &f, 6666);
	aid_commit(a, w, EINVAL);
	store_totals(a->s, &t);
	assert_int_equal(t.in, 10);
	assert_int_equal(t.delivered, 2);
	assert_int_equal(t.expired, 1);
	assert_int_equal(t.pending, 7);
}

static void put_warning(struct aid *a, uint64_t task, const char *kind,
			const char *facts)
{
	struct event_row e = aid_event(a, task, 0, NULL);
	struct store_write *w = aid_write();

	str_copy(e.kind, sizeof(e.kind), kind);
	e.facts = facts;
	e.facts_len = strlen(facts);
	store_put_event(w, &e, NULL, 0);
	aid_commit(a, w, 0);
}

static void warnings_of_who_is_erased_go_with_the_files(void **state)
{
	static const char *const users[] = {"alice", "bob"};
	struct aid *a = *state;
	struct store_rows rows;
	struct store_write *w;

	for (unsigned i = 0; i < 2; i++) {
		struct segment_row s = aid_segment(a, 64, users[i], 0);

		w = aid_write();
		store_put_segment(w, &s);
		s.state = i ? SEG_CLOSED : SEG_ERASING;
		store_set_segment(w, &s);
		aid_commit(a, w, 0);
	}
	put_warning(a, 64, "input_lost", "{\"user\":\"alice\"}");
	put_warning(a, 64, "no_audio", "{\"user\":\"bob\"}");
	put_warning(a, 64, "disk_low", "{\"user\":\"tapeop\"}");
	put_warning(a, 128, "input_lost", "{\"user\":\"alice\"}");
	w = aid_write();
	store_erase_events(w, 64);
	aid_commit(a, w, 0);
	rows = aid_read(a, FILTER(.what = READ_EVENTS));
	assert_int_equal(rows.n, 3);
	assert_string_equal(rows.events[0].kind, "no_audio");
	assert_string_equal(rows.events[1].kind, "disk_low");
	assert_int_equal(rows.events[2].task, 128);
	store_rows_free(&rows);
}

static int add_id(const struct pending_row *row, void *arg)
{
	uint64_t *sum = arg;

	assert_int_equal(row->endpoint, 7);
	assert_int_equal(row->lane, 64);
	assert_int_equal(row->created_ms, 99 + (int64_t)row->id);
	*sum = *sum * 100 + row->id;
	return row->id == 9 ? EINTR : 0;
}

static void pending_deliveries_are_walked_in_order(void **state)
{
	struct aid *a = *state;
	uint64_t sum = 0;

	put_deliveries(a, 64, 8);
	set_state(a, 1, 4, DELIVERY_DELIVERED);
	set_state(a, 6, 6, DELIVERY_DEAD);
	assert_int_equal(store_each_pending(a->s, add_id, &sum), 0);
	assert_int_equal(sum, 50708);
	put_deliveries(a, 64, 0);
	assert_int_equal(
		aid_count(a, (struct store_filter){.what = READ_DELIVERIES,
						   .state = DELIVERY_PENDING}),
		3);
	assert_int_equal(
		aid_count(a, (struct store_filter){.what = READ_DELIVERIES,
						   .state = DELIVERY_DEAD}),
		1);
	assert_int_equal(
		aid_count(a,
			  (struct store_filter){.what = READ_DELIVERIES,
						.state = DELIVERY_DELIVERED}),
		4);
}

/** A task with three deliveries, and a segment in this state. */
static void finish(struct aid *a, uint64_t id, int64_t finished_ms,
		   enum segment_state state)
{
	struct store_write *w = aid_write();
	struct task_row t = aid_task(id);
	struct segment_row s = aid_segment(a, id, "alice", 0);

	t.state = TASK_STOPPED;
	t.finished_ms = finished_ms;
	store_put_task(w, &t);
	store_put_segment(w, &s);
	s.state = state;
	store_set_segment(w, &s);
	aid_commit(a, w, 0);
	put_deliveries(a, id, 3);
}

static uint64_t prune(struct aid *a, uint64_t task, uint32_t limit)
{
	struct store_write *w = aid_write();

	store_prune(w, task, limit);
	return aid_commit(a, w, 0).changed;
}

static int count_storage(const struct storage_row *row, void *arg)
{
	unsigned *seen = arg;

	assert_int_equal(row->app, 7);
	assert_string_equal(row->settings, "{\"secret_key\":\"hush\"}");
	*seen |= 1U << row->id;
	return 0;
}

/** A bit for each that is there. */
static unsigned storages(struct aid *a)
{
	unsigned seen = 0;

	assert_int_equal(store_each_storage(a->s, count_storage, &seen), 0);
	return seen;
}

static void a_storage_goes_with_its_last_task(void **state)
{
	static const uint64_t of[] = {1, 1, 2, 0};
	struct segment_row files[ARRAY_LEN(of)];
	struct aid *a = *state;
	struct store_write *w;
	struct store_rows rows;

	for (uint64_t i = 0; i < ARRAY_LEN(of); i++) {
		const struct storage_row row = {of[i], 7,
						"{\"secret_key\":\"hush\"}"};
		struct task_row t = aid_task(i + 1);

		files[i] = aid_segment(a, i + 1, "alice", 0);
		t.storage = of[i];
		t.finished_ms = 100 * (int64_t)(i + 1);
		w = aid_write();
		store_put_task(w, &t);
		store_put_segment(w, &files[i]);
		if (of[i])
			store_put_storage(w, &row);
		aid_commit(a, w, 0);
	}
	aid_again(a);
	assert_int_equal(storages(a), 1U << 1 | 1U << 2);
	rows = aid_read(a, FILTER(.what = READ_TASKS));
	for (size_t i = 0; i < rows.n; i++)
		assert_int_equal(rows.tasks[i].storage, of[i]);
	store_rows_free(&rows);
	rows = aid_read(a, FILTER(.what = READ_SEGMENTS));
	for (size_t i = 0; i < rows.n; i++)
		assert_int_equal(rows.segments[i].storage, of[i]);
	store_rows_free(&rows);
	for (uint64_t task = 1; task <= ARRAY_LEN(of); task++) {
		/* not before its files */
		(void)prune(a, task, 100);
		assert_int_equal(storages(a) & 1U << of[task - 1],
				 of[task - 1] ? 1U << of[task - 1] : 0);
		files[task - 1].state = SEG_LOST;
		w = aid_write();
		store_set_segment(w, &files[task - 1]);
		aid_commit(a, w, 0);
		(void)prune(a, task, 100);
		assert_int_equal(storages(a), task < 2	 ? 1U << 1 | 1U << 2
					      : task < 3 ? 1U << 2
							 : 0);
	}
}

static void prune_forgets_what_is_finished_and_told(void **state)
{
	struct aid *a = *state;
	struct attempt_row at = {.delivery = 1, .n = 1};
	struct store_write *w = aid_write();
	struct segment_row lost;
	struct store_totals t;
	uint64_t last;
	bool told;

	store_put_attempt(w, &at);
	aid_commit(a, w, 0);
	finish(a, 1, 100,
	       SEG_LOST); /* deliveries 1-3: dead, expired, delivered */
	finish(a, 2, 100, SEG_LOST); /* one is pending */
	finish(a, 3, 0, SEG_LOST);   /* not finished */
	finish(a, 4, 100, SEG_CLOSED);
	lost = aid_segment(a, 4, "bob", 0);
	w = aid_write();
	store_put_segment(w, &lost);
	lost.state = SEG_LOST;
	store_set_segment(w, &lost);
	aid_commit(a, w, 0);
	set_state(a, 1, 1, DELIVERY_DEAD);
	set_state(a, 2, 2, DELIVERY_EXPIRED);
	set_state(a, 3, 5, DELIVERY_DELIVERED);
	set_state(a, 7, 12, DELIVERY_DELIVERED);
	for (uint64_t task = 1; task <= 4; task++) {
		assert_int_equal(store_is_told(a->s, task, &told), 0);
		assert_int_equal(told, task != 2);
		w = aid_write();
		store_must_be_told(w, task);
		aid_commit(a, w, task == 2 || task == 3 ? EINPROGRESS : 0);
	}
	/* three deliveries, three events, a segment, the task: in slices */
	assert_int_equal(prune(a, 1, 2), 2);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_DELIVERIES, .task = 1)), 1);
	assert_int_equal(store_known_id(a->s, IDS_REMOVED), 0);
	assert_int_equal(prune(a, 1, 2), 2);
	assert_int_equal(store_known_id(a->s, IDS_REMOVED), 1);
	assert_int_equal(prune(a, 1, 4), 4);
	assert_int_equal(prune(a, 1, 4), 0);
	assert_int_equal(prune(a, 2, 100), 0);
	assert_int_equal(prune(a, 3, 100), 0);
	assert_int_equal(prune(a, 4, 100), 6); /* its file is there */
	assert_int_equal(prune(a, 4, 100), 0);
	assert_int_equal(prune(a, 77, 100), 0);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS)), 3);
	assert_int_equal(aid_count(a, FILTER(.what = READ_SEGMENTS)), 4);
	assert_int_equal(aid_count(a, FILTER(.what = READ_EVENTS)), 6);
	assert_int_equal(aid_count(a, FILTER(.what = READ_DELIVERIES)), 6);
	assert_int_equal(
		aid_count(a, FILTER(.what = READ_ATTEMPTS, .delivery = 1)), 0);
	store_totals(a->s, &t);
	assert_int_equal(t.in, 10);
	assert_int_equal(t.delivered, 9);
	assert_int_equal(t.pending, 1);
	assert_int_equal(t.dead, 0);
	assert_int_equal(t.expired, 0);
	/* Their ids are not used again. */
	last = store_next_id(a->s, IDS_DELIVERY);
	aid_again(a);
	assert_true(store_next_id(a->s, IDS_DELIVERY) >= last);
	/* Nor are those of tasks; and what went is known. */
	assert_int_equal(store_known_id(a->s, IDS_TASK), 4);
	assert_int_equal(store_known_id(a->s, IDS_REMOVED), 12);
}

static void a_task_id_is_known_when_its_row_is_gone(void **state)
{
	struct aid *a = *state;

	finish(a, 640, 1, SEG_LOST);
	set_state(a, 1, 3, DELIVERY_DELIVERED);
	assert_int_equal(prune(a, 640, 100), 8);
	assert_int_equal(aid_count(a, FILTER(.what = READ_TASKS)), 0);
	assert_int_equal(store_known_id(a->s, IDS_TASK), 640);
	aid_again(a);
	assert_int_equal(store_known_id(a->s, IDS_TASK), 640);
}

/** Those that finished before then, as "id,id,"; two a page. */
static const char *finished_before(struct aid *a, int64_t before_ms)
{
	static char text[128];
	struct finished_row rows[2] = {{0}};
	struct finished_row after = {0};
	size_t n;

	text[0] = 0;
	do {
		assert_int_equal(store_read_finished(a->s, &after, before_ms,
						     rows, 2, &n),
				 0);
		for (size_t i = 0; i < n; i++) {
			after = rows[i];
			assert_int_equal(after.app, 1400000000);
			assert_int_equal(after.has_events, after.id != 7);
			assert_int_equal(after.has_segments, after.id != 7);
			assert_int_equal(after.has_files,
					 after.id != 5 && after.id != 7);
			assert_int_equal(after.storage, after.id == 7 ? 9 : 0);
			snprintf(text + strlen(text),
				 sizeof(text) - strlen(text), "%u,",
				 (unsigned)after.id);
		}
	} while (n == 2);
	return text;
}

static void finished_tasks_are_read_by_when_they_finished(void **state)
{
	struct aid *a = *state;
	struct task_row bare = aid_task(7);
	struct store_write *w = aid_write();

	finish(a, 1, 100, SEG_CLOSED);
	finish(a, 2, 0, SEG_CLOSED);
	finish(a, 3, 50, SEG_CLOSED);
	finish(a, 4, 100, SEG_ERASING);
	finish(a, 5, 200, SEG_LOST);
	bare.finished_ms = 100;
	bare.storage = 9;
	store_put_task(w, &bare);
	aid_commit(a, w, 0);
	assert_string_equal(finished_before(a, 201), "3,1,4,7,5,");
	assert_string_equal(finished_before(a, 200), "3,1,4,7,");
	assert_string_equal(finished_before(a, 100), "3,");
	assert_string_equal(finished_before(a, 50), "");
}

static void ids_are_unique_after_reopening(void **state)
{
	struct aid *a = *state;
	struct event_row e;
	struct input_row i = {.room = "r"};
	struct store_write *w = aid_write();

	for (int n = 0; n < 5; n++)
		e = aid_event(a, 64, 0, NULL);
	store_put_event(w, &e, NULL, 0);
	i.id = store_next_id(a->s, IDS_INPUT);
	store_put_input(w, &i);
	aid_commit(a, w, 0);
	w = aid_write();
	store_delete_input(w, i.id);
	aid_commit(a, w, 0);
	aid_again(a);
	assert_int_equal(store_next_id(a->s, IDS_EVENT), e.id + 1);
	assert_int_equal(store_next_id(a->s, IDS_INPUT), i.id + 1);
	assert_int_equal(store_next_id(a->s, IDS_SEGMENT), 1);
	assert_int_equal(store_next_id(a->s, IDS_SEGMENT), 2);
}

static void a_filter_that_does_not_apply_is_refused(void **state)
{
	struct aid *a = *state;
	const struct store_filter bad[] = {
		{.what = READ_SEGMENTS, .state = -1, .text = "u"},
		{.what = READ_WAVES, .state = -1, .app = 1},
		{.what = READ_TASKS, .state = -1, .not_uploaded = true},
		{.what = READ_EVENTS, .state = -1, .user = "u"},
		{.what = READ_TASKS, .state = -1, .kinds = 1},
		{.what = READ_INPUTS, .state = -1, .endpoint = 1},
		{.what = READ_DELIVERIES, .state = -1, .unfinished = true},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct store_rows rows;

		assert_int_equal(store_read(a->s, &bad[i], &rows), EINVAL);
		assert_int_equal(rows.err, EINVAL);
	}
}

static void a_page_that_takes_too_long_is_ended(void **state)
{
	struct aid *a = *state;
	struct store_filter f = {
		.what = READ_EVENTS, .state = -1, .from_ms = 1000000};
	struct store_rows rows;

	put_deliveries(a, 64, 20000);
	a->config.read_deadline_us = 1;
	aid_again(a);
	assert_int_equal(store_read(a->s, &f, &rows), ETIME);
	assert_int_equal(rows.n, 0);
	a->config.read_deadline_us = 0;
	aid_again(a);
	assert_int_equal(store_read(a->s, &f, &rows), 0);
	store_rows_free(&rows);
}

static void on_rows(struct store_rows *rows, void *arg)
{
	int *left = arg;

	assert_int_equal(rows->err, 0);
	assert_int_equal(rows->n, 1);
	assert_string_equal(rows->events[0].facts, "{\"x\":1}");
	store_rows_free(rows);
	--*left;
}

static void a_query_is_answered_on_the_loop(void **state)
{
	struct aid *a = *state;
	struct loop *loop;
	int left = 20;

	put_deliveries(a, 64, 30);
	assert_int_equal(loop_new(&loop), 0);
	for (uint64_t i = 1; i <= 20; i++) {
		struct store_filter f = {
			.what = READ_EVENTS, .state = -1, .id = i};

		assert_int_equal(store_query(a->s, &f, loop, on_rows, &left),
				 0);
	}
	while (left)
		loop_turn(loop, -1);
	loop_free(loop);
}

/** What was walked: "7 new {..}; ". */
static char walked[256];

static int on_endpoint(const struct endpoint_row *e, void *arg)
{
	size_t len = strlen(walked);

	(void)arg;
	snprintf(walked + len, sizeof(walked) - len, "%u %u %s %s; ",
		 (unsigned)e->id, (unsigned)e->app, e->name, e->settings);
	return e->id == 99 ? EINTR : 0;
}

static int on_removal(const struct removal_row *r, void *arg)
{
	size_t len = strlen(walked);

	(void)arg;
	snprintf(walked + len, sizeof(walked) - len, "%u %u %s %u; ",
		 (unsigned)r->endpoint, (unsigned)r->app, r->name,
		 (unsigned)r->up_to);
	return 0;
}

static void endpoints_and_removals_are_put_changed_and_walked(void **state)
{
	struct aid *a = *state;
	struct endpoint_row e = {
		.id = 7, .app = 1, .name = "new", .settings = "{}"};
	struct removal_row r = {
		.endpoint = 7, .app = 1, .name = "new", .up_to = 5};
	struct store_write *w = aid_write();

	store_put_endpoint(w, &e);
	e.settings = "{\"a\":1}";
	store_put_endpoint(w, &e);
	e.id = 3;
	store_put_endpoint(w, &e);
	store_put_removal(w, &r);
	r.up_to = 9;
	store_put_removal(w, &r);
	aid_commit(a, w, 0);
	store_close(a->s);
	aid_open(a);
	walked[0] = 0;
	assert_int_equal(store_each_endpoint(a->s, on_endpoint, NULL), 0);
	assert_int_equal(store_each_removal(a->s, on_removal, NULL), 0);
	assert_string_equal(walked, "3 1 new {\"a\":1}; 7 1 new {\"a\":1}; "
				    "7 1 new 9; ");
	w = aid_write();
	e.id = 99;
	store_put_endpoint(w, &e);
	store_delete_endpoint(w, 3);
	store_delete_endpoint(w, 4); /* none is fine */
	store_delete_removal(w, 7);
	store_delete_removal(w, 7);
	aid_commit(a, w, 0);
	walked[0] = 0;
	assert_int_equal(store_each_endpoint(a->s, on_endpoint, NULL), EINTR);
	assert_int_equal(store_each_removal(a->s, on_removal, NULL), 0);
	assert_string_equal(walked, "7 1 new {\"a\":1}; 99 1 new {\"a\":1}; ");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, aid_setup, aid_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_states_come_back),
		TEST(a_task_is_put_set_and_read),
		TEST(tasks_are_filtered),
		TEST(tasks_are_found_by_user_and_text),
		TEST(a_wave_goes_with_its_segment),
		TEST(a_segment_goes_through_its_states),
		TEST(a_seq_no_is_never_used_again),
		TEST(a_file_name_belongs_to_one_segment),
		TEST(an_input_is_put_and_deleted),
		TEST(an_event_and_its_deliveries_come_together),
		TEST(an_event_happens_once),
		TEST(events_are_found_by_kind_room_and_range),
		TEST(a_failed_operation_undoes_its_write),
		TEST(the_last_twenty_attempts_are_kept),
		TEST(pages_go_both_ways),
		TEST(replay_makes_dead_and_expired_pending),
		TEST(warnings_of_who_is_erased_go_with_the_files),
		TEST(pending_deliveries_are_walked_in_order),
		TEST(a_storage_goes_with_its_last_task),
		TEST(prune_forgets_what_is_finished_and_told),
		TEST(a_task_id_is_known_when_its_row_is_gone),
		TEST(finished_tasks_are_read_by_when_they_finished),
		TEST(ids_are_unique_after_reopening),
		TEST(a_filter_that_does_not_apply_is_refused),
		TEST(a_page_that_takes_too_long_is_ended),
		TEST(a_query_is_answered_on_the_loop),
		TEST(endpoints_and_removals_are_put_changed_and_walked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
