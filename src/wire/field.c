/**
 * wire/field.c -- members of a JSON object from outside: present, of the
 * right type and range, or an error that names them.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "wire/quote.h"

const char *field_type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_NULL:
		return "null";
	default:
		return "true or false";
	}
}

json_t *field_parse_root(const void *json, size_t len, struct err *err)
{
	json_error_t where;
	char text[160];
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);

	if (!root) {
		/* Out of memory, jansson says mostly nothing. */
		if (json_error_code(&where) == json_error_out_of_memory ||
		    !where.text[0]) {
			err_no_memory(err);
			return NULL;
		}
		/* It may quote the text, which is not ours. */
		quote_line(text, sizeof(text), where.text);
		err_set(err, EBADMSG, "", "not JSON: line %d column %d: %s",
			where.line, where.column, text);
		return NULL;
	}
	if (!json_is_object(root)) {
		err_set(err, EBADMSG, "", "must be a JSON object, is %s",
			field_type_name(root));
		json_decref(root);
		return NULL;
	}
	return root;
}

static int wrong_type(const json_t *value, const char *name, const char *want,
		      struct err *err)
{
	return err_set(err, EBADMSG, name, "%s must be %s, is %s", name, want,
		       field_type_name(value));
}

static int find(const json_t *object, const char *name, const json_t **value,
		struct err *err)
{
	const char *dot = strrchr(name, '.');

	*value = json_object_get(object, dot ? dot + 1 : name);
	if (!*value)
		return err_set(err, EBADMSG, name, "%s is missing", name);
	return 0;
}

static int check_range(const char *name, int64_t v, int64_t min, int64_t max,
		       struct err *err)
{
	if (v < min || v > max)
		return err_set(err, EBADMSG, name,
			       "%s must be from %" PRId64 " to %" PRId64
			       ", is %" PRId64,
			       name, min, max, v);
	return 0;
}

int field_i64(const json_t *object, const char *name, int64_t min, int64_t max,
	      int64_t *value, struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_integer(v))
		return wrong_type(v, name, "an integer", err);
	bad = check_range(name, json_integer_value(v), min, max, err);
	if (!bad)
		*value = json_integer_value(v);
	return bad;
}

int field_i64_loose(const json_t *object, const char *name, int64_t min,
		    int64_t max, int64_t *value, struct err *err)
{
	const json_t *v;
	int64_t number;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_string(v))
		return field_i64(object, name, min, max, value, err);
	if (str_to_i64(json_string_value(v), INT64_MIN, INT64_MAX, &number))
		return err_set(
			err, EBADMSG, name,
			"%s must be an integer, is a string that is none",
			name);
	bad = check_range(name, number, min, max, err);
	if (!bad)
		*value = number;
	return bad;
}

static int copy_text(const json_t *v, const char *name, char *to, size_t cap,
		     struct err *err)
{
	const char *s = json_string_value(v);
	size_t len = json_string_length(v);

	if (len >= cap)
		return err_set(err, EBADMSG, name,
			       "%s must have at most %zu bytes, has %zu", name,
			       cap - 1, len);
	if (!str_is_clean_utf8(s, len))
		return err_set(err, EBADMSG, name,
			       "%s must have no control characters", name);
	memcpy(to, s, len + 1);
	return 0;
}

int field_text(const json_t *object, const char *name, char *to, size_t cap,
	       struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_string(v))
		return wrong_type(v, name, "a string", err);
	return copy_text(v, name, to, cap, err);
}

int field_text_filled(const json_t *object, const char *name, char *to,
		      size_t cap, struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (json_is_string(v) && !json_string_length(v))
		return err_set(err, EBADMSG, name, "%s must not be empty",
			       name);
	return field_text(object, name, to, cap, err);
}

int field_text_loose(const json_t *object, const char *name, char *to,
		     size_t cap, struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_integer(v))
		return field_text_filled(object, name, to, cap, err);
	snprintf(to, cap, "%" PRId64, (int64_t)json_integer_value(v));
	return 0;
}

int field_object(const json_t *object, const char *name, const json_t **value,
		 struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_object(v))
		return wrong_type(v, name, "an object", err);
	*value = v;
	return 0;
}

int field_array(const json_t *object, const char *name, const json_t **value,
		struct err *err)
{
	const json_t *v;
	int bad = find(object, name, &v, err);

	if (bad)
		return bad;
	if (!json_is_array(v))
		return wrong_type(v, name, "an array", err);
	*value = v;
	return 0;
}
