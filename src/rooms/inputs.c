/**
 * rooms/inputs.c -- users in rooms: inputs opened, changed and closed.
 *
 * An input is added in two steps: the media loop binds a port, then the row
 * is committed; only then is it announced.  It is removed the other way
 * round: the row goes first, so a crash does not bring it back.  One that is
 * resumed gets its port again within two seconds, or its row goes:
 * the sender knows no other port.
 * A microphone is switched at once, and that is answered once it is stored.
 * At most one message to the media loop is under way an input; what is
 * wanted meanwhile is sent when the answer has come (epochs).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"

enum {
	WINDOW_US = 400 * 1000,
	TAKEOVER_US = 3 * 1000 * 1000,
	PORT_TRIES = 100,  /* ports that other programs may hold in a row */
	RESUME_TRIES = 10, /* of one that is resumed, */
	RESUME_RETRY_US = 200 * 1000 /* so far apart */
};

/* ---- ports --------------------------------------------------------------- */

static bool port_is_used(const struct rooms *r, uint16_t port)
{
	unsigned i = port - r->port_first;

	return r->ports_used[i / 8] >> (i % 8) & 1;
}

static void port_mark(struct rooms *r, uint16_t port, bool used)
{
	unsigned i = port - r->port_first;
	uint8_t bit = (uint8_t)(1U << (i % 8));

	if (port < r->port_first || port > r->port_last)
		return; /* a port of an older configuration */
	if (used)
		r->ports_used[i / 8] |= bit;
	else
		r->ports_used[i / 8] &= (uint8_t)~bit;
}

/** The next free port, 0 when all are used. */
static uint16_t port_take(struct rooms *r)
{
	unsigned n = r->port_last - r->port_first + 1U;

	for (unsigned i = 0; i < n; i++) {
		uint16_t port = r->port_next;

		r->port_next = port == r->port_last ? r->port_first : port + 1;
		if (!port_is_used(r, port)) {
			port_mark(r, port, true);
			return port;
		}
	}
	return 0;
}

/* ---- answers ------------------------------------------------------------- */

static void whip_info_of(const struct member *m, struct whip_info *out)
{
	const struct rooms *r = m->room->rooms;
	const bool is_near = m->whip->is_near && r->n_own;

	*out = (struct whip_info){
		.state = whip_state_name(m),
		.key = m->whip->key,
		.turn = m->whip->turn,
		.remote_ufrag = m->whip->remote_ufrag,
		.ice = &m->whip->ice,
		.fingerprint = webrtc_identity_fingerprint(r->identity),
		.addresses = is_near ? r->own_addresses : r->addresses,
		.n_addresses = is_near ? r->n_own : r->n_addresses,
	};
}

void member_info(const struct member *m, struct input_info *out)
{
	struct voice *v = m->voice;
	struct addr sender;

	*out = (struct input_info){
		.id = m->row.id,
		.app = m->row.app,
		.room = m->row.room,
		.user = m->row.user,
		.kind = m->row.kind,
		.port = (uint16_t)m->row.port,
		.mic_on =
			atomic_load_explicit(&v->mic_on, memory_order_relaxed),
		.mic_disabled = m->mic_disabled,
		.packets =
			atomic_load_explicit(&v->packets, memory_order_relaxed),
		.lost = atomic_load_explicit(&v->lost, memory_order_relaxed),
		.created_ms = m->row.created_ms,
		.level_dbfs = atomic_load_explicit(&v->level_dbfs,
						   memory_order_relaxed),
		.jitter_us = atomic_load_explicit(&v->jitter_us,
						  memory_order_relaxed),
		.warning = warn_of(m),
		.opus_pt = m->row.opus_pt,
		.red_pt = m->row.red_pt,
		.audio_level_ext = m->row.audio_level_ext,
	};
	str_copy(out->address, sizeof(out->address),
		 m->room->rooms->addresses[0]);
	if (sender_read(&v->sender, &sender))
		addr_write(&sender, out->sender);
	if (m->whip)
		whip_info_of(m, &out->whip);
}

static void refuse(rooms_input_fn *done, void *arg, const struct err *e)
{
	if (done)
		done(e, NULL, arg);
}

void member_answer(struct member *m, const struct err *e)
{
	struct input_call call = m->call;
	struct input_info info;

	m->call = (struct input_call){0};
	if (!call.done)
		return;
	if (e->code) {
		call.done(e, NULL, call.arg);
		return;
	}
	member_info(m, &info);
	call.done(e, &info, call.arg);
}

void member_by(const struct member *m, struct by *by)
{
	struct addr sender;

	if (sender_read(&m->voice->sender, &sender))
		by_set_user(by, &sender);
	else
		*by = m->voice->joined;
}

/* ---- the message to the media loop ----------------------------------------- */

static void sync_voice(struct member *m)
{
	/* What a restart of the server ends, the server itself ended. */
	static const struct caller restart = {.ip = "127.0.0.1"};
	struct voice *v = m->voice;

	if (m->mail_out || m->epoch_sent == m->epoch_wanted)
		return;
	v->wish.epoch = m->epoch_wanted;
	v->wish.open = m->state != MEMBER_CLOSING;
	v->wish.mic = !m->mic_disabled;
	v->wish.mic_by = m->mic_by;
	by_set(&v->wish.close_by, m->is_suspended ? &restart : NULL);
	v->wish.at = m->room->rooms->bind_at;
	addr_set_port(&v->wish.at, (uint16_t)m->row.port);
	if (m->whip)
		whip_wish(m);
	m->epoch_sent = m->epoch_wanted;
	m->mail_out = true;
	media_voice(v);
}

void member_wish(struct member *m)
{
	m->epoch_wanted++;
	sync_voice(m);
}

static void member_free(struct member *m)
{
	struct room *room = m->room;
	struct rooms *r = room->rooms;

	timer_stop(&m->retry);
	if (!m->whip)
		port_mark(r, (uint16_t)m->row.port, false);
	whip_free(r, m->whip);
	map_remove(&r->members, &m->node);
	list_remove(&m->in_room);
	mem_free_wiped(m->voice); /* credentials of WebRTC */
	mem_free(m);
	room_drop_if_empty(room);
	rooms_check_stopped(r);
}

/** Closed on both sides, and nobody will call back: forget it. */
static void free_if_closed(struct member *m)
{
	if (m->close_sent && !m->mail_out && !m->store_out && !m->mic_calls)
		member_free(m);
}

void member_close(struct member *m)
{
	m->state = MEMBER_CLOSING;
	m->close_sent = true;
	member_wish(m);
	keeper_look(m->room, m);
}

/* ---- adding ---------------------------------------------------------------- */

static void on_row_put(const struct store_result *result, void *arg)
{
	struct member *m = arg;
	struct err e = {0};

	m->store_out = false;
	m->row_done = true;
	if (result->err) {
		err_set(&e, result->err, "store", "could not be stored: %s",
			result->text);
		member_answer(m, &e);
		if (!m->close_sent)
			member_close(m);
		else
			free_if_closed(m);
		return;
	}
	log_info("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
		 " joined port=%d",
		 m->row.app, m->row.room, m->row.user, m->row.id, m->row.port);
	rooms_tell(m->room->rooms, "%s joined room %s", m->row.user,
		   m->row.room);
	if (m->whip)
		whip_on_joined(m);
	member_answer(m, &e);
	keeper_look(m->room, m);
	free_if_closed(m);
}

static void put_row(struct member *m)
{
	struct rooms *r = m->room->rooms;
	struct store_write *w = store_write_new();

	m->store_out = true;
	if (w)
		store_put_input(w, &m->row);
	if (w && m->whip)
		whip_put_row(m, w);
	store_commit(r->store, w, r->loop, on_row_put, m);
}

/** The port was taken by another program: try the next one. */
static bool try_next_port(struct member *m)
{
	struct rooms *r = m->room->rooms;
	uint16_t port;

	if (m->voice->err != EADDRINUSE || m->ports_tried++ >= PORT_TRIES)
		return false;
	port = port_take(r);
	if (!port)
		return false;
	port_mark(r, (uint16_t)m->row.port, false);
	m->row.port = port;
	member_wish(m);
	return true;
}

static void on_open_again(struct timer *timer, int64_t now_us)
{
	(void)now_us;
	member_wish(CONTAINER_OF(timer, struct member, retry));
}

static void on_unresumed_deleted(const struct store_result *result, void *arg)
{
	struct member *m = arg;

	if (result->err)
		log_error("input=%" PRIu64 " is tried again at the next start: "
			  "%s",
			  m->row.id, result->text);
	m->store_out = false;
	free_if_closed(m);
}

/** The port of a resumed input is taken: wait a little, then give it up. */
static void on_resume_failed(struct member *m)
{
	struct rooms *r = m->room->rooms;
	struct store_write *w;

	if (m->ports_tried++ < RESUME_TRIES &&
	    !timer_start(&m->retry, r->loop,
			 loop_now_us(r->loop) + RESUME_RETRY_US, on_open_again))
		return;
	log_error("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
		  " is gone: port %d cannot be opened again: %s",
		  m->row.app, m->row.room, m->row.user, m->row.id, m->row.port,
		  strerror(m->voice->err));
	m->state = MEMBER_CLOSING;
	m->close_sent = true;
	m->store_out = true;
	w = store_write_new();
	if (w)
		store_delete_input(w, m->row.id);
	store_commit(r->store, w, r->loop, on_unresumed_deleted, m);
}

static void on_open_failed(struct member *m)
{
	struct err e;

	if (m->row_done) {
		on_resume_failed(m);
		return;
	}
	if (!m->whip && try_next_port(m))
		return;
	if (m->whip)
		err_set(&e, m->voice->err, "", "no session can be opened: %s",
			strerror(m->voice->err));
	else
		err_set(&e,
			m->voice->err == EADDRINUSE ? ENOSPC : m->voice->err,
			"media.rtp_ports", "port %d cannot be opened: %s",
			m->row.port, strerror(m->voice->err));
	log_error("app=%" PRIu32 " room=%s user=%s %s", m->row.app, m->row.room,
		  m->row.user, e.text);
	member_answer(m, &e);
	member_free(m);
}

static void on_voice_answered(struct voice *v)
{
	struct member *m = v->owner;

	m->mail_out = false;
	if (m->epoch_sent != m->epoch_wanted) {
		sync_voice(m);
		return;
	}
	m->opened = !v->err;
	if (m->state == MEMBER_CLOSING) {
		free_if_closed(m);
		return;
	}
	if (m->state != MEMBER_OPENING) {
		if (m->whip)
			whip_on_answered(m);
		return;
	}
	if (v->err) {
		on_open_failed(m);
		return;
	}
	m->state = MEMBER_OPEN;
	m->since_us = clock_now_us();
	if (m->row_done)
		log_info("app=%" PRIu32 " room=%s user=%s input=%" PRIu64
			 " resumed port=%d",
			 m->row.app, m->row.room, m->row.user, m->row.id,
			 m->row.port);
	else
		put_row(m);
}

static struct voice *make_voice(struct member *m, const struct addr *source)
{
	const struct recording_config *rec = &m->room->app->recording;
	struct voice *v = mem_zalloc(sizeof(*v));

	if (!v)
		return NULL;
	v->id = m->row.id;
	v->is_whip = m->whip != NULL;
	v->room_key = m->room->key;
	str_copy(v->user, sizeof(v->user), m->row.user);
	v->config = (struct input_config){
		.window_us = WINDOW_US,
		.mic_off_us = rec->mic_off_splits ? rec->mic_off_after_us : 0,
		.takeover_us = TAKEOVER_US,
		.has_source = source != NULL,
		.is_authentic = m->whip != NULL,
		.opus_pt = (uint8_t)m->row.opus_pt,
		.red_pt = (uint8_t)m->row.red_pt,
		.audio_level_ext = (uint8_t)m->row.audio_level_ext,
	};
	if (source)
		v->config.source = *source;
	if (source)
		by_set_user(&v->joined, source);
	v->silence_mode = !rec->mic_off_splits;
	v->level_dbfs = 1; /* nothing is known */
	v->peak = -1;
	v->media = m->room->media;
	v->answered = on_voice_answered;
	v->owner = m;
	return v;
}

int member_make(struct room *room, const struct input_row *row,
		const struct addr *source, struct whip *whip,
		struct member **out)
{
	struct rooms *r = room->rooms;
	struct member *m = mem_zalloc(sizeof(*m));

	if (!m)
		return ENOMEM;
	m->room = room;
	m->row = *row;
	m->mic_disabled = row->mic_disabled;
	m->whip = whip;
	m->voice = make_voice(m, source);
	if (!m->voice)
		goto fail;
	if (map_add(&r->members, &m->node, &m->row.id, sizeof(m->row.id)))
		goto fail;
	list_append(&room->members, &m->in_room);
	if (whip)
		whip->member = m;
	*out = m;
	return 0;
fail:
	mem_free(m->voice);
	mem_free(m);
	return ENOMEM;
}

struct member *member_find(const struct room *room, const char *user)
{
	LIST_EACH(&room->members, l, after)
	{
		struct member *m = CONTAINER_OF(l, struct member, in_room);

		/* one that leaves is there until its row is gone */
		if (!m->close_sent && !strcmp(m->row.user, user))
			return m;
	}
	return NULL;
}

int member_check_wish(struct rooms *r, uint32_t app, const char *room,
		      const char *user, struct err *e)
{
	if (r->stopping)
		return err_set(e, ECANCELED, "", "the server is stopping");
	if (!rooms_find_app(r, app))
		return err_set(e, ENOENT, "app", "there is no app %" PRIu32,
			       app);
	if (event_id_check(room, "room", e) || event_id_check(user, "user", e))
		return e->code;
	return 0;
}

/** What is wrong with the wish, or 0. */
static int check_wish(struct rooms *r, const struct input_wish *w,
		      struct err *e)
{
	struct room *room;
	struct member *m;

	if (member_check_wish(r, w->app, w->room, w->user, e))
		return e->code;
	room = rooms_find_room(r, w->app, w->room);
	m = room ? member_find(room, w->user) : NULL;
	if (m)
		return err_set(e, EEXIST, "user",
			       "%.100s is in the room already: input %" PRIu64
			       "; delete that first",
			       w->user, m->row.id);
	return 0;
}

void rooms_input_add(struct rooms *r, const struct input_wish *w,
		     rooms_input_fn *done, void *arg)
{
	struct err e = {0};
	struct input_row row = {.app = w->app, .kind = "rtp"};
	struct room *room;
	struct member *m;
	uint16_t port;

	if (check_wish(r, w, &e)) {
		refuse(done, arg, &e);
		return;
	}
	port = port_take(r);
	if (!port) {
		err_set(&e, ENOSPC, "media.rtp_ports",
			"all ports %u-%u are in use; widen media.rtp_ports",
			r->port_first, r->port_last);
		refuse(done, arg, &e);
		return;
	}
	row.id = store_next_id(r->store, IDS_INPUT);
	row.port = port;
	row.created_ms = clock_unix_ms();
	str_copy(row.room, sizeof(row.room), w->room);
	str_copy(row.user, sizeof(row.user), w->user);
	if (w->has_source)
		addr_write(&w->source, row.source);
	row.opus_pt = w->opus_pt;
	row.red_pt = w->red_pt;
	row.audio_level_ext = w->audio_level_ext;
	room = rooms_get_room(r, rooms_find_app(r, w->app), w->room);
	if (!room || member_make(room, &row, w->has_source ? &w->source : NULL,
				 NULL, &m)) {
		port_mark(r, port, false);
		if (room)
			room_drop_if_empty(room);
		err_no_memory(&e);
		refuse(done, arg, &e);
		return;
	}
	if (!w->has_source)
		by_set(&m->voice->joined, &(struct caller){.ip = w->client_ip});
	m->call = (struct input_call){done, arg};
	member_wish(m);
}

int member_resume(struct rooms *r, const struct input_row *row)
{
	struct rooms_app *app = rooms_find_app(r, row->app);
	struct addr source;
	bool has_source = row->source[0] && !addr_parse(row->source, &source);
	struct room *room;
	struct member *m;

	if (!app) {
		log_warn("input=%" PRIu64 " stays closed: app %" PRIu32
			 " is not configured",
			 row->id, row->app);
		return 0;
	}
	room = rooms_get_room(r, app, row->room);
	if (!room)
		return ENOMEM;
	if (!strcmp(row->kind, "whip"))
		return whip_resume(r, room, row);
	port_mark(r, (uint16_t)row->port, true);
	if (member_make(room, row, has_source ? &source : NULL, NULL, &m)) {
		room_drop_if_empty(room);
		return ENOMEM;
	}
	m->row_done = true;
	member_wish(m);
	return 0;
}

/* ---- changing and removing --------------------------------------------------- */

static struct member *find_member(const struct rooms *r, uint64_t id,
				  struct err *e)
{
	struct map_node *n = map_find(&r->members, &id, sizeof(id));
	struct member *m = n ? CONTAINER_OF(n, struct member, node) : NULL;

	if (m && m->state != MEMBER_CLOSING && m->row_done)
		return m;
	err_set(e, ENOENT, "input", "there is no input %" PRIu64, id);
	return NULL;
}

static void on_mic_stored(const struct store_result *result, void *arg)
{
	struct mic_call *c = arg;
	struct member *m = c->member;
	struct input_call call = c->call;
	struct input_info info;
	struct err e = {0};

	mem_free(c);
	m->mic_calls--;
	member_info(m, &info);
	if (result->err)
		err_set(&e, result->err, "store",
			"the mic is switched, but that could not be stored: "
			"%s; a restart forgets it",
			result->text);
	call.done(&e, result->err ? NULL : &info, call.arg);
	free_if_closed(m);
}

/** Have it known after a restart, too, then answer. */
static int store_mic(struct member *m, rooms_input_fn *done, void *arg)
{
	struct rooms *r = m->room->rooms;
	struct mic_call *c = mem_zalloc(sizeof(*c));
	struct store_write *w;

	if (!c)
		return ENOMEM;
	*c = (struct mic_call){m, {done, arg}};
	m->mic_calls++;
	m->row.mic_disabled = m->mic_disabled;
	w = store_write_new();
	if (w)
		store_set_input(w, &m->row);
	store_commit(r->store, w, r->loop, on_mic_stored, c);
	return 0;
}

void rooms_input_set_mic(struct rooms *r, uint64_t id, bool on,
			 const struct caller *who, rooms_input_fn *done,
			 void *arg)
{
	struct err e = {0};
	struct member *m = find_member(r, id, &e);

	if (!m) {
		refuse(done, arg, &e);
		return;
	}
	if (m->mic_disabled == on) {
		m->mic_disabled = !on;
		by_set(&m->mic_by, who);
		m->since_us = clock_now_us();
		member_wish(m);
		log_info("room=%s user=%s input=%" PRIu64 " mic %s",
			 m->row.room, m->row.user, id, on ? "on" : "off");
	}
	if (store_mic(m, done, arg)) {
		err_no_memory(&e);
		refuse(done, arg, &e);
	}
}

/** It cannot leave: its row stays. */
static void stay(struct member *m)
{
	m->state = m->opened ? MEMBER_OPEN : MEMBER_OPENING;
	if (m->room->rooms->stopping)
		member_close(m);
	else if (!m->opened)
		member_wish(m);
}

static void on_row_deleted(const struct store_result *result, void *arg)
{
	struct member *m = arg;
	struct err e = {0};

	m->store_out = false;
	if (result->err) {
		err_set(&e, result->err, "store", "could not be removed: %s",
			result->text);
		member_answer(m, &e);
		stay(m);
		return;
	}
	log_info("room=%s user=%s input=%" PRIu64 " left", m->row.room,
		 m->row.user, m->row.id);
	rooms_tell(m->room->rooms, "%s left room %s", m->row.user, m->row.room);
	member_answer(m, &e);
	member_close(m);
}

void rooms_input_remove(struct rooms *r, uint64_t id, rooms_input_fn *done,
			void *arg)
{
	struct err e = {0};
	struct member *m = find_member(r, id, &e);
	struct store_write *w;

	if (!m) {
		refuse(done, arg, &e);
		return;
	}
	timer_stop(&m->retry);
	m->state = MEMBER_CLOSING;
	m->store_out = true;
	m->call = (struct input_call){done, arg};
	w = store_write_new();
	if (w)
		store_delete_input(w, id);
	store_commit(r->store, w, r->loop, on_row_deleted, m);
}

void member_close_all(struct rooms *r)
{
	struct map_node *n = map_next(&r->members, NULL);
	struct err e;

	err_set(&e, ECANCELED, "", "the server is stopping");
	for (; n; n = map_next(&r->members, n)) {
		struct member *m = CONTAINER_OF(n, struct member, node);

		if (m->state == MEMBER_CLOSING)
			continue;
		timer_stop(&m->retry);
		m->is_suspended = true;
		member_close(m);
		if (!m->store_out)
			member_answer(m,
				      &e); /* an add that had not come so far */
	}
}

bool room_is_used(const struct room *room)
{
	LIST_EACH(&room->members, l, after)
	{
		if (!CONTAINER_OF(l, struct member, in_room)->close_sent)
			return true;
	}
	return false;
}

bool rooms_input_info(const struct rooms *r, uint64_t id,
		      struct input_info *out)
{
	struct err e;
	struct member *m = find_member(r, id, &e);

	if (m)
		member_info(m, out);
	return m != NULL;
}

int rooms_each_input(const struct rooms *r, uint32_t app, const char *id,
		     int (*fn)(const struct input_info *in, void *arg),
		     void *arg)
{
	struct room *room = rooms_find_room(r, app, id);
	struct input_info info;
	int err = 0;

	if (!room)
		return 0;
	LIST_EACH(&room->members, l, after)
	{
		struct member *m = CONTAINER_OF(l, struct member, in_room);

		if (m->state != MEMBER_OPEN || !m->row_done)
			continue;
		member_info(m, &info);
		err = fn(&info, arg);
		if (err)
			return err;
	}
	return err;
}
