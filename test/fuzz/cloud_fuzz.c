/** test/fuzz/cloud_fuzz.c -- what strangers ask of the Cloud API. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cloud.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_text(const struct cloud_error *e)
{
	assert(e->code[0] && e->text[0]);
	assert(strlen(e->code) < sizeof(e->code));
	assert(str_is_clean_utf8(e->text, strlen(e->text)));
}

static void check_ids(const struct cloud_users *u, size_t max)
{
	struct err why;

	assert(u->n <= max);
	for (size_t i = 0; i < u->n; i++)
		assert(!event_id_check(u->ids[i], "", &why));
}

/** Whatever is taken is what the rooms are promised. */
static void check_request(const struct cloud_request *q)
{
	struct err why;

	assert(q->app);
	assert(!q->room || !event_id_check(q->room, "", &why));
	assert(!q->user || !event_id_check(q->user, "", &why));
	assert(!(q->allow.n && q->block.n));
	check_ids(&q->allow, CLOUD_USERS_MAX);
	check_ids(&q->block, CLOUD_USERS_MAX);
	check_ids(&q->rooms, CLOUD_ROOMS_MAX);
	assert(q->task <= INT64_MAX);
	switch (q->action) {
	case CLOUD_CREATE_RECORDING:
		assert(q->user && q->user_sig && q->storage.bucket);
		assert(q->max_idle_s >= 5 && q->max_minutes >= 1);
		assert(q->room && q->mode >= 1 && q->mode <= 3);
		break;
	case CLOUD_START_RECORD:
		assert(q->room && q->mode >= 1 && q->mode <= 3);
		break;
	case CLOUD_DESCRIBE_TASK_INFO:
		assert(q->room);
		break;
	case CLOUD_DESCRIBE_ROOM_INFO:
		assert(q->rooms.n);
		break;
	default:
		assert(q->task);
		break;
	}
}

static void read_tree(enum cloud_action action, json_t *root, bool is_form)
{
	struct cloud_request q;
	struct cloud_error e = {0};

	if (cloud_read(action, root, is_form, &q, &e))
		check_request(&q);
	else
		check_text(&e);
}

/** Lines "name=value"; also as version and action. */
static json_t *read_form(char *text)
{
	json_t *root = json_object();
	enum cloud_action a;
	struct cloud_error e = {0};
	char *rest = text;

	for (char *line = strsep(&rest, "\n"); line;
	     line = strsep(&rest, "\n")) {
		char *value = strchr(line, '=');
		int err;

		if (value)
			*value++ = 0;
		if (!cloud_find("2018-07-11", line, &a, &e))
			check_text(&e);
		if (!cloud_find(line, "StartRecord", &a, &e))
			check_text(&e);
		err = cloud_form_put(root, line, value ? value : "");
		assert(!err || err == EINVAL || err == EEXIST);
	}
	return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
	enum cloud_action action;
	char *text;
	json_t *root;

	if (!len)
		return 0;
	action = (enum cloud_action)((data[0] & 0x7f) % CLOUD_ACTION_N);
	text = mem_strndup((const char *)data + 1, len - 1);
	if (!text)
		return 0;
	if (data[0] & 0x80) {
		root = read_form(text);
		read_tree(action, root, true);
	} else {
		root = json_loads(text, flags, NULL);
		if (!root)
			root = json_loads(text, flags | JSON_DECODE_INT_AS_REAL,
					  NULL);
		if (root)
			read_tree(action, root, false);
	}
	json_decref(root);
	mem_free(text);
	return 0;
}
