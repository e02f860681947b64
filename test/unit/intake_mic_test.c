/** test/unit/intake_mic_test.c -- when the mic is off: by level, by packets, by
 *  the API; as a split and as silence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "intake_rig.h"

enum {
	LEVEL_EXT = 3,
	RED_PT = 110,
	OPUS_PT = 111,
	LOUD = 20, /* -dBov */
	QUIET = 127,
	NO_LEVEL = -1,
	TALK = 100, /* packets: 2 s */
	PAUSE = 300 /* 6 s */
};

static struct rig *set_up_mic(bool split, uint8_t level_ext)
{
	struct input_config config = plain;
	struct rig *r;

	config.mic_off_us = split ? MIC_OFF_US : 0;
	config.audio_level_ext = level_ext;
	config.opus_pt = OPUS_PT;
	config.red_pt = RED_PT;
	r = set_up_with(&config);
	assert_non_null(r->in);
	return r;
}

/** Number `seq` with the time of packet `i` comes when that is sent.
 *  level: -dBov, NO_LEVEL: no extension; older: a copy of the one before */
static void put_level(struct rig *r, int64_t seq, int64_t i, int level,
		      bool older)
{
	static const uint8_t quiet_20ms = 31 << 3;
	const struct rtp_packet p = {.pt = older ? RED_PT : OPUS_PT,
				     .ssrc = r->ssrc,
				     .seq = (uint16_t)seq,
				     .ts = (uint32_t)(i * 20 * MS)};
	const uint8_t ext[] = {
		0xbe, 0xde, 0, 1, LEVEL_EXT << 4, (uint8_t)(0x80 | level),
		0,    0};
	const uint8_t red[] = {0x80 | OPUS_PT, 960 >> 6,  0, 1,
			       OPUS_PT,	       quiet_20ms};
	uint8_t bytes[RTP_HEADER_LEN + sizeof(ext) + sizeof(red) + 1];
	size_t n = RTP_HEADER_LEN;

	rtp_write_header(&p, bytes);
	if (level != NO_LEVEL) {
		bytes[0] |= 0x10;
		memcpy(bytes + n, ext, sizeof(ext));
		n += sizeof(ext);
	}
	if (older) {
		memcpy(bytes + n, red, sizeof(red));
		n += sizeof(red);
	}
	bytes[n++] = quiet_20ms;
	input_packet(r->in, bytes, n, &r->from, sent_us(r, i));
	input_advance(r->in, sent_us(r, i));
}

static void say(struct rig *r, int64_t from, int64_t to, int level)
{
	for (int64_t i = from; i < to; i++)
		put_level(r, i, i, level, false);
}

/* ---- 2 s of talk, 6 s without, 2 s of talk --------------------------------------- */

/** Two stretches of sound, and nothing in between. */
static void expect_split(struct rig *r)
{
	const struct input_stats st = stats_of(r);

	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 2);
	assert_int_equal(r->ear.n_off, 1);
	assert_int_equal(r->ear.off_pos, pos_of(sent_us(r, TALK)));
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, TALK + PAUSE)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 2 * TALK + PAUSE)));
	assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND), 2 * TALK * 20 * MS);
	assert_int_equal(ear_sum(&r->ear, CHUNK_SILENCE), 0);
	assert_int_equal(st.lost + st.bad + st.late, 0);
	tear_down(r);
}

/** One stretch of the right length. */
static void expect_one(struct rig *r, int64_t sound)
{
	const struct input_stats st = stats_of(r);

	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.n_on, 1);
	assert_int_equal(r->ear.n_off, 0);
	assert_int_equal(r->ear.on_pos, pos_of(start_us));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 2 * TALK + PAUSE)));
	assert_int_equal(ear_sum(&r->ear, CHUNK_SOUND), sound * 20 * MS);
	assert_int_equal(ear_sum(&r->ear, CHUNK_SILENCE),
			 (2 * TALK + PAUSE - sound) * 20 * MS);
	assert_int_equal(st.lost + st.bad + st.late, 0);
	tear_down(r);
}

static struct rig *off_by_level(bool split)
{
	struct rig *r = set_up_mic(split, LEVEL_EXT);

	say(r, 0, TALK, LOUD);
	say(r, TALK, TALK + PAUSE, QUIET);
	assert_int_equal(stats_of(r).mic_on, !split);
	say(r, TALK + PAUSE, 2 * TALK + PAUSE, LOUD);
	return r;
}

static void off_by_level_splits(void **state)
{
	(void)state;
	expect_split(off_by_level(true));
}

static void off_by_level_is_silence(void **state)
{
	(void)state;
	/* what came is played: nobody asks whether the mic was off */
	expect_one(off_by_level(false), 2 * TALK + PAUSE);
}

static struct rig *off_by_packets(bool split)
{
	struct rig *r = set_up_mic(split, LEVEL_EXT);

	say(r, 0, TALK, LOUD);
	input_advance(r->in, sent_us(r, TALK + PAUSE));
	assert_int_equal(stats_of(r).mic_on, !split);
	/* the clock was frozen: neither numbers nor times went on */
	for (int64_t i = TALK; i < 2 * TALK; i++)
		put(r, i, sent_us(r, i + PAUSE));
	return r;
}

static void off_by_packets_splits(void **state)
{
	(void)state;
	expect_split(off_by_packets(true));
}

static void off_by_packets_is_silence(void **state)
{
	(void)state;
	expect_one(off_by_packets(false), 2 * TALK);
}

static struct rig *off_by_api(bool split)
{
	struct rig *r = set_up_mic(split, LEVEL_EXT);

	say(r, 0, TALK, LOUD);
	input_set_mic(r->in, false, pos_of(sent_us(r, TALK)));
	assert_false(stats_of(r).mic_on);
	say(r, TALK, TALK + PAUSE, LOUD);
	input_set_mic(r->in, true, pos_of(sent_us(r, TALK + PAUSE)));
	say(r, TALK + PAUSE, 2 * TALK + PAUSE, LOUD);
	return r;
}

static void off_by_api_ends_and_begins_there_in_both_modes(void **state)
{
	(void)state;
	expect_split(off_by_api(true));
	/* whether that is a split or silence is the owner's to say */
	expect_split(off_by_api(false));
}

/* ---- what is no mic off ----------------------------------------------------------- */

/** A packet each 400 ms, as DTX sends them; 6 s. */
static void dtx(bool split, int level)
{
	struct rig *r = set_up_mic(split, LEVEL_EXT);
	const int64_t comfort = PAUSE / 20;
	int64_t seq = 0;

	for (int64_t i = 0; i < 2 * TALK + PAUSE; i++)
		if (i < TALK || i >= TALK + PAUSE || i % 20 == 19)
			put_level(r, seq++, i, level, false);
	expect_one(r, 2 * TALK + comfort);
}

static void a_pause_under_dtx_splits_nothing(void **state)
{
	(void)state;
	for (int split = 0; split < 2; split++) {
		dtx(split, NO_LEVEL);
		dtx(split, LOUD);
		dtx(split, QUIET - 1);
	}
}

static void a_pause_under_dtx_at_level_127_is_mic_off(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);
	int64_t seq = 0;

	(void)state;
	for (int64_t i = 0; i < 2 * TALK + PAUSE; i++) {
		const bool talks = i < TALK || i >= TALK + PAUSE;

		if (talks || i % 20 == 19)
			put_level(r, seq++, i, talks ? LOUD : QUIET, false);
	}
	expect_split(r);
}

static void a_short_time_at_level_127_is_silence(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);

	(void)state;
	say(r, 0, TALK, LOUD);
	say(r, TALK, TALK + 99, QUIET); /* 2 s from packet to packet */
	say(r, TALK + 99, 2 * TALK + PAUSE, LOUD);
	expect_one(r, 2 * TALK + PAUSE - 99);
}

static void level_127_means_nothing_where_no_level_is_sent(void **state)
{
	struct rig *r;

	(void)state;
	r = set_up_mic(true, 0);
	say(r, 0, 2 * TALK + PAUSE, QUIET);
	assert_int_equal(stats_of(r).level_dbfs, LEVEL_NONE);
	expect_one(r, 2 * TALK + PAUSE);
	r = set_up_mic(true, LEVEL_EXT + 1); /* another extension's id */
	say(r, 0, 2 * TALK + PAUSE, QUIET);
	expect_one(r, 2 * TALK + PAUSE);
}

/* ---- at the edges ------------------------------------------------------------------ */

static void who_joins_without_sound_has_the_mic_off(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);

	(void)state;
	say(r, 0, PAUSE, QUIET);
	assert_int_equal(r->ear.n_on, 0);
	assert_int_equal(stats_of(r).packets, PAUSE);
	say(r, PAUSE, PAUSE + 10, LOUD);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(r->ear.on_pos, pos_of(sent_us(r, PAUSE)));
	assert_int_equal(r->ear.end, pos_of(sent_us(r, PAUSE + 10)));
	assert_int_equal(stats_of(r).lost, 0);
	tear_down(r);
}

static void packets_without_sound_keep_the_sender(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);
	struct addr me = r->from, other;

	(void)state;
	say(r, 0, TALK, LOUD);
	say(r, TALK, TALK + PAUSE, QUIET);
	assert_int_equal(addr_parse("192.0.2.8:5004", &other), 0);
	r->from = other;
	say(r, TALK + PAUSE, TALK + PAUSE + 1, LOUD);
	assert_int_equal(stats_of(r).stranger, 1);
	assert_true(is_sender(r, &me));
	tear_down(r);
}

static void the_level_of_the_last_packet_is_told(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);

	(void)state;
	assert_int_equal(stats_of(r).level_dbfs, LEVEL_NONE);
	for (int level = 0; level <= QUIET; level++) {
		put_level(r, level, level, level, false);
		assert_int_equal(stats_of(r).level_dbfs, -level);
	}
	put_level(r, 128, 128, NO_LEVEL, false);
	assert_int_equal(stats_of(r).level_dbfs, LEVEL_NONE);
	tear_down(r);
}

static void losses_in_a_pause_are_not_made_up(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);

	(void)state;
	say(r, 0, 50, LOUD);
	say(r, 50, 60, QUIET);
	say(r, 61, 70, QUIET); /* one is lost in it, and its last one */
	say(r, 71, 100, LOUD);
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).lost, 2);
	assert_int_equal(stats_of(r).frames_concealed, 0);
	assert_int_equal(stats_of(r).frames_silence, 21 * 20 * MS);
	assert_int_equal(r->ear.end, pos_of(sent_us(r, 100)));
	tear_down(r);
}

static void what_red_brings_in_a_pause_does_not_end_it(void **state)
{
	struct rig *r = set_up_mic(true, LEVEL_EXT);

	(void)state;
	for (int64_t i = 0; i < 2 * TALK + PAUSE; i++) {
		const bool talks = i < TALK || i >= TALK + PAUSE;

		/* lost: in sound, the last one of it, and in the pause */
		if (i % 20 != 10 && i != TALK - 1)
			put_level(r, i, i, talks ? LOUD : QUIET, i > 0);
	}
	input_flush(r->in, INT64_MAX);
	assert_int_equal(stats_of(r).recovered_red,
			 (2 * TALK + PAUSE) / 20 + 1);
	expect_split(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_by_level_splits),
		cmocka_unit_test(off_by_level_is_silence),
		cmocka_unit_test(off_by_packets_splits),
		cmocka_unit_test(off_by_packets_is_silence),
		cmocka_unit_test(
			off_by_api_ends_and_begins_there_in_both_modes),
		cmocka_unit_test(a_pause_under_dtx_splits_nothing),
		cmocka_unit_test(a_pause_under_dtx_at_level_127_is_mic_off),
		cmocka_unit_test(a_short_time_at_level_127_is_silence),
		cmocka_unit_test(
			level_127_means_nothing_where_no_level_is_sent),
		cmocka_unit_test(who_joins_without_sound_has_the_mic_off),
		cmocka_unit_test(packets_without_sound_keep_the_sender),
		cmocka_unit_test(the_level_of_the_last_packet_is_told),
		cmocka_unit_test(losses_in_a_pause_are_not_made_up),
		cmocka_unit_test(what_red_brings_in_a_pause_does_not_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
