/** rooms/lists.c -- whom a task records: its allow list or block list. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "rooms/private.h"
#include "wire/json_text.h"

enum { TEXT_MAX = SUBSCRIBE_MAX * (6 * ID_MAX + 3) + 64 /* all escaped */ };

int lists_check(const struct subscription *s, struct err *e)
{
	const char *field = s->allow ? "subscribe" : "unsubscribe";

	if (s->n > SUBSCRIBE_MAX)
		return err_set(e, EINVAL, field, "at most %d users",
			       SUBSCRIBE_MAX);
	for (size_t i = 0; i < s->n; i++) {
		if (event_id_check(s->users[i], field, e))
			return e->code;
	}
	return 0;
}

/** ".*$" at its end: all that begin with what is before. */
static bool stands_for(const char *entry, const char *user)
{
	static const char any[] = ".*$";
	const size_t len = strlen(entry);
	const size_t n = sizeof(any) - 1;

	if (len >= n && !strcmp(entry + len - n, any))
		return !strncmp(entry, user, len - n);
	return !strcmp(entry, user);
}

static bool is_listed(const char (*users)[ID_MAX + 1], size_t n,
		      const char *user)
{
	for (size_t i = 0; i < n; i++) {
		if (stands_for(users[i], user))
			return true;
	}
	return false;
}

bool lists_permit(bool allow, const char (*users)[ID_MAX + 1], size_t n,
		  const char *user)
{
	return !n || is_listed(users, n, user) == allow;
}

void lists_set(struct task *t, const struct subscription *s)
{
	t->subscribe.allow = s->allow;
	t->subscribe.n = s->n;
	for (size_t i = 0; i < s->n; i++) {
		str_copy(t->users[i], sizeof(t->users[i]), s->users[i]);
		t->subscribe.users[i] = t->users[i];
	}
}

int lists_write(struct task *t)
{
	json_t *list = json_array();
	json_t *root;
	struct buf text;
	int err = 0;

	for (size_t i = 0; i < t->subscribe.n; i++)
		err |= json_array_append_new(list, json_string(t->users[i]));
	root = json_pack("{s:o}",
			 t->subscribe.allow ? "subscribe" : "unsubscribe",
			 list);
	buf_init(&text, TEXT_MAX);
	if (!err && t->subscribe.n)
		err = json_text_write(root, &text);
	json_decref(root);
	mem_free(t->row.subscribe);
	t->row.subscribe = err ? NULL : mem_strdup(buf_str(&text));
	buf_fini(&text);
	return t->row.subscribe ? 0 : ENOMEM;
}

void lists_read(struct task *t)
{
	json_t *root =
		json_loads(t->row.subscribe ? t->row.subscribe : "", 0, NULL);
	json_t *allow = json_object_get(root, "subscribe");
	json_t *list = allow ? allow : json_object_get(root, "unsubscribe");
	struct subscription s = {.allow = allow != NULL};
	json_t *user;
	size_t i;

	json_array_foreach(list, i, user)
	{
		if (s.n < SUBSCRIBE_MAX && json_is_string(user))
			s.users[s.n++] = json_string_value(user);
	}
	lists_set(t, &s);
	json_decref(root);
}

bool lists_are(const struct task *t, const struct subscription *s)
{
	if (t->subscribe.n != s->n || (s->n && t->subscribe.allow != s->allow))
		return false;
	for (size_t i = 0; i < s->n; i++) {
		bool found = false;

		for (size_t k = 0; k < t->subscribe.n && !found; k++)
			found = !strcmp(t->users[k], s->users[i]);
		if (!found)
			return false;
	}
	return true;
}

bool lists_want(const struct task *t, const char *user)
{
	return lists_permit(t->subscribe.allow, t->users, t->subscribe.n, user);
}
