/** commands/microphone.c -- what a sender does with the sound it has. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/microphone.h"

#include <assert.h>
#include <math.h>

enum {
	MS_FRAMES = 48,
	MS_US = 1000,
	PPM = 1000000,
	/* us = frames / 48000 * 10^6 * 10^6 / (10^6 + ppm)
	 *    = frames * 62500000 / (3 * (10^6 + ppm)) */
	US_UP = 62500000,
	US_DOWN = 3
};

void mic_init(struct mic *m, const struct mic_config *config)
{
	*m = (struct mic){.config = config};
}

/* ---- its clock --------------------------------------------------------------- */

/** a * up / down without an overflow on the way. */
static uint64_t scale(uint64_t a, uint64_t up, uint64_t down)
{
	return a / down * up + a % down * up / down;
}

static uint64_t clock_of(int ppm)
{
	assert(ppm >= -MIC_DRIFT_MAX && ppm <= MIC_DRIFT_MAX);
	return (uint64_t)US_DOWN * (uint64_t)(PPM + ppm);
}

int64_t mic_us_of_frames(uint64_t frames, int ppm)
{
	return (int64_t)scale(frames, US_UP, clock_of(ppm));
}

uint64_t mic_frames_of_us(int64_t us, int ppm)
{
	assert(us >= 0);
	return scale((uint64_t)us, clock_of(ppm), US_UP);
}

/* ---- what is done -------------------------------------------------------------- */

bool mic_needs_level(const struct mic_config *config)
{
	return config->has_dtx;
}

unsigned mic_level(const int16_t *pcm, uint32_t frames)
{
	double sum = 0;
	double db;

	for (uint32_t i = 0; i < frames; i++)
		sum += (double)pcm[i] * pcm[i];
	if (sum <= 0)
		return MIC_LEVEL_NONE;
	db = -10 * log10(sum / frames / (32768.0 * 32768.0));
	if (db >= MIC_LEVEL_NONE)
		return MIC_LEVEL_NONE;
	return db > 0 ? (unsigned)lround(db) : 0;
}

static bool is_pause(struct mic *m, int64_t at_us, uint32_t frames,
		     unsigned level)
{
	const bool was_quiet =
		m->quiet >= (uint64_t)MIC_HANGOVER_MS * MS_FRAMES;

	m->quiet = level >= MIC_LEVEL_PAUSE ? m->quiet + frames : 0;
	return (m->config->has_dtx && was_quiet && m->quiet) ||
	       spans_find(&m->config->pauses, at_us);
}

enum mic_act mic_step(struct mic *m, int64_t at_us, uint32_t frames,
		      unsigned level)
{
	const bool pauses = is_pause(m, at_us, frames, level);
	const bool begins = pauses && !m->in_pause;

	m->in_pause = pauses;
	if (spans_find(&m->config->mutes, at_us))
		return MIC_SILENT;
	if (!pauses)
		return MIC_SEND;
	if (!begins && at_us - m->tiny_us < MIC_TINY_MS * MS_US)
		return MIC_SILENT;
	m->tiny_us = at_us;
	return MIC_TINY;
}

bool mic_changes(struct mic *m, int64_t at_us)
{
	size_t n = 0;

	for (size_t i = 0; i < m->config->n_changes; i++)
		n += m->config->change_us[i] <= at_us;
	if (n == m->n_changed)
		return false;
	m->n_changed = n;
	return true;
}
