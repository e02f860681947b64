/** commands/signing.h -- what `tapeop sign` and `tapeop verify` share. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_SIGNING_H
#define COMMANDS_SIGNING_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"
#include "wire/callback.h"

enum { SIGNING_BODY_MAX = 10 << 20 /* bytes of FILE */ };

/** The command line, read. */
struct signing {
	const char *command; /* "sign", "verify" */
	enum dialect dialect;
	bool has_encoding;
	enum signature_encoding encoding;
	char *key;		  /* owned */
	const char *signature;	  /* verify; as given */
	const char *request_time; /* live, standard; as given, or NULL */
	const char *id;		  /* standard; as given, or NULL */
	const char *file;	  /* as given, or NULL */
	struct buf body;	  /* what FILE holds */
};

/**
 * Read the command line, the key and FILE.
 *
 * argv   from the command's own name on
 * help   printed for --help
 *
 * Returns -1 to go on, or the exit code to end with; what was wrong was said
 * on stderr.  signing_fini() in either case.
 */
MUST_CHECK int signing_init(struct signing *s, int argc, char **argv,
			    const char *help);
void signing_fini(struct signing *s);

/** Say one line on stderr: "tapeop COMMAND: ...".  Returns `code`. */
int signing_fail(const struct signing *s, int code, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/** The time to sign with [s since 1970]: now, when none was given. */
int64_t signing_time_s(const struct signing *s);

/**
 * Say in `why` (one line) what is likely to be wrong with a signature of gme,
 * trtc or standard that did not verify: another encoding or digest, a changed
 * body, a key with something around it, other bytes signed.
 */
void signing_explain(const struct signing *s, char *why, size_t cap);

#endif
