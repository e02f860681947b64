/** test/unit/intake_drift_test.c -- a sender's clock that is not ours: hours of
 *  packets, with injected time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/mem.h"
#include "intake/drift.h"
#include "intake_aid.h"
#include "tone.h"

enum {
	PACKET = 960,
	PACKET_US = 20000,
	HOUR_S = 3600,
	BEEP_EVERY = 500, /* packets: 10 s */
	BEEP = 10,	  /* packets: 0.2 s of tone */
	TOLERANCE = 10 * MS,
	SETTLE_US = 30 * 1000000
};

static const int64_t start_us = 7000000000;

struct story {
	/* what is sent */
	int32_t (*ppm)(int64_t us); /* its clock is so much slower then */
	int jitter_us;
	bool decode;
	/* what is heard */
	struct input *in;
	int64_t pos, on_pos;
	int64_t worst; /* [frames] a packet's place from when it was sent */
	int64_t beeps, worst_beep;
	bool in_beep;
	int64_t silence;
	unsigned seed;
	int max_ppm;
};

static unsigned noise(unsigned *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

static int64_t sent_pos(int64_t us)
{
	return sound_pos_of_us(start_us + us);
}

/* When packet i was sent by our clock, of the last few hundred. */
static int64_t sent_us[1024];

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct story *s = arg;
	bool is_loud = false;

	assert_int_equal(c->pos, s->pos);
	s->pos += c->frames;
	if (c->kind != CHUNK_SOUND) {
		s->silence += c->frames;
		return;
	}
	if (!c->pcm)
		return;
	for (uint32_t i = 0; i < c->frames; i++)
		is_loud |= abs(c->pcm[i]) > 3000;
	if (is_loud && !s->in_beep) {
		/* beep number `beeps` was sent at: */
		const int64_t want =
			sent_pos(sent_us[s->beeps * BEEP_EVERY % 1024]);
		int64_t at = c->pos, off;

		for (uint32_t i = 0; i < c->frames; i++) {
			if (abs(c->pcm[i]) > 3000) {
				at += i;
				break;
			}
		}
		off = llabs(at - want);
		if (s->beeps * BEEP_EVERY * (int64_t)PACKET_US > SETTLE_US &&
		    off > s->worst_beep)
			s->worst_beep = off;
		s->beeps++;
	}
	s->in_beep = is_loud;
}

static void on_mic(int64_t pos, void *arg)
{
	struct story *s = arg;

	s->on_pos = pos;
	s->pos = pos;
}

static const struct input_events events = {
	.chunk = on_chunk, .mic_on = on_mic, .mic_off = on_mic};

/* Talk without a pause for `seconds`; at its end: where the last packet is. */
static void tell(struct story *s, int64_t seconds)
{
	static const uint8_t quiet[] = {0xf8, 0xff, 0xfe};
	const struct input_config config = {.window_us = WINDOW_US,
					    .takeover_us = TAKEOVER_US};
	const int64_t n = seconds * 50;
	struct addr from;
	struct tone tone;
	uint8_t tones[BEEP][1275];
	size_t lens[BEEP];
	double us = 0;

	tone_init(&tone, 1, PACKET, 1000);
	for (int i = 0; i < BEEP; i++)
		lens[i] = tone_next(&tone, tones[i]);
	tone_fini(&tone);
	assert_int_equal(addr_parse("192.0.2.7:5004", &from), 0);
	assert_int_equal(input_new(&config, &events, s, &s->in), 0);
	input_set_decode(s->in, s->decode);
	for (int64_t i = 0; i < n; i++) {
		const struct rtp_packet head = {
			.pt = 111,
			.ssrc = 9,
			.seq = (uint16_t)(i + 60000),
			.ts = (uint32_t)(i * PACKET + 4294000000U)};
		const int k = (int)(i % BEEP_EVERY);
		const bool beep = k < BEEP && s->decode;
		uint8_t bytes[RTP_HEADER_LEN + 1275];
		const size_t len = beep ? lens[k] : sizeof(quiet);
		int64_t delay =
			s->jitter_us ? noise(&s->seed) % (unsigned)s->jitter_us
				     : 0;
		struct input_stats st;

		sent_us[i % 1024] = (int64_t)us;
		rtp_write_header(&head, bytes);
		memcpy(bytes + RTP_HEADER_LEN, beep ? tones[k] : quiet, len);
		input_packet(s->in, bytes, RTP_HEADER_LEN + len, &from,
			     start_us + (int64_t)us + delay);
		if (i % 5 == 0)
			input_advance(s->in, start_us + (int64_t)us + delay);
		if (i % 50 == 0) {
			input_stats(s->in, &st);
			if (abs(st.drift_ppm) > s->max_ppm)
				s->max_ppm = abs(st.drift_ppm);
		}
		us += PACKET_US *
		      (1 + (s->ppm ? s->ppm((int64_t)us) : 0) / 1e6);
	}
	input_flush(s->in, INT64_MAX);
	s->worst = llabs(s->pos - sent_pos((int64_t)us));
	input_free(s->in);
}

static int32_t slow_200(int64_t us)
{
	(void)us;
	return 200;
}

static int32_t fast_200(int64_t us)
{
	(void)us;
	return -200;
}

static int32_t slow_500(int64_t us)
{
	(void)us;
	return 500;
}

static int32_t fast_500(int64_t us)
{
	(void)us;
	return -500;
}

static int32_t slow_50(int64_t us)
{
	(void)us;
	return 50;
}

/* It warms up and cools down: five minutes each. */
static int32_t turning(int64_t us)
{
	return us / 300000000 % 2 ? -300 : 300;
}

/* An hour of talk, decoded: every tone in it is where it was said, and so is
 * its end. */
static void check_hour(int32_t (*ppm)(int64_t us))
{
	struct story s = {.ppm = ppm, .decode = true, .seed = 1};

	tell(&s, HOUR_S);
	assert_int_equal(s.silence, 0);
	assert_int_equal(s.beeps, HOUR_S / 10);
	assert_true(s.worst_beep <= TOLERANCE);
	assert_true(s.worst <= TOLERANCE);
}

static void an_hour_at_200_ppm_slow_is_an_hour(void **state)
{
	(void)state;
	check_hour(slow_200);
}

static void an_hour_at_200_ppm_fast_is_an_hour(void **state)
{
	(void)state;
	check_hour(fast_200);
}

static void five_hundred_ppm_either_way_and_turning_are_followed(void **state)
{
	static int32_t (*const rates[])(int64_t us) = {slow_500, fast_500,
						       turning};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct story s = {.ppm = rates[i], .seed = 2};

		tell(&s, HOUR_S);
		assert_int_equal(s.silence, 0);
		assert_true(s.worst <= TOLERANCE);
		/* it does not hunt: 500, and what catching up takes */
		assert_true(s.max_ppm <= DRIFT_PPM_MAX);
	}
}

/* A network that holds packets up by 0 to 40 ms hides nothing of it. */
static void drift_is_followed_through_jitter(void **state)
{
	static int32_t (*const rates[])(int64_t us) = {slow_200, fast_500};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct story s = {
			.ppm = rates[i], .jitter_us = 40000, .seed = 3};

		tell(&s, HOUR_S);
		assert_int_equal(s.silence, 0);
		assert_true(s.worst <= TOLERANCE);
	}
}

/* A true clock is left alone: jitter bends nothing once the first packet's own
 * delay is made good, and without jitter nothing is bent at all. */
static void a_true_clock_is_left_alone(void **state)
{
	struct story still = {.seed = 4};
	struct story shaky = {.jitter_us = 60000, .seed = 5};

	(void)state;
	tell(&still, 600);
	assert_int_equal(still.max_ppm, 0);
	assert_int_equal(still.worst, 0);
	tell(&shaky, 600);
	assert_int_equal(shaky.silence, 0);
	assert_true(shaky.worst <= TOLERANCE);
}

/* A day: RTP time wraps, numbers wrap 66 times; nothing grows. */
static void a_day_is_a_day(void **state)
{
	struct story s = {.ppm = slow_50, .seed = 6};
	int64_t live = mem_live();

	(void)state;
	tell(&s, 24LL * HOUR_S);
	assert_int_equal(s.silence, 0);
	assert_true(s.worst <= TOLERANCE);
	assert_int_equal(mem_live(), live);
}

/* The controller alone: slow to begin, no step, back to nothing. */
static void the_rate_changes_slowly(void **state)
{
	struct drift d;
	int32_t before = 0;

	(void)state;
	drift_begin(&d);
	for (int i = 0; i < 1000; i++) {
		const int32_t ppm = drift_take(&d, 40 * MS, 0, PACKET);

		if (i < 120) /* 2.4 s are too little to go by */
			assert_int_equal(ppm, 0);
		assert_true(abs(ppm - before) <= 6);
		assert_true(ppm <= DRIFT_PPM_MAX);
		before = ppm;
	}
	assert_int_equal(before, DRIFT_PPM_MAX);
	for (int i = 0; i < 1000; i++)
		before = drift_take(&d, 0, 0, PACKET);
	assert_int_equal(before, 0);
	/* what is no drift */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(drift_take(&d, INT64_MAX / 4, 0, PACKET), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_changes_slowly),
		cmocka_unit_test(an_hour_at_200_ppm_slow_is_an_hour),
		cmocka_unit_test(an_hour_at_200_ppm_fast_is_an_hour),
		cmocka_unit_test(
			five_hundred_ppm_either_way_and_turning_are_followed),
		cmocka_unit_test(drift_is_followed_through_jitter),
		cmocka_unit_test(a_true_clock_is_left_alone),
		cmocka_unit_test(a_day_is_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
