/** test/unit/record_files_aid.h -- a file on the file threads, and what it has
 *  said. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_RECORD_FILES_AID_H
#define TEST_UNIT_RECORD_FILES_AID_H

/* Needs cmocka.h before it. */
#include <stdlib.h>

#include "base/counters.h"
#include "base/crash.h"
#include "record/record.h"
#include "tempdir.h"

/** What a file said. */
struct heard {
	int opened, failed, closed;
	struct record_file_result open, fail, close;
};

struct rig {
	struct loop *loop;
	struct record_files *files;
	struct record_file *file;
	struct heard heard;
};

static inline void on_opened(struct record_file *file,
			     const struct record_file_result *result, void *arg)
{
	struct heard *h = arg;

	(void)file;
	h->opened++;
	h->open = *result;
}

static inline void on_failed(struct record_file *file,
			     const struct record_file_result *result, void *arg)
{
	struct heard *h = arg;

	(void)file;
	h->failed++;
	h->fail = *result;
}

static inline void on_closed(struct record_file *file,
			     const struct record_file_result *result, void *arg)
{
	struct heard *h = arg;

	(void)file;
	h->closed++;
	h->close = *result;
}

static inline void wait_for(struct rig *r, const int *what)
{
	for (int i = 0; i < 1000 && !*what; i++)
		loop_turn(r->loop, 20000);
	assert_true(*what);
}

/** The spool is in `dir`.  `fault`: TAPEOP_FAULT until the end, or NULL. */
static inline void rig_begin(struct rig *r, const char *dir, unsigned threads,
			     size_t max_queue, const char *fault)
{
	const struct record_files_config config = {
		.threads = threads,
		.max_queue_bytes = max_queue,
		.spool_dir = tempdir_path(dir, "spool"),
	};

	*r = (struct rig){0};
	if (fault)
		setenv("TAPEOP_FAULT", fault, 1);
	crash_reload();
	assert_int_equal(loop_new(&r->loop), 0);
	assert_int_equal(record_files_new(&config, &r->files), 0);
}

static inline void rig_end(struct rig *r)
{
	record_file_unref(r->file);
	record_files_free(r->files);
	loop_turn(r->loop, 0);
	loop_free(r->loop);
	unsetenv("TAPEOP_FAULT");
	crash_reload();
	assert_int_equal(counter_get(COUNT_segments_open), 0);
}

static inline void start_open(struct rig *r, const char *name,
			      const struct track_opening *opening)
{
	const struct record_file_open how = {.name = name,
					     .opening = opening,
					     .loop = r->loop,
					     .opened = on_opened,
					     .failed = on_failed,
					     .arg = &r->heard};

	assert_int_equal(record_file_open(r->files, &how, &r->file), 0);
}

static inline void close_file(struct rig *r)
{
	record_file_close(r->file, on_closed, &r->heard);
	wait_for(r, &r->heard.closed);
}

#endif
