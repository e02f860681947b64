/** base/buf.c -- a growable run of bytes with a limit. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max, .is_secret = true};
}

/** Its bytes are gone, or somebody else's. */
static void begin_anew(struct buf *b)
{
	*b = (struct buf){.max = b->max, .is_secret = b->is_secret};
}

void buf_fini(struct buf *b)
{
	if (b->is_secret)
		mem_wipe(b->data, b->cap);
	mem_free(b->data);
	begin_anew(b);
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->data)
		b->data[0] = 0;
}

/** mem_realloc, but of a secret no copy stays behind. */
static uint8_t *resize(struct buf *b, size_t cap)
{
	uint8_t *data;

	if (!b->is_secret)
		return mem_realloc(b->data, cap);
	data = mem_zalloc(cap);
	if (!data)
		return NULL;
	if (b->data)
		memcpy(data, b->data, b->len + 1);
	mem_wipe(b->data, b->cap);
	mem_free(b->data);
	return data;
}

/** Make room for `len` more bytes and a NUL; sets b->err when it cannot. */
static int reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	uint8_t *data;

	if (b->err)
		return b->err;
	if (len > b->max || b->len > b->max - len) {
		b->err = EMSGSIZE;
		return b->err;
	}
	if (b->data && b->len + len < b->cap)
		return 0;
	while (cap <= b->len + len)
		cap *= 2;
	data = resize(b, cap);
	if (!data) {
		b->err = ENOMEM;
		return b->err;
	}
	b->data = data;
	b->cap = cap;
	return 0;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	if (reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0) {
		b->err = b->err ? b->err : EINVAL;
		return;
	}
	if (reserve(b, (size_t)len))
		return;
	vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, ap);
	b->len += (size_t)len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

int buf_err(const struct buf *b)
{
	return b->err;
}

const char *buf_str(const struct buf *b)
{
	return b->data ? (const char *)b->data : "";
}

char *buf_take(struct buf *b)
{
	char *s;

	if (!b->data)
		buf_append(b, "", 0);
	s = (char *)b->data;
	begin_anew(b);
	return s;
}
