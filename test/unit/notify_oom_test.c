/** test/unit/notify_oom_test.c -- notify with each allocation failing once,
 *  over a store in memory. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "deliver_fake_store.h"
#include "notify_reader_aid.h"
#include "oom.h"

#define S ((int64_t)CLOCK_US_PER_S)

enum { APP = 7, EVENTS = 3 };

static int64_t hand_us = 1000 * S;
static struct loop *loop;
static struct workers *workers;
static struct store store;

static int64_t clock_by_hand(void)
{
	return hand_us;
}

static int64_t wall_by_hand(void)
{
	return 1700000000000 + hand_us / CLOCK_US_PER_MS;
}

/* ---- what notify calls of the store, beside what deliver does ---- */

void store_put_event(struct store_write *w, const struct event_row *e,
		     const struct delivery_row *deliveries, size_t n)
{
	(void)w;
	assert_non_null(e->facts);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(fake_put(&store, &deliveries[i]),
				 deliveries[i].id);
}

/* ---- the sweep ---- */

static int declare(struct notify *n, const char *name, enum dialect d,
		   bool handshake)
{
	/* Nobody listens on port 1: refused at once. */
	struct notify_endpoint e = {
		.app = APP,
		.name = name,
		.url = "http://127.0.0.1:1/?a=b",
		.dialect = d,
		.key = "key",
		.timeout_us = 20 * S,
		.allow_private = true,
		.enabled = true,
		.handshake = handshake,
		.per_minute = handshake ? 60 : 0,
	};
	struct err err = {0};
	int code;

	for (int k = 0; k < EVENT_KIND_N; k++)
		e.kinds[k] = true;
	assert_int_equal(deliver_retry_parse("1s", &e.retry, &err), 0);
	code = notify_set_endpoint(n, &e, &err);
	assert_true(code == 0 || code == ENOMEM);
	return code;
}

/** One event; what cannot be had is not there at all. */
static void tell(struct notify *n, uint64_t seq)
{
	struct event e = {.kind = seq % 2 ? EVENT_STARTED : EVENT_TASK_STARTED,
			  .app = APP,
			  .task = 64,
			  .task_seq = seq};
	struct notify_batch *batch = notify_batch_new();
	size_t before = store.n_rows;

	store.n_taken = 0;
	if (!batch)
		return;
	str_copy(e.room, sizeof(e.room), "room");
	str_copy(e.user, sizeof(e.user), "user");
	str_copy(e.file_name, sizeof(e.file_name), "file");
	if (notify_add(n, NULL, batch, &e, NULL)) {
		assert_int_equal(store.n_rows, before);
		notify_dropped(n, batch);
	} else {
		notify_committed(n, batch);
	}
}

/** What came of what was asked last: -1 nothing yet. */
static int kept_code, tested;

static void on_kept(uint64_t id, const struct err *e, void *arg)
{
	(void)id;
	(void)arg;
	assert_int_equal(kept_code, -1);
	kept_code = e->code;
}

static void on_tested(const struct notify_test *t, void *arg)
{
	(void)arg;
	assert_false(t->delivered); /* nobody listens there */
	tested++;
}

/** Make one, change it, test it, take it out; what cannot be had leaves all as
 *  it was. */
static void keep_one(struct notify *n)
{
	json_t *settings = json_pack("{s:s, s:s}", "name", "kept", "url",
				     "http://127.0.0.1:1/");
	json_t *changes =
		json_pack("{s:n, s:s}", "key", "url", "http://127.0.0.1:1/x");
	uint64_t id = notify_endpoint_id(APP, "kept");
	struct notify_endpoint_info info;
	struct err e = {0};

	kept_code = -1;
	if (!notify_make_endpoint(n, APP, settings, on_kept, NULL, &e)) {
		assert_int_equal(kept_code, -1);
		fake_answer_all(&store);
	} else {
		assert_int_equal(e.code, ENOMEM);
		kept_code = e.code;
	}
	assert_int_equal(notify_endpoint_info(n, id, &info), !kept_code);
	if (kept_code)
		goto out;
	kept_code = -1;
	if (!notify_change_endpoint(n, id, changes, on_kept, NULL, &e))
		fake_answer_all(&store);
	assert_true(notify_endpoint_info(n, id, &info));
	if (!kept_code)
		assert_string_equal(info.url, "http://127.0.0.1:1/x");
	tested = 0;
	if (!notify_test_endpoint(n, id, on_tested, NULL, &e)) {
		for (int i = 0; !tested && i < 20000; i++)
			loop_turn(loop, 100);
		assert_int_equal(tested, 1);
	}
	kept_code = -1;
	if (!notify_drop_endpoint(n, id, on_kept, NULL, &e))
		fake_answer_all(&store);
	assert_int_equal(notify_endpoint_info(n, id, &info), kept_code != 0);
out:
	json_decref(settings);
	json_decref(changes);
}

static bool any_pending(void)
{
	for (size_t i = 0; i < store.n_rows; i++)
		if (store.rows[i].d.state == DELIVERY_PENDING)
			return true;
	return false;
}

static void whole_life(void)
{
	const struct notify_config config = {
		.deliver = {.now_us = clock_by_hand,
			    .unix_ms = wall_by_hand,
			    .no_jitter = true},
		.reader = aid_reader};
	struct notify_endpoint_info info;
	struct notify *n = NULL;
	size_t declared = 0;

	store.n_rows = 0;
	store.n_removals = 0;
	if (notify_new(loop, (struct store *)&store, workers, &config, &n))
		return;
	declared += !declare(n, "gme", DIALECT_GME, false);
	declared += !declare(n, "live", DIALECT_LIVE, false);
	declared += !declare(n, "shy", DIALECT_GME, true);
	/* One that could not be declared is not shown, and wants nothing. */
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(notify_endpoint_at(n, i, &info), i < declared);
	assert_int_equal(notify_start(n), 0);
	keep_one(n);
	for (uint64_t i = 0; i < EVENTS; i++)
		tell(n, i);
	for (int i = 0; any_pending() && i < 20000; i++) {
		loop_turn(loop, 100);
		deliver_turn(notify_deliver(n));
		fake_answer_all(&store);
		hand_us += notify_in_flight(n) ? S / 10 : S;
	}
	assert_false(any_pending());
	for (size_t i = 0; i < store.n_rows; i++)
		assert_int_equal(store.rows[i].d.state, DELIVERY_DEAD);
	notify_free(n);
	fake_crash(&store);
}

static void no_memory_delays_but_loses_nothing(void **state)
{
	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(workers_new("dns", 1, &workers), 0);
	fake_init(&store);
	whole_life(); /* what is made once for ever */
	OOM_SWEEP(whole_life);
	fake_fini(&store);
	workers_free(workers);
	loop_turn(loop, 0);
	loop_free(loop);
}

static void quiet(enum log_level level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory_delays_but_loses_nothing),
	};

	log_set_sink(quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
