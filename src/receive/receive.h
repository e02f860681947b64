/**
 * receive/receive.h -- the app's side: verify, dedupe, commit, answer,
 * forward.
 *
 * Order of work for each request (webhooks.md 9.10): recognise the dialect
 * -> verify the raw bytes -> parse -> the app that they name, has it the key?
 * -> commit (a duplicate is
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

enum {
	RECEIVE_APPS_MAX = 100,
	RECEIVE_KEYS_MAX = 8, /* of one app */
	RECEIVE_ALL_DIALECTS = (1 << DIALECT_N) - 1
};

/** An active secret of an app. */
struct receive_key {
	const char *secret;
	unsigned dialects; /* that it verifies: a bit 1 << enum dialect each */
};

/** An app whose callbacks are taken. */
struct receive_app {
	uint32_t id;
	const char *name; /* or NULL */
	struct receive_key keys[RECEIVE_KEYS_MAX];
	size_t n_keys;
	unsigned dialects;   /* that are taken, as bits */
	bool unsigned_live;  /* live is taken without a Sign; without a token
			       also with any */
	const char *forward; /* URL or NULL */
	const char *exec;    /* program (path) or NULL: run once an event
				   with the event's JSON on stdin, no shell */
};

struct receive_config {
	struct addr listen;
	const struct receive_app *apps; /* n_apps, each id once */
	size_t n_apps;
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
/** As http_server_reload_tls, of what `tls` names; 0 when that is nothing. */
MUST_CHECK int receive_reload_tls(struct receive *r,
				  const struct http_tls_config *tls,
				  struct err *e);
void receive_close(struct receive *r);

/**
 * Take these apps from now on, in the place of those before: keys, dialects,
 * and where their events go on to.  Attempts under way end as they began.
 * What is pending for an app that is gone, or for a way that it has no more,
 * waits until that is back, and expires after 7 days; the log says how much.
 *
 * apps   copied; the copies of those before are wiped
 *
 * Returns 0, or ENOMEM; then nothing has changed.
 */
MUST_CHECK int receive_set_apps(struct receive *r,
				const struct receive_app *apps, size_t n_apps);

/**
 * Is it a program that can be run?  Without a slash it is looked for in PATH.
 * Returns 0, or ENOENT, EACCES with `e`.
 */
MUST_CHECK int receive_check_exec(const char *program, struct err *e);

/** Wipe and free apps of which all texts were allocated one by one. */
void receive_apps_free(struct receive_app *apps, size_t n_apps);

/** Where it listens. */
void receive_addr(const struct receive *r, struct addr *out);

#endif
