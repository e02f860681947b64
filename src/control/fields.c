/**
 * control/fields.c -- what came in: path, query and body, checked.
 *
 * Every check that fails has answered 400 (404 for an unknown app) with the
 * field's name and what is permitted, so that a handler just returns.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "control/call.h"

bool call_app(struct call *c, const char *part, uint32_t *app)
{
	int64_t value;

	if (str_to_i64(part, 1, UINT32_MAX, &value)) {
		call_problem(c, 400, "app", "app: a number from 1 to %" PRIu32,
			     UINT32_MAX);
		return false;
	}
	if (!rooms_has_app(c->control->rooms, (uint32_t)value)) {
		call_problem(c, 404, "app",
			     "there is no app %" PRId64
			     "; apps are declared under apps: in the "
			     "configuration",
			     value);
		return false;
	}
	*app = (uint32_t)value;
	return true;
}

bool call_name(struct call *c, const char *part, const char *field)
{
	struct err e = {0};

	if (!event_id_check(part, field, &e))
		return true;
	call_error(c, &e);
	return false;
}

bool call_number(struct call *c, const char *part, const char *field,
		 uint64_t *id)
{
	if (!str_to_u64(part, id) && *id && *id <= INT64_MAX)
		return true;
	call_problem(c, 400, field, "%s: a number from 1 to %" PRId64, field,
		     INT64_MAX);
	return false;
}

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names; names++) {
		if (!strcmp(name, *names))
			return true;
	}
	return false;
}

static void list_names(const char *const *names, char *out, size_t cap)
{
	size_t len = 0;

	out[0] = 0;
	for (; *names && len < cap; names++)
		len += (size_t)snprintf(out + len, cap - len, "%s%s",
					len ? ", " : "", *names);
}

bool call_keys(struct call *c, const char *const *keys)
{
	char permitted[256];
	const char *key;
	json_t *value;

	list_names(keys, permitted, sizeof(permitted));
	if (!json_is_object(c->body)) {
		call_problem(c, 400, "",
			     "the body must be a JSON object with: %s",
			     permitted);
		return false;
	}
	json_object_foreach(c->body, key, value)
	{
		if (is_one_of(key, keys))
			continue;
		call_problem(c, 400, key, "%.64s: unknown; permitted: %s", key,
			     permitted);
		return false;
	}
	return true;
}

bool call_string(struct call *c, const char *key, bool required,
		 const char **value)
{
	json_t *field = json_object_get(c->body, key);

	*value = NULL;
	if (!field && !required)
		return true;
	if (!field) {
		call_problem(c, 400, key, "%s: required, a string", key);
		return false;
	}
	if (!json_is_string(field) ||
	    strlen(json_string_value(field)) != json_string_length(field)) {
		call_problem(c, 400, key, "%s: must be a string", key);
		return false;
	}
	*value = json_string_value(field);
	return true;
}

bool call_bool(struct call *c, const char *key, bool *value)
{
	json_t *field = json_object_get(c->body, key);

	if (!field)
		return true;
	if (!json_is_boolean(field)) {
		call_problem(c, 400, key, "%s: must be true or false", key);
		return false;
	}
	*value = json_is_true(field);
	return true;
}

bool call_integer(struct call *c, const char *key, int64_t min, int64_t max,
		  int64_t *value)
{
	json_t *field = json_object_get(c->body, key);

	if (!field)
		return true;
	if (!json_is_integer(field) || json_integer_value(field) < min ||
	    json_integer_value(field) > max) {
		call_problem(c, 400, key,
			     "%s: must be a whole number from %" PRId64
			     " to %" PRId64,
			     key, min, max);
		return false;
	}
	*value = json_integer_value(field);
	return true;
}

bool call_choice(struct call *c, const char *key, const char *const *names,
		 int *index)
{
	char permitted[256];
	const char *value;

	if (!call_string(c, key, false, &value))
		return false;
	if (!value)
		return true;
	for (int i = 0; names[i]; i++) {
		if (!strcmp(value, names[i])) {
			*index = i;
			return true;
		}
	}
	list_names(names, permitted, sizeof(permitted));
	call_problem(c, 400, key, "%s: must be one of: %s", key, permitted);
	return false;
}

static bool read_list(struct call *c, const char *key, json_t *list, size_t min,
		      struct subscription *out)
{
	json_t *user;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) < min ||
	    json_array_size(list) > SUBSCRIBE_MAX) {
		call_problem(c, 400, key,
			     "%s: must be a list of %zu to %d user ids", key,
			     min, SUBSCRIBE_MAX);
		return false;
	}
	json_array_foreach(list, i, user)
	{
		const char *id = json_string_value(user);

		if (!id || strlen(id) != json_string_length(user)) {
			call_problem(c, 400, key, "%s[%zu]: must be a string",
				     key, i);
			return false;
		}
		if (!call_name(c, id, key))
			return false;
		out->users[out->n++] = id;
	}
	return true;
}

bool call_lists(struct call *c, struct subscription *out, bool *given)
{
	json_t *allow = json_object_get(c->body, "subscribe");
	json_t *block = json_object_get(c->body, "unsubscribe");

	*out = (struct subscription){0};
	*given = allow || block;
	if (allow && block) {
		call_problem(c, 400, "unsubscribe",
			     "subscribe and unsubscribe: only one of the two "
			     "may be given");
		return false;
	}
	out->allow = allow != NULL;
	if (allow)
		return read_list(c, "subscribe", allow, 1, out);
	if (block)
		return read_list(c, "unsubscribe", block, 0, out);
	return true;
}

/** Checks one query name; `arg` is the NULL-ended list of permitted ones. */
struct query_check {
	const char *const *keys;
	char unknown[64];
};

static int check_query(const char *name, const char *value, void *arg)
{
	struct query_check *q = arg;

	(void)value;
	if (is_one_of(name, q->keys))
		return 0;
	str_copy(q->unknown, sizeof(q->unknown), name);
	return EINVAL;
}

bool call_query_keys(struct call *c, const char *const *keys)
{
	struct query_check q = {.keys = keys};
	char permitted[256];

	if (!http_query_each(c->request, check_query, &q))
		return true;
	list_names(keys, permitted, sizeof(permitted));
	call_problem(c, 400, q.unknown, "%s: unknown parameter; permitted: %s",
		     q.unknown, permitted[0] ? permitted : "none");
	return false;
}

bool call_page(struct call *c, struct store_filter *f)
{
	const char *limit = http_query(c->request, "limit");
	const char *after = http_query(c->request, "after");
	int64_t n = 100;

	if (limit && str_to_i64(limit, 1, 1000, &n)) {
		call_problem(c, 400, "limit", "limit: a number from 1 to 1000");
		return false;
	}
	f->limit = (uint32_t)n;
	return !after || call_number(c, after, "after", &f->after);
}
