/**
 * upload/local_beside.c -- texts beside the files of a local storage, and
 * removing both.
 *
 * A text that is in many folders is written once and linked into the others:
 * the manifest of a large room would else cost its length times its tracks.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/local.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "wire/quote.h"

enum { PATH_CAP = STORAGE_PATH_CAP };

/** Remove files of a folder that have `mark` in their names, but `keep`
 *  (NULL: none). */
static int drop_marked(const char *folder, const char *mark, const char *keep)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	int err = 0;

	if (!dir)
		return errno == ENOENT ? 0 : errno;
	while (!err) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			err = errno;
			break;
		}
		if (!strstr(entry->d_name, mark) ||
		    (keep && !strcmp(entry->d_name, keep)))
			continue;
		if (unlinkat(dirfd(dir), entry->d_name, 0) && errno != ENOENT)
			err = errno;
	}
	closedir(dir);
	return err;
}

/* ---- putting ------------------------------------------------------------- */

/** In place of what is there, whole or not at all. */
static int link_over(const char *from, const char *to)
{
	char temporary[PATH_CAP + 8];
	int err = 0;

	snprintf(temporary, sizeof(temporary), "%s.tmp", to);
	if (unlink(temporary) && errno != ENOENT)
		return errno;
	if (link(from, temporary))
		return errno;
	if (rename(temporary, to))
		err = errno;
	/* The rename does nothing when both are one file already. */
	if (unlink(temporary) && errno != ENOENT && !err)
		err = errno;
	return err;
}

/** Put the text into a folder; `first` is where it was put first, "" yet. */
static int put_in(const struct upload_text *text, const char *folder,
		  char *first)
{
	char path[PATH_CAP];
	int err = storage_path(path, folder, text->name, "");

	if (!err)
		err = crash_errno("upload.text");
	if (!err)
		err = file_mkdirs(folder);
	if (err)
		return err;
	/* Any error of the link has the text written: a link is but cheap. */
	if (!*first || link_over(first, path))
		err = file_write_durable(path, text->data, text->len);
	if (!err)
		err = drop_marked(folder, text->mark, text->name);
	if (!err)
		err = file_sync_dir(folder);
	if (!*first)
		snprintf(first, PATH_CAP, "%s", path);
	return err;
}

static int put_text(struct upload_storage *s, const struct upload_text *text,
		    const char *const *folders, size_t n, struct err *err)
{
	char folder[PATH_CAP];
	char first[PATH_CAP] = "";
	int code = 0;

	for (size_t i = 0; !code && i < n; i++) {
		code = storage_path(folder, s->place->dir, folders[i], "");
		if (!code)
			code = put_in(text, folder, first);
		if (code)
			return storage_fail(err, code, "store", text->name);
		crash_point("upload.text");
	}
	return 0;
}

/* ---- removing ------------------------------------------------------------ */

static int erase(struct upload_storage *s, const char *name, struct err *err)
{
	int code = storage_drop(s->place->dir, name, "");

	if (!code)
		code = storage_drop(s->place->dir, name, ".tmp");
	return code ? storage_fail(err, code, "cannot remove", name) : 0;
}

static int drop_folder(struct upload_storage *s, const char *folder,
		       const char *mark, const char *keep, struct err *err)
{
	char path[PATH_CAP];
	int code = storage_path(path, s->place->dir, folder, "");

	if (!code && mark)
		code = drop_marked(path, mark, keep);
	if (!code)
		code = storage_settle_folder(s->place->dir, folder);
	return code ? storage_fail(err, code, "cannot tidy", folder) : 0;
}

/* ---- the rest ------------------------------------------------------------ */

/** Whoever asks has looked at the folder. */
static int try(struct upload_storage *s, struct err *err)
{
	(void)s;
	(void)err;
	return 0;
}

static void write_location(const struct upload_place *place, const char *name,
			   struct buf *out)
{
	buf_puts(out, "file://");
	quote_percent_path(out, place->dir);
	buf_putc(out, '/');
	quote_percent_path(out, name);
}

const struct storage_ops local_ops = {
	.put = local_put,
	.put_text = put_text,
	.erase = erase,
	.drop_folder = drop_folder,
	.try = try,
	.write_location = write_location,
};
