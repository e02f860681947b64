/** sound/reader.c -- a recorded file, decoded as it comes in. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/reader.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { MAGIC_LEN = 4 };

struct sound_reader {
	struct sound_sink sink;
	uint8_t magic[MAGIC_LEN]; /* the first bytes, until it is known */
	size_t n_magic;
	struct mp3_reader *mp3; /* one of the two, when it is known */
	struct ogg_reader *ogg;
};

void sound_sink_put(struct sound_sink *sink, const int16_t *pcm,
		    uint64_t frames)
{
	if (!frames)
		return;
	sink->frames += frames;
	sink->fn(pcm, frames, sink->arg);
}

int sound_reader_new(sound_pcm_fn *fn, void *arg, struct sound_reader **out)
{
	struct sound_reader *r = mem_zalloc(sizeof(*r));

	if (!r)
		return ENOMEM;
	r->sink = (struct sound_sink){.fn = fn, .arg = arg};
	*out = r;
	return 0;
}

void sound_reader_free(struct sound_reader *r)
{
	if (!r)
		return;
	mp3_reader_free(r->mp3);
	ogg_reader_free(r->ogg);
	mem_free(r);
}

static int give(struct sound_reader *r, const uint8_t *data, size_t len)
{
	if (r->ogg)
		return ogg_reader_feed(r->ogg, data, len, &r->sink);
	return mp3_reader_feed(r->mp3, data, len, &r->sink);
}

int sound_reader_feed(struct sound_reader *r, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	size_t n = MAGIC_LEN - r->n_magic;
	int err;

	if (r->mp3 || r->ogg)
		return give(r, bytes, len);
	if (n > len)
		n = len;
	if (n) /* data may be NULL */
		memcpy(r->magic + r->n_magic, bytes, n);
	r->n_magic += n;
	if (r->n_magic < MAGIC_LEN)
		return 0;
	if (memcmp(r->magic, "OggS", MAGIC_LEN) == 0)
		err = ogg_reader_new(&r->ogg);
	else
		err = mp3_reader_new(&r->mp3);
	if (!err)
		err = give(r, r->magic, MAGIC_LEN);
	return err || len == n ? err : give(r, bytes + n, len - n);
}

int sound_reader_end(struct sound_reader *r)
{
	if (r->ogg)
		return ogg_reader_end(r->ogg);
	if (r->mp3)
		return mp3_reader_end(r->mp3);
	return r->n_magic ? EBADMSG : 0;
}

uint64_t sound_reader_frames(const struct sound_reader *r)
{
	return r->sink.frames;
}
