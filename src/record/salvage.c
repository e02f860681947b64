/** record/salvage.c -- what of a recording is whole. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/salvage.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/mem.h"
#include "record/record.h"
#include "wire/mp3.h"

enum { CHUNK = 64 * 1024 }; /* more than any page or frame */
_Static_assert((int)CHUNK >= (int)OGG_PAGE_MAX, "a page fits");

bool salvage_is_ogg(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && !strcmp(dot, ".ogg");
}

/* ---- reading --------------------------------------------------------------- */

/** Read up to `len` bytes; *got is less at the end of the file only. */
static int read_at(int fd, uint8_t *data, size_t len, int64_t at, size_t *got)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = pread(fd, data + *got, len - *got,
				  (off_t)at + (off_t)*got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		*got += (size_t)n;
	}
	return 0;
}

static int write_at(int fd, const uint8_t *data, size_t len, int64_t at)
{
	ssize_t n;

	do {
		n = pwrite(fd, data, len, (off_t)at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	/* a short write to a file means that there is no room for more */
	return (size_t)n == len ? 0 : ENOSPC;
}

static int scan(int fd, struct salvage *s, struct mp3_scan *mp3)
{
	uint8_t *chunk = mem_zalloc(CHUNK);
	size_t took = 1, got;
	int err = 0;

	if (!chunk)
		return ENOMEM;
	while (took && !err) {
		const uint64_t at = s->is_ogg ? s->ogg.len : mp3->len;

		err = read_at(fd, chunk, CHUNK, (int64_t)at, &got);
		if (err)
			break;
		took = s->is_ogg ? ogg_scan(&s->ogg, chunk, got)
				 : mp3_scan(mp3, chunk, got);
	}
	mem_free(chunk);
	return err;
}

int salvage_look(int fd, bool is_ogg, struct salvage *out)
{
	struct mp3_scan mp3 = {0};
	int err;

	*out = (struct salvage){.is_ogg = is_ogg};
	err = scan(fd, out, &mp3);
	if (err)
		return err;
	if (is_ogg) {
		out->len = out->ogg.head_len ? (int64_t)out->ogg.len : 0;
		out->frames = ogg_scan_frames(&out->ogg);
		return 0;
	}
	out->len = (int64_t)mp3.len;
	if (mp3.sample_rate)
		out->frames = mp3.frames * SOUND_RATE / mp3.sample_rate;
	return 0;
}

/* ---- mending --------------------------------------------------------------- */

/** There are header pages and nothing else. */
static int put_silence(int fd, struct salvage *s)
{
	const struct sound_ogg_head head = {.serial = s->ogg.serial,
					    .preskip = s->ogg.preskip,
					    .channels = s->ogg.channels};
	uint8_t page[SOUND_OGG_SILENCE_MAX];
	size_t len;
	int err;

	len = sound_ogg_write_silence(&head, RECORD_OGG_MIN, page);
	err = write_at(fd, page, len, s->len);
	if (err)
		return err;
	s->len += (int64_t)len;
	s->frames = RECORD_OGG_MIN;
	return 0;
}

/** Its flags and its sum: both in the first bytes, written at once. */
static int mark_last(int fd, const struct salvage *s)
{
	const size_t len = (size_t)(s->ogg.len - s->ogg.last_at);
	uint8_t *page = mem_zalloc(len);
	struct ogg_page p;
	size_t got = 0;
	int err;

	if (!page)
		return ENOMEM;
	err = read_at(fd, page, len, (int64_t)s->ogg.last_at, &got);
	if (!err && (got != len || ogg_page_parse(page, len, &p) != 0))
		err = EIO; /* it was whole a moment ago */
	if (!err) {
		p.flags |= OGG_LAST;
		ogg_page_begin(&p, page);
		ogg_page_seal(page, len);
		err = write_at(fd, page, OGG_HEAD_LEN, (int64_t)s->ogg.last_at);
	}
	mem_free(page);
	return err;
}

int salvage_cut(int fd, struct salvage *s)
{
	int err = crash_errno("file.truncate");

	if (!err && ftruncate(fd, (off_t)s->len))
		err = errno;
	if (err || !s->is_ogg || !s->len)
		return err;
	if (s->ogg.len == s->ogg.head_len)
		return put_silence(fd, s);
	return s->ogg.is_ended ? 0 : mark_last(fd, s);
}
