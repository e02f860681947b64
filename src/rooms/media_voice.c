/** rooms/media_voice.c -- an input on its media loop. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>

#include "base/clock.h"
#include "rooms/media_inside.h"

enum { LOUD = 33 }; /* of 32768, -60 dBFS: less is nobody heard */

/* ---- chunks ------------------------------------------------------------ */

/** The greatest of every eighth sample. */
static int peak_of(const struct sound_chunk *c)
{
	int peak = 0;

	for (uint32_t i = 0; i < c->frames; i += 8) {
		int x = c->pcm[i] < 0 ? -c->pcm[i] : c->pcm[i];

		if (x > peak)
			peak = x;
	}
	return peak;
}

static bool is_heard(struct voice *v, const struct sound_chunk *c)
{
	int peak;

	if (c->kind != CHUNK_SOUND) {
		if (v->peak < 0)
			v->peak = 0;
		return false;
	}
	if (!c->pcm) {
		v->peak = -1;
		return c->packet_len > 3; /* DTX has 1 or 2 bytes */
	}
	peak = peak_of(c);
	if (peak > v->peak)
		v->peak = peak;
	return peak > LOUD;
}

static void on_chunk(const struct sound_chunk *c, void *arg)
{
	struct voice *v = arg;

	if (is_heard(v, c))
		v->heard_pos = c->pos;
	LIST_EACH(&v->parts, l, after)
	{
		part_put(CONTAINER_OF(l, struct part, in_voice), c);
	}
}

static void on_mic_on(int64_t pos, void *arg)
{
	struct voice *v = arg;

	(void)pos;
	atomic_store_explicit(&v->mic_on, true, memory_order_relaxed);
}

void voice_by(const struct voice *v, struct by *by)
{
	struct input_stats st = {0};

	if (v->input)
		input_stats(v->input, &st);
	if (st.sender.len)
		by_set_user(by, &st.sender);
	else
		*by = v->joined;
}

static void on_mic_off(int64_t pos, void *arg)
{
	struct voice *v = arg;
	struct by by;

	atomic_store_explicit(&v->mic_on, false, memory_order_relaxed);
	if (v->silence_mode)
		return;
	if (v->mic_by)
		by = *v->mic_by;
	else
		voice_by(v, &by);
	LIST_EACH(&v->parts, l, after)
	{
		part_mic_off(CONTAINER_OF(l, struct part, in_voice), pos, &by);
	}
}

static const struct input_events input_events = {
	.chunk = on_chunk,
	.mic_on = on_mic_on,
	.mic_off = on_mic_off,
};

/* ---- work -------------------------------------------------------------- */

/** A BYE counts until packets come that are younger than it. */
static void publish_bye(struct voice *v, const struct input_stats *st)
{
	if (st->bye != v->byes)
		atomic_store_explicit(&v->has_left, true, memory_order_relaxed);
	else if (st->packets != v->packets_then)
		atomic_store_explicit(&v->has_left, false,
				      memory_order_relaxed);
	v->byes = st->bye;
	v->packets_then = st->packets;
}

/** What was heard since the last look; else what the packets say. */
static int level_of(struct voice *v, const struct input_stats *st)
{
	int peak = v->peak;

	v->peak = -1;
	if (!st->mic_on || peak == 0)
		return LEVEL_QUIET;
	if (peak > 0)
		return (int)lround(20 * log10(peak / 32768.0));
	return st->packets == v->packets_then ? LEVEL_QUIET : st->level_dbfs;
}

static void publish_stats(struct voice *v)
{
	struct input_stats st;

	input_stats(v->input, &st);
	atomic_store_explicit(&v->level_dbfs, level_of(v, &st),
			      memory_order_relaxed);
	publish_bye(v, &st);
	atomic_store_explicit(&v->packets, st.packets, memory_order_relaxed);
	atomic_store_explicit(&v->lost, st.lost, memory_order_relaxed);
	atomic_store_explicit(&v->jitter_us, st.jitter_us,
			      memory_order_relaxed);
	atomic_store_explicit(&v->packet_us, st.last_packet_us,
			      memory_order_relaxed);
	if (v->heard_pos)
		atomic_store_explicit(&v->heard_us,
				      v->heard_pos * 1000 / SOUND_FRAMES_PER_MS,
				      memory_order_relaxed);
	if (st.sender.len && !addr_is_equal(&st.sender, &v->sender_then)) {
		v->sender_then = st.sender;
		sender_show(&v->sender, &st.sender);
	}
	atomic_store_explicit(&v->seen_us, v->taken_us, memory_order_release);
}

void voice_take(struct voice *v, int64_t now_us)
{
	if (v->port)
		rtp_port_read(v->port);
	else
		webrtc_session_read(v->webrtc, now_us);
	v->taken_us = now_us;
	input_advance(v->input, now_us);
}

static void work(struct media_work *w, int64_t now_us)
{
	struct voice *v = CONTAINER_OF(w, struct voice, work);

	voice_take(v, now_us);
	LIST_EACH(&v->parts, l, after)
	{
		part_push(CONTAINER_OF(l, struct part, in_voice), now_us);
	}
	publish_stats(v);
}

void voice_match_decode(struct voice *v)
{
	bool wanted = false;

	LIST_EACH(&v->parts, l, after)
	{
		const struct part *p = CONTAINER_OF(l, struct part, in_voice);

		wanted |= p->is_mixed ||
			  p->session->single.kind != TRACK_OGG_COPY;
	}
	input_set_decode(v->input, wanted);
}

/* ---- WebRTC ---------------------------------------------------------------- */

static void on_connected(const struct addr *peer, int64_t now_us, void *arg)
{
	struct voice *v = arg;

	(void)peer;
	(void)now_us;
	atomic_store_explicit(&v->whip_state, WHIP_CONNECTED,
			      memory_order_relaxed);
}

static void on_ended(enum webrtc_end why, int64_t now_us, void *arg)
{
	struct voice *v = arg;
	const bool was_connected =
		atomic_load_explicit(&v->whip_state, memory_order_relaxed) ==
		WHIP_CONNECTED;

	(void)now_us;
	atomic_store_explicit(&v->whip_end, (int)why, memory_order_relaxed);
	atomic_store_explicit(&v->whip_state,
			      was_connected ? WHIP_ENDED : WHIP_FAILED,
			      memory_order_release);
}

static const struct webrtc_session_events webrtc_events = {
	.connected = on_connected,
	.ended = on_ended,
};

static int open_webrtc(struct voice *v)
{
	const struct webrtc_session_config config = {
		.local = &v->wish.ice,
		.remote_ufrag = v->wish.remote_ufrag,
		.fingerprint = v->peer,
		.in = v->input,
		.opus_pt = v->config.opus_pt,
		.red_pt = v->config.red_pt,
	};

	v->turn = v->wish.turn;
	return webrtc_session_open(v->media->webrtc, &config, &webrtc_events, v,
				   loop_now_us(v->media->loop), &v->webrtc);
}

/** Other credentials are wanted: ICE restart. */
static int match_turn(struct voice *v)
{
	int err;

	if (v->turn == v->wish.turn)
		return 0;
	err = webrtc_session_restart(v->webrtc, &v->wish.ice,
				     v->wish.remote_ufrag);
	if (!err)
		v->turn = v->wish.turn;
	return err;
}

/* ---- opening and closing -------------------------------------------------- */

/** The work of a room's voices is done in a row, and then its mixes'. */
static const struct media_work *work_before(const struct media_room *room)
{
	if (list_is_empty(&room->voices))
		return NULL;
	return &CONTAINER_OF(room->voices.prev, struct voice, in_room)->work;
}

static int voice_open(struct voice *v)
{
	struct media *m = v->media;
	int64_t pos = sound_pos_of_us(loop_now_us(m->loop));
	int err;

	v->room = media_get_room(m, &v->room_key);
	if (!v->room)
		return ENOMEM;
	err = input_new(&v->config, &input_events, v, &v->input);
	if (err)
		goto fail;
	err = v->is_whip
		      ? open_webrtc(v)
		      : rtp_port_open(m->loop, &v->wish.at, v->input, &v->port);
	if (err)
		goto fail;
	list_init(&v->parts);
	voice_match_decode(v);
	v->work.run = work;
	media_work_add(m, &v->work, work_before(v->room));
	list_append(&v->room->voices, &v->in_room);
	LIST_EACH(&v->room->sessions, l, after)
	{
		session_meet(CONTAINER_OF(l, struct session, in_room), v, pos,
			     NULL);
	}
	return 0;
fail:
	input_free(v->input);
	v->input = NULL;
	media_drop_room_if_empty(m, v->room);
	v->room = NULL;
	return err;
}

static void voice_close(struct voice *v)
{
	int64_t now_us = clock_now_us();
	int64_t pos = sound_pos_of_us(now_us);
	struct by by = v->wish.close_by;

	voice_take(v, now_us);
	if (!by.ip[0])
		voice_by(v, &by);
	input_flush(v->input, pos);
	publish_stats(v);
	LIST_EACH(&v->parts, l, after)
	{
		struct part *p = CONTAINER_OF(l, struct part, in_voice);

		part_end(p, pos, &by);
		part_free(p);
	}
	rtp_port_close(v->port);
	v->port = NULL;
	webrtc_session_close(v->webrtc);
	v->webrtc = NULL;
	input_free(v->input);
	v->input = NULL;
	list_remove(&v->in_room);
	list_remove(&v->work.link);
	media_drop_room_if_empty(v->media, v->room);
	v->room = NULL;
}

/* ---- the wish ------------------------------------------------------------- */

static void on_voice_answer(struct mail *mail)
{
	struct voice *v = CONTAINER_OF(mail, struct voice, mail);

	v->answered(v);
}

static void on_voice_wish(struct mail *mail)
{
	struct voice *v = CONTAINER_OF(mail, struct voice, mail);
	int64_t now_us = clock_now_us();

	v->err = 0;
	if (v->wish.open && !v->input)
		v->err = voice_open(v);
	else if (v->wish.open && v->webrtc)
		v->err = match_turn(v);
	if (v->input) {
		voice_take(v, now_us); /* what was sent before */
		v->mic_by = &v->wish.mic_by;
		input_set_mic(v->input, v->wish.mic, sound_pos_of_us(now_us));
		v->mic_by = NULL;
		if (!v->wish.open)
			voice_close(v);
	}
	mail_post(v->media->control, &v->mail, on_voice_answer);
}

void media_voice(struct voice *v)
{
	mail_post(v->media->loop, &v->mail, on_voice_wish);
}
