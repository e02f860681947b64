/** config/config.c -- load, free. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/build.h"
#include "config/parse.h"

static struct builder *builder_new(void)
{
	struct builder *b = mem_zalloc(sizeof(*b));

	if (!b || !builder_init(b))
		return b;
	mem_free(b);
	return NULL;
}

/** Give out what was built; free the builder. */
static int finish(struct builder *b, int err, struct config **out)
{
	if (!err) {
		*out = b->config;
		b->config = NULL;
	}
	builder_fini(b);
	mem_free(b);
	return err;
}

int config_parse(const char *name, const void *text, size_t len,
		 struct config **out, struct err *e)
{
	struct builder *b = builder_new();

	if (!b)
		return err_set(e, ENOMEM, "", "%.96s:1:1: out of memory", name);
	return finish(b, parse_document(name, text, len, &b->draft, e), out);
}

int config_load(const char *path, struct config **out, struct err *e)
{
	struct builder *b = builder_new();

	if (!b)
		return err_set(e, ENOMEM, "", "%.96s:1:1: out of memory", path);
	return finish(b, parse_file(path, &b->draft, e), out);
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
	mem_free((char *)(uintptr_t)c->tls.cert_file);
	mem_free((char *)(uintptr_t)c->tls.key_file);
	mem_free(c->allowed_origins);
	mem_free(c->storage_dir);
	config_free_text(c->s3.endpoint);
	config_free_text(c->s3.region);
	config_free_text(c->s3.bucket);
	config_free_text(c->s3.prefix);
	config_free_text(c->s3.access_key);
	config_free_text(c->s3.secret_key);
	mem_free(c->data_dir);
	mem_free(c->callbacks_origin);
	mem_free(c);
}
