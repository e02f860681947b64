/**
 * record/track_mp3.c -- sound by position -> MP3 frames -> segments.
 *
 * WHAT  One encoder from the first segment to the last.  Its output trails
 *       its input by two frames or more, so there are two positions: in_pos,
 *       up to which sound was taken, and out_pos, where the next MP3 frame
 *       belongs.
 * WHY   Cutting what comes out, not what goes in, gives segments whose
 *       bytes, put together, are those of the uncut recording.
 * DESIGN
 *   - At the end of a run the encoder is flushed, so the next run starts on a
 *     frame.
 *   - The next segment begins when RECORD_FRAMES_MIN frames behind the cut
 *     have come out; a recording that stops before leaves them in the file
 *     before, so there is neither an empty file nor one too short to open.
 *   - Positions are kept by what the encoder says it took and gave, never by
 *     what it was asked to do: after ENOMEM sound is missing, but what comes
 *     later stands where it belongs.
 *   - Input goes in slices of about a second: nothing is allocated by the
 *     length of a gap.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/counters.h"
#include "base/mem.h"
#include "record/track.h"

enum {
	SLICE_N = 40,	      /* MP3 frames of input at once, about 1 s */
	OUT_MAX = 256 * 1024, /* bytes: 6 s at the highest rate */
};

struct track_mp3 {
	struct track base;

	/* fixed after new */
	struct sound_mp3_config config;
	uint32_t frame_frames;
	uint32_t frame_len;
	uint64_t cut_frames; /* whole MP3 frames; 0: never cut */

	struct sound_mp3 *mp3; /* NULL until the first run: who never speaks
				  costs no encoder */
	int64_t out_pos;
	struct buf out; /* between calls: frames that wait behind a cut */
	uint64_t held;	/* MP3 frames that wait, with those not in `out` */
};

static struct track_mp3 *mp3_of(struct track *base)
{
	return CONTAINER_OF(base, struct track_mp3, base);
}

/* ---- out of the encoder ---------------------------------------------------- */

static bool is_at_cut(const struct track_mp3 *t)
{
	return t->cut_frames && t->base.current &&
	       t->base.current->frames >= t->cut_frames;
}

/** Put `n` MP3 frames into the current segment: the first t->out has, and
 *  where that ends too early (no memory), silence. */
static void put(struct track_mp3 *t, size_t *at, uint64_t n)
{
	uint64_t have = (t->out.len - *at) / t->frame_len;
	uint64_t real = have < n ? have : n;

	segment_put(t->base.current, real ? t->out.data + *at : NULL,
		    (size_t)(real * t->frame_len), (n - real) * t->frame_len);
	*at += (size_t)(real * t->frame_len);
	track_peaks_give(&t->base, t->out_pos, n * t->frame_frames);
	t->base.current->frames += n * t->frame_frames;
	t->out_pos += (int64_t)(n * t->frame_frames);
}

/** Keep the bytes of t->out from `at` on, and `n` frames, for later. */
static void hold(struct track_mp3 *t, size_t at, uint64_t n)
{
	size_t len = t->out.len - at;

	if (len)
		memmove(t->out.data, t->out.data + at, len);
	t->out.len = len;
	t->held = n;
}

/** No segment for `n` frames: they are lost. */
static void lose(struct track_mp3 *t, size_t at, uint64_t n)
{
	counter_add(COUNT_bytes_dropped, (int64_t)(t->out.len - at));
	t->out_pos += (int64_t)(n * t->frame_frames);
}

/**
 * Deal `n` MP3 frames, and those that were held, to segments.
 *
 * last   nothing comes behind them: hold none
 *
 * Returns 0 or ENOMEM: no segment for them, they are lost.
 */
static int deal(struct track_mp3 *t, uint64_t n, bool last)
{
	size_t at = 0;
	int err = 0;

	n += t->held;
	t->held = 0;
	t->out.err = 0; /* what is in it is good */
	while (n && !err) {
		uint64_t take = n;

		if (is_at_cut(t) && n < RECORD_FRAMES_MIN && !last) {
			hold(t, at, n);
			return 0;
		}
		if (is_at_cut(t) && n >= RECORD_FRAMES_MIN)
			track_end_current(&t->base);
		if (!t->base.current)
			err = track_begin_segment(&t->base, t->out_pos);
		if (err) {
			lose(t, at, n);
			break;
		}
		if (t->cut_frames && !is_at_cut(t) &&
		    take > (t->cut_frames - t->base.current->frames) /
				    t->frame_frames)
			take = (t->cut_frames - t->base.current->frames) /
			       t->frame_frames;
		put(t, &at, take);
		n -= take;
	}
	buf_clear(&t->out);
	return err;
}

/** A file of fewer frames could not be opened: silence at its end. */
static void fill_up(struct track_mp3 *t)
{
	const uint8_t *silent = sound_mp3_silent_frame(t->mp3);

	while (t->base.current->frames < RECORD_FRAMES_MIN * t->frame_frames) {
		segment_put(t->base.current, silent, t->frame_len, 0);
		track_peaks_give(&t->base, t->out_pos, t->frame_frames);
		t->base.current->frames += t->frame_frames;
		t->out_pos += t->frame_frames;
	}
}

/* ---- into the encoder ------------------------------------------------------ */

static int feed_slice(struct track_mp3 *t, const int16_t *pcm, uint32_t frames)
{
	uint64_t in = sound_mp3_frames_in(t->mp3);
	uint64_t out = sound_mp3_frames_out(t->mp3);
	int err = sound_mp3_write(t->mp3, pcm, frames, &t->out);
	int deal_err;

	track_peaks_note(&t->base, t->base.in_pos, pcm,
			 sound_mp3_frames_in(t->mp3) - in);
	t->base.in_pos += (int64_t)(sound_mp3_frames_in(t->mp3) - in);
	deal_err =
		deal(t, (sound_mp3_frames_out(t->mp3) - out) / t->frame_frames,
		     false);
	return err ? err : deal_err;
}

/** Feed PCM, or silence (NULL).  The first error is kept, the rest is fed
 *  all the same. */
static int feed(struct track *base, const int16_t *pcm, uint64_t frames)
{
	struct track_mp3 *t = mp3_of(base);
	uint32_t slice = SLICE_N * t->frame_frames;
	int first_err = 0;

	while (frames) {
		uint32_t n = frames < slice ? (uint32_t)frames : slice;
		int err = feed_slice(t, pcm, n);

		if (!first_err)
			first_err = err;
		pcm = pcm ? pcm + n : NULL;
		frames -= n;
	}
	return first_err;
}

/** Silence until `pos`; the run is open. */
static int fill_to(struct track *base, int64_t pos)
{
	if (pos <= base->in_pos)
		return 0;
	return feed(base, NULL, (uint64_t)(pos - base->in_pos));
}

/** An encoder that has given all it took: what it still held is thrown
 *  away. */
static int drain(struct track_mp3 *t)
{
	int err = 0;

	if (!t->mp3)
		return sound_mp3_new(&t->config, &t->mp3);
	/* Only after a flush that found no memory. */
	if (sound_mp3_frames_in(t->mp3) != sound_mp3_frames_out(t->mp3))
		err = sound_mp3_flush(t->mp3, &t->out);
	buf_clear(&t->out);
	return err;
}

static void make_opening(struct track_mp3 *t)
{
	const uint8_t *silent = sound_mp3_silent_frame(t->mp3);
	struct track_opening *o = &t->base.opening;

	o->placeholder_len = 0;
	for (int i = 0; i < RECORD_FRAMES_MIN; i++) {
		memcpy(o->bytes + o->placeholder_len, silent, t->frame_len);
		o->placeholder_len += t->frame_len;
	}
}

static int mp3_begin(struct track *base, int64_t pos)
{
	struct track_mp3 *t = mp3_of(base);
	int err = drain(t);

	if (err)
		return err;
	make_opening(t);
	base->in_pos = pos;
	t->out_pos = pos;
	err = track_begin_segment(base, pos);
	base->open = !err;
	return err;
}

static int mp3_write(struct track *base, const struct sound_chunk *chunk)
{
	return track_write_pcm(base, chunk, feed);
}

static int mp3_end(struct track *base, int64_t pos)
{
	struct track_mp3 *t = mp3_of(base);
	uint64_t out;
	uint64_t rest;
	int err = fill_to(base, pos);
	int deal_err;

	out = sound_mp3_frames_out(t->mp3);
	if (sound_mp3_flush(t->mp3, &t->out))
		err = ENOMEM;
	deal_err =
		deal(t, (sound_mp3_frames_out(t->mp3) - out) / t->frame_frames,
		     true);
	if (t->out_pos < base->in_pos) { /* the flush found no memory */
		rest = (uint64_t)(base->in_pos - t->out_pos) + t->frame_frames -
		       1;
		deal_err = deal(t, rest / t->frame_frames, true);
	}
	if (base->current)
		fill_up(t);
	base->in_pos = t->out_pos;
	base->open = false;
	if (base->current)
		track_end_current(base);
	return err ? err : deal_err;
}

static void mp3_fini(struct track *base)
{
	struct track_mp3 *t = mp3_of(base);

	sound_mp3_free(t->mp3);
	buf_fini(&t->out);
}

static const struct track_ops mp3_ops = {.begin = mp3_begin,
					 .write = mp3_write,
					 .fill = fill_to,
					 .end = mp3_end,
					 .fini = mp3_fini};

int track_mp3_new(const struct track_config *config, struct track **out)
{
	struct track_mp3 *t = mem_zalloc(sizeof(*t));
	int err;

	if (!t)
		return ENOMEM;
	t->base.ops = &mp3_ops;
	t->config = config->mp3;
	err = sound_mp3_shape(&config->mp3, &t->frame_frames, &t->frame_len);
	if (!err && (size_t)t->frame_len * RECORD_FRAMES_MIN >
			    sizeof(t->base.opening.bytes))
		err = EINVAL;
	if (err) {
		mem_free(t);
		return err;
	}
	t->cut_frames = (config->segment_frames + t->frame_frames - 1) /
			t->frame_frames * t->frame_frames;
	buf_init(&t->out, OUT_MAX);
	*out = &t->base;
	return 0;
}
