/** commands/apps.c -- apps that are made, changed and taken out at run
 *  time. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/apps.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/api_keys.h"
#include "wire/json_text.h"

enum {
	SETTINGS_MAX = 64 * 1024,
	/* Between looks at the wall clock, which may be set. */
	LOOK_MIN_US = CLOCK_US_PER_S,
	LOOK_MAX_S = 60
};

/** As the store has it. */
struct kept {
	struct link link; /* apps.kept */
	uint32_t id;
	json_t *settings; /* with secrets */
	int64_t previous_until_ms;
};

/** A change that is being committed. */
struct op {
	struct link link;  /* apps.ops */
	struct apps *apps; /* NULL: gone */
	struct kept *next; /* what is put; with is_drop only its id */
	bool is_drop;
	control_app_fn *done; /* NULL: nobody waits */
	void *arg;
};

struct apps {
	struct loop *loop;
	struct store *store;
	struct config *config; /* what is true now */
	struct apps_parts p;
	struct link kept, ops;
	struct timer look; /* for keys that end */
};

/* ---- kept ------------------------------------------------------------------ */

static void free_kept(struct kept *k)
{
	if (!k)
		return;
	if (link_is_on_list(&k->link))
		list_remove(&k->link);
	json_decref(k->settings);
	mem_free(k);
}

/** Takes the settings over, also when it fails; NULL: out of memory. */
static struct kept *new_kept(uint32_t id, json_t *settings, int64_t until_ms)
{
	struct kept *k = settings ? mem_zalloc(sizeof(*k)) : NULL;

	if (!k) {
		json_decref(settings);
		return NULL;
	}
	k->id = id;
	k->settings = settings;
	k->previous_until_ms = until_ms;
	return k;
}

static struct kept *find(const struct apps *a, uint32_t id)
{
	LIST_EACH(&a->kept, l, after)
	{
		struct kept *k = CONTAINER_OF(l, struct kept, link);

		if (k->id == id)
			return k;
	}
	return NULL;
}

static struct op *find_op(const struct apps *a, uint32_t id)
{
	LIST_EACH(&a->ops, l, after)
	{
		struct op *op = CONTAINER_OF(l, struct op, link);

		if (op->next->id == id)
			return op;
	}
	return NULL;
}

/* ---- reading ---------------------------------------------------------------- */

static bool is_taken(const struct config *c, uint32_t not_of,
		     const char *secret_id)
{
	for (size_t i = 0; i < c->n_apps; i++) {
		const struct config_app *app = &c->apps[i];

		for (size_t k = 0; k < app->n_api_keys; k++) {
			if (app->app.id != not_of &&
			    !strcmp(app->api_keys[k].secret_id, secret_id))
				return true;
		}
	}
	return false;
}

/** Take out API keys whose names other apps of `c` have: the file's. */
static void drop_taken(const struct config *c, uint32_t id, json_t *settings)
{
	json_t *keys = json_object_get(settings, "api_keys");

	for (size_t i = json_array_size(keys); i-- > 0;) {
		const char *name = json_string_value(
			json_object_get(json_array_get(keys, i), "secret_id"));

		if (!name || !is_taken(c, id, name))
			continue;
		log_warn("app=%" PRIu32 " api_key=%s was made at run time and "
			 "is in the configuration file, of another app: the "
			 "file counts",
			 id, name);
		json_array_remove(keys, i);
	}
}

/** Read what is kept, to be in force in `c`.  Returns 0 or an errno with
 *  `e`. */
static int read_kept(const struct config *c, const struct kept *k,
		     struct config **out, struct err *e)
{
	json_t *settings = json_deep_copy(k->settings);
	int err;

	if (!settings)
		return err_no_memory(e);
	drop_taken(c, k->id, settings);
	err = config_read_app(settings, out, e);
	json_decref(settings);
	return err;
}

/** Read what is kept and put it into `c`; *was has what was there, if
 *  anything. */
static int put_into(struct config *c, const struct kept *k, struct config **was,
		    struct err *e)
{
	struct config *one = NULL;
	int err = read_kept(c, k, &one, e);

	assert(err || one);
	if (!err && one->apps[0].app.id != k->id)
		err = err_set(e, EBADMSG, "id", "is not that of its row");
	if (!err)
		err = config_put_app(c, one, e);
	if (err)
		config_free(one);
	else
		*was = one;
	return err;
}

static int merge_one(struct apps *a, const struct kept *k, struct config *next,
		     struct err *e)
{
	const struct config_app *now = config_find_app(a->config, k->id);
	struct config *was = NULL;
	int err;

	if (config_find_app(next, k->id)) {
		/* once, not at each reload */
		if (next == a->config || !now || now->is_kept)
			log_warn("app=%" PRIu32 " was made at run time and is "
				 "in the configuration file: the file counts",
				 k->id);
		return 0;
	}
	err = put_into(next, k, &was, e);
	config_free(was);
	if (!err || err == ENOMEM)
		return err;
	log_error("app=%" PRIu32 ", made at run time, is left out: %s%s%s",
		  k->id, e->field, e->field[0] ? ": " : "", e->text);
	return 0;
}

int apps_merge(struct apps *a, struct config *next, struct err *e)
{
	int err = 0;

	LIST_EACH(&a->kept, l, after)
	{
		const struct kept *k = CONTAINER_OF(l, struct kept, link);
		const struct op *op = find_op(a, k->id);

		if (!err && !(op && op->is_drop))
			err = merge_one(a, k, next, e);
	}
	return err;
}

/* ---- coming into force ------------------------------------------------------- */

static int renew_keys(const struct apps *a, struct err *e)
{
	struct control_keys *keys;
	int err = api_keys_make(a->config, NULL, &keys, e);

	if (!err)
		control_take_keys(a->p.control, keys);
	return err;
}

/** What is kept is true from now on.  Returns 0, or an errno with `e`; then
 *  what was true is still. */
static int come_into_force(struct apps *a, const struct kept *k, struct err *e)
{
	struct config *was = NULL;
	struct err ignored;
	int err = put_into(a->config, k, &was, e);

	if (err)
		return err;
	err = renew_keys(a, e);
	if (!err) {
		rooms_set_app(a->p.rooms,
			      &config_find_app(a->config, k->id)->app);
		/* endpoints may sign with its keys */
		notify_reread_kept(a->p.notify, k->id);
	} else if (was->n_apps) {
		err = config_put_app(a->config, was, &ignored);
		assert(!err); /* its place is there */
		err = e->code;
	} else {
		config_drop_app(a->config, k->id);
	}
	config_free(was);
	return err;
}

static void apply_drop(struct apps *a, uint32_t id)
{
	const struct config_app *app = config_find_app(a->config, id);
	struct err e;

	free_kept(find(a, id));
	if (!app || !app->is_kept)
		return; /* the file has declared it meanwhile */
	config_drop_app(a->config, id);
	control_forget_app(a->p.control, id);
	if (renew_keys(a, &e))
		log_error("app=%" PRIu32 " is removed; its API keys are "
			  "refused from the next start on: %s",
			  id, e.text);
}

static void apply_put(struct apps *a, struct op *op, struct err *e)
{
	struct kept *k = op->next;
	const struct config_app *app = config_find_app(a->config, k->id);

	free_kept(find(a, k->id));
	list_append(&a->kept, &k->link);
	op->next = NULL;
	if (app && !app->is_kept) {
		err_set(e, EEXIST, "app",
			"the configuration file declares app %" PRIu32
			" now: it is stored, and in force when the file lets "
			"go of the app",
			k->id);
	} else if (come_into_force(a, k, e)) {
		struct err why = *e;

		log_error("app=%" PRIu32 " is stored, but not in force before "
			  "the next start: %s",
			  k->id, why.text);
		err_set(e, why.code, why.field,
			"it is stored, but not in force before the next "
			"start: %s",
			why.text);
	}
}

/* ---- committing ---------------------------------------------------------------- */

static void look_later(struct apps *a, int64_t at_least_us);

static void free_op(struct op *op)
{
	list_remove(&op->link);
	free_kept(op->next);
	mem_free(op);
}

static void on_committed(const struct store_result *r, void *arg)
{
	struct op *op = arg;
	struct apps *a = op->apps;
	struct err e = {0};

	if (!a) {
		/* The answer was given inside apps_free. */
		free_op(op);
		return;
	}
	list_remove(&op->link);
	if (r->err) {
		err_set(&e, r->err, "", "it cannot be stored: %s",
			r->text[0] ? r->text : strerror(r->err));
		if (op->is_drop)
			rooms_set_app(
				a->p.rooms,
				&config_find_app(a->config, op->next->id)->app);
	} else {
		crash_point("app.committed");
		if (op->is_drop)
			apply_drop(a, op->next->id);
		else
			apply_put(a, op, &e);
	}
	if (op->done)
		op->done(&e, op->arg);
	free_op(op);
	look_later(a, r->err ? 10 * LOOK_MIN_US : LOOK_MIN_US);
}

/** The write that makes `k` durable; NULL: out of memory, or too long. */
static struct store_write *write_of(const struct kept *k, bool is_drop)
{
	struct store_write *w = store_write_new();
	struct buf text;

	if (!w || is_drop) {
		if (w)
			store_delete_app(w, k->id);
		return w;
	}
	buf_init_secret(&text, SETTINGS_MAX);
	if (json_text_write(k->settings, &text)) {
		store_write_free(w);
		w = NULL;
	} else {
		store_put_app(w, &(struct app_row){k->id, buf_str(&text),
						   k->previous_until_ms});
	}
	buf_fini(&text);
	return w;
}

/** Store what is to be.  Takes `next` over (NULL: out of memory).  Returns 0,
 *  or ENOMEM with `e`. */
static int commit(struct apps *a, struct kept *next, bool is_drop,
		  control_app_fn *done, void *arg, struct err *e)
{
	struct op *op = next ? mem_zalloc(sizeof(*op)) : NULL;

	if (!op) {
		free_kept(next);
		return err_no_memory(e);
	}
	*op = (struct op){.apps = a,
			  .next = next,
			  .is_drop = is_drop,
			  .done = done,
			  .arg = arg};
	list_append(&a->ops, &op->link);
	store_commit(a->store, write_of(next, is_drop), a->loop, on_committed,
		     op);
	return 0;
}

/* ---- what control asks for ------------------------------------------------------- */

static bool app_at(size_t i, struct control_app *out, void *owner)
{
	const struct apps *a = owner;
	const struct config_app *app;
	const struct kept *k;

	if (i >= a->config->n_apps)
		return false;
	app = &a->config->apps[i];
	k = app->is_kept ? find(a, app->app.id) : NULL;
	*out = (struct control_app){
		.id = app->app.id,
		.is_kept = app->is_kept,
		.shown = app->shown,
		.secret_key = app->secret_key,
		.previous_secret_key = app->previous_secret_key,
		.previous_until_ms = k ? k->previous_until_ms : 0,
	};
	return true;
}

static json_t *settings_of(uint32_t app, void *owner)
{
	const struct kept *k = find(owner, app);

	return k ? json_deep_copy(k->settings) : NULL;
}

static const char *file_of(void *owner)
{
	const struct apps *a = owner;

	return a->config->file;
}

static int check_busy(const struct apps *a, uint32_t id, struct err *e)
{
	if (!find_op(a, id))
		return 0;
	return err_set(e, EBUSY, "app",
		       "app %" PRIu32 " is being made, changed or removed by "
		       "another call just now: ask again",
		       id);
}

static int check_new(const struct apps *a, uint32_t id, struct err *e)
{
	const struct config_app *app = config_find_app(a->config, id);
	size_t n = a->config->n_apps;
	int err = check_busy(a, id, e);

	if (err)
		return err;
	if (app || find(a, id))
		return err_set(e, EEXIST, "id", "there is an app %" PRIu32 "%s",
			       id,
			       app && app->is_kept ? ""
						   : ", in the configuration "
						     "file");
	LIST_EACH(&a->ops, l, after)
	{
		n++;
	}
	if (n >= CONFIG_APPS_MAX)
		return err_set(e, EBUSY, "",
			       "there are %d apps: remove one first",
			       CONFIG_APPS_MAX);
	return 0;
}

/** May this one be changed here? */
static int check_kept(const struct apps *a, uint32_t id, struct err *e)
{
	const struct config_app *app = config_find_app(a->config, id);

	if (!app)
		return err_set(e, ENOENT, "app", "there is no app %" PRIu32,
			       id);
	if (!app->is_kept)
		return err_set(e, EEXIST, "app",
			       "the configuration file declares app %" PRIu32
			       ": it is changed in the file",
			       id);
	return check_busy(a, id, e);
}

static int put_app(const struct control_app_wish *w, control_app_fn *done,
		   void *arg, struct err *e, void *owner)
{
	struct apps *a = owner;
	struct config *one = NULL;
	uint32_t id;
	int err = config_read_app(w->settings, &one, e);

	assert(loop_is_mine(a->loop));
	if (err)
		return err;
	id = one->apps[0].app.id;
	config_free(one);
	err = w->is_new ? check_new(a, id, e) : check_kept(a, id, e);
	if (err)
		return err;
	return commit(
		a,
		new_kept(id, json_deep_copy(w->settings), w->previous_until_ms),
		false, done, arg, e);
}

static int drop_app(uint32_t id, control_app_fn *done, void *arg, struct err *e,
		    void *owner)
{
	struct apps *a = owner;
	unsigned n = notify_n_kept(a->p.notify, id);
	struct kept *k;
	int err = check_kept(a, id, e);

	assert(loop_is_mine(a->loop));
	if (!err && n)
		return err_set(e, EBUSY, "app",
			       "app %" PRIu32 " has %u endpoint%s: remove "
			       "%s first",
			       id, n, n == 1 ? "" : "s",
			       n == 1 ? "it" : "them");
	if (err)
		return err;
	k = new_kept(id, json_null(), 0);
	if (!k)
		return err_no_memory(e);
	err = rooms_drop_app(a->p.rooms, id, e);
	if (err) {
		free_kept(k);
		return err;
	}
	err = commit(a, k, true, done, arg, e);
	if (err)
		rooms_set_app(a->p.rooms, &config_find_app(a->config, id)->app);
	return err;
}

void apps_for_control(struct apps *a, struct control_apps *out)
{
	*out = (struct control_apps){
		.at = app_at,
		.settings = settings_of,
		.put = put_app,
		.drop = drop_app,
		.file = file_of,
		.owner = a,
	};
}

/* ---- keys that end ------------------------------------------------------------------ */

/** The key before its key is forgotten. */
static void end_previous(struct apps *a, const struct kept *k)
{
	json_t *settings = json_deep_copy(k->settings);
	struct err e;

	if (settings)
		json_object_del(settings, "previous_secret_key");
	if (!commit(a, new_kept(k->id, settings, 0), false, NULL, NULL, &e))
		log_info("app=%" PRIu32 " previous_secret_key ends", k->id);
}

static void on_look(struct timer *t, int64_t now_us)
{
	struct apps *a = CONTAINER_OF(t, struct apps, look);
	const int64_t unix_ms = clock_unix_ms();

	(void)now_us;
	LIST_EACH(&a->kept, l, after)
	{
		const struct kept *k = CONTAINER_OF(l, struct kept, link);

		if (k->previous_until_ms && k->previous_until_ms <= unix_ms &&
		    !find_op(a, k->id))
			end_previous(a, k);
	}
	look_later(a, LOOK_MIN_US);
}

/** When the next one ends, or after a minute: the wall clock may be set. */
static void look_later(struct apps *a, int64_t at_least_us)
{
	const int64_t unix_ms = clock_unix_ms();
	int64_t wait_ms = -1;

	LIST_EACH(&a->kept, l, after)
	{
		const struct kept *k = CONTAINER_OF(l, struct kept, link);
		int64_t left_ms = k->previous_until_ms - unix_ms;

		if (!k->previous_until_ms)
			continue;
		left_ms = left_ms < LOOK_MAX_S * 1000 ? left_ms
						      : LOOK_MAX_S * 1000;
		if (wait_ms < 0 || left_ms < wait_ms)
			wait_ms = left_ms > 0 ? left_ms : 0;
	}
	timer_stop(&a->look);
	if (wait_ms < 0)
		return;
	if (wait_ms * 1000 < at_least_us)
		wait_ms = at_least_us / 1000;
	if (timer_start(&a->look, a->loop,
			loop_now_us(a->loop) + wait_ms * 1000, on_look))
		log_error("apps: no memory for a timer: a key that was rotated "
			  "is taken until the next change of an app");
}

/* ---- life ------------------------------------------------------------------------------ */

static int load_one(const struct app_row *row, void *arg)
{
	struct apps *a = arg;
	json_error_t why;
	json_t *settings = json_loads(row->settings, 0, &why);
	struct kept *k;

	if (!settings) {
		log_error("app=%" PRIu32 ", made at run time, is left out: its "
			  "settings are not JSON: %s",
			  row->id, why.text);
		return 0;
	}
	k = new_kept(row->id, settings, row->previous_until_ms);
	if (!k)
		return ENOMEM;
	list_append(&a->kept, &k->link);
	return 0;
}

int apps_new(struct loop *loop, struct store *store, struct config *config,
	     struct apps **out, struct err *e)
{
	struct apps *a = mem_zalloc(sizeof(*a));
	int err;

	if (!a)
		return err_no_memory(e);
	a->loop = loop;
	a->store = store;
	a->config = config;
	list_init(&a->kept);
	list_init(&a->ops);
	err = store_each_app(store, load_one, a);
	if (err)
		err_set(e, err, "", "apps cannot be read: %s", strerror(err));
	else
		err = apps_merge(a, config, e);
	if (err)
		apps_free(a);
	else
		*out = a;
	return err;
}

void apps_run(struct apps *a, const struct apps_parts *parts)
{
	a->p = *parts;
	look_later(a, LOOK_MIN_US);
}

void apps_free(struct apps *a)
{
	const struct err stopped = {ECANCELED, "", "the server is stopping"};

	if (!a)
		return;
	timer_stop(&a->look);
	LIST_EACH(&a->ops, l, after)
	{
		struct op *op = CONTAINER_OF(l, struct op, link);

		list_remove(l);
		op->apps = NULL;
		if (op->done)
			op->done(&stopped, op->arg);
	}
	LIST_EACH(&a->kept, l, after)
	{
		free_kept(CONTAINER_OF(l, struct kept, link));
	}
	mem_free(a);
}
