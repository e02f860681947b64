/**
 * record/track_copy.c -- the packets of a voice as they came, in Ogg.
 *
 * WHAT  Nothing is decoded or encoded.  Each packet is put behind the one
 *       before; what lies between them on the media clock is filled with
 *       packets made up: lost ones or silence.
 * WHY   It costs a twentieth of MP3, and no quality.
 * DESIGN
 *   in_pos is what was written, in whole packets, so it is off from where the
 *   sound belongs: gaps are filled in steps of 2.5 ms, the nearest.  Each
 *   chunk is compared with its own position, so the error does not add up.
 *   Behind by half a step or more: a step is filled.  Ahead (the sender's clock
 *   is fast; the timeline gives its packets fewer frames than they have): a
 *   quiet packet is dropped when that is a step, any packet at 10 ms; what is
 *   left of its place is filled.
 *
 *   A run begins with one packet made up, of 2.5 or 10 ms, that pre-skip takes
 *   off: checkers think a pre-skip of 0 implausible.  It is a lost packet of
 *   the kind of the first real one, which leaves a decoder that has heard
 *   nothing as it was; so the first frame heard is the first of the first
 *   packet, and it stands at start_pos.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "record/track_ogg.h"

enum {
	MS = SOUND_FRAMES_PER_MS,
	CONCEAL_MAX = 100 * MS, /* in a row; the rest is silence */
	CONCEAL_GAP = 20 * MS,	/* a gap that nobody speaks of, up to this, is
				   drift: concealed */
	AHEAD_MAX = 10 * MS,
	QUIET_LEN = 3,	/* bytes: DTX (1, 2) or CELT's silence */
	QUIET_PEAK = 32 /* -60 dB */
};

struct track_copy {
	struct track_ogg ogg;
	uint8_t toc;	    /* first byte of the last packet written, or of the
			       one that begins a run */
	bool begins;	    /* such a one is there */
	bool can_conceal;   /* that was sound, or concealed */
	uint32_t concealed; /* frames in a row */
};

static struct track_copy *copy_of(struct track *base)
{
	return CONTAINER_OF(base, struct track_copy, ogg.base);
}

/* ---- filling --------------------------------------------------------------- */

static int put(struct track_copy *c, const void *packet, size_t len,
	       uint32_t frames)
{
	c->ogg.base.in_pos += frames;
	return track_ogg_put(&c->ogg, packet, len, frames);
}

/** One packet of at most `frames`, lost or silent. */
static struct sound_made make(struct track_copy *c, uint64_t frames,
			      bool conceal)
{
	const uint32_t left = CONCEAL_MAX - c->concealed;
	struct sound_made m;

	if (conceal && c->can_conceal && left > 0) {
		m = sound_make_loss(frames < left ? frames : left, c->toc);
		c->toc = m.data[0];
		c->concealed += m.frames;
	} else {
		m = sound_make_silence(frames, c->ogg.stereo);
		c->can_conceal = false;
	}
	return m;
}

/** Fill `frames`, whole steps.  The first error is kept, the rest is filled
 *  all the same. */
static int fill_steps(struct track_copy *c, int64_t frames, bool conceal)
{
	int first_err = 0;

	while (frames > 0) {
		const struct sound_made m = make(c, (uint64_t)frames, conceal);
		int err = put(c, m.data, m.len, m.frames);

		if (!first_err)
			first_err = err;
		frames -= m.frames;
	}
	return first_err;
}

/** Fill up to about `pos`. */
static int fill_to(struct track_copy *c, int64_t pos, bool conceal)
{
	const int64_t gap = pos - c->ogg.base.in_pos;

	return fill_steps(c, (gap + SOUND_STEP / 2) / SOUND_STEP * SOUND_STEP,
			  conceal);
}

/* ---- packets --------------------------------------------------------------- */

static bool is_quiet(const struct sound_chunk *chunk)
{
	if (chunk->packet_len <= QUIET_LEN)
		return true;
	for (uint32_t i = 0; chunk->pcm && i < chunk->frames; i++)
		if (abs(chunk->pcm[i]) > QUIET_PEAK)
			return false;
	return chunk->pcm;
}

static bool is_too_early(const struct track_copy *c,
			 const struct sound_chunk *chunk)
{
	const int64_t ahead = c->ogg.base.in_pos - chunk->pos;

	return ahead >= AHEAD_MAX || (ahead >= SOUND_STEP && is_quiet(chunk));
}

static int put_packet(struct track_copy *c, const struct sound_chunk *chunk)
{
	const uint32_t frames =
		sound_packet_frames(chunk->packet, chunk->packet_len);
	const int64_t gap = chunk->pos - c->ogg.base.in_pos;
	int err, put_err;

	if (frames == 0 || is_too_early(c, chunk))
		return fill_to(c, chunk->pos + chunk->frames,
			       frames > 0 && !is_quiet(chunk));
	err = fill_to(c, chunk->pos, gap <= CONCEAL_GAP);
	c->toc = chunk->packet[0];
	c->can_conceal = true;
	c->concealed = 0;
	c->ogg.stereo = sound_packet_is_stereo(chunk->packet);
	put_err = put(c, chunk->packet, chunk->packet_len, frames);
	return err ? err : put_err;
}

static int put_chunk(struct track_copy *c, const struct sound_chunk *chunk)
{
	if (chunk->kind == CHUNK_SOUND && chunk->packet)
		return put_packet(c, chunk);
	/* What lies before it and nobody spoke of is silence. */
	if (chunk->pos - c->ogg.base.in_pos >= SOUND_STEP)
		c->can_conceal = false;
	return fill_to(c, chunk->pos + chunk->frames,
		       chunk->kind == CHUNK_CONCEALED);
}

/* ---- the kind -------------------------------------------------------------- */

/** The packet before the first: the shortest of its kind. */
static struct sound_made run_in(const struct track_copy *c)
{
	struct sound_made m = sound_make_silence(SOUND_STEP, c->ogg.stereo);

	if (c->begins)
		m = sound_make_shortest(c->toc);
	return m;
}

static int copy_begin(struct track *base, int64_t pos)
{
	struct track_copy *c = copy_of(base);
	const struct sound_made m = run_in(c);
	int err;

	c->can_conceal = false;
	c->ogg.delay = m.frames;
	err = track_ogg_begin(&c->ogg, pos);
	if (err)
		return err;
	return track_ogg_put(&c->ogg, m.data, m.len, m.frames);
}

static int copy_write(struct track *base, const struct sound_chunk *chunk)
{
	struct track_copy *c = copy_of(base);
	int err = 0;

	if (chunk->pos + chunk->frames <= base->in_pos) {
		track_count_late(base, chunk);
		return 0;
	}
	if (!base->open) {
		c->begins = chunk->packet && chunk->packet_len > 0;
		if (c->begins) {
			c->toc = chunk->packet[0];
			c->ogg.stereo = sound_packet_is_stereo(chunk->packet);
		}
		err = track_begin(base, chunk->pos);
		c->begins = false;
	}
	return err ? err : put_chunk(c, chunk);
}

static int copy_fill(struct track *base, int64_t pos)
{
	return fill_to(copy_of(base), pos, false);
}

static int copy_end(struct track *base, int64_t pos)
{
	struct track_copy *c = copy_of(base);
	struct track_ogg *o = &c->ogg;
	const int64_t least = track_ogg_pos(o, o->begin) + RECORD_OGG_MIN;
	int64_t gap, over;
	uint64_t end;
	int err, end_err;

	if (pos < least)
		pos = least;
	gap = pos - base->in_pos + SOUND_STEP - 1;
	err = fill_steps(c, gap / SOUND_STEP * SOUND_STEP, false);
	over = base->in_pos - pos;
	end = o->recent.end;
	if (over > 0 && o->recent.n > 0 &&
	    over < o->recent.packets[o->recent.n - 1].frames)
		end -= (uint64_t)over;
	end_err = track_ogg_end(o, end);
	return err ? err : end_err;
}

static void copy_fini(struct track *base)
{
	track_ogg_fini(&copy_of(base)->ogg);
}

static const struct track_ops copy_ops = {.begin = copy_begin,
					  .write = copy_write,
					  .fill = copy_fill,
					  .end = copy_end,
					  .flush = track_ogg_flush,
					  .fini = copy_fini};

int track_copy_new(const struct track_config *config, struct track **out)
{
	struct track_copy *c = mem_zalloc(sizeof(*c));

	if (!c)
		return ENOMEM;
	c->ogg.base.ops = &copy_ops;
	track_ogg_init(&c->ogg, config);
	*out = &c->ogg.base;
	return 0;
}
