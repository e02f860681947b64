/** record/segment.c -- the sound of one file to be, until the file has it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "record/segment.h"

#include <assert.h>

#include "base/counters.h"
#include "base/mem.h"

enum { PUSH_BYTES = 64 * 1024 }; /* hand over at once: long silence */

struct segment *segment_new(int64_t start_pos, size_t max_waiting)
{
	struct segment *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->start_pos = start_pos;
	sound_peaks_init(&s->peaks);
	buf_init(&s->bytes, max_waiting);
	return s;
}

void segment_put(struct segment *s, const void *data, size_t len,
		 uint64_t missing)
{
	if (s->failed)
		return;
	/* Behind a gap nothing is kept, or the order would be lost. */
	if (len && !s->gap)
		buf_append(&s->bytes, data, len);
	if (buf_err(&s->bytes) || s->gap) {
		s->bytes.err = 0; /* what is in it is good */
		s->gap += len;
		counter_add(COUNT_bytes_dropped, (int64_t)len);
	}
	s->gap += missing;
	if (s->file && (s->gap || s->bytes.len >= PUSH_BYTES))
		segment_push(s);
}

void segment_push(struct segment *s)
{
	int err = 0;

	if (s->failed) {
		buf_fini(&s->bytes);
		s->gap = 0;
		return;
	}
	if (!s->file)
		return;
	if (s->bytes.len)
		err = record_file_append(s->file, s->bytes.data, s->bytes.len);
	(void)err; /* EAGAIN: counted there, what follows keeps its place */
	buf_clear(&s->bytes);
	if (s->gap)
		record_file_skip(s->file, s->gap);
	s->gap = 0;
	if (s->ended)
		record_file_tell(s->file, s->frames);
}

void segment_grant(struct segment *s, struct record_file *file)
{
	assert(!s->file);
	s->file = file;
	segment_push(s);
}

void segment_fail(struct segment *s)
{
	s->failed = true;
	segment_push(s);
}

void segment_detach(struct segment *s)
{
	assert(s->ended);
	list_remove(&s->link);
}

void segment_free(struct segment *s)
{
	if (!s)
		return;
	list_remove(&s->link);
	buf_fini(&s->bytes);
	record_file_unref(s->file);
	mem_free(s);
}
