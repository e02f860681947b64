/**
 * record/track.c -- sound by position -> MP3 frames -> segments.
 *
 * WHAT  One encoder from the first segment to the last.  Its output trails
 *       its input by two frames or so, so there are two positions: in_pos,
 *       up to which sound was taken, and out_pos, where the next MP3 frame
 *       belongs.
 * WHY   Cutting what comes out, not what goes in, gives segments whose
 *       bytes, put together, are those of the uncut recording.
 * DESIGN
 *   - A *run* is sound without a break: it may span many segments.  At its
 *     end the encoder is flushed, so the next run starts on a frame.
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
#include "record/segment.h"

enum {
	SLICE_N = 40,	      /* MP3 frames of input at once, about 1 s */
	OUT_MAX = 256 * 1024, /* bytes: 6 s at the highest rate */
};

struct track {
	/* fixed after new */
	struct track_events events;
	void *arg;
	struct sound_mp3_config mp3_config;
	uint32_t frame_frames;
	uint32_t frame_len;
	uint64_t cut_frames; /* whole MP3 frames; 0: never cut */
	size_t max_waiting;

	struct sound_mp3 *mp3;	 /* NULL until the first run: who never speaks
				    costs no encoder */
	struct link segments;	 /* oldest first */
	struct segment *current; /* takes the next MP3 frame, or NULL */
	bool open;		 /* in a run */
	int64_t in_pos;
	int64_t out_pos;
	struct buf out; /* between calls: frames that wait behind a cut */
	uint64_t held;	/* MP3 frames that wait, with those not in `out` */
};

int track_new(const struct track_config *config,
	      const struct track_events *events, void *arg, struct track **out)
{
	struct track *t = mem_zalloc(sizeof(*t));
	int err;

	if (!t)
		return ENOMEM;
	t->mp3_config = config->mp3;
	err = sound_mp3_shape(&config->mp3, &t->frame_frames, &t->frame_len);
	if (err) {
		mem_free(t);
		return err;
	}
	t->events = *events;
	t->arg = arg;
	t->cut_frames = (config->segment_frames + t->frame_frames - 1) /
			t->frame_frames * t->frame_frames;
	t->max_waiting = config->max_waiting;
	t->in_pos = INT64_MIN; /* nothing was written */
	list_init(&t->segments);
	buf_init(&t->out, OUT_MAX);
	*out = t;
	return 0;
}

void track_free(struct track *t)
{
	if (!t)
		return;
	LIST_EACH(&t->segments, l, after)
	segment_free(CONTAINER_OF(l, struct segment, link));
	sound_mp3_free(t->mp3);
	buf_fini(&t->out);
	mem_free(t);
}

/* ---- out of the encoder ---------------------------------------------------- */

static int begin_segment(struct track *t)
{
	struct segment *s = segment_new(t->out_pos, t->max_waiting);

	if (!s)
		return ENOMEM;
	list_append(&t->segments, &s->link);
	t->current = s;
	t->events.begun(s, t->arg);
	return 0;
}

static void end_segment(struct track *t)
{
	struct segment *s = t->current;

	t->current = NULL;
	s->ended = true;
	segment_push(s); /* so that the owner may close the file at once */
	t->events.ended(s, t->arg); /* may have freed it */
}

static bool is_at_cut(const struct track *t)
{
	return t->cut_frames && t->current &&
	       t->current->frames >= t->cut_frames;
}

/** Put `n` MP3 frames into the current segment: the first t->out has, and
 *  where that ends too early (no memory), silence. */
static void put(struct track *t, size_t *at, uint64_t n)
{
	uint64_t have = (t->out.len - *at) / t->frame_len;
	uint64_t real = have < n ? have : n;

	segment_put(t->current, real ? t->out.data + *at : NULL,
		    (size_t)(real * t->frame_len), (n - real) * t->frame_len);
	*at += (size_t)(real * t->frame_len);
	t->current->frames += n * t->frame_frames;
	t->out_pos += (int64_t)(n * t->frame_frames);
}

/** Keep the bytes of t->out from `at` on, and `n` frames, for later. */
static void hold(struct track *t, size_t at, uint64_t n)
{
	size_t len = t->out.len - at;

	if (len)
		memmove(t->out.data, t->out.data + at, len);
	t->out.len = len;
	t->held = n;
}

/** No segment for `n` frames: they are lost. */
static void lose(struct track *t, size_t at, uint64_t n)
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
static int deal(struct track *t, uint64_t n, bool last)
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
			end_segment(t);
		if (!t->current)
			err = begin_segment(t);
		if (err) {
			lose(t, at, n);
			break;
		}
		if (t->cut_frames && !is_at_cut(t) &&
		    take > (t->cut_frames - t->current->frames) /
				    t->frame_frames)
			take = (t->cut_frames - t->current->frames) /
			       t->frame_frames;
		put(t, &at, take);
		n -= take;
	}
	buf_clear(&t->out);
	return err;
}

/** A file of fewer frames could not be opened: silence at its end. */
static void fill_up(struct track *t)
{
	const uint8_t *silent = sound_mp3_silent_frame(t->mp3);

	while (t->current->frames < RECORD_FRAMES_MIN * t->frame_frames) {
		segment_put(t->current, silent, t->frame_len, 0);
		t->current->frames += t->frame_frames;
		t->out_pos += t->frame_frames;
	}
}

/* ---- into the encoder ------------------------------------------------------ */

static int feed_slice(struct track *t, const int16_t *pcm, uint32_t frames)
{
	uint64_t in = sound_mp3_frames_in(t->mp3);
	uint64_t out = sound_mp3_frames_out(t->mp3);
	int err = sound_mp3_write(t->mp3, pcm, frames, &t->out);
	int deal_err;

	t->in_pos += (int64_t)(sound_mp3_frames_in(t->mp3) - in);
	deal_err =
		deal(t, (sound_mp3_frames_out(t->mp3) - out) / t->frame_frames,
		     false);
	return err ? err : deal_err;
}

/** Feed PCM, or silence (NULL).  The first error is kept, the rest is fed
 *  all the same. */
static int feed(struct track *t, const int16_t *pcm, uint64_t frames)
{
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
static int fill_to(struct track *t, int64_t pos)
{
	if (pos <= t->in_pos)
		return 0;
	return feed(t, NULL, (uint64_t)(pos - t->in_pos));
}

/** An encoder that has given all it took: what it still held is thrown
 *  away. */
static int drain(struct track *t)
{
	int err = 0;

	if (!t->mp3)
		return sound_mp3_new(&t->mp3_config, &t->mp3);
	/* Only after a flush that found no memory. */
	if (sound_mp3_frames_in(t->mp3) != sound_mp3_frames_out(t->mp3))
		err = sound_mp3_flush(t->mp3, &t->out);
	buf_clear(&t->out);
	return err;
}

int track_begin(struct track *t, int64_t pos)
{
	int err;

	if (t->open)
		return fill_to(t, pos);
	err = drain(t);
	if (err)
		return err;
	if (pos > t->in_pos)
		t->in_pos = pos;
	t->out_pos = t->in_pos;
	err = begin_segment(t);
	t->open = !err;
	return err;
}

int track_write(struct track *t, const struct sound_chunk *chunk)
{
	const int16_t *pcm = chunk->pcm;
	uint64_t frames = chunk->frames;
	int err;

	assert(chunk->frames > 0);
	if (chunk->pos < t->in_pos) {
		if (chunk->pos + (int64_t)frames <= t->in_pos)
			return 0;
		frames -= (uint64_t)(t->in_pos - chunk->pos);
		pcm = pcm ? pcm + (chunk->frames - frames) : NULL;
	}
	err = track_begin(t, chunk->pos);
	if (!t->open)
		return err;
	/* With no memory for the silence before it, sound still goes where
	 * it belongs or not at all. */
	if (t->in_pos < chunk->pos)
		return err;
	return feed(t, pcm, frames) ? ENOMEM : err;
}

int track_advance(struct track *t, int64_t pos)
{
	return t->open ? fill_to(t, pos) : 0;
}

int track_end_segment(struct track *t, int64_t pos)
{
	uint64_t out;
	uint64_t rest;
	int err;
	int deal_err;

	if (!t->open)
		return 0;
	err = fill_to(t, pos);
	out = sound_mp3_frames_out(t->mp3);
	if (sound_mp3_flush(t->mp3, &t->out))
		err = ENOMEM;
	deal_err =
		deal(t, (sound_mp3_frames_out(t->mp3) - out) / t->frame_frames,
		     true);
	if (t->out_pos < t->in_pos) { /* the flush found no memory */
		rest = (uint64_t)(t->in_pos - t->out_pos) + t->frame_frames - 1;
		deal_err = deal(t, rest / t->frame_frames, true);
	}
	if (t->current)
		fill_up(t);
	t->in_pos = t->out_pos;
	t->open = false;
	if (t->current)
		end_segment(t);
	return err ? err : deal_err;
}

/* ---- the rest -------------------------------------------------------------- */

bool track_has_open_segment(const struct track *t)
{
	return t->open;
}

const uint8_t *track_silent_frame(const struct track *t, size_t *len)
{
	*len = t->frame_len;
	return sound_mp3_silent_frame(t->mp3);
}

void track_push(struct track *t)
{
	LIST_EACH(&t->segments, l, after)
	segment_push(CONTAINER_OF(l, struct segment, link));
}
