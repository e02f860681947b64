/**
 * test/unit/intake_trace_test.c -- packets with their arrival times, replayed
 * through the real input and track: is the file what was said, when it was
 * said?
 *
 * Time is injected: a trace of an hour takes a second.  The MP3 is decoded by
 * LAME's own decoder (mpglib).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lame/lame.h>

#include "base/counters.h"
#include "base/mem.h"
#include "intake/intake.h"
#include "oom.h"
#include "record/record.h"
#include "tone.h"
#include "wire/rtp.h"
#include "wire/sig.h"

enum {
	F = 1152, /* 48 kHz frames of an MP3 frame */
	LEN = 192,
	MS = 48,
	PACKET = 960, /* 20 ms */
	FILES_MAX = 64,
	OUT_MAX = 64 << 20,
	WINDOW_US = 400000,
	MIC_OFF_US = 2000000,
	WORK_US = 500000
};

static const int64_t start_us = 5000000000;

/** A packet of 20 ms of silence. */
static const uint8_t silent_opus[3] = {0xf8, 0xff, 0xfe};

struct file {
	struct segment *s;
	int64_t start_pos;
	uint64_t frames;
	bool ended;
	struct buf bytes;
};

/** A sender's clock, the network's, and what was recorded of it. */
struct rig {
	struct input *input;
	struct track *track;
	struct file files[FILES_MAX];
	size_t n;
	int64_t next_work_us;
	int64_t end_pos; /* of the last chunk */
	bool records;	 /* chunks go onto the track */
	struct addr from;
	/* the sender */
	struct tone tone;
	uint8_t pt;
	uint16_t seq;
	uint32_t ts, ssrc;
	double ts_per_frame; /* 1, or drift */
	double ts_exact;
};

/* ---- what comes out ---------------------------------------------------------- */

static void on_begun(struct segment *s, void *arg)
{
	struct rig *r = arg;

	assert_true(r->n < FILES_MAX);
	r->files[r->n] = (struct file){.s = s, .start_pos = s->start_pos};
	buf_init(&r->files[r->n].bytes, OUT_MAX);
	r->n++;
}

/** Take what waits for a file. */
static void drain(struct file *f)
{
	buf_append(&f->bytes, f->s->bytes.data, f->s->bytes.len);
	assert_int_equal(buf_err(&f->bytes), 0);
	assert_int_equal(f->s->gap, 0);
	buf_clear(&f->s->bytes);
}

static void on_ended(struct segment *s, void *arg)
{
	struct rig *r = arg;
	struct file *f = NULL;

	for (size_t i = 0; i < r->n && !f; i++)
		f = r->files[i].s == s ? &r->files[i] : NULL;
	if (!f) {
		fail();
		return;
	}
	drain(f);
	f->frames = s->frames;
	f->ended = true;
	f->s = NULL;
	segment_detach(s);
	segment_free(s);
	assert_int_equal(f->bytes.len / LEN * F, f->frames);
}

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct rig *r = arg;

	r->end_pos = c->pos + c->frames;
	if (r->records)
		assert_int_equal(track_write(r->track, c), 0);
}

static void on_mic_on(int64_t pos, void *arg)
{
	(void)pos;
	(void)arg;
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct rig *r = arg;

	assert_int_equal(track_end_segment(r->track, pos), 0);
}

/* ---- the rig ------------------------------------------------------------------- */

static int make(struct rig *r, int64_t segment_ms, int channels, int frames)
{
	static const struct input_events events = {
		.chunk = on_chunk, .mic_on = on_mic_on, .mic_off = on_mic_off};
	static const struct track_events track_events = {.begun = on_begun,
							 .ended = on_ended};
	struct input_config in = {.window_us = WINDOW_US,
				  .mic_off_us = MIC_OFF_US,
				  .takeover_us = 3000000};
	struct track_config config = {
		.mp3 = {.sample_rate = 48000, .bit_s = 64000},
		.segment_frames = (uint64_t)segment_ms * MS,
		.max_waiting = 1 << 20};
	int err;

	*r = (struct rig){.next_work_us = start_us + WORK_US,
			  .records = true,
			  .pt = 111,
			  .seq = 65500, /* wraps soon */
			  .ts_exact = 4294900000.0,
			  .ssrc = 0xabcd,
			  .ts_per_frame = 1};
	assert_int_equal(addr_parse("192.0.2.7:5004", &r->from), 0);
	err = input_new(&in, &events, r, &r->input);
	if (!err)
		err = track_new(&config, &track_events, r, &r->track);
	if (!err)
		tone_init(&r->tone, channels, frames, 440);
	return err;
}

static void set_up(struct rig *r, int64_t segment_ms)
{
	assert_int_equal(make(r, segment_ms, 1, PACKET), 0);
}

/** Let the media loop's work be done up to now. */
static void work_to(struct rig *r, int64_t now_us)
{
	while (r->next_work_us <= now_us) {
		input_advance(r->input, r->next_work_us);
		for (size_t i = 0; i < r->n; i++) {
			if (r->files[i].s)
				drain(&r->files[i]);
		}
		r->next_work_us += WORK_US;
	}
}

static void stop(struct rig *r, int64_t now_us)
{
	int64_t pos = sound_pos_of_us(now_us);

	work_to(r, now_us);
	input_flush(r->input, pos);
	assert_int_equal(track_end_segment(r->track, pos), 0);
}

static void tear_down(struct rig *r)
{
	for (size_t i = 0; i < r->n; i++)
		buf_fini(&r->files[i].bytes);
	input_free(r->input);
	track_free(r->track);
	if (r->tone.opus)
		tone_fini(&r->tone);
}

enum how { SENT, LOST, TWICE };

/** The sender's next packet; returns its length. */
static size_t make_packet(struct rig *r, uint8_t *bytes)
{
	struct rtp_packet p = {.pt = r->pt, .seq = r->seq++, .ssrc = r->ssrc};
	size_t len = tone_next(&r->tone, bytes + RTP_HEADER_LEN);

	p.ts = (uint32_t)fmod(r->ts_exact, 4294967296.0);
	r->ts_exact += r->tone.frames * r->ts_per_frame;
	rtp_write_header(&p, bytes);
	return RTP_HEADER_LEN + len;
}

/** It comes at `at_us`, or not, or twice. */
static void packet(struct rig *r, int64_t at_us, enum how how)
{
	uint8_t bytes[RTP_HEADER_LEN + 1275];
	size_t len = make_packet(r, bytes);

	work_to(r, at_us);
	for (int i = 0; i < (how == LOST ? 0 : how == TWICE ? 2 : 1); i++)
		input_packet(r->input, bytes, len, &r->from, at_us);
}

/** Talk from `from_us` for `ms`, a packet a `tone.frames`; the end. */
static int64_t talk(struct rig *r, int64_t from_us, int64_t ms)
{
	int64_t step_us = (int64_t)r->tone.frames * 1000 / MS;
	int64_t n = ms * 1000 / step_us;

	for (int64_t i = 0; i < n; i++)
		packet(r, from_us + i * step_us, SENT);
	return from_us + n * step_us;
}

/** Let the sender's clock go on without packets (DTX). */
static void pause_clock(struct rig *r, int64_t ms)
{
	r->ts_exact += (double)(ms * MS);
	r->tone.at += ms * MS;
}

/* ---- listening --------------------------------------------------------------------- */

struct heard {
	int16_t *pcm; /* n */
	size_t n;
};

static struct heard hear(const struct buf *b)
{
	struct heard h = {.pcm = mem_zalloc(b->len / LEN * F * 2 + 65536)};
	hip_t hip = hip_decode_init();

	assert_non_null(h.pcm);
	for (size_t at = 0; at < b->len; at += LEN) {
		int16_t left[F * 4], right[F * 4];
		int got = hip_decode(hip, b->data + at, LEN, left, right);

		assert_true(got >= 0);
		memcpy(h.pcm + h.n, left, (size_t)got * 2);
		h.n += (size_t)got;
	}
	hip_decode_exit(hip);
	return h;
}

/** First frame of the first half millisecond that is loud, from `from`. */
static int64_t onset(const struct heard *h, size_t from)
{
	for (size_t at = from; at + 24 <= h->n; at += 24) {
		if (tone_power(h->pcm + at, 24) > 500)
			return (int64_t)at;
	}
	return -1;
}

static uint64_t up(uint64_t frames)
{
	return (frames + F - 1) / F * F;
}

/** Frames of wall time of `us`, rounded up to whole MP3 frames. */
static uint64_t frames_of(int64_t us)
{
	return up((uint64_t)us * MS / 1000);
}

/* ---- the tests --------------------------------------------------------------------- */

static void a_file_has_the_length_the_tone_and_the_onset_of_what_was_said(
	void **state)
{
	struct rig r;
	struct heard h;
	int64_t end_us;

	(void)state;
	set_up(&r, 0);
	end_us = talk(&r, start_us, 2000);
	pause_clock(&r, 1000);
	end_us = talk(&r, end_us + 1000000, 2000);
	stop(&r, end_us);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.files[0].start_pos, sound_pos_of_us(start_us));
	assert_int_equal(r.files[0].frames, frames_of(end_us - start_us));
	h = hear(&r.files[0].bytes);
	assert_in_range(tone_hz(h.pcm + 12000, 48000), 439, 441);
	/* the delays of both codecs are taken out: right to 3 ms */
	assert_true(labs(onset(&h, 2500 * MS) - 3000 * MS) < 3 * MS);
	assert_true(tone_power(h.pcm + 2300 * MS, 400 * MS) < 1);
	mem_free(h.pcm);
	tear_down(&r);
}

/** 20 s of talk with losses, a pause and a jitter, in segments of `ms`. */
static void play_all(struct rig *r, int64_t ms)
{
	int64_t at_us = start_us;

	set_up(r, ms);
	for (int i = 0; i < 500; i++, at_us += 20000)
		packet(r, at_us + i * 7919 % 30 * 1000,
		       i % 20 == 19 ? LOST : SENT);
	pause_clock(r, 1500);
	at_us = talk(r, at_us + 1500000, 9700);
	stop(r, at_us);
}

static void segments_of_3_s_are_the_uncut_recording_byte_for_byte(void **state)
{
	struct rig whole, parts;
	struct buf all;
	char a[65], b[65];

	(void)state;
	play_all(&whole, 0);
	play_all(&parts, 3000);
	assert_int_equal(whole.n, 1);
	assert_int_equal(parts.n, 8);
	buf_init(&all, OUT_MAX);
	for (size_t i = 0; i < parts.n; i++) {
		assert_true(parts.files[i].ended);
		if (i + 1 < parts.n)
			assert_int_equal(parts.files[i].frames, 3000 * MS);
		assert_int_equal(parts.files[i].start_pos,
				 parts.files[0].start_pos +
					 (int64_t)i * 3000 * MS);
		buf_append(&all, parts.files[i].bytes.data,
			   parts.files[i].bytes.len);
	}
	assert_int_equal(sig_sha256_hex(whole.files[0].bytes.data,
					whole.files[0].bytes.len, a),
			 0);
	assert_int_equal(sig_sha256_hex(all.data, all.len, b), 0);
	assert_string_equal(a, b);
	buf_fini(&all);
	tear_down(&whole);
	tear_down(&parts);
}

static void every_frame_length_channel_count_and_payload_type_will_do(
	void **state)
{
	static const int frames[] = {120, 240, 480, 960, 1920, 2880};

	(void)state;
	for (int channels = 1; channels <= 2; channels++) {
		for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
			struct rig r;
			struct heard h;
			int64_t end_us;

			assert_int_equal(make(&r, 0, channels, frames[i]), 0);
			r.pt = (uint8_t)(96 + 5 * i + (size_t)channels);
			end_us = talk(&r, start_us, 1500);
			stop(&r, end_us);
			assert_int_equal(r.n, 1);
			assert_int_equal(r.files[0].frames,
					 frames_of(end_us - start_us));
			h = hear(&r.files[0].bytes);
			assert_in_range(tone_hz(h.pcm + 9600, 48000), 438, 442);
			mem_free(h.pcm);
			tear_down(&r);
		}
	}
}

static void losses_are_concealed_counted_and_take_no_time(void **state)
{
	struct input_stats st;
	struct rig r;
	struct heard h;
	int64_t at_us = start_us;

	(void)state;
	set_up(&r, 0);
	for (int i = 0; i < 400; i++, at_us += 20000)
		packet(&r, at_us, i % 20 == 10 ? LOST : SENT);
	stop(&r, at_us);
	input_stats(r.input, &st);
	assert_int_equal(st.lost, 20);
	assert_int_equal(st.packets, 380);
	assert_int_equal(st.frames_concealed, 20 * PACKET);
	assert_int_equal(r.files[0].frames, frames_of(at_us - start_us));
	h = hear(&r.files[0].bytes);
	assert_in_range(tone_hz(h.pcm + 9600, 48000 * 7), 430, 445);
	mem_free(h.pcm);
	tear_down(&r);
}

static void reordered_and_doubled_packets_make_the_same_file(void **state)
{
	struct rig plain, mixed;
	struct input_stats st;
	int64_t end_us;

	(void)state;
	set_up(&plain, 0);
	end_us = talk(&plain, start_us, 4000);
	stop(&plain, end_us);
	set_up(&mixed, 0);
	for (int i = 0; i < 200; i++) {
		uint8_t held[RTP_HEADER_LEN + 1275];
		size_t len;

		if (i % 10 != 4) {
			packet(&mixed, start_us + i * 20000,
			       i % 5 ? SENT : TWICE);
			continue;
		}
		len = make_packet(&mixed, held); /* the next overtakes it */
		i++;
		packet(&mixed, start_us + i * 20000, TWICE);
		input_packet(mixed.input, held, len, &mixed.from,
			     start_us + i * 20000);
	}
	stop(&mixed, end_us);
	input_stats(mixed.input, &st);
	assert_int_equal(st.duplicate, 40);
	assert_int_equal(mixed.files[0].bytes.len, plain.files[0].bytes.len);
	assert_memory_equal(mixed.files[0].bytes.data,
			    plain.files[0].bytes.data,
			    plain.files[0].bytes.len);
	tear_down(&plain);
	tear_down(&mixed);
}

/** A virtual hour whose sender's clock is wrong by `ppm`.  Nothing is encoded:
 *  where the sound lies is asked. */
static void drift(int ppm)
{
	uint8_t bytes[RTP_HEADER_LEN + 3];
	struct input_stats st;
	struct rig r;
	int64_t at_us = start_us;

	set_up(&r, 0);
	r.records = false;
	memcpy(bytes + RTP_HEADER_LEN, silent_opus, 3); /* a silent one */
	for (int64_t i = 0; i < 3600 * 50; i++) {
		struct rtp_packet p = {.pt = 111, .ssrc = 1};

		/* a breath of 200 ms every 10 s lets it begin a new run */
		if (i % 500 == 0)
			i += 10;
		p.seq = (uint16_t)(i - i / 500 * 10);
		p.ts = (uint32_t)(i * PACKET);
		at_us = start_us + i * 20000 + i * 20000 * ppm / 1000000;
		rtp_write_header(&p, bytes);
		work_to(&r, at_us);
		input_packet(r.input, bytes, sizeof(bytes), &r.from, at_us);
	}
	input_flush(r.input, INT64_MAX);
	/* 20 ms are tolerated at the start of a run, and 2 ms come in one */
	assert_true(llabs(r.end_pos - sound_pos_of_us(at_us + 20000)) <
		    23 * MS);
	input_stats(r.input, &st);
	assert_int_equal(st.late + st.bad + st.lost, 0);
	assert_int_equal(st.frames_concealed, 0);
	tear_down(&r);
}

static void an_hour_of_drift_does_not_move_the_end(void **state)
{
	(void)state;
	drift(200);
	drift(-200);
}

static void a_time_stamp_that_leaps_allocates_nothing_and_moves_nothing(
	void **state)
{
	static const double leaps[] = {2147483647.0, 2147483649.0,
				       48000.0 * 3600,
				       4294967295.0 - 48000.0 * 7200};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(leaps); i++) {
		struct rig r;
		int64_t at_us;
		int64_t live;

		set_up(&r, 0);
		at_us = talk(&r, start_us, 3000);
		live = mem_live();
		r.ts_exact += leaps[i];
		at_us = talk(&r, at_us, 3000);
		assert_true(mem_live() - live < 100);
		stop(&r, at_us);
		assert_int_equal(r.n, 1);
		assert_int_equal(r.files[0].frames,
				 frames_of(at_us - start_us));
		tear_down(&r);
	}
}

static void a_new_ssrc_and_a_frozen_clock_go_on_where_wall_time_is(void **state)
{
	struct rig r;
	struct heard h;
	int64_t at_us;

	(void)state;
	set_up(&r, 0);
	at_us = talk(&r, start_us, 2000);
	r.ssrc = 0x1234; /* another program */
	r.ts_exact = 12345;
	r.seq = 7;
	at_us = talk(&r, at_us + 1000000, 2000);
	/* packets stop for a second, RTP time does not know of it */
	at_us = talk(&r, at_us + 1000000, 2000);
	stop(&r, at_us);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.files[0].frames, frames_of(8000000));
	h = hear(&r.files[0].bytes);
	assert_true(tone_power(h.pcm + 2300 * MS, 500 * MS) < 10);
	assert_true(tone_power(h.pcm + 3300 * MS, 1000 * MS) > 1000);
	assert_true(tone_power(h.pcm + 5300 * MS, 500 * MS) < 10);
	assert_true(tone_power(h.pcm + 6300 * MS, 1000 * MS) > 1000);
	mem_free(h.pcm);
	tear_down(&r);
}

static void a_burst_after_a_stall_is_put_where_it_was_said(void **state)
{
	struct rig r;
	int64_t at_us;

	(void)state;
	set_up(&r, 0);
	at_us = talk(&r, start_us, 2000);
	/* the network holds 300 ms back, then gives all at once */
	for (int i = 0; i < 15; i++)
		packet(&r, at_us + 300000, SENT);
	at_us = talk(&r, at_us + 300000, 2000);
	stop(&r, at_us);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.files[0].frames, frames_of(at_us - start_us));
	tear_down(&r);
}

static void a_mic_that_is_off_ends_the_file_and_on_begins_the_next(void **state)
{
	struct rig r;
	int64_t at_us;
	int64_t second_us;

	(void)state;
	set_up(&r, 0);
	at_us = talk(&r, start_us, 1000);
	/* no packet at all for longer than mic_off: over where speech was */
	work_to(&r, at_us + 3000000);
	assert_int_equal(r.n, 1);
	assert_true(r.files[0].ended);
	assert_int_equal(r.files[0].frames, frames_of(1000000));
	pause_clock(&r, 4000);
	second_us = at_us + 4000000;
	at_us = talk(&r, second_us, 1000);
	/* the voice system says so: at once */
	work_to(&r, at_us + WINDOW_US + WORK_US);
	input_set_mic(r.input, false, sound_pos_of_us(at_us));
	assert_int_equal(r.n, 2);
	assert_true(r.files[1].ended);
	assert_int_equal(r.files[1].start_pos, sound_pos_of_us(second_us));
	at_us = talk(&r, at_us, 1000); /* nobody listens */
	work_to(&r, at_us + 1000000);
	assert_int_equal(r.n, 2);
	input_set_mic(r.input, true, sound_pos_of_us(at_us));
	at_us = talk(&r, at_us, 1000);
	stop(&r, at_us);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.files[2].frames, frames_of(1000000));
	tear_down(&r);
}

/** A short trace; every allocation may fail, nothing may leak. */
static void trace(void)
{
	struct rig r;
	uint8_t bytes[RTP_HEADER_LEN + 3] = {0x80, 111};

	if (!make(&r, 1000, 1, PACKET)) {
		/* straight into the input: on_chunk asserts success */
		for (int i = 0; i < 5; i++) {
			bytes[3] = (uint8_t)i;
			bytes[6] = (uint8_t)(i * 960 >> 8);
			bytes[7] = (uint8_t)(i * 960);
			memcpy(bytes + RTP_HEADER_LEN, silent_opus, 3);
			input_packet(r.input, bytes, sizeof(bytes), &r.from,
				     start_us + i * 20000);
		}
	}
	for (size_t i = 0; i < r.n; i++)
		buf_fini(&r.files[i].bytes);
	input_free(r.input);
	track_free(r.track);
	if (r.tone.opus)
		tone_fini(&r.tone);
}

static void without_memory_packets_are_dropped_and_nothing_leaks(void **state)
{
	(void)state;
	OOM_SWEEP(trace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_file_has_the_length_the_tone_and_the_onset_of_what_was_said),
		cmocka_unit_test(
			segments_of_3_s_are_the_uncut_recording_byte_for_byte),
		cmocka_unit_test(
			every_frame_length_channel_count_and_payload_type_will_do),
		cmocka_unit_test(losses_are_concealed_counted_and_take_no_time),
		cmocka_unit_test(
			reordered_and_doubled_packets_make_the_same_file),
		cmocka_unit_test(an_hour_of_drift_does_not_move_the_end),
		cmocka_unit_test(
			a_time_stamp_that_leaps_allocates_nothing_and_moves_nothing),
		cmocka_unit_test(
			a_new_ssrc_and_a_frozen_clock_go_on_where_wall_time_is),
		cmocka_unit_test(
			a_burst_after_a_stall_is_put_where_it_was_said),
		cmocka_unit_test(
			a_mic_that_is_off_ends_the_file_and_on_begins_the_next),
		cmocka_unit_test(
			without_memory_packets_are_dropped_and_nothing_leaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
