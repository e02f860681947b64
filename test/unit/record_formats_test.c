/** test/unit/record_formats_test.c -- a file of every format, as it is cut, as
 *  it opens and as a crash leaves it.  test/peer/45_players.test.mjs shows them
 *  to other programs: with TAPEOP_FILES the files are left in that folder, and
 *  a line a file says what it plays. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "tempdir.h"
#include "tone.h"

enum { N_MAX = 8, CHUNK = 960 };

static const int64_t start = 5000000;

/** Files that a track left: whole segments, and one as a crash leaves it. */
struct rig {
	const char *format; /* in the files' names */
	const char *ext;
	struct track *track;
	struct segment *segments[N_MAX];
	struct track_opening openings[N_MAX];
	size_t n;
	char dir[TEMPDIR_CAP];
};

static void on_begun(struct segment *s, void *arg)
{
	struct rig *r = arg;

	assert_true(r->n < N_MAX);
	r->openings[r->n] = *track_opening(r->track);
	r->segments[r->n++] = s;
}

static void on_ended(struct segment *s, void *arg)
{
	(void)s;
	(void)arg;
}

/** A file by the bytes of a segment; `less` of its end are missing. */
static void write_file(const struct rig *r, const char *what,
		       const struct track_opening *o, const struct buf *bytes,
		       size_t less)
{
	const char *keep = getenv("TAPEOP_FILES");
	struct record_found found;
	struct err err;
	char name[64], part[80];
	struct buf b;

	buf_init(&b, 8 << 20);
	buf_append(&b, o->bytes, o->head_len);
	if (bytes)
		buf_append(&b, bytes->data, bytes->len - less);
	else
		buf_append(&b, o->bytes + o->head_len, o->placeholder_len);
	assert_int_equal(buf_err(&b), 0);
	snprintf(name, sizeof(name), "%s_%s.%s", r->format, what, r->ext);
	snprintf(part, sizeof(part), "%s.part", name);
	put_file(tempdir_path(r->dir, part), b.data, b.len);
	assert_int_equal(record_recover(r->dir, name, &found, &err), 0);
	assert_true(found.there);
	if (less == 0) /* it was whole */
		assert_int_equal(found.len, b.len);
	if (keep) {
		char to[512];

		snprintf(to, sizeof(to), "%s/%s", keep, name);
		assert_int_equal(rename(tempdir_path(r->dir, name), to), 0);
		printf("file %s %llu\n", name,
		       (unsigned long long)found.frames);
	}
	buf_fini(&b);
}

static void write_files(const struct rig *r)
{
	char what[16];

	assert_int_equal(r->n, 2);
	for (size_t i = 0; i < r->n; i++) {
		snprintf(what, sizeof(what), "%zu", i);
		write_file(r, what, &r->openings[i], &r->segments[i]->bytes, 0);
	}
	write_file(r, "opened", &r->openings[1], NULL, 0);
	write_file(r, "torn", &r->openings[1], &r->segments[1]->bytes,
		   r->segments[1]->bytes.len / 3);
}

/* ---- what is recorded ------------------------------------------------------ */

static void make_track(struct rig *r, const char *format,
		       const struct track_config *config)
{
	const struct track_events events = {.begun = on_begun,
					    .ended = on_ended};

	*r = (struct rig){.format = format,
			  .ext = config->kind == TRACK_MP3 ? "mp3" : "ogg"};
	tempdir_make(r->dir);
	assert_int_equal(track_new(config, &events, r, &r->track), 0);
}

/** 5 s: talk, a loss of 52.5 ms, a pause of odd length, talk; cut at 3 s. */
static void play(struct rig *r, int channels, int app, int bit_s)
{
	struct sound_decoder *decoder;
	struct tone tone;
	int64_t pos = start;
	int err;

	assert_int_equal(sound_decoder_new(&decoder), 0);
	tone_init(&tone, channels, CHUNK, 440);
	opus_encoder_destroy(tone.opus);
	tone.opus = opus_encoder_create(48000, channels, app, &err);
	assert_non_null(tone.opus);
	opus_encoder_ctl(tone.opus, OPUS_SET_BITRATE(bit_s));
	for (int i = 0; i < 250; i++) {
		int16_t pcm[SOUND_PACKET_MAX];
		uint8_t packet[1275];
		size_t len = tone_next(&tone, packet);
		struct sound_chunk c = {.kind = CHUNK_SOUND,
					.pos = pos,
					.frames = CHUNK,
					.pcm = pcm,
					.packet = packet,
					.packet_len = len};

		assert_int_equal(
			sound_decode(decoder, packet, len, pcm, &c.frames), 0);
		if (i >= 60 && i < 63)
			c = (struct sound_chunk){.kind = CHUNK_CONCEALED,
						 .pos = pos,
						 .frames = CHUNK,
						 .pcm = pcm};
		if (i == 62) /* in several lengths of packets */
			c.frames = CHUNK - 3 * SOUND_STEP;
		if (i >= 130 && i < 180)
			c = (struct sound_chunk){.kind = CHUNK_SILENCE,
						 .pos = pos,
						 .frames = CHUNK + 7};
		assert_int_equal(track_write(r->track, &c), 0);
		pos += c.frames;
		if (i % 25 == 0)
			track_push(r->track);
	}
	assert_int_equal(track_end_segment(r->track, pos - 333), 0);
	tone_fini(&tone);
	sound_decoder_free(decoder);
	write_files(r);
	track_free(r->track);
	tempdir_remove(r->dir);
}

static void mp3_of_every_preset(void **state)
{
	static const struct {
		const char *name;
		struct sound_mp3_config mp3;
	} presets[] = {{"mp3-48", {48000, 64000, false}},
		       {"mp3-24", {24000, 48000, false}},
		       {"mp3-16", {16000, 32000, false}}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		const struct track_config config = {.mp3 = presets[i].mp3,
						    .segment_frames = 3 * 48000,
						    .max_waiting = 1 << 20};
		struct rig r;

		make_track(&r, presets[i].name, &config);
		play(&r, 1, OPUS_APPLICATION_AUDIO, 32000);
	}
}

static void ogg_copied(void **state)
{
	static const struct {
		const char *name;
		int channels, app, bit_s;
	} voices[] = {{"copy-mono", 1, OPUS_APPLICATION_AUDIO, 32000},
		      {"copy-silk", 1, OPUS_APPLICATION_VOIP, 14000},
		      {"copy-stereo", 2, OPUS_APPLICATION_AUDIO, 96000}};
	const struct track_config config = {.kind = TRACK_OGG_COPY,
					    .segment_frames = 3 * 48000,
					    .max_waiting = 1 << 20};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(voices); i++) {
		struct rig r;

		make_track(&r, voices[i].name, &config);
		play(&r, voices[i].channels, voices[i].app, voices[i].bit_s);
	}
}

static void ogg_encoded(void **state)
{
	const struct track_config config = {.kind = TRACK_OGG_OPUS,
					    .opus_bit_s = 64000,
					    .segment_frames = 3 * 48000,
					    .max_waiting = 1 << 20};
	struct rig r;

	(void)state;
	make_track(&r, "encoded", &config);
	play(&r, 1, OPUS_APPLICATION_AUDIO, 32000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mp3_of_every_preset),
		cmocka_unit_test(ogg_copied),
		cmocka_unit_test(ogg_encoded),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
