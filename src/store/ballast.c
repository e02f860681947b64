/**
 * store/ballast.c -- files beside the database: the ballast, the lock.
 *
 * The ballast is a file of nothing.  When the disk is full it is deleted,
 * so that the ends of what is under way can still be committed.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { FILE_MODE = 0600 }; /* secrets of endpoints are in the database */

static bool path_of(const char *dir, const char *name, char *path, size_t cap)
{
	int n = snprintf(path, cap, "%s/%s", dir, name);

	return n > 0 && (size_t)n < cap;
}

int ballast_make(const char *data_dir, size_t bytes)
{
	char path[STORE_PATH_MAX];
	int err;
	int fd;

	if (!path_of(data_dir, "tapeop.ballast", path, sizeof(path)))
		return ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;
	/* Real blocks, not a hole. */
	do {
		err = posix_fallocate(fd, 0, (off_t)bytes);
	} while (err == EINTR);
	close(fd);
	if (err)
		unlink(path);
	return err;
}

bool ballast_give_up(const char *data_dir)
{
	char path[STORE_PATH_MAX];

	return path_of(data_dir, "tapeop.ballast", path, sizeof(path)) &&
	       !unlink(path);
}

bool ballast_has_room(const char *data_dir, size_t bytes)
{
	int64_t free_bytes = 0;

	if (file_free_bytes(data_dir, &free_bytes))
		return false;
	/* Its own blocks came free when it was given up: those alone are no
	 * room. */
	return free_bytes > 4 * (int64_t)bytes;
}

/** Older versions let the group read.  A file of somebody else, which we may
 *  write, stays as its owner has it. */
static int close_to_others(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT ? 0 : errno;
	if (!(st.st_mode & (S_IRWXG | S_IRWXO)) || !chmod(path, FILE_MODE))
		return 0;
	if (errno != EPERM)
		return errno;
	log_warn("%s holds secrets, is open to others, and is not ours to "
		 "close: its owner should (chmod 600)",
		 path);
	return 0;
}

int database_make(const char *path)
{
	/* SQLite makes what it puts beside the file with the file's mode. */
	static const char *const behind[] = {"", "-wal", "-shm"};
	char each[STORE_PATH_MAX + 8];
	int err = 0;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);

	if (fd < 0)
		return errno;
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(behind) && !err; i++) {
		snprintf(each, sizeof(each), "%s%s", path, behind[i]);
		err = close_to_others(each);
	}
	return err;
}

int lock_take(const char *data_dir, int *out, struct err *e)
{
	char path[STORE_PATH_MAX];
	int err;
	int fd;

	if (!path_of(data_dir, "tapeop.lock", path, sizeof(path)))
		return err_set(e, ENAMETOOLONG, "data_dir", "path is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = errno;
		return err_set(e, err, "data_dir", "cannot open %.150s: %s",
			       path, strerror(err));
	}
	if (!flock(fd, LOCK_EX | LOCK_NB)) {
		*out = fd;
		return 0;
	}
	err = errno == EWOULDBLOCK ? EBUSY : errno;
	close(fd);
	if (err == EBUSY)
		return err_set(e, err, "data_dir",
			       "another tapeop uses %.150s: stop it, or choose "
			       "another data_dir",
			       data_dir);
	return err_set(e, err, "data_dir", "cannot lock %.150s: %s", path,
		       strerror(err));
}
