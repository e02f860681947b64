/** upload/place.c -- buckets that are kept: copies of them, and as text. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "upload/upload.h"
#include "wire/json_text.h"

/* As they are on disk: never renamed. */
static const struct {
	const char *name;
	size_t at;
} texts[] = {
	{"endpoint", offsetof(struct upload_s3, endpoint)},
	{"region", offsetof(struct upload_s3, region)},
	{"bucket", offsetof(struct upload_s3, bucket)},
	{"prefix", offsetof(struct upload_s3, prefix)},
	{"access_key", offsetof(struct upload_s3, access_key)},
	{"secret_key", offsetof(struct upload_s3, secret_key)},
};

/** A copy: the place, and its texts behind it. */
struct kept {
	struct upload_place place;
	char *owned[ARRAY_LEN(texts)];
};

static const char *text_of(const struct upload_s3 *s3, size_t i)
{
	const char *text;

	memcpy(&text, (const char *)s3 + texts[i].at, sizeof(text));
	return text ? text : "";
}

static void set_text(struct upload_s3 *s3, size_t i, const char *text)
{
	memcpy((char *)s3 + texts[i].at, &text, sizeof(text));
}

void upload_place_free(struct upload_place *place)
{
	struct kept *k;

	if (!place)
		return;
	k = CONTAINER_OF(place, struct kept, place);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		mem_free_secret(k->owned[i]);
	mem_free(k);
}

int upload_place_copy(const struct upload_s3 *s3, struct upload_place **out)
{
	struct kept *k = mem_zalloc(sizeof(*k));

	if (!k)
		return ENOMEM;
	k->place.kind = UPLOAD_S3;
	k->place.s3 = *s3;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		k->owned[i] = mem_strdup(text_of(s3, i));
		if (!k->owned[i]) {
			upload_place_free(&k->place);
			return ENOMEM;
		}
		set_text(&k->place.s3, i, k->owned[i]);
	}
	*out = &k->place;
	return 0;
}

bool upload_s3_is(const struct upload_s3 *a, const struct upload_s3 *b)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (strcmp(text_of(a, i), text_of(b, i)) != 0)
			return false;
	}
	return a->path_style == b->path_style &&
	       a->is_foreign == b->is_foreign && a->is_public == b->is_public;
}

int upload_s3_write(const struct upload_s3 *s3, struct buf *out)
{
	json_t *root = json_object();
	int err;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (json_object_set_new(root, texts[i].name,
					json_string(text_of(s3, i)))) {
			json_decref(root);
			return ENOMEM;
		}
	}
	err = json_object_set_new(root, "path_style",
				  json_boolean(s3->path_style))
		      ? ENOMEM
		      : json_text_write(root, out);
	json_decref(root);
	return err;
}

int upload_s3_parse(const char *text, struct upload_place **out)
{
	struct upload_s3 s3 = {0};
	json_error_t where;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
	int err = 0;

	if (!root)
		return json_error_code(&where) == json_error_out_of_memory
			       ? ENOMEM
			       : EBADMSG;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		const char *value =
			json_string_value(json_object_get(root, texts[i].name));

		if (!value)
			err = EBADMSG;
		set_text(&s3, i, value);
	}
	s3.path_style = json_is_true(json_object_get(root, "path_style"));
	if (!err)
		err = upload_place_copy(&s3, out);
	json_decref(root);
	return err;
}
