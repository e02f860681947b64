/** test/unit/record_files_test.c -- file threads: open, append, close, and
 *  what a disk that fails leaves. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "oom.h"
#include "record_aid.h"
#include "record_files_aid.h"
#include "tempdir.h"
#include "wire/sig.h"

static const char name[] = "1_r_u/a_audio.mp3";

static char dir[TEMPDIR_CAP];

/** `fault`: TAPEOP_FAULT while the test runs, or NULL. */
static void set_up(struct rig *r, size_t max_queue, const char *fault)
{
	tempdir_make(dir);
	rig_begin(r, dir, 2, max_queue, fault);
}

static void tear_down(struct rig *r)
{
	rig_end(r);
	tempdir_remove(dir);
	assert_int_equal(counter_get(COUNT_file_queue_bytes), 0);
}

static void start(struct rig *r)
{
	start_open(r, name, mp3_opening());
}

static void open_file(struct rig *r)
{
	start(r);
	wait_for(r, &r->heard.opened);
	assert_int_equal(r->heard.open.err, 0);
}

static void append(struct rig *r, uint8_t fill)
{
	uint8_t frame[FRAME_LEN];

	make_frame(frame, fill);
	assert_int_equal(record_file_append(r->file, frame, sizeof(frame)), 0);
}

static const char *in_spool(const char *what)
{
	char path[256];

	snprintf(path, sizeof(path), "spool/%s%s", name, what);
	return tempdir_path(dir, path);
}

/** The finished file is these frames, and the answer says so. */
static void expect_frames(const struct rig *r, const uint8_t *fills, size_t n)
{
	uint8_t got[16 * FRAME_LEN];
	uint8_t frame[FRAME_LEN];
	char hex[65];
	size_t len = get_file(in_spool(""), got, sizeof(got));

	assert_false(file_is_there(in_spool(".part")));
	assert_int_equal(len, n * FRAME_LEN);
	for (size_t i = 0; i < n; i++) {
		make_frame(frame, fills[i]);
		assert_memory_equal(got + i * FRAME_LEN, frame, FRAME_LEN);
	}
	assert_int_equal(r->heard.close.err, 0);
	assert_int_equal(r->heard.close.len, n * FRAME_LEN);
	assert_int_equal(r->heard.close.frames, n * FRAME_FRAMES);
	assert_int_equal(sig_sha256_hex(got, len, hex), 0);
	assert_string_equal(r->heard.close.sha256, hex);
}

static void a_file_holds_what_was_appended_and_its_hash_is_told(void **state)
{
	int64_t closed = counter_get(COUNT_segments_closed);
	struct rig r;
	uint8_t got[4 * FRAME_LEN];

	(void)state;
	set_up(&r, 1 << 20, NULL);
	open_file(&r);
	assert_int_equal(counter_get(COUNT_segments_open), 1);
	/* Until sound comes there is some silence, so that it plays. */
	assert_int_equal(get_file(in_spool(".part"), got, sizeof(got)),
			 RECORD_FRAMES_MIN * FRAME_LEN);
	for (int i = 0; i < RECORD_FRAMES_MIN; i++)
		assert_memory_equal(got + i * FRAME_LEN, silent_frame(),
				    FRAME_LEN);
	assert_false(file_is_there(in_spool("")));
	append(&r, 1);
	append(&r, 2);
	append(&r, 3);
	close_file(&r);
	expect_frames(&r, (const uint8_t[]){1, 2, 3}, 3);
	assert_int_equal(r.heard.failed, 0);
	assert_int_equal(counter_get(COUNT_segments_closed), closed + 1);
	tear_down(&r);
}

static void orders_given_before_it_is_open_are_kept_in_order(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 1 << 20, NULL);
	start(&r);
	append(&r, 1);
	append(&r, 2);
	close_file(&r);
	assert_int_equal(r.heard.opened, 1);
	expect_frames(&r, (const uint8_t[]){1, 2}, 2);
	tear_down(&r);
}

static void a_file_without_sound_loses_its_placeholder(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 1 << 20, NULL);
	open_file(&r);
	close_file(&r);
	expect_frames(&r, NULL, 0);
	tear_down(&r);
}

static void a_name_that_is_taken_is_refused(void **state)
{
	static const char *const taken[] = {".part", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		struct rig r;
		char got[8];

		set_up(&r, 1 << 20, NULL);
		assert_int_equal(file_mkdirs(tempdir_path(dir, "spool/1_r_u")),
				 0);
		put_file(in_spool(taken[i]), "other", 5);
		start(&r);
		wait_for(&r, &r.heard.opened);
		assert_int_equal(r.heard.open.err, EEXIST);
		assert_non_null(strstr(r.heard.open.text, name));
		append(&r, 1);
		close_file(&r);
		assert_int_equal(r.heard.close.err, EEXIST);
		assert_int_equal(get_file(in_spool(taken[i]), got, sizeof(got)),
				 5);
		assert_memory_equal(got, "other", 5);
		tear_down(&r);
	}
}

static void a_failure_while_opening_is_told_and_leaves_nothing(void **state)
{
	static const struct {
		const char *fault;
		int err;
	} rows[] = {{"file.open=ENOSPC", ENOSPC},
		    {"file.write=ENOSPC", ENOSPC},
		    {"file.sync=EIO", EIO},
		    {"file.dirsync=EIO", EIO}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig r;

		set_up(&r, 1 << 20, rows[i].fault);
		start(&r);
		wait_for(&r, &r.heard.opened);
		assert_int_equal(r.heard.open.err, rows[i].err);
		assert_non_null(strstr(r.heard.open.text, name));
		assert_false(file_is_there(in_spool(".part")));
		tear_down(&r);
	}
}

static void what_the_queue_has_no_room_for_becomes_silence(void **state)
{
	int64_t dropped = counter_get(COUNT_bytes_dropped);
	uint8_t big[5 * FRAME_LEN] = {0};
	struct rig r;

	(void)state;
	set_up(&r, 4 * FRAME_LEN, NULL);
	open_file(&r);
	append(&r, 1);
	assert_int_equal(record_file_append(r.file, big, sizeof(big)), EAGAIN);
	append(&r, 2);
	record_file_skip(r.file, FRAME_LEN);
	close_file(&r);
	expect_frames(&r, (const uint8_t[]){1, 0, 0, 0, 0, 0, 2, 0}, 8);
	assert_int_equal(counter_get(COUNT_bytes_dropped) - dropped,
			 sizeof(big));
	tear_down(&r);
}

static void appends_that_wait_together_are_one_write(void **state)
{
	struct rig r;

	(void)state;
	/* The first is the placeholder, the second the sound. */
	set_up(&r, 1 << 20, "file.write=EIO:3");
	open_file(&r);
	append(&r, 1);
	append(&r, 2);
	append(&r, 3);
	close_file(&r);
	assert_int_equal(r.heard.failed, 0);
	expect_frames(&r, (const uint8_t[]){1, 2, 3}, 3);
	tear_down(&r);
}

static void a_failed_write_is_told_once_and_keeps_what_was_written(void **state)
{
	uint8_t big[5 * FRAME_LEN] = {0};
	struct rig r;

	(void)state;
	set_up(&r, 4 * FRAME_LEN, "file.write=ENOSPC:3");
	open_file(&r);
	append(&r, 1);
	/* A gap is a write of its own: the third. */
	assert_int_equal(record_file_append(r.file, big, sizeof(big)), EAGAIN);
	append(&r, 2);
	append(&r, 3);
	close_file(&r);
	assert_int_equal(r.heard.failed, 1);
	assert_int_equal(r.heard.fail.err, ENOSPC);
	expect_frames(&r, (const uint8_t[]){1}, 1);
	tear_down(&r);
}

static void a_failure_at_close_is_told_and_the_part_stays(void **state)
{
	/* The counts are those of opening, and one. */
	static const struct {
		const char *fault;
		int err;
	} rows[] = {{"file.sync=EIO:2", EIO}, {"file.rename=EACCES", EACCES}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig r;

		set_up(&r, 1 << 20, rows[i].fault);
		open_file(&r);
		append(&r, 1);
		close_file(&r);
		assert_int_equal(r.heard.close.err, rows[i].err);
		assert_non_null(strstr(r.heard.close.text, name));
		assert_true(file_is_there(in_spool(".part")));
		assert_false(file_is_there(in_spool("")));
		tear_down(&r);
	}
}

static void a_directory_that_cannot_be_synced_fails_the_close(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 1 << 20, "file.dirsync=EIO:2");
	open_file(&r);
	append(&r, 1);
	close_file(&r);
	assert_int_equal(r.heard.close.err, EIO);
	tear_down(&r);
}

static void the_rename_never_goes_over_another_file(void **state)
{
	struct rig r;
	char got[8];

	(void)state;
	set_up(&r, 1 << 20, NULL);
	open_file(&r);
	append(&r, 1);
	put_file(in_spool(""), "other", 5);
	close_file(&r);
	assert_int_equal(r.heard.close.err, EEXIST);
	assert_int_equal(get_file(in_spool(""), got, sizeof(got)), 5);
	assert_true(file_is_there(in_spool(".part")));
	tear_down(&r);
}

static void a_failed_sync_of_all_is_counted_and_goes_on(void **state)
{
	int64_t errors = counter_get(COUNT_file_errors);
	struct rig r;

	(void)state;
	set_up(&r, 1 << 20, "file.syncfs=EIO");
	open_file(&r);
	append(&r, 1);
	close_file(&r);
	expect_frames(&r, (const uint8_t[]){1}, 1);
	tear_down(&r);
	assert_true(counter_get(COUNT_file_errors) > errors);
}

static void the_end_of_the_threads_writes_what_is_queued(void **state)
{
	struct rig r;
	uint8_t got[4 * FRAME_LEN];
	uint8_t frame[FRAME_LEN];

	(void)state;
	set_up(&r, 1 << 20, NULL);
	start(&r);
	append(&r, 7);
	append(&r, 8);
	record_files_free(r.files);
	r.files = NULL;
	/* the placeholder is longer than the sound */
	assert_int_equal(get_file(in_spool(".part"), got, sizeof(got)),
			 RECORD_FRAMES_MIN * FRAME_LEN);
	make_frame(frame, 8);
	assert_memory_equal(got + FRAME_LEN, frame, FRAME_LEN);
	loop_turn(r.loop, 0);
	assert_int_equal(r.heard.opened, 1);
	tear_down(&r);
}

/* The one test that waits: for the period of the writes, 1 s. */
static void sound_is_written_without_a_close_within_seconds(void **state)
{
	struct rig r;
	uint8_t got[5 * FRAME_LEN];
	size_t len = 0;

	(void)state;
	set_up(&r, 1 << 20, NULL);
	open_file(&r);
	for (uint8_t i = 1; i <= 4; i++)
		append(&r, i);
	for (int i = 0; i < 3000 && len != 4 * FRAME_LEN; i++) {
		loop_turn(r.loop, 10000);
		len = get_file(in_spool(".part"), got, sizeof(got));
	}
	assert_int_equal(len, 4 * FRAME_LEN);
	close_file(&r);
	expect_frames(&r, (const uint8_t[]){1, 2, 3, 4}, 4);
	tear_down(&r);
}

static void many_files_at_once_come_out_whole(void **state)
{
	enum { N = 40 };
	struct heard heard[N] = {{0}};
	struct record_file *files[N];
	struct rig r;

	(void)state;
	set_up(&r, 1 << 20, NULL);
	for (int i = 0; i < N; i++) {
		char text[64];
		uint8_t frame[FRAME_LEN];
		struct record_file_open how = {.name = text,
					       .opening = mp3_opening(),
					       .loop = r.loop,
					       .opened = on_opened,
					       .failed = on_failed,
					       .arg = &heard[i]};

		snprintf(text, sizeof(text), "1_r_%d/a.mp3", i);
		make_frame(frame, (uint8_t)i);
		assert_int_equal(record_file_open(r.files, &how, &files[i]), 0);
		for (int k = 0; k < 20; k++)
			assert_int_equal(
				record_file_append(files[i], frame, FRAME_LEN),
				0);
		record_file_close(files[i], on_closed, &heard[i]);
		record_file_unref(files[i]);
	}
	for (int i = 0; i < N; i++) {
		wait_for(&r, &heard[i].closed);
		assert_int_equal(heard[i].close.err, 0);
		assert_int_equal(heard[i].close.len, 20 * FRAME_LEN);
	}
	tear_down(&r);
}

static void record_without_memory(void)
{
	struct rig r = {0};
	struct record_files_config config = {.threads = 2,
					     .max_queue_bytes = 1 << 20};
	struct record_file_open how = {.name = name,
				       .opening = mp3_opening(),
				       .opened = on_opened,
				       .arg = &r.heard};
	int err = 0;

	tempdir_make(dir);
	config.spool_dir = tempdir_path(dir, "spool");
	if (!loop_new(&r.loop) && !record_files_new(&config, &r.files)) {
		how.loop = r.loop;
		err = record_file_open(r.files, &how, &r.file);
		assert_true(!err || err == ENOMEM);
	}
	if (r.file) {
		err = record_file_append(r.file, silent_frame(), FRAME_LEN);
		assert_true(!err || err == EAGAIN);
		record_file_tell(r.file, FRAME_FRAMES);
		close_file(&r);
		assert_int_equal(r.heard.close.err, 0);
		assert_int_equal(r.heard.close.len, FRAME_LEN);
	}
	record_file_unref(r.file);
	record_files_free(r.files);
	if (r.loop)
		loop_turn(r.loop, 0);
	loop_free(r.loop);
	tempdir_remove(dir);
}

static void without_memory_it_says_so_and_gives_back_all(void **state)
{
	(void)state;
	OOM_SWEEP(record_without_memory);
}

/* ---- kill -9 --------------------------------------------------------------- */

/** In a child: record three frames, crash on the way. */
static void record_and_die(const char *at)
{
	struct rig r;

	setenv("TAPEOP_CRASH_AT", at, 1);
	rig_begin(&r, dir, 1, 1 << 20, NULL);
	open_file(&r);
	append(&r, 1);
	append(&r, 2);
	append(&r, 3);
	close_file(&r);
	_exit(3);
}

static bool dies_at(const char *at, void (*fn)(const char *at))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		fn(at);
		_exit(4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/** Whole frames, the first sound or the placeholder; returns how many. */
static size_t recover_whole(bool *there, bool *silent)
{
	struct record_found found;
	struct err err = {0};
	uint8_t got[8 * FRAME_LEN];
	uint8_t frame[FRAME_LEN];
	size_t n;

	assert_int_equal(
		record_recover(tempdir_path(dir, "spool"), name, &found, &err),
		0);
	*there = found.there;
	*silent = false;
	if (!found.there)
		return 0;
	assert_int_equal(get_file(in_spool(""), got, sizeof(got)), found.len);
	assert_int_equal(found.len % FRAME_LEN, 0);
	n = (size_t)found.len / FRAME_LEN;
	assert_int_equal(found.frames, n * 1152);
	*silent = !memcmp(got, silent_frame(), FRAME_LEN);
	for (size_t i = 0; i < n; i++) {
		make_frame(frame, *silent ? 0 : (uint8_t)(i + 1));
		assert_memory_equal(got + i * FRAME_LEN, frame, FRAME_LEN);
	}
	assert_false(file_is_there(in_spool(".part")));
	return n;
}

static void a_kill_at_any_step_leaves_a_file_that_plays(void **state)
{
	static const struct {
		const char *at;
		bool there;
		bool silent; /* the placeholder, as many frames */
	} rows[] = {
		{"file.open.before", false, false},
		{"file.open.after", true, true},
		{"file.write", true, true},
		{"file.sync", true, false},
		{"file.rename.before", true, false},
		{"file.rename.after", true, false},
		{"file.dirsync", true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = rows[i].there ? 3 : 0;
		bool there;
		bool silent;

		tempdir_make(dir);
		assert_true(dies_at(rows[i].at, record_and_die));
		assert_int_equal(recover_whole(&there, &silent), n);
		assert_int_equal(there, rows[i].there);
		assert_int_equal(silent, rows[i].silent);
		/* Again is harmless. */
		assert_int_equal(recover_whole(&there, &silent), n);
		tempdir_remove(dir);
	}
}

static void recover_and_die(const char *at)
{
	struct record_found found;
	struct err err;

	setenv("TAPEOP_CRASH_AT", at, 1);
	crash_reload();
	if (record_recover(tempdir_path(dir, "spool"), name, &found, &err))
		_exit(2);
	_exit(3);
}

static void a_kill_during_recovery_is_recovered_too(void **state)
{
	static const char *const at[] = {"file.sync", "file.rename.before",
					 "file.rename.after", "file.dirsync"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		bool there;
		bool silent;

		tempdir_make(dir);
		assert_true(dies_at("file.sync", record_and_die));
		assert_true(dies_at(at[i], recover_and_die));
		assert_int_equal(recover_whole(&there, &silent), 3);
		assert_true(there);
		tempdir_remove(dir);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The forks first: nothing else runs in this process yet. */
		cmocka_unit_test(a_kill_at_any_step_leaves_a_file_that_plays),
		cmocka_unit_test(a_kill_during_recovery_is_recovered_too),
		cmocka_unit_test(
			a_file_holds_what_was_appended_and_its_hash_is_told),
		cmocka_unit_test(
			orders_given_before_it_is_open_are_kept_in_order),
		cmocka_unit_test(a_file_without_sound_loses_its_placeholder),
		cmocka_unit_test(a_name_that_is_taken_is_refused),
		cmocka_unit_test(
			a_failure_while_opening_is_told_and_leaves_nothing),
		cmocka_unit_test(
			what_the_queue_has_no_room_for_becomes_silence),
		cmocka_unit_test(appends_that_wait_together_are_one_write),
		cmocka_unit_test(
			a_failed_write_is_told_once_and_keeps_what_was_written),
		cmocka_unit_test(a_failure_at_close_is_told_and_the_part_stays),
		cmocka_unit_test(
			a_directory_that_cannot_be_synced_fails_the_close),
		cmocka_unit_test(the_rename_never_goes_over_another_file),
		cmocka_unit_test(a_failed_sync_of_all_is_counted_and_goes_on),
		cmocka_unit_test(the_end_of_the_threads_writes_what_is_queued),
		cmocka_unit_test(
			sound_is_written_without_a_close_within_seconds),
		cmocka_unit_test(without_memory_it_says_so_and_gives_back_all),
		cmocka_unit_test(many_files_at_once_come_out_whole),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
