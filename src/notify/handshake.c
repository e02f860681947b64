/**
 * notify/handshake.c -- asks an endpoint whether it wants to be told at all.
 *
 * WHAT  Before the first POST to a URL, and once a day, OPTIONS with
 *       WebHook-Request-Origin; the answer's WebHook-Allowed-Origin is its
 *       consent, WebHook-Allowed-Rate feeds its limiter.
 * WHY   A customer may name a URL that is not his: nobody is to be flooded
 *       by us who has not agreed.
 * DESIGN
 *   - The attempt that finds that consent is missing asks for it and goes on
 *     with its POST.  The engine holds all others of the endpoint meanwhile:
 *     they take no slot and burn no attempt.
 *   - Without consent that attempt has failed, and the next asks again; what
 *     keeps saying no meets the breaker as any other failure.
 *   - Consent is kept in memory only: a new run asks anew.
 *   - Consent by a callback later (WebHook-Request-Callback) is not offered.
 *
 * Source: CloudEvents, HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4
 * (abuse protection): "the handshake cannot rely on status codes".
 */
/* SPDX-License-Identifier: Apache-2.0 */
#include "notify/inside.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

enum {
	ORIGIN_MAX = 253, /* RFC 1035 section 2.3.4 */
	SHOWN_MAX = 40,	  /* of a value, in an error */
	CONSENT_HOURS = 24
};

/** Places in http_call.take. */
enum { TAKE_ORIGIN, TAKE_RATE };

/* ---- who we are ------------------------------------------------------------ */

int notify_origin_check(const char *origin, struct err *e)
{
	size_t len = strspn(origin, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789.-_");

	if (len >= 1 && len <= ORIGIN_MAX && !origin[len])
		return 0;
	return err_set(e, EINVAL, "callbacks_origin",
		       "must be a DNS name such as events.example.com");
}

int handshake_set_origin(struct notify *n, const char *origin)
{
	static const char name[] = "WebHook-Request-Origin: ";
	char host[ORIGIN_MAX + 2];
	struct buf b;
	struct err e;

	if (!origin && !gethostname(host, sizeof(host))) {
		host[sizeof(host) - 1] = '\0';
		origin = host;
	}
	if (!origin || notify_origin_check(origin, &e))
		origin = "localhost";
	buf_init(&b, sizeof(name) + ORIGIN_MAX);
	buf_puts(&b, name);
	buf_puts(&b, origin);
	n->origin_field = buf_err(&b) ? NULL : buf_take(&b);
	buf_fini(&b);
	if (!n->origin_field)
		return ENOMEM;
	n->origin = n->origin_field + strlen(name);
	return 0;
}

/* ---- state ----------------------------------------------------------------- */

static int64_t now_us(const struct notify *n)
{
	return n->now_us ? n->now_us() : loop_now_us(n->loop);
}

bool handshake_is_agreed(const struct notify *n, const struct sender *s)
{
	return s->handshake.agreed && now_us(n) < s->handshake.until_us;
}

bool handshake_is_needed(const struct notify *n, const struct sender *s)
{
	return s->handshake.wanted && !handshake_is_agreed(n, s);
}

void handshake_set(struct sender *s, const struct notify_endpoint *e)
{
	struct handshake *h = &s->handshake;

	if (!s->url || strcmp(s->url, e->url) != 0) {
		h->url_n++;
		h->agreed = false;
	}
	h->agreed &= e->handshake;
	h->wanted = e->handshake;
}

/* ---- asking ---------------------------------------------------------------- */

int handshake_ask(struct notify *n, struct sender *s, http_done_fn *done,
		  void *arg, struct err *e, struct http_transfer **out)
{
	struct handshake *h = &s->handshake;
	char rate[48];
	const char *const fields[] = {n->origin_field, rate};
	struct http_call call = {
		.method = "OPTIONS",
		.url = s->url,
		.fields = fields,
		.n_fields = s->per_minute ? 2 : 1,
		.timeout_us = s->timeout_us,
		.allow_private = s->allow_private,
		.take = {[TAKE_ORIGIN] = "WebHook-Allowed-Origin",
			 [TAKE_RATE] = "WebHook-Allowed-Rate"},
	};
	int err;

	assert(!h->asking);
	snprintf(rate, sizeof(rate), "WebHook-Request-Rate: %" PRIu32,
		 s->per_minute);
	err = http_client_send(n->client, &call, done, arg, e, out);
	if (err)
		return err;
	counter_add(COUNT_handshakes, 1);
	h->asking = true;
	h->asked_url_n = h->url_n;
	deliver_hold(n->deliver, s->id, true);
	return 0;
}

/** A value from outside, fit for a log. */
static void show(const char *value, char out[SHOWN_MAX + 1])
{
	(void)str_copy(out, SHOWN_MAX + 1, value);
	for (char *p = out; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
}

/** "120", or "*": 0.  Returns false when it is neither. */
static bool read_rate(const char *text, uint32_t *per_minute)
{
	int64_t n = 0;

	if (strcmp(text, "*") != 0) {
		size_t len = strspn(text, "0123456789");

		if (!len || text[len])
			return false;
		/* More than we can count is as good as that. */
		if (str_to_i64(text, 0, UINT32_MAX, &n))
			n = UINT32_MAX;
		if (!n)
			return false;
	}
	*per_minute = (uint32_t)n;
	return true;
}

/** Does the answer hold consent?  Else why not, in `why`. */
static bool is_consent(const struct notify *n, const struct http_result *r,
		       uint32_t *per_minute, char *why, size_t cap)
{
	const char *origin = r->taken[TAKE_ORIGIN];
	const char *rate = r->taken[TAKE_RATE];
	char shown[SHOWN_MAX + 1];

	*per_minute = 0;
	if (!r->status) {
		snprintf(why, cap, "OPTIONS: %.*s", (int)cap - 16, r->error);
		return false;
	}
	if (!origin) {
		snprintf(why, cap,
			 "no consent: OPTIONS answered HTTP %d without "
			 "WebHook-Allowed-Origin",
			 r->status);
		return false;
	}
	if (strcmp(origin, "*") != 0 && strcasecmp(origin, n->origin) != 0) {
		show(origin, shown);
		snprintf(why, cap,
			 "no consent: WebHook-Allowed-Origin is \"%s\", not "
			 "\"%.30s\" or *",
			 shown, n->origin);
		return false;
	}
	/* Without the field it does not limit us; our own limit stays. */
	if (rate && !read_rate(rate, per_minute)) {
		show(rate, shown);
		snprintf(why, cap,
			 "no consent: WebHook-Allowed-Rate is \"%s\": neither "
			 "a number from 1 nor *",
			 shown);
		return false;
	}
	return true;
}

static void agree(struct notify *n, struct sender *s, uint32_t per_minute)
{
	struct handshake *h = &s->handshake;
	char rate[32] = "at any rate";

	h->agreed = true;
	h->until_us =
		now_us(n) + CONSENT_HOURS * 3600 * (int64_t)CLOCK_US_PER_S;
	if (per_minute)
		snprintf(rate, sizeof(rate), "%" PRIu32 " a minute",
			 per_minute);
	log_info("app=%" PRIu32 " endpoint=%s allows deliveries of %s, %s",
		 s->app, s->name, n->origin, rate);
	deliver_set_rate(n->deliver, s->id, per_minute);
}

bool handshake_judge(struct notify *n, struct sender *s,
		     const struct http_result *r, struct deliver_outcome *o)
{
	struct handshake *h = &s->handshake;
	uint32_t per_minute;

	assert(h->asking);
	h->asking = false;
	/* It was asked whether something that is no more is fine. */
	if (!s->url || !h->wanted || h->url_n != h->asked_url_n)
		return true;
	if (is_consent(n, r, &per_minute, o->error, sizeof(o->error))) {
		agree(n, s, per_minute);
		return true;
	}
	counter_add(COUNT_handshakes_refused, 1);
	h->agreed = false;
	o->verdict = VERDICT_FAILED;
	o->status = r->status;
	o->retry_after_us = -1;
	if (r->status == 429 || r->status == 503)
		o->retry_after_us = r->retry_after_us;
	return false;
}

void handshake_over(struct notify *n, struct sender *s)
{
	if (!s->handshake.asking && !s->forgotten)
		deliver_hold(n->deliver, s->id, false);
}
