/** base/secret.h -- secrets as a person writes them: env:, file:, literal. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

enum { SECRET_MAX = 4096 /* bytes */ };

/**
 * Read a secret.
 *
 * spec      "env:NAME", "file:PATH", or the secret itself
 * out       the secret, NUL-terminated; free with mem_free_secret()
 * literal   out: it was the secret itself (others may have seen it: warn on
 *           a command line)
 * e         one line without the secret; `field` stays "", the caller knows
 *           what the secret is for
 *
 * Newlines at the end of a variable or a file are not part of the secret;
 * a literal is taken as it is, and only a literal may be "".
 *
 * Returns 0, or
 *   ENOENT   the variable is not set, the file is not there
 *   EINVAL   empty, over SECRET_MAX bytes, or a NUL in it
 *   ENOMEM   or another errno of reading the file
 *
 * Thread: any; reads the file here and now.
 */
MUST_CHECK int secret_read(const char *spec, char **out, bool *literal,
			   struct err *e);

enum secret_kind { SECRET_LITERAL, SECRET_ENV, SECRET_FILE };

/** Where secret_read would look; *name: the variable, the path, or "".  It
 *  lies in `spec`. */
enum secret_kind secret_kind(const char *spec, const char **name);

#endif
