/** config/draft.h -- what is being read from a file, setting by setting. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_DRAFT_H
#define CONFIG_DRAFT_H

#include "base/attr.h"
#include "base/err.h"
#include "config/value.h"

/**
 * The values of a table's settings.  Those of a list's group are of the item
 * that is open, so one of each setting is enough.
 */
struct draft {
	const struct table *table;
	struct value *values; /* by setting */
	struct mark *item_at; /* by group: where the open item begins */

	/**
	 * A group ends: check it and put it into what is made of the file.
	 * Returns 0, or EINVAL, ENOMEM with `e` (field: below the group) and
	 * `at`.
	 */
	int (*end)(struct draft *d, unsigned group, struct mark *at,
		   struct err *e);
	/** A secret was read, and this is how it was written.  Returns 0 or
	 *  ENOMEM.  May be NULL. */
	int (*note_secret)(struct draft *d, const char *spec);
};

/** A group (or an item of a list) begins: its settings and those of the
 *  groups in it become their defaults.  Returns 0 or ENOMEM. */
MUST_CHECK int draft_begin(struct draft *d, unsigned group, struct mark at);

/** Wipe its values. */
void draft_clear(struct draft *d);

/** Where a value stands, or the item that lacks it. */
struct mark draft_place(const struct draft *d, unsigned setting);

/** Move a text out of its value. */
char *draft_take(struct draft *d, unsigned setting);

#endif
