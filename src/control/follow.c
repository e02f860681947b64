/** control/follow.c -- pages of the log, sent to whoever follows it. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "control/follow.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/quote.h"

enum {
	PAGE = 100,
	WINDOW = 50000,
	QUEUED_MAX = 256 * 1024, /* [bytes] then the page is ended */
	BLOCK_MAX = 1024 * 1024,
	REST_US = 20 * CLOCK_US_PER_MS, /* between two pages of what is new */
	AGAIN_US = CLOCK_US_PER_S,	/* after a failed read */
	STALL_US = 30 * CLOCK_US_PER_S,
	RETRY_MS = 2000 /* EventSource comes back after */
};

struct follow {
	struct follow_config config;
	struct link streams;
	unsigned n;
};

/** One client. */
struct stream {
	struct link link;
	struct follow *follow; /* NULL: gone, a page is still under way */
	struct http_stream *http;
	struct store_filter filter; /* `after`: up to here all was sent */
	char room[ID_MAX + 1];
	uint64_t told;	/* the last id that the client was given */
	uint64_t gone;	/* it knows that some up to here are missing */
	uint64_t until; /* of the page under way */
	uint64_t taken; /* by the client, when it was last looked at */
	bool reading, draining;
	bool more;	    /* behind the page there was more */
	struct timer timer; /* rest, try again, or look for a stall */
};

static void go_on(struct stream *s);

/* ---- one stream's end ------------------------------------------------------ */

static void leave(struct stream *s)
{
	timer_stop(&s->timer);
	list_remove(&s->link);
	s->follow->n--;
	counter_set(COUNT_event_streams, s->follow->n);
	s->follow = NULL;
	s->http = NULL;
	if (!s->reading)
		mem_free(s);
}

static void on_gone(void *arg)
{
	leave(arg);
}

/** End it, with the reason as its last block. */
static void cut(struct stream *s, const char *reason, const char *message)
{
	struct buf b;

	buf_init(&b, 1024);
	buf_printf(&b,
		   "event: cut\ndata: {\"reason\":\"%s\",\"message\":\"%s; "
		   "come back with the last id as Last-Event-ID\"}\n\n",
		   reason, message);
	counter_add(COUNT_event_streams_cut, 1);
	log_warn("events: a stream is cut at %" PRIu64 ": %s", s->told,
		 message);
	timer_stop(&s->timer);
	/* when not, `gone` is about to be called */
	if (http_stream_send(s->http, b.data, b.len)) {
		http_stream_end(s->http);
		leave(s);
	}
	buf_fini(&b);
}

/* ---- sending ---------------------------------------------------------------- */

/** The body of the dialect `standard`, and what only the URL of `live` has. */
static int write_data(const struct event *e, struct buf *out)
{
	int err = callback_write_body(DIALECT_STANDARD, e, 0, out);

	if (err)
		return err;
	assert(out->len && out->data[out->len - 1] == '}');
	out->len--;
	buf_puts(out, ",\"client_ip\":");
	quote_json(out, e->client_ip);
	buf_puts(out, ",\"platform\":");
	quote_json(out, e->platform);
	buf_putc(out, '}');
	return buf_err(out);
}

static int write_block(const struct event_row *row, struct buf *out)
{
	struct event e;
	int err = event_parse_json(row->facts, row->facts_len, &e);

	if (err)
		return err;
	buf_printf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", row->id,
		   event_kind_name(e.kind));
	err = write_data(&e, out);
	buf_puts(out, "\n\n");
	event_fini(&e);
	return err ? err : buf_err(out);
}

/** Returns false when the stream has ended. */
static bool send_row(struct stream *s, const struct event_row *row)
{
	struct buf block;
	bool ok = true;
	int err;

	buf_init(&block, BLOCK_MAX);
	err = write_block(row, &block);
	if (err == ENOMEM) {
		cut(s, "server", "the server is out of memory");
		ok = false;
	} else if (err) {
		log_error("events: event %" PRIu64 " cannot be sent: %s",
			  row->id, strerror(err));
		s->filter.after = row->id;
	} else {
		s->filter.after = row->id;
		s->told = row->id;
		ok = http_stream_send(s->http, block.data, block.len);
	}
	buf_fini(&block);
	return ok;
}

/** Let a client whose filter lets nothing through come back further on. */
static bool tell_cursor(struct stream *s)
{
	uint64_t known = store_known_id(s->follow->config.store, IDS_EVENT);
	uint64_t id = s->filter.after < known ? s->filter.after : known;
	struct buf b;
	bool ok;

	if (id < s->told + PAGE)
		return true;
	buf_init(&b, 64);
	buf_printf(&b, "id: %" PRIu64 "\n\n", id);
	s->told = id;
	ok = http_stream_send(s->http, b.data, b.len);
	buf_fini(&b);
	return ok;
}

/** Say so when events behind its cursor may have been removed, and so are not
 *  sent.  Returns false when the stream has ended. */
static bool tell_gone(struct stream *s)
{
	uint64_t gone = store_known_id(s->follow->config.store, IDS_REMOVED);
	struct buf b;
	bool ok;

	if (gone <= s->filter.after || gone <= s->gone)
		return true;
	buf_init(&b, 512);
	buf_printf(&b,
		   "event: gone\ndata: {\"after\":\"%" PRIu64
		   "\",\"up_to\":\"%" PRIu64
		   "\",\"message\":\"events between these two were removed by "
		   "retention or erasing: those that are left follow\"}\n\n",
		   s->filter.after, gone);
	s->gone = gone;
	ok = http_stream_send(s->http, b.data, b.len);
	buf_fini(&b);
	return ok;
}

/* ---- reading ---------------------------------------------------------------- */

static void on_rest(struct timer *t, int64_t now_us)
{
	(void)now_us;
	go_on(CONTAINER_OF(t, struct stream, timer));
}

static void rest(struct stream *s, int64_t us)
{
	struct loop *loop = s->follow->config.loop;

	if (timer_start(&s->timer, loop, loop_now_us(loop) + us, on_rest))
		cut(s, "server", "the server is out of memory");
}

static void on_stalled(struct timer *t, int64_t now_us)
{
	struct stream *s = CONTAINER_OF(t, struct stream, timer);
	uint64_t taken = http_stream_taken(s->http);
	struct loop *loop = s->follow->config.loop;

	if (taken == s->taken) {
		cut(s, "slow", "nothing was read for too long");
		return;
	}
	s->taken = taken;
	if (timer_start(t, loop, now_us + s->follow->config.stall_us,
			on_stalled))
		cut(s, "server", "the server is out of memory");
}

/** The page has gone: read the next, or rest so that what is new comes
 *  together. */
static void next(struct stream *s)
{
	if (s->more)
		go_on(s);
	else if (s->filter.after < notify_log_end(s->follow->config.notify))
		rest(s, REST_US);
}

static void on_drained(void *arg)
{
	struct stream *s = arg;

	s->draining = false;
	timer_stop(&s->timer);
	next(s);
}

/** Wait until the client has taken the page. */
static void drain(struct stream *s)
{
	struct loop *loop = s->follow->config.loop;

	s->draining = true;
	s->taken = http_stream_taken(s->http);
	http_stream_on_drained(s->http, on_drained);
	if (timer_start(&s->timer, loop,
			loop_now_us(loop) + s->follow->config.stall_us,
			on_stalled))
		cut(s, "server", "the server is out of memory");
}

/** Send a page; false when the stream has ended. */
static bool send_rows(struct stream *s, const struct store_rows *rows)
{
	/* Behind the reading: what the page does not have went before. */
	if (!tell_gone(s))
		return false;
	for (size_t i = 0; i < rows->n; i++) {
		if (!send_row(s, &rows->events[i]))
			return false;
		if (http_stream_queued(s->http) <= QUEUED_MAX)
			continue;
		s->more = true; /* the rest is read again */
		return true;
	}
	if (!rows->more && s->filter.after < s->until) {
		s->filter.after = s->until;
		return tell_cursor(s);
	}
	return true;
}

static void on_rows(struct store_rows *rows, void *arg)
{
	struct stream *s = arg;
	int err = rows->err;
	bool ok;

	s->reading = false;
	if (!s->follow) {
		store_rows_free(rows);
		mem_free(s);
		return;
	}
	if (err) {
		store_rows_free(rows);
		log_warn("events: reading after %" PRIu64 ": %s; again in 1 s",
			 s->filter.after, strerror(err));
		rest(s, AGAIN_US);
		return;
	}
	s->more |= rows->more;
	ok = send_rows(s, rows);
	store_rows_free(rows);
	if (!ok) /* it has ended, or `gone` is about to be called */
		return;
	if (http_stream_queued(s->http))
		drain(s);
	else
		next(s);
}

/** Read the next page, when there may be one and nothing is waited for. */
static void go_on(struct stream *s)
{
	const struct follow_config *c = &s->follow->config;
	uint64_t end = notify_log_end(c->notify);

	if (s->reading || s->draining || timer_is_armed(&s->timer) ||
	    s->filter.after >= end)
		return;
	s->more = end - s->filter.after > c->window;
	s->until = s->more ? s->filter.after + c->window : end;
	s->filter.until = s->until;
	s->reading = true;
	if (!store_query(c->store, &s->filter, c->loop, on_rows, s))
		return;
	s->reading = false;
	rest(s, AGAIN_US);
}

/* ---- all of them -------------------------------------------------------------- */

/** The log has got longer.  A short rest gathers what comes together. */
static void on_log(void *arg)
{
	struct follow *f = arg;

	LIST_EACH(&f->streams, l, after)
	{
		struct stream *s = CONTAINER_OF(l, struct stream, link);

		if (!s->reading && !s->draining && !timer_is_armed(&s->timer))
			rest(s, REST_US);
	}
}

int follow_new(const struct follow_config *config, struct follow **out)
{
	struct follow *f = mem_zalloc(sizeof(*f));

	if (!f)
		return ENOMEM;
	f->config = *config;
	if (!f->config.max)
		f->config.max = FOLLOW_MAX;
	if (!f->config.stall_us)
		f->config.stall_us = STALL_US;
	if (!f->config.window)
		f->config.window = WINDOW;
	list_init(&f->streams);
	notify_log_watch(config->notify, on_log, f);
	*out = f;
	return 0;
}

void follow_stop(struct follow *f)
{
	LIST_EACH(&f->streams, l, after)
	{
		struct stream *s = CONTAINER_OF(l, struct stream, link);

		http_stream_end(s->http);
		leave(s);
	}
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	assert(list_is_empty(&f->streams));
	notify_log_watch(f->config.notify, NULL, NULL);
	mem_free(f);
}

bool follow_has_room(const struct follow *f)
{
	return f->n < f->config.max;
}

uint64_t follow_now(const struct follow *f)
{
	uint64_t end = notify_log_end(f->config.notify);
	uint64_t known = store_known_id(f->config.store, IDS_EVENT);

	return end < known ? end : known;
}

/** The cursor first: who comes back before the first event has one. */
static bool say_begin(struct stream *s)
{
	struct buf b;
	bool ok;

	buf_init(&b, 128);
	buf_printf(&b, ": from %" PRIu64 "\nid: %" PRIu64 "\nretry: %d\n\n",
		   s->told, s->told, RETRY_MS);
	ok = http_stream_send(s->http, b.data, b.len);
	buf_fini(&b);
	return ok;
}

void follow_begin(struct follow *f, struct http_request *r,
		  const struct store_filter *filter)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	if (!s) {
		http_reply(r, &(struct http_answer){.status = 503});
		return;
	}
	s->filter = *filter;
	s->filter.what = READ_EVENTS;
	s->filter.state = -1;
	s->filter.limit = PAGE;
	if (filter->room) {
		str_copy(s->room, sizeof(s->room), filter->room);
		s->filter.room = s->room;
	}
	s->told = filter->after;
	if (!filter->after) /* all that is left is what it wants */
		s->gone = store_known_id(f->config.store, IDS_REMOVED);
	s->http = http_reply_stream(r, on_gone, s);
	if (!s->http) {
		mem_free(s);
		return;
	}
	s->follow = f;
	list_append(&f->streams, &s->link);
	f->n++;
	counter_set(COUNT_event_streams, f->n);
	if (say_begin(s))
		go_on(s);
}
