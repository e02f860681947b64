/**
 * rooms/rooms.h -- who is in which room, and the whole story: user joins ->
 * task -> tracks -> segments -> upload -> tell.
 *
 * WHAT  The catalogue of apps, rooms, inputs and tasks (control loop), and
 *       the media loops that carry out what it wants.
 * DESIGN
 *   - The control loop owns what is true: rows, ids, names, events.
 *   - A media loop owns what sounds: sockets, rings, decoders, encoders of
 *     its rooms (hash(app, room) mod loops).
 *   - They exchange mail.  The control side sends wanted states with an
 *     epoch; the media side sends facts (segment begun, ended, drained)
 *     that stay posted until they are dealt with.  Nothing is droppable.
 *   - Every segment is a row before it is a file (docs/ARCHITECTURE.md,
 *     life of a segment).
 *
 * Thread: all functions belong to the control loop; results come by
 * callback on it, exactly once, maybe before the function returns.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROOMS_ROOMS_H
#define ROOMS_ROOMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "intake/intake.h"
#include "io/io.h"
#include "notify/notify.h"
#include "store/store.h"
#include "upload/upload.h"
#include "wire/event.h"

struct rooms;

enum { ROOMS_APPS_MAX = 100 };

enum auto_mode { AUTO_OFF, AUTO_SINGLE, AUTO_MIXED, AUTO_BOTH };

/** apps[].recording */
struct recording_config {
	enum auto_mode auto_mode; /* record every room by itself */
	bool is_not_on_request;	  /* nobody else may start a task */
	enum record_format format;
	uint32_t sample_rate;	     /* of MP3: 48000, 24000, 16000 */
	int64_t max_idle_us;	     /* 0: never */
	int64_t hold_empty_us;	     /* 12 h */
	int64_t segment_us;	     /* 2 h */
	bool mic_off_splits;	     /* mic_off: split | silence */
	int64_t mic_off_after_us;    /* 2 s */
	int zone_minutes;	     /* file_time_zone */
	int64_t input_lost_after_us; /* 10 s; 0: never */
	int64_t no_audio_after_us;   /* 60 s; 0: never */
	/* since a task has finished; 0: for ever */
	int64_t keep_us;	 /* its files */
	int64_t keep_history_us; /* its events and deliveries; itself, when no
				    file is left */
};

/** apps[] */
struct app_config {
	uint32_t id;
	const char *name; /* copied */
	struct recording_config recording;
};

/** Who asks: what is told of what follows from it says so.  NULL, or an ip of
 *  "": nobody, it happens by itself. */
struct caller {
	const char *ip;	      /* "192.0.2.7", "2001:db8::7" */
	const char *platform; /* "RESTAPI" */
};

/** media: */
enum { MEDIA_ADDRESSES_MAX = 4, WHIP_ADDRESSES_MAX = 16 };

struct media_config {
	struct addr addresses[MEDIA_ADDRESSES_MAX]; /* announced to senders;
						       RTP: the first */
	size_t n_addresses;			    /* 0: bind */
	struct addr bind;      /* where sockets are opened */
	bool is_near;	       /* WebRTC is for programs of this machine, at all
				  of its addresses; bind is a loopback one */
	uint16_t udp_port;     /* WebRTC of the first loop, then upwards; 0:
				   the system chooses */
	unsigned max_sessions; /* WebRTC, at a time; 0: 1000 */
	unsigned max_rooms_per_user; /* of these; 0: 20 */
	uint16_t rtp_port_first, rtp_port_last;
	unsigned loops; /* 0: one a core */
};

struct rooms_config {
	const char *data_dir;
	const char *storage_dir; /* storage.local.dir */
	enum upload_kind storage_kind;
	struct upload_s3 s3;  /* endpoint "": none; copied */
	bool private_storage; /* a caller's bucket may have an address that is
				 not global */
	struct media_config media;
	unsigned file_threads;	 /* 2 */
	size_t file_queue_bytes; /* sound waiting for the disk; more becomes
				    silence and is counted: 64 MiB (0: this) */
	int64_t left_after_us;	 /* files of a task that cannot be stored are
				    told as left so long after its stop: 60 s
				    (0: this) */
	/* a user whose WebRTC session has ended by itself stays so long in the
	 * room: 10 s; after a restart of the server: 60 s (0: these) */
	int64_t away_us, away_restart_us;
	int64_t disk_low_bytes; /* free space below which no task starts:
				       256 MiB */
	/* told of every step, for demo and console; may be NULL */
	void (*story)(const char *line, void *arg);
	void *story_arg;
};

/**
 * Make the catalogue: recovery first (it blocks), then media loops and file
 * threads, then resumed inputs and tasks.  Apps are added before the call
 * by `apps`.
 * Returns 0 or an errno with `e`.
 */
MUST_CHECK int rooms_new(struct loop *loop, struct store *store,
			 struct notify *notify,
			 const struct rooms_config *config,
			 const struct app_config *apps, size_t n_apps,
			 struct rooms **out, struct err *e);

/**
 * Stop cleanly: no more sound is taken, every segment is closed and
 * committed, uploads that are under way end; tasks that were running stay
 * `running` in the store and are resumed at the next start.  Inputs too.
 * `done` is called when all that is durable.
 */
void rooms_stop(struct rooms *r, void (*done)(void *arg), void *arg);
void rooms_free(struct rooms *r);

/**
 * Add an app, or change how it is recorded: tasks and inputs that begin from
 * now on.  At most ROOMS_APPS_MAX, more are a bug.
 * What an earlier run left of a new one waits for the next start.
 */
void rooms_set_app(struct rooms *r, const struct app_config *config);

/**
 * Take out an app of which nothing is under way.  Its recordings stay, and so
 * does what is known of them.
 * Returns 0 (also when it is not there), or EBUSY with `e`: it has rooms,
 * tasks that are not finished, or something is being erased.
 */
MUST_CHECK int rooms_drop_app(struct rooms *r, uint32_t app, struct err *e);

/** Is this app known? */
bool rooms_has_app(const struct rooms *r, uint32_t app);
/** Call fn for every app; stops on non-zero. */
int rooms_each_app(const struct rooms *r,
		   int (*fn)(uint32_t id, const char *name, void *arg),
		   void *arg);

/* ---- inputs ----------------------------------------------------------- */

struct input_wish {
	uint32_t app;
	const char *room, *user;
	bool has_source;
	struct addr source;
	/* payload types 35..63 or 96..127, which differ, and a header extension 1..14;
	 * 0: not said */
	int opus_pt, red_pt, audio_level_ext;
	/* of the caller: the user's address until packets tell a better one,
	 * unless there is a source; NULL: not known */
	const char *client_ip;
};

/** Of an input by WebRTC: what its sender is answered. */
struct whip_info {
	const char *state; /* "connecting", "connected"; "away": the session
			      has ended, and its user may come again */
	const char *key;   /* names the session, and is a secret: whoever knows
			      it may end it */
	unsigned turn;	   /* ICE restarts so far */
	const char *remote_ufrag; /* as offered last */
	const struct webrtc_credentials *ice;
	const struct fingerprint *fingerprint;
	const char (*addresses)[ADDR_TEXT_MAX];
	size_t n_addresses;
};

struct input_info {
	uint64_t id;
	uint32_t app;
	const char *room, *user;
	const char *kind;	     /* "rtp", "whip" */
	struct whip_info whip;	     /* state NULL: not by WebRTC */
	char address[ADDR_TEXT_MAX]; /* without port */
	uint16_t port;
	bool mic_on;		    /* sound is coming in */
	bool mic_disabled;	    /* switched off by the API */
	const char *warning;	    /* "", "input_lost", "no_audio" */
	char sender[ADDR_TEXT_MAX]; /* "" until latched */
	uint64_t packets, lost;
	int64_t created_ms;
	int level_dbfs;	    /* now, -127 .. 0; 1: not known (it sends no
			       levels, and nobody has it decoded) */
	uint32_t jitter_us; /* as RFC 3550 has it */
	int opus_pt, red_pt, audio_level_ext; /* as wished */
};

/** err 0, or why not: ENOENT (app, input), EEXIST, ENOSPC (no free port),
 *  EINVAL (field), ENOMEM, EIO.  info is NULL on error; valid during the
 *  call. */
typedef void(rooms_input_fn)(const struct err *err,
			     const struct input_info *info, void *arg);

void rooms_input_add(struct rooms *r, const struct input_wish *wish,
		     rooms_input_fn *done, void *arg);
/** Switched at once, also when it then cannot be stored (EIO, ENOSPC ..);
 *  answered after the commit. */
void rooms_input_set_mic(struct rooms *r, uint64_t id, bool on,
			 const struct caller *who, rooms_input_fn *done,
			 void *arg);
void rooms_input_remove(struct rooms *r, uint64_t id, rooms_input_fn *done,
			void *arg);
/** What a sender offers; all is copied. */
struct whip_wish {
	uint32_t app;
	const char *room, *user;
	const char *client_ip; /* as in input_wish */
	const char *remote_ufrag;
	struct fingerprint fingerprint;
	int opus_pt, red_pt, audio_level_ext; /* as in input_wish */
};

/**
 * A user comes by WebRTC, with a session of its own; one that it had by WebRTC
 * is over then (a page that was loaded again; of two tabs the newer one).
 *
 * err: as above, EAGAIN: media.max_sessions are open, EDQUOT: the user is in
 * media.max_rooms_per_user.
 */
void rooms_whip_join(struct rooms *r, const struct whip_wish *wish,
		     rooms_input_fn *done, void *arg);
/** The session of this key.  Returns false when there is none. */
bool rooms_whip_find(const struct rooms *r, const char *key,
		     struct input_info *out);
/** Has a newer session of its user taken the place of this one, not long ago?
 *  Then a page had better not come back: it would take that place again. */
bool rooms_whip_is_replaced(const struct rooms *r, const char *key);
/** ICE restart of it.  err: ENOENT, EBUSY (one is under way), EINVAL, EIO,
 *  ENOMEM. */
void rooms_whip_restart(struct rooms *r, const char *key,
			const char *remote_ufrag, rooms_input_fn *done,
			void *arg);
/** Returns false when there is none. */
bool rooms_input_info(const struct rooms *r, uint64_t id,
		      struct input_info *out);

/* ---- tasks ------------------------------------------------------------ */

enum {
	SUBSCRIBE_MAX = 32,
	TASKS_MAX = 8 /* in one room */
};

/** Allow list or block list, never both.  A name that ends in ".*$" stands for
 *  all users whose ids begin with what is before that. */
struct subscription {
	bool allow; /* users are the only ones recorded */
	const char *users[SUBSCRIBE_MAX];
	size_t n; /* 0: everybody */
};

struct task_wish {
	uint32_t app;
	const char *room;
	enum record_mode mode;
	int format;			 /* enum record_format; -1: the app's */
	uint32_t sample_rate;		 /* of MP3; 0: the app's */
	int64_t max_idle_ms;		 /* -1: the app's */
	int64_t hold_empty_ms;		 /* -1: the app's */
	int64_t segment_ms;		 /* length of a file; 0: the app's */
	int64_t expires_ms;		 /* as in task_row; 0: never */
	const char *recorder;		 /* its name in callbacks; NULL: ours */
	const struct upload_s3 *storage; /* its files go there; right as
					    upload_s3_check says, prefix at most
					    STORAGE_PREFIX_MAX; copied.  NULL:
					    where those of all do */
	bool only_one;	   /* EEXIST if any task records the room */
	bool may_be_empty; /* nobody need be in the room as yet */
	struct subscription subscribe;
	const char *client_ip; /* of the caller */
	const char *platform;  /* "RESTAPI" */
};

struct task_info {
	uint64_t id;
	uint32_t app;
	const char *room;
	enum record_mode mode;
	enum task_state state;
	const char *reason, *reason_text;
	int64_t created_ms, stopped_ms;
	unsigned segments_open;
	struct subscription subscribe;
	enum record_format format;
	uint32_t sample_rate;
	int64_t max_idle_ms, hold_empty_ms;
	int64_t segment_ms, expires_ms; /* as in task_row */
	bool is_auto, is_paused;
	uint64_t storage; /* as in task_row */
	const char *storage_prefix;
};

/** What may be changed while a task runs. */
struct task_change {
	bool has_lists, has_paused, has_mode;
	struct subscription subscribe;
	bool paused; /* silence is recorded, whatever is said */
	enum record_mode mode;
	struct caller who;
};

/** err 0, or ENOENT (app, room, task), EEXIST (a task that records the room in
 *  this way), EBUSY (TASKS_MAX run, or too many buckets are known), EINVAL,
 *  EALREADY (not running any more), ENOSPC (disk low), ENOMEM, EIO. */
typedef void(rooms_task_fn)(const struct err *err, const struct task_info *t,
			    void *arg);

/** Start recording; answered after the commit.  The room must exist (have
 *  an input), unless the wish says that it may be empty. */
void rooms_task_start(struct rooms *r, const struct task_wish *wish,
		      rooms_task_fn *done, void *arg);
/** Change the lists or the mode of a running task, or pause it; answered
 *  after the commit.  With another mode, files that it does not want end, those
 *  that it does begin, and those of both begin anew where they are single. */
void rooms_task_change(struct rooms *r, uint64_t id,
		       const struct task_change *change, rooms_task_fn *done,
		       void *arg);
/** Stop; answered when the wish is durable (state stopping); the segments
 *  close right after.  Stopping twice is fine. */
void rooms_task_stop(struct rooms *r, uint64_t id, const struct caller *who,
		     rooms_task_fn *done, void *arg);
/** A task that is in memory (running, stopping, uploading); finished ones
 *  are in the store.  Returns false when it is not. */
bool rooms_task_info(const struct rooms *r, uint64_t id, struct task_info *out);

/* ---- erasing ---------------------------------------------------------- */

/** Whose recordings; what is not given does not narrow.  A task, or an app and
 *  a room or user, must be given. */
struct erase_wish {
	uint64_t task;
	uint32_t app;
	const char *room, *user; /* copied; NULL: not given */
	const char *client_ip;	 /* who asks, for the log */
};

struct erase_result {
	struct err err;	 /* 0; ENOENT (no such task); EBUSY: the task named in
			    the text is not finished; ECANCELED: the server
			    stops; or what failed.  Ask again: what was begun
			    is gone on with, at the latest at the next start */
	uint64_t erased; /* segments */
	int64_t bytes;	 /* of their files */
	bool more;	 /* ask again: this was only a part of them */
};
typedef void(rooms_erase_fn)(const struct erase_result *result, void *arg);

/** Erase files, rows and what was told of them of finished tasks; what is
 *  still to be told stays, and is told.  A part a call. */
void rooms_erase(struct rooms *r, const struct erase_wish *wish,
		 rooms_erase_fn *done, void *arg);

/* ---- looking ---------------------------------------------------------- */

struct room_info {
	uint32_t app;
	const char *room;
	size_t inputs;
	size_t n_tasks; /* running */
	uint64_t tasks[TASKS_MAX];
};

/** Returns false when there is no such room. */
bool rooms_room_info(const struct rooms *r, uint32_t app, const char *room,
		     struct room_info *out);

/** Call fn for every room, or its inputs; stops on non-zero.  Nothing may be
 *  changed inside. */
int rooms_each(const struct rooms *r,
	       int (*fn)(const struct room_info *room, void *arg), void *arg);
int rooms_each_input(const struct rooms *r, uint32_t app, const char *id,
		     int (*fn)(const struct input_info *in, void *arg),
		     void *arg);

/** Where a segment's file is now, unless it is remote: storage if uploaded,
 *  else spool.  Path into `out`. */
void rooms_segment_path(const struct rooms *r, const struct segment_row *s,
			char *out, size_t cap);

/** A waveform is made, and stored; or `e` says why not (code 0: it is). */
typedef void(rooms_wave_fn)(const struct err *e, const struct wave_row *wave,
			    void *arg);
/** Make the waveform of a closed segment whose file is on this machine, and
 *  that has none in the store. */
void rooms_wave(struct rooms *r, const struct segment_row *row,
		rooms_wave_fn *done, void *arg);

/** Is it in a bucket?  Then it has no path, but a URL. */
bool rooms_segment_is_remote(const struct segment_row *s);
/** Write the folder, or the URL of the bucket, that a stored segment's file is
 *  below; "": it is in a bucket that is not known (any more). */
void rooms_segment_below(const struct rooms *r, const struct segment_row *s,
			 char *out, size_t cap);
/** May a caller's bucket be at this address?  Names are looked at when they
 *  are connected to. */
bool rooms_permit_bucket_at(const struct rooms *r, const struct addr *a);
/** Write the URL of the folder or bucket that a task's files go to; storage and
 *  prefix: as in task_row.  "": it is not known any more. */
void rooms_storage_url(const struct rooms *r, uint64_t storage,
		       const char *prefix, char *out, size_t cap);
/** The keys of the bucket of the settings have changed, and nothing else of
 *  it: what waits is stored with the new ones.  Returns 0 or ENOMEM.
 *  Thread: the control loop. */
MUST_CHECK int rooms_set_bucket(struct rooms *r, const struct upload_s3 *s3);
/** Append the URL by which anybody can GET it for so long (upload_presign).
 *  Returns 0, ENXIO (in no bucket that is configured), or an errno of `out`. */
MUST_CHECK int rooms_segment_url(const struct rooms *r,
				 const struct segment_row *s, int64_t expires_s,
				 struct buf *out);

/** How uploads are going.  Thread: the control loop. */
void rooms_upload_status(const struct rooms *r, struct upload_status *out);

/** Free bytes below data_dir, measured every 10 s or more often; -1: cannot be told. */
int64_t rooms_free_bytes(const struct rooms *r);

/** Ready to serve: recovery done, store writable, disk not low. */
bool rooms_is_ready(const struct rooms *r, char *why, size_t cap);

#endif
