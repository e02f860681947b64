/**
 * config/endpoint.c -- an endpoint that stands in no file: its settings as a
 * JSON object with the names of callbacks[]; and what is shown of any.
 *
 * DESIGN  They go through the same table and the same checks as an item of
 *	   callbacks in the file: a builder with one app and one item.  So a
 *	   new setting is here as soon as it is in the table.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/build.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "base/secret.h"
#include "base/str.h"
#include "wire/json_text.h"

enum { PERMITTED_MAX = 320, SHOWN_MAX = 16384 };

/* ---- reading --------------------------------------------------------------- */

/** "must be ..": it is of another type. */
static int refuse_type(const struct setting *s, struct err *e)
{
	struct buf b;

	buf_init(&b, PERMITTED_MAX);
	if (s->type == TYPE_SECRET)
		buf_printf(&b, "a text of %" PRId64 " to %" PRId64 " bytes",
			   s->min, s->max);
	else
		setting_write_permitted(s, &b);
	err_set(e, EINVAL, s->key, "%s: must be %s",
		s->type == TYPE_INT    ? "is no whole number"
		: s->type == TYPE_RATE ? "is no number"
		: s->type == TYPE_BOOL ? "is neither"
				       : "is no text",
		buf_str(&b));
	buf_fini(&b);
	return EINVAL;
}

/** Words of the file that would be looked up here, on the server. */
static int check_secret(const struct setting *s, const char *text,
			struct err *e)
{
	const char *name;

	if (secret_kind(text, &name) == SECRET_LITERAL)
		return 0;
	return err_set(e, EINVAL, s->key,
		       "must be the secret itself: env: and file: are for the "
		       "configuration file");
}

static int read_text(const struct setting *s, const json_t *json,
		     struct value *v, struct err *e)
{
	const struct scalar in = {.text = json_string_value(json),
				  .len = json_string_length(json),
				  .quoted = true};
	int err = 0;

	if (s->type == TYPE_SECRET)
		err = check_secret(s, in.text, e);
	return err ? err : value_read(s, &in, v, e);
}

static int read_scalar(const struct setting *s, const json_t *json,
		       struct value *v, struct err *e)
{
	char digits[24];
	struct scalar in = {.text = digits};

	switch (s->type) {
	case TYPE_INT:
		if (!json_is_integer(json))
			return refuse_type(s, e);
		snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json));
		break;
	case TYPE_RATE:
		if (!json_is_number(json))
			return refuse_type(s, e);
		/* All digits that a rate may have, and more. */
		snprintf(digits, sizeof(digits), "%.9g",
			 json_number_value(json));
		break;
	case TYPE_BOOL:
		if (!json_is_boolean(json))
			return refuse_type(s, e);
		in.text = json_is_true(json) ? "true" : "false";
		break;
	default:
		return json_is_string(json) ? read_text(s, json, v, e)
					    : refuse_type(s, e);
	}
	in.len = strlen(in.text);
	return value_read(s, &in, v, e);
}

static int read_setting(const struct setting *s, const json_t *json,
			struct value *v, struct err *e)
{
	const json_t *item;
	size_t i;
	int err = 0;

	value_clear(v);
	v->given = true;
	if (!json_is_array(json) || s->type != TYPE_EVENTS)
		return read_scalar(s, json, v, e);
	if (!json_array_size(json))
		return err_set(e, EINVAL, s->key,
			       "is an empty list: at least 1; to send nothing "
			       "set enabled to false");
	json_array_foreach(json, i, item)
	{
		err = read_scalar(s, item, v, e);
		if (err)
			break;
	}
	return err;
}

/** Append the names of the settings of an endpoint. */
static void write_known(struct buf *out)
{
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == GROUP_ID_CALLBACK)
			buf_printf(out, "%s%s", out->len ? ", " : "",
				   settings[i].key);
	}
}

static int refuse_unknown(const char *key, struct err *e)
{
	struct nearest near = {0};
	struct buf known;

	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == GROUP_ID_CALLBACK)
			nearest_add(&near, key, settings[i].key);
	}
	if (near.name)
		return err_set(e, EINVAL, key, "unknown; did you mean \"%s\"?",
			       near.name);
	buf_init(&known, PERMITTED_MAX);
	write_known(&known);
	err_set(e, EINVAL, key, "unknown; permitted: %s", buf_str(&known));
	buf_fini(&known);
	return EINVAL;
}

static int read_settings(struct builder *b, const json_t *object, struct err *e)
{
	const char *key;
	const json_t *json;

	if (!json_is_object(object))
		return err_set(e, EINVAL, "", "must be a JSON object");
	/* Iterating changes nothing in it. */
	json_object_foreach((json_t *)(uintptr_t)object, key, json)
	{
		const unsigned id =
			setting_find(&serve_table, GROUP_ID_CALLBACK, key);
		int err;

		if (id == SETTING_N)
			return refuse_unknown(key, e);
		err = read_setting(&settings[id], json, &b->values[id], e);
		if (err) {
			str_copy(e->field, sizeof(e->field), key);
			return err;
		}
	}
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == GROUP_ID_CALLBACK &&
		    settings[i].flags & SETTING_REQUIRED && !b->values[i].given)
			return err_set(e, EINVAL, settings[i].key,
				       "is required");
	}
	return 0;
}

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
	err = read_settings(b, object, e);
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
	const struct config_app *of = NULL;
	struct builder *b;
	int err;

	*e = (struct err){0};
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id == app)
			of = &c->apps[i];
	}
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

/** A name of an ENUM. */
static json_t *name_json(const struct setting *s, int64_t place)
{
	const char *p = s->names;

	for (; place > 0; place--)
		p += strcspn(p, "|;") + 1;
	return json_stringn(p, strcspn(p, "|;"));
}

static json_t *duration_json(int64_t us)
{
	json_t *json;
	struct buf b;

	buf_init(&b, 64);
	setting_write_duration(us, &b);
	json = json_string(buf_str(&b));
	buf_fini(&b);
	return json;
}

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

/** Deliveries a second, so that what is read from it is the same. */
static json_t *rate_json(int64_t per_minute)
{
	const int64_t milli = (per_minute * 1000 + 59) / 60; /* rounded up */

	return json_real((double)milli / 1000);
}

static json_t *value_json(enum setting_id id, const struct value *v,
			  const struct notify_endpoint *ep)
{
	const struct setting *s = &settings[id];

	if (id == SET_CB_URL) /* a query may hold secrets */
		return json_stringn(v->text, strcspn(v->text, "?#"));
	if (id == SET_CB_VERDICT) /* its default depends on the dialect */
		return name_json(s, ep->verdict);
	switch (s->type) {
	case TYPE_SECRET:
		return json_boolean(v->text && *v->text);
	case TYPE_INT:
		return json_integer(v->number);
	case TYPE_RATE:
		return rate_json(v->number);
	case TYPE_BOOL:
		return json_boolean(v->number);
	case TYPE_ENUM:
		return name_json(s, v->number);
	case TYPE_DURATION:
		return duration_json(v->number);
	case TYPE_EVENTS:
		return kinds_json(ep);
	default:
		return json_string(v->text ? v->text : "");
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
		const struct setting *s = &settings[i];
		char key[64];

		if (s->group != GROUP_ID_CALLBACK || s->flags & SETTING_LATER)
			continue;
		snprintf(key, sizeof(key), "%s%s",
			 s->type == TYPE_SECRET ? "has_" : "", s->key);
		err = json_object_set_new(
			object, key,
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
