/**
 * commands/reload.h -- a changed configuration, while the server runs.
 *
 * WHAT  SIGHUP: the file and its secrets are read and checked as at the
 *       start.  Any fault: one line in the log, and nothing has changed.
 *       Else all that a running server can change is changed in one go, on
 *       the control loop; what else differs is named in a warning.
 * DESIGN
 *   - A worker reads: neither a slow disk nor a long file holds up a
 *     callback.  Asked for again meanwhile, the file is read again, so that
 *     what came last is true in the end.
 *   - The running config is what is true.  What was taken from a file is
 *     moved into it, and what was true before is wiped.
 *   - Requests and attempts under way keep what they began with.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RELOAD_H
#define COMMANDS_RELOAD_H

#include "base/attr.h"
#include "base/err.h"
#include "config/config.h"
#include "control/control.h"
#include "io/io.h"

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

/** `why`: NULL, or the line that says why nothing has changed. */
typedef void(reload_fn)(const char *why, void *arg);

struct reload {
	struct job job;
	struct loop *loop;
	struct workers *workers;
	struct reload_parts parts; /* rooms NULL: the server stops */
	bool busy, again;
	/* worker, while the job runs */
	const char *path;
	struct config *next;
	struct err e;
	int err;
	/* of the last who asked */
	reload_fn *done;
	void *arg;
};

/**
 * Read the file again.
 *
 * path   the same each time; must live as long as the server
 * done   called on the loop, once for all who have asked until then; never,
 *        when the server stops
 */
void reload_start(struct reload *r, const char *path, reload_fn *done,
		  void *arg);

#endif
