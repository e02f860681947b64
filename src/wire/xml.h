/**
 * wire/xml.h -- find the few things that answers of S3 tell.
 *
 * No parser: names of elements are found, whatever is around them, and their
 * text is read.  Attributes are passed over, namespaces' prefixes too; there
 * are no comments, CDATA sections or documents within documents in what the
 * stores send, and what is not understood is not found.  Reads only the bytes
 * given, which need no NUL.  Thread: any.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_XML_H
#define WIRE_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct xml {
	const char *at;
	const char *end;
};

/** Is the first element of the text of this name? */
bool xml_is(struct xml x, const char *name);

/**
 * Find the next element of this name and write its text, up to the next tag,
 * with character references resolved.
 *
 * x     behind the text afterwards; unchanged when there is none
 * out   cap bytes with the NUL; cut text is no text: "" then
 *
 * Returns false when there is none.
 */
bool xml_next(struct xml *x, const char *name, char *out, size_t cap);

/** The first of this name; "" when there is none. */
void xml_find(struct xml x, const char *name, char *out, size_t cap);

#endif
