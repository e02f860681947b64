/**
 * commands/posting.h -- commands that send callbacks as a server would:
 * `tapeop trigger` and `tapeop listen`.
 *
 * Thread: one at a time; sending blocks for POSTING_WAIT_US at most.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_POSTING_H
#define COMMANDS_POSTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "wire/callback.h"

#define POSTING_WAIT_US (10 * (int64_t)1000000)

enum { POSTING_SHOWN_MAX = 200 };

/** Where to, and how. */
struct posting {
	const char *command; /* "trigger": for messages */
	/* as they were given; NULL: not */
	const char *url, *dialect, *key, *encoding, *verdict;
	/* posting_check fills these in */
	struct callback_style style; /* but `extended` */
	bool by_body;		     /* the answer's JSON is looked at */
	char *secret;		     /* owned */
};

/** Check what was given, and read the key; `dialect` and `url` are there.
 *  Returns an exit code; says on stderr what is wrong. */
MUST_CHECK int posting_check(struct posting *p);
/** Wipe and free. */
void posting_fini(struct posting *p);

/** How a backend took it. */
struct posting_result {
	bool ok;
	int status; /* 0: no answer */
	int64_t took_us;
	char shown[POSTING_SHOWN_MAX]; /* the answer's begin, made clean */
	char why[200];		       /* not ok: "" or one line */
};

/**
 * Render and send one attempt.
 *
 * attempt   from 1: with it go the headers that every dialect has
 *           (Tapeop-Event-Id, -Sequence, -Attempt); 0: without
 *
 * Returns 0 (the result tells), ENOTSUP, ENOMEM, EMSGSIZE as callback_render.
 */
MUST_CHECK int posting_send(const struct posting *p, const struct event *e,
			    unsigned attempt, struct posting_result *result);

/** Print "POST URL", headers and body on stdout.  Returns as posting_send. */
MUST_CHECK int posting_print(const struct posting *p, const struct event *e);

#endif
