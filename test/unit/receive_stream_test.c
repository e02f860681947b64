/** test/unit/receive_stream_test.c -- GET /v1/events: pages, then live, each
 *  event once and in order; also with each allocation failing once. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "receive/receive.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/str.h"
#include "oom.h"
#include "receive_aid.h"

enum { LISTENER_CAP = 1 << 20, FIRST = 250, ROUNDS_MAX = 20 };

/** A client of server-sent events, as a browser is one. */
struct listener {
	int fd; /* -1: not connected */
	char *text;
	size_t len, read; /* read: parsed so far */
	uint64_t last;	  /* id of the newest event */
	unsigned n;	  /* events */
	unsigned refused;
	bool is_over; /* closed by the other side */
};

static struct listener *listener_new(void)
{
	struct listener *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->fd = -1;
	l->text = calloc(1, LISTENER_CAP);
	assert_non_null(l->text);
	return l;
}

static void hang_up(struct listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static void listener_free(struct listener *l)
{
	hang_up(l);
	free(l->text);
	free(l);
}

/** Connect with the cursor it has. */
static void dial(struct rig *g, struct listener *l, const char *query)
{
	char head[256];

	hang_up(l);
	l->len = 0;
	l->read = 0;
	l->is_over = false;
	memset(l->text, 0, LISTENER_CAP);
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(l->fd >= 0);
	assert_int_equal(connect(l->fd, &g->at.sa, g->at.len), 0);
	snprintf(head, sizeof(head),
		 "GET /v1/events%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
		 "Last-Event-ID: %llu\r\n\r\n",
		 query, (unsigned long long)l->last);
	assert_int_equal(write(l->fd, head, strlen(head)), strlen(head));
}

/** One block: an event, or something else. */
static void take_block(struct listener *l, const char *block)
{
	const char *id = strstr(block, "id: ");
	char text[24] = "";
	uint64_t value;

	if (strstr(block, "event: refused\n")) {
		assert_null(id);
		l->refused++;
	}
	if (!id)
		return;
	id += strlen("id: ");
	str_copy(text, sizeof(text), id);
	text[strspn(text, "0123456789")] = '\0';
	assert_int_equal(str_to_u64(text, &value), 0);
	/* 0: the cursor of an inbox that is empty */
	assert_true(value > l->last || (!value && !l->last));
	l->last = value;
	if (strstr(block, "\ndata: {\"dialect\":\"gme\""))
		l->n++;
}

/** Take what has come; the rest of a chunk's head does no harm. */
static void hear(struct listener *l)
{
	ssize_t got;

	if (l->fd < 0 || l->is_over)
		return;
	got = recv(l->fd, l->text + l->len, LISTENER_CAP - 1 - l->len,
		   MSG_DONTWAIT);
	if (got > 0)
		l->len += (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		l->is_over = true;
	for (;;) {
		char *from = l->text + l->read;
		char *end = strstr(from, "\n\n");

		if (!end)
			return;
		*end = '\0';
		take_block(l, from);
		l->read += (size_t)(end - from) + 2;
	}
}

static bool heard(const struct listener *l, const char *part)
{
	return memmem(l->text, l->len, part, strlen(part)) != NULL;
}

#define HEAR_UNTIL(g, l, condition)                                 \
	do {                                                        \
		int64_t until_us = clock_now_us() + PATIENCE_US;    \
                                                                    \
		while (!(condition) && clock_now_us() < until_us) { \
			loop_turn((g)->loop, 1000);                 \
			hear(l);                                    \
		}                                                   \
		assert_true(condition);                             \
	} while (0)

/** As a sender does: again until it is taken. */
static void send_until_taken(struct rig *g, unsigned seq)
{
	char body[512], signature[HASH_TEXT + 16];

	snprintf(body, sizeof(body), "%s", gme_body(APP, seq, 1, 1));
	snprintf(signature, sizeof(signature), "%s",
		 signature_of(KEY, body, false));
	for (int i = 0; i < 8; i++) {
		unsigned before = g->n_answers;

		g->status = 0;
		if (!begin_call(g, "POST", "/", signature, body))
			UNTIL(g, g->n_answers > before);
		if (g->status == 200)
			return;
	}
	fail_msg("%d: %s", g->status, g->answer);
}

/** Events of an earlier life. */
static void store_events(struct rig *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct store_write *w = store_write_new();
		struct store_result r;
		char facts[256], once[16];
		struct event_row row = {
			.id = store_next_id(g->a.s, IDS_EVENT),
			.app = APP,
			.kind = "received",
			.unix_ms = 1,
			.once = once,
			.facts = facts,
		};

		snprintf(once, sizeof(once), "old/%u", i);
		snprintf(facts, sizeof(facts),
			 "{\"event\":{\"dialect\":\"gme\",\"kind\":\"started\","
			 "\"app\":%u,\"task_id\":\"%u\",\"room\":\"%u\","
			 "\"user\":\"u\",\"mode\":\"single\",\"seq\":0,"
			 "\"file\":\"f\"},\"body\":\"\"}",
			 (unsigned)APP, i, i % 2);
		row.facts_len = strlen(facts);
		assert_non_null(w);
		store_put_event(w, &row, NULL, 0);
		assert_int_equal(store_commit_wait(g->a.s, w, &r), 0);
	}
}

static void pages_come_first_then_each_event_as_it_is_stored(void **state)
{
	struct rig *g = *state;
	struct listener *l = listener_new();

	store_events(g, FIRST);
	rig_open(g);
	dial(g, l, "");
	HEAR_UNTIL(g, l, l->n == FIRST);
	send_until_taken(g, 0);
	HEAR_UNTIL(g, l, l->n == FIRST + 1);
	/* a repeat is no event */
	send_until_taken(g, 0);
	send_until_taken(g, 1);
	HEAR_UNTIL(g, l, l->n == FIRST + 2);
	/* away, and back */
	hang_up(l);
	send_until_taken(g, 2);
	dial(g, l, "?after=0");
	HEAR_UNTIL(g, l, l->n == FIRST + 3);
	listener_free(l);
}

static void a_room_is_all_that_who_asks_for_one_gets(void **state)
{
	struct rig *g = *state;
	struct listener *l = listener_new();

	store_events(g, FIRST);
	rig_open(g);
	dial(g, l, "?room=1");
	HEAR_UNTIL(g, l, l->n == FIRST / 2 && l->last == FIRST);
	send_until_taken(g, 0); /* room 100 */
	assert_int_equal(call(g, "POST", "/", "Signature: x", "{}"), 401);
	hang_up(l);
	dial(g, l, "?room=100");
	HEAR_UNTIL(g, l, l->n == FIRST / 2 + 1);
	assert_int_equal(l->refused, 0);
	listener_free(l);
}

static void what_was_refused_is_kept_and_told_up_to_a_hundred(void **state)
{
	struct rig *g = *state;
	struct listener *l = listener_new();

	rig_open(g);
	for (int i = 0; i < 110; i++)
		assert_int_equal(call(g, "POST", "/", "Signature: x", "{}"),
				 401);
	dial(g, l, "");
	HEAR_UNTIL(g, l, l->refused == 100);
	assert_int_equal(call(g, "POST", "/", "Signature: x", "{}"), 401);
	HEAR_UNTIL(g, l, l->refused == 101);
	assert_true(heard(l, "\"n\":11,\"status\":401,"));
	assert_false(heard(l, "\"n\":10,\"status\""));
	listener_free(l);
}

static void a_receiver_that_closes_ends_its_streams(void **state)
{
	struct rig *g = *state;
	struct listener *l = listener_new();

	store_events(g, FIRST);
	rig_open(g);
	dial(g, l, "");
	/* in the middle of a page */
	HEAR_UNTIL(g, l, l->len > 0);
	rig_again(g);
	HEAR_UNTIL(g, l, l->is_over);
	listener_free(l);
}

/* ---- memory ---- */

static struct rig *rig;
static int64_t live_at_rest; /* what lives when all has ended; 0: not known */

/** Forget what was stored, so that every run begins alike. */
static void clear(struct rig *g)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/tapeop.db", g->a.dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "PRAGMA synchronous=OFF;"
				      "DELETE FROM event WHERE once NOT LIKE "
				      "'old/%'",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
}

/** Listen until so many events have come, again and again if need be. */
static void listen_until(struct rig *g, struct listener *l, unsigned n)
{
	for (int round = 0; round < ROUNDS_MAX && l->n < n; round++) {
		if (l->fd < 0 || l->is_over)
			dial(g, l, "");
		for (int i = 0; l->n < n && !l->is_over; i++) {
			loop_turn(g->loop, 1000);
			hear(l);
			/* refused for want of memory, or ended, and the
			 * connection kept */
			if (heard(l, "HTTP/1.1 503") ||
			    heard(l, "\r\n0\r\n\r\n"))
				l->is_over = true;
			if (i > 2000)
				fail_msg("%u events: %s", l->n, l->text);
		}
	}
	assert_int_equal(l->n, n);
}

static void whole_life(void)
{
	struct listener *l = listener_new();
	struct rig *g = rig;
	struct store_result r;
	struct err e;

	g->n_told = 0;
	if (!receive_open(g->loop, g->a.s, g->workers, &g->config,
			  &(struct receive_events){0}, g, &g->receive, &e)) {
		receive_addr(g->receive, &g->at);
		listen_until(g, l, 3);
		send_until_taken(g, 0);
		listen_until(g, l, 4);
	}
	receive_close(g->receive);
	g->receive = NULL;
	listener_free(l);
	/* Only one allocation fails. */
	while (store_commit_wait(g->a.s, store_write_new(), &r))
		;
	loop_turn(g->loop, 0);
	clear(g);
	if (!live_at_rest)
		live_at_rest = mem_live();
	for (int i = 0; i < 1000 && mem_live() > live_at_rest; i++)
		loop_turn(g->loop, 10000);
}

static void no_memory_ends_a_stream_that_comes_back_and_loses_nothing(
	void **state)
{
	rig = *state;
	store_events(rig, 3);
	whole_life();
	OOM_SWEEP(whole_life);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(pages_come_first_then_each_event_as_it_is_stored),
		RIG_TEST(a_room_is_all_that_who_asks_for_one_gets),
		RIG_TEST(what_was_refused_is_kept_and_told_up_to_a_hundred),
		RIG_TEST(a_receiver_that_closes_ends_its_streams),
		RIG_TEST(
			no_memory_ends_a_stream_that_comes_back_and_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
