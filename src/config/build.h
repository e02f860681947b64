/** config/build.h -- values -> struct config, with the checks that look at
 *  more than one setting. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "base/attr.h"
#include "base/err.h"
#include "config/draft.h"

/** What is being read. */
struct builder {
	struct draft draft;
	struct config *config; /* owned until it is taken */
	struct value values[SETTING_N];
	struct mark item_at[GROUP_N]; /* where the open item begins */
	struct mark endpoint_at[CONFIG_ENDPOINTS_MAX]; /* of the open app */
};

/** Returns 0 or ENOMEM. */
MUST_CHECK int builder_init(struct builder *b);
/** Wipes what is in it. */
void builder_fini(struct builder *b);

/** What may be shown of an endpoint: its settings as JSON, without secrets.
 *  values   by enum setting_id
 *  NULL: out of memory. */
MUST_CHECK char *config_show_endpoint(const struct value *values,
				      const struct notify_endpoint *ep);

/** The same of an app; call it before its texts are taken. */
MUST_CHECK char *config_show_app(const struct value *values,
				 const struct config_app *app);

/** Wipe and free what an app owns. */
void config_free_app(struct config_app *a);

/** Wipe and free a text that a public struct shows as const; NULL is fine. */
void config_free_text(const char *text);

#endif
