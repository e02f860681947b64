/** test/unit/rooms_recovery_test.c -- rows and files as a crash left them. */
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

enum { FRAMES = 10, TASK = 640 };

/** What a crash left of a segment. */
enum left {
	LEFT_NONE,
	LEFT_PART,  /* FRAMES and a torn one */
	LEFT_SHRED, /* a .part without one whole frame */
	LEFT_FINAL  /* renamed, but not committed */
};

/** A line of the table at the head of rooms/recovery.c. */
struct line {
	const char *user; /* one track each */
	enum segment_state row;
	enum left left;
	enum segment_state becomes; /* SEG_STATE_N: the row is deleted */
	size_t quarantined;
};

static const struct line lines[] = {
	{"opening_none", SEG_OPENING, LEFT_NONE, SEG_STATE_N, 0},
	{"opening_part", SEG_OPENING, LEFT_PART, SEG_CLOSED, 0},
	{"opening_shred", SEG_OPENING, LEFT_SHRED, SEG_STATE_N, 1},
	{"recording_part", SEG_RECORDING, LEFT_PART, SEG_CLOSED, 0},
	{"recording_final", SEG_RECORDING, LEFT_FINAL, SEG_CLOSED, 0},
	{"recording_none", SEG_RECORDING, LEFT_NONE, SEG_LOST, 0},
	{"recording_shred", SEG_RECORDING, LEFT_SHRED, SEG_LOST, 1},
	{"closed_final", SEG_CLOSED, LEFT_FINAL, SEG_CLOSED, 0},
};

enum { LINES = sizeof(lines) / sizeof(*lines) };

static void put_frames(const char *path, size_t n, size_t tail)
{
	uint8_t bytes[(FRAMES + 1) * FRAME_LEN];

	for (size_t i = 0; i <= n; i++)
		make_frame(bytes + i * FRAME_LEN, (uint8_t)i);
	put_file(path, bytes, n * FRAME_LEN + tail);
}

static void put_left(struct stage *st, const char *name, enum left left)
{
	char path[1024], *slash;

	snprintf(path, sizeof(path), "%s/spool/%s%s", st->a.dir, name,
		 left == LEFT_FINAL ? "" : ".part");
	slash = strrchr(path, '/');
	*slash = 0;
	assert_int_equal(file_mkdirs(path), 0);
	*slash = '/';
	if (left == LEFT_PART)
		put_frames(path, FRAMES, 100);
	else if (left == LEFT_SHRED)
		put_frames(path, 0, 100);
	else if (left == LEFT_FINAL)
		put_frames(path, FRAMES, 0);
}

/** The task as rooms know it, to write events with. */
static struct task crashed;

static void put_told(struct stage *st, const struct segment_row *row,
		     enum event_kind kind)
{
	struct store_write *w = aid_write();
	char once[256];
	struct event e;
	struct buf text;

	if (row) {
		seg_event(&crashed, row, kind, &e);
		seg_once(row, kind, once, sizeof(once));
	} else {
		task_event(&crashed, kind, &e);
		task_once(&crashed, kind, 0, once, sizeof(once));
	}
	e.task_seq = crashed.row.next_seq++;
	buf_init(&text, 65536);
	event_write_json(&e, &text);
	store_put_event(
		w,
		&(struct event_row){.id = store_next_id(st->a.s, IDS_EVENT),
				    .task = e.task,
				    .task_seq = e.task_seq,
				    .app = e.app,
				    .kind = "",
				    .unix_ms = e.unix_ms,
				    .once = once,
				    .facts = buf_str(&text),
				    .facts_len = text.len},
		NULL, 0);
	aid_commit(&st->a, w, 0);
	buf_fini(&text);
}

static void put_task(struct stage *st, enum task_state state)
{
	struct store_write *w = aid_write();

	crashed = (struct task){.row = aid_task(TASK)};
	crashed.row.state = state;
	str_copy(crashed.row.room, sizeof(crashed.row.room), "room");
	crashed.row.subscribe = (char *)(uintptr_t) "";
	store_put_task(w, &crashed.row);
	aid_commit(&st->a, w, 0);
	put_told(st, NULL, EVENT_TASK_STARTED);
}

/** A segment's row and file, with the events that were committed. */
static struct segment_row put_segment(struct stage *st, const struct line *l,
				      uint32_t seq)
{
	struct segment_row row = aid_segment(&st->a, TASK, l->user, seq);
	struct store_write *w = aid_write();

	str_copy(row.room, sizeof(row.room), "room");
	store_put_segment(w, &row);
	aid_commit(&st->a, w, 0);
	put_left(st, row.file_name, l->left);
	row.state = l->row;
	if (row.state >= SEG_RECORDING)
		put_told(st, &row, EVENT_STARTED);
	if (row.state == SEG_CLOSED) {
		char path[1024];

		snprintf(path, sizeof(path), "%s/spool/%s", st->a.dir,
			 row.file_name);
		assert_int_equal(file_sha256(path, row.sha256, &row.size), 0);
		row.frames = FRAMES * FRAME_FRAMES;
		row.closed_ms = 6000;
		put_told(st, &row, EVENT_COMPLETED);
		put_told(st, NULL, EVENT_UPLOAD_STARTED);
	}
	w = aid_write();
	store_set_segment(w, &row);
	aid_commit(&st->a, w, 0);
	return row;
}

static void check_row(const struct segment_row *row, const struct line *l)
{
	bool is_closed = l->becomes == SEG_CLOSED;

	assert_int_equal(row->state, l->becomes);
	assert_int_equal(row->frames, is_closed ? FRAMES * FRAME_FRAMES : 0);
	assert_string_equal(row->reason, is_closed ? "" : "file_missing");
}

static void check_lines(struct stage *st)
{
	struct store_rows rows = segments_of(st, TASK);
	size_t n = 0;

	for (size_t i = 0; i < LINES; i++) {
		const struct line *l = &lines[i];
		const struct segment_row *row = NULL;

		for (size_t k = 0; k < rows.n; k++)
			if (!strcmp(rows.segments[k].user, l->user))
				row = &rows.segments[k];
		if (l->becomes == SEG_STATE_N) {
			assert_null(row);
			continue;
		}
		n++;
		if (!row)
			fail_msg("the row of %s is gone", l->user);
		else
			check_row(row, l);
	}
	assert_int_equal(rows.n, n);
	store_rows_free(&rows);
}

static void each_row_and_file_becomes_what_the_table_says(void **state)
{
	struct stage *st = *state;
	int64_t recovered = counter_get(COUNT_segments_recovered);
	int64_t lost = counter_get(COUNT_segments_lost);
	size_t quarantined = 1;
	struct truth truth;
	size_t events = 0;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TASK_STOPPING);
	for (size_t i = 0; i < LINES; i++) {
		put_segment(st, &lines[i], 0);
		quarantined += lines[i].quarantined;
	}
	put_left(st, "stranger/no_row.mp3", LEFT_PART);
	store_close(st->a.s);
	for (int i = 0; i < 3; i++) { /* again and again, the same */
		begin(st);
		check_lines(st);
		assert_int_equal(files_below(st, "quarantine"), quarantined);
		assert_int_equal(
			counter_get(COUNT_segments_recovered) - recovered, 3);
		assert_int_equal(counter_get(COUNT_segments_lost) - lost, 2);
		end(st); /* before it is finished */
		aid_open(&st->a);
		if (i)
			assert_int_equal(aid_count(&st->a,
						   (struct store_filter){
							   .what = READ_EVENTS,
							   .task = TASK,
							   .state = -1,
							   .limit = 1000}),
					 events);
		events = aid_count(&st->a,
				   (struct store_filter){.what = READ_EVENTS,
							 .task = TASK,
							 .state = -1,
							 .limit = 1000});
		store_close(st->a.s);
	}
	begin(st);
	UNTIL(st, !is_there(st, TASK));
	truth = check_truth(st, TASK);
	assert_int_equal(truth.closed, 4);
	assert_int_equal(truth.lost, 2);
	check_lines(st);
	UNTIL(st, files_below(st, "spool") == 0);
	assert_int_equal(files_below(st, "quarantine"), quarantined);
}

static void the_first_file_closed_by_recovery_tells_of_uploads(void **state)
{
	const struct line part = {"alice", SEG_RECORDING, LEFT_PART, 0, 0};
	struct stage *st = *state;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TASK_STOPPING);
	put_segment(st, &part, 0);
	store_close(st->a.s);
	begin(st);
	UNTIL(st, !is_there(st, TASK));
	assert_int_equal(check_truth(st, TASK).closed, 1);
	check_empty(st);
}

/** The files of a segment that was uploaded; the spool's copy is left. */
static void put_uploaded(struct stage *st, const char *user, size_t frames)
{
	const struct line final = {user, SEG_CLOSED, LEFT_FINAL, 0, 0};
	struct segment_row row = put_segment(st, &final, 0);
	struct store_write *w = aid_write();
	char path[1024], *slash;

	row.uploaded_ms = 7000;
	store_set_segment(w, &row);
	aid_commit(&st->a, w, 0);
	snprintf(path, sizeof(path), "%s/%s", st->storage, row.file_name);
	slash = strrchr(path, '/');
	*slash = 0;
	assert_int_equal(file_mkdirs(path), 0);
	*slash = '/';
	put_frames(path, frames, 0);
}

static void a_copy_of_what_is_stored_goes_and_anything_else_is_kept(
	void **state)
{
	struct stage *st = *state;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TASK_STOPPING);
	put_uploaded(st, "same", FRAMES);
	put_uploaded(st, "other", FRAMES - 1);
	store_close(st->a.s);
	begin(st);
	assert_int_equal(files_below(st, "spool"), 0);
	assert_int_equal(files_below(st, "quarantine"), 1);
	UNTIL(st, !is_there(st, TASK));
}

static void a_resumed_track_uses_no_number_again(void **state)
{
	const struct line closed = {"alice", SEG_CLOSED, LEFT_FINAL, 0, 0};
	const struct line part = {"alice", SEG_RECORDING, LEFT_PART, 0, 0};
	const struct line none = {"alice", SEG_OPENING, LEFT_NONE, 0, 0};
	struct stage *st = *state;
	struct store_write *w;
	struct input_row in = {.app = APP,
			       .room = "room",
			       .user = "alice",
			       .kind = "rtp",
			       .opus_pt = 111,
			       .red_pt = 110,
			       .audio_level_ext = 3};
	struct input_info info;
	struct store_rows rows;

	st->deaf = true;
	in.port = st->config.media.rtp_port_first + 5;
	aid_open(&st->a);
	put_task(st, TASK_RUNNING);
	put_segment(st, &closed, 0);
	put_segment(st, &part, 1);
	put_segment(st, &none, 2);
	w = aid_write();
	in.id = store_next_id(st->a.s, IDS_INPUT);
	store_put_input(w, &in);
	aid_commit(&st->a, w, 0);
	store_close(st->a.s);
	begin(st);
	assert_true(rooms_input_info(st->r, in.id, &info));
	assert_int_equal(info.opus_pt, 111);
	assert_int_equal(info.red_pt, 110);
	assert_int_equal(info.audio_level_ext, 3);
	talk(st, (uint16_t)in.port);
	UNTIL(st, segments_in(st, TASK, NULL, SEG_RECORDING) == 1);
	finish(st, TASK);
	assert_int_equal(check_truth(st, TASK).closed, 3);
	rows = segments_of(st, TASK);
	assert_int_equal(rows.segments[0].seq, 0);
	assert_int_equal(rows.segments[1].seq, 1);
	assert_int_equal(rows.segments[2].seq, 3);
	store_rows_free(&rows);
	check_empty(st);
}

static void a_task_whose_app_is_gone_waits_and_so_do_its_files(void **state)
{
	const struct line closed = {"alice", SEG_CLOSED, LEFT_FINAL, 0, 0};
	const struct line part = {"alice", SEG_RECORDING, LEFT_PART, 0, 0};
	struct stage *st = *state;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TASK_RUNNING);
	put_segment(st, &closed, 0);
	put_segment(st, &part, 1);
	store_close(st->a.s);
	st->has_app = false;
	for (int i = 0; i < 2; i++) {
		begin(st);
		assert_false(is_there(st, TASK));
		assert_int_equal(segments_in(st, TASK, NULL, SEG_RECORDING), 1);
		assert_int_equal(files_below(st, "spool"), 2);
		assert_int_equal(files_below(st, "quarantine"), 0);
		end(st);
	}
	st->has_app = true;
	begin(st);
	finish(st, TASK);
	assert_int_equal(check_truth(st, TASK).closed, 2);
	check_empty(st);
}

static void a_failed_task_is_finished_at_the_next_start(void **state)
{
	const struct line part = {"alice", SEG_RECORDING, LEFT_PART, 0, 0};
	struct stage *st = *state;
	struct store_write *w;

	st->deaf = true;
	aid_open(&st->a);
	put_task(st, TASK_RUNNING);
	put_segment(st, &part, 0);
	crashed.row.state = TASK_FAILED;
	str_copy(crashed.row.reason, sizeof(crashed.row.reason), "disk_full");
	w = aid_write();
	store_set_task(w, &crashed.row);
	aid_commit(&st->a, w, 0);
	put_told(st, NULL, EVENT_TASK_FAILED);
	store_close(st->a.s);
	begin(st);
	UNTIL(st, !is_there(st, TASK));
	assert_int_equal(check_truth(st, TASK).closed, 1);
	assert_int_equal(task_of_store(st, TASK).state, TASK_FAILED);
	assert_string_equal(task_of_store(st, TASK).reason, "disk_full");
	check_empty(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(each_row_and_file_becomes_what_the_table_says),
		STAGE_TEST(the_first_file_closed_by_recovery_tells_of_uploads),
		STAGE_TEST(
			a_copy_of_what_is_stored_goes_and_anything_else_is_kept),
		STAGE_TEST(a_resumed_track_uses_no_number_again),
		STAGE_TEST(a_task_whose_app_is_gone_waits_and_so_do_its_files),
		STAGE_TEST(a_failed_task_is_finished_at_the_next_start),
	};

	return RUN_STAGES(tests);
}
