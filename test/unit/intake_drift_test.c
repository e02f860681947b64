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
	HOUR_S = 3600,
	BEEP_EVERY = 500, /* packets of 20 ms: 10 s */
	BEEP = 10,	  /* packets: 0.2 s of tone */
	TOLERANCE = 10 * MS,
	SENT_N = 4096, /* more than wait in the ring */
	LOUD = 3000,
	/* Frames until a beep is LOUD: what libopus looks ahead, and the
	 * first quarter of its wave.  Asked of a true clock below. */
	LEAD_MAX = 8 * MS
};

static const int64_t start_us = 7000000000;

/* The odds of one packet. */
struct fate {
	int64_t delay_us;
	bool is_lost;
};

struct story {
	/* what is sent */
	int32_t (*ppm)(int64_t us); /* its clock is so much slower then */
	struct fate (*fate)(struct story *s, int64_t i);
	int packet_ms; /* 20, or 60: not to be decoded */
	int talk_s, pause_s;
	bool decode;
	int64_t lead; /* of beeps [frames] */
	/* what is heard */
	struct input *in;
	int64_t pos;
	int64_t early, late; /* the worst places, from when it was sent */
	int64_t beeps, beep_early, beep_late;
	bool in_beep;
	int64_t silence;
	uint64_t sum; /* over all sound */
	unsigned seed;
	int max_ppm, min_ppm;
	int64_t grown; /* allocations: most, over those of the first second */
	struct input_stats stats;
	/* when packet i was sent by our clock, of the last few */
	double sent_us[SENT_N];
};

static unsigned noise(unsigned *seed)
{
	*seed = *seed * 1664525U + 1013904223U;
	return *seed >> 8;
}

static int64_t sent_pos(const struct story *s, int64_t i)
{
	return sound_pos_of_us(start_us + (int64_t)s->sent_us[i % SENT_N]);
}

static void widen(int64_t off, int64_t *early, int64_t *late)
{
	*early = off < *early ? off : *early;
	*late = off > *late ? off : *late;
}

/* ---- what is heard ------------------------------------------------------- */

static void hear_beep(struct story *s, const struct sound_chunk *c)
{
	uint32_t first = c->frames;

	for (uint32_t i = c->frames; i-- > 0;) {
		if (abs(c->pcm[i]) > LOUD)
			first = i;
		s->sum = s->sum * 31 + (uint16_t)c->pcm[i];
	}
	if (first < c->frames && !s->in_beep) {
		widen(c->pos + first - s->lead -
			      sent_pos(s, s->beeps * BEEP_EVERY),
		      &s->beep_early, &s->beep_late);
		s->beeps++;
	}
	s->in_beep = first < c->frames;
}

/* Quiet packets bear their number. */
static void hear_place(struct story *s, const struct sound_chunk *c)
{
	uint32_t i;

	if (c->packet[0] != 0xfb)
		return;
	memcpy(&i, c->packet + c->packet_len - sizeof(i), sizeof(i));
	widen(c->pos - sent_pos(s, i), &s->early, &s->late);
}

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct story *s = arg;

	assert_int_equal(c->pos, s->pos);
	s->pos += c->frames;
	if (c->kind == CHUNK_SILENCE)
		s->silence += c->frames;
	if (c->kind != CHUNK_SOUND)
		return;
	if (c->pcm)
		hear_beep(s, c);
	hear_place(s, c);
}

static void on_mic(int64_t pos, void *arg)
{
	struct story *s = arg;

	s->pos = pos;
}

static const struct input_events events = {
	.chunk = on_chunk, .mic_on = on_mic, .mic_off = on_mic};

/* ---- what is sent -------------------------------------------------------- */

struct beep {
	uint8_t opus[BEEP][1275];
	size_t len[BEEP];
};

static void make_beep(struct beep *b)
{
	struct tone tone;

	tone_init(&tone, 1, PACKET, 1000);
	for (int i = 0; i < BEEP; i++)
		b->len[i] = tone_next(&tone, b->opus[i]);
	tone_fini(&tone);
}

/* Frames of nothing in a packet with padding, RFC 6716 section 3.2.5: there is
 * its number. */
static size_t quiet(uint8_t *out, int packet_ms, uint32_t i)
{
	const uint8_t n = (uint8_t)(packet_ms / 20);
	size_t len = 3;

	out[0] = 0xfb;
	out[1] = 0x40 | n;
	out[2] = sizeof(i);
	for (uint8_t k = 0; k < n; k++) {
		out[len++] = 0xff;
		out[len++] = 0xfe;
	}
	memcpy(out + len, &i, sizeof(i));
	return len + sizeof(i);
}

static void watch(struct story *s, int64_t live)
{
	input_stats(s->in, &s->stats);
	if (s->stats.drift_ppm > s->max_ppm)
		s->max_ppm = s->stats.drift_ppm;
	if (s->stats.drift_ppm < s->min_ppm)
		s->min_ppm = s->stats.drift_ppm;
	if (mem_live() - live > s->grown)
		s->grown = mem_live() - live;
}

static bool is_pause(const struct story *s, int64_t us)
{
	return s->pause_s &&
	       us / 1000000 % (s->talk_s + s->pause_s) >= s->talk_s;
}

/* The packet `i`, number `seq`, sent at `us`. */
static void send_packet(struct story *s, const struct beep *beep, int64_t i,
			uint16_t seq, int64_t us)
{
	const int64_t ts = i * s->packet_ms * MS + 4294000000;
	const struct rtp_packet head = {
		.pt = 111, .ssrc = 9, .seq = seq, .ts = (uint32_t)ts};
	const int64_t k = i % BEEP_EVERY;
	const struct fate f = s->fate ? s->fate(s, i) : (struct fate){0};
	uint8_t bytes[RTP_HEADER_LEN + 1275];
	struct addr from;
	size_t len;

	assert_int_equal(addr_parse("192.0.2.7:5004", &from), 0);
	rtp_write_header(&head, bytes);
	len = quiet(bytes + RTP_HEADER_LEN, s->packet_ms, (uint32_t)i);
	if (s->decode && k < BEEP) {
		len = beep->len[k];
		memcpy(bytes + RTP_HEADER_LEN, beep->opus[k], len);
	}
	if (!f.is_lost)
		input_packet(s->in, bytes, RTP_HEADER_LEN + len, &from,
			     start_us + us + f.delay_us);
}

/* Talk for `seconds` of the sender's clock. */
static void tell(struct story *s, int64_t seconds)
{
	const struct input_config config = {.window_us = WINDOW_US,
					    .takeover_us = TAKEOVER_US};
	struct beep beep;
	double us = 0;
	uint16_t seq = 60000;
	int64_t live = 0;

	if (!s->packet_ms)
		s->packet_ms = 20;
	make_beep(&beep);
	assert_int_equal(input_new(&config, &events, s, &s->in), 0);
	input_set_decode(s->in, s->decode);
	for (int64_t i = 0; i < seconds * 1000 / s->packet_ms; i++) {
		const int32_t ppm = s->ppm ? s->ppm((int64_t)us) : 0;

		s->sent_us[i % SENT_N] = us;
		if (!is_pause(s, i * s->packet_ms * 1000))
			send_packet(s, &beep, i, seq++, (int64_t)us);
		if (i % 5 == 0)
			input_advance(s->in, start_us + (int64_t)us);
		if (i == 50)
			live = mem_live();
		if (i % 50 == 0 && i)
			watch(s, live);
		us += s->packet_ms * 1000 * (1 + ppm / 1e6);
	}
	input_flush(s->in, INT64_MAX);
	watch(s, live);
	input_free(s->in);
	/* how long it is: to the MP3 frame, and better */
	if (!s->pause_s && !s->fate)
		widen(s->pos - sound_pos_of_us(start_us + (int64_t)us),
		      &s->early, &s->late);
}

/* All is where it was said, from the first packet on. */
static void check_to(const struct story *s, int64_t tolerance)
{
	if (s->early < -tolerance || s->late > tolerance ||
	    s->beep_early < -tolerance || s->beep_late > tolerance)
		print_error("places %lld..%lld, beeps %lld..%lld frames off\n",
			    (long long)s->early, (long long)s->late,
			    (long long)s->beep_early, (long long)s->beep_late);
	assert_true(s->early >= -tolerance);
	assert_true(s->late <= tolerance);
	assert_true(s->beep_early >= -tolerance);
	assert_true(s->beep_late <= tolerance);
	assert_int_equal(s->stats.jumps, 0);
	assert_int_equal(s->stats.late, 0);
	assert_int_equal(s->stats.bad, 0);
	assert_true(s->max_ppm <= DRIFT_PPM_MAX);
	assert_true(s->min_ppm >= -DRIFT_PPM_MAX);
}

static void check(const struct story *s)
{
	check_to(s, TOLERANCE);
}

static int32_t slow_50(int64_t us)
{
	(void)us;
	return 50;
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

static int32_t (*const rates[])(int64_t us) = {slow_200, fast_200, slow_500,
					       fast_500};

enum { RATES_N = sizeof(rates) / sizeof(rates[0]) };

static struct fate jitter(struct story *s, int ms)
{
	return (struct fate){noise(&s->seed) % (unsigned)(ms * MS_US), false};
}

/* ---- the tests ----------------------------------------------------------- */

/* How long after its packet was sent a beep is heard with a true clock. */
static int64_t lead(void)
{
	struct story s = {.decode = true};

	tell(&s, 30);
	assert_int_equal(s.beeps, 3);
	assert_true(s.beep_late - s.beep_early <= LEAD_MAX);
	assert_int_equal(s.late, 0);
	return s.beep_late;
}

/* An hour of talk, decoded: every tone in it is where it was said, and so is
 * its end. */
static void hour(int32_t (*ppm)(int64_t us))
{
	struct story s = {.ppm = ppm, .decode = true, .lead = lead()};

	tell(&s, HOUR_S);
	assert_int_equal(s.silence, 0);
	assert_int_equal(s.beeps, HOUR_S / 10);
	assert_int_equal(s.grown, 0);
	check(&s);
}

static void an_hour_at_200_ppm_slow_is_an_hour(void **state)
{
	(void)state;
	hour(slow_200);
}

static void an_hour_at_200_ppm_fast_is_an_hour(void **state)
{
	(void)state;
	hour(fast_200);
}

static void an_hour_at_500_ppm_slow_is_an_hour(void **state)
{
	(void)state;
	hour(slow_500);
}

static void an_hour_at_500_ppm_fast_is_an_hour(void **state)
{
	(void)state;
	hour(fast_500);
}

/* It warms up and cools down, five minutes each. */
static int32_t turning(int64_t us)
{
	return us / 300000000 % 2 ? -300 : 300;
}

static void a_clock_that_turns_is_followed(void **state)
{
	struct story s = {.ppm = turning};

	(void)state;
	tell(&s, HOUR_S);
	assert_int_equal(s.silence, 0);
	assert_true(s.max_ppm >= 300);
	assert_true(s.min_ppm <= -300);
	check(&s);
}

static struct fate jitter_40(struct story *s, int64_t i)
{
	(void)i;
	return jitter(s, 40);
}

/* A network that holds packets up by 0 to 40 ms hides nothing of it. */
static void drift_is_followed_through_jitter(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES_N; i++) {
		struct story s = {
			.ppm = rates[i], .fate = jitter_40, .seed = 3};

		tell(&s, HOUR_S);
		assert_int_equal(s.silence, 0);
		check(&s);
	}
}

/* One in five is lost, but no five behind each other. */
static struct fate loss(struct story *s, int64_t i)
{
	return (struct fate){0, i % 5 && noise(&s->seed) % 4 == 0};
}

/* What is made up in between takes its time, no more and no less. */
static void drift_is_followed_through_loss(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES_N; i++) {
		struct story s = {.ppm = rates[i],
				  .fate = loss,
				  .seed = 4,
				  .decode = true};

		tell(&s, 600);
		assert_int_equal(s.silence, 0);
		assert_true(s.stats.lost > 5000);
		/* beeps are lost, too: their places are not asked */
		s.beep_early = s.beep_late = 0;
		check(&s);
		/* a fifth cannot be stretched, so the rest is by more */
		if (i >= 2)
			assert_in_range(abs(s.stats.drift_ppm), 500,
					DRIFT_PPM_MAX - 1);
	}
}

/* A pause is where an error is taken out at once.  What is known of the clock
 * is old when it is half pauses, so at 500 ppm it is not quite as good. */
static void drift_is_followed_over_pauses(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES_N; i++) {
		struct story s = {.ppm = rates[i], .talk_s = 5, .pause_s = 5};

		tell(&s, HOUR_S);
		assert_true(llabs(s.silence - HOUR_S / 2 * 1000LL * MS) <
			    7500 * MS); /* the last is not heard */
		check_to(&s, i < 2 ? TOLERANCE : TOLERANCE * 6 / 5);
	}
}

/* By 0 to 60 ms, but the first. */
static struct fate jitter_60(struct story *s, int64_t i)
{
	return i ? jitter(s, 60) : (struct fate){0};
}

/* The network stands still for 6 s in every minute: all come 60 ms late. */
static struct fate queue(struct story *s, int64_t i)
{
	(void)s;
	return (struct fate){i / 50 % 60 >= 54 ? 60 * MS_US : 0, false};
}

/* With this seed, and most others: in some hours such jitter has eight seconds
 * without one packet that was in time, and bends by some 50 ppm. */
static void a_true_clock_is_left_alone(void **state)
{
	static struct fate (*const fates[])(struct story * s,
					    int64_t i) = {jitter_60, queue};

	(void)state;
	for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++) {
		struct story s = {.fate = fates[i], .seed = 10};
		struct story still = {.decode = true};
		struct story shaky = {
			.fate = fates[i], .seed = 10, .decode = true};

		tell(&s, HOUR_S);
		assert_int_equal(s.max_ppm, 0);
		assert_int_equal(s.min_ppm, 0);
		check(&s);
		/* the sound is the same, bit for bit */
		tell(&still, 120);
		tell(&shaky, 120);
		assert_int_equal(shaky.beeps, 12);
		assert_true(shaky.sum == still.sum);
	}
}

/* The first second comes late, by so much. */
static struct fate held_4(struct story *s, int64_t i)
{
	(void)s;
	return (struct fate){i < 50 ? 4 * MS_US : 0, false};
}

static struct fate held_30(struct story *s, int64_t i)
{
	(void)s;
	return (struct fate){i < 50 ? 30 * MS_US : 0, false};
}

/* A start that was late stays so by 4 ms; more is made good. */
static void a_late_start_is_made_good(void **state)
{
	struct story small = {.fate = held_4}, big = {.fate = held_30};

	(void)state;
	tell(&small, 120);
	assert_int_equal(small.min_ppm, 0);
	assert_int_equal(small.late, 4 * MS);
	tell(&big, 120);
	assert_int_equal(big.min_ppm, -DRIFT_PPM_MAX);
	assert_int_equal(big.stats.drift_ppm, 0);
	assert_int_equal(big.max_ppm, 0);
	assert_in_range(big.pos - sound_pos_of_us(start_us + 120000000), 3 * MS,
			4 * MS + 24);
}

/* RTP time wraps three times, numbers wrap 65 times; nothing grows. */
static void three_days_are_three_days(void **state)
{
	struct story s = {.ppm = slow_50, .packet_ms = 60};

	(void)state;
	tell(&s, 72LL * HOUR_S);
	assert_int_equal(s.silence, 0);
	assert_int_equal(s.grown, 0);
	check(&s);
}

/* ---- the controller alone ------------------------------------------------ */

static void the_rate_changes_slowly(void **state)
{
	struct drift d;
	int32_t before = 0;

	(void)state;
	drift_begin(&d);
	for (int i = 0; i < 1000; i++) {
		const int32_t ppm = drift_take(&d, 40 * MS, 0, PACKET);

		if (i < 348) /* less than 7 s are too little to go by */
			assert_int_equal(ppm, 0);
		assert_true(abs(ppm - before) <= 6);
		assert_true(ppm <= DRIFT_PPM_MAX);
		before = ppm;
	}
	assert_int_equal(before, DRIFT_PPM_MAX);
	/* a packet that came earlier is believed at once */
	assert_true(drift_take(&d, 0, 0, PACKET) < before);
	for (int i = 0; i < 1000; i++)
		before = drift_take(&d, 0, 0, PACKET);
	assert_int_equal(before, 0);
	/* what is no drift */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(drift_take(&d, INT64_MAX / 4, 0, PACKET), 0);
}

static void an_error_is_known_after_seven_seconds(void **state)
{
	struct drift d;

	(void)state;
	drift_begin(&d);
	assert_int_equal(drift_error(&d, 0), 0);
	for (int i = 0; i < 349; i++)
		(void)!drift_take(&d, 3 * MS, 0, PACKET);
	assert_int_equal(drift_error(&d, 0), 0);
	(void)!drift_take(&d, 3 * MS, 0, PACKET);
	assert_int_equal(drift_error(&d, 0), 3 * MS);
	assert_int_equal(drift_error(&d, 2 * MS), 0); /* chance */
	assert_int_equal(drift_error(&d, 7 * MS), 0);
	assert_int_equal(drift_error(&d, 8 * MS), -5 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rate_changes_slowly),
		cmocka_unit_test(an_error_is_known_after_seven_seconds),
		cmocka_unit_test(an_hour_at_200_ppm_slow_is_an_hour),
		cmocka_unit_test(an_hour_at_200_ppm_fast_is_an_hour),
		cmocka_unit_test(an_hour_at_500_ppm_slow_is_an_hour),
		cmocka_unit_test(an_hour_at_500_ppm_fast_is_an_hour),
		cmocka_unit_test(a_clock_that_turns_is_followed),
		cmocka_unit_test(drift_is_followed_through_jitter),
		cmocka_unit_test(drift_is_followed_through_loss),
		cmocka_unit_test(drift_is_followed_over_pauses),
		cmocka_unit_test(a_true_clock_is_left_alone),
		cmocka_unit_test(a_late_start_is_made_good),
		cmocka_unit_test(three_days_are_three_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
