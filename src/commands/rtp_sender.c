/** commands/rtp_sender.c -- sends a sound file as RTP in real time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/rtp_sender.h"

#include <assert.h>
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sound/sound.h"
#include "wire/rtp.h"

struct rtp_sender {
	struct loop *loop;
	struct rtp_sender_config config;
	struct addr to;
	struct rtp_sender_events events;
	void *arg;
	struct sound_source *source;
	struct udp *udp;
	struct timer timer;
	struct later later;
	bool freed;
	struct rtp_packet header; /* of the next packet */
	int64_t base_us;	  /* when position 0 was or would have been due;
				     moves with every pause */
	uint64_t pos;		  /* [frames] of the next packet, all rounds */
	uint64_t round_pos;	  /* [frames] of it in this round */
	uint64_t round_frames;	  /* of the file */
	uint64_t packets, dropped, skipped, round;
	/* the next packet, which waits for its time; the source's memory */
	const uint8_t *opus;
	size_t opus_len; /* 0: the source is at its end */
	uint32_t frames;
};

static int64_t us_of_frames(uint64_t frames)
{
	return (int64_t)(frames * 1000 / SOUND_FRAMES_PER_MS);
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
	s->round++;
	s->round_pos = 0;
	return sound_source_next(s->source, &s->opus, &s->opus_len, &s->frames);
}

/* ---- sending ------------------------------------------------------------------ */

static int send_packet(struct rtp_sender *s)
{
	uint8_t datagram[RTP_HEADER_LEN + RTP_SENDER_PACKET_MAX];
	int err;

	if (s->opus_len > RTP_SENDER_PACKET_MAX) {
		s->skipped++;
		return 0;
	}
	rtp_write_header(&s->header, datagram);
	memcpy(datagram + RTP_HEADER_LEN, s->opus, s->opus_len);
	err = udp_send(s->udp, &s->to, datagram, RTP_HEADER_LEN + s->opus_len);
	s->header.seq++;
	s->header.marker = false;
	/* A full queue loses a packet, as networks do. */
	if (err && err != EAGAIN && err != ENOBUFS)
		return err;
	if (err)
		s->dropped++;
	else
		s->packets++;
	if (s->events.packet)
		s->events.packet(s->opus, s->opus_len, s->arg);
	return 0;
}

/** We were stopped: go on now, and let the RTP time show the pause. */
static void resume(struct rtp_sender *s, int64_t late_us)
{
	s->base_us += late_us;
	s->header.ts += (uint32_t)sound_pos_of_us(late_us);
	s->header.marker = true;
}

/** Send what is due.  Returns 0 or an errno; `*next_us` is when to come back,
 *  or when the sound is over (opus_len 0). */
static int send_due(struct rtp_sender *s, int64_t now_us, int64_t *next_us)
{
	for (;;) {
		int err;

		*next_us = s->base_us + us_of_frames(s->pos);
		if (*next_us > now_us || s->freed || !s->opus_len)
			return 0;
		if (now_us - *next_us > RTP_SENDER_LATE_US)
			resume(s, now_us - *next_us);
		err = send_packet(s);
		if (err)
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
	int err = send_due(s, now_us, &next_us);

	if (s->freed)
		return;
	if (!err && (s->opus_len || next_us > now_us)) {
		err = timer_start(t, s->loop, next_us, on_due);
		if (!err)
			return;
	}
	s->events.ended(err, s->arg);
}

/* ---- life ----------------------------------------------------------------------- */

static void on_datagram(const struct datagram *d, void *arg)
{
	/* Nothing is expected; reading keeps the socket's queue empty. */
	(void)d;
	(void)arg;
}

static int open_socket(struct rtp_sender *s)
{
	struct addr at;

	if (addr_parse(s->to.sa.sa_family == AF_INET6 ? "[::]:0" : "0.0.0.0:0",
		       &at))
		return EINVAL;
	return udp_open(s->loop, &at, on_datagram, s, &s->udp);
}

static int choose_identity(struct rtp_sender *s)
{
	struct {
		uint32_t ssrc, ts;
		uint16_t seq;
	} random;

	if (RAND_bytes((unsigned char *)&random, sizeof(random)) != 1)
		return EIO;
	s->header = (struct rtp_packet){
		.marker = true,
		.pt = RTP_SENDER_TYPE,
		.seq = random.seq,
		.ts = random.ts,
		.ssrc = random.ssrc,
	};
	return 0;
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
	err = sound_source_new(config->data, config->len, &s->source);
	if (!err) {
		s->round_frames = sound_source_frames(s->source);
		err = fetch(s);
	}
	if (!err && !s->opus_len)
		err = EBADMSG;
	if (!err)
		err = choose_identity(s);
	if (err) {
		rtp_sender_free(s);
		return err;
	}
	*out = s;
	return 0;
}

int rtp_sender_start(struct rtp_sender *s, const struct addr *to,
		     int64_t start_us)
{
	const int64_t now_us = loop_now_us(s->loop);
	int err;

	assert(!s->udp);
	s->to = *to;
	s->base_us = start_us > now_us ? start_us : now_us;
	err = open_socket(s);
	return err ? err : timer_start(&s->timer, s->loop, s->base_us, on_due);
}

void rtp_sender_stats(const struct rtp_sender *s, struct rtp_sender_stats *out)
{
	*out = (struct rtp_sender_stats){
		.packets = s->packets,
		.dropped = s->dropped,
		.skipped = s->skipped,
		.sent_us = us_of_frames(s->pos),
		.round_sent_us = us_of_frames(s->round_pos),
		.round_us = us_of_frames(s->round_frames),
		.round = s->round,
		.ssrc = s->header.ssrc,
	};
}

static void free_later(struct later *later)
{
	struct rtp_sender *s = CONTAINER_OF(later, struct rtp_sender, later);

	sound_source_free(s->source);
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
