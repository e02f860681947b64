/**
 * wire/quote.h -- put text from outside into JSON, URLs and lines.
 *
 * Text that is not UTF-8 loses the wrong bytes to '?', one for one, so that
 * what is written always can be read.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_QUOTE_H
#define WIRE_QUOTE_H

#include <stddef.h>

#include "base/buf.h"

/**
 * Append a JSON string with its quotes.
 *
 * Escaped is what must be and nothing else: '"', '\\' and control
 * characters; UTF-8 and '/' stay.  Source: RFC 8259 section 7.
 */
void quote_json(struct buf *out, const char *s);

/** Append with all but unreserved characters as %XX (RFC 3986 section 2). */
void quote_percent(struct buf *out, const char *s);

/** The same for a path: '/' stays, too. */
void quote_percent_path(struct buf *out, const char *s);

/** strcmp of what quote_percent makes of `a` and `b`. */
int quote_percent_compare(const char *a, const char *b);

/**
 * Copy as one line for a person: control characters become '?', and what
 * does not fit is cut at a whole character.
 *
 * cap   room for the line and its NUL, > 0
 */
void quote_line(char *to, size_t cap, const char *from);

#endif
