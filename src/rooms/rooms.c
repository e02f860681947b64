/** rooms/rooms.c -- the catalogue: apps, rooms, starting and stopping. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "rooms/rooms.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "rooms/confirm.h"
#include "rooms/private.h"

enum {
	WORKERS = 1,
	SESSIONS = 1000,
	ROOMS_PER_USER = 20,
	FILE_QUEUE_BYTES = 64 << 20,
	UPLOAD_RETRY_FIRST_US = 1000 * 1000,
	UPLOAD_RETRY_MAX_US = 60 * 1000 * 1000,
	LEFT_AFTER_US = 60 * 1000 * 1000,
	/* a page that is loaded again is back in a second or two, and who lost
	 * the network has been waited for before */
	AWAY_US = 10 * 1000 * 1000,
	/* browsers notice only when their checks fail */
	AWAY_RESTART_US = 60 * 1000 * 1000
};

/* ---- finding -------------------------------------------------------------- */

struct rooms_app *rooms_find_app(const struct rooms *r, uint32_t id)
{
	/* What was counted is complete. */
	const unsigned n =
		atomic_load_explicit(&r->n_apps, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		if (atomic_load_explicit(&r->apps[i].id,
					 memory_order_acquire) == id)
			return &r->apps[i];
	}
	return NULL;
}

bool rooms_has_app(const struct rooms *r, uint32_t app)
{
	return rooms_find_app(r, app) != NULL;
}

struct room *rooms_find_room(const struct rooms *r, uint32_t app,
			     const char *id)
{
	struct room_key key;
	struct map_node *n;

	if (strlen(id) > ID_MAX)
		return NULL;
	room_key_make(app, id, &key);
	n = map_find(&r->rooms, key.bytes, key.len);
	return n ? CONTAINER_OF(n, struct room, node) : NULL;
}

int rooms_each_app(const struct rooms *r,
		   int (*fn)(uint32_t id, const char *name, void *arg),
		   void *arg)
{
	unsigned n = atomic_load_explicit(&r->n_apps, memory_order_acquire);

	for (unsigned i = 0; i < n; i++) {
		const uint32_t id = r->apps[i].id;
		int err = id ? fn(id, r->apps[i].name, arg) : 0;

		if (err)
			return err;
	}
	return 0;
}

struct room *rooms_get_room(struct rooms *r, struct rooms_app *app,
			    const char *id)
{
	struct room *room = rooms_find_room(r, app->id, id);

	if (room)
		return room;
	room = mem_zalloc(sizeof(*room));
	if (!room)
		return NULL;
	room_key_make(app->id, id, &room->key);
	room->rooms = r;
	room->app = app;
	str_copy(room->id, sizeof(room->id), id);
	room->media = r->media[room_key_hash(&room->key) % r->n_media];
	list_init(&room->members);
	list_init(&room->tasks);
	if (map_add(&r->rooms, &room->node, room->key.bytes, room->key.len)) {
		mem_free(room);
		return NULL;
	}
	return room;
}

void room_drop_if_empty(struct room *room)
{
	if (!list_is_empty(&room->members) || !list_is_empty(&room->tasks))
		return;
	map_remove(&room->rooms->rooms, &room->node);
	mem_free(room);
}

void rooms_tell(struct rooms *r, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (!r->story)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	r->story(line, r->story_arg);
}

static void info_of(const struct room *room, struct room_info *out)
{
	*out = (struct room_info){.app = room->app->id, .room = room->id};
	LIST_EACH(&room->members, l, after)
	{
		out->inputs++;
	}
	LIST_EACH(&room->tasks, l, after)
	{
		out->tasks[out->n_tasks++] =
			CONTAINER_OF(l, struct task, in_room)->row.id;
	}
}

bool rooms_room_info(const struct rooms *r, uint32_t app, const char *room,
		     struct room_info *out)
{
	const struct room *found = rooms_find_room(r, app, room);

	if (found)
		info_of(found, out);
	return found != NULL;
}

int rooms_each(const struct rooms *r,
	       int (*fn)(const struct room_info *room, void *arg), void *arg)
{
	struct map_node *n = map_next(&r->rooms, NULL);
	struct room_info info;
	int err;

	for (; n; n = map_next(&r->rooms, n)) {
		info_of(CONTAINER_OF(n, struct room, node), &info);
		err = fn(&info, arg);
		if (err)
			return err;
	}
	return 0;
}

void rooms_segment_path(const struct rooms *r, const struct segment_row *s,
			char *out, size_t cap)
{
	snprintf(out, cap, "%s/%s%s",
		 s->uploaded_ms ? r->storage_dir : r->spool_dir, s->file_name,
		 s->state == SEG_CLOSED ? "" : ".part");
}

int64_t rooms_free_bytes(const struct rooms *r)
{
	return r->free_bytes;
}

bool rooms_is_ready(const struct rooms *r, char *why, size_t cap)
{
	if (r->stopping) {
		str_copy(why, cap, "stopping");
		return false;
	}
	if (store_is_failing(r->store)) {
		str_copy(why, cap,
			 "the database takes no writes: the log says why; see "
			 "to the disk of data_dir");
		return false;
	}
	return !warn_disk_is_low(r, why, cap);
}

/* ---- starting --------------------------------------------------------------- */

void rooms_set_app(struct rooms *r, const struct app_config *config)
{
	const unsigned n =
		atomic_load_explicit(&r->n_apps, memory_order_relaxed);
	struct rooms_app *app = rooms_find_app(r, config->id);
	bool is_more = false;
	bool is_changed;

	if (!app)
		app = rooms_find_app(r, 0); /* of one that has gone */
	if (!app) {
		assert(n < ROOMS_APPS_MAX);
		app = &r->apps[n];
		is_more = true;
	}
	assert(app);
	str_copy(app->name, sizeof(app->name),
		 config->name ? config->name : "");
	is_changed = app->recording.keep_us != config->recording.keep_us ||
		     app->recording.keep_history_us !=
			     config->recording.keep_history_us;
	app->recording = config->recording;
	atomic_store_explicit(&app->zone_minutes,
			      config->recording.zone_minutes,
			      memory_order_relaxed);
	atomic_store_explicit(&app->id, config->id, memory_order_release);
	if (is_changed)
		retention_announce(app);
	if (is_more)
		atomic_store_explicit(&r->n_apps, n + 1, memory_order_release);
	else
		retention_look_anew(r);
}

int rooms_drop_app(struct rooms *r, uint32_t id, struct err *e)
{
	struct rooms_app *app = rooms_find_app(r, id);

	for (struct map_node *n = map_next(&r->rooms, NULL); n;
	     n = map_next(&r->rooms, n)) {
		const struct room *room = CONTAINER_OF(n, struct room, node);

		if (room->app == app)
			return err_set(e, EBUSY, "app",
				       "app %" PRIu32 ": the room %.128s is in "
				       "use: stop its tasks and delete its "
				       "inputs first",
				       id, room->id);
	}
	for (struct map_node *n = map_next(&r->tasks, NULL); n;
	     n = map_next(&r->tasks, n)) {
		const struct task *t = CONTAINER_OF(n, struct task, node);

		if (t->app == app)
			return err_set(e, EBUSY, "app",
				       "app %" PRIu32 ": task %" PRIu64
				       " is not finished yet",
				       id, t->row.id);
	}
	if (r->erasures)
		return err_set(e, EBUSY, "app",
			       "recordings are being erased: ask again");
	if (app)
		atomic_store_explicit(&app->id, 0, memory_order_release);
	return 0;
}

/** From the root on, for what is told of files; after it was made. */
static int make_absolute(struct rooms *r, struct err *e)
{
	char path[PATH_MAX];
	int err = 0;

	if (r->storage_dir[0] == '/')
		return 0;
	if (!realpath(r->storage_dir, path))
		err = errno;
	else if (!str_copy(r->storage_dir, sizeof(r->storage_dir), path))
		err = ENAMETOOLONG;
	if (err)
		err_set(e, err, "storage.local.dir",
			"%.150s: its full path cannot be told: %s",
			r->storage_dir, strerror(err));
	return err;
}

static int make_dirs(struct rooms *r, const struct rooms_config *c,
		     struct err *e)
{
	const char *dirs[] = {r->spool_dir, r->storage_dir, r->quarantine_dir};
	bool fits = str_copy(r->data_dir, sizeof(r->data_dir), c->data_dir) &&
		    str_copy(r->storage_dir, sizeof(r->storage_dir),
			     c->storage_dir) &&
		    strlen(c->data_dir) < sizeof(r->spool_dir) - 16;

	if (!fits)
		return err_set(e, EINVAL, "data_dir",
			       "paths may have at most 490 bytes");
	snprintf(r->spool_dir, sizeof(r->spool_dir), "%.490s/spool",
		 c->data_dir);
	snprintf(r->quarantine_dir, sizeof(r->quarantine_dir),
		 "%.490s/quarantine", c->data_dir);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		int err = file_mkdirs(dirs[i]);

		if (err)
			return err_set(e, err, "data_dir",
				       "%.150s cannot be made: %s", dirs[i],
				       strerror(err));
	}
	return make_absolute(r, e);
}

/** The ports of WebRTC: are there as many, and are they nobody else's? */
static int check_udp_ports(const struct media_config *c, unsigned n,
			   struct err *e)
{
	const unsigned last = c->udp_port + n - 1;

	if (!c->udp_port)
		return 0;
	if (last > UINT16_MAX)
		return err_set(e, EINVAL, "media.udp_port",
			       "media.udp_port: %u loops need as many ports "
			       "from it on, at most %u is permitted",
			       n, UINT16_MAX - n + 1);
	if (c->udp_port <= c->rtp_port_last && last >= c->rtp_port_first)
		return err_set(e, EINVAL, "media.udp_port",
			       "media.udp_port: its ports %u-%u lie in "
			       "media.rtp_ports, choose others",
			       c->udp_port, last);
	return 0;
}

/** Start n loops, or none of them. */
static int start_loops(struct rooms *r, unsigned n,
		       const struct media_webrtc *webrtc, struct err *e)
{
	while (r->n_media < n) {
		int err = media_new(r->n_media, r->loop, webrtc,
				    &r->media[r->n_media], e);

		if (err) {
			while (r->n_media)
				media_free(r->media[--r->n_media]);
			return err;
		}
		r->n_media++;
	}
	return 0;
}

/** The same, for programs of this machine at all of its addresses.  Returns
 *  an errno where that cannot be. */
static int start_near_loops(struct rooms *r, unsigned n,
			    const struct media_webrtc *webrtc)
{
	struct media_webrtc near = *webrtc;
	struct err e = {0};
	int err;

	near.interface = near_interface(r);
	near.at = addr_any();
	addr_set_port(&near.at, addr_port(&webrtc->at));
	err = near.interface ? start_loops(r, n, &near, &e)
			     : err_set(&e, ENODEV, "",
				       "it has no other address");
	if (err)
		log_warn("webrtc: only loopback is listened at, so Firefox on "
			 "this machine cannot join: %s",
			 e.text[0] ? e.text : strerror(err));
	return err;
}

static int start_media(struct rooms *r, const struct media_config *c,
		       struct err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = c->loops ? c->loops : (unsigned)(cores > 0 ? cores : 1);
	struct media_webrtc webrtc = {.at = r->bind_at,
				      .limits = webrtc_limits_usual};
	int err;

	if (n > MEDIA_MAX)
		n = MEDIA_MAX;
	err = check_udp_ports(c, n, e);
	if (!err)
		err = webrtc_identity_new(&r->identity);
	if (err)
		return err;
	addr_set_port(&webrtc.at, c->udp_port);
	webrtc.id = r->identity;
	r->max_sessions = c->max_sessions ? c->max_sessions : SESSIONS;
	r->max_rooms_per_user =
		c->max_rooms_per_user ? c->max_rooms_per_user : ROOMS_PER_USER;
	/* sessions that go, while those that take their place come */
	webrtc.limits.sessions = 2 * r->max_sessions;
	r->is_near = c->is_near && start_near_loops(r, n, &webrtc) == 0;
	return r->is_near ? 0 : start_loops(r, n, &webrtc, e);
}

static void address_text(const struct addr *a, char *out, size_t cap)
{
	char text[ADDR_TEXT_MAX];

	str_copy(out, cap, addr_write_host(a, text));
}

static int start_ports(struct rooms *r, const struct media_config *c)
{
	size_t n = (size_t)c->rtp_port_last - c->rtp_port_first + 1;

	r->bind_at = c->bind;
	addr_set_port(&r->bind_at, 0);
	r->n_addresses = c->n_addresses ? c->n_addresses : 1;
	address_text(&c->bind, r->addresses[0], sizeof(r->addresses[0]));
	for (size_t i = 0; i < c->n_addresses; i++)
		address_text(&c->addresses[i], r->addresses[i],
			     sizeof(r->addresses[i]));
	r->port_first = c->rtp_port_first;
	r->port_last = c->rtp_port_last;
	r->port_next = r->port_first;
	r->ports_used = mem_zalloc(n / 8 + 1);
	return r->ports_used ? 0 : ENOMEM;
}

static int start_disk(struct rooms *r, const struct rooms_config *c)
{
	struct record_files_config files = {
		.spool_dir = r->spool_dir,
		.threads = c->file_threads ? c->file_threads : 2,
		.max_queue_bytes = c->file_queue_bytes ? c->file_queue_bytes
						       : FILE_QUEUE_BYTES,
	};
	int err;

	r->upload_config = (struct upload_config){
		.spool_dir = r->spool_dir,
		.retry_first_us = UPLOAD_RETRY_FIRST_US,
		.retry_max_us = UPLOAD_RETRY_MAX_US,
		.stops = &r->storage_stops,
	};
	r->foreign_config = r->upload_config;
	r->foreign_config.stall_us = STORAGES_FOREIGN_STALL_US;
	err = storages_start(r, c);
	if (!err)
		err = workers_new("rooms", WORKERS, &r->workers);
	if (!err)
		err = workers_new("texts", 1, &r->texts);
	if (!err)
		err = workers_new("erase", 1, &r->erasers);
	if (!err)
		err = workers_new("waves", 1, &r->wavers);
	if (!err)
		err = record_files_new(&files, &r->files);
	if (!err)
		err = upload_new(r->loop, &r->upload_config,
				 confirm_on_uploaded, r, &r->upload);
	return err;
}

int rooms_new(struct loop *loop, struct store *store, struct notify *notify,
	      const struct rooms_config *c, const struct app_config *apps,
	      size_t n_apps, struct rooms **out, struct err *e)
{
	struct rooms *r = mem_zalloc(sizeof(*r));
	int err;

	*e = (struct err){0};
	if (!r)
		return err_no_memory(e);
	r->loop = loop;
	r->store = store;
	r->notify = notify;
	r->story = c->story;
	r->story_arg = c->story_arg;
	r->disk_low_bytes = c->disk_low_bytes;
	r->left_after_us = c->left_after_us ? c->left_after_us : LEFT_AFTER_US;
	r->away_us = c->away_us ? c->away_us : AWAY_US;
	r->away_restart_us =
		c->away_restart_us ? c->away_restart_us : AWAY_RESTART_US;
	map_init(&r->rooms);
	map_init(&r->members);
	map_init(&r->whips);
	map_init(&r->tasks);
	list_init(&r->waves);
	r->apps = mem_zalloc_n(ROOMS_APPS_MAX, sizeof(*r->apps));
	err = r->apps ? retention_new(r) : ENOMEM;
	for (size_t i = 0; i < n_apps && !err; i++)
		rooms_set_app(r, &apps[i]);
	if (!err)
		err = make_dirs(r, c, e);
	if (!err)
		err = start_ports(r, &c->media);
	if (!err)
		err = start_disk(r, c);
	if (!err)
		err = start_media(r, &c->media, e);
	if (!err)
		err = recovery_run(r, e);
	if (!err && r->was_erasing)
		err = erase_resume(r);
	if (!err) {
		warn_start(r);
		retention_start(r);
		keeper_start(r);
	}
	if (err && !e->code)
		err_set(e, err, "", "cannot start: %s", strerror(err));
	*out = r; /* also on failure: rooms_stop and rooms_free end it */
	return err;
}

/* ---- stopping ------------------------------------------------------------------ */

static void on_stopped(struct timer *t, int64_t now_us)
{
	struct rooms *r = CONTAINER_OF(t, struct rooms, stop_timer);
	void (*done)(void *arg) = r->stop_done;

	(void)now_us;
	r->stop_done = NULL;
	if (done)
		done(r->stop_arg);
}

void rooms_check_stopped(struct rooms *r)
{
	if (!r->stopping || !r->stop_done || r->members.n || r->tasks.n ||
	    warn_is_measuring(r) || r->erasures || r->wave)
		return;
	/* not inside the callback of whatever was freed last */
	if (timer_start(&r->stop_timer, r->loop, loop_now_us(r->loop),
			on_stopped))
		on_stopped(&r->stop_timer, 0);
}

void rooms_stop(struct rooms *r, void (*done)(void *arg), void *arg)
{
	struct map_node *next;

	r->stopping = true;
	r->storage_stops = true;
	r->stop_done = done;
	r->stop_arg = arg;
	for (struct map_node *n = map_next(&r->tasks, NULL); n; n = next) {
		struct task *t = CONTAINER_OF(n, struct task, node);

		next = map_next(&r->tasks, n);
		confirm_tell_again(t);
		finish_tell_again(t);
		warn_look_at_task(t);
		task_suspend(t, NULL);
		task_check(t);
	}
	member_close_all(r);
	waves_stop(r);
	rooms_check_stopped(r);
}

void rooms_free(struct rooms *r)
{
	if (!r)
		return;
	assert(!r->members.n && !r->tasks.n && !r->rooms.n && !r->erasures &&
	       !r->n_waves);
	timer_stop(&r->stop_timer);
	timer_stop(&r->watch_timer);
	for (unsigned i = 0; i < r->n_media; i++)
		media_free(r->media[i]);
	webrtc_identity_free(r->identity);
	upload_free(r->upload);
	record_files_free(r->files);
	workers_free(r->workers);
	workers_free(r->texts);
	workers_free(r->erasers);
	workers_free(r->wavers);
	storages_end(r);
	map_fini(&r->rooms);
	map_fini(&r->members);
	map_fini(&r->whips);
	map_fini(&r->tasks);
	retention_free(r);
	mem_free(r->apps);
	mem_free(r->ports_used);
	mem_free(r);
}
