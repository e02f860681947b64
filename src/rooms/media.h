/**
 * rooms/media.h -- the media loops: what sounds.  Private to rooms/.
 *
 * A media loop is a thread with a loop.  The control loop hands it voices
 * (inputs) and sessions (running tasks); it hands back segments.
 *
 * Messages are members of the objects they are about and belong to one side
 * at a time.  The control side keeps a wanted state with an epoch and at
 * most one message under way an object; when the answer comes back with an
 * older epoch than is wanted now, the state is sent again.  So nothing can
 * be dropped and nothing needs a lock:
 *
 *	control                        media
 *	voice_wish  ---- voice.mail -->  open, close, mic
 *	            <--- voice.mail ---  done (err, port)
 *	session     ---- .mail ------->  begin, lists, stop
 *	            <--- .mail --------  applied; stop: drained
 *	            <--- seg.mail -----  begun
 *	file        ---- seg.mail ---->  granted
 *	            <--- seg.mail -----  ended, all bytes handed over
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROOMS_MEDIA_H
#define ROOMS_MEDIA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "intake/intake.h"
#include "io/io.h"
#include "record/record.h"
#include "rooms/rooms.h"

enum { ROOM_KEY_MAX = 4 + ID_MAX };

/** Bytes that name a room: app, then its id. */
struct room_key {
	uint8_t bytes[ROOM_KEY_MAX];
	size_t len;
};
void room_key_make(uint32_t app, const char *room, struct room_key *out);
/** The same on every start, unlike map_hash. */
uint64_t room_key_hash(const struct room_key *key);

/** Is this user recorded?  n 0: everybody is; else those on the list, or all
 *  but those.  Thread: any. */
bool lists_permit(bool allow, const char (*users)[ID_MAX + 1], size_t n,
		  const char *user);

/** Who has caused something, as an event tells it. */
struct by {
	char ip[48]; /* "": nobody; in a voice's wish: its user */
	char platform[16];
};
/** Nobody, for NULL or an ip of "". */
void by_set(struct by *by, const struct caller *who);
/** A user who sends from `sender`. */
void by_set_user(struct by *by, const struct addr *sender);

struct media;
struct seg;
struct task_track;
struct media_room;
struct mixer;

/** Something that a media loop does every now and then.  Embedded. */
struct media_work {
	struct link link;
	int64_t due_us;
	void (*run)(struct media_work *w, int64_t now_us);
};

/** When a session was paused and when not: what lies behind the first turn.
 *  Only the last few are known; sound is never later than they. */
enum { TURNS_MAX = 16 };
struct turns {
	bool before; /* the first */
	unsigned n;
	struct {
		int64_t pos;
		bool on;
	} at[TURNS_MAX];
};

/** The address of an input's sender: the media loop writes it, any thread
 *  reads it, and never half of one and half of another. */
struct shown_sender {
	_Atomic uint32_t turn; /* odd: being written */
	_Atomic int family;    /* 0: nobody yet */
	_Atomic uint32_t port;
	_Atomic uint64_t words[2]; /* the address in network order */
};
/** Thread: one. */
void sender_show(struct shown_sender *to, const struct addr *a);
/** false: nobody yet.  Thread: any. */
bool sender_read(struct shown_sender *from, struct addr *out);

/** How it goes with the WebRTC session of an input. */
enum whip_state {
	WHIP_CONNECTING, /* ICE, then DTLS */
	WHIP_CONNECTED,
	WHIP_ENDED, /* it was connected */
	WHIP_FAILED /* it never was */
};

/** One input, both sides. */
struct voice {
	/* fixed after init */
	bool is_whip;		 /* WebRTC; else a port of its own */
	struct fingerprint peer; /* WebRTC: of the sender's certificate */
	uint64_t id;
	struct room_key room_key;
	char user[ID_MAX + 1];
	struct input_config config;
	bool silence_mode; /* mic_off: silence */
	struct media *media;
	struct by joined; /* its user, as long as no packet has come */
	void (*answered)(struct voice *v); /* on the control loop */
	void *owner;

	/* the message: whose mail it is, owns this */
	struct mail mail;
	struct {
		uint64_t epoch;
		bool open; /* false: close */
		bool mic;  /* on as the API says */
		struct by mic_by, close_by;
		struct addr at; /* where to bind */
		/* WebRTC: credentials of the session, and how many there were
		 * before (ICE restart) */
		struct webrtc_credentials ice;
		char remote_ufrag[WEBRTC_REMOTE_UFRAG_MAX + 1];
		unsigned turn;
	} wish;
	int err; /* answer to open, or to another turn of WebRTC: errno */

	/* any thread, relaxed */
	_Atomic uint64_t packets, lost;
	_Atomic uint32_t jitter_us;
	_Atomic int level_dbfs; /* as in struct input_info */
	_Atomic bool mic_on;
	_Atomic bool has_left;	   /* RTCP BYE, and no packet since */
	_Atomic int64_t packet_us; /* monotonic, of the last one, 0: none */
	_Atomic int64_t heard_us;  /* of the last sound above -60 dBFS */
	_Atomic int64_t seen_us;   /* all of these are as of then; stored
					after them, 0: never yet */
	struct shown_sender sender;
	_Atomic int whip_state; /* enum whip_state */
	_Atomic int whip_end;	/* enum webrtc_end, once it has ended */

	/* media thread */
	struct media_room *room;
	struct link in_room;
	struct media_work work;
	struct input *input;
	struct rtp_port *port;	       /* NULL: WebRTC */
	struct webrtc_session *webrtc; /* NULL: a port */
	unsigned turn;		       /* of its credentials */
	int64_t taken_us;	       /* its port was read */
	int64_t heard_pos;
	int peak; /* of PCM since the last look, 0..32768; -1: there was none */
	const struct by
		*mic_by; /* the API switches its mic, NULL: it does not */
	uint64_t byes, packets_then; /* of the stats published last */
	struct addr sender_then;
	struct link parts; /* of the running sessions */
};

/** A running task on its media loop, both sides. */
struct session {
	/* fixed after init */
	uint64_t task;
	struct room_key room_key;
	struct track_config single, mixed; /* one a user; one for all */
	struct media *media;
	struct loop *control;
	void (*answered)(struct session *s); /* on the control loop */
	void (*seg_begun)(struct seg *seg);  /* on the control loop */
	void (*seg_ended)(struct seg *seg);  /* on the control loop */
	void *owner;

	/* the message */
	struct mail mail;
	struct {
		uint64_t epoch;
		struct by by; /* who wants it so */
		bool stop;    /* answered when drained, and last */
		bool paused;  /* silence, whatever comes in */
		enum record_mode mode;
		int64_t from_pos, stop_pos; /* media clock */
		bool allow;
		size_t n_users; /* 0: everybody */
		char users[SUBSCRIBE_MAX][ID_MAX + 1];
	} wish;
	int err; /* answer: 0 or ENOMEM, then it did not begin */

	/* media thread */
	bool begun, stopping;
	struct media_room *room;
	struct link in_room;
	struct link parts;     /* struct part, one a recorded voice */
	struct link segments;  /* struct seg, not handed over yet */
	bool is_ending;	       /* some part has an end */
	enum record_mode mode; /* of the parts that begin */
	struct mixer *mixer;   /* NULL: no mix was ever wanted */
	struct turns pause;
	int64_t from_pos, stop_pos;
	bool allow;
	size_t n_users;
	char users[SUBSCRIBE_MAX][ID_MAX + 1];
};

/**
 * The events of one write.  A write that failed keeps their numbers for the
 * next try, so a task's numbers have no holes.  Zero it before first use.
 */
struct telling {
	struct notify_batch *batch;
	uint64_t seqs[3];
	unsigned n, taken;
};

enum seg_step {
	SEG_BEGUN,
	SEG_ROW,    /* committing `opening` */
	SEG_FILE,   /* a file thread opens it */
	SEG_TELL,   /* committing `recording` + started */
	SEG_SOUND,  /* granted; sound flows */
	SEG_FORGET, /* no file: committing that the row goes */
	SEG_CLOSE,  /* a file thread closes it */
	SEG_DONE    /* committing `closed` + completed */
};

/** One segment, both sides; made by the media loop, freed by control. */
struct seg {
	/* fixed by the media loop before begun */
	struct session *session;
	char user[ID_MAX + 1];
	enum record_mode mode; /* MODE_SINGLE, or MODE_MIXED: user is "0" */
	int64_t start_ms;
	struct track_opening opening; /* of its file */
	struct by begun_by;
	struct by ended_by; /* by the media loop before ended */

	/* messages */
	struct mail begun, granted, ended;
	struct record_file *file; /* in granted; NULL: there will be none */
	uint64_t frames;	  /* in ended */
	struct sound_peaks peaks; /* in ended; n 0: not known */

	/* media thread */
	struct segment *segment; /* NULL: handed over */
	struct link in_session;
	bool is_granted, is_ended;

	/* control loop: segments.c */
	struct task_track *track;
	struct link in_track;
	enum seg_step step;
	struct segment_row row;
	struct record_file *open_file;
	struct timer retry;
	enum seg_step retried; /* whose commit failed: it may have been made */
	bool waits;	       /* to try again, without a timer */
	bool no_file;
	char reason[32];
	char reason_text[REASON_MAX];
	bool tells_upload; /* its write tells upload_started, too */
	struct telling telling;
};

/** What a media loop needs for WebRTC. */
struct media_webrtc {
	struct addr at;			  /* of the first loop; port 0: any */
	unsigned interface;		  /* as webrtc_port_open */
	const struct webrtc_identity *id; /* outlives the loops */
	struct webrtc_limits limits;
};

/** Open its port for WebRTC, and start a media loop's thread.  Returns 0,
 *  ENOMEM, EAGAIN, or with `e` an errno of webrtc_port_open. */
MUST_CHECK int media_new(unsigned index, struct loop *control,
			 const struct media_webrtc *webrtc, struct media **out,
			 struct err *e);
/** Its port for WebRTC.  Thread: any. */
uint16_t media_udp_port(const struct media *m);
/** End the thread; all voices and sessions are gone.  NULL is fine. */
void media_free(struct media *m);

/** Send the voice's wish; `answered` comes back.  Control loop. */
void media_voice(struct voice *v);
/** Send the session's wish. */
void media_session(struct session *s);
/** Give the segment its file, or none. */
void media_grant(struct seg *seg);

#endif
