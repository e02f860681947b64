/**
 * control/apps.c -- apps in the API: look, make, change, keys, remove.
 *
 * Whoever keeps apps takes them whole (control_apps.put), so that a change is
 * made here, in a copy of the settings, and checked there as any other.
 * What shows or changes a key is in the log with who asked.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "control/call.h"
#include "wire/sig.h"

#define HOUR_US	       ((int64_t)3600 * CLOCK_US_PER_S)
#define OVERLAP_MAX_US (30 * 24 * HOUR_US)

enum {
	APP_KEY_LEN = 32,      /* bytes; written as hex, as TRTC does */
	API_KEY_LEN = 32,      /* letters and digits, as the vendor's are */
	API_KEYS_MAX = 10,     /* of an app, as in the file */
	OVERLAP_DEFAULT_H = 24 /* so long does the key before stay good */
};

/* ---- looking -------------------------------------------------------------------- */

static bool find_app(struct call *c, uint32_t id, struct control_app *out)
{
	const struct control_apps *apps = &c->control->apps;

	for (size_t i = 0; apps->at(i, out, apps->owner); i++) {
		if (out->id == id)
			return true;
	}
	return false;
}

static unsigned count_endpoints(struct call *c, uint32_t app)
{
	struct notify_endpoint_info info;
	unsigned n = 0;

	for (size_t i = 0; notify_endpoint_at(c->control->notify, i, &info);
	     i++)
		n += info.app == app;
	return n;
}

/** NULL: out of memory. */
static json_t *app_json(struct call *c, const struct control_app *app)
{
	json_t *object = json_loads(app->shown, 0, NULL);
	json_t *more = json_pack(
		"{s:s, s:o, s:i, s:o}", "source", app->is_kept ? "api" : "file",
		"file",
		app->is_kept ? json_null()
			     : json_string(c->control->apps.file(
				       c->control->apps.owner)),
		"endpoints", (int)count_endpoints(c, app->id),
		"previous_until_ms",
		app->previous_until_ms ? json_integer(app->previous_until_ms)
				       : json_null());
	int bad = json_object_update(object, more);

	json_decref(more);
	if (!bad)
		return object;
	json_decref(object);
	return NULL;
}

void apps_list(struct call *c)
{
	const struct control_apps *apps = &c->control->apps;
	json_t *list = json_array();
	struct control_app app;

	for (size_t i = 0; list && apps->at(i, &app, apps->owner); i++) {
		if (json_array_append_new(list, app_json(c, &app))) {
			json_decref(list);
			list = NULL;
		}
	}
	call_reply(c, 200, json_pack("{s:o}", "apps", list));
}

/** The path names an app that is there; answers itself when not. */
static bool read_app(struct call *c, struct control_app *app)
{
	uint32_t id;

	if (!call_app(c, c->parts[0], &id))
		return false;
	c->id = id;
	if (find_app(c, id, app))
		return true;
	call_problem(c, 404, "app", "there is no app %" PRIu32, id);
	return false;
}

void apps_show(struct call *c)
{
	struct control_app app;

	if (read_app(c, &app))
		call_reply(c, 200, app_json(c, &app));
}

/* ---- what came of it ------------------------------------------------------------- */

/** Is there somebody to be answered, and with success?  Answers itself when
 *  not. */
static bool is_done(struct call *c, const struct err *e)
{
	if (!c->request) { /* and the server may stop */
		call_free(c);
		return false;
	}
	if (e->code) {
		call_setting_error(c, e);
		return false;
	}
	return true;
}

static void answer_app(struct call *c, int status)
{
	struct control_app app;

	if (find_app(c, (uint32_t)c->id, &app))
		call_reply(c, status, app_json(c, &app));
	else
		call_problem(c, 404, "app", "it is removed already");
}

static void on_made(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_info("app=%" PRIu64 " made from=%s", c->id, c->client_ip);
	if (is_done(c, e))
		answer_app(c, 201);
}

static void on_changed(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_info("app=%" PRIu64 " changed from=%s", c->id,
			 c->client_ip);
	if (is_done(c, e))
		answer_app(c, 200);
}

static void on_removed(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_info("app=%" PRIu64 " removed from=%s", c->id,
			 c->client_ip);
	if (is_done(c, e))
		call_reply(c, 200,
			   json_pack("{s:I, s:b}", "id", (json_int_t)c->id,
				     "removed", 1));
}

/** c->answer is the answer. */
static void answer_kept(struct call *c, int status)
{
	json_t *answer = c->answer;

	c->answer = NULL;
	call_reply(c, status, answer);
}

/* ---- changing settings ------------------------------------------------------------- */

/** Put `settings` (taken over; NULL: out of memory) in force. */
static void put(struct call *c, json_t *settings, int64_t previous_until_ms,
		bool is_new, control_app_fn *done)
{
	const struct control_apps *apps = &c->control->apps;
	const struct control_app_wish wish = {settings, previous_until_ms,
					      is_new};
	struct err e;
	int err = settings ? apps->put(&wish, done, c, &e, apps->owner)
			   : err_no_memory(&e);

	json_decref(settings);
	if (!err)
		return;
	/* of a key pair that was asked for by itself */
	if (str_starts_with(e.field, "api_keys["))
		str_copy(e.field, sizeof(e.field), "actions");
	call_setting_error(c, &e);
}

/** Copy the members of `from` into `to`, null takes out; two levels deep:
 *  recording's settings change one by one.  Returns 0 or -1. */
static int merge(json_t *to, const json_t *from, bool deep)
{
	const char *key;
	json_t *value;

	/* Iterating changes nothing in it. */
	json_object_foreach((json_t *)(uintptr_t)from, key, value)
	{
		json_t *old = json_object_get(to, key);

		if (json_is_null(value)) {
			json_object_del(to, key);
			continue;
		}
		if (deep && json_is_object(value) && !json_is_object(old) &&
		    json_object_set_new(to, key, json_object()))
			return -1;
		old = json_object_get(to, key);
		if (deep && json_is_object(value)
			    ? merge(old, value, false)
			    : json_object_set(to, key, value))
			return -1;
	}
	return 0;
}

/** The app of the path, when it may be changed here; *settings: a copy of
 *  them.  Answers itself when not. */
static bool read_kept(struct call *c, struct control_app *app,
		      json_t **settings)
{
	const struct control_apps *apps = &c->control->apps;
	struct err e;

	if (!read_app(c, app))
		return false;
	if (!app->is_kept) {
		call_problem(c, 409, "app",
			     "the configuration file declares app %" PRIu32
			     ": it is changed in the file, %.200s",
			     app->id, apps->file(apps->owner));
		return false;
	}
	*settings = apps->settings(app->id, apps->owner);
	if (*settings)
		return true;
	err_no_memory(&e);
	call_error(c, &e);
	return false;
}

/* ---- keys are drawn ---------------------------------------------------------------- */

/** A key of an app as TRTC has them: 64 hex digits. */
static int draw_app_key(char out[SIG_HEX_CAP(APP_KEY_LEN)], struct err *e)
{
	uint8_t bytes[APP_KEY_LEN];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return err_set(e, EIO, "", "no random numbers");
	sig_hex(bytes, sizeof(bytes), out);
	mem_wipe(bytes, sizeof(bytes));
	return 0;
}

/** Letters and digits, n of them and a NUL, each as likely. */
static int draw_text(char *out, size_t n, struct err *e)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz0123456789";
	const uint8_t end =
		256 / (sizeof(alphabet) - 1) * (sizeof(alphabet) - 1);
	size_t len = 0;

	while (len < n) {
		uint8_t byte;

		if (RAND_bytes(&byte, 1) != 1)
			return err_set(e, EIO, "", "no random numbers");
		if (byte < end)
			out[len++] = alphabet[byte % (sizeof(alphabet) - 1)];
	}
	out[n] = 0;
	return 0;
}

/* ---- making, changing, removing ------------------------------------------------------ */

/** Give it a key, unless it has one. */
static int complete(json_t *settings, struct err *e)
{
	char key[SIG_HEX_CAP(APP_KEY_LEN)];
	int err;

	if (json_object_get(settings, "secret_key"))
		return 0;
	err = draw_app_key(key, e);
	if (!err &&
	    json_object_set_new(settings, "secret_key", json_string(key)))
		err = err_no_memory(e);
	mem_wipe(key, sizeof(key));
	return err;
}

void apps_make(struct call *c)
{
	static const char *const keys[] = {"id", "name", "secret_key",
					   "recording", NULL};
	json_t *settings;
	struct err e = {0};
	int64_t id = 0;

	if (!call_keys(c, keys) || !call_integer(c, "id", 1, UINT32_MAX, &id))
		return;
	if (!id) {
		call_problem(c, 400, "id",
			     "id: required, a whole number from 1 to %" PRIu32,
			     UINT32_MAX);
		return;
	}
	c->id = (uint64_t)id;
	settings = json_object();
	if (!settings || merge(settings, c->body, true))
		err_no_memory(&e);
	else
		complete(settings, &e);
	if (!e.code) {
		put(c, settings, 0, true, on_made);
		return;
	}
	json_decref(settings);
	call_error(c, &e);
}

void apps_change(struct call *c)
{
	static const char *const keys[] = {"name", "recording", NULL};
	struct control_app app;
	json_t *settings;

	if (json_object_get(c->body, "secret_key")) {
		call_problem(c, 400, "secret_key",
			     "secret_key: is rotated: POST "
			     "/v1/apps/{app}/keys");
		return;
	}
	if (!call_keys(c, keys) || !read_kept(c, &app, &settings))
		return;
	if (merge(settings, c->body, true)) {
		json_decref(settings);
		settings = NULL;
	}
	put(c, settings, app.previous_until_ms, false, on_changed);
}

void apps_remove(struct call *c)
{
	const struct control_apps *apps = &c->control->apps;
	struct control_app app;
	struct err e;

	if (read_app(c, &app) &&
	    apps->drop(app.id, on_removed, c, &e, apps->owner))
		call_error(c, &e);
}

/* ---- its key --------------------------------------------------------------------------- */

/** NULL: out of memory. */
static json_t *keys_json(const struct control_app *app)
{
	return json_pack("{s:I, s:s?, s:s?, s:o}", "id", (json_int_t)app->id,
			 "secret_key", app->secret_key, "previous_secret_key",
			 app->previous_secret_key, "previous_until_ms",
			 app->previous_until_ms
				 ? json_integer(app->previous_until_ms)
				 : json_null());
}

void app_keys_reveal(struct call *c)
{
	static const char *const none[] = {NULL};
	struct control_app app;

	if ((c->body && !call_keys(c, none)) || !read_app(c, &app))
		return;
	log_warn("app=%" PRIu32 " key revealed to=%s", app.id, c->client_ip);
	c->is_secret = true;
	call_reply(c, 200, keys_json(&app));
}

static void on_rotated(const struct err *e, void *arg)
{
	struct call *c = arg;
	struct control_app app;

	if (!e->code)
		log_warn("app=%" PRIu64 " key rotated from=%s", c->id,
			 c->client_ip);
	if (!is_done(c, e))
		return;
	if (!find_app(c, (uint32_t)c->id, &app)) {
		call_problem(c, 404, "app", "it is removed already");
		return;
	}
	c->is_secret = true;
	call_reply(c, 200, keys_json(&app));
}

/** How long the key before stays good; answers itself when that is no time. */
static bool read_overlap(struct call *c, int64_t *us)
{
	static const char what[] = "a time such as \"24h\", from 0s to 30d";
	const char *text;

	*us = OVERLAP_DEFAULT_H * HOUR_US;
	if (!call_string(c, "overlap", what, false, &text))
		return false;
	if (!text || (!str_to_duration_us(text, us) && *us >= 0 &&
		      *us <= OVERLAP_MAX_US))
		return true;
	call_problem(c, 400, "overlap", "overlap: must be %s", what);
	return false;
}

/** Put the key into the place of what was, which stays good for a while. */
static int exchange(json_t *settings, const char *key, bool overlaps)
{
	json_t *was = json_object_get(settings, "secret_key");

	if (overlaps && was) {
		if (json_object_set(settings, "previous_secret_key", was))
			return -1;
	} else {
		json_object_del(settings, "previous_secret_key");
	}
	return json_object_set_new(settings, "secret_key", json_string(key));
}

void app_keys_rotate(struct call *c)
{
	static const char *const keys[] = {"overlap", "secret_key", NULL};
	char drawn[SIG_HEX_CAP(APP_KEY_LEN)];
	struct control_app app;
	json_t *settings = NULL;
	const char *key;
	int64_t overlap_us, until_ms = 0;
	struct err e = {0};

	if ((c->body && !call_keys(c, keys)) || !read_overlap(c, &overlap_us) ||
	    !call_string(c, "secret_key", "a text of 1 to 4096 bytes", false,
			 &key) ||
	    !read_kept(c, &app, &settings))
		return;
	if (overlap_us && app.previous_secret_key) {
		json_decref(settings);
		call_problem(c, 409, "overlap",
			     "the key before this one is still good: end that "
			     "first (DELETE /v1/apps/{app}/keys/previous), or "
			     "set overlap to 0s, and both end now");
		return;
	}
	if (!key && draw_app_key(drawn, &e)) {
		json_decref(settings);
		call_error(c, &e);
		return;
	}
	if (exchange(settings, key ? key : drawn, overlap_us > 0)) {
		json_decref(settings);
		settings = NULL;
	}
	mem_wipe(drawn, sizeof(drawn));
	if (overlap_us && app.secret_key)
		until_ms = clock_unix_ms() + overlap_us / 1000;
	put(c, settings, until_ms, false, on_rotated);
}

static void on_ended(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_warn("app=%" PRIu64 " previous key ended from=%s", c->id,
			 c->client_ip);
	if (is_done(c, e))
		answer_app(c, 200);
}

void app_keys_end(struct call *c)
{
	struct control_app app;
	json_t *settings;

	if (!read_kept(c, &app, &settings))
		return;
	if (!app.previous_secret_key) {
		json_decref(settings);
		call_problem(c, 404, "app",
			     "app %" PRIu32 " has no key before its "
			     "secret_key",
			     app.id);
		return;
	}
	json_object_del(settings, "previous_secret_key");
	put(c, settings, 0, false, on_ended);
}

/* ---- keys of the Cloud API ---------------------------------------------------------------- */

/** The key pair of the path; NULL: there is none.  *at: its place. */
static json_t *find_key(const json_t *settings, const char *secret_id,
			size_t *at)
{
	json_t *list = json_object_get(settings, "api_keys");

	for (*at = 0; *at < json_array_size(list); ++*at) {
		json_t *key = json_array_get(list, *at);
		const char *name =
			json_string_value(json_object_get(key, "secret_id"));

		if (name && !strcmp(name, secret_id))
			return key;
	}
	return NULL;
}

/** Set or, with null, take out its actions. */
static int set_actions(json_t *key, json_t *actions)
{
	if (actions && !json_is_null(actions))
		return json_object_set(key, "actions", actions);
	json_object_del(key, "actions");
	return 0;
}

static void on_key_made(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_info("app=%" PRIu64 " api_key=%s made from=%s", c->id,
			 json_string_value(
				 json_object_get(c->answer, "secret_id")),
			 c->client_ip);
	if (is_done(c, e)) {
		c->is_secret = true;
		answer_kept(c, 201);
	}
}

/** A new key pair.  Returns 0, EIO or ENOMEM with `e`. */
static int draw_pair(json_t **out, struct err *e)
{
	char id[4 + API_KEY_LEN + 1] = "AKID", secret[API_KEY_LEN + 1];
	int err = draw_text(id + 4, API_KEY_LEN, e);

	if (!err)
		err = draw_text(secret, API_KEY_LEN, e);
	if (err)
		return err;
	*out = json_pack("{s:s, s:s}", "secret_id", id, "secret_key", secret);
	mem_wipe(secret, sizeof(secret));
	return *out ? 0 : err_no_memory(e);
}

/** A copy of it. */
static int add_pair(json_t *settings, const json_t *pair)
{
	json_t *list = json_object_get(settings, "api_keys");

	if (!list) {
		list = json_array();
		if (json_object_set_new(settings, "api_keys", list))
			return -1;
	}
	return json_array_append_new(list, json_deep_copy(pair));
}

void api_keys_make_one(struct call *c)
{
	static const char *const keys[] = {"actions", NULL};
	json_t *actions = json_object_get(c->body, "actions");
	struct control_app app;
	json_t *settings, *pair = NULL;
	struct err e = {0};

	if ((c->body && !call_keys(c, keys)) || !read_kept(c, &app, &settings))
		return;
	if (json_array_size(json_object_get(settings, "api_keys")) >=
	    API_KEYS_MAX)
		err_set(&e, EBUSY, "",
			"app %" PRIu32 " has %d API keys: revoke one first",
			app.id, API_KEYS_MAX);
	else if (!draw_pair(&pair, &e) &&
		 (set_actions(pair, actions) || add_pair(settings, pair)))
		err_no_memory(&e);
	c->answer = pair;
	if (!e.code && !actions &&
	    json_object_set_new(pair, "actions", json_null()))
		err_no_memory(&e);
	if (e.code) {
		json_decref(settings);
		call_error(c, &e);
		return;
	}
	put(c, settings, app.previous_until_ms, false, on_key_made);
}

/** The settings of the path's app, and its key pair's place.  Answers itself
 *  when there is no such thing. */
static bool read_key(struct call *c, struct control_app *app, json_t **settings,
		     size_t *at)
{
	if (!read_kept(c, app, settings))
		return false;
	if (find_key(*settings, c->parts[1], at))
		return true;
	json_decref(*settings);
	call_problem(c, 404, "secret_id", "app %" PRIu32 " has no API key %s",
		     app->id, c->parts[1]);
	return false;
}

void api_keys_change(struct call *c)
{
	static const char *const keys[] = {"actions", NULL};
	json_t *actions = json_object_get(c->body, "actions");
	struct control_app app;
	json_t *settings;
	size_t at;

	if (!call_keys(c, keys))
		return;
	if (!actions) {
		call_problem(c, 400, "actions",
			     "actions: required, a list of actions, or null "
			     "for all");
		return;
	}
	if (!read_key(c, &app, &settings, &at))
		return;
	if (set_actions(
		    json_array_get(json_object_get(settings, "api_keys"), at),
		    actions)) {
		json_decref(settings);
		settings = NULL;
	}
	put(c, settings, app.previous_until_ms, false, on_changed);
}

static void on_revoked(const struct err *e, void *arg)
{
	struct call *c = arg;

	if (!e->code)
		log_info("app=%" PRIu64 " api_key=%s revoked from=%s", c->id,
			 c->parts[1], c->client_ip);
	if (is_done(c, e))
		call_reply(c, 200,
			   json_pack("{s:s, s:b}", "secret_id", c->parts[1],
				     "removed", 1));
}

void api_keys_revoke(struct call *c)
{
	struct control_app app;
	json_t *settings;
	size_t at;

	if (!read_key(c, &app, &settings, &at))
		return;
	json_array_remove(json_object_get(settings, "api_keys"), at);
	put(c, settings, app.previous_until_ms, false, on_revoked);
}
