/**
 * notify/kept.c -- endpoints that are made, changed and taken out at run
 * time.
 *
 * DESIGN
 *   - Settings are the JSON object that was given, with its secrets: what is
 *     not in it has the default, as in the file.  A change is merged into it,
 *     and the whole is read and checked again, by who knows the settings.
 *   - First the commit, then it is in force, then the answer.  Meanwhile
 *     nobody else may touch the same name, but the file: what it declares
 *     counts.  The settings that are kept under its name wait in memory as in
 *     the store, until it lets go.
 *   - Settings are read when they come into force, for they may need the keys
 *     that their app has then.
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
	uint64_t up_to;		 /* with is_drop: of its removal_row */
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

unsigned notify_n_kept(const struct notify *n, uint32_t app)
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
			notify_is_kept(s) ? "" : ", in the configuration file");
	if (notify_n_kept(n, ep->app) >= NOTIFY_KEPT_MAX)
		return err_set(e, EBUSY, "",
			       "app %" PRIu32
			       " has %d endpoints that were made "
			       "at run time: remove one first",
			       ep->app, NOTIFY_KEPT_MAX);
	return 0;
}

/** The one that is to be changed or taken out; NULL with `e`: it may not. */
static struct sender *find_kept(const struct notify *n, uint64_t id,
				struct err *e)
{
	struct sender *s = notify_find(n, id);

	if (!s || !notify_is_declared(s)) {
		err_set(e, ENOENT, "endpoint", "there is no endpoint %" PRIu64,
			id);
		return NULL;
	}
	if (!notify_is_kept(s)) {
		err_set(e, EEXIST, "endpoint",
			"the configuration file declares the endpoint %s: "
			"change it there",
			s->name);
		return NULL;
	}
	return check_busy(n, id, s->name, e) ? NULL : s;
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
	buf_init_secret(&text, SETTINGS_MAX);
	err = json_text_write(object, &text);
	if (!err)
		op->settings = buf_take(&text);
	buf_fini(&text);
	return op->settings ? 0 : err_no_memory(e);
}

/* ---- coming into force ------------------------------------------------------- */

/** Declare what was read, with a copy of its text. */
static int declare_read(struct notify *n, const struct notify_endpoint *ep,
			const char *text, struct err *e)
{
	struct sender *s;
	char *copy = mem_strdup(text);
	int err = copy ? notify_set(n, ep, e) : ENOMEM;

	if (err) {
		mem_free_secret(copy);
		return err == ENOMEM ? err_no_memory(e) : err;
	}
	s = notify_find(n, notify_endpoint_id(ep->app, ep->name));
	mem_free_secret(s->settings);
	s->settings = copy;
	s->by_file = false;
	return 0;
}

/** Read a text.  Returns 0 or an errno with `e`. */
static int read_text(const struct notify *n, uint32_t app, const char *text,
		     struct notify_read *out, struct err *e)
{
	const struct notify_reader *r = &n->reader;
	json_error_t why;
	json_t *object = json_loads(text, 0, &why);
	int err;

	*e = (struct err){0};
	if (object)
		err = r->read(app, object, out, e, r->arg);
	else if (json_error_code(&why) == json_error_out_of_memory)
		err = err_no_memory(e);
	else
		err = err_set(e, EBADMSG, "", "its settings are not JSON");
	json_decref(object);
	return err;
}

/** Read a text and declare what it says.  Returns 0 or an errno with `e`. */
static int declare(struct notify *n, uint32_t app, const char *text,
		   struct err *e)
{
	struct notify_read read = {0};
	int err = read_text(n, app, text, &read, e);

	if (err)
		return err;
	err = declare_read(n, read.endpoint, text, e);
	n->reader.free(read.owner);
	return err;
}

void notify_kept_return(struct notify *n, struct sender *s)
{
	struct err e;

	if (declare(n, s->app, s->settings, &e))
		log_error("app=%" PRIu32 " endpoint=%s was made at run time "
			  "and cannot be in force again: %s%s%s; until the "
			  "next start it stays as the configuration file had "
			  "it",
			  s->app, s->name, e.field, e.field[0] ? ": " : "",
			  e.text);
	else
		log_info("app=%" PRIu32 " endpoint=%s is in force again as it "
			 "was made at run time",
			 s->app, s->name);
}

/** The file came between, and wins.  What was committed waits for its end. */
static void lose_to_file(struct kept_op *op, struct sender *s, struct err *e)
{
	mem_free_secret(s->settings);
	s->settings = op->settings; /* NULL: dropped */
	op->settings = NULL;
	if (op->is_drop)
		deliver_expire_up_to(op->notify->deliver, op->id, op->up_to);
	else
		err_set(e, EEXIST, "name",
			"the configuration file declares the endpoint %s now: "
			"it is stored, and in force when the file lets go of "
			"the name",
			s->name);
}

/** What is committed is in force from now. */
static void apply(struct kept_op *op, struct err *e)
{
	struct notify *n = op->notify;
	struct sender *s = notify_find(n, op->id);

	crash_point("endpoint.committed");
	if (s && s->by_file) {
		lose_to_file(op, s, e);
	} else if (op->is_drop) {
		notify_take_out(n, s);
	} else if (declare(n, op->read.endpoint->app, op->settings, e)) {
		struct err why = *e;

		log_error("app=%" PRIu32 " endpoint=%s is stored, but not in "
			  "force before the next start: %s",
			  op->read.endpoint->app, op->read.endpoint->name,
			  why.text);
		err_set(e, why.code, why.field,
			"it is stored, but not in force before the next "
			"start: %s",
			why.text);
	}
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
	err = op && object ? read_into(op, app, object, e) : err_no_memory(e);
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
	const struct sender *s = find_kept(n, id, e);
	struct kept_op *op;
	json_t *old, *object;
	int err;

	assert(loop_is_mine(n->loop));
	if (!s)
		return e->code;
	err = check_same_name(s, changes, e);
	if (err)
		return err;
	op = new_op(n, done, arg);
	old = json_loads(s->settings, 0, NULL);
	object = old ? merge(old, changes) : NULL;
	err = op && object ? read_into(op, s->app, object, e)
			   : err_no_memory(e);
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
	struct sender *s = find_kept(n, id, e);
	struct store_write *w;
	struct kept_op *op;

	assert(loop_is_mine(n->loop));
	if (!s)
		return e->code;
	op = new_op(n, done, arg);
	if (!op)
		return err_no_memory(e);
	op->id = id;
	op->is_drop = true;
	s->leaving = true;
	row.app = s->app;
	str_copy(row.name, sizeof(row.name), s->name);
	op->up_to = store_next_id(n->store, IDS_DELIVERY) - 1;
	row.up_to = op->up_to;
	w = store_write_new();
	if (w) {
		store_delete_endpoint(w, id);
		store_put_removal(w, &row);
	}
	commit(op, w);
	return 0;
}

/* ---- at the start -------------------------------------------------------------- */

static int load_one(const struct endpoint_row *row, void *arg)
{
	struct notify *n = arg;
	struct sender *s = notify_find(n, row->id);
	struct err e;
	int err;

	if (s && notify_is_declared(s)) {
		log_warn("app=%" PRIu32 " endpoint=%s was made at run time and "
			 "is in the configuration file: the file counts",
			 row->app, row->name);
		s->settings = mem_strdup(row->settings);
		return s->settings ? 0 : ENOMEM;
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

static int reread(struct notify *n, const struct sender *s, struct err *e)
{
	struct notify_read read = {0};
	int err = read_text(n, s->app, s->settings, &read, e);
	const struct notify_endpoint *ep = read.endpoint;

	if (err)
		return err;
	/* An app lends its keys, and nothing else. */
	if (strcmp(s->key, ep->key ? ep->key : "") != 0 ||
	    strcmp(s->previous_key, ep->previous_key ? ep->previous_key : "") !=
		    0)
		err = declare_read(n, ep, s->settings, e);
	n->reader.free(read.owner);
	return err;
}

void notify_reread_kept(struct notify *n, uint32_t app)
{
	assert(loop_is_mine(n->loop));
	for (size_t i = 0; i < n->n_senders; i++) {
		const struct sender *s = n->senders[i];
		struct err e;

		if (s->app == app && notify_is_kept(s) && reread(n, s, &e))
			log_error("app=%" PRIu32 " endpoint=%s, made at run "
				  "time, stays as it was: %s%s%s",
				  s->app, s->name, e.field,
				  e.field[0] ? ": " : "", e.text);
	}
}
