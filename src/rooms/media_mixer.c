/**
 * rooms/media_mixer.c -- a session's mix: all its voices in one track.
 *
 * A mix has a file while somebody whom the session records is in the room:
 * from the first who joins to the last who leaves.
 *
 * What may be mixed is what nobody can add to any more.  A voice that sends has
 * given all before its input's position; one that is silent may come with a
 * packet of a while ago, and is waited for HOLD_US at most.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>

#include "base/counters.h"
#include "base/mem.h"
#include "rooms/media_inside.h"

struct mixer {
	struct session *session;
	struct writer writer;
	struct sound_mix *mix;
	bool is_open;
	int64_t end; /* of the parts that are gone, the last */
	struct by end_by;
	struct media_work work;
};

int mixer_new(struct session *s, struct mixer **out)
{
	struct mixer *x = mem_zalloc(sizeof(*x));
	int err;

	if (!x)
		return ENOMEM;
	x->session = s;
	err = sound_mix_new(0, &x->mix);
	if (!err)
		err = writer_init(&x->writer, s, MODE_MIXED, "0");
	if (err) {
		sound_mix_free(x->mix);
		mem_free(x);
		return err;
	}
	*out = x;
	return 0;
}

void mixer_free(struct mixer *x)
{
	if (!x)
		return;
	assert(!x->is_open);
	writer_fini(&x->writer, 0, NULL);
	sound_mix_free(x->mix);
	mem_free(x);
}

static void on_mixed(const struct sound_chunk *c, void *arg)
{
	struct mixer *x = arg;

	writer_put(&x->writer, c, NULL);
}

/** Nobody will add to what lies before. */
static int64_t find_floor(const struct mixer *x, int64_t now_us)
{
	int64_t floor = sound_pos_of_us(now_us);
	int64_t end = x->end;

	LIST_EACH(&x->session->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_session);
		/* as of when its port was read: before that nobody knows */
		const int64_t taken_us = p->voice->taken_us;
		const int64_t hold = sound_pos_of_us(taken_us - HOLD_US);
		int64_t pos;

		if (!p->is_mixed)
			continue;
		pos = input_floor(p->voice->input, taken_us);
		if (pos < p->from_pos) /* it adds nothing before */
			pos = p->from_pos;
		if (pos < hold)
			pos = hold;
		if (pos < floor && pos < p->end_pos)
			floor = pos;
		if (p->end_pos > end)
			end = p->end_pos;
	}
	return floor < end ? floor : end;
}

static void work(struct media_work *w, int64_t now_us)
{
	struct mixer *x = CONTAINER_OF(w, struct mixer, work);

	sound_mix_take(x->mix, find_floor(x, now_us), on_mixed, x);
	track_push(x->writer.track);
}

/** Behind the room's voices, so that what they have just given is in. */
void mixer_open(struct mixer *x, int64_t pos, const struct by *by)
{
	struct link *last = x->session->room->voices.prev;
	const struct voice *v = CONTAINER_OF(last, struct voice, in_room);

	assert(!x->is_open && !list_is_empty(&x->session->room->voices));
	if (pos < sound_mix_pos(x->mix))
		pos = sound_mix_pos(x->mix);
	x->is_open = true;
	x->end = pos;
	x->work.run = work;
	sound_mix_finish(x->mix, sound_mix_pos(x->mix), pos, on_mixed, x);
	writer_begin(&x->writer, pos, by);
	media_work_add(x->session->media, &x->work, &v->work);
}

void mixer_put(struct mixer *x, const struct sound_chunk *c)
{
	counter_add(COUNT_mix_late, sound_mix_add(x->mix, c));
}

void mixer_leave(struct mixer *x, int64_t pos, const struct by *by)
{
	if (pos < x->end)
		return;
	x->end = pos;
	x->end_by = *by;
}

void mixer_close(struct mixer *x)
{
	int64_t pos = x->end;

	if (!x->is_open)
		return;
	x->is_open = false;
	list_remove(&x->work.link);
	if (pos < sound_mix_pos(x->mix))
		pos = sound_mix_pos(x->mix);
	sound_mix_finish(x->mix, pos, pos, on_mixed, x);
	writer_end(&x->writer, pos, &x->end_by);
}
