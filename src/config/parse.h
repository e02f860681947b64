/** config/parse.h -- YAML text -> a builder full of values. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "base/attr.h"
#include "base/err.h"
#include "config/build.h"

/**
 * Read the one document of `text` into `b`.
 *
 * name   what stands before the line in an error
 *
 * Returns 0, or EINVAL, ENOMEM and what a secret may return, with `e`:
 * `name:line:column: setting: what is wrong and what is permitted`.
 */
MUST_CHECK int parse_document(const char *name, const void *text, size_t len,
			      struct builder *b, struct err *e);

#endif
