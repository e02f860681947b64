/**
 * commands/server.h -- one running node, as `serve` and `demo` start it.
 *
 * Starting:  store -> notify (endpoints, pending deliveries) -> rooms
 *            (recovery, media loops, resumed tasks) -> control (HTTP).
 * Stopping:  control -> rooms (no more sound, segments closed and
 *            committed) -> deliveries under way -> store.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_SERVER_H
#define COMMANDS_SERVER_H

#include "base/attr.h"
#include "base/err.h"
#include "commands/reload.h"
#include "config/config.h"
#include "io/io.h"

/** Free bytes below which no task starts. */
enum { SERVER_DISK_LOW = 256 << 20 };

struct server;

/** What `demo` adds; may be NULL. */
struct server_hooks {
	void (*story)(const char *line, void *arg);
	void *arg;
};

/**
 * Start a node on `loop`, which the caller runs.  `config` must live as
 * long as the server, which changes it when it is reloaded.
 * Returns 0, or an errno with `e` saying what to do; then nothing runs.
 */
MUST_CHECK int server_start(struct loop *loop, struct config *config,
			    const struct server_hooks *hooks,
			    struct server **out, struct err *e);

/** Address of HTTP listener `i`. */
void server_addr(const struct server *s, size_t i, struct addr *out);

/** Read the file again and change what it changes (commands/reload.h). */
void server_reload(struct server *s, const char *path, reload_fn *done,
		   void *arg);

/** Begin to stop; `done` is called on the loop when all is durable. */
void server_stop(struct server *s, void (*done)(void *arg), void *arg);

/** After `done`.  NULL is fine. */
void server_free(struct server *s);

#endif
