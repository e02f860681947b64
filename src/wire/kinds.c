/** wire/kinds.c -- which number an event has in which dialect. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kinds.h"

#include <assert.h>

/* What trtc and live share; EventType 304, 306, 309, 311 and 312 are other
 * senders' (m3u8, fail-over, pictures, VOD).  Source: tencent.md 2.3. */
#define CLOUD_RECORDING                                                     \
	{                                                                   \
		[EVENT_STARTED] = 307, [EVENT_TASK_STARTED] = 301,          \
		[EVENT_TASK_STOPPED] = 302, [EVENT_UPLOAD_STARTED] = 303,   \
		[EVENT_UPLOAD_STOPPED] = 305, [EVENT_UPLOAD_FAILING] = 308, \
		[EVENT_FILES_READY] = 310, [EVENT_TEST] = 301,              \
	}

/* The first kind of a type is the one that is read. */
static const int types[DIALECT_N][EVENT_KIND_N] = {
	[DIALECT_GME] =
		{
			[EVENT_STARTED] = 1,
			[EVENT_COMPLETED] = 2,
			[EVENT_UPLOADED] = 3,
			[EVENT_TEST] = 1,
		},
	[DIALECT_LIVE] = CLOUD_RECORDING,
	[DIALECT_TRTC] = CLOUD_RECORDING,
};

static_assert(EVENT_TASK_STARTED < EVENT_TEST && EVENT_STARTED < EVENT_TEST,
	      "a test is read as what it looks like");

int kinds_type_of(enum dialect d, enum event_kind kind)
{
	assert(d < DIALECT_N);
	return kind < EVENT_KIND_N ? types[d][kind] : 0;
}

enum event_kind kinds_of_type(enum dialect d, int64_t type)
{
	assert(d < DIALECT_N);
	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		if (types[d][i] && types[d][i] == type)
			return (enum event_kind)i;
	}
	return EVENT_KIND_N;
}
