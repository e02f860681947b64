/**
 * intake/input.c -- one user's packets: when their turn comes, and when the mic
 * is off.
 *
 * DESIGN
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
#include "intake/inside.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"

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

void input_count_bad(struct input *in, enum counter c)
{
	in->stats.bad++;
	counter_add(c, 1);
}

void input_drop_probe(struct input *in)
{
	if (!in->probe)
		return;
	input_count_bad(in, COUNT_rtp_bad);
	ring_release(&in->ring, in->probe);
	in->probe = NULL;
}

void input_free(struct input *in)
{
	if (!in)
		return;
	input_drop_probe(in);
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

bool input_play(struct input *in, enum timeline_why why, int64_t limit)
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

		if (!input_play(in,
				is_overdue ? TIMELINE_OVERDUE : TIMELINE_DUE,
				INT64_MAX))
			break;
	}
}

/* Emit whatever lies before `limit`. */
static void play_all(struct input *in, int64_t limit)
{
	while (ring_first(&in->ring) && input_play(in, TIMELINE_OVERDUE, limit))
		;
}

void input_check_mic(struct input *in, int64_t now_us)
{
	if (in->config.mic_off_us == 0 || in->muted ||
	    now_us - in->heard_us <= in->config.mic_off_us)
		return;
	play_all(in, INT64_MAX);
	/* Were it kept, a packet of hours later would be put behind it. */
	input_drop_probe(in);
	timeline_end(&in->timeline, in->timeline.pos);
}

void input_advance(struct input *in, int64_t now_us)
{
	play_due(in, now_us);
	input_check_mic(in, now_us);
}

void input_flush(struct input *in, int64_t pos)
{
	play_all(in, pos);
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
	input_drop_probe(in);
	while (ring_first(&in->ring))
		ring_pop(&in->ring);
	timeline_end(&in->timeline, pos);
}

void input_set_decode(struct input *in, bool on)
{
	struct timeline *t = &in->timeline;

	if (on && t->no_pcm && t->decoder) {
		sound_decoder_reset(t->decoder);
		sound_stretch_begin(&t->stretch);
	}
	t->no_pcm = !on;
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
	out->jitter_us = reception_jitter_us(&in->reception);
}
