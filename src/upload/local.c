/**
 * upload/local.c -- one file into the local storage directory.
 *
 * WHAT  link(2); where the storage is another file system (or knows no
 *       links) a copy under a temporary name, synced, then renamed.
 * WHY   A link costs nothing and the spool's copy may go afterwards.
 * DESIGN
 *   - The spool's file is checked against length and hash first, so storage
 *     never gets a file that is not what was recorded.
 *   - A name that is taken is compared, never replaced.
 *   - Nothing counts before the directory is synced.
 *
 * Fault injection (base/crash.h): points upload.link.before and
 * upload.link.after; faults upload.link (EXDEV: the copy is taken) and
 * upload.copy.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/mem.h"

enum { PATH_CAP = STORAGE_PATH_CAP, CHUNK = 64 * 1024, FILE_MODE = 0640 };

struct paths {
	char from[PATH_CAP];
	char to[PATH_CAP];
	char temporary[PATH_CAP + 8]; /* "<to>.tmp" */
};

static int fail(struct err *err, int code, const char *what, const char *name)
{
	if (code == ENOENT)
		code = ENOTDIR; /* it is a folder that is not there */
	return storage_fail(err, code, what, name);
}

/** Is the file the one that was recorded?  Returns 0, EBADMSG or an errno. */
static int check(const char *path, const struct upload_item *item)
{
	char sha256[65];
	int64_t len;
	int err = file_sha256(path, sha256, &len);

	if (err)
		return err;
	if (len != item->len)
		return EBADMSG;
	return *item->sha256 && strcmp(sha256, item->sha256) != 0 ? EBADMSG : 0;
}

/** Are both the same bytes, or even the same file? */
static int check_same(const struct paths *p, const struct upload_item *item)
{
	struct upload_item want = *item;
	struct stat from;
	struct stat to;
	char sha256[65];
	int err;

	if (!stat(p->from, &from) && !stat(p->to, &to) &&
	    from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		return 0;
	if (!*want.sha256) {
		err = file_sha256(p->from, sha256, &want.len);
		if (err)
			return err;
		want.sha256 = sha256;
	}
	err = check(p->to, &want);
	return err == EBADMSG ? EEXIST : err;
}

/* ---- copy ------------------------------------------------------------------ */

static int copy_bytes(int from, int to)
{
	uint8_t *chunk = mem_zalloc(CHUNK);
	int64_t at = 0;
	int err = 0;

	if (!chunk)
		return ENOMEM;
	while (!err) {
		ssize_t len = pread(from, chunk, CHUNK, at);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			err = errno;
		if (len <= 0)
			break;
		err = file_write_all(to, chunk, (size_t)len, at);
		at += len;
	}
	if (!err && fsync(to))
		err = errno;
	mem_free(chunk);
	return err;
}

/** What a crash left under the temporary name is written over. */
static int copy_to_temporary(const struct paths *p)
{
	int from = open(p->from, O_RDONLY | O_CLOEXEC);
	int to = -1;
	int err = from < 0 ? errno : crash_errno("upload.copy");

	if (!err) {
		to = open(p->temporary,
			  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
		err = to < 0 ? errno : copy_bytes(from, to);
	}
	if (from >= 0)
		close(from);
	if (to >= 0 && close(to) && !err && errno != EINTR)
		err = errno;
	return err;
}

static int copy(const struct paths *p, const struct upload_item *item)
{
	int err = copy_to_temporary(p);

	if (!err)
		err = check(p->temporary, item);
	if (!err)
		err = file_rename_new(p->temporary, p->to);
	if (err)
		(void)unlink(p->temporary);
	return err;
}

/* ---- link ------------------------------------------------------------------ */

static int make_link(const struct paths *p)
{
	int err = crash_errno("upload.link");

	if (!err && link(p->from, p->to))
		err = errno;
	return err;
}

/** File systems without hard links answer EPERM or EOPNOTSUPP; fuse and
 *  network ones sometimes ENOSYS. */
static bool must_copy(int err)
{
	return err == EXDEV || err == EPERM || err == EOPNOTSUPP ||
	       err == ENOSYS || err == EMLINK;
}

static int put(const struct paths *p, const struct upload_item *item,
	       struct err *err)
{
	int code = check(p->from, item);

	if (code == ENOENT && !check(p->to, item))
		return 0; /* stored, and its spool copy dropped, before */
	if (code == EBADMSG)
		return storage_damaged(err, item->name);
	if (code)
		return storage_fail(err, code, "read", item->name);
	crash_point("upload.link.before");
	code = make_link(p);
	if (must_copy(code))
		code = copy(p, item);
	if (code == EEXIST)
		code = check_same(p, item);
	if (code == EEXIST)
		return storage_taken(err, item->name);
	return code ? fail(err, code, "store", item->name) : 0;
}

int local_put(struct upload_storage *s, const struct upload_item *item,
	      struct err *err)
{
	struct paths *p = mem_zalloc(sizeof(*p));
	char *slash;
	int code;

	if (!p)
		return fail(err, ENOMEM, "store", item->name);
	code = storage_path(p->from, s->config->spool_dir, item->name, "");
	if (!code)
		code = storage_path(p->to, s->place->dir, item->name, "");
	if (code) {
		mem_free(p);
		return fail(err, code, "store", item->name);
	}
	snprintf(p->temporary, sizeof(p->temporary), "%s.tmp", p->to);
	slash = strrchr(p->to, '/');
	*slash = 0;
	code = file_mkdirs(p->to);
	*slash = '/';
	code = code ? fail(err, code, "make directory of", item->name)
		    : put(p, item, err);
	if (!code) {
		*slash = 0;
		code = file_sync_dir(p->to);
		if (code)
			code = fail(err, code, "fsync directory of",
				    item->name);
	}
	if (!code)
		crash_point("upload.link.after");
	mem_free(p);
	return code;
}
