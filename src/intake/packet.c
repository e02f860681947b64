/**
 * intake/packet.c -- one user's packets: whose they are, and which are taken.
 *
 * WHAT  datagram -> RTP -> right sender? -> Opus? -> right run of numbers? ->
 *       ring.  What becomes of them there: input.c.
 * DESIGN
 *   Sender: the first address that sends Opus in RTP is latched; others are
 *   strangers until takeover_us without a packet from it.  A pinned `source`
 *   without a port means any port of that host.  Of packets that come
 *   authenticated (SRTP) the address means nothing: it may change at any time.
 *   RTCP is counted.  Many senders send it to their port + 1, which is the next
 *   user's: only that of this sender's host and SSRC is read, and
 *   answered.  BYE is no mic off and SR places nothing: both may lie.
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
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/inside.h"

#include <string.h>

#include "intake/recover.h"
#include "wire/rtp.h"

enum {
	QUIET_US = 200000,  /* an SSRC that is silent so long may be replaced
			       by the one before it */
	REPORT_US = 1000000 /* between two receiver reports */
};

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

/* The same address, whatever the ports? */
static bool is_same_host(const struct addr *a, const struct addr *b)
{
	struct addr of_a = *a, of_b = *b;

	addr_set_port(&of_a, 0);
	addr_set_port(&of_b, 0);
	return addr_is_equal(&of_a, &of_b);
}

static bool is_pinned_source(const struct input *in, const struct addr *from)
{
	return addr_port(&in->config.source) == 0
		       ? is_same_host(from, &in->config.source)
		       : addr_is_equal(from, &in->config.source);
}

/* May this address send?  Another than the latched one may take over. */
static bool may_send(const struct input *in, const struct addr *from,
		     int64_t now_us)
{
	if (in->config.has_source && !is_pinned_source(in, from))
		return false;
	return in->config.is_authentic || in->stats.sender.len == 0 ||
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
	in->reception = (struct reception){0};
}

/* A free slot: the oldest packet goes early if it is not ahead of time. */
static struct ring_packet *take_slot(struct input *in, int64_t now_us)
{
	struct ring_packet *p = ring_take(&in->ring);

	if (p || !ring_first(&in->ring))
		return p;
	if (!input_play(in, TIMELINE_FULL, sound_pos_of_us(now_us)))
		return NULL;
	return ring_take(&in->ring);
}

/* Unwrapped numbers are in place: keep the packet, if its turn is to come.
 * Returns whether it is. */
static bool keep(struct input *in, struct ring_packet *p)
{
	const struct timeline *t = &in->timeline;

	reception_packet(&in->reception, p->arrival, p->ts);
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
		input_drop_probe(in);
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
		input_drop_probe(in);
		if (keep(in, p))
			recover_older(&in->ring, &in->stream, &in->timeline, p,
				      payload);
		break;
	case STREAM_DUPLICATE:
		count_duplicate(in);
		in->reception.received++;
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
	       (!in->config.is_authentic &&
		!addr_is_equal(from, &in->stats.sender));
}

/* The run that the packet belongs to is open, or opened now; false: it
 * belongs to none. */
static bool is_in_run(struct input *in, const struct rtp_packet *rtp,
		      const struct payload *payload, const struct addr *from,
		      int64_t now_us)
{
	const bool is_other_sender = !in->config.is_authentic &&
				     in->stats.sender.len != 0 &&
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
		input_count_bad(in, COUNT_rtp_bad_opus);
		return false;
	}
	input_drop_probe(in);
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

/* RTCP that has come, whoever sent it. */
static void note_rtcp(struct input *in, const uint8_t *data, size_t len,
		      const struct addr *from, int64_t now_us)
{
	struct rtcp rtcp;

	counter_add(COUNT_rtcp_packets, 1);
	if (rtcp_parse(data, len, &rtcp) != 0) {
		counter_add(COUNT_rtcp_bad, 1);
		return;
	}
	if (in->begin || !rtcp.has_ssrc || rtcp.ssrc != in->stream.ssrc ||
	    (!in->config.is_authentic &&
	     !is_same_host(from, &in->stats.sender)))
		return;
	in->stats.bye += rtcp.has_bye;
	in->asked =
		in->reported_us == 0 || now_us - in->reported_us >= REPORT_US;
	if (!rtcp.has_sr)
		return;
	reception_sr(&in->reception, rtcp.ntp, now_us);
	in->stats.sr_ntp = rtcp.ntp;
	in->stats.sr_ts = rtcp.ts;
	in->stats.sr_ssrc = rtcp.ssrc;
	in->stats.sr_us = now_us;
}

size_t input_report(struct input *in, int64_t now_us,
		    uint8_t out[RTCP_REPORT_MAX])
{
	struct rtcp_report report;

	if (!in->asked)
		return 0;
	in->asked = false;
	in->reported_us = now_us;
	reception_report(&in->reception, &in->stream, now_us, &report);
	return rtcp_write_report(&report, "tapeop", out);
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

	in->asked = false;
	if (arrival_us < in->stats.last_packet_us)
		arrival_us = in->stats.last_packet_us;
	if (rtp_is_rtcp(data, len)) {
		note_rtcp(in, data, len, from, arrival_us);
		return;
	}
	if (rtp_parse(data, len, &rtp) != 0) {
		input_count_bad(in, COUNT_rtp_bad);
		return;
	}
	if (!may_send(in, from, arrival_us)) {
		in->stats.stranger++;
		counter_add(COUNT_rtp_stranger, 1);
		return;
	}
	if (!has_opus(in, &rtp, from, arrival_us, &payload)) {
		input_count_bad(in, COUNT_rtp_bad_opus);
		return;
	}
	if (!in->timeline.no_pcm && !in->timeline.decoder &&
	    sound_decoder_new(&in->timeline.decoder) != 0) {
		counter_add(COUNT_rtp_no_memory, 1);
		return;
	}
	input_check_mic(in, arrival_us);
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
