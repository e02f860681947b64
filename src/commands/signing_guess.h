/** commands/signing_guess.h -- what usually goes wrong with signed bodies and
 *  keys, tried one after another; private to `tapeop verify`. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_SIGNING_GUESS_H
#define COMMANDS_SIGNING_GUESS_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buf.h"

/** Was it signed with these bytes?  May say more in a buffer of its own. */
typedef bool(guess_fn)(const struct buf *bytes, void *arg);

/**
 * Call `fn` with the body as it is, then with each change that programs make
 * to bodies on their way: newlines, line ends, JSON written anew.
 *
 * why   out: "" when it was the body as it is, else what was changed
 *
 * Returns true as soon as `fn` does.
 */
MUST_CHECK bool guess_body(const struct buf *body, guess_fn *fn, void *arg,
			   char *why, size_t cap);

/** The same with a key: spaces around it, other encodings. */
MUST_CHECK bool guess_key(const struct buf *key, guess_fn *fn, void *arg,
			  const char **why);

#endif
