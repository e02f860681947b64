/** test/fuzz/config_fuzz.c -- configuration files from anybody. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char file[] = "file:";
	struct config *c = NULL;
	struct err e = {0};

	/* No files of this machine. */
	if (memmem(data, len, file, strlen(file)))
		return 0;
	if (config_parse("t.yaml", data, len, &c, &e)) {
		assert(e.code && !strncmp(e.text, "t.yaml:", 7));
		assert(!strpbrk(e.text, "\n\r"));
		return 0;
	}
	check(c);
	config_free(c);
	return 0;
}
