/**
 * commands/reload.h -- a changed configuration, while the server runs.
 *
 * WHAT  SIGHUP: the file is read again (commands/reread.h).  All that a
 *       running server can change is changed in one go, on the control loop;
 *       what else differs is named in a warning.
 * DESIGN
 *   - The running config is what is true.  What was taken from a file is
 *     moved into it, and what was true before is wiped.
 *   - Requests and attempts under way keep what they began with.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RELOAD_H
#define COMMANDS_RELOAD_H

#include "base/attr.h"
#include "base/err.h"
#include "commands/reread.h"
#include "config/config.h"
#include "control/control.h"

/** Who is told of what has changed. */
struct reload_parts {
	struct config *config; /* what is true now */
	struct notify *notify;
	struct rooms *rooms;
	struct control *control;
};

/**
 * Make true what `next` says.  Says in the log what that was.
 *
 * next   also holds what was true before, afterwards; the caller's
 *
 * Returns 0, or ENOMEM, ENOSPC, EINVAL with `e`; then nothing has changed.
 * Thread: the control loop's.
 */
MUST_CHECK int reload_apply(const struct reload_parts *p, struct config *next,
			    struct err *e);

/** Warn of what is permitted and hardly meant. */
void reload_warn_of(const struct notify_endpoint *e);

/** The file of the server; it is made true for a struct reload_parts. */
extern const struct reread_kind reload_kind;

#endif
