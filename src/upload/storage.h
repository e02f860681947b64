/**
 * upload/storage.h -- the one interface that local folders and S3 are behind.
 *
 * Private to upload/.  Everything here blocks; one thread at a time has a
 * storage.  What comes back is 0 or an errno with `err` filled; an S3 store's
 * answers are errnos, too, so that the reason is told from the errno alone:
 *
 *   EACCES     403                     ENXIO      the bucket is not there
 *   ETIME      the clocks differ       EAGAIN     busy
 *   EILSEQ     checksum                ESTALE     an upload in parts is gone
 *   ENOENT     no such object          others as io/io.h says
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_STORAGE_H
#define UPLOAD_STORAGE_H

#include "upload/upload.h"

enum { STORAGE_PATH_CAP = 4096 };

struct upload_storage {
	const struct upload_config *config;
	const struct upload_place *place;
	struct http_session *session; /* of S3 */
};

struct storage_ops {
	/** Store `name` of the spool; confirmed and durable when it returns 0.
	 *  The same file there already is success.
	 *   ENOENT   the spool has no such file, nor has the storage
	 *   EEXIST   another file of this name is stored; it is not touched
	 *   EBADMSG  the spool's file is not what was recorded */
	int (*put)(struct upload_storage *s, const struct upload_item *item,
		   struct err *err);
	int (*put_text)(struct upload_storage *s,
			const struct upload_text *text,
			const char *const *folders, size_t n, struct err *err);
	/** Of the storage only. */
	int (*erase)(struct upload_storage *s, const char *name,
		     struct err *err);
	int (*drop_folder)(struct upload_storage *s, const char *folder,
			   const char *mark, const char *keep, struct err *err);
	int (*try)(struct upload_storage *s, struct err *err);
	void (*write_location)(const struct upload_place *place,
			       const char *name, struct buf *out);
};

extern const struct storage_ops local_ops;
extern const struct storage_ops s3_ops;

const struct storage_ops *storage_ops(const struct upload_place *place);

/** "<dir>/<name><end>", STORAGE_PATH_CAP bytes.  Returns 0 or ENAMETOOLONG. */
MUST_CHECK int storage_path(char *path, const char *dir, const char *name,
			    const char *end);

/** Remove "<dir>/<name><end>"; none is success.  Returns 0 or an errno. */
MUST_CHECK int storage_drop(const char *dir, const char *name, const char *end);

/** Make removals from a folder below `dir` durable; an empty one goes. */
MUST_CHECK int storage_settle_folder(const char *dir, const char *folder);

/** Fill `err`: "cannot <what> <name>: <why>".  Returns `code`. */
int storage_fail(struct err *err, int code, const char *what, const char *name);

/** As said of a file that is not what was recorded, and of a name that is
 *  taken. */
int storage_damaged(struct err *err, const char *name);
int storage_taken(struct err *err, const char *name);

#endif
