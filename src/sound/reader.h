/** sound/reader.h -- what the files of the reader share; private to sound/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOUND_READER_H
#define SOUND_READER_H

#include "sound/sound.h"

/** Where decoded sound goes, and how much went. */
struct sound_sink {
	sound_pcm_fn *fn;
	void *arg;
	uint64_t frames;
};

/** Put out `frames` (0 is fine) of pcm, or of silence. */
void sound_sink_put(struct sound_sink *sink, const int16_t *pcm,
		    uint64_t frames);

/** One kind of file; returns as the functions of sound_reader. */
struct mp3_reader;
MUST_CHECK int mp3_reader_new(struct mp3_reader **out);
void mp3_reader_free(struct mp3_reader *r);
MUST_CHECK int mp3_reader_feed(struct mp3_reader *r, const uint8_t *data,
			       size_t len, struct sound_sink *sink);
MUST_CHECK int mp3_reader_end(struct mp3_reader *r);

struct ogg_reader;
MUST_CHECK int ogg_reader_new(struct ogg_reader **out);
void ogg_reader_free(struct ogg_reader *r);
MUST_CHECK int ogg_reader_feed(struct ogg_reader *r, const uint8_t *data,
			       size_t len, struct sound_sink *sink);
MUST_CHECK int ogg_reader_end(struct ogg_reader *r);

#endif
