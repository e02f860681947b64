/**
 * control/fields.c -- what came in: path, query and body, checked.
 *
 * Every check that fails has answered 400 (404 for an unknown app) with the
 * field's name and what is permitted, so that a handler just returns.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "control/call.h"

/* What event_id_check permits. */
static const char a_name[] =
	"a string of 1 to 128 bytes, UTF-8 without control characters, '/' "
	"and '\\'";
static_assert(ID_MAX == 128, "a_name");

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
			     permitted[0] ? permitted : "nothing");
		return false;
	}
	json_object_foreach(c->body, key, value)
	{
		if (is_one_of(key, keys))
			continue;
		call_problem(c, 400, key, "%.64s: unknown; permitted: %s",
			     key[0] ? key : "\"\"",
			     permitted[0] ? permitted : "none");
		return false;
	}
	return true;
}

/** A string without NUL, or NULL. */
static const char *string_of(const json_t *value)
{
	const char *text = json_string_value(value);

	return text && strlen(text) == json_string_length(value) ? text : NULL;
}

bool call_string(struct call *c, const char *key, const char *what,
		 bool required, const char **value)
{
	json_t *field = json_object_get(c->body, key);

	*value = string_of(field);
	if (*value || (!field && !required))
		return true;
	call_problem(c, 400, key, "%s: %s %s", key,
		     field ? "must be" : "required,", what);
	return false;
}

bool call_name_field(struct call *c, const char *key, const char **value)
{
	return call_string(c, key, a_name, true, value) &&
	       call_name(c, *value, key);
}

bool call_id_field(struct call *c, const char *key, uint64_t *id)
{
	const char *text;

	return call_string(c, key,
			   "a string of digits, the number from 1 to "
			   "9223372036854775807",
			   false, &text) &&
	       (!text || call_number(c, text, key, id));
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

/** The value when it is a whole number that an int64_t holds. */
static bool integer_of(const struct call *c, const json_t *value, int64_t *n)
{
	static const double exact = 9007199254740992.0; /* 2^53 */
	double real = json_real_value(value);

	*n = json_integer_value(value);
	if (json_is_integer(value))
		return true;
	if (!c->is_inexact || !json_is_real(value) || real < -exact ||
	    real > exact)
		return false;
	*n = (int64_t)real;
	return (double)*n == real;
}

bool call_integer(struct call *c, const char *key, int64_t min, int64_t max,
		  int64_t *value)
{
	json_t *field = json_object_get(c->body, key);
	int64_t n;

	if (!field)
		return true;
	if (!integer_of(c, field, &n) || n < min || n > max) {
		call_problem(c, 400, key,
			     "%s: must be a whole number from %" PRId64
			     " to %" PRId64,
			     key, min, max);
		return false;
	}
	*value = n;
	return true;
}

bool call_choice(struct call *c, const char *key, const char *const *names,
		 int *index)
{
	json_t *field = json_object_get(c->body, key);
	const char *value = string_of(field);
	char permitted[256];

	if (!field)
		return true;
	for (int i = 0; value && names[i]; i++) {
		if (!strcmp(value, names[i])) {
			*index = i;
			return true;
		}
	}
	list_names(names, permitted, sizeof(permitted));
	call_problem(c, 400, key, "%s: must be one of: %s", key, permitted);
	return false;
}

/** One user of a list; strings live as long as the body. */
static bool read_user(struct call *c, const char *key, json_t *user,
		      struct subscription *out)
{
	const char *id = string_of(user);
	char name[32];

	snprintf(name, sizeof(name), "%s[%zu]", key, out->n);
	if (!id) {
		call_problem(c, 400, name, "%s: must be %s", name, a_name);
		return false;
	}
	if (!call_name(c, id, name))
		return false;
	for (size_t i = 0; i < out->n; i++) {
		if (strcmp(out->users[i], id) != 0)
			continue;
		call_problem(c, 400, name, "%s: %s is there twice: each once",
			     name, id);
		return false;
	}
	out->users[out->n++] = id;
	return true;
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
		if (!read_user(c, key, user, out))
			return false;
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

bool call_query_keys(struct call *c, const char *const *keys)
{
	char permitted[256];
	char bad[64];
	int err = http_query_check(c->request, keys, bad);

	if (!err)
		return true;
	list_names(keys, permitted, sizeof(permitted));
	if (err == EEXIST)
		call_problem(c, 400, bad, "%s: is there twice: each once", bad);
	else
		call_problem(c, 400, bad,
			     "%s: unknown parameter; permitted: %s", bad,
			     permitted[0] ? permitted : "none");
	return false;
}

bool call_query_integer(struct call *c, const char *key, int64_t min,
			int64_t max, int64_t *value)
{
	const char *text = http_query(c->request, key);

	if (!text || !str_to_i64(text, min, max, value))
		return true;
	call_problem(c, 400, key,
		     "%s: must be a whole number from %" PRId64 " to %" PRId64,
		     key, min, max);
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
