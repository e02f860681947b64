/** config/json.h -- settings as JSON: read into a builder, and shown. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CONFIG_JSON_H
#define CONFIG_JSON_H

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"
#include "config/build.h"

/**
 * Read the members of `object` into the values of a group that has begun
 * (draft_begin), by the same table and checks as the file.  A group of
 * settings in it is an object, a list of groups an array of objects, which is
 * ended item by item.  The group itself is not ended.
 *
 * Returns 0, or EINVAL, ENOMEM with `e`; e->field is the way to the setting:
 * "recording.segment", "api_keys[0].actions".
 */
MUST_CHECK int json_read_group(struct builder *b, enum group_id group,
			       const json_t *object, struct err *e);

/** What is read again as the same value; of a secret only whether it is
 *  there.  Not of EVENTS.  NULL: out of memory. */
MUST_CHECK json_t *json_show_value(enum setting_id id, const struct value *v);

/** Name number `place` of an ENUM or of NAMES; a number, when it is one. */
MUST_CHECK json_t *json_show_name(const struct setting *s, int64_t place);

/** Add a setting's value to `object`, under has_NAME that of a secret.  Takes
 *  the value over.  Returns 0 or ENOMEM. */
MUST_CHECK int json_add_setting(json_t *object, const struct setting *s,
				json_t *value);

/** Add the settings of a group to `object`; has_NAME of a secret.  Returns 0
 *  or ENOMEM. */
MUST_CHECK int json_show_group(const struct value *values, enum group_id group,
			       json_t *object);

#endif
