/**
 * commands/reread.h -- read a file of settings again, while the program runs.
 *
 * WHAT  SIGHUP: a worker reads and checks the file and its secrets as the start
 *       does; then, on the loop, what it says is made true in one go.  Any
 *       fault: one line in the log, and nothing has changed.
 * DESIGN
 *   - A worker reads: neither a slow disk nor a long file holds up a
 *     callback.  Asked for again meanwhile, the file is read again, so that
 *     what came last is true in the end.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_REREAD_H
#define COMMANDS_REREAD_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "io/io.h"

/** How one kind of file is read; what it holds is passed as void *. */
struct reread_kind {
	/** On a worker.  Returns 0, or an errno with `e`. */
	int (*load)(const char *path, void **next, struct err *e);
	/** On the loop: make it true.  `next` may get what was true before.
	 *  Returns 0, or an errno with `e`; then nothing has changed. */
	int (*apply)(void *next, void *arg, struct err *e);
	/** Wipe it.  NULL is fine. */
	void (*free)(void *next);
};

/** `why`: NULL, or the line that says why nothing has changed. */
typedef void(reload_fn)(const char *why, void *arg);

struct reread {
	struct job job;
	/* fixed */
	const struct reread_kind *kind;
	void *of; /* apply's */
	struct loop *loop;
	struct workers *workers;
	const char *path;
	/* loop */
	bool busy, again;
	bool stopped; /* set by the owner: nothing is changed any more */
	/* worker, while the job runs */
	void *next;
	struct err e;
	int err;
	/* of the last who asked */
	reload_fn *done;
	void *arg;
};

/** Warn of what has changed and only a start can change.  names   one, or
 *  several with ", " between them; "": nothing */
void reread_say_later(const char *names);

/**
 * Read the file again.
 *
 * done   called on the loop, once for all who have asked until then; never,
 *        when it was stopped.  May be NULL.
 *
 * The workers end before `r` goes.
 */
void reread_start(struct reread *r, reload_fn *done, void *arg);

#endif
