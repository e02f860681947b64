/** test/unit/record_track_test.c -- sound by position into segments, cut
 *  without a sample lost or doubled. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "oom.h"
#include "tempdir.h"
#include "wire/mp3.h"
#include "wire/sig.h"

enum {
	CHUNK = 960, /* 20 ms */
	N_MAX = 64,
	WAIT_MAX = 1 << 20,
};

static const int64_t start = 987654321;

static const struct {
	struct sound_mp3_config config;
	uint32_t frame_frames, frame_len;
} presets[] = {{{48000, 64000, false}, 1152, 192},
	       {{24000, 48000, false}, 1152, 144},
	       {{16000, 32000, false}, 1728, 144}};

/* Of the preset that is tested now. */
static struct sound_mp3_config mp3_config;
static int64_t F;  /* 48 kHz frames of an MP3 frame */
static size_t LEN; /* bytes of one */

/** What became of a segment. */
struct piece {
	struct segment *s;
	int64_t start_pos;
	uint64_t frames;
	bool ended;
	struct record_file_result result;
	bool closed;
};

struct rig {
	struct track *track;
	struct piece pieces[N_MAX];
	size_t n;
	/* with files */
	char dir[TEMPDIR_CAP];
	struct loop *loop;
	struct record_files *files;
};

static struct piece *piece_of(struct rig *r, const struct segment *s)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->pieces[i].s == s)
			return &r->pieces[i];
	}
	fail();
	return NULL;
}

static void on_begun(struct segment *s, void *arg)
{
	struct rig *r = arg;

	assert_true(r->n < N_MAX);
	r->pieces[r->n++] = (struct piece){.s = s, .start_pos = s->start_pos};
}

static void on_ended(struct segment *s, void *arg)
{
	struct piece *p = piece_of(arg, s);

	assert_true(s->ended);
	assert_false(p->ended);
	p->ended = true;
	p->frames = s->frames;
}

static int make_track(struct rig *r, uint64_t segment_frames)
{
	const struct track_config config = {.mp3 = mp3_config,
					    .segment_frames = segment_frames,
					    .max_waiting = WAIT_MAX};
	const struct track_events events = {.begun = on_begun,
					    .ended = on_ended};

	*r = (struct rig){0};
	return track_new(&config, &events, r, &r->track);
}

static void set_up(struct rig *r, uint64_t segment_frames)
{
	assert_int_equal(make_track(r, segment_frames), 0);
}

/** A chunk of a rising tone, or silence; the same for the same position. */
static int put(struct rig *r, int64_t pos, uint32_t frames, bool silent)
{
	int16_t pcm[2 * CHUNK];
	struct sound_chunk chunk = {.kind = silent ? CHUNK_SILENCE
						   : CHUNK_SOUND,
				    .pos = pos,
				    .frames = frames,
				    .pcm = silent ? NULL : pcm};

	assert_true(silent || frames <= ARRAY_LEN(pcm));
	for (uint32_t i = 0; i < frames && !silent; i++) {
		double t = (double)(pos + i - start) / 48000;

		pcm[i] = (int16_t)(8000 * sin(2 * M_PI * (300 + 20 * t) * t));
	}
	return track_write(r->track, &chunk);
}

/** 20 s: talk, loss, DTX, talk.  Pushes as a media loop would. */
static int64_t play(struct rig *r)
{
	int64_t pos = start;

	for (int i = 0; i < 1000; i++, pos += CHUNK) {
		if (i % 50 == 0)
			track_push(r->track);
		if (i > 300 && i < 400) /* nothing comes: a gap */
			continue;
		assert_int_equal(put(r, pos, CHUNK, i > 500 && i < 700), 0);
	}
	assert_int_equal(track_end_segment(r->track, pos), 0);
	track_push(r->track);
	return pos;
}

/** The bytes of all segments behind each other. */
static void collect(struct rig *r, struct buf *b)
{
	buf_init(b, 1 << 22);
	for (size_t i = 0; i < r->n; i++) {
		assert_true(r->pieces[i].ended);
		assert_int_equal(r->pieces[i].s->bytes.len / LEN * F,
				 r->pieces[i].frames);
		buf_append(b, r->pieces[i].s->bytes.data,
			   r->pieces[i].s->bytes.len);
	}
	assert_int_equal(buf_err(b), 0);
}

static uint64_t round_up(uint64_t frames)
{
	return (frames + F - 1) / F * F;
}

/* ---- cuts ------------------------------------------------------------------ */

static void expect_cut(uint64_t segment_frames)
{
	uint64_t cut = round_up(segment_frames);
	uint64_t total;
	uint64_t rest;
	struct rig whole;
	struct rig parts;
	struct buf a;
	struct buf b;

	set_up(&whole, 0);
	set_up(&parts, segment_frames);
	total = (uint64_t)(play(&whole) - start);
	play(&parts);
	collect(&whole, &a);
	collect(&parts, &b);
	assert_int_equal(whole.n, 1);
	/* What could not be opened by itself goes with the file before. */
	rest = round_up(total) % cut;
	assert_int_equal(parts.n, total / cut + (rest >= RECORD_FRAMES_MIN *
								 (uint64_t)F));
	assert_int_equal(a.len, round_up(total) / F * LEN);
	assert_int_equal(b.len, a.len);
	assert_memory_equal(a.data, b.data, a.len);
	for (size_t i = 0; i < parts.n; i++) {
		assert_int_equal(parts.pieces[i].start_pos,
				 start + (int64_t)(i * cut));
		if (i + 1 < parts.n)
			assert_int_equal(parts.pieces[i].frames, cut);
	}
	buf_fini(&a);
	buf_fini(&b);
	track_free(whole.track);
	track_free(parts.track);
}

static void segments_behind_each_other_are_the_uncut_recording(void **state)
{
	(void)state;
	expect_cut(3 * 48000); /* 125 MP3 frames, exactly */
	expect_cut(48000);     /* rounded up to 42 */
	expect_cut(17 * F);
}

static void a_stop_on_the_cut_leaves_no_empty_segment(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 48 * F);
	for (int64_t i = 0; i < 2 * 48 * F; i += 2 * F / 2)
		assert_int_equal(put(&r, start + i, (uint32_t)F, false), 0);
	assert_int_equal(track_end_segment(r.track, start + 96 * F), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.pieces[1].frames, 48 * F);
	track_free(r.track);
}

/* ---- waveforms ------------------------------------------------------------- */

/** Where is it loud, [frames from `start`] of a segment's waveform? */
static int64_t loud_at(const struct piece *p, unsigned *n)
{
	const struct sound_peaks *w = &p->s->peaks;
	int64_t first = -1;

	*n = 0;
	for (unsigned i = 0; i < w->n; i++) {
		if (!w->at[i])
			continue;
		if (first < 0)
			first = p->start_pos - start +
				(int64_t)i * w->bucket_frames;
		++*n;
	}
	return first;
}

/** Silence, but for a chunk that is loud. */
static void play_loud(struct rig *r, int64_t loud_pos)
{
	int16_t pcm[CHUNK] = {0};
	struct sound_chunk chunk = {
		.kind = CHUNK_SOUND, .frames = CHUNK, .pcm = pcm};

	for (int64_t pos = start; pos < start + 5 * 48000; pos += CHUNK) {
		for (int i = 0; i < CHUNK; i++)
			pcm[i] = pos == loud_pos ? 16384 : 0;
		chunk.pos = pos;
		if (pos < start + 48000 || pos > start + 2 * 48000 ||
		    pos == loud_pos)
			assert_int_equal(track_write(r->track, &chunk), 0);
	}
	assert_int_equal(track_end_segment(r->track, start + 5 * 48000), 0);
}

static void a_waveform_has_its_sound_where_the_file_has_it(void **state)
{
	(void)state;
	/* also on both sides of a cut, and in a gap */
	for (int64_t at = 0; at < 4 * 48000; at += 13 * (int64_t)CHUNK) {
		struct rig r;
		uint64_t cut;

		set_up(&r, 48000);
		play_loud(&r, start + at);
		cut = round_up(48000);
		for (size_t i = 0; i < r.n; i++) {
			const struct sound_peaks *w = &r.pieces[i].s->peaks;
			unsigned n;
			int64_t found = loud_at(&r.pieces[i], &n);
			bool is_mine = (uint64_t)at / cut == i;
			bool is_next = (uint64_t)(at + CHUNK) / cut == i;

			assert_int_equal(
				(w->n - 1) * (uint64_t)w->bucket_frames +
					w->filled,
				r.pieces[i].frames);
			if (!is_mine && !is_next)
				assert_int_equal(n, 0);
			if (!is_mine)
				continue;
			assert_in_range(n, 1, 5);
			assert_in_range(found + 2 * SOUND_PEAK_FRAMES, at,
					at + 4 * SOUND_PEAK_FRAMES);
		}
		track_free(r.track);
	}
}

/* ---- positions ------------------------------------------------------------- */

/** Stop so many MP3 frames behind a cut at 10: the files' frames. */
static void stop_behind_cut(uint64_t behind, size_t n, uint64_t last)
{
	struct rig r;

	set_up(&r, 10 * F);
	for (int64_t pos = start; pos < start + 10 * F; pos += CHUNK)
		assert_int_equal(put(&r, pos, CHUNK, false), 0);
	assert_int_equal(
		track_end_segment(r.track, start + (int64_t)(10 + behind) * F),
		0);
	assert_int_equal(r.n, n);
	assert_int_equal(r.pieces[n - 1].frames, last * F);
	assert_int_equal(r.pieces[n - 1].s->bytes.len, last * LEN);
	track_free(r.track);
}

static void no_file_is_too_short_to_open(void **state)
{
	struct rig r;

	(void)state;
	stop_behind_cut(0, 1, 10);
	stop_behind_cut(1, 1, 11);
	stop_behind_cut(2, 1, 12);
	stop_behind_cut(3, 2, 3);
	set_up(&r, 0);
	assert_int_equal(track_begin(r.track, start), 0);
	assert_int_equal(track_end_segment(r.track, start), 0);
	assert_int_equal(r.pieces[0].frames, 3 * F);
	assert_int_equal(r.pieces[0].s->bytes.len, 3 * LEN);
	track_free(r.track);
}

static void a_gap_in_an_open_segment_becomes_silence(void **state)
{
	struct rig r;
	struct buf b;
	const uint8_t *silent;

	(void)state;
	set_up(&r, 0);
	assert_int_equal(put(&r, start, CHUNK, false), 0);
	silent = track_opening(r.track)->bytes;
	assert_int_equal(track_opening(r.track)->placeholder_len, 3 * LEN);
	assert_int_equal(put(&r, start + 100 * F, CHUNK, false), 0);
	assert_int_equal(track_end_segment(r.track, start + 100 * F + CHUNK),
			 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.pieces[0].frames, 101 * F);
	collect(&r, &b);
	for (size_t i = 5; i < 95; i++)
		assert_memory_equal(b.data + i * LEN, silent, LEN);
	assert_memory_not_equal(b.data, silent, LEN);
	assert_memory_not_equal(b.data + 100 * LEN, silent, LEN);
	buf_fini(&b);
	track_free(r.track);
}

static void overlap_is_skipped(void **state)
{
	struct rig once;
	struct rig twice;
	struct buf a;
	struct buf b;

	(void)state;
	set_up(&once, 0);
	set_up(&twice, 0);
	for (int64_t i = 0; i < 100; i++) {
		int64_t pos = start + i * CHUNK;

		assert_int_equal(put(&once, pos, CHUNK, false), 0);
		assert_int_equal(put(&twice, pos, CHUNK, false), 0);
		assert_int_equal(put(&twice, pos, CHUNK, false), 0);
		assert_int_equal(put(&twice, pos - 100, CHUNK, false), 0);
		assert_int_equal(put(&twice, pos + 480, 960, false), 0);
	}
	assert_int_equal(track_end_segment(once.track, 0), 0);
	assert_int_equal(track_end_segment(twice.track, 0), 0);
	collect(&once, &a);
	collect(&twice, &b);
	/* The last one reached 10 ms further. */
	assert_true(b.len >= a.len);
	assert_memory_equal(a.data, b.data, a.len - 3 * (size_t)LEN);
	buf_fini(&a);
	buf_fini(&b);
	track_free(once.track);
	track_free(twice.track);
}

static void the_next_segment_starts_where_its_sound_starts(void **state)
{
	int64_t later = start + 50 * 48000 + 7;
	struct rig r;

	(void)state;
	set_up(&r, 0);
	assert_int_equal(put(&r, start, CHUNK, false), 0);
	assert_int_equal(track_end_segment(r.track, start + CHUNK), 0);
	assert_int_equal(track_end_segment(r.track, later), 0);
	assert_int_equal(track_advance(r.track, later), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(put(&r, later, CHUNK, false), 0);
	assert_int_equal(r.pieces[1].start_pos, later);
	assert_int_equal(track_end_segment(r.track, later + 5 * F), 0);
	assert_int_equal(r.pieces[1].frames, 5 * F);
	assert_int_equal(r.pieces[1].s->bytes.len, 5 * LEN);
	track_free(r.track);
}

static void segments_never_overlap(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 0);
	assert_int_equal(put(&r, start, CHUNK, false), 0);
	assert_int_equal(track_end_segment(r.track, start + CHUNK), 0);
	/* It was padded to start + 3 F: what lies before that is there. */
	assert_int_equal(put(&r, start + 100, CHUNK, false), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(put(&r, start + 3 * F - 10, CHUNK, false), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.pieces[1].start_pos, start + 3 * F);
	assert_int_equal(track_end_segment(r.track, 0), 0);
	assert_int_equal(r.pieces[1].frames, 3 * F);
	track_free(r.track);
}

static void a_segment_may_begin_before_its_sound(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 0);
	assert_int_equal(track_begin(r.track, start), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(track_advance(r.track, start + 10 * F), 0);
	assert_int_equal(track_end_segment(r.track, start + 20 * F - 1), 0);
	assert_int_equal(r.pieces[0].start_pos, start);
	assert_int_equal(r.pieces[0].frames, 20 * F);
	assert_int_equal(r.pieces[0].s->bytes.len, 20 * LEN);
	track_free(r.track);
}

static void a_gap_of_hours_takes_no_more_memory_than_is_allowed(void **state)
{
	int64_t dropped = counter_get(COUNT_bytes_dropped);
	uint64_t frames = 4ULL * 3600 * 48000;
	struct rig r;
	const struct segment *s;

	(void)state;
	set_up(&r, 0);
	assert_int_equal(put(&r, start, CHUNK, false), 0);
	assert_int_equal(track_end_segment(r.track, start + (int64_t)frames),
			 0);
	s = r.pieces[0].s;
	assert_int_equal(s->frames, frames);
	assert_true(s->bytes.len <= WAIT_MAX);
	assert_int_equal(s->bytes.len + s->gap, frames / F * LEN);
	assert_int_equal(counter_get(COUNT_bytes_dropped) - dropped, s->gap);
	track_free(r.track);
}

static void a_failed_segment_throws_its_sound_away(void **state)
{
	struct rig r;

	(void)state;
	set_up(&r, 0);
	for (int64_t i = 0; i < 20; i++)
		assert_int_equal(put(&r, start + i * CHUNK, CHUNK, false), 0);
	assert_true(r.pieces[0].s->bytes.len > 0);
	segment_fail(r.pieces[0].s);
	for (int64_t i = 20; i < 40; i++)
		assert_int_equal(put(&r, start + i * CHUNK, CHUNK, false), 0);
	track_push(r.track);
	assert_int_equal(r.pieces[0].s->bytes.len, 0);
	assert_int_equal(track_end_segment(r.track, 0), 0);
	assert_int_equal(r.pieces[0].frames, round_up(40 * CHUNK));
	segment_detach(r.pieces[0].s);
	track_free(r.track);
	segment_free(r.pieces[0].s);
}

/* ---- memory ---------------------------------------------------------------- */

static void play_without_memory(void)
{
	struct rig r;
	int64_t end = start + 200 * CHUNK;
	const struct piece *last;

	if (make_track(&r, 48000))
		return;
	for (int64_t i = 0; i < 200; i++) {
		int err = put(&r, start + i * CHUNK, CHUNK, false);

		assert_true(!err || err == ENOMEM);
	}
	(void)!track_end_segment(r.track, end);
	/* Whatever was lost, what is there stands in its place. */
	assert_true(r.n > 0);
	last = &r.pieces[r.n - 1];
	assert_true(last->start_pos + (int64_t)last->frames >= end);
	assert_true(last->start_pos + (int64_t)last->frames < end + F);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(
			(r.pieces[i].s->bytes.len + r.pieces[i].s->gap) / LEN *
				F,
			r.pieces[i].frames);
	track_free(r.track);
}

static void without_memory_sound_is_lost_but_never_moved(void **state)
{
	(void)state;
	OOM_SWEEP(play_without_memory);
}

/* ---- down to the disk ------------------------------------------------------ */

static void on_opened(struct record_file *file,
		      const struct record_file_result *result, void *arg)
{
	(void)file;
	(void)arg;
	assert_int_equal(result->err, 0);
}

static void on_closed(struct record_file *file,
		      const struct record_file_result *result, void *arg)
{
	struct piece *p = arg;

	(void)file;
	p->result = *result;
	p->closed = true;
}

static struct record_file *open_piece(struct rig *r, size_t i)
{
	char name[64];
	struct record_file *file = NULL;
	struct record_file_open how = {.name = name,
				       .opening = track_opening(r->track),
				       .loop = r->loop,
				       .opened = on_opened};

	snprintf(name, sizeof(name), "1_r_u/%zu.mp3", i);
	assert_int_equal(record_file_open(r->files, &how, &file), 0);
	return file;
}

static void start_files(struct rig *r)
{
	struct record_files_config config = {.threads = 2,
					     .max_queue_bytes = 1 << 24};

	tempdir_make(r->dir);
	config.spool_dir = r->dir;
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(record_files_new(&config, &r->files), 0);
}

static void close_pieces(struct rig *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct piece *p = &r->pieces[i];

		record_file_close(p->s->file, on_closed, p);
		for (int k = 0; k < 1000 && !p->closed; k++)
			loop_turn(r->loop, 20000);
		assert_true(p->closed);
		assert_int_equal(p->result.err, 0);
		assert_int_equal(p->result.frames, p->frames);
		segment_detach(p->s);
		segment_free(p->s);
	}
}

static void stop_files(struct rig *r)
{
	track_free(r->track);
	record_files_free(r->files);
	loop_turn(r->loop, 0);
	loop_free(r->loop);
	tempdir_remove(r->dir);
}

static void collect_files(const struct rig *r, struct buf *all)
{
	buf_init(all, 1 << 24);
	for (size_t i = 0; i < r->n; i++) {
		char name[64];
		struct buf one;

		snprintf(name, sizeof(name), "1_r_u/%zu.mp3", i);
		buf_init(&one, 1 << 24);
		assert_int_equal(file_read(tempdir_path(r->dir, name), &one),
				 0);
		assert_int_equal(one.len, r->pieces[i].result.len);
		assert_int_equal(one.len, r->pieces[i].frames / F * LEN);
		buf_append(all, one.data, one.len);
		buf_fini(&one);
	}
	assert_int_equal(buf_err(all), 0);
}

/** The hash of all files behind each other. */
static void record_to_files(uint64_t segment_frames, size_t late, char hex[65])
{
	struct rig r;
	struct buf all;
	int64_t pos = start;

	set_up(&r, segment_frames);
	start_files(&r);
	/* Files are granted `late` segments' time after they were wanted. */
	for (int i = 0; i < 1000; i++, pos += CHUNK) {
		if (i > 300 && i < 400)
			continue;
		assert_int_equal(put(&r, pos, CHUNK, i > 500 && i < 700), 0);
		for (size_t k = 0; k + late < r.n; k++) {
			if (!r.pieces[k].s->file)
				segment_grant(r.pieces[k].s, open_piece(&r, k));
		}
		if (i % 50 == 0)
			track_push(r.track);
	}
	assert_int_equal(track_end_segment(r.track, pos), 0);
	for (size_t k = 0; k < r.n; k++) {
		if (!r.pieces[k].s->file)
			segment_grant(r.pieces[k].s, open_piece(&r, k));
	}
	track_push(r.track);
	close_pieces(&r);
	collect_files(&r, &all);
	assert_int_equal(sig_sha256_hex(all.data, all.len, hex), 0);
	buf_fini(&all);
	stop_files(&r);
}

static void files_behind_each_other_are_the_uncut_file(void **state)
{
	char whole[65];
	char cut[65];

	(void)state;
	record_to_files(0, 0, whole);
	record_to_files(3 * 48000, 0, cut);
	assert_string_equal(whole, cut);
	record_to_files(3 * 48000, 2, cut);
	assert_string_equal(whole, cut);
	record_to_files(48000, 1, cut);
	assert_string_equal(whole, cut);
}

static void what_waited_too_long_for_a_file_is_silence_in_it(void **state)
{
	uint64_t frames = 600ULL * 48000; /* 4.8 MB; 1 MiB may wait */
	struct mp3_scan scan = {0};
	struct rig r;
	struct buf all;

	(void)state;
	set_up(&r, 0);
	start_files(&r);
	assert_int_equal(put(&r, start, (uint32_t)frames, true), 0);
	assert_true(r.pieces[0].s->gap > 0);
	segment_grant(r.pieces[0].s, open_piece(&r, 0));
	assert_int_equal(put(&r, start + (int64_t)frames, CHUNK, false), 0);
	assert_int_equal(track_end_segment(r.track, 0), 0);
	track_push(r.track);
	close_pieces(&r);
	collect_files(&r, &all);
	assert_int_equal(mp3_scan(&scan, all.data, all.len), all.len);
	assert_int_equal(scan.frames * 48000 / scan.sample_rate,
			 round_up(frames + CHUNK));
	buf_fini(&all);
	stop_files(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			segments_behind_each_other_are_the_uncut_recording),
		cmocka_unit_test(a_stop_on_the_cut_leaves_no_empty_segment),
		cmocka_unit_test(no_file_is_too_short_to_open),
		cmocka_unit_test(
			a_waveform_has_its_sound_where_the_file_has_it),
		cmocka_unit_test(a_gap_in_an_open_segment_becomes_silence),
		cmocka_unit_test(overlap_is_skipped),
		cmocka_unit_test(
			the_next_segment_starts_where_its_sound_starts),
		cmocka_unit_test(segments_never_overlap),
		cmocka_unit_test(a_segment_may_begin_before_its_sound),
		cmocka_unit_test(
			a_gap_of_hours_takes_no_more_memory_than_is_allowed),
		cmocka_unit_test(a_failed_segment_throws_its_sound_away),
		cmocka_unit_test(without_memory_sound_is_lost_but_never_moved),
		cmocka_unit_test(files_behind_each_other_are_the_uncut_file),
		cmocka_unit_test(
			what_waited_too_long_for_a_file_is_silence_in_it),
	};

	int failed = 0;

	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < ARRAY_LEN(presets); i++) {
		mp3_config = presets[i].config;
		F = presets[i].frame_frames;
		LEN = presets[i].frame_len;
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
