/**
 * config/app.c -- an app that stands in no file: its settings as a JSON
 * object with the names of apps[]; what is shown of any; and how it comes into
 * a configuration and goes.
 *
 * DESIGN  As in endpoint.c they go through the table and the checks of the
 *	   file: a builder with one app.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "wire/json_text.h"

enum { SHOWN_MAX = 16384 };

/* ---- reading --------------------------------------------------------------- */

static int build(struct builder *b, const json_t *object, struct err *e)
{
	struct mark nowhere = {0};
	int err = draft_begin(&b->draft, GROUP_ID_APP, nowhere)
			  ? err_no_memory(e)
			  : json_read_group(b, GROUP_ID_APP, object, e);

	return err ? err : b->draft.end(&b->draft, GROUP_ID_APP, &nowhere, e);
}

int config_read_app(const json_t *object, struct config **out, struct err *e)
{
	struct builder *b = mem_zalloc(sizeof(*b));
	int err;

	*e = (struct err){0};
	if (!b || builder_init(b)) {
		mem_free(b);
		return err_no_memory(e);
	}
	err = build(b, object, e);
	if (!err) {
		*out = b->config;
		b->config = NULL;
	}
	builder_fini(b);
	mem_free(b);
	return err;
}

/* ---- showing --------------------------------------------------------------- */

/** null: all of them. */
static json_t *actions_json(uint32_t actions)
{
	const struct value v = {.given = actions != UINT32_MAX,
				.number = actions};

	return json_show_value(SET_API_KEY_ACTIONS, &v);
}

static json_t *api_keys_json(const struct config_app *app)
{
	json_t *list = json_array();

	for (size_t i = 0; i < app->n_api_keys; i++) {
		const struct config_api_key *key = &app->api_keys[i];

		if (json_array_append_new(
			    list,
			    json_pack("{s:s, s:b, s:o}", "secret_id",
				      key->secret_id, "has_previous_secret_key",
				      key->previous_secret_key != NULL,
				      "actions", actions_json(key->actions)))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

char *config_show_app(const struct value *values, const struct config_app *app)
{
	json_t *object = json_object(), *recording = json_object();
	char *text = NULL;
	struct buf b;
	int err = json_show_group(values, GROUP_ID_APP, object);

	buf_init(&b, SHOWN_MAX);
	if (!err)
		err = json_show_group(values, GROUP_ID_RECORDING, recording);
	if (!err)
		err = json_object_set(object, "recording", recording);
	if (!err)
		err = json_object_set_new(object, "api_keys",
					  api_keys_json(app));
	if (!err && !json_text_write(object, &b))
		text = buf_take(&b);
	buf_fini(&b);
	json_decref(object);
	json_decref(recording);
	return text;
}

/* ---- coming and going ------------------------------------------------------ */

const struct config_app *config_find_app(const struct config *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id == id)
			return &c->apps[i];
	}
	return NULL;
}

int config_put_app(struct config *c, struct config *one, struct err *e)
{
	struct config_app *to = NULL, was;

	assert(one->n_apps == 1);
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id == one->apps[0].app.id)
			to = &c->apps[i];
	}
	if (!to && c->n_apps == CONFIG_APPS_MAX)
		return err_set(e, ENOSPC, "",
			       "there are %d apps: remove one first",
			       CONFIG_APPS_MAX);
	if (!c->apps)
		c->apps = mem_zalloc_n(CONFIG_APPS_MAX, sizeof(*c->apps));
	if (!c->apps)
		return err_no_memory(e);
	one->apps[0].is_kept = true;
	if (!to) {
		c->apps[c->n_apps++] = one->apps[0];
		one->apps[0] = (struct config_app){0};
		one->n_apps = 0;
		return 0;
	}
	was = *to;
	*to = one->apps[0];
	one->apps[0] = was;
	return 0;
}

void config_drop_app(struct config *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id != id)
			continue;
		config_free_app(&c->apps[i]);
		c->n_apps--;
		memmove(&c->apps[i], &c->apps[i + 1],
			(c->n_apps - i) * sizeof(c->apps[0]));
		c->apps[c->n_apps] = (struct config_app){0};
		return;
	}
}
