/** commands/trigger_event.c -- made-up events with realistic values. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "commands/trigger.h"
#include "record/record.h"
#include "wire/callback.h"
#include "wire/kinds.h"
#include "wire/sig.h"

enum {
	ZONE_MINUTES = 480, /* +08:00, as in the vendor's sample */
	LASTS_MS = 24000,
	FRAME_MS = 24, /* of MP3 at 48 kHz */
	FRAME_BYTES = 192,
	ID_LOW_BITS = EVENT_TASK_ID_COUNT_BITS + EVENT_TASK_ID_ZERO_BITS
};

uint64_t trigger_task_id(int64_t now_ms)
{
	uint64_t id = event_task_id_at(now_ms - LASTS_MS);

	return id ? id : 1U << ID_LOW_BITS; /* a clock that was never set */
}

static int64_t start_of(const struct trigger_story *s)
{
	return event_task_id_ms(s->task);
}

static int64_t end_of(const struct trigger_story *s)
{
	return start_of(s) + LASTS_MS;
}

static void write_name(const struct trigger_story *s, char *out)
{
	const struct record_name name = {
		.app = s->app,
		.room = s->room,
		.user = s->user,
		.is_mix = !strcmp(s->user, "0"),
		.task = s->task,
		.start_ms = start_of(s),
		.zone_minutes = ZONE_MINUTES,
		.seq = s->seq,
		.again = s->seq > 0,
	};

	record_name_write(&name, out, RECORD_NAME_CAP);
}

static void fill_segment(const struct trigger_story *s, struct event *e)
{
	str_copy(e->user, sizeof(e->user), s->user);
	e->mode = strcmp(s->user, "0") ? MODE_SINGLE : MODE_MIXED;
	e->seq = s->seq;
	write_name(s, e->file_name);
	e->start_ms = start_of(s);
	e->unix_ms = e->kind == EVENT_STARTED ? start_of(s) : end_of(s);
	if (e->kind == EVENT_STARTED)
		return;
	e->duration_ms = LASTS_MS;
	e->size = LASTS_MS / FRAME_MS * FRAME_BYTES;
	if (sig_sha256_hex(e->file_name, strlen(e->file_name), e->sha256))
		e->sha256[0] = 0;
	if (e->kind == EVENT_UPLOADED)
		snprintf(e->location, sizeof(e->location),
			 "file:///var/lib/tapeop/recordings/%s", e->file_name);
}

static void fill_file(const struct trigger_story *s, struct event_file *f)
{
	*f = (struct event_file){.start_ms = start_of(s), .end_ms = end_of(s)};
	write_name(s, f->name);
	if (strcmp(s->user, "0"))
		str_copy(f->user, sizeof(f->user), s->user);
}

/** What failures and warnings say. */
static void fill_reason(struct event *e)
{
	static const struct {
		enum event_kind kind;
		const char *reason, *text;
	} reasons[] = {
		{EVENT_UPLOAD_FAILING, "access_denied",
		 "The storage refused the file (403 AccessDenied)."},
		{EVENT_TASK_FAILED, "disk_full",
		 "No space is left on the disk."},
		{EVENT_INPUT_LOST, "", "nothing has come for 10 s"},
		{EVENT_NO_AUDIO, "",
		 "nothing was ever heard: no packet has come"},
		{EVENT_DISK_LOW, "",
		 "180 MiB are free; no task starts below 256 MiB"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].kind != e->kind)
			continue;
		str_copy(e->reason, sizeof(e->reason), reasons[i].reason);
		str_copy(e->reason_text, sizeof(e->reason_text),
			 reasons[i].text);
	}
}

size_t trigger_story(enum event_kind kinds[TRIGGER_STORY_MAX])
{
	static const enum event_kind story[] = {
		EVENT_TASK_STARTED,   EVENT_STARTED,	    EVENT_COMPLETED,
		EVENT_TASK_STOPPED,   EVENT_UPLOAD_STARTED, EVENT_UPLOADED,
		EVENT_UPLOAD_STOPPED, EVENT_FILES_READY,
	};

	memcpy(kinds, story, sizeof(story));
	return sizeof(story) / sizeof(story[0]);
}

/** Place of a kind in a recording; what is not in a story comes behind. */
static unsigned place_of(enum event_kind kind)
{
	enum event_kind story[TRIGGER_STORY_MAX];
	size_t n = trigger_story(story);

	for (unsigned i = 0; i < n; i++) {
		if (story[i] == kind)
			return i;
	}
	return EVENT_KIND_N - 1;
}

void trigger_event(const struct trigger_story *s, enum event_kind kind,
		   struct event_file *file, struct event *e)
{
	bool of_user = kind == EVENT_INPUT_LOST || kind == EVENT_NO_AUDIO;

	*e = (struct event){
		.id = (s->task >> ID_LOW_BITS) * EVENT_KIND_N + place_of(kind),
		.task_seq = place_of(kind),
		.kind = kind,
		.unix_ms = kind == EVENT_TASK_STARTED ? start_of(s) : end_of(s),
		.app = s->app,
		.task = s->task,
		.client_ip = "127.0.0.1",
		.platform = "RESTAPI",
		.mode = MODE_SINGLE,
	};
	str_copy(e->room, sizeof(e->room), s->room);
	str_copy(e->user, sizeof(e->user), of_user ? s->user : "tapeop");
	fill_reason(e);
	if (event_is_of_segment(kind))
		fill_segment(s, e);
	if (kind != EVENT_FILES_READY)
		return;
	fill_file(s, file);
	e->files = file;
	e->n_files = 1;
}

bool trigger_kind(const char *name, enum event_kind *kind)
{
	int64_t type;

	if (event_kind_parse(name, kind))
		return true;
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		*kind = (enum event_kind)i;
		if (!strcmp(callback_type_name(*kind), name))
			return true;
	}
	if (str_to_i64(name, 1, KINDS_LIVE_LAST, &type))
		return false;
	*kind = kinds_of_type(
		type < KINDS_LIVE_FIRST ? DIALECT_GME : DIALECT_TRTC, type);
	return *kind != EVENT_KIND_N;
}
