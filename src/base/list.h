/**
 * base/list.h -- doubly linked list whose links live in its members.
 *
 * A head is a link whose neighbours are itself.  A member is on one list a
 * link at most; an unlinked link is zero or points at itself.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct link {
	struct link *next, *prev;
};

static inline void list_init(struct link *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_is_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool link_is_on_list(const struct link *l)
{
	return l->next && l->next != l;
}

/** Put `l` behind the last member. */
static inline void list_append(struct link *head, struct link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/** Put `l` before the first member. */
static inline void list_prepend(struct link *head, struct link *l)
{
	list_append(head->next, l);
}

/** Take `l` off its list; does nothing when it is on none. */
static inline void list_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l;
	l->prev = l;
}

/** The first link or NULL. */
static inline struct link *list_first(const struct link *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

/** Move all members of `from` to `to` (initialised by this), in order. */
static inline void list_take(struct link *from, struct link *to)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

/** Walk the members; the current one may be removed in the body. */
#define LIST_EACH(head, l, after)                                          \
	for (struct link *l = (head)->next, *after = l->next; l != (head); \
	     l = after, after = l->next)

#endif
