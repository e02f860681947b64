/**
 * io/io.h -- the operating system: loop, timers, mail between threads,
 * worker threads, UDP, files, HTTP server and client.
 *
 * WHAT  One `struct loop` a thread that waits.  Everything that waits hangs
 *       on a loop and calls back on that loop's thread.
 * WHY   State has one owning thread, so nothing above io/ needs a lock.
 * DESIGN
 *   - Time: callbacks get `now_us` (monotonic), read once a turn.
 *   - Threads talk by mail: an intrusive node with a function that runs on
 *     the receiver's loop.  A node that is already under way is not queued
 *     twice, so a state can be re-sent for ever and a mailbox is never full:
 *     its length is bounded by the number of live objects.
 *   - An object is never freed inside its own callback: `loop_later` runs
 *     at the end of the turn.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_IO_H
#define IO_IO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

/* ---- loop ------------------------------------------------------------- */

struct loop;

/**
 * Make a loop.  It belongs to the thread that calls loop_run; before that to
 * the thread that made it, and after loop_run has returned to whoever joined
 * that thread (to take things off it and free it).
 * Returns 0, ENOMEM, or the errno of epoll_create1/eventfd.
 */
MUST_CHECK int loop_new(struct loop **out);

/**
 * Free; no watch and no timer may hang on it any more (asserted).  What
 * loop_later still holds is run; mail that nobody fetched is forgotten.
 * NULL is fine.
 */
void loop_free(struct loop *loop);

/** Run turns until loop_stop.  The calling thread becomes the owner. */
void loop_run(struct loop *loop);

/**
 * Run one turn: wait at most `wait_us` (0: do not wait; -1: until something
 * happens), then deal with what is due.  For tests and for commands that
 * wait for one answer.
 */
void loop_turn(struct loop *loop, int64_t wait_us);

/** Make loop_run return after this turn.  Thread: any. */
void loop_stop(struct loop *loop);

/** Does the calling thread own this loop?  Assert it in loop-only code. */
bool loop_is_mine(const struct loop *loop);

/** Monotonic time of this turn [us]. */
int64_t loop_now_us(const struct loop *loop);

/**
 * Run `fn(arg)` at the end of this turn (for freeing an object whose
 * callback is running).  `node` lives in the object; at most once queued.
 * Thread: the loop's.
 */
struct later {
	struct link link;
	void (*fn)(struct later *later);
};
void loop_later(struct loop *loop, struct later *later,
		void (*fn)(struct later *later));

/** Longest callback so far [us], and how many took over 5 ms.
 *  Thread: any. */
struct loop_stats {
	int64_t longest_us;
	uint64_t over_5ms;
	uint64_t turns;
};
void loop_stats(const struct loop *loop, struct loop_stats *out);

/* ---- file descriptors ------------------------------------------------- */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };

/**
 * A descriptor on a loop, level-triggered.  `events` is what happened
 * (WATCH_*; errors and hang-ups are reported as both).  Zero it before first
 * use.  It may be stopped, and started again, inside any callback of the
 * loop; its memory must stay until the end of the turn (loop_later) only
 * when it is freed inside its own callback.
 */
struct watch {
	int fd;
	void (*fn)(struct watch *w, unsigned events, int64_t now_us);
	/* loop thread, private */
	struct loop *loop;
	unsigned events;
};

/**
 * Begin to watch `fd` (not owned: the caller closes it after watch_stop).
 * Returns 0 or the errno of epoll_ctl.  Thread: the loop's.
 */
MUST_CHECK int watch_start(struct watch *w, struct loop *loop, int fd,
			   unsigned events,
			   void (*fn)(struct watch *w, unsigned events,
				      int64_t now_us));

/** Change what is watched; 0: nothing for now, not even hang-ups.
 *  Returns 0 or the errno of epoll_ctl. */
MUST_CHECK int watch_change(struct watch *w, unsigned events);

/** Stop; no call comes after this, not even in this turn.  Repeatable. */
void watch_stop(struct watch *w);

/* ---- timers ----------------------------------------------------------- */

/** One shot; lives in its object.  Zero it before first use. */
struct timer {
	int64_t due_us;
	void (*fn)(struct timer *t, int64_t now_us);
	/* private */
	struct loop *loop;
	size_t heap_at; /* place in the heap, from 1; 0: not armed */
};

/**
 * Call `fn` once at `due_us` or soon after; re-arms when armed already.
 * Returns 0 or ENOMEM (only when more timers are armed than ever before).
 * Thread: the loop's.
 */
MUST_CHECK int timer_start(struct timer *t, struct loop *loop, int64_t due_us,
			   void (*fn)(struct timer *t, int64_t now_us));

/** Disarm.  Repeatable. */
void timer_stop(struct timer *t);

/** Is it armed? */
bool timer_is_armed(const struct timer *t);

/* ---- mail: run a function on another thread's loop -------------------- */

/**
 * A message.  It lives in its sender's object and belongs to the receiver
 * from mail_post until `fn` is called there.  `fn` may free it or post it
 * again.  Zero it before first use.
 */
struct mail {
	struct link link;
	void (*fn)(struct mail *mail);
	int posted; /* private, atomic */
};

/**
 * Have `fn(mail)` run on `to`'s thread.  Order between two threads is kept.
 * Returns true, or false when this node is under way already: then the
 * earlier post stands (the receiver will see the object's newest state).
 * When full: never full, see the file head.  Thread: any; never blocks for
 * longer than a list append.
 */
bool mail_post(struct loop *to, struct mail *mail,
	       void (*fn)(struct mail *mail));

/* ---- threads that block ----------------------------------------------- */

/** A fixed number of threads that run jobs. */
struct workers;

/** A job; lives in its owner, belongs to the workers until `done` ran. */
struct job {
	struct link link;
	struct mail mail;
	void (*run)(struct job *job);  /* on a worker; may block */
	void (*done)(struct job *job); /* on `loop`'s thread; NULL: `run` is
					  the last, it may free the job */
	struct loop *loop;
	uint64_t key; /* jobs of one key (0 is a key, too) run one after
			 another, in order; so do their `done`s */
	bool queued;  /* private */
};

/** Start `n` threads named `name`.  Returns 0, ENOMEM or EAGAIN. */
MUST_CHECK int workers_new(const char *name, unsigned n, struct workers **out);

/** Run everything that is queued, then end the threads; the loops of the jobs
 *  must turn once more for their `done`s.  NULL is fine. */
void workers_free(struct workers *w);

/**
 * Queue a job (run and key set by the caller; not queued already: asserted).
 * Its length is bounded by the live objects that hold jobs.  Thread: any.
 */
void workers_run(struct workers *w, struct job *job, struct loop *loop,
		 void (*done)(struct job *job));

/** A thread that runs `fn(arg)`; all signals are blocked in it. */
struct thread;
MUST_CHECK int thread_start(const char *name, void (*fn)(void *arg), void *arg,
			    struct thread **out);
/** From now on this thread gets the processor only when nobody else wants it
 *  much: it is as nice as it can be. */
void thread_stand_back(void);
/** Wait for its end and free it.  NULL is fine. */
void thread_join(struct thread *t);

/* ---- mutexes for the few that wait: store and file threads ------------ */

/**
 * A list of intrusive nodes from many threads to one thread that waits for
 * them (the store thread, a file thread).  Unbounded by itself: its length
 * is bounded by what is linked into it, and whoever links says how.
 */
struct inbox;
MUST_CHECK int inbox_new(struct inbox **out);
void inbox_free(struct inbox *in);
/** Append; wakes the taker.  Thread: any. */
void inbox_put(struct inbox *in, struct link *l);
/**
 * Move everything that is queued to `head` (an initialised, empty list),
 * waiting at most `wait_us` (-1: for ever) for a first one.
 * Returns false when nothing came, or when it is shut and empty.
 */
bool inbox_take(struct inbox *in, struct link *head, int64_t wait_us);
/** Wake the taker for good; puts are still accepted. */
void inbox_shut(struct inbox *in);
bool inbox_is_shut(struct inbox *in);

/* ---- signals ---------------------------------------------------------- */

/** Signals through signalfd on a loop.  Blocks them in this thread: call
 *  it before any other thread starts.  They stay blocked after the close.
 *  Returns 0, ENOMEM or the errno of signalfd.  Thread: the loop's. */
struct signals;
MUST_CHECK int signals_open(struct loop *loop, const int *signos, size_t n,
			    void (*fn)(int signo, void *arg), void *arg,
			    struct signals **out);
/** Safe inside its own callback.  NULL is fine. */
void signals_close(struct signals *s);

/* ---- addresses and UDP ------------------------------------------------ */

/** An IPv4 or IPv6 address with a port. */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_storage any;
	};
	socklen_t len;
};

enum { ADDR_TEXT_MAX = 64 };

/** Parse "1.2.3.4:80", "[::1]:80", "1.2.3.4", "::1" (port 0).  No names.
 *  Returns 0 or EINVAL. */
MUST_CHECK int addr_parse(const char *text, struct addr *out);
/** Write "1.2.3.4:80" or "[::1]:80"; returns `text`. */
const char *addr_write(const struct addr *a, char text[ADDR_TEXT_MAX]);
/** The same without port and brackets: "1.2.3.4" or "::1". */
const char *addr_write_host(const struct addr *a, char text[ADDR_TEXT_MAX]);
bool addr_is_equal(const struct addr *a, const struct addr *b);
bool addr_is_loopback(const struct addr *a);
/** 127.0.0.1, port 0. */
struct addr addr_loopback(void);
/** 0.0.0.0, port 0: every IPv4 address of this machine. */
struct addr addr_any(void);
uint16_t addr_port(const struct addr *a);
/** This machine's own addresses, port 0, loopback last; of link-local ones
 *  none.  Returns how many were put into `out`, at most `cap`. */
size_t addr_list_own(struct addr *out, size_t cap);
void addr_set_port(struct addr *a, uint16_t port);

/**
 * Is the address one that a callback may go to without `allow_private`:
 * a global unicast address?  No for loopback, private, link-local, CGNAT,
 * multicast, documentation, NAT64, 6to4, mapped and unspecified ranges.
 * Source: IANA special-purpose address registries (RFC 6890).
 */
bool addr_is_global(const struct addr *a);
/** Why it is not global, e.g. "private use (RFC 1918)"; NULL: it is. */
const char *addr_special(const struct addr *a);

/** One datagram as received; `data` is valid during the call only. */
struct datagram {
	const uint8_t *data;
	size_t len;
	const struct addr *from;
	int64_t arrival_us; /* monotonic; the kernel's time stamp when there is
			       one.  May be a little after loop_now_us */
};

struct udp;
/** Called once a datagram.  May close the socket. */
typedef void(udp_fn)(const struct datagram *d, void *arg);

/**
 * Bind a UDP socket and read it in batches (recvmmsg).  An ICMP error
 * never closes it (IP_RECVERR is off, ECONNREFUSED is ignored).
 *
 * at     where to bind; port 0: the kernel chooses.  "[::]" takes IPv4 too;
 *        IPv4 peers are shown, and sent to, as plain IPv4 addresses
 *
 * A datagram over 2048 bytes is dropped and counted (udp_too_long).
 *
 * Returns 0, EADDRINUSE, EACCES, ENOMEM or another errno of socket/bind.
 * Thread: the loop's.
 */
MUST_CHECK int udp_open(struct loop *loop, const struct addr *at, udp_fn *fn,
			void *arg, struct udp **out);
/**
 * The same, but what has not come by one interface is dropped by the kernel:
 * by "lo" comes what programs of this machine send, to whichever of its
 * addresses.  Bound to 0.0.0.0 it answers from the address that the sender has,
 * so of two addresses of this machine ICE can use each with itself only.
 *
 * interface   its index (if_nametoindex), 0: all
 *
 * Returns as udp_open; EOPNOTSUPP and others where the kernel has no filters.
 */
MUST_CHECK int udp_open_on(struct loop *loop, const struct addr *at,
			   unsigned interface, udp_fn *fn, void *arg,
			   struct udp **out);
/**
 * Have the kernel keep up to so many bytes of what has come and is not read,
 * instead of 1 MiB: one socket of many senders needs it.  A datagram of voice
 * counts some 650 bytes, its books included.  More than net.core.rmem_max is
 * for who has CAP_NET_ADMIN only; others get that much.
 */
void udp_set_room(struct udp *u, int bytes);
/** Returns how many of so many bytes a socket of this process gets, `force`: with
 *  CAP_NET_ADMIN, if it has that; 0 if it gets no socket. */
int udp_try_room(int bytes, bool force);
/**
 * Let the loop be: whoever has time to spare reads with udp_read, some times a
 * second.  Arrival times are the kernel's, so nothing is lost by that, and a
 * system call gives a batch instead of one datagram.
 */
void udp_unwatch(struct udp *u);
/** Have the loop read it again, as after udp_open.  Returns 0 or an errno. */
MUST_CHECK int udp_watch(struct udp *u);
/** Hand out what has come: all that a socket's buffer holds, and 4096 datagrams
 *  at most. */
void udp_read(struct udp *u);
/** Send one datagram.  Returns 0 or an errno (EAGAIN: dropped). */
int udp_send(struct udp *u, const struct addr *to, const void *data,
	     size_t len);
/** The address it is bound to. */
void udp_addr(const struct udp *u, struct addr *out);
/** Close; safe inside its own callback.  NULL is fine. */
void udp_close(struct udp *u);

/* ---- files ------------------------------------------------------------ */

/* All of these may block: worker, file and store threads, and start-up
 * only.  They retry EINTR and short writes; every error is an errno. */

/** Make `path` and its parents (0750), durably.  Returns 0 or an errno
 *  (ENOTDIR: something else has the name). */
MUST_CHECK int file_mkdirs(const char *path);
/** Write all `len` bytes at `offset`. */
MUST_CHECK int file_write_all(int fd, const void *data, size_t len,
			      int64_t offset);
/** fsync a directory by path. */
MUST_CHECK int file_sync_dir(const char *path);
/** Rename, never over an existing file (EEXIST). */
MUST_CHECK int file_rename_new(const char *from, const char *to);
/** Read a small file whole into `b` (cleared first).  EMSGSIZE: it is longer
 *  than b->max. */
MUST_CHECK int file_read(const char *path, struct buf *b);
/** Write a file so that it is there whole or not at all, and durable:
 *  temporary name, fsync, rename over, fsync of the directory. */
MUST_CHECK int file_write_durable(const char *path, const void *data,
				  size_t len);
/** SHA-256 and length of a file.  hex gets 64 digits and a NUL. */
MUST_CHECK int file_sha256(const char *path, char hex[65], int64_t *len);

struct file_digest {
	char sha256[65]; /* hex */
	uint8_t md5[16];
	bool has_md5; /* not where OpenSSL forbids it */
};
/** The same of a part of an open file.  EBADMSG: it ends before. */
MUST_CHECK int file_digest(int fd, int64_t offset, int64_t len,
			   struct file_digest *out);
/** Free bytes for us on the file system of `path`. */
MUST_CHECK int file_free_bytes(const char *path, int64_t *bytes);
/** Call `fn(path, arg)` for every regular file below `dir`, stop at the
 *  first non-zero result, which is returned.  ENOENT for no `dir` is 0.
 *  Symbolic links are not followed; `fn` may remove or rename the file.
 *  ELOOP: deeper than 32 folders. */
MUST_CHECK int file_walk(const char *dir,
			 int (*fn)(const char *path, void *arg), void *arg);

/** Have as many files and sockets open as this process may: thousands are
 *  usual here. */
void file_raise_limit(void);

/* ---- HTTP server (libmicrohttpd inside the loop) ----------------------- */

struct http_server;

/**
 * One request, complete with its body.  Valid until http_reply*.
 * Strings are NUL-terminated, percent-decoded where said, and owned by io.
 */
struct http_request {
	const char *method;    /* "GET" */
	const char *path;      /* decoded, starts with '/' */
	const char *raw_path;  /* as sent, without the query: split this one,
				 then decode its parts (http_decode) */
	const char *raw_query; /* as sent, without '?'; or "" */
	const uint8_t *body;   /* body_len bytes and a NUL */
	size_t body_len;
	struct addr peer;
	bool is_tls; /* it came over TLS */
	void *user;  /* the handler's */
};

/** Header by name (any case), or NULL. */
const char *http_header(const struct http_request *r, const char *name);
/**
 * Why a request is not one of this machine's own user: NULL, or half a
 * sentence.  It must come from loopback, name a loopback host (else a web
 * page got here by its DNS), have no foreign Origin, nor be for a part of
 * another site's page (Sec-Fetch-Site), and have no
 * forwarding header (a proxy that would let the world in).
 */
const char *http_why_not_local(const struct http_request *r);
/** Query parameter, decoded, or NULL ("" when it has no value). */
const char *http_query(const struct http_request *r, const char *name);
/**
 * Is each parameter one of `keys` (NULL-ended, 32 at most), and there once?
 * Returns 0; EINVAL (`bad` is none of them) or EEXIST (it is there twice).
 */
MUST_CHECK int http_query_check(const struct http_request *r,
				const char *const *keys, char bad[64]);
/** Walk the query's names: calls fn for each; stops on non-zero. */
int http_query_each(const struct http_request *r,
		    int (*fn)(const char *name, const char *value, void *arg),
		    void *arg);
/** The same for a form body (application/x-www-form-urlencoded), at most 256
 *  names.  Returns 0, EINVAL (malformed), ENOMEM or what fn returned. */
int http_form_each(const char *body, size_t len,
		   int (*fn)(const char *name, const char *value, void *arg),
		   void *arg);
/** Percent-decode `len` bytes into `out` (cap incl. NUL).
 *  Returns 0, EINVAL (bad escape or an encoded NUL), ERANGE (too long). */
MUST_CHECK int http_decode(const char *in, size_t len, char *out, size_t cap);

/**
 * Deal with a request: answer now or later (each exactly once, by one of
 * the http_reply functions).  Runs on the loop; a request that is not
 * answered when it returns is suspended.
 */
typedef void(http_handler_fn)(struct http_request *r, void *arg);

/** Extra answer header. */
struct http_field {
	const char *name;
	const char *value;
};

struct http_answer {
	int status;
	const char *content_type;	 /* NULL: no body */
	const struct http_field *fields; /* n_fields, may be NULL */
	size_t n_fields;
	const void *body; /* copied */
	size_t body_len;
};

/** Answer; copies everything.  `r` is invalid afterwards. */
void http_reply(struct http_request *r, const struct http_answer *a);

/**
 * Answer with a file, or a part of it when the request has a Range header
 * (one range; 206, 416).  Takes `fd` over.
 */
void http_reply_file(struct http_request *r, int fd, const char *content_type);

/**
 * Answer with server-sent events.  Returns a stream to feed; NULL when out
 * of memory (then 503 was sent) or for HEAD (then 200 was).  A comment line goes out as a heartbeat
 * every 15 s (a gone client is noticed by it).
 */
struct http_stream;
struct http_stream *http_reply_stream(struct http_request *r,
				      void (*gone)(void *arg), void *arg);
/** Queue bytes; returns false when the client is over 1 MiB behind: it
 *  will be closed and `gone` called. */
bool http_stream_send(struct http_stream *s, const void *data, size_t len);
/** Have `fn` (with the argument of `gone`) called once, as soon as nothing is
 *  queued any more; in a later turn, also when that is so already.  NULL: not
 *  any more. */
void http_stream_on_drained(struct http_stream *s, void (*fn)(void *arg));
/** Bytes that are queued, and those that the connection ever took: a client
 *  of which neither changes does not read. */
size_t http_stream_queued(const struct http_stream *s);
uint64_t http_stream_taken(const struct http_stream *s);
/** End it from our side, with what is queued; `gone` is not called. */
void http_stream_end(struct http_stream *s);

/**
 * TLS with certificate files (PEM); no cert_file: plain HTTP.
 *
 * cert_file       the server's certificate, then those between it and a root
 * key_file        its key, not encrypted
 * client_ca_file  NULL, or: a client must show a certificate that one of
 *                 these has signed, or its handshake is refused
 */
struct http_tls_config {
	const char *cert_file;
	const char *key_file;
	const char *client_ca_file;
};

/**
 * Could a server use these files?  Nothing is kept, nothing logged.
 *
 * from_s, until_s   out: when the certificate is good [Unix s]
 *
 * Returns 0, or as http_server_reload_tls with `e`.  Thread: any.
 */
MUST_CHECK int http_tls_try(const struct http_tls_config *config,
			    int64_t *from_s, int64_t *until_s, struct err *e);

struct http_server_config {
	struct addr listen[4];
	size_t n_listen;
	size_t max_body;	  /* [bytes]; more: 413 */
	unsigned max_connections; /* all; more are refused */
	unsigned max_per_address; /* 0: no limit; one IPv6 /64 is one address */
	/* Count loopback addresses as well.  Else they are exempt: a proxy on
	 * this machine is one address for all of its clients. */
	bool limit_loopback;
	int64_t header_us; /* deadline for the whole request to come */
	/* on a refused request (413, 408, 400): count, may be NULL */
	void (*refused)(int status, const struct addr *peer, void *arg);
	int64_t heartbeat_us; /* of event streams; 0: 15 s */
	size_t *failed; /* out: which address of `listen`, when one cannot be
			 * listened on; may be NULL */
	struct http_tls_config tls; /* read by http_server_open, not kept */
	struct err *why_not_tls;    /* out: filled when `tls` cannot be used;
				     * else code 0; may be NULL */
};

/**
 * Listen.  Requests come whole: body over max_body is answered 413 before
 * it was read; a request that is not complete in header_us is cut off, and so
 * is a handshake (TLS).
 * The process ignores SIGPIPE from then on.
 * Returns 0, EADDRINUSE, EACCES, ENOMEM or another errno of socket and bind,
 * or as http_server_reload_tls with `why_not_tls`.
 * Thread: the loop's.
 */
MUST_CHECK int http_server_open(struct loop *loop,
				const struct http_server_config *config,
				http_handler_fn *handler, void *arg,
				struct http_server **out);
/**
 * Read the files of TLS again: handshakes that begin from now on use what is
 * in them; connections go on.  A fault in any of them changes nothing.
 * Returns 0, or with `e`: an errno of a file that cannot be read, EINVAL (not
 * PEM, a key that does not belong to the certificate, no TLS here), ENOMEM.
 * Blocks for as long as the files take.  Thread: the loop's.
 */
MUST_CHECK int http_server_reload_tls(struct http_server *s,
				      const struct http_tls_config *config,
				      struct err *e);
/** The address of listener `i` (the port that the kernel chose). */
void http_server_addr(const struct http_server *s, size_t i, struct addr *out);
/** Stop listening, end all connections (resumes suspended ones first;
 *  their handlers must not reply any more: r->user objects are told by
 *  `gone`, see http_on_gone).  NULL is fine. */
void http_server_close(struct http_server *s);
/** Be told when the connection of a suspended request is broken or the server
 *  closes; then `r` is invalid and must not be answered.  A client that only
 *  shuts its sending side down still wants its answer, and one that closed
 *  in good order looks the same until it is answered.  (That of a stream
 *  counts as gone.)  Whoever does not ask stays bound to answer, except after
 *  http_server_close. */
void http_on_gone(struct http_request *r, void (*gone)(void *arg), void *arg);

/* ---- HTTP client (libcurl multi inside the loop) ----------------------- */

struct http_client;

enum { HTTP_CLIENT_MAX_ANSWER = 64 * 1024, HTTP_TAKE_MAX = 2 };

/** A request to send.  All is copied by http_client_send. */
struct http_call {
	const char *method;	   /* "POST" */
	const char *url;	   /* as http_url_check, but up to 8192 bytes */
	const char *const *fields; /* "Name: value", n_fields of them */
	size_t n_fields;
	const void *body;
	size_t body_len;
	int64_t timeout_us;  /* for all of it, from now */
	bool allow_private;  /* may go to addresses that are not global */
	const char *ca_file; /* NULL: the system's */
	bool connect_only;   /* look up, vet, connect, shake hands (TLS): then
				it ends with status 0 and no error, and nothing
				was sent.  Not for http_fetch */
	const char *take[HTTP_TAKE_MAX]; /* names of the answer's header fields
					    to hand on, static; NULL: none.
					    Not for http_fetch */
};

/** How a call ended: an answer (status > 0), an error, or connected. */
struct http_result {
	int status;	     /* HTTP status, 0: no answer */
	char error[128];     /* "" or one line: "connection refused",
			       "address 10.0.0.1 is private: ..." */
	const uint8_t *body; /* first 64 KiB, NUL-terminated; the call's */
	size_t body_len;
	bool body_cut;
	bool timed_out;
	bool refused_address; /* vetting said no */
	bool not_found;	      /* the host has no address */
	bool untrusted;	      /* TLS: not the certificate that it should be */
	const char
		*taken[HTTP_TAKE_MAX]; /* of each call.take the (first) value,
					     without spaces around it, NULL: it
					     is not there; the call's */
	int64_t retry_after_us; /* of Retry-After (seconds or date), -1: none */
	int64_t connect_us, first_byte_us, total_us; /* durations */
	bool reused;				     /* the connection */
};
typedef void(http_done_fn)(const struct http_result *result, void *arg);

struct http_client_config {
	unsigned max_connections; /* kept open for re-use, all endpoints */
	const char *user_agent;
	struct workers *workers; /* getaddrinfo runs there */
	int64_t dns_ttl_us;	 /* how long a vetted address is pinned */
};

/**
 * The client.  Redirects are never followed, no proxy from the environment,
 * no cookies, no decompression.  A name is resolved once, every address
 * vetted (one bad address refuses all), and the connection pinned to them.
 * Calls that differ in allow_private share neither connections nor
 * addresses.  Queueing is the caller's: every call starts at once.
 */
MUST_CHECK int http_client_new(struct loop *loop,
			       const struct http_client_config *config,
			       struct http_client **out);
/**
 * End all calls (their done is called with error "stopped").  NULL ok; safe
 * inside a done.  A lookup that is under way ends by itself: free the
 * workers, then let the loop turn once, then free the loop.
 */
void http_client_free(struct http_client *c);

/** A call under way; valid until done is called. */
struct http_transfer;

/**
 * Start a call.  `done` is called exactly once, on the loop, never inside
 * http_client_send.
 * Returns 0, EINVAL (bad URL, method or field: e says why), ENOMEM, or
 * ESHUTDOWN (inside a done that http_client_free calls).
 */
MUST_CHECK int http_client_send(struct http_client *c,
				const struct http_call *call,
				http_done_fn *done, void *arg, struct err *e,
				struct http_transfer **out);
/** Give up; done is not called.  Not inside this call's own done. */
void http_client_cancel(struct http_transfer *t);

/**
 * Check a callback URL: http or https, a host, no user info, no odd host
 * forms (decimal or octal IPs, brackets without IPv6, trailing dot), at
 * most 2083 bytes.  Returns 0 or EINVAL with `e` naming the fault.
 */
MUST_CHECK int http_url_check(const char *url, struct err *e);

/**
 * Where a URL that http_url_check permits leads to.
 *
 * host   out: a name or an address, without brackets
 * cap    256 holds every host
 *
 * Returns 0, EINVAL with `e`, or ERANGE.
 */
MUST_CHECK int http_url_target(const char *url, char *host, size_t cap,
			       uint16_t *port, struct err *e);

/**
 * Where a reference in an answer (Location) leads, RFC 3986 section 5.
 *
 * base   the URL that was asked
 * out    the URL is appended; it is one that a call may have
 *
 * Returns 0, EINVAL with `e`, or ENOMEM.
 */
MUST_CHECK int http_url_resolve(const char *base, const char *ref,
				struct buf *out, struct err *e);
/** Do both lead to the same scheme, host and port?  What is secret goes to one
 *  of these only. */
bool http_url_is_same_origin(const char *a, const char *b);

/**
 * One blocking call, for commands.  body of the answer into `answer`
 * (its limit is the limit).  Returns 0 (see status) or an errno with `e`.
 */
MUST_CHECK int http_fetch(const struct http_call *call, int *status,
			  struct buf *answer, struct err *e);

/** Takes the next bytes of an answer; an errno ends the call. */
typedef int(http_data_fn)(const void *data, size_t len, void *arg);

/**
 * The same for an answer of any length: the body of a 200 goes to `fn` as it
 * comes in, that of any other status to `answer`.  call->timeout_us is for
 * connecting, and how long nothing may come; there is no limit for all of it.
 * Returns as http_fetch, or what `fn` returned (with `e` saying no more).
 */
MUST_CHECK int http_fetch_each(const struct http_call *call, http_data_fn *fn,
			       void *arg, int *status, struct buf *answer,
			       struct err *e);

/* ---- HTTP, blocking, with bodies from files ----------------------------- */

/** Requests of one thread, one after another; connections are kept. */
struct http_session;

/** A body that is a part of a file. */
struct http_file {
	int fd;
	int64_t offset, len;
};

/**
 * Make one.  Redirects are never followed, and certificates are checked.
 *
 * stops      a call ends soon after it has become true (ECANCELED); NULL: never
 * sent       told of bytes of bodies as they go; NULL: nobody is
 * is_public  connects to global addresses only (addr_is_global)
 *
 * Returns 0 or ENOMEM.
 */
MUST_CHECK int http_session_new(const _Atomic bool *stops,
				void (*sent)(int64_t bytes), bool is_public,
				struct http_session **out);
/** NULL is fine. */
void http_session_free(struct http_session *s);

/**
 * Send a request and wait for its answer.
 *
 * call     timeout_us: how long less than 1 KiB a second may move;
 *	    connecting may take 10 s.  allow_private and take mean nothing
 * file     the body, or NULL: call->body is
 * answer   cleared; its limit is the limit
 *
 * Returns 0 (see status), or with `e`
 *   ECANCELED      `stops` has become true
 *   ETIMEDOUT      nothing moved, or no connection in time
 *   ECONNREFUSED, EHOSTUNREACH   nobody is there
 *   EADDRNOTAVAIL  its addresses are not global, and must be
 *   ECONNRESET     the connection was lost
 *   EPROTO         TLS: not who it should be
 *   EBADMSG        the file is shorter than `file` says
 *   EINVAL (bad URL or field), EMSGSIZE, ENOMEM or another errno
 * Thread: any, but one at a time.  Blocks.
 */
MUST_CHECK int http_session_send(struct http_session *s,
				 const struct http_call *call,
				 const struct http_file *file, int *status,
				 struct buf *answer, struct err *e);
/** A header field of the last answer, or NULL; until the next call. */
const char *http_session_field(struct http_session *s, const char *name);
/** The last answer's Date [s since 1970], -1: it has none. */
int64_t http_session_date(struct http_session *s);

#endif
