/** store/names.c -- the names that states have outside. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <assert.h>
#include <string.h>

static const char *const task_states[TASK_STATE_N] = {
	[TASK_RUNNING] = "running",
	[TASK_STOPPING] = "stopping",
	[TASK_STOPPED] = "stopped",
	[TASK_FAILED] = "failed",
};

static const char *const segment_states[SEG_STATE_N] = {
	[SEG_OPENING] = "opening", [SEG_RECORDING] = "recording",
	[SEG_CLOSED] = "closed",   [SEG_LOST] = "lost",
	[SEG_ERASING] = "erasing",
};

static const char *const delivery_states[DELIVERY_STATE_N] = {
	[DELIVERY_PENDING] = "pending",
	[DELIVERY_DELIVERED] = "delivered",
	[DELIVERY_DEAD] = "dead",
	[DELIVERY_EXPIRED] = "expired",
};

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return -1;
}

const char *task_state_name(enum task_state s)
{
	assert((unsigned)s < TASK_STATE_N);
	return task_states[s];
}

bool task_state_parse(const char *name, enum task_state *s)
{
	int i = find(task_states, TASK_STATE_N, name);

	if (i >= 0)
		*s = (enum task_state)i;
	return i >= 0;
}

const char *segment_state_name(enum segment_state s)
{
	assert((unsigned)s < SEG_STATE_N);
	return segment_states[s];
}

const char *delivery_state_name(enum delivery_state s)
{
	assert((unsigned)s < DELIVERY_STATE_N);
	return delivery_states[s];
}

bool delivery_state_parse(const char *name, enum delivery_state *s)
{
	int i = find(delivery_states, DELIVERY_STATE_N, name);

	if (i >= 0)
		*s = (enum delivery_state)i;
	return i >= 0;
}
