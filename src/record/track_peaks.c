/**
 * record/track_peaks.c -- how loud what a track takes is, for its segments.
 *
 * WHY   The waveform of a file costs nothing while its sound is at hand, and a
 *       decoding of the whole file later.
 * DESIGN
 *   - Sound is taken before it is known which segment it will be in: an
 *     encoder trails its input, and a cut waits for what comes behind it.  So
 *     levels go into cells of 10 ms of the media clock, and from there to a
 *     segment with the frames that it is given.
 *   - Cells are a ring of 5 s, more than an encoder ever holds back; what is
 *     older counts as silence.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/track.h"

/** The cell that a position of the media clock is in. */
static int64_t cell_of(int64_t pos)
{
	const int64_t cell = pos / SOUND_PEAK_FRAMES;

	return pos % SOUND_PEAK_FRAMES < 0 ? cell - 1 : cell;
}

static uint8_t *slot(struct track_peaks *p, int64_t cell)
{
	return &p->at[(uint64_t)cell % TRACK_PEAK_CELLS];
}

/** Empty the cells up to this one. */
static void advance(struct track_peaks *p, int64_t cell)
{
	if (!p->any || cell - p->newest > TRACK_PEAK_CELLS)
		p->newest = cell - TRACK_PEAK_CELLS;
	p->any = true;
	while (p->newest < cell)
		*slot(p, ++p->newest) = 0;
}

void track_peaks_note(struct track *t, int64_t pos, const int16_t *pcm,
		      uint64_t frames)
{
	struct track_peaks *p = &t->peaks;

	if (!frames)
		return;
	for (uint64_t at = 0; pcm && at < frames;) {
		const int64_t cell = cell_of(pos + (int64_t)at);
		const uint64_t left =
			(uint64_t)((cell + 1) * SOUND_PEAK_FRAMES - pos) - at;
		const uint64_t n = left < frames - at ? left : frames - at;
		const uint8_t level = sound_peak_level(pcm + at, n);

		advance(p, cell);
		if (p->newest - cell < TRACK_PEAK_CELLS &&
		    level > *slot(p, cell))
			*slot(p, cell) = level;
		at += n;
	}
	advance(p, cell_of(pos + (int64_t)frames - 1));
}

void track_peaks_give(struct track *t, int64_t pos, uint64_t frames)
{
	struct track_peaks *p = &t->peaks;

	while (frames) {
		const int64_t cell = cell_of(pos);
		const bool is_there = p->any && cell <= p->newest &&
				      p->newest - cell < TRACK_PEAK_CELLS;
		uint64_t n = (uint64_t)((cell + 1) * SOUND_PEAK_FRAMES - pos);

		n = n < frames ? n : frames;
		sound_peaks_add(&t->current->peaks,
				is_there ? *slot(p, cell) : 0, n);
		pos += (int64_t)n;
		frames -= n;
	}
}
