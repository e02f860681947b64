/** wire/sdp_write.c -- answers and offers written. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "wire/sdp.h"

enum { LOCAL_PREFERENCE = 65535, HOST_PREFERENCE = 126 };

static void put_address(const struct sdp_candidate *c, struct buf *out)
{
	buf_printf(out, "c=IN IP%c %s\r\n", strchr(c->address, ':') ? '6' : '4',
		   c->address);
}

static void put_ice(const struct sdp_local *l, struct buf *out)
{
	buf_printf(out, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", l->ice->ufrag,
		   l->ice->pwd);
}

/** Priority: RFC 8445 section 5.1.2.1; a foundation a candidate, since each
 *  has a base of its own. */
static void put_candidates(const struct sdp_local *l, struct buf *out)
{
	for (size_t i = 0; i < l->n_candidates; i++) {
		const uint32_t priority =
			(uint32_t)HOST_PREFERENCE << 24 |
			(uint32_t)(LOCAL_PREFERENCE - i) << 8 | 255;

		buf_printf(out,
			   "a=candidate:%zu 1 udp %" PRIu32
			   " %s %u typ host\r\n",
			   i + 1, priority, l->candidates[i].address,
			   (unsigned)l->candidates[i].port);
	}
	buf_puts(out, "a=end-of-candidates\r\n");
}

static void put_fingerprint(const struct sdp_local *l, const char *setup,
			    struct buf *out)
{
	char text[FINGERPRINT_TEXT_MAX];

	buf_printf(out, "a=fingerprint:%s\r\na=setup:%s\r\n",
		   fingerprint_write(l->fingerprint, text), setup);
}

static void put_extension(unsigned id, const char *uri, struct buf *out)
{
	if (id)
		buf_printf(out, "a=extmap:%u urn:ietf:params:rtp-hdrext:%s\r\n",
			   id, uri);
}

static void put_mid(const struct sdp_media *m, struct buf *out)
{
	if (m->mid[0])
		buf_printf(out, "a=mid:%s\r\n", m->mid);
}

/** usedtx=1: a muted browser sends 5 packets a second instead of 50.  RED
 *  first: the browser sends every packet twice, so a lost one is repaired. */
static void put_codecs(unsigned opus_pt, unsigned red_pt, struct buf *out)
{
	if (red_pt)
		buf_printf(out,
			   "a=rtpmap:%u red/48000/2\r\na=fmtp:%u %u/%u\r\n",
			   red_pt, red_pt, opus_pt, opus_pt);
	buf_printf(out,
		   "a=rtpmap:%u opus/48000/2\r\n"
		   "a=fmtp:%u minptime=10;useinbandfec=1;usedtx=1\r\n",
		   opus_pt, opus_pt);
}

static void put_audio(const struct sdp_offer *o, const struct sdp_local *l,
		      struct buf *out)
{
	const struct sdp_media *m = &o->media[o->audio];

	buf_printf(out, "m=audio %u %s", (unsigned)l->candidates[0].port,
		   m->proto);
	if (o->red_pt)
		buf_printf(out, " %u", o->red_pt);
	buf_printf(out, " %u\r\n", o->opus_pt);
	put_address(&l->candidates[0], out);
	put_mid(m, out);
	buf_puts(out, "a=recvonly\r\na=rtcp-mux\r\n");
	if (o->has_rsize)
		buf_puts(out, "a=rtcp-rsize\r\n");
	put_ice(l, out);
	if (o->is_trickle)
		buf_puts(out, "a=ice-options:trickle\r\n");
	put_fingerprint(l, "passive", out);
	put_candidates(l, out);
	put_extension(o->level_ext, "ssrc-audio-level", out);
	put_extension(o->mid_ext, "sdes:mid", out);
	put_codecs(o->opus_pt, o->red_pt, out);
}

static void put_declined(const struct sdp_media *m, struct buf *out)
{
	buf_printf(out, "m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\n", m->kind,
		   m->proto, m->format);
	put_mid(m, out);
	buf_puts(out, "a=inactive\r\n");
}

static void put_session(const struct sdp_local *local, struct buf *out)
{
	buf_printf(out,
		   "v=0\r\no=- %" PRIu64 " 1 IN IP4 127.0.0.1\r\ns=-\r\n"
		   "t=0 0\r\n",
		   local->session_id);
}

int sdp_answer_write(const struct sdp_offer *offer,
		     const struct sdp_local *local, struct buf *out)
{
	put_session(local, out);
	if (offer->is_bundled)
		buf_printf(out, "a=group:BUNDLE %s\r\n",
			   offer->media[offer->audio].mid);
	buf_puts(out, "a=ice-lite\r\n");
	for (size_t i = 0; i < offer->n_media; i++) {
		if (i == offer->audio)
			put_audio(offer, local, out);
		else
			put_declined(&offer->media[i], out);
	}
	return buf_err(out);
}

int sdp_frag_write(const char *mid, const struct sdp_local *local,
		   struct buf *out)
{
	buf_puts(out, "a=ice-lite\r\n");
	put_ice(local, out);
	buf_puts(out, "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n");
	if (mid[0])
		buf_printf(out, "a=mid:%s\r\n", mid);
	put_candidates(local, out);
	return buf_err(out);
}

/* ---- who sends -------------------------------------------------------------- */

/** A section may be sent anywhere until ICE has found where: port 9 then. */
static void put_place(const struct sdp_local *l, const struct sdp_sound *s,
		      struct buf *out)
{
	static const struct sdp_candidate nowhere = {"0.0.0.0", 9};
	const struct sdp_candidate *at =
		l->n_candidates ? &l->candidates[0] : &nowhere;

	buf_printf(out, "m=audio %u UDP/TLS/RTP/SAVPF", (unsigned)at->port);
	if (s->red_pt)
		buf_printf(out, " %u", s->red_pt);
	buf_printf(out, " %u\r\n", s->opus_pt);
	put_address(at, out);
}

int sdp_offer_write(const struct sdp_sound *sound,
		    const struct sdp_local *local, struct buf *out)
{
	put_session(local, out);
	buf_puts(out, "a=group:BUNDLE 0\r\na=msid-semantic: WMS *\r\n");
	put_place(local, sound, out);
	buf_puts(out, "a=mid:0\r\na=sendonly\r\na=msid:tapeop sound\r\n"
		      "a=rtcp-mux\r\na=rtcp-mux-only\r\n");
	put_ice(local, out);
	buf_puts(out, "a=ice-options:ice2\r\n");
	put_fingerprint(local, "actpass", out);
	put_candidates(local, out);
	put_extension(sound->level_ext, "ssrc-audio-level", out);
	put_codecs(sound->opus_pt, sound->red_pt, out);
	buf_printf(out,
		   "a=ssrc:%" PRIu32 " cname:%s\r\n"
		   "a=ssrc:%" PRIu32 " msid:tapeop sound\r\n",
		   sound->ssrc, sound->cname, sound->ssrc);
	return buf_err(out);
}
