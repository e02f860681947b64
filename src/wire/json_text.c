/** wire/json_text.c -- JSON values to text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json_text.h"

#include <errno.h>

static int on_text(const char *text, size_t len, void *arg)
{
	struct buf *out = arg;

	buf_append(out, text, len);
	return buf_err(out) ? -1 : 0;
}

static int write_value(const json_t *value, size_t flags, struct buf *out)
{
	int bad = !value ||
		  json_dump_callback(value, on_text, out,
				     flags | JSON_ENCODE_ANY |
					     JSON_REAL_PRECISION(15)) != 0;

	if (buf_err(out))
		return buf_err(out);
	return bad ? ENOMEM : 0;
}

int json_text_write(const json_t *value, struct buf *out)
{
	return write_value(value, JSON_COMPACT, out);
}

int json_text_write_sorted(const json_t *value, struct buf *out)
{
	return write_value(value, JSON_COMPACT | JSON_SORT_KEYS, out);
}

int json_text_write_lines(const json_t *value, struct buf *out)
{
	return write_value(value, JSON_INDENT(2), out);
}
