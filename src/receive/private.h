/** receive/private.h -- parts of the receiver.  Private to receive/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECEIVE_PRIVATE_H
#define RECEIVE_PRIVATE_H

#include <jansson.h>

#include "receive/receive.h"
#include "receive/recordings.h"

/* ---- apps.c: whose callbacks are taken --------------------------------------- */

/** A receiver's own copy. */
struct apps {
	struct receive_app *list; /* n */
	size_t n;
	unsigned dialects; /* that any of them takes */
};

/** Returns 0 or ENOMEM. */
MUST_CHECK int apps_copy(const struct receive_app *from, size_t n,
			 struct apps *out);
/** Wipe what is in it. */
void apps_fini(struct apps *a);
/** NULL: there is none. */
const struct receive_app *apps_find(const struct apps *a, uint32_t id);

/* ---- forward.c: hand events on ----------------------------------------------- */

struct forward;

/** `apps`: of the receiver, which outlives it; they say where to. */
MUST_CHECK int forward_new(struct loop *loop, struct store *store,
			   struct workers *workers, const struct apps *apps,
			   struct forward **out);
void forward_free(struct forward *f);
/** Make ready for other apps; nothing has changed by that.  Returns 0 or
 *  ENOMEM. */
MUST_CHECK int forward_prepare(struct forward *f, const struct apps *next);
/** They are the receiver's now; `was`: those before. */
void forward_change(struct forward *f, const struct apps *was);
enum { FORWARD_ROWS_MAX = 2 };
/** Fill in the deliveries of an event; returns how many. */
size_t forward_rows(struct forward *f, uint32_t app, uint64_t event,
		    const char *task, int64_t unix_ms,
		    struct delivery_row rows[FORWARD_ROWS_MAX]);
/** They are committed: begin. */
void forward_begin(struct forward *f, const struct delivery_row *rows, size_t n,
		   const char *facts, size_t len);

/* ---- resign.c: signatures that are only good for a while --------------------- */

/**
 * live: append the query that came, with Sign and RequestTime of now.  The
 * token is the one that it was signed with; when that is not there any more,
 * the app's first one.  As it came, when it had no Sign, or there is no token.
 * Returns 0 or ENOMEM; check buf_err.
 */
MUST_CHECK int resign_live(const struct receive_app *app, const char *query,
			   int64_t now_ms, struct buf *out);

/** Headers of standard. */
struct resigned {
	char timestamp[24];
	char signature[RECEIVE_KEYS_MAX * CALLBACK_STANDARD_SIGNATURE_MAX];
};

/**
 * standard: webhook-timestamp and -signature of now, with all the secrets that
 * it was signed with; when those are not there any more, with the app's first
 * one.
 *
 * id, timestamp, signature   headers as they came
 *
 * Returns 0, ENOKEY (what verifies it is public, or there is no secret: send it
 * as it came), or ENOMEM.
 */
MUST_CHECK int resign_standard(const struct receive_app *app, const char *id,
			       const char *timestamp, const char *signature,
			       const char *body, int64_t now_ms,
			       struct resigned *out);

/* ---- refusals.c: what the log says of refused requests ------------------------ */

enum { REFUSAL_WHY_MAX = 160 };

/** Why a callback is refused, and whose it says it is: nothing has verified
 *  that. */
struct refusal {
	int status;
	char why[REFUSAL_WHY_MAX];
	const char *dialect; /* its name; NULL: not known */
	uint32_t app;	     /* 0: not known */
};

/** Some lines a second, then how many more there were. */
struct refusals {
	struct loop *loop;
	struct timer timer;
	int64_t began_us; /* of this second */
	unsigned said, left_out;
};

enum { REFUSALS_A_SECOND = 10 };

void refusals_init(struct refusals *s, struct loop *loop);
/** Says what is left to say. */
void refusals_fini(struct refusals *s);
/** from   NULL or without length: not known */
void refusals_say(struct refusals *s, const struct refusal *no,
		  const struct addr *from);

/* ---- exec.c: a program once an event ------------------------------------------ */

struct exec;
/** status: exit code, or 128 + signal; why "" or a sentence. */
typedef void(exec_fn)(int status, const char *why, void *arg);
/**
 * Run `program` (no shell, no arguments) with `text` on stdin; killed after
 * timeout_us.  Returns 0 or an errno of the start.
 */
MUST_CHECK int exec_start(struct loop *loop, const char *program,
			  const char *text, size_t len, int64_t timeout_us,
			  exec_fn *done, void *arg, struct exec **out);
/** Kill and forget; done is not called. */
void exec_stop(struct exec *x);

/* ---- check.c: is it genuine, and what does it say? ------------------------- */

/**
 * Recognise, verify, parse.  out->event.app is an app that owns a key which
 * verified it.  Free with event_fini(&out->event).
 * Returns true, or false with `no`; then *out owns nothing.
 */
bool check_request(const struct apps *apps, const struct http_request *r,
		   struct callback *out, struct refusal *no);

/* ---- text.c: an event as JSON ----------------------------------------------- */

/** A callback's event as JSON and as text. */
struct texts {
	json_t *event;
	char *line;  /* what is printed: the event */
	char *facts; /* what is stored: the event, the callback as it came */
	size_t facts_len;
};

/** Returns 0 (free with texts_fini), ENOMEM, or EMSGSIZE: its query is too
 *  long. */
MUST_CHECK int text_write(const struct http_request *r,
			  const struct callback *c, struct texts *out);
/** It is empty then.  One of zeros is fine. */
void texts_fini(struct texts *t);

/* ---- text_event.c ------------------------------------------------------------ */

/** An event as JSON, as docs/callbacks.md shows it; what its dialect does not
 *  tell is left out.  NULL when out of memory. */
json_t *text_event_json(const struct callback *c, int64_t received_ms);

/* ---- receive.c ------------------------------------------------------------ */

struct receive {
	struct loop *loop;
	struct store *store;
	struct receive_config config; /* without its apps */
	struct apps apps;
	struct refusals refusals;
	struct receive_events events;
	void *arg;
	struct http_server *server;
	struct forward *forward;
	struct recordings recordings;
	struct streams *streams; /* who listens, page.h */
	struct link takings;	 /* callbacks between request and answer */
	/* tell.c */
	struct link waiting; /* takings that are not told yet, by their ids */
	size_t n_waiting;
	struct asking *asking; /* NULL: none */
};

enum taking_state { TAKING_MADE, TAKING_IN_DOUBT, TAKING_NOT_MADE };

/** A callback between its request and its answer, and until it is told. */
struct taking {
	struct link link;
	struct receive *receive; /* NULL: the receiver has closed */
	struct http_request
		*request; /* NULL: answered, or the client is gone */
	struct callback callback;
	uint64_t id; /* of its row */
	struct texts texts;
	struct delivery_row rows[FORWARD_ROWS_MAX];
	size_t n_rows;
	enum taking_state state; /* while it waits */
};

/* ---- tell.c: of what is committed ------------------------------------------- */

void taking_free(struct taking *t);
/* All three take an answered one over, in the order of their rows. */
/** Its commit was made. */
void tell_made(struct receive *rc, struct taking *t);
/** The same, and it was there before. */
void tell_repeated(struct receive *rc, struct taking *t);
/** Its commit failed; it may have been made. */
void tell_doubted(struct receive *rc, struct taking *t);
/** Forget those that wait. */
void tell_close(struct receive *rc);

/* ---- show.c: answers ---------------------------------------------------------- */

void reply_text(struct http_request *r, int status, const char *type,
		const char *text);
void reply_problem(struct http_request *r, int status, const char *why);
/** Answer a GET. */
void show_request(struct receive *rc, struct http_request *r);

#endif
