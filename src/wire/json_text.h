/** wire/json_text.h -- JSON values to text. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_JSON_TEXT_H
#define WIRE_JSON_TEXT_H

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"

/**
 * Append a value as compact JSON, keys in the order they were set in, numbers
 * with a fraction to 15 digits (0.1 is 0.1).
 * Returns 0, or ENOMEM or EMSGSIZE as buf_err; NULL is ENOMEM, so that a
 * value which could not be made needs no check of its own.
 */
MUST_CHECK int json_text_write(const json_t *value, struct buf *out);

/** The same with keys in order of their names. */
MUST_CHECK int json_text_write_sorted(const json_t *value, struct buf *out);

/** The same over several lines, for people. */
MUST_CHECK int json_text_write_lines(const json_t *value, struct buf *out);

#endif
