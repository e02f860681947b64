/**
 * commands/apps.h -- apps that are made, changed and taken out at run time.
 *
 * WHAT   Their settings are JSON objects with the names of apps[] of the
 *        file, kept in the store with their secrets.  They are read by the
 *        table of the file, merged into the running config, and from there on
 *        are apps like any other.
 * DESIGN
 *   - The file wins.  What is kept under an id that the file declares waits,
 *     and counts again when the file lets go of the id.
 *   - First the commit, then it is in force, then the answer.
 *   - An app is taken out only when nothing of it is under way.  From then on
 *     nothing of it can begin, before its row goes.
 *   - A rotated key has an end, at which the one before it is forgotten.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_APPS_H
#define COMMANDS_APPS_H

#include "base/attr.h"
#include "base/err.h"
#include "config/config.h"
#include "control/control.h"

struct apps;

/** Who is told of what has changed; all live longer than the apps run. */
struct apps_parts {
	struct notify *notify;
	struct rooms *rooms;
	struct control *control;
};

/**
 * Load those of the store, and merge them into `config`, which is what is
 * true from now on.  Blocks: at the start.
 * Returns 0, or an errno with `e`.
 */
MUST_CHECK int apps_new(struct loop *loop, struct store *store,
			struct config *config, struct apps **out,
			struct err *e);

/** Add those that `next`, read from the file, does not declare.  One that
 *  cannot be read is left out, and logged.  Returns 0, or ENOMEM with `e`.
 *  Thread: the loop's. */
MUST_CHECK int apps_merge(struct apps *a, struct config *next, struct err *e);

/** They may be changed from now on. */
void apps_run(struct apps *a, const struct apps_parts *parts);

/** What control asks for them with; good as long as they are. */
void apps_for_control(struct apps *a, struct control_apps *out);

/** Whoever waits for a commit is told ECANCELED.  Before the store is closed;
 *  NULL is fine. */
void apps_free(struct apps *a);

#endif
