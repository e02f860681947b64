/** commands/api_keys.c -- keys of the configuration -> keys of the Cloud API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/api_keys.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

struct gathered {
	struct control_key *keys; /* room for those of both */
	size_t n;
};

static bool has_app(const struct config *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id == id)
			return true;
	}
	return false;
}

static size_t count(const struct config *c)
{
	size_t n = 0;

	for (size_t i = 0; c && i < c->n_apps; i++)
		n += c->apps[i].n_api_keys;
	return n;
}

static bool is_taken(const struct gathered *g, const char *secret_id)
{
	for (size_t i = 0; i < g->n; i++) {
		if (!strcmp(g->keys[i].secret_id, secret_id))
			return true;
	}
	return false;
}

static int gather(struct gathered *g, const struct config_app *app,
		  struct err *e)
{
	for (size_t i = 0; i < app->n_api_keys; i++) {
		const struct config_api_key *key = &app->api_keys[i];

		if (is_taken(g, key->secret_id))
			return err_set(
				e, EEXIST, "api_keys",
				"api_keys: %s is also of an app that is "
				"gone from the file, and stays its until "
				"the next start",
				key->secret_id);
		g->keys[g->n++] = (struct control_key){
			.app = app->app.id,
			.actions = key->actions,
			.secret_id = key->secret_id,
			.secret_key = key->secret_key,
			.previous_secret_key = key->previous_secret_key,
			.app_key = app->secret_key,
			.previous_app_key = app->previous_secret_key,
		};
	}
	return 0;
}

/** But for those that `but` has, too. */
static int add_apps(struct control_keys *k, const struct config *c,
		    const struct config *but)
{
	int err = 0;

	for (size_t i = 0; i < c->n_apps && !err; i++) {
		if (but && has_app(but, c->apps[i].app.id))
			continue;
		err = control_keys_add_app(k, c->apps[i].app.id,
					   c->apps[i].secret_key,
					   c->apps[i].previous_secret_key);
	}
	return err;
}

int api_keys_make(const struct config *c, const struct config *also,
		  struct control_keys **out, struct err *e)
{
	struct gathered g = {
		.keys = mem_zalloc_n(count(c) + count(also) + 1,
				     sizeof(*g.keys)),
	};
	int err = g.keys ? 0 : ENOMEM;

	for (size_t i = 0; i < c->n_apps && !err; i++)
		err = gather(&g, &c->apps[i], e);
	for (size_t i = 0; also && i < also->n_apps && !err; i++) {
		if (!has_app(c, also->apps[i].app.id))
			err = gather(&g, &also->apps[i], e);
	}
	if (!err)
		err = control_keys_new(g.keys, g.n, out);
	if (!err) {
		err = add_apps(*out, c, NULL);
		/* that are gone from the file stay until the next start */
		if (!err && also)
			err = add_apps(*out, also, c);
		if (err) {
			control_keys_free(*out);
			*out = NULL;
		}
	}
	if (err == ENOMEM)
		err_set(e, ENOMEM, "", "out of memory");
	mem_free(g.keys);
	return err;
}
