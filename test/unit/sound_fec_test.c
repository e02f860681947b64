/** test/unit/sound_fec_test.c -- the sound of a lost packet out of the next. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "sound/sound.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tone.h"
#include "voice.h"

enum { WARM = 20, EACH = 5, PACKETS = 200 };

static double distance(const int16_t *a, const int16_t *b, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += (double)(a[i] - b[i]) * (a[i] - b[i]);
	return sum;
}

struct three {
	struct sound_decoder *whole, *plc, *fec;
	double plc_off, fec_off; /* from what the whole stream sounds like */
	int recovered;
};

static void lose(struct three *t, const int16_t *whole, const uint8_t *next,
		 size_t next_len, uint32_t frames)
{
	int16_t pcm[SOUND_PACKET_MAX];

	assert_int_equal(sound_conceal(t->plc, frames, pcm), 0);
	t->plc_off += distance(whole, pcm, frames);
	if (sound_fec_frames(t->fec, next, next_len) == 0) {
		assert_int_equal(sound_conceal(t->fec, frames, pcm), 0);
	} else {
		assert_int_equal(sound_fec_frames(t->fec, next, next_len),
				 frames);
		assert_int_equal(
			sound_decode_fec(t->fec, next, next_len, frames, pcm),
			0);
		t->recovered++;
	}
	t->fec_off += distance(whole, pcm, frames);
}

/** Every fifth packet is lost. */
static void compare(int channels, int frames)
{
	static uint8_t packets[PACKETS][1275];
	static size_t lens[PACKETS];
	int16_t whole[SOUND_PACKET_MAX], pcm[SOUND_PACKET_MAX];
	struct voice_source v;
	struct three t = {0};
	uint32_t n;

	voice_init(&v, channels, frames);
	for (int i = 0; i < PACKETS; i++)
		lens[i] = voice_next(&v, packets[i]);
	voice_fini(&v);
	assert_int_equal(sound_decoder_new(&t.whole), 0);
	assert_int_equal(sound_decoder_new(&t.plc), 0);
	assert_int_equal(sound_decoder_new(&t.fec), 0);
	for (int i = 0; i < PACKETS - 1; i++) {
		assert_int_equal(
			sound_decode(t.whole, packets[i], lens[i], whole, &n),
			0);
		assert_int_equal(n, frames);
		if (i > WARM && i % EACH == 0) {
			lose(&t, whole, packets[i + 1], lens[i + 1], n);
			continue;
		}
		assert_int_equal(
			sound_decode(t.plc, packets[i], lens[i], pcm, &n), 0);
		assert_int_equal(
			sound_decode(t.fec, packets[i], lens[i], pcm, &n), 0);
	}
	print_message("%d ch, %d frames: %d recovered, error %.3f of that of "
		      "concealment\n",
		      channels, frames, t.recovered, t.fec_off / t.plc_off);
	assert_true(t.recovered > (PACKETS - WARM) / EACH / 2);
	assert_true(t.fec_off < t.plc_off / 2);
	sound_decoder_free(t.whole);
	sound_decoder_free(t.plc);
	sound_decoder_free(t.fec);
}

static void fec_is_closer_to_the_sound_than_concealment(void **state)
{
	(void)state;
	for (int channels = 1; channels <= 2; channels++) {
		compare(channels, 480);
		compare(channels, 960);
		compare(channels, 1920);
		compare(channels, 2880);
	}
}

static void packets_without_redundancy_have_no_fec(void **state)
{
	static const uint8_t silk_empty[] = {0x08};
	uint8_t packet[1275], celt[1275];
	int16_t pcm[SOUND_PACKET_MAX];
	struct sound_decoder *d, *warm;
	struct voice_source v;
	struct tone t;
	size_t len, celt_len;
	uint32_t n;

	(void)state;
	assert_int_equal(sound_decoder_new(&warm), 0);
	voice_init(&v, 1, 960);
	tone_init(&t, 1, 120, 440); /* so short a packet is CELT */
	celt_len = tone_next(&t, celt);
	assert_int_equal(sound_decoder_new(&d), 0);
	do {
		len = voice_next(&v, packet);
		assert_int_equal(sound_decode(warm, packet, len, pcm, &n), 0);
	} while (sound_fec_frames(warm, packet, len) == 0);
	/* nothing was decoded yet: there is nothing to go on from */
	assert_int_equal(sound_fec_frames(d, packet, len), 0);
	assert_int_equal(sound_decode(d, packet, len, pcm, &n), 0);
	assert_int_equal(sound_fec_frames(d, packet, len), 960);
	assert_int_equal(sound_fec_frames(d, packet, 0), 0);
	assert_int_equal(sound_fec_frames(d, packet, 1), 0);
	assert_int_equal(sound_fec_frames(d, silk_empty, 1), 0);
	assert_int_equal(sound_fec_frames(d, celt, celt_len), 0);
	/* behind CELT there is none either */
	assert_int_equal(sound_decode(d, celt, celt_len, pcm, &n), 0);
	assert_int_equal(sound_fec_frames(d, packet, len), 0);
	assert_int_equal(sound_decode(d, packet, len, pcm, &n), 0);
	assert_int_equal(sound_fec_frames(d, packet, len), 960);
	sound_decoder_reset(d);
	assert_int_equal(sound_fec_frames(d, packet, len), 0);
	/* an encoder that was not told of losses brings none */
	assert_int_equal(opus_encoder_ctl(v.opus, OPUS_SET_INBAND_FEC(0)), 0);
	for (int i = 0; i < WARM; i++) {
		len = voice_next(&v, packet);
		assert_int_equal(sound_decode(d, packet, len, pcm, &n), 0);
	}
	assert_int_equal(sound_fec_frames(d, packet, len), 0);
	sound_decoder_free(d);
	sound_decoder_free(warm);
	voice_fini(&v);
	tone_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fec_is_closer_to_the_sound_than_concealment),
		cmocka_unit_test(packets_without_redundancy_have_no_fec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
