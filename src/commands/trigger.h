/** commands/trigger.h -- made-up events with realistic values. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef COMMANDS_TRIGGER_H
#define COMMANDS_TRIGGER_H

#include "base/attr.h"
#include "wire/event.h"

enum { TRIGGER_STORY_MAX = 16 };

/** Whose events are made up. */
struct trigger_story {
	uint32_t app;
	const char *room, *user;
	uint64_t task; /* tells when it began */
	uint32_t seq;  /* SeqNo of the segment */
};

/** A task id as a server would have allotted it, if the recording had just
 *  ended. */
uint64_t trigger_task_id(int64_t now_ms);

/**
 * Make up one event of a recording of 24 s by one user.  All of the same
 * story fit together, and are the same each time.
 *
 * file   for EVENT_FILES_READY; the event points to it
 */
void trigger_event(const struct trigger_story *s, enum event_kind kind,
		   struct event_file *file, struct event *e);

/** The kinds of a whole recording, in order.  Returns how many. */
size_t trigger_story(enum event_kind kinds[TRIGGER_STORY_MAX]);

/**
 * The kind of a name ("started"), of standard's ("segment.started") or of a
 * number of gme, trtc or live ("1", "307"); false when it is none.
 */
bool trigger_kind(const char *name, enum event_kind *kind);

#endif
