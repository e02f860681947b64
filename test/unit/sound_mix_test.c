/** test/unit/sound_mix_test.c -- the sum of voices is the sum, and never wraps. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "oom.h"
#include "sound/sound.h"

enum { MS = SOUND_FRAMES_PER_MS, PACKET = 960, N = 2 * SOUND_RATE };

/* What came out, by position. */
struct tape {
	int64_t start, pos;
	int16_t pcm[N];
	uint64_t sound, silence;
};

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct tape *t = arg;

	assert_int_equal(c->pos, t->pos);
	assert_true(c->frames > 0);
	if (c->pcm) {
		assert_true(c->pos - t->start + c->frames <= N);
		memcpy(t->pcm + (c->pos - t->start), c->pcm,
		       c->frames * sizeof(*c->pcm));
		t->sound += c->frames;
	} else {
		t->silence += c->frames;
	}
	t->pos += c->frames;
}

static struct tape *tape_new(int64_t start)
{
	struct tape *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->start = start;
	t->pos = start;
	return t;
}

static void put(struct sound_mix *m, int64_t pos, const int16_t *pcm,
		uint32_t frames)
{
	struct sound_chunk c = {
		.kind = CHUNK_SOUND, .pos = pos, .frames = frames, .pcm = pcm};

	assert_int_equal(sound_mix_add(m, &c), 0);
}

static void fill_sine(int16_t *pcm, size_t n, double hz, double peak)
{
	for (size_t i = 0; i < n; i++)
		pcm[i] = (int16_t)lrint(
			peak * sin(2 * M_PI * hz * (double)i / SOUND_RATE));
}

static unsigned noise(unsigned *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8;
}

/* Voices put in by packets, out of step with each other; the sums before the
 * limiter, and what comes out while they fit, are the sums of the singles. */
static void mix_equals_the_sum_of_the_singles(void **state)
{
	enum { VOICES = 5, PACKETS = 40 };
	static int16_t pcm[VOICES][PACKETS * PACKET];
	static int32_t want[N], got[PACKET];
	const int64_t start = 1234567;
	struct tape *t = tape_new(start);
	struct sound_mix *m;
	unsigned seed = 1;

	(void)state;
	assert_int_equal(sound_mix_new(start, &m), 0);
	memset(want, 0, sizeof(want));
	for (int k = 0; k < PACKETS; k++) {
		for (int v = 0; v < VOICES; v++) {
			const int64_t at = k * PACKET + v * 211;
			int16_t *p = pcm[v] + (size_t)k * PACKET;

			for (int i = 0; i < PACKET; i++) {
				p[i] = (int16_t)(noise(&seed) % 12000 - 6000);
				want[at + i] += p[i];
			}
			put(m, start + at, p, PACKET);
		}
		sound_mix_sum(m, start + (int64_t)k * PACKET, PACKET, got);
		assert_memory_equal(got, want + (ptrdiff_t)k * PACKET,
				    sizeof(got));
		sound_mix_take(m, start + (k + 1) * PACKET, on_chunk, t);
	}
	sound_mix_finish(m, start + PACKETS * PACKET, start + PACKETS * PACKET,
			 on_chunk, t);
	assert_int_equal(t->pos, start + PACKETS * PACKET);
	for (int i = 0; i < PACKETS * PACKET; i++)
		assert_int_equal(t->pcm[i], want[i]);
	sound_mix_free(m);
	free(t);
}

/* The edges of 16 bits go through untouched. */
static void what_fits_is_not_touched(void **state)
{
	int16_t pcm[PACKET];
	struct tape *t = tape_new(0);
	struct sound_mix *m;

	(void)state;
	for (int i = 0; i < PACKET; i++)
		pcm[i] = i % 2 ? INT16_MIN : INT16_MAX;
	assert_int_equal(sound_mix_new(0, &m), 0);
	put(m, 0, pcm, PACKET);
	sound_mix_finish(m, PACKET, PACKET, on_chunk, t);
	assert_memory_equal(t->pcm, pcm, sizeof(pcm));
	sound_mix_free(m);
	free(t);
}

/* Two at full scale, in phase and then some: turned down, neither wrapped nor
 * clipped: the wave keeps its shape. */
static void full_scale_pair_does_not_wrap(void **state)
{
	static int16_t pcm[SOUND_RATE];
	struct tape *t = tape_new(0);
	struct sound_mix *m;
	double a = 0, b = 0, ab = 0;

	(void)state;
	fill_sine(pcm, SOUND_RATE, 440, 32767);
	assert_int_equal(sound_mix_new(0, &m), 0);
	put(m, 0, pcm, SOUND_RATE);
	put(m, 0, pcm, SOUND_RATE);
	sound_mix_finish(m, SOUND_RATE, SOUND_RATE, on_chunk, t);
	for (int i = 0; i < SOUND_RATE; i++) {
		/* never of the other sign: that would be a wrap */
		assert_true(t->pcm[i] * pcm[i] >= 0);
		a += (double)pcm[i] * pcm[i];
		b += (double)t->pcm[i] * t->pcm[i];
		ab += (double)pcm[i] * t->pcm[i];
	}
	/* the same shape, about as loud as one */
	assert_true(ab / sqrt(a * b) > 0.9995);
	assert_true(sqrt(b / a) > 0.9 && sqrt(b / a) <= 1.001);
	sound_mix_free(m);
	free(t);
}

/* A full-scale voice that comes and goes turns a quiet one down by what is
 * needed for both to fit, not by more; behind it all is as before. */
static void loud_voice_does_not_pump_a_quiet_one(void **state)
{
	static int16_t loud[SOUND_RATE / 5], quiet[N];
	struct tape *t = tape_new(0);
	struct sound_mix *m;

	(void)state;
	fill_sine(loud, SOUND_RATE / 5, 440, 32767);
	fill_sine(quiet, N, 1000, 1000);
	assert_int_equal(sound_mix_new(0, &m), 0);
	put(m, 0, quiet, N);
	for (int k = 0; k < 4; k++)
		put(m, SOUND_RATE / 5 * (2 * k + 1), loud, SOUND_RATE / 5);
	sound_mix_finish(m, N, N, on_chunk, t);
	for (int i = 0; i < N; i++) {
		const int at = i / (SOUND_RATE / 5);
		const int beside = i % (SOUND_RATE / 5);
		const bool is_loud = at % 2 && at < 8;
		int sum = quiet[i] + (is_loud ? loud[beside] : 0);

		/* 3 % are enough for both */
		assert_true(abs(t->pcm[i] - sum) <= abs(sum) * 4 / 100 + 1);
		/* 0.4 s later: to the last bit */
		if (i > SOUND_RATE / 5 * 8 + SOUND_RATE * 4 / 10)
			assert_int_equal(t->pcm[i], quiet[i]);
	}
	sound_mix_free(m);
	free(t);
}

/* Gain moves in a line: no step from one sample to the next. */
static void limiter_makes_no_click(void **state)
{
	static int16_t low[SOUND_RATE], burst[SOUND_RATE / 10];
	struct tape *t = tape_new(0);
	struct sound_mix *m;
	int worst = 0;

	(void)state;
	fill_sine(low, SOUND_RATE, 50, 30000);
	fill_sine(burst, SOUND_RATE / 10, 100, 32000);
	assert_int_equal(sound_mix_new(0, &m), 0);
	put(m, 0, low, SOUND_RATE);
	put(m, SOUND_RATE / 2, burst, SOUND_RATE / 10);
	sound_mix_finish(m, SOUND_RATE, SOUND_RATE, on_chunk, t);
	for (int i = 1; i < SOUND_RATE; i++) {
		int step = abs(t->pcm[i] - t->pcm[i - 1]);

		worst = step > worst ? step : worst;
	}
	/* the two waves alone: 30000*2pi*50/48000 + 32000*2pi*100/48000, and
	 * a fall of 0.2 in 48 frames of up to 62000 */
	assert_true(worst < 196 + 419 + 62000 / 5 / 48 + 2);
	sound_mix_free(m);
	free(t);
}

/* However it is taken out, the same comes out. */
static void steps_of_taking_do_not_matter(void **state)
{
	static int16_t pcm[3][N];
	struct tape *whole = tape_new(77);
	struct tape *parts = tape_new(77);
	struct sound_mix *m;
	unsigned seed = 7;

	(void)state;
	for (int v = 0; v < 3; v++)
		fill_sine(pcm[v], N, 300 + 170 * v, 25000);
	assert_int_equal(sound_mix_new(77, &m), 0);
	for (int v = 0; v < 3; v++)
		put(m, 77 + v * 9000, pcm[v], N - 40000);
	sound_mix_finish(m, 77 + N, 77 + N, on_chunk, whole);
	sound_mix_free(m);

	assert_int_equal(sound_mix_new(77, &m), 0);
	for (int v = 0; v < 3; v++)
		put(m, 77 + v * 9000, pcm[v], N - 40000);
	for (int64_t to = 77; to < 77 + N; to += noise(&seed) % 5000)
		sound_mix_take(m, to, on_chunk, parts);
	sound_mix_finish(m, 77 + N, 77 + N, on_chunk, parts);
	sound_mix_free(m);

	assert_int_equal(parts->pos, whole->pos);
	assert_memory_equal(parts->pcm, whole->pcm, sizeof(whole->pcm));
	free(whole);
	free(parts);
}

/* An hour in which nobody speaks takes neither memory nor time; what sounds in
 * it is in its place. */
static void silence_costs_nothing(void **state)
{
	int16_t pcm[PACKET];
	struct sound_mix *m;
	struct tape t = {0};
	const int64_t at = 3600LL * SOUND_RATE;
	int64_t allocs;

	(void)state;
	fill_sine(pcm, PACKET, 440, 1000);
	assert_int_equal(sound_mix_new(0, &m), 0);
	allocs = mem_live();
	sound_mix_take(m, at, on_chunk, &t);
	assert_int_equal(mem_live(), allocs);
	assert_int_equal(t.sound, 0);
	assert_int_equal(t.silence, at - 6L * MS);
	put(m, at, pcm, PACKET);
	t.start = t.pos;
	sound_mix_finish(m, at + PACKET, at + PACKET, on_chunk, &t);
	assert_memory_equal(t.pcm + 6 * MS, pcm, sizeof(pcm));
	sound_mix_free(m);
}

/* What comes too late, or from far ahead, is told and left out. */
static void what_is_out_of_reach_is_told(void **state)
{
	int16_t pcm[PACKET];
	struct sound_chunk c = {
		.kind = CHUNK_SOUND, .frames = PACKET, .pcm = pcm};
	struct sound_mix *m;
	struct tape *t = tape_new(0);

	(void)state;
	memset(pcm, 1, sizeof(pcm));
	assert_int_equal(sound_mix_new(0, &m), 0);
	sound_mix_take(m, 1000, on_chunk, t);
	assert_int_equal(sound_mix_pos(m), 1000);
	assert_int_equal(sound_mix_add(m, &c), PACKET); /* all */
	c.pos = 900;
	assert_int_equal(sound_mix_add(m, &c), 100);
	c.pos = sound_mix_pos(m) + SOUND_MIX_SPAN;
	assert_int_equal(sound_mix_add(m, &c), PACKET);
	c.pos = INT64_MAX / 2;
	assert_int_equal(sound_mix_add(m, &c), PACKET);
	c.pos = 5000;
	c.pcm = NULL;
	assert_int_equal(sound_mix_add(m, &c), 0); /* silence: nothing to do */
	sound_mix_free(m);
	free(t);
}

/* finish() jumps: the next begins as if new. */
static void goes_on_somewhere_else(void **state)
{
	int16_t pcm[PACKET];
	struct sound_mix *m;
	struct tape *t = tape_new(0);
	const int64_t next = 10LL * SOUND_RATE + 17;

	(void)state;
	for (int i = 0; i < PACKET; i++)
		pcm[i] = 30000;
	assert_int_equal(sound_mix_new(0, &m), 0);
	put(m, 0, pcm, PACKET);
	put(m, 0, pcm, PACKET); /* the limiter is at work */
	sound_mix_finish(m, 500, next, on_chunk, t);
	assert_int_equal(t->pos, 500);
	assert_int_equal(sound_mix_pos(m), next);
	t->start = next;
	t->pos = next;
	put(m, next, pcm, PACKET);
	sound_mix_finish(m, next + PACKET, next + PACKET, on_chunk, t);
	assert_memory_equal(t->pcm, pcm, sizeof(pcm));
	sound_mix_free(m);
	free(t);
}

static void mix_once(void)
{
	int16_t pcm[PACKET] = {1};
	struct tape *t = tape_new(0);
	struct sound_chunk c = {
		.kind = CHUNK_SOUND, .frames = PACKET, .pcm = pcm};
	struct sound_mix *m;

	if (sound_mix_new(0, &m) == 0) {
		(void)sound_mix_add(m, &c);
		sound_mix_finish(m, PACKET, PACKET, on_chunk, t);
		assert_int_equal(t->pos, PACKET);
		sound_mix_free(m);
	}
	free(t);
}

static void out_of_memory_loses_sound_only(void **state)
{
	(void)state;
	OOM_SWEEP(mix_once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mix_equals_the_sum_of_the_singles),
		cmocka_unit_test(what_fits_is_not_touched),
		cmocka_unit_test(full_scale_pair_does_not_wrap),
		cmocka_unit_test(loud_voice_does_not_pump_a_quiet_one),
		cmocka_unit_test(limiter_makes_no_click),
		cmocka_unit_test(steps_of_taking_do_not_matter),
		cmocka_unit_test(silence_costs_nothing),
		cmocka_unit_test(what_is_out_of_reach_is_told),
		cmocka_unit_test(goes_on_somewhere_else),
		cmocka_unit_test(out_of_memory_loses_sound_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
