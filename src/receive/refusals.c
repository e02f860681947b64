/** receive/refusals.c -- what the log says of refused requests: some lines a
 *  second, then how many more there were. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "receive/private.h"

/** The second is over. */
static void end_second(struct refusals *s)
{
	if (s->left_out)
		log_warn("%u more were refused in the last second",
			 s->left_out);
	s->said = 0;
	s->left_out = 0;
	timer_stop(&s->timer);
}

static void on_second(struct timer *t, int64_t now_us)
{
	(void)now_us;
	end_second(CONTAINER_OF(t, struct refusals, timer));
}

void refusals_init(struct refusals *s, struct loop *loop)
{
	*s = (struct refusals){.loop = loop};
}

void refusals_fini(struct refusals *s)
{
	end_second(s);
}

static void write_line(const struct refusal *no, const struct addr *from)
{
	char text[ADDR_TEXT_MAX], app[24] = "";

	if (no->app)
		snprintf(app, sizeof(app), " app=%" PRIu32, no->app);
	log_warn("callback refused: %d %s%s%s%s%s%s", no->status, no->why,
		 from && from->len ? " from=" : "",
		 from && from->len ? addr_write(from, text) : "",
		 no->dialect ? " dialect=" : "", no->dialect ? no->dialect : "",
		 app);
}

void refusals_say(struct refusals *s, const struct refusal *no,
		  const struct addr *from)
{
	const int64_t now_us = loop_now_us(s->loop);

	if (now_us - s->began_us >= CLOCK_US_PER_S)
		end_second(s);
	if (!s->said)
		s->began_us = now_us;
	if (s->said < REFUSALS_A_SECOND) {
		s->said++;
		write_line(no, from);
		return;
	}
	/* Out of memory: the next one says it. */
	if (!s->left_out++ &&
	    timer_start(&s->timer, s->loop, s->began_us + CLOCK_US_PER_S,
			on_second))
		write_line(no, from);
}
