/** upload/local.h -- a folder of this machine as storage; private. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_LOCAL_H
#define UPLOAD_LOCAL_H

#include "upload/storage.h"

/* local.c: as struct storage_ops says */
int local_put(struct upload_storage *s, const struct upload_item *item,
	      struct err *err);

#endif
