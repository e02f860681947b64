/** config/parse.h -- YAML text -> a draft full of values. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "base/attr.h"
#include "base/err.h"
#include "config/draft.h"

/**
 * Read the one document of `text` into `d`.
 *
 * name   what stands before the line in an error
 *
 * Returns 0, or EINVAL, EFBIG, ENOMEM and what a secret may return, with `e`:
 * `name:line:column: setting: what is wrong and what is permitted`.
 */
MUST_CHECK int parse_document(const char *name, const void *text, size_t len,
			      struct draft *d, struct err *e);

/** The same of a file.  Returns also ENOENT, EACCES, EFBIG. */
MUST_CHECK int parse_file(const char *path, struct draft *d, struct err *e);

#endif
