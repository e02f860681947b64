/** commands/rtp_sender.c -- sends a sound file as RTP in real time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/rtp_sender.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "commands/dice.h"
#include "sound/sound.h"
#include "wire/rtp.h"

struct rtp_sender {
	struct loop *loop;
	struct rtp_sender_config config;
	struct addr to;
	struct rtp_sender_way way; /* send NULL: to that address */
	struct rtp_sender_events events;
	void *arg;
	struct sound_source *source;
	struct sound_decoder *ear; /* NULL: nobody wants levels */
	struct impair *net;	   /* NULL: a good one */
	struct udp *udp;
	struct addr from; /* no_return: the port that is closed */
	struct timer timer;
	struct later later;
	bool freed;
	struct mic mic;
	struct rtp_builder build;
	uint64_t dice;		  /* has_seed: of SSRC and numbers */
	struct rtp_packet header; /* of the next packet */
	int64_t start_us;	  /* times of mic and net count from here */
	int64_t base_us;	  /* when position 0 was or would have been due;
				     moves with every pause */
	uint64_t pos;		  /* [frames] of the next packet, all rounds */
	uint64_t round_pos;	  /* [frames] of it in this round */
	uint64_t round_frames;	  /* of the file */
	uint32_t stream_packets;  /* made since the SSRC changed */
	uint32_t stream_octets;	  /* of their payloads */
	int64_t report_us;	  /* when the next report is due */
	struct rtp_sender_stats stats;
	/* the next packet, which waits for its time; the source's memory */
	const uint8_t *opus;
	size_t opus_len; /* 0: the source is at its end */
	uint32_t frames;
};

/* What Chromium sends in a pause: first a packet without any sound, then
 * packets of digital silence (CELT, 20 ms). */
static const uint8_t tiny[] = {0xf8, 0xff, 0xfe};
enum { TINY_FIRST_LEN = 1, SEALED_SEQ_MAX = 0x7fff };

static int64_t us_of_frames(uint64_t frames)
{
	return mic_us_of_frames(frames, 0);
}

static int64_t due_us(const struct rtp_sender *s)
{
	return s->base_us + mic_us_of_frames(s->pos, s->config.mic.drift_ppm);
}

/* ---- the source ------------------------------------------------------------ */

/** Fetch the packet that is sent next; at the end of the file with `repeat`
 *  from its beginning. */
static int fetch(struct rtp_sender *s)
{
	int err = sound_source_next(s->source, &s->opus, &s->opus_len,
				    &s->frames);

	if (err || s->opus_len || !s->config.repeat || !s->round_pos)
		return err;
	sound_source_free(s->source);
	s->source = NULL;
	err = sound_source_new(s->config.data, s->config.len, &s->source);
	if (err)
		return err;
	s->stats.round++;
	s->round_pos = 0;
	return sound_source_next(s->source, &s->opus, &s->opus_len, &s->frames);
}

/** The level of the next packet [-dBov]; 0 when nobody wants to know. */
static unsigned listen_to(struct rtp_sender *s)
{
	int16_t pcm[SOUND_PACKET_MAX];
	uint32_t frames;

	if (!s->ear || sound_decode(s->ear, s->opus, s->opus_len, pcm, &frames))
		return 0;
	return mic_level(pcm, frames);
}

/* ---- the wire ----------------------------------------------------------------- */

static void on_datagram(const struct datagram *d, void *arg)
{
	/* Reading keeps the socket's queue empty, too. */
	rtp_sender_take(arg, d->data, d->len);
}

static int send_now(struct rtp_sender *s, const void *data, size_t len)
{
	int err = 0;

	if (s->way.send)
		return s->way.send(data, len, s->way.arg);
	if (s->config.no_return)
		err = udp_open(s->loop, &s->from, on_datagram, s, &s->udp);
	/* Somebody took the port for the moment. */
	if (err == EADDRINUSE)
		return EAGAIN;
	if (!err)
		err = udp_send(s->udp, &s->to, data, len);
	if (s->config.no_return) {
		udp_close(s->udp);
		s->udp = NULL;
	}
	return err;
}

/** Seal it where the way wants that.  `*data` may point to `sealed` then. */
static int seal(struct rtp_sender *s, bool is_report, const uint8_t **data,
		size_t *len, uint8_t sealed[RTP_BUILD_MAX])
{
	const uint8_t *plain = *data;

	if (!s->way.seal)
		return 0;
	*data = sealed;
	return s->way.seal(is_report, plain, *len, sealed, len, s->way.arg);
}

static int put_on_wire(struct rtp_sender *s, const void *data, size_t len)
{
	int err = send_now(s, data, len);

	/* A full queue loses a packet, as networks do. */
	if (err && err != EAGAIN && err != ENOBUFS)
		return err;
	if (err)
		s->stats.dropped++;
	else
		s->stats.packets++;
	return 0;
}

/** What has come to its end of the way. */
static int send_arrived(struct rtp_sender *s, int64_t now_us)
{
	struct impair_packet p;
	int err = 0;

	while (s->net && !err && !s->freed &&
	       impair_take(s->net, now_us - s->start_us, &p))
		err = put_on_wire(s, p.data, p.len);
	return err;
}

static int report(struct rtp_sender *s, int64_t now_us)
{
	const int64_t late_us = now_us - due_us(s);
	const struct rtcp_sender_report r = {
		.ssrc = s->header.ssrc,
		.unix_ms = clock_unix_ms(),
		.ts = s->header.ts +
		      (uint32_t)mic_frames_of_us(late_us > 0 ? late_us : 0,
						 s->config.mic.drift_ppm),
		.packets = s->stream_packets,
		.octets = s->stream_octets,
	};
	uint8_t datagram[RTCP_SENDER_MAX], sealed[RTP_BUILD_MAX];
	const uint8_t *data = datagram;
	size_t len;
	int err;

	if (!s->config.rtcp || now_us < s->report_us)
		return 0;
	s->report_us = now_us + RTP_SENDER_REPORT_US;
	len = rtcp_sender_write(&r, RTP_SENDER_CNAME, datagram);
	err = seal(s, true, &data, &len, sealed);
	if (!err)
		err = send_now(s, data, len);
	return err == EAGAIN || err == ENOBUFS ? 0 : err;
}

/* ---- sending ------------------------------------------------------------------ */

static int choose_identity(struct rtp_sender *s)
{
	struct {
		uint32_t ssrc, ts;
		uint16_t seq;
	} random;

	if (s->config.has_seed) {
		random.ssrc = (uint32_t)dice_next(&s->dice);
		random.ts = (uint32_t)dice_next(&s->dice);
		random.seq = (uint16_t)dice_next(&s->dice);
	} else if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1) {
		return EIO;
	}
	if (s->config.is_sealed)
		random.seq &= SEALED_SEQ_MAX;
	s->header = (struct rtp_packet){
		.marker = true,
		.seq = random.seq,
		.ts = random.ts,
		.ssrc = random.ssrc,
	};
	s->stream_packets = s->stream_octets = 0;
	s->stats.streams++;
	rtp_build_forget(&s->build);
	return 0;
}

/** Send this sound, or what stands for it, with the next number. */
static int send_packet(struct rtp_sender *s, const uint8_t *opus, size_t len,
		       unsigned level)
{
	uint8_t datagram[RTP_BUILD_MAX], sealed[RTP_BUILD_MAX];
	const uint8_t *data = datagram;
	size_t n = rtp_build(&s->build, &s->header, opus, len, level, datagram);
	int err;

	if (!n) {
		s->stats.skipped++;
		return 0;
	}
	s->header.seq++;
	s->header.marker = false;
	s->stream_packets++;
	s->stream_octets += (uint32_t)(n - RTP_HEADER_LEN);
	if (s->config.form.level_id)
		s->stream_octets -= RTP_BUILD_LEVEL_LEN;
	err = seal(s, false, &data, &n, sealed);
	if (err)
		return err;
	if (!s->net)
		return put_on_wire(s, data, n);
	return impair_put(s->net, due_us(s) - s->start_us,
			  us_of_frames(s->frames), data, n);
}

/** The next packet's time has come. */
static int speak(struct rtp_sender *s, int64_t now_us)
{
	const int64_t at_us = due_us(s) - s->start_us;
	const unsigned level = listen_to(s);
	const bool was_in_pause = s->mic.in_pause;
	int err = mic_changes(&s->mic, at_us) ? choose_identity(s) : 0;

	if (err)
		return err;
	switch (mic_step(&s->mic, at_us, s->frames, level)) {
	case MIC_SILENT:
		s->stats.silent++;
		s->header.marker = true;
		return 0;
	case MIC_TINY:
		s->stats.tiny++;
		err = send_packet(s, tiny,
				  was_in_pause ? sizeof(tiny) : TINY_FIRST_LEN,
				  MIC_LEVEL_NONE);
		s->header.marker = true;
		break;
	case MIC_SEND:
		err = send_packet(s, s->opus, s->opus_len, level);
		if (!err && s->events.packet)
			s->events.packet(s->opus, s->opus_len, s->arg);
		break;
	}
	return err || s->freed ? err : report(s, now_us);
}

/** We were stopped: go on now, and let the RTP time show the pause. */
static void resume(struct rtp_sender *s, int64_t late_us)
{
	s->base_us += late_us;
	s->stats.stood_us += late_us;
	s->header.ts +=
		(uint32_t)mic_frames_of_us(late_us, s->config.mic.drift_ppm);
	s->header.marker = true;
}

/** A clock that stands: nothing is due before it goes on. */
static void freeze(struct rtp_sender *s)
{
	const int64_t at_us = due_us(s) - s->start_us;
	const int64_t stands_us =
		spans_end(&s->config.mic.freezes, at_us) - at_us;

	s->base_us += stands_us;
	s->stats.frozen_us += stands_us;
}

/** Speak what is due.  Returns 0 or an errno; `*next_us` is when to come back,
 *  or when the sound is over (opus_len 0). */
static int speak_due(struct rtp_sender *s, int64_t now_us, int64_t *next_us)
{
	for (;;) {
		int err;

		if (s->opus_len)
			freeze(s);
		*next_us = due_us(s);
		if (*next_us > now_us || s->freed || !s->opus_len)
			return 0;
		if (now_us - *next_us > RTP_SENDER_LATE_US)
			resume(s, now_us - *next_us);
		err = speak(s, now_us);
		if (err || s->freed)
			return err;
		s->header.ts += s->frames;
		s->pos += s->frames;
		s->round_pos += s->frames;
		err = fetch(s);
		if (err)
			return err;
	}
}

static void on_due(struct timer *t, int64_t now_us)
{
	struct rtp_sender *s = CONTAINER_OF(t, struct rtp_sender, timer);
	int64_t next_us;
	int err = speak_due(s, now_us, &next_us);
	bool is_more = s->opus_len || next_us > now_us;

	if (!err)
		err = send_arrived(s, now_us);
	if (s->freed)
		return;
	if (s->net && impair_next_us(s->net) != INT64_MAX) {
		const int64_t arrives_us = s->start_us + impair_next_us(s->net);

		next_us =
			is_more && next_us < arrives_us ? next_us : arrives_us;
		is_more = true;
	}
	if (!err && is_more) {
		err = timer_start(t, s->loop, next_us, on_due);
		if (!err)
			return;
	}
	s->events.ended(err, s->arg);
}

/* ---- life ----------------------------------------------------------------------- */

static int open_socket(struct rtp_sender *s)
{
	struct addr at;
	int err;

	if (addr_parse(s->to.sa.sa_family == AF_INET6 ? "[::]:0" : "0.0.0.0:0",
		       &at))
		return EINVAL;
	err = udp_open(s->loop, &at, on_datagram, s, &s->udp);
	if (err || !s->config.no_return)
		return err;
	udp_addr(s->udp, &s->from);
	udp_close(s->udp);
	s->udp = NULL;
	return 0;
}

static int make_parts(struct rtp_sender *s)
{
	const struct rtp_sender_config *c = &s->config;
	int err = sound_source_new(c->data, c->len, &s->source);

	if (err)
		return err;
	s->round_frames = sound_source_frames(s->source);
	mic_init(&s->mic, &s->config.mic);
	rtp_build_init(&s->build, &c->form);
	s->dice = c->net.seed;
	if (mic_needs_level(&c->mic) || c->form.level_id)
		err = sound_decoder_new(&s->ear);
	if (!err && impair_is_wanted(&c->net))
		err = impair_new(&c->net, &s->net);
	return err;
}

int rtp_sender_new(struct loop *loop, const struct rtp_sender_config *config,
		   const struct rtp_sender_events *events, void *arg,
		   struct rtp_sender **out)
{
	struct rtp_sender *s = mem_zalloc(sizeof(*s));
	int err;

	if (!s)
		return ENOMEM;
	s->loop = loop;
	s->config = *config;
	s->events = *events;
	s->arg = arg;
	err = make_parts(s);
	if (!err)
		err = fetch(s);
	if (!err && !s->opus_len)
		err = EBADMSG;
	if (!err)
		err = choose_identity(s);
	if (err) {
		rtp_sender_free(s);
		return err;
	}
	if (config->has_seq)
		s->header.seq = config->seq;
	if (config->has_ts)
		s->header.ts = config->ts;
	*out = s;
	return 0;
}

static int start(struct rtp_sender *s, int64_t start_us)
{
	const int64_t now_us = loop_now_us(s->loop);

	assert(!s->start_us);
	s->start_us = start_us > now_us ? start_us : now_us;
	s->base_us = s->start_us;
	return timer_start(&s->timer, s->loop, s->base_us, on_due);
}

int rtp_sender_start(struct rtp_sender *s, const struct addr *to,
		     int64_t start_us)
{
	int err;

	s->to = *to;
	err = open_socket(s);
	return err ? err : start(s, start_us);
}

int rtp_sender_start_over(struct rtp_sender *s,
			  const struct rtp_sender_way *way, int64_t start_us)
{
	assert(!s->config.no_return);
	s->way = *way;
	return start(s, start_us);
}

void rtp_sender_take(struct rtp_sender *s, const uint8_t *data, size_t len)
{
	struct rtcp_block block;

	if (s->events.report && s->config.rtcp &&
	    !rtcp_sender_read(data, len, s->header.ssrc, &block))
		s->events.report(&block, s->arg);
}

void rtp_sender_set_form(struct rtp_sender *s, const struct rtp_form *form)
{
	assert(!s->start_us);
	s->config.form = *form;
	rtp_build_init(&s->build, form);
}

void rtp_sender_stats(const struct rtp_sender *s, struct rtp_sender_stats *out)
{
	*out = s->stats;
	out->sent_us = us_of_frames(s->pos);
	out->round_sent_us = us_of_frames(s->round_pos);
	out->round_us = us_of_frames(s->round_frames);
	out->ssrc = s->header.ssrc;
	if (s->net)
		impair_stats(s->net, &out->net);
}

static void free_later(struct later *later)
{
	struct rtp_sender *s = CONTAINER_OF(later, struct rtp_sender, later);

	sound_source_free(s->source);
	sound_decoder_free(s->ear);
	impair_free(s->net);
	mem_free(s);
}

void rtp_sender_free(struct rtp_sender *s)
{
	if (!s || s->freed)
		return;
	s->freed = true;
	timer_stop(&s->timer);
	udp_close(s->udp);
	loop_later(s->loop, &s->later, free_later);
}
