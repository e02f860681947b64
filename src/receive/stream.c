/**
 * receive/stream.c -- GET /v1/events: every stored event from a cursor on,
 * as server-sent events.
 *
 * WHAT  A stream reads pages of the store until it has caught up with what
 *       has been committed, then gets each event when it is.
 * WHY   Whoever comes back with the id that came last (Last-Event-ID, which
 *       browsers send by themselves) misses nothing and sees nothing twice,
 *       also when the receiver was killed in between: the cursor is the row's
 *       id, and the rows are durable before anybody is told.
 * DESIGN
 *   - Rows are committed in order of their ids, so a page has no gap.  When
 *     one has come and streams_event has not told of a later row, the stream
 *     is live; else another page is read.
 *   - Bytes that the client does not read are bounded: over HIGH a stream
 *     is not live any more, waits until they are under LOW and reads pages
 *     again.  One that takes nothing for STUCK_US is ended; it can come back.
 *   - A filtered stream tells the cursor also when nothing matched, so that
 *     it need not look at the same rows again.
 *
 *      REPLAYING --caught up--> LIVE --over HIGH--> REPLAYING
 *          |  ^
 *   over LOW  under LOW
 *          v  |
 *        WAITING --STUCK_US without a byte--> ended
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "receive/page.h"
#include "receive/private.h"
#include "wire/json_text.h"

enum {
	PAGE = 100,
	LOW = 64 * 1024,
	HIGH = 256 * 1024,
	WAIT_US = 20 * CLOCK_US_PER_MS,
	STUCK_US = 30 * CLOCK_US_PER_S,
	TAIL_MAX = 1000,
	WHY_MAX = 256,
	BLOCK_MAX = 2 * 1024 * 1024
};

static const char retry[] = "retry: 1000\n\n";

/** A refused request. */
struct shown_refusal {
	uint64_t n; /* from 1 */
	int status;
	int64_t unix_ms;
	char why[WHY_MAX];
	char peer[ADDR_TEXT_MAX];
};

struct streams {
	struct loop *loop;
	struct store *store;
	struct link all; /* of struct stream */
	unsigned n;
	uint64_t last_id; /* streams_event has told of it */
	struct shown_refusal refused[STREAMS_REFUSED_MAX]; /* n at n % MAX */
	uint64_t n_refused;
};

struct stream {
	struct link link;
	struct later later;
	struct loop *loop;
	struct streams *of;	 /* NULL: the receiver has closed */
	struct http_stream *out; /* NULL: the client has gone */
	/* what is wanted; 0, "": any */
	int64_t app;
	char room[ID_MAX + 1];
	char task[128];
	bool filtered;
	int64_t tail; /* so many before the end; 0: from the cursor */
	/* where it is */
	uint64_t cursor;  /* all up to here was sent, or is not wanted */
	uint64_t told;	  /* the client knows of this one */
	bool has_cursor;  /* the client knows one at all */
	uint64_t refused; /* up to here it knows them */
	bool live;
	bool reading;	   /* a page is on its way */
	bool broken;	   /* something was not sent: to be ended */
	uint64_t asked_id; /* streams.last_id when the page was asked for */
	struct timer wait;
	size_t behind;	  /* [bytes] when it was looked at last */
	int64_t moved_us; /* when it became less */
};

/* ---- sending ----------------------------------------------------------------- */

static void send_block(struct stream *st, const struct buf *b)
{
	if (buf_err(b) || !http_stream_send(st->out, b->data, b->len))
		st->broken = true;
}

static void send_event(struct stream *st, uint64_t id, const char *line)
{
	struct buf b;

	buf_init(&b, BLOCK_MAX);
	buf_printf(&b, "id: %" PRIu64 "\ndata: ", id);
	buf_puts(&b, line);
	buf_puts(&b, "\n\n");
	send_block(st, &b);
	buf_fini(&b);
	st->told = id;
	st->has_cursor = true;
}

/** A block without data moves a client's cursor and is no event. */
static void send_cursor(struct stream *st)
{
	struct buf b;

	if ((st->told == st->cursor && st->has_cursor) || st->broken)
		return;
	buf_init(&b, 64);
	buf_printf(&b, "id: %" PRIu64 "\n\n", st->cursor);
	send_block(st, &b);
	buf_fini(&b);
	st->told = st->cursor;
	st->has_cursor = true;
}

static void send_refusal(struct stream *st, const struct shown_refusal *f)
{
	json_t *o =
		json_pack("{s:I, s:i, s:s, s:s, s:I}", "n", (json_int_t)f->n,
			  "status", f->status, "reason", f->why, "address",
			  f->peer, "time_ms", (json_int_t)f->unix_ms);
	struct buf b;

	buf_init(&b, BLOCK_MAX);
	buf_puts(&b, "event: refused\ndata: ");
	if (json_text_write(o, &b))
		st->broken = true; /* out of memory */
	buf_puts(&b, "\n\n");
	if (!st->broken)
		send_block(st, &b);
	buf_fini(&b);
	json_decref(o);
}

/** Those that this one does not know of, as far as they are kept. */
static void send_refusals(struct stream *st)
{
	const struct streams *s = st->of;

	if (s->n_refused - st->refused > STREAMS_REFUSED_MAX)
		st->refused = s->n_refused - STREAMS_REFUSED_MAX;
	while (st->refused < s->n_refused && !st->filtered) {
		st->refused++;
		send_refusal(st,
			     &s->refused[st->refused % STREAMS_REFUSED_MAX]);
	}
}

static bool is_text(const json_t *event, const char *name, const char *want)
{
	return !want[0] || !strcmp(recordings_text(event, name), want);
}

static bool is_wanted(const struct stream *st, const json_t *event)
{
	return (!st->app || recordings_number(event, "app") == st->app) &&
	       is_text(event, "room", st->room) &&
	       is_text(event, "task_id", st->task);
}

/* ---- replaying ------------------------------------------------------------------ */

static void on_free(struct later *later)
{
	mem_free(CONTAINER_OF(later, struct stream, later));
}

static void let_go(struct stream *st)
{
	list_remove(&st->link);
	timer_stop(&st->wait);
	if (st->of)
		st->of->n--;
	loop_later(st->loop, &st->later, on_free);
}

/** End it from our side: its client comes again, from its cursor. */
static void end(struct stream *st, const char *why)
{
	assert(!st->reading);
	log_warn("events stream: %s; it is ended and can come back", why);
	http_stream_end(st->out);
	let_go(st);
}

static void on_page(struct store_rows *rows, void *arg);
static void on_wait(struct timer *t, int64_t now_us);

static void read_page(struct stream *st)
{
	struct store_filter f = {.what = READ_EVENTS,
				 .state = -1,
				 .after = st->cursor,
				 .limit = PAGE};

	st->asked_id = st->of->last_id;
	if (store_query(st->of->store, &f, st->loop, on_page, st))
		end(st, "out of memory");
	else
		st->reading = true;
}

static void wait_for_client(struct stream *st, int64_t now_us)
{
	if (timer_start(&st->wait, st->loop, now_us + WAIT_US, on_wait))
		end(st, "out of memory");
}

/** The next page, when the client has room for it. */
static void go_on(struct stream *st)
{
	int64_t now_us = loop_now_us(st->loop);

	st->behind = http_stream_queued(st->out);
	st->moved_us = now_us;
	if (st->behind > LOW)
		wait_for_client(st, now_us);
	else
		read_page(st);
}

static void on_wait(struct timer *t, int64_t now_us)
{
	struct stream *st = CONTAINER_OF(t, struct stream, wait);
	size_t behind = http_stream_queued(st->out);

	if (behind < st->behind)
		st->moved_us = now_us;
	st->behind = behind;
	if (behind <= LOW) {
		read_page(st);
	} else if (now_us - st->moved_us >= STUCK_US) {
		end(st, "its client takes nothing");
	} else {
		wait_for_client(st, now_us);
	}
}

/** Returns false when it has enough for now: the row is not done. */
static bool send_row(struct stream *st, const struct event_row *row)
{
	json_t *facts, *event;
	json_error_t why;
	struct buf line;

	if (http_stream_queued(st->out) > HIGH)
		return false;
	facts = json_loadb(row->facts, row->facts_len, 0, &why);
	event = json_object_get(facts, "event");
	buf_init(&line, BLOCK_MAX);
	if (event && is_wanted(st, event)) {
		st->broken = json_text_write(event, &line) != 0;
		if (!st->broken)
			send_event(st, row->id, buf_str(&line));
	} else if (!facts &&
		   json_error_code(&why) == json_error_out_of_memory) {
		st->broken = true;
	} else if (!facts) { /* it would end every stream that comes here */
		log_error("events stream: event %" PRIu64
			  " in the store is no JSON: passed over",
			  row->id);
	}
	buf_fini(&line);
	json_decref(facts);
	st->cursor = row->id;
	return true;
}

/** Has it caught up?  Then no row is between what it has and what it will be
 *  told of.  (asked_id: the newest one may have been erased.) */
static bool is_up_to_date(const struct stream *st, bool more)
{
	return !more && (st->cursor >= st->of->last_id ||
			 st->asked_id == st->of->last_id);
}

static void after_page(struct stream *st, bool more)
{
	send_cursor(st);
	if (!st->broken && !is_up_to_date(st, more)) {
		go_on(st);
		return;
	}
	st->live = true;
	if (!st->broken)
		send_refusals(st);
	if (st->broken)
		end(st, "its client is too slow, or memory is short");
}

static void on_page(struct store_rows *rows, void *arg)
{
	struct stream *st = arg;
	bool more = rows->more;
	int err = rows->err;

	st->reading = false;
	for (size_t i = 0; st->out && !st->broken && i < rows->n; i++) {
		if (send_row(st, &rows->events[i]))
			continue;
		more = true;
		break;
	}
	store_rows_free(rows);
	if (!st->out)
		let_go(st);
	else if (err)
		end(st, strerror(err));
	else
		after_page(st, more);
}

/* ---- what comes now ------------------------------------------------------------- */

void streams_event(struct streams *s, uint64_t id, const json_t *event,
		   const char *line)
{
	s->last_id = id;
	LIST_EACH(&s->all, l, after)
	{
		struct stream *st = CONTAINER_OF(l, struct stream, link);

		if (!st->live || id <= st->cursor)
			continue;
		if (http_stream_queued(st->out) > HIGH) {
			st->live = false;
			go_on(st);
			continue;
		}
		if (is_wanted(st, event))
			send_event(st, id, line);
		st->cursor = id;
		if (st->broken)
			end(st, "its client is too slow, or memory is short");
	}
}

void streams_refused(struct streams *s, int status, const char *why,
		     const struct addr *peer)
{
	struct shown_refusal *f;

	s->n_refused++;
	f = &s->refused[s->n_refused % STREAMS_REFUSED_MAX];
	*f = (struct shown_refusal){.n = s->n_refused,
				    .status = status,
				    .unix_ms = clock_unix_ms()};
	str_copy(f->why, sizeof(f->why),
		 str_is_clean_utf8(why, strlen(why)) ? why : "not text");
	if (peer && peer->len)
		(void)addr_write(peer, f->peer);
	LIST_EACH(&s->all, l, after)
	{
		struct stream *st = CONTAINER_OF(l, struct stream, link);

		/* of a flood the newest are enough */
		if (!st->live || http_stream_queued(st->out) > LOW)
			continue;
		send_refusals(st);
		if (st->broken)
			end(st, "its client is too slow, or memory is short");
	}
}

/* ---- opening ---------------------------------------------------------------------- */

static void on_gone(void *arg)
{
	struct stream *st = arg;

	st->out = NULL;
	st->live = false;
	timer_stop(&st->wait);
	if (!st->reading)
		let_go(st);
}

/** NULL, or what is wrong with the request. */
static const char *read_wanted(const struct http_request *r, struct stream *st)
{
	const char *app = http_query(r, "app");
	const char *room = http_query(r, "room");
	const char *task = http_query(r, "task");

	if (app && str_to_i64(app, 1, UINT32_MAX, &st->app))
		return "app must be a number, 1 to 4294967295";
	if (room && !str_copy(st->room, sizeof(st->room), room))
		return "room may have at most 128 bytes";
	if (task && !str_copy(st->task, sizeof(st->task), task))
		return "task may have at most 127 bytes";
	st->filtered = app || st->room[0] || st->task[0];
	return NULL;
}

/** NULL, or what is wrong.  What a client heard last wins over where it had
 *  begun. */
static const char *read_cursor(const struct http_request *r, struct stream *st)
{
	const char *last = http_header(r, "Last-Event-ID");
	const char *after = http_query(r, "after");
	const char *newest = http_query(r, "tail");

	st->cursor = st->of->last_id; /* what comes from now on */
	if (last && last[0])
		return str_to_u64(last, &st->cursor)
			       ? "the Last-Event-ID header must be a number: "
				 "an id as it was sent"
			       : NULL;
	if (after && str_to_u64(after, &st->cursor))
		return "after must be a number: the id of an event, or 0";
	if (newest && str_to_i64(newest, 1, TAIL_MAX, &st->tail))
		return "tail must be a number, 1 to 1000";
	return NULL;
}

/** The newest rows: where it begins is told by the oldest of them. */
static void on_newest(struct store_rows *rows, void *arg)
{
	struct stream *st = arg;
	uint64_t last = rows->n ? rows->events[0].id : 0;
	int err = rows->err;

	if (!err && st->tail)
		st->cursor = rows->more ? rows->events[rows->n - 1].id - 1 : 0;
	if (!err && st->cursor > last)
		st->cursor = 0; /* it is of another inbox */
	store_rows_free(rows);
	*rows = (struct store_rows){.err = err, .more = true};
	on_page(rows, st);
}

static void begin(struct stream *st)
{
	struct store_filter f = {.what = READ_EVENTS,
				 .state = -1,
				 .newest_first = true,
				 .limit = st->tail ? (uint32_t)st->tail : 1};

	if (!st->tail && st->cursor <= st->of->last_id)
		read_page(st);
	else if (store_query(st->of->store, &f, st->loop, on_newest, st))
		end(st, "out of memory");
	else
		st->reading = true;
}

void streams_open(struct streams *s, struct http_request *r)
{
	struct stream *st;
	const char *why;

	if (s->n >= STREAMS_MAX) {
		reply_problem(r, 503,
			      "32 clients listen already, which is all "
			      "that may: close one, or try again");
		return;
	}
	st = mem_zalloc(sizeof(*st));
	if (!st) {
		reply_problem(r, 503, "out of memory, try again");
		return;
	}
	st->of = s;
	st->loop = s->loop;
	why = read_wanted(r, st);
	if (!why)
		why = read_cursor(r, st);
	if (why) {
		reply_problem(r, 400, why);
		mem_free(st);
		return;
	}
	st->out = http_reply_stream(r, on_gone, st);
	if (!st->out) {
		mem_free(st);
		return;
	}
	s->n++;
	list_append(&s->all, &st->link);
	/* browsers come back after this; it is no event */
	(void)http_stream_send(st->out, retry, strlen(retry));
	begin(st);
}

int streams_new(struct loop *loop, struct store *store, uint64_t last_id,
		struct streams **out)
{
	struct streams *s = mem_zalloc(sizeof(*s));

	if (!s)
		return ENOMEM;
	s->loop = loop;
	s->store = store;
	s->last_id = last_id;
	list_init(&s->all);
	*out = s;
	return 0;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	LIST_EACH(&s->all, l, after)
	{
		struct stream *st = CONTAINER_OF(l, struct stream, link);

		assert(!st->out && st->reading); /* its page is on its way */
		list_remove(l);
		st->of = NULL;
	}
	mem_free(s);
}
