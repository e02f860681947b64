/**
 * intake/input.c -- one user's packets: whose they are, which are taken, when
 * their turn comes.
 *
 * WHAT  datagram -> RTP -> right sender? -> Opus? -> right run of numbers? ->
 *       ring; from the ring to the timeline when due.
 * DESIGN
 *   Sender: the first address that sends Opus in RTP is latched; others are
 *   strangers until takeover_us without a packet from it.  A pinned `source`
 *   without a port means any port of that host.
 *   RTCP is counted and passed over: nothing of it is needed, and many senders
 *   send it to their port + 1, which is the next user's.
 *   Payload type: of each run, the first of 96..127 that carries Opus (or, if
 *   said, the one that does); others (telephone-event, comfort noise) are
 *   counted as bad.  RED around it is taken off by payload.c; its older
 *   blocks go into the ring where packets are missing (recover.c), and one
 *   that is played counts as come: the packet itself is a duplicate then.
 *   Without a packet of the run for takeover_us another type may come, as a
 *   run of its own: the first one might have been no sound, or the call has
 *   been renegotiated.
 *   Another SSRC begins another run at once, unless it is the one before:
 *   stragglers of that are late until the new one has been quiet for
 *   QUIET_US.  Numbers that leap begin another run once a second packet
 *   follows on; the first is kept for it (RFC 3550 A.1, without the loss)
 *   until the mic is off.
 *   Turn: a packet is due when it, or one behind it in the order, has waited
 *   window_us; after twice that it is overdue (see timeline.c).  If the ring
 *   is full, the first packet goes early, provided it does not lie
 *   ahead of the clock; else the new one is dropped: the sender is faster
 *   than real time.
 *   Mic off by silence: more than mic_off_us without a packet whose level is
 *   over -127 dBov, seen by the next call of either kind, so a late call of
 *   input_advance changes nothing.  Late packets and duplicates do count as
 *   signs of life.  Where it can be so, a packet at -127 is not played: were
 *   it, sound would have to be taken back when the mic turns out to be
 *   off.  What it holds is silence, and that is what a pause is.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/counters.h"
#include "base/mem.h"
#include "intake/payload.h"
#include "intake/recover.h"
#include "intake/ring.h"
#include "intake/stream.h"
#include "intake/timeline.h"
#include "wire/rtp.h"

enum {
	QUIET_US = 200000 /* an SSRC that is silent so long may be replaced
			     by the one before it */
};

struct input {
	struct input_config config;
	struct input_events events;
	struct input_stats stats;
	struct ring ring;
	struct stream stream;
	struct timeline timeline;
	struct payload_types types;
	struct ring_packet *probe; /* its numbers leapt; not unwrapped yet */
	uint32_t prev_ssrc;	   /* of the run before */
	bool has_prev;
	bool muted;	  /* by the API */
	bool begin;	  /* the next packet begins a run, whatever it says */
	uint8_t pt;	  /* Opus in this run, PT_NONE: not known */
	int64_t heard_us; /* arrival of the last packet that had sound */
	int64_t taken_us; /* arrival of the last packet of this run */
};

int input_new(const struct input_config *config,
	      const struct input_events *events, void *arg, struct input **out)
{
	struct input *in = mem_zalloc(sizeof(*in));

	if (!in)
		return ENOMEM;
	assert(config->window_us >= 0 && config->mic_off_us >= 0);
	in->config = *config;
	in->types.opus_pt = config->opus_pt;
	in->types.red_pt = config->red_pt;
	in->events = *events;
	ring_init(&in->ring);
	in->begin = true;
	in->stats.level_dbfs = LEVEL_NONE;
	in->timeline.events = &in->events;
	in->timeline.arg = arg;
	in->timeline.stats = &in->stats;
	counter_add(COUNT_inputs, 1);
	*out = in;
	return 0;
}

static void count_bad(struct input *in, enum counter c)
{
	in->stats.bad++;
	counter_add(c, 1);
}

/* It led nowhere. */
static void drop_probe(struct input *in)
{
	if (!in->probe)
		return;
	count_bad(in, COUNT_rtp_bad);
	ring_release(&in->ring, in->probe);
	in->probe = NULL;
}

void input_free(struct input *in)
{
	if (!in)
		return;
	drop_probe(in);
	ring_fini(&in->ring);
	sound_decoder_free(in->timeline.decoder);
	counter_add(COUNT_inputs, -1);
	mem_free(in);
}

/* ---- turns ------------------------------------------------------------- */

/* How many packets from the first on are due. */
static uint32_t count_due(const struct input *in, int64_t now_us)
{
	uint32_t n = 0, due = 0;

	for (const struct ring_packet *p = ring_first(&in->ring); p;
	     p = ring_next(&in->ring, p)) {
		n++;
		if (p->arrival_us + in->config.window_us <= now_us)
			due = n;
	}
	return due;
}

/* Deal with the first packet, unless it has to wait. */
static bool play(struct input *in, enum timeline_why why, int64_t limit)
{
	const struct ring_packet *h = ring_first(&in->ring);

	if (h->quiet)
		timeline_pass(&in->timeline, &in->ring);
	else if (!timeline_play(&in->timeline, &in->ring, why, limit))
		return false;
	if (h->redundant && h->stream == in->stream.id)
		stream_mark(&in->stream, h->seq);
	ring_pop(&in->ring);
	return true;
}

static void play_due(struct input *in, int64_t now_us)
{
	uint32_t due = count_due(in, now_us);

	for (; due > 0; due--) {
		const struct ring_packet *h = ring_first(&in->ring);
		const bool is_overdue =
			h->arrival_us + 2 * in->config.window_us <= now_us;

		if (!play(in, is_overdue ? TIMELINE_OVERDUE : TIMELINE_DUE,
			  INT64_MAX))
			break;
	}
}

/* Emit whatever lies before `limit`. */
static void play_all(struct input *in, int64_t limit)
{
	while (ring_first(&in->ring) && play(in, TIMELINE_OVERDUE, limit))
		;
}

static void check_mic_off(struct input *in, int64_t now_us)
{
	if (in->config.mic_off_us == 0 || in->muted ||
	    now_us - in->heard_us <= in->config.mic_off_us)
		return;
	play_all(in, INT64_MAX);
	/* Were it kept, a packet of hours later would be put behind it. */
	drop_probe(in);
	timeline_end(&in->timeline, in->timeline.pos);
}

void input_advance(struct input *in, int64_t now_us)
{
	play_due(in, now_us);
	check_mic_off(in, now_us);
}

void input_flush(struct input *in, int64_t pos)
{
	play_all(in, pos);
}

/* ---- packets ------------------------------------------------------------ */

static void count_late(struct input *in)
{
	in->stats.late++;
	counter_add(COUNT_rtp_late, 1);
}

static void count_duplicate(struct input *in)
{
	in->stats.duplicate++;
	counter_add(COUNT_rtp_duplicate, 1);
}

static bool is_pinned_source(const struct input *in, const struct addr *from)
{
	struct addr host = *from;

	if (addr_port(&in->config.source) == 0)
		addr_set_port(&host, 0);
	return addr_is_equal(&host, &in->config.source);
}

/* May this address send?  Another than the latched one may take over. */
static bool may_send(const struct input *in, const struct addr *from,
		     int64_t now_us)
{
	if (in->config.has_source && !is_pinned_source(in, from))
		return false;
	return in->stats.sender.len == 0 ||
	       addr_is_equal(from, &in->stats.sender) ||
	       now_us - in->stats.last_packet_us > in->config.takeover_us;
}

/* Is it a straggler of the run before? */
static bool is_straggler(const struct input *in, uint32_t ssrc, int64_t now_us)
{
	return in->has_prev && ssrc == in->prev_ssrc &&
	       now_us - in->taken_us < QUIET_US;
}

static void begin_run(struct input *in, uint32_t ssrc, uint16_t seq,
		      uint32_t ts)
{
	in->has_prev = in->stream.id != 0 && in->stream.ssrc != ssrc;
	in->prev_ssrc = in->stream.ssrc;
	in->begin = false;
	stream_begin(&in->stream, ssrc, seq, ts);
}

/* A free slot: the oldest packet goes early if it is not ahead of time. */
static struct ring_packet *take_slot(struct input *in, int64_t now_us)
{
	struct ring_packet *p = ring_take(&in->ring);

	if (p || !ring_first(&in->ring))
		return p;
	if (!play(in, TIMELINE_FULL, sound_pos_of_us(now_us)))
		return NULL;
	return ring_take(&in->ring);
}

/* Unwrapped numbers are in place: keep the packet, if its turn is to come.
 * Returns whether it is. */
static bool keep(struct input *in, struct ring_packet *p)
{
	const struct timeline *t = &in->timeline;

	p->stream = in->stream.id;
	if (p->stream == t->stream && p->seq < t->next_seq) {
		count_late(in);
		ring_release(&in->ring, p);
		return false;
	}
	ring_insert(&in->ring, p);
	return true;
}

/* Numbers leapt: a restart, if the packet kept from before leads to this one.
 * Takes `p` over. */
static void take_wild(struct input *in, struct ring_packet *p)
{
	struct ring_packet *before = in->probe;

	if (!before || (uint16_t)(before->seq + 1) != (uint16_t)p->seq) {
		drop_probe(in);
		in->probe = p;
		return;
	}
	in->probe = NULL;
	begin_run(in, in->stream.ssrc, (uint16_t)before->seq,
		  (uint32_t)before->ts);
	/* Neither can be anything but new in a run that begins here. */
	(void)!stream_place(&in->stream, (uint16_t)before->seq,
			    (uint32_t)before->ts, &before->seq, &before->ts);
	(void)keep(in, before);
	(void)!stream_place(&in->stream, (uint16_t)p->seq, (uint32_t)p->ts,
			    &p->seq, &p->ts);
	(void)keep(in, p);
}

/* From the right sender, Opus, the run is open. */
static void take(struct input *in, const struct rtp_packet *rtp,
		 const struct payload *payload, bool quiet, int64_t arrival_us)
{
	struct ring_packet *p = take_slot(in, arrival_us);

	if (!p) {
		counter_add(ring_is_full(&in->ring) ? COUNT_rtp_ring_full
						    : COUNT_rtp_no_memory,
			    1);
		return;
	}
	p->seq = rtp->seq;
	p->ts = rtp->ts;
	p->arrival_us = arrival_us;
	p->arrival = sound_pos_of_us(arrival_us);
	p->frames = payload->frames;
	p->redundant = false;
	p->quiet = quiet;
	p->len = (uint32_t)payload->len;
	memcpy(p->payload, payload->opus, payload->len);
	switch (stream_place(&in->stream, rtp->seq, rtp->ts, &p->seq, &p->ts)) {
	case STREAM_NEW:
		drop_probe(in);
		if (keep(in, p))
			recover_older(&in->ring, &in->stream, &in->timeline, p,
				      payload);
		break;
	case STREAM_DUPLICATE:
		count_duplicate(in);
		ring_release(&in->ring, p);
		break;
	case STREAM_WILD:
		take_wild(in, p);
		break;
	}
}

/* Whoever sends it, or however it is numbered: is it of another run? */
static bool is_other_run(const struct input *in, const struct rtp_packet *rtp,
			 const struct addr *from)
{
	return in->begin || rtp->ssrc != in->stream.ssrc ||
	       !addr_is_equal(from, &in->stats.sender);
}

/* The run that the packet belongs to is open, or opened now; false: it
 * belongs to none. */
static bool is_in_run(struct input *in, const struct rtp_packet *rtp,
		      const struct payload *payload, const struct addr *from,
		      int64_t now_us)
{
	const bool is_other_sender = in->stats.sender.len != 0 &&
				     !addr_is_equal(from, &in->stats.sender);
	const bool is_other = is_other_run(in, rtp, from);

	if (is_other && !is_other_sender && !in->begin &&
	    is_straggler(in, rtp->ssrc, now_us)) {
		count_late(in);
		return false;
	}
	/* RED that was taken for Opus until now. */
	if (!is_other && payload->is_red && rtp->pt == in->pt)
		in->pt = payload->pt;
	if (!is_other && payload->pt == in->pt)
		return true;
	if (!is_other && now_us - in->taken_us <= in->config.takeover_us) {
		count_bad(in, COUNT_rtp_bad_opus);
		return false;
	}
	drop_probe(in);
	begin_run(in, rtp->ssrc, rtp->seq, rtp->ts);
	payload_begin(&in->types, rtp, payload);
	in->pt = payload->pt;
	return true;
}

static bool has_opus(struct input *in, const struct rtp_packet *rtp,
		     const struct addr *from, int64_t now_us,
		     struct payload *out)
{
	struct payload_types fresh = {.opus_pt = in->config.opus_pt,
				      .red_pt = in->config.red_pt};

	if (!is_other_run(in, rtp, from)) {
		if (payload_read(&in->types, rtp, in->pt, out))
			return out->len <= RING_PAYLOAD_MAX;
		if (now_us - in->taken_us <= in->config.takeover_us)
			return false;
	}
	/* What was found out says nothing of another run. */
	return payload_read(&fresh, rtp, PT_NONE, out) &&
	       out->len <= RING_PAYLOAD_MAX;
}

/* What the packet says of its loudness [dBov]; source: RFC 6464 section 3. */
static int level_of(const struct input *in, const struct rtp_packet *rtp)
{
	const uint8_t *level = NULL;
	size_t len = 0;

	if (in->config.audio_level_ext != 0)
		level = rtp_extension(rtp, in->config.audio_level_ext, &len);
	return level && len == 1 ? -(level[0] & 127) : LEVEL_NONE;
}

void input_packet(struct input *in, const uint8_t *data, size_t len,
		  const struct addr *from, int64_t arrival_us)
{
	struct rtp_packet rtp;
	struct payload payload;
	bool quiet;

	if (arrival_us < in->stats.last_packet_us)
		arrival_us = in->stats.last_packet_us;
	if (rtp_is_rtcp(data, len)) {
		counter_add(COUNT_rtcp_packets, 1);
		return;
	}
	if (rtp_parse(data, len, &rtp) != 0) {
		count_bad(in, COUNT_rtp_bad);
		return;
	}
	if (!may_send(in, from, arrival_us)) {
		in->stats.stranger++;
		counter_add(COUNT_rtp_stranger, 1);
		return;
	}
	if (!has_opus(in, &rtp, from, arrival_us, &payload)) {
		count_bad(in, COUNT_rtp_bad_opus);
		return;
	}
	if (!in->timeline.decoder &&
	    sound_decoder_new(&in->timeline.decoder) != 0) {
		counter_add(COUNT_rtp_no_memory, 1);
		return;
	}
	check_mic_off(in, arrival_us);
	if (!is_in_run(in, &rtp, &payload, from, arrival_us))
		return;
	in->stats.sender = *from;
	in->stats.packets++;
	in->stats.last_packet_us = arrival_us;
	in->stats.level_dbfs = level_of(in, &rtp);
	in->taken_us = arrival_us;
	quiet = in->config.mic_off_us > 0 &&
		in->stats.level_dbfs == LEVEL_QUIET;
	if (!quiet)
		in->heard_us = arrival_us;
	counter_add(COUNT_rtp_packets, 1);
	if (!in->muted)
		take(in, &rtp, &payload, quiet, arrival_us);
}

void input_set_mic(struct input *in, bool on, int64_t pos)
{
	if (on == !in->muted)
		return;
	in->muted = !on;
	in->begin = true; /* a run of its own, however numbers go on */
	if (on) {
		if (pos > in->timeline.pos)
			in->timeline.pos = pos;
		return;
	}
	play_all(in, pos);
	drop_probe(in);
	while (ring_first(&in->ring))
		ring_pop(&in->ring);
	timeline_end(&in->timeline, pos);
}

void input_set_decode(struct input *in, bool on)
{
	struct timeline *t = &in->timeline;

	if (on && t->no_pcm && t->decoder)
		sound_decoder_reset(t->decoder);
	t->no_pcm = !on;
}

int64_t input_pos(const struct input *in)
{
	return in->timeline.pos;
}

int64_t input_floor(const struct input *in, int64_t now_us)
{
	int64_t floor = sound_pos_of_us(now_us);

	if (in->timeline.on)
		return in->timeline.pos;
	for (const struct ring_packet *p = ring_first(&in->ring); p;
	     p = ring_next(&in->ring, p)) {
		if (p->arrival < floor)
			floor = p->arrival;
	}
	floor -= TIMELINE_JUMP; /* as much as it may lie before it came */
	return floor > in->timeline.pos ? floor : in->timeline.pos;
}

void input_stats(const struct input *in, struct input_stats *out)
{
	*out = in->stats;
	out->mic_on = in->timeline.on;
}
