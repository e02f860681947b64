/** test/unit/record_recover_test.c -- what a crash left, the quarantine, the
 *  manifest. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/crash.h"
#include "base/log.h"
#include "record_aid.h"
#include "tempdir.h"
#include "wire/sig.h"

static const char name[] = "1_r_u/a_audio.mp3";

static char dir[TEMPDIR_CAP];

static int set_up(void **state)
{
	(void)state;
	tempdir_make(dir);
	return file_mkdirs(tempdir_path(dir, "spool/1_r_u"));
}

static int tear_down(void **state)
{
	(void)state;
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	tempdir_remove(dir);
	return 0;
}

static const char *part(void)
{
	return tempdir_path(dir, "spool/1_r_u/a_audio.mp3.part");
}

static const char *whole(void)
{
	return tempdir_path(dir, "spool/1_r_u/a_audio.mp3");
}

static int recover(struct record_found *found)
{
	struct err err = {0};
	int code =
		record_recover(tempdir_path(dir, "spool"), name, found, &err);

	if (code)
		assert_non_null(strstr(err.text, name));
	return code;
}

/** `n` frames and `tail` bytes of the next. */
static void put_torn(const char *path, size_t n, size_t tail)
{
	uint8_t bytes[1000 * FRAME_LEN];

	assert_true((n + 1) * FRAME_LEN <= sizeof(bytes));
	for (size_t i = 0; i <= n; i++)
		make_frame(bytes + i * FRAME_LEN, (uint8_t)i);
	put_file(path, bytes, n * FRAME_LEN + tail);
}

static void expect_frames(size_t n)
{
	uint8_t bytes[1000 * FRAME_LEN];
	struct record_found found;
	char hex[65];
	size_t len;

	assert_int_equal(recover(&found), 0);
	assert_true(found.there);
	assert_int_equal(found.len, n * FRAME_LEN);
	assert_int_equal(found.frames, n * FRAME_FRAMES);
	len = get_file(whole(), bytes, sizeof(bytes));
	assert_int_equal(len, n * FRAME_LEN);
	assert_int_equal(sig_sha256_hex(bytes, len, hex), 0);
	assert_string_equal(found.sha256, hex);
	assert_false(file_is_there(part()));
}

static void a_torn_part_is_cut_to_its_last_whole_frame(void **state)
{
	static const struct {
		size_t n, tail;
	} rows[] = {{1, 0}, {1, 1}, {3, 3}, {3, 4}, {3, 191}, {999, 100}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put_torn(part(), rows[i].n, rows[i].tail);
		expect_frames(rows[i].n);
		expect_frames(rows[i].n); /* again */
		assert_int_equal(unlink(whole()), 0);
	}
}

static void a_part_is_cut_where_it_holds_no_frames(void **state)
{
	uint8_t bytes[5 * FRAME_LEN] = {0};

	(void)state;
	make_frame(bytes, 1);
	make_frame(bytes + FRAME_LEN, 2);
	put_file(part(), bytes, sizeof(bytes)); /* zeros behind a power cut */
	expect_frames(2);
}

static void a_finished_file_is_found_as_it_is(void **state)
{
	(void)state;
	put_torn(whole(), 5, 0);
	expect_frames(5);
}

static void a_rename_that_was_half_done_is_finished(void **state)
{
	(void)state;
	put_torn(whole(), 4, 0);
	assert_int_equal(link(whole(), part()), 0);
	expect_frames(4);
}

static void nothing_there_is_no_error(void **state)
{
	struct record_found found = {.there = true};

	(void)state;
	assert_int_equal(recover(&found), 0);
	assert_false(found.there);
	tempdir_remove(tempdir_path(dir, "spool"));
	found.there = true;
	assert_int_equal(recover(&found), 0);
	assert_false(found.there);
}

static void a_part_without_a_frame_counts_as_not_there(void **state)
{
	struct record_found found;

	(void)state;
	put_file(part(), "", 0);
	assert_int_equal(recover(&found), 0);
	assert_false(found.there);
	assert_false(file_is_there(part()));

	put_torn(part(), 0, 100);
	assert_int_equal(recover(&found), 0);
	assert_false(found.there);
	assert_true(file_is_there(part())); /* for the quarantine */
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
	put_torn(part(), 2, 7);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setenv("TAPEOP_FAULT", rows[i].fault, 1);
		crash_reload();
		assert_int_equal(recover(&found), rows[i].err);
	}
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	expect_frames(2);
}

/* ---- quarantine ------------------------------------------------------------ */

static bool is_known(const char *what, void *arg)
{
	(*(int *)arg)++;
	assert_null(strstr(what, ".part"));
	return !strcmp(what, name) || !strcmp(what, "1_r_u/open.mp3");
}

static int sweep(size_t *moved)
{
	int asked = 0;

	return record_quarantine(tempdir_path(dir, "spool"),
				 tempdir_path(dir, "quarantine"), is_known,
				 &asked, moved);
}

static void files_without_a_row_go_to_the_quarantine(void **state)
{
	char got[8];
	size_t moved = 9;

	(void)state;
	put_file(whole(), "mine", 4);
	put_file(tempdir_path(dir, "spool/1_r_u/open.mp3.part"), "mine", 4);
	put_file(tempdir_path(dir, "spool/1_r_u/x.mp3.part"), "part", 4);
	put_file(tempdir_path(dir, "spool/1_r_u/x.mp3"), "full", 4);
	put_file(tempdir_path(dir, "spool/top"), "top", 3);
	assert_int_equal(sweep(&moved), 0);
	assert_int_equal(moved, 3);
	assert_true(file_is_there(whole()));
	assert_true(
		file_is_there(tempdir_path(dir, "spool/1_r_u/open.mp3.part")));
	assert_false(file_is_there(tempdir_path(dir, "spool/top")));
	get_file(tempdir_path(dir, "quarantine/1_r_u/x.mp3.part"), got, 4);
	assert_memory_equal(got, "part", 4);
	get_file(tempdir_path(dir, "quarantine/1_r_u/x.mp3"), got, 4);
	assert_memory_equal(got, "full", 4);
	assert_true(file_is_there(tempdir_path(dir, "quarantine/top")));
	assert_int_equal(sweep(&moved), 0);
	assert_int_equal(moved, 0);
}

static void the_quarantine_overwrites_nothing(void **state)
{
	static const char *const names[] = {"quarantine/x", "quarantine/x.1",
					    "quarantine/x.2"};
	char got[1];
	size_t moved;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		put_file(tempdir_path(dir, "spool/x"),
			 (const char *[]){"0", "1", "2"}[i], 1);
		assert_int_equal(sweep(&moved), 0);
		assert_int_equal(moved, 1);
	}
	for (size_t i = 0; i < 3; i++) {
		get_file(tempdir_path(dir, names[i]), got, 1);
		assert_int_equal(got[0], '0' + (int)i);
	}
}

static void a_spool_that_is_not_there_has_nothing_to_move(void **state)
{
	size_t moved = 9;

	(void)state;
	tempdir_remove(tempdir_path(dir, "spool"));
	assert_int_equal(sweep(&moved), 0);
	assert_int_equal(moved, 0);
}

/* ---- manifest -------------------------------------------------------------- */

static const struct manifest_segment rows[] = {
	{.user = "alice",
	 .mode = MANIFEST_SINGLE,
	 .seq = 0,
	 .file = "d/a.mp3",
	 .start_ms = 1675930605123,
	 .duration_ms = 3000,
	 .size = 24000,
	 .sha256 = "ab",
	 .state = "closed"},
	{.user = "0",
	 .mode = MANIFEST_MIXED,
	 .seq = 1,
	 .file = "d/m.mp3",
	 .sha256 = "",
	 .state = "lost"},
	{.user = "alice",
	 .mode = MANIFEST_SINGLE,
	 .seq = 1,
	 .file = "d/b.mp3",
	 .sha256 = "cd",
	 .state = "closed"},
};

static const struct manifest sample = {.app = 1400000000,
				       .room = "r\"\xc3\xa9",
				       .task = UINT64_MAX,
				       .mode = "both",
				       .format = "mp3",
				       .sample_rate = 24000,
				       .start_ms = 1675930605000,
				       .stop_ms = 1675930609000,
				       .segments = rows,
				       .n_segments = ARRAY_LEN(rows)};

static void the_manifest_names_users_and_segments(void **state)
{
	struct buf b;
	json_t *root;
	json_t *first;

	(void)state;
	buf_init(&b, 1 << 16);
	manifest_write(&sample, &b);
	assert_int_equal(buf_err(&b), 0);
	root = json_loads(buf_str(&b), 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "task_id")),
			    "18446744073709551615");
	assert_int_equal(json_integer_value(json_object_get(root, "app")),
			 1400000000);
	assert_string_equal(json_string_value(json_object_get(root, "room")),
			    sample.room);
	assert_string_equal(json_string_value(json_object_get(root, "mode")),
			    "both");
	assert_string_equal(json_string_value(json_object_get(root, "format")),
			    "mp3");
	assert_int_equal(
		json_integer_value(json_object_get(root, "sample_rate")),
		24000);
	assert_int_equal(json_array_size(json_object_get(root, "users")), 1);
	assert_int_equal(json_array_size(json_object_get(root, "segments")), 3);
	first = json_array_get(json_object_get(root, "segments"), 0);
	assert_int_equal(json_integer_value(json_object_get(first, "start_ms")),
			 1675930605123);
	assert_int_equal(json_integer_value(json_object_get(first, "size")),
			 24000);
	assert_string_equal(json_string_value(json_object_get(first, "mode")),
			    "single");
	json_decref(root);
	buf_fini(&b);
}

static void a_manifest_that_does_not_fit_is_an_error(void **state)
{
	struct manifest bad = sample;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	manifest_write(&sample, &b);
	assert_int_equal(buf_err(&b), EMSGSIZE);
	buf_fini(&b);

	buf_init(&b, 1 << 16);
	bad.room = "\xff";
	manifest_write(&bad, &b);
	assert_int_not_equal(buf_err(&b), 0);
	buf_fini(&b);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIR(a_torn_part_is_cut_to_its_last_whole_frame),
		IN_DIR(a_part_is_cut_where_it_holds_no_frames),
		IN_DIR(a_finished_file_is_found_as_it_is),
		IN_DIR(a_rename_that_was_half_done_is_finished),
		IN_DIR(nothing_there_is_no_error),
		IN_DIR(a_part_without_a_frame_counts_as_not_there),
		IN_DIR(failures_are_told_and_can_be_tried_again),
		IN_DIR(files_without_a_row_go_to_the_quarantine),
		IN_DIR(the_quarantine_overwrites_nothing),
		IN_DIR(a_spool_that_is_not_there_has_nothing_to_move),
		cmocka_unit_test(the_manifest_names_users_and_segments),
		cmocka_unit_test(a_manifest_that_does_not_fit_is_an_error),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
