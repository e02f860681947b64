/** commands/server.c -- one running node, as `serve` and `demo` start it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/server.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "commands/api_keys.h"
#include "commands/apps.h"
#include "control/control.h"
#include "notify/notify.h"
#include "rooms/rooms.h"
#include "store/store.h"

enum {
	BALLAST_BYTES = 4 << 20,
	ORIGIN_CAP = 400, /* a bucket, a host, a port */
	STORE_QUEUE = 100000,
	WORKERS = 4,
	MAX_BODY = 1 << 20,
	DELIVERY_FLIGHTS = 256,
	FACTS_CACHE = 64 << 20,
	DRAIN_US = 5 * 1000 * 1000, /* for deliveries under way */
	DRAIN_LOOK_US = 20 * 1000
};

struct server {
	struct loop *loop;
	struct config *config;
	struct reload_parts parts;
	struct reread reread;
	struct reread_kind reload; /* reload_kind, with the apps of the store */
	struct apps *apps;
	struct store *store;
	struct workers *workers;
	struct notify *notify;
	struct rooms *rooms;
	struct control *control;
	struct timer drain;
	int64_t drain_until_us;
	void (*done)(void *arg);
	void *arg;
};

/* ---- starting ------------------------------------------------------------- */

static int start_store(struct server *s, struct err *e)
{
	struct store_config c = {
		.data_dir = s->config->data_dir,
		.ballast_bytes = BALLAST_BYTES,
		.max_queue = STORE_QUEUE,
	};

	return store_open(&c, &s->store, e);
}

/* Endpoints that are made at run time are read as those of the file are. */
static int read_endpoint(uint32_t app, const json_t *settings,
			 struct notify_read *out, struct err *e, void *arg)
{
	const struct server *s = arg;
	struct config *one;
	int err = config_read_endpoint(s->config, app, settings, &one, e);

	if (err)
		return err;
	out->endpoint = &one->apps[0].endpoints[0];
	out->owner = one;
	return 0;
}

static void free_endpoint(void *owner)
{
	config_free(owner);
}

static int start_notify(struct server *s, struct err *e)
{
	struct notify_config c = {
		.deliver = {.max_in_flight = DELIVERY_FLIGHTS,
			    .facts_cache_bytes = FACTS_CACHE},
		.user_agent = "tapeop",
		.max_connections = DELIVERY_FLIGHTS,
		.origin = s->config->callbacks_origin,
		.reader = {.read = read_endpoint,
			   .free = free_endpoint,
			   .arg = s},
	};
	int err = workers_new("work", WORKERS, &s->workers);

	if (!err)
		err = notify_new(s->loop, s->store, s->workers, &c, &s->notify);
	for (size_t i = 0; !err && i < s->config->n_apps; i++) {
		const struct config_app *app = &s->config->apps[i];

		for (size_t k = 0; !err && k < app->n_endpoints; k++) {
			err = notify_set_endpoint(s->notify, &app->endpoints[k],
						  e);
			reload_warn_of(&app->endpoints[k]);
		}
	}
	if (!err)
		err = notify_load_kept(s->notify);
	if (!err)
		err = notify_start(s->notify);
	if (err && !e->code)
		err_set(e, err, "", "callbacks cannot start: %s",
			strerror(err));
	return err;
}

static int start_rooms(struct server *s, const struct server_hooks *hooks,
		       struct err *e)
{
	const struct config *config = s->config;
	struct rooms_config c = {
		.data_dir = config->data_dir,
		.storage_dir = config->storage_dir,
		.storage_kind = config->storage_kind,
		.s3 = config->s3,
		.private_storage = config->private_storage,
		.media = config->media,
		.left_after_us = config->left_after_us,
		.disk_low_bytes = SERVER_DISK_LOW,
	};
	struct app_config *apps = mem_zalloc_n(config->n_apps, sizeof(*apps));
	int err;

	if (!apps)
		return err_set(e, ENOMEM, "", "out of memory");
	for (size_t i = 0; i < config->n_apps; i++)
		apps[i] = config->apps[i].app;
	if (hooks) {
		c.story = hooks->story;
		c.story_arg = hooks->arg;
	}
	err = rooms_new(s->loop, s->store, s->notify, &c, apps, config->n_apps,
			&s->rooms, e);
	mem_free(apps);
	return err;
}

static int start_control(struct server *s, struct err *e)
{
	const struct upload_place bucket = {.kind = UPLOAD_S3,
					    .s3 = s->config->s3};
	char url[EVENT_LOCATION_MAX], origin[ORIGIN_CAP];
	struct control_config c = {
		.listen = s->config->listen,
		.n_listen = s->config->n_listen,
		.admin_token = s->config->admin_token,
		.previous_admin_token = s->config->previous_admin_token,
		.tls = s->config->tls,
		.max_body = MAX_BODY,
		.storage = s->config->storage_dir,
		.origins = s->config->allowed_origins,
	};
	struct control_keys *keys = NULL;
	int err;

	apps_for_control(s->apps, &c.apps);
	if (s->config->storage_kind == UPLOAD_S3) {
		upload_location(&bucket, "", url, sizeof(url));
		c.storage = url;
		upload_origin(&bucket, origin, sizeof(origin));
		c.media = origin;
	}
	err = api_keys_make(s->config, NULL, &keys, e);
	if (!err)
		err = control_open(s->loop, s->rooms, s->notify, s->store, &c,
				   &s->control, e);
	if (err)
		control_keys_free(keys);
	else
		control_take_keys(s->control, keys);
	return err;
}

/** The file, and those apps of the store that it does not declare. */
static int apply_reload(void *next, void *arg, struct err *e)
{
	struct server *s = arg;
	int err = apps_merge(s->apps, next, e);

	return err ? err : reload_kind.apply(next, &s->parts, e);
}

static void on_failed_start_stopped(void *arg)
{
	bool *stopped = arg;

	*stopped = true;
}

int server_start(struct loop *loop, struct config *config,
		 const struct server_hooks *hooks, struct server **out,
		 struct err *e)
{
	struct server *s = mem_zalloc(sizeof(*s));
	bool stopped = false;
	int err;

	*e = (struct err){0};
	if (!s)
		return err_set(e, ENOMEM, "", "out of memory");
	s->loop = loop;
	s->config = config;
	err = start_store(s, e);
	if (!err)
		err = apps_new(loop, s->store, config, &s->apps, e);
	if (!err)
		err = start_notify(s, e);
	if (!err)
		err = start_rooms(s, hooks, e);
	if (!err)
		err = start_control(s, e);
	if (!err) {
		s->parts = (struct reload_parts){config, s->notify, s->rooms,
						 s->control};
		apps_run(s->apps,
			 &(struct apps_parts){s->notify, s->rooms, s->control});
		s->reload = reload_kind;
		s->reload.apply = apply_reload;
		s->reread = (struct reread){
			.kind = &s->reload,
			.of = s,
			.loop = loop,
			.workers = s->workers,
		};
		*out = s;
		return 0;
	}
	server_stop(s, on_failed_start_stopped, &stopped);
	while (!stopped)
		loop_turn(loop, DRAIN_LOOK_US);
	server_free(s);
	return err;
}

void server_addr(const struct server *s, size_t i, struct addr *out)
{
	control_addr(s->control, i, out);
}

void server_reload(struct server *s, const char *path, reload_fn *done,
		   void *arg)
{
	s->reread.path = path;
	reread_start(&s->reread, done, arg);
}

/* ---- stopping -------------------------------------------------------------- */

static void on_drain(struct timer *t, int64_t now_us)
{
	struct server *s = CONTAINER_OF(t, struct server, drain);
	unsigned left = s->notify ? notify_in_flight(s->notify) : 0;

	if (left && now_us < s->drain_until_us &&
	    !timer_start(t, s->loop, now_us + DRAIN_LOOK_US, on_drain))
		return;
	if (left)
		log_warn("stop: %u deliveries under way are repeated at the "
			 "next start",
			 left);
	s->done(s->arg);
}

static void on_rooms_stopped(void *arg)
{
	struct server *s = arg;
	int64_t now_us = loop_now_us(s->loop);

	if (s->notify)
		notify_pause(s->notify);
	s->drain_until_us = now_us + DRAIN_US;
	if (timer_start(&s->drain, s->loop, now_us, on_drain))
		s->done(s->arg);
}

void server_stop(struct server *s, void (*done)(void *arg), void *arg)
{
	s->done = done;
	s->arg = arg;
	s->reread.stopped = true;
	apps_free(s->apps);
	s->apps = NULL;
	control_close(s->control);
	s->control = NULL;
	if (s->rooms)
		rooms_stop(s->rooms, on_rooms_stopped, s);
	else
		on_rooms_stopped(s);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	timer_stop(&s->drain);
	rooms_free(s->rooms);
	notify_free(s->notify);
	workers_free(s->workers);
	store_close(s->store);
	loop_turn(s->loop, 0); /* what the threads posted last */
	mem_free(s);
}
