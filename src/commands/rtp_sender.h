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
 *   - What a sender may do (clock, pauses, other streams) is decided in
 *     microphone.h, the form of its packets in rtp_build.h, and what the
 *     network does to them in impair.h.  All of it counts time from the start,
 *     by when packets are due, not by when a timer came: with a seed the same
 *     bytes leave in the same order.
 *   - RTCP is not harmed by the network.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_RTP_SENDER_H
#define COMMANDS_RTP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "commands/impair.h"
#include "commands/microphone.h"
#include "commands/rtp_build.h"
#include "io/io.h"
#include "wire/rtcp_sender.h"

enum {
	RTP_SENDER_LATE_US = 500 * 1000,       /* more is a pause */
	RTP_SENDER_REPORT_US = 5 * 1000 * 1000 /* between two reports */
};

/** Who we are, in reports. */
#define RTP_SENDER_CNAME "tapeop publish"

struct rtp_sender;

/** A way for packets that is not a socket of the sender: a session of its
 *  owner.  Errors as of udp_send; EAGAIN loses a packet. */
struct rtp_sender_way {
	/** Seal a packet, or a report, before the network harms it.
	 *  out: RTP_BUILD_MAX bytes; form.max leaves room for the seal */
	int (*seal)(bool is_report, const uint8_t *in, size_t len, uint8_t *out,
		    size_t *out_len, void *arg);
	int (*send)(const void *data, size_t len, void *arg);
	void *arg;
};

/** All zeros but the sound: an ordinary sender on a good network. */
struct rtp_sender_config {
	const void *data; /* len bytes of Ogg Opus or WAV; must live as long
			     as the sender */
	size_t len;	  /* [bytes] */
	bool repeat;	  /* begin again at the end, for ever */
	struct rtp_form form;
	struct mic_config mic;
	struct impair_config net;
	bool has_seed; /* SSRC and numbers come from net.seed, too */
	bool has_seq, has_ts;
	uint16_t seq; /* the first one's */
	uint32_t ts;
	/** Send from a port that is closed but for the moment of sending:
	 *  whoever answers is told "port unreachable". */
	bool no_return;
	bool rtcp; /* send reports to the same address, and read those back */
	/** The first number is below 2^15: who unseals the packets must know
	 *  how often numbers have wrapped (RFC 3711 section 3.3.1). */
	bool is_sealed;
};

struct rtp_sender_events {
	/** This sound's time has come, and it was sent.  May be NULL. */
	void (*packet)(const uint8_t *opus, size_t len, void *arg);
	/** All was sent, nothing is on its way here any more, and the last
	 *  packet's time is over (err 0); or the
	 *  network refused (errno).  The sender may be freed inside. */
	void (*ended)(int err, void *arg);
	/** The receiver reports of our stream.  May be NULL. */
	void (*report)(const struct rtcp_block *block, void *arg);
};

struct rtp_sender_stats {
	uint64_t packets;  /* handed to the network */
	uint64_t dropped;  /* the queue to the network was full */
	uint64_t skipped;  /* over RTP_BUILD_MAX: no server takes them */
	uint64_t silent;   /* not sent: muted, or in a pause */
	uint64_t tiny;	   /* sent in a pause */
	int64_t frozen_us; /* the clock stood */
	int64_t stood_us;  /* this process was stopped: pauses of its own */
	uint64_t streams;  /* SSRCs used */
	struct impair_stats net;
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

/** The same over a way of the owner's, which is copied; no_return is not for
 *  it. */
MUST_CHECK int rtp_sender_start_over(struct rtp_sender *s,
				     const struct rtp_sender_way *way,
				     int64_t start_us);
/** A compound of RTCP has come by that way. */
void rtp_sender_take(struct rtp_sender *s, const uint8_t *data, size_t len);

/** What packets are like from now on, before the start: only now may be known
 *  what the receiver takes. */
void rtp_sender_set_form(struct rtp_sender *s, const struct rtp_form *form);

void rtp_sender_stats(const struct rtp_sender *s, struct rtp_sender_stats *out);

/** Stop and free; `ended` is not called.  Safe inside the sender's own
 *  callbacks.  NULL is fine. */
void rtp_sender_free(struct rtp_sender *s);

#endif
