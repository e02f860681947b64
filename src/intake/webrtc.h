/** intake/webrtc.h -- WebRTC, for the files of this folder. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTAKE_WEBRTC_H
#define INTAKE_WEBRTC_H

#include <openssl/types.h>

#include "base/list.h"
#include "base/map.h"
#include "intake/dtls.h"
#include "intake/intake.h"
#include "wire/rtp.h"
#include "wire/srtp.h"
#include "wire/stun.h"

enum {
	WEBRTC_TICK_US = 50 * 1000, /* handshakes are looked after so often */
	WEBRTC_SWEEP_US = 1000 * 1000, /* all sessions are */
	/* A peer's network interfaces and relays, IPv4 and IPv6. */
	WEBRTC_PATHS = 8,
	WEBRTC_DATAGRAM_MAX = 2048 /* io/udp.c drops longer ones */
};

struct webrtc_identity {
	EVP_PKEY *key;
	X509 *cert;
	struct fingerprint fingerprint;
};

/** The digest of a certificate.  Returns 0 or ENOMEM. */
MUST_CHECK int webrtc_certificate_fingerprint(X509 *cert,
					      enum fingerprint_hash hash,
					      struct fingerprint *out);

/** An address as STUN has it. */
struct stun_addr webrtc_stun_addr(const struct addr *a);

/* ---- the port ---------------------------------------------------------------- */

/** An address as a key: IPv6 (IPv4 mapped), port, scope; no padding. */
struct path_key {
	uint8_t ip[16];
	uint8_t port[2];
	uint8_t scope[4];
};

/** Whoever logs at most once a minute. */
struct webrtc_sample {
	int64_t next_us;
	unsigned n;
};

struct webrtc_port {
	/* fixed after init */
	struct webrtc_limits limits;
	struct dtls_context *dtls;
	webrtc_send_fn *send;
	void *send_arg;
	struct map names;    /* struct webrtc_name by ufrag */
	struct map paths;    /* struct webrtc_path by key */
	struct map speakers; /* struct webrtc_session by ssrc */
	struct link sessions;
	struct link shaking; /* sessions whose handshake is under way */
	unsigned n_sessions, n_shaking;
	int64_t swept_us;
	struct webrtc_sample failed, dropped, full;
	/* of a port with a socket */
	struct loop *loop;
	struct udp *udp;
	bool is_watched; /* by the loop; else: */
	struct timer read_timer;
	bool came; /* something has, when the timer had it read */
	struct timer tick_timer;
	int64_t read_us;		    /* when it was read last */
	uint8_t plain[WEBRTC_DATAGRAM_MAX]; /* of the packet in hand */
};

/** A port without a socket: the caller gives it datagrams and ticks.
 *  Returns 0 or ENOMEM. */
MUST_CHECK int webrtc_port_new(const struct webrtc_identity *id,
			       const struct webrtc_limits *limits,
			       webrtc_send_fn *send, void *arg,
			       struct webrtc_port **out);
/** NULL is fine. */
void webrtc_port_free(struct webrtc_port *p);

/** A datagram has come. */
void webrtc_port_take(struct webrtc_port *p, const struct datagram *d);
/** Every WEBRTC_TICK_US while there are sessions. */
void webrtc_port_tick(struct webrtc_port *p, int64_t now_us);

/** May another session be opened?  Counts it if not. */
MUST_CHECK bool webrtc_port_may_open(struct webrtc_port *p, int64_t now_us);
/** May another handshake with that host begin?  Counts it if not. */
MUST_CHECK bool webrtc_port_may_shake(struct webrtc_port *p,
				      const struct addr *from, int64_t now_us);
/** Say that one has failed, once a minute. */
void webrtc_port_handshake_failed(struct webrtc_port *p,
				  const struct addr *from, const char *reason,
				  int64_t now_us);
/** Have ticks, if there is a session. */
void webrtc_port_arm(struct webrtc_port *p);

void path_key_make(const struct addr *a, struct path_key *out);

/* ---- sessions ----------------------------------------------------------------- */

/** What a peer calls a session by.  A session has the new one, and after a
 *  restart the old one for a while. */
struct webrtc_name {
	struct map_node node; /* by local.ufrag; member of no map: key NULL */
	struct webrtc_session *session;
	struct webrtc_credentials local;
	char remote_ufrag[WEBRTC_REMOTE_UFRAG_MAX + 1];
};

/** An address from which a check with the right credentials has come. */
struct webrtc_path {
	struct map_node node; /* by key; session NULL: a free place */
	struct webrtc_session *session;
	struct path_key key;
	struct addr addr;
	int64_t alive_us; /* a check or an authentic packet came, last */
};

struct webrtc_session {
	struct link link;    /* in port.sessions */
	struct link shaking; /* in port.shaking */
	struct webrtc_port *port;
	struct webrtc_session_events events;
	void *arg;
	struct input *in;
	struct fingerprint fingerprint;
	uint8_t opus_pt, red_pt;
	struct webrtc_name *name, *old_name; /* old: NULL, or until the first
						check by the new one */
	struct webrtc_path paths[WEBRTC_PATHS];
	struct webrtc_path *path; /* where we send to; NULL: none yet */
	int64_t opened_us, hello_us, alive_us; /* as of its paths */
	struct dtls *dtls;	    /* NULL: no hello yet, or it has ended */
	struct srtp *srtp, *reply;  /* theirs, ours; NULL: not connected */
	struct map_node speaker;    /* by ssrc; member of no map: key NULL */
	uint8_t ssrc[RTP_SSRC_LEN]; /* of its last authentic packet */
	bool has_ssrc;
	struct webrtc_session_stats stats;
};

/** A request with the right credentials, by that name. */
void session_checked(struct webrtc_name *name, const struct stun *check,
		     const struct datagram *d);
/** From one of its paths. */
void session_take_dtls(struct webrtc_path *path, const struct datagram *d);
/** From its path, or NULL: from an address that nobody has proved, and the keys
 *  tell whether it is the peer's. */
void session_take_media(struct webrtc_session *s, struct webrtc_path *path,
			const struct datagram *d);
/** Of those whose handshake is under way. */
void session_tick(struct webrtc_session *s, int64_t now_us);
/** Of all: is its time up? */
void session_sweep(struct webrtc_session *s, int64_t now_us);

#endif
