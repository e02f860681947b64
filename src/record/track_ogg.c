/**
 * record/track_ogg.c -- Opus packets -> Ogg pages -> segments.
 *
 * WHAT  Deals the packets of a run to segments, each a stream of its own.
 * WHY   Segments that are decoded and put behind each other must be the run
 *       as it is decoded uncut: no sample missing, none doubled.
 * DESIGN
 *   - A segment ends at a granule position; what its last packet has beyond is
 *     trimmed by the player.
 *   - One that follows without a gap begins with the packets of the last
 *     200 ms before it (pre-roll) and a pre-skip of as many frames: the decoder
 *     has settled when its sound begins.  RFC 7845 section 4.2 asks for 80 ms;
 *     but CELT tells a band's energy by its change, and the decoder forgets
 *     half of an error from packet to packet: it was measured 20 dB below a
 *     tone after four packets of 20 ms, 54 dB after ten.
 *   - The first one of a run has nothing before it: its pre-skip is `delay`.
 *   - Behind a cut packets wait until there are RECORD_OGG_MIN frames; a
 *     recording that stops before leaves them in the file before.
 *   - A page is given when it has a second, or at track_push: a crash costs
 *     no more than with MP3.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/track_ogg.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/counters.h"
#include "base/mem.h"

enum {
	PREROLL = 9600,	      /* frames: 200 ms */
	PAGE_MAX = 64 * 1024, /* bytes, more than a page has */
	LOST = 1	      /* bytes left out: how many does not matter */
};

void track_ogg_init(struct track_ogg *o, const struct track_config *config)
{
	const uint64_t whole = SOUND_OPUS_FRAME;

	o->cut_frames = (config->segment_frames + whole - 1) / whole * whole;
	if (o->cut_frames && o->cut_frames < RECORD_OGG_MIN)
		o->cut_frames = (RECORD_OGG_MIN + whole - 1) / whole * whole;
	/* Unlike any other of the files that someone may chain; a run of
	 * numbers from anywhere would do. */
	if (getrandom(&o->serial, sizeof(o->serial), GRND_NONBLOCK) !=
	    sizeof(o->serial))
		o->serial = 1;
	recent_init(&o->recent);
	buf_init(&o->page, PAGE_MAX);
}

void track_ogg_fini(struct track_ogg *o)
{
	sound_ogg_free(o->ogg);
	recent_fini(&o->recent);
	buf_fini(&o->page);
}

/* ---- segments -------------------------------------------------------------- */

static void make_opening(struct track_ogg *o)
{
	struct track_opening *opening = &o->base.opening;
	const struct sound_ogg_head head = {
		.serial = o->serial,
		.preskip = (uint16_t)(o->begin - o->start),
		.channels = o->stereo ? 2 : 1};

	opening->head_len = sound_ogg_write_head(&head, opening->bytes);
	opening->placeholder_len = sound_ogg_write_silence(
		&head, RECORD_OGG_MIN, opening->bytes + opening->head_len);
}

/** A segment whose sound begins at o->begin. */
static int begin_segment(struct track_ogg *o)
{
	const uint64_t from = o->begin > PREROLL ? o->begin - PREROLL : 0;

	o->start =
		o->recent.n
			? o->recent.packets[recent_find(&o->recent, from)].start
			: o->recent.end;
	o->given = o->start;
	o->serial++;
	make_opening(o);
	sound_ogg_begin(o->ogg, o->serial);
	return track_begin_segment(&o->base, track_ogg_pos(o, o->begin));
}

/** Hand the page in work, if one was made, to the segment. */
static int put_page(struct track_ogg *o, int err)
{
	if (err)
		counter_add(COUNT_bytes_dropped, (int64_t)o->page.len);
	segment_put(o->base.current, o->page.data, o->page.len, err ? LOST : 0);
	buf_clear(&o->page);
	return err ? ENOMEM : 0;
}

/** End the segment at `end`; the next begins there. */
static int end_segment(struct track_ogg *o, uint64_t end)
{
	int err = sound_ogg_end(o->ogg, (int64_t)(end - o->start), &o->page);

	err = put_page(o, err);
	o->base.current->frames = end - o->begin;
	o->begin = end;
	track_end_current(&o->base);
	return err;
}

/** The segment has so many frames now.  Of a copy nobody knows the sound. */
static void give_peaks(struct track_ogg *o, uint64_t frames)
{
	const uint64_t had = o->base.current->frames;

	if (o->base.peaks.any && frames > had)
		track_peaks_give(&o->base, track_ogg_pos(o, o->begin + had),
				 frames - had);
}

/** Give the segment the packet at o->given. */
static int give_packet(struct track_ogg *o)
{
	const unsigned i = recent_find(&o->recent, o->given);
	const struct recent_packet *p = &o->recent.packets[i];
	int err = sound_ogg_put(o->ogg, recent_data(&o->recent, i), p->len,
				p->frames, &o->page);

	o->given += p->frames;
	if (o->given > o->begin) {
		give_peaks(o, o->given - o->begin);
		o->base.current->frames = o->given - o->begin;
	}
	if (o->page.len || err)
		err = put_page(o, err);
	return err;
}

/** Where the segment is cut, if it is complete. */
static bool is_at_cut(const struct track_ogg *o, uint64_t *cut)
{
	if (!o->cut_frames || !o->base.current ||
	    o->given < o->begin + o->cut_frames)
		return false;
	*cut = o->cuts_packets ? o->begin + o->cut_frames : o->given;
	return true;
}

/**
 * Deal the packets that no segment has.
 *
 * end    of the sound in them
 * last   nothing comes behind them: let none wait
 */
static int deal(struct track_ogg *o, uint64_t end, bool last)
{
	uint64_t cut;
	int first_err = 0, err = 0;

	while (o->given < o->recent.end) {
		if (is_at_cut(o, &cut)) {
			if (end >= cut + RECORD_OGG_MIN)
				err = end_segment(o, cut);
			else if (!last)
				break;
		}
		if (!first_err)
			first_err = err;
		if (!o->base.current && begin_segment(o) != 0) {
			/* No segment for them: they are lost. */
			o->given = o->begin = o->recent.end;
			return ENOMEM;
		}
		err = give_packet(o);
		if (!first_err)
			first_err = err;
	}
	return first_err;
}

/* ---- runs ------------------------------------------------------------------ */

int track_ogg_begin(struct track_ogg *o, int64_t pos)
{
	int err = o->ogg ? 0 : sound_ogg_new(&o->ogg);

	if (err)
		return err;
	recent_clear(&o->recent);
	o->run_pos = pos;
	o->base.in_pos = pos;
	o->begin = o->delay;
	err = begin_segment(o);
	o->base.open = !err;
	return err;
}

int track_ogg_put(struct track_ogg *o, const void *packet, size_t len,
		  uint32_t frames)
{
	const uint32_t keep =
		PREROLL + (o->cuts_packets ? SOUND_OPUS_FRAME : 0);
	int err = recent_put(&o->recent, packet, len, frames);
	int deal_err = deal(o, o->recent.end, false);

	recent_trim(&o->recent, o->given > keep ? o->given - keep : 0);
	return err ? err : deal_err;
}

int track_ogg_end(struct track_ogg *o, uint64_t end)
{
	int err = deal(o, end, true);
	int end_err = 0;

	o->base.in_pos = track_ogg_pos(o, end);
	o->base.open = false;
	if (o->base.current)
		end_err = end_segment(o, end);
	return err ? err : end_err;
}

void track_ogg_flush(struct track *base)
{
	struct track_ogg *o = CONTAINER_OF(base, struct track_ogg, base);
	int err = sound_ogg_flush(o->ogg, &o->page);

	if (o->page.len || err)
		(void)!put_page(o, err); /* counted */
}
