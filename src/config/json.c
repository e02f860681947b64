/** config/json.c -- settings as JSON: read into a builder, and shown. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/secret.h"
#include "base/str.h"

enum { PERMITTED_MAX = 320 };

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

	/* 48000 is a name, too */
	if (s->type == TYPE_INT ||
	    (s->type == TYPE_ENUM && json_is_integer(json))) {
		if (!json_is_integer(json))
			return refuse_type(s, e);
		snprintf(digits, sizeof(digits), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json));
	} else if (s->type == TYPE_RATE) {
		if (!json_is_number(json))
			return refuse_type(s, e);
		/* All digits that a rate may have, and more. */
		snprintf(digits, sizeof(digits), "%.9g",
			 json_number_value(json));
	} else if (s->type == TYPE_BOOL) {
		if (!json_is_boolean(json))
			return refuse_type(s, e);
		in.text = json_is_true(json) ? "true" : "false";
	} else {
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
	if (!json_is_array(json) ||
	    (s->type != TYPE_EVENTS && s->type != TYPE_NAMES))
		return read_scalar(s, json, v, e);
	if (!json_array_size(json))
		return err_set(e, EINVAL, s->key,
			       "is an empty list: at least 1%s",
			       s->type == TYPE_EVENTS
				       ? "; to send nothing set enabled to "
					 "false"
				       : "");
	json_array_foreach(json, i, item)
	{
		err = read_scalar(s, item, v, e);
		if (err)
			break;
	}
	return err;
}

static void write_known(enum group_id group, struct buf *out)
{
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == group)
			buf_printf(out, "%s%s", out->len ? ", " : "",
				   settings[i].key);
	}
	for (unsigned i = GROUP_ROOT + 1; i < GROUP_N; i++) {
		if (groups[i].parent == group)
			buf_printf(out, "%s%s", out->len ? ", " : "",
				   groups[i].key);
	}
}

static int refuse_unknown(enum group_id group, const char *key, struct err *e)
{
	struct nearest near = {0};
	struct buf known;

	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == group)
			nearest_add(&near, key, settings[i].key);
	}
	for (unsigned i = GROUP_ROOT + 1; i < GROUP_N; i++) {
		if (groups[i].parent == group)
			nearest_add(&near, key, groups[i].key);
	}
	if (near.name)
		return err_set(e, EINVAL, key, "unknown; did you mean \"%s\"?",
			       near.name);
	buf_init(&known, PERMITTED_MAX);
	write_known(group, &known);
	err_set(e, EINVAL, key, "unknown; permitted: %s", buf_str(&known));
	buf_fini(&known);
	return EINVAL;
}

/** What went wrong in a group is about `key`, or a setting in it. */
static int fail_within(const char *key, int err, struct err *e)
{
	char way[sizeof(e->field)];

	snprintf(way, sizeof(way), "%.30s%s%.32s", key, *e->field ? "." : "",
		 e->field);
	str_copy(e->field, sizeof(e->field), way);
	return err;
}

static int read_items(struct builder *b, enum group_id group,
		      const json_t *list, struct err *e)
{
	const struct group *g = &groups[group];
	const json_t *item;
	struct mark at = {0};
	char name[36];
	size_t i;

	if (!json_is_array(list))
		return err_set(e, EINVAL, g->key, "must be a list of objects");
	if (json_array_size(list) > g->max)
		return err_set(e, EINVAL, g->key, "too many: at most %u",
			       g->max);
	json_array_foreach(list, i, item)
	{
		int err = draft_begin(&b->draft, group, at)
				  ? err_no_memory(e)
				  : json_read_group(b, group, item, e);

		if (!err)
			err = b->draft.end(&b->draft, group, &at, e);
		snprintf(name, sizeof(name), "%.20s[%u]", g->key, (unsigned)i);
		if (err)
			return fail_within(name, err, e);
	}
	return 0;
}

static int read_member(struct builder *b, enum group_id group, const char *key,
		       const json_t *json, struct err *e)
{
	const unsigned id = setting_find(&serve_table, group, key);
	const unsigned sub = group_find(&serve_table, group, key);
	int err;

	if (id < SETTING_N) {
		err = read_setting(&settings[id], json, &b->values[id], e);
		if (err)
			str_copy(e->field, sizeof(e->field), key);
		return err;
	}
	if (sub == GROUP_N)
		return refuse_unknown(group, key, e);
	if (groups[sub].kind == GROUP_LIST)
		return read_items(b, (enum group_id)sub, json, e);
	err = json_read_group(b, (enum group_id)sub, json, e);
	return err ? fail_within(key, err, e) : 0;
}

int json_read_group(struct builder *b, enum group_id group,
		    const json_t *object, struct err *e)
{
	const char *key;
	const json_t *json;

	e->field[0] = 0;
	if (!json_is_object(object))
		return err_set(e, EINVAL, "", "must be a JSON object");
	/* Iterating changes nothing in it. */
	json_object_foreach((json_t *)(uintptr_t)object, key, json)
	{
		int err = read_member(b, group, key, json, e);

		if (err)
			return err;
	}
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == group &&
		    settings[i].flags & SETTING_REQUIRED && !b->values[i].given)
			return err_set(e, EINVAL, settings[i].key,
				       "is required");
	}
	return 0;
}

/* ---- showing --------------------------------------------------------------- */

json_t *json_show_name(const struct setting *s, int64_t place)
{
	const char *p = s->names;
	char name[64];
	int64_t number;

	for (; place > 0; place--)
		p += strcspn(p, "|;") + 1;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "|;"), p);
	return str_to_i64(name, 0, INT64_MAX, &number) ? json_string(name)
						       : json_integer(number);
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

/** Deliveries a second, so that what is read from it is the same. */
static json_t *rate_json(int64_t per_minute)
{
	const int64_t milli = (per_minute * 1000 + 59) / 60; /* rounded up */

	return json_real((double)milli / 1000);
}

/** "+08:00" */
static json_t *zone_json(int64_t minutes)
{
	const int64_t m = minutes < 0 ? -minutes : minutes;

	return json_sprintf("%c%02d:%02d", minutes < 0 ? '-' : '+',
			    (int)(m / 60), (int)(m % 60));
}

/** null: not set. */
static json_t *names_json(const struct setting *s, const struct value *v)
{
	json_t *list = v->given ? json_array() : json_null();

	for (int i = 0; v->given && i < 63; i++) {
		if (v->number & (int64_t)1 << i &&
		    json_array_append_new(list, json_show_name(s, i))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *json_show_value(enum setting_id id, const struct value *v)
{
	const struct setting *s = &settings[id];

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
		return json_show_name(s, v->number);
	case TYPE_DURATION:
		return duration_json(v->number);
	case TYPE_ZONE:
		return zone_json(v->number);
	case TYPE_NAMES:
		return names_json(s, v);
	default:
		return json_string(v->text ? v->text : "");
	}
}

int json_add_setting(json_t *object, const struct setting *s, json_t *value)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s", s->type == TYPE_SECRET ? "has_" : "",
		 s->key);
	return json_object_set_new(object, key, value) ? ENOMEM : 0;
}

int json_show_group(const struct value *values, enum group_id group,
		    json_t *object)
{
	for (unsigned i = 0; i < SETTING_N; i++) {
		if (settings[i].group == group &&
		    json_add_setting(
			    object, &settings[i],
			    json_show_value((enum setting_id)i, &values[i])))
			return ENOMEM;
	}
	return 0;
}
