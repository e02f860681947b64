/** commands/api_keys.h -- keys of the configuration -> keys of the Cloud API. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_API_KEYS_H
#define COMMANDS_API_KEYS_H

#include "base/attr.h"
#include "base/err.h"
#include "config/config.h"
#include "control/control.h"

/**
 * Gather the key pairs of all apps.
 *
 * c      whose apps
 * also   those of its apps that are not in `c` stay as they are; NULL: none
 *
 * Returns 0, or EEXIST (two apps have a key of the same name), ENOMEM with
 * `e`.
 */
MUST_CHECK int api_keys_make(const struct config *c, const struct config *also,
			     struct control_keys **out, struct err *e);

#endif
