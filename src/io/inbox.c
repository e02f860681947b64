/** io/inbox.c -- intrusive nodes from many threads to one that waits. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/io.h"

#include <assert.h>
#include <errno.h>

#include "base/mem.h"
#include "io/wait.h"

struct inbox {
	struct wait wait;
	/* under the lock */
	struct link list;
	bool shut;
};

int inbox_new(struct inbox **out)
{
	struct inbox *in = mem_zalloc(sizeof(*in));
	int err;

	if (!in)
		return ENOMEM;
	err = wait_init(&in->wait);
	if (err) {
		mem_free(in);
		return err;
	}
	list_init(&in->list);
	*out = in;
	return 0;
}

void inbox_free(struct inbox *in)
{
	if (!in)
		return;
	wait_fini(&in->wait);
	mem_free(in);
}

void inbox_put(struct inbox *in, struct link *l)
{
	wait_lock(&in->wait);
	assert(!link_is_on_list(l));
	if (list_is_empty(&in->list))
		wait_wake(&in->wait);
	list_append(&in->list, l);
	wait_unlock(&in->wait);
}

bool inbox_take(struct inbox *in, struct link *head, int64_t wait_us)
{
	int64_t deadline_us = wait_us ? wait_deadline(wait_us) : 0;
	bool got;

	assert(list_is_empty(head));
	wait_lock(&in->wait);
	while (list_is_empty(&in->list) && !in->shut && wait_us) {
		if (!wait_until(&in->wait, deadline_us))
			break;
	}
	got = !list_is_empty(&in->list);
	list_take(&in->list, head);
	wait_unlock(&in->wait);
	return got;
}

void inbox_shut(struct inbox *in)
{
	wait_lock(&in->wait);
	in->shut = true;
	wait_wake_all(&in->wait);
	wait_unlock(&in->wait);
}

bool inbox_is_shut(struct inbox *in)
{
	bool shut;

	wait_lock(&in->wait);
	shut = in->shut;
	wait_unlock(&in->wait);
	return shut;
}
