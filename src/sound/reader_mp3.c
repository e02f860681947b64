/**
 * sound/reader_mp3.c -- MP3 files to PCM with LAME's decoder.
 *
 * DESIGN
 *   Frames are found here, by wire/mp3.h, and given to LAME one at a time.
 *   What LAME answers does not count: each MP3 frame becomes as much sound as
 *   its header says, so that positions cannot drift.
 *
 *   LAME wants 194 bytes before it begins (it looks for a Xing header) and is
 *   late by a frame or more then.  So it is begun with frames of our own: the
 *   first header of the file, and zeros behind it, which is silence.  From
 *   there each frame comes out when it goes in.  A Xing header in the file is
 *   the silent frame that it looks like.
 *
 *   Most of a recording is silence, and its frames are all the same bytes
 *   (sound/mp3.c).  Once RUN_MIN equal frames in a row have come out as
 *   zeros, nothing older is in the decoder (it looks back over one frame, and
 *   at most 511 bytes into those before): the next equal one is silence too,
 *   and leaves the decoder as it is.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/reader.h"

#include <errno.h>
#include <lame/lame.h>
#include <string.h>

#include "base/mem.h"
#include "wire/mp3.h"

enum {
	PCM_MAX = 1152,	      /* samples of a frame, MPEG-1 */
	JUNK_MAX = 64 * 1024, /* bytes before the first frame: tags */
	LAME_CAP = 8192,      /* samples a channel; it gives PCM_MAX at most */
	PRIME_MAX = 4 * MP3_FRAME_MAX, /* bytes */
	RUN_MIN = 64 /* holds 511 bytes in the shortest frames, and more */
};

struct mp3_reader {
	hip_t hip;
	struct mp3_frame frame; /* the first one; .len 0: none yet */
	uint64_t samples;	/* of all frames so far, at the file's rate */
	size_t junk;		/* bytes skipped before the first one */

	uint8_t held[MP3_FRAME_MAX]; /* the frame that is coming in */
	size_t n_held;
	uint8_t last[MP3_FRAME_MAX]; /* the one before */
	size_t n_last;
	unsigned run; /* equal ones so far that were zeros */

	int16_t left[LAME_CAP], right[LAME_CAP];
	int16_t out[SOUND_PACKET_MAX];
};

/* LAME would write to stderr. */
static void be_quiet(const char *format, va_list ap)
{
	(void)format;
	(void)ap;
}

int mp3_reader_new(struct mp3_reader **out)
{
	struct mp3_reader *r = mem_zalloc(sizeof(*r));

	if (!r)
		return ENOMEM;
	r->hip = hip_decode_init();
	if (!r->hip) {
		mem_free(r);
		return ENOMEM;
	}
	hip_set_errorf(r->hip, be_quiet);
	hip_set_debugf(r->hip, be_quiet);
	hip_set_msgf(r->hip, be_quiet);
	*out = r;
	return 0;
}

void mp3_reader_free(struct mp3_reader *r)
{
	if (!r)
		return;
	hip_decode_exit(r->hip);
	mem_free(r);
}

/* Begin LAME: see the file head. */
static void prime(struct mp3_reader *r, const struct mp3_frame *f)
{
	uint8_t silent[MP3_FRAME_MAX] = {0};
	int n = 0;

	memcpy(silent, r->held, MP3_HEADER_LEN);
	for (size_t fed = 0; n == 0 && fed < PRIME_MAX; fed += f->len)
		n = hip_decode1(r->hip, silent, f->len, r->left, r->right);
	while (n > 0)
		n = hip_decode1(r->hip, silent, 0, r->left, r->right);
}

/* Decode the frame in `held` into r->left: exactly f->frames samples.  Returns
 * whether they are all zeros. */
static bool decode(struct mp3_reader *r, const struct mp3_frame *f)
{
	bool zeros = true;
	int n = hip_decode1(r->hip, r->held, r->n_held, r->left, r->right);
	size_t got = n < 0 ? 0 : (size_t)n;

	if (got > f->frames)
		got = f->frames;
	for (size_t i = 0; f->channels == 2 && i < got; i++)
		r->left[i] = (int16_t)((r->left[i] + r->right[i]) / 2);
	memset(r->left + got, 0, (f->frames - got) * sizeof(r->left[0]));
	for (size_t i = 0; i < got && zeros; i++)
		zeros = r->left[i] == 0;
	return zeros;
}

/* Where on the 48 kHz timeline `samples` of the file end. */
static uint64_t timeline(const struct mp3_frame *f, uint64_t samples)
{
	return samples * SOUND_RATE / f->sample_rate;
}

/* Put r->left (or silence) at its place. */
static void put(struct mp3_reader *r, const struct mp3_frame *f, bool silent,
		struct sound_sink *sink)
{
	const uint64_t from = timeline(f, r->samples);
	const uint64_t n = timeline(f, r->samples + f->frames) - from;

	if (!silent && f->sample_rate != SOUND_RATE) {
		for (uint64_t i = 0; i < n; i++)
			r->out[i] = r->left[i * f->sample_rate / SOUND_RATE];
	}
	r->samples += f->frames;
	if (silent)
		sound_sink_put(sink, NULL, n);
	else
		sound_sink_put(sink,
			       f->sample_rate == SOUND_RATE ? r->left : r->out,
			       n);
}

static void take_frame(struct mp3_reader *r, const struct mp3_frame *f,
		       struct sound_sink *sink)
{
	const bool equal = r->n_held == r->n_last &&
			   memcmp(r->held, r->last, r->n_held) == 0;

	if (!equal)
		r->run = 0;
	if (r->run < RUN_MIN) {
		const bool zeros = decode(r, f);

		r->run = zeros ? r->run + 1 : 0;
		put(r, f, zeros, sink);
	} else {
		put(r, f, true, sink);
	}
	memcpy(r->last, r->held, r->n_held);
	r->n_last = r->n_held;
	r->n_held = 0;
}

/* Is what is held the head of a frame of this file? */
static bool is_head(const struct mp3_reader *r, struct mp3_frame *f)
{
	return !mp3_parse_header(r->held, r->n_held, f) &&
	       (!r->frame.len || (f->sample_rate == r->frame.sample_rate &&
				  f->channels == r->frame.channels));
}

/* Leave the first byte out, and look for a frame behind it. */
static int skip_byte(struct mp3_reader *r)
{
	memmove(r->held, r->held + 1, --r->n_held);
	if (!r->frame.len && ++r->junk > JUNK_MAX)
		return EBADMSG;
	return 0;
}

int mp3_reader_feed(struct mp3_reader *r, const uint8_t *data, size_t len,
		    struct sound_sink *sink)
{
	struct mp3_frame f = {0};
	int err = 0;

	while (!err) {
		const bool headed =
			r->n_held >= MP3_HEADER_LEN && is_head(r, &f);
		const size_t want = headed ? f.len : MP3_HEADER_LEN;
		size_t n = want > r->n_held ? want - r->n_held : 0;

		if (n > len)
			n = len;
		if (n)
			memcpy(r->held + r->n_held, data, n);
		data += n;
		len -= n;
		r->n_held += n;
		if (r->n_held < want)
			return 0;
		if (headed) {
			if (!r->frame.len) {
				r->frame = f;
				prime(r, &f);
			}
			take_frame(r, &f, sink);
		} else if (!is_head(r, &f)) {
			err = skip_byte(r);
		}
	}
	return err;
}

int mp3_reader_end(struct mp3_reader *r)
{
	return r->frame.len ? 0 : EBADMSG;
}
