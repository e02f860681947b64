/**
 * receive/receive.h -- the app's side: verify, dedupe, commit, answer,
 * forward.
 *
 * Order of work for each request (webhooks.md 9.10): recognise the dialect
 * -> verify the raw bytes -> right app? -> parse -> commit (a duplicate is
 * told by the UNIQUE key of the signed fields) -> answer -> print, forward.
 * Bad signature 401, wrong app 403, malformed 400, too large 413, store
 * failed 503: each counted, none stored.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RECEIVE_RECEIVE_H
#define RECEIVE_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "deliver/deliver.h"
#include "io/io.h"
#include "store/store.h"
#include "wire/callback.h"

enum { RECEIVE_KEYS_MAX = 4 };

struct receive_config {
	struct addr listen;
	uint32_t app;
	const char *keys[RECEIVE_KEYS_MAX]; /* active secrets; n_keys */
	size_t n_keys;	  /* 0: gme is refused, live is taken untokened */
	bool any_dialect; /* auto; else only `dialect` */
	enum dialect dialect;
	const char *forward;	    /* URL or NULL */
	const char *exec;	    /* program (path) or NULL: run once an event
				   with the event's JSON on stdin, no shell */
	size_t max_body;	    /* 1 MiB */
	struct http_tls_config tls; /* cert_file NULL: plain HTTP */
	unsigned max_per_address;   /* connections; 0: 256, and loopback is
				       exempt */
};

/** What a receiver tells its owner. */
struct receive_events {
	/** A new event, committed.  `line` is one JSON object, no newline. */
	void (*event)(const struct callback *c, const char *line, void *arg);
	/** A duplicate, or a refused request with its reason. */
	void (*duplicate)(const struct callback *c, void *arg);
	void (*refused)(int status, const char *why, void *arg);
};

struct receive;

/**
 * Listen and take callbacks on any path.  On the same port, for this machine
 * only (http_why_not_local): `GET /`, a page of what comes, `/v1/recordings`,
 * `/v1/events`, `/metrics`; and `/healthz`.
 * Returns 0, EADDRINUSE, ENOMEM, an errno or EINVAL for the files of TLS, with
 * `e`.
 * Thread: the loop's.
 */
MUST_CHECK int receive_open(struct loop *loop, struct store *store,
			    struct workers *workers,
			    const struct receive_config *config,
			    const struct receive_events *events, void *arg,
			    struct receive **out, struct err *e);
/** Read the files of TLS again, as http_server_reload_tls; log what became of
 *  it.  Nothing under plain HTTP. */
void receive_reload_tls(struct receive *r);
void receive_close(struct receive *r);
/** Where it listens. */
void receive_addr(const struct receive *r, struct addr *out);

#endif
