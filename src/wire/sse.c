/** wire/sse.c -- reading server-sent events, piece by piece. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/sse.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

void sse_init(struct sse_reader *r, size_t max)
{
	*r = (struct sse_reader){0};
	buf_init(&r->line, max);
	buf_init(&r->data, max);
}

void sse_fini(struct sse_reader *r)
{
	buf_fini(&r->line);
	buf_fini(&r->data);
}

/** The block has ended. */
static int end_block(struct sse_reader *r, sse_block_fn *fn, void *arg)
{
	struct sse_block block = {
		.id = r->id,
		.name = r->name[0] ? r->name : "message",
	};
	int err = 0;

	if (r->has_data) {
		block.data = buf_str(&r->data);
		block.len = r->data.len;
	}
	if (r->has_data || r->has_id)
		err = fn(&block, arg);
	buf_clear(&r->data);
	r->name[0] = 0;
	r->has_data = false;
	r->has_id = false;
	return err;
}

static int add_field(struct sse_reader *r, const char *name, size_t name_len,
		     const char *value, size_t len)
{
	if (name_len == 4 && !memcmp(name, "data", 4)) {
		if (r->has_data)
			buf_putc(&r->data, '\n');
		buf_append(&r->data, value, len);
		r->has_data = true;
		return buf_err(&r->data);
	}
	if (name_len == 5 && !memcmp(name, "event", 5))
		return str_copy(r->name, sizeof(r->name), value) ? 0 : EMSGSIZE;
	if (name_len != 2 || memcmp(name, "id", 2) != 0 || strlen(value) != len)
		return 0; /* unknown, or an id with a NUL: read over */
	r->has_id = true;
	return str_copy(r->id, sizeof(r->id), value) ? 0 : EMSGSIZE;
}

/** A line has ended; it is in r->line. */
static int end_line(struct sse_reader *r, sse_block_fn *fn, void *arg)
{
	const char *line = buf_str(&r->line);
	size_t len = r->line.len;
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : len;
	const char *value = colon ? colon + 1 : line + len;
	int err;

	if (!len)
		return end_block(r, fn, arg);
	if (colon && *value == ' ')
		value++;
	err = add_field(r, line, name_len, value, (size_t)(line + len - value));
	buf_clear(&r->line);
	return err;
}

int sse_read(struct sse_reader *r, const void *bytes, size_t len,
	     sse_block_fn *fn, void *arg)
{
	const char *at = bytes;
	const char *end = at + len;

	while (at < end) {
		const char *stop = at;
		int err;

		if (r->after_cr && *at == '\n') {
			r->after_cr = false;
			at++;
			continue;
		}
		r->after_cr = false;
		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		buf_append(&r->line, at, (size_t)(stop - at));
		err = buf_err(&r->line);
		if (err || stop == end)
			return err;
		r->after_cr = *stop == '\r';
		at = stop + 1;
		err = end_line(r, fn, arg);
		if (err)
			return err;
	}
	return 0;
}
