/**
 * receive/recordings.h -- one truth from events in any order; private to
 * receive/.
 *
 * WHAT  What a backend would know of each recording, put together from events
 *       of all dialects, in whatever order, some of them told twice in two
 *       dialects.
 * WHY   The same events give the same text: nothing here depends on which of
 *       two events was there first.
 * DESIGN
 *   - States only rise, flags are only set, and of two values of one thing the
 *     one with the bigger weight (of its kind, then of its dialect), then the
 *     bigger one, stays.
 *   - Some dialects number a user's segments, others know them by file name
 *     only.  Both are kept as told and put together when they are shown, by
 *     the file name.  The latter have no word for the end of a segment: it is
 *     told by the next one of the same user, by the end of the task, or by
 *     its file being in the list of files.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECEIVE_RECORDINGS_H
#define RECEIVE_RECORDINGS_H

#include <jansson.h>

#include "base/attr.h"
#include "base/list.h"
#include "base/map.h"
#include "wire/event.h"

/** Everything that was heard of, by task. */
struct recordings {
	struct map tasks, segments;
	struct link order; /* tasks; the one told of longest ago first */
	uint64_t next_number;
	size_t n_parts; /* tasks, segments, files, failures; at most
			     max_parts: then the tasks told of longest ago are
			     forgotten */
	size_t max_parts;
};

void recordings_init(struct recordings *r, size_t max_parts);
void recordings_fini(struct recordings *r);

/**
 * Take an event in (its line as JSON).  The same one twice changes nothing.
 * Tests of an endpoint are no recording: left out.
 * Returns 0, ENOMEM, or ENOBUFS: its task alone is over max_parts.
 */
MUST_CHECK int recordings_add(struct recordings *r, const json_t *event);

/** Which ones to show; all zero: all. */
struct recordings_view {
	json_int_t app;	  /* 0: any */
	const char *room; /* NULL: any; these two are exact */
	const char *task;
	enum { VIEW_ALL, VIEW_RUNNING, VIEW_OTHERS } which;
	const char *search;  /* in ids, users, file names; of any case */
	size_t limit;	     /* recordings, those told of last; 1.. */
	size_t max_segments; /* of each, the newest; 0: all */
};

/**
 * {"recordings":[..]}: sorted by the time of their last event, each with its
 * segments, files and failures sorted; "total": how many there are without
 * the limit.  NULL when out of memory.
 */
json_t *recordings_json(struct recordings *r,
			const struct recordings_view *view);

/* ---- what recordings.c keeps and recordings_show.c shows ------------------ */

enum {
	TASK_KEY_MAX = 160, /* app/task */
	TASK_TEXT_MAX = 128,
	FAILURES_MAX = 50, /* of one task that are kept: the newest */
};

/** How far a segment is; it only rises. */
enum seen_rank { SEEN_NOTHING, SEEN_STARTED, SEEN_COMPLETED, SEEN_UPLOADED };

/** A value as told by the weightiest event; weight 0: not told. */
struct seen_number {
	json_int_t value;
	int weight;
};
struct seen_text {
	char *value; /* owned; NULL: not told */
	int weight;
};

enum { SEEN_START_MS, SEEN_END_MS, SEEN_DURATION_MS, SEEN_SIZE, SEEN_NUMBERS };
enum {
	SEEN_USER,
	SEEN_FILE,
	SEEN_SHA256,
	SEEN_LOCATION,
	SEEN_REASON,
	SEEN_TEXTS
};

struct seen_segment {
	struct map_node node; /* recordings.segments */
	struct link link;     /* seen_task.segments */
	bool has_seq;	      /* else it is known by its file name only */
	bool mixed;
	json_int_t seq;
	const char *user; /* in key; "" when !has_seq: see SEEN_USER */
	enum seen_rank rank;
	json_int_t last_ms; /* its newest event */
	struct seen_number numbers[SEEN_NUMBERS];
	struct seen_text texts[SEEN_TEXTS];
	char key[];
};

struct seen_task {
	struct map_node node; /* recordings.tasks */
	struct link link;     /* recordings.order */
	uint64_t number;
	char key[TASK_KEY_MAX];
	char task[TASK_TEXT_MAX];
	char room[ID_MAX + 1];
	json_int_t app;
	bool started, start_failed, failed, stopped, upload_stopped, files_ok;
	json_int_t leave_code; /* -1: not told */
	unsigned dialects;     /* bits */
	uint64_t *told; /* hashes of its events, sorted; n_told, of told_cap */
	size_t n_told, told_cap;
	json_int_t first_ms, last_ms;	   /* of its events, 0: not told */
	json_int_t started_ms, stopped_ms; /* as its own events tell */
	struct link segments;
	size_t n_segments;
	json_t *files;	  /* of files_ready, by name */
	json_t *failures; /* by what makes them the same again */
	/* found out when it is asked for, forgotten when it is told of */
	enum { RUNNING_UNKNOWN, RUNNING_YES, RUNNING_NO } running;
};

/** Names of dialects by bit of seen_task.dialects; NULL at the end. */
extern const char *const seen_dialects[];

/** A member's text, "" when there is none. */
const char *recordings_text(const json_t *o, const char *name);
json_int_t recordings_number(const json_t *o, const char *name);

#endif
