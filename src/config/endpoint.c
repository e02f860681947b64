/**
 * config/endpoint.c -- an endpoint that stands in no file: its settings as a
 * JSON object with the names of callbacks[]; and what is shown of any.
 *
 * DESIGN  They go through the same table and the same checks as an item of
 *	   callbacks in the file: a builder with one app and one item.  So a
 *	   new setting is here as soon as it is in the table.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wire/json_text.h"

enum { SHOWN_MAX = 16384 };

/* ---- reading --------------------------------------------------------------- */

/** The builder's app is as the file's one. */
static int be_app(struct builder *b, const struct config_app *app)
{
	struct value *key = &b->values[SET_APP_SECRET_KEY];
	struct value *previous = &b->values[SET_APP_PREVIOUS_SECRET_KEY];
	int err = draft_begin(&b->draft, GROUP_ID_APP, (struct mark){0});

	b->values[SET_APP_ID].number = app->app.id;
	if (err || !app->secret_key)
		return err;
	key->given = true;
	key->text = mem_strdup(app->secret_key);
	if (!key->text || !app->previous_secret_key)
		return key->text ? 0 : ENOMEM;
	previous->given = true;
	previous->text = mem_strdup(app->previous_secret_key);
	return previous->text ? 0 : ENOMEM;
}

/** What give_keys says has the item's place before the name. */
static void strip_place(struct err *e)
{
	const char *dot = strrchr(e->field, '.');

	if (dot)
		memmove(e->field, dot + 1, strlen(dot));
}

static int build(struct builder *b, const struct config_app *app,
		 const json_t *object, struct err *e)
{
	struct mark nowhere;
	int err = be_app(b, app);

	if (err)
		return err_no_memory(e);
	err = json_read_group(b, GROUP_ID_CALLBACK, object, e);
	if (!err)
		err = b->draft.end(&b->draft, GROUP_ID_CALLBACK, &nowhere, e);
	if (!err)
		err = b->draft.end(&b->draft, GROUP_ID_APP, &nowhere, e);
	strip_place(e);
	return err;
}

int config_read_endpoint(const struct config *c, uint32_t app,
			 const json_t *object, struct config **out,
			 struct err *e)
{
	const struct config_app *of = config_find_app(c, app);
	struct builder *b;
	int err;

	*e = (struct err){0};
	if (!of)
		return err_set(e, ENOENT, "app",
			       "there is no app %" PRIu32 " in the "
			       "configuration",
			       app);
	b = mem_zalloc(sizeof(*b));
	if (!b || builder_init(b)) {
		mem_free(b);
		return err_no_memory(e);
	}
	err = build(b, of, object, e);
	if (!err) {
		*out = b->config;
		b->config = NULL;
	}
	builder_fini(b);
	mem_free(b);
	return err;
}

/* ---- showing --------------------------------------------------------------- */

static json_t *kinds_json(const struct notify_endpoint *ep)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		if (ep->kinds[i] &&
		    json_array_append_new(list, json_string(event_kind_name(
							(enum event_kind)i)))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *value_json(enum setting_id id, const struct value *v,
			  const struct notify_endpoint *ep)
{
	switch (id) {
	case SET_CB_URL: /* a query may hold secrets */
		return json_stringn(v->text, strcspn(v->text, "?#"));
	case SET_CB_VERDICT: /* its default depends on the dialect */
		return json_show_name(&settings[id], ep->verdict);
	case SET_CB_EVENTS:
		return kinds_json(ep);
	default:
		return json_show_value(id, v);
	}
}

/** Whose key signs: gme takes the app's when it has none of its own. */
static const char *key_of(const struct value *values,
			  const struct notify_endpoint *ep)
{
	const char *key = values[SET_CB_KEY].text;

	if (key && *key)
		return "endpoint";
	return ep->dialect == DIALECT_GME ? "app" : "none";
}

char *config_show_endpoint(const struct value *values,
			   const struct notify_endpoint *ep)
{
	json_t *object = json_object();
	char *text = NULL;
	struct buf b;
	int err = 0;

	buf_init(&b, SHOWN_MAX);
	for (unsigned i = 0; i < SETTING_N && !err; i++) {
		if (settings[i].group != GROUP_ID_CALLBACK)
			continue;
		err = json_add_setting(
			object, &settings[i],
			value_json((enum setting_id)i, &values[i], ep));
		if (!err && i == SET_CB_KEY)
			err = json_object_set_new(
				object, "key_of",
				json_string(key_of(values, ep)));
	}
	if (!err && !json_text_write(object, &b))
		text = buf_take(&b);
	buf_fini(&b);
	json_decref(object);
	return text;
}
