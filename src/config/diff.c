/**
 * config/diff.c -- what a file that was read again changes.
 *
 * WHY   Apps and endpoints are compared as what they were built into, so that
 *       a secret that was read from its file anew is a change, and another
 *       way to write the same is none.  What only a start can change is
 *       compared by setting, so that it can be named.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "config/config.h"
#include "config/settings.h"

/* ---- the same? ------------------------------------------------------------ */

static bool is_same_retry(const struct deliver_retry *a,
			  const struct deliver_retry *b)
{
	return a->n == b->n && a->n_short == b->n_short && a->on == b->on &&
	       !memcmp(a->delay_us, b->delay_us, a->n * sizeof(a->delay_us[0]));
}

/** Of one app and name. */
static bool is_same_endpoint(const struct notify_endpoint *a,
			     const struct notify_endpoint *b)
{
	return str_is_same(a->url, b->url) && str_is_same(a->key, b->key) &&
	       str_is_same(a->previous_key, b->previous_key) &&
	       a->dialect == b->dialect && a->encoding == b->encoding &&
	       !memcmp(a->kinds, b->kinds, sizeof(a->kinds)) &&
	       a->enabled == b->enabled && a->extended == b->extended &&
	       a->timeout_us == b->timeout_us &&
	       is_same_retry(&a->retry, &b->retry) && a->order == b->order &&
	       a->verdict == b->verdict && a->expire_us == b->expire_us &&
	       a->allow_private == b->allow_private &&
	       a->max_in_flight == b->max_in_flight &&
	       a->per_minute == b->per_minute && a->handshake == b->handshake;
}

static bool are_same_api_keys(const struct config_app *a,
			      const struct config_app *b)
{
	if (a->n_api_keys != b->n_api_keys)
		return false;
	for (size_t i = 0; i < a->n_api_keys; i++) {
		const struct config_api_key *x = &a->api_keys[i];
		const struct config_api_key *y = &b->api_keys[i];

		if (!str_is_same(x->secret_id, y->secret_id) ||
		    !str_is_same(x->secret_key, y->secret_key) ||
		    !str_is_same(x->previous_secret_key,
				 y->previous_secret_key) ||
		    x->actions != y->actions)
			return false;
	}
	return true;
}

static bool is_same_app(const struct config_app *a, const struct config_app *b)
{
	const struct recording_config *x = &a->app.recording;
	const struct recording_config *y = &b->app.recording;

	return str_is_same(a->app.name, b->app.name) &&
	       str_is_same(a->secret_key, b->secret_key) &&
	       str_is_same(a->previous_secret_key, b->previous_secret_key) &&
	       are_same_api_keys(a, b) && x->auto_mode == y->auto_mode &&
	       x->is_not_on_request == y->is_not_on_request &&
	       x->format == y->format && x->sample_rate == y->sample_rate &&
	       x->max_idle_us == y->max_idle_us &&
	       x->hold_empty_us == y->hold_empty_us &&
	       x->segment_us == y->segment_us &&
	       x->mic_off_splits == y->mic_off_splits &&
	       x->mic_off_after_us == y->mic_off_after_us &&
	       x->zone_minutes == y->zone_minutes &&
	       x->input_lost_after_us == y->input_lost_after_us &&
	       x->no_audio_after_us == y->no_audio_after_us &&
	       x->keep_us == y->keep_us &&
	       x->keep_history_us == y->keep_history_us;
}

/* ---- finding --------------------------------------------------------------- */

static const struct notify_endpoint *find_endpoint(const struct config_app *app,
						   const char *name)
{
	for (size_t i = 0; app && i < app->n_endpoints; i++) {
		if (!strcmp(app->endpoints[i].name, name))
			return &app->endpoints[i];
	}
	return NULL;
}

const struct notify_endpoint *config_find_endpoint(const struct config *c,
						   uint32_t app,
						   const char *name)
{
	return find_endpoint(config_find_app(c, app), name);
}

/* ---- what a running server can change --------------------------------------- */

/** A walk over changes. */
struct walk {
	int (*fn)(const struct config_change *c, void *arg);
	void *arg;
	enum config_what what; /* only these */
};

static int meet(const struct walk *w, enum config_what what,
		const struct config_app *app, const struct notify_endpoint *e)
{
	const struct config_change c = {what, app, e};

	return what == w->what ? w->fn(&c, w->arg) : 0;
}

/** The endpoints of an app that differ from, or are not in, `old`. */
static int walk_endpoints(const struct walk *w, const struct config_app *old,
			  const struct config_app *app)
{
	int stop = 0;

	for (size_t i = 0; i < app->n_endpoints && !stop; i++) {
		const struct notify_endpoint *e = &app->endpoints[i];
		const struct notify_endpoint *was = find_endpoint(old, e->name);

		if (!was)
			stop = meet(w, CONFIG_ENDPOINT_NEW, app, e);
		else if (!is_same_endpoint(was, e))
			stop = meet(w, CONFIG_ENDPOINT_CHANGED, app, e);
	}
	return stop;
}

static int walk_gone(const struct walk *w, const struct config_app *old,
		     const struct config_app *app)
{
	int stop = 0;

	for (size_t i = 0; i < old->n_endpoints && !stop; i++) {
		if (!find_endpoint(app, old->endpoints[i].name))
			stop = meet(w, CONFIG_ENDPOINT_GONE, old,
				    &old->endpoints[i]);
	}
	return stop;
}

static int walk_apps(const struct walk *w, const struct config *old,
		     const struct config *next)
{
	int stop = 0;

	for (size_t i = 0; i < next->n_apps && !stop; i++) {
		const struct config_app *app = &next->apps[i];
		const struct config_app *was =
			config_find_app(old, app->app.id);

		if (!was)
			stop = meet(w, CONFIG_APP_NEW, app, NULL);
		else if (!is_same_app(was, app))
			stop = meet(w, CONFIG_APP_CHANGED, app, NULL);
		if (!stop)
			stop = walk_endpoints(w, was, app);
		if (!stop && was)
			stop = walk_gone(w, was, app);
	}
	return stop;
}

/** Can `next` be without a token where `running` listens? */
static bool keeps_token(const struct config *running, const struct config *next)
{
	bool is_open = false;

	for (size_t i = 0; i < running->n_listen; i++)
		is_open |= !addr_is_loopback(&running->listen[i]);
	return is_open && running->admin_token && !next->admin_token;
}

static bool is_same_access(const struct config *a, const struct config *b)
{
	return str_is_same(a->admin_token, b->admin_token) &&
	       str_is_same(a->previous_admin_token, b->previous_admin_token);
}

/** Other keys are of another bucket, if that is one. */
static bool is_same_bucket(const struct config *a, const struct config *b)
{
	const struct upload_s3 *x = &a->s3;
	const struct upload_s3 *y = &b->s3;

	return str_is_same(x->endpoint, y->endpoint) &&
	       str_is_same(x->region, y->region) &&
	       str_is_same(x->bucket, y->bucket) &&
	       str_is_same(x->prefix, y->prefix) &&
	       x->path_style == y->path_style;
}

static bool are_same_bucket_keys(const struct config *a, const struct config *b)
{
	return str_is_same(a->s3.access_key, b->s3.access_key) &&
	       str_is_same(a->s3.secret_key, b->s3.secret_key);
}

int config_each_change(const struct config *old, const struct config *next,
		       int (*fn)(const struct config_change *c, void *arg),
		       void *arg)
{
	int stop = 0;

	for (unsigned i = 0; i < CONFIG_WHAT_N && !stop; i++) {
		const struct walk w = {fn, arg, (enum config_what)i};

		if (old->log_level != next->log_level)
			stop = meet(&w, CONFIG_LOG_LEVEL, NULL, NULL);
		if (!stop && is_same_bucket(old, next) &&
		    !are_same_bucket_keys(old, next))
			stop = meet(&w, CONFIG_BUCKET_KEYS, NULL, NULL);
		if (!stop && !is_same_access(old, next) &&
		    !keeps_token(old, next))
			stop = meet(&w, CONFIG_ADMIN_TOKEN, NULL, NULL);
		if (!stop)
			stop = walk_apps(&w, old, next);
	}
	return stop;
}

/* ---- what only a start can change ------------------------------------------- */

static void write_name(const char *name, struct buf *out)
{
	buf_printf(out, "%s%s", out->len ? ", " : "", name);
}

void config_write_later(const struct config *running, const struct config *next,
			struct buf *out)
{
	for (unsigned i = 0; i < SETTING_N; i++) {
		struct buf path;

		if (!setting_is_fixed(&serve_table, &settings[i]) ||
		    !strcmp(running->fixed[i], next->fixed[i]))
			continue;
		buf_init(&path, 256);
		setting_write_path(&serve_table, &settings[i], &path);
		write_name(buf_str(&path), out);
		buf_fini(&path);
	}
	if (keeps_token(running, next))
		write_name("http.admin_token", out);
	if (!is_same_bucket(running, next) &&
	    !are_same_bucket_keys(running, next))
		write_name("the keys of storage.s3", out);
	for (size_t i = 0; i < running->n_apps; i++) {
		const uint32_t id = running->apps[i].app.id;

		if (!config_find_app(next, id))
			buf_printf(out, "%sapp %" PRIu32 " (gone)",
				   out->len ? ", " : "", id);
	}
}

/* ---- making it true ---------------------------------------------------------- */

int config_reserve(const struct config *running, struct config *next,
		   struct err *e)
{
	size_t n = next->n_apps;

	for (size_t i = 0; i < running->n_apps; i++)
		n += !config_find_app(next, running->apps[i].app.id);
	if (n > CONFIG_APPS_MAX)
		return err_set(e, ENOSPC, "apps",
			       "apps: too many: apps that are gone from the "
			       "file count until the next start, at most %d",
			       CONFIG_APPS_MAX);
	if (n && !next->apps)
		next->apps = mem_zalloc_n(CONFIG_APPS_MAX, sizeof(*next->apps));
	return n && !next->apps ? err_no_memory(e) : 0;
}

#define SWAP(member)                                               \
	do {                                                       \
		__typeof__(running->member) was = running->member; \
                                                                   \
		running->member = next->member;                    \
		next->member = was;                                \
	} while (0)

void config_take(struct config *running, struct config *next)
{
	const bool keep = keeps_token(running, next);

	for (size_t i = 0; i < running->n_apps; i++) {
		struct config_app *app = &running->apps[i];

		if (config_find_app(next, app->app.id))
			continue;
		assert(next->n_apps < CONFIG_APPS_MAX);
		next->apps[next->n_apps++] = *app;
		*app = (struct config_app){0};
	}
	SWAP(log_level);
	SWAP(apps);
	SWAP(n_apps);
	if (is_same_bucket(running, next)) {
		SWAP(s3.access_key);
		SWAP(s3.secret_key);
	}
	if (!keep) {
		SWAP(admin_token);
		SWAP(previous_admin_token);
	}
	SWAP(file);
	SWAP(secret_files);
	SWAP(n_secret_files);
	SWAP(n_secret_literals);
}
