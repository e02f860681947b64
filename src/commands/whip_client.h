/**
 * commands/whip_client.h -- the HTTP of a sender by WHIP (RFC 9725): an offer
 * is posted, the session is deleted.
 *
 * A redirection (307, 308) is followed within the same scheme, host and port:
 * the ticket is for whoever was named on the command line.
 *
 * Thread: one at a time; each call blocks for about CLIENT_WAIT_US.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_WHIP_CLIENT_H
#define COMMANDS_WHIP_CLIENT_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "io/io.h"

struct whip_client {
	/* the wish; none is owned */
	const char *url;    /* the endpoint's */
	const char *ticket; /* its Bearer, or NULL */
	const char
		*option; /* that named the server: "--server", for messages */
	/* private */
	struct http_session *http;
	struct buf session; /* URL of the session; "": none */
};

/** With the wish set.  Returns 0 or ENOMEM. */
MUST_CHECK int whip_client_init(struct whip_client *w);
/** The session stays. */
void whip_client_fini(struct whip_client *w);

/**
 * Post an offer.
 *
 * answer   out: SDP
 *
 * Returns 0, or an errno with `e` saying what to do: no server there, a ticket
 * that it does not take (EACCES), whatever it says of the offer (EINVAL), or it
 * is no WHIP endpoint (EPROTO).
 */
MUST_CHECK int whip_client_post(struct whip_client *w, const char *offer,
				struct buf *answer, struct err *e);

/** End the session; one that is over already is fine.  Returns 0, or an errno
 *  with `e`. */
MUST_CHECK int whip_client_leave(struct whip_client *w, struct err *e);

#endif
