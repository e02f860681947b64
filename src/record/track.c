/**
 * record/track.c -- what all tracks do: runs, positions, segments.
 *
 * A kind (track_mp3.c, track_copy.c, track_opus.c) turns chunks into bytes and
 * decides where segments are cut; this file knows whether a run is open.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/track.h"

#include <assert.h>
#include <errno.h>

#include "base/counters.h"
#include "base/mem.h"

static int make(const struct track_config *config, struct track **out)
{
	switch (config->kind) {
	case TRACK_MP3:
		return track_mp3_new(config, out);
	case TRACK_OGG_COPY:
		return track_copy_new(config, out);
	case TRACK_OGG_OPUS:
		return track_opus_new(config, out);
	}
	return EINVAL;
}

int track_new(const struct track_config *config,
	      const struct track_events *events, void *arg, struct track **out)
{
	struct track *t = NULL;
	int err = make(config, &t);

	if (err)
		return err;
	assert(t);
	t->events = *events;
	t->arg = arg;
	t->max_waiting = config->max_waiting;
	t->in_pos = INT64_MIN; /* nothing was written */
	t->opening.kind = config->kind;
	list_init(&t->segments);
	*out = t;
	return 0;
}

void track_free(struct track *t)
{
	if (!t)
		return;
	LIST_EACH(&t->segments, l, after)
	segment_free(CONTAINER_OF(l, struct segment, link));
	t->ops->fini(t);
	mem_free(t);
}

/* ---- for the kinds --------------------------------------------------------- */

int track_begin_segment(struct track *t, int64_t start_pos)
{
	struct segment *s = segment_new(start_pos, t->max_waiting);

	if (!s)
		return ENOMEM;
	list_append(&t->segments, &s->link);
	t->current = s;
	t->events.begun(s, t->arg);
	return 0;
}

void track_end_current(struct track *t)
{
	struct segment *s = t->current;

	t->current = NULL;
	s->ended = true;
	segment_push(s); /* so that the owner may close the file at once */
	t->events.ended(s, t->arg); /* may have freed it */
}

void track_count_late(const struct track *t, const struct sound_chunk *chunk)
{
	int64_t late;

	if (chunk->kind != CHUNK_SOUND || chunk->pos >= t->in_pos)
		return;
	late = t->in_pos - chunk->pos;
	counter_add(COUNT_track_late,
		    late < chunk->frames ? late : chunk->frames);
}

int track_write_pcm(struct track *t, const struct sound_chunk *chunk,
		    int (*feed)(struct track *t, const int16_t *pcm,
				uint64_t frames))
{
	const int16_t *pcm = chunk->pcm;
	uint64_t frames = chunk->frames;
	int err;

	track_count_late(t, chunk);
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

/* ---- public ---------------------------------------------------------------- */

int track_begin(struct track *t, int64_t pos)
{
	if (t->open)
		return t->ops->fill(t, pos);
	return t->ops->begin(t, pos > t->in_pos ? pos : t->in_pos);
}

bool track_is_open(const struct track *t)
{
	return t->open;
}

int track_write(struct track *t, const struct sound_chunk *chunk)
{
	assert(chunk->frames > 0);
	return t->ops->write(t, chunk);
}

int track_advance(struct track *t, int64_t pos)
{
	return t->open ? t->ops->fill(t, pos) : 0;
}

int track_end_segment(struct track *t, int64_t pos)
{
	return t->open ? t->ops->end(t, pos) : 0;
}

const struct track_opening *track_opening(const struct track *t)
{
	return &t->opening;
}

void track_push(struct track *t)
{
	if (t->current && t->ops->flush)
		t->ops->flush(t);
	LIST_EACH(&t->segments, l, after)
	segment_push(CONTAINER_OF(l, struct segment, link));
}
