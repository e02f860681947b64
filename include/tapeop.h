/**
 * tapeop.h -- verify, read, answer and sign the callbacks of a recorder.
 *
 * WHAT  What the backend of an app links against (libtapeop): it is given a
 *       request as it came, and tells who sent it, what it says, whether it
 *       is a repeat, and what to answer.  Four dialects:
 *
 *       gme       `Signature` header: HMAC-SHA1 of the body
 *       live      `Sign` and `RequestTime` in the URL; the body is not signed
 *       trtc      `Sign` header: HMAC-SHA256 of the body
 *       standard  Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`,
 *                 `webhook-signature`
 *
 * HOW   One call does it all; this is a whole handler:
 *
 *       static const char *const keys[] = {"the secret", "the one before"};
 *       struct tapeop_app app = TAPEOP_APP_INIT;
 *       struct tapeop_request r = TAPEOP_REQUEST_INIT;
 *       struct tapeop_callback *c = NULL;
 *       char why[TAPEOP_WHY_MAX], answer[TAPEOP_ANSWER_MAX];
 *       enum tapeop_dialect d = TAPEOP_DIALECT_NONE;
 *       enum tapeop_error e;
 *
 *       app.id = 1400000000;
 *       app.dialects = TAPEOP_TAKE(TAPEOP_GME);
 *       app.keys = keys;
 *       app.n_keys = 2;
 *       r.query = ...; r.body = ...; r.body_len = ...;   // as they came
 *       r.header = my_header; r.header_arg = my_request;
 *
 *       e = tapeop_accept(&r, &app, now_ms, &c, why, sizeof(why));
 *       if (!e && !seen_before(c->key))
 *               store(c);                                // durably
 *       tapeop_recognise(&r, &d);
 *       tapeop_answer(d, e, why, answer, sizeof(answer));
 *       reply(tapeop_http_status(e), "application/json", answer);
 *       tapeop_callback_free(c);
 *
 *       In that order: the raw bytes are verified before anything reads
 *       them, a repeat is answered as success, and the answer comes after
 *       the event is kept.  examples/backend.c is this as a program.
 *
 * RULES Text is UTF-8 and ends in a NUL.  Times are Unix milliseconds; no
 *       clock is read, `now_ms` is an argument.  What a function writes to
 *       is touched only when it returns TAPEOP_OK, but for `why`.
 *       Nothing is kept between two calls: there is no state, no set-up and
 *       no clean-up.  Memory is either the caller's own buffer or one
 *       struct tapeop_callback, for tapeop_callback_free().
 *       No argument can make a call end the process: what is wrong with it
 *       is an error.
 *
 *       `why, why_cap`: room for a sentence that says what was wrong and
 *       what to do, TAPEOP_WHY_MAX bytes are enough; NULL and 0 when nobody
 *       reads it.  "" after a success.  One line, never a secret; what it
 *       quotes of a request is made harmless for a terminal.
 *
 * THREADS  Any function from any thread at once.
 *
 * ABI   A struct begins with its `size`: a caller sets the one it was
 *       compiled with (the *_INIT macros do), the library tells its own.
 *       Members are only ever added at the end, values of enums keep their
 *       numbers, functions stay.  So a program runs with every later
 *       libtapeop.so.1.  Expect values of enums that this header does not
 *       know from a newer library.
 *
 * C99, C11, C++.  Needs libcrypto (OpenSSL 3) and jansson when linked:
 * `cc ... $(pkg-config --cflags --libs tapeop)`.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TAPEOP_H
#define TAPEOP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TAPEOP_API    __attribute__((visibility("default")))
#define TAPEOP_RESULT __attribute__((warn_unused_result))
#else
#define TAPEOP_API
#define TAPEOP_RESULT
#endif

/** What this header belongs to; tapeop_version() tells it of the library. */
#define TAPEOP_VERSION "0.1.0"

enum {
	TAPEOP_WHY_MAX = 320,	     /* [bytes], as all of these */
	TAPEOP_ANSWER_MAX = 1024,    /* of an answer */
	TAPEOP_HEADERS_MAX = 2048,   /* of what tapeop_sign writes */
	TAPEOP_QUERY_MAX = 1024,     /* the same */
	TAPEOP_QUERY_LEN_MAX = 8192, /* of a query that is read */
	TAPEOP_BODY_LEN_MAX = 1048576
};

/* ---- words --------------------------------------------------------------- */

enum tapeop_dialect {
	TAPEOP_DIALECT_NONE = 0, /* no dialect: never a right argument */
	TAPEOP_GME = 1,
	TAPEOP_LIVE = 2,
	TAPEOP_TRTC = 3,
	TAPEOP_STANDARD = 4
};

/** A dialect in the set tapeop_app.dialects. */
#define TAPEOP_TAKE(dialect) (1U << (dialect))

/** What went wrong.  The comment is tapeop_error_name(), and the HTTP status
 *  to answer. */
enum tapeop_error {
	TAPEOP_OK = 0,		  /* "ok" 200 */
	TAPEOP_BAD_ARGUMENT = 1,  /* "bad_argument" 500: the caller's bug */
	TAPEOP_NO_MEMORY = 2,	  /* "no_memory" 503 */
	TAPEOP_NO_SPACE = 3,	  /* "no_space" 500: a buffer is too small */
	TAPEOP_NO_KEY = 4,	  /* "no_key" 500: none fits the dialect */
	TAPEOP_ABSENT = 5,	  /* "absent" 400: not in the query */
	TAPEOP_NO_DIALECT = 6,	  /* "no_dialect" 400: none that is taken */
	TAPEOP_UNSIGNED = 7,	  /* "unsigned" 401: no signature */
	TAPEOP_BAD_SIGNATURE = 8, /* "bad_signature" 401 */
	TAPEOP_WRONG_TIME = 9,	  /* "wrong_time" 401: signed too long ago, or
				      for the future */
	TAPEOP_WRONG_APP = 10,	  /* "wrong_app" 403 */
	TAPEOP_MALFORMED = 11,	  /* "malformed" 400 */
	TAPEOP_TOO_LARGE = 12	  /* "too_large" 413 */
};

enum tapeop_kind {
	TAPEOP_OTHER = 0,	   /* "other": see tapeop_callback.type */
	TAPEOP_STARTED = 1,	   /* "started": a segment's file is open */
	TAPEOP_COMPLETED = 2,	   /* "completed": it is closed, or lost */
	TAPEOP_UPLOADED = 3,	   /* "uploaded": storage has it */
	TAPEOP_TASK_STARTED = 4,   /* "task_started": see status */
	TAPEOP_TASK_STOPPED = 5,   /* "task_stopped": see leave_code */
	TAPEOP_UPLOAD_STARTED = 6, /* "upload_started": see status */
	TAPEOP_UPLOAD_STOPPED = 7, /* "upload_stopped": see status */
	TAPEOP_FILES_READY = 8,	   /* "files_ready": see files */
	TAPEOP_UPLOAD_FAILING = 9, /* "upload_failing": see error_code */
	TAPEOP_TASK_FAILED = 10,   /* "task_failed": see error_code */
	TAPEOP_INPUT_LOST = 11,	   /* "input_lost": of a user */
	TAPEOP_NO_AUDIO = 12,	   /* "no_audio": of a user */
	TAPEOP_DISK_LOW = 13,	   /* "disk_low": of the recorder */
	TAPEOP_TEST = 14	   /* "test": an operator asked for it */
};

enum tapeop_mode {
	TAPEOP_MODE_NONE = 0, /* not told */
	TAPEOP_SINGLE = 1,    /* "single": one speaker a file */
	TAPEOP_MIXED = 2,     /* "mixed": the room in one file */
	TAPEOP_BOTH = 3	      /* "both" */
};

/** TAPEOP_VERSION of the library that runs. */
TAPEOP_API const char *tapeop_version(void);

/* Names never change and are good for logs, metrics and configuration.  Of a
 * value that the library does not know: "unknown". */
TAPEOP_API const char *tapeop_error_name(enum tapeop_error error);
TAPEOP_API const char *tapeop_dialect_name(enum tapeop_dialect dialect);
TAPEOP_API const char *tapeop_kind_name(enum tapeop_kind kind);
TAPEOP_API const char *tapeop_mode_name(enum tapeop_mode mode);

/** Name -> dialect; TAPEOP_DIALECT_NONE when there is none (or for NULL). */
TAPEOP_API enum tapeop_dialect tapeop_dialect_parse(const char *name);

/** An error in a few words, when there is no `why` to show. */
TAPEOP_API const char *tapeop_strerror(enum tapeop_error error);

/** The HTTP status to answer: the number at enum tapeop_error. */
TAPEOP_API int tapeop_http_status(enum tapeop_error error);

/* ---- what came ----------------------------------------------------------- */

struct tapeop_header {
	const char *name; /* of any case */
	const char *value;
};

/**
 * An HTTP request as it came.  All of it must live until the call returns.
 *
 * It was a POST: that, its path, and who may send one at all is the HTTP
 * server's matter, and so is a limit on the body while it is being read
 * (TAPEOP_BODY_LEN_MAX is what is taken here).
 */
struct tapeop_request {
	size_t size; /* sizeof(struct tapeop_request) */
	/* The URL behind its '?', as it came: not decoded, not rewritten.
	 * NULL or "": there was none. */
	const char *query;
	/* The body's bytes as they came: signatures are over these. */
	const void *body;
	size_t body_len;
	/* The headers as an array ... */
	const struct tapeop_header *headers;
	size_t n_headers;
	/* ... or, if this is not NULL, by a function: the value of the header
	 * `name` (of any case), or NULL.  It must live until the call that
	 * asked for it returns. */
	const char *(*header)(void *arg, const char *name);
	void *header_arg;
};

#define TAPEOP_REQUEST_INIT                                                  \
	{                                                                    \
		sizeof(struct tapeop_request), NULL, NULL, 0, NULL, 0, NULL, \
			NULL                                                 \
	}

enum {
	/* tapeop_app.flags: while there are no keys at all, take requests of
	 * live and trtc without a signature, as their senders send them when
	 * no token is set.  Anybody who reaches the URL can then send them. */
	TAPEOP_TAKE_UNSIGNED = 1
};

/** Whom to believe. */
struct tapeop_app {
	size_t size;	   /* sizeof(struct tapeop_app) */
	uint32_t id;	   /* BizID, SdkAppId: 1 or more */
	unsigned dialects; /* TAPEOP_TAKE(..) | ..; 0: any that a key fits */
	unsigned flags;	   /* TAPEOP_TAKE_UNSIGNED or 0 */
	/* All keys that are good now: while one is being replaced, the old and
	 * the new.  gme, trtc, live: the key or token itself.  standard:
	 * "whsec_...", or "whpk_..." (Ed25519: verifies, cannot sign).  A key
	 * is tried only on requests of its dialects, so one list may hold
	 * those of all. */
	const char *const *keys;
	size_t n_keys;
};

#define TAPEOP_APP_INIT                                     \
	{                                                   \
		sizeof(struct tapeop_app), 0, 0, 0, NULL, 0 \
	}

/**
 * Could this key ever be right for a dialect?  Ask when settings are read.
 *
 * Returns TAPEOP_OK, TAPEOP_BAD_ARGUMENT (NULL, or no dialect) or
 * TAPEOP_NO_KEY with the reason in `why`: empty, a key of `standard` for
 * another dialect, or not of the form that `standard` wants.
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_key_check(
	enum tapeop_dialect dialect, const char *key, char *why,
	size_t why_cap);

/* ---- what it says -------------------------------------------------------- */

/** A file of TAPEOP_FILES_READY. */
struct tapeop_file {
	size_t size; /* of this struct, in the library */
	const char *name;
	const char *user; /* "" when mixed */
	int64_t start_ms, end_ms;
};

/**
 * A callback that was read; made by the library, and never changed.
 *
 * What a dialect or a kind does not tell is "", 0, or -1 where it says so.
 * No text is NULL; none has control characters.
 */
struct tapeop_callback {
	size_t size; /* of this struct, in the library */
	enum tapeop_dialect dialect;
	enum tapeop_kind kind;
	const char *kind_name; /* also of a kind newer than this header */
	int type;	       /* EventType as sent; standard: 0 */
	int verified;	       /* 1: a key vouches for the sender.  live: not
				  for the body, which its sender does not sign */
	uint32_t app;	       /* BizID, SdkAppId */
	/* The same for each repeat of an event, different for any other: keep
	 * it under a UNIQUE constraint.  It is made of what does not change
	 * from attempt to attempt; headers that are not signed have no part
	 * in it. */
	const char *key;
	int64_t sent_ms;      /* of this attempt */
	int64_t event_ms;     /* when it happened; gme: 0 */
	const char *event_id; /* standard */
	int64_t sequence;     /* standard: of the event in its task, from 0;
				 else -1 */

	const char *task_id; /* as sent */
	uint64_t task;	     /* the same as a number, 0 when it is none */
	const char *room;
	const char *user; /* of a segment: the speaker, "0" the mix; of a task:
			     the recorder's name */
	int status;	  /* -1: not told.  upload_stopped: 0 all is stored,
			     1 something waits, 2 was stored late */
	int leave_code;	  /* -1: not told.  0 by the API, 3 by the server,
			     99 the room was idle, 100 held for too long */

	enum tapeop_mode mode;
	int64_t seq;	  /* of a segment in its task; -1: not told, then
				 `file` tells segments apart */
	const char *file; /* of a segment: below the storage's root */
	int64_t start_ms; /* when its first sound was heard */
	int64_t duration_ms;
	int64_t bytes;	      /* of the file */
	const char *sha256;   /* of the file, lower-case hex */
	const char *location; /* URL of the stored file */

	const char *error_code; /* stable, as "disk_full"; "": all went well */
	const char *error_text; /* a sentence */

	const struct tapeop_file *const *files;
	size_t n_files;
};

/** Free a callback; NULL is fine. */
TAPEOP_API void tapeop_callback_free(struct tapeop_callback *callback);

/* ---- taking callbacks ---------------------------------------------------- */

/**
 * Verify and read a request: the one call of most backends.
 *
 * app       whose callbacks these are; tapeop_verify() says what is checked
 * now_ms    the time now
 * callback  out: for tapeop_callback_free()
 *
 * Returns TAPEOP_OK, or what tapeop_verify() and tapeop_parse() return;
 * TAPEOP_WRONG_APP also when a body of gme or standard is another app's.
 *
 * Several apps at one URL: tapeop_parse() it, pick the app by
 * callback->app, and believe nothing of it before this call with that app.
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_accept(
	const struct tapeop_request *request, const struct tapeop_app *app,
	int64_t now_ms, struct tapeop_callback **callback, char *why,
	size_t why_cap);

/**
 * Tell the dialect by what its sender must send: CallbackCommand in the URL:
 * live; else the header webhook-id: standard; Sign or SdkAppId: trtc;
 * Signature: gme.
 *
 * The sender chooses what it looks like, so this is good for an answer, and
 * no reason to believe it.
 *
 * Returns TAPEOP_OK, TAPEOP_NO_DIALECT, TAPEOP_MALFORMED (the query cannot
 * be decoded), TAPEOP_TOO_LARGE (the query) or TAPEOP_BAD_ARGUMENT.
 */
TAPEOP_API enum tapeop_error tapeop_recognise(
	const struct tapeop_request *request, enum tapeop_dialect *dialect);

/**
 * Is the request signed with one of the app's keys, now, and for this app?
 *
 * gme, trtc  the MAC over the body (gme: base64 or hex).  There is no time in
 *            it: a repeat of an old request is right for ever, so drop what
 *            was seen (callback->key)
 * live       Sign over RequestTime, at most 60 s from `now_ms`.  The body is
 *            not signed: have TLS in front
 * standard   any of the signatures of the header; at most 5 minutes from
 *            `now_ms`
 * live, trtc SdkAppid of the URL or SdkAppId of the header is `app->id` (the
 *            app in the bodies of gme and standard is for tapeop_accept)
 *
 * MACs are compared in constant time.
 *
 * Returns TAPEOP_OK, or
 *   TAPEOP_NO_DIALECT     not recognised, not in app->dialects, or (if that
 *                         is 0) of a dialect that no key fits
 *   TAPEOP_UNSIGNED       a header or parameter of the signature is missing
 *   TAPEOP_BAD_SIGNATURE  it is made with none of the keys, or not for these
 *                         bytes
 *   TAPEOP_WRONG_TIME     it is right, but of another time
 *   TAPEOP_WRONG_APP
 *   TAPEOP_NO_KEY         no key fits a dialect of app->dialects, or the app
 *                         has none at all
 *   TAPEOP_MALFORMED      the query or a header is not of its form
 *   TAPEOP_TOO_LARGE      the body or the query
 *   TAPEOP_NO_MEMORY, TAPEOP_BAD_ARGUMENT
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_verify(
	const struct tapeop_request *request, const struct tapeop_app *app,
	int64_t now_ms, char *why, size_t why_cap);

/**
 * Read a request without verifying it (callback->verified is 0).
 *
 * dialect   as recognised, or wanted
 * callback  out: for tapeop_callback_free()
 *
 * Members that are not known are skipped, missing or wrongly typed ones are
 * named in `why`.  The app is that of the body, the URL (live) or the header
 * (trtc), 0 when it is not told there.
 *
 * Returns TAPEOP_OK, TAPEOP_MALFORMED, TAPEOP_TOO_LARGE, TAPEOP_NO_MEMORY or
 * TAPEOP_BAD_ARGUMENT.
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_parse(
	const struct tapeop_request *request, enum tapeop_dialect dialect,
	struct tapeop_callback **callback, char *why, size_t why_cap);

/**
 * Find a parameter in a query and decode it (%XX, and '+' as a space).
 *
 * query     the URL behind its '?', not decoded; one '?' before it is skipped
 * name      decoded
 * out, cap  room for the value and its NUL
 *
 * What two readers could read differently is refused: a '%' without two hex
 * digits or an encoded NUL anywhere, and `name` more than once.
 *
 * Returns TAPEOP_OK, TAPEOP_ABSENT, TAPEOP_MALFORMED, TAPEOP_NO_SPACE (the
 * value is longer), TAPEOP_TOO_LARGE (the query is over TAPEOP_QUERY_LEN_MAX)
 * or TAPEOP_BAD_ARGUMENT.
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_query(const char *query,
							const char *name,
							char *out, size_t cap);

/**
 * Write the answer that the sender wants: JSON, for Content-Type
 * application/json and the status tapeop_http_status(error).
 *
 * dialect   TAPEOP_DIALECT_NONE: the request was not recognised
 * error     TAPEOP_OK: it is kept (a repeat: it was).  Anything else is a
 *           failed attempt, and is sent again; TAPEOP_NO_MEMORY is fit for
 *           "not now"
 * text      what was wrong, for the sender's log; NULL: tapeop_strerror()
 * out, cap  TAPEOP_ANSWER_MAX bytes are always enough (a longer text is cut)
 *
 * Returns TAPEOP_OK, TAPEOP_NO_SPACE, TAPEOP_NO_MEMORY or
 * TAPEOP_BAD_ARGUMENT.
 */
TAPEOP_API enum tapeop_error tapeop_answer(enum tapeop_dialect dialect,
					   enum tapeop_error error,
					   const char *text, char *out,
					   size_t cap);

/* ---- sending them -------------------------------------------------------- */

/** A callback to be signed: for tests of a backend, and for other senders. */
struct tapeop_message {
	size_t size; /* sizeof(struct tapeop_message) */
	enum tapeop_dialect dialect;
	int hex;      /* gme: 1 writes the Signature in hex, 0 in base64 */
	uint32_t app; /* live, trtc: goes into the URL or a header */
	/* gme: SecretKey; trtc: key; live: token; standard: "whsec_..." or
	 * "whsk_...".  live, trtc: NULL or "" sends unsigned. */
	const char *key;
	/* standard: signs too, so that either key verifies; NULL: none. */
	const char *previous_key;
	/* standard: webhook-id, the same on each attempt of an event: 1 to 128
	 * of A-Z a-z 0-9 _ - */
	const char *id;
	/* live: ClientIP and OptPlatform; NULL: "127.0.0.1", "Unknown". */
	const char *client_ip;
	const char *platform;
	const void *body; /* as it will be sent, to the byte */
	size_t body_len;
};

#define TAPEOP_MESSAGE_INIT                                               \
	{                                                                 \
		sizeof(struct tapeop_message), TAPEOP_DIALECT_NONE, 0, 0, \
			NULL, NULL, NULL, NULL, NULL, NULL, 0             \
	}

/**
 * Sign one attempt.
 *
 * now_ms                when it is sent
 * headers, headers_cap  out: "Name: value\r\n" for each header to send, the
 *                       content type among them; TAPEOP_HEADERS_MAX is enough
 * query, query_cap      out: live: what to put behind the URL's '?' (or '&');
 *                       else "".  TAPEOP_QUERY_MAX is enough
 *
 * Returns TAPEOP_OK, TAPEOP_NO_KEY (`why` says what is wrong with it),
 * TAPEOP_NO_SPACE, TAPEOP_NO_MEMORY or TAPEOP_BAD_ARGUMENT.
 */
TAPEOP_API TAPEOP_RESULT enum tapeop_error tapeop_sign(
	const struct tapeop_message *message, int64_t now_ms, char *headers,
	size_t headers_cap, char *query, size_t query_cap, char *why,
	size_t why_cap);

#ifdef __cplusplus
}
#endif

#endif
