/** receive/private.h -- parts of the receiver.  Private to receive/. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECEIVE_PRIVATE_H
#define RECEIVE_PRIVATE_H

#include <jansson.h>

#include "receive/receive.h"
#include "receive/recordings.h"

/* ---- forward.c: hand events on ----------------------------------------------- */

struct forward;

/** Endpoints for `url` and `program`; either may be NULL, not both. */
MUST_CHECK int forward_new(struct loop *loop, struct store *store,
			   struct workers *workers, uint32_t app,
			   const char *url, const char *program,
			   struct forward **out);
void forward_free(struct forward *f);
enum { FORWARD_ROWS_MAX = 2 };
/** Fill in the deliveries of an event; returns how many. */
size_t forward_rows(struct forward *f, uint64_t event, const char *task,
		    int64_t unix_ms,
		    struct delivery_row rows[FORWARD_ROWS_MAX]);
/** They are committed: begin. */
void forward_begin(struct forward *f, const struct delivery_row *rows, size_t n,
		   const char *facts, size_t len);

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

/* ---- receive.c ------------------------------------------------------------ */

struct receive {
	struct loop *loop;
	struct store *store;
	struct receive_config config;
	char *keys[RECEIVE_KEYS_MAX];
	struct receive_events events;
	void *arg;
	struct http_server *server;
	struct forward *forward;
	struct recordings recordings;
	struct streams *streams; /* who listens, page.h */
	struct link takings;	 /* callbacks between request and answer */
};

/* ---- check.c: is it genuine, and what does it say? ------------------------- */

enum { CHECK_WHY_MAX = 160 };

/** Why a callback is refused. */
struct refusal {
	int status;
	char why[CHECK_WHY_MAX];
};

/**
 * Recognise, verify, parse.  Free with event_fini(&out->event).
 * Returns true, or false with `no`; then *out owns nothing.
 */
bool check_request(const struct receive *rc, const struct http_request *r,
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

/* ---- show.c: answers ---------------------------------------------------------- */

void reply_text(struct http_request *r, int status, const char *type,
		const char *text);
void reply_problem(struct http_request *r, int status, const char *why);
/** Answer a GET. */
void show_request(struct receive *rc, struct http_request *r);

#endif
