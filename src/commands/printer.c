/** commands/printer.c -- lines to standard output that may stand still. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "commands/printer.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	PIECE = 4096, /* a pipe that poll() calls ready takes so many [bytes] */
	POLL_MS = 100,
	PATIENCE_US = 2 * CLOCK_US_PER_S
};

struct printer {
	/* loop */
	struct loop *loop;
	struct workers *workers;
	struct buf waiting;
	bool running; /* a job is under way */
	size_t left_out;

	_Atomic bool stopping; /* what is left is not written */

	/* worker, while the job runs */
	struct job job;
	struct buf text; /* what it writes */
	int fd;
	int err; /* why it will never write again */
};

/** Wait until the descriptor takes a piece; false: it is to stop. */
static bool wait_for_reader(const struct printer *p)
{
	struct pollfd pfd = {.fd = p->fd, .events = POLLOUT};

	while (!atomic_load_explicit(&p->stopping, memory_order_relaxed)) {
		if (poll(&pfd, 1, POLL_MS) > 0)
			return true;
	}
	return false;
}

static void run(struct job *job)
{
	struct printer *p = CONTAINER_OF(job, struct printer, job);
	size_t at = 0;

	while (at < p->text.len && !p->err && wait_for_reader(p)) {
		size_t left = p->text.len - at;
		ssize_t n = write(p->fd, p->text.data + at,
				  left < PIECE ? left : PIECE);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			p->err = errno;
	}
}

static void on_done(struct job *job);

static void start(struct printer *p)
{
	struct buf next = p->waiting;

	p->waiting = p->text;
	p->text = next;
	p->running = true;
	workers_run(p->workers, &p->job, p->loop, on_done);
}

static void on_done(struct job *job)
{
	struct printer *p = CONTAINER_OF(job, struct printer, job);

	p->running = false;
	buf_clear(&p->text);
	if (p->err || atomic_load(&p->stopping)) {
		buf_clear(&p->waiting);
		return;
	}
	if (p->left_out)
		log_warn("standard output stood still: %zu lines were not "
			 "printed; they are in /v1/events",
			 p->left_out);
	p->left_out = 0;
	if (p->waiting.len)
		start(p);
}

int printer_new(struct loop *loop, int fd, struct printer **out)
{
	struct printer *p = mem_zalloc(sizeof(*p));
	int err;

	if (!p)
		return ENOMEM;
	p->loop = loop;
	p->fd = fd;
	p->job.run = run;
	buf_init(&p->waiting, PRINTER_MAX);
	buf_init(&p->text, PRINTER_MAX);
	err = workers_new("print", 1, &p->workers);
	if (err)
		mem_free(p);
	else
		*out = p;
	return err;
}

void printer_line(struct printer *p, const char *line, size_t len)
{
	const size_t before = p->waiting.len;

	if (!p->running && p->err)
		return;
	buf_append(&p->waiting, line, len);
	buf_putc(&p->waiting, '\n');
	if (buf_err(&p->waiting)) { /* full, or out of memory */
		p->waiting.err = 0;
		p->waiting.len = before;
		p->left_out++;
	}
	if (!p->running && p->waiting.len)
		start(p);
}

void printer_free(struct printer *p)
{
	int64_t until_us = clock_now_us() + PATIENCE_US;

	if (!p)
		return;
	while (p->running && clock_now_us() < until_us)
		loop_turn(p->loop, POLL_MS * CLOCK_US_PER_MS);
	atomic_store(&p->stopping, true);
	workers_free(p->workers);
	loop_turn(p->loop, 0);
	buf_fini(&p->waiting);
	buf_fini(&p->text);
	mem_free(p);
}
