/** test/unit/sound_opus_test.c -- Opus packets encoded, and made up. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/attr.h"
#include "oom.h"
#include "tone.h"

enum { N = SOUND_OPUS_FRAME };

/* ---- made up ---------------------------------------------------------- */

static uint32_t frames_of(const struct sound_made *m)
{
	return sound_packet_frames(m->data, m->len);
}

/** Fill as a track does; returns how many packets. */
static int fill(uint64_t frames, uint8_t toc, struct sound_made *out)
{
	int n = 0;

	for (; frames > 0; n++) {
		out[n] = sound_make_loss(frames, toc);
		assert_int_equal(frames_of(&out[n]), out[n].frames);
		assert_int_equal(out[n].len, 1);
		assert_true(out[n].frames <= frames);
		frames -= out[n].frames;
	}
	return n;
}

static void silence_comes_in_the_longest_pieces_that_fit(void **state)
{
	static const uint16_t want[] = {960, 960, 480, 240, 120};
	uint64_t left = 960 * 2 + 480 + 240 + 120;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct sound_made m = sound_make_silence(left, i % 2);

		assert_int_equal(m.frames, want[i]);
		assert_int_equal(frames_of(&m), want[i]);
		assert_int_equal(sound_packet_is_stereo(m.data), i % 2);
		left -= m.frames;
	}
	assert_int_equal(left, 0);
}

static void made_silence_decodes_to_silence(void **state)
{
	struct sound_decoder *d;
	int16_t pcm[SOUND_PACKET_MAX];
	uint32_t frames;

	(void)state;
	assert_int_equal(sound_decoder_new(&d), 0);
	for (uint32_t n = SOUND_STEP; n <= 960; n += SOUND_STEP) {
		struct sound_made m = sound_make_silence(n, n % 240);

		assert_int_equal(sound_decode(d, m.data, m.len, pcm, &frames),
				 0);
		assert_int_equal(frames, m.frames);
		for (uint32_t i = 0; i < frames; i++)
			assert_int_equal(pcm[i], 0);
	}
	sound_decoder_free(d);
}

/** The example of RFC 7845 section 4.1: 95 ms behind 20 ms of SILK. */
static void a_loss_keeps_the_kind_of_packet_as_long_as_it_can(void **state)
{
	struct sound_made m[16];
	int n = fill(95 * 48, 9 << 3, m); /* SILK WB 20 ms */

	(void)state;
	assert_int_equal(n, 6);
	for (int i = 0; i < 4; i++)
		assert_int_equal(m[i].data[0], 9 << 3);
	assert_int_equal(m[4].data[0], 8 << 3);	 /* SILK WB 10 ms */
	assert_int_equal(m[5].data[0], 21 << 3); /* CELT WB 5 ms */

	n = fill(95 * 48, 31 << 3 | 4, m); /* CELT FB 20 ms, stereo */
	assert_int_equal(n, 6);
	assert_int_equal(m[4].data[0], 30 << 3 | 4);
	assert_int_equal(m[5].data[0], 29 << 3 | 4);

	n = fill(57 * 48 + 24, 7 << 3, m); /* SILK MB 60 ms */
	assert_int_equal(n, 4);		   /* 40, 10, 5, 2.5 */
	assert_int_equal(m[0].data[0], 6 << 3);
	assert_int_equal(m[1].data[0], 4 << 3);
	assert_int_equal(m[2].data[0], 21 << 3); /* CELT has no MB */
	assert_int_equal(m[3].data[0], 20 << 3);
}

static void any_loss_behind_any_packet_can_be_filled(void **state)
{
	struct sound_made m[64];

	(void)state;
	for (int toc = 0; toc < 256; toc++) {
		for (uint64_t n = SOUND_STEP; n <= 4800; n += SOUND_STEP) {
			int got = fill(n, (uint8_t)toc, m);

			assert_true(got <= 40);
			for (int i = 0; i < got; i++)
				assert_int_equal(m[i].data[0] & 7, toc & 4);
		}
	}
}

static void a_lost_packet_is_as_long_as_the_real_one(void **state)
{
	static const int lens[] = {120, 240, 480, 960, 1920, 2880, 4800, 5760};
	uint8_t packet[1500];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct sound_made m;
		struct tone t;
		size_t len;

		tone_init(&t, i % 2 + 1, lens[i], 440);
		len = tone_next(&t, packet);
		m = sound_make_lost(packet, len);
		assert_int_equal(m.frames, lens[i]);
		assert_int_equal(frames_of(&m), lens[i]);
		assert_int_equal(sound_packet_is_stereo(m.data), i % 2);
		tone_fini(&t);
	}
}

static void a_made_loss_is_concealed_by_the_decoder(void **state)
{
	struct sound_decoder *d;
	int16_t pcm[SOUND_PACKET_MAX];
	uint8_t packet[1500];
	uint32_t frames;
	struct tone t;

	(void)state;
	assert_int_equal(sound_decoder_new(&d), 0);
	tone_init(&t, 1, 960, 440);
	for (int i = 0; i < 10; i++) {
		size_t len = tone_next(&t, packet);

		assert_int_equal(sound_decode(d, packet, len, pcm, &frames), 0);
	}
	for (int i = 0; i < 2; i++) {
		struct sound_made m = sound_make_loss(960, packet[0]);

		assert_int_equal(sound_decode(d, m.data, m.len, pcm, &frames),
				 0);
		assert_int_equal(frames, 960);
		assert_true(tone_power(pcm, frames) > 2000);
	}
	tone_fini(&t);
	sound_decoder_free(d);
}

/* ---- encoded ---------------------------------------------------------- */

static void sine(int16_t *pcm, int64_t at)
{
	for (int i = 0; i < N; i++)
		pcm[i] = (int16_t)(8000 * sin(2 * M_PI * 440 *
					      (double)(at + i) / 48000));
}

static void a_tone_comes_back_late_by_the_delay(void **state)
{
	struct sound_opus *o;
	struct sound_decoder *d;
	int16_t pcm[N], back[SOUND_PACKET_MAX], all[50 * N];
	uint32_t frames;
	size_t len, onset = 0;

	(void)state;
	assert_int_equal(sound_opus_new(64000, &o), 0);
	assert_int_equal(sound_decoder_new(&d), 0);
	assert_int_equal(sound_opus_delay(o), 312); /* 6.5 ms */
	for (int64_t i = 0; i < 50; i++) {
		const uint8_t *packet;

		memset(pcm, 0, sizeof(pcm));
		if (i >= 20)
			sine(pcm, i * N);
		packet = sound_opus_encode(o, pcm, &len);
		assert_int_equal(sound_decode(d, packet, len, back, &frames),
				 0);
		assert_int_equal(frames, N);
		memcpy(all + i * N, back, sizeof(pcm));
	}
	while (abs(all[onset]) < 1000)
		onset++;
	assert_true(llabs((long long)onset - 20 * N - 312) < 3 * 48);
	assert_int_equal(tone_hz(all + 30 * N, 20 * N), 440);
	sound_decoder_free(d);
	sound_opus_free(o);
}

static void silence_is_three_bytes_and_sound_behind_it_is_whole(void **state)
{
	struct sound_opus *o;
	struct sound_decoder *d;
	int16_t pcm[N], back[SOUND_PACKET_MAX];
	uint32_t frames;
	size_t len, bytes = 0;

	(void)state;
	assert_int_equal(sound_opus_new(64000, &o), 0);
	assert_int_equal(sound_decoder_new(&d), 0);
	for (int64_t i = 0; i < 1000; i++) {
		const bool sounds = i < 20 || i >= 960;
		const uint8_t *packet;

		memset(pcm, 0, sizeof(pcm));
		if (sounds)
			sine(pcm, i * N);
		packet = sound_opus_encode(o, pcm, &len);
		assert_int_equal(sound_decode(d, packet, len, back, &frames),
				 0);
		if (i >= 40 && i < 960) {
			bytes += len;
			assert_true(tone_power(back, N) < 1);
		}
		if ((i >= 4 && i < 20) || i >= 964)
			assert_true(fabs(tone_power(back, N) - 5657) < 300);
	}
	assert_int_equal(bytes, 920 * 3);
	sound_decoder_free(d);
	sound_opus_free(o);
}

/** What the encoder is asked is what is not cached: it would give the same. */
static void cached_silence_is_what_the_encoder_would_give(void **state)
{
	OpusEncoder *plain;
	struct sound_opus *o;
	int16_t pcm[N];
	uint8_t packet[1275];
	int err;

	(void)state;
	plain = opus_encoder_create(48000, 1, OPUS_APPLICATION_AUDIO, &err);
	assert_non_null(plain);
	opus_encoder_ctl(plain, OPUS_SET_BITRATE(64000));
	opus_encoder_ctl(plain, OPUS_SET_COMPLEXITY(5));
	assert_int_equal(sound_opus_new(64000, &o), 0);
	for (int64_t i = 0; i < 500; i++) {
		const uint8_t *got;
		opus_int32 n;
		size_t len;

		memset(pcm, 0, sizeof(pcm));
		if (i < 50)
			sine(pcm, i * N);
		got = sound_opus_encode(o, pcm, &len);
		n = opus_encode(plain, pcm, N, packet, sizeof(packet));
		assert_int_equal(len, n);
		assert_memory_equal(got, packet, len);
	}
	opus_encoder_destroy(plain);
	sound_opus_free(o);
}

static void a_reset_begins_anew(void **state)
{
	struct sound_opus *o;
	int16_t pcm[N];
	uint8_t first[1275];
	const uint8_t *packet;
	size_t first_len, len;

	(void)state;
	assert_int_equal(sound_opus_new(64000, &o), 0);
	sine(pcm, 0);
	packet = sound_opus_encode(o, pcm, &first_len);
	memcpy(first, packet, first_len);
	for (int i = 0; i < 30; i++)
		sound_opus_encode(o, pcm, &len);
	sound_opus_reset(o);
	packet = sound_opus_encode(o, pcm, &len);
	assert_int_equal(len, first_len);
	assert_memory_equal(packet, first, len);
	sound_opus_free(o);
	sound_opus_free(NULL);
}

static void make_one(void)
{
	struct sound_opus *o;

	if (sound_opus_new(64000, &o) == 0)
		sound_opus_free(o);
}

static void making_one_survives_every_failed_allocation(void **state)
{
	struct sound_opus *o = NULL;

	(void)state;
	OOM_SWEEP(make_one);
	assert_int_equal(sound_opus_new(0, &o), EINVAL);
	assert_null(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_comes_in_the_longest_pieces_that_fit),
		cmocka_unit_test(made_silence_decodes_to_silence),
		cmocka_unit_test(
			a_loss_keeps_the_kind_of_packet_as_long_as_it_can),
		cmocka_unit_test(any_loss_behind_any_packet_can_be_filled),
		cmocka_unit_test(a_lost_packet_is_as_long_as_the_real_one),
		cmocka_unit_test(a_made_loss_is_concealed_by_the_decoder),
		cmocka_unit_test(a_tone_comes_back_late_by_the_delay),
		cmocka_unit_test(
			silence_is_three_bytes_and_sound_behind_it_is_whole),
		cmocka_unit_test(cached_silence_is_what_the_encoder_would_give),
		cmocka_unit_test(a_reset_begins_anew),
		cmocka_unit_test(making_one_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
