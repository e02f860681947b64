/**
 * test/unit/notify_aid.h -- a real store, notify, and endpoints that follow a
 * script; time by hand.
 *
 * The engine's clock stands still unless clock_pass moves it, so nothing here
 * depends on how fast the machine is.  Only the HTTP client's own time-outs
 * are real.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_UNIT_NOTIFY_AID_H
#define TEST_UNIT_NOTIFY_AID_H

/* Needs cmocka.h. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "notify/notify.h"
#include "store_aid.h"

#define S ((int64_t)CLOCK_US_PER_S)

enum {
	APP = 1400000000,
	TARGETS = 3,
	ENDPOINTS = 4,
	SEEN_MAX = 256,
	HELD_MAX = 64,
	PATIENCE_US = 60 * CLOCK_US_PER_S,
	QUIET_TURNS = 20
};

/** What an endpoint does with a request; the last one is repeated. */
struct step {
	int status; /* 0: does not answer until released */
	const char *body;
	size_t big; /* a body of so many bytes instead */
	const char *field, *value;
	const char *field2, *value2;
};

/** A request as it came. */
struct seen {
	unsigned target;
	bool asks; /* OPTIONS; else it is a POST */
	char origin[64], rate[16];
	char path[64];
	char query[1024]; /* "name=value;" each, decoded */
	char body[2048];
	char signature[80], standard[256], type[64], agent[32];
	char id[24], sequence[24], attempt[24];
};

struct target;
struct held {
	struct target *target;
	struct http_request *request; /* NULL: its client has gone */
};

struct target {
	struct rig *rig;
	unsigned number;
	struct http_server *server;
	struct addr addr;
	int (*judge)(const struct seen *s); /* status, in the place of steps */
	const struct step *steps;
	size_t n_steps, at;
	const struct step *consents; /* to OPTIONS; NULL: none must come */
	size_t n_consents, consent_at;
	struct held held[HELD_MAX];
	size_t n_held;
};

struct rig {
	struct aid a;
	struct loop *loop;
	struct workers *workers;
	struct notify *n;
	struct notify_config config;
	struct notify_endpoint endpoints[ENDPOINTS];
	char urls[ENDPOINTS][2200];
	size_t n_endpoints;
	struct target targets[TARGETS];
	struct seen seen[SEEN_MAX];
	unsigned n_seen;
	unsigned committing;
	struct store_result settled; /* of the newest write */
};

/* ---- time ---- */

static int64_t hand_us, hand_base_ms;

static inline int64_t clock_by_hand(void)
{
	return hand_us;
}

static inline int64_t wall_by_hand(void)
{
	return hand_base_ms + hand_us / CLOCK_US_PER_MS;
}

/** One turn of everything. */
static inline void rig_turn(struct rig *g)
{
	loop_turn(g->loop, 1000);
	if (g->config.deliver.now_us)
		deliver_turn(notify_deliver(g->n));
}

#define UNTIL(g, condition)                                       \
	do {                                                      \
		int64_t until_us = clock_now_us() + PATIENCE_US;  \
                                                                  \
		while (!(condition) && clock_now_us() < until_us) \
			rig_turn(g);                              \
		assert_true(condition);                           \
	} while (0)

/** Start what is due, and wait until all that is under way has ended. */
static inline void rig_settle(struct rig *g)
{
	deliver_turn(notify_deliver(g->n));
	UNTIL(g, !g->committing && !notify_in_flight(g->n));
	for (int i = 0; i < QUIET_TURNS; i++)
		loop_turn(g->loop, 0);
	UNTIL(g, !notify_in_flight(g->n));
}

/** Let time pass, dealing with what is due at its time. */
static inline void clock_pass(struct rig *g, int64_t us)
{
	int64_t end_us = hand_us + us;

	rig_settle(g);
	while (deliver_next_us(notify_deliver(g->n)) <= end_us) {
		int64_t next_us = deliver_next_us(notify_deliver(g->n));

		if (next_us > hand_us)
			hand_us = next_us;
		rig_settle(g);
	}
	hand_us = end_us;
	rig_settle(g);
}

/* ---- endpoints ---- */

static inline int add_pair(const char *name, const char *value, void *arg)
{
	struct seen *s = arg;
	size_t len = strlen(s->query);

	snprintf(s->query + len, sizeof(s->query) - len, "%s=%s;", name, value);
	return 0;
}

static inline void copy_header(struct http_request *r, const char *name,
			       char *to, size_t cap)
{
	const char *value = http_header(r, name);

	snprintf(to, cap, "%s", value ? value : "");
}

static inline void note(struct target *t, struct http_request *r)
{
	struct seen *s = &t->rig->seen[t->rig->n_seen++];

	assert_true(t->rig->n_seen < SEEN_MAX);
	memset(s, 0, sizeof(*s));
	s->target = t->number;
	s->asks = !strcmp(r->method, "OPTIONS");
	if (!s->asks)
		assert_string_equal(r->method, "POST");
	snprintf(s->path, sizeof(s->path), "%s", r->path);
	assert_int_equal(http_query_each(r, add_pair, s), 0);
	assert_int_equal(strlen((const char *)r->body), r->body_len);
	snprintf(s->body, sizeof(s->body), "%s", (const char *)r->body);
	copy_header(r, "WebHook-Request-Origin", s->origin, sizeof(s->origin));
	copy_header(r, "WebHook-Request-Rate", s->rate, sizeof(s->rate));
	copy_header(r, "Signature", s->signature, sizeof(s->signature));
	copy_header(r, "webhook-signature", s->standard, sizeof(s->standard));
	copy_header(r, "Content-Type", s->type, sizeof(s->type));
	copy_header(r, "User-Agent", s->agent, sizeof(s->agent));
	copy_header(r, "Tapeop-Event-Id", s->id, sizeof(s->id));
	copy_header(r, "Tapeop-Sequence", s->sequence, sizeof(s->sequence));
	copy_header(r, "Tapeop-Attempt", s->attempt, sizeof(s->attempt));
}

static inline void on_gone(void *arg)
{
	struct held *h = arg;

	h->request = NULL;
}

static inline void answer(struct http_request *r, const struct step *step)
{
	const struct http_field fields[] = {{step->field, step->value},
					    {step->field2, step->value2}};
	char *big = step->big ? malloc(step->big) : NULL;
	struct http_answer a = {
		.status = step->status,
		.content_type = "application/json",
		.fields = fields,
		.n_fields = (step->field != NULL) + (step->field2 != NULL),
		.body = step->body ? step->body : "",
		.body_len = step->body ? strlen(step->body) : 0,
	};

	if (big) {
		memset(big, ' ', step->big);
		a.body = big;
		a.body_len = step->big;
	}
	http_reply(r, &a);
	free(big);
}

static inline void on_request(struct http_request *r, void *arg)
{
	struct target *t = arg;
	const struct step *step = &t->steps[t->at];

	note(t, r);
	if (t->judge) {
		answer(r, &(struct step){
				  .status = t->judge(
					  &t->rig->seen[t->rig->n_seen - 1])});
		return;
	}
	if (t->rig->seen[t->rig->n_seen - 1].asks) {
		assert_non_null(t->consents);
		step = &t->consents[t->consent_at];
		if (t->consent_at + 1 < t->n_consents)
			t->consent_at++;
	} else if (t->at + 1 < t->n_steps) {
		t->at++;
	}
	if (step->status) {
		answer(r, step);
		return;
	}
	assert_true(t->n_held < HELD_MAX);
	t->held[t->n_held] = (struct held){t, r};
	http_on_gone(r, on_gone, &t->held[t->n_held++]);
}

/** Answer what was held back, so. */
static inline void release_with(struct target *t, const struct step *step)
{
	for (size_t i = 0; i < t->n_held; i++) {
		struct http_request *r = t->held[i].request;

		if (r)
			answer(r, step);
	}
	t->n_held = 0;
}

static inline void release(struct target *t, int status)
{
	const struct step step = {.status = status};

	release_with(t, &step);
}

static const struct step always_ok[] = {{.status = 200}};

/** From now on the target does this. */
#define SCRIPT(g, target, ...)                                           \
	do {                                                             \
		static const struct step script_steps[] = {__VA_ARGS__}; \
                                                                         \
		script_set(&(g)->targets[target], script_steps,          \
			   sizeof(script_steps) / sizeof(struct step));  \
	} while (0)

/** From now on it answers OPTIONS so. */
#define CONSENT(g, target, ...)                                           \
	do {                                                              \
		static const struct step consent_steps[] = {__VA_ARGS__}; \
                                                                          \
		consent_set(&(g)->targets[target], consent_steps,         \
			    sizeof(consent_steps) / sizeof(struct step)); \
	} while (0)

static inline void consent_set(struct target *t, const struct step *steps,
			       size_t n)
{
	t->consents = steps;
	t->n_consents = n;
	t->consent_at = 0;
}

static inline void script_set(struct target *t, const struct step *steps,
			      size_t n)
{
	t->steps = steps;
	t->n_steps = n;
	t->at = 0;
}

static inline void target_open(struct rig *g, unsigned i)
{
	struct http_server_config config = {.n_listen = 1,
					    .max_body = 1 << 20,
					    .max_connections = 200,
					    .header_us = PATIENCE_US};
	struct target *t = &g->targets[i];

	t->rig = g;
	t->number = i;
	script_set(t, always_ok, 1);
	assert_int_equal(addr_parse("127.0.0.1:0", &config.listen[0]), 0);
	assert_int_equal(
		http_server_open(g->loop, &config, on_request, t, &t->server),
		0);
	http_server_addr(t->server, 0, &t->addr);
}

/* ---- the rig ---- */

static inline void rig_declare(struct rig *g, size_t i)
{
	struct err e = {0};

	if (notify_set_endpoint(g->n, &g->endpoints[i], &e))
		fail_msg("notify_set_endpoint: %s", e.text);
}

/** Endpoint i at a URL. */
static inline struct notify_endpoint *endpoint_at(struct rig *g,
						  const char *name,
						  const char *url)
{
	struct notify_endpoint *e = &g->endpoints[g->n_endpoints];
	char *copy = g->urls[g->n_endpoints++];

	snprintf(copy, sizeof(g->urls[0]), "%s", url);
	*e = (struct notify_endpoint){
		.app = APP,
		.name = name,
		.url = copy,
		.dialect = DIALECT_GME,
		.key = "test-secret-key",
		.timeout_us = 20 * S,
		.allow_private = true,
		.max_in_flight = 8,
		.enabled = true,
	};
	for (int k = 0; k < EVENT_KIND_N; k++)
		e->kinds[k] = true;
	assert_int_equal(
		deliver_retry_parse("tencent", &e->retry, &(struct err){0}), 0);
	return e;
}

/** Endpoint to a target's path; not declared yet: change it, then rig_begin
 *  or rig_declare. */
static inline struct notify_endpoint *endpoint_to(struct rig *g,
						  const char *name,
						  unsigned target,
						  const char *path)
{
	char url[2200];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s",
		 (unsigned)addr_port(&g->targets[target].addr), path);
	return endpoint_at(g, name, url);
}

static inline void rig_begin(struct rig *g)
{
	assert_int_equal(
		notify_new(g->loop, g->a.s, g->workers, &g->config, &g->n), 0);
	for (size_t i = 0; i < g->n_endpoints; i++)
		rig_declare(g, i);
	assert_int_equal(notify_start(g->n), 0);
}

static inline struct rig *rig_new(void)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	hand_us = 1000 * S;
	hand_base_ms = 1675930605000 - hand_us / CLOCK_US_PER_MS;
	g->config.deliver = (struct deliver_config){.now_us = clock_by_hand,
						    .unix_ms = wall_by_hand,
						    .no_jitter = true};
	assert_int_equal(loop_new(&g->loop), 0);
	assert_int_equal(workers_new("dns", 1, &g->workers), 0);
	aid_dir(&g->a);
	aid_open(&g->a);
	for (unsigned i = 0; i < TARGETS; i++)
		target_open(g, i);
	return g;
}

/** Stop as a crash would: what is under way is never heard of again. */
static inline void rig_end(struct rig *g)
{
	notify_free(g->n);
	g->n = NULL;
	store_close(g->a.s);
	g->a.s = NULL;
	while (g->committing)
		loop_turn(g->loop, 1000);
	loop_turn(g->loop, 0);
}

static inline void rig_again(struct rig *g)
{
	rig_end(g);
	aid_open(&g->a);
	rig_begin(g);
}

static inline void rig_free(struct rig *g)
{
	rig_end(g);
	workers_free(g->workers);
	for (unsigned i = 0; i < TARGETS; i++)
		http_server_close(g->targets[i].server);
	loop_turn(g->loop, 0);
	loop_free(g->loop);
	nftw(g->a.dir, aid_rm, 8, FTW_DEPTH | FTW_PHYS);
	free(g);
}

/* ---- events ---- */

struct telling {
	struct rig *rig;
	struct notify_batch *batch;
};

static inline void on_committed(const struct store_result *r, void *arg)
{
	struct telling *t = arg;

	t->rig->committing--;
	t->rig->settled = *r;
	if (t->rig->n)
		notify_settled(t->rig->n, t->batch, r);
	else
		notify_dropped(NULL, t->batch);
	free(t);
}

/** As the vendor's sample has it. */
static inline struct event sample_event(uint64_t task, uint64_t task_seq)
{
	struct event e = {
		.kind = EVENT_STARTED,
		.task_seq = task_seq,
		.unix_ms = 1675930604123,
		.app = APP,
		.task = task,
		.mode = MODE_MIXED,
	};

	str_copy(e.room, sizeof(e.room), "100");
	str_copy(e.user, sizeof(e.user), "999");
	str_copy(e.client_ip, sizeof(e.client_ip), "127.0.0.1");
	str_copy(e.platform, sizeof(e.platform), "RESTAPI");
	str_copy(e.file_name, sizeof(e.file_name),
		 "1400000000_100_999/"
		 "2023-02-09-16-16-45_446946705284000000_audio.mp3");
	return e;
}

/** Commit it; its deliveries start when that is done. */
static inline void tell_once(struct rig *g, struct event *e, const char *once)
{
	struct telling *t = malloc(sizeof(*t));
	struct store_write *w = store_write_new();

	assert_non_null(t);
	*t = (struct telling){g, notify_batch_new()};
	assert_non_null(t->batch);
	assert_int_equal(notify_add(g->n, w, t->batch, e, once), 0);
	g->committing++;
	store_commit(g->a.s, w, g->loop, on_committed, t);
}

static inline void tell(struct rig *g, uint64_t task, uint64_t task_seq)
{
	struct event e = sample_event(task, task_seq);

	e.seq = (uint32_t)task_seq;
	tell_once(g, &e, NULL);
}

/* ---- looking ---- */

static inline struct delivery_row row_of(struct rig *g, uint64_t id)
{
	struct store_rows rows = aid_read(
		&g->a, (struct store_filter){
			       .what = READ_DELIVERIES, .id = id, .state = -1});
	struct delivery_row row;

	assert_int_equal(rows.n, 1);
	row = rows.deliveries[0];
	store_rows_free(&rows);
	return row;
}

static inline size_t rows_in(struct rig *g, int state)
{
	return aid_count(&g->a, (struct store_filter){.what = READ_DELIVERIES,
						      .state = state,
						      .limit = 1000});
}

/** in = delivered + pending + dead + expired, three times: the totals, the
 *  counters, and the rows. */
static inline void assert_balance(struct rig *g, int64_t delivered,
				  int64_t pending, int64_t dead,
				  int64_t expired)
{
	const int64_t want[] = {pending, delivered, dead, expired};
	struct store_totals t;

	store_totals(g->a.s, &t);
	assert_int_equal(t.in, delivered + pending + dead + expired);
	assert_int_equal(t.delivered, delivered);
	assert_int_equal(t.pending, pending);
	assert_int_equal(t.dead, dead);
	assert_int_equal(t.expired, expired);
	assert_int_equal(counter_get(COUNT_deliveries_in), t.in);
	assert_int_equal(counter_get(COUNT_deliveries_delivered), delivered);
	assert_int_equal(counter_get(COUNT_deliveries_pending), pending);
	assert_int_equal(counter_get(COUNT_deliveries_dead), dead);
	assert_int_equal(counter_get(COUNT_deliveries_expired), expired);
	for (int s = 0; s < DELIVERY_STATE_N; s++)
		assert_int_equal(rows_in(g, s), want[s]);
}

static inline struct deliver_endpoint_stats stats_of(struct rig *g, size_t i)
{
	struct deliver_endpoint_stats s;

	assert_true(deliver_endpoint_stats(
		notify_deliver(g->n),
		notify_endpoint_id(g->endpoints[i].app, g->endpoints[i].name),
		&s));
	return s;
}

static inline void quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static inline int rig_setup(void **state)
{
	log_set_sink(quiet, NULL);
	*state = rig_new();
	return 0;
}

static inline int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}

#define RIG_TEST(fn) \
	cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

#endif
