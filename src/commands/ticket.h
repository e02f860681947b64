/** commands/ticket.h -- tickets, for whoever has the key of an app. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_TICKET_H
#define COMMANDS_TICKET_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/**
 * Append a UserSig that is good for `expire_us` from now on.
 *
 * key   secret_key of the app
 *
 * Returns 0, or with `e` EINVAL (the user's name), EMSGSIZE, ENOMEM.
 */
MUST_CHECK int ticket_make(uint32_t app, const char *user, int64_t expire_us,
			   const char *key, struct buf *out, struct err *e);

#endif
