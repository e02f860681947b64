/**
 * config/receive.c -- the file of `tapeop receive`: values -> apps with their
 * keys; and what a file that was read again changes.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "config/parse.h"

/* The places of the names in receive.def are these numbers; auto comes before
 * them. */
static_assert(DIALECT_GME == 0 && DIALECT_LIVE == 1 && DIALECT_TRTC == 2 &&
		      DIALECT_STANDARD == 3 && DIALECT_N == 4,
	      "dialect");
static_assert(LOG_ERROR == 0 && LOG_DEBUG == 3, "log_level");

/** What is being read. */
struct receive_builder {
	struct draft draft;
	struct config_receive *config; /* owned until it is taken */
	struct value values[RX_SETTING_N];
	struct mark item_at[RX_GROUP_N];
	struct mark key_at[RECEIVE_KEYS_MAX]; /* of the open app */
};

static struct mark place(const struct receive_builder *b,
			 enum receive_setting_id id)
{
	return draft_place(&b->draft, id);
}

static char *take(struct receive_builder *b, enum receive_setting_id id)
{
	return draft_take(&b->draft, id);
}

/** The app whose item is open: one behind those that are done. */
static struct receive_app *open_app(struct receive_builder *b)
{
	return &b->config->apps[b->config->n_apps];
}

static int make_room(struct receive_builder *b)
{
	struct config_receive *c = b->config;

	if (!c->apps)
		c->apps = mem_zalloc_n(RECEIVE_APPS_MAX, sizeof(*c->apps));
	return c->apps ? 0 : ENOMEM;
}

/* ---- a key ------------------------------------------------------------------ */

static int build_key(struct receive_builder *b, struct mark *at, struct err *e)
{
	struct receive_app *app = open_app(b);
	const int64_t place_of = b->values[SET_RX_KEY_DIALECT].number;
	const char *secret = b->values[SET_RX_KEY_KEY].text;
	struct err why;

	*at = place(b, SET_RX_KEY_KEY);
	if (place_of == 1 + DIALECT_STANDARD &&
	    callback_key_check(DIALECT_STANDARD, secret, &why))
		return err_set(e, EINVAL, "key", "%s", why.text);
	if (place_of && place_of != 1 + DIALECT_STANDARD &&
	    !strncmp(secret, "whpk_", 5))
		return err_set(e, EINVAL, "key",
			       "whpk_ is public: it verifies the dialect "
			       "standard only");
	b->key_at[app->n_keys] = place_of ? place(b, SET_RX_KEY_DIALECT)
					  : b->item_at[GROUP_ID_RX_KEY];
	app->keys[app->n_keys++] = (struct receive_key){
		.secret = take(b, SET_RX_KEY_KEY),
		.dialects = place_of ? 1U << (place_of - 1)
				     : (unsigned)RECEIVE_ALL_DIALECTS,
	};
	return 0;
}

/* ---- an app ----------------------------------------------------------------- */

static int check_id(const struct receive_builder *b, uint32_t id,
		    struct mark *at, struct err *e)
{
	*at = place(b, SET_RX_APP_ID);
	for (size_t i = 0; i < b->config->n_apps; i++) {
		if (b->config->apps[i].id == id)
			return err_set(e, EINVAL, "id",
				       "is taken by apps[%zu]: must be unique",
				       i);
	}
	return 0;
}

/** A key that is for nothing, or nothing that it could be taken by. */
static int check_keys(const struct receive_builder *b,
		      const struct receive_app *app, struct mark *at,
		      struct err *e)
{
	char field[32];

	for (size_t i = 0; i < app->n_keys; i++) {
		if (app->keys[i].dialects & app->dialects)
			continue;
		*at = b->key_at[i];
		snprintf(field, sizeof(field), "keys[%zu].dialect", i);
		return err_set(e, EINVAL, field,
			       "is not in dialects: the key would verify "
			       "nothing");
	}
	*at = place(b, SET_RX_APP_UNSIGNED_LIVE);
	if (app->unsigned_live && !(app->dialects & 1U << DIALECT_LIVE))
		return err_set(e, EINVAL, "unsigned_live",
			       "live is not in dialects");
	*at = b->item_at[GROUP_ID_RX_APP];
	if (!app->n_keys && !app->unsigned_live)
		return err_set(e, EINVAL, "keys",
			       "is missing: at least one, or unsigned_live: "
			       "true");
	return 0;
}

/** "" is none. */
static int check_url(const struct receive_builder *b,
		     enum receive_setting_id id, struct mark *at, struct err *e)
{
	const char *url = b->values[id].text;
	struct err why;

	*at = place(b, id);
	if (!url || !*url || !http_url_check(url, &why))
		return 0;
	return err_set(e, EINVAL, "forward", "%s", why.text);
}

static int build_app(struct receive_builder *b, struct mark *at, struct err *e)
{
	struct receive_app *app = open_app(b);
	const struct value *dialects = &b->values[SET_RX_APP_DIALECTS];
	int err;

	app->id = (uint32_t)b->values[SET_RX_APP_ID].number;
	app->dialects = dialects->given ? (unsigned)dialects->number
					: (unsigned)RECEIVE_ALL_DIALECTS;
	app->unsigned_live = b->values[SET_RX_APP_UNSIGNED_LIVE].number;
	err = check_id(b, app->id, at, e);
	if (!err)
		err = check_keys(b, app, at, e);
	if (!err)
		err = check_url(b, SET_RX_APP_FORWARD, at, e);
	if (err)
		return err;
	app->name = take(b, SET_RX_APP_NAME);
	app->forward = take(b, SET_RX_APP_FORWARD);
	app->exec = take(b, SET_RX_APP_EXEC);
	b->config->n_apps++;
	return 0;
}

/* ---- the rest ----------------------------------------------------------------- */

/** What the app does not say is the default; its "" is none.
 *  Returns 0 or ENOMEM. */
static int fill_in(const char **text, const char *preset)
{
	if (!*text && preset) {
		*text = mem_strdup(preset);
		return *text ? 0 : ENOMEM;
	}
	if (*text && !**text) {
		mem_free((char *)(uintptr_t)*text);
		*text = NULL;
	}
	return 0;
}

static int build_tls(struct receive_builder *b, struct mark *at, struct err *e)
{
	struct http_tls_config *tls = &b->config->tls;

	tls->cert_file = take(b, SET_RX_TLS_CERT);
	tls->key_file = take(b, SET_RX_TLS_KEY);
	tls->client_ca_file = take(b, SET_RX_TLS_CLIENT_CA);
	*at = b->item_at[GROUP_ID_RX_TLS];
	if (!tls->cert_file != !tls->key_file)
		return err_set(e, EINVAL, tls->cert_file ? "key" : "cert",
			       "is missing: cert and key belong together");
	if (tls->client_ca_file && !tls->cert_file)
		return err_set(e, EINVAL, "cert",
			       "is missing: client_ca needs "
			       "cert and key");
	return 0;
}

static int build_root(struct receive_builder *b, struct mark *at, struct err *e)
{
	struct config_receive *c = b->config;
	int err = check_url(b, SET_RX_FORWARD, at, e);

	if (err)
		return err;
	*at = b->item_at[GROUP_ID_RX_ROOT];
	if (!c->n_apps)
		return err_set(e, EINVAL, "apps", "is missing: at least one");
	for (size_t i = 0; i < c->n_apps && !err; i++) {
		err = fill_in(&c->apps[i].forward,
			      b->values[SET_RX_FORWARD].text);
		if (!err)
			err = fill_in(&c->apps[i].exec,
				      b->values[SET_RX_EXEC].text);
	}
	if (err)
		return err_no_memory(e);
	c->listen = b->values[SET_RX_LISTEN].addrs[0];
	c->data_dir = take(b, SET_RX_DATA_DIR);
	c->log_level = (enum log_level)b->values[SET_RX_LOG_LEVEL].number;
	c->max_per_address = (unsigned)b->values[SET_RX_MAX_PER_ADDRESS].number;
	return 0;
}

static int end_group(struct draft *d, unsigned group, struct mark *at,
		     struct err *e)
{
	struct receive_builder *b =
		CONTAINER_OF(d, struct receive_builder, draft);

	if (make_room(b))
		return err_no_memory(e);
	switch (group) {
	case GROUP_ID_RX_KEY:
		return build_key(b, at, e);
	case GROUP_ID_RX_APP:
		return build_app(b, at, e);
	case GROUP_ID_RX_TLS:
		return build_tls(b, at, e);
	default:
		return build_root(b, at, e);
	}
}

/* ---- loading ---------------------------------------------------------------- */

static struct receive_builder *builder_new(void)
{
	struct receive_builder *b = mem_zalloc(sizeof(*b));

	if (!b)
		return NULL;
	b->draft = (struct draft){
		.table = &receive_table,
		.values = b->values,
		.item_at = b->item_at,
		.end = end_group,
	};
	b->config = mem_zalloc(sizeof(*b->config));
	if (b->config)
		return b;
	mem_free(b);
	return NULL;
}

/** Give out what was built; free the builder. */
static int finish(struct receive_builder *b, int err,
		  struct config_receive **out)
{
	draft_clear(&b->draft);
	if (err)
		config_receive_free(b->config);
	else
		*out = b->config;
	mem_free(b);
	return err;
}

int config_receive_parse(const char *name, const void *text, size_t len,
			 struct config_receive **out, struct err *e)
{
	struct receive_builder *b = builder_new();

	if (!b)
		return err_set(e, ENOMEM, "", "%.96s:1:1: out of memory", name);
	return finish(b, parse_document(name, text, len, &b->draft, e), out);
}

int config_receive_load(const char *path, struct config_receive **out,
			struct err *e)
{
	struct receive_builder *b = builder_new();

	if (!b)
		return err_set(e, ENOMEM, "", "%.96s:1:1: out of memory", path);
	return finish(b, parse_file(path, &b->draft, e), out);
}

void config_receive_free(struct config_receive *c)
{
	if (!c)
		return;
	/* All of them: a load that failed leaves one open behind the last. */
	receive_apps_free(c->apps, RECEIVE_APPS_MAX);
	mem_free((char *)(uintptr_t)c->tls.cert_file);
	mem_free((char *)(uintptr_t)c->tls.key_file);
	mem_free((char *)(uintptr_t)c->tls.client_ca_file);
	mem_free(c->data_dir);
	mem_free(c);
}

/* ---- reading it again ------------------------------------------------------- */

/** The same files; what is in them is read each time. */
static bool is_same_tls(const struct http_tls_config *a,
			const struct http_tls_config *b)
{
	return str_is_same(a->cert_file, b->cert_file) &&
	       str_is_same(a->key_file, b->key_file) &&
	       str_is_same(a->client_ca_file, b->client_ca_file);
}

static bool is_same_app(const struct receive_app *a,
			const struct receive_app *b)
{
	bool same = a->n_keys == b->n_keys && a->dialects == b->dialects &&
		    a->unsigned_live == b->unsigned_live &&
		    str_is_same(a->name, b->name) &&
		    str_is_same(a->forward, b->forward) &&
		    str_is_same(a->exec, b->exec);

	for (size_t i = 0; i < a->n_keys && same; i++)
		same = a->keys[i].dialects == b->keys[i].dialects &&
		       str_is_same(a->keys[i].secret, b->keys[i].secret);
	return same;
}

static const struct receive_app *find_app(const struct config_receive *c,
					  uint32_t id)
{
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].id == id)
			return &c->apps[i];
	}
	return NULL;
}

static void write_app(uint32_t id, const char *what, struct buf *out)
{
	buf_printf(out, "%sapp %" PRIu32 " %s", out->len ? ", " : "", id, what);
}

void config_receive_write_changes(const struct config_receive *running,
				  const struct config_receive *next,
				  struct buf *out)
{
	if (running->log_level != next->log_level)
		buf_puts(out, "log_level");
	for (size_t i = 0; i < next->n_apps; i++) {
		const struct receive_app *app = &next->apps[i];
		const struct receive_app *was = find_app(running, app->id);

		if (!was || !is_same_app(was, app))
			write_app(app->id, was ? "changed" : "new", out);
	}
	for (size_t i = 0; i < running->n_apps; i++) {
		if (!find_app(next, running->apps[i].id))
			write_app(running->apps[i].id, "removed", out);
	}
}

void config_receive_write_later(const struct config_receive *running,
				const struct config_receive *next,
				struct buf *out)
{
	char was[ADDR_TEXT_MAX], now[ADDR_TEXT_MAX];

	if (strcmp(addr_write(&running->listen, was),
		   addr_write(&next->listen, now)) != 0)
		buf_puts(out, "listen");
	if (!str_is_same(running->data_dir, next->data_dir))
		buf_printf(out, "%sdata_dir", out->len ? ", " : "");
	if (running->max_per_address != next->max_per_address)
		buf_printf(out, "%smax_per_address", out->len ? ", " : "");
	if (!is_same_tls(&running->tls, &next->tls))
		buf_printf(out, "%stls", out->len ? ", " : "");
}

void config_receive_take(struct config_receive *running,
			 struct config_receive *next)
{
	struct receive_app *apps = running->apps;
	const size_t n_apps = running->n_apps;

	running->apps = next->apps;
	running->n_apps = next->n_apps;
	running->log_level = next->log_level;
	next->apps = apps;
	next->n_apps = n_apps;
}
