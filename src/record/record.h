/**
 * record/record.h -- tracks, segments on disk, finding them again after a
 * crash.  Knows no rooms, no events, no storage.
 *
 * Three threads meet here:
 *   media loop    track: chunks -> MP3 frames or Ogg pages -> segments
 *   file threads  record_file: .part, writes, syncs, rename
 *   control loop  asks for files to be opened and is told how it went
 *
 * Life of a segment's bytes: a track makes a `struct segment` when sound for
 * it exists; its frames or pages wait in it until the owner grants it an open
 * file; then they go to the file thread once a second; after the cut the
 * file is closed (fdatasync, rename, directory fsync).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECORD_RECORD_H
#define RECORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/list.h"
#include "io/io.h"
#include "sound/sound.h"

enum {
	/** No file has fewer MP3 frames: ffmpeg refuses to open shorter ones
	 *  (its probe wants three headers in a row). */
	RECORD_FRAMES_MIN = 3,
	/** And no Ogg file is shorter [48 kHz frames]: 72 ms. */
	RECORD_OGG_MIN = 3456
};

/** What a track makes of its chunks. */
enum track_kind {
	TRACK_MP3,	/* MP3, encoded from pcm */
	TRACK_OGG_COPY, /* Ogg Opus: the packets as they came */
	TRACK_OGG_OPUS	/* Ogg Opus, encoded from pcm: a mix */
};

/**
 * What a file has before its sound: a head that stays (Ogg: the header pages;
 * MP3 has none), and a placeholder that the first sound overwrites, so that a
 * crash leaves a file that plays (RECORD_FRAMES_MIN silent MP3 frames; a page
 * of silence that ends the stream).
 */
struct track_opening {
	enum track_kind kind;
	size_t head_len, placeholder_len;
	uint8_t bytes[1024]; /* the head, the placeholder */
};

/* ---- file threads ----------------------------------------------------- */

struct record_files;

struct record_files_config {
	const char *spool_dir;	/* <data_dir>/spool; made when missing */
	unsigned threads;	/* 1.. */
	size_t max_queue_bytes; /* sound waiting for the disk, all files:
				   64 MiB; more is refused */
};

MUST_CHECK int record_files_new(const struct record_files_config *config,
				struct record_files **out);
/** Write and close what is queued, end the threads.  Answers still come on
 *  the files' loops: turn those once more.  NULL is fine. */
void record_files_free(struct record_files *f);

/** An open .part file.  Made by the control loop, fed by a media loop,
 *  worked on by one file thread.  Counted references (record_file_unref). */
struct record_file;

/** How opening or closing went; on the control loop. */
struct record_file_result {
	int err;	 /* 0, ENOSPC, EACCES, EEXIST, EIO ... */
	char text[160];	 /* what failed, with the path below the spool */
	int64_t len;	 /* closed: bytes */
	uint64_t frames; /* closed: 48 kHz frames that it plays, as its track
			    told or else (something was lost) as found in it */
	char sha256[65];
};
typedef void(record_file_fn)(struct record_file *file,
			     const struct record_file_result *result,
			     void *arg);

/**
 * Open `<spool>/<name>.part` (O_EXCL, directories made), write what it opens
 * with, fsync file and directory.
 *
 * name     relative, no "..", unique; copied
 * opening  copied
 * failed   called once if a later write fails (ENOSPC, EIO): the file is
 *          dead, what was written stays; close it to hear the rest
 *
 * `opened` is called on `loop`: 0; EEXIST, the name is taken, by a .part or
 * by a finished file; or another errno.  Whatever it says, the caller owns
 * one reference from here on.  A file that did not open takes appends (they
 * are thrown away) and need not be closed.
 * `failed` may come until `closed` was called; `arg` must live as long.
 * Returns 0 or ENOMEM.
 */
struct record_file_open {
	const char *name;
	const struct track_opening *opening;
	struct loop *loop; /* where the callbacks run */
	record_file_fn *opened;
	record_file_fn *failed;
	void *arg;
};
MUST_CHECK int record_file_open(struct record_files *f,
				const struct record_file_open *how,
				struct record_file **out);

/**
 * Queue bytes behind what was queued before.  They are written within a
 * second, in one write, and synced (syncfs) within the next.
 * Returns 0 or EAGAIN: the queue is full (or no memory), these bytes are lost
 * and counted.  In MP3 silence of their length takes their place; in Ogg they
 * are left out, and granule positions tell: what comes later stands where it
 * belongs.  0 also for a dead file: nothing is kept.
 * Thread: the media loop that owns the segment; never blocks.
 */
MUST_CHECK int record_file_append(struct record_file *file, const void *data,
				  size_t len);

/** Leave `len` bytes out, as if they were lost.  Thread: as append. */
void record_file_skip(struct record_file *file, uint64_t len);

/** Tell how many 48 kHz frames all that was appended (and lost) plays.  Once,
 *  after the last append.  Thread: as append. */
void record_file_tell(struct record_file *file, uint64_t frames);

/**
 * After everything that was appended: write, cut the placeholder if there
 * was no sound (of an Ogg file it stays), end an Ogg file that lacks its last
 * page by a mark on the last it has, fdatasync, rename to `<spool>/<name>` (never over another
 * file), fsync the directory.  `closed` is called on the loop given at
 * open, with length and SHA-256.
 *
 * A file that died of a failed write is closed as well, with what was
 * written before: err is 0 and `len` is less than the segment's frames say.
 * An err means that the file cannot be trusted (the .part may be there).
 *
 * Counts segments_open and segments_closed; segments_lost is the owner's.
 * Thread: any, after the last append; once.
 */
void record_file_close(struct record_file *file, record_file_fn *closed,
		       void *arg);

void record_file_ref(struct record_file *file);
/** Give up one reference; NULL is fine.  Thread: any. */
void record_file_unref(struct record_file *file);

/* ---- tracks ----------------------------------------------------------- */

/**
 * One file to be, from the media loop's side.  Owned by its track until it
 * is taken off (segment_detach, after `ended`); then by who did that, who
 * frees it (segment_free).
 */
struct segment {
	struct link link;	  /* in the track's list, oldest first */
	int64_t start_pos;	  /* media clock of the first frame [frames] */
	uint64_t frames;	  /* so far; MP3: whole frames after the cut */
	bool ended;		  /* cut: no more sound will come */
	bool failed;		  /* its file is dead: sound is thrown away */
	struct buf bytes;	  /* frames or pages the file has not yet */
	struct record_file *file; /* NULL until granted */
	void *user;		  /* the owner's */
	uint64_t gap;		  /* private: bytes left out behind `bytes`
				     for want of room */
	struct sound_peaks peaks; /* of its sound; of a copy: none */
};

struct track_config {
	enum track_kind kind;
	struct sound_mp3_config mp3; /* TRACK_MP3 */
	uint32_t opus_bit_s;	 /* TRACK_OGG_OPUS: 6000..510000; 0: 64000 */
	uint64_t segment_frames; /* cut after so many [48 kHz frames], rounded
				    up to whole MP3 frames or Opus packets,
				    once there are enough for the next file
				    (RECORD_FRAMES_MIN, RECORD_OGG_MIN): fewer
				    stay in this one; 0: never */
	size_t max_waiting;	 /* bytes a segment may hold without a file:
				    1 MiB; more is dropped and counted */
};

/**
 * What a track tells its owner; called inside track_*.  Inside, segments may
 * be granted, failed, pushed, and (ended ones) detached and freed; the track
 * itself must not be called.
 */
struct track_events {
	/** Sound exists for a new segment: get it a file (segment_grant). */
	void (*begun)(struct segment *s, void *arg);
	/** The segment is cut; `frames` is final, RECORD_FRAMES_MIN or
	 *  RECORD_OGG_MIN at least (with silence at its end, if need be).  With
	 *  a file, all of it was handed over: the file may be closed. */
	void (*ended)(struct segment *s, void *arg);
};

struct track;

/** Returns 0, ENOMEM, EINVAL: a rate that there is not, or MP3 frames that
 *  are too long for an opening (over 112 kbit/s). */
MUST_CHECK int track_new(const struct track_config *config,
			 const struct track_events *events, void *arg,
			 struct track **out);
/** Frees the segments that are still on it, ended or not, without a word:
 *  finish the track first.  NULL is fine. */
void track_free(struct track *t);

/**
 * Put a chunk on the track.  Frames between the last written position and
 * chunk->pos inside an open segment become silence; what lies before the
 * last written position is skipped.  With no segment open, one begins at
 * chunk->pos, or where the one before ended if that is later.
 *
 * A copy takes the chunk's packet and never looks at its pcm, but to tell
 * whether it is quiet; pcm may be NULL.  Packets are whole and gaps are filled
 * in steps of 2.5 ms, so a packet stands up to 1.25 ms before or 10 ms behind
 * its place, and that error does not add up: who is further ahead loses a
 * packet (a quiet one earlier).  CHUNK_CONCEALED becomes packets that make the
 * decoder conceal, up to 100 ms; the rest, and sound without a packet, is
 * silence.
 *
 * Returns 0 or ENOMEM (the sound is lost and counted; the track goes on).
 */
MUST_CHECK int track_write(struct track *t, const struct sound_chunk *chunk);

/** Fill with silence up to `pos` if a segment is open. */
MUST_CHECK int track_advance(struct track *t, int64_t pos);

/** Is a segment open? */
bool track_is_open(const struct track *t);

/** Begin a segment at `pos` now, without sound yet (mic_off: silence). */
MUST_CHECK int track_begin(struct track *t, int64_t pos);

/** End the open segment at `pos` (mic off, stop): silence up to pos, cut
 *  at the end of the MP3 frame that holds it, or at RECORD_FRAMES_MIN; Ogg:
 *  at pos itself, if that lies in the last packet, or at RECORD_OGG_MIN.
 *  Nothing open: does nothing. */
MUST_CHECK int track_end_segment(struct track *t, int64_t pos);

/** What the file of the segment that begins has to open with; inside
 *  `begun`. */
const struct track_opening *track_opening(const struct track *t);

/** Give the segment its open file (takes one reference over) and hand over
 *  what waits.  If it has ended, the file may be closed by the owner now. */
void segment_grant(struct segment *s, struct record_file *file);

/** Hand waiting bytes to the file; call it about once a second.  An Ogg page
 *  in work is made one. */
void track_push(struct track *t);
void segment_push(struct segment *s);

/** Its file is dead or could not be opened: throw its sound away, now and
 *  later.  A file that was granted stays for the owner to close. */
void segment_fail(struct segment *s);

/** Take an ended segment off its track. */
void segment_detach(struct segment *s);
/** Also gives up its reference to the file.  NULL is fine. */
void segment_free(struct segment *s);

/* ---- names ------------------------------------------------------------ */

/** Room for any name, with its NUL. */
enum { RECORD_NAME_CAP = 288, RECORD_NAME_ID_MAX = 512 };

/** What a file name is made of. */
struct record_name {
	uint32_t app;
	const char *room; /* up to RECORD_NAME_ID_MAX bytes (asserted) */
	const char *user; /* "0" for the mix; as long at most */
	bool is_mix;	  /* false: a user, maybe one who is called "0" */
	uint64_t task;
	int64_t start_ms;     /* wall time of the segment's start */
	int zone_minutes;     /* file_time_zone, east of UTC: 480 */
	enum track_kind kind; /* .mp3 or .ogg */
	uint32_t seq;	      /* used only when `again` */
	bool again;	      /* the plain name is taken (a second segment in
				one second, a clock set back): put the SeqNo
				behind the TaskID */
};

/**
 * `<BizID>_<RoomID>_<UserID>/<YYYY-MM-DD-HH-MM-SS>_<TaskID>_audio.mp3`, or `.ogg`.
 * All of the ids but [A-Za-z0-9._-] is percent-encoded, a leading dot too; a
 * component over 200 bytes is cut and ends in '~' and 16 hex digits of its
 * SHA-256.  Never leaves its directory.  A user called "0" is encoded as well
 * ("%30"), so that no two tracks of one task share a name.
 *
 * cap   room in `out`; too little is a bug (asserted): RECORD_NAME_CAP
 *
 * Source: sample of the GME page.
 */
void record_name_write(const struct record_name *n, char *out, size_t cap);

/**
 * `<YYYY-MM-DD-HH-MM-SS>_<TaskID>_manifest.json`: the manifest beside a task's
 * files, in the folder of each of its tracks.
 *
 * start_ms  when the task began
 * cap       room in `out`: RECORD_NAME_CAP
 */
void record_manifest_name(uint64_t task, int64_t start_ms, int zone_minutes,
			  char *out, size_t cap);

/** `_<TaskID>_manifest.json`: what all names of a task's manifests have in
 *  them, and no others.  `cap` as above. */
void record_manifest_mark(uint64_t task, char *out, size_t cap);

/* ---- after a crash ----------------------------------------------------- */

/** What was found of a segment. */
struct record_found {
	bool there;	 /* .part or final file */
	int64_t len;	 /* after trimming */
	uint64_t frames; /* 48 kHz frames in it */
	char sha256[65];
};

/**
 * Finish what a crash left of `<spool>/<name>`: trim the .part to the last
 * whole MP3 frame or Ogg page (by the name's end; that page is marked as the
 * last), fdatasync, rename, directory fsync; or look at the final file if the
 * rename had happened.  A .part without one whole frame, or without the Ogg
 * header pages, holds nothing: it counts as not there (an empty one is removed,
 * another stays for the quarantine).  May be repeated, also after a crash
 * inside it.
 * Blocks; start-up only.
 * Returns 0 (see found->there) or an errno with `err`.
 */
MUST_CHECK int record_recover(const char *spool_dir, const char *name,
			      struct record_found *found, struct err *err);

/**
 * Move every file below the spool that `is_known(name)` does not know into
 * `quarantine_dir` (same file system), and log it.  Relative names are kept;
 * where one is taken, ".1", ".2" ... is put behind it: nothing is overwritten.
 * `is_known` gets the name of a segment: without ".part".
 * *moved is how many.  Returns 0 or the first errno; the other files are moved
 * all the same.
 */
MUST_CHECK int record_quarantine(const char *spool_dir,
				 const char *quarantine_dir,
				 bool (*is_known)(const char *name, void *arg),
				 void *arg, size_t *moved);

/* ---- manifest ----------------------------------------------------------- */

struct manifest_segment {
	const char *user;
	enum { MANIFEST_SINGLE, MANIFEST_MIXED } mode;
	uint32_t seq;
	const char *file;
	int64_t start_ms, duration_ms, size;
	const char *sha256;
	const char *state; /* "closed", "lost" */
};
struct manifest {
	uint32_t app;
	const char *room;
	uint64_t task;
	const char *mode;     /* "single", "mixed", "both" */
	const char *format;   /* "mp3", "ogg" */
	uint32_t sample_rate; /* of MP3 files [Hz] */
	int64_t start_ms, stop_ms;
	const struct manifest_segment *segments;
	size_t n_segments;
};
/** Write the manifest's JSON (64-bit ids as strings).  Texts are clean UTF-8.
 *  Check buf_err(out). */
void manifest_write(const struct manifest *m, struct buf *out);

#endif
