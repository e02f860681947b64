/** test/unit/commands_reload_test.c -- a reload is all or nothing, whatever
 *  fails on the way. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/reload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- a world that may fail ------------------------------------------------- */

enum { ENDPOINTS = 16, APPS = 8 };

static struct world {
	struct {
		uint64_t id; /* 0: none */
		char url[64], key[64], previous_key[64];
	} endpoints[ENDPOINTS];
	char token[64], previous[64];
	char bucket_key[64];
	struct app_config apps[APPS];
	size_t n_apps;
	char keys[256]; /* of the Cloud API: "app/id/key/previous/app's; " */
} world;

static unsigned calls, fail_at; /* the n-th that can fail; 0: none */
static bool removed;
static uint32_t rereads[APPS]; /* of these apps */
static unsigned n_rereads;

static bool fails(void)
{
	return ++calls == fail_at;
}

int notify_set_endpoint(struct notify *n, const struct notify_endpoint *e,
			struct err *err)
{
	const uint64_t id = notify_endpoint_id(e->app, e->name);
	size_t at = 0;

	(void)n;
	assert_false(removed);
	if (fails())
		return calls % 2 ? ENOMEM
				 : err_set(err, EINVAL, "url", "bad url");
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (!world.endpoints[i].id)
			at = i;
	}
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (world.endpoints[i].id == id)
			at = i;
	}
	memset(&world.endpoints[at], 0, sizeof(world.endpoints[at]));
	world.endpoints[at].id = id;
	str_copy(world.endpoints[at].url, 64, e->url);
	str_copy(world.endpoints[at].key, 64, e->key);
	str_copy(world.endpoints[at].previous_key, 64, e->previous_key);
	return 0;
}

int notify_remove_endpoint(struct notify *n, uint64_t id)
{
	(void)n;
	removed |= !fail_at;
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (world.endpoints[i].id != id)
			continue;
		memset(&world.endpoints[i], 0, sizeof(world.endpoints[i]));
		return 0;
	}
	return ENOENT;
}

uint64_t notify_endpoint_id(uint32_t app, const char *name)
{
	return ((uint64_t)app << 32) + (uint8_t)name[0];
}

int control_set_tokens(struct control *c, const char *token,
		       const char *previous)
{
	(void)c;
	assert_false(removed);
	if (fails())
		return ENOMEM;
	str_copy(world.token, sizeof(world.token), token ? token : "");
	str_copy(world.previous, sizeof(world.previous),
		 previous ? previous : "");
	return 0;
}

static unsigned tls_reads;

int control_reload_tls(struct control *c, const struct http_tls_config *tls,
		       struct err *e)
{
	(void)c;
	assert_false(removed);
	assert_string_equal(tls->cert_file, "cert.pem"); /* the running one */
	if (fails())
		return err_set(e, EINVAL, "tls", "certificate cert.pem: no");
	tls_reads++;
	return 0;
}

struct control_keys {
	char text[256];
};

int control_keys_new(const struct control_key *keys, size_t n,
		     struct control_keys **out)
{
	struct control_keys *k;
	size_t len = 0;

	if (fail_at && fails())
		return ENOMEM;
	k = mem_zalloc(sizeof(*k));
	assert_non_null(k);
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(k->text + len, sizeof(k->text) - len,
					"%u/%s/%s/%s/%s; ", keys[i].app,
					keys[i].secret_id, keys[i].secret_key,
					keys[i].previous_secret_key
						? keys[i].previous_secret_key
						: "",
					keys[i].app_key);
	*out = k;
	return 0;
}

int control_keys_add_app(struct control_keys *k, uint32_t app, const char *key,
			 const char *previous)
{
	const size_t len = strlen(k->text);

	if (fail_at && fails())
		return ENOMEM;
	snprintf(k->text + len, sizeof(k->text) - len, "app %u %s/%s; ", app,
		 key, previous ? previous : "");
	return 0;
}

void control_keys_free(struct control_keys *k)
{
	mem_free(k);
}

void control_take_keys(struct control *c, struct control_keys *k)
{
	(void)c;
	str_copy(world.keys, sizeof(world.keys), k->text);
	control_keys_free(k);
}

void notify_reread_kept(struct notify *n, uint32_t app)
{
	(void)n;
	assert_true(n_rereads < APPS);
	rereads[n_rereads++] = app;
}

int rooms_set_bucket(struct rooms *r, const struct upload_s3 *s3)
{
	(void)r;
	assert_false(removed);
	if (fails())
		return ENOMEM;
	str_copy(world.bucket_key, sizeof(world.bucket_key), s3->secret_key);
	return 0;
}

void rooms_set_app(struct rooms *r, const struct app_config *config)
{
	size_t i = 0;

	(void)r;
	while (i < world.n_apps && world.apps[i].id != config->id)
		i++;
	world.n_apps += i == world.n_apps;
	world.apps[i] = *config;
	world.apps[i].name = NULL;
}

/* ---- what was said --------------------------------------------------------- */

static char said[4096];

static void keep(enum log_level level, const char *line, void *arg)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	size_t len = strlen(said);

	(void)arg;
	/* "TIME level text" */
	snprintf(said + len, sizeof(said) - len, "%s%s\n", levels[level],
		 strchr(strchr(line, ' ') + 1, ' '));
}

/* ---- before and after ------------------------------------------------------- */

static const char before[] =
	"http: {admin_token: token-1, tls_cert: cert.pem, tls_key: "
	"key.pem}\n"
	"storage: {s3: {endpoint: \"https://s\", bucket: buc, access_key: a, "
	"secret_key: bucket-1}}\n"
	"apps:\n"
	"  - id: 1\n"
	"    secret_key: secret-1\n"
	"    api_keys: [{secret_id: A, secret_key: a-1}]\n"
	"    callbacks: [{name: a, url: http://h/a}, {name: b, url: "
	"http://h/b}, {name: c, url: http://h/c, key: own}]\n"
	"  - {id: 2, secret_key: x, api_keys: [{secret_id: B, secret_key: b}], "
	"callbacks: [{name: a, url: http://h/}]}\n";

static const char after[] =
	"log_level: warn\n"
	"data_dir: /elsewhere\n"
	"http: {admin_token: token-2, previous_admin_token: token-1, tls_cert: "
	"other.pem, tls_key: key.pem}\n"
	"media: {rtp_ports: 2000-2010}\n"
	"storage: {s3: {endpoint: \"https://s\", bucket: buc, access_key: a, "
	"secret_key: bucket-2}}\n"
	"apps:\n"
	"  - id: 1\n"
	"    secret_key: secret-2\n"
	"    previous_secret_key: secret-1\n"
	"    api_keys: [{secret_id: A, secret_key: a-2, previous_secret_key: "
	"a-1}, {secret_id: C, secret_key: c}]\n"
	"    recording: {format: ogg}\n"
	"    callbacks: [{name: a, url: http://h/a}, {name: c, url: "
	"http://h/c2, key: own}, {name: d, url: http://h/, dialect: trtc}]\n"
	"  - {id: 3, secret_key: x, callbacks: [{name: a, url: http://h/}]}\n";

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct err e = {0};

	if (config_parse("t.yaml", text, strlen(text), &c, &e))
		fail_msg("%s", e.text);
	return c;
}

/** As a start makes it. */
static struct config *begin(void)
{
	struct config *c = load(before);
	struct err e;

	memset(&world, 0, sizeof(world));
	fail_at = 0;
	removed = false;
	said[0] = 0;
	log_set_level(LOG_INFO);
	for (size_t i = 0; i < c->n_apps; i++) {
		rooms_set_app(NULL, &c->apps[i].app);
		for (size_t k = 0; k < c->apps[i].n_endpoints; k++)
			assert_int_equal(
				notify_set_endpoint(
					NULL, &c->apps[i].endpoints[k], &e),
				0);
	}
	assert_int_equal(control_set_tokens(NULL, c->admin_token, NULL), 0);
	assert_int_equal(rooms_set_bucket(NULL, &c->s3), 0);
	calls = 0;
	return c;
}

static const char *key_of(uint32_t app, const char *name, bool previous)
{
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (world.endpoints[i].id == notify_endpoint_id(app, name))
			return previous ? world.endpoints[i].previous_key
					: world.endpoints[i].key;
	}
	return NULL;
}

static void all_of_it_is_true_afterwards(void **state)
{
	struct config *running = begin(), *next = load(after);
	const struct reload_parts p = {.config = running};
	struct err e;

	(void)state;
	assert_int_equal(reload_apply(&p, next, &e), 0);
	config_free(next);
	assert_string_equal(world.token, "token-2");
	assert_string_equal(world.previous, "token-1");
	assert_string_equal(world.bucket_key, "bucket-2");
	assert_string_equal(running->s3.secret_key, "bucket-2");
	assert_string_equal(key_of(1, "a", false), "secret-2");
	assert_string_equal(key_of(1, "a", true), "secret-1");
	assert_null(key_of(1, "b", false));
	assert_string_equal(key_of(1, "c", true), "");
	assert_string_equal(key_of(1, "d", false), "");
	assert_string_equal(key_of(2, "a", false), "x"); /* gone: it stays */
	assert_string_equal(key_of(3, "a", false), "x");
	assert_string_equal(world.keys,
			    "1/A/a-2/a-1/secret-2; 1/C/c//secret-2; "
			    "2/B/b//x; app 1 secret-2/secret-1; app 3 x/; "
			    "app 2 x/; ");
	assert_int_equal(n_rereads, 2);
	assert_int_equal(rereads[0], 3);
	assert_int_equal(rereads[1], 1);
	assert_int_equal(world.n_apps, 3);
	assert_int_equal(world.apps[0].recording.format, FORMAT_OGG);
	assert_int_equal(running->n_apps, 3);
	assert_string_equal(
		said,
		"info reload: log_level, app 1 endpoint d new, app 3 endpoint "
		"a new, app 1 endpoint a changed, app 1 endpoint c changed, "
		"storage.s3 keys, http.admin_token, app 3 new, app 1 changed, "
		"app 1 endpoint b "
		"removed\n"
		"warn reload: data_dir, http.tls_cert, media.rtp_ports, app 2 "
		"(gone) changed: they take effect at the next start\n"
		"warn app=1 endpoint=d has no key: its callbacks carry no "
		"Sign, and anybody can forge them\n");

	/* The same again touches nothing. */
	calls = 0;
	removed = false;
	said[0] = 0;
	log_set_level(LOG_INFO);
	running->log_level = LOG_INFO;
	next = load(strstr(after, "data_dir"));
	assert_int_equal(reload_apply(&p, next, &e), 0);
	config_free(next);
	assert_int_equal(calls, 1); /* the certificate may be another */
	assert_int_equal(tls_reads, 2);
	assert_false(removed);
	assert_int_equal(n_rereads, 2);
	assert_string_equal(said, "warn reload: data_dir, http.tls_cert, "
				  "media.rtp_ports, app 2 (gone) changed: they "
				  "take effect at the next start\n");
	config_free(running);
}

static int compare_endpoints(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(world.endpoints[0]));
}

static void when_one_step_fails_nothing_has_changed(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (unsigned n = 1;; n++) {
		struct config *running = begin(), *next = load(after);
		const struct reload_parts p = {.config = running};
		struct world was = world;
		struct err e = {0};

		fail_at = n;
		if (!reload_apply(&p, next, &e)) {
			config_free(next);
			config_free(running);
			break;
		}
		failures++;
		assert_true(*e.text);
		/* but for the order */
		qsort(was.endpoints, ENDPOINTS, sizeof(was.endpoints[0]),
		      compare_endpoints);
		qsort(world.endpoints, ENDPOINTS, sizeof(was.endpoints[0]),
		      compare_endpoints);
		assert_memory_equal(&was, &world, sizeof(was));
		assert_string_equal(running->admin_token, "token-1");
		assert_string_equal(running->s3.secret_key, "bucket-1");
		assert_int_equal(running->n_apps, 2);
		assert_string_equal(said, "");
		config_free(next);
		config_free(running);
	}
	/* the keys of the Cloud API, of 3 apps, TLS, 4 endpoints, the keys of
	 * the bucket, the tokens */
	assert_int_equal(failures, 11);
}

static void a_key_of_an_app_that_is_gone_is_not_another_apps(void **state)
{
	struct config *running = begin();
	struct config *next = load("apps: [{id: 3, secret_key: x, api_keys: "
				   "[{secret_id: B, secret_key: y}]}]\n");
	const struct reload_parts p = {.config = running};
	struct err e = {0};

	(void)state;
	assert_int_equal(reload_apply(&p, next, &e), EEXIST);
	assert_non_null(strstr(e.text, "B is also of an app that is gone"));
	assert_int_equal(running->n_apps, 2);
	assert_string_equal(world.keys, "");
	config_free(next);
	config_free(running);
}

static void no_secret_is_said_and_a_long_line_ends(void **state)
{
	struct config *running = begin(), *next;
	const struct reload_parts p = {.config = running};
	struct buf text;
	struct err e;

	(void)state;
	buf_init(&text, 65536);
	buf_puts(&text, "http: {admin_token: token-3}\n"
			"apps:\n  - id: 1\n    secret_key: hush-hush\n"
			"    callbacks:\n");
	for (int c = 'e'; c <= 'p'; c++)
		buf_printf(&text,
			   "    - {name: %c%s, url: \"http://h/?key=hush\"}\n",
			   c,
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			   "xxxxxxxxxxx");
	next = load(buf_str(&text));
	buf_fini(&text);
	assert_int_equal(reload_apply(&p, next, &e), 0);
	assert_non_null(strstr(said, "more\n"));
	assert_true((size_t)(strchr(said, '\n') - said) < 1000);
	assert_null(strstr(said, "hush"));
	assert_null(strstr(said, "token-"));
	config_free(next);
	config_free(running);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_true_afterwards),
		cmocka_unit_test(when_one_step_fails_nothing_has_changed),
		cmocka_unit_test(
			a_key_of_an_app_that_is_gone_is_not_another_apps),
		cmocka_unit_test(no_secret_is_said_and_a_long_line_ends),
	};

	log_set_sink(keep, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
