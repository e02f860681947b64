/**
 * commands/rtp_sender.h -- sends a sound file as RTP in real time, for
 * `publish` and `demo`.
 *
 * WHAT  One sender is one user's microphone: a socket of its own, one packet
 *       a frame, marker on the first.  Any number of them on one loop.
 * DESIGN
 *   - Packet n is due when all the sound before it has been spoken: at
 *     start + its position, not some time after packet n - 1, so that late
 *     timers never add up to drift.
 *   - Whoever is late by little catches up.  Whoever was stopped for longer
 *     (SIGSTOP, a machine that stood still) does not send a burst: the
 *     stream goes on now, and its RTP time shows the pause.
 *   - SSRC, first sequence number and first time stamp are random (RFC 3550
 *     section 5.1); the clock is 48 kHz whatever the file has (RFC 7587
 *     section 4.1).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RTP_SENDER_H
#define COMMANDS_RTP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "io/io.h"

enum {
	RTP_SENDER_TYPE = 111,		 /* payload type, dynamic */
	RTP_SENDER_LATE_US = 500 * 1000, /* more is a pause */
	RTP_SENDER_PACKET_MAX = 2036	 /* bytes of Opus: servers take 2048 */
};

struct rtp_sender;

struct rtp_sender_config {
	const void *data; /* len bytes of Ogg Opus or WAV; must live as long
			     as the sender */
	size_t len;	  /* [bytes] */
	bool repeat;	  /* begin again at the end, for ever */
};

struct rtp_sender_events {
	/** One packet's time has come, and it was sent.  May be NULL. */
	void (*packet)(const uint8_t *opus, size_t len, void *arg);
	/** All was sent, and the last packet's time is over (err 0); or the
	 *  network refused (errno).  The sender may be freed inside. */
	void (*ended)(int err, void *arg);
};

struct rtp_sender_stats {
	uint64_t packets;      /* handed to the network */
	uint64_t dropped;      /* the queue to the network was full */
	uint64_t skipped;      /* over RTP_SENDER_PACKET_MAX: no server takes
				  them */
	int64_t sent_us;       /* sound sent, all rounds together */
	int64_t round_sent_us; /* sound sent of this round */
	int64_t round_us;      /* length of the file */
	uint64_t round;	       /* from 0 */
	uint32_t ssrc;
};

/**
 * Make a sender; nothing is sent yet.
 *
 * Returns 0, or
 *   EBADMSG  neither Ogg Opus nor PCM WAV, or no sound in it
 *   ENOMEM
 *   EIO      no random numbers
 *
 * Thread: the loop's, as for all below.
 */
MUST_CHECK int rtp_sender_new(struct loop *loop,
			      const struct rtp_sender_config *config,
			      const struct rtp_sender_events *events, void *arg,
			      struct rtp_sender **out);

/** Begin to send to `to` at `start_us` (monotonic; the past: now).  Once.
 *  Returns 0, ENOMEM, or another errno of opening a socket. */
MUST_CHECK int rtp_sender_start(struct rtp_sender *s, const struct addr *to,
				int64_t start_us);

void rtp_sender_stats(const struct rtp_sender *s, struct rtp_sender_stats *out);

/** Stop and free; `ended` is not called.  Safe inside the sender's own
 *  callbacks.  NULL is fine. */
void rtp_sender_free(struct rtp_sender *s);

#endif
