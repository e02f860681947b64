/**
 * notify/kept.c -- endpoints that are made, changed and taken out at run
 * time.
 *
 * DESIGN
 *   - Settings are the JSON object that was given, with its secrets: what is
 *     not in it has the default, as in the file.  A change is merged into it,
 *     and the whole is read and checked again, by who knows the settings.
 *   - First the commit, then it is in force, then the answer.  Meanwhile
 *     nobody else may touch the same name.
 *   - Taking out is one write with the row that dooms its deliveries
 *     (deliver/removal.c): a crash leaves both or none.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/inside.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/json_text.h"

enum { SETTINGS_MAX = 64 * 1024 };

/** A change that is being committed. */
struct kept_op {
	struct link link;      /* notify.kept_ops */
	struct notify *notify; /* NULL: gone */
	uint64_t id;
	bool is_drop;
	struct notify_read read; /* owner NULL: nothing */
	void (*free_read)(void *owner);
	char *settings; /* secret; its text */
	notify_kept_fn *done;
	void *arg;
};

static void free_op(struct kept_op *op)
{
	if (!op)
		return;
	list_remove(&op->link);
	if (op->read.owner)
		op->free_read(op->read.owner);
	mem_free_secret(op->settings);
	mem_free(op);
}

static int no_memory(struct err *e)
{
	return err_set(e, ENOMEM, "", "out of memory");
}

/* ---- what may be done ------------------------------------------------------- */

static bool is_busy(const struct notify *n, uint64_t id)
{
	LIST_EACH(&n->kept_ops, l, after)
	{
		if (CONTAINER_OF(l, struct kept_op, link)->id == id)
			return true;
	}
	return false;
}

static int check_busy(const struct notify *n, uint64_t id, const char *name,
		      struct err *e)
{
	if (!is_busy(n, id))
		return 0;
	return err_set(e, EBUSY, "name",
		       "%s is being made, changed or removed by another call "
		       "just now: ask again",
		       name);
}

static unsigned count_kept(const struct notify *n, uint32_t app)
{
	unsigned count = 0;

	for (size_t i = 0; i < n->n_senders; i++)
		count += n->senders[i]->app == app && n->senders[i]->settings;
	LIST_EACH(&n->kept_ops, l, after)
	{
		const struct kept_op *op =
			CONTAINER_OF(l, struct kept_op, link);
		const struct sender *s = notify_find(n, op->id);

		count += op->read.owner && op->read.endpoint->app == app &&
			 !(s && s->settings); /* it is new */
	}
	return count;
}

static int check_new(const struct notify *n, const struct kept_op *op,
		     struct err *e)
{
	const struct notify_endpoint *ep = op->read.endpoint;
	const struct sender *s = notify_find(n, op->id);
	int err = check_busy(n, op->id, ep->name, e);

	if (err)
		return err;
	if (s && notify_is_declared(s))
		return err_set(
			e, EEXIST, "name",
			"there is an endpoint of the name %s%s", ep->name,
			s->settings ? "" : ", in the configuration file");
	if (count_kept(n, ep->app) >= NOTIFY_KEPT_MAX)
		return err_set(e, EBUSY, "",
			       "app %" PRIu32
			       " has %d endpoints that were made "
			       "at run time: remove one first",
			       ep->app, NOTIFY_KEPT_MAX);
	return 0;
}

/** The one that is to be changed or taken out. */
static int find_kept(const struct notify *n, uint64_t id, struct sender **out,
		     struct err *e)
{
	struct sender *s = notify_find(n, id);

	if (!s || !notify_is_declared(s))
		return err_set(e, ENOENT, "endpoint",
			       "there is no endpoint %" PRIu64, id);
	if (!s->settings)
		return err_set(e, EEXIST, "endpoint",
			       "the configuration file declares the endpoint "
			       "%s: change it there",
			       s->name);
	*out = s;
	return check_busy(n, id, s->name, e);
}

/* ---- operations -------------------------------------------------------------- */

static struct kept_op *new_op(struct notify *n, notify_kept_fn *done, void *arg)
{
	struct kept_op *op = mem_zalloc(sizeof(*op));

	if (!op)
		return NULL;
	op->notify = n;
	op->free_read = n->reader.free;
	op->done = done;
	op->arg = arg;
	return op;
}

/** Read the object; op gets the endpoint, its id and its text. */
static int read_into(struct kept_op *op, uint32_t app, const json_t *object,
		     struct err *e)
{
	const struct notify_reader *r = &op->notify->reader;
	struct buf text;
	int err = r->read(app, object, &op->read, e, r->arg);

	if (err)
		return err;
	op->id = notify_endpoint_id(app, op->read.endpoint->name);
	buf_init(&text, SETTINGS_MAX);
	err = json_text_write(object, &text);
	if (!err)
		op->settings = buf_take(&text);
	buf_fini_secret(&text);
	return op->settings ? 0 : no_memory(e);
}

/** What is committed is in force from now. */
static void apply(struct kept_op *op, struct err *e)
{
	struct notify *n = op->notify;
	struct sender *s = notify_find(n, op->id);

	crash_point("endpoint.committed");
	/* Only the file may have come between, and then it wins. */
	if (s && notify_is_declared(s) && !s->settings)
		return;
	if (op->is_drop) {
		if (notify_remove_endpoint(n, op->id))
			assert(!"it was there");
		return;
	}
	if (notify_set_endpoint(n, op->read.endpoint, e)) {
		log_error("app=%" PRIu32 " endpoint=%s is stored, but it takes "
			  "effect at the next start only: %s",
			  op->read.endpoint->app, op->read.endpoint->name,
			  e->text[0] ? e->text : "out of memory");
		err_set(e, ENOMEM, "",
			"it is stored, but it takes effect at the next start "
			"only: out of memory");
		return;
	}
	s = notify_find(n, op->id);
	s->settings = op->settings;
	op->settings = NULL;
}

static void on_committed(const struct store_result *r, void *arg)
{
	struct kept_op *op = arg;
	struct err e = {0};

	if (!op->notify) {
		/* The answer was given inside notify_kept_stop. */
		free_op(op);
		return;
	}
	list_remove(&op->link);
	if (!r->err)
		apply(op, &e);
	else
		err_set(&e, r->err, "", "it cannot be stored: %s",
			r->text[0] ? r->text : strerror(r->err));
	if (r->err && op->is_drop)
		notify_find(op->notify, op->id)->leaving = false;
	op->done(op->id, &e, op->arg);
	free_op(op);
}

static void commit(struct kept_op *op, struct store_write *w)
{
	struct notify *n = op->notify;

	list_append(&n->kept_ops, &op->link);
	store_commit(n->store, w, n->loop, on_committed, op);
}

static void commit_settings(struct kept_op *op)
{
	const struct notify_endpoint *ep = op->read.endpoint;
	struct endpoint_row row = {
		.id = op->id, .app = ep->app, .settings = op->settings};
	struct store_write *w = store_write_new();

	str_copy(row.name, sizeof(row.name), ep->name);
	if (w)
		store_put_endpoint(w, &row);
	commit(op, w);
}

void notify_kept_stop(struct notify *n)
{
	const struct err stopped = {.code = ECANCELED,
				    .text = "the server stops"};

	LIST_EACH(&n->kept_ops, l, after)
	{
		struct kept_op *op = CONTAINER_OF(l, struct kept_op, link);

		list_remove(l);
		op->notify = NULL;
		op->done(op->id, &stopped, op->arg);
	}
}

/* ---- from outside ------------------------------------------------------------- */

/** A copy of `settings` with `changes` in it; NULL: out of memory. */
static json_t *merge(const json_t *settings, const json_t *changes)
{
	json_t *merged = settings ? json_deep_copy(settings) : json_object();
	const char *key;
	json_t *value;

	/* Iterating changes nothing in it. */
	json_object_foreach((json_t *)(uintptr_t)changes, key, value)
	{
		if (json_is_null(value)) {
			json_object_del(merged, key);
		} else if (json_object_set_new(merged, key,
					       json_deep_copy(value))) {
			json_decref(merged);
			return NULL;
		}
	}
	return merged;
}

int notify_make_endpoint(struct notify *n, uint32_t app, const json_t *settings,
			 notify_kept_fn *done, void *arg, struct err *e)
{
	struct kept_op *op = new_op(n, done, arg);
	json_t *object = merge(NULL, settings);
	int err;

	assert(loop_is_mine(n->loop));
	err = op && object ? read_into(op, app, object, e) : no_memory(e);
	json_decref(object);
	if (!err)
		err = check_new(n, op, e);
	if (err)
		free_op(op);
	else
		commit_settings(op);
	return err;
}

/** Its name is what deliveries and the store know it by. */
static int check_same_name(const struct sender *s, const json_t *changes,
			   struct err *e)
{
	const json_t *name = json_object_get(changes, "name");

	if (!name ||
	    (json_is_string(name) && !strcmp(json_string_value(name), s->name)))
		return 0;
	return err_set(e, EINVAL, "name",
		       "cannot be changed: make another endpoint");
}

int notify_change_endpoint(struct notify *n, uint64_t id, const json_t *changes,
			   notify_kept_fn *done, void *arg, struct err *e)
{
	struct kept_op *op;
	struct sender *s;
	json_t *old, *object;
	int err = find_kept(n, id, &s, e);

	assert(loop_is_mine(n->loop));
	if (!err)
		err = check_same_name(s, changes, e);
	if (err)
		return err;
	op = new_op(n, done, arg);
	old = json_loads(s->settings, 0, NULL);
	object = old ? merge(old, changes) : NULL;
	err = op && object ? read_into(op, s->app, object, e) : no_memory(e);
	json_decref(old);
	json_decref(object);
	if (err)
		free_op(op);
	else
		commit_settings(op);
	return err;
}

int notify_drop_endpoint(struct notify *n, uint64_t id, notify_kept_fn *done,
			 void *arg, struct err *e)
{
	struct removal_row row = {.endpoint = id};
	struct store_write *w;
	struct kept_op *op;
	struct sender *s;
	int err = find_kept(n, id, &s, e);

	assert(loop_is_mine(n->loop));
	if (err)
		return err;
	op = new_op(n, done, arg);
	if (!op)
		return no_memory(e);
	op->id = id;
	op->is_drop = true;
	s->leaving = true;
	row.app = s->app;
	str_copy(row.name, sizeof(row.name), s->name);
	row.up_to = store_next_id(n->store, IDS_DELIVERY) - 1;
	w = store_write_new();
	if (w) {
		store_delete_endpoint(w, id);
		store_put_removal(w, &row);
	}
	commit(op, w);
	return 0;
}

/* ---- at the start -------------------------------------------------------------- */

/** Read a text and declare what it says.  Returns 0 or an errno with `e`. */
static int declare(struct notify *n, uint32_t app, const char *text,
		   struct err *e)
{
	struct notify_read read = {0};
	json_t *object = json_loads(text, 0, NULL);
	char *copy = mem_strdup(text);
	struct sender *s;
	int err;

	*e = (struct err){0};
	if (!copy)
		err = no_memory(e);
	else if (!object)
		err = err_set(e, EBADMSG, "", "its settings are not JSON");
	else
		err = n->reader.read(app, object, &read, e, n->reader.arg);
	if (!err)
		err = notify_set_endpoint(n, read.endpoint, e);
	if (!err) {
		s = notify_find(n,
				notify_endpoint_id(app, read.endpoint->name));
		mem_free_secret(s->settings);
		s->settings = copy;
		copy = NULL;
	}
	if (read.owner)
		n->reader.free(read.owner);
	mem_free_secret(copy);
	json_decref(object);
	return err;
}

static int load_one(const struct endpoint_row *row, void *arg)
{
	struct notify *n = arg;
	const struct sender *s = notify_find(n, row->id);
	struct err e;
	int err;

	if (s && notify_is_declared(s)) {
		log_warn("app=%" PRIu32 " endpoint=%s was made at run time and "
			 "is in the configuration file: the file counts",
			 row->app, row->name);
		return 0;
	}
	err = declare(n, row->app, row->settings, &e);
	if (!err || err == ENOMEM)
		return err;
	log_error("app=%" PRIu32 " endpoint=%s, made at run time, is left out: "
		  "%s%s%s; what is pending for it waits",
		  row->app, row->name, e.field, e.field[0] ? ": " : "", e.text);
	return 0;
}

int notify_load_kept(struct notify *n)
{
	assert(loop_is_mine(n->loop));
	return store_each_endpoint(n->store, load_one, n);
}

void notify_reread_kept(struct notify *n)
{
	assert(loop_is_mine(n->loop));
	for (size_t i = 0; i < n->n_senders; i++) {
		const struct sender *s = n->senders[i];
		char *text = mem_strdup(s->settings);
		struct err e = {.text = "out of memory"};

		if (s->settings && (!text || declare(n, s->app, text, &e)))
			log_error("app=%" PRIu32 " endpoint=%s, made at run "
				  "time, stays as it was: %s%s%s",
				  s->app, s->name, e.field,
				  e.field[0] ? ": " : "", e.text);
		mem_free_secret(text);
	}
}
