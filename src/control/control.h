/**
 * control/control.h -- how you command the server: native REST API,
 * metrics, health.
 *
 * Every field of every call is checked: wrong type, out of range, unknown,
 * too long, missing -> 400 application/problem+json (RFC 9457) with `field`
 * and what is permitted, and nothing is changed.
 *
 * Who may ask: with an admin token, whoever sends `Authorization: Bearer
 * <token>`.  Without one only requests that come from loopback, whose Host
 * is a loopback name, that carry no foreign Origin and no forwarding header,
 * so neither a web page nor a proxy opens the server by accident.
 * /healthz and /readyz are open.
 *
 * POST /whip/.. (WHIP, RFC 9725) wants a ticket of the user: a UserSig, made
 * with the app's key.  Without one it is as strict as the rest is without a
 * token.  What it answers with is a URL that nobody can guess: whoever knows
 * it may end that session.
 *
 * POST / (and GET / with an action) is the Tencent Cloud API v3: who may ask
 * is told by its signature, so it answers under every host name, with status
 * 200 and the vendor's errors (docs/cloud-api.md).
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "io/io.h"
#include "notify/notify.h"
#include "rooms/rooms.h"
#include "store/store.h"

/** A key pair that may call the Cloud API; all is the caller's. */
struct control_key {
	uint32_t app;
	uint32_t actions;      /* a bit for each enum cloud_action */
	const char *secret_id; /* unique */
	const char *secret_key;
	const char *previous_secret_key; /* taken as well; NULL: none */
	/* of the app, which check UserSig; NULL: none */
	const char *app_key, *previous_app_key;
};

/** All of them. */
struct control_keys;
/** Returns 0 or ENOMEM. */
MUST_CHECK int control_keys_new(const struct control_key *keys, size_t n,
				struct control_keys **out);
/** Add the keys of an app, with which tickets of WHIP are made; NULL: none.
 *  Each app once.  Returns 0 or ENOMEM. */
MUST_CHECK int control_keys_add_app(struct control_keys *k, uint32_t app,
				    const char *key, const char *previous);
/** Wipes them.  NULL is fine. */
void control_keys_free(struct control_keys *k);

/* ---- apps: their settings are known elsewhere ---- */

/** An app; all is good until something changes. */
struct control_app {
	uint32_t id;
	bool is_kept;	   /* made at run time; else the file declares it */
	const char *shown; /* settings as JSON, without secrets */
	const char *secret_key, *previous_secret_key; /* NULL: none */
	int64_t previous_until_ms; /* it is taken until then; 0: no end */
};

struct control_app_wish {
	const json_t *settings; /* by their names in apps[] of the file */
	int64_t previous_until_ms;
	bool is_new;
};

/** It is durable and in force, or `e` says what was wrong (code 0: no). */
typedef void(control_app_fn)(const struct err *e, void *arg);

/** Whoever keeps apps.  All on the control loop. */
struct control_apps {
	/** Walk them; index from 0; false behind the last. */
	bool (*at)(size_t i, struct control_app *out, void *owner);
	/** What was put, with its secrets, the caller's; NULL: out of
	 *  memory. */
	json_t *(*settings)(uint32_t app, void *owner);
	/** Make or change an app.  Returns 0 (`done` will be called), or with
	 *  `e`: EINVAL (e->field: the way to the setting), EEXIST (there is
	 *  one; the file declares it), ENOENT, EBUSY, ENOMEM. */
	int (*put)(const struct control_app_wish *w, control_app_fn *done,
		   void *arg, struct err *e, void *owner);
	/** Take it out; the same.  EBUSY: something of it is under way. */
	int (*drop)(uint32_t app, control_app_fn *done, void *arg,
		    struct err *e, void *owner);
	/** The configuration file, for people. */
	const char *(*file)(void *owner);
	void *owner;
};

struct control_config {
	struct control_apps apps;
	const struct addr *listen; /* n_listen */
	size_t n_listen;
	const char *admin_token;	  /* NULL: loopback rule */
	const char *previous_admin_token; /* taken as well; NULL: none */
	struct http_tls_config tls;	  /* no cert_file: plain HTTP */
	size_t max_body;		  /* 1 MiB */
	const char *storage; /* where finished files go, for people */
	const char *media;   /* the origin of its bucket; "": a folder */
	const char *origins; /* that may use WHIP, with a space between two;
				"*": any; NULL: none */
};

struct control;

/** Listen.  Returns 0, EADDRINUSE, EACCES, ENOMEM, or as
 *  http_server_reload_tls, with `e`.
 *  Thread: the control loop's. */
MUST_CHECK int control_open(struct loop *loop, struct rooms *rooms,
			    struct notify *notify, struct store *store,
			    const struct control_config *config,
			    struct control **out, struct err *e);
void control_close(struct control *c);
/**
 * From now on these are taken (NULL: none; no token: loopback rule).  Calls
 * that were let in go on, but streams of events are ended: their clients come
 * back, with a token that is good then.
 * Returns 0 or ENOMEM; then nothing has changed.
 */
MUST_CHECK int control_set_tokens(struct control *c, const char *token,
				  const char *previous);
/** Read the files of TLS again (none: fine), for handshakes that begin from
 *  now on.  Returns as http_server_reload_tls. */
MUST_CHECK int control_reload_tls(struct control *c,
				  const struct http_tls_config *tls,
				  struct err *e);
/** From now on these may call the Cloud API; takes them over.  Without any it
 *  answers that there is none. */
void control_take_keys(struct control *c, struct control_keys *keys);
/** An app has gone: what is counted of its calls is forgotten. */
void control_forget_app(struct control *c, uint32_t app);
/** Address of listener `i`. */
void control_addr(const struct control *c, size_t i, struct addr *out);

#endif
