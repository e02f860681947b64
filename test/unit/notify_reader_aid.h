/**
 * test/unit/notify_reader_aid.h -- reads settings of an endpoint as the real
 * reader would: name, url and key; url "" is not permitted.  Without a key it
 * is the app's.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_NOTIFY_READER_AID_H
#define TEST_UNIT_NOTIFY_READER_AID_H

#include <errno.h>

#include "base/mem.h"
#include "notify/notify.h"

struct aid_read {
	struct notify_endpoint endpoint;
	json_t *settings;
};

static const char *aid_app_key = "";

static const char *aid_text(const json_t *settings, const char *key)
{
	const char *text = json_string_value(json_object_get(settings, key));

	return text ? text : "";
}

static int aid_read_endpoint(uint32_t app, const json_t *settings,
			     struct notify_read *out, struct err *e, void *arg)
{
	struct aid_read *r;

	(void)arg;
	if (app == 404)
		return err_set(e, ENOENT, "app", "there is no such app");
	if (!*aid_text(settings, "url"))
		return err_set(e, EINVAL, "url", "is empty");
	r = mem_zalloc(sizeof(*r));
	if (!r)
		return err_set(e, ENOMEM, "", "out of memory");
	r->settings = json_deep_copy(settings);
	r->endpoint = (struct notify_endpoint){
		.app = app,
		.name = aid_text(r->settings, "name"),
		.url = aid_text(r->settings, "url"),
		.key = aid_text(r->settings, "key"),
		.shown = "{\"has_key\":true}",
		.timeout_us = 20 * (int64_t)1000000,
		.allow_private = true,
		.enabled =
			!json_is_false(json_object_get(r->settings, "enabled")),
	};
	if (!*r->endpoint.key)
		r->endpoint.key = aid_app_key;
	for (int k = 0; k < EVENT_KIND_N; k++)
		r->endpoint.kinds[k] = true;
	if (deliver_retry_parse("1s", &r->endpoint.retry, e)) {
		json_decref(r->settings);
		mem_free(r);
		return EINVAL;
	}
	out->endpoint = &r->endpoint;
	out->owner = r;
	return 0;
}

static void aid_free_read(void *owner)
{
	struct aid_read *r = owner;

	json_decref(r->settings);
	mem_free(r);
}

static const struct notify_reader aid_reader = {.read = aid_read_endpoint,
						.free = aid_free_read};

#endif
