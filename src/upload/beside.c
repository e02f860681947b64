/**
 * upload/beside.c -- texts beside the files of the storage, and removing both.
 *
 * A text that is in many folders is written once and linked into the others:
 * the manifest of a large room would else cost its length times its tracks.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "upload/upload.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"

enum { PATH_CAP = 4096 };

/** "<dir>/<name><end>" */
static int make_path(char *path, const char *dir, const char *name,
		     const char *end)
{
	int len = snprintf(path, PATH_CAP, "%s/%s%s", dir, name, end);

	return len < 0 || len >= PATH_CAP ? ENAMETOOLONG : 0;
}

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
	int err = make_path(path, folder, text->name, "");

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

int upload_put_text(const struct upload_config *config,
		    const struct upload_text *text, const char *const *folders,
		    size_t n)
{
	char folder[PATH_CAP];
	char first[PATH_CAP] = "";
	int err = 0;

	for (size_t i = 0; !err && i < n; i++) {
		err = make_path(folder, config->dir, folders[i], "");
		if (!err)
			err = put_in(text, folder, first);
		if (!err)
			crash_point("upload.text");
	}
	return err;
}

/* ---- removing ------------------------------------------------------------ */

static int drop(const char *dir, const char *name, const char *end)
{
	char path[PATH_CAP];
	int err = make_path(path, dir, name, end);

	if (!err && unlink(path) && errno != ENOENT && errno != ENOTDIR)
		err = errno;
	return err;
}

int upload_erase(const struct upload_config *config, const char *name)
{
	int err = crash_errno("upload.erase");

	if (!err)
		err = drop(config->dir, name, "");
	if (!err)
		err = drop(config->dir, name, ".tmp");
	if (!err)
		err = drop(config->spool_dir, name, "");
	if (!err)
		err = drop(config->spool_dir, name, ".part");
	return err;
}

/** Make removals durable; an empty folder goes. */
static int settle_folder(const char *dir, const char *folder)
{
	char path[PATH_CAP];
	int err = make_path(path, dir, folder, "");

	if (err)
		return err;
	if (!rmdir(path) || errno == ENOENT)
		return file_sync_dir(dir);
	return file_sync_dir(path);
}

int upload_drop_folder(const struct upload_config *config, const char *folder,
		       const char *mark)
{
	char path[PATH_CAP];
	int err = make_path(path, config->dir, folder, "");

	if (!err && mark)
		err = drop_marked(path, mark, NULL);
	if (!err)
		err = settle_folder(config->dir, folder);
	if (!err)
		err = settle_folder(config->spool_dir, folder);
	return err;
}
