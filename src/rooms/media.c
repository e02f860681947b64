/**
 * rooms/media.c -- the media loops: what sounds.
 *
 * WHAT  Voices hand out chunks; every session that wants a voice has a part
 *       (a track) of it; tracks make segments.
 * WHY   Nothing of a room is touched by two threads.
 * DESIGN
 *   A voice is worked on every WORK_US: packets whose time has come are
 *   decoded, encoded and pushed to the file threads in one batch, which
 *   keeps one codec's state in the cache.  Work stops after SLICE_US and
 *   goes on in the next turn, so sockets are always served.
 *
 *   What a crash may cost: the reorder window (0.4 s) + WORK_US + the file
 *   thread's second = 1.9 s.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/media.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	WORK_US = 500 * 1000,
	SLICE_US = 5 * 1000,
	LATE_US = 50 * 1000,
	STOP_WAIT = SOUND_RATE / 2, /* frames; over the reorder window */
	/* silence mode: how far the file may run ahead of a silent sender;
	 * a stall shorter than this is put in its place */
	HOLD_US = 2 * 1000 * 1000,
	CLOCK_STEP_US = 20 * 1000 /* less is the time between two readings */
};

struct media {
	struct loop *loop;
	struct loop *control;
	struct thread *thread;
	struct map rooms; /* struct media_room by key */
	struct link work; /* voices, the one due first at the head */
	struct timer work_timer;
	int64_t apart_us; /* wall clock minus monotonic clock */
};

struct media_room {
	struct map_node node;
	struct room_key key;
	struct link voices, sessions;
};

/** A voice in a session: one single track. */
struct part {
	struct link in_voice, in_session;
	struct voice *voice;
	struct session *session;
	struct track *track;
};

void room_key_make(uint32_t app, const char *room, struct room_key *out)
{
	size_t len = strlen(room);

	assert(len <= ID_MAX);
	memcpy(out->bytes, &app, sizeof(app));
	memcpy(out->bytes + sizeof(app), room, len);
	out->len = sizeof(app) + len;
}

uint64_t room_key_hash(const struct room_key *key)
{
	uint64_t h = 0xcbf29ce484222325U; /* FNV-1a */

	for (size_t i = 0; i < key->len; i++)
		h = (h ^ key->bytes[i]) * 0x100000001b3U;
	return h;
}

/* ---- rooms ------------------------------------------------------------ */

static struct media_room *find_room(struct media *m, const struct room_key *key)
{
	struct map_node *n = map_find(&m->rooms, key->bytes, key->len);

	return n ? CONTAINER_OF(n, struct media_room, node) : NULL;
}

static struct media_room *get_room(struct media *m, const struct room_key *key)
{
	struct media_room *room = find_room(m, key);

	if (room)
		return room;
	room = mem_zalloc(sizeof(*room));
	if (!room)
		return NULL;
	room->key = *key;
	list_init(&room->voices);
	list_init(&room->sessions);
	if (map_add(&m->rooms, &room->node, room->key.bytes, room->key.len)) {
		mem_free(room);
		return NULL;
	}
	return room;
}

static void drop_room_if_empty(struct media *m, struct media_room *room)
{
	if (!list_is_empty(&room->voices) || !list_is_empty(&room->sessions))
		return;
	map_remove(&m->rooms, &room->node);
	mem_free(room);
}

/* ---- segments --------------------------------------------------------- */

static void on_seg_ended_mail(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, ended);

	seg->session->seg_ended(seg);
}

static void on_seg_begun_mail(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, begun);

	seg->session->seg_begun(seg);
}

/** Once everything was handed over, the control loop may close the file. */
static void hand_over(struct seg *seg)
{
	struct session *s = seg->session;

	if (!seg->is_granted || !seg->is_ended)
		return;
	segment_push(seg->segment);
	if (seg->segment->bytes.len && !seg->segment->failed)
		return; /* the file thread is behind: again in a while */
	seg->frames = seg->segment->frames;
	segment_free(seg->segment);
	seg->segment = NULL;
	list_remove(&seg->in_session);
	mail_post(s->control, &seg->ended, on_seg_ended_mail);
}

static void on_granted(struct mail *mail)
{
	struct seg *seg = CONTAINER_OF(mail, struct seg, granted);

	seg->is_granted = true;
	if (seg->file)
		segment_grant(seg->segment, seg->file);
	else
		seg->segment->failed = true;
	seg->file = NULL;
	hand_over(seg);
}

void media_grant(struct seg *seg)
{
	mail_post(seg->session->media->loop, &seg->granted, on_granted);
}

/**
 * Wall time [ms] of a position.  The distance of the two clocks is kept until
 * one is set, so segments that follow each other without a gap do so in their
 * times as well.
 */
static int64_t wall_ms(struct media *m, int64_t pos)
{
	int64_t now_us = clock_now_us();
	int64_t apart_us = clock_unix_ms() * CLOCK_US_PER_MS - now_us;
	int64_t pos_us = pos * CLOCK_US_PER_MS / SOUND_FRAMES_PER_MS;

	if (llabs(apart_us - m->apart_us) > CLOCK_STEP_US)
		m->apart_us = apart_us;
	return (pos_us + m->apart_us) / CLOCK_US_PER_MS;
}

static void on_segment_begun(struct segment *segment, void *arg)
{
	struct part *part = arg;
	struct session *s = part->session;
	struct seg *seg = mem_zalloc(sizeof(*seg));

	if (!seg) {
		log_error("task=%llu user=%s segment lost: out of memory",
			  (unsigned long long)s->task, part->voice->user);
		segment->failed = true;
		return;
	}
	seg->session = s;
	seg->start_ms = wall_ms(s->media, segment->start_pos);
	str_copy(seg->user, sizeof(seg->user), part->voice->user);
	seg->mode = MODE_SINGLE;
	seg->opening = *track_opening(part->track);
	seg->segment = segment;
	segment->user = seg;
	list_append(&s->segments, &seg->in_session);
	mail_post(s->control, &seg->begun, on_seg_begun_mail);
}

static void on_segment_ended(struct segment *segment, void *arg)
{
	struct seg *seg = segment->user;

	(void)arg;
	segment_detach(segment);
	if (!seg) {
		segment_free(segment);
		return;
	}
	seg->is_ended = true;
	hand_over(seg);
}

/* ---- parts: a voice in a session --------------------------------------- */

static const struct track_events track_events = {
	.begun = on_segment_begun,
	.ended = on_segment_ended,
};

static bool session_wants(const struct session *s, const char *user)
{
	if (!s->n_users)
		return true;
	for (size_t i = 0; i < s->n_users; i++) {
		if (!strcmp(s->users[i], user))
			return s->allow;
	}
	return !s->allow;
}

static void part_free(struct part *p, int64_t pos)
{
	if (p->session->stopping && pos > p->session->stop_pos)
		pos = p->session->stop_pos;
	if (track_end_segment(p->track, pos))
		log_error("task=%llu user=%s end of segment: out of memory",
			  (unsigned long long)p->session->task, p->voice->user);
	track_free(p->track);
	list_remove(&p->in_voice);
	list_remove(&p->in_session);
	mem_free(p);
}

static void part_make(struct session *s, struct voice *v, int64_t pos)
{
	struct part *p = mem_zalloc(sizeof(*p));

	if (!p)
		goto fail;
	p->voice = v;
	p->session = s;
	if (track_new(&s->single, &track_events, p, &p->track))
		goto fail;
	list_append(&v->parts, &p->in_voice);
	list_append(&s->parts, &p->in_session);
	if (v->silence_mode && track_begin(p->track, pos))
		log_error("task=%llu user=%s begin: out of memory",
			  (unsigned long long)s->task, v->user);
	return;
fail:
	log_error("task=%llu user=%s is not recorded: out of memory",
		  (unsigned long long)s->task, v->user);
	mem_free(p);
}

static struct part *find_part(const struct session *s, const struct voice *v)
{
	LIST_EACH(&s->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_session);

		if (p->voice == v)
			return p;
	}
	return NULL;
}

/** Make and end parts as the session's lists say now. */
static void match_parts(struct session *s, int64_t pos)
{
	LIST_EACH(&s->room->voices, l, after)
	{
		struct voice *v = CONTAINER_OF(l, struct voice, in_room);
		struct part *p = find_part(s, v);
		bool wants = session_wants(s, v->user);

		if (wants && !p)
			part_make(s, v, pos);
		else if (!wants && p)
			part_free(p, pos);
	}
}

/* ---- chunks ------------------------------------------------------------ */

/** Cut `c` to from..to; returns false when nothing is left. */
static bool trim(struct sound_chunk *c, int64_t from, int64_t to)
{
	int64_t end = c->pos + c->frames;

	if (end <= from || c->pos >= to)
		return false;
	if (c->pos < from) {
		if (c->pcm)
			c->pcm += from - c->pos;
		c->pos = from;
	}
	if (end > to)
		end = to;
	c->frames = (uint32_t)(end - c->pos);
	return true;
}

static void on_chunk(const struct sound_chunk *chunk, void *arg)
{
	struct voice *v = arg;

	LIST_EACH(&v->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_voice);
		struct session *s = p->session;
		struct sound_chunk c = *chunk;

		if (trim(&c, s->from_pos,
			 s->stopping ? s->stop_pos : INT64_MAX))
			(void)!track_write(p->track, &c);
	}
}

static void on_mic_on(int64_t pos, void *arg)
{
	struct voice *v = arg;

	(void)pos;
	atomic_store_explicit(&v->mic_on, true, memory_order_relaxed);
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct voice *v = arg;

	atomic_store_explicit(&v->mic_on, false, memory_order_relaxed);
	if (v->silence_mode)
		return;
	LIST_EACH(&v->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_voice);
		struct session *s = p->session;
		int64_t end = pos;

		if (s->stopping && end > s->stop_pos)
			end = s->stop_pos;
		(void)!track_end_segment(p->track, end);
	}
}

static const struct input_events input_events = {
	.chunk = on_chunk,
	.mic_on = on_mic_on,
	.mic_off = on_mic_off,
};

/* ---- work -------------------------------------------------------------- */

static void publish_stats(struct voice *v)
{
	struct input_stats st;

	input_stats(v->input, &st);
	atomic_store_explicit(&v->packets, st.packets, memory_order_relaxed);
	atomic_store_explicit(&v->lost, st.lost, memory_order_relaxed);
	if (st.sender.len && st.sender.sa.sa_family == AF_INET)
		atomic_store_explicit(
			&v->sender_ip4,
			(uint64_t)ntohl(st.sender.in4.sin_addr.s_addr) << 16 |
				ntohs(st.sender.in4.sin_port),
			memory_order_relaxed);
}

static void push_parts(struct voice *v, int64_t now_us)
{
	int64_t hold = sound_pos_of_us(now_us - HOLD_US);

	LIST_EACH(&v->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_voice);

		if (v->silence_mode && !p->session->stopping)
			(void)!track_advance(p->track, hold);
		track_push(p->track);
	}
}

/** Segments that have ended but wait for a slow disk. */
static void push_ended(struct session *s)
{
	LIST_EACH(&s->segments, l, after)
	{
		hand_over(CONTAINER_OF(l, struct seg, in_session));
	}
}

static void voice_work(struct voice *v, int64_t now_us)
{
	input_advance(v->input, now_us);
	push_parts(v, now_us);
	publish_stats(v);
}

static void on_session_answer(struct mail *mail)
{
	struct session *s = CONTAINER_OF(mail, struct session, mail);

	s->answered(s);
}

/**
 * A session that stops: once the reorder window has passed, end its parts
 * at the stop's position; once all segments are handed over, answer.
 */
static void session_stop_work(struct session *s, int64_t now_us)
{
	if (sound_pos_of_us(now_us) < s->stop_pos + STOP_WAIT)
		return;
	LIST_EACH(&s->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_session);

		input_advance(p->voice->input, now_us);
		part_free(p, s->stop_pos);
	}
	if (!list_is_empty(&s->segments))
		return;
	list_remove(&s->in_room);
	s->room = NULL;
	s->begun = false;
	s->stopping = false;
	mail_post(s->control, &s->mail, on_session_answer);
}

/** Sessions that stop, and segments that wait for a slow disk. */
static void sessions_work(struct media *m, int64_t now_us)
{
	struct map_node *next;

	for (struct map_node *n = map_next(&m->rooms, NULL); n; n = next) {
		struct media_room *room =
			CONTAINER_OF(n, struct media_room, node);

		next = map_next(&m->rooms, n);
		LIST_EACH(&room->sessions, l, after)
		{
			struct session *s =
				CONTAINER_OF(l, struct session, in_room);

			push_ended(s);
			if (s->stopping)
				session_stop_work(s, now_us);
		}
		drop_room_if_empty(m, room);
	}
}

static void arm_work(struct media *m, int64_t due_us);

static void on_work(struct timer *t, int64_t now_us)
{
	struct media *m = CONTAINER_OF(t, struct media, work_timer);
	int64_t began = clock_now_us();
	int64_t now = began;
	struct link *l;

	for (l = list_first(&m->work); l; l = list_first(&m->work)) {
		struct voice *v = CONTAINER_OF(l, struct voice, in_work);

		if (v->work_due_us > now)
			break;
		if (now - began > SLICE_US)
			break;
		voice_work(v, now);
		v->work_due_us = now + WORK_US;
		list_remove(&v->in_work);
		list_append(&m->work, &v->in_work);
		now = clock_now_us();
	}
	sessions_work(m, now);
	if (now - began > LATE_US)
		counter_add(COUNT_loop_late, 1);
	l = list_first(&m->work);
	if (l && CONTAINER_OF(l, struct voice, in_work)->work_due_us < now)
		arm_work(m, now_us);
	else
		arm_work(m, now + WORK_US / 10);
}

static void arm_work(struct media *m, int64_t due_us)
{
	if (timer_start(&m->work_timer, m->loop, due_us, on_work))
		log_error("media loop: no memory for a timer");
}

/* ---- voices ------------------------------------------------------------ */

static int voice_open(struct voice *v)
{
	struct media *m = v->media;
	int64_t now_us = loop_now_us(m->loop);
	int err;

	v->room = get_room(m, &v->room_key);
	if (!v->room)
		return ENOMEM;
	err = input_new(&v->config, &input_events, v, &v->input);
	if (err)
		goto fail;
	err = rtp_port_open(m->loop, &v->wish.at, v->input, &v->port);
	if (err)
		goto fail;
	list_init(&v->parts);
	list_append(&v->room->voices, &v->in_room);
	v->work_due_us = now_us + WORK_US;
	list_append(&m->work, &v->in_work);
	LIST_EACH(&v->room->sessions, l, after)
	{
		struct session *s = CONTAINER_OF(l, struct session, in_room);

		if (!s->stopping && session_wants(s, v->user))
			part_make(s, v, sound_pos_of_us(now_us));
	}
	return 0;
fail:
	input_free(v->input);
	v->input = NULL;
	drop_room_if_empty(m, v->room);
	v->room = NULL;
	return err;
}

static void voice_close(struct voice *v)
{
	int64_t pos = sound_pos_of_us(loop_now_us(v->media->loop));

	input_flush(v->input, pos);
	publish_stats(v);
	LIST_EACH(&v->parts, l, after)
	{
		part_free(CONTAINER_OF(l, struct part, in_voice), pos);
	}
	rtp_port_close(v->port);
	v->port = NULL;
	input_free(v->input);
	v->input = NULL;
	list_remove(&v->in_room);
	list_remove(&v->in_work);
	drop_room_if_empty(v->media, v->room);
	v->room = NULL;
}

static void on_voice_answer(struct mail *mail)
{
	struct voice *v = CONTAINER_OF(mail, struct voice, mail);

	v->answered(v);
}

static void on_voice_wish(struct mail *mail)
{
	struct voice *v = CONTAINER_OF(mail, struct voice, mail);

	v->err = 0;
	if (v->wish.open && !v->input)
		v->err = voice_open(v);
	if (v->input) {
		input_set_mic(v->input, v->wish.mic,
			      sound_pos_of_us(loop_now_us(v->media->loop)));
		if (!v->wish.open)
			voice_close(v);
	}
	mail_post(v->media->control, &v->mail, on_voice_answer);
}

void media_voice(struct voice *v)
{
	mail_post(v->media->loop, &v->mail, on_voice_wish);
}

/* ---- sessions ---------------------------------------------------------- */

static void session_take_lists(struct session *s)
{
	s->allow = s->wish.allow;
	s->n_users = s->wish.n_users;
	memcpy(s->users, s->wish.users, sizeof(s->users));
}

static void on_session_wish(struct mail *mail)
{
	struct session *s = CONTAINER_OF(mail, struct session, mail);
	struct media *m = s->media;
	int64_t pos = sound_pos_of_us(loop_now_us(m->loop));

	if (!s->begun) {
		s->room = get_room(m, &s->room_key);
		if (!s->room) {
			s->err = ENOMEM;
			mail_post(m->control, &s->mail, on_session_answer);
			return;
		}
		list_init(&s->parts);
		list_init(&s->segments);
		list_append(&s->room->sessions, &s->in_room);
		s->from_pos = s->wish.from_pos;
		s->begun = true;
	}
	session_take_lists(s);
	if (!s->wish.stop)
		match_parts(s, pos > s->from_pos ? pos : s->from_pos);
	if (s->wish.stop) {
		s->stop_pos = s->wish.stop_pos;
		s->stopping = true;
		return; /* answered when drained, see session_stop_work */
	}
	mail_post(m->control, &s->mail, on_session_answer);
}

void media_session(struct session *s)
{
	mail_post(s->media->loop, &s->mail, on_session_wish);
}

/* ---- the loop ----------------------------------------------------------- */

static void run(void *arg)
{
	struct media *m = arg;

	loop_run(m->loop);
}

int media_new(unsigned index, struct loop *control, struct media **out)
{
	struct media *m = mem_zalloc(sizeof(*m));
	char name[16];
	int err;

	if (!m)
		return ENOMEM;
	m->control = control;
	map_init(&m->rooms);
	list_init(&m->work);
	err = loop_new(&m->loop);
	if (err)
		goto fail;
	err = timer_start(&m->work_timer, m->loop, clock_now_us() + WORK_US,
			  on_work);
	if (err)
		goto fail;
	snprintf(name, sizeof(name), "media%u", index);
	err = thread_start(name, run, m, &m->thread);
	if (err)
		goto fail;
	*out = m;
	return 0;
fail:
	timer_stop(&m->work_timer);
	loop_free(m->loop);
	mem_free(m);
	return err;
}

void media_free(struct media *m)
{
	if (!m)
		return;
	loop_stop(m->loop);
	thread_join(m->thread);
	timer_stop(&m->work_timer);
	assert(m->rooms.n == 0);
	map_fini(&m->rooms);
	loop_free(m->loop);
	mem_free(m);
}

struct loop *media_loop(const struct media *m)
{
	return m->loop;
}
