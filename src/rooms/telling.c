/**
 * rooms/telling.c -- what is told of a task: its events, and the write that
 * they are part of.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "rooms/private.h"

void event_by(struct event *e, const char *ip, const char *platform)
{
	str_copy(e->client_ip, sizeof(e->client_ip), ip[0] ? ip : "127.0.0.1");
	str_copy(e->platform, sizeof(e->platform),
		 ip[0] && platform[0] ? platform : "Unknown");
}

/** Does it follow from the end of a task? */
static bool is_of_end(enum event_kind kind)
{
	return kind == EVENT_TASK_STOPPED || kind == EVENT_UPLOAD_STOPPED ||
	       kind == EVENT_FILES_READY;
}

void task_event(const struct task *t, enum event_kind kind, struct event *e)
{
	*e = (struct event){
		.kind = kind,
		.unix_ms = clock_unix_ms(),
		.app = t->row.app,
		.task = t->row.id,
		.mode = t->row.mode,
		.leave_code = t->row.leave_code,
	};
	str_copy(e->room, sizeof(e->room), t->row.room);
	str_copy(e->user, sizeof(e->user),
		 t->row.recorder[0] ? t->row.recorder : "tapeop");
	if (kind == EVENT_TASK_STARTED)
		event_by(e, t->row.client_ip, t->row.platform);
	else if (is_of_end(kind))
		event_by(e, t->row.end_ip, t->row.end_platform);
	else
		event_by(e, "", "");
	str_copy(e->reason, sizeof(e->reason), t->row.reason);
	str_copy(e->reason_text, sizeof(e->reason_text), t->row.reason_text);
}

void task_once(const struct task *t, enum event_kind kind, unsigned page,
	       char *out, size_t cap)
{
	snprintf(out, cap, "%" PRIu64 "/%s/%u", t->row.id,
		 event_kind_name(kind), page);
}

void seg_event(const struct task *t, const struct segment_row *row,
	       enum event_kind kind, struct event *e)
{
	struct upload_place place;

	task_event(t, kind, e);
	str_copy(e->user, sizeof(e->user), row->user);
	e->mode = row->mode;
	e->seq = row->seq;
	str_copy(e->file_name, sizeof(e->file_name), row->file_name);
	e->start_ms = row->start_ms;
	event_by(e, row->by_ip, row->by_platform);
	if (kind == EVENT_STARTED)
		return;
	e->duration_ms = (int64_t)(row->frames / SOUND_FRAMES_PER_MS);
	e->size = row->size;
	str_copy(e->sha256, sizeof(e->sha256), row->sha256);
	str_copy(e->reason, sizeof(e->reason), row->reason);
	str_copy(e->reason_text, sizeof(e->reason_text), row->reason_text);
	if (kind == EVENT_UPLOADED && storages_place(t->rooms, row, &place))
		upload_location(&place, row->file_name, e->location,
				sizeof(e->location));
}

void seg_once(const struct segment_row *row, enum event_kind kind, char *out,
	      size_t cap)
{
	snprintf(out, cap, "%" PRIu64 "/%d/%" PRIu32 "/%s/%s", row->task,
		 (int)row->mode, row->seq, event_kind_name(kind), row->user);
}

int telling_put(struct telling *tl, struct task *t, struct event *e,
		const char *once, struct store_write *w)
{
	assert(tl->n < sizeof(tl->seqs) / sizeof(tl->seqs[0]));
	if (!tl->batch)
		tl->batch = notify_batch_new();
	if (!tl->batch)
		return ENOMEM;
	if (tl->n == tl->taken)
		tl->seqs[tl->taken++] = t->row.next_seq++;
	e->task_seq = tl->seqs[tl->n++];
	return notify_add(t->rooms->notify, w, tl->batch, e, once);
}

int telling_upload_started(struct telling *tl, struct task *t,
			   const struct segment_row *row, struct store_write *w)
{
	char once[ONCE_CAP];
	struct event e;

	task_event(t, EVENT_UPLOAD_STARTED, &e);
	event_by(&e, row->by_ip, row->by_platform);
	task_once(t, EVENT_UPLOAD_STARTED, 0, once, sizeof(once));
	return telling_put(tl, t, &e, once, w);
}

int telling_add(struct telling *tl, struct task *t,
		const struct segment_row *row, enum event_kind kind,
		struct store_write *w)
{
	char once[ONCE_CAP];
	struct event e;

	if (row) {
		seg_event(t, row, kind, &e);
		seg_once(row, kind, once, sizeof(once));
	} else {
		task_event(t, kind, &e);
		task_once(t, kind, 0, once, sizeof(once));
	}
	return telling_put(tl, t, &e, once, w);
}

void telling_settled(struct telling *tl, const struct task *t,
		     const struct store_result *r)
{
	if (tl->batch)
		notify_settled(t->rooms->notify, tl->batch, r);
	tl->batch = NULL;
	tl->n = 0;
	if (!r->err)
		tl->taken = 0;
}
