/**
 * rooms/media_inside.h -- the media side's objects.  Private to media*.c.
 *
 * Owner tree: media > room; room > voice, session (made by the control side);
 * session > part (a voice in it), mixer; part and mixer > writer > segments.
 *
 *	voice --chunk--> part --trimmed, paused--+--> writer   (single)
 *	                                         +--> mixer --> writer (mixed)
 *
 * Everything here belongs to the media loop's thread.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROOMS_MEDIA_INSIDE_H
#define ROOMS_MEDIA_INSIDE_H

#include "rooms/media.h"

enum {
	/* A voice or a mix is worked on so often: what has come in meanwhile
	 * is decoded and encoded in one go. */
	WORK_US = 300 * 1000,
	/* How far silence is held back for a sender who is quiet but has the
	 * mic on: a stall of over 2 s (this, less the reorder window and a
	 * round of work) is put in its place. */
	HOLD_US = 3 * 1000 * 1000,
	/* An end is carried out so much later [frames]: over twice the reorder
	 * window, which a packet may wait for witnesses (intake/timeline.c), so
	 * that what was under way then is in. */
	END_WAIT = SOUND_RATE
};

struct media {
	struct loop *loop;
	struct loop *control;
	struct thread *thread;
	struct webrtc_port *webrtc;
	uint16_t udp_port; /* fixed after init: of that */
	struct map rooms;  /* struct media_room by key */
	struct link work; /* struct media_work, the one due first at the head */
	struct timer work_timer;
	int64_t apart_us; /* wall clock minus monotonic clock */
};

struct media_room {
	struct map_node node;
	struct room_key key;
	struct link voices, sessions;
};

/* ---- media.c ------------------------------------------------------------ */

/** NULL: out of memory. */
struct media_room *media_get_room(struct media *m, const struct room_key *key);
void media_drop_room_if_empty(struct media *m, struct media_room *room);

/** Put `w` behind `after` (NULL: at the end), and have it done when that is.
 */
void media_work_add(struct media *m, struct media_work *w,
		    const struct media_work *after);

/** Wall time [ms] of a position. */
int64_t media_wall_ms(struct media *m, int64_t pos);

/* ---- media_writer.c: a track and its segments ----------------------------- */

struct writer {
	struct session *session;
	enum record_mode mode; /* SINGLE or MIXED */
	const char *user;      /* "0" for the mix; the owner's */
	struct track *track;
	/* While one of the calls below is made: who has caused it.  What the
	 * track cuts by itself is caused by nobody. */
	const struct by *begin_by, *end_by;
};

MUST_CHECK int writer_init(struct writer *w, struct session *s,
			   enum record_mode mode, const char *user);
/** End its segment at `pos`.  Segments live on in the session. */
void writer_fini(struct writer *w, int64_t pos, const struct by *by);

void writer_begin(struct writer *w, int64_t pos, const struct by *by);
/** `by`: who has caused a segment that begins with it; NULL: in one, so that
 *  what begins is what the track has cut. */
void writer_put(struct writer *w, const struct sound_chunk *c,
		const struct by *by);
void writer_end(struct writer *w, int64_t pos, const struct by *by);

/* ---- media_mixer.c: a session's mix ---------------------------------------- */

MUST_CHECK int mixer_new(struct session *s, struct mixer **out);
/** Closed; NULL is fine. */
void mixer_free(struct mixer *x);

/** The first part has come: its file begins at `pos`. */
void mixer_open(struct mixer *x, int64_t pos, const struct by *by);
void mixer_put(struct mixer *x, const struct sound_chunk *c);
/** A part is gone that ended at `pos`. */
void mixer_leave(struct mixer *x, int64_t pos, const struct by *by);
/** The last part is gone: its file ends where the last of them ended. */
void mixer_close(struct mixer *x);

/* ---- media_part.c: a voice in a session ------------------------------------- */

struct part {
	struct link in_voice, in_session;
	struct voice *voice;
	struct session *session;
	int64_t from_pos;
	int64_t end_pos;    /* INT64_MAX: none yet */
	struct by begun_by; /* ip "": its user has come */
	struct by ended_by;
	bool is_mixed;	      /* it is part of the mix */
	bool has_writer;      /* a single track is wanted */
	struct writer writer; /* of it */
};

/** Record `v` in `s` from `pos` on; `by` NULL: its user has come. */
void part_make(struct session *s, struct voice *v, int64_t pos,
	       const struct by *by);
/** End it now; nothing more will come. */
void part_free(struct part *p);
/** It ends at `pos`; it is freed when what lies before has come. */
void part_end(struct part *p, int64_t pos, const struct by *by);
/** A chunk of its voice. */
void part_put(struct part *p, const struct sound_chunk *c);
/** Its voice's mic is off from `pos` on. */
void part_mic_off(struct part *p, int64_t pos, const struct by *by);
/** Go on with silence if nothing comes, and hand over. */
void part_push(struct part *p, int64_t now_us);

/* ---- media_voice.c, media_session.c ------------------------------------------ */

/** Read its port, and let what is due become chunks. */
void voice_take(struct voice *v, int64_t now_us);
/** Its user: from where packets come, or else who was said to have joined. */
void voice_by(const struct voice *v, struct by *by);
/** Has it a part in the mix? */
bool session_is_mixing(const struct session *s);
/** Decode only if somebody listens. */
void voice_match_decode(struct voice *v);
void session_match(struct session *s, int64_t pos);
/** Parts that end, and a session that stops. */
void session_work(struct session *s, int64_t now_us);
/** A voice has come (`by` NULL), or the lists have changed: does the session
 *  want it? */
void session_meet(struct session *s, struct voice *v, int64_t pos,
		  const struct by *by);

#endif
