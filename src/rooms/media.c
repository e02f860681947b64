/**
 * rooms/media.c -- the media loops: what sounds.
 *
 * WHAT  Voices hand out chunks; every session that wants a voice has a part
 *       of it (its single track), and maybe a mixer of all its parts; tracks
 *       make segments.
 * WHY   Nothing of a room is touched by two threads.
 * DESIGN
 *   A voice is worked on every WORK_US: its socket is read (the kernel has
 *   stamped the arrivals, so nobody need wait for them), packets whose time
 *   has come are decoded, encoded and pushed to the file threads in one
 *   batch: one system call for all of them, and one codec's state in the
 *   cache.  The voices of a room follow each
 *   other, and their mixes come behind them.  Work stops after SLICE_US and
 *   goes on in the next turn, so sockets are always served.
 *
 *   What a crash may cost: the reorder window (0.4 s) + WORK_US + the file
 *   thread's second = 1.7 s; of a mix
 *   a round of work more, or up to HOLD_US + the second while somebody has the
 *   mic on and sends nothing.
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
#include "rooms/media_inside.h"

enum {
	SLICE_US = 5 * 1000,
	LATE_US = 50 * 1000,
	BEHIND_US = 400 * 1000,	  /* a socket holds some seconds */
	CLOCK_STEP_US = 20 * 1000 /* less is the time between two readings */
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

struct media_room *media_get_room(struct media *m, const struct room_key *key)
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

void media_drop_room_if_empty(struct media *m, struct media_room *room)
{
	if (!list_is_empty(&room->voices) || !list_is_empty(&room->sessions))
		return;
	map_remove(&m->rooms, &room->node);
	mem_free(room);
}

/* ---- time -------------------------------------------------------------- */

/**
 * The distance of the two clocks is kept until
 * one is set, so segments that follow each other without a gap do so in their
 * times as well.
 */
int64_t media_wall_ms(struct media *m, int64_t pos)
{
	int64_t now_us = clock_now_us();
	int64_t apart_us = clock_unix_ms() * CLOCK_US_PER_MS - now_us;
	int64_t pos_us = pos * CLOCK_US_PER_MS / SOUND_FRAMES_PER_MS;

	if (llabs(apart_us - m->apart_us) > CLOCK_STEP_US)
		m->apart_us = apart_us;
	return (pos_us + m->apart_us) / CLOCK_US_PER_MS;
}

/* ---- work -------------------------------------------------------------- */

void media_work_add(struct media *m, struct media_work *w,
		    const struct media_work *after)
{
	if (after) {
		w->due_us = after->due_us;
		list_append(after->link.next, &w->link); /* before that */
		return;
	}
	w->due_us = loop_now_us(m->loop) + WORK_US;
	list_append(&m->work, &w->link);
}

/** Sessions that stop, and parts that end. */
static void sessions_work(struct media *m, int64_t now_us)
{
	struct map_node *next;

	for (struct map_node *n = map_next(&m->rooms, NULL); n; n = next) {
		struct media_room *room =
			CONTAINER_OF(n, struct media_room, node);

		next = map_next(&m->rooms, n);
		LIST_EACH(&room->sessions, l, after)
		{
			session_work(CONTAINER_OF(l, struct session, in_room),
				     now_us);
		}
		media_drop_room_if_empty(m, room);
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
		struct media_work *w = CONTAINER_OF(l, struct media_work, link);

		if (w->due_us > now || now - began > SLICE_US)
			break;
		if (now - w->due_us > BEHIND_US)
			counter_add(COUNT_work_late, 1);
		w->run(w, now);
		w->due_us = now + WORK_US;
		list_remove(&w->link);
		list_append(&m->work, &w->link);
		now = clock_now_us();
	}
	sessions_work(m, now);
	if (now - began > LATE_US)
		counter_add(COUNT_loop_late, 1);
	l = list_first(&m->work);
	if (l && CONTAINER_OF(l, struct media_work, link)->due_us < now)
		arm_work(m, now_us);
	else
		arm_work(m, now + WORK_US / 10);
}

static void arm_work(struct media *m, int64_t due_us)
{
	if (timer_start(&m->work_timer, m->loop, due_us, on_work))
		log_error("media loop: no memory for a timer");
}

/* ---- the loop ----------------------------------------------------------- */

static void run(void *arg)
{
	struct media *m = arg;

	loop_run(m->loop);
}

static int open_webrtc(struct media *m, unsigned index,
		       const struct media_webrtc *webrtc, struct err *e)
{
	struct addr at = webrtc->at;
	char text[ADDR_TEXT_MAX];
	int err;

	if (addr_port(&at))
		addr_set_port(&at, (uint16_t)(addr_port(&at) + index));
	err = webrtc_port_open(m->loop, &at, webrtc->interface, webrtc->id,
			       &webrtc->limits, &m->webrtc);
	if (err)
		return err_set(e, err, "media.udp_port",
			       "media.udp_port: %s cannot be opened: %s",
			       addr_write(&at, text), strerror(err));
	webrtc_port_addr(m->webrtc, &at);
	m->udp_port = addr_port(&at);
	return 0;
}

uint16_t media_udp_port(const struct media *m)
{
	return m->udp_port;
}

int media_new(unsigned index, struct loop *control,
	      const struct media_webrtc *webrtc, struct media **out,
	      struct err *e)
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
	err = open_webrtc(m, index, webrtc, e);
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
	webrtc_port_close(m->webrtc);
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
	webrtc_port_close(m->webrtc);
	assert(m->rooms.n == 0);
	map_fini(&m->rooms);
	loop_free(m->loop);
	mem_free(m);
}
