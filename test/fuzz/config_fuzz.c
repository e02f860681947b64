/** test/fuzz/config_fuzz.c -- files of settings from anybody, read as the
 *  server's and as a receiver's. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct config *c)
{
	assert(c->n_listen >= 1 && c->n_listen <= CONFIG_LISTEN_MAX);
	assert(c->n_apps <= CONFIG_APPS_MAX);
	assert(c->data_dir && *c->data_dir);
	assert(c->storage_dir && *c->storage_dir);
	for (size_t i = 0; i < c->n_apps; i++) {
		const struct config_app *a = &c->apps[i];

		assert(a->app.id && a->app.name);
		assert(a->n_endpoints <= CONFIG_ENDPOINTS_MAX);
		for (size_t j = 0; j < a->n_endpoints; j++) {
			const struct notify_endpoint *ep = &a->endpoints[j];

			assert(*ep->name && *ep->url && ep->key);
			assert(ep->app == a->app.id);
			assert(ep->dialect != DIALECT_GME || *ep->key);
		}
	}
}

static void check_refused(const struct err *e)
{
	assert(e->code && !strncmp(e->text, "t.yaml:", 7));
	assert(!strpbrk(e->text, "\n\r"));
}

static void check_receive(const struct config_receive *c)
{
	assert(c->n_apps >= 1 && c->n_apps <= RECEIVE_APPS_MAX);
	assert(c->data_dir && *c->data_dir);
	for (size_t i = 0; i < c->n_apps; i++) {
		const struct receive_app *a = &c->apps[i];

		assert(a->id && a->name && a->dialects);
		assert(a->n_keys <= RECEIVE_KEYS_MAX);
		assert(a->n_keys || a->unsigned_live);
		assert(!a->forward || *a->forward);
		for (size_t k = 0; k < a->n_keys; k++)
			assert(*a->keys[k].secret &&
			       a->keys[k].dialects & a->dialects);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char file[] = "file:";
	struct config_receive *receive = NULL;
	struct config *c = NULL;
	struct err e = {0};

	/* No files of this machine. */
	if (memmem(data, len, file, strlen(file)))
		return 0;
	if (config_parse("t.yaml", data, len, &c, &e)) {
		check_refused(&e);
	} else {
		check(c);
		config_free(c);
	}
	if (config_receive_parse("t.yaml", data, len, &receive, &e)) {
		check_refused(&e);
	} else {
		check_receive(receive);
		config_receive_free(receive);
	}
	return 0;
}
