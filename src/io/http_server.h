/** io/http_server.h -- what the files of the HTTP server share; private. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IO_HTTP_SERVER_H
#define IO_HTTP_SERVER_H

#include <microhttpd.h>
#include <openssl/ssl.h>

#include "io/io.h"

enum {
	/* A client that sent the head of a keep-alive request and nothing
	 * more, or that does not read its answer, is closed after this. */
	HTTP_IDLE_S = 60,
	/* .. or, when it has shut its sending side down, after this. */
	HTTP_LAST_S = 1,
	/* An answer that is read a byte at a time is cut off after this. */
	HTTP_ANSWER_S = 3600,
	HTTP_HEARTBEAT_S = 15,
	HTTP_STREAM_MAX = 1024 * 1024, /* [bytes] a client may be behind */
	HTTP_MAX_PARAMS = 256,
	HTTP_MAX_LISTEN = 4,
};

/** One query parameter; both point into the request's memory. */
struct http_param {
	const char *name;
	const char *value;
};

/** What a connection is doing; each phase has its own deadline. */
enum http_phase {
	HTTP_FRESH,	/* accepted, no request line yet: header_us */
	HTTP_RECEIVING, /* request line seen: header_us */
	HTTP_ANSWERING, /* whole: none until answered, then HTTP_ANSWER_S */
	HTTP_RESTING,	/* answered, kept alive: HTTP_IDLE_S */
};

/** A client that counts against the limits: a connection, or under TLS its
 *  front. */
struct http_guest {
	struct link link;
	struct addr peer;
};

/** Lines of the log that a flood would fill: one a minute says how many. */
struct http_sample {
	int64_t next_us;
	unsigned n; /* since the last line */
};

struct http_listener {
	struct http_server *server;
	int tls_fd; /* where fronts come in; -1: libmicrohttpd accepts */
	struct watch tls_watch;
	bool tls_paused; /* no descriptor was left: until the next sweep */
	struct MHD_Daemon *daemon;
	struct watch watch;
	struct timer timer; /* when libmicrohttpd wants to run again */
	struct addr addr;
	bool again;	/* something was resumed: run at once */
	unsigned still; /* runs in turn that nothing came of */
};

struct http_server {
	struct loop *loop;
	struct http_server_config config;
	http_handler_fn *handler;
	void *arg;
	struct http_listener listeners[HTTP_MAX_LISTEN];
	struct link conns; /* of struct http_conn */
	unsigned n_conns;
	struct link guests; /* of struct http_guest */
	unsigned n_guests;
	struct http_sample full, failed_handshakes;
	SSL_CTX *tls;	     /* NULL: plain HTTP */
	struct link fronts;  /* of struct http_front */
	struct link waiting; /* of struct http_incoming; empty between runs */
	struct link lingers; /* of struct http_linger */
	unsigned n_lingers;
	int gone_fd; /* epoll of clients whose requests are suspended */
	struct watch gone_watch;
	struct timer sweep;
	bool running; /* inside libmicrohttpd or a gone callback */
	bool called;  /* by libmicrohttpd, in this run */
	bool closing;
};

struct http_conn {
	struct link link;
	struct http_server *server;
	struct http_listener *listener;
	struct http_guest guest; /* under TLS it is the front's that counts */
	int fd;
	enum http_phase phase;
	int64_t deadline_us; /* 0: none */
	struct http_incoming *in;
	bool on_gone_fd;
	bool cut; /* shut down by us: nothing of it counts any more */
};

/** A request from its first line until its answer was sent. */
struct http_incoming {
	struct http_request pub;
	struct http_conn *conn;
	struct MHD_Connection *mhd;
	struct link waiting; /* for its answer, to be suspended */
	char *raw;	     /* "path\0query" */
	char *path;
	char *query; /* decoded names and values, each with its NUL */
	struct http_param *params;
	size_t n_params;
	struct buf body;
	bool begun;   /* its head was looked at */
	bool is_head; /* HEAD: a GET whose answer has no body */
	bool suspended;
	bool answered;
	bool dead; /* close without an answer */
	struct MHD_Response *response;
	unsigned status;
	struct http_stream *stream;
	void (*gone)(void *arg);
	void *gone_arg;
};

/* http_request.c */

/** Decode as http_decode; `plus`: a '+' is a space (query strings). */
int http_decode_form(const char *in, size_t len, char *out, size_t cap,
		     bool plus);
/** Split and decode `in->raw` ("path?query").  Returns 0, EINVAL, ENOMEM. */
MUST_CHECK int http_incoming_parse(struct http_incoming *in);
/** What is wrong with the head of a request: NULL, or a sentence.
 *  *body: something may follow; *len: what Content-Length says, or 0. */
const char *http_head_fault(const struct http_incoming *in, bool *body,
			    uint64_t *len);
/** Free with everything it owns. */
void http_incoming_free(struct http_incoming *in);

/* http_server.c */

/** Let libmicrohttpd look at a suspended request again, soon. */
void http_incoming_resume(struct http_incoming *in);
/** Serve `fd`, which is taken over, as if `peer` had connected.
 *  Returns 0, ENOMEM or an errno of libmicrohttpd. */
MUST_CHECK int http_listener_adopt(struct http_listener *l, int fd,
				   const struct addr *peer);
/** Have the sweep run, if it does not. */
void http_sweep_start(struct http_server *s);

/* http_limits.c */

/** May one more come from there?  Else it is counted as refused. */
bool http_guest_may_come(struct http_server *s, const struct addr *from);
void http_guest_add(struct http_server *s, struct http_guest *g);
void http_guest_remove(struct http_server *s, struct http_guest *g);
/** Count one; true when it is time for a line, which tells `*n`. */
bool http_sample(struct http_sample *sample, int64_t now_us, unsigned *n);

/* http_tls_files.c */

/** Returns as http_server_reload_tls. */
MUST_CHECK int http_tls_load(const struct http_tls_config *config,
			     SSL_CTX **out, struct err *e);

/* http_tls.c */

/** Let fronts in at `fd`, which is taken over.  Returns 0 or an errno. */
MUST_CHECK int http_tls_listen(struct http_listener *l, int fd);
/** End what is over its deadline; listen again after a pause. */
void http_tls_sweep(struct http_server *s, int64_t now_us);
/** Send what is there and end all. */
void http_tls_stop(struct http_server *s);

/* http_gone.c */

/** Make s->gone_fd, and watch it. */
MUST_CHECK int http_gone_open(struct http_server *s);
/** Look out for the end of a client whose request waits. */
void http_gone_add(struct http_conn *c);
void http_gone_remove(struct http_conn *c);
/** Tell the owner of a request that nobody waits for it any more.  Without
 *  one the request stays until it is answered. */
void http_gone_tell(struct http_incoming *in);

/* http_reply.c */

/** The answer to a request that never reaches a handler. */
struct MHD_Response *http_problem(unsigned status, const char *detail);
/** The same as bytes, for a connection that cannot be answered through
 *  libmicrohttpd any more.  Returns their length. */
size_t http_problem_raw(unsigned status, const char *detail, char *out,
			size_t cap);
/** Hand the answer in `in->response` over, now or by resuming. */
void http_incoming_answer(struct http_incoming *in);

/* http_stream.c */

/** The client is gone, or the server closes: tell and let go. */
void http_stream_gone(struct http_stream *s);
/** Its request is being freed: as http_stream_gone, and forget it. */
void http_stream_detach(struct http_stream *s);

/* http_linger.c */

/**
 * Keep the client's socket readable for a moment after it was refused, so
 * that what it still sends does not become a reset that eats the answer.
 */
void http_linger_start(struct http_server *s, int fd);
/** End all. */
void http_linger_stop_all(struct http_server *s);

#endif
