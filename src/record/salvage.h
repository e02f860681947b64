/**
 * record/salvage.h -- what of a recording is whole, and making it a file;
 * private to record/.  After a crash, and when the end of a file was lost.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_SALVAGE_H
#define RECORD_SALVAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/ogg.h"

struct salvage {
	int64_t len;	 /* bytes of whole MP3 frames or Ogg pages; 0: none */
	uint64_t frames; /* 48 kHz frames that they play */
	bool is_ogg;
	struct ogg_scan ogg;
};

/** By the end of its name. */
bool salvage_is_ogg(const char *name);

/** Read the file.  Returns 0, ENOMEM or what reading said. */
MUST_CHECK int salvage_look(int fd, bool is_ogg, struct salvage *out);

/**
 * Cut the file to what is whole.  The last page of an Ogg file is marked as
 * the last; one that has header pages only gets a page of silence, as when it
 * was opened (`len` and `frames` tell).  May be repeated.
 * Returns 0, ENOMEM or an errno of the file.
 */
MUST_CHECK int salvage_cut(int fd, struct salvage *s);

#endif
