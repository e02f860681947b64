/**
 * rooms/task_session.c -- a task's session: what its media loop is told.
 *
 * At most one message is under way; what is wanted meanwhile is sent when the
 * answer has come (epochs, rooms/media.h).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rooms/private.h"

enum { MAX_WAITING = 1 << 20 /* bytes of a segment that has no file yet */ };

static void sync_session(struct task *t)
{
	struct session *s = t->session;

	if (!s || t->starting || t->mail_out ||
	    t->epoch_sent == t->epoch_wanted)
		return;
	s->wish.epoch = t->epoch_wanted;
	s->wish.by = t->by;
	s->wish.stop = t->stop_wanted;
	s->wish.stop_pos = t->stop_pos;
	s->wish.paused = t->row.is_paused;
	s->wish.mode = t->row.mode;
	s->wish.allow = t->subscribe.allow;
	s->wish.n_users = t->subscribe.n;
	memcpy(s->wish.users, t->users, sizeof(t->users));
	t->epoch_sent = t->epoch_wanted;
	t->mail_out = true;
	media_session(s);
}

void task_wish_session(struct task *t)
{
	t->epoch_wanted++;
	sync_session(t);
}

void task_suspend(struct task *t, const struct by *by)
{
	if (t->stop_wanted || !t->session)
		return;
	t->by = by ? *by : (struct by){0};
	t->stop_wanted = true;
	t->stop_pos = sound_pos_of_us(clock_now_us());
	task_wish_session(t);
}

static void on_session_answered(struct session *s)
{
	struct task *t = s->owner;
	bool was_stop = s->wish.stop; /* a new wish is written over it */
	int err = s->err;

	t->mail_out = false;
	s->err = 0;
	if (was_stop)
		t->drained = true; /* or it did not even begin */
	else if (err)
		task_fail(t, "no_memory", "out of memory");
	if (!t->drained) {
		sync_session(t);
		return;
	}
	mem_free(s);
	t->session = NULL;
	task_check(t);
}

/** Bits a second that go with a rate. */
static uint32_t bit_s_of(uint32_t sample_rate)
{
	switch (sample_rate) {
	case 16000:
		return 32000;
	case 24000:
		return 48000;
	default:
		return 64000;
	}
}

static struct track_config track_of(const struct task *t, enum record_mode mode)
{
	const struct recording_config *rec = &t->recording;
	const bool is_mix = mode == MODE_MIXED;
	const enum track_kind ogg = is_mix ? TRACK_OGG_OPUS : TRACK_OGG_COPY;

	return (struct track_config){
		.kind = t->row.format == FORMAT_OGG ? ogg : TRACK_MP3,
		.mp3 = {.sample_rate = t->row.sample_rate,
			.bit_s = bit_s_of(t->row.sample_rate)},
		.segment_frames = (uint64_t)sound_pos_of_us(
			t->row.segment_ms ? t->row.segment_ms * CLOCK_US_PER_MS
					  : rec->segment_us),
		.max_waiting = MAX_WAITING,
	};
}

int task_make_session(struct task *t)
{
	struct session *s = mem_zalloc(sizeof(*s));

	if (!s)
		return ENOMEM;
	s->task = t->row.id;
	s->room_key = t->room->key;
	s->single = track_of(t, MODE_SINGLE);
	s->mixed = track_of(t, MODE_MIXED);
	s->media = t->room->media;
	s->control = t->rooms->loop;
	s->answered = on_session_answered;
	s->seg_begun = seg_on_begun;
	s->seg_ended = seg_on_ended;
	s->owner = t;
	s->wish.from_pos = sound_pos_of_us(clock_now_us());
	t->session = s;
	return 0;
}
