/** rooms/media_session.c -- a running task on its media loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "rooms/media_inside.h"

static void on_session_answer(struct mail *mail)
{
	struct session *s = CONTAINER_OF(mail, struct session, mail);

	s->answered(s);
}

static void answer(struct session *s)
{
	mail_post(s->control, &s->mail, on_session_answer);
}

/* ---- whom it records ------------------------------------------------------ */

static bool wants(const struct session *s, const char *user)
{
	return lists_permit(s->allow, s->users, s->n_users, user);
}

/** The part that has no end yet; those that end are as good as gone. */
static struct part *find_part(const struct session *s, const struct voice *v)
{
	LIST_EACH(&s->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_session);

		if (p->voice == v && p->end_pos == INT64_MAX)
			return p;
	}
	return NULL;
}

bool session_is_mixing(const struct session *s)
{
	LIST_EACH(&s->parts, l, after)
	{
		if (CONTAINER_OF(l, struct part, in_session)->is_mixed)
			return true;
	}
	return false;
}

void session_meet(struct session *s, struct voice *v, int64_t pos,
		  const struct by *by)
{
	struct part *p = find_part(s, v);

	if (s->stopping)
		return;
	if (pos < s->from_pos)
		pos = s->from_pos;
	if (wants(s, v->user) && !p)
		part_make(s, v, pos, by);
	else if (!wants(s, v->user) && p)
		part_end(p, pos, &s->wish.by);
}

void session_match(struct session *s, int64_t pos)
{
	const struct by *by = s->wish.by.ip[0] ? &s->wish.by : NULL;

	LIST_EACH(&s->room->voices, l, after)
	{
		session_meet(s, CONTAINER_OF(l, struct voice, in_room), pos,
			     by);
	}
}

/* ---- pause ------------------------------------------------------------------ */

static bool is_paused_now(const struct turns *t)
{
	return t->n ? t->at[t->n - 1].on : t->before;
}

/** From `pos` on; positions do not decrease. */
static void turn(struct turns *t, int64_t pos, bool on)
{
	if (is_paused_now(t) == on)
		return;
	if (t->n == TURNS_MAX) { /* in doubt it is paused */
		t->before |= t->at[0].on;
		t->n--;
		memmove(t->at, t->at + 1, t->n * sizeof(t->at[0]));
	}
	t->at[t->n].pos = pos;
	t->at[t->n].on = on;
	t->n++;
}

/** What no sound can lie before any more is forgotten. */
static void forget_turns(struct turns *t, int64_t now_us)
{
	int64_t old = sound_pos_of_us(now_us - 10 * HOLD_US);

	while (t->n && t->at[0].pos < old) {
		t->before = t->at[0].on;
		t->n--;
		memmove(t->at, t->at + 1, t->n * sizeof(t->at[0]));
	}
}

/* ---- beginning and ending ------------------------------------------------- */

static int begin(struct session *s)
{
	struct media *m = s->media;
	int err;

	s->room = media_get_room(m, &s->room_key);
	if (!s->room)
		return ENOMEM;
	list_init(&s->parts);
	list_init(&s->segments);
	s->from_pos = s->wish.from_pos;
	s->pause = (struct turns){.before = s->wish.paused};
	s->mode = s->wish.mode;
	err = s->mode != MODE_SINGLE ? mixer_new(s, &s->mixer) : 0;
	if (err) {
		media_drop_room_if_empty(m, s->room);
		s->room = NULL;
		return err;
	}
	list_append(&s->room->sessions, &s->in_room);
	s->begun = true;
	return 0;
}

static void begin_stop(struct session *s)
{
	s->stop_pos = s->wish.stop_pos;
	s->stopping = true;
	LIST_EACH(&s->parts, l, after)
	{
		part_end(CONTAINER_OF(l, struct part, in_session), s->stop_pos,
			 &s->wish.by);
	}
}

/** All segments are handed over. */
static void finish_stop(struct session *s)
{
	mixer_free(s->mixer);
	s->mixer = NULL;
	list_remove(&s->in_room);
	s->room = NULL;
	s->begun = false;
	s->stopping = false;
	answer(s);
}

/** Parts whose end is far enough away that all before it has come. */
static void free_ended(struct session *s, int64_t now_us)
{
	int64_t pos = sound_pos_of_us(now_us) - END_WAIT;

	s->is_ending = false;
	LIST_EACH(&s->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_session);

		if (p->end_pos <= pos) {
			voice_take(p->voice, now_us);
			part_free(p);
		} else if (p->end_pos != INT64_MAX) {
			s->is_ending = true;
		}
	}
}

void session_work(struct session *s, int64_t now_us)
{
	if (s->is_ending)
		free_ended(s, now_us);
	if (s->pause.n)
		forget_turns(&s->pause, now_us);
	if (s->stopping && list_is_empty(&s->parts) &&
	    list_is_empty(&s->segments))
		finish_stop(s);
}

/* ---- the wish ------------------------------------------------------------------ */

static void take_lists(struct session *s)
{
	s->allow = s->wish.allow;
	s->n_users = s->wish.n_users;
	memcpy(s->users, s->wish.users, sizeof(s->users));
}

/** Parts of the old mode end where those of the new one begin.  Returns 0, or
 *  ENOMEM: it goes on as it was. */
static int take_mode(struct session *s, int64_t pos)
{
	int err = 0;

	if (s->mode == s->wish.mode)
		return 0;
	if (s->wish.mode != MODE_SINGLE && !s->mixer)
		err = mixer_new(s, &s->mixer);
	if (err)
		return err;
	s->mode = s->wish.mode;
	LIST_EACH(&s->parts, l, after)
	{
		part_end(CONTAINER_OF(l, struct part, in_session), pos,
			 &s->wish.by);
	}
	return 0;
}

static void on_session_wish(struct mail *mail)
{
	struct session *s = CONTAINER_OF(mail, struct session, mail);
	int64_t pos = sound_pos_of_us(loop_now_us(s->media->loop));

	if (!s->begun) {
		s->err = begin(s);
		if (s->err) {
			answer(s);
			return;
		}
		/* from when it was asked for, not from when we heard of it */
		pos = s->from_pos;
	}
	take_lists(s);
	turn(&s->pause, pos, s->wish.paused);
	if (s->wish.stop) {
		begin_stop(s);
		return; /* answered when drained, see session_work */
	}
	s->err = take_mode(s, pos);
	session_match(s, pos);
	answer(s);
}

void media_session(struct session *s)
{
	mail_post(s->media->loop, &s->mail, on_session_wish);
}
