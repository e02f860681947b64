/** sound/wave.c -- sound as columns of levels. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define WAVE_FRAMES_MAX (UINT64_C(1) << 46) /* 46 years */
enum { WAVE_COLUMNS_MAX = 1 << 16 };

uint64_t sound_wave_begin(const struct sound_wave *w, size_t i)
{
	assert(w->n >= 1 && w->n <= WAVE_COLUMNS_MAX && i <= w->n);
	assert(w->frames >= 1 && w->frames <= WAVE_FRAMES_MAX);
	return w->frames * i / w->n;
}

size_t sound_wave_at(const struct sound_wave *w, int64_t pos)
{
	uint64_t at = pos < 0 ? 0 : (uint64_t)pos;
	size_t i;

	if (at >= w->frames)
		at = w->frames - 1;
	i = (size_t)(at * w->n / w->frames);
	/* begin() rounds down: the next one may begin here already */
	while (i + 1 < w->n && sound_wave_begin(w, i + 1) <= at)
		i++;
	return i;
}

static void add_pcm(struct sound_column *c, const int16_t *pcm, uint64_t frames)
{
	int64_t squares = 0; /* SOUND_PACKET_MAX * 2^30 fits */

	for (uint64_t i = 0; i < frames; i++) {
		const int level = abs(pcm[i]);

		if (level > c->peak)
			c->peak = (uint16_t)level;
		squares += (int64_t)level * level;
	}
	c->squares += (double)squares / (32768.0 * 32768.0);
}

void sound_wave_add(struct sound_wave *w, int64_t pos, const int16_t *pcm,
		    uint64_t frames)
{
	uint64_t at = (uint64_t)pos;

	if (pos < 0) { /* -INT64_MIN is fine in uint64_t */
		const uint64_t before = -(uint64_t)pos;

		if (frames <= before)
			return;
		frames -= before;
		pcm = pcm ? pcm + before : NULL;
		at = 0;
	}
	if (at >= w->frames)
		return;
	if (frames > w->frames - at)
		frames = w->frames - at;
	for (size_t i = sound_wave_at(w, (int64_t)at); frames > 0; i++) {
		struct sound_column *c = &w->columns[i];
		uint64_t n = sound_wave_begin(w, i + 1) - at;

		if (n > frames)
			n = frames;
		c->frames += n;
		if (pcm) {
			add_pcm(c, pcm, n);
			pcm += n;
		}
		at += n;
		frames -= n;
	}
}

double sound_column_rms(const struct sound_column *c)
{
	return c->frames ? sqrt(c->squares / (double)c->frames) : 0;
}
