/** commands/publish.h -- what `tapeop publish` is asked to do, and the room
 *  that it speaks in: by the server's HTTP API, or by WHIP. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_PUBLISH_H
#define COMMANDS_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "commands/client.h"
#include "commands/publish_bad.h"
#include "io/io.h"

/* ---- options ---------------------------------------------------------------- */

/** Text belongs to argv. */
struct publish_wish {
	const char *path;
	const char *name; /* of the file, without its folder */
	const char *server, *token;
	uint32_t app;
	const char *room, *user;
	const char *where; /* --to as given, or NULL */
	bool has_to, repeat, stay, leave, is_whip;
	struct addr to;		  /* of RTP */
	const char *ticket, *key; /* of WHIP, as given, or NULL */
	struct publish_bad bad;
};

/**
 * Read the options into `w` (all zeros before); what is wrong with them is
 * said on stderr.
 *
 * Returns -1 to go on, or the exit code.
 */
MUST_CHECK int publish_read_options(struct publish_wish *w, int argc,
				    char **argv);

/* ---- the room ---------------------------------------------------------------- */

struct publish_room {
	/* the wish; none is owned */
	struct client client; /* opened and closed by the owner */
	uint32_t app;
	const char *room, *user;
	uint8_t red_pt, opus_pt, level_id; /* 0: not said */
	/* the rest is private to publish_room.c, and to be looked at */
	char input[24]; /* id, after publish_join */
	bool left;	/* by publish_leave, before anybody else removed it */
	uint64_t taken; /* packets that the server took, by its last answer */
};

/**
 * Make the input.
 *
 * to   out: where its RTP goes
 *
 * Returns 0, or an errno with `e` saying what to do.
 * Thread: any; blocks for 10 s at most, as publish_leave.
 */
MUST_CHECK int publish_join(struct publish_room *r, struct addr *to,
			    struct err *e);

/** Ask how many packets were taken so far.  Returns 0, or an errno with `e`. */
MUST_CHECK int publish_look(struct publish_room *r, struct err *e);

/** Remove the input; one that is gone already is fine.
 *  Returns 0, or an errno with `e`. */
MUST_CHECK int publish_leave(struct publish_room *r, struct err *e);

/* ---- by WHIP ------------------------------------------------------------------ */

/**
 * Append the URL to post to: --to, or the server's of that app, room and user.
 *
 * Returns 0, or an errno with `e`.
 */
MUST_CHECK int publish_write_url(const struct publish_wish *w,
				 const char *server, struct buf *out,
				 struct err *e);

/**
 * Find the ticket: --ticket, or one made with --key, or TAPEOP_TICKET, or the
 * admin token in its place; appends nothing where there is none of them.
 *
 * Returns an exit code; says on stderr what is wrong.
 */
MUST_CHECK int publish_find_ticket(const struct publish_wish *w,
				   struct buf *out);

#endif
