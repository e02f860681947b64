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
#include "record/salvage.h"
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

/** Take over what it opens with. */
static bool take_opening(struct disk_file *d, const struct track_opening *o)
{
	const size_t len = o->head_len + o->placeholder_len;

	assert(len > 0 && len <= sizeof(o->bytes));
	d->first = mem_zalloc(len);
	if (!d->first)
		return false;
	memcpy(d->first, o->bytes, len);
	d->head_len = o->head_len;
	d->placeholder_len = o->placeholder_len;
	if (o->kind == TRACK_MP3)
		d->silent_len = o->placeholder_len / RECORD_FRAMES_MIN;
	d->len = (int64_t)d->head_len;
	/* SHA-256 of bytes in memory cannot fail. */
	EVP_DigestUpdate(d->sha, d->first, d->head_len);
	return true;
}

int disk_init(struct disk_file *d, const char *spool_dir, const char *name,
	      const struct track_opening *opening)
{
	*d = (struct disk_file){.fd = -1, .what = ""};
	d->path = join(spool_dir, name, "");
	d->part = join(spool_dir, name, DISK_PART);
	d->dir = mem_strdup(d->path);
	d->sha = EVP_MD_CTX_new();
	if (!d->path || !d->part || !d->dir || !d->sha ||
	    !EVP_DigestInit_ex(d->sha, EVP_sha256(), NULL) ||
	    (opening && !take_opening(d, opening))) {
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
	d->path = d->part = d->dir = NULL;
	d->first = NULL;
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
		d->fd = open(d->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			     FILE_MODE);
		if (d->fd >= 0)
			return 0;
		err = errno;
		if (err != ENOENT && err != EINTR)
			return err;
	}
	return err;
}

/** In one write, so that a kill leaves all of it or nothing. */
static int put_first(const struct disk_file *d)
{
	const size_t len = d->head_len + d->placeholder_len;
	ssize_t n;

	do {
		n = pwrite(d->fd, d->first, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	/* a short write to a file means that there is no room for more */
	return (size_t)n == len ? 0 : ENOSPC;
}

/** What it opens with, file and directory, all durable (file_mkdirs has synced
 *  the parents of a new one). */
static int settle_part(struct disk_file *d)
{
	int err;

	d->what = "write";
	err = crash_errno("file.write");
	if (!err)
		err = put_first(d);
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

/** No sound was written: where the placeholder is still whole, let it be. */
static void keep_placeholder(struct disk_file *d)
{
	if (d->len == (int64_t)d->head_len)
		d->len += (int64_t)d->placeholder_len;
}

/**
 * A write failed.  What is known to be there stays, MP3 in whole frames; what
 * may be behind it goes.  Before the first sound the placeholder stays.
 */
static int die(struct disk_file *d, int err)
{
	d->what = "write";
	d->err = err;
	if (d->silent_len)
		d->len -= d->len % (int64_t)d->silent_len;
	keep_placeholder(d);
	/* If this fails too, recovery cuts the file to what is whole. */
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
	uint8_t silence[FILL_BYTES];
	size_t whole = 0;
	int err = 0;

	if (!d->silent_len)
		return 0;
	while (whole + d->silent_len <= sizeof(silence)) {
		memcpy(silence + whole, d->first, d->silent_len);
		whole += d->silent_len;
	}
	len -= len % d->silent_len;
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

/** Its end is missing, or nobody knows what it holds. */
static int salvage(struct disk_file *d, uint64_t *frames)
{
	const bool is_ogg = d->head_len > 0;
	struct salvage s;
	int err;

	if (is_ogg)
		keep_placeholder(d);
	d->what = "truncate";
	if (ftruncate(d->fd, d->len))
		return errno;
	d->what = "salvage";
	err = salvage_look(d->fd, is_ogg, &s);
	if (!err)
		err = salvage_cut(d->fd, &s);
	d->len = s.len;
	*frames = s.frames;
	return err;
}

int disk_finish(struct disk_file *d, uint64_t *frames, char hex[65])
{
	const bool is_whole = *frames > 0 && !d->err;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int err = 0;

	assert(d->fd >= 0);
	d->what = "truncate";
	if (!is_whole)
		err = salvage(d, frames);
	else if (ftruncate(d->fd, d->len))
		err = errno;
	if (!err)
		err = disk_publish(d->fd, d->part, d->path, d->dir, &d->what);
	if (err)
		return err;
	/* A file that was cut or mended is not what was hashed. */
	if (!is_whole) {
		d->what = "read";
		return file_sha256(d->path, hex, &d->len);
	}
	EVP_DigestFinal_ex(d->sha, digest, &len);
	sig_hex(digest, len, hex);
	return 0;
}
