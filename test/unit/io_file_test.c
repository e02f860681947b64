/** test/unit/io_file_test.c -- files that are there whole or not at all. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"

static char root[64];

/** The path of `name` below the test's folder; two at a time. */
static const char *at(const char *name)
{
	static char paths[2][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 2];

	snprintf(path, PATH_MAX, "%s/%s", root, name);
	return path;
}

static int make_root(void **state)
{
	(void)state;
	str_copy(root, sizeof(root), "/tmp/tapeop-file-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static void remove_all(const char *path)
{
	DIR *dir = opendir(path);
	char child[PATH_MAX];
	struct dirent *e;

	for (e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		if (e->d_type == DT_DIR)
			remove_all(child);
		else
			unlink(child);
	}
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int remove_root(void **state)
{
	(void)state;
	remove_all(root);
	return 0;
}

static void expect_content(const char *path, const char *text)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(file_read(path, &b), 0);
	assert_string_equal(buf_str(&b), text);
	buf_fini(&b);
}

static int count_files(const char *path, void *arg)
{
	(void)path;
	++*(int *)arg;
	return 0;
}

static int files_in_root(void)
{
	int n = 0;

	assert_int_equal(file_walk(root, count_files, &n), 0);
	return n;
}

static void folders_are_made_with_their_parents(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(file_mkdirs(at("a/b//c/")), 0);
	assert_int_equal(file_mkdirs(at("a/b/c")), 0);
	assert_int_equal(stat(at("a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 0027, 0);
	assert_int_equal(file_mkdirs("/"), 0);
	assert_int_equal(file_mkdirs("."), 0);
	assert_int_equal(file_mkdirs(""), ENOENT);
	assert_int_equal(file_write_durable(at("f"), "x", 1), 0);
	assert_int_equal(file_mkdirs(at("f")), ENOTDIR);
	assert_int_equal(file_mkdirs(at("f/g")), ENOTDIR);
}

static void a_durable_write_replaces_the_whole_file(void **state)
{
	(void)state;
	assert_int_equal(file_write_durable(at("f"), "the first", 9), 0);
	expect_content(at("f"), "the first");
	assert_int_equal(file_write_durable(at("f"), "2nd", 3), 0);
	expect_content(at("f"), "2nd");
	assert_int_equal(file_write_durable(at("f"), "", 0), 0);
	expect_content(at("f"), "");
	assert_int_equal(files_in_root(), 1);
}

static void a_failed_durable_write_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(file_write_durable(at("no/f"), "x", 1), ENOENT);
	/* a folder has the name: only the rename fails */
	assert_int_equal(file_mkdirs(at("f")), 0);
	assert_int_equal(file_write_durable(at("f"), "x", 1), EISDIR);
	assert_int_equal(files_in_root(), 0);
}

static void a_rename_never_replaces(void **state)
{
	(void)state;
	assert_int_equal(file_write_durable(at("a"), "a", 1), 0);
	assert_int_equal(file_write_durable(at("b"), "b", 1), 0);
	assert_int_equal(file_rename_new(at("a"), at("b")), EEXIST);
	expect_content(at("a"), "a");
	expect_content(at("b"), "b");
	assert_int_equal(file_rename_new(at("a"), at("c")), 0);
	expect_content(at("c"), "a");
	assert_int_equal(file_rename_new(at("a"), at("d")), ENOENT);
	assert_int_equal(file_sync_dir(root), 0);
	assert_int_equal(file_sync_dir(at("c")), ENOTDIR);
}

static void bytes_are_written_at_their_offset(void **state)
{
	int fd = open(at("f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, "world", 5, 6), 0);
	assert_int_equal(file_write_all(fd, "hello ", 6, 0), 0);
	assert_int_equal(file_write_all(fd, NULL, 0, 100), 0);
	close(fd);
	expect_content(at("f"), "hello world");
	fd = open(at("f"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(file_write_all(fd, "x", 1, 0), EBADF);
	close(fd);
}

static void a_full_disk_is_told(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(file_write_all(fd, "x", 1, 0), ENOSPC);
	close(fd);
}

static void reading_keeps_to_the_limit(void **state)
{
	struct buf b;
	char text[10001];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[10000] = 0;
	assert_int_equal(file_write_durable(at("f"), text, 10000), 0);
	expect_content(at("f"), text);
	buf_init(&b, 10000);
	buf_puts(&b, "old");
	assert_int_equal(file_read(at("f"), &b), 0);
	assert_int_equal(b.len, 10000);
	buf_fini(&b);
	buf_init(&b, 9999);
	assert_int_equal(file_read(at("f"), &b), EMSGSIZE);
	buf_fini(&b);
	assert_int_equal(file_read(at("none"), &b), ENOENT);
	assert_int_equal(file_read(root, &b), EISDIR);
	buf_fini(&b);
}

/* Source: FIPS 180-2, appendix B.1 and B.3 (abc; a million times "a"). */
static void a_file_is_hashed(void **state)
{
	char hex[65];
	int64_t len = -1;
	char *many = mem_zalloc(1000000);

	(void)state;
	assert_non_null(many);
	assert_int_equal(file_write_durable(at("f"), "abc", 3), 0);
	assert_int_equal(file_sha256(at("f"), hex, &len), 0);
	assert_int_equal(len, 3);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a39617"
				 "7a9cb410ff61f20015ad");
	memset(many, 'a', 1000000);
	assert_int_equal(file_write_durable(at("f"), many, 1000000), 0);
	assert_int_equal(file_sha256(at("f"), hex, &len), 0);
	assert_int_equal(len, 1000000);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497"
				 "200e046d39ccc7112cd0");
	mem_free(many);
	len = -1;
	assert_int_equal(file_sha256(at("none"), hex, &len), ENOENT);
	assert_int_equal(len, -1);
}

static void free_space_is_told(void **state)
{
	int64_t bytes = -1;

	(void)state;
	assert_int_equal(file_free_bytes(root, &bytes), 0);
	assert_true(bytes >= 0);
	assert_int_equal(file_free_bytes(at("none"), &bytes), ENOENT);
}

static int stop_at_second(const char *path, void *arg)
{
	assert_true(str_starts_with(path, root));
	return ++*(int *)arg == 2 ? 77 : 0;
}

static int remove_file(const char *path, void *arg)
{
	++*(int *)arg;
	return unlink(path) ? errno : 0;
}

static void a_walk_meets_every_file_and_follows_no_link(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(file_walk(at("none"), count_files, &n), 0);
	assert_int_equal(file_mkdirs(at("a/b")), 0);
	assert_int_equal(file_mkdirs(at("c")), 0);
	assert_int_equal(file_write_durable(at("1"), "", 0), 0);
	assert_int_equal(file_write_durable(at("a/2"), "", 0), 0);
	assert_int_equal(file_write_durable(at("a/b/3"), "", 0), 0);
	assert_int_equal(symlink("..", at("c/up")), 0);
	assert_int_equal(symlink("1", at("link")), 0);
	assert_int_equal(file_walk(root, count_files, &n), 0);
	assert_int_equal(n, 3);
	n = 0;
	assert_int_equal(file_walk(root, stop_at_second, &n), 77);
	assert_int_equal(n, 2);
	assert_int_equal(file_walk(at("1"), count_files, &n), ENOTDIR);
	n = 0;
	assert_int_equal(file_walk(root, remove_file, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(files_in_root(), 0);
}

static void a_walk_has_a_depth(void **state)
{
	char deep[200] = "d";

	(void)state;
	for (int i = 1; i < 33; i++)
		snprintf(deep + strlen(deep), sizeof(deep) - strlen(deep),
			 "/d");
	assert_int_equal(file_mkdirs(at(deep)), 0);
	assert_int_equal(file_walk(root, count_files, &(int){0}), ELOOP);
}

static void use_files(void)
{
	char hex[65];
	int64_t len;
	struct buf b;
	int err;
	int n = 0;

	buf_init(&b, 1000);
	err = file_write_durable(at("f"), "x", 1);
	if (!err)
		err = file_read(at("f"), &b);
	if (!err)
		err = file_sha256(at("f"), hex, &len);
	if (!err)
		err = file_walk(root, count_files, &n);
	assert_true(err == 0 || err == ENOMEM);
	buf_fini(&b);
}

static void out_of_memory_is_told(void **state)
{
	(void)state;
	OOM_SWEEP(use_files);
}

#define IN_ROOT(fn) cmocka_unit_test_setup_teardown(fn, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOT(folders_are_made_with_their_parents),
		IN_ROOT(a_durable_write_replaces_the_whole_file),
		IN_ROOT(a_failed_durable_write_leaves_nothing),
		IN_ROOT(a_rename_never_replaces),
		IN_ROOT(bytes_are_written_at_their_offset),
		IN_ROOT(a_full_disk_is_told),
		IN_ROOT(reading_keeps_to_the_limit),
		IN_ROOT(a_file_is_hashed),
		IN_ROOT(free_space_is_told),
		IN_ROOT(a_walk_meets_every_file_and_follows_no_link),
		IN_ROOT(a_walk_has_a_depth),
		IN_ROOT(out_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
