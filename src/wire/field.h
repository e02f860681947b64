/**
 * wire/field.h -- members of a JSON object from outside: present, of the
 * right type and range, or an error that names them.
 *
 * `name` is how the error calls the member; what follows its last '.' is the
 * key: field_i64(detail, "Detail.SeqNo", ...) reads "SeqNo" from `detail`.
 * All return 0, or EBADMSG with `err` filled; outputs are written on success
 * only.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WIRE_FIELD_H
#define WIRE_FIELD_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"

/**
 * Parse a JSON text whose outermost value is an object.
 *
 * Keys that are there twice are refused: two readers could take different
 * ones.  Returns the object (json_decref it), or NULL with `err` filled
 * (EBADMSG, ENOMEM).
 */
json_t *field_parse_root(const void *json, size_t len, struct err *err);

/** An integer of min..max. */
MUST_CHECK int field_i64(const json_t *object, const char *name, int64_t min,
			 int64_t max, int64_t *value, struct err *err);

/** As field_i64; also as a decimal string. */
MUST_CHECK int field_i64_loose(const json_t *object, const char *name,
			       int64_t min, int64_t max, int64_t *value,
			       struct err *err);

/** A string of at most cap - 1 bytes, without control characters. */
MUST_CHECK int field_text(const json_t *object, const char *name, char *to,
			  size_t cap, struct err *err);

/** As field_text, but not "". */
MUST_CHECK int field_text_filled(const json_t *object, const char *name,
				 char *to, size_t cap, struct err *err);

/** As field_text_filled; also an integer, which is copied as decimal. */
MUST_CHECK int field_text_loose(const json_t *object, const char *name,
				char *to, size_t cap, struct err *err);

/** An object or an array; borrowed from `object`. */
MUST_CHECK int field_object(const json_t *object, const char *name,
			    const json_t **value, struct err *err);
MUST_CHECK int field_array(const json_t *object, const char *name,
			   const json_t **value, struct err *err);

/** "a string", "an integer" ...: what a value is, for an error. */
const char *field_type_name(const json_t *value);

#endif
