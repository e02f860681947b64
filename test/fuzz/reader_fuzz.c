/** test/fuzz/reader_fuzz.c -- recorded files, as a server may send them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { COLUMNS = 40 };

struct picture {
	struct sound_wave wave;
	struct sound_column columns[COLUMNS];
	uint64_t at;
};

static void on_pcm(const int16_t *pcm, uint64_t frames, void *arg)
{
	struct picture *p = arg;

	assert(frames > 0);
	assert(!pcm || frames <= SOUND_PACKET_MAX);
	sound_wave_add(&p->wave, (int64_t)(p->at & INT64_MAX) - SOUND_RATE, pcm,
		       frames);
	p->at += frames;
}

/* Read it in pieces of this size; gives what the last call returned. */
static int read_all(struct picture *p, const uint8_t *data, size_t len,
		    size_t piece)
{
	struct sound_reader *r;
	int err;

	*p = (struct picture){
		.wave = {.frames = 10 * SOUND_RATE + 7, .n = COLUMNS}};
	p->wave.columns = p->columns;
	err = sound_reader_new(on_pcm, p, &r);
	if (err)
		return err;
	for (size_t at = 0; !err && at < len; at += piece)
		err = sound_reader_feed(r, data + at,
					len - at < piece ? len - at : piece);
	if (!err)
		err = sound_reader_end(r);
	assert(sound_reader_frames(r) == p->at);
	sound_reader_free(r);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct picture whole, pieces;
	size_t piece = len ? 1 + data[len - 1] % 97U : 1;
	int err = read_all(&whole, data, len, len ? len : 1);

	assert(read_all(&pieces, data, len, piece) == err);
	assert(whole.at == pieces.at);
	for (size_t i = 0; i < COLUMNS; i++) {
		assert(whole.columns[i].peak == pieces.columns[i].peak);
		assert(whole.columns[i].frames == pieces.columns[i].frames);
		assert(sound_column_rms(&whole.columns[i]) <= 1.0);
	}
	return 0;
}
