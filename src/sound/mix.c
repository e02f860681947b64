/**
 * sound/mix.c -- the sum of many voices, and a limiter.
 *
 * WHAT  Sums lie in blocks of 100 ms, made when sound is first added to them.
 *       Blocks stand in a ring by position / BLOCK; what is taken out goes
 *       through the limiter in steps of 1 ms.
 * WHY   A room of 300 people of whom 3 speak must cost what 3 cost, so
 *       silence has no block.  And two who shout at once must neither wrap
 *       (Janus' mixer does) nor turn everybody else down for long.
 * DESIGN
 *   The limiter has a gain at every step's border and goes from one to the
 *   next in a straight line.  A step whose peak is p bears the gain
 *   need = LIMIT / p, or 1.  A border's gain is at most that of both steps it
 *   touches, so nothing between them is over; it may fall by at most SLOPE a
 *   step, so it is low enough in time (the look-ahead), and it returns to 1 by
 *   1 / RELEASE of what is missing a step.
 *
 *	steps    |  at  |      |      | peak |      |
 *	need        1      1      1      .5     1
 *	gain     1      .9     .7     .5     .5     .51 ...
 *
 *   A step's end needs the needs of LOOK steps behind it: these stay in the
 *   blocks until the next call.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum {
	STEP = SOUND_FRAMES_PER_MS,
	BLOCK = 100 * STEP,
	/* One more than the span has: `start` is seldom at a block's border. */
	BLOCKS = SOUND_MIX_SPAN / BLOCK + 1,
	LOOK = 6,			 /* steps seen ahead */
	SPARE_MAX = 4,			 /* blocks kept for the next sound */
	OUT_MAX = BLOCK,		 /* frames handed out at once */
	SILENCE_MAX = 3600 * SOUND_RATE, /* frames in a chunk, about */
	LIMIT = INT16_MAX
};

static const float SLOPE = 1.0F / (LOOK - 1);
static const float RELEASE = 60; /* steps */

static_assert(BLOCK % STEP == 0, "a step lies in one block");

struct sound_mix {
	int64_t start; /* first frame that was not taken out */
	int64_t pos;   /* nothing is added before it */
	bool is_fresh; /* nothing went through the limiter yet */
	float gain;    /* of the limiter, at `start` */
	int32_t *blocks[BLOCKS];
	int32_t *spare[SPARE_MAX];
	unsigned n_spare;
};

int sound_mix_new(int64_t pos, struct sound_mix **out)
{
	struct sound_mix *m = mem_zalloc(sizeof(*m));

	if (!m)
		return ENOMEM;
	m->start = pos;
	m->pos = pos;
	m->is_fresh = true;
	m->gain = 1;
	*out = m;
	return 0;
}

void sound_mix_free(struct sound_mix *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < BLOCKS; i++)
		mem_free(m->blocks[i]);
	for (unsigned i = 0; i < m->n_spare; i++)
		mem_free(m->spare[i]);
	mem_free(m);
}

int64_t sound_mix_pos(const struct sound_mix *m)
{
	return m->pos;
}

/* ---- blocks ------------------------------------------------------------ */

/* Positions may be negative. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int32_t **slot_of(struct sound_mix *m, int64_t number)
{
	int64_t i = number % BLOCKS;

	return &m->blocks[i < 0 ? i + BLOCKS : i];
}

static const int32_t *block_at(const struct sound_mix *m, int64_t number)
{
	int64_t i = number % BLOCKS;

	return m->blocks[i < 0 ? i + BLOCKS : i];
}

static int32_t *get_block(struct sound_mix *m, int64_t number)
{
	int32_t **slot = slot_of(m, number);
	int32_t *block = *slot;

	if (block)
		return block;
	if (m->n_spare) {
		block = m->spare[--m->n_spare];
		memset(block, 0, BLOCK * sizeof(*block));
	} else {
		block = mem_zalloc_n(BLOCK, sizeof(*block));
	}
	*slot = block;
	return block;
}

static void drop_block(struct sound_mix *m, int64_t number)
{
	int32_t **slot = slot_of(m, number);

	if (!*slot)
		return;
	if (m->n_spare < SPARE_MAX)
		m->spare[m->n_spare++] = *slot;
	else
		mem_free(*slot);
	*slot = NULL;
}

/* ---- adding ------------------------------------------------------------- */

static void add(int32_t *sum, const int16_t *pcm, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum[i] += pcm[i];
}

/* How many frames at `pos`, of `frames`, are in one block; its number. */
static uint32_t piece_of(int64_t pos, int64_t frames, int64_t *number,
			 uint32_t *at)
{
	int64_t left;

	*number = floor_div(pos, BLOCK);
	*at = (uint32_t)(pos - *number * BLOCK);
	left = BLOCK - *at;
	return (uint32_t)(frames < left ? frames : left);
}

uint32_t sound_mix_add(struct sound_mix *m, const struct sound_chunk *c)
{
	const int64_t limit = m->start + SOUND_MIX_SPAN;
	const int64_t end = c->pos + c->frames;
	int64_t pos = c->pos > m->pos ? c->pos : m->pos;
	int64_t to = end < limit ? end : limit;
	uint32_t added = 0;

	if (!c->pcm)
		return 0;
	while (pos < to) {
		int64_t number;
		uint32_t at;
		uint32_t n = piece_of(pos, to - pos, &number, &at);
		int32_t *sum = get_block(m, number);

		if (sum) {
			add(sum + at, c->pcm + (pos - c->pos), n);
			added += n;
		}
		pos += n;
	}
	return c->frames - added;
}

void sound_mix_sum(const struct sound_mix *m, int64_t pos, uint32_t frames,
		   int32_t *sum)
{
	const int64_t from = m->start;
	const int64_t limit = from + SOUND_MIX_SPAN;

	for (uint32_t i = 0; i < frames; i++, pos++) {
		const int64_t number = floor_div(pos, BLOCK);
		const int32_t *block = block_at(m, number);

		sum[i] = block && pos >= from && pos < limit
				 ? block[pos - number * BLOCK]
				 : 0;
	}
}

/* ---- the limiter ---------------------------------------------------------- */

/* The gain that a step of `n` frames at `pos` bears. */
static float need_of(const struct sound_mix *m, int64_t pos, uint32_t n)
{
	const int64_t number = floor_div(pos, BLOCK);
	const int32_t *sum = block_at(m, number);
	uint32_t peak = 0;

	if (!sum)
		return 1;
	sum += pos - number * BLOCK;
	for (uint32_t i = 0; i < n; i++) {
		/* ~x is -x - 1: -32768 fits */
		uint32_t x = (uint32_t)(sum[i] < 0 ? ~sum[i] : sum[i]);

		peak = x > peak ? x : peak;
	}
	return peak > LIMIT ? (float)LIMIT / (float)peak : 1;
}

/* The steps of a call, as they lie on the media clock: the first and the last
 * may be short. */
struct steps {
	int64_t pos, to; /* `to`: behind it there is nothing */
	float needs[LOOK + 1];
};

static int64_t step_end(const struct steps *s, int64_t pos)
{
	int64_t end = (floor_div(pos, STEP) + 1) * STEP;

	return end < s->to ? end : s->to;
}

static float look(const struct sound_mix *m, const struct steps *s, int64_t pos)
{
	return pos < s->to ? need_of(m, pos, (uint32_t)(step_end(s, pos) - pos))
			   : 1;
}

static void look_first(const struct sound_mix *m, struct steps *s)
{
	int64_t pos = s->pos;

	for (unsigned i = 0; i <= LOOK; i++) {
		s->needs[i] = look(m, s, pos);
		pos = pos < s->to ? step_end(s, pos) : pos;
	}
}

static void look_on(const struct sound_mix *m, struct steps *s)
{
	int64_t pos = (floor_div(s->pos, STEP) + LOOK) * STEP;

	memmove(s->needs, s->needs + 1, LOOK * sizeof(s->needs[0]));
	s->needs[LOOK] = look(m, s, pos);
}

/* The gain at the end of the step that begins with `gain`. */
static float next_gain(const struct steps *s, float gain)
{
	float next = gain + (1 - gain) / RELEASE;

	if (next > 0.9999F)
		next = 1;
	for (unsigned i = 0; i <= LOOK; i++) {
		/* from the end of step 0 to the beginning of step i */
		float most = s->needs[i] + SLOPE * (i > 1 ? (float)i - 1 : 0);

		next = most < next ? most : next;
	}
	return next;
}

static int16_t rounded(float x)
{
	if (x >= (float)INT16_MAX)
		return INT16_MAX;
	if (x <= (float)INT16_MIN)
		return INT16_MIN;
	return (int16_t)(x < 0 ? x - 0.5F : x + 0.5F);
}

/* It may begin in the midst of something loud. */
static void begin_gain(struct sound_mix *m, const struct steps *s)
{
	if (!m->is_fresh)
		return;
	m->is_fresh = false;
	for (unsigned i = 0; i <= LOOK; i++) {
		float most = s->needs[i] + SLOPE * (float)i;

		m->gain = most < m->gain ? most : m->gain;
	}
}

/* One step through the limiter; false: it is silent, out was not touched. */
static bool limit_step(struct sound_mix *m, const struct steps *s, uint32_t n,
		       int16_t *out)
{
	const int64_t number = floor_div(s->pos, BLOCK);
	const int32_t *sum = block_at(m, number);
	const float from = m->gain;
	const float to = next_gain(s, from);

	m->gain = to;
	if (!sum)
		return false;
	sum += s->pos - number * BLOCK;
	if (from == 1 && to == 1) {
		for (uint32_t i = 0; i < n; i++)
			out[i] = (int16_t)sum[i];
		return true;
	}
	for (uint32_t i = 0; i < n; i++) {
		float gain = from + (to - from) * (float)(i + 1) / (float)n;

		out[i] = rounded((float)sum[i] * gain);
	}
	return true;
}

/* ---- taking ------------------------------------------------------------- */

/* What is being handed out. */
struct batch {
	sound_mix_fn *fn;
	void *arg;
	int64_t pos;
	uint32_t frames;
	bool is_sound;
	int16_t pcm[OUT_MAX];
};

static void hand_out(struct batch *b)
{
	struct sound_chunk c = {
		.kind = b->is_sound ? CHUNK_SOUND : CHUNK_SILENCE,
		.pos = b->pos,
		.frames = b->frames,
		.pcm = b->is_sound ? b->pcm : NULL,
	};

	if (!b->frames)
		return;
	b->fn(&c, b->arg);
	b->pos += b->frames;
	b->frames = 0;
}

/* Silence up to the next block, or `to`, in one go. */
static bool skip_silence(struct sound_mix *m, struct batch *b,
			 const struct steps *s, int64_t to)
{
	const int64_t number = floor_div(s->pos, BLOCK);
	int64_t end = (number + 1) * BLOCK;

	if (m->gain != 1 || block_at(m, number))
		return false;
	for (unsigned i = 0; i <= LOOK; i++) {
		if (s->needs[i] != 1)
			return false;
	}
	end = end < to ? end : to;
	/* what comes soon may need the gain to fall before */
	if (block_at(m, number + 1) && end > (number + 1) * BLOCK - LOOK * STEP)
		end = (number + 1) * BLOCK - LOOK * STEP;
	if (end <= s->pos)
		return false;
	if (b->is_sound || b->frames >= SILENCE_MAX)
		hand_out(b);
	b->is_sound = false;
	b->frames += (uint32_t)(end - s->pos);
	m->start = end;
	return true;
}

static void take_step(struct sound_mix *m, struct batch *b,
		      const struct steps *s, int64_t end)
{
	const uint32_t n = (uint32_t)(end - s->pos);
	int16_t pcm[STEP];
	const bool is_sound = limit_step(m, s, n, pcm);

	if (is_sound != b->is_sound || b->frames + n > OUT_MAX)
		hand_out(b);
	b->is_sound = is_sound;
	if (is_sound)
		memcpy(b->pcm + b->frames, pcm, n * sizeof(*pcm));
	b->frames += n;
	m->start = end;
	if (end % BLOCK == 0)
		drop_block(m, floor_div(s->pos, BLOCK));
}

/* Hand out what lies before `to`; sums up to `known` are whole. */
static void take(struct sound_mix *m, int64_t to, int64_t known,
		 sound_mix_fn *fn, void *arg)
{
	struct batch b = {.fn = fn, .arg = arg, .pos = m->start};
	struct steps s = {.pos = m->start, .to = known};

	look_first(m, &s);
	begin_gain(m, &s);
	while (m->start < to) {
		const int64_t end = step_end(&s, s.pos);

		if (skip_silence(m, &b, &s, to)) {
			s.pos = m->start;
			look_first(m, &s);
			continue;
		}
		take_step(m, &b, &s, end);
		s.pos = end;
		look_on(m, &s);
	}
	hand_out(&b);
}

void sound_mix_take(struct sound_mix *m, int64_t to, sound_mix_fn *fn,
		    void *arg)
{
	if (to <= m->pos)
		return;
	m->pos = to;
	/* whole steps, and LOOK of them behind what is handed out */
	to = (floor_div(to, STEP) - LOOK) * STEP;
	if (to > m->start)
		take(m, to, m->pos, fn, arg);
}

void sound_mix_finish(struct sound_mix *m, int64_t to, int64_t next,
		      sound_mix_fn *fn, void *arg)
{
	assert(next >= to);
	if (to > m->start)
		take(m, to, to, fn, arg);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (m->blocks[i])
			drop_block(m, i);
	}
	m->start = next;
	m->pos = next;
	m->is_fresh = true;
	m->gain = 1;
}
