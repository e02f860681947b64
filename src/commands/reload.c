/** commands/reload.c -- a changed configuration, while the server runs. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/reload.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "commands/api_keys.h"

enum {
	LINE_MAX_LEN = 800, /* of what was applied, in the log */
	ITEM_MAX = 160
};

/* ---- what can fail, and be taken back ---------------------------------------- */

struct attempt {
	const struct reload_parts *p;
	const struct config *next;
	unsigned n; /* done so far; on the way back: to be undone */
	struct err *e;
};

static int set_endpoint(const struct reload_parts *p,
			const struct notify_endpoint *ep, struct err *e)
{
	int err;

	*e = (struct err){0};
	err = notify_set_endpoint(p->notify, ep, e);
	return err && !e->code ? err_set(e, err, "", "%s", strerror(err)) : err;
}

/** The file has it no more; one of its name that was made at run time comes
 *  back. */
static void remove_endpoint(const struct reload_parts *p,
			    const struct notify_endpoint *ep)
{
	int err = notify_remove_endpoint(p->notify,
					 notify_endpoint_id(ep->app, ep->name));

	assert(!err || err == ENOENT); /* whoever was faster */
}

static int try_change(const struct config_change *c, void *arg)
{
	struct attempt *a = arg;
	int err = 0;

	switch (c->what) {
	case CONFIG_ENDPOINT_NEW:
	case CONFIG_ENDPOINT_CHANGED:
		err = set_endpoint(a->p, c->endpoint, a->e);
		break;
	case CONFIG_BUCKET_KEYS:
		err = rooms_set_bucket(a->p->rooms, &a->next->s3);
		if (err)
			err_set(a->e, err, "", "%s", strerror(err));
		break;
	case CONFIG_ADMIN_TOKEN:
		err = control_set_tokens(a->p->control, a->next->admin_token,
					 a->next->previous_admin_token);
		if (err)
			err_set(a->e, err, "", "%s", strerror(err));
		break;
	default:
		return 0;
	}
	a->n += !err;
	return err;
}

static void undo_bucket(const struct attempt *a)
{
	if (rooms_set_bucket(a->p->rooms, &a->p->config->s3))
		log_error("reload: the keys of storage.s3 are as in the new "
			  "file: out of memory; reload again");
}

/** The tokens are tried last, so they are never taken back. */
static int undo_change(const struct config_change *c, void *arg)
{
	struct attempt *a = arg;
	const struct notify_endpoint *ep = c->endpoint;
	const struct notify_endpoint *was;
	struct err e;

	if (c->what != CONFIG_ENDPOINT_NEW &&
	    c->what != CONFIG_ENDPOINT_CHANGED && c->what != CONFIG_BUCKET_KEYS)
		return 0;
	if (!a->n--)
		return ECANCELED;
	if (c->what == CONFIG_BUCKET_KEYS) {
		undo_bucket(a);
		return 0;
	}
	was = config_find_endpoint(a->p->config, ep->app, ep->name);
	if (!was)
		remove_endpoint(a->p, ep);
	else if (set_endpoint(a->p, was, &e))
		log_error("reload: app=%" PRIu32 " endpoint=%s is as in the "
			  "new file: %s; reload again",
			  ep->app, ep->name, e.text);
	return 0;
}

/* ---- what cannot fail --------------------------------------------------------- */

struct making {
	const struct reload_parts *p;
	uint32_t apps[CONFIG_APPS_MAX]; /* that have changed: their ids */
	size_t n_apps;
};

static int make_change(const struct config_change *c, void *arg)
{
	struct making *m = arg;
	const struct reload_parts *p = m->p;
	const struct notify_endpoint *ep = c->endpoint;

	switch (c->what) {
	case CONFIG_APP_NEW:
	case CONFIG_APP_CHANGED:
		rooms_set_app(p->rooms, &c->app->app);
		m->apps[m->n_apps++] = c->app->app.id;
		break;
	case CONFIG_ENDPOINT_NEW:
	case CONFIG_ENDPOINT_CHANGED:
		reload_warn_of(ep);
		break;
	case CONFIG_ENDPOINT_GONE:
		remove_endpoint(p, ep);
		break;
	default:
		break;
	}
	return 0;
}

/* ---- saying so ------------------------------------------------------------------ */

struct line {
	struct buf text;
	unsigned left_out;
};

static int write_change(const struct config_change *c, void *arg)
{
	static const char *const whats[CONFIG_WHAT_N] = {
		[CONFIG_LOG_LEVEL] = "log_level",
		[CONFIG_BUCKET_KEYS] = "storage.s3 keys",
		[CONFIG_ADMIN_TOKEN] = "http.admin_token",
		[CONFIG_ENDPOINT_NEW] = " new",
		[CONFIG_ENDPOINT_CHANGED] = " changed",
		[CONFIG_APP_NEW] = " new",
		[CONFIG_APP_CHANGED] = " changed",
		[CONFIG_ENDPOINT_GONE] = " removed",
	};
	struct line *l = arg;

	if (l->text.len + ITEM_MAX > LINE_MAX_LEN) {
		l->left_out++;
		return 0;
	}
	buf_puts(&l->text, l->text.len ? ", " : "");
	if (c->app)
		buf_printf(&l->text, "app %" PRIu32, c->app->app.id);
	if (c->endpoint)
		buf_printf(&l->text, " endpoint %s", c->endpoint->name);
	buf_puts(&l->text, whats[c->what]);
	return 0;
}

/** later   what only the next start changes */
static void say_applied(const struct config *old, const struct config *next,
			const struct buf *later)
{
	struct line l = {.left_out = 0};

	buf_init(&l.text, LINE_MAX_LEN);
	(void)config_each_change(old, next, write_change, &l);
	if (l.left_out)
		log_info("reload: %s and %u more", buf_str(&l.text),
			 l.left_out);
	else if (l.text.len || !later->len)
		log_info("reload: %s",
			 l.text.len ? buf_str(&l.text) : "nothing has changed");
	buf_fini(&l.text);
}

/** The first line is shown by either level. */
static void say_changes(const struct config *old, const struct config *next)
{
	const enum log_level was = old->log_level;
	struct buf later;

	buf_init(&later, LINE_MAX_LEN);
	config_write_later(old, next, &later);
	log_set_level(was > next->log_level ? was : next->log_level);
	say_applied(old, next, &later);
	log_set_level(next->log_level);
	reread_say_later(buf_str(&later));
	buf_fini(&later);
}

void reload_warn_of(const struct notify_endpoint *e)
{
	if (e->dialect == DIALECT_TRTC && !*e->key)
		log_warn("app=%" PRIu32 " endpoint=%s has no key: its "
			 "callbacks carry no Sign, and anybody can forge them",
			 e->app, e->name);
}

int reload_apply(const struct reload_parts *p, struct config *next,
		 struct err *e)
{
	struct making m = {.p = p};
	struct attempt a = {.p = p, .next = next, .e = e};
	struct control_keys *keys = NULL;
	int err = config_reserve(p->config, next, e);

	if (!err)
		err = api_keys_make(next, p->config, &keys, e);
	if (err)
		return err;
	/* what is in the files; names of files need a start */
	err = control_reload_tls(p->control, &p->config->tls, e);
	if (!err)
		err = config_each_change(p->config, next, try_change, &a);
	if (err) {
		(void)config_each_change(p->config, next, undo_change, &a);
		control_keys_free(keys);
		return err;
	}
	say_changes(p->config, next);
	(void)config_each_change(p->config, next, make_change, &m);
	config_take(p->config, next);
	control_take_keys(p->control, keys);
	/* Endpoints of the API may sign with their keys. */
	for (size_t i = 0; i < m.n_apps; i++)
		notify_reread_kept(p->notify, m.apps[i]);
	return 0;
}

/* ---- reading ---------------------------------------------------------------------- */

static int load(const char *path, void **next, struct err *e)
{
	struct config *config = NULL;
	int err = config_load(path, &config, e);

	*next = config;
	return err;
}

static int apply(void *next, void *arg, struct err *e)
{
	return reload_apply(arg, next, e);
}

static void free_config(void *next)
{
	config_free(next);
}

const struct reread_kind reload_kind = {load, apply, free_config};
