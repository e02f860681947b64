/**
 * test/bench/deliver_load.c -- events of many tasks, committed and delivered by
 * what `tapeop serve` does that with: store, notify, deliver, the HTTP client.
 *
 * usage: deliver_load DIR PORT EVENTS RATE
 *
 * DIR gets the database.  There are four apps with one endpoint each, at
 * 127.0.0.1:PORT, dialect gme, verdict by the body.  Each event is a commit of
 * its own, with one delivery, as if a segment's state had changed; it belongs
 * to one of 2,000 tasks, whose events go out in order, each after the outcome
 * of the one before is committed.  RATE: events a second; 0: as many as it
 * can, with at most WINDOW that are not delivered yet.
 *
 * Prints one line of JSON; with a RATE then a line an event, "ID ADDED
 * COMMITTED": its id, when it was put into its commit, and when that was
 * durable [us].
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

#include "base/clock.h"
#include "base/counters.h"
#include "notify/notify.h"

enum {
	ENDPOINTS = 4,
	TASKS = 2000,
	WINDOW = 4000,
	FLIGHTS = 256, /* as in serve */
	WORKERS = 4,
	FACTS_CACHE = 64 << 20,
	APP = 1400000000
};

/** An event on its way into the store. */
struct told {
	struct notify_batch *batch;
	uint64_t id;
	int64_t added_us, committed_us;
};

static struct notify *notify;
static struct store *store;
static struct loop *loop;
static struct told *told;
static size_t n_told;

static void must(int err, const char *what)
{
	if (err)
		die(what, strerror(err));
}

static size_t delivered(void)
{
	return (size_t)counter_get(COUNT_deliveries_delivered);
}

static void declare(unsigned i, const char *port)
{
	char url[64];
	struct notify_endpoint e = {
		.app = APP + i,
		.name = "bench",
		.url = url,
		.dialect = DIALECT_GME,
		.key = "a-secret-of-the-bench",
		.verdict = NOTIFY_BY_BODY,
		.allow_private = true,
		.max_in_flight = 64,
		.enabled = true,
	};
	struct err err;

	snprintf(url, sizeof(url), "http://127.0.0.1:%s/%u", port, i);
	e.kinds[EVENT_STARTED] = true;
	e.kinds[EVENT_COMPLETED] = true;
	e.kinds[EVENT_UPLOADED] = true;
	must(deliver_retry_parse("standard", &e.retry, &err), "retries");
	must(notify_set_endpoint(notify, &e, &err), "endpoint");
}

static void on_committed(const struct store_result *r, void *arg)
{
	struct told *t = arg;

	if (r->err)
		die("commit", r->text);
	t->committed_us = clock_now_us();
	notify_settled(notify, t->batch, r);
}

/** Event `i`: those of a task are as far from each other as can be. */
static void tell(size_t i)
{
	static const enum event_kind kinds[] = {EVENT_STARTED, EVENT_COMPLETED,
						EVENT_UPLOADED};
	static const uint64_t first_task = 1000000000;
	const size_t task = i % TASKS, step = i / TASKS;
	struct told *t = &told[n_told++];
	struct store_write *w = store_write_new();
	struct event e = {
		.task_seq = step,
		.kind = kinds[step % 3],
		.unix_ms = clock_unix_ms(),
		.app = APP + (uint32_t)(task % ENDPOINTS),
		.task = (first_task + task) << EVENT_TASK_ID_ZERO_BITS,
		.client_ip = "127.0.0.1",
		.platform = "RESTAPI",
		.seq = (uint32_t)step / 3,
		.start_ms = clock_unix_ms(),
		.duration_ms = 60000,
		.size = 480000,
	};
	char once[128];

	snprintf(e.room, sizeof(e.room), "room-%zu", task);
	snprintf(e.user, sizeof(e.user), "user-%zu", task);
	snprintf(e.file_name, sizeof(e.file_name),
		 "%u/2026-11-21/room-%zu/%" PRIu64 "/user-%zu/%u.mp3", e.app,
		 task, e.task, task, e.seq);
	snprintf(once, sizeof(once), "%" PRIu64 "/%zu", e.task, step);
	t->added_us = clock_now_us();
	t->batch = notify_batch_new();
	if (!w || !t->batch || notify_add(notify, w, t->batch, &e, once))
		die("event", "out of memory");
	t->id = e.id;
	store_commit(store, w, loop, on_committed, t);
}

static void open_all(const char *dir, const char *port)
{
	const struct store_config sc = {.data_dir = dir};
	const struct notify_config nc = {
		.deliver = {.max_in_flight = FLIGHTS,
			    .facts_cache_bytes = FACTS_CACHE},
		.max_connections = FLIGHTS,
	};
	static struct workers *workers;
	struct err e;

	must(loop_new(&loop), "loop");
	must(workers_new("work", WORKERS, &workers), "workers");
	must(store_open(&sc, &store, &e), "store");
	must(notify_new(loop, store, workers, &nc, &notify), "notify");
	for (unsigned i = 0; i < ENDPOINTS; i++)
		declare(i, port);
	must(notify_start(notify), "notify");
}

static size_t due(size_t n, double rate, int64_t began_us)
{
	double s = (double)(clock_now_us() - began_us) / 1e6;
	size_t most = rate > 0 ? (size_t)(s * rate) : delivered() + WINDOW;

	return most < n ? most : n;
}

int main(int argc, char **argv)
{
	double rate, seconds, before_s;
	int64_t began_us;
	size_t n;

	if (argc != 5) {
		fprintf(stderr, "usage: deliver_load DIR PORT EVENTS RATE\n");
		return 2;
	}
	n = strtoul(argv[3], NULL, 10);
	rate = strtod(argv[4], NULL);
	told = calloc(n + 1, sizeof(*told));
	if (!told)
		die("events", "out of memory");
	open_all(argv[1], argv[2]);
	before_s = cpu_s();
	began_us = clock_now_us();
	while (delivered() < n) {
		while (n_told < due(n, rate, began_us))
			tell(n_told);
		loop_turn(loop, 1000);
	}
	seconds = (double)(clock_now_us() - began_us) / 1e6;
	printf("{\"deliveries\":%zu,\"seconds\":%.3f,\"per_s\":%.0f,"
	       "\"attempts\":%" PRId64 ",\"commits\":%" PRId64
	       ",\"cpu_s\":%.3f}\n",
	       n, seconds, (double)n / seconds, counter_get(COUNT_attempts),
	       counter_get(COUNT_store_commits), cpu_s() - before_s);
	for (size_t i = 0; rate > 0 && i < n; i++)
		printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", told[i].id,
		       told[i].added_us, told[i].committed_us);
	return 0; /* as after a crash: the next start would go on */
}
