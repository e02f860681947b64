/**
 * wire/event.h -- an event: a fact about a task that a backend may want to
 * know, frozen when it was committed.
 *
 * What an attempt adds (time of sending, attempt number) is not here.
 * In the database an event's facts are one compact JSON text
 * (event_write_json / event_parse_json), and dialects are rendered from it.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_EVENT_H
#define WIRE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	ID_MAX = 128,	       /* bytes of a room or user id */
	FILE_NAME_MAX = 640,   /* bytes of a file name below the storage root */
	REASON_MAX = 160,      /* bytes of a sentence about a failure */
	EVENT_FILES_MAX = 100, /* files in one EVENT_FILES_READY */
	EVENT_LOCATION_MAX = 2048 /* bytes of a URL, with its NUL */
};

/** Names in configuration, API and JSON: event_kind_name(). */
enum event_kind {
	/* of a segment: gme 1, 2, 3 */
	EVENT_STARTED,	 /* "started": its file is open; trtc and live 307 */
	EVENT_COMPLETED, /* "completed": closed, or lost (see reason) */
	EVENT_UPLOADED,	 /* "uploaded": storage has confirmed it */
	/* of a task: trtc and live 301, 302, 303, 305, 310 */
	EVENT_TASK_STARTED,   /* "task_started" 301; status 0 ok, 1 failed */
	EVENT_TASK_STOPPED,   /* "task_stopped" 302; leave_code */
	EVENT_UPLOAD_STARTED, /* "upload_started" 303; status */
	EVENT_UPLOAD_STOPPED, /* "upload_stopped" 305; status 0, 1, 2 */
	EVENT_FILES_READY,    /* "files_ready" 310; status, files */
	EVENT_UPLOAD_FAILING, /* "upload_failing" 308: reason; of a segment */
	/* ours; only the dialect standard has a word for them */
	EVENT_TASK_FAILED, /* "task_failed": reason */
	/* warnings of a running task; reason_text says what is the matter */
	EVENT_INPUT_LOST, /* "input_lost": nothing comes from `user` any more */
	EVENT_NO_AUDIO,	  /* "no_audio": nothing was ever heard of `user` */
	EVENT_DISK_LOW,	  /* "disk_low": the disk of data_dir gets full */
	EVENT_TEST,	  /* "test": an operator asked for it; no task */
	EVENT_KIND_N
};

enum record_mode { MODE_SINGLE, MODE_MIXED, MODE_BOTH };
enum record_format { FORMAT_MP3, FORMAT_OGG };

/** LeaveCode of 302 (tencent.md section 2.3). */
enum leave_code {
	LEAVE_API = 0,
	LEAVE_SERVER = 3, /* the server ended it (failure) */
	LEAVE_IDLE = 99,
	LEAVE_TIMEOUT = 100
};

/* A task's id: ms since 2020, then a counter, then bits that are zero so that
 * it survives a trip through a double. */
enum { EVENT_TASK_ID_COUNT_BITS = 12, EVENT_TASK_ID_ZERO_BITS = 6 };

/** The first id of a time; 0 for the time before 2020. */
uint64_t event_task_id_at(int64_t unix_ms);
/**
 * The id that a client means who had to put it into a double: JavaScript
 * writes 57124535869636608 as 57124535869636610, the shortest digits that are
 * the same double.  An id that is written whole stays as it is.
 */
uint64_t event_task_id_meant(uint64_t n);
/** When an id was allotted [ms since 1970]. */
int64_t event_task_id_ms(uint64_t id);

/** One file of EVENT_FILES_READY. */
struct event_file {
	char name[FILE_NAME_MAX];
	char user[ID_MAX + 1]; /* "" when mixed */
	int64_t start_ms, end_ms;
};

struct event {
	uint64_t id;	   /* unique on the node, the same on every attempt */
	uint64_t task_seq; /* from 0 in each task, no holes */
	enum event_kind kind;
	int64_t unix_ms; /* when it happened */
	uint32_t app;
	uint64_t task;
	char room[ID_MAX + 1];
	char user[ID_MAX + 1]; /* segments: the speaker, "0" for the mix;
				  tasks: the recorder's name, warnings of an
				  input: whose it is */
	char client_ip[48];    /* whoever caused it, "127.0.0.1" if nobody */
	char platform[16];     /* "RESTAPI", "Web", "Unknown" */
	enum record_mode mode; /* segments: SINGLE or MIXED */
	/* segments */
	uint32_t seq; /* SeqNo */
	char file_name[FILE_NAME_MAX];
	int64_t start_ms;		   /* wall time of its first frame */
	int64_t duration_ms;		   /* completed, uploaded */
	int64_t size;			   /* [bytes] completed, uploaded */
	char sha256[65];		   /* hex, "" when not known */
	char location[EVENT_LOCATION_MAX]; /* uploaded: URL of the file, ""
					      when not known */
	/* tasks */
	int status;
	int leave_code;
	/* failures: stable code ("disk_full", "file_missing") and a sentence;
	 * "" when all went well */
	char reason[32];
	char reason_text[REASON_MAX];
	/* EVENT_FILES_READY; n_files elements, allocated, owned by the event */
	struct event_file *files;
	size_t n_files;
};

/** Free what the event owns (its files). */
void event_fini(struct event *e);

/** Stable name of a kind; "other" for EVENT_KIND_N, which callback_parse
 *  gives to what other senders tell and we have no word for. */
const char *event_kind_name(enum event_kind kind);

/** Name -> kind; false when unknown ("other" is). */
bool event_kind_parse(const char *name, enum event_kind *kind);

/** Is it about a segment? */
bool event_is_of_segment(enum event_kind kind);

/** "single", "mixed", "both". */
const char *record_mode_name(enum record_mode mode);

/** Name -> mode; false when unknown. */
bool record_mode_parse(const char *name, enum record_mode *mode);

/** "mp3", "ogg": also what file names end in. */
const char *record_format_name(enum record_format format);

/**
 * Write the facts as compact JSON (appends; check buf_err).
 *
 * "kind" and "mode" come first, then the members in the order of the struct,
 * "files" last.  Ids (id, task) are decimal strings.  A member that is 0 or
 * "" is left out, and read back as such.
 */
void event_write_json(const struct event *e, struct buf *out);

/**
 * Read what event_write_json wrote.  Unknown members are skipped, so that
 * an older program can read what a newer one wrote.
 * Returns 0, EBADMSG or ENOMEM; on failure *e is all zero.
 */
MUST_CHECK int event_parse_json(const char *json, size_t len, struct event *e);

/**
 * Check a room or user id from outside: 1..ID_MAX bytes of UTF-8, no control
 * characters, no '/' and '\\', not "." or "..".
 * Returns 0 or EINVAL with `err` naming `field` and what is permitted.
 */
MUST_CHECK int event_id_check(const char *id, const char *field,
			      struct err *err);

#endif
