/** record/disk.c -- the system calls of one file being recorded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/mem.h"
#include "io/io.h"
#include "record/record.h"
#include "wire/sig.h"

enum {
	OPEN_TRIES = 8,
	FILL_BYTES = 4096, /* silence written at once */
	FILE_MODE = 0640,
};

/** "<a>/<b><c>" in new memory. */
static char *join(const char *a, const char *b, const char *c)
{
	size_t cap = strlen(a) + strlen(b) + strlen(c) + 2;
	char *s = mem_zalloc(cap);

	if (s)
		snprintf(s, cap, "%s/%s%s", a, b, c);
	return s;
}

int disk_init(struct disk_file *d, const char *spool_dir, const char *name,
	      const void *first, size_t first_len)
{
	assert(first_len > 0 && first_len <= FILL_BYTES);
	*d = (struct disk_file){.fd = -1, .first_len = first_len, .what = ""};
	d->path = join(spool_dir, name, "");
	d->part = join(spool_dir, name, DISK_PART);
	d->dir = mem_strdup(d->path);
	d->first = mem_strndup(first, first_len);
	d->sha = EVP_MD_CTX_new();
	if (!d->path || !d->part || !d->dir || !d->first || !d->sha ||
	    !EVP_DigestInit_ex(d->sha, EVP_sha256(), NULL)) {
		disk_fini(d);
		return ENOMEM;
	}
	*strrchr(d->dir, '/') = 0;
	return 0;
}

/* Errors of close(2) are not looked at: whatever must be on the disk was
 * synced before. */
void disk_close(struct disk_file *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

void disk_fini(struct disk_file *d)
{
	disk_close(d);
	mem_free(d->path);
	mem_free(d->part);
	mem_free(d->dir);
	mem_free(d->first);
	EVP_MD_CTX_free(d->sha);
	d->path = d->part = d->dir = d->first = NULL;
	d->sha = NULL;
}

/* ---- open ---------------------------------------------------------------- */

/**
 * Make the directory and the .part in it.  Storing a finished file removes
 * its directory when that is empty, perhaps just now: then try again.
 */
static int make_part(struct disk_file *d)
{
	int err = 0;

	for (int i = 0; i < OPEN_TRIES; i++) {
		err = file_mkdirs(d->dir);
		if (err)
			return err;
		d->fd = open(d->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			     FILE_MODE);
		if (d->fd >= 0)
			return 0;
		err = errno;
		if (err != ENOENT && err != EINTR)
			return err;
	}
	return err;
}

/** In one write, so that a kill leaves all of it or nothing: recovery would
 *  take fewer frames for a file. */
static int put_placeholder(const struct disk_file *d)
{
	struct iovec iov[RECORD_FRAMES_MIN];
	ssize_t len;

	for (int i = 0; i < RECORD_FRAMES_MIN; i++)
		iov[i] = (struct iovec){.iov_base = d->first,
					.iov_len = d->first_len};
	do {
		len = pwritev(d->fd, iov, RECORD_FRAMES_MIN, 0);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno;
	/* a short write to a file means that there is no room for more */
	return (size_t)len == RECORD_FRAMES_MIN * d->first_len ? 0 : ENOSPC;
}

/** Placeholder, file and directory, all durable (file_mkdirs has synced
 *  the parents of a new one). */
static int settle_part(struct disk_file *d)
{
	int err;

	d->what = "write";
	err = crash_errno("file.write");
	if (!err)
		err = put_placeholder(d);
	if (err)
		return err;
	d->what = "fsync";
	err = crash_errno("file.sync");
	if (!err && fsync(d->fd))
		err = errno;
	if (err)
		return err;
	d->what = "fsync directory of";
	err = crash_errno("file.dirsync");
	return err ? err : file_sync_dir(d->dir);
}

int disk_open(struct disk_file *d)
{
	struct stat st;
	int err;

	d->what = "open";
	err = crash_errno("file.open");
	if (err)
		return err;
	crash_point("file.open.before");
	if (!lstat(d->path, &st))
		return EEXIST; /* the rename at the end would find it */
	err = make_part(d);
	if (err)
		return err;
	err = settle_part(d);
	if (err) {
		disk_close(d);
		(void)unlink(d->part); /* ours: O_EXCL made it */
		return err;
	}
	crash_point("file.open.after");
	return 0;
}

/* ---- write --------------------------------------------------------------- */

/**
 * A write failed.  What is known to be there stays, in whole frames; what
 * may be behind it goes.  Before the first sound the placeholder stays.
 */
static int die(struct disk_file *d, int err)
{
	d->what = "write";
	d->err = err;
	d->len -= d->len % (int64_t)d->first_len;
	if (!d->len)
		d->len = RECORD_FRAMES_MIN * (int64_t)d->first_len;
	/* If this fails too, recovery cuts the file to whole frames. */
	if (ftruncate(d->fd, d->len))
		d->what = "write and truncate";
	return err;
}

/** Hash and take off what was written. */
static void use_up(struct disk_file *d, struct iovec **iov, int *n, size_t len)
{
	d->len += (int64_t)len;
	while (len) {
		size_t part;

		assert(*n > 0);
		part = len < (*iov)->iov_len ? len : (*iov)->iov_len;

		/* SHA-256 of bytes in memory cannot fail. */
		EVP_DigestUpdate(d->sha, (*iov)->iov_base, part);
		(*iov)->iov_base = (char *)(*iov)->iov_base + part;
		(*iov)->iov_len -= part;
		len -= part;
		if (!(*iov)->iov_len) {
			(*iov)++;
			(*n)--;
		}
	}
}

int disk_write(struct disk_file *d, struct iovec *iov, int n)
{
	int err;

	assert(d->fd >= 0);
	if (d->err)
		return d->err;
	err = crash_errno("file.write");
	if (err)
		return die(d, err);
	crash_point("file.write");
	while (n) {
		ssize_t len = pwritev(d->fd, iov, n, d->len);

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			return die(d, len < 0 ? errno : EIO);
		use_up(d, &iov, &n, (size_t)len);
	}
	return 0;
}

int disk_fill(struct disk_file *d, uint64_t len)
{
	char silence[FILL_BYTES];
	size_t whole = 0;
	int err = 0;

	while (whole + d->first_len <= sizeof(silence)) {
		memcpy(silence + whole, d->first, d->first_len);
		whole += d->first_len;
	}
	len -= len % d->first_len;
	while (len && !err) {
		size_t part = len < whole ? (size_t)len : whole;
		struct iovec iov = {.iov_base = silence, .iov_len = part};

		err = disk_write(d, &iov, 1);
		len -= part;
	}
	return err;
}

/* ---- close --------------------------------------------------------------- */

int disk_publish(int fd, const char *part, const char *path, const char *dir,
		 const char **what)
{
	int err;

	*what = "fdatasync";
	crash_point("file.sync");
	err = crash_errno("file.sync");
	if (!err && fdatasync(fd))
		err = errno;
	if (err)
		return err;
	*what = "rename";
	crash_point("file.rename.before");
	err = crash_errno("file.rename");
	if (!err)
		err = file_rename_new(part, path);
	if (err)
		return err;
	crash_point("file.rename.after");
	*what = "fsync directory of";
	crash_point("file.dirsync");
	err = crash_errno("file.dirsync");
	return err ? err : file_sync_dir(dir);
}

int disk_finish(struct disk_file *d, char hex[65])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int err;

	assert(d->fd >= 0);
	d->what = "truncate";
	if (ftruncate(d->fd, d->len))
		return errno;
	err = disk_publish(d->fd, d->part, d->path, d->dir, &d->what);
	if (err)
		return err;
	/* A file that was cut is shorter than what was hashed. */
	if (d->err) {
		d->what = "read";
		return file_sha256(d->path, hex, &d->len);
	}
	EVP_DigestFinal_ex(d->sha, digest, &len);
	sig_hex(digest, len, hex);
	return 0;
}
