/** notify/notify.c -- endpoints and their switches; batches of events. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/mem.h"
#include "base/str.h"
#include "notify/inside.h"

enum {
	FACTS_MAX = 1024 * 1024, /* of one event [bytes] */
	FIRST_SENDERS = 16,
	TIMEOUT_S = 5,
	EXPIRE_S = 7 * 86400,
	MAX_IN_FLIGHT = 16,
	MAX_CONNECTIONS = 512,
	DNS_TTL_S = 60,
};

/** The deliveries of one event, until its write is durable. */
struct item {
	struct link link;
	uint64_t task_seq;
	char *facts;
	size_t facts_len;
	size_t n;
	struct delivery_row rows[]; /* n */
};

struct notify_batch {
	struct link link; /* notify.batches, from its first event on */
	uint64_t first_id;
	struct link items;
	unsigned n_events;
};

uint64_t notify_endpoint_id(uint32_t app, const char *name)
{
	uint8_t text[4 + 64] = {(uint8_t)(app >> 24), (uint8_t)(app >> 16),
				(uint8_t)(app >> 8), (uint8_t)app};
	uint8_t digest[SHA256_DIGEST_LENGTH];
	size_t len = strnlen(name, sizeof(text) - 4);
	uint64_t id = 0;

	memcpy(text + 4, name, len);
	SHA256(text, 4 + len, digest);
	for (int i = 0; i < 8; i++)
		id = id << 8 | digest[i];
	id &= INT64_MAX;
	return id ? id : 1;
}

/* ---- endpoints ------------------------------------------------------------- */

struct sender *notify_find(const struct notify *n, uint64_t id)
{
	struct map_node *node = map_find(&n->by_id, &id, sizeof(id));

	return node ? CONTAINER_OF(node, struct sender, node) : NULL;
}

static struct app *find_app(const struct notify *n, uint32_t id)
{
	struct map_node *node = map_find(&n->apps, &id, sizeof(id));

	return node ? CONTAINER_OF(node, struct app, node) : NULL;
}

static struct app *need_app(struct notify *n, uint32_t id)
{
	struct app *app = find_app(n, id);

	if (app)
		return app;
	app = mem_zalloc(sizeof(*app));
	if (!app)
		return NULL;
	app->id = id;
	list_init(&app->senders);
	if (map_add(&n->apps, &app->node, &app->id, sizeof(app->id))) {
		mem_free(app);
		return NULL;
	}
	return app;
}

static int reserve_sender(struct notify *n)
{
	size_t cap = n->cap_senders ? 2 * n->cap_senders : FIRST_SENDERS;
	struct sender **senders;

	if (n->n_senders < n->cap_senders)
		return 0;
	senders = mem_realloc(n->senders, cap * sizeof(struct sender *));
	if (!senders)
		return ENOMEM;
	n->senders = senders;
	n->cap_senders = cap;
	return 0;
}

static void free_texts(struct sender *s)
{
	mem_free(s->url);
	mem_free(s->url_shown);
	mem_free_secret(s->key);
	mem_free_secret(s->previous_key);
	mem_free(s->shown);
	s->shown = NULL;
	s->url = NULL;
	s->url_shown = NULL;
	s->key = NULL;
	s->previous_key = NULL;
}

void notify_let_go(struct notify *n, struct sender *s)
{
	if (!s->forgotten || s->n_tries)
		return;
	map_remove(&n->by_id, &s->node);
	free_texts(s);
	mem_free(s);
}

void notify_forgotten(uint64_t endpoint, void *arg)
{
	struct notify *n = arg;
	struct sender *s = notify_find(n, endpoint);

	if (!s)
		return;
	assert(!notify_is_declared(s));
	s->forgotten = true;
	notify_let_go(n, s);
}

bool notify_is_declared(const struct sender *s)
{
	return s->url != NULL;
}

bool notify_is_kept(const struct sender *s)
{
	return s->settings && !s->by_file;
}

/** A sender that has a name only, known by its id; NULL: out of memory. */
static struct sender *add_sender(struct notify *n, uint32_t app,
				 const char *name)
{
	struct sender *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->id = notify_endpoint_id(app, name);
	s->app = app;
	str_copy(s->name, sizeof(s->name), name);
	if (map_add(&n->by_id, &s->node, &s->id, sizeof(s->id))) {
		mem_free(s);
		return NULL;
	}
	return s;
}

/** The sender of this app and name, made when there is none, with room for it
 *  in the list and its app.  NULL: out of memory. */
static struct sender *need_sender(struct notify *n, uint32_t app_id,
				  const char *name)
{
	struct sender *s = notify_find(n, notify_endpoint_id(app_id, name));

	if (s && notify_is_declared(s))
		return s;
	if (!need_app(n, app_id) || reserve_sender(n))
		return NULL;
	return s ? s : add_sender(n, app_id, name);
}

/** It is among those that are told. */
static void enlist(struct notify *n, struct sender *s)
{
	list_append(&find_app(n, s->app)->senders, &s->link);
	n->senders[n->n_senders++] = s;
}

static void delist(struct notify *n, struct sender *s)
{
	size_t i = 0;

	while (n->senders[i] != s)
		i++;
	n->n_senders--;
	memmove(&n->senders[i], &n->senders[i + 1],
		(n->n_senders - i) * sizeof(struct sender *));
	list_remove(&s->link);
	free_texts(s);
	mem_free_secret(s->settings);
	s->settings = NULL;
	s->by_file = false;
	s->leaving = false;
}

static bool is_name(const char *name)
{
	size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789_-");

	return len >= 1 && len <= 63 && !name[len];
}

static int check(const struct notify_endpoint *e, struct err *err)
{
	if (!is_name(e->name))
		return err_set(err, EINVAL, "name",
			       "must be 1..63 of A-Z a-z 0-9 _ -");
	if (e->per_minute > DELIVER_RATE_MAX)
		return err_set(err, EINVAL, "rate",
			       "must be at most 10000 a second");
	if (e->max_in_flight > 64)
		return err_set(err, EINVAL, "max_in_flight", "must be 1..64");
	if (e->timeout_us < 0 || e->expire_us < 0)
		return err_set(err, EINVAL,
			       e->timeout_us < 0 ? "timeout" : "expire_after",
			       "must not be negative");
	return http_url_check(e->url, err);
}

/** Returns 0 or ENOMEM; free_texts in any case. */
static int copy_texts(const struct notify_endpoint *e, struct sender *texts)
{
	texts->url = mem_strdup(e->url);
	texts->url_shown = mem_strndup(e->url, strcspn(e->url, "?#"));
	texts->key = mem_strdup(e->key ? e->key : "");
	texts->previous_key =
		mem_strdup(e->previous_key ? e->previous_key : "");
	texts->shown = mem_strdup(e->shown);
	return !texts->url || !texts->url_shown || !texts->key ||
			       !texts->previous_key ||
			       (e->shown && !texts->shown)
		       ? ENOMEM
		       : 0;
}

/** Only now does the sender change; takes the texts over. */
static void take_texts(struct sender *s, const struct notify_endpoint *e,
		       const struct sender *texts)
{
	handshake_set(s, e);
	free_texts(s);
	s->url = texts->url;
	s->url_shown = texts->url_shown;
	s->key = texts->key;
	s->previous_key = texts->previous_key;
	s->shown = texts->shown;
	s->dialect = e->dialect;
	s->encoding = e->encoding;
	s->verdict = e->verdict;
	memcpy(s->kinds, e->kinds, sizeof(s->kinds));
	s->timeout_us = e->timeout_us ? e->timeout_us
				      : TIMEOUT_S * (int64_t)CLOCK_US_PER_S;
	s->allow_private = e->allow_private;
	s->enabled = e->enabled;
	s->extended = e->extended;
	s->per_minute = e->per_minute;
}

int notify_set(struct notify *n, const struct notify_endpoint *e,
	       struct err *err)
{
	struct deliver_endpoint de = {
		.app = e->app,
		.retry = e->retry,
		.order = e->order,
		.expire_us = e->expire_us ? e->expire_us
					  : EXPIRE_S * (int64_t)CLOCK_US_PER_S,
		.max_in_flight =
			e->max_in_flight ? e->max_in_flight : MAX_IN_FLIGHT,
		.is_off = !e->enabled,
		.per_minute = e->per_minute,
	};
	struct sender *s, texts = {0};
	bool was_there, had_handshake;
	int code;

	assert(loop_is_mine(n->loop));
	code = check(e, err);
	if (code)
		return code;
	code = copy_texts(e, &texts);
	s = code ? NULL : need_sender(n, e->app, e->name);
	if (!s) {
		free_texts(&texts);
		return ENOMEM;
	}
	was_there = notify_is_declared(s);
	had_handshake = s->handshake.wanted;
	s->forgotten = false;
	/* First: what waits for it may go out inside deliver_set_endpoint. */
	take_texts(s, e, &texts);
	de.id = s->id;
	str_copy(de.name, sizeof(de.name), s->name);
	code = deliver_set_endpoint(n->deliver, &de);
	if (code) {
		/* Of one that was there already nothing can fail. */
		assert(!was_there);
		free_texts(s);
		return code;
	}
	if (!was_there)
		enlist(n, s);
	if (had_handshake && !e->handshake) /* what it allowed is void */
		deliver_set_rate(n->deliver, s->id, 0);
	return 0;
}

int notify_set_endpoint(struct notify *n, const struct notify_endpoint *e,
			struct err *err)
{
	struct sender *s;
	int code = notify_set(n, e, err);

	if (code)
		return code;
	s = notify_find(n, notify_endpoint_id(e->app, e->name));
	s->by_file = true;
	s->leaving = false;
	return 0;
}

void notify_take_out(struct notify *n, struct sender *s)
{
	delist(n, s);
	if (deliver_remove_endpoint(n->deliver, s->id))
		assert(!"it was there");
}

int notify_remove_endpoint(struct notify *n, uint64_t id)
{
	struct sender *s = notify_find(n, id);

	assert(loop_is_mine(n->loop));
	if (!s || !notify_is_declared(s))
		return ENOENT;
	if (s->by_file && s->settings)
		notify_kept_return(n, s);
	else
		notify_take_out(n, s);
	return 0;
}

static void describe(const struct notify *n, const struct sender *s,
		     struct notify_endpoint_info *out)
{
	*out = (struct notify_endpoint_info){
		.id = s->id,
		.app = s->app,
		.name = s->name,
		.url = s->url_shown,
		.dialect = s->dialect,
		.enabled = s->enabled,
		.handshake = s->handshake.wanted,
		.agreed = handshake_is_agreed(n, s),
		.is_kept = notify_is_kept(s),
		.shown = s->shown,
	};
}

bool notify_endpoint_info(const struct notify *n, uint64_t id,
			  struct notify_endpoint_info *out)
{
	const struct sender *s = notify_find(n, id);

	if (!s || !notify_is_declared(s))
		return false;
	describe(n, s, out);
	return true;
}

bool notify_endpoint_at(const struct notify *n, size_t i,
			struct notify_endpoint_info *out)
{
	if (i >= n->n_senders)
		return false;
	describe(n, n->senders[i], out);
	return true;
}

const char *notify_endpoint_name(const struct notify *n, uint64_t id)
{
	const struct sender *s = notify_find(n, id);

	return s ? s->name : "";
}

uint64_t notify_removed_endpoint(const struct notify *n, uint32_t app,
				 const char *name)
{
	const struct sender *found = NULL;

	for (struct map_node *node = map_next(&n->by_id, NULL); node;
	     node = map_next(&n->by_id, node)) {
		const struct sender *s =
			CONTAINER_OF(node, struct sender, node);

		if (!notify_is_declared(s) && (!app || s->app == app) &&
		    !strcmp(s->name, name) && (!found || s->app < found->app))
			found = s;
	}
	return found ? found->id : 0;
}

/* ---- batches --------------------------------------------------------------- */

struct notify_batch *notify_batch_new(void)
{
	struct notify_batch *b = mem_zalloc(sizeof(*b));

	if (b)
		list_init(&b->items);
	return b;
}

static void free_item(struct item *item)
{
	if (!item)
		return;
	list_remove(&item->link);
	mem_free(item->facts);
	mem_free(item);
}

static bool wants(const struct sender *s, enum event_kind kind)
{
	return s->enabled && !s->leaving && s->kinds[kind] &&
	       callback_has(s->dialect, kind);
}

static size_t count_wanting(const struct app *app, enum event_kind kind)
{
	size_t n = 0;

	if (!app)
		return 0;
	LIST_EACH(&app->senders, l, after)
	n += wants(CONTAINER_OF(l, struct sender, link), kind);
	return n;
}

int64_t notify_unix_ms(const struct notify *n)
{
	return n->unix_ms ? n->unix_ms() : clock_unix_ms();
}

static void fill_rows(struct notify *n, const struct app *app,
		      const struct event *e, struct item *item)
{
	int64_t now_ms = notify_unix_ms(n);

	if (!item->n)
		return;
	item->n = 0;
	LIST_EACH(&app->senders, l, after)
	{
		const struct sender *s = CONTAINER_OF(l, struct sender, link);

		if (!wants(s, e->kind))
			continue;
		item->rows[item->n++] = (struct delivery_row){
			.id = store_next_id(n->store, IDS_DELIVERY),
			.event = e->id,
			.endpoint = s->id,
			.lane = e->task,
			.app = e->app,
			.state = DELIVERY_PENDING,
			.created_ms = now_ms,
			.due_ms = now_ms,
			.task_seq = e->task_seq,
		};
	}
}

/** An item with the event's facts and room for its deliveries. */
static struct item *new_item(const struct event *e, size_t n)
{
	struct item *item =
		mem_zalloc(sizeof(*item) + n * sizeof(item->rows[0]));
	struct buf facts;

	if (!item)
		return NULL;
	buf_init(&facts, FACTS_MAX);
	event_write_json(e, &facts);
	item->n = n;
	item->task_seq = e->task_seq;
	item->facts_len = facts.len;
	item->facts = buf_err(&facts) ? NULL : buf_take(&facts);
	buf_fini(&facts);
	if (item->facts)
		return item;
	free_item(item);
	return NULL;
}

int notify_add(struct notify *n, struct store_write *w,
	       struct notify_batch *batch, struct event *e, const char *once)
{
	const struct app *app = find_app(n, e->app);
	struct event_row row;
	struct item *item;

	assert(loop_is_mine(n->loop));
	e->id = store_next_id(n->store, IDS_EVENT);
	if (!link_is_on_list(&batch->link)) {
		batch->first_id = e->id;
		list_append(&n->batches, &batch->link);
	}
	item = new_item(e, count_wanting(app, e->kind));
	if (!item)
		return ENOMEM;
	fill_rows(n, app, e, item);
	row = (struct event_row){
		.id = e->id,
		.task = e->task,
		.task_seq = e->task_seq,
		.app = e->app,
		.unix_ms = e->unix_ms,
		.once = once,
		.facts = item->facts,
		.facts_len = item->facts_len,
	};
	str_copy(row.kind, sizeof(row.kind), event_kind_name(e->kind));
	store_put_event(w, &row, item->rows, item->n);
	list_append(&batch->items, &item->link);
	batch->n_events++;
	return 0;
}

/** It is settled: what waited behind it may be seen. */
static void end_batch(struct notify *n, struct notify_batch *batch)
{
	LIST_EACH(&batch->items, l, after)
	free_item(CONTAINER_OF(l, struct item, link));
	list_remove(&batch->link);
	mem_free(batch);
	if (n && n->log_fn)
		n->log_fn(n->log_arg);
}

void notify_committed(struct notify *n, struct notify_batch *batch)
{
	assert(loop_is_mine(n->loop));
	counter_add(COUNT_events, batch->n_events);
	LIST_EACH(&batch->items, l, after)
	{
		struct item *item = CONTAINER_OF(l, struct item, link);

		if (item->n)
			deliver_add(n->deliver, item->rows, item->n,
				    item->task_seq, item->facts,
				    item->facts_len);
	}
	end_batch(n, batch);
}

void notify_dropped(struct notify *n, struct notify_batch *batch)
{
	if (batch)
		end_batch(n, batch);
}

void notify_settled(struct notify *n, struct notify_batch *batch,
		    const struct store_result *r)
{
	if (r->err) {
		notify_dropped(n, batch);
	} else if (r->repeated) {
		assert(r->repeated <= batch->n_events);
		counter_add(COUNT_events, batch->n_events - r->repeated);
		notify_dropped(n, batch);
		deliver_rescan(n->deliver);
	} else {
		notify_committed(n, batch);
	}
}

uint64_t notify_log_end(const struct notify *n)
{
	struct link *first = list_first(&n->batches);

	/* in order of their first ids, which are taken on this thread */
	if (first)
		return CONTAINER_OF(first, struct notify_batch, link)
			       ->first_id -
		       1;
	return store_last_id(n->store, IDS_EVENT);
}

void notify_log_watch(struct notify *n, void (*fn)(void *arg), void *arg)
{
	n->log_fn = fn;
	n->log_arg = arg;
}

/* ---- start and stop ---------------------------------------------------------- */

static int open_client(struct notify *n, struct workers *workers,
		       const struct notify_config *config)
{
	const struct http_client_config c = {
		.max_connections = config->max_connections
					   ? config->max_connections
				   : config->deliver.max_in_flight
					   ? 2 * config->deliver.max_in_flight
					   : MAX_CONNECTIONS,
		.user_agent = n->user_agent,
		.workers = workers,
		.dns_ttl_us = DNS_TTL_S * (int64_t)CLOCK_US_PER_S,
	};

	return http_client_new(n->loop, &c, &n->client);
}

int notify_new(struct loop *loop, struct store *store, struct workers *workers,
	       const struct notify_config *config, struct notify **out)
{
	static const struct deliver_events events = {
		.attempt = notify_attempt,
		.ended = notify_ended,
		.judged = notify_judged,
		.forgotten = notify_forgotten,
	};
	struct notify *n = mem_zalloc(sizeof(*n));
	int err = 0;

	if (!n)
		return ENOMEM;
	n->loop = loop;
	n->store = store;
	n->unix_ms = config->deliver.unix_ms;
	n->now_us = config->deliver.now_us;
	map_init(&n->by_id);
	map_init(&n->apps);
	list_init(&n->tries);
	list_init(&n->kept_ops);
	list_init(&n->probes);
	n->reader = config->reader;
	list_init(&n->batches);
	n->user_agent =
		mem_strdup(config->user_agent ? config->user_agent : "tapeop");
	if (!n->user_agent)
		err = ENOMEM;
	if (!err)
		err = handshake_set_origin(n, config->origin);
	if (!err)
		err = open_client(n, workers, config);
	if (!err)
		err = deliver_new(loop, store, &config->deliver, &events, n,
				  &n->deliver);
	if (err)
		notify_free(n);
	else
		*out = n;
	return err;
}

static void free_apps(struct notify *n)
{
	struct map_node *node = map_next(&n->apps, NULL);

	while (node) {
		struct app *app = CONTAINER_OF(node, struct app, node);

		node = map_next(&n->apps, node);
		mem_free(app);
	}
	map_fini(&n->apps);
}

static void free_senders(struct notify *n)
{
	struct map_node *node = map_next(&n->by_id, NULL);

	while (node) {
		struct sender *s = CONTAINER_OF(node, struct sender, node);

		node = map_next(&n->by_id, node);
		free_texts(s);
		mem_free_secret(s->settings);
		mem_free(s);
	}
	map_fini(&n->by_id);
	mem_free(n->senders);
}

void notify_free(struct notify *n)
{
	if (!n)
		return;
	notify_probes_stop(n);
	notify_kept_stop(n);
	notify_cancel_all(n);
	/* those of rooms that are not answered yet: rooms drop them */
	LIST_EACH(&n->batches, l, after)
	list_remove(l);
	deliver_free(n->deliver);
	http_client_free(n->client);
	free_senders(n);
	free_apps(n);
	mem_free(n->user_agent);
	mem_free(n->origin_field);
	mem_free(n);
}

/** Its name, for lists of what was for it. */
static int note_removed(const struct removal_row *row, void *arg)
{
	struct notify *n = arg;

	if (notify_find(n, row->endpoint))
		return 0;
	return add_sender(n, row->app, row->name) ? 0 : ENOMEM;
}

int notify_start(struct notify *n)
{
	int err = store_each_removal(n->store, note_removed, n);

	return err ? err : deliver_load(n->deliver);
}

struct deliver *notify_deliver(struct notify *n)
{
	return n->deliver;
}

void notify_pause(struct notify *n)
{
	deliver_pause(n->deliver);
}

unsigned notify_in_flight(const struct notify *n)
{
	return deliver_in_flight(n->deliver);
}
