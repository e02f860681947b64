/** test/unit/upload_local_test.c -- segments into local storage, again and
 *  again until they are there. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/upload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "oom.h"
#include "tempdir.h"
#include "wire/sig.h"

static const char name[] = "1_r_u/a.mp3";
static const char text[] = "sound";

struct rig {
	char dir[TEMPDIR_CAP];
	char spool[TEMPDIR_CAP + 16];
	char store[TEMPDIR_CAP + 16];
	char sha256[65];
	struct upload_config config;
	struct upload_place place;
	struct loop *loop;
	struct upload *upload;
	int calls;
	int err;	  /* of the last call */
	unsigned attempt; /* of the last call */
	char text[256];
	const char *reason;
};

static void on_result(const struct upload_result *result, void *arg)
{
	struct rig *r = arg;

	assert_int_equal(result->segment, 7);
	r->calls++;
	r->err = result->err;
	r->attempt = result->attempt;
	r->reason = result->reason;
	snprintf(r->text, sizeof(r->text), "%s", result->text);
}

static void set_fault(const char *fault)
{
	if (fault)
		setenv("TAPEOP_FAULT", fault, 1);
	else
		unsetenv("TAPEOP_FAULT");
	crash_reload();
}

/** Without threads, for tests that fork first. */
static void set_up_files(struct rig *r)
{
	*r = (struct rig){0};
	tempdir_make(r->dir);
	snprintf(r->spool, sizeof(r->spool), "%s/spool", r->dir);
	snprintf(r->store, sizeof(r->store), "%s/store", r->dir);
	r->config = (struct upload_config){.spool_dir = r->spool,
					   .retry_first_us = 1000,
					   .retry_max_us = 4000};
	r->place = (struct upload_place){.dir = r->store};
	assert_int_equal(file_mkdirs(tempdir_path(r->dir, "spool/1_r_u")), 0);
	put_file(tempdir_path(r->spool, name), text, strlen(text));
	assert_int_equal(sig_sha256_hex(text, strlen(text), r->sha256), 0);
}

static void start(struct rig *r)
{
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(
		upload_new(r->loop, &r->config, on_result, r, &r->upload), 0);
}

static void set_up(struct rig *r)
{
	set_up_files(r);
	start(r);
}

static void tear_down(struct rig *r)
{
	upload_free(r->upload);
	if (r->loop)
		loop_turn(r->loop, 0);
	loop_free(r->loop);
	tempdir_remove(r->dir);
	set_fault(NULL);
	assert_int_equal(counter_get(COUNT_uploads_pending), 0);
}

static void add(struct rig *r, int64_t len, const char *sha256)
{
	struct upload_item item = {.segment = 7,
				   .name = name,
				   .len = len,
				   .sha256 = sha256,
				   .place = &r->place};

	assert_int_equal(upload_add(r->upload, &item), 0);
	assert_int_equal(upload_pending(r->upload), 1);
}

static void wait_calls(struct rig *r, int calls)
{
	for (int i = 0; i < 1000 && r->calls < calls; i++)
		loop_turn(r->loop, 20000);
	assert_true(r->calls >= calls);
}

static void expect_stored(const struct rig *r)
{
	char got[16];

	assert_int_equal(
		get_file(tempdir_path(r->store, name), got, sizeof(got)),
		strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_false(file_is_there(tempdir_path(r->store, "1_r_u/a.mp3.tmp")));
}

static void upload_and_expect(struct rig *r)
{
	r->calls = 0;
	add(r, (int64_t)strlen(text), r->sha256);
	wait_calls(r, 1);
	assert_int_equal(r->err, 0);
	assert_int_equal(r->attempt, 1);
	assert_int_equal(upload_pending(r->upload), 0);
	expect_stored(r);
}

static void a_segment_is_stored_and_confirmed_once(void **state)
{
	int64_t done = counter_get(COUNT_uploads_done);
	struct rig r;

	(void)state;
	set_up(&r);
	upload_and_expect(&r);
	loop_turn(r.loop, 0);
	assert_int_equal(r.calls, 1);
	assert_int_equal(counter_get(COUNT_uploads_done), done + 1);
	/* The spool's copy is the caller's to drop. */
	assert_true(file_is_there(tempdir_path(r.spool, name)));
	tear_down(&r);
}

static void storing_it_again_is_success(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	upload_and_expect(&r);
	upload_and_expect(&r);
	/* Also when the spool's copy has gone, or is another inode. */
	assert_int_equal(upload_drop_spool(&r.config, name), 0);
	upload_and_expect(&r);
	assert_int_equal(file_mkdirs(tempdir_path(r.spool, "1_r_u")), 0);
	put_file(tempdir_path(r.spool, name), text, strlen(text));
	upload_and_expect(&r);
	tear_down(&r);
}

static void without_a_hash_the_length_is_compared(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	add(&r, (int64_t)strlen(text), "");
	wait_calls(&r, 1);
	assert_int_equal(r.err, 0);
	expect_stored(&r);
	tear_down(&r);
}

static void another_file_of_that_name_is_never_replaced(void **state)
{
	struct rig r;
	char got[16];

	(void)state;
	set_up(&r);
	assert_int_equal(file_mkdirs(tempdir_path(r.store, "1_r_u")), 0);
	put_file(tempdir_path(r.store, name), "other", 5);
	add(&r, (int64_t)strlen(text), r.sha256);
	wait_calls(&r, 1);
	assert_int_equal(r.err, EEXIST);
	assert_string_equal(r.reason, "name_taken");
	assert_non_null(strstr(r.text, name));
	get_file(tempdir_path(r.store, name), got, sizeof(got));
	assert_memory_equal(got, "other", 5);
	/* A person moves it away: the next attempt stores ours. */
	assert_int_equal(unlink(tempdir_path(r.store, name)), 0);
	for (int i = 0; i < 1000 && r.err; i++)
		loop_turn(r.loop, 20000);
	assert_int_equal(r.err, 0);
	assert_true(r.attempt > 1);
	expect_stored(&r);
	tear_down(&r);
}

static void what_is_not_as_recorded_is_never_stored(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	add(&r, 4, r.sha256);
	wait_calls(&r, 2);
	assert_int_equal(r.err, EBADMSG);
	assert_string_equal(r.reason, "file_damaged");
	assert_false(file_is_there(tempdir_path(r.store, name)));
	tear_down(&r);
	set_up(&r);
	add(&r, (int64_t)strlen(text),
	    "0000000000000000000000000000000000000000000000000000000000000000");
	wait_calls(&r, 1);
	assert_int_equal(r.err, EBADMSG);
	assert_false(file_is_there(tempdir_path(r.store, name)));
	tear_down(&r);
}

static void a_missing_file_is_told_and_tried_again(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	assert_int_equal(unlink(tempdir_path(r.spool, name)), 0);
	add(&r, (int64_t)strlen(text), r.sha256);
	wait_calls(&r, 4);
	assert_int_equal(r.err, ENOENT);
	assert_string_equal(r.reason, "file_missing");
	assert_int_equal(r.attempt, (unsigned)r.calls);
	assert_int_equal(upload_pending(r.upload), 1);
	tear_down(&r);
}

static void a_storage_that_is_not_there_is_no_file_that_is_missing(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	assert_int_equal(symlink("/nowhere/at/all", r.store), 0);
	add(&r, (int64_t)strlen(text), r.sha256);
	wait_calls(&r, 1);
	assert_string_equal(r.reason, "storage_error");
	assert_int_equal(unlink(r.store), 0); /* as when it is mounted again */
	for (int i = 0; i < 1000 && r.err; i++)
		loop_turn(r.loop, 20000);
	assert_int_equal(r.err, 0);
	assert_string_equal(r.reason, "");
	expect_stored(&r);
	tear_down(&r);
}

static void a_location_is_a_url_or_nothing(void **state)
{
	const struct upload_place c = {.dir = "/srv/a b"};
	char out[40], longest[40];

	(void)state;
	upload_location(&c, "1_\xc3\xa4/a.mp3", out, sizeof(out));
	assert_string_equal(out, "file:///srv/a%20b/1_%C3%A4/a.mp3");
	upload_location(&c, "1_r_%2F/a.mp3", out, sizeof(out));
	assert_string_equal(out, "file:///srv/a%20b/1_r_%252F/a.mp3");
	assert_int_equal(strlen(out), 33);
	memset(longest, 'x', sizeof(longest));
	longest[21] = 0;
	upload_location(&c, longest, out, sizeof(out));
	assert_int_equal(strlen(out), 39);
	longest[21] = 'x';
	longest[22] = 0;
	upload_location(&c, longest, out, sizeof(out));
	assert_string_equal(out, "");
}

static void retries_double_up_to_the_longest_delay(void **state)
{
	int64_t begun;
	struct rig r;

	(void)state;
	set_fault("upload.link=EIO");
	set_up(&r);
	begun = loop_now_us(r.loop);
	add(&r, (int64_t)strlen(text), r.sha256);
	wait_calls(&r, 5); /* after 1 + 2 + 4 + 4 ms */
	assert_true(loop_now_us(r.loop) - begun >= 11000);
	assert_int_equal(r.err, EIO);
	tear_down(&r);
}

static void another_file_system_gets_a_copy(void **state)
{
	struct rig r;

	(void)state;
	set_fault("upload.link=EXDEV");
	set_up(&r);
	/* What a crash left of an earlier copy is in the way of nobody. */
	assert_int_equal(file_mkdirs(tempdir_path(r.store, "1_r_u")), 0);
	put_file(tempdir_path(r.store, "1_r_u/a.mp3.tmp"), "longer than it",
		 14);
	upload_and_expect(&r);
	upload_and_expect(&r);
	tear_down(&r);
}

static void a_full_storage_is_told_and_leaves_nothing_behind(void **state)
{
	struct rig r;

	(void)state;
	set_fault("upload.link=EXDEV,upload.copy=ENOSPC");
	set_up(&r);
	add(&r, (int64_t)strlen(text), r.sha256);
	wait_calls(&r, 2);
	assert_int_equal(r.err, ENOSPC);
	assert_false(file_is_there(tempdir_path(r.store, name)));
	assert_false(file_is_there(tempdir_path(r.store, "1_r_u/a.mp3.tmp")));
	tear_down(&r);
}

static void it_can_be_freed_while_attempts_are_under_way(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r);
	for (int i = 0; i < 50; i++) {
		struct upload_item item = {.segment = (uint64_t)i,
					   .name = i % 2 ? name : "none/x",
					   .len = (int64_t)strlen(text),
					   .sha256 = r.sha256,
					   .place = &r.place};

		assert_int_equal(upload_add(r.upload, &item), 0);
	}
	upload_free(r.upload);
	r.upload = NULL;
	loop_turn(r.loop, 0);
	assert_int_equal(r.calls, 0);
	tear_down(&r);
}

static void dropping_the_spool_removes_empty_directories_only(void **state)
{
	struct rig r;

	(void)state;
	set_up_files(&r);
	put_file(tempdir_path(r.spool, "1_r_u/b.mp3"), "b", 1);
	assert_int_equal(upload_drop_spool(&r.config, name), 0);
	assert_false(file_is_there(tempdir_path(r.spool, name)));
	assert_true(file_is_there(tempdir_path(r.spool, "1_r_u")));
	assert_int_equal(upload_drop_spool(&r.config, "1_r_u/b.mp3"), 0);
	assert_false(file_is_there(tempdir_path(r.spool, "1_r_u")));
	assert_true(file_is_there(r.spool));
	assert_int_equal(upload_drop_spool(&r.config, name), 0);
	assert_true(file_is_there(r.spool));
	tear_down(&r);
}

static void a_text_is_put_beside_the_files(void **state)
{
	static const char *const folders[] = {"d", "e"};
	struct upload_text t = {.name = "1_7_manifest.json",
				.mark = "_7_manifest.json",
				.data = "{}",
				.len = 2};
	struct upload_storage *s;
	struct rig r;
	struct err e;
	char got[16], path[64];

	(void)state;
	set_up_files(&r);
	assert_int_equal(upload_open(&r.config, &r.place, &s), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(upload_put_text(s, &t, folders, 2, &e), 0);
		for (size_t k = 0; k < 2; k++) {
			snprintf(path, sizeof(path), "%s/%s", folders[k],
				 t.name);
			assert_int_equal(get_file(tempdir_path(r.store, path),
						  got, sizeof(got)),
					 2);
			assert_memory_equal(got, t.data, 2);
		}
		t.name = "2_7_manifest.json"; /* in place of the first */
		t.data = "[]";
	}
	assert_false(
		file_is_there(tempdir_path(r.store, "d/1_7_manifest.json")));
	assert_int_equal(upload_drop_folder(s, "d", t.mark, t.name, &e), 0);
	assert_true(
		file_is_there(tempdir_path(r.store, "d/2_7_manifest.json")));
	assert_int_equal(upload_drop_folder(s, "d", t.mark, NULL, &e), 0);
	assert_false(file_is_there(tempdir_path(r.store, "d")));
	assert_true(
		file_is_there(tempdir_path(r.store, "e/2_7_manifest.json")));
	assert_int_equal(upload_drop_folder(s, "e", "_8_", NULL, &e), 0);
	assert_true(
		file_is_there(tempdir_path(r.store, "e/2_7_manifest.json")));
	assert_int_equal(upload_drop_folder(s, "none", t.mark, NULL, &e), 0);
	upload_close(s);
	tear_down(&r);
}

static void a_file_is_erased_wherever_it_is(void **state)
{
	struct upload_storage *s;
	struct rig r;
	struct err e;

	(void)state;
	set_up_files(&r);
	assert_int_equal(upload_open(&r.config, &r.place, &s), 0);
	assert_true(file_is_there(tempdir_path(r.spool, name)));
	for (int i = 0; i < 2; i++)
		assert_int_equal(upload_erase(s, name, &e), 0);
	assert_false(file_is_there(tempdir_path(r.spool, name)));
	upload_close(s);
	tear_down(&r);
}

static void upload_without_memory(void)
{
	struct rig r;
	struct upload_item item = {.segment = 7, .name = name};

	set_up_files(&r);
	item.len = (int64_t)strlen(text);
	item.sha256 = r.sha256;
	item.place = &r.place;
	if (!loop_new(&r.loop) &&
	    !upload_new(r.loop, &r.config, on_result, &r, &r.upload) &&
	    !upload_add(r.upload, &item)) {
		for (int i = 0; i < 1000 && (!r.calls || r.err); i++)
			loop_turn(r.loop, 20000);
		assert_int_equal(r.err, 0);
		expect_stored(&r);
	}
	tear_down(&r);
}

static void without_memory_it_says_so_or_tries_again(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	OOM_SWEEP(upload_without_memory);
}

/* ---- kill -9 --------------------------------------------------------------- */

static void upload_and_die(struct rig *r, const char *at)
{
	setenv("TAPEOP_CRASH_AT", at, 1);
	crash_reload();
	start(r);
	add(r, (int64_t)strlen(text), r->sha256);
	wait_calls(r, 1);
	_exit(3);
}

static void a_kill_before_or_after_the_link_is_harmless(void **state)
{
	static const char *const at[] = {"upload.link.before",
					 "upload.link.after"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct rig r;
		int status = 0;
		pid_t pid;

		set_up_files(&r);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			upload_and_die(&r, at[i]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		start(&r);
		upload_and_expect(&r);
		tear_down(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_before_or_after_the_link_is_harmless),
		cmocka_unit_test(a_segment_is_stored_and_confirmed_once),
		cmocka_unit_test(storing_it_again_is_success),
		cmocka_unit_test(without_a_hash_the_length_is_compared),
		cmocka_unit_test(another_file_of_that_name_is_never_replaced),
		cmocka_unit_test(what_is_not_as_recorded_is_never_stored),
		cmocka_unit_test(a_missing_file_is_told_and_tried_again),
		cmocka_unit_test(
			a_storage_that_is_not_there_is_no_file_that_is_missing),
		cmocka_unit_test(a_location_is_a_url_or_nothing),
		cmocka_unit_test(retries_double_up_to_the_longest_delay),
		cmocka_unit_test(another_file_system_gets_a_copy),
		cmocka_unit_test(
			a_full_storage_is_told_and_leaves_nothing_behind),
		cmocka_unit_test(it_can_be_freed_while_attempts_are_under_way),
		cmocka_unit_test(
			dropping_the_spool_removes_empty_directories_only),
		cmocka_unit_test(without_memory_it_says_so_or_tries_again),
		cmocka_unit_test(a_text_is_put_beside_the_files),
		cmocka_unit_test(a_file_is_erased_wherever_it_is),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
