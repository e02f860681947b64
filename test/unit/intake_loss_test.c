/** test/unit/intake_loss_test.c -- lost packets of a voice: out of the next one
 *  (in-band FEC), made up, or silence. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "intake/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "intake_rig.h"
#include "voice.h"

enum { PACKETS = 3000, OPUS_MAX = 1275 };

struct talk {
	struct rig *r;
	struct voice_source voice;
	int64_t i;
};

static void begin(struct talk *t)
{
	*t = (struct talk){.r = set_up()};
	voice_init(&t->voice, 1, 960);
}

static void end(struct talk *t)
{
	voice_fini(&t->voice);
	tear_down(t->r);
}

/** The next packet is sent, and comes or does not. */
static void say(struct talk *t, bool comes)
{
	const struct rtp_packet p = {.pt = t->r->pt,
				     .ssrc = t->r->ssrc,
				     .seq = (uint16_t)t->i,
				     .ts = (uint32_t)(t->i * 960)};
	uint8_t bytes[RTP_HEADER_LEN + OPUS_MAX];
	const int64_t at_us = sent_us(t->r, t->i++);
	size_t len;

	rtp_write_header(&p, bytes);
	len = voice_next(&t->voice, bytes + RTP_HEADER_LEN);
	if (comes)
		input_packet(t->r->in, bytes, RTP_HEADER_LEN + len, &t->r->from,
			     at_us);
	input_advance(t->r->in, at_us);
}

static void each_lost_frame_is_made_once(void **state)
{
	struct tally before = tally_now();
	struct input_stats st;
	uint32_t random = 5;
	int64_t lost = 0;
	struct talk t;

	(void)state;
	begin(&t);
	for (int i = 0; i < PACKETS; i++) {
		bool comes = true;

		random = random * 1664525 + 1013904223;
		if (i > 0 && i < PACKETS - 1)
			comes = (random >> 16) % 20 != 0;
		lost += !comes;
		say(&t, comes);
	}
	input_flush(t.r->in, INT64_MAX);
	st = stats_of(t.r);
	assert_in_range(lost, PACKETS / 30, PACKETS / 15);
	assert_int_equal(st.lost, lost);
	assert_int_equal(st.frames_concealed + st.frames_fec, lost * 20 * MS);
	assert_int_equal(st.frames_fec, (int64_t)st.recovered_fec * 20 * MS);
	assert_true((int64_t)st.recovered_fec > lost / 2);
	assert_int_equal(counter_get(COUNT_rtp_recovered_fec) -
				 before.n[COUNT_rtp_recovered_fec],
			 st.recovered_fec);
	assert_int_equal(counter_get(COUNT_frames_fec) -
				 before.n[COUNT_frames_fec],
			 st.frames_fec);
	assert_int_equal(counter_get(COUNT_frames_concealed) -
				 before.n[COUNT_frames_concealed],
			 st.frames_concealed);
	assert_int_equal(st.frames_silence, 0);
	assert_int_equal(ear_sum(&t.r->ear, CHUNK_SOUND),
			 (PACKETS - lost) * 20 * MS);
	assert_int_equal(t.r->ear.end, pos_of(sent_us(t.r, PACKETS)));
	end(&t);
}

static void of_a_long_loss_the_last_packet_comes_from_the_next(void **state)
{
	struct input_stats st;
	const struct span *s;
	struct talk t;

	(void)state;
	begin(&t);
	for (int i = 0; i < 50; i++)
		say(&t, i < 20 || i >= 40);
	input_flush(t.r->in, INT64_MAX);
	st = stats_of(t.r);
	s = t.r->ear.spans;
	assert_int_equal(st.lost, 20);
	assert_int_equal(st.recovered_fec, 1);
	assert_int_equal(t.r->ear.n, 5);
	assert_int_equal(s[1].kind, CHUNK_CONCEALED);
	assert_int_equal(s[1].frames, 100 * MS);
	assert_int_equal(s[2].kind, CHUNK_SILENCE);
	assert_int_equal(s[2].frames, 280 * MS);
	assert_int_equal(s[3].kind, CHUNK_CONCEALED);
	assert_int_equal(s[3].frames, 20 * MS);
	assert_int_equal(s[3].pos, pos_of(sent_us(t.r, 39)));
	assert_int_equal(st.frames_concealed, 100 * MS);
	assert_int_equal(st.frames_fec, 20 * MS);
	assert_int_equal(t.r->ear.end, pos_of(sent_us(t.r, 50)));
	end(&t);
}

static void nothing_missing_takes_nothing_from_the_next(void **state)
{
	struct input_stats st;
	struct talk t;

	(void)state;
	begin(&t);
	for (int i = 0; i < 50; i++)
		say(&t, true);
	t.r->ssrc = 8; /* numbers of another run are not missing */
	t.i += 5;
	for (int i = 0; i < 50; i++)
		say(&t, true);
	input_flush(t.r->in, INT64_MAX);
	st = stats_of(t.r);
	assert_int_equal(st.recovered_fec + st.lost + st.frames_concealed, 0);
	assert_int_equal(st.frames_silence, 100 * MS);
	assert_int_equal(t.r->ear.end, pos_of(sent_us(t.r, 105)));
	end(&t);
}

/** Sound that was decoded. */
struct pcm {
	int16_t all[50 * 960];
	size_t n;
};

static void keep_pcm(const struct sound_chunk *c, void *arg)
{
	struct pcm *p = arg;

	if (!c->pcm)
		return;
	assert_true(p->n + c->frames <= ARRAY_LEN(p->all));
	memcpy(p->all + p->n, c->pcm, c->frames * sizeof(*c->pcm));
	p->n += c->frames;
}

static void ignore_mic(int64_t pos, void *arg)
{
	(void)pos;
	(void)arg;
}

/** The last 20 of 50 packets of a voice, decoded by an input that has heard
 *  `heard` before, and did not decode `skipped` of these. */
static void decode_end(struct pcm *out, int heard, int skipped)
{
	static const struct input_events events = {
		.chunk = keep_pcm, .mic_on = ignore_mic, .mic_off = ignore_mic};
	struct talk t;

	begin(&t);
	input_free(t.r->in);
	assert_int_equal(input_new(&plain, &events, out, &t.r->in), 0);
	for (int i = 0; i < 50; i++) {
		if (i == 30) {
			input_flush(t.r->in, INT64_MAX);
			input_set_decode(t.r->in, true);
			out->n = 0;
		}
		if (skipped > 0 && i == 30 - skipped) {
			input_flush(t.r->in, INT64_MAX);
			input_set_decode(t.r->in, false);
		}
		say(&t, i >= 30 - heard);
	}
	input_flush(t.r->in, INT64_MAX);
	end(&t);
}

static void decoding_begins_anew_when_it_is_switched_on(void **state)
{
	static struct pcm fresh, skipped, whole;

	(void)state;
	decode_end(&fresh, 0, 0);
	decode_end(&skipped, 30, 10);
	decode_end(&whole, 30, 0);
	assert_int_equal(fresh.n, 20 * 960);
	assert_int_equal(skipped.n, fresh.n);
	assert_memory_equal(skipped.all, fresh.all,
			    fresh.n * sizeof(*fresh.all));
	assert_int_equal(whole.n, fresh.n);
	assert_memory_not_equal(whole.all, fresh.all,
				fresh.n * sizeof(*fresh.all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_lost_frame_is_made_once),
		cmocka_unit_test(
			of_a_long_loss_the_last_packet_comes_from_the_next),
		cmocka_unit_test(nothing_missing_takes_nothing_from_the_next),
		cmocka_unit_test(decoding_begins_anew_when_it_is_switched_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
