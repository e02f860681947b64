/** test/unit/sound_reader_test.c -- recorded files, decoded again. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <lame/lame.h>
#include <math.h>
#include <ogg/ogg.h>
#include <stdlib.h>
#include <string.h>

#include "sound/sound.h"

#include "oom.h"
#include "tone.h"

enum {
	HEARD_MAX = 20 * SOUND_RATE,
	FILE_MAX = 8 << 20,
	MP3_FRAME = 1152,
	NEAR = 3 * SOUND_FRAMES_PER_MS, /* an MP3's onset */
	PRE_SKIP = 312
};

/* What a reader put out; silence beyond it is only counted. */
struct heard {
	int16_t pcm[HEARD_MAX];
	uint64_t n, silence;
};

static struct heard heard;

static void on_pcm(const int16_t *pcm, uint64_t frames, void *arg)
{
	struct heard *h = arg;

	assert_true(frames > 0);
	assert_true(!pcm || frames <= SOUND_PACKET_MAX);
	for (uint64_t i = 0; i < frames && h->n + i < HEARD_MAX; i++)
		h->pcm[h->n + i] = pcm ? pcm[i] : 0;
	h->n += frames;
	h->silence += pcm ? 0 : frames;
}

/* Read a file in pieces of `piece` bytes. */
static int hear(const void *data, size_t len, size_t piece)
{
	const uint8_t *bytes = data;
	struct sound_reader *r;
	int err;

	heard.n = heard.silence = 0;
	err = sound_reader_new(on_pcm, &heard, &r);
	if (err)
		return err;
	for (size_t at = 0; !err && at < len; at += piece)
		err = sound_reader_feed(r, bytes + at,
					len - at < piece ? len - at : piece);
	if (!err)
		err = sound_reader_end(r);
	assert_int_equal(sound_reader_frames(r), heard.n);
	sound_reader_free(r);
	return err;
}

static void sine(int16_t *pcm, size_t n, double hz, double rate)
{
	for (size_t i = 0; i < n; i++)
		pcm[i] =
			(int16_t)(8000 * sin(2 * M_PI * hz * (double)i / rate));
}

/* First frame at or behind `from` that is loud. */
static size_t onset(size_t from)
{
	while (from < heard.n && abs(heard.pcm[from]) < 1000)
		from++;
	return from;
}

/* ---- MP3 ------------------------------------------------------------------- */

/* A second of 600 Hz, eight of silence, one of 1000 Hz. */
static uint64_t make_mp3(struct buf *b)
{
	static const struct sound_mp3_config config = {.sample_rate = 48000,
						       .bit_s = 64000};
	static int16_t pcm[SOUND_RATE];
	struct sound_mp3 *m;
	uint64_t frames;

	buf_init(b, FILE_MAX);
	assert_int_equal(sound_mp3_new(&config, &m), 0);
	sine(pcm, SOUND_RATE, 600, SOUND_RATE);
	assert_int_equal(sound_mp3_write(m, pcm, SOUND_RATE, b), 0);
	assert_int_equal(sound_mp3_write(m, NULL, 8 * SOUND_RATE, b), 0);
	sine(pcm, SOUND_RATE, 1000, SOUND_RATE);
	assert_int_equal(sound_mp3_write(m, pcm, SOUND_RATE, b), 0);
	assert_int_equal(sound_mp3_flush(m, b), 0);
	frames = sound_mp3_frames_out(m);
	sound_mp3_free(m);
	assert_int_equal(buf_err(b), 0);
	return frames;
}

static void our_own_files_come_back_at_their_places(void **state)
{
	struct buf b;
	uint64_t frames = make_mp3(&b);
	size_t at;

	(void)state;
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	assert_int_equal(heard.n, frames);
	assert_int_equal(tone_hz(heard.pcm + 4800, 38400), 600);
	assert_true(onset(0) < NEAR + 600); /* it fades in */
	at = onset(2 * SOUND_RATE);
	assert_in_range(at, 9 * SOUND_RATE - NEAR, 9 * SOUND_RATE + NEAR);
	assert_int_equal(tone_hz(heard.pcm + at + 4800, 38400), 1000);
	assert_in_range(tone_power(heard.pcm + at + 4800, 38400), 5200, 5900);
	/* most of the silence costs nothing */
	assert_true(heard.silence > 6 * SOUND_RATE);
	buf_fini(&b);
}

static void pieces_of_any_size_are_the_same_file(void **state)
{
	static const size_t pieces[] = {1, 3, 191, 192, 193, 5000};
	static int16_t whole[HEARD_MAX];
	struct buf b;
	uint64_t n;

	(void)state;
	make_mp3(&b);
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	n = heard.n;
	memcpy(whole, heard.pcm, sizeof(whole));
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		assert_int_equal(hear(b.data, b.len, pieces[i]), 0);
		assert_int_equal(heard.n, n);
		assert_memory_equal(whole, heard.pcm, n * sizeof(whole[0]));
	}
	buf_fini(&b);
}

/* Silence that is skipped must leave no trace: without it the same file. */
static void skipped_silence_changes_nothing(void **state)
{
	static int16_t skipped[HEARD_MAX];
	struct buf b, c;
	uint64_t n;
	size_t silent = 0;

	(void)state;
	make_mp3(&b);
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	n = heard.n;
	memcpy(skipped, heard.pcm, sizeof(skipped));
	/* every other silent frame gets a private bit that sounds of nothing,
	 * so that no two in a row are equal */
	buf_init(&c, FILE_MAX);
	buf_append(&c, b.data, b.len);
	for (size_t at = 60 * 192; at + 192 <= c.len; at += 384) {
		if (memcmp(b.data + at, b.data + at + 192, 192) != 0)
			continue;
		c.data[at + 2] |= 1;
		silent++;
	}
	assert_true(silent > 100);
	assert_int_equal(hear(c.data, c.len, c.len), 0);
	assert_int_equal(heard.n, n);
	/* LAME's own sums round by where it is in a buffer of 16 */
	for (size_t i = 0; i < n; i++)
		assert_true(abs(skipped[i] - heard.pcm[i]) <= 1);
	buf_fini(&b);
	buf_fini(&c);
}

/* One second of 500 Hz by LAME at another rate. */
static size_t lame_file(int rate, int kbit_s, int channels, uint8_t *out,
			size_t cap)
{
	static int16_t pcm[SOUND_RATE];
	lame_t lame = lame_init();
	int n, rest;

	assert_non_null(lame);
	lame_set_in_samplerate(lame, rate);
	lame_set_out_samplerate(lame, rate);
	lame_set_num_channels(lame, channels);
	lame_set_mode(lame, channels == 1 ? MONO : JOINT_STEREO);
	lame_set_brate(lame, kbit_s);
	lame_set_bWriteVbrTag(lame, 0);
	assert_true(lame_init_params(lame) >= 0);
	sine(pcm, (size_t)rate, 500, rate);
	n = lame_encode_buffer(lame, pcm, pcm, rate, out, (int)cap);
	assert_true(n >= 0);
	rest = lame_encode_flush(lame, out + n, (int)cap - n);
	assert_true(rest >= 0);
	lame_close(lame);
	return (size_t)n + (size_t)rest;
}

static void other_rates_and_channels_have_the_same_length(void **state)
{
	static const struct {
		int rate, kbit_s, channels;
	} files[] = {{48000, 64, 1}, {24000, 48, 1},  {16000, 32, 1},
		     {44100, 64, 1}, {22050, 32, 1},  {48000, 128, 2},
		     {32000, 64, 1}, {48000, 320, 2}, {24000, 160, 2}};
	static uint8_t out[FILE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		size_t len = lame_file(files[i].rate, files[i].kbit_s,
				       files[i].channels, out, sizeof(out));
		size_t at;

		assert_int_equal(hear(out, len, 1000), 0);
		assert_in_range(heard.n, SOUND_RATE, SOUND_RATE * 5 / 4);
		at = onset(0);
		assert_true(at < SOUND_RATE / 8);
		assert_in_range(tone_hz(heard.pcm + at + 4800, 24000), 498,
				502);
		assert_in_range(tone_power(heard.pcm + at + 4800, 24000), 5300,
				6000);
	}
}

static void broken_frames_are_silence_of_their_length(void **state)
{
	struct buf b;
	uint64_t frames = make_mp3(&b);

	(void)state;
	for (size_t i = 20; i < 30; i++)
		memset(b.data + i * 192 + 4, 0xa5, 188);
	assert_int_equal(hear(b.data, b.len, 777), 0);
	assert_int_equal(heard.n, frames);
	assert_in_range(tone_hz(heard.pcm + 34 * MP3_FRAME, 4800), 590, 610);
	/* cut off in the midst of a frame: what is whole */
	assert_int_equal(hear(b.data, 192 * 30 + 100, 777), 0);
	assert_int_equal(heard.n, 30 * MP3_FRAME);
	buf_fini(&b);
}

static void junk_is_skipped_but_not_for_ever(void **state)
{
	static uint8_t junk[70 * 1024];
	struct buf b, c;
	uint64_t frames = make_mp3(&b);

	(void)state;
	memset(junk, 'x', sizeof(junk));
	buf_init(&c, FILE_MAX);
	buf_append(&c, junk, 1000);
	buf_append(&c, b.data, b.len);
	assert_int_equal(hear(c.data, c.len, 100), 0);
	assert_int_equal(heard.n, frames);
	assert_int_equal(hear(junk, sizeof(junk), 100), EBADMSG);
	assert_int_equal(hear(junk, 2000, 2000), EBADMSG); /* the end */
	assert_int_equal(hear("ID", 2, 2), EBADMSG);
	assert_int_equal(hear("", 0, 1), 0); /* no file, no fault */
	buf_fini(&b);
	buf_fini(&c);
}

/* ---- Ogg Opus --------------------------------------------------------------- */

struct ogg_file {
	ogg_stream_state stream;
	struct buf *out;
	int64_t n;
};

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
	ogg_page page;

	memcpy(copy, data, len);
	assert_int_equal(ogg_stream_packetin(&f->stream, &p), 0);
	if (f->n++ < 2 || f->n % 7 == 0 || last) {
		while (ogg_stream_flush(&f->stream, &page)) {
			buf_append(f->out, page.header,
				   (size_t)page.header_len);
			buf_append(f->out, page.body, (size_t)page.body_len);
		}
	}
}

/* 100 packets of 20 ms that begin at granule `start`; from packet 49 on (a new
 * page) `hole` later; the last `trim` frames are not heard. */
static void make_ogg(struct buf *b, int64_t start, int64_t hole, int64_t trim)
{
	static const uint8_t head[19] = {'O', 'p', 'u', 's', 'H', 'e',	'a',
					 'd', 1,   1,	56,  1,	  0x80, 0xbb,
					 0,   0,   0,	0,   0};
	struct ogg_file f = {.out = b};
	struct tone t;

	buf_init(b, FILE_MAX);
	tone_init(&t, 1, 960, 440);
	assert_int_equal(ogg_stream_init(&f.stream, 4711), 0);
	ogg_put(&f, head, sizeof(head), 0, false);
	ogg_put(&f, "OpusTags\0\0\0\0\0\0\0\0", 16, 0, false);
	for (int i = 0; i < 100; i++) {
		uint8_t packet[1275];
		size_t len = tone_next(&t, packet);
		int64_t granule = start + (i + 1) * 960;

		if (i >= 47)
			granule += hole;
		ogg_put(&f, packet, len, granule - (i == 99 ? trim : 0),
			i == 99);
	}
	ogg_stream_clear(&f.stream);
	tone_fini(&t);
	assert_int_equal(buf_err(b), 0);
}

static void opus_is_skipped_trimmed_and_put_in_its_place(void **state)
{
	struct buf b;

	(void)state;
	make_ogg(&b, 0, 0, 0);
	assert_int_equal(hear(b.data, b.len, 333), 0);
	assert_int_equal(heard.n, 100 * 960 - PRE_SKIP);
	assert_in_range(tone_hz(heard.pcm + 9600, 48000), 439, 441);
	assert_int_equal(heard.silence, 0);
	buf_fini(&b);

	make_ogg(&b, 0, 0, 1000);
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	assert_int_equal(heard.n, 100 * 960 - PRE_SKIP - 1000);
	buf_fini(&b);

	/* from the midst of a stream: it begins where its sound does */
	make_ogg(&b, 1000000, 0, 0);
	assert_int_equal(hear(b.data, b.len, 1), 0);
	assert_int_equal(heard.n, 100 * 960 - PRE_SKIP);
	buf_fini(&b);
}

static void holes_in_opus_are_silence(void **state)
{
	struct buf b;
	size_t at;

	(void)state;
	make_ogg(&b, 0, 2 * SOUND_RATE, 0);
	assert_int_equal(hear(b.data, b.len, 333), 0);
	assert_int_equal(heard.n, 100 * 960 - PRE_SKIP + 2 * SOUND_RATE);
	assert_int_equal(heard.silence, 2 * SOUND_RATE);
	at = 47 * 960 - PRE_SKIP;
	assert_true(tone_power(heard.pcm + at - 4800, 4800) > 4000);
	assert_true(tone_power(heard.pcm + at, 2 * SOUND_RATE) == 0);
	assert_true(tone_power(heard.pcm + at + 2 * SOUND_RATE, 4800) > 4000);
	buf_fini(&b);

	/* however long: nothing is allocated, and no time passes */
	make_ogg(&b, 0, INT64_C(1) << 60, 0);
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	assert_int_equal(heard.n, 100 * 960 - PRE_SKIP + (INT64_C(1) << 60));
	buf_fini(&b);

	/* one that goes back is not believed */
	make_ogg(&b, 0, -40 * 960, 0);
	assert_int_equal(hear(b.data, b.len, b.len), 0);
	assert_in_range(heard.n, 47 * 960, 100 * 960);
	buf_fini(&b);
}

static void half_an_ogg_is_half_the_sound(void **state)
{
	struct buf b;

	(void)state;
	make_ogg(&b, 0, 0, 0);
	assert_int_equal(hear(b.data, b.len / 2, 50), 0);
	assert_in_range(heard.n, 30 * 960, 60 * 960);
	assert_int_equal(hear(b.data, 60, 50), EBADMSG); /* no header */
	assert_int_equal(hear("OggSabcd", 8, 3), EBADMSG);
	for (size_t i = 200; i < b.len; i += 97)
		b.data[i] ^= 0x55; /* CRC: most pages are lost */
	assert_int_equal(hear(b.data, b.len, 50), 0);
	buf_fini(&b);
}

/* ---- memory ------------------------------------------------------------------- */

static struct buf oom_mp3, oom_ogg;

static void read_both(void)
{
	int err = hear(oom_mp3.data, oom_mp3.len, 4096);

	assert_true(err == 0 || err == ENOMEM);
	err = hear(oom_ogg.data, oom_ogg.len, 4096);
	assert_true(err == 0 || err == ENOMEM);
}

static void no_memory_is_an_error(void **state)
{
	(void)state;
	make_mp3(&oom_mp3);
	make_ogg(&oom_ogg, 0, 0, 0);
	OOM_SWEEP(read_both);
	buf_fini(&oom_mp3);
	buf_fini(&oom_ogg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own_files_come_back_at_their_places),
		cmocka_unit_test(pieces_of_any_size_are_the_same_file),
		cmocka_unit_test(skipped_silence_changes_nothing),
		cmocka_unit_test(other_rates_and_channels_have_the_same_length),
		cmocka_unit_test(broken_frames_are_silence_of_their_length),
		cmocka_unit_test(junk_is_skipped_but_not_for_ever),
		cmocka_unit_test(opus_is_skipped_trimmed_and_put_in_its_place),
		cmocka_unit_test(holes_in_opus_are_silence),
		cmocka_unit_test(half_an_ogg_is_half_the_sound),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
