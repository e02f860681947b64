/** test/unit/intake_input_test.c -- packets in, chunks out: their order, runs
 *  and turns, and when the mic is off. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "intake/ring.h"
#include "intake_rig.h"
#include "oom.h"

/* ---- order ------------------------------------------------------------------------- */

/** Of 2 s, every seventh packet is `late_us` late; the media loop works when
 *  it does.  Returns the rig for more questions. */
static struct rig *with_late_ones(int packet_us, int64_t late_us)
{
	struct rig *r = set_up();
	int64_t n = 2000000 / packet_us, late = late_us / packet_us;

	r->us = packet_us;
	for (int64_t i = 0; i < n + late; i++) {
		int64_t at_us = sent_us(r, i);

		if (i < n && (i % 7 != 6 || i == n - 1))
			put(r, i, at_us);
		if (i >= late && (i - late) % 7 == 6 && i - late != n - 1)
			put(r, i - late, at_us);
		if (at_us % 500000 == 0)
			input_advance(r->in, at_us);
	}
	input_advance(r->in, start_us + 3000000);
	assert_int_equal(r->ear.end,
			 pos_of(start_us) + n * packet_us / 1000.0 * MS);
	return r;
}

static void within_the_window_reordered_packets_are_put_back(void **state)
{
	static const int lens[] = {2500, 5000, 10000, 20000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (int64_t late_us = 20000; late_us < WINDOW_US;
		     late_us += 90000) {
			struct rig *r = with_late_ones(lens[i], late_us);
			struct input_stats st = stats_of(r);

			assert_int_equal(st.lost + st.late + st.bad, 0);
			assert_int_equal(st.frames_concealed, 0);
			assert_int_equal(r->ear.n, 1);
			assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND),
					 2000 * MS);
			tear_down(r);
		}
	}
}

static void behind_the_window_they_are_late_and_were_concealed(void **state)
{
	struct rig *r = with_late_ones(20000, 1200000);
	struct input_stats st = stats_of(r);

	(void)state;
	assert_int_equal(st.lost,
			 14); /* of 0..99, every seventh but the last */
	assert_int_equal(st.late, 14);
	assert_int_equal(st.bad + st.duplicate, 0);
	assert_int_equal(st.packets, 100);
	assert_int_equal(st.frames_concealed, 14 * 20 * MS);
	assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND), 86 * 20 * MS);
	tear_down(r);
}

static void doubled_packets_are_counted_and_not_heard(void **state)
{
	struct tally before = tally_now();
	struct rig *r = set_up();

	(void)state;
	for (int64_t i = 0; i < 100; i++) {
		put(r, i, sent_us(r, i));
		put(r, i, sent_us(r, i));
		if (i >= 60) /* 1.2 s ago: played long since */
			put(r, i - 60, sent_us(r, i));
		input_advance(r->in, sent_us(r, i));
	}
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).duplicate, 140);
	assert_int_equal(counter_get(COUNT_rtp_duplicate) -
				 before.n[COUNT_rtp_duplicate],
			 140);
	assert_int_equal(stats_of(r).late + stats_of(r).lost, 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

/* ---- runs -------------------------------------------------------------------------- */

static void numbers_that_leap_go_on_without_a_hole(void **state)
{
	struct rig *r = set_up();

	(void)state;
	talk(r, 0, 50);
	for (int64_t i = 0; i < 50; i++) /* another 40,000 numbers off */
		put(r, 40050 + i, sent_us(r, 50 + i));
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).bad + stats_of(r).lost, 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

static void a_single_wild_number_is_dropped_and_counted(void **state)
{
	struct tally before = tally_now();
	struct rig *r = set_up();

	(void)state;
	talk(r, 0, 50);
	put(r, 30000, sent_us(r, 50));
	put(r, 20000, sent_us(r, 50));
	assert_int_equal(stats_of(r).bad, 1);
	talk(r, 50, 100);
	assert_int_equal(stats_of(r).bad, 2);
	assert_int_equal(counter_get(COUNT_rtp_bad) - before.n[COUNT_rtp_bad],
			 2);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).lost, 0);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

static void a_wild_packet_of_an_hour_ago_begins_nothing(void **state)
{
	struct rig *r = set_up();
	int64_t later_us = start_us + INT64_C(3600) * 1000000;

	(void)state;
	talk(r, 0, 50);
	put(r, 30000, sent_us(r, 50));
	put(r, 30001, later_us); /* it would lead on */
	put(r, 30002, later_us + 20000);
	put(r, 30003, later_us + 40000);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_off, 1);
	assert_int_equal(r->ear.off_pos, pos_of(sent_us(r, 50)));
	assert_int_equal(r->ear.on_pos, pos_of(later_us));
	assert_int_equal(ear_sum(&r->ear, CHUNK_SILENCE), 0);
	tear_down(r);
}

static void stragglers_of_the_ssrc_before_are_late(void **state)
{
	struct rig *r = set_up();

	(void)state;
	talk(r, 0, 50);
	r->ssrc = 8;
	put(r, 20000, sent_us(r, 50));
	r->ssrc = 7;
	put(r, 50, sent_us(r, 50));
	put(r, 51, sent_us(r, 50) + 199999);
	assert_int_equal(stats_of(r).late, 2);
	assert_int_equal(stats_of(r).packets, 51);
	/* once the new one has been quiet for 200 ms, it is back */
	put(r, 60, sent_us(r, 60));
	assert_int_equal(stats_of(r).packets, 52);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 61)));
	assert_int_equal(stats_of(r).lost, 0);
	tear_down(r);
}

/* ---- turns ------------------------------------------------------------------------- */

static void a_packet_waits_its_window_and_no_longer(void **state)
{
	struct rig *r = set_up();

	(void)state;
	put(r, 0, start_us);
	input_advance(r->in, start_us + WINDOW_US - 1);
	assert_int_equal(r->ear.n, 0);
	assert_false(stats_of(r).mic_on);
	input_advance(r->in, start_us + WINDOW_US);
	assert_int_equal(r->ear.n, 1);
	assert_true(stats_of(r).mic_on);
	assert_int_equal(input_floor(r->in, start_us + WINDOW_US),
			 pos_of(start_us + 20000));
	tear_down(r);
}

static void when_it_is_worked_on_changes_nothing(void **state)
{
	static const int64_t steps_us[] = {10000, 137000, 500000, 1900000};
	struct ear *first = NULL;

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(steps_us); k++) {
		struct rig *r = set_up();
		int64_t work_us = start_us;

		for (int64_t i = 0; i < 1500; i++) {
			int64_t at_us = sent_us(r, i) + i * 7 % 5 * 1000;

			for (; work_us <= at_us; work_us += steps_us[k])
				input_advance(r->in, work_us);
			/* losses, pauses under DTX, and mic off */
			if (i % 31 == 3 || i % 400 > 370 ||
			    (i > 800 && i < 1000))
				continue;
			put(r, i, at_us);
		}
		input_advance(r->in, start_us + 60000000);
		assert_int_equal(r->ear.n_off, 2);
		if (!first) {
			first = malloc(sizeof(*first));
			assert_non_null(first);
			*first = r->ear;
		}
		assert_int_equal(r->ear.n, first->n);
		assert_memory_equal(r->ear.spans, first->spans,
				    first->n * sizeof(*first->spans));
		tear_down(r);
	}
	free(first);
}

static void a_flush_leaves_what_lies_behind_it(void **state)
{
	struct rig *r = set_up();

	(void)state;
	talk(r, 0, 10);
	input_flush(r->in, pos_of(sent_us(r, 5)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 5)));
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 10)));
	assert_int_equal(r->ear.n, 1);
	tear_down(r);
}

static void time_that_steps_back_stands_still(void **state)
{
	struct rig *r = set_up();

	(void)state;
	put(r, 0, start_us);
	put(r, 1, start_us - 5000000);
	assert_int_equal(stats_of(r).last_packet_us, start_us);
	assert_int_equal(stats_of(r).packets, 2);
	tear_down(r);
}

static void faster_than_real_time_is_bounded_and_counted(void **state)
{
	int64_t full = counter_get(COUNT_rtp_ring_full);
	int64_t live = mem_live();
	struct rig *r = set_up();

	(void)state;
	for (int64_t i = 0; i < 5000; i++) { /* 100 s of sound in 1 s */
		put(r, i, start_us + i * 200);
		assert_true(r->ear.end <= pos_of(start_us + i * 200) + 20 * MS);
		assert_true(mem_live() - live <= RING_PACKETS + 2);
	}
	full = counter_get(COUNT_rtp_ring_full) - full;
	assert_true(full > 4500 && full <= 5000 - RING_PACKETS);
	assert_int_equal(stats_of(r).packets, 5000);
	tear_down(r);
}

static void a_burst_after_a_stall_of_5_s_is_put_where_it_was_said(void **state)
{
	struct input_config config = plain;
	struct rig *r;

	(void)state;
	config.mic_off_us = 0;
	r = set_up_with(&config);
	talk(r, 0, 50);
	input_advance(r->in, sent_us(r, 300) - 1);
	for (int64_t i = 50; i < 300; i++) /* more than the ring holds */
		put(r, i, sent_us(r, 300));
	talk(r, 300, 400);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n, 1);
	/* a stall is no drift: 1 ms is more than it may seem to be one */
	assert_true(llabs(r->ear.end - pos_of(sent_us(r, 400))) < MS);
	assert_int_equal(stats_of(r).jumps + stats_of(r).late, 0);
	tear_down(r);
}

/* ---- mic --------------------------------------------------------------------------- */

static void silence_of_packets_is_mic_off_where_sound_ended(void **state)
{
	struct rig *r = set_up();
	int64_t last_us;

	(void)state;
	talk(r, 0, 50);
	last_us = sent_us(r, 49);
	input_advance(r->in, last_us + MIC_OFF_US);
	assert_true(r->ear.on);
	input_advance(r->in, last_us + MIC_OFF_US + 1);
	assert_false(r->ear.on);
	assert_false(stats_of(r).mic_on);
	assert_int_equal(r->ear.off_pos, pos_of(sent_us(r, 50)));
	input_advance(r->in, last_us + 10 * MIC_OFF_US);
	assert_int_equal(r->ear.n_off, 1);
	talk(r, 1000, 1001);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 2);
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, 1000)));
	assert_int_equal(ear_sum(&r->ear, CHUNK_SILENCE), 0);
	tear_down(r);
}

static void without_mic_off_a_pause_is_silence(void **state)
{
	struct input_config config = plain;
	struct rig *r;

	(void)state;
	config.mic_off_us = 0;
	r = set_up_with(&config);
	talk(r, 0, 50);
	input_advance(r->in, sent_us(r, 50 * 3600));
	talk(r, 50 * 3600, 50 * 3600 + 50);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_off, 0);
	assert_int_equal(r->ear.n_on, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 50 * 3600 + 50)));
	tear_down(r);
}

static void mic_off_by_the_api_ends_there_and_packets_are_ignored(void **state)
{
	struct rig *r = set_up();
	int64_t off = pos_of(sent_us(r, 45));
	int64_t live;

	(void)state;
	talk(r, 0, 50);
	input_set_mic(r->in, false, off);
	assert_int_equal(r->ear.n_off, 1);
	assert_int_equal(r->ear.off_pos, off);
	assert_int_equal(r->ear.end, off);
	input_set_mic(r->in, false, off + 1); /* it is off */
	live = mem_live();
	talk(r, 50, 500);
	input_advance(r->in, sent_us(r, 500));
	assert_int_equal(mem_live(), live);
	assert_int_equal(stats_of(r).packets, 500);
	assert_int_equal(r->ear.n_on, 1);
	assert_int_equal(r->ear.end, off);
	input_set_mic(r->in, true, pos_of(sent_us(r, 500)));
	input_set_mic(r->in, true, pos_of(sent_us(r, 500)) + 1);
	talk(r, 500, 550);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 2);
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, 500)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 550)));
	assert_int_equal(stats_of(r).lost, 0);
	tear_down(r);
}

/* ---- decoding ----------------------------------------------------------------- */

static void what_nobody_wants_decoded_is_laid_out_the_same(void **state)
{
	const int64_t decoded = counter_get(COUNT_frames_decoded);
	struct rig *r = set_up(), *other = set_up();

	(void)state;
	input_set_decode(r->in, false);
	r->ear.no_pcm = true;
	for (int64_t i = 0; i < 300; i++) {
		/* losses, a long one, and a pause */
		if (i % 31 == 3 || (i > 100 && i < 110))
			continue;
		put(r, i, sent_us(r, i) + (i > 200 ? 1000000 : 0));
	}
	input_flush(r->in, INT64_MAX);
	assert_int_equal(counter_get(COUNT_frames_decoded), decoded);
	for (int64_t i = 0; i < 300; i++) {
		if (i % 31 == 3 || (i > 100 && i < 110))
			continue;
		put(other, i, sent_us(r, i) + (i > 200 ? 1000000 : 0));
	}
	input_flush(other->in, INT64_MAX);
	assert_int_equal(r->ear.n, other->ear.n);
	assert_memory_equal(r->ear.spans, other->ear.spans,
			    r->ear.n * sizeof(*r->ear.spans));
	assert_true(counter_get(COUNT_frames_decoded) > decoded);
	tear_down(r);
	tear_down(other);
}

static void decoding_may_be_switched_at_any_time(void **state)
{
	struct rig *r = set_up();

	(void)state;
	for (int64_t i = 0; i < 200; i++) {
		put(r, i, sent_us(r, i));
		if (i % 50 != 25)
			continue;
		r->ear.no_pcm = !r->ear.no_pcm;
		input_set_decode(r->in, !r->ear.no_pcm);
		input_flush(r->in, INT64_MAX);
	}
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n, 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 200)));
	tear_down(r);
}

static void where_nothing_is_decoded_there_is_no_decoder(void **state)
{
	struct rig *r = set_up();
	int64_t live;

	(void)state;
	input_set_decode(r->in, false);
	r->ear.no_pcm = true;
	put(r, 0, sent_us(r, 0));
	live = mem_live();
	put(r, 1, sent_us(r, 1));
	assert_int_equal(mem_live(), live + 1); /* its place in the ring */
	input_set_decode(r->in, true);
	put(r, 2, sent_us(r, 2));
	assert_int_equal(mem_live(), live + 3);
	tear_down(r);
}

static void what_waits_when_decoding_begins_is_decoded(void **state)
{
	const int64_t decoded = counter_get(COUNT_frames_decoded);
	struct rig *r = set_up();

	(void)state;
	input_set_decode(r->in, false);
	talk(r, 0, 10);
	input_set_decode(r->in, true);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(counter_get(COUNT_frames_decoded), decoded + 9600);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 10)));
	tear_down(r);
}

static void without_memory_for_a_decoder_a_packet_is_silence(void **state)
{
	const int64_t missed = counter_get(COUNT_rtp_no_memory);
	struct rig *r = set_up();

	(void)state;
	input_set_decode(r->in, false);
	talk(r, 0, 10);
	input_set_decode(r->in, true);
	mem_fail_after(0);
	input_flush(r->in, INT64_MAX);
	mem_fail_after(-1);
	assert_int_equal(counter_get(COUNT_rtp_no_memory), missed + 1);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 10)));
	tear_down(r);
}

/* ---- memory ------------------------------------------------------------------------ */

static void a_run_that_is_under_way_allocates_nothing(void **state)
{
	struct rig *r = set_up();
	int64_t work_us = start_us;

	(void)state;
	for (int64_t i = 0; i < 1000; i++) {
		if (i == 100)
			mem_fail_after(0);
		put(r, i, sent_us(r, i));
		for (; work_us <= sent_us(r, i); work_us += 500000)
			input_advance(r->in, work_us);
	}
	assert_false(mem_fail_happened());
	mem_fail_after(-1);
	tear_down(r);
}

/** What a packet is counted as, when every allocation may fail. */
static void use_input(void)
{
	struct tally before = tally_now();
	struct rig *r = set_up_with(&plain);
	int64_t no_memory;

	if (!r->in) {
		tear_down(r);
		return;
	}
	for (int64_t i = 0; i < 60; i++) {
		put(r, i, sent_us(r, i));
		if (i % 10 == 3)
			put(r, 40000 + i, sent_us(r, i)); /* wild */
		if (i % 25 == 0)
			input_advance(r->in, sent_us(r, i));
	}
	input_advance(r->in, start_us + 10000000);
	no_memory = counter_get(COUNT_rtp_no_memory) -
		    before.n[COUNT_rtp_no_memory];
	/* for want of a slot the oldest packet goes early; only where there
	 * is none, the new one is lost */
	assert_true(no_memory <= mem_fail_happened());
	assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND) +
				 no_memory * r->us * MS / 1000,
			 60 * r->us * MS / 1000);
	assert_int_equal(counter_get(COUNT_rtp_ring_full),
			 before.n[COUNT_rtp_ring_full]);
	assert_int_equal(r->ear.n_off, 1);
	assert_int_equal(r->ear.off_pos, pos_of(sent_us(r, 60)));
	tear_down(r);
}

static void without_memory_a_packet_is_dropped_and_counted(void **state)
{
	(void)state;
	OOM_SWEEP(use_input);
}

static void an_input_is_counted_while_it_is_there(void **state)
{
	int64_t n = counter_get(COUNT_inputs);
	struct rig *r = set_up();

	(void)state;
	assert_int_equal(counter_get(COUNT_inputs), n + 1);
	tear_down(r);
	input_free(NULL);
	assert_int_equal(counter_get(COUNT_inputs), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			within_the_window_reordered_packets_are_put_back),
		cmocka_unit_test(
			behind_the_window_they_are_late_and_were_concealed),
		cmocka_unit_test(doubled_packets_are_counted_and_not_heard),
		cmocka_unit_test(numbers_that_leap_go_on_without_a_hole),
		cmocka_unit_test(a_single_wild_number_is_dropped_and_counted),
		cmocka_unit_test(a_wild_packet_of_an_hour_ago_begins_nothing),
		cmocka_unit_test(stragglers_of_the_ssrc_before_are_late),
		cmocka_unit_test(a_packet_waits_its_window_and_no_longer),
		cmocka_unit_test(when_it_is_worked_on_changes_nothing),
		cmocka_unit_test(a_flush_leaves_what_lies_behind_it),
		cmocka_unit_test(time_that_steps_back_stands_still),
		cmocka_unit_test(faster_than_real_time_is_bounded_and_counted),
		cmocka_unit_test(
			a_burst_after_a_stall_of_5_s_is_put_where_it_was_said),
		cmocka_unit_test(
			silence_of_packets_is_mic_off_where_sound_ended),
		cmocka_unit_test(without_mic_off_a_pause_is_silence),
		cmocka_unit_test(
			mic_off_by_the_api_ends_there_and_packets_are_ignored),
		cmocka_unit_test(
			what_nobody_wants_decoded_is_laid_out_the_same),
		cmocka_unit_test(decoding_may_be_switched_at_any_time),
		cmocka_unit_test(where_nothing_is_decoded_there_is_no_decoder),
		cmocka_unit_test(what_waits_when_decoding_begins_is_decoded),
		cmocka_unit_test(
			without_memory_for_a_decoder_a_packet_is_silence),
		cmocka_unit_test(a_run_that_is_under_way_allocates_nothing),
		cmocka_unit_test(
			without_memory_a_packet_is_dropped_and_counted),
		cmocka_unit_test(an_input_is_counted_while_it_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
