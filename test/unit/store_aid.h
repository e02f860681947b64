/** test/unit/store_aid.h -- a store in a folder of its own, and small rows. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_STORE_AID_H
#define TEST_UNIT_STORE_AID_H

/* Needs cmocka.h. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "store/store.h"

enum { AID_BALLAST = 65536 };

struct aid {
	char dir[64];
	struct store *s;
	struct store_config config;
};

static inline int aid_rm(const char *path, const struct stat *st, int type,
			 struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static inline void aid_open(struct aid *a)
{
	struct err e = {0};
	int err = store_open(&a->config, &a->s, &e);

	if (err)
		fail_msg("store_open: %d %s", err, e.text);
}

/** Close and open it again. */
static inline void aid_again(struct aid *a)
{
	store_close(a->s);
	aid_open(a);
}

/** A folder; no store in it yet. */
static inline void aid_dir(struct aid *a)
{
	memset(a, 0, sizeof(*a));
	snprintf(a->dir, sizeof(a->dir), "/tmp/tapeop-store-XXXXXX");
	assert_non_null(mkdtemp(a->dir));
	a->config.data_dir = a->dir;
	a->config.ballast_bytes = AID_BALLAST;
}

static inline int aid_setup(void **state)
{
	struct aid *a = calloc(1, sizeof(*a));

	aid_dir(a);
	aid_open(a);
	*state = a;
	return 0;
}

static inline int aid_teardown(void **state)
{
	struct aid *a = *state;

	store_close(a->s);
	nftw(a->dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	free(a);
	return 0;
}

static inline struct store_write *aid_write(void)
{
	struct store_write *w = store_write_new();

	assert_non_null(w);
	return w;
}

/** Commit; the result must be `err`. */
static inline struct store_result aid_commit(struct aid *a,
					     struct store_write *w, int err)
{
	struct store_result r;
	int got = store_commit_wait(a->s, w, &r);

	assert_int_equal(got, r.err);
	if (got != err)
		fail_msg("commit: %d (%s), not %d", got, r.text, err);
	return r;
}

static inline struct store_rows aid_read(struct aid *a, struct store_filter f)
{
	struct store_rows rows;

	assert_int_equal(store_read(a->s, &f, &rows), 0);
	return rows;
}

static inline size_t aid_count(struct aid *a, struct store_filter f)
{
	struct store_rows rows = aid_read(a, f);
	size_t n = rows.n;

	store_rows_free(&rows);
	return n;
}

static inline struct task_row aid_task(uint64_t id)
{
	struct task_row t = {.id = id,
			     .app = 1400000000,
			     .mode = MODE_SINGLE,
			     .created_ms = 1000 + (int64_t)id,
			     .format = FORMAT_MP3,
			     .sample_rate = 48000,
			     .max_idle_ms = 0,
			     .hold_empty_ms = 43200000};

	snprintf(t.room, sizeof(t.room), "room%u", (unsigned)(id % 3));
	str_copy(t.client_ip, sizeof(t.client_ip), "127.0.0.1");
	str_copy(t.platform, sizeof(t.platform), "RESTAPI");
	return t;
}

static inline struct segment_row aid_segment(struct aid *a, uint64_t task,
					     const char *user, uint32_t seq)
{
	struct segment_row s = {.task = task,
				.app = 1400000000,
				.room = "room0",
				.mode = MODE_SINGLE,
				.seq = seq,
				.start_ms = 5000 + seq};

	s.id = store_next_id(a->s, IDS_SEGMENT);
	str_copy(s.user, sizeof(s.user), user);
	snprintf(s.file_name, sizeof(s.file_name), "%u/%s/%u.mp3",
		 (unsigned)task, user, (unsigned)seq);
	return s;
}

static inline struct event_row aid_event(struct aid *a, uint64_t task,
					 uint64_t task_seq, const char *once)
{
	struct event_row e = {.task = task,
			      .task_seq = task_seq,
			      .app = 1400000000,
			      .kind = "started",
			      .unix_ms = 7000,
			      .once = once,
			      .facts = "{\"x\":1}",
			      .facts_len = 7};

	e.id = store_next_id(a->s, IDS_EVENT);
	return e;
}

static inline struct delivery_row aid_delivery(struct aid *a, uint64_t lane,
					       uint64_t endpoint)
{
	struct delivery_row d = {.endpoint = endpoint,
				 .lane = lane,
				 .app = 1400000000,
				 .created_ms = 7000,
				 .due_ms = 7000};

	d.id = store_next_id(a->s, IDS_DELIVERY);
	return d;
}

#endif
