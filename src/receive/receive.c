/**
 * receive/receive.c -- take callbacks: verify, dedupe, commit, answer.
 *
 * WHAT  One request is one `struct taking`, which lives from the request to
 *       its answer.  The answer is sent after the commit, never before.
 * WHY   A sender that got "success" never comes back; so success means that
 *       the event is on disk.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/page.h"
#include "receive/private.h"

enum {
	MAX_CONNECTIONS = 1000,
	/* a sender's pool is tens; four such senders behind one address */
	MAX_PER_ADDRESS = 256,
	HEADER_US = 10 * 1000 * 1000,
	PAGE = 500,
	PARTS_MAX = 200000 /* tasks, segments and files that are shown */
};

/* ---- refusing --------------------------------------------------------------- */

/** Count it, and tell who looks. */
static void tell_refused(struct receive *rc, const struct refusal *no,
			 const struct addr *from)
{
	static const struct {
		int status;
		enum counter counter;
	} counters[] = {
		{401, COUNT_received_bad_signature},
		{403, COUNT_received_wrong_app},
		{413, COUNT_received_too_large},
		{503, COUNT_received_store_failed},
	};
	enum counter counter = COUNT_received_malformed;

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		if (counters[i].status == no->status)
			counter = counters[i].counter;
	}
	counter_add(counter, 1);
	refusals_say(&rc->refusals, no, from);
	if (rc->events.refused)
		rc->events.refused(no->status, no->why, rc->arg);
	streams_refused(rc->streams, no->status, no->why, from);
}

static void refuse(struct receive *rc, struct http_request *r,
		   const struct refusal *no)
{
	tell_refused(rc, no, &r->peer);
	reply_problem(r, no->status, no->why);
}

/** One that is genuine.  c   NULL: not known yet */
static void refuse_callback(struct receive *rc, struct http_request *r,
			    int status, const char *why,
			    const struct callback *c)
{
	struct refusal no = {.status = status};

	str_copy(no.why, sizeof(no.why), why);
	if (c) {
		no.dialect = dialect_name(c->dialect);
		no.app = c->event.app;
	}
	refuse(rc, r, &no);
}

static void on_refused(int status, const struct addr *peer, void *arg)
{
	struct refusal no = {.status = status};

	str_copy(no.why, sizeof(no.why),
		 status == 413 ? "the body is too large"
			       : "not a whole request");
	tell_refused(arg, &no, peer);
}

/* ---- committing, answering ------------------------------------------------------- */

static void on_committed(const struct store_result *result, void *arg)
{
	struct taking *t = arg;
	struct receive *rc = t->receive;

	if (!rc) {
		taking_free(t);
		return;
	}
	if (result->err)
		log_error("callback not stored: %s", result->text);
	if (t->request && result->err)
		refuse_callback(rc, t->request, 503, "it cannot be stored now",
				&t->callback);
	else if (t->request)
		reply_text(t->request, 200, "application/json",
			   callback_answer(t->callback.dialect));
	t->request = NULL;
	if (result->err == EIO) /* what others mean was undone */
		tell_doubted(rc, t);
	else if (result->err)
		taking_free(t);
	else if (result->repeated)
		tell_repeated(rc, t);
	else
		tell_made(rc, t);
}

static void on_gone(void *arg)
{
	struct taking *t = arg;

	t->request = NULL;
}

static void commit(struct taking *t)
{
	struct receive *rc = t->receive;
	const uint32_t app = t->callback.event.app;
	struct store_write *w = store_write_new();
	char once[SIGNATURE_TEXT_MAX + 16];
	struct event_row row = {
		.id = store_next_id(rc->store, IDS_EVENT),
		.task = t->callback.event.task,
		.app = app,
		.unix_ms = clock_unix_ms(),
		.once = once,
		.facts = t->texts.facts,
		.facts_len = t->texts.facts_len,
	};

	snprintf(once, sizeof(once), "%" PRIu32 "/%s", app, t->callback.key);
	t->id = row.id;
	str_copy(row.kind, sizeof(row.kind), "received");
	t->n_rows = forward_rows(rc->forward, app, row.id, t->callback.task,
				 row.unix_ms, t->rows);
	if (w)
		store_put_event(w, &row, t->rows, t->n_rows);
	store_commit(rc->store, w, rc->loop, on_committed, t);
}

static void take(struct receive *rc, struct http_request *r)
{
	struct taking *t = mem_zalloc(sizeof(*t));
	struct refusal no;
	int err;

	if (!t) {
		refuse_callback(rc, r, 503, "out of memory", NULL);
		return;
	}
	t->receive = rc;
	t->request = r;
	list_append(&rc->takings, &t->link);
	if (!check_request(&rc->apps, r, &t->callback, &no)) {
		refuse(rc, r, &no);
		taking_free(t);
		return;
	}
	err = text_write(r, &t->callback, &t->texts);
	if (err) {
		refuse_callback(rc, r, err == EMSGSIZE ? 400 : 503,
				err == EMSGSIZE ? "the URL's query is too long"
						: "out of memory",
				&t->callback);
		taking_free(t);
		return;
	}
	http_on_gone(r, on_gone, t);
	commit(t);
}

static void on_request(struct http_request *r, void *arg)
{
	struct receive *rc = arg;

	if (!strcmp(r->method, "POST"))
		take(rc, r);
	else if (!strcmp(r->method, "GET")) /* HEAD is one, too */
		show_request(rc, r);
	else
		reply_problem(r, 405, "callbacks are taken by POST");
}

/* ---- opening ------------------------------------------------------------------------ */

struct loading {
	struct recordings *recordings;
	uint64_t last_id;
};

static int load_page(struct store_rows *rows, void *arg)
{
	struct loading *l = arg;
	int err = 0;

	for (size_t i = 0; i < rows->n && !err; i++) {
		const struct event_row *row = &rows->events[i];
		json_t *facts = json_loadb(row->facts, row->facts_len, 0, NULL);
		json_t *event = json_object_get(facts, "event");

		if (event)
			err = recordings_add(l->recordings, event);
		if (err == ENOBUFS)
			err = 0; /* as when it came */
		l->last_id = row->id;
		json_decref(facts);
	}
	return err;
}

/** What was received before the restart; *last_id of the newest. */
static int load(struct receive *rc, uint64_t *last_id)
{
	const struct store_filter f = {
		.what = READ_EVENTS, .state = -1, .limit = PAGE};
	struct loading l = {.recordings = &rc->recordings};
	int err = store_read_pages(rc->store, &f, load_page, &l);

	*last_id = l.last_id;
	return err;
}

static int open_server(struct receive *rc, struct err *e)
{
	struct http_server_config http = {
		.listen = {rc->config.listen},
		.n_listen = 1,
		.max_body = rc->config.max_body,
		.max_connections = MAX_CONNECTIONS,
		.header_us = HEADER_US,
		.refused = on_refused,
		.max_per_address = rc->config.max_per_address
					   ? rc->config.max_per_address
					   : MAX_PER_ADDRESS,
		.limit_loopback = rc->config.max_per_address > 0,
		.tls = rc->config.tls,
		.why_not_tls = e,
	};
	char text[ADDR_TEXT_MAX];
	int err =
		http_server_open(rc->loop, &http, on_request, rc, &rc->server);

	if (err && !e->code)
		err_set(e, err, "--listen", "cannot listen on %s: %s",
			addr_write(&rc->config.listen, text), strerror(err));
	return err;
}

int receive_open(struct loop *loop, struct store *store,
		 struct workers *workers, const struct receive_config *config,
		 const struct receive_events *events, void *arg,
		 struct receive **out, struct err *e)
{
	struct receive *rc = mem_zalloc(sizeof(*rc));
	uint64_t last_id = 0;
	int err;

	*e = (struct err){0};
	if (!rc)
		return err_set(e, ENOMEM, "", "out of memory");
	rc->loop = loop;
	rc->store = store;
	rc->events = *events;
	rc->arg = arg;
	list_init(&rc->takings);
	list_init(&rc->waiting);
	recordings_init(&rc->recordings, PARTS_MAX);
	refusals_init(&rc->refusals, loop);
	rc->config = *config;
	rc->config.apps = NULL; /* the caller's */
	err = apps_copy(config->apps, config->n_apps, &rc->apps);
	if (!err)
		err = load(rc, &last_id);
	if (!err)
		err = streams_new(loop, store, last_id, &rc->streams);
	if (!err)
		err = open_server(rc, e);
	/* Last: it begins at once with what was left over. */
	if (!err)
		err = forward_new(loop, store, workers, &rc->apps,
				  &rc->forward);
	if (!err) {
		*out = rc;
		return 0;
	}
	if (!e->code)
		err_set(e, err, "", "cannot start: %s", strerror(err));
	receive_close(rc);
	return err;
}

int receive_reload_tls(struct receive *rc, const struct http_tls_config *tls,
		       struct err *e)
{
	return tls->cert_file ? http_server_reload_tls(rc->server, tls, e) : 0;
}

void receive_close(struct receive *rc)
{
	if (!rc)
		return;
	http_server_close(rc->server);
	LIST_EACH(&rc->takings, l, after)
	{
		struct taking *t = CONTAINER_OF(l, struct taking, link);

		list_remove(l); /* its commit is still under way */
		t->receive = NULL;
	}
	tell_close(rc);
	streams_free(rc->streams);
	forward_free(rc->forward);
	recordings_fini(&rc->recordings);
	refusals_fini(&rc->refusals);
	apps_fini(&rc->apps);
	mem_free(rc);
}

int receive_set_apps(struct receive *rc, const struct receive_app *apps,
		     size_t n_apps)
{
	struct apps next, was = rc->apps;
	int err = apps_copy(apps, n_apps, &next);

	if (err)
		return err;
	err = forward_prepare(rc->forward, &next);
	if (err) {
		apps_fini(&next);
		return err;
	}
	rc->apps = next;
	forward_change(rc->forward, &was);
	apps_fini(&was);
	return 0;
}

void receive_addr(const struct receive *rc, struct addr *out)
{
	http_server_addr(rc->server, 0, out);
}
