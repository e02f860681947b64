/** wire/kinds.c -- which number an event has in which dialect. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/kinds.h"

#include <assert.h>

static const int types[DIALECT_N][EVENT_KIND_N] = {
	[DIALECT_GME] =
		{
			[EVENT_STARTED] = 1,
			[EVENT_COMPLETED] = 2,
			[EVENT_UPLOADED] = 3,
		},
	[DIALECT_LIVE] =
		{
			[EVENT_TASK_STARTED] = 301,
			[EVENT_TASK_STOPPED] = 302,
			[EVENT_UPLOAD_STARTED] = 303,
			[EVENT_UPLOAD_STOPPED] = 305,
			[EVENT_FILES_READY] = 310,
		},
};

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
