/**
 * lib/inside.h -- what the files of libtapeop share.
 *
 * WHAT  include/tapeop.h is the public header of this folder.  Here its
 *       promises are kept: nothing of the caller is trusted to be there, the
 *       dialects of wire/ are hidden, and errno becomes enum tapeop_error.
 * WHY   No state, no log, no clock, no assert on what a caller gives: this
 *       code runs in programs that are not ours.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_INSIDE_H
#define LIB_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tapeop.h>

#include "base/attr.h"
#include "wire/callback.h"

/* ---- names.c ---- */

/** Public -> ours; false when it is none. */
bool lib_dialect(enum tapeop_dialect dialect, enum dialect *d);
enum tapeop_dialect lib_dialect_out(enum dialect d);
enum tapeop_kind lib_kind_out(enum event_kind kind);

/** Where a sentence goes; `text` may be NULL. */
struct lib_why {
	char *text;
	size_t cap;
};

/** Write a sentence, cut where it does not fit; returns `e`. */
enum tapeop_error lib_say(const struct lib_why *why, enum tapeop_error e,
			  const char *fmt, ...) PRINTF_LIKE(3, 4);
/** As lib_say with what tapeop_strerror() says; "" for TAPEOP_OK. */
enum tapeop_error lib_say_usual(const struct lib_why *why, enum tapeop_error e);

/* ---- request.c ---- */

/** The sizes of the caller's structs in the first libtapeop, up to their last
 *  members then: these never change. */
enum {
	LIB_REQUEST_FIRST =
		offsetof(struct tapeop_request, header_arg) + sizeof(void *),
	LIB_APP_FIRST = offsetof(struct tapeop_app, n_keys) + sizeof(size_t),
	LIB_MESSAGE_FIRST =
		offsetof(struct tapeop_message, body_len) + sizeof(size_t)
};

/**
 * Copy a struct of the caller's, whatever header it was compiled with.
 *
 * to, len   ours, its size
 * least     LIB_.._FIRST: a caller's is never smaller
 *
 * A longer one of a newer header is taken if what we do not know is zero.
 * Returns false when it is NULL or its size cannot be.
 */
bool lib_copy_in(void *to, size_t len, size_t least, const void *from);

/** A request with what it says of itself; texts are "" when absent. */
struct lib_request {
	struct tapeop_request r;
	char command[128]; /* CallbackCommand of the query, decoded */
	/* headers, borrowed */
	const char *signature;
	const char *trtc_sign;
	const char *sdk_app_id;
	const char *webhook_id;
	const char *webhook_timestamp;
	const char *webhook_signature;
};

/** Take a request in; TAPEOP_OK or an error with its sentence. */
MUST_CHECK enum tapeop_error lib_request_open(const struct tapeop_request *from,
					      struct lib_request *to,
					      const struct lib_why *why);

/** Decode a parameter of the query, or ""; TAPEOP_OK or an error with its
 *  sentence (never TAPEOP_ABSENT). */
MUST_CHECK enum tapeop_error lib_request_param(const struct lib_request *q,
					       const char *name, char *out,
					       size_t cap,
					       const struct lib_why *why);

/** Its dialect, if it has one. */
bool lib_request_dialect(const struct lib_request *q, enum dialect *d);

/** The app that URL (live) or header (trtc) name.
 *  TAPEOP_OK, TAPEOP_ABSENT, or TAPEOP_MALFORMED. */
MUST_CHECK enum tapeop_error lib_request_app(const struct lib_request *q,
					     enum dialect d, uint32_t *app,
					     const struct lib_why *why);

/* ---- keys.c ---- */

/**
 * Could this key be right for the dialect?  One of another dialect is not:
 * "whpk_..." is public, and would verify a MAC that anybody can make.
 */
bool lib_key_fits(enum dialect d, const char *key);

/* ---- verify.c ---- */

/** Take an app in; TAPEOP_OK or an error with its sentence. */
MUST_CHECK enum tapeop_error lib_app_open(const struct tapeop_app *from,
					  struct tapeop_app *to,
					  const struct lib_why *why);

/** *verified: a key vouches for it. */
MUST_CHECK enum tapeop_error lib_verify(const struct lib_request *q,
					const struct tapeop_app *app,
					int64_t now_ms, enum dialect *d,
					bool *verified,
					const struct lib_why *why);

/* ---- parse.c ---- */

MUST_CHECK enum tapeop_error lib_parse(const struct lib_request *q,
				       enum dialect d,
				       struct tapeop_callback **callback,
				       const struct lib_why *why);

#endif
