/** rooms/media_part.c -- a voice in a session: what of it is recorded. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/mem.h"
#include "rooms/media_inside.h"

/** Who begins it now. */
static void begun_by(const struct part *p, struct by *by)
{
	*by = p->begun_by;
	if (!by->ip[0])
		voice_by(p->voice, by);
}

void part_make(struct session *s, struct voice *v, int64_t pos,
	       const struct by *by)
{
	struct part *p = mem_zalloc(sizeof(*p));
	struct by now_by;

	if (!p)
		goto fail;
	p->voice = v;
	p->session = s;
	p->from_pos = pos;
	p->end_pos = INT64_MAX;
	if (by)
		p->begun_by = *by;
	p->has_writer = s->mode != MODE_MIXED;
	p->is_mixed = s->mode != MODE_SINGLE;
	if (p->has_writer && writer_init(&p->writer, s, MODE_SINGLE, v->user))
		goto fail;
	begun_by(p, &now_by);
	list_append(&v->parts, &p->in_voice);
	if (p->is_mixed && !session_is_mixing(s))
		mixer_open(s->mixer, pos, &now_by);
	list_append(&s->parts, &p->in_session);
	if (p->has_writer && v->silence_mode)
		writer_begin(&p->writer, pos, &now_by);
	voice_match_decode(v);
	return;
fail:
	log_error("task=%llu user=%s is not recorded: out of memory",
		  (unsigned long long)s->task, v->user);
	mem_free(p);
}

void part_end(struct part *p, int64_t pos, const struct by *by)
{
	/* the wish to stop may be older than the begin, if that came late */
	if (pos < p->from_pos)
		pos = p->from_pos;
	if (pos < p->end_pos) {
		p->end_pos = pos;
		p->ended_by = *by;
	}
	p->session->is_ending = true;
}

void part_free(struct part *p)
{
	struct session *s = p->session;
	struct voice *v = p->voice;

	list_remove(&p->in_voice);
	list_remove(&p->in_session);
	if (p->has_writer)
		writer_fini(&p->writer, p->end_pos, &p->ended_by);
	if (p->is_mixed)
		mixer_leave(s->mixer, p->end_pos, &p->ended_by);
	if (p->is_mixed && !session_is_mixing(s))
		mixer_close(s->mixer);
	mem_free(p);
	voice_match_decode(v);
}

/* ---- chunks ------------------------------------------------------------ */

/** Cut `c` to from..to; false: nothing is left. */
static bool trim(struct sound_chunk *c, int64_t from, int64_t to)
{
	int64_t end = c->pos + c->frames;

	if (from >= to || end <= from || c->pos >= to)
		return false;
	if (from <= c->pos && end <= to)
		return true;
	c->packet = NULL; /* a packet cannot be cut */
	if (c->pos < from) {
		if (c->pcm)
			c->pcm += from - c->pos;
		c->pos = from;
	}
	if (end > to)
		end = to;
	c->frames = (uint32_t)(end - c->pos);
	return true;
}

/** Is a session paused at `pos`, and up to where is that so? */
static bool is_paused(const struct turns *t, int64_t pos, int64_t *until)
{
	bool on = t->before;

	for (unsigned i = 0; i < t->n; i++) {
		if (t->at[i].pos > pos) {
			*until = t->at[i].pos;
			return on;
		}
		on = t->at[i].on;
	}
	*until = INT64_MAX;
	return on;
}

static void put(struct part *p, const struct sound_chunk *c)
{
	const bool begins = p->has_writer && !track_is_open(p->writer.track);
	struct by by = {0};

	/* who spoke already when the part was made did not begin it */
	if (begins && c->pos > p->from_pos)
		voice_by(p->voice, &by);
	else if (begins)
		begun_by(p, &by);
	if (p->has_writer)
		writer_put(&p->writer, c, begins ? &by : NULL);
	if (p->is_mixed)
		mixer_put(p->session->mixer, c);
}

void part_put(struct part *p, const struct sound_chunk *chunk)
{
	const struct turns *pause = &p->session->pause;
	struct sound_chunk c = *chunk;
	int64_t end, until;

	if (!trim(&c, p->from_pos, p->end_pos))
		return;
	if (!pause->n && !pause->before) {
		put(p, &c);
		return;
	}
	for (end = c.pos + c.frames; c.pos < end; c.pos = until) {
		struct sound_chunk piece = *chunk;
		bool on = is_paused(pause, c.pos, &until);

		if (until > end)
			until = end;
		if (!trim(&piece, c.pos, until))
			return;
		if (on) {
			piece.kind = CHUNK_SILENCE;
			piece.pcm = NULL;
			piece.packet = NULL;
		}
		put(p, &piece);
	}
}

void part_mic_off(struct part *p, int64_t pos, const struct by *by)
{
	if (!p->has_writer)
		return;
	if (pos < p->end_pos)
		writer_end(&p->writer, pos, by);
	else
		writer_end(&p->writer, p->end_pos, &p->ended_by);
}

void part_push(struct part *p, int64_t now_us)
{
	int64_t hold = sound_pos_of_us(now_us - HOLD_US);

	if (!p->has_writer)
		return;
	if (hold > p->end_pos)
		hold = p->end_pos;
	if (p->voice->silence_mode)
		(void)!track_advance(p->writer.track, hold); /* counted */
	track_push(p->writer.track);
}
