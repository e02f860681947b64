/** config/config.c -- load, free. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/build.h"
#include "config/parse.h"

int config_parse(const char *name, const void *text, size_t len,
		 struct config **out, struct err *e)
{
	struct builder *b;
	int err;

	if (len > CONFIG_FILE_MAX)
		return err_set(e, EFBIG, "",
			       "%.96s:1:1: the file is too long: at most %d "
			       "bytes",
			       name, CONFIG_FILE_MAX);
	b = mem_zalloc(sizeof(*b));
	if (!b || builder_init(b)) {
		mem_free(b);
		return err_set(e, ENOMEM, "", "%.96s:1:1: out of memory", name);
	}
	err = parse_document(name, text, len, b, e);
	if (!err) {
		*out = b->config;
		b->config = NULL;
	}
	builder_fini(b);
	mem_free(b);
	return err;
}

int config_load(const char *path, struct config **out, struct err *e)
{
	char reason[128];
	struct buf text;
	int err;

	buf_init(&text, CONFIG_FILE_MAX);
	err = file_read(path, &text);
	if (err == EMSGSIZE)
		err = err_set(e, EFBIG, "",
			      "%.96s:1:1: the file is too long: at most %d "
			      "bytes",
			      path, CONFIG_FILE_MAX);
	else if (err)
		err_set(e, err, "", "%.96s:1:1: cannot be read: %s", path,
			strerror_r(err, reason, sizeof(reason)));
	else
		err = config_parse(path, buf_str(&text), text.len, out, e);
	buf_fini_secret(&text);
	return err;
}

void config_free_text(const char *text)
{
	/* What notify.h shows as const was allocated by us. */
	mem_free_secret((char *)(uintptr_t)text);
}

static void free_app(struct config_app *a)
{
	for (size_t i = 0; i < a->n_endpoints; i++) {
		config_free_text(a->endpoints[i].name);
		config_free_text(a->endpoints[i].url);
		config_free_text(a->endpoints[i].key);
		config_free_text(a->endpoints[i].previous_key);
		config_free_text(a->endpoints[i].shown);
	}
	mem_free(a->endpoints);
	for (size_t i = 0; i < a->n_api_keys; i++) {
		mem_free(a->api_keys[i].secret_id);
		mem_free_secret(a->api_keys[i].secret_key);
		mem_free_secret(a->api_keys[i].previous_secret_key);
	}
	mem_free(a->api_keys);
	config_free_text(a->app.name);
	mem_free_secret(a->secret_key);
	mem_free_secret(a->previous_secret_key);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	/* All of them: a load that failed leaves one open behind the last. */
	for (size_t i = 0; c->apps && i < CONFIG_APPS_MAX; i++)
		free_app(&c->apps[i]);
	mem_free(c->apps);
	for (size_t i = 0; i < c->n_secret_files; i++)
		mem_free(c->secret_files[i]);
	mem_free(c->secret_files);
	for (size_t i = 0; c->fixed && i < SETTING_N; i++)
		mem_free_secret(c->fixed[i]);
	mem_free(c->fixed);
	mem_free_secret(c->admin_token);
	mem_free_secret(c->previous_admin_token);
	mem_free(c->storage_dir);
	mem_free(c->data_dir);
	mem_free(c->callbacks_origin);
	mem_free(c);
}
