/**
 * notify/inside.h -- the inside of notify, shared by its files.
 *
 *   notify.c   endpoints, batches of events
 *   kept.c     endpoints that are made at run time, kept in the store
 *   attempt.c  one attempt: facts -> callback -> HTTP -> verdict
 *   probe.c    test events: an attempt that somebody waits for
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
	char *url_shown;    /* without query and fragment */
	char *key;	    /* secret */
	char *previous_key; /* secret; "": none */
	enum dialect dialect;
	enum signature_encoding encoding;
	enum notify_verdict verdict;
	bool kinds[EVENT_KIND_N];
	int64_t timeout_us;
	bool allow_private;
	bool enabled;
	bool extended;
	bool leaving;	/* its removal is being committed: no new deliveries */
	char *shown;	/* its settings as JSON, without secrets; or NULL */
	char *settings; /* secret; of one that is kept, else NULL */
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
	struct link tries; /* attempts under way */
	struct notify_reader reader;
	struct link kept_ops; /* changes that are being committed */
	struct link probes;
	unsigned n_probes;
};

struct sender *notify_find(const struct notify *n, uint64_t id);
/** Is it there, and not removed? */
bool notify_is_declared(const struct sender *s);
int64_t notify_unix_ms(const struct notify *n);

/** Of deliver_events. */
void notify_attempt(struct deliver_attempt *a, void *arg);
void notify_judged(const struct deliver_attempt *a,
		   const struct deliver_outcome *outcome,
		   enum delivery_state state, int64_t wait_us, void *arg);
void notify_ended(uint64_t delivery, enum delivery_state state, void *arg);
/** Give up all attempts under way. */
void notify_cancel_all(struct notify *n);

/** kept.c: what the store answers is heard by nobody any more. */
void notify_kept_stop(struct notify *n);

/** A test event under way. */
struct probe {
	struct link link; /* notify.probes */
	struct notify *notify;
	struct deliver_attempt attempt;
	struct callback_request request;
	struct buf fields; /* all header lines, as sent */
	struct buf answer; /* its first bytes */
	notify_test_fn *done;
	void *arg;
};

/** attempt.c: send this event now, for a probe; `notify_probe_ended` is
 *  called, then or later.  Returns 0 or ENOMEM. */
MUST_CHECK int notify_try_probe(struct probe *p, struct sender *s,
				struct event *e);
/** probe.c: what goes out, and how it ended. */
void notify_probe_sends(struct probe *p, const struct http_call *call);
void notify_probe_answered(struct probe *p, const struct http_result *r);
void notify_probe_ended(struct probe *p, struct sender *s,
			const struct deliver_outcome *o);
/** End all of them. */
void notify_probes_stop(struct notify *n);

#endif
