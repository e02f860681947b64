/** test/unit/tempdir.h -- a directory of a test's own, and small files. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_TEMPDIR_H
#define TEST_UNIT_TEMPDIR_H

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Needs cmocka.h before it. */

enum { TEMPDIR_CAP = 64, TEMPDIR_PATH_CAP = 1024 };

static inline void tempdir_make(char dir[TEMPDIR_CAP])
{
	snprintf(dir, TEMPDIR_CAP, "/tmp/tapeop-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

static inline int tempdir_drop(const char *path, const struct stat *st,
			       int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static inline void tempdir_remove(const char *dir)
{
	nftw(dir, tempdir_drop, 16, FTW_DEPTH | FTW_PHYS);
}

/** "<dir>/<name>" in one of a few static buffers. */
static inline const char *tempdir_path(const char *dir, const char *name)
{
	static char paths[8][TEMPDIR_PATH_CAP];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, TEMPDIR_PATH_CAP, "%s/%s", dir, name);
	return path;
}

static inline bool file_is_there(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/** Make a file with these bytes; its directory must be there. */
static inline void put_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

/** Read a file; returns its length, at most `cap`. */
static inline size_t get_file(const char *path, void *data, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	assert_true(fd >= 0);
	len = read(fd, data, cap);
	close(fd);
	assert_true(len >= 0);
	return (size_t)len;
}

#endif
