/** wire/cloud_form.c -- parameters with paths for names -> a tree. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "wire/cloud.h"

enum { PART_MAX = 64 };

/** Copy the part before the next '.'; false: it is no name. */
static bool next_part(const char **name, char part[PART_MAX], bool *last)
{
	const size_t len = strcspn(*name, ".");

	if (!len || len >= PART_MAX || !str_is_clean_utf8(*name, len))
		return false;
	memcpy(part, *name, len);
	part[len] = 0;
	*last = !(*name)[len];
	*name += len + !*last;
	return true;
}

/** The group of that name, made when there is none.  NULL: a value has the
 *  name (EEXIST), or ENOMEM. */
static json_t *get_group(json_t *parent, const char *part, int *err)
{
	json_t *group = json_object_get(parent, part);

	*err = group && !json_is_object(group) ? EEXIST : 0;
	if (*err)
		return NULL;
	if (group)
		return group;
	group = json_object();
	if (json_object_set_new(parent, part, group)) {
		*err = ENOMEM;
		return NULL;
	}
	return group;
}

int cloud_form_put(json_t *root, const char *name, const char *value)
{
	char part[PART_MAX];
	bool last = false;
	json_t *text;
	int err;

	for (int depth = 0; depth < CLOUD_FORM_DEPTH_MAX; depth++) {
		if (!next_part(&name, part, &last))
			return EINVAL;
		if (last)
			break;
		root = get_group(root, part, &err);
		if (!root)
			return err;
	}
	if (!last)
		return EINVAL;
	if (json_object_get(root, part))
		return EEXIST;
	text = json_string(value);
	if (!text) /* not UTF-8, which is not told from out of memory */
		return EINVAL;
	return json_object_set_new(root, part, text) ? ENOMEM : 0;
}
