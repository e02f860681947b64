/** deliver/schedule.c -- when the next attempt of a delivery is due. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/schedule.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define SECOND ((int64_t)CLOCK_US_PER_S)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

enum { DURATION_TEXT_MAX = 24 };

static const char permitted[] =
	"\"tencent\", \"standard\" or 1..32 durations such as \"1s,10s,5m\", "
	"each at most 7d";

/* Source: TRTC callbacks, "retry immediately, then every 10 seconds until
 * the message is 1 minute old"; then standard's, of which 5 s is past. */
static const struct deliver_retry tencent = {
	.delay_us = {0, 10 * SECOND, 10 * SECOND, 10 * SECOND, 10 * SECOND,
		     10 * SECOND, 10 * SECOND, 5 * MINUTE, 30 * MINUTE,
		     2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR,
		     24 * HOUR},
	.n = 15,
	.n_short = 7,
	.on = true,
};

/* Source: Standard Webhooks 1.0, "Deliverability and reliability". */
static const struct deliver_retry standard = {
	.delay_us = {5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR,
		     10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR},
	.n = 9,
	.n_short = 1,
};

static int add_duration(const char *from, size_t len, struct deliver_retry *r)
{
	char text[DURATION_TEXT_MAX];
	int64_t us = 0;

	while (len && *from == ' ') {
		from++;
		len--;
	}
	while (len && from[len - 1] == ' ')
		len--;
	if (!len || len >= sizeof(text) || r->n == DELIVER_DELAYS_MAX)
		return EINVAL;
	memcpy(text, from, len);
	text[len] = '\0';
	if (str_to_duration_us(text, &us) || us < 0 || us > 7 * DAY)
		return EINVAL;
	r->delay_us[r->n++] = us;
	return 0;
}

static void count_short(struct deliver_retry *r)
{
	int64_t sum_us = 0;

	r->n_short = 0;
	while (r->n_short < r->n) {
		sum_us += r->delay_us[r->n_short];
		if (sum_us > SCHEDULE_SHORT_US)
			break;
		r->n_short++;
	}
}

int deliver_retry_parse(const char *text, struct deliver_retry *out,
			struct err *e)
{
	struct deliver_retry r = {0};

	if (!strcmp(text, "tencent")) {
		*out = tencent;
		return 0;
	}
	if (!strcmp(text, "standard")) {
		*out = standard;
		return 0;
	}
	for (const char *p = text;; p++) {
		const char *end = strchrnul(p, ',');

		if (add_duration(p, (size_t)(end - p), &r))
			return err_set(e, EINVAL, "retry", "must be %s",
				       permitted);
		p = end;
		if (!*p)
			break;
	}
	count_short(&r);
	*out = r;
	return 0;
}

uint64_t schedule_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
	return z ^ (z >> 31);
}

/** The profile's delay after `failed` attempts, -1: there is none. */
static int64_t delay_after(const struct deliver_retry *r, unsigned failed)
{
	assert(failed > 0 && r->n <= DELIVER_DELAYS_MAX);
	if (failed <= r->n)
		return r->delay_us[failed - 1];
	return r->on && r->n ? r->delay_us[r->n - 1] : -1;
}

void schedule_step(const struct deliver_retry *retry, unsigned failed,
		   int64_t hint_us, uint64_t *random, struct schedule_step *out)
{
	int64_t delay_us = delay_after(retry, failed);
	bool is_short = failed <= retry->n_short;

	*out = (struct schedule_step){.dead = delay_us < 0};
	if (out->dead)
		return;
	if (!is_short && random && delay_us > SECOND)
		delay_us = SECOND + (int64_t)(schedule_random(random) %
					      (uint64_t)(delay_us - SECOND));
	if (hint_us > SCHEDULE_HINT_MAX_US)
		hint_us = SCHEDULE_HINT_MAX_US;
	if (hint_us > delay_us)
		delay_us = hint_us;
	out->delay_us = delay_us;
	/* A hint of an hour must not hold the lane for an hour. */
	out->blocks = is_short && delay_us <= SCHEDULE_SHORT_US;
}

int64_t schedule_loaded(const struct deliver_retry *retry, unsigned failed,
			int64_t asked_ms, int64_t due_ms, int64_t unix_ms)
{
	const int64_t hint_ms = SCHEDULE_HINT_MAX_US / CLOCK_US_PER_MS;
	int64_t most_us;

	if (!failed || due_ms <= unix_ms || !retry->n)
		return 0;
	most_us = delay_after(retry, failed);
	if (most_us < 0)
		most_us = retry->delay_us[retry->n - 1];
	if (asked_ms > hint_ms)
		asked_ms = hint_ms;
	if (asked_ms > most_us / CLOCK_US_PER_MS)
		most_us = asked_ms * CLOCK_US_PER_MS;
	if (due_ms - unix_ms > most_us / CLOCK_US_PER_MS)
		return most_us;
	return (due_ms - unix_ms) * CLOCK_US_PER_MS;
}
