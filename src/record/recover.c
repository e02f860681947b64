/**
 * record/recover.c -- finish a file that a crash left open.
 *
 * WHAT  Looks for the finished file, then for its .part: trims that to whole
 *       MP3 frames or Ogg pages and publishes it as a close would have done.
 * WHY   A crash may cut a write anywhere; what plays is kept.
 * DESIGN
 *   - Each step may be repeated: a crash in here leaves one of the states it
 *     starts from.
 *   - A finished file was synced before its rename, but the rename may not
 *     have been: its directory is synced here.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "record/disk.h"
#include "record/salvage.h"

static int fail(struct err *err, int code, const char *what, const char *name)
{
	const char *why = strerrordesc_np(code);

	counter_add(COUNT_file_errors, 1);
	return err_set(err, code, "spool", "%s %s: %s", what, name,
		       why ? why : "?");
}

/** Finish the .part, of which something is whole. */
static int finish_part(int fd, const struct disk_file *d, struct salvage *s,
		       const char *name, struct err *err)
{
	const char *what = "salvage";
	int code = salvage_cut(fd, s);

	if (!code)
		code = disk_publish(fd, d->part, d->path, d->dir, &what);
	if (code)
		return fail(err, code, what, name);
	log_info("file=%s recovered len=%lld", name, (long long)s->len);
	return 0;
}

/** A .part of which nothing is whole: only an empty one may go. */
static void leave_part(int fd, const struct disk_file *d, const char *name)
{
	struct stat st;

	if (!fstat(fd, &st) && !st.st_size && !unlink(d->part)) {
		log_info("file=%s empty part removed", name);
		return;
	}
	log_warn("file=%s part holds nothing whole, left for the quarantine",
		 name);
}

/** Open for the trim, ENOENT: *fd is -1. */
static int open_there(const char *path, int flags, int *fd)
{
	*fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
	if (*fd >= 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return errno;
}

/** Where there is no RENAME_NOREPLACE a rename is link and unlink: a crash in
 *  between leaves both names. */
static void drop_second_name(int fd, const struct disk_file *d)
{
	struct stat whole;
	struct stat part;

	if (!fstat(fd, &whole) && !lstat(d->part, &part) &&
	    whole.st_dev == part.st_dev && whole.st_ino == part.st_ino)
		(void)unlink(d->part);
}

static int look(const struct disk_file *d, const char *name, int fd,
		bool is_part, struct record_found *found, struct err *err)
{
	struct salvage s;
	int64_t len;
	int code = salvage_look(fd, salvage_is_ogg(name), &s);

	if (code)
		return fail(err, code, "read", name);
	if (is_part && !s.len) {
		leave_part(fd, d, name);
		return 0;
	}
	if (!is_part)
		drop_second_name(fd, d);
	code = is_part ? finish_part(fd, d, &s, name, err)
		       : file_sync_dir(d->dir);
	if (code)
		return is_part ? code
			       : fail(err, code, "fsync directory of", name);
	code = file_sha256(d->path, found->sha256, &len);
	if (code)
		return fail(err, code, "read", name);
	found->there = true;
	found->len = len;
	found->frames = s.frames;
	return 0;
}

int record_recover(const char *spool_dir, const char *name,
		   struct record_found *found, struct err *err)
{
	struct record_found result = {0};
	struct disk_file d;
	bool is_part = false;
	int fd = -1;
	int code = disk_init(&d, spool_dir, name, NULL);

	if (code)
		return fail(err, code, "recover", name);
	code = open_there(d.path, O_RDONLY, &fd);
	if (!code && fd < 0) {
		is_part = true;
		code = open_there(d.part, O_RDWR, &fd);
	}
	if (code)
		code = fail(err, code, "open", name);
	else if (fd >= 0)
		code = look(&d, name, fd, is_part, &result, err);
	if (!code)
		*found = result;
	if (fd >= 0)
		close(fd);
	disk_fini(&d);
	return code;
}
