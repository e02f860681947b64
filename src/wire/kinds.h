/** wire/kinds.h -- which number an event has in which dialect. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_KINDS_H
#define WIRE_KINDS_H

#include "wire/callback.h"
#include "wire/event.h"

enum {
	KINDS_LIVE_GROUP = 3, /* EventGroupId of cloud recording */
	KINDS_LIVE_FIRST = 301,
	KINDS_LIVE_LAST = 312
};

/** EventType of a kind in a dialect, 0 when it has none (in standard, which
 *  has names instead, always). */
int kinds_type_of(enum dialect d, enum event_kind kind);

/** Kind of an EventType, EVENT_KIND_N when it is none of ours. */
enum event_kind kinds_of_type(enum dialect d, int64_t type);

#endif
