/** config/build.h -- values -> struct config, with the checks that look at
 *  more than one setting. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "base/attr.h"
#include "base/err.h"
#include "config/value.h"

/**
 * What is being read.  Values of a list's group are those of the item that
 * is open, so one of each setting is enough.
 */
struct builder {
	struct config *config; /* owned until it is taken */
	struct value values[SETTING_N];
	struct mark item_at[GROUP_N]; /* where the open item begins */
	struct mark endpoint_at[CONFIG_ENDPOINTS_MAX]; /* of the open app */
};

/** Returns 0 or ENOMEM. */
MUST_CHECK int builder_init(struct builder *b);
/** Wipes what is in it. */
void builder_fini(struct builder *b);

/** A group (or an item of a list) begins: its settings and those of the
 *  groups in it become their defaults.  Returns 0 or ENOMEM. */
MUST_CHECK int builder_begin(struct builder *b, enum group_id group,
			     struct mark at);

/**
 * A group ends: check it and put it into the config.
 *
 * Returns 0, or EINVAL, ENOMEM with `e` (field: below the group) and `at`.
 */
MUST_CHECK int builder_end(struct builder *b, enum group_id group,
			   struct mark *at, struct err *e);

/** Remember where a secret that was read came from, as it was written.
 *  Returns 0 or ENOMEM. */
MUST_CHECK int builder_note_secret(struct builder *b, const char *spec);

/** What may be shown of an endpoint: its settings as JSON, without secrets.
 *  values   by enum setting_id
 *  NULL: out of memory. */
MUST_CHECK char *config_show_endpoint(const struct value *values,
				      const struct notify_endpoint *ep);

/** Wipe and free a text that a public struct shows as const; NULL is fine. */
void config_free_text(const char *text);

#endif
