/**
 * config/build.c -- values -> struct config, with the checks that look at
 * more than one setting.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "config/build.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"

/* The places of the names in settings.def are these numbers. */
static_assert(LOG_ERROR == 0 && LOG_DEBUG == 3, "log_level");
static_assert(DIALECT_GME == 0 && DIALECT_LIVE == 1 && DIALECT_TRTC == 2 &&
		      DIALECT_STANDARD == 3,
	      "dialect");
static_assert(SIGNATURE_BASE64 == 0 && SIGNATURE_HEX == 1, "encoding");
static_assert(ORDER_TASK == 0 && ORDER_STRICT == 1 && ORDER_NONE == 2, "order");
static_assert(UPLOAD_LOCAL == 0 && UPLOAD_S3 == 1, "storage.kind");
static_assert(NOTIFY_BY_STATUS == 0 && NOTIFY_BY_BODY == 1, "verdict");

enum { FIXED_MAX = 8192 }; /* a value's text */

static struct mark place(const struct builder *b, enum setting_id id)
{
	return draft_place(&b->draft, id);
}

static int64_t number(const struct builder *b, enum setting_id id)
{
	return b->values[id].number;
}

static char *take(struct builder *b, enum setting_id id)
{
	return draft_take(&b->draft, id);
}

/* ---- secrets ------------------------------------------------------------- */

/** Remember where a secret that was read came from, as it was written. */
static int note_secret(struct draft *d, const char *spec)
{
	struct config *c = CONTAINER_OF(d, struct builder, draft)->config;
	const char *path;
	enum secret_kind kind = secret_kind(spec, &path);
	char **files;

	c->n_secret_literals += kind == SECRET_LITERAL && *spec;
	if (kind != SECRET_FILE)
		return 0;
	for (size_t i = 0; i < c->n_secret_files; i++) {
		if (!strcmp(c->secret_files[i], path))
			return 0;
	}
	files = mem_realloc(c->secret_files,
			    (c->n_secret_files + 1) * sizeof(*files));
	if (!files)
		return ENOMEM;
	c->secret_files = files;
	files[c->n_secret_files] = mem_strdup(path);
	if (!files[c->n_secret_files])
		return ENOMEM;
	c->n_secret_files++;
	return 0;
}

/* ---- an endpoint -------------------------------------------------------- */

static int check_name(struct builder *b, const struct config_app *app,
		      struct mark *at, struct err *e)
{
	const char *name = b->values[SET_CB_NAME].text;

	*at = place(b, SET_CB_NAME);
	if (name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789_-")])
		return err_set(e, EINVAL, "name",
			       "must be 1 to 63 letters, digits, - and _");
	for (size_t i = 0; i < app->n_endpoints; i++) {
		if (!strcmp(app->endpoints[i].name, name))
			return err_set(e, EINVAL, "name",
				       "is taken by callbacks[%zu]: must be "
				       "unique in its app",
				       i);
	}
	return 0;
}

static int check_url(struct builder *b, struct mark *at, struct err *e)
{
	struct err why;
	int err = http_url_check(b->values[SET_CB_URL].text, &why);

	*at = place(b, SET_CB_URL);
	return err ? err_set(e, err, "url", "%s", why.text) : 0;
}

static int read_kinds(struct builder *b, struct notify_endpoint *ep,
		      struct mark *at, struct err *e)
{
	const struct value *v = &b->values[SET_CB_EVENTS];

	for (unsigned i = 0; i < EVENT_KIND_N; i++) {
		const enum event_kind kind = (enum event_kind)i;
		const bool has =
			kind != EVENT_TEST && callback_has(ep->dialect, kind);

		ep->kinds[i] = v->kinds[i] || (has && (v->all || !v->given));
		if (!ep->kinds[i] || has)
			continue;
		*at = v->kind_at[i];
		return err_set(e, EINVAL, "events",
			       "the dialect %s has no word for %s",
			       dialect_name(ep->dialect),
			       event_kind_name(kind));
	}
	return 0;
}

static int check_encoding(const struct builder *b,
			  const struct notify_endpoint *ep, struct mark *at,
			  struct err *e)
{
	*at = place(b, SET_CB_ENCODING);
	if (ep->dialect != DIALECT_GME && ep->encoding != SIGNATURE_BASE64)
		return err_set(e, EINVAL, "signature_encoding",
			       "is for the dialect gme only: remove it");
	return 0;
}

/** A key that is not set is looked at when the app's is known. */
static int check_key(const struct builder *b, enum setting_id id,
		     const struct notify_endpoint *ep, struct mark *at,
		     struct err *e)
{
	const char *key = b->values[id].text;
	struct err why;

	*at = place(b, id);
	if (callback_key_check(ep->dialect, key, &why))
		return err_set(e, EINVAL, settings[id].key, "%s", why.text);
	if (ep->dialect == DIALECT_STANDARD && !callback_key_signs(key))
		return err_set(e, EINVAL, settings[id].key,
			       "whpk_ verifies only: must be the whsk_ that "
			       "belongs to it");
	return 0;
}

static int check_keys(const struct builder *b, const struct notify_endpoint *ep,
		      struct mark *at, struct err *e)
{
	int err = check_key(b, SET_CB_KEY, ep, at, e);

	if (!err && *b->values[SET_CB_PREVIOUS_KEY].text)
		err = check_key(b, SET_CB_PREVIOUS_KEY, ep, at, e);
	return err;
}

static int build_endpoint(struct builder *b, struct config_app *app,
			  struct mark *at, struct err *e)
{
	struct notify_endpoint ep = {
		.dialect = (enum dialect)number(b, SET_CB_DIALECT),
		.encoding = (enum signature_encoding)number(b, SET_CB_ENCODING),
		.timeout_us = number(b, SET_CB_TIMEOUT),
		.order = (enum deliver_order)number(b, SET_CB_ORDER),
		.expire_us = number(b, SET_CB_EXPIRE),
		.allow_private = number(b, SET_CB_PRIVATE),
		.max_in_flight = (unsigned)number(b, SET_CB_IN_FLIGHT),
		.per_minute = (uint32_t)number(b, SET_CB_RATE),
		.handshake = number(b, SET_CB_HANDSHAKE),
		.enabled = number(b, SET_CB_ENABLED),
		.extended = number(b, SET_CB_EXTENDED),
	};
	int err = check_name(b, app, at, e);

	if (!err)
		err = check_url(b, at, e);
	if (!err)
		err = read_kinds(b, &ep, at, e);
	if (!err)
		err = check_encoding(b, &ep, at, e);
	if (!err)
		err = check_keys(b, &ep, at, e);
	if (!err)
		err = deliver_retry_parse(b->values[SET_CB_RETRY].text,
					  &ep.retry, e);
	if (err)
		return err;
	ep.verdict =
		ep.dialect == DIALECT_LIVE ? NOTIFY_BY_BODY : NOTIFY_BY_STATUS;
	if (b->values[SET_CB_VERDICT].given)
		ep.verdict = (enum notify_verdict)number(b, SET_CB_VERDICT);
	ep.shown = config_show_endpoint(b->values, &ep);
	if (!ep.shown)
		return err_no_memory(e);
	ep.name = take(b, SET_CB_NAME);
	ep.url = take(b, SET_CB_URL);
	ep.key = take(b, SET_CB_KEY);
	ep.previous_key = take(b, SET_CB_PREVIOUS_KEY);
	b->endpoint_at[app->n_endpoints] = b->item_at[GROUP_ID_CALLBACK];
	app->endpoints[app->n_endpoints++] = ep;
	return 0;
}

/* ---- an app ------------------------------------------------------------- */

/** The app whose item is open: one behind those that are done. */
static struct config_app *open_app(struct builder *b)
{
	return &b->config->apps[b->config->n_apps];
}

/** Make room for the app and its endpoints.  Returns 0 or ENOMEM. */
static int make_room(struct builder *b)
{
	struct config *c = b->config;
	struct config_app *app;

	if (!c->apps)
		c->apps = mem_zalloc_n(CONFIG_APPS_MAX, sizeof(*c->apps));
	if (!c->apps)
		return ENOMEM;
	app = open_app(b);
	if (!app->endpoints)
		app->endpoints = mem_zalloc_n(CONFIG_ENDPOINTS_MAX,
					      sizeof(*app->endpoints));
	if (!app->api_keys)
		app->api_keys = mem_zalloc_n(CONFIG_API_KEYS_MAX,
					     sizeof(*app->api_keys));
	return app->endpoints && app->api_keys ? 0 : ENOMEM;
}

/** gme signs every callback: with its own key, or with those of the app. */
static int give_app_keys(struct notify_endpoint *ep,
			 const struct config_app *app)
{
	config_free_text(ep->key);
	ep->key = mem_strdup(app->secret_key);
	if (!ep->key)
		return ENOMEM;
	if (*ep->previous_key || !app->previous_secret_key)
		return 0;
	config_free_text(ep->previous_key);
	ep->previous_key = mem_strdup(app->previous_secret_key);
	return ep->previous_key ? 0 : ENOMEM;
}

static int give_keys(struct builder *b, struct config_app *app, struct mark *at,
		     struct err *e)
{
	for (size_t i = 0; i < app->n_endpoints; i++) {
		struct notify_endpoint *ep = &app->endpoints[i];
		const bool is_gme = ep->dialect == DIALECT_GME;
		char field[48];

		ep->app = app->app.id;
		*at = b->endpoint_at[i];
		snprintf(field, sizeof(field), "callbacks[%zu].key", i);
		if (*ep->key)
			continue;
		if (is_gme && !app->secret_key)
			return err_set(e, EINVAL, field,
				       "the dialect gme needs a key: set it, "
				       "or secret_key of the app");
		if (!is_gme && *ep->previous_key)
			return err_set(e, EINVAL, field,
				       "is required, because previous_key is "
				       "set");
		if (is_gme && give_app_keys(ep, app))
			return err_no_memory(e);
	}
	return 0;
}

/** All that are done, and those of the app that is open. */
static bool has_secret_id(const struct config *c, const char *id)
{
	for (size_t i = 0; i <= c->n_apps; i++) {
		for (size_t k = 0; k < c->apps[i].n_api_keys; k++) {
			if (!strcmp(c->apps[i].api_keys[k].secret_id, id))
				return true;
		}
	}
	return false;
}

static int build_api_key(struct builder *b, struct config_app *app,
			 struct mark *at, struct err *e)
{
	const char *id = b->values[SET_API_KEY_ID].text;
	struct config_api_key *key = &app->api_keys[app->n_api_keys];

	*at = place(b, SET_API_KEY_ID);
	if (id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			  "abcdefghijklmnopqrstuvwxyz0123456789-_.*@+")])
		return err_set(e, EINVAL, "secret_id",
			       "must be 1 to 127 letters, digits and -_.*@+");
	if (has_secret_id(b->config, id))
		return err_set(e, EINVAL, "secret_id",
			       "is there twice: must be unique in the file");
	key->secret_id = take(b, SET_API_KEY_ID);
	key->secret_key = take(b, SET_API_KEY_SECRET);
	key->previous_secret_key = take(b, SET_API_KEY_PREVIOUS);
	key->actions = b->values[SET_API_KEY_ACTIONS].given
			       ? (uint32_t)number(b, SET_API_KEY_ACTIONS)
			       : UINT32_MAX;
	app->n_api_keys++;
	return 0;
}

static int build_app(struct builder *b, struct mark *at, struct err *e)
{
	struct config *c = b->config;
	struct config_app *app = open_app(b);
	static const uint32_t rates[] = {48000, 24000, 16000};
	struct recording_config *r = &app->app.recording;
	int err;

	app->app.id = (uint32_t)number(b, SET_APP_ID);
	for (size_t i = 0; i < c->n_apps; i++) {
		if (c->apps[i].app.id != app->app.id)
			continue;
		*at = place(b, SET_APP_ID);
		return err_set(e, EINVAL, "id",
			       "is taken by apps[%zu]: must be unique", i);
	}
	app->shown = config_show_app(b->values, app);
	if (!app->shown)
		return err_no_memory(e);
	app->app.name = take(b, SET_APP_NAME);
	if (b->values[SET_APP_PREVIOUS_SECRET_KEY].given &&
	    !b->values[SET_APP_SECRET_KEY].given) {
		*at = place(b, SET_APP_PREVIOUS_SECRET_KEY);
		return err_set(e, EINVAL, "previous_secret_key",
			       "is what secret_key was: set that, too");
	}
	app->secret_key = take(b, SET_APP_SECRET_KEY);
	app->previous_secret_key = take(b, SET_APP_PREVIOUS_SECRET_KEY);
	r->auto_mode = (enum auto_mode)number(b, SET_REC_AUTO);
	r->is_not_on_request = !number(b, SET_REC_ON_REQUEST);
	r->format = (enum record_format)number(b, SET_REC_FORMAT);
	r->sample_rate = rates[number(b, SET_REC_SAMPLE_RATE)];
	r->max_idle_us = number(b, SET_REC_MAX_IDLE);
	r->hold_empty_us = number(b, SET_REC_HOLD_EMPTY);
	r->segment_us = number(b, SET_REC_SEGMENT);
	r->mic_off_splits = number(b, SET_REC_MIC_OFF) == 0;
	r->mic_off_after_us = number(b, SET_REC_MIC_OFF_AFTER);
	r->zone_minutes = (int)number(b, SET_REC_ZONE);
	r->input_lost_after_us = number(b, SET_REC_INPUT_LOST_AFTER);
	r->no_audio_after_us = number(b, SET_REC_NO_AUDIO_AFTER);
	r->keep_us = number(b, SET_REC_KEEP);
	r->keep_history_us = number(b, SET_REC_KEEP_HISTORY);
	err = give_keys(b, app, at, e);
	if (!err)
		c->n_apps++;
	return err;
}

/* ---- the rest ----------------------------------------------------------- */

static int build_http_tls(struct builder *b, struct mark *at, struct err *e)
{
	struct http_tls_config *tls = &b->config->tls;

	*at = place(b, b->values[SET_HTTP_TLS_CERT].given ? SET_HTTP_TLS_CERT
							  : SET_HTTP_TLS_KEY);
	tls->cert_file = take(b, SET_HTTP_TLS_CERT);
	tls->key_file = take(b, SET_HTTP_TLS_KEY);
	if (!tls->cert_file != !tls->key_file)
		return err_set(e, EINVAL,
			       tls->cert_file ? "http.tls_key"
					      : "http.tls_cert",
			       "is missing: tls_cert and tls_key belong "
			       "together");
	return 0;
}

/** Of a token that others can try.  A limit of guesses would also keep out who
 *  has the right one: whoever shares an address with the guesser. */
static int check_token(const struct builder *b, int id, const char *name,
		       struct mark *at, struct err *e)
{
	const struct value *v = &b->values[id];

	if (!v->given || strlen(v->text) >= CONFIG_TOKEN_MIN)
		return 0;
	*at = place(b, id);
	return err_set(e, EINVAL, name,
		       "can be guessed: other machines can reach http.listen, "
		       "so it must have %d bytes or more; make one with "
		       "`openssl rand -hex 32`",
		       CONFIG_TOKEN_MIN);
}

static int check_tokens(const struct builder *b, struct mark *at, struct err *e)
{
	const struct value *listen = &b->values[SET_HTTP_LISTEN];
	bool is_reached = false;
	int err;

	for (size_t i = 0; i < listen->n; i++)
		is_reached |= !addr_is_loopback(&listen->addrs[i]);
	if (!is_reached)
		return 0;
	err = check_token(b, SET_HTTP_ADMIN_TOKEN, "http.admin_token", at, e);
	return err ? err
		   : check_token(b, SET_HTTP_PREVIOUS_TOKEN,
				 "http.previous_admin_token", at, e);
}

/** Without a token only loopback may ask. */
static int build_http(struct builder *b, struct mark *at, struct err *e)
{
	const struct value *listen = &b->values[SET_HTTP_LISTEN];
	struct config *c = b->config;

	c->n_listen = listen->n;
	memcpy(c->listen, listen->addrs, sizeof(c->listen));
	for (size_t i = 0; i < listen->n; i++) {
		char text[ADDR_TEXT_MAX];

		if (b->values[SET_HTTP_ADMIN_TOKEN].given ||
		    addr_is_loopback(&listen->addrs[i]))
			continue;
		*at = listen->addr_at[i];
		return err_set(e, EINVAL, "http.admin_token",
			       "is required, because http.listen has %s, "
			       "which is not a loopback address",
			       addr_write(&listen->addrs[i], text));
	}
	*at = place(b, SET_HTTP_PREVIOUS_TOKEN);
	if (b->values[SET_HTTP_PREVIOUS_TOKEN].given &&
	    !b->values[SET_HTTP_ADMIN_TOKEN].given)
		return err_set(e, EINVAL, "http.previous_admin_token",
			       "is what admin_token was: set that, too");
	if (check_tokens(b, at, e))
		return e->code;
	c->admin_token = take(b, SET_HTTP_ADMIN_TOKEN);
	c->allowed_origins = take(b, SET_HTTP_ORIGINS);
	c->previous_admin_token = take(b, SET_HTTP_PREVIOUS_TOKEN);
	return build_http_tls(b, at, e);
}

static bool is_multicast(const struct addr *a)
{
	return a->sa.sa_family == AF_INET
		       ? IN_MULTICAST(ntohl(a->in4.sin_addr.s_addr))
		       : IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

/** Unspecified and multicast: nobody can send there. */
static bool is_reachable(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	addr_write(a, text);
	return strcmp(text, "0.0.0.0:0") != 0 && strcmp(text, "[::]:0") != 0 &&
	       !is_multicast(a);
}

static int build_addresses(struct builder *b, struct mark *at, struct err *e)
{
	struct media_config *m = &b->config->media;
	const struct value *address = &b->values[SET_MEDIA_ADDRESS];
	const struct value *bind = &b->values[SET_MEDIA_BIND];

	m->is_near = !address->given && !bind->given;
	m->n_addresses = address->given ? address->n : 1;
	m->addresses[0] = addr_loopback();
	for (size_t i = 0; i < address->n; i++) {
		m->addresses[i] = address->addrs[i];
		*at = address->addr_at[i];
		if (!is_reachable(&m->addresses[i]))
			return err_set(e, EINVAL, "media.address",
				       "must be an address of this machine "
				       "that senders can reach");
	}
	if (bind->given) {
		*at = place(b, SET_MEDIA_BIND);
		m->bind = bind->addrs[0];
		if (is_multicast(&m->bind))
			return err_set(e, EINVAL, "media.bind",
				       "must be an address of this machine");
		return 0;
	}
	*at = place(b, SET_MEDIA_ADDRESS);
	m->bind = m->addresses[0];
	if (m->n_addresses > 1)
		return err_set(e, EINVAL, "media.bind",
			       "is required, because media.address is a list: "
			       "\"::\" is every address of this machine");
	return 0;
}

static int build_media(struct builder *b, struct mark *at, struct err *e)
{
	struct media_config *m = &b->config->media;
	int err = build_addresses(b, at, e);

	if (err)
		return err;
	m->udp_port = (uint16_t)number(b, SET_MEDIA_UDP_PORT);
	m->max_sessions = (unsigned)number(b, SET_MEDIA_MAX_SESSIONS);
	m->max_rooms_per_user =
		(unsigned)number(b, SET_MEDIA_MAX_ROOMS_PER_USER);
	m->rtp_port_first = (uint16_t)number(b, SET_MEDIA_RTP_PORTS);
	m->rtp_port_last = (uint16_t)b->values[SET_MEDIA_RTP_PORTS].number2;
	m->loops = (unsigned)number(b, SET_MEDIA_LOOPS);
	return 0;
}

/** Unless it is set, recordings lie in the data folder. */
static char *storage_dir(struct builder *b)
{
	const char *dir = b->values[SET_DATA_DIR].text;
	struct buf path;
	char *text = take(b, SET_LOCAL_DIR);

	if (text)
		return text;
	buf_init(&path, 4096);
	buf_printf(&path, "%s%srecordings", dir,
		   dir[strlen(dir) - 1] == '/' ? "" : "/");
	if (!buf_err(&path))
		text = buf_take(&path);
	buf_fini(&path);
	return text;
}

/** Folders of the bucket end in their '/'. */
static char *s3_prefix(struct builder *b)
{
	struct buf prefix;
	char *text = take(b, SET_S3_PREFIX);
	const size_t len = text ? strlen(text) : 0;

	if (!len || text[len - 1] == '/')
		return text;
	buf_init(&prefix, len + 1);
	buf_printf(&prefix, "%s/", text);
	mem_free(text);
	text = buf_err(&prefix) ? NULL : buf_take(&prefix);
	buf_fini(&prefix);
	return text;
}

static bool has_s3(const struct upload_s3 *s3)
{
	return *s3->endpoint || *s3->bucket || *s3->prefix || *s3->access_key ||
	       *s3->secret_key;
}

/** A bucket in front of an address is no host name.  Returns 0 or EINVAL. */
static int check_style(struct builder *b, struct mark *at, struct err *e)
{
	const struct upload_s3 *s3 = &b->config->s3;
	char host[256];
	struct addr addr;
	struct err why;
	uint16_t port;

	if (s3->path_style ||
	    http_url_target(s3->endpoint, host, sizeof(host), &port, &why) ||
	    addr_parse(host, &addr))
		return 0;
	*at = place(b, SET_S3_PATH_STYLE);
	return err_set(e, EINVAL, "storage.s3.path_style",
		       "must be true, because storage.s3.endpoint is an "
		       "address (%s): false puts the bucket in front of a host "
		       "name",
		       host);
}

/** Also of kind local they are right, or not there: files that are in the
 *  bucket already are read and erased. */
static int check_s3(struct builder *b, struct mark *at, struct err *e)
{
	static const enum setting_id ids[] = {
		SET_S3_ENDPOINT, SET_S3_REGION,	    SET_S3_BUCKET,
		SET_S3_PREFIX,	 SET_S3_ACCESS_KEY, SET_S3_SECRET_KEY,
	};
	const struct config *c = b->config;
	struct err why;
	char field[64];

	if (c->storage_kind == UPLOAD_LOCAL && !has_s3(&c->s3))
		return 0;
	if (!upload_s3_check(&c->s3, &why))
		return check_style(b, at, e);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		if (!strcmp(settings[ids[i]].key, why.field))
			*at = place(b, ids[i]);
	}
	snprintf(field, sizeof(field), "storage.s3.%.40s", why.field);
	return err_set(e, EINVAL, field, "%s", why.text);
}

static int build_storage(struct builder *b, struct mark *at, struct err *e)
{
	struct config *c = b->config;
	struct upload_s3 *s3 = &c->s3;

	c->storage_kind = (enum upload_kind)number(b, SET_STORAGE_KIND);
	c->storage_dir = storage_dir(b);
	s3->endpoint = take(b, SET_S3_ENDPOINT);
	s3->region = *b->values[SET_S3_REGION].text
			     ? take(b, SET_S3_REGION)
			     : mem_strdup(settings[SET_S3_REGION].def);
	s3->bucket = take(b, SET_S3_BUCKET);
	s3->prefix = s3_prefix(b);
	s3->access_key = take(b, SET_S3_ACCESS_KEY);
	s3->secret_key = take(b, SET_S3_SECRET_KEY);
	s3->path_style = number(b, SET_S3_PATH_STYLE);
	if (!c->storage_dir || !s3->prefix || !s3->region)
		return err_no_memory(e);
	c->left_after_us = number(b, SET_STORAGE_LEFT_AFTER);
	c->private_storage = number(b, SET_STORAGE_ALLOW_PRIVATE);
	return check_s3(b, at, e);
}

/** Keep what only a start can change, for whoever reads the file again. */
static int note_fixed(struct builder *b)
{
	struct config *c = b->config;

	c->fixed = mem_zalloc_n(SETTING_N, sizeof(*c->fixed));
	if (!c->fixed)
		return ENOMEM;
	for (unsigned i = 0; i < SETTING_N; i++) {
		const struct setting *s = &settings[i];
		struct buf text;

		if (!setting_is_fixed(&serve_table, s))
			continue;
		buf_init_secret(&text, FIXED_MAX);
		value_write(s, &b->values[i], &text);
		c->fixed[i] = buf_err(&text) ? NULL : buf_take(&text);
		buf_fini(&text);
		if (!c->fixed[i])
			return ENOMEM;
	}
	return 0;
}

static int build_origin(struct builder *b, struct mark *at, struct err *e)
{
	const char *origin = b->values[SET_CALLBACKS_ORIGIN].text;

	*at = place(b, SET_CALLBACKS_ORIGIN);
	if (origin && notify_origin_check(origin, e))
		return EINVAL;
	b->config->callbacks_origin = take(b, SET_CALLBACKS_ORIGIN);
	return 0;
}

static int build_root(struct builder *b, struct mark *at, struct err *e)
{
	struct config *c = b->config;
	int err = note_fixed(b) ? err_no_memory(e) : build_http(b, at, e);

	if (!err)
		err = build_media(b, at, e);
	if (!err)
		err = build_origin(b, at, e);
	if (!err)
		err = build_storage(b, at, e);
	if (err)
		return err;
	c->data_dir = take(b, SET_DATA_DIR);
	c->log_level = (enum log_level)number(b, SET_LOG_LEVEL);
	return 0;
}

static int end_group(struct draft *d, unsigned group, struct mark *at,
		     struct err *e)
{
	struct builder *b = CONTAINER_OF(d, struct builder, draft);

	if ((group == GROUP_ID_CALLBACK || group == GROUP_ID_API_KEY ||
	     group == GROUP_ID_APP) &&
	    make_room(b))
		return err_no_memory(e);
	switch (group) {
	case GROUP_ID_CALLBACK:
		return build_endpoint(b, open_app(b), at, e);
	case GROUP_ID_API_KEY:
		return build_api_key(b, open_app(b), at, e);
	case GROUP_ID_APP:
		return build_app(b, at, e);
	case GROUP_ID_ROOT:
		return build_root(b, at, e);
	default:
		return 0;
	}
}

int builder_init(struct builder *b)
{
	*b = (struct builder){
		.draft = {.table = &serve_table,
			  .end = end_group,
			  .note_secret = note_secret},
	};
	b->draft.values = b->values;
	b->draft.item_at = b->item_at;
	b->config = mem_zalloc(sizeof(*b->config));
	return b->config ? 0 : ENOMEM;
}

void builder_fini(struct builder *b)
{
	draft_clear(&b->draft);
	config_free(b->config);
	b->config = NULL;
}
