/** record/quarantine.c -- put aside what lies in the spool and has no row. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "record/disk.h"

enum { PATH_CAP = 4096, SAME_NAME_MAX = 10000 };

struct sweep {
	const char *spool_dir;
	const char *quarantine_dir;
	bool (*is_known)(const char *name, void *arg);
	void *arg;
	size_t moved;
	int err; /* the first */
};

/** Does a segment own this file, finished or not? */
static bool is_known(const struct sweep *w, const char *name)
{
	char plain[PATH_CAP];
	size_t len = strlen(name);
	size_t part = strlen(DISK_PART);

	if (!str_copy(plain, sizeof(plain), name))
		return false;
	if (len > part && !strcmp(plain + len - part, DISK_PART))
		plain[len - part] = 0;
	return w->is_known(plain, w->arg);
}

/** Move to the first free name; the directory is made. */
static int move(const char *from, char *to, size_t cap)
{
	size_t len = strlen(to);
	char *slash = strrchr(to, '/');
	int err;

	*slash = 0;
	err = file_mkdirs(to);
	*slash = '/';
	for (int i = 1; !err && i < SAME_NAME_MAX; i++) {
		err = file_rename_new(from, to);
		if (err != EEXIST)
			return err;
		err = 0;
		snprintf(to + len, cap - len, ".%d", i);
	}
	return err ? err : EEXIST;
}

static int on_file(const char *path, void *arg)
{
	struct sweep *w = arg;
	const char *name = path + strlen(w->spool_dir);
	char to[PATH_CAP];
	int len;
	int err;

	name += strspn(name, "/");
	if (is_known(w, name))
		return 0;
	len = snprintf(to, sizeof(to) - 8, "%s/%s", w->quarantine_dir, name);
	if (len < 0 || (size_t)len >= sizeof(to) - 8)
		err = ENAMETOOLONG;
	else
		err = move(path, to, sizeof(to));
	if (err) {
		log_error("file=%s has no row and cannot be moved to the "
			  "quarantine: %s",
			  name, strerrordesc_np(err));
		w->err = w->err ? w->err : err;
		return 0;
	}
	log_warn("file=%s has no row, moved to %s", name, to);
	w->moved++;
	return 0;
}

int record_quarantine(const char *spool_dir, const char *quarantine_dir,
		      bool (*known)(const char *name, void *arg), void *arg,
		      size_t *moved)
{
	struct sweep w = {.spool_dir = spool_dir,
			  .quarantine_dir = quarantine_dir,
			  .is_known = known,
			  .arg = arg};
	int err = file_walk(spool_dir, on_file, &w);

	*moved = w.moved;
	return err ? err : w.err;
}
