/** test/unit/record_ogg_test.c -- tracks in Ogg Opus: copied packets stand in
 *  their places, and segments decode to the uncut recording. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "ogg_aid.h"
#include "oom.h"
#include "tone.h"
#include "wire/ogg.h"

enum {
	MS = 48,
	N_MAX = 64,
	WAIT_MAX = 4 << 20,
	PACKETS_MAX = 40000,
	AHEAD = 480, /* 10 ms: as far as a packet may be behind its place */
	BEHIND = 60  /* 1.25 ms: and before it */
};

static const int64_t start = 987654321;

struct piece {
	struct segment *s;
	struct track_opening opening;
	int64_t start_pos;
	uint64_t frames;
	bool ended;
};

struct rig {
	struct track *track;
	struct piece pieces[N_MAX];
	size_t n;
};

static void on_begun(struct segment *s, void *arg)
{
	struct rig *r = arg;
	struct piece *p = &r->pieces[r->n++];

	assert_true(r->n <= N_MAX);
	*p = (struct piece){.s = s, .start_pos = s->start_pos};
	p->opening = *track_opening(r->track);
	s->user = p;
}

static void on_ended(struct segment *s, void *arg)
{
	struct piece *p = s->user;

	(void)arg;
	assert_true(s->ended);
	assert_false(p->ended);
	p->ended = true;
	p->frames = s->frames;
}

static int make_track(struct rig *r, enum track_kind kind, uint64_t cut)
{
	const struct track_config config = {.kind = kind,
					    .opus_bit_s = 64000,
					    .segment_frames = cut,
					    .max_waiting = WAIT_MAX};
	const struct track_events events = {.begun = on_begun,
					    .ended = on_ended};

	*r = (struct rig){0};
	return track_new(&config, &events, r, &r->track);
}

static void set_up(struct rig *r, enum track_kind kind, uint64_t cut)
{
	assert_int_equal(make_track(r, kind, cut), 0);
}

/** The file of a segment. */
static struct buf file_of(const struct piece *p)
{
	struct buf b;

	buf_init(&b, 64 << 20);
	buf_append(&b, p->opening.bytes, p->opening.head_len);
	buf_append(&b, p->s->bytes.data, p->s->bytes.len);
	assert_int_equal(buf_err(&b), 0);
	return b;
}

static struct played play_piece(const struct piece *p)
{
	struct buf b = file_of(p);
	struct played played = ogg_play(b.data, b.len);

	assert_true(p->ended);
	assert_false(played.is_odd);
	assert_true(played.ended);
	assert_int_equal(played.holes, 0);
	assert_int_equal(played.n, p->frames);
	buf_fini(&b);
	return played;
}

/** All segments behind each other, as they decode; free it. */
static int16_t *play_all(const struct rig *r, size_t *n)
{
	int16_t *all = calloc(1, 1);
	int64_t pos = r->pieces[0].start_pos;

	*n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct played p = play_piece(&r->pieces[i]);

		assert_int_equal(r->pieces[i].start_pos, pos);
		all = realloc(all, (*n + p.n + 1) * sizeof(*all));
		assert_non_null(all);
		memcpy(all + *n, p.pcm, p.n * sizeof(*all));
		*n += p.n;
		pos += (int64_t)p.n;
		free(p.pcm);
	}
	return all;
}

/* ---- a voice --------------------------------------------------------------- */

struct voice {
	struct tone tone;
	int64_t pos; /* of the next chunk */
};

static void voice_init(struct voice *v, int channels, int frames, int app,
		       int bit_s)
{
	int err;

	tone_init(&v->tone, channels, frames, 440);
	opus_encoder_destroy(v->tone.opus);
	v->tone.opus = opus_encoder_create(48000, channels, app, &err);
	assert_non_null(v->tone.opus);
	opus_encoder_ctl(v->tone.opus, OPUS_SET_BITRATE(bit_s));
	v->pos = start;
}

static void voice_init_plain(struct voice *v)
{
	voice_init(v, 1, 960, OPUS_APPLICATION_AUDIO, 32000);
}

static int write_packet(struct rig *r, int64_t pos, uint32_t frames,
			const uint8_t *packet, size_t len)
{
	const struct sound_chunk chunk = {.kind = CHUNK_SOUND,
					  .pos = pos,
					  .frames = frames,
					  .packet = packet,
					  .packet_len = len};

	return track_write(r->track, &chunk);
}

/** The next packet of the tone, as `frames` of the timeline. */
static void speak_as(struct rig *r, struct voice *v, uint32_t frames)
{
	uint8_t packet[1275];
	size_t len = tone_next(&v->tone, packet);

	assert_int_equal(write_packet(r, v->pos, frames, packet, len), 0);
	v->pos += frames;
}

static void speak(struct rig *r, struct voice *v, int ms)
{
	for (int64_t end = v->pos + (int64_t)ms * MS; v->pos < end;)
		speak_as(r, v, (uint32_t)v->tone.frames);
}

static void write_gap(struct rig *r, struct voice *v, enum chunk_kind kind,
		      uint32_t frames)
{
	const struct sound_chunk chunk = {
		.kind = kind, .pos = v->pos, .frames = frames};

	assert_int_equal(track_write(r->track, &chunk), 0);
	v->pos += frames;
	v->tone.at += frames; /* the tone goes on behind it */
}

static void finish(struct rig *r, struct voice *v)
{
	assert_int_equal(track_end_segment(r->track, v->pos), 0);
	tone_fini(&v->tone);
}

/* ---- whole files ----------------------------------------------------------- */

static void packets_come_out_as_they_went_in(void **state)
{
	struct rig r;
	struct voice v;
	OpusDecoder *opus;
	struct played p;
	int err;
	struct tone again;

	(void)state;
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init_plain(&v);
	speak(&r, &v, 3000);
	finish(&r, &v);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.pieces[0].start_pos, start);
	assert_int_equal(r.pieces[0].frames, 3000 * MS);
	p = play_piece(&r.pieces[0]);
	assert_int_equal(p.channels, 1);
	assert_int_equal(p.preskip % 360, 120); /* 2.5 or 10 ms */
	assert_int_equal(p.n_packets, 153);
	/* The same tone without us. */
	tone_init(&again, 1, 960, 440);
	opus = opus_decoder_create(48000, 1, &err);
	for (int i = 0; i < 150; i++) {
		uint8_t packet[1275];
		int16_t pcm[5760];
		size_t len = tone_next(&again, packet);

		assert_int_equal(opus_decode(opus, packet, (opus_int32)len, pcm,
					     5760, 0),
				 960);
		assert_memory_equal(pcm, p.pcm + (size_t)i * 960, 960 * 2);
	}
	opus_decoder_destroy(opus);
	tone_fini(&again);
	free(p.pcm);
	track_free(r.track);
}

static void what_a_file_opens_with_plays(void **state)
{
	static const enum track_kind kinds[] = {TRACK_OGG_COPY, TRACK_OGG_OPUS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig r;
		const struct track_opening *o;
		struct played p;

		set_up(&r, kinds[i], 0);
		assert_int_equal(track_begin(r.track, start), 0);
		o = &r.pieces[0].opening;
		assert_int_equal(o->kind, kinds[i]);
		assert_true(o->head_len + o->placeholder_len <=
			    sizeof(o->bytes));
		p = ogg_play(o->bytes, o->head_len + o->placeholder_len);
		assert_false(p.is_odd);
		assert_true(p.ended);
		assert_int_equal(p.n, RECORD_OGG_MIN);
		assert_true(tone_power(p.pcm, p.n) < 1);
		free(p.pcm);
		track_free(r.track);
	}
}

static void a_push_gives_all_but_the_last_packet(void **state)
{
	struct ogg_scan s = {0};
	struct rig r;
	struct voice v;
	struct buf b;

	(void)state;
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init_plain(&v);
	speak(&r, &v, 500);
	assert_int_equal(r.pieces[0].s->bytes.len, 0);
	track_push(r.track);
	b = file_of(&r.pieces[0]);
	assert_int_equal(ogg_scan(&s, b.data, b.len), b.len);
	assert_int_equal(ogg_scan_frames(&s), 480 * MS);
	buf_fini(&b);
	track_push(r.track); /* again: nothing more */
	assert_int_equal(
		r.pieces[0].s->bytes.len + r.pieces[0].opening.head_len, s.len);
	finish(&r, &v);
	track_free(r.track);
}

static void the_header_says_stereo_when_the_first_packet_is(void **state)
{
	(void)state;
	for (int channels = 1; channels <= 2; channels++) {
		struct rig r;
		struct voice v;
		struct played p;

		set_up(&r, TRACK_OGG_COPY, 0);
		voice_init(&v, channels, 960, OPUS_APPLICATION_AUDIO, 64000);
		speak(&r, &v, 200);
		finish(&r, &v);
		p = play_piece(&r.pieces[0]);
		assert_int_equal(p.channels, channels);
		free(p.pcm);
		track_free(r.track);
	}
}

/* ---- cuts ------------------------------------------------------------------ */

static const struct {
	int channels, frames, app, bit_s;
} encoders[] = {
	{1, 960, OPUS_APPLICATION_AUDIO, 64000}, /* CELT */
	{1, 960, OPUS_APPLICATION_AUDIO, 32000}, /* hybrid or CELT */
	{1, 960, OPUS_APPLICATION_VOIP, 14000},	 /* SILK */
	{1, 2880, OPUS_APPLICATION_VOIP, 14000}, /* SILK of 60 ms */
	{2, 480, OPUS_APPLICATION_AUDIO, 64000},
	{1, 120, OPUS_APPLICATION_AUDIO, 64000},
	{1, 5760, OPUS_APPLICATION_AUDIO, 32000}, /* of several frames */
};

/** Two recordings of one voice, one of them cut: the same, but for the first
 *  few ms of a segment, where the decoder had not quite settled. */
static void expect_same(const struct rig *whole, const struct rig *parts)
{
	size_t n, n_parts, at = 0;
	int16_t *a = play_all(whole, &n), *b = play_all(parts, &n_parts);

	assert_int_equal(n_parts, n);
	assert_true(parts->n > 3);
	for (size_t i = 0; i < parts->n; i++) {
		const size_t end = at + parts->pieces[i].frames;
		double noise = 0, power = 0;

		for (size_t k = at + 5 * MS; k < end; k++) {
			noise += (double)(a[k] - b[k]) * (a[k] - b[k]);
			power += (double)a[k] * a[k];
		}
		assert_true(noise * 10000 <= power); /* 40 dB */
		/* and nothing jumps where they meet */
		for (size_t k = at; i > 0 && k < at + 5 * MS; k++)
			assert_true(abs(a[k] - b[k]) < 400);
		at = end;
	}
	free(a);
	free(b);
}

static void copied_segments_decode_to_the_uncut_recording(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(encoders); i++) {
		struct rig whole, parts;
		struct rig *const both[] = {&whole, &parts};

		set_up(&whole, TRACK_OGG_COPY, 0);
		set_up(&parts, TRACK_OGG_COPY, 48000);
		for (size_t k = 0; k < 2; k++) {
			struct voice v;

			voice_init(&v, encoders[i].channels, encoders[i].frames,
				   encoders[i].app, encoders[i].bit_s);
			speak(both[k], &v, 4800);
			finish(both[k], &v);
		}
		expect_same(&whole, &parts);
		for (size_t k = 0; k < parts.n; k++) {
			struct played p = play_piece(&parts.pieces[k]);

			/* pre-roll: at least 200 ms, in whole packets */
			if (k == 0)
				assert_int_equal(p.preskip % 360, 120);
			else
				assert_in_range(p.preskip, 9600,
						9600 + encoders[i].frames - 1);
			free(p.pcm);
		}
		track_free(whole.track);
		track_free(parts.track);
	}
}

/** A tone without a jump: as loud everywhere, and never far from the line
 *  that its two samples before make (a sine: x[n] = 2 cos(w) x[n-1] - x[n-2]). */
static void expect_unbroken(const int16_t *pcm, size_t n, double hz)
{
	const double c = 2 * cos(2 * M_PI * hz / 48000);

	for (size_t i = 2; i < n; i++)
		assert_true(fabs(pcm[i] - (c * pcm[i - 1] - pcm[i - 2])) < 100);
	for (size_t i = 0; i + 960 <= n; i += 480)
		assert_true(fabs(tone_power(pcm + i, 960) - 5657) < 600);
}

static void a_tone_goes_through_the_cuts(void **state)
{
	static const enum track_kind kinds[] = {TRACK_OGG_COPY, TRACK_OGG_OPUS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig r;
		size_t n;
		int16_t *pcm;

		set_up(&r, kinds[i], 24000);
		if (kinds[i] == TRACK_OGG_COPY) {
			struct voice v;

			voice_init(&v, 1, 960, OPUS_APPLICATION_AUDIO, 64000);
			speak(&r, &v, 5000);
			finish(&r, &v);
		} else {
			static int16_t tone[5000 * MS];
			struct sound_chunk chunk = {.kind = CHUNK_SOUND,
						    .pos = start,
						    .frames = 5000 * MS,
						    .pcm = tone};

			for (size_t k = 0; k < ARRAY_LEN(tone); k++)
				tone[k] = (int16_t)(8000 *
						    sin(2 * M_PI * 440 *
							(double)k / 48000));
			assert_int_equal(track_write(r.track, &chunk), 0);
			assert_int_equal(track_end_segment(r.track, 0), 0);
		}
		assert_int_equal(r.n, 10);
		pcm = play_all(&r, &n);
		assert_int_equal(n, 5000 * MS);
		expect_unbroken(pcm + 50 * MS, n - 100 * MS, 440);
		free(pcm);
		track_free(r.track);
	}
}

static void no_file_is_too_short(void **state)
{
	static const struct {
		int ms;	  /* behind a cut at 1 s */
		size_t n; /* files */
	} rows[] = {{0, 1}, {20, 1}, {60, 1}, {80, 2}, {100, 2}};
	struct rig r;
	struct voice v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct played p;

		set_up(&r, TRACK_OGG_COPY, 48000);
		voice_init_plain(&v);
		speak(&r, &v, 1000 + rows[i].ms);
		finish(&r, &v);
		assert_int_equal(r.n, rows[i].n);
		p = play_piece(&r.pieces[r.n - 1]);
		assert_true(p.n >= RECORD_OGG_MIN);
		free(p.pcm);
		track_free(r.track);
	}
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init_plain(&v);
	speak(&r, &v, 20);
	finish(&r, &v);
	assert_int_equal(r.pieces[0].frames, RECORD_OGG_MIN);
	free(play_piece(&r.pieces[0]).pcm);
	track_free(r.track);
	set_up(&r, TRACK_OGG_OPUS, 0);
	assert_int_equal(track_begin(r.track, start), 0);
	assert_int_equal(track_end_segment(r.track, start), 0);
	assert_int_equal(r.pieces[0].frames, RECORD_OGG_MIN);
	free(play_piece(&r.pieces[0]).pcm);
	track_free(r.track);
}

/* ---- places ---------------------------------------------------------------- */

/** A packet that is known again, and where it should be. */
struct mark {
	int64_t pos;
	uint8_t bytes[8];
};

static struct mark marks[PACKETS_MAX];
static size_t n_marks;

/** A packet of 20 ms of noise (to a decoder), told by its bytes. */
static void put_marked(struct rig *r, int64_t pos, uint32_t frames, bool quiet)
{
	struct mark *m = &marks[n_marks];
	const size_t len = quiet ? 2 : sizeof(m->bytes);

	assert_true(n_marks < PACKETS_MAX);
	m->pos = pos;
	m->bytes[0] = 31 << 3;
	for (size_t i = 1; i < sizeof(m->bytes); i++)
		m->bytes[i] = (uint8_t)((n_marks + 77) >> (i - 1) * 8);
	m->bytes[7] = 0x55;
	if (!quiet)
		n_marks++;
	assert_int_equal(write_packet(r, pos, frames, m->bytes, len), 0);
}

/** Look for the marked packets in a segment.  Returns how many there are, and
 *  by how much they are off their places. */
static size_t find_marks(const struct piece *p, int64_t *earliest,
			 int64_t *latest)
{
	struct buf b = file_of(p);
	int64_t pos = p->start_pos - 120; /* pre-skip */
	size_t at = 0, next = 0, found = 0;
	int n_page = 0;

	*earliest = *latest = 0;
	while (at < b.len) {
		struct ogg_page page;
		const uint8_t *data;

		assert_int_equal(ogg_page_parse(b.data + at, b.len - at, &page),
				 0);
		data = b.data + at + page.body;
		for (size_t i = 0; n_page > 1 && i < page.n_lacing; i++) {
			const size_t len = b.data[at + OGG_HEAD_LEN + i];

			for (size_t k = next; len == 8 && k < n_marks; k++) {
				if (memcmp(data, marks[k].bytes, 8) != 0)
					continue;
				next = k + 1;
				found++;
				if (pos - marks[k].pos < *earliest)
					*earliest = pos - marks[k].pos;
				if (pos - marks[k].pos > *latest)
					*latest = pos - marks[k].pos;
				break;
			}
			pos += sound_packet_frames(data, len);
			data += len;
		}
		at += page.len;
		n_page++;
	}
	buf_fini(&b);
	return found;
}

static void expect_marks(const struct rig *r, size_t n)
{
	int64_t earliest, latest;

	assert_int_equal(find_marks(&r->pieces[0], &earliest, &latest), n);
	assert_true(earliest >= -BEHIND);
	assert_true(latest < AHEAD);
}

static void gaps_of_any_length_leave_packets_in_their_places(void **state)
{
	int64_t pos = start, earliest, latest;
	struct rig r;
	uint32_t seed = 5;

	(void)state;
	n_marks = 0;
	set_up(&r, TRACK_OGG_COPY, 0);
	for (int i = 0; i < 2000; i++) {
		struct sound_chunk gap = {.kind = i % 3 ? CHUNK_SILENCE
							: CHUNK_CONCEALED,
					  .pos = pos};

		put_marked(&r, pos, 960, false);
		pos += 960;
		seed = seed * 1103515245U + 12345U;
		gap.pos = pos;
		gap.frames = 1 + (seed >> 16) % (i % 5 ? 2000 : 30000);
		if (i % 7) /* now and then nobody tells of the gap */
			assert_int_equal(track_write(r.track, &gap), 0);
		pos += gap.frames;
	}
	assert_int_equal(track_end_segment(r.track, pos), 0);
	assert_int_equal(r.pieces[0].frames, pos - start);
	assert_int_equal(find_marks(&r.pieces[0], &earliest, &latest), 2000);
	assert_true(earliest >= -BEHIND);
	assert_true(latest <= BEHIND); /* nothing runs ahead here */
	track_free(r.track);
}

/** A sender whose packets are `frames` long on the timeline. */
static void drift(uint32_t frames, int quiet_every, size_t lost_most)
{
	int64_t earliest, latest, pos = start;
	size_t found;
	struct rig r;

	n_marks = 0;
	set_up(&r, TRACK_OGG_COPY, 0);
	for (int i = 0; i < 15000; i++) { /* 5 minutes */
		put_marked(&r, pos, frames,
			   quiet_every && i % quiet_every == 0);
		pos += frames;
	}
	assert_int_equal(track_end_segment(r.track, pos), 0);
	assert_int_equal(r.pieces[0].frames, pos - start);
	found = find_marks(&r.pieces[0], &earliest, &latest);
	assert_true(n_marks - found <= lost_most);
	assert_true(earliest >= -BEHIND);
	assert_true(latest < (quiet_every ? 240 : AHEAD));
	track_free(r.track);
}

static void a_slow_clock_is_followed_in_small_steps(void **state)
{
	(void)state;
	drift(961, 0, 0); /* 1000 ppm, more than any clock */
}

static void a_fast_clock_costs_a_packet_now_and_then(void **state)
{
	(void)state;
	drift(959, 0, 15000 / 480 + 1);
}

static void a_fast_clock_costs_quiet_packets_only(void **state)
{
	(void)state;
	drift(959, 100, 0);
}

static void a_packet_twice_is_written_once(void **state)
{
	struct rig r;

	(void)state;
	n_marks = 0;
	set_up(&r, TRACK_OGG_COPY, 0);
	for (int64_t i = 0; i < 100; i++) {
		put_marked(&r, start + i * 960, 960, false);
		n_marks--;
		put_marked(&r, start + i * 960, 960, false);
		n_marks--;
		put_marked(&r, start + i * 960 - 100, 960, false);
	}
	assert_int_equal(track_end_segment(r.track, 0), 0);
	for (size_t i = 0; i < n_marks; i++)
		marks[i].pos = start + (int64_t)i * 960;
	assert_int_equal(r.pieces[0].frames, 100 * 960);
	expect_marks(&r, 100);
	track_free(r.track);
}

static void a_segment_ends_where_it_is_told_to(void **state)
{
	(void)state;
	for (int64_t over = -959; over <= 2000; over += 37) {
		struct rig r;
		struct voice v;

		set_up(&r, TRACK_OGG_COPY, 0);
		voice_init_plain(&v);
		speak(&r, &v, 300);
		v.pos += over;
		finish(&r, &v);
		assert_int_equal(r.pieces[0].frames, 300 * MS + over);
		free(play_piece(&r.pieces[0]).pcm);
		track_free(r.track);
	}
}

static void the_next_run_starts_where_its_sound_starts(void **state)
{
	struct rig r;
	struct voice v;
	struct played p;

	(void)state;
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init_plain(&v);
	speak(&r, &v, 300);
	assert_int_equal(track_end_segment(r.track, v.pos), 0);
	assert_int_equal(track_advance(r.track, v.pos + 5000), 0);
	assert_int_equal(r.n, 1);
	v.pos += 77777;
	speak(&r, &v, 300);
	assert_int_equal(r.pieces[1].start_pos, start + 300 * MS + 77777);
	finish(&r, &v);
	p = play_piece(&r.pieces[1]);
	assert_int_equal(p.preskip % 360, 120); /* nothing before it */
	assert_int_equal(p.n, 300 * MS);
	assert_memory_not_equal(r.pieces[0].opening.bytes + 14,
				r.pieces[1].opening.bytes + 14, 4); /* serial */
	free(p.pcm);
	track_free(r.track);
}

static void segments_never_overlap(void **state)
{
	struct rig r;

	(void)state;
	n_marks = 0;
	set_up(&r, TRACK_OGG_COPY, 0);
	put_marked(&r, start, 960, false);
	assert_int_equal(track_end_segment(r.track, start + 960), 0);
	/* It was padded to 72 ms: what lies before that is there. */
	put_marked(&r, start + 960, 960, false);
	assert_int_equal(r.n, 1);
	put_marked(&r, start + RECORD_OGG_MIN - 100, 960, false);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.pieces[1].start_pos, start + RECORD_OGG_MIN);
	track_free(r.track);
}

/* ---- what gaps sound like -------------------------------------------------- */

static void a_loss_is_concealed_and_a_long_one_is_silence(void **state)
{
	struct rig r;
	struct voice v;
	size_t n;
	int16_t *pcm;

	(void)state;
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init(&v, 1, 960, OPUS_APPLICATION_AUDIO, 64000);
	speak(&r, &v, 400);
	write_gap(&r, &v, CHUNK_CONCEALED, 40 * MS);
	speak(&r, &v, 400);
	write_gap(&r, &v, CHUNK_CONCEALED, 400 * MS);
	speak(&r, &v, 400);
	finish(&r, &v);
	pcm = play_all(&r, &n);
	assert_int_equal(n, 1640 * MS);
	assert_true(tone_power(pcm + 400 * MS, 40 * MS) > 2000);
	assert_true(tone_power(pcm + 840 * MS, 20 * MS) > 2000);
	assert_true(tone_power(pcm + 950 * MS, 280 * MS) < 1);
	assert_true(tone_power(pcm + 1260 * MS, 380 * MS) > 4000);
	free(pcm);
	track_free(r.track);
}

static void a_pause_is_silence(void **state)
{
	struct rig r;
	struct voice v;
	size_t n;
	int16_t *pcm;

	(void)state;
	for (int silk = 0; silk < 2; silk++) {
		set_up(&r, TRACK_OGG_COPY, 0);
		voice_init(&v, 1, 960,
			   silk ? OPUS_APPLICATION_VOIP
				: OPUS_APPLICATION_AUDIO,
			   silk ? 14000 : 64000);
		speak(&r, &v, 400);
		write_gap(&r, &v, CHUNK_SILENCE, 313 * MS + 7);
		/* a loss in a pause is a pause */
		write_gap(&r, &v, CHUNK_CONCEALED, 100 * MS);
		speak(&r, &v, 400);
		finish(&r, &v);
		pcm = play_all(&r, &n);
		assert_int_equal(n, 1213 * MS + 7);
		assert_true(tone_power(pcm + 10 * MS, 390 * MS) > 4000);
		assert_true(tone_power(pcm + 410 * MS, 400 * MS) < 1);
		assert_true(tone_power(pcm + 850 * MS, 350 * MS) > 4000);
		free(pcm);
		track_free(r.track);
	}
}

static void sound_without_its_packet_is_silence_in_a_copy(void **state)
{
	static int16_t pcm[960];
	const struct sound_chunk no_packet = {.kind = CHUNK_SOUND,
					      .pos = start + 200 * MS,
					      .frames = 960,
					      .pcm = pcm};
	const struct sound_chunk no_opus = {.kind = CHUNK_SOUND,
					    .pos = start + 220 * MS,
					    .frames = 960,
					    .packet = (const uint8_t *)"\x03",
					    .packet_len = 1};
	struct rig r;
	struct voice v;
	size_t n;
	int16_t *back;

	(void)state;
	memset(pcm, 0x33, sizeof(pcm));
	set_up(&r, TRACK_OGG_COPY, 0);
	voice_init_plain(&v);
	speak(&r, &v, 200);
	assert_int_equal(track_write(r.track, &no_packet), 0);
	assert_int_equal(track_write(r.track, &no_opus), 0);
	v.pos += 2 * 960;
	finish(&r, &v);
	back = play_all(&r, &n);
	assert_int_equal(n, 240 * MS);
	assert_true(tone_power(back + 205 * MS, 35 * MS) < 1);
	free(back);
	track_free(r.track);
}

static void a_segment_may_begin_before_its_sound(void **state)
{
	static const enum track_kind kinds[] = {TRACK_OGG_COPY, TRACK_OGG_OPUS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig r;
		size_t n;
		int16_t *pcm;

		set_up(&r, kinds[i], 0);
		assert_int_equal(track_begin(r.track, start), 0);
		assert_int_equal(r.n, 1);
		assert_int_equal(track_advance(r.track, start + 50000), 0);
		assert_int_equal(track_end_segment(r.track, start + 70001), 0);
		assert_int_equal(r.pieces[0].start_pos, start);
		pcm = play_all(&r, &n);
		assert_int_equal(n, 70001);
		assert_true(tone_power(pcm, n) < 1);
		free(pcm);
		track_free(r.track);
	}
}

static void a_gap_of_hours_takes_no_more_memory_than_is_allowed(void **state)
{
	static const enum track_kind kinds[] = {TRACK_OGG_COPY, TRACK_OGG_OPUS};
	const int64_t frames = 10LL * 3600 * 48000;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const int64_t dropped = counter_get(COUNT_bytes_dropped);
		struct rig r;
		const struct segment *s;

		set_up(&r, kinds[i], 0);
		assert_int_equal(track_begin(r.track, start), 0);
		assert_int_equal(track_end_segment(r.track, start + frames), 0);
		s = r.pieces[0].s;
		assert_int_equal(s->frames, frames);
		assert_true(s->bytes.len <= WAIT_MAX);
		assert_true(s->gap > 0);
		assert_int_equal(counter_get(COUNT_bytes_dropped) - dropped,
				 s->gap);
		track_free(r.track);
	}
}

/* ---- encoded --------------------------------------------------------------- */

/** Bursts of a tone between silence, by position; where each begins. */
static void burst(struct rig *r, int64_t pos)
{
	static int16_t tone[9600];
	struct sound_chunk chunk = {.kind = CHUNK_SOUND,
				    .pos = pos,
				    .frames = ARRAY_LEN(tone),
				    .pcm = tone};

	for (size_t i = 0; i < ARRAY_LEN(tone); i++)
		tone[i] = (int16_t)(8000 *
				    sin(2 * M_PI * 440 * (double)i / 48000));
	assert_int_equal(track_write(r->track, &chunk), 0);
}

static void an_encoded_burst_begins_where_it_was(void **state)
{
	struct rig r;
	size_t n, from = 0;
	int16_t *pcm;

	(void)state;
	set_up(&r, TRACK_OGG_OPUS, 48000);
	assert_int_equal(track_begin(r.track, start), 0);
	for (int64_t i = 0; i < 20; i++)
		burst(&r, start + 30001 * i + 4000);
	assert_int_equal(track_end_segment(r.track, start + 600123), 0);
	pcm = play_all(&r, &n);
	assert_int_equal(n, 600123);
	for (size_t i = 0; i < 20; i++) {
		while (from < n && abs(pcm[from]) < 1000)
			from++;
		assert_true(llabs((int64_t)from - (int64_t)(30001 * i + 4000)) <
			    3 * MS);
		from += 9600 + 4000;
	}
	free(pcm);
	/* In whole packets: all but the last are 1 s long. */
	assert_int_equal(r.n, 13);
	for (size_t i = 0; i + 1 < r.n; i++)
		assert_int_equal(r.pieces[i].frames, 48000);
	track_free(r.track);
}

static void encoded_segments_decode_to_the_uncut_recording(void **state)
{
	struct rig whole, parts;
	struct rig *const both[] = {&whole, &parts};

	(void)state;
	set_up(&whole, TRACK_OGG_OPUS, 0);
	set_up(&parts, TRACK_OGG_OPUS, 31111);
	for (size_t k = 0; k < 2; k++) {
		for (int64_t i = 0; i < 20; i++)
			burst(both[k], start + 10000 * i);
		assert_int_equal(track_end_segment(both[k]->track, 0), 0);
	}
	expect_same(&whole, &parts);
	for (size_t k = 0; k < parts.n; k++) {
		struct played p = play_piece(&parts.pieces[k]);

		if (k == 0)
			assert_int_equal(p.preskip, 312);
		else
			assert_in_range(p.preskip, 9600, 9600 + 959);
		free(p.pcm);
	}
	track_free(whole.track);
	track_free(parts.track);
}

static void bit_rates_that_opus_has_not_are_refused(void **state)
{
	static const uint32_t bad[] = {1, 5999, 510001};
	const struct track_events events = {.begun = on_begun,
					    .ended = on_ended};
	struct track_config config = {.kind = TRACK_OGG_OPUS};
	struct track *t = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		config.opus_bit_s = bad[i];
		assert_int_equal(track_new(&config, &events, NULL, &t), EINVAL);
	}
	config.opus_bit_s = 0; /* unless told */
	assert_int_equal(track_new(&config, &events, NULL, &t), 0);
	track_free(t);
	/* An MP3 frame of which three fill no opening. */
	config.kind = TRACK_MP3;
	config.mp3 = (struct sound_mp3_config){48000, 128000, false};
	assert_int_equal(track_new(&config, &events, NULL, &t), EINVAL);
}

static void each_encoded_run_begins_anew(void **state)
{
	struct rig r;
	struct played first, second;

	(void)state;
	set_up(&r, TRACK_OGG_OPUS, 0);
	burst(&r, start);
	assert_int_equal(track_end_segment(r.track, start + 9600), 0);
	burst(&r, start + 55555);
	assert_int_equal(track_end_segment(r.track, start + 55555 + 9600), 0);
	assert_int_equal(r.n, 2);
	first = play_piece(&r.pieces[0]);
	second = play_piece(&r.pieces[1]);
	assert_int_equal(first.n, 9600);
	assert_int_equal(second.n, 9600);
	assert_memory_equal(first.pcm, second.pcm, 9600 * sizeof(int16_t));
	free(first.pcm);
	free(second.pcm);
	track_free(r.track);
}

/* ---- memory ---------------------------------------------------------------- */

static enum track_kind oom_kind;

static void play_without_memory(void)
{
	static const uint8_t packet[20] = {31 << 3, 1};
	static int16_t pcm[960];
	static uint8_t file[1 << 20];
	const int64_t end = start + 100 * 960;
	const struct piece *last;
	struct rig r;

	if (make_track(&r, oom_kind, 24000))
		return;
	for (int64_t i = 0; i < 100; i++) {
		const struct sound_chunk chunk = {.kind = CHUNK_SOUND,
						  .pos = start + i * 960,
						  .frames = 960,
						  .pcm = pcm,
						  .packet = packet,
						  .packet_len = 20};
		int err = track_write(r.track, &chunk);

		assert_true(!err || err == ENOMEM);
		if (i % 20 == 0)
			track_push(r.track);
	}
	(void)!track_end_segment(r.track, end);
	/* Whatever was lost, what is there stands in its place. */
	assert_true(r.n > 0);
	last = &r.pieces[r.n - 1];
	assert_int_equal(last->start_pos + (int64_t)last->s->frames, end);
	for (size_t i = 0; i < r.n; i++) {
		const struct piece *p = &r.pieces[i];
		const size_t head = p->opening.head_len;
		const size_t len = head + p->s->bytes.len;
		struct ogg_scan s = {0};

		assert_true(len <= sizeof(file));
		memcpy(file, p->opening.bytes, head);
		if (len > head)
			memcpy(file + head, p->s->bytes.data, len - head);
		assert_int_equal(ogg_scan(&s, file, len), len);
		if (s.is_ended)
			assert_int_equal(ogg_scan_frames(&s), p->frames);
	}
	track_free(r.track);
}

static void without_memory_sound_is_lost_but_never_moved(void **state)
{
	static const enum track_kind kinds[] = {TRACK_OGG_COPY, TRACK_OGG_OPUS};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		oom_kind = kinds[i];
		OOM_SWEEP(play_without_memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_out_as_they_went_in),
		cmocka_unit_test(what_a_file_opens_with_plays),
		cmocka_unit_test(a_push_gives_all_but_the_last_packet),
		cmocka_unit_test(
			the_header_says_stereo_when_the_first_packet_is),
		cmocka_unit_test(copied_segments_decode_to_the_uncut_recording),
		cmocka_unit_test(a_tone_goes_through_the_cuts),
		cmocka_unit_test(no_file_is_too_short),
		cmocka_unit_test(
			gaps_of_any_length_leave_packets_in_their_places),
		cmocka_unit_test(a_slow_clock_is_followed_in_small_steps),
		cmocka_unit_test(a_fast_clock_costs_a_packet_now_and_then),
		cmocka_unit_test(a_fast_clock_costs_quiet_packets_only),
		cmocka_unit_test(a_packet_twice_is_written_once),
		cmocka_unit_test(a_segment_ends_where_it_is_told_to),
		cmocka_unit_test(the_next_run_starts_where_its_sound_starts),
		cmocka_unit_test(segments_never_overlap),
		cmocka_unit_test(a_loss_is_concealed_and_a_long_one_is_silence),
		cmocka_unit_test(a_pause_is_silence),
		cmocka_unit_test(sound_without_its_packet_is_silence_in_a_copy),
		cmocka_unit_test(a_segment_may_begin_before_its_sound),
		cmocka_unit_test(
			a_gap_of_hours_takes_no_more_memory_than_is_allowed),
		cmocka_unit_test(an_encoded_burst_begins_where_it_was),
		cmocka_unit_test(
			encoded_segments_decode_to_the_uncut_recording),
		cmocka_unit_test(bit_rates_that_opus_has_not_are_refused),
		cmocka_unit_test(each_encoded_run_begins_anew),
		cmocka_unit_test(without_memory_sound_is_lost_but_never_moved),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
