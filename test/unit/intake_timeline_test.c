/** test/unit/intake_timeline_test.c -- where packets lie on the media clock,
 *  rule by rule; what fills the places between. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/mem.h"
#include "tone.h"

enum { MS = 48, P = 960, /* frames of a packet */ CHUNKS_MAX = 4096 };

static const int64_t base = 48000000; /* arrival of packet 0 [frames] */

struct got {
	enum chunk_kind kind;
	int64_t pos;
	uint32_t frames;
};

struct rig {
	struct timeline t;
	struct ring ring;
	struct input_stats stats;
	struct input_events events;
	struct got got[CHUNKS_MAX];
	size_t n;
	int64_t on_pos, off_pos; /* -1: not told */
	int64_t end;
	int64_t ts; /* of packet 0 */
	uint32_t stream;
};

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct rig *r = arg;

	assert_true(r->n < CHUNKS_MAX);
	assert_int_equal(c->pos, r->end); /* gapless */
	assert_int_equal(c->kind == CHUNK_SILENCE, c->pcm == NULL);
	assert_int_equal(c->kind == CHUNK_SOUND, c->packet != NULL);
	r->end = c->pos + c->frames;
	r->got[r->n++] = (struct got){c->kind, c->pos, c->frames};
}

static void on_mic_on(int64_t pos, void *arg)
{
	struct rig *r = arg;

	r->on_pos = pos;
	r->end = pos;
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct rig *r = arg;

	assert_true(pos >= r->end);
	r->off_pos = pos;
}

static struct rig *set_up(void)
{
	struct rig *r = mem_zalloc(sizeof(*r));

	assert_non_null(r);
	r->events = (struct input_events){
		.chunk = on_chunk, .mic_on = on_mic_on, .mic_off = on_mic_off};
	r->on_pos = r->off_pos = -1;
	r->ts = 77777;
	r->stream = 1;
	ring_init(&r->ring);
	r->t.events = &r->events;
	r->t.arg = r;
	r->t.stats = &r->stats;
	assert_int_equal(sound_decoder_new(&r->t.decoder), 0);
	return r;
}

static void tear_down(struct rig *r)
{
	ring_fini(&r->ring);
	sound_decoder_free(r->t.decoder);
	mem_free(r);
}

/** Packet `seq`, with RTP time `ts_ms` and arrival `at_ms` [ms after packet
 *  0's]. */
static struct ring_packet *put(struct rig *r, int64_t seq, double ts_ms,
			       double at_ms)
{
	struct ring_packet *p = ring_take(&r->ring);

	assert_non_null(p);
	p->stream = r->stream;
	p->seq = seq;
	p->ts = r->ts + (int64_t)(ts_ms * MS);
	p->arrival = base + (int64_t)(at_ms * MS);
	p->arrival_us = p->arrival * 1000 / MS;
	p->frames = P;
	p->payload[0] = 0xf8; /* 20 ms of CELT, nothing in it */
	p->len = 1;
	ring_insert(&r->ring, p);
	return p;
}

/** Let the first packet have its turn; returns whether it was dealt with. */
static bool play(struct rig *r, enum timeline_why why)
{
	if (!timeline_play(&r->t, &r->ring, why, INT64_MAX))
		return false;
	ring_pop(&r->ring);
	return true;
}

static void play_all(struct rig *r)
{
	while (ring_first(&r->ring))
		assert_true(play(r, TIMELINE_OVERDUE));
}

/** Ten packets in time, played: the run is under way up to 200 ms. */
static struct rig *set_up_run(void)
{
	struct rig *r = set_up();

	for (int i = 0; i < 10; i++)
		put(r, i, i * 20, i * 20);
	play_all(r);
	assert_int_equal(r->end, base + 200 * MS);
	assert_int_equal(r->n, 10);
	r->n = 0;
	return r;
}

static void expect_chunk(const struct rig *r, size_t i, enum chunk_kind kind,
			 int64_t at_ms, int64_t ms)
{
	assert_true(i < r->n);
	assert_int_equal(r->got[i].kind, kind);
	assert_int_equal(r->got[i].pos - base, at_ms * MS);
	assert_int_equal(r->got[i].frames, ms * MS);
}

/* ---- rule 1: start -------------------------------------------------------- */

static void the_first_packet_lies_where_it_arrived(void **state)
{
	struct rig *r = set_up();

	(void)state;
	put(r, 0, 0, 0);
	assert_true(play(r, TIMELINE_DUE));
	assert_int_equal(r->on_pos, base);
	assert_int_equal(r->n, 1);
	expect_chunk(r, 0, CHUNK_SOUND, 0, 20);
	tear_down(r);
}

static void a_first_packet_that_was_held_up_lies_where_it_was_said(void **state)
{
	struct rig *r = set_up();

	(void)state;
	/* ten at once: the last of them came in time, at 180 ms */
	for (int i = 0; i < 10; i++)
		put(r, i, i * 20, 180);
	play_all(r);
	assert_int_equal(r->on_pos, base);
	assert_int_equal(r->end, base + 200 * MS);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

static void another_run_starts_where_it_arrives(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	r->stream = 2;
	r->ts = -5000000; /* its clock is another */
	put(r, 3, 0, 500);
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 300);
	expect_chunk(r, 1, CHUNK_SOUND, 500, 20);
	assert_int_equal(r->stats.lost, 0);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

/* ---- rule 2: run start ------------------------------------------------------ */

static void after_a_pause_the_offset_is_made_right(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	/* RTP time says 1000, arrival 1030: 30 ms are worth a change */
	put(r, 10, 1000, 1030);
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 830);
	expect_chunk(r, 1, CHUNK_SOUND, 1030, 20);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

static void after_a_pause_20_ms_are_not_worth_a_change(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 1000, 1020);
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 800);
	assert_int_equal(r->got[1].pos, base + 1000 * MS);
	tear_down(r);
}

/* ---- rules 3 and 4: jumps ----------------------------------------------------- */

static void jitter_of_120_ms_moves_nothing(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	for (int i = 10; i < 20; i++)
		put(r, i, i * 20, i * 20 + (i & 1 ? 120 : 0));
	play_all(r);
	assert_int_equal(r->end, base + 400 * MS);
	assert_int_equal(r->stats.jumps, 0);
	assert_int_equal(r->stats.frames_silence, 0);
	tear_down(r);
}

static void a_frozen_clock_jumps_when_200_ms_agree(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	for (int i = 10; i <= 19; i++) /* witness: 180 ms */
		put(r, i, i * 20, i * 20 + 300);
	assert_false(play(r, TIMELINE_DUE));
	assert_int_equal(r->n, 0);
	put(r, 20, 400, 700); /* 200 ms */
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 300);
	expect_chunk(r, 1, CHUNK_SOUND, 500, 20);
	assert_int_equal(r->stats.jumps, 1);
	assert_int_equal(r->stats.lost, 0);
	tear_down(r);
}

static void a_big_jump_needs_100_ms_of_witnesses(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	for (int i = 10; i <= 14; i++) /* 80 ms */
		put(r, i, i * 20, i * 20 + 6000);
	assert_false(play(r, TIMELINE_DUE));
	put(r, 15, 300, 6300);
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 6000);
	assert_int_equal(r->stats.jumps, 1);
	tear_down(r);
}

static void without_witnesses_a_big_one_jumps_when_overdue(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 200, 700);
	assert_false(play(r, TIMELINE_DUE));
	assert_true(play(r, TIMELINE_OVERDUE));
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 500);
	assert_int_equal(r->stats.jumps, 1);
	tear_down(r);
}

static void without_witnesses_a_small_one_is_jitter(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 200, 500);
	assert_false(play(r, TIMELINE_DUE));
	assert_true(play(r, TIMELINE_OVERDUE));
	expect_chunk(r, 0, CHUNK_SOUND, 200, 20);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

static void a_full_ring_never_jumps_without_witnesses(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 200, 5000);
	assert_true(play(r, TIMELINE_FULL));
	expect_chunk(r, 0, CHUNK_SOUND, 200, 20);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

/** `ts_ms` more on the clock, none in truth. */
static void leap(double ts_ms)
{
	struct rig *r = set_up_run();
	int64_t live;

	put(r, 10, 200 + ts_ms, 200);
	live = mem_live();
	assert_false(play(r, TIMELINE_DUE));
	for (int i = 11; i <= 20; i++)
		put(r, i, i * 20 + ts_ms, i * 20);
	play_all(r);
	assert_int_equal(r->end, base + 420 * MS);
	assert_int_equal(r->stats.frames_silence, 0);
	assert_int_equal(r->stats.late, 0);
	assert_int_equal(r->stats.jumps, 1);
	assert_true(mem_live() - live <= 10); /* the slots of the ring */
	tear_down(r);
}

static void a_clock_that_leaps_moves_nothing(void **state)
{
	(void)state;
	leap(500);
	leap(3600 * 1000);
	leap(2147483648.0 / MS);
	leap(-500);
	leap(-3600 * 1000);
	leap(-2147483648.0 / MS);
}

static void the_burst_after_a_stall_stays_in_place(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	for (int i = 10; i < 25; i++) /* all at once, 300 ms late at first */
		put(r, i, i * 20, 480);
	for (int i = 25; i < 30; i++)
		put(r, i, i * 20, i * 20);
	play_all(r);
	assert_int_equal(r->end, base + 600 * MS);
	assert_int_equal(r->stats.frames_silence, 0);
	assert_int_equal(r->stats.jumps, 0);
	tear_down(r);
}

/* ---- rule 5: nothing goes back ------------------------------------------------ */

static void what_ends_before_pos_is_late_and_dropped(void **state)
{
	int64_t late = counter_get(COUNT_rtp_late);
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 180, 200); /* packet 9 has filled that place */
	assert_true(play(r, TIMELINE_DUE));
	assert_int_equal(r->n, 0);
	assert_int_equal(r->stats.late, 1);
	assert_int_equal(counter_get(COUNT_rtp_late) - late, 1);
	put(r, 11, 200, 220); /* not lost: the late one was its neighbour */
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SOUND, 200, 20);
	assert_int_equal(r->stats.lost, 0);
	tear_down(r);
}

static void what_overlaps_moves_to_pos_and_the_offset_with_it(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 190, 200);
	put(r, 11, 210, 220);
	play_all(r);
	expect_chunk(r, 0, CHUNK_SOUND, 200, 20);
	expect_chunk(r, 1, CHUNK_SOUND, 220, 20);
	assert_int_equal(r->stats.late, 0);
	tear_down(r);
}

static void a_start_may_be_120_ms_early_and_no_more(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	r->stream = 2;
	put(r, 0, 0, 79); /* pos is 200 */
	assert_true(play(r, TIMELINE_DUE));
	assert_int_equal(r->stats.late, 1);
	assert_int_equal(r->n, 0);
	put(r, 1, 1, 80);
	assert_true(play(r, TIMELINE_DUE));
	expect_chunk(r, 0, CHUNK_SOUND, 200, 20);
	tear_down(r);
}

static void what_is_behind_the_limit_stays(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 200, 200);
	assert_false(timeline_play(&r->t, &r->ring, TIMELINE_OVERDUE,
				   base + 200 * MS));
	assert_int_equal(r->n, 0);
	assert_true(timeline_play(&r->t, &r->ring, TIMELINE_OVERDUE,
				  base + 200 * MS + 1));
	assert_int_equal(r->n, 1);
	tear_down(r);
}

/* ---- gaps ------------------------------------------------------------------- */

static void a_loss_is_concealed_and_counted(void **state)
{
	int64_t lost = counter_get(COUNT_rtp_lost);
	int64_t concealed = counter_get(COUNT_frames_concealed);
	struct rig *r = set_up_run();

	(void)state;
	put(r, 12, 240, 240);
	play_all(r);
	assert_int_equal(r->n, 2);
	expect_chunk(r, 0, CHUNK_CONCEALED, 200, 40);
	expect_chunk(r, 1, CHUNK_SOUND, 240, 20);
	assert_int_equal(r->stats.lost, 2);
	assert_int_equal(counter_get(COUNT_rtp_lost) - lost, 2);
	assert_int_equal(r->stats.frames_concealed, 40 * MS);
	assert_int_equal(counter_get(COUNT_frames_concealed) - concealed,
			 40 * MS);
	tear_down(r);
}

static void of_a_long_loss_100_ms_are_concealed(void **state)
{
	int64_t silence = counter_get(COUNT_frames_silence);
	struct rig *r = set_up_run();

	(void)state;
	put(r, 60, 1200, 1200);
	play_all(r);
	assert_int_equal(r->n, 3);
	expect_chunk(r, 0, CHUNK_CONCEALED, 200, 100);
	expect_chunk(r, 1, CHUNK_SILENCE, 300, 900);
	expect_chunk(r, 2, CHUNK_SOUND, 1200, 20);
	assert_int_equal(r->stats.lost, 50);
	assert_int_equal(r->stats.frames_silence, 900 * MS);
	assert_int_equal(counter_get(COUNT_frames_silence) - silence, 900 * MS);
	tear_down(r);
}

static void a_loss_in_a_pause_conceals_no_more_than_was_lost(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 11, 1200, 1200);
	play_all(r);
	expect_chunk(r, 0, CHUNK_CONCEALED, 200, 20);
	expect_chunk(r, 1, CHUNK_SILENCE, 220, 980);
	assert_int_equal(r->stats.lost, 1);
	tear_down(r);
}

static void a_pause_without_a_loss_is_silence(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	put(r, 10, 600, 600);
	play_all(r);
	assert_int_equal(r->n, 2);
	expect_chunk(r, 0, CHUNK_SILENCE, 200, 400);
	assert_int_equal(r->stats.lost, 0);
	assert_int_equal(r->stats.frames_concealed, 0);
	tear_down(r);
}

static void a_packet_that_does_not_decode_is_concealed_and_counted(void **state)
{
	int64_t bad = counter_get(COUNT_rtp_bad_opus);
	struct rig *r = set_up_run();
	struct ring_packet *p;

	(void)state;
	put(r, 10, 200, 200);
	p = ring_first(&r->ring);
	p->payload[0] = 0xfb; /* code 3, and no frame count behind it */
	play_all(r);
	expect_chunk(r, 0, CHUNK_CONCEALED, 200, 20);
	assert_int_equal(r->stats.bad, 1);
	assert_int_equal(counter_get(COUNT_rtp_bad_opus) - bad, 1);
	tear_down(r);
}

/* ---- mic off ----------------------------------------------------------------- */

static void the_mic_goes_off_at_pos_or_where_sound_ended(void **state)
{
	struct rig *r = set_up_run();

	(void)state;
	timeline_end(&r->t, base); /* sound went on to 200 ms */
	assert_int_equal(r->off_pos, base + 200 * MS);
	r->off_pos = -1;
	timeline_end(&r->t, base + 900 * MS); /* it is off: not told again */
	assert_int_equal(r->off_pos, -1);
	put(r, 10, 880, 880); /* 20 ms before that: moved */
	play_all(r);
	assert_int_equal(r->on_pos, base + 900 * MS);
	timeline_end(&r->t, base + 1000 * MS);
	assert_int_equal(r->off_pos, base + 1000 * MS);
	tear_down(r);
}

/* ---- bending ------------------------------------------------------------------ */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_packet_lies_where_it_arrived),
		cmocka_unit_test(
			a_first_packet_that_was_held_up_lies_where_it_was_said),
		cmocka_unit_test(another_run_starts_where_it_arrives),
		cmocka_unit_test(after_a_pause_the_offset_is_made_right),
		cmocka_unit_test(after_a_pause_20_ms_are_not_worth_a_change),
		cmocka_unit_test(jitter_of_120_ms_moves_nothing),
		cmocka_unit_test(a_frozen_clock_jumps_when_200_ms_agree),
		cmocka_unit_test(a_big_jump_needs_100_ms_of_witnesses),
		cmocka_unit_test(
			without_witnesses_a_big_one_jumps_when_overdue),
		cmocka_unit_test(without_witnesses_a_small_one_is_jitter),
		cmocka_unit_test(a_full_ring_never_jumps_without_witnesses),
		cmocka_unit_test(a_clock_that_leaps_moves_nothing),
		cmocka_unit_test(the_burst_after_a_stall_stays_in_place),
		cmocka_unit_test(what_ends_before_pos_is_late_and_dropped),
		cmocka_unit_test(
			what_overlaps_moves_to_pos_and_the_offset_with_it),
		cmocka_unit_test(a_start_may_be_120_ms_early_and_no_more),
		cmocka_unit_test(what_is_behind_the_limit_stays),
		cmocka_unit_test(a_loss_is_concealed_and_counted),
		cmocka_unit_test(of_a_long_loss_100_ms_are_concealed),
		cmocka_unit_test(
			a_loss_in_a_pause_conceals_no_more_than_was_lost),
		cmocka_unit_test(a_pause_without_a_loss_is_silence),
		cmocka_unit_test(
			a_packet_that_does_not_decode_is_concealed_and_counted),
		cmocka_unit_test(the_mic_goes_off_at_pos_or_where_sound_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
