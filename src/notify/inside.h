/**
 * notify/inside.h -- the inside of notify, shared by its files.
 *
 *   notify.c     endpoints, batches of events
 *   kept.c       endpoints that are made at run time, kept in the store
 *   attempt.c    one attempt: facts -> callback -> HTTP -> verdict
 *   handshake.c  asks an endpoint for its consent before that
 *   probe.c      test events: an attempt that somebody waits for
 *   shown.c      what goes out for a delivery, for people to see
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NOTIFY_INSIDE_H
#define NOTIFY_INSIDE_H

#include "base/list.h"
#include "base/map.h"
#include "notify/notify.h"

/** What is known of an endpoint's consent. */
struct handshake {
	bool wanted;
	bool asking; /* OPTIONS is under way, by an attempt */
	bool agreed; /* until until_us */
	int64_t until_us;
	unsigned url_n; /* counts the URLs that it has had */
	unsigned asked_url_n;
};

/** An endpoint.  When it is removed it has a name only, and lives as long as
 *  deliver remembers it and an attempt of it is under way. */
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
	uint32_t per_minute; /* the rate that we want, 0: no limit */
	struct handshake handshake;
	bool leaving; /* its removal is being committed: no new deliveries */
	char *shown;  /* its settings as JSON, without secrets; or NULL */
	unsigned n_tries; /* attempts and tests under way */
	bool forgotten;	  /* it goes with the last of them */
	bool by_file;	  /* the file declares it */
	char *settings; /* secret; of one that is kept, else NULL.  With by_file
			   they wait until the file lets go of its name */
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
	char *origin_field;	  /* "WebHook-Request-Origin: <origin>" */
	const char *origin;	  /* in it */
	int64_t (*now_us)(void);  /* tests: time by hand, else NULL */
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
	struct link batches;	   /* not settled yet, in order of ids */
	void (*log_fn)(void *arg); /* notify_log_watch */
	void *log_arg;
};

struct sender *notify_find(const struct notify *n, uint64_t id);
/** Is it there, and not removed? */
bool notify_is_declared(const struct sender *s);
/** Is it what was made at run time? */
bool notify_is_kept(const struct sender *s);
/** notify_set_endpoint, whoever declares it. */
MUST_CHECK int notify_set(struct notify *n, const struct notify_endpoint *e,
			  struct err *err);
/** Take out one that is declared. */
void notify_take_out(struct notify *n, struct sender *s);
int64_t notify_unix_ms(const struct notify *n);

/** Who we say that we are; NULL: the machine's host name.  Returns 0 or
 *  ENOMEM. */
MUST_CHECK int handshake_set_origin(struct notify *n, const char *origin);
/** The endpoint is about to become what `e` says; its url is still the old
 *  one, NULL: it had none. */
void handshake_set(struct sender *s, const struct notify_endpoint *e);
bool handshake_is_agreed(const struct notify *n, const struct sender *s);
/** May nothing be POSTed before its consent is asked for? */
bool handshake_is_needed(const struct notify *n, const struct sender *s);
/**
 * Ask, for an attempt; all others of the endpoint are held.  In `done`:
 * handshake_judge, then the attempt goes on or ends, then handshake_over.
 * Returns as http_client_send; when not 0, nothing has happened.
 */
MUST_CHECK int handshake_ask(struct notify *n, struct sender *s,
			     http_done_fn *done, void *arg, struct err *e,
			     struct http_transfer **out);
/** Was that consent?  False: the attempt has failed, `o` says how (all but
 *  its duration).  True: look again whether consent is needed, since the
 *  endpoint may have changed meanwhile. */
MUST_CHECK bool handshake_judge(struct notify *n, struct sender *s,
				const struct http_result *r,
				struct deliver_outcome *o);
/** The others may go on, unless it is being asked again. */
void handshake_over(struct notify *n, struct sender *s);

/** Of deliver_events. */
void notify_attempt(struct deliver_attempt *a, void *arg);
void notify_judged(const struct deliver_attempt *a,
		   const struct deliver_outcome *outcome,
		   enum delivery_state state, int64_t wait_us, void *arg);
void notify_ended(uint64_t delivery, enum delivery_state state, void *arg);
void notify_forgotten(uint64_t endpoint, void *arg);
/** Free a sender that is forgotten and not in use any more. */
void notify_let_go(struct notify *n, struct sender *s);
/** Give up all attempts under way. */
void notify_cancel_all(struct notify *n);

/** kept.c: what the store answers is heard by nobody any more. */
void notify_kept_stop(struct notify *n);
/** kept.c: the file lets go of a name: declare what was made at run time under
 *  it.  When that cannot be, all is as it was, and logged. */
void notify_kept_return(struct notify *n, struct sender *s);

/** A test event under way. */
struct probe {
	struct link link; /* notify.probes */
	struct notify *notify;
	struct event event;
	struct deliver_attempt attempt;
	struct callback_request request;
	struct buf fields; /* all header lines, as sent */
	struct buf answer; /* its first bytes */
	notify_test_fn *done;
	void *arg;
};

/** attempt.c: what an endpoint's callbacks are rendered with. */
void notify_style(const struct sender *s, unsigned attempt,
		  struct callback_style *out);
/** attempt.c: append our own header lines.  Check buf_err. */
void notify_write_fields(const struct notify *n, const struct sender *s,
			 const struct deliver_attempt *a, struct buf *lines);
/** probe.c: the URL that is called, without the endpoint's own query. */
void notify_show_url(const struct sender *s, const char *sent, struct buf *out);

/** attempt.c: send a probe's event now; `notify_probe_ended` is called, then or
 *  later.  Returns 0 or ENOMEM. */
MUST_CHECK int notify_try_probe(struct probe *p, struct sender *s);
/** probe.c: what goes out, and how it ended. */
void notify_probe_sends(struct probe *p, const struct http_call *call);
void notify_probe_answered(struct probe *p, const struct http_result *r);
void notify_probe_ended(struct probe *p, struct sender *s,
			const struct deliver_outcome *o);
/** End all of them. */
void notify_probes_stop(struct notify *n);

#endif
