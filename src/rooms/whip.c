/**
 * rooms/whip.c -- users who come by WebRTC.
 *
 * WHAT  A member whose voice has a WebRTC session instead of a port.
 * DESIGN
 *   - Its session is named by a key that nobody can guess: the URL with which
 *     its sender ends it or restarts ICE.
 *   - A user has one session.  A newer one is opened first, then its row and
 *     the end of the older one's are one commit, then the older one is closed:
 *     a page that is loaded again, or of two tabs the newer one, takes over.
 *     A mic that the API has switched off stays off.
 *   - A session that ends by itself (the tab is closed, the network is gone)
 *     does not make its user leave at once: who comes again soon goes on where
 *     it was.  That also holds for a restart of the server, which ends every
 *     session: rooms are not empty then, and tasks of `auto` go on.
 *
 *	 join            connected
 *	------> connecting ------> connected --ended--> away --stay_us--> left
 *	            |                                    ^
 *	            +--------- failed: left              +-- restart
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

static enum whip_state state_of(const struct member *m)
{
	return (enum whip_state)atomic_load_explicit(&m->voice->whip_state,
						     memory_order_acquire);
}

const char *whip_state_name(const struct member *m)
{
	static const char *const names[] = {
		[WHIP_CONNECTING] = "connecting",
		[WHIP_CONNECTED] = "connected",
		[WHIP_ENDED] = "away",
		[WHIP_FAILED] = "away",
	};

	return m->whip->away_us ? "away" : names[state_of(m)];
}

/* ---- coming --------------------------------------------------------------- */

static int make_key(char key[WHIP_KEY_LEN + 1])
{
	struct webrtc_credentials c;
	int err = webrtc_credentials_make(&c);

	if (err)
		return err;
	static_assert(WHIP_KEY_LEN == 2 * WEBRTC_PWD_LEN, "two of them");
	memcpy(key, c.pwd, WEBRTC_PWD_LEN);
	err = webrtc_credentials_make(&c);
	memcpy(key + WEBRTC_PWD_LEN, c.pwd, WEBRTC_PWD_LEN);
	key[WHIP_KEY_LEN] = 0;
	/* ice-chars, two of which mean something in a path */
	for (char *p = key; *p; p++) {
		if (*p == '/' || *p == '+')
			*p = *p == '/' ? '_' : '-';
	}
	mem_wipe(&c, sizeof(c));
	return err;
}

static int make_whip(struct rooms *r, struct whip **out)
{
	struct whip *w = mem_zalloc(sizeof(*w));
	int err;

	if (!w)
		return ENOMEM;
	err = make_key(w->key);
	if (!err)
		err = webrtc_credentials_make(&w->ice);
	if (!err)
		err = map_add(&r->whips, &w->node, w->key, WHIP_KEY_LEN);
	if (err) {
		mem_free_wiped(w);
		return err;
	}
	*out = w;
	return 0;
}

void whip_free(struct rooms *r, struct whip *w)
{
	struct err e;

	if (!w)
		return;
	if (w->restart.done) {
		err_set(&e, ENOENT, "", "the session has ended");
		w->restart.done(&e, NULL, w->restart.arg);
	}
	map_remove(&r->whips, &w->node);
	mem_free_wiped(w);
}

struct open {
	unsigned all, of_user;
};

/** Sessions that are open, or may be opened again. */
static struct open count_sessions(const struct rooms *r,
				  const struct whip_wish *wish,
				  const struct member *but)
{
	struct open n = {0};

	for (struct map_node *node = map_next(&r->whips, NULL); node;
	     node = map_next(&r->whips, node)) {
		const struct whip *w = CONTAINER_OF(node, struct whip, node);

		if (!w->member || w->member == but || w->member->close_sent ||
		    w->away_us)
			continue;
		n.all++;
		n.of_user += w->member->row.app == wish->app &&
			     !strcmp(w->member->row.user, wish->user);
	}
	return n;
}

static int check_wish(struct rooms *r, const struct whip_wish *w,
		      const struct member **older, struct err *e)
{
	const struct room *room;
	struct open n;

	if (member_check_wish(r, w->app, w->room, w->user, e))
		return e->code;
	room = rooms_find_room(r, w->app, w->room);
	*older = room ? member_find(room, w->user) : NULL;
	if (*older && !(*older)->whip)
		return err_set(e, EEXIST, "user",
			       "%.100s is in the room by plain RTP: input "
			       "%" PRIu64 "; delete that first",
			       w->user, (*older)->row.id);
	n = count_sessions(r, w, *older);
	if (n.of_user >= r->max_rooms_per_user)
		return err_set(e, EDQUOT, "media.max_rooms_per_user",
			       "%.100s sends to %u rooms already, and no more "
			       "are permitted; leave one, or try again later",
			       w->user, n.of_user);
	if (n.all >= r->max_sessions)
		return err_set(e, EAGAIN, "media.max_sessions",
			       "%u users send already, and no more are "
			       "permitted; try again later",
			       r->max_sessions);
	return 0;
}

static void fill_row(struct rooms *r, const struct whip_wish *w,
		     const struct room *room, struct input_row *row)
{
	*row = (struct input_row){
		.id = store_next_id(r->store, IDS_INPUT),
		.app = w->app,
		.kind = "whip",
		.port = media_udp_port(room->media),
		.created_ms = clock_unix_ms(),
		.opus_pt = w->opus_pt,
		.red_pt = w->red_pt,
		.audio_level_ext = w->audio_level_ext,
	};
	str_copy(row->room, sizeof(row->room), w->room);
	str_copy(row->user, sizeof(row->user), w->user);
}

static int join(struct rooms *r, const struct whip_wish *w,
		const struct member *older, struct member **out)
{
	struct room *room =
		rooms_get_room(r, rooms_find_app(r, w->app), w->room);
	struct whip *whip = NULL;
	struct input_row row;
	int err;

	if (!room)
		return ENOMEM;
	err = make_whip(r, &whip);
	if (err)
		goto fail;
	fill_row(r, w, room, &row);
	row.mic_disabled = older && older->mic_disabled;
	str_copy(whip->remote_ufrag, sizeof(whip->remote_ufrag),
		 w->remote_ufrag);
	whip->is_near = near_is(r, w->client_ip);
	err = member_make(room, &row, NULL, whip, out);
	if (err)
		goto fail;
	(*out)->voice->peer = w->fingerprint;
	if (older)
		(*out)->mic_by = older->mic_by;
	by_set(&(*out)->voice->joined, &(struct caller){.ip = w->client_ip});
	return 0;
fail:
	whip_free(r, whip);
	room_drop_if_empty(room);
	return err;
}

void rooms_whip_join(struct rooms *r, const struct whip_wish *w,
		     rooms_input_fn *done, void *arg)
{
	const struct member *older = NULL;
	struct err e = {0};
	struct member *m;
	int err;

	if (check_wish(r, w, &older, &e)) {
		done(&e, NULL, arg);
		return;
	}
	if (r->is_near)
		(void)near_look(r);
	err = join(r, w, older, &m);
	if (err) {
		err_set(&e, err, "", "no session can be made: %s",
			strerror(err));
		done(&e, NULL, arg);
		return;
	}
	m->call = (struct input_call){done, arg};
	member_wish(m);
}

/** Is `other` the same user's, from before? */
static bool is_older(const struct member *m, const struct member *other)
{
	return other->whip && other->row.id < m->row.id && !other->close_sent &&
	       !strcmp(other->row.user, m->row.user);
}

void whip_put_row(struct member *m, struct store_write *w)
{
	LIST_EACH(&m->room->members, l, after)
	{
		struct member *other = CONTAINER_OF(l, struct member, in_room);

		if (is_older(m, other))
			store_delete_input(w, other->row.id);
	}
}

void whip_on_joined(struct member *m)
{
	struct rooms *r = m->room->rooms;
	struct err e;

	err_set(&e, ECANCELED, "", "a newer session of the user has come");
	LIST_EACH(&m->room->members, l, after)
	{
		struct member *other = CONTAINER_OF(l, struct member, in_room);

		if (!is_older(m, other))
			continue;
		log_info("room=%s user=%s input=%" PRIu64
			 " left: input=%" PRIu64 " is newer",
			 m->row.room, m->row.user, other->row.id, m->row.id);
		memcpy(r->replaced[r->n_replaced++ % WHIP_REPLACED],
		       other->whip->key, WHIP_KEY_LEN + 1);
		if (!other->store_out)
			member_answer(other, &e);
		member_close(other);
	}
}

/* ---- ICE restart ------------------------------------------------------------- */

void whip_wish(struct member *m)
{
	const struct whip *w = m->whip;
	const bool next = w->turn != w->turn_next;
	struct voice *v = m->voice;

	if (w->has_none)
		v->wish.open = false;
	v->wish.turn = w->turn_next;
	v->wish.ice = next ? w->ice_next : w->ice;
	str_copy(v->wish.remote_ufrag, sizeof(v->wish.remote_ufrag),
		 next ? w->ufrag_next : w->remote_ufrag);
}

static struct member *find(const struct rooms *r, const char *key)
{
	struct map_node *n = map_find(&r->whips, key, strlen(key));
	struct member *m =
		n ? CONTAINER_OF(n, struct whip, node)->member : NULL;

	return m && m->state == MEMBER_OPEN && m->row_done && !m->close_sent
		       ? m
		       : NULL;
}

bool rooms_whip_is_replaced(const struct rooms *r, const char *key)
{
	for (unsigned i = 0; i < WHIP_REPLACED; i++) {
		if (key[0] && !strcmp(r->replaced[i], key))
			return true;
	}
	return false;
}

bool rooms_whip_find(const struct rooms *r, const char *key,
		     struct input_info *out)
{
	const struct member *m = find(r, key);

	if (m)
		member_info(m, out);
	return m != NULL;
}

void rooms_whip_restart(struct rooms *r, const char *key,
			const char *remote_ufrag, rooms_input_fn *done,
			void *arg)
{
	struct member *m = find(r, key);
	struct err e = {0};
	struct whip *w;

	if (!m || m->whip->away_us) {
		err_set(&e, ENOENT, "", "there is no such session any more");
	} else if (m->whip->restart.done) {
		err_set(&e, EBUSY, "", "an ICE restart is under way");
	} else if (webrtc_credentials_make(&m->whip->ice_next)) {
		err_set(&e, EIO, "", "no random bytes");
	} else {
		w = m->whip;
		if (w->is_near)
			(void)near_look(r);
		str_copy(w->ufrag_next, sizeof(w->ufrag_next), remote_ufrag);
		w->turn_next = w->turn + 1;
		w->restart = (struct input_call){done, arg};
		member_wish(m);
		return;
	}
	done(&e, NULL, arg);
}

void whip_on_answered(struct member *m)
{
	struct whip *w = m->whip;
	struct input_call call = w->restart;
	struct input_info info;
	struct err e = {0};

	if (!call.done)
		return;
	w->restart = (struct input_call){0};
	if (m->voice->err) {
		w->turn_next = w->turn;
		err_set(&e, m->voice->err, "", "ICE cannot be restarted: %s",
			strerror(m->voice->err));
		call.done(&e, NULL, call.arg);
		return;
	}
	w->turn = w->turn_next;
	w->ice = w->ice_next;
	str_copy(w->remote_ufrag, sizeof(w->remote_ufrag), w->ufrag_next);
	log_info("room=%s user=%s input=%" PRIu64 " restarts ICE", m->row.room,
		 m->row.user, m->row.id);
	member_info(m, &info);
	call.done(&e, &info, call.arg);
}

/* ---- going -------------------------------------------------------------------- */

int whip_resume(struct rooms *r, struct room *room, const struct input_row *row)
{
	struct whip *whip;
	struct member *m;
	int err = make_whip(r, &whip);

	if (!err) {
		err = member_make(room, row, NULL, whip, &m);
		if (err)
			whip_free(r, whip);
	}
	if (err) {
		room_drop_if_empty(room);
		return err;
	}
	/* There is nothing to be opened: its user has to come again. */
	m->state = MEMBER_OPEN;
	m->opened = true;
	m->row_done = true;
	whip->away_us = clock_now_us();
	whip->stay_us = r->away_restart_us;
	whip->has_none = true;
	log_info("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
		 " may come again",
		 row->app, row->room, row->user, row->id);
	return 0;
}

static void note_end(struct member *m, int64_t now_us)
{
	const enum webrtc_end why = (enum webrtc_end)atomic_load_explicit(
		&m->voice->whip_end, memory_order_relaxed);

	if (why == WEBRTC_NO_CHECK)
		log_warn("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
			 " session ended: nothing came by UDP: is "
			 "media.address as senders reach it, and port %u "
			 "open?",
			 m->row.app, m->row.room, m->row.user, m->row.id,
			 m->row.port);
	else
		log_info("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
			 " session ended: %s",
			 m->row.app, m->row.room, m->row.user, m->row.id,
			 webrtc_end_name(why));
	m->whip->away_us = now_us;
	m->whip->stay_us =
		state_of(m) == WHIP_FAILED ? 0 : m->room->rooms->away_us;
}

static void look_at(struct member *m, int64_t now_us)
{
	struct whip *w = m->whip;

	if (m->state != MEMBER_OPEN || !m->row_done || m->close_sent)
		return;
	if (!w->away_us && state_of(m) >= WHIP_ENDED)
		note_end(m, now_us);
	if (w->away_us && now_us - w->away_us >= w->stay_us)
		rooms_input_remove(m->room->rooms, m->row.id, NULL, NULL);
}

void whip_look(struct rooms *r, int64_t now_us)
{
	struct map_node *next;

	for (struct map_node *n = map_next(&r->whips, NULL); n; n = next) {
		struct whip *w = CONTAINER_OF(n, struct whip, node);

		next = map_next(&r->whips, n);
		if (w->member)
			look_at(w->member, now_us);
	}
}
