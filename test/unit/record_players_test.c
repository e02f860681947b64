/** test/unit/record_players_test.c -- files of every format please the players
 *  and checkers that others have: not one complaint. */
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

enum { N_MAX = 8, CHUNK = 960, MS = 48 };

static const int64_t start = 5000000;

/** Files that a track left: whole segments, and one as a crash leaves it. */
struct rig {
	const char *ext;
	struct track *track;
	struct segment *segments[N_MAX];
	struct track_opening openings[N_MAX];
	size_t n;
	char dir[TEMPDIR_CAP];
	uint64_t frames[N_MAX + 2];
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

static const char *path_of(const struct rig *r, size_t i)
{
	char name[32];

	snprintf(name, sizeof(name), "f%zu_audio.%s", i, r->ext);
	return tempdir_path(r->dir, name);
}

/** Segments, then what a file opens with, then a torn one, recovered. */
static void write_files(struct rig *r)
{
	struct record_found found;
	struct err err;
	char name[40];

	for (size_t i = 0; i < r->n + 2; i++) {
		const size_t k = i < r->n ? i : 0;
		const struct track_opening *o = &r->openings[k];
		const struct buf *bytes = &r->segments[k]->bytes;
		struct buf b;

		buf_init(&b, 8 << 20);
		buf_append(&b, o->bytes, o->head_len);
		if (i == r->n)
			buf_append(&b, o->bytes + o->head_len,
				   o->placeholder_len);
		else
			buf_append(&b, bytes->data, bytes->len);
		if (i == r->n + 1)
			b.len -= bytes->len / 3;
		assert_int_equal(buf_err(&b), 0);
		r->frames[i] = r->segments[k]->frames;
		snprintf(name, sizeof(name), "f%zu_audio.%s%s", i, r->ext,
			 i == r->n + 1 ? ".part" : "");
		put_file(tempdir_path(r->dir, name), b.data, b.len);
		buf_fini(&b);
	}
	r->frames[r->n] = 0; /* some silence */
	snprintf(name, sizeof(name), "f%zu_audio.%s", r->n + 1, r->ext);
	assert_int_equal(record_recover(r->dir, name, &found, &err), 0);
	assert_true(found.there);
	r->frames[r->n + 1] = found.frames;
}

/** Run it for the file $F; it must end well and say nothing. */
static void run(const char *command, const char *path)
{
	char text[4096];
	size_t len;
	FILE *p;
	int status;

	setenv("F", path, 1);
	p = popen(command, "r");
	assert_non_null(p);
	len = fread(text, 1, sizeof(text) - 1, p);
	text[len] = 0;
	status = pclose(p);
	if (status != 0 || len > 0)
		print_error("%s: status %d\n%s\n", command, status, text);
	assert_int_equal(status, 0);
	assert_int_equal(len, 0);
}

static bool is_there(const char *tool)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", tool);
	return system(command) == 0; // NOLINT: a test's own words
}

/** Decode to raw PCM and count: `frames` at 48 kHz, give or take `slack`. */
static void expect_length(const char *path, uint64_t frames, uint64_t slack)
{
	uint64_t n = 0;
	char pcm[9600];
	size_t len;
	FILE *p;

	setenv("F", path, 1);
	p = popen("ffmpeg -nostdin -v error -i $F -f s16le -ac 1 -ar 48000 -",
		  "r");
	assert_non_null(p);
	while ((len = fread(pcm, 1, sizeof(pcm), p)) > 0)
		n += len;
	assert_int_equal(pclose(p), 0);
	n /= 2;
	if (n + slack < frames || n > frames + slack)
		print_error("%s: %llu frames, not %llu\n", path,
			    (unsigned long long)n, (unsigned long long)frames);
	assert_true(n + slack >= frames && n <= frames + slack);
}

static void check_mp3(const char *path)
{
	/* ffmpeg tells how it knows the length without a header (rightly), and
	 * that three frames are few. */
	run("ffprobe -v warning $F 2>&1 | grep -v "
	    "'Estimating duration from bitrate\\|low score of 1' || true",
	    path);
	run("ffmpeg -nostdin -v warning -i $F -f null - 2>&1 | grep -v "
	    "'Estimating duration from bitrate\\|low score of 1' || true",
	    path);
	run("mpg123 -q -t $F 2>&1", path);
	run("sox $F -n stat 2>&1 | grep -i 'warn\\|fail' || true", path);
}

static void check_ogg(const char *path)
{
	run("ffprobe -v warning $F 2>&1", path);
	run("ffmpeg -nostdin -v warning -i $F -f null - 2>&1", path);
	run("opusinfo $F 2>&1 | grep -i 'warn\\|error\\|hole\\|invalid\\|"
	    "missing\\|discont' || true",
	    path);
	run("opusinfo -q $F >/dev/null", path);
	run("opusdec --quiet $F /dev/null 2>&1", path);
}

/* ---- what is recorded ------------------------------------------------------ */

static void make_track(struct rig *r, const struct track_config *config)
{
	const struct track_events events = {.begun = on_begun,
					    .ended = on_ended};

	*r = (struct rig){.ext = config->kind == TRACK_MP3 ? "mp3" : "ogg"};
	tempdir_make(r->dir);
	assert_int_equal(track_new(config, &events, r, &r->track), 0);
}

/** 5 s: talk, a loss, a pause of odd length, talk; cut each 2 s. */
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
}

static void check(struct rig *r, void (*player)(const char *path),
		  uint64_t slack)
{
	assert_int_equal(r->n, 3);
	for (size_t i = 0; i < r->n + 2; i++) {
		player(path_of(r, i));
		if (r->frames[i])
			expect_length(path_of(r, i), r->frames[i], slack);
	}
	track_free(r->track);
	tempdir_remove(r->dir);
}

static void mp3_of_every_preset_plays(void **state)
{
	static const struct sound_mp3_config presets[] = {
		{48000, 64000, false},
		{24000, 48000, false},
		{16000, 32000, false}};

	(void)state;
	if (!is_there("ffmpeg") || !is_there("mpg123") || !is_there("sox"))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		const struct track_config config = {.mp3 = presets[i],
						    .segment_frames = 96000,
						    .max_waiting = 1 << 20};
		struct rig r;

		make_track(&r, &config);
		play(&r, 1, OPUS_APPLICATION_AUDIO, 32000);
		check(&r, check_mp3, 0);
	}
}

static void copied_ogg_plays(void **state)
{
	static const struct {
		int channels, app, bit_s;
	} voices[] = {{1, OPUS_APPLICATION_AUDIO, 32000},
		      {1, OPUS_APPLICATION_VOIP, 14000},
		      {2, OPUS_APPLICATION_AUDIO, 96000}};

	(void)state;
	if (!is_there("ffmpeg") || !is_there("opusinfo"))
		skip();
	for (size_t i = 0; i < ARRAY_LEN(voices); i++) {
		const struct track_config config = {.kind = TRACK_OGG_COPY,
						    .segment_frames = 96000,
						    .max_waiting = 1 << 20};
		struct rig r;

		make_track(&r, &config);
		play(&r, voices[i].channels, voices[i].app, voices[i].bit_s);
		check(&r, check_ogg, 0);
	}
}

static void encoded_ogg_plays(void **state)
{
	const struct track_config config = {.kind = TRACK_OGG_OPUS,
					    .opus_bit_s = 64000,
					    .segment_frames = 96000,
					    .max_waiting = 1 << 20};
	struct rig r;

	(void)state;
	if (!is_there("ffmpeg") || !is_there("opusinfo"))
		skip();
	make_track(&r, &config);
	play(&r, 1, OPUS_APPLICATION_AUDIO, 32000);
	check(&r, check_ogg, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mp3_of_every_preset_plays),
		cmocka_unit_test(copied_ogg_plays),
		cmocka_unit_test(encoded_ogg_plays),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
