/**
 * commands/demo.h -- the parts of `tapeop demo`.
 *
 *   demo.c        options, folders, settings; starts and ends everything
 *   demo_stage.c  the stage: who joins, speaks and leaves when
 *   demo_ledger.c what was heard of a task, and what should have been
 *   demo_show.c   what the terminal shows of it
 *
 * Two threads.  The main one runs the server's loop, as `tapeop serve` would.
 * The stage has a loop of its own: the receiver, the two senders, the HTTP
 * client that commands the server as any program could, and the terminal.
 * What the server's threads have to say (story, warnings) reaches the stage
 * by mail.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_DEMO_H
#define COMMANDS_DEMO_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "commands/screen.h"
#include "io/io.h"
#include "wire/callback.h"

#define DEMO_ROOM "studio"

enum {
	DEMO_APP = 1400000000,
	DEMO_PATH_MAX = 1024, /* bytes of the data folder's path */
	DEMO_URL_MAX = 96,
	DEMO_ID_MAX = 24, /* bytes of a task's or input's id as text */
	DEMO_VOICES = 2,
	DEMO_LEVELS = 64 /* remembered of a voice, one a tick */
};

/* ---- what is shown ------------------------------------------------------ */

/** One who speaks, as it is shown. */
struct demo_voice {
	const char *user;
	enum ink ink;
	double levels[DEMO_LEVELS]; /* 0..1, the newest last */
};

/** Where everything is. */
struct demo_places {
	char dir[DEMO_PATH_MAX];
	char server[DEMO_URL_MAX];  /* "http://127.0.0.1:8080" */
	char backend[DEMO_URL_MAX]; /* the receiver's */
	bool is_usual_port;	    /* the server's is the default one */
	bool stays;		    /* the server is up until Ctrl-C */
};

/** How it went. */
struct demo_result {
	const char *task;
	const json_t *segments; /* [{"user","mode","seq","file",
				   "duration_ms"}] */
	uint64_t verified, refused, duplicates;
	const json_t *missing; /* [sentence]; empty: everything arrived */
};

struct show {
	struct screen screen;
	const struct demo_places *places;
	int64_t began_us;
	int64_t told_us; /* when the voices were last told of in a line */
};

/** `to`: stdout, or stderr when stdout is kept for JSON.  `places` must
 *  live as long. */
void show_init(struct show *s, FILE *to, const struct demo_places *places);
void show_fini(struct show *s);

/** The head: what is going to happen, and where.  Time begins here. */
void show_begin(struct show *s, int64_t now_us);

/** "12.3 s  who  text" */
void show_line(struct show *s, int64_t now_us, const char *who, enum ink ink,
	       const char *fmt, ...) PRINTF_LIKE(5, 6);

/** The receiver has verified and stored a callback. */
void show_callback(struct show *s, int64_t now_us, const struct callback *c);

/** Time and levels: a line that is redrawn on a terminal, elsewhere one line
 *  every few seconds. */
void show_voices(struct show *s, int64_t now_us,
		 const struct demo_voice voices[DEMO_VOICES], int64_t spoken_us,
		 int64_t speak_us);
void show_voices_end(struct show *s);

/** Not everything is there yet: `for_what` is the first thing that is not.
 *  Shown on a terminal only. */
void show_waiting(struct show *s, int64_t now_us, const char *for_what);

/** Whether everything arrived, where the files lie, what to try next. */
void show_end(struct show *s, const struct demo_result *r);

/** The summary as one line on stdout.  Returns 0 or an errno. */
MUST_CHECK int show_json(const struct demo_result *r);

/* ---- what was heard -------------------------------------------------------- */

struct heard;

/** The verified callbacks so far.  Zero it before first use. */
struct ledger {
	struct heard *heard; /* n, owned */
	size_t n, cap;
	uint64_t refused, duplicates; /* the owner counts */
};

/** Returns 0 or ENOMEM. */
MUST_CHECK int ledger_add(struct ledger *l, const struct callback *c);
void ledger_fini(struct ledger *l);

/** How many callbacks told of this task. */
uint64_t ledger_count(const struct ledger *l, const char *task);

/**
 * Compare with what the server lists (`segments` of its API): each file is
 * closed and in storage, each was told of three times in the gme dialect,
 * and each event of the task once in the live dialect.
 * Returns a list of what is missing, as sentences; the caller's.
 */
json_t *ledger_missing(const struct ledger *l, const char *task,
		       const json_t *segments);

/** Is there a file of this user? */
bool segments_have(const json_t *segments, const char *user);

/* ---- the stage -------------------------------------------------------------- */

struct stage;

struct stage_config {
	struct show *show;
	const struct demo_places *places; /* server: filled in before
					     stage_start */
	const char *inbox_dir;		  /* of the receiver */
	const char *gme_key, *live_token; /* what the receiver verifies with */
	int64_t speak_us;
	bool json;
	/* the show is over; `good`: everything arrived.  On the stage's
	 * thread */
	void (*over)(bool good, void *arg);
	void *arg;
};

/**
 * Open the receiver and find the voices.  `config` must live as long as the
 * stage, what it points at too.
 * Returns 0, or an errno with `e`.
 */
MUST_CHECK int stage_new(const struct stage_config *config, struct stage **out,
			 struct err *e);
/** Where the receiver listens. */
void stage_backend(const struct stage *s, struct addr *out);
/** Raise the curtain, on a thread of its own.  Returns 0 or an errno. */
MUST_CHECK int stage_start(struct stage *s);
/** Say something in the story, `who` being static.  Thread: any, between
 *  stage_new and stage_free; lost when out of memory. */
void stage_say(struct stage *s, const char *who, enum ink ink,
	       const char *text);
/** No more speaking, no more calls of the server: it is about to stop.  The
 *  receiver stays.  Thread: any. */
void stage_hush(struct stage *s);
/** End the thread.  NULL and a thread that never began are fine. */
void stage_end(struct stage *s);
/** After stage_end: close the receiver, free.  NULL is fine. */
void stage_free(struct stage *s);

#endif
