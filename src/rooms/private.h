/**
 * rooms/private.h -- the control side's objects.  Private to rooms/.
 *
 * Owner tree: rooms > app, room > member (input), task > task_track > seg.
 *
 *	task    running -> stopping -> stopped -> finished (gone from memory)
 *	           \-> failed ----------------------^
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ROOMS_PRIVATE_H
#define ROOMS_PRIVATE_H

#include "rooms/media.h"
#include "rooms/rooms.h"
#include "upload/upload.h"

enum {
	MEDIA_MAX = 64,
	RETRY_US = 1000 * 1000, /* between tries of a commit that failed */
	WARNINGS_MAX = 200,	/* of a task, not committed yet */
	ONCE_CAP = ID_MAX + 96	/* of a text that makes an event happen once */
};

/** A place for an app.  Workers look for apps, too. */
struct rooms_app {
	_Atomic uint32_t id; /* 0: it is free */
	char name[64];
	struct recording_config recording; /* control loop */
	_Atomic int zone_minutes;	   /* of it, for workers */
};

struct room {
	struct map_node node; /* in rooms.rooms */
	struct room_key key;
	struct rooms *rooms;
	struct rooms_app *app;
	char id[ID_MAX + 1];
	struct media *media;
	struct link members; /* struct member */
	struct link tasks;   /* that run or are being started */
	/* keeper.c */
	bool auto_over;		/* its task was stopped by hand */
	struct task *auto_task; /* the one that started by itself */
	int64_t auto_retry_us;	/* after a start that failed */
};

/** A request that waits for its answer. */
struct input_call {
	rooms_input_fn *done;
	void *arg;
};

/** A caller who switches a microphone, until that is stored. */
struct mic_call {
	struct member *member;
	struct input_call call;
};

enum member_state {
	MEMBER_OPENING, /* media loop binds the port; then the row */
	MEMBER_OPEN,
	MEMBER_CLOSING
};

enum {
	WHIP_KEY_LEN = 48,  /* two passwords of ICE: 288 bits */
	WHIP_REPLACED = 256 /* keys that are remembered */
};

/** What a member by WebRTC has beside. */
struct whip {
	struct map_node node; /* in rooms.whips, by key */
	char key[WHIP_KEY_LEN + 1];
	struct webrtc_credentials ice, ice_next;
	char remote_ufrag[WEBRTC_REMOTE_UFRAG_MAX + 1];
	char ufrag_next[WEBRTC_REMOTE_UFRAG_MAX + 1];
	unsigned turn, turn_next; /* next: an ICE restart is under way */
	bool is_near;		  /* of a program on this machine */
	struct input_call restart;
	int64_t away_us; /* since when its session is over, 0: it is not */
	int64_t stay_us; /* so long it may be away */
	bool has_none;	 /* it never had one: a restart of the server kept its
			    place */
	struct member *member;
};

/** A user in a room: one input. */
struct member {
	struct map_node node; /* in rooms.members, by id */
	struct whip *whip;    /* NULL: plain RTP */
	struct link in_room;
	struct room *room;
	struct input_row row;
	enum member_state state;
	bool mic_disabled;
	struct by mic_by;  /* who has switched it */
	bool is_suspended; /* the server stops: it comes back */
	uint64_t epoch_wanted, epoch_sent;
	bool mail_out;	    /* the voice's message is at the media loop */
	bool store_out;	    /* a commit that it comes or goes is under way */
	unsigned mic_calls; /* commits that its mic was switched, under way */
	bool close_sent;    /* the wish to close was, or is to be, sent */
	bool row_done;	    /* its row is in the store (or was tried) */
	bool opened;	    /* the media loop has its port */
	struct voice *voice;
	struct input_call call; /* add or remove */
	unsigned ports_tried;
	struct timer retry; /* the port of a resumed one */
	/* warn.c */
	int64_t since_us; /* is expected to send since: open, mic switched on */
	int64_t seen_us;  /* all that came until then was looked at */
	int64_t lost_us;  /* of its last packet, when nothing comes any more */
	bool silent;	  /* nothing heard, in the eyes of some task */
};

struct task_call {
	rooms_task_fn *done;
	void *arg;
};

/** A caller of stop or change who waits for the commit of it. */
struct due_call {
	struct link in_task;
	unsigned what; /* enum task_due */
	struct task_call call;
};

/** One user's track in a task: SeqNo and order of events. */
struct task_track {
	struct link in_task;
	struct task *task;
	char user[ID_MAX + 1];
	enum record_mode mode;
	uint32_t next_seq;
	int64_t last_start_s; /* newest second in a file name */
	struct link segs;     /* struct seg; only the first is worked on */
};

/** What the next commit of a task's row has to store or tell. */
enum task_due {
	DUE_CHANGE = 1,
	DUE_STOPPING = 2,
	DUE_FAILED = 4, /* + event */
	DUE_STOPPED = 8 /* + event */
};

struct task {
	struct map_node node; /* in rooms.tasks, by id */
	struct rooms *rooms;
	struct room *room; /* NULL when recording is over */
	struct link in_room;
	struct rooms_app *app;
	struct recording_config recording; /* of the app, when it began */
	struct task_row row;
	struct subscription subscribe; /* users point into users[] */
	char users[SUBSCRIBE_MAX][ID_MAX + 1];
	struct link tracks;
	unsigned segs;		  /* alive */
	struct link trackless;	  /* struct seg: no memory for a track yet */
	unsigned uploads;	  /* closed, not confirmed, or let go */
	unsigned pins;		  /* erasures that keep it from finishing */
	struct link confirms;	  /* confirm.h: one each of these */
	bool restored;		  /* of an earlier run */
	uint64_t segments_closed; /* ever, of this run */
	bool upload_told;	  /* upload_started was sent */
	struct session *session;  /* NULL when drained */
	uint64_t epoch_wanted, epoch_sent;
	bool mail_out;
	bool stop_wanted, drained, finishing;
	int64_t stop_pos;
	int64_t empty_us, idle_us; /* since when; 0: it is not (keeper.c) */
	bool starting;		   /* its first commit is under way */
	bool stop_after_start;	   /* a stop came while starting */
	unsigned due, due_sent;	   /* enum task_due; sent: under way */
	struct task_call call;	   /* start */
	struct link calls;	   /* struct due_call */
	struct timer retry;
	void (*retry_fn)(struct task *t);
	struct telling telling;
	struct by by; /* who wants of its session what is wanted; "": nobody */
	/* finish.c */
	bool is_left;	   /* it was told that files wait on the server */
	struct wrap *left; /* to be told again at the keeper's next round */
	/* warn.c */
	int64_t began_us;     /* looked at for the first time, 0: not yet */
	struct link warnings; /* to be told, one after another */
	unsigned n_warnings;  /* at most WARNINGS_MAX */
	bool warning_out;     /* the commit of the first is under way */
	struct timer warn_again;
	struct telling warn_telling;
};

struct rooms {
	struct loop *loop;
	struct store *store;
	struct notify *notify;
	struct workers *workers;
	struct record_files *files;
	struct upload *upload;
	struct upload_config upload_config;
	struct upload_config foreign_config; /* for callers' buckets */
	/* storages.c */
	enum upload_kind kind; /* where new files go */
	struct upload_place local;
	_Atomic(struct bucket *) bucket;  /* of the settings; older ones behind
					     it; NULL: there is none */
	_Atomic(struct bucket *) buckets; /* of callers, newest first; only
					     grows */
	uint64_t last_bucket;		  /* control loop */
	bool public_only;		  /* those of callers */
	char spool_dir[512], storage_dir[512], quarantine_dir[512];
	char data_dir[512];
	int64_t disk_low_bytes, left_after_us;
	int64_t away_us, away_restart_us;
	struct media *media[MEDIA_MAX];
	unsigned n_media;
	struct addr bind_at;				    /* port 0 */
	char addresses[MEDIA_ADDRESSES_MAX][ADDR_TEXT_MAX]; /* announced */
	size_t n_addresses;
	bool is_near; /* near.c: who is on this machine is told these */
	char own_addresses[WHIP_ADDRESSES_MAX][ADDR_TEXT_MAX];
	size_t n_own;
	uint16_t port_first, port_last, port_next;
	uint8_t *ports_used;	 /* a bit a port from port_first */
	struct rooms_app *apps;	 /* ROOMS_APPS_MAX */
	_Atomic unsigned n_apps; /* only grows */
	struct webrtc_identity *identity;
	unsigned max_sessions, max_rooms_per_user;
	struct map rooms, members, tasks;
	struct map whips; /* struct whip by key */
	/* the last sessions that a newer one of their user has replaced */
	char replaced[WHIP_REPLACED][WHIP_KEY_LEN + 1];
	unsigned n_replaced; /* ever; the next goes to this, modulo */
	uint64_t last_task_id;
	struct workers *erasers; /* one: erasures come one after another */
	unsigned erasures;	 /* under way */
	bool was_erasing;	 /* an earlier run, and had not finished */
	struct workers *wavers;	 /* one: see waves.c */
	struct link waves;	 /* struct wave, oldest first */
	unsigned n_waves;
	struct wave *wave;     /* the one under way */
	struct workers *texts; /* one: manifests, which a store may keep */
	struct retention *retention; /* retention.c */
	_Atomic bool storage_stops;
	bool stopping;
	void (*stop_done)(void *arg);
	void *stop_arg;
	struct timer stop_timer, watch_timer;
	/* warn.c */
	struct job disk_job;
	int64_t disk_found;  /* the job's: free bytes, -1: cannot be told */
	int64_t free_bytes;  /* the last that was found */
	int64_t measured_us; /* when */
	bool disk_told;	     /* that it is low */
	int64_t overload_us; /* told the last time, 0: never */
	int64_t work_late;   /* the counter, then */
	void (*story)(const char *line, void *arg);
	void *story_arg;
};

/* rooms.c */
/** Thread: any. */
struct rooms_app *rooms_find_app(const struct rooms *r, uint32_t id);
struct room *rooms_find_room(const struct rooms *r, uint32_t app,
			     const char *id);
/** Find or make; NULL when out of memory. */
struct room *rooms_get_room(struct rooms *r, struct rooms_app *app,
			    const char *id);
/** A room without members and task is forgotten. */
void room_drop_if_empty(struct room *room);
void rooms_tell(struct rooms *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** Stopping: has everything ended? */
void rooms_check_stopped(struct rooms *r);

/* inputs.c */
/** Open an input of a row from the store again (start-up). */
int member_resume(struct rooms *r, const struct input_row *row);
/** Its user: from where packets come, or else who was said to have joined. */
void member_by(const struct member *m, struct by *by);
/** Has anybody an input in it that is not on its way out? */
bool room_is_used(const struct room *room);
void member_close_all(struct rooms *r);
/** Make a member of `row` in its room; of plain RTP the port is marked
 *  already.  `whip` is taken over on success.  Returns 0 or ENOMEM. */
MUST_CHECK int member_make(struct room *room, const struct input_row *row,
			   const struct addr *source, struct whip *whip,
			   struct member **out);
/** What is wanted of its voice has changed. */
void member_wish(struct member *m);
/** Have its voice closed; it is freed when that is done. */
void member_close(struct member *m);
/** Answer who waits for it to be added or removed. */
void member_answer(struct member *m, const struct err *e);
void member_info(const struct member *m, struct input_info *out);
/** Who is not on its way out; NULL: nobody of that name. */
struct member *member_find(const struct room *room, const char *user);
/** Whoever adds an input; returns 0 or what is wrong, with `e`. */
int member_check_wish(struct rooms *r, uint32_t app, const char *room,
		      const char *user, struct err *e);

/* near.c: WebRTC from programs on this machine */

/** What these are told of its own addresses: IPv4, `loopback` last.  Returns how
 *  many, 0 if there is no other. */
size_t near_pick(const struct addr *own, size_t n_own,
		 const struct addr *loopback,
		 char out[WHIP_ADDRESSES_MAX][ADDR_TEXT_MAX]);
/** Look up own_addresses.  Returns whether there are any. */
bool near_look(struct rooms *r);
/** The index of "lo", 0 where nothing else has an address. */
unsigned near_interface(struct rooms *r);
/** Is who has this address on this machine, and heard at all of its own? */
bool near_is(const struct rooms *r, const char *ip);

/* whip.c: users by WebRTC */
/** A member of a row from the store: its user may come again. */
int whip_resume(struct rooms *r, struct room *room,
		const struct input_row *row);
/** Fill in the wish of its voice. */
void whip_wish(struct member *m);
/** Its voice has done what was wanted. */
void whip_on_answered(struct member *m);
/** What its row's commit changes beside: older sessions of the user go. */
void whip_put_row(struct member *m, struct store_write *w);
/** It is committed. */
void whip_on_joined(struct member *m);
/** It goes.  NULL is fine. */
void whip_free(struct rooms *r, struct whip *w);
/** How it goes with its session: "connecting", "connected", "away". */
const char *whip_state_name(const struct member *m);
/** Look at all sessions: who has been away for too long leaves. */
void whip_look(struct rooms *r, int64_t now_us);

/* tasks.c */
struct task *task_find(const struct rooms *r, uint64_t id);
/** A task of a row from the store, in memory, without sound. */
int task_restore(struct rooms *r, struct task_row *row, struct task **out);
/** Begin recording a restored task again. */
int task_resume(struct task *t);
/** Recording cannot go on: state failed, event, stop. */
void task_fail(struct task *t, const char *reason, const char *text);
/** A segment or an upload of it has ended: is the next step due? */
void task_check(struct task *t);
void task_free(struct task *t);
struct task_track *task_get_track(struct task *t, const char *user,
				  enum record_mode mode);
/** Call `fn` in a second. */
void task_retry(struct task *t, void (*fn)(struct task *t));
void task_retry_in(struct task *t, void (*fn)(struct task *t),
		   int64_t delay_us);
/** Do what no timer will, since there was no memory for it. */
void task_look(struct task *t);
/** End a running task for this reason; the wish is durable first. */
void task_stop(struct task *t, enum leave_code why, const struct by *by);
/** Start one; as rooms_task_start, which checks the wish. */
void task_start(struct rooms *r, const struct task_wish *w, bool is_auto,
		rooms_task_fn *done, void *arg);

/* task_wish.c */
/**
 * May it be started?  The disk is asked anew, and a bucket of the caller's
 * taken.
 *
 * is_auto   by the room itself, and not on request
 * storage   out: its bucket's id, 0: it wishes none
 *
 * Returns 0 or an errno with `e`.
 */
MUST_CHECK int task_wish_check(struct rooms *r, const struct task_wish *w,
			       bool is_auto, uint64_t *storage, struct err *e);
/** The row that it makes of a wish that was checked, but for what is ours: id,
 *  when, is_auto, storage, lists. */
void task_wish_row(const struct rooms_app *app, const struct task_wish *w,
		   struct task_row *row);

/* task_session.c */
/** Make a session, not begun yet.  Returns 0 or ENOMEM. */
int task_make_session(struct task *t);
/** What is wanted of it has changed. */
void task_wish_session(struct task *t);
/** Stop its sound, without the wish in the store; `by` NULL: by nobody. */
void task_suspend(struct task *t, const struct by *by);

/* keeper.c: tasks that begin and end by themselves */
/** Arm a timer.  Returns false, and logs, when that cannot be: a round of the
 *  keeper, once a second, must do what it is for. */
bool keeper_arm(struct rooms *r, struct timer *timer, int64_t delay_us,
		void (*fn)(struct timer *timer, int64_t now_us));
void keeper_start(struct rooms *r);
/** Somebody has come or gone: `m`, or NULL: maybe, some time ago. */
void keeper_look(struct room *room, const struct member *m);

/* warn.c: what may be going wrong */
/** Tell again what no timer will. */
void warn_look_at_task(struct task *t);
/** Measure the disk for the first time; blocks. */
void warn_start(struct rooms *r);
/** Look at a room's inputs and tell its tasks. */
void warn_look(struct room *room, int64_t now_us);
/** Look at the disk, and at how far behind the media loops are. */
void warn_look_at_machine(struct rooms *r, int64_t now_us);
/** So many bytes are free (-1: cannot be told). */
void warn_on_measured(struct rooms *r, int64_t free_bytes, int64_t now_us);
/** Is the disk being looked at by a worker? */
bool warn_is_measuring(const struct rooms *r);
/** Is there a warning of the task that is not committed yet? */
bool warn_is_committing(const struct task *t);
/** "", or what is the matter with an input. */
const char *warn_of(const struct member *m);
/** Is the disk low, or can that not be told?  Then `why` says so. */
bool warn_disk_is_low(const struct rooms *r, char *why, size_t cap);

/* lists.c */
/** Returns 0 or EINVAL with `e` naming the list and what is permitted. */
int lists_check(const struct subscription *s, struct err *e);
/** Are these the task's, in whatever order? */
bool lists_are(const struct task *t, const struct subscription *s);
/** Does the task record this user? */
bool lists_want(const struct task *t, const char *user);
/** Copy into the task. */
void lists_set(struct task *t, const struct subscription *s);
/** Write them into the task's row.  Returns 0, or ENOMEM: the row has none. */
int lists_write(struct task *t);
/** Take them from the task's row. */
void lists_read(struct task *t);

/* telling.c */
/** Fill in what all events of a task have in common, but task_seq. */
void task_event(const struct task *t, enum event_kind kind, struct event *e);
/** Whoever has caused it; ip "": nobody. */
void event_by(struct event *e, const char *ip, const char *platform);
/** What may happen only once: "task/kind/page". */
void task_once(const struct task *t, enum event_kind kind, unsigned page,
	       char *out, size_t cap);
/** The event that tells of a segment's row. */
void seg_event(const struct task *t, const struct segment_row *row,
	       enum event_kind kind, struct event *e);
/** The same for a segment: "task/mode/seq/kind/user". */
void seg_once(const struct segment_row *row, enum event_kind kind, char *out,
	      size_t cap);
/** Add an event of the task, or of its segment (row not NULL), to `w`.
 *  Returns 0 or ENOMEM: drop the write and settle with that. */
int telling_add(struct telling *tl, struct task *t,
		const struct segment_row *row, enum event_kind kind,
		struct store_write *w);
/** The first file of the task is closed, and so its uploads begin. */
int telling_upload_started(struct telling *tl, struct task *t,
			   const struct segment_row *row,
			   struct store_write *w);
/** The same for an event that is filled in but for task_seq and id. */
int telling_put(struct telling *tl, struct task *t, struct event *e,
		const char *once, struct store_write *w);
/** The write was committed, or not. */
void telling_settled(struct telling *tl, const struct task *t,
		     const struct store_result *r);

/* segments.c */
void seg_on_begun(struct seg *seg);
/** Try again what no timer will. */
void seg_look(struct task *t);
void seg_on_ended(struct seg *seg);

/* finish.c */
/** All is closed and confirmed: tell, and forget the task. */
void finish_task(struct task *t);
/** Tell again what no timer will. */
void finish_tell_again(struct task *t);
/** Has it waited too long for files that cannot be stored?  Then tell. */
void finish_look(struct task *t);

/* storages.c */

/** A bucket that files go to, or have gone to.  It is there until the end, and
 *  never changes, but for how it does. */
struct bucket {
	struct bucket *next;
	uint64_t id; /* of its storage_row; 0: it is that of the settings */
	uint32_t app;
	struct upload_place *place; /* of a caller's: without a prefix */
	/* any thread: storages_told */
	_Atomic int64_t rest_until_us; /* nobody waits for it until then */
	_Atomic int64_t rest_us;       /* the next rest, 0: it is well */
};

/** So long a caller's bucket may keep a thread that others need [us]. */
enum { STORAGES_FOREIGN_STALL_US = 10 * 1000 * 1000 };

/** Take the settings, and those of the store.  Returns 0 or an errno. */
int storages_start(struct rooms *r, const struct rooms_config *c);
void storages_end(struct rooms *r);
/** A caller's bucket, whatever the prefix; 0: it is not known.
 *  Thread: the control loop. */
uint64_t storages_find(const struct rooms *r, uint32_t app,
		       const struct upload_s3 *s3);
/** The same, and make it.  Returns 0, EBUSY (its app has too many), ENOMEM
 *  with `e`.  Thread: the control loop. */
MUST_CHECK int storages_take(struct rooms *r, uint32_t app,
			     const struct upload_s3 *s3, uint64_t *id,
			     struct err *e);
/** Add the row of a task's bucket to the write that has the task's; of id 0
 *  there is none.  Returns 0 or an errno: drop the write. */
MUST_CHECK int storages_put(const struct rooms *r, uint64_t id,
			    struct store_write *w);
/**
 * Where a segment's file is, or where it goes.
 *
 * out   its prefix is in the row, all else lives as long as the rooms
 *
 * Returns false: in a bucket that is not known (any more).  Thread: any.
 */
MUST_CHECK bool storages_place(const struct rooms *r,
			       const struct segment_row *row,
			       struct upload_place *out);
/** Is a task's bucket known, or has it none of its own (0)?  Thread: any. */
bool storages_know(const struct rooms *r, uint64_t id);

/** Files of one task can be in three places: those of earlier settings stay
 *  where they are. */
enum slot { SLOT_LOCAL, SLOT_BUCKET, SLOT_OWN, SLOT_N };
/** Thread: any. */
enum slot storages_slot(const struct rooms *r, const struct segment_row *row);

/** Places that are open: for one thread at a time. */
struct storages {
	const struct rooms *rooms;
	uint64_t own; /* which bucket SLOT_OWN is, with which prefix */
	char prefix[STORAGE_PREFIX_MAX + 1];
	struct upload_place places[SLOT_N];
	struct upload_storage *open[SLOT_N];
};
void storages_init(struct storages *s, const struct rooms *r);
void storages_fini(struct storages *s);
/** From now on it is about a task with this bucket of its own (0: none). */
void storages_begin(struct storages *s, uint64_t own, const char *prefix);
/**
 * Open a place, unless it is.
 *
 * Returns 0, or with `e`
 *   ENXIO    it is not known (any more)
 *   EAGAIN   it has failed of late: nobody waits for it again so soon
 *   ENOMEM
 */
MUST_CHECK int storages_get(struct storages *s, enum slot slot,
			    struct upload_storage **out, struct err *e);
/** How what was asked of it ended: 0 or an errno of upload.  One that hangs, or
 *  is not there, is given a rest, which doubles. */
void storages_told(struct storages *s, enum slot slot, int err);

/* manifest.c */

/** Folders of tracks, each once; begin with map_init. */
struct folders {
	struct map map;
};
struct folder {
	struct map_node node;
	char *name; /* owned */
};
/** Add the one that a file is in.  Returns 0 or ENOMEM. */
int folders_add(struct folders *f, const char *file_name);
bool folders_have(const struct folders *f, const char *name);
void folders_fini(struct folders *f);

/** Name of a task's manifest, RECORD_NAME_CAP bytes. */
void manifest_name(const struct rooms *r, const struct task_row *t, char *name);

/**
 * Put the manifest of a task into the folders of its tracks.
 *
 * rows     all of the task's (n); those that are being erased are left out
 * folders  out: where it was put, by slot
 *
 * Blocks; a worker or the start.  Returns 0 or an errno with `e`.
 */
MUST_CHECK int manifest_put(struct storages *s, const struct task_row *t,
			    const struct segment_row *rows, size_t n,
			    struct folders folders[SLOT_N], struct err *e);

/* erase.c */
/** Erase segments whose rows are `erasing`; the rows are put into another
 *  order.  Blocks; a worker or the start.  Returns 0 or an errno with `e`. */
MUST_CHECK int erase_marked(struct rooms *r, struct segment_row *rows, size_t n,
			    struct err *e);

/** A storage; `own` names it when the slot is SLOT_OWN; SLOT_N: none. */
struct erase_place {
	enum slot slot;
	uint64_t own;
};

/** How far erasing goes.  Behind until_us (clock_now_us; at least one file
 *  goes) and once it was given up, the files that are left stay, with their
 *  rows as they were. */
struct erase_bounds {
	uint32_t part; /* segments */
	int64_t until_us;
	const _Atomic bool *given_up;
	/* is this storage not to be asked? */
	bool (*is_passed)(const struct erase_place *place, const void *arg);
	const void *arg;
};

/**
 * Erase files of a finished task of which nothing is pending, within bounds, as
 * rooms_erase does.  Blocks; the thread of erasures.  Returns 0, EINPROGRESS
 * (something is pending: nothing was done), EHOSTDOWN (a file is in a storage
 * that is passed: nothing was done), or an errno with out->err, and at *at the
 * storage that failed (none: the database did).
 */
MUST_CHECK int erase_told(struct rooms *r, uint64_t task,
			  const struct erase_bounds *b,
			  struct erase_result *out, struct erase_place *at);

/* retention.c: what was kept long enough */
MUST_CHECK int retention_new(struct rooms *r);
void retention_free(struct rooms *r);
/** The keeper's round: is there something to do? */
void retention_look(struct rooms *r, int64_t now_us);
/** Everything is there: the first look is in a while. */
void retention_start(struct rooms *r);
/** The times to keep have changed: a look under way goes by the new ones, and
 *  another one follows soon. */
void retention_look_anew(struct rooms *r);
/** Say for how long those of an app are kept. */
void retention_announce(const struct rooms_app *app);

/** Finish what an earlier run has begun, behind the start.  Returns 0 or
 *  ENOMEM. */
MUST_CHECK int erase_resume(struct rooms *r);

/* waves.c */
enum { WAVE_TEXT_CAP = (SOUND_PEAKS_MAX + 2) / 3 * 4 + 1 };
/** The row of a waveform; `text` must live as long. */
void wave_row_make(uint64_t segment, const struct sound_peaks *p,
		   char text[WAVE_TEXT_CAP], struct wave_row *out);
/** Make the waveform of a closed file by and by.  drops: then remove its copy
 *  in the spool.  Returns false: it is not made now, nothing is removed. */
bool waves_add(struct rooms *r, const struct segment_row *row, bool drops);
/** It is in storage: is its copy in the spool still needed?  Then that goes
 *  when it is not any more. */
bool waves_take_drop(struct rooms *r, const struct segment_row *row);
/** Forget what waits; the one under way ends soon. */
void waves_stop(struct rooms *r);

/* recovery.c */
int recovery_run(struct rooms *r, struct err *e);

#endif
