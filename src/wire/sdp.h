/**
 * wire/sdp.h -- the session descriptions of WHIP: read a browser's offer,
 * answer it, and read what comes later (trickled candidates, ICE restart);
 * and, for who sends, write an offer and read its answer.
 *
 * WHAT  One audio section with Opus is taken; every other section (video, data
 *       channels, more audio) is declined with port 0, so that what offers
 *       them beside its sound still joins.
 * DESIGN
 *   An offer is read once into a struct of fixed size: whatever comes, nothing
 *   is allocated.  Unknown lines and attributes are passed over, as they must
 *   be.  Candidates of the offerer are checked and counted, not kept: we are
 *   ICE-lite and learn its address from its first authenticated check.
 *   What belongs to the transport (ICE, DTLS) is looked for in the audio
 *   section, then in the section that its BUNDLE group is tagged by, then at
 *   session level.
 *
 * Source: RFC 8866 (SDP), RFC 9429 (JSEP), RFC 8839 (ICE), RFC 8842 (DTLS),
 * RFC 9143 (BUNDLE), RFC 8840 (trickle-ice-sdpfrag), RFC 9725 (WHIP), RFC 7587
 * (Opus), RFC 2198 (RED).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_SDP_H
#define WIRE_SDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/fingerprint.h"

enum {
	SDP_TEXT_MAX = 65536, /* an offer or a fragment [bytes] */
	SDP_MEDIA_MAX = 32,   /* m= lines */
	SDP_GROUPS_MAX = 8,   /* a=group:BUNDLE lines */
	SDP_MID_MAX = 32,     /* [bytes]; browsers: 1 to 3 */
	SDP_WORD_MAX = 63,    /* media, proto, format of an m= line [bytes] */
	SDP_UFRAG_MAX = 256,  /* [characters]; RFC 8839 section 5.4 */
	SDP_PWD_MAX = 256,
	SDP_UFRAG_MIN = 4,
	SDP_PWD_MIN = 22,
	SDP_PEERS_MAX = 16,   /* candidates of an answer that are kept */
	SDP_ADDRESS_MAX = 45, /* of each; longer ones are names [bytes] */
	SDP_CNAME_MAX = 64
};

/** ICE credentials. */
struct sdp_ice {
	char ufrag[SDP_UFRAG_MAX + 1]; /* "": none */
	char pwd[SDP_PWD_MAX + 1];
};

/** An m= line, as much as its answer needs. */
struct sdp_media {
	char kind[SDP_WORD_MAX + 1];   /* "audio" */
	char proto[SDP_WORD_MAX + 1];  /* "UDP/TLS/RTP/SAVPF" */
	char format[SDP_WORD_MAX + 1]; /* the first one */
	char mid[SDP_MID_MAX + 1];     /* "": none */
};

/** What an offer says of the sound that we take. */
struct sdp_offer {
	struct sdp_media media[SDP_MEDIA_MAX];
	size_t n_media;
	size_t audio;	 /* which of them it is */
	bool is_bundled; /* it is in a BUNDLE group */
	bool is_trickle; /* a=ice-options:trickle */
	bool has_rsize;	 /* a=rtcp-rsize */
	struct sdp_ice ice;
	struct fingerprint fingerprint; /* of its certificate; the strongest */
	uint8_t opus_pt;		/* 35..63 or 96..127 */
	uint8_t red_pt; /* the same, of RED around that Opus; 0: none */
	uint8_t level_ext, mid_ext; /* header extensions 1..14; 0: none */
	unsigned n_candidates;
};

/**
 * Read an offer.
 *
 * text, len   its bytes; CRLF or LF behind each line
 * out         written on success only
 *
 * Returns 0, or with `e` (which names the line or the attribute, and what is
 * permitted)
 *   EBADMSG   it is malformed
 *   ENOTSUP   it is well-formed, and nothing that can be recorded: no audio
 *             that sends Opus, no certificate's fingerprint, no rtcp-mux, an ICE-lite
 *             offerer ..
 */
MUST_CHECK int sdp_offer_parse(const char *text, size_t len,
			       struct sdp_offer *out, struct err *e);

/** Where we are; all strings are the caller's. */
struct sdp_candidate {
	const char *address; /* "192.0.2.7", "2001:db8::7" */
	uint16_t port;
};

/** Our end. */
struct sdp_local {
	uint64_t session_id; /* of the o= line; 0..2^63-1 */
	const struct sdp_ice *ice;
	const struct fingerprint *fingerprint;	/* of our certificate */
	const struct sdp_candidate *candidates; /* 1.., the best first */
	size_t n_candidates;
};

/**
 * Append the answer: ICE-lite, DTLS passive, the sound received only, RED
 * first if it was offered, Opus with usedtx=1 and useinbandfec=1.
 *
 * Returns 0, or the error of `out` (EMSGSIZE, ENOMEM).
 */
MUST_CHECK int sdp_answer_write(const struct sdp_offer *offer,
				const struct sdp_local *local, struct buf *out);

/** What a fragment says (application/trickle-ice-sdpfrag). */
struct sdp_frag {
	struct sdp_ice ice;	   /* ufrag "": none were given */
	char mid[SDP_MID_MAX + 1]; /* of its first section; "": none */
	unsigned n_candidates;
	bool is_end; /* a=end-of-candidates */
};

/** Read a fragment.  Returns 0, or EBADMSG with `e`. */
MUST_CHECK int sdp_frag_parse(const char *text, size_t len,
			      struct sdp_frag *out, struct err *e);

/** Append the fragment that answers an ICE restart.  `mid`: of the section
 *  that was taken.  Returns as sdp_answer_write. */
MUST_CHECK int sdp_frag_write(const char *mid, const struct sdp_local *local,
			      struct buf *out);

/* ---- who sends ------------------------------------------------------------ */

/** The sound that is offered. */
struct sdp_sound {
	uint8_t opus_pt;   /* 35..63 or 96..127 */
	uint8_t red_pt;	   /* 0: no RED */
	uint8_t level_ext; /* id of the audio level, 1..14; 0: none */
	uint32_t ssrc;
	const char *cname; /* as in RTCP, 1..SDP_CNAME_MAX characters */
};

/**
 * Append the offer: a full ICE agent that knows all of its candidates, DTLS
 * actpass, one section of sound that is only sent.  `local` may have no
 * candidates: the answerer learns the address from our checks.
 *
 * Returns as sdp_answer_write.
 */
MUST_CHECK int sdp_offer_write(const struct sdp_sound *sound,
			       const struct sdp_local *local, struct buf *out);

/** Where the answerer is, by UDP; maybe a name. */
struct sdp_peer {
	char address[SDP_ADDRESS_MAX + 1];
	uint16_t port; /* over 0 */
};

/** What an answer says. */
struct sdp_answer {
	struct sdp_ice ice;
	struct fingerprint fingerprint; /* the strongest */
	bool is_active;	   /* a=setup:active: the answerer begins with DTLS */
	uint8_t opus_pt;   /* as what Opus is sent */
	uint8_t red_pt;	   /* 0: no RED */
	uint8_t level_ext; /* 0: none */
	struct sdp_peer peers[SDP_PEERS_MAX];
	size_t n_peers;
};

/**
 * Read the answer to an offer of sound.
 *
 * Returns 0, or with `e`
 *   EBADMSG   it is malformed
 *   ENOTSUP   it is well-formed, but takes no Opus, or lacks what ICE and
 *             DTLS need
 */
MUST_CHECK int sdp_answer_parse(const char *text, size_t len,
				struct sdp_answer *out, struct err *e);

#endif
