/** commands/publish_whip.c -- a sender's session by WHIP. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/publish_whip.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "intake/intake.h"
#include "wire/sdp.h"
#include "wire/srtp.h"

enum { OWN_MAX = 8 /* addresses that are offered */ };

static_assert(PUBLISH_WHIP_PACKET_MAX + SRTP_TRAILER_MAX <= RTP_BUILD_MAX,
	      "a sealed packet fits");

struct publish_whip {
	struct loop *loop;
	struct publish_whip_events events;
	void *arg;
	struct rtp_form form;
	struct whip_client http;
	struct webrtc_identity *id;
	struct webrtc_credentials local;
	struct udp *udp;
	struct webrtc_caller *caller; /* NULL: not answered yet */
	struct timer timer;
	size_t n_peers; /* addresses in the answer that can be sent to */
	bool is_v6;	/* the socket takes IPv6, too */
	bool has_left;	/* nobody is there any more to be told */
};

/* ---- why it is over ------------------------------------------------------------ */

static const char *say_no_check(const struct publish_whip *w)
{
	return w->n_peers ? "none of the addresses in the server's answer has "
			    "answered a check (ICE) within 10 s: is UDP to "
			    "them let through, and are they right "
			    "(media.address)?"
			  : "the server's answer names no address that can be "
			    "sent to (a=candidate, UDP), and nobody has sent a "
			    "check (ICE) within 10 s";
}

static const char *say(const struct publish_whip *w, enum webrtc_end why)
{
	switch (why) {
	case WEBRTC_BYE:
		return "the server has ended the session";
	case WEBRTC_NO_CHECK:
		return say_no_check(w);
	case WEBRTC_NO_HANDSHAKE:
		return "ICE found a way, but no DTLS handshake was done within "
		       "10 s";
	case WEBRTC_BAD_HANDSHAKE:
		return "the DTLS handshake has failed";
	case WEBRTC_BAD_CERTIFICATE:
		return "DTLS: the certificate is not the one of the server's "
		       "answer (a=fingerprint): is somebody in between?";
	case WEBRTC_NO_SRTP:
		return "the server takes neither SRTP_AEAD_AES_128_GCM nor "
		       "SRTP_AES128_CM_SHA1_80";
	case WEBRTC_NO_CONSENT:
		return "the server has not answered for 30 s: it, or the way "
		       "to it, has gone";
	case WEBRTC_NO_MEMORY:
		return "out of memory";
	}
	return "";
}

static void on_ended(enum webrtc_end why, void *arg)
{
	struct publish_whip *w = arg;
	const char *reason = webrtc_caller_reason(w->caller);
	struct err e;

	timer_stop(&w->timer);
	if (why != WEBRTC_BAD_HANDSHAKE)
		reason = "";
	(void)err_set(&e, EIO, "", "%s%s%s", say(w, why), *reason ? ": " : "",
		      reason);
	w->events.ended(&e, w->arg);
}

/* ---- the socket ------------------------------------------------------------------ */

static void on_send(const struct addr *to, const uint8_t *data, size_t len,
		    void *arg)
{
	struct publish_whip *w = arg;

	/* What is lost, or cannot be sent there, is sent again. */
	if (!w->has_left)
		(void)!udp_send(w->udp, to, data, len);
}

static void on_connected(void *arg)
{
	struct publish_whip *w = arg;

	w->events.connected(w->arg);
}

static void on_report(const uint8_t *data, size_t len, void *arg)
{
	struct publish_whip *w = arg;

	w->events.report(data, len, w->arg);
}

static void on_datagram(const struct datagram *d, void *arg)
{
	struct publish_whip *w = arg;

	if (w->caller)
		webrtc_caller_take(w->caller, d);
}

static void on_tick(struct timer *t, int64_t now_us)
{
	struct publish_whip *w = CONTAINER_OF(t, struct publish_whip, timer);

	/* It may end inside. */
	if (timer_start(t, w->loop, now_us + WEBRTC_CALLER_TICK_US, on_tick))
		on_ended(WEBRTC_NO_MEMORY, w);
	else
		webrtc_caller_tick(w->caller, now_us);
}

/** For both families, or IPv4 alone where there is no IPv6. */
static int open_socket(struct publish_whip *w)
{
	struct addr any;
	int err = addr_parse("[::]:0", &any);

	if (!err)
		err = udp_open(w->loop, &any, on_datagram, w, &w->udp);
	w->is_v6 = !err;
	if (err && !addr_parse("0.0.0.0:0", &any))
		err = udp_open(w->loop, &any, on_datagram, w, &w->udp);
	return err;
}

/* ---- the offer -------------------------------------------------------------------- */

/** Our addresses as SDP has them. */
struct own {
	char text[OWN_MAX][ADDR_TEXT_MAX];
	struct sdp_candidate candidates[OWN_MAX];
	size_t n;
};

static void list_own(const struct publish_whip *w, struct own *own)
{
	struct addr at, list[OWN_MAX];
	const size_t n = addr_list_own(list, OWN_MAX);

	udp_addr(w->udp, &at);
	own->n = 0;
	for (size_t i = 0; i < n; i++) {
		char *text = own->text[own->n];

		if (list[i].sa.sa_family == AF_INET6 && !w->is_v6)
			continue;
		addr_write_host(&list[i], text);
		own->candidates[own->n++] =
			(struct sdp_candidate){text, addr_port(&at)};
	}
}

static int write_offer(struct publish_whip *w, uint32_t ssrc, struct buf *out)
{
	const struct sdp_sound sound = {
		.opus_pt = w->form.pt,
		.red_pt = w->form.red ? w->form.red_pt : 0,
		.level_ext = w->form.level_id,
		.ssrc = ssrc,
		.cname = RTP_SENDER_CNAME,
	};
	struct sdp_local local = {
		.fingerprint = webrtc_identity_fingerprint(w->id),
	};
	struct sdp_ice ice;
	struct own own;
	int err;

	if (RAND_bytes((unsigned char *)&local.session_id,
		       sizeof(local.session_id)) != 1)
		return EIO;
	local.session_id >>= 1; /* below 2^63 */
	str_copy(ice.ufrag, sizeof(ice.ufrag), w->local.ufrag);
	str_copy(ice.pwd, sizeof(ice.pwd), w->local.pwd);
	list_own(w, &own);
	local.ice = &ice;
	local.candidates = own.candidates;
	local.n_candidates = own.n;
	err = sdp_offer_write(&sound, &local, out);
	mem_wipe(&ice, sizeof(ice));
	return err;
}

/* ---- the answer ------------------------------------------------------------------- */

/** What of our offer the receiver wants. */
static void agree(struct publish_whip *w, const struct sdp_answer *a)
{
	struct rtp_form *f = &w->form;

	f->pt = a->opus_pt;
	if (!a->red_pt)
		f->red = 0;
	f->red_pt = a->red_pt;
	f->level_id = f->level_id ? a->level_ext : 0;
	f->max = PUBLISH_WHIP_PACKET_MAX;
}

static int call(struct publish_whip *w, const struct sdp_answer *a)
{
	static const struct webrtc_caller_events events = {
		.send = on_send,
		.connected = on_connected,
		.report = on_report,
		.ended = on_ended,
	};
	struct addr peers[SDP_PEERS_MAX];
	const struct webrtc_caller_config config = {
		.id = w->id,
		.local = &w->local,
		.remote_ufrag = a->ice.ufrag,
		.remote_pwd = a->ice.pwd,
		.fingerprint = a->fingerprint,
		.is_awaited = a->is_active,
		.peers = peers,
	};
	struct webrtc_caller_config c = config;

	for (size_t i = 0; i < a->n_peers; i++) {
		struct addr *to = &peers[c.n_peers];

		/* a name would need a resolver (mDNS) */
		if (addr_parse(a->peers[i].address, to) ||
		    (to->sa.sa_family == AF_INET6 && !w->is_v6))
			continue;
		addr_set_port(to, a->peers[i].port);
		c.n_peers++;
	}
	w->n_peers = c.n_peers;
	return webrtc_caller_open(&c, &events, w, clock_now_us(), &w->caller);
}

static int take_answer(struct publish_whip *w, const struct buf *text,
		       struct err *e)
{
	struct sdp_answer a;
	struct err why;
	int err = sdp_answer_parse(buf_str(text), text->len, &a, &why);

	if (err)
		return err_set(e, err, "sdp",
			       "the server's answer cannot be used: %s",
			       why.text);
	agree(w, &a);
	err = call(w, &a);
	if (!err)
		err = timer_start(&w->timer, w->loop, clock_now_us(), on_tick);
	mem_wipe(&a, sizeof(a));
	return err ? err_set(e, err, "", "cannot connect: %s",
			     strerrordesc_np(err))
		   : 0;
}

/* ---- life ------------------------------------------------------------------------- */

/** What is needed for an offer. */
static int prepare(struct publish_whip *w, uint32_t ssrc, struct buf *offer)
{
	int err = whip_client_init(&w->http);

	if (!err)
		err = webrtc_identity_new(&w->id);
	if (!err)
		err = webrtc_credentials_make(&w->local);
	if (!err)
		err = open_socket(w);
	return err ? err : write_offer(w, ssrc, offer);
}

static int join(struct publish_whip *w, uint32_t ssrc, struct err *e)
{
	struct buf offer, answer;
	struct err ignored;
	int err;

	buf_init_secret(&offer, SDP_TEXT_MAX);
	buf_init_secret(&answer, SDP_TEXT_MAX);
	err = prepare(w, ssrc, &offer);
	if (err)
		err = err_set(e, err, "", "cannot begin: %s",
			      strerrordesc_np(err));
	else
		err = whip_client_post(&w->http, buf_str(&offer), &answer, e);
	if (!err)
		err = take_answer(w, &answer, e);
	if (err) /* nobody will come to a session that may be there */
		(void)!whip_client_leave(&w->http, &ignored);
	buf_fini(&offer);
	buf_fini(&answer);
	return err;
}

int publish_whip_open(struct loop *loop, const struct publish_whip_wish *wish,
		      const struct publish_whip_events *events, void *arg,
		      struct publish_whip **out, struct err *e)
{
	struct publish_whip *w = mem_zalloc(sizeof(*w));
	int err;

	if (!w)
		return err_no_memory(e);
	w->loop = loop;
	w->events = *events;
	w->arg = arg;
	w->form = wish->form;
	if (!w->form.pt)
		w->form.pt = RTP_BUILD_OPUS_TYPE;
	if (!w->form.red_pt)
		w->form.red_pt = RTP_BUILD_RED_TYPE;
	w->http = (struct whip_client){.url = wish->url,
				       .ticket = wish->ticket,
				       .option = wish->option};
	err = join(w, wish->ssrc, e);
	if (err)
		publish_whip_free(w);
	else
		*out = w;
	return err;
}

const struct rtp_form *publish_whip_form(const struct publish_whip *w)
{
	return &w->form;
}

static int seal(bool is_report, const uint8_t *in, size_t len, uint8_t *out,
		size_t *out_len, void *arg)
{
	struct publish_whip *w = arg;

	return webrtc_caller_seal(w->caller, is_report, in, len, out, out_len);
}

static int send_sealed(const void *data, size_t len, void *arg)
{
	struct publish_whip *w = arg;

	return udp_send(w->udp, webrtc_caller_peer(w->caller), data, len);
}

struct rtp_sender_way publish_whip_way(struct publish_whip *w)
{
	return (struct rtp_sender_way){
		.seal = seal, .send = send_sealed, .arg = w};
}

const struct addr *publish_whip_peer(const struct publish_whip *w)
{
	return webrtc_caller_peer(w->caller);
}

const char *publish_whip_profile(const struct publish_whip *w)
{
	return webrtc_caller_profile(w->caller);
}

int publish_whip_leave(struct publish_whip *w, struct err *e)
{
	int err = whip_client_leave(&w->http, e);

	w->has_left = !err;
	return err;
}

void publish_whip_free(struct publish_whip *w)
{
	if (!w)
		return;
	timer_stop(&w->timer);
	webrtc_caller_close(w->caller); /* may say so by the socket */
	udp_close(w->udp);
	webrtc_identity_free(w->id);
	whip_client_fini(&w->http);
	mem_free_wiped(w);
}
