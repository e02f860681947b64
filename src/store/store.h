/**
 * store/store.h -- durable state behind one interface; SQLite inside.
 *
 * WHAT  Rows of tasks, tracks, segments, inputs, events and deliveries.
 * WHY   A state change, the event that tells of it and the deliveries of
 *       that event are one transaction: none can be there without the rest.
 * DESIGN
 *   - One store thread makes all writes.  Group commit: it takes whatever
 *     was queued while the last commit ran (a write that fails is undone
 *     alone), commits once, then answers all.  synchronous=FULL, WAL, a
 *     checkpoint by that thread when idle or when the WAL grows.
 *   - A write (`struct store_write`) is values only, gathered on any thread;
 *     another database can execute the same list.
 *   - Reads run on a worker with a read-only connection, in pages by key,
 *     with a deadline; running totals are rows, never counted.
 *   - A ballast file is given up when the disk is full, so that what is
 *     under way can still be committed.
 *
 *   database file  <data_dir>/tapeop.db (+ -wal, -shm), ballast beside it
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "io/io.h"
#include "wire/event.h"

struct store;

struct store_config {
	const char *data_dir;	  /* made when missing */
	size_t ballast_bytes;	  /* 4 MiB; 0: none */
	size_t max_queue;	  /* writes waiting; more are refused with
				  ENOBUFS: 100,000 (0: this) */
	int64_t read_deadline_us; /* a page takes at most: 5 s (0: this) */
};

/**
 * Open (making or migrating) the database, start the store thread.
 * Returns 0, EBUSY (another process has it open), EACCES, ENOSPC, EBADMSG
 * (newer schema, or no database), with `e` saying what to do.
 */
MUST_CHECK int store_open(const struct store_config *config, struct store **out,
			  struct err *e);
/** Commit what is queued and close.  NULL is fine. */
void store_close(struct store *s);

/**
 * The next id of a kind: unique for ever, ascending.  Ids of writes that
 * fail are skipped, never used again in this process.  Thread: any.
 */
enum store_ids {
	IDS_EVENT,
	IDS_DELIVERY,
	IDS_SEGMENT,
	IDS_INPUT,
	IDS_TASK,    /* given by rooms/: only store_known_id */
	IDS_REMOVED, /* only store_known_id: of events that are gone, or will
			be in a moment, should that commit not fail */
	IDS_N
};
uint64_t store_next_id(struct store *s, enum store_ids kind);
/** The biggest one that was given so far, 0: none.  Thread: any. */
uint64_t store_last_id(const struct store *s, enum store_ids kind);
/**
 * The biggest one that the database knows of, 0: none.  What is bigger may be
 * given again by a later process (its commit failed, or was not made before
 * the end).  Thread: any.
 */
uint64_t store_known_id(const struct store *s, enum store_ids kind);

/* ---- rows ------------------------------------------------------------- */

enum { STORAGE_PREFIX_MAX = 512 }; /* bytes */

enum task_state {
	TASK_RUNNING,
	TASK_STOPPING, /* wanted: stop; segments still closing */
	TASK_STOPPED,  /* all segments closed */
	TASK_FAILED,   /* ended by a failure; what was recorded stays */
	TASK_STATE_N
};
const char *task_state_name(enum task_state s);
bool task_state_parse(const char *name, enum task_state *s);

struct task_row {
	uint64_t id;
	uint32_t app;
	char room[ID_MAX + 1];
	enum record_mode mode;
	enum task_state state;
	char reason[32]; /* stable code of a failure, "" */
	char reason_text[REASON_MAX];
	char *subscribe; /* JSON {"subscribe":[..]} or {"unsubscribe":[..]},
			    "" for all; owned by the row set */
	int64_t created_ms, stopped_ms;
	int64_t finished_ms; /* all uploads confirmed and announced, or 0 */
	int leave_code;
	uint64_t next_seq; /* task_seq of its next event (derived) */
	char client_ip[48];
	char platform[16];
	/* how it records */
	enum record_format format;
	uint32_t sample_rate;  /* of MP3 files [Hz] */
	int64_t max_idle_ms;   /* nobody speaks for so long: it ends; 0: no */
	int64_t hold_empty_ms; /* the room is empty for so long: it ends */
	int64_t segment_ms;    /* length of a file; 0: the app's */
	int64_t expires_ms;    /* from then on the API that has started it does
				  not know it any more; 0: never */
	char recorder[ID_MAX + 1]; /* its name in callbacks, "": ours */
	uint64_t storage; /* its storage_row, 0: its files go where those of
			     all do */
	char storage_prefix[STORAGE_PREFIX_MAX + 1]; /* there */
	bool is_auto;				     /* started by itself */
	bool is_paused; /* silence, whatever is said */
	/* who has ended it, "": nobody */
	char end_ip[48];
	char end_platform[16];
};

enum segment_state {
	SEG_OPENING,
	SEG_RECORDING,
	SEG_CLOSED,
	SEG_LOST,
	SEG_ERASING, /* its file goes, then its row */
	SEG_STATE_N
};
const char *segment_state_name(enum segment_state s);

struct segment_row {
	uint64_t id;
	uint64_t task;
	uint32_t app;
	char room[ID_MAX + 1];
	char user[ID_MAX + 1]; /* "0": the mix */
	enum record_mode mode; /* SINGLE or MIXED */
	uint32_t seq;
	enum segment_state state;
	char file_name[FILE_NAME_MAX]; /* below spool and storage */
	int64_t start_ms;
	uint64_t frames; /* 48 kHz, closed */
	int64_t size;	 /* bytes, closed */
	char sha256[65];
	int64_t closed_ms, uploaded_ms; /* 0: not yet */
	char reason[32];
	char reason_text[REASON_MAX];
	/* who has begun it, or ended it once it is closed; "": nobody */
	char by_ip[48];
	char by_platform[16];
	bool is_failing;  /* it was told that it cannot be stored */
	bool is_left;	  /* it was told that it waits on the server */
	int stored_in;	  /* enum upload_kind, once it is uploaded */
	uint64_t storage; /* of its task (derived), as the prefix */
	char storage_prefix[STORAGE_PREFIX_MAX + 1];
};

/** The waveform of a closed segment. */
struct wave_row {
	uint64_t segment;
	uint32_t bucket_frames; /* 48 kHz frames that a peak stands for */
	char *peaks;		/* base64 of a byte a bucket: 0..255 of full
				   scale; owned by the row set */
};

struct input_row {
	uint64_t id;
	uint32_t app;
	char room[ID_MAX + 1];
	char user[ID_MAX + 1];
	char kind[8];	 /* "rtp" */
	int port;	 /* bound; the same again after a restart */
	char source[64]; /* "" or the pinned sender */
	int64_t created_ms;
	/* what its sender's packets are, 0: not said */
	int opus_pt, red_pt;
	int audio_level_ext;
	bool mic_disabled; /* switched off by the API */
};

/** An event and the text that dialects are rendered from. */
struct event_row {
	uint64_t id;
	uint64_t task;
	uint64_t task_seq;
	uint32_t app;
	char kind[24];
	int64_t unix_ms;
	const char *once;  /* UNIQUE; NULL: none.  Serve: names the (task,
			     track, seq, kind); receive: the callback's key */
	const char *facts; /* facts_len bytes of JSON */
	size_t facts_len;
};

enum delivery_state {
	DELIVERY_PENDING,
	DELIVERY_DELIVERED,
	DELIVERY_DEAD,
	DELIVERY_EXPIRED,
	DELIVERY_STATE_N
};
const char *delivery_state_name(enum delivery_state s);
bool delivery_state_parse(const char *name, enum delivery_state *s);

struct delivery_row {
	uint64_t id;
	uint64_t event;
	uint64_t endpoint; /* notify_endpoint_id */
	uint64_t lane;	   /* the task's id; one order a (endpoint, lane) */
	uint32_t app;
	enum delivery_state state;
	unsigned attempts; /* made so far, of this budget */
	unsigned attempts_ever;
	bool late; /* its lane went on without it */
	int64_t created_ms, due_ms, last_ms, done_ms;
	int last_status; /* HTTP status or 0 */
	char last_error[128];
	char event_kind[24]; /* read only: joined */
	uint64_t task_seq;   /* read only: joined */
	int64_t event_ms;    /* read only: joined; created_ms is renewed by a
				replay, this is not */
};

/** An endpoint that was taken out: its deliveries up to this id expire. */
struct removal_row {
	uint64_t endpoint;
	uint32_t app;
	char name[64];
	uint64_t up_to;
};

/** An endpoint that was made at run time. */
struct endpoint_row {
	uint64_t id; /* notify_endpoint_id */
	uint32_t app;
	char name[64];
	const char *settings; /* JSON, with its secrets */
};

/** Where the files of some tasks go, by the wish of their callers.  It is
 *  deleted with the last of those tasks. */
struct storage_row {
	uint64_t id;
	uint32_t app;
	const char *settings; /* JSON, with its secrets */
};

enum { ATTEMPT_ANSWER_MAX = 1024 /* bytes */ };
/** An app that was made at run time. */
struct app_row {
	uint32_t id;
	const char *settings;	   /* JSON, with its secrets */
	int64_t previous_until_ms; /* its previous key is taken until then; 0:
				      it has none */
};

struct attempt_row {
	uint64_t delivery;
	unsigned n;
	int64_t unix_ms, duration_us;
	int status;
	char error[128];
	char answer[ATTEMPT_ANSWER_MAX + 1]; /* how the body begins */
};

/* ---- writing ------------------------------------------------------------ */

/** A transaction to be: operations in order.  Not shared between threads. */
struct store_write;

/** NULL when out of memory. */
MUST_CHECK struct store_write *store_write_new(void);
/** Drop one that was not committed.  NULL is fine. */
void store_write_free(struct store_write *w);

/* Each copies its values.  Out of memory is remembered and reported by the
 * commit as ENOMEM.  Inserts fail with EEXIST on a second row of the same
 * key, updates with ENOENT on none; a failed operation undoes its write. */
void store_put_task(struct store_write *w, const struct task_row *t);
/** State, reason, leave code, stopped_ms, finished_ms, subscribe, mode, and
 *  who has ended it. */
void store_set_task(struct store_write *w, const struct task_row *t);
/** Insert in state opening; takes `seq` for its track: next_seq of
 *  (task, user, mode) becomes seq + 1. */
void store_put_segment(struct store_write *w, const struct segment_row *s);
/** State, start_ms, frames, size, sha256, closed_ms, uploaded_ms, reason,
 *  by, is_failing, stored_in. */
void store_set_segment(struct store_write *w, const struct segment_row *s);
/** is_left becomes true. */
void store_leave_segment(struct store_write *w, uint64_t id);
/** An `opening` row without a file; its SeqNo stays used. */
void store_delete_segment(struct store_write *w, uint64_t id);
/** Insert or replace; a segment that is not closed gets none. */
void store_put_wave(struct store_write *w, const struct wave_row *v);
void store_put_input(struct store_write *w, const struct input_row *i);
/** mic_disabled. */
void store_set_input(struct store_write *w, const struct input_row *i);
/** No such row is fine. */
void store_delete_input(struct store_write *w, uint64_t id);
/**
 * Insert an event and its deliveries (n, state pending; ids taken by the
 * caller).  When an event of the same `once` is there, nothing is inserted,
 * the write goes on, and the result's `repeated` counts it.
 */
void store_put_event(struct store_write *w, const struct event_row *e,
		     const struct delivery_row *deliveries, size_t n);
/** State, attempts, attempts_ever, late, due, done; last_* unless last_ms is
 *  0 (no attempt was made: then last_error only where it is not ""); keeps the
 *  totals' invariant. */
void store_set_delivery(struct store_write *w, const struct delivery_row *d);
/** Log an attempt (kept: the last 20 of a delivery); one that is there is
 *  written over: a commit may have been made though it was said to fail. */
void store_put_attempt(struct store_write *w, const struct attempt_row *a);
/** Insert, or renew its up_to. */
void store_put_removal(struct store_write *w, const struct removal_row *r);
/** No such row is fine. */
void store_delete_removal(struct store_write *w, uint64_t endpoint);
/** Insert, or change its settings. */
void store_put_endpoint(struct store_write *w, const struct endpoint_row *e);
/** No such row is fine. */
void store_delete_endpoint(struct store_write *w, uint64_t id);
/** Insert, unless it is there. */
void store_put_storage(struct store_write *w, const struct storage_row *s);
/** Insert, or change it. */
void store_put_app(struct store_write *w, const struct app_row *a);
/** No such row is fine. */
void store_delete_app(struct store_write *w, uint32_t id);
/** Make dead or expired deliveries pending again with a fresh budget, in
 *  their lane's order, due now and as old as now (an expired one would expire
 *  again at once); the result's `changed` counts them.  `limit` of the filter
 *  bounds how many (0: all), `after` is the id before the first: a mass in
 *  slices is for one state at a time, each after the `last` one. */
struct store_filter;
void store_replay(struct store_write *w, const struct store_filter *f,
		  int64_t now_ms);
/**
 * Forget what is known of a finished task, a slice of at most `limit` rows: its
 * deliveries, its events, and, when it has no file, the rest (with lost
 * segments) and itself.  With files it stays, as do they.  The result's
 * `changed` counts the rows; fewer than `limit`: it is done.  Nothing is done
 * while it is not finished, or a delivery of it is pending.
 */
void store_prune(struct store_write *w, uint64_t task, uint32_t limit);
/** EINPROGRESS, which undoes the write, unless the task is finished and none
 *  of its deliveries is pending. */
void store_must_be_told(struct store_write *w, uint64_t task);

/**
 * Erasing, for tasks that are finished, in this order in one write:
 *   events    of the segments that are `erasing`, or of all when no other
 *             is left, and those of the task that name files or people:
 *             files_ready, input_lost, no_audio.  With their deliveries;
 *             those of which one is pending stay.
 *   segment   an `erasing` row; none is fine
 *   tracks    that have no segment left, and the lists of a task that has
 *             none
 */
void store_erase_events(struct store_write *w, uint64_t task);
void store_erase_segment(struct store_write *w, uint64_t id);
void store_erase_tracks(struct store_write *w, uint64_t task);

struct store_result {
	int err;	   /* 0, EEXIST, ENOENT, EINPROGRESS, ENOSPC, EIO,
			      ENOMEM, ENOBUFS */
	char text[160];	   /* "" or what failed */
	uint64_t changed;  /* rows of store_replay, store_prune */
	uint64_t last;	   /* the biggest id that store_replay changed */
	unsigned repeated; /* events that were there already */
};
typedef void(store_done_fn)(const struct store_result *r, void *arg);

/**
 * Hand the write to the store thread; `done` (may be NULL) is called on
 * `loop` after the commit is durable, or failed.  Writes of one thread are
 * committed in order.  Takes `w` over in every case (NULL: done is told
 * ENOMEM).  When full: done is told ENOBUFS.  Thread: any.
 */
void store_commit(struct store *s, struct store_write *w, struct loop *loop,
		  store_done_fn *done, void *arg);

/** The same, waiting for it: start-up, commands, workers and tests only. */
MUST_CHECK int store_commit_wait(struct store *s, struct store_write *w,
				 struct store_result *r);

/**
 * Do commits fail?  While they do and nobody writes, the store tries by itself
 * every few seconds, so that this ends with its cause.  Thread: any.
 */
bool store_is_failing(const struct store *s);

/* ---- reading ------------------------------------------------------------ */

enum store_what {
	READ_TASKS,
	READ_SEGMENTS,
	READ_INPUTS,
	READ_EVENTS,
	READ_DELIVERIES,
	READ_ATTEMPTS,
	READ_WAVES /* id: the segment's */
};

/** Which rows; 0, NULL and -1 mean: any.  Strings are copied. */
struct store_filter {
	enum store_what what;
	uint64_t id;
	uint64_t task;	   /* deliveries: lane */
	uint64_t endpoint; /* deliveries */
	uint64_t delivery; /* attempts */
	uint32_t app;
	const char *room, *user; /* of events: room only; tasks: that have a
				    file of the user */
	const char *text; /* tasks: how their room's id, or that of a user who
			     has a file, begins; or the task's id */
	const char *file_name; /* segments */
	uint32_t kinds;	   /* events: a bit for each enum event_kind; 0: any */
	int state;	   /* task, segment or delivery state, -1: any */
	bool unfinished;   /* tasks: finished_ms is 0 */
	bool is_auto;	   /* tasks: those that started by themselves */
	bool not_uploaded; /* segments: closed, uploaded_ms is 0 */
	int64_t from_ms, to_ms; /* created, 0: open */
	uint64_t after; /* rows after this id (before it, if newest_first) */
	uint64_t until; /* rows up to this id */
	bool newest_first;
	uint32_t limit; /* 1..1000; 0: 100 */
};

/** A page.  Only the array of `what` is set; freed by store_rows_free. */
struct store_rows {
	int err;
	size_t n;
	bool more; /* there are rows behind the last one */
	struct task_row *tasks;
	struct segment_row *segments;
	struct input_row *inputs;
	struct event_row *events; /* facts and once are owned by the rows */
	struct delivery_row *deliveries;
	struct attempt_row *attempts;
	struct wave_row *waves;
};
void store_rows_free(struct store_rows *rows);

typedef void(store_rows_fn)(struct store_rows *rows, void *arg);

/**
 * Read a page on a worker; `done` is called on `loop` (rows belong to the
 * caller of it from then: store_rows_free).  Deadline 5 s: ETIME.
 * Returns 0 or ENOMEM.
 */
MUST_CHECK int store_query(struct store *s, const struct store_filter *f,
			   struct loop *loop, store_rows_fn *done, void *arg);

/** The same, waiting: start-up, commands, workers and tests only. */
MUST_CHECK int store_read(struct store *s, const struct store_filter *f,
			  struct store_rows *rows);

/** Is handed a page with at least one row.  The rows are freed behind it, but
 *  for a text that it takes out of one, leaving NULL.  Anything but 0 ends the
 *  reading. */
typedef int(store_page_fn)(struct store_rows *rows, void *arg);

/**
 * Read all that the filter lets through, page by page: each begins behind the
 * last row of the one before, whatever `fn` has changed.
 *
 * f    `after`: where to begin; `limit`: of a page
 * fn   called for each page in turn, never for an empty one
 *
 * Returns 0, what `fn` has returned, or an errno of store_read; `fn` has had
 * all pages before that, and no other is read.  Thread: as store_read.
 */
MUST_CHECK int store_read_pages(struct store *s, const struct store_filter *f,
				store_page_fn *fn, void *arg);

/** All segments of a task: *rows (n, NULL: none) are the caller's to free.
 *  Returns 0 or an errno of store_read.  Thread: as store_read. */
MUST_CHECK int store_read_segments(struct store *s, uint64_t task,
				   struct segment_row **rows, size_t *n);

/** next_seq and newest start second of a track; 0 and INT64_MIN if new.
 *  Blocks; start-up only. */
MUST_CHECK int store_read_track(struct store *s, uint64_t task,
				const char *user, enum record_mode mode,
				uint32_t *next_seq, int64_t *last_start_ms);

/** A pending delivery in as few bytes as a schedule needs. */
struct pending_row {
	uint64_t id, event, endpoint, lane;
	int64_t due_ms, created_ms;
	int64_t last_ms; /* end of its last attempt, 0: none */
	unsigned attempts;
	bool late;
	unsigned attempts_ever; /* numbers the next attempt */
};
/** Walk all pending deliveries in order of id; start-up.  Stops on
 *  non-zero, which is returned. */
MUST_CHECK int store_each_pending(struct store *s,
				  int (*fn)(const struct pending_row *row,
					    void *arg),
				  void *arg);

/** A finished task, as whoever looks for old ones needs it. */
struct finished_row {
	uint64_t id;
	uint32_t app;
	int64_t finished_ms;
	bool has_segments, has_events;
	bool has_files;	  /* segments that are not lost */
	uint64_t storage; /* as task_row's */
};
/**
 * Read finished tasks by finished_ms and id: those behind `after` (these two of
 * it; zeroes: the first), finished before `before_ms`; n, at most `cap`.
 * Blocks; workers.
 */
MUST_CHECK int store_read_finished(struct store *s,
				   const struct finished_row *after,
				   int64_t before_ms, struct finished_row *rows,
				   size_t cap, size_t *n);
/** Is no delivery of this task pending?  Blocks; workers. */
MUST_CHECK int store_is_told(struct store *s, uint64_t task, bool *is_told);

/** Walk all endpoints that were taken out; start-up.  Stops on non-zero, which
 *  is returned. */
MUST_CHECK int store_each_removal(struct store *s,
				  int (*fn)(const struct removal_row *row,
					    void *arg),
				  void *arg);

/** Walk all endpoints of the store, by their ids; start-up.  `settings` are
 *  good until fn returns.  Stops on non-zero, which is returned. */
MUST_CHECK int store_each_endpoint(struct store *s,
				   int (*fn)(const struct endpoint_row *row,
					     void *arg),
				   void *arg);

/** The same for all storage_rows. */
MUST_CHECK int store_each_storage(struct store *s,
				  int (*fn)(const struct storage_row *row,
					    void *arg),
				  void *arg);

/** Walk all apps of the store, by their ids; as store_each_endpoint. */
MUST_CHECK int store_each_app(struct store *s,
			      int (*fn)(const struct app_row *row, void *arg),
			      void *arg);

/** Running totals: in = delivered + pending + dead + expired.  From rows
 *  kept by the writes; cached, any thread. */
struct store_totals {
	int64_t in, delivered, pending, dead, expired;
};
void store_totals(struct store *s, struct store_totals *out);

#endif
