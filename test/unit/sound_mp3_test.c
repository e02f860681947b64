/** test/unit/sound_mp3_test.c -- MP3 frames can be cut anywhere. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <lame/lame.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sound/sound.h"

#include "oom.h"

enum { F_MAX = 1728, MAX = 8 << 20 };

struct preset {
	struct sound_mp3_config config;
	uint32_t frame_frames, frame_len;
	uint32_t lag;	  /* MP3 frames that the output trails */
	uint32_t fade_in; /* 48 kHz frames at a file's head */
	uint8_t head[3];
};

static const struct preset presets[] = {
	{{48000, 64000, false}, 1152, 192, 2, 480, {0xff, 0xfa, 0x54}},
	{{24000, 48000, false}, 1152, 144, 3, 960, {0xff, 0xf2, 0x64}},
	{{16000, 32000, false}, 1728, 144, 3, 1440, {0xff, 0xf2, 0x48}},
};

/* The preset that is tested now. */
static const struct preset *preset;
static struct sound_mp3_config config;
static uint32_t F, LEN;

static void use_preset(size_t i)
{
	preset = &presets[i];
	config = preset->config;
	F = preset->frame_frames;
	LEN = preset->frame_len;
}

static uint32_t dice(uint32_t *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/* Noise and a moving tone, so that frames differ. */
static void make_sound(int16_t *pcm, size_t n, uint32_t seed, double amp)
{
	for (size_t i = 0; i < n; i++) {
		double x = sin(0.03 * (double)i + 1e-6 * (double)(i * i));

		x += (dice(&seed) % 2000 / 1000.0 - 1) * 0.4;
		pcm[i] = (int16_t)(amp * x);
	}
}

static struct sound_mp3 *mp3_new(bool encode_silence)
{
	struct sound_mp3_config c = config;
	struct sound_mp3 *m;

	c.encode_silence = encode_silence;
	assert_int_equal(sound_mp3_new(&c, &m), 0);
	return m;
}

/* Bits of side information: main_data_begin is the first 9 (MPEG-2: 8) behind header
 * (4 bytes) and, when protection_bit is 0, CRC (2 bytes). */
static unsigned main_data_begin(const uint8_t *frame)
{
	const uint8_t *side = frame + ((frame[1] & 1) ? 4 : 6);

	if (config.sample_rate != 48000) /* MPEG-2: 8 bits */
		return side[0];
	return (unsigned)side[0] << 1 | side[1] >> 7;
}

static void assert_frames_stand_alone(const struct buf *b)
{
	assert_int_equal(b->len % LEN, 0);
	for (size_t at = 0; at < b->len; at += LEN) {
		const uint8_t *f = b->data + at;

		assert_int_equal(f[0], preset->head[0]);
		assert_int_equal(f[1] & 0xfe, preset->head[1]); /* version */
		assert_int_equal(f[2] & 0xfc, preset->head[2]); /* rates */
		assert_int_equal(f[3] >> 6, 3);			/* mono */
		assert_int_equal(main_data_begin(f), 0);
		assert_null(memmem(f, LEN, "Xing", 4));
		assert_null(memmem(f, LEN, "Info", 4));
	}
}

/* Decode with LAME's own decoder (mpglib); returns samples, which are at the
 * preset's rate. */
static size_t decode(const struct buf *b, int16_t *pcm, size_t cap)
{
	static int16_t right[F_MAX * 4];
	hip_t hip = hip_decode_init();
	size_t n = 0;

	for (size_t at = 0; at < b->len; at += LEN) {
		int16_t left[F_MAX * 4];
		int got = hip_decode(hip, b->data + at, LEN, left, right);

		assert_true(got >= 0 && n + (size_t)got <= cap);
		memcpy(pcm + n, left, (size_t)got * 2);
		n += (size_t)got;
	}
	hip_decode_exit(hip);
	return n;
}

/* Write in pieces of any size, by other dice than what is written. */
static void write_pieces(struct sound_mp3 *m, const int16_t *pcm, size_t n,
			 uint32_t *pieces, struct buf *out)
{
	while (n > 0) {
		size_t k = 1 + dice(pieces) % 9000;

		if (k > n)
			k = n;
		assert_int_equal(sound_mp3_write(m, pcm, k, out), 0);
		pcm = pcm ? pcm + k : NULL;
		n -= k;
	}
}

/* A sequence of sound and silence. */
static void write_sequence(struct sound_mp3 *m, uint32_t seed, uint32_t pieces,
			   bool flush, struct buf *out)
{
	static int16_t pcm[20000];

	for (int i = 0; i < 24; i++) {
		size_t n = 1 + dice(&seed) % 19999;

		make_sound(pcm, n, seed, i % 3 == 0 ? 90 : 9000);
		write_pieces(m, pcm, n, &pieces, out);
		n = dice(&seed) % (i % 4 == 0 ? 3000 : 60000);
		if (i % 5 == 0)
			n = n / F * F;
		write_pieces(m, NULL, n, &pieces, out);
		if (flush && i % 7 == 6)
			assert_int_equal(sound_mp3_flush(m, out), 0);
	}
}

static void compare_cache(bool flush)
{
	for (uint32_t seed = 1; seed <= 12; seed++) {
		struct sound_mp3 *with = mp3_new(false);
		struct sound_mp3 *without = mp3_new(true);
		struct buf a, b;

		buf_init(&a, MAX);
		buf_init(&b, MAX);
		write_sequence(with, seed, seed + 1, flush, &a);
		write_sequence(without, seed, seed + 2, flush, &b);
		assert_int_equal(a.len, b.len);
		assert_memory_equal(a.data, b.data, a.len);
		assert_int_equal(sound_mp3_frames_out(with) / F, a.len / LEN);
		assert_frames_stand_alone(&a);
		buf_fini(&a);
		buf_fini(&b);
		sound_mp3_free(with);
		sound_mp3_free(without);
	}
}

static void cached_silence_is_byte_identical_to_encoded_silence(void **state)
{
	(void)state;
	compare_cache(false);
}

static void so_it_is_when_flushed_in_between(void **state)
{
	(void)state;
	compare_cache(true);
}

static void silence_costs_no_encode(void **state)
{
	struct sound_mp3 *m = mp3_new(false);
	const uint64_t hour = 3600ull * 48000;
	struct buf out;

	(void)state;
	/* Encoding an hour takes seconds; ten hours here take no time.  What
	 * is proved: frames are the cached ones, and there are enough. */
	buf_init(&out, 400u << 20);
	assert_int_equal(sound_mp3_write(m, NULL, 10 * hour, &out), 0);
	assert_int_equal(out.len / LEN, 10 * hour / F - preset->lag);
	for (size_t at = 0; at < out.len; at += LEN)
		if (memcmp(out.data + at, sound_mp3_silent_frame(m), LEN) != 0)
			fail();
	buf_fini(&out);
	sound_mp3_free(m);
}

static void parts_cut_by_frame_count_add_up_to_the_uncut_file(void **state)
{
	const size_t part = (size_t)125 * LEN;
	struct sound_mp3 *m = mp3_new(false);
	unsigned char whole[32], cut[32];
	struct buf uncut, parts;
	EVP_MD_CTX *sha = EVP_MD_CTX_new();

	(void)state;
	buf_init(&uncut, MAX);
	write_sequence(m, 77, 1, false, &uncut);
	assert_int_equal(sound_mp3_flush(m, &uncut), 0);
	assert_frames_stand_alone(&uncut);
	EVP_Digest(uncut.data, uncut.len, whole, NULL, EVP_sha256(), NULL);
	sound_mp3_free(m);

	buf_init(&parts, MAX);
	m = mp3_new(false);
	write_sequence(m, 77, 2, false, &parts);
	assert_int_equal(sound_mp3_flush(m, &parts), 0);
	EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
	for (size_t at = 0; at < parts.len; at += part)
		EVP_DigestUpdate(sha, parts.data + at,
				 parts.len - at < part ? parts.len - at : part);
	EVP_DigestFinal_ex(sha, cut, NULL);
	assert_memory_equal(whole, cut, 32);
	EVP_MD_CTX_free(sha);
	buf_fini(&uncut);
	buf_fini(&parts);
	sound_mp3_free(m);
}

static void flush_gives_every_frame_that_went_in(void **state)
{
	static int16_t pcm[5000];
	struct sound_mp3 *m = mp3_new(false);
	struct buf out;

	(void)state;
	buf_init(&out, MAX);
	make_sound(pcm, 5000, 3, 8000);
	for (size_t n = 1; n < 5000; n += 613) {
		const uint64_t before = sound_mp3_frames_in(m);

		assert_int_equal(sound_mp3_write(m, pcm, n, &out), 0);
		assert_int_equal(sound_mp3_flush(m, &out), 0);
		assert_int_equal(sound_mp3_frames_in(m),
				 (before + n + F - 1) / F * F);
		assert_int_equal(sound_mp3_frames_out(m),
				 sound_mp3_frames_in(m));
		assert_int_equal(out.len / LEN, sound_mp3_frames_out(m) / F);
		assert_int_equal(sound_mp3_flush(m, &out), 0); /* again: no */
		assert_int_equal(out.len / LEN, sound_mp3_frames_out(m) / F);
	}
	assert_frames_stand_alone(&out);
	buf_fini(&out);
	sound_mp3_free(m);
}

/* First sample at or behind `from` louder than a tenth of the tone. */
static size_t onset(const int16_t *pcm, size_t from, size_t n)
{
	for (size_t i = from; i < n; i++)
		if (pcm[i] > 1000 || pcm[i] < -1000)
			return i;
	return n;
}

/* 440 Hz bursts of 300 ms: the places where they begin. */
static void tone(int16_t *pcm, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pcm[i] = (int16_t)(10000 *
				   sin(2 * M_PI * 440 * (double)i / 48000));
}

static void bursts_are_where_they_were(bool flush)
{
	enum { TONE = 14400, N = 12 };
	static int16_t pcm[TONE], back[48000 * 40];
	struct sound_mp3 *m = mp3_new(false);
	uint64_t starts[N], pos = 0;
	uint32_t seed = 5;
	struct buf out;
	size_t n, from = 0, ratio = 48000 / config.sample_rate;

	buf_init(&out, MAX);
	tone(pcm, TONE);
	for (int i = 0; i < N; i++) {
		const uint64_t gap = 14000 + dice(&seed) % 60000;

		assert_int_equal(sound_mp3_write(m, NULL, gap, &out), 0);
		if (flush && i % 2) {
			assert_int_equal(sound_mp3_flush(m, &out), 0);
			/* a flush is the head of a file, which fades in */
			assert_int_equal(
				sound_mp3_write(m, NULL, 2 * (uint64_t)F, &out),
				0);
		}
		starts[i] = sound_mp3_frames_in(m);
		assert_int_equal(sound_mp3_write(m, pcm, TONE, &out), 0);
	}
	assert_int_equal(sound_mp3_flush(m, &out), 0);
	pos = sound_mp3_frames_in(m);
	n = decode(&out, back, sizeof(back) / 2);
	/* mpglib holds one back */
	assert_true(n * ratio <= pos && n * ratio + 2 * (uint64_t)F >= pos);
	for (int i = 0; i < N; i++) {
		const size_t at = onset(back, from, n);

		assert_true(llabs((int64_t)(at * ratio) - (int64_t)starts[i]) <=
			    3 * 48);
		from = at + (TONE + 4000) / ratio;
	}
	buf_fini(&out);
	sound_mp3_free(m);
}

static void a_burst_begins_within_3_ms_of_its_place(void **state)
{
	(void)state;
	bursts_are_where_they_were(false);
	bursts_are_where_they_were(true);
}

static void a_burst_at_the_very_head_fades_in(void **state)
{
	static int16_t pcm[14400], back[48000];
	struct sound_mp3 *m = mp3_new(false);
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, MAX);
	tone(pcm, 14400);
	assert_int_equal(sound_mp3_write(m, pcm, 14400, &out), 0);
	assert_int_equal(sound_mp3_flush(m, &out), 0);
	n = decode(&out, back, sizeof(back) / 2);
	assert_true(onset(back, 0, n) * 48000 / config.sample_rate <=
		    preset->fade_in);
	buf_fini(&out);
	sound_mp3_free(m);
}

static void loss_by_a_full_buffer_is_reported_and_keeps_the_place(void **state)
{
	static int16_t pcm[F_MAX * 20];
	struct sound_mp3 *m = mp3_new(false);
	struct buf out;

	(void)state;
	buf_init(&out, (size_t)LEN * 5);
	make_sound(pcm, F * 20, 9, 5000);
	assert_int_equal(sound_mp3_write(m, pcm, F * 20, &out), EMSGSIZE);
	assert_int_equal(sound_mp3_frames_in(m), F * 20);
	assert_int_equal(sound_mp3_frames_out(m), F * (20 - preset->lag));
	buf_clear(&out);
	assert_int_equal(sound_mp3_flush(m, &out), 0);
	assert_int_equal(out.len, LEN * preset->lag);
	buf_fini(&out);
	sound_mp3_free(m);
}

static void rates_that_mp3_has_not_are_refused(void **state)
{
	struct sound_mp3_config c = config;
	struct sound_mp3 *m = NULL;
	uint32_t frame_frames, frame_len;

	(void)state;
	c.sample_rate = 44100;
	assert_int_equal(sound_mp3_new(&c, &m), EINVAL);
	c = config;
	c.bit_s = 63999;
	assert_int_equal(sound_mp3_new(&c, &m), EINVAL);
	c.bit_s = 0;
	assert_int_equal(sound_mp3_new(&c, &m), EINVAL);
	assert_null(m);
	assert_int_equal(sound_mp3_shape(&config, &frame_frames, &frame_len),
			 0);
	assert_int_equal(frame_len, LEN);
	assert_int_equal(frame_frames, F);
	/* MPEG-1 and MPEG-2 have rates that the other has not. */
	c.bit_s = c.sample_rate == 48000 ? 144000 : 192000;
	assert_int_equal(sound_mp3_new(&c, &m), EINVAL);
	assert_null(m);
	c.bit_s = 96000;
	assert_int_equal(sound_mp3_new(&c, &m), 0);
	assert_int_equal(sound_mp3_shape(&c, &frame_frames, &frame_len), 0);
	assert_int_equal(frame_len, LEN * 96000 / config.bit_s);
	assert_int_equal(frame_frames, F);
	sound_mp3_free(m);
	sound_mp3_free(NULL);
}

static void encode_a_little(void)
{
	struct sound_mp3 *m;
	struct buf out;

	buf_init(&out, MAX);
	if (sound_mp3_new(&config, &m) == 0) {
		if (sound_mp3_write(m, NULL, (uint64_t)F * 4, &out) == 0)
			assert_int_equal(out.len, LEN * (4 - preset->lag));
		sound_mp3_free(m);
	}
	buf_fini(&out);
}

static void encoding_survives_every_failed_allocation(void **state)
{
	(void)state;
	OOM_SWEEP(encode_a_little);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_that_mp3_has_not_are_refused),
		cmocka_unit_test(flush_gives_every_frame_that_went_in),
		cmocka_unit_test(
			cached_silence_is_byte_identical_to_encoded_silence),
		cmocka_unit_test(so_it_is_when_flushed_in_between),
		cmocka_unit_test(silence_costs_no_encode),
		cmocka_unit_test(
			parts_cut_by_frame_count_add_up_to_the_uncut_file),
		cmocka_unit_test(a_burst_begins_within_3_ms_of_its_place),
		cmocka_unit_test(a_burst_at_the_very_head_fades_in),
		cmocka_unit_test(
			loss_by_a_full_buffer_is_reported_and_keeps_the_place),
		cmocka_unit_test(encoding_survives_every_failed_allocation),
	};

	int failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		use_preset(i);
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
