/**
 * intake/timeline.c -- packets to places on the media clock.
 *
 * WHAT  A packet's place is its RTP time + `offset`.  This file decides the
 *       offset, and fills what lies between the last place and the next.
 * WHY   A sender's clock stops while it sends nothing, jumps and drifts, and
 *       the network delays.  Arrival is true on average but jitters; RTP time
 *       is smooth but true only while the sender sends.  (recording.md
 *       section 0, findings 1 and 2.)
 * DESIGN
 *   Let a(p) = arrival(p) - ts(p) for a packet p, all in frames.  As a network
 *   can only delay, the smallest a of several packets is the best guess of the
 *   offset.  When the first packet h of the ring has its turn, look at h and
 *   the packets behind it, up to one of another run or one whose RTP time
 *   steps back or runs ahead of arrival by over a second (that one
 *   lives on another clock): min = smallest a, max = largest a, span = from the
 *   first arrival to the last.
 *
 *   1. Start: mic on, or another run of numbers (new SSRC, another
 *      sender, restart).  offset = min: h was held up by a(h) - min.
 *   2. Run start: the gap before h is over 100 ms.  If min is off by over
 *      20 ms: offset = min.  So neither drift nor an unlucky start lasts longer
 *      than the run.  If not, but the packets of the last seconds say that it is
 *      off by some ms (drift.c), these are taken out.
 *   3. In a run: if min - offset > 120 ms (a frozen clock: later than RTP says)
 *      or max - offset < -120 ms (RTP time leapt): offset = min.
 *   4. A shift of over 120 ms needs witnesses: span of 200 ms, or of 100 ms
 *      when it is over 400 ms.  With fewer, h waits once more as long.  If
 *      there are still none, over 400 ms is a jump and less is jitter.
 *      With a full ring it is never one: what is behind the ring is not known
 *      (the burst after a stall may be longer than the ring).
 *   5. Nothing goes back: a packet whose place is before `pos` is late, and
 *      dropped, if it ends there too (at a start: if it is over 120 ms early);
 *      otherwise it moves to `pos`, and the offset with it.
 *   6. In a run, what is left of an error is taken out slowly, by stretching
 *      what is decoded (drift.c says by how much): the offset moves with it.
 *      What is made up for a loss keeps its length, but goes the same way, so
 *      that sound stays one wave from packet to packet.
 *
 *   A stall of the network, with a burst behind it, changes nothing: the last
 *   packet of the burst has a small a, so min stays.
 *
 *   Gap before h, no more of it than the missing numbers account for: its end
 *   is decoded from h, if h brings it (in-band FEC); up to 100 ms from its
 *   beginning are concealed by the decoder; the rest is silence.  No number missing
 *   (DTX, frozen clock), or a start: silence only.  By 3, 4 and 5 a place is
 *   never over 400 ms behind the newest arrival, so silence is bounded by
 *   wall time, whatever time stamps say; and it is a chunk without samples.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/timeline.h"

#include <assert.h>

#include "base/counters.h"

enum {
	MS = SOUND_FRAMES_PER_MS,
	PAUSE = 100 * MS, /* a longer gap begins a run */
	SLACK = 20 * MS,  /* at a run start: not worth a change */
	JUMP = TIMELINE_JUMP,
	BIG = 400 * MS,		/* more is a jump even without witnesses */
	WITNESS = 200 * MS,	/* of agreeing arrivals for a jump */
	WITNESS_BIG = 100 * MS, /* for a big one */
	LEAP = 1000 * MS,	/* RTP time ahead of arrival: another clock */
	CONCEAL_MAX = 100 * MS, /* of a loss; the rest is silence */
	CONCEAL_STEP = 120,	/* the decoder makes multiples of 2.5 ms */
	SILENCE_MAX = 3600 * 1000 * MS /* frames in one chunk */
};

/* What h and the packets behind it say. */
struct witness {
	int64_t min, max; /* of a: smallest, largest */
	int64_t span;
};

/* Where h goes. */
struct plan {
	bool hold;  /* not yet */
	bool start; /* rule 1 */
	bool anew;  /* rules 1 to 4: what was known of drift is void */
	int64_t offset;
};

static struct witness hear(const struct ring *ring, const struct ring_packet *h)
{
	const int64_t a = h->arrival - h->ts;
	struct witness w = {.min = a, .max = a};
	int64_t earliest = h->arrival;
	int64_t latest = earliest;
	const struct ring_packet *prev = h, *p;

	for (p = ring_next(ring, h); p; prev = p, p = ring_next(ring, p)) {
		const int64_t step = p->ts - prev->ts;
		const int64_t b = p->arrival - p->ts;

		if (p->stream != h->stream || step < 0 ||
		    step - (p->arrival - prev->arrival) > LEAP)
			break;
		if (b < w.min)
			w.min = b;
		if (b > w.max)
			w.max = b;
		if (p->arrival < earliest)
			earliest = p->arrival;
		if (p->arrival > latest)
			latest = p->arrival;
	}
	w.span = latest - earliest;
	return w;
}

/* Rule 4. */
static bool is_confirmed(const struct witness *w, int64_t shift)
{
	const int64_t much = shift < 0 ? -shift : shift;

	return much <= JUMP || w->span >= WITNESS ||
	       (much > BIG && w->span >= WITNESS_BIG);
}

/* Rule 2: what can be taken out in a pause. */
static int64_t small_error(const struct timeline *t)
{
	const int64_t error = drift_error(&t->drift, t->offset);

	return error > SLACK ? SLACK : error < -SLACK ? -SLACK : error;
}

static struct plan make_plan(const struct timeline *t, const struct ring *ring,
			     const struct ring_packet *h, enum timeline_why why)
{
	const struct witness w = hear(ring, h);
	struct plan plan = {.start = !t->on || h->stream != t->stream,
			    .offset = t->offset};
	int64_t shift = w.min - t->offset;
	int64_t gap = h->ts + t->offset - t->pos;
	bool wanted;

	if (plan.start) {
		plan.anew = true;
		plan.offset = w.min;
		return plan;
	}
	if (gap > PAUSE)
		wanted = shift > SLACK || shift < -SLACK;
	else
		wanted = shift > JUMP || w.max - t->offset < -JUMP;
	if (wanted && !is_confirmed(&w, shift)) {
		plan.hold = why == TIMELINE_DUE;
		wanted = why == TIMELINE_OVERDUE &&
			 (shift > BIG || shift < -BIG);
	}
	plan.anew = wanted;
	if (wanted)
		plan.offset += shift;
	else if (gap > PAUSE)
		plan.offset += small_error(t);
	return plan;
}

static void emit(struct timeline *t, struct sound_chunk c)
{
	assert(c.pos == t->pos && c.frames > 0);
	t->pos += c.frames;
	switch (c.kind) {
	case CHUNK_SOUND:
		counter_add(COUNT_frames_decoded, c.pcm ? c.frames : 0);
		break;
	case CHUNK_CONCEALED: /* counted where it is made */
		break;
	case CHUNK_SILENCE:
		t->stats->frames_silence += c.frames;
		counter_add(COUNT_frames_silence, c.frames);
		break;
	}
	t->events->chunk(&c, t->arg);
}

static void emit_silence(struct timeline *t, int64_t frames)
{
	if (frames > 0)
		sound_stretch_begin(&t->stretch);
	while (frames > 0) {
		const int64_t n = frames < SILENCE_MAX ? frames : SILENCE_MAX;

		emit(t, (struct sound_chunk){.kind = CHUNK_SILENCE,
					     .pos = t->pos,
					     .frames = (uint32_t)n});
		frames -= n;
	}
}

/* Where nothing is decoded there is none: it is 26 KB, and takes as long to make
 * as 20 packets do. */
static bool has_decoder(struct timeline *t)
{
	return t->decoder || sound_decoder_new(&t->decoder) == 0;
}

/* Make up `frames`, or be silent if the decoder cannot. */
static void emit_concealed(struct timeline *t, uint32_t frames)
{
	int16_t pcm[SOUND_PACKET_MAX], moved[SOUND_PACKET_MAX];
	const int16_t *sound = NULL;

	if (!t->no_pcm &&
	    (!has_decoder(t) || sound_conceal(t->decoder, frames, pcm) != 0)) {
		emit_silence(t, frames);
		return;
	}
	t->stats->frames_concealed += frames;
	counter_add(COUNT_frames_concealed, frames);
	if (!t->no_pcm)
		sound = sound_stretch_hold(&t->stretch, pcm, frames, moved);
	emit(t, (struct sound_chunk){.kind = CHUNK_CONCEALED,
				     .pos = t->pos,
				     .frames = frames,
				     .pcm = sound});
}

/* The rate to play h at; the offset is what it is to be. */
static int32_t find_rate(struct timeline *t, const struct ring_packet *h)
{
	const int32_t ppm =
		drift_take(&t->drift, h->arrival - h->ts, t->offset, h->frames);

	t->stats->drift_ppm = ppm;
	return ppm;
}

/* As it came; its place alone follows the drift. */
static void emit_undecoded(struct timeline *t, const struct ring_packet *p,
			   int32_t ppm)
{
	const int32_t more = drift_frames(&t->drift, ppm, p->frames);

	t->offset += more;
	emit(t, (struct sound_chunk){.kind = CHUNK_SOUND,
				     .pos = t->pos,
				     .frames = p->frames + (uint32_t)more,
				     .packet = p->payload,
				     .packet_len = p->len});
}

static void emit_packet(struct timeline *t, const struct ring_packet *p)
{
	int16_t pcm[SOUND_PACKET_MAX], longer[SOUND_STRETCH_MAX];
	const int16_t *sound;
	const int32_t ppm = find_rate(t, p);
	uint32_t frames;

	if (t->no_pcm) {
		emit_undecoded(t, p, ppm);
		return;
	}
	if (!has_decoder(t)) {
		counter_add(COUNT_rtp_no_memory, 1);
		emit_silence(t, p->frames);
		return;
	}
	if (sound_decode(t->decoder, p->payload, p->len, pcm, &frames) != 0) {
		t->stats->bad++;
		counter_add(COUNT_rtp_bad_opus, 1);
		emit_concealed(t, p->frames);
		return;
	}
	assert(frames == p->frames);
	if (ppm || t->stretch.is_on) {
		frames = sound_stretch(&t->stretch, ppm, pcm, frames, longer);
		t->offset += (int64_t)frames - p->frames;
		sound = longer;
	} else {
		sound = sound_stretch_hold(&t->stretch, pcm, frames, longer);
	}
	emit(t, (struct sound_chunk){.kind = CHUNK_SOUND,
				     .pos = t->pos,
				     .frames = frames,
				     .pcm = sound,
				     .packet = p->payload,
				     .packet_len = p->len});
}

/* Emit the last `frames` of the `fec` that h brings of what was before it. */
static void emit_fec(struct timeline *t, const struct ring_packet *h,
		     uint32_t fec, uint32_t frames)
{
	int16_t pcm[SOUND_PACKET_MAX], moved[SOUND_PACKET_MAX];
	const int16_t *sound;

	if (sound_decode_fec(t->decoder, h->payload, h->len, fec, pcm) != 0) {
		emit_silence(t, frames);
		return;
	}
	t->stats->recovered_fec++;
	t->stats->frames_fec += frames;
	counter_add(COUNT_rtp_recovered_fec, 1);
	counter_add(COUNT_frames_fec, frames);
	sound = sound_stretch_hold(&t->stretch, pcm + (fec - frames), frames,
				   moved);
	emit(t, (struct sound_chunk){.kind = CHUNK_CONCEALED,
				     .pos = t->pos,
				     .frames = frames,
				     .pcm = sound});
}

static void count_recovered(struct timeline *t, const struct ring_packet *h)
{
	if (!h->redundant)
		return;
	t->stats->recovered_red++;
	counter_add(COUNT_rtp_recovered_red, 1);
}

/* Fill up to `place`, where h lies; `missing` numbers did not come. */
static void fill(struct timeline *t, const struct ring_packet *h, int64_t place,
		 int64_t missing)
{
	const int64_t gap = place - t->pos;
	int64_t made = missing * t->last_frames, fec = 0, end;

	if (made > gap)
		made = gap;
	if (made > 0 && !t->no_pcm && t->decoder)
		fec = sound_fec_frames(t->decoder, h->payload, h->len);
	/* It may lack less than a step: the gap need not be whole packets. */
	end = fec - made < CONCEAL_STEP ? fec : 0;
	if (end > made)
		end = made;
	made -= end;
	if (made > CONCEAL_MAX)
		made = CONCEAL_MAX;
	made -= made % CONCEAL_STEP;
	if (t->passed) /* sound had ended: it does not go on */
		made = 0;
	if (made > 0)
		emit_concealed(t, (uint32_t)made);
	emit_silence(t, place - end - t->pos);
	if (end > 0)
		emit_fec(t, h, (uint32_t)fec, (uint32_t)end);
	count_recovered(t, h);
}

/* Rule 5.  Returns whether the packet is late; otherwise its place is at or
 * behind `pos`. */
static bool is_late(const struct timeline *t, const struct ring_packet *h,
		    struct plan *plan)
{
	const int64_t early = t->pos - (h->ts + plan->offset);
	const int64_t most = plan->start ? JUMP : (int64_t)h->frames - 1;

	if (early <= 0)
		return false;
	if (early > most)
		return true;
	plan->offset += early;
	return false;
}

/* How many numbers before h did not come. */
static int64_t count_missing(struct timeline *t, const struct ring_packet *h)
{
	const int64_t missing =
		h->stream == t->stream ? h->seq - t->next_seq : 0;

	assert(missing >= 0);
	t->stats->lost += (uint64_t)missing;
	counter_add(COUNT_rtp_lost, missing);
	return missing;
}

static void count_jump(struct timeline *t, const struct plan *plan)
{
	const int64_t shift = plan->offset - t->offset;

	if (plan->start || (shift <= JUMP && shift >= -JUMP))
		return;
	t->stats->jumps++;
	counter_add(COUNT_timeline_jumps, 1);
}

static void remember(struct timeline *t, const struct ring_packet *h)
{
	t->stream = h->stream;
	t->next_seq = h->seq + 1;
	t->last_frames = h->frames;
	t->passed = false;
}

bool timeline_play(struct timeline *t, const struct ring *ring,
		   enum timeline_why why, int64_t limit)
{
	const struct ring_packet *h = ring_first(ring);
	struct plan plan = make_plan(t, ring, h, why);
	int64_t place = h->ts + plan.offset, missing;

	if (plan.hold || place >= limit)
		return false;
	missing = count_missing(t, h);
	count_jump(t, &plan);
	if (is_late(t, h, &plan)) {
		t->stats->late++;
		counter_add(COUNT_rtp_late, 1);
		if (!plan.start)
			t->offset = plan.offset;
		if (h->stream == t->stream)
			remember(t, h);
		return true;
	}
	place = h->ts + plan.offset;
	if (h->stream != t->stream && t->decoder)
		sound_decoder_reset(t->decoder);
	if (!t->on) {
		t->on = true;
		t->pos = place;
		t->events->mic_on(place, t->arg);
	}
	fill(t, h, place, plan.start ? 0 : missing);
	if (plan.anew)
		drift_begin(&t->drift);
	t->offset = plan.offset;
	emit_packet(t, h);
	remember(t, h);
	return true;
}

void timeline_pass(struct timeline *t, const struct ring *ring)
{
	const struct ring_packet *h = ring_first(ring);

	if (h->stream != t->stream)
		return;
	(void)count_missing(t, h);
	count_recovered(t, h);
	t->next_seq = h->seq + 1;
	t->passed = true;
}

void timeline_end(struct timeline *t, int64_t pos)
{
	if (pos > t->pos)
		t->pos = pos;
	if (!t->on)
		return;
	t->on = false;
	t->events->mic_off(t->pos, t->arg);
}
