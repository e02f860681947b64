/**
 * upload/local.h -- one file into the local storage directory.
 *
 * Private to upload/.  Everything here blocks.
 * Fault injection (base/crash.h): points upload.link.before and
 * upload.link.after; faults upload.link (EXDEV: the copy is taken) and
 * upload.copy.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_LOCAL_H
#define UPLOAD_LOCAL_H

#include "upload/upload.h"

/**
 * Store `name` of the spool; durable when it returns 0.  The same file there
 * already is success.
 *
 * Returns 0, or with `err` filled
 *   ENOENT   the spool has no such file, nor has the storage
 *   EEXIST   another file of this name is stored; it is not touched
 *   EBADMSG  the spool's file is not what was recorded (length or hash)
 *   or another errno
 */
MUST_CHECK int local_store(const char *spool_dir, const char *dir,
			   const struct upload_item *item, struct err *err);

#endif
