/**
 * record/track_opus.c -- sound by position -> Opus packets -> Ogg.
 *
 * One encoder; each run begins it anew.  Its packets are late by `delay`
 * frames, which the first file's pre-skip takes off; at the end of a run it is
 * fed silence until they have all come out.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "record/track_ogg.h"

enum {
	BIT_S = 64000, /* unless told */
	BIT_S_MIN = 6000,
	BIT_S_MAX = 510000 /* as libopus takes */
};

struct track_opus {
	struct track_ogg ogg;
	uint32_t bit_s;
	struct sound_opus *opus; /* NULL until the first run */
	uint32_t n;		 /* frames in `block` */
	int16_t block[SOUND_OPUS_FRAME];
};

static struct track_opus *opus_of(struct track *base)
{
	return CONTAINER_OF(base, struct track_opus, ogg.base);
}

static int encode(struct track_opus *t)
{
	size_t len;
	const uint8_t *packet = sound_opus_encode(t->opus, t->block, &len);

	t->n = 0;
	return track_ogg_put(&t->ogg, packet, len, SOUND_OPUS_FRAME);
}

/** Take `n` frames into the block: PCM, or silence (NULL). */
static void take(struct track_opus *t, const int16_t *pcm, uint32_t n)
{
	if (pcm)
		memcpy(t->block + t->n, pcm, n * sizeof(*pcm));
	else
		memset(t->block + t->n, 0, n * sizeof(*t->block));
	t->n += n;
}

/** Feed PCM, or silence (NULL).  The first error is kept, the rest is fed
 *  all the same. */
static int feed(struct track *base, const int16_t *pcm, uint64_t frames)
{
	struct track_opus *t = opus_of(base);
	int first_err = 0;

	int64_t pos = base->in_pos;

	base->in_pos += (int64_t)frames;
	while (frames > 0) {
		const uint32_t room = SOUND_OPUS_FRAME - t->n;
		const uint32_t n = frames < room ? (uint32_t)frames : room;
		int err = 0;

		track_peaks_note(base, pos, pcm, n);
		pos += n;
		take(t, pcm, n);
		if (t->n == SOUND_OPUS_FRAME)
			err = encode(t);
		if (!first_err)
			first_err = err;
		pcm = pcm ? pcm + n : NULL;
		frames -= n;
	}
	return first_err;
}

static int opus_fill(struct track *base, int64_t pos)
{
	if (pos <= base->in_pos)
		return 0;
	return feed(base, NULL, (uint64_t)(pos - base->in_pos));
}

static int opus_begin(struct track *base, int64_t pos)
{
	struct track_opus *t = opus_of(base);
	int err = 0;

	if (t->opus)
		sound_opus_reset(t->opus);
	else
		err = sound_opus_new(t->bit_s, &t->opus);
	if (err)
		return err;
	t->n = 0;
	t->ogg.delay = sound_opus_delay(t->opus);
	return track_ogg_begin(&t->ogg, pos);
}

static int opus_write(struct track *base, const struct sound_chunk *chunk)
{
	return track_write_pcm(base, chunk, feed);
}

static int opus_end(struct track *base, int64_t pos)
{
	struct track_opus *t = opus_of(base);
	struct track_ogg *o = &t->ogg;
	const int64_t least = track_ogg_pos(o, o->begin) + RECORD_OGG_MIN;
	int err = opus_fill(base, pos < least ? least : pos);
	const uint64_t end = (uint64_t)(base->in_pos - o->run_pos) + o->delay;
	int end_err;

	while (o->recent.end < end) {
		take(t, NULL, SOUND_OPUS_FRAME - t->n);
		end_err = encode(t);
		err = err ? err : end_err;
	}
	end_err = track_ogg_end(o, end);
	return err ? err : end_err;
}

static void opus_fini(struct track *base)
{
	struct track_opus *t = opus_of(base);

	sound_opus_free(t->opus);
	track_ogg_fini(&t->ogg);
}

static const struct track_ops opus_ops = {.begin = opus_begin,
					  .write = opus_write,
					  .fill = opus_fill,
					  .end = opus_end,
					  .flush = track_ogg_flush,
					  .fini = opus_fini};

int track_opus_new(const struct track_config *config, struct track **out)
{
	const uint32_t bit_s = config->opus_bit_s ? config->opus_bit_s : BIT_S;
	struct track_opus *t;

	if (bit_s < BIT_S_MIN || bit_s > BIT_S_MAX)
		return EINVAL;
	t = mem_zalloc(sizeof(*t));
	if (!t)
		return ENOMEM;
	t->ogg.base.ops = &opus_ops;
	t->ogg.cuts_packets = true;
	t->bit_s = bit_s;
	track_ogg_init(&t->ogg, config);
	*out = &t->ogg.base;
	return 0;
}
