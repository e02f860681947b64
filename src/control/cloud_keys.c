/**
 * control/cloud_keys.c -- who may call the Cloud API, and how often.
 *
 * A limit is one time: when the next call would come if all were spaced
 * evenly.  It may lie a burst ahead of now, and no more.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "control/cloud.h"

enum {
	CALL_US = 1000 * 1000 / CLOUD_CALLS_S,
	/* Failures of an address: so many at once, then 20 a second. */
	FAILURE_US = 50 * 1000,
	FAILURES = 200,
	LOGIN_US = 3 * 1000 * 1000, /* a wrong token */
	LOGINS = 10
};

/* ---- keys ----------------------------------------------------------------- */

void control_keys_free(struct control_keys *k)
{
	if (!k)
		return;
	map_fini(&k->map);
	for (size_t i = 0; i < k->n; i++) {
		struct cloud_key *key = &k->keys[i];

		mem_free(key->secret_id);
		mem_free_secret(key->secret_key);
		mem_free_secret(key->previous_secret_key);
		mem_free_secret(key->app_key);
		mem_free_secret(key->previous_app_key);
	}
	for (size_t i = 0; i < k->n_apps; i++) {
		mem_free_secret(k->apps[i].key);
		mem_free_secret(k->apps[i].previous);
	}
	mem_free(k->apps);
	mem_free(k->keys);
	mem_free(k);
}

/** NULL stays NULL. */
static int copy(const char *text, char **out)
{
	*out = text ? mem_strdup(text) : NULL;
	return text && !*out ? ENOMEM : 0;
}

static int add_key(struct control_keys *k, const struct control_key *from)
{
	struct cloud_key *key = &k->keys[k->n++];
	int err;

	key->app = from->app;
	key->actions = from->actions;
	key->secret_id = mem_strdup(from->secret_id);
	if (!key->secret_id)
		return ENOMEM;
	err = copy(from->secret_key, &key->secret_key);
	if (!err)
		err = copy(from->previous_secret_key,
			   &key->previous_secret_key);
	if (!err)
		err = copy(from->app_key, &key->app_key);
	if (!err)
		err = copy(from->previous_app_key, &key->previous_app_key);
	/* two of one name are refused where they are read */
	if (!err)
		err = map_add(&k->map, &key->node, key->secret_id,
			      strlen(key->secret_id));
	return err;
}

int control_keys_new(const struct control_key *keys, size_t n,
		     struct control_keys **out)
{
	struct control_keys *k = mem_zalloc(sizeof(*k));
	int err = 0;

	if (!k)
		return ENOMEM;
	map_init(&k->map);
	k->keys = mem_zalloc_n(n ? n : 1, sizeof(*k->keys));
	if (!k->keys)
		err = ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		err = add_key(k, &keys[i]);
	if (err)
		control_keys_free(k);
	else
		*out = k;
	return err;
}

const struct app_key *app_key_find(const struct control_keys *k, uint32_t app)
{
	for (size_t i = 0; i < k->n_apps; i++) {
		if (k->apps[i].app == app)
			return &k->apps[i];
	}
	return NULL;
}

int control_keys_add_app(struct control_keys *k, uint32_t app, const char *key,
			 const char *previous)
{
	struct app_key *apps;

	assert(!app_key_find(k, app));
	apps = mem_realloc(k->apps, (k->n_apps + 1) * sizeof(*apps));
	if (!apps)
		return ENOMEM;
	k->apps = apps;
	apps[k->n_apps] = (struct app_key){.app = app};
	if (copy(key, &apps[k->n_apps++].key))
		return ENOMEM;
	return copy(previous, &apps[k->n_apps - 1].previous);
}

const struct cloud_key *cloud_key_find(const struct control_keys *k,
				       const char *secret_id)
{
	struct map_node *n = map_find(&k->map, secret_id, strlen(secret_id));

	return n ? CONTAINER_OF(n, struct cloud_key, node) : NULL;
}

/* ---- limits ---------------------------------------------------------------- */

static bool is_over(int64_t due_us, int64_t now_us, int64_t each_us, int burst)
{
	return due_us - now_us > (burst - 1) * each_us;
}

static void take(int64_t *due_us, int64_t now_us, int64_t each_us)
{
	*due_us = (*due_us > now_us ? *due_us : now_us) + each_us;
}

/** Apps do not go while the server runs, so there is room for each. */
static int64_t *due_of(struct cloud_limits *l, uint32_t app,
		       enum cloud_action a)
{
	size_t i = 0;

	while (i < ROOMS_APPS_MAX - 1 && l->apps[i].app &&
	       l->apps[i].app != app)
		i++;
	l->apps[i].app = app;
	return &l->apps[i].due_us[a];
}

bool cloud_limit_call(struct cloud_limits *l, uint32_t app, enum cloud_action a,
		      int64_t now_us)
{
	int64_t *due_us = due_of(l, app, a);

	if (is_over(*due_us, now_us, CALL_US, CLOUD_CALLS_S))
		return false;
	take(due_us, now_us, CALL_US);
	return true;
}

static size_t slot_of(const char *ip)
{
	return map_hash(ip, strlen(ip)) % CLOUD_PEERS;
}

bool cloud_limit_peer_is_over(const struct cloud_limits *l, const char *ip,
			      int64_t now_us)
{
	return is_over(l->peer_due_us[slot_of(ip)], now_us, FAILURE_US,
		       FAILURES);
}

void cloud_limit_peer_failed(struct cloud_limits *l, const char *ip,
			     int64_t now_us)
{
	take(&l->peer_due_us[slot_of(ip)], now_us, FAILURE_US);
}

bool limit_login_is_over(const struct cloud_limits *l, const char *ip,
			 int64_t now_us)
{
	return is_over(l->login_due_us[slot_of(ip)], now_us, LOGIN_US, LOGINS);
}

void limit_login_failed(struct cloud_limits *l, const char *ip, int64_t now_us)
{
	take(&l->login_due_us[slot_of(ip)], now_us, LOGIN_US);
}
