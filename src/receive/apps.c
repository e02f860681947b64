/** receive/apps.c -- whose callbacks are taken: a receiver's own copy. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "receive/private.h"

/** What is shown as const was allocated one by one. */
static void free_text(const char *text)
{
	mem_free_secret((char *)(uintptr_t)text);
}

void receive_apps_free(struct receive_app *apps, size_t n_apps)
{
	for (size_t i = 0; apps && i < n_apps; i++) {
		free_text(apps[i].name);
		free_text(apps[i].forward);
		free_text(apps[i].exec);
		for (size_t k = 0; k < RECEIVE_KEYS_MAX; k++)
			free_text(apps[i].keys[k].secret);
	}
	mem_free(apps);
}

/** NULL is fine.  Returns 0 or ENOMEM. */
static int copy_text(const char *from, const char **out)
{
	*out = mem_strdup(from);
	return from && !*out ? ENOMEM : 0;
}

static int copy_app(const struct receive_app *from, struct receive_app *out)
{
	int err;

	*out = (struct receive_app){
		.id = from->id,
		.n_keys = from->n_keys,
		.dialects = from->dialects,
		.unsigned_live = from->unsigned_live,
	};
	err = copy_text(from->name, &out->name);
	if (!err)
		err = copy_text(from->forward, &out->forward);
	if (!err)
		err = copy_text(from->exec, &out->exec);
	for (size_t i = 0; i < from->n_keys && !err; i++) {
		out->keys[i].dialects = from->keys[i].dialects;
		err = copy_text(from->keys[i].secret, &out->keys[i].secret);
	}
	return err;
}

int apps_copy(const struct receive_app *from, size_t n, struct apps *out)
{
	struct apps a = {.n = n};
	int err = 0;

	if (n)
		a.list = mem_zalloc_n(n, sizeof(*a.list));
	if (n && !a.list)
		return ENOMEM;
	for (size_t i = 0; i < n && !err; i++) {
		a.dialects |= from[i].dialects;
		err = copy_app(&from[i], &a.list[i]);
	}
	if (err)
		apps_fini(&a);
	else
		*out = a;
	return err;
}

void apps_fini(struct apps *a)
{
	receive_apps_free(a->list, a->n);
	*a = (struct apps){0};
}

const struct receive_app *apps_find(const struct apps *a, uint32_t id)
{
	for (size_t i = 0; i < a->n; i++) {
		if (a->list[i].id == id)
			return &a->list[i];
	}
	return NULL;
}
