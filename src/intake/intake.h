/**
 * intake/intake.h -- sound comes in: packets of one user, put in order and
 * on the timeline.
 *
 * WHAT  An input takes RTP packets with their arrival times and hands out
 *       one continuous run of chunks (sound, concealed, silence).
 * WHY   A sender's RTP clock stops, jumps and drifts; the recording must
 *       cover wall time (recording.md section 0).  So every stream is
 *       anchored to arrival, RTP time only smooths inside a talk run.
 * DESIGN
 *   Packets wait `window_us` in a ring by sequence number.  A packet is due
 *   when it has waited that long.  Its place is ts + offset; offset is set
 *   by the first packet (arrival - ts) and set anew ("jump") when all
 *   packets in the ring agree that it is off by over 120 ms.  Frames
 *   between the last emitted one and the next packet are: missing sequence
 *   numbers -> concealed up to 100 ms, then silence, and the last of them
 *   out of the next packet if that brings it (in-band FEC); none missing
 *   (DTX, frozen clock) -> silence.  A number that did not come is not
 *   missing when a later packet brings its sound once more (RED, RFC 2198).
 *   A pause is not emitted until it is known how it ends: the next packet
 *   (silence in between), or mic_off_us without any packet (mic off, at
 *   the end of the last packet).  A packet whose audio level is -127 dBov
 *   (RFC 6464) counts as come, but for the mic as none.
 *
 *                first packet               mic_off_us without packets
 *        waiting ------------> mic on --------------------------> mic off
 *                                 ^                                  |
 *                                 +------------ packet --------------+
 *
 * Time is an argument; nothing here reads a clock, so an hour of packets
 * can be replayed in a second.  Thread: the media loop that owns the room.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "io/io.h"
#include "sound/sound.h"
#include "wire/fingerprint.h"
#include "wire/rtcp.h"

struct input_config {
	int64_t window_us;   /* reorder window: 400 ms */
	int64_t mic_off_us;  /* no packet for so long is mic off; 0: never, a
			       pause is silence (mic_off: silence) */
	int64_t takeover_us; /* another sender may take over after so long
				without a packet: 3 s */
	bool has_source;     /* only this sender's packets are taken */
	struct addr source;
	/* Who gives it packets knows that they are the sender's, wherever they
	 * come from (SRTP): no address is a stranger or another sender */
	bool is_authentic;
	/* Payload types, 0: find out (payload.h).  Two that are given differ. */
	uint8_t opus_pt; /* only this one is Opus, alone or in RED */
	uint8_t red_pt;	 /* this one is RED (RFC 2198) with Opus in it */
	/* header extension 1..14 with the audio level (RFC 6464), 0: none.
	 * Where mic_off_us is 0 it says nothing of the mic: sound is sound */
	uint8_t audio_level_ext;
};

enum {
	LEVEL_NONE = 1,	   /* the packet said no level */
	LEVEL_QUIET = -127 /* no sound at all */
};

/** What an input tells its owner.  No function may free the input. */
struct input_events {
	/** A stretch of the timeline; positions never overlap or go back,
	 *  and are gapless between mic on and mic off. */
	void (*chunk)(const struct sound_chunk *c, void *arg);
	/** Mic on: the first chunk will be at `pos`. */
	void (*mic_on)(int64_t pos, void *arg);
	/** Mic off: the last chunk ended at or before `pos`. */
	void (*mic_off)(int64_t pos, void *arg);
};

struct input_stats {
	uint64_t packets; /* that came and were taken */
	uint64_t lost;	  /* that were missing when their place was written */
	uint64_t recovered_red; /* that did not come, but RED brought them; not
				   in `lost` */
	uint64_t recovered_fec; /* of `lost`, those whose sound the next packet
				   brought (in-band FEC) */
	uint64_t late, duplicate, bad, stranger, jumps;
	uint64_t frames_concealed, frames_fec, frames_silence;
	int64_t last_packet_us; /* arrival, 0: none yet */
	uint64_t bye;		/* RTCP: times the sender said it leaves */
	/* its last sender report; a hint, nothing is placed by it */
	uint64_t sr_ntp; /* wall time: seconds since 1900, 32 bits fraction */
	uint32_t sr_ts;	 /* the same moment as RTP time, of sr_ssrc */
	uint32_t sr_ssrc;
	int64_t sr_us;	    /* when it came, 0: none did */
	int level_dbfs;	    /* of the last packet, 0 to LEVEL_QUIET, or
				   LEVEL_NONE */
	uint32_t jitter_us; /* of arrivals (RFC 3550) */
	int drift_ppm; /* it is played longer (over 0) or shorter by, now */
	bool mic_on;
	struct addr sender; /* len 0: none latched yet */
};

struct input;

MUST_CHECK int input_new(const struct input_config *config,
			 const struct input_events *events, void *arg,
			 struct input **out);
void input_free(struct input *in);

/**
 * Take one datagram: RTP, or RTCP beside it (RFC 5761).  Bad ones, strangers,
 * duplicates and late ones are counted, never an error.
 *
 * data, len    as received; copied
 * from         sender; the first is latched
 * arrival_us   monotonic; never decreasing
 */
void input_packet(struct input *in, const uint8_t *data, size_t len,
		  const struct addr *from, int64_t arrival_us);

/**
 * Is an RTCP receiver report to be sent, to the address that the packet taken
 * just now came from?  Only the sender's own RTCP is answered, by its host and
 * SSRC, and at most once a second.
 *
 * Returns its length [bytes], 0: none.
 */
MUST_CHECK size_t input_report(struct input *in, int64_t now_us,
			       uint8_t out[RTCP_REPORT_MAX]);

/** Emit everything that is due at `now_us`.  Call it a few times a second. */
void input_advance(struct input *in, int64_t now_us);

/**
 * Emit all that is held, without waiting for the window (the user leaves,
 * the task stops): packets up to `pos`; what is behind `pos` stays.
 */
void input_flush(struct input *in, int64_t pos);

/** Mic as the voice system knows it (API).  Off: ends at `pos` and packets
 *  are ignored until on. */
void input_set_mic(struct input *in, bool on, int64_t pos);

/**
 * Does anybody want PCM?  At first: yes.
 *
 * If not (packets alone are wanted, as they came), nothing is decoded: chunks
 * of sound have their packet and no PCM, concealed ones have neither.
 * Switched on again, the decoder begins anew.
 */
void input_set_decode(struct input *in, bool on);

/**
 * Position [frames] before which nothing will be emitted any more, but for a
 * burst behind a stall of the network.  While the mic is on that is where what
 * was emitted ends: how a pause ends is not known yet.  Call it after
 * input_advance(in, now_us).
 */
int64_t input_floor(const struct input *in, int64_t now_us);

void input_stats(const struct input *in, struct input_stats *out);

/* ---- plain RTP: a UDP socket that feeds an input, and answers its RTCP ---- */

struct rtp_port;

/**
 * Bind a UDP port and feed `in` with what comes.
 * Returns 0, EADDRINUSE (port is taken by another program), or an errno.
 */
MUST_CHECK int rtp_port_open(struct loop *loop, const struct addr *at,
			     struct input *in, struct rtp_port **out);
/** Take what has come since the last time, and emit what became due meanwhile;
 *  call it before input_advance.  The loop does not watch the port. */
void rtp_port_read(struct rtp_port *p);
/** The address it is bound to. */
void rtp_port_addr(const struct rtp_port *p, struct addr *out);
/** NULL is fine.  The input stays. */
void rtp_port_close(struct rtp_port *p);

/* ---- WebRTC: one UDP socket a media loop, for all its sessions -------------
 *
 * ICE-lite (RFC 8445), DTLS 1.2 as the server (RFC 5764, a=setup:passive),
 * SRTP (RFC 3711, RFC 7714).  What is negotiated (SDP) is the caller's.
 *
 *	open --check--> proven --ClientHello--> handshaking --done--> connected
 *	  |                |                         |                    |
 *	  +----------------+-------------------------+--------------------+
 *	           its time is up, a fault, close_notify: ended
 *
 * Nothing is sent to an address from which no check with the right
 * credentials has come.  Thread: the port's loop, but where said.
 */

/** Our key and certificate: ECDSA P-256, self-signed, made at the start and
 *  never stored.  Thread: any may read it; it outlives the ports. */
struct webrtc_identity;

/** Returns 0, or ENOMEM when OpenSSL cannot make one.  Takes about 1 ms. */
MUST_CHECK int webrtc_identity_new(struct webrtc_identity **out);
/** The key is wiped.  NULL is fine. */
void webrtc_identity_free(struct webrtc_identity *id);
/** What goes into a=fingerprint, SHA-256; lives as long as `id`. */
const struct fingerprint *webrtc_identity_fingerprint(
	const struct webrtc_identity *id);

enum {
	/* RFC 8839 section 5.4: 4 to 256 and 22 to 256 characters; what we
	 * make has 48 and 144 bits */
	WEBRTC_UFRAG_LEN = 8,
	WEBRTC_PWD_LEN = 24,
	WEBRTC_REMOTE_UFRAG_MIN = 4,
	WEBRTC_REMOTE_UFRAG_MAX = 256,
	WEBRTC_REMOTE_PWD_MAX = 256
};

/** ICE credentials of one side of one session; ice-chars, NUL-terminated. */
struct webrtc_credentials {
	char ufrag[WEBRTC_UFRAG_LEN + 1];
	char pwd[WEBRTC_PWD_LEN + 1]; /* a secret: wipe it */
};

/** Make random ones.  Returns 0, or EIO (OpenSSL has no random bytes).
 *  Thread: any. */
MUST_CHECK int webrtc_credentials_make(struct webrtc_credentials *out);

struct webrtc_limits {
	unsigned sessions;   /* open at a time */
	unsigned handshakes; /* DTLS handshakes under way at a time; further
				ones are dropped until one ends: a peer sends
				its hello again by itself */
	unsigned handshakes_per_host; /* of them; one IPv6 /64 is one host */
	int64_t connect_us;   /* from open until the handshake is done */
	int64_t handshake_us; /* from the peer's first hello until then */
	int64_t consent_us;   /* without a check with the right credentials
				 (RFC 7675), or a packet that is authentic */
};

/** 10000 sessions, 512 and 64 handshakes, 30 s, 10 s, 30 s. */
extern const struct webrtc_limits webrtc_limits_usual;

struct webrtc_port;

/** What its socket holds, where that is permitted: of 2,500 speakers 100 ms,
 *  when a turn of the loop may take 50.  A datagram of voice counts with the
 *  kernel's books. */
enum { WEBRTC_ROOM_BYTES = 8 * 1024 * 1024, WEBRTC_ROOM_A_DATAGRAM = 650 };

/**
 * Bind a UDP port for WebRTC.
 *
 * at          as udp_open; what is announced to peers is the caller's matter
 * interface   as udp_open_on
 * id          outlives the port
 * limits      copied; all over 0
 *
 * Returns 0, EADDRINUSE, EACCES, ENOMEM or another errno of udp_open_on.
 */
MUST_CHECK int webrtc_port_open(struct loop *loop, const struct addr *at,
				unsigned interface,
				const struct webrtc_identity *id,
				const struct webrtc_limits *limits,
				struct webrtc_port **out);
/** The address it is bound to. */
void webrtc_port_addr(const struct webrtc_port *p, struct addr *out);
/** No session may be open any more (asserted).  NULL is fine. */
void webrtc_port_close(struct webrtc_port *p);

/** Why a session has ended. */
enum webrtc_end {
	WEBRTC_BYE,		/* the peer has closed it (close_notify) */
	WEBRTC_NO_CHECK,	/* nobody came: no check with the right
				  credentials within connect_us */
	WEBRTC_NO_HANDSHAKE,	/* checks came, but no DTLS that was done within
				  connect_us or handshake_us */
	WEBRTC_BAD_HANDSHAKE,	/* DTLS failed: an alert, no common cipher */
	WEBRTC_BAD_CERTIFICATE, /* none, or not the one of the fingerprint */
	WEBRTC_NO_SRTP,		/* no SRTP profile in common */
	WEBRTC_NO_CONSENT,	/* nothing authentic within consent_us */
	WEBRTC_NO_MEMORY
};

/** One or two words for logs and API: "bye", "no consent", .. */
const char *webrtc_end_name(enum webrtc_end why);

/** What a session tells its owner.  None may close a session or the port
 *  (loop_later may, or a wish that comes by mail). */
struct webrtc_session_events {
	/** The handshake is done: packets flow to the input from now on. */
	void (*connected)(const struct addr *peer, int64_t now_us, void *arg);
	/** It is over, once; only webrtc_session_close is left. */
	void (*ended)(enum webrtc_end why, int64_t now_us, void *arg);
};

/** All is copied, but for the input. */
struct webrtc_session_config {
	const struct webrtc_credentials *local; /* as in our answer */
	const char *remote_ufrag;	/* the peer's a=ice-ufrag, 4..256
				     characters */
	struct fingerprint fingerprint; /* of the peer's certificate: the
					   strongest of its a=fingerprint */
	/* Gets RTP whose payload type is opus_pt or red_pt, and RTCP.  Its
	 * config has is_authentic, the same types, and no source.  Outlives
	 * the session */
	struct input *in;
	uint8_t opus_pt; /* 1..127 */
	uint8_t red_pt;	 /* 0: none */
};

struct webrtc_session;

/**
 * Open a session: from now on checks for local.ufrag are answered.
 *
 * now_us   connect_us counts from here
 *
 * Returns 0, EEXIST (the port has a session of that ufrag: make another),
 * ENOBUFS (limits.sessions are open; counted), EINVAL (remote_ufrag's length)
 * or ENOMEM.
 */
MUST_CHECK int webrtc_session_open(struct webrtc_port *p,
				   const struct webrtc_session_config *config,
				   const struct webrtc_session_events *events,
				   void *arg, int64_t now_us,
				   struct webrtc_session **out);

/**
 * ICE restart (RFC 8445 section 9): new credentials on both sides; DTLS and
 * SRTP go on.  The old ones are valid until the first check with the new ones
 * has come.  On a session that has ended it changes nothing.
 *
 * Returns 0, or EEXIST, EINVAL, ENOMEM with the session unchanged.
 */
MUST_CHECK int webrtc_session_restart(struct webrtc_session *s,
				      const struct webrtc_credentials *local,
				      const char *remote_ufrag);

/**
 * Give the input what has come for any session of the port; call it before
 * input_advance, as rtp_port_read.  Costs a system call every few ms, however
 * many sessions ask.  Events of all the port's sessions may come inside.
 */
void webrtc_session_read(struct webrtc_session *s, int64_t now_us);

struct webrtc_session_stats {
	bool is_proven;	   /* a check with the right credentials has come */
	bool is_connected; /* the handshake is done, and it has not ended */
	bool has_ended;
	enum webrtc_end why;	  /* if so */
	struct addr peer;	  /* where it is now, len 0: not known yet */
	int64_t checked_us;	  /* the last check, 0: none */
	const char *srtp_profile; /* as RFC 5764 and 7714 call it, or NULL */
	uint64_t packets;	  /* SRTP and SRTCP that were taken */
	uint64_t refused;	  /* of them none: forged or damaged */
	uint64_t replayed;	  /* had come before, or are too old to tell */
	uint64_t other;		  /* payload types that are not the input's */
	uint64_t moves; /* times that the peer has changed its address */
};
void webrtc_session_stats(const struct webrtc_session *s,
			  struct webrtc_session_stats *out);

/**
 * Close: says so to a peer that is connected (close_notify), wipes the keys.
 * The input stays.  Not inside an event.  NULL is fine.
 */
void webrtc_session_close(struct webrtc_session *s);

/* ---- the other side ------------------------------------------------------------ */

/**
 * A peer that calls a session of somebody, for `tapeop publish`: a full ICE
 * agent, controlling; DTLS on either side; SRTP out.
 *
 *	open --answer to a check--> found --nominated--> handshaking --> connected
 *
 * It has neither a socket nor a timer: datagrams come and go through its
 * owner, which gives it the time.
 * ICE is kept simple: one component, one base; pairs are checked all at once,
 * the first one that is answered is nominated, and stays (RFC 8445 section
 * 8.1.1).  Consent is asked for every 5 s (RFC 7675).
 *
 * Thread: one at a time.
 */
struct webrtc_caller;

enum {
	WEBRTC_CALLER_PAIRS = 24,	   /* addresses of the peer, at most */
	WEBRTC_CALLER_TICK_US = 20 * 1000, /* between two ticks */
	WEBRTC_CALLER_CHECK_US = 10000000, /* until a check is answered */
	WEBRTC_CALLER_SHAKE_US = 10000000, /* from then until connected */
	WEBRTC_CALLER_CONSENT_US = 30000000, /* without an answer */
	WEBRTC_CALLER_LEN_MAX = 2048	     /* of a sealed packet [bytes] */
};

/** A datagram is to be sent.  May not free anything. */
typedef void(webrtc_send_fn)(const struct addr *to, const uint8_t *data,
			     size_t len, void *arg);

/** What a caller tells its owner; none may close it. */
struct webrtc_caller_events {
	webrtc_send_fn *send;
	/** The handshake is done: packets may be sealed. */
	void (*connected)(void *arg);
	/** A compound of RTCP has come. */
	void (*report)(const uint8_t *data, size_t len, void *arg);
	/** It is over, once. */
	void (*ended)(enum webrtc_end why, void *arg);
};

/** All is copied, but for `id`. */
struct webrtc_caller_config {
	const struct webrtc_identity *id; /* outlives it */
	const struct webrtc_credentials *local;
	const char *remote_ufrag, *remote_pwd; /* up to 256 characters */
	struct fingerprint fingerprint;	       /* of the peer's certificate */
	bool is_awaited; /* the peer begins with DTLS (a=setup:active) */
	const struct addr *peers; /* n_peers of its candidates; others than the
				     first WEBRTC_CALLER_PAIRS are left out */
	size_t n_peers;		  /* 0: it has to check us first */
};

/** Begin; the first check goes with the first tick.  Returns 0, ENOMEM or EIO
 *  (no random bytes). */
MUST_CHECK int webrtc_caller_open(const struct webrtc_caller_config *config,
				  const struct webrtc_caller_events *events,
				  void *arg, int64_t now_us,
				  struct webrtc_caller **out);

/** A datagram has come. */
void webrtc_caller_take(struct webrtc_caller *c, const struct datagram *d);
/** Time goes by: every WEBRTC_CALLER_TICK_US. */
void webrtc_caller_tick(struct webrtc_caller *c, int64_t now_us);

/**
 * Seal a packet, or a report; it has to be connected.
 *
 * out   room for len + SRTP_TRAILER_MAX bytes
 *
 * Returns as srtp_protect, or ENOTCONN: it has ended.
 */
MUST_CHECK int webrtc_caller_seal(struct webrtc_caller *c, bool is_report,
				  const uint8_t *in, size_t len, uint8_t *out,
				  size_t *out_len);

/** Where the peer is, once a pair is nominated; len 0 before. */
const struct addr *webrtc_caller_peer(const struct webrtc_caller *c);
/** As RFC 5764 and 7714 call it, once connected; else NULL. */
const char *webrtc_caller_profile(const struct webrtc_caller *c);
/** Words for a handshake that has failed; "": none. */
const char *webrtc_caller_reason(const struct webrtc_caller *c);

/** Say so to a peer that is connected (close_notify), and wipe the keys.
 *  NULL is fine. */
void webrtc_caller_close(struct webrtc_caller *c);

#endif
