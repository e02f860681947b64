/** test/unit/sound_source_test.c -- decoder, packet lengths, files. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <ogg/ogg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sound/sound.h"

#include "oom.h"
#include "tone.h"

/* ---- making files ----------------------------------------------------- */

static void put16(struct buf *b, uint32_t v)
{
	buf_putc(b, (char)(v & 255));
	buf_putc(b, (char)(v >> 8 & 255));
}

static void put32(struct buf *b, uint32_t v)
{
	put16(b, v & 65535);
	put16(b, v >> 16);
}

/* A WAV with `n` frames of a 440 Hz tone. */
static void make_wav(struct buf *b, uint32_t rate, uint32_t channels,
		     uint32_t n, uint32_t said)
{
	buf_puts(b, "RIFF");
	put32(b, 36 + said);
	buf_puts(b, "WAVEfmt ");
	put32(b, 16);
	put16(b, 1);
	put16(b, channels);
	put32(b, rate);
	put32(b, rate * channels * 2);
	put16(b, channels * 2);
	put16(b, 16);
	buf_puts(b, "data");
	put32(b, said);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t c = 0; c < channels; c++)
			put16(b, (uint16_t)(int16_t)(8000 * sin(2 * M_PI * 440 *
								i / rate)));
}

struct ogg_file {
	ogg_stream_state stream;
	struct buf *out;
	int64_t granule;
	int64_t n;
};

static void ogg_pages(struct ogg_file *f, bool flush)
{
	ogg_page page;

	while (flush ? ogg_stream_flush(&f->stream, &page)
		     : ogg_stream_pageout(&f->stream, &page)) {
		buf_append(f->out, page.header, (size_t)page.header_len);
		buf_append(f->out, page.body, (size_t)page.body_len);
	}
}

static void ogg_put(struct ogg_file *f, const void *data, size_t len,
		    int64_t granule, bool last)
{
	uint8_t copy[SOUND_OPUS_MAX];
	ogg_packet p = {.packet = copy,
			.bytes = (long)len,
			.b_o_s = f->n == 0,
			.e_o_s = last,
			.granulepos = granule,
			.packetno = f->n};

	memcpy(copy, data, len);
	f->n++;
	assert_int_equal(ogg_stream_packetin(&f->stream, &p), 0);
}

/* `packets` packets of 20 ms; the stream begins at granule `start`, the
 * last `trim` frames are not to be played. */
static void make_ogg(struct buf *b, int packets, int64_t start, uint32_t trim)
{
	static const uint8_t head[19] = {'O', 'p', 'u', 's', 'H', 'e',	'a',
					 'd', 1,   1,	56,  1,	  0x80, 0xbb,
					 0,   0,   0,	0,   0};
	struct ogg_file f = {.out = b};
	struct tone t;

	tone_init(&t, 1, 960, 440);
	assert_int_equal(ogg_stream_init(&f.stream, 4711), 0);
	ogg_put(&f, head, sizeof(head), 0, false); /* pre-skip 312 */
	ogg_pages(&f, true);
	ogg_put(&f, "OpusTags\0\0\0\0\0\0\0\0", 16, 0, false);
	ogg_pages(&f, true);
	for (int i = 0; i < packets; i++) {
		const bool last = i == packets - 1;
		uint8_t packet[1275];
		size_t len = tone_next(&t, packet);

		ogg_put(&f, packet, len,
			start + (i + 1) * 960 - (last ? trim : 0), last);
		ogg_pages(&f, i % 10 == 9);
	}
	ogg_pages(&f, true);
	ogg_stream_clear(&f.stream);
	tone_fini(&t);
	assert_int_equal(buf_err(b), 0);
}

/* All packets decoded; returns frames. */
static size_t decode_all(struct sound_source *s, int16_t *pcm, size_t cap)
{
	struct sound_decoder *d;
	size_t n = 0;

	assert_int_equal(sound_decoder_new(&d), 0);
	for (;;) {
		const uint8_t *packet;
		size_t len;
		uint32_t said, got;

		assert_int_equal(sound_source_next(s, &packet, &len, &said), 0);
		if (len == 0)
			break;
		assert_true(n + SOUND_PACKET_MAX <= cap);
		assert_int_equal(sound_decode(d, packet, len, pcm + n, &got),
				 0);
		assert_int_equal(got, said);
		n += got;
	}
	sound_decoder_free(d);
	return n;
}

/* ---- tests ------------------------------------------------------------ */

static void packet_frames_follow_the_table_of_contents(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		uint32_t frames;
	} cases[] = {
		/* RFC 6716 section 3.1, table 2; section 3.2: codes 0-3 */
		{"\x00", 1, 480},		   /* SILK 10 ms */
		{"\x18", 1, 2880},		   /* SILK 60 ms */
		{"\x60", 1, 480},		   /* hybrid 10 ms */
		{"\x68", 1, 960},		   /* hybrid 20 ms */
		{"\xe0", 1, 120},		   /* CELT 2.5 ms */
		{"\xf8\xff\xfe", 3, 960},	   /* CELT 20 ms: silence */
		{"\xf9\xff\xfe", 3, 1920},	   /* two of equal length */
		{"\xf9\xff", 2, 0},		   /* odd length: not two */
		{"\xfa\x01\xff\xfe", 4, 1920},	   /* two of their own length */
		{"\xfa\x09\xff\xfe", 4, 0},	   /* first longer than all */
		{"\xfa", 1, 0},			   /* no length */
		{"\xfb", 1, 0},			   /* no frame count */
		{"\xfb\x03\x01\x02\x03", 5, 2880}, /* three of 20 ms */
		{"\xfb\x06\1\2\3\4\5\6", 8, 5760}, /* 120 ms */
		{"\xfb\x07\1\2\3\4\5\6\7", 9, 0},  /* 140 ms: too long */
		{"\xfb\x00\x01", 3, 0},		   /* no frames */
		{"\xfb\x42\xff\x01", 4, 0},	   /* padding beyond the end */
	};

	(void)state;
	assert_int_equal(sound_packet_frames("", 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			sound_packet_frames(cases[i].bytes, cases[i].len),
			cases[i].frames);
}

static void a_packet_that_is_none_leaves_the_decoder_unharmed(void **state)
{
	static int16_t a[SOUND_PACKET_MAX], b[SOUND_PACKET_MAX];
	struct sound_decoder *d, *e;
	struct tone t;
	uint8_t packet[1275];

	(void)state;
	assert_int_equal(sound_decoder_new(&d), 0);
	assert_int_equal(sound_decoder_new(&e), 0);
	tone_init(&t, 2, 960, 440);
	for (int i = 0; i < 20; i++) {
		size_t len = tone_next(&t, packet);
		uint32_t n, m = 0;

		assert_int_equal(sound_decode(d, packet, len, a, &n), 0);
		assert_int_equal(sound_decode(e, "\xfb", 1, b, &m), EBADMSG);
		assert_int_equal(sound_decode(e, "", 0, b, &m), EBADMSG);
		assert_int_equal(m, 0);
		assert_int_equal(sound_decode(e, packet, len, b, &m), 0);
		assert_int_equal(n, 960);
		assert_memory_equal(a, b, 960 * 2);
	}
	sound_decoder_reset(d);
	assert_int_equal(sound_conceal(d, 960, a), 0);
	assert_int_equal(sound_conceal(d, 120, a), 0);
	assert_int_equal(sound_conceal(d, SOUND_PACKET_MAX, a), 0);
	sound_decoder_free(d);
	sound_decoder_free(e);
	sound_decoder_free(NULL);
	tone_fini(&t);
}

static void concealed_sound_goes_on_and_fades(void **state)
{
	static int16_t pcm[SOUND_PACKET_MAX];
	struct sound_decoder *d;
	struct tone t;
	uint8_t packet[1275];
	uint32_t n;
	double first, last;

	(void)state;
	assert_int_equal(sound_decoder_new(&d), 0);
	tone_init(&t, 1, 960, 440);
	for (int i = 0; i < 25; i++)
		assert_int_equal(
			sound_decode(d, packet, tone_next(&t, packet), pcm, &n),
			0);
	assert_int_equal(sound_conceal(d, 4800, pcm), 0);
	first = tone_power(pcm, 960);
	last = tone_power(pcm + 3840, 960);
	assert_true(first > 1000);
	assert_true(last < first / 2);
	sound_decoder_free(d);
	tone_fini(&t);
}

static void wav_of_any_rate_comes_out_as_the_same_tone(void **state)
{
	static const uint32_t rates[] = {8000,	11025, 12000, 16000, 22050,
					 24000, 32000, 44100, 48000};
	static int16_t pcm[48000 * 3];

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]) * 2; i++) {
		const uint32_t rate = rates[i / 2];
		struct sound_source *s;
		struct buf b;
		size_t n;

		buf_init(&b, 1 << 20);
		make_wav(&b, rate, 1 + i % 2, rate * 2, rate * 4);
		assert_int_equal(sound_source_new(b.data, b.len, &s), 0);
		assert_int_equal(sound_source_frames(s), i % 2 ? 48000 : 96000);
		n = decode_all(s, pcm, sizeof(pcm) / 2);
		assert_int_equal(n, sound_source_frames(s));
		assert_in_range(tone_hz(pcm + 9600, 33600), 437, 443);
		assert_true(tone_power(pcm + 9600, 33600) > 3000);
		sound_source_free(s);
		buf_fini(&b);
	}
}

/* `said` is in bytes of the data chunk: half of what a stereo file holds is
 * cut above; here: lengths that lie. */
static void wav_lengths_are_not_believed(void **state)
{
	static int16_t pcm[48000];
	struct sound_source *s;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	make_wav(&b, 16000, 1, 3217, UINT32_MAX);
	assert_int_equal(sound_source_new(b.data, b.len, &s), 0);
	assert_int_equal(sound_source_frames(s), 3217 * 3);
	assert_int_equal(decode_all(s, pcm, 48000), 11 * 960);
	sound_source_free(s);
	for (size_t len = 0; len < 44; len++)
		assert_int_equal(sound_source_new(b.data, len, &s), EBADMSG);
	assert_int_equal(sound_source_new(b.data, 44, &s), 0);
	assert_int_equal(sound_source_frames(s), 0);
	sound_source_free(s);
	b.data[34] = 24; /* bits */
	assert_int_equal(sound_source_new(b.data, b.len, &s), EBADMSG);
	buf_fini(&b);
}

static void ogg_opus_gives_its_packets_and_its_length(void **state)
{
	static int16_t pcm[48000 * 4];
	static const struct {
		int packets;
		int64_t start;
		uint32_t trim;
		uint64_t frames;
	} cases[] = {
		{150, 0, 0, 144000 - 312},
		{150, 0, 700, 144000 - 312 - 700},
		{150, 480000, 0, 144000 - 312}, /* cut out of a live stream */
		{3, 0, 500, 2880 - 312 - 500},	/* one page, first and last */
		{1, 0, 900, 0},			/* less than the pre-skip */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sound_source *s;
		struct buf b;
		size_t n;

		buf_init(&b, 1 << 20);
		make_ogg(&b, cases[i].packets, cases[i].start, cases[i].trim);
		assert_int_equal(sound_source_new(b.data, b.len, &s), 0);
		assert_int_equal(sound_source_frames(s), cases[i].frames);
		n = decode_all(s, pcm, sizeof(pcm) / 2);
		assert_int_equal(n, cases[i].packets * 960);
		if (n > 100000)
			assert_in_range(tone_hz(pcm + 9600, 33600), 438, 442);
		sound_source_free(s);
		buf_fini(&b);
	}
}

static void a_damaged_ogg_never_crashes(void **state)
{
	uint32_t seed = 1;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	make_ogg(&b, 30, 0, 0);
	for (int i = 0; i < 400; i++) {
		uint8_t *copy = malloc(b.len);
		size_t len = b.len;
		struct sound_source *s;

		memcpy(copy, b.data, b.len);
		seed = seed * 1103515245u + 12345u;
		if (i % 2)
			len = seed % b.len;
		else
			copy[seed % b.len] ^= (uint8_t)(1 + seed / 65536 % 255);
		if (sound_source_new(copy, len, &s) == 0) {
			const uint8_t *p;
			size_t n = 1;
			uint32_t f;

			while (n > 0 && sound_source_next(s, &p, &n, &f) == 0)
				;
			sound_source_free(s);
		}
		free(copy);
	}
	buf_fini(&b);
}

static struct buf oom_file;

static void read_a_little(void)
{
	struct sound_source *s;
	struct sound_decoder *d;
	const uint8_t *packet;
	size_t len;
	uint32_t n;

	if (sound_decoder_new(&d) == 0)
		sound_decoder_free(d);
	if (sound_source_new(oom_file.data, oom_file.len, &s) == 0) {
		assert_int_equal(sound_source_next(s, &packet, &len, &n), 0);
		sound_source_free(s);
	}
}

static void sources_survive_every_failed_allocation(void **state)
{
	(void)state;
	buf_init(&oom_file, 1 << 20);
	make_wav(&oom_file, 16000, 1, 1600, 3200);
	OOM_SWEEP(read_a_little);
	buf_clear(&oom_file);
	make_ogg(&oom_file, 3, 0, 0);
	OOM_SWEEP(read_a_little);
	buf_fini(&oom_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_frames_follow_the_table_of_contents),
		cmocka_unit_test(
			a_packet_that_is_none_leaves_the_decoder_unharmed),
		cmocka_unit_test(concealed_sound_goes_on_and_fades),
		cmocka_unit_test(wav_of_any_rate_comes_out_as_the_same_tone),
		cmocka_unit_test(wav_lengths_are_not_believed),
		cmocka_unit_test(ogg_opus_gives_its_packets_and_its_length),
		cmocka_unit_test(a_damaged_ogg_never_crashes),
		cmocka_unit_test(sources_survive_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
