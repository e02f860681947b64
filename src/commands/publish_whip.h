/**
 * commands/publish_whip.h -- a sender's session by WHIP: the offer, ICE, DTLS,
 * and the way for its packets.
 *
 * Thread: the loop's.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_PUBLISH_WHIP_H
#define COMMANDS_PUBLISH_WHIP_H

#include "base/attr.h"
#include "base/err.h"
#include "commands/rtp_sender.h"
#include "commands/whip_client.h"

enum {
	/* What fits into a datagram once it is sealed */
	PUBLISH_WHIP_PACKET_MAX = RTP_BUILD_MAX - 20
};

/** Nothing is owned. */
struct publish_whip_wish {
	const char *url;      /* of the endpoint */
	const char *option;   /* that named it */
	const char *ticket;   /* or NULL */
	struct rtp_form form; /* what is offered: its types, red, level_id */
	uint32_t ssrc;
};

struct publish_whip_events {
	void (*connected)(void *arg);
	/** A compound of RTCP has come. */
	void (*report)(const uint8_t *data, size_t len, void *arg);
	/** It is over, once: why.  Only publish_whip_leave and _free are left;
	 *  not inside. */
	void (*ended)(const struct err *why, void *arg);
};

struct publish_whip;

/**
 * Post the offer, and begin to connect.
 *
 * Returns 0, or an errno with `e` saying what to do; then there is nothing to
 * leave.  Blocks for as long as whip_client_post.
 */
MUST_CHECK int publish_whip_open(struct loop *loop,
				 const struct publish_whip_wish *wish,
				 const struct publish_whip_events *events,
				 void *arg, struct publish_whip **out,
				 struct err *e);

/** What the receiver takes of what was offered, with form.max. */
const struct rtp_form *publish_whip_form(const struct publish_whip *w);
/** For rtp_sender_start_over, once it is connected. */
struct rtp_sender_way publish_whip_way(struct publish_whip *w);
/** Where packets go, and how they are sealed, once it is connected. */
const struct addr *publish_whip_peer(const struct publish_whip *w);
const char *publish_whip_profile(const struct publish_whip *w);

/** DELETE the session.  Returns 0, or an errno with `e`.  Blocks. */
MUST_CHECK int publish_whip_leave(struct publish_whip *w, struct err *e);

/** NULL is fine. */
void publish_whip_free(struct publish_whip *w);

#endif
