/** test/unit/record_ogg_files_test.c -- Ogg files on disk: whole whenever the
 *  process is killed, and when a disk fails. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "ogg_aid.h"
#include "oom.h"
#include "record_files_aid.h"
#include "tempdir.h"
#include "wire/ogg.h"
#include "wire/sig.h"

enum {
	N_PAGES = 4, /* of sound */
	PACKETS = 10 /* of 20 ms in a page */
};

static const char name[] = "1_r_u/a_audio.ogg";
static const uint32_t page_frames = PACKETS * 960;

static char dir[TEMPDIR_CAP];

/* ---- a file ---------------------------------------------------------------- */

static struct track_opening opening;
static struct buf sound;	      /* its pages behind the head */
static size_t page_ends[N_PAGES + 1]; /* in `sound`, from 0 */

/** Packets that are silent to a decoder; bytes do not matter here. */
static void make_file(void)
{
	const struct sound_ogg_head head = {.serial = 4711, .channels = 1};
	struct sound_ogg *o;

	opening = (struct track_opening){.kind = TRACK_OGG_COPY};
	opening.head_len = sound_ogg_write_head(&head, opening.bytes);
	opening.placeholder_len = sound_ogg_write_silence(
		&head, RECORD_OGG_MIN, opening.bytes + opening.head_len);
	buf_fini(&sound);
	buf_init(&sound, 1 << 20);
	assert_int_equal(sound_ogg_new(&o), 0);
	sound_ogg_begin(o, head.serial);
	for (int i = 0; i < N_PAGES * PACKETS; i++) {
		struct sound_made m = sound_make_silence(960, false);

		assert_int_equal(
			sound_ogg_put(o, m.data, m.len, m.frames, &sound), 0);
		/* One more than is flushed. */
		if (i % PACKETS == 0 && i > 0) {
			assert_int_equal(sound_ogg_flush(o, &sound), 0);
			page_ends[i / PACKETS] = sound.len;
		}
	}
	assert_int_equal(sound_ogg_end(o, N_PAGES * page_frames, &sound), 0);
	page_ends[N_PAGES] = sound.len;
	sound_ogg_free(o);
}

static int set_up(void **state)
{
	(void)state;
	tempdir_make(dir);
	make_file();
	return file_mkdirs(tempdir_path(dir, "spool/1_r_u"));
}

static int tear_down(void **state)
{
	(void)state;
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	tempdir_remove(dir);
	buf_fini(&sound);
	return 0;
}

static const char *whole(void)
{
	return tempdir_path(dir, "spool/1_r_u/a_audio.ogg");
}

static const char *part(void)
{
	return tempdir_path(dir, "spool/1_r_u/a_audio.ogg.part");
}

/** The file up to `len` bytes, then `tail`. */
static void put_torn(size_t len, const void *tail, size_t tail_len)
{
	static uint8_t bytes[1 << 16];
	const size_t head = opening.head_len;

	assert_true(len <= head + sound.len &&
		    head + sound.len + tail_len <= sizeof(bytes));
	memcpy(bytes, opening.bytes, head);
	memcpy(bytes + head, sound.data, sound.len);
	if (tail_len)
		memcpy(bytes + len, tail, tail_len);
	put_file(part(), bytes, len + tail_len);
}

/** It plays, is ended, and what is told of it is so. */
static uint64_t expect_plays(uint64_t frames, int64_t len, const char *sha,
			     size_t holes)
{
	static uint8_t bytes[1 << 20];
	const size_t n = get_file(whole(), bytes, sizeof(bytes));
	struct played p = ogg_play(bytes, n);
	char hex[65];

	assert_false(p.is_odd);
	assert_true(p.ended);
	assert_int_equal(p.holes, holes);
	if (!holes)
		assert_int_equal(p.n, frames);
	assert_int_equal(n, len);
	assert_int_equal(sig_sha256_hex(bytes, n, hex), 0);
	assert_string_equal(sha, hex);
	assert_false(file_is_there(part()));
	free(p.pcm);
	return frames;
}

/* ---- recovery -------------------------------------------------------------- */

static int recover(struct record_found *found)
{
	struct err err = {0};

	return record_recover(tempdir_path(dir, "spool"), name, found, &err);
}

static void expect_recovered(uint64_t frames)
{
	struct record_found found;

	for (int i = 0; i < 2; i++) { /* again is harmless */
		assert_int_equal(recover(&found), 0);
		assert_true(found.there);
		assert_int_equal(found.frames, frames);
		expect_plays(frames, found.len, found.sha256, 0);
	}
	assert_int_equal(unlink(whole()), 0);
}

static void a_torn_part_is_cut_to_its_last_whole_page(void **state)
{
	const size_t head = opening.head_len;

	(void)state;
	for (size_t len = head; len <= head + sound.len; len++) {
		size_t n = 0;

		while (n < N_PAGES && page_ends[n + 1] + head <= len)
			n++;
		/* not all: each costs some fsyncs */
		if (len % 7 && len - head - page_ends[n] > 1)
			continue;
		put_torn(len, NULL, 0);
		/* Without any sound: silence, as when it was opened. */
		expect_recovered(n ? n * page_frames : RECORD_OGG_MIN);
	}
}

static void what_is_behind_the_last_whole_page_goes(void **state)
{
	uint8_t tail[500] = {0};
	const size_t at = opening.head_len + page_ends[2];

	(void)state;
	put_torn(at, tail, sizeof(tail)); /* zeros behind a power cut */
	expect_recovered(2 * page_frames);
	memcpy(tail, sound.data, 40); /* a page of before, torn */
	put_torn(at, tail, sizeof(tail));
	expect_recovered(2 * page_frames);
	put_torn(opening.head_len, tail, sizeof(tail));
	expect_recovered(RECORD_OGG_MIN);
	put_torn(opening.head_len + sound.len, "garbage", 7);
	expect_recovered(N_PAGES * page_frames);
}

static void a_part_without_its_head_counts_as_not_there(void **state)
{
	struct record_found found;

	(void)state;
	for (size_t len = 0; len < opening.head_len; len++) {
		put_torn(len, NULL, 0);
		found.there = true;
		assert_int_equal(recover(&found), 0);
		assert_false(found.there);
		assert_int_equal(file_is_there(part()), len > 0);
	}
}

static uint32_t dice(void)
{
	static uint32_t seed = 7;

	seed = seed * 1103515245U + 12345U;
	return seed >> 8;
}

static void anything_may_lie_there(void **state)
{
	uint8_t noise[3000];
	struct record_found found;

	(void)state;
	for (int i = 0; i < 300; i++) {
		for (size_t k = 0; k < sizeof(noise); k++)
			noise[k] = (uint8_t)dice();
		if (i % 2)
			put_torn(dice() % (opening.head_len + sound.len), noise,
				 sizeof(noise));
		else
			put_file(part(), noise, sizeof(noise));
		assert_int_equal(recover(&found), 0);
		if (found.there) {
			expect_plays(found.frames, found.len, found.sha256, 0);
			assert_int_equal(unlink(whole()), 0);
		}
	}
}

static void a_finished_file_is_found_as_it_is(void **state)
{
	struct record_found found;

	(void)state;
	put_torn(opening.head_len + sound.len, NULL, 0);
	assert_int_equal(rename(part(), whole()), 0);
	assert_int_equal(recover(&found), 0);
	assert_true(found.there);
	assert_int_equal(found.len, opening.head_len + sound.len);
	assert_int_equal(found.frames, N_PAGES * page_frames);
}

static void failures_are_told_and_can_be_tried_again(void **state)
{
	static const struct {
		const char *fault;
		int err;
	} rows[] = {{"file.truncate=EIO", EIO},
		    {"file.sync=EIO", EIO},
		    {"file.rename=EACCES", EACCES}};
	struct record_found found;

	(void)state;
	put_torn(opening.head_len + page_ends[1] + 11, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv("TAPEOP_FAULT", rows[i].fault, 1);
		crash_reload();
		assert_int_equal(recover(&found), rows[i].err);
	}
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	expect_recovered(page_frames);
}

static void recover_without_memory(void)
{
	struct record_found found;
	struct err err;
	int code;

	put_torn(opening.head_len + page_ends[3] - 1, NULL, 0);
	code = record_recover(tempdir_path(dir, "spool"), name, &found, &err);
	assert_true(code == 0 || code == ENOMEM);
	(void)unlink(whole());
}

static void recovery_survives_every_failed_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(recover_without_memory);
}

/* ---- file threads ---------------------------------------------------------- */

static void open_file(struct rig *r, size_t max_queue, const char *fault)
{
	rig_begin(r, dir, 1, max_queue, fault);
	start_open(r, name, &opening);
	wait_for(r, &r->heard.opened);
	assert_int_equal(r->heard.open.err, 0);
}

static int append_page(struct rig *r, size_t i)
{
	return record_file_append(r->file, sound.data + page_ends[i],
				  page_ends[i + 1] - page_ends[i]);
}

static void end(struct rig *r)
{
	rig_end(r);
	(void)unlink(whole());
}

static void expect_closed(const struct rig *r, uint64_t frames, size_t holes)
{
	assert_int_equal(r->heard.close.err, 0);
	assert_int_equal(r->heard.close.frames, frames);
	expect_plays(frames, r->heard.close.len, r->heard.close.sha256, holes);
}

static void a_file_is_head_and_pages(void **state)
{
	static uint8_t got[1 << 16];
	struct rig r;
	size_t n;

	(void)state;
	open_file(&r, 1 << 20, NULL);
	/* Until sound comes there is some silence, so that it plays. */
	n = get_file(part(), got, sizeof(got));
	assert_int_equal(n, opening.head_len + opening.placeholder_len);
	assert_memory_equal(got, opening.bytes, n);
	for (size_t i = 0; i < N_PAGES; i++)
		assert_int_equal(append_page(&r, i), 0);
	record_file_tell(r.file, N_PAGES * page_frames);
	close_file(&r);
	expect_closed(&r, N_PAGES * page_frames, 0);
	n = get_file(whole(), got, sizeof(got));
	assert_int_equal(n, opening.head_len + sound.len);
	assert_memory_equal(got, opening.bytes, opening.head_len);
	assert_memory_equal(got + opening.head_len, sound.data, sound.len);
	end(&r);
}

static void a_file_of_which_nothing_is_told_is_looked_at(void **state)
{
	struct rig r;

	(void)state;
	open_file(&r, 1 << 20, NULL);
	assert_int_equal(append_page(&r, 0), 0);
	assert_int_equal(append_page(&r, 1), 0);
	close_file(&r);
	expect_closed(&r, 2 * page_frames, 0);
	end(&r);
}

static void a_file_without_sound_keeps_its_placeholder(void **state)
{
	struct rig r;

	(void)state;
	open_file(&r, 1 << 20, NULL);
	close_file(&r);
	expect_closed(&r, RECORD_OGG_MIN, 0);
	end(&r);
}

static void what_the_queue_has_no_room_for_is_left_out(void **state)
{
	struct rig r;

	(void)state;
	open_file(&r, page_ends[2], NULL);
	assert_int_equal(append_page(&r, 0), 0);
	assert_int_equal(record_file_append(r.file, sound.data, sound.len),
			 EAGAIN);
	record_file_skip(r.file, 1);
	assert_int_equal(append_page(&r, N_PAGES - 1), 0);
	record_file_tell(r.file, N_PAGES * page_frames);
	close_file(&r);
	expect_closed(&r, N_PAGES * page_frames, 1);
	end(&r);
}

static void a_file_that_lost_its_last_page_is_ended_before(void **state)
{
	struct rig r;

	(void)state;
	open_file(&r, page_ends[2], NULL);
	assert_int_equal(append_page(&r, 0), 0);
	assert_int_equal(record_file_append(r.file, sound.data, sound.len),
			 EAGAIN);
	record_file_tell(r.file, N_PAGES * page_frames);
	close_file(&r);
	expect_closed(&r, page_frames, 0);
	end(&r);
}

static void a_failed_write_keeps_what_was_written(void **state)
{
	static const struct {
		const char *fault;
		uint64_t frames;
	} rows[] = {{"file.write=ENOSPC:2", RECORD_OGG_MIN},
		    {"file.write=ENOSPC:3", PACKETS * 960}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rig r;

		open_file(&r, 1 << 20, rows[i].fault);
		assert_int_equal(append_page(&r, 0), 0);
		record_file_skip(r.file, 1); /* a gap ends a write */
		assert_int_equal(append_page(&r, N_PAGES - 1), 0);
		record_file_tell(r.file, N_PAGES * page_frames);
		close_file(&r);
		assert_int_equal(r.heard.failed, 1);
		assert_int_equal(r.heard.fail.err, ENOSPC);
		expect_closed(&r, rows[i].frames, 0);
		end(&r);
	}
}

/* ---- kill -9 --------------------------------------------------------------- */

static void record_and_die(const char *at)
{
	struct rig r;

	setenv("TAPEOP_CRASH_AT", at, 1);
	open_file(&r, 1 << 20, NULL);
	for (size_t i = 0; i < N_PAGES; i++)
		(void)!append_page(&r, i);
	record_file_tell(r.file, N_PAGES * page_frames);
	close_file(&r);
	_exit(3);
}

static void recover_and_die(const char *at)
{
	struct record_found found;

	setenv("TAPEOP_CRASH_AT", at, 1);
	crash_reload();
	(void)!recover(&found);
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

static void a_kill_at_any_step_leaves_a_file_that_plays(void **state)
{
	static const struct {
		const char *at;
		uint64_t frames;
	} rows[] = {
		{"file.open.after", RECORD_OGG_MIN},
		{"file.write", RECORD_OGG_MIN},
		{"file.sync", N_PAGES * PACKETS * 960},
		{"file.rename.before", N_PAGES * PACKETS * 960},
		{"file.rename.after", N_PAGES * PACKETS * 960},
		{"file.dirsync", N_PAGES * PACKETS * 960},
	};
	struct record_found found;

	(void)state;
	assert_true(dies_at("file.open.before", record_and_die));
	assert_int_equal(recover(&found), 0);
	assert_false(found.there);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(dies_at(rows[i].at, record_and_die));
		expect_recovered(rows[i].frames);
	}
}

static void a_kill_during_recovery_is_recovered_too(void **state)
{
	static const char *const at[] = {"file.sync", "file.rename.before",
					 "file.rename.after", "file.dirsync"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		put_torn(opening.head_len + page_ends[2] + 20, NULL, 0);
		assert_true(dies_at(at[i], recover_and_die));
		expect_recovered(2 * page_frames);
	}
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The forks first: nothing else runs in this process yet. */
		IN_DIR(a_kill_at_any_step_leaves_a_file_that_plays),
		IN_DIR(a_kill_during_recovery_is_recovered_too),
		IN_DIR(a_torn_part_is_cut_to_its_last_whole_page),
		IN_DIR(what_is_behind_the_last_whole_page_goes),
		IN_DIR(a_part_without_its_head_counts_as_not_there),
		IN_DIR(anything_may_lie_there),
		IN_DIR(a_finished_file_is_found_as_it_is),
		IN_DIR(failures_are_told_and_can_be_tried_again),
		IN_DIR(recovery_survives_every_failed_allocation),
		IN_DIR(a_file_is_head_and_pages),
		IN_DIR(a_file_of_which_nothing_is_told_is_looked_at),
		IN_DIR(a_file_without_sound_keeps_its_placeholder),
		IN_DIR(what_the_queue_has_no_room_for_is_left_out),
		IN_DIR(a_file_that_lost_its_last_page_is_ended_before),
		IN_DIR(a_failed_write_keeps_what_was_written),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
