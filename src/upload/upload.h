/**
 * upload/upload.h -- finished segments -> storage.  Knows no audio.
 *
 * Local storage: the file is linked into the storage directory (copied when
 * that is another file system), the directory synced, and only then `done`
 * is called; the spool's copy is removed by the caller after it committed.
 * Doing it again after a crash is harmless: an existing file of the same
 * length and hash counts as success.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_UPLOAD_H
#define UPLOAD_UPLOAD_H

#include <stdint.h>

#include "base/attr.h"
#include "io/io.h"

struct upload_config {
	const char *spool_dir;
	const char *dir;	/* storage.local.dir */
	int64_t retry_first_us; /* 1 s, doubles to retry_max_us */
	int64_t retry_max_us;	/* 60 s */
};

struct upload;

/** One thing to store; copied. */
struct upload_item {
	uint64_t segment; /* its row */
	const char *name; /* below spool and storage */
	int64_t len;
	const char *sha256; /* "" when not known: not compared */
	void *user;	    /* the caller's, in the result */
};

struct upload_result {
	uint64_t segment;
	int err;	  /* 0: confirmed; else this attempt failed and
			      will be tried again */
	unsigned attempt; /* from 1 */
	const char *text; /* what failed */
	/* its stable code: "disk_full", "access_denied", "file_missing" (the
	 * spool's is gone), "file_damaged" (it is not what was recorded),
	 * "name_taken" (by other contents), "storage_error"; "" */
	const char *reason;
	void *user; /* of the item */
};
typedef void(upload_fn)(const struct upload_result *r, void *arg);

/** Thread: the loop's; the work is done on threads of its own. */
MUST_CHECK int upload_new(struct loop *loop, const struct upload_config *config,
			  upload_fn *fn, void *arg, struct upload **out);
/** Stop; what is not confirmed is found again by its row at start.  `fn` is
 *  not called any more.  Waits for the attempts that are under way; turn the
 *  loop once more before it is freed.  NULL is fine; not inside `fn`. */
void upload_free(struct upload *u);

/** Store it; `fn` is called after every attempt, the last time with err 0.
 *  Attempts never end: EEXIST (other contents are stored under this name)
 *  waits for a person.  `fn` may add items.
 *  Returns 0 or ENOMEM. */
MUST_CHECK int upload_add(struct upload *u, const struct upload_item *item);

/**
 * Write the URL of a file that is stored, "file:///..", with its NUL.
 *
 * config->dir must be absolute.  What does not fit is "": not known.
 */
void upload_location(const struct upload_config *config, const char *name,
		     char *out, size_t cap);

/** Items that are not confirmed yet. */
size_t upload_pending(const struct upload *u);

/** A text beside the files (a manifest). */
struct upload_text {
	const char *name; /* without a folder */
	const char *mark; /* part of its name, and of no others than its own
			     in earlier versions */
	const void *data;
	size_t len;
};

/**
 * Store a text in each of these folders of the storage, which are made: whole
 * or not at all, in place of its earlier versions; durable when it returns 0.
 * The copies are one file where links are known.
 * Blocks.  May be repeated, also after a crash inside it.
 * Fault injection (base/crash.h): point upload.text after each folder, fault
 * upload.text.
 */
MUST_CHECK int upload_put_text(const struct upload_config *config,
			       const struct upload_text *text,
			       const char *const *folders, size_t n);

/** Remove the file of a segment, wherever it is; none is success.  Durable
 *  after upload_drop_folder of its folder.  Blocks.  Fault: upload.erase. */
MUST_CHECK int upload_erase(const struct upload_config *config,
			    const char *name);

/**
 * Make removals from a folder durable, with a text's: what has `mark` in its
 * name goes (NULL: nothing does).  A folder that is empty then goes, too.
 * None is success.  Blocks.
 */
MUST_CHECK int upload_drop_folder(const struct upload_config *config,
				  const char *folder, const char *mark);

/** Remove the spool's copy after the commit, and directories that are empty
 *  then.  ENOENT is success. */
MUST_CHECK int upload_drop_spool(const struct upload_config *config,
				 const char *name);

#endif
