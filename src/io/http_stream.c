/**
 * io/http_stream.c -- server-sent events: an answer that goes on.
 *
 * WHAT    A buffer that its owner fills and libmicrohttpd empties.
 * WHY     A client that has gone is not noticed while its connection is
 *         suspended, and one that reads slowly must not hold our memory.
 * DESIGN
 *   - The reader suspends the connection when the buffer is empty (one that
 *     returns 0 without suspending spins); a send resumes it.
 *   - Two hold a stream: its owner, until `gone` or http_stream_end, and
 *     libmicrohttpd, until it frees the answer.  The last one frees it.
 *   - `gone` and `drained` are never called inside libmicrohttpd or a send.
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http_server.h"

#include <string.h>

#include "base/mem.h"

enum { STREAM_BLOCK = 16 * 1024, STREAM_COMPACT = 64 * 1024 };

struct http_stream {
	struct http_incoming *in; /* NULL: its request was freed */
	struct loop *loop;
	struct timer beat;
	int64_t beat_us;
	struct later later;
	struct buf out; /* from `at` on it is still to be sent */
	size_t at;
	uint64_t taken; /* [bytes] that libmicrohttpd ever took */
	void (*gone)(void *arg);
	void (*drained)(void *arg); /* asked for, or NULL */
	struct later drain_later;
	void *arg;
	bool owned;    /* by whoever asked for it */
	bool in_mhd;   /* libmicrohttpd holds the answer */
	bool queued;   /* `later` is under way */
	bool draining; /* `drain_later` is */
	bool ended;    /* from our side: send the rest, then end */
	bool broken;   /* close without sending the rest */
	bool sent;     /* something since the last beat */
};

static void free_unheld(struct http_stream *s)
{
	if (s->owned || s->in_mhd || s->queued || s->draining)
		return;
	timer_stop(&s->beat);
	buf_fini(&s->out);
	mem_free(s);
}

static void release(struct http_stream *s)
{
	s->owned = false;
	timer_stop(&s->beat);
	free_unheld(s);
}

static void resume(struct http_stream *s)
{
	if (s->in)
		http_incoming_resume(s->in);
}

void http_stream_gone(struct http_stream *s)
{
	/* of one that we have ended, the rest may still go out */
	if (!s->ended)
		s->broken = true;
	resume(s);
	if (!s->owned)
		return;
	if (s->gone)
		s->gone(s->arg);
	release(s);
}

void http_stream_detach(struct http_stream *s)
{
	s->in = NULL;
	http_stream_gone(s);
}

static void on_overrun(struct later *later)
{
	struct http_stream *s = CONTAINER_OF(later, struct http_stream, later);

	s->queued = false;
	if (s->owned)
		http_stream_gone(s);
	else
		free_unheld(s);
}

static void on_drained(struct later *later)
{
	struct http_stream *s =
		CONTAINER_OF(later, struct http_stream, drain_later);
	void (*drained)(void *arg) = s->drained;

	s->draining = false;
	if (!s->owned) {
		free_unheld(s);
		return;
	}
	/* whoever sent meanwhile asked too early: it is told next time */
	if (!drained || s->out.len > s->at)
		return;
	s->drained = NULL;
	drained(s->arg);
}

static void tell_drained(struct http_stream *s)
{
	if (!s->drained || s->draining || s->out.len > s->at)
		return;
	s->draining = true;
	loop_later(s->loop, &s->drain_later, on_drained);
}

static void compact(struct http_stream *s)
{
	if (s->at < s->out.len && s->at < STREAM_COMPACT)
		return;
	memmove(s->out.data, s->out.data + s->at, s->out.len - s->at);
	s->out.len -= s->at;
	s->at = 0;
}

static ssize_t on_read(void *cls, uint64_t pos, char *to, size_t max)
{
	struct http_stream *s = cls;
	size_t n = s->out.len - s->at;

	(void)pos;
	if (s->broken)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		if (s->ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		s->in->suspended = true;
		MHD_suspend_connection(s->in->mhd);
		return 0;
	}
	if (n > max)
		n = max;
	memcpy(to, s->out.data + s->at, n);
	s->at += n;
	s->taken += n;
	compact(s);
	tell_drained(s);
	return (ssize_t)n;
}

static void on_free(void *cls)
{
	struct http_stream *s = cls;

	s->in_mhd = false;
	free_unheld(s);
}

static void on_beat(struct timer *t, int64_t now_us)
{
	struct http_stream *s = CONTAINER_OF(t, struct http_stream, beat);
	bool sent = s->sent;

	if (!sent && !http_stream_send(s, ":\n\n", 3))
		return;
	s->sent = false;
	/* the heap has the place that this timer just left */
	if (timer_start(t, s->loop, now_us + s->beat_us, on_beat))
		s->broken = true;
}

bool http_stream_send(struct http_stream *s, const void *data, size_t len)
{
	if (s->broken)
		return false;
	buf_append(&s->out, data, len);
	if (s->out.len - s->at > HTTP_STREAM_MAX || buf_err(&s->out)) {
		s->broken = true;
		if (!s->queued) {
			s->queued = true;
			loop_later(s->loop, &s->later, on_overrun);
		}
		return false;
	}
	s->sent = true;
	resume(s);
	return true;
}

void http_stream_on_drained(struct http_stream *s, void (*fn)(void *arg))
{
	s->drained = fn;
	tell_drained(s);
}

size_t http_stream_queued(const struct http_stream *s)
{
	return s->out.len - s->at;
}

uint64_t http_stream_taken(const struct http_stream *s)
{
	return s->taken;
}

void http_stream_end(struct http_stream *s)
{
	s->ended = true;
	resume(s);
	release(s);
}

static struct http_stream *stream_new(struct http_incoming *in)
{
	struct http_server *server = in->conn->server;
	struct http_stream *s = mem_zalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->in = in;
	s->loop = server->loop;
	s->beat_us = server->config.heartbeat_us;
	buf_init(&s->out, HTTP_STREAM_MAX + STREAM_COMPACT);
	if (timer_start(&s->beat, s->loop, loop_now_us(s->loop) + s->beat_us,
			on_beat))
		goto out;
	in->response = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, s, on_free);
	if (!in->response)
		goto out;
	return s;
out:
	timer_stop(&s->beat);
	mem_free(s);
	return NULL;
}

struct http_stream *http_reply_stream(struct http_request *r,
				      void (*gone)(void *arg), void *arg)
{
	struct http_incoming *in = CONTAINER_OF(r, struct http_incoming, pub);
	struct http_stream *s;

	if (in->is_head) {
		http_reply(r, &(struct http_answer){
				      .status = 200,
				      .content_type = "text/event-stream"});
		return NULL;
	}
	s = stream_new(in);
	if (!s) {
		in->status = 503;
		in->response = http_problem(503, "out of memory, try again");
		http_incoming_answer(in);
		return NULL;
	}
	s->gone = gone;
	s->arg = arg;
	s->owned = true;
	s->in_mhd = true;
	in->stream = s;
	if (in->conn->on_gone_fd) /* it was not one when it began to wait */
		http_gone_add(in->conn);
	in->status = 200;
	(void)MHD_add_response_header(in->response, "Content-Type",
				      "text/event-stream");
	(void)MHD_add_response_header(in->response, "Cache-Control",
				      "no-store");
	(void)MHD_add_response_header(in->response, "X-Content-Type-Options",
				      "nosniff");
	/* The head goes out with the first bytes: have some. */
	buf_puts(&s->out, ":\n\n");
	http_incoming_answer(in);
	return s;
}
