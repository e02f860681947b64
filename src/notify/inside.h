/**
 * notify/inside.h -- the inside of notify, shared by its files.
 *
 *   notify.c   endpoints, batches of events
 *   attempt.c  one attempt: facts -> callback -> HTTP -> verdict
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NOTIFY_INSIDE_H
#define NOTIFY_INSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "notify/notify.h"

/** An endpoint; lives as long as notify does, also when it is removed: then
 *  it has a name only. */
struct sender {
	struct map_node node; /* notify.by_id */
	struct link link;     /* app.senders, unless it is removed */
	uint64_t id;
	uint32_t app;
	char name[64];
	char *url;
	char *url_shown; /* without query and fragment */
	char *key;	 /* secret */
	enum dialect dialect;
	enum signature_encoding encoding;
	enum notify_verdict verdict;
	bool kinds[EVENT_KIND_N];
	int64_t timeout_us;
	bool allow_private;
	bool enabled;
};

/** The endpoints of an app. */
struct app {
	struct map_node node;
	uint32_t id;
	struct link senders;
};

struct notify {
	struct loop *loop;
	struct store *store;
	struct deliver *deliver;
	struct http_client *client;
	char *user_agent;
	int64_t (*unix_ms)(void); /* tests: wall time by hand, else NULL */
	struct map by_id;	  /* senders */
	struct map apps;
	struct sender **senders; /* in order of declaration */
	size_t n_senders, cap_senders;
	struct link tries;	   /* attempts under way */
	struct link batches;	   /* not settled yet, in order of ids */
	void (*log_fn)(void *arg); /* notify_log_watch */
	void *log_arg;
};

struct sender *notify_find(const struct notify *n, uint64_t id);
int64_t notify_unix_ms(const struct notify *n);

/** Of deliver_events. */
void notify_attempt(struct deliver_attempt *a, void *arg);
void notify_judged(const struct deliver_attempt *a,
		   const struct deliver_outcome *outcome,
		   enum delivery_state state, int64_t wait_us, void *arg);
void notify_ended(uint64_t delivery, enum delivery_state state, void *arg);
/** Give up all attempts under way. */
void notify_cancel_all(struct notify *n);

#endif
